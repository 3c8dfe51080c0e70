"""Both sides of the product as echoing peers, each with a raw peer at the other end of a wire in memory."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import txaio
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from cryptodash.testing.network import MemoryNetwork

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: server.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Raw(Protocol):
    """A peer that sends exactly what a test says and keeps what comes back, after the handshake."""

    masking = False
    """Whether its frames must be masked: it is the client."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.got = b""
        self.ready = self.gone = False

    def connectionMade(self) -> None:
        if self.masking:
            self.transport.write(HANDSHAKE)

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if not self.ready and b"\r\n\r\n" in self.got:
            head, _, self.got = self.got.partition(b"\r\n\r\n")
            self.ready = True
            if not self.masking:
                self.accept(head)

    def accept(self, head: bytes) -> None:
        key = next(
            line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        )
        self.transport.write(answer + b64encode(sha1(key + GUID).digest()) + b"\r\n\r\n")

    def connectionLost(self, reason: object = None) -> None:
        self.gone = True

    def send(self, data: bytes, step: int = 0) -> None:
        """Send, ``step`` bytes at a time (0: at once), and let everything happen that can."""
        for at in range(0, len(data), step or len(data) or 1):
            self.transport.write(data[at : at + (step or len(data))])
            self.network.settle()


class RawClient(Raw):
    masking = True


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> MemoryNetwork:
    monkeypatch.setattr(txaio.config, "loop", Clock())
    return MemoryNetwork()


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The echoing classes; what they replace in the product is put back."""
    from cryptodash.api.ws import socket as api_socket
    from cryptodash.exchanges.transport.websocket_protocol import VenueSocketFactory

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import echo as module

    for owner, name in ((api_socket, "Session"), (VenueSocketFactory, "protocol")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    yield module
    sys.modules.pop("echo", None)


@pytest.fixture(params=["server", "client"])
def peer(request: pytest.FixtureRequest, network: MemoryNetwork, echo: ModuleType) -> Raw:
    """A raw peer of our server, then one of our client."""
    connect: Callable[[MemoryNetwork, Any], Raw] = to_our_server if request.param == "server" else to_our_client
    raw = connect(network, echo)
    network.settle()
    assert raw.ready and not raw.got
    return raw


def to_our_server(network: MemoryNetwork, echo: Any) -> Raw:
    from twisted.internet.endpoints import HostnameEndpoint

    network.listen(9000, echo.server_factory(network))
    raw = RawClient(network)
    HostnameEndpoint(network, "server.example", 9000).connect(Factory.forProtocol(lambda: raw))
    return raw


def to_our_client(network: MemoryNetwork, echo: Any) -> Raw:
    raw = Raw(network)
    network.listen(9000, Factory.forProtocol(lambda: raw))
    echo.feed_client("ws://venue.example:9000/stream", network, lambda: None)
    return raw
