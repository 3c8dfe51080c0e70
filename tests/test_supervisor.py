"""Several server processes on one address: what each is given, and what happens when one ends."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple, NoReturn

import pytest
from attrs import evolve
from twisted.application.service import Service
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IProcessProtocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from cryptodash.core.config import Config
from cryptodash.core.errors import ConfigError
from cryptodash.core.layers import Layer, load
from cryptodash.heartbeat import BEAT_S
from cryptodash.sd_notify import Notifier
from cryptodash.supervisor import (
    END_S,
    FIRST_WAIT_S,
    LIVELY_BEATS,
    LONGEST_WAIT_S,
    SILENT_BEATS,
    START_BEATS,
    STEADY_S,
    Supervisor,
    check,
    listening_socket,
)


class Spawned(NamedTuple):
    """A process that was started, as far as the supervisor sees it; ``signals`` are what it was sent."""

    protocol: Any
    command: list[str]
    environment: dict[str, str]
    descriptors: dict[int, Any]
    signals: list[str]

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)

    def ends(self, status: int = 1) -> None:
        error = ProcessTerminated(exitCode=status) if status else ProcessDone(0)
        self.protocol.processEnded(Failure(error))


class Reactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[Spawned] = []

    def spawnProcess(
        self, protocol: Any, executable: str, command: list[str], environment: dict[str, str], childFDs: dict[int, Any]
    ) -> Spawned:
        assert IProcessProtocol.providedBy(protocol) and executable == sys.executable
        made = Spawned(protocol, command, environment, childFDs, [])
        self.spawned.append(made)
        protocol.makeConnection(made)
        return made


class Longest(Random):
    """Waits are as long as they can be."""

    def uniform(self, a: float, b: float) -> float:
        return b


class World:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.supervisor = self.make(2)
        self.refusals: list[str] = []

    def make(self, processes: int, config: Config | None = None, **given: str) -> Supervisor:
        return Supervisor(
            config or settings(), processes, given, ("--env-file", "a.env"), self.reactor, Longest(), self._refused
        )

    def _refused(self, message: str) -> NoReturn:
        self.refusals.append(message)
        raise SystemExit(1)

    def starts(self) -> None:
        self.supervisor.privilegedStartService()
        self.supervisor.startService()

    @property
    def spawned(self) -> list[Spawned]:
        return self.reactor.spawned


def settings(**values: str) -> Config:
    given = {"ENABLE_REDIS": "true", "BIND_ADDR": "127.0.0.1:0", **values}
    return load([Layer("test", given, own=True)], ("binance", "bybit"))


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    stopped = world.supervisor.stopService()
    for each in world.spawned:
        if "TERM" in each.signals:
            each.ends(0)
    assert stopped.called and not world.reactor.getDelayedCalls()


# -- whether it can be


def test_several_processes_need_redis() -> None:
    with pytest.raises(ConfigError, match="--processes 3 needs ENABLE_REDIS=true"):
        check(settings(ENABLE_REDIS="false"), 3)


def test_a_demo_is_one_process() -> None:
    with pytest.raises(ConfigError, match="--processes 3 and --demo"):
        check(settings(DEMO="true"), 3)


@pytest.mark.parametrize(
    "address", ["unix:/tmp/cryptodash.sock", "ssl:8443:certKey=c:privateKey=k", "tcp:name", "tcp:"]
)
def test_an_address_that_cannot_be_shared_is_refused_and_what_is_allowed_is_said(address: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be shared; allowed is host:port"):
        check(evolve(settings(), bind_addr=address), 3)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("tcp:8080", ("", 8080)),
        ("tcp:8080:backlog=50:interface=127.0.0.1", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:8080", ("::", 8080)),
        (r"tcp6:8080:interface=fe80\:\:1:backlog=50", ("fe80::1", 8080)),
        ("tcp6:8080", ("::", 8080)),
    ],
)
def test_a_host_and_a_port_can_be_shared(address: str, place: tuple[str, int]) -> None:
    assert check(settings(BIND_ADDR=address), 3) == place


def test_a_supervisor_of_what_cannot_be_is_not_made(world: World) -> None:
    with pytest.raises(ConfigError):
        world.make(2, settings(DEMO="true"))


def test_a_port_that_is_taken_is_told_in_one_line(world: World) -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        supervisor = world.make(2, settings(BIND_ADDR=f"127.0.0.1:{port}"))
        with pytest.raises(SystemExit):
            supervisor.privilegedStartService()
    assert world.refusals == [f"cannot listen on 127.0.0.1:{port}: Address already in use"]
    assert world.spawned == []


# -- what each is given


def test_each_process_has_the_one_socket_and_is_told_where_it_is(world: World) -> None:
    with capturedLogs() as logged:
        world.starts()
    assert len(world.spawned) == 2
    (descriptor,) = {each.descriptors[3] for each in world.spawned}
    with socket.socket(fileno=socket.dup(descriptor)) as shared:
        host, port = shared.getsockname()
        assert shared.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert formatEvent(logged[0]) == f"2 processes listen on {host}:{port}"
    for each in world.spawned:
        assert each.environment["CRYPTODASH_BIND_ADDR"] == "systemd:domain=INET:index=0"
        assert each.command == [sys.executable, "-m", "cryptodash.adopt", "run", "--env-file", "a.env"]
        assert each.environment["CRYPTODASH_HEARTBEAT_FD"] == "4"
        assert each.descriptors == {0: "w", 1: "r", 2: "r", 3: descriptor, 4: "r"}


def test_each_process_has_the_settings_of_the_command_line_and_its_part_of_the_limits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTODASH_EXCHANGES", "bybit")
    monkeypatch.setenv("CRYPTODASH_LOG_LEVEL", "debug")
    config = settings(MAX_CONNECTIONS="1001", MAX_CONNECTIONS_PER_IP="2")
    world.supervisor = world.make(
        3, config, EXCHANGES="binance", MAX_CONNECTIONS="1001", BIND_ADDR="127.0.0.1:0", ENABLE_REDIS="true"
    )
    world.starts()
    assert len(world.spawned) == 3
    for each in world.spawned:
        own = {name: each.environment[f"CRYPTODASH_{name}"] for name in ("EXCHANGES", "ENABLE_REDIS", "LOG_LEVEL")}
        assert own == {"EXCHANGES": "binance", "ENABLE_REDIS": "true", "LOG_LEVEL": "debug"}
        assert each.environment["CRYPTODASH_MAX_CONNECTIONS"] == "333"
        assert each.environment["CRYPTODASH_MAX_CONNECTIONS_PER_IP"] == "1", "none at all would be none to anybody"
        assert each.environment["CRYPTODASH_BIND_ADDR"].startswith("systemd:")


# -- what ends


def wait_of(world: World) -> float:
    """Until the first process, which has just ended, is started again; it is started by then."""
    begun, count = world.reactor.seconds(), len(world.spawned)
    (call,) = [each for each in world.reactor.getDelayedCalls() if each.func == world.spawned[0].protocol.start]
    world.reactor.advance(call.getTime() - begun)
    assert len(world.spawned) == count + 1 and world.spawned[-1].protocol is world.spawned[0].protocol
    return call.getTime() - begun


def test_a_process_that_ends_is_started_again_after_longer_and_longer_waits(world: World) -> None:
    world.starts()
    waits = []
    for number in range(9):
        world.spawned[0 if not number else -1].ends(number % 2)
        waits.append(wait_of(world))
    assert waits == [pytest.approx(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**number)) for number in range(9)]
    assert [child.starts for child in world.supervisor.children] == [10, 1], "the other one goes on"


def test_one_that_has_run_for_a_minute_begins_with_the_shortest_wait_again(world: World) -> None:
    world.starts()
    for number in range(4):
        world.spawned[0 if not number else -1].ends()
        last = wait_of(world)
    assert last == pytest.approx(FIRST_WAIT_S * 8)
    world.reactor.advance(STEADY_S - 1)
    world.spawned[-1].ends()
    assert wait_of(world) == pytest.approx(FIRST_WAIT_S * 16)
    world.reactor.advance(STEADY_S)
    world.spawned[-1].ends()
    assert wait_of(world) == pytest.approx(FIRST_WAIT_S)


def test_waits_differ_by_up_to_half_so_that_not_all_come_at_once() -> None:
    world = World()
    supervisor = Supervisor(settings(), 2, {}, (), world.reactor, Random(1), world._refused)
    waits = {supervisor.jitter() for _ in range(50)}
    assert len(waits) == 50 and 0.5 <= min(waits) < 0.6 and 0.9 < max(waits) <= 1.0


def test_at_the_end_each_is_asked_to_end_and_the_socket_is_closed_when_all_have(world: World) -> None:
    world.starts()
    descriptor = world.spawned[0].descriptors[3]
    done = world.supervisor.stopService()
    assert [each.signals for each in world.spawned] == [["TERM"], ["TERM"]]
    world.spawned[0].ends(0)
    assert not done.called and socket.socket(fileno=socket.dup(descriptor)).close() is None
    world.spawned[1].ends(0)
    assert done.called and not world.reactor.getDelayedCalls()
    with pytest.raises(OSError):
        socket.dup(descriptor)
    world.spawned.clear()


def test_one_that_does_not_end_in_time_is_killed(world: World) -> None:
    world.starts()
    done = world.supervisor.stopService()
    world.spawned[0].ends(0)
    world.reactor.advance(END_S - 0.1)
    assert world.spawned[1].signals == ["TERM"]
    with capturedLogs() as logged:
        world.reactor.advance(0.1)
    assert world.spawned[1].signals == ["TERM", "KILL"] and world.spawned[0].signals == ["TERM"]
    assert [formatEvent(each) for each in logged] == ["process 2 does not end: it is killed"]
    assert not done.called
    world.spawned[1].ends(signal.SIGKILL)
    assert done.called and len(world.spawned) == 2
    world.spawned.clear()


def test_one_that_waits_to_be_started_again_is_not_at_the_end(world: World) -> None:
    world.starts()
    for each in world.spawned:
        each.ends()
    assert world.supervisor.stopService().called
    assert not world.reactor.getDelayedCalls() and len(world.spawned) == 2


def test_one_that_has_ended_meanwhile_cannot_be_signalled_and_that_is_no_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(spawned: Spawned, name: str) -> None:
        spawned.signals.append(name)
        raise ProcessExitedAlready

    world.starts()
    monkeypatch.setattr(Spawned, "signalProcess", gone)
    done = world.supervisor.stopService()
    for each in world.spawned:
        each.ends(0)
    assert done.called
    world.spawned.clear()


# -- whether they live, and what they are told


class Told(Notifier):
    """A service manager, as far as the supervisor tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def ready(self, status: str = "") -> None:
        self.told.append(f"ready: {status}")

    def stopping(self) -> None:
        self.told.append("stopping")


