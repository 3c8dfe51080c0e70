"""What a program iterates over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar, cast

from cryptodash.client.channels import Channel
from cryptodash.client.queues import Item, Queue

T = TypeVar("T", covariant=True)


class Stream(Generic[T]):
    """The values of one channel, ``async for``. It is subscribed until it is closed: by ``async with``, by ``aclose``,
    or with the client. It raises what ended it (``ChannelRejected``, ``AccessDenied``); it ends with the client."""

    def __init__(self, channel: Channel, queue: Queue, on_close: Callable[[Stream[object]], None]) -> None:
        self.channel = channel
        self._queue, self._on_close = queue, on_close
        self._news = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def put(self, item: Item) -> None:
        """Something for the consumer; never waits."""
        if not self._ended:
            self._queue.put(item)
            self._news.set()

    def end(self, error: Exception | None = None) -> None:
        """Nothing follows what waits."""
        self._ended, self._error = True, error
        self._news.set()

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            item = self._queue.get()
            if item is not None:
                return cast(T, item)
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    async def aclose(self) -> None:
        """Unsubscribe, if nobody else in the program has the channel."""
        if not self._ended:
            self.end()
            self._on_close(self)
        self._queue.clear()

    async def __aenter__(self) -> Stream[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
