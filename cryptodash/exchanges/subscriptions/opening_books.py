"""Which books may have their stream: no more at a time than snapshots can be had for soon, and the clients in turn.

A book that is opened keeps every frame until its snapshot is there. Thousands that are opened at once would keep
minutes of frames, and most of them in vain; those that cannot have a snapshot soon wait here without a stream instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import RestLimits
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.subscriptions.snapshot_queue import MOST_IN_FLIGHT, NOBODY, SnapshotQueue, SnapshotTaker

SOON = 10.0
"""Seconds of the REST budget that the books being opened may need."""
MOST_OPENING = 40
"""Books being opened at a time, however large the budget."""
UNHEARD = 5.0
"""Seconds after which an opened book that asks for no snapshot (its market says nothing) holds up no other."""


class NewBook(Protocol):
    """A book without a stream."""

    @property
    def clients(self) -> Sequence[str]:
        """Clients that hold it, a few of them."""

    def snapshot_request(self) -> RestRequest | None:
        """What it will need."""

    def admitted(self, now: float, out: list[Output]) -> SnapshotTaker:
        """It may have its stream now; gives who will ask for its snapshot."""


class OpeningBooks:
    """``limits`` are the venue's REST budgets by pool."""

    def __init__(self, queue: SnapshotQueue, limits: Mapping[str, RestLimits]) -> None:
        self._queue = queue
        self._limits = limits
        self._waiting: dict[NewBook, None] = {}
        self._opened: dict[SnapshotTaker, float] = {}

    def ask(self, book: NewBook, now: float, out: list[Output]) -> None:
        """Open the book, at once if there is room."""
        self._waiting[book] = None
        self.advance(now, out)

    def leave(self, book: NewBook) -> None:
        """It is not wanted any more."""
        self._waiting.pop(book, None)

    def ended(self, taker: SnapshotTaker) -> None:
        """An opened book needs no snapshot any more."""
        self._opened.pop(taker, None)

    def is_waiting(self, book: NewBook) -> bool:
        """Whether there is no room for it yet."""
        return book in self._waiting

    def advance(self, now: float, out: list[Output]) -> None:
        """Open whatever there is room for."""
        if not self._waiting:
            return
        pending = self._pending(now)
        while self._waiting:
            book = min(self._waiting, key=lambda each: _least(pending, each.clients))
            if not self._has_room(book, pending):
                return
            del self._waiting[book]
            taker = book.admitted(now, out)
            self._opened[taker] = now
            pending[_first(pending, book.clients)] += 1

    def _pending(self, now: float) -> Counter[str]:
        """How many books of each client wait for their first snapshot, or will soon."""
        urgent = [each for each in self._queue.takers() if each.is_urgent]
        asking = set(urgent)
        self._opened = {
            each: at for each, at in self._opened.items() if each.is_urgent and (each in asking or now - at < UNHEARD)
        }
        pending: Counter[str] = Counter()
        for each in dict.fromkeys((*urgent, *self._opened)):
            pending[_first(pending, each.clients)] += 1
        return pending

    def _has_room(self, book: NewBook, pending: Mapping[str, int]) -> bool:
        """Whether its turn for a snapshot comes soon: when clients go round, not more of another client's books come
        before it than its own client has."""
        own = _least(pending, book.clients)
        before = sum(min(own + 1, each) for each in pending.values())
        return before < self._most(book.snapshot_request())

    def _most(self, request: RestRequest | None) -> int:
        """How many such snapshots can be had soon."""
        limits = None if request is None else self._limits.get(request.pool)
        if request is None or limits is None:
            return MOST_OPENING
        of_budget = int(limits.weight * SOON / limits.per) // max(request.weight, 1)
        return max(MOST_IN_FLIGHT, min(of_budget, MOST_OPENING))


def _least(pending: Mapping[str, int], clients: Sequence[str]) -> int:
    return min(pending.get(client, 0) for client in clients or NOBODY)


def _first(pending: Mapping[str, int], clients: Sequence[str]) -> str:
    """The client whose turn a book comes with."""
    return min(clients or NOBODY, key=lambda client: pending.get(client, 0))
