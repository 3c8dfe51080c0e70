"""The bill of materials: every part of the server, made and joined in one place,
and the order in which it starts and stops."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from socket import gethostname
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, maybeDeferred
from twisted.logger import Logger

from cryptodash import __version__
from cryptodash.api.access.access import Access
from cryptodash.api.http.metrics import ReactorLag
from cryptodash.api.http.rest import Rest
from cryptodash.api.http.site import make_site
from cryptodash.api.ws.clients import Clients
from cryptodash.api.ws.factory import ClientFactory
from cryptodash.certificates import CertificateWatch
from cryptodash.clocks import LedgerBeat, WallClockWatch
from cryptodash.core.config import Config
from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.interfaces import IInlet, IUpstream
from cryptodash.core.settings import origin_of
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.venue import Hosts, IVenue
from cryptodash.exchanges.builders.waiting_frames import FrameBudget
from cryptodash.exchanges.hosts import hosts_of
from cryptodash.exchanges.publish_timer import PublishTimers
from cryptodash.exchanges.service import VenueService
from cryptodash.exchanges.venues import registry
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.hub.interfaces import IPast
from cryptodash.listening import Web, address_of, is_public
from cryptodash.live_settings import LiveSettings, tls_files
from cryptodash.memory import MemoryTrim, find_trim
from cryptodash.sd_notify import Notifier

if TYPE_CHECKING:
    from cryptodash.cluster.service import Cluster
    from cryptodash.cluster.venue import ClusterVenue
    from cryptodash.recording.reader_processes import ReaderProcesses
    from cryptodash.recording.service import Recorder

DRAIN_SECONDS = 3.0
"""Of the 5 seconds a shutdown may take, what clients get to read their goodbye, and requests for their answer."""

_log = Logger(namespace="cryptodash.service")


@frozen
class StandIn:
    """What takes the venues' place: a service that lives and ends with the server, (WebSocket,
    REST) base URLs, and the source its values have."""

    service: IService
    base_urls: Mapping[tuple[str, MarketType], tuple[str, str]]
    source: str

    def of(self, venue: IVenue) -> tuple[dict[MarketType, Hosts], str]:
        return {market: Hosts(*self.base_urls[venue.id, market]) for market in venue.markets}, self.source


def build(
    config: Config,
    reactor: Any,
    *,
    clock: Clock,
    random: Random,
    bind_failed: Callable[[str], NoReturn] | None = None,
    venues: Sequence[IVenue] | None = None,
    stand_in: StandIn | None = None,
    notifier: Notifier | None = None,
) -> Server:
    """The whole server, not started. Raises ``ConfigError`` for a venue that cannot be loaded.

    ``stand_in`` takes the venues' place: the simulator of a demo, or a replay. ``bind_failed`` is told in one line why
    the address could not be had, and ends the process. ``notifier`` tells a service manager how it goes.
    """
    venues = [registry.load(name) for name in config.exchanges] if venues is None else venues
    tally = Tally()
    hub = Broadcaster(config, clock, reactor, tally)
    feeds: list[VenueService | ClusterVenue] = []
    recorder = _recorder(config, hub, feeds, reactor, clock, random, tally, stand_in) if config.record_dir else None
    tapes = _tapes(config, reactor, tally) if config.record_dir else None
    timers = PublishTimers(reactor)
    budget = FrameBudget(tally=tally)

    def make(venue: IVenue, inlet: IInlet, catalogue: Catalogue | None = None) -> VenueService:
        hosts, source = hosts_of(venue, config) if stand_in is None else stand_in.of(venue)
        return VenueService(
            venue,
            config,
            hosts,
            source,
            inlet,
            reactor,
            clock,
            random,
            tally,
            timers,
            budget=budget,
            records=hub.ledger.venue(venue.id),
            catalogue=catalogue,
            kept=lambda: live.symbols,
            tap=None if recorder is None else recorder.tap(venue.id),
        )

    if config.enable_redis:
        cluster = _cluster(config, hub, venues, reactor, clock, random, tally, stand_in)
        feeds += [cluster.add(venue.id, partial(make, venue)) for venue in venues]
        hub.join(cluster.report)
    else:
        cluster = None
        feeds += [make(venue, hub) for venue in venues]
    for feed in feeds:
        hub.add_upstream(feed)
    access = Access(config, clock, tally)
    clients = Clients(hub, hub, hub, config, _source(feeds), __version__, reactor, clock, tally, random, access, tapes)
    certificates = CertificateWatch(lambda: web.certificate, reactor, clock, tally)
    rest = Rest(
        hub,
        hub,
        hub,
        config,
        clock,
        reactor,
        tally,
        __version__,
        lambda: clients.draining,
        clock.monotonic(),
        clients.fanout.slices,
        hub.ledger,
        None if cluster is None else cluster.peers,
        certificates.report,
        access,
        lambda: None if recorder is None else recorder.report,
        tapes,
    )
    site = make_site(rest, ClientFactory(clients), config, clock, reactor, tally)

    web = Web(config.bind_addr, site, reactor, bind_failed, tls_files(config))
    live = LiveSettings(config, hub, clients, rest, site, certificates, access)
    server = Server(config, hub, clients, rest, web, timers, stand_in, live, notifier or Notifier())
    if recorder is not None:
        recorder.setServiceParent(server)
    if recorder is not None and tapes is not None:
        tapes.setServiceParent(server)
        hub.past = _past(recorder, tapes)
    ReactorLag(reactor, clock, tally).setServiceParent(server)
    WallClockWatch(
        reactor, clock, tally, lambda: [ahead for feed in feeds if (ahead := feed.clock_ahead_ms) is not None]
    ).setServiceParent(server)
    LedgerBeat(reactor, hub.ledger.beat).setServiceParent(server)
    certificates.setServiceParent(server)
    _memory_trim(clients, config, reactor, tally).setServiceParent(server)
    for service in [each for each in feeds if isinstance(each, VenueService)] if cluster is None else [cluster]:
        service.setServiceParent(server)
    return server


def _recorder(
    config: Config,
    hub: Broadcaster,
    feeds: Sequence[VenueService | ClusterVenue],
    reactor: Any,
    clock: Clock,
    random: Random,
    tally: Tally,
    stand_in: StandIn | None,
) -> Recorder:
    """What this process records. Of a cluster the process that has a venue open records it. ``feeds`` may grow until
    the server starts."""
    from cryptodash.recording.layout import FRAMES, MESSAGES
    from cryptodash.recording.service import GIB, Recorder
    from cryptodash.recording.sorter import spawning

    def is_ours(exchange: str) -> bool:
        return any(each.exchange == exchange and getattr(each, "is_local", True) for each in feeds)

    def fence_of(exchange: str) -> int | None:
        return next((getattr(each, "fence", None) for each in feeds if each.exchange == exchange), None)

    recorder = Recorder(
        Path(config.record_dir),
        {MESSAGES: config.record_keep_messages_gb * GIB, FRAMES: config.record_keep_gb * GIB},
        config.record,
        (hub, hub, hub),
        is_ours,
        reactor,
        clock,
        random,
        tally,
        fence_of=fence_of,
        process=f"{gethostname()[:40]}-{os.getpid()}",
        source="" if stand_in is None else stand_in.source,
        spawn=spawning(reactor),
    )
    if recorder.topics is not None:
        hub.on_wanted.append(recorder.topics.wanted)
    return recorder


def _tapes(config: Config, reactor: Any, tally: Tally) -> ReaderProcesses:
    """What reads the recordings of all processes."""
    from cryptodash.recording.reader_processes import ReaderProcesses

    return ReaderProcesses(Path(config.record_dir), reactor, tally)


def _past(recorder: Recorder, tapes: ReaderProcesses) -> IPast | None:
    """What clients that come back are told of; None where no messages are recorded."""
    from cryptodash.recording.past import Past

    return None if recorder.topics is None else Past(tapes)


def _cluster(
    config: Config,
    hub: Broadcaster,
    venues: Sequence[IVenue],
    reactor: Any,
    clock: Clock,
    random: Random,
    tally: Tally,
    stand_in: StandIn | None,
) -> Cluster:
    """This process's part in the cluster. Raises ``ConfigError`` where what it needs is not installed."""
    try:
        from cryptodash.cluster.channels import RedisServer
        from cryptodash.cluster.redis_link import address_of
        from cryptodash.cluster.redis_link import endpoint_of as redis_endpoint
        from cryptodash.cluster.service import Cluster, Membership
        from cryptodash.cluster.wire import VERSION
    except ImportError:
        raise ConfigError("ENABLE_REDIS needs hiredis: pip install cryptodash[redis]") from None
    common = [f"wire {VERSION}", f"BOOK_INTERVAL_MS {config.book_interval_ms}"]
    if config.cluster_key:
        common.append("signed")  # by which key nobody is told: messages tell
    for venue in venues:
        hosts, source = hosts_of(venue, config) if stand_in is None else stand_in.of(venue)
        urls = sorted({origin_of(url) for each in hosts.values() for url in (each.ws, each.rest)})
        common.append(f"{venue.id} {source} {' '.join(urls)}")
    host = gethostname()[:60]
    process = f"{host[:40]}-{os.getpid()}-{random.getrandbits(32):08x}"
    membership = Membership(process, host, "; ".join(sorted(common)), config.role)
    address = address_of(config.redis_url)
    redis = RedisServer(address, redis_endpoint(reactor, address), config.redis_prefix, config.cluster_key)
    return Cluster(membership, redis, hub, hub, hub, hub.ledger.venue, reactor, clock, random, tally)


