"""What every topic's track shares with the engine: the venue, the clocks, the lines,
the snapshot queue, the counters."""

from __future__ import annotations

from attrs import define, field

from cryptodash.core.events import Cause
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.allocation import Allocation
from cryptodash.exchanges.connections.venue_clock import VenueClock

RESYNC_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@define(eq=False)
class Desk:
    """One venue's shared things."""

    venue: IVenue
    clock: Clock
    catalogue: Catalogue
    lines: Allocation
    tally: Tally
    stale_after: float
    skew: VenueClock = field(factory=VenueClock)
    unlisted: dict[MarketType, Cause] = field(factory=dict)
    """Why a market's catalogue cannot be read, until it can."""

    def venue_ms(self) -> int:
        """Now in the venue's clock, as far as it is known: the time of a message that carries none."""
        return self.clock.wall_ms() + self.skew.ms


def cause_of(word: str) -> Cause:
    """A cause from an error's word; ``disconnected`` where it is not one of the contract's."""
    try:
        return Cause(word)
    except ValueError:
        return Cause.DISCONNECTED
