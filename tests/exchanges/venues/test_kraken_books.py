"""Kraken's recorded frames, each of them; and its books against a rebuild that shares no line with
ours."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.messages import Bar, Depth, Quote, Stats
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.book_sync import OrderBook
from cryptodash.exchanges.venues.kraken.book import checksum
from cryptodash.exchanges.venues.kraken.venue import VENUE
from cryptodash.testing.readers import read

SPOT = MarketType.SPOT
RULES = VENUE.book_rules[SPOT]


class Text(str):
    """A number of a frame, as it is written."""


def frames(path: Path) -> Iterator[tuple[str, Any]]:
    """The text of each frame that came in, and what plain JSON makes of it, numbers as they are written."""
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record["dir"] == "in":
            yield record["raw"], json.loads(record["raw"], parse_float=Text, parse_int=Text)


RECORDED = {
    "spot-v2-book10-btcusd-resub-2026.jsonl": {"Ignored": 1, "Ack": 15, "Depth": 301, "Heartbeat": 60},
    "spot-v2-book10-btcusd-second-snapshot-2026.jsonl": {"Ignored": 1, "Ack": 1, "Depth": 9},
    "spot-v2-book10-dogeusdt-double-snapshot-2026.jsonl": {"Ignored": 1, "Ack": 1, "Depth": 4},
    "spot-v2-book25-btcusd-2026.jsonl": {"Ignored": 1, "Ack": 1, "Depth": 2052, "Heartbeat": 50},
    "spot-v2-book25-ethusd-2026.jsonl": {"Ignored": 1, "Ack": 1, "Depth": 1129, "Heartbeat": 39},
    "spot-v2-instrument-snapshot-2024.jsonl": {"Unwanted": 1},
    "spot-v2-ohlc1-btcusd-2026.jsonl": {"Ignored": 1, "Ack": 1, "Bar": 5},
    "spot-v2-ticker-btcusd-2026.jsonl": {"Ignored": 1, "Ack": 1, "Quote": 2, "Stats": 2, "Heartbeat": 1},
}


def says(message: object, data: Any) -> None:
    """Compare one message with the element that it was read from."""
    if isinstance(message, Depth):
        sides = [[(level["price"], level["qty"]) for level in data[side]] for side in ("bids", "asks")]
        assert [list(message.bids), list(message.asks)] == sides
        assert message.checksum == (int(data["checksum"]) if "checksum" in data else None)
    elif isinstance(message, Bar):
        prices = [message.open, message.high, message.low, message.close, message.volume]
        assert prices == [data[key] for key in ("open", "high", "low", "close", "volume")]
    elif isinstance(message, Quote):
        best = [message.bid, message.bid_size, message.ask, message.ask_size]
        assert best == [data[key] for key in ("bid", "bid_qty", "ask", "ask_qty")]
    elif isinstance(message, Stats):
        figures = [message.last, message.high, message.low, message.volume, message.change, message.change_pct]
        assert figures == [data[key] for key in ("last", "high", "low", "volume", "change", "change_pct")]
        assert message.open is not None and Decimal(message.open) == Decimal(data["last"]) - Decimal(data["change"])


@pytest.mark.captures
@pytest.mark.parametrize("name", RECORDED)
def test_frames_say_what_was_recorded(captures: Path, name: str) -> None:
    counted: Counter[str] = Counter()
    for raw, frame in frames(captures / "kraken" / name):
        messages = read(VENUE, "spot", raw.encode())
        counted.update(type(each).__name__ for each in messages)
        data = [each for each in frame.get("data", ()) if isinstance(each, dict)]
        if data and "symbol" in data[0]:
            of_each = len(messages) // len(data)
            for number, message in enumerate(messages):
                says(message, data[number // of_each])
    assert counted == RECORDED[name]


@pytest.mark.captures
def test_every_recording_of_the_current_version_is_read(captures: Path) -> None:
    assert {path.name for path in (captures / "kraken").glob("spot-*.jsonl")} == set(RECORDED)


# Books


class Plain:
    """A book as the documents describe it: two dicts, sorted anew for every question."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[Decimal, tuple[str, str]]] = {}

    def take(self, kind: str, data: Any) -> None:
        if kind == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        for name, side in self.sides.items():
            for level in data[name]:
                side[Decimal(level["price"])] = (level["price"], level["qty"])
            self.sides[name] = {key: level for key, level in side.items() if Decimal(level[1])}
            self.sides[name] = {key: self.sides[name][key] for key in self.keys(name)[: self.depth]}

    def keys(self, name: str) -> list[Decimal]:
        return sorted(self.sides[name], reverse=name == "bids")

    def levels(self, name: str) -> list[tuple[str, str]]:
        return [self.sides[name][key] for key in self.keys(name)]

    def sum(self) -> int:
        words = [re.sub("^0+", "", text.replace(".", "")) for name in ("asks", "bids") for text in self.best(name)]
        return crc32("".join(words).encode())

    def best(self, name: str) -> list[str]:
        return [text for level in self.levels(name)[:10] for text in level]


