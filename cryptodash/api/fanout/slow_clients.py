"""The watch over clients that cannot be written to: who reads nothing has to go, and who costs too much memory. Who
reads slowly stays: what waits for it is replaced by what is newer."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock

MAX_QUEUED: Final = 256 * 2**20
"""Bytes that may wait for all clients together; above it those go for whom most waits."""
_CHECKS_PER_TIMEOUT: Final = 10


class SlowClient(Protocol):
    """A client that cannot be written to now."""

    @property
    def queued_bytes(self) -> int:
        """What waits for it in our memory."""

    @property
    def overflowed(self) -> bool:
        """Whether more came for it than may wait."""

    def stalled(self, now: float, timeout: float) -> bool:
        """Whether it has read nothing for so long."""

    def close_too_slow(self) -> None:
        """End the connection, and say why."""


class SlowClients:
    """All clients of one server that are blocked now. One timer, and only while there are any."""

    def __init__(self, reactor: IReactorTime, clock: Clock, stall_timeout: float, tally: Tally) -> None:
        self.blocked: dict[SlowClient, None] = {}
        self._reactor = reactor
        self._clock = clock
        self.timeout = stall_timeout
        """Seconds, from the next look on."""
        self._timer: IDelayedCall | None = None
        tally.gauge(
            "cryptodash_ws_paused_connections",
            "Clients that cannot be written to now.",
            lambda: {(): len(self.blocked)},
        )
        tally.gauge("cryptodash_ws_queue_bytes", "Bytes that wait for slow clients.", lambda: {(): sum(self._queues())})
        tally.gauge(
            "cryptodash_ws_queue_bytes_max",
            "Bytes that wait for the slowest client.",
            lambda: {(): max(self._queues(), default=0)},
        )

    @property
    def queued_bytes(self) -> int:
        """What waits for all of them."""
        return sum(self._queues())

    def watch(self, client: SlowClient) -> None:
        """The client cannot be written to: it must make progress."""
        self.blocked[client] = None
        if self._timer is None:
            self._arm()

    def unwatch(self, client: SlowClient) -> None:
        """It can be written to again, or has gone."""
        self.blocked.pop(client, None)

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._reactor.callLater(self.timeout / _CHECKS_PER_TIMEOUT, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        for client in list(self.blocked):
            if client.stalled(now, self.timeout) or client.overflowed:
                self._close(client)
        self._keep_within(MAX_QUEUED)
        if self.blocked and self._timer is None:
            self._arm()

    def _close(self, client: SlowClient) -> None:
        self.unwatch(client)
        client.close_too_slow()

    def _keep_within(self, limit: int) -> None:
        over = sum(self._queues()) - limit
        if over <= 0:
            return
        for client in sorted(self.blocked, key=lambda each: each.queued_bytes, reverse=True):
            over -= client.queued_bytes
            self._close(client)
            if over <= 0:
                return

    def _queues(self) -> list[int]:
        return [client.queued_bytes for client in self.blocked]
