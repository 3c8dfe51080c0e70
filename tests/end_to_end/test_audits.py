"""Live books of the simulated venues are compared with REST snapshots: what is wrong is found, what is right is left
alone, whatever else goes wrong."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

PATH = Path(__file__).with_name("audit_world.py")

BOOKS = (
    "binance:spot:BTC-USDT",
    "binance:perpetual:BTC-USDT",
    "bybit:spot:BTC-USDT",
    "bybit:perpetual:BTC-USDT",
    "okx:spot:BTC-USDT",
    "okx:perpetual:BTC-USDT",
    "coinbase:spot:BTC-USD",
    "kraken:spot:BTC-USD",
    # seldom something happens to these
    "binance:spot:NKN-USDT",
    "bybit:spot:NKN-USDT",
    "okx:spot:NKN-USDT",
    "coinbase:spot:NKN-USD",
    "kraken:spot:NKN-USD",
)
VENUES = ("binance", "bybit", "okx", "coinbase", "kraken")


def _worlds() -> Any:
    if "audit_world" not in sys.modules:
        spec = importlib.util.spec_from_file_location("audit_world", PATH)
        assert spec is not None and spec.loader is not None
        sys.modules["audit_world"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["audit_world"])
    return sys.modules["audit_world"]


@pytest.fixture
def make_world() -> Iterator[Callable[..., Any]]:
    made = []

    def make(*books: str, **options: Any) -> Any:
        made.append(_worlds().AuditWorld(*books, **options))
        return made[-1]

    yield make
    for world in made:
        world.stop()


def test_no_true_book_is_called_wrong_whatever_else_happens(make_world: Callable[..., Any], long: bool) -> None:
    """Connections are lost, frames are lost, doubled, late and out of order; 10 minutes with ``--long``."""
    world = make_world(*BOOKS, seed=3)
    world.run(40)
    rounds = 10 if long else 3
    faults = world.simulator.faults
    for number in range(rounds):
        for venue in VENUES:
            faults.start(venue, ("drop", "duplicate", "skip", "reorder", "slow")[number % 5], seconds=8)
            world.run(6)
        faults.start(VENUES[number % 5], "half-open")
        faults.start(VENUES[(number + 1) % 5], "slow", seconds=10, delay=1.5)
        faults.start(VENUES[(number + 2) % 5], "old-snapshot", seconds=20)
        world.run(30)
    found = world.results()
    assert [each for each in found if each[1] == "diverged"] == [], found
    for venue in VENUES:
        assert found[venue, "equal"] >= 3 * rounds // 2, found
    assert [each for each in world.gaps() if each[1] == "audit"] == []


PLANTED = (
    # book, what finds it at once or after a second look
    "binance:spot:BTC-USDT",
    "binance:perpetual:NKN-USDT",
    "bybit:spot:NKN-USDT",
    "bybit:perpetual:NKN-USDT",
    "okx:spot:BTC-USDT",
    "okx:perpetual:SOL-USDT",
    "coinbase:spot:LTC-USD",
)


@pytest.mark.parametrize("book", PLANTED)
def test_a_wrong_size_is_found_counted_told_and_mended(make_world: Callable[..., Any], book: str) -> None:
    exchange, market, symbol = book.split(":")
    lines: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_namespace", "").endswith("book_audits"):
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    try:
        world = make_world(book)
        world.run(40)
        before = world.reports()[book]
        assert (before.audits > 0, before.divergences) == (True, 0)
        told: list[tuple[str, str]] = []
        fault = world.simulator.faults.start(exchange, "wrong-size", symbol, 200, market)
        for _ in range(800):
            world.run(0.25)
            told.append(world.states().get(book, ("", "")))
            if ("resyncing", "gap") in told and told[-1][0] == "live":
                break
        assert ("resyncing", "gap") in told and told[-1] == ("live", "")
        world.simulator.faults.stop(exchange, fault.name)
        # What went wrong while the fault ran on after the rebuild is found as well; then all is well.
        world.run_until(lambda: _is_settled(world, book), 400)
    finally:
        globalLogPublisher.removeObserver(observe)
    now = world.reports()[book]
    assert now.divergences == world.results()[exchange, "diverged"] == world.gaps()[exchange, "audit"] >= 1
    assert now.resyncs >= before.resyncs + now.divergences
    assert lines and exchange in lines[0] and "not the venue's at" in lines[0] and "rebuilt" in lines[0]
    assert len(lines) <= now.divergences


def _is_settled(world: Any, book: str) -> bool:
    """The newest audit of the book found it right."""
    report = world.reports()[book]
    settled = getattr(world, "settled", None)
    if settled is None or settled[1] != report.divergences:
        world.settled = report.audits, report.divergences
        return False
    return report.audits >= settled[0] + 2 and report.state.value in ("live", "quiet") and not report.disputed


def test_where_a_checksum_finds_it_first_no_audit_has_to(make_world: Callable[..., Any]) -> None:
    world = make_world("kraken:spot:BTC-USD")
    world.run(40)
    world.simulator.faults.start("kraken", "wrong-size", "BTC-USD", 10)
    world.run(20)
    assert world.gaps()["kraken", "checksum"] >= 1
    assert ("kraken", "diverged") not in world.results()


def test_with_a_share_of_nothing_there_are_none(make_world: Callable[..., Any]) -> None:
    world = make_world("binance:spot:BTC-USDT", "kraken:spot:BTC-USD", BOOK_AUDIT_PERCENT="0")
    world.run(60)
    assert not world.results()
    assert all(each.audits == 0 for each in world.reports().values())
