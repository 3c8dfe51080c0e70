"""What is wanted: topics become subscriptions, get their streams from the venue's plan, and lose them when nobody wants
them any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import evolve

from cryptodash.core.errors import CryptodashError
from cryptodash.core.events import Cause
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.intervals import INTERVALS
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.plan import Plan
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Output
from cryptodash.exchanges.subscriptions.kinds import MakeSubscription
from cryptodash.exchanges.subscriptions.streams import Streams
from cryptodash.exchanges.subscriptions.topic_subscription import TopicSubscription

_SIBLINGS = (
    *((channel, "") for channel in (Channel.TICKER, Channel.BBO, Channel.TRADE, Channel.ORDER_BOOK)),
    *((Channel.CANDLE, interval) for interval in INTERVALS),
)
"""Topics of one instrument that know of each other (channel, interval): a trade stream gives the ticker its ``last``;
quotes show whether the book keeps up; trades and candles of every interval show whether each other do."""


class WantedTopics:
    """The subscriptions of one venue, by upstream topic. ``make`` makes one of the right kind."""

    def __init__(
        self,
        venue: IVenue,
        catalogue: Catalogue,
        streams: Streams,
        make: MakeSubscription,
        unlisted: dict[MarketType, Cause],
    ) -> None:
        """``unlisted``: why a market's catalogue cannot be read, until it can."""
        self.subscriptions: dict[Topic, TopicSubscription] = {}
        self._venue = venue
        self._catalogue = catalogue
        self._streams = streams
        self._make = make
        self._unlisted = unlisted

    def want(self, topic: Topic, clients: Sequence[str], now: float, out: list[Output]) -> None:
        """Somebody wants the topic: these clients (a few of them), where they are known."""
        subscription = self.subscriptions.get(topic.upstream)
        if subscription is None:
            subscription = self.subscriptions[topic.upstream] = self._make(topic.upstream)
            subscription.watch(topic, clients, now, out)
            self._start(subscription, now, out)
        elif subscription.watch(topic, clients, now, out):
            self._replan(subscription, now, out)

    def held(self, topic: Topic, clients: Sequence[str] | None, now: float, out: list[Output]) -> None:
        """Other clients hold a wanted topic now; None: nobody, it lingers."""
        subscription = self.subscriptions.get(topic.upstream)
        if subscription is not None:
            subscription.held(topic, clients, now, out)

    def drop(self, topic: Topic, now: float, out: list[Output]) -> None:
        """Nobody wants the topic any more."""
        subscription = self.subscriptions.get(topic.upstream)
        if subscription is None:
            return
        if not subscription.unwatch(topic, now, out):
            self._replan(subscription, now, out)
            return
        del self.subscriptions[topic.upstream]
        subscription.dropped()
        self._stop(subscription, now, out)

    def catalogue_changed(self, market: MarketType, now: float, out: list[Output]) -> None:
        """The market's instruments were read (again)."""
        self._unlisted.pop(market, None)
        anew: list[TopicSubscription] = []
        for subscription in self.of_market(market):
            if subscription.plan is None:
                self._start(subscription, now, out)
            elif not subscription.topic.is_sweep and self._compare(subscription, now, out):
                anew.append(subscription)
        # All streams of an instrument end before one of them begins: a stream that is shared would go on as it was.
        for subscription in anew:
            self._stop(subscription, now, out)
        for subscription in anew:
            self._start(subscription, now, out)

    def catalogue_failed(self, market: MarketType, cause: Cause, out: list[Output]) -> None:
        """The market's instruments could not be read: topics that wait for them say why."""
        self._unlisted[market] = cause
        for subscription in self.of_market(market):
            if subscription.plan is None:
                subscription.refresh(out)

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second."""
        for subscription in list(self.subscriptions.values()):
            subscription.beat(now, out)

    def of_market(self, market: MarketType) -> list[TopicSubscription]:
        """The subscriptions of one market."""
        return [each for each in self.subscriptions.values() if each.topic.market is market]

    # -- a subscription and its streams

    def _start(self, subscription: TopicSubscription, now: float, out: list[Output]) -> None:
        """Plan the topic if its instrument is known; say where it stands."""
        topic = subscription.topic
        if topic.is_sweep:
            self._open(subscription, None, now, out)
        elif self._catalogue.loaded(topic.market):
            instrument = self._catalogue.get(topic.market, topic.symbol)
            # What has the symbol of a renamed instrument is another one: who has held that must not be shown this.
            if subscription.renamed is None or _is_same(subscription.instrument, instrument):
                self._open_listed(subscription, instrument, now, out)
        subscription.refresh(out)

    def _open_listed(
        self, subscription: TopicSubscription, instrument: Instrument | None, now: float, out: list[Output]
    ) -> None:
        """Open the topic of an instrument, as far as that is listed."""
        topic = subscription.topic
        if instrument is None or instrument.status == "delisted":
            renamed = self._catalogue.renamed(topic.market, topic.symbol)
            is_known = instrument is not None or renamed is not None
            subscription.end(Cause.DELISTED if is_known else Cause.REJECTED, now, renamed)
        else:
            self._open(subscription, instrument, now, out)

    def _open(
        self, subscription: TopicSubscription, instrument: Instrument | None, now: float, out: list[Output]
    ) -> None:
        plan = self._plan(subscription, instrument)
        subscription.ended = Cause.REJECTED if plan is None else None
        if plan is None:
            return
        subscription.open(plan, instrument, now, out)
        for sibling in self._siblings(subscription):
            subscription.joined(sibling, out)
            sibling.joined(subscription, out)

    def _plan(self, subscription: TopicSubscription, instrument: Instrument | None) -> Plan | None:
        try:
            plan = self._venue.plan(subscription.topic, instrument, subscription.depth)
        except CryptodashError:
            return None
        if instrument is None or not instrument.keeps_hours:
            return plan
        return evolve(plan, streams=tuple(evolve(each, keeps_hours=True) for each in plan.streams))

    def _replan(self, subscription: TopicSubscription, now: float, out: list[Output]) -> None:
        """What is watched of a running topic has changed."""
        plan = None if subscription.plan is None else self._plan(subscription, subscription.instrument)
        if plan is not None:
            subscription.replan(plan, now, out)

    def _stop(self, subscription: TopicSubscription, now: float, out: list[Output]) -> None:
        """Give up every stream of the topic."""
        for sibling in self._siblings(subscription):
            sibling.parted(subscription, out)
        subscription.close(now)

    def _compare(self, subscription: TopicSubscription, now: float, out: list[Output]) -> bool:
        """The catalogue may tell that a running topic's instrument is gone, or has another name, or is halted, or
        trades again; whether its streams must be begun anew."""
        topic, before = subscription.topic, subscription.instrument
        instrument = self._catalogue.get(topic.market, topic.symbol)
        renamed = self._renamed(topic, before, instrument)
        if instrument is None or instrument.status == "delisted" or renamed is not None:
            subscription.end(Cause.DELISTED, now, renamed)
            self._stop(subscription, now, out)
        elif before is not None and _begins_anew(before, instrument):
            return True
        else:
            subscription.instrument = instrument
            for stream in subscription.streams():
                self._streams.retry(stream, now, out)
        subscription.refresh(out)
        return False

    def _renamed(self, topic: Topic, before: Instrument | None, now: Instrument | None) -> Symbol | None:
        """By which symbol the topic's instrument is listed now, if that is another one."""
        if now is None:
            return self._catalogue.renamed(topic.market, topic.symbol)
        found = None if before is None else self._catalogue.listed(topic.market).get(before.native)
        return None if found is None or found.symbol == topic.symbol or now.native == found.native else found.symbol

    def _siblings(self, subscription: TopicSubscription) -> Iterable[TopicSubscription]:
        """The other open topics of the instrument."""
        topic = subscription.topic
        if topic.is_sweep:
            return ()
        found = (self.subscriptions.get(topic.sibling(channel, interval=each)) for channel, each in _SIBLINGS)
        return [each for each in found if each is not None and each is not subscription and each.plan is not None]


def _is_same(before: Instrument | None, now: Instrument | None) -> bool:
    """Whether two listings are of one instrument, as far as the venue's names for it tell."""
    if before is None or now is None:
        return False
    return before.native == now.native or (before.venue_id != "" and before.venue_id == now.venue_id)


def _begins_anew(before: Instrument, now: Instrument) -> bool:
    """Whether an instrument's streams are named, or read, by something that has changed."""
    then = before.native, before.contract_size, before.alias_of, before.other_names
    return then != (now.native, now.contract_size, now.alias_of, now.other_names)
