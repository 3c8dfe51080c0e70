"""/ws on the wire: raw frames against the production protocol, over transports in memory; no reactor turns."""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve
from autobahn.twisted.resource import WebSocketResource
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from twisted.web.resource import Resource
from twisted.web.server import Site

from cryptodash.api.ws.factory import ClientFactory
from cryptodash.core.config import Config, Limits

TICKER = {"channel_type": "ticker", "exchange": "binance", "symbol": "BTC-USDT"}
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x01\x02\x03\x04"


def upgrade(**headers: str) -> bytes:
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"GET /ws HTTP/1.1\r\n{lines}\r\n".encode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True, length: int | None = None
) -> bytes:
    """A client's frame; ``length`` announces another size than the payload's."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if size <= 125:
        head += bytes([bit | size])
    elif size <= 0xFFFF:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    if not mask:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def split_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        yield data[0] & 0x0F, data[start : start + size]
        data = data[start + size :]


def ask(op: str, **members: Any) -> bytes:
    return frame(TEXT, json.dumps({"op": op, **members}).encode())


def peer_address(address: str) -> IPv4Address | UNIXAddress:
    """Where a peer comes from; without an address, from a unix socket."""
    return IPv4Address("TCP", address, 5000) if address else UNIXAddress(b"")


class Peer:
    """A client on a transport in memory."""

    def __init__(self, factory: ClientFactory, address: str = "10.0.0.1", **headers: str) -> None:
        self.protocol = factory.buildProtocol(None)
        self.transport = FakeTransport(self.protocol, isServer=True, peerAddress=peer_address(address))
        self.protocol.makeConnection(self.transport)
        self.protocol.dataReceived(upgrade(**headers))
        self.answer, _, self.rest = self.read().partition(b"\r\n\r\n")
        self.greeting = list(split_frames(self.rest)) if self.status == 101 else []

    @property
    def status(self) -> int:
        return int(self.answer.split()[1])

    def read(self) -> bytes:
        return bytes(self.transport.getOutBuffer() or b"") if self.transport.stream else b""

    def send(self, data: bytes) -> list[tuple[int, bytes]]:
        self.protocol.dataReceived(data)
        return self.frames()

    def frames(self) -> list[tuple[int, bytes]]:
        return list(split_frames(self.read()))

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for opcode, payload in self.frames() if opcode == TEXT]

    def lose(self) -> None:
        if self.transport.producer is not None:
            self.transport.producer.stopProducing()
        self.protocol.connectionLost(Failure(ConnectionDone()))


def close_code(frames: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    opcode, payload = frames[-1]
    assert opcode == CLOSE
    return int.from_bytes(payload[:2], "big"), payload[2:]


class Service:
    """The factory over a world's hub."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.clients = world.clients()
        self.factory = ClientFactory(self.clients)
        self.clients.start()

    def peer(self, address: str = "10.0.0.1", **headers: str) -> Peer:
        return Peer(self.factory, address, **headers)

    def count(self, name: str, *labels: str) -> int:
        return self.world.tally.metrics[name].values[labels]


@pytest.fixture
def service(world: Any) -> Service:
    return Service(world)


def serve(make_world: Any, **settings: Any) -> Service:
    limits = {name: settings.pop(name) for name in list(settings) if hasattr(Limits(), name)}
    return Service(make_world(Config(limits=evolve(Limits(), **limits), **settings)))


def test_the_greeting_follows_the_handshake(service):
    peer = service.peer()
    assert peer.status == 101
    ((opcode, payload),) = peer.greeting
    greeting = json.loads(payload)["payload"]
    assert opcode == TEXT
    assert greeting["message"] == f"Connected to crypto-dash API. Session: {greeting['session']}"
    assert len(greeting["session"]) == 36 and greeting["session"][14] == "4"
    assert greeting["ping_ms"] == 20000
    assert b"autobahn" not in peer.answer.lower()
    assert service.world.tally.metrics["cryptodash_ws_connections"].read() == {(): 1}


def test_a_subscription_over_the_wire(service):
    peer = service.peer()
    service.world.hub.hold(service.world.topic(), 0)
    service.world.ticker("43250.50")
    answers = peer.send(ask("subscribe", channels=[TICKER]))
    assert [json.loads(payload)["type"] for _, payload in answers] == ["info", "status", "ticker"]
    assert b'"last":43250.50' in answers[2][1]
    service.world.ticker("43250.60")
    service.world.flush()
    assert [message["payload"]["last"] for message in peer.messages()] == [43250.6]


