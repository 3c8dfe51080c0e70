"""What a venue lists, delists and renames while the server runs: the whole server and the simulated venues under one
clock. The catalogue is read every ten seconds here."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import txaio
from twisted.logger import capturedLogs, formatEvent

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.testing.network import MemoryNetwork
from tests.end_to_end import world

EVERY = 10.0
WITHIN = EVERY * 1.05 + 2.0
PLACES = [
    ("binance", "spot", "USDT"),
    ("binance", "perpetual", "USDT"),
    ("bybit", "spot", "USDT"),
    ("bybit", "perpetual", "USDT"),
    ("okx", "spot", "USDT"),
    ("okx", "perpetual", "USDT"),
    ("coinbase", "spot", "USD"),
    ("kraken", "spot", "USD"),
]
KINDS = ("ticker", "trade", "order_book")


def channels(exchange: str, market: str, symbol: str, *kinds: str) -> list[dict[str, Any]]:
    named = {"exchange": exchange, "market_type": market, "symbol": symbol}
    return [{"channel_type": kind, **named} for kind in kinds or KINDS]


class Record:
    """Of nothing: the oracle knows two venues, and what they list at the start. Here only states matter."""

    def __init__(self, truth: object) -> None:
        pass

    def follow(self, hosts: object) -> None:
        pass

    def look(self) -> None:
        pass


class Oracle:
    """Judges nothing."""

    def __init__(self, record: Record) -> None:
        pass

    def take(self, message: object, now: int) -> None:
        pass

    def look(self, now: int) -> None:
        pass

    def states(self) -> dict[str, tuple[str, str]]:
        return {}


UNJUDGED: Any = SimpleNamespace(Record=Record, Oracle=Oracle)


class Stage:
    def __init__(self, network: MemoryNetwork) -> None:
        settings = {"STALE_AFTER_S": "2.5", "CATALOGUE_REFRESH_S": str(EVERY)}
        self.world = world.World(UNJUDGED, network, EXCHANGES="binance,bybit,okx,coinbase,kraken", **settings)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each["payload"] for each in self.world.messages if each["type"] == kind]

    def statuses(self, symbol: str, kind: str | None = None) -> list[dict[str, Any]]:
        base, _, quote = symbol.rpartition("-")
        name = {"base": base, "quote": quote}
        found = [each for each in self.of("status") if each["channel"]["symbol"] == name]
        return [each for each in found if kind in (None, each["channel"]["channel_type"])]

    def last(self, symbol: str, kind: str) -> tuple[str, str | None]:
        last = self.statuses(symbol, kind)[-1]
        return last["state"], last.get("cause")

    def is_live(self, symbol: str, *kinds: str) -> bool:
        told = {each["channel"]["channel_type"] for each in self.statuses(symbol)}
        return set(kinds) <= told and all(self.last(symbol, kind)[0] in ("live", "quiet") for kind in kinds)

    def changes(self, *labels: str) -> int:
        upstream: Any = self.world.server.hub.upstreams[labels[0]]
        return int(upstream._changes._changes.values.get(labels, 0))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    network = MemoryNetwork()
    monkeypatch.setattr(txaio.config, "loop", network)  # Autobahn's client has timers there
    made = Stage(network)
    yield made
    made.world.stop()
    assert made.world.simulator.ledger.violations == []


@pytest.mark.parametrize("base", ["NEW", "币安"])
def test_what_is_listed_can_be_had_without_a_restart_and_closes_when_it_goes(stage: Stage, base: str) -> None:
    there = stage.world
    for exchange, market, quote in PLACES:
        there.subscribe(*channels(exchange, market, f"{base}-{quote}", "ticker"))
    there.run(1)
    assert {each["code"] for each in stage.of("error")} == {"unknown_symbol"}
    assert len(stage.of("error")) == len(PLACES)
    for exchange, market, quote in PLACES:
        there.simulator.faults.start(exchange, "list", f"{base}-{quote}", 40, market)
    there.run(WITHIN)
    for exchange, market, _ in PLACES:
        assert stage.changes(exchange, market, "added") == 1, (exchange, market)
    there.messages.clear()
    for exchange, market, quote in PLACES:
        there.subscribe(*channels(exchange, market, f"{base}-{quote}", "ticker", "order_book"))
    there.run(12)
    assert stage.of("error") == []
    for exchange, market, _ in PLACES:
        own = [each for each in stage.of("status") if each["channel"]["exchange"] == exchange]
        own = [each for each in own if each["channel"]["market_type"] == market]
        last = {each["channel"]["channel_type"]: (each["state"], each.get("cause")) for each in own}
        assert {state for state, _ in last.values()} <= {"live", "quiet"} and len(last) == 2, (exchange, market, last)
    there.run(20 + WITHIN)
    for exchange, market, _ in PLACES:
        own = [each for each in stage.of("status") if each["channel"]["exchange"] == exchange]
        own = [each for each in own if each["channel"]["market_type"] == market]
        last = {each["channel"]["channel_type"]: (each["state"], each.get("cause")) for each in own}
        assert last == dict.fromkeys(("ticker", "order_book"), ("closed", "delisted")), (exchange, market)
        assert stage.changes(exchange, market, "removed") == 1


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("exchange", "market", "quote"), PLACES)
def test_what_is_delisted_closes_with_its_cause_and_comes_back_when_it_is_listed_again(
    stage: Stage, exchange: str, market: str, quote: str
) -> None:
    there, symbol = stage.world, f"SOL-{quote}"
    there.subscribe(*channels(exchange, market, symbol))
    there.run_until(lambda: stage.is_live(symbol, *KINDS), 20)
    there.simulator.faults.start(exchange, "delist", symbol, 30, market)
    there.run(WITHIN)
    closed = ("closed", "delisted")
    halted = ("stale", "halted")
    gone = {stage.last(symbol, kind) for kind in KINDS}
    assert gone in ({closed}, {halted}), gone
    assert gone == ({halted} if exchange == "binance" or exchange == "okx" else {closed}), "as its catalogue says"
    there.run(30)
    there.run_until(lambda: stage.is_live(symbol, *KINDS), 90)


def test_what_is_renamed_says_how_it_is_called_now(stage: Stage) -> None:
    """OKX: most old subscriptions fall silent, that of the book goes on under the old name."""
    there, old, new = stage.world, "SOL-USDT", "LUNAR-USDT"
    there.subscribe(*channels("okx", "perpetual", old))
    there.run_until(lambda: stage.is_live(old, *KINDS), 20)
    there.simulator.faults.start("okx", "rename", old, 60, "perpetual", to="LUNAR")
    there.run(WITHIN)
    for kind in KINDS:
        said = stage.statuses(old, kind)[-1]
        assert (said["state"], said["cause"]) == ("closed", "delisted"), kind
        assert said["renamed_to"] == {"base": "LUNAR", "quote": "USDT"}
    assert stage.changes("okx", "perpetual", "renamed") == 1
    assert stage.changes("okx", "perpetual", "removed") == 0
    there.messages.clear()
    there.subscribe(*channels("okx", "perpetual", old, "bbo"))
    there.subscribe(*channels("okx", "perpetual", new))
    there.run(1)
    (error,) = stage.of("error")
    assert error["code"] == "unknown_symbol"
    assert "LUNAR-USDT" in error["message"]
    there.run_until(lambda: stage.is_live(new, *KINDS), 20)
    there.run(50 + WITHIN)
    said = stage.statuses(new, "ticker")[-1]
    assert (said["state"], said.get("renamed_to")) == ("closed", {"base": "SOL", "quote": "USDT"})


# -- contracts of a wrong size

SWAP, SWAP_NATIVE = ("okx", "perpetual", "SOL-USDT"), "SOL-USDT-SWAP"


def swap(stage: Stage) -> Instrument | None:
    """What the server knows of it."""
    upstream: Any = stage.world.server.hub.upstreams["okx"]
    found: Instrument | None = upstream.catalogue.native(MarketType.PERPETUAL, SWAP_NATIVE)
    return found


def test_a_contract_that_is_listed_with_another_size_closes_until_size_and_volumes_agree(stage: Stage) -> None:
    """Whether the size was changed, and the volumes are of before, or is wrong, nobody can tell: neither is shown."""
    there = stage.world
    there.subscribe(*channels(*SWAP))
    there.run_until(lambda: stage.is_live(SWAP[2], *KINDS), 20)
    before = swap(stage)
    there.simulator.faults.start("okx", "wrong-contract", SWAP[2], 40, "perpetual")
    there.messages.clear()
    with capturedLogs() as logged:
        there.run(WITHIN + 20)
    assert swap(stage) is None
    assert {stage.last(SWAP[2], kind) for kind in KINDS} == {("closed", "delisted")}
    why = "a contract is 10 in the catalogue and 1 by the traded volume"
    (line,) = [formatEvent(each) for each in logged if "left out" in str(each.get("log_format"))]
    assert line == f"okx: contract_size 'perpetual {SWAP_NATIVE}' is left out: {why}"
    upstream: Any = there.server.hub.upstreams["okx"]
    assert (MarketType.PERPETUAL, SWAP_NATIVE, why) in upstream.catalogue.not_listed()
    there.run(10 + WITHIN)
    assert swap(stage) == before is not None
    there.run_until(lambda: stage.is_live(SWAP[2], *KINDS), 90)


def test_a_contract_of_a_wrong_size_is_not_to_be_had_until_its_listing_is_right(stage: Stage) -> None:
    there, new = stage.world, ("okx", "perpetual", "NEW-USDT")
    there.run(5)
    there.simulator.faults.start("okx", "list", new[2], 100, "perpetual")
    there.simulator.faults.start("okx", "wrong-contract", new[2], 30, "perpetual")
    there.run(2 * WITHIN)
    there.subscribe(*channels(*new))
    there.run(1)
    assert {each["code"] for each in stage.of("error")} == {"unknown_symbol"}
    there.run(30)
    there.subscribe(*channels(*new))
    there.run_until(lambda: stage.is_live(new[2], "ticker", "order_book"), 20)
