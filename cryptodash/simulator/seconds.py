"""Bars of a second: those of the live trades, and for minutes longer ago the minute's bar in sixty parts.

A second without a trade has a bar too, flat at the last price.
"""

from __future__ import annotations

from operator import attrgetter
from zlib import compress, decompress

import attrs
import msgspec

from cryptodash.simulator.bars import Bar, merged
from cryptodash.simulator.history import History
from cryptodash.simulator.intervals import MINUTE, SECOND

_MINUTES_KEPT = 17
"""Minutes whose live seconds are kept beside the newest one: the thousand bars of a REST answer."""
_FIELDS = attrgetter(*(each.name for each in attrs.fields(Bar)))


class Seconds:
    """The running second and those before it, of one instrument."""

    def __init__(self, history: History, minute: int, price: int) -> None:
        """From the beginning of a minute (ms) on."""
        self._history = history
        self.running = _flat(minute, price)
        self._live = _LiveMinutes(minute)
        self._parts: tuple[Bar | None, list[Bar]] = (None, [])
        """The minute that was split last."""

    def add(self, price: int, size: int, buy: bool, trade_id: int) -> None:
        """Take one trade in."""
        self.running.add(price, size, buy, trade_id)

    def roll(self, now: int) -> None:
        """Close every second that is over at ``now`` (ms)."""
        while now >= self.running.start + SECOND:
            last = self.running
            self._keep(last)
            self.running = _flat(last.start + SECOND, last.close)

    def _keep(self, bar: Bar) -> None:
        minute = bar.start - bar.start % MINUTE
        seconds = self._live.open(minute)
        known = seconds.get(bar.start)
        if known or bar.count or bar.start == minute:
            seconds[bar.start] = (merged(bar.start, (known, bar)) or bar) if known else bar

    def _lived(self, start: int) -> Bar | None:
        """The bar of a second that was lived through."""
        seconds = self._live.seconds(start - start % MINUTE)
        known = seconds.get(start)
        if known is None and (before := max((each for each in seconds if each < start), default=None)) is not None:
            return _flat(start, seconds[before].close)
        return known

    def turn_back(self, now: int) -> None:
        """The second that holds ``now`` (ms), which is over already, goes on."""
        self._keep(self.running)
        self.running = _flat(now - now % SECOND, self.running.close)

    def restart(self, minute: int, price: int) -> None:
        """The minutes before this one (ms) were made up as a whole, without single trades."""
        self._live = _LiveMinutes(minute)
        self.running = _flat(minute, price)

    def bar(self, start: int, minute: Bar | None) -> Bar | None:
        """The bar that opens at ``start``, the running one included; ``minute`` is the bar of its minute. None where
        nothing is known."""
        if start > self.running.start:
            return None
        if start == self.running.start:
            known = self._live.seconds(start - start % MINUTE).get(start)
            return merged(start, (known, self.running)) if known else self.running
        known = self._lived(start)
        if known is not None or minute is None:
            return known
        if self._parts[0] != minute:
            self._parts = (minute, self._history.seconds(minute))
        return self._parts[1][(start - minute.start) // SECOND]


class _LiveMinutes:
    """The bars of live seconds by minute, by their open time; of those without a trade only a minute's first is kept. A
    minute is live as a whole or not at all, but for one that is lived through again because the venue's clock was set
    back. All but the newest are packed: as objects those of a hundred instruments would take 40 MB."""

    def __init__(self, minute: int) -> None:
        self._packed: dict[int, bytes] = {}
        self._newest: tuple[int, dict[int, Bar]] = (minute, {})
        self._read: tuple[int, dict[int, Bar]] = self._newest
        """The packed minute that was asked for last."""

    def open(self, minute: int) -> dict[int, Bar]:
        """A minute's bars, to be changed."""
        if self._newest[0] != minute:
            before, bars = self._newest
            self._packed[before] = compress(msgspec.msgpack.encode([_FIELDS(each) for each in bars.values()]), 1)
            self._newest = self._read = (minute, self.seconds(minute))
            self._packed.pop(minute, None)
            if len(self._packed) >= _MINUTES_KEPT:
                del self._packed[next(iter(self._packed))]
        return self._newest[1]

    def seconds(self, minute: int) -> dict[int, Bar]:
        """A minute's bars, to be read; empty for one that is not live."""
        for known, bars in (self._newest, self._read):
            if known == minute:
                return bars
        packed = self._packed.get(minute)
        if packed is None:
            return {}
        self._read = (
            minute,
            {bar.start: bar for bar in (Bar(*each) for each in msgspec.msgpack.decode(decompress(packed)))},
        )
        return self._read[1]


def _flat(start: int, price: int) -> Bar:
    return Bar(start, price, price, price, price)
