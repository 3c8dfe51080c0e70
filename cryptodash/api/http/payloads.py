"""Payloads of the REST answers that carry market values, digit for digit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from cryptodash.core import codec
from cryptodash.core.events import Candle, StreamStatus, Trade
from cryptodash.core.steps import Steps
from cryptodash.core.time import rfc3339
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Message

BARS_AT_ONCE: Final = 128
"""Bars that are written in one step."""


class _Envelope(msgspec.Struct):
    payload: msgspec.Raw


_envelope = msgspec.json.Decoder(_Envelope)


def snapshot_of(messages: Sequence[Message]) -> str | None:
    """The payload of the order-book snapshot among these messages."""
    for message in messages:
        if message.kind == "order_book_snapshot":
            return bytes(_envelope.decode(message.body).payload).decode()
    return None


def with_status(payload: str, status: StreamStatus, age_ms: int | None, source: str) -> str:
    """The JSON object ``payload`` with ``status`` and ``source`` as further members."""
    members: dict[str, object] = {"state": status.state.value}
    if status.cause is not None:
        members["cause"] = status.cause.value
    if status.fields:
        members["fields"] = status.fields
    members["since"] = rfc3339(status.since)
    if age_ms is not None:
        members["age_ms"] = age_ms
    members["source"] = source
    return f'{payload[:-1]},"status":{codec.text(members)},"source":{codec.text(source)}}}'


def trades_payload(topic: Topic, limit: int, trades: Sequence[Trade]) -> str:
    """Trades oldest first, without the topic in each."""
    rows = [
        f'{{"timestamp":"{rfc3339(each.timestamp)}","id":{codec.text(each.id)},"price":{each.price},'
        f'"quantity":{each.quantity},"side":"{each.side.value}",'
        f'"received":"{rfc3339(each.received)}"}}'
        for each in trades
    ]
    return f'{{{topic.json},"limit":{limit},"trades":[{",".join(rows)}]}}'


def candles_payload(topic: Topic, limit: int, bars: Sequence[Candle], cached: bool, source: str) -> Steps[str]:
    """Steps whose outcome are the bars as the hub gives them: oldest first, one per open time.

    The symbol is joined (``BTCUSDT``) as the seed's frontend reads it.
    """
    parts: list[str] = []
    for at in range(0, len(bars), BARS_AT_ONCE):
        parts.extend(map(codec.candle_bar, bars[at : at + BARS_AT_ONCE]))
        yield
    rows = ",".join(parts)
    head = codec.text(
        {
            "exchange": topic.exchange,
            "symbol": topic.symbol.base + topic.symbol.quote,
            "market_type": topic.market.value,
            "interval": topic.interval,
            "limit": limit,
        }
    )
    return f'{head[:-1]},"candles":[{rows}],"cached":{codec.text(cached)},"source":{codec.text(source)}}}'
