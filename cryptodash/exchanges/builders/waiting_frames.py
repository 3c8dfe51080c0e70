"""Book frames that wait for a snapshot: bounded for each book, and for all books of a process together."""

from __future__ import annotations

from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.messages import Depth

MAX_FRAMES = 5_000
"""Frames one book keeps while a snapshot is on its way."""
MAX_BYTES = 8 * 1024 * 1024
"""What those frames may weigh, estimated."""
MAX_BYTES_OF_ALL = 64 * 1024 * 1024
"""What the frames of all books of a process may weigh together."""

_FRAME_BYTES = 250
_LEVEL_BYTES = 200


class FrameBudget:
    """What all waiting frames of a process weigh (``bytes``, estimated), and the bound on it.

    Over it the heaviest book gives way: that frees the most for one wait that begins anew, that book has waited the
    longest for its traffic, and one with few frames never pays for the many of another.
    """

    def __init__(self, limit: int = MAX_BYTES_OF_ALL, tally: Tally | None = None) -> None:
        self.bytes = 0
        self._limit = limit
        tally = tally or Tally()
        tally.gauge(
            "cryptodash_book_waiting_bytes",
            "Book frames that wait for a snapshot, over all exchanges (estimated).",
            lambda: {(): self.bytes},
        )
        self._gave_way = tally.counter(
            "cryptodash_book_frames_given_way_total",
            "Order books that lost the frames they kept for a snapshot to the bound on all of them.",
        )
        self._waiting: dict[Frames, None] = {}

    @property
    def given_way(self) -> int:
        """How many books lost their frames to the bound."""
        return self._gave_way.values[()]

    def added(self, frames: Frames, size: int) -> None:
        """One frame more of that book."""
        self.bytes += size
        self._waiting[frames] = None
        while self.bytes > self._limit:
            self._gave_way.add()
            max(self._waiting, key=lambda each: each.bytes).give_way()

    def freed(self, frames: Frames) -> None:
        """Those of that book are gone."""
        self.bytes -= frames.bytes
        self._waiting.pop(frames, None)


class Frames:
    """The frames of one book, in order. ``clear`` frees them: whoever lets go of them must call it."""

    __slots__ = ("_budget", "bytes", "frames", "is_void")

    def __init__(self, budget: FrameBudget) -> None:
        self.frames: list[Depth] = []
        self.bytes = 0
        self.is_void = False
        """Whether they had to give way: some are missing, so none will be taken."""
        self._budget = budget

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def newest(self) -> Depth:
        return self.frames[-1]

    def add(self, depth: Depth) -> bool:
        """Whether there was room."""
        size = _FRAME_BYTES + _LEVEL_BYTES * (len(depth.bids) + len(depth.asks))
        if self.is_void or len(self.frames) >= MAX_FRAMES or self.bytes + size > MAX_BYTES:
            return False
        self.frames.append(depth)
        self.bytes += size
        self._budget.added(self, size)
        return not self.is_void

    def anew(self) -> Frames:
        """The same place, empty."""
        return Frames(self._budget)

    def give_way(self) -> None:
        """Lose all, for the bound on all books."""
        self.clear()
        self.is_void = True

    def clear(self) -> None:
        """Forget all."""
        self._budget.freed(self)
        self.frames = []
        self.bytes = 0
