"""All five venues in one run: a sample of seeds, the minutes with faults on three, and what is judged besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from cryptodash.core.events import State
from cryptodash.core.quality import Count
from cryptodash.core.topics import Topic
from cryptodash.hub.composite import Constituent
from cryptodash.simulator.faults import FAULTS
from tests.chaos import census, five
from tests.chaos.history import Connection, History, Quality
from tests.chaos.invariants import ledger, violations
from tests.chaos.plan import LASTING, SUDDEN, ClientPlan, Plan, Trouble, make_plan
from tests.chaos.run import run
from tests.chaos.test_invariants import LINE, ORIGIN, PLACE, Scene, make_tape, quote, watching
from tests.chaos.venues import ALL, TWO, can_have, markets_of, stream_of

SAMPLE = (1,)
LONG = range(2, 21)


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_seed_of_all_venues_keeps_every_promise(seed: int) -> None:
    history = run(make_plan(seed, ALL))
    assert {each[0] for each in history.tapes} == set(ALL)
    assert [str(each) for each in violations(history)] == []


def test_many_seeds_of_all_venues_keep_every_promise(long: bool) -> None:
    if not long:
        pytest.skip("only with --long")
    for seed in LONG:
        assert [str(each) for each in violations(run(make_plan(seed, ALL)))] == [], f"seed {seed}"


def test_minutes_with_faults_on_three_show_no_wrong_value_and_are_all_in_the_ledger(long: bool) -> None:
    plan = five.make_plan(600.0) if long else five.make_plan(150.0, names=five.SHORT)
    counted = census.Census()
    history = run(plan, counted.take)
    assert [str(each) for each in violations(history)] == []
    assert [str(each) for each in ledger.check(history)] == []
    assert counted.grown() == []
    told = Counter(event.value["type"] for each in history.connections for event in each.events if event.kind == "got")
    kinds = ("ticker", "bbo", "trade", "candle", "order_book_delta")
    assert min(told[kind] for kind in kinds) > (200 if long else 50), told


def _keeps_whoever_has_a_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a venue that is stale still counts in the composite."""

    def constituent(self: Any, part: Topic, value_of: Callable[[Topic], Any]) -> Constituent[Any]:
        return Constituent(part, State.LIVE, None, value_of(part), self._sources.clock.monotonic())

    monkeypatch.setattr("cryptodash.hub.composite_topics.DerivedTopic._constituent", constituent)


