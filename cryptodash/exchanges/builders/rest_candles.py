"""The bars of a REST answer, which carry no flag, as candles: which of them are closed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from cryptodash.core.events import Candle
from cryptodash.core.intervals import next_open
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Bar
from cryptodash.exchanges.builders.bar_times import OpenTimes

CLOSE_MARGIN_MS = 1_000
"""How far the venue's clock must be past a bar's end before REST's figures of it count as final: the estimate of that
clock may run fast, and the venue may still be counting."""
DATE_DOUBT_MS = 2_000
"""To be taken off the venue's clock where it may be known by the ``Date`` of HTTP answers alone, in whole seconds."""


def candles_of(topic: Topic, bars: Sequence[Bar], venue_ms: int, received: int) -> list[Candle]:
    """A REST answer as candles: oldest first, one per open time (the last one counts).

    Such bars carry no flag. One is closed when the answer holds a later one, or when the venue's clock (``venue_ms``)
    is past its end by the margin; our own wall clock decides nothing. Bars from the future must have been left out
    (``bar_times.possible``). ``received`` is when the answer came (wall clock, ms).
    """
    by_time = {bar.open_time: bar for bar in bars}
    newest = max(by_time, default=0)
    return [
        _from_rest(topic, by_time[opened], max(newest, venue_ms - CLOSE_MARGIN_MS), received)
        for opened in sorted(by_time)
    ]


def _from_rest(topic: Topic, bar: Bar, ended_by: int, received: int) -> Candle:
    closed = next_open(topic.interval, bar.open_time) <= ended_by
    prices = bar.open, bar.high, bar.low, bar.close
    return Candle(topic, bar.open_time, received, *prices, bar.volume, closed, source="rest")


def by_open_time(topic: Topic, candles: Sequence[Candle], open_times: OpenTimes) -> dict[int, Candle]:
    """An answer's bars by where they open (ms); one that opens where bars do goes before one that was said to open in
    its midst."""
    found: dict[int, Candle] = {}
    for each in sorted(candles, key=lambda candle: candle.timestamp, reverse=True):
        opened = open_times.aligned(each.timestamp)
        found[opened] = replace(each, topic=topic, timestamp=opened, source="rest")
    return found
