"""Who has a symbol, or a native name, that a venue lists more than once."""

from __future__ import annotations

from itertools import permutations

import pytest
from attrs import evolve

from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number

SPOT = MarketType.SPOT
BNX, OLD = Symbol("BNX", "USDT"), Symbol("OLD", "USDT")


def listing(native: str, status: str, symbol: Symbol = BNX) -> Instrument:
    return Instrument("acme", SPOT, symbol, native, Number("0.1"), Number("1"), status=status)


@pytest.mark.parametrize(
    ("listed", "shown", "others"),
    [
        ([("BNXUSDT", "trading"), ("BNXUSDTSETTLED", "halted")], "BNXUSDT", []),
        ([("BNXUSDT", "halted"), ("BNXUSDTNEW", "trading")], "BNXUSDTNEW", []),
        ([("BNXUSDT", "trading"), ("BNXUSDT2", "trading")], "BNXUSDT", ["BNXUSDT2"]),
        ([("BNXB", "trading"), ("BNXA", "trading")], "BNXA", ["BNXB"]),
        ([("BNXUSDT", "halted"), ("BNXUSDTSETTLED", "halted")], "BNXUSDT", []),
        ([("BNXUSDT", "delisted"), ("BNXUSDT2", "pre_open"), ("BNXUSDT3", "strange")], "BNXUSDT2", []),
        ([("BNXC", "trading"), ("BNXA", "trading"), ("BNXB", "halted")], "BNXA", ["BNXC"]),
    ],
)
def test_of_two_listings_of_one_symbol_the_one_that_trades_has_it_whatever_their_order(
    listed: list[tuple[str, str]], shown: str, others: list[str]
) -> None:
    for order in permutations(listed):
        catalogue = Catalogue("acme")
        same_symbol = catalogue.replace(SPOT, [listing(*each) for each in order])
        found = catalogue.get(SPOT, BNX)
        assert found is not None and found.native == shown
        assert [(one.native, other.native) for one, other in same_symbol] == [(shown, other) for other in others]
        assert len(catalogue) == 1
        for native, _ in listed:
            other = catalogue.native(SPOT, native)
            assert other is not None and other.native == native, "each is found by its native name"
        assert catalogue.find(SPOT, "BNXUSDT") == BNX


@pytest.mark.parametrize(
    ("statuses", "symbol"),
    [
        (("trading", "halted"), BNX),
        (("halted", "trading"), OLD),
        (("trading", "trading"), None),
        (("halted", "halted"), None),
        (("halted", "pre_open"), None),
    ],
)
def test_a_native_name_of_two_symbols_is_that_of_the_one_that_trades(
    statuses: tuple[str, str], symbol: Symbol | None
) -> None:
    both = [listing("X", statuses[0], BNX), listing("X", statuses[1], OLD)]
    for order in (both, both[::-1]):
        catalogue = Catalogue("acme")
        assert catalogue.replace(SPOT, order) == []
        found = catalogue.native(SPOT, "X")
        assert (None if found is None else found.symbol) == symbol
        assert len(catalogue) == 2


def test_a_listing_that_comes_twice_is_one() -> None:
    catalogue = Catalogue("acme")
    assert catalogue.replace(SPOT, [listing("BNXUSDT", "halted"), listing("BNXUSDT", "trading")]) == []
    found = catalogue.native(SPOT, "BNXUSDT")
    assert found is catalogue.get(SPOT, BNX) and found is not None and found.status == "trading"


def test_the_catalogue_keeps_the_venues_order() -> None:
    catalogue = Catalogue("acme")
    names = ["Z", "A", "M"]
    catalogue.replace(SPOT, [listing(each, "trading", Symbol(each, "USDT")) for each in [*names, "A"]])
    assert [each.native for each in catalogue] == names


def test_an_instrument_is_found_by_its_other_names_where_they_are_nobodys_native_name() -> None:
    one = evolve(listing("BNX/USDT", "trading"), other_names=("XBNXZUSDT", "OLD/USDT"))
    other = listing("OLD/USDT", "trading", OLD)
    catalogue = Catalogue("acme")
    catalogue.replace(SPOT, [one, other])
    assert catalogue.native(SPOT, "XBNXZUSDT") is one
    assert catalogue.native(SPOT, "OLD/USDT") is other
    assert len(catalogue) == 2 and [each.native for each in catalogue] == ["BNX/USDT", "OLD/USDT"]
    catalogue.replace(SPOT, [other])
    assert catalogue.native(SPOT, "XBNXZUSDT") is None
