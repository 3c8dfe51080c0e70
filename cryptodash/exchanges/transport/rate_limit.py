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

from attrs import define

from cryptodash.core.errors import UpstreamError
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.plan import Purpose

IN_FLIGHT = 4
QUEUE = 1000

PRIORITY = {
    Purpose.SNAPSHOT: 0,
    Purpose.CANDLES: 1,
    Purpose.CATALOGUE: 2,
    Purpose.SEED: 3,
    Purpose.POLL: 4,
    Purpose.PROBE: 5,
}
"""Books without a snapshot show nothing, somebody waits for candles; a catalogue is rare,
so the polls behind it never wait for long."""


class _Stage(enum.Enum):
    QUEUED = 1
    RUNNING = 2
    OVER = 3


@define(eq=False)
class Ticket:
    """One request's place in the queue, then its share of the budget."""

    weight: int
    stage: _Stage = _Stage.QUEUED


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
        self._queue: list[tuple[int, int, Ticket]] = []
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

    def enqueue(self, weight: int, purpose: Purpose) -> Ticket:
        """Ask for a start. Raises ``UpstreamError``: ``banned`` (or the cause of ``block``) while the venue has told us
        to wait, ``capacity`` when too many wait already."""
        if self.blocked_for:
            what = f"the venue wants no requests for another {self.blocked_for:.0f} s"
            raise UpstreamError(
                self._blocked_cause, f"{what} ({self._blocked_why})" if self._blocked_why else what, self.blocked_for
            )
        if weight > self._weight:
            raise UpstreamError(
                "capacity", f"a request of weight {weight} does not fit into a budget of {self._weight}"
            )
        if self._queued >= self._queue_limit:
            raise UpstreamError("capacity", f"{self._queued} requests wait already")
        ticket = Ticket(weight)
        heappush(self._queue, (PRIORITY[purpose], next(self._serial), ticket))
        self._queued += 1
        return ticket

    def start(self) -> list[Ticket]:
        """The tickets whose requests are to be sent now, most urgent first;
        a light one never overtakes a heavy, more urgent one."""
        started: list[Ticket] = []
        while (
            (head := self._head())
            and self._running < self._in_flight
            and not self.blocked_for
            and self.used + head.weight <= self._weight
        ):
            heappop(self._queue)
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
            if len(self._queue) > 2 * self._queue_limit:
                self._queue = sorted(entry for entry in self._queue if entry[2].stage is _Stage.QUEUED)
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
        waiting = [ticket for _, _, ticket in sorted(self._queue) if ticket.stage is _Stage.QUEUED]
        for ticket in waiting:
            ticket.stage = _Stage.OVER
        self._queue.clear()
        self._queued = 0
        return waiting

    def next_start(self) -> float | None:
        """When ``start`` is worth calling again; None: only after a ``finish`` or ``enqueue``."""
        head = self._head()
        if head is None or self._running >= self._in_flight:
            return None
        excess = self.used + head.weight - self._weight
        for when, weight in self._spent:
            if excess <= 0:
                break
            excess -= weight
            if excess <= 0:
                return max(self._blocked_until, when + self._per)
        return max(self._blocked_until, self._clock.monotonic()) if excess <= 0 else None

    def _head(self) -> Ticket | None:
        while self._queue and self._queue[0][2].stage is not _Stage.QUEUED:
            heappop(self._queue)
        return self._queue[0][2] if self._queue else None

    def _spend(self, weight: int) -> None:
        self._spent.append((self._clock.monotonic(), weight))
        self._spent_weight += weight

    def _forget(self) -> None:
        horizon = self._clock.monotonic() - self._per
        while self._spent and self._spent[0][0] <= horizon:
            self._spent_weight -= self._spent.popleft()[1]
