"""What a simulator keeps is bounded over all that is asked of it, and what it makes up a second time is what it was."""

from __future__ import annotations

import gc
import sys
import weakref
from collections import deque
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.intervals import DAY, MINUTE
from cryptodash.simulator.recent_trades import RecentTrades

MOST_BARS = 60_000
"""Made up ones of all instruments, and the live ones of the minute that a test lasts."""
MOST_TOUCHED = 300


def _bars() -> int:
    return sum(type(each) is Bar for each in gc.get_objects())


def _natives(world: Any) -> list[str]:
    return [each.native for each in world.simulator.markets["binance", MarketType.SPOT].specs if each.trading]


def _klines(world: Any, native: str, interval: str = "1m", end: int = 10**14) -> Any:
    query = {"symbol": native, "interval": interval, "limit": 1_000, "endTime": end}
    return world.json("binance-spot", "/api/v3/klines", **query)


def test_the_candles_of_ever_new_instruments_and_days_are_not_kept(world) -> None:
    before = _bars()
    for page in range(6):
        for native in _natives(world):
            assert len(_klines(world, native, end=world.clock.wall_ms() - page * 1_000 * MINUTE)) == 1_000
    assert _bars() - before < MOST_BARS


def test_bars_that_were_let_go_are_made_up_as_they_were(world) -> None:
    long_ago = world.clock.wall_ms() // DAY * DAY - 30 * DAY
    of_others = [each for each in gc.get_objects() if type(each) is Bar]
    known = {id(each) for each in of_others}
    first = _klines(world, "BTCUSDT", end=long_ago), _klines(world, "BTCUSDT", "1d")
    made = [each for each in gc.get_objects() if type(each) is Bar and id(each) not in known and each.start < long_ago]
    assert made
    of_then = [weakref.ref(each) for each in made]
    del of_others, made
    for native in _natives(world):
        _klines(world, native)
        _klines(world, native, "1h")
        _klines(world, native, "5m")
    gc.collect()
    assert not any(each() for each in of_then)
    assert first == (_klines(world, "BTCUSDT", end=long_ago), _klines(world, "BTCUSDT", "1d"))


@pytest.mark.parametrize("native", ["BTCUSDT", "PEPEUSDT"])
def test_a_book_that_is_followed_for_half_an_hour_keeps_no_more_than_it_may(world, native: str) -> None:
    instrument = world.simulator.markets["binance", MarketType.SPOT].get(native)
    instrument.watched = 1
    now, images, most = world.clock.wall_ms(), [{}, {}], 0
    for step in range(18_000):
        if step == 16_000:
            images = [dict(side) for side in instrument.book.levels(10_000)]
        changes = instrument.step(now + 100 * step)
        for image, changed in zip(images, (changes.bids, changes.asks), strict=True):
            image.update(changed)
        most = max(most, instrument.book.bids.touched, instrument.book.asks.touched)
    assert most <= MOST_TOUCHED + 10
    # A client that applies the changes has the same book: what is let go is told as well.
    for image, side in zip(images, instrument.book.levels(5_000), strict=True):
        assert {price: image.get(price) for price, _ in side} == dict(side)


def test_a_fault_that_runs_long_forgets_the_streams_that_have_ended(world) -> None:
    world.simulator.faults.start("binance", "skip", seconds=3_600)
    world.simulator.faults.start("binance", "reorder", seconds=3_600)
    host, gone = world.simulator.hosts["binance-spot"], []
    for _ in range(5):
        wire = world.connect("binance-spot", "/stream", {"streams": "btcusdt@depth@100ms/ethusdt@depth@100ms"})
        world.run(0.5)
        gone += [weakref.ref(stream) for stream in host.streams.values()]
        wire.close(1000, "")
    gc.collect()
    assert len(gone) == 10
    assert not any(each() for each in gone)


def test_the_last_fills_are_those_that_came_last_and_take_little() -> None:
    kept, told = RecentTrades(100), deque[Trade](maxlen=100)
    ticks = ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")
    for number in range(1_000):
        fill = Trade(10**15 + number, 10**12, number % 7, 10**14, number % 3 == 0, number // 2, 5, ticks[number % 4])
        kept.append(fill)
        told.append(fill)
        assert list(kept) == list(told) and len(kept) == len(told)
        assert list(reversed(kept)) == list(reversed(told))
    assert max(sys.getsizeof(each) for each in gc.get_referents(kept)) < 100 * 64 * 1.1
    kept.clear()
    assert list(kept) == [] and len(kept) == 0
