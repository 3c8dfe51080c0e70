"""Odd data of one instrument, and what it may cost: that instrument, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from random import Random
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.logger import capturedLogs, formatEvent

from cryptodash.core.events import Candle, Cause, State, Sweep, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Counter, Tally
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import parse_topic
from cryptodash.exchanges.connections.commands import Connect, Disconnect, Send
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.venues.binance.venue import VENUE as BINANCE
from cryptodash.exchanges.venues.bybit.venue import VENUE as BYBIT
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import LIMITS, MadeUpVenue, make_instrument

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
LEFT_OUT = "cryptodash_upstream_left_out_total"
ERRORS = "cryptodash_upstream_decode_errors_total"


def count(tally: Tally, name: str) -> dict[tuple[str, ...], int]:
    """A counter's values; none where it is not there."""
    counter = tally.metrics.get(name)
    return {labels: value for labels, value in counter.values.items() if value} if isinstance(counter, Counter) else {}


@define
class Line:
    """A venue's engine, every connection of which opens at once and grants everything."""

    venue: Any
    market: MarketType
    natives: Sequence[tuple[str, str, str]]
    clock: ManualClock = field(factory=ManualClock)
    tally: Tally = field(factory=Tally)
    events: list[Any] = field(factory=list)
    gone: list[str] = field(factory=list)
    keys: list[str] = field(factory=list)
    sent: list[bytes] = field(factory=list)
    engine: Any = None

    def want(self, *topics: str) -> Line:
        catalogue = Catalogue(self.venue.id)
        step = Number("0.00000001")
        catalogue.replace(
            self.market,
            [
                Instrument(self.venue.id, self.market, Symbol(base, quote), native, step, step)
                for base, quote, native in self.natives
            ],
        )
        self.engine = Engine(self.venue, self.venue.hosts, catalogue, self.clock, Random(1), self.tally)
        self._obey(self.engine.want([parse_topic(f"{self.venue.id}:{self.market}:{each}") for each in topics]))
        for _ in range(40):
            self.pass_time(0.5)
        return self

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for key in self.keys:
            self.engine.heard(key)
            self._obey(self.engine.may_send(key))
        self._obey(self.engine.tick())

    def take(self, frame: str) -> None:
        self._obey(self.engine.received(self.keys[-1], frame.encode(), self.clock.wall_ms()))

    def state(self, name: str) -> State:
        (found,) = (each.state for each in chain.from_iterable(self.engine.streams()) if each.name == name)
        return found  # type: ignore[no-any-return]

    def _obey(self, outputs: Iterable[Any]) -> None:
        for each in outputs:
            if isinstance(each, Connect):
                self.keys.append(each.connection)
                self._obey(self.engine.opened(each.connection))
            elif isinstance(each, Send):
                self.sent.append(each.payload)
                self._answer(each.connection, json.loads(each.payload))
            elif isinstance(each, Disconnect):
                self.gone.append(each.why)
                self.keys.remove(each.connection)
            else:
                self.events.append(each)

    def _answer(self, key: str, said: dict[str, Any]) -> None:
        answer = {"success": True, "op": said.get("op"), "req_id": said.get("req_id")}
        answer = {"result": None, "id": said["id"]} if "id" in said else answer
        self._obey(self.engine.received(key, json.dumps(answer).encode(), self.clock.wall_ms()))


def kline(native: str, price: str, time: int = 1786539480000) -> str:
    bar = f'"o":"{price}","c":"{price}","h":"{price}","l":"{price}","v":"1.5"'
    return (
        f'{{"stream":"{native.lower()}@kline_1m","data":{{"e":"kline","E":{time + 1000},"s":"{native}","k":{{'
        f'"t":{time},"T":{time + 59999},"s":"{native}","i":"1m",{bar},"n":0,"x":false}}}}}}'
    )


def trade(native: str, number: int, quantity: str) -> str:
    return (
        f'{{"stream":"{native.lower()}@trade","data":{{"e":"trade","E":{1786539480000 + number},"s":"{native}",'
        f'"t":{number},"p":"64000.10","q":"{quantity}","T":{1786539480000 + number},"m":true,"M":true}}}}'
    )


