"""A venue that this process holds is told to the others: once a turn, in order, and only while it is ours."""

from __future__ import annotations

from typing import Any

import pytest

from cryptodash.cluster import venue_bus, wire
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.cluster.wire import Beat, Confirmed, Demanded, Echo, Hold
from cryptodash.core.cursors import Cursor
from cryptodash.core.events import BookView, Cause, Event, Gap, State, StreamStatus
from cryptodash.core.instruments import MarketType
from tests.cluster.bus_world import LEASE_S, World, told
from tests.cluster.remote_world import BOOK, TICKERS, TRADES, VIEW, live, ticker, trade
from tests.cluster.wire_samples import REPORT


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_published_in_one_turn_goes_out_in_one_frame_in_its_order(world: World) -> None:
    world.wants("a", (TICKERS, 0), (TRADES, 0))
    events: list[Event] = [trade(1, "a"), ticker(), trade(2, "b"), live(TICKERS)]
    for each in events:
        world.bus.publish(each)
    frames = world.turn()
    assert told(frames) == [*(("", each) for each in events), ("", REPORT)] and len(frames) == 1
    assert (frames[0].fence, frames[0].sent) == (7, world.clock.monotonic())
    assert world.inlet.new() == events, "and to the hub, which was first"
    assert world.turn() == [] and not world.reactor.getDelayedCalls()


def test_each_addressee_has_frames_of_its_own_and_offsets_have_no_holes(world: World) -> None:
    world.wants("a", (TICKERS, 0))
    world.bus.publish(ticker(1))
    world.says("b", (TICKERS, 0))
    world.states.present[TICKERS, 0] = [ticker(1)]
    world.says("b", (TICKERS, 0))
    world.bus.publish(ticker(2))
    frames = world.turn()
    assert [frame.to for frame in frames] == ["", "b"]
    assert told(frames) == [("", ticker(1)), ("", ticker(2)), ("b", ticker(1))], "a state is that of the turn's end"
    world.bus.publish(ticker(3))
    assert [frame.offset - frames[0].offset for frame in [*frames, *world.turn()]] == [0, 1, 2]


def test_of_a_book_all_views_that_a_process_wants_come_before_the_status(world: World) -> None:
    views = [BookView(VIEW, interval, 1, 7, (), ()) for interval in (100, 500)]
    for view in views:
        world.states.present[VIEW, view.interval] = [view, live(BOOK)]
    world.states.present[VIEW, 0] = [live(BOOK)]
    world.says("a", (VIEW, 0), (VIEW, 100), (VIEW, 500))
    assert told(world.turn()) == [("a", views[0]), ("a", views[1]), ("a", live(BOOK))]


def test_states_of_many_topics_are_told_over_several_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_bus, "STATE_A_TURN", 1)
    for topic in (TICKERS, BOOK):
        world.states.present[topic, 0] = [live(topic)]
    world.says("a", (TICKERS, 0), (BOOK, 0))
    world.reactor.advance(0)
    assert [told(each) for each in world.sent] == [[("a", live(TICKERS))], [("a", live(BOOK))]]


def test_of_the_events_of_a_state_only_what_a_process_lacks_is_asked_for(world: World) -> None:
    hold = Hold(TRADES.text, 0, (3, "c"))
    world.bus.demand.took(Demanded(wire.VERSION, "a", 1, 2.5, True, [hold], []))
    world.turn()
    assert world.states.asked == [Cursor(3, "c")]


def test_between_two_turns_of_states_the_venue_has_as_much_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_bus, "STATE_A_TURN", 1)
    state = world.states.state

    def slow(*asked: Any) -> Any:
        world.clock.advance(0.03)
        return state(*asked)

    monkeypatch.setattr(world.states, "state", slow)
    world.says("a", (TICKERS, 0), (BOOK, 0))
    assert len(world.turn()) == 1
    world.bus.publish(ticker())
    assert told(world.turn()) == [("", ticker())], "it does not wait"
    world.sent.clear()
    world.reactor.advance(0.029)
    assert world.sent == []
    world.reactor.advance(0.001)
    world.reactor.advance(0)
    assert len(world.sent) == 1
    world.bus.end()
    assert world.reactor.getDelayedCalls() == []


