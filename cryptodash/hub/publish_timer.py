"""When the views of order books are published."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")


class PublishTimer(Generic[T]):
    """The pace of one interval, shared by all views of it: one timer, and only while there was something
    to publish in the last interval.

    The first change after a quiet interval is published at once, later ones together at the interval's end.
    """

    def __init__(self, scheduler: IReactorTime, seconds: float, publish: Callable[[Iterable[T]], None]) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._publish = publish
        self._dirty: dict[T, None] = {}
        self._timer: IDelayedCall | None = None

    def mark(self, view: T) -> None:
        """The view may have changed."""
        self._dirty[view] = None

    def publish_soon(self) -> None:
        """Publish what is marked: now if the last interval was quiet, else at its end."""
        if self._timer is None:
            self._run()

    def stop(self) -> None:
        self._dirty.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        if self._dirty:
            dirty, self._dirty = self._dirty, {}
            self._timer = self._scheduler.callLater(self._seconds, self._run)
            self._publish(dirty)
