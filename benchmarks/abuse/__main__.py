"""``python -m benchmarks.abuse``: one client at its worst, and what the others feel of it.

A server process as an operator starts it (``twistd cryptodash``) has one core; the simulated venues, the other clients
and the abuser, processes of their own, have the second, the abuser with the lowest priority. What is taken is
the time from sending a ``ping`` to its answer, of clients that do nothing else: alone (the abuser is connected and
quiet), then with. A line a row, medians of the rounds; exit code 1 if with one of them the p99 is above
max(5 x alone, 35 ms).
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.request import ProxyHandler, build_opener

from attrs import frozen

from benchmarks.abuse.abusers import ABUSERS, SETTINGS
from benchmarks.abuse.wire import TOKEN_VARIABLE
from benchmarks.processes import LOAD_CORE, ROOT, SERVER_CORE, BenchError, Child, pin, python, raise_file_limit

FACTOR, LEAST_MS = 5.0, 35.0
CLIENTS, PER_CLIENT = 25, 20
"""The others: each asks 20 times a second, below what is allowed."""
SETTLE_S = 1.0
CALM_S, CALM_MS, CALM_TRIES = 0.3, 2.0, 30
SIMULATED = 3
"""Ports of the simulated venues: Binance spot, Binance perpetual, Bybit."""
TWISTD_OPTIONS = ["-n", "--pidfile=", "cryptodash"]
TWISTD = "from twisted.scripts.twistd import run; run()"


@frozen
class Round:
    """One round of one row: ms, and MiB of the server at its end."""

    alone: dict[str, float]
    beside: dict[str, float]
    resident: float
    done: dict[str, int]


@frozen
class Row:
    """The rounds of one abuser."""

    name: str
    rounds: Sequence[Round]

    def alone(self, which: str) -> float:
        return median(each.alone[which] for each in self.rounds)

    def beside(self, which: str) -> float:
        return median(each.beside[which] for each in self.rounds)

    @property
    def allowed(self) -> float:
        return max(FACTOR * self.alone("p99"), LEAST_MS)

    @property
    def is_within(self) -> bool:
        return self.beside("p99") <= self.allowed and not any(each.beside["lost"] for each in self.rounds)

    def line(self) -> str:
        alone, beside = self.alone("p99"), self.beside("p99")
        done = self.rounds[-1].done
        did = ", ".join(
            f"{done[key] / 2**20:.1f} MiB {key}" if key in ("sent", "read") else f"{done[key]:,} {key}"
            for key in done
            if done[key] and (key, done[key]) != ("connections", 1)
        )
        return (
            f"{ABUSERS[self.name][0]:44} {self.alone('p50'):7.2f} {self.beside('p50'):7.2f}   "
            f"{alone:7.2f} {beside:7.2f} {beside / alone:6.1f}x {self.allowed:6.1f}   "
            f"{max(each.resident for each in self.rounds):6.0f}   {'ok' if self.is_within else 'FAILED':6}   {did}"
        )


HEAD = (
    f"{'what one client does':44} {'p50 ms: alone, with':>15}   {'p99 ms: alone, with, ratio, allowed':>31}   "
    f"{'MiB':>6}   {'':6}   in the last round"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def free_ports() -> int:
    """The first of ``SIMULATED`` free ports in a row."""
    while True:
        first = free_port()
        with suppress(OSError), ExitStack() as stack:
            for port in range(first, first + SIMULATED):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


@contextmanager
def venues() -> Iterator[dict[str, str]]:
    """The simulated venues in a process of their own; the settings that lead a server there."""
    first = free_ports()
    ports = [f"--port={first}", f"--control-port={free_port()}", "--exchanges=binance,bybit"]
    child = Child(
        "venues", ["nice", "-n10", python(), "-P", "-c", TWISTD, *TWISTD_OPTIONS, "simulate", *ports], LOAD_CORE
    )
    try:
        _wait(f"http://127.0.0.1:{first}/api/v3/ping")
        yield {
            f"{name}_{kind}_URL": f"{scheme}://127.0.0.1:{first + place}"
            for name, place in (("BINANCE", 0), ("BINANCE_PERPETUAL", 1), ("BYBIT", 2), ("BYBIT_PERPETUAL", 2))
            for kind, scheme in (("WS", "ws"), ("REST", "http"))
        }
    finally:
        child.end()


@contextmanager
def server(root: Path, besides: Mapping[str, str]) -> Iterator[tuple[Child, int]]:
    """A server of the tree at ``root``, ready to serve; ``besides`` are settings."""
    port = free_port()
    command = [python(), "-P", "-c", TWISTD, *TWISTD_OPTIONS, "run", "--bind-addr", f"127.0.0.1:{port}"]
    with venues() as settings:
        child = Child("abused", command, SERVER_CORE, {"PYTHONPATH": str(root.resolve()), **settings, **besides})
        try:
            _wait(f"http://127.0.0.1:{port}/ready")
            yield child, port
        finally:
            child.end()


def _wait(url: str) -> None:
    get = build_opener(ProxyHandler({})).open
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with get(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise BenchError(f"{url} has no good answer after 30 s")


def measure(name: str, root: Path, rounds: int, seconds: float, clients: int) -> Row:
    """One row, on a server of its own: none pays for another."""
    settings = SETTINGS.get(name, {})
    token = {TOKEN_VARIABLE: settings["AUTH_TOKEN"]} if "AUTH_TOKEN" in settings else {}
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory())
        besides = {key: value.format(directory=directory) for key, value in settings.items()}
        served, port = stack.enter_context(server(root, besides))
        command = [python(), "-m", "benchmarks.abuse.probe", f"{port}", f"{clients}", f"{PER_CLIENT}"]
        probe = Child("probe", command, LOAD_CORE, token)
        try:
            probe.hear(30)
            return Row(name, [_round(name, served, port, probe, seconds) for _ in range(rounds)])
        finally:
            probe.end()


def _round(name: str, served: Child, port: int, probe: Child, seconds: float) -> Round:
    abuser = Child("abuser", [python(), "-m", "benchmarks.abuse.abusers", name, f"{port}"], LOAD_CORE)
    try:
        abuser.hear(60)
        time.sleep(SETTLE_S)
        _calm_down(probe)
        found = []
        for going in (False, True):
            if going:
                abuser.tell("go")
            probe.tell(f"measure {seconds}")
            found.append(probe.hear(seconds + 60))
        resident = served.resident_kib() / 1024
        abuser.tell("stop")
        return Round(found[0], found[1], resident, abuser.hear(60))
    finally:
        abuser.end()


def _calm_down(probe: Child) -> None:
    """Wait for what the server still has of the round before: that is not what it is like alone."""
    for _ in range(CALM_TRIES):
        probe.tell(f"measure {CALM_S}")
        if probe.hear(60)["p50"] < CALM_MS:
            return


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse", description=__doc__)
    parser.add_argument("--rows", default=",".join(ABUSERS), help=f"only these, of: {', '.join(ABUSERS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement, twice a round")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="the others")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree whose server is measured")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    names = [name for name in options.rows.split(",") if name]
    if unknown := [name for name in names if name not in ABUSERS]:
        sys.stderr.write(f"no such row: {', '.join(unknown)}; there are {', '.join(ABUSERS)}\n")
        return 2
    raise_file_limit()
    pin(LOAD_CORE)
    sys.stdout.write(HEAD + "\n")
    failed = False
    for name in names:
        row = measure(name, options.root, options.rounds, options.seconds, options.clients)
        failed |= not row.is_within
        sys.stdout.write(row.line() + "\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
