"""The work of one large read, done in slices, so that whoever shares the reactor has a turn in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Work = Callable[[], bool]
"""Does a slice of the work; whether some is left."""


class Slices:
    """Does the work of one connection, a slice a turn. ``reading(False)``: no more is to be read of the connection for
    now, so that nothing piles up here; ``reading(True)``: go on. ``failed`` is called where the work raised, within the
    handler of the exception; what is left is then dropped."""

    def __init__(self, reactor: Any, reading: Callable[[bool], None], failed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reading = reading
        self._failed = failed
        self._work: list[Work] = []
        self._call: Any = None

    @property
    def waiting(self) -> bool:
        """Whether some work is left."""
        return bool(self._work)

    def add(self, work: Work) -> None:
        """Do this after all that was added before; the first slice of it at once where nothing waits."""
        self._work.append(work)
        if len(self._work) == 1 and self._go_on() and self._call is None:
            self._reading(False)
            self._call = self._reactor.callLater(0, self._turn)

    def finish(self) -> None:
        """Do now whatever is left."""
        while self._go_on():
            pass
        self._rest()

    def drop(self) -> None:
        """Forget what is left."""
        self._work.clear()
        self._rest()

    def _turn(self) -> None:
        self._call = None
        if self._go_on():
            self._call = self._reactor.callLater(0, self._turn)
        else:
            self._reading(True)

    def _go_on(self) -> bool:
        """One slice; whether some work is left."""
        if not self._work:
            return False
        work = self._work[0]
        try:
            more = work()
        except Exception:
            self._work.clear()
            self._failed()
            return False
        if not more and self._work and self._work[0] is work:
            del self._work[0]
        return bool(self._work)

    def _rest(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
            self._reading(True)
