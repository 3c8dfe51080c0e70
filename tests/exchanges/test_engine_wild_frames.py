"""Ids and times from the future, and ids that begin anew, through the whole engine: nothing wild stays shown as live,
and a dropped frame confirms nothing."""

from __future__ import annotations

from itertools import chain

import pytest

from cryptodash.core.events import Cause, State, Ticker, Trade
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import Habits, MadeUpVenue

TICKER = "spot:BTC-USDT:ticker"
TRADES = "spot:BTC-USDT:trade"
BOOK = "spot:BTC-USDT:order_book:5"
HOUR = 3_600_000


def ticking() -> Bench:
    """A ticker with a bid of 99, and a clock that is known."""
    bench = Bench()
    bench.want(TICKER)
    bench.advance(1)
    bench.frame(wire.day("BTCUSDT", "100", bench.wall - 20))
    bench.frame(wire.quote("BTCUSDT", "99", "101", 1_000, bench.wall - 20))
    bench.advance(0.3)
    bench.frame(wire.day("BTCUSDT", "100", bench.wall - 20))
    return bench


def ticker(bench: Bench) -> Ticker:
    return bench.published(Ticker)[-1]


def age(bench: Bench, topic: str) -> float:
    confirmed = bench.engine.confirmed_at(bench.topic(topic))
    assert confirmed is not None
    return bench.clock.monotonic() - confirmed


def test_a_quote_from_the_future_is_not_shown_and_does_not_stop_the_others() -> None:
    bench = ticking()
    bench.frame(wire.quote("BTCUSDT", "1", "2", 10**15, bench.wall - 20))
    assert ticker(bench).bid == "99"
    bench.frame(wire.quote("BTCUSDT", "98", "101", 1_001, bench.wall - 20))
    assert ticker(bench).bid == "98"
    assert bench.count("cryptodash_frames_dropped_total", "ticker", "future_id") == 1


def test_a_first_quote_from_the_future_is_over_within_five_seconds() -> None:
    bench = Bench()
    bench.want(TICKER)
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    bench.frame(wire.quote("BTCUSDT", "1", "2", 10**15, bench.wall))
    for number in range(12):
        bench.advance(0.5)
        bench.frame(wire.quote("BTCUSDT", "98", "101", 1_000 + number, bench.wall))
    assert ticker(bench).bid == "98"


def test_quotes_that_are_dropped_confirm_nothing() -> None:
    bench = ticking()
    then = bench.wall - 500
    for number in range(8):
        bench.advance(0.5)
        bench.frame(wire.day("BTCUSDT", "100", bench.wall - 20))
        bench.frame(wire.quote("BTCUSDT", "98", "101", 900 + number, then))
    assert age(bench, TICKER) > 4.0


def test_a_stream_of_nothing_but_old_frames_is_not_live() -> None:
    """Old by their times: they have no ids that could begin anew."""
    bench = ticking()
    then = bench.wall
    for number in range(15):
        bench.advance(0.5)
        bench.frame(wire.day("BTCUSDT", "90", then - 500 + number))
        bench.frame(wire.quote("BTCUSDT", "98", "101", 1_001 + number, bench.wall - 20))
    assert ticker(bench).last == "100"
    assert (bench.status(TICKER).state, bench.status(TICKER).fields) == (State.STALE, ("last", "stats"))


def test_a_day_figure_from_the_future_is_left_out() -> None:
    bench = ticking()
    bench.frame(wire.day("BTCUSDT", "1", bench.wall + HOUR))
    assert ticker(bench).last == "100"
    bench.advance(1)
    bench.frame(wire.day("BTCUSDT", "102", bench.wall - 20))
    assert (ticker(bench).last, ticker(bench).timestamp) == ("102", bench.wall - 20)
    assert bench.count("cryptodash_frames_dropped_total", "ticker", "future_time") == 1


@pytest.mark.parametrize("away", [HOUR, -HOUR, 60_000])
def test_last_and_timestamp_follow_a_venue_clock_that_goes_away_and_comes_back(away: int) -> None:
    bench = ticking()
    price = 200
    for shift in (0, away, 0):
        for _ in range(6):
            bench.advance(0.5)
            price += 1
            bench.frame(wire.day("BTCUSDT", str(price), bench.wall + shift - 20))
        assert (ticker(bench).last, ticker(bench).timestamp) == (str(price), bench.wall + shift - 20)


