"""The physical limit: the handshake, then nothing but a loop of ``send`` over the sockets, one per client and turn.

bare.py BODIES
"""

from __future__ import annotations

import base64
import hashlib
import selectors
import socket
import sys
from collections.abc import Callable
from struct import pack
from typing import Any

from work import Work, announce, control_socket, drain, read_bodies

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SEND_BUFFER = 128 * 1024
PATIENCE = 30.0
"""Seconds in which a client takes what is left of one turn; after them this process ends."""


def frame(body: bytes) -> bytes:
    """A final text frame."""
    size = len(body)
    return bytes((0x81, size)) + body if size < 126 else pack("!BBH", 0x81, 126, size) + body


def greet(connection: socket.socket) -> None:
    """Upgrade; the first message is the subscription, which is answered with ``ok``."""
    connection.setblocking(True)
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    key = next(
        line.split(b":", 1)[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )
    connection.recv(65536)
    connection.sendall(frame(b"ok"))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)


def send_rest(client: socket.socket, data: bytes) -> None:
    """Wait for a client whose buffers are full: how much the system takes at once is its own affair."""
    client.settimeout(PATIENCE)
    client.sendall(data)
    client.setblocking(False)


class Bare:
    """The loop."""

    def __init__(self, bodies: list[list[bytes]]) -> None:
        self._bodies = bodies
        self._frames: list[bytes] = []
        self._clients: list[socket.socket] = []
        self._sends: list[Callable[[bytes], int]] = []

    def add(self, client: socket.socket) -> None:
        """Send to this one too; its handshake is over."""
        self._clients.append(client)
        self._sends.append(client.send)

    def emit(self, topic: int, number: int) -> None:
        before, after = self._bodies[topic]
        self._frames.append(frame(b"%b%d%b" % (before, number, after)))

    def flush(self) -> None:
        data = b"".join(self._frames)
        self._frames.clear()
        size = len(data)
        for send in self._sends:
            try:
                sent = send(data)
            except BlockingIOError:
                sent = 0
            if sent != size:
                send_rest(self._clients[self._sends.index(send)], data[sent:])


def main() -> None:
    bare = Bare(read_bodies(sys.argv[1]))
    work = Work(bare.emit)
    control = control_socket()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    poll = selectors.EpollSelector()
    poll.register(control, selectors.EVENT_READ)
    poll.register(listener, selectors.EVENT_READ)
    announce(listener.getsockname()[1], control)
    wait: Any = None
    while True:
        for key, _ in poll.select(wait):
            if key.fileobj is control:
                drain(control, work)
            else:
                connection = listener.accept()[0]
                greet(connection)
                bare.add(connection)
        wait = work.turn()
        bare.flush()


if __name__ == "__main__":
    main()
