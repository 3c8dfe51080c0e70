"""One side of a book, large enough that most of it is packed, beside a model that keeps everything in a dictionary."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from random import Random

import pytest

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number, is_zero, key
from cryptodash.exchanges.builders.far_levels import CHUNK
from cryptodash.exchanges.builders.ladder import MOST_AT_HAND, Ladder


class Model:
    def __init__(self, sign: int) -> None:
        self._sign = sign
        self.levels: dict[int, Level] = {}

    def apply(self, changes: Iterable[Level]) -> None:
        for level in changes:
            self.levels.pop(self._sign * key(level[0]), None)
            if not is_zero(level[1]):
                self.levels[self._sign * key(level[0])] = level

    def top(self, depth: int) -> list[Level]:
        return [self.levels[place] for place in sorted(self.levels)[:depth]]


def price(ticks: int) -> Number:
    return Number(f"{ticks // 100}.{ticks % 100:02d}")


def side(random: Random, best: int, count: int, sign: int) -> list[Level]:
    """Levels with gaps, in no order."""
    levels = [(price(best + sign * place), Number(f"{random.randint(1, 999)}.5")) for place in range(0, 3 * count, 3)]
    random.shuffle(levels)
    return levels


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(6))
def test_a_large_side_is_what_a_plain_one_would_be(sign: int, seed: int) -> None:
    random = Random(seed)
    best = 60_000_00
    ladder, model = Ladder(sign), Model(sign)
    snapshot = side(random, best, random.choice([MOST_AT_HAND - 1, MOST_AT_HAND + 1, 20_000]), sign)
    ladder.load(snapshot, None)
    model.apply(snapshot)
    for _ in range(150):
        changes: list[Level] = []
        best += sign * random.choice([0, 0, 40, 400, -40, -2_000])
        nearest = model.top(random.choice([1, 10, 3_000]))
        if random.random() < 0.5:
            changes += [(each, Number("0")) for each, _ in nearest]  # traded away, or withdrawn
        for _ in range(random.randint(1, 400)):
            reach = random.choice([30, 3_000, 70_000])
            ticks = max(1, best + sign * random.randint(0, reach))
            changes.append((price(ticks), Number(random.choice(["0", "0.00", "1.50", "2"]))))
        ladder.apply(changes)
        model.apply(changes)
        assert ladder.top(50) == model.top(50)
        assert len(ladder.keys) <= MOST_AT_HAND + len(changes)
        assert ladder.left is None
    assert ladder.top(5_000) == model.top(5_000)
    whole = Ladder(sign)
    whole.load(model.top(1_000_000), None)
    assert ladder.agrees(whole) and whole.agrees(ladder)
    assert ladder.top(1_000_000) == model.top(1_000_000)
    ladder.apply([(price(best), Number("7"))])
    assert not ladder.agrees(whole)


def test_what_is_far_off_comes_back_when_all_before_it_is_gone() -> None:
    ladder = Ladder(1)
    levels = [(price(100 + each), Number("1")) for each in range(4 * CHUNK)]
    ladder.load(levels, None)
    ladder.apply([(each, Number("0")) for each, _ in levels[:-3]])
    assert ladder.top(10) == levels[-3:]
    ladder.apply([(levels[0][0], Number("2"))])
    assert ladder.top(10) == [(levels[0][0], Number("2")), *levels[-3:]]


def test_a_shorter_side_keeps_nothing_back() -> None:
    ladder = Ladder(-1)
    ladder.load([(price(100_000 - each), Number("1")) for each in range(4 * CHUNK)], None)
    ladder.truncate(10)
    ladder.apply([(price(1), Number("1"))])
    assert len(ladder.top(100)) == 11
    ladder.clear()
    assert ladder.top(1) == []


def test_a_horizon_is_where_the_snapshot_ends_however_large_it_is() -> None:
    ladder, count = Ladder(1), 4 * CHUNK
    ladder.load([(price(100 + each), Number("1")) for each in range(count)], count)
    ladder.apply([(price(100 + count), Number("1"))])
    assert ladder.left == count and len(ladder.top(2 * count)) == count


def test_a_level_of_a_large_side_takes_a_fraction_of_an_object() -> None:
    count = 22_000

    def loaded() -> Ladder:
        ladder = Ladder(1)
        ladder.load([(price(60_000_00 + each), Number(f"{each}.00000001")) for each in range(count)], None)
        return ladder

    loaded()
    tracemalloc.start()
    try:
        ladder = loaded()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < count * 70, f"{held / count:.0f} bytes a level"
    assert len(ladder.top(count)) == count


def test_levels_of_size_zero_count_among_those_that_came() -> None:
    """The side goes on behind them."""
    ladder = Ladder(1)
    ladder.load([(Number("1"), Number("5")), (Number("2"), Number("3")), (Number("3"), Number("0.00"))], 3)
    assert (len(ladder.keys), ladder.left) == (2, 2)
    ladder.apply([(Number("3"), Number("1")), (Number("4"), Number("1"))])
    assert ladder.top(9) == [("1", "5"), ("2", "3"), ("3", "1")], "what lies behind the snapshot is not known"
