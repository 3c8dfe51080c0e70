"""New topics: what is new, how much of it at once, and whose turn it is."""

from __future__ import annotations

import pytest

from cryptodash.core.errors import Refused
from cryptodash.core.events import Cause, State
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub import new_topics, rations
from cryptodash.hub.rations import Rations


def book(number: int, depth: int = 50, exchange: str = "binance") -> Topic:
    return Topic(exchange, MarketType.SPOT, Symbol(f"B{number}", "USDT"), Channel.ORDER_BOOK, depth=depth)


def ticker(number: int, exchange: str = "binance") -> Topic:
    return Topic(exchange, MarketType.SPOT, Symbol(f"T{number}", "USDT"), Channel.TICKER)


def hold(demand, *topics):
    for topic in topics:
        demand.hold(topic, demand.view_interval(topic, None))


def release(demand, *topics):
    for topic in topics:
        demand.release(topic, demand.view_interval(topic, None))


def opened(world):
    """What the venue was asked for, in order."""
    return [topic for word, topics in world.venue.asked for topic in topics if word == "want"]


def status(world, topic):
    found = world.hub.stream_status(topic)
    return found.state, found.cause


WAITING, OPEN = (State.CONNECTING, Cause.CAPACITY), (State.CONNECTING, None)


def test_a_client_opens_a_hundred_books_at_once_and_then_one_a_second(world):
    client = world.hub.for_client("one", "10.0.0.1")
    hold(client, *map(book, range(103)))
    assert opened(world) == [book(number) for number in range(100)]
    assert [status(world, book(number)) for number in (99, 100, 102)] == [OPEN, WAITING, WAITING]
    for expected in (101, 102, 103):
        world.advance(1)
        assert opened(world) == [book(number) for number in range(expected)]
    assert status(world, book(102)) == OPEN
    assert world.scheduler.getDelayedCalls() == []


def test_a_client_opens_a_thousand_others_at_once_and_then_ten_a_second(world):
    client = world.hub.for_client("one", "10.0.0.1")
    hold(client, *map(ticker, range(1020)))
    assert len(opened(world)) == 1000
    world.advance(1)
    assert len(opened(world)) == 1010
    hold(client, book(1))  # books go by themselves
    assert opened(world)[-1] == book(1)


def test_who_waits_is_told_and_told_again_when_it_is_opened(world):
    client = world.hub.for_client("one", "10.0.0.1")
    hold(client, *map(book, range(100)))
    hold(client, book(100))
    outlet = world.outlet()
    world.hub.attach(outlet, book(100), 100)
    assert world.payload(world.hub.status(book(100)))["cause"] == "capacity"
    world.advance(1)
    assert [(each["state"], each.get("cause")) for each in outlet.take("status")] == [("connecting", None)]
    assert ("want", (book(100),)) in world.venue.asked


def test_sharing_and_what_lingers_cost_nothing(world):
    one, two = (world.hub.for_client(name, "10.0.0.1") for name in ("one", "two"))
    topics = [book(number) for number in range(100)]
    hold(one, *topics)
    for _ in range(20):  # a page that subscribes its list again at every click
        release(one, *topics)
        world.advance(1)
        hold(one, *topics)
    hold(two, *topics, book(200))
    assert opened(world) == [*topics, book(200)]
    release(one, *topics)
    release(two, *topics)
    world.advance(29)
    hold(world.hub.for_client("again", "10.0.0.1"), *topics)  # one that reconnects has another name
    assert opened(world) == [*topics, book(200)]
    assert not world.hub._demand._waiting


def test_another_depth_of_an_open_book_is_not_new(world):
    client = world.hub.for_client("one", "10.0.0.1")
    hold(client, *map(book, range(100)))
    hold(client, book(0, depth=5), book(100, depth=5), book(100, depth=20))
    assert opened(world)[-1] == book(0, depth=5)
    world.advance(1)
    assert set(opened(world)[-2:]) == {book(100, depth=5), book(100, depth=20)}


def test_what_waits_is_opened_in_turn_by_client(world):
    many, one = world.hub.for_client("many", "10.0.0.1"), world.hub.for_client("one", "10.0.0.2")
    hold(many, *map(book, range(200)))
    hold(one, *map(book, range(1000, 1102)))
    before = len(opened(world))
    world.advance(2)
    assert opened(world)[before:] == [book(100), book(1100), book(101), book(1101)]


def test_one_address_opens_five_times_as_much_however_many_clients_it_has(world):
    for number in range(6):
        hold(world.hub.for_client(f"c{number}", "10.0.0.1"), *(book(100 * number + each) for each in range(100)))
    assert len(opened(world)) == 500
    hold(world.hub.for_client("other", "10.0.0.2"), book(9999))
    assert opened(world)[-1] == book(9999)
    world.advance(1)
    assert len(opened(world)) == 506


def test_what_another_client_may_open_is_opened_for_all(world):
    poor, rich = world.hub.for_client("poor", "10.0.0.1"), world.hub.for_client("rich", "10.0.0.2")
    hold(poor, *map(book, range(101)))
    assert status(world, book(100)) == WAITING
    hold(rich, book(100))
    assert opened(world)[-1] == book(100)
    assert status(world, book(100)) == OPEN
    release(poor, book(100))
    world.advance(60)
    assert ("drop", (book(100),)) not in world.venue.asked
    assert world.scheduler.getDelayedCalls() == []


