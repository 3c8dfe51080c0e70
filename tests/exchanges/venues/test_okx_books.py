"""Books of OKX from its frames: the chain of ids with its keep-alive and its step back, the splice with REST, and
recorded books against an independent rebuild and the checksums that the venue sent once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from attrs import evolve

from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Ack, Depth
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.builders.book_states import Outcome
from cryptodash.exchanges.builders.book_sync import OrderBook
from cryptodash.exchanges.venues.okx.venue import VENUE
from cryptodash.exchanges.venues.okx.wire import stream_name
from cryptodash.testing.conformance import read_recording

SPOT = MarketType.SPOT
BTC = Instrument("okx", SPOT, Symbol("BTC", "USDT"), "BTC-USDT", Number("0.1"), Number("0.00000001"))
NAME = stream_name("books", "BTC-USDT")
READ = VENUE.reader(StreamSpec("spot-books", NAME, frozenset(), instrument=BTC))
TIER = 400

Levels = list[tuple[str, str]]


def wired(levels: Levels) -> list[list[str]]:
    return [[price, size, "0", "1"] for price, size in levels]


def frame(previous: int, number: int, bids: Levels, asks: Levels) -> Depth:
    """A snapshot where there is no previous one (-1)."""
    data = {"asks": wired(asks), "bids": wired(bids), "ts": str(number), "seqId": number, "prevSeqId": previous}
    action = "snapshot" if previous == -1 else "update"
    return only({"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [data]})


def only(document: Any) -> Depth:
    (depth,) = READ(NAME, json.dumps(document).encode())
    assert isinstance(depth, Depth)
    return depth


def make() -> OrderBook:
    book = OrderBook(VENUE.book_rules[SPOT], tier=TIER, instrument=BTC)
    book.watch(20)
    return book


def begun() -> OrderBook:
    book = make()
    assert book.received(frame(-1, 10, [("99", "1")], [("101", "1")])) is Outcome.REBUILT
    return book


def test_the_example_of_the_documents() -> None:
    """Normal, keep-alive, step back after maintenance, and on from there."""
    book = begun()
    assert book.received(frame(10, 15, [("99", "2")], [])) is Outcome.CHANGED
    assert book.received(frame(15, 15, [], [])) is Outcome.IGNORED
    assert (book.synced, book.sequence) == (True, 15)
    assert book.received(frame(15, 3, [("98", "1")], [])) is Outcome.CHANGED
    assert (book.synced, book.sequence) == (True, 3)
    assert book.received(frame(3, 5, [], [("102", "1")])) is Outcome.CHANGED
    assert book.top(5) == ([("99", "2"), ("98", "1")], [("101", "1"), ("102", "1")])
    assert book.gaps == 0


@pytest.mark.parametrize("previous", [9, 11, 14])
def test_a_frame_that_names_another_before_it_is_a_gap(previous: int) -> None:
    book = begun()
    assert book.received(frame(previous, 20, [("99", "2")], [])) is Outcome.GAP
    assert not book.synced and not any(book.top(5))
    assert book.received(frame(-1, 30, [("98", "1")], [("100", "1")])) is Outcome.REBUILT
    assert book.gaps == 1


def test_a_step_back_that_names_another_before_it_is_no_part_of_the_book() -> None:
    book = begun()
    assert book.received(frame(12, 3, [("98", "1")], [])) is Outcome.OLD
    assert book.top(5)[0] == [("99", "1")]


def test_a_second_snapshot_replaces_the_book_at_any_time() -> None:
    book = begun()
    assert book.received(frame(-1, 12, [("90", "1")], [("91", "1")])) is Outcome.REBUILT
    assert (book.top(5), book.sequence, book.gaps) == (([("90", "1")], [("91", "1")]), 12, 0)


def test_a_level_that_falls_out_of_the_tier_is_gone() -> None:
    asks = [(str(1000 + place), "1") for place in range(TIER)]
    book = make()
    book.received(frame(-1, 1, [("1", "1")], asks))
    book.received(frame(1, 2, [], [("999", "1")]))
    book.received(frame(2, 3, [], [("999", "0")]))
    assert [price for price, _ in book.top(1000)[1]] == [price for price, _ in asks[:-1]]


# The splice with REST: prevSeqId <= snapshot < seqId for the first frame to apply


def snapshot(number: int) -> Depth:
    topic = Topic("okx", SPOT, BTC.symbol, Channel.ORDER_BOOK)
    request = VENUE.snapshot_request(topic, BTC, 20)
    assert request is not None
    data = {"asks": wired([("101", "1")]), "bids": wired([("99", "1")]), "ts": str(number), "seqId": number}
    return VENUE.read_snapshot(request, json.dumps({"code": "0", "msg": "", "data": [data]}).encode())


WITHOUT_SNAPSHOT = [
    frame(100, 110, [("97", "1")], []),
    frame(110, 120, [("97", "2")], []),
    frame(120, 130, [("97", "3")], []),
]


@pytest.mark.parametrize(
    ("number", "outcome", "size"),
    [
        (99, Outcome.OUTDATED, None),  # older than all that was kept
        (100, Outcome.REBUILT, "3"),
        (105, Outcome.REBUILT, "3"),
        (110, Outcome.REBUILT, "3"),
        (119, Outcome.REBUILT, "3"),
        (120, Outcome.REBUILT, "3"),
        (130, Outcome.REBUILT, None),  # newer than all of them
    ],
)
def test_a_rest_snapshot_is_joined_by_the_venues_rule(number: int, outcome: Outcome, size: str | None) -> None:
    book = make()
    for each in WITHOUT_SNAPSHOT:
        assert book.received(each) is Outcome.BUFFERED
    assert book.wants_snapshot()
    book.snapshot_begun()
    assert book.snapshot(snapshot(number), TIER) is outcome
    if outcome is Outcome.REBUILT:
        assert dict(book.top(5)[0]).get(Number("97")) == size
        assert book.received(frame(130, 140, [("99", "4")], [])) is Outcome.CHANGED
        assert book.top(1)[0] == [("99", "4")]


def test_a_rest_snapshot_ahead_of_the_stream_waits_for_the_frame_that_covers_it() -> None:
    book = make()
    for each in WITHOUT_SNAPSHOT:
        book.received(each)
    book.snapshot_begun()
    assert book.snapshot(snapshot(145), TIER) is Outcome.REBUILT
    assert book.received(frame(130, 140, [("99", "7")], [])) is Outcome.OLD
    assert book.received(frame(140, 150, [("99", "8")], [])) is Outcome.CHANGED
    assert book.top(1)[0] == [("99", "8")]


def test_keep_alives_alone_are_enough_to_join_a_quiet_book() -> None:
    book = make()
    assert book.received(frame(100, 100, [], [])) is Outcome.BUFFERED
    book.snapshot_begun()
    assert book.snapshot(snapshot(100), TIER) is Outcome.REBUILT
    assert book.received(frame(100, 101, [("99", "9")], [])) is Outcome.CHANGED


# Recordings


class Plain:
    """A book as simple as can be, with the venue's own text for its checksum."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[Decimal, tuple[str, str]]] = {"bids": {}, "asks": {}}

    def take(self, action: str, data: Any) -> None:
        for name, side in self.sides.items():
            if action == "snapshot":
                side.clear()
            for price, size, *_ in data[name]:
                side[Decimal(price)] = (price, size)
                if not Decimal(size):
                    del side[Decimal(price)]
            for worst in sorted(side, reverse=name == "bids")[TIER:]:
                del side[worst]

    def levels(self) -> tuple[Levels, Levels]:
        bids, asks = self.sides["bids"], self.sides["asks"]
        return [bids[price] for price in sorted(bids, reverse=True)], [asks[price] for price in sorted(asks)]


