"""One client that asks for a replay and reads it, on a blocking socket."""

from __future__ import annotations

import json
import socket
import time
from struct import unpack
from typing import Any

from benchmarks.processes import BenchError


class ReplayClient:
    """Connected to a server at a port of this machine, past its greeting."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._file = self._socket.makefile("rb", buffering=2**20)
        key = "AAAAAAAAAAAAAAAAAAAAAA=="
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while self._file.readline() not in (b"\r\n", b""):
            pass
        self.read()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, begin_ms: int, end_ms: int, channels: list[dict[str, Any]]) -> float:
        """Ask for everything as fast as it is read; seconds until the first recorded message. Raises ``BenchError``."""
        request = {"op": "replay", "from": begin_ms, "to": end_ms, "speed": 0, "channels": channels, "id": 1}
        payload = json.dumps(request).encode()
        begun = time.perf_counter()
        self._socket.sendall(b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload)
        while b'"source":"recorded"' not in (text := self.read()):
            if text.startswith(b'{"type":"error"') or b'"Replay ended"' in text:
                raise BenchError(f"a replay was refused: {text[:200]!r}")
        return time.perf_counter() - begun

    def rest(self) -> tuple[int, float]:
        """(messages, seconds) until the replay ends."""
        begun, count = time.perf_counter(), 0
        while b'"Replay ended"' not in self.read():
            count += 1
        return count, time.perf_counter() - begun

    def read(self) -> bytes:
        """The next text. Raises ``BenchError`` where the connection ends."""
        while True:
            head = self._file.read(2)
            if len(head) < 2 or head[0] & 0x0F == 8:
                raise BenchError("the server closed the connection")
            size = head[1] & 0x7F
            if size >= 126:
                (size,) = unpack("!H" if size == 126 else "!Q", self._file.read(2 if size == 126 else 8))
            text = self._file.read(size)
            if head[0] & 0x0F == 1:
                return text
            if head[0] & 0x0F == 9:  # a pong, that it takes us for alive
                self._socket.sendall(bytes((0x8A, 0x80 | len(text))) + bytes(4) + text)
