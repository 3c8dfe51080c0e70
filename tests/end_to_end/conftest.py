"""The one place where tests meet the real reactor: a whole server on loopback, a client of its /ws and REST,
and a peer that follows no rules."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from time import time
from typing import Any

import pytest
import pytest_twisted
import treq
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.application.service import Service
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from cryptodash.api.private_names import innermost
from cryptodash.core.config import Config
from cryptodash.core.events import Cause
from cryptodash.core.instruments import MarketType
from cryptodash.core.layers import Layer, load
from cryptodash.core.time import Clock, SystemClock
from cryptodash.service import Server, StandIn, build
from cryptodash.simulator.server import Simulator
from tests.proxies.front import Front

Message = dict[str, Any]

PATIENCE_S = 60.0
"""Seconds until a test gives up on what should have come: long enough for a machine that does much else."""
HANDSHAKE = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
HANDSHAKE += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


class ShiftedClock(SystemClock):
    """The machine's clocks, but another time of day: a minute ends when a test needs it."""

    def __init__(self, minute_ends_in: float) -> None:
        self._shift = round(60_000 - minute_ends_in * 1000 - time() * 1000 % 60_000)

    def wall_ms(self) -> int:
        return super().wall_ms() + self._shift


class Client(WebSocketClientProtocol):
    """A dashboard: keeps everything it got, in order, and when; ``until`` waits for what is to come."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.texts: list[bytes] = []
        self.received_at: list[int] = []
        """Wall clock in ms for each message."""
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[tuple[int | None, str | None]] = Deferred()
        self._waiting: list[tuple[Callable[[Message], bool], Deferred[Message]]] = []

    def onOpen(self) -> None:
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        assert not isBinary
        self.texts.append(payload)
        self.received_at.append(int(time() * 1000))
        message = json.loads(payload, parse_float=Decimal)
        self.messages.append(message)
        for entry in list(self._waiting):
            wanted, found = entry
            if wanted(message):
                self._waiting.remove(entry)
                found.callback(message)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.opened.called:
            self.opened.errback(ConnectionError(f"{code}: {reason}"))
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

    def unsubscribe(self, *channels: Mapping[str, Any], **fields: Any) -> None:
        self.say({"op": "unsubscribe", "channels": list(channels), **fields})

    def until(self, wanted: Callable[[Message], bool], seconds: float = PATIENCE_S) -> Deferred[Message]:
        """The first message from now on that is wanted; fails after the time."""
        found: Deferred[Message] = Deferred()
        entry = (wanted, found)
        self._waiting.append(entry)
        found.addTimeout(seconds, real_reactor)
        found.addErrback(lambda failure: (self._waiting.remove(entry) if entry in self._waiting else None, failure)[1])
        return found

    def until_type(self, kind: str, seconds: float = PATIENCE_S, **payload: Any) -> Deferred[Message]:
        """The first message from now on of this type whose payload has these members."""
        return self.until(
            lambda message: (
                message["type"] == kind
                and all(message["payload"].get(name) == value for name, value in payload.items())
            ),
            seconds,
        )

    async def synced(self) -> None:
        """Everything the server had for this client until now has come."""
        mark = f"mark-{len(self.messages)}"
        pong = self.until_type("info", id=mark)
        self.say({"op": "ping", "id": mark})
        await pong

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Payloads of all messages of a type so far."""
        return [message["payload"] for message in self.messages if message["type"] == kind]

    def leave(self) -> Deferred[tuple[int | None, str | None]]:
        """Close as a browser does that goes away; fires with the code and reason of the end."""
        self.sendClose(1000)
        return self.closed


class Raw(Protocol):
    """A peer that sends any bytes and reads when told: ``data`` is all it got."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.gone = False
        self._drip: LoopingCall | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.gone = True
        if self._drip is not None and self._drip.running:
            self._drip.stop()

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def send_frame(
        self, opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0
    ) -> None:
        """One WebSocket frame, with whatever rule broken."""
        size = len(payload)
        masked_bit = 0x80 if masked else 0
        head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
        head += (
            bytes([masked_bit | size])
            if size < 126
            else struct.pack("!BH", masked_bit | 126, size)
            if size < 65536
            else b""
        )
        head += struct.pack("!BQ", masked_bit | 127, size) if size >= 65536 else b""
        key = os.urandom(4)
        body = bytes(each ^ key[index % 4] for index, each in enumerate(payload)) if masked else payload
        self.send(head + (key if masked else b"") + body)

    def drip(self, data: bytes, every: float) -> None:
        """Send one byte at a time, as long as the other side bears it."""
        rest = iter(data)

        def step() -> None:
            byte = next(rest, None)
            if byte is not None:
                self.send(bytes([byte]))

        self._drip = LoopingCall(step)
        self._drip.start(every)

    def pause(self) -> None:
        """Read nothing any more, and let the kernel hold little."""
        innermost(self.transport).getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.transport.pauseProducing()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """(opcode, payload) of every whole frame the server sent after its handshake answer."""
        rest = bytes(self.data).partition(b"\r\n\r\n")[2]
        while len(rest) >= 2:
            size, start = rest[1] & 0x7F, 2
            if size >= 126:
                start = 4 if size == 126 else 10
                size = int.from_bytes(rest[2:start], "big")
            if len(rest) < start + size:
                return
            yield rest[0] & 0x0F, rest[start : start + size]
            rest = rest[start + size :]

    @property
    def close_code(self) -> int | None:
        """The code of the server's close frame, None while there is none."""
        return next((int.from_bytes(payload[:2], "big") for opcode, payload in self.frames() if opcode == 8), None)

    @property
    def status(self) -> int:
        """The HTTP status of the (first) answer, 0 while there is none."""
        head = bytes(self.data).partition(b"\r\n")[0].split(b" ")
        return int(head[1]) if len(head) > 1 else 0

    def close(self) -> None:
        if not self.gone:
            self.transport.abortConnection()


