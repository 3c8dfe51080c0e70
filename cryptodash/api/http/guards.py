"""What a peer may do to the HTTP port: bounded requests, bounded waiting, answers that say nothing about the machinery.

Twisted's channel restarts its timer at every byte, takes any body, and waits for ever for a peer that
does not read (all tried). Here:

* a request has ``request_deadline_s`` seconds to come in whole, from its first byte (the first one: from the connect),
else 408;
* a body is at most ``max_body_bytes``, declared or counted (413); a request line at most ``MAX_URL`` (414); headers 16
KiB and 100 lines (431);
* a request line or header that is not UTF-8, and a folded header, is 400;
* a peer that takes nothing of its answer for ``STALL_S`` seconds is cut;
* an idle kept-alive connection ends after the setting ``keep_alive_s``;
* TLS is agreed within ``TLS_HANDSHAKE_S``, or the connection is cut;
* every socket counts from the moment it is accepted (``Sockets``).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from cryptodash.api.answer_parts import HSTS, JSON, SECURITY_HEADERS, SERVER, error_body
from cryptodash.api.private_names import Channel, give_to, innermost, is_tls, owner_of, peer_of
from cryptodash.api.ws.wire import queued_on
from cryptodash.core.tally import Counter

MAX_URL: Final = 8 * 1024
MAX_HEADER_BYTES: Final = 16 * 1024
MAX_HEADER_LINES: Final = 100
STALL_S: Final = 10.0
TLS_HANDSHAKE_S: Final = 5.0
"""Of a connect over a bad line it takes two seconds. Nobody can be told anything before, so it just ends."""
LINGER_S: Final = 1.0
"""How long a peer that still sends may go on before the close, so that it reads why (a close with
unread data destroys the answer)."""


@frozen
class Guard:
    """The limits of one site and where refusals are counted (label ``reason``)."""

    request_deadline_s: float
    max_body_bytes: int
    rejected: Counter


def _is_text(line: bytes) -> bool:
    """Whether whoever asks for a header or the address as text gets it."""
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@implementer(IHandshakeListener)
class GuardedChannel(Channel):
    """One connection. The factory sets ``site`` (with its ``guard``), ``callLater`` and ``timeOut``."""

    site: Any
    transport: Any
    callLater: Any
    MAX_LENGTH = MAX_HEADER_BYTES
    totalHeadersSize = MAX_HEADER_BYTES
    maxHeaders = MAX_HEADER_LINES

    def __init__(self) -> None:
        super().__init__()
        self._deadline: IDelayedCall | None = None
        self._stall_timer: IDelayedCall | None = None
        self._refused = False
        self._in_headers = False
        self._header_bytes = 0
        self._begun = False
        self._left = 0

    def connectionMade(self) -> None:
        self.site.connections.opened(self)
        super().connectionMade()
        if not self.site.sockets.enter(innermost(self.transport), peer_of(self.transport)):
            self.transport.abortConnection()
        elif is_tls(self.transport):
            self._deadline = self.callLater(TLS_HANDSHAKE_S, self._handshake_late)
        else:
            self._start_deadline()

    def handshakeCompleted(self) -> None:
        """TLS is agreed: the request's time begins."""
        self._cancel_deadline()
        self._start_deadline()

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._begun:
            self._begun = True
            if self.site.upgraded(self, data):
                return
        if not self.is_answering:
            self._start_deadline()
        transport = self.transport
        super().dataReceived(data)
        if self.transport is None and (rest := self.take_unread()):
            # What came right behind an upgrade request belongs to the new protocol; Autobahn's resource leaves it here.
            owner_of(transport).dataReceived(rest)

    def lineReceived(self, line: bytes) -> None:
        if self._refused:
            return
        if not self._in_headers and line:
            self._in_headers = True
            self._header_bytes = 0
            self._start_deadline()
            if len(line) > MAX_URL:
                self.refuse(414, "uri_too_long", "the address is too long", "url")
                return
        self._header_bytes += len(line)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse_headers()
        elif line[:1] in (b" ", b"\t"):
            # A folded line (RFC 9112, section 5.2: refused with 400), which others read as a header of its own.
            self.refuse(400, "bad_request", "a header is folded over several lines", "malformed")
        elif not _is_text(line):
            self.refuse(400, "bad_request", "the request line and the headers must be UTF-8", "malformed")
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        if self._in_headers:
            self._refuse_headers()
        else:
            self.refuse(414, "uri_too_long", "the address is too long", "url")

    def headerReceived(self, line: bytes) -> bool:
        if self.headers_received >= MAX_HEADER_LINES:
            self._refuse_headers()
            return False
        name, _, value = line.partition(b":")
        # More digits than any length: Python itself refuses to read a number of thousands of digits.
        absurd = name.lower() == b"content-length" and len(value.strip()) > 18
        if absurd or (super().headerReceived(line) and (self.length or 0) > self.site.guard.max_body_bytes):
            self.refuse_body()
        return not self._refused

    def allContentReceived(self) -> None:
        if self._refused:
            return
        self._cancel_deadline()
        self._in_headers = False
        super().allContentReceived()

    def refuse_body(self) -> None:
        """413: declared or counted, the body is over the limit."""
        self.refuse(413, "body_too_large", f"a body has at most {self.site.guard.max_body_bytes} bytes", "body")

    def _refuse_headers(self) -> None:
        self.refuse(431, "headers_too_large", "the headers are too large", "header")

    def refuse_malformed(self) -> None:
        self.refuse(400, "bad_request", "not a valid HTTP request", "malformed")

    def refuse(self, status: int, code: str, message: str, reason: str) -> None:
        """Answer by ourselves, take nothing more, and close."""
        if self._refused or self.transport is None:
            return
        self._refused = True
        self._cancel_deadline()
        self.setTimeout(None)
        self.site.guard.rejected.add(reason)
        body = error_body(code, message)
        headers = Headers({"Content-Type": [JSON], "Content-Length": [str(len(body))], "Connection": ["close"]})
        self.writeHeaders(b"HTTP/1.1", b"%d" % status, HTTPStatus(status).phrase.encode(), headers)
        self.transport.write(body)
        if status == 408:
            self.loseConnection()
        else:
            self._deadline = self.callLater(LINGER_S, self._close)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        headers.setRawHeaders("Server", [SERVER])
        for name, text in SECURITY_HEADERS.items():
            if not headers.hasHeader(name):
                headers.setRawHeaders(name, [text])
        if is_tls(self.transport):
            headers.setRawHeaders("Strict-Transport-Security", [HSTS])
        if self.site.connections.draining:
            headers.setRawHeaders("Connection", ["close"])
            self.persistent = 0
        super().writeHeaders(version, code, reason, headers)

    def timeoutConnection(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        self._start_stall_timer()
        super().loseConnection()

    def pauseProducing(self) -> None:
        self._start_stall_timer()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._cancel_stall_timer()
        super().resumeProducing()

    def handed_over(self) -> None:
        """The connection is about to belong to another protocol: no timer of ours may touch it again."""
        self.site.connections.gone(self)
        self._cancel_deadline()
        self._cancel_stall_timer()
        self.setTimeout(None)

    def hand_over(self, protocol: Protocol) -> None:
        """Give the connection to another protocol, as Autobahn's ``WebSocketResource`` does."""
        self.handed_over()
        transport, self.transport = self.transport, None
        give_to(transport, protocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.sockets.leave(innermost(self.transport))
        self._cancel_deadline()
        self._cancel_stall_timer()
        super().connectionLost(reason)
        self.site.connections.gone(self)

    def wind_up(self) -> None:
        """Close once what was written has left; a request that has come in part is answered 503."""
        if self._in_headers and not self.is_answering:
            self.refuse(503, "shutting_down", "the server is shutting down", "shutting_down")
        self.loseConnection()

    def abort(self) -> None:
        """Close now."""
        if self.transport is not None:
            self.transport.abortConnection()

    def _start_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.callLater(self.site.guard.request_deadline_s, self._late)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self.refuse(
            408,
            "request_timeout",
            f"the request was not complete within {self.site.guard.request_deadline_s:g} s",
            "timeout",
        )

    def _handshake_late(self) -> None:
        self._deadline = None
        self.site.guard.rejected.add("tls_handshake")
        self.transport.abortConnection()

    def _close(self) -> None:
        self._deadline = None
        self.loseConnection()

    def _start_stall_timer(self) -> None:
        if self._stall_timer is None:
            self._left = sum(queued_on(innermost(self.transport)))
            self._stall_timer = self.callLater(STALL_S, self._stalled)

    def _cancel_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _stalled(self) -> None:
        """The transport wants no more for so long. That a peer reads shows in the kernel's queue long before."""
        self._stall_timer = None
        left, self._left = self._left, sum(queued_on(innermost(self.transport)))
        if self._left < left:
            self._stall_timer = self.callLater(STALL_S, self._stalled)
            return
        self.site.guard.rejected.add("stalled")
        self.transport.abortConnection()
