"""Each promise is judged rightly on histories made by hand: what breaks it is found, what keeps it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from attrs import evolve

from cryptodash.core.time import rfc3339
from tests.chaos.history import Bar, Connection, Event, History, Request, Tape, WireTrade
from tests.chaos.invariants import violations
from tests.chaos.plan import ClientPlan, Plan, Trouble, VenueLine, channel_of

ORIGIN = 1_700_000_000_000 - 1_700_000_000_000 % 60_000
PLACE = ("binance", "spot", "SOL-USDT")
NAME = ":".join(PLACE)
LINE = VenueLine(0.0, 0.0, False, 0, 0)
HELD = {"queued_most": 0, "calls": 10}


def time_of(seconds: float) -> str:
    return rfc3339(ORIGIN + round(seconds * 1000))


def quote(step: int) -> tuple[str, str, str, str]:
    """The best levels after so many seconds: each is another."""
    return f"{100 + step}.0", f"{101 + step}.0", "1.0", "2.0"


def book(step: int) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    bid, ask, bid_size, ask_size = quote(step)
    return ((bid, bid_size), ("50.0", "7.0")), ((ask, ask_size), ("900.0", "7.0"))


def bar(step: int) -> Bar:
    return Bar(ORIGIN + step // 60 * 60_000, ("1.0", "9.0", "1.0", f"{step % 60}.0", f"{step}.0"))


def make_tape() -> Tape:
    """A market that changes once a second for two minutes, with a trade each time."""
    tape = Tape(PLACE)
    for step in range(130):
        at = float(step)
        tape.steps.append(at)
        tape.times.append(ORIGIN + step * 1000)
        tape.books.append(book(step))
        tape.quotes.append((at, quote(step)))
        tape.lasts.append((at, f"{step}.5"))
        tape.trades.append(WireTrade(at, str(1000 + step), f"{step}.5", "3.0", "buy", ORIGIN + step * 1000))
        tape.bars.append((at, bar(step)))
    tape.closed = {bar(step).start: bar(step).values for step in (59, 119)}
    return tape


class Scene:
    """One client's history, message by message."""

    def __init__(self, kind: str = "ticker", *troubles: Trouble, client: str = "fast") -> None:
        self.name = f"{NAME}:{kind}"
        self.plan = Plan(1, ORIGIN, 0, 0, {"binance": LINE, "bybit": LINE}, troubles, (), 130.0)
        self.history = History(self.plan, tapes={PLACE: make_tape()})
        self.begun(0.0, client)
        self.history.arrivals.frames["binance", "spot"] = {
            f"solusdt@{stream}": [step / 10 for step in range(1300)]
            for stream in ("bookTicker", "trade", "depth", "kline_1m")
        }
        self.history.holdings.samples.append((1.0, HELD))

    def begun(self, at: float, client: str = "reconnecting") -> Scene:
        """A connection, the first one or another."""
        self.connection = Connection(ClientPlan("c", client, (), delay=0.0), at)
        self.history.connections.append(self.connection)
        return self.got(at, "info", {"message": "Connected to crypto-dash API. Session: 1"})

    def left(self, at: float) -> Scene:
        self.connection.ended = at
        return self.note(at, "left", None)

    def note(self, at: float, kind: str, value: Any) -> Scene:
        self.connection.events.append(Event(at, kind, value))
        return self

    def got(self, at: float, kind: str, payload: Mapping[str, Any]) -> Scene:
        return self.note(at, "got", {"type": kind, "payload": payload})

    def subscribed(
        self, at: float = 0.5, state: str | None = "live", rate: str = "", *, resumes: bool = False
    ) -> Scene:
        channel, name = channel_of(self.name), self.name + rate
        self.note(at, "sent", Request("subscribe", (name,), {name: "its newest"} if resumes else {}))
        self.got(at, "info", {"message": "Subscribed to 1 channels", "accepted": [channel], "rejected": []})
        return self if state is None else self.status(at, state)

    def unsubscribed(self, at: float) -> Scene:
        self.note(at - 0.1, "sent", Request("unsubscribe", (self.name,)))
        return self.got(at, "info", {"message": "Unsubscribed from 1 channels"})

    def status(self, at: float, state: str, cause: str = "", **members: Any) -> Scene:
        return self.got(at, "status", {"channel": channel_of(self.name), "state": state, "cause": cause, **members})

    def value(self, at: float, kind: str, **members: Any) -> Scene:
        channel = channel_of(self.name)
        place = {name: channel[name] for name in ("exchange", "market_type", "symbol")}
        detail = {name: channel[name] for name in ("depth", "interval") if name in channel}
        return self.got(at, kind, {**place, **detail, "timestamp": time_of(at), **members})

    def ticker(self, at: float, step: int, **members: Any) -> Scene:
        bid, ask, bid_size, ask_size = quote(step)
        true = {"bid": bid, "ask": ask, "bid_size": bid_size, "ask_size": ask_size, "last": f"{step}.5"}
        return self.value(at, "ticker", **{**true, **members})

    def trade(self, step: int, at: float | None = None, **members: Any) -> Scene:
        true = {"id": str(1000 + step), "price": f"{step}.5", "quantity": "3.0", "side": "buy"}
        true["timestamp"], true["cursor"] = time_of(step), f"cursor of {step}"
        return self.value(step if at is None else at, "trade", **{**true, **members})

    def snapshot(self, step: int, sequence: int, at: float | None = None, **members: Any) -> Scene:
        sides = {
            name: [{"price": price, "quantity": size} for price, size in side]
            for name, side in zip(("bids", "asks"), book(step), strict=True)
        }
        true = {"sequence": str(sequence), "complete": True, "timestamp": time_of(step), **sides}
        return self.value(step if at is None else at, "order_book_snapshot", **{**true, **members})

    def delta(self, step: int, sequence: int, at: float | None = None, **members: Any) -> Scene:
        """From the step before to this one."""
        (old_bid, _), (old_ask, _) = book(step - 1)[0][0], book(step - 1)[1][0]
        (bid, size), (ask, ask_size) = book(step)[0][0], book(step)[1][0]
        true = {
            "sequence": str(sequence),
            "timestamp": time_of(step),
            "bids_upserts": [{"price": bid, "quantity": size}],
            "asks_upserts": [{"price": ask, "quantity": ask_size}],
            "deletes": {"bids": [old_bid], "asks": [old_ask] if old_ask != ask else []},
        }
        return self.value(step if at is None else at, "order_book_delta", **{**true, **members})

    def candle(self, step: int, *, closed: bool = False, at: float | None = None, **members: Any) -> Scene:
        shown = bar(step)
        names = ("open", "high", "low", "close", "volume")
        true = {"timestamp": rfc3339(shown.start), "closed": closed, **dict(zip(names, shown.values, strict=True))}
        if closed:
            true["cursor"] = f"cursor of {shown.start}"
        return self.value(step if at is None else at, "candle", **{**true, **members})

    def broken(self) -> set[str]:
        return {each.invariant for each in violations(self.history)}


