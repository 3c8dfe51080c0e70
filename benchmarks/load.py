"""The load generator without a C compiler: the same arguments, commands and answers as ``load.c``, where they are
explained. Slower, so that fewer messages a second arrive; the servers wait for their clients,
and their CPU times stay comparable.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from struct import pack, unpack_from
from typing import Any

from benchmarks.received import Received

ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OPENING_AT_ONCE = 128
PATIENCE = 4.0
CHUNK = 512 * 1024
CONNECTING, UPGRADING, OPEN, DEAD = range(4)


def say(**members: object) -> None:
    sys.stdout.write(json.dumps(members) + "\n")
    sys.stdout.flush()


class Client:
    """One connection."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.state = DEAD
        self.setup = self.frames = 0
        self.rest = b""
        self.last: dict[bytes, int] | None = None
        self.socket: Any = None

    def send_frame(self, opcode: int, payload: bytes) -> None:
        size, first = len(payload), 0x80 | opcode
        head = (
            pack("!BB", first, 0x80 | size)
            if size < 126
            else pack("!BBH", first, 0xFE, size)
            if size < 65536
            else pack("!BBQ", first, 0xFF, size)
        )
        self.socket.setblocking(True)
        self.socket.sendall(head + b"\0\0\0\0" + payload)
        self.socket.setblocking(False)


