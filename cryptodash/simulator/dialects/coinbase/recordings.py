"""Recorded frames of Coinbase's Advanced Trade: their streams, and the requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import (
    IBookSnapshots,
    INumberedFrames,
    IRecordingReader,
    RecordedBook,
    SnapshotRequest,
    StreamRequest,
)
from cryptodash.simulator.dialects.coinbase import messages
from cryptodash.simulator.dialects.coinbase.texts import instant
from cryptodash.simulator.dialects.coinbase.websocket import HEARTBEATS, KINDS

_prices = re.compile(r'"(?:price_level|price|best_bid|best_ask)":"([0-9]+(?:\.[0-9]+)?)"')
_number = re.compile(r'"sequence_num":\d+')
_CHANNELS = {"l2_data": "level2"}
"""Frames of a channel that have another name than the request for it."""
_LISTS = {"market_trades": "trades", "ticker": "tickers", "ticker_batch": "tickers", "candles": "candles"}
"""Where a channel's events have the products they are about."""


@implementer(IRecordingReader, IBookSnapshots, INumberedFrames)
class CoinbaseRecordings:
    """Frames that name their channel, and in each event the product: a stream is ``level2:BTC-USD``.

    One that tells of several products belongs to the stream of the first; heartbeats belong to none, and
    acknowledgements are the replay's own.
    """

    perpetual_words = ("perp", "intx")

    def read_request(self, message: Mapping[str, Any]) -> StreamRequest | None:
        """``{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}``"""
        kind, channel = message.get("type"), message.get("channel")
        if kind not in ("subscribe", "unsubscribe") or not isinstance(channel, str):
            return None
        products = [each for each in message.get("product_ids") or [] if isinstance(each, str)]
        names = (HEARTBEATS,) if channel == HEARTBEATS else tuple(f"{channel}:{each}" for each in products)
        said = messages.subscriptions_event({channel: products or [channel]} if kind == "subscribe" else {})
        answer = messages.frame("subscriptions", "2000-01-01T00:00:00Z", said)
        return StreamRequest(names if kind == "subscribe" else (), names if kind == "unsubscribe" else (), answer)

    def read_data(
        self, message: Mapping[str, Any] | Sequence[Any], text: str, requested: Sequence[str]
    ) -> tuple[str, str] | None:
        if not isinstance(message, Mapping):
            return None
        said, events = message.get("channel"), message.get("events")
        channel = _CHANNELS.get(said, said) if isinstance(said, str) else ""
        if channel not in KINDS or channel == HEARTBEATS or not isinstance(events, list):
            return None
        natives = (_product(channel, each) for each in events if isinstance(each, Mapping))
        native = next(filter(None, natives), "")
        return (f"{channel}:{native}", text) if native else None

    def numbered(self, text: str, number: int) -> str:
        return _number.sub(f'"sequence_num":{number}', text, count=1)

    def native_of(self, stream: str) -> str:
        return stream.partition(":")[2].upper()

    def prices_in(self, text: str) -> Iterable[str]:
        return _prices.findall(text)

    def read_snapshot_request(self, url: str) -> SnapshotRequest | None:
        """``https://api.coinbase.com/api/v3/brokerage/market/product_book?product_id=BTC-USD&limit=5``"""
        asked = urlsplit(url)
        if asked.path != "/api/v3/brokerage/market/product_book":
            return None
        query = parse_qs(asked.query)
        native, limit = query.get("product_id", [""])[0], query.get("limit", ["1000"])[0]
        return SnapshotRequest(MarketType.SPOT, native, int(limit))

    def book_snapshot(self, book: RecordedBook) -> str:
        """As after a subscription: an event ``{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid",
        "event_time":"2026-08-24T22:34:13.483122Z","price_level":"78856.05","new_quantity":"0.0476177"},...]}`` with all
        levels, bids first."""
        stamp = instant(book.time)
        rows = [
            f'{{"side":"{name}","event_time":"{stamp}","price_level":"{price}","new_quantity":"{size}"}}'
            for name, side in (("bid", book.bids), ("offer", book.asks))
            for price, size in side
        ]
        event = f'{{"type":"snapshot","product_id":"{book.native}","updates":[{",".join(rows)}]}}'
        return messages.frame("l2_data", stamp, event)


def _product(channel: str, event: Mapping[str, Any]) -> str:
    """The product that an event is about; empty for one that does not say it."""
    found = event.get("product_id")
    if found is None:
        rows = event.get(_LISTS.get(channel, ""))
        found = rows[0].get("product_id") if isinstance(rows, list) and rows and isinstance(rows[0], Mapping) else None
    return found if isinstance(found, str) else ""
