"""When order books are published: one timer per interval, for the books of all venues."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Publishable(Protocol):
    """What a timer publishes."""

    def publish(self) -> None:
        """Publish what has changed, if anything has."""


class PublishTimer:
    """One interval's timer; it runs only while there was something to publish in the last interval.

    The first change after a quiet interval is published at once, later ones together at the interval's end.
    """

    def __init__(self, scheduler: IReactorTime, seconds: float) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._marked: dict[Publishable, None] = {}
        self._call: IDelayedCall | None = None

    def mark(self, item: Publishable) -> None:
        """The item may have changed."""
        self._marked[item] = None

    def unmark(self, item: Publishable) -> None:
        """The item is of no interest any more."""
        self._marked.pop(item, None)

    def publish_soon(self) -> None:
        """Publish what is marked: now if the last interval was quiet, else at its end."""
        if self._call is None:
            self._run()

    def stop(self) -> None:
        """Publish nothing of what is marked; no delayed call is left."""
        self._marked.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        self._call = None
        if self._marked:
            marked, self._marked = self._marked, {}
            self._call = self._scheduler.callLater(self._seconds, self._run)
            for item in marked:
                item.publish()


class PublishTimers:
    """The timers of all intervals (ms), made as they are asked for: there are a few intervals only."""

    def __init__(self, scheduler: IReactorTime) -> None:
        self._scheduler = scheduler
        self._timers: dict[int, PublishTimer] = {}

    def of(self, interval: int) -> PublishTimer:
        """The timer of one interval."""
        found = self._timers.get(interval)
        if found is None:
            found = self._timers[interval] = PublishTimer(self._scheduler, interval / 1000)
        return found

    def stop(self) -> None:
        """No delayed call is left."""
        for timer in self._timers.values():
            timer.stop()
