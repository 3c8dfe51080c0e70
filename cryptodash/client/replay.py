"""Recorded time, on a connection of its own: nothing of it can be taken for live."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from ssl import SSLContext
from typing import Any

from attrs import frozen

from cryptodash.client.channels import Channel
from cryptodash.client.connection import Ended, IConnection, Unreachable, open_connection
from cryptodash.client.decoding import decode
from cryptodash.client.errors import ChannelRejected

Open = Callable[[str, str | None, SSLContext | None], Awaitable[IConnection]]


@frozen
class RecordedMessage:
    """What clients were sent then: ``kind`` is its type, numbers in ``payload`` are ``Decimal`` or ``int``. A
    ``status`` has the state ``recorded``, and in ``recorded_state`` what it was. A ``gap`` with the reason
    ``recording`` says that something is missing ``from`` ``to``."""

    kind: str
    payload: Mapping[str, Any]


async def replay(
    url: str,
    channels: Iterable[Channel],
    begin: str | int,
    end: str | int | None = None,
    *,
    speed: float = 0,
    token: str | None = None,
    ssl: SSLContext | None = None,
    open: Open = open_connection,
) -> AsyncIterator[RecordedMessage]:
    """First the state of each channel as of ``begin``, then what came, in order, until ``end`` (now, if left out).
    Times are RFC 3339 or milliseconds. ``speed``: times the original one, 0: as fast as it is iterated over; a program
    that takes ten seconds for a message is cut off. ``ChannelRejected`` if any channel was not recorded then
    (``not_recorded``), too many read already (``too_many_replays``), or for another fault of the request;
    ``AccessDenied`` and ``Unreachable`` as of a ``Client``."""
    request: dict[str, Any] = {"op": "replay", "from": begin, "speed": speed}
    if end is not None:
        request["to"] = end
    request["channels"] = [each.wire() for each in channels]
    connection = await open(url, token, ssl)
    try:
        await connection.send(json.dumps(request, separators=(",", ":"), ensure_ascii=False))
        while True:
            got = await connection.receive()
            if isinstance(got, Ended):
                raise Unreachable(f"{url}: {got}")
            kind, payload = decode(got)
            if kind == "error":
                raise ChannelRejected(str(payload.get("code")), str(payload.get("message")))
            if kind == "info" and payload.get("message") == "Replay ended":
                return
            if payload.get("source") == "recorded":
                yield RecordedMessage(kind, payload)
    finally:
        await connection.close()
