"""A block to be, as the reactor fills it. A record is three appends to one list, which is what takes the least time;
where its topic stands in the block's table is found out by the thread that packs it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from cryptodash.recording import records
from cryptodash.recording.blocks import TopicRow
from cryptodash.recording.record_columns import RecordColumns, head_of

ITEMS: Final = 3
"""Of a record in ``Draft.items``."""


class Source:
    """What records are of, a topic or a connection (empty: the tape itself), and of which kind (``records.py``)."""

    __slots__ = ("kind", "name")

    def __init__(self, name: str, kind: int = records.MESSAGE) -> None:
        self.name = name
        self.kind = kind


class Draft:
    """``items``: of each record its source, tape time (us) and body, one after the other; ``size``: bytes of all
    bodies. Whoever puts many in does both by hand."""

    __slots__ = ("items", "size")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self.items) // ITEMS

    def put(self, source: Source, time: int, body: bytes) -> None:
        self.items += source, time, body
        self.size += len(body)

    def columns(self) -> tuple[list[TopicRow], RecordColumns]:
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
        made = RecordColumns()
        made.heads = list(map(heads.__getitem__, sources))
        made.times, made.bodies = self.items[1::ITEMS], self.items[2::ITEMS]
        return [(name, said, keyframes) for name, (_, said, keyframes) in rows.items()], made
