"""What another process tells of a venue is shown as live only for as long as nothing speaks against it."""

from __future__ import annotations

import pytest

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.local_demand import HEARTBEAT_S
from cryptodash.cluster.remote_venue import ASK_S, LOOK_S, MOST_HELD_BACK, SILENT_S
from cryptodash.cluster.wire import Confirmed, Hold
from cryptodash.core.events import BookView, State, Ticker
from cryptodash.core.interfaces import ExchangeReport
from cryptodash.core.quality import Count
from cryptodash.hub.stream_record import StreamQuality
from tests.cluster.remote_world import BOOK, TICKERS, TRADES, VIEW, World, live, ticker, trade
from tests.cluster.wire_samples import REPORT

CONNECTING, STALE = State.CONNECTING, State.STALE


@pytest.fixture
def world() -> World:
    return World()


# -- from nothing to good


def test_what_is_wanted_is_asked_for_and_in_doubt_until_somebody_tells_of_it(world: World) -> None:
    world.venue.want([TICKERS, VIEW])
    assert [each.holds for each in world.asked] == [[Hold(TICKERS.text, 0), Hold(VIEW.text, 0)]]
    assert world.inlet.new() == [world.doubt(TICKERS, CONNECTING), world.doubt(BOOK, CONNECTING)]
    world.venue.want([TICKERS])
    assert len(world.asked) == 1 and world.inlet.new() == [], "it is wanted already"


def test_nothing_is_good_before_a_beat_with_an_echo(world: World) -> None:
    world.venue.want([TICKERS])
    world.venue.holder_is(7)
    world.asked.clear()
    world.inlet.came.clear()
    world.beats(is_echo=False)
    world.tells(live(TICKERS))
    assert world.asked == [] and world.inlet.new() == []
    assert world.venue.reported(REPORT, "").status == "offline"
    world.beats()
    assert [(each.is_all, each.holds) for each in world.asked] == [(True, [Hold(TICKERS.text, 0)])]
    assert world.inlet.new() == [], "the state has yet to come"


def test_an_echo_for_another_process_says_nothing_to_us(world: World) -> None:
    world.venue.want([TICKERS])
    world.venue.holder_is(7)
    world.asked.clear()
    world.says(wire.beat_of(wire.Beat([], [wire.Echo("other", world.clock.monotonic(), 0.0)])))
    assert world.asked == []


def test_a_status_is_not_passed_on_before_the_state_has_come(world: World) -> None:
    world.venue.want([TICKERS])
    world.venue.holder_is(7)
    world.beats()
    world.inlet.came.clear()
    world.tells(live(TICKERS))
    assert world.inlet.new() == []
    world.tells_state(ticker(), live(TICKERS))
    assert world.inlet.new() == [ticker(), live(TICKERS)]
    world.tells(live(TICKERS))
    assert world.inlet.new() == [live(TICKERS)]


def test_a_status_of_a_topic_that_is_wanted_later_waits_for_its_state_as_well(world: World) -> None:
    world.is_good(TICKERS)
    world.venue.want([TRADES])
    world.tells(live(TRADES), trade(2, "b"))
    assert world.inlet.new() == [], "what others are told is no beginning"
    world.says(
        event_records.recent_of(TRADES, [trade(1, "a"), trade(2, "b")]), event_records.record_of(live(TRADES)), to="me"
    )
    assert world.inlet.new() == [(TRADES, [trade(1, "a"), trade(2, "b")]), live(TRADES)]


def test_what_is_for_another_process_is_not_read(world: World) -> None:
    world.is_good(TICKERS)
    world.tells(ticker(), live(TICKERS), to="other")
    assert world.inlet.new() == []
    world.tells(ticker())
    assert world.inlet.new() == [ticker()] and world.asked == [], "no frame is missing"


def test_what_is_not_wanted_is_not_passed_on(world: World) -> None:
    world.is_good(TICKERS)
    world.tells(trade(1, "a"), live(TRADES))
    assert world.inlet.new() == []


# -- silence


