"""What waits for a consumer of the program is bounded, and what is dropped is told."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cryptodash.client import Backoff, Candle, Gap, Ticker, Trade
from cryptodash.client.queues import LatestQueue, LosslessQueue, Room
from tests.client.frames import CANDLES, TICKER, TRADES, Bench, candle, ticker, trade


def trades(count: int) -> list[Trade]:
    bench = Bench()
    bench.open(TRADES)
    return [each for n in range(count) for each in bench.hear(trade(n)) if isinstance(each, Trade)]


def test_of_latest_values_the_newest_waits() -> None:
    bench = Bench()
    bench.open(TICKER)
    queue = LatestQueue()
    for each in bench.hear(ticker("1"), ticker("2"), ticker("3")):
        assert isinstance(each, Ticker)
        queue.put(each)
    found = queue.get()
    assert isinstance(found, Ticker) and found.last == Decimal(3) and queue.get() is None


def test_trades_that_do_not_fit_are_dropped_oldest_first_and_the_gap_says_how_many() -> None:
    room = Room()
    queue = LosslessQueue(TRADES, room, most=3)
    for each in trades(5):
        queue.put(each)
    assert queue.get() == Gap(TRADES, "consumer", 2)
    assert [each.id for each in iter(queue.get, None) if isinstance(each, Trade)] == ["2", "3", "4"]
    assert room.taken == 0


def test_all_streams_together_are_bounded() -> None:
    room = Room(most=4)
    greedy, other = LosslessQueue(TRADES, room), LosslessQueue(TRADES, room)
    first, *rest = trades(6)
    for each in rest:
        greedy.put(each)
    other.put(first)
    assert room.taken == 4
    assert greedy.get() == Gap(TRADES, "consumer", 1) and other.get() == Gap(TRADES, "consumer", 1)
    greedy.clear()
    assert room.taken == 0


def test_of_a_running_bar_the_newest_waits_and_closed_ones_all() -> None:
    bench = Bench()
    bench.open(CANDLES)
    queue = LosslessQueue(CANDLES, Room())
    bars = [candle(0, "1"), candle(0, "2"), candle(0, "3", closed=True), candle(1, "4"), candle(1, "5")]
    for each in bench.hear(*bars):
        assert isinstance(each, Candle)
        queue.put(each)
    assert [each.close for each in iter(queue.get, None) if isinstance(each, Candle)] == [Decimal(3), Decimal(5)]


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 5))
def test_what_is_taken_and_what_gaps_say_is_all_there_was(puts: list[bool], most: int) -> None:
    queue, waiting = LosslessQueue(TRADES, Room(), most), iter(_TRADES)
    put = told = 0
    ids: list[int] = []
    for is_put in [*puts, *[False] * 8]:
        if is_put:
            queue.put(next(waiting))
            put += 1
        elif (found := queue.get()) is not None:
            told += found.missed or 0 if isinstance(found, Gap) else 1
            ids += [int(found.id)] if isinstance(found, Trade) else []
    assert told == put
    assert all(one < other for one, other in pairwise(ids))


_TRADES = trades(200)


def test_waits_double_up_to_a_bound_with_half_of_them_by_chance() -> None:
    for chance, share in ((0.0, 0.5), (1.0, 1.0)):
        backoff = Backoff(lambda value=chance: value, least=1.0, most=10.0)
        assert [backoff.delay() for _ in range(5)] == [share * each for each in (2.0, 4.0, 8.0, 10.0, 10.0)]
        backoff.reset()
        assert backoff.delay() == 2.0 * share


def test_the_servers_word_counts_as_it_is_within_reason() -> None:
    backoff = Backoff(lambda: 0.7, most=30.0)
    assert backoff.delay(1500) == 1.5
    assert backoff.delay(10**12) == 300.0