LIMIT = 256 * 1024


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"{}", mask=False), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(TEXT, b"\xce", fin=False) + frame(0, b"\x41"), 1007),
        (frame(TEXT, length=LIMIT + 1), 1009),
        (frame(TEXT, length=2**62), 1009),
        (frame(TEXT, b" " * (LIMIT - 10), fin=False) + frame(0, b" " * 20), 1009),
        (frame(3), 1002),
        (frame(TEXT | 0x40, b"{}"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, fin=False), 1002),
        (frame(0, b"x"), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, struct.pack("!H", 1005)), 1002),
        (frame(CLOSE, struct.pack("!H", 1006)), 1002),
        (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
    ],
)
def test_broken_frames_end_the_connection_with_the_protocols_code(service, sent, code):
    peer = service.peer()
    peer.send(ask("subscribe", channels=[TICKER]))
    assert close_code(peer.send(sent))[0] == code
    service.world.ticker("1")
    service.world.flush()
    assert peer.frames() == []
    service.world.time.advance(1.1)
    assert peer.transport.disconnecting or peer.transport.disconnected
    peer.lose()
    assert service.clients.sessions == {}
    assert service.count("cryptodash_ws_closes_total", str(code), "server") == 1


@pytest.mark.parametrize(
    "payload", [struct.pack("!H", 1000), struct.pack("!H", 1001) + b"bye", struct.pack("!H", 4321), b""]
)
def test_the_peers_close_code_is_echoed(service, payload):
    peer = service.peer()
    assert peer.send(frame(CLOSE, payload)) == [(CLOSE, payload)]
    assert peer.transport.disconnecting


def test_binary_messages_are_ignored_and_counted(service):
    peer = service.peer()
    for _ in range(500):
        assert peer.send(frame(BINARY, b"\x00\xff")) == []
        service.world.time.advance(0.01)
    service.world.time.advance(5)
    assert service.count("cryptodash_ws_binary_ignored_total") == 500
    ((_, pong),) = peer.send(ask("ping"))
    assert json.loads(pong)["message"] == "pong"


def test_fragments_with_a_ping_between_make_one_message(service):
    peer = service.peer()
    assert peer.send(frame(TEXT, b'{"op":', fin=False)) == []
    assert peer.send(frame(PING, b"are you there")) == [(PONG, b"are you there")]
    ((_, pong),) = peer.send(frame(0, b'"ping"}'))
    assert json.loads(pong)["message"] == "pong"


def test_bytes_may_come_one_by_one(service):
    peer = service.peer()
    for byte in ask("ping", id=1):
        peer.protocol.dataReceived(bytes([byte]))
    assert [message["payload"]["id"] for message in peer.messages()] == [1]


def test_a_message_of_exactly_the_limit_is_taken(service):
    peer = service.peer()
    ((_, pong),) = peer.send(frame(TEXT, b'{"op":"ping"}'.ljust(LIMIT)))
    assert json.loads(pong)["message"] == "pong"


def test_a_flood_is_closed_as_a_policy_violation(service):
    peer = service.peer()
    assert close_code(peer.send(ask("ping") * 201))[0] == 1008
    other = service.peer()
    assert close_code(other.send(frame(PING) * 201))[0] == 1008


def test_a_fault_of_ours_is_1011_and_leaves_nothing_behind(service):
    peer = service.peer()

    def fail(*_: object) -> None:
        raise RuntimeError("ours")

    peer.protocol.session._directory.resolve = fail
    assert close_code(peer.send(ask("subscribe", channels=[TICKER]))) == (1011, b"internal error")
    assert peer.protocol.session is None


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        (("*",), "", 101),
        (("*",), "http://evil.example", 101),
        (("*",), "null", 101),
        (("https://good.example",), "", 101),
        (("https://good.example",), "https://good.example", 101),
        (("https://Good.example/",), "https://GOOD.example", 101),
        (("https://good.example",), "http://good.example", 403),
        (("https://good.example",), "https://good.example.evil.example", 403),
        (("https://good.example",), "https://good.example:8443", 403),
        (("https://good.example",), "null", 403),
    ],
)
def test_origins(make_world, allowed, origin, status):
    service = serve(make_world, allowed_origins=allowed)
    peer = service.peer(Origin=origin)
    assert peer.status == status
    assert service.count("cryptodash_ws_connections_refused_total", "origin") == (status == 403)


