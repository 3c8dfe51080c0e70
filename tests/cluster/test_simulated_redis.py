"""The Redis in memory answers as the real one does, whatever it is told of what the cluster tells a Redis."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Protocol, cast

import hiredis
import pytest

from cryptodash.cluster import scripts
from cryptodash.testing.network import MemoryNetwork
from tests.cluster.simulated_redis import SimulatedRedis

STEPS = 300
KEYS = (b"differ:lease", b"differ:fence", b"differ:value")
CHANNELS = (b"differ:one", b"differ:two", b"differ:unheard")
HEARD = CHANNELS[:2]
LONG_MS = 3_600_000
"""Nothing expires while the two are compared: their clocks are not the same."""

SCRIPTS: dict[object, str] = {getattr(scripts, name): name for name in ("RENEW", "RELEASE", "PUBLISH", "STORE")}

Command = tuple[bytes | str | int, ...]


class Line(Protocol):
    """One connection, asked and answered."""

    def send(self, data: bytes) -> None: ...

    def reply(self) -> Any: ...


class RealLine:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._reader = hiredis.Reader()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(self) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(65_536)
            assert data, "Redis has closed the connection"
            self._reader.feed(data)
        return reply

    def close(self) -> None:
        self._socket.close()


class SimulatedLine:
    """A connection to the simulation; its own transport."""

    def __init__(self, redis: SimulatedRedis) -> None:
        self._reader = hiredis.Reader()
        self._protocol = redis.buildProtocol(None)
        self._protocol.makeConnection(cast(Any, self))

    def send(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def write(self, data: bytes) -> None:
        self._reader.feed(data)

    def reply(self) -> Any:
        reply = self._reader.gets()
        assert reply is not False, "the simulation has not answered"
        return reply


class Server:
    """A Redis, real or not: one who asks and one who listens. What depends on its time is shown the same for both, and
    put back into what it is told."""

    def __init__(self, asking: Line, listening: Line) -> None:
        self._asking = asking
        self._listening = listening
        self.fences: list[int] = []

    def ask(self, *command: bytes | str | int) -> Any:
        self._asking.send(hiredis.pack_command(cast(Any, self._theirs(command))))
        return self._ours(self._asking.reply())

    def subscribe(self, channel: bytes) -> Any:
        self._listening.send(hiredis.pack_command((b"SUBSCRIBE", channel)))
        return self._listening.reply()

    def pushed(self) -> Any:
        return self._ours(self._listening.reply())

    def granted(self, lease: bytes, fence_key: bytes, process: bytes, late_ms: int) -> Any:
        """A grant that is meant until so many ms after its time, whose fence is remembered if there is one."""
        latest = self.time_ms() + late_ms
        command = ("EVAL", scripts.GRANT, 2, lease, fence_key, process, LONG_MS, latest)
        self._asking.send(hiredis.pack_command(command))
        reply = self._asking.reply()
        if reply[0] == 1:
            self.fences.append(int(reply[1]))
        assert abs(reply[2] - latest + late_ms) < 5_000
        return self._ours(reply[:2])

    def time_ms(self) -> int:
        """By its own clock."""
        self._asking.send(hiredis.pack_command(("EVAL", scripts.GRANT, 2, "no lease", "no fence", "x", 1, 1)))
        granted, _, now = self._asking.reply()
        assert granted == 2
        return int(now)

    def _ours(self, reply: Any) -> Any:
        if isinstance(reply, list):
            return [self._ours(each) for each in reply]
        if isinstance(reply, hiredis.ReplyError):
            return f"error {str(reply).split()[0]}"
        if isinstance(reply, bytes):
            for number, fence in enumerate(self.fences):
                reply = reply.replace(b"%d" % fence, b"<fence %d>" % number)
        return reply

    def _theirs(self, command: Sequence[bytes | str | int]) -> Command:
        told = []
        for each in command:
            if isinstance(each, bytes):
                for number, fence in enumerate(self.fences):
                    each = each.replace(b"<fence %d>" % number, b"%d" % fence)
            told.append(each)
        return tuple(told)


@pytest.fixture
def network() -> MemoryNetwork:
    """The simulation's time."""
    return MemoryNetwork()


