"""The fan-out rows: every server has its clients connected all the time; one runs while the others stand still."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.contestants import CONTESTANTS, OURS, start
from benchmarks.loadgen import Load, Plan, wrong
from benchmarks.payload import KINDS, ours_subscribe, peers_subscribe, write_bodies
from benchmarks.processes import BenchError, Child
from benchmarks.results import Results

WINDOW_BYTES = 64 * 1024
"""How far ahead of a client's reading a server may be while it is saturated."""


@frozen
class Fanout:
    """One set of clients, and the jobs that are run on it. ``jobs``: row name and ``Work`` order.
    ``unit``: ``rate``, ``per_cpu`` or ``cost``."""

    kind: str
    topics: int
    subscriptions: Sequence[Sequence[int]]
    jobs: Sequence[tuple[str, dict[str, Any]]]
    entrants: Sequence[str]
    unit: str
    warm: bool = True
    """Whether a short round that does not count comes first."""


def saturate(per_turn: int, seconds: float, fan: int) -> dict[str, Any]:
    """As fast as the clients read."""
    window = max(2 * per_turn, WINDOW_BYTES // 230) * fan
    return {"do": "saturate", "seconds": seconds, "per_turn": per_turn, "fan": fan, "window": window}


def pace(rate: float, tick: float, seconds: float, **more: Any) -> dict[str, Any]:
    """At a fixed rate."""
    return {"do": "pace", "seconds": seconds, "rate": rate, "tick": tick, **more}


class Stand:
    """One server with its clients."""

    def __init__(self, name: str, fanout: Fanout, bodies: Path) -> None:
        contestant = CONTESTANTS[name]
        ours = name == OURS
        kind, number = KINDS[fanout.kind]
        lines: dict[tuple[int, ...], str] = {}
        for topics in fanout.subscriptions:
            if tuple(topics) not in lines:
                lines[tuple(topics)] = ours_subscribe(fanout.kind, topics) if ours else peers_subscribe(topics)
        setup = 2 + len(fanout.subscriptions[0]) if ours else 1  # greeting, answer, a status for each; or ``ok``
        plan = Plan(
            len(fanout.subscriptions), [lines[tuple(topics)] for topics in fanout.subscriptions], setup, kind, number
        )
        self._fans = [0] * fanout.topics
        for topics in fanout.subscriptions:
            for topic in topics:
                self._fans[topic] += 1
        self._even = len({tuple(topics) for topics in fanout.subscriptions}) == 1
        self._topics = fanout.topics
        self.child, port, self._control = start(name, contestant.command(bodies, fanout.kind, fanout.topics))
        self._orders = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.load = Load(name, port, plan, self._control)
        except BenchError:
            self.child.end()
            self._orders.close()
            raise

    def run(self, job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str]:
        """One measurement: the server's report, the clients' count, and what was wrong."""
        self.load.begin()
        self._orders.sendto(json.dumps({**job, "topics": self._topics}).encode(), ("127.0.0.1", self._control))
        report = self.child.hear(60)
        expected = sum(count * fan for count, fan in zip(report["counts"], self._fans, strict=True))
        counted = self.load.expect(expected)
        return (
            report,
            counted,
            wrong(counted, expected, even=self._even) or ("" if expected else "nothing was published"),
        )

    def end(self) -> None:
        self._orders.close()
        self.load.end()
        self.child.end()


def value_of(unit: str, report: dict[str, Any], counted: dict[str, Any]) -> float:
    """Deliveries per second, per CPU-second of the server, or its CPU nanoseconds per delivery."""
    frames = counted["frames"] or 1
    if unit == "rate":
        return float(frames / max(report["wall"], counted["seconds"]))
    return float(frames / report["cpu"]) if unit == "per_cpu" else float(report["cpu"] / frames * 1e9)


@contextlib.contextmanager
def stands(fanout: Fanout, results: Results) -> Iterator[dict[str, Stand]]:
    """All servers that can be run, standing still."""
    bodies = write_bodies(fanout.kind, fanout.topics)
    up: dict[str, Stand] = {}
    try:
        for name in fanout.entrants:
            absent = CONTESTANTS[name].absent()
            if absent:
                results.leave_out(name, absent)
                continue
            try:
                up[name] = Stand(name, fanout, bodies)
                up[name].child.pause()
            except BenchError as error:
                results.fail(fanout.jobs[0][0], name, str(error))
        yield up
    finally:
        for stand in up.values():
            stand.end()
        bodies.unlink()


def run(fanouts: Sequence[Fanout], rounds: int, results: Results) -> None:
    """All of them with all jobs and all servers, A B A B."""
    with contextlib.ExitStack() as stack:
        up = [(fanout, stack.enter_context(stands(fanout, results))) for fanout in fanouts]
        for round_ in range(0 if fanouts[0].warm else 1, rounds + 1):
            for fanout, standing in up:
                _round(fanout, standing, results, counts=round_ > 0)


def _round(fanout: Fanout, standing: dict[str, Stand], results: Results, *, counts: bool) -> None:
    for row, job in fanout.jobs:
        for name, stand in list(standing.items()):
            due = job if counts else {**job, "seconds": min(job["seconds"], 0.2)}
            if not _measure(row, name, stand, due, fanout.unit, results, counts=counts):
                standing.pop(name).end()


def _measure(
    row: str, name: str, stand: Stand, job: dict[str, Any], unit: str, results: Results, *, counts: bool
) -> bool:
    """One run of one server; False when it cannot go on."""
    child: Child = stand.child
    child.resume()
    try:
        report, counted, fault = stand.run(job)
        if fault:
            raise BenchError(fault)
        if counts:
            results.add(row, name, value_of(unit, report, counted))
    except BenchError as error:
        results.fail(row, name, str(error))
        return False
    finally:
        child.pause()
    return True
