"""What follows from the figures that Coinbase Advanced Trade tells, and is not among them."""

from __future__ import annotations

from decimal import Decimal

from cryptodash.core.errors import NumberRejected
from cryptodash.core.numbers import Number, from_decimal

_CLEAN = Decimal("0.001")
"""Of a tick: how far from a whole number of ticks the open may come out. The change has about fourteen decimals."""


def open_24h(last: Number | None, percent: Number | None, tick: Number) -> Number | None:
    """The price of 24 h ago, from the last one and the change since in percent; None where it does not come out as a
    whole number of ticks: then the two are not of one moment, or the change has too few digits."""
    if last is None or percent is None:
        return None
    growth = 1 + Decimal(percent) / 100
    if growth <= 0:
        return None
    ticks = Decimal(last) / growth / Decimal(tick)
    whole = ticks.to_integral_value()
    if whole <= 0 or abs(ticks - whole) > _CLEAN:
        return None
    try:
        return from_decimal(whole * Decimal(tick))
    except NumberRejected:
        return None