@pytest.mark.captures
@pytest.mark.parametrize(
    ("name", "depth", "checked"),
    [
        ("book25-btcusd-2026", 25, 2052),
        ("book25-ethusd-2026", 25, 1129),
        ("book10-btcusd-resub-2026", 10, 301),
        ("book10-btcusd-second-snapshot-2026", 10, 9),
        ("book10-dogeusdt-double-snapshot-2026", 10, 3),
    ],
)
def test_every_checksum_is_right_and_every_book_is_that_of_a_plain_rebuild(
    captures: Path, name: str, depth: int, checked: int
) -> None:
    book, plain, right = OrderBook(RULES, tier=depth), Plain(depth), 0
    for raw, frame in frames(captures / "kraken" / f"spot-v2-{name}.jsonl"):
        if frame.get("channel") != "book":
            continue
        (message,) = read(VENUE, "spot", raw.encode())
        assert isinstance(message, Depth)
        assert book.received(message) in (Outcome.REBUILT, Outcome.CHANGED, Outcome.IGNORED)
        plain.take(frame["type"], frame["data"][0])
        bids, asks = book.top(1000)
        assert [list(bids), list(asks)] == [plain.levels("bids"), plain.levels("asks")]
        assert Decimal(bids[0][0]) < Decimal(asks[0][0]) and max(len(bids), len(asks)) <= depth
        if message.checksum is not None:
            assert message.checksum == plain.sum() == checksum(bids[:10], asks[:10])
            right += 1
    assert (right, book.gaps) == (checked, 0)


@pytest.mark.captures
def test_a_lost_frame_is_told_by_the_next_checksum(captures: Path) -> None:
    """Or it never mattered, because the next frame says all that it said: no book is shown that is not the venue's."""
    recorded = [
        (read(VENUE, "spot", raw.encode())[0], frame)
        for raw, frame in frames(captures / "kraken" / "spot-v2-book10-btcusd-resub-2026.jsonl")
        if frame.get("channel") == "book"
    ]
    noticed = 0
    for lost in range(1, 60):
        book, plain = OrderBook(RULES, tier=10), Plain(10)
        for number, (message, frame) in enumerate(recorded[:80]):
            plain.take(frame["type"], frame["data"][0])
            if number == lost:
                continue
            assert isinstance(message, Depth)
            outcome = book.received(message)
            if outcome is Outcome.CHECKSUM:
                noticed += 1
                break
            assert [list(side) for side in book.top(10)] == [plain.levels("bids"), plain.levels("asks")]
    assert noticed >= 20


def test_the_digits_of_a_checksum() -> None:
    """The example of the documents: the points and the leading zeros go, the padding stays."""
    asks = [(Number("63005.0"), Number("0.00039677"))]
    bids = [(Number("0.05000"), Number("0.00005100"))]
    assert checksum(bids, asks) == crc32(b"630050396775000" + b"5100")
