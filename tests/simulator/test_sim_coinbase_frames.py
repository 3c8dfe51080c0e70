"""The frames and answers of the simulated Coinbase have the shape of those that were recorded: the same members in the
same order, the same kinds of values, written the same way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.coinbase_wire import API, HOST, PRODUCTS, connect, of

pytestmark = pytest.mark.captures

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d*[1-9])?").fullmatch
"""Numbers have no padding."""
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z").fullmatch


def kinds(value: Any) -> Any:
    """Members in order and kinds of values; of a list the kinds that are in it."""
    if isinstance(value, dict):
        return [(name, kinds(each)) for name, each in value.items()]
    if isinstance(value, list):
        return ["list", *sorted({str(kinds(each)) for each in value})]
    if isinstance(value, str):
        return "number" if _NUMBER(value) else "time" if _TIME(value) else "text" if value else "empty"
    return type(value).__name__


def recorded(path: Path) -> Iterator[Any]:
    with path.open() as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["dir"] == "in":
                yield json.loads(entry["raw"])


def _sorts(frames: list[Any]) -> dict[tuple[str, str, bool], Any]:
    """One frame of each sort: channel, kind of its event, and whether there is anything in it."""
    found = {}
    for frame in frames:
        event = frame["events"][0]
        empty = not event.get("updates", True)
        found.setdefault((frame["channel"], event.get("type", ""), empty), frame)
    return found


@pytest.mark.parametrize(
    ("file", "channel"),
    [
        ("at-level2-btcusd-2026.jsonl", "level2"),
        ("at-market-trades-btcusd-2026.jsonl", "market_trades"),
        ("at-ticker-btcusd-2026.jsonl", "ticker"),
    ],
)
def test_channels(world, captures: Path, file: str, channel: str) -> None:
    wire, quiet = connect(world, (channel, ["BTC-USD"])), connect(world, (channel, ["NKN-USD"]))
    world.run(20)
    # Frames without levels are rare where there is much to say.
    ours = _sorts(wire.take() + quiet.take())
    theirs = _sorts(list(recorded(captures / "coinbase" / file)))
    assert theirs.keys() <= ours.keys()
    for sort, frame in theirs.items():
        assert kinds(ours[sort]) == kinds(frame), sort


def test_recorded_books_are_written_as_ours(world, captures: Path) -> None:
    """Bids before offers, best first, in the snapshot."""
    theirs = next(recorded(captures / "coinbase" / "at-level2-btcusd-2026.jsonl"))["events"][0]["updates"]
    ours = of(connect(world, ("level2", ["BTC-USD"])).take(), "l2_data")[0]["events"][0]["updates"]
    for rows in (theirs, ours):
        bids = [float(row["price_level"]) for row in rows if row["side"] == "bid"]
        offers = [float(row["price_level"]) for row in rows if row["side"] == "offer"]
        assert [row["side"] for row in rows] == ["bid"] * len(bids) + ["offer"] * len(offers)
        assert (bids, offers) == (sorted(bids, reverse=True), sorted(offers))
        assert bids[0] < offers[0]


@pytest.mark.parametrize(
    ("file", "path", "query"),
    [
        ("rest-at-product.json", f"{PRODUCTS}/BTC-USD", {}),
        ("rest-at-products.json", PRODUCTS, {}),
        ("rest-at-product-book.json", f"{API}/market/product_book", {"product_id": "BTC-USD", "limit": 5}),
        ("rest-at-ticker.json", f"{PRODUCTS}/BTC-USD/ticker", {"limit": 3}),
        (
            "rest-at-candles.json",
            f"{PRODUCTS}/BTC-USD/candles",
            {"granularity": "ONE_HOUR", "start": 1_763_800_000, "end": 1_763_810_000},
        ),
    ],
)
def test_rest_answers(world, captures: Path, file: str, path: str, query: dict[str, object]) -> None:
    theirs, ours = json.loads((captures / "coinbase" / file).read_text()), world.json(HOST, path, **query)
    if "products" in theirs:
        kept = [each for each in ours["products"] if each["product_id"] in ("BTC-USD", "BTC-USDC")]
        assert [each["product_id"] for each in kept] == [each["product_id"] for each in theirs["products"]]
        ours["products"] = kept
    assert kinds(ours) == kinds(theirs)


def test_the_catalogue_says_of_bitcoin_what_the_venue_said(world, captures: Path) -> None:
    """All but what changes, and the limits of an order's size, which nobody here reads."""
    theirs = json.loads((captures / "coinbase" / "rest-at-products.json").read_text())["products"]
    ours = {each["product_id"]: each for each in world.json(HOST, PRODUCTS)["products"]}
    changing = re.compile("price$|price_percentage.*|.*volume.*|.*_max_size").fullmatch
    for product in theirs:
        mine = ours[product["product_id"]]
        assert [(name, mine[name]) for name in product if not changing(name)] == [
            (name, value) for name, value in product.items() if not changing(name)
        ]
