"""A connection that is kept: made, served, watched, and made again when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from cryptodash.client.connection import Ended, IConnection, Unreachable
from cryptodash.client.errors import AccessDenied, ClientError, MalformedFrame
from cryptodash.client.freshness import Clock
from cryptodash.client.retry import Backoff
from cryptodash.client.state import ClientState, Event
from cryptodash.client.values import Notice

log = logging.getLogger("cryptodash.client")

TICK = 0.25
"""Seconds between two looks at the silence of the link."""
PROVED_AFTER = 10.0
"""Seconds after which a connection counts as good, so that the next wait begins small again."""
POLICY = 1008

Token = str | Callable[[], str]


class Reconnector:
    """``tell`` is given each event of the state, ``tell_trouble`` called when the link is trusted no more, or again;
    ``end`` is given what ends all, which is never a lost connection."""

    def __init__(
        self,
        state: ClientState,
        open: Callable[[str | None], Awaitable[IConnection]],
        token: Token | None,
        clock: Clock,
        backoff: Backoff,
        *,
        tell: Callable[[Event], None],
        tell_trouble: Callable[[], None],
        end: Callable[[Exception], None],
    ) -> None:
        self._state, self._open, self._token, self._clock, self._backoff = state, open, token, clock, backoff
        self._tell, self._tell_trouble, self._end = tell, tell_trouble, end
        self.greeted = asyncio.Event()
        """Set by the first greeting, and when all has ended before."""
        self.why = "no connection yet"
        """Why there is none, in words."""
        self._tasks: list[asyncio.Task[None]] = []
        self._connection: IConnection | None = None
        self._to_send = asyncio.Event()
        self._trouble = state.link.trouble

    def start(self) -> None:
        """Once, in a running loop."""
        self._tasks = [asyncio.create_task(each) for each in (self._keep_connected(), self._watch())]

    async def stop(self) -> None:
        """Close what is open."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._state.closed()

    def wake(self) -> None:
        """The state has something to send."""
        self._to_send.set()

    def renew(self, token: str) -> None:
        """Another token, on this connection and those that come."""
        self._token = token
        self._state.renew(token)
        self.wake()

    async def _keep_connected(self) -> None:
        """Connect, serve, and again, until the server denies access."""
        try:
            while True:
                await asyncio.sleep(await self._connect_once())
        except AccessDenied as denied:
            self._end(denied)
        except Exception as error:  # of the user's own: a token that cannot be had
            log.exception("the client ends")
            self._end(ClientError(f"{type(error).__name__}: {error}"))
        finally:
            self.greeted.set()

    async def _connect_once(self) -> float:
        """A connection from its beginning to its end; seconds until the next."""
        retry_ms = None
        token = self._token() if callable(self._token) else self._token
        try:
            self._connection = await self._open(token)
            await self._serve(self._connection)
        except Unreachable as unreachable:
            self.why, retry_ms = str(unreachable), unreachable.retry_ms
        except MalformedFrame as malformed:
            self.why = f"the server is not understood: {malformed}"
        wait = self._backoff.delay(self._state.retry_ms if retry_ms is None else retry_ms)
        self._state.retry_ms = None
        log.warning("%s; again in %.1f s", self.why, wait)
        return wait

    async def _serve(self, connection: IConnection) -> None:
        begun = self._clock()
        self._state.opened()
        self.wake()
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
            self._look()
            with suppress(Exception):
                await connection.close()

    def _ended(self, ended: Ended) -> None:
        self.why = str(ended)
        self._state.closed(ended.reason)
        words = ended.reason.lower()
        if ended.code == POLICY and ("token" in words or "auth" in words) and not callable(self._token):
            raise AccessDenied(ended.reason)

    def _receive(self, text: str) -> None:
        for event in self._state.received(text):
            if isinstance(event, Notice):
                self._hear(event)
            self._tell(event)
        self.wake()
        if self._state.session is not None:
            self.greeted.set()

    def _hear(self, notice: Notice) -> None:
        said = notice.payload.get("auth")
        if said == "required":
            raise AccessDenied("the server wants a token")
        if said == "expiring" and callable(self._token):
            self._state.renew(self._token())

    async def _send(self, connection: IConnection) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            for text in self._state.frames_to_send():
                await connection.send(text)

    async def _watch(self) -> None:
        """Ping, and tell when the link falls silent. One that is silent for too long is given up."""
        while True:
            await asyncio.sleep(TICK)
            self._state.tick()
            self.wake()
            self._look()
            if self._state.link.is_dead and self._connection is not None:
                self.why = "nothing came for too long"
                connection, self._connection = self._connection, None
                with suppress(Exception):
                    await connection.close()

    def _look(self) -> None:
        trouble = self._state.link.trouble
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell_trouble()
