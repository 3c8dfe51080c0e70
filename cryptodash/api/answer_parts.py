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


def error_body(code: str, message: str, **more: object) -> bytes:
    """The one shape of an error; ``more`` are further members beside ``error``."""
    return codec.encode({"error": {"code": code, "message": message}, **more})
