"""The fault run: whatever goes wrong with a venue, no wrong value is shown as live, the cause is told,
and all is well again without help.

The server, the simulated venues and a client run in memory under one clock (``world.py``); the oracle (``oracle.py``)
compares every value the client is shown as live with the simulator's truth.
One short run over real sockets is at the end.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_twisted
import txaio
from attrs import evolve, frozen
from autobahn.twisted.websocket import WebSocketAdapterProtocol  # noqa: F401  (tells txaio that it is Twisted's)
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from cryptodash.exchanges.venues.binance.venue import Binance
from cryptodash.testing.network import MemoryNetwork

VENUES = ("binance", "bybit")
Name = str
States = tuple[str, str]


def load(name: str) -> ModuleType:
    """A module that stands beside this one."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


oracle = load("oracle")
worlds = load("world")


def channel(kind: str, exchange: str, market: str, symbol: str, **detail: Any) -> dict[str, Any]:
    return {"channel_type": kind, "exchange": exchange, "market_type": market, "symbol": symbol, **detail}


def channels(exchange: str, market: str) -> list[dict[str, Any]]:
    """BTC in full, on spot with two depths, and some ETH beside it that BTC's troubles must not touch."""
    place = (exchange, market)
    wanted = [
        channel("ticker", *place, "BTC-USDT"),
        channel("trade", *place, "BTC-USDT"),
        channel("order_book", *place, "BTC-USDT", depth=20),
        channel("candle", *place, "BTC-USDT", interval="1m"),
        channel("ticker", *place, "ETH-USDT"),
    ]
    if market == "spot":
        wanted += [
            channel("order_book", *place, "BTC-USDT", depth=50),
            channel("order_book", *place, "ETH-USDT", depth=10),
        ]
    return wanted


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch, world_seed: int) -> Iterator[Callable[..., Any]]:
    """Worlds in memory: ``make_world(*channels, **options)``; by the end nothing wrong was shown as
    live and no limit of a venue was broken."""
    made = []

    def make(*wanted: dict[str, Any], warm: float = 6.5, **options: Any) -> Any:
        network = MemoryNetwork()
        monkeypatch.setattr(txaio.config, "loop", network)  # Autobahn's client has timers there
        settings = {"STALE_AFTER_S": "2.5", "UPSTREAM_LINGER_S": "1", **options}
        world = worlds.World(oracle, network, seed=world_seed, **settings)
        made.append(world)
        world.subscribe(*wanted)
        world.run(warm)
        return world

    yield make
    for world in made:
        world.stop()


def everything() -> list[dict[str, Any]]:
    return [each for exchange in VENUES for market in ("spot", "perpetual") for each in channels(exchange, market)]


def is_good(world: Any, names: list[Name]) -> bool:
    states = world.states()
    return all(states[name][0] in oracle.GOOD for name in names)


def nothing_wrong(world: Any) -> None:
    assert not world.oracle.wrong, world.oracle.summary()
    assert world.simulator.ledger.violations == []


def test_in_calm_every_value_of_every_kind_is_true_and_recent(make_world: Callable[..., Any]) -> None:
    world = make_world(*everything())
    world.run(34)  # over the end of a minute, so that candles close
    assert is_good(world, list(world.states()))
    nothing_wrong(world)
    least = {"ticker": 4_000, "trade": 1_500, "order_book": 1_500, "candle": 200, "moments": 3_000}
    assert {kind for kind, count in least.items() if world.oracle.checked[kind] < count} == set(), world.oracle.checked
    assert all(not world.oracle.seen(name, world.now - 34_000) for name in world.states())
    closed = [each["payload"] for each in world.messages if each["type"] == "candle" and each["payload"]["closed"]]
    assert len(closed) == 4


