"""What the streams of one ticker say of its 24 h and mark figures, in order.

A frame may say only what has changed, and may be read as two messages (``Stats`` and ``Mark``): they have one order and
one verdict. Where a stream's clock was set back, nothing that it said before is newer than what it says now.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from cryptodash.exchanges.adapter.messages import Mark, Stats
from cryptodash.exchanges.builders.doubt_counts import UNCOUNTED, DoubtCounts
from cryptodash.exchanges.builders.plausibility import TOLERANCE_MS, StreamOrder, Verdict, Witness

_STATS = (
    ("open", "open_24h"),
    ("high", "high_24h"),
    ("low", "low_24h"),
    ("volume", "volume_24h"),
    ("quote_volume", "quote_volume_24h"),
    ("change_pct", "change_pct_24h"),
    ("last", "last"),
)
_MARK = tuple(
    (each, each)
    for each in (
        "mark_price",
        "index_price",
        "funding_rate",
        "funding_interval_h",
        "next_funding_time",
        "open_interest",
    )
)
_STATS_TIME = "stats_time"

MAX_ORDERS = 16
"""Streams of figures of one ticker whose order is remembered; a venue has two or three."""


def has_stepped(before: int, verdict: Verdict, venue_ms: int) -> bool:
    """Whether a time that was known ``before`` orders nothing any more: the venue's clock was set back since."""
    return verdict is Verdict.SET_BACK or before > venue_ms + TOLERANCE_MS


@define(eq=False)
class _Judged:
    """A stream's order, and what was said of its last frame (known by its time and when it came)."""

    order: StreamOrder
    frame: tuple[int, float] | None = None
    verdict: Verdict = Verdict.TAKEN
    witness: Witness | None = None
    """What had not been believed before that frame."""


class FigureOrders:
    """The order of each stream of figures of one ticker, and when each figure was said (ms, the venue's)."""

    def __init__(self, doubts: DoubtCounts = UNCOUNTED) -> None:
        self._doubts = doubts
        self._streams: dict[str, _Judged] = {}
        self._said: dict[str, tuple[int, str]] = {}
        """By figure: when, and by which stream."""

    def order(self, stream: str) -> StreamOrder:
        """That of a stream which was judged."""
        return self._streams[stream].order

    def borne_out(self, stream: str) -> Witness | None:
        """What its last frame agreed with, if the order begins anew with that."""
        return self._streams[stream].witness

    def newest_of(self, stream: str) -> int | None:
        """The newest time believed of a stream; None before the first."""
        judged = self._streams.get(stream)
        return None if judged is None else judged.order.newest

    @property
    def stats_time(self) -> int | None:
        """When 24 h figures were said last, as far as that is newer than anything."""
        said = self._said.get(_STATS_TIME)
        return None if said is None else said[0]

    def judge(self, stream: str, time: int, venue_ms: int, received: int, now: float) -> Verdict:
        """What the time of a message says of it, as ``StreamOrder.judge``; the same of both messages of a frame."""
        judged = self._streams.get(stream)
        if judged is None:
            if len(self._streams) >= MAX_ORDERS:
                self._streams.clear()
            judged = self._streams[stream] = _Judged(StreamOrder(self._doubts, partial=True))
        if judged.frame == (time, now):
            return judged.verdict
        judged.frame, judged.witness = (time, now), judged.order.witness
        judged.verdict = judged.order.judge(None, time, venue_ms, received, now)
        if judged.verdict is Verdict.SET_BACK:
            self._said = {figure: said for figure, said in self._said.items() if said[1] != stream}
        return judged.verdict

    def newest(self, m: Stats | Mark, time: int, verdict: Verdict, venue_ms: int) -> dict[str, Any]:
        """What a message says, by the ticker's fields, less what is known from a newer one.
        A delta that comes late still brings what the newer ones left out."""
        full = m.full
        found: dict[str, Any] = {}
        for said, field in _STATS if isinstance(m, Stats) else _MARK:
            value = getattr(m, said)
            if (value is not None or full) and self._takes(field, m.stream, time, verdict, venue_ms):
                found[field] = value
        return found

    def said_stats(self, stream: str, time: int, verdict: Verdict, venue_ms: int) -> int:
        """24 h figures were taken; when the newest of them were said."""
        self._takes(_STATS_TIME, stream, time, verdict, venue_ms)
        return self._said[_STATS_TIME][0]

    def _takes(self, figure: str, stream: str, time: int, verdict: Verdict, venue_ms: int) -> bool:
        before = self._said.get(figure)
        if before is None or time >= before[0] or has_stepped(before[0], verdict, venue_ms):
            self._said[figure] = time, stream
            return True
        return False
