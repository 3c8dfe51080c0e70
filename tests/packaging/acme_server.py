"""Acme's side: a few REST answers and a WebSocket that sends what was recorded, on ports of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time_ns
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

CONTRACTS = {
    "contracts": [
        {
            "name": "BTC-PERP",
            "base": "BTC",
            "quote": "USDT",
            "contractSize": "0.001",
            "tick": "0.5",
            "minContracts": "1",
            "state": "open",
        }
    ]
}
EVERY = 0.2
"""Seconds between two rounds of what was recorded."""


class _Rest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        answers: dict[str, Any] = {"/v1/contracts": CONTRACTS, "/v1/time": {"time": time_ns() // 1_000_000}}
        body = json.dumps(answers.get(path, {"error": "not found"})).encode()
        self.send_response(200 if path in answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class _Stream:
    """One connection: accepts every subscription, and sends the recorded frames of what is subscribed to, again and
    again, as if they were sent now."""

    def __init__(self, connection: ServerConnection, recorded: list[dict[str, Any]]) -> None:
        self._connection = connection
        self._recorded = recorded
        self._streams: set[str] = set()
        self._round = 0

    def run(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                try:
                    self._request(json.loads(self._connection.recv(timeout=EVERY)))
                except TimeoutError:
                    self._send_all()

    def _request(self, request: dict[str, Any]) -> None:
        if request["op"] == "ping":
            self._connection.send('{"op":"pong"}')
            return
        change = self._streams.update if request["op"] == "subscribe" else self._streams.difference_update
        change(request["streams"])
        self._connection.send(json.dumps({"id": request["id"], "ok": True}))

    def _send_all(self) -> None:
        self._round += 1
        for frame in self._recorded:
            if frame["stream"] in self._streams:
                data = frame["data"]
                if "id" in data:
                    data = {**data, "id": data["id"] + 1000 * self._round}
                self._connection.send(
                    json.dumps({**frame, "time": time_ns() // 1_000_000, "data": data}, separators=(",", ":"))
                )


@contextmanager
def acme(recordings: Path) -> Iterator[tuple[str, str]]:
    """A running Acme: (WebSocket, REST) base URLs."""
    lines = (recordings / "ticker.jsonl").read_text().splitlines()
    frames = [json.loads(json.loads(line)["raw"]) for line in lines if json.loads(line)["dir"] == "in"]
    recorded = [frame for frame in frames if "stream" in frame]
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), _Rest) as rest,
        serve(lambda connection: _Stream(connection, recorded).run(), "127.0.0.1", 0) as streams,
    ):
        threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in (rest, streams)]
        for thread in threads:
            thread.start()
        port = streams.socket.getsockname()[1]
        yield f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{rest.server_address[1]}"
        rest.shutdown()
        streams.shutdown()
        for thread in threads:
            thread.join(5)
