"""Coinbase's Advanced Trade channels: what each sends of one product, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptodash.simulator.changes import Trade
from cryptodash.simulator.dialects.coinbase import messages
from cryptodash.simulator.dialects.coinbase.texts import Stamps
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import DAY, HOUR, closes, opens
from cryptodash.simulator.pace import Pace

_TRADES_EVERY = 250
_BATCH_EVERY = 5_000
_CANDLES_EVERY = 1_000
_STATUS_EVERY = 5_000
"""Milliseconds. The documents name the interval of the status channel a preset one, and give no number."""
_RECENT_TRADES = 100
_RECENT_CANDLES = 100
_INTERVAL = "5m"


class Trades:
    """``market_trades``: recent fills, then those of a quarter of a second together."""

    def __init__(self, instrument: SimulatedInstrument, stamps: Stamps) -> None:
        self._instrument = instrument
        self._stamps = stamps
        self._pace = Pace(_TRADES_EVERY)
        self._fills: list[Trade] = []

    def _frame(self, kind: str, fills: Sequence[Trade], now: int) -> str:
        event = messages.trades_event(self._instrument.spec, kind, fills)
        return messages.frame("market_trades", self._stamps.at(now), event)

    def opening(self, now: int) -> Sequence[str]:
        """Fills that wait to be sent are among them: the next update repeats them."""
        return (self._frame("snapshot", list(self._instrument.trades)[-_RECENT_TRADES:], now),)

    def frames(self, now: int) -> Sequence[str]:
        self._fills += self._instrument.changes.trades
        if not self._fills or not self._pace.take(now):
            return ()
        fills, self._fills = self._fills, []
        return (self._frame("update", fills, now),)


class Tickers:
    """``ticker``: whenever something in it changed; ``ticker_batch``: every 5 s if so, and without quotes."""

    def __init__(self, instrument: SimulatedInstrument, stamps: Stamps, channel: str) -> None:
        self._instrument = instrument
        self._stamps = stamps
        self._channel = channel
        self._batched = channel == "ticker_batch"
        self._pace = Pace(_BATCH_EVERY if self._batched else 0)
        self._hour = -1
        self._year = (0, 0)
        self._sent: dict[str, str] = {}

    def _fields(self, now: int) -> dict[str, str]:
        if now // HOUR != self._hour:
            self._hour = now // HOUR
            bars = self._instrument.candles.candles("1d", now - 364 * DAY, now, 366)
            self._year = min(bar.low for bar in bars), max(bar.high for bar in bars)
        return messages.ticker_fields(self._instrument, self._year, quotes=not self._batched)

    def _frame(self, kind: str, fields: dict[str, str], now: int) -> str:
        return messages.frame(self._channel, self._stamps.at(now), messages.ticker_event(kind, fields))

    def opening(self, now: int) -> Sequence[str]:
        return (self._frame("snapshot", self._fields(now), now),)

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.is_due(now):
            return ()
        fields = self._fields(now)
        if fields == self._sent:
            return ()
        self._sent = fields
        self._pace.sent(now)
        return (self._frame("update", fields, now),)


class Candles:
    """``candles``: bars of five minutes, the last hundred and then the running one every second, once more with its
    last word when the next one begins. A bar without a trade is left out, also where it is the running one."""

    def __init__(self, instrument: SimulatedInstrument, stamps: Stamps) -> None:
        self._instrument = instrument
        self._stamps = stamps
        self._pace = Pace(_CANDLES_EVERY)
        self._open = opens(_INTERVAL, instrument.candles.running)

    def _frame(self, kind: str, starts: Sequence[int], now: int) -> str:
        found = [self._instrument.candles.candle(_INTERVAL, start) for start in starts]
        bars = [bar for bar in found if bar is not None and bar.count]
        if not bars:
            return ""
        event = messages.candles_event(self._instrument.spec, kind, bars)
        return messages.frame("candles", self._stamps.at(now), event)

    def opening(self, now: int) -> Sequence[str]:
        newest = opens(_INTERVAL, self._instrument.candles.running)
        span = closes(_INTERVAL, newest) - newest
        whole = self._frame("snapshot", range(newest - (_RECENT_CANDLES - 1) * span, newest + 1, span), now)
        return (whole,) if whole else ()

    def frames(self, now: int) -> Sequence[str]:
        newest = opens(_INTERVAL, self._instrument.candles.running)
        self._open = min(self._open, newest)  # the venue's clock may have been set back
        starts = []
        while self._open < newest:
            starts.append(self._open)
            self._open = closes(_INTERVAL, self._open)
        if not starts and not self._pace.is_due(now):
            return ()
        self._pace.sent(now)
        update = self._frame("update", [*starts, newest], now)
        return (update,) if update else ()


class Status:
    """``status``: what the catalogue says of a product, again and again."""

    def __init__(self, spec: InstrumentSpec, stamps: Stamps, is_delisted: Callable[[str], bool]) -> None:
        self._spec = spec
        self._stamps = stamps
        self._is_delisted = is_delisted
        self._pace = Pace(_STATUS_EVERY)

    def _frame(self, kind: str, now: int) -> str:
        status = "delisted" if self._is_delisted(self._spec.native) else "online"
        return messages.frame("status", self._stamps.at(now), messages.status_event(self._spec, kind, status))

    def opening(self, now: int) -> Sequence[str]:
        return (self._frame("snapshot", now),)

    def frames(self, now: int) -> Sequence[str]:
        return (self._frame("update", now),) if self._pace.take(now) else ()


class Heartbeats:
    """``heartbeats``: one a second, counted by the venue."""

    def __init__(self, stamps: Stamps, count: int) -> None:
        self._stamps = stamps
        self._pace = Pace(1_000)
        self._count = count

    def opening(self, now: int) -> Sequence[str]:
        return ()

    def frames(self, now: int) -> Sequence[str]:
        if not self._pace.take(now):
            return ()
        self._count += 1
        return (messages.frame("heartbeats", self._stamps.at(now), messages.heartbeat_event(now, self._count)),)
