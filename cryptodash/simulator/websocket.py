"""The WebSocket side of a simulated host: one protocol a client, its session's ``ClientTransport``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from cryptodash.simulator.host import VenueHost
from cryptodash.simulator.session import ClientSession

_STALL_SECONDS = 10.0
_MAX_MESSAGE = 256 * 1024
"""Bytes of what a client may send."""
_TEXT = 1
"""The opcode of a text frame (RFC 6455, 5.2)."""


@implementer(IPushProducer)
class VenueProtocol(WebSocketServerProtocol):
    """One client's WebSocket: the ``ClientTransport`` of its session. A client that does not read for 10 s is cut, so
    that what waits for it stays bounded."""

    session: ClientSession | None = None
    path = ""
    query: Mapping[str, str] = {}
    _stalled: IDelayedCall | None = None

    def onConnect(self, request: Any) -> None:
        self.path = unquote(request.path)
        self.query = {name: values[-1] for name, values in request.params.items()}

    def onOpen(self) -> None:
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        self.session = self.factory.host.opened(self, self.path, self.query)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.session is not None and not isBinary:
            self.factory.host.text(self.session, payload.decode())

    def onPing(self, payload: bytes) -> None:
        if self.session is not None and not self.session.frozen and self.factory.host.count_message(self.session):
            self.session.in_order(lambda: self._pong(payload))

    def _pong(self, payload: bytes) -> None:
        if self.session is not None and not self.session.frozen and self.state == self.STATE_OPEN:
            self.sendPong(payload)

    def onPong(self, payload: bytes) -> None:
        if self.session is not None:
            self.factory.host.pong(self.session)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.resumeProducing()
        if self.session is not None:
            self.factory.host.closed(self.session)

    def send(self, text: str) -> None:
        if self.state == self.STATE_OPEN:
            # sendMessage refuses what is longer than a client's message may be; a book of a venue may be.
            self.sendFrame(opcode=_TEXT, payload=text.encode())

    def ping(self, payload: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendPing(payload)

    def close(self, code: int, reason: str) -> None:
        if self.state == self.STATE_OPEN:
            # The public sendClose refuses the codes venues use (1001, 1008, 1012).
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)

    def abort(self) -> None:
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        if self._stalled is None:
            self._stalled = self.factory.host.reactor.callLater(_STALL_SECONDS, self._cut)

    def _cut(self) -> None:
        self._stalled = None
        self.abort()

    def resumeProducing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def stopProducing(self) -> None:
        self.resumeProducing()


class _Timers:
    """Delayed calls for Autobahn on the given reactor. Its own use the global one and round down to whole seconds: a
    close frame was often cut off by the end of the wait for its answer."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.call_later = reactor.callLater


class VenueFactory(WebSocketServerFactory):
    """Makes the protocols of one host."""

    protocol = VenueProtocol

    def __init__(self, host: VenueHost, reactor: Any) -> None:
        super().__init__(reactor=reactor, server="")
        self._batched_timer = _Timers(reactor)
        self.host = host
        self.setProtocolOptions(
            webStatus=False,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=10,
            closeHandshakeTimeout=1,
            tcpNoDelay=True,
            maxFramePayloadSize=_MAX_MESSAGE,
            maxMessagePayloadSize=_MAX_MESSAGE,
        )
