"""The levels of one side of a book that are far from its best price, in little room.

A venue that streams whole books (22,000 levels a side of its busiest) sends mostly levels that nobody looks
at until the price has gone there. As objects each takes some 270 bytes, here 25.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number, is_zero

CHUNK = 2_048
"""Levels that are packed, and brought back, together."""
_MOST_CHANGES = 512
"""Changes of a chunk until it is packed anew."""


class _Chunk:
    """Levels side by side: the text of those that were packed, and by place what has changed since (zero: deleted)."""

    __slots__ = ("changes", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.changes: dict[int, Level] = {}


class FarLevels:
    """``key`` gives a price's place; places ascend from the best price on. Chunks are adjacent: each covers the places
    after the one before it up to its own end, the last one everything beyond."""

    def __init__(self, key: Callable[[Number], int]) -> None:
        self._key = key
        self._ends: list[int] = []
        self._chunks: list[_Chunk] = []

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def append(self, levels: Sequence[Level], end: int) -> None:
        """Levels beyond all that are here, up to the place ``end``, in order."""
        self._ends.append(end)
        self._chunks.append(_Chunk(_packed(levels)))

    def push(self, levels: Sequence[Level], end: int) -> None:
        """Levels nearer than all that are here, in order; ``end`` is the last place before those that are."""
        self._ends.insert(0, end)
        self._chunks.insert(0, _Chunk(_packed(levels)))

    def set(self, place: int, level: Level) -> None:
        """Set or delete one level, which is within what is here."""
        chunk = self._chunks[bisect_left(self._ends, place)]
        chunk.changes[place] = level
        if len(chunk.changes) > _MOST_CHANGES:
            levels = self._unpacked(chunk)
            chunk.text, chunk.changes = _packed([levels[each] for each in sorted(levels)]), {}

    def pop(self) -> tuple[dict[int, Level], int]:
        """Take away the nearest chunk: its levels by place, in no order, and its end."""
        chunk = self._chunks.pop(0)
        return self._unpacked(chunk), self._ends.pop(0)

    def text(self) -> str:
        """Price and size in turn of all levels, chunk by chunk: what has changed in one comes after what was packed,
        with size zero where a level is gone."""
        parts = (part for each in self._chunks for part in (each.text, _packed(each.changes.values())) if part)
        return " ".join(parts)

    def _unpacked(self, chunk: _Chunk) -> dict[int, Level]:
        words = iter(chunk.text.split(" ")) if chunk.text else iter(())
        levels: dict[int, Level] = {}
        for price, size in zip(words, words, strict=True):
            levels[self._key(Number(price))] = Number(price), Number(size)
        for place, level in chunk.changes.items():
            if is_zero(level[1]):
                levels.pop(place, None)
            else:
                levels[place] = level
        return levels


def _packed(levels: Iterable[Level]) -> str:
    return " ".join([word for level in levels for word in level])
