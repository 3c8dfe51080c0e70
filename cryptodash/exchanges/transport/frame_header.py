"""The header of a WebSocket frame (RFC 6455, section 5.2)."""

from __future__ import annotations

from struct import Struct

_medium = Struct("!H").unpack_from
_large = Struct("!Q").unpack_from
_MASKED = 0x80


def frame_bounds(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame that begins at ``at`` begins and ends (which may be beyond ``data``);
    None if its header is not all there.

    A length of 126 or 127 stands for two or eight bytes of length that follow,
    the mask bit for a key of four bytes.
    """
    if len(data) - at < 2:
        return None
    length = data[at + 1] & 0x7F
    start = at + (2 if length < 126 else 4 if length == 126 else 10) + (4 if data[at + 1] & _MASKED else 0)
    if start > len(data):
        return None
    if length == 126:
        length = _medium(data, at + 2)[0]
    elif length == 127:
        length = _large(data, at + 2)[0]
    return start, start + length
