"""The service of one venue: a scripted engine above, a network in memory below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from attrs import evolve
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface.verify import verifyObject

from cryptodash.core.config import Config
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause, State, StreamStatus, Ticker
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.interfaces import ExchangeReport, IUpstream, StreamReport
from cryptodash.core.numbers import Number
from cryptodash.core.quality import UNRECORDED
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic, parse_topic
from cryptodash.exchanges.adapter.messages import BadFrame, Bar
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, Limits, Rate, RestLimits
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Fetch, Output, Send
from cryptodash.exchanges.engine import Health
from cryptodash.exchanges.health import Survey
from cryptodash.exchanges.hosts import hosts_of
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.service import VenueService
from cryptodash.testing.network import MemoryNetwork

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

VENUE_MS = 1_690_000_000_123
"""Now in the venue's clock, as far as the scripted engine knows."""
SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
BTC = Symbol("BTC", "USDT")
TICKER = Topic("somewhere", SPOT, BTC, Channel.TICKER)
BARS = Topic("somewhere", SPOT, BTC, Channel.CANDLE, interval="1m")
QUOTE = Ticker(TICKER, 1, RECEIVED, Number("1"))
URL = "ws://stream.example:9443/stream"


class Words:
    """The part of a venue that the shell itself needs."""

    id = "somewhere"
    name = "Somewhere"
    markets = (SPOT, PERPETUAL)
    hosts = {
        SPOT: Hosts("wss://stream.example", "http://api.example"),
        PERPETUAL: Hosts("wss://future.example", "http://api.example"),
    }
    rest_limits = {"": RestLimits(1000, 60.0)}
    limits = {"spot": Limits(100, None, 10, 0.3, (Rate(240, 300.0),), None, 60.0, None)}
    alternative: dict[MarketType, str] = {}

    def intervals(self, market: MarketType) -> Sequence[str]:
        return ("1m",)

    def catalogue_requests(self, market: MarketType) -> Sequence[RestRequest]:
        return [RestRequest(Purpose.CATALOGUE, market, f"/{market}/catalogue")]

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        if body == b"<html>":
            raise BadFrame("json", "not JSON")
        names, _, following = body.decode().partition("+")
        found = [_instrument(request.market, base) for base in names.split()]
        return found, RestRequest(Purpose.CATALOGUE, request.market, following) if following else None

    def probe_request(self, market: MarketType) -> RestRequest:
        return RestRequest(Purpose.PROBE, market, f"/{market}/time")

    def candles_request(self, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        return RestRequest(Purpose.CANDLES, topic.market, "/candles", limit=limit)

    def read_candles(self, request: RestRequest, body: bytes) -> Sequence[Bar]:
        if not body[:1].isdigit():
            raise BadFrame("json", "not bars")
        one = Number("1")
        return [Bar("", int(each), one, one, one, one, one, closed=False) for each in body.split()]

    def rest_error(self, status: int, headers: object, body: bytes) -> tuple[str, str, float | None] | None:
        return (
            None if status == 200 else ({451: "blocked", 503: "maintenance"}.get(status, ""), f"status {status}", None)
        )


def _instrument(market: MarketType, base: str) -> Instrument:
    return Instrument("somewhere", market, Symbol(base, "USDT"), f"{base}USDT", Number("0.01"), Number("0.1"))


class Script:
    """An engine that writes down what it is told and answers what the test put there."""

    deadline_moved = property(lambda self: True, lambda self, value: None)
    skew_ms = 0
    reports: Sequence[Any] = ()
    surveys = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.catalogue = arguments[2]
        self.options = options
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, list[list[Output]]] = {}
        self.due: float | None = None
        self.state = Health(
            idle=True, streams=0, good_streams=0, connections=0, last_message=None, cause=None, maintenance=False
        )

    def __getattr__(self, name: str) -> Callable[..., list[Output]]:
        def called(*arguments: Any) -> list[Output]:
            self.calls.append((name, *arguments))
            prepared = self.answers.get(name)
            return prepared.pop(0) if prepared else []

        return called

    def tick(self) -> list[Output]:
        self.due = None
        return self.__getattr__("tick")()

    def deadline(self) -> float | None:
        return self.due

    def health(self, survey: Survey | None = None) -> Health:
        return self.state

    @property
    def is_idle(self) -> bool:
        return self.state.idle

    def survey(self) -> Generator[None, None, Survey]:
        yield
        self.surveys += 1
        return Survey(Counter(each.state for each in self.reports), 0, frozenset())

    def confirmed_at(self, topic: Topic) -> float | None:
        return 7.0

    def venue_ms(self, market: MarketType) -> int:
        return VENUE_MS

    def streams(self) -> Iterator[Sequence[Any]]:
        return iter((self.reports,))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


