"""Derived values are made at a pace, in slices: their cost is bounded however often what they are made of changes."""

from __future__ import annotations

from itertools import islice
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger(namespace="cryptodash.hub.paces")

AT_ONCE: Final = 20
"""Small items in one reactor turn: about 2 ms."""
BOOKS_AT_ONCE: Final = 2
"""Merged books: some tenths of a millisecond each, of 1000 levels 2."""


class Paced(Protocol):
    """What is made again."""

    def make(self) -> None:
        """Make it again and tell of what is new."""


class Pace:
    """One interval. What is marked after a quiet interval is made in the next turn (with all that changes in this one),
    what is marked later at the interval's end."""

    def __init__(self, scheduler: IReactorTime, seconds: float, at_once: int) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._at_once = at_once
        self._marked: dict[Paced, None] = {}
        self._call: IDelayedCall | None = None

    def mark(self, item: Paced) -> None:
        """It is not what it was."""
        self._marked[item] = None
        if self._call is None:
            self._call = self._scheduler.callLater(0, self._run)

    def unmark(self, item: Paced) -> None:
        """It has been made, or is of no interest any more."""
        self._marked.pop(item, None)

    def stop(self) -> None:
        """No delayed call is left."""
        self._marked.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        self._call = None
        if not self._marked:
            return
        slice_ = list(islice(self._marked, self._at_once))
        for item in slice_:
            del self._marked[item]
        self._call = self._scheduler.callLater(0 if self._marked else self._seconds, self._run)
        for item in slice_:
            try:
                item.make()
            except Exception:  # a fault of ours must not hold up the others
                _log.failure("a derived value cannot be made")


class Paces:
    """The paces by their intervals in ms."""

    def __init__(self, scheduler: IReactorTime) -> None:
        self._scheduler = scheduler
        self._paces: dict[tuple[int, int], Pace] = {}

    def of(self, interval: int, at_once: int = AT_ONCE) -> Pace:
        found = self._paces.get((interval, at_once))
        if found is None:
            found = self._paces[interval, at_once] = Pace(self._scheduler, interval / 1000, at_once)
        return found

    def stop(self) -> None:
        for pace in self._paces.values():
            pace.stop()
