"""One side of a book, large enough that most of it is packed, beside a model that keeps everything in a dictionary."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from random import Random

import pytest

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number, is_zero, key, trimmed
from cryptodash.exchanges.builders.far_levels import CHUNK
from cryptodash.exchanges.builders.ladder import LEAST_AT_HAND, MOST_AT_HAND, NO_HORIZON, Ladder


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
        assert ladder.count <= MOST_AT_HAND + len(changes)
        assert ladder.left is None
    assert ladder.top(5_000) == model.top(5_000)
    whole = Ladder(sign)
    whole.load(model.top(1_000_000), None)
    assert ladder.agrees(whole) and whole.agrees(ladder)
    assert ladder.top(1_000_000) == model.top(1_000_000)
    ladder.apply([(price(best), Number("7"))])
    assert not ladder.agrees(whole)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(4))
def test_its_text_says_all_levels_whatever_is_packed_and_changes_nothing(sign: int, seed: int) -> None:
    random, best = Random(seed), 60_000_00
    ladder, model = Ladder(sign), Model(sign)
    snapshot = side(random, best, random.choice([3, MOST_AT_HAND + 1, 20_000]), sign)
    ladder.load(snapshot, None)
    model.apply(snapshot)
    for _ in range(40):
        changes = [(each, Number("0")) for each, _ in model.top(random.choice([1, 5, 1_000]))]
        for _ in range(200):
            ticks = best + sign * random.randint(0, random.choice([30, 70_000]))
            spelled = price(ticks) if random.random() < 0.7 else Number(f"{price(ticks)}00")
            changes.append((spelled, Number(random.choice(["0", "0.00", "2.50"]))))
        ladder.apply(changes)
        model.apply(changes)
        at_hand = ladder.count
        words = ladder.text().split(" ")
        told = Model(sign)
        told.apply(zip(map(Number, words[::2]), map(Number, words[1::2]), strict=True))
        assert told.levels == model.levels and ladder.count == at_hand
    assert ladder.top(len(model.levels) + 1) == model.top(len(model.levels))


def test_an_empty_side_has_no_text() -> None:
    assert Ladder(1).text() == ""


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
    assert (ladder.count, ladder.left) == (2, 2)
    ladder.apply([(Number("3"), Number("1")), (Number("4"), Number("1"))])
    assert ladder.top(9) == [("1", "5"), ("2", "3"), ("3", "1")], "what lies behind the snapshot is not known"


class History:
    """A side beside its model, at random: levels that come back, a price that drifts, more than one spelling."""

    def __init__(self, seed: int, sign: int, levels: int, limit: int | None) -> None:
        self.random, self.sign, self.best = Random(seed), sign, 60_000_00
        self.ladder, self.model = Ladder(sign), Model(sign)
        snapshot = side(self.random, self.best, levels, sign)
        self.ladder.load(snapshot, limit)
        self.model.apply(snapshot)
        self.horizon = max(self.model.levels) if limit is not None and levels >= limit else NO_HORIZON

    def spelled(self, ticks: int) -> Number:
        text = price(ticks)
        return self.random.choice([text, text, text, Number(text + "0"), trimmed(text)])

    def frame(self) -> list[Level]:
        """Of few prices, now and then one far off; a quarter of them more than once."""
        random = self.random
        self.best += self.sign * random.choice([0, 0, 0, 1, -1, 12, -9])
        reach = random.choice([8, 60, 60, 400, 9_000])
        ticks = [max(1, self.best + self.sign * random.randint(-2, reach)) for _ in range(random.randint(1, 20))]
        sizes = ["0", "0.00", "0.00000000", "0.50", "1.50", "20"]
        changes = [(self.spelled(each), Number(random.choice(sizes))) for each in ticks + ticks[::4]]
        if random.random() < 0.3:  # all before the price is gone
            changes += [(each, Number("0")) for each, _ in self.model.top(random.randint(1, 12))]
        return changes

    def step(self) -> None:
        changes = self.frame()
        self.ladder.apply(changes)
        self.model.apply(changes)
        self.keep(lambda place: place <= self.horizon)

    def keep(self, is_kept: Callable[[int], bool]) -> None:
        self.model.levels = {place: level for place, level in self.model.levels.items() if is_kept(place)}

    def truncate(self, depth: int) -> None:
        self.ladder.truncate(depth)
        kept = set(sorted(self.model.levels)[:depth])
        self.keep(kept.__contains__)

    def check(self) -> None:
        ladder, levels = self.ladder, self.model.levels
        places = sorted(levels)
        is_whole = self.horizon == NO_HORIZON
        assert ladder.left == (None if is_whole else len(levels))
        assert ladder.is_short(len(levels)) is False and ladder.is_short(len(levels) + 1) is not is_whole
        assert ladder.count == len(levels) or (is_whole and LEAST_AT_HAND <= ladder.count < len(levels))
        if self.random.random() < 0.1:
            listed = [entry.place for entry in ladder._listed]
            assert ladder._places == listed == sorted(set(listed))
        looks = [self._check_best, self._check_top, self._check_last, self._check_levels]
        for look in self.random.sample(looks, self.random.randint(0, 2)):  # each may tidy up for the others
            look(places)

    def _check_best(self, places: list[int]) -> None:
        best = self.ladder.best
        assert best == (places[0] if places else None)
        for distance in (-1, 0, 1):
            other = Ladder(-self.sign)
            other.load([(price(self.best + distance), Number("1"))], None)
            bids, asks = (self.ladder, other) if self.sign < 0 else (other, self.ladder)
            crosses = bool(places) and places[0] <= self.sign * key(price(self.best + distance))
            assert bids.crosses(asks) is crosses

    def _check_top(self, places: list[int]) -> None:
        for depth in (0, 1, 7, 100):
            assert self.ladder.top(depth) == self.model.top(depth)

    def _check_last(self, places: list[int]) -> None:
        for depth in (1, 5, 10**6):
            places = places[: self.ladder.count]
            assert self.ladder.last_of(depth) == (places[:depth][-1] if places else None)

    def _check_levels(self, places: list[int]) -> None:
        until = self.sign * key(price(self.best + self.sign * self.random.randint(0, 500)))
        assert list(self.ladder.levels_to(until).items()) == [
            (place, self.model.levels[place]) for place in places if place <= until
        ]

    def check_all(self) -> None:
        again = Ladder(self.sign)
        again.load(self.model.top(10**6), None)
        again.horizon = self.horizon
        assert self.ladder.agrees(again) and again.agrees(self.ladder)
        assert self.ladder.top(10**6) == self.model.top(10**6)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("levels", "limit"), [(40, None), (40, 5_000), (300, 300), (1_500, 1_000), (MOST_AT_HAND - 60, None), (9_000, None)]
)
def test_levels_that_come_and_go_at_the_same_prices_are_those_of_a_plain_side(
    sign: int, levels: int, limit: int | None
) -> None:
    history = History(levels, sign, levels, limit)
    for _ in range(1_200 if levels < 1_000 else 250):
        history.step()
        history.check()
    history.check_all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_side_that_is_cut_to_a_tier_after_every_frame(sign: int) -> None:
    history = History(3, sign, 25, None)
    for _ in range(1_500):
        history.step()
        history.truncate(25)
        history.check()
    history.check_all()
    history.truncate(10)
    history.ladder.cut(5)
    history.truncate(5)
    history.horizon = max(history.model.levels)
    for _ in range(50):
        history.step()
        history.check()


def test_one_price_in_many_spellings_is_one_level() -> None:
    ladder = Ladder(1)
    for text in ("1.5", "1.50", "1.5", "1.500"):
        ladder.apply([(Number(text), Number("2")), (Number("2"), Number("1"))])
        assert (ladder.top(9), ladder.count) == ([(text, "2"), ("2", "1")], 2)
    ladder.apply([(Number("1.5"), Number("0.0"))])
    assert (ladder.top(9), ladder.count) == ([("2", "1")], 1)
    ladder.apply([(Number("1.50"), Number("0")), (Number("1.500"), Number("3")), (Number("1.5"), Number("4"))])
    assert (ladder.top(9), ladder.count) == ([("1.5", "4"), ("2", "1")], 2)


@pytest.mark.parametrize("is_asked", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_gone_takes_no_room_however_many_prices_there_were(sign: int, is_asked: bool) -> None:
    """The price goes on and on, and no level is ever seen again; asked for the best after every frame, or never."""
    ladder, model = Ladder(sign), Model(sign)
    start = [(price(50_000_00 + sign * each), Number("1")) for each in range(100)]
    ladder.load(start, None)
    model.apply(start)
    for at in range(12_000):
        changes = [
            (price(50_000_00 + sign * at), Number("0")),
            (price(50_000_00 + sign * (at + 100)), Number("1")),
            (price(80_000_00 + sign * at), Number("0")),  # never was there
        ]
        ladder.apply(changes)
        model.apply(changes)
        if is_asked:
            assert ladder.best == min(model.levels)
        assert ladder.count == 100
        assert len(ladder._places) == len(ladder._listed) <= (100 if is_asked else 100 + 64)
        assert len(ladder._known) <= 2_048 and len(ladder._entries) <= 2_048 + 2 * 164
    assert ladder.top(200) == model.top(200)


def test_what_was_put_away_is_not_remembered_at_hand() -> None:
    ladder, model = Ladder(1), Model(1)
    for start in range(900_000, 0, -500):
        changes = [(price(start + each), Number("1.5")) for each in range(0, 500, 5)]
        ladder.apply(changes)
        model.apply(changes)
        assert ladder.count <= MOST_AT_HAND and len(ladder._entries) <= MOST_AT_HAND + 2_048
    assert ladder.top(10**6) == model.top(10**6)


def test_what_was_put_away_is_changed_where_it_is() -> None:
    """Its prices are known from the frames that brought it, which must not be mistaken for levels at hand."""
    ladder, model = Ladder(1), Model(1)
    near = [(price(100 + each), Number("1")) for each in range(MOST_AT_HAND - 10)]
    far = [(price(90_000 + each), Number("2")) for each in range(20)]
    ladder.load(near, None)
    model.apply(near)
    changes = [(text, Number(size)) for (text, _), size in zip(far, ["0", "3"] * 10, strict=True)]
    for each in (far, changes, [(far[0][0], Number("4"))]):
        ladder.apply(each)
        model.apply(each)
    assert ladder.count < MOST_AT_HAND
    assert ladder.top(10**6) == model.top(10**6)


def test_the_last_level_is_no_vacant_place() -> None:
    ladder = Ladder(1)
    ladder.load([(Number(text), Number("1")) for text in "12345678"], None)
    ladder.apply([(Number("8"), Number("0")), (Number("3"), Number("0"))])
    assert [ladder.last_of(depth) for depth in (10, 6, 3)] == [key(Number(each)) for each in "774"]
    ladder.apply([(Number("5"), Number("0"))])
    ladder.cut(3)
    assert (ladder.horizon, ladder.left) == (key(Number("4")), 3)
    ladder.apply([(Number("5"), Number("1"))])
    assert ladder.top(9) == [("1", "1"), ("2", "1"), ("4", "1")], "what lies behind the cut is not known"
    ladder.apply([(Number(text), Number("0")) for text in "124"])
    assert (ladder.best, ladder.last_of(3), ladder.top(3), ladder.left) == (None, None, [], 0)


def test_a_cut_ends_at_a_level() -> None:
    ladder = Ladder(1)
    ladder.load([(Number(text), Number("1")) for text in "12345"], None)
    ladder.apply([(Number("3"), Number("0"))])
    ladder.cut(2)
    assert ladder.horizon == key(Number("2"))
    ladder.apply([(Number("3"), Number("1"))])
    assert ladder.top(9) == [("1", "1"), ("2", "1")]


def test_a_place_that_waits_for_its_level_is_kept_when_prices_are_forgotten() -> None:
    ladder = Ladder(-1)
    ladder.load([(price(100 + each), Number("1")) for each in range(100)], None)
    ladder.apply([(price(150), Number("0"))])
    ladder.apply([(price(1_000 + each), Number("0")) for each in range(5_000)])
    ladder.apply([(price(150), Number("2"))])
    assert len(ladder._places) == ladder.count == 100 and ladder.top(100)[49] == (price(150), "2")
