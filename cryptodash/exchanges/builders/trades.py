"""The trades of one instrument, each once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cryptodash.core.events import Trade
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Fill

KNOWN_IDS = 10_000
"""Trade ids remembered where the venue does not count its trades."""
KNOWN_HOLES = 1_000
"""Numbers of trades remembered that were passed over."""
RESTART_MS = 60_000
"""A trade this much newer than the newest with a lower number: the venue counts anew."""


class TradeBuilder:
    """The trades of one instrument, each once. They are told as they come:
    one that the venue sends late is told late."""

    def __init__(self, topic: Topic) -> None:
        self.missed = 0
        """Trades that the venue's count says exist and that we have never seen."""
        self.late = 0
        """Trades among those that came after all, out of their turn."""
        self._topic = topic
        self._number: int | None = None
        self._time = 0
        self._holes: dict[int, None] = {}
        """The newest numbers passed over: their trades may still come."""
        self._order: deque[str] = deque()
        self._ids: set[str] = set()

    @property
    def number(self) -> int | None:
        """The venue's number of the newest trade, where it counts."""
        return self._number

    def fills(self, fills: Sequence[Fill], received: int) -> list[Trade]:
        """The trades among these that are new. ``received`` is when their frame came, in our wall clock (ms)."""
        topic = self._topic
        return [
            Trade(topic, each.time, received, each.id, each.price, each.quantity, each.side)
            for each in fills
            if self._is_new(each)
        ]

    def _is_new(self, fill: Fill) -> bool:
        if fill.number is None:
            return self._is_new_id(fill.id)
        last = self._number
        if last is not None:
            if fill.number <= last and fill.time < self._time + RESTART_MS:
                return self._fills_a_hole(fill.number)
            if fill.number > last + 1:
                self._pass_over(last + 1, fill.number)
        self._number, self._time = fill.number, fill.time
        return True

    def _pass_over(self, first: int, end: int) -> None:
        self.missed += end - first
        for number in range(max(first, end - KNOWN_HOLES), end):
            self._holes[number] = None
        while len(self._holes) > KNOWN_HOLES:
            del self._holes[next(iter(self._holes))]

    def _fills_a_hole(self, number: int) -> bool:
        if number not in self._holes:
            return False
        del self._holes[number]
        self.missed -= 1
        self.late += 1
        return True

    def _is_new_id(self, trade_id: str) -> bool:
        if trade_id in self._ids:
            return False
        if len(self._order) >= KNOWN_IDS:
            self._ids.discard(self._order.popleft())
        self._order.append(trade_id)
        self._ids.add(trade_id)
        return True
