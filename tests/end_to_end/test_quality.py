"""The ledger over whole servers: each fault of the simulator that something is counted of is told by ``/api/quality``,
of the stream that it happened to and of no other.

Server, venues and client run in memory under one clock (``world.py``); one test asks over a real socket.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_twisted
import txaio
from attrs import field, frozen
from autobahn.twisted.websocket import WebSocketAdapterProtocol  # noqa: F401  (tells txaio that it is Twisted's)

from cryptodash.api.http.quality import listing_quality
from cryptodash.core.steps import outcome_of
from cryptodash.testing.network import MemoryNetwork

FAULTS = (
    *("gaps", "checksum_failures", "crossed", "duplicates", "out_of_order", "implausible", "late"),
    *("missed_trades", "decode_errors", "divergences"),
)


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

SYMBOL = {"binance": "BTC-USDT", "bybit": "BTC-USDT", "okx": "BTC-USDT", "coinbase": "BTC-USD", "kraken": "BTC-USD"}


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch, world_seed: int) -> Iterator[Callable[..., Any]]:
    """A world of one venue whose BTC is subscribed to in every kind, with quotes that ticker and ``bbo`` share."""
    made = []

    def make(exchange: str, **options: Any) -> Any:
        network = MemoryNetwork()
        monkeypatch.setattr(txaio.config, "loop", network)
        settings = {"EXCHANGES": exchange, "STALE_AFTER_S": "2.5", "UPSTREAM_LINGER_S": "1"}
        world = worlds.World(oracle, network, seed=world_seed, known=tuple(SYMBOL), **options, **settings)
        made.append(world)
        place = {"exchange": exchange, "market_type": "spot", "symbol": SYMBOL[exchange]}
        details: dict[str, dict[str, Any]] = {"order_book": {"depth": 10}, "candle": {"interval": "1m"}}
        kinds = ("ticker", "bbo", "trade", "order_book", "candle")
        world.subscribe(*({"channel_type": kind, **place, **details.get(kind, {})} for kind in kinds))
        world.run(6.5)
        return world

    yield make
    for world in made:
        world.stop()


def asked(world: Any) -> Any:
    """The body of ``/api/quality``."""
    stored = outcome_of(listing_quality(world.server.hub.ledger, world.network, None))
    return json.loads(stored.body)


def told(document: Any, member: str) -> int:
    """What the venues' totals say, which are the sum of what the streams say and of what none can be blamed for."""
    total = sum(each["since_start"][member] for each in document["exchanges"])
    assert sum(each["since_start"][member] for each in document["streams"]) <= total
    return total


def test_in_calm_nothing_is_counted_and_all_time_is_live(make_world: Callable[..., Any]) -> None:
    world = make_world("binance")
    before = asked(world)
    world.run(20)
    after = asked(world)
    assert {member: told(after, member) for member in FAULTS} == dict.fromkeys(FAULTS, 0)
    grown = {
        each["name"]: each["since_start"]["observed_ms"] - was["since_start"]["observed_ms"]
        for each, was in zip(after["streams"], before["streams"], strict=True)
    }
    assert set(grown.values()) == {20_000}
    assert [each["name"] for each in after["streams"] if each["state"] not in ("live", "quiet")] == []
    timed = [each for each in after["streams"] if "delay_p50_ms" in each["last_1h"]]
    assert timed and all(each["last_1h"]["delay_p99_ms"] <= 200 for each in timed)
    assert not any("degraded" in each for each in after["streams"])


@frozen
class Case:
    """A fault at a venue, and what it must add to at least, and by what it must not. ``degraded``: some stream is."""

    exchange: str
    fault: str
    seconds: float
    counted: tuple[str, ...]
    options: Mapping[str, float] = field(factory=dict)
    on_symbol: bool = True
    shares: tuple[str, ...] = ()
    degraded: str | None = None


CASES = (
    Case("binance", "skip", 1, ("gaps", "resyncs")),
    Case("bybit", "skip", 1, ("gaps", "resyncs")),
    Case("okx", "skip", 1, ("gaps", "resyncs")),
    Case("coinbase", "skip", 1, ("gaps",)),
    Case("kraken", "reorder", 4, ("checksum_failures", "resyncs")),
    Case("binance", "duplicate", 3, ("duplicates",)),
    Case("bybit", "duplicate", 3, ("duplicates",)),
    Case("okx", "duplicate", 3, ("duplicates",)),
    Case("kraken", "duplicate", 3, ("duplicates",)),
    Case("binance", "reorder", 3, ("out_of_order", "gaps")),
    Case("bybit", "reorder", 3, ("gaps",)),
    Case("okx", "reorder", 3, ("out_of_order", "gaps")),
    Case("binance", "crossed", 2, ("crossed", "crossed_ms", "resyncs"), shares=("resyncing",)),
    Case("bybit", "crossed", 2, ("crossed", "crossed_ms", "resyncs"), shares=("resyncing",)),
    Case("binance", "garbage", 1, ("decode_errors",)),
    Case("kraken", "garbage", 1, ("decode_errors",)),
    Case("binance", "future-id", 6, ("implausible",)),
    Case("bybit", "future-time", 6, ("implausible",)),
    Case("binance", "slow", 8, ("late",), {"delay": 3.0}, on_symbol=False, shares=("stale",)),
    Case("binance", "silent", 6, (), shares=("stale",)),
    Case("binance", "silent-venue", 6, (), on_symbol=False, shares=("stale",)),
    Case("binance", "half-open", 1, ("missed_trades", "gaps"), on_symbol=False, shares=("stale",)),
    Case("binance", "maintenance", 4, ("missed_trades", "gaps"), on_symbol=False, shares=("stale",)),
    Case("bybit", "maintenance", 4, ("gaps",), on_symbol=False, shares=("stale",), degraded="trades_unproven"),
)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.exchange}-{case.fault}")
def test_each_fault_is_in_the_ledger(make_world: Callable[..., Any], case: Case) -> None:
    world = make_world(case.exchange)
    before = asked(world)
    symbol = SYMBOL[case.exchange] if case.on_symbol else None
    world.simulator.faults.start(case.exchange, case.fault, symbol, case.seconds, **case.options)
    world.run(case.seconds + 14)
    after = asked(world)
    missing = [each for each in case.counted if told(after, each) <= told(before, each)]
    assert not missing, {each: told(after, each) for each in (*FAULTS, "resyncs", "crossed_ms")}
    for word in case.shares:
        assert any(each["last_1h"]["share"][word] > 0 for each in after["streams"]), word
        assert any(run["state"] == word for each in after["streams"] for run in each["history"])
    if case.degraded is not None:
        assert case.degraded in [each.get("degraded") for each in after["streams"]]