def test_what_is_given_up_while_it_waits_is_never_opened_and_does_not_linger(world):
    client = world.hub.for_client("one", "10.0.0.1")
    hold(client, *map(book, range(103)))
    release(client, book(100), book(101))
    assert world.hub.clients_of(book(100)) == 0
    world.advance(3)
    assert opened(world)[100:] == [book(102)]
    assert [asked for asked in world.venue.asked if asked[0] == "drop"] == []
    assert world.scheduler.getDelayedCalls() == []


def test_a_waiting_book_keeps_its_place_when_it_is_held_at_another_interval(world):
    client = world.hub.for_client("one", "10.0.0.1")
    hold(client, *map(book, range(101)))
    client.hold(book(100), 1000)
    client.release(book(100), 100)
    world.advance(1)
    assert opened(world)[-1] == book(100)
    assert world.venue.paces[-1] == (book(100), (1000,))
    client.release(book(100), 1000)
    world.advance(31)
    assert world.venue.asked[-1] == ("drop", (book(100),))


def test_the_servers_own_topics_wait_for_nothing(world):
    hold(world.hub, *map(book, range(150)))
    assert len(opened(world)) == 150


def test_a_thousand_may_wait_and_the_next_is_refused(world):
    client = world.hub.for_client("one", "10.0.0.1")
    hold(client, *map(book, range(1100)))
    with pytest.raises(Refused) as refused:
        hold(client, book(1100))
    assert refused.value.code == "rate_limited"
    assert world.hub.clients_of(book(1100)) == 0
    for who, number in ((client, 0), (client, 1099), (world.hub.for_client("other", "10.0.0.1"), 1200)):
        hold(who, book(number))
        release(who, book(number))
    world.advance(1)
    hold(client, book(1100))
    assert status(world, book(1100)) == WAITING


def test_a_venue_has_so_many_streams_and_an_address_two_fifths_of_them(make_world):
    world = make_world(max_upstream_streams=10)
    one = world.hub.for_client("one", "10.0.0.1")
    hold(one, *map(ticker, range(5)))
    assert opened(world) == [ticker(number) for number in range(4)]
    hold(world.hub.for_client("two", "10.0.0.1"), ticker(10))
    hold(one, ticker(0, exchange="bybit"))  # another venue has room of its own
    assert world.other.asked == [("want", (ticker(0, exchange="bybit"),))]
    hold(world.hub.for_client("three", "10.0.0.2"), *map(ticker, range(20, 24)))
    hold(world.hub.for_client("four", "10.0.0.3"), *map(ticker, range(30, 34)))
    assert len(opened(world)) == 10
    release(one, ticker(0))
    world.advance(29)
    assert len(opened(world)) == 10
    world.advance(1)  # it lingered until now
    world.advance(1)
    assert len(opened(world)) == 11
    assert world.demand.streams.total("binance") == 10


def test_a_topic_counts_with_the_streams_that_it_has(make_world):
    world = make_world(max_upstream_streams=10)
    world.venue.streams_each = 3
    hold(world.hub.for_client("one", "10.0.0.1"), ticker(0), ticker(1))
    assert len(opened(world)) == 1
    assert world.demand.streams.total("binance") == 3


def test_before_the_catalogue_a_topic_counts_for_four_and_then_for_what_it_has(make_world):
    world = make_world(max_upstream_streams=20, loaded=False)
    hold(world.hub.for_client("one", "10.0.0.1"), *map(ticker, range(3)))
    assert (len(opened(world)), world.demand.streams.total("binance")) == (2, 8)
    world.venue.load()
    world.hub.catalogue_changed("binance", MarketType.SPOT)
    assert world.demand.streams.total("binance") == 2
    world.advance(0.2)
    assert (len(opened(world)), world.demand.streams.total("binance")) == (3, 3)


def test_a_venue_is_told_which_clients_hold_a_book_and_that_it_lingers(world):
    names = [f"c{number}" for number in range(6)]
    clients = [world.hub.for_client(name, "10.0.0.1") for name in names]
    topic = book(1)
    for client in clients:
        hold(client, topic)
    assert world.venue.holders[-1] == (topic, tuple(names[:4]))
    release(clients[5], topic)
    release(clients[0], topic)
    assert world.venue.holders[-1] == (topic, tuple(names[1:4]))
    for client in clients[1:5]:
        release(client, topic)
    assert world.venue.holders[-1] == (topic, None)
    hold(clients[2], topic)
    assert world.venue.holders[-1] == (topic, ("c2",))


def test_stopping_leaves_no_timer_for_what_waits(world):
    hold(world.hub.for_client("one", "10.0.0.1"), *map(book, range(101)))
    assert len(world.scheduler.getDelayedCalls()) == 1
    world.hub.stop()
    assert world.scheduler.getDelayedCalls() == []


def test_a_turn_opens_a_bounded_number(world, monkeypatch):
    monkeypatch.setattr(new_topics, "OPENED_A_TURN", 2)
    for number in range(5):
        hold(
            world.hub.for_client(f"c{number}", f"10.0.0.{number}"), *(book(200 * number + each) for each in range(101))
        )
    world.scheduler.advance(0.99)
    before = len(opened(world))
    for expected in (2, 4, 5):
        world.scheduler.advance(0.1)
        assert len(opened(world)) == before + expected


def test_rations_are_forgotten_when_they_are_full_again_or_too_many(world, monkeypatch):
    some = Rations(1.0, 2, world.time)
    for key in "abc":
        some.take(key)
    some.take("a")
    assert not some.has("a")
    assert some.has("b")
    world.scheduler.advance(1)
    assert some.has("a")
    some.take("d")
    some.take("d")
    assert len(some) == 2  # each that is taken removes one that is full
    monkeypatch.setattr(rations, "KEPT", 2)
    some.take("e")
    assert len(some) == 2
