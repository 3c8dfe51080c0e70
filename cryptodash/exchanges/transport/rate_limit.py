"""How much of a venue's REST limit may be spent now: pure arithmetic, no I/O and no timers.

A request counts from the moment it starts until ``per`` seconds after it ended. The venue counts it somewhere in
between, so no window of ``per`` seconds, wherever the venue lays it, can hold more than ``weight``; a bucket that
refills would let nearly twice as much through.
"""

from __future__ import annotations

import enum
from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import Final

from attrs import define

from cryptodash.core.errors import UpstreamError
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.plan import Purpose

IN_FLIGHT = 4
QUEUE = 1000
RESERVE: Final = 5
"""One part in so many of the budget that requests of clients never use: catalogue and snapshots find it."""

PRIORITY = {
    Purpose.SNAPSHOT: 0,
    Purpose.CANDLES: 1,
    Purpose.CATALOGUE: 2,
    Purpose.SEED: 3,
    Purpose.POLL: 4,
    Purpose.PROBE: 5,
    Purpose.AUDIT: 6,
}
"""Books without a snapshot show nothing, somebody waits for candles; a catalogue is rare,
so the polls behind it never wait for long."""


class _Stage(enum.Enum):
    QUEUED = 1
    RUNNING = 2
    OVER = 3


@define(eq=False)
class Ticket:
    """One request's place in the queue, then its share of the budget. ``for_client``: a client has asked for what it
    brings, the server itself does not need it."""

    weight: int
    for_client: bool = False
    stage: _Stage = _Stage.QUEUED


_Entry = tuple[int, int, Ticket]
"""Priority, serial number, ticket."""


