"""Order books as clients see them: the top levels, at a pace, as a snapshot and deltas that always fit.

A view is (book topic with depth, interval in ms). Its cost depends on whether somebody watches it, never on how many
do. The book comes at its pace, as a value; every publication raises its sequence by one and goes to all its outlets, so
they all hold the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptodash.core.events import BookView, StreamStatus, is_crossed
from cryptodash.core.topics import COMPOSITE, Topic
from cryptodash.hub.book_view import View, WantedBook
from cryptodash.hub.composite_view import CompositeView
from cryptodash.hub.interfaces import IOutlet, Message
from cryptodash.hub.waiters import Waiters


class Views:
    """The views of all wanted books. They live as long as their topic is wanted,
    so that a client that comes back finds its sequence going on."""

    def __init__(self, waiters: Waiters, status: Callable[[Topic], Message]) -> None:
        """``status`` makes the message of a view's status, as it is now."""
        self._waiters = waiters
        self._status = status
        self._books: dict[Topic, WantedBook] = {}

    def open(self, topic: Topic) -> None:
        """A depth of a book is wanted."""
        self._books.setdefault(topic.upstream, WantedBook())

    def close(self, topic: Topic, *, last: bool) -> None:
        """The depth is wanted no more; ``last``: nor is any other of its book."""
        if last:
            book = self._books.pop(topic.upstream, None)
            if book is not None:
                book.views.clear()  # each view knows the book
        elif topic.upstream in self._books:
            views = self._books[topic.upstream].views
            for known in [each for each in views if each[0] is topic]:
                del views[known]

    def paced(self, topic: Topic, intervals: Sequence[int]) -> None:
        """The depth comes at these intervals from now on: what was known at another grows old."""
        book = self._books.get(topic.upstream)
        for (known, interval), view in book.views.items() if book is not None else ():
            if known is topic and interval not in intervals:
                view.newest, view.asleep = None, True

    def attach(self, outlet: IOutlet, topic: Topic, interval: int) -> None:
        view = self._view(self._books.setdefault(topic.upstream, WantedBook()), topic, interval)
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

    def newest(self, topic: Topic, interval: int) -> BookView | None:
        """The book as it came last at this interval, if it is one that may be shown; it may be of a stream that is not
        good any more."""
        book = self._books.get(topic.upstream)
        view = book.views.get((topic, interval)) if book is not None else None
        newest = view.newest if view is not None else None
        return None if newest is None or is_crossed(newest.bids, newest.asks) else newest

    def take(self, event: BookView) -> bool:
        """A book as it is now; False if nobody wants it."""
        topic = event.topic
        book = self._books.get(topic.upstream)
        if book is None:
            return False
        view = self._view(book, topic, event.interval)
        if view.take(event):
            if not view.asleep:
                self._publish(view)
            if self._waiters.waiting:
                self._waiters.wake(topic.upstream)
        return True

    def take_status(self, status: StreamStatus) -> None:
        """A status that says good again is told after what it makes worth showing."""
        book = self._books.get(status.topic.upstream)
        if book is None:
            return
        was_good = book.is_good
        book.take_status(status)
        if book.is_good and not was_good:
            for view in book.views.values():
                if not view.asleep:
                    self._publish(view)

    def tell_status(self, topic: Topic) -> None:
        """The status of a book is news: tell it to whoever watches a view. One that says good waits for the first
        publication of a view that has none."""
        book = self._books.get(topic)
        for view in list(book.views.values()) if book is not None else ():
            view.owes_status = view.book.is_good and not view.is_known
            if view.outlets and not view.owes_status:
                view.outlets.deliver(self._status(view.topic))

    def __len__(self) -> int:
        return sum(len(book.views) for book in self._books.values())

    def _view(self, book: WantedBook, topic: Topic, interval: int) -> View:
        view = book.views.get((topic, interval))
        if view is None:
            kind = CompositeView if topic.exchange == COMPOSITE else View
            view = book.views[topic, interval] = kind(topic, book)
        return view

    def _publish(self, view: View) -> None:
        if not view.outlets:
            view.asleep = True
            return
        message = view.advance()
        if message is not None:
            view.outlets.deliver(message)
            if view.owes_status:
                view.owes_status = False
                view.outlets.deliver(self._status(view.topic))
            if self._waiters.waiting:
                self._waiters.wake(view.topic.upstream)
