"""Writes one tape, segment by segment, whatever the disk does. For the writer's thread: it may block, and never raises
for what the disk says. What is lost is kept count of and said as a hole, as soon as something can be written again."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, evolve, frozen
from msgspec import structs

from cryptodash.recording import blocks, compression, records, segment_index
from cryptodash.recording.blocks import THE_TAPE
from cryptodash.recording.draft import Draft
from cryptodash.recording.files import Ending, NoRoom, TapeDirectory, TapeFile
from cryptodash.recording.record_columns import Record
from cryptodash.recording.records import Hole, Run
from cryptodash.recording.segment_index import IndexMaker
from cryptodash.recording.tape_errors import BadTape

SYNC_S: Final = 2.0
SEGMENT_BYTES: Final = 64 * 2**20
SEGMENT_S: Final = 3600.0
LOST_BY_A_KILL: Final = 5_000_000
"""us before an end without an index that may be missing: a second of a block, two in the queue, two until a sync."""
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 60.0
"""Also the wait for a disk that is full."""


@frozen
class Block:
    """A block as it is handed over. ``before``: records about the tape that stand before those that were counted;
    ``since``: when the first of the holes among them begins, ``first`` where there is none. ``size``: bytes of memory
    that it takes."""

    number: int
    since: int
    first: int
    last: int
    before: Sequence[Record]
    draft: Draft
    size: int


@frozen
class WriterState:
    """How one tape does; a new object for each change. ``error``: why nothing is written now, empty where all is well.
    ``bytes``, ``blocks`` and ``lost_blocks`` since the start; ``segment``: grows with each new one; ``failures``: how
    often the disk failed."""

    error: str = ""
    bytes: int = 0
    blocks: int = 0
    lost_blocks: int = 0
    segment: int = 0
    failures: int = 0


@define(eq=False)
class _Open:
    """The segment that is written."""

    file: TapeFile
    index: IndexMaker
    since: float
    first: int
    end: int = 0
    last: int = 0
    number: int = 0
    unsynced: bool = False


class TapeWriter:
    """``directory`` opens where the segments go, again after a failure; ``monotonic`` tells seconds. ``state`` may be
    read by any thread."""

    def __init__(
        self,
        directory: Callable[[], TapeDirectory],
        run: Run,
        monotonic: Callable[[], float],
        *,
        segment_bytes: int = SEGMENT_BYTES,
        codec: int = compression.BEST,
    ) -> None:
        self.state = WriterState()
        self._directory = directory
        self._run = run
        self._run_id = bytes.fromhex(run.id)
        self._monotonic = monotonic
        self._segment_bytes = segment_bytes
        self._codec = codec
        self._open: _Open | None = None
        self._synced_to: int | None = None
        """Tape time up to which all is on the disk, of this run."""
        self._next_sync = 0.0
        self._retry_at = float("-inf")
        self._retry_s = FIRST_RETRY_S
        self._hole: Hole | None = None
        """What was lost since something could be written."""
        self._holes: list[Hole] = []
        """What stands before the first block of the run."""
        self._is_first = True

    def write(self, block: Block) -> None:
        """Write a block, or count it among what is lost."""
        now = self._monotonic()
        if self._open is None and now < self._retry_at:
            self._lose(block)
            return
        try:
            if self._open is not None and self._is_over(self._open, now):
                self._end(self._open)
            if self._open is None:
                self._begin(block, now)
            assert self._open is not None
            self._put(self._open, block)
            if now >= self._next_sync:
                self._sync(self._open, now)
        except OSError as error:
            self._failed(error, now)
            self._lose(block)
        except BadTape as error:  # a fault of ours: the next one may be good
            self.state = evolve(self.state, error=str(error)[:200])
            self._lose(block)

    def tick(self) -> None:
        """Time passes: nothing stays longer than ``SYNC_S`` where a loss of power would take it."""
        now = self._monotonic()
        if self._open is not None and now >= self._next_sync:
            try:
                self._sync(self._open, now)
            except OSError as error:
                self._failed(error, now)

    def close(self) -> None:
        """End the segment with its index."""
        if self._open is not None:
            try:
                self._end(self._open)
            except OSError as error:
                self._failed(error, self._monotonic())

    # -- segments

    def _is_over(self, segment: _Open, now: float) -> bool:
        return segment.end >= self._segment_bytes or now - segment.since >= SEGMENT_S or segment.index.is_full

    def _begin(self, block: Block, now: float) -> None:
        directory = self._directory()
        if self._is_first:
            self._tell_of(directory.ending(), block.first)
            self._is_first = False
        file = directory.create()
        self._open = _Open(file, IndexMaker(self._run_id), now, block.first)
        self._next_sync = now  # with its first block: until then nobody knows whether the disk does it
        self.state = evolve(self.state, segment=self.state.segment + 1)

    def _tell_of(self, ending: Ending | None, begin: int) -> None:
        """What was before this run: until when there is something, and that nothing came from then on."""
        if ending is None:
            return
        last = min(ending.last, begin)
        torn = min(last + LOST_BY_A_KILL, begin) if ending.is_torn else last
        if ending.is_torn:
            self._holes.append(Hole(last, torn, "torn"))
        self._holes.append(Hole(torn, begin, "stopped"))  # of no time, where the wall clock was set back meanwhile

    def _put(self, segment: _Open, block: Block) -> None:
        before = list(block.before)
        topics, made = block.draft.columns()
        holes = [*self._holes, *([self._hole] if self._hole is not None else [])]
        if segment.end == 0:
            before.insert(0, (records.RUN, block.first, -1, records.encode(self._run)))
        for hole in holes:
            said = _until(hole, block.first)
            before.append((records.HOLE, block.first, -1, records.encode(said)))
        if any(kind == records.HOLE for kind, *_ in before):
            topics.append((THE_TAPE, len(before), 0))
        said_records = made.behind(before) if before else made
        data = blocks.encode_block(
            self._run_id, block.number, block.first, block.last, topics, said_records, self._codec
        )
        segment.file.write(data)
        names = [name for name, _, _ in topics]
        segment.index.add(segment.end, len(data), block.number, block.first, block.last, len(said_records), names)
        segment.end += len(data)
        segment.last, segment.number, segment.unsynced = block.last, block.number, True
        self._holes, self._hole = [], None
        self.state = evolve(self.state, bytes=self.state.bytes + len(data), blocks=self.state.blocks + 1)

    def _sync(self, segment: _Open, now: float) -> None:
        self._next_sync = now + SYNC_S
        segment.file.check()
        if segment.unsynced:
            segment.file.sync()
            segment.unsynced = False
        self._synced_to = segment.last
        self._retry_s = FIRST_RETRY_S
        if self.state.error:
            self.state = evolve(self.state, error="")

    def _end(self, segment: _Open) -> None:
        """The index, all to the disk, and no segment any more."""
        index = segment_index.encode_index(segment.index.made())
        data = blocks.encode_index(self._run_id, segment.number + 1, segment.first, segment.last, index, self._codec)
        segment.file.write(data + segment_index.encode_trailer(segment.end))
        segment.file.check()
        segment.file.sync()
        self._synced_to = segment.last
        segment.file.close()
        self._open = None

    # -- what goes wrong

    def _failed(self, error: OSError, now: float) -> None:
        """Never write to that file again: after an error nobody knows what it holds, whatever a second sync says."""
        segment, self._open = self._open, None
        if segment is not None:
            if not segment.end:
                segment.file.discard()
            elif error.errno == errno.ENOSPC:
                segment.file.cut(segment.end)
            segment.file.close()
            begin = segment.first if self._synced_to is None else max(segment.first, self._synced_to)
            self._widen(begin, segment.last or begin, 0, 0, str(error))
        is_full = isinstance(error, NoRoom) or error.errno in (errno.ENOSPC, errno.EDQUOT)
        wait = LONGEST_RETRY_S if is_full else self._retry_s
        self._retry_s = min(LONGEST_RETRY_S, self._retry_s * 2)
        self._retry_at = now + wait
        reason = error.strerror or str(error) or type(error).__name__
        self.state = evolve(self.state, error=reason[:200], failures=self.state.failures + 1)

    def _lose(self, block: Block) -> None:
        self._widen(block.since, block.last, 1, len(block.draft), self.state.error)
        self.state = evolve(self.state, lost_blocks=self.state.lost_blocks + 1)

    def _widen(self, begin: int, end: int, lost: int, count: int, error: str) -> None:
        hole = self._hole
        if hole is None:
            self._hole = Hole(begin, end, "disk", lost, count, error[:200])
        else:
            self._hole = Hole(
                min(hole.begin, begin),
                max(hole.end, end),
                "disk",
                (hole.blocks or 0) + lost,
                (hole.records or 0) + count,
                hole.error or error[:200],
            )


def _until(hole: Hole, begin: int) -> Hole:
    """What the disk has lost ends where the block begins that says so."""
    end = begin if hole.reason == "disk" else min(hole.end, begin)
    return structs.replace(hole, begin=min(hole.begin, begin), end=end)
