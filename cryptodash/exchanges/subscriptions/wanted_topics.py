"""What is wanted: topics become tracks, tracks get their streams from the venue's plan,
and lose them when nobody wants them any more."""

from __future__ import annotations

from cryptodash.core.errors import CryptodashError
from cryptodash.core.events import Cause
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.venue import Part, Plan, StreamSpec
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.subscriptions.book_subscription import BookStream, BookSubscription
from cryptodash.exchanges.subscriptions.desk import Desk
from cryptodash.exchanges.subscriptions.snapshot_queue import SnapshotQueue
from cryptodash.exchanges.subscriptions.streams import Streams, User
from cryptodash.exchanges.subscriptions.topic_subscription import (
    CandleSubscription,
    MessageSubscription,
    SweepSubscription,
    TickerSubscription,
    TopicSubscription,
    TradeSubscription,
)


class WantedTopics:
    """The tracks of one venue, by upstream topic."""

    def __init__(self, desk: Desk, roster: Streams, snapshots: SnapshotQueue) -> None:
        self.tracks: dict[Topic, TopicSubscription] = {}
        self._desk = desk
        self._roster = roster
        self._snapshots = snapshots
        self._users: dict[TopicSubscription | BookStream, User] = {}

    # -- wishes

    def want(self, topic: Topic, now: float, out: list[Output]) -> None:
        """Somebody wants the topic."""
        track = self.tracks.get(topic.upstream)
        if track is None:
            track = self.tracks[topic.upstream] = self._new(topic.upstream)
            if isinstance(track, BookSubscription):
                track.depths.add(topic.depth)
            self._start(track, now, out)
        elif isinstance(track, BookSubscription) and topic.depth not in track.depths:
            track.depths.add(topic.depth)
            self._rewatch(track, now, out)

    def drop(self, topic: Topic, now: float, out: list[Output]) -> None:
        """Nobody wants the topic any more."""
        track = self.tracks.get(topic.upstream)
        if track is None:
            return
        if isinstance(track, BookSubscription):
            track.depths.discard(topic.depth)
            if track.depths:
                self._rewatch(track, now, out)
                return
        del self.tracks[topic.upstream]
        track.dropped = True
        self._stop(track, now, out)

    def catalogue_changed(self, market: MarketType, now: float, out: list[Output]) -> None:
        """The market's instruments were read (again)."""
        self._desk.unlisted.pop(market, None)
        for track in list(self.tracks.values()):
            if track.topic.market is not market:
                continue
            if track.plan is None:
                self._start(track, now, out)
            elif not track.topic.is_sweep:
                self._compare(track, now, out)

    def catalogue_failed(self, market: MarketType, cause: Cause, out: list[Output]) -> None:
        """The market's instruments could not be read: topics that wait for them say why."""
        self._desk.unlisted[market] = cause
        for track in list(self.tracks.values()):
            if track.topic.market is market and track.plan is None:
                track.refresh(out)

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second."""
        for track in list(self.tracks.values()):
            track.beat(now, out)

    def users(self) -> dict[Stream, list[TopicSubscription]]:
        """Who owns each stream."""
        found: dict[Stream, list[TopicSubscription]] = {}
        for track in self.tracks.values():
            for stream in _streams(track):
                found.setdefault(stream, []).append(track)
        return found

    # -- tracks and their streams

    def _new(self, topic: Topic) -> TopicSubscription:
        if topic.is_sweep:
            return SweepSubscription(topic, self._desk)
        if topic.channel is Channel.TICKER:
            return TickerSubscription(topic, self._desk)
        if topic.channel is Channel.TRADE:
            return TradeSubscription(topic, self._desk)
        if topic.channel is Channel.CANDLE:
            return CandleSubscription(topic, self._desk)
        return BookSubscription(topic, self._desk, self._snapshots, self._retire)

    def _start(self, track: TopicSubscription, now: float, out: list[Output]) -> None:
        """Plan the topic if its instrument is known; say where it stands."""
        topic = track.topic
        if topic.is_sweep:
            self._open(track, None, now, out)
        elif self._desk.catalogue.loaded(topic.market):
            instrument = self._desk.catalogue.get(topic.market, topic.symbol)
            if instrument is None or instrument.status == "delisted":
                self._end(track, Cause.REJECTED if instrument is None else Cause.DELISTED, now)
            else:
                self._open(track, instrument, now, out)
        track.refresh(out)

    def _end(self, track: TopicSubscription, cause: Cause, now: float) -> None:
        """The topic is closed; what has ended keeps its first cause."""
        if track.ended is None:
            track.ended, track.ended_at = cause, now

    def _open(self, track: TopicSubscription, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        plan = self._plan(track, instrument)
        track.ended = Cause.REJECTED if plan is None else None
        if plan is None:
            return
        track.plan, track.instrument = plan, instrument
        if isinstance(track, BookSubscription):
            self._open_leg(track, _book_spec(plan), now, out)
        elif isinstance(track, MessageSubscription):
            user = self._users[track] = User(track.feed, track.stream_changed)
            for spec in plan.streams:
                self._add_source(track, spec.parts, self._roster.open(spec, user, now, out))
            for poll in plan.polls:
                self._add_source(track, poll.parts, self._roster.open_poll(poll, user, now))
        self._introduce(track, out)

    def _plan(self, track: TopicSubscription, instrument: Instrument | None) -> Plan | None:
        depth = track.depth if isinstance(track, BookSubscription) else 0
        try:
            return self._desk.venue.plan(track.topic, instrument, depth)
        except CryptodashError:
            return None

    def _add_source(self, track: TopicSubscription, parts: frozenset[Part], stream: Stream) -> None:
        for part in sorted(parts):
            track.sources[part] = (*track.sources.get(part, ()), stream)

    def _stop(self, track: TopicSubscription, now: float, out: list[Output]) -> None:
        """Give up every stream of the track."""
        track.plan = None
        self._part(track, out)
        if isinstance(track, BookSubscription):
            for leg in track.legs():
                self._retire(leg, now)
        else:
            user = self._users.pop(track, None)
            if user is not None:
                for stream in _streams(track):
                    self._roster.leave(stream, user, now)
        track.sources.clear()

    def _retry(self, track: TopicSubscription, now: float, out: list[Output]) -> None:
        """Another chance for what the venue rejected."""
        for stream in _streams(track):
            self._roster.retry(stream, now, out)

    def _compare(self, track: TopicSubscription, now: float, out: list[Output]) -> None:
        """The catalogue may tell that a running topic's instrument is gone, or halted, or trades again."""
        instrument = self._desk.catalogue.get(track.topic.market, track.topic.symbol)
        if instrument is None or instrument.status == "delisted":
            self._end(track, Cause.DELISTED, now)
            self._stop(track, now, out)
        else:
            track.instrument = instrument
            self._retry(track, now, out)
        track.refresh(out)

    # -- books: one stream per tier

    def _open_leg(self, track: BookSubscription, spec: StreamSpec, now: float, out: list[Output]) -> None:
        leg = track.new_leg(spec)
        user = self._users[leg] = User(leg.feed, leg.stream_changed)
        leg.stream = self._roster.open(spec, user, now, out)
        if leg is track.leg:
            track.sources[Part.BOOK] = (leg.stream,)

    def _rewatch(self, track: BookSubscription, now: float, out: list[Output]) -> None:
        """Other depths are watched: the same stream goes on, or one of another tier is made live
        before this one is dropped."""
        plan = None if track.plan is None else self._plan(track, track.instrument)
        if plan is None or track.leg is None:
            return
        track.plan = plan
        spec = _book_spec(plan)
        if track.next_leg is not None and track.next_leg.spec != spec:
            self._retire(track.next_leg, now)
        track.watch()
        if track.leg.spec != spec and track.next_leg is None:
            self._open_leg(track, spec, now, out)

    def _retire(self, leg: BookStream, now: float) -> None:
        """Give a leg's stream up."""
        leg.track.forget(leg)
        user = self._users.pop(leg, None)
        if user is not None and leg.stream is not None:
            self._roster.leave(leg.stream, user, now)
        if leg.track.leg is not None and leg.track.leg.stream is not None:
            leg.track.sources[Part.BOOK] = (leg.track.leg.stream,)

    # -- topics of one instrument that know of each other

    def _introduce(self, track: TopicSubscription, out: list[Output]) -> None:
        """A trade stream gives the ticker its ``last``; the ticker's quotes show whether the book keeps up."""
        ticker, trades, book = self._family(track)
        if ticker is None or ticker.plan is None:
            return
        if trades is not None and trades.plan is not None:
            stream = _streams(trades)[0]
            self._roster.lend(stream, self._users[ticker])
            ticker.follow(stream, out)
        if book is not None:
            book.ticker = ticker

    def _part(self, track: TopicSubscription, out: list[Output]) -> None:
        """One of them leaves."""
        ticker, trades, book = self._family(track)
        if isinstance(track, TickerSubscription):
            ticker = track
        if isinstance(track, TradeSubscription):
            trades = track
        if ticker is not None and trades is not None and ticker in self._users:
            for stream in _streams(trades):
                self._roster.unlend(stream, self._users[ticker])
            ticker.follow(None, out)
        if book is not None and ticker is track:
            book.ticker = None

    def _family(
        self, track: TopicSubscription
    ) -> tuple[TickerSubscription | None, TradeSubscription | None, BookSubscription | None]:
        if track.topic.is_sweep:
            return None, None, None
        ticker, trades, book = (
            self.tracks.get(track.topic.sibling(each)) for each in (Channel.TICKER, Channel.TRADE, Channel.ORDER_BOOK)
        )
        return (
            ticker if isinstance(ticker, TickerSubscription) else None,
            trades if isinstance(trades, TradeSubscription) else None,
            book if isinstance(book, BookSubscription) else None,
        )


def _streams(track: TopicSubscription) -> list[Stream]:
    """The track's streams, each once (a candidate of another tier included)."""
    streams = [stream for each in track.sources.values() for stream in each]
    if isinstance(track, BookSubscription):
        streams += [leg.stream for leg in track.legs() if leg.stream is not None]
    return list(dict.fromkeys(streams))


def _book_spec(plan: Plan) -> StreamSpec:
    return next(each for each in plan.streams if Part.BOOK in each.parts)
