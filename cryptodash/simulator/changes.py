"""What happens in a simulated market: trades, best levels, and all that one step has changed. Prices are ticks, sizes
steps."""

from __future__ import annotations

from attrs import define, field, frozen


@frozen
class Trade:
    """One fill. ``buy``: the taker bought.

    ``order`` is the same for all fills of one taker order at one price; ``sequence`` is the book's id after it.
    """

    id: int
    time: int
    price: int
    size: int
    buy: bool
    order: int
    sequence: int
    tick: str
    """FIX's TickDirection: ``PlusTick``, ``ZeroPlusTick``, ``MinusTick``, ``ZeroMinusTick``."""


@frozen
class Top:
    """The best levels after one change of the book: the change's ``id``, then prices and sizes."""

    id: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int

    def crossed(self) -> Top:
        """The same with a bid above the ask, as the fault ``crossed`` shows it."""
        return Top(self.id, self.ask, self.bid_size, self.bid, self.ask_size)


@define
class StepChanges:
    """What one step did. ``bids`` and ``asks`` are the changed levels with their size after the step;
    ``first`` and ``last`` the change ids."""

    time: int
    first: int = 0
    last: int = 0
    bids: dict[int, int] = field(factory=dict)
    asks: dict[int, int] = field(factory=dict)
    tops: list[Top] = field(factory=list)
    trades: list[Trade] = field(factory=list)
    minute_closed: bool = False


@frozen
class BookChange:
    """One change of the book as the record keeps it, with what was there before."""

    id: int
    sign: int
    key: int
    before: int
