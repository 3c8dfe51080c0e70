"""Recorded exchange traffic through the book, step by step against a plain rebuild and against the
venue's own best quotes."""

from __future__ import annotations

import gzip
import importlib.util
import json
from bisect import bisect_right
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.book_sync import OrderBook

RANGE = BookRules(SnapshotSource.REST, Chaining.RANGE)
PREVIOUS = BookRules(SnapshotSource.REST, Chaining.PREVIOUS)
COUNTER = BookRules(SnapshotSource.STREAM, Chaining.COUNTER)

pytestmark = pytest.mark.captures

EVERY_STEP = 2_000
THEN_EVERY = 25


@pytest.fixture(scope="session")
def naive() -> ModuleType:
    spec = importlib.util.spec_from_file_location("naive_book", Path(__file__).with_name("naive.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def frames(path: Path) -> list[tuple[float, Any]]:
    """(receive time, decoded frame) of what came in."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        records = [msgspec.json.decode(line) for line in lines]
    return [(record["t"], msgspec.json.decode(record["raw"])) for record in records if record["dir"] == "in"]


def best(book: OrderBook) -> tuple[Number | None, ...]:
    """Best bid and ask price; None where the side is empty or not known."""
    return tuple(side[0][0] if side else None for side in book.top(1))


def levels(rows: list[list[str]]) -> list[tuple[str, str]]:
    return [(price, size) for price, size in rows]


def diff(data: dict[str, Any]) -> Depth:
    return Depth(
        "depth",
        False,
        data["U"],
        data["u"],
        data.get("pu"),
        levels(data["b"]),
        levels(data["a"]),
        data.get("T", data["E"]),
    )


def rest(path: Path) -> Depth:
    body = json.loads(path.read_text())
    last = body["lastUpdateId"]
    return Depth("depth", True, last, last, None, levels(body["bids"]), levels(body["asks"]), body.get("T"))


def same(book: OrderBook, naive: ModuleType, truth: Any, depth: int = 5_000) -> bool:
    bids, asks = book.top(depth)
    return (naive.plain(bids), naive.plain(asks)) == truth.top(depth)


LONG = [
    ("spot-combined-btcusdt-2024.jsonl.gz", "rest-spot-depth-btcusdt-2024.json", RANGE, 6, 3_451, 3_426),
    ("usdm-combined-btcusdt-2024.jsonl.gz", "rest-usdm-depth-btcusdt-2024.json", PREVIOUS, 53, 2_993, 2_987),
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("stream", "seed", "rule", "line", "diffs", "quotes"), LONG)
def test_long_run_equals_a_plain_rebuild_and_the_best_quotes(
    captures: Path, naive: ModuleType, stream: str, seed: str, rule: BookRules, line: int, diffs: int, quotes: int
) -> None:
    book, snapshot = OrderBook(rule), rest(captures / "binance" / seed)
    truth = naive.NaiveBook(snapshot.bids, snapshot.asks, 1000)
    recorded = frames(captures / "binance" / stream)
    quoted = [frame["data"] for _, frame in recorded if "@bookTicker" in frame["stream"]]
    quote_ids = [quote["u"] for quote in quoted]
    assert quote_ids == sorted(quote_ids)
    applied = compared = unknown = 0
    waiting: list[Depth] = []
    for number, (_, frame) in enumerate(recorded):
        if number == line:
            book.snapshot_begun()
            book.snapshot(snapshot, 1000)
        if "@depth" not in frame["stream"]:
            continue
        depth = diff(frame["data"])
        waiting.append(depth)
        outcome = book.received(depth)
        assert outcome in (Outcome.BUFFERED, Outcome.REBUILT, Outcome.CHANGED, Outcome.USED_UP)
        applied += 1
        if not book.synced:  # at the beginning, and where the market has left the horizon on a side
            unknown += 1
            continue
        for each in waiting:
            if each.last > snapshot.last:
                truth.apply(each.bids, each.asks)
        waiting.clear()
        assert book.sequence == depth.last and book.time == depth.time
        place = bisect_right(quote_ids, depth.last)  # the newest quote that is not newer than the book
        if place:
            compared += 1
            assert best(book) == (quoted[place - 1]["b"], quoted[place - 1]["a"])
        if applied <= EVERY_STEP or applied % THEN_EVERY == 0:
            assert same(book, naive, truth), depth.last
    assert (applied, compared, book.gaps) == (diffs, quotes, 0)
    assert unknown < applied / 100


SHORT = [
    ("spot-combined-4sym-2021.jsonl", "spot", "NKNUSDT", RANGE),
    ("spot-combined-4sym-2021.jsonl", "spot", "BLZETH", RANGE),
    ("spot-combined-4sym-2021.jsonl", "spot", "LRCBTC", RANGE),
    ("spot-combined-4sym-2021.jsonl", "spot", "RUNEEUR", RANGE),
    ("usdm-combined-4sym-2021.jsonl", "usdm", "SUSHIUSDT", PREVIOUS),
    ("usdm-combined-4sym-2021.jsonl", "usdm", "AKROUSDT", PREVIOUS),
    ("usdm-combined-4sym-2021.jsonl", "usdm", "KEEPUSDT", PREVIOUS),
    ("usdm-combined-4sym-2021.jsonl", "usdm", "CTKUSDT", PREVIOUS),
]


@pytest.mark.parametrize(("stream", "market", "symbol", "rule"), SHORT)
def test_recorded_books_join_their_snapshot_where_it_arrived(
    captures: Path, naive: ModuleType, stream: str, market: str, symbol: str, rule: BookRules
) -> None:
    name = f"rest-{market}-depth-{symbol.lower()}-2021.json"
    snapshot, arrived = (
        rest(captures / "binance" / name),
        json.loads((captures / "binance" / "rest-index.json").read_text())[name]["t"],
    )
    book, truth = OrderBook(rule), naive.NaiveBook(snapshot.bids, snapshot.asks, 1000)
    seen: list[Depth] = []
    answered = False
    compared = 0
    for received, frame in frames(captures / "binance" / stream):
        if not frame.get("stream", "").startswith(f"{symbol.lower()}@depth"):
            continue
        if received >= arrived and not answered:
            answered = True
            book.snapshot(snapshot, 1000)
        depth = diff(frame["data"])
        seen.append(depth)
        outcome = book.received(depth)
        assert outcome not in (Outcome.GAP, Outcome.CROSSED, Outcome.OUTDATED)
        if book.synced:
            for each in seen:
                if each.last > snapshot.last:
                    truth.apply(each.bids, each.asks)
            seen.clear()
            assert same(book, naive, truth), depth.last
            compared += 1
    assert compared > 0


BYBIT = [
    ("linear-orderbook500-xrpusdt-2024.jsonl", 500, 50),
    ("linear-orderbook50-btcusdt-2026.jsonl", 50, 2),
    ("spot-orderbook50-btcusdt-2026.jsonl", 50, 9),
]


@pytest.mark.parametrize(("name", "tier", "count"), BYBIT)
def test_bybit_books_equal_a_plain_rebuild_and_keep_their_depth(
    captures: Path, naive: ModuleType, name: str, tier: int, count: int
) -> None:
    book, truth, seen = OrderBook(COUNTER, tier=tier), None, 0
    for _, frame in frames(captures / "bybit" / name):
        if "topic" not in frame:
            continue
        data, seen = frame["data"], seen + 1
        is_snapshot = frame["type"] == "snapshot"
        depth = Depth(
            frame["topic"], is_snapshot, data["u"], data["u"], None, levels(data["b"]), levels(data["a"]), frame["cts"]
        )
        outcome = book.received(depth)
        if is_snapshot:
            truth = naive.NaiveBook(depth.bids, depth.asks, None)
            assert outcome is Outcome.REBUILT
        else:
            assert truth is not None
            truth.apply(depth.bids, depth.asks)
            assert outcome is Outcome.CHANGED
        assert same(book, naive, truth)
        assert [len(side) for side in book.top(5_000)] == [tier, tier]
    assert seen == count


@pytest.mark.parametrize(("stream", "seed", "rule", "line", "diffs", "quotes"), LONG)
def test_a_book_renewed_from_an_older_true_state_stays_true(
    captures: Path, naive: ModuleType, stream: str, seed: str, rule: BookRules, line: int, diffs: int, quotes: int
) -> None:
    """Renewal answers are cut from the plain rebuild: whatever their place in the stream,
    the book must go on equal to the truth."""
    book, snapshot = OrderBook(rule), rest(captures / "binance" / seed)
    truth = naive.NaiveBook(snapshot.bids, snapshot.asks, 1000)
    book.snapshot(snapshot, 1000)
    answer: Depth | None = None
    renewed = applied = 0
    for _, frame in frames(captures / "binance" / stream):
        if "@depth" not in frame["stream"]:
            continue
        depth = diff(frame["data"])
        applied += 1
        book.received(depth)
        if depth.last <= snapshot.last or not book.synced:
            continue
        truth.apply(depth.bids, depth.asks)
        if applied % 100 == 10:
            book.snapshot_begun()
        elif applied % 100 == 20:
            bids, asks = truth.top(200)
            shown = (
                [(f"{price:f}", f"{size:f}") for price, size in bids],
                [(f"{price:f}", f"{size:f}") for price, size in asks],
            )
            answer = Depth("depth", True, depth.last, depth.last, None, *shown, None)
        elif applied % 100 == 30 and answer is not None:
            assert book.snapshot(answer, 200) is Outcome.RENEWED
            renewed += 1
        elif applied % 20 == 0:
            bids, asks = book.top(1000)
            true_bids, true_asks = truth.top(1000)
            assert naive.plain(bids) == true_bids[: len(bids)] and naive.plain(asks) == true_asks[: len(asks)]
            assert len(bids) >= 20 and len(asks) >= 20
        if applied > EVERY_STEP:
            break
    assert renewed >= 19 and book.gaps == 0
