"""What crosses between processes, as bytes (msgpack): frames of records on a venue's channel, and requests to its
holder. Everything read is checked and bounded; what does not fit is a ``BadFrame``.

A frame is ``[version, fence, offset, sent, to, records]``: ``offset`` counts the frames of one holder from 0, ``sent``
is its monotonic clock (s) then. A record is ``[kind, content, age]``: of an event, how many ms ago its value was last
confirmed; None where it says nothing of that.

What is added at the end of a message, with a default, needs no new version: who does not know it passes over it, and
who misses it takes the default. A kind of record that is not known is passed over. All else is another ``VERSION``, and
processes of two versions do not take part in the same cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Annotated, Final

import attrs
import msgspec
from msgspec import Meta, msgpack

from cryptodash.core.errors import CryptodashError
from cryptodash.core.interfaces import ExchangeReport

VERSION: Final = 1
MOST_BYTES: Final = 1024 * 1024
"""Of a frame; what is longer is split between records."""
MOST_RECORDS: Final = 20_000
Text = Annotated[str, Meta(max_length=4_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Count = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""A number of things, or a time (ms): so far in the future that it can still be written."""
BEAT: Final = 9
"""The kinds of records; those below it are the events (``event_records.py``)."""
RECENT: Final = 10
CATALOGUE: Final = 11
REPORT: Final = 12
ASK: Final = 13
"""The holder wants to know all that the process wants."""

UNREADABLE: Final = (msgspec.MsgspecError, RecursionError)
"""What decoding raises; the second where something is nested too deep."""

RawRecord = tuple[int, msgspec.Raw, Count | None]


class BadFrame(CryptodashError):
    """What came is not ours, or not as it should be."""


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """As above. ``to``: the process it is for; empty: all."""

    version: int
    fence: Annotated[int, Meta(ge=0, le=2**53)]
    offset: Count
    sent: float
    to: Text
    records: list[RawRecord]


class Confirmed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Of one topic, as of the frame's ``sent``: how many ms ago its value was last confirmed, and for when it holds."""

    topic: Text
    confirmed_ms: Count
    as_of_ms: Count | None


class Echo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a process said its clock was when it last told what it wants, and for how many ms that has been here."""

    process: Text
    sent: float
    held_ms: float


class Beat(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How old values are, and the echoes by which others know how long this was under way."""

    ages: list[Confirmed]
    echoes: list[Echo]


class Hold(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A topic that somebody wants, of a book at an interval (ms). ``since``: the newest event that is known of it
    there, by its time and id, of which the state needs to tell no older ones."""

    topic: Text
    interval: int
    since: tuple[Count, Text] | None = None


class Demanded(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a process wants of a venue: changes, or all of it. ``number`` counts them, so that a lost one shows; one
    without changes says that the process is there. ``sent``: its monotonic clock (s)."""

    version: int
    process: Name
    number: Count
    sent: float
    is_all: bool
    holds: list[Hold]
    releases: list[Hold]


_encode = msgpack.Encoder().encode
_decode_frame = msgpack.Decoder(Frame).decode
_decode_demanded = msgpack.Decoder(Demanded).decode
_decode_beat = msgpack.Decoder(Beat).decode


_decode_report = msgpack.Decoder(ExchangeReport).decode
_decode_text = msgpack.Decoder(Text).decode


def beat_of(beat: Beat) -> bytes:
    return _encode((BEAT, beat, None))


def catalogue_of(market: str) -> bytes:
    """A market's catalogue has been written anew."""
    return _encode((CATALOGUE, market, None))


def ask() -> bytes:
    return _encode((ASK, None, None))


def report_of(report: ExchangeReport) -> bytes:
    return _encode((REPORT, attrs.asdict(report), None))


def frame_of(fence: int, offset: int, sent: float, records: Sequence[bytes], to: str = "") -> bytes:
    """A frame of records that are encoded already."""
    return _encode((VERSION, fence, offset, sent, to, [msgspec.Raw(each) for each in records]))


def parts_of(records: Sequence[bytes]) -> list[list[bytes]]:
    """The records of one turn, in frames that are not too long."""
    parts: list[list[bytes]] = []
    size = MOST_BYTES
    for each in records:
        if size + len(each) > MOST_BYTES or len(parts[-1]) >= MOST_RECORDS:
            parts.append([])
            size = 0
        parts[-1].append(each)
        size += len(each)
    return parts


def read_frame(data: bytes) -> Frame:
    """Raises ``BadFrame``; of another version as well."""
    if len(data) > 4 * MOST_BYTES:
        raise BadFrame(f"{len(data)} bytes are too many")
    try:
        frame = _decode_frame(data)
    except UNREADABLE as error:
        raise BadFrame(str(error)) from None
    if frame.version != VERSION:
        raise BadFrame(f"version {frame.version}, not {VERSION}")
    if not isfinite(frame.sent):
        raise BadFrame(f"sent at {frame.sent}")
    return frame


def read_demanded(data: bytes) -> Demanded:
    """Raises ``BadFrame``."""
    try:
        demanded = _decode_demanded(data)
    except UNREADABLE as error:
        raise BadFrame(str(error)) from None
    if demanded.version != VERSION:
        raise BadFrame(f"version {demanded.version}, not {VERSION}")
    if not isfinite(demanded.sent):
        raise BadFrame(f"sent at {demanded.sent}")
    return demanded


encode_demanded = msgpack.Encoder().encode


def read_report(content: msgspec.Raw) -> ExchangeReport:
    try:
        return _decode_report(content)
    except UNREADABLE as error:
        raise BadFrame(f"report: {error}") from None


def read_text(content: msgspec.Raw) -> str:
    try:
        return _decode_text(content)
    except UNREADABLE as error:
        raise BadFrame(str(error)) from None


def read_beat(content: msgspec.Raw) -> Beat:
    try:
        beat = _decode_beat(content)
    except UNREADABLE as error:
        raise BadFrame(f"beat: {error}") from None
    if not all(isfinite(each.sent) and isfinite(each.held_ms) for each in beat.echoes):
        raise BadFrame("beat: an echo of no time")
    return beat
