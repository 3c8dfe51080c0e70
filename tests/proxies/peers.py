"""What comes from outside to a proxy: requests, and clients of /ws, from any address of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.client import HTTPSConnection
from threading import Event
from time import monotonic
from typing import Any

from attrs import frozen
from websockets.asyncio.client import ClientConnection, connect

from tests.proxies.front import HOST, Front


@frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    front: Front, path: str, *, source: str = "127.0.0.1", headers: Mapping[str, str] | None = None, method: str = "GET"
) -> Answer:
    """One request over a connection of its own, from this address."""
    connection = HTTPSConnection(
        HOST, front.port, timeout=15, context=front.trusting(), source_address=None if source == "::1" else (source, 0)
    )
    try:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        found = {key.lower(): value for key, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


async def client(
    front: Front,
    path: str = "/ws",
    *,
    source: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
    trusting: Any = None,
) -> ClientConnection:
    """A client of /ws; it sends no pings of its own, so that only the server's keep it."""
    return await connect(
        f"wss://{HOST}:{front.port}{path}",
        host="127.0.0.1",
        port=front.port,
        ssl=trusting or front.trusting(),
        local_addr=(source, 0),
        additional_headers=dict(headers or {}),
        ping_interval=None,
        open_timeout=30,
        close_timeout=2,
        proxy=None,
    )


def subscribe(kind: str = "ticker", exchange: str = "binance", symbol: str = "BTC-USDT", **fields: Any) -> str:
    """A request for one channel, as text."""
    channel = {"channel_type": kind, "exchange": exchange, "symbol": symbol, **fields}
    return json.dumps({"op": "subscribe", "channels": [channel]})


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something of another process; fails after the time."""
    deadline = monotonic() + seconds
    while not true():
        assert monotonic() < deadline, f"not true after {seconds} s"
        Event().wait(0.05)
