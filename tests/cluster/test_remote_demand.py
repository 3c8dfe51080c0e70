"""What other processes want of a venue is held for them here, for as long as they are there."""

from __future__ import annotations

from typing import Any

import pytest

from cryptodash.cluster import wire
from cryptodash.cluster.remote_demand import MOST_PROCESSES, SILENT_S, TRIED_AT_ONCE, RemoteDemand
from cryptodash.cluster.wire import Demanded, Echo, Hold
from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused
from cryptodash.core.time import ManualClock
from cryptodash.core.topics import Topic, parse_topic
from tests.cluster.hub_fakes import Demand

TICKERS = parse_topic("binance:spot:BTC-USDT:ticker")
TRADES = parse_topic("binance:spot:BTC-USDT:trade")
VIEW = parse_topic("binance:spot:BTC-USDT:order_book:20")
DEEPER = parse_topic("binance:spot:BTC-USDT:order_book:100")
BOOK = VIEW.upstream


class Told:
    """What processes are told."""

    def __init__(self) -> None:
        self.news: list[tuple[Any, ...]] = []
        self.since: list[Cursor | None] = []

    def added(self, process: str, topic: Topic, interval: int, since: Cursor | None) -> None:
        self.news.append(("added", process, topic, interval))
        self.since.append(since)

    def refused(self, process: str, topic: Topic, error: Refused) -> None:
        self.news.append(("refused", process, topic, error.code))

    def ask(self, process: str) -> None:
        self.news.append(("ask", process))


class World:
    def __init__(self) -> None:
        self.hub = Demand()
        self.clock = ManualClock()
        self.told = Told()
        self.remote = RemoteDemand("binance", self.hub, self.clock, self.told)

    def says(
        self,
        process: str,
        number: int,
        holds: dict[Topic | str, int] | None = None,
        releases: dict[Topic | str, int] | None = None,
        *,
        is_all: bool = False,
        sent: float = 1.0,
    ) -> None:
        self.remote.took(Demanded(wire.VERSION, process, number, sent, is_all, written(holds), written(releases)))

    def held(self) -> list[tuple[str, int]]:
        """What the hub holds, as often as it does."""
        return sorted(self.hub.held)


def written(holds: dict[Topic | str, int] | None) -> list[Hold]:
    return [Hold(str(topic), interval) for topic, interval in (holds or {}).items()]


def test_whoever_is_told_its_state_is_told_what_it_knows(world: World) -> None:
    for is_all, number in ((True, 1), (False, 2), (True, 3)):
        holds = [Hold(TICKERS.text, 0, (5, "x") if number < 3 else None)]
        world.remote.took(Demanded(wire.VERSION, "a", number, 1.0, is_all, holds, []))
    assert world.told.since == [Cursor(5, "x"), Cursor(5, "x"), None]


@pytest.fixture
def world() -> World:
    return World()


def test_all_that_a_process_says_it_wants_is_held_for_it_and_its_state_told(world: World) -> None:
    world.says("a", 5, {TICKERS: 0, VIEW: 100}, is_all=True)
    assert world.held() == [(VIEW.text, 100), (TICKERS.text, 0)]
    assert world.told.news == [("added", "a", TICKERS, 0), ("added", "a", VIEW, 100)]
    assert world.remote.topics == {TICKERS: {0: 1}, VIEW: {100: 1}, BOOK: {100: 1}}


def test_changes_that_come_in_order_are_followed(world: World) -> None:
    world.says("a", 5, {TICKERS: 0}, is_all=True)
    world.says("a", 6, {TRADES: 0})
    world.says("a", 7, {VIEW: 100}, {TICKERS: 0})
    world.says("a", 7)
    assert world.held() == [(VIEW.text, 100), (TRADES.text, 0)]
    assert world.remote.topics == {TRADES: {0: 1}, VIEW: {100: 1}, BOOK: {100: 1}}
    assert ("ask", "a") not in world.told.news


@pytest.mark.parametrize(("number", "holds"), [(7, {TRADES: 0}), (5, {TRADES: 0}), (6, {}), (4, {}), (9, {})])
def test_a_change_that_was_lost_shows_in_the_number_and_all_is_asked_for(
    world: World, number: int, holds: dict[Topic | str, int]
) -> None:
    world.says("a", 5, {TICKERS: 0}, is_all=True)
    world.told.news.clear()
    world.says("a", number, holds)
    assert world.told.news == [("ask", "a")]
    assert world.held() == [(TICKERS.text, 0)], "nothing is done before all is known"
    world.says("a", 10, {TRADES: 0}, is_all=True)
    world.says("a", 11, {VIEW: 0})
    assert world.held() == [(VIEW.text, 0), (TRADES.text, 0)]


