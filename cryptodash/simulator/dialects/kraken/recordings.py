"""Recorded frames of Kraken's WebSocket v2: their streams, their requests, and the REST snapshots beside them."""

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
from cryptodash.simulator.dialects.kraken import messages
from cryptodash.simulator.dialects.kraken.instruments import MARKETS, by_rest_name
from cryptodash.simulator.dialects.kraken.numbers import stamp, text_checksum
from cryptodash.simulator.dialects.kraken.requests import DEPTHS, TRIGGERS, Refused, read

_prices = re.compile(r'"(?:price|last|close)":([0-9]+\.[0-9]+)').findall
"""``"price":63004.9`` of a level and a trade, ``last`` of a ticker, ``close`` of a bar."""

_CHANNELS = ("book", "ticker", "trade", "ohlc")


@implementer(IRecordingReader, IBookSnapshots)
class KrakenRecordings:
    """Frames that name their channel and their symbol: ``{"channel":"trade","type":"update","data":[{"symbol":...}]}``.
    The depth of a book and the trigger of a ticker are in the request alone."""

    perpetual_words = ("futures", "perp")

    def read_request(self, message: Mapping[str, Any]) -> StreamRequest | None:
        """``{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":1}``, pings. The
        answers have no time: a recording has none for them. Of a recorded answer, what its ``result`` repeats."""
        method, number = message.get("method"), message.get("req_id")
        request_id = number if isinstance(number, int) else None
        if method == "ping":
            return StreamRequest((), (), messages.pong(request_id, 0))
        if method not in ("subscribe", "unsubscribe"):
            return None
        try:
            wanted = read(_params(message))
        except Refused as error:
            return StreamRequest((), (), messages.refused(error.error, method, error.symbol, request_id, 0))
        names = tuple(wanted.stream(symbol) for symbol in wanted.symbols)
        echo = {**wanted.echo, **({"snapshot": wanted.snapshot} if method == "subscribe" else {})}
        first, *rest = (
            messages.accepted(method, {**echo, **({"symbol": symbol} if symbol else {})}, request_id, 0)
            for symbol in wanted.symbols
        )
        begun, ended = (names, ()) if method == "subscribe" else ((), names)
        return StreamRequest(begun, ended, first, tuple(rest))

    def read_data(
        self, message: Mapping[str, Any] | Sequence[Any], text: str, requested: Sequence[str]
    ) -> tuple[str, str] | None:
        channel = message.get("channel") if isinstance(message, Mapping) else None
        if not isinstance(message, Mapping) or channel not in _CHANNELS:
            return None
        data = message.get("data")
        row = data[0] if isinstance(data, list) and data else None
        symbol = row.get("symbol") if isinstance(row, dict) else None
        if row is None or not isinstance(symbol, str):
            return None
        known = f"{channel}:{symbol}"
        if channel == "ohlc":
            return f"{known}:{row.get('interval')}", text
        asked = next((name for name in requested if name == known or name.startswith(f"{known}:")), None)
        return asked or known + {"book": f":{DEPTHS[0]}", "ticker": f":{TRIGGERS[0]}"}.get(channel, ""), text

    def native_of(self, stream: str) -> str:
        """``BTC/USD`` of ``book:BTC/USD:10``."""
        return stream.split(":")[1].upper() if ":" in stream else ""

    def prices_in(self, text: str) -> Iterable[str]:
        return _prices(text)

    def read_snapshot_request(self, url: str) -> SnapshotRequest | None:
        """``https://api.kraken.com/0/public/Depth?pair=XBTUSDT&count=5``"""
        asked = urlsplit(url)
        if asked.path != "/0/public/Depth":
            return None
        query = parse_qs(asked.query)
        name, limit = query.get("pair", [""])[0], query.get("count", ["100"])[0]
        spec = by_rest_name(MARKETS[MarketType.SPOT].instruments).get(name)
        return SnapshotRequest(MarketType.SPOT, spec.native if spec is not None else name, int(limit))

    def book_snapshot(self, book: RecordedBook) -> str:
        """As after a subscription: ``{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":
        63004.9,"qty":0.01876947},...],"asks":[...],"checksum":2531248887,"timestamp":"2026-08-01T02:53:53.398143Z"}]}``.
        The checksum is of the texts, which are the venue's."""
        check = text_checksum(book.bids, book.asks)
        data = (
            f'"symbol":"{book.native}","bids":{_levels(book.bids)},"asks":{_levels(book.asks)},"checksum":{check},'
            f'"timestamp":"{stamp(book.time)}"'
        )
        return f'{{"channel":"book","type":"snapshot","data":[{{{data}}}]}}'


def _levels(side: Levels) -> str:
    return "[" + ",".join([f'{{"price":{price},"qty":{size}}}' for price, size in side]) + "]"


def _params(message: Mapping[str, Any]) -> object:
    result = message.get("result")
    if not isinstance(result, dict):
        return message.get("params")
    return {**result, "symbol": [result["symbol"]] if "symbol" in result else None}