def test_a_turn_that_is_too_long_goes_in_several_frames(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_RECORDS", 2)
    world.wants("a", (TRADES, 0))
    trades = [trade(number, str(number)) for number in range(5)]
    for each in trades:
        world.bus.publish(each)
    frames = world.turn()
    assert [len(frame.records) for frame in frames] == [2, 2, 1]
    assert told(frames) == [("", each) for each in trades]
    assert [frame.offset - frames[0].offset for frame in frames] == [0, 1, 2]


def test_an_event_that_nobody_else_wants_is_told_to_the_hub_only(world: World) -> None:
    world.wants("a", (VIEW, 100))
    for each in (ticker(), BookView(VIEW, 500, 1, 2, (), ()), trade(1, "a")):
        world.bus.publish(each)
    assert world.turn() == [] and len(world.inlet.new()) == 3
    for each in (BookView(VIEW, 100, 1, 2, (), ()), live(BOOK)):
        world.bus.publish(each)
    assert told(world.turn()) == [("", BookView(VIEW, 100, 1, 2, (), ())), ("", live(BOOK)), ("", REPORT)]
    world.wants("a")
    world.bus.publish(ticker())
    assert world.turn() == []


def test_a_status_of_whatever_stream_brings_a_report_but_not_more_than_ten_a_second(world: World) -> None:
    world.bus.publish(live(TICKERS))
    assert world.turn() == [], "nobody follows"
    world.wants("a")
    found = []
    for _ in range(4):
        world.bus.publish(live(TICKERS))
        world.clock.advance(0.06)
        found.append(told(world.turn()))
    assert found == [[("", REPORT)], [], [("", REPORT)], []]


def test_an_event_says_how_old_its_value_is(world: World) -> None:
    world.wants("a", (TICKERS, 0), (VIEW, 0))
    world.venue.confirmed = {TICKERS: world.clock.monotonic() - 0.3, BOOK: world.clock.monotonic() + 1}
    for each in (ticker(), BookView(VIEW, 0, 1, 2, (), ())):
        world.bus.publish(each)
    assert [age for frame in world.turn() for _, _, age in frame.records] == [300, 0]
    world.venue.confirmed.clear()
    world.bus.publish(ticker())
    assert [age for frame in world.turn() for _, _, age in frame.records] == [None]


# -- whether it is ours


def test_nothing_is_sent_while_the_lease_is_unsure_and_its_offset_is_used_up(world: World) -> None:
    world.wants("a", (TICKERS, 0))
    world.bus.publish(ticker(1))
    (before,) = world.turn()
    world.clock.advance(LEASE_S)
    world.bus.publish(ticker(2))
    assert world.turn() == [] and world.dropped() == 1
    world.lease.renewed(world.clock.monotonic())
    world.bus.publish(ticker(3))
    (after,) = world.turn()
    assert told([after]) == [("", ticker(3))] and after.offset == before.offset + 2, "so that it shows"
    assert world.inlet.new() == [ticker(1), ticker(2), ticker(3)], "our own clients are told all"


def test_who_has_no_lease_says_nothing(world: World) -> None:
    world.wants("a", (TICKERS, 0))
    world.lease.lost()
    world.bus.publish(ticker())
    assert world.turn() == [] and world.dropped() == 1


def test_where_redis_says_that_the_lease_is_not_ours_it_is_lost(world: World) -> None:
    world.wants("a", (TICKERS, 0))
    assert world.losses == 0
    world.answer = 0
    world.bus.publish(ticker())
    world.turn()
    assert world.losses == 1


def test_where_redis_does_not_answer_the_turn_is_counted_and_the_lease_stands(world: World) -> None:
    world.wants("a", (TICKERS, 0))
    world.answer = RedisError("away")
    world.bus.publish(ticker())
    world.turn()
    assert world.losses == 0 and world.dropped() == 1


def test_what_redis_does_not_take_does_not_pile_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_bus, "MOST_UNACKNOWLEDGED", 150)
    world.wants("a", (TICKERS, 0))
    world.answer = None
    offsets = []
    for number in range(10):
        world.bus.publish(ticker(number))
        offsets += [frame.offset for frame in world.turn()]
    assert 1 <= len(offsets) < 10 and world.dropped() == 10 - len(offsets)
    for each in world.open:
        each.callback(1)
    world.bus.publish(ticker())
    assert [frame.offset for frame in world.turn()] == [offsets[0] + 10]


