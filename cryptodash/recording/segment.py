"""One segment of a tape, read: its blocks by their index, which its last block holds, or its headers tell."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from cryptodash.recording import blocks, segment_index
from cryptodash.recording.blocks import HEADER_SIZE, Header, TopicRow
from cryptodash.recording.record_columns import Record
from cryptodash.recording.segment_index import TRAILER_SIZE, BlockEntry, IndexMaker, SegmentIndex
from cryptodash.recording.tape_errors import BadTape

ReadAt = Callable[[int, int], bytes]
"""So many bytes from an offset on, or as many as there are."""

MOST_BYTES: Final = 2 * 2**30
"""Of a segment. One of ours has 64 MiB."""
MOST_CANDIDATES: Final = 1_000
"""Places that look like the beginning of a block, behind bad ones, which are looked at in a segment."""
_AT_ONCE: Final = 4096
"""What is read for a header and, usually, its topics."""
_WINDOW: Final = 2**20
"""What is looked through at a time for the next block, behind a bad one."""


@frozen
class Fault:
    """What is wrong at an offset of a segment."""

    offset: int
    reason: str


@frozen
class Scan:
    """What the headers of a segment tell. ``end``: behind the last whole block; ``is_torn``: there is no index."""

    index: SegmentIndex
    end: int
    faults: tuple[Fault, ...]
    is_torn: bool


class Replaced(BadTape):
    """Another file has the segment's name now: it was sorted meanwhile."""


