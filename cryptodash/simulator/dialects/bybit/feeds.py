"""Bybit's topics: what each sends, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.bybit import messages
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.intervals import closes, opens
from cryptodash.simulator.liquidations import Liquidation, liquidations
from cryptodash.simulator.pace import Pace

SPOT = MarketType.SPOT
_REPEAT_AFTER = 3_000
"""Milliseconds without a change after which level 1 is sent again."""


class Books:
    """``orderbook.<depth>.<symbol>``: the best levels, first whole, then what changed in the window.
    Level 1 is always sent whole."""

    def __init__(self, instrument: SimulatedInstrument, topic: str, depth: int, every: int, first: int) -> None:
        self._instrument = instrument
        self._topic = topic
        self._depth = depth
        self._pace = Pace(every)
        self._repeats = Pace(_REPEAT_AFTER, slack=0)
        self.u = first
        self._sequence = instrument.update_id
        self._crossed = instrument.crossed
        self._bids, self._asks = self._window()

    def _window(self) -> tuple[dict[int, int], dict[int, int]]:
        bids, asks = self._instrument.shown_levels(self._depth)
        return dict(bids), dict(asks)

    def opening(self, now: int) -> Sequence[str]:
        return (self._whole(now),)

    def _whole(self, now: int) -> str:
        ids = (self.u, self._sequence)
        return messages.order_book(
            self._instrument.spec, self._topic, "snapshot", now, ids, self._bids.items(), self._asks.items()
        )

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.is_due(now):
            return ()
        bids, asks = (
            (self._bids, self._asks)
            if (self._sequence, self._crossed) == (self._instrument.update_id, self._instrument.crossed)
            else self._window()
        )
        self._sequence, self._crossed = self._instrument.update_id, self._instrument.crossed
        if bids == self._bids and asks == self._asks:
            if self._depth == 1 and self._repeats.take(now):
                return (self._whole(now),)
            return ()
        changes = _changes(self._bids, bids), _changes(self._asks, asks)
        self._bids, self._asks = bids, asks
        self.u += 1
        self._pace.sent(now)
        self._repeats.sent(now)
        if self._depth == 1:
            return (self._whole(now),)
        return (
            messages.order_book(self._instrument.spec, self._topic, "delta", now, (self.u, self._sequence), *changes),
        )


def _changes(before: dict[int, int], after: dict[int, int]) -> list[tuple[int, int]]:
    """New sizes, and 0 for what left the window."""
    gone = [(price, 0) for price in before if price not in after]
    return [(price, size) for price, size in after.items() if before.get(price) != size] + gone


class Trades:
    """``publicTrade.<symbol>``: the fills of a step in one message; no history at the start."""

    def __init__(self, instrument: SimulatedInstrument, topic: str) -> None:
        self._instrument = instrument
        self._topic = topic

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        fills = self._instrument.changes.trades
        return (messages.public_trade(self._instrument.spec, self._topic, now, fills),) if fills else ()


class Liquidations:
    """``allLiquidation.<symbol>``: all of them, every 500 ms."""

    def __init__(self, instrument: SimulatedInstrument, topic: str) -> None:
        self._instrument = instrument
        self._topic = topic
        self._pace = Pace(500)
        self._waiting: list[Liquidation] = []

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        self._waiting += liquidations(self._instrument.changes.trades)
        if not self._waiting or not self._pace.take(now):
            return ()
        told, self._waiting = self._waiting, []
        return (messages.all_liquidation(self._instrument.spec, self._topic, now, told),)


class Klines:
    """``kline.<i>.<symbol>``: about once a second; a closing bar comes together with the one after it."""

    def __init__(self, instrument: SimulatedInstrument, topic: str, interval: str) -> None:
        self._instrument = instrument
        self._topic = topic
        self._name = interval
        self._interval = messages.INTERVALS[interval]
        self._open = opens(self._interval, instrument.candles.running)
        self._pace = Pace(1_000)

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        rows = []
        running = self._instrument.candles.running
        self._open = min(self._open, opens(self._interval, running))  # the venue's clock may have been set back
        while closes(self._interval, self._open) <= running:
            rows.append(self._row(now, closed=True))
            self._open = closes(self._interval, self._open)
        if not rows and not self._pace.is_due(now):
            return ()
        self._pace.sent(now)
        rows.append(self._row(now, closed=False))
        return (messages.kline(self._instrument.spec, self._topic, [row for row in rows if row], now),)

    def _row(self, now: int, *, closed: bool) -> str:
        bar = self._instrument.candles.candle(self._interval, self._open)
        if bar is None:
            return ""
        return messages.candle(
            self._instrument.spec, self._name, bar, closes(self._interval, self._open), now, closed=closed
        )


class Tickers:
    """``tickers.<symbol>``: spot always whole, linear only the changed fields after the first."""

    def __init__(self, instrument: SimulatedInstrument, topic: str) -> None:
        self._instrument = instrument
        self._topic = topic
        self._pace = Pace(200)
        self._fields: dict[str, str] = {}

    def _build(self, now: int) -> dict[str, str]:
        instrument = self._instrument
        return (
            messages.spot_ticker(instrument)
            if instrument.spec.market is SPOT
            else messages.linear_ticker(instrument, now)
        )

    def _frame(self, kind: str, fields: Mapping[str, str], now: int) -> str:
        return messages.ticker(self._instrument.spec, self._topic, kind, fields, self._instrument.update_id, now)

    def opening(self, now: int) -> Sequence[str]:
        if not self._fields:
            self._fields = self._build(now)
        return (self._frame("snapshot", self._fields, now),)

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.take(now):
            return ()
        before, self._fields = self._fields, self._build(now)
        if self._fields == before:
            return ()
        if self._instrument.spec.market is SPOT:
            return (self._frame("snapshot", self._fields, now),)
        changed = {name: text for name, text in self._fields.items() if before.get(name) != text}
        return (self._frame("delta", {"symbol": self._fields["symbol"]} | changed, now),)
