"""One client's connection to a simulated host, without a socket: what it asked for, the frames on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.limits import SlidingWindow

_MOST_DELAYED = 20_000


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
    """One client's connection. Its host makes it and sets everything; times are ms (``opened``) or seconds.

    ``names`` are the streams it asked for, in order, whether they deliver anything or not. ``frozen``: it never says
    anything again, though it stays open. ``delay``: seconds by which every frame is late.
    """

    reactor: IReactorTime
    transport: ClientTransport
    market: MarketType
    path: str
    number: int
    opened: int
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
    _delayed: deque[tuple[float, str]] = field(factory=deque)

    def push(self, text: str) -> None:
        """Send a frame, ``delay`` seconds late but never before an earlier one."""
        if self.frozen or not self.is_open:
            return
        if not self.delay and not self._delayed:
            self.transport.send(text)
        elif len(self._delayed) < _MOST_DELAYED:
            # When the delay ends, what comes then goes out with the last of the late frames, not before it.
            due = max(self.reactor.seconds() + self.delay, self._delayed[-1][0] if self._delayed else 0.0)
            if not self._delayed:
                self.later(self.delay, self._release)
            self._delayed.append((due, text))

    def _release(self) -> None:
        delayed, now = self._delayed, self.reactor.seconds()
        while delayed and delayed[0][0] <= now and self.is_open:
            _, text = delayed.popleft()
            if not self.frozen:
                self.transport.send(text)
        if delayed and self.is_open:
            self.later(max(0.0, delayed[0][0] - now), self._release)

    def close(self, code: int, reason: str) -> None:
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
