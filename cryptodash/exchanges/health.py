"""The engine's state for people and for readiness."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from cryptodash.core.events import Cause
from cryptodash.core.interfaces import StreamReport
from cryptodash.exchanges.adapter.venue import Part
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.book_subscription import BookStream, BookSubscription
from cryptodash.exchanges.subscriptions.streams import Streams
from cryptodash.exchanges.subscriptions.topic_subscription import TopicSubscription

WORST_FIRST = (
    Cause.BLOCKED,
    Cause.BANNED,
    Cause.MAINTENANCE,
    Cause.DISCONNECTED,
    Cause.CAPACITY,
    Cause.SILENT,
    Cause.REJECTED,
    Cause.CHECKSUM,
    Cause.CROSSED,
    Cause.GAP,
    Cause.HALTED,
    Cause.DELISTED,
)

_ASIDE = frozenset({Part.INTEREST})
"""Parts that prove nothing: open interest is polled so rarely that it still looks good a minute
after the venue is gone."""


@frozen
class Health:
    """One venue at a glance.

    ``streams`` and ``good_streams`` (live or quiet) count upstream streams, ``connections`` those that are open;
    ``last_message`` is monotonic time; ``cause`` the worst present one, ``reason`` what a person should know of it.
    Where only open interest is good, no stream is.
    """

    idle: bool
    streams: int
    good_streams: int
    connections: int
    last_message: float | None
    cause: Cause | None
    maintenance: bool
    reason: str = ""


def health(tracks: Iterable[TopicSubscription], roster: Streams, lines: Allocation) -> Health:
    """The venue's health now."""
    tracks = list(tracks)
    legs = legs_of(tracks)
    streams = roster.everything()
    conditions = [condition(stream, legs) for stream in streams]
    good = [stream for stream, (state, _) in zip(streams, conditions, strict=True) if state.is_good]
    causes = {cause for _, cause in conditions} | {line.cause for line in lines.all}
    open_connections = list(lines.open_connections())
    return Health(
        idle=not tracks,
        streams=len(conditions),
        good_streams=len(good) if any(stream.parts != _ASIDE for stream in good) else 0,
        connections=len(open_connections),
        last_message=max((each.last for each in open_connections), default=None),
        cause=next((cause for cause in WORST_FIRST if cause in causes), None),
        maintenance=Cause.MAINTENANCE in causes,
        reason=next((line.reason for line in lines.all if line.reason), ""),
    )


def legs_of(tracks: Iterable[TopicSubscription]) -> dict[Stream, BookStream]:
    """The books by stream."""
    return {
        leg.stream: leg
        for track in tracks
        if isinstance(track, BookSubscription)
        for leg in track.legs()
        if leg.stream is not None
    }


def condition(stream: Stream, legs: dict[Stream, BookStream]) -> freshness.Condition:
    """The stream's state; a book's stream is as good as the book."""
    leg = legs.get(stream)
    if leg is not None and leg is leg.track.leg:
        return leg.track.condition()
    return freshness.of_stream(stream, stream.last is not None)


def stream_report(
    exchange: str, stream: Stream, topics: Iterable[TopicSubscription], legs: dict[Stream, BookStream], now: float
) -> StreamReport:
    """One stream as ``/api/streams`` shows it."""
    state, cause = condition(stream, legs)
    leg = legs.get(stream)
    return StreamReport(
        exchange=exchange,
        name=stream.name,
        connection=stream.source.key if stream.source is not None else "",
        topics=tuple(each.topic for each in topics),
        state=state,
        cause=cause,
        age=None if stream.last is None else now - stream.last,
        rate=stream.rate,
        sequence=leg.book.sequence if leg is not None else None,
        gaps=leg.book.gaps if leg is not None else 0,
        resyncs=leg.book.resyncs if leg is not None else 0,
    )
