"""Wild frames put anywhere into a sequence: what is shown at its end is what is shown without them, and no wild value
is shown for longer than the rules allow."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core.events import Side
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Counter, Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth, Fill, Mark, Quote, Stats
from cryptodash.exchanges.builders.book_sync import OrderBook
from cryptodash.exchanges.builders.doubt_counts import DoubtCounts
from cryptodash.exchanges.builders.known_numbers import KnownNumbers
from cryptodash.exchanges.builders.known_texts import KnownTexts
from cryptodash.exchanges.builders.plausibility import StreamOrder, Verdict
from cryptodash.exchanges.builders.ticker import TickerBuilder
from cryptodash.exchanges.builders.trades import TradeBuilder

TICKER = Topic("binance", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.TICKER)
N = Number
START = 1_700_000_000_000
HOUR = 3_600_000
AHEAD = -40
"""The venue's clock minus ours."""
TAKEN, REPEATED, OLD, HELD = Verdict.TAKEN, Verdict.REPEATED, Verdict.OLD, Verdict.HELD
ANEW, SET_BACK = Verdict.ANEW, Verdict.SET_BACK
WILD = "6"
"""The price of every wild frame; no true one has it."""


def at(now: float) -> int:
    """The venue's time at ``now``."""
    return START + AHEAD + round(now * 1000)


# The rule itself


class Judge:
    def __init__(self) -> None:
        self.tally = Tally()
        self.order = StreamOrder(DoubtCounts("x", "quote", self.tally))

    def __call__(self, number: int | None, now: float, off: int | None = None, *, alone: bool = True) -> Verdict:
        """``off``: how far the frame's time is from the venue's clock (ms); None: it has none."""
        time = None if off is None else at(now) + off
        received = START + round(now * 1000)
        return self.order.judge(number, time, received + AHEAD, received, now, alone=alone)

    def counts(self, name: str) -> dict[str, int]:
        counter = self.tally.metrics[f"cryptodash_frames_{name}_total"]
        assert isinstance(counter, Counter)
        return {labels[-1]: count for labels, count in counter.values.items()}


@pytest.mark.parametrize(
    ("frames", "verdicts"),
    [
        ([(5, 0), (6, 1), (6, 2), (4, 3)], [TAKEN, TAKEN, REPEATED, OLD]),
        ([(5, 0), (1_000_005, 1), (2_000_006, 2)], [TAKEN, TAKEN, HELD]),
        ([(5, 0), (10**15, 0), (6, 0)], [TAKEN, HELD, TAKEN]),
        ([(5, 0), (10**15, 0), (10**15 + 1, 0), (10**15 + 2, 0)], [TAKEN, HELD, ANEW, TAKEN]),
        ([(5, 0), (10**15, 0), (10**15, 0)], [TAKEN, HELD, HELD]),  # a repeat is no second frame
        ([(5, 0), (10**15, 0), (10**12, 0), (6, 0)], [TAKEN, HELD, HELD, TAKEN]),
        ([(5, 0), (10**15, 0), (4, 0), (10**15 + 1, 0)], [TAKEN, HELD, OLD, ANEW]),
        ([(5, 0), (10**15, 0), (6, 0), (10**15 + 1, 0)], [TAKEN, HELD, TAKEN, HELD]),
        ([(5, 0), (10**15, 0), (10**15 + 1, 60)], [TAKEN, HELD, ANEW]),  # dropped after 5 s, a witness still
        ([(5, 0), (20_000_005, 21)], [TAKEN, TAKEN]),  # 10^6 for each second
        ([(5, 0), (3, 1), (4, 5.9), (3, 6), (4, 6.1)], [TAKEN, OLD, OLD, ANEW, TAKEN]),
        ([(5, 0), (3, 1), (5, 4), (3, 6.5), (3, 7)], [TAKEN, OLD, REPEATED, OLD, OLD]),
    ],
)
def test_ids(frames: list[tuple[int, float]], verdicts: list[Verdict]) -> None:
    judge = Judge()
    assert [judge(number, now) for number, now in frames] == verdicts


