"""The composite market as a source of topics: what the hub asks of it, and what it hears of its constituents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import ITopicSource, IUpstream
from cryptodash.core.quote_aliases import QuoteAliases
from cryptodash.core.topics import COMPOSITE, Channel, Topic
from cryptodash.hub.composite import CompositeBbo
from cryptodash.hub.composite_catalogue import CompositeCatalogue
from cryptodash.hub.composite_topics import DerivedBbo, DerivedBook, DerivedTopic, Sources
from cryptodash.hub.paces import AT_ONCE

CHANNELS: Final = (Channel.BBO, Channel.ORDER_BOOK)
LOOK_EVERY: Final = 0.25
"""Seconds between two looks at whether time alone has changed who counts."""

T = TypeVar("T")
_log = Logger(namespace="cryptodash.hub.composite_source")


@implementer(ITopicSource)
class CompositeSource:
    """``venues`` may grow until the server starts. ``stop`` leaves no timer behind."""

    def __init__(
        self, venues: Mapping[str, IUpstream], aliases: QuoteAliases, sources: Sources, scheduler: IReactorTime
    ) -> None:
        self.exchange = COMPOSITE
        self.catalogue = CompositeCatalogue(venues)
        self.users: dict[Topic, dict[DerivedTopic, None]] = {}
        """By constituent (of a book: the venue's book) what is made of it; empty while nothing is wanted."""
        self._venues = venues
        self._aliases = aliases
        self._sources = sources
        self._scheduler = scheduler
        self._topics: dict[Topic, DerivedTopic] = {}
        self._books: dict[Topic, dict[DerivedTopic, None]] = {}
        """By book the depths that are wanted of it."""
        self._listed: dict[Topic, dict[str, Topic]] = {}
        """Of each wanted topic the constituents that a venue has listed: they stay when they are delisted."""
        self._to_look_at: list[DerivedTopic] = []
        self._timer: IDelayedCall | None = None

    # -- ITopicSource

    @property
    def source(self) -> str:
        """What its venues have in common, else ``custom``."""
        sources = {each.source for each in self._venues.values()}
        return sources.pop() if len(sources) == 1 else "custom"

    @property
    def markets(self) -> tuple[MarketType, ...]:
        traded = {market for venue in self._venues.values() for market in venue.markets}
        return tuple(market for market in MarketType if market in traded)

    def intervals(self, market: MarketType) -> Sequence[str]:
        return ()

    def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
        new: list[Topic] = []
        for topic in topics:
            if topic not in self._topics:
                kind = DerivedBook if topic.channel is Channel.ORDER_BOOK else DerivedBbo
                derived = self._topics[topic] = kind(topic, self._sources)
                self._books.setdefault(topic.upstream, {})[derived] = None
                new.append(topic)
        self.replan(new)
        self._arm()

    def drop(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            derived = self._topics.pop(topic, None)
            if derived is not None:
                derived.stop()
                self._unuse(derived)
                self._listed.pop(topic, None)
                del self._books[topic.upstream][derived]
                if not self._books[topic.upstream]:
                    del self._books[topic.upstream]

    def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
        """Turns are those of the constituents."""

    def streams_of(self, topic: Topic) -> int | None:
        """None of its own."""
        return 0

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        derived = self._topics.get(topic)
        if isinstance(derived, DerivedBook):
            derived.pace(intervals)

    def confirmed_at(self, topic: Topic) -> float | None:
        """As of the oldest constituent that counts."""
        derived = next(iter(self._books.get(topic.upstream, ())), None)
        return None if derived is None else derived.age_base()

    def as_of(self, topic: Topic) -> float | None:
        return self.confirmed_at(topic)

    # -- constituents

    def parts_of(self, topic: Topic) -> dict[str, Topic]:
        """By venue, the topic that it puts in: of the very symbol, else of one that an alias lets stand in its place. A
        venue whose catalogue was not read yet is taken to have it; one that lists it no more keeps its place."""
        found = ((exchange, self._part_of(topic, exchange)) for exchange in self._venues)
        return {exchange: part for exchange, part in found if part is not None}

    def _part_of(self, topic: Topic, exchange: str) -> Topic | None:
        venue, market = self._venues[exchange], topic.market
        if market not in venue.markets:
            return None
        catalogue = venue.catalogue
        for symbol in self._aliases.of(topic.symbol):
            if catalogue.get(market, symbol) is not None:
                return Topic(exchange, market, symbol, topic.channel, depth=topic.depth)
        if not catalogue.loaded(market):
            return Topic(exchange, market, topic.symbol, topic.channel, depth=topic.depth)
        return self._listed.get(topic, {}).get(exchange)

    def concerned(self, exchange: str, market: MarketType) -> list[Topic]:
        """The wanted topics that are made of others now that this venue's catalogue has changed: mostly few, so that
        the rest costs one look each."""
        concerned: list[Topic] = []
        if exchange not in self._venues:
            return concerned
        for topic, derived in self._topics.items():
            if topic.market is not market:
                continue
            part = self._part_of(topic, exchange)
            if part is None:
                is_same = all(each.exchange != exchange for each in derived.parts)
            else:
                is_same = part in derived.parts
            if not is_same:
                concerned.append(topic)
            elif part is not None and self._venues[exchange].catalogue.loaded(market):
                self._listed[topic][exchange] = part
        return concerned

    def replan(self, topics: Iterable[Topic]) -> None:
        """Their constituents may have changed: of a book for all depths that are named here at once."""
        self._make([derived for topic in topics if (derived := self._topics.get(topic)) and self._plan(derived)])

    def _plan(self, derived: DerivedTopic) -> bool:
        """Whether its constituents are others now."""
        topic = derived.topic
        parts = self.parts_of(topic)
        if derived.parts == tuple(parts.values()) and topic in self._listed:
            self._note_listed(topic, parts)
            return False
        self._unuse(derived)
        derived.parts = tuple(parts.values())
        self._note_listed(topic, parts)
        for part in derived.parts:
            self.users.setdefault(part.upstream, {})[derived] = None
        return True

    def took(self, part: Topic, interval: int = 0) -> None:
        """A constituent has a new value."""
        for derived in self.users.get(part.upstream, ()):
            derived.take(part, interval)

    def changed(self, part: Topic) -> None:
        """A constituent has another status: that counts at once."""
        self._make(self.users.get(part.upstream, ()))

    def _make(self, some: Iterable[DerivedTopic]) -> None:
        """Make these, and with them the other depths of their books, if others count there now: all depths share one
        status, which must not be told to one that has still to be emptied, or filled."""
        made = dict.fromkeys(some)
        for derived in tuple(made):
            for other in self._books[derived.topic.upstream]:
                if other not in made and self._try(other, _is_outdated):
                    made[other] = None
        for derived in made:
            self._try(derived, _make_value)
        for derived in made:
            self._try(derived, _tell_status)

    @staticmethod
    def _try(derived: DerivedTopic, do: Callable[[DerivedTopic], T]) -> T | None:
        """A fault of ours in one must not hold up the others."""
        try:
            return do(derived)
        except Exception:
            _log.failure("{topic} cannot be made", topic=derived.topic)
            return None

    def bbo(self, topic: Topic, exchanges: frozenset[str] | None = None) -> CompositeBbo | None:
        """The best bid and offer of a wanted topic as it is now, of these venues only where some are named."""
        derived = self._topics.get(topic)
        return derived.current(exchanges) if isinstance(derived, DerivedBbo) else None

    def is_settled(self, topic: Topic) -> bool:
        """Whether no venue of a wanted topic is just being connected to."""
        derived = self._topics.get(topic)
        return derived is None or derived.is_settled

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sources.paces.stop()

    def _note_listed(self, topic: Topic, parts: Mapping[str, Topic]) -> None:
        self._listed[topic] = {
            exchange: part for exchange, part in parts.items() if self._venues[exchange].catalogue.loaded(topic.market)
        }

    def _unuse(self, derived: DerivedTopic) -> None:
        for part in derived.parts:
            users = self.users[part.upstream]
            users.pop(derived, None)
            if not users:
                del self.users[part.upstream]

    # -- time

    def _arm(self) -> None:
        if self._timer is None and self._topics:
            self._timer = self._scheduler.callLater(0 if self._to_look_at else LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._to_look_at:
            self._to_look_at = list(self._topics.values())
        slice_, self._to_look_at = self._to_look_at[:AT_ONCE], self._to_look_at[AT_ONCE:]
        for derived in slice_:
            if self._topics.get(derived.topic) is derived and self._try(derived, _is_outdated):
                self._make([derived])
        self._arm()


def _is_outdated(derived: DerivedTopic) -> bool:
    return derived.is_outdated()


def _make_value(derived: DerivedTopic) -> None:
    derived.make_value()


def _tell_status(derived: DerivedTopic) -> None:
    derived.tell_status()
