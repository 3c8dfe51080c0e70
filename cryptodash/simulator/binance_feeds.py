"""Binance's streams: what each sends, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Protocol

from cryptodash.core.instruments import MarketType
from cryptodash.simulator import binance as wire
from cryptodash.simulator.candles import closes, opens
from cryptodash.simulator.market import BEAT, Instrument, Market, Top

SPOT = MarketType.SPOT


class Pace:
    """Whether it is time again, for streams that come every so many ms."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._next = 0

    def due(self, now: int) -> bool:
        if now < self._next:
            return False
        # Half a beat of slack: beats jitter, and a stream of 1 s must not become one of 1.1 s.
        self._next = now + self._every - BEAT // 2
        return True


class Quotes:
    """``bookTicker``: every change of the best levels."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        instrument = self._instrument
        return [
            wire.book_ticker(instrument.listing, crossed(top) if instrument.crossed else top, now)
            for top in instrument.beat.tops
        ]


def crossed(top: Top) -> Top:
    """The best levels as the fault ``crossed`` shows them."""
    return Top(top.id, top.ask, top.bid_size, top.bid, top.ask_size)


class Trades:
    """``trade``: every fill; ``aggTrade``: every order."""

    def __init__(self, instrument: Instrument, *, aggregated: bool) -> None:
        self._instrument = instrument
        self._aggregated = aggregated

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        listing, fills = self._instrument.listing, self._instrument.beat.trades
        if self._aggregated:
            return [wire.agg_trade(listing, list(group)) for _, group in groupby(fills, key=lambda fill: fill.order)]
        return [wire.trade(listing, fill) for fill in fills]


class Diffs:
    """``depth``: the changed levels of each period, the ids chained from one message to the next."""

    def __init__(self, instrument: Instrument, every: int) -> None:
        self._instrument = instrument
        self._pace = Pace(every)
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._first = 0
        self._last = self._before = instrument.update_id
        self._false_level: int | None = None

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        instrument, beat = self._instrument, self._instrument.beat
        if beat.last:
            self._first = self._first or beat.first
            self._last = beat.last
            self._bids.update(beat.bids)
            self._asks.update(beat.asks)
        if not self._first or not self._pace.due(now):
            return ()
        self._cross()
        ids = (self._first, self._last, self._before)
        frame = wire.depth_update(instrument.listing, now, ids, self._bids.items(), self._asks.items())
        self._bids, self._asks, self._first, self._before = {}, {}, 0, self._last
        return (frame,)

    def _cross(self) -> None:
        """Under the fault ``crossed`` a bid stands above the ask; it is taken back when the fault is over."""
        book = self._instrument.book
        if self._instrument.crossed and self._false_level is None:
            self._false_level = book.ask + 1
            self._bids[self._false_level] = 1
        elif not self._instrument.crossed and self._false_level is not None:
            self._bids[self._false_level] = book.bids.size(-self._false_level)
            self._false_level = None


class Tops:
    """``depth5``, ``depth10``, ``depth20``: the best levels whenever something changed."""

    def __init__(self, instrument: Instrument, count: int, every: int) -> None:
        self._instrument = instrument
        self._count = count
        self._pace = Pace(every)
        self._sent = 0
        self._seen = instrument.update_id

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        instrument = self._instrument
        last = instrument.update_id
        if last == self._sent or not self._pace.due(now):
            return ()
        bids, asks = instrument.book.levels(self._count)
        before, self._sent = self._sent or self._seen, last
        if instrument.listing.market is SPOT:
            return (wire.partial_depth(instrument.listing, last, bids, asks),)
        return (wire.depth_update(instrument.listing, now, (min(last, before + 1), last, before), bids, asks),)


class Klines:
    """``kline_<i>``: the running bar at its pace, and the last word on a bar that closed."""

    def __init__(self, instrument: Instrument, interval: str, every: int) -> None:
        self._instrument = instrument
        self._interval = interval
        self._pace = Pace(every)
        self._open = opens(interval, instrument.candles.minute.start)
        self._sent = ""

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        frames = []
        minute = self._instrument.candles.minute.start
        while closes(self._interval, self._open) <= minute:
            frames.append(self._frame(now, closed=True))
            self._open = closes(self._interval, self._open)
        if self._pace.due(now):
            frames.append(self._frame(now, closed=False))
        return [frame for frame in frames if frame]

    def _frame(self, now: int, *, closed: bool) -> str:
        bar = self._instrument.candles.candle(self._interval, self._open)
        return wire.kline(self._instrument.listing, self._interval, bar, now, closed=closed) if bar is not None else ""


class Paced:
    """One message about one instrument every so often: 24 h tickers, mark price."""

    def __init__(self, instrument: Instrument, build: Callable[[Instrument, int], str], every: int) -> None:
        self._instrument = instrument
        self._build = build
        self._pace = Pace(every)

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        return (self._build(self._instrument, now),) if self._pace.due(now) else ()


class Sweepable(Protocol):
    """What a sweep needs of its host."""

    market: Market

    def is_silent(self, native: str) -> bool:
        """Whether a fault keeps this instrument out."""


class Sweep:
    """One array about all instruments of a market, of those that traded since the last one;
    ``each`` sends them one by one instead."""

    def __init__(
        self,
        host: Sweepable,
        build: Callable[[Instrument, int], str],
        every: int,
        *,
        all_of_them: bool = False,
        each: bool = False,
    ) -> None:
        self._host = host
        self._build = build
        self._pace = Pace(every)
        self._all = all_of_them
        self._each = each
        self._seen: dict[str, int] = {}

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.due(now):
            return ()
        entries = [
            self._build(instrument, now) for instrument in self._host.market.all() if self._changed(instrument, now)
        ]
        if self._each:
            return entries
        return ("[" + ",".join(entries) + "]",) if entries else ()

    def _changed(self, instrument: Instrument, now: int) -> bool:
        native = instrument.listing.native
        if self._host.is_silent(native):
            return False
        instrument.catch_up(now)
        before, self._seen[native] = self._seen.get(native), instrument.trade_id
        return self._all or before != instrument.trade_id