def test_a_process_that_is_not_known_is_asked_for_all(world: World) -> None:
    world.says("a", 7)
    world.says("b", 3, {TICKERS: 0})
    assert world.told.news == [("ask", "a"), ("ask", "b")] and world.hub.held == []


def test_all_of_it_replaces_what_was_wanted_before_and_is_told_anew(world: World) -> None:
    world.says("a", 5, {TICKERS: 0, TRADES: 0}, is_all=True)
    world.told.news.clear()
    world.says("a", 2, {TRADES: 0, VIEW: 0}, is_all=True)
    assert world.held() == [(VIEW.text, 0), (TRADES.text, 0)]
    assert world.told.news == [("added", "a", TRADES, 0), ("added", "a", VIEW, 0)]
    world.says("a", 3, {}, {TRADES: 0})
    assert world.held() == [(VIEW.text, 0)]


def test_processes_want_each_for_themselves(world: World) -> None:
    world.says("a", 0, {VIEW: 100, TICKERS: 0}, is_all=True)
    world.says("b", 0, {VIEW: 100, DEEPER: 100}, is_all=True)
    assert world.remote.topics[VIEW] == {100: 2} and world.remote.topics[BOOK] == {100: 3}
    world.says("a", 1, {}, {VIEW: 100})
    assert world.remote.topics == {TICKERS: {0: 1}, VIEW: {100: 1}, DEEPER: {100: 1}, BOOK: {100: 2}}
    assert world.held() == [(DEEPER.text, 100), (VIEW.text, 100), (TICKERS.text, 0)]


def test_a_view_is_wanted_at_each_of_its_intervals(world: World) -> None:
    world.says("a", 0, {VIEW: 0}, is_all=True)
    world.says("a", 1, {VIEW: 100})
    world.says("a", 2, {VIEW: 500})
    assert world.remote.topics[VIEW] == {0: 1, 100: 1, 500: 1}
    world.says("a", 3, {}, {VIEW: 100})
    assert world.remote.topics == {VIEW: {0: 1, 500: 1}, BOOK: {0: 1, 500: 1}}


def test_a_release_of_what_is_not_held_changes_nothing(world: World) -> None:
    world.says("a", 0, {TICKERS: 0}, is_all=True)
    world.says("a", 1, {}, {TRADES: 0, TICKERS: 100})
    world.says("b", 0, {}, {TICKERS: 0}, is_all=True)
    assert world.held() == [(TICKERS.text, 0)] and world.remote.topics == {TICKERS: {0: 1}}


def test_what_is_held_twice_is_held_once_and_told_again(world: World) -> None:
    world.says("a", 0, {TICKERS: 0}, is_all=True)
    world.says("a", 1, {TICKERS: 0})
    assert world.told.news == [("added", "a", TICKERS, 0)] * 2
    world.says("a", 2, {}, {TICKERS: 0})
    assert world.hub.held == [] and world.remote.topics == {}


def test_a_process_that_is_silent_for_long_wants_nothing_any_more(world: World) -> None:
    world.says("a", 5, {TICKERS: 0}, is_all=True)
    world.says("b", 5, {TICKERS: 0}, is_all=True)
    world.clock.advance(SILENT_S)
    world.says("b", 5)
    world.remote.tick()
    assert world.held() == [(TICKERS.text, 0)] * 2
    world.clock.advance(0.1)
    world.remote.tick()
    assert world.held() == [(TICKERS.text, 0)]
    assert world.remote.topics == {TICKERS: {0: 1}}
    world.told.news.clear()
    world.says("a", 5)
    assert world.told.news == [("ask", "a")], "it comes back"


def test_a_refusal_is_told_and_nothing_is_held(world: World) -> None:
    world.hub.full.add(VIEW)
    world.says("a", 5, {VIEW: 100, TICKERS: 0}, is_all=True)
    assert world.told.news == [("refused", "a", VIEW, "rate_limited"), ("added", "a", TICKERS, 0)]
    assert world.held() == [(TICKERS.text, 0)] and world.remote.topics == {TICKERS: {0: 1}}
    world.hub.full.clear()
    world.says("a", 6, {}, {VIEW: 100})
    world.says("a", 7, {VIEW: 100})
    assert world.held() == [(VIEW.text, 100), (TICKERS.text, 0)]


def test_what_was_refused_is_tried_again_until_it_is_held(world: World) -> None:
    world.hub.full.add(VIEW)
    world.says("a", 5, {VIEW: 100, TICKERS: 0}, is_all=True)
    world.remote.tick()
    assert world.told.news[-1] == ("refused", "a", VIEW, "rate_limited") and world.hub.tried == 3
    world.hub.full.clear()
    world.told.news.clear()
    world.remote.tick()
    assert world.told.news == [("added", "a", VIEW, 100)]
    assert world.held() == [(VIEW.text, 100), (TICKERS.text, 0)]
    assert world.remote.topics == {TICKERS: {0: 1}, VIEW: {100: 1}, BOOK: {100: 1}}
    world.remote.tick()
    assert world.hub.tried == 4 and len(world.told.news) == 1, "once is enough"
    world.says("a", 6, {}, {VIEW: 100})
    assert world.held() == [(TICKERS.text, 0)] and world.remote.topics == {TICKERS: {0: 1}}


