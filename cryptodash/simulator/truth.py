"""What is true in the simulated market, for tests that check every value a server shows as live.

Texts are the venue's own (padded) numbers. What concerns the past is kept only by a simulator made with
``record=True``, and only for the last 20,000 changes of each instrument's book.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from attrs import frozen

from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.simulator.book import Side
from cryptodash.simulator.changes import BookChange, Top
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.market import Market

TextLevel = tuple[str, str]


@frozen
class Quote:
    """The best levels from ``time`` (ms) on, after the change ``id``."""

    time: int
    id: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str


@frozen
class TickerTruth:
    """An instrument now: its last trade, its best levels, and its last 24 hours."""

    last: str
    quote: Quote
    open: str
    high: str
    low: str
    volume: str
    count: int


@frozen
class TradeTruth:
    """One fill; ``side`` is the taker's."""

    id: int
    time: int
    price: str
    size: str
    side: str


@frozen
class CandleTruth:
    """One bar; ``start`` is its open time (ms)."""

    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    closed: bool


class Truth:
    """Questions about the simulated market. All raise ``KeyError`` for an instrument that is not traded."""

    def __init__(self, markets: Mapping[tuple[str, MarketType], Market]) -> None:
        self._markets = markets

    def instrument(self, exchange: str, market: MarketType, symbol: Symbol | str) -> SimulatedInstrument:
        """The simulated instrument of ``BTC-USDT`` (or of the venue's own name)."""
        place = self._markets[exchange, market]
        for spec in place.specs:
            if str(symbol) in (f"{spec.base}-{spec.quote}", spec.native):
                found = place.get(spec.native)
                if found is not None:
                    return found
        raise KeyError(symbol)

    def book(
        self, exchange: str, market: MarketType, symbol: Symbol | str, update_id: int, depth: int
    ) -> tuple[list[TextLevel], list[TextLevel]] | None:
        """(bids, asks), best first, after the change ``update_id``; None where that is too long ago,
        still to come, or not recorded.

        ``update_id`` counts the changes of the simulated book; each dialect sends it under its venue's name.
        """
        instrument = self.instrument(exchange, market, symbol)
        changes = instrument.book_changes
        if (
            changes is None
            or update_id > instrument.update_id
            or (changes and update_id < changes[0].id)
            or (not changes and update_id != instrument.update_id)
        ):
            return None
        undone = list(takewhile(lambda change: change.id > update_id, reversed(changes)))
        spec, book = instrument.spec, instrument.book
        bids, asks = (_rewound(side, undone, depth) for side in (book.bids, book.asks))
        return [(spec.price(-key), spec.size(size)) for key, size in bids], [
            (spec.price(key), spec.size(size)) for key, size in asks
        ]

    def quotes(self, exchange: str, market: MarketType, symbol: Symbol | str) -> list[Quote]:
        """The recent best levels, oldest first, the present ones last.
        Only the present ones where nothing is recorded."""
        instrument = self.instrument(exchange, market, symbol)
        recent = [_quote(instrument, time, top) for time, top in instrument.quotes or ()]
        return [*recent, _quote(instrument, instrument.time, instrument.top())]

    def ticker(self, exchange: str, market: MarketType, symbol: Symbol | str) -> TickerTruth:
        """The instrument as of its last step."""
        instrument = self.instrument(exchange, market, symbol)
        spec, day = instrument.spec, instrument.candles.day()
        quote = _quote(instrument, instrument.time, instrument.top())
        price = spec.price
        return TickerTruth(
            price(day.close),
            quote,
            price(day.open),
            price(day.high),
            price(day.low),
            spec.size(day.volume),
            day.count,
        )

    def trade(self, exchange: str, market: MarketType, symbol: Symbol | str, trade_id: int) -> TradeTruth | None:
        """One of the last thousand fills by its id; None for any other."""
        return next((each for each in self.trades(exchange, market, symbol) if each.id == trade_id), None)

    def trades(self, exchange: str, market: MarketType, symbol: Symbol | str) -> list[TradeTruth]:
        """The last thousand fills, oldest first. A dialect may give them other ids on the wire, which
        follow from ``id``."""
        instrument = self.instrument(exchange, market, symbol)
        price, size = instrument.spec.price, instrument.spec.size
        return [
            TradeTruth(each.id, each.time, price(each.price), size(each.size), "buy" if each.buy else "sell")
            for each in instrument.trades
        ]

    def candles(
        self, exchange: str, market: MarketType, symbol: Symbol | str, interval: str, limit: int
    ) -> list[CandleTruth]:
        """The last bars, oldest first, the running one last."""
        instrument = self.instrument(exchange, market, symbol)
        spec, running = instrument.spec, instrument.candles.running
        bars = instrument.candles.candles(interval, None, running, limit)
        price = spec.price
        return [
            CandleTruth(
                bar.start,
                price(bar.open),
                price(bar.high),
                price(bar.low),
                price(bar.close),
                spec.size(bar.volume),
                bar is not bars[-1],
            )
            for bar in bars
        ]


def _quote(instrument: SimulatedInstrument, time: int, top: Top) -> Quote:
    price, size = instrument.spec.price, instrument.spec.size
    return Quote(time, top.id, price(top.bid), size(top.bid_size), price(top.ask), size(top.ask_size))


def _rewound(side: Side, undone: list[BookChange], depth: int) -> list[tuple[int, int]]:
    """The side's best levels before the changes (newest first)."""
    earlier = {change.key: change.before for change in undone if change.sign == side.sign}
    levels = dict(side.levels(depth + len(earlier)))
    levels.update(earlier)
    return sorted((key, size) for key, size in levels.items() if size)[:depth]