@pytest.fixture
def servers(redis_port: int, network: MemoryNetwork) -> Iterator[tuple[Server, Server]]:
    lines = [RealLine(redis_port) for _ in range(2)]
    lines[0].send(hiredis.pack_command((b"FLUSHALL",)))
    assert lines[0].reply() == b"OK"
    simulated = SimulatedRedis(network, lambda: time.time_ns() // 1000)
    yield Server(*lines), Server(SimulatedLine(simulated), SimulatedLine(simulated))
    for each in lines:
        each.close()


class Walk:
    """What is done at random; ``tokens`` are those that were ever right, and one that never is."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.tokens = [b"nobody:1"]

    def token(self) -> bytes:
        """The one given last, as often as not."""
        return self.tokens[-1] if self._random.random() < 0.6 else self._random.choice(self.tokens)

    def payload(self) -> bytes:
        return self._random.randbytes(self._random.randrange(40))

    def command(self) -> Command:
        random, lease = self._random, KEYS[0]
        channel = random.choice(CHANNELS)
        match random.randrange(11):
            case 0:
                return ("GET", random.choice(KEYS))
            case 1:
                return ("SET", KEYS[2], self.payload(), *random.choice(((), ("PX", LONG_MS))))
            case 2:
                return ("SET", KEYS[2], self.payload(), "NX", *random.choice(((), ("PX", LONG_MS))))
            case 3:
                return ("SET", KEYS[2], self.payload(), "NX", "PX", LONG_MS, "GET")
            case 4:
                return ("PUBLISH", channel, self.payload())
            case 5:
                return ("EVAL", scripts.RENEW, 1, lease, self.token(), LONG_MS)
            case 6:
                return ("EVAL", scripts.RELEASE, 1, lease, self.token())
            case 7:
                payloads = [self.payload() for _ in range(random.randrange(5))]
                return ("EVAL", scripts.PUBLISH, 1, lease, self.token(), channel, *payloads)
            case 8:
                return ("EVAL", scripts.STORE, 2, lease, KEYS[2], self.token(), self.payload())
            case 9:
                return ("GRANT", random.choice((b"a", b"b:c")), random.choice((60_000, 60_000, -60_000)))
            case _:
                return random.choice((("PING",), ("NO-SUCH-COMMAND", "x")))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_simulation_answers_and_pushes_as_the_real_one_does(servers: tuple[Server, Server], seed: int) -> None:
    walk, end = Walk(seed), b"the end of what was pushed"
    answered: set[tuple[str, object]] = set()
    for channel in HEARD:
        real, simulated = (each.subscribe(channel) for each in servers)
        assert real == simulated
    for step in range(STEPS):
        command = walk.command()
        if command[0] == "GRANT":
            real, simulated = (
                each.granted(KEYS[0], KEYS[1], cast(bytes, command[1]), cast(int, command[2])) for each in servers
            )
            if real[0] == 1:
                walk.tokens.append(b"%s:%s" % (command[1], real[1]))
        else:
            real, simulated = (each.ask(*command) for each in servers)
        assert real == simulated, f"step {step}: {command}"
        name = SCRIPTS[command[1]] if command[0] == "EVAL" else str(command[0])
        answered.add((name, real[0] if isinstance(real, list) else real))
    assert {(name, said) for name in ("GRANT", "RENEW", "PUBLISH", "STORE") for said in (0, 1)} <= answered
    assert ("GRANT", 2) in answered, "too late"
    assert ("RELEASE", 1) in answered and ("NO-SUCH-COMMAND", "error ERR") in answered
    assert [each.ask("PUBLISH", HEARD[0], end) for each in servers] == [1, 1]
    pushes = 0
    while True:
        real, simulated = (each.pushed() for each in servers)
        assert real == simulated
        if real[2] == end:
            break
        pushes += 1
    assert pushes > 20
    for each in servers:
        assert len(each.fences) >= 3 and each.fences == sorted(set(each.fences)), "fences grow"
        assert each.fences[0] > 1_600_000_000_000_000, "of Redis's own time in microseconds"


def test_a_fence_grows_also_where_the_clock_has_gone_back(servers: tuple[Server, Server]) -> None:
    ahead = 4_000_000_000_000_000
    for each in servers:
        assert each.ask("SET", KEYS[1], ahead) == b"OK"
    answers = [each.ask("EVAL", scripts.GRANT, 2, KEYS[0], KEYS[1], "a", LONG_MS, 0)[:2] for each in servers]
    assert answers == [[1, b"%d" % (ahead + 1)]] * 2
    assert [each.ask("GET", KEYS[0]) for each in servers] == [b"a:%d" % (ahead + 1)] * 2


def test_a_lease_is_gone_after_its_time_and_a_renewed_one_later(
    servers: tuple[Server, Server], network: MemoryNetwork
) -> None:
    """Of the real one only what it says that it keeps: nobody waits here."""
    real, simulated = servers
    for each in servers:
        each.granted(KEYS[0], KEYS[1], b"a", 60_000)
        assert each.ask("EVAL", scripts.RENEW, 1, KEYS[0], b"a:<fence 0>", 5_000) == 1
    assert 0 < real.ask("PTTL", KEYS[0]) <= 5_000
    assert real.ask("PTTL", KEYS[1]) == -1, "the fence stays"
    network.advance(4.9)
    assert simulated.ask("EVAL", scripts.RENEW, 1, KEYS[0], b"a:<fence 0>", 5_000) == 1
    network.advance(4.9)
    assert simulated.ask("GET", KEYS[0]) == b"a:<fence 0>"
    network.advance(0.1)
    assert simulated.ask("GET", KEYS[0]) is None
    assert simulated.ask("GET", KEYS[1]) == b"<fence 0>"