@pytest.mark.parametrize(
    ("frames", "verdicts"),
    [
        ([(0, 0), (1, 0), (2, 4_900)], [TAKEN] * 3),
        ([(0, 0), (1, -1_900)], [TAKEN, OLD]),
        ([(0, 0), (1, HOUR), (2, 0)], [TAKEN, HELD, TAKEN]),
        ([(0, 0), (1, HOUR), (2, HOUR), (3, HOUR), (4, 0), (5, 0)], [TAKEN, HELD, ANEW, ANEW, TAKEN, TAKEN]),
        ([(0, 0), (1, HOUR), (2, 2 * HOUR), (3, 0)], [TAKEN, HELD, HELD, TAKEN]),
        ([(0, 0), (1, -HOUR), (2, 0)], [TAKEN, HELD, TAKEN]),
        ([(0, 0), (1, -HOUR), (2, -HOUR), (3, -HOUR)], [TAKEN, HELD, SET_BACK, TAKEN]),
        ([(0, 0), (1, -HOUR), (61, -HOUR)], [TAKEN, HELD, SET_BACK]),
        ([(0, HOUR), (1, 0)], [HELD, TAKEN]),
    ],
)
def test_times(frames: list[tuple[float, int]], verdicts: list[Verdict]) -> None:
    judge = Judge()
    assert [judge(None, now, off) for now, off in frames] == verdicts


def test_a_late_frame_that_is_believed_contradicts_what_is_held() -> None:
    """A venue's clock was set back by two seconds: for so long every frame is a little late, and of those that say only
    what changed each is taken. Two wild ones with such frames between them do not agree."""
    judge = Judge()
    judge.order = StreamOrder(DoubtCounts("x", "book", judge.tally), partial=True)
    back = -2_000
    frames = [(0, 0), (0.1, HOUR + back), (0.1, back), (0.2, back), (0.5, HOUR + back), (0.5, back)]
    assert [judge(None, now, off) for now, off in frames] == [TAKEN, HELD, TAKEN, TAKEN, HELD, TAKEN]
    assert judge.counts("dropped") == {"future_time": 2}


@pytest.mark.parametrize("ids", [(10**15, 10**15 + 1, 10**15 + 2), (3, 2, 4)])
@pytest.mark.parametrize(("off", "verdict"), [(0, ANEW), (-3_000, ANEW), (-HOUR, SET_BACK)])
def test_ids_that_begin_anew_say_nothing_of_the_clock(ids: tuple[int, ...], off: int, verdict: Verdict) -> None:
    judge = Judge()
    judge(1_000, 0, 0)
    told = [judge(number, now, off) for number, now in zip(ids, (0.1, 5.2, 5.3), strict=True)]
    assert [each for each in told if each not in (HELD, OLD, TAKEN)] == [verdict]


@pytest.mark.parametrize(
    ("frames", "verdicts"),
    [
        ([(3, 0), (4, 0), (5, 0)], [OLD, ANEW, TAKEN]),
        ([(3, 0), (3, 0), (4, 0)], [OLD, OLD, ANEW]),  # a repeat is no second frame
        ([(3, 0), (2, 0), (3, 0)], [OLD, OLD, ANEW]),
        ([(3, 0), (1_001, 0), (4, 0), (5, 0)], [OLD, TAKEN, OLD, ANEW]),  # not in a row
        ([(3, 0), (1_000, 0), (4, 0)], [OLD, REPEATED, OLD]),
        ([(3, 0), (900, -9_000), (4, 0)], [OLD, OLD, ANEW]),  # what is only late contradicts nothing
        ([(3, -9_000), (4, -9_000), (5, -9_000)], [OLD, OLD, OLD]),
        ([(3, HOUR), (4, HOUR), (5, HOUR)], [OLD, OLD, OLD]),
    ],
)
def test_old_ids_with_newer_times_begin_anew(frames: list[tuple[int, int]], verdicts: list[Verdict]) -> None:
    """As after the maintenance of a venue, which sets its ids back."""
    judge = Judge()
    judge(1_000, 0, 0)
    assert [judge(number, 0.1 + index / 10, off) for index, (number, off) in enumerate(frames)] == verdicts