def checksum(bids: Any, asks: Any) -> int:
    """The venue's, signed: the best 25 of each side, turn by turn."""
    words = []
    for place in range(25):
        for side in (bids, asks):
            words += [f"{price}:{size}" for price, size in side[place : place + 1]]
    number = crc32(":".join(words).encode())
    return number - 2**32 if number >= 2**31 else number


def recorded(path: Path) -> Iterator[Any]:
    for line in path.read_text().splitlines():
        record = json.loads(line)
        document = json.loads(record["raw"])
        if record["dir"] == "in" and document.get("arg", {}).get("channel") == "books" and "data" in document:
            yield document


@pytest.mark.captures
def test_the_chain_of_the_recorded_book_holds_and_it_equals_a_plain_rebuild(captures: Path) -> None:
    book, plain, outcomes = make(), Plain(), []
    for document in recorded(captures / "okx" / "spot-books-btcusdt-2026.jsonl"):
        outcomes.append(book.received(only(document)))
        plain.take(document["action"], document["data"][0])
        bids, asks = book.top(1000)
        assert (bids, asks) == plain.levels()
        assert Decimal(bids[0][0]) < Decimal(asks[0][0])
    assert outcomes == [Outcome.REBUILT, *[Outcome.CHANGED] * 6]
    assert book.gaps == 0


