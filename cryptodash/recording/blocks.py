"""One block of a tape as bytes: a header that can be read alone, a table of topics, and the records.

Pure. All that a header says is checked before anything is made of it: tapes may come from anybody.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from struct import Struct
from typing import Final

import msgspec
from attrs import frozen

from cryptodash.recording import compression, record_columns
from cryptodash.recording.record_columns import JoinedColumns, Record, RecordColumns
from cryptodash.recording.tape_errors import BadTape

MAGIC: Final = b"CDtb"
VERSION: Final = 2
READABLE: Final = (1, 2)
"""In version 1 the records of a block are a msgpack list of ``[kind, time, place, body]``; since then they stand in
columns (``record_columns.py``)."""
RECORDS: Final = 0
INDEX: Final = 1
"""The last block of a segment that was closed in order."""
SORTED: Final = 2
"""Records of a few topics, of a segment that was sorted by topic (``stripes.py``)."""

# magic, version, codec, kind, nothing, run, number, first and last time, count, topics packed and declared,
# payload packed and declared, checksum of the payload, checksum of the header and the topics
_HEADER: Final = Struct("<4sBBBB16sQqqIIIIIII")
HEADER_SIZE: Final = _HEADER.size
_CHECKED: Final = HEADER_SIZE - 4
MOST_DECLARED: Final = 4 * 2**20
"""Bytes of the records of a block, unpacked."""
MOST_TOPICS_DECLARED: Final = 2**20
_SLACK: Final = 4096
"""What packing may add to what cannot be packed."""
_LEAST_RECORD: Final = 5
"""Bytes of the shortest record, of version 1: four members and the array around them."""
_LEAST_TOPIC: Final = 4
MOST_RECORDS: Final = 32_768
"""Of a block, and topics of its table: what they take as objects is then some megabytes."""
_TIMES_UNPACKED: Final = 256
_UNPACKED_AT_LEAST: Final = 64 * 1024
"""What is packed unpacks to so many times its bytes, or to these, at most: what is more is stored as it is."""
_RECORDS_A_BYTE: Final = 2
_RECORDS_AT_LEAST: Final = 256
"""The same of records, by the bytes that they are packed in."""
THE_TAPE: Final = ""
"""Stands in the table of a block that has records about the tape itself which a reader of any topic has to see."""
MOST_TIME: Final = 253_402_300_799_999_000
"""The last millisecond of the year 9999, in microseconds."""

TopicRow = tuple[str, int, int]
"""Topic, how many records of it the block has, how many of those are keyframes."""

_encode = msgspec.msgpack.Encoder().encode
_decode_records = msgspec.msgpack.Decoder(list[Record]).decode
_decode_topics = msgspec.msgpack.Decoder(list[TopicRow]).decode


@frozen
class Header:
    """What a block says of itself. Times are tape time in microseconds; ``number`` counts the blocks of a run, those
    that were lost as well. Sizes are bytes: ``topics_size`` and ``payload_size`` as they stand in the file."""

    version: int
    codec: int
    kind: int
    run: bytes
    number: int
    first: int
    last: int
    count: int
    topics_size: int
    topics_declared: int
    payload_size: int
    payload_declared: int
    payload_checksum: int

    @property
    def size(self) -> int:
        """Bytes of the whole block."""
        return HEADER_SIZE + self.topics_size + self.payload_size


def encode_block(
    run: bytes,
    number: int,
    first: int,
    last: int,
    topics: Sequence[TopicRow],
    records: RecordColumns | JoinedColumns,
    codec: int = compression.BEST,
) -> bytes:
    """A block of records. A few long calls of C, so that a thread that does it stands in nobody's way. Raises
    ``BadTape`` for more than a block may have."""
    with records.encode() as payload:
        return _encode_parts(RECORDS, run, number, first, last, len(records), _encode(topics), payload, codec)


def encode_sorted(
    run: bytes,
    number: int,
    first: int,
    last: int,
    topics: Sequence[TopicRow],
    records: RecordColumns,
    orders: Sequence[int],
    codec: int = compression.BEST,
) -> bytes:
    """A block of a sorted segment; ``number`` counts those of the segment."""
    with records.encode(orders) as payload:
        return _encode_parts(SORTED, run, number, first, last, len(records), _encode(topics), payload, codec)


def encode_index(run: bytes, number: int, first: int, last: int, index: bytes, codec: int = compression.BEST) -> bytes:
    """The block that ends a segment: ``index`` is ``segment_index.py``'s."""
    return _encode_parts(INDEX, run, number, first, last, 0, _encode([]), index, codec)


def _encode_parts(
    kind: int,
    run: bytes,
    number: int,
    first: int,
    last: int,
    count: int,
    table: bytes,
    payload: bytes | memoryview,
    codec: int,
) -> bytes:
    if len(payload) > MOST_DECLARED or len(table) > MOST_TOPICS_DECLARED:
        raise BadTape(f"a block of {len(payload)} bytes and {len(table)} of topics is more than one may have")
    packed_table, packed = compression.pack(table, codec), compression.pack(payload, codec)
    if _is_too_dense(count, len(packed_table), len(table), len(packed), len(payload)):
        codec, packed_table, packed = compression.STORED, table, payload
    head = _HEADER.pack(
        *(MAGIC, VERSION, codec, kind, 0, run, number, first, last, count),
        *(len(packed_table), len(table), len(packed), len(payload), zlib.crc32(packed), 0),
    )[:_CHECKED]
    checksum = zlib.crc32(packed_table, zlib.crc32(head))
    return b"".join((head, checksum.to_bytes(4, "little"), packed_table, packed))


