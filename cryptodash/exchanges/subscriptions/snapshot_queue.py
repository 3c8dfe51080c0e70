"""The queue of REST snapshots of one venue: few at a time, each book rarely, books that show nothing first, and the
clients that wait in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from cryptodash.core.errors import UpstreamError
from cryptodash.exchanges.adapter.messages import BadFrame, Depth
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.connections.commands import Fetch, Output

MOST_IN_FLIGHT = 2
SPACING = 5.0
"""Least seconds between two snapshots of one book that shows nothing, and between two renewals of one that does."""
LONGEST = 60.0
TURNS_KEPT = 1_000
"""Clients whose last turn is remembered although they wait for nothing."""
NOBODY = ("",)
"""Who takes turns for books that no client is known of."""


class SnapshotTaker(Protocol):
    """A book that asks for snapshots."""

    free_at: float
    """When it may ask again."""
    renewable_at: float
    """When it may ask again while it has something to show. A book that is lost just after a renewal must not wait for
    that one's spacing; nor must the first renewal wait, since a first snapshot is small."""
    failures: int
    """Attempts in a row that led to nothing."""

    @property
    def is_urgent(self) -> bool:
        """Whether it has nothing to show."""

    @property
    def clients(self) -> Sequence[str]:
        """Clients that hold the book, a few of them: it comes when the first of these has its turn."""

    def request(self) -> RestRequest | None:
        """What to fetch; called when it is going to be fetched."""

    def answered(self, depth: Depth, limit: int, now: float, received: int, out: list[Output]) -> None:
        """A snapshot of at most ``limit`` levels a side has come."""

    def failed(self, error: UpstreamError, now: float, out: list[Output]) -> None:
        """None has come."""


class SnapshotQueue:
    """Who waits for a snapshot, and who has one on its way."""

    def __init__(self) -> None:
        self._waiting: dict[SnapshotTaker, None] = {}
        self._flying: dict[RestRequest, SnapshotTaker | None] = {}
        """None: whoever asked is gone; the request counts until it is answered."""
        self._turns: dict[str, int] = {}
        """When each client had its last turn, as a number that grows."""
        self._turn = 0

    def ask(self, taker: SnapshotTaker) -> None:
        """Wait for a place; asking twice is asking once."""
        if taker not in self._waiting and not any(each is taker for each in self._flying.values()):
            self._waiting[taker] = None

    def leave(self, taker: SnapshotTaker) -> None:
        """It needs none any more, and wants no answer."""
        self._waiting.pop(taker, None)
        for request, each in self._flying.items():
            if each is taker:
                self._flying[request] = None

    def takers(self) -> Iterator[SnapshotTaker]:
        """Who waits, in the queue or for an answer."""
        yield from self._waiting
        yield from (each for each in self._flying.values() if each is not None)

    def answered(self, request: RestRequest, depth: Depth, now: float, received: int, out: list[Output]) -> None:
        """An answer has come; its place is free. Raises ``BadFrame`` for one that the taker cannot use: it was then
        told that none has come."""
        taker = self._flying.pop(request, None)
        if taker is None:
            return
        try:
            taker.answered(depth, request.limit, now, received, out)
        except BadFrame as error:
            taker.failed(UpstreamError("", f"a snapshot cannot be used: {error}"), now, out)
            raise

    def failed(self, request: RestRequest, error: UpstreamError, now: float, out: list[Output]) -> None:
        """None will come; its place is free."""
        taker = self._flying.pop(request, None)
        if taker is not None:
            taker.failed(error, now, out)

    def advance(self, now: float, out: list[Output]) -> None:
        """Fetch for whoever may go."""
        while len(self._flying) < MOST_IN_FLIGHT:
            ready = [each for each in self._waiting if _free_at(each) <= now]
            if not ready:
                return
            taker = min(ready, key=self._rank)
            del self._waiting[taker]
            request = taker.request()
            if request is None:
                continue
            self._took_turn(taker)
            if taker.is_urgent:
                taker.free_at = now + pause(taker.failures)
            else:
                taker.renewable_at = now + pause(taker.failures)
            if request not in self._flying:  # else it was made for a book that is gone: the answer serves this one
                out.append(Fetch(request))
            self._flying[request] = taker

    def _rank(self, taker: SnapshotTaker) -> tuple[bool, int]:
        """Books that show nothing first; of these the one whose client has waited longest for a turn."""
        turns = self._turns
        return not taker.is_urgent, min(turns.get(client, 0) for client in taker.clients or NOBODY)

    def _took_turn(self, taker: SnapshotTaker) -> None:
        self._turn += 1
        client = min(taker.clients or NOBODY, key=lambda each: self._turns.get(each, 0))
        self._turns[client] = self._turn
        if len(self._turns) > TURNS_KEPT:
            waiting = {client for each in self._waiting for client in each.clients or NOBODY}
            self._turns = {client: turn for client, turn in self._turns.items() if client in waiting}

    def is_busy(self, now: float) -> bool:
        """Whether one is on its way, or will be at once. Who only waits for its time does not count: a book that never
        gets its snapshot waits for ever."""
        return bool(self._flying) or self.due() <= now

    def due(self) -> float:
        """When ``advance`` has something to do."""
        if len(self._flying) >= MOST_IN_FLIGHT:
            return float("inf")
        return min((_free_at(each) for each in self._waiting), default=float("inf"))


def _free_at(taker: SnapshotTaker) -> float:
    return taker.free_at if taker.is_urgent else taker.renewable_at


def pause(failures: int) -> float:
    """Seconds from one snapshot of a book to the next."""
    return min(SPACING * 2.0 ** min(failures, 8), LONGEST)
