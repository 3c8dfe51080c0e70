"""A set of streams that share a connection, whichever connection that is at the moment.

Usually there is one connection. While a second one takes over (before a venue's 24 h cut, or when it announces a
restart) there are two: see ``rollover.py``.
"""

from __future__ import annotations

from attrs import define, field

from cryptodash.core.events import Cause
from cryptodash.exchanges.adapter.messages import Reader, SendingTime
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.adapter.venue import Endpoint, Limits
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.connection import NEVER, Connection, Routes
from cryptodash.exchanges.connections.reconnect import Backoff
from cryptodash.exchanges.connections.rollover import Rollover
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase

SICK_AFTER = 10.0
UNREADABLE = 30.0
"""Seconds for which an unreadable frame shows that the connection does bring what its stream sends."""


@define(eq=False)
class StreamGroup:
    """Streams of one endpoint and the connection(s) that carry them."""

    endpoint: Endpoint
    limits: Limits
    routes: Routes
    retry_at: float
    """When to connect, while there is no connection."""
    active: Connection | None = None
    rollover: Rollover = field(init=False)
    backoff: Backoff = field(factory=Backoff)
    cause: Cause | None = None
    """Why it is down, or was before the connection that has not brought data yet."""
    reason: str = ""
    emptied_at: float | None = None
    replaced_at: float = -NEVER

    def __attrs_post_init__(self) -> None:
        self.rollover = Rollover(self.routes.streams)

    @property
    def streams(self) -> list[Stream]:
        return list(self.routes.streams.values())

    def connections(self) -> list[Connection]:
        """Both, one or none."""
        return [each for each in (self.active, self.rollover.incoming) if each is not None]

    # -- room

    def carries(self, name: str) -> bool:
        """Whether the venue still has this stream here, although it is not wanted any more."""
        return name not in self.routes.wanted and any(each.subscriptions.has(name) for each in self.connections())

    def has_room(self, spec: StreamSpec) -> bool:
        """Whether one more stream keeps the connection within the venue's limits, the streams being ended included."""
        ending = {each.name: each for connection in self.connections() for each in connection.subscriptions.unwanted()}
        counted = [*self.routes.wanted.values(), *ending.values()]
        if len(counted) >= self.limits.streams:
            return False
        if spec.exclusive and any(each.exclusive == spec.exclusive for each in counted):
            return False
        chars = sum(len(each.name) for each in counted) + len(spec.name)
        return self.limits.args_chars is None or chars <= self.limits.args_chars

    # -- streams

    def add(self, stream: Stream, reader: Reader, sending_time: SendingTime | None) -> bool:
        """The stream belongs here from now on; whether it has a new reason to wait."""
        self.routes.add(stream, reader)
        self.emptied_at = None
        for each in self.connections():
            each.changed(stream.name)
            each.resubscribe(stream.name)  # still there from before: its first frames (a snapshot, say) went to nobody
        return stream.placed(reader, sending_time, self.active, self.cause)

    def add_timed(self, reader: Reader) -> None:
        """Carry the endpoint's stream that tells the venue's time."""
        spec = self.endpoint.timed
        if spec is not None and spec.name not in self.routes.wanted:
            self.routes.add_timed(spec, reader)
            for each in self.connections():
                each.changed(spec.name)

    def remove(self, stream: Stream, now: float) -> None:
        """The stream is wanted no more."""
        self.routes.remove(stream.name)
        stream.unplaced()
        self.rollover.forget(stream.name)
        for each in self.connections():
            each.changed(stream.name)
        if not self.routes.streams:
            self.emptied_at = now

    # -- what happens to its connections

    def opened(self, connection: Connection, now: float) -> bool:
        """A connection is up; whether it is the one that counts."""
        connection.opened(now)
        if connection is not self.active:
            return False
        for stream in self.streams:
            stream.carried_by(connection)
        return True

    def lost(self, cause: Cause, reason: str, now: float, out: list[Output]) -> None:
        """No connection is left."""
        self.cause, self.reason = cause, reason
        Stream.tell_all([each for each in self.streams if each.lost(cause, now)], out)

    def interrupted(self, connection: Connection, out: list[Output]) -> None:
        """A connection ended while another was taking over: what it alone carried may have lost its last frames."""
        carried = [each for each in self.streams if each.source is connection]
        for stream in carried:
            stream.interruptions += 1
        Stream.tell_all(carried, out)

    def proved(self, out: list[Output]) -> None:
        """Data came: whatever was wrong is over. A stale value keeps its cause until its own stream brings
        something."""
        if self.cause is not None:
            self.cause, self.reason = None, ""
            Stream.tell_all([each for each in self.streams if each.last is None and each.blame(None)], out)

    def is_sick(self, now: float) -> bool:
        """Whether half of the streams that have a pace have been silent for a while, resubscribed or not. One whose
        frames come and cannot be read says nothing about the connection."""
        paced = [
            each
            for each in self.streams
            if each.pace.is_known
            and each.phase not in (Phase.WAITING, Phase.REJECTED)
            and now - each.unreadable_at > UNREADABLE
        ]
        silent = sum(each.phase is Phase.SILENT and now - each.since > SICK_AFTER for each in paced)
        return silent > 0 and 2 * silent >= len(paced)
