"""From the phases of streams to the state of a topic: the contract's "Freshness" in one place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from cryptodash.core.events import Cause, State
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase

SEVERITY: dict[State, int] = {
    State.LIVE: 0,
    State.QUIET: 1,
    State.CONNECTING: 2,
    State.RESYNCING: 3,
    State.STALE: 4,
    State.CLOSED: 5,
}

FIELDS: dict[Part, tuple[str, ...]] = {
    Part.QUOTE: ("bid", "ask"),
    Part.LAST: ("last",),
    Part.STATS: ("stats",),
    Part.MARK: ("mark_price", "index_price", "funding_rate"),
    Part.INTEREST: ("open_interest",),
}
"""What a stale part of a ticker is called in ``fields``: the wire's members, ``stats`` for all 24 h figures."""

Condition = tuple[State, Cause | None]


def of_stream(stream: Stream, valued: bool) -> Condition:
    """What one stream's phase means for a topic that has (``valued``) or never had a value.

    A connection lost, and not yet made good by a frame, leaves a value ``stale``; without a value, or where this stream
    never brought anything, the topic is ``connecting``.
    """
    phase = stream.phase
    if stream.delay.late and (phase is Phase.LIVE or phase is Phase.QUIET):
        return State.STALE, Cause.LATE
    if phase is Phase.LIVE:
        return State.LIVE, None
    if phase is Phase.QUIET:
        return State.QUIET, None
    if phase is Phase.SILENT:
        return State.STALE, Cause.SILENT
    if phase is Phase.REJECTED:
        return State.CLOSED, Cause.REJECTED
    if valued and stream.last is not None:
        return State.STALE, stream.cause or Cause.DISCONNECTED
    return State.CONNECTING, stream.cause


def of_part(streams: Iterable[Stream], valued: bool) -> Condition:
    """A part that several streams bring is as good as the best of them."""
    return min((of_stream(each, valued) for each in streams), key=_severity)


def of_topic(sources: Mapping[Part, tuple[Stream, ...]], required: Collection[Part], valued: bool) -> Condition:
    """A topic is as bad as the worst of its required parts (all of them, where the plan names none);
    without a value it cannot be good."""
    conditions = [of_part(streams, valued) for part, streams in sources.items() if part in required or not required]
    state, cause = max(conditions, key=_severity, default=(State.CONNECTING, None))
    if state.is_good and not valued:
        return State.CONNECTING, None
    return state, cause


def stale_parts(sources: Mapping[Part, tuple[Stream, ...]], known: Collection[Part]) -> list[Part]:
    """Which parts of a valued ticker are stale: those that have a figure (``known``) and no stream that is good, also
    where the venue refuses the stream that it came by."""
    return [part for part, streams in sources.items() if part in known and not of_part(streams, True)[0].is_good]


def _severity(condition: Condition) -> int:
    return SEVERITY[condition[0]]
