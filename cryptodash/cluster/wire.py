"""What crosses between processes, as bytes (msgpack): frames of records on a venue's channel, and requests to its
holder. Everything read is checked and bounded; what does not fit is a ``BadFrame``.

A frame is ``[version, fence, offset, sent, to, records]``: ``offset`` counts the frames of one holder from 0, ``sent``
is its monotonic clock (s) then. A record is ``[kind, content, age]``: of an event, how many ms ago its value was last
confirmed; None where it says nothing of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from types import GenericAlias
from typing import Annotated, Any, Final, NewType, get_args, get_type_hints

import attrs
import msgspec
from msgspec import Meta, msgpack

from cryptodash.core.errors import CryptodashError, Refused
from cryptodash.core.events import (
    Bbo,
    BookView,
    Candle,
    Event,
    Gap,
    Liquidation,
    StreamStatus,
    Sweep,
    Ticker,
    Trade,
)
from cryptodash.core.instruments import split_as_spelled
from cryptodash.core.interfaces import ExchangeReport
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic, parse_topic

VERSION: Final = 1
MOST_BYTES: Final = 1024 * 1024
"""Of a frame; what is longer is split between records."""
MOST_RECORDS: Final = 20_000
_NUMBER: Final = Annotated[str, Meta(pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z", max_length=64)]
Text = Annotated[str, Meta(max_length=4_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Count = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""A number of things, or a time (ms): so far in the future that it can still be written."""
_KINDS: Final = (Ticker, Bbo, Trade, Liquidation, Gap, Candle, BookView, Sweep, StreamStatus)
"""A record's kind is the place here; those behind them follow."""
BEAT: Final = len(_KINDS)
RECENT: Final = BEAT + 1
CATALOGUE: Final = BEAT + 2
REPORT: Final = BEAT + 3
ASK: Final = BEAT + 4
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
    """A topic that somebody wants, of a book at an interval (ms)."""

    topic: Text
    interval: int


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


def _type_of(hint: Any) -> Any:
    """A hint as it crosses: topics as text, numbers checked."""
    if hint is Topic:
        return Text
    if hint is Number or isinstance(hint, NewType):
        return _NUMBER
    if hint is str:
        return Text
    if hint is int:
        return Count
    arguments = get_args(hint)
    if not arguments:
        return hint
    if hint == Sequence[Ticker]:
        return _list_of(Ticker)
    made: tuple[Any, ...] = tuple(_type_of(each) if each is not Ellipsis else each for each in arguments)
    origin = hint.__origin__ if hasattr(hint, "__origin__") else None
    if origin is None:  # a union
        union = made[0]
        for each in made[1:]:
            union = union | each
        return union
    return origin[made]


def _fields_of(kind: type[msgspec.Struct]) -> GenericAlias:
    """The type of an event's fields in their order, made at run time from its declaration."""
    hints = get_type_hints(kind)
    return GenericAlias(tuple, tuple(_type_of(hints[name]) for name in kind.__struct_fields__))


def _list_of(kind: type[msgspec.Struct]) -> GenericAlias:
    return GenericAlias(list, (_fields_of(kind),))


def _crossing(value: object) -> object:
    if isinstance(value, Topic):
        return value.text
    raise TypeError(f"{type(value)} does not cross")


_encode = msgpack.Encoder(enc_hook=_crossing).encode
_decoders: Sequence[Callable[[Any], Any]] = [msgpack.Decoder(_fields_of(kind)).decode for kind in _KINDS]
_numbers: Final = {kind: number for number, kind in enumerate(_KINDS)}
_decode_frame = msgpack.Decoder(Frame).decode
_decode_demanded = msgpack.Decoder(Demanded).decode
_decode_beat = msgpack.Decoder(Beat).decode


_decode_recent = msgpack.Decoder(tuple[Text, list[RawRecord]]).decode
_decode_candles = msgpack.Decoder(_list_of(Candle)).decode
_decode_report = msgpack.Decoder(ExchangeReport).decode
_decode_text = msgpack.Decoder(Text).decode


def record_of(event: Event, age_ms: int | None = None) -> bytes:
    """The event as a record."""
    fields: tuple[Any, ...] = msgspec.structs.astuple(event)
    if type(event) is Ticker:
        fields = _ticker_fields(event)
    elif type(event) is Sweep:
        fields = (event.topic, [_ticker_fields(each) for each in event.tickers])
    return _encode((_numbers[type(event)], fields, age_ms))


