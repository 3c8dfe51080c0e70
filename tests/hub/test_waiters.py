"""Who waits for news of a topic is told of it in the next turn, or that the time is over."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from cryptodash.core.instruments import MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.waiters import Waiters

TOPICS = [Topic(Channel.TICKER, "binance", f"{name}-USDT", MarketType.SPOT) for name in ("BTC", "ETH")]
MANY = 200


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waiters(clock: Clock) -> Waiters:
    return Waiters(clock)


def test_all_are_told_in_the_order_in_which_their_news_came(clock: Clock, waiters: Waiters) -> None:
    """However many: in the order of their addresses, a run would not be like the next one."""
    told: list[tuple[str, int, bool]] = []
    for number in range(MANY):
        topic = TOPICS[number % 2]
        waiters.wait(topic, 5.0).addCallback(
            lambda came, name=topic.symbol, number=number: told.append((name, number, came))
        )
    waiters.wake(TOPICS[1])
    waiters.wake(TOPICS[0])
    assert not told, "a status that comes after the first value is known as well"
    clock.advance(0)
    expected = [("ETH-USDT", number, True) for number in range(1, MANY, 2)]
    assert told == expected + [("BTC-USDT", number, True) for number in range(0, MANY, 2)]
    assert not waiters.waiting and not clock.getDelayedCalls()


def test_the_time_is_over(clock: Clock, waiters: Waiters) -> None:
    told: list[bool] = []
    waiters.wait(TOPICS[0], 5.0).addCallback(told.append)
    clock.advance(4.9)
    assert not told
    clock.advance(0.1)
    assert told == [False]
    assert not waiters.waiting and not clock.getDelayedCalls()


def test_who_gives_up_leaves_nothing_behind(clock: Clock, waiters: Waiters) -> None:
    given_up = [waiters.wait(topic, 5.0) for topic in TOPICS]
    told: list[bool] = []
    waiters.wait(TOPICS[0], 5.0).addCallback(told.append)
    waiters.wake(TOPICS[1])
    for each in given_up:
        each.addErrback(lambda failure: None)
        each.cancel()
    waiters.wake(TOPICS[0])
    clock.advance(0)
    assert told == [True]
    assert not waiters.waiting and not clock.getDelayedCalls()


def test_at_the_end_every_wait_ends(clock: Clock, waiters: Waiters) -> None:
    told: list[bool] = []
    for topic in TOPICS:
        waiters.wait(topic, 5.0).addCallback(told.append)
    waiters.wake(TOPICS[1])
    waiters.stop()
    assert sorted(told) == [False, True]
    clock.advance(0)
    assert not waiters.waiting and not clock.getDelayedCalls()
