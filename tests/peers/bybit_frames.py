"""Bybit's raw frames as values to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.peers.simulated import Simulated
from tests.peers.witness import Reading, Witness

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
TOPICS = ("publicTrade", "orderbook.1", "orderbook.200", "tickers", "kline.1")
Book = tuple[dict[str, str], dict[str, str]]


def witness(simulated: Simulated, *, category: str) -> Witness:
    """Everything about ``SYMBOLS``."""
    made = Witness(_reader())
    requests = [{"op": "subscribe", "args": [f"{topic}.{native}" for topic in TOPICS]} for native in SYMBOLS]
    made.open(f"ws://{simulated.at['bybit']}/v5/public/{category}", requests)
    return made


def _reader() -> Callable[[dict[str, Any]], Iterator[Reading]]:
    """``trade``: a raw row by its id; ``quote``: raw data by the frame's time; ``book``: (bids, asks) of the 200 best
    levels by the frame's time, put together here; ``ticker``: all fields as of the frame's time; ``kline``: raw rows by
    the frame's time; ``candle``: a bar by its numbers."""
    books: dict[str, Book] = {}
    tickers: dict[str, dict[str, str]] = {}

    def readings(frame: dict[str, Any]) -> Iterator[Reading]:
        if "topic" not in frame:
            return
        kind, _, native = frame["topic"].rpartition(".")
        data, time, whole = frame["data"], frame["ts"], frame["type"] == "snapshot"
        if kind == "publicTrade":
            for row in data:
                yield "trade", native, row["i"], row
        elif kind == "orderbook.1":
            yield "quote", native, time, data
        elif kind == "orderbook.200":
            books[native] = applied(({}, {}) if whole else books[native], data)
            yield "book", native, time, books[native]
        elif kind == "tickers":
            tickers[native] = data if whole else tickers[native] | data
            yield "ticker", native, time, tickers[native]
        else:
            # A bar's last message and the next one's first may be of one time.
            yield "kline", native, (time, data[0]["start"]), data
            for row in data:
                names = ("start", "open", "high", "low", "close", "volume")
                yield "candle", native, candle([row[name] for name in names]), row

    return readings


def applied(book: Book, data: dict[str, Any]) -> Book:
    """The book after a frame's changes; the one before stays what it was."""
    sides = dict(book[0]), dict(book[1])
    for side, changes in zip(sides, (data["b"], data["a"]), strict=True):
        side.update(dict(changes))
    bids, asks = ({price: size for price, size in side.items() if size != "0"} for side in sides)
    return bids, asks


def best(book: Book, count: int) -> tuple[list[list[str]], list[list[str]]]:
    """(bids, asks) of the best levels, best first."""
    bids = sorted(map(list, book[0].items()), key=lambda level: -float(level[0]))
    asks = sorted(map(list, book[1].items()), key=lambda level: float(level[0]))
    return bids[:count], asks[:count]


def candle(row: list[Any]) -> tuple[float, ...]:
    """Open time, open, high, low, close, volume."""
    return tuple(map(float, row[:6]))


def trade(raw: dict[str, Any]) -> tuple[str, str, str, int]:
    """Price, size, the taker's side, time (ms); of the stream or of REST."""
    if "execId" in raw:
        return raw["price"], raw["size"], raw["side"].lower(), int(raw["time"])
    return raw["p"], raw["v"], raw["S"].lower(), raw["T"]


def quote(raw: dict[str, Any]) -> tuple[str, str, str, str]:
    """Bid, its size, ask, its size; of a book's first level or of a ticker."""
    if "bid1Price" in raw:
        return raw["bid1Price"], raw["bid1Size"], raw["ask1Price"], raw["ask1Size"]
    (bid,), (ask,) = raw["b"], raw["a"]
    return bid[0], bid[1], ask[0], ask[1]


def day(raw: dict[str, Any]) -> tuple[str, ...]:
    """Last price, open, high, low, base and quote volume of 24 hours."""
    names = ("lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "volume24h", "turnover24h")
    return tuple(raw[name] for name in names)