def test_an_unhurt_stream_stays_unhurt_while_another_is(make_world: Callable[..., Any]) -> None:
    world = make_world("binance")
    place = {"exchange": "binance", "market_type": "spot", "symbol": "ETH-USDT"}
    world.subscribe({"channel_type": "order_book", **place, "depth": 10}, {"channel_type": "trade", **place})
    world.run(5)
    world.simulator.faults.start("binance", "skip", "BTC-USDT", 1)
    world.simulator.faults.start("binance", "duplicate", "BTC-USDT", 2)
    world.run(8)
    document = asked(world)
    assert told(document, "gaps") and told(document, "duplicates")
    unhurt = [each for each in document["streams"] if "eth" in each["name"]]
    assert len(unhurt) == 2
    for each in unhurt:
        assert {member: each["since_start"][member] for member in FAULTS} == dict.fromkeys(FAULTS, 0), each["name"]


class OwnClock:
    """The server's clock: that of the network, until the machine sleeps or somebody sets it."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self.slept = self.set_by = 0.0

    def monotonic(self) -> float:
        return self._network.monotonic() + self.slept

    def wall_ms(self) -> int:
        return self._network.wall_ms() + round((self.slept + self.set_by) * 1000)


def observed(world: Any) -> dict[str, int]:
    return {each["name"]: each["since_start"]["observed_ms"] for each in asked(world)["streams"]}


@pytest.mark.parametrize(("slept", "set_by"), [(1_200.0, 0.0), (0.0, 7_200.0), (0.0, -7_200.0)])
def test_a_machine_that_slept_or_was_set_distorts_no_share(
    make_world: Callable[..., Any], slept: float, set_by: float
) -> None:
    clocks: list[OwnClock] = []

    def own(network: MemoryNetwork) -> OwnClock:
        clocks.append(OwnClock(network))
        return clocks[0]

    world = make_world("binance", clock=own)
    before = observed(world)
    clocks[0].slept, clocks[0].set_by = slept, set_by
    world.run(5)
    after = observed(world)
    grown = {name: ms - before[name] for name, ms in after.items() if name in before}
    assert grown and all(4_000 <= each <= 5_000 for each in grown.values())  # less what passed around the sleep
    histories = [each["history"] for each in asked(world)["streams"]]
    if slept:  # the hole is no run
        assert any(one["to"] != then["from"] for runs in histories for one, then in pairwise(runs))
    else:
        assert all(one["to"] == then["from"] for runs in histories for one, then in pairwise(runs))


@pytest_twisted.ensureDeferred
async def test_the_answer_over_a_socket(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", EXCHANGES="binance,bybit")
    client = await running.connect()
    client.say({"op": "subscribe", "channels": [channel("ticker"), channel("trade", "bybit")]})
    await eventually(lambda: {"ticker", "trade"} <= {each["type"] for each in client.messages})
    document = await running.json("/api/quality")
    assert {each["exchange"] for each in document["streams"]} == {"binance", "bybit"}
    only = await running.json("/api/quality?exchange=bybit")
    assert {each["exchange"] for each in [*only["streams"], *only["exchanges"]]} == {"bybit"}
    assert all(each["in_use"] and each["history"][-1]["state"] in ("live", "quiet") for each in only["streams"])
    listed = (await running.json("/api/streams"))["streams"]
    known = {(each["exchange"], each["endpoint"], each["name"]) for each in document["streams"]}
    assert {(each["exchange"], each["endpoint"], each["name"]) for each in listed} <= known
    unknown = await running.get("/api/quality?exchange=nasdaq")
    assert unknown.code == 404 and b"unknown_exchange" in unknown.body
    metrics = (await running.get("/metrics")).body.decode()
    assert 'cryptodash_stream_state_seconds{exchange="bybit",state="live"}' in metrics
    assert 'cryptodash_streams_degraded{exchange="bybit"} 0' in metrics
