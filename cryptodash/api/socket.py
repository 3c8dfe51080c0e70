"""/ws on the wire: Autobahn's server protocol with safe options, one session and one line per
connection, and the drain."""

from __future__ import annotations

import contextlib
import random as _random
import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.api.addresses import Addresses
from cryptodash.api.admission import AddressCap, origin_allowed
from cryptodash.api.answer_parts import JSON, SECURITY_HEADERS, SERVER, error_body
from cryptodash.api.deflate import accept_deflate
from cryptodash.api.fanout import Fanout
from cryptodash.api.limiter import TokenBucket
from cryptodash.api.line import Line
from cryptodash.api.session import Identity, Session
from cryptodash.api.upgrade import Upgrade
from cryptodash.api.wire import BufferedWire, PlainWire, Wire, is_plain, shrink_send_buffer
from cryptodash.core import codec
from cryptodash.core.config import Config
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IHub

_log = Logger(namespace="cryptodash.api.socket")

OPEN_HANDSHAKE_TIMEOUT: Final = 5
CLOSE_HANDSHAKE_TIMEOUT: Final = 1
"""Seconds a peer has to answer our close frame before the connection is aborted."""
RECONNECTS_PER_S: Final = 200
"""How densely a drain spreads the clients' reconnects."""
MAX_REASON: Final = 123
_REFUSALS: Final = {403: "origin_not_allowed", 503: "restarting"}
"""Error codes of our own refusals; everything else is Autobahn's, about the handshake itself."""


class _QuietLog:
    """In the place of Autobahn's own log, which writes lines for what any peer can cause:
    closes are counted instead."""

    def debug(self, *_: object, **__: object) -> None:
        """Nothing: Autobahn calls this for every chunk."""

    trace = info = debug

    def warn(self, message: str = "", **members: object) -> None:
        _log.debug("{message}", message=str(message)[:512])

    error = warn