def _ticker_fields(ticker: Ticker) -> tuple[Any, ...]:
    """Without the text that is made of its figures: that goes out as it is, and is made anew by who receives them."""
    return (*msgspec.structs.astuple(ticker)[:-1], None)


def recent_of(topic: Topic, events: Sequence[Event]) -> bytes:
    """What was told of a topic before, oldest first, as one record."""
    return _encode((RECENT, (topic, [msgspec.Raw(record_of(each)) for each in events]), None))


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

TopicOf = Callable[[str], Topic | None]
"""The topic of that text, if anybody here wants it."""


def read_event(kind: int, content: msgspec.Raw, topic_of: TopicOf) -> Event | None:
    """The event of a record; None where nobody wants its topic. Raises ``BadFrame``."""
    try:
        fields = _decoders[kind](content)
    except UNREADABLE as error:
        raise BadFrame(f"{_KINDS[kind].__name__}: {error}") from None
    topic = topic_of(fields[0])
    if topic is None:
        return None
    made = _KINDS[kind]
    if not _fits(made, topic):
        raise BadFrame(f"{made.__name__} of {topic}")
    if made is Sweep:
        return Sweep(topic, [_ticker(each) for each in fields[1]])
    if made is Ticker:
        return Ticker(topic, *fields[1:-1])
    event: Event = made(topic, *fields[1:])
    return event


def _ticker(fields: tuple[Any, ...]) -> Ticker:
    topic = _topic(fields[0])
    if not _fits(Ticker, topic):
        raise BadFrame(f"Ticker of {topic}")
    return Ticker(topic, *fields[1:-1])


_CHANNELS: Final[Mapping[type, Sequence[Channel]]] = {
    Ticker: (Channel.TICKER,),
    Sweep: (Channel.TICKER,),
    Bbo: (Channel.BBO,),
    Trade: (Channel.TRADE,),
    Liquidation: (Channel.LIQUIDATION,),
    Gap: (Channel.TRADE, Channel.LIQUIDATION),
    Candle: (Channel.CANDLE,),
    BookView: (Channel.ORDER_BOOK,),
}


def _fits(kind: type, topic: Topic) -> bool:
    """Whether an event of this kind can be of that topic."""
    if kind is StreamStatus:
        return not topic.depth
    if kind is BookView and not topic.depth:
        return False
    return topic.channel in _CHANNELS[kind] and topic.is_sweep is (kind is Sweep)


def _topic(text: str) -> Topic:
    try:
        topic = parse_topic(text)
    except Refused as error:
        raise BadFrame(error.message) from None
    if topic.text == text:
        return topic
    # A symbol that differs from another's in its case only is spelled as its venue spells it.
    symbol = split_as_spelled(text.split(":")[2])
    if symbol is not None:
        topic = Topic(topic.exchange, topic.market, symbol, topic.channel, depth=topic.depth, interval=topic.interval)
    if topic.text != text:
        raise BadFrame(f"{text[:80]!r} is no topic")
    return topic


def topic_of(text: str) -> Topic:
    """The topic of exactly that text. Raises ``BadFrame``."""
    return _topic(text)


def read_recent(content: msgspec.Raw, topic_of: TopicOf) -> tuple[Topic, list[Event]] | None:
    """As ``read_event``."""
    try:
        text, records = _decode_recent(content)
    except UNREADABLE as error:
        raise BadFrame(f"recent: {error}") from None
    topic = topic_of(text)
    if topic is None:
        return None
    events: list[Event] = []
    for kind, each, _ in records:
        if not 0 <= kind < len(_KINDS):
            raise BadFrame(f"recent: a record of kind {kind}")
        event = read_event(kind, each, topic_of)
        if event is None or event.topic is not topic or not isinstance(event, Trade | Liquidation | Gap | Candle):
            raise BadFrame(f"recent: {_KINDS[kind].__name__} among those of {topic}")
        events.append(event)
    return topic, events


def candles_of(bars: Sequence[Candle]) -> bytes:
    """Bars of one topic."""
    return _encode([msgspec.structs.astuple(each) for each in bars])


def read_candles(content: msgspec.Raw, topic: Topic) -> list[Candle]:
    """Raises ``BadFrame``."""
    try:
        return [Candle(topic, *each[1:]) for each in _decode_candles(content)]
    except UNREADABLE as error:
        raise BadFrame(f"candles: {error}") from None


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