def watching(kind: str = "ticker", steps: Sequence[int] = range(1, 131)) -> Scene:
    """A client that is shown everything as it happens."""
    scene = Scene(kind).subscribed()
    for step in steps:
        if kind == "ticker":
            scene.ticker(step, step if step < 130 else 129)
        elif kind == "trade" and step < 130:
            scene.trade(step)
        elif kind == "candle:1m" and step < 130:
            if step in (60, 120):
                scene.candle(step - 1, closed=True, at=step)
            scene.candle(step)
        elif kind == "order_book:2" and step < 130:
            scene.snapshot(step, 1) if step == 1 else scene.delta(step, step)
    return scene


@pytest.mark.parametrize("kind", ["ticker", "trade", "candle:1m", "order_book:2"])
def test_what_is_all_true_breaks_nothing(kind: str) -> None:
    assert [str(each) for each in violations(watching(kind).history)] == []


WRONG = {
    "a quote that never was": ("live", lambda: watching(steps=range(1, 60)).ticker(60, 60, bid="1.0").unsubscribed(61)),
    "an older quote": ("live", lambda: watching(steps=range(1, 60)).ticker(60, 50).unsubscribed(61)),
    "a last price of before": (
        "live",
        lambda: watching(steps=range(1, 60)).ticker(60, 60, last="40.5").unsubscribed(61),
    ),
    "time goes back": (
        "live",
        lambda: watching(steps=range(1, 60)).ticker(60, 60, timestamp=time_of(40)).unsubscribed(61),
    ),
    "a value that stays live although the market went on": (
        "live",
        lambda: watching(steps=range(1, 60)).unsubscribed(100),
    ),
    "a book that never was": (
        "live",
        lambda: watching("order_book:2", range(1, 60)).snapshot(30, 60, at=60, timestamp=time_of(60)).unsubscribed(61),
    ),
    "a bar that never was": (
        "live",
        lambda: watching("candle:1m", range(1, 50)).candle(50, high="33.0").unsubscribed(51),
    ),
    "a value of a channel that nobody wants": ("asked", lambda: Scene().ticker(1, 1)),
    "a value after the unsubscribe's answer": (
        "asked",
        lambda: watching(steps=range(1, 60)).unsubscribed(60).ticker(60.1, 60),
    ),
    "a value before the status": (
        "asked",
        lambda: Scene().subscribed(state=None).ticker(0.6, 0).status(0.7, "live").unsubscribed(1),
    ),
    "an error that nobody caused": ("asked", lambda: watching().got(60, "error", {"message": "trouble"})),
    "no answer": ("asked", lambda: watching().note(60, "sent", Request("list"))),
    "a late answer": ("asked", lambda: Scene().note(0.5, "sent", Request("ping")).got(9, "info", {"message": "Pong"})),
    "a delta without a snapshot": ("deltas", lambda: Scene("order_book:2").subscribed().delta(2, 2).unsubscribed(3)),
    "a sequence with a hole": ("deltas", lambda: watching("order_book:2", range(1, 60)).delta(60, 61).unsubscribed(61)),
    "a delete of nothing": (
        "deltas",
        lambda: (
            watching("order_book:2", range(1, 60)).delta(60, 60, deletes={"bids": ["3.0"], "asks": []}).unsubscribed(61)
        ),
    ),
    "a trade left out": ("trades", lambda: watching("trade", [each for each in range(1, 130) if each != 70])),
    "a trade twice": ("trades", lambda: watching("trade", range(1, 70)).trade(69, at=69.5).unsubscribed(70)),
    "a trade that never was": ("trades", lambda: watching("trade", range(1, 70)).trade(70, id="5").unsubscribed(71)),
    "a trade at another price": (
        "trades",
        lambda: watching("trade", range(1, 70)).trade(70, price="5").unsubscribed(71),
    ),
    "a bar closed twice": (
        "candles",
        lambda: watching("candle:1m", range(1, 62)).candle(59, closed=True, at=61.5).candle(62).unsubscribed(63),
    ),
    "a closed bar left out": ("candles", lambda: watching("candle:1m", [*range(1, 59), 61, 62]).unsubscribed(63)),
    "a bar that closes too early": (
        "candles",
        lambda: watching("candle:1m", range(1, 57)).candle(57, closed=True).unsubscribed(58),
    ),
    "an age that is too small": ("ages", lambda: _silent(age_ms="1000")),
    "no recovery": ("recovery", lambda: watching(steps=range(1, 60)).status(60, "stale", "silent", age_ms="3000")),
}


