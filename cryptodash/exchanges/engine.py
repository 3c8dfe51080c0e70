"""The engine of one venue: what is wanted goes in, frames and answers go in, and out comes what the world should do and
what is new.

No socket, no timer, no venue's name: time, chance and the venue are arguments, every input returns the outputs it
causes, in order. ``subscriptions`` turns topics into streams, ``connections`` gives the streams connections.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from random import Random

from cryptodash.core.checkpoints import TakeImage
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause
from cryptodash.core.instruments import Catalogue, Instrument, MarketType
from cryptodash.core.interfaces import StreamReport
from cryptodash.core.quality import UNRECORDED, StreamRecords
from cryptodash.core.steps import Steps, outcome_of
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Message
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.builders.plausibility import FAR_AHEAD
from cryptodash.exchanges.builders.waiting_frames import FrameBudget
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.commands import Closed, Fetch, Output
from cryptodash.exchanges.connections.conflation import Conflated, Conflation
from cryptodash.exchanges.connections.decode_errors import DecodeErrors
from cryptodash.exchanges.connections.delays import Delays
from cryptodash.exchanges.connections.frame_counts import FrameCounts
from cryptodash.exchanges.connections.left_out import LeftOutElements
from cryptodash.exchanges.connections.rare_frames import RareFrames
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase
from cryptodash.exchanges.health import Health, Survey, health, stream_reports, surveying
from cryptodash.exchanges.subscriptions.book_audits import BookAudits
from cryptodash.exchanges.subscriptions.kinds import subscription_maker
from cryptodash.exchanges.subscriptions.opening_books import OpeningBooks
from cryptodash.exchanges.subscriptions.polls import Polls
from cryptodash.exchanges.subscriptions.rest_answers import RestAnswers
from cryptodash.exchanges.subscriptions.seeds import Seeds
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue
from cryptodash.exchanges.subscriptions.snapshot_sizes import SnapshotSizes
from cryptodash.exchanges.subscriptions.snapshots import Snapshots
from cryptodash.exchanges.subscriptions.streams import Streams
from cryptodash.exchanges.subscriptions.topic_subscription import Basics
from cryptodash.exchanges.subscriptions.wanted_topics import WantedTopics

__all__ = ["Engine", "Health"]

BEAT = 0.5
"""Seconds between two looks at everything that merely grows old."""
CATALOGUE_EVERY = 60.0
NEVER = float("inf")

# Per frame: looking a member up in an Enum costs 0.1 us (Python 3.11).
_LIVE = Phase.LIVE


class Engine:
    """One venue's engine. Times are ``clock.monotonic()`` seconds; a connection is known by its key."""

    def __init__(
        self,
        venue: IVenue,
        hosts: Mapping[MarketType, Hosts],
        catalogue: Catalogue,
        clock: Clock,
        random: Random,
        tally: Tally,
        *,
        stale_after: float = 5.0,
        late_after_ms: int | None = 2000,
        budget: FrameBudget | None = None,
        records: StreamRecords = UNRECORDED,
        audit_share: float = 0.05,
    ) -> None:
        """``late_after_ms``: None on recorded time, where nothing is ever late, and no frame is left out. ``budget``:
        what the book frames that wait for a snapshot may weigh, over all engines that share it. ``records``: what the
        ledger keeps of the venue's streams. ``audit_share``: of the REST budget, for comparisons of live books with
        snapshots; 0 for none."""
        self._venue = venue
        self._monotonic = clock.monotonic
        self._wall_ms = clock.wall_ms
        self._stale_after = stale_after
        self._prefix = venue.data_prefix
        self._name_at = len(venue.data_prefix)
        self._name_end = venue.name_end
        self._delays = Delays(venue, hosts, clock, tally, late_after_ms)
        self._errors = DecodeErrors(venue.id, tally, records)
        self._left_out = left_out = LeftOutElements(venue.id, tally, records)
        self.left_out = left_out.add
        """For whoever reads lists of the venue's elsewhere."""
        counts = FrameCounts(venue.id, tally)
        self._frame_cells = counts.cells
        self._conflation = Conflation(venue, counts, tally, FAR_AHEAD, is_recorded=late_after_ms is None)
        self._allocation = Allocation(venue, hosts, random, tally)
        self._connections = self._allocation.connections
        self._rare = RareFrames(venue, self._allocation, self._errors, left_out, counts, self._delays, tally)
        self._polls = Polls(records)
        self._snapshots = SnapshotQueue()
        self._opening = OpeningBooks(self._snapshots, venue.rest_limits)
        self._streams = Streams(self._allocation, self._polls, records)
        self._seeds = Seeds(venue, self._streams)
        unlisted: dict[MarketType, Cause] = {}
        make = subscription_maker(
            venue,
            Basics(self._streams, clock, unlisted),
            catalogue,
            self._delays.clocks,
            Snapshots(self._snapshots, self._opening, SnapshotSizes(), budget or FrameBudget()),
            tally,
            stale_after,
        )
        self._wanted = WantedTopics(venue, catalogue, self._streams, make, unlisted)
        wanted = self._wanted.subscriptions
        self._audits = BookAudits(
            venue.id,
            venue.rest_limits,
            0.0 if late_after_ms is None else audit_share,  # recorded time answers no requests of ours
            lambda: [each.audited for each in wanted.values()],
            tally,
        )
        self._answers = RestAnswers(
            venue,
            self._wanted.subscriptions,
            self._polls,
            self._snapshots,
            self._seeds,
            self._audits,
            self._delays,
            self._errors,
            left_out,
        )
        self.deadline_moved = False
        """Set whenever ``deadline`` may have changed; for whoever keeps a timer, who takes it back."""
        self._beat_at = NEVER
        self._catalogue_asked: dict[MarketType, float] = {}

    # -- what is wanted

    def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> list[Output]:
        """Start these (order books by their depth), for ``clients`` as in ``held``. A topic that is wanted already is
        no news."""
        now, out = self._begin()
        for topic in topics:
            self._wanted.want(topic, clients, now, out)
        return self._finish(now, out)

    def held(self, topic: Topic, clients: Sequence[str] | None) -> list[Output]:
        """A wanted order book is held by these clients now (a few of them); None: by nobody, it lingers."""
        now, out = self._begin()
        self._wanted.held(topic, clients, now, out)
        return self._finish(now, out)

    def drop(self, topics: Iterable[Topic]) -> list[Output]:
        """Stop these."""
        now, out = self._begin()
        for topic in topics:
            self._wanted.drop(topic, now, out)
        return self._finish(now, out)

    def catalogue_changed(self, market: MarketType) -> list[Output]:
        """The market's instruments were read (again): start what waited for them, end what is gone, try again what was
        rejected."""
        now, out = self._begin()
        self._wanted.catalogue_changed(market, now, out)
        return self._finish(now, out)

    def catalogue_failed(self, market: MarketType, cause: Cause) -> list[Output]:
        """The market's instruments could not be read."""
        now, out = self._begin()
        self._wanted.catalogue_failed(market, cause, out)
        return self._finish(now, out)

    # -- connections

    def opened(self, connection: str) -> list[Output]:
        """A connection is up."""
        now, out = self._begin()
        self._allocation.opened(connection, now, out)
        return self._finish(now, out)

    def may_send(self, connection: str) -> list[Output]:
        """A ``Send`` has left, and the next frame may follow."""
        now, out = self._begin()
        self._allocation.may_send(connection)
        return self._finish(now, out)

    def closed(self, connection: str, how: Closed) -> list[Output]:
        """A connection ended, or could not be opened."""
        now, out = self._begin()
        self._allocation.closed(connection, how, now, out)
        return self._finish(now, out)

    def heard(self, connection: str) -> None:
        """The venue gave a sign of life that is no frame."""
        found = self._connections.get(connection)
        if found is not None:
            found.last = self._monotonic()

    def received(self, connection: str, frame: bytes, received: int) -> Sequence[Output]:
        """Take one frame (of valid UTF-8) that came at ``received`` (ms, our wall clock). This is the hot path,
        for a frame that begins with a live stream's name; all else is done by ``RareFrames``."""
        found = self._connections.get(connection)
        if found is None:
            return ()
        now = found.last = found.framed = self._monotonic()
        found.frames += 1
        out: list[Output] = []
        name_at = self._name_at
        # By the bytes of the name, which stand at a fixed place: 0.2 us, where the search through ``read`` took 0.6.
        stream = found.wired.get(frame[name_at : frame.find(self._name_end, name_at)])
        if (
            stream is None
            or stream.source is not found
            or stream.phase is not _LIVE
            or not frame.startswith(self._prefix)
        ):
            self.deadline_moved = True
            self._rare.read(found, frame, now, received, out)
        else:
            message: Message | None = None
            try:
                for message in stream.read(stream.name, frame):
                    before = stream.last
                    stream.last = now
                    stream.frames += 1
                    for take in stream.takers:
                        if take(message, now, received, out):
                            stream.dropped(before, now)
                if now >= stream.sample_due:
                    self._delays.sample(stream, found, frame, now)
            except Exception as error:  # whatever a venue sends, nothing may escape into the socket's callback
                self._rare.unreadable(found, stream, error, frame, now, out)
            messages, size = self._frame_cells.get(type(message)) or self._rare.left_out(stream, message)
            messages.count += 1
            size.count += len(frame)
        if self._allocation.touched:
            self.deadline_moved = True
            self._allocation.advance(now, out)
        return out

    def conflated(self, connection: str, frames: Sequence[bytes]) -> Sequence[Conflated]:
        """The frames of one read of a connection that is behind, in order; those together of which the newest may stand
        for all. ``received_newest`` takes what this returns, one by one."""
        found = self._connections.get(connection)
        return () if found is None else self._conflation.of(found, frames)

    def received_newest(self, connection: str, frames: Conflated, received: int) -> Sequence[Output]:
        """As ``received``, for the newest of these alone if it is taken."""
        if isinstance(frames, bytes):
            return self.received(connection, frames, received)
        found = self._connections.get(connection)
        if found is None:
            return ()  # it was dropped since the frames came
        return self._conflation.newest(found, frames, lambda frame: self.received(connection, frame, received))

    # -- REST

    def rest_answer(self, request: RestRequest, body: bytes) -> list[Output]:
        """A ``Fetch`` was answered."""
        now, out = self._begin()
        self._answers.answered(request, body, now, self._wall_ms(), out)
        return self._finish(now, out)

    def rest_failed(self, request: RestRequest, error: UpstreamError) -> list[Output]:
        """A ``Fetch`` failed."""
        now, out = self._begin()
        self._answers.failed(request, error, now, out)
        return self._finish(now, out)

    def dated(self, market: MarketType, date_ms: int) -> None:
        """An HTTP answer of a market's host said what time it is there (ms, whole seconds)."""
        self._delays.clocks[market].dated(date_ms)

    # -- time

    def tick(self) -> list[Output]:
        """Do what is due."""
        now, out = self._begin()
        if now >= self._beat_at:
            self._beat_at = now + BEAT
            self._beat(now, out)
        return self._finish(now, out)

    def deadline(self) -> float | None:
        """When ``tick`` is due next; None: there is nothing to do."""
        due = min(self._beat_at, self._allocation.due(), self._snapshots.due(), self._polls.due())
        return None if due == NEVER else due

    def _beat(self, now: float, out: list[Output]) -> None:
        slept = self._delays.slept(now)
        if slept:
            self._streams.slept(slept, now, out)
        for untimed in self._delays.untimed(self._connections.values(), now):
            self._allocation.add_timed(untimed)
        late = self._delays.beat(self._connections.values(), self._streams.subscribed(), now, out)
        Stream.tell_all(late, out)
        self._streams.beat(now, self._stale_after, out)
        self._seeds.beat(now, out)
        self._ask_catalogue(now, out)
        self._wanted.beat(now, out)
        self._allocation.beat(now, out)
        self._audits.beat(self._snapshots.is_busy(now), now, self._wall_ms(), out)

    def _ask_catalogue(self, now: float, out: list[Output]) -> None:
        """A stream that went silent may have been delisted, one of a halted instrument that speaks trades again: the
        catalogue tells. It also tells of instruments that are listed anew."""
        for market in self._venue.markets:
            asked = self._catalogue_asked.get(market, -NEVER)
            if now - asked >= CATALOGUE_EVERY and self._is_in_doubt(market, asked, now):
                self._catalogue_asked[market] = now
                out.extend(Fetch(request) for request in self._venue.catalogue_requests(market)[:1])

    def _is_in_doubt(self, market: MarketType, asked: float, now: float) -> bool:
        endpoints = self._venue.endpoints
        for stream in self._streams.subscribed():
            if stream.phase is Phase.SILENT and stream.since > asked and endpoints[stream.endpoint].market is market:
                return True
        subscriptions = self._wanted.of_market(market)
        return any(each.halted_but_heard(asked) or each.delisted_for_long(asked, now) for each in subscriptions)

    def _begin(self) -> tuple[float, list[Output]]:
        return self._monotonic(), []

    def _finish(self, now: float, out: list[Output]) -> list[Output]:
        """After every input but a frame: do at once what may be done now."""
        self._polls.advance(now, out)
        self._opening.advance(now, out)
        self._snapshots.advance(now, out)
        self._allocation.advance(now, out)
        busy = bool(self._wanted.subscriptions or self._allocation.groups)
        self._beat_at = NEVER if not busy else now + BEAT if self._beat_at == NEVER else self._beat_at
        self.deadline_moved = True
        return out

    # -- reports

    @property
    def backoff(self) -> float:
        """Seconds until the last of the connections that wait for another attempt makes it; 0 if none waits."""
        return self._allocation.backoff(self._monotonic())

    @property
    def pending_diffs(self) -> int:
        """Book frames that wait for a snapshot."""
        return sum(each.pending_diffs for each in self._wanted.subscriptions.values())

    @property
    def skew_ms(self) -> int:
        """The clock of the venue's first market minus ours, estimated."""
        return self._delays.clocks[self._venue.markets[0]].ahead_ms

    @property
    def clock_ahead_ms(self) -> int | None:
        """By how much at least the venue's clock is ahead of our wall clock (ms); None while no probe has told. Of
        several hosts that one counts which agrees best with us."""
        known = [ahead for each in self._delays.hosts() if (ahead := each.proven_ahead_ms()) is not None]
        return min(known, key=abs, default=None)

    def venue_ms(self, market: MarketType) -> int:
        """Now in the clock of a market's host, as far as it is known (ms)."""
        return self._delays.clocks[market].now_ms()

    def confirmed_at(self, topic: Topic) -> float | None:
        """When a frame last confirmed the topic's value; None before the first."""
        subscription = self._wanted.subscriptions.get(topic.upstream)
        return None if subscription is None else subscription.confirmed_at()

    def as_of(self, topic: Topic) -> float | None:
        """For when the topic's value holds as long as it is live or quiet; None before the first."""
        subscription = self._wanted.subscriptions.get(topic.upstream)
        return None if subscription is None else subscription.as_of()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wanted."""
        return not self._wanted.subscriptions

    def streams(self) -> Iterator[Sequence[StreamReport]]:
        """Every upstream stream and poll, a few at a time."""
        return stream_reports(self._venue.id, self._streams.everything(), self._wanted, self._monotonic)

    def instruments(self) -> dict[tuple[MarketType, str], Instrument]:
        """Those of which something is wanted, by market and native name."""
        found = (each.instrument for each in self._wanted.subscriptions.values() if each.plan is not None)
        return {(each.market, each.native): each for each in found if each is not None}

    def images(self, unread: Container[str]) -> list[TakeImage]:
        """The order books that are in sync, and the figures of tickers. ``unread``: connections of which something has
        come in that ``received`` was not given yet."""
        return [image for each in self._wanted.subscriptions.values() for image in each.images(unread)]

    def survey(self) -> Steps[Survey]:
        """Look at every stream, a step at a time."""
        return surveying(self._wanted, self._streams.everything())

    def health(self, survey: Survey | None = None) -> Health:
        """The venue at a glance, as far as the streams are concerned by this survey; None: look at all of them now."""
        return health(survey or outcome_of(self.survey()), self._wanted, self._allocation)
