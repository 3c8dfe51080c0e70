"""What a service manager hears, at the other end of a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from cryptodash.heartbeat import BEAT_S, VARIABLE, heartbeat_of
from cryptodash.sd_notify import Notifier, ServiceManager, Watchdog, monotonic_usec, service_manager


class Manager:
    """The socket of one, and what has come."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "a path" else f"@cryptodash-test-{os.getpid()}")
    yield made
    made.socket.close()


def test_a_life_is_told_as_the_protocol_has_it(manager: Manager) -> None:
    notifier = Notifier(manager.address, lambda: 1_234_567)
    notifier.ready("listening on 127.0.0.1:8080")
    notifier.reloading()
    notifier.ready()
    notifier.alive()
    notifier.status("two\nlines")
    notifier.stopping()
    assert manager.heard() == [
        "READY=1\nSTATUS=listening on 127.0.0.1:8080",
        "RELOADING=1\nMONOTONIC_USEC=1234567",
        "READY=1",
        "WATCHDOG=1",
        "STATUS=two lines",
        "STOPPING=1\nSTATUS=draining",
    ]


def test_a_reload_is_timed_by_the_clock_of_the_manager() -> None:
    """systemd compares it with CLOCK_MONOTONIC, in us."""
    with open("/proc/uptime") as file:
        uptime = float(file.read().split()[0])
    assert 0 < monotonic_usec() <= (uptime + 60) * 1e6


def test_who_is_not_started_by_one_tells_nobody_and_a_manager_that_is_gone_is_said_once(tmp_path: Path) -> None:
    with capturedLogs() as logged:
        Notifier().ready()
        gone = Notifier(str(tmp_path / "gone"))
        for _ in range(5):
            gone.alive()
    assert [formatEvent(each) for each in logged] == [
        "the service manager cannot be told WATCHDOG=1: [Errno 2] No such file or directory"
    ]


@pytest.mark.parametrize(
    ("given", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({}, None),
    ],
)
def test_what_the_environment_says_is_taken_out_of_it(given: dict[str, str], watchdog_s: float | None) -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "HOME": "/", **given}
    assert service_manager(environment, 7).watchdog_s == watchdog_s
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "relative", "/", "@", "vsock:2:1"])
def test_an_address_that_is_none_is_no_service_manager(address: str) -> None:
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"}
    found = service_manager(environment, 7)
    found.notifier.ready()
    assert found.watchdog_s is None


def test_a_watchdog_hears_twice_in_its_time_while_the_reactor_turns_and_all_else_lives(manager: Manager) -> None:
    scheduler, lives = Clock(), [True]
    watchdog = Watchdog(ServiceManager(Notifier(manager.address), 30.0), scheduler, lambda: lives[0])
    watchdog.startService()
    assert manager.heard() == ["WATCHDOG=1"]
    scheduler.advance(14.9)
    assert manager.heard() == []
    scheduler.advance(0.1)
    assert manager.heard() == ["WATCHDOG=1"]
    lives[0] = False
    scheduler.pump([15.0] * 4)
    assert manager.heard() == []
    lives[0] = True
    scheduler.advance(15.0)
    assert manager.heard() == ["WATCHDOG=1"]
    watchdog.stopService()
    assert not scheduler.getDelayedCalls()


def test_a_heartbeat_is_a_byte_a_second_whether_anybody_reads_or_not() -> None:
    scheduler = Clock()
    reader, writer = os.pipe()
    environment = {VARIABLE: str(writer)}
    heart = heartbeat_of(environment, scheduler)
    assert heart is not None and not environment
    heart.startService()
    scheduler.pump([BEAT_S] * 3)
    assert os.read(reader, 100) == b"...."
    scheduler.pump([BEAT_S] * 70_000)  # more than a pipe holds
    assert os.read(reader, 100) == b"." * 100
    os.close(reader)
    scheduler.advance(BEAT_S)
    heart.stopService()
    os.close(writer)
    assert heartbeat_of({}, scheduler) is None
