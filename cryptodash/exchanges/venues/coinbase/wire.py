"""What all frames of Coinbase Advanced Trade have in common: an envelope, streams by channel and product, and times.

A frame is ``{"channel", "timestamp", "sequence_num", "events"}``, where ``sequence_num`` counts every frame of the
connection, answers and heartbeats included, from 0. Source: docs.cdp.coinbase.com, "Advanced Trade WebSocket"
("Overview", "Channels"); the raw messages in this package are recorded ones where nothing else is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Annotated

from msgspec import Meta, Raw, Struct

from cryptodash.exchanges.adapter.decode import MAX_NAME, MAX_TIME_MS, Count, Name, decoder
from cryptodash.exchanges.adapter.messages import BadFrame

HEARTBEATS = "heartbeats"
"""A channel without products, and the name of its stream."""

CHANNELS: Mapping[str, str] = {
    "ticker": "ticker",
    "market_trades": "market_trades",
    "l2_data": "level2",
    "candles": "candles",
}
"""What is subscribed to, by the word that its frames say."""


class Head(Struct, gc=False):
    """Any frame, as far as is needed to know whose it is. A refusal has a ``type`` in the place of a ``channel``."""

    channel: Annotated[str, Meta(max_length=64)] = ""
    sequence_num: Count | None = None
    events: Raw = Raw(b"[]")
    type: Annotated[str, Meta(max_length=64)] = ""
    message: Annotated[str, Meta(max_length=8192)] = ""


read_head = decoder(Head)


class _Named(Struct, gc=False):
    product_id: Name


class _Event(Struct, gc=False):
    """An event of any channel: its product, or those of its elements."""

    product_id: Annotated[str, Meta(max_length=MAX_NAME)] = ""
    tickers: list[_Named] = []
    trades: list[_Named] = []
    candles: list[_Named] = []


_events = decoder(list[_Event])


def products(events: Raw) -> Sequence[str]:
    """The products that a frame's events speak of, each once, in order."""
    found: dict[str, None] = {}
    for event in _events(events):
        if event.product_id:
            found[event.product_id] = None
        for element in (*event.tickers, *event.trades, *event.candles):
            found[element.product_id] = None
    return list(found)


def stream_of(channel: str, product: str) -> str:
    """Our name for a product's stream: ``level2:BTC-USD``."""
    return f"{channel}:{product}"


def parts_of(stream: str) -> tuple[str, str]:
    """Channel and product of a stream. Raises ``BadFrame`` for a name that is none of ours."""
    channel, separator, product = stream.partition(":")
    if channel not in CHANNELS.values() or not separator or not product or len(stream) > MAX_NAME:
        raise BadFrame("unknown", f"stream {stream[:MAX_NAME]}")
    return channel, product


# Times: "2026-08-12T19:27:33.489674268Z". Trailing zeros are left out, so that there are 0 to 9 decimals.

_is_time = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z").fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def time_of(text: str) -> int:
    """Milliseconds of an RFC 3339 time in UTC; what is finer is cut off. Raises ``BadFrame``."""
    found = _is_time(text)
    if found is None:
        raise BadFrame("schema", f"no time: {text!r}")
    second, decimals = found.groups("")
    time = _second(second) + int(f"{decimals:0<3}"[:3])
    if not 0 <= time <= MAX_TIME_MS:
        raise BadFrame("schema", f"no time: {text!r}")
    return time


@lru_cache(maxsize=64)
def _second(text: str) -> int:
    """Milliseconds of a whole second: many frames come in each."""
    passed = datetime.strptime(f"{text}Z", "%Y-%m-%dT%H:%M:%S%z") - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1000


_timestamp = re.compile(rb'"timestamp": ?"([^"\\]{20,30})"').search
_SNAPSHOT = b'"type":"snapshot"'
_BEGINNING = 300
"""Characters in which a frame says its channel, its time and the kind of its first event."""


def sent_at(frame: bytes) -> int | None:
    """When the venue sent a frame; None for one that shows an old state (the snapshot with which a stream begins)."""
    beginning = frame[:_BEGINNING]
    found = None if _SNAPSHOT in beginning else _timestamp(beginning)
    try:
        return None if found is None else time_of(found[1].decode())
    except ValueError:
        return None
