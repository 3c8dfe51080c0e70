"""Which frames of a stream were dropped: they confirm nothing, and where nothing else comes, something is wrong."""

from __future__ import annotations


class DroppedFrames:
    """Frames of one stream that takers dropped (an old id, a time from the future). Times are monotonic."""

    def __init__(self) -> None:
        self.count = 0
        """How many."""
        self._newest = -1
        """Which of the stream's frames it was, counted as it counts them."""
        self._first_at: float | None = None
        self._last_at = 0.0
        """Since when, and until when, nothing came but what was dropped: of meaning if it began after the last frame
        that was not."""

    def add(self, frame: int, before: float | None, now: float) -> None:
        """The stream's frame of this number was dropped, the last that was not came at ``before``. Several takers may
        say so of one frame."""
        self.count += frame != self._newest
        self._newest = frame
        if self._first_at is None or (before is not None and self._first_at <= before):
            self._first_at = now
        self._last_at = now

    def holds(self, frame: int) -> bool:
        """Whether the stream's frame of this number is the one dropped last."""
        return frame == self._newest

    def contradict(self, last: float | None, seconds: float) -> bool:
        """Whether nothing came for so many seconds but what was dropped, since the ``last`` frame that was not."""
        first = self._first_at
        return first is not None and (last is None or first > last) and self._last_at - first >= seconds
