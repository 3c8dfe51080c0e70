"""Bars from before the simulator started: years of them, made up when somebody looks.

History is made from the coarse to the fine: days first, and only when somebody looks, a day is split into hours, an
hour into quarters, a quarter into minutes, so that every coarse bar is exactly the sum of its parts and a thousand
daily bars cost a thousand draws.
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random

from cryptodash.simulator.bars import Bar, TradeRate, drawn, merged, split
from cryptodash.simulator.intervals import BAR_LENGTHS, DAY, HOUR, MINUTE, QUARTER
from cryptodash.simulator.random_moves import moved

HISTORY_DAYS = 1_100

_PARENT = {MINUTE: QUARTER, QUARTER: HOUR, HOUR: DAY}
_MAX_SPLITS = 3_000
_SIGMA_PPB = {MINUTE: 490_000, QUARTER: 1_900_000, HOUR: 3_800_000, DAY: 19_000_000}


class History:
    """Bars before the simulator started, walking back from the starting price.

    ``key`` seeds the shape: instruments of the same pair on different venues share it and so
    have nearly the same chart.
    """

    def __init__(self, key: str, rate: TradeRate, price: int, start: int, first_id: int) -> None:
        """``start`` is a full minute (ms); ``first_id`` the id of the first live trade."""
        self._key = key
        self._rate = rate
        self._start = start
        self._direct: dict[int, dict[int, Bar]] = {level: {} for level in BAR_LENGTHS}
        self._splits: OrderedDict[tuple[int, int], list[Bar]] = OrderedDict()
        self._walk_back(price, first_id)

    def _walk_back(self, price: int, next_id: int) -> None:
        rng = Random(f"{self._key}:back")
        ends = [self._start, *(self._start - self._start % level for level in BAR_LENGTHS[1:])]
        begins = [*ends[1:], ends[-1] - HISTORY_DAYS * DAY]
        floor, ceiling = max(1, price // 6), price * 6
        for level, end, begin in zip(BAR_LENGTHS, ends, begins, strict=True):
            at = end
            while at > begin:
                at -= level
                before = min(ceiling, max(floor, moved(price, _SIGMA_PPB[level], rng)))
                bar = drawn(at, level, before, price, self._rate, rng, 0)
                bar.first = next_id = next_id - bar.count
                self._direct[level][at] = bar
                price = bar.open

    def bar(self, level: int, start: int) -> Bar | None:
        """The bar of a level (ms) that opens at ``start``; None before the history and
        from the simulator's start on."""
        if start >= self._start:
            return None
        found = self._direct[level].get(start)
        if found is not None or level == DAY:
            return found
        parent_level = _PARENT[level]
        parent_start = start - start % parent_level
        parts = self._splits.get((parent_level, parent_start))
        if parts is None:
            parts = self._split(parent_level, parent_start, level)
        return parts[(start - parent_start) // level] if parts else None

    def _split(self, level: int, start: int, part: int) -> list[Bar]:
        parent = self.bar(level, start)
        if parent is None:
            return []
        parts = split(parent, level // part, part, Random(f"{self._key}:{level}:{start}"))
        self._splits[level, start] = parts
        if len(self._splits) > _MAX_SPLITS:
            self._splits.popitem(last=False)
        return parts

    def unfinished(self, level: int) -> Bar | None:
        """What had happened of the level's bar that was running when the simulator started."""
        start = self._start - self._start % level
        parts = [
            bar for finer in BAR_LENGTHS if finer < level for bar in self._direct[finer].values() if bar.start >= start
        ]
        return merged(start, sorted(parts, key=lambda bar: bar.start))
