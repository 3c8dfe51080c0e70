"""The order books of one venue as the hub gets them: the best levels of each watched depth, as values, at the intervals
they are watched at.

A book changes a thousand times a second, its readers are a screen each: copying levels out of it costs what its views
cost, never what its changes do, and a depth that nobody looks at costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptodash.core.events import BookView, StreamStatus
from cryptodash.core.interfaces import IInlet
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.connections.commands import BookChanged
from cryptodash.exchanges.publish_timer import PublishTimer, PublishTimers


class WantedBook:
    """One book that is wanted. ``changed``: its newest state; None where there is none that can be shown."""

    __slots__ = ("changed", "depths", "is_good", "views")

    def __init__(self) -> None:
        self.depths: set[Topic] = set()
        self.views: dict[tuple[Topic, int], PacedView] = {}
        self.changed: BookChanged | None = None
        self.is_good = False


class PacedView:
    """One depth of a book at one interval. ``rebuilt`` says so until it is published."""

    __slots__ = ("_inlet", "book", "changed", "interval", "rebuilt", "timer", "topic")

    def __init__(self, topic: Topic, interval: int, book: WantedBook, timer: PublishTimer, inlet: IInlet) -> None:
        self.topic = topic
        self.interval = interval
        self.book = book
        self.timer = timer
        self.changed = True
        self.rebuilt = False
        self._inlet = inlet

    def publish(self) -> None:
        """Publish the book as it is now, if it has changed and can be shown."""
        now = self.book.changed
        if not self.changed or now is None or not now.book.synced:
            return
        bids, asks = now.book.top(self.topic.depth)
        rebuilt, self.rebuilt, self.changed = self.rebuilt, False, False
        self._inlet.publish(
            BookView(self.topic, self.interval, now.timestamp, now.received, tuple(bids), tuple(asks), rebuilt)
        )


class BookPublisher:
    """``inlet`` takes the views, and the statuses that come after them."""

    def __init__(self, inlet: IInlet, timers: PublishTimers) -> None:
        self._inlet = inlet
        self._timers = timers
        self._books: dict[Topic, WantedBook] = {}

    def want(self, topics: Iterable[Topic]) -> None:
        """These are wanted; all but order books (with their depth) are ignored."""
        for topic in topics:
            if topic.channel is Channel.ORDER_BOOK:
                self._books.setdefault(topic.upstream, WantedBook()).depths.add(topic)

    def drop(self, topics: Iterable[Topic]) -> None:
        """These are wanted no more."""
        for topic in topics:
            book = self._books.get(topic.upstream)
            if book is not None:
                self.pace(topic, ())
                book.depths.discard(topic)
                if not book.depths:
                    del self._books[topic.upstream]

    def pace(self, topic: Topic, intervals: Iterable[int]) -> None:
        """Publish this depth of a wanted book at these intervals (ms) and no others. At one that is new it is published
        at once, if the book can be shown."""
        book = self._books.get(topic.upstream)
        if book is None:
            return
        asked = {(topic, interval) for interval in intervals}
        for known in [each for each in book.views if each[0] is topic and each not in asked]:
            view = book.views.pop(known)
            view.timer.unmark(view)
        for each in sorted(asked - book.views.keys(), key=lambda known: known[1]):
            interval = each[1]
            view = book.views[each] = PacedView(topic, interval, book, self._timers.of(interval), self._inlet)
            view.publish()

    def changed(self, event: BookChanged) -> None:
        """A book has a new state."""
        book = self._books.get(event.topic)
        if book is None:
            return
        book.changed = event
        rebuilt = event.rebuilt
        views = tuple(book.views.values())
        for view in views:
            view.changed = True
            if rebuilt:
                view.rebuilt = True
            view.timer.mark(view)
        for view in views:
            view.timer.publish_soon()

    def status(self, status: StreamStatus) -> None:
        """Publish a status of whatever topic. One that says good again finds the views caught up, whatever their pace:
        an old view must not be shown as live meanwhile."""
        book = self._books.get(status.topic.upstream)
        if book is not None:
            if status.breaks_a_book:
                book.changed = None
            elif status.state.is_good and not book.is_good:
                for view in tuple(book.views.values()):
                    view.publish()
            book.is_good = status.state.is_good
        self._inlet.publish(status)

    def stop(self) -> None:
        """Forget every book."""
        for book in self._books.values():
            for view in book.views.values():
                view.timer.unmark(view)
        self._books.clear()
