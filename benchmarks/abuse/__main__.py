"""``python -m benchmarks.abuse``: one client at its worst, and what the others feel of it.

A server process as an operator starts it (``twistd cryptodash``, on its simulated venues) has one core; the other
clients and the abuser, processes of their own, have the second, the abuser with the lowest priority. What is taken is
the time from sending a ``ping`` to its answer, of clients that do nothing else: alone (the abuser is connected and
quiet), then with. A line a row, medians of the rounds; exit code 1 if with one of them the p99 is above
max(5 x alone, 35 ms).
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from attrs import frozen

from benchmarks.abuse.abusers import ABUSERS
from benchmarks.processes import LOAD_CORE, ROOT, SERVER_CORE, BenchError, Child, pin, python, raise_file_limit

FACTOR, LEAST_MS = 5.0, 35.0
CLIENTS, PER_CLIENT = 25, 20
"""The others: each asks 20 times a second, below what is allowed."""
SETTLE_S = 1.0
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


@contextmanager
def server(root: Path) -> Iterator[tuple[Child, int]]:
    """A server of the tree at ``root``, ready to serve."""
    port = free_port()
    command = [python(), "-P", "-c", TWISTD, "-n", "--pidfile=", "cryptodash", "run", "--demo"]
    child = Child(
        "abused", [*command, "--bind-addr", f"127.0.0.1:{port}"], SERVER_CORE, {"PYTHONPATH": str(root.resolve())}
    )
    try:
        _wait(child, port)
        yield child, port
    finally:
        child.end()


def _wait(child: Child, port: int) -> None:
    get = build_opener(ProxyHandler({})).open
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with get(f"http://127.0.0.1:{port}/ready", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise BenchError("the server is not ready after 30 s")


def measure(name: str, root: Path, seconds: float, clients: int) -> Round:
    """One round on a server of its own, so that no row pays for another."""
    with server(root) as (served, port):
        probe = Child(
            "probe", [python(), "-m", "benchmarks.abuse.probe", f"{port}", f"{clients}", f"{PER_CLIENT}"], LOAD_CORE
        )
        abuser = Child("abuser", [python(), "-m", "benchmarks.abuse.abusers", name, f"{port}"], LOAD_CORE)
        try:
            probe.hear(30)
            abuser.hear(60)
            time.sleep(SETTLE_S)
            found = []
            for going in (False, True):
                if going:
                    abuser.tell("go")
                probe.tell(f"measure {seconds}")
                found.append(probe.hear(seconds + 30))
            resident = served.resident_kib() / 1024
            abuser.tell("stop")
            return Round(found[0], found[1], resident, abuser.hear(30))
        finally:
            abuser.end()
            probe.end()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse", description=__doc__)
    parser.add_argument("--rows", default=",".join(ABUSERS), help=f"only these, of: {', '.join(ABUSERS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, twice a round")
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
        row = Row(name, [measure(name, options.root, options.seconds, options.clients) for _ in range(options.rounds)])
        failed |= not row.is_within
        sys.stdout.write(row.line() + "\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
