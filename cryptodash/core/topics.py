"""Topic: the routing key. What a client subscribes to, what demand counts, what an event belongs to."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Final, NoReturn
from weakref import WeakValueDictionary
from zlib import crc32

import msgspec

from cryptodash.core.errors import Refused
from cryptodash.core.instruments import ANY, MarketType, Symbol, split_symbol
from cryptodash.core.intervals import INTERVALS

FREE_DEPTHS: Final = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
MAX_DEPTH: Final = 1000
COMPOSITE: Final = "composite"
"""The exchange of topics that are derived from those of all venues; no venue may have this id."""


class Channel(str, enum.Enum):
    """What kind of data a topic carries; the value is the wire's ``channel_type``."""

    TICKER = "ticker"
    TRADE = "trade"
    ORDER_BOOK = "order_book"
    CANDLE = "candle"
    BBO = "bbo"
    LIQUIDATION = "liquidation"

    def __str__(self) -> str:
        return self.value


class Topic:
    """(exchange, market, symbol, channel, depth or interval). Immutable; equal topics are one object,
    so hashing one costs a pointer.

    ``depth`` is 0 but for order-book subscriptions: depth 0 is the venue's book itself, from which every depth is
    viewed. ``symbol`` is ``ANY`` for a ticker sweep. Text form: ``exchange:spot:BTC-USDT:candle:1m``.
    """

    __slots__ = ("__weakref__", "channel", "depth", "exchange", "interval", "json", "market", "symbol", "tag", "text")

    exchange: str
    market: MarketType
    symbol: Symbol
    channel: Channel
    depth: int
    interval: str
    text: str
    json: str
    """The members ``"exchange":...,"market_type":...,"symbol":...``
    (and depth or interval) that every message of this topic carries."""
    tag: str
    """Eight hexadecimal digits by which a cursor shows whether it is one of this topic."""

    def __new__(
        cls, exchange: str, market: MarketType, symbol: Symbol, channel: Channel, *, depth: int = 0, interval: str = ""
    ) -> Topic:
        key = (exchange, market, symbol, channel, depth, interval)
        topic = _topics.get(key)
        if topic is None:
            topic = object.__new__(cls)
            suffix = f":{interval}" if interval else f":{depth}" if depth else ""
            name = "*" if symbol == ANY else str(symbol)
            text = f"{exchange}:{market}:{name}:{channel}{suffix}"
            for attribute, value in zip(_FIELDS, (*key, text), strict=True):
                object.__setattr__(topic, attribute, value)
            _topics[key] = topic
        return topic

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a topic cannot change: {name}")

    def __getattr__(self, name: str) -> str:
        """``json`` and ``tag``, made when they are first asked for: many topics are only ever looked up."""
        if name == "json":
            made = _members((self.exchange, self.market, self.symbol, self.channel, self.depth, self.interval))
        elif name == "tag":
            made = f"{crc32(self.text.encode()):08x}"
        else:
            raise AttributeError(name)
        object.__setattr__(self, name, made)
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return (parse_topic, (self.text,))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Topic {self.text}>"

    @property
    def is_sweep(self) -> bool:
        """Whether this is the whole market's ticker (``"symbol": "*"``)."""
        return self.symbol == ANY

    @property
    def upstream(self) -> Topic:
        """What a venue is asked for: the topic itself, for an order book the book of no particular depth."""
        return self.sibling(Channel.ORDER_BOOK) if self.depth else self

    def sibling(self, channel: Channel, *, depth: int = 0, interval: str = "") -> Topic:
        """Another topic of the same instrument."""
        return Topic(self.exchange, self.market, self.symbol, channel, depth=depth, interval=interval)


_FIELDS = ("exchange", "market", "symbol", "channel", "depth", "interval", "text")
# Weak, so that topics nobody holds any more leave by themselves.
_topics: WeakValueDictionary[tuple[str, MarketType, Symbol, Channel, int, str], Topic] = WeakValueDictionary()


