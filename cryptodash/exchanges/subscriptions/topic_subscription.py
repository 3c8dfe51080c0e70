"""One wanted topic: the streams it has of its venue, and the status it last published.

``WantedTopics`` makes one per topic and tells it what happens; the kinds of topic differ only in the subclasses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Mapping, Sequence

from attrs import frozen

from cryptodash.core.checkpoints import TakeImage
from cryptodash.core.events import Cause, State, StreamStatus
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Bar, Message
from cryptodash.exchanges.adapter.plan import Part, Plan
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.subscriptions import freshness
from cryptodash.exchanges.subscriptions.book_audits import AuditedBook
from cryptodash.exchanges.subscriptions.streams import Streams

_UNTRADED = ("halted", "pre_open")
"""What is not open yet is as good as halted: there may be quotes of an auction, and nothing is traded at them."""


@frozen(eq=False)
class Basics:
    """What every subscription of a venue is given: where streams come from, the clock, and why a market's catalogue
    cannot be read, until it can."""

    streams: Streams
    clock: Clock
    unlisted: Mapping[MarketType, Cause]


@frozen
class BookCounts:
    """Where a book is (None: not synced, or its frames have no ids), how often it was lost and rebuilt, how often it
    was compared with a REST snapshot and was not the same, and whether it was so again after a rebuild."""

    sequence: int | None
    gaps: int
    resyncs: int
    audits: int = 0
    divergences: int = 0
    is_disputed: bool = False


class TopicSubscription(ABC):
    """What all kinds have in common. ``ended`` is the cause of a topic that is closed."""

    def __init__(self, topic: Topic, basics: Basics) -> None:
        self.topic = topic
        self.instrument: Instrument | None = None
        self.plan: Plan | None = None
        self.sources: dict[Part, tuple[Stream, ...]] = {}
        """The streams that bring each part."""
        self.valued = False
        self.ended: Cause | None = None
        self.ended_at = 0.0
        self.renamed: Symbol | None = None
        """What its instrument is called, where it has ended because that has another name now."""
        self.status: StreamStatus | None = None
        self._streams = basics.streams
        self._clock = basics.clock
        self._unlisted = basics.unlisted
        self._dropped = False

    # -- what is wanted of it

    @abstractmethod
    def open(self, plan: Plan, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        """Have the streams and polls of the plan."""

    @abstractmethod
    def close(self, now: float) -> None:
        """Give up every stream."""

    def watch(self, topic: Topic, clients: Sequence[str], now: float, out: list[Output]) -> bool:
        """Somebody wants this form of the topic (a book at some depth); whether that is new. ``clients`` as below."""
        return False

    def held(self, topic: Topic, clients: Sequence[str] | None, now: float, out: list[Output]) -> None:
        """Who holds this form of the topic now: a few of the clients; None: nobody, it lingers."""

    def unwatch(self, topic: Topic, now: float, out: list[Output]) -> bool:
        """Nobody wants this form any more; whether no other is left."""
        return True

    @property
    def depth(self) -> int:
        """The largest depth watched of a book; 0 for every other kind."""
        return 0

    def replan(self, plan: Plan, now: float, out: list[Output]) -> None:
        """What is watched has changed, and with it perhaps the plan."""

    def dropped(self) -> None:
        """Nobody wants it any more: no further status."""
        self._dropped = True

    def end(self, cause: Cause, now: float, renamed: Symbol | None = None) -> None:
        """The topic is closed; what has ended keeps its first cause. ``renamed``: its instrument has this name now."""
        self.renamed = renamed
        if self.ended is None:
            self.ended, self.ended_at = cause, now

    def streams(self) -> list[Stream]:
        """Its streams and polls, each once."""
        return list(dict.fromkeys(stream for each in self.sources.values() for stream in each))

    def images(self, unread: Container[str]) -> Sequence[TakeImage]:
        """The order books that are made here, each from a stream of its own, or the figures. ``unread``: connections of
        which something has come in that was not taken yet."""
        return ()

    # -- other topics of the same instrument

    @property
    def trade_stream(self) -> Stream | None:
        """A stream of trades that others may listen to."""
        return None

    @property
    def quote_id(self) -> int | None:
        """The update id of the newest best bid and ask it knows, to compare with the book's."""
        return None

    @property
    def traded_ms(self) -> int | None:
        """The venue's time (ms) of the newest trade it knows of, or one shortly before it: whoever shows trades of the
        instrument must have shown that one as well."""
        return None

    def joined(self, sibling: TopicSubscription, out: list[Output]) -> None:
        """Another topic of the same instrument is open as well."""

    def parted(self, sibling: TopicSubscription, out: list[Output]) -> None:
        """It is open no more."""

    # -- what comes

    def candles(self, bars: Sequence[Bar], received: int, out: list[Output]) -> None:
        """The bars it asked for by REST."""

    def candles_failed(self, out: list[Output]) -> None:
        """They cannot be had now."""

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second."""

    # -- how far it can be trusted

    def condition(self) -> freshness.Condition:
        """State and cause now."""
        if self.ended is not None:
            return State.CLOSED, self.ended
        if self.plan is None:
            return State.CONNECTING, self._unlisted.get(self.topic.market)
        if self.instrument is not None and self.instrument.status in _UNTRADED:
            return State.STALE, Cause.HALTED
        return self.streams_condition()

    def streams_condition(self) -> freshness.Condition:
        """What the streams say."""
        required = self.plan.required if self.plan is not None else ()
        return freshness.of_topic(self.sources, required, self.valued)

    def stream_condition(self, stream: Stream) -> freshness.Condition | None:
        """How far one of its streams can be trusted, where it knows better than the stream itself."""
        return None

    def book_counts(self, stream: Stream) -> BookCounts | None:
        """What became of the book that is made from this stream."""
        return None

    def audited(self, now: float) -> AuditedBook | None:
        """Its book, where it has one that may be compared with a REST snapshot now."""
        return None

    @property
    def pending_diffs(self) -> int:
        """Book frames that wait for a snapshot."""
        return 0

    def fields(self) -> tuple[str, ...]:
        """Stale parts, for a ticker."""
        return ()

    def confirmed_at(self) -> float | None:
        """When the value was last confirmed: for each required part the newest of its streams, of these the oldest."""
        required = self.plan.required if self.plan is not None else frozenset()
        return self.parts_confirmed_at([each for each in self.sources if each in required or not required])

    def as_of(self) -> float | None:
        """For when the value holds while it is good, by what else comes on the connections of its required parts: for
        each the newest of its streams, of these the oldest. None before the first value."""
        required = self.plan.required if self.plan is not None else frozenset()
        newest = [
            max((at for each in streams if (at := each.as_of()) is not None), default=None)
            for part, streams in self.sources.items()
            if part in required or not required
        ]
        known = [each for each in newest if each is not None]
        return min(known) if self.valued and known and len(known) == len(newest) else None

    def parts_confirmed_at(self, parts: Iterable[Part]) -> float | None:
        """When the oldest of these parts was last confirmed; None where one never was."""
        newest = [self.part_confirmed_at(each) for each in parts]
        known = [each for each in newest if each is not None]
        return min(known) if known and len(known) == len(newest) else None

    def part_confirmed_at(self, part: Part) -> float | None:
        """When one part was last confirmed by a stream that brings it."""
        times = (each.confirmed_at() for each in self.sources[part])
        return max((each for each in times if each is not None), default=None)

    def halted_but_heard(self, since: float) -> bool:
        """Whether the catalogue calls the instrument halted although a frame has come since."""
        if self.instrument is None or self.instrument.status not in _UNTRADED:
            return False
        return any(each.last is not None and each.last > since for streams in self.sources.values() for each in streams)

    def delisted_for_long(self, since: float, now: float) -> bool:
        """Whether a delisted instrument may be listed again: worth a look after ever longer pauses, each as long as all
        before it."""
        return self.ended is Cause.DELISTED and now - since >= since - self.ended_at

    def stream_changed(self, out: list[Output]) -> None:
        """A stream's phase or cause changed."""
        self.refresh(out)

    def first_value(self, out: list[Output]) -> None:
        """A value is known from now on, and has been told: the status that says so comes after it."""
        self.valued = True
        self.refresh(out)

    def refresh(self, out: list[Output]) -> None:
        """Publish the status if it has changed."""
        if self._dropped:
            return
        self._record()
        state, cause = self.condition()
        fields = self.fields()
        last, renamed = self.status, self.renamed if state is State.CLOSED else None
        if (
            last is None
            or last.state is not state
            or last.cause is not cause
            or last.fields != fields
            or last.renamed != renamed
        ):
            self.status = StreamStatus(self.topic, state, cause, fields, self._clock.wall_ms(), renamed)
            out.append(self.status)

    def _record(self) -> None:
        """Let the ledger know how its streams are."""
        for stream in self.streams():
            condition = self.stream_condition(stream)
            if condition is None and stream.judge is None:
                condition = freshness.of_stream(stream, stream.last is not None)
            if condition is not None:
                stream.record.changed(*condition)


class MessageSubscription(TopicSubscription):
    """A topic that takes its streams' messages itself: every kind but the order book, whose frames go to its books."""

    @abstractmethod
    def take(self, message: Message, now: float, received: int, out: list[Output]) -> bool | None:
        """Take one message of one of the streams, which came at ``received`` (our wall clock, ms); True where it was
        dropped."""

    def open(self, plan: Plan, instrument: Instrument | None, now: float, out: list[Output]) -> None:
        self.plan, self.instrument = plan, instrument
        for spec in plan.streams:
            self._add_source(spec.parts, self._streams.open(spec, self, now, out))
        for poll in plan.polls:
            self._add_source(poll.parts, self._streams.open_poll(poll, self, now, out))

    def close(self, now: float) -> None:
        self.plan = None
        for stream in self.streams():
            self._streams.leave(stream, self, now)
        self.sources.clear()

    def _add_source(self, parts: frozenset[Part], stream: Stream) -> None:
        for part in sorted(parts):
            self.sources[part] = (*self.sources.get(part, ()), stream)
