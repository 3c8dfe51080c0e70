"""The rows that are not about events: handshakes, memory of idle clients, and how long the server
takes to its first value."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Sequence

from attrs import frozen

from benchmarks.contestants import CONTESTANTS, OURS, start
from benchmarks.feeds import venue
from benchmarks.frames import NAMES
from benchmarks.loadgen import Load, Plan
from benchmarks.payload import KINDS, write_bodies
from benchmarks.processes import SERVER_CORE, BenchError, Child, python
from benchmarks.results import Results
from benchmarks.venue import frame

NOBODY = Plan(0, (), 0, *KINDS["trade"])


@frozen
class Handshakes:
    """``count`` connections opened and closed, ``at_once`` at a time."""

    count: int
    at_once: int = 64
    entrants: Sequence[str] = (OURS, "websockets", "uws", "ws")
    row: str = "handshakes"


@frozen
class Idle:
    """``clients`` connected, subscribed to nothing; measured once, as nothing about it is by chance."""

    clients: int
    entrants: Sequence[str] = (OURS, "websockets", "uws")
    row: str = "memory"


@frozen
class ColdStart:
    """From the start of the process, as an operator starts it, to the first ticker at a client."""

    row: str = "cold"


def run_handshakes(row: Handshakes, rounds: int, results: Results) -> None:
    """Upgrades a second."""
    for _ in range(rounds):
        for name in _present(row.entrants, results):
            bodies = write_bodies("trade", 1)
            try:
                server, port, _ = start(name, CONTESTANTS[name].command(bodies, "trade", 1))
                try:
                    load = Load(name, port, NOBODY)
                    try:
                        load.handshakes(min(200, row.count), row.at_once)  # warm
                        done = load.handshakes(row.count, row.at_once)
                    finally:
                        load.end()
                finally:
                    server.end()
                results.add(row.row, name, done["handshakes"] / done["seconds"])
            except BenchError as error:
                results.fail(row.row, name, str(error))
            finally:
                bodies.unlink()


def _present(entrants: Sequence[str], results: Results) -> list[str]:
    for name in entrants:
        absent = CONTESTANTS[name].absent()
        if absent:
            results.leave_out(name, absent)
    return [name for name in entrants if not CONTESTANTS[name].absent()]


def run_idle(row: Idle, rounds: int, results: Results) -> None:
    """KiB of the server's resident memory per client."""
    for name in _present(row.entrants, results):
        bodies = write_bodies("trade", 1)
        try:
            server, port, _ = start(name, CONTESTANTS[name].command(bodies, "trade", 1))
            try:
                Load("warm", port, Plan(100, (), 0, *KINDS["trade"])).end()
                before = server.resident_kib()
                load = Load(name, port, Plan(row.clients, (), 0, *KINDS["trade"]))
                grown = server.resident_kib() - before
                load.end()
            finally:
                server.end()
            results.add(row.row, name, grown / row.clients)
        except BenchError as error:
            results.fail(row.row, name, str(error))
        finally:
            bodies.unlink()


def run_cold(row: ColdStart, rounds: int, results: Results) -> None:
    """Seconds until the first ticker, and beside it how long importing everything takes alone."""
    for _ in range(rounds):
        try:
            results.add(row.row, OURS, _cold())
        except (BenchError, OSError) as error:
            results.fail(row.row, OURS, str(error))


def _cold() -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with venue(0) as (_, said):
        urls = {
            f"BINANCE_{market}{kind}": f"{scheme}://127.0.0.1:{said['port']}"
            for market in ("", "PERPETUAL_")
            for kind, scheme in SCHEMES
        }
        command = [
            _twistd(),
            "-n",
            "--pidfile=",
            "cryptodash",
            "run",
            "--bind-addr",
            f"127.0.0.1:{port}",
            "--exchanges",
            "binance",
        ]
        begun = time.monotonic()
        server = Child("cold", command, SERVER_CORE, urls)
        try:
            _first_ticker(port, begun + 30)
            return time.monotonic() - begun
        finally:
            server.end()


SCHEMES = (("WS_URL", "ws"), ("REST_URL", "http"))


def _twistd() -> str:
    beside = os.path.join(os.path.dirname(python()), "twistd")
    found = beside if os.path.exists(beside) else shutil.which("twistd")
    if found is None:
        raise BenchError("there is no twistd")
    return found


def _first_ticker(port: int, until: float) -> None:
    request = {"op": "subscribe", "channels": [{"channel_type": "ticker", "exchange": "binance", "symbol": NAMES[0]}]}
    connection = _connected(port, until)
    with connection:
        connection.settimeout(10)
        connection.sendall(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        connection.sendall(frame(json.dumps(request).encode(), masked=True))
        while b'{"type":"ticker"' not in data:
            more = connection.recv(65536)
            if not more or time.monotonic() > until:
                raise BenchError("no ticker came")
            data += more


def _connected(port: int, until: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise BenchError("the server does not listen") from None
            time.sleep(0.005)
