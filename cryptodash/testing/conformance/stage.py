"""A venue's service and the simulator of its dialect, in memory and under one clock, and what the service shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import txaio
from attrs import evolve
from zope.interface import implementer

from cryptodash.core.config import Config
from cryptodash.core.events import Bbo, BookView, Candle, Cause, Event, Level, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.interfaces import IInlet
from cryptodash.core.tally import Counter, Histogram, Tally
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.venue import Hosts
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.service import VenueService
from cryptodash.simulator.faults import FAULTS as KINDS
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.server import Simulator
from cryptodash.testing.conformance.evidence import Evidence
from cryptodash.testing.conformance.facts import Facts
from cryptodash.testing.conformance.failure import require, shown
from cryptodash.testing.conformance.plain import plain
from cryptodash.testing.network import MemoryNetwork

STEP = 1 / 16
"""Seconds; a sum of them is exact in binary, so that a timer is never late by a rounding error."""
LATENCY = 0.06
STALE_AFTER = 2.5
PATIENCE_MS = 5_000
"""How old a book may be that is shown as live: silence is told after ``STALE_AFTER`` and a look or two."""
BEGIN_WITHIN = 75.0
"""Seconds. A bar that is made of trades is live with the minute that begins next."""
DEPTH = 20
EVERY_MS = 100
"""The pace of the books that are compared."""

Levels = list[tuple[Decimal, Decimal]]


class Past:
    """The book of one simulated instrument as it was after each step of the last seconds."""

    def __init__(self, instrument: SimulatedInstrument) -> None:
        self._instrument = instrument
        self._id: int | None = None
        self._states: deque[tuple[int, Levels, Levels]] = deque()

    def look(self, now: int) -> None:
        """Note how it is."""
        if self._id != self._instrument.update_id:
            self._id = self._instrument.update_id
            spec = self._instrument.spec
            bids, asks = (
                [(Decimal(spec.price(price)), Decimal(spec.size(size))) for price, size in side]
                for side in self._instrument.book.levels(DEPTH)
            )
            self._states.append((now, bids, asks))
        while len(self._states) > 1 and self._states[1][0] < now - PATIENCE_MS:
            self._states.popleft()  # the first that is kept was still true at the beginning of the patience

    def was(self, bids: Levels, asks: Levels) -> bool:
        """Whether the book began so at any time of late."""
        return any(each[: len(bids)] == bids and other[: len(asks)] == asks for _, each, other in self._states)


@implementer(IInlet)
class Stage:
    """The service of a venue, its simulator, and what is shown. ``wrong`` is what was shown as live and was not so."""

    def __init__(self, evidence: Evidence, *, compare: bool = False) -> None:
        """``compare``: whether trades, quotes and closed bars are compared with the simulator's, too."""
        venue = evidence.venue
        self.exchange = venue.id
        self.network = MemoryNetwork()
        self.network.latency = LATENCY
        self.simulator = Simulator(self.network, self.network, seed=evidence.seed, exchanges=[venue.id], record=True)
        self.simulator.startService()
        urls = self.simulator.base_urls
        hosts = {market: Hosts(*urls[venue.id, market]) for market in venue.markets}
        config = evolve(Config(), stale_after_s=STALE_AFTER)
        self.instruments = {market: self._instrument(evidence, market) for market in venue.markets}
        self.wrong: list[str] = []
        self.causes: set[Cause | None] = set()
        """Everything that was told of any topic."""
        self.bad: list[str] = []
        """Each time that a topic was told to be in trouble, and why."""
        self.compare = compare
        self.tally = Tally()
        self._pasts: dict[MarketType, Past] = {}
        self._facts: dict[MarketType, Facts] = {}
        self._views: dict[Topic, BookView] = {}
        self._statuses: dict[Topic, StreamStatus] = {}
        self._timers = PublishTimers(self.network)
        self._follow()
        network: Any = self.network
        self.service = VenueService(
            venue, config, hosts, "simulated", self, network, network, Random(evidence.seed), self.tally, self._timers
        )
        self.service.startService()
        self.topics = [topic for each in self.instruments.values() for topic in topics_of(evidence, each)]
        self.service.want(self.topics)
        for topic in self.topics:
            if topic.channel is Channel.ORDER_BOOK:
                self.service.pace(topic, [EVERY_MS])

    def _instrument(self, evidence: Evidence, market: MarketType) -> Instrument:
        """The first of the author's instruments that the simulator trades, too."""
        for each in evidence.of_market(market):
            try:
                self.simulator.truth.instrument(self.exchange, market, each.symbol)
            except KeyError:
                continue
            return each
        traded = ", ".join(f"{spec.base}-{spec.quote}" for spec in self.simulator.markets[self.exchange, market].specs)
        require(False, f"the simulator trades none of Evidence.instruments of {market}: it has {traded[:200]}")
        raise AssertionError

    def _follow(self) -> None:
        """Look at the books after everything that may move them, before anybody can hear of it."""
        for market, instrument in self.instruments.items():
            simulated = self.simulator.truth.instrument(self.exchange, market, instrument.symbol)
            self._pasts[market], self._facts[market] = Past(simulated), Facts(simulated)
        for host in self.simulator.hosts.values():
            for name in ("step", "text", "rest"):
                setattr(host, name, partial(self._then_look, getattr(host, name)))

    def _then_look(self, act: Callable[..., Any], *arguments: Any) -> Any:
        found = act(*arguments)
        self._look()
        return found

    def _look(self) -> None:
        for past in self._pasts.values():
            past.look(self.network.wall_ms())

    # -- what comes of it (``IInlet``)

    def publish(self, event: Event) -> None:
        if isinstance(event, BookView):
            self._views[event.topic] = event
            self._check(event)
        elif isinstance(event, StreamStatus):
            self._statuses[event.topic] = event
            self.causes.add(event.cause)
            if not event.state.is_good:
                self.bad.append(f"{event.topic} is {event.state} {event.cause or ''}".strip())
        elif self.compare:
            self._compare(event)

    def _compare(self, event: Event) -> None:
        known: bool | None = None
        if isinstance(event, Trade):
            known = self._facts[event.topic.market].has_trade(event)
        elif isinstance(event, Ticker | Bbo) and event.bid is not None and event.ask is not None:
            known = self._facts[event.topic.market].has_quote(event)
        elif isinstance(event, Candle) and event.closed:
            known = self._facts[event.topic.market].has_bar(event)
        if known is False:
            self.wrong.append(f"{shown(plain(event))} never was in the simulated market")

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        """Topics wait for it by themselves."""

    def is_good(self, topic: Topic) -> bool:
        status = self._statuses.get(topic.upstream)
        return status is not None and status.state.is_good

    def states(self) -> dict[str, str]:
        """Of every topic, for people."""
        found = {topic: self._statuses.get(topic.upstream) for topic in self.topics}
        return {
            str(topic).partition(":")[2]: "nothing yet" if status is None else f"{status.state} {status.cause or ''}"
            for topic, status in found.items()
        }

    def connections(self) -> int:
        """How many the venue has seen."""
        return sum(ledger.connections for ledger in self.simulator.ledger.by_host.values())

    def counted(self, name: str, label: str = "") -> int:
        """The sum of a counter, or of its series with this label."""
        metric = self.tally.metrics.get(name)
        values = metric.values.items() if isinstance(metric, Counter) else ()
        return sum(value for labels, value in values if not label or label in labels)

    def observed(self, name: str) -> int:
        """How many values a histogram holds."""
        metric = self.tally.metrics.get(name)
        return sum(sum(series.counts) for series in metric.series.values()) if isinstance(metric, Histogram) else 0

    # -- time

    def run(self, seconds: float) -> None:
        """Let time pass, and look at what is shown."""
        for _ in range(round(seconds / STEP)):
            self.network.advance(STEP)
            self.network.settle()
            self._look()
            if not self.network.wall_ms() % 250:
                for view in self._views.values():
                    self._check(view)

    def begin(self, name: str, seconds: float) -> None:
        """A fault, for every instrument of which a topic is wanted."""
        start = self.simulator.faults.start
        if not KINDS[name].needs_symbol:
            start(self.exchange, name, seconds=seconds)
            return
        for market, instrument in self.instruments.items():
            start(self.exchange, name, str(instrument.symbol), seconds, market)

    def run_until_good(self, seconds: float) -> bool:
        """Let time pass until everything is live; False if it is not after so long."""
        end = self.network.seconds() + seconds
        while not all(map(self.is_good, self.topics)):
            if self.network.seconds() >= end:
                return False
            self.run(0.25)
        return True

    def _check(self, view: BookView) -> None:
        """A book that is shown as live was so at any time of late."""
        topic, bids, asks = view.topic, view.bids, view.asks
        if not self.is_good(topic) or (self._pasts[topic.market].was(_values(bids), _values(asks)) and bids and asks):
            return
        best = f"{bids[0] if bids else 'no bid'}, {asks[0] if asks else 'no ask'}"
        running = ", ".join(fault.name for fault in self.simulator.faults.active) or "no fault"
        self.wrong.append(f"{topic} is shown as live with {best}, which it was not of late (running: {running})")

    def stop(self) -> None:
        """End both; nothing is left on the network."""
        self.service.stopService()
        self._timers.stop()
        self.simulator.stopService()
        self.network.pass_time(5.0)


