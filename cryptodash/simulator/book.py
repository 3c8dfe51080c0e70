"""An order book without a bottom: levels nobody has touched follow from a formula, touched ones are kept.

A venue's book is far deeper than any snapshot of it. Here it has no end at all, so a snapshot of 5,000 levels costs
5,000 small computations and a book that nobody looks at costs nothing. Prices are ticks, sizes steps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from heapq import nlargest
from random import Random

_MASK = 0xFFFFFFFF


class Side:
    """One side. A level's ``key`` grows away from the best price: the price for asks, minus the price for bids."""

    def __init__(self, sign: int, best: int, gap: int, unit: int, rng: Random) -> None:
        """``sign`` 1 for asks, -1 for bids; ``best`` price; untouched levels lie ``gap`` ticks apart on average and
        hold about ``unit`` steps."""
        self.sign = sign
        self._origin = sign * best
        self._gap = gap
        self._unit = unit
        self._salt = rng.getrandbits(32)
        self._last = -1 if sign < 0 else 1 << 62  # a bid is at least one tick
        self._sizes: dict[int, int] = {}
        self._keys: list[int] = []
        self._passed = self._origin
        """Untouched levels better than this key are gone for ever: the best price has been here."""
        self.best = self._origin

    def _cell(self, index: int) -> tuple[int, int]:
        """(key, size) of an untouched level, the same whenever asked."""
        mixed = ((index * 0x9E3779B1 ^ self._salt) * 0x85EBCA6B) & _MASK
        mixed ^= mixed >> 15
        offset = mixed % self._gap if index else 0
        return self._origin + index * self._gap + offset, 1 + (
            self._unit * (mixed >> 8 & 255) * (1 + (mixed >> 16 & 255)) >> 14
        )

    def size(self, key: int) -> int:
        """Steps at a key, 0 for none."""
        known = self._sizes.get(key)
        return self.untouched_size(key) if known is None else known

    def untouched_size(self, key: int) -> int:
        """Steps that the formula has at a key."""
        if not self._passed <= key <= self._last:
            return 0
        at, size = self._cell((key - self._origin) // self._gap)
        return size if at == key else 0

    def set(self, key: int, size: int) -> None:
        """Give a level a new size; 0 takes it away. One that is as the formula has it is untouched again."""
        known = self._sizes.pop(key, 0)
        regular = self.untouched_size(key)
        is_kept = size not in (0, regular)
        if is_kept and not known:
            insort(self._keys, key)
        elif known and not is_kept:
            del self._keys[bisect_left(self._keys, key)]
        if size != regular:
            self._sizes[key] = size  # 0 hides the formula's level
        if size:
            self.best = min(self.best, key)
        elif key == self.best:
            self.best = self.after(key)
            self._pass()

    def _pass(self) -> None:
        """The best price went deeper than ever: what the formula had before it needs no hiding any more."""
        if self.best <= self._passed:
            return
        for index in range((self._passed - self._origin) // self._gap, (self.best - self._origin) // self._gap + 1):
            key = self._cell(index)[0]
            if key < self.best and self._sizes.get(key) == 0:
                del self._sizes[key]
        self._passed = self.best

    def after(self, key: int) -> int:
        """The next key after this one that holds something."""
        at = bisect_right(self._keys, key)
        kept = self._keys[at] if at < len(self._keys) else self._last + 1
        index = max(0, (max(key, self._passed - 1) - self._origin) // self._gap)
        while True:
            found, _ = self._cell(index)
            if found > self._last or found >= kept:
                return kept
            if found > key and found >= self._passed and found not in self._sizes:
                return found
            index += 1

    def levels(self, count: int) -> list[tuple[int, int]]:
        """The best ``count`` levels as (key, size)."""
        kept = self._keys[:count]
        found = [(key, self._sizes[key]) for key in kept]
        limit = kept[-1] if len(kept) == count else self._last
        lowest = max(self.best, self._passed)
        index = max(0, (lowest - self._origin) // self._gap)
        missing, sizes, cell = count, self._sizes, self._cell
        while missing:
            key, size = cell(index)
            if key > limit:
                break
            if key >= lowest and key not in sizes:
                found.append((key, size))
                missing -= 1
            index += 1
        found.sort()
        return found[:count]

    def kept(self, rank: int) -> int | None:
        """The key of a touched level, ``rank`` places from the best touched one; None where there are fewer."""
        return self._keys[rank] if rank < len(self._keys) else None

    def untouched(self, distance: int) -> int:
        """The key of the formula's level about ``distance`` levels behind the best price."""
        return self._cell(max(0, (self.best - self._origin) // self._gap) + distance)[0]

    def is_regular(self, key: int) -> bool:
        """Whether the formula would have a level here; the market keeps those and lets the others go, so that a book
        stays as dense as it began."""
        index = (key - self._origin) // self._gap
        return self._cell(index)[0] == key

    @property
    def touched(self) -> int:
        """Levels that are not as the formula has them: all that a side keeps."""
        return len(self._sizes)

    def farthest(self, count: int) -> list[int]:
        """The keys of the touched levels farthest from the best price."""
        return nlargest(count, self._sizes)


class Book:
    """Both sides. Never crossed: whoever moves a price clears the other side first."""

    def __init__(self, bid: int, ask: int, gap: int, unit: int, rng: Random) -> None:
        self.bids = Side(-1, bid, gap, unit, rng)
        self.asks = Side(1, ask, gap, unit, rng)

    @property
    def bid(self) -> int:
        return -self.bids.best

    @property
    def ask(self) -> int:
        return self.asks.best

    def top(self) -> tuple[int, int, int, int]:
        """(bid, its size, ask, its size)."""
        bids, asks = self.bids, self.asks
        return -bids.best, bids.size(bids.best), asks.best, asks.size(asks.best)

    def levels(self, count: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(bids, asks) as (price, size), best first."""
        return [(-key, size) for key, size in self.bids.levels(count)], self.asks.levels(count)