def test_old_ids_of_one_frame_do_not_agree_with_each_other() -> None:
    judge = Judge()
    judge(1_000, 0, 0)
    assert [judge(3, 0.1, 0), judge(4, 0.1, 0, alone=False), judge(5, 0.2, 0)] == [OLD, OLD, ANEW]


def test_a_quote_whose_ids_were_set_back_is_shown_with_its_second_frame() -> None:
    builder = TickerBuilder(TICKER, needs_last=False)
    shown = []
    for index, number in enumerate((5_000, 5_001, 100, 101, 102)):
        now = index / 10
        received = START + round(now * 1000)
        builder.quote(quote(number, at(now), str(100 + index)), received + AHEAD, received, now)
        shown.append(builder._known.bid)
    assert shown == ["100", "101", "101", "103", "104"]


def test_trades_whose_numbers_were_set_back_are_told_each_once() -> None:
    """A venue's maintenance: numbers that are known come again, with times that no trade had."""
    trades, ticker = TradeBuilder(TICKER), TickerBuilder(TICKER)
    told: list[tuple[str, int]] = []

    def take(now: float, *numbers: int, time: float | None = None) -> None:
        received = START + round(now * 1000)
        when = at(now if time is None else time)
        fills = [Fill(str(each), N(str(each)), N("1"), Side.BUY, when, each) for each in numbers]
        told.extend((each.id, each.timestamp) for each in trades.fills(fills, received + AHEAD, received, now))
        ticker.trades(fills, received + AHEAD, received, now)

    for number in range(100, 160):
        take((number - 100) / 10, number)
    before = len(told)
    take(6.0, 158, 159, time=5.9)  # sent again: with their old time
    take(6.1, 120, 121)
    assert len(told) == before
    take(6.2, 122)
    take(6.3, 123)
    take(6.4, 122, 123, time=6.3)
    assert told[before:] == [("120", at(6.1)), ("121", at(6.1)), ("122", at(6.2)), ("123", at(6.3))]
    assert ticker.ticker is not None and ticker.ticker.last == "123"
    assert trades.missed == 0


def test_a_replay_after_a_late_trade_is_told_once() -> None:
    builder = TradeBuilder(TICKER)
    numbers = [1, 2, 4, 5, 6, 3, 4, 5, 6, 4, 5, 6]
    told: list[str] = []
    for index, number in enumerate(numbers):
        received = START + 10_000 + index
        fill = Fill(str(number), N("1"), N("1"), Side.BUY, START + number, number)
        told += [each.id for each in builder.fills([fill], received + AHEAD, received, 10 + index / 1000)]
    assert told == ["1", "2", "4", "5", "6", "3"]


def test_what_comes_in_one_frame_is_no_second_one() -> None:
    judge = Judge()
    judge(5, 0)
    assert judge(10**15, 1) is HELD
    assert judge(10**15 + 1, 1, alone=False) is HELD
    assert judge(10**15 + 2, 1) is ANEW


def test_what_is_held_and_dropped_is_counted_once() -> None:
    judge = Judge()
    judge(5, 0)
    judge(10**15, 1)
    judge.order.expire(5.9)
    assert (judge.counts("held"), judge.counts("dropped")) == ({"future_id": 1}, {})
    judge.order.expire(6.0)
    judge.order.expire(7.0)
    judge(6, 8)
    judge(3, 9)
    assert judge.counts("dropped") == {"future_id": 1, "old_id": 1}


# Tickers

STEP = 0.4
Wild = tuple[int, str]
"""Before which frame, and in which way it is wild."""


def wilds(most: int, kinds: Sequence[str]) -> st.SearchStrategy[list[Wild]]:
    return st.lists(st.tuples(st.integers(0, most), st.sampled_from(kinds)), max_size=2)


def quote(number: int | None, time: int | None, price: str) -> Quote:
    return Quote("q", N(price), N("1"), N("9999"), N("1"), number, time)


