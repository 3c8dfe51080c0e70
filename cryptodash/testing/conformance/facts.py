"""What was said of a simulated instrument, compared with what was so: trades, quotes, closed bars."""

from __future__ import annotations

from decimal import Decimal
from itertools import takewhile

from cryptodash.core.events import Bbo, Candle, Side, Ticker, Trade
from cryptodash.simulator.instrument import SimulatedInstrument

RECENT_MS = 5_000


class Facts:
    """Of one instrument of a simulator that records."""

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument

    def _price(self, ticks: int) -> Decimal:
        return Decimal(self._instrument.spec.price(ticks))

    def _size(self, steps: int) -> Decimal:
        return Decimal(self._instrument.spec.size(steps))

    def has_trade(self, said: Trade) -> bool:
        """Whether there was such a fill; or, where the venue sends aggregates, such an order of a taker."""
        price, quantity = Decimal(said.price), Decimal(said.quantity)
        alike = [
            each
            for each in self._instrument.trades
            if each.time == said.timestamp and each.buy is (said.side is Side.BUY) and self._price(each.price) == price
        ]
        sizes = {self._size(each.size) for each in alike}
        orders = {each.order for each in alike}
        sums = {self._size(sum(each.size for each in alike if each.order == order)) for order in orders}
        return quantity in sizes | sums

    def has_quote(self, said: Ticker | Bbo) -> bool:
        """Whether these were the best levels at any time of late."""
        wanted = tuple(
            None if each is None else Decimal(each) for each in (said.bid, said.bid_size, said.ask, said.ask_size)
        )
        oldest = self._instrument.time - RECENT_MS
        recent = takewhile(lambda each: each[0] >= oldest, reversed(self._instrument.quotes or ()))
        return any(
            (self._price(top.bid), self._size(top.bid_size), self._price(top.ask), self._size(top.ask_size)) == wanted
            for top in (self._instrument.top(), *(top for _, top in recent))
        )

    def has_bar(self, said: Candle) -> bool:
        """Whether the bar ended so."""
        bar = self._instrument.candles.candle(said.topic.interval, said.timestamp)
        if bar is None:
            return False
        found = (*map(self._price, (bar.open, bar.high, bar.low, bar.close)), self._size(bar.volume))
        return found == tuple(map(Decimal, (said.open, said.high, said.low, said.close, said.volume)))
