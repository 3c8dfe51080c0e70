"""Whether a client reads: what is queued for it becomes less."""

from __future__ import annotations

from typing import Final, NamedTuple

LEAST_SLICE: Final = 4 * 1024
MOST_SLICE: Final = 64 * 1024
SLICE_S: Final = 0.5
"""How long what is written at once to a client that is behind should take to leave: it grows old meanwhile."""


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
        """When it has last read something, or was full; seconds, monotonic."""
        self.read_at = float("-inf")
        """When it was last seen reading while it was behind."""
        self._left = 0
        self._behind = False

    def begin(self, queued: Queued, now: float) -> None:
        """From now on it cannot be written to: its time runs."""
        self.at = now
        self._left = sum(queued)
        self._behind = self._left >= LEAST_SLICE

    def drained(self, now: float) -> None:
        """Its transport has got rid of everything."""
        if self._behind:
            self.read_at = now

    def look(self, queued: Queued, now: float) -> None:
        """So much is queued now. A frame of ours that came on top hides no more than its own size."""
        left = sum(queued)
        if left < self._left:
            self.at = now
            if self._behind:
                self.read_at = now
        self._left = left


def next_slice(before: int, drained: int, seconds: float) -> int:
    """Bytes to write at once to a client that got slices of ``before``, whose transport has just got rid of so many in
    so long. At most twice as many: what went quickly may have gone into a buffer. Little that takes long tells no pace,
    for the kernel takes more only once a good part of its buffer is free; it is no reason for more either."""
    least = 0 if drained >= LEAST_SLICE else before // 2
    return min(max(least, slice_size(drained, seconds)), 2 * before, MOST_SLICE)


def slice_size(drained: int, seconds: float) -> int:
    """As many as leave in ``SLICE_S`` at that pace."""
    if drained * SLICE_S >= MOST_SLICE * seconds:
        return MOST_SLICE
    return max(LEAST_SLICE, int(drained * SLICE_S / seconds))
