"""What a record of a tape can be, and the bodies of those that are about the tape itself."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from cryptodash.recording.blocks import MOST_TIME
from cryptodash.recording.tape_errors import BadTape

# -- of the messages
MESSAGE: Final = 0
"""The body is what clients were sent, byte for byte."""
KEYFRAME: Final = 1
"""The same, of what was known already: a status or the newest value."""
BEGIN: Final = 2
"""The topic is recorded from here on; ``Held`` where several processes are one server."""
END: Final = 3
"""No more."""
HELD: Final = 4
"""``Held``, again with each keyframe: the topic is recorded as before."""

# -- of the frames: the topic is ``venue/connection``, or ``venue`` for REST
IN: Final = 10
OUT: Final = 11
ANSWER: Final = 12
"""A REST answer: ``AnswerHead`` as a line of JSON, and the body."""
OPENED: Final = 13
CLOSED: Final = 14
STANDING: Final = 15
"""Sent before, on a connection that is open still; told again where a segment begins."""

CHECKPOINT: Final = "checkpoint"
INSTRUMENTS: Final = 16
"""``Instruments``, of the topic ``venue/checkpoint``. With the first of a market a checkpoint of it begins; then comes
what stands, then the books."""
BOOK: Final = 17
"""``Book``: one order book as all frames of its connection before this record have made it."""
FIGURES: Final = 18
"""``Figures``: what is known of a ticker, likewise."""

MORE: Final = 30
"""The beginning of a body that goes on in the next record of the topic."""

# -- of the tape itself, without a topic
RUN: Final = 20
HOLE: Final = 21
STEP: Final = 22
COUNTS: Final = 23
BEAT: Final = 24
"""Nothing else came: the recorder lives."""
MADE_OF: Final = 25
"""Of a sorted segment: ``MadeOf``."""

LONGEST_PART: Final = 2**20
"""Bytes of a body that one record has; what is longer comes in parts."""
LONGEST_BODY: Final = 20 * 2**20
"""Bytes of a body, all its parts together."""

MOST_MS: Final = 253_402_300_800_000
"""The year 10000."""
_Time = Annotated[int, Meta(ge=0, le=MOST_TIME)]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Reason = Annotated[str, Meta(pattern=r"\A[a-z]{1,20}\Z")]


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """The recorder's run: it begins each segment. ``wall_ms``: the wall clock when tape time began, of which it is
    ``wall_ms`` plus monotonic time. ``process`` names who wrote it."""

    id: str
    wall_ms: int
    version: str
    process: str = ""
    source: str = ""
    exchanges: tuple[str, ...] = ()


class Hole(msgspec.Struct, frozen=True):
    """Nothing, or not all, is here of what came from ``begin`` to ``end`` (tape time, us). ``blocks`` and ``records``:
    how many are missing, None where nobody knows. Reasons: ``full`` (the disk was too slow, or the process too busy),
    ``disk`` (it failed, ``error`` says how), ``stopped`` (the server was), ``torn`` (it was killed, or the power
    failed), ``stalled`` (the process stood still)."""

    begin: _Time
    end: _Time
    reason: _Reason
    blocks: int | None = None
    records: int | None = None
    error: str = ""


class Step(msgspec.Struct, frozen=True):
    """The wall clock was set by so many ms; tape time goes on as if it had not been."""

    by_ms: int
    wall_ms: int


class Counts(msgspec.Struct, frozen=True):
    """Of the run up to the block that this stands at the beginning of: blocks made, records made; those in the holes
    are counted as well."""

    blocks: int
    records: int


class MadeOf(msgspec.Struct, frozen=True):
    """The blocks that a stripe of a sorted segment was made of, in order: number, first and last time (us), records."""

    blocks: list[tuple[_Count, _Time, _Time, _Count]]


class Held(msgspec.Struct, frozen=True):
    """Under which lease the exchange of the topic is held by who records it: of two processes the one with the greater
    fence had it later, whatever their clocks say."""

    fence: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Opened(msgspec.Struct, frozen=True):
    """A connection for streams of this market; ``origin`` is scheme, host and port. ``again``: it was opened before,
    which is only told again."""

    market: str
    origin: str
    again: bool = False


class AnswerHead(msgspec.Struct, frozen=True):
    """What a REST answer is to: ``url`` without the host."""

    url: str
    market: str
    purpose: str


class Listed(msgspec.Struct, frozen=True):
    """An instrument: its native name, base and quote as they are called here, what a price and a size are multiples of,
    and the base quantity of a contract (empty where sizes are no contracts)."""

    native: str
    base: str
    quote: str
    tick: str
    step: str
    contract: str = ""


class Instruments(msgspec.Struct, frozen=True):
    """Those of a market whose streams are wanted. ``begins``: they are the first of a checkpoint."""

    market: str
    instruments: list[Listed]
    begins: bool = False


class Book(msgspec.Struct, frozen=True):
    """As ``core.checkpoints.BookImage``, which says what each member means; the topic is its connection's."""

    market: str
    native: str
    stream: str
    depth: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None
    time: Annotated[int, msgspec.Meta(ge=0, lt=MOST_MS)] | None
    bids: str
    asks: str
    bids_end: bool
    asks_end: bool


class Figures(msgspec.Struct, frozen=True):
    """As ``core.checkpoints.FiguresImage``; the topic is the connection's."""

    market: str
    native: str
    stream: str
    time: Annotated[int, msgspec.Meta(ge=0, lt=MOST_MS)]
    figures: Annotated[dict[str, str], msgspec.Meta(max_length=100)]


T = TypeVar("T")
encode = msgspec.json.encode


def decode(body: bytes, kind: type[T]) -> T:
    """Raises ``BadTape``."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadTape(f"a record of kind {kind.__name__} cannot be read: {error}"[:200]) from None


def held(fence: int | None) -> bytes:
    """The body of ``BEGIN`` and ``HELD``. None: there are no leases, or the topic belongs to none."""
    return b"" if fence is None else encode(Held(fence))


def fence_of(body: bytes) -> int | None:
    """The fence in such a body. Raises ``BadTape``."""
    return decode(body, Held).fence if body else None