def test_silence_makes_all_stale_or_connecting_and_two_beats_in_time_and_the_state_make_it_good_again(
    world: World,
) -> None:
    world.is_good(TICKERS, VIEW)
    world.tells(ticker(), age_ms=0)
    world.inlet.came.clear()
    world.passes(SILENT_S - LOOK_S)
    assert world.inlet.new() == [], "not yet"
    world.passes(LOOK_S)
    assert world.inlet.new() == [world.doubt(TICKERS, STALE), world.doubt(BOOK, CONNECTING)]
    world.passes(5)
    assert world.inlet.new() == [], "said once"
    world.asked.clear()
    world.beats()
    world.tells(live(TICKERS))
    assert world.inlet.new() == [] and world.asked == [], "one beat is none"
    world.passes(0.5)
    world.beats()
    assert [each.is_all for each in world.asked if each.is_all] == [True]
    world.tells(live(TICKERS))
    assert world.inlet.new() == []
    world.tells_state(ticker(), live(TICKERS))
    assert world.inlet.new() == [ticker(), live(TICKERS)]
    world.tells(live(BOOK))
    assert world.inlet.new() == [], "its state has yet to come"


def test_a_beat_that_was_long_under_way_is_no_sign_of_life(world: World) -> None:
    world.is_good(TICKERS)
    world.beats(after=SILENT_S + 0.1)
    world.venue.look()
    assert world.inlet.new() == [world.doubt(TICKERS, CONNECTING)]
    world.asked.clear()
    for _ in range(3):
        world.beats(after=SILENT_S + 0.1)
        world.venue.tick()
    assert not any(each.is_all for each in world.asked)
    world.beats()
    world.beats()
    assert [each.is_all for each in world.asked if each.is_all] == [True]


def test_beats_for_us_alone_do_not_count_twice(world: World) -> None:
    world.is_good(TICKERS)
    world.passes(SILENT_S + 0.5)
    world.asked.clear()
    for _ in range(5):
        world.beats(to="me")
    assert world.asked == []
    world.beats()
    assert [each.is_all for each in world.asked] == [True]


def test_a_venue_is_reported_by_its_holder_while_that_is_good_and_out_of_reach_else(world: World) -> None:
    world.is_good(TICKERS)
    theirs = REPORT
    unopened: ExchangeReport = REPORT.__class__(**{**_members(REPORT), "status": "ok", "connections": 9})
    world.says(wire.report_of(theirs))
    assert world.venue.reported(unopened, "") == theirs
    world.passes(SILENT_S + 0.5)
    found = world.venue.reported(unopened, "Redis is away")
    assert (found.status, found.cause, found.reason, found.connections) == ("offline", "backend", "Redis is away", 0)
    assert world.venue.reported(unopened, "").reason == "no process that holds it is heard of"


def _members(report: ExchangeReport) -> dict[str, object]:
    return {name: getattr(report, name) for name in report.__match_args__}


# -- whose frames


def test_a_frame_of_an_unknown_fence_waits_until_the_lease_says_who_holds(world: World) -> None:
    world.is_good(TICKERS)
    world.fence, world.offset = 9, 0
    checks = world.checks
    world.beats()
    world.beats()
    assert world.checks == checks + 1 and world.asked == []
    world.venue.holder_is(9)
    assert world.inlet.new() == [world.doubt(TICKERS, CONNECTING)]
    assert [each.is_all for each in world.asked] == [False, True]
    world.tells_state(ticker(), live(TICKERS))
    assert world.inlet.new() == [ticker(), live(TICKERS)]
    assert world.counted("refused", "binance", "other_holder") == 0


def test_where_nobody_says_who_holds_it_is_asked_again(world: World) -> None:
    world.is_good(TICKERS)
    world.fence, world.offset = 9, 0
    world.beats()
    checks = world.checks
    world.passes(1.0)
    assert world.checks == checks + 2


def test_long_frames_of_an_unknown_holder_do_not_pile_up(world: World) -> None:
    world.is_good(TICKERS)
    world.fence, world.offset = 9, 0
    for _ in range(10):
        world.says(b"\x93\xcc\xff\xc6\x00\x0f\x42\x40" + bytes(1_000_000) + b"\xc0")
    assert world.counted("refused", "binance", "unknown_holder") == 2


