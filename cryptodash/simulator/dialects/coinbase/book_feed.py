"""Coinbase's ``level2`` channel: the whole book of one product, then what changes in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from cryptodash.simulator.book import Side
from cryptodash.simulator.dialects.coinbase import messages
from cryptodash.simulator.dialects.coinbase.texts import Stamps, at_trade
from cryptodash.simulator.instrument import SimulatedInstrument

Level = tuple[int, int]
"""(price, size)"""

_EMPTY_EVERY = 7
"""One in so many steps without a change brings a frame with no levels in it: such frames are routine."""
_STRAY_EVERY = 9
"""One in so many frames deletes a level that nobody knows, of an order that came and went: routine as well (seven a
second live)."""


class _Reach:
    """How far one side of the venue's book goes. The simulated book has no end; the venue's has one, and orders beyond
    it come when the price gets nearer."""

    def __init__(self, side: Side, depth: int) -> None:
        self._side = side
        self._depth = depth
        self.last = side.levels(depth)[-1][0]
        """The key of the last level (a key grows away from the best price)."""
        self._span = self.last - side.best

    def levels(self) -> Iterator[Level]:
        """All levels, best first."""
        count = self._depth * 5 // 4
        while True:
            found = self._side.levels(count)
            if len(found) < count or found[-1][0] > self.last:
                return ((self._price(key), size) for key, size in found if key <= self.last)
            count *= 2

    def covers(self, price: int) -> bool:
        return self._side.sign * price <= self.last

    def grown(self) -> list[Level]:
        """The levels that are new because the best price has come nearer to the end; nearly always none."""
        before = self.last
        if before - self._side.best > self._span * 3 // 4:
            return []
        self.last = self._side.best + self._span
        return [level for level in self.levels() if self._side.sign * level[0] > before]

    def _price(self, key: int) -> int:
        return self._side.sign * key


class Books:
    """A snapshot with every level, and at each step what has changed; now and then nothing has."""

    def __init__(self, instrument: SimulatedInstrument, stamps: Stamps, depth: int) -> None:
        self._instrument = instrument
        self._stamps = stamps
        self._bids = _Reach(instrument.book.bids, depth)
        self._asks = _Reach(instrument.book.asks, depth)
        self._false_level: int | None = None
        self._quiet = self._count = 0

    def _frame(self, kind: str, event_time: str, bids: Iterable[Level], asks: Iterable[Level], now: int) -> str:
        event = messages.book_event(self._instrument.spec, kind, event_time, bids, asks)
        return messages.frame("l2_data", self._stamps.at(now), event)

    def opening(self, now: int) -> Sequence[str]:
        """All levels have the time at which the snapshot was taken."""
        false = () if self._false_level is None else ((self._false_level, 1),)
        bids = chain(false, self._bids.levels())
        taken = at_trade(now, self._instrument.update_id)
        return (self._frame("snapshot", taken, bids, self._asks.levels(), now),)

    def frames(self, now: int) -> Sequence[str]:
        changes = self._instrument.changes
        bids = {price: size for price, size in changes.bids.items() if self._bids.covers(price)}
        asks = {price: size for price, size in changes.asks.items() if self._asks.covers(price)}
        bids |= dict(self._bids.grown())
        asks |= dict(self._asks.grown())
        self._cross(bids)
        if not bids and not asks:
            self._quiet += 1
            if self._quiet % _EMPTY_EVERY:
                return ()
        self._delete_stray(bids)
        done = at_trade(changes.time, self._instrument.update_id)
        return (self._frame("update", done, list(bids.items()), list(asks.items()), now),)

    def _delete_stray(self, bids: dict[int, int]) -> None:
        self._count += 1
        side = self._instrument.book.bids
        key = side.best + 1
        if self._count % _STRAY_EVERY == 0 and key < 0 and not side.size(key):
            bids.setdefault(-key, 0)

    def _cross(self, bids: dict[int, int]) -> None:
        """Under the fault ``crossed`` a bid stands above the ask; it is taken back when the fault is over."""
        book = self._instrument.book
        if self._false_level is not None and (not self._instrument.crossed or self._false_level <= book.ask):
            bids[self._false_level] = book.bids.size(-self._false_level)
            self._false_level = None
        if self._instrument.crossed and self._false_level is None:
            self._false_level = book.ask + 1
            bids[self._false_level] = 1
