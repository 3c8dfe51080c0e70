"""Candles built from trades, for an interval that the venue does not have."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cryptodash.core.events import Candle
from cryptodash.core.intervals import next_open, open_of
from cryptodash.core.numbers import add, key
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Fill
from cryptodash.exchanges.builders.bar_times import AHEAD_MS
from cryptodash.exchanges.builders.known_numbers import KnownNumbers
from cryptodash.exchanges.builders.rest_candles import CLOSE_MARGIN_MS

BATCH_MS = 500
"""How long after a trade its venue may send it: some send those of a quarter of a second together."""
MAX_EARLY = 10_000
"""Trades kept that came before their bar had begun by the venue's clock."""


class TradeCandleBuilder:
    """The candles of one topic, ``source="trades"``.

    Only a bar whose every trade was seen is told: the first one may have begun before the trades did, and one in which
    the stream was interrupted, or trades are missing by the venue's count, has holes, so those are left out. A bar is
    closed by the first trade of a later one, or by the venue's clock, as far as what has come from the venue shows that
    no trade is still on its way (with a margin, for those that the venue sends a moment later); one without trades
    never was. A trade that comes again (venues that count theirs repeat the last ones on subscribing) is taken once,
    and no bar is closed a second time.

    A trade from the future (by the venue's clock) is left out. One of a bar that has not begun by that clock waits
    until it has: the clock is an estimate, and a wrong time must not end the running bar, whose trades still come.
    """

    def __init__(self, topic: Topic) -> None:
        self.refused = 0
        """Trades left out because the venue's clock is far from their time yet."""
        self._topic = topic
        self._early: list[tuple[Fill, int]] = []
        """Trades that wait for their bar to begin, with the time when they came."""
        self._bar: Candle | None = None
        """The running bar; never one with holes."""
        self._shown: Candle | None = None
        """The running bar that was told last, closed or not."""
        self._whole_from: int | None = None
        """Open time of the first bar of which nothing is missing; None until a trade has told the time."""
        self._closed_until = 0
        """When the newest bar ended that was told closed."""
        self._numbers = KnownNumbers()
        """Of the trades that came since the last interruption, where the venue counts them."""
        self._newest: int | None = None
        """The largest of them."""
        self._time = 0
        """The newest time of them."""

    def fills(self, fills: Sequence[Fill], received: int, venue_ms: int) -> list[Candle]:
        """Take trades, oldest first, that came at ``received`` (our wall clock, ms), when it was ``venue_ms`` by the
        venue's clock; returns the bars that are news. Of the running bar the newest state is enough."""
        told = self._begin(venue_ms) if self._early else []
        for fill in fills:
            if fill.number is None or self._is_new(fill.number, fill.count, fill.time):
                told += self._sort(fill, received, venue_ms)
        running = self._bar
        if running is not None and fills:
            told.append(running)
        return self._tell(told)

    def due(self, venue_ms: int, heard_ms: int) -> list[Candle]:
        """The running bar, closed, once the venue's clock is past its end and everything has come that the venue sent
        until ``heard_ms``, a little later by that clock; then the one that waited to begin."""
        told: list[Candle] = []
        bar = self._bar
        end = None if bar is None else next_open(self._topic.interval, bar.timestamp)
        if bar is not None and end is not None and venue_ms >= end + CLOSE_MARGIN_MS and heard_ms >= end + BATCH_MS:
            told.append(self._closed(bar))
        if self._early:
            bar = self._bar
            told += self._begin(venue_ms)
            if self._bar is not None and self._bar is not bar:
                told.append(self._bar)
        return self._tell(told)

    @property
    def lacks_trades(self) -> bool:
        """Whether the bar that is shown as running lacks trades, and goes on no more."""
        shown = self._shown
        return shown is not None and not shown.closed and self._bar is None

    def _tell(self, told: list[Candle]) -> list[Candle]:
        if told:
            self._shown = told[-1]
        return told

    def interrupted(self) -> None:
        """Trades may be missing from here on: no bar is whole before one has begun after the next trade."""
        self._bar = self._whole_from = None
        self._early.clear()
        self._numbers, self._newest, self._time = KnownNumbers(), None, 0

    def _begin(self, venue_ms: int) -> list[Candle]:
        """Take the trades that waited for their bar and need wait no longer."""
        early, self._early = self._early, []
        by_now = venue_ms - CLOSE_MARGIN_MS  # for these no margin: they have shown that they come too early
        return [candle for fill, received in early for candle in self._sort(fill, received, by_now)]

    def _sort(self, fill: Fill, received: int, venue_ms: int) -> list[Candle]:
        opened = open_of(self._topic.interval, fill.time)
        if opened is None:
            return []
        if fill.time > venue_ms + AHEAD_MS:
            self.refused += 1
            return []
        if opened <= venue_ms + CLOSE_MARGIN_MS:
            return self._take(fill, opened, received)
        if len(self._early) >= MAX_EARLY:
            self.interrupted()
            return []
        self._early.append((fill, received))
        return []

    def _take(self, fill: Fill, opened: int, received: int) -> list[Candle]:
        if self._whole_from is None:
            self._whole_from = max(next_open(self._topic.interval, opened), self._closed_until)
        if opened < self._whole_from:
            return []  # of a bar with holes, or of one that is closed
        bar, told = self._bar, []
        if bar is not None and opened > bar.timestamp:
            told.append(self._closed(bar))
            bar = None
        elif bar is not None and opened < bar.timestamp:
            return []
        price = fill.price
        if bar is None:
            self._bar = Candle(
                self._topic, opened, received, price, price, price, price, fill.quantity, closed=False, source="trades"
            )
        else:
            high = price if key(price) > key(bar.high) else bar.high
            low = price if key(price) < key(bar.low) else bar.low
            volume = add(bar.volume, fill.quantity)
            self._bar = replace(bar, received=received, high=high, low=low, close=price, volume=volume)
        return told

    def _is_new(self, number: int, count: int, time: int) -> bool:
        """Whether a trade has not come yet. A known number in a newer trade: the venue counts anew. One that leaves
        others out shows that the running bar lacks them."""
        if not self._numbers.add(number, count):
            if time <= self._time:
                return False
            self._numbers, self._newest = KnownNumbers(), None
            self._numbers.add(number, count)
        newest = self._newest
        if newest is not None and number - count > newest:
            self._bar = self._whole_from = None
            self._early.clear()
        self._newest = number if newest is None else max(newest, number)
        self._time = max(self._time, time)
        return True

    def _closed(self, bar: Candle) -> Candle:
        self._bar = None
        self._whole_from = self._closed_until = next_open(self._topic.interval, bar.timestamp)
        return replace(bar, closed=True)