def beat(spawned: Spawned) -> None:
    spawned.protocol.childDataReceived(4, b".")


def test_it_is_ready_when_the_first_process_serves(world: World) -> None:
    told = Told()
    world.supervisor = Supervisor(settings(), 2, {}, (), world.reactor, Longest(), world._refused, told)
    world.starts()
    world.reactor.advance(5)
    assert told.told == []
    beat(world.spawned[1])
    beat(world.spawned[0])
    assert len(told.told) == 1 and told.told[0].startswith("ready: 2 processes listen on 127.0.0.1:")
    world.supervisor.stopService()
    assert told.told[1:] == ["stopping"]


def test_it_lives_as_long_as_one_of_them_does(world: World) -> None:
    world.starts()
    assert not world.supervisor.lives()
    beat(world.spawned[0])
    beat(world.spawned[1])
    for _ in range(20):
        world.reactor.advance(BEAT_S)
        beat(world.spawned[1])
    assert world.supervisor.lives()
    world.reactor.pump([BEAT_S] * (LIVELY_BEATS + 1))
    assert not world.supervisor.lives()
    beat(world.spawned[0])
    assert world.supervisor.lives()
    world.spawned[0].ends()
    assert not world.supervisor.lives()


def test_one_that_gives_no_sign_of_life_is_killed_once_and_started_again(world: World) -> None:
    world.starts()
    beat(world.spawned[0])
    with capturedLogs() as logged:
        for _ in range(SILENT_BEATS + 5):
            world.reactor.advance(BEAT_S)
            beat(world.spawned[1])
    assert [formatEvent(each) for each in logged] == ["process 1 gives no sign of life: it is killed"]
    assert world.spawned[0].signals == ["KILL"] and not world.spawned[1].signals
    world.spawned[0].ends(signal.SIGKILL)
    world.reactor.advance(FIRST_WAIT_S)
    assert len(world.spawned) == 3