def test_plain_http_and_old_versions_are_refused(service):
    assert service.peer(Upgrade="").status == 426
    assert service.peer(Sec_WebSocket_Version="7").status == 400
    assert service.clients.sessions == {}


@pytest.mark.parametrize(
    ("headers", "status", "code", "message"),
    [
        ({"Origin": "http://evil.example"}, 403, "origin_not_allowed", "origin not allowed"),
        ({"Sec_WebSocket_Key": "short"}, 400, "bad_handshake", "bad Sec-WebSocket-Key"),
        ({"Sec_WebSocket_Version": "7"}, 400, "bad_handshake", "WebSocket version 7 not supported"),
    ],
)
def test_a_refused_handshake_is_answered_like_every_error(make_world, headers, status, code, message):
    peer = serve(make_world, allowed_origins=("https://good.example",)).peer(**headers)
    assert peer.status == status
    error = json.loads(peer.rest)["error"]
    assert error["code"] == code
    assert error["message"].startswith(message)
    fields = peer.answer.decode().split("\r\n")
    assert f"Content-Length: {len(peer.rest)}" in fields
    assert "Content-Type: application/json; charset=utf-8" in fields
    assert "short" not in fields[0]
    assert {"Server: cryptodash", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer"} <= set(fields)
    assert "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'" in fields


def test_connections_per_address_are_capped_and_given_back(make_world):
    service = serve(make_world, max_connections_per_ip=2)
    first, _ = service.peer(), service.peer()
    assert close_code(service.peer().greeting) == (1008, b"too many connections from this address")
    assert service.peer("10.0.0.2").status == 101
    assert len(service.clients.sessions) == 3
    first.lose()
    assert service.peer().greeting[0][0] == TEXT
    assert service.count("cryptodash_ws_connections_refused_total", "ip_limit") == 1


def test_behind_trusted_proxies_the_forwarded_address_counts(make_world):
    service = serve(make_world, max_connections_per_ip=1, trusted_proxies=("10.0.0.0/8",))
    for client in ("1.1.1.1", "1.1.1.2, 10.0.0.9", "6.6.6.6, 1.1.1.3"):
        assert service.peer(X_Forwarded_For=client).greeting[0][0] == TEXT
    assert close_code(service.peer(X_Forwarded_For="9.9.9.9, 1.1.1.2, 10.2.3.4").greeting)[0] == 1008
    assert service.peer("2.2.2.2", X_Forwarded_For="1.1.1.1").greeting[0][0] == TEXT
    assert close_code(service.peer("2.2.2.2", X_Forwarded_For="8.8.8.8").greeting)[0] == 1008


def test_through_a_trusted_unix_socket_the_forwarded_address_counts(make_world):
    service = serve(make_world, max_connections_per_ip=1, trusted_proxies=("unix",))
    assert service.peer("", X_Forwarded_For="203.0.113.9").greeting[0][0] == TEXT
    second = service.peer("", X_Forwarded_For="203.0.113.9")
    assert close_code(second.greeting) == (1008, b"too many connections from this address")
    assert service.peer("", X_Forwarded_For="203.0.113.10").greeting[0][0] == TEXT


def test_through_a_unix_socket_that_is_not_trusted_all_count_as_one(make_world):
    service = serve(make_world, max_connections_per_ip=2)
    for client in ("203.0.113.9", "203.0.113.10"):
        assert service.peer("", X_Forwarded_For=client).greeting[0][0] == TEXT
    assert close_code(service.peer("", X_Forwarded_For="203.0.113.11").greeting)[0] == 1008


def test_new_topics_count_for_the_client_and_for_the_network_of_its_address(make_world):
    service = serve(make_world, trusted_proxies=("10.0.0.0/8",))
    holders = []
    service.clients.demand = SimpleNamespace(for_client=lambda *holder: holders.append(holder) or service.world.hub)
    for forwarded in ("2001:db8:1:2:3::4", "2001:db8:1:2:5::6", "203.0.113.9"):
        service.peer(X_Forwarded_For=forwarded)
    assert [address for _, address in holders] == ["2001:db8:1:2::/64", "2001:db8:1:2::/64", "203.0.113.9"]
    assert len({client for client, _ in holders}) == 3


def test_a_full_server_says_so(make_world):
    service = serve(make_world, max_connections=2)
    service.peer(), service.peer()
    assert close_code(service.peer().greeting) == (1013, b"server is full")


def test_a_silent_handshake_is_dropped(service):
    protocol = service.factory.buildProtocol(None)
    transport = FakeTransport(protocol, isServer=True)
    protocol.makeConnection(transport)
    protocol.dataReceived(b"GET /ws HTTP/1.1\r\n")
    service.world.time.advance(5)
    assert transport.disconnecting


def test_whoever_does_not_answer_pings_is_dropped_whatever_else_it_sends(service):
    peer = service.peer()
    service.world.time.advance(20)
    ((opcode, _),) = peer.frames()
    assert opcode == PING
    for _ in range(19):
        service.world.time.advance(1)
        assert peer.send(ask("ping"))
    assert not peer.transport.disconnecting
    service.world.time.advance(1)
    assert peer.transport.disconnecting


def test_whoever_answers_pings_stays(service):
    peer = service.peer()
    for _ in range(5):
        service.world.time.advance(20)
        ((opcode, payload),) = peer.frames()
        assert opcode == PING
        peer.send(frame(PONG, payload))
    assert not peer.transport.disconnecting
    assert sum(service.world.tally.metrics["cryptodash_ws_ping_rtt_seconds"].at().counts) == 5


def test_a_paused_transport_conflates_until_it_resumes(service):
    peer = service.peer()
    peer.send(ask("subscribe", channels=[TICKER]))
    peer.transport.producer.pauseProducing()
    for price in range(1, 9):
        service.world.ticker(str(price))
        service.world.flush()
    assert peer.frames() == []
    assert service.world.tally.metrics["cryptodash_ws_paused_connections"].read() == {(): 1}
    peer.transport.producer.resumeProducing()
    assert [message["payload"]["last"] for message in peer.messages()] == [8]
    assert service.world.tally.metrics["cryptodash_ws_paused_connections"].read() == {(): 0}


def test_a_stalled_client_gets_1013_and_is_aborted_a_second_later(service):
    peer = service.peer()
    peer.send(ask("subscribe", channels=[TICKER]))
    peer.transport.producer.pauseProducing()
    service.world.time.pump([1] * 10)
    assert close_code(peer.frames()) == (1013, b"too slow")
    assert not peer.transport.disconnecting
    service.world.time.pump([0.5] * 3)
    assert peer.transport.disconnecting
    peer.lose()
    assert service.count("cryptodash_ws_closes_total", "1013", "server") == 1


def test_the_drain_tells_every_client_when_to_come_back(service):
    peers = [service.peer() for _ in range(400)]
    peers[0].send(ask("subscribe", channels=[TICKER]))
    service.world.ticker("1")
    done: list[None] = []
    ensureDeferred(service.clients.drain(4)).addCallback(done.append)
    assert [json.loads(payload)["type"] for opcode, payload in peers[0].frames()[:1]] == ["ticker"]
    waits = set()
    for peer in peers[1:]:
        code, reason = close_code(peer.frames())
        assert code == 1012 and len(reason) <= 123
        waits.add(json.loads(reason)["retry_ms"])
    assert len(waits) > 200
    assert min(waits) >= 0
    assert max(waits) < 2000
    assert service.peer().status == 503
    for peer in peers[:300]:
        peer.send(frame(CLOSE, struct.pack("!H", 1012)))
        peer.lose()
    assert not done
    service.world.time.advance(1)
    for peer in peers[300:]:
        assert peer.transport.disconnecting
        peer.lose()
    assert done == [None]


def test_the_drain_ends_at_its_deadline(service):
    service.peer()
    done: list[None] = []
    ensureDeferred(service.clients.drain(0.5)).addCallback(done.append)
    service.world.time.advance(0.5)
    assert done == [None]
    ensureDeferred(service.clients.drain(1)).addCallback(done.append)


def test_nothing_is_left_when_all_have_gone(service):
    peers = [service.peer(f"10.0.0.{index}") for index in range(20)]
    for peer in peers:
        peer.send(ask("subscribe", channels=[TICKER, {**TICKER, "channel_type": "order_book"}]))
    for peer in peers:
        peer.lose()
    service.world.time.advance(40)
    service.clients.stop()
    service.world.hub.stop()
    assert service.clients.sessions == {}
    assert len(service.clients.sockets) == 0
    assert service.clients.fanout.cohorts == {}
    assert service.world.venue.wanted == []
    assert service.world.hub.on_unknown == []
    assert service.world.time.getDelayedCalls() == []


def test_below_twisted_web_the_upgrade_takes_over_the_connection(service):
    root = Resource()
    root.putChild(b"ws", WebSocketResource(service.factory))
    channel = Site(root, reactor=service.world.time).buildProtocol(IPv4Address("TCP", "10.0.0.1", 5000))
    transport = FakeTransport(channel, isServer=True, peerAddress=IPv4Address("TCP", "10.0.0.1", 5000))
    transport.resumeProducing = transport.pauseProducing = lambda: None
    channel.makeConnection(transport)
    channel.dataReceived(upgrade())
    answer, _, rest = bytes(transport.getOutBuffer()).partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert [opcode for opcode, _ in split_frames(rest)] == [TEXT]
    (protocol,) = service.clients.sessions
    assert transport.producer.writer is protocol.writer
    protocol.dataReceived(ask("ping"))
    assert len(list(split_frames(bytes(transport.getOutBuffer())))) == 1


class Reactor:
    """Remembers who wants to be read or written; the test plays the rest."""

    def __init__(self, time: Any) -> None:
        self.writers: set[Any] = set()
        self.callLater = time.callLater

    def addReader(self, reader: Any) -> None:
        """Reading is done by the test."""

    removeReader = addReader

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def turn(self) -> None:
        for writer in list(self.writers):
            writer.doWrite()


class Plain:
    """A client on a real socket pair below Twisted's own TCP transport, without its reactor."""

    def __init__(self, service: Service) -> None:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.socket.settimeout(1)
        self.reactor = Reactor(service.world.time)
        self.protocol = service.factory.buildProtocol(None)
        self.transport = Server(ours, self.protocol, ("10.0.0.1", 5000), None, 1, self.reactor)
        self.protocol.makeConnection(self.transport)
        self.protocol.dataReceived(upgrade())
        self.sent_buffer = ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)

    def read(self) -> bytes:
        data = b""
        self.socket.setblocking(False)
        while True:
            try:
                data += self.socket.recv(1 << 20)
            except BlockingIOError:
                return data

    def drain(self) -> bytes:
        """Read until nothing comes any more, with reactor turns between."""
        data = b""
        while True:
            self.reactor.turn()
            got = self.read()
            if not got and not self.reactor.writers:
                return data
            data += got

    def close(self) -> None:
        self.socket.close()
        if not self.transport.disconnected:
            self.transport.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def plain(service: Service) -> Iterator[Plain]:
    client = Plain(service)
    yield client
    client.close()


