"""A client's side of /ws as raw bytes: what no library would send, and no more work than needed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from struct import pack
from typing import Any

CONTINUATION, TEXT, BINARY, PING, PONG = 0, 1, 2, 9, 10
_UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
TOKEN_VARIABLE = "ABUSE_TOKEN"
"""In the environment of a process: the token that its connections show."""


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A frame with a mask of zeros."""
    size, first = len(payload), (0x80 if final else 0) | opcode
    head = (
        bytes((first, 0x80 | size))
        if size < 126
        else pack("!BBH", first, 0x80 | 126, size)
        if size < 65536
        else pack("!BBQ", first, 0x80 | 127, size)
    )
    return head + b"\0\0\0\0" + payload


def request(op: str, **members: Any) -> bytes:
    return frame(TEXT, json.dumps({"op": op, **members}, separators=(",", ":")).encode())


def connect(port: int, *, source: str = "") -> socket.socket:
    """An open connection, from an address of this machine; the greeting is yet to be read. Raises ``OSError``."""
    connection = socket.create_connection(("127.0.0.1", port), 10, (source, 0) if source else None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    token = os.environ.get(TOKEN_VARIABLE)
    connection.sendall(_UPGRADE + (f"Authorization: Bearer {token}\r\n" if token else "").encode() + b"\r\n")
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"the upgrade was answered {answer[:80]!r}")
        answer += byte
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(f"the upgrade was answered {answer[:80]!r}")
    return connection


class Reader:
    """Server frames out of chunks; what is not complete waits for the next."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        data = self._rest + data
        at = 0
        while len(data) >= at + 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(data[start : start + width], "big"), start + width
            if len(data) < start + size:
                break
            yield data[at] & 15, data[start : start + size]
            at = start + size
        self._rest = data[at:]
