"""Seeds one by one, or in several processes."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator, Sequence
from functools import partial
from time import process_time
from typing import NamedTuple

from attrs import evolve

from tests.chaos import returning
from tests.chaos.clients import decoded
from tests.chaos.invariants import violations
from tests.chaos.plan import Plan, make_plan
from tests.chaos.planted import ALL, Planted
from tests.chaos.run import run
from tests.chaos.shrink import shrunk
from tests.chaos.subscriptions import Violation
from tests.chaos.venues import TWO

WITHIN = 30
"""Seeds that a planted error may take to be found."""
RETURNING_S = 150.0
"""Of a run with clients that come back to a server that records: time for a restart, and to come back after it."""


class Outcome(NamedTuple):
    seed: int
    violations: list[str]
    digest: str
    seconds: float


def try_seed(seed: int, seconds: float | None = None, venues: Sequence[str] = TWO, processes: int = 1) -> Outcome:
    """Run one seed, or its first seconds."""
    return try_plan(planned(seed, seconds, venues, processes))


def try_plan(plan: Plan) -> Outcome:
    """Run a plan, and judge what came of it."""
    begun = process_time()
    gc.disable()  # what is written down stays until it is judged: to look through it again takes a third of the time
    try:
        history = run(plan)
        found = [str(each) for each in violations(history)]
        outcome = Outcome(plan.seed, found, history.digest, process_time() - begun)
    finally:
        gc.enable()
    del history
    decoded.cache_clear()
    gc.collect()  # a run is a hundred megabytes that hold each other
    return outcome


def planned(seed: int, seconds: float | None, venues: Sequence[str] = TWO, processes: int = 1) -> Plan:
    plan = make_plan(seed, venues, processes)
    return plan if seconds is None else evolve(plan, seconds=seconds)


def broken(plan: Plan) -> list[Violation]:
    """What a plan breaks."""
    return violations(run(plan))


def shrink(
    seed: int, seconds: float | None = None, venues: Sequence[str] = TWO, processes: int = 1
) -> tuple[Plan, int]:
    """A smaller plan that breaks the first promise that the seed breaks, and the runs that took."""
    plan = planned(seed, seconds, venues, processes)
    first = broken(plan)[0].invariant
    return shrunk(plan, lambda smaller: any(each.invariant == first for each in broken(smaller)))


def found_by(planted: Planted) -> int | None:
    """The first seed that finds the error by its promise."""
    for seed in range(1, WITHIN + 1):
        with planted.applied():
            outcome = try_plan(plan_for(planted, seed))
        if any(each.startswith(f"{planted.invariant}: ") for each in outcome.violations):
            return seed
    return None


def plan_for(planted: Planted, seed: int) -> Plan:
    """What comes of a recording only a server that records shows."""
    return returning.make_plan(RETURNING_S, seed) if planted.invariant == "resumed" else make_plan(seed)


def _found_nth(number: int) -> int | None:
    return found_by(ALL[number])  # what it changes cannot be sent to another process


def all_found_by(jobs: int) -> Iterator[tuple[Planted, int | None]]:
    """Each planted error, and the first seed that finds it."""
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=1) as pool:
        yield from zip(ALL, pool.imap(_found_nth, range(len(ALL))), strict=True)


def outcomes(
    seeds: Sequence[int], jobs: int, seconds: float | None = None, venues: Sequence[str] = TWO, processes: int = 1
) -> Iterator[Outcome]:
    """In the order of the seeds."""
    trial = partial(try_seed, seconds=seconds, venues=venues, processes=processes)
    if jobs == 1:
        yield from map(trial, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=20) as pool:
        yield from pool.imap(trial, seeds)
