"""Bars of a second: those of the live trades, and for minutes longer ago the minute's bar in sixty parts.

A second without a trade has a bar too, flat at the last price.
"""

from __future__ import annotations

from cryptodash.simulator.bars import Bar, merged
from cryptodash.simulator.history import History
from cryptodash.simulator.intervals import MINUTE, SECOND

_MINUTES_KEPT = 20
"""Minutes whose live seconds are kept: more than the thousand bars of a REST answer."""


class Seconds:
    """The running second and those before it, of one instrument."""

    def __init__(self, history: History, minute: int, price: int) -> None:
        """From the beginning of a minute (ms) on."""
        self._history = history
        self.running = _flat(minute, price)
        self._live: dict[int, dict[int, Bar]] = {minute: {}}
        """By minute, by their open time; of those without a trade only a minute's first is kept. A minute is live as a
        whole or not at all, but for one that is lived through again because the venue's clock was set back."""
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
        seconds = self._live.setdefault(minute, {})
        known = seconds.get(bar.start)
        if not bar.count and known is None and bar.start != minute:
            return
        seconds[bar.start] = (merged(bar.start, (known, bar)) or bar) if known else bar
        if len(self._live) > _MINUTES_KEPT:
            del self._live[next(iter(self._live))]

    def _lived(self, start: int) -> Bar | None:
        """The bar of a second that was lived through."""
        seconds = self._live.get(start - start % MINUTE, {})
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
        self._live = {minute: {}}
        self.running = _flat(minute, price)

    def bar(self, start: int, minute: Bar | None) -> Bar | None:
        """The bar that opens at ``start``, the running one included; ``minute`` is the bar of its minute. None where
        nothing is known."""
        if start > self.running.start:
            return None
        if start == self.running.start:
            known = self._live.get(start - start % MINUTE, {}).get(start)
            return merged(start, (known, self.running)) if known else self.running
        known = self._lived(start)
        if known is not None or minute is None:
            return known
        if self._parts[0] != minute:
            self._parts = (minute, self._history.seconds(minute))
        return self._parts[1][(start - minute.start) // SECOND]


def _flat(start: int, price: int) -> Bar:
    return Bar(start, price, price, price, price)
