"""What is counted of frames that are not believed at once, or that say nothing new (``plausibility.py``)."""

from __future__ import annotations

import enum

from cryptodash.core.quality import Count
from cryptodash.core.tally import Tally


class Reason(enum.Enum):
    """Why a frame is held or dropped: also the word of the metrics."""

    FUTURE_ID = "future_id"
    FUTURE_TIME = "future_time"
    OLD_ID = "old_id"
    OLD_TIME = "old_time"


_COUNTED_AS = {
    Reason.FUTURE_ID: Count.IMPLAUSIBLE,
    Reason.FUTURE_TIME: Count.IMPLAUSIBLE,
    Reason.OLD_ID: Count.OUT_OF_ORDER,
    Reason.OLD_TIME: Count.OUT_OF_ORDER,
}


class DoubtCounts:
    """Counts what was held, dropped and repeated, for one exchange and kind of stream."""

    def __init__(self, exchange: str, kind: str, tally: Tally) -> None:
        self.news: dict[Count, int] = {}
        """What was counted since somebody took it for the ledger; who takes it empties it."""
        self._labels = exchange, kind
        self._held = tally.counter(
            "cryptodash_frames_held_total",
            "Frames whose id or time was too far off to be believed without a second one",
            "exchange",
            "kind",
            "reason",
        )
        self._dropped = tally.counter(
            "cryptodash_frames_dropped_total",
            "Frames left out because of their id or time",
            "exchange",
            "kind",
            "reason",
        )

        self._repeated = tally.counter(
            "cryptodash_frames_repeated_total",
            "Frames (of trades: trades) whose id had come already",
            "exchange",
            "kind",
        )

    def repeated(self) -> None:
        """A frame (of trades: one trade) came that is known by its id."""
        self._repeated.add(*self._labels)
        self._tell(Count.DUPLICATES, 1)

    def held(self, reason: Reason, times: int = 1) -> None:
        """Frames (of trades: trades) wait for a second one."""
        self._held.add(*self._labels, reason.value, by=times)

    def dropped(self, reason: Reason, times: int = 1) -> None:
        """Frames (of trades: trades) were left out."""
        self._dropped.add(*self._labels, reason.value, by=times)
        self._tell(_COUNTED_AS[reason], times)

    def _tell(self, what: Count, times: int) -> None:
        self.news[what] = self.news.get(what, 0) + times


UNCOUNTED = DoubtCounts("", "", Tally())
"""For builders whose doubts nobody reads."""
