"""The metrics of one venue: counts of its connections, and gauges that are read when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from cryptodash.core.events import State
from cryptodash.core.interfaces import ExchangeReport
from cryptodash.core.tally import Gauge, Labels, Tally
from cryptodash.core.time import Clock
from cryptodash.exchanges.connections.commands import Closed

CONNECT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_OUR_REASONS = {
    "idle": "idle",
    "stale": "idle",
    "timeout": "ping_timeout",
    "poison": "poison",
    "gap": "gap",
    "requests": "limit",
    "rollover": "rollover",
    "empty": "shutdown",
    "unwanted": "shutdown",
    "shutdown": "shutdown",
}
"""What the engine closes a connection for, in the metric's closed set."""

_STREAM_STATES = {
    State.CONNECTING: "pending",
    State.LIVE: "subscribed",
    State.QUIET: "subscribed",
    State.STALE: "stale",
    State.RESYNCING: "stale",
    State.CLOSED: "rejected",
}


@frozen(kw_only=True)
class Gauges:
    """Where the numbers come from that are read when somebody asks for the metrics."""

    report: Callable[[], ExchangeReport]
    states: Callable[[], Mapping[State, int]]
    """How many streams are in each state."""
    connections: Callable[[], Mapping[str, int]]
    """By state."""
    skew_ms: Callable[[], int]
    backoff: Callable[[], float]
    pending_diffs: Callable[[], int]
    used_weight: Callable[[], int]
    banned_for: Callable[[], float]


class Meters:
    """The metrics of one venue's connections."""

    def __init__(self, tally: Tally, exchange: str) -> None:
        self._tally = tally
        self._exchange = exchange
        self._connects = tally.counter(
            "cryptodash_upstream_connects_total", "Attempts to open an upstream connection.", "exchange", "result"
        )
        self._disconnects = tally.counter(
            "cryptodash_upstream_disconnects_total", "VenueService connections that ended.", "exchange", "reason"
        )
        name = "cryptodash_upstream_connect_duration_seconds"
        self._durations = tally.histogram(name, "Time to open an upstream connection.", CONNECT_SECONDS, "exchange").at(
            exchange
        )

    def opened(self, seconds: float) -> None:
        """A connection was opened, this long after the attempt began."""
        self._connects.add(self._exchange, "ok")
        self._durations.observe(seconds)

    def refused(self, how: Closed) -> None:
        """A connection could not be opened."""
        result = how.kind
        if how.kind == "http":
            result = "http_5xx" if how.status is not None and how.status >= 500 else "http_4xx"
        self._connects.add(self._exchange, result)

    def closed(self, how: Closed, why: str) -> None:
        """An open connection ended; ``why`` is what the engine asked for, if it did."""
        if why in _OUR_REASONS:
            reason = _OUR_REASONS[why]
        elif how.kind == "local":
            reason = "protocol"
        else:
            reason = "remote_close"
        self._disconnects.add(self._exchange, reason)

    def watch(self, gauges: Gauges, clock: Clock) -> None:
        """Register the gauges, beside those of the other venues."""

        def states() -> Mapping[Labels, float]:
            return {(self._exchange, state): float(count) for state, count in gauges.connections().items()}

        def streams_by_state() -> Mapping[Labels, float]:
            counts = dict.fromkeys(sorted(set(_STREAM_STATES.values())), 0.0)
            for state, count in gauges.states().items():
                counts[_STREAM_STATES[state]] += count
            return {(self._exchange, word): count for word, count in counts.items()}

        def age() -> Mapping[Labels, float]:
            seconds = gauges.report().last_message
            return {} if seconds is None else {(self._exchange,): seconds}

        def up() -> float:
            return 1.0 if gauges.report().status in ("online", "degraded") else 0.0

        def banned_until() -> float:
            seconds = gauges.banned_for()
            return clock.wall_ms() / 1000 + seconds if seconds else 0.0

        waiting = "Time until the last connection that waits for another attempt makes it."
        self._number("up", "Whether the venue is online or degraded.", up)
        self._gauge("last_message_age_seconds", "Time since the last frame.", age, "exchange")
        self._number("used_weight", "REST weight counted now.", gauges.used_weight)
        self._number("banned_until_seconds", "Unix time until which no REST request is made.", banned_until)
        self._gauge("connections", "Upstream connections.", states, "exchange", "state")
        self._gauge("streams", "Upstream streams that somebody wants.", streams_by_state, "exchange", "state")
        self._number("clock_skew_seconds", "The venue's clock minus ours, estimated.", lambda: gauges.skew_ms() / 1000)
        self._number("reconnect_backoff_seconds", waiting, gauges.backoff)
        self._number("book_pending_diffs", "Book frames that wait for a snapshot.", gauges.pending_diffs)

    def _number(self, name: str, help: str, read: Callable[[], float]) -> None:
        """A gauge of one number per venue."""
        self._gauge(name, help, lambda: {(self._exchange,): float(read())}, "exchange")

    def _gauge(self, name: str, help: str, read: Callable[[], Mapping[Labels, float]], *labels: str) -> None:
        """Venues share a metric: each adds its own series to what the ones before it show."""
        name = f"cryptodash_{name}" if name.startswith("book_") else f"cryptodash_upstream_{name}"
        before = self._tally.metrics.get(name)
        if isinstance(before, Gauge):
            others = before.read
            self._tally.gauge(name, help, lambda: {**others(), **read()}, *labels)
        else:
            self._tally.gauge(name, help, read, *labels)
