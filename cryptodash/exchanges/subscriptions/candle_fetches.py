"""The queue of REST requests for bars that no frame has closed: few at a time, what holds a stream back first."""

from __future__ import annotations

from typing import Protocol

from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.connections.commands import Fetch, Output

MOST_IN_FLIGHT = 4
MOST_PER_SECOND = 10
"""Requests for bars at most: all bars of an interval end in the same second, and the budget has other users."""


class CandleTaker(Protocol):
    """A candle topic that asks for bars."""

    def candles_request(self) -> RestRequest | None:
        """What to fetch; called when it is going to be fetched. None: nothing any more."""


class CandleFetches:
    """Who waits for bars of a venue, and who has a request on its way."""

    def __init__(self) -> None:
        self._urgent: dict[CandleTaker, None] = {}
        self._waiting: dict[CandleTaker, None] = {}
        self._flying: set[CandleTaker] = set()
        self._second = 0.0
        """When the second began in which requests are counted."""
        self._started = 0

    def ask(self, taker: CandleTaker, now: float, out: list[Output], *, urgent: bool) -> None:
        """Wait for a place, and take it at once where one is free. A request that is on its way answers this one as
        well. ``urgent``: newer bars are held back for the answer."""
        if taker in self._flying:
            return
        if urgent:
            self._waiting.pop(taker, None)
            self._urgent[taker] = None
        elif taker not in self._urgent:
            self._waiting[taker] = None
        self.advance(now, out)

    def done(self, taker: CandleTaker) -> None:
        """Its request was answered, or failed, or nobody wants the answer any more."""
        self._flying.discard(taker)
        self._urgent.pop(taker, None)
        self._waiting.pop(taker, None)

    def advance(self, now: float, out: list[Output]) -> None:
        """Fetch for whoever may go."""
        if now - self._second >= 1.0:
            self._second, self._started = now, 0
        while len(self._flying) < MOST_IN_FLIGHT and self._started < MOST_PER_SECOND:
            queue = self._urgent or self._waiting
            if not queue:
                return
            taker = next(iter(queue))
            del queue[taker]
            request = taker.candles_request()
            if request is not None:
                self._started += 1
                self._flying.add(taker)
                out.append(Fetch(request))
