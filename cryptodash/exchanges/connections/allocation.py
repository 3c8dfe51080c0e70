"""Which connection carries which stream: opening, losing, replacing and closing connections within the venue's
limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

from cryptodash.core.events import Cause
from cryptodash.core.instruments import MarketType
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.messages import Message
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.connections.acknowledgements import Acknowledgements
from cryptodash.exchanges.connections.commands import Closed, Disconnect, Output, Send
from cryptodash.exchanges.connections.connection import NEVER, Connection
from cryptodash.exchanges.connections.openings import Openings
from cryptodash.exchanges.connections.placement import Placement
from cryptodash.exchanges.connections.reconnect import ban_of
from cryptodash.exchanges.connections.rollover import ROLL_SPACING, Ending, RolloverTurn, ending
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_group import StreamGroup

LINGER = 10.0
"""Seconds an empty connection is kept."""
OPENING = 30.0
"""Seconds after which an attempt that nobody answered for is given up."""
REPLACE_EVERY = 300.0
"""Seconds between two connections of a group that are given up although they bring something still."""
MUTE_AFTER = 8.0
"""Seconds without any frame after which what else is missing shows that a connection is dead: one that was cut off
without an end says nothing for minutes, where the venue sends its pings so seldom."""
LIFETIME_USED = 23.5 / 24.0
LIFETIME_JITTER = 0.5 / 24.0


class Allocation:
    """The stream groups of one venue, and the connections by key."""

    def __init__(self, venue: IVenue, hosts: Mapping[MarketType, Hosts], random: Random, tally: Tally) -> None:
        self.connections: dict[str, Connection] = {}
        self._placement = Placement(venue)
        self.groups = self._placement.groups
        self.touched = False
        """Set when ``advance`` may have something new to do; the engine's hot path looks at it after each frame."""
        self._carried_by: dict[str, StreamGroup] = {}
        self._venue = venue
        self._random = random
        self._openings = Openings(venue, hosts)
        self._turn = RolloverTurn(venue.id, tally)
        self.answers = Acknowledgements(venue.id, tally, self.remove)

    # -- streams

    def place(self, stream: Stream, now: float, out: list[Output]) -> None:
        """Give the stream a connection to come by: one with room, a new one, or a place in the queue."""
        self._placement.place(stream, now, out)

    def remove(self, stream: Stream, now: float) -> None:
        """The stream is wanted no more, or was rejected."""
        self.touched = True
        self._placement.remove(stream, now)

    def resubscribe(self, stream: Stream, now: float, out: list[Output], *, silent: bool = False) -> None:
        """End and begin one stream; ``silent``: only because it says nothing.

        Where the venue's limit of requests has no room for that, what is merely silent waits, and for what must be
        mended the connection is replaced: a new one has a new allowance.
        """
        self.touched = True
        connection = None if stream.source is None else self.connections.get(stream.source.key)
        if connection is None or connection.can_resubscribe(now):
            stream.resubscribe(now if silent else None)
            stream.tell(out)
        elif not silent:
            self.replace(connection, "requests", now, out)

    def overlapping(
        self, connection: Connection, stream: Stream, message: Message, now: float, received: int, out: list[Output]
    ) -> bool:
        """A message by a connection that does not count for this stream. False: it has been dropped as a duplicate."""
        group = self._placement.group_of(stream)
        return group is not None and group.rollover.overlapping(connection, stream, message, now, received, out)

    def add_timed(self, connection: Connection) -> None:
        """Let the connection, and those that follow it, carry the stream that tells the venue's time."""
        spec = connection.endpoint.timed
        if spec is not None:
            self.touched = True
            self._carried_by[connection.key].add_timed(self._venue.reader(spec))

    # -- what connections report

    def opened(self, key: str, now: float, out: list[Output]) -> None:
        """A connection is up."""
        connection = self.connections.get(key)
        if connection is None:
            out.append(Disconnect(key, "unwanted"))
            return
        group = self._carried_by[key]
        if group.opened(connection, now):
            group.rollover.due_at = self._end_of_life(group, now)

    def closed(self, key: str, how: Closed, now: float, out: list[Output]) -> None:
        """A connection ended, or could not be opened."""
        connection = self.connections.pop(key, None)
        if connection is not None:
            self._ended(connection, self._carried_by.pop(key), how, now, out)

    def may_send(self, key: str) -> None:
        """A connection may be written to again."""
        connection = self.connections.get(key)
        if connection is not None:
            connection.may_send()

    def proved(self, connection: Connection, out: list[Output]) -> None:
        """The first data of a connection."""
        connection.good = True
        self._carried_by[connection.key].proved(out)

    def restarting(self, connection: Connection, now: float) -> None:
        """The venue will close this connection soon."""
        self.touched = True
        group = self._carried_by[connection.key]
        if connection is group.active:
            group.rollover.due_at = min(group.rollover.due_at, now)

    # -- ends

    def replace(self, connection: Connection, why: str, now: float, out: list[Output], kind: str = "local") -> None:
        """Give the connection up without waiting for its close, and go on with another after a pause. One that has been
        given up already stays so: a frame may bring several reasons."""
        if connection.key not in self.connections:
            return
        self._drop(connection, why, out, abort=True)
        self._ended(connection, self._carried_by.pop(connection.key), Closed(kind, reason=why), now, out)

    def _drop(self, connection: Connection, why: str, out: list[Output], *, abort: bool = False) -> None:
        self.connections.pop(connection.key, None)
        out.append(Disconnect(connection.key, why, abort))

    def _ended(self, connection: Connection, group: StreamGroup, how: Closed, now: float, out: list[Output]) -> None:
        rollover = group.rollover
        what = ending(is_incoming=connection is rollover.incoming, incoming=rollover.incoming)
        if what is Ending.FALL_BACK:
            group.interrupted(connection, out)
            rollover.give_up(group.active)
            retry = rollover.backoff.ended(how, 0.0, False, ban=ban_of(self._venue, how))
            rollover.due_at = now + max(retry.delay(self._random), ROLL_SPACING)
            self._turn.ended(group, "failed", now)
            return
        lived = 0.0 if connection.opened_at is None else now - connection.opened_at
        alternative = self._venue.alternative.get(group.endpoint.market, "")
        retry = group.backoff.ended(how, lived, connection.good, alternative, ban_of(self._venue, how))
        group.active = None
        if what is Ending.TAKE_OVER or what is Ending.TAKE_OVER_EARLY:
            group.interrupted(connection, out)
            self._take_over(group, "clean" if what is Ending.TAKE_OVER else "gap", now, out)
            return
        group.active = rollover.incoming  # still being opened, or there is none
        rollover.reset()
        group.retry_at = now + retry.delay(self._random)
        if self._turn.is_of(group):
            self._turn.ended(group, "gap", now)
        group.lost(retry.cause, retry.reason, now, out)

    # -- what is due

    def advance(self, now: float, out: list[Output]) -> None:
        """Open connections, send frames, let new connections take over: whatever is due."""
        self.touched = False
        for group in list(self.groups):
            self._advance(group, now, out)

    def _advance(self, group: StreamGroup, now: float, out: list[Output]) -> None:
        if group.active is None:
            self._reopen(group, now, out)
        for connection in group.connections():
            self._tend(connection, now, out)
        rollover = group.rollover
        if rollover.incoming is not None:
            rollover.change_over(now, out)
            if rollover.is_complete(now):
                self._take_over(group, "clean", now, out)
        elif now >= rollover.due_at and group.streams and self._turn.is_free(now):
            self._roll(group, now, out)

    def _reopen(self, group: StreamGroup, now: float, out: list[Output]) -> None:
        if not group.streams:
            self.groups.remove(group)
        elif now >= group.retry_at:
            group.active = self._connect(group, now, out)

    def _tend(self, connection: Connection, now: float, out: list[Output]) -> None:
        """One connection's timeouts and its next frame."""
        if connection.is_mute(now, MUTE_AFTER) and connection.subscriptions.gives_up(now):
            self.replace(connection, "idle", now, out)  # a dead connection answers nothing: that is no refusal
            return
        self.answers.missing(connection, now, out)
        payload = connection.next_frame(now)
        if payload is not None:
            out.append(Send(connection.key, payload))

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second: streams without a place, and connections that are silent, sick or empty."""
        self._placement.place_waiting(now, out)
        for group in list(self.groups):
            for connection in group.connections():
                self._look_at(connection, now, out)
            if group.rollover.incoming is None and self._may_replace(group, now) and group.is_sick(now):
                self._replace_sick(group, now, out)
            if group.emptied_at is not None and now - group.emptied_at >= LINGER:
                self._close(group, out)

    def _may_replace(self, group: StreamGroup, now: float) -> bool:
        """Whether a sick connection may be given up already: seldom, unless it brings nothing at all."""
        is_mute = group.active is not None and group.active.is_mute(now, MUTE_AFTER)
        return is_mute or now - group.replaced_at > REPLACE_EVERY

    def _replace_sick(self, group: StreamGroup, now: float, out: list[Output]) -> None:
        if group.active is not None:
            group.replaced_at = now
            self.replace(group.active, "stale", now, out)

    def _look_at(self, connection: Connection, now: float, out: list[Output]) -> None:
        """One connection that may be silent, or held up by the venue's limit of requests."""
        opening = connection.opened_at is None
        if now - connection.last > (OPENING if opening else connection.limits.silent_after):
            self.replace(connection, "timeout" if opening else "idle", now, out)
        elif connection.is_held_up(now):
            waiting = [
                connection.routes[name] for name in connection.subscriptions.waiting if name in connection.routes
            ]
            Stream.tell_all([each for each in waiting if each.blame(Cause.CAPACITY)], out)

    def _close(self, group: StreamGroup, out: list[Output]) -> None:
        for connection in group.connections():
            self._carried_by.pop(connection.key)
            self._drop(connection, "empty", out)
        self._turn.leave(group)
        self.groups.remove(group)

    def _connect(self, group: StreamGroup, now: float, out: list[Output]) -> Connection | None:
        connection = self._openings.open(group, now, out)
        if connection is not None:
            self.connections[connection.key], self._carried_by[connection.key] = connection, group
        return connection

    # -- one connection takes over from another; one group at a time

    def _end_of_life(self, group: StreamGroup, opened: float) -> float:
        lifetime = group.limits.lifetime
        if lifetime is None:
            return NEVER
        return opened + lifetime * (LIFETIME_USED - self._random.uniform(0.0, LIFETIME_JITTER))

    def _roll(self, group: StreamGroup, now: float, out: list[Output]) -> None:
        if group.active is None or group.active.opened_at is None:
            return
        group.rollover.incoming = self._connect(group, now, out)
        if group.rollover.incoming is not None:
            self._turn.begin(group)

    def _take_over(self, group: StreamGroup, result: str, now: float, out: list[Output]) -> None:
        old, group.active = group.active, group.rollover.incoming
        active = group.rollover.complete(now, out)
        if old is not None:
            self._carried_by.pop(old.key, None)
            self._drop(old, "rollover", out)
        group.rollover.backoff.attempt = 0
        assert active.opened_at is not None
        group.rollover.due_at = self._end_of_life(group, active.opened_at)
        self._turn.ended(group, result, now)

    # -- when next

    def due(self) -> float:
        """Monotonic time at which ``advance`` has something to do (``beat`` apart)."""
        return min((self._due(group) for group in self.groups), default=NEVER)

    def _due(self, group: StreamGroup) -> float:
        if group.active is None:
            return max(group.retry_at, self._openings.free_at(group))
        return min(each.due() for each in group.connections())

    def backoff(self, now: float) -> float:
        """Seconds until the last of the groups that wait for another attempt makes it; 0 if none waits."""
        return max([0.0, *(self._due(each) - now for each in self.groups if each.active is None and each.streams)])

    def open_connections(self) -> Iterable[Connection]:
        """Those that are up."""
        return [each for each in self.connections.values() if each.opened_at is not None]
