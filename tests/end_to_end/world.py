"""A whole server, the simulated venues and one client in memory, under one clock: minutes pass in seconds,
and always in the same way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from types import ModuleType
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol

from cryptodash.core.layers import Layer, load
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.service import StandIn, build
from cryptodash.simulator.server import Simulator
from cryptodash.testing.network import MemoryNetwork

STEP = 1 / 16
"""Seconds; a sum of them is exact in binary, so that a timer is never late by a rounding error."""
LATENCY = 0.06

Channel = dict[str, Any]


class Listener(WebSocketClientProtocol):
    """The client's protocol: every message goes to the world at once."""

    def onOpen(self) -> None:
        self.factory.world.client = self

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.world.received(json.loads(payload, parse_float=str))

    def say(self, message: object) -> None:
        self.sendMessage(json.dumps(message).encode())


class World:
    """``oracle`` is the module of that name. ``lifetime``: seconds after which Binance cuts connections, if not a day.
    ``clock``: the server's, made from the network, whose own is the venues'. ``seed`` is the market's, ``known`` what
    ``EXCHANGES`` may name (those it names). Settings are those of the environment."""

    def __init__(
        self,
        oracle: ModuleType,
        network: MemoryNetwork,
        *,
        venues: Sequence[IVenue] | None = None,
        lifetime: float | None = None,
        clock: Callable[[MemoryNetwork], Clock] | None = None,
        seed: int = 1,
        known: Sequence[str] | None = None,
        **settings: str,
    ) -> None:
        self.network = network
        network.latency = LATENCY
        self.simulator = Simulator(network, network, seed=seed, record=True)
        for host in self.simulator.hosts.values():
            host.lifetime = lifetime or host.lifetime
        self.simulator.listen()
        stand_in = StandIn(self.simulator, self.simulator.base_urls, "simulated")
        known = known or settings.get("EXCHANGES", "binance,bybit").split(",")
        config = load([Layer("test", {"BIND_ADDR": "127.0.0.1:0", "DEMO": "true", **settings})], known)
        self.server = build(
            config,
            network,
            clock=clock(network) if clock else network,
            random=Random(7),
            venues=venues,
            stand_in=stand_in,
        )
        self.server.privilegedStartService()
        self.server.startService()
        self.record = oracle.Record(self.simulator.truth)
        self.record.follow(self.simulator.hosts.values())
        self.oracle = oracle.Oracle(self.record)
        self.messages: list[dict[str, Any]] = []
        """What the client got since somebody emptied this."""
        self.client: Any = None
        self.spoil: Callable[[dict[str, Any]], Sequence[dict[str, Any]]] = lambda message: (message,)
        """What the oracle is shown in place of a message."""
        self.run_until(
            lambda: all(
                each.catalogue.loaded(market) for each in self.server.hub.upstreams.values() for market in each.markets
            )
        )
        self._connect()

    def _connect(self) -> None:
        self.network.latency = 0.0
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{self.server.port}/ws", reactor=self.network)
        factory.protocol = Listener
        factory.world = self
        self.network.connectTCP("127.0.0.1", self.server.port, factory)
        self.run_until(lambda: self.client is not None)
        self.network.latency = LATENCY

    @property
    def now(self) -> int:
        """Wall clock, ms."""
        return self.network.wall_ms()

    def received(self, message: dict[str, Any]) -> None:
        for each in self.spoil(message):
            self.messages.append(each)
            about = each["payload"].get("channel", each["payload"])
            if about.get("exchange") != "composite":  # the oracle knows single venues; what is made of them has its own
                self.oracle.take(each, self.now)

    def subscribe(self, *channels: Channel) -> None:
        self.client.say({"op": "subscribe", "channels": channels})
        self.network.settle()

    def run(self, seconds: float) -> None:
        """Let time pass; the oracle looks four times a second."""
        for _ in range(round(seconds / STEP)):
            self.network.advance(STEP)
            self.network.settle()
            self.record.look()
            if not self.now % 250:
                self.oracle.look(self.now)

    def run_until(self, true: Callable[[], bool], seconds: float = 30.0) -> float:
        """Let time pass until a condition holds; how long that took. ``AssertionError`` after the time."""
        begun = self.network.seconds()
        while not true():
            assert self.network.seconds() - begun < seconds, f"not so after {seconds} s: {self.states()}"
            self.run(STEP)
        return float(self.network.seconds() - begun)

    def states(self) -> dict[str, tuple[str, str]]:
        return self.oracle.states()

    def stop(self) -> None:
        stopping = self.server.stopService()
        self.network.pass_time(6.0)
        assert stopping.called
