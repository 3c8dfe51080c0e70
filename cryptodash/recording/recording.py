"""Reads what was recorded, of all writers and runs, in the order of tape time. Blocking: for a process or a thread of
its own. What is read at a time is a block of each run; nothing more is kept."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from attrs import frozen

from cryptodash.recording import records
from cryptodash.recording.blocks import MOST_TIME, THE_TAPE
from cryptodash.recording.entries import Entry, Missing, Span
from cryptodash.recording.layout import MESSAGES, SegmentFile, find_segments
from cryptodash.recording.merging import LOOK_BACK, Merging, overlap, without
from cryptodash.recording.run import Run
from cryptodash.recording.run_reading import RunReading, when
from cryptodash.recording.segment import blocks_between
from cryptodash.recording.stripes import stripes_of
from cryptodash.recording.tape_errors import BadTape

QUIET: Final = 90_000_000
"""us without a record of a topic after which it counts as not recorded: a keyframe comes each minute."""


_Spans = Mapping[str, Mapping[str, Sequence[Span]]]
"""Of each writer, when it recorded each topic."""


@frozen
class Unreadable:
    """A segment that cannot be opened."""

    path: Path
    reason: str


@frozen
class WriterRun:
    """One run of one writer: tape time of its first and last block, and what it holds of a topic between two times
    (as ``Recording.read`` gives it)."""

    first: int
    last: int
    read: Callable[[int, int, str], Iterator[Entry | Missing]]


class Recording:
    """All of one tape below a path. What cannot be opened is listed in ``unreadable`` and left out. Files that come
    later, and what is added to them, are seen by another ``Recording`` only. ``close`` it, or use it in ``with``."""

    def __init__(self, path: Path, tape: str = MESSAGES, *, may_be_missing: bool = False) -> None:
        """Raises ``BadTape`` where no tape can be. ``may_be_missing``: a directory that is not there (yet) is empty."""
        self.unreadable: list[Unreadable] = []
        self._tape = tape
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

    def _recorded(self, runs: Iterable[Run], begin: int, end: int) -> dict[str, list[Span]]:
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

    def lacking(self, topics: Collection[str], begin: int, end: int) -> list[str]:
        """Those of the topics of which nothing is on the tape from ``begin`` to ``end``. Reads indexes, and no more of
        them than it takes to find each topic once."""
        sought = dict.fromkeys(topics)
        for run in sorted(self._runs.values(), key=lambda each: each.first):
            for place, known in enumerate(run.segments):
                if not sought:
                    return []
                if known.first > end or known.last < begin:
                    continue
                with suppress(BadTape, OSError), closing(run.opened(place)) as segment:
                    names = segment.index.topics
                    numbers = {names.index(topic): topic for topic in sought if topic in names}
                    for block in blocks_between(segment, begin, end) if numbers else ():
                        for number in numbers.keys() & set(block.topics):
                            sought.pop(numbers.pop(number))
        return list(sought)

    def block_times(self, begin: int, end: int, topics: Collection[str]) -> list[int]:
        """When each block begins that ``read`` would read for these topics, in order: how much work it is. Reads
        indexes only."""
        wanted, found = {THE_TAPE, *topics}, list[int]()
        for run in self._runs.values():
            for place, known in enumerate(run.segments):
                if known.first > end or known.last < begin:
                    continue
                with suppress(BadTape, OSError), closing(run.opened(place)) as segment:
                    numbers = {number for number, name in enumerate(segment.index.topics) if name in wanted}
                    blocks = blocks_between(segment, begin, end) if numbers else ()
                    found += [block.first for block in blocks if not numbers.isdisjoint(block.topics)]
        return sorted(found)

    # -- what was recorded

    def read(
        self, begin: int, end: int, topics: Collection[str] | None = None, *, keyframes: bool = True
    ) -> Iterator[Entry | Missing]:
        """Everything of these topics (None: all) from ``begin`` to ``end``, both included, in order, with the holes
        that reach into that time. Where the tape ends, or before it begins, nothing says so: ``spans`` does. Of a topic
        that two runs have at the same time only the one that was given its lease later is read or, where there are no
        leases, the one that began it later. ``keyframes`` False: leave them out."""
        wanted = None if topics is None else frozenset(topics)
        runs = [run for run in self._runs.values() if run.first <= end and run.last >= begin]
        runs.sort(key=lambda each: each.first)
        told_of = partial(self._told_of, spans=self._spans_by_writer(begin, end))
        if len({run.writer for run in runs}) > 1 or overlap(runs):
            reading = [told_of(run, begin - LOOK_BACK, end, wanted) for run in runs]
            merged = Merging(runs, begin, end).merged(reading)
        else:
            merged = heapq.merge(*(told_of(run, begin, end, wanted) for run in runs), key=when)
        return merged if keyframes else (each for each in merged if not _is_keyframe(each))

    def writers(self) -> list[list[WriterRun]]:
        """The runs of each writer, in the order in which they were: one process at a time writes there."""
        found: dict[str, list[WriterRun]] = {}
        for run in self._runs.values():
            found.setdefault(run.writer, []).append(WriterRun(run.first, run.last, partial(self._read_topic, run)))
        return list(found.values())

    def _read_topic(self, run: Run, begin: int, end: int, topic: str) -> Iterator[Entry | Missing]:
        return self._read_run(run, begin, end, frozenset((topic,)))

    def holes(self, begin: int, end: int, topics: Collection[str]) -> Iterator[Missing]:
        """The holes in which something of these topics may be missing, as ``read`` tells them. Nothing else is read: of
        a run that ended nothing says so."""
        runs = [run for run in self._runs.values() if run.first <= end and run.last >= begin]
        spans, wanted = self._spans_by_writer(begin, end), frozenset(topics)
        told = (self._told_of(run, begin, end, wanted, spans, holes_only=True) for run in runs)
        return (each for each in heapq.merge(*told, key=when) if isinstance(each, Missing))

    def _spans_by_writer(self, begin: int, end: int) -> _Spans:
        """When each writer recorded each topic; empty where there is one writer."""
        runs: dict[str, list[Run]] = {}
        for run in self._runs.values():
            runs.setdefault(run.writer, []).append(run)
        if self._tape != MESSAGES or len(runs) < 2:
            return {}
        return {writer: self._recorded(its, begin - QUIET, end + QUIET) for writer, its in runs.items()}

    def _told_of(
        self,
        run: Run,
        begin: int,
        end: int,
        topics: frozenset[str] | None,
        spans: _Spans,
        *,
        holes_only: bool = False,
    ) -> Iterator[Entry | Missing]:
        """With several writers, a hole of one is one of the topics that it recorded, as long as no other does."""
        own = spans.get(run.writer, {})
        chosen = sorted(own if topics is None else own.keys() & topics)
        for each in self._read_run(run, begin, end, frozenset() if holes_only else topics):
            if isinstance(each, Missing) and not each.topic and spans:
                for topic in chosen:
                    if any(span.begin <= each.end + QUIET and each.begin - QUIET <= span.end for span in own[topic]):
                        yield from without(each, topic, _of_others(spans, run.writer, topic))
            else:
                yield each

    def _read_run(self, run: Run, begin: int, end: int, topics: frozenset[str] | None) -> Iterator[Entry | Missing]:
        wanted = None if topics is None else topics | {THE_TAPE}
        reading = RunReading(begin, end, topics)
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


def _of_others(spans: _Spans, writer: str, topic: str) -> list[Span]:
    found = (span for other, its in spans.items() if other != writer for span in its.get(topic, ()))
    return sorted(found, key=lambda each: each.begin)


def _extend(spans: list[Span], first: int, last: int) -> None:
    if spans and first <= spans[-1].end + QUIET:
        spans[-1] = Span(spans[-1].begin, max(spans[-1].end, last))
    else:
        spans.append(Span(first, last))


def _is_keyframe(each: Entry | Missing) -> bool:
    return isinstance(each, Entry) and each.kind == records.KEYFRAME
