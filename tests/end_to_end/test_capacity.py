"""What a client may open at a venue, on the whole server and the simulated venues, under one clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import txaio

from cryptodash.testing.network import MemoryNetwork
from tests.end_to_end import oracle, world

BASES = ["BTC", "ETH", "BNB", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT", "TRX", "SUI", "BCH", "NEAR"]


def channel(kind: str, base: str, **detail: Any) -> dict[str, Any]:
    return {"channel_type": kind, "exchange": "binance", "symbol": f"{base}-USDT", **detail}


def book(base: str) -> dict[str, Any]:
    return channel("order_book", base, depth=20)


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., world.World]]:
    made = []

    def make(**settings: str) -> world.World:
        network = MemoryNetwork()
        monkeypatch.setattr(txaio.config, "loop", network)  # Autobahn's client has timers there
        made.append(world.World(oracle, network, EXCHANGES="binance", **settings))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def states(seen: list[dict[str, Any]], base: str) -> list[tuple[str, str | None]]:
    """What a client was told of a symbol's freshness, in order."""
    told = [each["payload"] for each in seen if each["type"] == "status"]
    return [(each["state"], each.get("cause")) for each in told if each["channel"]["symbol"]["base"] == base]


def test_what_has_no_room_says_capacity_and_goes_live_once_there_is(make_world: Callable[..., world.World]) -> None:
    there = make_world(MAX_UPSTREAM_STREAMS="5", UPSTREAM_LINGER_S="3")
    there.subscribe(channel("ticker", "BTC"), channel("ticker", "ETH"), channel("trade", "BTC"))
    there.run(5)
    assert states(there.messages, "ETH") == [("connecting", "capacity")]
    assert ("live", None) in states(there.messages, "BTC")
    assert not [each for each in there.messages if each["type"] == "error"]
    assert not there.oracle.wrong, there.oracle.summary()
    there.messages.clear()
    there.client.say({"op": "unsubscribe", "channels": [channel("ticker", "BTC")]})
    there.run(2)
    assert states(there.messages, "ETH") == []
    there.run(5)
    assert states(there.messages, "ETH") == [("connecting", None), ("live", None)]


def test_books_taken_and_dropped_keep_no_frame_and_hold_up_no_other(make_world: Callable[..., world.World]) -> None:
    there = make_world()
    there.network.latency = 0.5  # snapshots take longer than the client keeps the books
    books = [book(base) for base in BASES]
    there.subscribe(*books)
    there.run(2.5)
    there.client.say({"op": "unsubscribe", "channels": books})
    there.run(1)
    assert there.server.hub.upstreams["binance"]._engine.pending_diffs == 0
    there.messages.clear()
    there.subscribe(book("NEAR"))
    there.run(4)
    assert states(there.messages, "NEAR")[-1] == ("live", None)
    assert there.simulator.ledger.violations == []