def test_plain_sockets_are_written_to_directly_and_in_order(service, plain):
    answer, _, rest = plain.drain().partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101")
    assert len(list(split_frames(rest))) == 1
    plain.protocol.dataReceived(ask("subscribe", channels=[TICKER]))
    service.world.ticker("1")
    service.world.flush()
    assert plain.reactor.writers == set()
    assert [json.loads(payload)["type"] for _, payload in split_frames(plain.read())] == ["info", "status", "ticker"]
    assert plain.sent_buffer <= 2 * 128 * 1024
    plain.protocol.dataReceived(frame(PING, b"at once"))
    assert plain.reactor.writers == set()
    assert list(split_frames(plain.read())) == [(PONG, b"at once")]


def test_a_full_plain_socket_loses_no_byte_and_comes_back(service, plain):
    plain.drain()
    plain.protocol.dataReceived(ask("subscribe", channels=[TICKER, {**TICKER, "channel_type": "trade"}]))
    plain.read()
    cohort = next(iter(service.clients.fanout.cohorts.values()))
    trades = 0
    while cohort.clean:
        trades += 1
        service.world.trade(trades)
        service.world.flush()
        assert trades < 20_000
    for price in range(1, 100):
        service.world.ticker(str(price))
        service.world.flush()
    plain.protocol.dataReceived(ask("ping", id=5) + frame(PING, b"ping"))
    frames = list(split_frames(plain.drain()))
    messages = [json.loads(payload) for opcode, payload in frames if opcode == TEXT]
    assert (PONG, b"ping") in frames
    assert [int(message["payload"]["id"]) for message in messages if message["type"] == "trade"] == list(
        range(1, trades + 1)
    )
    assert [message["payload"]["last"] for message in messages if message["type"] == "ticker"] == [99]
    assert [message["payload"]["id"] for message in messages if message["type"] == "info"] == [5]
    assert len(cohort.clean) == 1


