"""The order book a second time, as plainly as possible: dicts, Decimal, ``sorted``.
Only for comparison with the real one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache

Pair = tuple[str, str]
Plain = list[tuple[Decimal, Decimal]]


value = lru_cache(100_000)(Decimal)


def plain(levels: Iterable[Sequence[str]]) -> Plain:
    """Levels as values, so that padding does not matter."""
    return [(value(price), value(size)) for price, size in levels]


class NaiveBook:
    """Seeded from one snapshot; forgets what lies beyond the snapshot's worst prices."""

    def __init__(self, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]], limit: int | None) -> None:
        self.bids = {price: size for price, size in plain(bids) if size}
        self.asks = {price: size for price, size in plain(asks) if size}
        self.lowest = min(self.bids) if limit is not None and len(self.bids) >= limit else None
        self.highest = max(self.asks) if limit is not None and len(self.asks) >= limit else None

    def apply(self, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for price, size in plain(changes):
                side[price] = size
                if not size:
                    del side[price]

    def top(self, depth: int) -> tuple[Plain, Plain]:
        bids = [(price, size) for price, size in self.bids.items() if self.lowest is None or price >= self.lowest]
        asks = [(price, size) for price, size in self.asks.items() if self.highest is None or price <= self.highest]
        return sorted(bids, reverse=True)[:depth], sorted(asks)[:depth]
