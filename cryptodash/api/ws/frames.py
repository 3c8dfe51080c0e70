"""RFC 6455 framing of server messages: built once for everybody, since a server's frames are not masked, and compressed
each by itself if at all."""

from __future__ import annotations

from struct import Struct

_medium = Struct("!BBH").pack
_large = Struct("!BBQ").pack
_FINAL_TEXT = 0x81


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
