"""What clients of a simulated venue did, counted against the venue's published limits.

The ledger belongs to one host (one port). A client that stays within the limits leaves ``violations`` empty:
tests of an adapter assert that.
"""

from __future__ import annotations

from collections import deque

from attrs import define, field, frozen

_MAX_VIOLATIONS = 1_000


@frozen
class HostLimits:
    """What a host allows, each within a window of so many ms: ``messages`` of a client on one connection (None: no
    limit), or on all of its address together (``of_address``), ``connects`` (attempts to open a connection), ``weight``
    of REST requests (their number, where the venue gives them no weights). ``streams`` is per connection at any time.
    """

    messages: int | None
    streams: int
    connects: int
    weight: int
    weight_window: int
    message_window: int = 1_000
    connect_window: int = 300_000
    of_address: bool = False


@define
class SlidingWindow:
    """How much happened in the last ``span`` ms."""

    span: int
    _events: deque[tuple[int, int]] = field(factory=deque)
    total: int = 0

    def add(self, now: int, amount: int = 1) -> int:
        """Count and return the total of the window that ends at ``now`` (ms)."""
        events = self._events
        events.append((now, amount))
        self.total += amount
        while events[0][0] <= now - self.span:
            self.total -= events.popleft()[1]
        return self.total


@define(eq=False)
class Ledger:
    """Counts of one host: everything since the start, and the windows the limits are about. Times are those of the
    venue's clock, which is off by ``step_ms``: the windows do not step with it."""

    name: str
    limits: HostLimits
    violations: list[str] = field(factory=list)
    connections: int = 0
    messages: int = 0
    subscriptions: int = 0
    requests: int = 0
    weight: int = 0
    most_streams: int = 0
    most_messages_per_second: int = 0
    most_weight: int = 0
    most_connects: int = 0
    step_ms: int = 0
    _connects: SlidingWindow = field(init=False)
    _weights: SlidingWindow = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._connects = SlidingWindow(self.limits.connect_window)
        self._weights = SlidingWindow(self.limits.weight_window)

    def violate(self, what: str) -> None:
        if len(self.violations) < _MAX_VIOLATIONS:
            self.violations.append(f"{self.name}: {what}")

    def connected(self, now: int) -> bool:
        """Count a connection attempt; False when it is one too many."""
        self.connections += 1
        recent = self._connects.add(now - self.step_ms)
        self.most_connects = max(self.most_connects, recent)
        if recent > self.limits.connects:
            self.violate(f"{recent} connection attempts in {self.limits.connect_window // 1000} s")
            return False
        return True

    def message(self, window: SlidingWindow, now: int) -> bool:
        """Count a frame a client sent, pings and pongs included; False when it is one too many for its connection."""
        self.messages += 1
        recent = window.add(now - self.step_ms)
        self.most_messages_per_second = max(self.most_messages_per_second, recent)
        if self.limits.messages is not None and recent > self.limits.messages:
            place = "from one address" if self.limits.of_address else "on one connection"
            self.violate(f"{recent} messages in {self.limits.message_window // 1000} s {place}")
            return False
        return True

    def streams(self, count: int) -> bool:
        """Note how many streams a connection has now; False when too many."""
        self.subscriptions += 1
        self.most_streams = max(self.most_streams, count)
        if count > self.limits.streams:
            self.violate(f"{count} streams on one connection")
            return False
        return True

    def spend(self, weight: int, now: int) -> int:
        """Count a REST request and return the weight used in the window, this one included."""
        self.requests += 1
        self.weight += weight
        used = self._weights.add(now - self.step_ms, weight)
        self.most_weight = max(self.most_weight, used)
        return used


@define
class Ledgers:
    """The ledgers of all hosts of a simulator, by the host's name."""

    by_host: dict[str, Ledger] = field(factory=dict)

    def __getitem__(self, name: str) -> Ledger:
        return self.by_host[name]

    @property
    def violations(self) -> list[str]:
        """Every limit a client broke."""
        return [each for ledger in self.by_host.values() for each in ledger.violations]
