"""One view of a merged book: as every view, but it may be crossed, and it says whose levels are not in it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Level
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Topic
from cryptodash.hub.book_view import Levels, View, WantedBook
from cryptodash.hub.composite import Excluded
from cryptodash.hub.composite_book import CompositeBook
from cryptodash.hub.composite_messages import delta_message, snapshot_message
from cryptodash.hub.interfaces import Message


class CompositeView(View):
    """``excluded`` and ``complete`` as published last."""

    __slots__ = ("complete", "excluded")

    def __init__(self, topic: Topic, book: WantedBook) -> None:
        super().__init__(topic, book)
        self.excluded: tuple[Excluded, ...] = ()
        self.complete = False

    @property
    def may_be_crossed(self) -> bool:
        """Between venues that is a signal, and no fault."""
        return True

    @property
    def _is_otherwise_new(self) -> bool:
        return isinstance(self.newest, CompositeBook) and (
            self.newest.excluded != self.excluded or self.newest.complete != self.complete
        )

    def _take(self, bids: Levels, asks: Levels) -> None:
        super()._take(bids, asks)
        if isinstance(self.newest, CompositeBook):
            self.excluded, self.complete = self.newest.excluded, self.newest.complete

    def _snapshot(self) -> Message:
        return snapshot_message(
            self.topic,
            self.timestamp,
            self.received,
            self.sequence,
            self.bids,
            self.asks,
            self.complete,
            self.excluded,
        )

    def _delta(
        self, bids: tuple[Sequence[Level], Sequence[Number]], asks: tuple[Sequence[Level], Sequence[Number]]
    ) -> Message:
        return delta_message(
            self.topic,
            self.timestamp,
            self.received,
            self.sequence,
            (bids[0], asks[0]),
            (bids[1], asks[1]),
            self.complete,
            self.excluded,
        )
