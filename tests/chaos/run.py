"""Runs a plan: the real server, the simulated venues and the crowd on one clock; what came of it is a ``History``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from random import Random
from types import SimpleNamespace
from typing import Any

import txaio
from autobahn.twisted.websocket import WebSocketAdapterProtocol  # noqa: F401  (tells txaio that it is Twisted's)
from autobahn.websocket import protocol as autobahn_protocol
from twisted.application.service import MultiService, Service
from twisted.logger import globalLogPublisher

from cryptodash.api.ws import wire
from cryptodash.cluster.lease import TTL_S
from cryptodash.core.layers import Layer, load
from cryptodash.hub.stream_record import VenueQuality
from cryptodash.service import Server, StandIn
from cryptodash.simulator.server import Simulator
from tests.chaos.clients import Client
from tests.chaos.history import History, Quality
from tests.chaos.network import BadNetwork, Conditions, End, Link
from tests.chaos.plan import SYMBOLS, Plan
from tests.chaos.processes import FIRST_PORT, REDIS_PORT, Process
from tests.chaos.record import Record, Tap
from tests.chaos.recorded import RECORDED, recording
from tests.chaos.troubles import ServerClock, Troubles, VenueTime
from tests.chaos.venues import markets_of
from tests.cluster.simulated_redis import SimulatedRedis

SETTINGS = {
    "BIND_ADDR": "tcp:8080:interface=127.0.0.1",
    "DEMO": "true",
    "STALE_AFTER_S": "2.5",
    "UPSTREAM_LINGER_S": "2",
}
LINGER = 55.0
"""Seconds after the last client has gone until nothing of it may be left: two pings of one whose cable was pulled, and
ten seconds of a connection to a venue that nobody needs."""
STOP = 8.0
CLOCK_AHEAD_MS = (0, 300_000, -300_000)
"""By how much the wall clocks of processes that are one server differ: no age and no state may depend on it. (Of the
first one it is the plan's.)"""
RECORDED_AHEAD_MS = (0, 3_000, -3_000)
"""The same, of those that record into one directory: tapes are put together by time."""


@contextmanager
def _surroundings(network: BadNetwork, errors: list[str]) -> Iterator[None]:
    """What is outside the server and has no argument: Autobahn's timers and its clock (each ping carries the time), the
    kernel's count of what it holds, and the log, whose failures are taken down."""

    def observe(event: Mapping[str, Any]) -> None:
        if "log_failure" in event:
            failure = event["log_failure"]
            frames = [f"{each[1].rpartition('/')[2]}:{each[2]}" for each in failure.frames[-3:]]
            errors.append(f"{event.get('log_format', '')}: {failure.value!r} {' '.join(frames)}")

    before = getattr(txaio.config, "loop", None), wire.unacknowledged, autobahn_protocol.time
    txaio.config.loop, wire.unacknowledged = network, lambda handle: handle.unacknowledged  # type: ignore[assignment]
    autobahn_protocol.time = SimpleNamespace(time_ns=lambda: network.wall_ms() * 1_000_000)
    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)
        txaio.config.loop, wire.unacknowledged, autobahn_protocol.time = before  # type: ignore[assignment]


def run(plan: Plan, each_minute: Callable[[float, Mapping[str, int]], object] = lambda at, held: None) -> History:
    """Everything that comes of a plan; the same each time. ``each_minute`` is shown what the server holds."""
    history = History(plan)
    network = BadNetwork(plan.seed, plan.origin_ms)
    with _surroundings(network, history.errors), recording() if plan.recorded else nullcontext("") as tapes:
        _Stage(plan, network, history, tapes).play(each_minute)
    return history


