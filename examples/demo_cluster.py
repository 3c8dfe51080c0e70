"""Three server processes that are one server by Redis, on simulated exchanges: each second a line says which process
has which exchange open, and what a client of each process sees of BTC-USDT.

    python examples/demo_cluster.py [--port 8080]

Kill one of them from another terminal and watch. Ctrl-C ends all. The logs go to demo-cluster-*.log.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from twisted.internet import reactor, task

PROCESSES = 3
EXCHANGES = ("binance", "bybit")
HOSTS = {"BINANCE": 0, "BINANCE_PERPETUAL": 1, "BYBIT": 2, "BYBIT_PERPETUAL": 2}
"""Which port of the simulator, from its first one, serves what."""


class Watch:
    """What a client of one process sees, and what the process says that it has open."""

    def __init__(self, number: int, port: int) -> None:
        self.number, self.port = number, port
        self.seen = dict.fromkeys(EXCHANGES, ("-", "-"))
        self.process: subprocess.Popen[bytes] | None = None

    def message(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "ticker":
            self.seen[payload["exchange"]] = (f"{payload['last']}", self.seen[payload["exchange"]][1])
        elif kind == "status":
            exchange = payload["channel"]["exchange"]
            said = payload["state"] + (f"({payload['cause']})" if "cause" in payload else "")
            self.seen[exchange] = (self.seen[exchange][0], said)

    def words(self, holds: dict[str, list[str]]) -> str:
        assert self.process is not None
        if self.process.poll() is not None:
            return f"{self.number}: gone"
        held = "+".join(holds.get(str(self.number), [])) or "nothing"
        seen = " ".join(f"{exchange} {last} {state}" for exchange, (last, state) in self.seen.items())
        return f"{self.number}: has {held}; sees {seen}"


class WatchClient(WebSocketClientProtocol):
    factory: WatchFactory

    def onOpen(self) -> None:
        channels = [{"channel_type": "ticker", "exchange": each, "symbol": "BTC-USDT"} for each in EXCHANGES]
        self.sendMessage(json.dumps({"op": "subscribe", "channels": channels}).encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        message = json.loads(payload, parse_float=Decimal)
        self.factory.watch.message(message["type"], message["payload"])

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.again()


class WatchFactory(WebSocketClientFactory):
    protocol = WatchClient

    def __init__(self, watch: Watch) -> None:
        super().__init__(f"ws://127.0.0.1:{watch.port}/ws")
        self.watch = watch

    def again(self) -> None:
        reactor.callLater(1.0, connectWS, self, timeout=5)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.again()


def free_ports(count: int, first: int) -> list[int]:
    """So many ports of 127.0.0.1 that nobody has, from ``first`` on."""
    found: list[int] = []
    for number in range(first, 65_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                found = []
                continue
        found.append(number)
        if len(found) == count:
            return found
    raise SystemExit("no ports are free")


def leases(redis: int, prefix: str, names: dict[str, str]) -> dict[str, list[str]]:
    """What each process has open, by its number: as it stands in Redis."""
    found: dict[str, list[str]] = {}
    try:
        with socket.create_connection(("127.0.0.1", redis), timeout=1) as asked, asked.makefile("rb") as answers:
            for exchange in EXCHANGES:
                asked.sendall(f"GET {prefix}:lease:{exchange}\r\n".encode())
                size = int(answers.readline()[1:])
                if size >= 0:
                    token = answers.read(size + 2).decode().strip()
                    pid = token.rpartition(":")[0].split("-")[-2]
                    found.setdefault(names.get(pid, "?"), []).append(exchange)
    except OSError:
        pass
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    program = shutil.which("redis-server")
    if program is None:
        print(
            "the demo of several processes needs redis-server, 6.2 or newer: apt-get install redis-server",
            file=sys.stderr,
        )
        return 1
    twistd = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile="]
    redis, *simulated = free_ports(8, 19_100)
    control = simulated.pop()
    ports = free_ports(PROCESSES, options.port)
    children: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **settings: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        made = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=quiet, stderr=quiet, start_new_session=True
        )
        children.append(made)
        return made

    start(program, "--port", str(redis), "--bind", "127.0.0.1", "--save", "")
    simulator = ("simulate", "--port", str(simulated[0]), "--control-port", str(control))
    log = ("--logfile", "demo-cluster-simulator.log", "cryptodash")
    start(*twistd, *log, *simulator, "--exchanges", ",".join(EXCHANGES))
    urls = {
        f"{name}_{kind}_URL": f"{scheme}://127.0.0.1:{simulated[place]}"
        for name, place in HOSTS.items()
        for kind, scheme in (("WS", "ws"), ("REST", "http"))
    }
    own = {"ENABLE_REDIS": "true", "REDIS_URL": f"redis://127.0.0.1:{redis}", "EXCHANGES": ",".join(EXCHANGES), **urls}
    watches = [Watch(number, port) for number, port in enumerate(ports, 1)]
    for watch in watches:
        log = ("--logfile", f"demo-cluster-{watch.number}.log", "cryptodash")
        watch.process = start(*twistd, *log, "run", "--bind-addr", f"127.0.0.1:{watch.port}", **own)
    names = {str(watch.process.pid): str(watch.number) for watch in watches if watch.process is not None}
    for pid, number in names.items():
        print(f"process {number}: http://127.0.0.1:{ports[int(number) - 1]}/   kill it with: kill -9 {pid}")

    def every_second() -> None:
        holds = leases(redis, "cryptodash", names)
        print(time.strftime("%H:%M:%S"), "  |  ".join(watch.words(holds) for watch in watches), flush=True)

    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
    task.LoopingCall(every_second).start(1.0, now=False)
    for watch in watches:
        reactor.callLater(1.0, connectWS, WatchFactory(watch), timeout=5)
    try:
        reactor.run()
    finally:
        for child in reversed(children):
            child.terminate()
        for child in children:
            child.wait(timeout=15)
    return 0


if __name__ == "__main__":
    sys.exit(main())
