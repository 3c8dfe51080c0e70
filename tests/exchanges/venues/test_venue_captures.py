"""Every recorded frame of Binance and Bybit is read, and says digit for digit what its raw JSON says."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryptodash.core.events import Side
from cryptodash.exchanges.adapter.messages import Ack, Bar, Depth, Mark, Message, Quote, Stats, Trades
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.venues.binance.venue import VENUE as BINANCE
from cryptodash.exchanges.venues.bybit.venue import VENUE as BYBIT
from cryptodash.testing.readers import read

pytestmark = pytest.mark.captures


def frames(path: Path) -> Iterator[tuple[str, str]]:
    """(direction, raw text) of each recorded line."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            record = json.loads(line)
            yield record["dir"], record["raw"]


def incoming(path: Path) -> Iterator[bytes]:
    """What the venue sent; bare payloads of a ``/ws/<stream>`` recording get the wrapper that our connections have."""
    stream = ""
    for direction, raw in frames(path):
        if direction == "out":
            stream = json.loads(raw).get("params", [""])[0]
        elif stream and not raw.startswith('{"result"'):
            yield f'{{"stream":"{stream}","data":{raw}}}'.encode()
        else:
            yield raw.encode()


def binance_says(data: dict[str, Any], market: str, message: Message) -> None:
    """Compare one message with the raw payload it came from."""
    if isinstance(message, Quote):
        assert [message.bid, message.bid_size, message.ask, message.ask_size, message.update_id] == [
            data[key] for key in "bBaAu"
        ]
        assert message.time == data.get("T")
    elif isinstance(message, Depth):
        assert [[list(level) for level in side] for side in (message.bids, message.asks)] == [data["b"], data["a"]]
        assert (message.first, message.last, message.previous) == (data["U"], data["u"], data.get("pu"))
        assert message.time == (data["E"] if market == "spot" else data["T"]) and not message.snapshot
    elif isinstance(message, Trades):
        (fill,) = message.fills
        number = data["a"] if data["e"] == "aggTrade" else data["t"]
        assert (fill.price, fill.quantity, fill.time, fill.number, fill.id) == (
            data["p"],
            data["q"],
            data["T"],
            number,
            str(number),
        )
        assert fill.side is (Side.SELL if data["m"] else Side.BUY)
    elif isinstance(message, Bar):
        bar = data["k"]
        assert [message.open_time, message.open, message.high, message.low, message.close, message.volume] == [
            bar[key] for key in "tohlcv"
        ]
        assert message.closed is bar["x"]
    else:
        assert isinstance(message, Stats)
        assert [message.last, message.open, message.high, message.low, message.volume, message.quote_volume] == [
            data[key] for key in "cohlvq"
        ]
        assert (message.change, message.change_pct, message.time) == (data.get("p"), data.get("P"), data["E"])


BINANCE_FILES = {
    "spot-combined-btcusdt-2024.jsonl.gz": {"Depth": 3451, "Quote": 28040, "Trades": 9757},
    "usdm-combined-btcusdt-2024.jsonl.gz": {"Depth": 2993, "Quote": 27473, "Trades": 5534},
    "spot-combined-4sym-2021.jsonl": {"Depth": 177, "Quote": 84, "Trades": 2, "Bar": 2},
    "usdm-combined-4sym-2021.jsonl": {"Depth": 764, "Quote": 613, "Trades": 91, "Bar": 67},
    "spot-bookticker-btcusdt-2026.jsonl": {"Ack": 1, "Quote": 2},
    "spot-miniticker-btcusdt-2026.jsonl": {"Ack": 1, "Stats": 2},
    "spot-kline1m-btcusdt-2026.jsonl": {"Ack": 1, "Bar": 2},
    "usdm-miniticker-btcusdt-2026.jsonl": {"Ack": 1, "Stats": 2},
    "usdm-kline1m-btcusdt-2026.jsonl": {"Ack": 1, "Bar": 2},
    "coinm-ticker24h-btcusdperp-2026.jsonl": {"Ack": 1, "Stats": 1},
}


@pytest.mark.parametrize("name", BINANCE_FILES)
def test_binance_frames_say_what_was_recorded(captures: Path, name: str) -> None:
    market = "spot" if name.startswith("spot") else "usdm"
    endpoint = "spot" if market == "spot" else "usdm-public"
    counted: Counter[str] = Counter()
    for frame in incoming(captures / "binance" / name):
        (message,) = read(BINANCE, endpoint, frame)
        counted[type(message).__name__] += 1
        if isinstance(message, Ack):
            assert message.ok
            continue
        raw = json.loads(frame)
        assert BINANCE.reader(StreamSpec(endpoint, raw["stream"], frozenset()))(raw["stream"], frame) == (message,)
        assert raw["stream"] == message.stream  # type: ignore[union-attr]
        binance_says(raw["data"], market, message)
    assert counted == BINANCE_FILES[name]