def test_frames_of_another_holder_are_refused_and_counted(world: World) -> None:
    world.is_good(TICKERS)
    world.fence = 6
    for _ in range(3):
        world.tells(ticker())
    world.venue.holder_is(7)
    assert world.inlet.new() == [] and world.counted("refused", "binance", "other_holder") == 3
    world.fence, world.offset = 7, 42
    world.tells(ticker())
    assert world.inlet.new() == [ticker()] and world.asked == [], "our holder's frames are not missing any"


def test_no_more_than_so_many_frames_wait(world: World) -> None:
    world.venue.want([TICKERS])
    for _ in range(MOST_HELD_BACK + 2):
        world.beats()
    assert world.checks == 1 and world.counted("refused", "binance", "unknown_holder") == 2
    world.venue.holder_is(None)
    assert world.counted("refused", "binance", "other_holder") == MOST_HELD_BACK
    world.beats()
    assert world.checks == 2, "the next one asks again"


def test_while_nobody_is_known_to_hold_the_lease_is_looked_at_again_and_again(world: World) -> None:
    world.passes(1.5)
    assert world.checks == 3
    world.venue.holder_is(7)
    world.passes(1.5)
    assert world.checks == 3


def test_of_what_has_a_cursor_is_said_up_to_where_it_is_known(world: World) -> None:
    world.states.told[TRADES] = [trade(1, "a"), trade(2, "b")]
    world.states.told[TICKERS] = [ticker()]
    world.venue.want([TRADES, TICKERS])
    assert world.asked[-1].holds == [Hold(TRADES.text, 0, (2, "b")), Hold(TICKERS.text, 0)]
    world.states.told[TRADES].append(trade(2, "c"))
    world.venue.holder_is(7)
    world.asked.clear()
    world.says(wire.ask())
    assert [each.holds for each in world.asked] == [[Hold(TRADES.text, 0, (2, "c")), Hold(TICKERS.text, 0)]]


def test_a_missing_frame_shows_and_all_is_asked_for(world: World) -> None:
    world.is_good(TICKERS)
    world.clock.advance(ASK_S)
    world.offset += 1
    world.tells(ticker(), live(TICKERS))
    assert [(each.is_all, each.holds) for each in world.asked] == [(True, [Hold(TICKERS.text, 0)])]
    assert world.counted("gaps", "binance") == 1
    assert world.inlet.new() == [ticker()], "its status waits for the state"
    world.tells_state(live(TICKERS))
    assert world.inlet.new() == [live(TICKERS)] and len(world.asked) == 1


def test_no_value_is_told_behind_a_newer_one(world: World) -> None:
    world.is_good(TICKERS)
    older, newer = ticker(timestamp=10_000, last="3"), ticker(timestamp=10_100, last="4")
    for each in reversed([world.frame(event_records.record_of(each)) for each in (older, newer)]):
        world.venue.took(each)
    assert [each for each in world.inlet.new() if isinstance(each, Ticker)] == [newer]
    assert world.counted("gaps", "binance") == 1 and world.counted("refused", "binance", "old") == 1


def test_a_frame_that_comes_twice_is_nothing_new(world: World) -> None:
    world.is_good(TICKERS, TRADES)
    for each in (world.frame(event_records.record_of(ticker())), world.frame(event_records.record_of(trade(10, "7")))):
        world.venue.took(each)
        assert len(world.inlet.new()) == 1
        world.venue.took(each)
        assert world.inlet.new() == [] and world.asked == [] and world.counted("gaps", "binance") == 0


def test_while_the_state_is_on_its_way_it_is_not_asked_for_again_and_then_it_is(world: World) -> None:
    world.is_good(TICKERS, TRADES)
    for _ in range(20):
        world.offset += 1
        world.tells(ticker())
        world.clock.advance(0.01)
    assert len(world.asked) <= 1
    world.passes(2 * LOOK_S)
    assert world.asked[-1].is_all and len(world.asked) <= 2


