"""The cluster, as one process takes part in it: the connections to Redis, who may take part, and what comes to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from attrs import frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.cluster import scripts
from cryptodash.cluster.coordinator import MakeVenue, Means, VenueCoordinator, unanswered
from cryptodash.cluster.lease import PER_LEASE_S, TRY_S, Standing
from cryptodash.cluster.questions import Asking
from cryptodash.cluster.redis_link import RedisAddress, RedisLink
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.cluster.venue import ClusterVenue
from cryptodash.core.interfaces import ClusterReport, IRemoteInlet
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IDemand, IStates

LOOK_S: Final = 0.25
BEAT_S: Final = 0.5
BEATS_A_REPORT: Final = 2
MEMBER_MS: Final = 15_000
"""What the processes have in common stays in Redis for so long after the last one has gone."""
JOIN_S: Final = 5.0

_log = Logger(namespace="cryptodash.cluster")


@frozen
class Membership:
    """Who this process is. ``fingerprint`` says what all processes must have in common, in a form that can be read;
    ``role``: ``edge`` opens no venue."""

    process: str
    prefix: str
    fingerprint: str
    role: str = "all"


class Cluster(MultiService):
    """All venues of one process; ``add`` makes each known before start. A process that held a venue when Redis went
    away serves it to its own clients; nothing else is open then."""

    name = "cluster"

    def __init__(
        self,
        membership: Membership,
        address: RedisAddress,
        endpoint: IStreamClientEndpoint,
        inlet: IRemoteInlet,
        demand: IDemand,
        states: IStates,
        reactor: Any,
        clock: Clock,
        random: Random,
        tally: Tally,
    ) -> None:
        super().__init__()
        self.membership = membership
        self._clock = clock
        self._random = random
        self._venues: dict[str, VenueCoordinator] = {}
        self._address = address
        asking = Asking(membership.process, self._send, reactor)
        self._deliver: dict[bytes, Callable[[bytes], object]] = {self.key("to", membership.process): asking.took}
        self._data = RedisLink(address, endpoint, reactor, random)
        self._control = RedisLink(address, endpoint, reactor, random, up=self._up)
        self._subscriber = RedisLink(
            address, endpoint, reactor, random, push=self._pushed, channels=self._deliver, up=self._hears
        )
        self._links = (self._data, self._control, self._subscriber)
        for link in self._links:
            link.setServiceParent(self)
        self._means = Means(
            membership.process,
            inlet,
            demand,
            states,
            reactor,
            clock,
            random,
            tally,
            self._control,
            self._data,
            asking,
            self.key,
            self._publish,
            self._send,
            self._may_hold,
            self._may_try,
            self._held,
            self._granted,
            lambda: self.trouble,
        )
        self._is_member = False
        self._refusal = ""
        self._joining = False
        self._joined_at = float("-inf")
        self._looks, self._beats = LoopingCall(self._look), LoopingCall(self._beat)
        self._looks.clock = self._beats.clock = reactor
        self._count = 0
        tally.gauge(
            "cryptodash_cluster_leases", "Whether this process has the venue open for all.", self._leases, "exchange"
        )
        tally.gauge(
            "cryptodash_cluster_redis_connections", "Connections to Redis that are up, of three.", self._links_up
        )
        self._failed = tally.counter(
            "cryptodash_cluster_failures_total", "What came by Redis and could not be handled: faults of ours."
        )

    def key(self, *parts: str) -> bytes:
        """A key or channel in Redis."""
        return ":".join((self.membership.prefix, *parts)).encode()

    def add(self, exchange: str, make: MakeVenue) -> ClusterVenue:
        """A venue of this cluster, for the hub."""
        venue = self._venues[exchange] = VenueCoordinator(exchange, self._means, make)
        self._deliver[self.key("bus", exchange)] = venue.remote.took
        self._deliver[self.key("demand", exchange)] = venue.demanded
        self._deliver[self.key("ask", exchange)] = venue.asked
        return venue.upstream

    @property
    def trouble(self) -> str:
        """Why nothing comes from other processes, for a person; empty where all is well."""
        down = [each.trouble for each in self._links if not each.is_up]
        return f"Redis at {self._address} is out of reach: {down[0]}" if down else self._refusal

    def standing(self, exchange: str) -> Standing:
        """What this process is to the venue now."""
        return self._venues[exchange].lease.standing(self._clock.monotonic())

    def report(self) -> ClusterReport:
        """What this process is."""
        holds = tuple(name for name, each in self._venues.items() if each.lease.fence is not None)
        return ClusterReport(self.membership.process, self.membership.role, holds, self.trouble)

    # -- Service

    def startService(self) -> None:
        super().startService()
        for each, seconds in ((self._looks, LOOK_S), (self._beats, BEAT_S)):
            each.start(seconds).addErrback(lambda failure: _log.failure("the cluster stands still", failure=failure))

    def stopService(self) -> Deferred[Any]:
        """Leases are given back, so that other processes have them at once, and the venues closed."""
        for each in (self._looks, self._beats):
            if each.running:
                each.stop()
        closed = DeferredList([each.stop() for each in self._venues.values()], consumeErrors=True)
        return closed.addCallback(lambda _: super(Cluster, self).stopService())

    # -- what comes

    def _pushed(self, channel: bytes, payload: bytes) -> None:
        deliver = self._deliver.get(channel)
        if deliver is None or not self._is_member:
            return
        try:
            deliver(payload)
        except Exception:
            # Whatever comes must not end the connection by which all comes; the first is logged, all are counted.
            if not self._failed.values[()]:
                _log.failure("what came on {channel} could not be handled", channel=channel.decode(errors="replace"))
            self._failed.add()

    def _up(self) -> None:
        """Redis is here (again): who has what?"""
        self._joined_at = float("-inf")
        for venue in self._venues.values():
            venue.try_at = min(venue.try_at, self._clock.monotonic() + self._random.uniform(0, TRY_S / 4))

    def _hears(self) -> None:
        """What was published meanwhile is lost to us."""
        for venue in self._venues.values():
            if not venue.upstream.is_local:
                venue.remote.begin()

    # -- time

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._control.is_up and not self._joining and now - self._joined_at > JOIN_S:
            self._join(now)
        for venue in self._venues.values():
            venue.look(now)

    def _beat(self) -> None:
        self._count += 1
        for venue in self._venues.values():
            venue.beat(with_report=self._count % BEATS_A_REPORT == 0)

    def _join(self, now: float) -> None:
        """Compare what all must have in common, and keep it there."""
        key, mine = self.key("cluster"), self.membership.fingerprint

        def compared(found: bytes | None) -> None:
            self._joining, self._joined_at = False, now
            theirs = mine if found is None else found.decode(errors="replace")
            self._is_member = theirs == mine
            refusal = "" if self._is_member else f"other settings than the cluster's: here {mine}; there {theirs[:400]}"
            if refusal and refusal != self._refusal:
                _log.error("this process does not take part: {refusal}", refusal=refusal)
            self._refusal = refusal

        def failed(failure: Failure) -> None:
            self._joining = False
            failure.trap(RedisError)

        self._joining = True
        self._control.call("EVAL", scripts.JOIN, 1, key, mine, MEMBER_MS).addCallbacks(compared, failed)

    # -- for its venues

    def _publish(self, channel: bytes, payload: bytes) -> None:
        """To whoever listens; whether it came nobody says."""
        self._control.call("PUBLISH", channel, payload).addErrback(unanswered)

    def _send(self, to: str, payload: bytes) -> None:
        """To the holder of a venue, or to a process."""
        self._publish(self.key("ask", to) if to in self._venues else self.key("to", to), payload)

    def _may_hold(self) -> bool:
        return self.membership.role != "edge" and self._is_member and self._control.is_up

    def _may_try(self) -> bool:
        """One at a time: the others may want some as well."""
        return not any(each.is_asking for each in self._venues.values())

    def _granted(self) -> None:
        """The next one later, for each that we have."""
        later = self._clock.monotonic() + PER_LEASE_S * self._held()
        for venue in self._venues.values():
            venue.try_at = max(venue.try_at, later)

    def _held(self) -> int:
        return sum(each.lease.fence is not None for each in self._venues.values())

    def _links_up(self) -> Mapping[tuple[str, ...], float]:
        return {(): float(sum(each.is_up for each in self._links))}

    def _leases(self) -> Mapping[tuple[str, ...], float]:
        return {(name,): float(each.lease.fence is not None) for name, each in self._venues.items()}
