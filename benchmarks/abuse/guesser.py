"""One that guesses tokens: so many a minute, from an address of its own, at both doors."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import socket
import time
from collections.abc import Mapping
from typing import Final

from benchmarks.abuse.wire import connect, request

PER_MINUTE: Final = 10_000
SOURCE: Final = "127.0.0.2"
"""Its address: the others come from 127.0.0.1."""
TOKEN: Final = "token-of-the-other-clients-0123456789"
_PUBLIC_KEY: Final = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
"""An Ed25519 key (RFC 8032, section 7.1, has its like): nobody here has the private one."""
RULES: Final[Mapping[str, str]] = {"AUTH_TOKEN": TOKEN, "AUTH_JWT_KEYS": f"EdDSA:{_PUBLIC_KEY}"}
"""Settings of the server: of both kinds of tokens, so that the dearer comparison has to be made."""
BY_SOCKET: Final = 4
"""One in so many is the first message of a connection to /ws, the others are REST."""


def guess() -> str:
    """Like a JSON Web Token of the server's own kind, with a signature that is none."""
    header, claims = b'{"alg":"EdDSA","typ":"JWT"}', b'{"exp":4000000000,"scope":"read"}'
    return b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in (header, claims, os.urandom(64))).decode()


class Guesser:
    """It keeps to its pace whatever it is answered, and waits for each answer a second at most."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._rest: socket.socket | None = None
        self._began: float | None = None
        self.done = {"sent": 0, "read": 0, "connections": 0, "tokens": 0, "looked at": 0, "turned away": 0}

    def go(self) -> None:
        self._began = time.monotonic()

    def turn(self) -> None:
        """One guess, if it is due."""
        if self._began is None:
            time.sleep(0.01)
            return
        wait = self._began + self.done["tokens"] * 60 / PER_MINUTE - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, 0.05))
            return
        self.done["tokens"] += 1
        with contextlib.suppress(OSError):
            answer = self._by_socket() if self.done["tokens"] % BY_SOCKET == 0 else self._by_rest()
            self.done["read"] += len(answer)
            self.done["looked at"] += b"not known" in answer
            self.done["turned away"] += b"too many wrong tokens" in answer

    def _by_rest(self) -> bytes:
        if self._rest is None:
            self._rest = socket.create_connection(("127.0.0.1", self._port), 1.0, (SOURCE, 0))
            self.done["connections"] += 1
        try:
            return self._exchange(
                self._rest,
                f"GET /api/exchanges HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {guess()}\r\n\r\n".encode(),
            )
        except OSError:
            self._rest.close()
            self._rest = None
            raise

    def _by_socket(self) -> bytes:
        connection = connect(self._port, source=SOURCE)
        self.done["connections"] += 1
        try:
            return self._exchange(connection, request("auth", token=guess()))
        finally:
            connection.close()

    def _exchange(self, connection: socket.socket, sent: bytes) -> bytes:
        connection.sendall(sent)
        self.done["sent"] += len(sent)
        answer, until = b"", time.monotonic() + 1
        while b"token is not known" not in answer and b"too many wrong tokens" not in answer:
            if not select.select([connection], [], [], max(0.0, until - time.monotonic()))[0]:
                break
            data = connection.recv(65536)
            if not data:
                break
            answer += data
        return answer
