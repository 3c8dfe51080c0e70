"""What the benchmarks say of their figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.frames import FIRST_UPDATE, Market, mix
from benchmarks.loadgen import wrong
from benchmarks.peers.work import Work
from benchmarks.report import render
from benchmarks.results import Results
from benchmarks.targets import ABSOLUTES, TARGETS, growth

RIGHT = {"frames": 20, "least": 10, "most": 10, "disorder": 0, "dead": 0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"frames": 19, "least": 9}, "19 of 20 messages arrived, clients got between 9 and 10"),
        ({"disorder": 2}, "2 out of order"),
        ({"dead": 1}, "1 connections lost"),
    ],
)
def test_a_fast_wrong_server_fails(change: dict[str, int], said: str) -> None:
    assert wrong({**RIGHT, **change}, 20) == said


def test_a_ratio_is_of_medians_and_judged() -> None:
    results = Results(quiet=True)
    for ours, peer in ((10.0, 5.0), (30.0, 10.0), (2000.0, 11.0)):
        results.add("saturated/1000/16", "cryptodash", ours)
        results.add("saturated/1000/16", "uws", peer)
    target = TARGETS[0]

    assert target.ratio(results) == 3.0
    assert target.verdict(3.0) == "met"
    assert target.verdict(0.5) == "**missed**"
    assert target.verdict(None) == "not measured"


def test_growth_is_the_dearest_over_the_cheapest() -> None:
    results = Results(quiet=True)
    for clients, cost in ((100, 300.0), (1000, 200.0), (10_000, 250.0)):
        results.add(f"growth/clients/{clients}", "cryptodash", cost)

    assert growth(results, "growth/clients/") == 1.5
    assert growth(results, "growth/topics/") is None


def test_the_page_names_the_machine_the_spread_who_is_missing_and_what_failed() -> None:
    results = Results(quiet=True)
    for value in (90.0, 120.0, 200.0):
        results.add("handshakes", "cryptodash", value)
    results.leave_out("ws", "there is no node on this machine")
    results.fail("handshakes", "uws", "it ended")

    page = render(results, {"CPU": "made up"}, {"Python": "3.11"}, 3, [])

    assert "made up" in page
    assert "120 (90.00 - 200)" in page
    assert "- ws: there is no node on this machine" in page
    assert "- handshakes, uws: it ended" in page
    assert "not measured" in page


def test_results_survive_a_file_and_a_row_measured_anew_replaces_only_itself(tmp_path: Path) -> None:
    results = Results(quiet=True)
    results.add("growth/clients/100", "cryptodash", 1.0)
    results.add("growth/topics/10", "cryptodash", 2.0)
    results.save(tmp_path / "results.json")

    kept = Results.load(tmp_path / "results.json")
    kept.forget("growth-clients")

    assert kept.values == {"growth/topics/10": {"cryptodash": [2.0]}}


def test_the_made_up_book_chains_and_never_crosses() -> None:
    market = Market("BTC-USDT", 1)
    last = FIRST_UPDATE
    for payload in mix([market], 500, 2):
        frame = json.loads(payload)
        bid, ask = market.best()
        assert bid < ask
        if frame["stream"].endswith("@depth@100ms"):
            assert frame["data"]["U"] == last + 1
            last = frame["data"]["u"]
    assert last > FIRST_UPDATE


def test_a_saturated_job_waits_for_its_clients(capsys: pytest.CaptureFixture[str]) -> None:
    sent: list[tuple[int, int]] = []
    work = Work(lambda topic, number: sent.append((topic, number)))
    work.order(
        json.dumps({"do": "saturate", "seconds": 1000, "per_turn": 4, "fan": 2, "window": 10, "topics": 1}).encode()
    )

    assert work.turn() == 0.0
    assert work.turn() == 0.0
    assert work.turn() is None  # 16 frames are on their way, the window is 10
    work.order(b"c 16")
    assert work.turn() == 0.0
    assert sent == [(0, number) for number in range(1, 13)]
    assert capsys.readouterr().out == ""


def test_the_memory_of_one_client_is_what_the_server_grew_by_more_than_without_it() -> None:
    memory = next(each for each in ABSOLUTES if each.row == "stalled/memory")
    results = Results(quiet=True)
    results.add("stalled/memory", "one never reads", 2900.0)
    assert memory.value(results) is None

    results.add("stalled/memory", "everybody reads", 2700.0)
    assert memory.value(results) == 200.0
