"""What a client may ask for: so many requests a second, and so much work."""

from __future__ import annotations

from typing import Final

from cryptodash.core.time import Clock

CHANNELS_PER_TOKEN: Final = 50
BYTES_IN_PER_TOKEN: Final = 16 * 1024
BYTES_OUT_PER_TOKEN: Final = 64 * 1024
_ROUNDING: Final = 1e-9


class TokenBucket:
    """``take`` is False when the caller is over ``rate`` per second with all of ``burst`` used up."""

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock.monotonic()

    def take(self) -> bool:
        self._refill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now


class WorkBudget(TokenBucket):
    """What one client's messages make the server do, in tokens. It may be overdrawn, since what a request costs is
    known when it is done; who is in debt waits until it is paid."""

    def charge(self, tokens: float) -> None:
        """Something that costs so many tokens was done."""
        self._refill()
        self._tokens -= tokens

    def charge_channels(self, count: int) -> None:
        """A request is about so many channels."""
        self.charge(count / CHANNELS_PER_TOKEN)

    def charge_received(self, size: int) -> None:
        """So many bytes were received."""
        self.charge(size / BYTES_IN_PER_TOKEN)

    def charge_sent(self, size: int) -> None:
        """A request was answered with so many bytes."""
        self.charge(size / BYTES_OUT_PER_TOKEN)

    def seconds_in_debt(self) -> float:
        """How long until the debt is paid; 0 without one."""
        self._refill()
        return 0.0 if self._tokens >= -_ROUNDING else -self._tokens / self._rate
