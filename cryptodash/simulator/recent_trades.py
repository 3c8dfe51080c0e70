"""The last fills of one instrument, kept as plain numbers: as objects a thousand fills of a hundred instruments would
take 30 MB, and be hours in coming where little is traded, which looks like a leak."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

from cryptodash.simulator.changes import Trade

_TICKS: Final = ("ZeroPlusTick", "PlusTick", "ZeroMinusTick", "MinusTick")
_WIDTH: Final = 8
"""Numbers of a fill."""


class RecentTrades:
    """The last ``limit`` fills. Their place is taken at once, so that nothing grows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._numbers = array("q", bytes(8 * _WIDTH * limit))
        self._count = 0
        """Fills so far: the next one's place is this modulo the limit."""
        self._first = 0
        """The same of the oldest one that counts."""

    def __len__(self) -> int:
        return self._count - self._oldest

    def __iter__(self) -> Iterator[Trade]:
        """Oldest first; it must not change meanwhile."""
        return map(self._fill, range(self._oldest, self._count))

    def __reversed__(self) -> Iterator[Trade]:
        return map(self._fill, range(self._count - 1, self._oldest - 1, -1))

    @property
    def _oldest(self) -> int:
        return max(self._first, self._count - self._limit)

    def _fill(self, index: int) -> Trade:
        at = index % self._limit * _WIDTH
        number, time, price, size, buy, order, sequence, tick = self._numbers[at : at + _WIDTH]
        return Trade(number, time, price, size, bool(buy), order, sequence, _TICKS[tick])

    def append(self, fill: Trade) -> None:
        tick = _TICKS.index(fill.tick)
        numbers = (fill.id, fill.time, fill.price, fill.size, fill.buy, fill.order, fill.sequence, tick)
        at = self._count % self._limit * _WIDTH
        self._numbers[at : at + _WIDTH] = array("q", numbers)
        self._count += 1

    def clear(self) -> None:
        self._first = self._count
