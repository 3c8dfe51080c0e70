"""Runs of several processes, read as one in the order of tape time. Pure over what was read of each."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from typing import Final

from cryptodash.recording import records
from cryptodash.recording.blocks import THE_TAPE
from cryptodash.recording.entries import Entry, Missing, Span
from cryptodash.recording.fences import SAYS_FENCE, Fences
from cryptodash.recording.repeats import Repeats
from cryptodash.recording.run import Run
from cryptodash.recording.run_reading import when
from cryptodash.recording.tape_errors import BadTape

LOOK_BACK: Final = 75_000_000
"""us before a moment in which there is a keyframe of every recorded topic, and its fence: both come each minute."""
ALIVE: Final = 5_000_000
"""us within which the tape of a process that lives is as long as those of others."""


def overlap(runs: Sequence[Run]) -> bool:
    """Whether two of them, by their beginnings, are of one time."""
    return any(after.first <= before.last for before, after in pairwise(runs))


def without(hole: Missing, topic: str, spans: Iterable[Span]) -> Iterator[Missing]:
    """What is left of a hole, of this topic, where others recorded it during ``spans``."""
    begin = hole.begin
    for span in spans:
        if span.begin > begin:
            yield Missing(begin, min(span.begin, hole.end), hole.reason, topic)
        begin = max(begin, span.end)
        if begin >= hole.end:
            return
    yield Missing(begin, hole.end, hole.reason, topic)


class Merging:
    """Runs of several processes at the same time, as one. While an exchange is handed over two of them may record it:
    the one that begins a topic has it from there on, until it ends it or another one begins it; never one that says it
    under a lower fence than another did. Where a process ends and others go on, or another one was given its lease,
    what it recorded ends. Only what is of ``begin`` and later is given."""

    def __init__(self, runs: Sequence[Run], begin: int, end: int) -> None:
        self._runs = runs
        self._begin = begin
        self._end = end
        self._owners: dict[str, int] = {}
        """Which run a topic was begun by."""
        self._told: dict[str, int] = {}
        """Which run the last record of a topic was of."""
        self._seen = [run.first for run in runs]
        """Of each run the time of its last record that was read."""
        self._fences = Fences()
        self._repeats = Repeats()
        self._stalls: dict[str, Missing] = {}
        """Told with the next record of the topic: where another process took over meanwhile, that is the same hole."""

    def merged(self, reading: Iterable[Iterator[Entry | Missing]]) -> Iterator[Entry | Missing]:
        return (each for each in self._all_of(reading) if when(each) >= self._begin)

    def _all_of(self, reading: Iterable[Iterator[Entry | Missing]]) -> Iterator[Entry | Missing]:
        numbered = [zip(self._to_its_end(each, number), repeat(number)) for number, each in enumerate(reading)]
        for each, number in heapq.merge(*numbered, key=lambda pair: _order(pair[0])):
            if isinstance(each, Missing):
                yield from self._hole(each, number)
                continue
            self._seen[number] = each.time
            if each.topic == THE_TAPE:
                yield from self._ends(each.time, number)
            elif each.kind in SAYS_FENCE:
                yield from self._begins(each, number)
            elif self._is_of_its_owner(each, number) and not self._repeats.has(each):
                if each.time >= self._begin:
                    self._repeats.told(each)
                yield from self._stall_before(each)
                yield each
        yield from self._stalls.values()

    def _hole(self, hole: Missing, number: int) -> Iterator[Missing]:
        if self._fences.is_behind(hole.topic, number):
            return  # it comes late, for another one has gone on; that was told
        if hole.topic and hole.reason == "stalled":
            before, self._stalls[hole.topic] = self._stalls.pop(hole.topic, None), hole
            yield from () if before is None else (before,)
        else:
            yield hole

    def _stall_before(self, each: Entry) -> Iterator[Missing]:
        if self._stalls and (hole := self._stalls.pop(each.topic, None)) is not None:
            yield hole

    def _to_its_end(self, reading: Iterator[Entry | Missing], number: int) -> Iterator[Entry | Missing]:
        """And an entry without a topic, where the run ends before others do."""
        yield from reading
        last = self._runs[number].last
        if last <= self._end and any(each.last > last + ALIVE for each in self._runs):
            yield Entry(last, THE_TAPE, records.END, b"")

    def _begins(self, each: Entry, number: int) -> Iterator[Entry | Missing]:
        """The run says that it has the topic, from here on or still."""
        topic, owner = each.topic, self._owners.get(each.topic)
        try:
            if self._fences.hear(topic, number, each.body):
                self._repeats.taken_over(topic)
        except BadTape:
            yield Missing(each.time, each.time, "damaged", topic)
            return
        if self._fences.is_behind(topic, number):
            return
        is_anothers = owner is not None and owner != number and not self._fences.is_behind(topic, owner)
        if each.kind == records.HELD and is_anothers:
            return
        before = self._told.get(topic, number)
        if before != number and self._fences.is_behind(topic, before):
            hole = self._stalls.pop(topic, None)
            if hole is not None:
                yield Missing(hole.begin, max(hole.end, each.time), hole.reason, topic)
            else:
                last = self._runs[before].last
                ended = max(last if last < each.time else self._seen[before], self._begin)
                yield Entry(max(0, min(ended, each.time - 1)), topic, records.END, b"")
        yield from self._stall_before(each)
        self._owners[topic] = self._told[topic] = number
        yield each

    def _is_of_its_owner(self, each: Entry, number: int) -> bool:
        owner = self._owners.get(each.topic)
        if owner != number and (owner is not None or self._fences.is_behind(each.topic, number)):
            return False
        self._told[each.topic] = number
        if each.kind == records.END:
            self._owners.pop(each.topic, None)
            self._told.pop(each.topic)
        return True

    def _ends(self, time: int, number: int) -> Iterator[Entry | Missing]:
        for topic in [topic for topic, its in self._told.items() if its == number]:
            self._owners.pop(topic, None)
            del self._told[topic]
            yield from self._stall_before(ended := Entry(time, topic, records.END, b""))
            yield ended


def _order(each: Entry | Missing) -> int:
    """A hole up to where another process goes on comes before what that one has."""
    return 2 * when(each) + isinstance(each, Entry)
