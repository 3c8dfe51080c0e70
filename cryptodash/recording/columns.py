"""Recorded messages as rows of a table: which columns each channel has, and what a message puts into them. Pure.

Numbers stay the text that the venue sent.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Final

import msgspec
from attrs import frozen
from msgspec import Raw

from cryptodash.core.time import parse_time
from cryptodash.core.topics import Channel
from cryptodash.recording.entries import Entry
from cryptodash.recording.tape_errors import BadTape


class Kind(enum.Enum):
    """What a column holds."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    WHOLE = "whole"
    FLAG = "flag"


@frozen
class Column:
    name: str
    kind: Kind


Cell = str | int | bool | None
"""Of a number its text, of a time milliseconds."""
Row = dict[str, Cell]

_COMMON: Final = (
    Column("recorded", Kind.TIME),
    Column("timestamp", Kind.TIME),
    Column("received", Kind.TIME),
    Column("exchange", Kind.TEXT),
    Column("market_type", Kind.TEXT),
    Column("symbol", Kind.TEXT),
)


def _numbers(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.NUMBER) for name in names)


def _times(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.TIME) for name in names)


_TICKER: Final = (
    *_numbers("bid", "bid_size", "ask", "ask_size", "last", "open_24h", "high_24h", "low_24h", "volume_24h"),
    *_numbers("quote_volume_24h", "change_24h", "change_pct_24h", "mark_price", "index_price", "funding_rate"),
    *_numbers("funding_interval_h", "open_interest"),
    *_times("next_funding_time", "quote_time", "last_time", "stats_time"),
)
COLUMNS: Final[Mapping[Channel, tuple[Column, ...]]] = {
    Channel.TRADE: (*_COMMON, Column("id", Kind.TEXT), *_numbers("price", "quantity"), Column("side", Kind.TEXT)),
    Channel.LIQUIDATION: (
        *(*_COMMON, Column("id", Kind.TEXT), *_numbers("price", "quantity", "average_price")),
        *(Column("side", Kind.TEXT), Column("complete", Kind.FLAG)),
    ),
    Channel.TICKER: (*_COMMON, *_TICKER),
    Channel.BBO: (*_COMMON, *_numbers("bid", "bid_size", "ask", "ask_size")),
    Channel.CANDLE: (
        *(*_COMMON, Column("interval", Kind.TEXT), *_numbers("open", "high", "low", "close", "volume")),
        *(Column("closed", Kind.FLAG), Column("corrected", Kind.FLAG), Column("source", Kind.TEXT)),
    ),
    Channel.ORDER_BOOK: (
        *(*_COMMON, Column("depth", Kind.WHOLE), Column("sequence", Kind.WHOLE)),
        *(Column("action", Kind.TEXT), Column("side", Kind.TEXT), *_numbers("price", "quantity")),
    ),
}
"""An order book has a row for each level: ``action`` is ``snapshot``, ``set`` or ``delete``."""

_KINDS: Final = {
    Channel.TRADE: {"trade"},
    Channel.LIQUIDATION: {"liquidation"},
    Channel.TICKER: {"ticker"},
    Channel.BBO: {"bbo"},
    Channel.CANDLE: {"candle"},
    Channel.ORDER_BOOK: {"order_book_snapshot", "order_book_delta"},
}


class _Message(msgspec.Struct):
    type: str
    payload: dict[str, Raw]


class _Symbol(msgspec.Struct):
    base: str
    quote: str


class _Level(msgspec.Struct):
    price: Raw
    quantity: Raw


_decode = msgspec.json.Decoder(_Message).decode
_levels = msgspec.json.Decoder(list[_Level]).decode
_deletes = msgspec.json.Decoder(dict[str, list[Raw]]).decode
_symbol = msgspec.json.Decoder(_Symbol).decode
_text = msgspec.json.Decoder(str).decode
_whole = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]).decode
_flag = msgspec.json.Decoder(bool).decode


def rows_of(entry: Entry, channel: Channel) -> Iterator[Row]:
    """The rows that a recorded message makes: none, of a status or a gap. Raises ``BadTape``."""
    try:
        message = _decode(entry.body)
        if message.type not in _KINDS[channel]:
            return
        common: Row = {"recorded": entry.time // 1000}
        for column in COLUMNS[channel][1:]:
            raw = message.payload.get(column.name)
            common[column.name] = None if raw is None else _cell(column, raw)
        if channel is Channel.ORDER_BOOK:
            yield from _level_rows(message, common)
        else:
            yield common
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise BadTape(f"a message of {entry.topic[:100]} cannot be read: {error}"[:300]) from None


def _cell(column: Column, raw: Raw) -> Cell:
    if column.kind is Kind.NUMBER:
        return _number(raw)
    if column.kind is Kind.TIME:
        return parse_time(_text(raw))
    if column.kind is Kind.WHOLE:
        return _whole(raw)
    if column.kind is Kind.FLAG:
        return _flag(raw)
    if column.name == "symbol":
        symbol = _symbol(raw)
        return f"{symbol.base}-{symbol.quote}"
    return _text(raw)


def _number(raw: Raw) -> str:
    """Digit for digit. Raises ``ValueError`` for what is no plain number."""
    text = bytes(raw).decode("ascii")
    if len(text) > 64 or not text.removeprefix("-").replace(".", "", 1).isdigit():
        raise ValueError(f"{text[:40]!r} is no number of ours")
    return text


def _level_rows(message: _Message, common: Row) -> Iterator[Row]:
    payload = message.payload
    is_snapshot = message.type == "order_book_snapshot"
    for side in ("bids", "asks"):
        name, action = (side, "snapshot") if is_snapshot else (f"{side}_upserts", "set")
        for level in _levels(payload[name]) if name in payload else ():
            price, quantity = _number(level.price), _number(level.quantity)
            yield {**common, "action": action, "side": side[:-1], "price": price, "quantity": quantity}
    for side, prices in _deletes(payload["deletes"]).items() if "deletes" in payload else ():
        for gone in prices:
            yield {**common, "action": "delete", "side": side[:-1], "price": _number(gone), "quantity": None}


SCALE: Final = 18
PRECISION: Final = 38


def fits_decimal(text: str) -> bool:
    """Whether a number is exactly a decimal128(38, 18)."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    return len(whole.lstrip("0")) <= PRECISION - SCALE and len(fraction.rstrip("0")) <= SCALE


def as_decimal(text: str) -> Decimal:
    """Of a number that ``fits_decimal``: zeros behind the last place of the type are left out."""
    point = text.find(".")
    return Decimal(text if point < 0 else text[: point + 1 + SCALE])
