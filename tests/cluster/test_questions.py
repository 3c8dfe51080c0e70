"""Questions to the process that holds a venue: answered, refused, or given up in time."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, cast

import msgspec
import pytest
from msgspec import msgpack
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from cryptodash.cluster import questions, wire
from cryptodash.cluster.questions import MOST_OPEN, PATIENCE_S, Answer, Answering, Asking, Question
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Topic, parse_topic

BARS = parse_topic("binance:spot:BTC-USDT:candle:1m")
ONE = Number("1.10")


def bar(number: int) -> Candle:
    return Candle(BARS, 60_000 * number, 7, ONE, ONE, ONE, ONE, Number("0"), True, "rest")


class Venue:
    """What the holder has: it answers with ``answer``, raised if it is an error; a Deferred lets it wait."""

    exchange = "binance"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer: Any = None

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        self.asked.append((topic, limit, end_ms))
        return cast(Sequence[Candle], await self._answered())

    async def refresh_catalogue(self) -> int:
        self.asked.append(("refresh",))
        return cast(int, await self._answered())

    async def _answered(self) -> Any:
        if isinstance(self.answer, Deferred):
            return await self.answer
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    """One who asks and one who holds, joined in memory; ``lost`` is what was said to somebody who is not there."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.venue = Venue()
        self.is_held = True
        self.lost: list[tuple[str, bytes]] = []
        self.outcomes: list[Any] = []
        self.asking = Asking("me", self._to_holder, self.clock)
        self.answering = Answering(cast(Any, self.venue), self._to_process)

    def ask(self, question: Coroutine[Deferred[Any], Any, Any]) -> None:
        Deferred.fromCoroutine(question).addBoth(lambda result: self.outcomes.append(said(result)))

    def asks_for_bars(self, limit: int = 5, end_ms: int | None = None) -> None:
        self.ask(self.asking.candles(BARS, limit, end_ms))

    def hears(self, data: bytes) -> None:
        """The holder, by Redis."""
        Deferred.fromCoroutine(self.answering.took(data)).addErrback(self.outcomes.append)

    def _to_holder(self, to: str, data: bytes) -> None:
        if to == "binance" and self.is_held:
            self.hears(data)
        else:
            self.lost.append((to, data))

    def _to_process(self, to: str, data: bytes) -> None:
        if to == "me":
            self.asking.took(data)
        else:
            self.lost.append((to, data))


def said(result: Any) -> Any:
    if not isinstance(result, Failure):
        return result
    result.trap(UpstreamError)
    return result.value.cause, str(result.value)


UNANSWERED = ("backend", "the process that holds binance did not answer")


@pytest.fixture
def world() -> World:
    return World()


def test_bars_that_the_holder_has_are_answered(world: World) -> None:
    world.venue.answer = [bar(1), bar(2)]
    world.asks_for_bars(5, 120_000)
    assert world.outcomes == [[bar(1), bar(2)]]
    assert world.venue.asked == [(BARS, 5, 120_000)]
    assert not world.clock.getDelayedCalls()


@pytest.mark.parametrize(("limit", "asked"), [(-7, 1), (0, 1), (1000, 1000), (1_000_000, 1000)])
def test_the_holder_is_asked_for_a_number_of_bars_that_can_be(world: World, limit: int, asked: int) -> None:
    world.venue.answer = []
    world.asks_for_bars(limit)
    assert world.outcomes == [[]] and world.venue.asked == [(BARS, asked, None)]


def test_a_catalogue_is_read_again_where_the_venue_is_held(world: World) -> None:
    world.venue.answer = 2_345
    world.ask(world.asking.refresh("binance"))
    assert world.outcomes == [2_345] and world.venue.asked == [("refresh",)]


def test_an_error_of_the_venue_crosses_with_its_cause(world: World) -> None:
    world.venue.answer = UpstreamError("banned", "HTTP 418 until noon", 60)
    world.asks_for_bars()
    world.ask(world.asking.refresh("binance"))
    assert world.outcomes == [("banned", "HTTP 418 until noon")] * 2


@pytest.mark.parametrize("retry_after", [None, 0.0, 60, 2.5])
def test_how_long_the_venue_wants_to_be_left_alone_crosses(world: World, retry_after: float | None) -> None:
    caught: list[Any] = []
    world.venue.answer = UpstreamError("banned", "HTTP 418", retry_after)
    for question in (world.asking.candles(BARS, 5, None), world.asking.refresh("binance")):
        Deferred.fromCoroutine(question).addErrback(lambda failure: caught.append(failure.value.retry_after))
    assert caught == [retry_after] * 2


