"""Order books as clients see them: the top levels, at a pace, as a snapshot and deltas that always fit.

A view is (book topic with depth, interval in ms). Its cost depends on whether somebody watches it, never on how many
do. It publishes at most once per interval; every publication raises its sequence by one and goes to all its outlets, so
they all hold the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.events import Book, BookChanged, BookDelta, BookSnapshot, Level, StreamStatus
from cryptodash.core.numbers import Number, key
from cryptodash.core.topics import Topic
from cryptodash.hub.encode import delta_message, snapshot_message
from cryptodash.hub.freshness import breaks_a_book
from cryptodash.hub.interfaces import IOutlet, Message
from cryptodash.hub.outlets import Outlets
from cryptodash.hub.waiters import Waiters

Levels = tuple[Level, ...]


def is_crossed(bids: Sequence[Level], asks: Sequence[Level]) -> bool:
    """Whether the best bid is at or above the best ask."""
    return bool(bids and asks) and key(bids[0][0]) >= key(asks[0][0])


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
        "beat",
        "bids",
        "book",
        "fresh_start",
        "outlets",
        "received",
        "sequence",
        "timestamp",
        "topic",
    )

    def __init__(self, topic: Topic, book: LiveBook, beat: Beat) -> None:
        self.topic = topic
        self.book = book
        self.beat = beat
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


class Beat:
    """The pace of one interval, shared by all views of it: one timer, and only while there was something
    to publish in the last interval.

    The first change after a quiet interval is published at once, later ones together at the interval's end.
    """

    def __init__(self, scheduler: IReactorTime, seconds: float, publish: Callable[[Iterable[View]], None]) -> None:
        self._scheduler = scheduler
        self._seconds = seconds
        self._publish = publish
        self._dirty: dict[View, None] = {}
        self._timer: IDelayedCall | None = None

    def mark(self, view: View) -> None:
        """The view may have changed."""
        self._dirty[view] = None

    def kick(self) -> None:
        """Publish what is marked: now if the last interval was quiet, else at its end."""
        if self._timer is None:
            self._run()

    def stop(self) -> None:
        self._dirty.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        if self._dirty:
            dirty, self._dirty = self._dirty, {}
            self._timer = self._scheduler.callLater(self._seconds, self._run)
            self._publish(dirty)


class Views:
    """The views of all wanted books. They live as long as their topic is wanted,
    so that a client that comes back finds its sequence going on."""

    def __init__(self, scheduler: IReactorTime, waiters: Waiters) -> None:
        self._scheduler = scheduler
        self._waiters = waiters
        self._books: dict[Topic, LiveBook] = {}
        self._beats: dict[int, Beat] = {}

    def open(self, topic: Topic) -> None:
        """A depth of a book is wanted."""
        self._books.setdefault(topic.upstream, LiveBook())

    def close(self, topic: Topic, *, last: bool) -> None:
        """The depth is wanted no more; ``last``: nor is any other of its book."""
        if last:
            self._books.pop(topic.upstream, None)
        elif topic.upstream in self._books:
            views = self._books[topic.upstream].views
            for known in [each for each in views if each[0] is topic]:
                del views[known]

    def stop(self) -> None:
        for beat in self._beats.values():
            beat.stop()

    def attach(self, outlet: IOutlet, topic: Topic, interval: int) -> None:
        view = self._view(self._books.setdefault(topic.upstream, LiveBook()), topic, interval)
        if view.asleep:
            view.asleep = False
            view.refresh()
        view.outlets.add(outlet)

    def detach(self, outlet: IOutlet, topic: Topic, interval: int) -> None:
        """The view falls asleep when it would next publish, not now:
        an outlet may take another's place without a break in the sequence."""
        book = self._books.get(topic.upstream)
        view = book.views.get((topic, interval)) if book is not None else None
        if view is not None:
            view.outlets.remove(outlet)

    def current(self, topic: Topic, interval: int) -> Message | None:
        """The snapshot of the view as last published; of one that nobody watches, as the book is now."""
        book = self._books.get(topic.upstream)
        if book is None:
            return None
        view = self._view(book, topic, interval)
        if view.asleep:
            view.refresh()
        return view.current()

    def changed(self, event: BookChanged) -> bool:
        """A book has a new state; False if nobody wants it."""
        book = self._books.get(event.topic)
        if book is None:
            return False
        if book.take(event):
            watched = [view for view in book.views.values() if not view.asleep]
            for view in watched:
                view.beat.mark(view)
            for view in watched:
                view.beat.kick()
            if self._waiters.waiting:
                self._waiters.wake(event.topic)
        return True

    def take_status(self, status: StreamStatus) -> None:
        """A status that says good again finds the views caught up, whatever their pace:
        an old view must not be shown as live meanwhile."""
        book = self._books.get(status.topic.upstream)
        if book is None:
            return
        was_good = book.status is not None and book.status.state.is_good
        book.take_status(status)
        if status.state.is_good and not was_good:
            self._publish(view for view in book.views.values() if not view.asleep)

    def watched(self, book: Topic) -> Iterator[tuple[Topic, Outlets]]:
        """The outlets of each view of a book, with the topic they know it by."""
        live = self._books.get(book)
        for view in list(live.views.values()) if live is not None else ():
            if view.outlets:
                yield view.topic, view.outlets

    def __len__(self) -> int:
        return sum(len(book.views) for book in self._books.values())

    def _view(self, book: LiveBook, topic: Topic, interval: int) -> View:
        view = book.views.get((topic, interval))
        if view is None:
            view = book.views[topic, interval] = View(topic, book, self._beat(interval))
        return view

    def _beat(self, interval: int) -> Beat:
        beat = self._beats.get(interval)
        if beat is None:
            beat = self._beats[interval] = Beat(self._scheduler, interval / 1000, self._publish)
        return beat

    def _publish(self, views: Iterable[View]) -> None:
        for view in views:
            if not view.outlets:
                view.asleep = True
                continue
            message = view.advance()
            if message is not None:
                view.outlets.deliver(message)
                if self._waiters.waiting:
                    self._waiters.wake(view.topic.upstream)