@pytest.mark.captures
def test_five_levels_are_replaced_as_a_whole_and_contracts_are_base(captures: Path) -> None:
    swap = evolve(BTC, market=MarketType.PERPETUAL, native="BTC-USDT-SWAP", contract_size=Number("0.01"))
    name, book = stream_name("books5", swap.native), make()
    reader = {name: VENUE.reader(StreamSpec("swap-books", name, frozenset(), instrument=swap))}
    outcomes = []
    for each in read_recording(captures / "okx" / "swap-books5-btcusdt-2026.jsonl"):
        (message,) = VENUE.read("swap-books", each.raw, reader)
        if isinstance(message, Ack):
            assert message == Ack(streams=(name,))
        else:
            assert isinstance(message, Depth)
            outcomes.append(book.received(message))
    assert outcomes == [Outcome.REBUILT] * 2
    bids, asks = book.top(10)
    assert (len(bids), len(asks)) == (5, 5)
    assert (bids[-1], asks[0]) == (("63920", "0.0024"), ("63921.5", "7.9041"))


@pytest.mark.captures
@pytest.mark.parametrize(
    ("file", "books", "updates"),
    [("mixed-books-trades-tickers-2022.jsonl", 3, 287), ("okcoin-mixed-2023.jsonl", 4, 2)],
)
def test_books_of_400_levels_equal_a_plain_rebuild_and_the_checksums_of_old(
    captures: Path, file: str, books: int, updates: int
) -> None:
    """These frames had no ids yet, so they are numbered here; but a checksum each, which proves ours."""
    found: dict[str, tuple[OrderBook, Plain]] = {}
    last: dict[str, int] = {}
    changes = 0
    for document in recorded(captures / "okx" / file):
        native, (data,) = document["arg"]["instId"], document["data"]
        book, plain = found.setdefault(native, (make(), Plain()))
        before = last.get(native, 0)
        last[native] = data["seqId"] = before + 7
        data["prevSeqId"] = before or -1
        name = stream_name("books", native)
        spec = StreamSpec("spot-books", name, frozenset(), instrument=BTC)
        (depth,) = VENUE.reader(spec)(name, json.dumps(document).encode())
        assert isinstance(depth, Depth)
        outcome = book.received(depth)
        changes += outcome is Outcome.CHANGED
        plain.take(document["action"], data)
        bids, asks = book.top(1000)
        assert (bids, asks) == plain.levels() and max(len(bids), len(asks)) <= TIER
        assert checksum(bids, asks) == data["checksum"]
        assert Decimal(bids[0][0]) < Decimal(asks[0][0])
    assert (len(found), changes) == (books, updates)
