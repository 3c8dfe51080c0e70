"""Real processes under a service manager, and what SIGHUP does to each kind of them."""

from __future__ import annotations

import os
import pty
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptodash.testing.authority import Authority
from tests.processes import ROOT, Process, all_ended, descendants, get, no_daemon_left, run

HOST = "market.example"
HERE = ("--bind-addr", "127.0.0.1:0")
FOREGROUND = ("-n", "--pidfile=", "cryptodash")


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


class Manager:
    """The socket of a service manager; a word that does not come in time fails the test."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(20)

    def hears(self, word: str) -> str:
        """The next datagram that is no watchdog's, which begins with the word."""
        while (said := self.next()) == "WATCHDOG=1" and word != "WATCHDOG=1":
            pass
        assert said.startswith(word), said
        return said

    def next(self) -> str:
        return self._socket.recv(4096).decode()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.close()


# -- SIGHUP


@pytest.mark.parametrize("how", ["plugin", "tac"])
def test_sighup_reads_the_env_file_again(how: str, tmp_path: Path, processes: list[Process]) -> None:
    (tmp_path / ".env").write_text("MAX_CHANNELS=10\nLOG_LEVEL=info\n")
    arguments = FOREGROUND if how == "plugin" else ("-n", "--pidfile=", "-y", str(ROOT / "examples" / "cryptodash.tac"))
    server = Process(*arguments, cwd=tmp_path, BIND_ADDR="127.0.0.1:0", MAX_FRAGMENTS="9")
    processes.append(server)
    port = server.port()
    (tmp_path / ".env").write_text("MAX_CHANNELS=20\nLOG_LEVEL=debug\nMAX_FRAGMENTS=5\nEXCHANGES=bybit\nNEWS=1\n")
    server.signal(signal.SIGHUP)
    said = server.line(r"settings read again: (.*)").group(1)
    assert said == "LOG_LEVEL, MAX_CHANNELS took effect; EXCHANGES needs a restart", "the environment beats the file"
    server.line(r"\.env: unknown setting NEWS")
    assert get(port, "/health")[0] == 200
    server.line(r"cryptodash\.api\.http#debug\] GET /health 200")
    (tmp_path / ".env").write_text("MAX_CHANNELS=none\n")
    server.signal(signal.SIGHUP)
    server.line(r"the settings stay as they are: MAX_CHANNELS \(\.env\): 'none' is not allowed")
    (tmp_path / ".env").unlink()
    server.signal(signal.SIGHUP)
    server.line(r"settings read again: LOG_LEVEL, MAX_CHANNELS took effect$")
    server.signal(signal.SIGTERM)
    assert server.ended(5) == 0


def test_a_daemon_reads_its_env_file_again_wherever_it_runs(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / ".env").write_text("MAX_CHANNELS=10\n")
    pid_file, log = tmp_path / "run" / "twistd.pid", tmp_path / "run" / "server.log"
    with no_daemon_left(pid_file):
        where = ("--rundir", "run", "--pidfile", str(pid_file), "--logfile", str(log))
        started = run(*where, "cryptodash", "run", *HERE, cwd=tmp_path)
        assert started.returncode == 0, started
        daemon = int(pid_file.read_text())
        handle = os.pidfd_open(daemon)
        server = Process("-f", "-n", "+1", str(log), cwd=tmp_path, program=_tail(tmp_path))
        with all_ended() as ended:
            ended.append(server)
            port = server.port()
            (tmp_path / ".env").write_text("MAX_CHANNELS=20\n")
            os.kill(daemon, signal.SIGHUP)
            server.line("settings read again: MAX_CHANNELS took effect")
            assert get(port, "/health")[0] == 200
            os.kill(daemon, signal.SIGTERM)
            server.line("stopped")
        os.close(handle)


def _tail(folder: Path) -> Path:
    """A program that prints a file as it grows, by the system's ``tail``."""
    program = folder / "tail.py"
    program.write_text("import os, sys\nos.execvp('tail', ['tail', *sys.argv[1:]])\n")
    return program


def test_a_terminal_that_closes_ends_the_server_that_was_started_there(
    tmp_path: Path, processes: list[Process]
) -> None:
    """It is the same signal: whoever closes a window wants no server to go on behind it."""
    ours, theirs = pty.openpty()
    become = f"import os, fcntl, termios; fcntl.ioctl({theirs}, termios.TIOCSCTTY, 0); os.dup2({theirs}, 0)"
    server = Process(*FOREGROUND, *HERE, cwd=tmp_path, first=become, descriptors=[theirs])
    processes.append(server)
    os.close(theirs)
    port = server.port()
    server.signal(signal.SIGHUP)
    server.line("settings read again: nothing has changed")
    assert get(port, "/health")[0] == 200
    os.close(ours)
    assert server.ended(10) == 0
    server.line("draining 0 clients")


