"""The track of an order book: feeds the book, fetches snapshots, changes to a deeper stream,
says when the book can be trusted."""

from __future__ import annotations

from collections.abc import Callable

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import BookChanged, Cause, State
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Depth, Message
from cryptodash.exchanges.adapter.venue import BookRule, RestRequest, StreamSpec
from cryptodash.exchanges.builders.book_sync import OrderBook, Outcome
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Phase, Signal, Stream
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.desk import RESYNC_BOUNDS, Desk, cause_of
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue, pause
from cryptodash.exchanges.subscriptions.topic_subscription import TickerSubscription, TopicSubscription

LOST: dict[Outcome, tuple[Cause, str]] = {
    Outcome.GAP: (Cause.GAP, "sequence"),
    Outcome.CROSSED: (Cause.CROSSED, "crossed"),
    Outcome.OVERFLOW: (Cause.GAP, "overflow"),
}
"""What is wrong with the book, in the contract's words and in the metric's."""

SLOW_STREAM = 1.0
"""Seconds without a frame that make a book's stream a slow one."""


class BookStream:
    """One stream of a book and the book made from it. Usually a track has one;
    while it changes to another tier, two."""

    def __init__(self, track: BookSubscription, spec: StreamSpec, rule: BookRule) -> None:
        self.track = track
        self.spec = spec
        self.book = OrderBook(rule, tier=spec.depth if rule is BookRule.COUNTER else None)
        self.rule = rule
        self.stream: Stream | None = None
        self.cause: Cause | None = None
        """Why the book is not synced, once it was."""
        self.unsynced_since = track.desk.clock.monotonic()
        self.free_at = 0.0
        self.failures = 0

    @property
    def is_urgent(self) -> bool:
        """Whether the book has nothing to show."""
        return not self.book.synced

    def least_frames(self, now: float) -> int:
        """How many frames to wait for before a snapshot: one is enough from a stream that then
        says nothing for a while."""
        heard = None if self.stream is None else self.stream.last
        return 1 if heard is not None and now - heard >= SLOW_STREAM else 2

    def request(self) -> RestRequest | None:
        """The snapshot request (see ``snapshots.Customer``)."""
        track = self.track
        if track.instrument is None:
            return None
        request = track.desk.venue.snapshot_request(track.topic, track.instrument, track.depth)
        if request is not None:
            self.book.snapshot_begun()
        return request

    def feed(self, message: Message, now: float, received: int, out: list[Output]) -> None:
        """Take one frame."""
        if isinstance(message, Depth):
            outcome = self.book.received(message)
            if outcome is Outcome.CHANGED:
                self.track.changed(self, message.time, received, False, out)
            elif outcome is not Outcome.IGNORED:
                self.track.follow_up(self, outcome, message.time, now, received, out)

    def stream_changed(self, out: list[Output]) -> None:
        """The stream lost its connection, or has another phase."""
        if self.stream is not None and self.stream.source is None:
            if self.track.valued:
                self.lost(Cause.DISCONNECTED)
            self.book.reset()
        self.track.refresh(out)

    def lost(self, cause: Cause) -> None:
        """The book is not synced any more."""
        self.cause = cause
        self.unsynced_since = self.track.desk.clock.monotonic()


