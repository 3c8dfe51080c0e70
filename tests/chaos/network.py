"""A network in memory that behaves like a bad one: each connection has its own delay, the kernel holds so much and no
more, a reader takes its time, segments end at any byte, and a connection may be cut, freeze or be refused.

A ``Link`` is one TCP connection. Each of its two ends is a transport as Twisted's own: ``write`` queues in the process,
from where the bytes go to the kernel, from there (after ``delay``) to the reader. What a server writes past the
transport (``getHandle().send``) goes to the same kernel.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash.testing.network import ADDRESS, _Attempt
from tests.chaos.event_time import EventTime

_PACE = 0.1
"""Seconds between two reads of a client that reads at a rate."""
KERNEL = 1 << 30
"""Bytes that the kernel takes on a connection that nobody limits."""


@define
class Conditions:
    """How a connection is at one moment. ``delay`` in seconds one way; ``jitter``: up to so much more, in order all the
    same; ``rate`` bytes a second that the client reads, None: all; ``split``: segments end at any byte."""

    delay: float = 0.02
    jitter: float = 0.0
    rate: float | None = None
    split: bool = False


class Socket:
    """The kernel's side of one end: what ``getHandle`` gives."""

    family = socket.AF_INET

    def __init__(self, end: End) -> None:
        self._end = end

    def send(self, data: bytes) -> int:
        """How many bytes the kernel takes; ``BlockingIOError`` where none."""
        taken = self._end.to_kernel(data)
        if data and not taken:
            raise BlockingIOError
        return taken

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_SNDBUF) and self._end.capacity < KERNEL:
            self._end.capacity = min(self._end.capacity, value)

    def getsockopt(self, level: int, option: int) -> int:
        return 0

    def fileno(self) -> int:
        raise OSError("no file")

    @property
    def unacknowledged(self) -> int:
        """Bytes that the peer has not read."""
        return self._end.held


