"""Whether tapes are what they say: every block, every hole, numbers and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from attrs import define, field

from cryptodash.core.time import rfc3339
from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.layout import TAPES, SegmentFile, find_segments, is_being_written
from cryptodash.recording.record_columns import Record
from cryptodash.recording.records import Counts, Hole
from cryptodash.recording.segment import Scan, Segment
from cryptodash.recording.segment_index import BlockEntry
from cryptodash.recording.stripes import made_of, read_stripe, stripes_of
from cryptodash.recording.tape_errors import BadTape
from cryptodash.recording.tape_writer import LOST_BY_A_KILL

LONGEST_PAUSE: Final = 5_000_000
"""us between two blocks of a run: while the recorder lives it writes one each second."""
_NOT_COUNTED: Final = frozenset((records.RUN, records.HOLE, records.COUNTS))


@define
class Verdict:
    """What was found. ``errors``: lines of what is wrong; ``torn``: ends without an index."""

    tapes: int = 0
    segments: int = 0
    blocks: int = 0
    records: int = 0
    holes: int = 0
    torn: int = 0
    errors: list[str] = field(factory=list)

    @property
    def summary(self) -> str:
        said = "good" if not self.errors else f"BAD, {len(self.errors)} errors"
        return (
            f"{self.tapes} tapes, {self.segments} segments, {self.blocks} blocks, {self.records} records, "
            f"{self.holes} holes, {self.torn} torn ends: {said}"
        )


def verify(path: Path, say: Callable[[str], None] = lambda line: None) -> Verdict:
    """Read everything below a path; ``say`` is told each hole and each error, a line each. Raises ``BadTape`` where
    there can be no tape."""
    verdict = Verdict()
    for tape in TAPES if path.is_dir() else (path.parent.name,):
        by_writer: dict[str, list[SegmentFile]] = {}
        for each in find_segments(path, tape):
            by_writer.setdefault(each.writer, []).append(each)
        for writer, files in by_writer.items():
            verdict.tapes += 1
            _Tape(f"{writer}/{tape}", files, verdict, say).verify()
    if not verdict.segments and not verdict.errors:
        verdict.errors.append("nothing is recorded there")
        say(verdict.errors[0])
    return verdict


class _Tape:
    """One tape of one writer, in the order of its segments."""

    def __init__(self, name: str, files: list[SegmentFile], verdict: Verdict, say: Callable[[str], None]) -> None:
        self._name = name
        self._files = files
        self._verdict = verdict
        self._say = say
        self._run: bytes | None = None
        self._before: BlockEntry | None = None
        self._was_torn = False
        self._blockless: list[tuple[str, str]] = []
        """Segments without a whole block, and why."""
        self._counted = 0
        self._counts: Counts | None = None

    def verify(self) -> None:
        for file in self._files:
            is_last = file is self._files[-1]
            self._verdict.segments += 1
            try:
                segment = file.open()
            except (BadTape, OSError) as error:
                if is_last and isinstance(error, BadTape) and (self._before is not None or is_being_written(file)):
                    self._no_block(file)
                    continue
                if is_last or not isinstance(error, BadTape):
                    self._wrong(file.path.name, str(error))
                else:  # a sync that failed may have left nothing of it: what comes next has to say so
                    self._blockless.append((file.path.name, str(error)))
                continue
            try:
                self._segment(file, segment, is_last=is_last)
            except (BadTape, OSError) as error:
                self._wrong(file.path.name, str(error))
            finally:
                segment.close()

    def _no_block(self, file: SegmentFile) -> None:
        """The newest segment, of which no block is whole yet, or was when the process ended."""
        if is_being_written(file) or self._before is None:
            self._say(f"{self._name}: {file.path.name} is being written")
            return
        self._verdict.torn += 1
        self._verdict.holes += 1
        last = self._before.last
        self._say(f"{self._name}: hole {_time(last)} to {_time(last + LOST_BY_A_KILL)} torn (5 s at most)")

    def _segment(self, file: SegmentFile, segment: Segment, *, is_last: bool) -> None:
        scan = segment.scan_headers()
        torn_from = scan.end if scan.is_torn else None
        for fault in scan.faults:
            if torn_from is None or fault.offset < torn_from:
                self._wrong(f"{file.path.name} at {fault.offset}", fault.reason)
        if not scan.is_torn and segment.scan().index != scan.index:
            self._wrong(file.path.name, "its index is not what its headers say")
        is_new_run = segment.run != self._run
        if segment.is_sorted:
            self._sorted(file, segment, is_new_run=is_new_run)
        for block in scan.index.blocks if not segment.is_sorted else ():
            self._verdict.blocks += 1
            try:
                _, found = segment.records(block)
            except BadTape as error:
                self._wrong(f"{file.path.name} at {block.offset}", str(error))
                self._counts = None
                continue
            self._block(file, block, found, is_new_run=is_new_run)
            is_new_run = False
        self._run = segment.run
        self._was_torn = scan.is_torn
        if scan.is_torn:
            self._torn(file, scan, is_last=is_last)

    def _sorted(self, file: SegmentFile, segment: Segment, *, is_new_run: bool) -> None:
        """Each stripe is what its blocks were made of, and those are judged as if they stood there still."""
        number = segment.head.number
        for stripe in stripes_of(segment):
            if any(block.number != number + place for place, block in enumerate(stripe)):
                self._wrong(f"{file.path.name} at {stripe[0].offset}", "a block of a sorted segment is missing")
            number += len(stripe)
            _, found, damaged = read_stripe(segment, stripe)
            for block, reason in damaged:
                self._wrong(f"{file.path.name} at {block.offset}", reason)
            if damaged:
                self._counts = None
                continue
            was = made_of(found)
            found = [each for each in found if each[0] != records.MADE_OF]
            if sum(count for *_, count in was) != len(found):
                self._wrong(f"{file.path.name} at {stripe[0].offset}", "not as many records as it was made of")
                continue
            at = 0
            for each, first, last, count in was:
                self._verdict.blocks += 1
                made = BlockEntry(stripe[0].offset, 0, each, first, last, count, [])
                self._block(file, made, found[at : at + count], is_new_run=is_new_run)
                is_new_run = False
                at += count

    def _torn(self, file: SegmentFile, scan: Scan, *, is_last: bool) -> None:
        if is_last and is_being_written(file):
            self._say(f"{self._name}: {file.path.name} is being written")
            return
        self._verdict.torn += 1
        if is_last and scan.index.blocks:
            self._verdict.holes += 1
            last = max(each.last for each in scan.index.blocks)
            self._say(f"{self._name}: hole {_time(last)} to {_time(last + LOST_BY_A_KILL)} torn (5 s at most)")

    def _block(self, file: SegmentFile, block: BlockEntry, found: list[Record], *, is_new_run: bool) -> None:
        holes = list(self._holes(file, block, found))
        before, self._before = self._before, block
        for name, reason in self._blockless if not holes else ():
            self._wrong(name, f"{reason}, and no hole tells")
        self._blockless.clear()
        place = f"{file.path.name} at {block.offset}"
        if is_new_run:
            self._counted, self._counts = 0, None
            if before is not None and not any(hole.begin <= before.last + 1 for hole in holes):
                self._wrong(place, f"a run begins, and no hole tells of the time since {_time(before.last)}")
        elif before is not None:
            lost = block.number - before.number - 1
            if lost < 0:
                self._wrong(place, f"block {block.number} after block {before.number}")
            elif lost and not any(hole.begin <= before.last + LONGEST_PAUSE for hole in holes):
                self._wrong(place, f"{lost} blocks are missing, and no hole tells")
            elif not holes and block.first - before.last > LONGEST_PAUSE:
                self._wrong(place, f"nothing from {_time(before.last)} to {_time(block.first)}, and no hole tells")
            if lost:
                self._counts = None
        self._fences(place, found)
        self._count(place, found)
        self._verdict.records += len(found)

    def _holes(self, file: SegmentFile, block: BlockEntry, found: list[Record]) -> Iterator[Hole]:
        for kind, _, _, body in found:
            if kind != records.HOLE:
                continue
            hole = records.decode(body, Hole)
            self._verdict.holes += 1
            why = f" ({hole.error})" if hole.error else ""
            self._say(f"{self._name}: hole {_time(hole.begin)} to {_time(hole.end)} {hole.reason}{why}")
            if hole.reason == "torn" and hole.end - hole.begin > LOST_BY_A_KILL:
                self._wrong(f"{file.path.name} at {block.offset}", "a torn end that may have lost more than 5 s")
            yield hole

    def _fences(self, place: str, found: list[Record]) -> None:
        for kind, _, _, body in found:
            if kind in (records.BEGIN, records.HELD):
                try:
                    records.fence_of(body)
                except BadTape as error:
                    self._wrong(place, str(error))

    def _count(self, place: str, found: list[Record]) -> None:
        """What the recorder says that it has made since it said so before is what there is."""
        for kind, _, _, body in found:
            if kind == records.COUNTS:
                counts = records.decode(body, Counts)
                if self._counts is not None and counts.records - self._counts.records != self._counted:
                    made = counts.records - self._counts.records
                    self._wrong(place, f"{self._counted} records where {made} were made")
                self._counts, self._counted = counts, 0
            elif kind not in _NOT_COUNTED:
                self._counted += 1

    def _wrong(self, place: str, reason: str) -> None:
        line = f"{self._name}: {place}: {reason}"
        self._verdict.errors.append(line)
        self._say(f"ERROR {line}")


def _time(us: int) -> str:
    return rfc3339(min(us, MOST_TIME) // 1000)
