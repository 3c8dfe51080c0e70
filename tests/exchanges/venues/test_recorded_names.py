"""A recording's streams and instruments by the names that the adapter has for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.core.topics import Topic
from cryptodash.exchanges.venues import registry
from cryptodash.exchanges.venues.recorded import RecordedVenue
from cryptodash.exchanges.venues.recorded_names import listed, own_names
from cryptodash.simulator.recording import answers_beside, read_recording


def topics(path: Path, depth: int) -> list[Topic]:
    recording = read_recording(path)
    real = registry.load(recording.exchange)
    samples = own_names(real, recording.market, recording.symbols, recording.asked, recording.samples())
    return RecordedVenue(real, samples).topics(recording.exchange, recording.market, recording.symbols, depth)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("spot-v2-book25-btcusd-2026.jsonl", "kraken:spot:BTC-USD:order_book:20"),
        ("spot-v2-book10-btcusd-resub-2026.jsonl", "kraken:spot:BTC-USD:order_book:20"),
        ("spot-v2-ohlc1-btcusd-2026.jsonl", "kraken:spot:BTC-USD:candle:1m"),
    ],
)
def test_a_venue_that_names_no_streams_is_replayed(name: str, topic: str, captures: Path) -> None:
    assert [each.text for each in topics(captures / "kraken" / name, 20)] == [topic]


def test_names_that_are_the_venues_own_stay(captures: Path) -> None:
    recording = read_recording(captures / "bybit" / "linear-orderbook50-btcusdt-2026.jsonl")
    real = registry.load(recording.exchange)
    samples = recording.samples()
    assert own_names(real, recording.market, recording.symbols, recording.asked, samples) == samples


def test_a_recorded_catalogue_says_how_much_a_contract_is(captures: Path) -> None:
    path = captures / "okx" / "swap-trades-btcusdt-2026.jsonl"
    real = registry.load("okx")
    known = listed(real, MarketType.PERPETUAL, lambda asked: answers_beside(path, asked.path, asked.params))
    assert known and all(each.contract_size for each in known.values())
    spot = listed(real, MarketType.SPOT, lambda asked: answers_beside(path, asked.path, asked.params))
    assert spot and not spot.keys() & known.keys()
