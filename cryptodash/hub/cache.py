"""The latest values of every wanted topic, bounded per topic and forgotten with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from msgspec import msgpack

from cryptodash.core.events import Bbo, Candle, Liquidation, Side, Sweep, Ticker, Trade
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Labels
from cryptodash.core.topics import Topic

TRADES_KEPT = 1_000
LIQUIDATIONS_KEPT = 50
BARS_KEPT = 5
"""The running bar and the last closed ones: enough to join a REST answer that is a few seconds old."""
SWEEP_KEPT = 10_000
"""More instruments than any venue lists in one market."""

_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(tuple[int, int, str, Number, Number, Side]).decode
"""All of a trade but its topic."""


class Cache:
    """Plain dicts by topic. Writers put only what is wanted; ``forget`` follows the end of demand."""

    def __init__(self) -> None:
        self.tickers: dict[Topic, Ticker] = {}
        self.bbos: dict[Topic, Bbo] = {}
        self.sweeps: dict[Topic, dict[Topic, Ticker]] = {}
        self._trades: dict[Topic, deque[bytes]] = {}
        """Encoded: as objects they take three times as much, and of all that is kept for topics they are the most."""
        self._liquidations: dict[Topic, deque[Liquidation]] = {}
        self._bars: dict[Topic, dict[int, Candle]] = {}

    def put_trade(self, trade: Trade) -> None:
        ring = self._trades.get(trade.topic)
        if ring is None:
            ring = self._trades[trade.topic] = deque(maxlen=TRADES_KEPT)
        ring.append(_encode((trade.timestamp, trade.received, trade.id, trade.price, trade.quantity, trade.side)))

    def put_liquidation(self, event: Liquidation) -> None:
        self._liquidations.setdefault(event.topic, deque(maxlen=LIQUIDATIONS_KEPT)).append(event)

    def put_candle(self, bar: Candle) -> bool:
        """Keep the bar; False for one that says nothing new: a closed bar is final unless the
        new one is a correction."""
        bars = self._bars.setdefault(bar.topic, {})
        known = bars.get(bar.timestamp)
        if known is not None and known.closed and not bar.corrected:
            return False
        bars[bar.timestamp] = bar
        if len(bars) > BARS_KEPT:
            del bars[min(bars)]
        return True

    def put_sweep(self, sweep: Sweep) -> None:
        known = self.sweeps.setdefault(sweep.topic, {})
        for ticker in sweep.tickers:
            if len(known) < SWEEP_KEPT or ticker.topic in known:
                known[ticker.topic] = ticker

    def trades(self, topic: Topic, limit: int) -> Sequence[Trade]:
        """The latest ``limit`` trades, oldest first."""
        ring = self._trades.get(topic)
        if ring is None or limit <= 0:
            return ()
        return [Trade(topic, *_decode(each)) for each in islice(ring, max(0, len(ring) - limit), None)]

    def liquidations(self, topic: Topic) -> Sequence[Liquidation]:
        """The latest ones, oldest first."""
        return list(self._liquidations.get(topic, ()))

    def bars(self, topic: Topic) -> Sequence[Candle]:
        """The latest bars of the stream, oldest first."""
        bars = self._bars.get(topic, {})
        return [bars[opened] for opened in sorted(bars)]

    def forget(self, topic: Topic) -> None:
        for kept in (self.tickers, self.bbos, self.sweeps, self._trades, self._liquidations, self._bars):
            kept.pop(topic, None)

    def sizes(self) -> dict[Labels, float]:
        """Entries per kind, for the metrics."""
        return {
            ("ticker",): len(self.tickers),
            ("bbo",): len(self.bbos),
            ("trade",): sum(map(len, self._trades.values())),
            ("liquidation",): sum(map(len, self._liquidations.values())),
            ("candle",): sum(map(len, self._bars.values())),
            ("sweep",): sum(map(len, self.sweeps.values())),
        }