def test_every_binance_recording_is_read(captures: Path) -> None:
    assert {path.name for path in (captures / "binance").iterdir() if ".jsonl" in path.name} == set(BINANCE_FILES)


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_binance_snapshots_say_what_was_recorded(captures: Path, market: str) -> None:
    paths = sorted((captures / "binance").glob(f"rest-{market}-depth-*.json"))
    assert len(paths) == 5
    kind = BINANCE.markets[market == "usdm"]
    request = BINANCE.probe_request(kind)
    for path in paths:
        body = path.read_bytes()
        raw, depth = json.loads(body), BINANCE.read_snapshot(request, body)
        assert depth.snapshot and depth.first == depth.last == raw["lastUpdateId"] and depth.time == raw.get("T")
        assert [[list(level) for level in side] for side in (depth.bids, depth.asks)] == [raw["bids"], raw["asks"]]


def bybit_says(raw: dict[str, Any], messages: list[Message]) -> None:
    """Compare what a frame was read as with the raw frame."""
    data, kind = raw["data"], raw["topic"].split(".")[0]
    if kind == "kline":
        for message, bar in zip(messages, data, strict=True):
            assert isinstance(message, Bar) and message.closed is bar["confirm"]
            said = [message.open_time, message.open, message.high, message.low, message.close, message.volume]
            assert said == [bar[key] for key in ("start", "open", "high", "low", "close", "volume")]
    elif kind == "publicTrade":
        (trades,) = messages
        assert isinstance(trades, Trades)
        assert [(each.id, each.price, each.quantity, each.side.value, each.time) for each in trades.fills] == [
            (each["i"], each["p"], each["v"], each["S"].lower(), each["T"]) for each in data
        ]
    elif kind == "tickers":
        bybit_ticker_says(raw, messages)
    elif raw["topic"].startswith("orderbook.1."):
        (quote,) = messages
        assert isinstance(quote, Quote)
        assert [[quote.bid, quote.bid_size], [quote.ask, quote.ask_size], quote.time] == [
            *data["b"],
            *data["a"],
            raw["cts"],
        ]
    else:
        (depth,) = messages
        assert isinstance(depth, Depth) and depth.first == depth.last == data["u"] and depth.time == raw["cts"]
        assert depth.snapshot is (raw["type"] == "snapshot")
        assert [[list(level) for level in side] for side in (depth.bids, depth.asks)] == [data["b"], data["a"]]


def bybit_ticker_says(raw: dict[str, Any], messages: list[Message]) -> None:
    data = raw["data"]
    for message in messages:
        assert (
            isinstance(message, Stats | Mark)
            and message.time == raw["ts"]
            and message.full is (raw["type"] == "snapshot")
        )
        if isinstance(message, Stats):
            said = [message.last, message.open, message.high, message.low, message.volume, message.quote_volume]
            assert said == [
                data.get(key)
                for key in ("lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h")
            ]
        else:
            said = [message.mark_price, message.index_price, message.funding_rate, message.open_interest]
            assert said == [data.get(key) for key in ("markPrice", "indexPrice", "fundingRate", "openInterest")]


BYBIT_FILES = {
    "linear-kline1-btcusdt-2026.jsonl": {"Ack": 1, "Bar": 2},
    "linear-orderbook50-btcusdt-2026.jsonl": {"Depth": 2},
    "linear-orderbook500-xrpusdt-2024.jsonl": {"Depth": 50},
    "linear-publictrade-btcusdt-2026.jsonl": {"Ack": 1, "Trades": 2},
    "linear-tickers-btcusdt-2026.jsonl": {"Stats": 1, "Mark": 2},
    "spot-kline1-btcusdt-2026.jsonl": {"Ack": 1, "Bar": 2},
    "spot-orderbook1-btcusdt-2026.jsonl": {"Ack": 1, "Quote": 2},
    "spot-orderbook50-btcusdt-2026.jsonl": {"Ack": 1, "Depth": 9},
    "spot-publictrade-btcusdt-2026.jsonl": {"Ack": 1, "Trades": 2},
    "spot-tickers-btcusdt-2026.jsonl": {"Ack": 1, "Stats": 2},
}


@pytest.mark.parametrize("name", BYBIT_FILES)
def test_bybit_frames_say_what_was_recorded(captures: Path, name: str) -> None:
    endpoint = name.partition("-")[0]
    counted: Counter[str] = Counter()
    for direction, text in frames(captures / "bybit" / name):
        if direction == "out":
            continue
        messages = list(read(BYBIT, endpoint, text.encode()))
        counted.update(type(message).__name__ for message in messages)
        raw = json.loads(text)
        if "topic" in raw:
            assert (
                list(BYBIT.reader(StreamSpec(endpoint, raw["topic"], frozenset()))(raw["topic"], text.encode()))
                == messages
            )
            assert {message.stream for message in messages} == {raw["topic"]}  # type: ignore[union-attr]
            bybit_says(raw, messages)
    assert counted == BYBIT_FILES[name]


def test_every_bybit_recording_is_read(captures: Path) -> None:
    assert {path.name for path in (captures / "bybit").glob("*.jsonl")} == set(BYBIT_FILES)
