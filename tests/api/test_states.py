"""What another process's hub is told of a topic, and how this one takes what another has told already."""

from __future__ import annotations

from typing import Any

from cryptodash.core.events import Candle, Gap, Side, StreamStatus, Ticker, Trade
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel
from tests.api.fanout.channels import BTC, CANDLES, TRADES, kinds

ONE = Number("1")


def trade(world: Any, number: int) -> Trade:
    return Trade(world.topic(channel=Channel.TRADE), number, 7, str(number), ONE, ONE, Side.BUY)


def test_a_state_is_what_was_told_and_what_is_so_now_the_status_last(world: Any) -> None:
    world.client().subscribe(BTC, TRADES, CANDLES)
    world.ticker("5")
    world.trade(1)
    world.gap()
    world.candle(1, "1", closed=True)
    world.candle(2, "2")
    recent, (status,) = world.hub.state(world.topic(channel=Channel.TRADE), 0)
    assert [type(each) for each in recent] == [Trade, Gap] and isinstance(status, StreamStatus)
    recent, (ticker, status) = world.hub.state(world.topic(), 0)
    assert not recent and isinstance(ticker, Ticker) and ticker.last == "5" and isinstance(status, StreamStatus)
    (closed,), (running, _) = world.hub.state(world.topic(channel=Channel.CANDLE, interval="1m"), 0)
    assert (
        isinstance(closed, Candle) and isinstance(running, Candle) and (closed.closed, running.closed) == (True, False)
    )


def test_the_last_events_are_the_newest_of_their_kind(world: Any) -> None:
    world.client().subscribe(BTC, TRADES)
    assert list(world.hub.last_events(world.topic(), 5)) == []
    world.ticker("5")
    for number in range(4):
        world.trade(number)
    assert [each.last for each in world.hub.last_events(world.topic(), 5)] == ["5"]
    assert [each.id for each in world.hub.last_events(world.topic(channel=Channel.TRADE), 2)] == ["2", "3"]


def test_what_was_told_elsewhere_is_kept_and_told_as_replayed(world: Any) -> None:
    client = world.client()
    client.subscribe(TRADES)
    topic = world.topic(channel=Channel.TRADE)
    world.hub.recent(topic, [trade(world, 1), Gap(topic, 1, 2), trade(world, 2)])
    world.flush()
    messages = client.got()
    assert kinds(messages) == ["trade", "gap", "trade"]
    assert all(each["payload"]["replayed"] for each in messages if each["type"] == "trade")
    answer = world.client().subscribe(TRADES)
    assert [each["payload"]["id"] for each in answer if each["type"] == "trade"] == ["1", "2"]


def test_a_bar_that_is_known_is_not_told_again(world: Any) -> None:
    client = world.client()
    client.subscribe(CANDLES)
    world.candle(1, "1", closed=True)
    world.flush()
    client.got()
    (closed,), _ = world.hub.state(world.topic(channel=Channel.CANDLE, interval="1m"), 0)
    world.hub.recent(closed.topic, [closed])
    world.flush()
    assert client.got() == []


def test_what_nobody_wants_is_not_kept(world: Any) -> None:
    topic = world.topic(channel=Channel.TRADE)
    world.hub.recent(topic, [trade(world, 1)])
    assert world.hub.state(topic, 0)[0] == []
