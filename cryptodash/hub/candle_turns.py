"""Lets requests for candles wait for their turn: the queues of all venues, and the one timer that they need."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.interfaces import RequestCost
from cryptodash.core.time import Clock
from cryptodash.hub.candle_queue import CandleQueue, Place

LEAST_WAIT_S: Final = 0.001


@frozen
class Turn:
    """The leave to ask a venue once. ``finish`` it in any case; ``charge`` it first if the venue is asked."""

    _turns: CandleTurns
    _queue: CandleQueue
    _place: Place

    def charge(self) -> None:
        """The venue is asked: the address pays, and those who wait for the same go and look for the request."""
        self._queue.charge(self._place)
        self._turns.tell_the_same(self._queue, self._place.what)

    def finish(self) -> None:
        """The venue has answered, or was not asked."""
        self._queue.finish(self._place)
        self._turns.pump()


class CandleTurns:
    """One ``CandleQueue`` per REST budget. ``stop`` cancels the timer and all who wait."""

    def __init__(self, clock: Clock, scheduler: IReactorTime) -> None:
        self._clock = clock
        self._scheduler = scheduler
        self._queues: dict[tuple[str, str], CandleQueue] = {}
        """By venue and pool."""
        self._waiting: dict[Place, Deferred[Turn | None]] = {}
        self._timer: IDelayedCall | None = None
        self._pumping = False

    async def take(self, exchange: str, cost: RequestCost, client: str, what: Hashable) -> Turn | None:
        """Wait for a turn; None: somebody else's request for the same has begun. Raises ``TryLater`` for an address
        over its share, ``UpstreamError`` ``capacity``. Cancelling leaves the queue."""
        queue = self._queues.get((exchange, cost.pool))
        if queue is None:
            queue = self._queues[exchange, cost.pool] = CandleQueue(cost.budget, cost.per, self._clock)
        place = queue.enqueue(client, cost.weight, what)
        came: Deferred[Turn | None] = Deferred()
        self._waiting[place] = came
        self.pump()
        try:
            return await came
        finally:
            if self._waiting.pop(place, None) is not None:  # cancelled
                queue.withdraw(place)

    def stop(self) -> None:
        """Nobody gets a turn any more."""
        waiting, self._waiting = self._waiting, {}
        for came in waiting.values():
            came.cancel()
        self._cancel_timer()

    def pump(self) -> None:
        """Give the turns that may be given, send away who has waited too long, and come back when more may be."""
        if self._pumping:
            return  # what is told may end at once, and so come here again: the round that is under way goes on
        self._pumping = True
        try:
            while any(self._round(queue) for queue in tuple(self._queues.values())):
                pass
        finally:
            self._pumping = False
        self._schedule()

    def _round(self, queue: CandleQueue) -> bool:
        """Whether anybody of this queue was told anything."""
        told = False
        for place, error in queue.expire():
            told = True
            came = self._waiting.pop(place, None)
            if came is not None:  # else cancelled by what an earlier one of this round did
                came.errback(error)
        while (next_place := queue.take()) is not None:
            told = True
            came = self._waiting.pop(next_place, None)
            if came is None:
                queue.finish(next_place)
            else:
                came.callback(Turn(self, queue, next_place))
        return told

    def tell_the_same(self, queue: CandleQueue, what: Hashable) -> None:
        """A request begins: who waits for the same joins it."""
        for place in queue.same(what):
            came = self._waiting.pop(place, None)
            if came is not None:
                came.callback(None)

    def _schedule(self) -> None:
        self._cancel_timer()
        times = [when for queue in self._queues.values() if (when := queue.next_event()) is not None]
        if times:
            wait = max(LEAST_WAIT_S, min(times) - self._clock.monotonic())
            self._timer = self._scheduler.callLater(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        self.pump()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
