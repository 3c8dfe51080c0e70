"""One side of an order book: levels sorted best first, known down to a horizon.

Prices are ordered by exact integer keys (``core.numbers.key``), so ``1.5`` and ``1.50`` are one level
and no float is involved. Of a large side that is fully known only the best few thousand levels are at hand; the others
are packed (``far_levels.py``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number, is_zero, key
from cryptodash.exchanges.builders.far_levels import CHUNK, FarLevels

_KNOWN_PRICES = 2_048
MOST_AT_HAND = 3 * CHUNK
"""More levels than that of one side are not kept at hand."""
LEAST_AT_HAND = CHUNK // 2
"""With fewer, some of the far ones are brought back."""
NO_HORIZON = 10**60
"""Beyond the key of every admitted number."""


class Ladder:
    """One side: integer keys in ascending order, and the level of each. ``sign`` is -1 for bids,
    so that the best comes first. ``keys`` are those at hand: the best, ``at_hand`` says how many at least."""

    __slots__ = ("_edge", "_far", "_known", "_levels", "_sign", "horizon", "keys")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._known: dict[Number, int] = {}
        self._levels: dict[int, Level] = {}
        self.keys: list[int] = []
        self.horizon = NO_HORIZON
        self._far: FarLevels | None = None
        self._edge = NO_HORIZON
        """The last place inside the horizon whose levels are at hand."""

    def load(self, levels: Iterable[Level], limit: int | None) -> None:
        """Become this snapshot. Fewer than ``limit`` levels are the whole side, those of size zero counted (one may be
        rounded to that); ``None``: nothing is known beyond what the stream carries."""
        found: dict[int, Level] = {}
        for level in levels:
            found[self._key(level[0])] = level
        self._levels = {place: level for place, level in found.items() if not is_zero(level[1])}
        self.keys = sorted(self._levels)
        cut = limit is not None and found and len(found) >= limit
        self.horizon = self._edge = max(found) if cut else NO_HORIZON
        self._far = None
        if not cut and len(self.keys) > MOST_AT_HAND:
            self._put_away_snapshot()

    def apply(self, changes: Iterable[Level]) -> None:
        """Set or delete levels; of two with the same price the last wins. Deleting an unknown level is normal."""
        keys, levels, known, edge, far = self.keys, self._levels, self._known, self._edge, self._far
        for level in changes:
            price, size = level
            place = known.get(price)
            if place is None:
                place = self._key(price)
            if place > edge:
                if far is not None:
                    far.set(place, level)
                continue
            # In place, for a call more per level would cost as much as all the rest;
            # the order is touched only by levels that come or go.
            if not size.strip("0."):
                if levels.pop(place, None) is not None:
                    del keys[bisect_left(keys, place)]
            else:
                if place not in levels:
                    insort(keys, place)
                levels[place] = level
        if far is not None and len(keys) < LEAST_AT_HAND:
            self.at_hand(LEAST_AT_HAND)
        elif len(keys) > MOST_AT_HAND and self.horizon == NO_HORIZON:
            self._put_away()

    def at_hand(self, count: int = NO_HORIZON, place: int = NO_HORIZON) -> None:
        """See to it that so many levels, or all up to the place, are among ``keys``, as far as there are any."""
        while self._far is not None and len(self.keys) < count and self._edge < place:
            levels, self._edge = self._far.pop()
            self._levels |= levels
            self.keys += sorted(levels)
            if not self._far:
                self._far = None

    def _put_away(self) -> None:
        """Put away what is farthest of what is at hand."""
        keep = len(self.keys) - CHUNK
        if self._far is None:
            self._far = self._make_far()
        self._far.push([self._levels.pop(place) for place in self.keys[keep:]], self._edge)
        del self.keys[keep:]
        self._edge = self.keys[-1]

    def _put_away_snapshot(self) -> None:
        """Put away all but the best levels; nothing else is far yet."""
        keys, levels = self.keys, self._levels
        far = self._far = self._make_far()
        for start in range(CHUNK, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            end = NO_HORIZON if start + CHUNK >= len(keys) else chunk[-1]
            far.append([levels[place] for place in chunk], end)
        self.keys = keys[:CHUNK]
        self._levels = {place: levels[place] for place in self.keys}
        self._edge = self.keys[-1]

    def _make_far(self) -> FarLevels:
        sign = self._sign
        return FarLevels(lambda price: sign * key(price))

    def top(self, depth: int) -> list[Level]:
        """The best levels, at most so many."""
        if depth > len(self.keys):
            self.at_hand(depth)
        levels = self._levels
        return [levels[place] for place in self.keys[:depth]]

    def truncate(self, depth: int) -> None:
        self.at_hand(depth)
        self._far, self._edge = None, self.horizon
        for place in self.keys[depth:]:
            del self._levels[place]
        del self.keys[depth:]

    def cut(self, depth: int) -> None:
        """Keep the best levels only, and know nothing of what lies behind them."""
        self.truncate(depth)
        self.horizon = self._edge = self.keys[-1]

    def clear(self) -> None:
        self.keys, self._levels, self.horizon = [], {}, NO_HORIZON
        self._far, self._edge = None, NO_HORIZON

    @property
    def left(self) -> int | None:
        """How many levels are left inside the horizon; None for a side that is fully known."""
        return None if self.horizon == NO_HORIZON else len(self.keys)

    def is_short(self, needed: int) -> bool:
        """Whether fewer levels are left inside the horizon; never so for a side that is fully known."""
        return len(self.keys) < needed and self.horizon != NO_HORIZON

    def agrees(self, other: Ladder) -> bool:
        """Whether both say the same where both know."""
        horizon = min(self.horizon, other.horizon)
        self.at_hand(place=horizon)
        other.at_hand(place=horizon)
        mine, theirs = bisect_right(self.keys, horizon), bisect_right(other.keys, horizon)
        return self.keys[:mine] == other.keys[:theirs] and self.top(mine) == other.top(theirs)

    def crosses(self, asks: Ladder) -> bool:
        """Whether the best of these bids is at or above the best of those asks."""
        return bool(self.keys and asks.keys) and -self.keys[0] >= asks.keys[0]

    def _key(self, price: Number) -> int:
        """The place of a price. The same few hundred prices come again and again, so their keys are remembered."""
        found = self._known.get(price)
        if found is None:
            if len(self._known) >= _KNOWN_PRICES:
                self._known.clear()
            found = self._known[price] = self._sign * key(price)
        return found
