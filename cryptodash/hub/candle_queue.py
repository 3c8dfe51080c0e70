"""Whose request for candles a venue is asked next: pure arithmetic, no I/O and no timers.

A venue's REST budget is everybody's. Requests wait in turn by address, so that one address with hundreds waiting does
not keep another's one from its place, and an address uses at most a fifth of the budget.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from math import ceil
from typing import Final

from attrs import define, field

from cryptodash.core.errors import CryptodashError, TryLater, UpstreamError
from cryptodash.core.time import Clock

SHARE: Final = 5
"""An address may use one part in so many of the budget in its window."""
CHARTS: Final = 80
"""40 charts, opened twice: what a page may ask for at once, also where that is a little over a fifth, as with a
venue whose dearest requests weigh 5 of 1920."""
MOST_PERCENT: Final = 21
"""Of the budget: the most, for whatever number of charts."""
AT_ONCE: Final = 3
"""Requests under way together: one fewer than a budget starts, so that a snapshot never waits for candles."""
WAITING: Final = 1000
WAITING_PER_ADDRESS: Final = 200
OVER_SHARE_S: Final = 5.0
"""Seconds that an address over its share waits for room."""
PATIENCE_S: Final = 10.0
"""Seconds that anybody waits for a turn."""


@define(eq=False)
class Place:
    """One request's place in the queue; ``what`` it asks for, so that one answer serves all who ask for it."""

    client: str
    weight: int
    what: Hashable
    since: float


@define(eq=False)
class _Client:
    """One address: its requests, oldest first, and what it was charged (time, weight) within the window."""

    waiting: deque[Place] = field(factory=deque)
    spent: deque[tuple[float, int]] = field(factory=deque)
    used: int = 0


class CandleQueue:
    """The requests for candles of one REST budget: ``budget`` units of weight in ``per`` seconds.

    ``enqueue`` a place, ask ``take`` for the next whose turn it is, ``charge`` it if the venue is asked, and ``finish``
    it, asked or not. An address is kept while it waits or was charged within ``per`` seconds.
    """

    def __init__(self, budget: int, per: float, clock: Clock) -> None:
        self._budget = budget
        self._per = per
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        """In the order of their turns."""
        self._charged: deque[tuple[float, str]] = deque()
        self._waiting = 0
        self._running = 0

    def __len__(self) -> int:
        """Addresses kept."""
        return len(self._clients)

    def enqueue(self, client: str, weight: int, what: Hashable) -> Place:
        """Ask for a turn. Raises ``TryLater`` where too many of this address wait, ``UpstreamError`` ``capacity``
        where too many of all do."""
        self._forget()
        known = self._clients.get(client)
        if known is not None and len(known.waiting) >= WAITING_PER_ADDRESS:
            raise self._over_share(known, weight)
        if self._waiting >= WAITING:
            raise UpstreamError("capacity", f"{self._waiting} requests for candles wait already")
        place = Place(client, weight, what, self._clock.monotonic())
        self._clients.setdefault(client, _Client()).waiting.append(place)
        self._waiting += 1
        return place

    def take(self) -> Place | None:
        """The next whose turn it is: each address in its turn, those that are over their share left out."""
        self._forget()
        if self._running >= AT_ONCE:
            return None
        for name, client in self._clients.items():
            if client.waiting and self._fits(client, client.waiting[0].weight):
                self._clients.move_to_end(name)
                self._waiting -= 1
                self._running += 1
                return client.waiting.popleft()
        return None

    def charge(self, place: Place) -> None:
        """The venue is asked for a place that was taken: its address pays."""
        now = self._clock.monotonic()
        client = self._clients.setdefault(place.client, _Client())
        client.spent.append((now, place.weight))
        client.used += place.weight
        self._charged.append((now, place.client))

    def finish(self, place: Place) -> None:
        """A place that was taken is done with."""
        self._running -= 1
        self._evict(place.client)

    def withdraw(self, place: Place) -> bool:
        """Nobody waits for this place any more; whether it still stood in the queue."""
        client = self._clients.get(place.client)
        if client is None or place not in client.waiting:
            return False
        client.waiting.remove(place)
        self._waiting -= 1
        self._evict(place.client)
        return True

    def same(self, what: Hashable) -> list[Place]:
        """Everybody who waits for this, now out of the queue: it is being fetched."""
        found = [place for client in self._clients.values() for place in client.waiting if place.what == what]
        for place in found:
            self.withdraw(place)
        return found

    def expire(self) -> list[tuple[Place, CryptodashError]]:
        """Those who have waited long enough, now out of the queue, and why they are sent away."""
        self._forget()
        now = self._clock.monotonic()
        gone: list[tuple[Place, CryptodashError]] = []
        for client in self._clients.values():
            # A queue is in the order of its ages.
            while client.waiting and (error := self._verdict(client, now - client.waiting[0].since)) is not None:
                gone.append((client.waiting.popleft(), error))
        self._waiting -= len(gone)
        for place, _ in gone:
            self._evict(place.client)
        return gone

    def next_event(self) -> float | None:
        """When ``take`` or ``expire`` is worth calling again; None: only after an ``enqueue`` or ``finish``."""
        self._forget()
        return min(
            (when for client in self._clients.values() if client.waiting for when in self._times(client)), default=None
        )

    def _times(self, client: _Client) -> Iterator[float]:
        """When something becomes of the first one waiting."""
        head = client.waiting[0]
        yield head.since + PATIENCE_S
        if not self._fits(client, head.weight):
            yield head.since + OVER_SHARE_S
            yield self._room_at(client, head.weight)

    def _verdict(self, client: _Client, age: float) -> CryptodashError | None:
        """Why the first of an address is sent away at this age; None: it waits on."""
        weight = client.waiting[0].weight
        if age >= OVER_SHARE_S and not self._fits(client, weight):
            return self._over_share(client, weight)
        if age >= PATIENCE_S:
            return UpstreamError("capacity", f"no turn to ask for candles came within {PATIENCE_S:.0f} s")
        return None

    def _over_share(self, client: _Client, weight: int) -> TryLater:
        wait = max(1, ceil(self._room_at(client, weight) - self._clock.monotonic()))
        return TryLater("rate_limited", "too many candles that are not known yet for one address", wait)

    def _share(self, weight: int) -> int:
        """What an address may use, where its requests cost so much."""
        return max(self._budget // SHARE, min(CHARTS * weight, self._budget * MOST_PERCENT // 100))

    def _fits(self, client: _Client, weight: int) -> bool:
        """Whether the address has room for so much; one request it may always make."""
        return not client.used or client.used + weight <= self._share(weight)

    def _room_at(self, client: _Client, weight: int) -> float:
        """When the address has room for so much."""
        excess = client.used + weight - self._share(weight)
        for when, spent in client.spent:
            if excess <= 0:
                break
            excess -= spent
            if excess <= 0:
                return when + self._per
        # More than a whole share: one at a time, once nothing counts.
        return client.spent[-1][0] + self._per if excess > 0 and client.spent else self._clock.monotonic()

    def _forget(self) -> None:
        """What is older than the window counts no more."""
        horizon = self._clock.monotonic() - self._per
        while self._charged and self._charged[0][0] <= horizon:
            _, name = self._charged.popleft()
            client = self._clients[name]
            client.used -= client.spent.popleft()[1]
            self._evict(name)

    def _evict(self, name: str) -> None:
        client = self._clients.get(name)
        if client is not None and not client.waiting and not client.spent:
            del self._clients[name]
