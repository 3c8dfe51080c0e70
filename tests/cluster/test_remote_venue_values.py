"""What another process tells of a venue: nothing twice, nothing missing without a word, nothing younger than it is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.remote_venue import LOOK_S, SILENT_S
from cryptodash.cluster.wire import Beat, Confirmed, Echo
from cryptodash.core.events import BookView, Candle, Event, Gap, State, StreamStatus
from tests.cluster.remote_world import AHEAD, BARS, BOOK, TICKERS, TRADES, VIEW, World, live, ticker, trade
from tests.cluster.wire_samples import N

A, B, C, D = (trade(number, name) for number, name in enumerate("abcd", 1))


def bar(number: int, *, is_closed: bool = True) -> Candle:
    return Candle(BARS, 60_000 * number, 7, N("1"), N("1"), N("1"), N("1"), N("2"), is_closed)


@pytest.fixture
def world() -> World:
    return World()


# -- what was told before


def recent(world: World, *events: Event) -> list[Event | tuple[object, list[Event]]]:
    """What comes of it here when the holder has told these of trades."""
    world.says(event_records.recent_of(TRADES, events), to="me")
    return list(world.inlet.new())


def test_of_a_topic_of_which_nothing_is_known_all_is_taken(world: World) -> None:
    world.is_good(TRADES)
    assert recent(world, A, Gap(TRADES, 1, 2), B) == [(TRADES, [A, Gap(TRADES, 1, 2), B])]


def test_only_what_is_not_known_yet_is_taken(world: World) -> None:
    world.is_good(TRADES)
    world.states.told[TRADES] = [A, B]
    assert recent(world, A, B, C, D) == [(TRADES, [C, D])]
    assert recent(world, A, B) == []


def test_a_gap_of_the_holders_own_stays_where_it_was(world: World) -> None:
    world.is_good(TRADES)
    world.states.told[TRADES] = [A]
    assert recent(world, A, Gap(TRADES, 1, 3), C) == [(TRADES, [Gap(TRADES, 1, 3), C])]


def test_a_gap_comes_first_where_the_last_known_one_is_not_among_them(world: World) -> None:
    world.is_good(TRADES)
    world.states.told[TRADES] = [A]
    assert recent(world, C, D) == [(TRADES, [Gap(TRADES, 1, 3), C, D])]


def test_what_was_told_before_is_not_told_again_where_this_holder_lacks_the_last_one(world: World) -> None:
    """The one before had heard it; the new one was not connected then."""
    world.is_good(TRADES)
    world.states.told[TRADES] = [A, B, C]
    assert recent(world, A, B, D) == [(TRADES, [Gap(TRADES, 3, 4), D])]
    assert recent(world, A, B) == []


def test_another_trade_of_the_same_moment_is_not_the_one_that_is_known(world: World) -> None:
    world.is_good(TRADES)
    world.states.told[TRADES] = [trade(2, "other")]
    assert recent(world, A, B) == [(TRADES, [Gap(TRADES, 1, 2), A, B])]


def test_where_nothing_was_told_before_the_next_trade_says_that_something_may_be_missing(world: World) -> None:
    world.is_good(TRADES)
    world.states.told[TRADES] = [A]
    world.offset += 1
    assert recent(world) == []
    world.tells_state(live(TRADES))
    world.tells(A, C, D)
    assert world.inlet.new() == [live(TRADES), Gap(TRADES, 1, 3), C, D]


def test_where_all_is_known_the_next_trade_follows_without_a_gap(world: World) -> None:
    world.is_good(TRADES)
    world.states.told[TRADES] = [A, B]
    world.offset += 1
    assert recent(world, A, B) == []
    world.tells_state(live(TRADES))
    world.tells(C)
    assert world.inlet.new() == [live(TRADES), C]


def test_trades_that_come_before_the_state_are_left_to_the_state(world: World) -> None:
    world.is_good(TRADES)
    world.offset += 1
    world.tells(C, Gap(TRADES, 3, 4), D)
    assert world.inlet.new() == []
    assert recent(world, C, Gap(TRADES, 3, 4), D) == [(TRADES, [C, Gap(TRADES, 3, 4), D])]


def test_closed_bars_are_taken_once_and_no_gap_is_told_of_them(world: World) -> None:
    world.is_good(BARS)
    world.states.told[BARS] = [bar(1)]
    world.says(event_records.recent_of(BARS, [bar(1), bar(2)]), to="me")
    world.says(event_records.recent_of(BARS, [bar(5), bar(6)]), to="me")
    assert world.inlet.new() == [(BARS, [bar(2)]), (BARS, [bar(5), bar(6)])]


def test_a_running_bar_does_not_come_before_the_one_that_closed_and_was_missed(world: World) -> None:
    world.is_good(BARS)
    world.states.told[BARS] = [bar(1)]
    world.offset += 1
    world.tells(bar(3, is_closed=False), bar(2))
    assert world.inlet.new() == []
    world.says(event_records.recent_of(BARS, [bar(1), bar(2)]), to="me")
    assert world.inlet.new() == [(BARS, [bar(2)])]
    world.states.told[BARS] = [bar(1), bar(2)]
    world.tells_state(bar(3, is_closed=False), live(BARS))
    world.tells(bar(3))
    assert world.inlet.new() == [bar(3, is_closed=False), live(BARS), bar(3)] and world.fetched == []


def test_bars_that_closed_before_a_new_holder_had_their_venue_are_asked_for(world: World) -> None:
    """Nobody had wanted them of it: it knows nothing of them itself."""
    world.is_good(BARS)
    running = [bar(2, is_closed=False), live(BARS)]
    world.states.told[BARS], world.states.present[BARS, 0] = [bar(1)], running
    world.fence, world.offset = 9, 0
    world.beats()
    world.venue.holder_is(9)
    world.inlet.came.clear()
    world.bars = [bar(1), bar(2), bar(3), bar(4, is_closed=False)]
    world.says(event_records.recent_of(BARS, []), to="me")
    world.tells_state(StreamStatus(BARS, State.CONNECTING))
    world.tells(bar(4, is_closed=False), live(BARS))
    told = world.inlet.new()
    assert world.fetched == [BARS]
    assert [each for each in told if isinstance(each, Candle)] == [bar(2), bar(3), bar(4, is_closed=False)]
    assert told[-1] == live(BARS)


def test_what_awaits_its_state_for_a_second_is_in_doubt_until_it_comes(world: World) -> None:
    """The state may be missed as well, and a running bar waits for it."""
    world.is_good(TICKERS, BARS)
    world.tells(ticker(), bar(1, is_closed=False), age_ms=0)
    world.offset += 1
    world.tells(bar(2, is_closed=False), live(TICKERS), age_ms=0)
    world.inlet.new()
    for _ in range(3):
        world.passes(LOOK_S)
        world.beats()
    world.offset += 1  # the state
    world.tells(ticker(), age_ms=0)
    assert world.inlet.new() == [ticker()]
    world.passes(LOOK_S)
    assert world.inlet.new() == [world.doubt(TICKERS, State.STALE), world.doubt(BARS, State.STALE)]
    world.passes(1.5)
    assert world.inlet.new() == [], "once"
    world.tells(bar(2, is_closed=False), live(BARS), to="me", age_ms=0)
    assert world.inlet.new() == [bar(2, is_closed=False), live(BARS)]


def test_what_was_missed_is_not_confirmed_by_what_comes_behind_it(world: World) -> None:
    world.is_good(TICKERS, BARS)
    world.tells(bar(1, is_closed=False), ticker(), age_ms=0)
    told = world.clock.monotonic()
    world.clock.advance(1.0)
    world.offset += 1
    world.tells(bar(2, is_closed=False), age_ms=0)
    world.beats(Confirmed(BARS.text, 0, 0), Confirmed(TICKERS.text, 0, 0))
    for topic in (BARS, TICKERS):
        assert world.venue.confirmed_at(topic) == world.venue.as_of(topic) == pytest.approx(told)
    world.tells(bar(2, is_closed=False), live(BARS), to="me", age_ms=0)
    assert world.venue.confirmed_at(BARS) == pytest.approx(world.clock.monotonic())


def test_the_time_of_a_ticker_does_not_go_back_when_the_holder_is_another(world: World) -> None:
    world.is_good(TICKERS)
    world.states.told[TICKERS] = [ticker(10_000)]
    world.fence, world.offset = 9, 0
    world.beats()
    world.venue.holder_is(9)
    world.inlet.came.clear()
    world.tells_state(ticker(9_000, "5"), live(TICKERS))
    assert world.inlet.new() == [live(TICKERS)], "what it has had for long is older than what was told"
    world.tells(ticker(9_500, "6"), ticker(10_001, "7"))
    assert world.inlet.new() == [replace(ticker(10_000), last=N("6")), ticker(10_001, "7")]


def test_nor_does_it_before_that_holder_has_told_its_state(world: World) -> None:
    """It tells others of the topic already."""
    world.is_good(TICKERS)
    world.states.told[TICKERS] = [ticker(10_000)]
    world.fence, world.offset = 9, 0
    world.venue.holder_is(9)
    world.inlet.came.clear()
    world.tells(ticker(9_999, "6"))
    assert world.inlet.new() == [replace(ticker(10_000), last=N("6"))]


# -- how old it is


def test_a_value_that_was_300_ms_old_at_the_holder_is_no_younger_here(world: World) -> None:
    world.is_good(TICKERS)
    world.tells(ticker(), age_ms=300)
    assert world.venue.confirmed_at(TICKERS) == pytest.approx(world.clock.monotonic() - 0.3)
    assert world.venue.as_of(TICKERS) == world.venue.confirmed_at(TICKERS)


def test_a_frame_that_was_under_way_for_long_makes_its_values_so_much_older(world: World) -> None:
    world.is_good(TICKERS)
    world.says(event_records.record_of(ticker(), 300), after=1.25)
    assert world.venue.confirmed_at(TICKERS) == pytest.approx(world.clock.monotonic() - 1.55)


def test_what_the_quickest_echo_took_counts_as_well(world: World) -> None:
    world.venue.want([TICKERS])
    world.venue.holder_is(7)
    now = world.clock.monotonic()
    world.says(wire.beat_of(Beat([], [Echo("me", now - 0.5, 400.0)])))
    world.tells(ticker(), age_ms=300)
    assert world.venue.confirmed_at(TICKERS) == pytest.approx(now - 0.3 - 0.1)


def test_before_an_echo_has_come_nothing_is_known_of_ages(world: World) -> None:
    world.venue.want([TICKERS])
    world.venue.holder_is(7)
    world.tells(ticker(), age_ms=300)
    world.beats(Confirmed(TICKERS.text, 5, 5), is_echo=False)
    assert world.venue.confirmed_at(TICKERS) is None and world.venue.as_of(TICKERS) is None


def test_a_beat_says_how_old_values_are_that_do_not_change(world: World) -> None:
    world.is_good(TICKERS, VIEW)
    now = world.clock.monotonic()
    world.beats(Confirmed(TICKERS.text, 300, 1_200), Confirmed(BOOK.text, 40, None), Confirmed(TRADES.text, 1, 1))
    assert world.venue.confirmed_at(TICKERS) == pytest.approx(now - 0.3)
    assert world.venue.as_of(TICKERS) == pytest.approx(now - 0.3), "the later of both"
    assert world.venue.confirmed_at(BOOK) == world.venue.as_of(BOOK) == pytest.approx(now - 0.04)
    assert world.venue.confirmed_at(TRADES) is None, "nobody wants it"
    world.beats(Confirmed(TICKERS.text, 300, 100))
    assert world.venue.as_of(TICKERS) == pytest.approx(now - 0.1)


def test_what_is_not_wanted_any_more_has_no_age(world: World) -> None:
    world.is_good(TICKERS, VIEW)
    world.beats(Confirmed(TICKERS.text, 5, 5), Confirmed(BOOK.text, 5, 5))
    world.venue.drop([TICKERS, VIEW])
    assert world.venue.confirmed_at(TICKERS) is None and world.venue.as_of(BOOK) is None


def test_a_view_carries_the_age_of_its_book(world: World) -> None:
    world.is_good(VIEW)
    world.tells(BookView(VIEW, 0, 1, 2, (), ()), age_ms=200)
    assert world.venue.confirmed_at(BOOK) == pytest.approx(world.clock.monotonic() - 0.2)
    world.inlet.came.clear()
    world.passes(SILENT_S)
    assert world.inlet.new() == [world.doubt(BOOK, State.STALE)]


def test_a_view_at_an_interval_that_was_released_is_not_taken(world: World) -> None:
    """Nothing would follow it: whoever wants that interval later would be shown it."""
    world.is_good(VIEW)
    world.venue.pace(VIEW, [100, 500])
    slow, quick = (BookView(VIEW, each, 10, 7, (), ()) for each in (500, 100))
    world.tells(slow, quick)
    world.venue.pace(VIEW, [500])
    world.tells(slow, quick)
    assert world.inlet.new() == [slow, quick, slow]


def test_the_clock_of_a_new_holder_is_its_own(world: World) -> None:
    world.is_good(TICKERS)
    now = world.clock.monotonic()
    ahead = AHEAD * 3
    beat = wire.beat_of(Beat([Confirmed(TICKERS.text, 300, None)], [Echo("me", now, 0.0)]))
    world.venue.took(wire.frame_of(9, 0, now + ahead, [beat], "me"))
    world.venue.holder_is(9)
    assert world.venue.confirmed_at(TICKERS) == pytest.approx(now - 0.3)
