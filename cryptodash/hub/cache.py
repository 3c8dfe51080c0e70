"""The latest values of every wanted topic, bounded per topic and forgotten with it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Bbo, Candle, Sweep, Ticker
from cryptodash.core.tally import Labels
from cryptodash.core.topics import Topic

BARS_KEPT = 5
"""The running bar and the last closed ones: enough to join a REST answer that is a few seconds old."""
SWEEP_KEPT = 10_000
"""More instruments than any venue lists in one market."""


class Cache:
    """Plain dicts by topic. Writers put only what is wanted; ``forget`` follows the end of demand."""

    def __init__(self) -> None:
        self.tickers: dict[Topic, Ticker] = {}
        self.bbos: dict[Topic, Bbo] = {}
        self.sweeps: dict[Topic, dict[Topic, Ticker]] = {}
        self._bars: dict[Topic, dict[int, Candle]] = {}

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

    def bars(self, topic: Topic) -> Sequence[Candle]:
        """The latest bars of the stream, oldest first."""
        bars = self._bars.get(topic, {})
        return [bars[opened] for opened in sorted(bars)]

    def forget(self, topic: Topic) -> None:
        for kept in (self.tickers, self.bbos, self.sweeps, self._bars):
            kept.pop(topic, None)

    def sizes(self) -> dict[Labels, float]:
        """Entries per kind, for the metrics."""
        return {
            ("ticker",): len(self.tickers),
            ("bbo",): len(self.bbos),
            ("candle",): sum(map(len, self._bars.values())),
            ("sweep",): sum(map(len, self.sweeps.values())),
        }
