"""The row ``cluster``: several processes that are one server by Redis, and what that costs.

``latency``: a trade, from the venue's send to a client of the process that has the venue open, and to one of another
process. ``clients``: the same trades to many clients of processes that have not got the venue (all clients of the only
one, where there is one), beside Centrifugo: CPU time of all server processes per delivery, Redis's own apart, and how
late. ``ingest``: CPU time per frame of the venue, everything of it wanted by one client of each process that has any.

There are two cores, all servers and Redis on one of them: these are costs, it is no proof that processes scale.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import field, frozen

from benchmarks import centrifugo
from benchmarks.cluster_members import Members, started
from benchmarks.contestants import OURS
from benchmarks.feeds import STAMP, subscribe_all, venue
from benchmarks.frames import NAMES
from benchmarks.loadgen import Load, Plan, wrong
from benchmarks.payload import KINDS
from benchmarks.processes import LOAD_CORE, BenchError, Child, python
from benchmarks.redis_server import program, redis_server
from benchmarks.results import Results

HOLDER, OTHER, ADDED = "client of the holder", "client of another process", "added"
ALONE = f"{OURS}, no Redis"
MEMORY, NODES = "Centrifugo, memory", "Centrifugo, 2 nodes + Redis"
TRADES = json.dumps(
    {"op": "subscribe", "channels": [{"channel_type": "trade", "exchange": "binance", "symbol": NAMES[0]}]}
)
PERCENTILES = ("p50", "p99")


@frozen
class Cluster:
    """``processes``: how many are measured, 0 for one without Redis. ``rates``: trades a second to ``clients``, for
    ``seconds``, after ``warm`` seconds that do not count. ``frames`` of the venue at ``frame_rate`` a second."""

    clients: int
    rates: Sequence[float]
    seconds: float = 4.0
    frames: int = 12_000
    warm: float = 1.0
    frame_rate: float = 2000.0
    latency_rate: float = 200.0
    latency_clients: int = 20
    processes: Sequence[int] = field(default=(0, 1, 2, 3))
    row: str = "cluster"


@frozen
class Taken:
    """One measurement: what the load generators counted, CPU seconds of the servers and of Redis."""

    counted: Sequence[dict[str, Any]]
    cpu: float
    redis: float | None

    @property
    def frames(self) -> int:
        return sum(each["frames"] for each in self.counted)

    def late(self, key: str) -> float:
        """A percentile; of several load generators the latest."""
        return float(max(each[key] for each in self.counted))


def run(row: Cluster, rounds: int, results: Results) -> None:
    """Every contestant in turn, each round anew."""
    try:
        program()
        if importlib.util.find_spec("hiredis") is None:
            raise BenchError("hiredis is not installed (pip install cryptodash[redis])")
    except BenchError as error:
        results.fail(row.row, "Redis", str(error))
        return
    measured: list[tuple[str, str, Callable[[], None]]] = [("latency", OTHER, lambda: _latency(row, results))]
    if reason := centrifugo.absent():
        results.leave_out("Centrifugo", reason)
    for rate in row.rates:
        part = f"clients/{rate:g}"
        measured += [(part, _name(count), _ours(row, rate, count, results)) for count in row.processes]
        measured += [(part, name, _theirs(row, rate, name, results)) for name in (MEMORY, NODES) if not reason]
    measured += [("ingest", _name(count), _ingest(row, count, results)) for count in row.processes]
    for _ in range(rounds):
        for part, name, measure in measured:
            try:
                measure()
            except (BenchError, OSError) as error:
                results.fail(f"{row.row}/{part}", name, str(error))


def _name(processes: int) -> str:
    return f"{OURS}, {processes} process{'es' if processes > 1 else ''}" if processes else ALONE


# -- latency


def _latency(row: Cluster, results: Results) -> None:
    clients = (row.latency_clients, row.latency_clients)
    with _stage(2, TRADES, clients) as (source, members, loads):
        taken = _trades(source, members, loads, row.latency_rate, row.seconds, row.warm)
    holder, other = taken.counted
    for key in PERCENTILES:
        for name, late in ((HOLDER, holder[key]), (OTHER, other[key]), (ADDED, other[key] - holder[key])):
            results.add(f"{row.row}/latency/{key}", name, float(late))


# -- many clients


def _ours(row: Cluster, rate: float, processes: int, results: Results) -> Callable[[], None]:
    others = max(1, processes - 1)
    clients = (*((0,) if processes > 1 else ()), *(row.clients // others for _ in range(others)))

    def measure() -> None:
        with _stage(processes, TRADES, clients) as (source, members, loads):
            taken = _trades(source, members, loads, rate, row.seconds, row.warm)
        _add(f"{row.row}/clients/{rate:g}", _name(processes), taken, results)

    return measure


def _theirs(row: Cluster, rate: float, name: str, results: Results) -> Callable[[], None]:
    """Events come in at one node, clients are at the other; with the memory engine there is only one."""

    def measure() -> None:
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(redis_server()) if name == NODES else None
            url = redis.url if redis is not None else ""
            first, port = stack.enter_context(centrifugo.node("centrifugo-1", url))
            nodes, last = [first], port
            if redis is not None:
                second, last = stack.enter_context(centrifugo.node("centrifugo-2", url))
                nodes.append(second)
            feed = Child("centrifugo-feed", [python(), "-m", "benchmarks.centrifugo_feed", str(port)], LOAD_CORE)
            stack.callback(feed.end)
            feed.hear(30)
            plan = Plan(row.clients, [centrifugo.REQUESTS], 2, centrifugo.BEGINS, KINDS["trade"][1], STAMP)
            load = Load("centrifugo", last, plan, path=centrifugo.PATH)
            stack.callback(load.end)
            taken = _trades(feed, Members(nodes, [], redis), [load], rate, row.seconds, row.warm)
        _add(f"{row.row}/clients/{rate:g}", name, taken, results)

    return measure


def _add(row: str, name: str, taken: Taken, results: Results) -> None:
    results.add(f"{row}/deliveries per CPU-second", name, taken.frames / taken.cpu)
    results.add(f"{row}/CPU us per delivery", name, taken.cpu / taken.frames * 1e6)
    if taken.redis is not None:
        results.add(f"{row}/Redis's CPU us per delivery", name, taken.redis / taken.frames * 1e6)
    for key in PERCENTILES:
        results.add(f"{row}/{key} us", name, taken.late(key))


# -- ingest


def _ingest(row: Cluster, processes: int, results: Results) -> Callable[[], None]:
    clients = (1,) if processes < 2 else (0, *(1 for _ in range(processes - 1)))
    request, _ = subscribe_all(NAMES)
    prefix, name = f"{row.row}/ingest", _name(processes)

    def measure() -> None:
        with _stage(processes, request, clients, row.frames) as (source, members, loads):
            cpu, redis = _begin(members, loads)
            source.tell(f"flood {row.frame_rate}")
            said = source.hear(row.frames / row.frame_rate * 20 + 60)
            taken = _end(members, loads, said["trades"], cpu, redis)
        results.add(f"{prefix}/CPU us per frame", name, taken.cpu / said["sent"] * 1e6)
        if taken.redis is not None:
            results.add(
                f"{row.row}/ingest/Redis's CPU us per frame", _name(processes), taken.redis / said["sent"] * 1e6
            )
        results.add(f"{row.row}/ingest/trade p99 us", _name(processes), taken.late("p99"))

    return measure


# -- what all have in common


@contextlib.contextmanager
def _stage(
    processes: int, request: str, clients: Sequence[int], frames: int = 0
) -> Iterator[tuple[Child, Members, Sequence[Load]]]:
    """The venue, our processes (0: one without Redis), and so many clients of each, connected."""
    with contextlib.ExitStack() as stack:
        source, said = stack.enter_context(venue(frames, "overload" if frames else "trade"))
        members = stack.enter_context(started(said["port"], processes))
        members.settle(request, [index for index, count in enumerate(clients) if count])
        loads = []
        channels = len(json.loads(request)["channels"])
        for index, count in enumerate(clients):
            if count:
                # greeting, answer, and a status and a value for each
                plan = Plan(count, [request], 2 + 2 * channels, *KINDS["trade"], STAMP)
                loads.append(Load(f"cluster-{index}", members.ports[index], plan))
                stack.callback(loads[-1].end)
        yield source, members, loads


def _trades(source: Child, members: Members, loads: Sequence[Load], rate: float, seconds: float, warm: float) -> Taken:
    """Trades at random moments, first some that do not count."""
    for each in (warm, seconds):
        if each:
            cpu, redis = _begin(members, loads)
            source.tell(f"trades {rate} {each}")
            taken = _end(members, loads, source.hear(each + 30)["sent"], cpu, redis)
    return taken


def _begin(members: Members, loads: Sequence[Load]) -> tuple[float, float | None]:
    for load in loads:
        load.begin()
    return members.cpu_seconds(), members.redis_cpu_seconds()


def _end(members: Members, loads: Sequence[Load], sent: int, cpu: float, redis: float | None) -> Taken:
    """Once everything has come. Raises ``BenchError`` where something has not, or came in another order."""
    counted = [load.expect(sent * load.plan.clients) for load in loads]
    used, redis_used = members.cpu_seconds() - cpu, members.redis_cpu_seconds()
    for load, each in zip(loads, counted, strict=True):
        if fault := wrong(each, sent * load.plan.clients):
            raise BenchError(fault)
    if not sent:
        raise BenchError("nothing was sent")
    return Taken(counted, used, None if redis is None or redis_used is None else redis_used - redis)