@implementer(IAgentEndpointFactory)
class Running:
    """A started server with what a test wants of it. ``simulator`` is None unless it is a demo; ``others`` are
    processes that are one server with it; ``front`` is a proxy that all its clients come through."""

    def __init__(
        self,
        server: Server,
        simulator: Simulator | None,
        others: Sequence[Server] = (),
        front: Front | None = None,
    ) -> None:
        self.server = server
        self.others = others
        self.front = front
        self.simulator = simulator
        self.port: int = server.port if front is None else front.port
        self.url = f"http://127.0.0.1:{self.port}" if front is None else front.url
        self.clients: list[Client] = []
        self.raws: list[Raw] = []
        pool = HTTPConnectionPool(real_reactor, persistent=False)
        self._agent = Agent.usingEndpointFactory(real_reactor, self, pool)

    def endpointForURI(self, uri: object = None) -> Any:
        """The way of a client to the server."""
        if self.front is not None:
            return self.front.endpoint(real_reactor)
        return TCP4ClientEndpoint(real_reactor, "127.0.0.1", self.port, timeout=PATIENCE_S)

    async def connect(self, path: str = "/ws", headers: Mapping[str, str] | None = None) -> Client:
        """A client that is open; its greeting is in ``messages`` or about to be."""
        factory = WebSocketClientFactory(
            f"ws://127.0.0.1:{self.port}{path}", headers=dict(headers or {}), reactor=real_reactor
        )
        factory.protocol = Client
        # Replies carry the server's own code; a message may be as large as the server likes.
        factory.setProtocolOptions(failByDrop=False, echoCloseCodeReason=True)
        client: Client = await self.endpointForURI().connect(factory)
        self.clients.append(client)
        await client.opened.addTimeout(PATIENCE_S, real_reactor)
        return client

    async def raw(self, data: bytes = b"") -> Raw:
        """A bare TCP peer that has sent these bytes."""
        raw: Raw = await self.endpointForURI().connect(Factory.forProtocol(Raw))
        self.raws.append(raw)
        raw.send(data)
        return raw

    async def raw_ws(self) -> Raw:
        """A bare TCP peer whose upgrade was accepted."""
        raw = await self.raw(HANDSHAKE)
        await eventually(lambda: b"\r\n\r\n" in raw.data)
        assert raw.status == 101, bytes(raw.data)
        return raw

    async def get(self, path: str, method: str = "GET", **options: Any) -> Any:
        """The response to a request; ``.code`` is its status, ``.body`` its bytes."""
        response = await treq.request(method, self.url + path, agent=self._agent, timeout=PATIENCE_S, **options)
        response.body = await response.content()
        return response

    async def json(self, path: str) -> Any:
        """The JSON of a 200 answer, numbers exact."""
        response = await self.get(path)
        assert response.code == 200, (response.code, response.body)
        return json.loads(response.body, parse_float=Decimal)

    def topics(self) -> list[tuple[str, str, str]]:
        """Every instrument that trades: exchange, market, symbol."""
        return [
            (exchange, each.market.value, str(each.symbol))
            for exchange, upstream in self.server.hub.upstreams.items()
            for each in upstream.catalogue
            if each.status == "trading"
        ]

    def opened(self, exchange: str) -> Any:
        """The venue as the process knows it that has it open: of several it may be one of the others."""
        known = [each.hub.upstreams[exchange] for each in (self.server, *self.others)]
        return next((each for each in known if getattr(each, "is_local", True)), known[0])

    async def stop_others(self) -> None:
        """The others end, and the proxy: it has nobody behind it any more, and says so."""
        for each in self.others:
            await maybeDeferred(each.stopService)
        if self.front is not None:
            assert (await self.get("/health")).code in (502, 503)
            self.front.kill()
            self.front = None

    def upstream_streams(self) -> dict[str, int]:
        """The simulator's side: how often each of its streams is subscribed."""
        assert self.simulator is not None
        return {
            f"{name}/{market}/{stream.name}": len(stream.sessions)
            for name, host in self.simulator.hosts.items()
            for (market, _), stream in host.streams.items()
        }

    def upstream_messages(self) -> int:
        """Frames and subscriptions the venues got from us so far."""
        assert self.simulator is not None
        return sum(ledger.subscriptions + ledger.messages for ledger in self.simulator.ledger.by_host.values())

    async def stop(self) -> None:
        if self.front is not None:
            self.front.kill()
            self.front = None
        for client in self.clients:
            client.dropConnection(abort=True)
        for raw in self.raws:
            raw.close()
        await maybeDeferred(self.server.stopService)
        await self.stop_others()


