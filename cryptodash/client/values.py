"""What a user of the client gets: prices and sizes as ``Decimal`` with the venue's own digits, times as RFC 3339 text
(``datetime.fromisoformat`` reads it). What is not known is None."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from attrs import field, frozen

from cryptodash.client.channels import EVERY_SYMBOL, Channel
from cryptodash.client.decoding import maybe_number, maybe_words, number, words
from cryptodash.client.freshness import Fresh, Freshness


@frozen(kw_only=True, eq=False)
class Value(Fresh):
    """Of one instrument. ``timestamp`` is the venue's time (of a candle its open time), ``received`` the server's when
    the frame came in."""

    channel: Channel
    symbol: str
    timestamp: str | None
    received: str | None
    freshness: Freshness = field(repr=False)
    serial: int = field(repr=False)
    came: float = field(repr=False)
    """When, by the client's clock."""
    replayed: bool = False

    @property
    def age(self) -> float | None:
        """Seconds since a frame of the venue confirmed the newest value of its channel; of a sweep, which tells of each
        instrument only that it changed, at least the time since this one came. None: not known."""
        found = super().age
        if found is None or self.channel.symbol != EVERY_SYMBOL:
            return found
        return max(found, self.freshness.link.clock() - self.came)


@frozen(kw_only=True, eq=False)
class Bbo(Value):
    """Best bid and offer."""

    bid: Decimal | None
    bid_size: Decimal | None
    ask: Decimal | None
    ask_size: Decimal | None
    payload: Mapping[str, Any] = field(repr=False)
    """All of the message: of ``composite`` also ``venues``, ``excluded``, ``spread``."""


@frozen(kw_only=True, eq=False)
class Ticker(Bbo):
    """The latest prices. ``stale_fields`` names members that are older than the rest."""

    last: Decimal | None
    mark_price: Decimal | None
    index_price: Decimal | None
    funding_rate: Decimal | None
    open_interest: Decimal | None
    volume_24h: Decimal | None
    change_pct_24h: Decimal | None

    @property
    def stale_fields(self) -> tuple[str, ...]:
        """At this moment."""
        return self.freshness.fields


@frozen(kw_only=True, eq=False)
class Trade(Value):
    """``side`` is the taker's. ``cursor``: from where a later subscription goes on."""

    id: str
    price: Decimal
    quantity: Decimal
    side: str
    cursor: str | None


@frozen(kw_only=True, eq=False)
class Liquidation(Value):
    """An order by which the venue closed a position; ``sell`` ends a long."""

    id: str | None
    price: Decimal
    quantity: Decimal
    side: str
    cursor: str | None


@frozen(kw_only=True, eq=False)
class Candle(Value):
    """A bar; ``timestamp`` is the open time. A running one comes again, a ``closed`` one only ``corrected``."""

    interval: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    closed: bool
    corrected: bool
    cursor: str | None


@frozen
class Gap:
    """Trades, liquidations or closed candles of this channel are missing. ``missed``: how many, if anybody knows;
    ``reason``: ``slow``, ``failover``, ``expired`` (the cursor is too old), or ``consumer`` (the program itself did not
    take them in time)."""

    channel: Channel
    reason: str
    missed: int | None = None
    begin: str | None = None
    end: str | None = None


@frozen
class StatusChange:
    """The server says how fresh a channel is."""

    channel: Channel
    state: str
    cause: str | None
    renamed_to: str | None = None


@frozen
class Rejected:
    """The server does not accept a channel; it is not asked for again."""

    channel: Channel
    code: str
    message: str


@frozen
class Notice:
    """An ``info`` or ``error`` that answers no request of the client's own: the greeting, a token that ends soon."""

    kind: str
    payload: Mapping[str, Any]


def _common(payload: Mapping[str, Any]) -> dict[str, Any]:
    symbol = payload.get("symbol")
    return {
        "symbol": f"{symbol.get('base')}-{symbol.get('quote')}" if isinstance(symbol, dict) else str(symbol),
        "timestamp": maybe_words(payload, "timestamp"),
        "received": maybe_words(payload, "received"),
    }


def _numbers(payload: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: maybe_number(payload, name) for name in names}


def _needed(payload: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: number(payload, name) for name in names}


def _bbo(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {"payload": payload, **_numbers(payload, "bid", "bid_size", "ask", "ask_size")}


def _ticker(payload: Mapping[str, Any]) -> dict[str, Any]:
    figures = ("mark_price", "index_price", "funding_rate", "open_interest", "volume_24h", "change_pct_24h")
    return {**_bbo(payload), **_numbers(payload, "last", *figures)}


def _trade(payload: Mapping[str, Any]) -> dict[str, Any]:
    found = {"id": words(payload, "id"), "side": words(payload, "side"), "cursor": maybe_words(payload, "cursor")}
    return {**found, **_needed(payload, "price", "quantity"), "replayed": payload.get("replayed") is True}


def _liquidation(payload: Mapping[str, Any]) -> dict[str, Any]:
    found = {"id": maybe_words(payload, "id"), "side": words(payload, "side"), "cursor": maybe_words(payload, "cursor")}
    return {**found, **_needed(payload, "price", "quantity"), "replayed": payload.get("replayed") is True}


def _candle(payload: Mapping[str, Any]) -> dict[str, Any]:
    found = {"interval": words(payload, "interval"), "cursor": maybe_words(payload, "cursor")}
    flags = {name: payload.get(name) is True for name in ("closed", "corrected", "replayed")}
    return {**found, **flags, **_needed(payload, "open", "high", "low", "close", "volume")}


READERS: Mapping[str, tuple[Callable[..., Value], Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "ticker": (Ticker, _ticker),
    "bbo": (Bbo, _bbo),
    "trade": (Trade, _trade),
    "liquidation": (Liquidation, _liquidation),
    "candle": (Candle, _candle),
}


def read(kind: str, payload: Mapping[str, Any], channel: Channel, freshness: Freshness, *, is_news: bool) -> Value:
    """The value of a message. ``MalformedFrame`` if it lacks what such a message has."""
    make, members = READERS[kind]
    found = {**_common(payload), **members(payload)}
    serial = freshness.take_value(found["symbol"], is_news=is_news and not found.get("replayed"))
    return make(channel=channel, freshness=freshness, serial=serial, came=freshness.link.clock(), **found)