def spoiled(
    kind: str, spoil: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """A change to the first message of this kind that ``spoil`` returns something for."""
    done: list[bool] = []

    def show(message: dict[str, Any]) -> list[dict[str, Any]]:
        if done or message["type"] != kind or message["payload"].get("exchange") != "binance":
            return [message]
        changed = spoil(message["payload"])
        if changed is None:
            return [message]
        done.append(True)
        return [{"type": kind, "payload": changed}]

    return show


def higher(text: str) -> str:
    """The number one unit of its last place higher."""
    number = Decimal(text)
    return format(number + Decimal((0, (1,), number.as_tuple().exponent)), "f")


def changed_level(payload: dict[str, Any]) -> dict[str, Any] | None:
    if not payload["bids_upserts"]:
        return None
    first, *rest = payload["bids_upserts"]
    return {**payload, "bids_upserts": [{**first, "quantity": higher(first["quantity"])}, *rest]}


PLANTED: Mapping[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any] | None]]] = {
    "a bid": ("ticker", lambda it: {**it, "bid": higher(it["bid"])}),
    "a bid's size": ("ticker", lambda it: {**it, "bid_size": higher(it["bid_size"])}),
    "a last price": ("ticker", lambda it: {**it, "last": higher(it["last"])}),
    "a day's high": ("ticker", lambda it: {**it, "high_24h": higher(it["high_24h"])}),
    "a mark price": ("ticker", lambda it: {**it, "mark_price": "1.00000000"} if "mark_price" in it else None),
    "padding": ("ticker", lambda it: {**it, "ask": it["ask"] + "0"}),
    "a trade's price": ("trade", lambda it: {**it, "price": higher(it["price"])}),
    "a trade's side": ("trade", lambda it: {**it, "side": "buy" if it["side"] == "sell" else "sell"}),
    "a trade that never was": ("trade", lambda it: {**it, "id": "1"}),
    "a bar's close": ("candle", lambda it: {**it, "close": higher(it["close"])}),
    "a bar's volume": ("candle", lambda it: {**it, "volume": higher(it["volume"])}),
    "a bar closed early": ("candle", lambda it: {**it, "closed": True}),
    "a level's size": ("order_book_delta", changed_level),
    "a level left out": ("order_book_delta", lambda it: {**it, "asks_upserts": []} if it["asks_upserts"] else None),
    "a delta that does not fit": ("order_book_delta", lambda it: {**it, "sequence": it["sequence"] + 1}),
    "a delta of another time": ("order_book_delta", lambda it: {**it, "timestamp": "2023-11-14T22:13:21.000Z"}),
}


def test_the_oracle_finds_every_planted_error(make_world: Callable[..., Any]) -> None:
    for planted, (kind, spoil) in PLANTED.items():
        world = make_world(
            *(each for each in channels("binance", "perpetual") if each["channel_type"] in kind), warm=2.0
        )
        nothing_wrong(world)
        world.spoil = spoiled(kind, spoil)
        try:
            world.run_until(lambda world=world: world.oracle.wrong, 5.0)
        except AssertionError:
            pytest.fail(f"{planted} was not found")


def lost(kind: str) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    return lambda message: [] if message["type"].startswith(kind) else [message]


@pytest.mark.parametrize("kind", ["ticker", "trade", "candle", "order_book"])
def test_the_oracle_finds_an_old_value_that_is_still_shown_as_live(make_world: Callable[..., Any], kind: str) -> None:
    world = make_world(*channels("binance", "spot"), warm=3.0)
    world.oracle.patience = 4_500
    world.spoil = lost(kind)
    world.run(2)
    assert not world.oracle.wrong
    world.run(6)
    assert any(f":{kind}" in each.name for each in world.oracle.wrong)


def test_the_oracle_finds_a_trade_left_out_or_told_twice(make_world: Callable[..., Any]) -> None:
    world = make_world(*channels("binance", "spot"), warm=3.0)
    world.spoil = spoiled("trade", lambda trade: {**trade, "replayed": True, "id": "1"})  # as good as left out
    world.run_until(lambda: any("left out" in each.what for each in world.oracle.wrong), 10.0)
    world.spoil = lambda message: [message, message] if message["type"] == "trade" else [message]
    world.run_until(lambda: any("again" in each.what for each in world.oracle.wrong), 10.0)


@frozen
class Case:
    """What a fault does to a venue's channels.

    ``seen``: state and cause that each channel of these kinds is told ``within`` seconds, by venue (a venue that is
    left out is not tried). ``also``: what else channels may be told meanwhile. ``symbol``: it concerns BTC only.
    ``before``: faults that are started first, with seconds. ``holds``: no channel that was hit is good again before the
    fault is over. ``recovers``: seconds after the end until all is good. ``patience``: ms a live value may lag.
    """

    fault: str
    seconds: float
    seen: Mapping[str, States | None]
    kinds: tuple[str, ...] = ("ticker", "trade", "order_book")
    also: tuple[States, ...] = ()
    within: float = 4.0
    recovers: float = 15.0
    symbol: bool = False
    before: tuple[tuple[str, str | None, float], ...] = ()
    holds: bool = False
    patience: int = 8_000
    delay: float | None = None

    @property
    def title(self) -> str:
        return "-".join([*(each[0] for each in self.before), self.fault, f"{self.seconds:g}s"])


def both(state: str, cause: str) -> dict[str, States | None]:
    return dict.fromkeys(VENUES, (state, cause))


