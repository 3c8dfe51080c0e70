"""The asyncio client: a connection that is kept, and streams of values that say how fresh they are."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from types import TracebackType
from typing import Any

from cryptodash.client.book import Book
from cryptodash.client.channels import EVERY_SYMBOL, Channel, Key
from cryptodash.client.connection import IConnection, Unreachable, open_connection
from cryptodash.client.errors import ChannelRejected, ClientClosed
from cryptodash.client.freshness import Clock, Link
from cryptodash.client.queues import MOST_WAITING, LatestQueue, LosslessQueue, Queue, Room
from cryptodash.client.reconnect import Reconnector, Token, log
from cryptodash.client.retry import Backoff
from cryptodash.client.state import ClientState, Event
from cryptodash.client.streams import Stream
from cryptodash.client.values import Bbo, Candle, Gap, Liquidation, Notice, Rejected, StatusChange, Ticker, Trade

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)

Open = Callable[[str, str | None, SSLContext | None], Awaitable[IConnection]]


def machine_clock() -> float:
    """Seconds that also pass while the machine sleeps, where it can tell: a value of before is then old."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


class Client:
    """A server's market data. ``async with Client("ws://127.0.0.1:8080/ws") as client``; then the streams.

    A connection that is lost is made again: subscriptions go on, trades and closed candles by their cursors.
    ``token`` is sent as ``Authorization: Bearer``; a callable is asked for a new one at each connection, and when the
    server says that the old one ends soon. ``ssl`` as in ``websockets``. ``waiting``: messages that one stream of
    trades keeps for a consumer that is slow. ``first_within``: seconds for the first connection. ``on_notice`` is told
    what the server says besides (the greeting, faults of requests, a token that ends soon).

    Clock, randomness and the opening of connections can be given, for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token | None = None,
        ssl: SSLContext | None = None,
        waiting: int = MOST_WAITING,
        first_within: float = 10.0,
        on_notice: Callable[[Notice], object] = lambda notice: None,
        clock: Clock = machine_clock,
        backoff: Backoff | None = None,
        link: Link | None = None,
        open: Open = open_connection,
    ) -> None:
        self.url = url
        self._waiting, self._first_within, self._on_notice = waiting, first_within, on_notice
        self._state = ClientState(clock, link=link)
        self._room = Room()
        self._streams: dict[Key, list[Stream[Any]]] = {}
        self._error: Exception | None = None
        self._reconnector = Reconnector(
            self._state,
            lambda token: open(url, token, ssl),
            token,
            clock,
            backoff or Backoff(random.random),
            tell=self._tell,
            tell_trouble=self._tell_trouble,
            end=self._end,
        )

    # its life

    async def __aenter__(self) -> Client:
        """Connects. ``AccessDenied``, or ``Unreachable`` if there is no greeting within ``first_within`` seconds."""
        self._reconnector.start()
        try:
            async with asyncio.timeout(self._first_within):
                await self._reconnector.greeted.wait()
        except TimeoutError:
            await self.aclose()
            raise Unreachable(f"{self.url}: {self._reconnector.why}") from None
        except asyncio.CancelledError:
            await self.aclose()
            raise
        if self._error is not None:
            error = self._error
            await self.aclose()
            raise error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection with 1000 and end all streams."""
        self._end(self._error)
        await self._reconnector.stop()

    # what there is

    def tickers(self, exchange: str, market: str, symbol: str, *, max_rate: float | None = None) -> Stream[Ticker]:
        """The latest prices. One comes with each change of the prices or of how fresh they are; a consumer that is slow
        gets the newest."""
        return self.subscribe(Channel("ticker", exchange, symbol, market, max_rate=max_rate))

    def sweep(self, exchange: str, market: str = "spot") -> Stream[Ticker]:
        """The whole market: at most one ticker per instrument and second."""
        return self.subscribe(Channel("ticker", exchange, EVERY_SYMBOL, market))

    def quotes(self, exchange: str, market: str, symbol: str, *, max_rate: float | None = None) -> Stream[Bbo]:
        """Best bid and offer; of ``composite`` those over all exchanges."""
        return self.subscribe(Channel("bbo", exchange, symbol, market, max_rate=max_rate))

    def books(
        self, exchange: str, market: str, symbol: str, *, depth: int = 20, max_rate: float | None = None
    ) -> Stream[Book]:
        """The order book, one object that is kept up to date; it comes with each change of it or of how fresh it is."""
        return self.subscribe(Channel("order_book", exchange, symbol, market, depth=depth, max_rate=max_rate))

    def trades(self, exchange: str, market: str, symbol: str, *, since: str | None = None) -> Stream[Trade | Gap]:
        """Every trade once, over lost connections too; where some are missing, a ``Gap``. ``since``: the cursor of the
        last one that the program has."""
        return self.subscribe(Channel("trade", exchange, symbol, market), since=since)

    def liquidations(self, exchange: str, symbol: str, *, since: str | None = None) -> Stream[Liquidation | Gap]:
        """Of perpetuals; as trades."""
        return self.subscribe(Channel("liquidation", exchange, symbol, "perpetual"), since=since)

    def candles(
        self, exchange: str, market: str, symbol: str, *, interval: str = "1m", since: str | None = None
    ) -> Stream[Candle | Gap]:
        """The running bar as it changes, and each bar once when it has closed."""
        return self.subscribe(Channel("candle", exchange, symbol, market, interval=interval), since=since)

    def subscribe(self, channel: Channel, *, since: str | None = None) -> Stream[Any]:
        """Any channel. Several streams of one channel share its subscription."""
        if self._error is not None:
            raise self._error
        lossless = channel.channel_type in ("trade", "liquidation", "candle")
        queue: Queue = LosslessQueue(channel, self._room, self._waiting) if lossless else LatestQueue()
        stream: Stream[Any] = Stream(channel, queue, self._release)
        self._state.subscribe([channel], since)
        self._streams.setdefault(channel.key, []).append(stream)
        self._reconnector.wake()
        return stream

    def renew(self, token: str) -> None:
        """Give another token in place, before the one of this connection ends; later connections use it too."""
        self._reconnector.renew(token)

    @property
    def source(self) -> str | None:
        """Where the prices are from: ``live``, ``simulated``, ``replay`` or ``custom``."""
        return self._state.source

    @property
    def trouble(self) -> str | None:
        """Why nothing is live (``link_lost``, ``link_silent``, ``link_behind``); None: the link is trusted."""
        return self._state.link.trouble

    # the insides

    def _release(self, stream: Stream[Any]) -> None:
        left = self._streams.get(stream.channel.key, [])
        if stream in left:
            left.remove(stream)
        if not left and self._streams.pop(stream.channel.key, None) is not None:
            self._state.unsubscribe([stream.channel])
            self._reconnector.wake()

    def _end(self, error: Exception | None) -> None:
        self._error = error or ClientClosed("the client was closed")
        for streams in self._streams.values():
            for stream in streams:
                stream.end(error)
        self._streams.clear()

    def _tell_trouble(self) -> None:
        for key in list(self._streams):
            self._tell_again(key)

    def _tell_again(self, key: Key) -> None:
        """What is shown has become fresher, or less fresh. Of trades there is nothing to show again."""
        held = self._state.subscriptions.get(key)
        item = None if held is None else held.book or held.newest
        if isinstance(item, Book | Bbo) and not (held and held.is_sweep):
            for stream in self._streams.get(key, ()):
                stream.put(item)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Notice):
            try:
                self._on_notice(event)
            except Exception:
                log.exception("on_notice failed")
        elif isinstance(event, Rejected):
            for stream in self._streams.pop(event.channel.key, ()):
                stream.end(ChannelRejected(event.code, event.message))
        elif isinstance(event, StatusChange):
            self._tell_again(event.channel.key)
        else:
            for stream in self._streams.get(event.channel.key, ()):
                stream.put(event)


__all__ = ["Client", "machine_clock"]
