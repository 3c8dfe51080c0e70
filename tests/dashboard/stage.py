"""The whole server on loopback, on simulated venues that outlive it, and a second /ws that says what a test wants.
The reactor is an argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import chain
from random import Random
from typing import Any, Final
from urllib.parse import urlencode

import treq
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.web.client import HTTPConnectionPool

from cryptodash.core.instruments import MarketType
from cryptodash.core.layers import Layer, load
from cryptodash.core.time import SystemClock
from cryptodash.service import Server, StandIn, build
from cryptodash.simulator.server import Simulator

SETTINGS: Mapping[str, str] = {
    "DEMO": "true",
    "STALE_AFTER_S": "2",
    "UPSTREAM_LINGER_S": "10",
    "CONTROL_PORT": "8123",  # nobody listens: it is for the page to show
}
"""The linger outlasts the time between two tests: a page opened and closed every second would make
the server dial the venues all the time."""


class Proxy(Factory):
    """In front of a stage, on a port of its own: what is asked for below ``/some/where/`` is asked
    of the stage below ``/``."""

    PATH: Final = b"/some/where/"

    def __init__(self, reactor: Any, stage: Stage) -> None:
        self._reactor = reactor
        self._stage = stage
        self._port = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self._port.getHost().port}{self.PATH.decode()}"

    def buildProtocol(self, address: Any) -> Protocol:
        return _Inward(self._reactor, self._stage.port)

    async def stop(self) -> None:
        await self._port.stopListening()


class _Inward(Protocol):
    """The browser's side. A browser sends each request in one piece and waits for its answer."""

    def __init__(self, reactor: Any, port: int) -> None:
        self._reactor = reactor
        self._port = port
        self._outward: Any = None
        self._waiting = b""

    def connectionMade(self) -> None:
        outward = _Outward()
        outward.inward = self
        TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port).connect(
            Factory.forProtocol(lambda: outward)
        ).addCallback(self._connected)

    def _connected(self, outward: Any) -> None:
        self._outward = outward
        outward.transport.write(self._waiting)

    def dataReceived(self, data: bytes) -> None:
        if data.startswith(b"GET "):
            data = data.replace(b"GET " + Proxy.PATH, b"GET /", 1)
        if self._outward is None:
            self._waiting += data
        else:
            self._outward.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self._outward is not None:
            self._outward.transport.loseConnection()


class _Outward(Protocol):
    """The server's side."""

    inward: Any

    def dataReceived(self, data: bytes) -> None:
        self.inward.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.inward.transport.loseConnection()


class Stage:
    """``start`` and ``stop`` the server as often as wanted: it keeps its port, the simulated venues go on."""

    def __init__(self, reactor: Any, **settings: str) -> None:
        self._reactor = reactor
        self._settings = {**SETTINGS, **settings}
        self._address = "127.0.0.1:0"
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self._connections: list[Any] = []
        self.clock = SystemClock()
        self.simulator = Simulator(reactor, self.clock, record=True)
        self.simulator.startService()
        self.server: Server | None = None

    @property
    def port(self) -> int:
        return int(self._address.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://{self._address}/"

    @property
    def running(self) -> Server:
        assert self.server is not None, "the server is stopped"
        return self.server

    @property
    def ready(self) -> bool:
        """Whether every catalogue has been read."""
        return all(
            each.catalogue.loaded(market) for each in self.running.hub.upstreams.values() for market in each.markets
        )

    def start(self) -> None:
        config = load([Layer("test", {"BIND_ADDR": self._address, **self._settings})], ("binance", "bybit"))
        # A service of its own in the simulator's place, so that it does not end with the server.
        stand_in = StandIn(Service(), self.simulator.base_urls, "simulated")
        self.server = build(config, self._reactor, clock=self.clock, random=Random(7), stand_in=stand_in)
        self.server.privilegedStartService()
        self._keep_connections(self.server)
        self.server.startService()
        self._address = f"127.0.0.1:{self.server.port}"

    def _keep_connections(self, server: Server) -> None:
        """A stopped server leaves idle HTTP connections to the end of its process.
        Here the process goes on, and they would still be answered."""
        site = server._web._site
        build_protocol = site.buildProtocol

        def building(address: Any) -> Any:
            protocol = build_protocol(address)
            connect = protocol.makeConnection

            def connecting(transport: Any) -> None:
                self._connections.append(transport)
                connect(transport)

            protocol.makeConnection = connecting
            return protocol

        site.buildProtocol = building

    async def stop(self) -> None:
        """As SIGTERM does it: a goodbye to everybody, then the port is closed, and nothing is left
        of the process's connections."""
        server, self.server = self.server, None
        if server is not None:
            await maybeDeferred(server.stopService)
            for transport in self._connections:
                transport.abortConnection()
            self._connections.clear()

    async def crash(self) -> None:
        """Every connection is cut without a word, and the port is closed."""
        self.cut()
        await self.stop()

    def cut(self) -> None:
        """Every WebSocket is cut without a word."""
        for protocol in list(self.running.clients.sessions):
            protocol.dropConnection(abort=True)

    async def end(self) -> None:
        await self.stop()
        await self.simulator.stopService()

    async def json(self, path: str, **query: object) -> Any:
        """The JSON of a 200 answer, numbers as decimals."""
        response = await treq.get(f"{self.url}{path}?{urlencode(query)}", pool=self._pool, timeout=15)
        body = await response.content()
        assert response.code == 200, (path, response.code, body)
        return json.loads(body, parse_float=Decimal)

    def fault(self, exchange: str, name: str, symbol: str | None = None, seconds: float = 60.0) -> None:
        """Begin a fault of a simulated venue; ``calm`` ends all of them."""
        self.simulator.faults.start(exchange, name, symbol, seconds)

    def calm(self) -> None:
        self.simulator.faults.stop()

    def truth(self, exchange: str, symbol: str, market: MarketType = MarketType.SPOT) -> Any:
        """What is true of an instrument now: ``last``, ``quote``, ``open``, ``high``, ``low``,
        ``volume`` as the venue's text."""
        return self.simulator.truth.ticker(exchange, market, symbol)

    @property
    def wanted(self) -> dict[str, int]:
        """Topics that clients hold, by their text."""
        hub = self.running.hub
        reports = [report for upstream in hub.upstreams.values() for report in chain.from_iterable(upstream.streams())]
        held = {str(topic): hub.clients_of(topic) for report in reports for topic in report.topics}
        return {name: count for name, count in held.items() if count}