def _silent(age_ms: str) -> Scene:
    """Nothing came for five seconds when the status was told."""
    scene = watching(steps=range(1, 60))
    for times in scene.history.arrivals.frames["binance", "spot"].values():
        times[:] = [each for each in times if each < 60.0]
    return scene.status(65, "stale", "silent", age_ms=age_ms).unsubscribed(66)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_breaks_a_promise_is_found(wrong: str) -> None:
    invariant, make = WRONG[wrong]
    assert invariant in make().broken()


def test_what_is_not_shown_as_live_may_be_old() -> None:
    scene = watching(steps=range(1, 60)).status(62, "stale", "silent", age_ms="2100").unsubscribed(100)
    assert scene.broken() == {"recovery"}


@pytest.mark.parametrize(("until", "broken"), [(80, False), (90, True)])
def test_what_a_slow_reader_sees_was_sent_before(until: int, broken: bool) -> None:
    """The first frame that comes after a stall of 11 s makes the book live, and the rest a moment later: the reader has
    the one 8 s after the other."""
    scene = Scene("order_book:2", Trouble("net/stall", 60.5, 11.0, "binance"))
    scene.connection.client = evolve(scene.connection.client, kind="slow", rate=5_000.0, kernel=32_768)
    scene.subscribed().snapshot(60, 1, at=65).status(68, "stale", "silent", age_ms="3000")
    scene.snapshot(61, 2, at=76).status(76.5, "live").snapshot(72, 3, at=until).unsubscribed(until + 1)
    assert ("live" in scene.broken()) is broken


