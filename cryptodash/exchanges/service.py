"""One venue at work: carries out what the engine asks of the world (connections, REST,
time) and feeds the answers back.

All decisions are the engine's; here are sockets, one delayed call, and the report of how the venue does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent
from zope.interface import implementer

from cryptodash.core.config import Config
from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle, StreamStatus, cause_of
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.interfaces import ExchangeReport, IInlet, IUpstream, StreamReport
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.builders.candles import candles_of
from cryptodash.exchanges.catalogue import CatalogueReader
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Fetch, Output, Send
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.health import rate_limits, status, unknown_topics
from cryptodash.exchanges.metrics import Gauges, Meters
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.rest import RestClient
from cryptodash.exchanges.transport.sockets import GOODBYE, Events, Sockets

LOOK_AT_LEAST_EVERY = 0.25
"""Seconds. A market event may bring the engine's next deadline forward without our asking;
asking after each would cost the hot path."""

AFTER_A_FAILURE = 1.0
"""Seconds until time goes on for an engine that raised: an error of ours must neither stop a venue
for good nor fill the log."""

_log = Logger(namespace="cryptodash.exchanges.service")


def hosts_of(venue: IVenue, config: Config) -> tuple[Mapping[MarketType, Hosts], str]:
    """The hosts to use and the ``source`` they make: ``live`` only where every one is the venue's
    built-in production host, else ``custom``.

    ``<exchange>_ws_url`` and ``_rest_url`` replace the spot host, and the perpetual one where production has the same
    for both; ``<exchange>_perpetual_ws_url`` and ``_rest_url`` replace the perpetual one.
    """
    spot = venue.hosts.get(MarketType.SPOT)
    hosts: dict[MarketType, Hosts] = {}
    for market, built_in in venue.hosts.items():
        chosen = {}
        for kind in ("ws", "rest"):
            production = getattr(built_in, kind)
            keys = [f"{venue.id}_perpetual_{kind}_url"] if market is MarketType.PERPETUAL else []
            if market is MarketType.SPOT or spot is None or getattr(spot, kind) == production:
                keys.append(f"{venue.id}_{kind}_url")
            chosen[kind] = next((config.endpoints[key] for key in keys if config.endpoints.get(key)), production)
        hosts[market] = Hosts(**chosen)
    return hosts, "live" if hosts == dict(venue.hosts) else "custom"


@implementer(IUpstream)
class VenueService(Service):
    """The service of one venue.

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
        *,
        dialer: Dialer | None = None,
        agent: IAgent | None = None,
        make_engine: Callable[..., Engine] = Engine,
    ) -> None:
        self.exchange = venue.id
        self.source = source
        self.markets = tuple(venue.markets)
        self.catalogue = Catalogue(venue.id)
        self._venue = venue
        self._config = config
        self._hosts = hosts
        self._inlet = inlet
        self._reactor = reactor
        self._clock = clock
        self._dialer = dialer or Dialer(reactor, config.https_proxy)
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = 4
        self._rest = RestClient(
            venue, hosts, reactor, clock, tally, agent or Agent.usingEndpointFactory(reactor, self._dialer, self._pool)
        )
        self._engine = make_engine(venue, hosts, self.catalogue, clock, random, tally, stale_after=config.stale_after_s)
        self._catalogues = {
            market: CatalogueReader(
                venue,
                market,
                self.catalogue,
                self._rest,
                reactor,
                clock,
                random,
                changed=self._listed,
                failed=self._unlisted,
                idle=self._is_idle,
            )
            for market in self.markets
        }
        self._rest.dated = self._engine.dated
        meters = Meters(tally, venue.id)
        events = Events(
            opened=self._opened,
            received=self._received,
            heard=self._engine.heard,
            may_send=self._may_send,
            closed=self._closed,
        )
        self._sockets = Sockets(self._dialer, reactor, clock, meters, events, venue.limits)
        self._register(meters)
        self._tasks: set[Deferred[None]] = set()
        self._timer: Any = None
        self._timer_at = 0.0
        self._outbox: deque[Output] = deque()
        self._draining = False
        self._ended = False
        self._unknown: set[str] = set()
        # given what is in no entry of ``_carry_out``, and that is an ``Event``
        self._publish: Callable[[Any], None] = inlet.publish
        self._carry_out: dict[type, Callable[[Any], None]] = {
            Connect: self._sockets.connect,
            Send: self._sockets.send,
            Disconnect: self._sockets.disconnect,
            Fetch: self._fetch,
            StreamStatus: inlet.publish,
        }

    def _register(self, meters: Meters) -> None:
        """Let the metrics read what is asked for."""
        engine, rest = self._engine, self._rest
        meters.watch(
            Gauges(
                report=self.report,
                streams=self.streams,
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
        self._ended = True
        self._outbox.clear()
        self._cancel_timer()
        for reader in self._catalogues.values():
            reader.stop()
        for task in tuple(self._tasks):
            task.cancel()
        self._rest.stop()
        emptied = self._empty_pool()
        await self._sockets.hang_up()
        await emptied

    def _empty_pool(self) -> Deferred[None]:
        """Close the idle REST connections; a dead peer never answers TLS's goodbye, so the wait for it is bounded."""
        emptied: Deferred[None] = Deferred()
        timer = self._reactor.callLater(GOODBYE, emptied.callback, None)

        def closed(_: object) -> None:
            if timer.active():
                timer.cancel()
                emptied.callback(None)

        self._pool.closeCachedConnections().addBoth(closed)
        return emptied

    # IUpstream

    def intervals(self, market: MarketType) -> Sequence[str]:
        return self._venue.intervals(market)

    def want(self, topics: Iterable[Topic]) -> None:
        if not self._ended:
            self._perform(self._engine.want(topics))

    def drop(self, topics: Iterable[Topic]) -> None:
        if not self._ended:
            self._perform(self._engine.drop(topics))

    def confirmed_at(self, topic: Topic) -> float | None:
        return self._engine.confirmed_at(topic)

    def streams(self) -> Sequence[StreamReport]:
        return self._engine.streams()

    def report(self) -> ExchangeReport:
        health = self._engine.health()
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
            ws_url=first.ws,
            rest_url=first.rest,
            rate_limits=rate_limits(self._venue),
            connections=health.connections,
            streams=health.streams,
            good_streams=health.good_streams,
            last_message=None
            if health.last_message is None
            else max(0.0, self._clock.monotonic() - health.last_message),
            unknown_topics=unknown_topics(self._config.symbols, self.catalogue),
        )

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        instrument = self.catalogue.get(topic.market, topic.symbol)
        if instrument is None:
            which = f"the catalogue of {self.exchange} {topic.market}"
            if self.catalogue.loaded(topic.market):
                raise UpstreamError("rejected", f"{which} has no {topic.symbol}")
            raise UpstreamError("disconnected", f"{which} is not loaded yet")
        request = self._venue.candles_request(topic, instrument, limit, end_ms)
        body = await self._rest.fetch(request)
        try:
            bars = reading(self._venue.read_candles, request, body)
        except BadFrame as error:
            raise UpstreamError("disconnected", f"{self.exchange}: unreadable candles: {error}"[:300]) from None
        wanted = [bar for bar in bars if end_ms is None or bar.open_time <= end_ms]
        return candles_of(topic, wanted, self._engine.venue_ms(), self._clock.wall_ms())[-limit:]

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

    def _perform(self, outputs: Sequence[Output]) -> None:
        """Carry out, in order; an output may cause further ones, which then come after those that wait already."""
        if self._ended:
            return
        outbox = self._outbox
        outbox.extend(outputs)
        if self._draining:
            return
        self._draining = True
        ordered = not outputs
        try:
            while outbox:
                output = outbox.popleft()
                carry_out = self._carry_out.get(type(output))
                if carry_out is None:
                    self._publish(output)
                else:
                    carry_out(output)
                    ordered = True
        finally:
            self._draining = False
        if ordered:
            self._arm()

    def _fetch(self, output: Fetch) -> None:
        request = output.request
        if request.purpose is Purpose.CATALOGUE:
            self._catalogues[request.market].begin()
            return
        task = Deferred.fromCoroutine(self._answer(request))
        self._tasks.add(task)
        task.addErrback(self._failed)
        task.addBoth(lambda _: self._tasks.discard(task))

    async def _answer(self, request: RestRequest) -> None:
        try:
            body = await self._rest.fetch(request)
        except UpstreamError as error:
            self._perform(self._engine.rest_failed(request, error))
        else:
            self._perform(self._engine.rest_answer(request, body))

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("an answer of {exchange} was not taken", failure=failure, exchange=self.exchange)

    # What comes in

    def _opened(self, connection: str) -> None:
        self._perform(self._engine.opened(connection))

    def _received(self, connection: str, frames: Sequence[bytes]) -> None:
        received = self._engine.received
        outbox, special, publish = self._outbox, self._carry_out, self._publish
        silent = False
        for frame in frames:
            outputs = received(connection, frame)
            if not outputs:
                silent = True
            elif outbox or len(outputs) > 2 or type(outputs[0]) in special or type(outputs[-1]) in special:
                self._perform(outputs)
            elif not self._ended:
                # One event or two (a trade is a ticker as well), and nothing that waits:
                # the usual frame, without the queue's 0.4 us.
                for output in outputs:
                    publish(output)
        if silent:
            self._perform(())  # an answer may bring the deadline forward: asked once per chunk

    def _may_send(self, connection: str) -> None:
        self._perform(self._engine.may_send(connection))

    def _closed(self, connection: str, how: Closed) -> None:
        self._perform(self._engine.closed(connection, how))

    def _unlisted(self, market: MarketType, error: UpstreamError) -> None:
        if not self._ended and not self.catalogue.loaded(market):
            self._perform(self._engine.catalogue_failed(market, cause_of(error.cause)))

    def _listed(self, market: MarketType) -> None:
        if not self._ended:
            # The hub first: it ends topics that do not exist, with an error to their clients, before the engine's
            # ``closed`` could reach them too.
            self._inlet.catalogue_changed(self.exchange, market)
            self._perform(self._engine.catalogue_changed(market))
            self._tell_unknown()

    def _tell_unknown(self) -> None:
        """A line for every topic of ``SYMBOLS`` that the venue turns out not to have: the server runs on without it."""
        unknown = set(unknown_topics(self._config.symbols, self.catalogue))
        for topic in sorted(unknown - self._unknown):
            _log.warn("SYMBOLS: {exchange} has no such symbol: {topic}", exchange=self.exchange, topic=topic)
        self._unknown = unknown

    def _is_idle(self) -> bool:
        return self._engine.health().idle

    # Time

    def _arm(self) -> None:
        """Keep one delayed call for the engine's deadline."""
        if self._ended:
            return
        deadline = self._engine.deadline()
        if deadline is None:
            self._cancel_timer()
            return
        now = self._clock.monotonic()
        at = min(deadline, now + LOOK_AT_LEAST_EVERY) if self._sockets else deadline
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._reactor.callLater(max(0.001, at - now), self._tick)

    def _tick(self) -> None:
        self._timer = None
        deadline = self._engine.deadline()
        try:
            if deadline is not None and deadline <= self._clock.monotonic():
                self._perform(self._engine.tick())
        except Exception:
            _log.failure("the engine of {exchange} failed at its deadline", exchange=self.exchange)
            self._timer_at = self._clock.monotonic() + AFTER_A_FAILURE
            self._timer = self._timer or self._reactor.callLater(AFTER_A_FAILURE, self._tick)
        else:
            self._arm()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
