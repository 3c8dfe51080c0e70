"""Which frames of a stream were dropped, or could not be read: they confirm nothing, and where nothing else comes,
something is wrong."""

from __future__ import annotations


class DroppedFrames:
    """Frames of one stream that takers dropped (an old id, a time from the future), and whether the newest could not be
    read. Times are monotonic; ``last`` is when a frame last came that was taken."""

    def __init__(self) -> None:
        self.count = 0
        """How many were dropped."""
        self._newest = -1
        """Which of the stream's frames was dropped last, counted as the stream counts them."""
        self._first_at: float | None = None
        self._last_at = 0.0
        """Since when, and until when, nothing came but what was dropped: of meaning if it began after ``last``."""
        self._unread_since = float("-inf")
        """When the first frame came that could not be read, of those after ``last``."""

    def add(self, frame: int, last: float | None, now: float) -> None:
        """The stream's frame of this number was dropped. Several takers may say so of one frame."""
        self.count += frame != self._newest
        self._newest = frame
        if self._first_at is None or (last is not None and self._first_at <= last):
            self._first_at = now
        self._last_at = now

    def unread(self, last: float | None, now: float) -> None:
        """A frame could not be read."""
        if last is None or self._unread_since <= last:
            self._unread_since = now

    def unread_since(self, last: float) -> float:
        """Since when what was taken ``last`` is out of date, because something newer could not be read; infinite where
        nothing was."""
        return self._unread_since if self._unread_since > last else float("inf")

    def holds(self, frame: int) -> bool:
        """Whether the stream's frame of this number is the one dropped last."""
        return frame == self._newest

    def contradict(self, last: float | None, seconds: float) -> bool:
        """Whether something came since ``last`` that could not be read, or for so many seconds nothing but what was
        dropped."""
        if last is not None and self.unread_since(last) < float("inf"):
            return True
        first = self._first_at
        return first is not None and (last is None or first > last) and self._last_at - first >= seconds
