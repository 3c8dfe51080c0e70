"""The server in the places where it is put: behind a proxy on a unix socket, with a certificate chain, with a name
service that hangs, in an environment full of other programs' variables."""

from __future__ import annotations

import base64
import os
import select
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptodash.testing.authority import Authority
from tests.processes import ROOT, Process, all_ended, get, run

LOOKUPS_HANG = "import socket, threading; socket.getaddrinfo = lambda *_, **__: threading.Event().wait(60)"
"""A name service that does not answer: before Twisted takes the function for its thread pool."""

LOOKUPS_TELL = "import socket; socket.getaddrinfo = lambda host, *_, **__: print('looked up', host, flush=True) or []"
"""A name service that knows no name, and shows which it was asked for."""


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with all_ended() as started:
        yield started


def upgraded(path: Path, forwarded: str) -> tuple[socket.socket, bytes]:
    """A /ws client on the unix socket, and the first frame that it reads."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(str(path))
    key = base64.b64encode(b"0123456789abcdef").decode()
    lines = (
        "GET /ws HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"X-Forwarded-For: {forwarded}",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    )
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    received = b""
    while not (rest := received.partition(b"\r\n\r\n")[2]):
        received += connection.recv(4096)
    assert received.startswith(b"HTTP/1.1 101")
    return connection, rest


def test_behind_a_unix_socket_the_forwarded_address_is_capped(tmp_path: Path, processes: list[Process]) -> None:
    server = Process(
        "-n",
        "--pidfile=",
        "cryptodash",
        cwd=tmp_path,
        BIND_ADDR="unix:x.sock",
        TRUSTED_PROXIES="unix",
        MAX_CONNECTIONS_PER_IP="1",
    )
    processes.append(server)
    assert server.line("listening on (.*)").group(1) == "x.sock"
    sockets = []
    opcodes = []
    for client in ("203.0.113.9", "203.0.113.9", "203.0.113.10"):
        connection, first = upgraded(tmp_path / "x.sock", client)
        sockets.append(connection)
        opcodes.append((first[0], first[2:4] if first[0] == 0x88 else b""))
    for each in sockets:
        each.close()
    assert opcodes == [(0x81, b""), (0x88, b"\x03\xf0"), (0x81, b"")]  # text, close with 1008, text


@pytest.mark.parametrize("how", ["plugin", "tac"])
def test_a_name_lookup_that_hangs_does_not_hold_the_end(how: str, tmp_path: Path, processes: list[Process]) -> None:
    arguments = {"plugin": ("-n", "cryptodash"), "tac": ("-ny", str(ROOT / "examples" / "cryptodash.tac"))}[how]
    server = Process(*arguments, cwd=tmp_path, first=LOOKUPS_HANG, HTTPS_PROXY="", BIND_ADDR="127.0.0.1:0")
    processes.append(server)
    assert get(server.port(), "/health")[0] == 200  # before it runs, a signal ends it as any program
    server.signal(signal.SIGTERM)
    assert server.ended(30) == 0
    assert not (tmp_path / "twistd.pid").exists()
    assert any("Server Shut Down" in line for line in server.lines), "the log is complete"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no other way to wait for a process that is not our child")
def test_a_daemon_takes_its_pid_file_along_although_a_lookup_hangs(tmp_path: Path) -> None:
    daemon = run(
        "--logfile=d.log", "cryptodash", cwd=tmp_path, first=LOOKUPS_HANG, HTTPS_PROXY="", BIND_ADDR="unix:d.sock"
    )
    assert daemon.returncode == 0, daemon
    process = int((tmp_path / "twistd.pid").read_text())
    ended = os.pidfd_open(process)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(tmp_path / "d.sock"))
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        os.kill(process, signal.SIGTERM)
        assert select.select([ended], [], [], 5)[0], "it goes on"
    finally:
        if not select.select([ended], [], [], 0)[0]:
            os.kill(process, signal.SIGKILL)
        os.close(ended)
    assert not (tmp_path / "twistd.pid").exists()
    assert "Server Shut Down" in (tmp_path / "d.log").read_text(), "the log is complete"


@pytest.mark.parametrize(
    "proxy", ["proxy.corp:3128", "https://proxy.corp:3128", "socks5h://127.0.0.1:1080", "nonsense nonsense"]
)
def test_no_proxy_of_the_environment_keeps_a_demo_from_starting(proxy: str, tmp_path: Path) -> None:
    done = run("cryptodash", "check-config", cwd=tmp_path, DEMO="true", HTTPS_PROXY=proxy)
    assert done.returncode == 0, done
    assert "the settings are good" in done.stdout


def test_hosts_of_no_proxy_are_reached_directly_and_others_by_the_proxy(
    tmp_path: Path, processes: list[Process]
) -> None:
    server = Process(
        "-n",
        "--pidfile=",
        "cryptodash",
        cwd=tmp_path,
        first=LOOKUPS_TELL,
        BIND_ADDR="127.0.0.1:0",
        EXCHANGES="binance",
        HTTPS_PROXY="",
        https_proxy="proxy.corp:3128",
        no_proxy="api.binance.com",
    )
    processes.append(server)
    server.line("looked up api.binance.com")
    server.line("looked up proxy.corp")
    assert not any("looked up fapi" in line for line in server.lines)


def test_a_client_that_has_only_the_root_verifies_the_server(tmp_path: Path, processes: list[Process]) -> None:
    root = Authority()
    middle = Authority(root)
    leaf, key = middle.files("market.example")
    (tmp_path / "fullchain.pem").write_text(leaf + middle.pem)
    (tmp_path / "key.pem").write_text(key)
    files = {"TLS_CERT": "fullchain.pem", "TLS_KEY": "key.pem"}
    server = Process("-n", "--pidfile=", "cryptodash", cwd=tmp_path, BIND_ADDR="127.0.0.1:0", **files)
    processes.append(server)
    trusting = ssl.create_default_context(cadata=root.pem)
    with (
        socket.create_connection(("127.0.0.1", server.port()), timeout=30) as connection,
        trusting.wrap_socket(connection, server_hostname="market.example") as client,
    ):
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
