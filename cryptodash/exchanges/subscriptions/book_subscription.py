"""One instrument's order book: which stream it is made from, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial

from cryptodash.core.checkpoints import BookImage, TakeImage
from cryptodash.core.events import Cause, State
from cryptodash.core.instruments import Instrument
from cryptodash.core.tally import Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import Chaining, SnapshotSource
from cryptodash.exchanges.adapter.plan import Part, Plan, RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import BookChanged, Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Signal
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.book_meters import BookMeters
from cryptodash.exchanges.subscriptions.book_stream import BookStream
from cryptodash.exchanges.subscriptions.snapshots import Snapshots
from cryptodash.exchanges.subscriptions.topic_subscription import Basics, BookCounts, TopicSubscription


class BookSubscription(TopicSubscription):
    """All depths of the book together; the deepest watched chooses the stream."""

    def __init__(
        self,
        topic: Topic,
        basics: Basics,
        venue: IVenue,
        venue_clock: VenueClock,
        snapshots: Snapshots,
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
        self._clients: dict[int, Sequence[str] | None] = {}
        """Who holds each watched depth; None: nobody, it lingers."""
        self._current: BookStream | None = None
        self._next: BookStream | None = None
        """That of another depth, until its book is synced."""
        self._quoting: tuple[TopicSubscription, ...] = ()
        """Ticker and best bid and offer of the instrument, as far as they are open: their quotes carry the book's
        update ids where ids are a range."""
        self._behind: tuple[float, int] | None = None

    # -- what is wanted of it

    @property
    def depth(self) -> int:
        return max(self._clients, default=1) or 1

    @property
    def clients(self) -> Sequence[str]:
        """Clients that hold any depth, a few of them."""
        return [client for each in self._clients.values() for client in each or ()]

    @property
    def is_held(self) -> bool:
        """Whether anybody holds any depth."""
        return any(each is not None for each in self._clients.values())

    def watch(self, topic: Topic, clients: Sequence[str], now: float, out: list[Output]) -> bool:
        is_new = topic.depth not in self._clients
        self._clients.setdefault(topic.depth, None)
        self.held(topic, clients, now, out)
        return is_new

    def unwatch(self, topic: Topic, now: float, out: list[Output]) -> bool:
        self.held(topic, None, now, out)
        self._clients.pop(topic.depth, None)
        return not self._clients

    def held(self, topic: Topic, clients: Sequence[str] | None, now: float, out: list[Output]) -> None:
        if topic.depth not in self._clients:
            return
        was_held = self.is_held
        self._clients[topic.depth] = clients
        if self.plan is None or was_held == self.is_held:
            return
        if was_held:
            self._snapshots.opening.leave(self)
        elif self._current is None:
            self._snapshots.opening.ask(self, now, out)
        for each in self.book_streams():
            if was_held:
                each.forgo_snapshots()
            else:
                each.use_snapshots()
        self.refresh(out)

    def open(self, plan: Plan, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        """Where the book needs a REST snapshot it waits until one can be had; see ``OpeningBooks``."""
        self.plan, self.instrument = plan, instrument
        if self._rules.snapshots is not SnapshotSource.REST:
            self.admitted(now, out)
        elif self.is_held:
            self._snapshots.opening.ask(self, now, out)

    def admitted(self, now: float, out: list[Output]) -> BookStream:
        """Have the stream."""
        assert self.plan is not None
        self._current = current = self._book_stream(_spec_of(self.plan))
        current.open(now, out)
        self._set_source()
        self.refresh(out)
        return current

    def close(self, now: float) -> None:
        self.plan = None
        self._behind = None
        self._snapshots.opening.leave(self)
        self._quoting = ()  # a closed book is not told when it goes; opened again, it is joined anew
        for each in self.book_streams():
            each.close(now)
        self._current = self._next = None
        self.sources.clear()

    def replan(self, plan: Plan, now: float, out: list[Output]) -> None:
        """Other depths are watched: the same stream goes on, or one of another tier is made live before it is
        dropped."""
        self.plan = plan
        if self._current is None:
            return
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
        if not self.is_held:
            found.forgo_snapshots()
        return found

    def _set_source(self) -> None:
        if self._current is not None and self._current.stream is not None:
            self.sources[Part.BOOK] = (self._current.stream,)

    def book_streams(self) -> list[BookStream]:
        """Both, one or none."""
        return [each for each in (self._current, self._next) if each is not None]

    def streams(self) -> list[Stream]:
        return [each.stream for each in self.book_streams() if each.stream is not None]

    def images(self, unread: Container[str]) -> Sequence[TakeImage]:
        return [partial(self._image, each, unread) for each in self.book_streams() if each.book.synced]

    def _image(self, source: BookStream, unread: Container[str]) -> BookImage | None:
        instrument, carrier = self.instrument, source.carrier
        if instrument is None or carrier is None or carrier.key in unread or source not in self.book_streams():
            return None
        book, spec = source.book, source.spec
        bids, asks = book.sides
        return BookImage(
            self.topic.market,
            instrument.native,
            carrier.key,
            spec.name,
            spec.depth,
            book.sequence,
            book.time,
            bids.text(),
            asks.text(),
            bids.left is None,
            asks.left is None,
        )

    # -- quotes of the same instrument

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        if sibling.topic.channel in (Channel.TICKER, Channel.BBO) and sibling not in self._quoting:
            self._quoting = (*self._quoting, sibling)

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        self._quoting = tuple(each for each in self._quoting if each is not sibling)

    # -- what the books say (``BookOwner``)

    def snapshot_request(self) -> RestRequest | None:
        if self.instrument is None:
            return None
        levels = self._snapshots.sizes.levels(self.instrument, self.depth, self._clock.monotonic())
        return self._venue.snapshot_request(self.topic, self.instrument, levels)

    def audit_request(self) -> RestRequest | None:
        if self.instrument is None:
            return None
        return self._venue.snapshot_request(self.topic, self.instrument, self.depth)

    def shows_good(self, source: BookStream) -> bool:
        return source is self._current and source.book.synced and self.condition()[0].is_good

    def audited(self, now: float) -> BookStream | None:
        current = self._current
        if self._rules.audit is None or current is None or now < current.audit_record.due or not self.is_held:
            return None
        return current if self.shows_good(current) else None

    def has_larger_snapshot(self, limit: int) -> bool:
        if self.instrument is None:
            return False
        request = self._venue.snapshot_request(self.topic, self.instrument, limit + 1)
        return request is not None and request.limit > limit

    def snapshot_used_up(self, limit: int, lasted: float, now: float) -> None:
        if self.instrument is not None:
            self._snapshots.sizes.used_up(self.instrument, limit, lasted, now)

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
            return State.CONNECTING, Cause.CAPACITY if self._snapshots.opening.is_waiting(self) else None
        state, cause = freshness.of_stream(current.stream, self.valued)
        if not state.is_good or current.book.synced:
            return state, cause
        return (State.RESYNCING if self.valued else State.CONNECTING), current.cause

    def stream_condition(self, stream: Stream) -> freshness.Condition | None:
        """A book's stream is as good as the book."""
        is_shown = self._current is not None and stream is self._current.stream
        return self.condition() if is_shown else None

    def book_counts(self, stream: Stream) -> BookCounts | None:
        found = next((each for each in self.book_streams() if each.stream is stream), None)
        if found is None:
            return None
        book, record = found.book, found.audit_record
        return BookCounts(book.sequence, book.gaps, book.resyncs, record.audits, record.divergences, record.is_disputed)

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

    def as_of(self) -> float | None:
        stream = self._current.stream if self._current is not None else None
        return stream.as_of() if stream is not None and self.valued else None

    def beat(self, now: float, out: list[Output]) -> None:
        for each in self.book_streams():
            each.beat(now, out)
        self._compare(now, out)

    def _compare(self, now: float, out: list[Output]) -> None:
        """A quote whose update id the book has still not reached after ``stale_after`` proves that the book's stream
        misses frames."""
        ids = [each.quote_id for each in self._quoting]
        current, quoted = self._current, max((each for each in ids if each is not None), default=None)
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
