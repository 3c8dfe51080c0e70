"""The two kinds of wire below a client's writer: a plain TCP socket that is written to directly,
and any other transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

from cryptodash.api.fanout.client_writer import ClientWriter, IWire
from cryptodash.api.fanout.cohort_member import Send
from cryptodash.api.fanout.read_progress import Queued
from cryptodash.api.private_names import innermost, unwritten
from cryptodash.api.ws.kernel_queue import keep_short, unacknowledged

Close = Callable[[int, str], None]

PAUSE_ABOVE: Final = 16 * 1024
"""Bytes in the transport above which one with TLS asks for a pause (Twisted's own limit is four times that)."""


def keep_queues_short(transport: Any, send_buffer: int) -> None:
    """Neither the kernel nor Twisted holds much for a client that reads slowly: it would read old prices."""
    connection = innermost(transport)
    if isinstance(connection, Connection):
        keep_short(connection.getHandle(), send_buffer)
        connection.bufferSize = PAUSE_ABOVE


def queued_on(owner: Any) -> Queued:
    """What has not reached the peer of a transport that owns its socket."""
    in_kernel = unacknowledged(owner.getHandle()) if isinstance(owner, Connection) and owner.connected else 0
    return Queued(unwritten(owner), in_kernel)


@implementer(IWire)
class Wire:
    """What both have in common. Registered as the transport's producer, it hears when the transport
    is full and when it has drained.

    ``writer`` is set after that: a call before it tells nothing.
    """

    send: Send
    streaming: bool
    writer: ClientWriter | None = None

    def __init__(self, transport: Any, close_with: Close) -> None:
        self.close_with = close_with
        self._transport = transport
        self._socket_owner = innermost(transport)

    def queue(self, data: bytes) -> None:
        self._transport.write(data)

    def queued(self) -> Queued:
        return queued_on(self._socket_owner)

    def stopProducing(self) -> None:
        """The connection is lost; the protocol is told so too."""


@implementer(IPullProducer)
class PlainWire(Wire):
    """Writes straight to the socket. Only what that does not take goes to the transport, which calls
    ``resumeProducing`` when it is empty again.

    Registered as a pull producer: a push producer would not hear of the end of less than 64 KiB.
    """

    streaming = False

    def __init__(self, transport: Any, close_with: Close) -> None:
        super().__init__(transport, close_with)
        self.send = transport.getHandle().send

    def resumeProducing(self) -> None:
        if self.writer is not None:
            self.writer.drained()


@implementer(IPushProducer)
class BufferedWire(Wire):
    """Writes to the transport (TLS, tunnels), which pauses us when it holds too much."""

    streaming = True

    def __init__(self, transport: Any, close_with: Close) -> None:
        super().__init__(transport, close_with)
        self.send = self._send
        self._sending = False
        self._paused = False

    def pauseProducing(self) -> None:
        self._paused = True
        if not self._sending and self.writer is not None:
            self.writer.paused()

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._sending and self.writer is not None:
            self.writer.drained()

    def _send(self, data: bytes) -> int:
        self._sending = True
        self._transport.write(data)
        self._sending = False
        return -1 if self._paused else len(data)
