"""Coinbase's raw frames as values to compare with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from attrs import frozen

from tests.peers import ccxt_client
from tests.peers.simulated import Simulated
from tests.peers.witness import Reading, Witness

FIRST, SECOND, SHALLOW = "BTC-USD", "ETH-USD", "LTC-USD"
"""The book of the last one is short enough to be kept whole after every frame."""
SUBSCRIPTIONS = (
    ("ticker", (FIRST,)),
    ("ticker_batch", (SECOND, SHALLOW)),
    ("market_trades", (FIRST,)),
    ("level2", (SHALLOW,)),
)
Book = tuple[dict[float, float], dict[float, float]]


@frozen
class CoinbaseMarket(ccxt_client.Market):
    """Spot in ccxt's words."""

    @property
    def settings(self) -> dict[str, Any]:
        """The wallet's currencies are no part of the exchange, and ccxt's own limit is that of clients with a key."""
        return {"has": {"fetchCurrencies": False}, "enableRateLimit": True, "rateLimit": 400}

    @property
    def symbols(self) -> dict[str, str]:
        return {native.replace("-", "/"): native for native in (FIRST, SECOND, SHALLOW)}

    def witness(self, simulated: Simulated) -> Witness:
        made = Witness(_reader(), is_answer=lambda frame: frame.get("channel") == "subscriptions")
        requests = [
            {"type": "subscribe", "product_ids": list(natives), "channel": channel}
            for channel, natives in SUBSCRIPTIONS
        ]
        made.open(f"ws://{simulated.at[self.host]}", requests)
        return made


def _reader() -> Callable[[dict[str, Any]], Iterator[Reading]]:
    """``ticker`` and ``ticker_batch``: a raw row by the frame's time (ms); ``trade``: a raw row by its id; ``book``:
    (bids, asks) by the frame's time, put together here."""
    books: dict[str, Book] = {}

    def readings(frame: dict[str, Any]) -> Iterator[Reading]:
        channel = frame.get("channel")
        for event in frame.get("events", ()):
            if channel in ("ticker", "ticker_batch"):
                for row in event["tickers"]:
                    yield channel, row["product_id"], time_of(frame["timestamp"]), row
            elif channel == "market_trades":
                for row in event["trades"]:
                    yield "trade", row["product_id"], row["trade_id"], row
            elif channel == "l2_data":
                native = event["product_id"]
                before = ({}, {}) if event["type"] == "snapshot" else books[native]
                books[native] = applied(before, event["updates"])
                yield "book", native, time_of(frame["timestamp"]), books[native]

    return readings


def time_of(text: str) -> int:
    """Milliseconds of ``2026-08-24T22:34:13.82310097Z``, nothing rounded up."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{seconds}+00:00").timestamp()) * 1_000 + int(fraction.ljust(3, "0")[:3])


def applied(book: Book, updates: list[dict[str, str]]) -> Book:
    """The book after an event; the one before stays what it was."""
    sides = {"bid": dict(book[0]), "offer": dict(book[1])}
    for row in updates:
        price, size = float(row["price_level"]), float(row["new_quantity"])
        if size:
            sides[row["side"]][price] = size
        else:
            sides[row["side"]].pop(price, None)
    return sides["bid"], sides["offer"]


def best(book: Book, count: int) -> tuple[list[list[float]], list[list[float]]]:
    """(bids, asks) of the best levels, best first."""
    bids, asks = sorted(book[0].items(), reverse=True), sorted(book[1].items())
    return [list(each) for each in bids[:count]], [list(each) for each in asks[:count]]


def market() -> CoinbaseMarket:
    """What ccxt is pointed at."""
    words = sys.modules[__name__]
    return CoinbaseMarket("coinbase", "spot", "spot", "", "coinbase", words, "/api/v3/brokerage/market")