def test_other_certificate_files_are_taken_and_bad_ones_are_not(tmp_path: Path, processes: list[Process]) -> None:
    authority = Authority()
    for name in ("one", "two"):
        for path, text in zip(("c", "k"), authority.files(HOST, days=90), strict=True):
            (tmp_path / f"{name}.{path}.pem").write_text(text)

    def settings(name: str) -> None:
        (tmp_path / ".env").write_text(f"TLS_CERT={tmp_path}/{name}.c.pem\nTLS_KEY={tmp_path}/{name}.k.pem\n")

    settings("one")
    server = Process(*FOREGROUND, *HERE, cwd=tmp_path)
    processes.append(server)
    port = server.port()
    trusting = ssl.create_default_context(cadata=authority.pem)
    trusting.set_alpn_protocols(["http/1.1"])
    assert _asked(port, trusting).startswith("HTTP/1.1 200 OK")
    settings("none")
    server.signal(signal.SIGHUP)
    server.line(
        r"none\.c\.pem and \S+none\.k\.pem cannot be used: \S+none\.c\.pem: No such file or directory; new conn"
    )
    settings("two")
    server.signal(signal.SIGHUP)
    server.line(f"new connections get a new certificate: {HOST}")
    server.line("settings read again: TLS_CERT, TLS_KEY took effect$")
    assert _asked(port, trusting).startswith("HTTP/1.1 200 OK")
    metrics = _asked(port, trusting, "/metrics")
    assert (
        'cryptodash_tls_certificate_changes_total{result="taken"} 1.0' in metrics
        and "cryptodash_tls_certificate_refused 0.0" in metrics
    )
    assert '"certificate":{"status":"ok","not_after":"' in _asked(port, trusting, "/ready")


# -- a service manager


def test_a_service_manager_hears_of_readiness_life_reload_and_end(
    tmp_path: Path, processes: list[Process], manager: Manager
) -> None:
    server = Process(*FOREGROUND, *HERE, cwd=tmp_path, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="400000")
    processes.append(server)
    said = manager.hears("READY=1")
    port = server.port()
    assert said == f"READY=1\nSTATUS=listening on 127.0.0.1:{port}"
    assert get(port, "/health")[0] == 200
    assert {manager.next() for _ in range(3)} == {"WATCHDOG=1"}
    server.signal(signal.SIGHUP)
    assert manager.hears("RELOADING=1\nMONOTONIC_USEC=").partition("USEC=")[2].isdigit()
    assert manager.hears("READY=1") == "READY=1"
    server.signal(signal.SIGTERM)
    manager.hears("STOPPING=1")
    assert server.ended(5) == 0


def test_a_server_that_hangs_tells_its_watchdog_nothing(
    tmp_path: Path, processes: list[Process], manager: Manager
) -> None:
    server = Process(*FOREGROUND, *HERE, cwd=tmp_path, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000")
    processes.append(server)
    manager.hears("READY=1")
    manager.hears("WATCHDOG=1")
    server.signal(signal.SIGSTOP)
    manager._socket.settimeout(1)
    with pytest.raises(TimeoutError):
        for _ in range(20):  # what it had said before
            manager.next()
    manager._socket.settimeout(20)
    server.signal(signal.SIGCONT)
    assert manager.next() == "WATCHDOG=1"


def passed_on(listening: socket.socket) -> str:
    """What systemd does with the socket: it is descriptor 3 of the process, whose environment says so."""
    return (
        f"import os; os.dup2({listening.fileno()}, 3); "
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='http')"
    )


