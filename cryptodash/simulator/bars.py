"""One bar: made of trades, merged from shorter bars, split into shorter ones, or drawn at random.

All numbers are integers: prices in ticks, sizes in steps, turnover in ticks times steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from attrs import define

from cryptodash.simulator.intervals import HOUR
from cryptodash.simulator.random_moves import gauss


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


def _shares(total: int, weights: list[int]) -> list[int]:
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


def _path(parent: Bar, counts: list[int], rng: Random) -> list[int]:
    """Closing prices of the parts: a random bridge from the parent's open to its close, inside its range,
    moving only where something traded."""
    n = len(counts)
    walk, at = [], 0
    for _ in range(n):
        at += gauss(rng)
        walk.append(at)
    bridge = [walk[i] - walk[-1] * (i + 1) // n for i in range(n)]
    widest = max(1, max(map(abs, bridge)))
    room = (parent.high - parent.low) * 7 // 10
    closes, last = [], parent.open
    final = max(i for i in range(n) if counts[i])
    for i in range(n):
        if i >= final:
            last = parent.close
        elif counts[i]:
            line = parent.open + (parent.close - parent.open) * (i + 1) // n
            last = min(parent.high, max(parent.low, line + room * bridge[i] // widest))
        closes.append(last)
    return closes


def split(parent: Bar, parts: int, span: int, rng: Random) -> list[Bar]:
    """The parent as ``parts`` bars of ``span`` ms whose merger is the parent again, exactly."""
    weights = [40 + rng.getrandbits(7) for _ in range(parts)]
    extras = [(rng.getrandbits(8), rng.getrandbits(8)) for _ in range(parts)]
    counts = _shares(parent.count, weights)
    if not parent.count:
        return [
            Bar(parent.start + i * span, parent.open, parent.open, parent.open, parent.open, first=parent.first)
            for i in range(parts)
        ]
    closes = _path(parent, counts, rng)
    bars, before, first = [], parent.open, parent.first
    wick = max(1, (parent.high - parent.low) // parts)
    for i in range(parts):
        low, high = min(before, closes[i]), max(before, closes[i])
        if counts[i]:
            high = min(parent.high, high + wick * extras[i][0] // 256)
            low = max(parent.low, low - wick * extras[i][1] // 256)
        bars.append(Bar(parent.start + i * span, before, high, low, closes[i], count=counts[i], first=first))
        before, first = closes[i], first + counts[i]
    traded = [bar for bar in bars if bar.count]
    max(traded, key=lambda bar: bar.high).high = parent.high
    min(traded, key=lambda bar: bar.low).low = parent.low
    _spread_volume(parent, bars, weights)
    # A merger takes its open from the first bar that traded; all before it are flat at the parent's open,
    # which is that bar's open too.
    return bars


def _spread_volume(parent: Bar, bars: list[Bar], weights: list[int]) -> None:
    """Every trade has at least one step; the rest goes by weight. Turnover follows volume and price."""
    rest = _shares(
        parent.volume - parent.count, [bar.count * weight for bar, weight in zip(bars, weights, strict=True)]
    )
    for bar, more in zip(bars, rest, strict=True):
        bar.volume = bar.count + more
    volumes = [bar.volume for bar in bars]
    amounts = _shares(parent.turnover, [bar.volume * (bar.high + bar.low + 2 * bar.close) for bar in bars])
    bought = _shares(parent.buy_volume, volumes)
    bought_amounts = _shares(parent.buy_turnover, amounts)
    for bar, amount, buy, buy_amount in zip(bars, amounts, bought, bought_amounts, strict=True):
        bar.turnover, bar.buy_volume, bar.buy_turnover = amount, buy, buy_amount


@define
class TradeRate:
    """How busy an instrument is: trades per hour and the mean size of one in steps."""

    trades_per_hour: int
    mean_size: int


def drawn(start: int, span: int, open_: int, close: int, rate: TradeRate, rng: Random, first: int) -> Bar:
    """One bar between two prices with the volume such an instrument has in ``span`` ms. The count is drawn first, so
    that ids can be counted back."""
    jitter = 512 + rng.getrandbits(10)
    expected = rate.trades_per_hour * span * jitter // 1024
    count = expected // HOUR + (rng.getrandbits(20) * HOUR >> 20 < expected % HOUR)
    body = abs(close - open_)
    wick = max(body, open_ // 4_000) + 1
    up, down, size, tilt = rng.getrandbits(8), rng.getrandbits(8), rng.getrandbits(9), rng.getrandbits(8)
    if not count:
        return Bar(start, close, close, close, close, first=first)
    high, low = max(open_, close) + wick * up // 512, max(1, min(open_, close) - wick * down // 512)
    volume = count + count * max(0, rate.mean_size - 1) * (256 + size) // 512
    turnover = volume * ((high + low + 2 * close) // 4)
    return Bar(
        start,
        open_,
        high,
        low,
        close,
        volume,
        turnover,
        volume * (384 + tilt) // 1024,
        turnover * (384 + tilt) // 1024,
        count,
        first,
    )


def skipped(start: int, span: int, open_: int, close: int, rate: TradeRate, first: int) -> Bar:
    """One bar for a while that nobody looked at, between two prices, with the mean volume of ``span`` ms."""
    reach = max(abs(close - open_) // 4, open_ // 2_000) + 1
    count = rate.trades_per_hour * span // HOUR
    if not count:
        return Bar(start, open_, open_, open_, close=open_, first=first)
    high, low = max(open_, close) + reach, max(1, min(open_, close) - reach)
    volume = count * rate.mean_size
    turnover = volume * open_
    return Bar(start, open_, high, low, close, volume, turnover, volume // 2, volume * open_ // 2, count, first)