class Load:
    """All connections, one selector."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._address = (arguments[0], int(arguments[1]))
        self._path = arguments[2]
        self._wanted = int(arguments[3])
        lines = b"" if arguments[4] == "-" else Path(arguments[4]).read_bytes()
        self._lines = [line.replace(b"\r", b"\n") for line in lines.split(b"\n")[:-1]]
        self._setup = int(arguments[5])
        stamp = b"" if arguments[8] == "-" else arguments[8].encode()
        self._received = Received(arguments[6].encode(), arguments[7].encode(), stamp)
        self._credit_port, self._sample, self._stalled = (int(each) for each in arguments[9:12])
        self._credit = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._selector = selectors.DefaultSelector()
        self._clients = [Client(index) for index in range(self._wanted)]
        self._opened = self._ready = self._dead = 0
        self.reset()

    def reset(self) -> None:
        self._received.reset()
        self._credited = 0
        for client in self._clients:
            client.frames = 0
            if self._sample and client.index % self._sample == 0:
                client.last = {}

    # -- connections

    def open_all(self) -> None:
        begun = time.monotonic()
        started = 0
        while started < self._wanted:
            while started < self._wanted and started - self._opened < OPENING_AT_ONCE:
                self._start(self._clients[started])
                started += 1
            self._turn(1.0)
        until = time.monotonic() + 5 * PATIENCE
        while self._ready < self._wanted and time.monotonic() < until:
            self._turn(0.1)
        say(ready=self._ready, dead=self._dead, seconds=time.monotonic() - begun)

    def _start(self, client: Client) -> None:
        client.socket = socket.socket()
        client.socket.setblocking(False)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if client.index < self._stalled:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.state, client.rest = CONNECTING, b""
        result = client.socket.connect_ex(self._address)
        if result not in (0, errno.EINPROGRESS):
            raise OSError(result, os.strerror(result))
        self._selector.register(client.socket, selectors.EVENT_WRITE, client)

    def _turn(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            client: Client = key.data
            if client.state == CONNECTING:
                self._upgrade(client)
            else:
                self._readable(client)

    def _upgrade(self, client: Client) -> None:
        error = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self._selector.modify(client.socket, selectors.EVENT_READ, client)
        client.state = UPGRADING
        client.socket.send(
            f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1:{self._address[1]}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def _readable(self, client: Client) -> None:
        try:
            got = client.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self._dead += 1
            self._selector.unregister(client.socket)
            client.state = DEAD
            return
        now, before = time.monotonic_ns(), self._received.total
        self._active = time.monotonic()
        data = client.rest + got if client.rest else got
        used = self._finish_upgrade(client, data) if client.state == UPGRADING else 0
        if client.state == OPEN:
            used = self._frames(client, data, used, now)
        client.rest = data[used:]
        total = self._received.total
        if total > before:
            self._received.chunk(len(got), now)
        if self._credit_port and total - self._credited >= 16 * self._wanted:
            self._credited = total
            self._credit.sendto(b"c %d" % total, (self._address[0], self._credit_port))

    def _finish_upgrade(self, client: Client, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        if not data.startswith(b"HTTP/1.1 101") or ACCEPT not in data[:end]:
            raise OSError(errno.EPROTO, "upgrade refused")
        client.state = OPEN
        self._opened += 1
        if self._lines:
            client.send_frame(1, self._lines[client.index % len(self._lines)])
        if not self._setup:
            self._is_ready(client)
        return end + 4

    def _is_ready(self, client: Client) -> None:
        self._ready += 1
        if client.index < self._stalled:
            self._selector.unregister(client.socket)

    # -- frames

    def _frames(self, client: Client, data: bytes, at: int, now: int) -> int:
        size = len(data)
        while size - at >= 2:
            length, header = data[at + 1] & 127, 2
            if length == 126 and size - at >= 4:
                length, header = unpack_from("!H", data, at + 2)[0], 4
            elif length == 127 and size - at >= 10:
                length, header = unpack_from("!Q", data, at + 2)[0], 10
            elif length >= 126:
                break
            if size - at < header + length:
                break
            self._take(client, data[at] & 15, data[at + header : at + header + length], now)
            at += header + length
        return at

    def _take(self, client: Client, opcode: int, body: bytes, now: int) -> None:
        if opcode == 9:
            client.send_frame(10, body)
        elif opcode == 8:
            self._dead += 1
        else:
            for message in body.split(b"\n") if b"\n" in body else (body,):
                self._message(client, message, now)

    def _message(self, client: Client, message: bytes, now: int) -> None:
        if client.setup < self._setup:
            client.setup += 1
            if client.setup == self._setup:
                self._is_ready(client)
        elif message and self._received.take(message, client.last, now):
            client.frames += 1

    # -- commands

    def serve(self) -> None:
        os.set_blocking(0, False)
        waiting = selectors.DefaultSelector()
        waiting.register(0, selectors.EVENT_READ)
        waiting.register(self._selector.fileno(), selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fd != 0:
                    self._turn(0)
                    continue
                words = os.read(0, 128).split()
                if not words or words[0] == b"quit":
                    return
                if words[0] == b"begin":
                    self.reset()
                    say(begun=1)
                elif words[0] == b"expect":
                    self._expect(int(words[1]))
                elif words[0] == b"handshakes":
                    self._handshakes(int(words[1]), int(words[2]))

    def _expect(self, wanted: int) -> None:
        self._active = time.monotonic()
        while self._received.total < wanted and time.monotonic() - self._active < PATIENCE:
            self._turn(0.1)
        self._turn(0.02)
        counts = [client.frames for client in self._clients[self._stalled :]] or [0]
        say(**self._received.report(), least=min(counts), most=max(counts), dead=self._dead)

    def _handshakes(self, count: int, at_once: int) -> None:
        clients = [Client(index) for index in range(min(count, at_once))]
        self._lines = []
        begun, started, done = time.monotonic(), len(clients), 0
        for client in clients:
            self._start(client)
        while done < count:
            self._turn(1.0)
            if self._dead:
                raise OSError(errno.ECONNRESET, "a handshake failed")
            for client in clients:
                if client.state == OPEN:
                    done += 1
                    self._selector.unregister(client.socket)
                    client.socket.close()
                    client.state = DEAD
                    if started < count:
                        started += 1
                        self._start(client)
        say(handshakes=done, seconds=time.monotonic() - begun)


if __name__ == "__main__":
    try:
        load = Load(sys.argv[1:])
        load.open_all()
        load.serve()
    except OSError as failure:
        say(failed=f"{failure.strerror}")