@pytest.mark.parametrize(("running", "broken"), [(range(61, 76), {"recovery"}), ((), {"recovery", "live"})])
def test_a_closed_bar_that_is_fetched_late_is_not_what_is_shown(running: Sequence[int], broken: set[str]) -> None:
    scene = watching("candle:1m", range(1, 58)).status(58, "resyncing", "gap")
    for step in running:
        scene.candle(step)
    scene.candle(59, closed=True, at=75.5).status(75.5, "live").candle(76).unsubscribed(77)
    assert scene.broken() == broken


@pytest.mark.parametrize(
    ("before", "rate", "step", "broken"),
    [
        ("", "@0.5", 48, set()),  # published every two seconds
        ("", "@0.5", 47, {"live"}),
        ("@0.5", "", 49, {"live"}),
        ("@0.5", "@0.5", 49, {"live"}),
        ("", "", 49, {"live"}),
    ],
)
def test_the_view_of_another_rate_may_be_behind_by_its_interval(
    before: str, rate: str, step: int, broken: set[str]
) -> None:
    scene = Scene("order_book:2").subscribed(rate=before).snapshot(49, 1).delta(50, 2)
    scene.subscribed(50.1, rate=rate).snapshot(step, 7, at=50.1)
    for number, follows in enumerate(range(step + 1, 53)):
        scene.delta(follows, 8 + number, at=max(follows, 50.2))
    assert scene.unsubscribed(53).broken() == broken


@pytest.mark.parametrize(("step", "broken"), [(48, set()), (47, {"live"})])
def test_a_view_that_is_true_for_longer_may_come_again_as_it_was(step: int, broken: set[str]) -> None:
    """It came before the status, and was true for a second more when it was told again with its first time."""
    scene = Scene("order_book:2").subscribed(49.1, state="connecting")
    books = scene.history.tapes[PLACE].books
    books[49] = books[48]
    scene.snapshot(48, 1, at=49.1).status(49.1, "live").subscribed(49.6).snapshot(48, 1, at=49.6)
    scene.subscribed(49.8).snapshot(step, 1, at=49.8).snapshot(50, 2).unsubscribed(51)
    assert scene.broken() == broken


def test_an_age_that_counts_from_the_last_frame_is_right() -> None:
    assert _silent(age_ms="5100").broken() == {"recovery"}


def test_a_gap_answers_for_as_many_trades_as_it_says() -> None:
    left_out = [each for each in range(1, 130) if each not in (70, 71)]
    scene = watching("trade", [each for each in left_out if each < 72])
    scene.got(71.5, "gap", {"channel": channel_of(scene.name), "missed": "2"})
    for step in range(72, 130):
        scene.trade(step)
    assert scene.broken() == set()


def with_hole(end: int, *, told_from: int | None = 69, status: str = "") -> Scene:
    """The trades of 70 to 75 are missing, and a gap before ``end`` says that some may be."""
    scene = watching("trade", range(1, 70))
    if status:
        scene.status(71, status, "disconnected")
    times = {} if told_from is None else {"from": time_of(told_from), "to": time_of(end)}
    scene.got(end - 0.5, "gap", {"channel": channel_of(scene.name), "reason": "failover", **times})
    if status:
        scene.status(end - 0.5, "live")
    for step in range(end, 130):
        scene.trade(step)
    return scene


@pytest.mark.parametrize("status", ["", "stale"])
@pytest.mark.parametrize("told_from", [69, 60, None])
def test_a_gap_without_a_number_answers_for_all_from_the_trade_it_names_to_the_next(
    told_from: int | None, status: str
) -> None:
    assert with_hole(76, told_from=told_from, status=status).broken() - {"recovery"} == set()


def test_a_gap_without_a_number_does_not_answer_for_what_is_missing_elsewhere() -> None:
    for left_out in (50, 90):
        scene = with_hole(76)
        events = scene.connection.events
        events[:] = [each for each in events if f"'id': '{1000 + left_out}'" not in str(each.value)]
        assert scene.broken() == {"trades"}