class RateLimit:
    """``weight`` units per ``per`` seconds, at most ``in_flight`` requests at once and ``queue`` waiting.

    The owner calls ``enqueue``, sends what ``start`` returns, and gives every ticket back by ``finish`` (started) or
    ``withdraw`` (still waiting). Times are those of ``clock.monotonic()``.
    """

    def __init__(
        self, weight: int, per: float, clock: Clock, *, in_flight: int = IN_FLIGHT, queue: int = QUEUE
    ) -> None:
        self._weight = weight
        self._per = per
        self._clock = clock
        self._in_flight = in_flight
        self._queue_limit = queue
        self._queues: dict[bool, list[_Entry]] = {False: [], True: []}
        """Our own requests, and those for clients: what these may not use must not keep ours waiting."""
        self._queued = 0
        self._serial = count()
        self._running = 0
        self._running_weight = 0
        self._spent: deque[tuple[float, int]] = deque()
        self._spent_weight = 0
        self._blocked_until = 0.0
        self._blocked_cause = "banned"
        self._blocked_why = ""

    @property
    def used(self) -> int:
        """Weight that counts against the limit now."""
        self._forget()
        return self._spent_weight + self._running_weight

    @property
    def blocked_for(self) -> float:
        """Seconds until the venue may be asked again; 0 when it may now."""
        return max(0.0, self._blocked_until - self._clock.monotonic())

    def enqueue(self, weight: int, purpose: Purpose, *, for_client: bool = False) -> Ticket:
        """Ask for a start. Raises ``UpstreamError``: ``banned`` (or the cause of ``block``) while the venue has told us
        to wait, ``capacity`` when too many wait already."""
        if self.blocked_for:
            what = f"the venue wants no requests for another {self.blocked_for:.0f} s"
            raise UpstreamError(
                self._blocked_cause, f"{what} ({self._blocked_why})" if self._blocked_why else what, self.blocked_for
            )
        budget = self._usable(for_client)
        if weight > budget:
            raise UpstreamError("capacity", f"a request of weight {weight} does not fit into a budget of {budget}")
        if self._queued >= self._queue_limit:
            raise UpstreamError("capacity", f"{self._queued} requests wait already")
        ticket = Ticket(weight, for_client)
        heappush(self._queues[for_client], (PRIORITY[purpose], next(self._serial), ticket))
        self._queued += 1
        return ticket

    def start(self) -> list[Ticket]:
        """The tickets whose requests are to be sent now, most urgent first; a light one never overtakes a heavy, more
        urgent one, unless that one may not use what is left."""
        started: list[Ticket] = []
        while self._running < self._in_flight and not self.blocked_for and (head := self._next()) is not None:
            heappop(self._queues[head.for_client])
            self._queued -= 1
            head.stage = _Stage.RUNNING
            self._running += 1
            self._running_weight += head.weight
            started.append(head)
        return started

    def finish(self, ticket: Ticket) -> None:
        """The started request has ended, however it ended."""
        if ticket.stage is _Stage.RUNNING:
            ticket.stage = _Stage.OVER
            self._running -= 1
            self._running_weight -= ticket.weight
            self._spend(ticket.weight)

    def withdraw(self, ticket: Ticket) -> bool:
        """Nobody waits for this request any more; whether it was still queued. One that runs already must be finished
        instead."""
        is_queued = ticket.stage is _Stage.QUEUED
        if is_queued:
            ticket.stage = _Stage.OVER
            self._queued -= 1
            # Withdrawn tickets stay in the heap until they come up or are swept out here.
            queue = self._queues[ticket.for_client]
            if len(queue) > 2 * self._queue_limit:
                queue[:] = sorted(entry for entry in queue if entry[2].stage is _Stage.QUEUED)
        return is_queued

    def adopt(self, used: int) -> None:
        """The venue says that this much was used in its current window (others may share our address):
        count what we did not know of."""
        unknown = min(used, 10 * self._weight) - self.used
        if unknown > 0:
            self._spend(unknown)

    def block(self, seconds: float, cause: str = "banned", why: str = "") -> list[Ticket]:
        """Start nothing for so long; returns the tickets that were waiting, now withdrawn. Whoever asks meanwhile is
        told the cause, and why. A shorter block never ends a longer one."""
        until = self._clock.monotonic() + seconds
        if until > self._blocked_until:
            self._blocked_until, self._blocked_cause, self._blocked_why = until, cause, why
        everybody = sorted(entry for queue in self._queues.values() for entry in queue)
        waiting = [ticket for _, _, ticket in everybody if ticket.stage is _Stage.QUEUED]
        for ticket in waiting:
            ticket.stage = _Stage.OVER
        for queue in self._queues.values():
            queue.clear()
        self._queued = 0
        return waiting

    def next_start(self) -> float | None:
        """When ``start`` is worth calling again; None: only after a ``finish`` or ``enqueue``."""
        if self._running >= self._in_flight:
            return None
        times = [self._room_at(head) for _, _, head in self._heads()]
        return min((when for when in times if when is not None), default=None)

    def _room_at(self, ticket: Ticket) -> float | None:
        """When it fits, as far as what has ended decides; None: not before a running one has ended."""
        excess = self.used + ticket.weight - self._usable(ticket.for_client)
        for when, weight in self._spent:
            if excess <= 0:
                break
            excess -= weight
            if excess <= 0:
                return max(self._blocked_until, when + self._per)
        return max(self._blocked_until, self._clock.monotonic()) if excess <= 0 else None

    def _usable(self, for_client: bool) -> int:
        """How much of the budget a request may find used up after it."""
        return self._weight - self._weight // RESERVE if for_client else self._weight

    def _next(self) -> Ticket | None:
        """The most urgent of those that fit; one of ours that does not fit keeps back all that are less urgent."""
        for _, _, head in self._heads():
            if self.used + head.weight <= self._usable(head.for_client):
                return head
            if not head.for_client:
                return None
        return None

    def _heads(self) -> list[_Entry]:
        """The first of each queue, most urgent first."""
        for queue in self._queues.values():
            while queue and queue[0][2].stage is not _Stage.QUEUED:
                heappop(queue)
        return sorted(queue[0] for queue in self._queues.values() if queue)

    def _spend(self, weight: int) -> None:
        self._spent.append((self._clock.monotonic(), weight))
        self._spent_weight += weight

    def _forget(self) -> None:
        horizon = self._clock.monotonic() - self._per
        while self._spent and self._spent[0][0] <= horizon:
            self._spent_weight -= self._spent.popleft()[1]
