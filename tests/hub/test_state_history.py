"""Histories of states: bounded, and never better than the truth."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.events import Cause, State
from cryptodash.hub.state_history import MOST_RUNS, Run, StateHistory

HOUR = 3_600_000
BAD = (State.LIVE, State.QUIET, State.CONNECTING, State.RESYNCING, State.STALE, State.CLOSED)
causes = st.sampled_from([None, Cause.GAP, Cause.LATE, Cause.SILENT, Cause.CROSSED])


codes = st.tuples(st.integers(0, 20_000), st.sampled_from([*State, None]), causes)


@given(st.lists(codes, min_size=300, max_size=900))
@settings(max_examples=25, deadline=None)
def test_a_history_is_bounded_and_never_says_better_than_it_was(changes: list[Any]) -> None:
    history, now = StateHistory(), 10 * HOUR
    truth: list[tuple[int, State | None]] = []
    for wait, state, cause in changes:
        now += wait
        if state is None:
            history.pause(now)
        else:
            history.begin(state, cause, now)
        truth.append((now, state))
    runs = history.runs(now)
    assert len(runs) <= MOST_RUNS
    check_runs(runs, truth, now)
    for most in (1, 12, 100):
        fewer = history.runs(now, most)
        assert len(fewer) <= most
        check_runs(fewer, truth, now)
        if runs:
            assert fewer[-1].end == runs[-1].end


def check_runs(runs: list[Run], truth: list[tuple[int, State | None]], now: int) -> None:
    for one, then in pairwise(runs):
        assert one.end is not None and one.end <= then.begin
    for at, (begin, state) in enumerate(truth):
        end = truth[at + 1][0] if at + 1 < len(truth) else now
        if end == begin:
            continue
        for run in runs:
            if run.begin < end and begin < (now if run.end is None else run.end):
                assert state is not None, "a hole is no run"
                assert BAD.index(run.state) >= BAD.index(state)
                assert run.merged > 1 or run.state is state
