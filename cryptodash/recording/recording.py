"""Reads what was recorded, of all writers and runs, in the order of tape time. Blocking: for a process or a thread of
its own. What is read at a time is a block of each run; nothing more is kept."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from attrs import frozen

from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME, THE_TAPE, Record
from cryptodash.recording.entries import Entry, Missing, Span
from cryptodash.recording.layout import MESSAGES, SegmentFile, find_segments
from cryptodash.recording.merging import HANDOVER, Merging, Run, order, overlap
from cryptodash.recording.segment import Segment, blocks_between
from cryptodash.recording.segment_index import BlockEntry
from cryptodash.recording.tape_errors import BadTape

QUIET: Final = 90_000_000
"""us without a record of a topic after which it counts as not recorded: a keyframe comes each minute."""


@frozen
class Unreadable:
    """A segment that cannot be opened."""

    path: Path
    reason: str


class Recording:
    """All of one tape below a path. What cannot be opened is listed in ``unreadable`` and left out. Files that come
    later, and what is added to them, are seen by another ``Recording`` only. ``close`` it, or use it in ``with``."""

    def __init__(self, path: Path, tape: str = MESSAGES, *, may_be_missing: bool = False) -> None:
        """Raises ``BadTape`` where no tape can be. ``may_be_missing``: a directory that is not there (yet) is empty."""
        self.unreadable: list[Unreadable] = []
        self._runs: dict[tuple[str, bytes], Run] = {}
        if may_be_missing and not path.exists():
            return
        for found in find_segments(path, tape):
            self._open(found)

    def _open(self, found: SegmentFile) -> None:
        try:
            segment = found.open()
        except (BadTape, OSError) as error:
            self.unreadable.append(Unreadable(found.path, str(error)[:200]))
            return
        segment.close()
        run = self._runs.setdefault((found.writer, segment.run), Run(segment.run, found.writer))
        run.segments.append(segment)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for run in self._runs.values():
            for segment in run.segments:
                with suppress(OSError):
                    segment.close()
        self._runs.clear()

    # -- what there is

    @property
    def spans(self) -> list[Span]:
        """The time of each run, in order; holes are within."""
        return sorted((Span(run.first, run.last) for run in self._runs.values()), key=lambda each: each.begin)

    def topics(self, begin: int = 0, end: int = MOST_TIME) -> dict[str, list[Span]]:
        """When each topic was recorded, as far as that overlaps the time that is asked for, to the block (a second),
        in order. Reads indexes only."""
        found: dict[str, list[Span]] = {}
        for run in sorted(self._runs.values(), key=lambda each: each.first):
            for segment in run.segments:
                with closing(segment), suppress(BadTape, OSError):  # ``read`` tells of what cannot be read
                    if segment.first > end or segment.last < begin:
                        continue
                    names = segment.index.topics
                    for block in blocks_between(segment, begin, end):
                        for place in block.topics:
                            if names[place] != THE_TAPE:
                                _extend(found.setdefault(names[place], []), block.first, block.last)
        return found

    def has(self, topic: str, at: int) -> bool:
        """Whether the topic was recorded at that time."""
        return any(span.begin <= at <= span.end for span in self.topics(at - QUIET, at + QUIET).get(topic, ()))

    def lacking(self, topics: Collection[str], begin: int, end: int) -> list[str]:
        """Those of the topics of which nothing is on the tape from ``begin`` to ``end``. Reads indexes, and no more of
        them than it takes to find each topic once."""
        sought = dict.fromkeys(topics)
        for run in sorted(self._runs.values(), key=lambda each: each.first):
            for segment in run.segments:
                if not sought:
                    return []
                if segment.first > end or segment.last < begin:
                    continue
                with closing(segment), suppress(BadTape, OSError):
                    names = segment.index.topics
                    places = {names.index(topic): topic for topic in sought if topic in names}
                    for block in blocks_between(segment, begin, end) if places else ():
                        for place in places.keys() & set(block.topics):
                            sought.pop(places.pop(place))
        return list(sought)

    def block_times(self, begin: int, end: int, topics: Collection[str]) -> list[int]:
        """When each block begins that ``read`` would read for these topics, in order: how much work it is. Reads
        indexes only."""
        wanted, found = {THE_TAPE, *topics}, list[int]()
        for run in self._runs.values():
            for segment in run.segments:
                with closing(segment), suppress(BadTape, OSError):
                    if segment.first <= end and segment.last >= begin:
                        names = segment.index.topics
                        places = {place for place, name in enumerate(names) if name in wanted}
                        blocks = blocks_between(segment, begin, end) if places else ()
                        found += [block.first for block in blocks if not places.isdisjoint(block.topics)]
        return sorted(found)

    # -- what was recorded

    def read(
        self, begin: int, end: int, topics: Collection[str] | None = None, *, keyframes: bool = True
    ) -> Iterator[Entry | Missing]:
        """Everything of these topics (None: all) from ``begin`` to ``end``, both included, in order, with the holes
        that reach into that time. Where the tape ends, or before it begins, nothing says so: ``spans`` does. Of a topic
        that two runs have at the same time only the one that began it later is read. ``keyframes`` False: leave
        them out."""
        wanted = None if topics is None else frozenset(topics)
        runs = [run for run in self._runs.values() if run.first <= end and run.last >= begin]
        runs.sort(key=lambda each: each.first)
        if overlap(runs):
            merging = Merging(runs, wanted, end)
            reading = [self._read_run(run, begin - HANDOVER, end, wanted) for run in runs]
            merged = (each for each in merging.merged(reading) if order(each) >= begin)
        else:
            merged = heapq.merge(*(self._read_run(run, begin, end, wanted) for run in runs), key=order)
        return merged if keyframes else (each for each in merged if not _is_keyframe(each))

    def _read_run(self, run: Run, begin: int, end: int, topics: frozenset[str] | None) -> Iterator[Entry | Missing]:
        wanted = None if topics is None else topics | {THE_TAPE}
        reading = _Reading(begin, end, topics)
        for segment in run.segments:
            if segment.first > end:
                return
            with closing(segment):
                if segment.last < begin:
                    continue
                try:
                    names = segment.index.topics
                except (BadTape, OSError):  # the quota has taken it meanwhile, or it is no good tape
                    yield Missing(segment.first, segment.last, "damaged")
                    continue
                for block in blocks_between(segment, begin, end):
                    if wanted is None or any(names[place] in wanted for place in block.topics):
                        yield from reading.block(segment, block)
                    else:
                        reading.passed(block)


class _Reading:
    """One way through one run."""

    def __init__(self, begin: int, end: int, topics: frozenset[str] | None) -> None:
        self._begin = begin
        self._end = end
        self._topics = topics
        self._before: BlockEntry | None = None
        self._parts: dict[str, list[bytes]] = {}
        """Bodies that are not whole yet."""

    def passed(self, block: BlockEntry) -> None:
        """A block that has nothing of what is wanted."""
        self._before = block

    def block(self, segment: Segment, block: BlockEntry) -> list[Entry | Missing]:
        before, self._before = self._before, block
        try:
            table, found = segment.records(block)
            made = self._read(table, found)
        except (BadTape, OSError):
            self._parts.clear()
            return [Missing(block.first, block.last, "damaged")]
        if before is not None and block.number > before.number + 1 and all(each[0] != records.HOLE for each in found):
            self._parts.clear()
            made.insert(0, Missing(before.last, block.first, "damaged"))
        return made

    def _read(self, table: list[str], found: list[Record]) -> list[Entry | Missing]:
        # Which places of the table are wanted is looked up once, not for every record.
        chosen = [self._topics is None or topic in self._topics for topic in table]
        begin, end, made = self._begin, self._end, list[Entry | Missing]()
        for kind, time, place, body in found:
            if place < 0:
                if kind == records.HOLE:
                    hole = records.decode(body, records.Hole)
                    if begin <= hole.end and hole.begin <= end and hole.begin <= hole.end:
                        made.append(Missing(hole.begin, hole.end, hole.reason))
            elif not chosen[place]:
                continue
            elif kind == records.MORE:
                self._begins(table[place], body)
            else:
                parts = self._parts.pop(table[place], None) if self._parts else None
                if begin <= time <= end:
                    made.append(Entry(time, table[place], kind, b"".join((*parts, body)) if parts else body))
        return made

    def _begins(self, topic: str, body: bytes) -> None:
        """A body that goes on in the next record of the topic. Raises ``BadTape``."""
        self._parts.setdefault(topic, []).append(body)
        if sum(sum(map(len, each)) for each in self._parts.values()) > records.LONGEST_BODY:
            raise BadTape("a body in more parts than one may have")


def _extend(spans: list[Span], first: int, last: int) -> None:
    if spans and first <= spans[-1].end + QUIET:
        spans[-1] = Span(spans[-1].begin, max(spans[-1].end, last))
    else:
        spans.append(Span(first, last))


def _is_keyframe(each: Entry | Missing) -> bool:
    return isinstance(each, Entry) and each.kind == records.KEYFRAME
