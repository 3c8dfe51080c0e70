"""What a venue's frame says, in our words: the output of ``IVenue.read`` and the input of books and assemblies.

``stream`` is the venue's own stream name, unique within an endpoint. Numbers are admitted text, times milliseconds in
the venue's clock (None where the venue sends none). In partial messages None means "not said in this frame".
Structs of msgspec: one or more are made per frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from cryptodash.core.events import Level, Side
from cryptodash.core.numbers import Number


class Ack(Struct, frozen=True, gc=False):
    """The venue's answer to the request with this id (the text we sent). ``ok`` False:
    the whole request was refused, ``reason`` says why."""

    request_id: str
    ok: bool = True
    reason: str = ""


class Pong(Struct, frozen=True, gc=False):
    """The answer to an application-level heartbeat."""


class Restarting(Struct, frozen=True, gc=False):
    """The venue will close this connection soon: open a replacement now."""


class Ignored(Struct, frozen=True, gc=False):
    """A frame that is fine and means nothing to us; ``kind`` for the counter (a short word of the venue's)."""

    kind: str


class Quote(Struct, frozen=True, gc=False):
    """Best bid and ask, a full replacement: None means that the side is empty.
    ``update_id`` orders quotes and compares with the book's."""

    stream: str
    bid: Number | None
    bid_size: Number | None
    ask: Number | None
    ask_size: Number | None
    update_id: int | None
    time: int | None


class Stats(Struct, frozen=True, gc=False):
    """The 24 h figures, ``change_pct`` in percent. ``full`` replaces what was known;
    otherwise None fields stay as they were."""

    stream: str
    time: int
    full: bool = True
    last: Number | None = None
    open: Number | None = None
    high: Number | None = None
    low: Number | None = None
    volume: Number | None = None
    quote_volume: Number | None = None
    change: Number | None = None
    change_pct: Number | None = None


class Mark(Struct, frozen=True, gc=False):
    """A perpetual's figures; ``funding_rate`` is a fraction per funding interval, ``open_interest`` base quantity.
    ``full`` as in ``Stats``."""

    stream: str
    time: int
    full: bool = True
    mark_price: Number | None = None
    index_price: Number | None = None
    funding_rate: Number | None = None
    next_funding_time: int | None = None
    open_interest: Number | None = None


class Fill(Struct, frozen=True, gc=False):
    """One trade of a ``Trades`` message; ``number`` orders and de-duplicates where the venue counts its trades,
    ``side`` is the taker's."""

    id: str
    price: Number
    quantity: Number
    side: Side
    time: int
    number: int | None


class Trades(Struct, frozen=True, gc=False):
    """Trades, oldest first. Block trades and other prints off the book are not in it."""

    stream: str
    fills: Sequence[Fill]


class Depth(Struct, frozen=True, gc=False):
    """A book frame, from a stream or from REST.

    ``first``..``last`` are the update ids it covers, ``previous`` the last id of the frame before (None where the venue
    does not say). A snapshot has ``first == last``. Levels are absolute sizes, size zero deletes; any order.
    """

    stream: str
    snapshot: bool
    first: int
    last: int
    previous: int | None
    bids: Sequence[Level]
    asks: Sequence[Level]
    time: int | None


class Bar(Struct, frozen=True, gc=False):
    """A candle frame, or a row of REST; ``open_time`` in ms, ``time`` (ms) when the venue sent it, where it says so.
    ``closed`` is the venue's own flag, False where it has none."""

    stream: str
    open_time: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    closed: bool
    time: int | None = None


class SweepRow(NamedTuple):
    """One instrument of a sweep: its native name and what this frame said of it (either may be None)."""

    native: str
    quote: Quote | None
    stats: Stats | None
    mark: Mark | None


class SweepRows(Struct, frozen=True, gc=False):
    """An all-market frame or REST answer."""

    stream: str
    rows: Sequence[SweepRow]


Message = Ack | Pong | Restarting | Ignored | Quote | Stats | Mark | Trades | Depth | Bar | SweepRows


Reader = Callable[[str, bytes], Sequence[Message]]
"""From (stream name, frame) to messages."""


class BadFrame(ValueError):
    """A frame or REST body that cannot be read. ``reason``: ``json``, ``schema``, ``number``,
    ``size`` or ``unknown``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail[:200]}")
        self.reason = reason
