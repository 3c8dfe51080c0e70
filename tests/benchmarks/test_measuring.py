"""What ``python -m benchmarks`` keeps of the rows that it measures, whatever becomes of the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks.__main__ as program
from benchmarks.processes import BenchError
from benchmarks.results import Results


def good(rounds: int, results: Results) -> None:
    for _ in range(rounds):
        results.add("good/rate", "cryptodash", 1.0)


@pytest.mark.parametrize("error", [BenchError("it ended"), ConnectionRefusedError(111, "Connection refused")])
def test_a_row_that_fails_is_said_and_costs_no_other_its_figures(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "results.json"
    monkeypatch.setattr(program, "SAVED", saved)
    kept: list[Results] = []

    def bad(rounds: int, results: Results) -> None:
        kept.append(Results.load(saved))
        results.add("bad/one/rate", "cryptodash", 1.0)
        raise error

    results = Results(quiet=True)
    rows = {"good": good, "bad-one": bad, "after": good}
    program._measure(["good", "bad-one", "after"], rows, 2, results, is_saved=True)
    assert kept[0].values == {"good/rate": {"cryptodash": [1.0, 1.0]}}, "what was measured is saved at once"
    (fault,) = results.faults
    assert fault.startswith("bad/one, ") and str(error) in fault
    assert set(results.values) == {"good/rate"}, "what it had measured before it failed is no figure"
    assert Results.load(saved).faults == [fault]
    assert len(results.values["good/rate"]["cryptodash"]) == 4
    results.forget("bad-one")
    assert results.faults == [], "it is measured anew"
