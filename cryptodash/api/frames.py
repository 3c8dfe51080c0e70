"""RFC 6455 framing of server messages: built once for everybody, since a server's frames are not masked."""

from __future__ import annotations

from struct import Struct

_medium = Struct("!BBH").pack
_large = Struct("!BBQ").pack
_FINAL_TEXT = 0x81


def text_frame(body: bytes) -> bytes:
    """The message as one final, unmasked text frame (RFC 6455, section 5.2)."""
    size = len(body)
    if size <= 125:
        return bytes((_FINAL_TEXT, size)) + body
    if size <= 0xFFFF:
        return _medium(_FINAL_TEXT, 126, size) + body
    return _large(_FINAL_TEXT, 127, size) + body
