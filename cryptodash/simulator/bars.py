"""One bar: made of trades, merged from shorter bars, or split into shorter ones along a path.

All numbers are integers: prices in ticks, sizes in steps, turnover in ticks times steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define

Range = tuple[int, int, int, int]
"""(open, high, low, close) of a price."""


@define
class Bar:
    """One candle. ``volume`` and ``buy_volume`` (takers who bought) in steps, the turnovers in ticks times steps,
    ``first`` the first trade's id."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    turnover: int = 0
    buy_volume: int = 0
    buy_turnover: int = 0
    count: int = 0
    first: int = 0

    def add(self, price: int, size: int, buy: bool, trade_id: int) -> None:
        """Take one trade in."""
        if not self.count:
            self.open = self.high = self.low = price
            self.first = trade_id
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += size
        self.turnover += price * size
        self.count += 1
        if buy:
            self.buy_volume += size
            self.buy_turnover += price * size


def merged(start: int, bars: Iterable[Bar]) -> Bar | None:
    """The bars of one longer interval as one; bars without a trade do not touch its range.
    None where there are no bars."""
    total: Bar | None = None
    for bar in bars:
        if total is None:
            total = Bar(start, bar.open, bar.high, bar.low, bar.close, first=bar.first)
        elif bar.count and not total.count:
            total.open, total.high, total.low, total.close, total.first = (
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.first,
            )
        elif bar.count:
            total.high, total.low, total.close = max(total.high, bar.high), min(total.low, bar.low), bar.close
        total.volume += bar.volume
        total.turnover += bar.turnover
        total.buy_volume += bar.buy_volume
        total.buy_turnover += bar.buy_turnover
        total.count += bar.count
    return total


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """The total in whole parts, one per weight, that add up to it exactly."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts, seen, given = [], 0, 0
    for weight in weights:
        seen += weight
        upto = total * seen // whole
        parts.append(upto - given)
        given = upto
    return parts


def split(parent: Bar, span: int, guides: Sequence[Range], weights: Sequence[int]) -> list[Bar]:
    """The parent as bars of ``span`` ms whose merger is the parent again, exactly: one per guide, which is the range
    that its price should have, with a share of the trades and of the volume by its weight. A part without a trade is
    flat at the price before it."""
    counts = shares(parent.count, weights)
    bars, last, first = [], parent.open, parent.first
    for i, (count, guide) in enumerate(zip(counts, guides, strict=True)):
        start = parent.start + i * span
        if count:
            _, high, low, close = guide
            close = min(parent.high, max(parent.low, close))
            high, low = min(parent.high, max(high, last, close)), max(parent.low, min(low, last, close))
            bars.append(Bar(start, last, high, low, close, count=count, first=first))
            last, first = close, first + count
        else:
            bars.append(Bar(start, last, last, last, last, first=first))
    if parent.count:
        _close_as(parent, bars)
        _spread_volume(parent, bars, weights)
    return bars


def _close_as(parent: Bar, bars: list[Bar]) -> None:
    """The last part that traded closes as the parent does, and some part reaches each end of its range."""
    traded = [bar for bar in bars if bar.count]
    final = traded[-1]
    final.close = parent.close
    final.high, final.low = max(final.high, final.close), min(final.low, final.close)
    for bar in reversed(bars):
        if bar is final:
            break
        bar.open = bar.high = bar.low = bar.close = final.close
    max(traded, key=lambda bar: bar.high).high = parent.high
    min(traded, key=lambda bar: bar.low).low = parent.low


def _spread_volume(parent: Bar, bars: list[Bar], weights: Sequence[int]) -> None:
    """Every trade has at least one step; the rest goes by the number of trades, a little more here and there (the last
    digits of a weight are as good as chance). Turnover follows volume and price."""
    busy = [bar.count * (96 + weight % 97) for bar, weight in zip(bars, weights, strict=True)]
    rest = shares(parent.volume - parent.count, busy)
    for bar, more in zip(bars, rest, strict=True):
        bar.volume = bar.count + more
    volumes = [bar.volume for bar in bars]
    amounts = shares(parent.turnover, [bar.volume * (bar.high + bar.low + 2 * bar.close) for bar in bars])
    bought = shares(parent.buy_volume, volumes)
    bought_amounts = shares(parent.buy_turnover, amounts)
    for bar, amount, buy, buy_amount in zip(bars, amounts, bought, bought_amounts, strict=True):
        bar.turnover, bar.buy_volume, bar.buy_turnover = amount, buy, buy_amount


@define
class TradeRate:
    """How busy an instrument is: trades per hour and the mean size of one in steps."""

    trades_per_hour: int
    mean_size: int