class Inlet:
    def __init__(self, engine: Callable[[], Script]) -> None:
        self.news: list[Any] = []
        self.engine = engine

    def publish(self, event: Any) -> None:
        self.news.append(event)

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        self.news.append((exchange, market, len(self.engine().named("catalogue_changed"))))


class Server(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []
        self.answers: dict[str, Any] = {
            "/spot/catalogue": b"BTC ETH",
            "/perpetual/catalogue": b"BTC",
            "/spot/time": b"1",
            "/perpetual/time": b"1",
        }

    def render_GET(self, request: Any) -> Any:
        path = request.path.decode()
        self.paths.append(path)
        answer = self.answers.get(path, 404)
        if isinstance(answer, int):
            request.setResponseCode(answer)
            return b""
        return answer


class Socket(WebSocketServerProtocol):
    def onOpen(self) -> None:
        self.factory.open.append(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.got.append(payload)


class Bench:
    def __init__(
        self,
        *,
        symbols: tuple[Topic, ...] = (),
        tally: Tally | None = None,
        exchange: str = "somewhere",
        hosts: dict[MarketType, Hosts] = Words.hosts,
    ) -> None:
        self.network = MemoryNetwork()
        self.server = Server()
        self.network.listen(80, Site(self.server, reactor=self.network))
        self.sockets = WebSocketServerFactory("ws://localhost", reactor=self.network)
        self.sockets.protocol = Socket
        self.sockets.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, failByDrop=False)
        self.sockets.open, self.sockets.got = [], []
        self.network.listen(9443, self.sockets)
        self.tally = tally or Tally()
        self.inlet = Inlet(lambda: self.engine)
        config = Config(symbols=symbols, stale_after_s=3.0)
        made: list[Script] = []

        def make_engine(*arguments: Any, **options: Any) -> Any:
            made.append(Script(*arguments, **options))
            return made[-1]

        words = Words()
        words.id = exchange
        self.upstream = VenueService(
            words,  # type: ignore[arg-type]
            config,
            hosts,
            "custom",
            self.inlet,  # type: ignore[arg-type]
            self.network,
            self.network,
            Random(1),
            self.tally,
            PublishTimers(self.network),
            make_engine=make_engine,
        )
        [self.engine] = made

    def start(self) -> None:
        self.upstream.startService()
        self.network.settle()

    def connect(self) -> Any:
        """Have the engine ask for one connection; returns the server's side of it."""
        self.engine.answers["want"] = [[Connect("c1", "spot", URL)]]
        self.upstream.want([TICKER])
        self.network.settle()
        assert self.engine.named("opened") == [("c1",)]
        return self.sockets.open[-1]

    def state(self, **changes: Any) -> ExchangeReport:
        self.engine.state = evolve(self.engine.state, **changes)
        return self.upstream.report()

    def count(self, name: str) -> dict[tuple[str, ...], Any]:
        metric: Any = self.tally.metrics[f"cryptodash_upstream_{name}"]
        return dict(metric.values if hasattr(metric, "values") else metric.read())


def outcome(bench: Bench, coroutine: Any) -> Any:
    """The result of an async call, or the error it raised."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    bench.network.settle()
    assert results, "it has not ended"
    return results[0].value if isinstance(results[0], Failure) else results[0]


@pytest.fixture
def bench() -> Any:
    bench = Bench()
    bench.start()
    yield bench
    stop(bench)


def stop(bench: Bench) -> None:
    stopped = bench.upstream.stopService()
    bench.network.settle()
    bench.network.pass_time(2)
    assert stopped.called
    left = [
        call
        for call in bench.network.getDelayedCalls()
        if "HTTPChannel" not in repr(call) and "TimeoutMixin" not in repr(call)
    ]  # the servers own those
    assert left == [], "a timer was left behind"
    assert all(not wire.client.connected for wire in bench.network.wires), "a connection was left open"


def test_is_an_upstream(bench: Bench) -> None:
    assert verifyObject(IUpstream, bench.upstream)
    assert (bench.upstream.exchange, bench.upstream.source, bench.upstream.markets) == (
        "somewhere",
        "custom",
        (SPOT, PERPETUAL),
    )
    assert bench.upstream.intervals(SPOT) == ("1m",)
    assert bench.upstream.confirmed_at(TICKER) == 7.0 and list(bench.upstream.streams()) == [()]
    assert (
        bench.engine.options
        == {
            "stale_after": 3.0,
            "late_after_ms": 2000,
            "budget": None,
            "records": UNRECORDED,
            "audit_share": 0.05,
        }
        and bench.engine.catalogue is bench.upstream.catalogue
    )


def test_reads_the_catalogue_at_start_and_tells_the_hub_first(bench: Bench) -> None:
    assert len(bench.upstream.catalogue) == 3
    assert bench.engine.named("catalogue_changed") == [(SPOT,), (PERPETUAL,)]
    assert bench.inlet.news == [("somewhere", SPOT, 0), ("somewhere", PERPETUAL, 1)]


def test_follows_the_pages_of_a_catalogue(bench: Bench) -> None:
    bench.server.answers |= {"/spot/catalogue": b"A B+/page2", "/page2": b"C+/page3", "/page3": b"D"}
    bench.network.pass_time(10)
    assert outcome(bench, bench.upstream.refresh_catalogue()) == 5


def test_the_engine_hears_why_a_catalogue_cannot_be_read() -> None:
    bench = Bench()
    bench.server.answers["/spot/catalogue"] = 451
    bench.start()
    assert bench.engine.named("catalogue_failed") == [(SPOT, Cause.BLOCKED)]
    stop(bench)


@pytest.mark.parametrize(
    "broken", [500, b"<html>", b"", b"A+/spot/catalogue"], ids=["status", "maintenance page", "empty", "endless"]
)
def test_a_catalogue_that_cannot_be_read_is_tried_again_with_growing_pauses(broken: Any) -> None:
    bench = Bench()
    bench.server.answers["/spot/catalogue"] = broken
    bench.start()
    assert not bench.upstream.catalogue.loaded(SPOT) and bench.upstream.catalogue.loaded(PERPETUAL)
    bench.network.pass_time(3.2)
    tries = bench.server.paths.count("/spot/catalogue")
    assert tries in (3, 4) or broken == b"A+/spot/catalogue"
    bench.server.answers["/spot/catalogue"] = b"BTC"
    bench.network.pass_time(130, step=5)
    assert bench.upstream.catalogue.loaded(SPOT)
    stop(bench)


def test_the_catalogue_is_read_again_every_ten_minutes(bench: Bench) -> None:
    bench.state(idle=False)
    bench.network.pass_time(550, step=50)
    assert bench.server.paths.count("/spot/catalogue") == 1
    bench.network.pass_time(100, step=50)
    assert bench.server.paths.count("/spot/catalogue") == 2


def test_refreshing_is_shared_and_rare(bench: Bench) -> None:
    assert outcome(bench, bench.upstream.refresh_catalogue()) == 3
    assert bench.server.paths.count("/spot/catalogue") == 1, "it was read less than 10 s ago"
    bench.network.pass_time(10.5)
    bench.server.answers["/spot/catalogue"] = b"BTC ETH SOL"
    results: list[Any] = []
    for _ in range(3):
        Deferred.fromCoroutine(bench.upstream.refresh_catalogue()).addBoth(results.append)
    bench.network.settle()
    assert results == [4, 4, 4]
    assert bench.server.paths.count("/spot/catalogue") == 2


def test_a_failed_refresh_says_why_and_keeps_what_was_known(bench: Bench) -> None:
    bench.network.pass_time(10.5)
    bench.server.answers["/spot/catalogue"] = 451
    error = outcome(bench, bench.upstream.refresh_catalogue())
    assert isinstance(error, UpstreamError) and error.cause == "blocked"
    assert len(bench.upstream.catalogue) == 3
    again = outcome(bench, bench.upstream.refresh_catalogue())
    assert isinstance(again, UpstreamError), "the last result stands for 10 s"


def test_the_engine_may_ask_for_the_catalogue(bench: Bench) -> None:
    bench.engine.answers["want"] = [[Fetch(RestRequest(Purpose.CATALOGUE, PERPETUAL, "/whatever"))]]
    bench.upstream.want([TICKER])
    bench.network.settle()
    assert bench.server.paths.count("/perpetual/catalogue") == 2
    assert bench.engine.named("rest_answer") == []


def test_connects_sends_receives_and_disconnects(bench: Bench) -> None:
    socket = bench.connect()
    bench.engine.answers["received"] = [[QUOTE, Send("c1", b"hello")], [Disconnect("c1", "rollover")]]
    socket.sendMessage(b"frame 1")
    bench.network.settle()
    assert bench.engine.named("received") == [("c1", b"frame 1", bench.network.wall_ms())]
    assert QUOTE in bench.inlet.news and bench.sockets.got == [b"hello"]
    socket.sendPing(b"")
    bench.network.settle()
    assert bench.engine.named("heard") == [("c1",)]
    socket.sendMessage(b"frame 2")
    bench.network.settle()
    assert bench.engine.named("closed") == [("c1", Closed("local", code=1000, reason="rollover"))]
    assert bench.count("connects_total") == {("somewhere", "ok"): 1}
    assert bench.count("disconnects_total") == {("somewhere", "rollover"): 1}


def test_frames_of_one_long_turn_do_not_leave_together(bench: Bench) -> None:
    """The engine spaced them by its clock while the turn went on; the venue counts what arrives."""
    socket = bench.connect()
    bench.engine.answers["received"] = [[Send("c1", b"one"), Send("c1", b"two"), Send("c1", b"three")]]
    socket.sendMessage(b"frame")
    bench.network.settle()
    assert bench.sockets.got == [b"one"]
    bench.network.advance(0.29)
    bench.network.settle()
    assert bench.sockets.got == [b"one"]
    bench.network.advance(0.02)
    bench.network.settle()
    assert bench.sockets.got == [b"one", b"two"]
    bench.network.advance(0.31)
    bench.network.settle()
    assert bench.sockets.got == [b"one", b"two", b"three"]


def test_orders_for_connections_that_are_gone_are_nothing(bench: Bench) -> None:
    bench.engine.answers["drop"] = [[Send("gone", b"x"), Disconnect("gone", "idle", abort=True)]]
    bench.upstream.drop([TICKER])
    assert bench.engine.named("closed") == []


def test_a_failed_connection_is_told_and_counted(bench: Bench) -> None:
    class Forbidden(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.write(b"HTTP/1.1 451 No\r\n\r\n")

    bench.network.listen(9443, Factory.forProtocol(Forbidden))
    bench.engine.answers["want"] = [[Connect("c1", "spot", URL)]]
    bench.upstream.want([TICKER])
    bench.network.settle()
    [(connection, how)] = bench.engine.named("closed")
    assert (connection, how.kind, how.status) == ("c1", "http", 451)
    assert bench.count("connects_total") == {("somewhere", "http_4xx"): 1}
    report = bench.state(idle=False, streams=1, cause=Cause.BLOCKED, reason="try elsewhere")
    assert (report.status, report.cause) == ("offline", Cause.BLOCKED)
    assert "ws://stream.example:9443 " in report.reason and "451" in report.reason and "try elsewhere" in report.reason


def test_a_key_in_the_path_of_an_endpoint_is_shown_nowhere() -> None:
    bench = Bench(
        hosts=dict.fromkeys((SPOT, PERPETUAL), Hosts("ws://stream.example:9443/k3y", "http://api.example/k3y"))
    )
    keyed = "ws://stream.example:9443/k3y/stream"
    with capturedLogs() as logs:
        bench.start()
        assert "/k3y/spot/catalogue" in bench.server.paths
        bench.engine.answers["want"] = [[Connect("c1", "spot", keyed)], [Connect("c2", "spot", keyed)]]
        bench.upstream.want([TICKER])
        bench.network.settle()
        bench.sockets.open[-1].sendClose()
        bench.network.settle()
        bench.network.listen(9443, Factory.forProtocol(Protocol))
        bench.upstream.want([TICKER])
        bench.network.settle()
        bench.network.pass_time(11)
        error = outcome(bench, bench.upstream.refresh_catalogue())
    report = bench.state(idle=False, streams=1)
    assert (report.ws_url, report.rest_url) == ("ws://stream.example:9443", "http://api.example")
    shown = [formatEvent(each) for each in logs] + [str(report), str(error)]
    assert "http://api.example: status 404" in shown[-1]
    assert any("is open: ws://stream.example:9443" in each for each in shown)
    assert any("cannot be reached" in each for each in shown)
    assert not [each for each in shown if "k3y" in each]


def test_outputs_keep_their_order_when_publishing_causes_more(bench: Bench) -> None:
    first, second = StreamStatus(TICKER, State.CONNECTING), StreamStatus(TICKER, State.LIVE)
    nested = StreamStatus(BARS, State.CONNECTING)
    bench.engine.answers["want"] = [[first, second], [nested]]
    bench.inlet.news.clear()
    publish = bench.inlet.publish

    def greedy(event: Any) -> None:
        publish(event)
        if event is first:
            bench.upstream.want([BARS])

    bench.inlet.publish = greedy
    bench.upstream.want([TICKER])
    assert bench.inlet.news == [first, second, nested]


def test_rest_answers_and_failures_go_to_the_engine(bench: Bench) -> None:
    good, bad = RestRequest(Purpose.SNAPSHOT, SPOT, "/spot/time"), RestRequest(Purpose.POLL, SPOT, "/nothing")
    bench.engine.answers["want"] = [[Fetch(good), Fetch(bad)]]
    bench.engine.answers["rest_answer"] = [[QUOTE]]
    bench.upstream.want([TICKER])
    bench.network.settle()
    assert bench.engine.named("rest_answer") == [(good, b"1")]
    [(request, error)] = bench.engine.named("rest_failed")
    assert request == bad and isinstance(error, UpstreamError)
    assert QUOTE in bench.inlet.news


def test_ticks_at_the_deadline_and_keeps_one_timer(bench: Bench) -> None:
    def pending() -> int:
        return sum(1 for call in bench.network.getDelayedCalls() if "_tick" in repr(call))

    for seconds in (5.0, 3.0, 4.0):
        bench.engine.due = bench.network.monotonic() + seconds
        bench.upstream.want([TICKER])
        assert pending() == 1
    bench.engine.due = bench.network.monotonic() + 3.0
    bench.network.pass_time(2.9, step=0.1)
    assert bench.engine.named("tick") == []
    bench.network.pass_time(0.2, step=0.1)
    assert bench.engine.named("tick") == [()]
    assert pending() == 0, "no deadline, no timer"


def test_a_deadline_that_a_market_event_brought_forward_is_noticed(bench: Bench) -> None:
    bench.engine.due = bench.network.monotonic() + 60
    socket = bench.connect()
    bench.engine.answers["received"] = [[QUOTE]]
    bench.engine.due = bench.network.monotonic() + 0.1
    socket.sendMessage(b"data")
    bench.network.pass_time(0.5, step=0.05)
    assert bench.engine.named("tick") == [()]


def test_an_engine_that_fails_at_its_deadline_is_asked_again_a_second_later(bench: Bench) -> None:
    failing = True

    def tick() -> list[Output]:
        ticks.append(bench.network.seconds())
        if failing:
            raise RuntimeError("a bug")
        bench.engine.due = None
        return [QUOTE]

    ticks: list[float] = []
    bench.engine.tick = tick  # type: ignore[method-assign]
    bench.engine.due = bench.network.monotonic() + 1
    bench.upstream.want([TICKER])
    bench.network.pass_time(3.5, step=0.1)
    assert [round(when) for when in ticks] == [1, 2, 3]
    failing = False
    bench.network.pass_time(1, step=0.1)
    assert QUOTE in bench.inlet.news


def test_one_market_that_fails_does_not_keep_the_other_from_being_read(bench: Bench) -> None:
    bench.network.pass_time(10.5)
    bench.server.answers["/spot/catalogue"] = 500
    assert isinstance(outcome(bench, bench.upstream.refresh_catalogue()), UpstreamError)
    assert bench.server.paths.count("/perpetual/catalogue") == 2


def test_candles_are_sorted_once_each_and_not_beyond_the_end(bench: Bench) -> None:
    bench.server.answers["/candles"] = b"300 100 200 300 400"
    bars = outcome(bench, bench.upstream.candles(BARS, 2, 300))
    assert [bar.timestamp for bar in bars] == [200, 300]
    assert [bar.timestamp for bar in outcome(bench, bench.upstream.candles(BARS, 10, None))] == [100, 200, 300, 400]


def test_a_venue_that_must_be_told_the_end_is_told_its_own_time(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    def ending(self: Words, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        return RestRequest(Purpose.CANDLES, topic.market, f"/candles/{end_ms}", limit=limit, needs_end=end_ms is None)

    monkeypatch.setattr(Words, "candles_request", ending)
    bench.server.answers[f"/candles/{VENUE_MS}"] = b"100 200"
    assert [bar.timestamp for bar in outcome(bench, bench.upstream.candles(BARS, 2, None))] == [100, 200]
    assert "/candles/None" not in bench.server.paths


def test_a_running_bar_is_never_closed_by_a_local_clock_that_runs_fast(bench: Bench) -> None:
    """With ``end`` a closed last bar is kept for good: judged by our own clock, hours ahead, a running one would be."""
    running = VENUE_MS - VENUE_MS % 60_000
    bench.server.answers["/candles"] = b"%d %d" % (running - 60_000, running)
    assert bench.network.wall_ms() > running + 120_000, "our clock says that the bar is over"
    bars = outcome(bench, bench.upstream.candles(BARS, 2, running))
    assert [bar.closed for bar in bars] == [True, False]


def test_a_bar_from_the_future_in_an_answer_closes_nothing_and_is_counted(bench: Bench) -> None:
    running = VENUE_MS - VENUE_MS % 60_000
    bench.server.answers["/candles"] = b"%d %d %d" % (running - 60_000, running, running + 900 * 60_000)
    bars = outcome(bench, bench.upstream.candles(BARS, 3, None))
    assert [(bar.timestamp, bar.closed) for bar in bars] == [(running - 60_000, True), (running, False)]
    counter = bench.tally.metrics["cryptodash_candles_refused_total"]
    assert counter.values[("somewhere",)] == 1


def test_candles_that_cannot_be_had_say_why(bench: Bench) -> None:
    bench.server.answers["/candles"] = b"<html>"
    assert outcome(bench, bench.upstream.candles(BARS, 2, None)).cause == "disconnected"
    unknown = Topic("somewhere", SPOT, Symbol("NO", "USDT"), Channel.CANDLE, interval="1m")
    assert outcome(bench, bench.upstream.candles(unknown, 2, None)).cause == "rejected"
    too_early = outcome(bench, Bench().upstream.candles(BARS, 2, None))
    assert (too_early.cause, str(too_early)) == ("disconnected", "the catalogue of somewhere spot is not loaded yet")


def test_idle_means_probing_every_minute(bench: Bench) -> None:
    assert (bench.upstream.report().status, bench.upstream.report().idle) == ("online", True)
    bench.network.pass_time(125, step=5)
    assert bench.server.paths.count("/spot/time") == bench.server.paths.count("/perpetual/time") == 2
    bench.server.answers["/spot/time"] = 503
    bench.network.pass_time(60, step=5)
    report = bench.upstream.report()
    assert (report.status, report.cause) == ("degraded", Cause.MAINTENANCE) and "status 503" in report.reason
    bench.server.answers["/perpetual/time"] = 503
    bench.network.pass_time(60, step=5)
    assert bench.upstream.report().status == "maintenance"
    assert bench.count("up") == {("somewhere",): 0.0}
    bench.server.answers |= {"/spot/time": b"1", "/perpetual/time": b"1"}
    bench.network.pass_time(60, step=5)
    assert bench.upstream.report().status == "online"


def test_no_probe_while_somebody_wants_data(bench: Bench) -> None:
    bench.state(idle=False, streams=1, good_streams=1)
    bench.network.pass_time(200, step=5)
    assert "/spot/time" not in bench.server.paths


def test_idle_and_never_reached_is_offline() -> None:
    bench = Bench()
    assert (bench.upstream.report().status, bench.upstream.report().reason) == (
        "offline",
        "the catalogue is not read yet",
    )
    bench.network.unknown_names.add("api.example")
    bench.start()
    report = bench.upstream.report()
    assert (report.status, report.cause) == ("offline", Cause.DISCONNECTED) and "http://api.example" in report.reason
    stop(bench)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"streams": 4, "good_streams": 4}, ("online", None)),
        ({"streams": 4, "good_streams": 2, "cause": Cause.SILENT}, ("online", None)),
        ({"streams": 4, "good_streams": 1, "cause": Cause.SILENT}, ("degraded", Cause.SILENT)),
        ({"streams": 4, "good_streams": 0, "cause": Cause.BANNED}, ("offline", Cause.BANNED)),
        (
            {"streams": 4, "good_streams": 0, "cause": Cause.DISCONNECTED, "maintenance": True},
            ("maintenance", Cause.DISCONNECTED),
        ),
        ({"streams": 0, "good_streams": 0}, ("offline", None)),
    ],
)
def test_the_status_follows_the_data(bench: Bench, state: dict[str, Any], expected: tuple[str, Cause | None]) -> None:
    report = bench.state(idle=False, **state)
    assert (report.status, report.cause) == expected
    assert bool(report.reason) == (report.status != "online")


def test_a_failing_catalogue_degrades_a_venue_that_streams(bench: Bench) -> None:
    bench.network.pass_time(10.5)
    bench.server.answers["/perpetual/catalogue"] = 451
    outcome(bench, bench.upstream.refresh_catalogue())
    report = bench.state(idle=False, streams=1, good_streams=1)
    assert (report.status, report.cause) == ("degraded", Cause.BLOCKED)


def test_the_report_tells_where_and_how_much() -> None:
    topics = (
        parse_topic("somewhere:spot:NO-USDT"),
        parse_topic("somewhere:spot:BTC-USDT"),
        parse_topic("elsewhere:spot:NO-USDT"),
        parse_topic("somewhere:spot:*"),
    )
    bench = Bench(symbols=topics)
    assert bench.upstream.report().unknown_topics == ()
    bench.start()
    report = bench.state(
        idle=False, streams=3, good_streams=2, connections=1, last_message=bench.network.monotonic() - 2
    )
    assert report.unknown_topics == ("somewhere:spot:NO-USDT:ticker",)
    assert (report.exchange, report.name, report.ws_url, report.rest_url) == (
        "somewhere",
        "Somewhere",
        "wss://stream.example",
        "http://api.example",
    )
    assert report.rate_limits == {"": {"weight": 1000, "per_s": 60.0}}
    assert (report.connections, report.streams, report.good_streams, report.last_message) == (1, 3, 2, 2.0)
    assert bench.count("last_message_age_seconds") == {("somewhere",): 2.0}
    assert bench.count("used_weight") == {("somewhere",): 2.0}
    assert bench.count("banned_until_seconds") == {("somewhere",): 0.0}
    assert bench.count("connections") == {("somewhere", "live"): 0, ("somewhere", "connecting"): 0}
    stop(bench)


def test_topics_kept_warm_that_the_venue_lacks_are_logged_once() -> None:
    bench = Bench(symbols=(parse_topic("somewhere:spot:NO-USDT"), parse_topic("somewhere:spot:BTC-USDT")))
    with capturedLogs() as events:
        bench.start()
        bench.network.pass_time(10.5)
        outcome(bench, bench.upstream.refresh_catalogue())
    lines = [formatEvent(each) for each in events if each["log_namespace"] == "cryptodash.exchanges.service"]
    assert lines == ["SYMBOLS: somewhere has no such symbol: somewhere:spot:NO-USDT:ticker"]
    stop(bench)


def test_the_life_of_a_connection_is_logged_and_the_same_trouble_once(bench: Bench) -> None:
    def lines(events: Sequence[Any]) -> list[str]:
        return [
            formatEvent(each) for each in events if each["log_namespace"] == "cryptodash.exchanges.transport.sockets"
        ]

    with capturedLogs() as events:
        bench.connect()
        bench.engine.answers["drop"] = [[Disconnect("c1", "idle", abort=True)]]
        bench.upstream.drop([TICKER])
        bench.network.settle()
    assert lines(events) == ["c1 is open: ws://stream.example:9443", "c1 has ended: idle"]
    bench.network.unknown_names.add("nowhere.example")
    with capturedLogs() as events:
        for name in ("c2", "c3"):
            bench.engine.answers["want"] = [[Connect(name, "spot", "ws://nowhere.example/ws?token=secret")]]
            bench.upstream.want([TICKER])
            bench.network.settle()
    (line,) = lines(events)
    assert "ws://nowhere.example cannot be reached (dns)" in line and "secret" not in line


def test_streams_are_counted_by_state_and_the_clocks_compared(bench: Bench) -> None:
    assert set(bench.count("streams").values()) == {0}
    bench.engine.skew_ms = -250
    bench.engine.reports = [
        StreamReport("somewhere", "x", "c1", (TICKER,), state, None, 0.0, 1.0, None, 0, 0) for state in State
    ]
    found = {state: count for (_, state), count in bench.count("streams").items()}
    assert found == {"pending": 1, "subscribed": 2, "stale": 2, "rejected": 1}
    assert bench.count("clock_skew_seconds") == {("somewhere",): -0.25}


def test_what_a_survey_of_many_streams_found_is_rested_on_for_a_second(bench: Bench) -> None:
    bench.engine.reports = [StreamReport("somewhere", "x", "c1", (), State.LIVE, None, 0.0, 1.0, None, 0, 0)] * 500
    bench.upstream.report()
    assert bench.engine.surveys == 1
    for _ in bench.upstream.survey():
        """A step."""
    bench.upstream.report()
    bench.count("streams")
    assert bench.engine.surveys == 2
    bench.network.pass_time(2)
    bench.upstream.report()
    assert bench.engine.surveys == 3


def test_a_few_streams_are_looked_at_anew_for_each_report(bench: Bench) -> None:
    for _ in bench.upstream.survey():
        """A step."""
    bench.upstream.report()
    assert bench.engine.surveys == 2


def test_two_venues_share_the_gauges() -> None:
    tally = Tally()
    Bench(tally=tally)
    second = Bench(tally=tally, exchange="other")
    assert set(second.count("up")) == {("somewhere",), ("other",)}


def test_stopping_says_goodbye_and_tells_the_engine_nothing() -> None:
    bench = Bench()
    bench.start()
    socket = bench.connect()
    calls = len(bench.engine.calls)
    stopped = bench.upstream.stopService()
    bench.network.settle()
    assert stopped.called and socket.remoteCloseCode == 1000
    bench.upstream.want([TICKER])
    bench.upstream.drop([TICKER])
    assert len(bench.engine.calls) == calls
    stop(bench)


def test_stopping_does_not_wait_for_a_dead_peer_or_an_open_request() -> None:
    bench = Bench()

    def never(self: Any, request: Any) -> Any:
        return NOT_DONE_YET

    bench.start()
    bench.connect()
    for wire in bench.network.wires:
        wire.frozen = True
    bench.engine.answers["want"] = [[Fetch(RestRequest(Purpose.SNAPSHOT, SPOT, "/slow")), Connect("c2", "spot", URL)]]
    bench.network.deaf_ports.add(9443)
    bench.upstream.want([TICKER])
    bench.network.settle()
    stopped = bench.upstream.stopService()
    bench.network.pass_time(1.9, step=0.1)
    assert stopped.called
    assert bench.engine.named("rest_failed") == [] and bench.engine.named("closed") == []
    for wire in bench.network.wires:
        wire.frozen = False
    stop(bench)


def test_stopping_ends_a_request_for_candles(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.start()
    monkeypatch.setattr(type(bench.server), "render_GET", lambda self, request: NOT_DONE_YET)
    results: list[Any] = []
    Deferred.fromCoroutine(bench.upstream.candles(BARS, 2, None)).addErrback(
        lambda failure: results.append(failure.value)
    )
    bench.network.settle()
    assert results == []
    stop(bench)
    assert [each.cause for each in results] == ["disconnected"]
    after = outcome(bench, bench.upstream.candles(BARS, 2, None))
    assert isinstance(after, UpstreamError)


def test_stopping_while_the_catalogue_is_read() -> None:
    bench = Bench()
    bench.network.deaf_ports.add(80)
    bench.start()
    refreshed = Deferred.fromCoroutine(bench.upstream.refresh_catalogue())
    ends: list[Any] = []
    refreshed.addBoth(ends.append)
    stop(bench)
    assert len(ends) == 1 and isinstance(ends[0], Failure)


@pytest.mark.parametrize(
    ("endpoints", "spot", "perpetual", "source"),
    [
        ({}, ("wss://stream.example", "http://api.example"), ("wss://future.example", "http://api.example"), "live"),
        (
            {"somewhere_ws_url": "ws://x"},
            ("ws://x", "http://api.example"),
            ("wss://future.example", "http://api.example"),
            "custom",
        ),
        (
            {"somewhere_rest_url": "http://y"},
            ("wss://stream.example", "http://y"),
            ("wss://future.example", "http://y"),
            "custom",
        ),
        (
            {"somewhere_rest_url": "http://y", "somewhere_perpetual_rest_url": "http://z"},
            ("wss://stream.example", "http://y"),
            ("wss://future.example", "http://z"),
            "custom",
        ),
        (
            {"somewhere_perpetual_ws_url": "ws://p"},
            ("wss://stream.example", "http://api.example"),
            ("ws://p", "http://api.example"),
            "custom",
        ),
        (
            {"other_ws_url": "ws://x", "somewhere_ws_url": ""},
            ("wss://stream.example", "http://api.example"),
            ("wss://future.example", "http://api.example"),
            "live",
        ),
    ],
)
def test_overrides_replace_hosts_and_end_live(
    endpoints: dict[str, str], spot: tuple[str, str], perpetual: tuple[str, str], source: str
) -> None:
    hosts, made = hosts_of(Words(), Config(endpoints=endpoints))  # type: ignore[arg-type]
    assert hosts == {SPOT: Hosts(*spot), PERPETUAL: Hosts(*perpetual)}
    assert made == source
