"""Reads what was recorded, of all writers and runs, in the order of tape time. Blocking: for a process or a thread of
its own. What is read at a time is a block of each run; nothing more is kept."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final

from attrs import define, field, frozen
from msgspec import structs

from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME, THE_TAPE
from cryptodash.recording.entries import Entry, Missing, Span
from cryptodash.recording.layout import MESSAGES, SegmentFile, find_segments
from cryptodash.recording.record_columns import Record
from cryptodash.recording.segment import Replaced, Segment, blocks_between
from cryptodash.recording.segment_index import BlockEntry
from cryptodash.recording.stripes import read_stripe, stripes_of
from cryptodash.recording.tape_errors import BadTape

QUIET: Final = 90_000_000
"""us without a record of a topic after which it counts as not recorded: a keyframe comes each minute."""


@frozen
class Unreadable:
    """A segment that cannot be opened."""

    path: Path
    reason: str


@define(eq=False)
class _Run:
    """The segments of one run of one writer, oldest first."""

    id: bytes
    writer: str
    segments: list[Segment] = field(factory=list)
    files: list[SegmentFile] = field(factory=list)

    def opened(self, place: int) -> Segment:
        """One of the segments, its file open: the one that has its name now, where it was sorted meanwhile. Raises
        ``BadTape`` and ``OSError``."""
        segment = self.segments[place]
        try:
            segment.touch()
        except Replaced:
            segment.close()
            segment = self.segments[place] = self.files[place].open()
            if segment.run != self.id:
                raise BadTape("a segment of another run has its name") from None
        return segment

    @property
    def first(self) -> int:
        return self.segments[0].first

    @property
    def last(self) -> int:
        return max(each.last for each in self.segments)


class Recording:
    """All of one tape below a path. What cannot be opened is listed in ``unreadable`` and left out. Files that come
    later, and what is added to them, are seen by another ``Recording`` only. ``close`` it, or use it in ``with``."""

    def __init__(self, path: Path, tape: str = MESSAGES) -> None:
        """Raises ``BadTape`` where no tape can be."""
        self.unreadable: list[Unreadable] = []
        self._tape = tape
        self._runs: dict[tuple[str, bytes], _Run] = {}
        for found in find_segments(path, tape):
            self._open(found)

    def _open(self, found: SegmentFile) -> None:
        try:
            segment = found.open()
        except (BadTape, OSError) as error:
            self.unreadable.append(Unreadable(found.path, str(error)[:200]))
            return
        segment.close()
        run = self._runs.setdefault((found.writer, segment.run), _Run(segment.run, found.writer))
        run.segments.append(segment)
        run.files.append(found)

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
        return self._recorded(self._runs.values(), begin, end)

    def _recorded(self, runs: Iterable[_Run], begin: int, end: int) -> dict[str, list[Span]]:
        found: dict[str, list[Span]] = {}
        for run in sorted(runs, key=lambda each: each.first):
            for place, known in enumerate(run.segments):
                if known.first > end or known.last < begin:
                    continue
                with suppress(BadTape, OSError), closing(run.opened(place)) as segment:  # ``read`` tells of the others
                    names = segment.index.topics
                    for block in blocks_between(segment, begin, end):
                        for place in block.topics:
                            if names[place] != THE_TAPE:
                                _extend(found.setdefault(names[place], []), block.first, block.last)
        return found

    def has(self, topic: str, at: int) -> bool:
        """Whether the topic was recorded at that time."""
        return any(span.begin <= at <= span.end for span in self.topics(at - QUIET, at + QUIET).get(topic, ()))

    # -- what was recorded

    def read(
        self, begin: int, end: int, topics: Collection[str] | None = None, *, keyframes: bool = True
    ) -> Iterator[Entry | Missing]:
        """Everything of these topics (None: all) from ``begin`` to ``end``, both included, in order, with the holes
        that reach into that time. Where the tape ends, or before it begins, nothing says so: ``spans`` does.
        ``keyframes`` False: leave them out."""
        wanted = None if topics is None else frozenset(topics)
        runs = [run for run in self._runs.values() if run.first <= end and run.last >= begin]
        runs.sort(key=lambda each: each.first)
        merged = heapq.merge(*(self._told_of(run, begin, end, wanted) for run in runs), key=_order)
        return merged if keyframes else (each for each in merged if not _is_keyframe(each))

    def _told_of(self, run: _Run, begin: int, end: int, topics: frozenset[str] | None) -> Iterator[Entry | Missing]:
        """With several writers, a hole of one is one of the topics that it recorded, as long as no other does."""
        if self._tape != MESSAGES or len({each.writer for each in self._runs.values()}) < 2:
            yield from self._read_run(run, begin, end, topics)
            return
        around = begin - QUIET, end + QUIET
        own = self._recorded([each for each in self._runs.values() if each.writer == run.writer], *around)
        others = self._recorded([each for each in self._runs.values() if each.writer != run.writer], *around)
        chosen = sorted(own if topics is None else own.keys() & topics)
        for each in self._read_run(run, begin, end, topics):
            if isinstance(each, Missing) and not each.topic:
                for topic in chosen:
                    if any(span.begin <= each.end + QUIET and each.begin - QUIET <= span.end for span in own[topic]):
                        yield from _without(each, topic, others.get(topic, ()))
            else:
                yield each

    def _read_run(self, run: _Run, begin: int, end: int, topics: frozenset[str] | None) -> Iterator[Entry | Missing]:
        wanted = None if topics is None else topics | {THE_TAPE}
        reading = _Reading(begin, end, topics)
        for place, known in enumerate(run.segments):
            if known.first > end:
                return
            if known.last < begin:
                continue
            with ExitStack() as stack:
                try:
                    segment = run.opened(place)
                    stack.callback(segment.close)
                    names = segment.index.topics
                except (BadTape, OSError):  # the quota has taken it meanwhile, or it is no good tape
                    yield Missing(known.first, known.last, "damaged")
                    continue
                if segment.is_sorted:
                    for stripe in stripes_of(segment):
                        yield from reading.stripe(segment, stripe, wanted)
                    reading.ended(segment)
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

    def stripe(
        self, segment: Segment, stripe: list[BlockEntry], wanted: frozenset[str] | None
    ) -> list[Entry | Missing]:
        """Of a sorted segment; of its blocks those that have something of what is wanted."""
        first, last = stripe[0].first, max(each.last for each in stripe)
        if first > self._end or last < self._begin:
            self._before = None
            return []
        names = segment.index.topics
        chosen = [each for each in stripe if wanted is None or any(names[place] in wanted for place in each.topics)]
        before, self._before = self._before, stripe[-1]
        table, found, damaged = read_stripe(segment, chosen)
        try:
            made = self._read(table, found)
        except BadTape:
            return [Missing(first, last, "damaged")]
        numbers = [*([before.number] if before is not None else []), *(each.number for each in stripe)]
        is_whole = numbers[-1] - numbers[0] == len(numbers) - 1 or any(each[0] == records.HOLE for each in found)
        if damaged or not is_whole:
            self._parts.clear()
            lost = [] if is_whole else [Missing(first, last, "damaged")]
            for block, _ in damaged:
                lost += [
                    Missing(block.first, block.last, "damaged", names[place])
                    for place in block.topics
                    if wanted is None or names[place] in wanted
                ]
            made = sorted([*lost, *made], key=_order)
        return made

    def ended(self, segment: Segment) -> None:
        """A sorted segment: the next one goes on with the number that came after it when it was made."""
        if segment.next_number is None or self._before is None:
            self._before = None
        else:
            self._before = structs.replace(self._before, number=segment.next_number - 1, last=segment.last)

    def _read(self, table: list[str], found: list[Record]) -> list[Entry | Missing]:
        # Which places of the table are wanted is looked up once, not for every record.
        chosen = [self._topics is None or topic in self._topics for topic in table]
        begin, end, made = self._begin, self._end, list[Entry | Missing]()
        for kind, time, place, body in found:
            if place < 0:
                if kind == records.HOLE and time <= end:
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


def _without(hole: Missing, topic: str, spans: Iterable[Span]) -> Iterator[Missing]:
    """What is left of a hole, of this topic, where others recorded it during ``spans``."""
    begin = hole.begin
    for span in spans:
        if span.begin > begin:
            yield Missing(begin, min(span.begin, hole.end), hole.reason, topic)
        begin = max(begin, span.end)
        if begin >= hole.end:
            return
    yield Missing(begin, hole.end, hole.reason, topic)


def _extend(spans: list[Span], first: int, last: int) -> None:
    if spans and first <= spans[-1].end + QUIET:
        spans[-1] = Span(spans[-1].begin, max(spans[-1].end, last))
    else:
        spans.append(Span(first, last))


def _order(each: Entry | Missing) -> int:
    return each.time if isinstance(each, Entry) else each.end


def _is_keyframe(each: Entry | Missing) -> bool:
    return isinstance(each, Entry) and each.kind == records.KEYFRAME
