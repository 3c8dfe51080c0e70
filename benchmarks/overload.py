"""The row ``overload``: a venue sends twice what one core can take. How old is what clients see, is a trade lost?

80 % of the frames are quotes, 10 % trades and 10 % changes of books, over many symbols. First a server that reads every
frame shows what one core can take of them; then it and ours get twice as many a second, at set times, whether they read
or not. Quotes and trades carry the time at which they were due, so that what waits in a socket is old as well.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

from attrs import frozen

from benchmarks.contestants import OURS, start
from benchmarks.loadgen import Load, Plan, wrong
from benchmarks.ours import symbol_of
from benchmarks.payload import KINDS
from benchmarks.processes import LOAD_CORE, BenchError, Child, python
from benchmarks.results import Results

EVERY = f"{OURS}, every frame read"
TIMES = 2.0
SEEN = {"trade": (KINDS["trade"][0], '"quantity":'), "ticker": ('{"type":"ticker"', '"bid_size":')}
"""What a client listens to: how its messages begin, and what stands before the time."""


@frozen
class Overload:
    """``frames`` show what one core can take; the overload lasts ``seconds``."""

    symbols: int
    frames: int
    seconds: float
    row: str = "overload"


def run(row: Overload, rounds: int, results: Results) -> None:
    """Frames a second, milliseconds of age at the clients, and trades that did not come."""
    for _ in range(rounds):
        try:
            rate = TIMES * _capacity(row)
        except BenchError as error:
            results.fail(row.row, EVERY, str(error))
            continue
        for name in (EVERY, OURS):
            try:
                _measure(row, name, rate, results)
            except BenchError as error:
                results.fail(row.row, name, str(error))


@contextlib.contextmanager
def _stage(row: Overload, name: str, frames: int) -> Iterator[tuple[Child, Child, int]]:
    """The venue with so many frames ready, the server with every topic of it held, and its port."""
    names = ",".join(str(symbol_of(index)) for index in range(row.symbols))
    with contextlib.ExitStack() as stack:
        command = [python(), "-m", "benchmarks.venue", names, str(frames), "overload"]
        venue = Child("venue", command, LOAD_CORE)
        stack.callback(venue.end)
        port = venue.hear(120)["port"]
        urls = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
        mode = "venue" if name == OURS else "venue-every-frame"
        server, own_port, _ = start(name, [python(), "-m", "benchmarks.ours", mode, *urls, names])
        stack.callback(server.end)
        server.hear(60)
        yield venue, server, own_port


@contextlib.contextmanager
def _clients(row: Overload, port: int) -> Iterator[dict[str, Load]]:
    """One that listens to all trades, one to all tickers."""
    with contextlib.ExitStack() as stack:
        found = {}
        for kind, (begins, stamp) in SEEN.items():
            channels = [
                {"channel_type": kind, "exchange": "binance", "symbol": str(symbol_of(index))}
                for index in range(row.symbols)
            ]
            request = json.dumps({"op": "subscribe", "channels": channels})
            # greeting, answer, and a status and a value for each
            plan = Plan(1, [request], 2 + 2 * row.symbols, begins, '"id":"', stamp)
            found[kind] = Load(f"overload-{kind}", port, plan)
            stack.callback(found[kind].end)
        yield found


def _capacity(row: Overload) -> float:
    """Frames a second that one core takes, each of them read, with its clients."""
    with _stage(row, EVERY, row.frames) as (venue, _, port), _clients(row, port) as clients:
        for each in clients.values():
            each.begin()
        venue.tell("flood 0")
        said = venue.hear(60)
        counted = clients["trade"].expect(said["trades"])
        fault = wrong(counted, said["trades"])
        if fault:
            raise BenchError(fault)
        # A flood of a few frames may reach the client at one moment, by its clock.
        return float(said["sent"] / max(counted["seconds"], 0.001))


def _measure(row: Overload, name: str, rate: float, results: Results) -> None:
    with _stage(row, name, round(rate * row.seconds)) as (venue, _, port), _clients(row, port) as clients:
        for each in clients.values():
            each.begin()
        venue.tell(f"flood {rate}")
        said = venue.hear(row.seconds * 20 + 60)
        counted: dict[str, dict[str, Any]] = {"trade": clients["trade"].expect(said["trades"])}
        counted["ticker"] = clients["ticker"].expect(1 << 40)
        skipped = _skipped(port)
    fault = wrong(counted["trade"], said["trades"])
    results.add(f"{row.row}/frames sent a second", name, rate)
    results.add(f"{row.row}/trades lost", name, float(said["trades"] - counted["trade"]["frames"]))
    results.add(f"{row.row}/quotes skipped %", name, 100.0 * skipped / max(1, said["quotes"]))
    for kind, each in counted.items():
        for key in ("p50", "p99", "p999"):
            results.add(f"{row.row}/{kind} {key} ms", name, each[key] / 1000)
    if fault:
        raise BenchError(fault)


def _skipped(port: int) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        found = re.search(rb"^cryptodash_quotes_skipped_total\{[^}]*\} ([0-9.e+]+)", answer.read(), re.MULTILINE)
    return float(found[1]) if found else 0.0
