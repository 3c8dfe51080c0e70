"""A server in memory: the real site and routes over a hub that holds whatever a test puts into it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from cryptodash.api.http.rest import Rest
from cryptodash.api.http.site import make_site
from cryptodash.api.slices import Slices
from cryptodash.core import codec
from cryptodash.core.config import Config
from cryptodash.core.errors import Refused
from cryptodash.core.events import BookSnapshot, Candle, Side, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.interfaces import ClusterReport, ExchangeReport, IPeers, PeerReports, StreamReport
from cryptodash.core.numbers import Number
from cryptodash.core.steps import Steps
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic, check_depth, check_interval
from cryptodash.hub.composite import CompositeBbo
from cryptodash.hub.interfaces import CatalogueSnapshot, IDemand, IDirectory, IValues, Message
from cryptodash.hub.ledger import Ledger

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

T0 = 1_704_067_200_000


class TwinClock(Clock):
    """A scheduler whose time the server's clocks show too."""

    def monotonic(self) -> float:
        return self.seconds()

    def wall_ms(self) -> int:
        return T0 + round(self.seconds() * 1000)


def instrument(
    exchange: str, base: str, quote: str, market: MarketType = MarketType.SPOT, tick: str = "0.01000000"
) -> Instrument:
    return Instrument(
        exchange, market, Symbol(base, quote), base + quote, Number(tick), Number("0.00001000"), Number("0.00001000")
    )


@define(eq=False)
class UpstreamDouble:
    """What the hub double knows of one venue."""

    exchange: str
    source: str = "simulated"
    markets: tuple[MarketType, ...] = (MarketType.SPOT, MarketType.PERPETUAL)
    catalogue: Catalogue = field(init=False)
    status: dict[str, Any] = field(factory=dict)
    reports: list[StreamReport] = field(factory=list)
    refreshes: int = 0
    refresh_error: Exception | None = None

    def __attrs_post_init__(self) -> None:
        self.catalogue = Catalogue(self.exchange)
        self.catalogue.replace(MarketType.SPOT, [instrument(self.exchange, base, "USDT") for base in ("BTC", "ETH")])
        self.catalogue.replace(
            MarketType.PERPETUAL, [instrument(self.exchange, "BTC", "USDC", MarketType.PERPETUAL, "0.25")]
        )

    def intervals(self, market: MarketType) -> Sequence[str]:
        return ("1m", "5m")

    def report(self) -> ExchangeReport:
        members: dict[str, Any] = {
            "exchange": self.exchange,
            "name": self.exchange.title(),
            "status": "online",
            "idle": False,
            "cause": None,
            "reason": "",
            "source": self.source,
            "ws_url": f"wss://{self.exchange}.example",
            "rest_url": f"https://{self.exchange}.example",
            "rate_limits": {"rest_weight_per_minute": 4800},
            "connections": 1,
            "streams": 2,
            "good_streams": 2,
            "last_message": 0.25,
        }
        return ExchangeReport(**(members | self.status))

    def streams(self) -> Iterator[Sequence[StreamReport]]:
        return iter((self.reports,))

    def survey(self) -> Steps[int]:
        yield
        return len(self.reports)

    async def refresh_catalogue(self) -> int:
        self.refreshes += 1
        if self.refresh_error is not None:
            raise self.refresh_error
        return len(self.catalogue)


