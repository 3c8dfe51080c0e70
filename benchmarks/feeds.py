"""The rows that begin at a venue's socket: ingest, latency from the venue's send to the client's receive,
and the client that never reads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from benchmarks.contestants import CONTESTANTS, OURS, PEERS_PYTHON, PROGRAMS, start
from benchmarks.frames import NAMES
from benchmarks.loadgen import Load, Plan, wrong
from benchmarks.ours import BOOK_DEPTH
from benchmarks.payload import KINDS, write_bodies
from benchmarks.processes import LOAD_CORE, SERVER_CORE, BenchError, Child, python
from benchmarks.results import Results

BARE = "Twisted+slicer+msgspec"
"""What our stack can do at most: see ``peers/ingest_bare.py``."""

STAMP = '"quantity":'
"""Trades carry the nanosecond of their sending as their quantity."""


@frozen
class Ingest:
    """``frames`` of the mix through each contestant; ``listened_frames`` through ours while ``clients``
    are listening to everything."""

    frames: int
    listened_frames: int
    clients: int
    entrants: Sequence[str] = (OURS, f"{OURS} with clients", "cryptofeed", "picows+msgspec", BARE)
    row: str = "ingest"


@frozen
class Latency:
    """Trades at ``rate`` a second on average to ``clients``, for ``seconds``."""

    rate: float
    clients: int
    seconds: float
    entrants: Sequence[str] = (OURS, "uws")
    row: str = "latency"


@frozen
class Stalled:
    """The same with and without one client that never reads. ``rate`` and ``seconds`` make more bytes
    than such a client may cost."""

    rate: float
    clients: int
    seconds: float
    row: str = "stalled"


@contextlib.contextmanager
def venue(frames: int, flavour: str = "trade") -> Iterator[tuple[Child, dict[str, Any]]]:
    """A venue, ready, and what it said of itself."""
    child = Child("venue", [python(), "-m", "benchmarks.venue", "-", str(frames), flavour], LOAD_CORE)
    try:
        yield child, child.hear(60)
    finally:
        child.end()


@contextlib.contextmanager
def our_server(port: int, *names: str) -> Iterator[tuple[Child, int]]:
    """Our server on a venue, and its port. It reads every frame, like its peers, however far behind it is."""
    urls = f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}"
    child, own_port, _ = start(
        OURS, [python(), "-m", "benchmarks.ours", "venue-every-frame", *urls, *([",".join(names)] if names else [])]
    )
    try:
        yield child, own_port
    finally:
        child.end()


def subscribe_all(names: Sequence[str]) -> tuple[str, int]:
    """A request for ticker, trades and book of each symbol, and how many channels that is."""
    kinds: Sequence[dict[str, object]] = (
        {"channel_type": "ticker"},
        {"channel_type": "trade"},
        {"channel_type": "order_book", "depth": BOOK_DEPTH},
    )
    channels = [{**kind, "exchange": "binance", "symbol": name} for name in names for kind in kinds]
    return json.dumps({"op": "subscribe", "channels": channels}), len(channels)


# -- ingest


def run_ingest(row: Ingest, rounds: int, results: Results) -> None:
    """Frames per second of wall time, from the first marked trade to the last."""
    for _ in range(rounds):
        for name in row.entrants:
            absent = (
                CONTESTANTS["picows"].absent()
                if name == "picows+msgspec"
                else _no_cryptofeed()
                if name == "cryptofeed"
                else ""
            )
            if absent:
                results.leave_out(name, absent)
                continue
            try:
                results.add(row.row, name, _ingest(row, name))
            except BenchError as error:
                results.fail(row.row, name, str(error))


def _no_cryptofeed() -> str:
    found = any((PEERS_PYTHON.parent.parent).glob("lib/python*/site-packages/cryptofeed"))
    return "" if found else "cryptofeed is not installed (`python -m benchmarks --install`)"


def _ingest(row: Ingest, name: str) -> float:
    frames = row.listened_frames if name.endswith("with clients") else row.frames
    with contextlib.ExitStack() as stack:
        child, said = stack.enter_context(venue(frames, "agg" if name == "cryptofeed" else "trade"))
        port = said["port"]
        if name.startswith(OURS):
            server, own_port = stack.enter_context(our_server(port, *NAMES))
        elif name == BARE:
            server = Child(
                name, [python(), "-m", "benchmarks.peers.ingest_bare", str(port), ",".join(NAMES)], SERVER_CORE
            )
            stack.callback(server.end)
        else:
            program = "ingest_cryptofeed.py" if name == "cryptofeed" else "ingest_picows.py"
            server = Child(name, [str(PEERS_PYTHON), str(PROGRAMS / program), str(port), ",".join(NAMES)], SERVER_CORE)
            stack.callback(server.end)
        server.hear(30)
        if name.endswith("with clients"):
            request, channels = subscribe_all(NAMES)
            # greeting, answer, and a status and a value for each; a ticker and a book have one value,
            # there is one trade so far
            load = Load("ingest", own_port, Plan(row.clients, [request], 2 + 2 * channels, '{"type":"trade"', '"id":"'))
            stack.callback(load.end)
            load.begin()
        child.tell("blast")
        report = server.hear(120)
        _check_ingest(report, said, ours=name.startswith(OURS))
        if name.endswith("with clients"):
            expected = said["mix"]["trade"] * row.clients
            fault = wrong(load.expect(expected), expected)
            if fault:
                raise BenchError(fault)
        return float(sum(said["mix"].values()) / report["wall"])


def _check_ingest(report: dict[str, Any], said: dict[str, Any], *, ours: bool) -> None:
    """Every trade came, and what is known at the end is what the venue holds."""
    trades = said["mix"]["trade"] - 1  # the first one starts the count
    if report["done"]["trade"] != trades:
        raise BenchError(f"{report['done']['trade']} of {trades} trades")
    if ours:
        last = {
            key.split(":")[2].replace("-", ""): str(json.loads(text)["payload"]["bid"])
            for key, text in report["last"].items()
        }
    else:
        last = {key.replace("-", ""): value for key, value in report["last"].items()}
        if not 0 <= report["done"]["book"] - said["mix"]["book"] <= len(NAMES):
            raise BenchError(f"{report['done']['book']} book changes of {said['mix']['book']}: books were read anew")
    truth = said["truth"]
    if {key: float(value) for key, value in last.items()} != {key: float(value) for key, value in truth.items()}:
        raise BenchError(f"the best bids at the end are {last}, not {truth}")


# -- latency


def run_latency(row: Latency, rounds: int, results: Results) -> None:
    """Microseconds at the 50th, 99th and 99.9th percentile over all deliveries."""
    for _ in range(rounds):
        for name in row.entrants:
            absent = CONTESTANTS[name].absent()
            if absent:
                results.leave_out(name, absent)
                continue
            try:
                counted = _our_latency(row.rate, row.clients, row.seconds)[0] if name == OURS else _relay_latency(row)
                _add_latency(row.row, name, counted, results)
            except BenchError as error:
                results.fail(row.row, name, str(error))


def _add_latency(row: str, name: str, counted: dict[str, Any], results: Results) -> None:
    for key in ("p50", "p99", "p999"):
        results.add(f"{row}/{key}", name, float(counted[key]))


def _our_latency(rate: float, clients: int, seconds: float, stalled: int = 0) -> tuple[dict[str, Any], int]:
    """What the clients counted, and how much the server's memory grew in the meantime, in KiB."""
    request = json.dumps(
        {"op": "subscribe", "channels": [{"channel_type": "trade", "exchange": "binance", "symbol": NAMES[0]}]}
    )
    # the clients come when the venue has been heard: to the status they get the first trade as well
    plan = Plan(clients + stalled, [request], 4, *KINDS["trade"], STAMP, stalled)
    with contextlib.ExitStack() as stack:
        child, said = stack.enter_context(venue(0))
        server, port = stack.enter_context(our_server(said["port"]))
        # greeting, answer, two states, the first trade: the venue is heard
        keeper = Load("keeper", port, Plan(1, [request], 5, *KINDS["trade"]))
        stack.callback(keeper.end)
        load = Load("latency", port, plan)
        stack.callback(load.end)
        load.begin()
        before = server.resident_kib()
        child.tell(f"trades {rate} {seconds}")
        sent = child.hear(seconds + 30)["sent"]
        counted = load.expect(sent * clients)
        grown = server.resident_kib() - before
    fault = wrong(counted, sent * clients)
    if fault:
        raise BenchError(fault)
    return counted, grown