BTC, NEW, ODD = ("BTC", "USDT", "BTCUSDT"), ("NEW", "USDT", "NEWUSDT"), ("ODD", "USDT", "ODDUSDT")


# -- zeros of one stream


@pytest.mark.parametrize("frames", [25, 80])
def test_zero_bars_of_an_idle_symbol_cost_the_other_streams_of_its_connection_nothing(frames: int) -> None:
    line = Line(BINANCE, SPOT, [BTC, NEW]).want("BTC-USDT:trade", "NEW-USDT:candle:1m")
    line.take(trade("BTCUSDT", 1, "0.5"))
    for _ in range(frames):
        line.take(kline("NEWUSDT", "0.00000000"))
    line.take(trade("BTCUSDT", 2, "0.5"))
    assert line.gone == []
    assert count(line.tally, ERRORS) == {}
    assert count(line.tally, LEFT_OUT) == {("binance", "candle"): frames}
    assert [each.id for each in line.events if isinstance(each, Trade)] == ["1", "2"]
    assert line.state("newusdt@kline_1m") is not State.LIVE
    line.take(kline("NEWUSDT", "0.5"))
    assert [each.close for each in line.events if isinstance(each, Candle)] == ["0.5"]


def test_a_trade_of_no_quantity_is_counted_and_ignored() -> None:
    line = Line(BINANCE, SPOT, [BTC]).want("BTC-USDT:trade")
    for number in range(1, 31):
        line.take(trade("BTCUSDT", number, "0.00000000" if number % 2 else "0.5"))
    assert line.gone == []
    assert (count(line.tally, ERRORS), count(line.tally, LEFT_OUT)) == ({}, {("binance", "trade"): 15})
    assert len([each for each in line.events if isinstance(each, Trade)]) == 15


def test_of_the_trades_and_bars_of_one_frame_only_the_zeros_are_left_out() -> None:
    line = Line(BYBIT, SPOT, [BTC]).want("BTC-USDT:trade", "BTC-USDT:candle:1m")

    def trades(*quantities: str) -> str:
        data = [
            {
                "i": f"{at}{each}",
                "T": 1786538700967,
                "p": "64103.9",
                "v": each,
                "S": "Sell",
                "s": "BTCUSDT",
                "BT": False,
            }
            for at, each in enumerate(quantities)
        ]
        return json.dumps({"topic": "publicTrade.BTCUSDT", "ts": 1786538700968, "data": data}, separators=(",", ":"))

    def bars(*prices: str) -> str:
        data = [
            {"start": 1786540380000 + 60_000 * at, "confirm": at == 0, "volume": "1"}
            | dict.fromkeys(("open", "high", "low", "close"), each)
            for at, each in enumerate(prices)
        ]
        return json.dumps({"topic": "kline.1.BTCUSDT", "ts": 1786540381441, "data": data}, separators=(",", ":"))

    for _ in range(2):  # once to make the stream live, once by the fast way
        line.take(trades("1", "0", "2"))
        line.take(trades("0.000"))
        line.take(bars("64000", "0"))
        line.take(bars("0"))
    found = [each.quantity for each in line.events if isinstance(each, Trade)]
    assert found[:2] == ["1", "2"] and line.gone == []
    assert {each.close for each in line.events if isinstance(each, Candle)} == {"64000"}
    assert count(line.tally, ERRORS) == {}
    assert count(line.tally, LEFT_OUT) == {("bybit", "trade"): 4, ("bybit", "candle"): 4}
    assert count(line.tally, "cryptodash_upstream_messages_total").get(("bybit", "trade")) == 2


def test_zeros_of_a_third_partys_venue_need_nothing_of_its_own() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:candle:1m", "spot:ETH-USDT:trade")
    bench.frame(wire.trade("ETHUSDT", 1, "100", bench.wall))
    for _ in range(60):
        bench.frame(wire.candle("BTCUSDT", bench.wall, "0.000"))
    assert bench.gone == []
    assert (count(bench.tally, ERRORS), count(bench.tally, LEFT_OUT)) == ({}, {("madeup", "candle"): 60})
    assert bench.state("spot:BTC-USDT:candle:1m") is State.CONNECTING


