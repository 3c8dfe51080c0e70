"""What a plan's troubles do: faults of the simulated venues by their names, those of network and clocks here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from attrs import define

from cryptodash.simulator.server import Simulator
from tests.chaos.network import BadNetwork, Conditions, Link
from tests.chaos.plan import Plan, Trouble, VenueLine
from tests.chaos.processes import REDIS_PORT, Process
from tests.cluster.simulated_redis import SimulatedRedis


class ServerClock:
    """The server's clocks: ``monotonic`` is the network's, the wall clock is off, drifts and is set."""

    def __init__(self, network: BadNetwork, skew_ms: int, ppm: int) -> None:
        self.monotonic = network.monotonic
        self.skew_ms = skew_ms
        self._network, self._ppm = network, ppm

    def wall_ms(self) -> int:
        return self._network.wall_ms() + self.skew_ms + int(self._network.seconds() * self._ppm) // 1000


class VenueTime:
    """A venue's clock, wrong by its own amount."""

    def __init__(self, network: BadNetwork, line: VenueLine) -> None:
        self.monotonic = network.monotonic
        self._network, self._line = network, line

    def wall_ms(self) -> int:
        seconds = self._network.seconds()
        return self._network.wall_ms() + self._line.skew_ms + int(seconds * self._line.drift_ppm) // 1000


@define(eq=False)
class Troubles:
    """Starts and ends what goes wrong. ``ports``: those of each venue."""

    plan: Plan
    network: BadNetwork
    simulators: Mapping[str, Simulator]
    ports: Mapping[str, frozenset[int]]
    clock: ServerClock
    processes: Sequence[Process] = ()
    redis: SimulatedRedis | None = None

    def begin(self) -> None:
        for trouble in [each for each in self.plan.troubles if each.begin < self.plan.seconds]:
            self.network.callLater(max(0.0, trouble.begin - self.network.seconds()), self._start, trouble)

    def conditions(self, exchange: str) -> Conditions:
        """How a new connection to the venue is now."""
        line, now = self.plan.lines[exchange], self.network.seconds()
        more = sum(
            each.amount
            for each in self.plan.troubles
            if each.name == "net/delay" and each.exchange == exchange and each.begin <= now < each.end
        )
        return Conditions(line.delay + more, line.jitter, None, line.split)

    def _start(self, trouble: Trouble) -> None:
        if "/" in trouble.name:
            _STARTS[trouble.name](self, trouble)
            return
        simulator = self.simulators[trouble.exchange]
        options: dict[str, Any] = {}
        if trouble.name == "slow":
            options["delay"] = trouble.amount
        if trouble.name == "clock":
            options["step"] = trouble.amount
        if trouble.to is not None:
            options["to"] = trouble.to
        simulator.faults.start(
            trouble.exchange, trouble.name, trouble.symbol, max(0.1, trouble.seconds), trouble.market, **options
        )

    def _links(self, trouble: Trouble) -> list[Link]:
        return self.network.open_links(self.ports[trouble.exchange])

    def _freeze(self, trouble: Trouble) -> None:
        for link in self._links(trouble):
            link.freeze()

    def _stall(self, trouble: Trouble) -> None:
        links = self._links(trouble)
        for link in links:
            link.freeze()
        self.network.callLater(trouble.seconds, self._thaw, links)

    def _thaw(self, links: list[Link]) -> None:
        for link in links:
            link.thaw()

    def _cut(self, trouble: Trouble) -> None:
        rng = Random(f"{self.plan.seed}:{trouble.begin}")
        for link in self._links(trouble):
            end = rng.choice((link.server, link.server, link.client))
            end.cut_after = end.delivered + int(trouble.amount)

    def _deaf(self, trouble: Trouble) -> None:
        self.network.deaf_ports |= self.ports[trouble.exchange]
        self.network.callLater(trouble.seconds, self._hear, trouble)

    def _hear(self, trouble: Trouble) -> None:
        self.network.deaf_ports -= self.ports[trouble.exchange]

    def _delay(self, trouble: Trouble) -> None:
        self._delay_links(trouble)
        self.network.callLater(trouble.seconds + 1e-6, self._delay_links, trouble)

    def _delay_links(self, trouble: Trouble) -> None:
        for link in self._links(trouble):
            for end in (link.client, link.server):
                end.conditions = self.conditions(trouble.exchange)

    # -- processes and Redis

    def conditions_of_redis(self) -> Conditions:
        """How far Redis is now."""
        now = self.network.seconds()
        slow = any(each.name == "redis/slow" and each.begin <= now < each.end for each in self.plan.troubles)
        return Conditions(0.7 if slow else 0.001)

    def _process(self, trouble: Trouble) -> Process:
        return self.processes[int(trouble.amount) % len(self.processes)]

    def _kill(self, trouble: Trouble) -> None:
        process = self._process(trouble)
        if process.is_running:
            process.kill()
            self.network.callLater(trouble.seconds, process.start)

    def _stop_process(self, trouble: Trouble) -> None:
        process = self._process(trouble)
        if process.is_running:
            reactor = process.reactor
            reactor.stop()
            self.network.callLater(trouble.seconds, reactor.go_on)

    def _terminate(self, trouble: Trouble) -> None:
        process = self._process(trouble)
        if process.is_running:
            process.terminate().addBoth(lambda _: self.network.callLater(trouble.seconds, process.start))

    def _redis(self) -> SimulatedRedis:
        assert self.redis is not None
        return self.redis

    def _pause_redis(self, trouble: Trouble) -> None:
        self._redis().pause()
        self.network.callLater(trouble.seconds, self._redis().go_on)

    def _redis_down(self, trouble: Trouble) -> None:
        self._redis().crash()
        self.network.servers.pop(REDIS_PORT, None)
        self.network.callLater(trouble.seconds, lambda: self.network.servers.setdefault(REDIS_PORT, self._redis()))

    def _flush_redis(self, trouble: Trouble) -> None:
        self._redis().flush()

    def _redis_read_only(self, trouble: Trouble) -> None:
        self._redis().is_read_only = True
        self.network.callLater(trouble.seconds, setattr, self._redis(), "is_read_only", False)

    def _cut_redis(self, trouble: Trouble) -> None:
        for link in self.network.open_links({REDIS_PORT}):
            if link.process is self._process(trouble).reactor:
                link.cut()

    def _slow_redis(self, trouble: Trouble) -> None:
        self._delay_redis()
        self.network.callLater(trouble.seconds + 1e-6, self._delay_redis)

    def _delay_redis(self) -> None:
        for link in self.network.open_links({REDIS_PORT}):
            for end in (link.client, link.server):
                end.conditions = self.conditions_of_redis()

    def _step(self, trouble: Trouble) -> None:
        self.clock.skew_ms += round(trouble.amount * 1000)


_STARTS: Mapping[str, Callable[[Troubles, Trouble], None]] = {
    "net/freeze": Troubles._freeze,
    "net/stall": Troubles._stall,
    "net/cut": Troubles._cut,
    "net/deaf": Troubles._deaf,
    "net/delay": Troubles._delay,
    "wall/step": Troubles._step,
    "process/kill": Troubles._kill,
    "process/stop": Troubles._stop_process,
    "process/term": Troubles._terminate,
    "redis/pause": Troubles._pause_redis,
    "redis/down": Troubles._redis_down,
    "redis/flush": Troubles._flush_redis,
    "redis/read-only": Troubles._redis_read_only,
    "redis/cut": Troubles._cut_redis,
    "redis/slow": Troubles._slow_redis,
}
