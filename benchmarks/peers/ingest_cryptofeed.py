"""cryptofeed over ``websockets``: its Binance handler on every frame, each trade and ticker
encoded, as its backends do it.

    ingest_cryptofeed.py PORT SYMBOLS

Books are kept, but not encoded (ours publishes views ten times a second at most).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

import websockets
from cryptofeed.defines import BINANCE, L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols
from work import cpu_seconds, say
from yapic import json


class Rest:
    """In the place of cryptofeed's HTTP connection: the snapshot that the venue would give."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def read(self, url: str) -> bytes:
        query = url.partition("?")[2]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /api/v3/depth?%b HTTP/1.1\r\nHost: x\r\n\r\n" % query.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(size)
        writer.close()
        return body


class Count:
    """What came, encoded; the marked trades begin and end the measurement."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {"trade": 0, "ticker": 0, "book": 0}
        self.size = 0
        self.last: dict[str, str] = {}
        self.begun = self.cpu = 0.0

    async def trade(self, trade: Any, received: float) -> None:
        self.size += len(json.dumps(trade.to_dict(numeric_type=float)))
        self.counts["trade"] += 1
        if trade.amount == 111:
            self.counts = {"trade": 0, "ticker": 0, "book": 0}
            self.begun, self.cpu = time.perf_counter(), cpu_seconds()
        elif trade.amount == 999:
            say(
                done=self.counts,
                wall=time.perf_counter() - self.begun,
                cpu=cpu_seconds() - self.cpu,
                bytes=self.size,
                last=self.last,
            )

    async def ticker(self, ticker: Any, received: float) -> None:
        self.size += len(json.dumps(ticker.to_dict(numeric_type=float)))
        self.counts["ticker"] += 1
        self.last[ticker.symbol] = ticker.bid

    async def book(self, book: Any, received: float) -> None:
        self.counts["book"] += 1


async def main() -> None:
    logging.disable(logging.WARNING)
    port, names = int(sys.argv[1]), sys.argv[2].split(",")
    Symbols.set(
        BINANCE, {name: name.replace("-", "") for name in names}, {"instrument_type": dict.fromkeys(names, "spot")}
    )
    count = Count()
    feed = Binance(
        symbols=names,
        channels=[TRADES, TICKER, L2_BOOK],
        callbacks={TRADES: count.trade, TICKER: count.ticker, L2_BOOK: count.book},
    )
    feed.http_conn = Rest(port)
    count.last = _Texts()
    async with websockets.connect(
        f"ws://127.0.0.1:{port}/stream?streams=all", compression=None, max_size=None
    ) as connection:
        say(holding=len(names))
        async for message in connection:
            await feed.message_handler(message, None, time.time())


class _Texts(dict[str, Any]):
    """Decimals as text, whatever they were."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, str(value))


if __name__ == "__main__":
    asyncio.run(main())
