"""One WebSocket connection, and what its end means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any, Protocol
from urllib.parse import urlsplit

from attrs import frozen
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from cryptodash.client.errors import AccessDenied, ClientError

MOST_BYTES = 4 * 1024 * 1024
"""Of one message: a book of 1,000 levels a side takes a fifth of that."""
OPEN_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
"""Seconds."""


@frozen
class Ended:
    """The end of a connection. ``retry_ms``: when the server wants to be tried again."""

    code: int | None
    reason: str

    def __str__(self) -> str:
        if self.code is None:
            return "the connection was cut"
        return f"closed with {self.code}" + (f": {self.reason}" if self.reason else "")


class Unreachable(ClientError):
    """There is no connection; ``retry_ms`` if the server said when there may be one."""

    def __init__(self, why: str, retry_ms: int | None = None) -> None:
        super().__init__(why)
        self.retry_ms = retry_ms


class IConnection(Protocol):
    """What the client needs of a connection."""

    async def receive(self) -> str | bytes | Ended:
        """The next message, or the end."""

    async def send(self, text: str) -> None:
        """Waits while the line is full. On a connection that has ended nothing happens: ``receive`` tells."""

    async def close(self) -> None:
        """With 1000; waits two seconds at most for the other side."""


class WebSocketConnection:
    """By the library ``websockets``."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes | Ended:
        try:
            found: str | bytes = await self._socket.recv()
        except ConnectionClosed as closed:
            last = closed.rcvd
            return Ended(None if last is None else last.code, "" if last is None else last.reason)
        return found

    async def send(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except ConnectionClosed:
            return

    async def close(self) -> None:
        await self._socket.close()


async def open_connection(
    url: str, token: str | None, ssl: SSLContext | None, open_timeout: float = OPEN_TIMEOUT
) -> WebSocketConnection:
    """By the proxy that the environment names, unless the server is on this machine. ``AccessDenied`` for 401 and 403,
    ``Unreachable`` for all else that is no connection."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    secure: Mapping[str, Any] = {} if ssl is None else {"ssl": ssl}
    try:
        socket = await connect(
            url,
            additional_headers=headers,
            max_size=MOST_BYTES,
            max_queue=64,
            open_timeout=open_timeout,
            close_timeout=CLOSE_TIMEOUT,
            proxy=None if is_loopback(url) else True,
            **secure,
        )
    except InvalidStatus as refused:
        status, after = refused.response.status_code, refused.response.headers.get("Retry-After", "")
        if status in (401, 403):
            raise AccessDenied(f"{status}: {_message_of(refused.response.body)}") from None
        retry_ms = int(after) * 1000 if after.isdecimal() and len(after) < 6 else None
        raise Unreachable(f"answered with {status}", retry_ms) from None
    except (OSError, TimeoutError, WebSocketException) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from None
    return WebSocketConnection(socket)


def is_loopback(url: str) -> bool:
    """Whether the server is on this machine: no proxy of the environment (``HTTPS_PROXY``) leads there."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _message_of(body: bytes | bytearray | None) -> str:
    """What the server says of its refusal."""
    try:
        return str(json.loads(body or b"")["error"]["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return "the server wants a token, or another one"