class _Stage:
    def __init__(self, plan: Plan, network: BadNetwork, history: History, tapes: str = "") -> None:
        """``tapes``: a directory for recordings."""
        self._tapes = tapes
        self._plan, self._network, self._history = plan, network, history
        self._simulators = {
            exchange: Simulator(
                network, VenueTime(network, plan.lines[exchange]), seed=plan.seed, exchanges=[exchange], record=True
            )
            for exchange in plan.venues
        }
        clock = ServerClock(network, plan.wall_skew_ms, plan.wall_ppm)
        self._redis = self._make_redis() if plan.processes > 1 else None
        self._processes = self._make_processes(clock)
        ports = {
            exchange: frozenset(int(ws.rpartition(":")[2]) for ws, _ in simulator.base_urls.values())
            for exchange, simulator in self._simulators.items()
        }
        self._troubles = Troubles(plan, network, self._simulators, ports, clock, self._processes, self._redis)
        for exchange, numbers in ports.items():
            for port in sorted(numbers):
                network.rule(port, self._conditions_of(exchange), self._tapped(exchange, port))
        self._record = Record(network)
        self._clients = [
            Client(each, network, FIRST_PORT + number % plan.processes, plan.seed)
            for number, each in enumerate(plan.clients)
        ]

    def _make_redis(self) -> SimulatedRedis:
        network = self._network
        redis = SimulatedRedis(network, lambda: network.wall_ms() * 1000)
        network.listen(REDIS_PORT, redis)
        network.rule(REDIS_PORT, lambda number, rng: self._troubles.conditions_of_redis())
        return redis

    def _make_processes(self, clock: ServerClock) -> list[Process]:
        together = self._venues_service = MultiService()
        urls: dict[Any, tuple[str, str]] = {}
        for simulator in self._simulators.values():
            simulator.setServiceParent(together)
            simulator.listen()
            urls |= simulator.base_urls
        venues = self._plan.venues
        own = {"EXCHANGES": ",".join(venues)}
        if self._plan.catalogue_every is not None:
            own["CATALOGUE_REFRESH_S"] = str(self._plan.catalogue_every)
        if self._plan.recorded:
            own |= {**RECORDED, "RECORD_DIR": self._tapes}
        config = load([Layer("chaos", {**SETTINGS, **own})], venues)
        if self._plan.processes == 1 and not self._plan.recorded:
            stand_in = StandIn(together, urls, "simulated")
            return [Process(0, self._network, clock, config, stand_in, self._plan.seed, alone=True)]
        together.startService()
        found = []
        for number in range(self._plan.processes):
            own |= {
                "ENABLE_REDIS": "true" if self._plan.processes > 1 else "false",
                "BIND_ADDR": f"tcp:{FIRST_PORT + number}:interface=127.0.0.1",
            }
            config = load([Layer("chaos", {**SETTINGS, **own})], venues)
            stand_in = StandIn(Service(), urls, "simulated")
            aheads = RECORDED_AHEAD_MS if self._plan.recorded else CLOCK_AHEAD_MS
            ahead = aheads[number % len(aheads)]
            its = ServerClock(self._network, ahead, self._plan.wall_ppm)
            found.append(
                Process(number, self._network, its if number else clock, config, stand_in, self._plan.seed, alone=False)
            )
        return found

    def _conditions_of(self, exchange: str) -> Callable[[int, Random], Conditions]:
        return lambda number, rng: self._troubles.conditions(exchange)

    def _tapped(self, exchange: str, port: int) -> Callable[[Link], None]:
        urls = self._simulators[exchange].base_urls
        markets = frozenset(market.value for (_, market), (ws, _) in urls.items() if ws.endswith(f":{port}"))

        def made(link: Link) -> None:
            Tap(link, exchange, markets, self._history.arrivals, self._network)

        return made

    def play(self, each_minute: Callable[[float, Mapping[str, int]], object]) -> None:
        network, history = self._network, self._history
        for process in self._processes:
            process.start()
        for exchange, simulator in self._simulators.items():
            self._record.follow(simulator.hosts.values())
            for market in markets_of(exchange):
                for symbol in SYMBOLS:
                    self._record.add((exchange, market, symbol), simulator.truth)
        self._troubles.begin()
        for client in self._clients:
            client.begin(self._plan.seconds)
        while network.seconds() < self._plan.seconds:
            network.pass_until(network.seconds() + 1.0)
            self._count_holders()
            held = self._held()
            history.holdings.samples.append((network.seconds(), held))
            history.ledger.append((network.seconds(), self._quality()))
            if not round(network.seconds()) % 60:
                each_minute(network.seconds(), held)
        for client in self._clients:
            client.abort()
        network.pass_until(network.seconds() + LINGER)
        history.holdings.after = self._held()
        self._stop()
        self._collect()

    def _held(self) -> dict[str, int]:
        """What the processes hold in memory, in numbers."""
        running = [_held_by(each.server) for each in self._processes if each.is_running]
        found = {name: sum(each[name] for each in running) for name in running[0]} if running else {}
        found["queued_most"] = max((each["queued_most"] for each in running), default=0)
        return found | {"streams": self._streams(), "calls": len(self._network.calls)}

    def _count_holders(self) -> None:
        """Of several processes one at most takes itself for a venue's holder, unless Redis has just lost what it had:
        then its script alone decides whom it carries."""
        now = self._network.seconds()
        emptied = any(
            each.name in ("redis/flush", "redis/down") and each.begin <= now <= each.end + TTL_S
            for each in self._plan.troubles
        )
        for exchange in self._plan.venues if self._plan.processes > 1 and not emptied else ():
            holders = [each.number for each in self._processes if each.may_speak(exchange)]
            if len(holders) > 1:
                self._history.errors.append(f"{self._network.seconds():.0f}: {holders} all hold {exchange}")

    def _quality(self) -> dict[str, Quality]:
        if self._plan.processes > 1 or not self._processes[0].is_running:
            return {}
        return {
            each.exchange: Quality(each.total.state_ms, each.total.counts)
            for each in self._processes[0].server.hub.ledger.stream_quality(most_runs=1)
            if isinstance(each, VenueQuality)
        }

    def _streams(self) -> int:
        """What the venues still send to somebody. They may not have heard yet of the end of a frozen connection."""
        sessions = [
            each
            for simulator in self._simulators.values()
            for host in simulator.hosts.values()
            for each in host.sessions
        ]
        return sum(len(each.names) for each in sessions if not _is_frozen(each.transport))

    def _stop(self) -> None:
        stopping = [each.terminate() for each in self._processes if each.is_running]
        self._network.pass_until(self._network.seconds() + STOP)
        if not all(each.called for each in stopping):
            self._history.errors.append("the server does not stop")
        if self._plan.processes > 1 or self._plan.recorded:
            # One process takes them with it. Of several none does, and one of them may not have heard yet that its
            # connection has ended.
            self._venues_service.stopService()
        self._history.holdings.calls = [
            f"{call.func}" for call in self._network.calls if "cryptodash" in getattr(call.func, "__module__", "")
        ]

    def _collect(self) -> None:
        history = self._history
        digest = hashlib.sha256()
        for client in self._clients:
            history.connections += client.connections()
            history.messages += client.messages
            digest.update(client.digest.digest())
        for place, recorder in self._record.recorders.items():
            recorder.finish()
            history.tapes[place] = recorder.tape
        for simulator in self._simulators.values():
            history.limits_broken += [str(each) for each in simulator.ledger.violations]
        history.digest = digest.hexdigest()


def _held_by(server: Server) -> dict[str, int]:
    clients, hub = server.clients, server.hub
    writers = [each.writer for each in clients.sessions if getattr(each, "writer", None) is not None]
    return {
        "sessions": len(clients.sessions),
        "sockets": len(clients.sockets.open) if hasattr(clients.sockets, "open") else 0,
        "subscriptions": sum(clients.traffic.subscriptions.values()),
        "queued": clients.fanout.slow_clients.queued_bytes,
        "queued_most": max((each.unsent.bytes + each.wire.queued().in_transport for each in writers), default=0),
        "cohorts": len(clients.fanout.cohorts),
        "groups": len(clients.fanout.deliveries.groups),
        "topics": len(hub._demand.wanted),
        "cached": int(sum(hub._cache.sizes().values())),
    }


def _is_frozen(protocol: Any) -> bool:
    """Whether the connection of a venue's protocol is dead, without its knowing."""
    transport = protocol.transport
    while transport is not None and not isinstance(transport, End):
        transport = getattr(transport, "transport", None)
    return transport is not None and transport.link.frozen
