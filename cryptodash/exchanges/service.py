"""One venue at work: carries out what the engine asks of the world (connections, REST,
time) and feeds the answers back.

All decisions are the engine's; here are sockets, one delayed call, and the report of how the venue does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.iweb import IAgent
from zope.interface import implementer

from cryptodash.core.config import Config
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, StreamStatus, cause_of
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.interfaces import (
    ExchangeReport,
    IFrameTap,
    IInlet,
    ILocalVenue,
    RequestCost,
    StreamReport,
    survey_validity,
)
from cryptodash.core.quality import UNRECORDED, StreamRecords
from cryptodash.core.settings import origin_of
from cryptodash.core.steps import Steps, outcome_of
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.book_publisher import BookPublisher
from cryptodash.exchanges.builders.waiting_frames import FrameBudget
from cryptodash.exchanges.candle_reader import CandleReader
from cryptodash.exchanges.catalogue import CatalogueReader
from cryptodash.exchanges.catalogue_changes import CatalogueChanges
from cryptodash.exchanges.checkpoint import Checkpoint
from cryptodash.exchanges.connections.commands import BookChanged, Closed, Connect, Disconnect, Fetch, Send
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.engine_runner import EngineRunner
from cryptodash.exchanges.health import Survey, rate_limits, status, unknown_topics
from cryptodash.exchanges.metrics import Gauges, Meters
from cryptodash.exchanges.plan_sizes import PlanSizes
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.rest_requests import RestRequests
from cryptodash.exchanges.transport.sockets import Events, Sockets
from cryptodash.exchanges.transport.tapped import Unread, tap_answers, tapped, tapped_connect, tapped_send

_log = Logger(namespace="cryptodash.exchanges.service")


@implementer(ILocalVenue)
class VenueService(Service):
    """The service of one venue.

    ``budget`` is what waiting book frames may weigh over all venues of the process, ``records`` what the ledger keeps
    of the venue's streams. ``catalogue``: one that others look at already. ``tap`` is told all that crosses.
    ``make_engine`` and ``agent`` exist for tests; the agent is else made over the same connections as the WebSockets.
    """

    def __init__(
        self,
        venue: IVenue,
        config: Config,
        hosts: Mapping[MarketType, Hosts],
        source: str,
        inlet: IInlet,
        reactor: Any,
        clock: Clock,
        random: Random,
        tally: Tally,
        timers: PublishTimers,
        *,
        budget: FrameBudget | None = None,
        dialer: Dialer | None = None,
        agent: IAgent | None = None,
        make_engine: Callable[..., Engine] = Engine,
        records: StreamRecords = UNRECORDED,
        catalogue: Catalogue | None = None,
        kept: Callable[[], Collection[Topic]] | None = None,
        tap: IFrameTap | None = None,
    ) -> None:
        """``kept``: the topics of ``SYMBOLS``, where they may change."""
        self.exchange = venue.id
        self.source = source
        self.markets = tuple(venue.markets)
        self.catalogue = Catalogue(venue.id) if catalogue is None else catalogue
        self._venue = venue
        self._config = config
        self._kept = kept or (lambda: config.symbols)
        self._hosts = hosts
        self._inlet = inlet
        self._reactor = reactor
        self._clock = clock
        dialer = dialer or Dialer(reactor, config.https_proxy, no_proxy=config.no_proxy)
        self._requests = RestRequests(venue, hosts, reactor, clock, tally, dialer, agent)
        self._engine = make_engine(
            venue,
            hosts,
            self.catalogue,
            clock,
            random,
            tally,
            stale_after=config.stale_after_s,
            late_after_ms=None if source == "replay" else config.late_after_ms,
            budget=budget,
            records=records,
            audit_share=config.book_audit_percent / 100,
        )
        self._changes = CatalogueChanges(venue.id, tally)
        self._catalogues = {market: self._reader(market, random) for market in self.markets}
        self._requests.client.dated = self._engine.dated
        meters = Meters(tally, venue.id)
        unread = Unread()
        events = self._events() if tap is None else tapped(self._events(), tap, unread)
        self._sockets = Sockets(dialer, reactor, clock, meters, events, venue.limits)
        if tap is not None:
            tap_answers(self._requests.client, tap)
        self._register(meters)
        self._unknown: set[str] = set()
        self._plan_sizes = PlanSizes(venue, self.catalogue)
        self._survey: Survey | None = None
        self._survey_ends = 0.0
        self._candles = CandleReader(venue, self.catalogue, self._requests.fetch, self._engine, clock, tally)
        self._books = BookPublisher(inlet, timers)
        self._runner = self._make_runner(tap, is_recorded=source == "replay")
        if tap is not None:
            tap.opened_by(Checkpoint(self._engine, unread, lambda: self._runner.ended))

    def _make_runner(self, tap: IFrameTap | None, *, is_recorded: bool) -> EngineRunner:
        """Who carries out each command, and who takes what is published; all other events go to the hub."""
        connect: Callable[[Connect], None] = self._sockets.connect
        send: Callable[[Send], None] = self._sockets.send
        if tap is not None:
            connect, send = tapped_connect(connect, tap, self._venue.endpoints), tapped_send(send, tap)
        commands: dict[type, Callable[[Any], None]] = {
            Connect: connect,
            Send: send,
            Disconnect: self._sockets.disconnect,
            Fetch: self._fetch,
        }
        publishers: dict[type, Callable[[Any], None]] = {
            BookChanged: self._books.changed,
            StreamStatus: self._books.status,
        }
        publish, reactor, clock = self._inlet.publish, self._reactor, self._clock
        return EngineRunner(self._engine, commands, publishers, publish, reactor, clock, is_recorded=is_recorded)

    def _reader(self, market: MarketType, random: Random) -> CatalogueReader:
        return CatalogueReader(
            self._venue,
            market,
            self.catalogue,
            self._requests.client,
            self._reactor,
            self._clock,
            random,
            changed=self._listed,
            failed=self._unlisted,
            idle=self._is_idle,
            left_out=self._engine.left_out,
            changes=self._changes,
            refresh=self._config.catalogue_refresh_s,
        )

    def _events(self) -> Events:
        """Where what happens to connections goes."""
        return Events(
            opened=self._opened,
            received=self._received,
            behind=self._behind,
            heard=self._engine.heard,
            may_send=self._may_send,
            closed=self._closed,
        )

    def _register(self, meters: Meters) -> None:
        """Let the metrics read what is asked for."""
        engine, rest = self._engine, self._requests.client
        meters.watch(
            Gauges(
                report=self.report,
                states=lambda: self._surveyed().states,
                connections=self._sockets.count,
                skew_ms=lambda: engine.skew_ms,
                backoff=lambda: engine.backoff,
                pending_diffs=lambda: engine.pending_diffs,
                used_weight=lambda: rest.used_weight,
                banned_for=lambda: rest.banned_for,
            ),
            self._clock,
        )

    # Service

    def startService(self) -> None:
        super().startService()
        for reader in self._catalogues.values():
            reader.start()

    def stopService(self) -> Deferred[None]:
        """A Deferred that fires when every connection is closed, at most 2 s later; no timer is left then."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._runner.stop()
        self._books.stop()
        for reader in self._catalogues.values():
            reader.stop()
        emptied = self._requests.stop()
        await self._sockets.hang_up()
        await emptied

    # IUpstream

    def intervals(self, market: MarketType) -> Sequence[str]:
        return self._venue.intervals(market)

    def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
        if not self._runner.ended:
            wanted = tuple(topics)
            self._books.want(wanted)
            self._runner.perform(self._engine.want(wanted, clients))

    def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
        if not self._runner.ended:
            self._runner.perform(self._engine.held(topic, clients))

    def streams_of(self, topic: Topic) -> int | None:
        return self._plan_sizes.of(topic)

    def drop(self, topics: Iterable[Topic]) -> None:
        if not self._runner.ended:
            dropped = tuple(topics)
            self._runner.perform(self._engine.drop(dropped))
            self._books.drop(dropped)

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        self._books.pace(topic, intervals)

    def confirmed_at(self, topic: Topic) -> float | None:
        return self._engine.confirmed_at(topic)

    def as_of(self, topic: Topic) -> float | None:
        return self._engine.as_of(topic)

    def streams(self) -> Iterator[Sequence[StreamReport]]:
        return self._engine.streams()

    @property
    def clock_ahead_ms(self) -> int | None:
        """By how much at least the venue's clock is ahead of our wall clock (ms); None while it has not told."""
        return self._engine.clock_ahead_ms

    def survey(self) -> Steps[int]:
        survey = self._survey = yield from self._engine.survey()
        # A little longer than whoever asks for one keeps it: the other venues are looked at after this one.
        self._survey_ends = self._clock.monotonic() + 1.5 * survey_validity(survey.streams)
        return survey.streams

    def _surveyed(self) -> Survey:
        """The last survey, if that is young, else one of now."""
        if self._survey is not None and self._clock.monotonic() < self._survey_ends:
            return self._survey
        return outcome_of(self._engine.survey())

    def report(self) -> ExchangeReport:
        health = self._engine.health(self._surveyed())
        listings = tuple(self._catalogues.values())
        word, cause, reason = status(health, listings, self._sockets.trouble)
        first = self._hosts[self.markets[0]]
        return ExchangeReport(
            exchange=self.exchange,
            name=self._venue.name,
            status=word,
            idle=health.idle,
            cause=cause,
            reason=reason,
            source=self.source,
            ws_url=origin_of(first.ws),
            rest_url=origin_of(first.rest),
            rate_limits=rate_limits(self._venue),
            connections=health.connections,
            streams=health.streams,
            good_streams=health.good_streams,
            last_message=None
            if health.last_message is None
            else max(0.0, self._clock.monotonic() - health.last_message),
            unknown_topics=unknown_topics(self._kept(), self.catalogue),
            clock_ahead_ms=self.clock_ahead_ms,
        )

    def candles_cost(self, topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        return self._candles.cost(topic, limit, end_ms)

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        return await self._candles.read(topic, limit, end_ms)

    async def fetch(self, request: RestRequest) -> bytes:
        """The body of the answer to one of the venue's own requests, within its budget. Raises ``UpstreamError``."""
        return await self._requests.fetch(request)

    def watch_requests(self, sent: Callable[[RestRequest], None]) -> None:
        """Call this with each REST request when it is sent: it may have waited for room in the venue's budget."""
        self._requests.client.sent = sent

    async def refresh_catalogue(self) -> int:
        error: UpstreamError | None = None
        for reader in self._catalogues.values():
            try:
                await reader.read()
            except UpstreamError as failed:
                error = error or failed
        if error is not None:
            raise error
        return len(self.catalogue)

    # What the engine asks for

    def _fetch(self, output: Fetch) -> None:
        request = output.request
        if request.purpose is Purpose.CATALOGUE:
            self._catalogues[request.market].begin()
            return
        self._requests.begin(request, self._answered, self._failed)

    def _answered(self, request: RestRequest, body: bytes) -> None:
        self._runner.perform(self._engine.rest_answer(request, body))

    def _failed(self, request: RestRequest, error: UpstreamError) -> None:
        self._runner.perform(self._engine.rest_failed(request, error))

    # What comes in

    def _opened(self, connection: str) -> None:
        self._runner.perform(self._engine.opened(connection))

    def _received(self, connection: str, frames: Sequence[bytes]) -> None:
        self._runner.received(connection, frames)

    def _behind(self, connection: str, frames: Sequence[bytes]) -> Callable[[], bool]:
        return self._runner.behind(connection, frames)

    def _may_send(self, connection: str) -> None:
        self._runner.perform(self._engine.may_send(connection))

    def _closed(self, connection: str, how: Closed) -> None:
        self._runner.perform(self._engine.closed(connection, how))

    def _unlisted(self, market: MarketType, error: UpstreamError) -> None:
        if not self._runner.ended and not self.catalogue.loaded(market):
            self._runner.perform(self._engine.catalogue_failed(market, cause_of(error.cause)))

    def _listed(self, market: MarketType) -> None:
        if not self._runner.ended:
            # The hub first: it ends topics that do not exist, with an error to their clients, before the engine's
            # ``closed`` could reach them too.
            self._inlet.catalogue_changed(self.exchange, market)
            self._runner.perform(self._engine.catalogue_changed(market))
            self._tell_unknown()

    def _tell_unknown(self) -> None:
        """A line for every topic of ``SYMBOLS`` that the venue turns out not to have: the server runs on without it."""
        unknown = set(unknown_topics(self._kept(), self.catalogue))
        for topic in sorted(unknown - self._unknown):
            _log.warn("SYMBOLS: {exchange} has no such symbol: {topic}", exchange=self.exchange, topic=topic)
        self._unknown = unknown

    def _is_idle(self) -> bool:
        return self._engine.is_idle