@implementer(IDirectory, IDemand, IValues)
class HubDouble:
    """Answers from plain dicts; ``arrive`` wakes those who wait for a first value."""

    def __init__(self, scheduler: Clock, *exchanges: str) -> None:
        self.upstreams = {each: UpstreamDouble(each) for each in exchanges}
        self.book_depth_default = 50
        self.scheduler = scheduler
        self.held: Counter[Topic] = Counter()
        self.holders: list[tuple[str, str]] = []
        self.tickers: dict[Topic, Ticker] = {}
        self.books: dict[Topic, BookSnapshot] = {}
        self.composites: dict[Topic, CompositeBbo] = {}
        self.trade_lists: dict[Topic, list[Trade]] = {}
        self.bars: tuple[Sequence[Candle], bool] | Exception = ((), False)
        self.statuses: dict[Topic, StreamStatus] = {}
        self.waiting: defaultdict[Topic, list[Deferred[bool]]] = defaultdict(list)
        self.asked: list[tuple[Topic, int, int | None]] = []
        self.unknown: tuple[str, ...] = ()
        self.cluster: ClusterReport | None = None
        self.clients: list[str] = []
        """Whom candles were charged to."""

    def resolve(
        self, exchange: Any, market: Any, channel: Any, symbol: Any, depth: Any = None, interval: Any = None
    ) -> Topic:
        upstream = self.upstreams.get("binance" if exchange == "composite" else exchange)
        if upstream is None:
            raise Refused("unknown_exchange", f"exchange {exchange!r} is not one of: {', '.join(self.upstreams)}")
        kind = MarketType(market or "spot")
        found = upstream.catalogue.find(kind, symbol)
        if channel == "order_book":
            return Topic(
                exchange,
                kind,
                found,
                Channel.ORDER_BOOK,
                depth=self.book_depth_default if depth is None else check_depth(depth),
            )
        return Topic(
            exchange, kind, found, Channel(channel), interval=check_interval(interval) if channel == "candle" else ""
        )

    def view_interval(self, topic: Topic, max_rate: float | None) -> int:
        return 100 if topic.depth else 0

    def exchanges(self) -> tuple[str, ...]:
        return tuple(self.upstreams)

    def source(self, exchange: str) -> str:
        return "simulated" if exchange == "composite" else self.upstreams[exchange].source

    def instruments(self, exchange: str) -> CatalogueSnapshot:
        catalogue = self.upstreams[exchange].catalogue
        return CatalogueSnapshot(catalogue.version, tuple(catalogue), catalogue.not_listed())

    def cluster_report(self) -> ClusterReport | None:
        return self.cluster

    def exchange_reports(self) -> tuple[ExchangeReport, ...]:
        return tuple(each.report() for each in self.upstreams.values())

    def unknown_topics(self) -> tuple[str, ...]:
        return self.unknown

    def survey(self) -> Steps[int]:
        count = 0
        for each in self.upstreams.values():
            count += yield from each.survey()
        return count

    def stream_reports(self) -> Iterator[Sequence[StreamReport]]:
        for each in self.upstreams.values():
            yield from each.streams()

    async def refresh_catalogue(self, exchange: str) -> int:
        return await self.upstreams[exchange].refresh_catalogue()

    def for_client(self, client: str, address: str) -> IDemand:
        self.holders.append((client, address))
        return self

    def hold(self, topic: Topic, interval: int) -> None:
        assert interval == self.view_interval(topic, None)
        self.held[topic] += 1

    def release(self, topic: Topic, interval: int) -> None:
        assert interval == self.view_interval(topic, None)
        self.held[topic] -= 1
        if not self.held[topic]:
            del self.held[topic]

    def current(self, topic: Topic, interval: int) -> Sequence[Message]:
        book = self.books.get(topic)
        if book is not None:
            return [
                Message(
                    topic,
                    "order_book_snapshot",
                    codec.message("order_book_snapshot", codec.snapshot_payload(book)),
                    topic,
                )
            ]
        return []

    def ticker(self, topic: Topic) -> Ticker | None:
        return self.tickers.get(topic)

    def composite(self, topic: Topic, exchanges: frozenset[str] | None) -> CompositeBbo | None:
        return self.composites.get(topic)

    def trades(self, topic: Topic, limit: int) -> Sequence[Trade]:
        return self.trade_lists.get(topic, [])[-limit:]

    def stream_status(self, topic: Topic) -> StreamStatus:
        return self.statuses.get(topic, StreamStatus(topic, State.LIVE, since=T0))

    def age_ms(self, topic: Topic) -> int | None:
        return 42

    async def candles(self, topic: Topic, limit: int, end_ms: int | None, client: str) -> tuple[Sequence[Candle], bool]:
        self.asked.append((topic, limit, end_ms))
        self.clients.append(client)
        if isinstance(self.bars, Exception):
            raise self.bars
        return self.bars

    async def first_value(self, topic: Topic, interval: int, timeout: float) -> bool:
        if self._known(topic):
            return True
        waiting: Deferred[bool] = Deferred()
        self.waiting[topic].append(waiting)
        call = self.scheduler.callLater(timeout, lambda: waiting.called or waiting.callback(False))
        try:
            return await waiting
        finally:
            self.waiting[topic].remove(waiting)
            if call.active():
                call.cancel()

    def arrive(self, topic: Topic) -> None:
        for waiting in list(self.waiting[topic]):
            waiting.callback(True)

    def clients_of(self, topic: Topic) -> int:
        return 3

    def _known(self, topic: Topic) -> bool:
        return topic in self.tickers or topic in self.books or topic in self.composites or topic in self.trade_lists


@define
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        return str(self.json()["error"]["code"])


class Wire:
    """One connection's client side, in bytes."""

    def __init__(self, site: Any, scheduler: Clock, address: str = "192.0.2.1", transport: Any = None) -> None:
        self.scheduler = scheduler
        self.transport = transport or StringTransport(peerAddress=IPv4Address("TCP", address, 40000))
        self.channel = site.buildProtocol(self.transport.getPeer())
        self.channel.makeConnection(self.transport)
        self._head_only = False

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)

    def received(self) -> bytes:
        return self.transport.value()

    @property
    def closing(self) -> bool:
        return bool(self.transport.disconnecting or self.transport.disconnected)

    def drop(self) -> None:
        """The peer goes away."""
        self.channel.connectionLost(Failure(ConnectionDone()))

    def get(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Response:
        self.ask(path, method, body, **headers)
        return self.response()

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> None:
        named = {"Host": "example.test:8080", **{name.replace("_", "-"): text for name, text in headers.items()}}
        if body or method == "POST":
            named["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {text}\r\n" for name, text in named.items())
        self.transport.clear()
        self._head_only = method == "HEAD"
        self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)

    def response(self) -> Response:
        data = self.received()
        assert data, "no answer"
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        assert len({name.lower() for name, _ in pairs}) == len(pairs), f"a header is sent twice: {lines}"
        headers = {name.lower(): text for name, text in pairs}
        code = int(status.split(" ")[1])
        length = headers.get("content-length")
        if length is not None:
            assert len(body) == (0 if self._head_only else int(length))
        elif headers.get("transfer-encoding") == "chunked":
            body = b"".join(chunks(body))
        elif self._head_only:
            assert not body
        else:
            assert code in (204, 304) and not body, "an answer without a length"
        return Response(code, headers, body)


