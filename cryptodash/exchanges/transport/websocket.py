"""One WebSocket connection to a venue: opened under a deadline, read, written to, and its end told exactly once.

Autobahn's own timers run on a global reactor (``txaio.config.loop``), so they are all switched off and ``VenueSocket``
keeps the one deadline that is due: for the opening, then for the closing handshake.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from autobahn.exception import Disconnected
from autobahn.twisted.websocket import WebSocketClientFactory
from autobahn.websocket.util import parse_url
from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash._version import __version__
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.transport.dialer import Dialer, failure_kind, failure_text
from cryptodash.exchanges.transport.frame_slicer import FrameSlicer
from cryptodash.exchanges.transport.pacer import Pacer

OPEN_DEADLINE = 10.0
"""Seconds for name resolution, TCP, TLS and the WebSocket handshake together."""

CLOSE_DEADLINE = 1.0
"""Seconds a peer gets to answer our closing handshake, or to drop the connection after its own."""

MAX_FRAME = 4 * 1024 * 1024
"""Bytes of the longest frame, where the venue needs no more; a message in fragments may have four times as many."""
MAX_HEADER = 16 * 1024

MAX_RETRY_AFTER = 7 * 86400

_log = Logger(namespace="cryptodash.exchanges.transport.websocket")


@frozen
class Handlers:
    """Who hears what a connection does: ``opened()``, then ``frames(payloads)`` for text messages, as many as came at
    once, ``heard()`` per ping or pong, ``may_send()`` once a frame has left and the
    next may follow, at last ``closed(how)``, exactly once, also when it never opened."""

    opened: Callable[[], None]
    frames: Callable[[Sequence[bytes]], None]
    heard: Callable[[], None]
    may_send: Callable[[], None]
    closed: Callable[[Closed], None]


class _Phase(enum.Enum):
    NEW = "not opened yet"
    DIALLING = "no TCP connection"
    TLS = "TLS handshake not finished"
    UPGRADING = "no answer to the WebSocket handshake"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class VenueSocket:
    """One connection to ``url`` (``ws://`` or ``wss://``), used once: ``open``, then ``send``,
    then ``close`` or ``abort``.

    None of the methods raises. ``closed`` is told ``timeout`` for an opening handshake that took too long (``tcp``
    while there was not even a TCP connection), ``tls`` for a certificate or TLS failure, ``http`` for a refused upgrade
    with its status, ``remote`` for an end that the peer or the network made (code 1006 without a closing handshake),
    ``local`` for one that we made, by request or because the peer broke the protocol.
    """

    def __init__(
        self,
        url: str,
        dialer: Dialer,
        reactor: Any,
        handlers: Handlers,
        *,
        gap: float = 0.0,
        max_frame: int = MAX_FRAME,
    ) -> None:
        """``gap``: least seconds between two frames we send, pongs included; ``max_frame``: bytes of the longest that
        may come."""
        self._url = url
        self._dialer = dialer
        self._reactor = reactor
        self._handlers = handlers
        self._max_frame = max_frame
        self._pacer = Pacer(gap, reactor, self._may_send)
        self._phase = _Phase.NEW
        self._timer: Any = None
        self._connecting: Any = None
        self._protocol: VenueSocketProtocol | None = None
        self._verdict: Closed | None = None
        """How it ends, where that is known before the connection is gone."""

    @property
    def is_open(self) -> bool:
        return self._phase is _Phase.OPEN

    def open(self) -> None:
        """Start connecting; ``opened`` or ``closed`` follows, never before this method has returned."""
        self._phase = _Phase.DIALLING
        self._timer = self._reactor.callLater(OPEN_DEADLINE, self._expired)
        try:
            secure, host, port, *_ = parse_url(self._url)
            factory = _factory(self._url, self._reactor, self, secure, self._max_frame)
            self._connecting = self._dialer.endpoint(host, port, secure).connect(factory)
        except Exception as error:
            self._verdict = Closed("local", reason=f"not a WebSocket URL: {error}"[:200])
            self._timer.reset(0)
            return
        self._connecting.addCallbacks(self._connected, self._failed)

    def send(self, payload: bytes) -> None:
        """Send one text frame, as far from the one before as ``gap`` wants; nothing happens on a connection that is not
        open."""
        if self._phase is _Phase.OPEN:
            self._pacer.frame(lambda: self._write(payload))

    def _write(self, payload: bytes) -> None:
        if self._phase is _Phase.OPEN and self._protocol is not None:
            try:
                self._protocol.sendMessage(payload)
            except Disconnected:
                _log.debug("a frame was not sent: the connection is closing")

    def _may_send(self) -> None:
        if self._phase is _Phase.OPEN:
            self._tell(self._handlers.may_send)

    def close(self, why: str = "") -> None:
        """Close politely: 1000, then a short wait for the peer. A connection that is not open yet is dropped."""
        if self._phase is not _Phase.OPEN or self._protocol is None:
            self.abort(why)
            return
        self._verdict = Closed("local", code=1000, reason=why)
        self._protocol.sendClose(1000)

    def abort(self, why: str = "") -> None:
        """Drop the connection without a word (a half-open peer would not answer one)."""
        if self._phase not in (_Phase.NEW, _Phase.CLOSED):
            self._drop(Closed("local", reason=why))

    # What the protocol and the endpoint tell us.

    def attached(self, protocol: VenueSocketProtocol, secure: bool) -> None:
        """TCP stands."""
        self._protocol = protocol
        if self._phase is _Phase.DIALLING:
            self._phase = _Phase.TLS if secure else _Phase.UPGRADING

    def secured(self) -> None:
        """TLS stands, the certificate is good."""
        if self._phase is _Phase.TLS:
            self._phase = _Phase.UPGRADING

    def upgraded(self) -> None:
        """The WebSocket is open."""
        if self._phase in (_Phase.TLS, _Phase.UPGRADING):
            self._phase = _Phase.OPEN
            self._stop_timer()
            self._tell(self._handlers.opened)

    def received(self, payloads: Sequence[bytes]) -> None:
        """Complete text messages."""
        if self._phase is _Phase.OPEN:
            try:
                self._handlers.frames(payloads)
            except Exception:
                self._broken()

    def heard(self) -> None:
        if self._phase is _Phase.OPEN:
            self._tell(self._handlers.heard)

    def pong(self, write: Callable[[], None]) -> None:
        """A ping wants an answer."""
        self._pacer.pong(write)

    def closing(self, verdict: Closed | None) -> None:
        """A close frame was sent, by us first or as an answer: the rest must not take long."""
        if self._phase is _Phase.OPEN:
            self._phase = _Phase.CLOSING
            self._verdict = self._verdict or verdict
            self._stop_timer()
            self._timer = self._reactor.callLater(CLOSE_DEADLINE, self._expired)

    def refused(self, verdict: Closed) -> None:
        """The handshake failed for a reason that the peer gave."""
        self._verdict = self._verdict or verdict

    def lost(self, code: int | None, reason: str, error: BaseException | None) -> None:
        """The connection is gone."""
        if self._verdict is None and self._phase is _Phase.TLS and error is not None and failure_kind(error) == "tls":
            self._verdict = Closed("tls", reason=failure_text(error))
        self._finish(self._verdict or Closed("remote", code=code, reason=reason[:200]))

    def broken(self, reason: str) -> None:
        """Autobahn could not read what the peer sent."""
        kind = "http" if self._phase in (_Phase.TLS, _Phase.UPGRADING) else "local"
        self._drop(Closed(kind, reason=reason))

    def _connected(self, _: object) -> None:
        self._connecting = None

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        error = failure.value
        assert error is not None
        self._finish(self._verdict or Closed(failure_kind(error), reason=failure_text(error)))

    def _expired(self) -> None:
        self._timer = None
        if self._phase is _Phase.CLOSING:
            self._drop(Closed("remote", code=1006, reason="the peer did not finish the closing handshake"))
        elif self._connecting is None and self._protocol is None:
            self._finish(self._verdict or Closed("local"))
        else:
            kind = "tcp" if self._phase is _Phase.DIALLING else "timeout"
            self._drop(Closed(kind, reason=f"{self._phase.value} within {OPEN_DEADLINE:.0f} s"))

    def _drop(self, verdict: Closed) -> None:
        self._verdict = self._verdict or verdict
        if self._protocol is not None:
            self._phase = _Phase.CLOSING
            self._protocol.abort()
        elif self._connecting is not None:
            self._connecting.cancel()
        else:
            self._finish(self._verdict)

    def _finish(self, how: Closed) -> None:
        self._stop_timer()
        self._pacer.stop()
        if self._phase is not _Phase.CLOSED:
            self._phase = _Phase.CLOSED
            self._protocol = None
            try:
                self._handlers.closed(how)
            except Exception:
                _log.failure("a handler failed for a connection that closed")

    def _tell(self, handler: Callable[[], None]) -> None:
        try:
            handler()
        except Exception:
            self._broken()

    def _broken(self) -> None:
        _log.failure("a handler failed, its connection is dropped")
        self._drop(Closed("local", reason="our own error"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@implementer(IHandshakeListener)
class VenueSocketProtocol(FrameSlicer):
    """Autobahn's client, kept small: it turns Autobahn's callbacks into ``VenueSocket``'s and lets no exception out."""

    def __init__(self, socket: VenueSocket, secure: bool) -> None:
        super().__init__()
        self._socket = socket
        self._secure = secure
        self._lost_to: BaseException | None = None
        self.http_status_line = ""
        self.http_headers: dict[str, str] = {}

    def connectionMade(self) -> None:
        self._socket.attached(self, self._secure)
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        """TLS is up (``IHandshakeListener``)."""
        self._socket.secured()

    def dataReceived(self, data: bytes) -> None:
        try:
            if self.state == self.STATE_CONNECTING and self.unread > MAX_HEADER:
                self._socket.broken("the answer to the handshake is longer than 16 KiB")
                return
            super().dataReceived(data)
        except Exception as error:
            self._socket.broken(f"unreadable bytes: {type(error).__name__}: {error}"[:200])

    def failHandshake(self, reason: str) -> None:
        """The upgrade was refused, or answered by something that is no WebSocket server."""
        words = self.http_status_line.split(None, 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) == 3 else None
        self._socket.refused(
            Closed(
                "http", status=None if status == 101 else status, retry_after=self._retry_after(), reason=reason[:200]
            )
        )
        super().failHandshake(reason[:200])

    def _retry_after(self) -> float | None:
        value = self.http_headers.get("retry-after", "")
        return float(min(int(value), MAX_RETRY_AFTER)) if value.isdecimal() and len(value) < 10 else None

    def onOpen(self) -> None:
        self._socket.upgraded()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        # No venue speaks binary; an empty frame is what no reader understands, so it is counted as a bad one.
        self._socket.received((b"" if isBinary else payload,))

    def onTexts(self, payloads: Sequence[bytes]) -> None:
        self._socket.received(payloads)

    def onPing(self, payload: bytes) -> None:
        self._socket.heard()
        self._socket.pong(lambda: self._pong(payload))

    def _pong(self, payload: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendPong(payload)

    def onPong(self, payload: bytes) -> None:
        self._socket.heard()

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Every closing handshake passes here, Autobahn's own (1002, 1007, 1009) as well:
        the closing deadline starts."""
        super().sendCloseFrame(code=code, reasonUtf8=reasonUtf8, isReply=isReply)
        text = (reasonUtf8 or b"").decode("utf-8", "replace")
        self._socket.closing(None if isReply else Closed("local", code=code, reason=text))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._socket.lost(self.remoteCloseCode or code or 1005, self.remoteCloseReason or reason or "", self._lost_to)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost_to = reason.value
        super().connectionLost(reason)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()


class _Factory(WebSocketClientFactory):
    noisy = False
    protocol = VenueSocketProtocol

    def __init__(self, url: str, reactor: Any, socket: VenueSocket, secure: bool) -> None:
        super().__init__(url, useragent=f"cryptodash/{__version__}", reactor=reactor)
        self._socket = socket
        self._secure = secure

    def buildProtocol(self, addr: IAddress) -> VenueSocketProtocol:
        protocol: VenueSocketProtocol = self.protocol(self._socket, self._secure)
        protocol.factory = self
        return protocol


def _factory(url: str, reactor: Any, socket: VenueSocket, secure: bool, max_frame: int) -> _Factory:
    factory = _Factory(url, reactor, socket, secure)
    if ":" in factory.host:
        factory.host = f"[{factory.host}]"  # Autobahn writes it into the Host header as it is
    factory.setProtocolOptions(
        maxFramePayloadSize=max_frame,
        maxMessagePayloadSize=max(4 * MAX_FRAME, max_frame),
        failByDrop=False,
        tcpNoDelay=True,
        openHandshakeTimeout=0,
        closeHandshakeTimeout=0,
        serverConnectionDropTimeout=0,
        autoPingInterval=0,
    )
    return factory