class _File:
    """A file that is opened when it is read, and has to be the same one each time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None

    def size(self) -> int:
        return os.fstat(self._opened()).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._opened(), size, offset)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _opened(self) -> int:
        if self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            self._descriptor = descriptor
            status = os.fstat(descriptor)
            identity = (status.st_dev, status.st_ino)
            if not stat.S_ISREG(status.st_mode):
                self.close()
                raise BadTape(f"{self._path.name} is no file")
            if self._identity not in (None, identity):
                self.close()
                raise Replaced(f"{self._path.name} is not the same file any more")
            self._identity = identity
        return self._descriptor


@define(eq=False)
class Segment:
    """An open segment. Times are tape time, us. Raises ``BadTape`` where it cannot be a segment at all, ``OSError``
    where it cannot be read."""

    name: str
    size: int
    read_at: ReadAt
    close: Callable[[], None]
    head: Header = field(init=False)
    next_number: int | None = field(default=None, init=False)
    """Of the block after its last one, as blocks were numbered when they were made; None where it was not closed."""
    _scan: Scan | None = field(default=None, init=False)
    _last: int | None = field(default=None, init=False)
    _candidates: int = field(default=MOST_CANDIDATES, init=False)

    def __attrs_post_init__(self) -> None:
        if self.size > MOST_BYTES:
            raise BadTape(f"{self.name}: {self.size} bytes are more than a segment may have")
        self.head = self._first_header()
        footer = self._footer()
        self._last = None if footer is None else footer[1].last
        self.next_number = None if footer is None else footer[1].number
        if self._last is None:  # looked at now: all of what is not closed has to be gone through
            self._last = max((each.last for each in self.scan().index.blocks), default=self.head.last)

    @classmethod
    def open(cls, path: Path) -> Segment:
        """A file, which ``close`` gives back to the system until it is read again: of a long recording there are more
        than one process may have open. Raises ``BadTape`` and ``OSError``."""
        file = _File(path)
        try:
            return cls(path.name, file.size(), file.read_at, file.close)
        except BaseException:
            file.close()
            raise

    def touch(self) -> None:
        """Open the file, that it stays the same until ``close``. Raises ``Replaced``, ``BadTape``, ``OSError``."""
        self.read_at(0, 0)

    @property
    def run(self) -> bytes:
        return self.head.run

    @property
    def first(self) -> int:
        return self.head.first

    @property
    def last(self) -> int:
        """Of its last block."""
        return self.head.last if self._last is None else self._last

    @property
    def index(self) -> SegmentIndex:
        return self.scan().index

    def scan(self) -> Scan:
        """Of a closed segment what its last block says, else what all headers do."""
        if self._scan is None:
            self._scan = self._by_footer() or self.scan_headers()
        return self._scan

    def scan_headers(self) -> Scan:
        """All headers, one after the other; behind a bad one the next good one."""
        maker = IndexMaker(self.head.run)
        faults: list[Fault] = []
        at, end, is_torn = 0, 0, True
        while at < self.size:
            try:
                header, topics = self._header_at(at)
                if header.run != self.head.run or header.kind not in (blocks.INDEX, self.head.kind):
                    raise BadTape("a block of another run or kind")
                if at + header.size > self.size:
                    raise BadTape("ends within a block")
            except BadTape as error:
                faults.append(Fault(at, str(error)))
                at = self._next_block(at + 1)
                continue
            if header.kind == blocks.INDEX:
                is_torn = not self._is_trailer(at, header)
                break
            maker.add(at, header.size, header.number, header.first, header.last, header.count, topics)
            at += header.size
            end = at
            if maker.is_full:
                raise BadTape(f"{self.name}: more blocks than a segment may have")
        return Scan(maker.made(), end, tuple(faults), is_torn)

    @property
    def is_sorted(self) -> bool:
        """By topic, within stripes of a minute at most (``stripes.py``)."""
        return self.head.kind == blocks.SORTED

    def records(self, entry: BlockEntry) -> tuple[list[str], list[Record]]:
        """(topics, records) of a block. Raises ``BadTape``."""
        header, topics, packed = self._block(entry)
        return [topic for topic, _, _ in topics], blocks.read_records(packed, header, topics)

    def sorted_records(self, entry: BlockEntry, most: int) -> tuple[list[str], list[Record], list[int], int]:
        """(topics, records, order of each, bytes) of a block of a sorted segment, which has at most so many bytes.
        Raises ``BadTape``."""
        header, topics, packed = self._block(entry)
        if header.payload_declared > most:
            raise BadTape("a stripe of more than one may have")
        found, orders = blocks.read_sorted(packed, header, topics)
        return [topic for topic, _, _ in topics], found, orders, header.payload_declared

    def _block(self, entry: BlockEntry) -> tuple[Header, list[TopicRow], bytes]:
        data = self.read_at(entry.offset, entry.size)
        header = blocks.read_header(data)
        kind = blocks.SORTED if self.is_sorted else blocks.RECORDS
        if header.kind != kind or header.run != self.head.run or header.size != entry.size:
            raise BadTape("an index that does not fit its segment")
        return header, blocks.read_topics(data, header), data[HEADER_SIZE + header.topics_size :]

    def _first_header(self) -> Header:
        try:
            return self._header_at(0)[0]
        except BadTape as error:
            at = self._next_block(1)
            if at >= self.size:
                raise BadTape(f"{self.name}: {error}, and no whole block behind it") from None
            return self._header_at(at)[0]

    def _header_at(self, at: int) -> tuple[Header, list[str]]:
        data = self.read_at(at, _AT_ONCE)
        header = blocks.read_header(data)
        need = HEADER_SIZE + header.topics_size
        if need > len(data):
            data += self.read_at(at + len(data), need - len(data))
        return header, [topic for topic, _, _ in blocks.read_topics(data, header)]

    def _next_block(self, at: int) -> int:
        """Where the next good header is; the end where there is none, or after too many that only look like one."""
        while at < self.size:
            window = self.read_at(at, _WINDOW)
            found = window.find(blocks.MAGIC)
            while found >= 0:
                self._candidates -= 1
                if self._candidates < 0:
                    return self.size
                try:
                    if found + HEADER_SIZE <= len(window):  # without another read, if that is enough to see it
                        blocks.read_header(window[found : found + HEADER_SIZE])
                    self._header_at(at + found)
                except BadTape:
                    found = window.find(blocks.MAGIC, found + 1)
                else:
                    return at + found
            if len(window) < len(blocks.MAGIC):
                break
            at += len(window) - len(blocks.MAGIC) + 1
        return self.size

    def _footer(self) -> tuple[int, Header] | None:
        """(where it is, header) of the index; None where there is none that can be read."""
        trailer = self.read_at(max(0, self.size - TRAILER_SIZE), TRAILER_SIZE)
        at = segment_index.read_trailer(trailer)
        if at is None or not HEADER_SIZE <= at <= self.size - TRAILER_SIZE - HEADER_SIZE:
            return None
        try:
            header, _ = self._header_at(at)
        except BadTape:
            return None
        is_good = header.kind == blocks.INDEX and header.run == self.head.run and self._is_trailer(at, header)
        return (at, header) if is_good else None

    def _is_trailer(self, at: int, header: Header) -> bool:
        return at + header.size + TRAILER_SIZE == self.size

    def _by_footer(self) -> Scan | None:
        footer = self._footer()
        if footer is None:
            return None
        at, header = footer
        packed = self.read_at(at + HEADER_SIZE + header.topics_size, header.payload_size)
        try:
            index = segment_index.decode_index(blocks.read_payload(packed, header), at)
        except BadTape:
            return None
        return Scan(index, at, (), is_torn=False) if index.run == self.head.run else None


def blocks_between(segment: Segment, begin: int, end: int) -> Iterator[BlockEntry]:
    """The blocks of a segment that may hold something of that time."""
    for entry in segment.index.blocks:
        if entry.first > end:
            if segment.is_sorted:
                continue
            return
        if entry.last >= begin:
            yield entry
