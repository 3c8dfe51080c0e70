"""``python -m benchmarks.soak``: does the server's memory stay flat, hour after hour?

Two servers at once, each with clients that come and go (``soak_clients.py``): the demo, which has the simulator in its
process, and a server alone whose venues are a simulator process. Each minute a line per process is printed; at the end
each must be *flat*: from the first to the last fifth of the window, its resident memory (the median of each fifth) has
grown by less than 2 %. The window is the last 15 minutes, of a shorter run its second half.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.processes import LOAD_CORE, SERVER_CORE, BenchError, Child, python, raise_file_limit

WINDOW_S = 15 * 60.0
LIMIT = 0.02
SAMPLE_S = 5.0
VISITORS = 20
EXCHANGES = "binance,bybit"
HOSTS = (("BINANCE_", "binance"), ("BINANCE_PERPETUAL_", "binance"), ("BYBIT_", "bybit"), ("BYBIT_PERPETUAL_", "bybit"))
OFFSETS = (0, 1, 2, 2)
"""Which of the simulator's ports serves each of ``HOSTS``: Bybit has one for both markets."""
SETTINGS = {"UPSTREAM_LINGER_S": "5", "MAX_CONNECTIONS_PER_IP": "5000"}
"""A short linger, so that topics end as fast as new ones come."""
COUNTED = {
    "clients": "cryptodash_ws_connections",
    "came": "cryptodash_ws_connections_accepted_total",
    "events": "cryptodash_events_published_total",
    "sent": "cryptodash_ws_messages_sent_total",
    "dropped": "cryptodash_ws_dropped_total",
}
COLUMNS = ("min", "process", "RSS MiB", "fds", "CPU s", *COUNTED, "got", "errors", "violations")

direct = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
Samples = list[tuple[float, float]]
"""(seconds since the start, KiB)"""


def window_of(seconds: float) -> float:
    """How much of a run, from its end, is judged."""
    return min(WINDOW_S, seconds / 2)


def growth(samples: Samples, window: float) -> float:
    """By which part the memory has grown within the window. Raises ``BenchError`` for fewer than two samples."""
    judged = [(at, size) for at, size in samples if at >= samples[-1][0] - window]
    if len(judged) < 2:
        raise BenchError("too short to say anything")
    fifth = max(1, len(judged) // 5)
    before, after = (median(size for _, size in part) for part in (judged[:fifth], judged[-fifth:]))
    return after / before - 1


class Watched:
    """One process under watch. ``port``: its server's, 0 where there is none; ``crowd`` its clients."""

    def __init__(self, name: str, child: Child, port: int = 0, control: int = 0, crowd: Child | None = None) -> None:
        self.name, self.child, self.samples = name, child, Samples()
        self._port, self._control, self._crowd = port, control, crowd

    def sample(self, at: float) -> None:
        self.samples.append((at, self.child.resident_kib()))

    def row(self, minute: float) -> list[str]:
        """One line of the table. Raises ``OSError`` when the process is gone."""
        folder = Path(f"/proc/{self.child.pid}")
        ticks = sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:13]))
        row = [f"{minute:g}", self.name, f"{self.samples[-1][1] / 1024:.1f}", str(len(os.listdir(folder / "fd")))]
        row.append(f"{ticks / os.sysconf('SC_CLK_TCK'):.0f}")
        metrics = counters(fetch(self._port, "/metrics")) if self._port else {}
        row += [f"{metrics[name]:.0f}" if metrics else "" for name in COUNTED.values()]
        said = self._crowd.latest() if self._crowd is not None else {}
        row += [str(said.get(name, "")) for name in ("messages", "errors")]
        row.append(str(fetch(self._control, "/ledger").count('"exchange"')) if self._control else "")
        return row


