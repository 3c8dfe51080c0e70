"""One way through one run of a tape: blocks become entries and holes."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from cryptodash.recording import records
from cryptodash.recording.entries import Entry, Missing
from cryptodash.recording.record_columns import Record
from cryptodash.recording.segment import Segment
from cryptodash.recording.segment_index import BlockEntry
from cryptodash.recording.stripes import read_stripe
from cryptodash.recording.tape_errors import BadTape

_OF_A_PART: Final = 256
"""Bytes that a part of a body takes beside its own, about: it may have none."""


class RunReading:
    """From ``begin`` to ``end`` (tape time, us), of these topics (None: all)."""

    def __init__(self, begin: int, end: int, topics: frozenset[str] | None) -> None:
        self._begin = begin
        self._end = end
        self._topics = topics
        self._before: BlockEntry | None = None
        self._parts: dict[str, list[bytes]] = {}
        """Bodies that are not whole yet."""
        self._parts_size = 0

    def passed(self, block: BlockEntry) -> None:
        """A block that has nothing of what is wanted."""
        self._before = block

    def block(self, segment: Segment, block: BlockEntry) -> list[Entry | Missing]:
        before, self._before = self._before, block
        try:
            table, found = segment.records(block)
            made = self._read(table, found)
        except (BadTape, OSError):
            self._drop_parts()
            return [Missing(block.first, block.last, "damaged")]
        if before is not None and block.number > before.number + 1 and all(each[0] != records.HOLE for each in found):
            self._drop_parts()
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
            self._drop_parts()
            return [Missing(first, last, "damaged")]
        numbers = [*([before.number] if before is not None else []), *(each.number for each in stripe)]
        is_whole = numbers[-1] - numbers[0] == len(numbers) - 1 or any(each[0] == records.HOLE for each in found)
        if damaged or not is_whole:
            self._drop_parts()
            lost = [] if is_whole else [Missing(first, last, "damaged")]
            for block, _ in damaged:
                lost += [
                    Missing(block.first, block.last, "damaged", names[place])
                    for place in block.topics
                    if wanted is None or names[place] in wanted
                ]
            made = sorted([*lost, *made], key=when)
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
                parts = self._taken_parts(table[place]) if self._parts else None
                if begin <= time <= end:
                    made.append(Entry(time, table[place], kind, b"".join((*parts, body)) if parts else body))
        return made

    def _begins(self, topic: str, body: bytes) -> None:
        """A body that goes on in the next record of the topic. Raises ``BadTape``."""
        self._parts.setdefault(topic, []).append(body)
        self._parts_size += len(body) + _OF_A_PART
        if self._parts_size > records.LONGEST_BODY:
            raise BadTape("a body in more parts than one may have")

    def _taken_parts(self, topic: str) -> list[bytes]:
        parts = self._parts.pop(topic, [])
        self._parts_size -= sum(len(part) + _OF_A_PART for part in parts)
        return parts

    def _drop_parts(self) -> None:
        self._parts.clear()
        self._parts_size = 0


def when(each: Entry | Missing) -> int:
    """Its place in the order: a hole is told where it ends."""
    return each.time if isinstance(each, Entry) else each.end
