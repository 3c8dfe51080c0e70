"""What one read of the socket brought, as a whole, below TLS as well.

TLS hands on its records one by one, and a venue puts one message into each: seen from above TLS, a connection that is
far behind brings one frame at a time, like any other. Only who sees the bytes of the socket come knows better.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

READ = FileDescriptor.bufferSize
"""Bytes that Twisted reads of a socket in one turn of the reactor, at most."""
LARGEST_READ = 32 * READ
"""The same for a connection that is behind: the more is read at once, the more of it is superseded."""


class WholeReads:
    """A protocol that is told where a read of its socket begins and ends; bytes may come several times in between."""

    def read_begins(self, size: int) -> None:
        """So many bytes came out of the socket."""

    def read_ends(self) -> None:
        """All that was in them has been given to ``dataReceived``."""


class _TLSTransport(BufferingTLSTransport):
    def dataReceived(self, data: bytes) -> None:
        above = self.wrappedProtocol
        if not isinstance(above, WholeReads):
            super().dataReceived(data)
            return
        above.read_begins(len(data))
        try:
            super().dataReceived(data)
        finally:
            above.read_ends()


def _above(transport: IProtocol) -> IProtocol:
    assert isinstance(transport, ProtocolWrapper)
    protocol: IProtocol = transport.wrappedProtocol
    return protocol


@implementer(IStreamClientEndpoint)
class TLSEndpoint:
    """TLS over the connections of another endpoint, as ``wrapClientTLS`` makes it, which tells ``WholeReads`` of each
    read."""

    def __init__(self, options: Any, below: IStreamClientEndpoint, clock: IReactorTime) -> None:
        self._options = options
        self._below = below
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """A Deferred of the protocol above TLS."""
        factory = TLSMemoryBIOFactory(self._options, True, protocolFactory, self._clock)
        factory.protocol = _TLSTransport
        return self._below.connect(factory).addCallback(_above)


def widen_window(handle: socket.socket) -> None:
    """Let the kernel take in ``LARGEST_READ`` of a venue's bytes before we read them.

    Linux begins with a window of 64 KiB and widens it for whoever reads quickly. For one that is behind it stays as it
    is: reads stay small, little in each is superseded, and so we stay behind. A high low-water mark makes the buffer as
    large at once (``tcp_set_rcvlowat``) and leaves it free to grow, which ``SO_RCVBUF`` does not; the mark itself is
    taken back. Systems that do not do so are left as they were.
    """
    with suppress(OSError):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, LARGEST_READ)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


class ReadSize:
    """How much is read at once of the socket below a transport: ``READ``, and as long as reads are full twice as much
    each time."""

    def __init__(self, transport: Any) -> None:
        while isinstance(transport, ProtocolWrapper):
            transport = transport.transport
        self._socket = transport if isinstance(transport, FileDescriptor) else None
        self._size = READ
        if isinstance(transport, Connection):
            widen_window(transport.getHandle())

    def brought(self, size: int) -> bool:
        """A read brought so many bytes; whether it was full, so that more wait."""
        if size >= self._size:
            self._become(min(2 * self._size, LARGEST_READ))
            return True
        if self._size > READ > size:
            self._become(READ)
        return size >= READ

    def _become(self, size: int) -> None:
        self._size = size
        if self._socket is not None:
            self._socket.bufferSize = size
