"""Every row runs, tiny and untimed: what arrives must be right, how fast is nobody's business here."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import contestants, fanout, loadgen
from benchmarks.cluster import ADDED
from benchmarks.contestants import CONTESTANTS, OURS, start
from benchmarks.fanout import Fanout, saturate
from benchmarks.payload import all_of, write_bodies
from benchmarks.processes import raise_file_limit
from benchmarks.results import Results
from benchmarks.rows import TINY, rows

ROWS = rows(TINY)
PEERLESS = ("saturated",)
"""Rows of which each contestant has a test of its own."""


@pytest.fixture(autouse=True)
def _many_files() -> None:
    raise_file_limit()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", [name for name in ROWS if name not in PEERLESS])
def test_a_row_measures_something_and_nothing_goes_missing(name: str, request: pytest.FixtureRequest) -> None:
    if name == "cluster":
        request.getfixturevalue("redis_port")  # skips where there is no redis-server
    results = Results(quiet=True)

    ROWS[name](2, results)  # a second round must not find what the first has left

    assert results.faults == []
    assert results.values
    for row in results.values.values():
        for contestant, values in row.items():
            assert contestant == ADDED or all(value >= 0 for value in values)


def saturated(name: str, turns: Sequence[int] = (1, 16, 64)) -> Results:
    results = Results(quiet=True)
    jobs = [(f"saturated/3/{per_turn}", saturate(per_turn, 0.02, 3)) for per_turn in turns]
    fanout.run([Fanout("trade", 1, all_of(1, 3), jobs, (name,), "rate", warm=False)], 1, results)
    return results


@pytest.mark.parametrize("name", CONTESTANTS)
def test_a_contestant_delivers_everything_in_order(name: str) -> None:
    absent = CONTESTANTS[name].absent()
    if absent:
        pytest.skip(absent)

    results = saturated(name)

    assert results.faults == []
    assert set(results.values) == {"saturated/3/1", "saturated/3/16", "saturated/3/64"}


def test_the_limit_waits_for_a_client_whose_buffers_are_full() -> None:
    """How much fits into them is the system's affair: under load it was less than a turn, and the process ended."""
    results = saturated("bare", [20_000])  # 5 MB at once

    assert results.faults == []
    assert set(results.values) == {"saturated/3/20000"}


def test_nginx_ends_with_the_one_who_started_it() -> None:
    nchan = CONTESTANTS["nchan"]
    if nchan.absent():
        pytest.skip(nchan.absent())
    bodies = write_bodies("trade", 1)
    child, _, _ = start(nchan.name, nchan.command(bodies, "trade", 1))
    bodies.unlink()
    (nginx,) = map(int, Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split())
    ended = os.pidfd_open(nginx)
    try:
        assert not select.select([ended], [], [], 0)[0]
        child.end()
        assert select.select([ended], [], [], 10)[0]
    finally:
        os.close(ended)


def test_nchan_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "nginx", lambda: None)
    assert "no nginx" in CONTESTANTS["nchan"].absent()

    monkeypatch.setattr(contestants, "nginx", lambda: "nginx")
    monkeypatch.setattr(contestants, "NCHAN", [Path("/nowhere")])
    assert "without its module" in CONTESTANTS["nchan"].absent()


def test_the_load_generator_works_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_LOAD", "python")
    loadgen.program.cache_clear()
    try:
        results = saturated(OURS)
    finally:
        loadgen.program.cache_clear()

    assert results.faults == []
    assert len(results.values) == 3
