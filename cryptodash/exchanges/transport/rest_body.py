"""The body of a REST answer, collected and inflated within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer
from zope.interface import implementer

from cryptodash.core.errors import UpstreamError

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes, after inflation."""
STEP: Final = 256 * 1024
"""Bytes that are inflated before the sum is looked at again: gzip makes a thousand of one."""
GZIP: Final = ("gzip", "x-gzip")
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS

PACKED_AS: Final = "x-packed-as"
"""The header in which ``LeftPacked`` says how an answer is packed."""

Take = Callable[[bytes], bool]
"""Takes a piece of a body; False: no more is wanted."""


@implementer(IAgent)
class LeftPacked:
    """An agent for treq, which unpacks every answer that says that it is packed, and without a bound: these say it in
    another header."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[Any]:
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(_left_packed)


def _left_packed(response: Any) -> Any:
    packed = response.headers.getRawHeaders("content-encoding")
    response.headers.removeHeader(PACKED_AS)
    if packed:
        response.headers.removeHeader("content-encoding")
        response.headers.setRawHeaders(PACKED_AS, packed)
    return response


def read_body(response: Any, encoding: str) -> Deferred[bytes]:
    """A Deferred of the whole body, whose ``Content-Encoding`` is ``encoding`` (empty: as it is). Fails with
    ``UpstreamError`` beyond 16 MiB, and for what cannot be unpacked; cancelling it drops the connection."""
    encoding = encoding.strip().lower()
    body = _Body(Inflated() if encoding in GZIP else None)
    if encoding not in ("", "identity", *GZIP):
        body.fail(f"the answer is packed as {encoding[:20]!r}, which was not asked for")
    response.deliverBody(body)
    return body.done


class Inflated:
    """Unpacks gzip, members one behind another included, in pieces of at most ``STEP`` bytes."""

    def __init__(self) -> None:
        self._member: Any = None

    def feed(self, data: bytes, take: Take) -> bool:
        """Give ``take`` what comes out. False: it wants no more. Raises ``zlib.error``."""
        is_full = False
        while data or is_full:  # a full piece: more may be inside, that comes out without further input
            if self._member is None:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            piece = self._member.decompress(data, STEP)
            if piece and not take(piece):
                return False
            is_full = len(piece) == STEP
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._member, is_full = self._member.unused_data, None, False
        return True

    def is_whole(self) -> bool:
        """Whether nothing is missing at the end."""
        return self._member is None


class _Body(Protocol):
    """Collects a body, inflated where it is packed."""

    def __init__(self, inflated: Inflated | None) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._inflated = inflated
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())

    def take(self, data: bytes) -> bool:
        """Keep a piece; False where that is more than is kept."""
        self._size += len(data)
        if self._size > MAX_BODY:
            self.fail("the answer is longer than 16 MiB")
            return False
        self._parts.append(data)
        return True

    def fail(self, why: str) -> None:
        """Take nothing more."""
        self._parts.clear()
        self._abort()
        self.done.errback(UpstreamError("disconnected", why))

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        if self.done.called:
            self._abort()

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        try:
            if self._inflated is None:
                self.take(data)
            else:
                self._inflated.feed(data, self.take)
        except zlib.error:
            self.fail("the answer cannot be unpacked")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if not reason.check(ResponseDone, PotentialDataLoss):
            self.done.errback(reason if reason.value is not None else Failure(ConnectionDone()))
        elif self._inflated is not None and not self._inflated.is_whole():
            self.fail("the packed answer has no end")
        else:
            self.done.callback(b"".join(self._parts))

    def _abort(self) -> None:
        # Twisted hands bodies a proxy of the transport that can only close politely;
        # a peer that never stops sending needs the real one.
        transport = getattr(self.transport, "_producer", None) or self.transport
        abort = getattr(transport, "abortConnection", None) or getattr(transport, "loseConnection", None)
        if abort is not None:
            abort()
