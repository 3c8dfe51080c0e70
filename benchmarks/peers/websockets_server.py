"""``websockets``: its ``broadcast``, which frames once for all connections.

websockets_server.py BODIES
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import defaultdict
from typing import Any

from websockets.asyncio.server import broadcast, serve
from work import AsyncioDriver, Work, announce, read_bodies

SEND_BUFFER = 128 * 1024


async def main() -> None:
    bodies = read_bodies(sys.argv[1])
    topics: dict[int, set[Any]] = defaultdict(set)

    def emit(topic: int, number: int) -> None:
        before, after = bodies[topic]
        broadcast(topics[topic], (b"%b%d%b" % (before, number, after)).decode())

    async def serve_client(connection: Any) -> None:
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        async for message in connection:
            for topic in message.split(","):
                topics[int(topic)].add(connection)
            await connection.send("ok")

    driver = AsyncioDriver(Work(emit), asyncio.get_running_loop())
    options = {"compression": None, "ping_interval": None, "backlog": 4096, "open_timeout": 60}
    async with serve(serve_client, "127.0.0.1", 0, **options) as server:
        announce(next(iter(server.sockets)).getsockname()[1], driver.control)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
