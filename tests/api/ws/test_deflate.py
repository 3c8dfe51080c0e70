"""permessage-deflate on /ws: off unless asked for, each message compressed once for everybody, and no bomb."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
import zlib
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.test.iosim import FakeTransport

from cryptodash.api.ws import frames as frames_module
from cryptodash.api.ws.deflate import deflated_frame
from cryptodash.api.ws.factory import ClientFactory
from cryptodash.core.config import Config

TEXT, CLOSE, FINAL, COMPRESSED = 0x1, 0x8, 0x80, 0x40
TICKER = {"channel_type": "ticker", "exchange": "binance", "symbol": "BTC-USDT"}


class Peer:
    """A client that makes an offer and remembers the frames it gets, inflated each by itself."""

    def __init__(self, factory: ClientFactory, offer: str) -> None:
        self.protocol = factory.buildProtocol(None)
        self.transport = FakeTransport(self.protocol, isServer=True, peerAddress=IPv4Address("TCP", "10.0.0.1", 5000))
        self.protocol.makeConnection(self.transport)
        head = (
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        )
        head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + (
            f"Sec-WebSocket-Extensions: {offer}\r\n" if offer else ""
        )
        self.protocol.dataReceived(head.encode() + b"\r\n")
        self.answer, _, first = self.read().partition(b"\r\n\r\n")
        self.greeting = self.split(first)

    @property
    def agreed(self) -> str:
        lines = self.answer.decode().split("\r\n")
        return next(
            (line.partition(": ")[2] for line in lines if line.lower().startswith("sec-websocket-extensions")), ""
        )

    def read(self) -> bytes:
        return bytes(self.transport.getOutBuffer() or b"") if self.transport.stream else b""

    def split(self, data: bytes) -> list[tuple[int, bytes]]:
        found = []
        while data:
            size, start = data[1], 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            payload = data[start : start + size]
            if data[0] & COMPRESSED:
                payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
            found.append((data[0], payload))
            data = data[start + size :]
        return found

    def send(self, payload: bytes, bits: int = FINAL) -> list[tuple[int, bytes]]:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
        self.protocol.dataReceived(bytes([bits | TEXT]) + length + b"\0\0\0\0" + payload)
        return self.frames()

    def frames(self) -> list[tuple[int, bytes]]:
        return self.split(self.read())


class Service:
    def __init__(self, world: Any) -> None:
        self.world = world
        self.clients = world.clients()
        self.factory = ClientFactory(self.clients)

    def peer(self, offer: str = "permessage-deflate; client_max_window_bits") -> Peer:
        return Peer(self.factory, offer)


@pytest.fixture
def service(make_world: Any) -> Service:
    return Service(make_world(Config(ws_deflate=True)))


def deflated(body: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(body) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_it_is_off_by_default(world: Any) -> None:
    peer = Service(world).peer()
    assert peer.agreed == "" and peer.greeting[0][0] == FINAL | TEXT


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate", True),
        ("permessage-deflate; server_no_context_takeover", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("x-webkit-deflate-frame", False),
        ("", False),
    ],
)
def test_what_is_agreed_lets_one_message_serve_everybody(service: Service, offer: str, agreed: bool) -> None:
    peer = service.peer(offer)
    assert ("server_no_context_takeover" in peer.agreed and "client_no_context_takeover" in peer.agreed) is agreed
    assert (peer.greeting[0][0] == FINAL | COMPRESSED | TEXT) is agreed
    assert json.loads(peer.greeting[0][1])["type"] == "info"


def test_a_message_is_compressed_once_for_all_who_agreed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(
        service.clients.fanout.framer(deflated_frame), "build", lambda body: made.append(body) or deflated_frame(body)
    )
    peers = [service.peer() for _ in range(3)] + [service.peer("")]
    request = json.dumps({"op": "subscribe", "channels": [TICKER]}).encode()
    for peer in peers:
        peer.send(request)
    made.clear()
    service.world.ticker("43250.50")
    service.world.ticker("43250.60")
    service.world.flush()
    got = [peer.frames() for peer in peers]
    assert len(made) == 2
    assert [each[0] for each in got[0]] == [FINAL | COMPRESSED | TEXT] * 2 and [each[0] for each in got[3]] == [
        FINAL | TEXT
    ] * 2
    assert (
        [payload for _, payload in got[0]]
        == [payload for _, payload in got[1]]
        == [payload for _, payload in got[3]]
        == made
    )


def test_compressed_requests_are_understood(service: Service) -> None:
    peer = service.peer()
    for _ in range(2):
        ((first, payload), *_) = peer.send(deflated(b'{"op":"ping","id":7}'), FINAL | COMPRESSED)
        assert first == FINAL | COMPRESSED | TEXT and json.loads(payload)["payload"]["id"] == 7


def test_a_bomb_is_answered_with_1009_and_costs_no_memory(service: Service) -> None:
    peer = service.peer()
    bomb = deflated(b" " * 60_000_000)
    assert len(bomb) < 65_536
    tracemalloc.start()
    try:
        frames = peer.send(bomb, FINAL | COMPRESSED)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert frames[0][0] == FINAL | CLOSE and frames[0][1][:2] == struct.pack("!H", 1009)
    assert peak < 2_000_000


def test_garbage_for_compressed_data_ends_the_connection(service: Service) -> None:
    ((first, payload), *_) = service.peer().send(b"\xff" * 30, FINAL | COMPRESSED)
    assert first == FINAL | CLOSE and payload[:2] == struct.pack("!H", 1007)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 5_000, 300_000])
def test_frames_of_every_size_inflate_by_themselves(size: int) -> None:
    body = os.urandom(size)
    frame = deflated_frame(body)
    start = 2 if frame[1] < 126 else 4 if frame[1] == 126 else 10
    assert frame[0] == FINAL | COMPRESSED | TEXT
    assert zlib.decompressobj(-15).decompress(frame[start:] + b"\x00\x00\xff\xff") == body
    assert frames_module.text_frame(body)[0] == FINAL | TEXT