def _counts_no_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the ledger does not hear of what is lost."""
    monkeypatch.setattr("cryptodash.hub.stream_record.Record.count", lambda *_: None)


@pytest.mark.parametrize(
    ("plant", "names", "found"),
    [(_keeps_whoever_has_a_quote, ("drop", "maintenance"), "live"), (_counts_no_gaps, ("skip",), "ledger")],
)
def test_a_planted_error_of_what_all_venues_share_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    names: Sequence[str],
    found: str,
    long: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not long:
        pytest.skip("only with --long")
    plant(monkeypatch)
    history = run(five.make_plan(150.0, names=names))
    assert found in {each.invariant for each in (*violations(history), *ledger.check(history))}


def test_the_ten_minutes_have_every_fault_that_was_promised() -> None:
    plan = five.make_plan(600.0)
    had = {(each.exchange, each.name) for each in plan.troubles}
    assert {exchange for exchange, _ in had} == {"bybit", "okx", "kraken"}
    promised = {"skip", "reorder", "slow", "drop", "maintenance", "delist", "rename", "wrong-size", "wrong-contract"}
    assert {name for _, name in had} >= promised
    assert max(each.end for each in plan.troubles) + five.CALM - 5 <= plan.seconds
    assert all(trouble.name in ledger.COUNTED for trouble in plan.troubles)


def test_a_plan_of_all_venues_has_only_faults_that_the_venue_can_have() -> None:
    plans = [make_plan(seed, ALL) for seed in range(200)]
    assert all(
        trouble.exchange == "" or can_have(trouble.exchange, trouble.name)
        for plan in plans
        for trouble in plan.troubles
    )
    assert {each.exchange for plan in plans for each in plan.troubles} >= set(ALL)
    assert not can_have("coinbase", "418") and can_have("kraken", "net/deaf")
    assert {name for name in (*LASTING, *SUDDEN) if "/" not in name} - {"slow-symbol"} <= set(FAULTS)


def test_the_seeds_of_two_venues_are_not_those_of_all() -> None:
    assert make_plan(5) == make_plan(5, TWO)
    assert make_plan(5).venues == TWO and make_plan(5, ALL).venues == ALL
    assert markets_of("kraken") == ("spot",) and markets_of("okx") == ("spot", "perpetual")


FRAMES = [
    ("binance", "spot", b'{"stream":"solusdt@trade","data":{}}', ("spot", "solusdt@trade")),
    (
        "okx",
        None,
        b'{"arg":{"channel":"tickers","instId":"XRP-USDT-SWAP"},"data":[]}',
        ("perpetual", "tickers:XRPUSDT"),
    ),
    ("okx", None, b'{"arg":{"channel":"books","instId":"XRP-USDT"},"data":[]}', ("spot", "books:XRPUSDT")),
    ("kraken", "spot", b'{"channel":"book","type":"update","data":[{"symbol":"XRP/USDT"}]}', ("spot", "book:XRPUSDT")),
    (
        "coinbase",
        "spot",
        b'{"channel":"ticker","timestamp":"2026-08-12T19:27:33Z","sequence_num":2,"events":[{"type":"update","tickers":'
        b'[{"type":"ticker","product_id":"XRP-USDT"}]}]}',
        ("spot", "ticker:XRPUSDT"),
    ),
    ("kraken", "spot", b'{"channel":"heartbeat"}', None),
    ("okx", None, b"pong", None),
]


@pytest.mark.parametrize(("exchange", "market", "head", "found"), FRAMES)
def test_a_frame_is_known_by_its_beginning(exchange: str, market: str | None, head: bytes, found: object) -> None:
    assert stream_of(exchange, market, head) == found


# --- what is judged of single venues


@pytest.mark.parametrize(("seconds", "broken"), [(5, False), (15, True)])
def test_a_ticker_may_lack_a_quote_for_a_while_and_no_longer(seconds: int, broken: bool) -> None:
    none: dict[str, Any] = {"bid": None, "ask": None, "bid_size": None, "ask_size": None}
    scene = Scene().subscribed()
    for step in range(1, seconds):
        scene.ticker(step, step, **none)
    scene.ticker(seconds, seconds).unsubscribed(seconds + 1)
    assert ("live" in scene.broken()) is broken


def _two_of_one_moment(exchange: str, *troubles: Trouble) -> set[str]:
    """The quote of a moment's end, then the one of before, though of the same time."""
    scene = Scene("bbo", *troubles)
    place = (exchange, *PLACE[1:])
    scene.name = f"{':'.join(place)}:bbo"
    tape = evolve(make_tape(), place=place)
    tape.quotes.insert(51, (50.0, quote(500)))
    scene.history.tapes = {place: tape}
    scene.history.plan = evolve(scene.plan, lines={exchange: LINE})
    scene.subscribed()
    for step in (500, 50, 51):
        bid, ask, bid_size, ask_size = quote(step)
        at = {500: 50.05, 50: 50.1, 51: 51.05}[step]
        scene.value(at, "bbo", bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size, timestamp=f"{at}")
    return {each.invariant for each in violations(scene.unsubscribed(52).history)}


