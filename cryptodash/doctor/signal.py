"""Something that happens once, and can be waited for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError


class Signal:
    """Not happened yet until ``happen``."""

    def __init__(self) -> None:
        self.happened = False
        self._waiting: list[Deferred[None]] = []

    def happen(self) -> None:
        """It happens now; again is no news."""
        self.happened = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(None)

    async def within(self, seconds: float, reactor: Any) -> bool:
        """Wait for it; False if it did not happen in so many seconds."""
        if not self.happened and seconds > 0:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            with suppress(TimeoutError):
                await waiting.addTimeout(seconds, reactor)
        return self.happened
