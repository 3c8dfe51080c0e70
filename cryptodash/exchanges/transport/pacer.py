"""Frames to a venue, spaced as its limit wants, by the one who knows when bytes leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any


class Pacer:
    """Lets one frame go at a time, at least ``gap`` seconds apart (0: as they come), and says when the next may be
    given (``free``).

    Bytes leave only at the end of a reactor turn: after a long turn, frames spaced by the clock alone would leave at
    once, and the venue counts what arrives. So the gap begins with the turn after the one in which a frame was written.
    Pongs count for the venue like every frame. RFC 6455 section 5.5.2 lets us answer only the latest of several pings,
    so one pong waits at most; it goes before a frame that waits as well, unless the last to go was a pong, too: a
    venue that pings faster than it lets us send must not keep our frames back for ever.
    """

    def __init__(self, gap: float, reactor: Any, free: Callable[[], None]) -> None:
        self._gap = gap
        self._reactor = reactor
        self._free = free
        self._frames: deque[Callable[[], None]] = deque()
        self._pong: Callable[[], None] | None = None
        self._ponged = False
        """Whether the last to go was a pong."""
        self._timer: Any = None

    def frame(self, write: Callable[[], None]) -> None:
        """Write a frame as soon as it may go; ``free`` is called once another may be given."""
        if self._gap <= 0.0:
            write()
            self._free()
        else:
            self._frames.append(write)
            self._pump()

    def pong(self, write: Callable[[], None]) -> None:
        """Write a pong as soon as it may go, in the place of one that waits."""
        if self._gap <= 0.0:
            write()
        else:
            self._pong = write
            self._pump()

    def stop(self) -> None:
        """The connection is gone: nothing is written or told any more."""
        self._frames.clear()
        self._pong = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pump(self) -> None:
        if self._timer is not None:
            return
        write, is_frame = self._next()
        if write is not None:
            self._timer = self._reactor.callLater(0, self._left, is_frame)
            write()

    def _next(self) -> tuple[Callable[[], None] | None, bool]:
        if self._pong is not None and not (self._ponged and self._frames):
            pong, self._pong = self._pong, None
            self._ponged = True
            return pong, False
        self._ponged = False
        return (self._frames.popleft(), True) if self._frames else (None, False)

    def _left(self, is_frame: bool) -> None:
        self._timer = self._reactor.callLater(self._gap, self._passed, is_frame)

    def _passed(self, is_frame: bool) -> None:
        self._timer = None
        if is_frame and not self._frames:
            self._free()
        self._pump()
