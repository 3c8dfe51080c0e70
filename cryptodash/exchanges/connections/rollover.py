"""Make before break: a new connection takes over a group's streams before the old one is given up.

Each stream changes over by itself. Streams of which nothing may be lost are held back on the new connection for a
moment, so that the old one has surely delivered everything before it; what both brought is dropped by number or
sequence where books and trades are put together.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import define, field

from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.messages import Message
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.connection import NEVER, Connection
from cryptodash.exchanges.connections.reconnect import Backoff
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase

OVERLAP = 1.0
"""Seconds both connections are heard for a stream of which nothing may be lost."""
MOST_HELD = 2_000
TAKEOVER = 10.0
"""Seconds after the last ack on the new connection after which quiet streams change over too."""
LONGEST_TAKEOVER = 40.0
"""The same where something that was wanted meanwhile still waits for an answer: twice as long as an answer is waited
for, and asked for again."""
ROLL_SPACING = 5.0
"""Seconds between two rollovers of a venue."""
LOSSLESS = frozenset({Part.TRADES, Part.BOOK})


class Ending(enum.Enum):
    """What the end of one of a group's connections means."""

    FALL_BACK = "fall back"
    """The new one ended: the old one counts for everything again."""
    TAKE_OVER = "take over"
    """The old one ended, and the new one has everything that is wanted."""
    TAKE_OVER_EARLY = "take over early"
    """The old one ended, and the new one is open but has not been granted everything yet: something may be lost."""
    WAIT = "wait"
    """The old one ended, and the new one is still being opened: it is the one to wait for."""
    LOST = "lost"
    """There is no other."""


def ending(*, is_incoming: bool, incoming: Connection | None) -> Ending:
    """What it means that a connection of a group has ended; ``incoming`` is the group's new one, where there is one."""
    if is_incoming:
        return Ending.FALL_BACK
    if incoming is None:
        return Ending.LOST
    if incoming.opened_at is None:
        return Ending.WAIT
    return Ending.TAKE_OVER if incoming.settled_at is not None else Ending.TAKE_OVER_EARLY


@define
class Held:
    """What the new connection brought of a stream while the old one was still heard: messages with their receive
    times."""

    since: float
    messages: list[tuple[Message, int]] = field(factory=list)


@define(eq=False)
class Rollover:
    """One group's change from one connection to another. ``due_at``: when the next one is to begin."""

    streams: Mapping[str, Stream]
    incoming: Connection | None = None
    due_at: float = NEVER
    backoff: Backoff = field(factory=Backoff)
    _held: dict[str, Held] = field(factory=dict)

    def forget(self, name: str) -> None:
        """The stream is wanted no more."""
        self._held.pop(name, None)

    def overlapping(
        self, connection: Connection, stream: Stream, message: Message, now: float, received: int, out: list[Output]
    ) -> bool:
        """A message by a connection that does not count for this stream. False: it has been dropped as a duplicate."""
        if connection is not self.incoming:
            return False
        connection.subscriptions.delivered(stream.name)
        if stream.parts.isdisjoint(LOSSLESS):
            stream.carried_by(connection)
            stream.deliver(message, now, received, out)
            return True
        held = self._held.setdefault(stream.name, Held(now))
        held.messages.append((message, received))
        if now - held.since >= OVERLAP or len(held.messages) >= MOST_HELD:
            self._change_over(stream, now, out)
        return True

    def change_over(self, now: float, out: list[Output]) -> None:
        """Let the streams change over whose overlap is long enough."""
        for name, held in list(self._held.items()):
            if now - held.since >= OVERLAP and name in self.streams:
                self._change_over(self.streams[name], now, out)

    def is_complete(self, now: float) -> bool:
        """Whether the new connection can be the only one."""
        incoming = self.incoming
        if incoming is None or incoming.settled_at is None:
            return False
        waited = now - incoming.settled_at
        if waited >= (TAKEOVER if incoming.subscriptions.has_all else LONGEST_TAKEOVER):
            return True
        return all(each.source is incoming for each in self.streams.values() if each.phase is not Phase.REJECTED)

    def complete(self, now: float, out: list[Output]) -> Connection:
        """Every stream comes by the new connection from now on; returns it."""
        assert self.incoming is not None
        for stream in list(self.streams.values()):
            if self.streams.get(stream.name) is stream:  # what one stream brings can end another
                self._change_over(stream, now, out)
        self._held.clear()
        incoming, self.incoming = self.incoming, None
        return incoming

    def give_up(self, active: Connection | None) -> None:
        """The new connection is gone: the old one counts for everything again."""
        self.incoming = None
        self._held.clear()
        for stream in self.streams.values():
            stream.carried_by(active)

    def reset(self) -> None:
        """There is no connection at all."""
        self.incoming = None
        self.due_at = NEVER
        self._held.clear()

    def _change_over(self, stream: Stream, now: float, out: list[Output]) -> None:
        stream.carried_by(self.incoming)
        held = self._held.pop(stream.name, None)
        for message, received in held.messages if held is not None else ():
            stream.deliver(message, now, received, out)


class RolloverTurn:
    """Whose turn it is: one group of a venue at a time, and never right after another."""

    def __init__(self, exchange: str, tally: Tally) -> None:
        self._exchange = exchange
        self._group: object = None
        self._free_at = -NEVER
        self._results = tally.counter(
            "cryptodash_upstream_rollovers_total", "Connections replaced in time", "exchange", "result"
        )

    def is_free(self, now: float) -> bool:
        return self._group is None and now >= self._free_at

    def is_of(self, group: object) -> bool:
        return self._group is group

    def begin(self, group: object) -> None:
        self._group = group

    def leave(self, group: object) -> None:
        """The group is no more."""
        if self._group is group:
            self._group = None

    def ended(self, group: object, result: str, now: float) -> None:
        """A rollover of the group is over: ``clean``, ``gap`` or ``failed``."""
        self._results.add(self._exchange, result)
        if self._group is group:
            self._group = None
            self._free_at = now + ROLL_SPACING
