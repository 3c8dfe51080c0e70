"""The open and opening connections of one venue, by the engine's names for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from cryptodash.core.time import Clock
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Send
from cryptodash.exchanges.metrics import Meters
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.websocket import Feed, Handlers

GOODBYE = 1.5
"""Seconds the open connections get to close at the end."""

_log = Logger(namespace="cryptodash.exchanges.transport.sockets")


@define(eq=False)
class _Link:
    """One connection. ``url`` is without the query; ``why`` is what we end it for, if we do."""

    url: str
    feed: Feed
    began: float
    gap: float
    opened: bool = False
    why: str = ""
    waiting: deque[bytes] = field(factory=deque)
    timer: IDelayedCall | None = None
    """Runs from a frame's sending until the next one may go."""


@define(eq=False, kw_only=True)
class Events:
    """Who is told, always with the connection's name first."""

    opened: Callable[[str], None]
    received: Callable[[str, Sequence[bytes]], None]
    heard: Callable[[str], None]
    closed: Callable[[str, Closed], None]


class Sockets:
    """Carries out ``Connect``, ``Send`` and ``Disconnect``, counts, and tells ``events``;
    after ``hang_up`` nobody is told anything.

    ``trouble`` says why the last connection could not be opened, for a person; it is empty once one is open.
    """

    def __init__(
        self, dialer: Dialer, reactor: Any, clock: Clock, meters: Meters, events: Events, gaps: Mapping[str, float]
    ) -> None:
        """``gaps``: least seconds between two frames we send, by endpoint."""
        self.trouble = ""
        self._gaps = gaps
        self._dialer = dialer
        self._reactor = reactor
        self._clock = clock
        self._meters = meters
        self._events = events
        self._links: dict[str, _Link] = {}
        self._gone: Deferred[None] | None = None

    def __len__(self) -> int:
        return len(self._links)

    def count(self) -> Mapping[str, int]:
        """Connections by state."""
        live = sum(1 for link in self._links.values() if link.opened)
        return {"live": live, "connecting": len(self._links) - live}

    def connect(self, order: Connect) -> None:
        name = order.connection
        handlers = Handlers(
            opened=partial(self._opened, name),
            frames=partial(self._received, name),
            heard=partial(self._events.heard, name),
            closed=partial(self._closed, name),
        )
        feed = Feed(order.url, self._dialer, self._reactor, handlers)
        self._links[name] = _Link(
            order.url.partition("?")[0], feed, self._clock.monotonic(), self._gaps[order.endpoint]
        )
        feed.open()

    def send(self, order: Send) -> None:
        link = self._links.get(order.connection)
        if link is not None:
            link.waiting.append(order.payload)
            self._pump(link)

    def _pump(self, link: _Link) -> None:
        """Send the next frame, unless the last one is too fresh.

        The engine has spaced them by its clock, but bytes leave only at the end of a reactor turn: after a long turn
        several would leave at once, and the venue counts what arrives. So at most one goes in a turn, and its gap
        begins with the next turn.
        """
        if link.timer is None and link.waiting:
            link.feed.send(link.waiting.popleft())
            link.timer = self._reactor.callLater(0, self._left, link)

    def _left(self, link: _Link) -> None:
        link.timer = self._reactor.callLater(link.gap, self._free, link)

    def _free(self, link: _Link) -> None:
        link.timer = None
        self._pump(link)

    def disconnect(self, order: Disconnect) -> None:
        link = self._links.get(order.connection)
        if link is not None:
            link.why = order.why
            (link.feed.abort if order.abort else link.feed.close)(order.why)

    async def hang_up(self) -> None:
        """Close every connection politely, and drop what is still there after 1.5 s."""
        self._gone = Deferred()
        if not self._links:
            return
        impatience = self._reactor.callLater(GOODBYE, self._abort_all)
        for link in tuple(self._links.values()):
            link.why = "shutdown"
            link.feed.close("shutdown")
        await self._gone
        if impatience.active():
            impatience.cancel()

    def _abort_all(self) -> None:
        for link in tuple(self._links.values()):
            link.feed.abort("shutdown")

    def _opened(self, name: str) -> None:
        link = self._links[name]
        link.opened = True
        self.trouble = ""
        self._meters.opened(self._clock.monotonic() - link.began)
        _log.info("{name} is open: {url}", name=name, url=link.url)
        if self._gone is None:
            self._events.opened(name)

    def _received(self, name: str, frames: Sequence[bytes]) -> None:
        self._events.received(name, frames)

    def _closed(self, name: str, how: Closed) -> None:
        link = self._links.pop(name)
        if link.timer is not None:
            link.timer.cancel()
            link.timer = None
        link.waiting.clear()
        if link.opened:
            self._meters.closed(how, link.why)
            _log.info(
                "{name} has ended: {why}",
                name=name,
                why=link.why or f"{how.kind} {how.code or ''} {how.reason[:200]!r}",
            )
        elif self._gone is None:
            self._meters.refused(how)
            self._cannot(f"{link.url} cannot be reached ({how.status or how.kind}): {how.reason}")
        if self._gone is None:
            self._events.closed(name, how)
        elif not self._links:
            self._gone.callback(None)

    def _cannot(self, trouble: str) -> None:
        """A line for every new trouble, none for the same at every further try."""
        if trouble != self.trouble:
            _log.warn("{trouble!r}", trouble=trouble[:400])
        self.trouble = trouble