@pytest.mark.parametrize("retry_after", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_a_time_to_wait_that_is_none_is_left_out(world: World, retry_after: float) -> None:
    caught: list[Any] = []
    world.is_held = False
    Deferred.fromCoroutine(world.asking.refresh("binance")).addErrback(caught.append)
    world.asking.took(questions.encode(Answer(wire.VERSION, 1, "banned", "HTTP 418", retry_after=retry_after)))
    assert (caught[0].value.cause, caught[0].value.retry_after) == ("banned", None)


def test_answers_find_their_questions_in_whatever_order_they_come(world: World) -> None:
    slow: list[Deferred[Any]] = [Deferred(), Deferred(), Deferred()]
    for each in slow:
        world.venue.answer = each
        world.asks_for_bars()
    for number in (2, 0, 1):
        slow[number].callback([bar(number)])
    assert world.outcomes == [[bar(2)], [bar(0)], [bar(1)]]


def test_a_question_that_nobody_answers_is_given_up_in_time(world: World) -> None:
    world.is_held = False
    world.asks_for_bars()
    world.clock.advance(PATIENCE_S - 0.01)
    assert world.outcomes == [] and len(world.lost) == 1
    world.clock.advance(0.01)
    assert world.outcomes == [UNANSWERED] and not world.clock.getDelayedCalls()


def test_an_answer_that_comes_too_late_or_twice_is_nobodys(world: World) -> None:
    world.venue.answer = waiting = Deferred()
    world.asks_for_bars()
    world.clock.advance(PATIENCE_S)
    waiting.callback([bar(1)])
    assert world.outcomes == [UNANSWERED]
    world.venue.answer = []
    world.asks_for_bars()
    for number in range(5):
        world.asking.took(questions.encode(Answer(wire.VERSION, number)))
    assert world.outcomes == [UNANSWERED, []]


def test_no_more_than_so_many_questions_wait(world: World) -> None:
    world.is_held = False
    for _ in range(MOST_OPEN + 1):
        world.asks_for_bars()
    assert world.outcomes == [("backend", "too many questions wait for other processes")]
    assert len(world.lost) == MOST_OPEN
    world.clock.advance(PATIENCE_S)
    assert world.outcomes[1:] == [UNANSWERED] * MOST_OPEN
    world.is_held, world.venue.answer = True, [bar(1)]
    world.asks_for_bars()
    assert world.outcomes[-1] == [bar(1)]


def test_a_holder_answers_no_more_than_so_many_at_a_time(world: World) -> None:
    world.venue.answer = waiting = Deferred()
    for number in range(MOST_OPEN + 5):
        world.hears(questions.encode(Question(wire.VERSION, number, "other", "refresh")))
    assert len(world.venue.asked) == MOST_OPEN and world.lost == []
    waiting.callback(1)
    assert len(world.lost) == MOST_OPEN
    world.venue.answer = 2
    world.hears(questions.encode(Question(wire.VERSION, 999, "other", "refresh")))
    assert world.lost[-1] == ("other", questions.encode(Answer(wire.VERSION, 999, content=msgspec.Raw(b"\x02"))))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"{}", b"\x93\x01", msgpack.encode((1, "x", 2)), b"\x91" * 50_000, b"\x95\x01\x01\xa1a\xa1\xff\xc0"],
)
def test_garbage_is_ignored_by_both(world: World, data: bytes) -> None:
    world.is_held = False
    world.asks_for_bars()
    world.asking.took(data)
    world.hears(data)
    world.hears(questions.encode(Question(wire.VERSION + 1, 1, "me", "refresh")))
    assert world.outcomes == [] and world.venue.asked == [] and len(world.lost) == 1


@pytest.mark.parametrize("topic", ["", "nonsense", "binance:spot:BTCUSDT:candle:1m", "x" * 4_000])
def test_a_question_about_no_topic_is_answered_with_why_not(world: World, topic: str) -> None:
    world.hears(questions.encode(Question(wire.VERSION, 1, "other", "candles", topic, 5)))
    ((to, answer),) = world.lost
    assert to == "other" and world.venue.asked == []
    assert msgpack.decode(answer)[:3] == [wire.VERSION, 1, "backend"]


@pytest.mark.parametrize(
    "topic", ["okx:spot:BTC-USDT:candle:1m", "binance:spot:BTC-USDT:trade", "binance:spot:BTC-USDT:order_book:20"]
)
def test_a_question_about_bars_that_are_not_the_holders_is_not_asked_of_the_venue(world: World, topic: str) -> None:
    world.hears(questions.encode(Question(wire.VERSION, 1, "other", "candles", topic, 5)))
    ((to, answer),) = world.lost
    assert to == "other" and world.venue.asked == []
    assert msgpack.decode(answer)[2:4] == ["backend", f"{topic} has no candles here"]


def test_a_question_that_nobody_knows_is_answered_with_why_not(world: World) -> None:
    world.hears(questions.encode(Question(wire.VERSION, 1, "other", "everything")))
    assert msgpack.decode(world.lost[0][1])[2:4] == ["backend", "'everything' is no question"]


@pytest.mark.parametrize("content", [b"\xc0", b"\x91\xc0", b"\xa1x", b"\x91" * 50_000 + b"\xc0"], ids=len)
def test_an_answer_without_what_was_asked_for_is_an_error_of_the_other_process(world: World, content: bytes) -> None:
    world.is_held = False
    world.asks_for_bars()
    world.ask(world.asking.refresh("binance"))
    for number in (1, 2):
        world.asking.took(questions.encode(Answer(wire.VERSION, number, content=msgspec.Raw(content))))
    world.clock.advance(PATIENCE_S)
    assert [cause for cause, _ in world.outcomes] == ["backend"] * 2