@implementer(ITCPTransport)
class End(Connection):
    """The transport of one side."""

    TLS = False
    disconnecting = False
    connected = 1
    bufferSize = 64 * 1024

    def __init__(self, link: Link, here: IPv4Address, there: IPv4Address) -> None:
        # Not Connection's: there is no socket. It is one so that the server takes it for plain TCP.
        self.link = link
        self.protocol: Any = None
        self.other: End
        self.capacity = KERNEL
        self.held = 0
        """Bytes in the kernel and on the way: written, and not read by the other side."""
        self.delivered = 0
        self.conditions = link.conditions
        self.cut_after: int | None = None
        """The connection is lost when the other side has read so many bytes of this one."""
        self._handle = Socket(self)
        self._here, self._there = here, there
        self._unsent = bytearray()
        self._way: deque[tuple[float, bytes]] = deque()
        self._last_arrival = 0.0
        self._next_read = 0.0
        self._delivery: Any = None
        self._flushing = False
        self._is_full = False
        self.reads = True
        """Whether this side's process reads what comes."""
        self._is_reading_paused = False
        self.producer: Any = None
        self.streamingProducer = False
        self.producerPaused = False
        self._lost = False
        self.lost_at: float | None = None
        """When this side's process heard of the end."""

    # what the server asks a transport about its queues

    dataBuffer = b""
    offset = 0

    @property
    def _tempDataLen(self) -> int:
        return len(self._unsent)

    def getHandle(self) -> Any:
        return self._handle

    def getHost(self) -> Any:
        return self._here

    def getPeer(self) -> Any:
        return self._there

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: object) -> None:
        pass

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"<end of {self.link.port}>"

    __hash__ = object.__hash__

    # writing

    def write(self, data: bytes) -> None:
        if self._lost or self.disconnecting or not data:
            return
        self._unsent += data
        self._pause_if_full()
        self._flush_soon()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def _pause_if_full(self) -> None:
        if (
            self.producer is not None
            and self.streamingProducer
            and not self.producerPaused
            and len(self._unsent) > self.bufferSize
        ):
            self.producerPaused = True
            self.producer.pauseProducing()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.link.reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._lost:
            return
        if self._unsent:
            taken = self.to_kernel(bytes(self._unsent[: self.capacity]))
            del self._unsent[:taken]
        if self._unsent:
            return
        if self.producer is not None and (not self.streamingProducer or self.producerPaused):
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting and not self._unsent:
            self._finish()

    def to_kernel(self, data: bytes) -> int:
        """Send as far as there is room; how many bytes."""
        room = self.capacity - self.held
        if self._is_full and 3 * room < self.capacity:
            return 0  # as the kernel does: a writer is not woken for a few bytes
        taken = min(len(data), room)
        self._is_full = taken < len(data)
        if taken <= 0 or self._lost:
            return 0
        self.held += taken
        now, how = self.link.reactor.seconds(), self.conditions
        delay = how.delay + (how.jitter * self.link.rng.random() if how.jitter else 0.0)
        self._last_arrival = max(self._last_arrival, now + delay)
        data = data[:taken]
        if how.split and taken > 1:
            cut = self.link.rng.randrange(1, taken)
            self._way.append((self._last_arrival, data[:cut]))
            self._last_arrival += 0.004 * self.link.rng.random()
            data = data[cut:]
        self._way.append((self._last_arrival, data))
        self._deliver_soon()
        return taken

    # delivery to the other side

    def _deliver_soon(self) -> None:
        if self._delivery is None and self._way and not self.link.frozen and self.other.may_read:
            wait = max(0.0, max(self._way[0][0], self._next_read) - self.link.reactor.seconds())
            self._delivery = self.link.reactor.callLater(wait, self._deliver)

    @property
    def may_read(self) -> bool:
        return self.reads and not self._is_reading_paused

    def read_on(self) -> None:
        """This side reads again."""
        self.other._deliver_soon()

    def _deliver(self) -> None:
        self._delivery = None
        other = self.other
        if other._lost or self.link.frozen or not other.may_read or not self._way:
            return
        data = self._read_some() if self.conditions.rate is not None else self._way.popleft()[1]
        if self.cut_after is not None and self.delivered + len(data) >= self.cut_after:
            self._receive(data[: max(0, self.cut_after - self.delivered)])
            self.link.cut()
            return
        self._receive(data)
        if self._way:
            self._deliver_soon()

    def _read_some(self) -> bytes:
        """What a reader with a pace takes at once of all that has come."""
        way, now = self._way, self.link.reactor.seconds()
        least = int((self.conditions.rate or 0) * _PACE)
        taken = bytearray()
        while way and len(taken) < least and way[0][0] <= now:
            taken += way.popleft()[1]
        if len(taken) > least:
            way.appendleft((0.0, bytes(taken[least:])))
            del taken[least:]
        self._next_read = now + _PACE
        return bytes(taken)

    def _receive(self, data: bytes) -> None:
        self.delivered += len(data)
        self.held -= len(data)
        if data:
            if self.link.tap is not None:
                self.link.tap(self, data)
            self.other.protocol.dataReceived(data)
        if self._unsent:
            self._flush_soon()

    # reading

    def pauseProducing(self) -> None:
        self._is_reading_paused = True

    def resumeProducing(self) -> None:
        self._is_reading_paused = False
        self.other._deliver_soon()

    def stopProducing(self) -> None:
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer, self.streamingProducer, self.producerPaused = producer, streaming, False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        if self.disconnecting:
            self._flush_soon()

    # the end

    def loseConnection(self, _connDone: Any = None) -> None:
        if not self._lost and not self.disconnecting:
            self.disconnecting = True
            self._flush_soon()

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def abortConnection(self) -> None:
        if self._lost:
            return
        self.disconnecting = True
        self._unsent.clear()
        self.link.reactor.callLater(0, self._aborted)

    def _aborted(self) -> None:
        self._way.clear()
        self.lose(ConnectionAborted())
        self.link.reactor.callLater(self.conditions.delay, self._tell, ConnectionLost())

    def _finish(self) -> None:
        if self.producer is not None:
            return
        self.lose(ConnectionDone())
        self._tell_when_read()

    def _tell_when_read(self) -> None:
        """The end comes behind the last byte."""
        if self._way and not self.other._lost and not self.link.frozen:
            self.link.reactor.callLater(0.05, self._tell_when_read)
        else:
            self.link.reactor.callLater(self.conditions.delay, self._tell, ConnectionDone())

    def _tell(self, error: Exception) -> None:
        if not self.link.frozen:
            self.other.lose(error)

    def lose(self, error: Exception) -> None:
        """The connection is over for this side."""
        if self._lost:
            return
        self._lost = True
        self.connected = 0
        self.lost_at = self.link.reactor.seconds()
        self._unsent.clear()
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(error))


