"""The clients of a soak: a page, one that holds a hundred topics, and some that come and go.

    python -m benchmarks.soak_clients PORT CLIENTS

Each second the oldest of CLIENTS visitors leaves and a new one comes, with topics of its own; each ten seconds the page
scrolls to other rows, opens another book and asks for other bars. Says ``{"messages": n, "errors": n}`` each second.
"""

from __future__ import annotations

import json
import random
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import treq
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import LoopingCall
from twisted.web.client import HTTPConnectionPool

from benchmarks.peers.work import say

TOPICS = 100
ROWS = 50
SCROLL_S = 10.0
PING_S = 30.0
WARM_CHARTS = 150
"""Asked for one after the other at the beginning: the server keeps 50,000 bars (about 30 MB), and a cache that fills is
no leak."""
INTERVALS = ("1m", "5m", "15m", "1h")

Channel = dict[str, Any]


class Counts:
    """What all clients of this process got."""

    messages = 0
    errors = 0


class Client(WebSocketClientProtocol):
    """Asks for its channels once it is open, and counts."""

    factory: Factory

    def onOpen(self) -> None:
        self.factory.opened = self
        self.ask("subscribe", self.factory.channels)

    def ask(self, op: str, channels: Sequence[Channel]) -> None:
        self.sendMessage(json.dumps({"op": op, "channels": list(channels)}).encode())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.counts.messages += 1
        if payload.startswith(b'{"type":"error"'):
            self.factory.counts.errors += 1


class Factory(WebSocketClientFactory):
    protocol = Client
    noisy = False
    opened: Client | None = None

    def __init__(self, port: int, reactor: Any, channels: Sequence[Channel], counts: Counts) -> None:
        super().__init__(f"ws://127.0.0.1:{port}/ws", reactor=reactor)
        self.channels = list(channels)
        self.counts = counts
        reactor.connectTCP("127.0.0.1", port, self)

    def change(self, channels: Sequence[Channel]) -> None:
        """Other channels in the place of those it has."""
        if self.opened is not None:
            self.opened.ask("unsubscribe", self.channels)
            self.opened.ask("subscribe", channels)
            self.channels = list(channels)

    def leave(self) -> None:
        if self.opened is not None:
            self.opened.sendClose(1000)


class Crowd:
    """Everybody, over the instruments that the server lists."""

    def __init__(self, port: int, visitors: int, reactor: Any) -> None:
        self._port, self._visitors, self._reactor = port, visitors, reactor
        self._url = f"http://127.0.0.1:{port}"
        self._pool = HTTPConnectionPool(reactor)
        self._random = random.Random(10)
        self._counts = Counts()
        self._here: deque[Factory] = deque()
        self._instruments: list[Channel] = []
        self._page: Factory | None = None

    async def begin(self) -> None:
        listed = await self._get("/api/symbols")
        self._instruments = [
            {"exchange": each["exchange"], "symbol": one["symbol"], "market_type": one["market_type"]}
            for each in listed["exchanges"]
            for one in each["symbols"]
        ]
        self._open(self._some(TOPICS))
        self._page = self._open(self._shown())
        for every, do in ((1.0, self._second), (SCROLL_S, self._scroll), (PING_S, self._ping)):
            LoopingCall(do).start(every, now=False)
        for _ in range(WARM_CHARTS):
            await self._chart()

    def _second(self) -> None:
        self._here.append(self._open(self._some(self._random.randint(1, 10))))
        if len(self._here) > self._visitors:
            self._here.popleft().leave()
        say(messages=self._counts.messages, errors=self._counts.errors)

    def _scroll(self) -> None:
        if self._page is not None:
            self._page.change(self._shown())
        ensureDeferred(self._look_around()).addErrback(self._failed)

    async def _look_around(self) -> None:
        await self._chart()
        await self._get("/api/exchanges")
        await self._get("/api/streams")
        await self._get("/api/symbols")

    async def _chart(self) -> None:
        chart = self._random.choice(self._instruments)
        query = f"exchange={chart['exchange']}&symbol={chart['symbol']}&market_type={chart['market_type']}"
        await self._get(f"/api/candles?{query}&interval={self._random.choice(INTERVALS)}&limit=500")

    def _failed(self, failure: object) -> None:
        self._counts.errors += 1

    def _ping(self) -> None:
        if self._page is not None and self._page.opened is not None:
            self._page.opened.sendMessage(b'{"op":"ping"}')

    async def _get(self, path: str) -> Any:
        response = await treq.get(self._url + path, pool=self._pool, timeout=20, reactor=self._reactor)
        return await response.json()

    def _open(self, channels: Sequence[Channel]) -> Factory:
        return Factory(self._port, self._reactor, channels, self._counts)

    def _shown(self) -> list[Channel]:
        """The page: a screen of rows, and one instrument with its book, trades and bars."""
        rows = self._random.sample(self._instruments, min(ROWS, len(self._instruments)))
        chosen = rows[0]
        return [
            *({**row, "channel_type": "ticker"} for row in rows),
            {**chosen, "channel_type": "order_book", "depth": 50},
            {**chosen, "channel_type": "trade"},
            {**chosen, "channel_type": "candle", "interval": "1m"},
        ]

    def _some(self, count: int) -> list[Channel]:
        """Of every ten topics six tickers, two trades, a book and a candle."""
        kinds: list[Channel] = [{"channel_type": "ticker"}] * 6 + [{"channel_type": "trade"}] * 2
        kinds += [{"channel_type": "order_book", "depth": 20}, {"channel_type": "candle", "interval": "1m"}]
        return [{**self._random.choice(self._instruments), **kinds[index % len(kinds)]} for index in range(count)]


def main(arguments: Sequence[str]) -> None:
    from twisted.internet import reactor as the_reactor

    reactor: Any = the_reactor
    crowd = Crowd(int(arguments[0]), int(arguments[1]), reactor)

    def lost(failure: Any) -> None:
        say(failed=failure.getErrorMessage())
        reactor.stop()

    ensureDeferred(crowd.begin()).addErrback(lost)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
