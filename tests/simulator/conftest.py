"""A simulator without sockets: both clocks stand still until a test moves them,
and a connection is a list of frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from attrs import define, field
from twisted.internet.testing import MemoryReactorClock

from cryptodash.core.time import ManualClock
from cryptodash.simulator.control import CONTROL_PORT
from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.server import Simulator
from cryptodash.simulator.session import ClientSession

START = 1_763_811_234_567
"""2025-11-22T11:33:54.567Z: in the middle of a minute, a quarter, an hour and a day."""


@define(eq=False)
class Client:
    """The client's end of a session: what came, and how it ended."""

    host: VenueHost
    frames: list[str] = field(factory=list)
    pings: list[bytes] = field(factory=list)
    ended: tuple[int, str] | None = None
    session: ClientSession | None = None
    answers_pings: bool = True

    def send(self, text: str) -> None:
        assert self.ended is None, "a frame after the end"
        self.frames.append(text)

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)
        if self.answers_pings and self.session is not None:
            self.host.pong(self.session)

    def close(self, code: int, reason: str) -> None:
        self._end(code, reason)

    def abort(self) -> None:
        self._end(1006, "aborted")

    def _end(self, code: int, reason: str) -> None:
        if self.ended is None:
            self.ended = (code, reason)
            assert self.session is not None
            self.host.closed(self.session)

    def say(self, request: object) -> None:
        """Send one JSON request, or text as it is."""
        assert self.session is not None
        self.host.text(self.session, request if isinstance(request, str) else msgspec.json.encode(request).decode())

    def take(self) -> list[Any]:
        """What came since the last call, decoded."""
        taken, self.frames = [msgspec.json.decode(frame) for frame in self.frames], []
        return taken


@define(eq=False)
class World:
    """A running simulator and its clocks."""

    simulator: Simulator
    reactor: MemoryReactorClock
    clock: ManualClock

    def run(self, seconds: float) -> None:
        """Let time pass in steps of 50 ms."""
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)
            self.reactor.advance(0.05)

    def connect(self, host: str, path: str, query: Mapping[str, str] | None = None) -> Client:
        """A connection to a host by its name; it must not be refused."""
        venue = self.simulator.hosts[host]
        assert venue.refuse(path) is None
        wire = Client(venue)
        wire.session = venue.opened(wire, path, query or {})
        return wire

    def get(self, host: str, path: str, **query: object) -> HttpAnswer:
        """A REST request."""
        return self.simulator.hosts[host].rest(path, {name: str(value) for name, value in query.items()})

    def json(self, host: str, path: str, **query: object) -> Any:
        """The decoded body of a REST request that must succeed."""
        answer = self.get(host, path, **query)
        assert answer.status == 200, answer
        return msgspec.json.decode(answer.body)


def make_world(seed: int = 1, **options: Any) -> World:
    """A simulator that runs, for tests that need more than one."""
    reactor, clock = MemoryReactorClock(), ManualClock(START)
    simulator = Simulator(reactor, clock, seed=seed, record=True, control_port=CONTROL_PORT, **options)
    simulator.startService()
    return World(simulator, reactor, clock)


@pytest.fixture
def world() -> Iterator[World]:
    made = make_world()
    yield made
    made.simulator.stopService()
    assert not [call for call in made.reactor.getDelayedCalls() if call.active()]


@pytest.fixture(name="make_world")
def _make_world() -> Any:
    return make_world
