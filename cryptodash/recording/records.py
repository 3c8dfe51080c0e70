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
    """A connection for streams of this market; ``origin`` is scheme, host and port."""

    market: str
    origin: str


class AnswerHead(msgspec.Struct, frozen=True):
    """What a REST answer is to: ``url`` without the host."""

    url: str
    market: str
    purpose: str


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
