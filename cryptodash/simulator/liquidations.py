"""Which orders of a perpetual closed a position that its holder could not keep: now and then one of those that trade.

They are told by the orders' numbers, so that they are the same whoever watches, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from attrs import frozen

from cryptodash.simulator.changes import Trade

ONE_IN = 40
"""Orders."""


@frozen
class Liquidation:
    """One order. ``buy``: it bought, which ends a short; ``price`` is ticks, ``size`` steps, ``time`` ms."""

    time: int
    price: int
    size: int
    buy: bool


def liquidations(fills: Iterable[Trade]) -> Sequence[Liquidation]:
    """Those among the orders that these fills are of, oldest first."""
    orders = [list(group) for order, group in groupby(fills, key=lambda fill: fill.order) if not order % ONE_IN]
    return [
        Liquidation(fills[0].time, fills[0].price, sum(fill.size for fill in fills), fills[0].buy) for fills in orders
    ]
