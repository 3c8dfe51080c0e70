"""RFC 6455 framing of server messages: built once for everybody, since a server's frames are not masked, and compressed
each by itself if at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct

from cryptodash.hub.interfaces import Batch, Message

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
    """One kind of frame for many clients: a message's frame is built once in a turn, for however many cohorts."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.made = _Made(self)
        """Frames by message, made when first looked up."""

    def frames(self, messages: Iterable[Message | Batch]) -> list[bytes]:
        """The messages' frames, in order."""
        made = self.made
        return [made[message] for message in messages]

    def forget(self) -> None:
        """The turn is over."""
        self.made.clear()


class _Made(dict[Message | Batch, bytes]):
    """Frames by message, made when first looked up."""

    def __init__(self, framer: Framer) -> None:
        super().__init__()
        self._framer = framer

    def __missing__(self, message: Message | Batch) -> bytes:
        # A sweep's share is a cohort's own, but its messages are everybody's.
        made = (
            b"".join([self[each] for each in message.messages])
            if isinstance(message, Batch)
            else self._framer.build(message.body)
        )
        self[message] = made
        return made
