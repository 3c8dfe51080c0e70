"""The framing of server messages (RFC 6455)."""

from __future__ import annotations

import pytest

from cryptodash.api.ws.frames import text_frame


@pytest.mark.parametrize(
    ("size", "header"),
    [(0, "8100"), (125, "817d"), (126, "817e007e"), (65535, "817effff"), (65536, "817f0000000000010000")],
)
def test_frames_have_the_shortest_header(size, header):
    body = b"x" * size
    assert text_frame(body) == bytes.fromhex(header) + body
