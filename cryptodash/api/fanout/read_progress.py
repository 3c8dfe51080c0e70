"""Whether a client reads: what is queued for it becomes less."""

from __future__ import annotations

from typing import NamedTuple


class Queued(NamedTuple):
    """Bytes that were written for a client and have not reached it."""

    in_transport: int
    """Not handed to the kernel yet."""
    in_kernel: int
    """Handed to the kernel and not acknowledged by the peer; 0 where the kernel cannot be asked."""


class ReadProgress:
    """When a client that cannot be written to has last read something.

    What leaves the transport alone does not tell it: the kernel takes more only once a good part of its buffer is free,
    which a client that reads 4 kB/s needs half a minute for. What cannot be seen is what the client's own kernel holds
    for it: that says that it has room again once it has freed a whole packet buffer (about 24 kB from a network; 64 kB
    and more on loopback, where packets have no size), and a sixteenth of its window.
    """

    def __init__(self) -> None:
        self.at = float("-inf")
        """Seconds, monotonic."""
        self._left = 0

    def begin(self, queued: Queued, now: float) -> None:
        """From now on it cannot be written to: its time runs."""
        self.at = now
        self._left = sum(queued)

    def look(self, queued: Queued, now: float) -> None:
        """So much is queued now. A frame of ours that came on top hides no more than its own size."""
        left = sum(queued)
        if left < self._left:
            self.at = now
        self._left = left
