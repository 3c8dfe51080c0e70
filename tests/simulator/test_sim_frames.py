"""What the simulator sends has the shape of what was recorded: the same keys in the same order,
JSON types, and padding."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.captures


def _recorded(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["dir"] == "in":
                yield json.loads(entry["raw"])


def _is_number(text: str) -> bool:
    return bool(text) and text.lstrip("-").replace(".", "", 1).isdigit()


def shape(value: Any, *, padding: bool) -> Any:
    """Keys in order and JSON types; numbers in text with their decimals where ``padding`` matters."""
    if isinstance(value, dict):
        return [(key, shape(item, padding=padding)) for key, item in value.items()]
    if isinstance(value, list):
        return ["list", *[shape(item, padding=padding) for item in value[:1]]]
    if isinstance(value, str):
        if not _is_number(value):
            return "text"
        return ("number", len(value.partition(".")[2]) if padding else None)
    return type(value).__name__


def _with_levels(frame: Any) -> bool:
    data = frame.get("data", frame)
    return all(data.get(side, True) for side in ("a", "b")) if isinstance(data, dict) else True


def _same_shape(ours: Any, theirs: Any, *, padding: bool, added: tuple[str, ...] = ()) -> None:
    """``added`` are members newer than the recording."""
    for message in (ours, ours.get("data")) if isinstance(ours, dict) else ():
        for key in added:
            if isinstance(message, dict):
                message.pop(key, None)
    assert shape(ours, padding=padding) == shape(theirs, padding=padding)


BINANCE = [
    ("spot-combined-btcusdt-2024.jsonl.gz", "binance-spot", "/stream", "btcusdt@depth@100ms", ()),
    ("spot-combined-btcusdt-2024.jsonl.gz", "binance-spot", "/stream", "btcusdt@bookTicker", ()),
    ("spot-combined-btcusdt-2024.jsonl.gz", "binance-spot", "/stream", "btcusdt@trade", ()),
    ("usdm-combined-btcusdt-2024.jsonl.gz", "binance-perpetual", "/public/stream", "btcusdt@depth@0ms", ("ps", "st")),
    ("usdm-combined-btcusdt-2024.jsonl.gz", "binance-perpetual", "/public/stream", "btcusdt@bookTicker", ()),
    ("usdm-combined-btcusdt-2024.jsonl.gz", "binance-perpetual", "/public/stream", "btcusdt@trade", ()),
]


@pytest.mark.parametrize(("file", "host", "path", "stream", "added"), BINANCE)
def test_binance_combined_streams(
    world, captures: Path, file: str, host: str, path: str, stream: str, added: tuple[str, ...]
) -> None:
    recorded = next(
        frame
        for frame in _recorded(captures / "binance" / file)
        if frame.get("stream") == stream and _with_levels(frame)
    )
    wire = world.connect(host, path, {"streams": stream})
    world.run(20)
    sent = [frame for frame in wire.take() if _with_levels(frame)]
    assert sent
    for frame in sent:
        _same_shape(frame, recorded, padding=True, added=added)


def test_binance_spot_aggregate_trade_has_the_recorded_members(world, captures: Path) -> None:
    recorded = next(
        frame["data"]
        for frame in _recorded(captures / "binance" / "spot-combined-4sym-2021.jsonl")
        if "aggTrade" in frame["stream"]
    )
    wire = world.connect("binance-spot", "/ws/btcusdt@aggTrade")
    world.run(20)
    for frame in wire.take():
        _same_shape(frame, recorded, padding=True)


def test_binance_usdm_aggregate_trade_has_the_recorded_members(world, captures: Path) -> None:
    frames = _recorded(captures / "binance" / "usdm-combined-4sym-2021.jsonl")
    recorded = next(frame["data"] for frame in frames if "aggTrade" in frame["stream"])
    wire = world.connect("binance-perpetual", "/market/ws/btcusdt@aggTrade")
    world.run(20)
    for frame in wire.take():
        _same_shape(frame, recorded, padding=False, added=("nq", "st"))


@pytest.mark.parametrize(
    ("file", "host", "path"),
    [
        ("spot-bookticker-btcusdt-2026.jsonl", "binance-spot", "/ws/btcusdt@bookTicker"),
        ("spot-kline1m-btcusdt-2026.jsonl", "binance-spot", "/ws/btcusdt@kline_1m"),
        ("spot-miniticker-btcusdt-2026.jsonl", "binance-spot", "/ws/btcusdt@miniTicker"),
        ("usdm-kline1m-btcusdt-2026.jsonl", "binance-perpetual", "/market/ws/btcusdt@kline_1m"),
        ("usdm-miniticker-btcusdt-2026.jsonl", "binance-perpetual", "/market/ws/btcusdt@miniTicker"),
    ],
)
def test_binance_raw_streams_of_2026(world, captures: Path, file: str, host: str, path: str) -> None:
    recorded = [frame for frame in _recorded(captures / "binance" / file) if "result" not in frame]
    wire = world.connect(host, path)
    world.run(20)
    sent = wire.take()
    assert sent
    for frame in sent:
        _same_shape(frame, recorded[0], padding=True)


def test_binance_usdm_24h_ticker_has_the_recorded_members(world, captures: Path) -> None:
    recorded = list(_recorded(captures / "binance" / "coinm-ticker24h-btcusdperp-2026.jsonl"))[-1]
    wire = world.connect("binance-perpetual", "/market/ws/btcusdt@ticker")
    world.run(5)
    _same_shape(wire.take()[0], recorded, padding=False)


BYBIT = [
    ("spot-orderbook50-btcusdt-2026.jsonl", "spot", "orderbook.50.BTCUSDT"),
    ("spot-orderbook1-btcusdt-2026.jsonl", "spot", "orderbook.1.BTCUSDT"),
    ("spot-publictrade-btcusdt-2026.jsonl", "spot", "publicTrade.BTCUSDT"),
    ("spot-kline1-btcusdt-2026.jsonl", "spot", "kline.1.BTCUSDT"),
    ("spot-tickers-btcusdt-2026.jsonl", "spot", "tickers.BTCUSDT"),
    ("linear-orderbook50-btcusdt-2026.jsonl", "linear", "orderbook.50.BTCUSDT"),
    ("linear-publictrade-btcusdt-2026.jsonl", "linear", "publicTrade.BTCUSDT"),
    ("linear-kline1-btcusdt-2026.jsonl", "linear", "kline.1.BTCUSDT"),
]


@pytest.mark.parametrize(("file", "category", "topic"), BYBIT)
def test_bybit_topics(world, captures: Path, file: str, category: str, topic: str) -> None:
    recorded = {
        frame["type"]: frame
        for frame in _recorded(captures / "bybit" / file)
        if frame.get("topic") == topic and _with_levels(frame)
    }
    wire = world.connect("bybit", f"/v5/public/{category}")
    wire.say({"op": "subscribe", "args": [topic], "req_id": 1})
    world.run(20)
    sent = [frame for frame in wire.take() if "topic" in frame and _with_levels(frame)]
    assert {frame["type"] for frame in sent} >= recorded.keys()
    for frame in sent:
        if frame["type"] in recorded:
            _same_shape(frame, recorded[frame["type"]], padding=False)


def test_bybit_linear_prices_are_padded_and_spot_prices_are_bare(world) -> None:
    prices = {}
    for category in ("spot", "linear"):
        wire = world.connect("bybit", f"/v5/public/{category}")
        wire.say({"op": "subscribe", "args": ["orderbook.200.BTCUSDT"]})
        world.run(5)
        prices[category] = [level[0] for frame in wire.take() if "topic" in frame for level in frame["data"]["b"]]
    assert all(len(price.partition(".")[2]) == 2 for price in prices["linear"])
    assert any("." not in price for price in prices["spot"])
    assert not any("." in price and price.endswith("0") for price in prices["spot"])


def test_bybit_linear_ticker_snapshot_and_deltas(world, captures: Path) -> None:
    recorded = list(_recorded(captures / "bybit" / "linear-tickers-btcusdt-2026.jsonl"))
    wire = world.connect("bybit", "/v5/public/linear")
    wire.say({"op": "subscribe", "args": ["tickers.BTCUSDT"]})
    world.run(10)
    snapshot, *deltas = [frame for frame in wire.take() if "topic" in frame]
    full = next(frame for frame in recorded if frame["type"] == "snapshot")
    assert shape(snapshot, padding=False) == shape(full, padding=False)
    decimals = {
        key: shape(full["data"][key], padding=True)
        for key in ("lastPrice", "bid1Price", "bid1Size", "volume24h", "openInterest")
    }
    assert {key: shape(snapshot["data"][key], padding=True) for key in decimals} == decimals
    assert list(deltas[0]) == list(recorded[-1])
    state = dict(snapshot["data"])
    for delta in deltas:
        assert delta["type"] == "delta"
        changed = {key: text for key, text in delta["data"].items() if key != "symbol"}
        assert changed
        assert all(state[key] != text for key, text in changed.items())
        state.update(changed)


def test_bybit_answers(world, captures: Path) -> None:
    for category, file in (("spot", "spot-kline1-btcusdt-2026.jsonl"), ("linear", "linear-kline1-btcusdt-2026.jsonl")):
        recorded = next(frame for frame in _recorded(captures / "bybit" / file) if "success" in frame)
        wire = world.connect("bybit", f"/v5/public/{category}")
        wire.say({"op": "subscribe", "args": ["kline.1.BTCUSDT"], "req_id": 1})
        world.run(0.3)
        answer = next(frame for frame in wire.take() if "success" in frame)
        assert list(answer) == list(recorded)
        assert {**answer, "conn_id": ""} == {**recorded, "conn_id": ""}


REST = [
    (
        "binance/rest-spot-depth-btcusdt-2024.json",
        "binance-spot",
        "/api/v3/depth",
        {"symbol": "BTCUSDT", "limit": 1000},
        True,
    ),
    (
        "binance/rest-usdm-depth-btcusdt-2024.json",
        "binance-perpetual",
        "/fapi/v1/depth",
        {"symbol": "BTCUSDT", "limit": 1000},
        True,
    ),
    (
        "bybit/rest-instruments-linear-docexample.json",
        "bybit",
        "/v5/market/instruments-info",
        {"category": "linear", "symbol": "BTCUSDT"},
        False,
    ),
    (
        "bybit/rest-instruments-spot-docexample.json",
        "bybit",
        "/v5/market/instruments-info",
        {"category": "spot", "symbol": "BTCUSDT"},
        False,
    ),
    (
        "bybit/rest-kline-docexample.json",
        "bybit",
        "/v5/market/kline",
        {"category": "linear", "symbol": "BTCUSDT", "interval": "60"},
        False,
    ),
    (
        "bybit/rest-orderbook-docexample.json",
        "bybit",
        "/v5/market/orderbook",
        {"category": "spot", "symbol": "BTCUSDT"},
        False,
    ),
    (
        "bybit/rest-tickers-docexample.json",
        "bybit",
        "/v5/market/tickers",
        {"category": "linear", "symbol": "BTCUSDT"},
        False,
    ),
    (
        "bybit/rest-tickers-spot-docexample.json",
        "bybit",
        "/v5/market/tickers",
        {"category": "spot", "symbol": "BTCUSDT"},
        False,
    ),
    (
        "bybit/rest-recent-trade-docexample.json",
        "bybit",
        "/v5/market/recent-trade",
        {"category": "spot", "symbol": "BTCUSDT", "limit": 1},
        False,
    ),
]


@pytest.mark.parametrize(("file", "host", "path", "query", "padding"), REST)
def test_rest_answers(
    world, captures: Path, file: str, host: str, path: str, query: dict[str, object], padding: bool
) -> None:
    recorded = json.loads((captures / file).read_text())
    world.connect("bybit", "/v5/public/spot").say({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]})
    world.run(10)
    assert shape(world.json(host, path, **query), padding=padding) == shape(recorded, padding=padding)


@pytest.mark.parametrize(
    ("file", "host", "path", "changed"),
    [
        # Newer than the recordings: NOTIONAL took MIN_NOTIONAL's place, permissions moved into sets.
        (
            "rest-spot-exchangeinfo-2021.json",
            "binance-spot",
            "/api/v3/exchangeInfo",
            {"filters", "permissions", "permissionSets"},
        ),
        ("rest-usdm-exchangeinfo-2021.json", "binance-perpetual", "/fapi/v1/exchangeInfo", {"underlyingSubType"}),
    ],
)
def test_binance_catalogues(world, captures: Path, file: str, host: str, path: str, changed: set[str]) -> None:
    recorded, ours = json.loads((captures / "binance" / file).read_text()), world.json(host, path)
    assert [key for key in ours if key != "assets"] == [key for key in recorded if key != "assets"]
    by_name = [{entry["symbol"]: entry for entry in catalogue["symbols"]} for catalogue in (ours, recorded)]
    mine, theirs = ({key: value for key, value in each["BTCUSDT"].items() if key not in changed} for each in by_name)
    assert shape(mine, padding=False) == shape(theirs, padding=False)
    filters = [{each["filterType"]: each for each in entries["BTCUSDT"]["filters"]} for entries in by_name]
    for name in filters[0].keys() & filters[1].keys():
        assert list(filters[0][name]) == list(filters[1][name])
