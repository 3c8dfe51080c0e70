"""Long answers are made in slices, at most once a second, for all who ask."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, ensureDeferred

from cryptodash.api.http.answers import packing, storing
from cryptodash.api.http.recent import RECENT_S, Recent, Shared
from cryptodash.api.slices import SLICE_S, Slices
from cryptodash.core.events import State
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.interfaces import StreamReport
from cryptodash.core.numbers import Number
from cryptodash.core.steps import Steps, outcome_of

STEP_S = SLICE_S / 4
"""What a step of these tests takes."""


def steps(clock: Any, count: int, outcome: object = "done", seconds: float = STEP_S) -> Steps[Any]:
    for _ in range(count):
        clock.rightNow += seconds
        yield
    return outcome


def turn(clock: Any) -> None:
    """One reactor turn: what is due now, but nothing that this brings about."""
    for call in [each for each in clock.getDelayedCalls() if each.getTime() <= clock.seconds()]:
        if call.active():
            function, arguments = call.func, call.args
            call.cancel()
            function(*arguments)


def turns(clock: Any, until: Any) -> int:
    """Reactor turns until something is so."""
    count = 0
    while not until():
        turn(clock)
        count += 1
        assert count < 100_000
    return count


@pytest.fixture
def clock(web: Any) -> Any:
    return web.scheduler


def test_what_is_short_is_done_at_once(clock: Any) -> None:
    results: list[Any] = []
    Slices(clock, clock).outcome(steps(clock, 3)).addCallback(results.append)
    assert results == ["done"]


def test_what_is_long_takes_a_slice_of_each_turn(clock: Any) -> None:
    results: list[Any] = []
    slices = Slices(clock, clock)
    slices.outcome(steps(clock, 100)).addCallback(results.append)
    while not results:
        begun = clock.seconds()
        turn(clock)
        assert clock.seconds() - begun <= SLICE_S + STEP_S
    turn(clock)
    assert not clock.getDelayedCalls()


def test_what_comes_in_one_turn_shares_its_slice_and_the_turns_after(clock: Any) -> None:
    slices, results = Slices(clock, clock), []
    begun = clock.seconds()
    for number in range(5):
        slices.outcome(steps(clock, 8, number)).addCallback(results.append)
    assert clock.seconds() - begun <= SLICE_S + STEP_S
    turns(clock, lambda: len(results) == 5)
    assert sorted(results) == list(range(5))


def test_short_work_does_not_wait_for_the_end_of_long_work(clock: Any) -> None:
    slices, results = Slices(clock, clock), []
    slices.outcome(steps(clock, 1000, "long")).addCallback(results.append)
    slices.outcome(steps(clock, 1, "short")).addCallback(results.append)
    assert turns(clock, lambda: "short" in results) <= 3
    assert results == ["short"]


def test_a_fault_reaches_who_waits(clock: Any) -> None:
    def bad() -> Steps[None]:
        yield
        raise ValueError("x")

    failures: list[Any] = []
    shared = Shared(Slices(clock, clock).outcome(bad()))
    for _ in range(2):
        shared.wait().addErrback(failures.append)
    assert [each.type for each in failures] == [ValueError] * 2


def test_recent_answers_are_begun_once_for_all_and_kept_for_a_second(clock: Any) -> None:
    begun: list[int] = []

    def made() -> Steps[int]:
        begun.append(1)
        return (yield from steps(clock, 100, len(begun)))

    slices = Slices(clock, clock)
    recent, results = Recent(clock, lambda: slices.outcome(made())), list[Any]()
    waiting = [ensureDeferred(recent.get()) for _ in range(4)]
    for each in waiting:
        each.addBoth(results.append)
    waiting[0].cancel()
    turns(clock, lambda: len(results) == 4)
    assert results[0].check(CancelledError) and results[1:] == [1, 1, 1]
    clock.advance(RECENT_S - 0.01)
    ensureDeferred(recent.get()).addBoth(results.append)
    clock.advance(0.01)
    ensureDeferred(recent.get()).addBoth(results.append)
    turns(clock, lambda: len(results) == 6)
    assert results[4:] == [1, 2]


def test_a_failure_is_not_kept(clock: Any) -> None:
    outcomes: list[Any] = [ValueError("x"), "good"]

    def made() -> Steps[str]:
        yield
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    slices = Slices(clock, clock)
    recent, results = Recent(clock, lambda: slices.outcome(made())), list[Any]()
    for _ in range(2):
        ensureDeferred(recent.get()).addBoth(results.append)
    assert results[0].check(ValueError) and results[1] == "good"


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 300_000])
def test_packing_and_hashing_in_steps_say_what_they_say_at_once(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    assert gzip.decompress(outcome_of(packing(body, 5))) == body
    assert outcome_of(storing(body)).etag == type(outcome_of(storing(body)))(body).etag


def report(number: int) -> StreamReport:
    return StreamReport("binance", f"s{number}", "c", (), State.LIVE, None, 0.1, 1.0, None, 0, 0)


def test_ten_thousand_streams_are_listed_in_slices_and_once_for_four_readers(web: Any) -> None:
    begun: list[int] = []

    def stream_reports() -> Iterator[Sequence[StreamReport]]:
        begun.append(1)
        for at in range(0, 10_000, 16):
            web.scheduler.rightNow += STEP_S
            yield [report(number) for number in range(at, at + 16)]

    web.hub.stream_reports = stream_reports
    wires = [web.wire() for _ in range(4)]
    before = web.scheduler.seconds()
    for wire in wires:
        wire.ask("/api/streams")
    assert web.scheduler.seconds() - before <= SLICE_S + STEP_S, "no more in the turn in which they ask"
    assert turns(web.scheduler, lambda: all(wire.received() for wire in wires)) >= 10_000 / 16 / 5
    answers = [wire.response() for wire in wires]
    assert {each.status for each in answers} == {200} and len(begun) == 1
    assert len(answers[0].json()["streams"]) == 10_000 and "etag" not in answers[0].headers
    packed = web.wire()
    packed.ask("/api/streams", Accept_Encoding="gzip")
    turns(web.scheduler, packed.received)
    answer = packed.response()
    assert gzip.decompress(answer.body) == answers[0].body and answer.headers["content-encoding"] == "gzip"
    assert len(begun) == 1


@pytest.mark.parametrize("path", ["/ready", "/api/exchanges", "/metrics"])
def test_the_state_of_the_venues_is_looked_at_in_slices_and_once_a_second(web: Any, path: str) -> None:
    begun: list[int] = []

    def survey() -> Steps[int]:
        begun.append(1)
        yield from steps(web.scheduler, 100)
        return 500

    web.rest._surveys._make = lambda: web.rest._slices.outcome(survey())
    wires = [web.wire() for _ in range(4)]
    for wire in wires:
        wire.ask(path)
    turns(web.scheduler, lambda: all(wire.received() for wire in wires))
    assert [wire.response().status for wire in wires] == [200] * 4 and len(begun) == 1
    web.scheduler.advance(RECENT_S)
    wires[0].ask(path)
    turns(web.scheduler, wires[0].received)
    assert len(begun) == 2


def test_a_few_streams_are_looked_at_for_each_who_asks(web: Any) -> None:
    upstream = web.hub.upstreams["binance"]
    assert web.get("/ready").status == 200
    upstream.status = {"status": "offline", "good_streams": 0}
    web.hub.upstreams["bybit"].status = {"status": "offline", "good_streams": 0}
    assert web.get("/ready").status == 503


def test_the_catalogue_is_encoded_in_slices_and_once(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptodash.api.http import symbols

    one = Number("1.0")
    spot = MarketType.SPOT
    listed = [Instrument("binance", spot, Symbol(f"T{n}", "USDT"), f"T{n}USDT", one, one) for n in range(3000)]
    web.hub.upstreams["binance"].catalogue.replace(spot, listed)
    encoded: list[object] = []

    def entry(instrument: Instrument) -> Any:
        encoded.append(instrument)
        web.scheduler.rightNow += STEP_S / 32
        return real(instrument)

    real = symbols._entry
    monkeypatch.setattr(symbols, "_entry", entry)
    wires = [web.wire() for _ in range(4)]
    for wire in wires:
        wire.ask("/api/symbols?exchange=binance&market_type=spot")
    assert not any(wire.received() for wire in wires)
    assert turns(web.scheduler, lambda: all(wire.received() for wire in wires)) > 10
    assert len({wire.response().body for wire in wires}) == 1
    assert len(encoded) == 3001, "each once, and the one perpetual"


def test_a_body_that_is_packed_for_one_request_is_packed_in_slices(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptodash.api.http import answers

    def slow(body: bytes, level: int) -> Steps[bytes]:
        yield from steps(web.scheduler, 50)
        return (yield from packing(body, level))

    monkeypatch.setattr(answers, "packing", slow)
    web.put_trades(1000)
    wire = web.wire()
    wire.ask("/api/trades?exchange=binance&symbol=BTC-USDT&limit=1000", Accept_Encoding="gzip")
    assert wire.received() == b""
    assert turns(web.scheduler, wire.received) > 5
    assert gzip.decompress(wire.response().body).count(b'"price"') == 1000


def test_at_the_end_nobody_waits_for_a_slice(web: Any) -> None:
    web.rest._surveys._make = lambda: web.rest._slices.outcome(steps(web.scheduler, 10_000))
    wire = web.wire()
    wire.ask("/ready")
    web.rest.cut()
    assert wire.response().status == 503
    web.rest.stop()
    web.rest._slices.stop()
    wire.drop()
    assert not web.scheduler.getDelayedCalls()
