"""The end of a tape that is being written, as the reactor sees it: records are put into a draft, which is handed over
as a block when it is large or a second old. Nothing here waits, and a record costs three appends and a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cryptodash.recording import records
from cryptodash.recording.draft import ITEMS, Buffers, Draft, Source
from cryptodash.recording.record_columns import Record
from cryptodash.recording.records import Counts, Hole, Step
from cryptodash.recording.tape_writer import Block

BLOCK_BYTES: Final = 256 * 1024
"""Of bodies."""
BLOCK_RECORDS: Final = 16_384
BLOCK_US: Final = 1_000_000
COUNTS_US: Final = 60_000_000
_LAST_ITEMS: Final = ITEMS * (BLOCK_RECORDS - 1)
HELD_A_RECORD: Final = 64
"""Bytes that a record takes in memory beside its body."""


class Turn:
    """``at``: the tape time at which what is dealt with now came in, 0 while nothing is. All that comes of it is of
    that time, so that the clock is asked once."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = 0


class OpenTape:
    """``now`` tells tape time (us), and never an earlier one than before; ``hand_over`` takes a block or says that it
    cannot: it is then lost, which the next one tells. ``turn`` may be shared by several tapes of one clock, ``buffers``
    by all, and by whoever gives them back."""

    def __init__(
        self,
        now: Callable[[], int],
        hand_over: Callable[[Block], bool],
        turn: Turn | None = None,
        buffers: Buffers | None = None,
    ) -> None:
        self.blocks = 0
        """Made so far."""
        self.records = 0
        self.lost_blocks = 0
        """Those that could not be handed over."""
        self.needs_keyframes = False
        """Since a block was lost."""
        self._buffers = Buffers() if buffers is None else buffers
        self.draft = Draft(self._buffers.take())
        self.now = now
        self.turn = Turn() if turn is None else turn
        self._hand_over = hand_over
        self._hole: Hole | None = None
        self._stalls: list[Hole] = []
        self._counted_at: int | None = None

    def put(self, source: Source, kind: int, body: bytes) -> None:
        """One record more, of now."""
        if len(body) > records.LONGEST_PART:
            self._put_parts(source, kind, body)
            return
        self.draft.put(_of_kind(source, kind), self.turn.at or self.now(), body)
        if self.draft.size >= BLOCK_BYTES or len(self.draft) >= BLOCK_RECORDS:
            self.close_draft()

    def put_all(self, source: Source, bodies: Sequence[bytes]) -> None:
        """Records of the source's kind that came at once."""
        draft = self.draft
        items, size = draft.items, draft.size + sum(map(len, bodies))
        if size >= BLOCK_BYTES or len(items) + ITEMS * len(bodies) > _LAST_ITEMS:
            for body in bodies:
                self.put(source, source.kind, body)
            return
        # As ``put`` does it, without the calls: this is done for every frame.
        at, write = self.turn.at or self.now(), draft.write
        for body in bodies:
            items.append(source)
            items.append(at)
            items.append(write(body))
        draft.size = size

    def step(self, by_ms: int, wall_ms: int) -> None:
        """The wall clock was set."""
        self._put_own(records.STEP, records.encode(Step(by_ms, wall_ms)))

    def stalled(self, begin: int) -> None:
        """The process stood still since then; what came meanwhile is told as of now."""
        self.close_draft()
        self._stalls.append(Hole(begin, self.now(), "stalled"))

    def look(self) -> None:
        """To be called each second: hands over what is a second old. Where nothing came, that is told."""
        if not self.draft.items:
            self._put_own(records.BEAT, b"")
            self.close_draft()
        elif self.now() - self.draft.items[1] >= BLOCK_US * 9 // 10:
            self.close_draft()

    def close_draft(self) -> None:
        """Hand over what there is, now."""
        draft = self.draft
        if not draft.items:
            return
        self.draft = Draft(self._buffers.take())
        holes = [*self._stalls, *([self._hole] if self._hole is not None else [])]
        first, last = draft.items[1], draft.items[-2]
        block = Block(
            self.blocks,
            min([first, *(hole.begin for hole in holes)]),
            first,
            last,
            self._before(first, holes),
            draft,
            draft.size + HELD_A_RECORD * len(draft),
        )
        self.blocks += 1
        self.records += len(draft)
        if self._hand_over(block):
            self._hole = None
            self._stalls.clear()
        else:
            self._lose(block)

    def _before(self, first: int, holes: list[Hole]) -> list[Record]:
        """What stands before the records: holes, and each minute the counts."""
        made = [(records.HOLE, first, -1, records.encode(_cut(hole, first))) for hole in holes]
        if self._counted_at is None or first - self._counted_at >= COUNTS_US:
            self._counted_at = first
            made.append((records.COUNTS, first, -1, records.encode(Counts(self.blocks, self.records))))
        return made

    def _lose(self, block: Block) -> None:
        self.lost_blocks += 1
        self.needs_keyframes = True
        self._counted_at = None
        hole = self._hole
        begin, lost, count = (block.since, 0, 0) if hole is None else (hole.begin, hole.blocks or 0, hole.records or 0)
        self._hole = Hole(begin, block.last, "full", lost + 1, count + len(block.draft))

    def _put_own(self, kind: int, body: bytes) -> None:
        """About the tape itself."""
        self.draft.put(Source("", kind), self.turn.at or self.now(), body)

    def _put_parts(self, source: Source, kind: int, body: bytes) -> None:
        size = records.LONGEST_PART
        whole = range(0, len(body) - size, size)
        for at in whole:
            self.put(source, records.MORE, body[at : at + size])
        self.put(source, kind, body[len(whole) * size :])


def _of_kind(source: Source, kind: int) -> Source:
    return source if kind == source.kind else Source(source.name, kind)


def _cut(hole: Hole, until: int) -> Hole:
    end = until if hole.reason == "full" else min(hole.end, until)
    return msgspec.structs.replace(hole, begin=min(hole.begin, until), end=end)