def fetch(port: int, path: str) -> str:
    with direct(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def counters(text: str) -> dict[str, float]:
    """The sum over all labels of each metric we show."""
    found = dict.fromkeys(COUNTED.values(), 0.0)
    for name, value in re.findall(r"^(\w+)(?:\{.*\})? (\S+)$", text, re.MULTILINE):
        if name in found:
            found[name] += float(value)
    return found


def free_ports(count: int) -> int:
    """The first of so many ports in a row that are free."""
    for first in range(20_000 + os.getpid() % 5000, 60_000, count):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise BenchError("no free ports")


def twistd(name: str, core: int, *arguments: str, **settings: str) -> Child:
    command = [python(), "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "cryptodash"]
    return Child(name, [*command, *arguments], core, {**SETTINGS, **settings})


@contextmanager
def started(which: str) -> Iterator[list[Watched]]:
    """The processes of ``demo`` or ``alone``, with their clients."""
    with ExitStack() as ends:
        children: list[Child] = []

        def keep(child: Child) -> Child:
            ends.callback(child.end)
            children.append(child)
            return child

        yield demo(keep) if which == "demo" else alone(keep)


def demo(keep: Callable[[Child], Child]) -> list[Watched]:
    port = free_ports(1)
    server = keep(twistd("soak-demo", SERVER_CORE, "run", "--demo", "--bind-addr", f"127.0.0.1:{port}"))
    return [Watched("demo", server, port, crowd=keep(clients("demo", port)))]


def alone(keep: Callable[[Child], Child]) -> list[Watched]:
    first = free_ports(8)
    control, port = first + 6, first + 7
    options = ("--port", str(first), "--control-port", str(control), "--exchanges", EXCHANGES)
    simulator = keep(twistd("soak-simulator", LOAD_CORE, "simulate", *options))
    wait(control, "/ledger")
    urls = {}
    for (name, _), offset in zip(HOSTS, OFFSETS, strict=True):
        urls[f"{name}WS_URL"] = f"ws://127.0.0.1:{first + offset}"
        urls[f"{name}REST_URL"] = f"http://127.0.0.1:{first + offset}"
    run = ("run", "--bind-addr", f"127.0.0.1:{port}", "--exchanges", EXCHANGES)
    server = keep(twistd("soak-server", SERVER_CORE, *run, **urls))
    return [
        Watched("server", server, port, crowd=keep(clients("server", port))),
        Watched("simulator", simulator, control=control),
    ]


def clients(name: str, port: int) -> Child:
    """The clients, once the server has read its catalogues."""
    deadline = time.monotonic() + 60
    while '"symbol":"BTC' not in wait(port, "/api/symbols") and time.monotonic() < deadline:
        time.sleep(0.2)
    command = [python(), "-m", "benchmarks.soak_clients", str(port), str(VISITORS)]
    return Child(f"soak-clients-{name}", command, LOAD_CORE)


def wait(port: int, path: str, seconds: float = 60.0) -> str:
    """The answer, once somebody gives one."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fetch(port, path)
        except OSError as error:
            if time.monotonic() > deadline:
                raise BenchError(f"nobody answers on port {port}: {error}") from None
            time.sleep(0.1)


def watch(watched: Sequence[Watched], seconds: float, say: Callable[[Sequence[str]], object]) -> None:
    """Sample all, and say a line of each every minute and at the end."""
    begun = time.monotonic()
    spoken = 0.0
    while (at := time.monotonic() - begun) < seconds:
        for each in watched:
            each.sample(at)
        if at >= spoken:
            spoken += 60.0
            _say_all(watched, at, say)
        time.sleep(max(0.0, min(SAMPLE_S, seconds / 20) - (time.monotonic() - begun - at)))
    _say_all(watched, seconds, say)


def _say_all(watched: Sequence[Watched], at: float, say: Callable[[Sequence[str]], object]) -> None:
    for each in watched:
        say(each.row(round(at / 60, 1)))


def table_line(row: Sequence[str]) -> str:
    return "  ".join(cell.rjust(max(len(name), 9)) for name, cell in zip(COLUMNS, row, strict=True))


def verdicts(watched: Sequence[Watched], seconds: float) -> Mapping[str, float]:
    """By which part each process has grown within the window."""
    return {each.name: growth(each.samples, window_of(seconds)) for each in watched}


def say(row: Sequence[str]) -> None:
    """One row of the table, seen at once."""
    sys.stdout.write(table_line(row) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--only", choices=("demo", "alone"), action="append", help="not both at once")
    options = parser.parse_args(arguments)
    seconds = options.minutes * 60
    raise_file_limit()

    with ExitStack() as running:
        watched = [
            each for which in options.only or ("demo", "alone") for each in running.enter_context(started(which))
        ]
        say(COLUMNS)
        watch(watched, seconds, say)
    grown = verdicts(watched, seconds)
    for name, part in grown.items():
        word = "flat" if part < LIMIT else "GROWS"
        sys.stdout.write(f"{name}: {part:+.1%} over the last {window_of(seconds) / 60:g} min: {word}\n")
    return 0 if all(part < LIMIT for part in grown.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
