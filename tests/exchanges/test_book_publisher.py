"""Books as values: at the pace of those who look, of the depth they look at, and nothing where nobody looks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from cryptodash.core.events import BookView, Cause, Event, Level, State, StreamStatus
from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import IInlet
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.exchanges.book_publisher import BookPublisher
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimers

TWO, FIVE = parse_topic("somewhere:spot:BTC-USDT:order_book:2"), parse_topic("somewhere:spot:BTC-USDT:order_book:5")
OTHER = parse_topic("elsewhere:spot:BTC-USDT:order_book:2")


class Book:
    """Ten levels a side, whose best bid has the size a test sets."""

    def __init__(self) -> None:
        self.synced = True
        self.size = "1"
        self.reads = 0

    def top(self, depth: int) -> tuple[Sequence[Level], Sequence[Level]]:
        self.reads += 1
        bids = [(Number(f"{99 - place}"), Number(self.size if not place else "1")) for place in range(10)]
        return bids[:depth], [(Number(f"{101 + place}"), Number("1")) for place in range(10)][:depth]


@implementer(IInlet)
class Inlet:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        raise NotImplementedError

    def take(self) -> list[Event]:
        taken, self.events = self.events, []
        return taken


class Bench:
    def __init__(self) -> None:
        self.clock, self.inlet, self.book = Clock(), Inlet(), Book()
        self.timers = PublishTimers(self.clock)
        self.publisher = BookPublisher(self.inlet, self.timers)

    def watch(self, topic: Topic, *intervals: int) -> None:
        self.publisher.want([topic])
        self.publisher.pace(topic, intervals)

    def change(self, size: str = "1", *, rebuilt: bool = False) -> None:
        self.book.size = size
        self.publisher.changed(BookChanged(TWO.upstream, self.book, 1, 2, rebuilt))

    def status(self, state: State, cause: Cause | None = None) -> None:
        self.publisher.status(StreamStatus(TWO.upstream, state, cause))

    def sizes(self) -> list[tuple[int, int, str, bool]]:
        """(depth, interval, size of the best bid, rebuilt) of the views since the last call."""
        views = [each for each in self.inlet.take() if isinstance(each, BookView)]
        return [(each.topic.depth, each.interval, each.bids[0][1], each.rebuilt) for each in views]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_view_is_a_value_of_the_depth_that_is_watched(bench: Bench) -> None:
    bench.watch(TWO, 100)
    bench.change(rebuilt=True)
    [view] = bench.inlet.take()
    bench.book.size = "9"
    one = Number("1")
    assert view == BookView(TWO, 100, 1, 2, (("99", one), ("98", one)), (("101", one), ("102", one)), True)


def test_a_depth_nobody_looks_at_is_never_read(bench: Bench) -> None:
    bench.watch(TWO)
    bench.change()
    bench.clock.advance(1)
    assert bench.book.reads == 0 and bench.inlet.events == []
    bench.publisher.pace(TWO, [100])
    assert bench.sizes() == [(2, 100, "1", False)], "who comes later sees it at once"
    bench.publisher.pace(TWO, [])
    bench.change("2")
    bench.clock.advance(1)
    assert bench.sizes() == []


def test_the_first_change_after_a_quiet_interval_at_once_later_ones_together_at_its_end(bench: Bench) -> None:
    bench.watch(TWO, 100)
    bench.change("1", rebuilt=True)
    bench.change("2")
    bench.change("3")
    assert bench.sizes() == [(2, 100, "1", True)]
    bench.clock.advance(0.1)
    assert bench.sizes() == [(2, 100, "3", False)]
    bench.clock.advance(0.1)
    assert bench.sizes() == [] and bench.clock.getDelayedCalls() == []


def test_a_rebuilt_book_says_so_in_every_view_that_has_not_heard_of_it(bench: Bench) -> None:
    bench.watch(TWO, 100, 500)
    bench.change("1")
    bench.change("2", rebuilt=True)
    bench.change("3")
    bench.sizes()
    bench.clock.advance(0.1)
    assert bench.sizes() == [(2, 100, "3", True)]
    bench.change("4")
    bench.clock.pump([0.1] * 5)
    assert bench.sizes() == [(2, 100, "4", False), (2, 500, "4", True)]


def test_books_of_all_venues_share_the_timers(bench: Bench) -> None:
    other = BookPublisher(bench.inlet, bench.timers)
    other.want([OTHER])
    other.pace(OTHER, [100])
    bench.watch(TWO, 100)
    bench.change("1")
    other.changed(BookChanged(OTHER.upstream, bench.book, 1, 2))
    assert len(bench.clock.getDelayedCalls()) == 1 and len(bench.sizes()) == 1
    bench.clock.advance(0.1)
    assert len(bench.sizes()) == 1


def test_a_broken_book_is_not_published_and_a_deeper_view_waits_for_the_rebuilt_one(bench: Bench) -> None:
    bench.watch(TWO, 100)
    bench.change("1")
    bench.change("2")
    bench.status(State.RESYNCING, Cause.GAP)
    bench.watch(FIVE, 100)
    bench.clock.pump([0.1] * 3)
    assert bench.sizes() == [(2, 100, "1", False)]
    bench.change("3", rebuilt=True)
    assert bench.sizes() == [(2, 100, "3", True), (5, 100, "3", True)]


def test_a_book_that_has_lost_its_place_is_not_read_even_before_its_status_says_so(bench: Bench) -> None:
    bench.watch(TWO, 100)
    bench.change("1")
    bench.book.synced = False
    bench.watch(FIVE, 100)
    assert bench.sizes() == [(2, 100, "1", False)]


def test_a_status_that_is_good_again_comes_after_what_waited(bench: Bench) -> None:
    bench.watch(TWO, 10_000)
    bench.change("1")
    bench.status(State.STALE, Cause.SILENT)
    bench.change("2")
    bench.inlet.take()
    bench.status(State.LIVE)
    view, status = bench.inlet.take()
    assert isinstance(view, BookView) and view.bids[0][1] == "2" and isinstance(status, StreamStatus)


def test_what_is_dropped_or_stopped_is_forgotten(bench: Bench) -> None:
    bench.watch(TWO, 100)
    bench.watch(FIVE, 100)
    bench.change("1")
    bench.change("2")
    bench.publisher.drop([TWO])
    bench.sizes()
    bench.clock.advance(0.1)
    assert bench.sizes() == [(5, 100, "2", False)]
    bench.change("3")
    bench.publisher.stop()
    bench.clock.advance(0.1)
    assert bench.sizes() == []
    bench.change("4")
    bench.timers.stop()
    assert bench.sizes() == [] and bench.clock.getDelayedCalls() == []
