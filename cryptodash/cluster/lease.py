"""Who may open a venue and speak of it: one process at a time, for as long as Redis says so.

Pure: times are seconds of the monotonic clock, which goes on while the machine sleeps.
"""

from __future__ import annotations

import enum
from typing import Final

TTL_S: Final = 5.0
"""After so long without a renewal Redis gives the lease to whoever asks."""
MARGIN_S: Final = 1.5
"""So much earlier its holder stops speaking: what it has sent must have come to Redis by then."""
RENEW_S: Final = 1.5
TRY_S: Final = 1.0
"""Between two attempts to get a lease that another has."""
PER_LEASE_S: Final = 0.5
"""So much later asks who holds one already, for each that it holds: leases spread by themselves."""


class Standing(enum.Enum):
    """What a process is to a venue."""

    FOLLOWER = "follower"
    HOLDER = "holder"
    UNSURE = "unsure"
    """It was the holder, and Redis has not said for too long that it still is: it serves its own clients only."""


class Lease:
    """One venue's lease, as one process knows it."""

    def __init__(self, process: str) -> None:
        self.process = process
        self._fence: int | None = None
        self._until = 0.0

    @property
    def fence(self) -> int | None:
        """Of the lease that we have, or had when Redis was last heard of."""
        return self._fence

    @property
    def token(self) -> str:
        """What stands in Redis while it is ours."""
        return token_of(self.process, self._fence or 0)

    def standing(self, now: float) -> Standing:
        if self._fence is None:
            return Standing.FOLLOWER
        return Standing.HOLDER if now < self._until else Standing.UNSURE

    def granted(self, fence: int, sent: float) -> None:
        """Redis has given it to us; we asked at ``sent``."""
        self._fence = fence
        self._until = sent + TTL_S - MARGIN_S

    def renewed(self, sent: float) -> None:
        """It is still ours, as of when we asked."""
        if self._fence is not None:
            self._until = max(self._until, sent + TTL_S - MARGIN_S)

    def lost(self) -> None:
        """It is not ours: Redis has said so, or we gave it back."""
        self._fence = None
        self._until = 0.0


def token_of(process: str, fence: int) -> str:
    """What stands in Redis while the process has the lease."""
    return f"{process}:{fence}"


def read_token(text: bytes) -> tuple[str, int]:
    """The process and the fence in what stands in Redis. Raises ``ValueError``."""
    process, found, fence = text.decode().rpartition(":")
    if not found or not process:
        raise ValueError(f"not a lease: {text[:60]!r}")
    return process, int(fence)