RESYNC = (("resyncing", "gap"), ("resyncing", "disconnected"), ("stale", "disconnected"))
UNHARMED: dict[str, States | None] = dict.fromkeys(VENUES)
ALL = ("ticker", "trade", "order_book", "candle")
BOOK = ("order_book",)
BANNED = {"binance": ("resyncing", "banned")}

CASES = (
    Case("drop", 0.5, both("stale", "disconnected"), ALL, RESYNC, within=0.5),
    Case("half-open", 0.5, both("stale", "silent"), also=RESYNC, recovers=20.0),
    Case("silent", 5.0, both("stale", "silent"), also=RESYNC, symbol=True, holds=True),
    Case("silent-venue", 5.0, both("stale", "silent"), also=RESYNC, holds=True),
    Case("skip", 0.3, both("resyncing", "gap"), BOOK, symbol=True, within=1.0),
    Case("duplicate", 3.0, UNHARMED, (), symbol=True),
    Case("reorder", 2.0, both("resyncing", "gap"), BOOK, symbol=True, within=1.5),
    Case(
        "old-snapshot",
        4.0,
        {"binance": ("resyncing", "gap")},
        BOOK,
        before=(("skip", "BTC-USDT", 0.3),),
        symbol=True,
        within=1.0,
        holds=True,
        recovers=20,
    ),
    Case(
        "crossed", 3.0, both("resyncing", "crossed"), BOOK, (("stale", "crossed"),), symbol=True, within=0.5, holds=True
    ),
    Case(
        "crossed",
        2.0,
        both("stale", "crossed"),
        ("ticker",),
        (("resyncing", "crossed"),),
        symbol=True,
        within=0.5,
        holds=True,
    ),
    Case("garbage", 0.5, UNHARMED, ()),
    Case("garbage", 4.0, UNHARMED, (), RESYNC, recovers=25.0),
    Case(
        "429", 3.0, BANNED, BOOK, (("resyncing", "gap"),), before=(("skip", "BTC-USDT", 0.3),), within=1.0, holds=True
    ),
    Case(
        "418", 3.0, BANNED, BOOK, (("resyncing", "gap"),), before=(("skip", "BTC-USDT", 0.3),), within=1.0, holds=True
    ),
    Case("future-id", 8.0, UNHARMED, (), symbol=True),
    Case("future-time", 8.0, UNHARMED, (), symbol=True),
    Case("slow", 4.0, UNHARMED, (), (("stale", "silent"),), patience=10_000, delay=1.0),
    Case("slow", 4.0, UNHARMED, (), (("stale", "silent"),), patience=10_000, delay=1.0, symbol=True),
    Case(
        "slow",
        8.0,
        both("stale", "late"),
        also=(("stale", "silent"), ("resyncing", "silent")),
        within=7.0,
        delay=3.0,
    ),
    Case(
        "maintenance",
        3.0,
        both("stale", "maintenance"),
        ALL,
        (*RESYNC, ("resyncing", "maintenance")),  # a book may wait for its snapshot, by luck
        within=1.0,
        holds=True,
        recovers=25.0,
    ),
    Case("cut24h", 5.0, both("stale", "maintenance"), ALL, RESYNC, within=5.0),
    Case(
        "451",
        1.0,
        both("stale", "blocked"),
        ALL,
        RESYNC,
        within=3.0,
        before=(("drop", None, 0.5),),
        recovers=float("inf"),
    ),
)


def is_hit(case: Case, name: Name, venue: str) -> bool:
    """Whether the fault can touch the channel at all."""
    concerns_btc = case.symbol or any(symbol for _, symbol, _ in case.before)
    return name.startswith(f"{venue}:") and (":BTC-USDT:" in name or not concerns_btc)


def kind_of(name: Name) -> str:
    return name.split(":")[3]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_fault_is_told_harms_nobody_else_and_passes(make_world: Callable[..., Any], case: Case) -> None:
    world = make_world(*everything())
    nothing_wrong(world)
    world.oracle.patience = case.patience
    for venue, expected in case.seen.items():
        go_through(world, case, venue, expected)
    nothing_wrong(world)
    assert world.oracle.checked["moments"] > 500


