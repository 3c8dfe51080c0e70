"""Recorded frames of Bybit: their topics, their requests, and the REST snapshots that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.core.numbers import Number, scale
from cryptodash.simulator.dialect import (
    IBookSnapshots,
    IFiguresSnapshots,
    IRecordingReader,
    Levels,
    RecordedBook,
    RecordedFigures,
    SnapshotRequest,
    StreamRequest,
)
from cryptodash.simulator.dialects.bybit import messages

_prices = re.compile(r'\["([0-9]+\.[0-9]+)",|"(?:p|lastPrice)":"([0-9]+\.[0-9]+)"')
"""``["78715.1",`` of a level; ``p`` of a trade, ``lastPrice`` of a ticker."""

_CATEGORIES = {"spot": MarketType.SPOT, "linear": MarketType.PERPETUAL}


@implementer(IRecordingReader, IBookSnapshots, IFiguresSnapshots)
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

    def figures_snapshot(self, figures: RecordedFigures) -> str | None:
        """Linear tickers are told by changes after ``{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":
        "BTCUSDT","price24hPcnt":"-0.00506","lastPrice":"63958.60",...},"cs":760580211302,"ts":1786540397684}``. The
        change in 24 h is a fraction. ``cs`` is in no checkpoint, and left out."""
        if figures.market is MarketType.SPOT:
            return None
        known = figures.figures
        told = {theirs: known[ours] for ours, theirs in _FIGURES if ours in known}
        if "change_pct_24h" in known:
            told["price24hPcnt"] = scale(Number(known["change_pct_24h"]), -2)
        data = "".join(f',"{name}":"{text}"' for name, text in told.items())
        head = f'"topic":"tickers.{figures.native}","type":"snapshot"'
        return f'{{{head},"data":{{"symbol":"{figures.native}"{data}}},"ts":{figures.time}}}'


_FIGURES = (
    ("last", "lastPrice"),
    ("open_24h", "prevPrice24h"),
    ("high_24h", "highPrice24h"),
    ("low_24h", "lowPrice24h"),
    ("mark_price", "markPrice"),
    ("index_price", "indexPrice"),
    ("open_interest", "openInterest"),
    ("quote_volume_24h", "turnover24h"),
    ("volume_24h", "volume24h"),
    ("funding_rate", "fundingRate"),
    ("next_funding_time", "nextFundingTime"),
    ("funding_interval_h", "fundingIntervalHour"),
    ("bid", "bid1Price"),
    ("bid_size", "bid1Size"),
    ("ask", "ask1Price"),
    ("ask_size", "ask1Size"),
)


def _levels(side: Levels) -> str:
    return "[" + ",".join([f'["{price}","{size}"]' for price, size in side]) + "]"
