"""Sums over the last hour, the last day and since the start, in a bounded number of bytes: of many columns few are ever
used, and only these take room. Times are integer milliseconds of the monotonic clock, so that nothing is lost by
rounding."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS

_MOST = {"H": 2**16 - 1, "i": 2**31 - 1}
"""What a cell holds at most, by its type: more is counted as that."""


class SlottedSums:
    """Sums of some columns over the last ``slots`` slots of ``length_ms`` and the one that runs now.

    What is older than the begin of the oldest slot is forgotten a slot at a time: the sums are of at least
    ``slots - 1`` whole slots, and of less than ``slots``.
    """

    __slots__ = ("_blocks", "_cells", "_length", "_newest", "_slots")

    def __init__(self, columns: int, slots: int, length_ms: int, typecode: str, now: int) -> None:
        self._slots = slots
        self._length = length_ms
        self._blocks = bytearray(columns)
        """Which block of ``slots`` cells is a column's, from 1; 0 while nothing was counted in it."""
        self._cells = array(typecode)
        self._newest = now // length_ms

    def begins(self, now: int) -> int:
        """From when on the sums count."""
        return (max(now // self._length, self._newest) - self._slots + 1) * self._length

    def add(self, column: int, amount: int, now: int) -> None:
        """Count so much now."""
        self._advance(now)
        self._put(now // self._length, column, amount)

    def span(self, column: int, begin: int, end: int) -> None:
        """Count the milliseconds from ``begin`` to ``end``, which is now: each in its slot."""
        self._advance(end)
        begin = max(begin, self.begins(end))
        while begin < end:
            slot = begin // self._length
            until = min((slot + 1) * self._length, end)
            self._put(slot, column, until - begin)
            begin = until

    def sums(self, now: int) -> list[int]:
        """One per column."""
        self._advance(now)
        cells, slots = self._cells, self._slots
        return [sum(cells[(block - 1) * slots : block * slots]) if block else 0 for block in self._blocks]

    def _put(self, slot: int, column: int, amount: int) -> None:
        if slot > self._newest - self._slots:
            cells = self._cells
            if not self._blocks[column]:
                cells.frombytes(bytes(cells.itemsize * self._slots))
                self._blocks[column] = len(cells) // self._slots
            at = (self._blocks[column] - 1) * self._slots + slot % self._slots
            most = _MOST[cells.typecode]
            cells[at] = max(min(cells[at] + amount, most), -most if cells.typecode == "i" else 0)

    def _advance(self, now: int) -> None:
        slot = now // self._length
        passed = slot - self._newest
        if passed <= 0:
            return
        cells = self._cells
        empty = array(cells.typecode, bytes(cells.itemsize * (len(cells) // self._slots)))
        for each in range(slot - min(passed, self._slots) + 1, slot + 1):
            cells[each % self._slots :: self._slots] = empty
        self._newest = slot

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self._blocks.__sizeof__() + self._cells.__sizeof__()


class Windows:
    """The same columns over an hour (in slots of ``slot_ms``), over a day (of hours), and since the start."""

    __slots__ = ("_day", "_hour", "_total")

    def __init__(self, columns: int, now: int, *, slot_ms: int = MINUTE_MS, typecode: str = "i") -> None:
        self._hour = SlottedSums(columns, HOUR_MS // slot_ms + 1, slot_ms, typecode, now)
        self._day = SlottedSums(columns, 25, HOUR_MS, typecode, now)
        self._total = array("q", bytes(8 * columns))

    def add(self, column: int, amount: int, now: int) -> None:
        """Count so much now."""
        self._hour.add(column, amount, now)
        self._day.add(column, amount, now)
        self._total[column] += amount

    def span(self, column: int, begin: int, end: int) -> None:
        """Count the milliseconds from ``begin`` to ``end``, which is now."""
        self._hour.span(column, begin, end)
        self._day.span(column, begin, end)
        self._total[column] += end - begin

    def hour(self, now: int) -> list[int]:
        """Sums of the last hour and up to a slot more."""
        return self._hour.sums(now)

    def day(self, now: int) -> list[int]:
        """Sums of the last 24 hours and up to one more."""
        return self._day.sums(now)

    @property
    def total(self) -> Sequence[int]:
        """Sums since the start."""
        return self._total

    def __sizeof__(self) -> int:
        parts = (self._hour, self._day, self._total)
        return object.__sizeof__(self) + sum(each.__sizeof__() for each in parts)
