"""Bars that closed while nobody had their venue open are told before the next one, and nothing is called live
meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cryptodash.cluster.missing_bars import MissingBars
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, Cause, Event, State, StreamStatus
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Topic, parse_topic

BARS = parse_topic("binance:spot:BTC-USDT:candle:1m")
ONE = Number("1")
LIVE = StreamStatus(BARS, State.LIVE)


def bar(minute: int, *, closed: bool = False) -> Candle:
    return Candle(BARS, minute * 60_000, 7, ONE, ONE, ONE, ONE, ONE, closed)


class World:
    """What is known here, and what is told; ``answer`` is the venue's."""

    def __init__(self, *known: Candle, status: StreamStatus = LIVE) -> None:
        self.known, self.status = known, status
        self.told: list[Candle | StreamStatus] = []
        self.asked: list[tuple[Topic, int]] = []
        self.answer: Deferred[Sequence[Candle]] = Deferred()
        self.bars = MissingBars(self, self.fetch, self.told.append)
        self.bars.expect([BARS, parse_topic("binance:spot:BTC-USDT:ticker")])

    def last_events(self, topic: Topic, limit: int) -> Sequence[Event]:
        return [each for each in self.known if each.closed][-limit:]

    def state(self, topic: Topic, interval: int) -> tuple[Sequence[Event], Sequence[Event]]:
        return (), [*(each for each in self.known if not each.closed), self.status]

    def fetch(self, topic: Topic, count: int) -> Deferred[Sequence[Candle]]:
        self.asked.append((topic, count))
        return self.answer


@pytest.mark.parametrize("known", [(bar(1, closed=True), bar(2)), (bar(1, closed=True),)])
def test_the_bar_that_is_expected_is_told_at_once(known: tuple[Candle, ...]) -> None:
    world = World(*known)
    world.bars.cross(bar(2))
    assert world.told == [bar(2)] and not world.asked
    assert BARS not in world.bars


def test_bars_that_closed_meanwhile_come_first_and_the_topic_is_not_good_until_then() -> None:
    world = World(bar(1, closed=True), bar(2))
    world.bars.cross(bar(4))
    world.bars.cross(LIVE)
    world.bars.cross(bar(4))
    assert world.told == [StreamStatus(BARS, State.RESYNCING, Cause.GAP)]
    world.answer.callback([bar(1, closed=True), bar(2, closed=True), bar(3, closed=True), bar(4)])
    assert world.told[1:] == [bar(2, closed=True), bar(3, closed=True), bar(4), bar(4), LIVE]
    assert len(world.asked) == 1 and BARS not in world.bars


def test_a_status_that_gets_worse_does_not_wait() -> None:
    world = World(bar(2))
    world.bars.cross(bar(4))
    worse = StreamStatus(BARS, State.STALE, Cause.SILENT)
    world.bars.cross(worse)
    assert world.told[1:] == [worse]
    world.answer.callback([])
    assert world.told[2:] == [bar(4)]


def test_where_the_venue_does_not_answer_the_bars_go_on() -> None:
    world = World(bar(2))
    world.bars.cross(bar(4))
    world.answer.errback(Failure(UpstreamError("disconnected", "gone")))
    assert world.told[1:] == [bar(4), LIVE]


def test_an_answer_that_comes_when_the_venue_is_anothers_again_tells_nothing() -> None:
    world = World(bar(2))
    world.bars.cross(bar(4))
    world.bars.clear()
    world.answer.callback([bar(2, closed=True)])
    assert len(world.told) == 1


def test_of_what_was_never_told_nothing_is_missing() -> None:
    assert BARS not in World().bars
