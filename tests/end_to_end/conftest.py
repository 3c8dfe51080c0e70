"""The one place where tests meet the real reactor: a whole server on loopback, and a client of its /ws and REST."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import pytest_twisted
import treq
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.web.client import HTTPConnectionPool

from cryptodash.core.config import Config, Layer, load
from cryptodash.core.time import SystemClock
from cryptodash.service import Server, StandIn, build
from cryptodash.simulator.server import Simulator

Message = dict[str, Any]


class Client(WebSocketClientProtocol):
    """A dashboard: keeps everything it got, in order; ``until`` waits for what is to come."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.texts: list[bytes] = []
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[tuple[int | None, str | None]] = Deferred()
        self._waiting: list[tuple[Callable[[Message], bool], Deferred[Message]]] = []

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert not isBinary
        self.texts.append(payload)
        message = json.loads(payload, parse_float=Decimal)
        self.messages.append(message)
        for entry in list(self._waiting):
            wanted, found = entry
            if wanted(message):
                self._waiting.remove(entry)
                found.callback(message)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.closed.called:
            self.closed.callback((code, reason))

    def say(self, message: object) -> None:
        """Send any value as JSON, or text and bytes as they are."""
        if isinstance(message, bytes | str):
            self.sendMessage(message if isinstance(message, bytes) else message.encode())
        else:
            self.sendMessage(json.dumps(message).encode())

    def subscribe(self, *channels: Mapping[str, Any], **fields: Any) -> None:
        self.say({"op": "subscribe", "channels": list(channels), **fields})

    def until(self, wanted: Callable[[Message], bool], seconds: float = 10.0) -> Deferred[Message]:
        """The first message from now on that is wanted; fails after the time."""
        found: Deferred[Message] = Deferred()
        entry = (wanted, found)
        self._waiting.append(entry)
        found.addTimeout(seconds, real_reactor)
        found.addErrback(lambda failure: (self._waiting.remove(entry) if entry in self._waiting else None, failure)[1])
        return found

    def until_type(self, kind: str, seconds: float = 10.0, **payload: Any) -> Deferred[Message]:
        """The first message from now on of this type whose payload has these members."""
        return self.until(
            lambda message: message["type"] == kind and all(message["payload"].get(name) == value for name, value in payload.items()), seconds
        )

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Payloads of all messages of a type so far."""
        return [message["payload"] for message in self.messages if message["type"] == kind]


class Running:
    """A started server with what a test wants of it."""

    def __init__(self, server: Server, simulator: Simulator | None) -> None:
        self.server = server
        self.simulator = simulator
        self.port: int = server.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.clients: list[Client] = []
        self._pool = HTTPConnectionPool(real_reactor, persistent=False)

    async def connect(self, path: str = "/ws", headers: Mapping[str, str] | None = None) -> Client:
        """A client that is open; its greeting is in ``messages`` or about to be."""
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{self.port}{path}", headers=dict(headers or {}), reactor=real_reactor)
        factory.protocol = Client
        client: Client = await TCP4ClientEndpoint(real_reactor, "127.0.0.1", self.port, timeout=5).connect(factory)
        self.clients.append(client)
        await client.opened.addTimeout(5, real_reactor)
        return client

    async def get(self, path: str, method: str = "GET", **options: Any) -> Any:
        """The response to a request; ``.status`` is its code, ``.body`` its bytes."""
        response = await treq.request(method, self.url + path, pool=self._pool, timeout=15, **options)
        response.body = await response.content()
        return response

    async def json(self, path: str) -> Any:
        """The JSON of a 200 answer, numbers exact."""
        response = await self.get(path)
        assert response.code == 200, (response.code, response.body)
        return json.loads(response.body, parse_float=Decimal)

    async def stop(self) -> None:
        for client in self.clients:
            client.dropConnection(abort=True)
        await maybeDeferred(self.server.stopService)


@pytest.fixture
def reactor() -> Any:
    """The real one."""
    return real_reactor


Start = Callable[..., Any]


@pytest_twisted.async_yield_fixture
async def start() -> AsyncIterator[Start]:
    """Start servers: ``running = await start(DEMO="true", ...)``; settings as in the environment. All are stopped after the test."""
    started: list[Running] = []

    async def begin(**settings: str) -> Running:
        config: Config = load([Layer("test", {"BIND_ADDR": "127.0.0.1:0", **settings})], ("binance", "bybit"))
        simulator, stand_in = None, None
        if config.demo:
            simulator = Simulator(real_reactor, SystemClock(), exchanges=config.exchanges, record=True)
            simulator.listen()
            stand_in = StandIn(simulator, simulator.hosts, "simulated")
        server = build(config, real_reactor, clock=SystemClock(), random=Random(7), stand_in=stand_in)
        server.privilegedStartService()
        server.startService()
        running = Running(server, simulator)
        started.append(running)
        if config.demo:
            await eventually(lambda: all(each.catalogue.loaded(market) for each in server.hub.upstreams.values() for market in each.markets))
        return running

    yield begin
    for running in started:
        await running.stop()


async def eventually(true: Callable[[], bool], seconds: float = 10.0, *, every: float = 0.02) -> None:
    """Wait until a condition holds; ``TimeoutError`` after the time."""
    deadline = real_reactor.seconds() + seconds
    while not true():
        if real_reactor.seconds() > deadline:
            raise TimeoutError(f"not true after {seconds} s")
        turn: Deferred[None] = Deferred()
        real_reactor.callLater(every, turn.callback, None)
        await turn


def channel(kind: str, exchange: str = "binance", symbol: object = "BTC-USDT", **fields: Any) -> dict[str, Any]:
    """A channel as a client writes it."""
    return {"channel_type": kind, "exchange": exchange, "symbol": symbol, **fields}


@pytest.fixture
def helpers() -> Sequence[Callable[..., Any]]:
    """``eventually`` and ``channel``, for tests (test modules cannot import each other)."""
    return (eventually, channel)