def test_a_close_frame_waits_behind_what_a_full_socket_still_holds(service, plain):
    plain.drain()
    plain.protocol.dataReceived(ask("subscribe", channels=[{**TICKER, "channel_type": "trade"}]))
    cohort = next(iter(service.clients.fanout.cohorts.values()))
    while cohort.clean:
        service.world.trade(1)
        service.world.flush()
    service.world.time.pump([1] * 10)
    frames = list(split_frames(plain.drain()))
    assert close_code(frames) == (1013, b"too slow")
    assert {opcode for opcode, _ in frames[:-1]} == {TEXT}
    service.world.time.advance(1.1)
    service.world.time.advance(0)
    assert plain.transport.disconnected
    assert service.clients.fanout.cohorts == {}


def test_a_reader_that_takes_a_little_makes_progress(service, plain):
    plain.drain()
    plain.protocol.dataReceived(ask("subscribe", channels=[{**TICKER, "channel_type": "trade"}]))
    cohort = next(iter(service.clients.fanout.cohorts.values()))
    while cohort.clean:
        for _ in range(400):
            service.world.trade(1)
        service.world.flush()
    for _ in range(15):
        service.world.time.advance(1)
        plain.socket.recv(5000)
        plain.reactor.turn()
    assert plain.protocol.state == plain.protocol.STATE_OPEN


