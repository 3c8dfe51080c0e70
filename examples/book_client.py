"""Keep an order book from a snapshot and its deltas, over a connection that may break at any time.

    python examples/book_client.py --exchange binance --symbol BTC-USDT --depth 20

Needs what the server needs (Twisted, Autobahn); the class ``Book`` needs nothing and can be copied into any program.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from decimal import Decimal
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from twisted.internet import reactor, task

MAX_RETRY_SECONDS = 30.0


class Book:
    """Both sides by price. A delta fits only the state whose ``sequence`` is one less;
    a snapshot replaces everything."""

    def __init__(self) -> None:
        self.sequence = 0
        self.state = "connecting"
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def snapshot(self, payload: dict[str, Any]) -> None:
        self.bids = {Decimal(level["price"]): Decimal(level["quantity"]) for level in payload["bids"]}
        self.asks = {Decimal(level["price"]): Decimal(level["quantity"]) for level in payload["asks"]}
        self.sequence = payload["sequence"]

    def delta(self, payload: dict[str, Any]) -> bool:
        """Apply it; False if it does not fit (then ask for a resync)."""
        if payload["sequence"] != self.sequence + 1:
            return False
        for side, upserts, deletes in (
            (self.bids, payload["bids_upserts"], payload["deletes"]["bids"]),
            (self.asks, payload["asks_upserts"], payload["deletes"]["asks"]),
        ):
            for price in deletes:
                side.pop(Decimal(price), None)
            for level in upserts:
                side[Decimal(level["price"])] = Decimal(level["quantity"])
        self.sequence = payload["sequence"]
        return True

    def best(self) -> tuple[Decimal | None, Decimal | None]:
        return max(self.bids, default=None), min(self.asks, default=None)


class BookClient(WebSocketClientProtocol):
    """One connection: subscribes when open, feeds the factory's book."""

    factory: BookFactory

    def onOpen(self) -> None:
        self.factory.attempt = 0
        self._send({"op": "subscribe", "channels": [self.factory.channel]})

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        # parse_float and parse_int keep every digit: a price must never pass through a float.
        message = json.loads(payload, parse_float=Decimal)
        kind, body = message["type"], message["payload"]
        book = self.factory.book
        if kind == "order_book_snapshot":
            book.snapshot(body)
        elif kind == "order_book_delta":
            if not book.delta(body):
                self._send({"op": "resync", "channels": [self.factory.channel]})
        elif kind == "status":
            book.state = body["state"] + (f" ({body['cause']})" if "cause" in body else "")
        elif kind == "error":
            print("server:", body["message"], file=sys.stderr)

    def _send(self, message: dict[str, Any]) -> None:
        self.sendMessage(json.dumps(message).encode())

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.reconnect(f"closed with {code}: {reason}")


class BookFactory(WebSocketClientFactory):
    """Reconnects for ever with full jitter; until a new snapshot comes the book says that it is not live."""

    protocol = BookClient

    def __init__(self, url: str, channel: dict[str, Any]) -> None:
        super().__init__(url)
        self.channel = channel
        self.book = Book()
        self.attempt = 0
        self._waiting = False

    def reconnect(self, why: str) -> None:
        if self._waiting:
            return
        self._waiting = True
        self.book.state = "disconnected"
        self.attempt += 1
        delay = random.uniform(0, min(MAX_RETRY_SECONDS, 2.0**self.attempt))
        print(f"{why}; again in {delay:.1f} s", file=sys.stderr)
        reactor.callLater(delay, self._connect)

    def _connect(self) -> None:
        self._waiting = False
        connectWS(self, timeout=10)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.reconnect(reason.getErrorMessage())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws")
    parser.add_argument("--exchange", default="binance")
    parser.add_argument("--market", default="spot", choices=["spot", "perpetual"])
    parser.add_argument("--symbol", default="BTC-USDT")
    parser.add_argument("--depth", type=int, default=20)
    options = parser.parse_args()
    channel = {
        "channel_type": "order_book",
        "exchange": options.exchange,
        "market_type": options.market,
        "symbol": options.symbol,
        "depth": options.depth,
    }
    factory = BookFactory(options.url, channel)

    def show() -> None:
        bid, ask = factory.book.best()
        print(
            f"{options.exchange} {options.symbol} {factory.book.state:24} "
            f"bid {bid} ask {ask} sequence {factory.book.sequence}"
        )

    task.LoopingCall(show).start(1.0, now=False)
    connectWS(factory, timeout=10)
    reactor.run()


if __name__ == "__main__":
    main()
