"""The orders that rest in one instrument's book: they follow the wanted price, come and go. Prices are ticks, sizes
steps."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from random import Random

from cryptodash.simulator.book import Book, Side

STEP_MS = 100
"""Milliseconds between two steps of a watched instrument."""

_RARELY = 100
"""Trades per hour of an instrument whose best levels hardly move."""

_REFILL_LEVELS = 24
_MOST_HOLE = 200
_MOST_TOUCHED = 160
_SETTLED_AT_ONCE = 16


class RestingOrders:
    """``pace``: trades per hour; the busier an instrument, the more of its orders come and go. ``put`` changes one
    level: its side, its key there, its new size."""

    def __init__(
        self, book: Book, gap: int, unit: int, pace: int, rng: Random, put: Callable[[Side, int, int], None]
    ) -> None:
        """``gap`` and ``unit`` as in ``Side``."""
        self._book = book
        self._gap = gap
        self._unit = unit
        self._is_busy = pace > _RARELY
        self._per_step = min(pace // 3 + 1, isqrt(pace * 100) * 256 // 800)
        """Orders that come and go in a step, in 256ths."""
        self._rng = rng
        self._put = put

    def follow(self, bid: int, ask: int) -> None:
        """Withdraw what stands in the way of the wanted price, then quote there (prices in ticks)."""
        book = self._book
        if book.bid == bid and book.ask == ask:
            return
        while book.ask <= bid:
            self._put(book.asks, book.asks.best, 0)
        while book.bid >= ask:
            self._put(book.bids, book.bids.best, 0)
        while book.bid > bid:
            self._put(book.bids, book.bids.best, 0)
        while book.ask < ask:
            self._put(book.asks, book.asks.best, 0)
        if book.bid < bid:
            self._put(book.bids, -bid, self._level_size())
        if book.ask > ask:
            self._put(book.asks, ask, self._level_size())
        self._refill(book.bids)
        self._refill(book.asks)

    def _refill(self, side: Side) -> None:
        """Quote behind the best price where a move has left a hole, or the next trade would fall into it."""
        key = side.best
        hole = side.after(key) - key
        if hole <= 8 * self._gap:
            return
        apart = max(self._gap, min(hole, _MOST_HOLE * self._gap) // _REFILL_LEVELS)
        for _ in range(_REFILL_LEVELS):
            key += 1 + self._rng.randrange(2 * apart)
            if side.sign > 0 or key < 0:
                self._put(side, key, self._level_size())

    def _level_size(self) -> int:
        bits = self._rng.getrandbits
        return 1 + (self._unit * bits(8) * (1 + bits(8)) >> 14)

    def churn(self, elapsed: int) -> None:
        """Orders come and go behind the best price, most of them near it: what ``elapsed`` ms bring."""
        if self._is_busy and not self._rng.getrandbits(1):
            side = self._book.asks if self._rng.getrandbits(1) else self._book.bids
            self._put(side, side.best, self._level_size())  # the best level's size flickers all the time
        due = self._per_step * min(4 * STEP_MS, elapsed) // STEP_MS + self._rng.getrandbits(8)
        for _ in range(due >> 8):
            bits = self._rng.getrandbits
            side = self._book.asks if bits(1) else self._book.bids
            distance = bits(12) if not bits(4) else bits(5)
            kept = side.kept(1 + distance // 2)
            if bits(1) or kept is None:
                key = side.untouched(1 + distance)
                if key > side.best and (side.sign > 0 or key < 0):
                    self._put(side, key, 0 if side.size(key) and not bits(3) else self._level_size())
            else:
                self._put(side, kept, self._level_size() if side.is_regular(kept) and bits(3) else 0)
        for side in (self._book.bids, self._book.asks):
            if side.touched > _MOST_TOUCHED:
                self._settle(side)

    def _settle(self, side: Side) -> None:
        """What the price has left behind becomes as it was before: a book that is followed for hours does not grow."""
        for key in side.farthest(max(_SETTLED_AT_ONCE, side.touched - _MOST_TOUCHED)):
            self._put(side, key, side.untouched_size(key))
