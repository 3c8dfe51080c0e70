"""The fault script finds what it is for: a venue that notices no gap, one that is never live, one without a dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from attrs import evolve
from msgspec.structs import replace

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter import (
    Bar,
    BookRules,
    Chaining,
    Endpoint,
    Ignored,
    Limits,
    Message,
    Pong,
    Quote,
    Reader,
    Readers,
    Side,
    SnapshotSource,
    StreamSpec,
    Trades,
    scale,
)
from cryptodash.exchanges.venues.bybit.venue import Bybit
from cryptodash.testing.conformance import Check, Evidence, NotConforming, fault_checks
from cryptodash.testing.venue import MadeUpVenue

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL


def instruments(base: str) -> list[Instrument]:
    symbol, number = Symbol(base, "USDT"), Number("1")
    return [Instrument("bybit", market, symbol, f"{base}USDT", number, number) for market in (SPOT, PERPETUAL)]


def fault(venue: Bybit, name: str, base: str = "BTC", seed: int = 1) -> Check:
    checks = fault_checks(Evidence(venue, instruments(base), seed=seed), [name])
    return next(each for each in checks if each.name.endswith(name))


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
    with pytest.raises(NotConforming, match="not live after 75 s"):
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
    assert names == ["no fault", "fault drop", "fault refused subscription"]


def reread(kind: type[Message], change: Callable[[Any], Any]) -> type[Bybit]:
    """Bybit, with every message of this kind read as another."""

    class Misread(Bybit):
        def reader(self, stream: StreamSpec) -> Reader:
            read = Bybit.reader(self, stream)

            def misread(name: str, frame: bytes) -> Sequence[Message]:
                return [change(each) if isinstance(each, kind) else each for each in read(name, frame)]

            return misread

    return Misread


def makers(message: Trades) -> Trades:
    other = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
    return replace(message, fills=[replace(each, side=other[each.side]) for each in message.fills])


def tenfold(message: Quote) -> Quote:
    return replace(message, bid_size=message.bid_size and scale(message.bid_size, 1))


def in_thousands(message: Bar) -> Bar:
    return replace(message, volume=scale(message.volume, 3))


class Unheard(Bybit):
    """Sends no heartbeat, and does not wait for the end of the connection."""

    limits: Mapping[str, Limits] = {
        key: evolve(each, ping_every=None, silent_after=1_000.0) for key, each in Bybit.limits.items()
    }


class Unanswered(Bybit):
    """Knows no pong."""

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        found = Bybit.read(self, endpoint, frame, readers)
        return [Ignored("pong") if isinstance(each, Pong) else each for each in found]


class Flagged(Bybit):
    """Sets a flag where the venue has none: no bar is ever closed."""

    def reader(self, stream: StreamSpec) -> Reader:
        found: Reader = reread(Bar, lambda bar: replace(bar, closed=False))().reader(stream)
        return found


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("venue", "words"),
    [
        (reread(Trades, makers), "'side': '.*never was in the simulated market"),
        (reread(Quote, tenfold), "'bid_size': '.*never was in the simulated market"),
        (reread(Bar, in_thousands), "'kind': 'candle'.*never was in the simulated market"),
        (Unheard, "limits of the venue were broken|opened anew|no ping"),
        (Unanswered, "no ping was ever answered"),
        (Flagged, "no fault runs, and yet .*candle:1m is "),
    ],
    ids=["side", "size of a quote", "volume of a bar", "no ping", "no pong", "closed"],
)
def test_what_is_wrong_without_a_fault_is_told(venue: type[Bybit], words: str) -> None:
    with pytest.raises(NotConforming, match=words):
        fault(venue(), "no fault")()
