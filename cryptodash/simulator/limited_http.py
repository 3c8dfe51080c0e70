"""HTTP of the simulator's ports: a request is small and comes in soon, or it is refused.

Twisted's own channel keeps any body (in a file, where it is long) and begins its timer anew with every byte.
"""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Any

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

MAX_BODY = 4_096
MAX_HEADER_BYTES = 16_384
MAX_HEADER_LINES = 100
REQUEST_SECONDS = 10.0
"""From the first byte of a request to its last; of the first one, from the connection on."""
_LINGER = 1.0
"""Seconds in which a client that still sends may read why it is refused."""


class LimitedRequest(Request):
    """A request on a ``LimitedChannel``: what comes of its body is counted and kept in memory."""

    channel: Any

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        if self.content is not None and self.content.tell() + len(data) > MAX_BODY:
            self.channel.refuse_body()
        else:
            super().handleContentChunk(data)


class LimitedChannel(HTTPChannel):
    """One connection: a body is at most ``MAX_BODY`` bytes, declared or counted (413), headers at most 16 KiB and 100
    lines (400), a request is complete within ``REQUEST_SECONDS`` (408)."""

    callLater: Any
    totalHeadersSize = MAX_HEADER_BYTES
    maxHeaders = MAX_HEADER_LINES

    def __init__(self) -> None:
        super().__init__()
        self._deadline: IDelayedCall | None = None
        self._is_answering = False
        self._is_refused = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self._start_deadline()

    def dataReceived(self, data: bytes) -> None:
        if self._is_refused:
            return
        if not self._is_answering:
            self._start_deadline()
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        if not self._is_refused:
            super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        name, _, value = line.partition(b":")
        # More digits than any length: Python itself refuses to read a number of thousands of digits.
        is_absurd = name.lower() == b"content-length" and len(value.strip()) > 18
        if is_absurd or (super().headerReceived(line) and (self.length or 0) > MAX_BODY):
            self.refuse_body()
        return not self._is_refused

    def allContentReceived(self) -> None:
        if not self._is_refused:
            self._is_answering = True
            self._cancel_deadline()
            super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        self._is_answering = False
        super().requestDone(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_deadline()
        super().connectionLost(reason)

    def refuse_body(self) -> None:
        """413: declared or counted, the body is too long."""
        self._refuse(413, f"a body has at most {MAX_BODY} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Answer, take nothing more, and close."""
        if self._is_refused or self.transport is None:
            return
        self._is_refused = True
        self._cancel_deadline()
        self.setTimeout(None)
        body = msgspec.json.encode({"error": message})
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        self._deadline = self.callLater(_LINGER, self._close)

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.callLater(REQUEST_SECONDS, self._late)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self._refuse(408, f"the request was not complete within {REQUEST_SECONDS:g} s")

    def _close(self) -> None:
        self._deadline = None
        self.loseConnection()


class LimitedSite(Site):
    """A site of such connections, without an access log: a busy client would fill it. ``idle_seconds``: how long a
    connection without a request is kept."""

    # Any: Twisted annotates nothing here, so that the type of its default would hold; Site calls any HTTPChannel.
    protocol: Any = LimitedChannel
    displayTracebacks = False
    noisy = False

    def __init__(self, resource: IResource, reactor: Any, *, idle_seconds: float) -> None:
        super().__init__(resource, requestFactory=LimitedRequest, timeout=idle_seconds, reactor=reactor)

    def startFactory(self) -> None:
        """No access log file, so no clock for its lines."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: Any) -> None:
        """Say nothing."""
