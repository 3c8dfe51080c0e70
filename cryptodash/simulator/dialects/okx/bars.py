"""OKX's bars: their names, and when they open. From six hours up a plain name is aligned to UTC+8, one with ``utc`` to
UTC. The simulated one has no bars of two days and of three months."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from cryptodash.simulator import intervals
from cryptodash.simulator.bars import Bar, merged
from cryptodash.simulator.candles import Candles
from cryptodash.simulator.intervals import DAY, HOUR

_CHINA = 8 * HOUR
NEWEST = 1_440
"""Entries that ``/market/candles`` reaches back."""


@frozen
class BarKind:
    """A bar size: an interval of the simulator, ``offset`` ms before UTC."""

    interval: str
    offset: int = 0

    def opens(self, at: int) -> int:
        """The open time (ms) of the bar that holds ``at``."""
        return intervals.opens(self.interval, at + self.offset) - self.offset

    def closes(self, start: int) -> int:
        """The end (exclusive, ms) of the bar that opens at ``start``."""
        return intervals.closes(self.interval, start + self.offset) - self.offset

    def bar(self, candles: Candles, start: int) -> Bar | None:
        """The bar that opens at ``start``; None where nothing is known."""
        if not self.offset:
            return candles.candle(self.interval, start)
        return merged(start, self._parts(candles, start, self.closes(start)))

    def _parts(self, candles: Candles, at: int, end: int) -> Iterator[Bar]:
        while at < end:
            level = DAY if at % DAY == 0 and at + DAY <= end else HOUR
            bar = candles.bar(level, at)
            if bar is not None:
                yield bar
            at += level

    def newest(self, candles: Candles, end: int, limit: int) -> list[Bar]:
        """Up to ``limit`` bars that open at or before ``end`` (ms), newest first."""
        found: list[Bar] = []
        at = self.opens(min(end, candles.running))
        while len(found) < limit and (bar := self.bar(candles, at)) is not None:
            found.append(bar)
            at = self.opens(at - 1)
        return found

    def oldest_of_newest(self, candles: Candles) -> int:
        """The open time of the oldest of the ``NEWEST`` entries."""
        start = self.opens(candles.running)
        return start - (NEWEST - 1) * (self.closes(start) - start)


_SHORT = ("1s", "1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H")
_LONG = ("6H", "12H", "1D", "3D", "1W", "1M")


def _interval(name: str) -> str:
    """``1H`` is the simulator's ``1h``; months alone have a capital letter in both."""
    return name if name.endswith("M") else name.lower()


BARS = {
    **{name: BarKind(_interval(name)) for name in _SHORT},
    **{name: BarKind(_interval(name), _CHINA) for name in _LONG},
    **{f"{name}utc": BarKind(_interval(name)) for name in _LONG},
}
"""By the venue's name."""
