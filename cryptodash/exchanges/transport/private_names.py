"""What the venues' side relies on of Autobahn without its promise: here alone, under public names.

Autobahn's own way through received bytes costs 6 to 10 us a frame; the way past it shares its reading state, whose
names are described nowhere. ``tests/test_private_names.py`` lists each with the reason, and says so when an upgrade
takes one away.

What is abstract a subclass must say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from autobahn.twisted.websocket import WebSocketClientProtocol

from cryptodash.exchanges.transport.frame_header import frame_bounds


class ChunkReader(WebSocketClientProtocol, ABC):
    """Autobahn's client side of one connection, fed frame by frame. A subclass takes what it can out of a chunk
    (``slice_texts``), and calls ``count_texts`` for it; all else is Autobahn's to read."""

    data: bytes
    """Autobahn's: what it has not read yet."""

    @property
    def unread(self) -> int:
        """Bytes that came and could not be read yet."""
        return len(self.data)

    @abstractmethod
    def slice_texts(self, data: bytes, at: int) -> int:
        """Take the frames that begin at ``at``, as many as can be taken; returns where the first byte is that is not
        part of one."""

    def dataReceived(self, data: bytes) -> None:
        if self.state != self.STATE_OPEN:
            super().dataReceived(data)
            return
        self.trafficStats.incomingOctetsWireLevel += len(data)
        if self.data:  # the beginning of a header: all that Autobahn leaves unread while the connection is open
            data, self.data = self.data + data, b""
        self._walk(data)

    def _walk(self, data: bytes) -> None:
        """Slice what can be sliced, and give Autobahn the rest one frame at a time (so that a long
        chunk is not copied over and over)."""
        at = 0
        while at < len(data):
            if self.state != self.STATE_OPEN:
                stop = len(data)
            elif self.current_frame is not None:
                stop = at + self.current_frame.length - self.current_frame_masker.pointer()
            else:
                if not self.inside_message:
                    at = self.slice_texts(data, at)
                bounds = frame_bounds(data, at)
                stop = len(data) if bounds is None or self.state != self.STATE_OPEN else bounds[1]
            if at < len(data):
                self.data += data[at:stop]
                self.consumeData()
            at = stop

    def count_texts(self, payloads: Sequence[bytes]) -> None:
        """What Autobahn notes per frame, once for all of them."""
        stats, octets = self.trafficStats, sum(map(len, payloads))
        stats.incomingOctetsWebSocketLevel += octets
        stats.incomingOctetsAppLevel += octets
        stats.incomingWebSocketFrames += len(payloads)
        stats.incomingWebSocketMessages += len(payloads)
        if self.autoPingTimeoutCall and self.autoPingRestartOnAnyTraffic:
            self._cancelAutoPingTimeoutCall()