def test_one_that_starts_has_more_time(world: World) -> None:
    world.starts()
    world.reactor.pump([BEAT_S] * (START_BEATS - 1))
    assert [each.signals for each in world.spawned] == [[], []]
    world.reactor.advance(BEAT_S)
    assert [each.signals for each in world.spawned] == [["KILL"], ["KILL"]]


def test_after_a_sleep_of_the_machine_nobody_is_killed(world: World) -> None:
    world.starts()
    for each in world.spawned:
        beat(each)
    world.reactor.advance(8 * 3600)  # one step: all timers are due, each once
    assert [each.signals for each in world.spawned] == [[], []]


def test_a_reload_is_passed_on_as_soon_as_a_process_can_take_it(world: World) -> None:
    world.starts()
    beat(world.spawned[0])
    world.supervisor.reload()
    assert [each.signals for each in world.spawned] == [["HUP"], []]
    beat(world.spawned[1])
    beat(world.spawned[1])
    assert [each.signals for each in world.spawned] == [["HUP"], ["HUP"]]
    world.spawned[0].ends()
    world.supervisor.reload()
    world.reactor.advance(FIRST_WAIT_S)
    beat(world.spawned[2])
    assert world.spawned[2].signals == [], "it has read them as it started"


def test_a_watchdog_begins_and_ends_with_it(world: World) -> None:
    world.supervisor.watchdog = Service()
    world.starts()
    assert world.supervisor.watchdog.running
    world.supervisor.stopService()
    assert not world.supervisor.watchdog.running


