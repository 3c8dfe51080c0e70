"""Events as they cross between processes: a record's content is the event's members in their order, with its topic as
text. Everything read is checked; what does not fit is a ``BadFrame``.

An event of another release may have members more or fewer at its end, as ``wire.py`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import GenericAlias
from typing import Annotated, Any, Final, NewType, get_args, get_type_hints

import msgspec
from msgspec import Meta, msgpack
from msgspec.structs import astuple

from cryptodash.cluster.wire import RECENT, UNREADABLE, BadFrame, Count, RawRecord, Text
from cryptodash.core.errors import Refused
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
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic, parse_topic

_NUMBER: Final = Annotated[str, Meta(pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z", max_length=64)]
_FIGURES: Final = Ticker.__struct_fields__.index("figures")
KINDS: Final = (Ticker, Bbo, Trade, Liquidation, Gap, Candle, BookView, Sweep, StreamStatus)
"""A record's kind is the place here."""


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


def _members_of(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The type of an event's members in their order, made at run time from its declaration."""
    hints = get_type_hints(kind)
    members = list[tuple[str, Any] | tuple[str, Any, Any]]()
    for each in msgspec.structs.fields(kind):
        made = each.name, _type_of(hints[each.name])
        members.append(made if each.required else (*made, each.default))
    return msgspec.defstruct(f"Crossing{kind.__name__}", members, array_like=True, frozen=True, gc=False)


def _list_of(kind: type[msgspec.Struct]) -> GenericAlias:
    return GenericAlias(list, (_members_of(kind),))


def _crossing(value: object) -> object:
    if isinstance(value, Topic):
        return value.text
    raise TypeError(f"{type(value)} does not cross")


_encode = msgpack.Encoder(enc_hook=_crossing).encode
_decoders: Sequence[Callable[[Any], Any]] = [msgpack.Decoder(_members_of(kind)).decode for kind in KINDS]
_numbers: Final = {kind: number for number, kind in enumerate(KINDS)}
_decode_recent = msgpack.Decoder(tuple[Text, list[RawRecord]]).decode
_decode_candles = msgpack.Decoder(_list_of(Candle)).decode


def record_of(event: Event, age_ms: int | None = None) -> bytes:
    """The event as a record."""
    fields: tuple[Any, ...] = astuple(event)
    if type(event) is Ticker:
        fields = _ticker_fields(event)
    elif type(event) is Sweep:
        fields = (event.topic, [_ticker_fields(each) for each in event.tickers])
    return _encode((_numbers[type(event)], fields, age_ms))


def _ticker_fields(ticker: Ticker) -> tuple[Any, ...]:
    """Without the text that is made of its figures: that goes out as it is, and is made anew by who receives them."""
    return _without_figures(astuple(ticker))


def _without_figures(fields: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*fields[:_FIGURES], None, *fields[_FIGURES + 1 :])


def recent_of(topic: Topic, events: Sequence[Event]) -> bytes:
    """What was told of a topic before, oldest first, as one record."""
    return _encode((RECENT, (topic, [msgspec.Raw(record_of(each)) for each in events]), None))


TopicOf = Callable[[str], Topic | None]
"""The topic of that text, if anybody here wants it."""


def read_event(kind: int, content: msgspec.Raw, topic_of: TopicOf) -> Event | None:
    """The event of a record; None where nobody wants its topic. Raises ``BadFrame``."""
    try:
        fields = astuple(_decoders[kind](content))
    except UNREADABLE as error:
        raise BadFrame(f"{KINDS[kind].__name__}: {error}") from None
    topic = topic_of(fields[0])
    if topic is None:
        return None
    made = KINDS[kind]
    if not _fits(made, topic):
        raise BadFrame(f"{made.__name__} of {topic}")
    if made is Sweep:
        return Sweep(topic, [_ticker(astuple(each)) for each in fields[1]])
    if made is Ticker:
        return Ticker(topic, *_without_figures(fields)[1:])
    event: Event = made(topic, *fields[1:])
    return event


def _ticker(fields: tuple[Any, ...]) -> Ticker:
    topic = _topic(fields[0])
    if not _fits(Ticker, topic):
        raise BadFrame(f"Ticker of {topic}")
    return Ticker(topic, *_without_figures(fields)[1:])


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
        if not 0 <= kind < len(KINDS):
            raise BadFrame(f"recent: a record of kind {kind}")
        event = read_event(kind, each, topic_of)
        if event is None or event.topic is not topic or not isinstance(event, Trade | Liquidation | Gap | Candle):
            raise BadFrame(f"recent: {KINDS[kind].__name__} among those of {topic}")
        events.append(event)
    return topic, events


def candles_of(bars: Sequence[Candle]) -> bytes:
    """Bars of one topic."""
    return _encode([astuple(each) for each in bars])


def read_candles(content: msgspec.Raw, topic: Topic) -> list[Candle]:
    """Raises ``BadFrame``."""
    try:
        return [Candle(topic, *astuple(each)[1:]) for each in _decode_candles(content)]
    except UNREADABLE as error:
        raise BadFrame(f"candles: {error}") from None