@pytest.mark.parametrize(
    ("state", "until", "broken"), [("quiet", 77, set()), ("quiet", 82, {"trades"}), ("", 77, {"trades"})]
)
def test_of_a_quiet_channel_trades_may_be_missing_until_it_is_found_to_have_failed(
    state: str, until: int, broken: set[str]
) -> None:
    scene = watching("trade", range(1, 70))
    if state:
        scene.status(72, state)
    assert scene.left(until).broken() == broken


def test_a_channel_that_gets_well_again_tells_what_was_lost_before_it_was_bad() -> None:
    scene = watching("trade", range(1, 70)).status(75, "stale", "disconnected").status(77, "live")
    for step in range(77, 130):
        scene.trade(step)
    assert "trades" in scene.broken()


@pytest.mark.parametrize("first", [60, 30])
def test_trades_that_a_frozen_connection_keeps_are_no_quiet_market(first: int) -> None:
    scene = Scene("trade")
    scene.subscribed(first - 0.5)
    for step in range(first, 70):
        scene.trade(step)
    scene.status(73, "quiet").unsubscribed(85)
    frozen = Trouble("net/stall", 69.9, 20.0, "binance")
    scene.history.plan = Plan(1, ORIGIN, 0, 0, scene.plan.lines, (frozen,), (), 130.0)
    assert scene.broken() - {"recovery"} == {"trades"}


def test_trades_that_a_fault_swallows_are_nobodys_loss() -> None:
    scene = watching("trade", [each for each in range(1, 130) if not 70 <= each < 75])
    silent = Trouble("silent", 69.5, 6.0, "binance", "SOL-USDT")
    scene.history.plan = Plan(1, ORIGIN, 0, 0, scene.plan.lines, (silent,), (), 130.0)
    assert scene.broken() == set()


def coming_back(replayed: Sequence[int], *, gap: Mapping[str, str] | None = None, resumes: bool = True) -> Scene:
    """A client that has the trades up to 40, is away from then on, and comes back at 60.5 for ten seconds."""
    scene = Scene("trade", client="reconnecting").subscribed()
    for step in range(1, 41):
        scene.trade(step)
    scene.left(40.5).begun(60.0).subscribed(60.5, resumes=resumes)
    if gap is not None:
        scene.got(60.5, "gap", {"channel": channel_of(scene.name), **gap})
    for step in replayed:
        scene.trade(step, at=60.6, replayed=True)
    for step in range(61, 71):
        scene.trade(step)
    return scene.left(70.5)


EXPIRED = {"reason": "expired", "from": time_of(40), "to": time_of(55)}


@pytest.mark.parametrize(
    ("scene", "broken"),
    [
        (lambda: coming_back(range(41, 61)), set()),
        (lambda: coming_back(range(42, 61)), {"trades"}),
        (lambda: coming_back([each for each in range(41, 61) if each != 50]), {"trades"}),
        (lambda: coming_back(range(40, 61)), {"trades"}),
        (lambda: coming_back(range(55, 61)), {"trades"}),
        (lambda: coming_back(range(55, 61), gap=EXPIRED), set()),
        (lambda: coming_back([*range(55, 58), 59, 60], gap=EXPIRED), {"trades"}),
        (lambda: coming_back(range(30, 61), gap=EXPIRED), set()),
        (lambda: coming_back(range(35, 61), resumes=False), set()),
    ],
)
def test_one_that_comes_back_with_a_cursor_is_told_what_it_missed_and_nothing_twice(
    scene: Callable[[], Scene], broken: set[str]
) -> None:
    assert scene().broken() == broken


@pytest.mark.parametrize(
    ("closed", "broken"), [((119,), set()), ((), {"candles"}), ((59, 119), {"candles"}), ((119, 119), {"candles"})]
)
def test_one_that_comes_back_is_told_the_bars_that_closed_meanwhile(closed: Sequence[int], broken: set[str]) -> None:
    scene = Scene("candle:1m", client="reconnecting").subscribed()
    for step in (58, 59):
        scene.candle(step)
    scene.candle(59, closed=True, at=60).candle(60).left(60.5)
    scene.begun(121.0).subscribed(121.5, resumes=True)
    for step in closed:
        scene.candle(step, closed=True, at=121.6, replayed=True)
    scene.candle(121, at=121.6).left(122.0)
    assert scene.broken() == broken