class Stepping:
    """A market whose prices rise each quarter of a second, and a venue's clock that steps; probes are answered three
    seconds after a step at the earliest. ``trade_every``: seconds between two trades."""

    def __init__(self, trade_every: float) -> None:
        self.bench = Bench()
        self.bench.want(TICKER, TRADES)
        self.bench.advance(1)
        self._trade_every = round(trade_every * 4)
        self._price = 1_000
        self.traded = ("", 0)

    def play(self, seconds: float, shift: int) -> None:
        bench = self.bench
        for quarter in range(round(seconds * 4)):
            self._price += 1
            price, time = str(self._price), bench.wall + shift - 20
            bench.frame(wire.quote("BTCUSDT", str(self._price - 1), str(self._price + 1), self._price, time))
            if quarter % 4 == 0:
                bench.frame(wire.day("BTCUSDT", price, time))
            if quarter % self._trade_every == 0:
                bench.frame(wire.trade("BTCUSDT", self._price, price, time))
                self.traded = price, time
            self.newest = time
            while bench.probes and quarter >= 12:
                bench.carry_out(bench.engine.rest_answer(bench.probes.pop(0), str(bench.wall + shift).encode()))
            bench.advance(0.25)


@pytest.mark.parametrize("trade_every", [0.25, 2.0])
@pytest.mark.parametrize("step", [-HOUR, -3_000, 3_000, HOUR])
def test_a_ticker_follows_the_trades_over_steps_of_the_venues_clock(step: int, trade_every: float) -> None:
    market = Stepping(trade_every)
    for shift in (0, step, 0):
        market.play(12, shift)
        shown = ticker(market.bench)
        assert (shown.last, shown.last_time) == market.traded
        assert shown.timestamp == shown.quote_time == market.newest
        assert market.bench.state(TICKER) is State.LIVE


@pytest.mark.parametrize("step", [3_000, HOUR])
def test_a_trade_that_comes_alone_after_a_step_of_the_clock_is_told_once_the_step_is_known(step: int) -> None:
    """It is held, and no second one comes to agree with it."""
    market = Stepping(1_000.0)
    market.play(10, 0)
    market.play(8, step)
    shown = ticker(market.bench)
    assert (shown.last, shown.last_time) == market.traded
    assert market.bench.published(Trade)[-1].price == shown.last
    assert market.bench.count("cryptodash_frames_dropped_total", "ticker", "future_time") == 0


def test_a_held_quote_of_before_a_reconnect_is_no_news_after_it() -> None:
    market = Stepping(1_000.0)
    market.play(10, 0)
    bench = market.bench
    bench.frame(wire.quote("BTCUSDT", "1", "2", 5_000, bench.wall + HOUR))
    bench.close(bench.only)
    bench.advance(10)
    assert ticker(bench).bid != "1"


def trading(*numbers: int) -> Bench:
    bench = Bench()
    bench.want(TRADES)
    for number in (*numbers,):
        bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall - 20))
        bench.advance(0.3)
    return bench


def ids(bench: Bench) -> list[int]:
    return [int(each.id) for each in bench.published(Trade)]


def test_a_trade_from_the_future_stops_no_trades_and_counts_none_as_missed() -> None:
    bench = trading(1, 2)
    bench.frame(wire.trade("BTCUSDT", 10**9, "1", bench.wall - 20))
    for number in range(3, 6):
        bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall - 20))
    assert ids(bench) == [1, 2, 3, 4, 5]
    assert bench.count("cryptodash_trades_missed_total") == 0
    assert bench.count("cryptodash_frames_dropped_total", "trade", "future_id") == 1


def test_a_ticker_does_not_take_a_trade_that_the_tape_holds() -> None:
    bench = ticking()
    bench.want(TRADES)
    bench.frame(wire.trade("BTCUSDT", 1, "100", bench.wall))
    bench.frame(wire.trade("BTCUSDT", 10**9, "7", bench.wall))
    assert ticker(bench).last == "100"


def test_a_held_trade_is_dropped_after_five_seconds_and_counted() -> None:
    bench = trading(1, 2)
    bench.frame(wire.trade("BTCUSDT", 10**9, "1", bench.wall - 20))
    assert bench.count("cryptodash_frames_dropped_total", "trade", "future_id") == 0
    bench.advance(6)
    assert bench.count("cryptodash_frames_dropped_total", "trade", "future_id") == 1
    assert bench.count("cryptodash_frames_held_total", "trade", "future_id") == 1
    assert age(bench, TRADES) > 6.0


def test_trades_whose_count_leaps_are_told_with_the_second_one() -> None:
    bench = trading(1, 2)
    bench.frame(wire.trade("BTCUSDT", 10**9, "1", bench.wall - 20))
    bench.frame(wire.trade("BTCUSDT", 10**9 + 1, "1", bench.wall - 20))
    assert ids(bench) == [1, 2, 10**9, 10**9 + 1]
    assert bench.count("cryptodash_trades_missed_total") == 0


# Books


def booked(rules: BookRules, first: int = 100) -> Bench:
    """A book at sequence ``first`` + 1."""
    bench = Bench(MadeUpVenue(habits=Habits(books=rules)))
    bench.want(BOOK)
    bench.advance(0.5)
    if rules.snapshots is not SnapshotSource.REST:
        frame(bench, first, snapshot=True)
        frame(bench, first + 1)
    else:
        frame(bench, first)
        frame(bench, first + 1)
        bench.answer(bench.fetches[0], wire.book("", first, first, {"99": "1"}, {"101": "1"}, snapshot=True))
    assert bench.state(BOOK) is State.LIVE
    return bench


