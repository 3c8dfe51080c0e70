"""A market's catalogue that one process leaves for the others is read as it was, or refused."""

from __future__ import annotations

import zlib
from random import Random

import attrs
import pytest

from cryptodash.cluster import shared_catalogue, wire
from cryptodash.cluster.shared_catalogue import MarketCatalogue, pack_catalogue, unpack_catalogue
from cryptodash.cluster.wire import BadFrame
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from tests.cluster.test_wire_refusals import NOT_NUMBERS, mutated, outcome
from tests.cluster.wire_samples import N

PERPETUAL = MarketType.PERPETUAL
FULL = Instrument(
    "binance", PERPETUAL, Symbol("kPEPE", "USDT"), "1000PEPEUSDT", N("0.10"), N("1"), N("1"), N("5.0"),
    "halted", "BREAK", N("1000"), "PEPEUSDT", ("a", "b"), "equity", "17", ("status=Paused",),
)  # fmt: skip
BARE = Instrument("binance", PERPETUAL, Symbol("BTC", "USDT"), "BTCUSDT", N("0.01"), N("0.00001"))


def packed(*instruments: Instrument) -> bytes:
    return pack_catalogue(MarketCatalogue(wire.VERSION, list(instruments), [("BTCEUR_X", "its quote is é")]))


def unpacked(data: bytes) -> MarketCatalogue:
    return unpack_catalogue(data, "binance", PERPETUAL)


def test_a_catalogue_is_packed_and_unpacked_with_all_of_its_members() -> None:
    found = unpacked(packed(FULL, BARE))
    assert found == MarketCatalogue(wire.VERSION, [FULL, BARE], [("BTCEUR_X", "its quote is é")])
    assert type(found.instruments[0].symbol) is Symbol and type(found.instruments[0].market) is MarketType


def test_a_market_that_lists_nothing_is_a_catalogue() -> None:
    assert unpacked(packed()).instruments == []


def test_a_catalogue_of_many_instruments_is_a_small_part_of_what_it_says() -> None:
    data = packed(*[attrs.evolve(FULL, native=f"N{number}") for number in range(2_000)])
    assert len(unpacked(data).instruments) == 2_000
    assert len(data) < 50_000


@pytest.mark.parametrize("version", [0, wire.VERSION + 1, -1])
def test_a_catalogue_of_another_version_is_refused(version: int) -> None:
    with pytest.raises(BadFrame, match="version"):
        unpacked(pack_catalogue(MarketCatalogue(version, [], [])))


@pytest.mark.parametrize(
    "wrong",
    [
        {"exchange": "okx"},
        {"exchange": ""},
        {"market": MarketType.SPOT},
        {"native": ""},
        {"symbol": Symbol("", "USDT")},
        {"symbol": Symbol("BTC", "")},
    ],
    ids=str,
)
def test_an_instrument_of_another_market_or_without_a_name_spoils_the_catalogue(wrong: dict[str, object]) -> None:
    with pytest.raises(BadFrame, match="no instrument of binance perpetual"):
        unpacked(packed(FULL, attrs.evolve(BARE, **wrong)))  # type: ignore[arg-type]


@pytest.mark.parametrize("member", ["tick_size", "step_size", "min_qty", "min_notional", "contract_size"])
@pytest.mark.parametrize("text", [*[each for each in NOT_NUMBERS if len(each) < 65], "-1"])
def test_a_size_that_is_no_number_spoils_the_catalogue(member: str, text: str) -> None:
    with pytest.raises(BadFrame, match="no number"):
        unpacked(packed(FULL, attrs.evolve(BARE, **{member: N(text)})))  # type: ignore[arg-type]


def test_a_size_that_must_be_known_is_known() -> None:
    for member in ("tick_size", "step_size"):
        with pytest.raises(BadFrame):
            unpacked(packed(attrs.evolve(BARE, **{member: None})))  # type: ignore[arg-type]


def test_a_catalogue_with_something_behind_it_is_refused() -> None:
    data = packed(FULL)
    for more in (b"x", data):
        with pytest.raises(BadFrame, match="not whole"):
            unpacked(data + more)


def test_a_catalogue_that_unpacks_to_too_much_or_is_not_whole_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_catalogue, "MOST_UNPACKED", 10_000)
    data = pack_catalogue(MarketCatalogue(wire.VERSION, [], [("a", "b" * 9_000)]))
    assert unpacked(data).not_listed == [("a", "b" * 9_000)]
    with pytest.raises(BadFrame, match="too long"):
        unpacked(pack_catalogue(MarketCatalogue(wire.VERSION, [], [("a", "b" * 10_000)])))
    with pytest.raises(BadFrame, match="too long"):
        unpacked(zlib.compress(bytes(10_000_000)))
    with pytest.raises(BadFrame, match="not whole"):
        unpacked(data[:-3])


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xc1", b"{}", b"\xdd\xff\xff\xff\xff", b"\x91" * 100_000, b"\x96" * 7]
)
def test_garbage_is_refused(data: bytes) -> None:
    for each in (data, zlib.compress(data)):
        with pytest.raises(BadFrame):
            unpacked(each)


def test_a_catalogue_whose_bytes_were_changed_is_read_or_refused() -> None:
    random = Random(2)
    data = packed(FULL, BARE)
    for _ in range(500):
        outcome(unpacked, mutated(data, random))
        outcome(unpacked, zlib.compress(mutated(zlib.decompress(data), random)))
