"""How many levels a book's REST snapshot is asked for: few at first, since few cost little, and more where they do not
last."""

from __future__ import annotations

from cryptodash.core.instruments import Instrument, MarketType

SHORT_LIVED = 60.0
"""Seconds that a snapshot has to last, or the next one is larger."""
AHEAD = 10.0
"""Seconds before the end of a short-lived one at which the larger one is asked for: REST may be in trouble for a while,
and levels that are not proven cannot be shown."""
REMEMBERED = 3600.0
"""Seconds for which an instrument's larger size is remembered."""
MOST_REMEMBERED = 5_000


class Consumption:
    """How fast one book uses up a snapshot: the levels that it has to spare, from when it became the book."""

    def __init__(self) -> None:
        self._begun: float | None = None
        self._spare: int | None = None

    def begin(self, spare: int | None, now: float) -> None:
        """A snapshot has become the book."""
        self._begun, self._spare = now, spare

    def age(self, now: float) -> float:
        """Seconds since then; 0 for one that was used up before it could be the book."""
        return 0.0 if self._begun is None else now - self._begun

    def ends_soon(self, spare: int | None, now: float) -> bool:
        """Whether a snapshot that does not last will be used up soon, at its pace so far."""
        if self._spare is None or spare is None:
            return False
        age, used = self.age(now), self._spare - spare
        return 1.0 <= age < SHORT_LIVED and used > 0 and spare * age < used * min(AHEAD, SHORT_LIVED - age)


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
