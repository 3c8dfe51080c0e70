"""A sorted segment: stripe after stripe, of a minute at most each, and in each the records by topic. Who wants one
topic reads its blocks only; who wants several gets them in the order in which they were made, of which each record has
its place. A stripe begins with a block of what is about the tape itself; small topics share a block.

Pure over what a ``Segment`` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import define, field

from cryptodash.recording import records
from cryptodash.recording.blocks import THE_TAPE, TopicRow
from cryptodash.recording.record_columns import Record, RecordColumns
from cryptodash.recording.segment import Segment
from cryptodash.recording.segment_index import BlockEntry
from cryptodash.recording.tape_errors import BadTape

STRIPE_BYTES: Final = 16 * 2**20
"""Of bodies."""
STRIPE_RECORDS: Final = 65_536
STRIPE_US: Final = 60_000_000
SHARED_BYTES: Final = 16 * 1024
"""Topics of fewer bytes share a block, until it has so many."""
SPLIT_BYTES: Final = 256 * 1024
"""A topic of more has several blocks."""
_MOST_BYTES: Final = 2 * STRIPE_BYTES
_MOST_RECORDS: Final = 2 * STRIPE_RECORDS


@define
class SortedBlock:
    """About to be written: its records in the order in which they were made."""

    first: int
    last: int
    topics: Sequence[TopicRow]
    records: RecordColumns
    orders: Sequence[int]


@define
class Stripe:
    """Grows by whole blocks, as they were written."""

    made_of: list[tuple[int, int, int, int]] = field(factory=list)
    bytes: int = 0
    _by_topic: dict[str, list[tuple[int, Record]]] = field(factory=dict)
    _own: list[tuple[int, Record]] = field(factory=list)
    _count: int = 0

    def fits(self, block: BlockEntry, size: int) -> bool:
        """Whether the next block, which has so many bytes, still belongs in here."""
        if not self.made_of:
            return True
        is_short = block.last - self.made_of[0][1] <= STRIPE_US
        return is_short and self.bytes + size <= STRIPE_BYTES and self._count + block.count <= STRIPE_RECORDS

    def take(self, block: BlockEntry, table: Sequence[str], found: Iterable[Record]) -> None:
        self.made_of.append((block.number, block.first, block.last, block.count))
        lists = [self._by_topic.setdefault(topic, []) if topic != THE_TAPE else self._own for topic in table]
        for record in found:
            (self._own if record[2] < 0 else lists[record[2]]).append((self._count, record))
            self._count += 1
            self.bytes += len(record[3])

    def sorted_blocks(self) -> Iterator[SortedBlock]:
        """What is written of it."""
        yield self._about_the_tape()
        shared: dict[str, list[tuple[int, Record]]] = {}
        size = 0
        for topic, found in sorted(self._by_topic.items()):
            own = sum(len(record[3]) for _, record in found)
            if shared and size + own > SHARED_BYTES:
                yield from _blocks(shared)
                shared, size = {}, 0
            if found:
                shared[topic] = found
                size += own
        if shared:
            yield from _blocks(shared)

    def _about_the_tape(self) -> SortedBlock:
        first, last = self.made_of[0][1], max(each[2] for each in self.made_of)
        made_of = (records.MADE_OF, first, -1, records.encode(records.MadeOf(self.made_of)))
        own = [record for _, record in self._own]
        holes = sum(1 for kind, *_ in own if kind == records.HOLE)
        topics = [(THE_TAPE, holes, 0)] if holes else []
        return SortedBlock(first, last, topics, RecordColumns([made_of, *own]), [0, *(order for order, _ in self._own)])


def _blocks(topics: dict[str, list[tuple[int, Record]]]) -> Iterator[SortedBlock]:
    """One for all of them; several where it is one topic that is long."""
    placed = [
        (order, (kind, time, place, body))
        for place, found in enumerate(topics.values())
        for order, (kind, time, _, body) in found
    ]
    placed.sort(key=lambda each: each[0])
    part: list[tuple[int, Record]] = []
    size = 0
    for each in placed:
        if part and size + len(each[1][3]) > SPLIT_BYTES:
            yield _block(list(topics), part)
            part, size = [], 0
        part.append(each)
        size += len(each[1][3])
    yield _block(list(topics), part)


def _block(topics: Sequence[str], part: Sequence[tuple[int, Record]]) -> SortedBlock:
    found = [record for _, record in part]
    rows = [
        (
            topic,
            sum(1 for each in found if each[2] == place),
            sum(1 for each in found if each[2] == place and each[0] == records.KEYFRAME),
        )
        for place, topic in enumerate(topics)
    ]
    return SortedBlock(found[0][1], found[-1][1], rows, RecordColumns(found), [order for order, _ in part])


# -- reading


def stripes_of(segment: Segment) -> Iterator[list[BlockEntry]]:
    """The blocks of each stripe; the first says from when to when it is."""
    names = segment.index.topics
    stripe: list[BlockEntry] = []
    for block in segment.index.blocks:
        if stripe and all(names[place] == THE_TAPE for place in block.topics):
            yield stripe
            stripe = []
        stripe.append(block)
    if stripe:
        yield stripe


def read_stripe(
    segment: Segment, stripe: Sequence[BlockEntry]
) -> tuple[list[str], list[Record], list[tuple[BlockEntry, str]]]:
    """(topics, records, what cannot be read and why) of these blocks of a stripe, the records in the order in which
    they were made."""
    table: list[str] = []
    found: list[tuple[int, Record]] = []
    damaged: list[tuple[BlockEntry, str]] = []
    rest, count = _MOST_BYTES, 0
    for block in stripe:
        count += block.count
        try:
            if count > _MOST_RECORDS:
                raise BadTape("a stripe of more records than one may have")
            topics, there, orders, size = segment.sorted_records(block, rest)
        except (BadTape, OSError) as error:
            damaged.append((block, str(error)))
            continue
        rest -= size
        offset = len(table)
        table += topics
        if offset:
            there = [(kind, time, place + offset if place >= 0 else -1, body) for kind, time, place, body in there]
        found += zip(orders, there, strict=True)
    if len(stripe) > 1:
        found.sort(key=lambda each: each[0])
    return table, [record for _, record in found], damaged


def made_of(found: Sequence[Record]) -> list[tuple[int, int, int, int]]:
    """What blocks a stripe was made of. Raises ``BadTape`` where it does not say so."""
    for kind, _, _, body in found:
        if kind == records.MADE_OF:
            return records.decode(body, records.MadeOf).blocks
    raise BadTape("a stripe that does not say what it was made of")
