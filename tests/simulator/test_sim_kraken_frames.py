"""What the simulated Kraken sends has the shape of what was recorded: the same members in the same order, the same
kinds of values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.captures

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d+)Z").fullmatch

# The shape that the venue's document gives; no recording of it is here.
TRADE = (
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.2,"qty":0.00027625,'
    '"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
)


def shape(value: Any) -> Any:
    """Members in order, JSON kinds, the digits of times; a list by its first element."""
    if isinstance(value, dict):
        return [(name, shape(each)) for name, each in value.items()]
    if isinstance(value, list):
        return ["list", *map(shape, value[:1])]
    if isinstance(value, str):
        found = TIME(value)
        return f"time of {len(found[1])} digits" if found else "text"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _said(captures: Path, file: str) -> list[Any]:
    lines = map(json.loads, (captures / "kraken" / file).read_text().splitlines())
    return [json.loads(line["raw"]) for line in lines if line["dir"] == "in"]


def _first(frames: list[Any], **members: object) -> Any:
    """The first frame with these members that tells something."""
    return next(
        frame
        for frame in frames
        if all(frame.get(name) == value for name, value in members.items())
        and (members.get("channel") != "book" or (frame["data"][0]["bids"] and frame["data"][0]["asks"]))
    )


def _heard(world: Any, **params: object) -> list[Any]:
    wire = world.connect("kraken", "/v2")
    wire.say({"method": "subscribe", "params": params, "req_id": 1})
    world.run(8)
    return list(wire.take())


BOOK, TICKER, OHLC = (
    f"spot-v2-{name}-2026.jsonl" for name in ("book10-btcusd-second-snapshot", "ticker-btcusd", "ohlc1-btcusd")
)
LONG = "spot-v2-book25-btcusd-2026.jsonl"


@pytest.mark.parametrize(
    ("file", "channel", "params", "kinds"),
    [
        (BOOK, "book", {"depth": 10}, ("snapshot",)),
        (LONG, "book", {"depth": 25}, ("snapshot", "update")),
        (TICKER, "ticker", {}, ("snapshot", "update")),
        (OHLC, "ohlc", {"interval": 1}, ("snapshot", "update")),
    ],
    ids=["book", "book25", "ticker", "ohlc"],
)
def test_data_has_the_recorded_shape(
    world: Any, captures: Path, file: str, channel: str, params: dict[str, object], kinds: tuple[str, ...]
) -> None:
    theirs, ours = _said(captures, file), _heard(world, channel=channel, symbol=["BTC/USD"], **params)
    for kind in kinds:
        if kind == "snapshot":
            ours = [
                each
                for each in ours
                if each.get("type") != "snapshot" or "checksum" in json.dumps(each) or channel != "book"
            ]
        assert shape(_first(ours, channel=channel, type=kind)) == shape(_first(theirs, channel=channel, type=kind))


@pytest.mark.parametrize(
    ("file", "params"),
    [
        (BOOK, {"channel": "book", "depth": 10}),
        (TICKER, {"channel": "ticker"}),
        (OHLC, {"channel": "ohlc", "interval": 1}),
    ],
    ids=["book", "ticker", "ohlc"],
)
def test_acks_are_the_recorded_ones(world: Any, captures: Path, file: str, params: dict[str, object]) -> None:
    theirs = _first(_said(captures, file), method="subscribe")
    ours = _first(_heard(world, symbol=["BTC/USD"], **params), method="subscribe")
    assert shape(ours) == shape(theirs)
    assert ours["result"] == theirs["result"]


def test_an_unsubscribe_is_answered_as_recorded(world: Any, captures: Path) -> None:
    theirs = _first(_said(captures, "spot-v2-book10-btcusd-resub-2026.jsonl"), method="unsubscribe")
    wire = world.connect("kraken", "/v2")
    for method in ("subscribe", "unsubscribe"):
        wire.say({"method": method, "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}})
    ours = _first(wire.take(), method="unsubscribe")
    assert shape(ours) == shape(theirs)
    assert ours["result"] == theirs["result"]


def test_the_greeting_is_the_recorded_one(world: Any, captures: Path) -> None:
    (theirs,) = (each for each in _said(captures, BOOK) if each.get("channel") == "status")
    (ours,) = world.connect("kraken", "/v2").take()
    assert shape(ours) == shape(theirs)
    assert ours["data"][0]["connection_id"] > 2**53
    assert {**ours["data"][0], "connection_id": 0} == {**theirs["data"][0], "connection_id": 0}


def test_trades_have_the_documented_shape(world: Any) -> None:
    ours = _heard(world, channel="trade", symbol=["BTC/USD"])
    for kind in ("snapshot", "update"):
        frame = _first(ours, channel="trade", type=kind)
        assert shape(frame) == shape(json.loads(TRADE))
        assert {each["side"] for each in frame["data"]} <= {"buy", "sell"}
        assert {each["ord_type"] for each in frame["data"]} <= {"limit", "market"}


def test_the_catalogue_has_the_recorded_shape(world: Any, captures: Path) -> None:
    (theirs,) = (each for each in _said(captures, "spot-v2-instrument-snapshot-2024.jsonl") if each.get("channel"))
    wire = world.connect("kraken", "/v2")
    wire.say({"method": "subscribe", "params": {"channel": "instrument"}})
    _, ack, ours = wire.take()
    assert ack["result"] == {
        "channel": "instrument",
        "snapshot": True,
        "warnings": ["tick_size is deprecated, use price_increment"],
    }
    (pair,) = (each for each in theirs["data"]["pairs"] if each["symbol"] == "BTC/USD")
    (asset,) = (each for each in theirs["data"]["assets"] if each["id"] == "BTC")
    assert shape(ours) == shape({**theirs, "data": {"assets": [asset], "pairs": [pair]}})
    found = {each["symbol"]: each for each in ours["data"]["pairs"]}
    names = ("base", "quote", "qty_precision", "qty_increment", "price_precision", "price_increment", "tick_size")
    assert [found["BTC/USD"][name] for name in names] == [pair[name] for name in names]
    assert found["BCH/BTC"]["status"] == "cancel_only"


def test_small_increments_are_written_as_recorded(world: Any, captures: Path) -> None:
    text = (captures / "kraken" / "spot-v2-instrument-snapshot-2024.jsonl").read_text()
    wire = world.connect("kraken", "/v2")
    wire.say({"method": "subscribe", "params": {"channel": "instrument"}})
    for written in (
        '"qty_increment":1E-8',
        '"price_increment":1E-9',
        '"price_increment":0.00001',
        '"price_increment":0.1',
    ):
        assert written.replace('"', '\\"') in text
        assert written in wire.frames[-1]


REST = {
    "Depth": "rest-spot-depth.json",
    "OHLC": "rest-spot-ohlc.json",
    "Ticker": "rest-spot-ticker.json",
    "Trades": "rest-spot-trades.json",
}


@pytest.mark.parametrize("method", REST)
def test_rest_answers_have_the_recorded_shape(world: Any, captures: Path, method: str) -> None:
    theirs = json.loads((captures / "kraken" / REST[method]).read_text())
    ours = world.json("kraken", f"/0/public/{method}", pair="XBTUSDT")
    assert shape(ours) == shape(theirs)
    rows = [each["result"]["XBTUSDT"] for each in (ours, theirs)]
    decimals = [re.findall(r"'-?\d+(?:\.(\d+))?'", str(row["asks"] if method == "Depth" else row)) for row in rows]
    assert set(map(len, decimals[0])) <= set(map(len, decimals[1]))


def test_the_rest_catalogue_has_the_recorded_members(world: Any, captures: Path) -> None:
    recorded = json.loads((captures / "kraken" / "rest-spot-assetpairs.json").read_text())
    theirs, ours = (
        each["result"]["XBTUSDT"] for each in (recorded, world.json("kraken", "/0/public/AssetPairs", pair="XBTUSDT"))
    )
    assert ours.pop("execution_venue") == "international"  # newer than the recording
    assert list(ours) == list(theirs)
    assert {name: shape(each)[:1] if isinstance(each, list) else shape(each) for name, each in ours.items()} == {
        name: shape(each)[:1] if isinstance(each, list) else shape(each) for name, each in theirs.items()
    }
    same = (
        "altname",
        "wsname",
        "base",
        "quote",
        "pair_decimals",
        "lot_decimals",
        "cost_decimals",
        "tick_size",
        "status",
    )
    assert [ours[name] for name in same] == [theirs[name] for name in same]