def _is_too_dense(count: int, table: int, table_unpacked: int, payload: int, payload_unpacked: int) -> bool:
    """Whether a file of a megabyte could hold so many of these that reading them would never end."""
    return (
        count > _RECORDS_AT_LEAST + _RECORDS_A_BYTE * payload
        or payload_unpacked > _UNPACKED_AT_LEAST + _TIMES_UNPACKED * payload
        or table_unpacked > _UNPACKED_AT_LEAST + _TIMES_UNPACKED * table
    )


def read_header(data: bytes) -> Header:
    """The header that these ``HEADER_SIZE`` bytes are. Raises ``BadTape``; whether the checksum is right only
    ``read_topics`` can tell."""
    if len(data) < HEADER_SIZE:
        raise BadTape("ends within a header")
    magic, version, codec, kind, _, run, number, first, last, count, *sizes, _ = _HEADER.unpack(data[:HEADER_SIZE])
    topics_size, topics_declared, payload_size, payload_declared, payload_checksum = sizes
    if magic != MAGIC:
        raise BadTape("no block begins here")
    if version not in READABLE:
        raise BadTape(f"a block of version {version}; version {VERSION} can be read here")
    if codec not in compression.NAMES or kind not in (RECORDS, INDEX, SORTED):
        raise BadTape(f"a block of kind {kind}, packed as {codec}: neither is known")
    if payload_declared > MOST_DECLARED or topics_declared > MOST_TOPICS_DECLARED:
        raise BadTape(f"a block that declares {payload_declared} bytes and {topics_declared} of topics")
    if payload_size > payload_declared + _SLACK or topics_size > topics_declared + _SLACK:
        raise BadTape("a block that is larger packed than it is unpacked")
    if count > min(MOST_RECORDS, payload_declared // _LEAST_RECORD):
        raise BadTape(f"a block of {count} records in {payload_declared} bytes")
    if codec != compression.STORED and _is_too_dense(
        count, topics_size, topics_declared, payload_size, payload_declared
    ):
        raise BadTape(f"a block of {payload_size} bytes that declares {payload_declared}, and {count} records")
    if not 0 <= first <= last <= MOST_TIME:
        raise BadTape(f"a block from {first} to {last}")
    return Header(
        *(version, codec, kind, run, number, first, last, count),
        *(topics_size, topics_declared, payload_size, payload_declared, payload_checksum),
    )


def read_topics(data: bytes, header: Header) -> list[TopicRow]:
    """The topics of a block whose header and table these bytes begin with. Raises ``BadTape``."""
    end = HEADER_SIZE + header.topics_size
    if len(data) < end:
        raise BadTape("ends within a table of topics")
    table = data[HEADER_SIZE:end]
    found = int.from_bytes(data[_CHECKED:HEADER_SIZE], "little")
    if zlib.crc32(table, zlib.crc32(data[:_CHECKED])) != found:
        raise BadTape("the checksum of a header is wrong")
    unpacked = compression.unpack(table, header.codec, header.topics_declared)
    _check_array(unpacked, None, _LEAST_TOPIC)
    try:
        return _decode_topics(unpacked)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadTape(f"a table of topics cannot be read: {error}"[:200]) from None


def read_payload(packed: bytes, header: Header) -> bytes:
    """What a block holds, unpacked, of the bytes after its table. Raises ``BadTape``."""
    if len(packed) != header.payload_size:
        raise BadTape("ends within a block")
    if zlib.crc32(packed) != header.payload_checksum:
        raise BadTape("the checksum of a block is wrong")
    return compression.unpack(packed, header.codec, header.payload_declared)


def read_records(packed: bytes, header: Header, topics: Sequence[TopicRow]) -> list[Record]:
    """The records of a block. Raises ``BadTape``, also where they are not as the header says."""
    payload = read_payload(packed, header)
    if header.kind == SORTED:
        return record_columns.decode_sorted(payload, header.count, header.first, header.last, len(topics))[0]
    if header.version > 1:
        return record_columns.decode(payload, header.count, header.first, header.last, len(topics))
    _check_array(payload, header.count, _LEAST_RECORD)
    try:
        records = _decode_records(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadTape(f"records cannot be read: {error}"[:200]) from None
    before, known = header.first, len(topics)
    for _, time, place, _ in records:
        if not before <= time <= header.last or not -1 <= place < known:
            raise BadTape("a record that is out of order, or of a topic that its block has not")
        before = time
    return records


def read_sorted(packed: bytes, header: Header, topics: Sequence[TopicRow]) -> tuple[list[Record], list[int]]:
    """The same of a block of a sorted segment, with the place of each record in the order in which they were made."""
    payload = read_payload(packed, header)
    return record_columns.decode_sorted(payload, header.count, header.first, header.last, len(topics))


def _check_array(data: bytes, expected: int | None, least: int) -> None:
    """Raises ``BadTape`` unless an array begins here that is as long as it may be, and as was said."""
    lead = data[0] if data else 0
    if 0x90 <= lead <= 0x9F:
        length = lead & 0x0F
    elif lead == 0xDC:
        length = int.from_bytes(data[1:3], "big")
    elif lead == 0xDD:
        length = int.from_bytes(data[1:5], "big")
    else:
        raise BadTape("no list where one has to be")
    if length > MOST_RECORDS or length * least > len(data) or (expected is not None and length != expected):
        raise BadTape(f"a list of {length} in {len(data)} bytes")
