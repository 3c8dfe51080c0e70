"""Clients that come back take turns: each has some answers at a time, and waits for its own only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from cryptodash.core.cursors import Cursor
from cryptodash.core.errors import Refused, TryLater
from cryptodash.core.recorded import UNKNOWN, Entry, Missing, ReadAfter
from cryptodash.core.topics import parse_topic
from cryptodash.recording import past as past_module
from cryptodash.recording.past import ASKED_OF_ONE, Continued, Past

TOPIC = parse_topic("binance:spot:BTC-USDT:trade")


class Answer:
    def __init__(self) -> None:
        self.asked: Deferred[Sequence[Any]] = Deferred()
        self.is_cancelled = False

    def more(self) -> Deferred[Sequence[Any]]:
        return self.asked

    def tell(self, *items: Any) -> None:
        asked, self.asked = self.asked, Deferred()
        asked.callback(list(items))

    def cancel(self) -> None:
        self.is_cancelled = True


class Tapes:
    def __init__(self) -> None:
        self.asked: list[tuple[ReadAfter, str, Answer]] = []
        self.refuses = False

    def ask(self, question: Any, client: Any, wait_s: float = 0.0) -> Answer:
        if self.refuses:
            raise TryLater("too_many_replays", "too many", 5)
        self.asked.append((question, client, Answer()))
        return self.asked[-1][2]


def pulled(answer: Continued) -> list[Any]:
    """What comes of it, once it does: the messages, or the code of what is raised."""
    found: list[Any] = []
    ensureDeferred(answer.more()).addBoth(lambda it: found.append(it.value.code if isinstance(it, Failure) else it))
    return found


def test_what_is_told_is_bodies_and_holes_and_in_the_end_nothing() -> None:
    tapes = Tapes()
    answer = Past(tapes).after(TOPIC, Cursor(5, "x"), "a")
    found = pulled(answer)
    question, client, its = tapes.asked[0]
    assert (question, client) == (ReadAfter(TOPIC.text, 5, "x"), "a")
    its.tell(Entry(1, TOPIC.text, 0, b"{}"), Missing(1, 2, "unrecorded", TOPIC.text))
    assert found == [[b"{}", None]]
    found = pulled(answer)
    its.tell()
    assert found == [[]]


def test_where_the_tape_does_not_reach_back_that_is_raised() -> None:
    tapes = Tapes()
    found = pulled(Past(tapes).after(TOPIC, Cursor(5, "x"), "a"))
    tapes.asked[0][2].tell(Missing(0, 0, UNKNOWN, TOPIC.text))
    assert found == ["not_recorded"] and tapes.asked[0][2].is_cancelled


def test_one_client_has_some_at_a_time_and_others_do_not_wait_for_it() -> None:
    tapes, answers = Tapes(), []
    past = Past(tapes)
    for number in range(50):
        answers.append(past.after(TOPIC, Cursor(number, "x"), "a"))
        pulled(answers[-1])
    assert len(tapes.asked) == ASKED_OF_ONE
    pulled(past.after(TOPIC, Cursor(99, "x"), "b"))
    assert tapes.asked[-1][1] == "b"
    answers[20].cancel()  # it waits still
    answers[0].cancel()
    tapes.asked[1][2].tell(Missing(0, 0, UNKNOWN, TOPIC.text))
    assert [each[0].time for each in tapes.asked[-2:]] == [ASKED_OF_ONE, ASKED_OF_ONE + 1]
    for _ in range(60):
        for _, client, each in list(tapes.asked):
            if client == "a" and not each.is_cancelled:
                each.tell(Missing(0, 0, UNKNOWN, TOPIC.text))
    asked = [question.time for question, client, _ in tapes.asked if client == "a"]
    assert asked == [each for each in range(50) if each != 20], "in turn, but the one that was cancelled"


def test_nothing_is_left_of_who_has_gone() -> None:
    past = Past(Tapes())
    answers = [past.after(TOPIC, Cursor(number, "x"), "a") for number in range(20)]
    found = [pulled(each) for each in answers]
    for each in reversed(answers):
        each.cancel()
        each.cancel()
    assert past._clients == {} and past._waiting == 0
    assert found[-1] == ["cancelled"]
    assert pulled(answers[0]) == [()]


def test_over_its_share_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "MOST_OF_ONE", 2)
    past = Past(Tapes())
    for number in range(ASKED_OF_ONE + 2):
        pulled(past.after(TOPIC, Cursor(number, "x"), "a"))
    with pytest.raises(TryLater):
        past.after(TOPIC, Cursor(1, "x"), "a")
    past.after(TOPIC, Cursor(1, "x"), "b")
    monkeypatch.setattr(past_module, "MOST", 2)
    with pytest.raises(Refused):
        past.after(TOPIC, Cursor(1, "x"), "c")


def test_who_finds_no_reader_gives_up_its_turn() -> None:
    tapes = Tapes()
    tapes.refuses = True
    past = Past(tapes)
    assert pulled(past.after(TOPIC, Cursor(1, "x"), "a")) == ["too_many_replays"]
    assert past._clients == {}
