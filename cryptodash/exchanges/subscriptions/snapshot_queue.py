"""The queue of REST snapshots of one venue: few at a time, each book rarely, books that show nothing first."""

from __future__ import annotations

from typing import Protocol

from cryptodash.core.errors import UpstreamError
from cryptodash.exchanges.adapter.messages import BadFrame, Depth
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.connections.commands import Fetch, Output

MOST_IN_FLIGHT = 2
SPACING = 5.0
"""Least seconds between two snapshots of one book."""
LONGEST = 60.0


class SnapshotTaker(Protocol):
    """A book that asks for snapshots."""

    free_at: float
    """When it may ask again."""
    failures: int
    """Attempts in a row that led to nothing."""

    @property
    def is_urgent(self) -> bool:
        """Whether it has nothing to show."""

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
            ready = [each for each in self._waiting if each.free_at <= now]
            if not ready:
                return
            taker = next((each for each in ready if each.is_urgent), ready[0])
            del self._waiting[taker]
            request = taker.request()
            if request is None:
                continue
            taker.free_at = now + pause(taker.failures)
            if request not in self._flying:  # else it was made for a book that is gone: the answer serves this one
                out.append(Fetch(request))
            self._flying[request] = taker

    def due(self) -> float:
        """When ``advance`` has something to do."""
        if len(self._flying) >= MOST_IN_FLIGHT:
            return float("inf")
        return min((each.free_at for each in self._waiting), default=float("inf"))


def pause(failures: int) -> float:
    """Seconds from one snapshot of a book to the next."""
    return min(SPACING * 2.0 ** min(failures, 8), LONGEST)
