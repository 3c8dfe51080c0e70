"""Binance's streams: what each sends, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.binance import messages
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.intervals import closes, opens
from cryptodash.simulator.liquidations import Liquidation, liquidations
from cryptodash.simulator.market import Market
from cryptodash.simulator.pace import Pace

SPOT = MarketType.SPOT


class Quotes:
    """``bookTicker``: every change of the best levels."""

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        instrument = self._instrument
        return [
            messages.book_ticker(instrument.spec, top.crossed() if instrument.crossed else top, now)
            for top in instrument.changes.tops
        ]


class Trades:
    """``trade``: every fill; ``aggTrade``: every order."""

    def __init__(self, instrument: SimulatedInstrument, *, aggregated: bool) -> None:
        self._instrument = instrument
        self._aggregated = aggregated

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        spec, fills = self._instrument.spec, self._instrument.changes.trades
        if self._aggregated:
            return [messages.agg_trade(spec, list(group)) for _, group in groupby(fills, key=lambda fill: fill.order)]
        return [messages.trade(spec, fill) for fill in fills]


class ForcedOrders:
    """``forceOrder``: of the liquidations of a second the last one."""

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument
        self._pace = Pace(1_000, slack=0)
        self._latest: Liquidation | None = None

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        for each in liquidations(self._instrument.changes.trades):
            self._latest = each
        latest = self._latest
        if latest is None or not self._pace.take(now):
            return ()
        self._latest = None
        return (messages.force_order(self._instrument.spec, latest, now),)


class Diffs:
    """``depth``: the changed levels of each period, the ids chained from one message to the next."""

    def __init__(self, instrument: SimulatedInstrument, every: int) -> None:
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
        instrument, changes = self._instrument, self._instrument.changes
        if changes.last:
            self._first = self._first or changes.first
            self._last = changes.last
            self._bids.update(changes.bids)
            self._asks.update(changes.asks)
        if not self._first or not self._pace.take(now):
            return ()
        self._cross()
        ids = (self._first, self._last, self._before)
        frame = messages.depth_update(instrument.spec, now, ids, self._bids.items(), self._asks.items())
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

    def __init__(self, instrument: SimulatedInstrument, count: int, every: int) -> None:
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
        if last == self._sent or not self._pace.take(now):
            return ()
        bids, asks = instrument.shown_levels(self._count)
        before, self._sent = self._sent or self._seen, last
        if instrument.spec.market is SPOT:
            return (messages.partial_depth(instrument.spec, last, bids, asks),)
        return (messages.depth_update(instrument.spec, now, (min(last, before + 1), last, before), bids, asks),)


class Klines:
    """``kline_<i>``, and with ``continuous`` ``continuousKline_<i>``: the running bar at its pace, and the last word on
    a bar that closed. Of seconds that word alone: one frame a second, whether there was a trade or not."""

    def __init__(self, instrument: SimulatedInstrument, interval: str, every: int, *, continuous: bool = False) -> None:
        self._instrument = instrument
        self._interval = interval
        self._pace = Pace(every)
        self._build = messages.continuous_kline if continuous else messages.kline
        self._open = opens(interval, instrument.candles.running)

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        frames = []
        running = self._instrument.candles.running
        self._open = min(self._open, opens(self._interval, running))  # the venue's clock may have been set back
        while closes(self._interval, self._open) <= running:
            frames.append(self._frame(now, closed=True))
            self._open = closes(self._interval, self._open)
        if self._interval != "1s" and self._pace.take(now):
            frames.append(self._frame(now, closed=False))
        return [frame for frame in frames if frame]

    def _frame(self, now: int, *, closed: bool) -> str:
        bar = self._instrument.candles.candle(self._interval, self._open)
        return self._build(self._instrument.spec, self._interval, bar, now, closed=closed) if bar is not None else ""


class Paced:
    """One message about one instrument every so often: 24 h tickers, mark price."""

    def __init__(
        self, instrument: SimulatedInstrument, build: Callable[[SimulatedInstrument, int], str], every: int
    ) -> None:
        self._instrument = instrument
        self._build = build
        self._pace = Pace(every)

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        return (self._build(self._instrument, now),) if self._pace.take(now) else ()


class Sweep:
    """One array about all instruments of a market, of those that traded since the last one;
    ``each`` sends them one by one instead. ``is_left_out`` is
    asked about each native name."""

    def __init__(
        self,
        market: Market,
        is_left_out: Callable[[str], bool],
        build: Callable[[SimulatedInstrument, int], str],
        every: int,
        *,
        all_of_them: bool = False,
        each: bool = False,
    ) -> None:
        self._market = market
        self._is_left_out = is_left_out
        self._build = build
        self._pace = Pace(every)
        self._all = all_of_them
        self._each = each
        self._seen: dict[str, int] = {}

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.take(now):
            return ()
        entries = [self._build(instrument, now) for instrument in self._market.all() if self._changed(instrument, now)]
        if self._each:
            return entries
        return ("[" + ",".join(entries) + "]",) if entries else ()

    def _changed(self, instrument: SimulatedInstrument, now: int) -> bool:
        native = instrument.spec.native
        if self._is_left_out(native):
            return False
        instrument.catch_up(now)
        before, self._seen[native] = self._seen.get(native), instrument.trade_id
        return self._all or before != instrument.trade_id
