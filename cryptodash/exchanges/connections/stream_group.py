"""A line: a set of streams that share a connection, whichever connection that is at the moment.

Usually there is one connection. While a second one takes over (before a venue's 24 h cut, or when it announces a
restart) there are two, and each stream changes over by itself. Streams of which nothing may be lost are held back on
the new connection for a moment, so that the old one has surely delivered everything before it; what both brought is
dropped by number or sequence where books and trades are put together.
"""

from __future__ import annotations

from attrs import define, field

from cryptodash.core.events import Cause
from cryptodash.exchanges.adapter.messages import Message
from cryptodash.exchanges.adapter.venue import Endpoint, Limits, Part
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.reconnect import Backoff
from cryptodash.exchanges.connections.stream import Phase, Stream

OVERLAP = 1.0
"""Seconds both connections are heard for a stream of which nothing may be lost."""
MOST_HELD = 2_000
TAKEOVER = 10.0
"""Seconds after the last ack on the new connection after which quiet streams change over too."""
LOSSLESS = frozenset({Part.TRADES, Part.BOOK})
NEVER = float("inf")
SICK_AFTER = 10.0


@define
class Held:
    """What the new connection brought of a stream while the old one was still heard."""

    since: float
    messages: list[tuple[Message, int]] = field(factory=list)
    """Each with its receive time."""


@define(eq=False)
class StreamGroup:
    """Streams of one endpoint and the connection(s) that carry them."""

    endpoint: Endpoint
    limits: Limits
    retry_at: float
    """When to connect, while there is no connection."""
    streams: dict[str, Stream] = field(factory=dict)
    wired: dict[bytes, Stream] = field(factory=dict)
    """The same by the bytes of their names."""
    active: Connection | None = None
    incoming: Connection | None = None
    backoff: Backoff = field(factory=Backoff)
    takeovers: Backoff = field(factory=Backoff)
    cause: Cause | None = None
    """Why it is down, or was before the connection that has not brought data yet."""
    reason: str = ""
    emptied_at: float | None = None
    rollover_at: float = NEVER
    replaced_at: float = -NEVER
    held: dict[str, Held] = field(factory=dict)

    def connections(self) -> list[Connection]:
        """Both, one or none."""
        return [each for each in (self.active, self.incoming) if each is not None]

    def carries(self, name: str) -> bool:
        """Whether the venue still has this stream here, although it is not wanted any more."""
        return name not in self.streams and any(each.has(name) for each in self.connections())

    def load(self) -> tuple[int, int]:
        """Streams and characters of their names, those being ended included."""
        names = {name for each in self.connections() for name in each.unwanted()}
        return len(self.streams) + len(names), sum(map(len, self.streams)) + sum(map(len, names))

    def add(self, stream: Stream) -> None:
        """The stream belongs here from now on."""
        self.streams[stream.name] = self.wired[stream.name.encode()] = stream
        stream.line = self
        stream.cause = self.cause
        stream.source = self.active
        self.emptied_at = None
        for each in self.connections():
            each.changed(stream.name)
            # still there from before: its first frames (a snapshot, perhaps) went to nobody
            each.resubscribe(stream.name)

    def remove(self, stream: Stream, now: float) -> None:
        """The stream is wanted no more."""
        del self.streams[stream.name], self.wired[stream.name.encode()]
        stream.line = stream.source = None
        self.held.pop(stream.name, None)
        for each in self.connections():
            each.changed(stream.name)
        if not self.streams:
            self.emptied_at = now

    def resubscribe(self, stream: Stream) -> None:
        """End and begin this one stream on the connection that counts for it."""
        if stream.source is not None:
            stream.source.resubscribe(stream.name)

    def lost(self, cause: Cause, reason: str, now: float, out: list[Output]) -> None:
        """No connection is left."""
        self.cause, self.reason = cause, reason
        self.held.clear()
        Stream.tell_all([each for each in self.streams.values() if each.lost(cause, now)], out)

    def proved(self, out: list[Output]) -> None:
        """Data came: whatever was wrong is over. A stale value keeps its cause until its own
        stream brings something."""
        if self.cause is not None:
            self.cause, self.reason = None, ""
            Stream.tell_all([each for each in self.streams.values() if each.last is None and each.blame(None)], out)

    def is_sick(self, now: float) -> bool:
        """Whether half of the streams that have a pace have been silent for a while, resubscribed or not."""
        paced = [
            each
            for each in self.streams.values()
            if each.is_paced and each.phase not in (Phase.WAITING, Phase.REJECTED)
        ]
        silent = sum(each.phase is Phase.SILENT and now - each.since > SICK_AFTER for each in paced)
        return silent > 0 and 2 * silent >= len(paced)

    # -- one connection takes over from another

    def overlapping(
        self, connection: Connection, stream: Stream, message: Message, now: float, received: int, out: list[Output]
    ) -> bool:
        """A message by a connection that does not count for this stream. False: it has been dropped as a duplicate."""
        if connection is not self.incoming:
            return False
        connection.delivered(stream.name)
        if stream.parts.isdisjoint(LOSSLESS):
            stream.source = connection
            stream.deliver(message, now, received, out)
            return True
        held = self.held.setdefault(stream.name, Held(now))
        held.messages.append((message, received))
        if now - held.since >= OVERLAP or len(held.messages) >= MOST_HELD:
            self._change_over(stream, now, out)
        return True

    def change_over(self, now: float, out: list[Output]) -> None:
        """Let the streams change over whose overlap is long enough."""
        for name, held in list(self.held.items()):
            if now - held.since >= OVERLAP and name in self.streams:
                self._change_over(self.streams[name], now, out)

    def has_taken_over(self, now: float) -> bool:
        """Whether the new connection can be the only one."""
        incoming = self.incoming
        if incoming is None or incoming.settled_at is None:
            return False
        return now - incoming.settled_at >= TAKEOVER or all(
            each.source is incoming for each in self.streams.values() if each.phase is not Phase.REJECTED
        )

    def promote(self, now: float, out: list[Output]) -> Connection | None:
        """The new connection is the only one from now on; returns the old one."""
        assert self.incoming is not None
        old, self.active = self.active, self.incoming
        for stream in list(self.streams.values()):
            if stream.line is self:  # what one stream brings can end another
                self._change_over(stream, now, out)
        self.held.clear()
        self.incoming = None
        return old

    def fall_back(self) -> None:
        """The new connection is gone: the old one counts for everything again."""
        self.incoming = None
        self.held.clear()
        for stream in self.streams.values():
            stream.source = self.active

    def _change_over(self, stream: Stream, now: float, out: list[Output]) -> None:
        stream.source = self.incoming
        held = self.held.pop(stream.name, None)
        for message, received in held.messages if held is not None else ():
            stream.deliver(message, now, received, out)
