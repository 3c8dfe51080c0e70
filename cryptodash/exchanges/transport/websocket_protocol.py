"""Autobahn's client at a venue's end: what it hears is told to whoever keeps the connection, and no exception gets out.

Autobahn's own timers run on a global reactor (``txaio.config.loop``), so they are all switched off; the deadlines are
the keeper's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash._version import __version__
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.transport.frame_slicer import FrameSlicer
from cryptodash.exchanges.transport.whole_reads import ReadSize, WholeReads

MAX_FRAME = 4 * 1024 * 1024
"""Bytes of the longest frame, where the venue needs no more; a message in fragments may have four times as many."""
MAX_HEADER = 16 * 1024

MAX_RETRY_AFTER = 7 * 86400

MANY = 32
"""A read with more messages than this shows that the connection is behind; so does one that brings all it may."""


class ConnectionKeeper(Protocol):
    """Who keeps a connection, as its protocol sees it. None of the methods raises."""

    def attached(self, protocol: VenueSocketProtocol, secure: bool) -> None:
        """TCP stands."""

    def secured(self) -> None:
        """TLS stands, the certificate is good."""

    def upgraded(self) -> None:
        """The WebSocket is open."""

    def received(self, payloads: Sequence[bytes]) -> None:
        """Complete text messages, as many as one read brought."""

    def received_behind(self, payloads: Sequence[bytes]) -> None:
        """The same, of a connection that is behind."""

    def heard(self) -> None:
        """A ping or a pong came."""

    def pong(self, write: Callable[[], None]) -> None:
        """A ping wants an answer, which ``write`` sends."""

    def closing(self, verdict: Closed | None) -> None:
        """A close frame was sent, by us first or as an answer (then ``verdict`` is None)."""

    def refused(self, verdict: Closed) -> None:
        """The handshake failed for a reason that the peer gave."""

    def lost(self, code: int | None, reason: str, error: BaseException | None) -> None:
        """The connection is gone."""

    def broken(self, reason: str) -> None:
        """Autobahn could not read what the peer sent."""


@implementer(IHandshakeListener)
class VenueSocketProtocol(FrameSlicer, WholeReads):
    """Autobahn's client, kept small: it turns Autobahn's callbacks into the keeper's.

    Text messages are handed on once for each read of the socket, or before whatever else stands between them.
    """

    many = MANY

    def __init__(self, keeper: ConnectionKeeper, secure: bool) -> None:
        super().__init__()
        self._keeper = keeper
        self._secure = secure
        self._lost_to: BaseException | None = None
        self._texts: list[bytes] = []
        """What the read at hand has brought so far."""
        self._reading = False
        self._read_size: ReadSize | None = None
        self._full = False
        """Whether the read at hand brought as many bytes as it may."""
        self.http_status_line = ""
        self.http_headers: dict[str, str] = {}

    def connectionMade(self) -> None:
        self._read_size = ReadSize(self.transport)
        self._keeper.attached(self, self._secure)
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        """TLS is up (``IHandshakeListener``)."""
        self._keeper.secured()

    def read_begins(self, size: int) -> None:
        self._reading = True
        self._full = self._read_size is not None and self._read_size.brought(size)

    def read_ends(self) -> None:
        self._reading = False
        self._hand_on()

    def dataReceived(self, data: bytes) -> None:
        if self._reading:
            self._read(data)
        else:
            self.read_begins(len(data))
            self._read(data)
            self.read_ends()

    def _read(self, data: bytes) -> None:
        try:
            if self.state == self.STATE_CONNECTING and self.unread > MAX_HEADER:
                self._keeper.broken("the answer to the handshake is longer than 16 KiB")
                return
            super().dataReceived(data)
        except Exception as error:
            self._keeper.broken(f"unreadable bytes: {type(error).__name__}: {error}"[:200])

    def _hand_on(self) -> None:
        texts = self._texts
        if texts:
            self._texts = []
            if self._full or len(texts) > self.many:
                self._keeper.received_behind(texts)
            else:
                self._keeper.received(texts)

    def failHandshake(self, reason: str) -> None:
        """The upgrade was refused, or answered by something that is no WebSocket server."""
        words = self.http_status_line.split(None, 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdecimal() and len(words[1]) == 3 else None
        self._keeper.refused(
            Closed(
                "http", status=None if status == 101 else status, retry_after=self._retry_after(), reason=reason[:200]
            )
        )
        super().failHandshake(reason[:200])

    def _retry_after(self) -> float | None:
        value = self.http_headers.get("retry-after", "")
        return float(min(int(value), MAX_RETRY_AFTER)) if value.isdecimal() and len(value) < 10 else None

    def onOpen(self) -> None:
        self._keeper.upgraded()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        # No venue speaks binary; an empty frame is what no reader understands, so it is counted as a bad one.
        self._texts.append(b"" if isBinary else payload)

    def onTexts(self, payloads: Sequence[bytes]) -> None:
        self._texts.extend(payloads)

    def onPing(self, payload: bytes) -> None:
        self._hand_on()
        self._keeper.heard()
        self._keeper.pong(lambda: self._pong(payload))

    def _pong(self, payload: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendPong(payload)

    def onPong(self, payload: bytes) -> None:
        self._hand_on()
        self._keeper.heard()

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Every closing handshake passes here, Autobahn's own (1002, 1007, 1009) as well:
        the closing deadline starts."""
        self._hand_on()
        super().sendCloseFrame(code=code, reasonUtf8=reasonUtf8, isReply=isReply)
        text = (reasonUtf8 or b"").decode("utf-8", "replace")
        self._keeper.closing(None if isReply else Closed("local", code=code, reason=text))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._hand_on()
        self._keeper.lost(self.remoteCloseCode or code or 1005, self.remoteCloseReason or reason or "", self._lost_to)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost_to = reason.value
        super().connectionLost(reason)

    def read_on(self, on: bool) -> None:
        """Whether more is to be read of the socket."""
        if self.transport is not None:
            (self.transport.resumeProducing if on else self.transport.pauseProducing)()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()


class VenueSocketFactory(WebSocketClientFactory):
    """Makes the one protocol of a connection to ``url``, told to ``keeper``; ``max_frame``: bytes of the longest frame
    that may come. Raises whatever Autobahn does for an URL that is none."""

    noisy = False
    protocol = VenueSocketProtocol
    host: str

    def __init__(self, url: str, reactor: Any, keeper: ConnectionKeeper, secure: bool, max_frame: int) -> None:
        super().__init__(url, useragent=f"cryptodash/{__version__}", reactor=reactor)
        self._keeper = keeper
        self._secure = secure
        if ":" in self.host:
            self.host = f"[{self.host}]"  # Autobahn writes it into the Host header as it is
        self.setProtocolOptions(
            maxFramePayloadSize=max_frame,
            maxMessagePayloadSize=max(4 * MAX_FRAME, max_frame),
            failByDrop=False,
            tcpNoDelay=True,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            serverConnectionDropTimeout=0,
            autoPingInterval=0,
        )

    def buildProtocol(self, addr: IAddress) -> VenueSocketProtocol:
        protocol: VenueSocketProtocol = self.protocol(self._keeper, self._secure)
        protocol.factory = self
        return protocol
