"""A block to be, as the reactor fills it. A record is three appends to one list and its body copied behind the others,
which is what takes the least time; where its topic stands in the block's table is found out by the thread that packs
it."""

from __future__ import annotations

from collections import Counter, deque
from io import BytesIO
from typing import Any, Final

from cryptodash.recording import records
from cryptodash.recording.blocks import TopicRow
from cryptodash.recording.record_columns import JoinedColumns, head_of

ITEMS: Final = 3
"""Of a record in ``Draft.items``."""
MOST_SPARE: Final = 16
"""Buffers that are kept for later blocks: of two tapes in half a second, where much comes."""
LARGEST_SPARE: Final = 2**20
"""Bytes of one; what is larger was made for a body of another size than is usual, and is not kept."""


class Source:
    """What records are of, a topic or a connection (empty: the tape itself), and of which kind (``records.py``)."""

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: int = records.MESSAGE) -> None:
        self.name = name
        self.kind = kind


class Draft:
    """``items``: of each record its source, tape time (us) and the length of its body, one after the other; ``bodies``:
    the bodies without anything between them, which ``write`` adds to; ``size``: bytes of all of them. Whoever puts many
    in does all three by hand."""

    __slots__ = ("bodies", "items", "size", "write")

    def __init__(self, bodies: BytesIO | None = None) -> None:
        self.items: list[Any] = []
        self.bodies = BytesIO() if bodies is None else bodies
        self.write = self.bodies.write
        self.size = 0

    def __len__(self) -> int:
        return len(self.items) // ITEMS

    def put(self, source: Source, time: int, body: bytes) -> None:
        self.items += source, time, self.write(body)
        self.size += len(body)

    def columns(self) -> tuple[list[TopicRow], JoinedColumns]:
        """The table of topics, and the records, by a few calls of C."""
        sources: list[Source] = self.items[::ITEMS]
        rows: dict[str, list[int]] = {}
        heads: dict[Source, int] = {}
        for each, count in Counter(sources).items():
            if not each.name:
                heads[each] = head_of(each.kind, -1)
                continue
            place, said, keyframes = rows.get(each.name) or (len(rows), 0, 0)
            rows[each.name] = [place, said + count, keyframes + count * (each.kind == records.KEYFRAME)]
            heads[each] = head_of(each.kind, place)
        numbers = list(map(heads.__getitem__, sources))
        made = JoinedColumns(numbers, self.items[1::ITEMS], self.items[2::ITEMS], self.bodies)
        return [(name, said, keyframes) for name, (_, said, keyframes) in rows.items()], made


class Buffers:
    """Memory for the bodies of blocks, used again and again: a body that is kept instead takes fresh memory each time,
    which costs more than to copy it. Any thread may ask."""

    def __init__(self) -> None:
        self._spare: deque[BytesIO] = deque(maxlen=MOST_SPARE)

    def take(self) -> BytesIO:
        """One to write into from its beginning. What stands in it is of no meaning."""
        try:
            return self._spare.pop()
        except IndexError:
            return BytesIO()

    def give_back(self, draft: Draft) -> None:
        """Nobody reads the draft any more."""
        if draft.bodies.seek(0, 2) <= LARGEST_SPARE:
            draft.bodies.seek(0)
            self._spare.append(draft.bodies)
