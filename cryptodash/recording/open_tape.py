"""The end of a tape that is being written, as the reactor sees it: records are put into a draft, which is handed over
as a block when it is large or a second old. Nothing here waits, and a record costs an append."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from cryptodash.recording import records
from cryptodash.recording.blocks import NewRecord, Record, TopicRow
from cryptodash.recording.records import Counts, Hole, Step
from cryptodash.recording.tape_writer import Block

BLOCK_BYTES: Final = 256 * 1024
BLOCK_US: Final = 1_000_000
RECORD_BYTES: Final = 20
"""What a record takes beside its body, about. It also bounds the records of a block, and its topics."""
_SHORT: Final = 64 * 1024
"""Bodies of so many bytes may come together: a block then stays far below what one may have."""
COUNTS_US: Final = 60_000_000


class Source:
    """What records are of: a topic, or a connection. It knows its place in the draft."""

    __slots__ = ("count", "draft", "keyframes", "name", "place")

    def __init__(self, name: str) -> None:
        self.name = name
        self.draft: Draft | None = None
        self.place = -1
        self.count = 0
        self.keyframes = 0


class Draft:
    """A block to be."""

    __slots__ = ("first", "last", "records", "size", "sources")

    def __init__(self, first: int) -> None:
        self.first = self.last = first
        self.records: list[NewRecord] = []
        self.sources: list[Source] = []
        self.size = 0


class OpenTape:
    """``now`` tells tape time (us), ``hand_over`` takes a block or says that it cannot: it is then lost, which the next
    one tells."""

    def __init__(self, now: Callable[[], int], hand_over: Callable[[Block], bool]) -> None:
        self.blocks = 0
        """Made so far."""
        self.records = 0
        self.lost_blocks = 0
        """Those that could not be handed over."""
        self.needs_keyframes = False
        """Since a block was lost."""
        self.draft: Draft | None = None
        self.now = now
        self._hand_over = hand_over
        self._hole: Hole | None = None
        self._stalls: list[Hole] = []
        self._counted_at: int | None = None
        self._own = Source("")

    def put(self, source: Source, kind: int, body: bytes) -> None:
        """One record more, of now."""
        draft = self.draft
        now = self.now()
        if draft is None:
            draft = self.draft = Draft(now)
        elif now < draft.last:
            now = draft.last
        if source.draft is not draft:
            self._enter(source, draft)
        if len(body) > records.LONGEST_PART:
            self._put_parts(source, kind, body)
            return
        source.count += 1
        if kind == records.KEYFRAME:
            source.keyframes += 1
        draft.last = now
        draft.size += len(body) + RECORD_BYTES
        draft.records.append(NewRecord(kind, now, source.place, body))
        if draft.size >= BLOCK_BYTES:
            self.close_draft()

    def put_all(self, source: Source, kind: int, bodies: Sequence[bytes]) -> None:
        """Several of one source that came at once."""
        draft = self.draft
        now = self.now()
        if draft is None or source.draft is not draft or now < draft.last or max(map(len, bodies)) > _SHORT:
            for body in bodies:
                self.put(source, kind, body)
            return
        place = source.place
        source.count += len(bodies)
        draft.last = now
        draft.size += sum(map(len, bodies)) + RECORD_BYTES * len(bodies)
        draft.records += [NewRecord(kind, now, place, body) for body in bodies]
        if draft.size >= BLOCK_BYTES:
            self.close_draft()

    def step(self, by_ms: int, wall_ms: int) -> None:
        """The wall clock was set."""
        self._put_own(records.STEP, records.encode(Step(by_ms, wall_ms)))

    def stalled(self, begin: int) -> None:
        """The process stood still since then; what came meanwhile is told as of now."""
        if self.draft is not None:
            self.close_draft()
        self._stalls.append(Hole(begin, self.now(), "stalled"))

    def look(self) -> None:
        """To be called each second: hands over what is a second old. Where nothing came, that is told."""
        draft = self.draft
        if draft is None:
            self._put_own(records.BEAT, b"")
            self.close_draft()
        elif self.now() - draft.first >= BLOCK_US * 9 // 10:
            self.close_draft()

    def close_draft(self) -> None:
        """Hand over what there is, now."""
        draft, self.draft = self.draft, None
        if draft is None:
            return
        holes = [*self._stalls, *([self._hole] if self._hole is not None else [])]
        block = Block(
            self.blocks,
            min([draft.first, *(hole.begin for hole in holes)]),
            draft.first,
            draft.last,
            [_row(each, draft) for each in draft.sources],
            self._before(draft, holes),
            draft.records,
            draft.size,
        )
        self.blocks += 1
        self.records += len(draft.records)
        if self._hand_over(block):
            self._hole = None
            self._stalls.clear()
        else:
            self._lose(block)

    def _before(self, draft: Draft, holes: list[Hole]) -> list[Record]:
        """What stands before the records: holes, and each minute the counts."""
        first = draft.first
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
        self._hole = Hole(begin, block.last, "full", lost + 1, count + len(block.records))

    def _put_own(self, kind: int, body: bytes) -> None:
        """About the tape itself."""
        draft = self.draft
        now = self.now()
        if draft is None:
            draft = self.draft = Draft(now)
        draft.last = max(draft.last, now)
        draft.size += len(body) + RECORD_BYTES
        draft.records.append(NewRecord(kind, draft.last, -1, body))

    def _enter(self, source: Source, draft: Draft) -> None:
        """The source's first record in this draft."""
        source.draft = draft
        source.place = len(draft.sources)
        source.count = source.keyframes = 0
        draft.sources.append(source)

    def _put_parts(self, source: Source, kind: int, body: bytes) -> None:
        size = records.LONGEST_PART
        whole = range(0, len(body) - size, size)
        for at in whole:
            self.put(source, records.MORE, body[at : at + size])
        self.put(source, kind, body[len(whole) * size :])


def _row(source: Source, draft: Draft) -> TopicRow:
    # A source that is in another draft already has other counts: a block is handed over before the next draft begins.
    assert source.draft is draft
    return source.name, source.count, source.keyframes


def _cut(hole: Hole, until: int) -> Hole:
    end = until if hole.reason == "full" else min(hole.end, until)
    return msgspec.structs.replace(hole, begin=min(hole.begin, until), end=end)
