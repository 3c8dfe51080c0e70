"""What was recorded of one topic, as history: each trade or closed bar once, in order, and where something is missing.
Pure over what a ``Recording`` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from attrs import define, field

from cryptodash.core.recorded import Entry, Missing
from cryptodash.recording import records
from cryptodash.recording.merging import LOOK_BACK
from cryptodash.recording.playback import UNWRITTEN
from cryptodash.recording.recording import Recording
from cryptodash.recording.repeats import name_of

MOST_BLOCKS: Final = 1_000
"""Blocks of the tape that one answer reads, beside those of the minute before: some seconds of work."""
LONGEST_HOLE: Final = 86_400_000_000
"""us behind a moment within which a hole is looked for that the moment lies in."""
_IDS_KEPT: Final = 10_000
_TRADE: Final = b'{"type":"trade"'
_CANDLE: Final = b'{"type":"candle"'
_GAP: Final = b'{"type":"gap"'
_CLOSED: Final = b'"closed":true'


def is_trade(body: bytes) -> bool:
    return body.startswith((_TRADE, _GAP)) and b"\n" not in body


def is_closed_bar(body: bytes) -> bool:
    """Neither this nor a trade, which become lines, has two of them: what has is of no server of ours."""
    return body.startswith(_CANDLE) and _CLOSED in body and b"\n" not in body


@define
class Outcome:
    """How far an answer came. ``until``: tape time (us) up to which everything was read; ``after``: where to go on,
    empty where all was said."""

    until: int = 0
    after: str = ""
    rows: int = 0
    holes: list[Missing] = field(factory=list)


@define
class Reading:
    """One reading. ``begin`` and ``end`` are tape time (us), both included; ``skip``: entries of the very time
    ``begin`` that are known already; ``now``: what lies behind it cannot have been recorded."""

    recording: Recording
    topic: str
    begin: int
    end: int
    limit: int
    skip: int = 0
    now: int = 2**62
    most_blocks: int = MOST_BLOCKS
    outcome: Outcome = field(factory=Outcome, init=False)
    """Whole once ``items`` has ended."""

    def items(self, wanted: Callable[[bytes], bool]) -> Iterator[Entry | Missing]:
        """Entries whose body is wanted, and the holes between them; ``limit`` entries at most. A hole that begins
        before ``begin`` or lasts beyond the end is cut there."""
        outcome = self.outcome = Outcome()
        end, is_cut = self._end()
        told = _Told()
        ended: int | None = self.begin
        skip = self.skip
        at, count = self.begin, 0
        for each in self.recording.read(max(0, self.begin - LOOK_BACK), end, (self.topic,)):
            if isinstance(each, Missing):
                if each.end >= self.begin:
                    yield self._hole(each.begin, each.end, each.reason)
                continue
            if each.kind == records.END:
                ended = max(each.time, self.begin)
                continue
            if ended is not None and each.time > ended:
                yield self._hole(ended, each.time, "unrecorded")
            ended = None
            if each.kind != records.MESSAGE or not wanted(each.body):
                continue
            if each.time < self.begin:
                told.is_new(each.body)
                continue
            if each.time != at:
                at, count = each.time, 0
            count += 1
            if each.time == self.begin and count <= skip:
                told.is_new(each.body)
                continue
            if not told.is_new(each.body):
                continue
            if outcome.rows == self.limit:
                outcome.until, outcome.after = each.time, f"{at}-{count - 1}"
                return
            outcome.rows += not each.body.startswith(_GAP)
            yield each
        outcome.until = end
        if is_cut:
            outcome.after = f"{end + 1}-0"
        if ended is not None and ended < end:
            yield self._hole(ended, end, "unrecorded")
        elif (around := self._around(end)) is not None:
            yield self._hole(around.begin, end, around.reason)
        else:
            yield from self._behind(end)

    def _hole(self, begin: int, end: int, reason: str) -> Missing:
        begin = max(begin, self.begin)
        hole = Missing(begin, max(begin, min(end, self.end)), reason, self.topic)
        self.outcome.holes.append(hole)
        return hole

    def _end(self) -> tuple[int, bool]:
        """Where this answer ends, and whether that is because of the work."""
        end = min(self.end, self.now)
        times = self.recording.block_times(self.begin, end, (self.topic,))
        if len(times) <= self.most_blocks or times[self.most_blocks] <= self.begin:
            return end, False
        return min(end, times[self.most_blocks] - 1), True

    def _around(self, at: int) -> Missing | None:
        """The hole that this moment lies in: what tells of it stands where it ends."""
        holes = self.recording.holes(at + 1, at + LONGEST_HOLE, (self.topic,))
        return next((each for each in holes if each.begin <= at), None)

    def _behind(self, end: int) -> Iterator[Missing]:
        """The time behind the last run, which no hole tells as long as no other one has begun. What a living recorder
        has not written yet is no hole: it comes."""
        last = max((span.end for span in self.recording.spans), default=self.begin)
        if last >= end:
            return
        self.outcome.until = max(last, self.begin)
        if end > last + UNWRITTEN:
            yield self._hole(last, end, "unwritten")


class _Told:
    """Tells a message that two writers have (a handover) from a new one, by its cursor."""

    def __init__(self) -> None:
        self._ids: dict[bytes, None] = {}

    def is_new(self, body: bytes) -> bool:
        name = name_of(body)
        if not name:
            return True
        if name in self._ids:
            return False
        self._ids[name] = None
        if len(self._ids) > _IDS_KEPT:
            del self._ids[next(iter(self._ids))]
        return True
