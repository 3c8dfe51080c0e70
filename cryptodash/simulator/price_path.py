"""The price of one pair at any time, past and to come: a pure function of the seed, the pair and the time.

Days come first: their open and close are a sum of slow waves, so that the price stays near where it belongs. When
somebody looks, a day is split into hours, an hour into quarters, a quarter into minutes: every coarse bar has exactly
the range of its parts. Within a minute the price stands still and jumps, a few dozen times at most, as a market's best
levels do. All of it is integer arithmetic.
"""

from __future__ import annotations

from bisect import bisect_right
from math import isqrt
from random import Random

from attrs import frozen

from cryptodash.simulator.bar_cache import BarCache
from cryptodash.simulator.bars import Range
from cryptodash.simulator.intervals import DAY, HOUR, MINUTE, QUARTER
from cryptodash.simulator.random_moves import gauss

ONE = 10**12
"""The price around which the waves go, in the path's own units."""

FINER = {DAY: HOUR, HOUR: QUARTER, QUARTER: MINUTE}
_COARSER = {finer: coarser for coarser, finer in FINER.items()}
_WAVES = 9
"""Waves of 1, 2, 4 ... 256 days, each higher than the one before by the square root of two."""

_WAVE_PPM = 13_000
"""Height of the wave of one day, millionths. All of them together stay below 700,000."""

_DAY_RANGE_PPM = 27_000
_MOST_EDGES = 5_000
_FEWEST_JUMPS, _MOST_JUMPS = 9, 60
_MOST_STRETCH = 3
"""How many times as far bows may be stretched on one side of a line as on the other."""


Factors = tuple[tuple[str, int], ...]
"""What moves a price: names of independent sources of chance, with their weights in tenths."""


@frozen
class Jumps:
    """One minute: the price is ``values[i]`` from ``times[i]`` (ms) on, the minute's open before the first of them."""

    open: int
    times: list[int]
    values: list[int]
    end: int

    def at(self, time: int) -> tuple[int, int]:
        """(price, until when (ms, exclusive) it holds) at a time within the minute."""
        index = bisect_right(self.times, time)
        until = self.times[index] if index < len(self.times) else self.end
        return (self.values[index - 1] if index else self.open), until


