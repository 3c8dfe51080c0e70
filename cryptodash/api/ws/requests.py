"""What clients ask for: from bytes to checked requests. Everything wrong is ``Refused`` with a code
and a message for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from cryptodash.api.access.grant import Grant, forbidden
from cryptodash.api.ws.replay_request import PlayedTime
from cryptodash.core import codec
from cryptodash.core.cursors import Cursor, read_cursor
from cryptodash.core.errors import Refused
from cryptodash.core.instruments import MarketType, spelled_symbol, split_as_spelled
from cryptodash.core.topics import (
    COMPOSITE,
    MAX_DEPTH,
    Channel,
    Topic,
    check_depth,
    check_interval,
    parse_channel,
)
from cryptodash.hub.interfaces import IDirectory

OPS: Final = ("subscribe", "unsubscribe", "list", "resync", "ping", "auth", "replay", "replay_stop")
WITH_CHANNELS: Final = frozenset(("subscribe", "unsubscribe", "resync", "replay"))
LOSSLESS: Final = frozenset((Channel.TRADE, Channel.LIQUIDATION))
"""Channels of which everything is sent."""
MAX_ID: Final = 128
MIN_RATE: Final = 0.1
MAX_RATE: Final = 100.0
SEARCHED: Final = 10
"""As many channels more is one with ``since``, whose cursor is looked for among up to 10,000 messages."""
MERGED_LEVELS: Final = 5
"""So many levels of a venue's book, merged with those of others, are as much work as a channel."""


@frozen
class Request:
    """What an op works on. ``id`` is echoed: a string, an integer, or None where none was sent."""

    id: str | int | None
    channels: Sequence[Any]
    token: str = field(default="", repr=False)
    time: PlayedTime | None = None
    """Of a replay."""


def read(payload: bytes) -> dict[str, Any]:
    """The object in a client's message, ``{"op":"subscribe","channels":[...],"id":1}``. Raises ``Refused``
    ``invalid_message``."""
    try:
        message = codec.decode(payload)
    except codec.InvalidJSON as error:
        raise _invalid(str(error)) from None
    if not isinstance(message, dict):
        raise _invalid("expected an object")
    return message


def read_id(message: Mapping[str, Any]) -> str | int | None:
    """The message's ``id``. Raises ``Refused`` ``invalid_message`` unless it is a short string or a 64-bit integer."""
    value = message.get("id")
    if (
        value is None
        or (isinstance(value, str) and len(value) <= MAX_ID)
        or (type(value) is int and -(2**63) <= value < 2**63)
    ):
        return value
    raise _invalid(f'"id" must be an integer or a string of at most {MAX_ID} characters')


def read_op(message: Mapping[str, Any]) -> str:
    """What is asked for, one of ``OPS``. Raises ``Refused``: ``invalid_message``, ``unknown_op``."""
    op = message.get("op")
    if not isinstance(op, str):
        raise _invalid('expected "op", one of: ' + ", ".join(OPS))
    if op not in OPS:
        raise Refused("unknown_op", f"Unknown op {op[:32]!r}: expected one of: {', '.join(OPS)}")
    return op


def read_token(message: Mapping[str, Any]) -> str:
    """The message's ``token``. Raises ``Refused`` ``invalid_message``."""
    token = message.get("token")
    if not isinstance(token, str):
        raise _invalid('expected "token", a string')
    return token


def read_channels(message: Mapping[str, Any], limit: int) -> list[Any]:
    """The message's ``channels``, unchecked. Raises ``Refused``: ``invalid_message``, ``too_many_channels``."""
    channels = message.get("channels")
    if not isinstance(channels, list):
        raise _invalid('expected "channels", a list')
    if len(channels) > limit:
        raise Refused(
            "too_many_channels",
            f"{len(channels)} channels in one message: at most {limit} are allowed; nothing was done",
        )
    return channels


