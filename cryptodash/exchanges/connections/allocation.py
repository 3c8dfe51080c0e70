"""All lines of a venue: opening, losing, replacing and closing connections within the venue's limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

from cryptodash.core.events import Cause
from cryptodash.core.instruments import MarketType
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.messages import Ack
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Output, Send
from cryptodash.exchanges.connections.connection import Connection, Settled
from cryptodash.exchanges.connections.room import Connects, choose
from cryptodash.exchanges.connections.stream import Signal, Stream
from cryptodash.exchanges.connections.stream_group import NEVER, StreamGroup

LINGER = 10.0
"""Seconds an empty connection is kept."""
OPENING = 30.0
"""Seconds after which an attempt that nobody answered for is given up."""
REPLACE_EVERY = 300.0
ROLL_SPACING = 5.0
LIFETIME_USED = 23.5 / 24.0
LIFETIME_JITTER = 0.5 / 24.0
RTT_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


class Allocation:
    """The lines of one venue, and the connections by key."""

    def __init__(self, venue: IVenue, hosts: Mapping[MarketType, Hosts], random: Random, tally: Tally) -> None:
        self.connections: dict[str, Connection] = {}
        self.all: list[StreamGroup] = []
        self.crowded: dict[Stream, None] = {}
        """Streams for which the venue allows no further connection."""
        self.touched = False
        """Set when ``advance`` may have something new to do; the engine's hot path looks at it after each frame."""
        self._line_of: dict[str, StreamGroup] = {}
        self._venue = venue
        self._hosts = hosts
        self._random = random
        self._serial = 0
        self._connects: dict[str, Connects] = {}
        self._rolling: StreamGroup | None = None
        self._roll_free_at = -NEVER
        self._acks = tally.counter(
            "cryptodash_upstream_subscribe_acks_total", "Answers to subscribe requests", "exchange", "result"
        )
        self._rollovers = tally.counter(
            "cryptodash_upstream_rollovers_total", "Connections replaced in time", "exchange", "result"
        )
        self._unknown = tally.counter(
            "cryptodash_upstream_unknown_messages_total",
            "Messages that answer nothing or mean nothing to us",
            "exchange",
        )
        self._rtt = tally.histogram(
            "cryptodash_upstream_ping_rtt_seconds", "Application heartbeat round trip", RTT_BOUNDS, "exchange"
        ).at(venue.id)

    # -- streams

    def place(self, stream: Stream, now: float, out: list[Output]) -> None:
        """Give the stream a line: one with room, a new one, or a place in the queue."""
        limits = self._venue.limits[stream.endpoint]
        lines = [each for each in self.all if each.endpoint.key == stream.endpoint]
        line = choose(lines, stream.name, limits)
        if line is None and len(lines) < limits.max_connections:
            line = StreamGroup(self._venue.endpoints[stream.endpoint], limits, now)
            self.all.append(line)
        if line is None:
            self.crowded[stream] = None
            if stream.blame(Cause.CAPACITY):
                stream.tell(out)
            return
        was = stream.cause
        stream.read = self._venue.reader(stream.endpoint, stream.name)
        line.add(stream)
        if stream.cause is not was:
            stream.tell(out)

    def remove(self, stream: Stream, now: float) -> None:
        """The stream is wanted no more, or was rejected."""
        self.touched = True
        self.crowded.pop(stream, None)
        if stream.line is not None:
            stream.line.remove(stream, now)

    def resubscribe(self, stream: Stream) -> None:
        """End and begin one stream."""
        self.touched = True
        if stream.line is not None:
            stream.line.resubscribe(stream)

    # -- what connections report

    def opened(self, key: str, now: float, out: list[Output]) -> None:
        """A connection is up."""
        connection = self.connections.get(key)
        if connection is None:
            out.append(Disconnect(key, "unwanted"))
            return
        line = self._line_of[key]
        connection.opened(now)
        if connection is line.active:
            for stream in line.streams.values():
                stream.source = connection
            line.rollover_at = self._end_of_life(line, now)

    def closed(self, key: str, how: Closed, now: float, out: list[Output]) -> None:
        """A connection ended, or could not be opened."""
        connection = self.connections.pop(key, None)
        if connection is not None:
            self._ended(connection, self._line_of.pop(key), how, now, out)

    def proved(self, connection: Connection, out: list[Output]) -> None:
        """The first data of a connection."""
        connection.good = True
        self._line_of[connection.key].proved(out)

    def acked(self, connection: Connection, ack: Ack, now: float, out: list[Output]) -> None:
        """The venue answered a request."""
        self.touched = True
        settled = connection.answered(ack.request_id, ack.ok, ack.reason)
        if settled is None:
            self._unknown.add(self._venue.id)
            return
        self._acks.add(self._venue.id, "ok" if ack.ok else "error")
        self._settle(connection, settled, now, out)

    def ponged(self, connection: Connection, now: float) -> None:
        """The venue answered a heartbeat."""
        if connection.pinged_at is not None:
            self._rtt.observe(now - connection.pinged_at)
            connection.pinged_at = None

    def restarting(self, connection: Connection, now: float) -> None:
        """The venue will close this connection soon."""
        self.touched = True
        line = self._line_of[connection.key]
        if connection is line.active:
            line.rollover_at = min(line.rollover_at, now)

    def _settle(self, connection: Connection, settled: Settled, now: float, out: list[Output]) -> None:
        for name in settled.subscribed:
            stream = connection.routes.get(name)
            if stream is not None:
                stream.signal(Signal.ACK, now, out)
        for name in settled.rejected:
            stream = connection.routes.get(name)
            if stream is not None:
                self.remove(stream, now)
                stream.signal(Signal.REFUSAL, now, out)

    # -- ends

    def replace(self, connection: Connection, why: str, now: float, out: list[Output]) -> None:
        """Give the connection up without waiting for its close, and go on with another after a pause."""
        self._drop(connection, why, out, abort=True)
        self._ended(connection, self._line_of.pop(connection.key), Closed("local", reason=why), now, out)

    def _drop(self, connection: Connection, why: str, out: list[Output], *, abort: bool = False) -> None:
        self.connections.pop(connection.key, None)
        out.append(Disconnect(connection.key, why, abort))

    def _ended(self, connection: Connection, line: StreamGroup, how: Closed, now: float, out: list[Output]) -> None:
        lived = 0.0 if connection.opened_at is None else now - connection.opened_at
        alternative = self._venue.alternative.get(line.endpoint.market, "")
        if connection is line.incoming:
            line.fall_back()
            retry = line.takeovers.ended(how, 0.0, False)
            line.rollover_at = now + max(retry.delay(self._random), ROLL_SPACING)
            self._rolled(line, "failed", now)
            return
        retry = line.backoff.ended(how, lived, connection.good, alternative)
        line.active = None
        if line.incoming is not None and line.incoming.opened_at is not None:
            self._take_over(line, "clean" if line.incoming.settled_at is not None else "gap", now, out)
            return
        line.active, line.incoming = line.incoming, None
        line.rollover_at = NEVER
        line.retry_at = now + retry.delay(self._random)
        if self._rolling is line:
            self._rolled(line, "gap", now)
        line.lost(retry.cause, retry.reason, now, out)

    # -- what is due

    def advance(self, now: float, out: list[Output]) -> None:
        """Open connections, send frames, let new connections take over: whatever is due."""
        self.touched = False
        for line in list(self.all):
            self._advance(line, now, out)

    def _place_again(self, stream: Stream, now: float, out: list[Output]) -> None:
        del self.crowded[stream]
        self.place(stream, now, out)

    def _advance(self, line: StreamGroup, now: float, out: list[Output]) -> None:
        if line.active is None:
            self._reopen(line, now, out)
        for connection in line.connections():
            self._tend(connection, now, out)
        if line.incoming is not None:
            line.change_over(now, out)
            if line.has_taken_over(now):
                self._take_over(line, "clean", now, out)
        elif now >= line.rollover_at and line.streams and self._rolling is None and now >= self._roll_free_at:
            self._roll(line, now, out)

    def _reopen(self, line: StreamGroup, now: float, out: list[Output]) -> None:
        if not line.streams:
            self.all.remove(line)
        elif now >= line.retry_at:
            line.active = self._connect(line, now, out)

    def _tend(self, connection: Connection, now: float, out: list[Output]) -> None:
        """One connection's timeouts and its next frame."""
        settled, late = connection.expired(now)
        if late:
            self._acks.add(self._venue.id, "timeout", by=late)
            self._settle(connection, settled, now, out)
        payload = connection.next_frame(now)
        if payload is not None:
            out.append(Send(connection.key, payload))

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second: streams without a place, and connections that are silent, sick or empty."""
        for stream in list(self.crowded):
            self._place_again(stream, now, out)
        for line in list(self.all):
            for connection in line.connections():
                opening = connection.opened_at is None
                if now - connection.last > (OPENING if opening else connection.limits.silent_after):
                    self.replace(connection, "timeout" if opening else "idle", now, out)
            if (
                line.active is not None
                and line.incoming is None
                and now - line.replaced_at > REPLACE_EVERY
                and line.is_sick(now)
            ):
                line.replaced_at = now
                self.replace(line.active, "stale", now, out)
            if line.emptied_at is not None and now - line.emptied_at >= LINGER:
                self._close(line, out)

    def _close(self, line: StreamGroup, out: list[Output]) -> None:
        for connection in line.connections():
            self._line_of.pop(connection.key)
            self._drop(connection, "empty", out)
        if self._rolling is line:
            self._rolling = None
        self.all.remove(line)

    def _connect(self, line: StreamGroup, now: float, out: list[Output]) -> Connection | None:
        base = self._hosts[line.endpoint.market].ws
        connects = self._connects.setdefault(base, Connects(line.limits.connects_per_5min))
        if connects.free_at() > now:
            return None
        connects.made(now)
        self._serial += 1
        key = f"{self._venue.id}-{line.endpoint.key}-{self._serial}"
        connection = self.connections[key] = Connection(
            key, line.endpoint, line.limits, self._venue, line.streams, line.wired, now
        )
        self._line_of[key] = line
        out.append(Connect(key, line.endpoint.key, base + line.endpoint.path))
        return connection

    # -- one connection takes over from another; one line at a time

    def _end_of_life(self, line: StreamGroup, opened: float) -> float:
        lifetime = line.limits.lifetime
        if lifetime is None:
            return NEVER
        return opened + lifetime * (LIFETIME_USED - self._random.uniform(0.0, LIFETIME_JITTER))

    def _roll(self, line: StreamGroup, now: float, out: list[Output]) -> None:
        if line.active is None or line.active.opened_at is None:
            return
        line.incoming = self._connect(line, now, out)
        if line.incoming is not None:
            self._rolling = line

    def _take_over(self, line: StreamGroup, result: str, now: float, out: list[Output]) -> None:
        old = line.promote(now, out)
        if old is not None:
            self._line_of.pop(old.key, None)
            self._drop(old, "rollover", out)
        line.takeovers.attempt = 0
        assert line.active is not None and line.active.opened_at is not None
        line.rollover_at = self._end_of_life(line, line.active.opened_at)
        self._rolled(line, result, now)

    def _rolled(self, line: StreamGroup, result: str, now: float) -> None:
        self._rollovers.add(self._venue.id, result)
        if self._rolling is line:
            self._rolling = None
            self._roll_free_at = now + ROLL_SPACING

    # -- when next

    def due(self) -> float:
        """Monotonic time at which ``advance`` has something to do (``beat`` apart)."""
        return min((self._line_due(line) for line in self.all), default=NEVER)

    def _line_due(self, line: StreamGroup) -> float:
        if line.active is None:
            connects = self._connects.get(self._hosts[line.endpoint.market].ws)
            return line.retry_at if connects is None else max(line.retry_at, connects.free_at())
        return min(each.due() for each in line.connections())

    def backoff(self, now: float) -> float:
        """Seconds until the last of the lines that wait for another attempt makes it; 0 if none waits."""
        return max([0.0, *(line.retry_at - now for line in self.all if line.active is None and line.streams)])

    def open_connections(self) -> Iterable[Connection]:
        """Those that are up."""
        return [each for each in self.connections.values() if each.opened_at is not None]
