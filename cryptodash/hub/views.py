"""Order books as clients see them: the top levels, at a pace, as a snapshot and deltas that always fit.

A view is (book topic with depth, interval in ms). Its cost depends on whether somebody watches it, never on how many
do. It publishes at most once per interval; every publication raises its sequence by one and goes to all its outlets, so
they all hold the same state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twisted.internet.interfaces import IReactorTime

from cryptodash.core.events import BookChanged, StreamStatus
from cryptodash.core.topics import Topic
from cryptodash.hub.book_view import LiveBook, View
from cryptodash.hub.interfaces import IOutlet, Message
from cryptodash.hub.outlets import Outlets
from cryptodash.hub.publish_timer import PublishTimer
from cryptodash.hub.waiters import Waiters


class Views:
    """The views of all wanted books. They live as long as their topic is wanted,
    so that a client that comes back finds its sequence going on."""

    def __init__(self, scheduler: IReactorTime, waiters: Waiters) -> None:
        self._scheduler = scheduler
        self._waiters = waiters
        self._books: dict[Topic, LiveBook] = {}
        self._timers: dict[int, PublishTimer[View]] = {}

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
        for timer in self._timers.values():
            timer.stop()

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
                view.timer.mark(view)
            for view in watched:
                view.timer.publish_soon()
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
            view = book.views[topic, interval] = View(topic, book, self._timer(interval))
        return view

    def _timer(self, interval: int) -> PublishTimer[View]:
        timer = self._timers.get(interval)
        if timer is None:
            timer = self._timers[interval] = PublishTimer(self._scheduler, interval / 1000, self._publish)
        return timer

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
