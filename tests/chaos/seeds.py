"""Seeds one by one, or in several processes."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator, Sequence
from functools import partial
from time import process_time
from typing import NamedTuple

from attrs import evolve

from tests.chaos.clients import decoded
from tests.chaos.invariants import violations
from tests.chaos.plan import Plan, make_plan
from tests.chaos.run import run
from tests.chaos.shrink import shrunk
from tests.chaos.subscriptions import Violation
from tests.chaos.venues import TWO


class Outcome(NamedTuple):
    seed: int
    violations: list[str]
    digest: str
    seconds: float


def try_seed(seed: int, seconds: float | None = None, venues: Sequence[str] = TWO, processes: int = 1) -> Outcome:
    """Run one seed, or its first seconds."""
    begun = process_time()
    history = run(planned(seed, seconds, venues, processes))
    found = [str(each) for each in violations(history)]
    outcome = Outcome(seed, found, history.digest, process_time() - begun)
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