@pytest.fixture
def reactor() -> Any:
    """The real one."""
    return real_reactor


Start = Callable[..., Any]


@pytest_twisted.async_yield_fixture
async def start(request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    """Start servers: ``running = await start(DEMO="true", ...)``; settings as in the environment.
    All are stopped after the test.

    A demo has read its catalogues when it is handed over, unless ``wait`` is False. ``clock`` is shared by server and
    simulator; ``prepare`` is called with the simulator before the server starts.
    """
    started: list[Running] = []
    processes: int = request.config.getoption("--processes")
    proxy: str | None = request.config.getoption("--proxy")

    async def begin(
        *,
        clock: Clock | None = None,
        wait: bool = True,
        prepare: Callable[[Simulator], object] = lambda _: None,
        **settings: str,
    ) -> Running:
        clock = clock or SystemClock()
        if proxy is not None:
            settings = {"TRUSTED_PROXIES": "127.0.0.1", **settings}
        known = ("binance", "bybit", *(("okx", "coinbase", "kraken") if "EXCHANGES" in settings else ()))
        config: Config = load([Layer("test", {"BIND_ADDR": "127.0.0.1:0", **settings})], known)
        simulator, stand_in = None, None
        if config.demo:
            simulator = Simulator(real_reactor, clock, exchanges=config.exchanges, record=True)
            simulator.listen()
            prepare(simulator)
            stand_in = StandIn(simulator, simulator.base_urls, "simulated")
        others: list[Server] = []
        if stand_in is not None and processes > 1:
            port = request.getfixturevalue("redis_port")
            settings |= {"ENABLE_REDIS": "true", "REDIS_URL": f"redis://127.0.0.1:{port}"}
            settings["REDIS_PREFIX"] = f"test-{simulator.base_urls[config.exchanges[0], MarketType.SPOT][0][-5:]}"
            for number in range(1, processes):
                holder = load([Layer("test", {**settings, "BIND_ADDR": "127.0.0.1:0"})], known)
                others.append(build(holder, real_reactor, clock=clock, random=Random(7 + number), stand_in=stand_in))
                stand_in = StandIn(Service(), simulator.base_urls, "simulated")
            config = load([Layer("test", {"BIND_ADDR": "127.0.0.1:0", **settings, "ROLE": "edge"})], known)
        server = build(config, real_reactor, clock=clock, random=Random(7), stand_in=stand_in)
        for each in (*others, server):
            each.privilegedStartService()
            each.startService()
        front = None
        if proxy is not None:
            folder: Path = request.getfixturevalue("tmp_path")
            front = Front(proxy, server.port, folder / f"{proxy}-{len(started)}")
        running = Running(server, simulator, others, front)
        started.append(running)
        if front is not None:
            await eventually(front.ready)
        if config.demo and wait:
            await eventually(
                lambda: (
                    all(
                        each.catalogue.loaded(market)
                        for each in server.hub.upstreams.values()
                        for market in each.markets
                    )
                    # Of several processes the holder's word of the venue comes by a way of its own.
                    and all(each.report().cause is not Cause.BACKEND for each in server.hub.upstreams.values())
                )
            )
        return running

    yield begin
    broken = [
        violation
        for running in started
        if running.simulator is not None
        for violation in running.simulator.ledger.violations
    ]
    for running in started:
        await running.stop()
    assert broken == [], "no test may break a venue's limits"


@pytest.fixture
def shifted_clock() -> Callable[[float], Clock]:
    """Clocks for ``start`` whose minute ends in so many seconds."""
    return ShiftedClock


async def eventually(true: Callable[[], bool], seconds: float = PATIENCE_S, *, every: float = 0.02) -> None:
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
def place() -> Callable[[Mapping[str, Any]], tuple[str, str, str]]:
    """Whose value, or status, a payload is: exchange, market, symbol."""

    def of(payload: Mapping[str, Any]) -> tuple[str, str, str]:
        named = payload.get("channel", payload)
        return named["exchange"], named["market_type"], f"{named['symbol']['base']}-{named['symbol']['quote']}"

    return of


@pytest.fixture
def helpers() -> Sequence[Callable[..., Any]]:
    """``eventually`` and ``channel``, for tests (test modules cannot import each other)."""
    return (eventually, channel)
