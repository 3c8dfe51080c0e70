"""What every HTTP answer carries, a refused WebSocket handshake too: the shape of an error, the common headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptodash.core import codec

JSON: Final = "application/json; charset=utf-8"
SERVER: Final = "cryptodash"
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

HSTS: Final = "max-age=31536000"
"""Sent where TLS is ours: for a year a browser does not speak with this host without (RFC 6797). Of other hosts below
it nothing is said, for they may not be ours."""


def error_body(code: str, message: str, **more: object) -> bytes:
    """The one shape of an error; ``more`` are further members beside ``error``."""
    return codec.encode({"error": {"code": code, "message": message}, **more})