def test_a_socket_that_was_not_passed_on_is_told_in_one_line(world: World) -> None:
    supervisor = world.make(2, settings(BIND_ADDR="systemd:domain=INET:index=0"))
    with pytest.raises(SystemExit):
        supervisor.privilegedStartService()
    (line,) = world.refusals
    assert line.startswith("BIND_ADDR 'systemd:domain=INET:index=0': no such socket was passed on")


def test_tls_of_ours_can_be_shared() -> None:
    config = settings(BIND_ADDR="127.0.0.1:8443", TLS_CERT="c.pem", TLS_KEY="k.pem")
    assert check(config, 2) == ("127.0.0.1", 8443)
    assert check(settings(BIND_ADDR="systemd:domain=INET:index=0"), 2) is None


def test_what_opens_the_doors_is_handed_on_by_environment_and_stands_in_no_command(world: World) -> None:
    given = {
        "AUTH_TOKEN": "one-token-0123456789",
        "AUTH_JWT_KEYS": "HS256:AAAA",
        "AUTH_TOKENS_FILE": "tokens",
        "PROTECT_OPS": "true",
    }
    world.supervisor = world.make(1, **given)
    world.starts()
    [spawned] = world.spawned
    assert {name: spawned.environment[f"CRYPTODASH_{name}"] for name in given} == given
    assert not [word for word in spawned.command for secret in given.values() if secret in word]
