"""The watch over clients that cannot be written to: who reads nothing, or never catches up, has to go."""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock

TRICKLE_FACTOR: Final = 3
"""A client that reads, but has not emptied its queue for so many stall timeouts, sees old prices: it goes as well."""
_CHECKS_PER_TIMEOUT: Final = 10


class SlowClient(Protocol):
    """A client that cannot be written to now."""

    blocked_at: float

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
        self._timeout = stall_timeout
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
        self._timer = self._reactor.callLater(self._timeout / _CHECKS_PER_TIMEOUT, self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        for client in list(self.blocked):
            if (
                client.overflowed
                or client.stalled(now, self._timeout)
                or now - client.blocked_at >= TRICKLE_FACTOR * self._timeout
            ):
                self.unwatch(client)
                client.close_too_slow()
        if self.blocked and self._timer is None:
            self._arm()

    def _queues(self) -> list[int]:
        return [client.queued_bytes for client in self.blocked]
