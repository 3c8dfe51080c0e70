"""Topics that REST keeps alive between two requests: a bounded number, each until the linger after its last request."""

from __future__ import annotations

from collections import Counter
from math import ceil

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.config import Config
from cryptodash.core.errors import TryLater
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IDemand


@define
class _Held:
    owner: str
    until: float


class Holds:
    """Who asked first for a topic pays for it in the count of its address (on a unix socket
    that is not trusted all have the same, the empty one); every request renews it."""

    def __init__(self, demand: IDemand, config: Config, clock: Clock, scheduler: IReactorTime) -> None:
        self._demand = demand
        self._linger = config.upstream_linger_s
        self.limits = config.limits
        self._clock = clock
        self._scheduler = scheduler
        self._held: dict[Topic, _Held] = {}
        self._owners: Counter[str] = Counter()
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, topic: Topic, address: str) -> None:
        """Keep the topic wanted for the linger from now. Raises ``TryLater`` ``too_many_topics``."""
        self._expire()
        until = self._clock.monotonic() + self._linger
        held = self._held.pop(topic, None)
        if held is None:
            self._check(address)
            self._demand_of(address).hold(topic, self._interval(topic))
            held = _Held(address, until)
            self._owners[address] += 1
        held.until = until
        self._held[topic] = held  # at the end: the dict stays in order of expiry
        self._schedule()

    def stop(self) -> None:
        """Release everything."""
        for topic in list(self._held):
            self._release(topic)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, address: str) -> None:
        limits = self.limits
        if self._owners[address] >= limits.rest_held_topics_per_ip:
            soonest = min(each.until for each in self._held.values() if each.owner == address)
            message = (
                f"at most {limits.rest_held_topics_per_ip} topics per address can be asked for at a time; "
                "use /ws for more"
            )
        elif len(self._held) >= limits.rest_held_topics:
            soonest = next(iter(self._held.values())).until
            message = "too many topics are asked for over REST; use /ws"
        else:
            return
        if not self._owners[address]:
            del self._owners[address]
        raise TryLater("too_many_topics", message, max(1, ceil(soonest - self._clock.monotonic())))

    def _schedule(self) -> None:
        if self._timer is None and self._held:
            first = next(iter(self._held.values())).until
            self._timer = self._scheduler.callLater(max(0.0, first - self._clock.monotonic()), self._due)

    def _due(self) -> None:
        self._timer = None
        self._expire()
        self._schedule()

    def _expire(self) -> None:
        now = self._clock.monotonic()
        while self._held:
            topic, held = next(iter(self._held.items()))
            if held.until > now:
                break
            self._release(topic)

    def _release(self, topic: Topic) -> None:
        held = self._held.pop(topic)
        self._owners[held.owner] -= 1
        if not self._owners[held.owner]:
            del self._owners[held.owner]
        self._demand_of(held.owner).release(topic, self._interval(topic))

    def _demand_of(self, address: str) -> IDemand:
        """All requests of an address are one client's."""
        return self._demand.for_client(f"rest {address}", address)

    def _interval(self, topic: Topic) -> int:
        return self._demand.view_interval(topic, None)
