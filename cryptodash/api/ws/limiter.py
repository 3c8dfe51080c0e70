"""A token bucket: so many per second in the long run, a burst at once."""

from __future__ import annotations

from cryptodash.core.time import Clock


class TokenBucket:
    """``take`` is False when the caller is over ``rate`` per second with all of ``burst`` used up."""

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock.monotonic()

    def take(self) -> bool:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