def test_a_trade_that_is_lost_behind_a_request_is_not_passed_over(world: World) -> None:
    """What the first answer brings does not have it, and what comes behind it waits for the second."""
    world.is_good(TRADES)
    world.states.told[TRADES] = [trade(1, "a")]
    world.clock.advance(ASK_S)
    for number in (3, 5):  # 2 and 4 are lost
        world.offset += 1
        world.tells(trade(number, str(number)))
    assert world.inlet.new() == [] and len(world.asked) == 1
    world.passes(2 * LOOK_S)
    assert len(world.asked) == 2


def test_what_cannot_be_read_is_refused_and_counted_and_the_rest_of_the_frame_is_taken(world: World) -> None:
    world.is_good(TICKERS)
    world.venue.took(b"garbage")
    bad = event_records.record_of(ticker(last="not a number"))
    world.says(bad, b"\x93\x63\xc0\xc0", event_records.record_of(ticker()))
    assert world.inlet.new() == [ticker()] and world.counted("refused", "binance", "unreadable") == 3


def test_the_ledger_has_how_long_nothing_good_came_from_the_holder_and_what_was_lost(world: World) -> None:
    def known() -> tuple[bool, list[tuple[str, int]], int]:
        (found,) = [each for each in world.ledger.stream_quality("binance") if isinstance(each, StreamQuality)]
        runs = [(run.state.value, (run.end or round(world.clock.monotonic() * 1000)) - run.begin) for run in found.runs]
        return found.state is not None, runs, found.total.counts[Count.GAPS]

    world.is_good(TICKERS)
    world.tells(ticker(), age_ms=0)
    for _ in range(4):
        world.beats()
        world.passes(0.5)
    world.passes(3.0)
    assert known() == (True, [("live", 3_500), ("stale", 1_500)], 0)
    world.offset += 1
    world.beats()
    assert known()[2] == 1
    world.venue.drop([TICKERS])
    assert not known()[0], "nobody wants it: its time counts no more"


# -- what is wanted


def test_what_is_not_wanted_any_more_is_released_at_all_of_its_intervals(world: World) -> None:
    world.is_good(VIEW)
    world.venue.pace(VIEW, [100, 500])
    world.venue.pace(VIEW, [500])
    world.venue.drop([VIEW])
    assert [(each.holds, each.releases) for each in world.asked] == [
        ([Hold(VIEW.text, 100), Hold(VIEW.text, 500)], []),
        ([], [Hold(VIEW.text, 100)]),
        ([], [Hold(VIEW.text, 0), Hold(VIEW.text, 500)]),
    ]
    world.tells(BookView(VIEW, 500, 1, 2, (), ()), live(BOOK))
    assert world.inlet.new() == []


def test_changes_are_counted_and_who_wants_nothing_new_says_that_it_is_there(world: World) -> None:
    world.is_good(TICKERS)
    world.venue.want([TRADES])
    first = world.asked[-1].number
    world.venue.drop([TRADES])
    assert world.asked[-1].number == first + 1
    for _ in range(round(HEARTBEAT_S / 0.5)):
        world.beats()
        world.passes(0.5)
    last = world.asked[-1]
    assert (last.number, last.holds, last.releases, last.is_all) == (first + 1, [], [], False)
    assert last.sent == world.clock.monotonic()


def test_a_holder_that_asks_is_told_all_once_a_moment(world: World) -> None:
    world.is_good(TICKERS)
    world.clock.advance(0.1)
    world.says(wire.ask())
    world.says(wire.ask(), to="me")
    assert [each.is_all for each in world.asked] == [True]


def test_a_catalogue_that_was_written_anew_is_read(world: World) -> None:
    world.is_good(TICKERS)
    world.says(wire.catalogue_of("spot"))
    assert world.catalogues == ["spot"]


def test_what_ends_leaves_nothing_behind(world: World) -> None:
    world.is_good(TICKERS, VIEW)
    world.beats(Confirmed(TICKERS.text, 5, 5))
    world.venue.end()
    world.tells(ticker(), live(TICKERS))
    assert world.inlet.new() == []
    assert world.venue.fence is None and world.venue.confirmed_at(TICKERS) is None
