"""The engine with Kraken's rules: one depth of a pair on a connection, what follows a wrong checksum, one answer for
each pair, bars without a flag."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from cryptodash.core.events import Candle, Cause, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import parse_topic
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Send
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.venues.kraken.book import checksum
from cryptodash.exchanges.venues.kraken.venue import VENUE

SPOT = MarketType.SPOT


class Venue:
    """Kraken's side of an engine's connections: grants everything, one answer a pair."""

    def __init__(self) -> None:
        catalogue = Catalogue("kraken")
        symbols = [Symbol(base, "USD") for base in ("BTC", "ETH")]
        step = Number("0.00000001")
        catalogue.replace(
            SPOT, [Instrument("kraken", SPOT, each, "/".join(each), Number("0.1"), step) for each in symbols]
        )
        self.clock = ManualClock(1_786_562_900_000)
        self.engine = Engine(VENUE, VENUE.hosts, catalogue, self.clock, Random(1), Tally())
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.refused: set[str] = set()
        self.events: list[Any] = []
        self.may_send: dict[str, float] = {}
        self.connections: list[str] = []

    def carry_out(self, outputs: Any) -> None:
        for output in outputs:
            if isinstance(output, Connect):
                self.connections.append(output.connection)
                self.carry_out(self.engine.opened(output.connection))
            elif isinstance(output, Send):
                self.may_send[output.connection] = self.clock.monotonic() + 0.3
                self._take(output.connection, json.loads(output.payload))
            elif isinstance(output, Disconnect):
                self.connections.remove(output.connection)
                self.carry_out(self.engine.closed(output.connection, Closed("local")))
            else:
                self.events.append(output)

    def _take(self, key: str, request: dict[str, Any]) -> None:
        if request["method"] == "ping":
            self.says(key, {"method": "pong", "req_id": request["req_id"]})
            return
        self.sent.append((key, request))
        params = {name: value for name, value in request["params"].items() if name != "symbol"}
        for symbol in request["params"]["symbol"]:
            head = {"method": request["method"], "req_id": request["req_id"]}
            if symbol in self.refused:
                self.says(key, {**head, "error": "Currency pair not supported", "success": False, "symbol": symbol})
            else:
                self.says(key, {**head, "result": {**params, "symbol": symbol}, "success": True})

    def says(self, key: str, frame: object) -> None:
        raw = frame if isinstance(frame, str) else json.dumps(frame, separators=(",", ":"))
        self.carry_out(self.engine.received(key, raw.encode(), self.clock.wall_ms()))

    def want(self, *topics: str) -> None:
        self.carry_out(self.engine.want([parse_topic(f"kraken:spot:{each}", default_depth=10) for each in topics]))
        self.run(2.0)

    def drop(self, *topics: str) -> None:
        self.carry_out(self.engine.drop([parse_topic(f"kraken:spot:{each}", default_depth=10) for each in topics]))
        self.run(2.0)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.1)):
            self.clock.advance(0.1)
            for key, at in list(self.may_send.items()):
                if at <= self.clock.monotonic():
                    del self.may_send[key]
                    self.carry_out(self.engine.may_send(key))
            for key in self.connections:
                self.engine.heard(key)
            self.carry_out(self.engine.tick())

    def asked(self) -> list[tuple[str, str, Any, list[str]]]:
        """What was asked for since the last time: by which connection, how, at which depth or interval, of which
        pairs."""
        found = []
        for key, request in self.sent:
            params = request["params"]
            found.append((key, request["method"], params.get("depth", params.get("interval")), params["symbol"]))
        self.sent.clear()
        return found

    def status(self, topic: str = "BTC-USD:order_book") -> tuple[State, Cause | None]:
        name = f"kraken:spot:{topic}"
        last = [each for each in self.events if isinstance(each, StreamStatus) and str(each.topic) == name][-1]
        return last.state, last.cause


def book_frame(kind: str, pair: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]], total: int) -> str:
    sides = [",".join(f'{{"price":{price},"qty":{size}}}' for price, size in side) for side in (bids, asks)]
    data = f'{{"symbol":"{pair}","bids":[{sides[0]}],"asks":[{sides[1]}],"checksum":{total}}}'
    return f'{{"channel":"book","type":"{kind}","data":[{data}]}}'


BIDS, ASKS = [(Number("100.0"), Number("1.50"))], [(Number("101.0"), Number("0.00005100"))]


def snapshot() -> str:
    return book_frame("snapshot", "BTC/USD", BIDS, ASKS, checksum(BIDS, ASKS))


def test_a_book_whose_checksum_is_wrong_is_subscribed_to_anew_at_its_depth() -> None:
    venue = Venue()
    venue.want("BTC-USD:order_book:10")
    ((key, *asked),) = venue.asked()
    assert asked == ["subscribe", 10, ["BTC/USD"]]
    venue.says(key, snapshot())
    assert venue.status() == (State.LIVE, None)
    venue.says(key, book_frame("update", "BTC/USD", [("99.0", "1")], [], 1))
    assert venue.status() == (State.RESYNCING, Cause.CHECKSUM)
    venue.run(3.0)
    assert venue.asked() == [(key, "unsubscribe", 10, ["BTC/USD"]), (key, "subscribe", 10, ["BTC/USD"])]
    venue.says(key, book_frame("update", "BTC/USD", [("98.0", "1")], [], 2))
    assert venue.status() == (State.RESYNCING, Cause.CHECKSUM), "what comes before the snapshot is of no use"
    venue.says(key, snapshot())
    assert venue.status() == (State.LIVE, None)


def test_two_depths_of_a_pair_never_share_a_connection() -> None:
    venue = Venue()
    venue.want("BTC-USD:order_book:10", "ETH-USD:order_book:10", "BTC-USD:ticker")
    (first,) = venue.connections
    other = ("subscribe", None, ["BTC/USD"])
    assert [each[1:] for each in venue.asked()] == [("subscribe", 10, ["BTC/USD", "ETH/USD"]), other, other]
    venue.says(first, snapshot())
    venue.want("BTC-USD:order_book:100")
    venue.run(2.0)
    (second,) = [key for key, *asked in venue.asked() if asked == ["subscribe", 100, ["BTC/USD"]]]
    assert second != first
    venue.says(second, snapshot())
    assert venue.status() == (State.LIVE, None)


def trade_frame(number: int, price: str, time: str) -> str:
    data = f'{{"symbol":"BTC/USD","side":"buy","price":{price},"qty":2.0,"trade_id":{number},"timestamp":"{time}"}}'
    return f'{{"channel":"trade","type":"snapshot","data":[{data}]}}'


def test_a_ticker_follows_the_trades_while_the_best_prices_stay() -> None:
    venue = Venue()
    venue.want("BTC-USD:ticker")
    (key,) = venue.connections
    figures = '"last":100.5,"volume":7.0,"low":90.0,"high":110.0,"change":0.5,"change_pct":0.50'
    best = '"bid":100.0,"bid_qty":1.0,"ask":101.0,"ask_qty":2.0'
    data = f'{{"symbol":"BTC/USD",{best},{figures},"timestamp":"2026-08-12T19:28:21.5Z"}}'
    venue.says(key, trade_frame(6, "99.0", "2026-08-12T19:28:20Z"))
    venue.says(key, f'{{"channel":"ticker","type":"snapshot","data":[{data}]}}')
    venue.says(key, trade_frame(7, "101.0", "2026-08-12T19:28:22Z"))
    told = [each for each in venue.events if isinstance(each, Ticker)]
    assert [each.last for each in told if each.bid] == ["99.0", "100.5", "101.0"]
    assert (told[-1].bid, told[-1].ask, told[-1].open_24h) == ("100.0", "101.0", "100.0")
    assert venue.status("BTC-USD:ticker") == (State.LIVE, None)


def test_the_first_trade_of_a_pair_brings_no_figures_of_1970() -> None:
    venue = Venue()
    venue.want("BTC-USD:ticker")
    (key,) = venue.connections
    zeros = '"last":0.0,"volume":0.0,"vwap":0.0,"low":0.0,"high":0.0,"change":0.0,"change_pct":0.00'
    best = '"bid":100.0,"bid_qty":1.0,"ask":102.0,"ask_qty":2.0'
    data = f'{{"symbol":"BTC/USD",{best},{zeros},"timestamp":"1970-01-01T00:00:00.000000Z"}}'
    venue.says(key, f'{{"channel":"ticker","type":"snapshot","data":[{data}]}}')
    venue.says(key, trade_frame(1, "101.0", "2026-08-12T19:28:22Z"))
    (told,) = [each for each in venue.events if isinstance(each, Ticker)]
    assert (told.bid, told.last, told.stats_time, told.change_24h) == ("100.0", "101.0", None, None)


def test_a_pair_that_is_refused_takes_no_other_with_it() -> None:
    venue = Venue()
    venue.refused.add("ETH/USD")
    venue.want("BTC-USD:trade", "ETH-USD:trade")
    (key,) = venue.connections
    venue.says(key, trade_frame(7, "1.0", "2026-08-12T19:28:20Z"))
    assert venue.status("ETH-USD:trade")[1] is Cause.REJECTED
    assert venue.status("BTC-USD:trade")[0] is State.LIVE
    assert [each.id for each in venue.events if isinstance(each, Trade)] == ["7"]


def bars_frame(kind: str, sent: str, *bars: tuple[str, str]) -> str:
    data = [
        f'{{"symbol":"BTC/USD","open":1.0,"high":9.0,"low":1.0,"close":{close},"trades":1,"volume":2.50,"vwap":1.0,'
        f'"interval_begin":"2026-08-12T{begin}:00.000000000Z","interval":1,"timestamp":"2026-08-12T19:59:00Z"}}'
        for begin, close in bars
    ]
    return f'{{"channel":"ohlc","type":"{kind}","timestamp":"2026-08-12T{sent}Z","data":[{",".join(data)}]}}'


def test_a_bar_is_closed_by_the_next_one_with_its_last_figures() -> None:
    venue = Venue()
    venue.want("BTC-USD:candle:1m")
    (key,) = venue.connections
    venue.says(key, bars_frame("snapshot", "19:28:22", ("19:27", "2.0"), ("19:28", "3.0")))
    venue.says(key, bars_frame("update", "19:28:23", ("19:28", "4.0")))
    venue.says(key, bars_frame("update", "19:29:01", ("19:29", "5.0")))
    told = [
        (each.timestamp // 60_000 % 60, each.close, each.closed) for each in venue.events if isinstance(each, Candle)
    ]
    first = [(27, "2.0", True), (28, "3.0", False)]
    assert told == [*first, (28, "4.0", False), (28, "4.0", True), (29, "5.0", False)]


def test_a_book_of_which_a_frame_cannot_be_read_is_begun_anew_though_the_next_checksum_is_right() -> None:
    venue = Venue()
    venue.want("BTC-USD:order_book:25")
    ((key, *_),) = venue.asked()
    bids = [(Number(f"{100 - place}.0"), Number("1.50")) for place in range(12)]
    venue.says(key, book_frame("snapshot", "BTC/USD", bids, ASKS, checksum(bids[:10], ASKS)))
    assert venue.status() == (State.LIVE, None)
    # The checksum covers ten levels a side, and this changes the twelfth: no later frame shows that it is missing.
    venue.says(key, book_frame("update", "BTC/USD", [("89.0", "null")], [], 1))
    asks = [(ASKS[0][0], Number("7.0"))]
    venue.says(key, book_frame("update", "BTC/USD", [], asks, checksum(bids[:10], asks)))
    assert venue.status() == (State.RESYNCING, Cause.GAP)
    venue.run(3.0)
    assert venue.asked() == [(key, "unsubscribe", 25, ["BTC/USD"]), (key, "subscribe", 25, ["BTC/USD"])]
    venue.says(key, book_frame("snapshot", "BTC/USD", bids, asks, checksum(bids[:10], asks)))
    assert venue.status() == (State.LIVE, None)
