"""OKX and the engine: an answer for each argument, text heartbeats, two paths, upgrades, snapshots that never come, and
a swap that is renamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random

from attrs import define, field

from cryptodash.core.events import Cause, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.connections.commands import (
    BookChanged,
    Closed,
    Connect,
    Disconnect,
    Fetch,
    Output,
    Publication,
    Send,
)
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.venues.okx.venue import VENUE

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
TICKER, BOOK = "perpetual:SPACEX-USDT:ticker", "perpetual:SPACEX-USDT:order_book:5"


@define(eq=False)
class Connection:
    """The venue's side of one connection."""

    key: str
    url: str
    sent: list[bytes] = field(factory=list)
    streams: list[tuple[str, str]] = field(factory=list)
    """(channel, instId) of what it carries."""


def instrument(market: MarketType, base: str) -> Instrument:
    swap = market is PERPETUAL
    native = f"{base}-USDT" + "-SWAP" * swap
    contract = Number("0.01") if swap else None
    return Instrument("okx", market, Symbol(base, "USDT"), native, Number("1"), Number("0.01"), contract_size=contract)


class Bench:
    """An engine for OKX, and a server that answers as the documents say. It knows no instrument of ``unknown``."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.catalogue = Catalogue("okx")
        self.bases = ["BTC", "ETH", "SPACEX"]
        self.unknown: set[str] = set()
        self.list_again()
        self.tally = Tally()
        self.engine = Engine(VENUE, VENUE.hosts, self.catalogue, self.clock, Random(1), self.tally)
        self.connections: dict[str, Connection] = {}
        self.gone: list[str] = []
        self.fetches: list[RestRequest] = []
        self.events: list[Publication] = []
        self._may_send: dict[str, float] = {}

    def list_again(self) -> None:
        for market in VENUE.markets:
            self.catalogue.replace(market, [instrument(market, base) for base in self.bases])

    def want(self, *topics: str) -> None:
        self.carry_out(self.engine.want([parse_topic(f"okx:{each}", default_depth=5) for each in topics]))
        self.advance(3)

    def carry_out(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Connect):
                self.connections[output.connection] = Connection(output.connection, output.url)
                self.carry_out(self.engine.opened(output.connection))
            elif isinstance(output, Send):
                self._may_send[output.connection] = self.clock.monotonic() + 0.1
                self._take(self.connections[output.connection], output.payload)
            elif isinstance(output, Disconnect):
                del self.connections[output.connection]
                self.gone.append(output.why)
                self.carry_out(self.engine.closed(output.connection, Closed("local")))
            elif isinstance(output, Fetch):
                self.fetches.append(output.request)
            else:
                self.events.append(output)

    def _take(self, connection: Connection, payload: bytes) -> None:
        connection.sent.append(payload)
        if payload == b"ping":
            self.receive(connection, b"pong")
            return
        request = json.loads(payload)
        for argument in request["args"]:
            channel, native = argument["channel"], argument["instId"]
            if native in self.unknown:
                message = f"Wrong URL or channel:{channel},instId:{native} doesn't exist. Please use the correct URL"
                self.say(connection, id=request["id"], event="error", code="60018", msg=message, connId="a4")
                continue
            if request["op"] == "subscribe":
                connection.streams.append((channel, native))
            else:
                connection.streams.remove((channel, native))
            self.say(connection, id=request["id"], event=request["op"], arg=argument, connId="a4")

    def say(self, connection: Connection, **document: object) -> None:
        self.receive(connection, json.dumps(document, separators=(",", ":")).encode())

    def receive(self, connection: Connection, frame: bytes) -> None:
        self.carry_out(self.engine.received(connection.key, frame, self.clock.wall_ms()))

    def push(self, channel: str, data: dict[str, object], native: str = "SPACEX-USDT-SWAP", action: str = "") -> None:
        """A data frame to whoever has its stream."""
        more = {"action": action} if action else {}
        stamped = {"ts": str(self.clock.wall_ms()), **data}
        for connection in list(self.connections.values()):
            if (channel, native) in connection.streams:
                argument = {"channel": channel, "instId": native}
                self.say(connection, **{"arg": argument, **more, "data": [stamped]})

    def advance(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        for _ in range(100_000):
            due = min(each for each in (self.engine.deadline(), *self._may_send.values()) if each is not None)
            if due > end:
                self.clock.advance(end - self.clock.monotonic())
                return
            self.clock.advance(max(due - self.clock.monotonic(), 0.001))
            for key, at in list(self._may_send.items()):
                if at <= self.clock.monotonic():
                    del self._may_send[key]
                    self.carry_out(self.engine.may_send(key))
            self.carry_out(self.engine.tick())
        raise AssertionError("the engine never comes to rest")

    def at(self, place: str) -> Connection:
        """The only connection of an endpoint."""
        (found,) = (each for key, each in self.connections.items() if key.startswith(f"okx-{place}-"))
        return found

    def status(self, text: str) -> StreamStatus:
        topic = self.topic(text)
        return [each for each in self.events if isinstance(each, StreamStatus) and each.topic is topic][-1]

    def topic(self, text: str) -> Topic:
        return parse_topic(f"okx:{text}", default_depth=5).upstream

    def figures(self, number: int, *, native: str = "SPACEX-USDT-SWAP") -> None:
        """Everything that a ticker is made of."""
        best = {"asks": [["101", "20", "0", "1"]], "bids": [["99", "10", "0", "1"]], "seqId": number}
        self.push("bbo-tbt", best, native)
        self.push("tickers", {"instId": native, "last": "100", "open24h": "80", "volCcy24h": "5"}, native)
        index = native.removesuffix("-SWAP")
        self.push("mark-price", {"instId": native, "markPx": "100"}, native)
        self.push("index-tickers", {"instId": index, "idxPx": "100"}, index)
        self.push("funding-rate", {"instId": native, "fundingRate": "0.0001", "fundingTime": ""}, native)


def depth(previous: int, number: int, size: str = "10") -> dict[str, object]:
    return {
        "asks": [["101", "20", "0", "1"]] if previous == -1 else [],
        "bids": [["99", size, "0", "1"]],
        "seqId": number,
        "prevSeqId": previous,
    }


def test_each_argument_has_its_answer_and_only_the_refused_one_is_closed() -> None:
    bench = Bench()
    bench.unknown = {"SPACEX-USDT-SWAP"}
    bench.want(TICKER, "perpetual:BTC-USDT:ticker", "perpetual:BTC-USDT:candle:1m")
    assert bench.at("swap-public").url == "wss://ws.okx.com/ws/v5/public"
    assert bench.at("swap-business").url == "wss://ws.okx.com/ws/v5/business"
    bench.figures(1, native="BTC-USDT-SWAP")
    assert (bench.status(TICKER).state, bench.status(TICKER).cause) == (State.CLOSED, Cause.REJECTED)
    assert bench.status("perpetual:BTC-USDT:ticker").state is State.LIVE
    ticker = [each for each in bench.events if isinstance(each, Ticker)][-1]
    assert (ticker.bid, ticker.bid_size, ticker.ask_size, ticker.change_pct_24h) == ("99", "0.10", "0.20", "25.000")
    requests = [each for each in bench.at("swap-public").sent if each != b"ping"]
    assert len(requests) <= 2  # one for all that was wanted then: no stream is asked for by itself


def test_heartbeats_are_text_and_keep_a_quiet_connection() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:trade")
    bench.advance(120)
    assert [each for each in bench.at("spot-public").sent if b"{" not in each] == [b"ping"] * 6
    assert not bench.gone


def test_an_upgrade_is_told_before_and_another_connection_takes_over_first() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:candle:1m")
    old = bench.at("spot-business")
    row = [str(bench.clock.wall_ms() // 60_000 * 60_000), "1", "2", "1", "2", "3", "4", "5", "0"]
    bench.say(old, arg={"channel": "candle1m", "instId": "BTC-USDT"}, data=[row])
    bench.say(old, event="notice", code="64008", msg="The connection will soon be closed for a service upgrade.")
    bench.advance(2)
    assert [each.streams for each in bench.connections.values() if each is not old] == [[("candle1m", "BTC-USDT")]]
    for connection in list(bench.connections.values()):
        bench.say(connection, arg={"channel": "candle1m", "instId": "BTC-USDT"}, data=[row])
    bench.advance(30)
    assert old.key not in bench.connections and len(bench.connections) == 1
    assert bench.status("spot:BTC-USDT:candle:1m").state.is_good


def test_no_more_books_share_a_connection_than_the_venue_advises() -> None:
    bench = Bench()
    bench.bases = [f"C{number}" for number in range(60)]
    bench.list_again()
    bench.want(*(f"spot:C{number}-USDT:order_book:5" for number in range(60)))
    bench.advance(10)
    carried = [len(each.streams) for key, each in bench.connections.items() if key.startswith("okx-spot-books-")]
    assert sum(carried) == 60 and max(carried) <= 24


def test_a_snapshot_that_never_comes_is_fetched_and_spliced() -> None:
    bench = Bench()
    bench.want(BOOK)
    for number in range(12):
        bench.push("books", depth(100 + number, 101 + number, str(number + 1)), action="update")
        bench.advance(0.5)
    (request,) = (each for each in bench.fetches if each.purpose is Purpose.SNAPSHOT)
    assert (request.path, dict(request.params)["sz"], request.instrument) == (
        "/api/v5/market/books",
        "400",
        instrument(PERPETUAL, "SPACEX"),
    )
    data = {**depth(-1, 105, "77"), "ts": str(bench.clock.wall_ms())}
    body = json.dumps({"code": "0", "msg": "", "data": [data]}).encode()
    bench.carry_out(bench.engine.rest_answer(request, body))
    assert bench.status(BOOK).state is State.LIVE
    (changed,) = (each for each in bench.events if isinstance(each, BookChanged))
    assert changed.book.top(5) == ([("99", "0.12")], [("101", "0.20")])
    assert len([each for each in bench.at("swap-books").sent if b"subscribe" in each]) == 1


def test_a_break_in_the_chain_asks_for_the_book_anew() -> None:
    bench = Bench()
    bench.want(BOOK)
    bench.push("books", depth(-1, 10), action="snapshot")
    assert bench.status(BOOK).state is State.LIVE
    bench.push("books", depth(11, 12), action="update")
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.RESYNCING, Cause.GAP)
    bench.advance(2)
    operations = [json.loads(each)["op"] for each in bench.at("swap-books").sent if each != b"ping"]
    assert operations == ["subscribe", "unsubscribe", "subscribe"]
    bench.push("books", depth(-1, 30), action="snapshot")
    assert bench.status(BOOK).state is State.LIVE


def test_a_renamed_swap_falls_silent_is_refused_and_leaves_the_catalogue() -> None:
    bench, others = Bench(), ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
    bench.want(TICKER, BOOK, "perpetual:BTC-USDT:ticker", "perpetual:ETH-USDT:ticker")
    bench.push("books", depth(-1, 10), action="snapshot")
    for number in range(60):
        for native in (*others, *(("SPACEX-USDT-SWAP",) if number % 7 == 0 else ())):
            bench.figures(number, native=native)
        bench.advance(1)
    assert bench.status(TICKER).state.is_good
    bench.unknown = {"SPACEX-USDT-SWAP"}  # from now on under its new name: its streams fall silent, its book goes on
    for number in range(140):
        bench.push("books", depth(10 + number, 11 + number), action="update")
        for native in others:
            bench.figures(100 + number, native=native)
        bench.advance(1)
        if number < 100:
            assert bench.status(TICKER).state.is_good
    told = [each for each in bench.events if isinstance(each, StreamStatus) and each.topic is bench.topic(TICKER)]
    assert [(each.state, each.cause) for each in told[-2:]] == [
        (State.STALE, Cause.SILENT),
        (State.CLOSED, Cause.REJECTED),
    ]
    assert bench.status(BOOK).state is State.LIVE  # what it shows is the venue's book
    bench.bases = ["BTC", "ETH", "SPCX"]
    bench.list_again()
    bench.carry_out(bench.engine.catalogue_changed(PERPETUAL))
    bench.advance(1)
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.CLOSED, Cause.DELISTED)
    bench.push("books", depth(150, 151), action="update")
    assert bench.status("perpetual:BTC-USDT:ticker").state is State.LIVE
    assert not bench.gone


def test_trades_that_the_venue_counts_and_did_not_send_are_missed() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:trade")
    for number, count in ((635, 1), (645, 10), (648, 2), (649, 1)):  # of 646 and 647-648 the first did not come
        figures = {"tradeId": str(number), "px": "100", "sz": "1", "side": "buy", "count": str(count)}
        bench.push("trades", {"instId": "BTC-USDT", **figures}, "BTC-USDT")
    assert [each.id for each in bench.events if isinstance(each, Trade)] == ["635", "645", "648", "649"]
    missed = bench.tally.counter("cryptodash_trades_missed_total", "", "exchange")
    assert missed.values == {("okx",): 1}
