"""What is different between two readings of a catalogue, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.logger import formatEvent, globalLogPublisher

from cryptodash.core.errors import Refused
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.venue_words import VenueWords
from cryptodash.exchanges.catalogue_changes import MOST_NAMED, CatalogueChanges
from cryptodash.exchanges.catalogue_diff import CatalogueDiff, compare

SPOT = MarketType.SPOT


def made(native: str, base: str = "", **more: Any) -> Instrument:
    symbol = Symbol(base or native.removesuffix("USDT"), "USDT")
    return Instrument("x", SPOT, symbol, native, Number("0.1"), Number("1"), **more)


def by_name(*instruments: Instrument) -> dict[str, Instrument]:
    return {each.native: each for each in instruments}


A, B, C = made("AUSDT"), made("BUSDT"), made("CUSDT")


@pytest.mark.parametrize(
    ("before", "after", "diff"),
    [
        ((), (), CatalogueDiff()),
        ((A, B), (B, A), CatalogueDiff()),
        ((A,), (A, B, C), CatalogueDiff(added=(B, C))),
        ((A, B, C), (B,), CatalogueDiff(removed=(A, C))),
        ((A, B), (evolve(A, status="halted"), B), CatalogueDiff(changed=((A, evolve(A, status="halted")),))),
        ((A,), (B,), CatalogueDiff(added=(B,), removed=(A,))),
        (
            (evolve(A, venue_id="7"), C),
            (evolve(B, venue_id="7"), C),
            CatalogueDiff(renamed=((evolve(A, venue_id="7"), evolve(B, venue_id="7")),)),
        ),
        (
            (evolve(A, venue_id="7"),),
            (evolve(A, venue_id="7"), evolve(B, venue_id="7")),
            CatalogueDiff(added=(evolve(B, venue_id="7"),)),
        ),
    ],
)
def test_differences(before: tuple[Instrument, ...], after: tuple[Instrument, ...], diff: CatalogueDiff) -> None:
    assert compare(by_name(*before), by_name(*after)) == diff
    assert bool(diff) is (set(before) != set(after))


def lines(events: Any) -> list[str]:
    return [formatEvent(each) for each in events]


def test_changes_are_counted_and_named_in_a_line() -> None:
    tally = Tally()
    changes = CatalogueChanges("x", tally)
    many = tuple(made(f"N{each}USDT") for each in range(MOST_NAMED + 3))
    with Logged() as events:
        changes.differ(SPOT, CatalogueDiff(added=many, renamed=((A, B),)))
    assert lines(events) == [
        f"x spot: added: {', '.join(each.native for each in many[:MOST_NAMED])} and 3 more",
        "x spot: renamed: AUSDT to BUSDT",
    ]
    counted: Any = tally.metrics["cryptodash_catalogue_changes_total"]
    assert dict(counted.values) == {("x", "spot", "added"): MOST_NAMED + 3, ("x", "spot", "renamed"): 1}


class Logged:
    """What is logged meanwhile."""

    def __enter__(self) -> list[Any]:
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        return self.events

    def __exit__(self, *error: object) -> None:
        globalLogPublisher.removeObserver(self.events.append)


def test_an_unknown_word_is_counted_once_for_each_instrument_and_logged_once() -> None:
    tally = Tally()
    changes = CatalogueChanges("x", tally)
    words = VenueWords()
    assert words.read("status", "Paused", {"Trading": "trading"}, "halted") == "halted"
    assert words.read("status", "Trading", {"Trading": "trading"}, "halted") == "trading"
    odd = [evolve(each, status="halted", unknown_words=words.unknown) for each in (A, B)]
    with Logged() as events:
        for _ in range(3):
            changes.read(SPOT, odd, ())
    (line,) = lines(events)
    assert "'status=Paused' of AUSDT, which is in no table: taken as status halted" in line
    counted: Any = tally.metrics["cryptodash_catalogue_unknown_words_total"]
    assert dict(counted.values) == {("x", "status=Paused"): 2}


def test_words_made_up_without_end_are_one_label() -> None:
    tally = Tally()
    changes = CatalogueChanges("x", tally)
    changes.read(SPOT, [made(f"N{each}", unknown_words=(f"status={each}",)) for each in range(100)], ())
    counted: Any = tally.metrics["cryptodash_catalogue_unknown_words_total"]
    assert len(counted.values) == MOST_NAMED + 1
    assert counted.values["x", "other"] == 100 - MOST_NAMED


def test_what_is_not_listed_is_summed_up_when_it_changes() -> None:
    changes = CatalogueChanges("x", Tally())
    others = [("B", "settled in its base"), ("C", "settled in its base"), ("D", "no perpetual")]
    with Logged() as events:
        changes.read(SPOT, [A], others)
        changes.read(SPOT, [A], others)
    assert lines(events) == ["x spot: 3 more in the catalogue are not listed: 2 settled in its base; 1 no perpetual"]


# Names


def catalogue(*instruments: Instrument) -> Catalogue:
    found = Catalogue("x")
    found.replace(SPOT, instruments)
    return found


def test_symbols_are_in_upper_case_where_that_is_nobody_elses() -> None:
    alone = catalogue(made("AAPLx/USDT", "AAPLx"))
    assert [each.symbol.base for each in alone] == ["AAPLX"]
    assert {str(alone.find(SPOT, each)) for each in ("AAPLx-USDT", "aaplx/usdt", "AAPLXUSDT")} == {"AAPLX-USDT"}
    both = catalogue(made("AAPLx/USDT", "AAPLx"), made("AAPLX/USDT", "AAPLX"), made("BUSDT", "b"))
    assert [str(each.symbol) for each in both] == ["AAPLx-USDT", "AAPLX-USDT", "B-USDT"]
    for text, native in (("AAPLx-USDT", "AAPLx/USDT"), ("AAPLXUSDT", "AAPLX/USDT"), ("AAPLxUSDT", "AAPLx/USDT")):
        found = both.get(SPOT, both.find(SPOT, text))
        assert found is not None and found.native == native
    for text in ("aaplx-usdt", "aaplxusdt", "AaplX/USDT"):
        with pytest.raises(Refused, match="can be any of") as refused:
            both.find(SPOT, text)
        assert refused.value.code == "ambiguous_symbol"


@pytest.mark.parametrize("base", ["币安人生", "ÄÖ", "Ω"])
def test_letters_outside_ascii_stay(base: str) -> None:
    found = catalogue(made(f"{base}USDT", base))
    for text in (f"{base}-USDT", f"{base}/usdt", f"{base}USDT", f"{base.lower()}-usdt"):
        assert found.find(SPOT, text) == (base, "USDT")


def test_an_unknown_symbol_says_what_it_is_called_now() -> None:
    found = catalogue(B)
    found.rename(SPOT, Symbol("A", "USDT"), Symbol("B", "USDT"))
    for text in ("A-USDT", "a/usdt", "AUSDT"):
        with pytest.raises(Refused, match="it is called B-USDT now"):
            found.find(SPOT, text)
    assert found.renamed(SPOT, A.symbol) == B.symbol
    found.rename(SPOT, B.symbol, C.symbol)
    assert found.renamed(SPOT, A.symbol) == C.symbol, "through all of its names"
    found.replace(SPOT, [A, C])
    assert found.renamed(SPOT, A.symbol) is None, "it is listed again"
    assert found.find(SPOT, "A-USDT") == A.symbol


def test_renames_are_bounded() -> None:
    found = catalogue(B)
    for each in range(1_500):
        found.rename(SPOT, Symbol(f"N{each}", "USDT"), B.symbol)
    assert len(found._renamed[SPOT]) == 1_000
    assert found.renamed(SPOT, Symbol("N1499", "USDT")) == B.symbol
