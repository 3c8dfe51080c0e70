"""Candles of the simulated market: coarse bars are the sum of their parts, live bars are the sum of the trades."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar, merged, split
from cryptodash.simulator.intervals import DAY, HOUR, INTERVALS, MINUTE, QUARTER, closes, opens

BTC = ("binance", MarketType.SPOT, "BTC-USDT")


PRICES = st.integers(1, 10**8)


@settings(max_examples=60, deadline=None)
@given(
    prices=st.tuples(PRICES, PRICES, PRICES, PRICES),
    count=st.integers(0, 20_000),
    more=st.integers(0, 10**12),
    guides=st.lists(st.tuples(PRICES, PRICES, PRICES, PRICES), min_size=60, max_size=60),
    weights=st.lists(st.integers(1, 10**6), min_size=60, max_size=60),
)
def test_parts_of_a_bar_add_up_to_it_exactly(prices, count, more, guides, weights) -> None:
    low, *inner, high = sorted(prices)
    if not count:
        low = high = inner[0] = inner[1] = prices[0]
    volume = count + more if count else 0
    parent = Bar(
        0, inner[0], high, low, inner[1], volume, volume * low, volume // 3, volume * low // 3, count, first=77
    )
    parts = split(parent, MINUTE, [(0, max(each), min(each), each[3]) for each in guides], weights)
    assert merged(0, parts) == parent
    for part in parts:
        assert part.low <= part.open <= part.high
        assert part.low <= part.close <= part.high
        assert part.volume >= part.count
        assert 0 <= part.buy_volume <= part.volume
        assert (part.count == 0) == (part.volume == 0)
        assert part.count or part.low == part.high


def test_a_bar_without_trades_does_not_touch_the_range() -> None:
    flat = Bar(0, 50, 50, 50, 50)
    traded = Bar(MINUTE, 90, 95, 85, 92, volume=3, turnover=270, count=3, first=11)
    assert merged(0, [flat, traded, Bar(2 * MINUTE, 92, 92, 92, 92)]) == Bar(0, 90, 95, 85, 92, 3, 270, 0, 0, 3, 11)
    assert merged(0, []) is None


@pytest.mark.parametrize(
    ("interval", "at", "start", "end"),
    [
        ("1m", 1_763_811_234_567, 1_763_811_180_000, 1_763_811_240_000),
        ("3m", 1_763_811_234_567, 1_763_811_180_000, 1_763_811_360_000),
        ("4h", 1_763_811_234_567, 1_763_798_400_000, 1_763_812_800_000),
        ("1d", 1_763_811_234_567, 1_763_769_600_000, 1_763_856_000_000),
        ("1w", 1_763_811_234_567, 1_763_337_600_000, 1_763_942_400_000),  # Monday 2025-11-17
        ("1M", 1_763_811_234_567, 1_761_955_200_000, 1_764_547_200_000),  # November 2025
        ("1M", 1_766_000_000_000, 1_764_547_200_000, 1_767_225_600_000),  # December ends in the new year
    ],
)
def test_intervals_open_and_close_where_the_calendar_says(interval: str, at: int, start: int, end: int) -> None:
    assert opens(interval, at) == start
    assert closes(interval, start) == end


def test_longer_intervals_are_aggregates_of_shorter_ones_across_history_and_present(world) -> None:
    now = world.clock.wall_ms()
    instrument = world.simulator.truth.instrument(*BTC)
    instrument.catch_up(now)
    candles = instrument.candles
    minutes = {bar.start: bar for bar in candles.candles("1m", None, now, 3_000)}
    assert len(minutes) == 3_000
    for interval in ("3m", "5m", "15m", "30m", "1h", "2h", "4h"):
        for bar in candles.candles(interval, None, now, 6):
            parts = [minutes[at] for at in range(bar.start, min(closes(interval, bar.start), now), MINUTE)]
            assert merged(bar.start, parts) == bar, interval
    hours = {bar.start: bar for bar in candles.candles("1h", None, now, 24 * 50)}
    for interval in ("1d", "3d", "1w", "1M"):
        bar = candles.candles(interval, None, now, 1)[0]
        assert merged(bar.start, [hours[at] for at in range(bar.start, now, HOUR)]) == bar, interval


def test_history_reaches_back_far_enough_for_every_interval(world) -> None:
    candles = world.simulator.truth.instrument(*BTC).candles
    counts = {interval: len(candles.candles(interval, None, world.clock.wall_ms(), 1_500)) for interval in INTERVALS}
    assert all(counts[interval] == 1_500 for interval in ("1m", "5m", "15m", "1h", "4h"))
    assert counts["1d"] > 1_000
    assert counts["1M"] >= 36


def test_trade_ids_of_history_are_counted_without_a_hole(world) -> None:
    bars = world.simulator.truth.instrument(*BTC).candles.candles("1h", None, world.clock.wall_ms(), 200)
    for before, after in itertools.pairwise(bars):
        assert before.first + before.count == after.first
        assert before.close == after.open or after.start == bars[-1].start


def test_live_candles_are_made_of_the_trades_that_were_sent(world) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")
    start = opens("1m", world.clock.wall_ms()) + MINUTE
    world.run(130)
    trades = [trade for trade in wire.take() if trade.get("e") == "trade"]
    for at in (start, start + MINUTE):
        inside = [trade for trade in trades if at <= trade["T"] < at + MINUTE]
        row = next(
            row
            for row in world.json("binance-spot", "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=5)
            if row[0] == at
        )
        prices = [trade["p"] for trade in inside]
        assert inside
        assert row[1:5] == [prices[0], max(prices), min(prices), prices[-1]]
        assert row[8] == len(inside)
        assert sum(int(trade["q"].replace(".", "")) for trade in inside) == int(row[5].replace(".", ""))


def _agrees(parts: list[Bar], whole: Bar) -> bool:
    """Whether seconds make their minute; where one begins without a trade its open is the price before it."""
    total = merged(whole.start, parts)
    return total is not None and total == whole


def test_seconds_are_parts_of_their_minute_in_history_and_present(world) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")
    world.run(150)
    assert wire.take()
    candles, now = world.simulator.truth.instrument(*BTC).candles, world.clock.wall_ms()
    seconds = {bar.start: bar for bar in candles.candles("1s", None, now, 1_000)}
    assert list(seconds) == list(range(now - now % 1_000 - 999_000, now + 1, 1_000))
    minutes = candles.candles("1m", None, now, 16)
    assert len([minute for minute in minutes if minute.count]) > 10
    for minute in minutes:
        parts = [seconds[at] for at in range(minute.start, minute.start + MINUTE, 1_000) if at in seconds]
        assert _agrees(parts, minute)


def test_a_second_is_made_of_its_trades_and_flat_without_any(world) -> None:
    wire = world.connect("binance-spot", "/ws/bchusdt@trade")
    world.run(90)
    start = opens("1s", world.clock.wall_ms()) - 80_000
    trades = [each for each in wire.take() if each["T"] >= start]
    rows = world.json("binance-spot", "/api/v3/klines", symbol="BCHUSDT", interval="1s", startTime=start)
    assert [row[0] for row in rows] == list(range(start, start + 81_000, 1_000))
    assert {row[6] - row[0] for row in rows} == {999}
    counts = []
    for before, row in itertools.pairwise(rows):
        prices = [each["p"] for each in trades if row[0] <= each["T"] < row[0] + 1_000]
        counts.append(len(prices))
        assert row[8] == len(prices)
        assert row[1:5] == ([prices[0], max(prices), min(prices), prices[-1]] if prices else [before[4]] * 4)
    assert 0 in counts and max(counts) > 0


def test_seconds_of_an_instrument_nobody_watched_are_parts_of_its_minutes_too(world) -> None:
    instrument = world.simulator.truth.instrument(*BTC)
    world.run(40)
    instrument.catch_up(world.clock.wall_ms())
    world.clock.advance(1_000)
    instrument.catch_up(world.clock.wall_ms())
    candles, now = instrument.candles, world.clock.wall_ms()
    seconds = {bar.start: bar for bar in candles.candles("1s", None, now, 1_200)}
    assert len(seconds) == 1_200
    for minute in candles.candles("1m", None, now, 19):
        parts = [seconds[at] for at in range(minute.start, minute.start + MINUTE, 1_000) if at in seconds]
        assert _agrees(parts, minute)


def test_the_day_is_the_sum_of_1440_minutes_to_the_trade(world) -> None:
    world.connect("binance-spot", "/ws/btcusdt@trade")
    world.run(65)
    candles = world.simulator.truth.instrument(*BTC).candles
    minutes = candles.candles("1m", None, world.clock.wall_ms(), 1_440)
    assert minutes[-1].start - minutes[0].start == DAY - MINUTE
    assert candles.day() == merged(minutes[0].start, minutes)


def test_an_instrument_nobody_watched_has_all_its_minutes_afterwards(world) -> None:
    instrument = world.simulator.truth.instrument(*BTC)
    world.clock.advance(3 * 3_600)
    instrument.catch_up(world.clock.wall_ms())
    minutes = instrument.candles.candles("1m", None, world.clock.wall_ms(), 240)
    assert [bar.start for bar in minutes] == list(range(minutes[0].start, minutes[0].start + 240 * MINUTE, MINUTE))
    quarter = instrument.candles.bar(QUARTER, opens("15m", world.clock.wall_ms()) - QUARTER)
    assert quarter == merged(
        quarter.start, [bar for bar in minutes if quarter.start <= bar.start < quarter.start + QUARTER]
    )
    assert minutes[-1].close == instrument.last_price
    world.run(0)


def test_venues_share_the_shape_of_a_pair(world) -> None:
    now = world.clock.wall_ms()
    truth = world.simulator.truth
    spot = truth.instrument("binance", MarketType.SPOT, "ETH-USDT").candles.candles("1h", None, now, 100)
    linear = truth.instrument("bybit", MarketType.PERPETUAL, "ETH-USDT").candles.candles("1h", None, now, 100)
    for one, other in zip(spot, linear, strict=True):
        assert abs(one.close - other.close) * 200 < one.close  # within half a percent
