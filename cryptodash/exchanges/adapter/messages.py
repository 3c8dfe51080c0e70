"""What a venue's frame says, in our words: the output of ``IVenue.read`` and the input of the builders.

``stream`` is the venue's own stream name, unique within an endpoint. Numbers are admitted text, times milliseconds in
the venue's clock (None where the venue sends none). In partial messages None means "not said in this frame".
Structs of msgspec: one or more are made per frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from cryptodash.core.events import Level, Side
from cryptodash.core.numbers import Number


class Ack(Struct, frozen=True, gc=False):
    """The venue's answer to a subscribe or unsubscribe, or to a part of one.

    Which request: the one with ``request_id`` (the text we sent); without an id the oldest that still waits for an
    answer about any of these streams. Which streams: those named in ``streams``; or those whose
    ``StreamSpec.argument`` is ``argument`` (a venue that names the symbol alone); or, where it names nothing, all that
    are not answered yet. ``ok`` False: refused, ``reason`` says why, and ``already`` that the refusal only means that
    it is so already.
    """

    request_id: str = ""
    ok: bool = True
    reason: str = ""
    streams: Sequence[str] = ()
    argument: str = ""
    already: bool = False


class Subscribed(Struct, frozen=True, gc=False):
    """An answer that lists everything the connection is subscribed to now: what was asked for and is listed has taken
    effect, and so has the end of what is not."""

    streams: Sequence[str]


class Pong(Struct, frozen=True, gc=False):
    """The answer to an application-level heartbeat: to the one with ``request_id``, else to the last one. ``time`` (ms)
    is the venue's when it answered, where it says so: such an answer bounds how far the two clocks are apart."""

    request_id: str = ""
    time: int | None = None


class Heartbeat(Struct, frozen=True, gc=False):
    """A sign of life that belongs to no topic. ``time`` (ms) is when the venue sent it, where it says so."""

    time: int | None = None


class Sequenced(Struct, frozen=True, gc=False):
    """The place of this frame in its connection, where the venue counts every frame of a connection: one more than that
    of the frame before. Comes first among the messages of its frame; a hole means that frames of any stream were
    lost."""

    number: int


class Unwanted(Struct, frozen=True, gc=False):
    """A data frame of a stream that the caller of ``IVenue.read`` has no reader for."""

    stream: str


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
    """The 24 h figures, ``change_pct`` in percent; ``time`` None where the venue sends none. ``full`` replaces what was
    known; otherwise None fields stay as they were."""

    stream: str
    time: int | None
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
    """A perpetual's figures; ``funding_rate`` is a fraction per funding interval, which is ``funding_interval_h`` whole
    hours, ``open_interest`` base quantity. ``full`` as in ``Stats``."""

    stream: str
    time: int
    full: bool = True
    mark_price: Number | None = None
    index_price: Number | None = None
    funding_rate: Number | None = None
    next_funding_time: int | None = None
    open_interest: Number | None = None
    funding_interval_h: int | None = None


class FundingIntervals(Struct, frozen=True, gc=False):
    """The funding intervals of a whole market (hours), where the venue tells them by a table: ``hours`` by native name,
    ``others`` of every perpetual that is not in it (None: not known)."""

    stream: str
    hours: Mapping[str, int | None]
    others: int | None = None


class Fill(Struct, frozen=True, gc=False):
    """One trade of a ``Trades`` message; ``number`` orders and de-duplicates where the venue counts its trades,
    ``side`` is the taker's. ``count``: as so many the venue counts it, the last of which has ``number`` (what one
    order traded at one price, told as one)."""

    id: str
    price: Number
    quantity: Number
    side: Side
    time: int
    number: int | None
    count: int = 1


class Trades(Struct, frozen=True, gc=False):
    """Trades, oldest first. Block trades and other prints off the book are not in it."""

    stream: str
    fills: Sequence[Fill]


class LiquidationOrder(Struct, frozen=True, gc=False):
    """One order of a ``Liquidations`` message. ``native``: which instrument's, for a stream may be of a whole market.
    ``side`` is that of the order that closes the position: ``SELL`` ends a long. ``id`` is empty where the venue gives
    none."""

    native: str
    side: Side
    price: Number
    quantity: Number
    time: int
    id: str = ""
    average_price: Number | None = None


class Liquidations(Struct, frozen=True, gc=False):
    """Orders by which the venue closed positions, in its order. ``complete`` False: it tells a sample only.
    ``in_contracts``: quantities are contracts (of a stream of many instruments, whose reader knows none of them)."""

    stream: str
    orders: Sequence[LiquidationOrder]
    complete: bool = True
    in_contracts: bool = False


class Depth(Struct, frozen=True, gc=False):
    """A book frame, from a stream or from REST. Levels are absolute sizes, size zero deletes; any order, and of two
    levels with one price the last counts.

    ``first``..``last`` are the update ids it covers (a snapshot has ``first == last``), ``previous`` the last id of the
    frame before; None where the venue does not say. ``snapshot``: the whole book, whatever was known. ``restarted``:
    the venue counts anew, so that an equal id is no repeat; without ``snapshot`` it says that there is no book.
    ``checksum``: what ``BookRules.checksum`` must give for the book after this frame. ``sequence``: for
    ``AuditBy.SEQUENCE`` alone, a number that grows with the book in all its streams and REST answers alike,
    where ``last`` counts one stream's frames.
    """

    stream: str
    snapshot: bool
    first: int | None
    last: int | None
    previous: int | None
    bids: Sequence[Level]
    asks: Sequence[Level]
    time: int | None
    restarted: bool = False
    checksum: int | None = None
    sequence: int | None = None


class Bar(Struct, frozen=True, gc=False):
    """A candle frame, or a row of REST; ``open_time`` in ms, ``time`` (ms) when the venue sent it, where it says so.
    ``closed`` is the venue's own flag, None where it has none."""

    stream: str
    open_time: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    closed: bool | None = None
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


class LeftOut(Struct, frozen=True, gc=False):
    """Elements of a list (rows, bars, trades) that were left out because they cannot be read: each by the venue's name
    for it, and why. Comes last among the messages of its frame; the others are in the messages before it."""

    stream: str
    elements: Sequence[tuple[str, str]]


Control = Ack | Subscribed | Pong | Heartbeat | Sequenced | Restarting | Ignored | Unwanted
"""What belongs to a connection."""

Data = Quote | Stats | Mark | FundingIntervals | Trades | Liquidations | Depth | Bar | SweepRows | LeftOut
"""What belongs to a stream."""

Message = Control | Data
"""All that a frame can say."""

Reader = Callable[[str, bytes], Sequence[Message]]
"""Reads the frames of one stream: from (stream name, frame) to messages."""

Readers = Mapping[str, Reader]
"""By stream name."""


SendingTime = Callable[[bytes], int | None]
"""From a frame to when the venue sent it (ms, the venue's clock); None where this frame does not say."""


class BadFrame(ValueError):
    """A frame or REST body that cannot be read. ``reason``: ``json``, ``schema``, ``number``,
    ``size``, ``symbol`` (it names another instrument than its stream does) or ``unknown``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail[:200]}")
        self.reason = reason