@pytest.mark.parametrize(
    ("leap", "until", "cause", "kind", "broken"),
    [
        (79.8, 80.4, "gap", "order_book:5", set()),
        (79.8, 89.0, "gap", "order_book:5", {"recovery"}),
        (79.8, 80.4, "crossed", "order_book:5", {"recovery"}),
        (70.0, 80.4, "gap", "order_book:5", {"recovery"}),
        (80.2, 80.4, "gap", "order_book:5", {"recovery"}),
        (None, 80.4, "gap", "order_book:5", {"recovery"}),
        (79.8, 80.4, "gap", "candle:1m", {"recovery"}),
    ],
)
def test_a_book_may_be_lost_for_a_moment_when_the_price_leaps_past_all_that_is_proven(
    leap: float | None, until: float, cause: str, kind: str, broken: set[str]
) -> None:
    scene = Scene(kind).subscribed().status(80.0, "resyncing", cause).status(until, "live").unsubscribed(until + 0.5)
    scene.history.tapes[PLACE].leaps = [] if leap is None else [leap]
    assert scene.broken() & {"recovery"} == broken


def test_a_leap_of_the_price_does_not_excuse_what_comes_later() -> None:
    scene = Scene("order_book:5").subscribed().status(80.0, "resyncing", "gap").status(80.4, "live")
    scene.status(90.0, "resyncing", "gap").status(90.4, "live").unsubscribed(91.0)
    scene.history.tapes[PLACE].leaps = [79.8]
    assert "recovery" in scene.broken()


@pytest.mark.parametrize(
    ("trades", "until", "cause", "kind", "broken"),
    [
        ((77.0, 80.0), 80.1, "silent", "trade", set()),
        ((77.0, 79.0, 80.0), 80.1, "silent", "trade", {"recovery"}),
        ((77.0, 80.0), 81.1, "silent", "trade", {"recovery"}),
        ((77.0, 80.0), 80.1, "disconnected", "trade", {"recovery"}),
        ((77.0, 80.0), 80.1, "silent", "ticker", {"recovery"}),
        ((77.0,), 80.1, "silent", "trade", {"recovery"}),
    ],
)
def test_a_market_without_a_trade_for_long_is_no_fault_of_the_stream(
    trades: Sequence[float], until: float, cause: str, kind: str, broken: set[str]
) -> None:
    scene = Scene(kind).subscribed().status(79.6, "stale", cause).status(until, "live").unsubscribed(91.0)
    tape = scene.history.tapes[PLACE]
    tape.trades = [each for each in tape.trades if each.at < 77 or (each.at > 80 and len(trades) > 1)]
    tape.trades += [WireTrade(at, f"{at}", "1.5", "3.0", "buy", ORIGIN + round(at * 1000)) for at in trades]
    tape.trades.sort()
    assert scene.broken() & {"recovery"} == broken


MEMORY = {
    "a queue without a bound": lambda it: it.holdings.samples.append((50.0, {"queued_most": 9_000_000, "calls": 10})),
    "sessions that are left": lambda it: setattr(it.holdings, "after", {"sessions": 1}),
    "timers without end": lambda it: it.holdings.samples.append((50.0, {"queued_most": 0, "calls": 90_000})),
    "a failure that was logged": lambda it: it.errors.append("publishing a ticker failed"),
}


@pytest.mark.parametrize("what", MEMORY)
def test_memory_that_grows_or_stays_is_found(what: str) -> None:
    scene = watching()
    MEMORY[what](scene.history)
    assert scene.broken() == {"memory"}


@pytest.mark.parametrize(("gone", "broken"), [(40.0, set()), (90.0, {"recovery"}), (None, {"recovery"})])
def test_a_client_whose_cable_was_pulled_is_let_go_in_time(gone: float | None, broken: set[str]) -> None:
    scene = watching(steps=range(1, 10)).note(10.0, "left", None)
    scene.connection.frozen, scene.connection.gone = 10.0, gone
    assert scene.broken() == broken


@pytest.mark.parametrize(("gone", "broken"), [(40.0, set()), (95.0, {"recovery"}), (None, {"recovery"})])
def test_a_client_that_reads_nothing_is_let_go_in_time(gone: float | None, broken: set[str]) -> None:
    scene = watching(steps=range(1, 10))
    scene.connection.stopped_reading, scene.connection.gone = 10.0, gone
    assert scene.broken() == broken
