"""What a reading process and the server say to each other: questions as lines of JSON, answers as frames. Pure.

A frame is its length (4 bytes, big-endian) and a msgpack list of items; the last one of an answer ends with ``End`` or
``Failed``.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cryptodash.core.errors import CryptodashError
from cryptodash.core.recorded import Item, Question

MOST_BODY: Final = 4 * 2**20
"""Bytes of a message: no server of ours sends a longer one."""
FRAME_BYTES: Final = 32 * 1024
"""A frame is sent once it has so many."""
MOST_FRAME: Final = MOST_BODY + 2 * FRAME_BYTES
LENGTH: Final = 4


class End(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """All of it was told."""


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """It cannot be told, or not all of it; ``message`` is for a person."""

    message: str


Told = Item | End | Failed

_encode_question = msgspec.json.Encoder().encode
_decode_question = msgspec.json.Decoder(Question).decode
_encode_frame = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(list[Item | End | Failed]).decode


class BadFrame(CryptodashError):
    """Bytes that are no frame of ours."""


def encode_question(question: Question) -> bytes:
    """A line."""
    return _encode_question(question) + b"\n"


def decode_question(line: bytes) -> Question:
    """Raises ``BadFrame``."""
    try:
        return _decode_question(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadFrame(f"no question: {error}"[:200]) from None


def encode_frame(items: list[Told]) -> bytes:
    body = _encode_frame(items)
    return len(body).to_bytes(LENGTH, "big") + body


class Frames:
    """Makes frames of the bytes of a pipe. What it holds is less than a frame and what was fed last."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Told]:
        """The items of each frame that is whole. Raises ``BadFrame``."""
        self._parts.append(data)
        self._size += len(data)
        found: list[Told] = []
        while self._size >= LENGTH:
            length = int.from_bytes(self._begin(LENGTH), "big")
            if length > MOST_FRAME:
                raise BadFrame(f"a frame of {length} bytes; {MOST_FRAME} are allowed")
            if self._size < LENGTH + length:
                break
            whole = b"".join(self._parts)
            frame, rest = whole[LENGTH : LENGTH + length], whole[LENGTH + length :]
            self._parts, self._size = [rest], len(rest)
            try:
                found += _decode_frame(frame)
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                raise BadFrame(f"no frame: {error}"[:200]) from None
        return found

    def _begin(self, size: int) -> bytes:
        if len(self._parts[0]) < size:
            self._parts = [b"".join(self._parts)]
        return self._parts[0][:size]
