"""Kraken's books: every checksum is proved by a client that was written apart, on recorded frames and on simulated
ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.kraken.instruments import MARKETS
from cryptodash.simulator.dialects.kraken.numbers import checksum
from tests.simulator.kraken_client import ClientBook, read

SPOT = MarketType.SPOT
RECORDED = {
    "spot-v2-book25-btcusd-2026.jsonl": (25, 2052),
    "spot-v2-book25-ethusd-2026.jsonl": (25, 1129),
    "spot-v2-book10-btcusd-resub-2026.jsonl": (10, 301),
    "spot-v2-book10-btcusd-second-snapshot-2026.jsonl": (10, 9),
    "spot-v2-book10-dogeusdt-double-snapshot-2026.jsonl": (10, 3),
}


def _books(path: Path) -> list[Any]:
    lines = map(json.loads, path.read_text().splitlines())
    frames = [read(line["raw"]) for line in lines if line["dir"] == "in"]
    return [frame for frame in frames if frame.get("channel") == "book"]


def _ask(depth: int, *symbols: str, method: str = "subscribe") -> dict[str, Any]:
    return {"method": method, "params": {"channel": "book", "symbol": list(symbols), "depth": depth}}


def _frames(wire: Any) -> list[Any]:
    taken, wire.frames = [read(frame) for frame in wire.frames], []
    return [frame for frame in taken if frame.get("channel") == "book"]


@pytest.mark.captures
@pytest.mark.parametrize("file", RECORDED)
def test_the_client_proves_every_recorded_checksum(captures: Path, file: str) -> None:
    depth, count = RECORDED[file]
    book = ClientBook(depth)
    for frame in _books(captures / "kraken" / file):
        book.take(frame)
    assert book.checked == count


@pytest.mark.captures
@pytest.mark.parametrize(
    ("file", "symbol"),
    [(name, "BTC/USD") for name in RECORDED if "btcusd" in name] + [(list(RECORDED)[4], "DOGE/USDT")],
)
def test_the_simulators_checksum_is_the_recorded_one(captures: Path, file: str, symbol: str) -> None:
    (spec,) = (each for each in MARKETS[SPOT].instruments if each.native == symbol)
    proved = 0
    for frame in _books(captures / "kraken" / file):
        (data,) = frame["data"]
        if frame["type"] == "snapshot" and "checksum" in data:
            bids, asks = (
                [tuple(int(text.replace(".", "")) for text in level.values()) for level in data[side][:10]]
                for side in ("bids", "asks")
            )
            assert checksum(spec, bids, asks) == data["checksum"]  # type: ignore[arg-type]
            proved += 1
    assert proved


@pytest.mark.parametrize(("depth", "seconds"), [(10, 30), (25, 20), (100, 10), (500, 5), (1000, 5)])
@pytest.mark.parametrize("symbol", ["BTC/USD", "DOGE/USDT", "PEPE/USD"])
def test_books_of_every_depth_stay_the_truth(world: Any, symbol: str, depth: int, seconds: float) -> None:
    wire = world.connect("kraken", "/v2")
    wire.say(_ask(depth, symbol))
    world.run(seconds)
    book, frames = ClientBook(depth), _frames(wire)
    for frame in frames:
        book.take(frame)
    assert book.checked > seconds
    instrument = world.simulator.truth.instrument("kraken", SPOT, symbol)
    spec = instrument.spec
    for name, levels in zip(("bids", "asks"), instrument.book.levels(depth), strict=True):
        assert len(book.best(name)) == depth
        assert book.best(name) == [(spec.price(price), spec.size(size)) for price, size in levels]


def test_levels_that_are_pushed_out_are_not_deleted(world: Any) -> None:
    """A client that does not cut its book to the depth keeps what the venue never takes back."""
    wire = world.connect("kraken", "/v2")
    wire.say(_ask(10, "BTC/USD"))
    world.run(60)
    uncut: dict[str, set[str]] = {"bids": set(), "asks": set()}
    for frame in _frames(wire):
        (data,) = frame["data"]
        for name, side in uncut.items():
            if frame["type"] == "snapshot":
                side.clear()
            side.update(level["price"] for level in data[name])
            side.difference_update(level["price"] for level in data[name] if level["qty"] == "0.00000000")
    assert max(map(len, uncut.values())) > 12


def test_what_the_venue_does_now_and_then_is_done_here(world: Any) -> None:
    """A first snapshot of four levels without a checksum, a snapshot once more after two seconds, levels in any order,
    a level twice in one update; and the book is right all the time."""
    wire, seen = world.connect("kraken", "/v2"), Counter[str]()
    for _ in range(40):
        wire.say(_ask(25, "BTC/USD"))
        world.run(3)
        wire.say(_ask(25, "BTC/USD", method="unsubscribe"))
        frames = _frames(wire)
        book = ClientBook(25)
        for frame in frames:
            book.take(frame)
            (data,) = frame["data"]
            seen["thin"] += frame["type"] == "snapshot" and "checksum" not in data and len(data["bids"]) == 4
            if frame["type"] == "update":
                for name in ("bids", "asks"):
                    prices = [level["price"] for level in data[name]]
                    seen["twice"] += len(prices) > len(set(prices))
                    seen["unordered"] += len(prices) > 2 and sorted(prices) != prices != sorted(prices, reverse=True)
        snapshots = [index for index, frame in enumerate(frames) if frame["type"] == "snapshot"]
        seen["again"] += snapshots[-1] > 5
    assert all(seen[each] for each in ("thin", "twice", "unordered", "again")), seen


def test_a_book_has_one_depth_on_a_connection(world: Any) -> None:
    wire, other = world.connect("kraken", "/v2"), world.connect("kraken", "/v2")
    wire.say(_ask(10, "BTC/USD", "ETH/USD"))
    wire.say(_ask(25, "BTC/USD") | {"req_id": 2})
    other.say(_ask(25, "BTC/USD"))
    said = wire.take()
    (refusal,) = (each for each in said if each.get("success") is False)
    assert list(refusal) == ["error", "method", "req_id", "success", "symbol", "time_in", "time_out"]
    assert (refusal["error"], refusal["symbol"], refusal["req_id"]) == ("Already subscribed", "BTC/USD", 2)
    world.run(2)
    book = ClientBook(25)
    for frame in _frames(other):
        book.take(frame)
    assert len(book.sides["bids"]) == 25


def test_who_wants_no_snapshot_gets_none(world: Any) -> None:
    wire = world.connect("kraken", "/v2")
    request = _ask(10, "BTC/USD")
    request["params"]["snapshot"] = False
    wire.say(request)
    (ack,) = (each for each in wire.take() if "method" in each)
    assert ack["result"] == {"channel": "book", "depth": 10, "snapshot": False, "symbol": "BTC/USD"}
    world.run(1)
    assert {frame["type"] for frame in _frames(wire)} == {"update"}


# --- faults ---


def _failures(frames: list[Any], depth: int) -> int:
    """How many frames a client could not prove."""
    book, failed = ClientBook(depth), 0
    for frame in frames:
        try:
            book.take(frame)
        except AssertionError:
            failed += 1
    return failed


def test_a_crossed_book_has_a_checksum_that_is_right(world: Any) -> None:
    wire = world.connect("kraken", "/v2")
    wire.say(_ask(10, "BTC/USD"))
    world.run(1)
    world.simulator.faults.start("kraken", "crossed", "BTC-USD", 3)
    book, crossed = ClientBook(10), 0
    world.run(6)
    for frame in _frames(wire):
        book.take(frame)
        crossed += float(book.best("bids")[0][0]) > float(book.best("asks")[0][0])
    assert crossed > 3
    assert float(book.best("bids")[0][0]) < float(book.best("asks")[0][0])


@pytest.mark.parametrize(("fault", "shows"), [("skip", True), ("reorder", True), ("duplicate", False)])
@pytest.mark.parametrize("depth", [10, 100])
def test_a_lost_frame_shows_and_one_that_comes_twice_does_not(world: Any, depth: int, fault: str, shows: bool) -> None:
    wire = world.connect("kraken", "/v2")
    wire.say(_ask(depth, "BTC/USD"))
    world.run(3)
    world.simulator.faults.start("kraken", fault, "BTC-USD", 5)
    world.run(6)
    assert bool(_failures(_frames(wire), depth)) == shows


@pytest.mark.parametrize("seed", range(4))
def test_the_frame_that_is_lost_is_one_whose_loss_shows(make_world: Any, seed: int) -> None:
    """The checksum proves ten of a hundred levels, and a lost size of these may be made good by the next frame. The
    lost frame takes one of the ten away. Without the fault every frame is the same."""
    sent = []
    for fault in (False, True):
        world = make_world(seed, exchanges=["kraken"])
        wire = world.connect("kraken", "/v2")
        wire.say(_ask(100, "ETH/USD"))
        world.run(4)
        if fault:
            world.simulator.faults.start("kraken", "skip", "ETH-USD", 10)
        world.run(11)
        sent.append(_frames(wire))
        world.simulator.stopService()
    whole, rest = sent
    lost = [frame for frame in whole if frame not in rest]
    assert len(lost) == 1 and [frame for frame in whole if frame not in lost] == rest
    book = ClientBook(100)
    for frame in whole[: whole.index(lost[0])]:
        book.take(frame)
    gone = {
        level["price"] for side in ("bids", "asks") for level in lost[0]["data"][0][side] if not float(level["qty"])
    }
    assert gone & {price for side in ("bids", "asks") for price, _ in book.best(side)[:10]}
    assert _failures(rest, 100)


def test_times_of_the_future_change_nothing_else(world: Any) -> None:
    wire = world.connect("kraken", "/v2")
    wire.say(_ask(10, "BTC/USD"))
    world.run(3)
    now = world.clock.wall_ms()
    world.simulator.faults.start("kraken", "future-time", "BTC-USD", 5)
    world.run(5)
    frames = _frames(wire)
    assert not _failures(frames, 10)
    assert now == 1_763_811_237_567
    hours = Counter(frame["data"][0]["timestamp"][11:13] for frame in frames)
    assert hours["12"] > 3 and hours.keys() == {"11", "12"}
