"""Frames leave one at a time, and as far apart as the venue wants."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from cryptodash.exchanges.transport.pacer import Pacer

GAP = 0.25


class Line:
    """A pacer whose writes are noted, with their times."""

    def __init__(self, gap: float = GAP) -> None:
        self.clock = Clock()
        self.written: list[tuple[float, str]] = []
        self.freed: list[float] = []
        self.pacer = Pacer(gap, self.clock, lambda: self.freed.append(self.clock.seconds()))

    def frame(self, name: str) -> None:
        self.pacer.frame(partial(self._write, name))

    def pong(self, name: str) -> None:
        self.pacer.pong(partial(self._write, name))

    def _write(self, name: str) -> None:
        self.written.append((self.clock.seconds(), name))

    def give(self, text: str) -> None:
        """``f1 p1``: frames and pongs in one turn."""
        for name in text.split():
            (self.pong if name[0] == "p" else self.frame)(name)

    def pass_time(self, seconds: float) -> None:
        """Time in which the reactor is never busy."""
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)

    @property
    def names(self) -> str:
        return " ".join(name for _, name in self.written)


def test_the_first_frame_goes_at_once() -> None:
    line = Line()
    line.give("f1")
    assert line.written == [(0.0, "f1")]
    assert line.freed == []


def test_the_gap_begins_in_the_turn_after_the_one_that_wrote() -> None:
    line = Line()
    line.give("f1 f2")
    line.clock.advance(10)  # a long turn: what was written leaves only now
    assert line.names == "f1"
    line.clock.advance(GAP - 0.01)
    assert line.names == "f1"
    line.clock.advance(0.01)
    assert line.written == [(0.0, "f1"), (10 + GAP, "f2")]


@pytest.mark.parametrize("turns", [(0.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0), (0.05,) * 60])
def test_however_long_the_turns_are_no_two_leave_within_the_gap(turns: tuple[float, ...]) -> None:
    line = Line()
    line.give("f1 f2 f3 f4")
    for turn in turns:
        line.clock.advance(turn)
    assert line.names == "f1 f2 f3 f4"
    assert all(later - earlier >= GAP - 1e-9 for (earlier, _), (later, _) in pairwise(line.written))


ORDERS = [
    # given in one turn, the order in which they are written
    ("f1 f2 f3", "f1 f2 f3"),
    ("p1", "p1"),
    ("p1 f1", "p1 f1"),
    ("f1 p1", "f1 p1"),
    ("f1 f2 p1", "f1 p1 f2"),  # a pong goes before a frame that waits
    ("f1 p1 p2 p3", "f1 p3"),  # only the latest ping is answered
    ("f1 p1 f2 p2", "f1 p2 f2"),
    ("p1 p2 p3", "p1 p3"),
]


@pytest.mark.parametrize(("given", "order"), ORDERS)
def test_the_order(given: str, order: str) -> None:
    line = Line()
    line.give(given)
    line.pass_time(3)
    assert line.names == order
    assert all(later - earlier >= GAP - 1e-9 for (earlier, _), (later, _) in pairwise(line.written))
    assert not line.clock.getDelayedCalls()


def test_free_is_told_when_another_frame_may_be_given() -> None:
    line = Line()
    line.give("f1")
    line.pass_time(0.2)
    assert line.freed == []
    line.pass_time(0.2)
    assert len(line.freed) == 1
    line.pass_time(5)
    assert len(line.freed) == 1
    line.give("f2")
    line.pass_time(1)
    assert len(line.freed) == 2


def test_free_is_not_told_for_pongs() -> None:
    line = Line()
    line.give("p1 p2")
    line.pass_time(5)
    assert line.freed == []


def test_free_is_told_while_a_pong_is_on_its_way_and_the_next_frame_waits_for_it() -> None:
    line = Line()
    line.give("f1 p1")
    line.pass_time(GAP + 0.05)
    assert line.names == "f1 p1"
    assert len(line.freed) == 1
    line.give("f2")
    assert line.names == "f1 p1"
    line.pass_time(GAP + 0.1)
    assert line.names == "f1 p1 f2"


def test_free_is_told_once_nothing_waits_for_one_who_gives_several_at_once() -> None:
    line = Line()
    line.give("f1 f2 f3")
    line.pass_time(2 * GAP + 0.2)
    assert line.names == "f1 f2 f3"
    assert line.freed == []  # a further one would wait
    line.pass_time(GAP)
    assert len(line.freed) == 1


def test_free_is_told_once_per_frame_to_one_who_waits_for_it() -> None:
    """An owner with ten frames, who gives the next when told so, gets them all away, each after its gap."""
    line = Line()
    waiting = [f"f{number}" for number in range(10)]

    def give() -> None:
        line.freed.append(line.clock.seconds())
        if waiting:
            line.frame(waiting.pop(0))

    line.pacer = Pacer(GAP, line.clock, give)
    line.frame(waiting.pop(0))
    for number in range(150):
        line.clock.advance(0.05)
        if number % 13 == 0:
            line.pong("p")
    frames = [name for _, name in line.written if name != "p"]
    assert frames == [f"f{number}" for number in range(10)]
    assert len(line.freed) == 10
    assert all(later - earlier >= GAP - 1e-9 for (earlier, _), (later, _) in pairwise(line.written))


def test_without_a_gap_everything_is_written_at_once() -> None:
    line = Line(0.0)
    line.give("f1 p1 f2 p2")
    assert line.written == [(0.0, name) for name in ("f1", "p1", "f2", "p2")]
    assert len(line.freed) == 2
    assert not line.clock.getDelayedCalls()


@pytest.mark.parametrize("given", ["", "f1", "p1", "f1 f2 p1"])
@pytest.mark.parametrize("passed", [0.0, 0.1, GAP])
def test_stopped_it_writes_and_tells_nothing_and_leaves_no_timer(given: str, passed: float) -> None:
    line = Line()
    line.give(given)
    line.clock.advance(0)
    line.clock.advance(passed)
    names, freed = line.names, len(line.freed)
    line.pacer.stop()
    line.pacer.stop()
    assert not line.clock.getDelayedCalls()
    line.pass_time(5)
    assert (line.names, len(line.freed)) == (names, freed)


def test_stopped_while_it_writes_it_tells_nothing_more() -> None:
    """Writing may be what shows that the connection is gone."""
    line = Line()
    told: list[int] = []

    def break_down() -> None:
        line.pacer.stop()
        told.append(len(line.freed))

    line.give("f1")
    line.pacer.pong(break_down)
    line.pass_time(5)
    assert told == [len(line.freed)]
    assert not line.clock.getDelayedCalls()


@given(
    gap=st.sampled_from([0.05, 0.25, 1.0]),
    turns=st.lists(
        st.tuples(st.sampled_from([0.0, 0.01, 0.1, 0.3, 2.0]), st.lists(st.sampled_from("fp"), max_size=4)),
        max_size=60,
    ),
)
@settings(max_examples=200, deadline=None)
def test_any_two_writes_are_a_gap_apart(gap: float, turns: list[tuple[float, list[str]]]) -> None:
    line = Line(gap)
    frames: list[str] = []
    latest = ""
    for seconds, kinds in turns:
        line.clock.advance(seconds)
        for kind in kinds:
            name = f"{kind}{len(frames)}" if kind == "f" else f"p{line.clock.seconds()}"
            line.give(name)
            if kind == "f":
                frames.append(name)
            else:
                latest = name
    for _ in range(3 * len(frames) + 6):
        line.clock.advance(gap)
    assert all(later - earlier >= gap - 1e-9 for (earlier, _), (later, _) in pairwise(line.written))
    assert [name for _, name in line.written if name[0] == "f"] == frames
    assert not latest or latest in line.names.split()
    assert 0 < len(line.freed) <= len(frames) or not frames
    assert not line.clock.getDelayedCalls()


def test_pings_that_come_faster_than_the_gap_keep_no_frame_back() -> None:
    line = Line()
    line.give("p0 f1 f2")
    for number in range(1, 40):
        line.pong(f"p{number}")
        line.pass_time(0.1)
    kinds = [name[0] for _, name in line.written]
    assert kinds[:4] == ["p", "f", "p", "f"] and set(kinds[4:]) == {"p"}