def _source(feeds: Sequence[IUpstream]) -> str:
    """What the greeting says of all of them: ``live`` only if everything is."""
    sources = {feed.source for feed in feeds}
    return sources.pop() if len(sources) == 1 else "custom"


LARGE_DROP = {"clients": 500, "subscriptions": 5_000, "queued_bytes": 32 * 2**20}
"""So many less than there were, and freed memory is given back to the system."""


def _memory_trim(clients: Clients, config: Config, reactor: Any, tally: Tally) -> MemoryTrim:
    def amounts() -> dict[str, int]:
        return {
            "clients": len(clients.sessions),
            "subscriptions": sum(clients.traffic.subscriptions.values()),
            "queued_bytes": clients.fanout.slow_clients.queued_bytes,
        }

    quiet_s = config.upstream_linger_s + 20.0
    return MemoryTrim(amounts, LARGE_DROP, quiet_s, find_trim(), gc.collect, reactor, tally)


async def _all(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Wait for all of them; what one raises is raised once all have ended."""
    outcomes: list[tuple[bool, Any]] = await DeferredList(list(map(ensureDeferred, coroutines)), consumeErrors=True)
    for is_good, outcome in outcomes:
        if not is_good:
            outcome.raiseException()


class Server(MultiService):
    """All services of one process, and the one sequence in which they end."""

    def __init__(
        self,
        config: Config,
        hub: Broadcaster,
        clients: Clients,
        rest: Rest,
        web: Web,
        timers: PublishTimers,
        stand_in: StandIn | None,
        live: LiveSettings,
        notifier: Notifier,
    ) -> None:
        super().__init__()
        self.config = config
        self.hub = hub
        self.clients = clients
        self.stand_in = stand_in
        self.live = live
        self._rest = rest
        self._web = web
        self._notifier = notifier
        self._timers = timers
        self._stopping: Deferred[None] | None = None

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        assert self._web.port is not None, "not listening"
        return int(address_of(self._web.port).rpartition(":")[2])

    def privilegedStartService(self) -> None:
        self._web.privilegedStartService()
        super().privilegedStartService()

    def startService(self) -> None:
        for warning in self.config.warnings:
            _log.warn("{warning}", warning=warning)
        if self.stand_in is not None:
            self.stand_in.service.startService()
        self.clients.start()
        super().startService()
        for topic in self.config.symbols:
            self.hub.hold(topic, 0)
        self._say_if_open()
        _log.info(
            "started: {venues}",
            venues=", ".join(f"{exchange} ({self.hub.source(exchange)})" for exchange in self.hub.exchanges()),
        )

    @property
    def address(self) -> str:
        """Where it listens, for a person."""
        return "" if self._web.port is None else address_of(self._web.port)

    @property
    def access(self) -> Access:
        """The rules of access of both doors; its ``replace`` reads them again."""
        return self.clients.access

    def _say_if_open(self) -> None:
        if not self.access.is_on and self._web.port is not None and is_public(self._web.port):
            _log.warn(
                "open to everyone: without a rule of access (AUTH_TOKENS_FILE, AUTH_TOKEN, AUTH_JWT_KEYS) whoever "
                "reaches {address} may read all data, /metrics, /api/streams and /api/quality, and have catalogues "
                "read again",
                address=address_of(self._web.port),
            )

    def stopService(self) -> Deferred[None]:
        """Siblings of a MultiService do not wait for each other, so the order is written down here."""
        if self._stopping is None:
            self._stopping = ensureDeferred(self._stop())
        return self._stopping

    async def _stop(self) -> None:
        """Goodbye to every client of ``/ws``, an answer to every request, then the address, the feeds and the rest.
        Who comes meanwhile reads 503 (``/ready``, ``/ws``)."""
        self._notifier.stopping()
        _log.info("draining {count} clients", count=len(self.clients.sessions))
        http = self._web.connections
        await _all(self.clients.drain(DRAIN_SECONDS), http.drain(DRAIN_SECONDS, self._rest.cut))
        await self._web.stop_listening()
        self.clients.stop()
        self._rest.cut()
        self._rest.stop()
        self.running = 0
        services = [maybeDeferred(service.stopService) for service in reversed(list(self))]
        await DeferredList([ensureDeferred(http.close()), *services], consumeErrors=True)
        self._timers.stop()
        self.hub.stop()
        if self.stand_in is not None:
            await maybeDeferred(self.stand_in.service.stopService)
        _log.info("stopped")