class _Timers:
    """Delayed calls for Autobahn on the given reactor; its own batched timers use the global one and
    round down to whole seconds."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.call_later = reactor.callLater


class ClientProtocol(WebSocketServerProtocol):
    """One client. Autobahn calls ``onConnect``, ``onOpen``, ``onMessage``, ``onClose``;
    ``onClose`` comes also when the others never did."""

    log = _QuietLog()
    factory: ClientFactory
    closeHandshakeTimeoutCall: IDelayedCall | None
    session: Session | None = None
    line: Line | None = None
    websocket_version = 13
    _address = ""
    _entered = False
    _opened_at: float | None = None

    # The three that follow are Autobahn's without its descriptions of the transport and of each call for a log that is
    # off (24 us a connection).

    def connectionMade(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # a wire in memory, a unix socket
            self.transport.setTcpNoDelay(True)
        WebSocketProtocol._connectionMade(self)
        self.factory.countConnections += 1

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        WebSocketProtocol._connectionLost(self, reason)
        self.factory.countConnections -= 1

    def grant(self, request: Upgrade) -> None:
        """Open for a request of which everything was checked already: ``processHandshake`` without reading it again."""
        self._locate(request.forwarded)
        self._wskey = request.key
        self.websocket_protocols: list[str] = []
        self.websocket_extensions: list[object] = []  # an offer that is not accepted needs no answer
        self.data = request.rest
        self.succeedHandshake(None)

    def onConnect(self, request: ConnectionRequest) -> None:
        """Look at the upgrade request; raises ``ConnectionDeny`` to refuse it."""
        factory = self.factory
        if factory.draining:
            self._deny("draining", 503, "restarting")
        if not origin_allowed(request.origin or "", factory.config.allowed_origins):
            self._deny("origin", 403, "origin not allowed")
        self._locate(request.headers.get("x-forwarded-for", ""))

    def _locate(self, forwarded: str) -> None:
        peer = self.transport.getPeer()
        self._address = self.factory.addresses.client(str(getattr(peer, "host", "")), forwarded)

    def _deny(self, reason: str, status: int, text: str) -> None:
        self.factory.traffic.refused.add(reason)
        raise ConnectionDeny(status, text)

    def sendHttpErrorResponse(
        self, code: int, reason: str, responseHeaders: Sequence[tuple[str, str]] | None = None
    ) -> None:
        """A refused handshake is answered in the shape of every error of the server;
        Autobahn puts its words into the status line alone."""
        body = error_body(_REFUSALS.get(code, "bad_handshake"), reason[:200])
        headers = [
            ("Content-Type", JSON),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("Server", SERVER),
        ]
        headers += [*SECURITY_HEADERS.items(), *(responseHeaders or ())]
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.sendData("\r\n".join(lines).encode() + body)

    def onOpen(self) -> None:
        factory = self.factory
        self._opened_at = factory.clock.monotonic()
        if len(factory.sessions) >= factory.config.limits.max_connections:
            self._refuse("limit", 1013, "server is full")
        elif not factory.cap.enter(self._address):
            self._refuse("ip_limit", 1008, "too many connections from this address")
        else:
            self._entered = True
            self._start()

    def _refuse(self, reason: str, code: int, text: str) -> None:
        self.factory.traffic.refused.add(reason)
        self.close_with(code, text)

    def _start(self) -> None:
        factory, limits = self.factory, self.factory.config.limits
        factory.traffic.accepted.add()
        self._pings = TokenBucket(limits.ops_per_second, limits.ops_burst, factory.clock)
        shrink_send_buffer(self.transport, limits.socket_send_buffer_bytes)
        plain = is_plain(self.transport)
        wire: Wire = (
            PlainWire(self.transport, self.close_with) if plain else BufferedWire(self.transport, self.close_with)
        )
        self.transport.unregisterProducer()  # twisted.web's, where we are mounted below it
        self.transport.registerProducer(wire, wire.streaming)
        # The handshake's answer is queued on the transport now: a plain wire starts blocked and hears when it has left.
        self.line = wire.line = factory.fanout.open(wire, blocked=plain, deflates=self._perMessageCompress is not None)
        self.session = Session(factory.fanout, self.line, limits, factory.identity, factory.session_id())
        factory.sessions[self] = None
        self.session.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        traffic = self.factory.traffic
        traffic.received.values[()] += 1
        traffic.received_bytes.values[()] += len(payload)
        if isBinary:
            traffic.binary.add()
            return
        if self.session is None:
            return
        try:
            self.session.received(payload)
        except Exception:
            _log.failure("a client's request failed")
            self.close_with(1011, "internal error")

    def onPing(self, payload: bytes) -> None:
        if self.line is None or self._pings.take():
            self.sendPong(payload)
        else:
            self.close_with(1008, "too many pings")

    def onAutoPong(self, ping_sent: int, ping_seq: int, pong_received: int, pong_rtt: float, payload: bytes) -> None:
        self.factory.traffic.ping_rtt.observe(pong_rtt / 1000)

    def close_with(self, code: int, reason: str) -> None:
        """Send a close frame with any valid code (Autobahn's ``sendClose`` refuses most) and abort a second later if
        the peer does not answer."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode()[:MAX_REASON])

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Autobahn's way out for every close, ours and the peer's: nothing of a session may follow the close frame."""
        self._end_session()
        super().sendCloseFrame(code=code, reasonUtf8=reasonUtf8, isReply=isReply)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Every frame of Autobahn's own: in order with what the line writes past the transport."""
        if self.line is None:
            self.transport.write(data)
        else:
            self.line.control(data)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._end_session()
        factory = self.factory
        if self.closeHandshakeTimeoutCall is not None:
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None
        if self._entered:
            self._entered = False
            factory.cap.leave(self._address)
        if self._opened_at is not None:
            ours = self.closedByMe or (self.droppedByMe and not wasClean)
            factory.traffic.close(self.localCloseCode if self.closedByMe else code, "server" if ours else "client")
            factory.traffic.session_seconds.observe(factory.clock.monotonic() - self._opened_at)
            self._opened_at = None
        if self in factory.sessions:
            del factory.sessions[self]
            factory.left()

    def _end_session(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.closed()


class ClientFactory(WebSocketServerFactory):
    """Serves /ws. ``start`` and ``stop`` its timers; ``drain`` says goodbye.
    Mount it with ``WebSocketResource`` or listen with it.

    ``source`` is what the greeting says (``live``, ``simulated``, ...),
    ``random`` spreads reconnects and makes session ids.
    """

    protocol = ClientProtocol
    log = _QuietLog()

    def __init__(
        self,
        hub: IHub,
        config: Config,
        source: str,
        version: str,
        reactor: IReactorTime,
        clock: Clock,
        tally: Tally,
        random: _random.Random,
    ) -> None:
        super().__init__(server="cryptodash", reactor=reactor)
        self._batched_timer = _Timers(reactor)
        self.hub = hub
        self.config = config
        self.clock = clock
        self.fanout = Fanout(hub, config, reactor, clock, tally)
        self.traffic = self.fanout.traffic
        self.addresses = Addresses(config.trusted_proxies)
        self.cap = AddressCap(config.limits.max_connections_per_ip)
        self.identity = Identity(version, source, round(config.limits.ping_interval_s * 1000))
        self.sessions: dict[ClientProtocol, None] = {}
        self.draining = False
        self._random = random
        self._empty: Deferred[None] | None = None
        tally.gauge("cryptodash_ws_connections", "Open client connections.", lambda: {(): len(self.sessions)})
        self._set_options()
        self._build = self._with_options()

    def _set_options(self) -> None:
        limits = self.config.limits
        self.setProtocolOptions(
            webStatus=False,
            maxFramePayloadSize=limits.max_message_bytes,
            maxMessagePayloadSize=limits.max_message_bytes,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=OPEN_HANDSHAKE_TIMEOUT,
            closeHandshakeTimeout=CLOSE_HANDSHAKE_TIMEOUT,
            tcpNoDelay=True,
            autoPingInterval=limits.ping_interval_s,
            autoPingTimeout=limits.ping_timeout_s,
            autoPingRestartOnAnyTraffic=False,
            allowedOrigins=["*"],  # checked in onConnect, where a refusal is a 403
            allowNullOrigin=True,
            perMessageCompressionAccept=accept_deflate if self.config.ws_deflate else None,
        )

    def grants(self, request: Upgrade) -> bool:
        """Whether ``ClientProtocol.grant`` may be called: nothing is to be refused, or to be agreed on."""
        if self.draining or (request.deflate and self.config.ws_deflate):
            return False
        return origin_allowed(request.origin, self.config.allowed_origins)

    def session_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def start(self) -> None:
        """Listen for topics that turn out not to exist."""
        self.hub.on_unknown.append(self._unknown)

    def stop(self) -> None:
        """Cancel the timers."""
        if self._unknown in self.hub.on_unknown:
            self.hub.on_unknown.remove(self._unknown)
        self.fanout.stop()

    async def drain(self, deadline_s: float) -> None:
        """Close every client with 1012 and a ``retry_ms`` of its own; new ones are refused.
        Done when all have gone, or after ``deadline_s``."""
        self.draining = True
        self.fanout.flush()
        spread_ms = max(1000, len(self.sessions) * 1000 // RECONNECTS_PER_S)
        for protocol in list(self.sessions):
            retry = {"retry_ms": self._random.randrange(spread_ms)}
            protocol.close_with(1012, codec.text(retry))
        if not self.sessions:
            return
        self._empty = Deferred()
        timer: IDelayedCall = self.reactor.callLater(deadline_s, self._give_up)
        await self._empty
        if timer.active():
            timer.cancel()

    def _give_up(self) -> None:
        for protocol in list(self.sessions):
            protocol.dropConnection(abort=True)
        self._emptied()

    def left(self) -> None:
        """A client has gone."""
        if not self.sessions:
            self._emptied()

    def _emptied(self) -> None:
        empty, self._empty = self._empty, None
        if empty is not None:
            empty.callback(None)

    def _unknown(self, topic: Topic) -> None:
        for protocol in list(self.sessions):
            if protocol.session is not None:
                protocol.session.unknown(topic)

    def buildProtocol(self, addr: Any) -> ClientProtocol:
        protocol = self._build()
        protocol.factory = self
        return protocol

    def _with_options(self) -> type[ClientProtocol]:
        """The protocol with the options as members of its class.

        Autobahn copies all of them into every connection and writes a report of that for its log,
        on or not: 170 us a connection.
        """
        options: dict[str, Any] = {name: getattr(self, name) for name in self.protocol.CONFIG_ATTRS}
        options = {name: staticmethod(option) if callable(option) else option for name, option in options.items()}
        return type(self.protocol.__name__, (self.protocol,), {**options, "CONFIG_ATTRS": ()})
