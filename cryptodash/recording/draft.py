"""A block to be, as the reactor fills it. A record is three appends to one list, which is what takes the least time;
where its topic stands in the block's table is found out by the thread that packs it."""

from __future__ import annotations

from typing import Any, Final

from cryptodash.recording import records
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

    def columns(self) -> tuple[list[str], RecordColumns]:
        """The table of topics, and the records, by a few calls of C."""
        sources: list[Source] = self.items[::ITEMS]
        places: dict[str, int] = {}
        heads: dict[Source, int] = {}
        for each in dict.fromkeys(sources):
            place = places.setdefault(each.name, len(places)) if each.name else -1
            heads[each] = head_of(each.kind, place)
        made = RecordColumns()
        made.items = self.items.copy()
        made.items[::ITEMS] = list(map(heads.__getitem__, sources))
        made.size = self.size
        return list(places), made
