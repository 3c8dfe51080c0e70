"""The engine of one venue: what is wanted goes in, frames and answers go in, and out comes what the
world should do and what is new.

No socket, no timer, no venue's name: time, chance and the venue are arguments, every input returns the outputs it
causes, in order. A topic is a *track* (``tracks.py``, ``books.py``); tracks share *streams* (``stream.py``); streams
live on *lines* (``line.py``, ``lines.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.interfaces import StreamReport
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import (
    Ack,
    Bar,
    Depth,
    Ignored,
    Mark,
    Message,
    Pong,
    Quote,
    Restarting,
    Stats,
    SweepRows,
    Trades,
)
from cryptodash.exchanges.adapter.venue import Hosts, IVenue, RestRequest
from cryptodash.exchanges.answers import Answers
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.commands import Closed, Fetch, Output
from cryptodash.exchanges.connections.connection import Connection
from cryptodash.exchanges.connections.decode_errors import DecodeErrors
from cryptodash.exchanges.connections.stream import Phase, Stream
from cryptodash.exchanges.health import Health, health, legs_of, stream_report
from cryptodash.exchanges.subscriptions.desk import Desk
from cryptodash.exchanges.subscriptions.polls import Polls
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue
from cryptodash.exchanges.subscriptions.streams import Streams
from cryptodash.exchanges.subscriptions.wanted_topics import WantedTopics

__all__ = ["Engine", "Health"]

BEAT = 0.5
"""Seconds between two looks at everything that merely grows old."""
CATALOGUE_EVERY = 60.0
SAMPLE_AGAIN = 0.02
"""Seconds to wait when the message at hand carried no time."""
DELAY_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
NEVER = float("inf")

# Per frame: looking a member up in an Enum costs 0.1 us (Python 3.11).
_LIVE = Phase.LIVE
CHANNELS: dict[type, str] = {
    Quote: "ticker",
    Stats: "ticker",
    Mark: "ticker",
    Trades: "trade",
    Depth: "order_book",
    Bar: "candle",
    SweepRows: "sweep",
    Ack: "control",
    Pong: "control",
    Restarting: "control",
    Ignored: "control",
}
"""What a frame is counted as, by its last message."""


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
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._monotonic = clock.monotonic
        self._wall_ms = clock.wall_ms
        self._mark = venue.mark
        self._begin_name = len(venue.mark)
        self._lines = Allocation(venue, hosts, random, tally)
        self._connections = self._lines.connections
        self._polls = Polls()
        self._roster = Streams(self._lines, self._polls)
        self._snapshots = SnapshotQueue()
        self._desk = Desk(venue, clock, catalogue, self._lines, tally, stale_after)
        self._skew = self._desk.skew
        self._wishes = WantedTopics(self._desk, self._roster, self._snapshots)
        self._errors = DecodeErrors(venue.id, tally)
        self._answers = Answers(self._desk, self._wishes, self._polls, self._snapshots, self._errors)
        self._duplicates = tally.counter(
            "cryptodash_duplicates_dropped_total", "Messages two connections brought", "exchange"
        )
        self._delays = tally.histogram(
            "cryptodash_upstream_event_delay_seconds",
            "Receive time less the venue's time, sampled",
            DELAY_BOUNDS,
            "exchange",
            "channel",
        )
        self._messages = tally.counter(
            "cryptodash_upstream_messages_total", "Text messages received.", "exchange", "channel"
        ).values
        self._bytes = tally.counter(
            "cryptodash_upstream_bytes_total", "Payload bytes received.", "exchange", "channel"
        ).values
        self._labels = {kind: (venue.id, channel) for kind, channel in CHANNELS.items()}
        self._unread = (venue.id, "unread")
        self._beat_at = NEVER
        self._moved: list[Stream] = []
        """Streams that the frame at hand has made live."""
        self._catalogue_asked: dict[MarketType, float] = {}

    # -- wishes

    def want(self, topics: Iterable[Topic]) -> list[Output]:
        """Start these (order books by their depth). A topic that is wanted already is no news."""
        now, out = self._begin()
        for topic in topics:
            self._wishes.want(topic, now, out)
        return self._finish(now, out)

    def drop(self, topics: Iterable[Topic]) -> list[Output]:
        """Stop these."""
        now, out = self._begin()
        for topic in topics:
            self._wishes.drop(topic, now, out)
        return self._finish(now, out)

    def catalogue_changed(self, market: MarketType) -> list[Output]:
        """The market's instruments were read (again): start what waited for them, end what is gone,
        try again what was rejected."""
        now, out = self._begin()
        self._wishes.catalogue_changed(market, now, out)
        return self._finish(now, out)

    def catalogue_failed(self, market: MarketType, cause: Cause) -> list[Output]:
        """The market's instruments could not be read."""
        now, out = self._begin()
        self._wishes.catalogue_failed(market, cause, out)
        return self._finish(now, out)

    # -- connections

    def opened(self, connection: str) -> list[Output]:
        """A connection is up."""
        now, out = self._begin()
        self._lines.opened(connection, now, out)
        return self._finish(now, out)

    def closed(self, connection: str, how: Closed) -> list[Output]:
        """A connection ended, or could not be opened."""
        now, out = self._begin()
        self._lines.closed(connection, how, now, out)
        return self._finish(now, out)

    def heard(self, connection: str) -> None:
        """The venue gave a sign of life that is no frame."""
        found = self._connections.get(connection)
        if found is not None:
            found.last = self._monotonic()

    def received(self, connection: str, frame: bytes) -> Sequence[Output]:
        """Take one frame (of valid UTF-8). This is the hot path, for a frame that begins with a live stream's name;
        all else is done elsewhere."""
        found = self._connections.get(connection)
        if found is None:
            return ()
        now = found.last = self._monotonic()
        received = self._wall_ms()
        found.frames += 1
        out: list[Output] = []
        begin = self._begin_name
        # By the bytes of the name, which stand at a fixed place: 0.2 us, where the search through the
        # venue's ``read`` took 0.6.
        stream = found.wired.get(frame[begin : frame.find(b'"', begin)])
        if (
            stream is None
            or stream.source is not found
            or stream.phase is not _LIVE
            or not frame.startswith(self._mark)
        ):
            self._read_slowly(found, frame, now, received, out)
            return out
        message: Message | None = None
        try:
            for message in stream.read(stream.name, frame):
                stream.last = now
                stream.frames += 1
                for feed in stream.feeds:
                    feed(message, now, received, out)
            if now >= self._skew.due and message is not None:
                self._sample(message, now)
        except Exception as error:  # whatever a venue sends, nothing may escape into the socket's callback
            self._bad_frame(found, error, frame, now, out)
        labels = self._labels.get(type(message), self._unread)
        self._messages[labels] += 1
        self._bytes[labels] += len(frame)
        if self._lines.touched:
            self._lines.advance(now, out)
        return out

    def _read_slowly(self, connection: Connection, frame: bytes, now: float, received: int, out: list[Output]) -> None:
        """Every frame that is not plain news of a live stream."""
        message: Message | None = None
        try:
            if not self._is_unwanted(connection, frame):
                for message in self._venue.read(connection.endpoint.key, frame):
                    self._take_slowly(connection, message, now, received, out)
        except Exception as error:  # as above
            self._bad_frame(connection, error, frame, now, out)
        labels = self._labels.get(type(message), self._unread)
        self._messages[labels] += 1
        self._bytes[labels] += len(frame)
        if self._moved:
            self._tell_moved(out)
        if self._lines.touched:
            self._lines.advance(now, out)

    def _is_unwanted(self, connection: Connection, frame: bytes) -> bool:
        """Whether the frame is of a stream that was dropped a moment ago, of which the venue has yet
        to hear: not worth reading."""
        mark = self._mark
        if not mark or not frame.startswith(mark):
            return False
        name = frame[len(mark) : frame.find(b'"', len(mark))]
        return name not in connection.wired and connection.has(name.decode(errors="replace"))

    def _take_slowly(
        self, connection: Connection, message: Message, now: float, received: int, out: list[Output]
    ) -> None:
        if isinstance(message, Ack | Pong | Restarting | Ignored):
            self._control(connection, message, now, out)
            return
        stream = connection.routes.get(message.stream)
        if stream is None:
            return
        if stream.source is not connection or stream.phase is not _LIVE:
            self._unusual(connection, stream, message, now, received, out)
        else:
            stream.deliver(message, now, received, out)
            if now >= self._skew.due:
                self._sample(message, now)

    def _tell_moved(self, out: list[Output]) -> None:
        """After the last message of a frame: several may make one value."""
        moved, self._moved = self._moved, []
        Stream.tell_all(moved, out)

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

    def dated(self, date_ms: int) -> None:
        """An HTTP answer of the venue's said what time it is there (ms, whole seconds)."""
        self._skew.dated(date_ms, self._wall_ms())

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
        due = min(self._beat_at, self._lines.due(), self._snapshots.due(), self._polls.due())
        return None if due == NEVER else due

    def _beat(self, now: float, out: list[Output]) -> None:
        self._roster.beat(now, self._desk.stale_after, out)
        self._ask_catalogue(now, out)
        self._wishes.beat(now, out)
        self._lines.beat(now, out)

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
        for stream in self._roster.streams.values():
            if stream.phase is Phase.SILENT and stream.since > asked and endpoints[stream.endpoint].market is market:
                return True
        tracks = [track for track in self._wishes.tracks.values() if track.topic.market is market]
        return any(track.halted_but_heard(asked) or track.delisted_for_long(asked, now) for track in tracks)

    def _begin(self) -> tuple[float, list[Output]]:
        return self._monotonic(), []

    def _finish(self, now: float, out: list[Output]) -> list[Output]:
        """After every input but a frame: do at once what may be done now."""
        self._polls.advance(now, out)
        self._snapshots.advance(now, out)
        self._lines.advance(now, out)
        busy = bool(self._wishes.tracks or self._lines.all)
        self._beat_at = NEVER if not busy else now + BEAT if self._beat_at == NEVER else self._beat_at
        return out

    # -- rare frames

    def _unusual(
        self, connection: Connection, stream: Stream, message: Message, now: float, received: int, out: list[Output]
    ) -> None:
        """A message that changes the stream's phase, or comes by a connection that does not count (yet) for the
        stream."""
        if not connection.good:
            self._lines.proved(connection, out)
        if stream.source is connection:
            connection.delivered(stream.name)
            if stream.take(message, now, received, out):
                self._moved.append(stream)
        elif stream.line is None or not stream.line.overlapping(connection, stream, message, now, received, out):
            self._duplicates.add(self._venue.id)

    def _control(self, connection: Connection, message: Message, now: float, out: list[Output]) -> None:
        if isinstance(message, Ack):
            self._lines.acked(connection, message, now, out)
        elif isinstance(message, Pong):
            self._lines.ponged(connection, now)
        elif isinstance(message, Restarting):
            self._lines.restarting(connection, now)
        else:
            self._errors.ignored()

    def _bad_frame(self, connection: Connection, error: Exception, frame: bytes, now: float, out: list[Output]) -> None:
        """An unreadable frame, or a number in it that cannot be computed with.
        The connection survives unless there are too many."""
        if self._errors.bad_frame(connection, error, frame, now) and connection.key in self._connections:
            self._lines.replace(connection, "poison", now, out)
            self._lines.touched = True

    def _sample(self, message: Message, now: float) -> None:
        """Four times a second: how far the venue's clock and the network are from us."""
        time = (
            message.fills[-1].time if isinstance(message, Trades) and message.fills else getattr(message, "time", None)
        )
        if time is None:
            self._skew.due = now + SAMPLE_AGAIN
        else:
            wall = self._clock.wall_ms()
            self._skew.sample(time, wall, now)
            self._delays.at(self._venue.id, type(message).__name__.lower()).observe((wall - time) / 1000)

    # -- reports

    @property
    def backoff(self) -> float:
        """Seconds until the last of the connections that wait for another attempt makes it; 0 if none waits."""
        return self._lines.backoff(self._monotonic())

    @property
    def pending_diffs(self) -> int:
        """Book frames that wait for a snapshot."""
        return sum(leg.book.pending for leg in legs_of(self._wishes.tracks.values()).values())

    def venue_ms(self) -> int:
        """Now in the venue's clock, as far as it is known (ms)."""
        return self._desk.venue_ms()

    @property
    def skew_ms(self) -> int:
        """The venue's clock minus ours, estimated."""
        return self._skew.ms

    def confirmed_at(self, topic: Topic) -> float | None:
        """When a frame last confirmed the topic's value; None before the first."""
        track = self._wishes.tracks.get(topic.upstream)
        return None if track is None else track.confirmed_at()

    def streams(self) -> list[StreamReport]:
        """Every upstream stream and poll."""
        now = self._monotonic()
        tracks = list(self._wishes.tracks.values())
        legs = legs_of(tracks)
        users = self._wishes.users()
        return [
            stream_report(self._venue.id, each, users.get(each, ()), legs, now) for each in self._roster.everything()
        ]

    def health(self) -> Health:
        """The venue at a glance."""
        return health(self._wishes.tracks.values(), self._roster, self._lines)
