"""The cluster, as one process takes part in it: the connections to Redis, who may take part, and what comes to whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final

from attrs import frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.cluster import scripts
from cryptodash.cluster.channels import Channels, RedisServer
from cryptodash.cluster.coordinator import MakeVenue, VenueCoordinator
from cryptodash.cluster.lease import PER_LEASE_S, TRY_S, Standing
from cryptodash.cluster.means import Leases, Means
from cryptodash.cluster.members import Members
from cryptodash.cluster.questions import Asking
from cryptodash.cluster.redis_link import LONGEST_WAIT_S
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.cluster.remote_venue import LOOK_S
from cryptodash.cluster.reports import Reports
from cryptodash.cluster.venue import ClusterVenue
from cryptodash.core.interfaces import ClusterReport, IRemoteInlet
from cryptodash.core.quality import StreamRecords
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IDemand, IStates

BEAT_S: Final = 0.5
BEATS_A_REPORT: Final = 2
MEMBER_MS: Final = 15_000
"""What the processes have in common stays in Redis for so long after the last one has gone."""
JOIN_S: Final = 5.0
RETURN_S: Final = LONGEST_WAIT_S + 1.0
"""In which whoever had a venue is connected to Redis again and has asked for it."""

_log = Logger(namespace="cryptodash.cluster")


@frozen
class Membership:
    """Who this process is, and on which machine. ``fingerprint`` says what all processes must have in common, in a form
    that can be read; ``role``: ``edge`` opens no venue."""

    process: str
    host: str
    fingerprint: str
    role: str = "all"


class Cluster(MultiService):
    """All venues of one process; ``add`` makes each known before start. A process that held a venue when Redis went
    away serves it to its own clients; nothing else is open then."""

    name = "cluster"

    def __init__(
        self,
        membership: Membership,
        redis: RedisServer,
        inlet: IRemoteInlet,
        demand: IDemand,
        states: IStates,
        records: Callable[[str], StreamRecords],
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
        self._channels = channels = Channels(redis, reactor, random, tally, self._up, self._hears)
        channels.setServiceParent(self)
        asking = Asking(membership.process, self._send, reactor)
        channels.listen(channels.key("to", membership.process), asking.took)
        leases = Leases(self._may_hold, self._may_try, self._held, self._granted)
        self._means = Means(
            membership.process,
            inlet,
            demand,
            states,
            reactor,
            clock,
            random,
            tally,
            channels,
            asking,
            leases,
            self._send,
            records,
            lambda: self.trouble,
        )
        self.members = _members_on(channels, membership, clock)
        self.peers = _reports_on(channels, self.members, reactor)
        self._was_up = False
        self._refusal = ""
        self._joining = False
        self._joined_at = float("-inf")
        self._looks, self._beats = LoopingCall(self._look), LoopingCall(self._beat)
        self._looks.clock = self._beats.clock = reactor
        self._count = 0
        self._register(tally)

    def _register(self, tally: Tally) -> None:
        tally.gauge(
            "cryptodash_cluster_lag_seconds",
            "How late the holder's last frame came, beyond the quickest of the last minute.",
            self._lags,
            "exchange",
        )
        tally.gauge(
            "cryptodash_cluster_leases", "Whether this process has the venue open for all.", self._leases, "exchange"
        )

    def add(self, exchange: str, make: MakeVenue) -> ClusterVenue:
        """A venue of this cluster, for the hub."""
        venue = self._venues[exchange] = VenueCoordinator(exchange, self._means, make)
        for name, took in (("bus", venue.published), ("demand", venue.demanded), ("ask", venue.asked)):
            self._channels.listen(self._channels.key(name, exchange), took)
        return venue.upstream

    @property
    def trouble(self) -> str:
        """Why nothing comes from other processes, for a person; empty where all is well."""
        return self._channels.trouble or self._refusal

    def standing(self, exchange: str) -> Standing:
        """What this process is to the venue now."""
        return self._venues[exchange].lease.standing(self._clock.monotonic())

    def report(self) -> ClusterReport:
        """What this process is."""
        holds = tuple(name for name, each in self._venues.items() if each.lease.fence is not None)
        processes, lags = 1 + len(self.members.others()), self._lags().values()
        lag_ms = round(max(lags) * 1000) if lags else None
        return ClusterReport(self.membership.process, self.membership.role, holds, self.trouble, processes, lag_ms)

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
        self.members.end()
        closed = DeferredList([each.stop() for each in self._venues.values()], consumeErrors=True)
        return closed.addCallback(lambda _: super(Cluster, self).stopService())

    # -- what comes

    def _up(self) -> None:
        """Redis is here (again): who has what? Where it was away, who had a venue then is asked first: that one has it
        open still, and nothing of it was missed."""
        self._joined_at = float("-inf")
        since = self._clock.monotonic() + (RETURN_S if self._was_up else 0.0)
        self._was_up = True
        for venue in self._venues.values():
            if venue.lease.fence is None:
                venue.keeper.try_at = since + self._random.uniform(0, TRY_S / 4)

    def _hears(self) -> None:
        """What was published meanwhile is lost to us."""
        for venue in self._venues.values():
            if not venue.upstream.is_local:
                venue.remote.begin()

    # -- time

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._channels.is_up and not self._joining and now - self._joined_at > JOIN_S:
            self._join(now)
        for venue in self._venues.values():
            venue.look(now)

    def _beat(self) -> None:
        self._count += 1
        if self._count % BEATS_A_REPORT == 0 and self._channels.is_open:
            self.members.tick()
        for venue in self._venues.values():
            venue.beat(with_report=self._count % BEATS_A_REPORT == 0)

    def _join(self, now: float) -> None:
        """Compare what all must have in common, and keep it there."""
        channels, mine = self._channels, self.membership.fingerprint

        def compared(found: bytes | None) -> None:
            self._joining, self._joined_at = False, now
            theirs = mine if found is None else found.decode(errors="replace")
            channels.is_open = theirs == mine
            refusal = (
                "" if channels.is_open else f"other settings than the cluster's: here {mine}; there {theirs[:400]}"
            )
            if refusal and refusal != self._refusal:
                _log.error("this process does not take part: {refusal}", refusal=refusal)
            self._refusal = refusal

        def failed(failure: Failure) -> None:
            self._joining = False
            failure.trap(RedisError)

        self._joining = True
        channels.run(scripts.JOIN, [channels.key("cluster")], mine, MEMBER_MS).addCallbacks(compared, failed)

    # -- for its venues

    def _send(self, to: str, payload: bytes) -> None:
        """To the holder of a venue, or to a process."""
        self._channels.publish(self._channels.key("ask" if to in self._venues else "to", to), payload)

    def _may_hold(self) -> bool:
        return self.membership.role != "edge" and self._channels.is_open and self._channels.is_up

    def _may_try(self) -> bool:
        """One at a time: the others may want some as well."""
        return not any(each.keeper.is_asking for each in self._venues.values())

    def _granted(self) -> None:
        """The next one later, for each that we have."""
        later = self._clock.monotonic() + PER_LEASE_S * self._held()
        for venue in self._venues.values():
            venue.keeper.try_at = max(venue.keeper.try_at, later)

    def _held(self) -> int:
        return sum(each.lease.fence is not None for each in self._venues.values())

    def _lags(self) -> Mapping[tuple[str, ...], float]:
        remote = {name: each.remote for name, each in self._venues.items() if not each.upstream.is_local}
        return {(name,): each.lag for name, each in remote.items() if each.fence is not None}

    def _leases(self) -> Mapping[tuple[str, ...], float]:
        return {(name,): float(each.lease.fence is not None) for name, each in self._venues.items()}


def _members_on(channels: Channels, membership: Membership, clock: Clock) -> Members:
    """Each process tells all that it is there."""
    channel = channels.key("members")
    members = Members(membership.process, membership.host, partial(channels.publish, channel), clock)
    channels.listen(channel, members.took)
    return members


def _reports_on(channels: Channels, members: Members, reactor: Any) -> Reports:
    """All hear a question; the answer comes to whoever asked."""
    questions = channels.key("reports")

    def answer(process: str, part: bytes) -> None:
        channels.publish(channels.key("reports", process), part)

    reports = Reports(members, partial(channels.publish, questions), answer, reactor)
    channels.listen(questions, reports.took_question)
    channels.listen(channels.key("reports", members.process), reports.took_part)
    return reports