# -- unreadable frames of one stream


def test_what_one_stream_sends_costs_that_stream_only() -> None:
    bench = Bench()
    bench.want("spot:BTC-USDT:trade", "spot:ETH-USDT:trade")
    bench.frame(wire.trade("ETHUSDT", 1, "100", bench.wall))
    for number in range(80):
        bench.frame(wire.trade("BTCUSDT", number, "-1", bench.wall))
    bench.frame(wire.trade("ETHUSDT", 2, "100", bench.wall))
    assert bench.gone == []
    assert len(bench.published(Trade)) == 2


def test_unreadable_frames_of_several_streams_or_of_none_replace_the_connection() -> None:
    for frames in ((wire.trade("BTCUSDT", 1, "-1", 0), wire.trade("ETHUSDT", 1, "-1", 0)), (b"{", b"{")):
        bench = Bench()
        bench.want("spot:BTC-USDT:trade", "spot:ETH-USDT:trade")
        for at in range(60):
            if bench.servers:
                bench.frame(frames[at % 2])
        assert [why for _, why in bench.gone] == ["poison"]


def test_a_stream_whose_frames_cannot_be_read_does_not_make_its_connection_look_dead() -> None:
    bench = Bench()
    bench.want("perpetual:BTC-USDT:ticker", "perpetual:ETH-USDT:trade")
    for each in (wire.day("BTCUSDT", "100", 1), wire.mark("BTCUSDT", "100", 1), wire.quote("BTCUSDT", "99", "101", 1)):
        bench.frame(each)
    for number in range(100):
        bench.advance(1.0)
        bench.frame(wire.trade("ETHUSDT", number, "5", bench.wall))
        bench.frame(wire.day("BTCUSDT", "0.0", bench.wall))
        bench.frame(wire.mark("BTCUSDT", "-1", bench.wall))
    assert [why for _, why in bench.gone] == []
    assert bench.status("perpetual:BTC-USDT:ticker").cause is Cause.SILENT


# -- one odd row


def test_an_odd_row_of_an_all_market_frame_is_left_out_and_the_others_are_told() -> None:
    line = Line(BINANCE, PERPETUAL, [BTC, NEW, ODD]).want("*:ticker")

    def row(native: str, last: str) -> dict[str, object]:
        return {"e": "24hrTicker", "E": 1786539481000, "s": native} | dict.fromkeys("ohlvq", "2") | {"c": last}

    market = next(key for key in line.keys if "usdm-market" in key)
    line.keys.remove(market)
    line.keys.append(market)
    for last in ("1.5", "1.6"):
        rows = [row("BTCUSDT", last), row("ODDUSDT", "-1"), row("NEWUSDT", last), {"s": "X"}, None]
        line.take(json.dumps({"stream": "!ticker@arr", "data": rows}, separators=(",", ":")))
        line.pass_time(1.5)
    told = [
        (str(ticker.topic.symbol), ticker.last)
        for each in line.events
        if isinstance(each, Sweep)
        for ticker in each.tickers
    ]
    assert sorted(told) == [("BTC-USDT", "1.5"), ("BTC-USDT", "1.6"), ("NEW-USDT", "1.5"), ("NEW-USDT", "1.6")]
    assert (count(line.tally, ERRORS), count(line.tally, LEFT_OUT)) == ({}, {("binance", "sweep"): 6})
    assert count(line.tally, "cryptodash_upstream_messages_total").get(("binance", "sweep")) == 2


@pytest.mark.parametrize("odd", ["-1", "", "NaN", "0"])
def test_an_odd_row_of_a_sweep_by_rest_is_left_out(odd: str) -> None:
    bench = Bench()
    bench.want("spot:*:ticker")
    with capturedLogs() as logged:
        for at in range(3):
            (request,) = bench.fetches
            bench.answer(request, wire.sweep({"BTCUSDT": f"10{at}", "ETHUSDT": odd}, bench.wall))
            bench.advance(2.0)
    assert [[ticker.last for ticker in each.tickers] for each in bench.published(Sweep)] == [["100"], ["101"], ["102"]]
    assert (count(bench.tally, ERRORS), count(bench.tally, LEFT_OUT)) == ({}, {("madeup", "sweep"): 3})
    lines = [formatEvent(each) for each in logged if "left out" in str(each.get("log_format"))]
    assert len(lines) == 1 and "ETHUSDT" in lines[0]