def charged_as(directory: IDirectory, channels: Sequence[Any]) -> int:
    """As how many channels these entries, unchecked, are charged. One of the composite is as much work as one of each
    venue it may be made of, and its book is merged of all their levels; a cursor has to be looked for."""
    named = [each for each in channels if isinstance(each, dict)]
    charged = len(channels) + SEARCHED * sum("since" in each for each in named)
    composites = [each for each in named if each.get("exchange") == COMPOSITE]
    if not composites:
        return charged
    parts = len(directory.exchanges())
    return charged - len(composites) + sum(parts * _composite_work(directory, each) for each in composites)


def _composite_work(directory: IDirectory, channel: Mapping[str, Any]) -> int:
    if channel.get("channel_type") != Channel.ORDER_BOOK:
        return 1
    depth = channel.get("depth")
    if type(depth) is not int or not 0 < depth <= MAX_DEPTH:
        depth = directory.book_depth_default  # what is none is refused
    return 1 + depth // MERGED_LEVELS


def _invalid(reason: str) -> Refused:
    return Refused("invalid_message", f"Invalid message format: {reason}")


def resolve(directory: IDirectory, channel: Any, grant: Grant) -> Topic:
    """The topic of one entry of ``channels``. Raises ``Refused``; ``forbidden`` where the grant does not allow it."""
    if not isinstance(channel, dict):
        raise Refused("invalid_channel", "a channel is an object with channel_type, exchange, symbol")
    get = channel.get
    exchange = get("exchange")
    if not grant.knows(exchange):  # nor what that has, and has not
        raise forbidden(f"anything of {repr(exchange)[:40]}")
    topic = directory.resolve(
        exchange, get("market_type"), get("channel_type"), get("symbol"), get("depth"), get("interval")
    )
    if not grant.allows(topic):
        raise forbidden(topic)
    return topic


def resolve_recorded(directory: IDirectory, channel: Any, grant: Grant) -> Topic:
    """The same of one that may have been recorded: a symbol that its exchange does not list (any more) is taken at its
    word, where base and quote are told apart."""
    try:
        return resolve(directory, channel, grant)
    except Refused as refused:
        topic = _unlisted(directory, channel) if refused.code == "unknown_symbol" else None
        if topic is None:
            raise
        if not grant.allows(topic):
            raise forbidden(topic) from None
        return topic


def _unlisted(directory: IDirectory, channel: Mapping[str, Any]) -> Topic | None:
    """Everything but its symbol is good."""
    symbol = channel.get("symbol")
    try:
        spelled = (
            split_as_spelled(symbol)
            if isinstance(symbol, str)
            else spelled_symbol(symbol.get("base"), symbol.get("quote"))
            if isinstance(symbol, Mapping)
            else None
        )
        if spelled is None:
            return None
        kind, depth, interval = parse_channel(channel.get("channel_type")), 0, ""
        if kind is Channel.ORDER_BOOK:
            named = channel.get("depth")
            depth = directory.book_depth_default if named is None else check_depth(named)
        elif kind is Channel.CANDLE:
            interval = check_interval(channel.get("interval"))
    except Refused:
        return None
    exchange, market = str(channel.get("exchange")).lower(), channel.get("market_type")  # null: not named
    kind_of_market = MarketType.SPOT if market is None else MarketType(str(market).lower())
    return Topic(exchange, kind_of_market, spelled, kind, depth=depth, interval=interval)


def since(channel: Mapping[str, Any], topic: Topic) -> Cursor | None:
    """The entry's ``since``. Raises ``Refused`` ``invalid_since``."""
    text = channel.get("since")
    return None if text is None else read_cursor(text, topic)


def max_rate(channel: Mapping[str, Any], topic: Topic) -> float | None:
    """The entry's ``max_rate`` in updates per second. Raises ``Refused`` ``invalid_max_rate``."""
    rate = channel.get("max_rate")
    if rate is None:
        return None
    if topic.channel in LOSSLESS:
        raise Refused("invalid_max_rate", f"max_rate does not go with {topic.channel}: every {topic.channel} is sent")
    if type(rate) not in (int, float) or not MIN_RATE <= rate <= MAX_RATE:
        raise Refused("invalid_max_rate", f"max_rate {repr(rate)[:24]} is not a number from {MIN_RATE} to {MAX_RATE:g}")
    return float(rate)
