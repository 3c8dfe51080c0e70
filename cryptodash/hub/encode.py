"""Events as messages. Encoding happens once for everybody, and only where somebody listens."""

from __future__ import annotations

from cryptodash.core import codec
from cryptodash.core.events import Bbo, BookDelta, BookSnapshot, Candle, Gap, Liquidation, StreamStatus, Ticker, Trade
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Message

# A ticker, quote or trade comes with nearly every frame: its message is written in one go,
# without a second copy by ``codec.message``.
_ticker_payload, _bbo_payload, _trade_payload = codec.ticker_payload, codec.bbo_payload, codec.trade_payload
_TICKER = '{"type":"ticker","payload":'
_BBO = '{"type":"bbo","payload":'
_TRADE = '{"type":"trade","payload":'


def ticker_message(event: Ticker) -> Message:
    topic = event.topic
    return Message(topic, "ticker", _ticker_payload(event, _TICKER, "}").encode(), topic)


def bbo_message(event: Bbo) -> Message:
    topic = event.topic
    return Message(topic, "bbo", _bbo_payload(event, _BBO, "}").encode(), topic)


def trade_message(event: Trade, *, replayed: bool = False) -> Message:
    """A trade has no key: nothing may replace it."""
    return Message(event.topic, "trade", _trade_payload(event, replayed, _TRADE, "}").encode(), None)


def liquidation_message(event: Liquidation, *, replayed: bool = False) -> Message:
    """As a trade, it has no key."""
    payload = codec.liquidation_payload(event, replayed)
    return Message(event.topic, "liquidation", codec.message("liquidation", payload), None)


def gap_message(event: Gap) -> Message:
    """As a trade: it keeps its place among them."""
    return Message(event.topic, "gap", codec.message("gap", codec.gap_payload(event)), None)


def expired_message(topic: Topic, begin: int | None, end: int | None) -> Message:
    """Tells a client that what it lacks is not kept any more."""
    return Message(topic, "gap", codec.message("gap", codec.gap_of(topic, "expired", None, begin, end)), None)


def missing_message(topic: Topic, reason: str, begin: int, end: int | None) -> Message:
    """Tells a client that of what came between two messages (times in ms) some may be missing."""
    return Message(topic, "gap", codec.message("gap", codec.gap_of(topic, reason, None, begin, end)), None)


def candle_message(event: Candle, *, replayed: bool = False) -> Message:
    """A bar replaces only earlier states of the same bar, so that a closed one is never lost to its successor."""
    return Message(
        event.topic,
        "candle",
        codec.message("candle", codec.candle_payload(event, replayed)),
        (event.topic, event.timestamp),
    )


def snapshot_message(event: BookSnapshot) -> Message:
    return Message(
        event.topic,
        "order_book_snapshot",
        codec.message("order_book_snapshot", codec.snapshot_payload(event)),
        event.topic,
    )


def delta_message(event: BookDelta) -> Message:
    return Message(
        event.topic, "order_book_delta", codec.message("order_book_delta", codec.delta_payload(event)), event.topic
    )


def status_message(event: StreamStatus, *, source: str, age_ms: int | None) -> Message:
    """The key differs from the value's, so that a status never replaces a price."""
    payload = codec.status_payload(event, source=source, age_ms=age_ms)
    return Message(event.topic, "status", codec.message("status", payload), ("status", event.topic))


def replayed_message(event: Trade | Liquidation | Candle | Gap) -> Message:
    """Of what was told already; a gap is one as before."""
    if isinstance(event, Trade):
        return trade_message(event, replayed=True)
    if isinstance(event, Liquidation):
        return liquidation_message(event, replayed=True)
    if isinstance(event, Candle):
        return candle_message(event, replayed=True)
    return gap_message(event)


class TickerMessages:
    """The message of a ticker that somebody asks for: made once, however many ask before there is another."""

    def __init__(self) -> None:
        self._made: dict[Topic, tuple[Ticker, Message]] = {}

    def of(self, event: Ticker) -> Message:
        made = self._made.get(event.topic)
        if made is not None and made[0] is event:
            return made[1]
        message = ticker_message(event)
        self._made[event.topic] = (event, message)
        return message

    def forget(self, topic: Topic) -> None:
        self._made.pop(topic, None)
