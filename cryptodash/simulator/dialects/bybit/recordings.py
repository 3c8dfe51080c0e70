"""Recorded frames of Bybit: their topics, their requests, and the REST snapshots that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialect import (
    IBookSnapshots,
    IRecordingReader,
    Levels,
    RecordedBook,
    SnapshotRequest,
    StreamRequest,
)
from cryptodash.simulator.dialects.bybit import messages

_prices = re.compile(r'\["([0-9]+\.[0-9]+)",|"(?:p|lastPrice)":"([0-9]+\.[0-9]+)"')
"""``["78715.1",`` of a level; ``p`` of a trade, ``lastPrice`` of a ticker."""

_CATEGORIES = {"spot": MarketType.SPOT, "linear": MarketType.PERPETUAL}


@implementer(IRecordingReader, IBookSnapshots)
class BybitRecordings:
    """Frames that name their topic, ``{"topic":"publicTrade.BTCUSDT",...}``."""

    perpetual_words = ("linear", "perp", "swap")

    def read_request(self, message: Mapping[str, Any]) -> StreamRequest | None:
        """``{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT"]}``, and pings."""
        op, names = message.get("op"), message.get("args") or []
        if not isinstance(op, str) or not isinstance(names, list):
            return None
        topics = tuple(name for name in names if isinstance(name, str))
        said = "pong" if op == "ping" else op
        return StreamRequest(
            topics if op == "subscribe" else (),
            topics if op == "unsubscribe" else (),
            messages.response(True, said, "replay", op, message.get("req_id")),
        )

    def read_data(
        self, message: Mapping[str, Any] | Sequence[Any], text: str, requested: Sequence[str]
    ) -> tuple[str, str] | None:
        name = message.get("topic") if isinstance(message, Mapping) else None
        return (name, text) if isinstance(name, str) else None

    def native_of(self, stream: str) -> str:
        return stream.rpartition(".")[2].upper()

    def prices_in(self, text: str) -> Iterable[str]:
        return (level or field for level, field in _prices.findall(text))

    def read_snapshot_request(self, url: str) -> SnapshotRequest | None:
        """``https://api.bybit.com/v5/market/orderbook?category=linear&symbol=BTCUSDT&limit=50``"""
        asked = urlsplit(url)
        if asked.path != "/v5/market/orderbook":
            return None
        query = parse_qs(asked.query)
        native, limit = query.get("symbol", [""])[0], query.get("limit", ["1"])[0]
        return SnapshotRequest(_CATEGORIES.get(query.get("category", [""])[0]), native, int(limit))

    def book_snapshot(self, book: RecordedBook) -> str:
        """As after a subscription: ``{"topic":"orderbook.50.BTCUSDT","ts":1787612486096,"type":"snapshot","data":{...,
        "u":217107084,"seq":113099229623},"cts":...}``. A checkpoint has no ``seq``, which orders books of several
        depths and of REST; in a replay there is one of each."""
        if book.sequence is None or book.depth is None:
            raise ValueError("a book without an id, or without a depth")
        sides = f'"b":{_levels(book.bids)},"a":{_levels(book.asks)}'
        data = f'{{"s":"{book.native}",{sides},"u":{book.sequence},"seq":{book.sequence}}}'
        head = f'"topic":"orderbook.{book.depth}.{book.native}","ts":{book.time},"type":"snapshot"'
        return f'{{{head},"data":{data},"cts":{book.time}}}'


def _levels(side: Levels) -> str:
    return "[" + ",".join([f'["{price}","{size}"]' for price, size in side]) + "]"