def wild_quote(kind: str, number: int, time: int, *, ids: bool, times: bool) -> Quote:
    number += {"id": 10**15, "id2": 10**12, "old id": -(10**6)}.get(kind, 0)
    time += {"time": HOUR, "time2": 5 * HOUR, "old time": -HOUR}.get(kind, 0)
    return quote(number if ids else None, time if times else None, WILD)


@given(carries=st.sampled_from([(True, False), (True, True), (False, True)]), data=st.data())
def test_wild_quotes_leave_nothing_behind(carries: tuple[bool, bool], data: Any) -> None:
    """Half-second quotes; two wild ones may come before any of them, and even be the first."""
    count, (ids, times) = 40, carries
    kinds = [*(["id", "id2", "old id"] if ids else []), *(["time", "time2", "old time"] if times else [])]
    chosen = data.draw(wilds(count - 20, kinds))
    builder = TickerBuilder(TICKER)
    builder.stats(Stats("s", at(0.0), last=N("10")), START + AHEAD, START, 0.0)
    came = 0.0
    for index in range(count):
        now = 1.0 + index * STEP
        received = START + round(now * 1000)
        true = quote(1_000 + index if ids else None, at(now) if times else None, str(100 + index))
        for _, kind in (each for each in chosen if each[0] == index):
            wild = wild_quote(kind, 1_000 + index, at(now) - 1, ids=ids, times=times)
            builder.quote(wild, received + AHEAD, received, now - 0.001)
            came = now
        builder.quote(true, received + AHEAD, received, now)
        shown = builder.ticker
        assert shown is not None
        assert shown.bid != WILD or now - came <= 5.0 + STEP
    assert builder.ticker is not None
    assert (builder.ticker.bid, builder.ticker.timestamp) == (str(100 + count - 1), at(1.0 + (count - 1) * STEP))


@given(data=st.data())
def test_wild_figures_leave_nothing_behind(data: Any) -> None:
    """24 h figures and mark prices; a wild one has a wild time, and the first may be it."""
    count, parts = 24, ("stats", "mark")
    chosen = {part: data.draw(wilds(count - 14, ["time", "time2", "old time"])) for part in parts}
    builder = TickerBuilder(TICKER)
    for index in range(count):
        now = 1.0 + index
        received = START + round(now * 1000)
        for part in parts:
            for _, kind in [(0, ""), *(each for each in chosen[part] if each[0] == index)][::-1]:
                time = at(now) + {"time": HOUR, "time2": 5 * HOUR, "old time": -HOUR}.get(kind, 0)
                price = N(WILD if kind else str(100 + index))
                if part == "stats":
                    builder.stats(Stats("s", time, last=price, high=price), received + AHEAD, received, now)
                else:
                    builder.mark(Mark("m", time, mark_price=price), received + AHEAD, received, now)
    shown = builder.ticker
    assert shown is not None
    last = str(100 + count - 1)
    assert (shown.last, shown.high_24h, shown.mark_price) == (last, last, last)
    assert (shown.timestamp, shown.last_time, shown.stats_time) == (at(float(count)),) * 3


@given(known=st.booleans(), away=st.sampled_from([HOUR, -HOUR, 30_000, -7_000]), lag=st.integers(0, 12))
def test_last_follows_a_clock_that_comes_back_and_timestamp_steps_with_it(known: bool, away: int, lag: int) -> None:
    """``lag``: after so many frames our estimate has followed the venue's clock."""
    builder = TickerBuilder(TICKER)
    stamps: list[int] = []
    shifts = [0] * 15 + [away] * 15 + [0] * 15
    for index, shift in enumerate(shifts):
        now = float(index)
        received = START + index * 1000
        estimate = shifts[max(0, index - lag)] if known else 0
        fill = Fill(str(index), N(str(100 + index)), N("1"), Side.BUY, at(now) + shift, index)
        ticker = builder.trades([fill], received + AHEAD + estimate, received, now)
        if ticker is not None:
            stamps.append(ticker.timestamp)
        if index % 15 > 1:
            assert builder.ticker is not None and builder.ticker.last == str(100 + index)
            assert builder.ticker.timestamp == at(now) + shift or away == -7_000
    assert away == -7_000 or sum(after < before for before, after in pairwise(stamps)) == 1