def _members(key: tuple[str, MarketType, Symbol, Channel, int, str]) -> str:
    exchange, market, symbol, _, depth, interval = key
    members: dict[str, object] = {"exchange": exchange, "market_type": market.value}
    members["symbol"] = "*" if symbol == ANY else {"base": symbol.base, "quote": symbol.quote}
    if depth:
        members["depth"] = depth
    if interval:
        members["interval"] = interval
    return msgspec.json.encode(members).decode()[1:-1]


def parse_topic(text: str, *, default_depth: int = 0) -> Topic:
    """A topic from ``exchange:market:SYMBOL[:channel[:depth or interval]]``;
    the channel is ``ticker`` where none is named.

    ``default_depth`` is what an order book without a depth gets.
    Raises ``Refused`` (``invalid_topic``) that says what is wrong.
    """
    exchange, _, rest = text.strip().partition(":")
    parts = rest.split(":")
    if not 2 <= len(parts) <= 4 or not exchange:
        raise Refused("invalid_topic", f"{text[:80]!r} is not exchange:market:SYMBOL[:channel[:depth or interval]]")
    try:
        market = MarketType(parts[0].lower())
    except ValueError:
        raise Refused(
            "invalid_topic", f"market {parts[0][:40]!r} in {text[:80]!r} is not one of: spot, perpetual"
        ) from None
    channel = parse_channel(parts[2] if len(parts) > 2 else "ticker")
    if channel is Channel.LIQUIDATION and market is not MarketType.PERPETUAL:
        raise Refused("invalid_topic", f"liquidation in {text[:80]!r} goes with perpetual only")
    argument = parts[3] if len(parts) > 3 else ""
    if parts[1] == "*":
        symbol = ANY
        if channel is not Channel.TICKER:
            raise Refused("invalid_topic", f"'*' in {text[:80]!r} goes with ticker only")
    else:
        split = split_symbol(parts[1])
        if split is None:
            raise Refused("invalid_topic", f"symbol {parts[1][:40]!r} in {text[:80]!r} is not BASE-QUOTE")
        symbol = split
    if channel is Channel.ORDER_BOOK:
        return Topic(
            exchange.lower(),
            market,
            symbol,
            channel,
            depth=check_depth(int(argument) if _is_count(argument) else argument) if argument else default_depth,
        )
    if channel is Channel.CANDLE:
        return Topic(exchange.lower(), market, symbol, channel, interval=check_interval(argument))
    if argument:
        raise Refused("invalid_topic", f"{channel} in {text[:80]!r} takes no {argument[:40]!r}")
    return Topic(exchange.lower(), market, symbol, channel)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def parse_channel(name: object) -> Channel:
    """The channel a client names (``orderbook`` is an alias). Raises ``Refused`` ``unknown_channel``."""
    try:
        return Channel("order_book" if name == "orderbook" else name)
    except ValueError:
        raise Refused(
            "unknown_channel", f"channel_type {repr(name)[:40]} is not one of: {', '.join(Channel)}"
        ) from None


def check_exchange(name: object, known: Collection[str]) -> str:
    """The id of the exchange a client names, in whatever case. Raises ``Refused`` ``unknown_exchange``."""
    if isinstance(name, str) and name.lower() in known:
        return name.lower()
    raise Refused("unknown_exchange", f"exchange {repr(name)[:40]} is not one of: {', '.join(known)}", 404)


def check_interval(interval: object) -> str:
    """The candle interval if it is one of the contract's. Raises ``Refused`` ``invalid_interval``."""
    if isinstance(interval, str) and interval in INTERVALS:
        return interval
    raise Refused("invalid_interval", f"interval {repr(interval)[:40]} is not one of: {', '.join(INTERVALS)}")


def check_depth(depth: object) -> int:
    """The order-book depth if it is 1..1000. Raises ``Refused`` ``invalid_depth``."""
    if type(depth) is int and 1 <= depth <= MAX_DEPTH:
        return depth
    raise Refused("invalid_depth", f"depth {repr(depth)[:40]} is not a whole number from 1 to {MAX_DEPTH}")
