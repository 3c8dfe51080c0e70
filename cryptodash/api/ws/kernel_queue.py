"""What the kernel holds of a socket's output, and how to keep that little. Only Linux tells; elsewhere only what
Twisted holds is known."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys
import termios
from typing import Final

UNSENT_LOW_WATER: Final = 16 * 1024
"""Bytes that the kernel may hold and has not sent yet. What is sent is bounded by the client's own buffer, and this is
what would grow old behind it; see docs/performance.md for what was measured."""
LOCAL_SEND_BUFFER: Final = 32 * 1024
"""Of a unix socket. It has no such limit, and no line that must be kept busy."""
_SIOCOUTQ: Final = termios.TIOCOUTQ
"""Linux has one number for both (``linux/sockios.h``)."""


def unacknowledged(handle: socket.socket) -> int:
    """Bytes in the kernel that the peer has not acknowledged (tcp(7), unix(7): SIOCOUTQ); of a unix socket the memory
    of what its peer has not read. 0 where the kernel does not tell."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return int(struct.unpack("=i", fcntl.ioctl(handle.fileno(), _SIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):  # of a kind that does not know, or closed meanwhile
        return 0


def keep_short(handle: socket.socket, send_buffer: int, unsent: int = UNSENT_LOW_WATER) -> None:
    """Keep the kernel from holding minutes of "live" prices for a client that does not read (Linux would take 4 MB)."""
    over_tcp = handle.family in (socket.AF_INET, socket.AF_INET6)
    if not over_tcp:  # nothing is on its way there: all that the kernel holds is unread
        send_buffer = min(send_buffer, LOCAL_SEND_BUFFER)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    low_water = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if low_water is not None and over_tcp:
        with contextlib.suppress(OSError):  # a kernel without it
            handle.setsockopt(socket.IPPROTO_TCP, low_water, unsent)
