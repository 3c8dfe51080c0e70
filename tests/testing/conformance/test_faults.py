"""The fault script finds what it is for: a venue that notices no gap, one that is never live, one without a dialect."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from attrs import evolve

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter import BookRules, Chaining, Endpoint, Limits, SnapshotSource
from cryptodash.exchanges.venues.bybit.venue import Bybit
from cryptodash.testing.conformance import Check, Evidence, NotConforming, fault_checks
from cryptodash.testing.venue import MadeUpVenue

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL


def instruments(base: str) -> list[Instrument]:
    symbol, number = Symbol(base, "USDT"), Number("1")
    return [Instrument("bybit", market, symbol, f"{base}USDT", number, number) for market in (SPOT, PERPETUAL)]


def fault(venue: Bybit, name: str, base: str = "BTC", seed: int = 1) -> Check:
    (check, _) = fault_checks(Evidence(venue, instruments(base), seed=seed), [name])
    return check


class Trusting(Bybit):
    """Takes every book frame for the next one."""

    book_rules: Mapping[MarketType, BookRules] = dict.fromkeys(
        (SPOT, PERPETUAL), BookRules(SnapshotSource.STREAM, Chaining.CONNECTION)
    )


class Astray(Bybit):
    """Asks on a path that is not there."""

    endpoints: Mapping[str, Endpoint] = {key: evolve(each, path="/v5/private") for key, each in Bybit.endpoints.items()}


class Impatient(Bybit):
    """Counts a connection dead before its first pong."""

    limits: Mapping[str, Limits] = {key: evolve(each, silent_after=0.05) for key, each in Bybit.limits.items()}


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_venue_that_notices_no_gap_is_told(seed: int) -> None:
    with pytest.raises(NotConforming, match=r"is shown as live with|skip was not noticed: no book was checksum or gap"):
        fault(Trusting(), "skip", seed=seed)()


@pytest.mark.parametrize("venue", [Astray(), Impatient()], ids=lambda venue: type(venue).__name__)
def test_a_venue_that_is_never_live_is_told(venue: Bybit) -> None:
    with pytest.raises(NotConforming, match="not live after 30 s"):
        fault(venue, "drop")()


def test_instruments_that_the_simulator_has_not_are_named() -> None:
    with pytest.raises(NotConforming, match=r"trades none of Evidence\.instruments of spot: it has BTC-USDT"):
        fault(Bybit(), "drop", "NONE")()


def test_a_venue_without_a_dialect_is_told() -> None:
    with pytest.raises(ConfigError, match="'madeup' has no simulator"):
        fault_checks(Evidence(MadeUpVenue(), ()))


def test_faults_that_the_dialect_does_not_do_are_left_out() -> None:
    evidence = Evidence(Bybit(), instruments("BTC"))
    names = [each.name for each in fault_checks(evidence, ["drop", "earthquake"])]
    assert names == ["fault drop", "fault refused subscription"]
