"""Order books of several venues as one, pure: the levels of all, merged by price.

A change of one venue's book costs what has changed of it, and a view the levels it shows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from cryptodash.core.events import BookView, Level
from cryptodash.core.numbers import Number, key, total
from cryptodash.hub.composite import Excluded


class MergedQuantity(str):
    """The quantity of a level: as a number the sum, and what each venue has of it. Equal where all of that is.

    ``json`` is ``1.50,"venues":{"a":1,"b":0.50}``: what follows ``"quantity":`` in a message.
    """

    __slots__ = ("json",)

    json: str

    def __new__(cls, venues: Sequence[tuple[str, Number]]) -> MergedQuantity:
        made = super().__new__(cls, total(size for _, size in venues))
        shares = ",".join([f'"{exchange}":{size}' for exchange, size in venues])
        made.json = f'{str.__str__(made)},"venues":{{{shares}}}'
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MergedQuantity) and self.json == other.json

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.json)


class CompositeBook(BookView, frozen=True, gc=False):
    """The merged book at one moment. ``complete``: every venue that counts shows as many levels as were asked for."""

    excluded: tuple[Excluded, ...] = ()
    complete: bool = False


class MergedSide:
    """One side: its levels by rank, which is lower the better the price."""

    def __init__(self, *, highest_first: bool) -> None:
        self._sign = -1 if highest_first else 1
        self._ranks: list[int] = []
        self._shares: dict[int, dict[str, Level]] = {}
        self._levels: dict[int, Level] = {}
        """Levels as they were last made, while that is what they are."""
        self._held: dict[str, Sequence[Level]] = {}

    def put(self, exchange: str, levels: Sequence[Level]) -> None:
        """What one venue has now; nothing: it leaves."""
        before = self._held.get(exchange, ())
        if before is levels or before == levels:
            return
        old, new = set(before), set(levels)
        for level in old - new:
            self._remove(exchange, level)
        for level in new - old:
            self._add(exchange, level)
        if levels:
            self._held[exchange] = levels
        else:
            del self._held[exchange]

    def top(self, depth: int) -> tuple[Level, ...]:
        """The best levels, best first."""
        return tuple([self._levels.get(rank) or self._make(rank) for rank in self._ranks[:depth]])

    def _make(self, rank: int) -> Level:
        """The level as one: its price as the first of its venues writes it."""
        shares = sorted(self._shares[rank].items())
        merged = MergedQuantity([(exchange, size) for exchange, (_, size) in shares])
        level = self._levels[rank] = (shares[0][1][0], Number(merged))
        return level

    def _add(self, exchange: str, level: Level) -> None:
        rank = self._sign * key(level[0])
        shares = self._shares.get(rank)
        if shares is None:
            shares = self._shares[rank] = {}
            self._ranks.insert(bisect_left(self._ranks, rank), rank)
        shares[exchange] = level
        self._levels.pop(rank, None)

    def _remove(self, exchange: str, level: Level) -> None:
        rank = self._sign * key(level[0])
        shares = self._shares[rank]
        del shares[exchange]
        self._levels.pop(rank, None)
        if not shares:
            del self._shares[rank]
            del self._ranks[bisect_left(self._ranks, rank)]


class MergedBook:
    """Both sides of the books that count."""

    def __init__(self) -> None:
        self._bids, self._asks = MergedSide(highest_first=True), MergedSide(highest_first=False)
        self._books: dict[str, BookView] = {}

    def take(self, books: Mapping[str, BookView]) -> None:
        """These count now, and no others."""
        for exchange in self._books.keys() - books.keys():
            self._put(exchange, (), ())
        for exchange, book in books.items():
            if self._books.get(exchange) is not book:
                self._put(exchange, book.bids, book.asks)
        self._books = dict(books)

    def _put(self, exchange: str, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        self._bids.put(exchange, bids)
        self._asks.put(exchange, asks)

    def top(self, depth: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """(bids, asks), best first."""
        return self._bids.top(depth), self._asks.top(depth)


def is_complete(books: Iterable[BookView], depth: int) -> bool:
    """Whether each of these shows so many levels a side: then none of the best so many of all can be missing."""
    shown = [min(len(each.bids), len(each.asks)) for each in books]
    return bool(shown) and min(shown) >= depth
