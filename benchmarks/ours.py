"""cryptodash as a server under test: everything ``service.build`` makes, on the real reactor.

    python -m benchmarks.ours inlet trade|book TOPICS
    python -m benchmarks.ours venue|venue-every-frame WS_URL REST_URL [SYMBOLS]

``inlet``: prepared events are published into the hub, as ``Work`` orders. ``venue``: the real adapter of Binance,
connected to ``venue.py``; with SYMBOLS, ticker, trades and book of each are held and a listener
counts what comes, encoded. ``venue-every-frame``: no quote is skipped for a later one while the connection is behind.
With ``BENCH_RECORD_DIR`` in its environment it records there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from time import perf_counter
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from benchmarks.peers.work import Work, announce, control_socket, cpu_seconds, drain, say
from cryptodash.core.config import Config, Limits
from cryptodash.core.events import Candle, Level, Side, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.interfaces import ExchangeReport, IUpstream, RequestCost, StreamReport
from cryptodash.core.numbers import Number
from cryptodash.core.steps import Steps
from cryptodash.core.time import SystemClock
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.book_publisher import BookPublisher
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.transport.websocket_protocol import VenueSocketFactory, VenueSocketProtocol
from cryptodash.exchanges.venues import registry
from cryptodash.hub.interfaces import Batch, IOutlet, Message
from cryptodash.service import Server, build

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

SPOT = MarketType.SPOT
BOOK_DEPTH = 50
MOST_BOOKS = 40
LIMITS = Limits(max_connections_per_ip=20_000, ping_interval_s=3600.0, ops_burst=5000)
"""Pings would come at random moments of other servers' rounds, so they are off here as for all peers."""
CONFIG = Config(bind_addr="tcp:0:interface=127.0.0.1", exchanges=("binance",), limits=LIMITS, log_level="error")


def symbol_of(index: int) -> Symbol:
    """The made-up symbol of a topic."""
    return Symbol(f"T{index:05d}", "USDT")


