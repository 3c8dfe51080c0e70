"""A sample of seeds keeps every promise, and a seed is the same run each time. All of it: ``make chaos``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from tests.chaos.invariants import client, violations
from tests.chaos.plan import LASTING, OVERLAPPING, SUDDEN, Plan, make_plan
from tests.chaos.run import run
from tests.chaos.shrink import shrunk

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = (1, 2)
LONG = (*range(3, 40), 56, 63, 66, 85, 87, 95, 1006)
"""The latter are those that showed something."""


def short(plan: Plan) -> Plan:
    """Some seconds of a plan, enough for everybody to come and for some values."""
    return evolve(plan, seconds=16.0, clients=plan.clients[:3])


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", SAMPLE)
def test_a_seed_keeps_every_promise(seed: int) -> None:
    history = run(make_plan(seed))
    assert history.messages > 3_000
    assert [str(each) for each in violations(history)] == []
    looks = client.judge(history)[1]
    assert looks["order_book"] > 5_000 and looks["ticker"] > 1_000, "the client library calls much live, and it is so"


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", SAMPLE)
def test_a_seed_of_three_processes_keeps_every_promise(seed: int) -> None:
    history = run(make_plan(seed, processes=3))
    assert history.messages > 3_000
    assert [str(each) for each in violations(history)] == []


def test_many_seeds_keep_every_promise(long: bool) -> None:
    if not long:
        pytest.skip("only with --long")
    for seed in LONG:
        assert [str(each) for each in violations(run(make_plan(seed)))] == [], f"seed {seed}"


def test_the_same_plan_is_the_same_run_to_the_byte_and_another_is_another() -> None:
    pinged = {seed: evolve(short(make_plan(seed)), seconds=28.0) for seed in (5, 6)}  # the server pings after 20 s
    first = run(pinged[5])
    assert run(pinged[5]).digest == first.digest
    assert run(pinged[6]).digest != first.digest


def test_a_plan_has_the_size_that_was_promised() -> None:
    for seed in range(200):
        plan = make_plan(seed)
        assert plan.seconds >= 120
        assert len(plan.clients) == 8
        moments = [
            sum(other.begin <= each.begin <= other.end for other in plan.troubles if other.name not in SUDDEN)
            for each in plan.troubles
        ]
        assert max(moments) >= OVERLAPPING, f"seed {seed}"
    kinds = {each.name for seed in range(200) for each in make_plan(seed).troubles}
    assert kinds == {"slow" if name == "slow-symbol" else name for name in (*LASTING, *SUDDEN)}


def test_shrinking_leaves_what_the_failure_needs() -> None:
    plan = make_plan(3)
    client, trouble = plan.clients[5], plan.troubles[4]

    def fails(smaller: Plan) -> bool:
        named = next((each for each in smaller.clients if each.name == client.name), None)
        return named is not None and client.actions[3] in named.actions and trouble in smaller.troubles

    smallest, runs = shrunk(plan, fails, trials=2_000)
    assert [each.name for each in smallest.clients] == [client.name]
    assert smallest.troubles == (trouble,)
    assert smallest.clients[0].actions == (client.actions[3],)
    assert runs < 2_000


def test_the_program_ends_with_one_line_and_the_same_digest_in_two_processes() -> None:
    lines = {}
    for jobs in ("1", "2"):
        command = [sys.executable, "-P", "-m", "tests.chaos", "--seeds", "2", "--seconds", "15", "--jobs", jobs]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        lines[jobs] = done.stdout.splitlines()[-1]
        assert lines[jobs].startswith("2 seeds from 1: 0 violations, ")
    assert len({each.rpartition("digest ")[2] for each in lines.values()}) == 1
