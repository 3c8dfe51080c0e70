"""One connection of /ws on the wire: Autobahn's server protocol with one session and one writer."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Final

from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.api.access.bearer import bearer_token, query_token
from cryptodash.api.access.failures import EVERY_S
from cryptodash.api.access.grant import EVERYTHING, Grant
from cryptodash.api.addresses import address_group
from cryptodash.api.answer_parts import JSON, SECURITY_HEADERS, SERVER, error_body
from cryptodash.api.fanout.client_writer import TOO_SLOW, ClientWriter
from cryptodash.api.private_names import Headers, ServerProtocol, innermost, is_plain, peer_of
from cryptodash.api.slices import SLICE_S
from cryptodash.api.ws.admission import origin_allowed
from cryptodash.api.ws.authentication import Authentication
from cryptodash.api.ws.clients import Clients
from cryptodash.api.ws.deflate import deflated_frame
from cryptodash.api.ws.frames import text_frame
from cryptodash.api.ws.limiter import TokenBucket, WorkBudget
from cryptodash.api.ws.replays import RecordedTime
from cryptodash.api.ws.session import Session
from cryptodash.api.ws.token_timer import TokenTimer
from cryptodash.api.ws.upgrade import Upgrade
from cryptodash.api.ws.wire import BufferedWire, PlainWire, Wire, keep_queues_short
from cryptodash.core.errors import Refused

_log = Logger(namespace="cryptodash.api.ws.socket")

MAX_REASON: Final = 123
POLICY: Final = 1008
_CONTINUATION: Final = 0
_FIRST_CONTROL: Final = 8
_REFUSALS: Final = {401: "unauthorized", 403: "origin_not_allowed", 429: "rate_limited", 503: "restarting"}
"""Error codes of our own refusals; everything else is Autobahn's, about the handshake itself."""
_REFUSAL_HEADERS: Final = {401: (("WWW-Authenticate", "Bearer"),), 429: (("Retry-After", f"{EVERY_S:.0f}"),)}
_TOO_MANY: Final = {
    "limit": (1013, "server is full"),
    "ip_limit": (1008, "too many connections from this address"),
}


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
    ``onClose`` comes also when the others never did.

    It is not read while its last request is being served, nor while it owes work (``WorkBudget``); small frames are
    read for as long as a slice is, the others in the next turn. What costs what:
    a request and a ping one of ``OPS_PER_SECOND`` each, over which the client is closed with 1008. Work: a binary
    message, a pong that we did not ask for, a fragment, and any frame behind a close frame one token; bytes and
    channels as ``limiter`` says.
    """

    log = QuietLog()
    clients: Clients
    session: Session | None = None
    writer: ClientWriter | None = None
    _wire: Wire | None = None
    _address = ""
    _grant: Grant | None = None
    _token_timer: TokenTimer | None = None
    _opened_at: float | None = None
    _fragments = 0
    _reading_since = 0.0
    _answered_ping = False
    _read_on_call: IDelayedCall | None = None
    _closed_at = 0.0

    def connectionMade(self) -> None:
        super().connectionMade()
        if not self.clients.sockets.enter(innermost(self.transport), peer_of(self.transport)):
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.clients.sockets.leave(innermost(self.transport))
        super().connectionLost(reason)

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
        self._identify(request)

    def _identify(self, request: ConnectionRequest) -> None:
        """Judge the token of the upgrade request, where it has one."""
        header = request.headers.get("authorization")
        token = bearer_token([] if header is None else [header])
        if token is None:
            token = query_token(request.params.get("token", []))
        if token is None or not self.clients.access.is_on:
            return
        try:
            self._grant = self.clients.access.check(token, address_group(self._address))
        except Refused as refused:
            self._deny("token", refused.status, refused.message)

    def _locate(self, forwarded: str) -> None:
        self._address = self.clients.addresses.client(str(getattr(self.transport.getPeer(), "host", "")), forwarded)

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
            *_REFUSAL_HEADERS.get(code, ()),
            *headers,
        ]
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", *(f"{name}: {value}" for name, value in named), "", ""]
        return "\r\n".join(lines).encode() + body

    def onOpen(self) -> None:
        clients = self.clients
        limits = clients.config.limits
        self._opened_at = clients.clock.monotonic()
        self._work = WorkBudget(limits.ops_per_second, limits.ops_burst, clients.clock)
        refused = clients.sockets.admit(innermost(self.transport), self._address)
        if refused:
            clients.traffic.refused.add(refused)
            self.close_with(*_TOO_MANY[refused])
        else:
            self._start()

    def _start(self) -> None:
        clients, limits = self.clients, self.clients.config.limits
        clients.traffic.accepted.add()
        self._pings = TokenBucket(limits.ops_per_second, limits.ops_burst, clients.clock)
        keep_queues_short(self.transport, limits.socket_send_buffer_bytes)
        plain = is_plain(self.transport)
        kind = PlainWire if plain else BufferedWire
        wire = self._wire = kind(self.transport, self.close_with)
        self.transport.unregisterProducer()  # twisted.web's, where we are mounted below it
        self.transport.registerProducer(wire, wire.streaming)
        build = deflated_frame if self.deflates else text_frame
        # The handshake's answer is queued on the transport now: a plain wire starts blocked and hears when it has left.
        self.writer = wire.writer = clients.fanout.open(wire, build, blocked=plain)
        session_id = clients.session_id()
        access = clients.access
        grant = self._grant if access.is_on else EVERYTHING
        authentication = Authentication(access, address_group(self._address), clients.clock, grant)
        self.session = Session(
            clients.directory,
            clients.demand.for_client(session_id, address_group(self._address)),
            clients.fanout,
            self.writer,
            limits,
            clients.identity,
            session_id,
            self._work,
            authentication,
            RecordedTime(clients.tapes, address_group(self._address), clients.reactor),
        )
        self.session.rights.on_granted = self._look_at_token
        self.session.on_idle = self._read_on_soon
        clients.sessions[self] = None
        self.session.opened()
        if access.is_on:
            warn, close = self.session.rights.warn_of_end, partial(self.close_with, POLICY)
            self._token_timer = TokenTimer(clients.reactor, authentication, warn, close)
            self._look_at_token()

    def _look_at_token(self) -> None:
        if self._token_timer is not None:
            self._token_timer.look()

    def is_held(self) -> bool:
        session = self.session
        if session is not None and session.busy:
            return True  # it says when it is idle
        if self.clients.clock.monotonic() - self._reading_since >= SLICE_S:
            self._read_on_soon()
            return True
        debt = self._work.seconds_in_debt()
        if debt:
            if self._read_on_call is None:
                self.clients.traffic.debts.add()
            self._read_on_soon(debt)
        return debt > 0

    def reading_begins(self) -> None:
        self._reading_since = self.clients.clock.monotonic()

    def _read_on_soon(self, seconds: float = 0.0) -> None:
        if self._read_on_call is None:
            self._read_on_call = self.clients.reactor.callLater(seconds, self._read_on_now)

    def _read_on_now(self) -> None:
        self._read_on_call = None
        self.read_on()

    def frame_begins(self, opcode: int, final: bool, size: int) -> None:
        self._work.charge_received(min(size, self.clients.config.limits.max_message_bytes))
        if self.state != self.STATE_OPEN:
            self._work.charge(1)
        if opcode < _FIRST_CONTROL and (opcode == _CONTINUATION or not final):
            self._work.charge(1)
            self._fragments = self._fragments + 1 if opcode == _CONTINUATION else 1
            if self._fragments > self.clients.config.limits.max_fragments:
                self.close_with(POLICY, "too many fragments")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        traffic = self.clients.traffic
        traffic.received.count += 1
        traffic.received_bytes.count += len(payload)
        if self.deflates:  # so far only what it was before it was unpacked
            self._work.charge_received(len(payload))
        if isBinary:
            traffic.binary.add()
            self._work.charge(1)
        elif self.session is not None:
            self.session.received(payload)

    def onPing(self, payload: bytes) -> None:
        if self.writer is None or self._pings.take():
            self.sendPong(payload)
        else:
            self.close_with(POLICY, "too many pings")

    def onPong(self, payload: bytes) -> None:
        if not self._answered_ping:
            self._work.charge(1)
        self._answered_ping = False

    def onAutoPong(self, ping_sent: int, ping_seq: int, pong_received: int, pong_rtt: float, payload: bytes) -> None:
        self.clients.traffic.ping_rtt.observe(pong_rtt / 1000)
        self._answered_ping = True

    def close_with(self, code: int, reason: str) -> None:
        self.send_close(code, reason.encode()[:MAX_REASON])

    def is_reading(self) -> bool:
        return self.writer is not None and self.writer.is_reading(self.clients.config.client_stall_timeout_s)

    def may_read_the_close(self) -> bool:
        """One that is closed as too slow, and reads, hardly comes to it within a second."""
        return (
            self.close_code(None) == TOO_SLOW
            and self.clients.clock.monotonic() < self._closed_at + self.clients.config.client_stall_timeout_s
            and self.is_reading()
            and self.writer is not None
            and sum(self.writer.wire.queued()) > 0
        )

    def closing(self) -> None:
        """Nothing of a session may follow the close frame."""
        self._closed_at = self.clients.clock.monotonic()
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
        if self._wire is not None:
            self._wire.writer = self._wire = self.writer = None  # they know each other, and us
        self.cancel_close_timeout()
        if self._read_on_call is not None:
            self._read_on_call.cancel()
            self._read_on_call = None
        if self._opened_at is not None:
            clients.traffic.close(self.close_code(code), "server" if self.closed_by_us(wasClean) else "client")
            clients.traffic.session_seconds.observe(clients.clock.monotonic() - self._opened_at)
            self._opened_at = None
        if self in clients.sessions:
            del clients.sessions[self]
            clients.left()

    def _end_session(self) -> None:
        if self._token_timer is not None:
            self._token_timer.stop()
            self._token_timer = None
        session, self.session = self.session, None
        if session is not None:
            session.closed()