def go_through(world: Any, case: Case, venue: str, expected: States | None) -> None:
    names = list(world.states())
    hit = [name for name in names if is_hit(case, name, venue)]
    told = [name for name in hit if kind_of(name) in case.kinds]
    since = world.now
    for fault, symbol, seconds in case.before:
        world.simulator.faults.start(venue, fault, symbol, seconds)
    hit_symbol = "BTC-USDT" if case.symbol else None
    world.simulator.faults.start(venue, case.fault, hit_symbol, case.seconds, delay=case.delay)
    end = since + round(case.seconds * 1000)

    if expected is not None:
        world.run_until(
            lambda: all(expected in [each[1:] for each in world.oracle.seen(name, since)] for name in told), case.within
        )
    world.run(max(0.0, (end - world.now) / 1000))
    if case.holds:
        assert not [
            name
            for name in told
            if any(state in oracle.GOOD and time < end for time, state, _ in world.oracle.seen(name, since))
        ]
    if case.recovers < float("inf"):
        world.run_until(lambda: is_good(world, names), case.recovers)
        world.run(1)
        assert is_good(world, names)

    allowed = {expected, *case.also, *((state, "") for state in oracle.GOOD)}
    for name in names:
        states = {each[1:] for each in world.oracle.seen(name, since)}
        assert states <= (allowed if name in hit else set()), (name, world.oracle.seen(name, since))


@pytest.mark.parametrize("delay", [7.0, 12.0])
def test_a_venue_that_is_late_for_long_stays_late_although_its_probes_are_as_late(
    make_world: Callable[..., Any], delay: float
) -> None:
    world = make_world(*channels("binance", "spot"), STALE_AFTER_S="5")
    world.oracle.patience = 30_000
    since = world.now
    world.simulator.faults.start("binance", "slow", None, 60.0, delay=delay)
    world.run(delay + 2.0)
    told = world.now
    assert {states[1] for states in world.states().values()} <= {"late", "silent", "disconnected"}
    world.run(60.0 - (world.now - since) / 1000)
    good = [(name, each) for name in world.states() for each in world.oracle.seen(name, told) if each[1] in oracle.GOOD]
    assert good == []
    nothing_wrong(world)


def test_a_country_that_is_not_served_is_tried_again_after_minutes(make_world: Callable[..., Any]) -> None:
    world = make_world(*channels("binance", "spot"))
    world.simulator.faults.start("binance", "451", None, 5)
    world.simulator.faults.start("binance", "drop")
    world.run_until(lambda: all(each == ("stale", "blocked") for each in world.states().values()), 4.0)
    waited = world.run_until(lambda: is_good(world, list(world.states())), 400.0)
    assert waited > 250
    nothing_wrong(world)


@pytest.mark.parametrize(("venue", "told"), [("binance", ("stale", "halted")), ("bybit", ("closed", "delisted"))])
def test_a_delisted_symbol_is_told_and_comes_back_with_its_listing(
    make_world: Callable[..., Any], venue: str, told: States
) -> None:
    world = make_world(*channels(venue, "spot"))
    btc = [name for name in world.states() if "BTC" in name]
    since = world.now
    world.simulator.faults.start(venue, "delist", "BTC-USDT", 12)
    world.run_until(lambda: all(world.states()[name] == told for name in btc), 10.0)
    world.run(12)
    Deferred.fromCoroutine(world.server.hub.upstreams[venue].refresh_catalogue())
    world.run_until(lambda: is_good(world, list(world.states())), 75.0)
    world.run(1)
    assert all(not world.oracle.seen(name, since) for name in world.states() if "ETH" in name)
    nothing_wrong(world)


def test_an_illiquid_symbol_is_quiet_and_never_stale(make_world: Callable[..., Any]) -> None:
    places = [("binance", "spot"), ("binance", "perpetual"), ("bybit", "perpetual")]
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("ticker", {}),
        ("trade", {}),
        ("order_book", {"depth": 10}),
        ("candle", {"interval": "1m"}),
    ]
    world = make_world(*(channel(kind, *place, "NKN-USDT", **detail) for place in places for kind, detail in kinds))
    world.run(150)
    for name, watch in world.oracle.watches.items():
        assert {state for _, state, _ in watch.history} <= {"connecting", "live", "quiet"}, (name, watch.history)
    assert any(state == "quiet" for watch in world.oracle.watches.values() for _, state, _ in watch.history)
    nothing_wrong(world)


def test_a_connection_without_a_pace_is_found_dead_by_its_silence(make_world: Callable[..., Any]) -> None:
    world = make_world(channel("order_book", "binance", "spot", "NKN-USDT", depth=10))
    name = "binance:spot:NKN-USDT:order_book:10"
    world.run_until(lambda: is_good(world, [name]), 60.0)
    since = world.now
    world.simulator.faults.start("binance", "half-open")
    took = world.run_until(lambda: "disconnected" in [cause for _, _, cause in world.oracle.seen(name, since)], 80.0)
    assert took > 45  # the venue's ping comes every 20 s: one or two that fail to come prove nothing yet
    world.run_until(lambda: is_good(world, [name]), 60.0)
    nothing_wrong(world)


