"""The asyncio client: a connection that is kept, and streams of values that say how fresh they are."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from ssl import SSLContext
from types import TracebackType
from typing import Any

from cryptodash.client.book import Book
from cryptodash.client.channels import EVERY_SYMBOL, Channel, Key
from cryptodash.client.connection import Ended, IConnection, Unreachable, open_connection
from cryptodash.client.errors import AccessDenied, ChannelRejected, ClientClosed, ClientError, MalformedFrame
from cryptodash.client.freshness import Clock, Link
from cryptodash.client.queues import MOST_WAITING, LatestQueue, LosslessQueue, Queue, Room
from cryptodash.client.retry import Backoff
from cryptodash.client.state import ClientState, Event
from cryptodash.client.streams import Stream
from cryptodash.client.values import Bbo, Candle, Gap, Liquidation, Notice, Rejected, StatusChange, Ticker, Trade

log = logging.getLogger("cryptodash.client")

TICK = 0.25
"""Seconds between two looks at the silence of the link."""
PROVED_AFTER = 10.0
"""Seconds after which a connection counts as good, so that the next wait begins small again."""
POLICY = 1008
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)

Open = Callable[[str, str | None, SSLContext | None], Awaitable[IConnection]]
Token = str | Callable[[], str]


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
        self._token, self._ssl, self._open, self._clock = token, ssl, open, clock
        self._waiting, self._first_within, self._on_notice = waiting, first_within, on_notice
        self._state = ClientState(clock, link=link)
        self._backoff = backoff or Backoff(random.random)
        self._room = Room()
        self._streams: dict[Key, list[Stream[Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._connection: IConnection | None = None
        self._to_send = asyncio.Event()
        self._greeted = asyncio.Event()
        self._trouble: str | None = "link_lost"
        self._why = "no connection yet"
        self._error: Exception | None = None

    # its life

    async def __aenter__(self) -> Client:
        """Connects. ``AccessDenied``, or ``Unreachable`` if there is no greeting within ``first_within`` seconds."""
        self._start(self._keep_connected())
        self._start(self._watch())
        try:
            async with asyncio.timeout(self._first_within):
                await self._greeted.wait()
        except TimeoutError:
            await self.aclose()
            raise Unreachable(f"{self.url}: {self._why}") from None
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
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(Exception):
                await connection.close()
        self._state.closed()

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
        self._to_send.set()
        return stream

    def renew(self, token: str) -> None:
        """Give another token in place, before the one of this connection ends; later connections use it too."""
        self._token = token
        self._state.renew(token)
        self._to_send.set()

    @property
    def source(self) -> str | None:
        """Where the prices are from: ``live``, ``simulated``, ``replay`` or ``custom``."""
        return self._state.source

    @property
    def trouble(self) -> str | None:
        """Why nothing is live (``link_lost``, ``link_silent``, ``link_behind``); None: the link is trusted."""
        return self._state.link.trouble

    # the insides

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    def _release(self, stream: Stream[Any]) -> None:
        left = self._streams.get(stream.channel.key, [])
        if stream in left:
            left.remove(stream)
        if not left and self._streams.pop(stream.channel.key, None) is not None:
            self._state.unsubscribe([stream.channel])
            self._to_send.set()

    def _end(self, error: Exception | None) -> None:
        self._error = error or ClientClosed("the client was closed")
        for streams in self._streams.values():
            for stream in streams:
                stream.end(error)
        self._streams.clear()
        self._greeted.set()

    async def _keep_connected(self) -> None:
        """Connect, serve, and again, until the server denies access."""
        while True:
            retry_ms = None
            try:
                token = self._token() if callable(self._token) else self._token
                self._connection = await self._open(self.url, token, self._ssl)
                await self._serve(self._connection)
            except AccessDenied as denied:
                self._end(denied)
                return
            except Unreachable as unreachable:
                self._why, retry_ms = str(unreachable), unreachable.retry_ms
            except MalformedFrame as malformed:
                self._why = f"the server is not understood: {malformed}"
            wait = self._backoff.delay(self._state.retry_ms if retry_ms is None else retry_ms)
            self._state.retry_ms = None
            log.warning("%s: %s; again in %.1f s", self.url, self._why, wait)
            await asyncio.sleep(wait)

    async def _serve(self, connection: IConnection) -> None:
        """From the opening of a connection to its end."""
        begun = self._clock()
        self._state.opened()
        self._to_send.set()
        sender = asyncio.create_task(self._send(connection))
        try:
            while True:
                found = await connection.receive()
                if isinstance(found, Ended):
                    self._ended(found)
                    return
                if isinstance(found, str):  # the protocol has no binary messages
                    self._receive(found)
        finally:
            sender.cancel()
            self._connection = None
            if self._state.link.is_up:
                self._state.closed()
            if self._clock() - begun > PROVED_AFTER:
                self._backoff.reset()
            self._tell_trouble()
            with suppress(Exception):
                await connection.close()

    def _ended(self, ended: Ended) -> None:
        self._why = str(ended)
        self._state.closed(ended.reason)
        words = ended.reason.lower()
        if ended.code == POLICY and ("token" in words or "auth" in words) and not callable(self._token):
            raise AccessDenied(ended.reason)

    async def _send(self, connection: IConnection) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            for text in self._state.frames_to_send():
                await connection.send(text)

    async def _watch(self) -> None:
        """Ping, and tell the consumers when the link falls silent."""
        while True:
            await asyncio.sleep(TICK)
            self._state.tick()
            self._to_send.set()
            self._tell_trouble()
            if self._state.link.is_dead and self._connection is not None:
                self._why = "nothing came for too long"
                connection, self._connection = self._connection, None
                with suppress(Exception):
                    await connection.close()

    def _tell_trouble(self) -> None:
        trouble = self._state.link.trouble
        if trouble == self._trouble:
            return
        self._trouble = trouble
        for key in list(self._streams):
            self._tell_again(key)

    def _tell_again(self, key: Key) -> None:
        """What is shown has become fresher, or less fresh. Of trades there is nothing to show again."""
        held = self._state.subscriptions.get(key)
        item = None if held is None else held.book or held.newest
        if isinstance(item, Book | Bbo) and not (held and held.is_sweep):
            for stream in self._streams.get(key, ()):
                stream.put(item)

    def _receive(self, text: str) -> None:
        for event in self._state.received(text):
            self._tell(event)
        self._to_send.set()
        if self._state.session is not None and not self._greeted.is_set():
            self._greeted.set()

    def _tell(self, event: Event) -> None:
        if isinstance(event, Notice):
            self._hear(event)
        elif isinstance(event, Rejected):
            for stream in self._streams.pop(event.channel.key, ()):
                stream.end(ChannelRejected(event.code, event.message))
        elif isinstance(event, StatusChange):
            self._tell_again(event.channel.key)
        else:
            for stream in self._streams.get(event.channel.key, ()):
                stream.put(event)

    def _hear(self, notice: Notice) -> None:
        if notice.payload.get("auth") == "required":
            raise AccessDenied("the server wants a token")
        if notice.payload.get("auth") == "expiring" and callable(self._token):
            self._state.renew(self._token())
        try:
            self._on_notice(notice)
        except Exception:
            log.exception("on_notice failed")


__all__ = ["Client", "ClientError", "machine_clock"]