def frame(bench: Bench, number: int, *, snapshot: bool = False, name: str = "") -> None:
    stream = name or next(each for each in bench.subscribed() if each.startswith("book"))
    levels = ({"99": "1", "98": "1"}, {"101": "1"})
    bench.frame(wire.book(stream, number, number, *levels, previous=number - 1, snapshot=snapshot, time=bench.wall))


def sequence(bench: Bench) -> int | None:
    (report,) = [each for each in chain.from_iterable(bench.engine.streams()) if each.sequence is not None] or [None]
    return None if report is None else report.sequence


RULES = [
    BookRules(SnapshotSource.REST, Chaining.RANGE),
    BookRules(SnapshotSource.REST, Chaining.PREVIOUS),
    BookRules(SnapshotSource.STREAM, Chaining.COUNTER),
    BookRules(SnapshotSource.STREAM, Chaining.PREVIOUS),
]


def called(rules: BookRules) -> str:
    return f"{rules.snapshots.value}-{rules.chaining.value}"


@pytest.mark.parametrize("rules", RULES, ids=called)
def test_a_book_frame_from_the_future_leaves_the_book_as_it_is(rules: BookRules) -> None:
    bench = booked(rules)
    frame(bench, 10**15)
    bench.advance(0.1)
    frame(bench, 102)
    assert (bench.state(BOOK), sequence(bench)) == (State.LIVE, 102)
    assert bench.count("cryptodash_frames_dropped_total", "order_book", "future_id") == 1


@pytest.mark.parametrize("rules", RULES, ids=called)
def test_a_book_whose_ids_go_down_is_given_up_with_the_second_frame(rules: BookRules) -> None:
    bench = booked(rules, first=5_000)
    for number in (7, 8):
        bench.advance(0.1)
        frame(bench, number)
    assert bench.state(BOOK) is State.RESYNCING


@pytest.mark.parametrize("rules", RULES, ids=called)
def test_old_book_frames_confirm_nothing(rules: BookRules) -> None:
    bench = booked(rules, first=5_000)
    for number in range(6):
        bench.advance(0.5)
        frame(bench, 4_000 - 2 * number)  # none follows another
    assert age(bench, BOOK) > 2.9
    for number in range(8):
        bench.advance(0.5)
        frame(bench, 3_000 - 2 * number)
    assert bench.state(BOOK) is not State.LIVE


@pytest.mark.parametrize("snapshots", [SnapshotSource.STREAM, SnapshotSource.EITHER])
def test_a_book_subscribed_anew_after_silence_waits_for_its_snapshot(snapshots: SnapshotSource) -> None:
    bench = booked(BookRules(snapshots, Chaining.COUNTER))
    for number in range(102, 160):
        bench.advance(0.25)
        frame(bench, number)
    for _ in range(30):  # the connection lives, the stream does not
        bench.advance(0.5)
        bench.engine.heard(bench.only.key)
    assert (bench.status(BOOK).state, bench.status(BOOK).cause) == (State.STALE, Cause.SILENT)
    name = next(each for each in bench.subscribed() if each.startswith("book"))
    assert sum(request["op"] == "sub" and name in wire.names_of(request) for _, request in bench.only.sent) == 2
    frame(bench, 160)
    assert bench.state(BOOK) is State.RESYNCING
    frame(bench, 300, snapshot=True)
    assert bench.state(BOOK) is State.LIVE


def test_a_book_frame_with_a_time_from_the_future_is_held_until_a_second_one_agrees() -> None:
    bench = booked(BookRules(SnapshotSource.STREAM, Chaining.COUNTER))
    (name,) = bench.subscribed()
    clock = -50  # that of the venue is known by frames, and is not ours
    for number, ahead, shown in ((102, 0, 102), (103, HOUR, 102), (103, 0, 103), (104, HOUR, 103), (105, HOUR, 105)):
        bench.advance(0.3)
        levels = ({"99": str(number)}, {"101": "1"})
        bench.frame(wire.book(name, number, number, *levels, time=bench.wall + clock + ahead))
        assert (bench.state(BOOK), sequence(bench)) == (State.LIVE, shown)
    assert bench.count("cryptodash_frames_held_total", "order_book", "future_time") == 2
    assert bench.count("cryptodash_frames_dropped_total", "order_book", "future_time") == 1


def test_a_sweep_of_nothing_but_rows_from_the_future_is_held() -> None:
    bench = Bench()
    bench.want("spot:*:ticker")
    bench.advance(0.1)
    for shift in (-20, -19):
        bench.answer(bench.fetches[0], wire.sweep({"BTCUSDT": "100"}, bench.wall + shift))
        bench.advance(30)
    before = age(bench, "spot:*:ticker")
    told = bench.answer(bench.fetches[0], wire.sweep({"BTCUSDT": "1"}, bench.wall + HOUR))
    assert not [each for each in told if not hasattr(each, "state")]
    assert age(bench, "spot:*:ticker") == before