class PricePath:
    """Times are ms UTC, prices in units of their own: ``ONE`` is about the middle."""

    def __init__(self, seed: int, factors: Factors, cache: BarCache[Range]) -> None:
        self._name = f"{seed}:{','.join(f'{name}*{weight}' for name, weight in factors)}"
        self._seed = seed
        self._factors = factors
        self._cache = cache
        self._edges: dict[int, int] = {}
        self._crests: dict[tuple[str, int, int], int] = {}
        self._jumps: dict[int, Jumps] = {}

    def at(self, time: int) -> tuple[int, int]:
        """(price, until when (ms, exclusive) it holds)."""
        start = time - time % MINUTE
        jumps = self._jumps.get(start)
        if jumps is None:
            jumps = self._jumps[start] = self._jumping(start)
            if len(self._jumps) > 8:
                del self._jumps[next(iter(self._jumps))]
        return jumps.at(time)

    def range(self, level: int, start: int) -> Range:
        """The range of the bar of one of the ``intervals.BAR_LENGTHS`` that opens at ``start``."""
        if level == DAY:
            return self._cache.get((self, 0, start), lambda: [self._day(start)])[0]
        coarser = _COARSER[level]
        parent = start - start % coarser
        return self.parts(coarser, parent)[(start - parent) // level]

    def parts(self, level: int, start: int) -> list[Range]:
        """The bars of the next finer length of the level's bar that opens at ``start``."""
        return self._cache.get((self, level, start), lambda: self._split(level, start))

    def seconds(self, minute: int) -> list[Range]:
        """The sixty seconds of the minute that opens at ``minute``."""
        jumps = self._jumping(minute)
        found, at, price = [], 0, jumps.open
        for end in range(minute + 1_000, minute + MINUTE + 1, 1_000):
            open_ = high = low = price
            while at < len(jumps.times) and jumps.times[at] < end:
                price = jumps.values[at]
                high, low = max(high, price), min(low, price)
                at += 1
            found.append((open_, high, low, price))
        return found

    def _day(self, start: int) -> Range:
        open_, close = self._edge(start // DAY), self._edge(start // DAY + 1)
        bits = Random(f"{self._name}:day:{start}").getrandbits
        width = ONE * _DAY_RANGE_PPM // 10**6 * (154 + bits(8)) // 256
        up, down = _wicks(width, abs(close - open_), bits(8))
        return open_, max(open_, close) + up, min(open_, close) - down, close

    def _edge(self, day: int) -> int:
        """The price at the beginning of a day (counted from 1970)."""
        known = self._edges.get(day)
        if known is None:
            moved = sum(weight * self._waves(factor, day) for factor, weight in self._factors) // 10
            known = self._edges[day] = ONE + ONE // 10**9 * moved
            if len(self._edges) > _MOST_EDGES:
                del self._edges[next(iter(self._edges))]
        return known

    def _waves(self, factor: str, day: int) -> int:
        """The sum of a factor's waves, billionths."""
        total = 0
        for wave in range(_WAVES):
            length = 1 << wave
            index, into = divmod(day, length)
            here, there = (self._crest(factor, wave, each) for each in (index, index + 1))
            total += (here * (length - into) + there * into) * isqrt(length * 10_000) // (length * 100)
        return total

    def _crest(self, factor: str, wave: int, index: int) -> int:
        """A random number of a wave, up to its height either way, billionths of the wave of one day."""
        known = self._crests.get((factor, wave, index))
        if known is None:
            rng = Random(f"{self._seed}:{factor}:wave:{wave}:{index}")
            known = self._crests[factor, wave, index] = rng.randrange(-_WAVE_PPM, _WAVE_PPM + 1) * 1_000
            if len(self._crests) > _MOST_EDGES:
                del self._crests[next(iter(self._crests))]
        return known

    def _steps(self, level: int, start: int, count: int) -> list[int]:
        """Random steps: what moves several prices moves them together."""
        steps = [0] * count
        for factor, weight in self._factors:
            rng = Random(f"{self._seed}:{factor}:{level}:{start}")
            for i in range(count):
                steps[i] += weight * gauss(rng)
        return steps

    def _split(self, level: int, start: int) -> list[Range]:
        count = level // FINER[level]
        whole = self.range(level, start)
        closes = bridge(whole, self._steps(level, start, count), 94)
        bits = Random(f"{self._name}:{level}:{start}").getrandbits
        open_, high, low, _ = whole
        typical = (high - low) * 100 // isqrt(count * 10_000)
        parts = []
        for close in closes:
            upper, lower = max(open_, close), min(open_, close)
            up, down = _wicks(typical * (154 + bits(8)) // 256, upper - lower, bits(8))
            # At the end of the whole's range a part reaches as far the other way, or it would hardly move.
            up, down = up + max(0, low - lower + down), down + max(0, upper + up - high)
            parts.append((open_, min(high, upper + up), max(low, lower - down), close))
            open_ = close
        return _reaching(parts, high, low)

    def _jumping(self, start: int) -> Jumps:
        whole = self.range(MINUTE, start)
        rng = Random(f"{self._name}:jumps:{start}")
        wide = (whole[1] - whole[2]) * 10_000 // (2 * ONE)  # a moving market jumps more often, not only farther
        count = min(_MOST_JUMPS, _FEWEST_JUMPS + rng.randrange(_FEWEST_JUMPS) + wide)
        times = sorted(start + each for each in rng.sample(range(1, MINUTE), count))
        values = bridge(whole, self._steps(MINUTE, start, count), 100)
        inner = values[:-1]
        values[inner.index(max(inner))] = whole[1]
        values[inner.index(min(inner))] = whole[2]
        return Jumps(whole[0], times, values, start + MINUTE)


def bridge(whole: Range, steps: list[int], percent: int) -> list[int]:
    """The closes of the parts of a bar, one per random step: from its open to its close, as wide as its range allows
    (``percent`` of it). Bows above and below the straight line are stretched apart, so that both ends are nearly
    reached; at an end of the range, where there is no room on one side, all of them go to the other."""
    open_, _, _, close = whole
    count, at, total = len(steps), 0, sum(steps)
    lines, bows = [], []
    for i, step in enumerate(steps, 1):
        at += step
        lines.append(open_ + (close - open_) * i // count)
        bows.append(at - total * i // count)
    up, down = _stretches(whole, lines, bows)
    if up * _MOST_STRETCH < down or down * _MOST_STRETCH < up:
        side = 1 if up > down else -1
        bows = [side * abs(bow) for bow in bows]
        up, down = _stretches(whole, lines, bows)
    up, down = up * percent // 100, down * percent // 100
    return [line + (bow * (up if bow > 0 else down) >> 32) for line, bow in zip(lines, bows, strict=True)]


def _stretches(whole: Range, lines: list[int], bows: list[int]) -> tuple[int, int]:
    """The factors (times 2**32) for bows above and below the line with which they just stay within the range."""
    _, high, low, _ = whole
    up = min(((high - line << 32) // bow for line, bow in zip(lines, bows, strict=True) if bow > 0), default=0)
    down = min(((line - low << 32) // -bow for line, bow in zip(lines, bows, strict=True) if bow < 0), default=0)
    return up, down


def _wicks(width: int, body: int, share: int) -> tuple[int, int]:
    """How far a bar reaches above and below its body, ``share`` (of 255) of it above."""
    rest = max(width - body, width // 8)
    return rest * share // 255, rest - rest * share // 255


def _reaching(parts: list[Range], high: int, low: int) -> list[Range]:
    """The parts, the highest and the lowest of which reach the ends of the whole."""
    top = max(range(len(parts)), key=lambda i: parts[i][1])
    parts[top] = (parts[top][0], high, *parts[top][2:])
    bottom = min(range(len(parts)), key=lambda i: parts[i][2])
    parts[bottom] = (*parts[bottom][:2], low, parts[bottom][3])
    return parts
