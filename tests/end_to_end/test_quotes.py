"""Best bid and offer without the rest of a ticker: the whole server and the simulated venues, under one clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import txaio

from cryptodash.testing.network import MemoryNetwork
from tests.end_to_end import oracle, world

PLACES = [("binance", "spot"), ("binance", "perpetual"), ("bybit", "spot"), ("bybit", "perpetual")]


def channel(kind: str, exchange: str, market: str, **more: Any) -> dict[str, Any]:
    return {"channel_type": kind, "exchange": exchange, "market_type": market, "symbol": "BTC-USDT", **more}


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[world.World]:
    network = MemoryNetwork()
    monkeypatch.setattr(txaio.config, "loop", network)  # Autobahn's client has timers there
    made = world.World(oracle, network, STALE_AFTER_S="2.5")
    yield made
    made.stop()
    assert made.simulator.ledger.violations == []
    assert not made.oracle.wrong, made.oracle.summary()


def streams(there: world.World) -> set[tuple[str, str]]:
    """(venue, stream) of all that is open upstream."""
    ways = there.server.hub.stream_reports()
    return {(each.exchange, each.name) for some in ways for each in some}


def told(there: world.World, *name: str) -> list[dict[str, Any]]:
    return [
        each["payload"]
        for each in there.messages
        if each["type"] == "bbo" and (each["payload"]["exchange"], each["payload"]["market_type"]) == name
    ]


def test_every_change_of_the_best_levels_comes_with_nothing_else(there: world.World) -> None:
    there.subscribe(*(channel("bbo", *place) for place in PLACES))
    there.run(8)
    assert {state for state, _ in there.states().values()} == {"live"}
    for place in PLACES:
        assert len(told(there, *place)) > 5, place
    assert there.oracle.checked["bbo"] > 100
    assert streams(there) == {
        ("binance", "btcusdt@bookTicker"),
        ("bybit", "orderbook.1.BTCUSDT"),
    }, "the quotes of each market, under the same names, and no 24 h figures"


def test_a_client_that_wants_the_ticker_as_well_pays_the_quotes_once(there: world.World) -> None:
    there.subscribe(*(channel("ticker", *place) for place in PLACES))
    there.run(6)
    before = streams(there)
    there.messages.clear()
    there.subscribe(*(channel("bbo", *place) for place in PLACES))
    there.run(4)
    assert streams(there) == before
    for place in PLACES:
        assert len(told(there, *place)) > 3, place


def test_max_rate_gives_the_newest_of_each_interval(there: world.World) -> None:
    there.subscribe(channel("bbo", "binance", "spot", max_rate=2))
    there.run(10)
    assert 5 <= len(told(there, "binance", "spot")) <= 22


def test_crossed_quotes_are_not_shown_and_the_state_says_so(there: world.World) -> None:
    wanted = channel("bbo", "binance", "perpetual")
    there.subscribe(wanted)
    there.run(6)
    begun = there.now
    there.simulator.faults.start("binance", "crossed", "BTC-USDT", 3)
    there.run(8)
    name = "binance:perpetual:BTC-USDT:bbo"
    assert [(state, cause) for _, state, cause in there.oracle.seen(name, begun)][:2] == [
        ("stale", "crossed"),
        ("live", ""),
    ]
    statuses = [each["payload"] for each in there.messages if each["type"] == "status"]
    assert all("fields" not in each for each in statuses), "it has no parts"


def test_a_lost_connection_makes_it_stale_until_a_quote_comes(there: world.World) -> None:
    there.subscribe(channel("bbo", "bybit", "spot"))
    there.run(6)
    begun = there.now
    there.simulator.faults.start("bybit", "drop")
    there.run(12)
    seen = there.oracle.seen("bybit:spot:BTC-USDT:bbo", begun)
    assert [(state, cause) for _, state, cause in seen] == [("stale", "disconnected"), ("live", "")]


def test_a_funding_rate_says_for_how_many_hours_it_is(there: world.World) -> None:
    there.subscribe(channel("ticker", "binance", "perpetual"), channel("ticker", "bybit", "perpetual"))
    there.run(6)
    there.subscribe({**channel("ticker", "binance", "perpetual"), "symbol": "ETH-USDT"})
    there.run(4)
    last = {
        (each["payload"]["exchange"], each["payload"]["symbol"]["base"]): each["payload"]
        for each in there.messages
        if each["type"] == "ticker"
    }
    assert sorted(last) == [("binance", "BTC"), ("binance", "ETH"), ("bybit", "BTC")]
    assert all(each["funding_interval_h"] == 8 and "funding_rate" in each for each in last.values())
