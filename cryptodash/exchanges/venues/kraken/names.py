"""Kraken's names: of pairs, which REST spells the old way, and of our streams.

A stream's name is the channel, what unsubscribing has to repeat (a depth, an interval), and the pair as the venue
writes it: ``ticker:BTC/USD``, ``trade:BTC/USD``, ``book:25:BTC/USD``, ``ohlc:1:BTC/USD``. Source: docs.kraken.com,
"Spot WebSocket v2", and support.kraken.com, "API symbols and tickers".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from attrs import frozen

from cryptodash.exchanges.adapter.decode import MAX_NAME
from cryptodash.exchanges.adapter.messages import BadFrame

TICKER, TRADE, BOOK, OHLC = "ticker", "trade", "book", "ohlc"
DEPTHS = (10, 25, 100, 500, 1000)
"""The depths a book can be had in."""
MINUTES: Mapping[str, int] = {
    "1m": 1,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "4h": 240,
    "1d": 1440,
    "1w": 10080,
}
"""The venue's interval for each of ours that it has; its 21600 (15 days) is none of ours."""

_NUMBERS: Mapping[str, Mapping[str, int]] = {
    BOOK: {str(each): each for each in DEPTHS},
    OHLC: {str(each): each for each in (*MINUTES.values(), 21600)},
}
"""What may stand between the channel and the pair."""


@frozen
class StreamName:
    """A stream's name in its parts; ``number`` is the depth of a book or the minutes of a bar, None elsewhere."""

    channel: str
    number: int | None
    pair: str

    def __str__(self) -> str:
        return f"{self.channel}:{self.pair}" if self.number is None else f"{self.channel}:{self.number}:{self.pair}"


@lru_cache(maxsize=4096)
def parse_stream(name: str) -> StreamName:
    """The parts of a stream's name. Raises ``BadFrame`` for a name that is none of ours."""
    channel, _, pair = name.partition(":")
    number: int | None = None
    if channel in _NUMBERS:
        text, _, pair = pair.partition(":")
        number = _NUMBERS[channel].get(text)
    if not pair or len(name) > MAX_NAME or (number is None and channel not in (TICKER, TRADE)):
        raise BadFrame("unknown", f"stream {name[:MAX_NAME]}")
    return StreamName(channel, number, pair)


@lru_cache(maxsize=4096)
def book_streams(pair: str) -> tuple[str, ...]:
    """The names of a pair's books, one for each depth."""
    return tuple(str(StreamName(BOOK, depth, pair)) for depth in DEPTHS)


_MODERN: Mapping[str, str] = {"XBT": "BTC", "XDG": "DOGE"}
_LEGACY: Mapping[str, str] = {modern: legacy for legacy, modern in _MODERN.items()}


def modern(asset: str) -> str:
    """An asset of a ``wsname`` as version 2 calls it."""
    return _MODERN.get(asset, asset)


def altname(pair: str) -> str:
    """A pair of version 2 as REST takes it: ``BTC/USD`` is ``XBTUSD``."""
    return "".join(_LEGACY.get(asset, asset) for asset in pair.split("/"))
