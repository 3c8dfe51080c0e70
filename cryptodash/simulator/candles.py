"""Candles that agree with themselves: years of history made up on demand, live bars made of the live trades.

History is made from the coarse to the fine: days first, and only when somebody looks, a day is split into hours, an
hour into quarters, a quarter into minutes, so that every coarse bar is exactly the sum of its parts and a thousand
daily bars cost a thousand draws. All numbers are integers: ticks, steps, and ticks times steps for turnover.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from random import Random

from attrs import define

MINUTE = 60_000
QUARTER = 15 * MINUTE
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LEVELS = (MINUTE, QUARTER, HOUR, DAY)
HISTORY_DAYS = 1_100

_PARENT = {MINUTE: QUARTER, QUARTER: HOUR, HOUR: DAY}
_MAX_SPLITS = 3_000
_KEEP = {MINUTE: 4_400, QUARTER: 4_400, HOUR: 4_400, DAY: 4_400}
_SIGMA_PPB = {MINUTE: 490_000, QUARTER: 1_900_000, HOUR: 3_800_000, DAY: 19_000_000}
GAUSS_SCALE = 37_837
"""Standard deviation of ``gauss``."""

_WEEK_START = 4 * DAY  # 1970-01-05 was a Monday
_SPANS = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": QUARTER,
    "30m": 2 * QUARTER,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": 7 * DAY,
}
INTERVALS = (*_SPANS, "1M")


def gauss(rng: Random) -> int:
    """A bell-shaped integer with mean zero and standard deviation 37,837, in four draws."""
    bits = rng.getrandbits
    return bits(16) + bits(16) + bits(16) + bits(16) - 131_070


def moved(price: int, sigma_ppb: int, rng: Random) -> int:
    """The price after one random move of that relative size."""
    change = price * sigma_ppb * gauss(rng)
    scale = GAUSS_SCALE * 10**9
    return price + (change + scale // 2) // scale


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
class Pace:
    """How busy an instrument is: trades per hour and the mean size of one in steps."""

    trades_per_hour: int
    mean_size: int


def drawn(start: int, span: int, open_: int, close: int, pace: Pace, rng: Random, first: int) -> Bar:
    """One bar between two prices with the volume such an instrument has in ``span`` ms. The count is drawn first, so
    that ids can be counted back."""
    jitter = 512 + rng.getrandbits(10)
    expected = pace.trades_per_hour * span * jitter // 1024
    count = expected // HOUR + (rng.getrandbits(20) * HOUR >> 20 < expected % HOUR)
    body = abs(close - open_)
    wick = max(body, open_ // 4_000) + 1
    up, down, size, tilt = rng.getrandbits(8), rng.getrandbits(8), rng.getrandbits(9), rng.getrandbits(8)
    if not count:
        return Bar(start, close, close, close, close, first=first)
    high, low = max(open_, close) + wick * up // 512, max(1, min(open_, close) - wick * down // 512)
    volume = count + count * max(0, pace.mean_size - 1) * (256 + size) // 512
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


class History:
    """Bars before the simulator started, walking back from the starting price.

    ``key`` seeds the shape: instruments of the same pair on different venues share it and so
    have nearly the same chart.
    """

    def __init__(self, key: str, pace: Pace, price: int, start: int, first_id: int) -> None:
        """``start`` is a full minute (ms); ``first_id`` the id of the first live trade."""
        self._key = key
        self._pace = pace
        self._start = start
        self._direct: dict[int, dict[int, Bar]] = {level: {} for level in LEVELS}
        self._splits: OrderedDict[tuple[int, int], list[Bar]] = OrderedDict()
        self._walk_back(price, first_id)

    def _walk_back(self, price: int, next_id: int) -> None:
        rng = Random(f"{self._key}:back")
        ends = [self._start, *(self._start - self._start % level for level in LEVELS[1:])]
        begins = [*ends[1:], ends[-1] - HISTORY_DAYS * DAY]
        floor, ceiling = max(1, price // 6), price * 6
        for level, end, begin in zip(LEVELS, ends, begins, strict=True):
            at = end
            while at > begin:
                at -= level
                before = min(ceiling, max(floor, moved(price, _SIGMA_PPB[level], rng)))
                bar = drawn(at, level, before, price, self._pace, rng, 0)
                bar.first = next_id = next_id - bar.count
                self._direct[level][at] = bar
                price = bar.open

    def bar(self, level: int, start: int) -> Bar | None:
        """The bar of a level (ms) that opens at ``start``; None before the listing and from
        the simulator's start on."""
        if start >= self._start:
            return None
        found = self._direct[level].get(start)
        if found is not None or level == DAY:
            return found
        parent_level = _PARENT[level]
        parent_start = start - start % parent_level
        parts = self._splits.get((parent_level, parent_start))
        if parts is None:
            parts = self._split(parent_level, parent_start, level)
        return parts[(start - parent_start) // level] if parts else None

    def _split(self, level: int, start: int, part: int) -> list[Bar]:
        parent = self.bar(level, start)
        if parent is None:
            return []
        parts = split(parent, level // part, part, Random(f"{self._key}:{level}:{start}"))
        self._splits[level, start] = parts
        if len(self._splits) > _MAX_SPLITS:
            self._splits.popitem(last=False)
        return parts

    def unfinished(self, level: int) -> Bar | None:
        """What had happened of the level's bar that was running when the simulator started."""
        start = self._start - self._start % level
        parts = [bar for finer in LEVELS if finer < level for bar in self._direct[finer].values() if bar.start >= start]
        return merged(start, sorted(parts, key=lambda bar: bar.start))


class Candles:
    """All bars of one instrument: history before the start, live bars after, the running minute at the end."""

    def __init__(self, history: History, start: int, price: int) -> None:
        self._history = history
        self._live: dict[int, dict[int, Bar]] = {level: {} for level in LEVELS}
        for level in LEVELS[1:]:
            seed = history.unfinished(level)
            if seed is not None:
                self._live[level][seed.start] = seed
        self.minute = Bar(start - start % MINUTE, price, price, price, price)
        self.closed = 0
        """Minutes closed so far."""
        self._day: tuple[int, Bar | None] = (-1, None)

    def roll(self, now: int) -> None:
        """Close every minute that is over at ``now`` (ms)."""
        while now >= self.minute.start + MINUTE:
            last = self.minute
            self._fold(last)
            self.minute = Bar(last.start + MINUTE, last.close, last.close, last.close, last.close)

    def jump(self, bars: list[Bar]) -> None:
        """Put ready minutes behind the running one (an instrument nobody looked at catches up)."""
        for bar in bars:
            self.roll(bar.start + MINUTE - 1)
            self.minute = merged(bar.start, (self.minute, bar)) or bar

    def _fold(self, minute: Bar) -> None:
        self.closed += 1
        for level in LEVELS:
            store = self._live[level]
            start = minute.start - minute.start % level
            known = store.get(start)
            store[start] = merged(start, (known, minute) if known else (minute,)) or minute
            if len(store) > _KEEP[level]:
                del store[next(iter(store))]

    def bar(self, level: int, start: int) -> Bar | None:
        """The level's bar that opens at ``start``, the running one included; None where nothing is known."""
        if start > self.minute.start:
            return None
        stored = self._live[level].get(start)
        if start + level > self.minute.start:
            return merged(start, (stored, self.minute) if stored else (self.minute,))
        return stored or self._history.bar(level, start)

    def candle(self, interval: str, start: int) -> Bar | None:
        """The candle of an interval (``1m`` .. ``1M``) that opens at ``start``."""
        end = closes(interval, start)
        level = next(each for each in reversed(LEVELS) if (end - start) % each == 0)
        if end - start == level:
            return self.bar(level, start)
        return merged(start, (bar for at in range(start, end, level) if (bar := self.bar(level, at)) is not None))

    def candles(self, interval: str, begin: int | None, end: int, limit: int) -> list[Bar]:
        """Up to ``limit`` candles, oldest first: those from ``begin`` on, or without it the last ones
        that open at or before ``end`` (ms)."""
        newest = opens(interval, min(end, self.minute.start))
        if begin is None:
            return list(_taken(self._backwards(interval, newest), limit))[::-1]
        at = opens(interval, begin)
        at = at if at >= begin else closes(interval, at)
        at = max(at, opens(interval, self.minute.start - HISTORY_DAYS * DAY))
        return list(_taken(self._forwards(interval, at, newest), limit))

    def _backwards(self, interval: str, at: int) -> Iterator[Bar]:
        while (bar := self.candle(interval, at)) is not None:
            yield bar
            at = opens(interval, at - 1)

    def _forwards(self, interval: str, at: int, newest: int) -> Iterator[Bar]:
        while at <= newest:
            bar = self.candle(interval, at)
            if bar is not None:
                yield bar
            at = closes(interval, at)

    def day(self) -> Bar:
        """The last 24 hours, to the minute: 1,439 closed minutes and the running one."""
        begin = self.minute.start - DAY + MINUTE
        if self._day[0] != begin:
            self._day = (begin, merged(begin, self._closed(begin)))
        rest = self._day[1]
        return merged(begin, (rest, self.minute) if rest else (self.minute,)) or self.minute

    def _closed(self, begin: int) -> Iterator[Bar]:
        at, end = begin, self.minute.start
        while at < end:
            level = next(each for each in (HOUR, QUARTER, MINUTE) if at % each == 0 and at + each <= end)
            bar = self.bar(level, at)
            if bar is not None:
                yield bar
            at += level


def _taken(bars: Iterator[Bar], limit: int) -> Iterator[Bar]:
    for _, bar in zip(range(limit), bars, strict=False):
        yield bar


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def opens(interval: str, at: int) -> int:
    """The open time (ms UTC) of the interval's bar that holds ``at``; weeks open on Monday, months on the first."""
    if interval == "1M":
        moment = _EPOCH + timedelta(milliseconds=at)
        return _ms(moment.year, moment.month)
    span = _SPANS[interval]
    if interval == "1w":
        return at - (at - _WEEK_START) % span
    return at - at % span


def closes(interval: str, start: int) -> int:
    """The end (exclusive, ms) of the bar that opens at ``start``."""
    if interval != "1M":
        return start + _SPANS[interval]
    moment = _EPOCH + timedelta(milliseconds=start)
    return _ms(moment.year + moment.month // 12, moment.month % 12 + 1)


def _ms(year: int, month: int) -> int:
    return (datetime(year, month, 1, tzinfo=timezone.utc) - _EPOCH) // timedelta(milliseconds=1)
