"""What the simulated OKX sends has the shape of what was recorded: the same keys in the same order, the same kinds of
values, padded where it was; and what its numbers say is the simulated truth."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from tests.simulator.test_sim_frames import shape

PATHS = {"candle1m": "/ws/v5/business", "trades-all": "/ws/v5/business"}
RECORDED = [
    ("spot-books-btcusdt-2026.jsonl", "books", "BTC-USDT"),
    ("spot-tickers-btcusdt-2026.jsonl", "tickers", "BTC-USDT"),
    ("swap-tickers-btcusdt-2026.jsonl", "tickers", "BTC-USDT-SWAP"),
    ("spot-trades-btcusdt-2026.jsonl", "trades", "BTC-USDT"),
    ("swap-trades-btcusdt-2026.jsonl", "trades", "BTC-USDT-SWAP"),
    ("swap-books5-btcusdt-2026.jsonl", "books5", "BTC-USDT-SWAP"),
    ("spot-candle1m-btcusdt-2026.jsonl", "candle1m", "BTC-USDT"),
    ("swap-candle1m-btcusdt-2026.jsonl", "candle1m", "BTC-USDT-SWAP"),
]


def _recorded(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [json.loads(line["raw"]) for line in lines if line["dir"] == "in"]


def _sent(world, channel: str, native: str, seconds: float = 20.0) -> list[dict[str, Any]]:
    wire = world.connect("okx", PATHS.get(channel, "/ws/v5/public"))
    wire.say({"op": "subscribe", "args": [{"channel": channel, "instId": native}]})
    world.run(seconds)
    taken: list[dict[str, Any]] = wire.take()
    return taken


def _columns(frame: dict[str, Any]) -> list[Any]:
    """Of a candle each column apart: ``shape`` looks at the first of a list."""
    rows = frame["data"]
    return [shape(text, padding=True) for text in rows[0]] if isinstance(rows[0], list) else []


@pytest.mark.captures
@pytest.mark.parametrize(("file", "channel", "native"), RECORDED)
def test_every_frame_has_the_recorded_shape(world, captures: Path, file: str, channel: str, native: str) -> None:
    recorded = _recorded(captures / "okx" / file)
    known = {(frame.get("event"), frame.get("action")): frame for frame in recorded}
    full = {frame.get("action"): frame for frame in recorded if "data" in frame and _is_full(frame)}
    sent = _sent(world, channel, native)
    assert {(frame.get("event"), frame.get("action")) for frame in sent} == known.keys()
    compared = 0
    for frame in sent:
        if "data" not in frame:
            assert frame | {"connId": ""} == known["subscribe", None] | {"connId": ""}
            assert list(frame) == list(known["subscribe", None])
        elif _is_full(frame):
            assert shape(frame, padding=False) == shape(full[frame.get("action")], padding=False)
            compared += 1
    assert compared > 1


def _is_full(frame: dict[str, Any]) -> bool:
    """Whether both sides of a book say something."""
    (row,) = frame["data"]
    return not isinstance(row, dict) or all(row.get(side, True) for side in ("asks", "bids"))


@pytest.mark.captures
def test_candles_of_perpetuals_are_padded_and_those_of_spot_are_not(world, captures: Path) -> None:
    (recorded,) = [each for each in _recorded(captures / "okx" / "swap-candle1m-btcusdt-2026.jsonl") if "data" in each]
    for frame in _sent(world, "candle1m", "BTC-USDT-SWAP"):
        if "data" in frame:
            assert _columns(frame) == _columns(recorded)
    for channel in ("candle1m", "tickers", "trades", "books"):
        for frame in _sent(world, channel, "BTC-USDT", 3):
            assert all(not _is_padded(text) for text in _texts(frame.get("data", [])))
        world.run(0.6)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts(each)]


def _is_padded(text: str) -> bool:
    return "." in text and text.endswith("0")


@pytest.mark.captures
@pytest.mark.parametrize("kind", ["spot", "swap"])
def test_catalogue_entries_have_the_recorded_shape(world, captures: Path, kind: str) -> None:
    recorded = json.loads((captures / "okx" / f"rest-instruments-{kind}-2026.json").read_text())
    ours = world.json("okx", "/api/v5/public/instruments", instType=kind.upper())
    assert list(ours) == list(recorded)
    mine = {entry["instId"]: entry for entry in ours["data"]}
    for entry in recorded["data"]:
        listed = mine[entry["instId"]]
        assert list(listed) == list(entry)
        assert [type(value) for value in listed.values()] == [type(value) for value in entry.values()]
        same = ("instType", "baseCcy", "quoteCcy", "settleCcy", "uly", "instFamily", "ctType", "ctVal", "ctValCcy")
        assert {name: listed[name] for name in (*same, "tickSz", "lotSz")} == {
            name: entry[name] for name in (*same, "tickSz", "lotSz")
        }


@pytest.mark.captures
def test_the_refusal_of_an_unknown_instrument_is_the_recorded_one(world, captures: Path) -> None:
    answer = world.get("okx", "/api/v5/public/instruments", instType="SPOT", instId="NOPE-USDT")
    assert answer.status == 200
    assert answer.body.decode() == (captures / "okx" / "rest-error-51001.json").read_text().strip()


# -- what the numbers say


def _truth(world, native: str):
    market = MarketType.PERPETUAL if native.endswith("-SWAP") else MarketType.SPOT
    return world.simulator.truth.instrument("okx", market, native)


def test_aggregated_trades_count_their_fills_and_ids_go_on_by_that_count(world) -> None:
    frames = [frame["data"] for frame in _sent(world, "trades", "BTC-USDT-SWAP", 20) if "data" in frame]
    rows = [row for (row,) in frames]
    assert {row["count"] for row in rows} >= {"1", "2"}
    for before, after in itertools.pairwise(rows):
        assert int(after["tradeId"]) == int(before["tradeId"]) + int(after["count"])
    fills = {fill.id: fill for fill in _truth(world, "BTC-USDT-SWAP").trades}
    for row in rows:
        last = int(row["tradeId"])
        own = [fills[number] for number in range(last - int(row["count"]) + 1, last + 1)]
        spec = _truth(world, "BTC-USDT-SWAP").spec
        assert Decimal(row["sz"]) * Decimal("0.01") == sum(Decimal(spec.size(fill.size)) for fill in own)
        assert {Decimal(spec.price(fill.price)) for fill in own} == {Decimal(row["px"])}
        assert {"buy" if fill.buy else "sell" for fill in own} == {row["side"]}
        assert row["ts"] == str(own[-1].time)


def test_every_fill_comes_alone_on_the_other_channel(world) -> None:
    rows = [frame["data"][0] for frame in _sent(world, "trades-all", "BTC-USDT", 30) if "data" in frame]
    ids = [int(row["tradeId"]) for row in rows]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert list(rows[0]) == ["instId", "tradeId", "px", "sz", "side", "source", "ts"]


@pytest.mark.parametrize("native", ["BTC-USDT", "DOGE-USDT-SWAP"])
def test_tickers_are_the_truth_in_the_units_of_their_market(world, native: str) -> None:
    market = MarketType.PERPETUAL if native.endswith("-SWAP") else MarketType.SPOT
    row = [frame["data"][0] for frame in _sent(world, "tickers", native, 10) if "data" in frame][-1]
    truth = world.simulator.truth.ticker("okx", market, native)
    names = ("last", "open24h", "high24h", "low24h", "bidPx", "askPx")
    quote = truth.quote
    assert [Decimal(row[name]) for name in names] == [
        Decimal(text) for text in (truth.last, truth.open, truth.high, truth.low, quote.bid, quote.ask)
    ]
    contract = Decimal(1000) if market is MarketType.PERPETUAL else Decimal(1)
    assert Decimal(row["vol24h"]) * contract == Decimal(truth.volume)
    assert Decimal(row["bidSz"]) * contract == Decimal(quote.bid_size)
    if market is MarketType.PERPETUAL:
        assert Decimal(row["volCcy24h"]) == Decimal(truth.volume)
    else:
        assert Decimal(truth.low) <= Decimal(row["volCcy24h"]) / Decimal(truth.volume) <= Decimal(truth.high)


def test_tickers_come_only_when_something_has_changed(world) -> None:
    rows = [frame["data"][0] for frame in _sent(world, "tickers", "NKN-USDT", 60) if "data" in frame]
    bare = [{name: text for name, text in row.items() if name != "ts"} for row in rows]
    assert len(rows) < 30
    assert all(before != after for before, after in itertools.pairwise(bare))


def test_a_closed_candle_has_its_last_word_before_the_next_one(world) -> None:
    rows = [frame["data"][0] for frame in _sent(world, "candle1m", "BTC-USDT", 130) if "data" in frame]
    closed = [at for at, row in enumerate(rows) if row[8] == "1"]
    assert len(closed) == 3
    for at in closed:
        assert rows[at + 1][0] == str(int(rows[at][0]) + 60_000)
        assert rows[at + 1][8] == "0"
        listed = world.json("okx", "/api/v5/market/candles", instId="BTC-USDT", limit=10)["data"]
        assert rows[at] in listed


def test_figures_of_a_perpetual_agree_with_rest(world) -> None:
    for channel, path, wanted in (
        ("mark-price", "public/mark-price", ["instId", "instType", "markPx", "ts"]),
        ("open-interest", "public/open-interest", ["instId", "instType", "oi", "oiCcy", "oiUsd", "ts"]),
        ("funding-rate", "public/funding-rate", None),
    ):
        row = [frame["data"][0] for frame in _sent(world, channel, "BTC-USDT-SWAP", 5) if "data" in frame][-1]
        (rest,) = world.json("okx", f"/api/v5/{path}", instType="SWAP", instId="BTC-USDT-SWAP")["data"]
        assert list(row) == list(rest) == (wanted or list(row))
    assert int(rest["nextFundingTime"]) - int(rest["fundingTime"]) == 8 * 3_600_000
    assert 0 < int(rest["fundingTime"]) - world.clock.wall_ms() <= 8 * 3_600_000
    interest = world.json("okx", "/api/v5/public/open-interest", instType="SWAP", instId="BTC-USDT-SWAP")["data"][0]
    assert Decimal(interest["oi"]) * Decimal("0.01") == Decimal(interest["oiCcy"])


def test_an_index_is_named_without_its_contract(world) -> None:
    row = [frame["data"][0] for frame in _sent(world, "index-tickers", "BTC-USDT", 5) if "data" in frame][-1]
    assert list(row) == ["instId", "idxPx", "high24h", "low24h", "open24h", "sodUtc0", "sodUtc8", "ts"]
    instrument = _truth(world, "BTC-USDT-SWAP")
    assert Decimal(row["idxPx"]) == Decimal(instrument.spec.price(instrument.index))
