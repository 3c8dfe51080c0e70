"""One view of an order book: its top levels, as a snapshot and deltas that always fit, and the book it is a view of."""

from __future__ import annotations

from collections.abc import Sequence

from cryptodash.core.events import Book, BookChanged, BookDelta, BookSnapshot, Level, StreamStatus, is_crossed
from cryptodash.core.numbers import Number, key
from cryptodash.core.topics import Topic
from cryptodash.hub.encode import delta_message, snapshot_message
from cryptodash.hub.freshness import breaks_a_book
from cryptodash.hub.interfaces import Message
from cryptodash.hub.outlets import Outlets
from cryptodash.hub.publish_timer import PublishTimer

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


class LiveBook:
    """One upstream book that is wanted, and the views of it. ``in_sync``:
    what it holds is a consistent state that deltas may follow."""

    __slots__ = ("book", "in_sync", "received", "status", "timestamp", "views")

    def __init__(self) -> None:
        self.book: Book | None = None
        self.timestamp = self.received = 0
        self.in_sync = False
        self.status: StreamStatus | None = None
        self.views: dict[tuple[Topic, int], View] = {}

    def take(self, event: BookChanged) -> bool:
        """The book's new state; False where it says nothing, because the book is broken and not rebuilt yet."""
        if event.rebuilt or not self.in_sync:
            if self.book is not None and not event.rebuilt and self.status is not None and breaks_a_book(self.status):
                return False
            for view in self.views.values():
                view.fresh_start = True
        self.book, self.in_sync = event.book, True
        self.timestamp, self.received = event.timestamp, event.received
        return True

    def take_status(self, status: StreamStatus) -> None:
        self.status = status
        if breaks_a_book(status):
            self.in_sync = False

    def read(self, depth: int) -> tuple[Levels, Levels] | None:
        """(bids, asks) now; None for a book that is out of sync or crossed.

        A book that has lost its place is empty as well, so an empty one is believed only while
        the venue's stream is good.
        """
        if self.book is None or not self.in_sync:
            return None
        bids, asks = self.book.top(depth)
        if is_crossed(bids, asks) or not (bids or asks or self._is_good()):
            return None
        return tuple(bids), tuple(asks)

    def _is_good(self) -> bool:
        return self.status is not None and self.status.state.is_good


class View:
    """One view. ``asleep``: nobody watches, so it does not follow the book until somebody asks.

    ``fresh_start``: what was published last fits nothing any more (first time, resynchronised),
    the next publication is a snapshot.
    """

    __slots__ = (
        "_current",
        "asks",
        "asleep",
        "bids",
        "book",
        "fresh_start",
        "outlets",
        "received",
        "sequence",
        "timer",
        "timestamp",
        "topic",
    )

    def __init__(self, topic: Topic, book: LiveBook, timer: PublishTimer[View]) -> None:
        self.topic = topic
        self.book = book
        self.timer = timer
        self.outlets = Outlets()
        self.asleep = True
        self.fresh_start = True
        self.sequence = 0
        self.timestamp = self.received = 0
        self.bids: Levels = ()
        self.asks: Levels = ()
        self._current: Message | None = None

    def advance(self) -> Message | None:
        """Catch up with the book as it is now; what to tell those who hold the view,
        None where there is nothing to tell."""
        levels = self.book.read(self.topic.depth)
        if levels is None:
            return None
        if self.fresh_start:
            self._take(*levels)
            return self.current()
        return self._step(*levels)

    def _step(self, bids: Levels, asks: Levels) -> Message | None:
        bids_upserts, bids_deletes = side_changes(self.bids, bids)
        asks_upserts, asks_deletes = side_changes(self.asks, asks)
        if not (bids_upserts or bids_deletes or asks_upserts or asks_deletes):
            return None
        self._take(bids, asks)
        return delta_message(
            BookDelta(
                self.topic,
                self.timestamp,
                self.received,
                self.sequence,
                bids_upserts,
                asks_upserts,
                bids_deletes,
                asks_deletes,
            )
        )

    def refresh(self) -> None:
        """Catch up without telling anybody: only while nobody holds an older state."""
        levels = self.book.read(self.topic.depth)
        if levels is None:
            self.fresh_start = True
        elif self.fresh_start or levels != (self.bids, self.asks):
            self._take(*levels)

    def _take(self, bids: Levels, asks: Levels) -> None:
        self.bids, self.asks = bids, asks
        self.timestamp, self.received = self.book.timestamp, self.book.received
        self.sequence += 1
        self.fresh_start = False
        self._current = None

    def current(self) -> Message | None:
        """The view as last published; None while that is not the state of a book in sync."""
        if self.fresh_start or not self.book.in_sync:
            return None
        if self._current is None:
            complete = min(len(self.bids), len(self.asks)) >= self.topic.depth
            self._current = snapshot_message(
                BookSnapshot(self.topic, self.timestamp, self.received, self.sequence, self.bids, self.asks, complete)
            )
        return self._current