# -- what a process wants newly


def test_the_state_of_a_newly_wanted_topic_is_told_to_who_wants_it_in_its_order(world: World) -> None:
    events: list[Event] = [trade(1, "a"), Gap(TRADES, 1, 2), trade(2, "b")]
    world.states.told[TRADES] = events
    world.states.present[TRADES, 0] = [live(TRADES)]
    now = world.clock.monotonic()
    world.venue.confirmed[TRADES], world.venue.holds_for[TRADES] = now - 0.3, now - 1.2
    world.says("a", (TRADES, 0))
    frames = world.turn()
    age = Beat([Confirmed(TRADES.text, 300, 1_200)], [Echo("a", 2.5, 0.0)])
    assert told(frames) == [("a", (TRADES, events)), ("a", age), ("a", live(TRADES))] and len(frames) == 1


def test_a_topic_without_events_that_are_kept_has_values_only(world: World) -> None:
    world.states.told[TICKERS] = [ticker(1)]
    world.states.present[TICKERS, 0] = [ticker(2), live(TICKERS)]
    world.says("a", (TICKERS, 0))
    assert told(world.turn()) == [("a", ticker(2)), ("a", live(TICKERS))], "nothing is said of an age nobody knows"


def test_what_cannot_be_held_now_is_waiting_for_room(world: World) -> None:
    world.hub.full.add(VIEW)
    world.says("a", (VIEW, 100))
    waits = StreamStatus(BOOK, State.CONNECTING, Cause.CAPACITY, since=world.clock.wall_ms())
    assert told(world.turn()) == [("a", waits)]


def test_who_is_asked_for_all_has_an_echo_and_the_report_before(world: World) -> None:
    world.bus.demand.took(Demanded(wire.VERSION, "a", 5, 2.5, False, [], []))
    assert told(world.turn()) == [("a", Beat([], [Echo("a", 2.5, 0.0)])), ("a", REPORT), ("a", "ask")]


# -- time


def test_a_beat_tells_all_how_old_each_value_is_that_anybody_wants(world: World) -> None:
    world.wants("a", (TICKERS, 0), (VIEW, 100), (TRADES, 0))
    now = world.clock.monotonic()
    world.venue.confirmed = {TICKERS: now - 0.3, BOOK: now - 0.1}
    world.clock.advance(0.2)
    world.bus.beat()
    ages = [Confirmed(TICKERS.text, 500, None), Confirmed(BOOK.text, 300, None)]
    assert told(world.turn()) == [("", Beat(ages, [Echo("a", 2.5, pytest.approx(200.0))]))]


def test_a_new_holder_asks_all_for_what_they_want_and_counts_its_frames_from_0(world: World) -> None:
    world.wants("a", (TICKERS, 0))
    world.bus.begin([])
    (frame,) = world.turn()
    assert told([frame]) == [("", "ask")] and frame.offset == 0


def test_what_came_from_another_process_until_now_goes_on_with_a_gap(world: World) -> None:
    world.states.told[TRADES] = [trade(1, "a"), trade(2, "b")]
    world.bus.begin([TRADES])
    world.wants("a", (TRADES, 0))
    for each in (trade(2, "b"), trade(5, "c"), trade(6, "d")):
        world.bus.publish(each)
    events = [Gap(TRADES, 2, 5), trade(5, "c"), trade(6, "d")]
    assert world.inlet.new() == events and told(world.turn()) == [("", each) for each in events]


def test_at_the_end_nothing_is_held_nor_told(world: World) -> None:
    world.wants("a", (TICKERS, 0))
    world.bus.publish(ticker())
    world.bus.end()
    assert world.hub.held == [] and world.turn() == [] and not world.reactor.getDelayedCalls()


def test_a_catalogue_and_the_report_are_for_all(world: World) -> None:
    world.bus.tell_catalogue(MarketType.SPOT)
    world.bus.tell_report()
    assert told(world.turn()) == [("", REPORT), ("", "spot"), ("", REPORT)]
