"""One client's connection to a simulated host, without a socket: what it asked for, the frames on the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.late import LateQueue
from cryptodash.simulator.limits import SlidingWindow

MOST_UNDER_WAY = 50_000
"""Frames of one connection that are late at a time. With one more the connection is lost: a frame that is left out
would be a gap that nobody asked for."""


class ClientTransport(Protocol):
    """What carries a session's frames."""

    def send(self, text: str) -> None:
        """One text frame."""

    def ping(self, payload: bytes) -> None:
        """One ping frame."""

    def close(self, code: int, reason: str) -> None:
        """A close frame, and the end."""

    def abort(self) -> None:
        """The end without a word."""


@define(eq=False)
class ClientSession:
    """One client's connection. Its host makes it and sets everything; times are seconds that never jump.

    ``names`` are the streams it asked for, in order, whether they deliver anything or not. ``frozen``: it never says
    anything again, though it stays open. ``delay``: seconds by which every frame is late, pings and the close
    frame too.
    """

    reactor: IReactorTime
    transport: ClientTransport
    market: MarketType | None
    """The one its path serves. On a path that serves several: that of its streams, None where these are of several, or
    none yet."""
    path: str
    number: int
    opened: float
    heard: float
    """When the last frame of the client came."""
    traffic: SlidingWindow
    """How many frames of the client came lately."""
    combined: bool = False
    """For venues with two forms of frames: whether this client gets each under the name of its stream."""
    names: dict[str, None] = field(factory=dict)
    delay: float = 0.0
    frozen: bool = False
    is_open: bool = True
    pinged: float | None = None
    """When the ping was sent that has no pong yet."""
    _timers: list[IDelayedCall] = field(factory=list)
    _wire: LateQueue = field(init=False)
    _streams: dict[str, LateQueue] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._wire = LateQueue(self.reactor, self.later)

    def push(self, text: str) -> None:
        """Send a frame, ``delay`` seconds late but never before an earlier one."""
        if self.delay or self._wire:
            self.in_order(partial(self._send, text))
        else:
            self._send(text)

    def _send(self, text: str) -> None:
        if self.is_open and not self.frozen:
            self.transport.send(text)

    def in_order(self, act: Callable[[], None]) -> None:
        """Do something that a client notices when the frames that are under way have come: nothing overtakes another on
        one connection."""
        if self.delay or self._wire:
            self._put(self._wire, self.delay, act)
        else:
            act()

    def is_late(self, name: str) -> bool:
        """Whether frames of a stream are under way that alone is late."""
        return bool(self._streams.get(name))

    def do_late(self, name: str, delay: float, act: Callable[[], None]) -> None:
        """Do something for one of its streams, which alone is ``delay`` seconds late: after what is late of the stream
        already. The other streams go on."""
        queue = self._streams.get(name)
        if queue is None:
            queue = self._streams[name] = LateQueue(self.reactor, self.later)
        self._put(queue, delay, act)

    def _put(self, queue: LateQueue, delay: float, act: Callable[[], None]) -> None:
        if not self.is_open or self.frozen:
            return
        if len(self._wire) + sum(map(len, self._streams.values())) >= MOST_UNDER_WAY:
            self.transport.abort()
        else:
            queue.put(delay, act)

    def close(self, code: int, reason: str) -> None:
        self.in_order(partial(self._close, code, reason))

    def _close(self, code: int, reason: str) -> None:
        if self.is_open and not self.frozen:
            self.transport.close(code, reason)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in a while, unless the connection is gone by then."""
        self._timers = [each for each in self._timers if each.active()]
        self._timers.append(self.reactor.callLater(seconds, act))

    def gone(self) -> None:
        """The connection has ended: nothing more is sent or done."""
        self.is_open = False
        for call in self._timers:
            if call.active():
                call.cancel()
        for queue in (self._wire, *self._streams.values()):
            queue.clear()
