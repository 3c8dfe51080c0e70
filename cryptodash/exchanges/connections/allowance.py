"""What a venue allows at most so often: connection attempts to one host, subscribe requests on one connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from cryptodash.exchanges.adapter.venue import Rate


class Allowance:
    """Several rates that hold at once, each over a window that slides: no stretch of ``per`` seconds, wherever it lies,
    holds more than ``count``."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._windows = [(rate.per, deque[float](maxlen=rate.count)) for rate in rates]

    def free_at(self) -> float:
        """Monotonic time from which the next one is allowed."""
        full = [times[0] + per for per, times in self._windows if len(times) == times.maxlen]
        return max(full, default=0.0)

    def left(self, now: float) -> float:
        """How many are allowed at once now."""
        rooms = [(times.maxlen or 0) - sum(each + per > now for each in times) for per, times in self._windows]
        return min(rooms, default=float("inf"))

    def take(self, now: float) -> None:
        """Count one."""
        for _, times in self._windows:
            times.append(now)
