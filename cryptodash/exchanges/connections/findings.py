"""What the takers of a stream find in its frames, for the ledger."""

from __future__ import annotations

from cryptodash.core.quality import Count, StreamRecord


class Findings:
    """Counts what several takers find in one frame once."""

    def __init__(self, record: StreamRecord) -> None:
        self._record = record
        self._frame = -1
        """Which of the stream's frames they are of."""
        self._counted: dict[Count, int] = {}

    def add(self, frame: int, what: Count, times: int) -> int:
        """A taker found this in the stream's frame of this number, the newest. It counts as often as the taker says who
        says most; how often that is more than was counted."""
        if self._frame != frame:
            self._frame = frame
            self._counted.clear()
        more = times - self._counted.get(what, 0)
        if more <= 0:
            return 0
        self._counted[what] = times
        self._record.count(what, more)
        return more
