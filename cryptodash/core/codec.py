"""JSON in and out. Out: exact number text, no ``null``, no float. In: any bytes at all, one kind of error.

Messages of market data are put together from text that is already valid JSON (admitted numbers, a topic's members): several times cheaper
than encoding objects, and the venue's digits pass untouched. Everything else goes through msgspec.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from cryptodash.core.errors import CryptodashError
from cryptodash.core.events import BookDelta, BookSnapshot, Candle, Level, StreamStatus, Ticker, Trade
from cryptodash.core.numbers import Number
from cryptodash.core.time import rfc3339

_encoder = msgspec.json.Encoder()


class InvalidJSON(CryptodashError, ValueError):
    """Bytes that are not one JSON document we can take."""


def number(value: Number) -> msgspec.Raw:
    """An admitted number as a JSON number, digit for digit, for use inside ``encode``."""
    return msgspec.Raw(value.encode())


def encode(value: object) -> bytes:
    """Any plain value as JSON bytes; prices must be wrapped by ``number``, floats are for durations and rates only."""
    return _encoder.encode(value)


def text(value: object) -> str:
    return _encoder.encode(value).decode()


def decode(data: bytes | str) -> Any:
    """Parse a client's JSON. Raises ``InvalidJSON`` for bad syntax, bad UTF-8, numbers out of range and nesting too deep."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise InvalidJSON(str(error)[:120]) from None


_TICKER_NUMBERS = tuple(
    (field, f',"{field}":')
    for field in (
        "bid",
        "ask",
        "last",
        "bid_size",
        "ask_size",
        "open_24h",
        "high_24h",
        "low_24h",
        "volume_24h",
        "quote_volume_24h",
        "change_24h",
        "change_pct_24h",
        "mark_price",
        "index_price",
        "funding_rate",
        "open_interest",
    )
)
_TICKER_TIMES = tuple((field, f',"{field}":"') for field in ("next_funding_time", "quote_time", "last_time", "stats_time"))


def ticker_payload(event: Ticker) -> str:
    """The ticker's JSON object; unknown fields are left out."""
    parts = [f'{{"timestamp":"{rfc3339(event.timestamp)}",{event.topic.json}']
    for field, label in _TICKER_NUMBERS:
        value = getattr(event, field)
        if value is not None:
            parts.append(label + value)
    for field, label in _TICKER_TIMES:
        value = getattr(event, field)
        if value is not None:
            parts.append(f'{label}{rfc3339(value)}"')
    parts.append("}")
    return "".join(parts)


def trade_payload(event: Trade, *, replayed: bool = False) -> str:
    tail = ',"replayed":true}' if replayed else "}"
    return (
        f'{{"timestamp":"{rfc3339(event.timestamp)}",{event.topic.json},"id":{text(event.id)},"price":{event.price},'
        f'"quantity":{event.quantity},"side":"{event.side.value}"{tail}'
    )


def candle_payload(event: Candle) -> str:
    return f'{{"timestamp":"{rfc3339(event.timestamp)}",{event.topic.json},{_bar(event)},"source":"{event.source}"{_corrected(event)}}}'


def candle_bar(event: Candle) -> str:
    """A bar as REST lists it, without the topic."""
    return f'{{"timestamp":"{rfc3339(event.timestamp)}",{_bar(event)}}}'


def _bar(event: Candle) -> str:
    closed = "true" if event.closed else "false"
    return f'"open":{event.open},"high":{event.high},"low":{event.low},"close":{event.close},"volume":{event.volume},"closed":{closed}'


def _corrected(event: Candle) -> str:
    return ',"corrected":true' if event.corrected else ""


def levels(side: Iterable[Level]) -> str:
    """``[{"price":...,"quantity":...}, ...]``"""
    return "[" + ",".join([f'{{"price":{price},"quantity":{size}}}' for price, size in side]) + "]"


def snapshot_payload(event: BookSnapshot) -> str:
    complete = "true" if event.complete else "false"
    return (
        f'{{"timestamp":"{rfc3339(event.timestamp)}",{event.topic.json},"sequence":{event.sequence},'
        f'"bids":{levels(event.bids)},"asks":{levels(event.asks)},"complete":{complete}}}'
    )


def delta_payload(event: BookDelta) -> str:
    return (
        f'{{"timestamp":"{rfc3339(event.timestamp)}",{event.topic.json},"sequence":{event.sequence},'
        f'"bids_upserts":{levels(event.bids_upserts)},"asks_upserts":{levels(event.asks_upserts)},'
        f'"deletes":{{"bids":[{_joined(event.bids_deletes)}],"asks":[{_joined(event.asks_deletes)}]}}}}'
    )


def _joined(prices: Sequence[Number]) -> str:
    return ",".join(prices)


def channel_json(event: StreamStatus | Ticker | Trade) -> str:
    """The channel as a client names it."""
    return f'{{"channel_type":"{event.topic.channel.value}",{event.topic.json}}}'


def status_payload(event: StreamStatus, *, source: str, age_ms: int | None) -> str:
    """``age_ms`` is left out while no value has ever come."""
    members = [f'"channel":{channel_json(event)}', f'"state":"{event.state.value}"']
    if event.cause is not None:
        members.append(f'"cause":"{event.cause.value}"')
    if event.fields:
        members.append(f'"fields":{text(event.fields)}')
    members.append(f'"since":"{rfc3339(event.since)}"')
    if age_ms is not None:
        members.append(f'"age_ms":{age_ms}')
    members.append(f'"source":"{source}"')
    return "{" + ",".join(members) + "}"


def message(kind: str, payload: str) -> bytes:
    """One server message: ``{"type": kind, "payload": payload}``."""
    return f'{{"type":"{kind}","payload":{payload}}}'.encode()
