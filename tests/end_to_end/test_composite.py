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


@pytest.fixture
def there(make: Callable[..., world.World]) -> world.World:
    return make()


class Follower:
    """Compares every composite best bid and offer with what its venues' markets were like, and with what the client is
    told of each venue: none is in it that is not good."""

    def __init__(self, there: world.World) -> None:
        self._there = there
        self.venue_states: dict[str, tuple[str, str | None]] = {}
        self.oldest_ms = 0
        """The age of the oldest quote that was shown."""
        self.shown: dict[str, Any] = {"venues": {}, "excluded": []}
        self.causes: dict[str, list[str]] = {}
        """By venue the causes for which it was excluded, in order, without repeats."""
        self.states: list[tuple[str, str | None]] = []
        """Of the composite itself."""
        self.checked = 0

    def run(self, seconds: float) -> None:
        """Let time pass, and look at all that comes."""
        for _ in range(round(seconds / world.STEP)):
            self._there.run(world.STEP)
            messages, self._there.messages = self._there.messages, []
            for each in messages:
                self._take(each["type"], each["payload"])
            for exchange in self.shown["venues"]:
                state = self.venue_states.get(exchange)
                assert state is None or state[0] in ("live", "quiet"), f"{exchange} is {state} and in the composite"

    def _take(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "status":
            exchange, state = payload["channel"]["exchange"], (payload["state"], payload.get("cause"))
            if exchange == "composite":
                self.states.append(state)
            else:
                self.venue_states[exchange] = state
        elif kind == "bbo" and payload["exchange"] == "composite":
            self.check([payload])
            self.shown = payload
            for each in payload["excluded"]:
                told = self.causes.setdefault(each["exchange"], [])
                cause = each.get("cause", each["state"])
                if told[-1:] != [cause]:
                    told.append(cause)

    def check(self, quotes: list[dict[str, Any]]) -> None:
        """The best is the best of what the venues put in, and each of these was so at its venue."""
        for quote in quotes:
            venues = quote["venues"]
            assert not set(venues) & {each["exchange"] for each in quote["excluded"]}
            if not venues:
                assert "bid" not in quote
                continue
            bids = {name: Decimal(each["bid"]) for name, each in venues.items()}
            asks = {name: Decimal(each["ask"]) for name, each in venues.items()}
            assert Decimal(quote["bid"]) == max(bids.values()) == bids[quote["bid_exchange"]]
            assert Decimal(quote["ask"]) == min(asks.values()) == asks[quote["ask_exchange"]]
            assert Decimal(quote["spread"]) == Decimal(quote["ask"]) - Decimal(quote["bid"])
            assert ("crossed_bps" in quote) == ("crossed_size" in quote) == (Decimal(quote["spread"]) <= 0)
            for name, each in venues.items():
                self._check_truth(name, each)

    def _check_truth(self, exchange: str, said: dict[str, str]) -> None:
        past = self._there.record.of(exchange, "spot", "BTC-USDT")
        spec, now = past.instrument.spec, self._there.now
        pair = tuple(Decimal(said[name]) for name in ("bid", "ask", "bid_size", "ask_size"))
        for index in range(len(past.tops) - 1, -1, -1):
            top = past.tops[index][1]
            true = (spec.price(top.bid), spec.price(top.ask), spec.size(top.bid_size), spec.size(top.ask_size))
            if tuple(map(Decimal, true)) == pair:
                replaced = past.tops[index + 1][0] if index + 1 < len(past.tops) else now
                self.oldest_ms = max(self.oldest_ms, now - replaced)
                self.checked += 1
                return
        raise AssertionError(f"{exchange} never had {pair}")


def begun(there: world.World) -> Follower:
    """A client of the composite and of each of its parts, after all have begun."""
    follower = Follower(there)
    for name in FIVE:
        there.record.of(name, "spot", "BTC-USDT")
    there.subscribe(channel("bbo"), *(channel("bbo", name) for name in FIVE))
    follower.run(8)
    assert set(follower.shown["venues"]) == set(FIVE)
    assert follower.states == [("connecting", None), ("live", None)]
    follower.causes.clear()
    follower.oldest_ms = 0
    return follower


def test_no_quote_is_old_and_nobody_is_left_out_while_all_is_well(there: world.World) -> None:
    follower = begun(there)
    follower.run(30)
    assert follower.causes == {}
    assert follower.checked > 500
    assert follower.oldest_ms < 500


FAULTS = [
    ("binance", "drop", {}, {"disconnected"}),
    ("okx", "drop", {}, {"disconnected"}),
    ("kraken", "silent-venue", {"seconds": 20}, {"late"}),
    ("coinbase", "half-open", {}, {"late"}),
    ("bybit", "silent", {"symbol": "BTC-USDT", "seconds": 20}, {"silent"}),
    ("okx", "slow", {"seconds": 20, "delay": 6.0}, {"late"}),
    ("coinbase", "maintenance", {"seconds": 8}, {"disconnected", "maintenance"}),
    ("binance", "crossed", {"symbol": "BTC-USDT", "seconds": 4}, {"crossed"}),
    ("bybit", "delist", {"symbol": "BTC-USDT", "seconds": 30}, {"silent", "delisted", "halted"}),
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "fault", "how", "causes"), FAULTS, ids=[f"{row[0]} {row[1]}" for row in FAULTS])
def test_a_venue_in_trouble_leaves_with_its_cause_and_comes_back(
    there: world.World, exchange: str, fault: str, how: dict[str, Any], causes: set[str]
) -> None:
    follower = begun(there)
    there.simulator.faults.start(exchange, fault, **how)
    follower.run(20)
    assert set(follower.causes.pop(exchange)) & causes
    assert follower.causes == {}, "the others stay"
    follower.run(60)
    assert exchange in follower.shown["venues"], "it is back"
    assert follower.oldest_ms < 3_000, "and never was an old quote of it among the others"
    assert follower.states[2:] == [], "the whole is live all the time"


