"""A small world for the tests of /ws: a real hub over a made-up venue, one clock for everything,
and wires whose reader the test plays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from cryptodash.api.access.grant import Grant
from cryptodash.api.fanout.client_writer import ClientWriter, IWire
from cryptodash.api.fanout.fanout import Fanout
from cryptodash.api.fanout.read_progress import Queued
from cryptodash.api.ws.authentication import Authentication
from cryptodash.api.ws.clients import Clients
from cryptodash.api.ws.frames import text_frame
from cryptodash.api.ws.limiter import WorkBudget
from cryptodash.api.ws.replays import RecordedTime
from cryptodash.api.ws.session import Identity, Session
from cryptodash.core.config import Config, Limits
from cryptodash.core.events import Candle, Gap, Liquidation, Side, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.interfaces import IUpstream, RequestCost
from cryptodash.core.numbers import Number
from cryptodash.core.recorded import ITapes
from cryptodash.core.steps import Steps
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.book_publisher import BookPublisher
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.hub.broadcaster import Broadcaster

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

WALL = 1_704_067_200_000
SPOT = MarketType.SPOT


class Time(Clock):
    """The reactor's clock and both of ours in one: moved by ``advance`` alone."""

    def monotonic(self) -> float:
        return self.seconds()

    def wall_ms(self) -> int:
        return WALL + round(self.seconds() * 1000)


