"""Every row of the results: what is run, in which size, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from benchmarks import cluster, fanout, feeds, long_tape, overload, recorded_day, recording, upkeep
from benchmarks.cluster import Cluster
from benchmarks.contestants import OURS
from benchmarks.fanout import Fanout, pace, saturate
from benchmarks.long_tape import LongTape
from benchmarks.payload import all_of, groups_of, some_of
from benchmarks.recorded_day import Day
from benchmarks.recording import Recorded
from benchmarks.results import Results

FAST = (OURS, "uws", "bare", "picows", "ws")
EVERYBODY = (*FAST, "websockets", "autobahn", "autobahn-broadcast", "nchan")
GROUPS = 10
RECORDED = Recorded(60_000, 10_000, 500_000_000)
DAY = Day(180.0, 600.0)
TAPE = LongTape(10_000_000_000, 30_000, 500_000)
CLUSTER = Cluster(1000, (20, 60))


@frozen
class Size:
    """How large the rows are. ``seconds`` of one fan-out measurement; ``listened_frames`` of ingest while clients
    listen; ``warm``: a round that does not count comes first."""

    seconds: float = 0.6
    clients: Sequence[int] = (100, 1000, 5000)
    mixed_clients: int = 1000
    mixed_topics: int = 200
    mixed_each: int = 20
    mixed_rate: float = 5000
    books: int = 50
    book_clients: int = 1000
    paced_seconds: float = 3.0
    ingest_frames: int = 100_000
    listened_frames: int = 20_000
    ingest_clients: int = 100
    overload_symbols: int = 200
    overload_frames: int = 200_000
    overload_seconds: float = 4.0
    latency_clients: int = 500
    latency_rates: Sequence[float] = (200, 1000)
    latency_seconds: float = 4.0
    stalled_clients: int = 1000
    stalled_rate: float = 2000
    stalled_seconds: float = 6.0
    handshakes: int = 3000
    idle_clients: int = 10_000
    growth_clients: Sequence[int] = (100, 1000, 10_000)
    growth_topics: Sequence[int] = (10, 100, 1000, 10_000)
    growth_topic_clients: int = 200
    cluster: Cluster = CLUSTER
    recorded: Recorded = RECORDED
    day: Day = DAY
    tape: LongTape = TAPE
    warm: bool = True


FULL = Size()
QUICK = Size(
    seconds=0.4,
    clients=(100, 1000),
    paced_seconds=1.5,
    overload_frames=100_000,
    overload_seconds=2.0,
    latency_seconds=2.0,
    growth_topics=(10, 1000),
    recorded=Recorded(20_000, 10_000, 100_000_000),
    day=Day(60.0, 60.0),
    tape=LongTape(500_000_000, 20_000, 200_000, 3),
    cluster=Cluster(300, (50, 200), seconds=2.0, frames=4000, warm=0.5),
)
TINY = Size(
    seconds=0.03,
    clients=(3,),
    mixed_clients=4,
    mixed_topics=6,
    mixed_each=2,
    mixed_rate=1000,
    books=2,
    book_clients=2,
    paced_seconds=0.15,
    ingest_frames=60,
    listened_frames=60,
    ingest_clients=2,
    overload_symbols=3,
    overload_frames=600,
    overload_seconds=0.05,
    latency_clients=3,
    latency_rates=(200,),
    latency_seconds=0.2,
    stalled_clients=3,
    stalled_rate=200,
    stalled_seconds=0.2,
    handshakes=20,
    idle_clients=10,
    growth_clients=(3,),
    growth_topics=(10,),
    growth_topic_clients=10,
    recorded=Recorded(200, 1000, 100_000),
    day=Day(3.0, 3.0, "binance", "*:*:spot:BTC-USDT"),
    tape=LongTape(100_000, 200, 500, 1),
    cluster=Cluster(4, (100,), seconds=0.2, frames=200, warm=0, latency_clients=2, processes=(0, 3)),
    warm=False,
)
"""For the tests: every row runs, nothing is timed."""

Run = Callable[[int, Results], None]


def _saturated(size: Size) -> Run:
    def run(rounds: int, results: Results) -> None:
        for clients in size.clients:
            jobs = [
                (f"saturated/{clients}/{per_turn}", saturate(per_turn, size.seconds, clients))
                for per_turn in (1, 16, 64)
            ]
            entrants = EVERYBODY if clients <= 1000 else FAST
            fanout.run([Fanout("trade", 1, all_of(1, clients), jobs, entrants, "rate", size.warm)], rounds, results)

    return run


def _mixed(size: Size) -> Run:
    def run(rounds: int, results: Results) -> None:
        subscriptions = some_of(size.mixed_topics, size.mixed_clients, size.mixed_each)
        jobs = [("mixed", pace(size.mixed_rate, 0.001, size.paced_seconds))]
        fanout.run(
            [Fanout("trade", size.mixed_topics, subscriptions, jobs, (OURS, "uws", "ws"), "per_cpu", size.warm)],
            rounds,
            results,
        )

    return run


def _books(size: Size) -> Run:
    def run(rounds: int, results: Results) -> None:
        jobs = [("books", pace(size.books * 10, 0.1, size.paced_seconds, cycle=True, grace=0.3))]
        subscriptions = all_of(size.books, size.book_clients)
        fanout.run(
            [Fanout("book", size.books, subscriptions, jobs, (OURS, "uws", "ws"), "per_cpu", size.warm)],
            rounds,
            results,
        )

    return run


def _growth_clients(size: Size) -> Run:
    def one(clients: int) -> Fanout:
        jobs = [(f"growth/clients/{clients}", saturate(16, size.seconds, clients))]
        return Fanout("trade", 1, all_of(1, clients), jobs, (OURS, "bare"), "cost", size.warm)

    return lambda rounds, results: fanout.run([one(clients) for clients in size.growth_clients], rounds, results)


def _growth_topics(size: Size) -> Run:
    clients = size.growth_topic_clients

    def one(topics: int) -> Fanout:
        jobs = [(f"growth/topics/{topics}", saturate(64, size.seconds, clients // GROUPS))]
        return Fanout("trade", topics, groups_of(topics, clients, GROUPS), jobs, (OURS,), "cost", size.warm)

    return lambda rounds, results: fanout.run([one(topics) for topics in size.growth_topics], rounds, results)


def _latency(size: Size) -> Run:
    def run(rounds: int, results: Results) -> None:
        for rate in size.latency_rates:
            row = feeds.Latency(rate, size.latency_clients, size.latency_seconds, row=f"latency/{rate:.0f}")
            feeds.run_latency(row, rounds, results)

    return run


def rows(size: Size) -> dict[str, Run]:
    """Every row by its name."""
    return {
        "saturated": _saturated(size),
        "mixed": _mixed(size),
        "books": _books(size),
        "ingest": lambda rounds, results: feeds.run_ingest(
            feeds.Ingest(size.ingest_frames, size.listened_frames, size.ingest_clients), rounds, results
        ),
        "overload": lambda rounds, results: overload.run(
            overload.Overload(size.overload_symbols, size.overload_frames, size.overload_seconds), rounds, results
        ),
        "latency": _latency(size),
        "stalled": lambda rounds, results: feeds.run_stalled(
            feeds.Stalled(size.stalled_rate, size.stalled_clients, size.stalled_seconds), rounds, results
        ),
        "handshakes": lambda rounds, results: upkeep.run_handshakes(
            upkeep.Handshakes(size.handshakes), rounds, results
        ),
        "memory": lambda rounds, results: upkeep.run_idle(upkeep.Idle(size.idle_clients), rounds, results),
        "cold": lambda rounds, results: upkeep.run_cold(upkeep.ColdStart(), rounds, results),
        "growth-clients": _growth_clients(size),
        "growth-topics": _growth_topics(size),
        "recording": lambda rounds, results: recording.run(size.recorded, rounds, results),
        "day": lambda rounds, results: recorded_day.run(size.day, results),
        "tape": lambda rounds, results: long_tape.run(size.tape, rounds, results),
        "cluster": lambda rounds, results: cluster.run(size.cluster, rounds, results),
    }
