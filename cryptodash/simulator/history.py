"""The bars of one instrument, of years ago as of tomorrow: what it trades is planned, and the live market keeps to it.

Days come first: how many trades each has, and their volume. When somebody looks, a day is split into hours, an hour
into quarters, a quarter into minutes, a minute into seconds, so that every coarse bar is exactly the sum of its parts
and a thousand daily bars cost a thousand draws. Prices are those of the pair (``price_path.py``). What is made up is
the same whenever it is made, so that it need not be kept.
"""

from __future__ import annotations

from random import Random

from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.bars import Bar, Range, TradeRate, split
from cryptodash.simulator.fair_price import FairPrice
from cryptodash.simulator.intervals import BAR_LENGTHS, DAY, HOUR, MINUTE, SECOND
from cryptodash.simulator.price_path import FINER

HISTORY_DAYS = 1_100
HALTED_DAYS = 3
"""Days before the one of the start on which an instrument stopped that is no longer traded."""

_WHOLE = HISTORY_DAYS * DAY
_COARSER = {finer: coarser for coarser, finer in FINER.items()}
_NIGHT = (96, 88, 84, 80, 76, 74, 76, 84, 96, 100, 98, 94)
_DAY_SHAPE = (*_NIGHT, 98, 122, 150, 152, 140, 126, 112, 104, 102, 104, 106, 102)
"""How busy each hour (UTC) is: most in the afternoon, when Europe and America trade."""

_BURST = 3
"""By how much one minute in sixteen is busier than its neighbours."""


class History:
    """All bars that an instrument has, before the simulator's start and after. Times are ms UTC."""

    def __init__(
        self, key: str, pair: str, fair: FairPrice, rate: TradeRate, start: int, cache: BarCache[Bar], *, halted: bool
    ) -> None:
        """``key`` seeds what is the instrument's own, ``pair`` what all venues share: busy days, hours and minutes.
        ``start`` is a full minute. ``halted``: it stopped ``HALTED_DAYS`` before the start."""
        self.rate = rate
        self._key = key
        self._pair = pair
        self._fair = fair
        self._cache = cache
        self._today = start - start % DAY
        self._first_day = self._today - _WHOLE
        self._halt = self._today - HALTED_DAYS * DAY if halted else None
        self._oldest = self._newest = self._today
        self._first_ids = {self._today: 4_000_000_000 + Random(f"{key}:ids").getrandbits(30)}

    def bar(self, level: int, start: int) -> Bar | None:
        """The bar of one of the ``BAR_LENGTHS`` (ms) that opens at ``start``; None before the history. It is not to be
        changed."""
        if start < self._first_day:
            return None
        if level == DAY:
            return self._cache.get((self, _WHOLE, start), lambda: [self._day(start)])[0]
        parent_level = _COARSER[level]
        parent_start = start - start % parent_level
        parts = self._cache.get((self, parent_level, parent_start), lambda: self._parts(parent_level, parent_start))
        return parts[(start - parent_start) // level]

    def _parts(self, level: int, start: int) -> list[Bar]:
        parent = self.bar(level, start)
        assert parent is not None
        guides = self._fair.ranges(level, start) if parent.count else [_NOWHERE] * (level // FINER[level])
        return split(parent, FINER[level], guides, self._weights(level, start, guides))

    def seconds(self, minute: Bar) -> list[Bar]:
        """The sixty seconds of a minute."""
        if not minute.count:
            return split(minute, SECOND, [_NOWHERE] * 60, [1] * 60)
        bits = Random(f"{self._key}:seconds:{minute.start}").getrandbits
        weights = [(24 + bits(7)) * (_BURST if not bits(4) else 1) for _ in range(MINUTE // SECOND)]
        return split(minute, SECOND, self._fair.ranges(MINUTE, minute.start), weights)

    def _weights(self, level: int, start: int, guides: list[Range]) -> list[int]:
        """How busy the parts of a bar are: by the hour of the day, by chance, and more where the price moves."""
        shared, own = (Random(f"{name}:pace:{level}:{start}").getrandbits for name in (self._pair, self._key))
        widths = [high - low for _, high, low, _ in guides]
        mean = max(1, sum(widths) // len(widths))
        weights = []
        for i, width in enumerate(widths):
            chance = (96 + shared(7)) * (224 + own(6))
            if FINER[level] == MINUTE and not shared(4):
                chance *= _BURST
            moved = 64 + 64 * min(width, 3 * mean) // mean
            weights.append(chance * moved * (_DAY_SHAPE[i] if FINER[level] == HOUR else 100))
        return weights

    def _count(self, start: int) -> int:
        """How many trades a day has."""
        if self._halt is not None and start >= self._halt:
            return 0
        shared, own = (Random(f"{name}:day:{start}").getrandbits for name in (self._pair, self._key))
        return self.rate.trades_per_hour * 24 * (416 + shared(6) + shared(6) + shared(6) + own(5)) // 512

    def _first_id(self, start: int) -> int:
        """The id of a day's first trade: counted on from the day of the start, and back from it."""
        ids = self._first_ids
        while start > self._newest:
            ids[self._newest + DAY] = ids[self._newest] + self._count(self._newest)
            self._newest += DAY
        while start < self._oldest:
            self._oldest -= DAY
            ids[self._oldest] = ids[self._oldest + DAY] - self._count(self._oldest)
        return ids[start]

    def _day(self, start: int) -> Bar:
        count, first = self._count(start), self._first_id(start)
        if not count:
            # Since the halt the price stands where the last trade left it.
            assert self._halt is not None
            last, _ = self._fair.day(self._halt)
            return Bar(start, last, last, last, last, first=first)
        bits = Random(f"{self._key}:volume:{start}").getrandbits
        open_, (_, high, low, close) = self._fair.day(start)
        volume = count + count * max(0, self.rate.mean_size - 1) * (448 + bits(7)) // 512
        turnover = volume * ((high + low + 2 * close) // 4)
        tilt = 480 + bits(6)
        bought = volume * tilt // 1024, turnover * tilt // 1024
        return Bar(start, open_, high, low, close, volume, turnover, *bought, count, first)

    def upto(self, level: int, time: int) -> list[Bar]:
        """What there is, before ``time`` (a full minute), of the level's bar that holds it: the longest bars that fit,
        oldest first."""
        at, found = time - time % level, []
        while at < time:
            length = next(each for each in reversed(BAR_LENGTHS) if at % each == 0 and at + each <= time)
            bar = self.bar(length, at)
            if bar is not None:
                found.append(bar)
            at += length
        return found


_NOWHERE: Range = (0, 0, 0, 0)
