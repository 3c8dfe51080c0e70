"""A network in memory: names, TCP connections, silence and refusals, with time that moves only when
told. No socket, no waiting.

``MemoryNetwork`` is a Twisted reactor as far as clients and servers need one,
and a ``cryptodash.core.time.Clock`` at the same time::

    network = MemoryNetwork()
    network.listen(8080, a_protocol_factory)
    HostnameEndpoint(network, "example.test", 8080).connect(client_factory)
    network.settle()                 # everything that can happen without time passing
    network.pass_time(10.0)

Servers that bind a port themselves (``listenTCP``) get one here too. ``latency`` is how long bytes travel on
connections made from then on; they arrive with the first step of time that is late enough.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectionRefusedError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import (
    IConnector,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash.testing.memory_wire import End, Wire

ADDRESS = "192.0.2.1"
"""What every known name resolves to (a documentation address)."""


@implementer(IConnector)
class _Attempt:
    """A TCP connection that is being made."""

    def __init__(self, network: MemoryNetwork, host: str, port: int, factory: Any, timeout: float) -> None:
        self.host = host
        self.port = port
        self.factory = factory
        self._network = network
        self._timer = network.callLater(timeout, self._timed_out)

    def _timed_out(self) -> None:
        self.fail(TimeoutError())

    def fail(self, error: Exception) -> None:
        self.over()
        self.factory.clientConnectionFailed(self, Failure(error))

    def over(self) -> None:
        if self._timer.active():
            self._timer.cancel()
        if self in self._network.attempts:
            self._network.attempts.remove(self)

    def stopConnecting(self) -> None:
        self.fail(UserError())

    def connect(self) -> None:
        raise ConnectError()

    def disconnect(self) -> None:
        self.stopConnecting()

    def getDestination(self) -> Any:
        return IPv4Address("TCP", self.host, self.port)


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        pass


@implementer(IListeningPort)
class Port:
    """A port that a server has bound."""

    def __init__(self, network: MemoryNetwork, number: int, factory: Any) -> None:
        self._network = network
        self._number = number
        self._factory = factory

    def startListening(self) -> None:
        """Raises ``CannotListenError`` for a taken port."""
        if self._number in self._network.servers:
            raise CannotListenError("", self._number, OSError("address in use"))
        self._factory.doStart()
        self._network.listen(self._number, self._factory)

    def stopListening(self) -> None:
        servers = self._network.servers
        if self._number in servers and servers[self._number] is self._factory:
            del servers[self._number]
            self._factory.doStop()

    def getHost(self) -> Any:
        return IPv4Address("TCP", ADDRESS, self._number)


@implementer(IReactorTCP, IReactorTime, IReactorPluggableNameResolver, IHostnameResolver)
class MemoryNetwork(Clock):
    """Reactor and clock of a test.

    ``unknown_names`` do not resolve, ``hanging_names`` never answer, ``deaf_ports`` never complete a connection;
    a port that nobody listens on refuses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = self
        self.servers: dict[int, Any] = {}
        self.unknown_names: set[str] = set()
        self.hanging_names: set[str] = set()
        self.deaf_ports: set[int] = set()
        self.latency = 0.0
        self.attempts: list[_Attempt] = []
        self.names: list[str] = []
        """Every name that was looked up, in order."""
        self.wires: list[Wire] = []
        """Every connection that was made, in order."""
        self._open: list[Wire] = []

    def monotonic(self) -> float:
        return 1_000.0 + float(self.seconds())

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + round(self.seconds() * 1000)

    def listen(self, port: int, factory: Any) -> None:
        """Answer connections to this port."""
        self.servers[port] = factory

    def settle(self) -> None:
        """Let everything happen that needs no time."""
        for _ in range(100_000):
            if self.calls and self.calls[0].getTime() <= self.seconds():
                self.advance(0)
            if not any(self._attempt(each) for each in list(self.attempts)) and not any(
                wire.turn() for wire in self._open
            ):
                self._open = [wire for wire in self._open if not wire.is_over]
                return
        raise AssertionError("the network does not come to rest")

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in small steps, settling after each."""
        self.settle()
        end = self.seconds() + seconds
        while self.seconds() < end - 1e-9:
            self.advance(min(step, end - self.seconds()))
            self.settle()

    def _attempt(self, attempt: _Attempt) -> bool:
        if attempt.port in self.deaf_ports:
            return False
        server = self.servers.get(attempt.port)
        if server is None:
            attempt.fail(ConnectionRefusedError())
            return True
        attempt.over()
        there = IPv4Address("TCP", ADDRESS, attempt.port)
        here = IPv4Address("TCP", ADDRESS, 40_000 + len(self.wires))
        wire = Wire(attempt.host, attempt.port, self.seconds, self.latency)
        wire.client = End(wire, attempt.factory.buildProtocol(there), here, there)
        wire.server = End(wire, server.buildProtocol(here), there, here)
        wire.client.other, wire.server.other = wire.server, wire.client
        self.wires.append(wire)
        self._open.append(wire)
        wire.server.protocol.makeConnection(wire.server)
        wire.client.protocol.makeConnection(wire.client)
        return True

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:
        attempt = _Attempt(self, host, port, factory, timeout)
        self.attempts.append(attempt)
        factory.startedConnecting(attempt)
        return attempt

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        number = port or next(free for free in count(20_000) if free not in self.servers)
        bound = Port(self, number, factory)
        bound.startListening()
        return bound

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError("the network in memory resolves every name itself: there is nothing to install")

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        self.names.append(hostName)
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        if hostName not in self.hanging_names:
            if hostName not in self.unknown_names:
                resolutionReceiver.addressResolved(IPv4Address("TCP", ADDRESS, portNumber))
            resolutionReceiver.resolutionComplete()
        return resolution
