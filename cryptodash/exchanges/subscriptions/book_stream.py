"""One stream of an order book and the book made from it: loses its place, fetches snapshots, begins again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause, cause_of
from cryptodash.core.quality import Count
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth, Message
from cryptodash.exchanges.adapter.plan import RestRequest, StreamSpec
from cryptodash.exchanges.builders.book_audit import BookAudit, Sides, audit_of
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.book_sync import OrderBook
from cryptodash.exchanges.builders.plausibility import TOLERANCE_MS, StreamOrder, Verdict
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Carrier, Stream, TakeMessage
from cryptodash.exchanges.connections.stream_phase import Phase
from cryptodash.exchanges.connections.venue_clock import VenueClock
from cryptodash.exchanges.subscriptions.audit_record import AuditRecord
from cryptodash.exchanges.subscriptions.book_meters import LOST, BookMeters
from cryptodash.exchanges.subscriptions.snapshot_queue import pause
from cryptodash.exchanges.subscriptions.snapshot_sizes import Consumption
from cryptodash.exchanges.subscriptions.snapshots import Snapshots
from cryptodash.exchanges.subscriptions.streams import Streams

SLOW_STREAM = 1.0
"""Seconds without a frame that make a book's stream a slow one."""

FALLBACK_AFTER = 5.0
"""Seconds to wait for a snapshot in the stream before one is fetched, where the venue has both."""


_COUNTED_AS = {
    "sequence": Count.GAPS,
    "overflow": Count.GAPS,
    "checksum": Count.CHECKSUM_FAILURES,
    "crossed": Count.CROSSED,
}
"""How the ledger counts the loss of a book, by the metric's word; one that is used up has lost no frame."""


class BookOwner(Protocol):
    """Whose book it is."""

    valued: bool

    @property
    def clients(self) -> Sequence[str]:
        """Clients that hold it, a few of them."""

    def has_larger_snapshot(self, limit: int) -> bool:
        """Whether the venue gives more than ``limit`` levels a side."""

    def snapshot_used_up(self, limit: int, lasted: float, now: float) -> None:
        """A snapshot of ``limit`` levels a side has to be renewed after ``lasted`` seconds."""

    def snapshot_request(self) -> RestRequest | None:
        """What to fetch for the depths watched now; None where there is nothing to be had."""

    def audit_request(self) -> RestRequest | None:
        """The same for a comparison with the depths watched now."""

    def shows_good(self, source: BookStream) -> bool:
        """Whether this book is the one that is shown, as live or quiet."""

    def book_changed(
        self, source: BookStream, time: int | None, received: int, rebuilt: bool, now: float, out: list[Output]
    ) -> None:
        """The book holds a new state; ``rebuilt``: not by following the one before."""

    def refresh(self, out: list[Output]) -> None:
        """The book can be trusted less, or more, than before."""


