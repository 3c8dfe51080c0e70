"""Whether messages are made of nothing but admitted numbers and times that can be; and their numbers, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from cryptodash.core.errors import NumberRejected
from cryptodash.core.events import Level, Side
from cryptodash.core.numbers import admit, is_zero
from cryptodash.core.time import is_time_ms
from cryptodash.exchanges.adapter.decode import MAX_NAME
from cryptodash.exchanges.adapter.messages import (
    Ack,
    Bar,
    Control,
    Data,
    Depth,
    Fill,
    FundingIntervals,
    LiquidationOrder,
    Liquidations,
    Mark,
    Message,
    Quote,
    Sequenced,
    Stats,
    Subscribed,
    SweepRows,
    Trades,
    Unwanted,
)
from cryptodash.testing.conformance.failure import require, shown

KINDS: tuple[type, ...] = (*get_args(Control), *get_args(Data))

Members = Mapping[type, tuple[str, ...]]

POSITIVE: Members = {
    Quote: ("bid", "ask"),
    Fill: ("price", "quantity"),
    LiquidationOrder: ("price", "quantity", "average_price"),
    Bar: ("open", "high", "low", "close"),
    Stats: ("last", "open", "high", "low"),
    Mark: ("mark_price", "index_price"),
}
UNSIGNED: Members = {
    Quote: ("bid_size", "ask_size"),
    Bar: ("volume",),
    Stats: ("volume", "quote_volume"),
    Mark: ("open_interest",),
}
SIGNED: Members = {Stats: ("change", "change_pct"), Mark: ("funding_rate",)}
MAY_BE_NONE = (Quote, Stats, Mark, LiquidationOrder)
TIMES = ("time", "open_time", "next_funding_time")
COUNTS = ("update_id", "number", "first", "last", "previous", "checksum")


def numbers_of(message: Message) -> Iterator[tuple[str, str]]:
    """Every number of a message by the name of its member (``Fill.price``)."""
    for part in _parts(message):
        kind = type(part)
        for table in (POSITIVE, UNSIGNED, SIGNED):
            for name in table.get(kind, ()):
                value = getattr(part, name)
                if value is not None:
                    yield f"{kind.__name__}.{name}", value
        if isinstance(part, Depth):
            for price, size in (*part.bids, *part.asks):
                yield "Depth.price", price
                yield "Depth.size", size


def times_of(message: Message) -> Iterator[tuple[str, int]]:
    """Every time of a message (ms) by the name of its member."""
    for part in _parts(message):
        for name in TIMES:
            value = getattr(part, name, None)
            if value is not None:
                yield f"{type(part).__name__}.{name}", value


def check_messages(messages: Any) -> list[Message]:
    """The messages that a venue's function returned. Fails where one is not as ``messages.py`` says."""
    require(isinstance(messages, Sequence) and not isinstance(messages, str | bytes), f"no messages: {shown(messages)}")
    for message in messages:
        require(isinstance(message, KINDS), f"not a message: {shown(message)}")
        for part in _parts(message):
            _check_part(part)
    return list(messages)


def check_number(value: Any, name: str, *, sign: str = "") -> None:
    """Fail unless it is an admitted number: text in plain notation. ``sign``: ``positive``, ``unsigned`` or neither."""
    require(type(value) is str, f"{name} is {shown(value)}: a number is text, admitted by core.numbers")
    try:
        admitted = admit(value)
    except NumberRejected:
        admitted = None
    require(admitted == value, f"{name} is {shown(value)}, which is not a number in plain notation")
    negative = str(value).startswith("-")
    require(not (sign and negative), f"{name} is {shown(value)}: it cannot be negative")
    require(sign != "positive" or not is_zero(value), f"{name} is {shown(value)}: it must be above zero")


def _parts(message: Message) -> Iterator[Any]:
    """The message and what it holds."""
    yield message
    if isinstance(message, Trades):
        yield from message.fills
    elif isinstance(message, Liquidations):
        yield from message.orders
    elif isinstance(message, SweepRows):
        for row in message.rows:
            yield from (each for each in (row.quote, row.stats, row.mark) if each is not None)


def _check_part(part: Any) -> None:
    kind = type(part)
    name = kind.__name__
    for sign, table in (("positive", POSITIVE), ("unsigned", UNSIGNED), ("", SIGNED)):
        for member in table.get(kind, ()):
            value = getattr(part, member)
            if value is not None or kind not in MAY_BE_NONE:
                check_number(value, f"{name}.{member}", sign=sign)
    for member in TIMES:
        value = getattr(part, member, None)
        fits = value is None or (type(value) is int and is_time_ms(value))
        require(fits, f"{name}.{member} is {shown(value)}: not a time in ms")
    if not isinstance(part, Stats):
        for member in COUNTS:
            value = getattr(part, member, None)
            require(value is None or type(value) is int, f"{name}.{member} is {shown(value)}: not a whole number")
    _check_text(part, name)
    _check_rest(part, name)


def _check_text(part: Any, name: str) -> None:
    stream = getattr(part, "stream", "")
    require(type(stream) is str and len(stream) <= MAX_NAME, f"{name}.stream is {shown(stream)}: a name is short text")
    if isinstance(part, Ack):
        texts = [part.request_id, part.reason, part.argument, *part.streams]
        require(all(type(each) is str for each in texts), f"an Ack of {shown(part)} is not made of text")
    elif isinstance(part, Subscribed):
        require(all(type(each) is str for each in part.streams), f"{shown(part)} lists what is no name")


def _check_rest(part: Any, name: str) -> None:
    if isinstance(part, Depth):
        for level in (*part.bids, *part.asks):
            _check_level(level)
        require(type(part.snapshot) is bool, "Depth.snapshot is neither True nor False")
    elif isinstance(part, Fill):
        require(isinstance(part.side, Side), f"Fill.side is {shown(part.side)}: not the taker's Side")
        require(type(part.id) is str and part.id, f"Fill.id is {shown(part.id)}: not text")
    elif isinstance(part, LiquidationOrder):
        require(
            isinstance(part.side, Side), f"LiquidationOrder.side is {shown(part.side)}: not the closing order's Side"
        )
        require(type(part.native) is str and part.native, f"a liquidation is of {shown(part.native)}: not a name")
        require(type(part.id) is str, f"LiquidationOrder.id is {shown(part.id)}: not text")
    elif isinstance(part, FundingIntervals):
        for native, hours in part.hours.items():
            require(type(native) is str and native, f"a funding interval is of {shown(native)}: not a name")
            _check_hours(hours)
        _check_hours(part.others)
    elif isinstance(part, Mark):
        _check_hours(part.funding_interval_h)
    elif isinstance(part, Bar):
        require(part.closed in (None, True, False), f"Bar.closed is {shown(part.closed)}")
    elif isinstance(part, Sequenced):
        require(part.number is not None, "Sequenced without a number")
    elif isinstance(part, SweepRows):
        for row in part.rows:
            require(type(row.native) is str and row.native, f"a row of a sweep is of {shown(row.native)}: not a name")
    elif isinstance(part, Unwanted):
        require(part.stream, "an Unwanted frame of no stream")


def _check_hours(hours: object) -> None:
    fits = hours is None or (type(hours) is int and hours > 0)
    require(fits, f"a funding interval is {shown(hours)}: not a number of hours")


def _check_level(level: Level) -> None:
    require(isinstance(level, tuple) and len(level) == 2, f"a level is (price, size), not {shown(level)}")
    check_number(level[0], "the price of a level", sign="positive")
    check_number(level[1], "the size of a level", sign="unsigned")