class BookSubscription(TopicSubscription):
    """One instrument's order book; ``depths`` are those somebody watches."""

    def __init__(
        self, topic: Topic, desk: Desk, snapshots: SnapshotQueue, retire: Callable[[BookStream, float], None]
    ) -> None:
        """``retire`` gives up a leg that another has replaced."""
        super().__init__(topic, desk)
        self.depths: set[int] = set()
        self.leg: BookStream | None = None
        self.next_leg: BookStream | None = None
        """The leg of another tier, until its book is synced."""
        self.ticker: TickerSubscription | None = None
        """The ticker of the same instrument: its quotes carry the book's update ids where the rule is ``RANGE``."""
        self._snapshots = snapshots
        self._retire = retire
        self._behind: tuple[float, int] | None = None
        exchange = topic.exchange
        self._gaps = desk.tally.counter(
            "cryptodash_book_gaps_total", "Order books that lost their place", "exchange", "cause"
        )
        self._resyncs = desk.tally.counter(
            "cryptodash_book_resyncs_total", "Attempts to rebuild an order book", "exchange", "result"
        )
        self._duration = desk.tally.histogram(
            "cryptodash_book_resync_duration_seconds",
            "From losing an order book to showing it again",
            RESYNC_BOUNDS,
            "exchange",
        ).at(exchange)

    @property
    def depth(self) -> int:
        """The largest depth anybody watches."""
        return max(self.depths, default=1) or 1

    def new_leg(self, spec: StreamSpec) -> BookStream:
        """A leg for this stream; the first one is used at once, a later one when its book is synced."""
        leg = BookStream(self, spec, self.desk.venue.book_rule[self.topic.market])
        leg.book.watch(self.depth)
        if self.leg is None:
            self.leg = leg
        else:
            self.next_leg = leg
        return leg

    def legs(self) -> list[BookStream]:
        """Both, one or none."""
        return [leg for leg in (self.leg, self.next_leg) if leg is not None]

    def watch(self) -> None:
        """The depths changed."""
        for leg in self.legs():
            leg.book.watch(self.depth)

    def forget(self, leg: BookStream) -> None:
        """The leg's stream is given up."""
        self._snapshots.leave(leg)
        if leg is self.next_leg:
            self.next_leg = None
        elif leg is self.leg:
            self.leg = None

    # -- what the books say

    def changed(self, leg: BookStream, time: int | None, received: int, rebuilt: bool, out: list[Output]) -> None:
        """The book holds a new state."""
        if leg is self.leg:
            timestamp = self.desk.venue_ms() if time is None else time
            out.append(BookChanged(self.topic, leg.book, timestamp, received, rebuilt))

    def follow_up(
        self, leg: BookStream, outcome: Outcome, time: int | None, now: float, received: int, out: list[Output]
    ) -> None:
        """Everything a frame or snapshot can lead to but a plain change."""
        if outcome is Outcome.REBUILT:
            self._rebuilt(leg, time, now, received, out)
        elif outcome is Outcome.RENEWED:
            leg.failures = 0
            self.changed(leg, time, received, False, out)
        elif outcome is Outcome.OUTDATED:
            leg.failures += 1
            self._resyncs.add(self.topic.exchange, "outdated")
            leg.free_at = max(leg.free_at, now + pause(leg.failures - 1))
        elif outcome in LOST:
            cause, word = LOST[outcome]
            self._gaps.add(self.topic.exchange, word)
            leg.lost(cause)
            self.refresh(out)
            if leg.rule is BookRule.COUNTER:
                self._snapshots.leave(leg)
                self.begin_again(leg, now)
        if leg.book.wants_snapshot():
            self._snapshots.ask(leg)
            self._snapshots.advance(now, out)

    def _rebuilt(self, leg: BookStream, time: int | None, now: float, received: int, out: list[Output]) -> None:
        leg.failures = 0
        if leg.cause is not None or not self.valued:
            self._duration.observe(now - leg.unsynced_since)
        leg.cause = None
        self._resyncs.add(self.topic.exchange, "ok")
        if leg is self.next_leg:
            self.next_leg, old = None, self.leg
            self.leg = leg
            if old is not None:
                self._retire(old, now)
        if not self.valued:
            self.first_value(out)
        self.changed(leg, time, received, True, out)
        self.refresh(out)  # after the book: what clients hold from before the loss must not be called live again

    def begin_again(self, leg: BookStream, now: float) -> None:
        """End and begin the stream for a new snapshot in it; at most once in five seconds, then less often."""
        if leg.stream is None:
            return
        if now < leg.free_at:
            return  # the beat tries again
        leg.free_at = now + pause(leg.failures)
        leg.failures += 1
        self.desk.lines.resubscribe(leg.stream)

    def answered(self, leg: BookStream, depth: Depth, limit: int, now: float, received: int, out: list[Output]) -> None:
        """A snapshot has come."""
        outcome = leg.book.snapshot(depth, limit)
        if outcome is not Outcome.IGNORED:
            self.follow_up(leg, outcome, leg.book.time, now, received, out)

    def failed(self, leg: BookStream, error: UpstreamError | None, now: float, out: list[Output]) -> None:
        """No snapshot came; the next try waits longer, and as long as the venue says."""
        leg.book.snapshot_failed()
        leg.failures += 1
        wait = error.retry_after if error is not None and error.retry_after is not None else 0.0
        leg.free_at = max(leg.free_at, now + max(pause(leg.failures - 1), wait))
        self._resyncs.add(self.topic.exchange, "failed")
        if not leg.book.synced and error is not None and error.cause in ("blocked", "banned", "maintenance"):
            leg.cause = cause_of(error.cause)
            self.refresh(out)
        if leg.book.wants_snapshot():
            self._snapshots.ask(leg)

    # -- how far it can be trusted

    def streams_condition(self) -> freshness.Condition:
        leg = self.leg
        if leg is None or leg.stream is None:
            return State.CONNECTING, None
        state, cause = freshness.of_stream(leg.stream, self.valued)
        if not state.is_good or leg.book.synced:
            return state, cause
        if self.valued:
            return State.RESYNCING, leg.cause
        return State.CONNECTING, leg.cause

    def confirmed_at(self) -> float | None:
        leg = self.leg
        return leg.stream.last if leg is not None and leg.stream is not None and self.valued else None

    def beat(self, now: float, out: list[Output]) -> None:
        for leg in self.legs():
            if leg.rule is BookRule.COUNTER:
                if not leg.book.synced and leg.stream is not None and leg.stream.phase is Phase.LIVE:
                    self.begin_again(leg, now)
            elif leg.book.wants_snapshot(leg.least_frames(now)):
                self._snapshots.ask(leg)
        self._compare(now, out)

    def _compare(self, now: float, out: list[Output]) -> None:
        """A quote whose update id the book has still not reached after ``stale_after`` proves that
        the book's stream misses frames."""
        leg, quoted = self.leg, None if self.ticker is None else self.ticker.update_id
        if (
            leg is None
            or leg.stream is None
            or leg.rule is not BookRule.RANGE
            or quoted is None
            or leg.book.sequence is None
        ):
            self._behind = None
        elif self._behind is None or leg.book.sequence >= self._behind[1]:
            self._behind = (now, quoted) if quoted > leg.book.sequence else None
        elif now - self._behind[0] >= self.desk.stale_after and now - (leg.stream.last or 0.0) >= self.desk.stale_after:
            leg.stream.signal(Signal.SILENCE, now, out)
