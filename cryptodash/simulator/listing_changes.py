"""The faults ``list`` and ``rename``: what they do to a market's catalogue, and how it is undone.

What is listed anew is made like another instrument of the market: its numbers, its price and its pace are the same.
What is renamed goes on under the new name with a book of its own; under the old name only the streams of books go on.
"""

from __future__ import annotations

from attrs import evolve

from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.market import Market


def like(market: Market, symbol: str) -> InstrumentSpec | None:
    """A new instrument for a symbol ``BASE-QUOTE`` (the case is kept), made like the last crypto asset with this quote;
    None where there is none, or the name is taken."""
    base, _, quote = symbol.rpartition("-")
    models = [
        each
        for each in market.specs
        if each.quote == quote.upper()
        and each.kind != "future"
        and each.multiplier == 1
        and each.trading
        and each.underlying == "crypto"
    ]
    if not base or not models:
        return None
    named = under_name(models[-1], base)
    return None if market.spec(named.native) is not None else named


def under_name(spec: InstrumentSpec, base: str) -> InstrumentSpec:
    """The same instrument with another base."""
    return evolve(spec, base=base, native=spec.native.replace(spec.base, base, 1))
