"""Records a run with faults and plays it back: the real server with its recorder, the simulated venues, one client that
gets everything live and one that plays it all at the end, on one clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, evolve, frozen
from twisted.application.service import MultiService, Service

from cryptodash.core.layers import Layer, load
from cryptodash.service import StandIn
from cryptodash.simulator.server import Simulator
from tests.chaos.clients import Client, frame
from tests.chaos.history import Request
from tests.chaos.network import BadNetwork, Conditions
from tests.chaos.plan import LASTING, SUDDEN, SYMBOLS, Action, ClientPlan, Plan, Trouble, VenueLine, channel_of
from tests.chaos.processes import FIRST_PORT, REDIS_PORT, Process
from tests.chaos.run import SETTINGS, _surroundings
from tests.chaos.simulated_recorder import simulated_recorder
from tests.chaos.troubles import ServerClock, Troubles, VenueTime
from tests.chaos.venues import COMPOSITE, can_have
from tests.cluster.simulated_redis import SimulatedRedis
from tests.recording.disks import FailingDisk

DEPTH = 10
KINDS = ("ticker", "bbo", "trade", f"order_book:{DEPTH}", "candle:1m")
DERIVED = ("bbo", f"order_book:{DEPTH}")
SETTLED = 12.0
"""Seconds after the beginning when everything has come once."""
AWAY = 6.0
"""Seconds for which a server that is started again is not there."""
ERRNO_IO = 5


@frozen
class Outage:
    """What happens to the recording at a time (s): for so many seconds the disk fails (``fail``), or the server is not
    there (``restart``). Of several processes one that has a venue open, and not the clients, is not there: it
    was killed (``kill``), told to end (``term``), or stands still (``stop``)."""

    at: float
    what: str
    seconds: float = AWAY


@frozen
class Script:
    """What is recorded. ``pairs``: (venue, market, symbol)."""

    seconds: float
    pairs: Sequence[tuple[str, str, str]]
    troubles: Sequence[Trouble]
    outages: Sequence[Outage]
    seed: int = 1
    with_composite: bool = False
    processes: int = 1
    """That are one server. Both clients are at the last one."""
    everywhere: bool = False
    """Whether a client at each of the other processes has all of it as well."""

    @property
    def channels(self) -> tuple[str, ...]:
        liquid = tuple(f"{':'.join(pair)}:liquidation" for pair in self.pairs if pair[1] == "perpetual")
        derived = (f"{COMPOSITE}:spot:{SYMBOLS[0]}:{kind}" for kind in DERIVED if self.with_composite)
        return (*(f"{':'.join(pair)}:{kind}" for pair in self.pairs for kind in KINDS), *liquid, *derived)

    @property
    def venues(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(venue for venue, _, _ in self.pairs))


@frozen
class Got:
    """A message of a client: when it came (s), its bytes, and what they say."""

    at: float
    body: bytes
    value: Mapping[str, Any]


@define
class Played:
    """What came of it. ``wall_ms_at`` of a moment (s) is tape time of the first run."""

    live: list[Got]
    """All that the live client got, on one connection after the other."""
    played: list[Got]
    """All that was played, the first and the last message being ``info``."""
    begin_ms: int
    end_ms: int
    origin_ms: int
    errors: list[str]
    tape_bytes: int


class _Client(Client):
    """One of the crowd that does not resume."""

    def took(self, message: Mapping[str, Any]) -> None:
        self.messages += 1


WITHOUT = ("wall/step",)
"""A clock that is set moves the tape time of the next run: it has a test of its own."""


def one_after_the_other(venues: Sequence[str], every: float, begin: float, seconds: float) -> list[Trouble]:
    """Each kind of trouble of each venue in turn, one every so many seconds, over and over until that time; one goes on
    into the next."""
    rng = Random("playback")
    kinds = {name: make for name, make in {**LASTING, **SUDDEN}.items() if name not in WITHOUT}
    turns = [
        (name, venue)
        for shift in range(len(venues))  # each name once before any comes again at another venue
        for at, name in enumerate(kinds)
        if can_have(venue := venues[(at + shift) % len(venues)], name)
    ]
    found: list[Trouble] = []
    at = begin
    while at < seconds - 30.0:
        name, venue = turns[len(found) % len(turns)]
        trouble = kinds[name](rng, venue)
        symbol = None if trouble.symbol is None else SYMBOLS[0]
        found.append(evolve(trouble, begin=round(at, 3), symbol=symbol))
        at += every
    return found


def record_and_play(script: Script, directory: Path) -> Played:
    """Everything that comes of a script."""
    errors: list[str] = []
    network = BadNetwork(script.seed, 1_700_000_000_000)
    disk = FailingDisk(lambda: None)  # type: ignore[arg-type, return-value]
    with _surroundings(network, errors), simulated_recorder(network, disk):
        return _Stage(script, network, directory, disk, errors).play()


class _Stage:
    def __init__(
        self, script: Script, network: BadNetwork, directory: Path, disk: FailingDisk, errors: list[str]
    ) -> None:
        self._script, self._network, self._disk, self._errors = script, network, disk, errors
        self._directory = directory
        lines = {venue: VenueLine(0.02, 0.01, False, 0, 0) for venue in script.venues}
        client = ClientPlan("live", "fast", self._actions(), delay=0.0, kernel=1 << 24)
        self._plan = Plan(
            script.seed, 1_700_000_000_000, 0, 0, lines, tuple(script.troubles), (client,), script.seconds
        )
        clock = ServerClock(network, 0, 0)
        simulators = {
            venue: Simulator(network, VenueTime(network, lines[venue]), seed=script.seed, exchanges=[venue])
            for venue in script.venues
        }
        together, urls = MultiService(), dict[Any, tuple[str, str]]()
        for simulator in simulators.values():
            simulator.setServiceParent(together)
            simulator.listen()
            urls |= simulator.base_urls
        together.startService()
        self._processes = self._make_processes(clock, urls)
        self._process = self._processes[-1]
        ports = {
            venue: frozenset(int(ws.rpartition(":")[2]) for ws, _ in simulator.base_urls.values())
            for venue, simulator in simulators.items()
        }
        self._troubles = Troubles(self._plan, network, simulators, ports, clock, self._processes)
        for venue, numbers in ports.items():
            for port in sorted(numbers):
                network.rule(port, self._conditions_of(venue))
        network.rule(self._port, lambda number, rng: Conditions(0.0))
        self._live = _Client(client, network, self._port, script.seed)
        others = range(FIRST_PORT, self._port) if script.everywhere else ()
        self._others = [_Client(evolve(client, name=f"at {port}"), network, port, port) for port in others]

    def _make_processes(self, clock: ServerClock, urls: Mapping[Any, tuple[str, str]]) -> list[Process]:
        script, network = self._script, self._network
        own = {
            "EXCHANGES": ",".join(script.venues),
            "RECORD_DIR": str(self._directory),
            "RECORD_KEEP_GB": "0",
            "BOOK_DEPTH_DEFAULT": str(DEPTH),
        }
        self._port = FIRST_PORT + script.processes - 1
        if script.processes > 1:
            own["ENABLE_REDIS"] = "true"
            network.listen(REDIS_PORT, SimulatedRedis(network, lambda: network.wall_ms() * 1000))
            network.rule(REDIS_PORT, lambda number, rng: Conditions(0.001))
        found = []
        for number in range(script.processes):
            own["BIND_ADDR"] = f"tcp:{FIRST_PORT + number}:interface=127.0.0.1"
            config = load([Layer("playback", {**SETTINGS, **own})], script.venues)
            stand_in = StandIn(Service(), urls, "simulated")
            alone = script.processes == 1
            found.append(Process(number, network, clock, config, stand_in, script.seed + number, alone))
        return found

    def _conditions_of(self, venue: str) -> Callable[[int, Random], Conditions]:
        return lambda number, rng: self._troubles.conditions(venue)

    def _actions(self) -> tuple[Action, ...]:
        """It comes, and again when the server does."""
        restarts = [each for each in self._script.outages if each.what == "restart"]
        begins = [0.5, *(each.at + each.seconds + 0.5 for each in restarts)]
        found: list[Action] = []
        for begin in begins:
            found += [Action(begin, "connect"), Action(begin + 0.1, "subscribe", self._script.channels)]
        return tuple(found)

    def play(self) -> Played:
        network, script = self._network, self._script
        for process in self._processes:
            process.start()
        self._troubles.begin()
        for client in (self._live, *self._others):
            client.begin(script.seconds)
        for each in script.outages:
            network.callLater(each.at, getattr(self, f"_{each.what}"), each)
        network.pass_until(script.seconds)
        live = self._got(self._live)
        begin_ms, end_ms = self._quiet_ms(live, SETTLED), self._quiet_ms(live, script.seconds - 6.0)
        played = self._play(begin_ms, end_ms)
        for client in (self._live, *self._others):
            client.abort()
        network.pass_until(network.seconds() + 1.0)
        for process in self._processes:
            if process.is_running:
                process.terminate()
        network.pass_until(network.seconds() + 10.0)
        size = sum(each.stat().st_size for each in self._directory.rglob("*.tape"))
        return Played(live, played, begin_ms, end_ms, self._plan.origin_ms, self._errors, size)

    def _restart(self, outage: Outage) -> None:
        self._process.terminate()
        self._network.callLater(outage.seconds, self._process.start)

    def _holder(self) -> Process:
        return next(
            each for each in self._processes[:-1] if each.is_running and any(map(each.may_speak, self._script.venues))
        )

    def _kill(self, outage: Outage) -> None:
        holder = self._holder()
        holder.kill()
        self._network.callLater(outage.seconds, holder.start)

    def _stop(self, outage: Outage) -> None:
        reactor = self._holder().reactor
        reactor.stop()
        self._network.callLater(outage.seconds, reactor.go_on)

    def _term(self, outage: Outage) -> None:
        holder = self._holder()
        holder.terminate()
        self._network.callLater(outage.seconds, holder.start)

    def _fail(self, outage: Outage) -> None:
        self._disk.fails["write"] = ERRNO_IO
        self._network.callLater(outage.seconds, self._disk.fails.clear)

    def _got(self, client: Client) -> list[Got]:
        found = []
        for connection in client.connections():
            told = (each for each in connection.events if each.kind == "got")
            found += [Got(event.at, body, event.value) for event, body in zip(told, connection.frames, strict=True)]
        return found

    def _quiet_ms(self, live: Sequence[Got], after: float) -> int:
        """The first millisecond from then on beside which nothing came."""
        busy = {round(each.at * 1000) + near for each in live for near in (-2, -1, 0, 1, 2)}
        moment = round(after * 1000)
        while moment in busy:
            moment += 1
        return self._plan.origin_ms + moment

    def _play(self, begin_ms: int, end_ms: int) -> list[Got]:
        network = self._network
        player = _Client(ClientPlan("player", "fast", (), delay=0.0, kernel=1 << 18), network, self._port, 2)
        player.connect(())
        network.pass_until(network.seconds() + 0.5)
        assert player.peer is not None
        channels = [channel_of(each) for each in self._script.channels]
        request = {"op": "replay", "from": begin_ms, "to": end_ms, "speed": 0, "channels": channels}
        player.peer.note("sent", Request("replay", self._script.channels))
        player.peer.send_raw(frame(1, json.dumps(request, separators=(",", ":")).encode()))
        until = network.seconds() + self._script.seconds
        frames = player.peer.record.frames
        while not (frames and frames[-1].startswith(b'{"type":"info","payload":{"message":"Replay ended"')):
            assert network.seconds() < until and player.peer is not None, frames[-1:]
            network.pass_until(network.seconds() + 0.05)
        found = self._got(player)[1:]  # behind the greeting
        player.abort()
        return found
