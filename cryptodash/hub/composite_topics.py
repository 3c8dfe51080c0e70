"""The wanted topics of the composite market: each is made again when a constituent has news, and told if it is new.

A constituent's value comes at a pace (``Pace``); its status counts at once, so that a venue that is not good any more
is in nothing that is shown. What each of them reads is what the hub itself knows of the constituents, so the two cannot
differ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from attrs import frozen
from msgspec.structs import replace

from cryptodash.core.events import Bbo, BookView, Cause, State, StreamStatus
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.composite import (
    CompositeBbo,
    Constituent,
    Excluded,
    Selection,
    composite_bbo,
    condition,
    in_order,
    select,
)
from cryptodash.hub.composite_book import CompositeBook, MergedBook, is_complete
from cryptodash.hub.paces import BOOKS_AT_ONCE, Paces

BBO_INTERVAL_MS: Final = 50
"""Least time between two best bids and offers of one topic, but for a venue's leaving."""

V = TypeVar("V")


@frozen
class Sources:
    """What the hub knows of constituents, and where news goes. ``window``: ``LATE_AFTER_MS`` in seconds; None: nothing
    is compared by its time."""

    status_of: Callable[[Topic], StreamStatus]
    as_of: Callable[[Topic], float | None]
    quote_of: Callable[[Topic], Bbo | None]
    book_of: Callable[[Topic, int], BookView | None]
    publish: Callable[[CompositeBbo | CompositeBook | StreamStatus], None]
    window: Callable[[], float | None]
    clock: Clock
    paces: Paces
    made: Callable[[str], None]
    """Counts one computation, by channel."""


def counting(tally: Tally) -> Callable[[str], None]:
    return tally.counter(
        "cryptodash_composite_computations_total", "Composite values made of their constituents.", "channel"
    ).add


class DerivedTopic(ABC):
    """One wanted topic. ``parts`` are its constituents, in the order of the venues."""

    def __init__(self, topic: Topic, sources: Sources) -> None:
        self.topic = topic
        self.parts: tuple[Topic, ...] = ()
        self._sources = sources
        self._told: tuple[State, Cause | None] = (State.CONNECTING, None)
        self._found: tuple[State, Cause | None] = self._told
        """The condition as of when it was last made."""
        self._excluded: tuple[Excluded, ...] | None = None
        """Who did not count, when it was last made."""

    @abstractmethod
    def make_value(self) -> None:
        """Make it as it is now, and tell of the value if that is new."""

    def tell_status(self) -> None:
        """Tell the status if it is new: once all that share it have made their values, for it may say that these are
        good, or that they are empty."""
        if self._found != self._told:
            self._told = self._found
            state, cause = self._found
            wall_ms = self._sources.clock.wall_ms()
            self._sources.publish(StreamStatus(self.topic.upstream, state, cause, since=wall_ms))

    @abstractmethod
    def stop(self) -> None:
        """It is wanted no more."""

    @abstractmethod
    def take(self, part: Topic, interval: int) -> None:
        """A constituent has a new value; of a book at this interval."""

    @abstractmethod
    def _now(self) -> Selection[Any]:
        """Who counts now."""

    def is_outdated(self) -> bool:
        """Whether others count now than when it was last made: with time, who counted may be too old to be compared,
        or the reverse."""
        return self._now().excluded != self._excluded

    def age_base(self) -> float | None:
        """For when the value holds: as of the oldest that counts; where none does, of the youngest there is."""
        counted = self._now().counted
        if counted:
            return min(each.as_of for each in counted)
        known = [at for part in self.parts if (at := self._sources.as_of(part.upstream)) is not None]
        return max(known, default=None)

    @property
    def is_settled(self) -> bool:
        """Whether every venue has said what there is to say: none is just being connected to."""
        return not any(each.is_silent for each in self._now().excluded)

    def _select(self, value_of: Callable[[Topic], V | None]) -> Selection[V]:
        constituents: Sequence[Constituent[V]] = [self._constituent(part, value_of) for part in self.parts]
        return select(constituents, self._sources.window())

    def _constituent(self, part: Topic, value_of: Callable[[Topic], V | None]) -> Constituent[V]:
        status = self._sources.status_of(part.upstream)
        if not status.state.is_good:
            return Constituent(part, status.state, status.cause, None, None)
        return Constituent(part, status.state, None, value_of(part), self._sources.as_of(part.upstream))

    def _note(self, selection: Selection[V]) -> None:
        self._found, self._excluded = condition(selection), selection.excluded


