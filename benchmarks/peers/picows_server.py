"""picows (Cython): ``send`` per client and event, on uvloop.

picows_server.py BODIES
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import defaultdict
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server
from work import AsyncioDriver, Work, announce, read_bodies

SEND_BUFFER = 128 * 1024


class Client(WSListener):
    """One client: its first message names its topics."""

    def __init__(self, topics: dict[int, list[Any]]) -> None:
        self._topics = topics

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.underlying_transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER
        )

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            for topic in frame.get_payload_as_ascii_text().split(","):
                self._topics[int(topic)].append(transport.send)
            transport.send(WSMsgType.TEXT, b"ok")


async def main() -> None:
    bodies = read_bodies(sys.argv[1])
    topics: dict[int, list[Any]] = defaultdict(list)
    text = WSMsgType.TEXT

    def emit(topic: int, number: int) -> None:
        before, after = bodies[topic]
        body = b"%b%d%b" % (before, number, after)
        for send in topics[topic]:
            send(text, body)

    driver = AsyncioDriver(Work(emit), asyncio.get_running_loop())
    server = await ws_create_server(
        lambda request: Client(topics), "127.0.0.1", 0, backlog=4096, websocket_handshake_timeout=60
    )
    announce(server.sockets[0].getsockname()[1], driver.control)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