class BookStream:
    """Usually a topic has one; while it changes to another depth's stream, two."""

    def __init__(
        self,
        owner: BookOwner,
        spec: StreamSpec,
        rules: BookRules,
        streams: Streams,
        snapshots: Snapshots,
        clock: Clock,
        venue_clock: VenueClock,
        meters: BookMeters,
    ) -> None:
        self.spec = spec
        self.book = OrderBook(
            rules, tier=spec.depth, instrument=spec.instrument, doubts=meters.doubts, budget=snapshots.budget
        )
        self.stream: Stream | None = None
        self.cause: Cause | None = None
        """Why the book is not synced, once it was."""
        self.free_at = self.renewable_at = 0.0
        self.failures = 0
        self._owner = owner
        self._rules = rules
        self._streams = streams
        self._snapshots = snapshots.queue
        self._opening = snapshots.opening
        self._consumption = Consumption()
        self._clock = clock
        self._venue_clock = venue_clock
        self._times = StreamOrder(meters.doubts, partial=True)
        self._held: Depth | None = None
        """The frame whose time is not believed yet."""
        self._meters = meters
        self._counted_on: Carrier | None = None
        """The connection that brought the book's snapshot, where only the count of its frames proves them whole."""
        self._unreadable = 0
        """Frames of the stream that could not be read, as far as they are known."""
        self._unsynced_since = clock.monotonic()
        self._begun_anew = 0
        self._resyncs = 0
        """Those of the book that are counted."""
        self.audit_record = AuditRecord()
        self._audit: BookAudit | None = None
        self._begin_at: float | None = None
        """When to begin the stream again, where a snapshot fetched meanwhile has not helped."""

    def open(self, now: float, out: list[Output]) -> None:
        """Have the stream."""
        self.stream = self._streams.open(self.spec, self, now, out)
        self.stream.judge = self._owner
        self._begun_anew = self.stream.begun_anew
        self._unreadable = self.stream.unreadable_frames

    def close(self, now: float) -> None:
        """Give it up."""
        self.forgo_snapshots()
        self.end_audit()
        if self.stream is not None:
            self.stream.record.crossed(False)
            self.stream.judge = None
            self._streams.leave(self.stream, self, now)

    def forgo_snapshots(self) -> None:
        """Nobody holds the book, though it may linger: its place in the queue and what it keeps are for others."""
        self._snapshots.leave(self)
        self._opening.ended(self)
        self.book.forgo_snapshots()

    def use_snapshots(self) -> None:
        """Somebody holds it again."""
        self.book.use_snapshots()

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second: a book that shows nothing must not wait for a frame to ask for a snapshot."""
        self.book.expire(now)
        self._times.expire(now)
        if self._meters.doubts.news:
            self._note()
        if self._rules.chaining is Chaining.CHECKSUM:
            self._heed_unreadable(now, out)
        if self._rules.snapshots is SnapshotSource.STREAM:
            # Also while it is quiet: of a snapshot that never came no frame may tell.
            if not self.book.synced and self.stream is not None and self.stream.phase in (Phase.LIVE, Phase.QUIET):
                self._begin_again(now, out)
            return
        if self._begin_at is not None and now >= self._begin_at:
            self.free_at = now  # fetching, which is spaced by this as well, must not keep the stream waiting for ever
            self._begin_again(now, out)
        if self._wants_snapshot(now, self._least_frames(now)) or self._ends_soon(now):
            self._snapshots.ask(self)

    # -- frames

    @property
    def take(self) -> TakeMessage:
        """Who takes the stream's messages."""
        if self._rules.chaining is Chaining.CONNECTION:
            return self._take_counted
        return self._take_checked if self._rules.chaining is Chaining.CHECKSUM else self._take

    def _take(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if isinstance(message, Depth):
            time, times = message.time, self._times
            if time is not None:
                if time <= self._venue_clock.at(now, received, time) + TOLERANCE_MS and times.calm:
                    times.newest, times.at = time, now
                elif not self._believes(message, time, now, received, out):
                    self._note()
                    return True
            outcome = self.book.received(message, now)
            if self._audit is not None:
                self._note_for_audit(outcome, message)
            if outcome is Outcome.CHANGED:
                self._owner.book_changed(self, message.time, received, False, now, out)
            elif outcome is Outcome.OLD or outcome is Outcome.HELD:
                self._note()
                return True
            elif outcome is Outcome.IGNORED:
                if not self.book.is_joining:  # else it is the frame that the snapshot was taken after
                    self._meters.doubts.repeated()
                self._note()
            else:
                self._follow_up(outcome, message.time, now, received, out)
        return False

    def _note(self) -> None:
        """For the ledger: what was counted of the frame that came last."""
        if self.stream is not None:
            self.stream.note_all(self._meters.doubts.news)

    def _believes(self, depth: Depth, time: int, now: float, received: int, out: list[Output]) -> bool:
        """Whether a frame is taken although its time, or that of the one before, is from the future; with it goes the
        one that was held."""
        self.end_audit()
        verdict = self._times.judge(None, time, self._venue_clock.at(now, received), received, now)
        held, self._held = self._held, depth if verdict is Verdict.HELD else None
        if verdict in (Verdict.ANEW, Verdict.SET_BACK) and held is not None:
            self._follow_up(self.book.received(held, now), held.time, now, received, out)
        return verdict is not Verdict.HELD

    def _take_counted(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        """Another connection's count proves nothing of what came before it was listened to: only its snapshot helps."""
        source = None if self.stream is None else self.stream.source
        if isinstance(message, Depth) and message.snapshot:
            self._counted_on = source
        elif self.book.synced and source is not self._counted_on:
            self._forget()
            self.book.gaps += 1
            self._follow_up(Outcome.GAP, None, now, received, out)
        return self._take(message, now, received, out)

    def _take_checked(self, message: Message, now: float, received: int, out: list[Output]) -> bool:
        if isinstance(message, Depth) and message.snapshot and self.stream is not None:
            self._unreadable = self.stream.unreadable_frames  # it says all that was not understood
        self._heed_unreadable(now, out)
        return self._take(message, now, received, out)

    def _heed_unreadable(self, now: float, out: list[Output]) -> None:
        """A change that could not be read is in no book, and the checksums to come show that only where it is one of
        the few levels that they cover."""
        stream = self.stream
        if stream is None or stream.unreadable_frames == self._unreadable:
            return
        self._unreadable = stream.unreadable_frames
        if self.book.synced:
            self._forget()
            self.book.gaps += 1
            self._follow_up(Outcome.GAP, None, now, self._clock.wall_ms(), out)

    def stream_changed(self, out: list[Output]) -> None:
        """The stream lost its connection, was begun anew, or has another phase."""
        stream = self.stream
        if stream is not None:
            if stream.source is None:
                if self._owner.valued:
                    self._lost(Cause.DISCONNECTED)
                self._forget()
            elif stream.begun_anew != self._begun_anew and self._rules.snapshots is not SnapshotSource.REST:
                self._await_snapshot()
            self._begun_anew = stream.begun_anew
        self._owner.refresh(out)

    def _await_snapshot(self) -> None:
        """The stream is subscribed anew, and what it brings begins with a snapshot: no frame before that can show that
        none is missing."""
        if self.book.synced:
            self._lost(Cause.SILENT)
            self._forget()

    def _forget(self) -> None:
        """What comes next begins anew: a snapshot that was asked for before it would be too old."""
        self._snapshots.leave(self)
        self._held = self._begin_at = None
        self.end_audit()
        self.book.reset()

    def _lost(self, cause: Cause) -> None:
        self.cause = cause
        if self.stream is not None:
            self.stream.record.crossed(cause is Cause.CROSSED)
        self._consumption = Consumption()
        self._unsynced_since = self._clock.monotonic()

    def _follow_up(self, outcome: Outcome, time: int | None, now: float, received: int, out: list[Output]) -> None:
        """Everything a frame or snapshot can lead to but a plain change."""
        if outcome is Outcome.REBUILT:
            self._rebuilt(time, now, received, out)
        elif outcome is Outcome.RENEWED:
            self._succeeded(now)
            self._owner.book_changed(self, time, received, False, now, out)
        elif outcome is Outcome.OUTDATED:
            self.failures += 1
            self._meters.resyncs.add(self._meters.exchange, "outdated")
            self._wait_until(now + pause(self.failures - 1))
        elif outcome in LOST:
            if outcome is Outcome.USED_UP:
                self._note_use(now)
            self._fell_apart(*LOST[outcome], now, out)
        if self._wants_snapshot(now, 2):
            self._snapshots.ask(self)
            self._snapshots.advance(now, out)
            self._streams.touched()

    def _rebuilt(self, time: int | None, now: float, received: int, out: list[Output]) -> None:
        self._succeeded(now)
        if self.stream is not None:
            self.stream.record.crossed(False)
            self.stream.record.count(Count.RESYNCS, self.book.resyncs - self._resyncs)
        self._resyncs = self.book.resyncs
        if self.cause is not None or not self._owner.valued:
            self._meters.duration.observe(now - self._unsynced_since)
        self.cause = self._begin_at = None
        self._meters.resyncs.add(self._meters.exchange, "ok")
        self._owner.book_changed(self, time, received, True, now, out)

    def _succeeded(self, now: float) -> None:
        """A snapshot, or the stream itself, has made the book: a wait that grew with failures before is over."""
        self.failures = 0
        self.free_at, self.renewable_at = (min(each, now + pause(0)) for each in (self.free_at, self.renewable_at))
        self._consumption.begin(self.book.spare, now)

    def _fell_apart(self, cause: Cause, word: str, now: float, out: list[Output]) -> None:
        self._meters.gaps.add(self._meters.exchange, word)
        self._lost(cause)
        if self.stream is not None and word in _COUNTED_AS:
            self.stream.record.count(_COUNTED_AS[word])
        self._owner.refresh(out)
        if self._rules.snapshots is not SnapshotSource.REST:
            self._snapshots.leave(self)
            self.book.snapshot_failed()  # its answer goes to nobody, so the book must not wait for it
            self._begin_again(now, out)

    def _begin_again(self, now: float, out: list[Output]) -> None:
        """End and begin the stream for a new snapshot in it; at most once in five seconds, then less often."""
        if self.stream is None or now < self.free_at:
            self._begin_at = self.free_at
            return  # the beat tries again
        self._begin_at = None
        self.free_at = now + pause(self.failures)
        self.failures += 1
        self._streams.resubscribe(self.stream, now, out)

    @property
    def carrier(self) -> Carrier | None:
        """The connection whose frames so far have made the book. None where the book is not in sync, or something that
        has come of its stream is not in it, and may be yet."""
        stream, book = self.stream, self.book
        if stream is None or not book.synced or book.holds_back or not self._times.calm:
            return None
        if book.is_joining and self._rules.snapshots is not SnapshotSource.REST:
            return None  # a frame may be next that overlaps it, which follows nothing that a stream brings
        if self._rules.chaining is Chaining.CHECKSUM and stream.unreadable_frames != self._unreadable:
            return None
        return stream.source

    # -- audits (``AuditedBook``)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_good(self) -> bool:
        return self._owner.shows_good(self)

    @property
    def sides(self) -> Sides:
        return self.book.sides

    def audit_request(self) -> RestRequest | None:
        return self._owner.audit_request()

    def begin_audit(self) -> BookAudit:
        self._audit = audit = audit_of(self._rules, self.spec.depth, self.book.sides, self.book.sequence)
        return audit

    def end_audit(self) -> None:
        if self._audit is not None:
            self._audit.is_void = True
            self._audit = None

    def _note_for_audit(self, outcome: Outcome, depth: Depth) -> None:
        """What this frame means for the audit that goes on: one that did more than change levels ends it."""
        if outcome is Outcome.CHANGED or outcome is Outcome.RENEWED:
            if self._audit is not None:
                self._audit.applied(depth, self.book.sides)
        elif outcome is not Outcome.IGNORED and outcome is not Outcome.OLD:
            self.end_audit()

    def audited(self, diverged: bool) -> None:
        if self.stream is not None:
            self.stream.record.audited(diverged)

    def diverged(self, now: float, received: int, out: list[Output]) -> None:
        self._held = None
        self._follow_up(self.book.diverged(), None, now, received, out)

    # -- snapshots (``SnapshotTaker``)

    @property
    def is_urgent(self) -> bool:
        return not self.book.synced

    @property
    def clients(self) -> Sequence[str]:
        return self._owner.clients

    def request(self) -> RestRequest | None:
        if self.book.synced:
            self._note_use(self._clock.monotonic())
        request = self._owner.snapshot_request()
        if request is not None:
            self.book.snapshot_begun()
        return request

    def _note_use(self, now: float) -> None:
        """The snapshot that the book is made from has lasted until now."""
        if self.book.limit is not None:
            self._owner.snapshot_used_up(self.book.limit, self._consumption.age(now), now)

    def answered(self, depth: Depth, limit: int, now: float, received: int, out: list[Output]) -> None:
        outcome = self.book.snapshot(depth, limit, now)
        if outcome is Outcome.REBUILT:
            self.end_audit()
        if outcome is not Outcome.IGNORED:
            self._follow_up(outcome, self.book.time, now, received, out)

    def failed(self, error: UpstreamError, now: float, out: list[Output]) -> None:
        """The next try waits longer, and as long as the venue says."""
        self.book.snapshot_failed()
        self.failures += 1
        wait = 0.0 if error.retry_after is None else error.retry_after
        self._wait_until(now + max(pause(self.failures - 1), wait))
        self._meters.resyncs.add(self._meters.exchange, "failed")
        if self._rules.snapshots is SnapshotSource.EITHER and not self.book.synced:
            self._begin_at = self.free_at
        if not self.book.synced and error.cause in ("blocked", "banned", "maintenance"):
            self.cause = cause_of(error.cause)
            self._owner.refresh(out)
        if self._wants_snapshot(now, 2):
            self._snapshots.ask(self)

    def _wait_until(self, time: float) -> None:
        """The last attempt led to nothing."""
        self.free_at, self.renewable_at = max(self.free_at, time), max(self.renewable_at, time)

    def _wants_snapshot(self, now: float, least_frames: int) -> bool:
        if not self.book.wants_snapshot(least_frames):
            return False
        patient = self._rules.snapshots is SnapshotSource.EITHER and not self.book.synced
        return not patient or now - self._unsynced_since >= FALLBACK_AFTER

    def _ends_soon(self, now: float) -> bool:
        """Whether the snapshot does not last, and a larger one would."""
        book, limit = self.book, self.book.limit
        if limit is None or not book.may_be_renewed or not self._consumption.ends_soon(book.spare, now):
            return False
        return self._owner.has_larger_snapshot(limit)

    def _least_frames(self, now: float) -> int:
        """How many frames to wait for before a snapshot: one is enough from a stream that then says nothing for a
        while."""
        heard = None if self.stream is None else self.stream.last
        return 1 if heard is not None and now - heard >= SLOW_STREAM else 2
