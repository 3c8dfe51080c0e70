"""So many at once, and so many per second in the long run, for each of many."""

from __future__ import annotations

from cryptodash.core.time import Clock

_SLACK = 1e-6
KEPT = 50_000
"""Keys that are remembered at most; beyond it those that took something longest ago are forgotten."""


class Rations:
    """A token bucket for each key. One that is full again is forgotten."""

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        self._gap = 1.0 / rate
        self._burst_s = (burst - 1) / rate
        self._clock = clock
        self._full_at: dict[str, float] = {}
        """When each bucket would be full again; in the order in which something was taken last."""

    def __len__(self) -> int:
        return len(self._full_at)

    def has(self, key: str) -> bool:
        """Whether there is one to take."""
        full_at = self._full_at.get(key)
        return full_at is None or full_at <= self._clock.monotonic() + self._burst_s + _SLACK

    def take(self, key: str) -> None:
        """Take one, which must be there."""
        now = self._clock.monotonic()
        self._full_at[key] = max(now, self._full_at.pop(key, now)) + self._gap
        oldest = next(iter(self._full_at))
        if self._full_at[oldest] <= now or len(self._full_at) > KEPT:
            del self._full_at[oldest]
