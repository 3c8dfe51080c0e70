"""What flows from the venues through the hub: frozen values, one type per kind of news.

Prices, sizes and volumes are admitted ``Number`` text; a value that is not known is None and is left out on the wire.
Times are milliseconds UTC in the venue's clock unless a field says otherwise. ``received`` is when the frame or REST
answer that made the event came in, in our wall clock (ms). Structs of msgspec rather than attrs because one is made per
market event (0.05 us against 0.5 us).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import Struct

from cryptodash.core.instruments import Symbol
from cryptodash.core.numbers import Number, reaches
from cryptodash.core.topics import Topic

Level = tuple[Number, Number]
"""(price, size), sizes absolute in base quantity."""


def is_crossed(bids: Sequence[Level], asks: Sequence[Level]) -> bool:
    """Whether the best bid is at or above the best ask; each side is best first."""
    return bool(bids and asks) and reaches(bids[0][0], asks[0][0])


class Side(str, enum.Enum):
    """The taker's side of a trade."""

    BUY = "buy"
    SELL = "sell"

    def __str__(self) -> str:
        return self.value


class State(str, enum.Enum):
    """How far a value can be trusted (contract, "Freshness")."""

    CONNECTING = "connecting"
    LIVE = "live"
    QUIET = "quiet"
    STALE = "stale"
    RESYNCING = "resyncing"
    CLOSED = "closed"

    def __str__(self) -> str:
        return self.value

    @property
    def is_good(self) -> bool:
        """Whether the value is as good as the venue's own."""
        return self is State.LIVE or self is State.QUIET


class Cause(str, enum.Enum):
    """Why a value cannot be trusted."""

    SILENT = "silent"
    LATE = "late"
    DISCONNECTED = "disconnected"
    GAP = "gap"
    CHECKSUM = "checksum"
    CROSSED = "crossed"
    MAINTENANCE = "maintenance"
    HALTED = "halted"
    DELISTED = "delisted"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    BANNED = "banned"
    CAPACITY = "capacity"
    BACKEND = "backend"

    def __str__(self) -> str:
        return self.value


_LOSES_NOTHING = frozenset({Cause.SILENT, Cause.LATE, Cause.HALTED})


def cause_of(word: str) -> Cause:
    """A cause from an error's word; ``disconnected`` where it is not one of the contract's."""
    try:
        return Cause(word)
    except ValueError:
        return Cause.DISCONNECTED


class Ticker(Struct, frozen=True, gc=False):
    """The merged ticker of one instrument. ``timestamp`` is the newest contributing time and never decreases.

    ``figures`` is ``codec.figures`` of the same ticker, or None where nobody has made it yet: quotes and trades change
    none of the members it holds, and they come a hundred times as often. Whoever makes a ticker with other figures must
    not hand on the old text.
    """

    topic: Topic
    timestamp: int
    received: int
    last: Number
    bid: Number | None = None
    ask: Number | None = None
    bid_size: Number | None = None
    ask_size: Number | None = None
    open_24h: Number | None = None
    high_24h: Number | None = None
    low_24h: Number | None = None
    volume_24h: Number | None = None
    quote_volume_24h: Number | None = None
    change_24h: Number | None = None
    change_pct_24h: Number | None = None
    mark_price: Number | None = None
    index_price: Number | None = None
    funding_rate: Number | None = None
    funding_interval_h: int | None = None
    """Hours from one settlement of funding to the next."""
    next_funding_time: int | None = None
    open_interest: Number | None = None
    quote_time: int | None = None
    last_time: int | None = None
    stats_time: int | None = None
    figures: str | None = None


class Bbo(Struct, frozen=True, gc=False):
    """The best bid and offer of one instrument, without anything else of its ticker. ``timestamp`` is the quote's time
    and never decreases."""

    topic: Topic
    timestamp: int
    received: int
    bid: Number | None = None
    bid_size: Number | None = None
    ask: Number | None = None
    ask_size: Number | None = None


class Trade(Struct, frozen=True, gc=False):
    """One trade (where the venue sends aggregates: all of one taker order at one price)."""

    topic: Topic
    timestamp: int
    received: int
    id: str
    price: Number
    quantity: Number
    side: Side


class Liquidation(Struct, frozen=True, gc=False):
    """One order by which a venue closed a position: ``side`` is the order's, so that ``sell`` ends a long. ``price`` is
    the order's own, which some venues set to the price of bankruptcy, ``average_price`` what was paid. ``id`` is empty
    where the venue gives none; ``complete`` False: the venue tells a sample of them only."""

    topic: Topic
    timestamp: int
    received: int
    side: Side
    price: Number
    quantity: Number
    id: str = ""
    average_price: Number | None = None
    complete: bool = True


class Gap(Struct, frozen=True, gc=False):
    """Trades or liquidations of a topic are missing, or may be: their stream was lost, or ended and begun anew.

    They are of times from ``begin``, that of the last one told before, to ``end``. ``missed``: how many, where the
    venue numbers its trades; None: nobody knows, perhaps there was none.
    """

    topic: Topic
    begin: int
    end: int
    missed: int | None = None


class Candle(Struct, frozen=True, gc=False):
    """One bar; ``timestamp`` is its open time. ``source`` is ``venue``, ``rest`` or ``trades``;
    ``corrected`` marks a closed bar sent again."""

    topic: Topic
    timestamp: int
    received: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    closed: bool
    source: str = "venue"
    corrected: bool = False


class BookView(Struct, frozen=True, gc=False):
    """The best levels of an order book at one moment: at most ``topic.depth`` a side, best first, only *proven* ones
    (inside the horizon); ``interval`` is the pace (ms) of those who look.

    ``rebuilt`` says that the book was resynchronised since the view before: it goes on with a snapshot, not with a
    delta.
    """

    topic: Topic
    interval: int
    timestamp: int
    received: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    rebuilt: bool = False


class BookSnapshot(Struct, frozen=True, gc=False):
    """A view of the book as published: ``sequence`` belongs to the view. ``complete`` is False where fewer than
    ``depth`` levels are proven."""

    topic: Topic
    timestamp: int
    received: int
    sequence: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    complete: bool


class BookDelta(Struct, frozen=True, gc=False):
    """What turns the view with ``sequence - 1`` into the one with ``sequence``:
    levels to set and prices to remove, per side."""

    topic: Topic
    timestamp: int
    received: int
    sequence: int
    bids_upserts: Sequence[Level]
    asks_upserts: Sequence[Level]
    bids_deletes: Sequence[Number]
    asks_deletes: Sequence[Number]


class Sweep(Struct, frozen=True, gc=False):
    """Tickers of a whole market, each with the topic of its own instrument; ``topic`` is the sweep's."""

    topic: Topic
    tickers: Sequence[Ticker]


class StreamStatus(Struct, frozen=True, gc=False):
    """How fresh a topic is, from ``since`` (our wall clock, ms) on.
    ``fields`` names the parts of a ticker that are stale; ``renamed``: what the instrument of a closed topic is called
    now."""

    topic: Topic
    state: State
    cause: Cause | None = None
    fields: tuple[str, ...] = ()
    since: int = 0
    renamed: Symbol | None = None

    @property
    def breaks_a_book(self) -> bool:
        """Whether a book in this state can no longer be followed by deltas. Silence and a halt lose nothing; a gap or a
        lost connection does."""
        if self.state.is_good:
            return False
        return self.state is not State.STALE or self.cause not in _LOSES_NOTHING


Event = Ticker | Bbo | Trade | Liquidation | Gap | Candle | BookView | Sweep | StreamStatus
"""What a venue publishes into the hub."""
