"""The queue of REST snapshots of one venue: few at a time, each book rarely, books that show nothing first."""

from __future__ import annotations

from typing import Protocol

from cryptodash.exchanges.adapter.venue import RestRequest
from cryptodash.exchanges.connections.commands import Fetch, Output

MOST_IN_FLIGHT = 2
SPACING = 5.0
"""Least seconds between two snapshots of one book."""
LONGEST = 60.0


class Customer(Protocol):
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


class SnapshotQueue:
    """Who waits for a snapshot, and who has one on its way."""

    def __init__(self) -> None:
        self._waiting: dict[Customer, None] = {}
        self._flying: dict[RestRequest, Customer] = {}

    def ask(self, customer: Customer) -> None:
        """Wait for a place; asking twice is asking once."""
        if not self.has(customer):
            self._waiting[customer] = None

    def has(self, customer: Customer) -> bool:
        """Whether it waits or is being served."""
        return customer in self._waiting or any(each is customer for each in self._flying.values())

    def leave(self, customer: Customer) -> None:
        """It needs none any more. One on its way still counts until it is answered."""
        self._waiting.pop(customer, None)

    def taken(self, request: RestRequest) -> Customer | None:
        """Whose answer this is; its place is free again."""
        return self._flying.pop(request, None)

    def advance(self, now: float, out: list[Output]) -> None:
        """Fetch for whoever may go."""
        while len(self._flying) < MOST_IN_FLIGHT:
            ready = [each for each in self._waiting if each.free_at <= now]
            if not ready:
                return
            customer = next((each for each in ready if each.is_urgent), ready[0])
            del self._waiting[customer]
            request = customer.request()
            if request is None:
                continue
            customer.free_at = now + pause(customer.failures)
            if request not in self._flying:  # else it was made for a book that is gone: the answer serves this one
                out.append(Fetch(request))
            self._flying[request] = customer

    def due(self) -> float:
        """When ``advance`` has something to do."""
        if len(self._flying) >= MOST_IN_FLIGHT:
            return float("inf")
        return min((each.free_at for each in self._waiting), default=float("inf"))


def pause(failures: int) -> float:
    """Seconds from one snapshot of a book to the next."""
    return min(SPACING * 2.0 ** min(failures, 8), LONGEST)
