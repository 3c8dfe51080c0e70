"""Asks Redis for the lease of one venue, renews it, and learns that it is another's."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from cryptodash.cluster import scripts
from cryptodash.cluster.channels import Channels, unanswered
from cryptodash.cluster.lease import PER_LEASE_S, RENEW_S, TRY_S, TTL_S, Lease, read_token, token_of
from cryptodash.cluster.means import Leases
from cryptodash.cluster.redis_protocol import RedisError
from cryptodash.core.time import Clock

RELEASE_S: Final = 1.0
"""Of the five seconds that a process has to end, what giving back a lease may take."""
MEANT_S: Final = 2.5
"""So long after we asked for a lease it may be given. What lies in the buffers of a connection that was given up is
carried out all the same, and a lease that nobody hears of would be kept from whoever had it."""
_GIVEN, _TOO_LATE = 1, 2


class LeaseKeeper:
    """Keeps ``lease``. ``granted`` is called when Redis has given it to us (again), ``lost`` when it is another's."""

    def __init__(
        self,
        exchange: str,
        lease: Lease,
        channels: Channels,
        leases: Leases,
        clock: Clock,
        random: Random,
        granted: Callable[[], object],
        lost: Callable[[], object],
    ) -> None:
        self.key = channels.key("lease", exchange)
        self.try_at = 0.0
        """When to ask for it next, while another has it (s)."""
        self.is_asking = False
        self._fence_key = channels.key("fence", exchange)
        self._lease = lease
        self._channels = channels
        self._leases = leases
        self._clock = clock
        self._random = random
        self._granted = granted
        self._lost = lost
        self._renewed_at = float("-inf")
        self._redis_ahead_ms: int | None = None
        """By how much Redis's clock is ahead of our monotonic one, less the way of its answer; None: it has said
        nothing yet."""
        self._is_over = False

    def look(self, now: float) -> None:
        """Four times a second: whether to ask for it, or to renew it."""
        if self.is_asking or not self._channels.is_up:
            return
        if self._lease.fence is not None:
            if now - self._renewed_at >= RENEW_S:
                self._renew(now)
        elif now >= self.try_at and self._leases.may_hold() and self._leases.may_try():
            self.try_at = now + TRY_S + PER_LEASE_S * self._leases.held() + self._random.uniform(0, 0.3)
            self._try(now)

    def regain(self) -> None:
        """It is not ours any more. Where it is nobody's (Redis was emptied, or out of reach for too long) we may have
        it again and go on; else it is another's."""
        if self.is_asking or self._lease.fence is None:
            return
        if self._leases.may_hold():
            self._try(self._clock.monotonic())
        else:
            self._is_lost()

    def release(self, reactor: IReactorTime) -> Deferred[Any]:
        """Another has it at once. Fires when Redis has said so, or does not answer in time."""
        given = self._channels.run(scripts.RELEASE, [self.key], self._lease.token)
        given.addTimeout(RELEASE_S, reactor)
        self._lease.lost()
        return given.addErrback(lambda failure: failure.trap(RedisError, TimeoutError))

    def end(self) -> None:
        """The process ends: what is granted from now on is given back."""
        self._is_over = True

    # -- inside

    def _try(self, now: float) -> None:
        self.is_asking = True
        ahead = self._redis_ahead_ms
        latest = 0 if ahead is None else round((now + MEANT_S) * 1000) + ahead
        arguments = (self._lease.process, round(TTL_S * 1000), latest)
        asked = self._channels.run(scripts.GRANT, [self.key, self._fence_key], *arguments)
        asked.addCallbacks(self._tried, self._not_asked, callbackArgs=(now,))

    def _tried(self, answer: Any, sent: float) -> None:
        self.is_asking = False
        granted, said, time_ms = answer
        now = self._clock.monotonic()
        self._redis_ahead_ms = time_ms - round(now * 1000)
        if granted == _GIVEN:
            self._is_granted(int(said), sent)
            return
        if granted == _TOO_LATE:
            if self._lease.fence is not None:
                self._try(now)  # it is nobody's
            return
        try:
            owner, fence = read_token(said)
        except ValueError:
            owner, fence = "", 0  # somebody else's: not ours in any case
        if owner == self._lease.process and fence != self._lease.fence:
            self._claim(fence)
        elif self._lease.fence is not None:
            self._is_lost()

    def _claim(self, fence: int) -> None:
        """Redis has given us the lease when we did not hear it any more: what waits in the buffers of a connection that
        we gave up is carried out all the same. Without this it would be nobody's until it runs out."""
        self.is_asking = True
        token, now = token_of(self._lease.process, fence), self._clock.monotonic()
        asked = self._channels.run(scripts.RENEW, [self.key], token, round(TTL_S * 1000))
        asked.addCallbacks(self._claimed, self._not_asked, callbackArgs=(fence, now))

    def _claimed(self, is_ours: Any, fence: int, sent: float) -> None:
        self.is_asking = False
        if is_ours:
            self._is_granted(fence, sent)
        elif self._lease.fence is not None:
            self._is_lost()

    def _is_granted(self, fence: int, sent: float) -> None:
        if self._is_over:  # it was asked for before the end
            token = token_of(self._lease.process, fence)
            self._channels.run(scripts.RELEASE, [self.key], token).addErrback(unanswered)
            return
        self._lease.granted(fence, sent)
        self._renewed_at = sent
        self._leases.granted()
        self._granted()

    def _renew(self, now: float) -> None:
        self.is_asking = True
        self._renewed_at = now
        asked = self._channels.run(scripts.RENEW, [self.key], self._lease.token, round(TTL_S * 1000))
        asked.addCallbacks(self._is_renewed, self._not_asked, callbackArgs=(now,))

    def _is_renewed(self, is_ours: Any, sent: float) -> None:
        self.is_asking = False
        if is_ours:
            self._lease.renewed(sent)
        else:
            self.regain()

    def _not_asked(self, failure: Failure) -> None:
        self.is_asking = False
        failure.trap(RedisError)

    def _is_lost(self) -> None:
        self._lease.lost()
        self.try_at = self._clock.monotonic()
        self._lost()
