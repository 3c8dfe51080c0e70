"""Three instruments of a market: the most traded, one of the middle, a quiet one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from cryptodash.core.events import Ticker
from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.topics import Channel, Topic
from cryptodash.doctor.choice import MIDDLE, MOST_TRADED, QUIET, choose, turnover_of

SPOT = MarketType.SPOT


def instrument(base: str, quote: str = "USDT", status: str = "trading", alias_of: str = "") -> Instrument:
    one = admit("1")
    symbol = Symbol(base, quote)
    return Instrument("acme", SPOT, symbol, base + quote, one, one, status=status, alias_of=alias_of)


def chosen(instruments: list[Instrument], turnovers: Mapping[str, int]) -> dict[str, str]:
    by_symbol = {each.symbol: Decimal(turnovers[each.native]) for each in instruments if each.native in turnovers}
    return {each.role: each.instrument.native for each in choose(instruments, by_symbol)}


ELEVEN = [instrument(f"C{number:02}") for number in range(11)]


def test_by_turnover_within_the_commonest_quote_currency() -> None:
    turnovers = {each.native: 1000 - number for number, each in enumerate(ELEVEN)}
    yen = instrument("BTC", "JPY")
    found = chosen([yen, *reversed(ELEVEN)], {**turnovers, yen.native: 10**9})
    assert found == {MOST_TRADED: "C00USDT", MIDDLE: "C05USDT", QUIET: "C09USDT"}


def test_what_does_not_trade_or_is_another_name_is_not_looked_at() -> None:
    listed = [instrument("A", status="halted"), instrument("B", alias_of="X"), instrument("C"), instrument("D")]
    assert set(chosen(listed, {"AUSDT": 9, "BUSDT": 8, "CUSDT": 7, "DUSDT": 0}).values()) == {"CUSDT"}


@pytest.mark.parametrize(("count", "roles"), [(0, set()), (1, {MOST_TRADED}), (2, {MOST_TRADED, QUIET})])
def test_a_small_market_has_fewer(count: int, roles: set[str]) -> None:
    assert set(chosen(ELEVEN[:count], {})) == roles


def test_without_turnovers_by_name() -> None:
    assert chosen(list(reversed(ELEVEN)), {}) == {MOST_TRADED: "C00USDT", MIDDLE: "C05USDT", QUIET: "C09USDT"}


def test_turnover_is_in_quote_currency() -> None:
    topic = Topic("acme", SPOT, Symbol("A", "USDT"), Channel.TICKER)
    known = Ticker(topic, 0, 0, admit("2"), volume_24h=admit("10"), quote_volume_24h=admit("21"))
    assert turnover_of(known) == 21
    assert turnover_of(Ticker(topic, 0, 0, admit("2"), volume_24h=admit("10"))) == 20
    assert turnover_of(Ticker(topic, 0, 0, admit("2"))) is None
