"""What the clients' side relies on of Autobahn and Twisted without their promise: here alone, under public names.

The usual ways of both are too slow, or decide too much, for thousands of clients; the ways past them lead through names
that are private or described nowhere. No other module of ``api`` uses such a name. ``tests/test_private_names.py``
lists each with the reason, and says so when an upgrade takes one away.

What is abstract a subclass must say.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import HTTPChannel

Headers = Sequence[tuple[str, str]]

PIECES = 64
"""Pieces of one frame that are kept apart: it may come byte by byte, and each would cost as much as fifty."""


class ServerProtocol(WebSocketServerProtocol, ABC):
    """Autobahn's server side of one connection. A subclass says how bytes leave (``write_frame``), what a refused
    handshake is answered (``refusal``), hears of every frame that comes (``frame_begins``) and of every close frame
    before it is sent (``closing``), and says when no further frame is to be read (``is_held``)."""

    closeHandshakeTimeoutCall: IDelayedCall | None
    autoPingTimeoutCall: IDelayedCall | None
    data: bytes
    """Autobahn's: what it has not read yet."""
    frame_data: list[bytes] | None
    """Autobahn's: what it has of the present frame."""
    reading_paused = False
    late_reading = False
    """Whether something was not read at once since the last ping."""
    websocket_version = 13
    """Read when a handshake succeeds; ``grant_handshake`` has no other."""

    # The three that follow are Autobahn's without its descriptions of the transport and of each call for a log that is
    # off (24 us a connection).

    def connectionMade(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # a wire in memory, a unix socket
            self.transport.setTcpNoDelay(True)
        WebSocketProtocol._connectionMade(self)
        self.factory.countConnections += 1

    dataReceived = WebSocketProtocol._dataReceived

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        WebSocketProtocol._connectionLost(self, reason)
        self.is_closed = None  # Autobahn's Deferred of the end holds the protocol as its result
        self.factory.countConnections -= 1

    def grant_handshake(self, key: str, rest: bytes) -> None:
        """Answer an upgrade request with this key that was read and checked already; ``rest`` came behind it."""
        self._wskey = key
        self.websocket_protocols: list[str] = []
        self.websocket_extensions: list[object] = []  # an offer that is not accepted needs no answer
        self.data = rest
        self.succeedHandshake(None)

    # Reading

    def consumeData(self) -> None:
        self.reading_begins()
        super().consumeData()

    def processData(self) -> bool:
        """Autobahn's step through what came: whether another may follow. No frame is begun while ``is_held``."""
        if self.current_frame is None and self.data and self.is_held():
            self.reading_paused = self.late_reading = True
            self.transport.pauseProducing()
            return False
        return bool(super().processData())

    def read_on(self) -> None:
        """Nothing holds the connection any more: go on with what came, and with reading."""
        self.reading_paused = False
        self.transport.resumeProducing()
        self.consumeData()

    def onFrameBegin(self) -> None:
        frame = self.current_frame
        self.frame_begins(frame.opcode, frame.fin, frame.length)
        super().onFrameBegin()

    def onMessageFrameData(self, payload: bytes) -> None:
        super().onMessageFrameData(payload)
        if self.frame_data is not None and len(self.frame_data) > PIECES:
            self.frame_data = [b"".join(self.frame_data)]

    def sendPing(self, payload: bytes | None = None) -> None:
        self.late_reading = self.reading_paused
        super().sendPing(payload)

    @property
    def deflates(self) -> bool:
        """Whether compression was agreed."""
        return self._perMessageCompress is not None

    def send_close(self, code: int, reason: bytes) -> None:
        """Send a close frame with any valid code (Autobahn's ``sendClose`` refuses most) and abort after the closing
        timeout if the peer does not answer."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason)

    def abort(self) -> None:
        """End the connection without a word."""
        self.dropConnection(abort=True)

    def onAutoPingTimeout(self) -> None:
        """No pong came in time: the end, but for a client that reads slowly and has not come to the ping yet, and for
        one whose pong may be among what was not read (silence then proves nothing until it has been for as long once
        more)."""
        if self.is_reading() or self.late_reading:
            self.late_reading = self.reading_paused
            self.autoPingTimeoutCall = self.factory.call_later(self.autoPingTimeout, self.onAutoPingTimeout)
        else:
            super().onAutoPingTimeout()

    def onCloseHandshakeTimeout(self) -> None:
        """No answer to our close frame came in time: the end, but for a client that is about to read it."""
        if self.may_read_the_close():
            again = self.factory.call_later(self.closeHandshakeTimeout, self.onCloseHandshakeTimeout)
            self.closeHandshakeTimeoutCall = again
        else:
            super().onCloseHandshakeTimeout()

    def cancel_close_timeout(self) -> None:
        """The connection is gone: nothing is left to be aborted."""
        if self.closeHandshakeTimeoutCall is not None:
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None

    def closed_by_us(self, wasClean: bool) -> bool:
        """Whether we began the end that ``onClose`` tells of."""
        return bool(self.closedByMe or (self.droppedByMe and not wasClean))

    def close_code(self, code: int | None) -> int | None:
        """The code of the first close frame; ``code`` is what ``onClose`` was told."""
        return self.localCloseCode if self.closedByMe else code

    # Autobahn's ways out

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        self.closing()
        super().sendCloseFrame(code=code, reasonUtf8=reasonUtf8, isReply=isReply)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        self.write_frame(data)

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Headers | None = None) -> None:
        self.sendData(self.refusal(code, reason, responseHeaders or ()))

    @abstractmethod
    def is_held(self) -> bool:
        """Whether the next frame has to wait until ``read_on`` is called."""

    @abstractmethod
    def reading_begins(self) -> None:
        """Frames are about to be read, as many as came."""

    @abstractmethod
    def frame_begins(self, opcode: int, final: bool, size: int) -> None:
        """The head of a frame was read."""

    @abstractmethod
    def closing(self) -> None:
        """A close frame is about to be sent, ours or the answer to the peer's."""

    @abstractmethod
    def write_frame(self, data: bytes) -> None:
        """Send bytes of Autobahn's own: the handshake's answer, or a frame."""

    @abstractmethod
    def is_reading(self) -> bool:
        """Whether the client cannot be written to, but reads."""

    @abstractmethod
    def may_read_the_close(self) -> bool:
        """Whether the client gets another closing timeout."""

    @abstractmethod
    def refusal(self, code: int, reason: str, headers: Headers) -> bytes:
        """The HTTP answer to a handshake that is refused."""


class _Timers:
    """Delayed calls for Autobahn on the given reactor; its own batched timers use the global one and
    round down to whole seconds."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.call_later = reactor.callLater


class ServerFactory(WebSocketServerFactory):
    """Autobahn's factory, with its timers on the given reactor."""

    def __init__(self, server: str, reactor: IReactorTime) -> None:
        super().__init__(server=server, reactor=reactor)
        self._batched_timer = _Timers(reactor)
        self.call_later = reactor.callLater

    def protocol_with_options(self, **members: Any) -> type[Any]:
        """The protocol's class with the options, and further ``members``, as members of the class.

        Autobahn copies all options into every connection and writes a report of that for its log,
        on or not: 170 us a connection.
        """
        options: dict[str, Any] = {name: getattr(self, name) for name in self.protocol.CONFIG_ATTRS}
        options = {name: staticmethod(option) if callable(option) else option for name, option in options.items()}
        return type(self.protocol.__name__, (self.protocol,), {**options, "CONFIG_ATTRS": (), **members})


class Channel(HTTPChannel, ABC):
    """Twisted's side of one HTTP connection. A subclass says what a malformed request is answered
    (``refuse_malformed``)."""

    @property
    def is_answering(self) -> bool:
        """Whether a request came in whole and is not answered yet."""
        return bool(self._handlingRequest)

    @property
    def headers_received(self) -> int:
        """Header lines of the present request so far."""
        return self._receivedHeaderCount

    def take_unread(self) -> bytes:
        """What came and was not read, which happens only where an answer ended the reading."""
        rest, self._dataBuffer = b"".join(self._dataBuffer), []
        return rest

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.refuse_malformed()

    @abstractmethod
    def refuse_malformed(self) -> None:
        """What came is no HTTP request."""


class StarRequest(server.Request):
    """Twisted's request, that leaves ``OPTIONS *`` to the resource (Twisted answers it itself, past all checks)."""

    site: Any

    def _handleStar(self) -> None:
        self.render(self.site.resource)


def is_producer_of(request: Any, producer: object) -> bool:
    """Whether the request still takes what the producer makes: it has no channel once the peer is gone."""
    return request.producer is producer and request.channel is not None


def owner_of(transport: Any) -> Any:
    """The protocol that a transport delivers to now."""
    return transport.wrappedProtocol if isinstance(transport, ProtocolWrapper) else transport.protocol


def give_to(transport: Any, protocol: Protocol) -> None:
    """Let a connected transport deliver to another protocol from now on."""
    if isinstance(transport, ProtocolWrapper):  # TLS
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)


def innermost(transport: Any) -> Any:
    """The transport that owns the socket, below TLS and other wrappers."""
    while getattr(transport, "transport", None) is not None:
        transport = transport.transport
    return transport


def peer_of(transport: Any) -> str | None:
    """The address of a transport's peer: of a unix socket empty, None where a proxy says it only in its first line."""
    if isinstance(transport, HAProxyProtocolWrapper):
        return None
    return str(getattr(transport.getPeer(), "host", ""))


def is_tls(transport: object) -> bool:
    """Whether TLS has to be agreed on the transport before anything comes."""
    return isinstance(transport, TLSMemoryBIOProtocol)


def is_plain(transport: object) -> bool:
    """Whether bytes written to the transport's socket arrive as they are (TCP or unix socket, no TLS)."""
    return isinstance(transport, Connection) and not getattr(transport, "TLS", False)


def unwritten(socket_owner: Any) -> int:
    """Bytes that a transport still holds; 0 for one in memory."""
    if not isinstance(socket_owner, FileDescriptor):
        return 0
    return len(socket_owner.dataBuffer) - socket_owner.offset + socket_owner._tempDataLen
