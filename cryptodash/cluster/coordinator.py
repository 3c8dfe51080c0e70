"""One venue's part of the cluster in this process: opens the venue when its lease is ours and closes it when it is not,
and joins what comes by Redis to whoever takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash.cluster import wire
from cryptodash.cluster.lease import Lease, read_token
from cryptodash.cluster.lease_keeper import LeaseKeeper
from cryptodash.cluster.means import Means
from cryptodash.cluster.questions import Answering
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.cluster.remote_venue import RemoteVenue
from cryptodash.cluster.shared_catalogue import CatalogueStore, MarketCatalogue
from cryptodash.cluster.venue import ClusterVenue
from cryptodash.cluster.venue_bus import VenueBus
from cryptodash.cluster.wire import BadFrame, Demanded
from cryptodash.core.events import Event
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.interfaces import IInlet, ILocalVenue

_log = Logger(namespace="cryptodash.cluster")

MakeVenue = Callable[[IInlet, Catalogue], ILocalVenue]
"""A venue that publishes there and lists its instruments there; not started."""


@implementer(IInlet)
class _BusInlet:
    """Where the local venue publishes: by the bus, which is made after the venue."""

    def __init__(self, venue: VenueCoordinator) -> None:
        self._venue = venue

    def publish(self, event: Event) -> None:
        self._venue.bus.publish(event)

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        self._venue.bus.catalogue_changed(exchange, market)
        self._venue.write_catalogue(market)


class VenueCoordinator:
    """One venue's part of all this."""

    def __init__(self, exchange: str, means: Means, make: MakeVenue) -> None:
        self.exchange = exchange
        self.lease = Lease(means.process)
        self.keeper = LeaseKeeper(
            exchange,
            self.lease,
            means.channels,
            means.leases,
            means.clock,
            means.random,
            self._granted,
            self._lost,
        )
        self._means = means
        self._channels = means.channels
        self._checking = False
        asking = means.asking
        self.remote = RemoteVenue(
            exchange,
            means.process,
            means.inlet,
            means.states,
            means.clock,
            means.tally,
            self._tell_demand,
            self._check_lease,
            self._catalogue_changed,
            lambda topic, count: asking.candles(topic, count, None),
            means.records(exchange),
        )
        self.upstream = ClusterVenue(
            partial(make, _BusInlet(self)),
            Catalogue(exchange),
            self.remote,
            means.process,
            lambda *arguments: Deferred.fromCoroutine(asking.candles(*arguments)),
            lambda: Deferred.fromCoroutine(asking.refresh(exchange)),
            means.trouble,
            lambda: self.lease.fence,
        )
        self.bus = VenueBus(
            exchange,
            self.lease,
            means.inlet,
            means.demand,
            means.states,
            lambda: self.upstream,
            lambda: self.upstream.report(),
            self._publish,
            self.keeper.regain,
            means.reactor,
            means.clock,
            means.tally,
        )
        self._answering = Answering(self.upstream, means.send)
        self._catalogues = CatalogueStore(
            exchange, self.upstream.catalogue, means.channels, self.keeper.key, self.lease
        )

    # -- what comes

    def published(self, data: bytes) -> None:
        """A frame of the venue's channel; our own come as well."""
        if not self.upstream.is_local:
            self.remote.took(data)

    def demanded(self, data: bytes) -> None:
        """What another process wants."""
        if not self.upstream.is_local:
            return
        try:
            demanded = wire.read_demanded(data)
        except BadFrame:
            return
        if demanded.process != self._means.process:
            self.bus.demand.took(demanded)

    def asked(self, data: bytes) -> None:
        """A question."""
        if self.upstream.is_local:
            Deferred.fromCoroutine(self._answering.took(data)).addErrback(
                lambda failure: _log.failure("answering another process failed", failure=failure)
            )

    # -- time

    def look(self, now: float) -> None:
        """Four times a second: whether to ask for the lease, or to renew it."""
        if not self.upstream.is_local:
            self.remote.look()
        self.keeper.look(now)

    def beat(self, *, with_report: bool) -> None:
        if self.upstream.is_local:
            if with_report:
                self.bus.tell_report()
            self.bus.beat()
        else:
            self.remote.tick()

    def stop(self) -> Deferred[Any]:
        """The process ends: the lease is given back, so that another has it at once."""
        self.keeper.end()
        if not self.upstream.is_local:
            return succeed(None)
        self.bus.end()
        closed = self.upstream.close()
        return DeferredList([closed, self.keeper.release(self._means.reactor)], consumeErrors=True)

    # -- the lease

    def _granted(self) -> None:
        _log.info("{exchange} is held by this process (fence {fence})", exchange=self.exchange, fence=self.lease.fence)
        if not self.upstream.is_local:
            self.bus.begin(self.upstream.wanted)
            self.upstream.take_over()
        else:
            self.bus.begin(())
        for market in self.upstream.markets:
            self.write_catalogue(market)

    def _lost(self) -> None:
        _log.warn("{exchange} is held by this process no more", exchange=self.exchange)
        self.bus.end()
        self.upstream.hand_over().addErrback(lambda failure: _log.failure("closing a venue failed", failure=failure))

    def _check_lease(self) -> None:
        if self._checking or not self._means.channels.is_up:
            return
        self._checking = True

        def found(token: Any) -> None:
            self._checking = False
            try:
                fence = None if token is None else read_token(token)[1]
            except ValueError:
                fence = None
            if self.upstream.is_local:
                return
            is_new = fence is not None and fence != self.remote.fence
            self.remote.holder_is(fence)
            if is_new:
                for market in self.upstream.markets:
                    self._read_catalogue(market)

        def failed(failure: Failure) -> None:
            self._checking = False
            failure.trap(RedisError)
            if not self.upstream.is_local:
                self.remote.holder_is(None)

        self._channels.call("GET", self.keeper.key).addCallbacks(found, failed)

    # -- to Redis

    def _publish(self, frames: Sequence[bytes]) -> Deferred[Any]:
        channel = self._channels.key("bus", self.exchange)
        return self._channels.publish_fenced(self.keeper.key, self.lease.token, channel, frames)

    def _tell_demand(self, demanded: Demanded) -> None:
        self._channels.publish(self._channels.key("demand", self.exchange), wire.encode_demanded(demanded))

    # -- the catalogue

    def write_catalogue(self, market: MarketType) -> None:
        """Let the others have what the market lists."""
        written = self._catalogues.write(market)
        written.addCallback(lambda is_there: self.bus.tell_catalogue(market) if is_there else None)

    def _catalogue_changed(self, name: str) -> None:
        """The holder says so of a market, by its name."""
        for market in self.upstream.markets:
            if market.value == name:
                self._read_catalogue(market)

    def _read_catalogue(self, market: MarketType) -> None:
        self._catalogues.read(market).addCallback(self._catalogue_read, market)

    def _catalogue_read(self, found: MarketCatalogue | None, market: MarketType) -> None:
        if found is not None and not self.upstream.is_local:
            self.upstream.catalogue.replace(market, found.instruments, found.not_listed)
            self._means.inlet.catalogue_changed(self.exchange, market)
