"""Liquidations of perpetuals, from the simulated venues' markets to a client, under one clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import txaio
from attrs import evolve

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import parse_time
from cryptodash.simulator.liquidations import Liquidation, liquidations
from cryptodash.testing.network import MemoryNetwork
from tests.end_to_end import oracle, world

VENUES = ("binance", "bybit")


def channel(exchange: str, **more: Any) -> dict[str, Any]:
    named = {"channel_type": "liquidation", "exchange": exchange, "symbol": "BTC-USDT"}
    return {**named, "market_type": "perpetual", **more}


class Stage:
    """A world whose perpetuals trade a lot, and what was liquidated in them since."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.world = world.World(oracle, network, STALE_AFTER_S="2.5", UPSTREAM_LINGER_S="1")
        self.true: dict[str, list[Liquidation]] = {}
        for venue in VENUES:
            self._follow(venue)

    def _follow(self, venue: str) -> None:
        instrument = self.world.simulator.truth.instrument(venue, MarketType.PERPETUAL, "BTC-USDT")
        instrument.spec = evolve(instrument.spec, trades_per_hour=400_000)
        true = self.true[venue] = []
        step = instrument._step

        def noted(now: int) -> Any:
            changes = step(now)
            true.extend(liquidations(changes.trades))
            return changes

        instrument._step = noted  # type: ignore[method-assign]

    def told(self, venue: str) -> list[dict[str, Any]]:
        payloads = [each["payload"] for each in self.world.messages if each["type"] == "liquidation"]
        return [each for each in payloads if each["exchange"] == venue]

    def statuses(self, venue: str) -> list[tuple[str, str | None]]:
        payloads = [each["payload"] for each in self.world.messages if each["type"] == "status"]
        return [(each["state"], each.get("cause")) for each in payloads if each["channel"]["exchange"] == venue]

    def expected(self, venue: str) -> list[tuple[Any, ...]]:
        instrument = self.world.simulator.truth.instrument(venue, MarketType.PERPETUAL, "BTC-USDT")
        price, size = instrument.spec.price, instrument.spec.size
        true = self.true[venue]
        return [(each.time, "buy" if each.buy else "sell", price(each.price), size(each.size)) for each in true]


def said(payload: dict[str, Any]) -> tuple[Any, ...]:
    return parse_time(payload["timestamp"]), payload["side"], payload["price"], payload["quantity"]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    network = MemoryNetwork()
    monkeypatch.setattr(txaio.config, "loop", network)  # Autobahn's client has timers there
    made = Stage(network)
    yield made
    made.world.stop()
    assert made.world.simulator.ledger.violations == []


def test_all_of_a_venue_that_tells_all_and_a_sample_of_one_that_does_not(stage: Stage) -> None:
    there = stage.world
    there.subscribe(*(channel(venue) for venue in VENUES))
    there.run(1.5)
    for venue in VENUES:
        assert stage.statuses(venue)[-1][0] in ("quiet", "live"), "subscribed"
        stage.true[venue].clear()
    there.messages.clear()
    there.run(30)
    bybit, true = [said(each) for each in stage.told("bybit")], stage.expected("bybit")
    assert len(true) > 50
    assert set(bybit) >= set(true[:-6]), "none is missing but for the last, which are on their way"
    assert not any("complete" in each or "id" in each for each in stage.told("bybit"))
    sample, true = stage.told("binance"), stage.expected("binance")
    assert 20 <= len(sample) <= 31
    assert {said(each) for each in sample[1:]} <= set(true)
    assert all(each["complete"] is False and each["average_price"] == each["price"] for each in sample)
    times = [parse_time(each["received"]) for each in sample]
    assert all(later - earlier >= 950 for earlier, later in pairwise(times))


def test_they_are_sent_once_across_a_lost_connection_and_to_newcomers_again(stage: Stage) -> None:
    there = stage.world
    there.subscribe(channel("bybit"))
    there.run(6)
    there.simulator.faults.start("bybit", "drop")
    there.run(8)
    assert ("stale", "disconnected") in stage.statuses("bybit")
    assert stage.statuses("bybit")[-1] == ("live", None)
    (gap,) = [each["payload"] for each in there.messages if each["type"] == "gap"]
    assert gap["reason"] == "failover" and "missed" not in gap and gap["channel"]["channel_type"] == "liquidation"
    begin, end = parse_time(gap["from"]), parse_time(gap["to"])
    (at,) = [number for number, each in enumerate(there.messages) if each["type"] == "gap"]
    before = [said(each["payload"]) for each in there.messages[:at] if each["type"] == "liquidation"]
    assert before[-1][0] <= begin, "what was told before does not lie in it"
    # What happened in the half second before the new subscription may still come, with its first frame.
    assert all(end - 600 <= time for time, *_ in map(said, stage.told("bybit")) if begin < time < end)
    told = [said(each) for each in stage.told("bybit")]
    assert len(told) == len(set(told)) > 10
    there.messages.clear()
    there.subscribe(channel("bybit"))
    there.run(0.25)
    replayed = [each for each in stage.told("bybit") if each.get("replayed")]
    assert 10 < len(replayed) <= 50
    assert {said(each) for each in replayed} <= set(told)


def test_nothing_for_long_is_quiet_and_no_trouble(stage: Stage) -> None:
    there = stage.world
    there.subscribe({**channel("binance"), "symbol": "LTC-USDT"})
    there.run(60)
    told = stage.statuses("binance")
    assert told[0][0] == "connecting" and {state for state, _ in told[1:]} <= {"quiet", "live"}


def test_on_spot_and_with_a_rate_it_is_refused(stage: Stage) -> None:
    there = stage.world
    there.subscribe(channel("binance", market_type="spot"), channel("binance", max_rate=5))
    there.run(0.25)
    (info,) = [each["payload"] for each in there.messages if "rejected" in each["payload"] and each["type"] == "info"]
    assert [each["code"] for each in info["rejected"]] == ["unsupported_channel", "invalid_max_rate"]
