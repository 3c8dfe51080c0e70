"""The hub's neighbours as doubles: a venue that records what is asked of it, outlets that keep what they get,
books that tests write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock as Scheduler
from zope.interface import implementer

from cryptodash.core.config import Config, Limits
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Bbo, Candle, Cause, Level, Liquidation, Side, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.interfaces import ExchangeReport, IUpstream, RequestCost, StreamReport
from cryptodash.core.numbers import admit
from cryptodash.core.steps import Steps
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.book_publisher import BookPublisher
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.hub.demand import Demand
from cryptodash.hub.interfaces import Batch, IOutlet, Message

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

BTC = Symbol("BTC", "USDT")
ETH = Symbol("ETH", "USDT")
START_MS = 1_700_000_000_000


class Time:
    """Both clocks of the server, driven by the scheduler that tests advance."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def monotonic(self) -> float:
        return 1_000.0 + self._scheduler.seconds()

    def wall_ms(self) -> int:
        return START_MS + round(self._scheduler.seconds() * 1000)


@implementer(IUpstream)
class Venue:
    weight, budget = 2, 4800
    """What a request for candles costs, and may cost in a minute."""

    def __init__(self, exchange: str = "binance", *, loaded: bool = True) -> None:
        self.exchange = exchange
        self.source = "simulated"
        self.markets = (MarketType.SPOT, MarketType.PERPETUAL)
        self.catalogue = Catalogue(exchange)
        self.asked: list[tuple[str, tuple[Topic, ...]]] = []
        self.wanted_for: list[tuple[str, ...]] = []
        self.holders: list[tuple[Topic, Sequence[str] | None]] = []
        self.streams_each = 1
        self.paces: list[tuple[Topic, tuple[int, ...]]] = []
        self.confirmed: dict[Topic, float] = {}
        self.requests: list[tuple[Topic, int, int | None, Deferred[Sequence[Candle]]]] = []
        if loaded:
            self.load()

    books: BookPublisher

    def publish_into(self, hub: Broadcaster, timers: PublishTimers) -> None:
        """Its books and statuses go there."""
        self.books = BookPublisher(hub, timers)
        hub.add_upstream(self)

    def load(self, *symbols: Symbol) -> None:
        for market in self.markets:
            self.catalogue.replace(market, [self._instrument(market, symbol) for symbol in symbols or (BTC, ETH)])

    def _instrument(self, market: MarketType, symbol: Symbol) -> Instrument:
        return Instrument(self.exchange, market, symbol, symbol.base + symbol.quote, admit("0.01"), admit("0.001"))

    def intervals(self, market: MarketType) -> Sequence[str]:
        return ("1m", "5m", "1h", "1d")

    def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
        self.asked.append(("want", tuple(topics)))
        self.wanted_for.append(tuple(clients))
        self.books.want(self.asked[-1][1])

    def drop(self, topics: Iterable[Topic]) -> None:
        self.asked.append(("drop", tuple(topics)))
        self.books.drop(self.asked[-1][1])

    def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
        self.holders.append((topic, clients))

    def streams_of(self, topic: Topic) -> int | None:
        return self.streams_each if self.catalogue.loaded(topic.market) else None

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        self.paces.append((topic, tuple(intervals)))
        self.books.pace(topic, intervals)

    def confirmed_at(self, topic: Topic) -> float | None:
        return self.confirmed.get(topic)

    def as_of(self, topic: Topic) -> float | None:
        return self.confirmed.get(topic)

    def streams(self) -> Iterator[Sequence[StreamReport]]:
        return iter(())

    def survey(self) -> Steps[int]:
        yield
        return 0

    def report(self) -> ExchangeReport:
        raise NotImplementedError

    def candles_cost(self, topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        return RequestCost("", self.weight, self.budget, 60.0)

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        answer: Deferred[Sequence[Candle]] = Deferred()
        self.requests.append((topic, limit, end_ms, answer))
        return await answer

    async def refresh_catalogue(self) -> int:
        raise UpstreamError("", "not here")


@implementer(IOutlet)
class Outlet:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.batches: list[Batch] = []

    def deliver(self, message: Message) -> None:
        self.messages.append(message)

    def deliver_sweep(self, batch: Batch) -> None:
        self.batches.append(batch)

    def failed(self) -> None:
        """It never raises."""

    def take(self, *kinds: str) -> list[dict[str, object]]:
        """The payloads that came since the last call, of these kinds only; numbers as Decimal."""
        taken, self.messages = self.messages, []
        return [payload(message) for message in taken if not kinds or message.kind in kinds]


def payload(message: Message) -> dict[str, object]:
    document = json.loads(message.body, parse_float=Decimal, parse_int=Decimal)
    assert document["type"] == message.kind
    found = document["payload"]
    assert isinstance(found, dict)
    return found


class WrittenBook:
    """A book whose levels a test sets: ``{price: size}`` per side, in text."""

    synced = True

    def __init__(self, bids: dict[str, str] | None = None, asks: dict[str, str] | None = None) -> None:
        self.bids = bids if bids is not None else {}
        self.asks = asks if asks is not None else {}
        self.reads = 0

    def top(self, depth: int) -> tuple[Sequence[Level], Sequence[Level]]:
        self.reads += 1
        bids = sorted(self.bids.items(), key=lambda level: -Decimal(level[0]))[:depth]
        asks = sorted(self.asks.items(), key=lambda level: Decimal(level[0]))[:depth]
        return [(admit(p), admit(s)) for p, s in bids], [(admit(p), admit(s)) for p, s in asks]


@define
class World:
    """A hub with two venues, and the words tests use."""

    scheduler: Scheduler
    time: Time
    hub: Broadcaster
    venue: Venue
    other: Venue
    tally: Tally
    outlet: Callable[[], Outlet] = Outlet
    book_of: Callable[..., WrittenBook] = WrittenBook
    payload: Callable[[Message], dict[str, object]] = payload
    venue_of: Callable[..., Venue] = Venue
    ticker_topic: Topic = field(default=Topic("binance", MarketType.SPOT, BTC, Channel.TICKER))

    @property
    def demand(self) -> Demand:
        """The hub's own count of holds."""
        return self.hub._demand

    def topic(
        self, channel: Channel, *, depth: int = 0, interval: str = "", symbol: Symbol = BTC, exchange: str = "binance"
    ) -> Topic:
        return Topic(exchange, MarketType.SPOT, symbol, channel, depth=depth, interval=interval)

    def advance(self, seconds: float) -> None:
        self.scheduler.advance(seconds)

    def watch(self, topic: Topic, interval: int = 0) -> Outlet:
        """Hold and attach a new outlet."""
        outlet = Outlet()
        self.hub.hold(topic, interval)
        self.hub.attach(outlet, topic, interval)
        return outlet

    def ticker(self, last: str, topic: Topic | None = None) -> Ticker:
        return Ticker(topic or self.ticker_topic, START_MS, RECEIVED, admit(last))

    def bbo(self, bid: str, ask: str) -> Bbo:
        one = admit("1")
        return Bbo(self.topic(Channel.BBO), START_MS, RECEIVED, admit(bid), one, admit(ask), one)

    def liquidation(self, number: int) -> Liquidation:
        topic = Topic("binance", MarketType.PERPETUAL, BTC, Channel.LIQUIDATION)
        return Liquidation(topic, START_MS + number, RECEIVED, Side.SELL, admit("1.50"), admit("2"))

    def trade(self, number: int) -> Trade:
        return Trade(
            self.topic(Channel.TRADE), START_MS + number, RECEIVED, str(number), admit("1.50"), admit("2"), Side.BUY
        )

    def bar(self, minute: int, *, volume: str = "1", closed: bool = True, corrected: bool = False) -> Candle:
        one = admit("1.0")
        topic = self.topic(Channel.CANDLE, interval="1m")
        return Candle(topic, minute * 60_000, RECEIVED, one, one, one, one, admit(volume), closed, corrected=corrected)

    def book(self, book: WrittenBook, *, rebuilt: bool = False) -> None:
        self.venue.books.changed(
            BookChanged(self.topic(Channel.ORDER_BOOK), book, self.time.wall_ms(), RECEIVED, rebuilt)
        )

    def status(self, topic: Topic, state: State, cause: Cause | None = None, fields: tuple[str, ...] = ()) -> None:
        venue = self.venue if topic.exchange == self.venue.exchange else self.other
        venue.books.status(StreamStatus(topic, state, cause, fields, self.time.wall_ms()))


@pytest.fixture
def make_world() -> Callable[..., World]:
    def make(*, loaded: bool = True, linger: float = 30.0, **limits: int) -> World:
        scheduler, tally = Scheduler(), Tally()
        time = Time(scheduler)
        config = evolve(Config(), upstream_linger_s=linger, limits=Limits(**limits))
        hub = Broadcaster(config, time, scheduler, tally)
        venue, other = Venue(loaded=loaded), Venue("bybit", loaded=loaded)
        timers = PublishTimers(scheduler)
        venue.publish_into(hub, timers)
        other.publish_into(hub, timers)
        return World(scheduler, time, hub, venue, other, tally)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
