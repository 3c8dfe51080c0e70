"""The composite market of five simulated venues: the whole server, under one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import txaio

from cryptodash.testing.network import MemoryNetwork
from tests.end_to_end import oracle, world

FIVE = ("binance", "bybit", "okx", "coinbase", "kraken")


def channel(kind: str, exchange: str = "composite", **more: Any) -> dict[str, Any]:
    return {"channel_type": kind, "exchange": exchange, "symbol": "BTC-USDT", **more}


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., world.World]]:
    made: list[world.World] = []

    def make(**settings: Any) -> world.World:
        network = MemoryNetwork()
        monkeypatch.setattr(txaio.config, "loop", network)  # Autobahn's client has timers there
        made.append(world.World(oracle, network, **{"EXCHANGES": ",".join(FIVE), **settings}))
        return made[0]

    yield make
    for each in made:
        each.stop()
        assert each.simulator.ledger.violations == []
        assert not each.oracle.wrong, each.oracle.summary()


@pytest.fixture
def there(make: Callable[..., world.World]) -> world.World:
    return make()


def told(there: world.World, kind: str, exchange: str = "composite") -> list[dict[str, Any]]:
    return [
        each["payload"]
        for each in there.messages
        if each["type"] == kind and each["payload"].get("exchange") == exchange
    ]


def statuses(there: world.World, kind: str = "bbo") -> list[tuple[str, str | None]]:
    """(state, cause) of the composite's statuses, in order."""
    return [
        (each["payload"]["state"], each["payload"].get("cause"))
        for each in there.messages
        if each["type"] == "status"
        and each["payload"]["channel"]["exchange"] == "composite"
        and each["payload"]["channel"]["channel_type"] == kind
    ]


def test_the_best_of_five_venues_is_told(there: world.World) -> None:
    there.subscribe(channel("bbo"))
    there.run(8)
    quotes = told(there, "bbo")
    assert len(quotes) > 20
    last = quotes[-1]
    assert set(last["venues"]) == set(FIVE)
    assert last["excluded"] == []
    assert statuses(there)[0] == ("connecting", None)
    assert statuses(there)[-1] == ("live", None)
    for quote in quotes:
        check(quote)


def check(quote: dict[str, Any]) -> None:
    """The best is the best of what the venues put in."""
    venues = quote["venues"]
    if not venues:
        assert "bid" not in quote
        return
    bids = {name: Decimal(each["bid"]) for name, each in venues.items()}
    asks = {name: Decimal(each["ask"]) for name, each in venues.items()}
    assert Decimal(quote["bid"]) == max(bids.values()) == bids[quote["bid_exchange"]]
    assert Decimal(quote["ask"]) == min(asks.values()) == asks[quote["ask_exchange"]]
    assert Decimal(quote["spread"]) == Decimal(quote["ask"]) - Decimal(quote["bid"])
    assert ("crossed_bps" in quote) == ("crossed_size" in quote) == (Decimal(quote["spread"]) <= 0)
    assert not set(venues) & {each["exchange"] for each in quote["excluded"]}
