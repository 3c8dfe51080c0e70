"""One side of an order book: levels sorted best first, known down to a horizon.

Prices are ordered by exact integer keys (``core.numbers.key``), so ``1.5`` and ``1.50`` are one level
and no float is involved. Levels come and go at the same prices all the time: one that is deleted keeps its place in
the order, as a vacant one, until there are too many of those. Of a large side that is fully known only the best few
thousand levels are at hand; the others are packed (``far_levels.py``).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from msgspec import Struct

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number, is_zero, key
from cryptodash.exchanges.builders.far_levels import CHUNK, FarLevels

_KNOWN_PRICES = 2_048
_MOST_VACANT = 64
"""More vacant places than that are taken out as soon as they are more than a quarter of all."""
MOST_AT_HAND = 3 * CHUNK
"""More levels than that of one side are not kept at hand."""
LEAST_AT_HAND = CHUNK // 2
"""With fewer, some of the far ones are brought back."""
NO_HORIZON = 10**60
"""Beyond the key of every admitted number."""


class _Entry(Struct, gc=False, eq=False):
    """What is known of one price. ``price`` is its text as it was last spelled, ``size`` None while there is no such
    level. ``is_listed``: its place is in the order, vacant or not; no place beyond what is at hand is.

    A struct, for the garbage collector need not look at them: there are hundreds of thousands.
    """

    place: int
    price: Number
    size: Number | None = None
    is_listed: bool = False


class Ladder:
    """One side: the places of its levels (integer keys) in ascending order, and the entry of each. ``sign`` is -1 for
    bids, so that the best comes first. ``count`` is how many levels are at hand: the best, ``at_hand`` says how many at
    least."""

    __slots__ = ("_edge", "_entries", "_far", "_known", "_listed", "_places", "_sign", "count", "horizon")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._known: dict[Number, _Entry] = {}
        """Entries by the texts of their prices, of one entry no more than one: each is in ``_entries`` too."""
        self._entries: dict[int, _Entry] = {}
        """Entries by place: all that are listed, and those that are not until the texts are forgotten."""
        self._places: list[int] = []
        """The order, to search in; ``_listed`` are the entries of the same places."""
        self._listed: list[_Entry] = []
        self.count = 0
        self.horizon = NO_HORIZON
        self._far: FarLevels | None = None
        self._edge = NO_HORIZON
        """The last place inside the horizon whose levels are at hand."""

    def load(self, levels: Iterable[Level], limit: int | None) -> None:
        """Become this snapshot. Fewer than ``limit`` levels are the whole side, those of size zero counted (one may be
        rounded to that); ``None``: nothing is known beyond what the stream carries."""
        found: dict[int, Level] = {}
        for level in levels:
            found[self._sign * key(level[0])] = level
        places = sorted([place for place, level in found.items() if not is_zero(level[1])])
        self.clear()
        if limit is not None and found and len(found) >= limit:
            self.horizon = self._edge = max(found)
        elif len(places) > MOST_AT_HAND:
            self._put_away_snapshot(places, found)
            del places[CHUNK:]
        self._add(places, found)

    def apply(self, changes: Iterable[Level]) -> None:
        """Set or delete levels; of two with the same price the last wins. Deleting an unknown level is normal."""
        known, edge, far, count = self._known, self._edge, self._far, self.count
        for price, size in changes:
            # In place, for a call more per level would cost as much as all the rest. With many books what costs most is
            # to reach into memory: a level that is there, or was, takes one lookup, and not a look at its place.
            entry = known.get(price)
            if entry is None:
                entry = self._entry(price)
            if size[0] == "0" and not size.strip("0."):
                if entry.size is not None:
                    entry.size = None
                    count -= 1
                elif far is not None and entry.place > edge:
                    far.set(entry.place, (price, size))
            elif entry.size is not None:
                entry.size = size
            elif entry.is_listed or entry.place <= edge:
                if not entry.is_listed:
                    self._insert(entry)
                entry.size = size
                count += 1
            elif far is not None:
                far.set(entry.place, (price, size))
        self.count = count
        vacant = len(self._places) - count
        if vacant > _MOST_VACANT and 4 * vacant > len(self._places):
            self._compact()
        if far is not None and count < LEAST_AT_HAND:
            self.at_hand(LEAST_AT_HAND)
        elif count > MOST_AT_HAND and self.horizon == NO_HORIZON:
            self._put_away()

    def at_hand(self, count: int = NO_HORIZON, place: int = NO_HORIZON) -> None:
        """See to it that so many levels, or all up to the place, are at hand, as far as there are any."""
        while self._far is not None and self.count < count and self._edge < place:
            levels, self._edge = self._far.pop()
            self._add(sorted(levels), levels)
            if not self._far:
                self._far = None

    def top(self, depth: int) -> list[Level]:
        """The best levels, at most so many."""
        if depth > self.count:
            self.at_hand(depth)
        # By stretches: most of the vacant places are near the best price, about every other there is.
        listed = self._listed
        at = depth + min(depth, len(listed) - self.count)
        levels = [(each.price, each.size) for each in listed[:at] if each.size is not None]
        while len(levels) < depth and at < len(listed):
            levels += [(each.price, each.size) for each in listed[at : at + depth] if each.size is not None]
            at += depth
        del levels[depth:]
        return levels

    def text(self) -> str:
        """Price and size of all levels in turn, apart by spaces; in no order, and of two levels with one price the last
        counts, one of size zero is none. What is far is not brought near for that: 20,000 levels cost 1 ms."""
        near = " ".join([word for each in self._listed if each.size is not None for word in (each.price, each.size)])
        far = "" if self._far is None else self._far.text()
        return f"{near} {far}" if near and far else near or far

    def levels_to(self, place: int) -> dict[int, Level]:
        """All levels up to the place, by their places, best first."""
        count = self._count_to(place)
        return dict(zip(self._places[:count], self.top(count), strict=True))

    @property
    def best(self) -> int | None:
        """The place of the best level. Vacant ones before it are taken out: this is asked after every frame, and the
        price may go on and on."""
        if not self.count:
            return None
        listed = self._listed
        if listed[0].size is None:
            vacant = 0
            while listed[vacant].size is None:
                listed[vacant].is_listed = False
                vacant += 1
            del listed[:vacant], self._places[:vacant]
        return listed[0].place

    def last_of(self, depth: int) -> int | None:
        """The place of the last of the best levels at hand, at most so many; None without any."""
        if depth < self.count:
            self._compact()
            return self._places[depth - 1]
        while self._listed and self._listed[-1].size is None:
            self._drop_last()
        return self._places[-1] if self._places else None

    def truncate(self, depth: int) -> None:
        self.at_hand(depth)
        self._far, self._edge = None, self.horizon
        while self.count > depth:
            self._drop_last()

    def cut(self, depth: int) -> None:
        """Keep the best levels only, and know nothing of what lies behind them."""
        self.truncate(depth)
        self._compact()
        self.horizon = self._edge = self._places[-1]

    def clear(self) -> None:
        self._known.clear()
        self._entries, self._places, self._listed, self.count, self.horizon = {}, [], [], 0, NO_HORIZON
        self._far, self._edge = None, NO_HORIZON

    @property
    def left(self) -> int | None:
        """How many levels are left inside the horizon; None for a side that is fully known."""
        return None if self.horizon == NO_HORIZON else self.count

    def is_short(self, needed: int) -> bool:
        """Whether fewer levels are left inside the horizon; never so for a side that is fully known."""
        return self.count < needed and self.horizon != NO_HORIZON

    def agrees(self, other: Ladder) -> bool:
        """Whether both say the same where both know."""
        horizon = min(self.horizon, other.horizon)
        mine, theirs = self._count_to(horizon), other._count_to(horizon)
        return self._places[:mine] == other._places[:theirs] and self.top(mine) == other.top(theirs)

    def crosses(self, asks: Ladder) -> bool:
        """Whether the best of these bids is at or above the best of those asks."""
        bid, ask = self.best, asks.best
        return bid is not None and ask is not None and -bid >= ask

    # -- entries and places

    def _entry(self, price: Number) -> _Entry:
        """The entry of a price whose text is not known. The same few hundred prices come again and again, so they are
        remembered."""
        if len(self._known) >= _KNOWN_PRICES:
            self._known.clear()
            self._entries = {place: entry for place, entry in self._entries.items() if entry.is_listed}
        place = self._sign * key(price)
        entry = self._entries.get(place)
        if entry is None:
            entry = self._entries[place] = _Entry(place, price)
        else:  # of a snapshot, forgotten, or spelled otherwise until now
            self._known.pop(entry.price, None)
            entry.price = price
        self._known[price] = entry
        return entry

    def _add(self, places: Iterable[int], levels: dict[int, Level]) -> None:
        """Have these levels at hand, too, which are farther than all that are; the places in order."""
        for place in places:
            price, size = levels[place]
            entry = self._entries.get(place)  # of a change while it was far: spelled as the level is
            if entry is None:
                entry = self._entries[place] = _Entry(place, price)
            entry.size, entry.is_listed = size, True
            self._places.append(place)
            self._listed.append(entry)
            self.count += 1

    def _count_to(self, place: int) -> int:
        """How many levels there are up to the place, with no vacant place among them from now on."""
        self.at_hand(place=place)
        self._compact()
        return bisect_right(self._places, place)

    def _compact(self) -> None:
        """Take the vacant places out of the order. Their entries stay until the texts are forgotten."""
        if len(self._places) == self.count:
            return
        for entry in self._listed:
            entry.is_listed = entry.size is not None
        self._listed = [entry for entry in self._listed if entry.is_listed]
        self._places = [entry.place for entry in self._listed]

    def _insert(self, entry: _Entry) -> None:
        """Put a place into the order."""
        at = bisect_left(self._places, entry.place)
        self._places.insert(at, entry.place)
        self._listed.insert(at, entry)
        entry.is_listed = True

    def _drop_last(self) -> None:
        """Take the last place out of the order, with its level if there is one."""
        self._places.pop()
        entry = self._listed.pop()
        self.count -= entry.size is not None
        entry.size, entry.is_listed = None, False

    # -- what is far

    def _put_away(self) -> None:
        """Put away what is farthest of what is at hand."""
        self._compact()
        keep = self.count - CHUNK
        levels: list[Level] = []
        for entry in self._listed[keep:]:
            del self._entries[entry.place]
            self._known.pop(entry.price, None)
            if entry.size is not None:
                levels.append((entry.price, entry.size))
        if self._far is None:
            self._far = self._make_far()
        self._far.push(levels, self._edge)
        del self._places[keep:], self._listed[keep:]
        self.count = keep
        self._edge = self._places[-1]

    def _put_away_snapshot(self, places: list[int], levels: dict[int, Level]) -> None:
        """Put away all but the best levels of a snapshot; nothing else is far yet."""
        far = self._far = self._make_far()
        for start in range(CHUNK, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            end = NO_HORIZON if start + CHUNK >= len(places) else chunk[-1]
            far.append([levels[place] for place in chunk], end)
        self._edge = places[CHUNK - 1]

    def _make_far(self) -> FarLevels:
        sign = self._sign
        return FarLevels(lambda price: sign * key(price))
