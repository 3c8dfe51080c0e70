"""Book views: the diff, the pace, and that deltas always fit what a client holds."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptodash.core.events import BookView, Cause, State, is_crossed
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel
from cryptodash.hub.book_view import side_changes
from cryptodash.hub.view_interval import INTERVALS, interval_for


def levels(**sizes):
    return [(admit(price[1:].replace("_", ".")), admit(size)) for price, size in sizes.items()]


@pytest.mark.parametrize(
    ("old", "new", "upserts", "deletes"),
    [
        ([], [], [], []),
        (levels(p1="2"), levels(p1="2"), [], []),
        (levels(p1="2"), levels(p1="3"), [("1", "3")], []),
        (levels(p1="2", p2="2"), levels(p2="2"), [], ["1"]),
        (levels(p1="2"), levels(p1="2", p2="1"), [("2", "1")], []),
        (levels(p1_50="2"), levels(p1_5="2"), [("1.5", "2")], []),
        (levels(p1_50="2", p3="1"), levels(p1_5="2"), [("1.5", "2")], ["3"]),
        (levels(p1="2.0"), levels(p1="2.00"), [("1", "2.00")], []),
    ],
)
def test_side_changes(old, new, upserts, deletes):
    assert side_changes(old, new) == (upserts, deletes)


@pytest.mark.parametrize(
    ("server", "max_rate", "interval"),
    [
        (100, None, 100),
        (150, None, 200),
        (100, 100, 100),
        (100, 10, 100),
        (100, 9, 200),
        (100, 3, 500),
        (100, 0.1, 10000),
        (2000, 10, 2000),
        (99999, None, 10000),
    ],
)
def test_interval_for(server, max_rate, interval):
    assert interval_for(server, max_rate) == interval
    assert interval in INTERVALS


@pytest.fixture
def topic(world):
    return world.topic(Channel.ORDER_BOOK, depth=2)


@pytest.fixture
def book(world):
    return world.book_of({"99": "1", "98": "2", "97": "3"}, {"101": "1", "102": "2", "103": "3"})


def test_the_first_state_is_a_snapshot_of_the_depth(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    (snapshot,) = outlet.take()
    assert snapshot["sequence"] == 1
    assert snapshot["depth"] == 2
    assert snapshot["bids"] == [{"price": 99, "quantity": 1}, {"price": 98, "quantity": 2}]
    assert snapshot["complete"] is True


def test_a_book_shorter_than_the_depth_is_not_complete(world, book):
    outlet = world.watch(world.topic(Channel.ORDER_BOOK, depth=5), 100)
    world.book(book)
    (snapshot,) = outlet.take()
    assert snapshot["complete"] is False
    assert len(snapshot["bids"]) == 3


def test_a_level_pushed_out_of_the_depth_is_deleted(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    outlet.take()
    book.bids["99.5"] = "7"
    world.advance(1)
    world.book(book)
    (delta,) = outlet.take()
    assert delta["sequence"] == 2
    assert delta["bids_upserts"] == [{"price": Decimal("99.5"), "quantity": 7}]
    assert delta["deletes"] == {"bids": [98], "asks": []}
    assert delta["asks_upserts"] == []


def test_an_unchanged_view_publishes_nothing(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    outlet.take()
    book.bids["97"] = "9"  # below the view
    world.advance(1)
    world.book(book)
    world.advance(1)
    assert outlet.take() == []


def test_at_most_one_publication_per_interval_and_the_latest_state_within_it(world, topic, book):
    outlet = world.watch(topic, 200)
    world.book(book)
    assert len(outlet.take()) == 1  # after a quiet time: at once
    for size in range(1, 20):
        book.bids["99"] = str(100 + size)
        world.advance(0.01)
        world.book(book)
    assert len(outlet.take()) == 0
    world.advance(0.01)
    (delta,) = outlet.take()
    assert delta["bids_upserts"] == [{"price": 99, "quantity": 119}]


def test_publications_of_a_busy_book_are_an_interval_apart(world, topic, book):
    outlet = world.watch(topic, 100)
    times = []
    for step in range(200):
        book.bids["99"] = str(step + 1)
        world.book(book)
        if outlet.take():
            times.append(step)
        world.advance(0.007)
        if outlet.take():
            times.append(step + 0.5)
    assert len(times) >= 12
    assert all(later - sooner >= 14 for sooner, later in pairwise(times))


def test_views_of_one_interval_share_a_timer_that_ends_when_nothing_changes(world, book):
    outlets = [world.watch(world.topic(Channel.ORDER_BOOK, depth=depth), 100) for depth in (1, 5, 10)]
    world.book(book)
    assert [len(outlet.take()) for outlet in outlets] == [1, 1, 1]
    assert len(world.scheduler.getDelayedCalls()) == 1
    world.advance(0.1)
    assert world.scheduler.getDelayedCalls() == []


def test_cost_depends_on_views_not_on_clients(world, topic, book):
    outlets = [world.watch(topic, 100) for _ in range(50)]
    world.book(book)
    assert book.reads == 1
    assert len({id(outlet.messages[0]) for outlet in outlets}) == 1


def test_current_is_the_view_as_last_published_not_a_newer_state(world, topic, book):
    first = world.watch(topic, 100)
    world.book(book)
    book.bids["99"] = "5"
    world.book(book)  # waits for the beat
    second = world.watch(topic, 100)
    (current,) = world.hub.current(topic, 100)
    assert world.payload(current)["bids"][0] == {"price": 99, "quantity": 1}
    assert world.payload(current)["sequence"] == 1
    world.advance(0.1)
    (delta,) = second.take()
    assert delta["sequence"] == 2
    assert first.take("order_book_delta") == [delta]


def test_a_view_of_an_already_live_book_gives_its_snapshot_at_once(world, topic, book):
    world.watch(world.topic(Channel.ORDER_BOOK, depth=50), 100)
    world.book(book)
    world.watch(topic, 500)
    (current,) = world.hub.current(topic, 500)
    assert world.payload(current)["sequence"] == 1
    assert len(world.payload(current)["bids"]) == 2


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (State.RESYNCING, Cause.GAP),
        (State.STALE, Cause.DISCONNECTED),
        (State.STALE, Cause.CROSSED),
        (State.STALE, Cause.CHECKSUM),
        (State.CONNECTING, None),
    ],
)
def test_a_broken_book_publishes_nothing_until_it_is_rebuilt_and_then_a_snapshot(world, topic, book, state, cause):
    outlet = world.watch(topic, 100)
    world.book(book)
    outlet.take()
    world.status(topic.upstream, state, cause)
    world.advance(1)
    book.bids["99"] = "8"
    world.book(book)
    world.advance(1)
    assert outlet.take("order_book_delta", "order_book_snapshot") == []
    assert world.hub.current(topic, 100) == []
    world.book(book, rebuilt=True)
    (snapshot,) = outlet.take("order_book_snapshot", "order_book_delta")
    assert snapshot["sequence"] == 2
    assert snapshot["bids"][0] == {"price": 99, "quantity": 8}


def test_a_change_that_waited_when_the_book_broke_is_not_published(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    book.bids["99"] = "8"
    world.book(book)
    world.status(topic.upstream, State.RESYNCING, Cause.GAP)
    outlet.take()
    world.advance(1)
    assert outlet.take() == []


@pytest.mark.parametrize("cause", [Cause.SILENT, Cause.HALTED])
def test_silence_and_a_halt_break_nothing(world, topic, book, cause):
    outlet = world.watch(topic, 100)
    world.book(book)
    world.status(topic.upstream, State.STALE, cause)
    assert world.hub.current(topic, 100)
    outlet.take()
    world.advance(1)
    book.bids["99"] = "8"
    world.book(book)
    assert [each["sequence"] for each in outlet.take("order_book_delta")] == [2]


def test_a_status_that_is_good_again_finds_even_a_slow_view_up_to_date(world, topic, book):
    outlet = world.watch(topic, 10000)
    world.status(topic.upstream, State.LIVE)
    world.book(book)
    world.status(topic.upstream, State.RESYNCING, Cause.GAP)
    book.bids["99"] = "8"
    world.book(book, rebuilt=True)
    outlet.take()
    world.status(topic.upstream, State.LIVE)
    told = [message.kind for message in outlet.messages]
    assert told == ["order_book_snapshot", "status"]  # else the old view would be called live for ten seconds
    world.advance(20)
    assert outlet.take("order_book_snapshot", "order_book_delta")[1:] == []


def test_a_book_is_not_called_live_before_its_first_snapshot(world, topic, book):
    near, slow = world.watch(topic, 100), world.watch(topic, 10_000)
    world.watch(world.topic(Channel.ORDER_BOOK, depth=5), 10_000)
    world.status(topic.upstream, State.LIVE)
    assert near.messages == slow.messages == []
    world.book(book)
    world.advance(10)
    for outlet in (near, slow):
        assert [message.kind for message in outlet.messages] == ["order_book_snapshot", "status"]
    world.status(topic.upstream, State.STALE, Cause.SILENT)
    world.status(topic.upstream, State.LIVE)
    assert [each["state"] for each in near.take("status")] == ["live", "stale", "live"]


def test_a_book_that_is_good_for_a_moment_only_was_never_called_live(world, topic, book):
    outlet = world.watch(topic, 100)
    world.status(topic.upstream, State.LIVE)
    world.status(topic.upstream, State.STALE, Cause.DISCONNECTED)
    world.book(book)
    world.advance(1)
    assert [each["state"] for each in outlet.take("status")] == ["stale"]


def test_an_empty_book_is_shown_only_while_its_stream_is_good(world, topic, book):
    world.hub.hold(topic, 100)
    world.book(book)
    world.status(topic.upstream, State.STALE, Cause.SILENT)
    book.bids.clear()
    book.asks.clear()
    world.book(book)
    world.advance(0.1)
    assert world.hub.current(topic, 100) == []
    world.status(topic.upstream, State.LIVE)
    (snapshot,) = world.hub.current(topic, 100)
    assert (world.payload(snapshot)["bids"], world.payload(snapshot)["complete"]) == ([], False)


def test_a_book_reported_good_again_goes_on_with_a_snapshot_even_if_nobody_said_rebuilt(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    world.status(topic.upstream, State.RESYNCING, Cause.GAP)
    world.status(topic.upstream, State.LIVE)
    assert world.hub.current(topic, 100) == []
    outlet.take()
    world.advance(1)
    world.book(book)
    assert len(outlet.take("order_book_snapshot")) == 1


def test_a_rebuilt_book_is_sent_anew_even_if_it_looks_the_same(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    world.advance(1)
    world.book(book, rebuilt=True)
    assert [each["sequence"] for each in outlet.take("order_book_snapshot")] == [1, 2]


def test_a_crossed_state_is_never_published(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    outlet.take()
    world.advance(1)
    book.bids["101"] = "1"
    world.book(book)
    world.advance(1)
    assert outlet.take() == []
    del book.bids["101"]
    book.bids["100"] = "1"
    world.book(book)
    (delta,) = outlet.take()
    assert delta["sequence"] == 2
    assert delta["bids_upserts"] == [{"price": 100, "quantity": 1}]


def test_an_unwatched_view_costs_nothing_and_is_up_to_date_when_asked(world, topic, book):
    outlet = world.watch(topic, 100)
    world.book(book)
    world.hub.detach(outlet, topic, 100)
    world.hub.release(topic, 100)
    reads = book.reads
    for size in range(1, 30):
        book.bids["99"] = str(size)
        world.advance(0.1)
        world.book(book)
    assert book.reads == reads and world.hub.current(topic, 100) == [], "nor is its past shown as the present"
    world.hub.hold(topic, 100)
    (current,) = world.hub.current(topic, 100)
    assert world.payload(current)["bids"][0] == {"price": 99, "quantity": 29}
    assert world.payload(current)["sequence"] == 2
    assert world.hub.current(topic, 100) == [current]


def test_an_outlet_that_takes_anothers_place_finds_the_sequence_going_on(world, topic, book):
    first = world.watch(topic, 100)
    world.book(book)
    book.bids["99"] = "5"
    world.book(book)
    world.hub.detach(first, topic, 100)
    second = world.outlet()
    world.hub.attach(second, topic, 100)
    world.advance(0.1)
    assert [each["sequence"] for each in second.take()] == [2]


def test_an_unwatched_crossed_book_gives_nothing_rather_than_its_past(world, topic, book):
    world.hub.hold(topic, 100)
    world.book(book)
    assert world.hub.current(topic, 100)
    book.bids["105"] = "1"
    world.book(book)
    world.advance(0.1)
    assert world.hub.current(topic, 100) == []


def test_a_book_nobody_wants_is_not_kept(world, topic, book):
    world.hub.hold(topic, 100)
    world.book(book)
    world.hub.release(topic, 100)
    world.advance(31)
    reads = book.reads
    world.book(book)
    assert book.reads == reads
    world.hub.publish(BookView(topic, 100, 1, 1, (), (), True))
    assert world.tally.metrics["cryptodash_events_unwanted_total"].values[("book",)] == 1
    world.hub.hold(topic, 100)
    assert world.hub.current(topic, 100) == []


def test_ending_one_depth_leaves_the_others(world, topic, book):
    outlet = world.watch(topic, 100)
    deep = world.topic(Channel.ORDER_BOOK, depth=50)
    other = world.watch(deep, 100)
    world.book(book)
    world.hub.detach(other, deep, 100)
    world.hub.release(deep, 100)
    world.advance(31)
    outlet.take()
    book.bids["99"] = "6"
    world.book(book)
    assert [each["sequence"] for each in outlet.take()] == [2]
    assert len(world.hub._views) == 1


class NaiveClient:
    """Applies what it is sent, trusting the contract."""

    def __init__(self, outlet):
        self.outlet = outlet
        self.bids, self.asks, self.sequence = {}, {}, None

    def read(self):
        for each in self.outlet.take("order_book_snapshot", "order_book_delta"):
            self.apply(each)

    def apply(self, message):
        if "bids" in message:
            self.bids = {level["price"]: level["quantity"] for level in message["bids"]}
            self.asks = {level["price"]: level["quantity"] for level in message["asks"]}
        else:
            assert self.sequence is not None, "a delta without a snapshot"
            assert message["sequence"] == self.sequence + 1
            for mine, side in ((self.bids, "bids"), (self.asks, "asks")):
                for price in message["deletes"][side]:
                    del mine[price]
                mine.update((level["price"], level["quantity"]) for level in message[f"{side}_upserts"])
        self.sequence = message["sequence"]

    def holds(self, book, depth):
        bids, asks = book.top(depth)
        as_numbers = [{Decimal(price): Decimal(size) for price, size in side} for side in (bids, asks)]
        return [self.bids, self.asks] == as_numbers


_prices = st.sampled_from(["95", "96", "96.0", "97", "98", "99", "99.50"])
_steps = st.one_of(
    st.tuples(st.just("bid"), _prices, st.integers(0, 3)),
    st.tuples(st.just("ask"), st.sampled_from(["99", "100.5", "101", "101.0", "102", "103", "104"]), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.05, 0.1, 0.3]), st.none()),
    st.tuples(st.just("break"), st.sampled_from([Cause.GAP, Cause.DISCONNECTED]), st.none()),
    st.tuples(st.just("rebuild"), st.none(), st.none()),
    st.tuples(st.just("join"), st.sampled_from([1, 2, 5]), st.sampled_from([100, 200])),
    st.tuples(st.just("leave"), st.integers(0, 5), st.none()),
    st.tuples(st.just("resync"), st.integers(0, 5), st.none()),
    st.tuples(st.just("rest"), st.sampled_from([1, 2, 5]), st.none()),
)


class Story:
    """Random life of one book and its clients."""

    def __init__(self, world):
        self.world = world
        self.book = world.book_of({"99": "1"}, {"101": "1"})
        self.book_topic = world.topic(Channel.ORDER_BOOK)
        self.in_sync = True
        self.clients = []
        world.hub.hold(world.topic(Channel.ORDER_BOOK, depth=50), 100)
        world.book(self.book)

    def change(self, side, price, size):
        for known in [each for each in side if Decimal(each) == Decimal(price)]:
            del side[known]
        if size:
            side[price] = str(size)
        self.world.book(self.book)

    def join(self, depth, interval):
        topic = self.world.topic(Channel.ORDER_BOOK, depth=depth)
        outlet = self.world.watch(topic, interval)
        client = NaiveClient(outlet)
        self.clients.append((client, topic, interval))
        self.give_current(client, topic, interval)

    def give_current(self, client, topic, interval):
        client.read()
        for message in self.world.hub.current(topic, interval):
            client.apply(self.world.payload(message))

    def do(self, word, first, second):
        if word in ("bid", "ask"):
            self.change(self.book.bids if word == "bid" else self.book.asks, first, second)
        elif word == "wait":
            self.world.advance(first)
        elif word == "break":
            self.world.status(self.book_topic, State.RESYNCING, first)
        elif word == "rebuild":
            self.world.book(self.book, rebuilt=True)
            self.world.status(self.book_topic, State.LIVE)
        elif word == "join":
            self.join(first, second)
        elif word == "rest":
            self.world.hub.current(self.world.topic(Channel.ORDER_BOOK, depth=first), 100)
        elif first < len(self.clients) and word == "leave":
            client, topic, interval = self.clients.pop(first)
            self.world.hub.detach(client.outlet, topic, interval)
            self.world.hub.release(topic, interval)
        elif first < len(self.clients):
            self.give_current(*self.clients[first])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_steps, max_size=40))
def test_a_naive_client_always_holds_exactly_the_view(make_world, steps):
    world = make_world(linger=0.2)
    story = Story(world)
    for step in steps:
        story.do(*step)
        for client, _, _ in story.clients:
            client.read()
            best = (max(client.bids, default=None), min(client.asks, default=None))
            assert None in best or best[0] < best[1]
    story.do("rebuild", None, None)
    world.advance(1)
    bids, asks = story.book.top(1)
    if not is_crossed(bids, asks):
        for client, topic, _ in story.clients:
            client.read()
            assert client.holds(story.book, topic.depth)
