"""Server processes of a run: one, or several that are one server by a Redis in memory. A process of several can be
killed, stopped for a while and told to end, as by signals."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.error import ConnectionLost

from cryptodash.cluster.lease import Standing
from cryptodash.core.config import Config
from cryptodash.service import Server, StandIn, build
from tests.chaos.network import BadNetwork, End, Link
from tests.chaos.recorded import read_in_turn, torn_off

FIRST_PORT = 8080
REDIS_PORT = 6379


class ProcessReactor:
    """The network, as one process has it: its timers and its ends of connections stand still while it is stopped."""

    def __init__(self, network: BadNetwork) -> None:
        self._network = network
        self._calls: dict[int, Any] = {}
        self._dialled: list[Any] = []
        self._ports: set[int] = set()
        self._due: list[tuple[Any, float]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
        def call() -> None:
            del self._calls[id(made)]
            callable(*args, **kw)

        made = self._network.callLater(delay, call)
        self._calls[id(made)] = made
        if len(self._calls) > 500:
            self._calls = {key: each for key, each in self._calls.items() if each.active()}
        return made

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None) -> Any:
        attempt = self._network.connectTCP(host, port, factory, timeout, bindAddress)
        self._dialled = [each for each in self._dialled if each in self._network.attempts]
        self._dialled.append(attempt)
        attempt.process = self
        return attempt

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        self._ports.add(port)
        return self._network.listenTCP(port, factory, backlog, interface)

    def ends(self) -> list[End]:
        """Of its connections, those that are open."""
        found = []
        for link in self._network.links:
            if getattr(link, "process", None) is self:
                found.append(link.client)
            elif link.port in self._ports:
                found.append(link.server)
        return [each for each in found if each.connected]

    # -- signals

    def stop(self) -> None:
        """SIGSTOP: the kernel goes on, the process does not."""
        self._due = [(each, each.getTime()) for each in self._calls.values() if each.active()]
        for call, _ in self._due:
            call.reset(1e9)
        for end in self.ends():
            end.reads = False

    def go_on(self) -> None:
        """SIGCONT: what was due meanwhile is due now."""
        due, self._due = self._due or [], None
        for call, at in due:
            if call.active():
                call.reset(max(0.0, at - self._network.seconds()))
        for end in self.ends():
            end.reads = True
            end.read_on()

    def kill(self) -> None:
        """SIGKILL: nothing of it is left, and its peers hear of that."""
        for call in list(self._calls.values()):
            if call.active():
                call.cancel()
        for attempt in self._dialled:
            if attempt in self._network.attempts:
                self._network.attempts.remove(attempt)
        for port in self._ports:
            self._network.servers.pop(port, None)
        for end in self.ends():
            _vanish(end)


def _vanish(end: End) -> None:
    """The connection is lost for the peer; on this side nobody is left to hear of it."""
    link: Link = end.link
    end.protocol = _Nobody()
    end._way.clear()
    end.other._way.clear()
    end.lose(ConnectionLost())
    link.reactor.callLater(end.conditions.delay, end.other.lose, ConnectionLost())


class _Nobody:
    def dataReceived(self, data: bytes) -> None:
        """Nobody reads it."""

    def connectionLost(self, reason: object) -> None:
        """Nobody hears of it."""


class Process:
    """One server process. ``make`` builds its server anew each time that it is started."""

    def __init__(
        self, number: int, network: BadNetwork, clock: Any, config: Config, stand_in: StandIn, seed: int, alone: bool
    ) -> None:
        """``alone``: it is never killed, and takes the venues with it."""
        self.number = number
        self.is_running = False
        self._network, self._clock, self._config, self._stand_in = network, clock, config, stand_in
        self._seed, self._alone, self._starts = seed, alone, 0
        self.reactor: Any = network
        self.server: Server

    def start(self) -> None:
        self._starts += 1
        if not self._alone:
            self.reactor = ProcessReactor(self._network)
        random = Random(self._seed if self._alone else f"{self._seed}:process:{self.number}:{self._starts}")
        self.server = build(self._config, self.reactor, clock=self._clock, random=random, stand_in=self._stand_in)
        if self._config.record_dir:
            read_in_turn(self.server, self._config.record_dir, self.reactor, random)
        self.server.privilegedStartService()
        self.server.startService()
        self.is_running = True

    def may_speak(self, exchange: str) -> bool:
        """Whether it takes itself for the one that has the venue open for all."""
        cluster: Any = self.server.getServiceNamed("cluster")
        return self.is_running and cluster.standing(exchange) is Standing.HOLDER

    def kill(self) -> None:
        if self.is_running:
            self.is_running = False
            self.reactor.kill()
            if self._config.record_dir:
                torn_off(self.server)

    def terminate(self) -> Any:
        """SIGTERM; fires when it has ended."""
        self.is_running = False
        return self.server.stopService()
