"""One venue's part of the cluster in this process: asks for its lease and renews it, opens the venue and closes it, and
joins what comes by Redis to whoever takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash.cluster import scripts, wire
from cryptodash.cluster.lease import PER_LEASE_S, RENEW_S, TRY_S, TTL_S, Lease, read_token
from cryptodash.cluster.questions import Answering, Asking
from cryptodash.cluster.redis_link import RedisLink
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.cluster.remote_venue import RemoteVenue
from cryptodash.cluster.shared_catalogue import MarketCatalogue, pack_catalogue, unpack_catalogue
from cryptodash.cluster.venue import ClusterVenue
from cryptodash.cluster.venue_bus import VenueBus
from cryptodash.cluster.wire import BadFrame, Demanded
from cryptodash.core.events import Event
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.interfaces import IInlet, ILocalVenue, IRemoteInlet
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IDemand, IStates

_log = Logger(namespace="cryptodash.cluster")

RELEASE_S: Final = 1.0
"""Of the five seconds that a process has to end, what giving back a lease may take."""

MakeVenue = Callable[[IInlet, Catalogue], ILocalVenue]
"""A venue that publishes there and lists its instruments there; not started."""


def unanswered(failure: Failure) -> None:
    """Redis did not do it, or did not say so: it is tried again in time."""
    failure.trap(RedisError)


@frozen
class Means:
    """What all venues of a process share. ``key`` makes a key or channel of Redis, ``publish`` sends to a channel;
    ``may_hold`` tells whether this process opens venues now, ``may_try`` whether it may ask for one more at this
    moment, ``held`` how many it has; ``granted`` is called when it has one more. ``trouble`` says why nothing comes
    from other processes.
    """

    process: str
    inlet: IRemoteInlet
    demand: IDemand
    states: IStates
    reactor: Any
    clock: Clock
    random: Random
    tally: Tally
    control: RedisLink
    data: RedisLink
    asking: Asking
    key: Callable[..., bytes]
    publish: Callable[[bytes, bytes], None]
    send: Callable[[str, bytes], None]
    may_hold: Callable[[], bool]
    may_try: Callable[[], bool]
    held: Callable[[], int]
    granted: Callable[[], None]
    trouble: Callable[[], str]


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
        self.try_at = 0.0
        self._means = means
        self._clock = means.clock
        self._renewed_at = float("-inf")
        self.is_asking = False
        self._checking = False
        self.remote = RemoteVenue(
            exchange,
            means.process,
            means.inlet,
            means.states,
            means.clock,
            means.tally,
            self._tell_demand,
            self._check_lease,
            self._read_catalogue,
        )
        asking = means.asking
        self.upstream = ClusterVenue(
            partial(make, _BusInlet(self)),
            Catalogue(exchange),
            self.remote,
            means.process,
            lambda *arguments: Deferred.fromCoroutine(asking.candles(*arguments)),
            lambda: Deferred.fromCoroutine(asking.refresh(exchange)),
            means.trouble,
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
            self._regain,
            means.reactor,
            means.clock,
            means.tally,
        )
        self._answering = Answering(self.upstream, means.send)
        self._lease_key = means.key("lease", exchange)

    # -- what comes

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
        means = self._means
        if self.is_asking or not means.control.is_up:
            return
        if self.lease.fence is not None:
            if now - self._renewed_at >= RENEW_S:
                self._renew(now)
        elif now >= self.try_at and means.may_hold() and means.may_try():
            self.try_at = now + TRY_S + PER_LEASE_S * means.held() + means.random.uniform(0, 0.3)
            self._try(now)

    def beat(self, *, with_report: bool) -> None:
        if self.upstream.is_local:
            if with_report:
                self.bus.tell_report()
            self.bus.beat()
        else:
            self.remote.tick()

    def stop(self) -> Deferred[Any]:
        """The process ends: the lease is given back, so that another has it at once."""
        ends: list[Deferred[Any]] = []
        if self.upstream.is_local:
            self.bus.end()
            ends.append(self.upstream.close())
            given = self._call(scripts.RELEASE, [self._lease_key], self.lease.token)
            given.addTimeout(RELEASE_S, self._means.reactor)
            ends.append(given.addErrback(lambda failure: failure.trap(RedisError, TimeoutError)))
            self.lease.lost()
        return DeferredList(ends, consumeErrors=True)

    # -- the lease

    def _try(self, now: float) -> None:
        self.is_asking = True
        keys = [self._lease_key, self._means.key("fence", self.exchange)]
        asked = self._call(scripts.GRANT, keys, self._means.process, round(TTL_S * 1000))
        asked.addCallbacks(self._tried, self._not_asked, callbackArgs=(now,))

    def _tried(self, answer: Any, sent: float) -> None:
        self.is_asking = False
        is_granted, said = answer
        if is_granted:
            self._granted(int(said), sent)
        elif self.lease.fence is not None:
            self._lost()

    def _granted(self, fence: int, sent: float) -> None:
        self.lease.granted(fence, sent)
        self._means.granted()
        self._renewed_at = sent
        _log.info("{exchange} is held by this process (fence {fence})", exchange=self.exchange, fence=fence)
        if not self.upstream.is_local:
            self.bus.begin(self.upstream.wanted)
            self.upstream.take_over()
        else:
            self.bus.begin(())
        for market in self.upstream.markets:
            self.write_catalogue(market)

    def _renew(self, now: float) -> None:
        self.is_asking = True
        self._renewed_at = now
        asked = self._call(scripts.RENEW, [self._lease_key], self.lease.token, round(TTL_S * 1000))
        asked.addCallbacks(self._is_renewed, self._not_asked, callbackArgs=(now,))

    def _is_renewed(self, is_ours: Any, sent: float) -> None:
        self.is_asking = False
        if is_ours:
            self.lease.renewed(sent)
        else:
            self._regain()

    def _not_asked(self, failure: Failure) -> None:
        self.is_asking = False
        failure.trap(RedisError)

    def _regain(self) -> None:
        """It is not ours any more. Where it is nobody's (Redis was emptied, or out of reach for too long) we may have
        it again and go on; else it is another's."""
        if self.is_asking or self.lease.fence is None:
            return
        if self._means.may_hold():
            self._try(self._clock.monotonic())
        else:
            self._lost()

    def _lost(self) -> None:
        if self.lease.fence is None:
            return
        _log.warn("{exchange} is held by this process no more", exchange=self.exchange)
        self.lease.lost()
        self.bus.end()
        self.upstream.hand_over().addErrback(lambda failure: _log.failure("closing a venue failed", failure=failure))
        self.try_at = self._clock.monotonic()

    def _check_lease(self) -> None:
        if self._checking or not self._means.control.is_up:
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
                    self._read_catalogue(market.value)

        def failed(failure: Failure) -> None:
            self._checking = False
            failure.trap(RedisError)
            if not self.upstream.is_local:
                self.remote.holder_is(None)

        self._means.control.call("GET", self._lease_key).addCallbacks(found, failed)

    # -- to Redis

    def _call(self, script: str, keys: Sequence[bytes], *arguments: bytes | str | int) -> Deferred[Any]:
        return self._means.control.call("EVAL", script, len(keys), *keys, *arguments)

    def _publish(self, frames: Sequence[bytes]) -> Deferred[Any]:
        channel = self._means.key("bus", self.exchange)
        return self._means.data.call("EVAL", scripts.PUBLISH, 1, self._lease_key, self.lease.token, channel, *frames)

    def _tell_demand(self, demanded: Demanded) -> None:
        self._means.publish(self._means.key("demand", self.exchange), wire.encode_demanded(demanded))

    # -- the catalogue

    def _catalogue_key(self, market: str) -> bytes:
        return self._means.key("catalogue", self.exchange, market)

    def write_catalogue(self, market: MarketType) -> None:
        """Let the others have what the market lists."""
        catalogue = self.upstream.catalogue
        if self.lease.fence is None or not catalogue.loaded(market):
            return
        others = [(name, why) for each, name, why in catalogue.not_listed() if each is market]
        listed = MarketCatalogue(wire.VERSION, list(catalogue.listed(market).values()), others)
        keys = [self._lease_key, self._catalogue_key(market)]
        written = self._call(scripts.STORE, keys, self.lease.token, pack_catalogue(listed))
        written.addCallback(lambda is_ours: self.bus.tell_catalogue(market) if is_ours else None)
        written.addErrback(unanswered)

    def _read_catalogue(self, market: str) -> None:
        def read(data: Any) -> None:
            if data is None or self.upstream.is_local:
                return
            try:
                found = unpack_catalogue(data, self.exchange, MarketType(market))
            except BadFrame as error:
                _log.warn(
                    "the catalogue of {exchange} {market}: {error}", exchange=self.exchange, market=market, error=error
                )
                return
            kind = MarketType(market)
            self.upstream.catalogue.replace(kind, found.instruments, found.not_listed)
            self._means.inlet.catalogue_changed(self.exchange, kind)

        if market in [each.value for each in self.upstream.markets]:
            asked = self._means.control.call("GET", self._catalogue_key(market))
            asked.addCallbacks(read, unanswered)