def test_before_a_connection_is_cut_another_has_taken_over_and_nothing_is_missed(
    make_world: Callable[..., Any], long: bool
) -> None:
    """The 24 hours shortened to 30 s for us and to 50 s for the venue."""
    lives, seconds = (20, 620) if long else (2, 53)
    venue = Binance()
    venue.limits = {key: evolve(each, lifetime=30.0) for key, each in venue.limits.items()}
    wanted = channels("binance", "spot") + channels("binance", "perpetual")
    names = [
        oracle.name_of({**each, "symbol": dict(zip(("base", "quote"), each["symbol"].split("-"), strict=True))})
        for each in wanted
    ]
    world = make_world(*wanted, warm=0.0, venues=[venue], EXCHANGES="binance", lifetime=50.0)
    world.run_until(lambda: len(world.states()) == len(names) and is_good(world, names))
    since = world.now
    world.run(seconds)
    assert {name: world.oracle.seen(name, since) for name in names if world.oracle.seen(name, since)} == {}
    assert sum(each.connections for each in world.simulator.ledger.by_host.values()) >= 3 * lives
    nothing_wrong(world)


class SetClock:
    """The network's clocks, with a wall clock of its own."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.monotonic = network.monotonic
        self._network = network
        self.ahead_ms = 0

    def wall_ms(self) -> int:
        return self._network.wall_ms() + self.ahead_ms


@pytest.mark.sampled(4)
@pytest.mark.parametrize("step", [-3600.0, -60.0, 60.0, 3600.0])
def test_a_wall_clock_that_is_set_changes_nothing_but_the_times_we_write(
    make_world: Callable[..., Any], step: float
) -> None:
    clocks: list[SetClock] = []

    def make_clock(network: MemoryNetwork) -> SetClock:
        clocks.append(SetClock(network))
        return clocks[-1]

    world = make_world(*(each for each in everything() if each["channel_type"] != "trade"), clock=make_clock)
    names = list(world.states())
    assert is_good(world, names)
    clocks[0].ahead_ms = round(step * 1000)
    since, before = world.now, len(world.messages)
    world.run(20)
    assert {name: world.oracle.seen(name, since) for name in names if world.oracle.seen(name, since)} == {}
    assert sum(each["type"] == "order_book_delta" for each in world.messages[before:]) > 500
    world.simulator.faults.start("binance", "silent-venue")
    world.oracle.patience = 8_000
    silent = [name for name in names if name.startswith("binance") and "candle" not in name]
    world.run_until(lambda: all(world.states()[name][0] == "stale" for name in silent), 6)
    world.simulator.faults.stop()
    world.run_until(lambda: is_good(world, names), 20)
    nothing_wrong(world)


@pytest_twisted.ensureDeferred
async def test_over_real_sockets_too_a_dropped_connection_costs_no_truth(
    start: Callable[..., Any], helpers: Any, reactor: Any
) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true", STALE_AFTER_S="2.5")
    record = oracle.Record(running.simulator.truth)
    record.follow(running.simulator.hosts.values())
    judge = oracle.Oracle(record, patience=5_000, last_told=3_000)
    watched = [*channels("binance", "spot"), *channels("bybit", "perpetual")]
    for each in watched:  # noted from now on, not from the first message: that may be late
        record.of(each["exchange"], each["market_type"], each["symbol"])
    client = await running.connect()
    read = 0

    def take() -> None:
        nonlocal read
        now = round(reactor.seconds() * 1000)
        for message in client.messages[read:]:
            judge.take(message, now)
        read = len(client.messages)
        judge.look(now)

    looking = LoopingCall(take)
    looking.clock = reactor
    looking.start(0.05)
    try:
        client.subscribe(*watched)
        await eventually(
            lambda: len(judge.watches) == 12 and all(each.state in oracle.GOOD for each in judge.watches.values())
        )
        dropped = round(reactor.seconds() * 1000)
        running.simulator.faults.start("binance", "drop")
        await eventually(
            lambda: all(
                any(state == "stale" for _, state, _ in judge.seen(name, dropped - 1))
                for name in judge.watches
                if "binance" in name
            )
        )
        await eventually(lambda: all(each.state in oracle.GOOD for each in judge.watches.values()))
        await eventually(lambda: judge.checked["order_book"] > 100)
    finally:
        looking.stop()
    assert not judge.wrong, judge.summary()
    assert running.simulator.ledger.violations == []
