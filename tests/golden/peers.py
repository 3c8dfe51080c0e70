"""The other side of the server's sockets: clients of ``/ws``, and plain HTTP requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponseAccept
from twisted.internet.protocol import Factory, Protocol


class _Socket(WebSocketClientProtocol):
    factory: Any

    def onOpen(self) -> None:
        self.factory.client.socket = self

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.client.take(payload.decode())

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.client.closed = code


class Client:
    """A client of ``/ws`` on a network in memory; ``take`` gets the text of every message."""

    def __init__(self, network: Any, port: int, take: Callable[[str], None], compress: bool = False) -> None:
        self.take = take
        self._network = network
        self.socket: Any = None
        self.closed: int | None = None
        """The close code, once there is one."""
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}/ws", reactor=network)
        factory.protocol = _Socket
        factory.client = self
        if compress:
            factory.setProtocolOptions(
                perMessageCompressionOffers=[PerMessageDeflateOffer()],
                perMessageCompressionAccept=PerMessageDeflateResponseAccept,
            )
        network.connectTCP("127.0.0.1", port, factory)
        network.settle()
        assert self.socket is not None, "no WebSocket"
        assert not compress or self.socket.websocket_extensions_in_use, "no compression"

    def say(self, op: str, *channels: dict[str, Any], **members: Any) -> None:
        """Send a request; what answers it at once has come when this returns."""
        request = {"op": op, **({"channels": channels} if channels else {}), **members}
        self.socket.sendMessage(json.dumps(request).encode())
        self._network.settle()


class _Http(Protocol):
    transport: Any
    factory: Any

    def connectionMade(self) -> None:
        self.transport.write(f"GET {self.factory.request.path} HTTP/1.0\r\nHost: golden.test\r\n\r\n".encode())

    def dataReceived(self, data: bytes) -> None:
        self.factory.request.data += data

    def connectionLost(self, reason: object = None) -> None:
        self.factory.request.over = True


class Request:
    """One GET request; ``answer`` is its status and body once it is ``over``."""

    def __init__(self, network: Any, port: int, path: str) -> None:
        self.path = path
        self.data = b""
        self.over = False
        factory: Any = Factory.forProtocol(_Http)
        factory.request = self
        factory.startedConnecting = lambda connector: None
        network.connectTCP("127.0.0.1", port, factory)
        network.settle()

    @property
    def answer(self) -> str:
        head, _, body = self.data.partition(b"\r\n\r\n")
        return f"{head.split()[1].decode()} {body.decode()}"