class Books:
    """What a client holds of the composite's book and of its parts, applying every message as documented."""

    def __init__(self, there: world.World, depth: int) -> None:
        self._there = there
        self._depth = depth
        self.sides: dict[str, dict[str, dict[Decimal, Any]]] = {}
        self.sequences: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self.causes: dict[str, set[str]] = {}
        self.late: set[str] = set()
        """Whose books are too old to be compared: no status of their own says so."""
        self.recent: list[dict[str, list[tuple[Decimal, Any]]]] = []
        """Merges of the parts at the last steps."""

    def run(self, seconds: float) -> None:
        """Let time pass; at each step the merged book is that of the parts at one of the last steps."""
        for _ in range(round(seconds / world.STEP)):
            self._there.run(world.STEP)
            messages, self._there.messages = self._there.messages, []
            for each in messages:
                self._take(each["type"], each["payload"])
            self.recent = [*self.recent[-6:], self._merged()]
            if "composite" in self.sides:
                assert self._shown() in self.recent

    def _take(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "status":
            self.states[payload["channel"]["exchange"]] = payload["state"]
            return
        if not kind.startswith("order_book"):
            return
        exchange = payload["exchange"]
        value = self._venues if exchange == "composite" else lambda each: Decimal(each["quantity"])
        if kind == "order_book_snapshot":
            self.sides[exchange] = {
                side: {Decimal(each["price"]): value(each) for each in payload[side]} for side in ("bids", "asks")
            }
        else:
            assert payload["sequence"] == self.sequences[exchange] + 1
            for side, held in self.sides[exchange].items():
                held.update({Decimal(each["price"]): value(each) for each in payload[f"{side}_upserts"]})
                for price in payload["deletes"][side]:
                    del held[Decimal(price)]
        self.sequences[exchange] = payload["sequence"]
        if exchange == "composite":
            self.late = {each["exchange"] for each in payload["excluded"] if each.get("cause") == "late"}
        for each in payload.get("excluded", ()):
            self.causes.setdefault(each["exchange"], set()).add(each.get("cause", each["state"]))

    def _venues(self, level: dict[str, Any]) -> dict[str, Decimal]:
        shares = {name: Decimal(size) for name, size in level["venues"].items()}
        assert Decimal(level["quantity"]) == sum(shares.values())
        return shares

    def _merged(self) -> dict[str, list[tuple[Decimal, Any]]]:
        found: dict[str, list[tuple[Decimal, Any]]] = {}
        for side, reverse in (("bids", True), ("asks", False)):
            merged: dict[Decimal, dict[str, Decimal]] = {}
            for name in FIVE:
                if self.states.get(name) in ("live", "quiet") and name not in self.late:
                    for price, size in self.sides[name][side].items():
                        merged.setdefault(price, {})[name] = size
            found[side] = sorted(merged.items(), reverse=reverse)[: self._depth]
        return found

    def _shown(self) -> dict[str, list[tuple[Decimal, Any]]]:
        sides = self.sides["composite"]
        return {"bids": sorted(sides["bids"].items(), reverse=True), "asks": sorted(sides["asks"].items())}


def test_a_client_that_applies_deltas_holds_the_merge_of_the_parts_through_gaps_and_losses(there: world.World) -> None:
    books = Books(there, 10)
    there.subscribe(channel("order_book", depth=10), *(channel("order_book", name, depth=10) for name in FIVE))
    books.run(8)
    assert {each for levels in books.sides["composite"]["bids"].values() for each in levels} >= {"binance", "bybit"}
    books.causes.clear()
    there.simulator.faults.start("binance", "skip", "BTC-USDT", 4)
    books.run(8)
    there.simulator.faults.start("bybit", "drop")
    books.run(8)
    there.simulator.faults.start("okx", "silent-venue", seconds=5)
    books.run(15)
    assert books.causes["binance"] == {"gap"}
    assert books.causes["bybit"] <= {"disconnected", "gap"}
    assert "late" in books.causes["okx"]
    assert set(books.states.values()) == {"live"}
    assert books.sequences["composite"] > 200


TROUBLES = [
    (20, "binance", "skip", {"symbol": "BTC-USDT", "seconds": 5}),
    (50, "okx", "slow", {"seconds": 15, "delay": 4.0}),
    (60, "kraken", "drop", {}),
    (110, "okx", "maintenance", {"seconds": 10}),
    (140, "binance", "silent", {"symbol": "BTC-USDT", "seconds": 20}),
    (150, "kraken", "silent-venue", {"seconds": 20}),
    (200, "okx", "crossed", {"symbol": "BTC-USDT", "seconds": 10}),
    (205, "kraken", "garbage", {"seconds": 20}),
    (250, "binance", "half-open", {}),
    (300, "okx", "half-open", {}),
    (301, "kraken", "slow", {"seconds": 20, "delay": 8.0}),
    (360, "binance", "future-id", {"symbol": "BTC-USDT", "seconds": 10}),
    (400, "kraken", "clock", {"step": -30.0, "seconds": 30}),
    (450, "okx", "drop", {}),
    (451, "binance", "drop", {}),
    (452, "kraken", "drop", {}),
    (500, "binance", "slow", {"seconds": 10, "delay": 3.0}),
    (540, "okx", "reorder", {"symbol": "BTC-USDT", "seconds": 10}),
]


def test_ten_minutes_with_faults_on_three_venues_show_no_old_quote(there: world.World, long: bool) -> None:
    follower = begun(there)
    minutes, past = 10 if long else 3, 0
    for at, exchange, fault, how in TROUBLES:
        if at < 60 * minutes:
            follower.run(at - past)
            past = at
            there.simulator.faults.start(exchange, fault, **how)
    follower.run(60 * minutes + 60 - past)
    assert set(follower.shown["venues"]) == set(FIVE)
    assert set(follower.causes) == {"binance", "okx", "kraken"}, "the others were never left out"
    assert follower.states[2:] == [], "the whole is live all the time"
    assert follower.oldest_ms < 3_000
    assert follower.checked > 1_000 * minutes
