"""One connection of /ws on the wire: Autobahn's server protocol with one session and one writer."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.logger import Logger

from cryptodash.api.addresses import address_group
from cryptodash.api.answer_parts import JSON, SECURITY_HEADERS, SERVER, error_body
from cryptodash.api.fanout.client_writer import ClientWriter
from cryptodash.api.private_names import Headers, ServerProtocol, is_plain
from cryptodash.api.ws.admission import origin_allowed
from cryptodash.api.ws.clients import Clients
from cryptodash.api.ws.deflate import deflated_frame
from cryptodash.api.ws.frames import text_frame
from cryptodash.api.ws.limiter import TokenBucket
from cryptodash.api.ws.session import Session
from cryptodash.api.ws.upgrade import Upgrade
from cryptodash.api.ws.wire import BufferedWire, PlainWire, Wire, shrink_send_buffer

_log = Logger(namespace="cryptodash.api.ws.socket")

MAX_REASON: Final = 123
_REFUSALS: Final = {403: "origin_not_allowed", 503: "restarting"}
"""Error codes of our own refusals; everything else is Autobahn's, about the handshake itself."""


class QuietLog:
    """In the place of Autobahn's own log, which writes lines for what any peer can cause:
    closes are counted instead."""

    def debug(self, *_: object, **__: object) -> None:
        """Nothing: Autobahn calls this for every chunk."""

    trace = info = debug

    def warn(self, message: str = "", **members: object) -> None:
        _log.debug("{message}", message=str(message)[:512])

    error = warn


class ClientProtocol(ServerProtocol):
    """One client. Autobahn calls ``onConnect``, ``onOpen``, ``onMessage``, ``onClose``;
    ``onClose`` comes also when the others never did."""

    log = QuietLog()
    clients: Clients
    session: Session | None = None
    writer: ClientWriter | None = None
    _address = ""
    _entered = False
    _opened_at: float | None = None

    def grant(self, request: Upgrade) -> None:
        """Open for a request of which everything was checked already: ``processHandshake`` without reading it again."""
        self._locate(request.forwarded)
        self.grant_handshake(request.key, request.rest)

    def onConnect(self, request: ConnectionRequest) -> None:
        """Look at the upgrade request; raises ``ConnectionDeny`` to refuse it."""
        clients = self.clients
        if clients.draining:
            self._deny("draining", 503, "restarting")
        if not origin_allowed(request.origin or "", clients.config.allowed_origins):
            self._deny("origin", 403, "origin not allowed")
        self._locate(request.headers.get("x-forwarded-for", ""))

    def _locate(self, forwarded: str) -> None:
        peer = self.transport.getPeer()
        self._address = self.clients.addresses.client(str(getattr(peer, "host", "")), forwarded)

    def _deny(self, reason: str, status: int, text: str) -> None:
        self.clients.traffic.refused.add(reason)
        raise ConnectionDeny(status, text)

    def refusal(self, code: int, reason: str, headers: Headers) -> bytes:
        """A refused handshake is answered in the shape of every error of the server;
        Autobahn puts its words into the status line alone."""
        body = error_body(_REFUSALS.get(code, "bad_handshake"), reason[:200])
        named = [
            ("Content-Type", JSON),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("Server", SERVER),
            *SECURITY_HEADERS.items(),
            *headers,
        ]
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", *(f"{name}: {value}" for name, value in named), "", ""]
        return "\r\n".join(lines).encode() + body

    def onOpen(self) -> None:
        clients = self.clients
        self._opened_at = clients.clock.monotonic()
        if len(clients.sessions) >= clients.config.limits.max_connections:
            self._refuse("limit", 1013, "server is full")
        elif not clients.cap.enter(self._address):
            self._refuse("ip_limit", 1008, "too many connections from this address")
        else:
            self._entered = True
            self._start()

    def _refuse(self, reason: str, code: int, text: str) -> None:
        self.clients.traffic.refused.add(reason)
        self.close_with(code, text)

    def _start(self) -> None:
        clients, limits = self.clients, self.clients.config.limits
        clients.traffic.accepted.add()
        self._pings = TokenBucket(limits.ops_per_second, limits.ops_burst, clients.clock)
        shrink_send_buffer(self.transport, limits.socket_send_buffer_bytes)
        plain = is_plain(self.transport)
        wire: Wire = (
            PlainWire(self.transport, self.close_with) if plain else BufferedWire(self.transport, self.close_with)
        )
        self.transport.unregisterProducer()  # twisted.web's, where we are mounted below it
        self.transport.registerProducer(wire, wire.streaming)
        build = deflated_frame if self.deflates else text_frame
        # The handshake's answer is queued on the transport now: a plain wire starts blocked and hears when it has left.
        self.writer = wire.writer = clients.fanout.open(wire, build, blocked=plain)
        session_id = clients.session_id()
        self.session = Session(
            clients.directory,
            clients.demand.for_client(session_id, address_group(self._address)),
            clients.fanout,
            self.writer,
            limits,
            clients.identity,
            session_id,
        )
        clients.sessions[self] = None
        self.session.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        traffic = self.clients.traffic
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
        if self.writer is None or self._pings.take():
            self.sendPong(payload)
        else:
            self.close_with(1008, "too many pings")

    def onAutoPong(self, ping_sent: int, ping_seq: int, pong_received: int, pong_rtt: float, payload: bytes) -> None:
        self.clients.traffic.ping_rtt.observe(pong_rtt / 1000)

    def close_with(self, code: int, reason: str) -> None:
        self.send_close(code, reason.encode()[:MAX_REASON])

    def closing(self) -> None:
        """Nothing of a session may follow the close frame."""
        self._end_session()

    def write_frame(self, data: bytes) -> None:
        """Every frame of Autobahn's own: in order with what the writer writes past the transport."""
        if self.writer is None:
            self.transport.write(data)
        else:
            self.writer.send_control(data)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self._end_session()
        clients = self.clients
        self.cancel_close_timeout()
        if self._entered:
            self._entered = False
            clients.cap.leave(self._address)
        if self._opened_at is not None:
            clients.traffic.close(self.close_code(code), "server" if self.closed_by_us(wasClean) else "client")
            clients.traffic.session_seconds.observe(clients.clock.monotonic() - self._opened_at)
            self._opened_at = None
        if self in clients.sessions:
            del clients.sessions[self]
            clients.left()

    def _end_session(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.closed()
