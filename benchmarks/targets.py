"""What is asked of the results: ratios within one run, as the medians of the rounds."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from benchmarks.contestants import OURS
from benchmarks.results import Results


@frozen
class Target:
    """``ours`` of a row, divided by ``peer`` of the same row (or of ``peer_row``),
    is at least (``least``) or at most (``most``) so much."""

    row: str
    text: str
    peer: str
    least: float | None = None
    most: float | None = None
    ours: str = OURS

    def ratio(self, results: Results) -> float | None:
        mine, theirs = results.median(self.row, self.ours), results.median(self.row, self.peer)
        return None if mine is None or not theirs else mine / theirs

    def verdict(self, ratio: float | None) -> str:
        if ratio is None:
            return "not measured"
        met = (self.least is None or ratio >= self.least) and (self.most is None or ratio <= self.most)
        return "met" if met else "**missed**"

    @property
    def asked(self) -> str:
        return f">= {self.least:g}x" if self.least is not None else f"<= {self.most:g}x"


@frozen
class Absolute:
    """``ours`` of a row, less what ``less`` has there, is at most so much."""

    row: str
    text: str
    most: float
    unit: str
    ours: str = OURS
    less: str = ""

    def value(self, results: Results) -> float | None:
        mine, base = results.median(self.row, self.ours), results.median(self.row, self.less) if self.less else 0.0
        return None if mine is None or base is None else mine - base


TARGETS: Sequence[Target] = (
    Target("saturated/1000/16", "16 events per turn, 1,000 clients", "uws", least=1.0),
    Target("saturated/1000/16", "16 events per turn, 1,000 clients", "bare", least=0.85),
    Target("saturated/1000/16", "16 events per turn, 1,000 clients", "websockets", least=12),
    Target("saturated/1000/16", "16 events per turn, 1,000 clients", "autobahn", least=25),
    Target("saturated/1000/64", "64 events per turn, 1,000 clients", "uws", least=1.5),
    Target("saturated/1000/64", "64 events per turn, 1,000 clients", "bare", least=0.85),
    Target("saturated/1000/1", "1 event per turn, 1,000 clients", "bare", least=0.85),
    Target("mixed", "mixed fan-out, deliveries per CPU-second", "uws", least=1.0),
    Target("ingest", "ingest, socket to encoded event", "cryptofeed", least=4.0),
    Target("ingest", "ingest, socket to encoded event", "picows+msgspec", least=0.4),
    Target("latency/200/p99", "latency p99, 200 events/s x 500 clients", "uws", most=1.2),
    Target("latency/1000/p99", "latency p99, 1,000 events/s x 500 clients", "uws", most=1.2),
    Target(
        "stalled/p99",
        "the others' p99 with one client that never reads",
        "everybody reads",
        most=1.2,
        ours="one never reads",
    ),
    Target("handshakes", "handshakes per second", "websockets", least=1.0),
    Target(
        "recording/CPU us per frame",
        "CPU per frame with recording on",
        OURS,
        most=1.10,
        ours=f"{OURS} recording",
    ),
)

ABSOLUTES: Sequence[Absolute] = (
    Absolute("memory", "memory per idle client", 16.0, "KiB"),
    Absolute(
        "stalled/memory", "memory of a client that never reads", 2048.0, "KiB", "one never reads", "everybody reads"
    ),
    Absolute("overload/trade p999 ms", "age of a trade at twice what one core can read", 250.0, "ms"),
    Absolute("overload/ticker p999 ms", "age of a ticker at twice what one core can read", 250.0, "ms"),
    Absolute("overload/trades lost", "trades lost at twice what one core can read", 0.0, "trades"),
)

GROWTH = (
    ("growth/clients/", "cost per delivery over the number of clients"),
    ("growth/topics/", "cost per delivery over the number of topics"),
)
MOST_GROWTH = 1.3


def growth(results: Results, prefix: str) -> float | None:
    """The dearest size's cost over the cheapest one's."""
    costs = [cost for row in results.values if row.startswith(prefix) and (cost := results.median(row, OURS))]
    return max(costs) / min(costs) if costs else None
