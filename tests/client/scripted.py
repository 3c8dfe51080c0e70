"""A small server that says what a test wants, on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from cryptodash.client import Backoff
from tests.client.frames import GREETING

WITHIN = 20.0
Script = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One connection, as the scripted server sees it."""

    def __init__(self, socket: ServerConnection, number: int) -> None:
        self.socket, self.number = socket, number
        self.asked: list[dict[str, Any]] = []

    async def say(self, *frames: str) -> None:
        for each in frames:
            await self.socket.send(each)

    async def until(self, op: str) -> dict[str, Any]:
        """The next request of this kind; pings meanwhile are answered."""
        while True:
            found: dict[str, Any] = json.loads(await self.socket.recv())
            self.asked.append(found)
            if found["op"] == op:
                return found
            await self.answer(found)

    async def answer(self, request: dict[str, Any], **more: Any) -> None:
        payload = {"message": "", "id": request["id"], **more}
        if request["op"] == "subscribe":
            payload.setdefault("accepted", request["channels"])
        await self.say(json.dumps({"type": "info", "payload": payload}))

    async def greet(self) -> dict[str, Any]:
        """Greeted, and its first subscribe is answered."""
        await self.say(GREETING)
        found = await self.until("subscribe")
        await self.answer(found)
        return found

    async def stay(self) -> None:
        """Answer pings until the client goes."""
        async for text in self.socket:
            found = json.loads(text)
            self.asked.append(found)
            await self.answer(found)


class Scripted:
    """A server whose connections follow one script each; the last one serves all that come after."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self.visits: list[Visit] = []
        self.headers: list[Headers] = []
        self.refusal: Response | None = None

    async def __aenter__(self) -> Scripted:
        self._server = await serve(self._handle, "127.0.0.1", 0, process_request=self._look)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/ws"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _look(self, socket: ServerConnection, request: Request) -> Response | None:
        self.headers.append(request.headers)
        return self.refusal

    async def _handle(self, socket: ServerConnection) -> None:
        visit = Visit(socket, len(self.visits))
        self.visits.append(visit)
        await self._scripts[min(visit.number, len(self._scripts) - 1)](visit)


def within(work: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WITHIN):
            await work

    asyncio.run(bounded())


def quick() -> Backoff:
    return Backoff(lambda: 0.0, least=0.01, most=0.02)
