"""The orders that take from one instrument's book, as its history plans them: all that was, is and will be traded."""

from __future__ import annotations

from collections import deque
from random import Random

from attrs import frozen

from cryptodash.simulator.bars import Bar, shares
from cryptodash.simulator.history import History
from cryptodash.simulator.intervals import MINUTE, SECOND


@frozen
class Order:
    """A taker's order: when it comes (ms, by the simulator's clock), its fills in steps, oldest first."""

    time: int
    buy: bool
    fills: tuple[int, ...]


class OrderFlow:
    """Gives each order once, in the order of time. The fills of a minute are exactly as many as its bar in the history
    says, and have exactly its volume."""

    def __init__(self, history: History, key: str, start: int) -> None:
        """``start`` is a full minute (ms)."""
        self._history = history
        self._key = key
        self._due: deque[Order] = deque()
        self._seconds: list[Bar] = []
        self._next = start
        """The first second whose orders are not known yet."""

    def restart(self, start: int) -> None:
        """Go on at a full minute (ms): what is before it is passed over."""
        self._due.clear()
        self._next = start

    def until(self, time: int) -> list[Order]:
        """The orders that have come up to ``time`` (ms) since the last call."""
        while self._next <= time:
            self._due.extend(self._of_second(self._next))
            self._next += SECOND
        taken = []
        while self._due and self._due[0].time <= time:
            taken.append(self._due.popleft())
        return taken

    def _of_second(self, start: int) -> list[Order]:
        if not start % MINUTE:
            minute = self._history.bar(MINUTE, start)
            self._seconds = self._history.seconds(minute) if minute is not None else []
        bar = self._seconds[start % MINUTE // SECOND] if self._seconds else None
        return _orders(bar, Random(f"{self._key}:orders:{start}")) if bar is not None and bar.count else []


def _orders(bar: Bar, rng: Random) -> list[Order]:
    """A second's fills in orders of one or two, the sizes few large and many small."""
    bits = rng.getrandbits
    weights = [1 + bits(8) * (1 + bits(8)) for _ in range(bar.count)]
    sizes = [1 + each for each in shares(bar.volume - bar.count, weights)]
    times = sorted(bar.start + rng.randrange(SECOND) for _ in sizes)
    orders, at = [], 0
    while at < len(sizes):
        fills = 1 if bits(2) else 2
        buy = rng.randrange(bar.volume) < bar.buy_volume
        orders.append(Order(times[at], buy, tuple(sizes[at : at + fills])))
        at += fills
    return orders
