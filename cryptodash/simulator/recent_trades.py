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
    """The last ``limit`` fills."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._numbers = array("q")

    def __len__(self) -> int:
        return min(self._limit, len(self._numbers) // _WIDTH)

    def __iter__(self) -> Iterator[Trade]:
        """Oldest first; it must not change meanwhile."""
        return map(self._fill, range(-len(self), 0))

    def __reversed__(self) -> Iterator[Trade]:
        return map(self._fill, range(-1, -len(self) - 1, -1))

    def _fill(self, index: int) -> Trade:
        """One fill, counted from the end: -1 is the newest."""
        at = len(self._numbers) + index * _WIDTH
        number, time, price, size, buy, order, sequence, tick = self._numbers[at : at + _WIDTH]
        return Trade(number, time, price, size, bool(buy), order, sequence, _TICKS[tick])

    def append(self, fill: Trade) -> None:
        if len(self._numbers) >= (self._limit + self._limit // 4) * _WIDTH:
            # Not each time the oldest one: that would move all the others.
            del self._numbers[: -(self._limit - 1) * _WIDTH]
        self._numbers.extend(
            (
                fill.id,
                fill.time,
                fill.price,
                fill.size,
                fill.buy,
                fill.order,
                fill.sequence,
                _TICKS.index(fill.tick),
            )
        )

    def clear(self) -> None:
        del self._numbers[:]