class Link:
    """One TCP connection: ``client`` and ``server``, as who dialled sees them. While ``frozen`` nothing crosses it, and
    neither side hears of it, as with a cable pulled. ``tap`` is shown the bytes as they are read."""

    def __init__(self, reactor: EventTime, port: int, conditions: Conditions, rng: Random) -> None:
        self.reactor, self.port, self.conditions, self.rng = reactor, port, conditions, rng
        self.frozen = False
        self.process: object = None
        """Which of several processes dialled."""
        self.tap: Callable[[End, bytes], None] | None = None
        self.client: End
        self.server: End

    @property
    def is_over(self) -> bool:
        return not (self.client.connected or self.server.connected)

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        """What was on the way goes on; who does not know yet of the other's end hears of it."""
        self.frozen = False
        for end in (self.client, self.server):
            if end.other._lost and not end._lost:
                self.reactor.callLater(end.conditions.delay, end.lose, ConnectionLost())
            else:
                end._deliver_soon()

    def cut(self) -> None:
        """Lost for both sides at once; what was on the way is gone."""
        for end in (self.client, self.server):
            end._way.clear()
            end.lose(ConnectionLost())


@define
class _Rule:
    """What is decided of a connection when it is made."""

    make: Callable[[int, Random], Conditions]
    made: Callable[[Link], None] = field(default=lambda link: None)


class BadNetwork(EventTime):
    """Reactor, clock and network. ``rule`` says how each new connection to a port is; ``origin_ms`` is the time of day
    at the start."""

    def __init__(self, seed: int, origin_ms: int) -> None:
        super().__init__()
        self._seed = seed
        self._origin_ms = origin_ms
        self._made = 0
        self.links: list[Link] = []
        self.rules: dict[int, _Rule] = {}

    def wall_ms(self) -> int:
        return self._origin_ms + round(self.rightNow * 1000)

    def rule(
        self,
        port: int,
        make: Callable[[int, Random], Conditions],
        made: Callable[[Link], None] = lambda link: None,
    ) -> None:
        self.rules[port] = _Rule(make, made)

    def open_links(self, ports: set[int] | frozenset[int]) -> list[Link]:
        """Connections to these ports that are not over."""
        self.links = [each for each in self.links if not each.is_over]
        return [each for each in self.links if each.port in ports]

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:
        attempt = _Attempt(self, host, port, factory, timeout)
        self.attempts.append(attempt)
        factory.startedConnecting(attempt)
        self.callLater(0, self._try, attempt)
        return attempt

    def _try(self, attempt: Any) -> None:
        if attempt not in self.attempts:
            return
        if attempt.port in self.deaf_ports:
            self.callLater(0.5, self._try, attempt)  # the next of the SYNs
            return
        server = self.servers.get(attempt.port)
        if server is None:
            attempt.fail(ConnectionRefusedError())
            return
        attempt.over()
        self._connect(attempt, server)

    def _connect(self, attempt: Any, server: Any) -> None:
        self._made += 1
        rng = Random(f"{self._seed}:link:{self._made}")
        rule = self.rules.get(attempt.port)
        if hasattr(attempt.factory, "conditions"):  # one of the crowd knows its own line
            rule = _Rule(lambda number, rng: attempt.factory.conditions(), attempt.factory.made)
        conditions = rule.make(self._made, rng) if rule is not None else Conditions(0.0)
        link = Link(self, attempt.port, conditions, rng)
        there = IPv4Address("TCP", ADDRESS, attempt.port)
        here = IPv4Address("TCP", "192.0.2.7", 40_000 + self._made)
        link.client, link.server = End(link, here, there), End(link, there, here)
        link.client.other, link.server.other = link.server, link.client
        link.client.protocol = attempt.factory.buildProtocol(there)
        link.server.protocol = server.buildProtocol(here)
        link.process = getattr(attempt, "process", None)
        self.links.append(link)
        if rule is not None:
            rule.made(link)
        link.server.protocol.makeConnection(link.server)
        link.client.protocol.makeConnection(link.client)
