"""The fault ``clock``: all that a venue writes is in the time of its clock, which steps; nothing else does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.fault_runner import UnknownFault
from cryptodash.simulator.intervals import MINUTE
from cryptodash.simulator.pace import Pace

STEPS = [0.5, 30.0, 3_600.0, -0.5, -30.0, -3_600.0]
NOW = frozenset({"E", "ts", "cts", "time", "serverTime", "closeTime"})
"""Members that hold the time at which something was written; of books and REST."""
BTC = ("binance", MarketType.SPOT, "BTC-USDT")

SPOT = ("btcusdt@trade", "btcusdt@aggTrade", "btcusdt@depth@100ms", "btcusdt@ticker", "btcusdt@kline_1m")
PUBLIC = ("btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@depth5", "btcusdt@bookTicker", "!bookTicker")
MARKET = ("btcusdt@aggTrade", "btcusdt@markPrice@1s", "btcusdt@kline_1m", "!miniTicker@arr", "!markPrice@arr")
TOPICS = (
    "publicTrade.BTCUSDT",
    "tickers.BTCUSDT",
    "kline.1.BTCUSDT",
    *(f"orderbook.{depth}.BTCUSDT" for depth in (1, 50, 1000)),
)
WIRES = [
    ("binance-spot", "/stream", (*SPOT, "btcusdt@kline_1s", "!miniTicker@arr")),
    ("binance-perpetual", "/public/stream", PUBLIC),
    ("binance-perpetual", "/market/stream", MARKET),
    ("bybit", "/v5/public/spot", TOPICS),
    ("bybit", "/v5/public/linear", TOPICS),
]


def _connect(world: Any, host: str, path: str, streams: tuple[str, ...]) -> Any:
    wire = world.connect(host, path)
    if host == "bybit":
        wire.say({"op": "subscribe", "args": list(streams)})
    else:
        wire.say({"method": "SUBSCRIBE", "params": list(streams), "id": 1})
    world.run(0.3)
    return wire


def _times(said: Any) -> Iterator[int]:
    """Every time of writing in a frame or an answer."""
    if isinstance(said, dict):
        yield from (int(value) for name, value in said.items() if name in NOW and value and int(value))
        for value in said.values():
            yield from _times(value)
    elif isinstance(said, list):
        for value in said:
            yield from _times(value)


def _data(wire: Any) -> list[Any]:
    return [frame for frame in wire.take() if "topic" in frame or "stream" in frame]


def _name(frame: Any) -> str:
    return str(frame.get("topic", frame.get("stream")))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("host", "path", "streams"), WIRES)
def test_every_frame_is_in_the_time_of_the_stepped_clock_and_every_stream_goes_on(
    world, host: str, path: str, streams: tuple[str, ...], step: float
) -> None:
    wire = _connect(world, host, path, streams)
    world.run(8)
    wire.take()
    exchange = host.partition("-")[0]
    for offset in (step, 0.0, step):
        if offset:
            world.simulator.faults.start(exchange, "clock", step=step, seconds=8)
        world.run(7.9)
        frames, now = _data(wire), world.clock.wall_ms() + round(offset * 1000)
        assert {_name(frame) for frame in frames} == set(streams)
        for frame in frames:
            times = list(_times(frame))
            assert times or "bookTicker" in _name(frame), frame
            assert all(now - 8_000 <= each <= now for each in times), frame
        world.run(0.1)
        wire.take()
    assert world.simulator.ledger.violations == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("host", "path", "query"),
    [
        ("binance-spot", "/api/v3/time", {}),
        ("binance-spot", "/api/v3/exchangeInfo", {}),
        ("binance-spot", "/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}),
        ("binance-spot", "/api/v3/trades", {"symbol": "BTCUSDT", "limit": 3}),
        ("binance-perpetual", "/fapi/v1/time", {}),
        ("binance-perpetual", "/fapi/v1/depth", {"symbol": "BTCUSDT"}),
        ("binance-perpetual", "/fapi/v1/openInterest", {"symbol": "BTCUSDT"}),
        ("binance-perpetual", "/fapi/v1/premiumIndex", {"symbol": "BTCUSDT"}),
        ("bybit", "/v5/market/time", {}),
        ("bybit", "/v5/market/orderbook", {"category": "linear", "symbol": "BTCUSDT"}),
        ("bybit", "/v5/market/recent-trade", {"category": "linear", "symbol": "BTCUSDT", "limit": 3}),
    ],
)
def test_every_rest_answer_is_in_the_time_of_the_stepped_clock(
    world, host: str, path: str, query: dict[str, Any], step: float
) -> None:
    world.run(1)
    world.json(host, path, **query)
    for offset in (step, 0.0):
        if offset:
            world.simulator.faults.start(host.partition("-")[0], "clock", step=step, seconds=5)
        world.run(4.9)
        now = world.clock.wall_ms() + round(offset * 1000)
        times = list(_times(world.json(host, path, **query)))
        assert times and all(now - 4_000 <= each <= now for each in times)
        world.run(0.1)


@pytest.mark.parametrize("step", STEPS)
def test_candles_are_made_of_the_trades_by_the_venues_clock(world, step: float) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")
    world.run(70)
    world.simulator.faults.start("binance", "clock", step=step, seconds=65)
    world.run(130)
    trades = wire.take()
    first = trades[0]["t"]
    begin = min(each["T"] for each in trades)
    for interval, length in (("1m", MINUTE), ("1s", 1_000)):
        end = max(each["T"] for each in trades)
        bars = {}
        for at in range(begin - begin % length, end, length * 900):
            rows = world.json(
                "binance-spot",
                "/api/v3/klines",
                symbol="BTCUSDT",
                interval=interval,
                startTime=at,
                endTime=min(end, at + length * 900),
                limit=1_000,
            )
            bars |= {row[0]: row for row in rows}
        counted: dict[int, list[Any]] = {}
        for each in trades:
            counted.setdefault(each["T"] - each["T"] % length, []).append(each)
        # The minute in which the test began had trades before; seconds are kept for twenty minutes.
        complete = {start: own for start, own in counted.items() if own[0]["t"] > first and start in bars}
        assert len(complete) >= (2 if length == MINUTE else 60)
        for start, own in complete.items():
            if abs(step) == 3_600.0 and start + 2 * MINUTE < world.clock.wall_ms():
                continue  # history that is lived through again: the bar holds what was made up for it as well
            prices = [each["p"] for each in own]
            assert (bars[start][8], bars[start][2], bars[start][3]) == (len(own), max(prices), min(prices)), interval


@pytest.mark.parametrize("step", STEPS)
def test_a_running_candle_is_never_of_another_time_than_the_clock(world, step: float) -> None:
    wire = world.connect("binance-spot", "/stream", {"streams": "btcusdt@kline_1m/btcusdt@kline_1s/btcusdt@kline_1h"})
    world.run(5)
    world.simulator.faults.start("binance", "clock", step=step, seconds=5)
    world.run(15)
    running = [frame["data"] for frame in wire.take() if not frame["data"]["k"]["x"]]
    assert len(running) > 10
    assert all(each["k"]["t"] <= each["E"] <= each["k"]["T"] for each in running)


@pytest.mark.parametrize("step", [70.0, -70.0, 3_600.0, -3_600.0])
def test_the_last_price_is_the_newest_trades_in_a_minute_that_is_lived_through_again(world, step: float) -> None:
    """The minute holds trades of before, and none yet of now."""
    streams = ("nearusdt@ticker", "nearusdt@miniTicker")
    wires = {
        ("binance", "spot"): _connect(world, "binance-spot", "/stream", streams),
        ("binance", "perpetual"): _connect(world, "binance-perpetual", "/market/stream", streams),
        ("bybit", "spot"): _connect(world, "bybit", "/v5/public/spot", ("tickers.NEARUSDT",)),
        ("bybit", "perpetual"): _connect(world, "bybit", "/v5/public/linear", ("tickers.NEARUSDT",)),
    }
    world.run(30)
    for wire in wires.values():
        wire.take()
    for exchange in ("binance", "bybit"):
        world.simulator.faults.start(exchange, "clock", step=step, seconds=65)
    seen = dict.fromkeys(wires, 0)
    for _ in range(2_800):
        world.run(0.05)
        for (exchange, market), wire in wires.items():
            instrument = world.simulator.truth.instrument(exchange, MarketType(market), "NEAR-USDT")
            for frame in _data(wire):
                shown = frame["data"].get("c", frame["data"].get("lastPrice"))
                if shown is not None:
                    assert Decimal(shown) == Decimal(instrument.spec.price(instrument.last_price)), (exchange, market)
                    seen[exchange, market] += 1
            day = instrument.candles.day()
            assert day.low <= day.close <= day.high
    assert min(seen.values()) > 0


def test_an_instrument_nobody_watched_comes_along_with_the_clock(world) -> None:
    instrument = world.simulator.truth.instrument(*BTC)
    for step in (3_600.0, -3_600.0, -7.0):
        world.simulator.faults.start("binance", "clock", step=step, seconds=3_600)
        world.clock.advance(600)
        now = world.clock.wall_ms() + round(step * 1000)
        rows = world.json("binance-spot", "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=5)
        assert [row[0] for row in rows] == [now - now % MINUTE - back * MINUTE for back in (4, 3, 2, 1, 0)]
        trades = world.json("binance-spot", "/api/v3/trades", symbol="BTCUSDT", limit=5)
        assert all(now - 10_000 < each["time"] <= now for each in trades)
        assert instrument.time == world.clock.wall_ms()
        world.simulator.faults.stop()


def test_an_instrument_is_first_asked_for_under_a_stepped_clock(world) -> None:
    world.run(5)
    world.simulator.faults.start("bybit", "clock", step=1_000.0)
    now = world.clock.wall_ms() + 1_000_000
    query = {"category": "spot", "symbol": "SOLUSDT"}
    trades = world.json("bybit", "/v5/market/recent-trade", **query)["result"]["list"]
    assert len(trades) > 5 and all(now - 125_000 <= int(each["time"]) <= now for each in trades)
    (row, *_) = world.json("bybit", "/v5/market/kline", **query, interval="1")["result"]["list"]
    assert int(row[0]) == now - now % MINUTE


def test_what_was_before_a_step_keeps_its_time(world) -> None:
    query = {"category": "spot", "symbol": "SOLUSDT"}
    world.json("bybit", "/v5/market/recent-trade", **query)
    world.run(30)
    world.simulator.faults.start("bybit", "clock", step=1_000.0)
    trades = world.json("bybit", "/v5/market/recent-trade", **query)["result"]["list"]
    assert trades and all(int(each["time"]) <= world.clock.wall_ms() for each in trades)


def test_steps_of_several_faults_add_up(world) -> None:
    faults, clock = world.simulator.faults, world.simulator.hosts["binance-spot"].clock
    faults.start("binance", "clock", step=10.0)
    faults.start("binance", "clock", step=-2.5, market="spot")
    other = world.simulator.hosts["binance-perpetual"].clock
    now = world.clock.wall_ms()
    assert (clock.wall_ms() - now, other.wall_ms() - now) == (7_500, 10_000)
    assert world.simulator.hosts["bybit"].clock.wall_ms() == now
    faults.stop(market="spot")
    assert clock.wall_ms() - now == 10_000
    faults.stop()
    assert (clock.wall_ms(), other.wall_ms()) == (now, now)


@pytest.mark.parametrize("step", [3_600.0, -3_600.0])
def test_limits_heartbeats_and_lives_are_measured_by_a_clock_that_does_not_step(world, step: float) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")
    for _ in range(5):
        wire.say({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    world.get("binance-spot", "/api/v3/exchangeInfo")
    world.simulator.faults.start("binance", "clock", step=step, seconds=30)
    used = world.get("binance-spot", "/api/v3/ping").headers["X-MBX-USED-WEIGHT-1M"]
    assert used == "21"
    world.run(61)
    assert world.get("binance-spot", "/api/v3/ping").headers["X-MBX-USED-WEIGHT-1M"] == "1"
    assert wire.pings and wire.ended is None
    world.simulator.faults.start("binance", "clock", step=step, seconds=30)
    new = world.connect("binance-spot", "/ws/btcusdt@trade")
    world.simulator.faults.start("binance", "cut24h", seconds=60)
    world.run(5)
    assert new.ended is None
    world.run(6)
    assert new.ended == (1001, "going away")
    assert world.simulator.ledger.violations == []


@pytest.mark.parametrize(
    ("exchange", "options", "message"),
    [
        ("binance", {}, "clock needs a step: seconds, at most 3600 forward, or back if negative"),
        ("binance", {"step": 0.0}, "clock needs a step"),
        ("binance", {"step": 0.0001}, "clock needs a step"),
        ("binance", {"step": 3_601.0}, "clock needs a step"),
        ("binance", {"step": float("nan")}, "clock needs a step"),
        ("binance", {"step": 1.0, "symbol": "BTC-USDT"}, "clock concerns the whole venue: no symbol, please"),
        ("binance", {"step": 1.0, "delay": 1.0}, "clock takes no delay"),
        ("bybit", {"step": 1.0, "market": "spot"}, "clock concerns all markets of bybit, which are on one host"),
    ],
)
def test_what_cannot_be_stepped_is_refused_with_the_reason(
    world, exchange: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownFault, match=re.escape(message)):
        world.simulator.faults.start(exchange, "clock", **options)
    assert world.simulator.faults.active == []


def test_it_is_reported_with_its_step(world) -> None:
    fault = world.simulator.faults.start("binance", "clock", step=-1.5, market="spot")
    assert fault.report() == {"exchange": "binance", "fault": "clock", "market": "spot", "step": -1.5}


def test_a_pace_is_kept_through_steps_of_the_clock() -> None:
    pace = Pace(1_000)
    taken = [now for now in (0, 100, 949, 950, 1_800, 9_000, 9_100, 500, 600, 1_450) if pace.take(now)]
    assert taken == [0, 950, 9_000, 500, 1_450]
