"""One WebSocket connection to a venue: opened under a deadline, read, written to, and its end told exactly once.

``VenueSocket`` keeps the one deadline that is due: for the opening, then for the closing handshake.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from autobahn.exception import Disconnected
from autobahn.websocket.util import parse_url
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.transport.dialer import Dialer, failure_kind, failure_text
from cryptodash.exchanges.transport.pacer import Pacer
from cryptodash.exchanges.transport.slices import Slices, Work
from cryptodash.exchanges.transport.websocket_protocol import MAX_FRAME, VenueSocketFactory, VenueSocketProtocol

OPEN_DEADLINE = 10.0
"""Seconds for name resolution, TCP, TLS and the WebSocket handshake together."""

CLOSE_DEADLINE = 1.0
"""Seconds a peer gets to answer our closing handshake, or to drop the connection after its own."""

_log = Logger(namespace="cryptodash.exchanges.transport.websocket")


@frozen
class Handlers:
    """Who hears what a connection does: ``opened()``, then ``frames(payloads)`` for text messages, as many as came at
    once, ``heard()`` per ping or pong, ``may_send()`` once a frame has left and the
    next may follow, at last ``closed(how)``, exactly once, also when it never opened.

    ``behind(payloads)`` takes the place of ``frames`` for what a read brought of a connection that is behind; it
    returns the work there is with it, which is done in slices. Where it is None they are frames like any."""

    opened: Callable[[], None]
    frames: Callable[[Sequence[bytes]], None]
    heard: Callable[[], None]
    may_send: Callable[[], None]
    closed: Callable[[Closed], None]
    behind: Callable[[Sequence[bytes]], Work] | None = None


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
        self._slices = Slices(reactor, self._read_on, self._broken)
        self._phase = _Phase.NEW
        self._timer: Any = None
        self._connecting: Any = None
        self._opening = False
        """Whether ``open`` is running."""
        self._protocol: VenueSocketProtocol | None = None
        self._verdict: Closed | None = None
        """How it ends, where that is known before the connection is gone."""

    def open(self) -> None:
        """Start connecting; ``opened`` or ``closed`` follows, never before this method has returned."""
        self._phase = _Phase.DIALLING
        self._timer = self._reactor.callLater(OPEN_DEADLINE, self._expired)
        try:
            secure, host, port, *_ = parse_url(self._url)
            factory = VenueSocketFactory(self._url, self._reactor, self, secure, self._max_frame)
            self._connecting = self._dialer.endpoint(host, port, secure).connect(factory)
        except Exception as error:  # whose words may repeat the URL
            self._verdict = Closed("local", reason=f"not a WebSocket URL ({type(error).__name__})")
            self._timer.reset(0)
            return
        self._opening = True
        self._connecting.addCallbacks(self._connected, self._failed)
        self._opening = False

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

    # What the protocol (``ConnectionKeeper``) and the endpoint tell us.

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
        if self._slices.waiting:
            self.received_behind(payloads)
        elif self._phase is _Phase.OPEN:
            try:
                self._handlers.frames(payloads)
            except Exception:
                self._broken()

    def received_behind(self, payloads: Sequence[bytes]) -> None:
        """Complete text messages of a connection that is behind."""
        behind = self._handlers.behind or self._handlers.frames
        if self._phase is _Phase.OPEN:
            try:
                work = behind(payloads)
            except Exception:
                self._broken()
            else:
                if work is not None:
                    self._slices.add(work)

    def heard(self) -> None:
        if self._phase is _Phase.OPEN:
            self._tell(self._handlers.heard)

    def pong(self, write: Callable[[], None]) -> None:
        """A ping wants an answer."""
        self._pacer.pong(write)

    def closing(self, verdict: Closed | None) -> None:
        """A close frame was sent, by us first or as an answer: the rest must not take long."""
        if self._phase is _Phase.OPEN:
            self._slices.finish()  # it came before the end did
            self._phase = _Phase.CLOSING
            self._verdict = self._verdict or verdict
            self._stop_timer()
            self._timer = self._reactor.callLater(CLOSE_DEADLINE, self._expired)

    def refused(self, verdict: Closed) -> None:
        """The handshake failed for a reason that the peer gave."""
        self._verdict = self._verdict or verdict

    def lost(self, code: int | None, reason: str, error: BaseException | None) -> None:
        """The connection is gone."""
        self._slices.finish()
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
        verdict = self._verdict or Closed(failure_kind(error), reason=failure_text(error))
        if self._opening:
            self._verdict = verdict  # some endpoints fail at once, a host's name that cannot be one, say
            self._timer.reset(0)
        else:
            self._finish(verdict)

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
        self._slices.drop()
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

    def _read_on(self, on: bool) -> None:
        if self._protocol is not None:
            self._protocol.read_on(on)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