@pytest.mark.parametrize(
    ("exchange", "troubles", "broken"),
    [
        ("kraken", (Trouble("reorder", 45.0, 10.0, "kraken"),), False),
        ("kraken", (Trouble("reorder", 20.0, 10.0, "kraken"),), True),
        ("binance", (Trouble("reorder", 45.0, 10.0, "binance"),), True),
    ],
)
def test_quotes_of_one_moment_may_change_places_where_nothing_numbers_them(
    exchange: str, troubles: tuple[Trouble, ...], broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.invariants.values.parse_time", lambda text: ORIGIN + round(float(text)) * 1000)
    assert ("live" in _two_of_one_moment(exchange, *troubles)) is broken


def test_bars_of_the_past_that_a_slow_reader_gets_at_first_are_not_on_show() -> None:
    scene = Scene("candle:1m").subscribed(at=100.0)
    scene.candle(59, closed=True, at=100.6).candle(101).candle(102).unsubscribed(103)
    assert scene.broken() == set()


def test_a_minute_without_a_trade_has_no_bar_where_the_venue_has_none() -> None:
    scene = watching("candle:1m", [*range(1, 59), 61, 62]).unsubscribed(63)
    scene.history.tapes[PLACE].empty[ORIGIN] = None
    assert scene.broken() == set()


# --- what is derived of all


def composite_of(*steps: tuple[float, int | None, int | None], late: tuple[str, ...] = ()) -> set[str]:
    """A client of the composite quote: (time, step of the first venue's quote, step of the second's)."""
    places = PLACE, ("bybit", *PLACE[1:])
    scene = Scene("bbo")
    scene.name = f"composite:{':'.join(PLACE[1:])}:bbo"
    scene.history.tapes = {place: evolve(make_tape(), place=place) for place in places}
    scene.subscribed()
    for at, *of in steps:
        quotes = {place[0]: quote(step) for place, step in zip(places, of, strict=True) if step is not None}
        venues = {
            name: {"bid": bid, "ask": ask, "bid_size": bid_size, "ask_size": ask_size, "age_ms": 10}
            for name, (bid, ask, bid_size, ask_size) in quotes.items()
        }
        bid = max(venues, key=lambda name: float(venues[name]["bid"]))
        ask = min(venues, key=lambda name: float(venues[name]["ask"]))
        excluded = [{"exchange": name, "state": "stale", "cause": "late"} for name in late]
        best = {"bid": venues[bid]["bid"], "bid_exchange": bid, "ask": venues[ask]["ask"], "ask_exchange": ask}
        scene.value(at, "bbo", venues=venues, excluded=excluded, **best)
    return {each.invariant for each in violations(scene.unsubscribed(steps[-1][0] + 0.5).history)}


def test_a_composite_of_true_quotes_is_right() -> None:
    assert composite_of((10, 10, 9), (11, 11, 11), (12, None, 12)) == set()


def test_a_composite_with_an_old_quote_is_found() -> None:
    assert composite_of(*[(10.0 + second, 10 + second, 10) for second in range(15)]) == {"live"}


def test_a_composite_with_a_quote_that_never_was_is_found() -> None:
    assert composite_of((10, 10, 400), (11, 11, 11)) == {"live"}


def test_a_venue_that_is_counted_and_excluded_is_found() -> None:
    assert composite_of((10, 10, 10), late=("bybit",)) == {"live"}


# --- the ledger


def _ledger_of(name: str, *, counts: dict[Count, int] | None = None, down: int = 0) -> list[str]:
    trouble = Trouble(name, 10.0, 5.0, "okx")
    plan = Plan(1, ORIGIN, 0, 0, {"okx": LINE}, (trouble,), (), 60.0)
    before = Quality((9_000, 0, 0, 0, 100), (0,) * len(Count))
    grown = tuple((counts or {}).get(each, 0) for each in Count)
    after = Quality((20_000, 0, 0, 0, 100 + down), grown)
    samples = [(9.0, {"okx": before}), (20.0, {"okx": after}), (50.0, {"okx": after})]
    history = History(plan, connections=[Connection(ClientPlan("c", "fast", ()), 0.0)], ledger=list(samples))
    return [str(each) for each in ledger.check(history)]


def test_a_fault_that_the_ledger_has_is_no_violation_and_one_that_it_lacks_is() -> None:
    assert _ledger_of("skip", counts={Count.GAPS: 1}) == []
    assert _ledger_of("skip", counts={Count.LATE: 1}) == ["ledger: 15.000  : skip of okx at 10.0 is not in the ledger"]
    assert _ledger_of("drop", down=400) == []
    assert len(_ledger_of("drop")) == 1


def test_what_grows_in_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "objects", lambda: Counter({"cryptodash.hub.cache": 5_000}))
    counted = census.Census()
    for minute in range(1, 7):
        counted.take(60.0 * minute, {"cached": 1_000 * minute, "topics": 5, "calls": 1_000 * minute})
    assert counted.grown() == [
        "memory: 6000 values are kept of 5 topics",
        "memory: calls: 6000 in the last third, 4000 in the second",
    ]
