"""How a venue does: the engine's state, and one word for it, for people and for readiness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from attrs import frozen

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause, State, cause_of
from cryptodash.core.instruments import ANY, Catalogue
from cryptodash.core.interfaces import StreamReport
from cryptodash.core.steps import Steps
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.topic_subscription import TopicSubscription
from cryptodash.exchanges.subscriptions.wanted_topics import WantedTopics

Users = dict[Stream, list[TopicSubscription]]

AT_ONCE: Final = 16
"""Streams that are looked at in one step: a fifth of a millisecond."""

WORST_FIRST = (
    Cause.BLOCKED,
    Cause.BANNED,
    Cause.MAINTENANCE,
    Cause.DISCONNECTED,
    Cause.CAPACITY,
    Cause.LATE,
    Cause.SILENT,
    Cause.REJECTED,
    Cause.CHECKSUM,
    Cause.CROSSED,
    Cause.GAP,
    Cause.HALTED,
    Cause.DELISTED,
)

_ASIDE = frozenset({Part.INTEREST, Part.FUNDING})
"""Parts that prove nothing: open interest and funding intervals are polled so rarely that they still look good minutes
after the venue is gone."""


@frozen
class Health:
    """One venue at a glance.

    ``streams`` and ``good_streams`` (live or quiet) count upstream streams, ``connections`` those that are open;
    ``last_message`` is monotonic time; ``cause`` the worst present one, ``reason`` what a person should know of it.
    Where only open interest and funding intervals are good, no stream is.
    """

    idle: bool
    streams: int
    good_streams: int
    connections: int
    last_message: float | None
    cause: Cause | None
    maintenance: bool
    reason: str = ""


@frozen
class Survey:
    """What a look at every stream has found: how many there are of each state, how many prove that the venue works,
    and all causes of trouble."""

    states: Mapping[State, int]
    good: int
    causes: frozenset[Cause]

    @property
    def streams(self) -> int:
        """How many there are."""
        return sum(self.states.values())


def surveying(wanted: WantedTopics, streams: Sequence[Stream]) -> Steps[Survey]:
    """Steps whose outcome is a survey."""
    users = yield from _users(wanted)
    states: Counter[State] = Counter()
    causes: set[Cause] = set()
    good, proved = 0, False
    for at in range(0, len(streams), AT_ONCE):
        for stream in streams[at : at + AT_ONCE]:
            state, cause = _condition(stream, users.get(stream, ()))
            states[state] += 1
            if cause is not None:
                causes.add(cause)
            if state.is_good:
                good += 1
                proved = proved or not stream.parts or not stream.parts <= _ASIDE
        yield
    return Survey(states, good if proved else 0, frozenset(causes))


def health(found: Survey, wanted: WantedTopics, allocation: Allocation) -> Health:
    """The venue's health: of the streams what the survey found, of all else what is now."""
    causes = found.causes | {group.cause for group in allocation.groups}
    open_connections = list(allocation.open_connections())
    return Health(
        idle=not wanted.subscriptions,
        streams=found.streams,
        good_streams=found.good,
        connections=len(open_connections),
        last_message=max((each.last for each in open_connections), default=None),
        cause=next((cause for cause in WORST_FIRST if cause in causes), None),
        maintenance=Cause.MAINTENANCE in causes,
        reason=next((group.reason for group in allocation.groups if group.reason), ""),
    )


def stream_reports(
    exchange: str, streams: Sequence[Stream], wanted: WantedTopics, monotonic: Callable[[], float]
) -> Iterator[Sequence[StreamReport]]:
    """Every stream as ``/api/streams`` shows it, a few at a time."""
    finding = _users(wanted)
    while True:
        try:
            next(finding)
        except StopIteration as end:
            users: Users = end.value
            break
        yield ()
    for at in range(0, len(streams), AT_ONCE):
        now = monotonic()
        yield [_stream_report(exchange, each, users.get(each, ()), now) for each in streams[at : at + AT_ONCE]]


def _users(wanted: WantedTopics) -> Steps[Users]:
    """Steps whose outcome is who has each stream."""
    found: Users = {}
    for number, subscription in enumerate(tuple(wanted.subscriptions.values())):
        for stream in subscription.streams():
            found.setdefault(stream, []).append(subscription)
        if number % AT_ONCE == 0:
            yield
    return found


def _condition(stream: Stream, users: Sequence[TopicSubscription]) -> freshness.Condition:
    for user in users:
        condition = user.stream_condition(stream)
        if condition is not None:
            return condition
    return freshness.of_stream(stream, stream.last is not None)


def _stream_report(exchange: str, stream: Stream, users: Sequence[TopicSubscription], now: float) -> StreamReport:
    state, cause = _condition(stream, users)
    book = next((counts for user in users if (counts := user.book_counts(stream)) is not None), None)
    return StreamReport(
        exchange=exchange,
        name=stream.name,
        connection=stream.source.key if stream.source is not None else "",
        topics=tuple(each.topic for each in users),
        state=state,
        cause=cause,
        age=None if (confirmed := stream.confirmed_at()) is None else now - confirmed,
        rate=stream.pace.rate,
        sequence=None if book is None else book.sequence,
        gaps=0 if book is None else book.gaps,
        resyncs=0 if book is None else book.resyncs,
        delay_ms=stream.delay.delay,
        delay_p50_ms=stream.delay.percentile(0.5),
        delay_p99_ms=stream.delay.percentile(0.99),
        endpoint=stream.endpoint,
        degraded=stream.record.degraded,
    )


class CatalogueState(Protocol):
    """How the reading of one market's catalogue does."""

    error: UpstreamError | None
    good_at: float | None

    @property
    def is_good(self) -> bool:
        """Whether the venue's REST side answered lately and as it should."""


def status(health: Health, catalogues: Sequence[CatalogueState], trouble: str) -> tuple[str, Cause | None, str]:
    """(status, cause, reason for a person) of one venue. ``trouble`` is why its last connection could
    not be opened, empty if it could.

    With demand: ``online`` while a stream is good, ``degraded`` when more than half of them are not or a market's
    catalogue cannot be read, else ``offline``. Without: ``online`` while every market's last catalogue or probe
    succeeded, ``degraded`` while only some did, else ``offline``. ``maintenance`` takes the place of ``offline`` where
    the venue says that this is why.
    """
    error = next((each.error for each in catalogues if each.error is not None), None)
    if health.idle:
        return _idle(catalogues, error)
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


def _idle(catalogues: Sequence[CatalogueState], error: UpstreamError | None) -> tuple[str, Cause | None, str]:
    good = sum(1 for each in catalogues if each.is_good)
    if good == len(catalogues):
        return "online", None, ""
    cause = _cause(error)
    never = any(each.good_at is None for each in catalogues)
    reason = str(error) if error else "the catalogue is not read yet" if never else "the venue has not answered lately"
    if good:
        return "degraded", cause, reason
    return ("maintenance" if cause is Cause.MAINTENANCE else "offline"), cause, reason


def _joined(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _cause(error: UpstreamError | None) -> Cause | None:
    return None if error is None else cause_of(error.cause)


def rate_limits(venue: IVenue) -> dict[str, object]:
    """The REST budgets we keep to, by pool: weight per seconds."""
    return {pool: {"weight": limits.weight, "per_s": limits.per} for pool, limits in venue.rest_limits.items()}


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
