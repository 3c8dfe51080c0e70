"""The open and opening connections of one venue, by the engine's names for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from cryptodash.core.settings import origin_of
from cryptodash.core.time import Clock
from cryptodash.exchanges.adapter.venue import Limits
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Send
from cryptodash.exchanges.metrics import Meters
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.slices import Work
from cryptodash.exchanges.transport.websocket import Handlers, VenueSocket

GOODBYE = 1.5
"""Seconds the open connections get to close at the end."""

_log = Logger(namespace="cryptodash.exchanges.transport.sockets")


@define(eq=False)
class _Attempt:
    """One connection. ``origin`` is scheme, host and port of its URL; ``why`` is what we end it for, if we do."""

    origin: str
    socket: VenueSocket
    began: float
    opened: bool = False
    why: str = ""


@define(eq=False, kw_only=True)
class Events:
    """Who is told, always with the connection's name first."""

    opened: Callable[[str], None]
    received: Callable[[str, Sequence[bytes]], None]
    behind: Callable[[str, Sequence[bytes]], Work]
    """As ``Handlers.behind``."""
    heard: Callable[[str], None]
    may_send: Callable[[str], None]
    closed: Callable[[str, Closed], None]


class Sockets:
    """Carries out ``Connect``, ``Send`` and ``Disconnect``, counts, and tells ``events``;
    after ``hang_up`` nobody is told anything.

    ``trouble`` says why the last connection could not be opened, for a person; it is empty once one is open.
    """

    def __init__(
        self, dialer: Dialer, reactor: Any, clock: Clock, meters: Meters, events: Events, limits: Mapping[str, Limits]
    ) -> None:
        """``limits``: the venue's, by endpoint."""
        self.trouble = ""
        self._limits = limits
        self._dialer = dialer
        self._reactor = reactor
        self._clock = clock
        self._meters = meters
        self._events = events
        self._sockets: dict[str, _Attempt] = {}
        self._gone: Deferred[None] | None = None

    def count(self) -> Mapping[str, int]:
        """Connections by state."""
        live = sum(1 for each in self._sockets.values() if each.opened)
        return {"live": live, "connecting": len(self._sockets) - live}

    def connect(self, order: Connect) -> None:
        name = order.connection
        handlers = Handlers(
            opened=partial(self._opened, name),
            frames=partial(self._received, name),
            heard=partial(self._events.heard, name),
            may_send=partial(self._may_send, name),
            closed=partial(self._closed, name),
            behind=partial(self._events.behind, name),
        )
        limits = self._limits[order.endpoint]
        socket = VenueSocket(
            order.url,
            self._dialer,
            self._reactor,
            handlers,
            gap=limits.message_gap,
            max_frame=limits.max_frame,
        )
        self._sockets[name] = _Attempt(origin_of(order.url), socket, self._clock.monotonic())
        socket.open()

    def send(self, order: Send) -> None:
        found = self._sockets.get(order.connection)
        if found is not None:
            found.socket.send(order.payload)

    def _may_send(self, name: str) -> None:
        if self._gone is None:
            self._events.may_send(name)

    def disconnect(self, order: Disconnect) -> None:
        found = self._sockets.get(order.connection)
        if found is not None:
            found.why = order.why
            (found.socket.abort if order.abort else found.socket.close)(order.why)

    async def hang_up(self) -> None:
        """Close every connection politely, and drop what is still there after 1.5 s."""
        self._gone = Deferred()
        if not self._sockets:
            return
        impatience = self._reactor.callLater(GOODBYE, self._abort_all)
        for each in tuple(self._sockets.values()):
            each.why = "shutdown"
            each.socket.close("shutdown")
        await self._gone
        if impatience.active():
            impatience.cancel()

    def _abort_all(self) -> None:
        for each in tuple(self._sockets.values()):
            each.socket.abort("shutdown")

    def _opened(self, name: str) -> None:
        found = self._sockets[name]
        found.opened = True
        self.trouble = ""
        self._meters.opened(self._clock.monotonic() - found.began)
        _log.info("{name} is open: {origin}", name=name, origin=found.origin)
        if self._gone is None:
            self._events.opened(name)

    def _received(self, name: str, frames: Sequence[bytes]) -> None:
        self._events.received(name, frames)

    def _closed(self, name: str, how: Closed) -> None:
        found = self._sockets.pop(name)
        if found.opened:
            self._meters.closed(how, found.why)
            _log.info(
                "{name} has ended: {why}",
                name=name,
                why=found.why or f"{how.kind} {how.code or ''} {how.reason[:200]!r}",
            )
        elif self._gone is None:
            self._meters.refused(how)
            self._cannot(f"{found.origin} cannot be reached ({how.status or how.kind}): {how.reason}")
        if self._gone is None:
            self._events.closed(name, how)
        elif not self._sockets:
            self._gone.callback(None)

    def _cannot(self, trouble: str) -> None:
        """A line for every new trouble, none for the same at every further try."""
        if trouble != self.trouble:
            _log.warn("{trouble!r}", trouble=trouble[:400])
        self.trouble = trouble
