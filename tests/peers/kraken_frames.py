"""Kraken's raw frames as values to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.peers.simulated import Simulated
from tests.peers.witness import Reading, Witness

SYMBOLS = {"BTC/USD": "XXBTZUSD", "ETH/USD": "XETHZUSD", "SOL/USD": "SOLUSD"}
"""The names of WebSocket v2 and the keys of REST."""
CHANNELS: tuple[dict[str, Any], ...] = (
    {"channel": "trade"},
    {"channel": "book", "depth": 10},
    {"channel": "ticker", "event_trigger": "trades"},
    {"channel": "ohlc", "interval": 1},
)
QUOTES = {"channel": "ticker", "event_trigger": "bbo"}
DEPTH = 10
Book = tuple[dict[float, float], dict[float, float]]


def witness(simulated: Simulated) -> Witness:
    """Everything about ``SYMBOLS``: a connection for each of them and each trigger of its ticker, so that each request
    has one answer."""
    made = Witness(_reader())
    url = f"ws://{simulated.at['kraken']}/v2"
    for symbol in SYMBOLS:
        made.open(url, [_request(symbol, params) for params in CHANNELS])
        made.open(url, [_request(symbol, QUOTES)])
    return made


def _request(symbol: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"method": "subscribe", "params": {**params, "symbol": [symbol]}}


def _reader() -> Callable[[dict[str, Any]], Iterator[Reading]]:
    """``trade``: a raw row by its id; ``book``: (bids, asks) of the ten best levels by the frame's time, put together
    here; ``ticker``: a raw row by its numbers; ``candle``: a bar by its numbers."""
    books: dict[str, Book] = {}

    def readings(frame: dict[str, Any]) -> Iterator[Reading]:
        channel = frame.get("channel")
        if channel == "trade":
            for row in frame["data"]:
                yield "trade", row["symbol"], row["trade_id"], row
        elif channel == "book":
            for row in frame["data"]:
                before = ({}, {}) if frame["type"] == "snapshot" else books[row["symbol"]]
                books[row["symbol"]] = applied(before, row)
                yield "book", row["symbol"], row["timestamp"], best(books[row["symbol"]])
        elif channel == "ticker":
            for row in frame["data"]:
                yield "day", row["symbol"], day(row), row
                yield "ticker", row["symbol"], (quote(row), day(row)), row
        elif channel == "ohlc":
            for row in frame["data"]:
                yield "candle", row["symbol"], bar(row), row

    return readings


def applied(book: Book, row: dict[str, Any]) -> Book:
    """The book after a frame's changes, cut to its depth; the one before stays what it was."""
    sides = []
    for side, name in zip(book, ("bids", "asks"), strict=True):
        changed = {**side, **{level["price"]: level["qty"] for level in row[name]}}
        kept = sorted((price for price, size in changed.items() if size), reverse=name == "bids")
        sides.append({price: changed[price] for price in kept[:DEPTH]})
    return sides[0], sides[1]


def best(book: Book) -> list[list[list[float]]]:
    """[bids, asks], best first."""
    return [[[price, size] for price, size in side.items()] for side in book]


def quote(row: dict[str, Any]) -> tuple[float, ...]:
    """Bid, its size, ask, its size of a ticker."""
    return tuple(row[name] for name in ("bid", "bid_qty", "ask", "ask_qty"))


def day(row: dict[str, Any]) -> tuple[float, ...]:
    """Last price, high, low, volume, mean price of 24 hours."""
    return tuple(row[name] for name in ("last", "high", "low", "volume", "vwap"))


def bar(row: dict[str, Any]) -> tuple[Any, ...]:
    """Open time, open, high, low, close, volume."""
    return tuple(row[name] for name in ("interval_begin", "open", "high", "low", "close", "volume"))