class DerivedBbo(DerivedTopic):
    """The best bid and offer over venues."""

    def __init__(self, topic: Topic, sources: Sources) -> None:
        super().__init__(topic, sources)
        self._last: CompositeBbo | None = None
        self._timestamp = 0
        """The last that was told: it outlives a time when none counts."""
        self._pace = sources.paces.of(BBO_INTERVAL_MS)

    def take(self, part: Topic, interval: int) -> None:
        self._pace.mark(self)

    def stop(self) -> None:
        self._pace.unmark(self)

    def make(self) -> None:
        """The value, then the status, which no other topic has."""
        self.make_value()
        self.tell_status()

    def make_value(self) -> None:
        self._pace.unmark(self)
        selection = self._now()
        self._note(selection)
        self._sources.made("bbo")
        last = self._last
        made = self._composed(selection)
        if made.is_telling if last is None else made.content != last.content:
            self._last = made
            self._sources.publish(replace(made, takes_back=True) if _has_lost(last, made) else made)

    def current(self, exchanges: frozenset[str] | None = None) -> CompositeBbo:
        """As it is now; of these venues only, where some are named: then with their own time, however new those of the
        others are, and whoever has not got the instrument is ``closed``."""
        if exchanges is None:
            made = self._composed(self._now())
            return replace(made, since=self._since(made, self.parts))
        parts = [part for part in self.parts if part.exchange in exchanges]
        lacking = exchanges - {part.exchange for part in parts}
        selection = select([self._constituent(part, self._sources.quote_of) for part in parts], self._sources.window())
        without = tuple(Excluded(exchange, State.CLOSED) for exchange in sorted(lacking))
        selection = Selection(selection.counted, selection.excluded + without)
        made = composite_bbo(self.topic, selection, self._sources.clock.monotonic())
        return replace(made, since=self._since(made, parts))

    def _since(self, made: CompositeBbo, parts: Sequence[Topic]) -> int:
        """From when on it has been live: since the first that is; in another state: since the last that came into it.
        What follows of time alone, or of the catalogue, is so as of now."""
        statuses = [self._sources.status_of(part.upstream) for part in parts]
        same = [each.since for each in statuses if (each.state, each.cause) == (made.state, made.cause)]
        if not same:
            return self._sources.clock.wall_ms()
        return min(same) if made.state is State.LIVE else max(same)

    def _composed(self, selection: Selection[Bbo]) -> CompositeBbo:
        made = composite_bbo(self.topic, selection, self._sources.clock.monotonic(), self._timestamp)
        if made.timestamp is not None:
            self._timestamp = made.timestamp
        return made

    def _now(self) -> Selection[Bbo]:
        return self._select(self._sources.quote_of)


def _has_lost(before: CompositeBbo | None, now: CompositeBbo) -> bool:
    """Whether a venue that counted does not count any more."""
    left = {each.exchange for each in now.venues}
    return before is not None and any(each.exchange not in left for each in before.venues)


class DerivedBook(DerivedTopic):
    """The merged book at one depth, at each interval at which somebody looks. Its status is that of every depth."""

    def __init__(self, topic: Topic, sources: Sources) -> None:
        super().__init__(topic, sources)
        self.views: dict[int, DerivedView] = {}

    def pace(self, intervals: Sequence[int]) -> None:
        """It is looked at at these intervals and no others."""
        for interval in self.views.keys() - set(intervals):
            self.views.pop(interval).stop()
        for interval in sorted(set(intervals) - self.views.keys()):
            view = self.views[interval] = DerivedView(self, interval, self._sources)
            view.make()

    def take(self, part: Topic, interval: int) -> None:
        view = self.views.get(interval)
        if view is not None and part.depth == self.topic.depth:
            view.mark()

    def stop(self) -> None:
        self.pace(())

    def make_value(self) -> None:
        self._note(self._now())
        for view in tuple(self.views.values()):
            view.make()

    def selection(self, interval: int) -> Selection[BookView]:
        """Which venues' books count at this interval."""
        return self._select(lambda part: self._sources.book_of(part, interval))

    def _now(self) -> Selection[Topic]:
        """By statuses and times alone: at every interval the same."""
        return self._select(lambda part: part)


class DerivedView:
    """The merged book at one interval. Its merged levels are kept, so that a change costs what has changed."""

    def __init__(self, book: DerivedBook, interval: int, sources: Sources) -> None:
        self._book = book
        self._interval = interval
        self._sources = sources
        self._pace = sources.paces.of(interval, BOOKS_AT_ONCE)
        self._merged = MergedBook()
        self._is_shown = False
        """Whether there was anything in what was published last."""
        self._timestamp = self._received = 0
        """Those that were published last: an emptied book has no newer."""

    def mark(self) -> None:
        self._pace.mark(self)

    def stop(self) -> None:
        self._pace.unmark(self)

    def make(self) -> None:
        """Publish it as it is now: emptied, when the last venue leaves. After that it goes on with a snapshot."""
        self._pace.unmark(self)
        selection = self._book.selection(self._interval)
        books = {each.exchange: each.value for each in selection.counted}
        if not books and not self._is_shown:
            return
        self._sources.made("order_book")
        self._merged.take(books)
        topic = self._book.topic
        rebuilt, self._is_shown = not self._is_shown, bool(books)
        if books:
            self._timestamp = in_order(max(each.timestamp for each in books.values()), self._timestamp)
            self._received = max(each.received for each in books.values())
        self._sources.publish(
            CompositeBook(
                topic,
                self._interval,
                self._timestamp,
                self._received,
                *self._merged.top(topic.depth),
                rebuilt,
                selection.excluded,
                is_complete(books.values(), topic.depth),
            )
        )