# Trades


@given(
    chosen=wilds(30, ["id", "id2", "time", "time2"]),
    lost=st.sets(st.integers(5, 25), max_size=3),
    counted=st.booleans(),
)
def test_wild_trades_are_not_told_and_stop_none(chosen: list[Wild], lost: set[int], counted: bool) -> None:
    kinds = {kind for _, kind in chosen}
    between = range(*sorted(index for index, _ in chosen)) if len(chosen) == 2 else ()
    if len(kinds) == 1 and all(index in lost for index in between):
        chosen = chosen[:1]  # two of a kind with nothing true between them agree
    builder = TradeBuilder(TICKER)
    told: list[str] = []
    for index in range(1, 40):
        now = float(index)
        received = START + index * 1000
        for serial, (_, kind) in enumerate(each for each in chosen if each[0] == index):
            number = index + {"id": 10**9, "id2": 10**12}.get(kind, 0)
            time = at(now) + {"time": HOUR, "time2": 5 * HOUR}.get(kind, 0)
            if not counted and not kind.startswith("time"):
                continue
            wild = Fill(f"wild{serial}", N(WILD), N("1"), Side.BUY, time, number if counted else None)
            told += [each.id for each in builder.fills([wild], received + AHEAD, received, now)]
        if index not in lost:
            true = Fill(str(index), N("1"), N("1"), Side.BUY, at(now), index if counted else None)
            told += [each.id for each in builder.fills([true], received + AHEAD, received, now)]
        told += [each.id for each in builder.expire(received + AHEAD, received, now)]
    right = [str(each) for each in range(1, 40) if each not in lost]
    assert [each for each in told if not each.startswith("wild")] == right
    if 1 not in {index for index, _ in chosen}:
        assert told == right
    assert builder.missed == (len(lost) if counted else 0)


def test_a_trade_held_because_the_clock_was_not_known_is_told_when_it_is() -> None:
    builder = TradeBuilder(TICKER)
    off = 60_000
    first, second = (Fill(str(each), N("1"), N("1"), Side.BUY, START + off + each, each) for each in (1, 2))
    assert builder.fills([first], START - 20, START, 0.0) == []  # by an HTTP date, say
    assert [each.id for each in builder.fills([second], START + off, START, 0.001)] == ["1", "2"]
    builder = TradeBuilder(TICKER)
    assert builder.fills([first], START - 20, START, 0.0) == []
    assert builder.expire(START + off + 4_000, START + 4_000, 4.0) == []
    assert [each.id for each in builder.expire(START + off + 5_000, START + 5_000, 5.0)] == ["1"]


@pytest.mark.parametrize("frames", [["ab", "c"], ["a", "b", "c"], ["abd", "c"], ["a", "a", "b", "c"]], ids=str)
def test_uncounted_trades_of_one_moment_are_held_together(frames: list[str]) -> None:
    """One order trades with several; the venue's clock was set forward just before, which the last trade proves."""
    builder = TradeBuilder(TICKER)
    told: list[str] = []
    before = Fill("before", N("1"), N("1"), Side.BUY, START, None)
    told += [each.id for each in builder.fills([before], START + AHEAD, START, 0.0)]
    for frame in frames:
        time = START + HOUR + (900 if frame == "c" else 0)
        fills = [Fill(each, N("1"), N("1"), Side.BUY, time, None) for each in frame]
        told += [each.id for each in builder.fills(fills, START + 1_000 + AHEAD, START + 1_000, 1.0)]
    assert sorted(told[1:]) == sorted(set("".join(frames)))


