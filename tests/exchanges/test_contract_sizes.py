"""A contract that is listed with a wrong size is found by what was traded, in contracts and in base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, multiply
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes
from cryptodash.exchanges.contract_sizes import ContractSizes
from cryptodash.exchanges.venues import registry

SWAP = MarketType.PERPETUAL
ONE = Number("1")


def listed(size: str | None, native: str = "A") -> Instrument:
    contract = None if size is None else Number(size)
    return Instrument("made", SWAP, Symbol("A", "USDT"), native, ONE, ONE, contract_size=contract)


def contradict(size: str | None, contracts: str, base: str, native: str = "A") -> str:
    return ContractSizes([ContractVolumes("A", Number(contracts), Number(base))]).contradict(listed(size, native))


@pytest.mark.parametrize(
    ("size", "contracts", "base", "says"),
    [
        ("0.01", "7399887.86", "73998.8786", ""),
        ("0.1", "7399887.86", "73998.8786", "a contract is 0.1 in the catalogue and 0.01 by the traded volume"),
        ("0.001", "7399887.86", "73998.8786", "a contract is 0.001 in the catalogue and 0.01 by the traded volume"),
        ("1000000", "12345", "12345000000", ""),
        ("0.01", "7399887.86", "74700.1", ""),  # within a hundredth: another moment
        ("0.01", "7399887.86", "75000.1", "a contract is 0.01 in the catalogue and 0.0101353 by the traded volume"),
        ("0.01", "12", "0.3", ""),  # too few digits to prove anything
        ("0.01", "0", "0", ""),
        ("0.01", "0", "123.45", ""),
        (None, "7399887.86", "73998.8786", ""),
    ],
)
def test_a_size_is_compared_with_both_volumes(size: str | None, contracts: str, base: str, says: str) -> None:
    assert contradict(size, contracts, base) == says


@pytest.mark.parametrize(
    ("wrong", "right", "are_believed"),
    [(1, 0, True), (3, 0, True), (4, 0, False), (2, 2, True), (3, 2, False), (3, 3, True), (1, 9, True)],
)
def test_volumes_that_contradict_most_sizes_are_no_proof(wrong: int, right: int, are_believed: bool) -> None:
    """Their meaning has changed. Instruments without volumes, or with small ones, are not counted."""
    names = [f"W{each}" for each in range(wrong)] + [f"R{each}" for each in range(right)]
    volumes = [ContractVolumes(each, Number("12345"), Number("123.45")) for each in names]
    listings = [listed("0.1" if each[0] == "W" else "0.01", each) for each in names]
    volumes += [ContractVolumes(f"F{each}", Number("12"), Number("3")) for each in range(9)]
    listings += [listed("1", f"F{each}") for each in range(9)] + [listed("1", f"N{each}") for each in range(9)]
    found = ContractSizes(volumes).wrong(listings)
    assert (found is not None) is are_believed
    assert found is None or set(found) == {each for each in names if each[0] == "W"}


def test_an_instrument_without_volumes_is_believed() -> None:
    assert contradict("0.1", "7399887.86", "73998.8786", native="B") == ""


@given(
    size=st.sampled_from(["0.0001", "0.01", "1", "10", "1000", "1000000"]),
    contracts=st.integers(100, 10**12),
    wrong=st.sampled_from(["0.001", "0.1", "0.5", "2", "10", "1000"]),
)
def test_any_size_is_borne_out_by_its_own_volumes_and_no_other_is(size: str, contracts: int, wrong: str) -> None:
    base = multiply(Number(str(contracts)), Number(size))
    says = contradict(multiply(Number(size), Number(wrong)), f"{contracts}", base)
    assert contradict(size, f"{contracts}", base) == ""
    if contracts % 100 and len(base.replace(".", "").strip("0")) >= 3:
        assert says


@pytest.mark.captures
def test_the_recorded_volumes_bear_out_the_recorded_catalogue_and_show_a_wrong_one(captures: Path) -> None:
    venue = registry.load("okx")
    first, second = venue.catalogue_requests(SWAP)
    found, _ = venue.read_catalogue(first, (captures / "okx" / "rest-instruments-swap-2026.json").read_bytes())
    (bitcoin,) = [each for each in found if isinstance(each, Instrument) and each.native == "BTC-USDT-SWAP"]
    lines = (captures / "okx" / "swap-tickers-btcusdt-2026.jsonl").read_text().splitlines()
    rows = [row for line in lines for row in json.loads(json.loads(line)["raw"]).get("data", ())]
    volumes, _ = venue.read_catalogue(second, json.dumps({"code": "0", "msg": "", "data": rows[-1:]}).encode())
    assert [each.native for each in volumes] == ["BTC-USDT-SWAP"]
    sizes = ContractSizes(each for each in volumes if isinstance(each, ContractVolumes))
    assert sizes.contradict(bitcoin) == ""
    assert "by the traded volume" in sizes.contradict(evolve(bitcoin, contract_size=Number("0.1")))