def fill(service: Service, plain: Plain) -> None:
    """Until the socket takes no more: more than its kernel's buffers hold."""
    plain.drain()
    plain.protocol.dataReceived(ask("subscribe", channels=[{**TICKER, "channel_type": "trade"}]))
    cohort = next(iter(service.clients.fanout.cohorts.values()))
    while cohort.clean:
        for _ in range(400):
            service.world.trade(1)
        service.world.flush()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what waits in the kernel")
def test_what_leaves_the_kernel_alone_is_progress(service, plain):
    fill(service, plain)
    waiting = plain.transport.offset, len(plain.transport.dataBuffer)
    for _ in range(15):
        service.world.time.advance(1)
        plain.socket.recv(4000)
    assert (plain.transport.offset, len(plain.transport.dataBuffer)) == waiting, "nothing left Twisted's buffer"
    assert plain.protocol.state == plain.protocol.STATE_OPEN
    service.world.time.pump([1] * 12)
    assert plain.protocol.state != plain.protocol.STATE_OPEN


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what waits in the kernel")
def test_a_slow_reader_that_has_to_go_can_read_why(service, plain):
    fill(service, plain)
    plain.protocol.writer.close_too_slow()
    data = plain.socket.recv(40_000)
    for _ in range(5):
        service.world.time.advance(1)
        data += plain.socket.recv(4000)
        plain.reactor.turn()
    assert not plain.transport.disconnected
    assert (1013).to_bytes(2, "big") + b"too slow" in data + plain.drain()
    service.world.time.advance(1.1)
    service.world.time.advance(0)
    assert plain.transport.disconnected


def test_a_ping_that_a_slow_reader_has_not_come_to_is_waited_for(make_world):
    service = serve(make_world, client_stall_timeout_s=30.0)
    plain = Plain(service)
    try:
        fill(service, plain)
        for second in range(100):
            for id in range(20):
                service.world.trade(20 * second + id)
            service.world.time.advance(1)
            plain.socket.recv(1500)
            plain.reactor.turn()
        assert plain.protocol.state == plain.protocol.STATE_OPEN
        service.world.time.pump([1] * 61)
        assert plain.protocol.state != plain.protocol.STATE_OPEN
    finally:
        plain.close()
