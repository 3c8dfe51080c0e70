"""How many levels a book's REST snapshot is asked for: few at first, since few cost little, and more where they do not
last."""

from __future__ import annotations

from cryptodash.core.instruments import Instrument, MarketType

SHORT_LIVED = 60.0
"""Seconds that a snapshot has to last, or the next one is larger."""
REMEMBERED = 3600.0
"""Seconds for which an instrument's larger size is remembered."""
MOST_REMEMBERED = 5_000


class SnapshotSizes:
    """The least sizes of one venue's instruments, as far as they are known to be needed."""

    def __init__(self) -> None:
        self._least: dict[tuple[MarketType, str], tuple[int, float]] = {}

    def levels(self, instrument: Instrument, depth: int, now: float) -> int:
        """How many levels a side to ask for, where ``depth`` are looked at."""
        key = instrument.market, instrument.native
        least, until = self._least.get(key, (0, now))
        if until <= now:
            self._least.pop(key, None)
            least = 0
        return max(2 * depth, least)

    def used_up(self, instrument: Instrument, limit: int, lasted: float, now: float) -> None:
        """After ``lasted`` seconds a snapshot of ``limit`` levels a side has to be renewed."""
        if lasted >= SHORT_LIVED:
            return
        key = instrument.market, instrument.native
        self._least.pop(key, None)  # so that the dict stays in the order of its times
        self._least[key] = limit + 1, now + REMEMBERED
        if len(self._least) > MOST_REMEMBERED:
            del self._least[next(iter(self._least))]
