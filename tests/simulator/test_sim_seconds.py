"""Bars of a second that were lived through: the same for as long as they are kept, however they are kept."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from cryptodash.simulator.bars import Bar
from cryptodash.simulator.intervals import MINUTE, SECOND
from cryptodash.simulator.seconds import Seconds

START = 1_700_000_040_000


class NoHistory:
    """None of the bars is to be made up."""

    def seconds(self, minute: Bar) -> list[Bar]:
        raise AssertionError(f"{minute.start} was lived through")


def lived(minutes: int) -> tuple[Any, dict[int, Bar]]:
    """So many minutes with a trade in each third second, and the bars as they were when they ended."""
    history: Any = NoHistory()
    seconds, ended = Seconds(history, START, 100), {}
    for number in range(minutes * 60):
        at = START + number * SECOND
        if number % 3 == 0:
            seconds.add(100 + number % 7, 10 + number, bool(number % 2), number)
        ended[at] = evolve(seconds.running)
        seconds.roll(at + SECOND)
    return seconds, ended


def test_each_second_of_seventeen_minutes_is_what_it_was() -> None:
    seconds, ended = lived(17)
    assert {at: seconds.bar(at, None) for at in ended} == ended
    assert sum(bar.count for bar in ended.values()) == 340


def test_older_ones_are_let_go() -> None:
    seconds, ended = lived(60)
    known = [at for at in ended if seconds.bar(at, None) is not None]
    assert known == [at for at in ended if at >= START + 43 * MINUTE]


def test_a_second_that_is_lived_again_has_the_trades_of_both_times() -> None:
    seconds, ended = lived(5)
    back = START + 2 * MINUTE + 3 * SECOND
    seconds.turn_back(back)
    seconds.add(90, 5, True, 9_999)
    seconds.roll(back + SECOND)
    again = seconds.bar(back, None)
    assert (again.low, again.volume, again.count) == (90, ended[back].volume + 5, 2)
    others = [at for at in ended if at < back + SECOND and at != back]
    assert {at: seconds.bar(at, None) for at in others} == {at: ended[at] for at in others}