def test_a_sweep_of_nothing_but_odd_rows_is_a_failure() -> None:
    bench = Bench()
    bench.want("spot:*:ticker")
    (request,) = bench.fetches
    bench.answer(request, wire.sweep({"BTCUSDT": "-1", "ETHUSDT": "-2"}, bench.wall))
    assert sum(count(bench.tally, ERRORS).values()) == 1


def test_what_is_logged_is_bounded() -> None:
    bench = Bench()
    bench.want("spot:*:ticker")
    (request,) = bench.fetches
    with capturedLogs() as logged:
        bench.answer(request, wire.sweep({"BTCUSDT": "100"} | {f"X{at}": "-1" for at in range(500)}, bench.wall))
    assert count(bench.tally, LEFT_OUT) == {("madeup", "sweep"): 500}
    assert len([each for each in logged if "left out" in str(each.get("log_format"))]) == 20


def test_the_row_of_an_instrument_whose_symbol_is_anothers_is_not_told_as_the_others() -> None:
    old = evolve(make_instrument(SPOT, "BTC", "USDT"), native="BTCUSDTSETTLED", status="halted")
    catalogue = Catalogue("madeup")
    catalogue.replace(SPOT, [make_instrument(SPOT, "BTC", "USDT"), old])
    bench = Bench(catalogue=catalogue)
    bench.want("spot:*:ticker")
    (request,) = bench.fetches
    bench.answer(request, wire.sweep({"BTCUSDT": "100", "BTCUSDTSETTLED": "7"}, bench.wall))
    assert [[ticker.last for ticker in each.tickers] for each in bench.published(Sweep)] == [["100"]]


# -- the bytes of a request


@pytest.mark.parametrize("letter", ["X", "币", "\U0001f600"])
@pytest.mark.parametrize(("venue", "market"), [(BINANCE, SPOT), (BINANCE, PERPETUAL), (BYBIT, SPOT)])
def test_no_request_is_longer_than_4096_bytes(venue: Any, market: MarketType, letter: str) -> None:
    names = [(f"{letter * 26}{at:04}", "USDT", f"{letter * 26}{at:04}") for at in range(100)]
    line = Line(venue, market, names).want(
        *(f"{base}-USDT:{kind}" for base, _, _ in names for kind in ("trade", "ticker"))
    )
    for _ in range(60):
        line.pass_time(0.5)
    requests = [json.loads(each) for each in line.sent if b"ping" not in each]
    asked = [name for each in requests for name in each.get("params", each.get("args", ()))]
    planned = {each.name for each in chain.from_iterable(line.engine.streams()) if not each.name.startswith("/")}
    timed = {each.timed.name for each in venue.endpoints.values() if each.timed is not None}
    assert set(asked) - timed == planned and len(planned) >= 200
    assert max(map(len, line.sent)) <= 4096
    line._obey(line.engine.drop([parse_topic(f"{venue.id}:{market}:{base}-USDT:trade") for base, _, _ in names]))
    for _ in range(60):
        line.pass_time(0.5)
    assert max(map(len, line.sent)) <= 4096


def test_a_stream_whose_request_alone_is_too_long_is_rejected_and_never_sent() -> None:
    bench = Bench(MadeUpVenue(evolve(LIMITS, max_request=90)))
    with capturedLogs() as logged:
        bench.catalogue.replace(SPOT, [make_instrument(SPOT, base, "USDT") for base in ("BTC", "X" * 40)])
        bench.want("spot:BTC-USDT:trade", f"spot:{'X' * 40}-USDT:trade")
        bench.advance(60.0)
    status = bench.status(f"spot:{'X' * 40}-USDT:trade")
    assert (status.state, status.cause) == (State.CLOSED, Cause.REJECTED)
    assert bench.subscribed() == {"trade:BTCUSDT"}
    assert not [request for _, request in bench.only.sent if "XXXX" in json.dumps(request)]
    assert len([each for each in logged if "is rejected" in str(each.get("log_format"))]) == 1
