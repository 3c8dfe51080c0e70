"""Candles that agree with themselves: planned bars before the simulator's start, live bars made of the live trades
after it, and planned ones again of so long ago that the live ones are no longer kept."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from cryptodash.simulator.bars import Bar, merged
from cryptodash.simulator.history import HISTORY_DAYS, History
from cryptodash.simulator.intervals import BAR_LENGTHS, DAY, HOUR, MINUTE, QUARTER, closes, opens
from cryptodash.simulator.seconds import Seconds

_MOST_KEPT = 4_400
"""Live bars of each length that are kept."""


class Candles:
    """All bars of one instrument: history before the start, live bars after, the running minute at the end."""

    def __init__(self, history: History, start: int, price: int) -> None:
        self._history = history
        self._start = start - start % MINUTE
        self._live: dict[int, dict[int, Bar]] = {level: {} for level in BAR_LENGTHS}
        for level in BAR_LENGTHS[1:]:
            begin = self._start - self._start % level
            seed = merged(begin, history.upto(level, self._start))
            if seed is not None:
                self._live[level][seed.start] = seed
        self.minute = Bar(self._start, price, price, price, price)
        self._seconds = Seconds(history, self.minute.start, price)
        self.closed = 0
        """Minutes closed so far."""
        self._day: tuple[int, Bar | None] = (-1, None)

    @property
    def running(self) -> int:
        """The open time of the running second: bars of any interval that close at or before it are over."""
        return self._seconds.running.start

    def add(self, price: int, size: int, buy: bool, trade_id: int) -> None:
        """Take one trade in."""
        self.minute.add(price, size, buy, trade_id)
        self._seconds.add(price, size, buy, trade_id)

    def roll(self, now: int) -> None:
        """Close every minute and every second that is over at ``now`` (ms). Where that is earlier than before (the
        venue's clock was set back), the bars of that time go on."""
        if now < self.running:
            self._turn_back(now)
        self._roll_minutes(now)
        self._seconds.roll(now)

    def _turn_back(self, now: int) -> None:
        last = self.minute
        if now < last.start:
            self._fold(last)
            self.minute = Bar(now - now % MINUTE, last.close, last.close, last.close, last.close)
            self._day = (-1, None)
        self._seconds.turn_back(now)

    def _roll_minutes(self, now: int) -> None:
        while now >= self.minute.start + MINUTE:
            last = self.minute
            self._fold(last)
            self.minute = Bar(last.start + MINUTE, last.close, last.close, last.close, last.close)

    def jump(self, bars: list[Bar]) -> None:
        """Put ready minutes behind the running one (an instrument nobody looked at catches up)."""
        for bar in bars:
            self._roll_minutes(bar.start + MINUTE - 1)
            self.minute = merged(bar.start, (self.minute, bar)) or bar
        after = self.minute.start + MINUTE
        self._roll_minutes(after)
        self._seconds.restart(after, self.minute.close)

    def _fold(self, minute: Bar) -> None:
        self.closed += 1
        for level in BAR_LENGTHS:
            store = self._live[level]
            start = minute.start - minute.start % level
            known = store.get(start) or self._planned(level, start)
            store[start] = merged(start, (known, minute) if known else (minute,)) or minute
            if len(store) > _MOST_KEPT:
                del store[next(iter(store))]

    def bar(self, level: int, start: int) -> Bar | None:
        """The level's bar that opens at ``start``, the running one included; None where nothing is known."""
        if start > self.minute.start:
            return None
        stored = self._live[level].get(start) or self._planned(level, start)
        if start + level > self.minute.start:
            return merged(start, (stored, self.minute) if stored else (self.minute,))
        return stored

    def _planned(self, level: int, start: int) -> Bar | None:
        """The history's bar where none is kept of the live market: it is over since before the start, or for so long
        that what was kept of it has gone."""
        if start + level <= self._start:
            return self._history.bar(level, start)
        store = self._live[level]
        forgotten = len(store) >= _MOST_KEPT and start < next(iter(store))
        return self._history.bar(level, start) if forgotten else None

    def candle(self, interval: str, start: int) -> Bar | None:
        """The candle of an interval (``1s`` .. ``1M``) that opens at ``start``."""
        if interval == "1s":
            return self._seconds.bar(start, self.bar(MINUTE, start - start % MINUTE))
        end = closes(interval, start)
        level = next(each for each in reversed(BAR_LENGTHS) if (end - start) % each == 0)
        if end - start == level:
            return self.bar(level, start)
        return merged(start, (bar for at in range(start, end, level) if (bar := self.bar(level, at)) is not None))

    def candles(self, interval: str, begin: int | None, end: int, limit: int) -> list[Bar]:
        """Up to ``limit`` candles, oldest first: those from ``begin`` on, or without it the last ones
        that open at or before ``end`` (ms)."""
        newest = opens(interval, min(end, self.running))
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
        """The last 24 hours, to the minute: 1,439 closed minutes and the running one. They close at the newest trade's
        price, also where the running minute is lived through again and holds trades of before."""
        begin = self.minute.start - DAY + MINUTE
        if self._day[0] != begin:
            self._day = (begin, merged(begin, self._closed(begin)))
        rest = self._day[1]
        running = self.bar(MINUTE, self.minute.start) or self.minute
        day = merged(begin, (rest, running) if rest else (running,)) or running
        last = self.minute.close
        return evolve(day, close=last, high=max(day.high, last), low=min(day.low, last))

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
