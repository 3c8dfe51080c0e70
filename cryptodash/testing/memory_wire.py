"""One TCP connection in memory, and the transport that each side of it has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer


class Wire:
    """One TCP connection: two ends, ``client`` and ``server``. While ``frozen`` nothing crosses it,
    as with a cable pulled."""

    def __init__(self, host: str, port: int, time: Callable[[], float] = float, latency: float = 0.0) -> None:
        self.host = host
        self.port = port
        self.time = time
        self.latency = latency
        self.frozen = False
        self.client: End
        self.server: End

    @property
    def is_over(self) -> bool:
        """Whether both ends know that it has ended."""
        return not (self.client.connected or self.server.connected)

    def turn(self) -> bool:
        """Let one step happen; whether one did."""
        return any(end.turn() for end in (self.client, self.server))


@implementer(ITCPTransport)
class End:
    """The transport of one side."""

    disconnecting = False
    connected = 1

    def __init__(self, wire: Wire, protocol: Any, here: IPv4Address, there: IPv4Address) -> None:
        self.protocol = protocol
        self.other: End
        self.written = bytearray()
        """Everything this side ever wrote."""
        self._wire = wire
        self._here = here
        self._there = there
        self._outgoing: deque[tuple[float, bytes]] = deque()
        self._paused = False
        self._aborted = False
        self._ending: Exception | None = None
        self._lost = False

    def turn(self) -> bool:
        """Deliver what was written, then an end if there is one."""
        if self._lost:
            return False
        if self._aborted:
            return self._lose(ConnectionAborted(), ConnectionLost())
        if self._wire.frozen:
            return False
        if self._outgoing and not self.other._paused and self._outgoing[0][0] <= self._wire.time():
            self.other.receive(self._outgoing.popleft()[1])
            return True
        if self._ending is not None and not self._paused:
            return self._lose(self._ending, None)
        if self.disconnecting and not self._outgoing:
            return self._lose(ConnectionDone(), ConnectionDone())
        return False

    def receive(self, data: bytes) -> None:
        if not self._lost:
            self.protocol.dataReceived(data)

    def _lose(self, here: Exception, there: Exception | None) -> bool:
        self._lost = True
        self.connected = 0
        if there is not None and not self.other._lost:
            self.other._ending = there
        self.protocol.connectionLost(Failure(here))
        return True

    def write(self, data: bytes) -> None:
        if not self._lost and not self.disconnecting:
            self.written += data
            self._outgoing.append((self._wire.time() + self._wire.latency, bytes(data)))

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self._aborted = True
        self.disconnecting = True

    def loseWriteConnection(self) -> None:
        self.loseConnection()

    def getPeer(self) -> Any:
        return self._there

    def getHost(self) -> Any:
        return self._here

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: object) -> None:
        pass

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: object) -> None:
        pass

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        pass

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False

    def stopProducing(self) -> None:
        self.loseConnection()
