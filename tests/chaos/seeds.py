"""Seeds one by one, or in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from time import process_time
from typing import NamedTuple

from tests.chaos.invariants import violations
from tests.chaos.plan import Plan, make_plan
from tests.chaos.run import run
from tests.chaos.shrink import shrunk
from tests.chaos.subscriptions import Violation


class Outcome(NamedTuple):
    seed: int
    violations: list[str]
    digest: str
    seconds: float


def try_seed(seed: int) -> Outcome:
    """Run one seed."""
    begun = process_time()
    history = run(make_plan(seed))
    found = [str(each) for each in violations(history)]
    return Outcome(seed, found, history.digest, process_time() - begun)


def broken(plan: Plan) -> list[Violation]:
    """What a plan breaks."""
    return violations(run(plan))


def shrink(seed: int) -> tuple[Plan, int]:
    """A smaller plan that breaks the first promise that the seed breaks, and the runs that took."""
    plan = make_plan(seed)
    first = broken(plan)[0].invariant
    return shrunk(plan, lambda smaller: any(each.invariant == first for each in broken(smaller)))


def outcomes(seeds: Sequence[int], jobs: int) -> Iterator[Outcome]:
    """In the order of the seeds."""
    if jobs == 1:
        yield from map(try_seed, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=20) as pool:
        yield from pool.imap(try_seed, seeds)