def _values(levels: Sequence[Level]) -> Levels:
    return [(Decimal(price), Decimal(size)) for price, size in levels]


def topics_of(evidence: Evidence, instrument: Instrument) -> list[Topic]:
    """A topic of each channel, but for liquidations, which a simulator need not have."""
    ticker = Topic(instrument.exchange, instrument.market, instrument.symbol, Channel.TICKER)
    every = {
        Channel.TICKER: ticker,
        Channel.BBO: ticker.sibling(Channel.BBO),
        Channel.TRADE: ticker.sibling(Channel.TRADE),
        Channel.ORDER_BOOK: ticker.sibling(Channel.ORDER_BOOK, depth=DEPTH),
        Channel.CANDLE: ticker.sibling(Channel.CANDLE, interval=evidence.venue.intervals(instrument.market)[0]),
    }
    return [topic for channel, topic in every.items() if evidence.has(channel)]


@contextmanager
def stage(evidence: Evidence, *, compare: bool = False) -> Iterator[Stage]:
    """A stage on which everything is live."""
    txaio.use_twisted()
    before = getattr(txaio.config, "loop", None)
    built = None
    try:
        built = Stage(evidence, compare=compare)
        txaio.config.loop = built.network  # Autobahn's client has timers there
        require(built.run_until_good(BEGIN_WITHIN), f"not live after {BEGIN_WITHIN:.0f} s: {built.states()}")
        yield built
    finally:
        if built is not None:
            built.stop()
        txaio.config.loop = before
