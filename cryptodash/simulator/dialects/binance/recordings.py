"""Recorded frames of Binance: their streams, their requests, and the REST snapshots that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

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
from cryptodash.simulator.dialects.binance import messages
from cryptodash.simulator.recorded_files import RecordedAnswer

_prices = re.compile(r'\["([0-9]+\.[0-9]+)",|"(?:p|b|a|c)":"([0-9]+\.[0-9]+)"')
"""``["63704.01000000",`` of a level; ``p`` of a trade, ``b`` and ``a`` of a quote, ``c`` of a 24 h ticker."""

_MARKETS = {"/api/v3/depth": MarketType.SPOT, "/fapi/v1/depth": MarketType.PERPETUAL}


_PATHS = {market: path for path, market in _MARKETS.items()}


@implementer(IRecordingReader, IBookSnapshots)
class BinanceRecordings:
    """Frames of combined connections, ``{"stream":"btcusdt@trade","data":{...}}``, and bare ones of a connection with a
    single stream."""

    perpetual_words = ("usdm", "perp", "swap")

    def read_request(self, message: Mapping[str, Any]) -> StreamRequest | None:
        """``{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}``; whatever its method, it is acknowledged."""
        method, names = message.get("method"), message.get("params") or []
        if not isinstance(method, str) or not isinstance(names, list):
            return None
        streams = tuple(name for name in names if isinstance(name, str))
        return StreamRequest(
            streams if method == "SUBSCRIBE" else (),
            streams if method == "UNSUBSCRIBE" else (),
            messages.ack(message.get("id")),
        )

    def read_data(
        self, message: Mapping[str, Any] | Sequence[Any], text: str, requested: Sequence[str]
    ) -> tuple[str, str] | None:
        """Bare frames get the combined wrapper, which adapters expect. An array is of a stream about all symbols, the
        only ones that send arrays."""
        if not isinstance(message, Mapping):
            return _wrapped([name for name in requested if _sends_arrays(name)], text)
        name = message.get("stream")
        if isinstance(name, str):
            return name, text
        if "result" in message or "code" in message:
            return None
        return _wrapped([name for name in requested if not _sends_arrays(name)], text)

    def native_of(self, stream: str) -> str:
        return "" if stream.startswith("!") else stream.partition("@")[0].upper()

    def prices_in(self, text: str) -> Iterable[str]:
        return (level or field for level, field in _prices.findall(text))

    def read_snapshot_request(self, url: str) -> SnapshotRequest | None:
        """``https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000``"""
        asked = urlsplit(url)
        if asked.path not in _MARKETS:
            return None
        query = parse_qs(asked.query)
        native, limit = query.get("symbol", [""])[0], query.get("limit", ["1"])[0]
        return SnapshotRequest(_MARKETS[asked.path], native, int(limit))

    def book_snapshot(self, book: RecordedBook) -> RecordedAnswer:
        """Its streams have changes only: ``{"lastUpdateId":50093239218,"bids":[["63704.00000000","4.77471000"],...],
        "asks":[...]}``; of USD-M with ``E`` and ``T`` after the id."""
        if book.sequence is None:
            raise ValueError("a book without an update id")
        times = f'"E":{book.time},"T":{book.time},' if book.market is MarketType.PERPETUAL else ""
        sides = f'"bids":{_levels(book.bids)},"asks":{_levels(book.asks)}'
        body = f'{{"lastUpdateId":{book.sequence},{times}{sides}}}'
        query = urlencode({"symbol": book.native, "limit": book.limit})
        return RecordedAnswer(f"{_PATHS[book.market]}?{query}", body.encode())


def _levels(side: Levels) -> str:
    return "[" + ",".join([f'["{price}","{size}"]' for price, size in side]) + "]"


def _sends_arrays(stream: str) -> bool:
    """``!miniTicker@arr``, ``!markPrice@arr@1s``"""
    return "@arr" in stream


def _wrapped(candidates: Sequence[str], text: str) -> tuple[str, str] | None:
    """A bare frame as one of its stream, where only one was asked for that it can be of."""
    names = dict.fromkeys(candidates)
    return None if len(names) != 1 else (name := next(iter(names)), messages.wrapped(name, text))