def test_a_frame_of_several_wild_trades_that_comes_twice_does_not_agree_with_itself() -> None:
    trades, ticker = TradeBuilder(TICKER), TickerBuilder(TICKER)

    def take(*said: tuple[str, int]) -> list[str]:
        fills = [Fill(id, N("1"), N("1"), Side.BUY, START + time, None) for id, time in said]
        ticker.trades(fills, START + AHEAD, START, 0.0)
        return [each.id for each in trades.fills(fills, START + AHEAD, START, 0.0)]

    assert take(("before", 0)) == ["before"]
    wild = ("a", HOUR), ("b", HOUR + 40), ("c", HOUR + 40)
    assert [take(*wild) for _ in range(3)] == [[], [], []]
    assert ticker.ticker is not None and ticker.ticker.last_time == START
    assert take(("d", 100)) == ["d"]
    assert ticker.ticker.last_time == START + 100
    assert take(*wild) == [] and take(("e", HOUR + 500)) == ["a", "b", "c", "e"]
    assert ticker.ticker.last_time == START + HOUR + 500


@given(st.lists(st.integers(0, 60), max_size=200))
def test_known_numbers_are_a_set(numbers: list[int]) -> None:
    known, naive = KnownNumbers(), set[int]()
    for number in numbers:
        assert known.add(number) is (number not in naive)
        naive.add(number)
        assert len(known) == len(naive)
    assert all((number in known) is (number in naive) for number in range(-1, 63))
    assert known.between(10, 40) == len([each for each in naive if 10 <= each < 40])


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=100))
def test_known_numbers_stand_for_those_before_them_where_none_is_known(numbers: list[tuple[int, int]]) -> None:
    known, naive = KnownNumbers(), set[int]()
    for number, count in numbers:
        assert known.add(number, count) is (number not in naive)
        before = set(range(number - count + 1, number))
        if number not in naive:
            naive |= {number} if before & naive else {number} | before
        assert len(known) == len(naive)
    assert all((number in known) is (number in naive) for number in range(-10, 63))


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(1, 12), st.integers(1, 5))
def test_known_texts_are_the_last_ones(added: list[int], most: int, fresh: int) -> None:
    known, told = KnownTexts(most, fresh), list[str]()
    for each in map(str, added):
        is_new = known.add(each)
        assert is_new or each in told
        assert not (is_new and each in told[-most:])
        told += [each] if is_new else []
        assert len(known) < 2 * most + 3 * fresh
    assert all(each in known for each in told[-most:])


def test_known_texts_take_little_room() -> None:
    known = KnownTexts()
    tracemalloc.start()
    for number in range(30_000):
        known.add(f"{number:036}")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 10_000 <= len(known) <= 22_000
    assert size < 400_000


@pytest.mark.parametrize("step", [1, 2, 7])
def test_known_numbers_are_bounded_and_hold_the_last_ones(step: int) -> None:
    known = KnownNumbers()
    numbers = [10**9 + step * each for each in range(30_000)]
    assert all(known.add(number) for number in numbers)
    assert 10_000 <= len(known) <= 11_000
    assert all(number in known for number in numbers[-10_000:])
    if step == 1:
        assert len(known._firsts) == 0


# Books

LEVELS = [(N("99"), N("1"))]
ASKS = [(N("9999"), N("1"))]


def frame(rules: BookRules, number: int, time: int, *, size: str = "1", snapshot: bool = False) -> Depth:
    price = N(str(1 + number % 50))
    return Depth("b", snapshot, number, number, number - 1, [(price, N(size))], ASKS, time)


@given(
    chaining=st.sampled_from([Chaining.RANGE, Chaining.PREVIOUS, Chaining.COUNTER]),
    chosen=wilds(40, ["id", "id2", "old id", "chained", "snapshot"]),
)
def test_wild_book_frames_leave_nothing_behind(chaining: Chaining, chosen: list[Wild]) -> None:
    """A book by snapshots in the stream that are sent when it is lost."""
    rules = BookRules(SnapshotSource.STREAM, chaining)
    if chaining is not Chaining.PREVIOUS:
        chosen = [each for each in chosen if each[1] != "chained"]
    book, true = OrderBook(rules), OrderBook(rules)
    shown_since: float | None = None
    for index in range(80):
        now = index * 0.1
        number, time = 1_000 + index, at(now)
        came = frame(rules, number, time, size=str(index + 1), snapshot=index == 0)
        true.received(came, now)
        for _, kind in (each for each in chosen if each[0] == index and index):
            far = number + {"id": 10**15, "id2": 10**12, "old id": -500, "chained": 10**13, "snapshot": 10**14}[kind]
            wild = frame(rules, far, time - 1, size="777", snapshot=kind == "snapshot")
            if kind == "chained":
                wild = Depth("b", False, far, far, number - 1, wild.bids, wild.asks, time - 1)
            book.received(wild, now - 0.001)
        book.received(came, now)
        if not book.synced:
            levels = true.top(1000)
            book.received(Depth("b", True, number, number, None, *levels, time), now)
        is_wild = any(size == "777" for _, size in book.top(1000)[0])
        shown_since = (now if shown_since is None else shown_since) if is_wild else None
        assert shown_since is None or now - shown_since <= 5.0
    assert (book.sequence, book.top(1000)) == (true.sequence, true.top(1000))


