"""Runs of several processes, read as one in the order of tape time. Pure over what was read of each."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import pairwise, repeat
from typing import Final

from attrs import define, field

from cryptodash.recording import records
from cryptodash.recording.blocks import THE_TAPE
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.segment import Segment

HANDOVER: Final = 15_000_000
"""us for which two processes may have an exchange, until the old one has left it."""
ALIVE: Final = 5_000_000
"""us within which the tape of a process that lives is as long as those of others."""


@define(eq=False)
class Run:
    """The segments of one run of one writer, oldest first."""

    id: bytes
    writer: str
    segments: list[Segment] = field(factory=list)

    @property
    def first(self) -> int:
        return self.segments[0].first

    @property
    def last(self) -> int:
        return max(each.last for each in self.segments)


def overlap(runs: list[Run]) -> bool:
    """Whether two of them, by their beginnings, are of one time."""
    return any(after.first <= before.last for before, after in pairwise(runs))


class Merging:
    """Runs of several processes at the same time, as one. While an exchange is handed over two of them may record it:
    the one that begins a topic has it from there on, until it ends it or another one begins it. A hole of one process
    is none of what another one records. Where a process ends and others go on, what it recorded ends."""

    def __init__(self, runs: list[Run], topics: frozenset[str] | None, end: int) -> None:
        self._runs = runs
        self._topics = topics
        self._end = end
        self._owners: dict[str, int] = {}
        """Which run a topic was begun by."""
        self._told: dict[str, int] = {}
        """Which run the last record of a topic was of."""

    def merged(self, reading: list[Iterator[Entry | Missing]]) -> Iterator[Entry | Missing]:
        numbered = [zip(self._to_its_end(each, number), repeat(number)) for number, each in enumerate(reading)]
        for each, number in heapq.merge(*numbered, key=lambda pair: order(pair[0])):
            if isinstance(each, Missing):
                yield from self._hole(each, number)
            elif each.topic == THE_TAPE:
                yield from self._ends(each.time, number)
            elif self._is_of_its_owner(each, number):
                yield each

    def _to_its_end(self, reading: Iterator[Entry | Missing], number: int) -> Iterator[Entry | Missing]:
        """And an entry without a topic, where the run ends before others do."""
        yield from reading
        last = self._runs[number].last
        if last <= self._end and any(each.last > last + ALIVE for each in self._runs):
            yield Entry(last, THE_TAPE, records.END, b"")

    def _is_of_its_owner(self, each: Entry, number: int) -> bool:
        if each.kind == records.BEGIN:
            self._owners[each.topic] = number
        elif self._owners.get(each.topic, number) != number:
            return False
        self._told[each.topic] = number
        if each.kind == records.END:
            self._owners.pop(each.topic, None)
            self._told.pop(each.topic)
        return True

    def _hole(self, hole: Missing, number: int) -> Iterator[Missing]:
        writer = self._runs[number].writer
        others = {topic for topic, its in self._told.items() if self._runs[its].writer != writer}
        if self._topics is None or not others:
            yield hole
            return
        for topic in sorted(self._topics - others):
            yield Missing(hole.begin, hole.end, hole.reason, topic)

    def _ends(self, time: int, number: int) -> Iterator[Entry]:
        for topic in [topic for topic, its in self._told.items() if its == number]:
            self._owners.pop(topic, None)
            del self._told[topic]
            yield Entry(time, topic, records.END, b"")


def order(each: Entry | Missing) -> int:
    return each.time if isinstance(each, Entry) else each.end
