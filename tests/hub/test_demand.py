"""Reference counts and the linger."""

from __future__ import annotations

import pytest

from cryptodash.core.events import State
from cryptodash.core.topics import Channel
from cryptodash.hub import demand


def test_the_first_hold_alone_reaches_the_venue(world):
    topic = world.ticker_topic
    for _ in range(3):
        world.hub.hold(topic, 0)
    assert world.venue.asked == [("want", (topic,))]
    assert world.hub.clients_of(topic) == 3


def test_the_last_release_reaches_the_venue_after_the_linger_and_forgets_the_value(world):
    topic = world.ticker_topic
    world.hub.hold(topic, 0)
    world.hub.hold(topic, 0)
    world.hub.publish(world.ticker("1.5"))
    world.status(topic, State.LIVE)
    world.hub.release(topic, 0)
    world.advance(100)
    world.hub.release(topic, 0)
    world.advance(29.9)
    assert world.hub.ticker(topic) is not None
    assert world.venue.asked == [("want", (topic,))]
    world.advance(0.2)
    assert world.venue.asked[1:] == [("drop", (topic,))]
    assert world.hub.ticker(topic) is None
    assert world.hub.stream_status(topic).state is State.CONNECTING
    assert world.scheduler.getDelayedCalls() == []


def test_a_hold_within_the_linger_costs_no_upstream_traffic_and_keeps_the_value(world):
    topic = world.ticker_topic
    world.hub.hold(topic, 0)
    world.hub.publish(world.ticker("1.5"))
    for _ in range(5):
        world.hub.release(topic, 0)
        world.advance(20)
        world.hub.hold(topic, 0)
        world.advance(20)
    assert world.venue.asked == [("want", (topic,))]
    assert world.hub.current(topic, 0)


def test_a_topic_wanted_again_after_its_end_starts_from_nothing(world):
    topic = world.ticker_topic
    world.hub.hold(topic, 0)
    world.hub.publish(world.ticker("1.5"))
    world.hub.release(topic, 0)
    world.advance(31)
    world.hub.hold(topic, 0)
    assert [word for word, _ in world.venue.asked] == ["want", "drop", "want"]
    assert world.hub.current(topic, 0) == []


def test_one_timer_serves_all_and_topics_due_together_are_dropped_in_one_call(world):
    topics = [world.topic(Channel.TICKER), world.topic(Channel.TRADE), world.topic(Channel.CANDLE, interval="1m")]
    far = world.topic(Channel.TICKER, exchange="bybit")
    for topic in (*topics, far):
        world.hub.hold(topic, 0)
        world.hub.release(topic, 0)
    assert len(world.scheduler.getDelayedCalls()) == 1
    world.advance(30)
    assert world.venue.asked[-1] == ("drop", tuple(topics))
    assert world.other.asked[-1] == ("drop", (far,))


def test_each_topic_has_a_linger_of_its_own(world):
    first, second = world.topic(Channel.TICKER), world.topic(Channel.TRADE)
    for topic in (first, second):
        world.hub.hold(topic, 0)
        world.hub.release(topic, 0)
        world.advance(10)
    world.advance(10)
    assert world.venue.asked[-1] == ("drop", (first,))
    world.advance(10)
    assert world.venue.asked[-1] == ("drop", (second,))


def test_a_release_without_a_hold_does_nothing(world):
    world.hub.release(world.ticker_topic, 0)
    world.hub.hold(world.ticker_topic, 0)
    world.hub.release(world.ticker_topic, 0)
    world.hub.release(world.ticker_topic, 0)
    world.hub.hold(world.ticker_topic, 0)
    assert world.hub.clients_of(world.ticker_topic) == 1


def test_each_depth_is_wanted_by_itself_and_counted_together_for_the_book(world):
    near, deep = world.topic(Channel.ORDER_BOOK, depth=5), world.topic(Channel.ORDER_BOOK, depth=50)
    world.hub.hold(near, 0)
    world.hub.hold(deep, 0)
    world.hub.hold(deep, 0)
    assert world.venue.asked == [("want", (near,)), ("want", (deep,))]
    assert world.hub.clients_of(world.topic(Channel.ORDER_BOOK)) == 3
    assert world.hub.clients_of(deep) == 2


def test_too_many_lingering_topics_end_early_oldest_first(world, monkeypatch):
    monkeypatch.setattr(demand, "LINGERING_KEPT", 2)
    topics = [world.topic(Channel.ORDER_BOOK, depth=depth) for depth in (1, 5, 10)]
    for topic in topics:
        world.hub.hold(topic, 0)
        world.hub.release(topic, 0)
    assert [asked for asked in world.venue.asked if asked[0] == "drop"] == [("drop", (topics[0],))]


def test_an_unknown_venue_is_refused_before_anything_is_counted(world):
    topic = world.topic(Channel.TICKER, exchange="nowhere")
    with pytest.raises(KeyError):
        world.hub.hold(topic, 0)
    assert world.hub.clients_of(topic) == 0


def test_stopping_leaves_no_timer(world):
    world.hub.hold(world.ticker_topic, 0)
    world.hub.release(world.ticker_topic, 0)
    world.hub.stop()
    assert world.scheduler.getDelayedCalls() == []


def test_holds_are_counted_by_the_interval_of_the_view(world):
    near, deep = world.topic(Channel.ORDER_BOOK, depth=5), world.topic(Channel.ORDER_BOOK, depth=50)
    for topic, interval in ((near, 1000), (near, 100), (near, 100), (deep, 500)):
        world.hub.hold(topic, interval)
    told = [(near, (1000,)), (near, (100, 1000)), (deep, (500,))]
    assert world.venue.paces == told
    world.hub.release(near, 100)
    assert world.venue.paces == told, "somebody else still looks at it every 100 ms"
    world.hub.release(near, 100)
    assert world.venue.paces == [*told, (near, (1000,))]
    assert world.hub.clients_of(near.upstream) == 2
    assert world.venue.asked == [("want", (near,)), ("want", (deep,))]


def test_releasing_an_interval_that_nobody_holds_is_no_error_and_takes_nobody_elses(world):
    topic = world.topic(Channel.ORDER_BOOK, depth=5)
    world.hub.hold(topic, 100)
    world.hub.release(topic, 1000)
    assert world.hub.clients_of(topic) == 1
    world.hub.release(topic, 100)
    world.hub.release(topic, 100)
    assert world.venue.paces[-1] == (topic, ())
    world.advance(31)
    assert world.venue.asked == [("want", (topic,)), ("drop", (topic,))]


def test_a_lingering_topic_has_no_interval_and_takes_the_one_it_is_held_at_next(world):
    topic = world.topic(Channel.ORDER_BOOK, depth=5)
    world.hub.hold(topic, 100)
    world.hub.release(topic, 100)
    world.hub.hold(topic, 500)
    assert world.venue.paces == [(topic, (100,)), (topic, ()), (topic, (500,))]
    assert world.venue.asked == [("want", (topic,))]


def test_what_is_no_book_has_the_interval_0(world):
    assert world.hub.view_interval(world.ticker_topic, 2.0) == 0
    world.hub.hold(world.ticker_topic, 0)
    assert world.hub.clients_of(world.ticker_topic) == 1
    assert world.venue.paces == []
