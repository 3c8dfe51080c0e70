"""A book of a checkpoint as each venue would have told it: what the venue itself said in a recording, made again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, key
from cryptodash.exchanges.adapter.messages import Depth, Mark, Stats
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest, StreamSpec
from cryptodash.exchanges.venues import registry as venues
from cryptodash.simulator.dialect import IBookSnapshots, IFiguresSnapshots, RecordedBook, RecordedFigures
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.dialects.kraken.numbers import text_checksum
from cryptodash.simulator.recorded_files import RecordedAnswer, file_lines, said

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
ALL = ("binance", "bybit", "okx", "coinbase", "kraken")


def book(market: MarketType = SPOT, native: str = "BTC-USDT", **changes: Any) -> RecordedBook:
    bids = ((Number("9.90"), Number("1.50")), (Number("9.80"), Number("2")))
    asks = ((Number("10.10"), Number("0.30")),)
    members = {"depth": 50, "sequence": 77, "time": 1_700_000_000_123, "limit": 3} | changes
    return RecordedBook(market, native, bids=bids, asks=asks, **members)


def snapshot(exchange: str, told: RecordedBook) -> str | RecordedAnswer:
    reader: Any = registry.load(exchange).recordings
    assert IBookSnapshots.providedBy(reader)
    return reader.book_snapshot(told)  # type: ignore[no-any-return]


def read(exchange: str, endpoint: str, stream: str, frame: str, instrument: Instrument | None = None) -> Depth:
    """As the adapter reads it."""
    reader = venues.load(exchange).reader(StreamSpec(endpoint, stream, frozenset(), instrument=instrument))
    (found,) = [each for each in reader(stream, frame.encode()) if isinstance(each, Depth)]
    return found


def sides(found: Depth) -> tuple[Sequence[Any], Sequence[Any]]:
    """Best first."""
    return (
        sorted(found.bids, key=lambda level: -key(level[0])),
        sorted(found.asks, key=lambda level: key(level[0])),
    )


def of_depth(found: Depth, native: str, **changes: Any) -> RecordedBook:
    bids, asks = sides(found)
    time = found.time or 0
    members: dict[str, Any] = {"market": SPOT, "depth": 50, "sequence": found.last, "limit": 1000} | changes
    return RecordedBook(native=native, time=time, bids=bids, asks=asks, **members)


def assert_same(again: Depth, before: Depth) -> None:
    assert again.snapshot and sides(again) == sides(before)
    assert (again.last, again.time, again.previous) == (before.last, before.time, before.previous)


def first_snapshot(path: Path) -> str:
    frames = (line.text for line in file_lines(path) if line.came_in)
    return next(text for text in frames if '":"snapshot"' in text[:200])


# -- what the venues said, made again


@pytest.mark.captures
@pytest.mark.parametrize(
    ("exchange", "file", "endpoint", "stream", "native", "depth"),
    [
        ("bybit", "spot-orderbook50-btcusdt-2026.jsonl", "spot", "orderbook.50.BTCUSDT", "BTCUSDT", 50),
        ("bybit", "linear-orderbook50-btcusdt-2026.jsonl", "linear", "orderbook.50.BTCUSDT", "BTCUSDT", 50),
        ("okx", "spot-books-btcusdt-2026.jsonl", "", "", "BTC-USDT", 400),
        ("coinbase", "at-level2-btcusd-2026.jsonl", "", "level2:BTC-USD", "BTC-USD", None),
        ("kraken", "spot-v2-book25-btcusd-2026.jsonl", "", "book:25:BTC/USD", "BTC/USD", 25),
        ("kraken", "spot-v2-book25-ethusd-2026.jsonl", "", "book:25:ETH/USD", "ETH/USD", 25),
        ("kraken", "spot-v2-book10-btcusd-second-snapshot-2026.jsonl", "", "book:10:BTC/USD", "BTC/USD", 10),
        ("kraken", "spot-v2-book10-dogeusdt-double-snapshot-2026.jsonl", "", "book:10:DOGE/USDT", "DOGE/USDT", 10),
    ],
)
def test_a_recorded_snapshot_is_told_again(
    captures: Path, exchange: str, file: str, endpoint: str, stream: str, native: str, depth: int | None
) -> None:
    text = first_snapshot(captures / exchange / file)
    endpoint = endpoint or next(iter(venues.load(exchange).endpoints))
    stream = stream or json.dumps(json.loads(text)["arg"], separators=(",", ":"))[1:-1]
    before = read(exchange, endpoint, stream, text)
    market = PERPETUAL if file.startswith("linear") else SPOT
    again = snapshot(exchange, of_depth(before, native, depth=depth, market=market))
    assert isinstance(again, str)
    assert_same(read(exchange, endpoint, stream, again), before)
    if before.checksum is not None:  # the first one may come without
        assert read(exchange, endpoint, stream, again).checksum == before.checksum


@pytest.mark.captures
@pytest.mark.parametrize(
    ("file", "market"),
    [("rest-spot-depth-btcusdt-2024.json", SPOT), ("rest-usdm-depth-btcusdt-2024.json", PERPETUAL)],
)
def test_a_recorded_answer_is_told_again(captures: Path, file: str, market: MarketType) -> None:
    request = RestRequest(Purpose.SNAPSHOT, market, "", native="BTCUSDT", limit=1000)
    venue = venues.load("binance")
    before = venue.read_snapshot(request, (captures / "binance" / file).read_bytes())
    again = snapshot("binance", of_depth(before, "BTCUSDT", market=market))
    assert isinstance(again, RecordedAnswer)
    read_again = venue.read_snapshot(request, again.body)
    assert sides(read_again) == sides(before) and read_again.last == before.last
    reader = registry.load("binance").recordings
    assert reader is not None
    asked = reader.read_snapshot_request(again.url)
    assert asked is not None and (asked.market, asked.native, asked.limit) == (market, "BTCUSDT", 1000)


@pytest.mark.captures
def test_recorded_figures_are_told_again(captures: Path) -> None:
    path, stream = captures / "bybit" / "linear-tickers-btcusdt-2026.jsonl", "tickers.BTCUSDT"
    text = first_snapshot(path)
    reader = venues.load("bybit").reader(StreamSpec("linear", stream, frozenset()))
    mark, stats = reader(stream, text.encode())
    assert isinstance(stats, Stats) and isinstance(mark, Mark)
    known = {
        "last": stats.last,
        "open_24h": stats.open,
        "high_24h": stats.high,
        "low_24h": stats.low,
        "volume_24h": stats.volume,
        "quote_volume_24h": stats.quote_volume,
        "change_pct_24h": stats.change_pct,
        "mark_price": mark.mark_price,
        "index_price": mark.index_price,
        "funding_rate": mark.funding_rate,
        "next_funding_time": mark.next_funding_time,
        "open_interest": mark.open_interest,
        "funding_interval_h": mark.funding_interval_h,
    }
    assert stats.time is not None
    figures = {name: str(value) for name, value in known.items() if value is not None}
    dialect: Any = registry.load("bybit").recordings
    assert IFiguresSnapshots.providedBy(dialect)
    again = dialect.figures_snapshot(RecordedFigures(PERPETUAL, "BTCUSDT", stats.time, figures))
    assert list(reader(stream, again.encode())) == [mark, stats]
    assert dialect.figures_snapshot(RecordedFigures(SPOT, "BTCUSDT", stats.time, figures)) is None


# -- by hand


@pytest.mark.parametrize("exchange", ALL)
def test_each_reader_finds_its_stream_in_the_frame(exchange: str) -> None:
    native = {"binance": "BTCUSDT", "bybit": "BTCUSDT", "kraken": "BTC/USD"}.get(exchange, "BTC-USDT")
    told = snapshot(exchange, book(native=native))
    reader = registry.load(exchange).recordings
    assert reader is not None
    if isinstance(told, RecordedAnswer):
        assert exchange == "binance" and json.loads(told.body)["lastUpdateId"] == 77
        return
    message = said(told)
    assert message is not None
    found = reader.read_data(message, told, [])
    assert found is not None and found[1] == told and reader.native_of(found[0]) == native


def test_sizes_of_swaps_are_contracts_again() -> None:
    told = snapshot("okx", book(PERPETUAL, native="BTC-USDT-SWAP", contract_size=Number("0.01")))
    assert isinstance(told, str)
    row = json.loads(told)["data"][0]
    assert [[price, size] for price, size, *_ in row["bids"]] == [["9.90", "150"], ["9.80", "200"]]
    instrument = Instrument(
        "okx",
        PERPETUAL,
        Symbol("BTC", "USDT"),
        "BTC-USDT-SWAP",
        Number("0.1"),
        Number("0.01"),
        contract_size=Number("0.01"),
    )
    stream = '"channel":"books","instId":"BTC-USDT-SWAP"'
    again = read("okx", "swap-books", stream, told, instrument)
    assert [key(size) for _, size in again.bids] == [key(Number("1.5")), key(Number("2"))]


@pytest.mark.parametrize(
    ("exchange", "told"),
    [
        ("binance", book(sequence=None)),
        ("bybit", book(sequence=None)),
        ("bybit", book(depth=None)),
        ("okx", book(sequence=None)),
        ("okx", book(PERPETUAL)),
        ("okx", book(contract_size=Number("0.01"))),
        ("okx", book(PERPETUAL, contract_size=Number("7"))),
    ],
)
def test_a_book_that_the_venue_cannot_have_is_refused(exchange: str, told: RecordedBook) -> None:
    with pytest.raises(ValueError, match=r"book|contracts"):
        snapshot(exchange, told)


def test_a_checksum_is_of_the_texts() -> None:
    """docs.kraken.com, "Book checksum (v2)": no point, no leading zeros, asks first."""
    bids = [(f"45283.{n}", f"0.{n}0000000") for n in range(5, 3, -1)]
    asks = [("45285.2", "0.00100000")]
    assert text_checksum(bids, asks) == crc32(b"452852" + b"100000" + b"452835" + b"50000000" + b"452834" + b"40000000")
