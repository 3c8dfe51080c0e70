"""RFC 6455 framing of server messages: built once for everybody, since a server's frames are not masked, and compressed each by itself if at all."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from cryptodash.hub.interfaces import Message

_medium = Struct("!BBH").pack
_large = Struct("!BBQ").pack
_FINAL_TEXT = 0x81

Build = Callable[[bytes], bytes]
"""Makes a frame of a message's body."""


def text_frame(body: bytes) -> bytes:
    """The message as one final, unmasked text frame (RFC 6455, section 5.2)."""
    return frame(_FINAL_TEXT, body)


def frame(first: int, payload: bytes) -> bytes:
    """Any unmasked frame: its first byte (final, reserved bits, opcode) and its payload."""
    size = len(payload)
    if size <= 125:
        return bytes((first, size)) + payload
    if size <= 0xFFFF:
        return _medium(first, 126, size) + payload
    return _large(first, 127, size) + payload


class Framer:
    """One kind of frame for many clients: a message's is built once although the message comes to many cohorts in a row."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self._last: Message | None = None
        self._frame = b""

    def frame(self, message: Message) -> bytes:
        if self._last is not message:
            self._frame = self.build(message.body)
            self._last = message
        return self._frame