@implementer(IUpstream)
class Venue:
    """A venue that does nothing by itself; it notes what is wanted of it."""

    source = "simulated"
    markets = (SPOT, MarketType.PERPETUAL)

    def __init__(self, exchange: str, symbols: Sequence[str], *, loaded: bool = True) -> None:
        self.exchange = exchange
        self.catalogue = Catalogue(exchange)
        self.wanted: list[Topic] = []
        if loaded:
            self.load(symbols)

    books: BookPublisher

    def publish_into(self, hub: Broadcaster, timers: PublishTimers) -> None:
        """Its books and statuses go there."""
        self.books = BookPublisher(hub, timers)
        hub.add_upstream(self)

    def load(self, symbols: Sequence[str]) -> None:
        for market in self.markets:
            self.catalogue.replace(market, [self._instrument(market, name) for name in symbols])

    def _instrument(self, market: MarketType, name: str) -> Instrument:
        base, quote = name.split("-")
        return Instrument(self.exchange, market, Symbol(base, quote), base + quote, Number("0.01"), Number("0.00001"))

    def intervals(self, market: MarketType) -> Sequence[str]:
        return ("1m", "5m")

    def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
        topics = tuple(topics)
        self.wanted.extend(topics)
        self.books.want(topics)

    def drop(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            self.wanted.remove(topic)
            self.books.drop([topic])

    def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
        """Nothing is sparse here."""

    def streams_of(self, topic: Topic) -> int | None:
        return 1

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        self.books.pace(topic, intervals)

    def confirmed_at(self, topic: Topic) -> float | None:
        return None

    def as_of(self, topic: Topic) -> float | None:
        return 0.0

    def streams(self) -> Iterator[Sequence[Any]]:
        return iter(())

    def survey(self) -> Steps[int]:
        yield
        return 0

    def report(self) -> Any:
        raise NotImplementedError("these tests ask the hub for values, never how its venues are")

    def candles_cost(self, topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        return RequestCost("", 1, 1000, 60.0)

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        return ()

    async def refresh_catalogue(self) -> int:
        return 0


def read_frames(data: bytes) -> list[bytes]:
    """The payloads of complete server frames; the data must end with one."""
    frames = []
    while data:
        assert data[0] == 0x81, data[:20]
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        assert len(data) >= start + size
        frames.append(data[start : start + size])
        data = data[start + size :]
    return frames


@implementer(IWire)
class Reader:
    """A client's end of the wire: takes ``room`` bytes at once, the rest when the test lets it ``read``."""

    writer: ClientWriter

    def __init__(self, room: float = float("inf")) -> None:
        self.room = room
        self.got = b""
        self.waiting = b""
        self.in_kernel = 0
        self.closed_with: tuple[int, str] | None = None
        self.on_close: Callable[[], None] = lambda: None
        self.writes = 0

    def send(self, data: bytes) -> int:
        assert not self.waiting, "bytes would overtake those queued"
        if not self.room:
            raise BlockingIOError
        self.writes += 1
        taken = int(min(len(data), self.room))
        self.room -= taken
        self.got += data[:taken]
        return taken

    def queue(self, data: bytes) -> None:
        self.waiting += data

    def queued(self) -> Queued:
        return Queued(len(self.waiting), self.in_kernel)

    def close_with(self, code: int, reason: str) -> None:
        self.closed_with = (code, reason)
        self.on_close()

    def read(self, size: float = float("inf"), room: float = float("inf")) -> None:
        """Take ``size`` of what is queued; once that is all, ``room`` more bytes may be written."""
        taken = int(min(size, len(self.waiting)))
        self.got += self.waiting[:taken]
        self.waiting = self.waiting[taken:]
        if not self.waiting:
            self.room = room
            self.writer.drained()

    def messages(self) -> list[dict[str, Any]]:
        """Everything read since the last call, decoded."""
        data, self.got = self.got, b""
        return [json.loads(frame) for frame in read_frames(data)]


class Client:
    """One session on a test's wire."""

    def __init__(
        self,
        world: World,
        room: float,
        authentication: Authentication | None = None,
        recorded: RecordedTime | None = None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or world.config.limits
        self.wire = Reader(room)
        self.writer = self.wire.writer = world.fanout.open(self.wire, text_frame, blocked=False)
        self.session = Session(
            world.hub,
            world.hub.for_client(f"client {id(self)}", "10.0.0.1"),
            world.fanout,
            self.writer,
            limits,
            Identity("1.2.3", "simulated", 20000),
            "an-id",
            WorkBudget(limits.ops_per_second, limits.ops_burst, world.time),
            authentication,
            recorded,
        )
        self.wire.on_close = self.session.closed

    def ask(self, request: object) -> list[dict[str, Any]]:
        """Send one request (bytes as they are) and return what has come since."""
        self.session.received(request if isinstance(request, bytes) else json.dumps(request).encode())
        return self.wire.messages()

    def subscribe(self, *channels: dict[str, Any]) -> list[dict[str, Any]]:
        return self.ask({"op": "subscribe", "channels": list(channels)})

    def got(self) -> list[dict[str, Any]]:
        return self.wire.messages()


class Book:
    """A book of the given levels."""

    synced = True

    def __init__(self, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> None:
        self.bids, self.asks = bids, asks

    def top(self, depth: int) -> tuple[Any, Any]:
        return self.bids[:depth], self.asks[:depth]


class World:
    """The server's side without a network."""

    def __init__(self, config: Config | None = None, *, loaded: bool = True) -> None:
        self.config = config or Config()
        self.time = Time()
        self.tally = Tally()
        self.venue = Venue("binance", ("BTC-USDT", "ETH-USDT", "SOL-USDT"), loaded=loaded)
        self.hub = Broadcaster(self.config, self.time, self.time, self.tally)
        timers = PublishTimers(self.time)
        self.venue.publish_into(self.hub, timers)
        Venue("bybit", ("BTC-USDT",)).publish_into(self.hub, timers)
        self.fanout = Fanout(self.hub, self.config, self.time, self.time, self.tally)

    def client(
        self,
        room: float = float("inf"),
        authentication: Authentication | None = None,
        *,
        grant: Grant | None = None,
        limits: Limits | None = None,
        **recorded: ITapes | None,
    ) -> Client:
        """``grant``: all that it may do. ``tapes``: what it can play."""
        if grant is not None:
            authentication = Authentication(None, "10.0.0.1", self.time, grant)
        time = RecordedTime(recorded["tapes"], "10.0.0.1", self.time) if recorded else None
        return Client(self, room, authentication, time, limits)

    def clients(self) -> Clients:
        """What counts and ends clients, over this hub."""
        return Clients(
            self.hub, self.hub, self.hub, self.config, "simulated", "1.2.3", self.time, self.time, self.tally, Random(7)
        )

    def flush(self) -> None:
        """The end of a reactor turn."""
        self.time.advance(0)

    def topic(
        self, base: str = "BTC", channel: Channel = Channel.TICKER, exchange: str = "binance", **extra: Any
    ) -> Topic:
        return Topic(exchange, SPOT, Symbol(base, "USDT"), channel, **extra)

    def ticker(self, last: str, base: str = "BTC", exchange: str = "binance") -> None:
        self.hub.publish(Ticker(self.topic(base, exchange=exchange), self.time.wall_ms(), RECEIVED, Number(last)))

    def trade(self, id: int, base: str = "BTC") -> None:
        topic = self.topic(base, Channel.TRADE)
        self.hub.publish(Trade(topic, self.time.wall_ms(), RECEIVED, str(id), Number("1.5"), Number("2"), Side.BUY))

    @staticmethod
    def liquidations(base: str = "BTC") -> Topic:
        return Topic("binance", MarketType.PERPETUAL, Symbol(base, "USDT"), Channel.LIQUIDATION)

    def liquidation(self, number: int, base: str = "BTC") -> None:
        price, one = Number(str(number + 1)), Number("1")
        self.hub.publish(Liquidation(self.liquidations(base), self.time.wall_ms(), RECEIVED, Side.SELL, price, one))

    def gap(self, missed: int | None = None, topic: Topic | None = None) -> None:
        """Trades (or liquidations, of another ``topic``) are missing of the topic itself."""
        now = self.time.wall_ms()
        self.hub.publish(Gap(topic or self.topic(channel=Channel.TRADE), now - 1_000, now, missed))

    def candle(self, open_time: int, close: str, *, closed: bool = False) -> None:
        one = Number("1")
        topic = self.topic(channel=Channel.CANDLE, interval="1m")
        self.hub.publish(Candle(topic, WALL + open_time * 60_000, RECEIVED, one, one, one, Number(close), one, closed))

    def book(self, *bids: str, base: str = "BTC", rebuilt: bool = False) -> None:
        levels = [(Number(price), Number("1")) for price in sorted(bids, key=float, reverse=True)]
        book: Any = Book(levels, [(Number("1000"), Number("1"))])
        self.venue.books.changed(
            BookChanged(self.topic(base, Channel.ORDER_BOOK), book, self.time.wall_ms(), RECEIVED, rebuilt)
        )

    def status(self, state: State, topic: Topic | None = None) -> None:
        self.venue.books.status(StreamStatus(topic or self.topic(), state, since=self.time.wall_ms()))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def make_world() -> type[World]:
    return World
