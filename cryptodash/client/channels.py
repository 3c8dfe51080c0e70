"""What a client can subscribe to, and how a channel is written on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from cryptodash.client.errors import MalformedFrame

Key = tuple[str, str, str, str, str]
"""Channel type, exchange, market type, symbol, depth or interval: what makes two subscriptions one."""

CHANNEL_OF = {
    "ticker": "ticker",
    "bbo": "bbo",
    "trade": "trade",
    "liquidation": "liquidation",
    "candle": "candle",
    "order_book_snapshot": "order_book",
    "order_book_delta": "order_book",
}
"""The channel type of each message of market data."""
RESUMABLE = frozenset({"trade", "liquidation", "candle"})
"""Channel types whose messages carry a cursor."""
EVERY_SYMBOL = "*"


@frozen
class Channel:
    """A channel of one instrument. ``symbol`` is ``BASE-QUOTE``, or ``*`` (of a ticker: the whole market). ``depth``
    (levels a side) belongs to order books, ``interval`` (``1m`` to ``1M``) to candles; ``max_rate`` (updates a second)
    is no part of what a channel is."""

    channel_type: str
    exchange: str
    symbol: str
    market_type: str = "spot"
    depth: int | None = None
    interval: str | None = None
    max_rate: float | None = field(default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.channel_type not in CHANNEL_OF.values():
            raise ValueError(f"channel_type {self.channel_type!r}: one of {sorted(set(CHANNEL_OF.values()))} is meant")
        if (self.depth is None) is (self.channel_type == "order_book"):
            raise ValueError("an order_book has a depth, and nothing else has")
        if (self.interval is None) is (self.channel_type == "candle"):
            raise ValueError("a candle has an interval, and nothing else has")
        if self.symbol != EVERY_SYMBOL and "-" not in self.symbol.replace("/", "-"):
            raise ValueError(f"symbol {self.symbol!r}: BASE-QUOTE is meant, as in BTC-USDT")

    @property
    def key(self) -> Key:
        detail = self.interval or (str(self.depth) if self.depth is not None else "")
        return self.channel_type, self.exchange, self.market_type, self.symbol.replace("/", "-"), detail

    def wire(self, since: str | None = None) -> dict[str, Any]:
        """As ``subscribe`` takes it; ``since`` is a cursor."""
        found: dict[str, Any] = {
            "channel_type": self.channel_type,
            "exchange": self.exchange,
            "market_type": self.market_type,
            "symbol": self.symbol,
        }
        optional = {"depth": self.depth, "interval": self.interval, "max_rate": self.max_rate, "since": since}
        return found | {name: value for name, value in optional.items() if value is not None}

    def __str__(self) -> str:
        return ":".join(part for part in (*self.key[1:4], self.channel_type, self.key[4]) if part)


def folded(key: Key) -> Key:
    """By which a symbol is found that was written in other letters than the server writes it."""
    return (*key[:3], key[3].casefold(), key[4])


def key_told(about: Mapping[str, Any], channel_type: str | None = None) -> Key:
    """The key of a channel in a message: of ``channel`` in a status, or of a value of this channel type."""
    symbol = about.get("symbol")
    if isinstance(symbol, dict):
        symbol = f"{symbol.get('base')}-{symbol.get('quote')}"
    kind, exchange = channel_type or about.get("channel_type"), about.get("exchange")
    market = about.get("market_type", "spot")
    if not (isinstance(kind, str) and isinstance(exchange, str)) or not (
        isinstance(market, str) and isinstance(symbol, str)
    ):
        raise MalformedFrame("a channel without type, exchange, market or symbol")
    detail = about.get("depth" if kind == "order_book" else "interval", "") if kind in ("order_book", "candle") else ""
    return kind, exchange, market, symbol, str(detail)
