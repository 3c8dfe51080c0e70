"""One instrument's order book: which stream it is made from, and how far it can be trusted."""

from __future__ import annotations

from cryptodash.core.events import State
from cryptodash.core.instruments import Instrument
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import Chaining
from cryptodash.exchanges.adapter.plan import Part, Plan, RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import BookChanged, Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Signal
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.book_stream import BookMeters, BookStream
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, BookCounts, TopicSubscription


class BookSubscription(TopicSubscription):
    """All depths of the book together; the deepest watched chooses the stream."""

    def __init__(
        self,
        topic: Topic,
        basics: Basics,
        venue: IVenue,
        venue_clock: VenueClock,
        snapshots: SnapshotQueue,
        tally: Tally,
        stale_after: float,
    ) -> None:
        super().__init__(topic, basics)
        self._venue = venue
        self._venue_clock = venue_clock
        self._snapshots = snapshots
        self._stale_after = stale_after
        self._rules = venue.book_rules[topic.market]
        self._meters = BookMeters(topic.exchange, tally)
        self._depths: set[int] = set()
        self._current: BookStream | None = None
        self._next: BookStream | None = None
        """That of another depth, until its book is synced."""
        self._ticker: TopicSubscription | None = None
        """The ticker of the same instrument: its quotes carry the book's update ids where ids are a range."""
        self._behind: tuple[float, int] | None = None

    # -- what is wanted of it

    @property
    def depth(self) -> int:
        return max(self._depths, default=1) or 1

    def watch(self, topic: Topic, now: float, out: list[Output]) -> bool:
        is_new = topic.depth not in self._depths
        self._depths.add(topic.depth)
        return is_new

    def unwatch(self, topic: Topic, now: float, out: list[Output]) -> bool:
        self._depths.discard(topic.depth)
        return not self._depths

    def open(self, plan: Plan, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        self.plan, self.instrument = plan, instrument
        self._current = self._book_stream(_spec_of(plan))
        self._current.open(now, out)
        self._set_source()

    def close(self, now: float) -> None:
        self.plan = None
        self._behind = None
        self._ticker = None  # a closed book is not told when it goes; opened again, it is joined anew
        for each in self.book_streams():
            each.close(now)
        self._current = self._next = None
        self.sources.clear()

    def replan(self, plan: Plan, now: float, out: list[Output]) -> None:
        """Other depths are watched: the same stream goes on, or one of another tier is made live before it is
        dropped."""
        if self._current is None:
            return
        self.plan = plan
        spec = _spec_of(plan)
        if self._next is not None and self._next.spec != spec:
            self._next.close(now)
            self._next = None
        for each in self.book_streams():
            each.book.watch(self.depth)
        if self._current.spec != spec and self._next is None:
            self._next = self._book_stream(spec)
            self._next.open(now, out)

    def _book_stream(self, spec: StreamSpec) -> BookStream:
        found = BookStream(
            self, spec, self._rules, self._streams, self._snapshots, self._clock, self._venue_clock, self._meters
        )
        found.book.watch(self.depth)
        return found

    def _set_source(self) -> None:
        if self._current is not None and self._current.stream is not None:
            self.sources[Part.BOOK] = (self._current.stream,)

    def book_streams(self) -> list[BookStream]:
        """Both, one or none."""
        return [each for each in (self._current, self._next) if each is not None]

    def streams(self) -> list[Stream]:
        return [each.stream for each in self.book_streams() if each.stream is not None]

    # -- the ticker of the same instrument

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling.topic.channel is Channel.TICKER:
            self._ticker = sibling

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling is self._ticker:
            self._ticker = None

    # -- what the books say (``BookOwner``)

    def snapshot_request(self) -> RestRequest | None:
        if self.instrument is None:
            return None
        return self._venue.snapshot_request(self.topic, self.instrument, self.depth)

    def book_changed(
        self, source: BookStream, time: int | None, received: int, rebuilt: bool, now: float, out: list[Output]
    ) -> None:
        if rebuilt and source is self._next:
            old, self._current, self._next = self._current, source, None
            if old is not None:
                old.close(now)
            self._set_source()
        if source is not self._current:
            return
        if rebuilt and not self.valued:
            self.first_value(out)
        timestamp = self._venue_clock.at(now, received) if time is None else time
        out.append(BookChanged(self.topic, source.book, timestamp, received, rebuilt))
        if rebuilt:
            self.refresh(out)  # after the book: what clients hold from before the loss must not be called live again

    # -- how far it can be trusted

    def streams_condition(self) -> freshness.Condition:
        current = self._current
        if current is None or current.stream is None:
            return State.CONNECTING, None
        state, cause = freshness.of_stream(current.stream, self.valued)
        if not state.is_good or current.book.synced:
            return state, cause
        return (State.RESYNCING if self.valued else State.CONNECTING), current.cause

    def stream_condition(self, stream: Stream) -> freshness.Condition | None:
        """A book's stream is as good as the book."""
        is_shown = self._current is not None and stream is self._current.stream
        return self.condition() if is_shown else None

    def book_counts(self, stream: Stream) -> BookCounts | None:
        book = next((each.book for each in self.book_streams() if each.stream is stream), None)
        return None if book is None else BookCounts(book.sequence, book.gaps, book.resyncs)

    @property
    def pending_diffs(self) -> int:
        return sum(each.book.pending for each in self.book_streams())

    def confirmed_at(self) -> float | None:
        current = self._current
        return (
            current.stream.confirmed_at()
            if current is not None and current.stream is not None and self.valued
            else None
        )

    def beat(self, now: float, out: list[Output]) -> None:
        for each in self.book_streams():
            each.beat(now, out)
        self._compare(now, out)

    def _compare(self, now: float, out: list[Output]) -> None:
        """A quote whose update id the book has still not reached after ``stale_after`` proves that the book's stream
        misses frames."""
        current, quoted = self._current, None if self._ticker is None else self._ticker.quote_id
        if current is None or current.stream is None or self._rules.chaining is not Chaining.RANGE:
            return
        sequence, last = current.book.sequence, current.stream.last or 0.0
        if quoted is None or sequence is None:
            self._behind = None
        elif self._behind is None or sequence >= self._behind[1]:
            self._behind = (now, quoted) if quoted > sequence else None
        elif now - self._behind[0] >= self._stale_after and now - last >= self._stale_after:
            current.stream.signal(Signal.SILENCE, now, out)


def _spec_of(plan: Plan) -> StreamSpec:
    return next(each for each in plan.streams if Part.BOOK in each.parts)
