"""The index that ends a segment: where each block is, what times and which topics it has. It can always be made again
from the headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from cryptodash.recording import blocks
from cryptodash.recording.tape_errors import BadTape

TRAILER: Final = b"CDte"
TRAILER_SIZE: Final = 12
"""The last bytes of a segment: where its index begins (8 bytes) and ``TRAILER``."""
MOST_BLOCKS: Final = 100_000
MOST_PLACES: Final = 800_000
"""Of topics, in all blocks of a segment: more than any that is not full yet can have, and the one after."""


class BlockEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One block: ``offset`` in the file, and as in its header. ``topics``: places in the index's table."""

    offset: int
    size: int
    number: int
    first: int
    last: int
    count: int
    topics: list[int]


class SegmentIndex(msgspec.Struct, frozen=True, array_like=True):
    """``topics`` in the order in which they came first."""

    run: bytes
    topics: list[str]
    blocks: list[BlockEntry]


class IndexMaker:
    """Grows with the segment."""

    def __init__(self, run: bytes) -> None:
        self._run = run
        self._places: dict[str, int] = {}
        self._blocks: list[BlockEntry] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the index of a longer segment might not fit into a block."""
        return self._bytes > blocks.MOST_DECLARED // 2

    def add(
        self, offset: int, size: int, number: int, first: int, last: int, count: int, topics: Sequence[str]
    ) -> None:
        places, found = self._places, []
        for topic in topics:
            place = places.get(topic)
            if place is None:
                place = places[topic] = len(places)
                self._bytes += len(topic.encode()) + 5
            found.append(place)
        self._bytes += 50 + 3 * len(found)
        self._blocks.append(BlockEntry(offset, size, number, first, last, count, found))

    def made(self) -> SegmentIndex:
        return SegmentIndex(self._run, list(self._places), self._blocks)


def encode_index(index: SegmentIndex) -> bytes:
    return msgspec.msgpack.encode(index)


def encode_trailer(offset: int) -> bytes:
    return offset.to_bytes(8, "little") + TRAILER


def read_trailer(data: bytes) -> int | None:
    """Where the index begins; None where these are not the last bytes of a closed segment."""
    if len(data) != TRAILER_SIZE or data[8:] != TRAILER:
        return None
    return int.from_bytes(data[:8], "little")


_decode = msgspec.msgpack.Decoder(SegmentIndex).decode


def decode_index(payload: bytes, end: int) -> SegmentIndex:
    """The index of blocks that lie before ``end``. Raises ``BadTape``: whatever is not as it must be is made again
    from the headers."""
    try:
        index = _decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadTape(f"an index cannot be read: {error}"[:200]) from None
    if sum(len(each.topics) for each in index.blocks) > MOST_PLACES:
        raise BadTape("an index of more topics than one may have")
    at, known = 0, len(index.topics)
    for each in index.blocks:
        if each.offset != at or each.size < blocks.HEADER_SIZE or not 0 <= each.first <= each.last <= blocks.MOST_TIME:
            raise BadTape("an index that does not fit its segment")
        if any(not 0 <= place < known for place in each.topics):
            raise BadTape("an index with a topic that it does not name")
        at += each.size
    if at != end or len(index.blocks) > MOST_BLOCKS:
        raise BadTape("an index that does not fit its segment")
    return index
