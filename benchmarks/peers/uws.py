"""uWebSockets (C++) through socketify: ``publish`` per event; uWS collects a loop turn and writes once per client.

    uws.py BODIES [relay]

The libuv loop is run directly, without asyncio, which is the fastest way to use it. ``relay``: what a client sends to
``/feed`` is published. uWS gives no access to SO_SNDBUF.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

from socketify import App, CompressOptions, OpCode
from work import Work, announce, control_socket, drain, read_bodies


def main() -> None:
    bodies = read_bodies(sys.argv[1])
    relay = sys.argv[2:] == ["relay"]
    app = App()

    def emit(topic: int, number: int) -> None:
        before, after = bodies[topic]
        app.publish(str(topic), b"%b%d%b" % (before, number, after), OpCode.TEXT)

    def on_message(ws: Any, message: Any, opcode: Any) -> None:
        for topic in message.split(","):
            ws.subscribe(topic)
        ws.send("ok", OpCode.TEXT)

    def on_feed(ws: Any, message: Any, opcode: Any) -> None:
        app.publish("0", message, OpCode.TEXT)

    options = {
        "compression": CompressOptions.DISABLED,
        "idle_timeout": 0,
        "max_backpressure": 64 * 1024 * 1024,
        "max_payload_length": 1024 * 1024,
    }
    app.ws("/ws", {**options, "message": on_message})
    if relay:
        app.ws("/feed", {**options, "message": on_feed})
    port = free_port()
    app.listen(port, lambda config: None)
    work, control = Work(emit), control_socket()
    loop = app.loop.uv_loop
    timer = loop.create_timer(1, 100 if relay else 1, lambda _: None, None)
    loop.run_nowait()
    announce(port, control)
    due = 0.0
    while timer is not None:
        if work.saturating:
            loop.run_nowait()
        else:
            loop.run_once()
        drain(control, work)
        if work.saturating or time.monotonic() >= due:
            due = time.monotonic() + (work.turn() or 0.0)


def free_port() -> int:
    """A port that nobody has: uWS does not tell which one it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