def test_ids_that_go_down_while_unsynced_do_not_make_every_snapshot_outdated() -> None:
    rules = BookRules(SnapshotSource.REST, Chaining.PREVIOUS)
    book = OrderBook(rules)
    for number in (4_999, 5_000):
        book.received(frame(rules, number, START))
    book.received(Depth("b", False, 1, 1, 5_000, LEVELS, ASKS, START))
    book.received(frame(rules, 2, START))
    book.received(frame(rules, 3, START))
    book.snapshot(Depth("", True, 2, 2, None, LEVELS, ASKS, None), 100)
    assert (book.synced, book.sequence) == (True, 3)


def test_a_snapshot_asked_for_before_the_ids_went_down_is_not_joined() -> None:
    rules = BookRules(SnapshotSource.REST, Chaining.PREVIOUS)
    book = OrderBook(rules)
    for number in (4_999, 5_000):
        book.received(frame(rules, number, START))
    book.snapshot_begun()
    book.received(Depth("b", False, 1, 1, 5_000, LEVELS, ASKS, START))
    book.snapshot(Depth("", True, 5_000, 5_000, None, LEVELS, ASKS, None), 100)
    assert not book.synced
    assert book.wants_snapshot(1)


def test_a_first_frame_from_the_future_does_not_keep_the_book_from_being_built() -> None:
    for chaining in (Chaining.RANGE, Chaining.PREVIOUS, Chaining.COUNTER):
        rules = BookRules(SnapshotSource.REST, chaining)
        book = OrderBook(rules)
        book.received(frame(rules, 10**15, START))
        for number in (100, 101, 102):
            book.received(frame(rules, number, START + number), number / 10)
        book.snapshot(Depth("", True, 101, 101, None, LEVELS, ASKS, None), 100, 11.0)
        assert (book.synced, book.sequence) == (True, 102), chaining


def test_a_snapshot_from_the_future_is_refused_until_a_second_one_agrees() -> None:
    rules = BookRules(SnapshotSource.REST, Chaining.RANGE)
    book = OrderBook(rules)
    for number in (100, 101):
        book.received(frame(rules, number, START))
    book.snapshot(Depth("", True, 10**15, 10**15, None, LEVELS, ASKS, None), 100)
    assert not book.synced
    book.snapshot(Depth("", True, 101, 101, None, LEVELS, ASKS, None), 100)
    assert book.sequence == 101


# Captures: nothing that a venue has sent is doubted

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures"


@pytest.mark.parametrize("name", ["usdm-combined-4sym-2021.jsonl", "spot-combined-4sym-2021.jsonl"])
def test_no_id_that_was_recorded_is_doubted(name: str) -> None:
    path = CAPTURES / "binance" / name
    if not path.exists():
        pytest.skip("no captures here")
    orders: dict[str, Judge] = {}
    frames = 0
    for line in path.read_text().splitlines():
        recorded = json.loads(line)
        said = json.loads(recorded["raw"]).get("data", {}) if recorded["dir"] == "in" else {}
        if "u" in said:
            frames += 1
            verdict = orders.setdefault(said["s"] + str(said.get("e")), Judge())(said["u"], recorded["t"])
            assert verdict in (TAKEN, REPEATED)
    assert frames > 100
