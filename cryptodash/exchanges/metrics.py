"""How a venue does: its status from the data it sends, and the counts of its connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause, State
from cryptodash.core.instruments import ANY, Catalogue
from cryptodash.core.interfaces import ExchangeReport, StreamReport
from cryptodash.core.tally import Gauge, Labels, Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.catalogue import CatalogueReader
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.engine import Engine, Health
from cryptodash.exchanges.transport.rest import RestClient

CONNECT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_OUR_REASONS = {
    "idle": "idle",
    "stale": "idle",
    "timeout": "ping_timeout",
    "poison": "poison",
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


def status(health: Health, listings: Sequence[CatalogueReader], trouble: str) -> tuple[str, Cause | None, str]:
    """(status, cause, reason for a person) of one venue. ``trouble`` is why its last connection could
    not be opened, empty if it could.

    With demand: ``online`` while a stream is good, ``degraded`` when more than half of them are not or a market's
    catalogue cannot be read, else ``offline``. Without: ``online`` while every market's last catalogue or probe
    succeeded, ``degraded`` while only some did, else ``offline``. ``maintenance`` takes the place of ``offline`` where
    the venue says that this is why.
    """
    error = next((each.error for each in listings if each.error is not None), None)
    if health.idle:
        return _idle(listings, error)
    bad = health.streams - health.good_streams
    if not health.good_streams:
        cause = health.cause or _cause(error)
        reason = _joined(trouble, health.reason) or (str(error) if error else "no stream is live yet")
        return ("maintenance" if health.maintenance or cause is Cause.MAINTENANCE else "offline"), cause, reason
    if 2 * bad > health.streams:
        return (
            "degraded",
            health.cause,
            _joined(trouble, health.reason) or f"{bad} of {health.streams} streams are not live",
        )
    if error is not None:
        return "degraded", _cause(error), str(error)
    return "online", None, ""


def _idle(listings: Sequence[CatalogueReader], error: UpstreamError | None) -> tuple[str, Cause | None, str]:
    good = sum(1 for each in listings if each.is_good)
    if good == len(listings):
        return "online", None, ""
    cause = _cause(error)
    never = any(each.good_at is None for each in listings)
    reason = str(error) if error else "the catalogue is not read yet" if never else "the venue has not answered lately"
    if good:
        return "degraded", cause, reason
    return ("maintenance" if cause is Cause.MAINTENANCE else "offline"), cause, reason


def _joined(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _cause(error: UpstreamError | None) -> Cause | None:
    if error is None:
        return None
    try:
        return Cause(error.cause)
    except ValueError:
        return Cause.DISCONNECTED


def rate_limits(venue: IVenue) -> dict[str, object]:
    """The REST budgets we keep to, by pool: weight per seconds."""
    return {limits.pool: {"weight": limits.weight, "per_s": limits.per} for limits in venue.rest_limits.values()}


def unknown_topics(topics: Iterable[Topic], catalogue: Catalogue) -> tuple[str, ...]:
    """Those of the topics that name this venue and a symbol its catalogue, once read, does not have."""
    return tuple(
        topic.text
        for topic in topics
        if topic.exchange == catalogue.exchange
        and topic.symbol != ANY
        and catalogue.loaded(topic.market)
        and catalogue.get(topic.market, topic.symbol) is None
    )


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

    def watch(
        self,
        report: Callable[[], ExchangeReport],
        streams: Callable[[], Iterable[StreamReport]],
        connections: Callable[[], Mapping[str, int]],
        engine: Engine,
        rest: RestClient,
        clock: Clock,
    ) -> None:
        """Register the gauges, beside those of the other venues."""

        def up() -> float:
            return 1.0 if report().status in ("online", "degraded") else 0.0

        def banned_until() -> float:
            return clock.wall_ms() / 1000 + rest.banned_for if rest.banned_for else 0.0

        def age() -> Mapping[Labels, float]:
            seconds = report().last_message
            return {} if seconds is None else {(self._exchange,): seconds}

        self._gauge("up", "Whether the venue is online or degraded.", lambda: {(self._exchange,): up()}, "exchange")
        self._gauge("last_message_age_seconds", "Time since the last frame.", age, "exchange")
        self._gauge(
            "used_weight", "REST weight counted now.", lambda: {(self._exchange,): float(rest.used_weight)}, "exchange"
        )
        self._gauge(
            "banned_until_seconds",
            "Unix time until which no REST request is made.",
            lambda: {(self._exchange,): banned_until()},
            "exchange",
        )

        def states() -> Mapping[Labels, float]:
            return {(self._exchange, state): float(count) for state, count in connections().items()}

        self._gauge("connections", "VenueService connections.", states, "exchange", "state")

        def streams_by_state() -> Mapping[Labels, float]:
            counts = Counter(_STREAM_STATES[each.state] for each in streams())
            return {(self._exchange, state): float(counts[state]) for state in sorted(set(_STREAM_STATES.values()))}

        self._gauge("streams", "VenueService streams that somebody wants.", streams_by_state, "exchange", "state")
        self._gauge(
            "clock_skew_seconds",
            "The venue's clock minus ours, estimated.",
            lambda: {(self._exchange,): engine.skew_ms / 1000},
            "exchange",
        )
        waiting = "Time until the last connection that waits for another attempt makes it."
        self._gauge("reconnect_backoff_seconds", waiting, lambda: {(self._exchange,): engine.backoff}, "exchange")
        self._gauge(
            "book_pending_diffs",
            "Book frames that wait for a snapshot.",
            lambda: {(self._exchange,): engine.pending_diffs},
            "exchange",
        )

    def _gauge(self, name: str, help: str, read: Callable[[], Mapping[Labels, float]], *labels: str) -> None:
        """Venues share a metric: each adds its own series to what the ones before it show."""
        name = f"cryptodash_{name}" if name.startswith("book_") else f"cryptodash_upstream_{name}"
        before = self._tally.metrics.get(name)
        if isinstance(before, Gauge):
            others = before.read
            self._tally.gauge(name, help, lambda: {**others(), **read()}, *labels)
        else:
            self._tally.gauge(name, help, read, *labels)
