"""The peer Centrifugo, a publish/subscribe server in Go that becomes several by Redis as ours does.

Events come in by its HTTP API, one request each, over a connection that stays open (``centrifugo_feed.py``); clients
speak its JSON protocol over WebSocket. Everything is as it is by default, but that pings and usage statistics are off
and nobody has to say who he is. Nodes are pinned to the servers' core, as ours are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.contestants import PEERS
from benchmarks.processes import CACHE, SERVER_CORE, BenchError, Child, free_port

VERSION = "v6.9.1"
MODULE = f"github.com/centrifugal/centrifugo/v6@{VERSION}"
FOLDER = PEERS / f"centrifugo-{VERSION}"
PROGRAM = FOLDER / "centrifugo"
PATH = "/connection/websocket"
CHANNEL = "0"
REQUESTS = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"' + CHANNEL + '"}}'
"""What a client says first, and gets two answers for."""
BEGINS = '{"push":{"channel":"' + CHANNEL + '","pub":{"data":{"type":"trade"'


def go() -> str | None:
    """The Go compiler; its own installation is not on everybody's path."""
    return shutil.which("go", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/go/bin")))


def absent() -> str:
    """Why it cannot be run, or nothing."""
    if PROGRAM.exists():
        return ""
    return (
        "there is no Go on this machine to build it with"
        if go() is None
        else "Centrifugo is not installed (`python -m benchmarks --install`)"
    )


def settings(port: int, redis: str) -> dict[str, object]:
    """Of one node. ``redis``: its URL, empty for the memory engine."""
    engine = {"type": "redis", "redis": {"address": redis}} if redis else {"type": "memory"}
    return {
        "http_server": {"address": "127.0.0.1", "port": port},
        "engine": engine,
        "client": {"allow_anonymous_connect_without_token": True, "ping_interval": "-1s", "pong_timeout": "-2s"},
        "channel": {"without_namespace": {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True}},
        "http_api": {"insecure": True},
        "usage_stats": {"disabled": True},
        "log": {"level": "error"},
    }


@contextlib.contextmanager
def node(name: str, redis: str = "") -> Iterator[tuple[Child, int]]:
    """One node that listens, and its port. Raises ``BenchError``."""
    port = free_port()
    CACHE.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=CACHE, suffix=".json") as file:
        json.dump(settings(port, redis), file)
        file.flush()
        child = Child(name, [str(PROGRAM), "--config", str(Path(file.name))], SERVER_CORE)
        try:
            _wait(child, port)
            yield child, port
        finally:
            child.end()


def _wait(child: Child, port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise BenchError(f"{child.name} does not listen") from None
            child.latest()  # raises where it has ended
            time.sleep(0.05)
