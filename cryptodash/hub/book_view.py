"""One view of an order book: its top levels, as a snapshot and deltas that always fit."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import BookDelta, BookSnapshot, BookView, Level, StreamStatus, is_crossed
from cryptodash.core.numbers import Number, key
from cryptodash.core.topics import Topic
from cryptodash.hub.encode import delta_message, snapshot_message
from cryptodash.hub.interfaces import Message
from cryptodash.hub.outlets import Outlets

Levels = tuple[Level, ...]


def side_changes(old: Sequence[Level], new: Sequence[Level]) -> tuple[list[Level], list[Number]]:
    """(levels to set, prices to remove) that turn ``old`` into ``new``."""
    if old == new:
        return [], []
    before, after = dict(old), dict(new)
    levels_before = before.items()
    upserts = [level for level in new if level not in levels_before]
    if before.keys() <= after.keys():
        return upserts, []
    deletes = [price for price in before if price not in after]
    if upserts:  # a price whose padding changed is the same level to a client: set it, do not remove it
        set_now = {key(price) for price, _ in upserts}
        deletes = [price for price in deletes if key(price) not in set_now]
    return upserts, deletes


class WantedBook:
    """One upstream book that is wanted: its views and its status. ``known``: it was shown at least once."""

    __slots__ = ("known", "status", "views")

    def __init__(self) -> None:
        self.known = False
        self.status: StreamStatus | None = None
        self.views: dict[tuple[Topic, int], View] = {}

    def take_status(self, status: StreamStatus) -> None:
        """A book that has lost its place is not what any view shows any more."""
        self.status = status
        if status.breaks_a_book:
            for view in self.views.values():
                view.newest = None

    @property
    def is_good(self) -> bool:
        """Whether its stream is."""
        return self.status is not None and self.status.state.is_good

    @property
    def is_broken(self) -> bool:
        """Whether only a rebuilt book is worth anything."""
        return self.known and self.status is not None and self.status.breaks_a_book


class View:
    """One view. ``newest`` is what the book was last like, None where that is not known; what was published last may be
    older.

    ``asleep``: nobody watches, so it publishes nothing until somebody asks. ``fresh_start``: what was published last
    fits nothing any more (first time, resynchronised), the next publication is a snapshot. ``owes_status``: those who
    watch are to be told with it that the book is good.
    """

    __slots__ = (
        "_current",
        "asks",
        "asleep",
        "bids",
        "book",
        "fresh_start",
        "newest",
        "outlets",
        "owes_status",
        "received",
        "sequence",
        "timestamp",
        "topic",
    )

    def __init__(self, topic: Topic, book: WantedBook) -> None:
        self.topic = topic
        self.book = book
        self.newest: BookView | None = None
        self.outlets = Outlets()
        self.asleep = True
        self.fresh_start = True
        self.owes_status = False
        self.sequence = 0
        self.timestamp = self.received = 0
        self.bids: Levels = ()
        self.asks: Levels = ()
        self._current: Message | None = None

    def take(self, newest: BookView) -> bool:
        """The book as it is now; False where that says nothing, because it is broken and not rebuilt yet."""
        if newest.rebuilt or self.newest is None:
            if self.book.is_broken and not newest.rebuilt:
                return False
            self.fresh_start = True
        self.newest = newest
        self.book.known = True
        return True

    @property
    def may_be_crossed(self) -> bool:
        """Whether a crossed book is shown."""
        return False

    @property
    def _is_otherwise_new(self) -> bool:
        """Whether there is news beside the levels."""
        return False

    def _read(self) -> tuple[Levels, Levels] | None:
        """(bids, asks) now; None for a book that is out of sync or crossed.

        A book that has lost its place is empty as well, so an empty one is believed only while the venue's stream is
        good.
        """
        newest = self.newest
        if newest is None or (is_crossed(newest.bids, newest.asks) and not self.may_be_crossed):
            return None
        if not (newest.bids or newest.asks or self.book.is_good):
            return None
        return newest.bids, newest.asks

    def advance(self) -> Message | None:
        """Catch up with the book as it is now; what to tell those who hold the view,
        None where there is nothing to tell."""
        levels = self._read()
        if levels is None:
            return None
        if self.fresh_start:
            self._take(*levels)
            return self.current()
        return self._step(*levels)

    def _step(self, bids: Levels, asks: Levels) -> Message | None:
        bids_changes, asks_changes = side_changes(self.bids, bids), side_changes(self.asks, asks)
        if not (any(bids_changes) or any(asks_changes) or self._is_otherwise_new):
            return None
        self._take(bids, asks)
        return self._delta(bids_changes, asks_changes)

    def _delta(
        self, bids: tuple[Sequence[Level], Sequence[Number]], asks: tuple[Sequence[Level], Sequence[Number]]
    ) -> Message:
        """What has just been taken; each side as ``side_changes`` has it."""
        return delta_message(
            BookDelta(self.topic, self.timestamp, self.received, self.sequence, bids[0], asks[0], bids[1], asks[1])
        )

    def refresh(self) -> None:
        """Catch up without telling anybody: only while nobody holds an older state."""
        levels = self._read()
        if levels is None:
            self.fresh_start = True
        elif self.fresh_start or levels != (self.bids, self.asks) or self._is_otherwise_new:
            self._take(*levels)

    def _take(self, bids: Levels, asks: Levels) -> None:
        self.bids, self.asks = bids, asks
        assert self.newest is not None
        self.timestamp, self.received = self.newest.timestamp, self.newest.received
        self.sequence += 1
        self.fresh_start = False
        self._current = None

    @property
    def is_known(self) -> bool:
        """Whether what was published last is the state of a book in sync."""
        return self.newest is not None and not self.fresh_start

    def current(self) -> Message | None:
        """The view as last published; None while that is not the state of a book in sync."""
        if not self.is_known:
            return None
        if self._current is None:
            self._current = self._snapshot()
        return self._current

    def _snapshot(self) -> Message:
        """The view as published last."""
        complete = min(len(self.bids), len(self.asks)) >= self.topic.depth
        return snapshot_message(
            BookSnapshot(self.topic, self.timestamp, self.received, self.sequence, self.bids, self.asks, complete)
        )