@pytest.mark.parametrize("address", ["systemd:domain=INET:index=0", "systemd:domain=INET:name=http"])
def test_it_serves_on_a_socket_that_is_passed_on(address: str, tmp_path: Path, processes: list[Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as early:
            early.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")  # before the server is there
            server = Process(
                *FOREGROUND,
                *("--bind-addr", address),
                cwd=tmp_path,
                first=passed_on(listening),
                descriptors=[listening.fileno()],
            )
            processes.append(server)
            assert server.port() == port
            assert early.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert get(port, "/health")[0] == 200
        server.signal(signal.SIGTERM)
        assert server.ended(5) == 0
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass  # the socket is the manager's: whoever comes now waits for the next start


def test_with_tls_of_its_own_as_well(tmp_path: Path, processes: list[Process]) -> None:
    authority = Authority()
    cert, key = authority.files(HOST)
    (tmp_path / "c.pem").write_text(cert)
    (tmp_path / "k.pem").write_text(key)
    trusting = ssl.create_default_context(cadata=authority.pem)
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Process(
            *FOREGROUND,
            cwd=tmp_path,
            first=passed_on(listening),
            descriptors=[listening.fileno()],
            BIND_ADDR="systemd:domain=INET:index=0",
            TLS_CERT="c.pem",
            TLS_KEY="k.pem",
        )
        processes.append(server)
        port = server.port()
        answer = _asked(port, trusting)
        server.signal(signal.SIGTERM)
        assert server.ended(5) == 0
    assert answer.startswith("HTTP/1.1 200 OK")
    assert "\r\nStrict-Transport-Security: max-age=31536000\r\n" in answer


def _asked(port: int, trusting: ssl.SSLContext, path: str = "/health") -> str:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        trusting.wrap_socket(plain, server_hostname=HOST) as client,
    ):
        assert client.selected_alpn_protocol() == "http/1.1"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    return answer.decode()


# -- several processes


def supervised(folder: Path, redis_port: int, *more: str, **values: Any) -> Process:
    given: dict[str, Any] = {
        "ENABLE_REDIS": "true",
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
        "REDIS_PREFIX": f"signals-{os.getpid()}-{folder.name}",
        "BIND_ADDR": "127.0.0.1:0",
        **values,
    }
    return Process(*FOREGROUND, "run", "--processes", "2", *more, cwd=folder, **given)


def test_of_several_processes_one_speaks_and_each_reads_its_settings_again(
    tmp_path: Path, processes: list[Process], manager: Manager, redis_port: int
) -> None:
    (tmp_path / ".env").write_text("MAX_CHANNELS=10\n")
    server = supervised(tmp_path, redis_port, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000", LOG_FORMAT="json")
    processes.append(server)
    port = int(server.line(r"2 processes listen on 127\.0\.0\.1:(\d+)").group(1))
    assert manager.hears("READY=1") == f"READY=1\nSTATUS=2 processes listen on 127.0.0.1:{port}"
    manager.hears("WATCHDOG=1")
    for number in (1, 2):
        server.line(rf'"listening on .*"process":{number}}}$')
    (tmp_path / ".env").write_text("MAX_CHANNELS=20\nMAX_CONNECTIONS=7\n")
    server.signal(signal.SIGHUP)
    manager.hears("RELOADING=1")
    manager.hears("READY=1")
    server.line(r'"settings read again: MAX_CHANNELS took effect; MAX_CONNECTIONS needs a restart"')
    for number in (1, 2):
        server.line(rf'"settings read again: MAX_CHANNELS took effect".*"process":{number}}}$')
    children = descendants(server.pid)
    assert len(children) == 2
    server.signal(signal.SIGTERM)
    manager.hears("STOPPING=1")
    assert server.ended(10) == 0


def test_of_several_processes_whose_all_hang_the_watchdog_hears_nothing(
    tmp_path: Path, processes: list[Process], manager: Manager, redis_port: int
) -> None:
    server = supervised(tmp_path, redis_port, NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000")
    processes.append(server)
    manager.hears("READY=1")
    for number in (1, 2):
        server.line(rf"\[{number}\] .*listening on ")
    children = descendants(server.pid)
    for each in children:
        os.kill(each, signal.SIGSTOP)
    manager._socket.settimeout(3)
    with pytest.raises(TimeoutError):
        for _ in range(60):  # for some seconds they might only be slow
            manager.next()
    for each in children:
        os.kill(each, signal.SIGCONT)
    manager._socket.settimeout(20)
    manager.hears("WATCHDOG=1")


def test_several_processes_serve_on_a_socket_that_is_passed_on(
    tmp_path: Path, processes: list[Process], redis_port: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = supervised(
            tmp_path,
            redis_port,
            first=passed_on(listening),
            descriptors=[listening.fileno()],
            BIND_ADDR="systemd:domain=INET:index=0",
        )
        processes.append(server)
        server.line(rf"2 processes listen on 127\.0\.0\.1:{port}$")
        for number in (1, 2):
            server.line(rf"\[{number}\] .*listening on 127\.0\.0\.1:{port}")
        assert get(port, "/health")[0] == 200
        server.signal(signal.SIGTERM)
        assert server.ended(10) == 0


def test_several_processes_speak_tls(tmp_path: Path, processes: list[Process], redis_port: int) -> None:
    authority = Authority()
    cert, key = authority.files(HOST)
    (tmp_path / "c.pem").write_text(cert)
    (tmp_path / "k.pem").write_text(key)
    server = supervised(tmp_path, redis_port, TLS_CERT="c.pem", TLS_KEY="k.pem")
    processes.append(server)
    port = int(server.line(r"2 processes listen on 127\.0\.0\.1:(\d+)").group(1))
    trusting = ssl.create_default_context(cadata=authority.pem)
    trusting.set_alpn_protocols(["http/1.1"])
    assert _asked(port, trusting).startswith("HTTP/1.1 200 OK")
    for number in (1, 2):  # one that began after the change would have read the new files to begin with
        server.line(rf"\[{number}\] .*listening on 127\.0\.0\.1:{port}")
    cert, key = Authority().files(HOST)
    (tmp_path / "c.pem").write_text(cert)
    (tmp_path / "k.pem").write_text(key)
    server.signal(signal.SIGHUP)
    for number in (1, 2):
        server.line(rf"\[{number}\] .*new connections get a new certificate")
    with pytest.raises(ssl.SSLCertVerificationError):
        _asked(port, trusting)