def test_what_was_refused_and_is_not_wanted_any_more_is_not_tried_again(world: World) -> None:
    world.hub.full |= {VIEW, TRADES}
    world.says("a", 5, {VIEW: 100, TRADES: 0, TICKERS: 0}, is_all=True)
    world.says("b", 5, {VIEW: 100}, is_all=True)
    world.says("a", 6, {}, {VIEW: 100})
    world.says("a", 7, {TICKERS: 0}, is_all=True)
    world.clock.advance(SILENT_S + 1)
    world.says("a", 7)
    world.hub.full.clear()
    world.remote.tick()
    assert world.held() == [(TICKERS.text, 0)] and world.remote.topics == {TICKERS: {0: 1}}


def test_not_all_that_was_refused_is_tried_at_once(world: World) -> None:
    many = [parse_topic(f"binance:spot:A{number}-USDT:ticker") for number in range(TRIED_AT_ONCE + 5)]
    world.hub.full.update(many)
    world.says("a", 5, dict.fromkeys(many, 0), is_all=True)
    world.hub.full.clear()
    world.remote.tick()
    assert len(world.held()) == TRIED_AT_ONCE
    world.remote.tick()
    assert len(world.held()) == len(many) and set(world.remote.topics) == set(many)


def test_what_is_refused_again_and_again_does_not_stand_before_the_rest(world: World) -> None:
    many = [parse_topic(f"binance:spot:A{number}-USDT:ticker") for number in range(TRIED_AT_ONCE + 5)]
    world.hub.full.update(many)
    world.says("a", 5, dict.fromkeys(many, 0), is_all=True)
    world.hub.full.difference_update(many[TRIED_AT_ONCE:])
    for _ in range(2):
        world.remote.tick()
    assert len(world.held()) == 5


def test_what_comes_at_once_when_a_topic_is_held_is_wanted_by_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(Demand, "hold", lambda self, topic, interval: seen.append(topic in world.remote.topics))
    world.says("a", 5, {VIEW: 100}, is_all=True)
    assert seen == [True]


@pytest.mark.parametrize(
    ("topic", "interval"),
    [
        ("okx:spot:BTC-USDT:ticker", 0),
        ("nonsense", 0),
        ("", 0),
        ("binance:spot:BTC-USDT", 0),
        ("binance:spot:btcusdt:trade", 0),
        (TICKERS.text, -1),
        (VIEW.text, 10_001),
        ("x" * 5_000, 0),
    ],
)
def test_what_is_no_topic_of_the_venue_is_ignored_and_the_rest_is_held(world: World, topic: str, interval: int) -> None:
    world.says("a", 5, {topic: interval, TRADES: 0}, {topic: interval}, is_all=True)
    world.says("a", 6, {topic: interval}, {topic: interval})
    assert world.held() == [(TRADES.text, 0)] and world.remote.topics == {TRADES: {0: 1}}
    assert world.told.news == [("added", "a", TRADES, 0)]


def test_there_are_no_more_than_so_many_processes(world: World) -> None:
    for number in range(MOST_PROCESSES + 1):
        world.says(f"p{number}", 5, {TICKERS: 0}, is_all=True)
    assert world.remote.topics == {TICKERS: {0: MOST_PROCESSES}}
    assert world.held() == [(TICKERS.text, 0)] * MOST_PROCESSES
    world.clock.advance(SILENT_S + 1)
    world.remote.tick()
    world.says("late", 5, {TICKERS: 0}, is_all=True)
    assert world.remote.topics == {TICKERS: {0: 1}} and world.held() == [(TICKERS.text, 0)]


def test_an_echo_says_what_a_process_sent_and_how_long_it_has_lain_here(world: World) -> None:
    world.says("a", 5, is_all=True, sent=77.25)
    world.clock.advance(0.5)
    world.says("b", 9, sent=3.5)
    world.clock.advance(0.25)
    assert world.remote.echoes() == [Echo("a", 77.25, 750.0), Echo("b", 3.5, 250.0)]
    assert world.remote.echoes("b") == [Echo("b", 3.5, 250.0)] and world.remote.echoes("c") == []


def test_at_the_end_nothing_is_held_for_anybody(world: World) -> None:
    world.says("a", 5, {TICKERS: 0, VIEW: 100}, is_all=True)
    world.says("b", 5, {TICKERS: 0}, is_all=True)
    world.remote.end()
    assert world.hub.held == [] and world.remote.topics == {} and world.remote.echoes() == []
