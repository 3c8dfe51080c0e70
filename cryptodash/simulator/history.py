"""Bars from before the simulator started: years of them, made up when somebody looks.

History is made from the coarse to the fine: days first, and only when somebody looks, a day is split into hours, an
hour into quarters, a quarter into minutes, so that every coarse bar is exactly the sum of its parts and a thousand
daily bars cost a thousand draws. What is made up is the same whenever it is made, so that it need not be kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from random import Random

from attrs import define, field

from cryptodash.simulator.bars import Bar, TradeRate, drawn, merged, split
from cryptodash.simulator.intervals import BAR_LENGTHS, DAY, HOUR, MINUTE, QUARTER
from cryptodash.simulator.random_moves import moved

HISTORY_DAYS = 1_100
BARS_KEPT = 100_000
"""Made up bars that a simulator keeps, of all its instruments: about 35 MB."""

_WHOLE = HISTORY_DAYS * DAY
_PARENT = {MINUTE: QUARTER, QUARTER: HOUR, HOUR: DAY}
_SIGMA_PPB = {MINUTE: 490_000, QUARTER: 1_900_000, HOUR: 3_800_000, DAY: 19_000_000}


@define(eq=False)
class BarCache:
    """Made up bars of all instruments, ``most`` at a time: those that nobody has asked for the longest go first."""

    most: int = BARS_KEPT
    _made: OrderedDict[tuple[History, int, int], list[Bar]] = field(factory=OrderedDict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: tuple[History, int, int], make: Callable[[], list[Bar]]) -> list[Bar]:
        """The bars of this key, made if they are not here."""
        found = self._made.get(key)
        if found is not None:
            self._made.move_to_end(key)
            return found
        bars = make()  # may look up others, and so make them
        if not bars:
            return bars
        self._made[key] = bars
        self._count += len(bars)
        while self._count > self.most and len(self._made) > 1:
            self._count -= len(self._made.popitem(last=False)[1])
        return bars


class History:
    """Bars before the simulator started, walking back from the starting price.

    ``key`` seeds the shape: instruments of the same pair on different venues share it and so
    have nearly the same chart.
    """

    def __init__(self, key: str, rate: TradeRate, price: int, start: int, first_id: int, cache: BarCache) -> None:
        """``start`` is a full minute (ms); ``first_id`` the id of the first live trade."""
        self._key = key
        self._rate = rate
        self._start = start
        self._price = price
        self._first_id = first_id
        self._cache = cache
        self._first_day = start - start % DAY - HISTORY_DAYS * DAY
        self._today = {(level, bar.start): bar for level, bar in self._walk_back(BAR_LENGTHS[:-1])}
        """What there is of the day on which the simulator started: minutes, quarters, hours."""

    def _walk_back(self, levels: tuple[int, ...]) -> Iterator[tuple[int, Bar]]:
        """The bars of the day of the start, from the fine to the coarse, then the days before it; the same ones every
        time."""
        rng = Random(f"{self._key}:back")
        price, next_id = self._price, self._first_id
        ends = [self._start, *(self._start - self._start % level for level in BAR_LENGTHS[1:])]
        begins = [*ends[1:], self._first_day]
        floor, ceiling = max(1, price // 6), price * 6
        for level, end, begin in zip(levels, ends, begins, strict=False):
            at = end
            while at > begin:
                at -= level
                before = min(ceiling, max(floor, moved(price, _SIGMA_PPB[level], rng)))
                bar = drawn(at, level, before, price, self._rate, rng, 0)
                bar.first = next_id = next_id - bar.count
                yield level, bar
                price = bar.open

    def bar(self, level: int, start: int) -> Bar | None:
        """The bar of a level (ms) that opens at ``start``; None before the history and
        from the simulator's start on."""
        if not self._first_day <= start < self._start:
            return None
        if level == DAY:
            return self._day(start)
        found = self._today.get((level, start))
        if found is not None:
            return found
        parent_level = _PARENT[level]
        parent_start = start - start % parent_level
        parts = self._cache.get(
            (self, parent_level, parent_start), lambda: self._split(parent_level, parent_start, level)
        )
        return parts[(start - parent_start) // level] if parts else None

    def _day(self, start: int) -> Bar | None:
        """A whole day; the one of the start had none yet."""
        days = self._cache.get((self, _WHOLE, self._first_day), self._days)
        at = (start - self._first_day) // DAY
        return days[at] if at < HISTORY_DAYS else None

    def _days(self) -> list[Bar]:
        return [bar for level, bar in self._walk_back(BAR_LENGTHS) if level == DAY][::-1]

    def _split(self, level: int, start: int, part: int) -> list[Bar]:
        parent = self.bar(level, start)
        if parent is None:
            return []
        return split(parent, level // part, part, Random(f"{self._key}:{level}:{start}"))

    def unfinished(self, level: int) -> Bar | None:
        """What had happened of the level's bar that was running when the simulator started."""
        start = self._start - self._start % level
        parts = [bar for (finer, _), bar in self._today.items() if finer < level and bar.start >= start]
        return merged(start, sorted(parts, key=lambda bar: bar.start))
