"""A fault of ours while something is handed out: nobody goes on waiting for what does not come."""

from __future__ import annotations

from cryptodash.api.fanout.deliveries import Delivery
from tests.api.fanout.channels import BOOK, BTC, ETH, lasts


def break_group(world, delivery):
    """The next message of this delivery makes the hub's outlet raise."""

    def deliver(message):
        raise RuntimeError("no")

    world.fanout.deliveries.groups[delivery].deliver = deliver


def test_clients_of_a_group_that_failed_are_sent_away_and_others_are_not(world):
    one, two, other = world.client(), world.client(), world.client()
    one.subscribe(BTC)
    two.subscribe(BTC, ETH)
    other.subscribe(ETH)
    break_group(world, Delivery(world.topic()))
    world.ticker("1")
    world.ticker("2", "ETH")
    world.flush()
    assert [each.wire.closed_with for each in (one, two, other)] == [(1011, "internal error")] * 2 + [None]
    assert lasts(other.got()) == [2]


def test_whoever_comes_after_a_failure_gets_everything(world):
    first, second = world.client(), world.client()
    first.subscribe(BTC)
    break_group(world, Delivery(world.topic()))
    world.ticker("1")
    world.flush()
    assert lasts(second.subscribe(BTC)) == [1]
    world.ticker("2")
    world.flush()
    assert lasts(second.got()) == [2]
    assert second.wire.closed_with is None


def test_a_client_of_a_group_that_failed_may_leave_in_the_same_turn(world):
    client = world.client()
    client.subscribe(BTC)
    break_group(world, Delivery(world.topic()))
    world.ticker("1")
    client.ask({"op": "unsubscribe", "channels": [BTC]})
    world.flush()
    assert client.wire.closed_with is None, "it does not want it any more"
    assert world.fanout.deliveries.groups == {}


def test_nothing_is_left_of_a_failed_view_of_a_book_or_of_a_failed_rate_limit(world):
    client = world.client()
    client.subscribe(BOOK, {**ETH, "max_rate": 1})
    world.ticker("1", "ETH")
    deliveries = world.fanout.deliveries
    for delivery in list(deliveries.groups):
        deliveries.groups[delivery].failed()
    world.flush()
    assert client.wire.closed_with == (1011, "internal error")
    assert deliveries.groups == {}
    world.book("99")
    world.time.advance(2)
    again = world.client()
    again.subscribe(BOOK)
    assert [each["type"] for each in again.got()].count("order_book_snapshot") <= 1
