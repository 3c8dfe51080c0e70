"""What is kept is bounded and leaves with its topic."""

from __future__ import annotations

from cryptodash.core.events import Sweep
from cryptodash.core.topics import Channel
from cryptodash.hub import cache
from cryptodash.hub.cache import Cache
from cryptodash.hub.encode import TickerMessages


def test_bars_are_kept_by_open_time_and_bounded(world):
    kept = Cache()
    for minute in (3, 1, 2, 9, 8, 7, 6):
        assert kept.put_candle(world.bar(minute))
    topic = world.bar(1).topic
    assert [bar.timestamp // 60_000 for bar in kept.bars(topic)] == [3, 6, 7, 8, 9]


def test_a_late_closing_bar_is_news_even_if_it_is_too_old_to_keep(world):
    kept = Cache()
    for minute in range(10, 16):
        kept.put_candle(world.bar(minute))
    assert kept.put_candle(world.bar(2)) is True
    assert kept.bars(world.bar(1).topic)[0].timestamp == 11 * 60_000


def test_a_sweep_is_bounded(world, monkeypatch):
    monkeypatch.setattr(cache, "SWEEP_KEPT", 1)
    kept, sweep = Cache(), world.topic(Channel.TICKER, exchange="bybit")
    first, second = world.ticker("1"), world.ticker("2", world.topic(Channel.TICKER, exchange="bybit"))
    kept.put_sweep(Sweep(sweep, (first, second)))
    kept.put_sweep(Sweep(sweep, (world.ticker("3"),)))
    assert [ticker.last for ticker in kept.sweeps[sweep].values()] == ["3"]


def test_forgetting_leaves_nothing(world):
    kept = Cache()
    kept.put_candle(world.bar(1))
    kept.forget(world.bar(1).topic)
    assert set(kept.sizes().values()) == {0}


def test_a_ticker_is_encoded_once_while_it_is_the_latest(world):
    made = TickerMessages()
    first, second = world.ticker("1"), world.ticker("2")
    assert made.of(first) is made.of(first)
    assert made.of(second) is not made.of(first)
    assert b'"last":1' in made.of(first).body
