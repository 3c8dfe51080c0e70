"""Examines one venue: its service, as the server makes it, is started, asked for every channel of a few instruments and
for what REST has, watched for a while, and stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.core.config import Config
from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import ANY, Instrument, MarketType
from cryptodash.core.proxies import NoProxy, parse_proxy
from cryptodash.core.tally import Counter, Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Channel, Topic
from cryptodash.doctor.choice import MOST_TRADED, Choice, choose
from cryptodash.doctor.facts import VenueFacts
from cryptodash.doctor.notes import Notes
from cryptodash.doctor.observed import ObservedEngine, ObservedVenue
from cryptodash.doctor.recorder import Recorder
from cryptodash.doctor.summary import summary
from cryptodash.doctor.table import Report, report_of
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.service import VenueService

CATALOGUE_WITHIN = 15.0
"""Seconds the first reading of a market's catalogue gets."""
SWEEP_WITHIN = 6.0
"""Seconds a market's tickers get to come, by which instruments are chosen."""
DEPTH = 20
BARS = 10
INTERVAL = "1m"
LOOK_EVERY_MS = 250
"""At which pace order books are looked at."""
CLIENT = "doctor"

_log = Logger(namespace="cryptodash.doctor")


@frozen(kw_only=True)
class Means:
    """What an examination is made with. ``save``: the directory for what came, None: nothing is kept."""

    config: Config
    reactor: Any
    clock: Clock
    random: Random
    seconds: float = 30.0
    save: Path | None = None

    def wait(self, seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = deferLater(self.reactor, seconds)
        return waiting


class Examination:
    """One venue. Raises ``ConfigError`` where the directory to save in cannot be made."""

    def __init__(self, venue: IVenue, hosts: Mapping[MarketType, Hosts], source: str, means: Means) -> None:
        self._real = venue
        self._source = source
        self._means = means
        self._recorder = None if means.save is None else Recorder(means.save, venue.id, hosts, means.clock.wall_ms())
        self.notes = Notes(venue, means.clock, partial(proxy_of, means.config), self._recorder)
        for market, noted in self.notes.markets.items():
            noted.rest_proxy = proxy_of(means.config, hosts[market].rest)
        self._tally = Tally()
        self._timers = PublishTimers(means.reactor)
        self._service = VenueService(
            # It provides IVenue by ``directlyProvides``, at run time: it hands on what the venue has that it wraps, and
            # mypy sees no members in that.
            ObservedVenue(venue, self.notes),  # type: ignore[arg-type]
            means.config,
            hosts,
            source,
            self.notes,
            means.reactor,
            means.clock,
            means.random,
            self._tally,
            self._timers,
            make_engine=partial(ObservedEngine, self.notes),
        )
        self._service.watch_requests(self.notes.sent_request)
        self._chosen: dict[MarketType, Sequence[Choice]] = {}
        self._not_served: dict[MarketType, tuple[str, ...]] = {}
        self._over: set[MarketType] = set()
        """Markets whose time has ended: what fails then fails because it was cut off (Twisted calls a name lookup that
        is cancelled one that found nothing)."""

    async def run(self) -> VenueFacts:
        """All of it; what was seen."""
        self._service.startService()
        try:
            await self._all([self._market(market) for market in self._service.markets])
            return self._facts()
        finally:
            await maybeDeferred(self._service.stopService)
            self._timers.stop()
            if self._recorder is not None:
                self._recorder.close()

    async def _all(self, coroutines: Sequence[Any]) -> None:
        outcomes = await DeferredList([Deferred.fromCoroutine(each) for each in coroutines], consumeErrors=True)
        for is_good, outcome in outcomes:
            if not is_good:
                outcome.raiseException()

    async def _market(self, market: MarketType) -> None:
        """Choose and watch. Where the catalogue comes late what is left of the time is for watching."""
        seconds = self._means.seconds
        end = self.notes.ms + seconds * 1000
        await self._all([self._catalogue(market), self._turnovers(market)])
        if not self._service.catalogue.loaded(market):
            await self.notes.markets[market].listed.within((end - self.notes.ms) / 1000, self._means.reactor)
            seconds = max(0.0, (end - self.notes.ms) / 1000)
        watching = self._means.wait(seconds)
        chosen = self._chosen[market] = choose(
            [each for each in self._service.catalogue if each.market is market], self.notes.markets[market].turnovers
        )
        requests = Deferred.fromCoroutine(self._requests(market, chosen))
        requests.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
        self._watch(market, chosen)
        await watching
        self._over.add(market)
        requests.cancel()
        await requests

    async def _catalogue(self, market: MarketType) -> None:
        """Wait for the catalogue that the service reads at its start; where that fails it goes on trying."""
        began = self.notes.ms
        try:
            await Deferred.fromCoroutine(self._service.refresh_catalogue()).addTimeout(
                CATALOGUE_WITHIN, self._means.reactor
            )
        except UpstreamError as error:
            if not self._service.catalogue.loaded(market):
                self.notes.request_ended(market, "catalogue", began, error)
                return
        except TimeoutError:
            late = UpstreamError("disconnected", f"the venue did not answer within {CATALOGUE_WITHIN:.0f} s")
            self.notes.request_ended(market, "catalogue", began, late)
            return
        except Exception as error:  # one of ours is one of the things to be found
            _log.failure(
                "{exchange} {market}: reading the catalogue failed", exchange=self._real.id, market=market.value
            )
            text = f"unreadable by an error of ours: {type(error).__name__}: {error}"[:300]
            self.notes.request_ended(market, "catalogue", began, UpstreamError("disconnected", text))
            return
        count = sum(1 for each in self._service.catalogue if each.market is market)
        self.notes.request_ended(market, "catalogue", began, holds=f"{count} instruments")

    async def _turnovers(self, market: MarketType) -> None:
        """Ask for the market's tickers, all at once, until they have come."""
        sweep = Topic(self._service.exchange, market, ANY, Channel.TICKER)
        self._service.want([sweep])
        if not await self.notes.markets[market].swept.within(SWEEP_WITHIN, self._means.reactor):
            _log.info("{exchange} {market}: no tickers of all", exchange=self._service.exchange, market=market.value)
        self._service.drop([sweep])

    def _watch(self, market: MarketType, chosen: Sequence[Choice]) -> None:
        """Ask for every channel that the adapter has."""
        not_served: set[str] = set()
        wanted: list[Topic] = []
        for choice in chosen:
            for topic in topics_of(choice.instrument, self._service.intervals(market)):
                if self._serves(topic, choice.instrument):
                    wanted.append(topic)
                    self.notes.watch_topic(topic, choice.role)
                else:
                    not_served.add(str(topic.channel))
        self._not_served[market] = tuple(sorted(not_served))
        self._service.want(wanted, (CLIENT,))
        for topic in wanted:
            if topic.channel is Channel.ORDER_BOOK:
                self._service.pace(topic, (LOOK_EVERY_MS,))

    def _serves(self, topic: Topic, instrument: Instrument) -> bool:
        try:
            self._real.plan(topic.upstream, instrument, topic.depth)
        except UpstreamError:
            return False
        return True

    async def _requests(self, market: MarketType, chosen: Sequence[Choice]) -> None:
        """The probe, and bars and a snapshot of the most traded instrument, one after the other."""
        probe = self._real.probe_request(market)
        await self._request(probe, self._read_probe)
        instrument = next((each.instrument for each in chosen if each.role == MOST_TRADED), None)
        if instrument is None:
            return
        await self._candles(instrument)
        book = _topic(instrument, Channel.ORDER_BOOK)
        snapshot = self._real.snapshot_request(book, instrument, DEPTH)
        if snapshot is not None:
            await self._request(snapshot, self._read_snapshot)

    async def _request(self, request: RestRequest, read: Any) -> None:
        began = self.notes.ms
        purpose = str(request.purpose.value)
        try:
            body = await self._service.fetch(request)
            self.notes.body(request, body)
            holds = reading(read, request, body)
        except UpstreamError as error:
            if request.market not in self._over:
                self.notes.request_ended(request.market, purpose, began, error)
        except BadFrame as error:
            self.notes.unreadable(error, body)
            failed = UpstreamError("", f"an answer is unreadable: {error}")
            self.notes.request_ended(request.market, purpose, began, failed)
        else:
            self.notes.request_ended(request.market, purpose, self.notes.sent_at(request, began), holds=holds)

    def _read_probe(self, request: RestRequest, body: bytes) -> str:
        told = self._real.read_probe(request, body)
        return "whole seconds" if told is None else f"its time, {told - self._means.clock.wall_ms():+d} ms"

    def _read_snapshot(self, request: RestRequest, body: bytes) -> str:
        depth = self._real.read_snapshot(request, body)
        return f"{len(depth.bids)} bids, {len(depth.asks)} asks"

    async def _candles(self, instrument: Instrument) -> None:
        began, market = self.notes.ms, instrument.market
        intervals = self._service.intervals(market)
        interval = INTERVAL if INTERVAL in intervals else next(iter(intervals), "")
        if not interval:
            return
        topic = _topic(instrument, Channel.CANDLE, interval=interval)
        try:
            bars = await self._service.candles(topic, BARS, None)
        except UpstreamError as error:
            if market not in self._over:
                self.notes.request_ended(market, "candles", began, error)
        else:
            self.notes.request_ended(market, "candles", began, holds=f"{len(bars)} bars of {interval}")

    def _facts(self) -> VenueFacts:
        counters = {name: each for name, each in self._tally.metrics.items() if isinstance(each, Counter)}
        facts = summary(
            self._real,
            self.notes,
            self._service.catalogue,
            [report for some in self._service.streams() for report in some],
            counters,
            self._chosen,
            self._not_served,
        )
        return evolve(
            facts,
            source=self._source,
            seconds=self._means.seconds,
            clock_ahead_ms=self._service.clock_ahead_ms,
            saved="" if self._recorder is None else self._recorder.said,
            save_error="" if self._recorder is None else self._recorder.error,
        )


async def examine(examinations: Sequence[Examination]) -> Sequence[Report]:
    """All of them at the same time, each judged. What one raises, all raise, once all have ended."""
    outcomes = await DeferredList([Deferred.fromCoroutine(each.run()) for each in examinations], consumeErrors=True)
    for _, outcome in outcomes:
        if isinstance(outcome, Failure):
            _log.failure("an examination failed", failure=outcome)
            outcome.raiseException()
    return [report_of(facts) for _, facts in outcomes if isinstance(facts, VenueFacts)]


def topics_of(instrument: Instrument, intervals: Sequence[str]) -> list[Topic]:
    """Every channel of an instrument: of bars one interval, of the book one depth."""
    interval = INTERVAL if INTERVAL in intervals else next(iter(intervals), "")
    topics = [_topic(instrument, each) for each in (Channel.TICKER, Channel.BBO, Channel.TRADE)]
    topics.append(_topic(instrument, Channel.ORDER_BOOK, depth=DEPTH))
    if interval:
        topics.append(_topic(instrument, Channel.CANDLE, interval=interval))
    if instrument.market is MarketType.PERPETUAL:
        topics.append(_topic(instrument, Channel.LIQUIDATION))
    return topics


def _topic(instrument: Instrument, channel: Channel, *, depth: int = 0, interval: str = "") -> Topic:
    return Topic(instrument.exchange, instrument.market, instrument.symbol, channel, depth=depth, interval=interval)


def proxy_of(config: Config, url: str) -> str:
    """Host and port of the proxy through which a URL is reached; empty: directly."""
    parts = urlsplit(url)
    if not config.https_proxy or parts.scheme not in ("wss", "https"):
        return ""
    if NoProxy(config.no_proxy).covers(parts.hostname or "", parts.port or 443):
        return ""
    proxy = parse_proxy(config.https_proxy)
    return f"{proxy.host}:{proxy.port}"