def chunks(body: bytes) -> Iterator[bytes]:
    """The parts of a body of unknown length, to its end (RFC 9112, section 7.1)."""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n", "it ends in the middle"
        if not length:
            assert rest == b"\r\n"
            return
        yield rest[:length]
        body = rest[length + 2 :]


class SocketDouble(Resource):
    """Stands where ``/ws`` is."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.upgrades = 0

    def render(self, request: Any) -> int:
        self.upgrades += 1
        return NOT_DONE_YET


@define(eq=False)
class Web:
    """Everything a test needs of one server."""

    scheduler: TwinClock
    hub: HubDouble
    tally: Tally
    rest: Rest
    site: Any
    socket: SocketDouble
    state: dict[str, bool]
    wanted: set[Topic] = field(factory=set)
    paces: dict[Topic, Sequence[int]] = field(factory=dict)

    def wire(self, address: str = "192.0.2.1", transport: Any = None) -> Wire:
        return Wire(self.site, self.scheduler, address, transport)

    def get(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Response:
        return self.wire().get(path, method, body, **headers)

    def topic(
        self, channel: Channel = Channel.TICKER, exchange: str = "binance", base: str = "BTC", depth: int = 0
    ) -> Topic:
        return Topic(exchange, MarketType.SPOT, Symbol(base, "USDT"), channel, depth=depth)

    def put_ticker(self, **members: Any) -> Topic:
        topic = self.topic()
        self.hub.tickers[topic] = Ticker(topic, T0, RECEIVED, Number("43250.50000000"), **members)
        return topic

    def put_book(self, depth: int = 50) -> Topic:
        topic = self.topic(Channel.ORDER_BOOK, depth=depth)
        bids, asks = [(Number("1.50"), Number("2.000"))], [(Number("1.60"), Number("0.00000100"))]
        self.hub.books[topic] = BookSnapshot(topic, T0, RECEIVED, 7, bids, asks, False)
        return topic

    def put_trades(self, count: int) -> Topic:
        topic = self.topic(Channel.TRADE)
        self.hub.trade_lists[topic] = [
            Trade(topic, T0 + n, RECEIVED, str(n), Number("1.10"), Number("2.0"), Side.BUY) for n in range(count)
        ]
        return topic


@implementer(IPeers)
class PeersDouble:
    """Other processes: what they say to each question, packed, and who says nothing."""

    process = "here"

    def __init__(self, *missing: str) -> None:
        self.makers: dict[str, Callable[[str], Awaitable[bytes]]] = {}
        self.said: dict[tuple[str, str], bytes] = {}
        self.missing = missing
        self.asked: list[tuple[str, str, bool]] = []

    def answer_with(self, what: str, make: Callable[[str], Awaitable[bytes]]) -> None:
        self.makers[what] = make

    async def gather(self, what: str, about: str = "", *, on_this_host: bool = False) -> PeerReports:
        self.asked.append((what, about, on_this_host))
        found = {process: said for (process, question), said in self.said.items() if question == what}
        return PeerReports(found, self.missing)


@pytest.fixture(scope="session")
def make_peers() -> type[PeersDouble]:
    """Other processes; the arguments are those that do not answer."""
    return PeersDouble


@pytest.fixture(scope="session")
def make_web() -> Callable[..., Web]:
    """A server with these settings."""

    def make(
        *exchanges: str, peers: IPeers | None = None, certificate: Any = None, tapes: Any = None, **settings: Any
    ) -> Web:
        scheduler, tally, socket = TwinClock(), Tally(), SocketDouble()
        hub = HubDouble(scheduler, *(exchanges or ("binance", "bybit")))
        config = Config(**settings)
        state: dict[str, Any] = {"draining": False}
        hub.ledger = Ledger(scheduler, tally)
        rest = Rest(
            hub,
            hub,
            hub,
            config,
            scheduler,
            scheduler,
            tally,
            "1.2.3",
            lambda: state["draining"],
            scheduler.monotonic(),
            Slices(scheduler, scheduler),
            hub.ledger,
            peers,
            lambda: certificate,
            recording=lambda: state.get("recording"),
            tapes=tapes,
        )
        site = make_site(rest, socket, config, scheduler, scheduler, tally)
        return Web(scheduler, hub, tally, rest, site, socket, state)

    return make


@pytest.fixture
def web(make_web: Callable[..., Web]) -> Web:
    return make_web()
