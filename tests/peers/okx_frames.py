"""OKX's raw frames as values to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from tests.peers.bybit_frames import best as best
from tests.peers.simulated import Simulated
from tests.peers.witness import Reading, Witness

CHANNELS = ("trades", "bbo-tbt", "books", "tickers")
Book = tuple[dict[str, str], dict[str, str]]


def witness(simulated: Simulated, natives: Sequence[str]) -> Witness:
    """Everything about these instruments; returns two seconds after its first connection at the earliest, because the
    venue takes three of them a second."""
    made = Witness(_reader(), is_answer=lambda frame: "event" in frame)
    url = f"ws://{simulated.at['okx']}/ws/v5"
    made.open(f"{url}/business", [_request("candle1m", native) for native in natives])
    requests = [_request(channel, native) for native in natives for channel in CHANNELS]
    made.open(f"{url}/public", requests)
    made.begun("push 3", natives[:1])
    return made


def _request(channel: str, native: str) -> dict[str, object]:
    return {"op": "subscribe", "args": [{"channel": channel, "instId": native}]}


def _reader() -> Callable[[dict[str, Any]], Iterator[Reading]]:
    """``trade``: a raw row by its id; ``quote``: one by its ``seqId``; ``book``: (bids, asks) of the best levels by the
    frame's time, put together here; ``ticker``: a raw row by its time; ``candle``: a raw row by its numbers;
    ``push <n>``: the n-th frame of a candle channel, of which there is one a second at most."""
    books: dict[str, Book] = {}
    pushes: dict[str, Iterator[int]] = {}

    def readings(frame: dict[str, Any]) -> Iterator[Reading]:
        if "data" not in frame:
            return
        channel, native = frame["arg"]["channel"], frame["arg"]["instId"]
        (row,) = frame["data"]
        if channel == "trades":
            yield "trade", native, row["tradeId"], row
        elif channel == "bbo-tbt":
            yield "quote", native, row["seqId"], row
        elif channel == "books":
            books[native] = applied(({}, {}) if frame["action"] == "snapshot" else books[native], row)
            yield "book", native, int(row["ts"]), books[native]
        elif channel == "tickers":
            yield "ticker", native, int(row["ts"]), row
        else:
            yield "candle", native, candle(row, is_spot=not native.endswith("-SWAP")), row
            yield f"push {next(pushes.setdefault(native, count(1)))}", native, None, row

    return readings


def applied(book: Book, row: dict[str, Any]) -> Book:
    """The book after a frame's changes; the one before stays what it was."""
    sides = dict(book[0]), dict(book[1])
    for side, changes in zip(sides, (row["bids"], row["asks"]), strict=True):
        side.update({level[0]: level[1] for level in changes})
    bids, asks = ({price: size for price, size in side.items() if size != "0"} for side in sides)
    return bids, asks


def candle(row: Sequence[Any], *, is_spot: bool) -> tuple[float, ...]:
    """Open time, open, high, low, close, volume in base."""
    return tuple(map(float, [*row[:5], row[5] if is_spot else row[6]]))


def trade(raw: dict[str, Any]) -> tuple[str, str, str, int]:
    """Price, size, the taker's side, time (ms); of the stream or of REST."""
    return raw["px"], raw["sz"], raw["side"], int(raw["ts"])


def quote(raw: dict[str, Any]) -> tuple[str, str, str, str]:
    """Bid, its size, ask, its size."""
    (bid, bid_size, *_), (ask, ask_size, *_) = raw["bids"][0], raw["asks"][0]
    return bid, bid_size, ask, ask_size


def day(raw: dict[str, Any]) -> dict[str, float]:
    """Of 24 hours by ccxt's names: what it calls base volume is ``vol24h``, contracts on perpetuals."""
    names = {"last": "last", "open": "open24h", "high": "high24h", "low": "low24h", "baseVolume": "vol24h"}
    names |= {"bid": "bidPx", "bidVolume": "bidSz", "ask": "askPx", "askVolume": "askSz"}
    if raw["instType"] == "SPOT":
        names["quoteVolume"] = "volCcy24h"
    return {name: float(raw[member]) for name, member in names.items()}
