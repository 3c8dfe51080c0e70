"""The production protocol classes as echoing peers: /ws is no echo server, and conformance suites want one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import evolve
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)

from cryptodash.api.ws import socket as api_socket
from cryptodash.api.ws.clients import Clients
from cryptodash.api.ws.factory import ClientFactory
from cryptodash.core.config import Config, Limits
from cryptodash.core.tally import Tally
from cryptodash.core.time import SystemClock
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.websocket import Handlers, VenueSocket
from cryptodash.exchanges.transport.websocket_protocol import VenueSocketFactory, VenueSocketProtocol
from cryptodash.hub.broadcaster import Broadcaster

MOST = 17 * 1024 * 1024
"""More than any case's message; the limits have tests of their own."""


class QuietSession:
    """In the place of a client's session: no greeting, nothing to say."""

    busy = False

    def __init__(self, *_: object) -> None:
        """All that a session is given is of no use here."""

    def opened(self) -> None:
        """No greeting: a suite expects its own echoes only."""

    def closed(self) -> None:
        """Nothing to give back."""


class EchoServer(api_socket.ClientProtocol):
    """What clients of /ws talk to, with all its ways out, but echoing."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload, isBinary)


class EchoServerFactory(ClientFactory):
    """The production factory and options; only the limits of size and pace are out of the way."""

    protocol = EchoServer


def server_factory(reactor: Any) -> EchoServerFactory:
    api_socket.Session = QuietSession  # type: ignore[assignment, misc]
    limits = evolve(Limits(), max_message_bytes=MOST, max_fragments=MOST, ops_burst=2**40, client_buffer_bytes=4 * MOST)
    config, tally, clock = evolve(Config(), limits=limits), Tally(), SystemClock()
    hub = Broadcaster(config, clock, reactor, tally)
    return EchoServerFactory(Clients(hub, hub, hub, config, "simulated", "0", reactor, clock, tally, Random(1)))


class EchoFeedProtocol(VenueSocketProtocol):
    """What talks to a venue, with its fast way in, but echoing."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload, isBinary)

    def onTexts(self, payloads: Any) -> None:
        for payload in payloads:
            self.onMessage(payload, False)


def feed_client(url: str, reactor: Any, closed: Callable[[], None]) -> None:
    """Connect to ``url`` as a venue's feed would, and echo until the server ends it."""
    VenueSocketFactory.protocol = EchoFeedProtocol
    handlers = Handlers(
        opened=lambda: None,
        frames=lambda frames: None,
        heard=lambda: None,
        may_send=lambda: None,
        closed=lambda how: closed(),
    )
    VenueSocket(url, Dialer(reactor), reactor, handlers).open()


class StockServer(WebSocketServerProtocol):
    """Autobahn as it is, to compare with."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


def stock_server_factory(reactor: Any) -> WebSocketServerFactory:
    factory = WebSocketServerFactory(reactor=reactor)
    factory.protocol = StockServer
    factory.setProtocolOptions(failByDrop=False)
    return factory


class StockClient(WebSocketClientProtocol):
    """Autobahn as it is, to compare with."""

    told: Callable[[], None]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.told()


def stock_client(url: str, reactor: Any, closed: Callable[[], None]) -> None:
    factory = WebSocketClientFactory(url, reactor=reactor)
    factory.setProtocolOptions(failByDrop=False)
    factory.protocol = type("Told", (StockClient,), {"told": staticmethod(closed)})
    reactor.connectTCP(factory.host, factory.port, factory)