def _relay_latency(row: Latency) -> dict[str, Any]:
    bodies = write_bodies("trade", 1)
    with contextlib.ExitStack() as stack:
        stack.callback(bodies.unlink)
        server, port, _ = start("uws", [*CONTESTANTS["uws"].command(bodies, "trade", 1), "relay"])
        stack.callback(server.end)
        child, _ = stack.enter_context(venue(0))
        load = Load("latency", port, Plan(row.clients, ["0"], 1, *KINDS["trade"], STAMP))
        stack.callback(load.end)
        load.begin()
        child.tell(f"feed {port} {row.rate} {row.seconds}")
        sent = child.hear(row.seconds + 30)["sent"]
        counted = load.expect(sent * row.clients)
    fault = wrong(counted, sent * row.clients)
    if fault:
        raise BenchError(fault)
    return counted


def run_stalled(row: Stalled, rounds: int, results: Results) -> None:
    """The others' latency, and the memory of the one that does not read."""
    for _ in range(rounds):
        for name, stalled in (("everybody reads", 0), ("one never reads", 1)):
            try:
                counted, grown = _our_latency(row.rate, row.clients, row.seconds, stalled)
                _add_latency(row.row, name, counted, results)
                results.add(f"{row.row}/memory", name, float(grown))
            except BenchError as error:
                results.fail(row.row, name, str(error))
