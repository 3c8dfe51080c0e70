"""Clients that come back by cursor to a server that records and is killed meanwhile have each trade once, or a gap. All
of it, ten minutes: ``python -m tests.chaos.returning``."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve

from tests.chaos.history import Connection, Event, History, Tape, WireTrade
from tests.chaos.invariants import resumed, violations
from tests.chaos.plan import ClientPlan, Plan, Trouble, VenueLine
from tests.chaos.returning import make_plan
from tests.chaos.run import run

ORIGIN = 1_700_000_000_000


def told(history: History) -> Counter[str]:
    """Trades and gaps, by what they are."""
    found: Counter[str] = Counter()
    for connection in history.connections:
        for event in connection.events:
            if event.kind == "got" and event.value["type"] in ("trade", "gap"):
                payload = event.value["payload"]
                found[payload.get("reason", "replayed" if "replayed" in payload else "live")] += 1
    return found


@pytest.mark.sampled(2)
@pytest.mark.parametrize("processes", [1, 3])
def test_each_trade_comes_once_over_restarts(processes: int, long: bool) -> None:
    history = run(make_plan(600.0 if long else 150.0, 1, processes))
    assert [str(each) for each in violations(history)] == []
    counts = told(history)
    assert counts["recording"] and counts["replayed"] > 1_000 and not counts["expired"]


def test_more_seeds(long: bool) -> None:
    if not long:
        pytest.skip("only with --long")
    for seed in range(2, 12):
        for processes in (1, 3):
            assert [str(each) for each in violations(run(make_plan(200.0, seed, processes)))] == [], f"seed {seed}"


def test_it_is_the_same_run_each_time() -> None:
    """With restarts: clients that wait for a first value are told of it in the order in which they came. They once were
    in the order of their addresses, which is another one in each run."""
    plan = make_plan(90.0)
    assert plan.troubles
    assert run(plan).digest == run(plan).digest


# the promise itself


LINE = VenueLine(0.0, 0.0, False, 0, 0)
KILL = Trouble("process/kill", 50.0, 5.0)
NAME = {"exchange": "binance", "market_type": "spot", "symbol": {"base": "SOL", "quote": "USDT"}}


def wrong(numbers: list[int | str], *troubles: Trouble) -> list[str]:
    """What is found of a client that got these trades, one a second from 10 on, or gaps, over two connections."""
    client = ClientPlan("c", "reconnecting", (), resumes=True)
    plan = Plan(1, ORIGIN, 0, 0, {"binance": LINE}, troubles, (client,), seconds=32.0, recorded=True)
    tape = Tape(("binance", "spot", "SOL-USDT"))
    tape.trades = [WireTrade(float(at), str(at), "1.0", "1.0", "buy", ORIGIN + at * 1000) for at in range(10, 32)]
    history = History(plan, tapes={tape.place: tape}, connections=[Connection(client, 0.0), Connection(client, 15.0)])
    for at, each in enumerate(numbers):
        if isinstance(each, int):
            message = {"type": "trade", "payload": {**NAME, "id": str(each)}}
        else:
            channel = {**NAME, "channel_type": "trade"}
            message = {"type": "gap", "payload": {"channel": channel, "reason": each}}
        history.connections[at // 5 and 1].events.append(Event(10.0 + at, "got", message))
    return [each.what for each in resumed.check(history)]


def test_what_keeps_the_promise() -> None:
    assert wrong(list(range(10, 22))) == []
    assert wrong([10, 11, 12, "recording", 17, 18, 19, 20], evolve(KILL, begin=14.0)) == []


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([10, 11, 12, 14, *range(15, 22)], "after trade 12 comes 14: 1 left out"),
        ([10, 11, 12, 11, *range(13, 22)], "trade 11 came again"),
        ([*range(10, 16)], "4 trades never came"),
        ([10, 11, "recording", 12, *range(13, 22)], "a gap (recording) where nothing was missing"),
    ],
)
def test_what_breaks_it(numbers: list[int | str], said: str) -> None:
    assert said in wrong(numbers)


def test_only_who_always_comes_back_by_cursor_is_judged() -> None:
    plan = make_plan(60.0)
    assert all(each.resumes for each in plan.clients) and plan.recorded
    assert resumed.check(History(evolve(plan, recorded=False))) == []