@implementer(IUpstream)
class Listed:
    """A venue of which only the catalogue matters: its events are published by ``Work``, its books by ``books``."""

    exchange = "binance"
    source = "simulated"
    markets = (SPOT,)

    def __init__(self, count: int, books: BookPublisher) -> None:
        self._books = books
        self.catalogue = Catalogue(self.exchange)
        step = Number("0.01000000")
        names = ((symbol, f"{symbol.base}{symbol.quote}") for symbol in map(symbol_of, range(count)))
        self.catalogue.replace(
            SPOT, [Instrument(self.exchange, SPOT, symbol, native, step, step) for symbol, native in names]
        )

    def intervals(self, market: MarketType) -> Sequence[str]:
        return ("1m",)

    def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
        self._books.want(topics)

    def drop(self, topics: Iterable[Topic]) -> None:
        self._books.drop(topics)

    def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
        """Nothing is sparse here."""

    def streams_of(self, topic: Topic) -> int | None:
        return 1

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        self._books.pace(topic, intervals)

    def confirmed_at(self, topic: Topic) -> float | None:
        return None

    def streams(self) -> Iterator[Sequence[StreamReport]]:
        return iter(())

    def survey(self) -> Steps[int]:
        yield
        return 0

    def report(self) -> ExchangeReport:
        return ExchangeReport(
            self.exchange, "Listed", "online", False, None, "", self.source, "", "", {}, 1, 1, 1, None
        )

    def candles_cost(self, topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        return RequestCost("", 1, 1000, 60.0)

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        return ()

    async def refresh_catalogue(self) -> int:
        return len(self.catalogue)


class MovingBook:
    """A book of which three levels a side change with every step."""

    synced = True

    def __init__(self) -> None:
        self.step = 0

    def top(self, depth: int) -> tuple[Sequence[Level], Sequence[Level]]:
        bids = [(Number(f"{60_000 - level}.10000000"), self._size(level)) for level in range(depth)]
        asks = [(Number(f"{60_001 + level}.20000000"), self._size(level)) for level in range(depth)]
        return bids, asks

    def _size(self, level: int) -> Number:
        moving = level % 17 == 3
        return Number(f"{1 + level + (self.step % 1000 if moving else 0)}.50000000")


@implementer(IOutlet)
class Counted:
    """Listens like a cohort of clients and counts messages per topic."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self._index = {topic: index for index, topic in enumerate(topics)}
        self.counts = [0] * len(topics)

    def deliver(self, message: Message) -> None:
        if message.kind != "status":
            self.counts[self._index[message.topic]] += 1

    def deliver_sweep(self, batch: Batch) -> None:
        """There is no sweep here."""

    def failed(self) -> None:
        """It never raises."""


@implementer(IReadDescriptor)
class TwistedDriver:
    """Runs ``Work`` on the reactor: a turn of work is a turn of the reactor."""

    def __init__(self, work: Work, reactor: Any) -> None:
        self._work, self._reactor = work, reactor
        self.control = control_socket()
        self._call: Any = None
        reactor.addReader(self)

    def fileno(self) -> int:
        return self.control.fileno()

    def logPrefix(self) -> str:
        return "orders"

    def connectionLost(self, reason: Any = None) -> None:
        """Never: the process ends with its orders."""

    def doRead(self) -> None:
        drain(self.control, self._work)
        if self._call is None:
            self._call = self._reactor.callLater(0, self._turn)

    def _turn(self) -> None:
        wait = self._work.turn()
        self._call = None if wait is None else self._reactor.callLater(wait, self._turn)


def inlet(reactor: Any, kind: str, count: int) -> tuple[Server, Work]:
    """A server whose events ``Work`` publishes."""
    server = build(CONFIG, reactor, clock=SystemClock(), random=Random(1), venues=[])
    publish = server.hub.publish
    publisher = BookPublisher(server.hub, PublishTimers(reactor))
    server.hub.add_upstream(Listed(count, publisher))
    if kind == "book":
        topics = [
            Topic("binance", SPOT, symbol_of(index), Channel.ORDER_BOOK, depth=BOOK_DEPTH) for index in range(count)
        ]
        books = [MovingBook() for _ in topics]
        counted = Counted(topics)
        for topic in topics:
            server.hub.hold(topic, server.hub.view_interval(topic, None))
            server.hub.attach(counted, topic, server.hub.view_interval(topic, None))

        def emit_book(topic: int, number: int) -> None:
            books[topic].step = number
            publisher.changed(BookChanged(topics[topic].upstream, books[topic], 1_700_000_000_000 + number, RECEIVED))

        return server, Work(emit_book, lambda: list(counted.counts))
    topics = [Topic("binance", SPOT, symbol_of(index), Channel.TRADE) for index in range(count)]
    price, quantity = Number("61837.63000000"), Number("0.00123000")

    def emit_trade(topic: int, number: int) -> None:
        publish(Trade(topics[topic], 1_700_000_000_000, RECEIVED, str(number), price, quantity, Side.BUY))

    return server, Work(emit_trade)


@implementer(IOutlet)
class Ingested:
    """Listens like a cohort of clients: counts encoded messages, notes the last of each topic,
    and tells when the marked trades came.

    The first and the last frame of the measured stream are trades with quantities nothing else has.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._last: dict[str, bytes] = {}
        self._size = 0
        self._begun = self._cpu = 0.0

    def deliver(self, message: Message) -> None:
        body = message.body
        self.counts[message.kind] = self.counts.get(message.kind, 0) + 1
        self._size += len(body)
        if message.kind == "ticker":
            self._last[message.topic.text] = body
        elif b'"quantity":111.0' in body:
            self.counts, self._size = {}, 0
            self._begun, self._cpu = perf_counter(), cpu_seconds()
        elif b'"quantity":999.0' in body:
            last = {topic: value.decode() for topic, value in self._last.items()}
            say(
                done=self.counts,
                wall=perf_counter() - self._begun,
                cpu=cpu_seconds() - self._cpu,
                bytes=self._size,
                last=last,
            )

    def deliver_sweep(self, batch: Batch) -> None:
        """There is no sweep here."""

    def failed(self) -> None:
        """It never raises."""


class NeverBehind(VenueSocketProtocol):
    """Takes every connection for one that keeps up, whatever its reads bring."""

    many = 1 << 60

    def read_begins(self, size: int) -> None:
        super().read_begins(0)


def venue(reactor: Any, ws: str, rest: str, *, every_frame: bool = False) -> Server:
    """A server with the real adapter, on the bench's venue."""
    endpoints = {
        f"binance_{market}{kind}_url": url
        for market in ("", "perpetual_")
        for kind, url in (("ws", ws), ("rest", rest))
    }
    config = evolve(CONFIG, endpoints=endpoints, record_dir=os.environ.get("BENCH_RECORD_DIR", ""))
    if every_frame:
        VenueSocketFactory.protocol = NeverBehind
    return build(config, reactor, clock=SystemClock(), random=Random(1), venues=[registry.load("binance")])


def hold(reactor: Any, server: Server, names: Sequence[str]) -> None:
    """Hold ticker, trades and book of each symbol (books of ``MOST_BOOKS``, for more snapshots would take minutes of
    the venue's budget), and say so once all of them have values."""
    symbols = [Symbol(*name.split("-")) for name in names]
    topics = [
        Topic("binance", SPOT, symbol, channel) for symbol in symbols for channel in (Channel.TICKER, Channel.TRADE)
    ]
    topics += [Topic("binance", SPOT, symbol, Channel.ORDER_BOOK, depth=BOOK_DEPTH) for symbol in symbols[:MOST_BOOKS]]
    listener = Ingested()
    for topic in topics:
        server.hub.hold(topic, server.hub.view_interval(topic, None))
        server.hub.attach(listener, topic, server.hub.view_interval(topic, None))

    def look() -> None:
        missing = [topic for topic in topics if not server.hub.current(topic, server.hub.view_interval(topic, None))]
        if missing:
            reactor.callLater(0.05, look)
        else:
            say(holding=len(topics))

    look()


def main(arguments: Sequence[str]) -> None:
    from twisted.internet import reactor as the_reactor

    reactor: Any = the_reactor
    if arguments[0] == "inlet":
        server, work = inlet(reactor, arguments[1], int(arguments[2]))
    else:
        every_frame = arguments[0] == "venue-every-frame"
        server, work = venue(reactor, *arguments[1:3], every_frame=every_frame), Work(lambda topic, number: None)
    driver = TwistedDriver(work, reactor)
    server.privilegedStartService()
    server.startService()
    if len(arguments) > 3:
        reactor.callWhenRunning(hold, reactor, server, arguments[3].split(","))
    announce(server.port, driver.control)
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main(sys.argv[1:])
