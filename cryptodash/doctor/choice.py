"""Which instruments of a market are looked at: the most traded, one of the middle, a quiet one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from attrs import frozen

from cryptodash.core.events import Ticker
from cryptodash.core.instruments import Instrument, Symbol

MOST_TRADED, MIDDLE, QUIET = "most traded", "middle", "quiet"
QUIET_AT = 0.9
"""How far down the list the quiet one stands: the very last ones may have no orders at all."""


@frozen
class Choice:
    """An instrument and why it is looked at; ``turnover`` of 24 hours in its quote currency, None where unknown."""

    role: str
    instrument: Instrument
    turnover: Decimal | None = None


def turnover_of(ticker: Ticker) -> Decimal | None:
    """What was traded in 24 hours, in quote currency; where only the base volume is known, at the last price."""
    if ticker.quote_volume_24h is not None:
        return Decimal(ticker.quote_volume_24h)
    if ticker.volume_24h is not None:
        return Decimal(ticker.volume_24h) * Decimal(ticker.last)
    return None


def choose(instruments: Iterable[Instrument], turnovers: Mapping[Symbol, Decimal]) -> Sequence[Choice]:
    """Up to three instruments that trade. Turnovers are compared within the quote currency that most of the market is
    quoted in; where none is known the order is that of the native names."""
    trading = [each for each in instruments if each.status == "trading" and not each.alias_of]
    traded = [each for each in trading if turnovers.get(each.symbol)]
    if traded:
        quote = Counter(each.symbol.quote for each in traded).most_common(1)[0][0]
        ranked = [each for each in traded if each.symbol.quote == quote]
        ranked.sort(key=lambda each: (-turnovers[each.symbol], each.native))
    else:
        ranked = sorted(trading, key=lambda each: each.native)
    last = len(ranked) - 1
    places = {MOST_TRADED: 0, MIDDLE: last // 2, QUIET: round(last * QUIET_AT)} if ranked else {}
    chosen: dict[int, Choice] = {}
    for role, place in places.items():
        each = ranked[place]
        chosen.setdefault(place, Choice(role, each, turnovers.get(each.symbol)))
    return tuple(chosen.values())
