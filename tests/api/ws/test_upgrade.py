"""The short way into /ws: for the same bytes it does what the way through twisted.web and Autobahn
does, or leaves them to it."""

from __future__ import annotations

import json
import re
import socket
import struct
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.tcp import Server
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport

from cryptodash.api.http.rest import Rest
from cryptodash.api.http.site import make_site
from cryptodash.api.private_names import owner_of
from cryptodash.api.ws.clients import Clients
from cryptodash.api.ws.factory import ClientFactory
from cryptodash.api.ws.upgrade import MAX_FIELDS, MAX_HEAD, read_upgrade
from cryptodash.core.config import Config, Limits
from cryptodash.core.tally import Counter, Gauge, Tally
from cryptodash.hub.broadcaster import Broadcaster
from cryptodash.testing.authority import Authority
from cryptodash.testing.network import MemoryNetwork

Fields = Sequence[tuple[str, str]]
ANSWER = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""To the key below: the example of RFC 6455, section 1.3."""
PLAIN: Fields = (
    ("Host", "server.example:8080"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)


def request(fields: Fields = PLAIN, line: str = "GET /ws HTTP/1.1", **changes: str | None) -> bytes:
    """``changes`` of fields by name: another value, ``None`` for none at all, or one that is new."""
    named = {name.replace("_", "-").lower(): value for name, value in changes.items()}
    lines = [
        f"{name}: {value}"
        for name, value in ((name, named.pop(name.lower(), value)) for name, value in fields)
        if value is not None
    ]
    return "\r\n".join([line, *lines, *(f"{name}: {value}" for name, value in named.items()), "", ""]).encode("latin-1")


def frame(opcode: int, payload: bytes) -> bytes:
    return (
        bytes([0x80 | opcode, 0x80 | len(payload)])
        + b"\1\2\3\4"
        + bytes(byte ^ (1, 2, 3, 4)[at % 4] for at, byte in enumerate(payload))
    )


PING = frame(1, b'{"op":"ping","id":7}')


@frozen
class Outcome:
    """What a peer and an operator see of one connection."""

    status: bytes
    headers: frozenset[bytes]
    body: bytes
    ended: bool
    metrics: dict[str, dict[tuple[str, ...], object]]
    timers: list[float]
    clients: int


class House:
    """A whole front of a server in memory; ``short``: with the short way in."""

    def __init__(self, short: bool, config: Config) -> None:
        self.time = MemoryNetwork()
        self.tally = Tally()
        hub = Broadcaster(config, self.time, self.time, self.tally)
        self.clients = Clients(hub, hub, hub, config, "simulated", "1.2.3", self.time, self.time, self.tally, Random(7))
        self.factory = ClientFactory(self.clients)
        rest = Rest(
            hub,
            hub,
            hub,
            config,
            self.time,
            self.time,
            self.tally,
            "1.2.3",
            lambda: self.clients.draining,
            0.0,
            self.clients.fanout.slices,
            hub.ledger,
        )
        self.site = make_site(rest, self.factory, config, self.time, self.time, self.tally)
        if not short:
            self.site._clients = None

    def connect(self, address: str = "192.0.2.7") -> Peer:
        return Peer(self, address)

    def metrics(self) -> dict[str, dict[tuple[str, ...], object]]:
        found: dict[str, dict[tuple[str, ...], object]] = {}
        for name, metric in self.tally.metrics.items():
            if isinstance(metric, Counter):
                found[name] = dict(metric.values)
            elif isinstance(metric, Gauge):
                found[name] = dict(metric.read())
            else:
                found[name] = {labels: list(series.counts) for labels, series in metric.series.items()}
        return found


class Peer:
    """A client's connection, in bytes."""

    def __init__(self, house: House, address: str) -> None:
        self.house = house
        there = IPv4Address("TCP", address, 5000)
        channel = house.site.buildProtocol(there)
        self.transport = FakeTransport(channel, isServer=True, peerAddress=there)
        self.transport.pauseProducing = self.transport.resumeProducing = lambda: None
        channel.makeConnection(self.transport)
        self.got = b""

    def send(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            if not self.transport.disconnecting:
                owner_of(self.transport).dataReceived(piece)
        self.got += bytes(self.transport.getOutBuffer() or b"") if self.transport.stream else b""
        return self.got

    def lose(self) -> None:
        owner_of(self.transport).connectionLost(Failure(ConnectionDone()))

    def outcome(self) -> Outcome:
        # twisted.web's own wall clock
        head, _, body = re.sub(rb"Date: [^\r]*\r\n", b"", self.got).partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        timers = sorted(call.getTime() for call in self.house.time.getDelayedCalls())
        ended = bool(self.transport.disconnecting)
        return Outcome(
            status, frozenset(lines), body, ended, self.house.metrics(), timers, len(self.house.clients.sessions)
        )


def configured(**changes: Any) -> Config:
    limits = {name: changes.pop(name) for name in list(changes) if hasattr(Limits(), name)}
    return Config(limits=evolve(Limits(), **limits), **changes)


def both(*pieces: bytes, config: Config | None = None) -> tuple[Outcome, Outcome]:
    """By the short way, where it is taken, and by the usual one."""
    outcomes = []
    for short in (True, False):
        peer = House(short, config or Config()).connect()
        peer.send(*pieces)
        outcomes.append(peer.outcome())
    return outcomes[0], outcomes[1]


BROWSER = (
    ("Host", "dash.example"),
    ("Connection", "Upgrade"),
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("Upgrade", "websocket"),
    ("Origin", "https://dash.example"),
    ("Sec-WebSocket-Version", "13"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Cookie", "theme=dark; id=%7B%22a%22%3A1%7D"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
)
USUAL = {
    "a browser": request(BROWSER),
    "a page on a port": request(BROWSER, origin="http://localhost:5173"),
    "another browser": request(
        BROWSER,
        connection="keep-alive, Upgrade",
        sec_websocket_extensions="permessage-deflate",
        sec_fetch_mode="websocket",
    ),
    "a library": request(
        user_agent="Python/3.13 websockets/15.0.1",
        sec_websocket_extensions="permessage-deflate; client_max_window_bits",
    ),
    "the fewest fields": request(),
    "a query": request(line="GET /ws?token=a%20b&x=[1]".replace("[1]", "(1)") + " HTTP/1.1"),
    "an empty query": request(line="GET /ws? HTTP/1.1"),
    "an address of version 6": request(host="[::1]:8080"),
    "a proxy": request(x_forwarded_for="203.0.113.9, 192.0.2.8", x_forwarded_proto="https"),
    "blanks around values": request().replace(b": ", b":  ").replace(b"13\r\n", b"13 \r\n"),
    "small letters": request().replace(b"Sec-WebSocket-", b"sec-websocket-").replace(b"Host", b"host"),
    "capital letters": request(upgrade="WebSocket", connection="UPGRADE"),
}


@pytest.mark.parametrize("data", USUAL.values(), ids=USUAL)
def test_what_clients_usually_send_takes_the_short_way_and_ends_the_same(data: bytes) -> None:
    assert read_upgrade(data) is not None
    short, usual = both(data)
    assert short == usual
    assert (
        short.status == b"HTTP/1.1 101 Switching Protocols"
        and f"Sec-WebSocket-Accept: {ANSWER}".encode() in short.headers
    )
    assert short.timers[-1] == 20.0 and short.clients == 1, "the ping, and nothing of the guards"


UNUSUAL = {
    "another path": request(line="GET /wss HTTP/1.1"),
    "a path below": request(line="GET /ws/ HTTP/1.1"),
    "an encoded path": request(line="GET /w%73 HTTP/1.1"),
    "a fragment": request(line="GET /ws#a HTTP/1.1"),
    "absolute": request(line="GET http://server.example:8080/ws HTTP/1.1"),
    "HTTP/1.0": request(line="GET /ws HTTP/1.0"),
    "HTTP/2": request(line="GET /ws HTTP/2.0"),
    "two blanks": request(line="GET  /ws HTTP/1.1"),
    "blank at the end": request(line="GET /ws HTTP/1.1 "),
    "quotes in the query": request(line='GET /ws?"a" HTTP/1.1'),
    "bytes in the query": request(line="GET /ws?\xe4 HTTP/1.1"),
    "a small method": request(line="get /ws HTTP/1.1"),
    "POST": request(line="POST /ws HTTP/1.1"),
    "a first empty line": b"\r\n" + request(),
    "line feeds": request().replace(b"\r\n", b"\n"),
    "a bare line feed": request(x="a\nb"),
    "a bare carriage return": request(x="a\rb"),
    "a folded line": request(x="a\r\n b"),
    "a tab": request(upgrade="\twebsocket"),
    "a NUL": request(x="a\0b"),
    "a vertical tab": request(x="a\x0bUpgrade: h2c"),
    "a next line": request(x="a\x85Host: b"),
    "bytes": request(x="\xff"),
    "no colon": request().replace(b"Upgrade: websocket", b"Upgrade websocket"),
    "no name": request().replace(b"\r\n\r\n", b"\r\n: a\r\n\r\n"),
    "a blank before the colon": request().replace(b"Host:", b"Host :"),
    "a name that is none": request().replace(b"Host:", b"Host(:"),
    "a name with an underscore": request().replace(b"\r\n\r\n", b"\r\nX_Y: a\r\n\r\n"),
    "no Host": request(host=None),
    "an empty Host": request(host=""),
    "two Hosts": request((*PLAIN, ("host", "server.example"))),
    "a bad Host": request(host="a..b"),
    "a Host with a word for a port": request(host="a:b"),
    "a Host with a user": request(host="u@server.example"),
    "no Upgrade": request(upgrade=None),
    "another Upgrade": request(upgrade="h2c"),
    "a longer Upgrade": request(upgrade="websockets"),
    "a list of Upgrades": request(upgrade="h2c, websocket"),
    "no Connection": request(connection=None),
    "keep-alive": request(connection="keep-alive"),
    "close": request(connection="close, Upgrade"),
    "two Connections": request((*PLAIN, ("Connection", "keep-alive"))),
    "no version": request(sec_websocket_version=None),
    "version 8": request(sec_websocket_version="8"),
    "version 13.0": request(sec_websocket_version="13.0"),
    "two versions": request((*PLAIN, ("Sec-WebSocket-Version", "13"))),
    "no key": request(sec_websocket_key=None),
    "a short key": request(sec_websocket_key="short"),
    "a key of other letters": request(sec_websocket_key="dGhlIHNhbXBsZSBub25j_Q=="),
    "two keys": request((*PLAIN, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))),
    "a subprotocol": request(sec_websocket_protocol="graphql-ws"),
    "a subprotocol twice": request(sec_websocket_protocol="a, a"),
    "an unknown extension": request(sec_websocket_extensions="x-webkit-deflate-frame"),
    "a wrong offer": request(sec_websocket_extensions="permessage-deflate; client_max_window_bits=99"),
    "a wrong parameter": request(sec_websocket_extensions="permessage-deflate; nonsense"),
    "two offers": request(sec_websocket_extensions="permessage-deflate, permessage-deflate"),
    "an Origin of null": request(origin="null"),
    "an Origin that is none": request(origin="nonsense"),
    "an empty Origin": request(origin=""),
    "an Origin with a port that is none": request(origin="http://a:99999"),
    "an Origin in brackets": request(origin="http://[::1"),
    "two Origins": request((*PLAIN, ("Origin", "http://a"), ("Origin", "http://b"))),
    "two forwarded lines": request((*PLAIN, ("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2"))),
    "a length": request(content_length="0"),
    "a body": request(content_length="3") + b"abc",
    "a length that is none": request(content_length="x"),
    "chunks": request(transfer_encoding="chunked") + b"0\r\n\r\n",
    "100-continue": request(expect="100-continue"),
    "a long field": request(x="a" * MAX_HEAD),
    "a field over every limit": request(x="a" * 20_000),
    "many fields": request([*PLAIN, *((f"X-{number}", "a") for number in range(MAX_FIELDS))]),
    "fields over every limit": request([*PLAIN, *((f"X-{number}", "a") for number in range(150))]),
    "a long query": request(line=f"GET /ws?{'a' * 9000} HTTP/1.1"),
    "a beginning": request()[:-2],
    "nothing of HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_whatever_is_unusual_goes_the_usual_way(data: bytes) -> None:
    assert read_upgrade(data) is None
    short, usual = both(data)
    assert short == usual


@pytest.mark.parametrize("size", [MAX_HEAD - 1, MAX_HEAD, MAX_HEAD + 1, MAX_HEAD + 2])
def test_at_the_limit_of_size_both_ways_end_the_same(size: int) -> None:
    data = request(x="").replace(b"x: ", b"x: " + b"a" * (size - len(request(x=""))))
    assert len(data) == size and (read_upgrade(data) is not None) is (size <= MAX_HEAD)
    short, usual = both(data, PING)
    assert short == usual and short.clients == 1


SETTINGS: list[tuple[str, Config, list[tuple[str, bytes]]]] = [
    (
        "origins",
        configured(allowed_origins=("https://good.example",)),
        [
            ("192.0.2.7", request(origin=each))
            for each in ("https://good.example", "https://evil.example", "https://GOOD.example", "null")
        ],
    ),
    ("connections in all", configured(max_connections=2), [("192.0.2.7", request())] * 4),
    (
        "connections from one address",
        configured(max_connections_per_ip=2),
        [("192.0.2.7", request())] * 3 + [("192.0.2.8", request())],
    ),
    (
        "proxies",
        configured(max_connections_per_ip=1, trusted_proxies=("192.0.2.0/24",)),
        [
            (address, request(x_forwarded_for=each))
            for address in ("192.0.2.7", "198.51.100.7")
            for each in ("1.1.1.1", "1.1.1.1, 192.0.2.9", "9.9.9.9, 1.1.1.2", "nonsense", "")
        ],
    ),
    (
        "no proxies",
        configured(max_connections_per_ip=1),
        [("192.0.2.7", request(x_forwarded_for=each)) for each in ("1.1.1.1", "1.1.1.2")],
    ),
    ("compression", configured(ws_deflate=True), [("192.0.2.7", request(BROWSER)), ("192.0.2.7", request())]),
]


@pytest.mark.parametrize(("config", "requests"), [each[1:] for each in SETTINGS], ids=[each[0] for each in SETTINGS])
def test_every_setting_that_concerns_a_connection_holds(config: Config, requests: list[tuple[str, bytes]]) -> None:
    outcomes = []
    for short in (True, False):
        house = House(short, config)
        peers = [house.connect(address) for address, _ in requests]
        for peer, (_, data) in zip(peers, requests, strict=True):
            peer.send(data)
        seen = [peer.outcome() for peer in peers]
        for peer in peers:
            peer.lose()
        house.time.advance(2)
        outcomes.append((seen, peers[0].outcome(), len(house.clients.sockets)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1].clients == outcomes[0][2] == house.factory.countConnections == 0
    assert len({(each.status, each.body[:4]) for each in outcomes[0][0]}) > 1, "all were served alike"


def test_compression_is_agreed_on_the_usual_way() -> None:
    short, usual = both(request(BROWSER), config=configured(ws_deflate=True))
    assert short == usual
    assert (
        any(header.startswith(b"Sec-WebSocket-Extensions: permessage-deflate") for header in short.headers)
        and short.body[0] == 0xC1
    )


def test_who_comes_while_the_server_drains_reads_503() -> None:
    house = House(True, Config())
    ensureDeferred(house.clients.drain(1))
    peer = house.connect()
    assert peer.send(request()).startswith(b"HTTP/1.1 503 ")
    assert json.loads(peer.got.partition(b"\r\n\r\n")[2])["error"]["code"] == "restarting"


def test_a_client_that_came_the_short_way_is_told_of_the_drain() -> None:
    house = House(True, Config())
    peer = house.connect()
    before = len(peer.send(request()))
    done: list[None] = []
    ensureDeferred(house.clients.drain(3)).addCallback(done.append)
    assert peer.send()[before] == 0x88 and peer.got[before + 2 : before + 4] == struct.pack("!H", 1012)
    peer.send(frame(8, struct.pack("!H", 1012)))
    peer.lose()
    assert done == [None]


@pytest.mark.parametrize("short", [True, False])
def test_what_comes_right_behind_the_request_is_served(short: bool) -> None:
    peer = House(short, Config()).connect()
    peer.send(request() + PING + PING[:9], PING[9:])
    assert peer.got.count(b'"Pong"') == 2


def test_after_another_request_an_upgrade_goes_the_usual_way() -> None:
    short, usual = both(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", request() + PING)
    assert short == usual and short.clients == 1 and b'"Pong"' in short.body


def test_a_body_that_looks_like_an_upgrade_is_a_body() -> None:
    data = request()
    short, usual = both(b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data), data)
    assert short == usual and short.status == b"HTTP/1.1 405 Method Not Allowed" and short.clients == 0


def test_the_deadline_of_the_first_request_ends_with_the_upgrade() -> None:
    house = House(True, Config())
    peer = house.connect()
    peer.send(request())
    house.time.advance(19)
    assert not peer.transport.disconnecting and b"408" not in peer.send()


CHOICES = [
    ("Host", ["server.example:8080", "[::1]", "a..b", "a:99999", None]),
    ("Upgrade", ["websocket", "WebSocket", "h2c, websocket", "websockets", None]),
    ("Connection", ["Upgrade", "keep-alive, Upgrade", "Upgrade, close", "close", "keep-alive,Upgrade", None]),
    ("Sec-WebSocket-Key", ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=", "?GhlIHNhbXBsZSBub25jZQ==", None]),
    ("Sec-WebSocket-Version", ["13", "013", "8", "13, 8", None]),
    (
        "Origin",
        [
            None,
            "https://good.example",
            "http://good.example:8080",
            "http://a:70000",
            "null",
            "file:///a",
            "",
            "nonsense",
            "http://:1",
        ],
    ),
    (
        "Sec-WebSocket-Extensions",
        [None, "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; x", "a,,b", ""],
    ),
    ("Sec-WebSocket-Protocol", [None, None, None, "a", "a, a"]),
    ("X-Forwarded-For", [None, "1.1.1.1", "a, b, 1.1.1.1", ""]),
    ("Content-Length", [None, None, None, "0", "2"]),
    ("Cookie", [None, "a=b; c", "=", "\xfc"]),
    ("X-Any", [None, "a", " ", "a\tb", "\x00", "\x0b", "\x1c", "\x85", "a" * 4000]),
]
LINES = [
    "GET /ws HTTP/1.1",
    "GET /ws?a=%ff&b=;#?",
    "GET /ws?a[0]=1 HTTP/1.1",
    "GET /ws?//[:: HTTP/1.1",
    "GET /ws?x=%zz&&= HTTP/1.1",
    "GET /ws HTTP/1.0",
]
PROXIED = configured(
    trusted_proxies=("192.0.2.0/24",), allowed_origins=("https://good.example", "http://good.example:8080")
)


@st.composite
def requests(draw: Any) -> bytes:
    """Mostly right, in any order, with at most a few things changed, doubled or mangled."""
    changed = draw(st.sets(st.sampled_from([name for name, _ in CHOICES]), max_size=3))
    fields = [(name, draw(st.sampled_from(values)) if name in changed else values[0]) for name, values in CHOICES]
    lines = [
        f"{draw(st.sampled_from([name, name.lower()]))}: {value}"
        for name, value in draw(st.permutations(fields))
        if value is not None
    ]
    if draw(st.integers(0, 9)) == 0:
        lines.append(draw(st.sampled_from(lines)))
    line = draw(st.sampled_from(LINES)) if draw(st.integers(0, 4)) == 0 else LINES[0]
    data = "\r\n".join([line, *lines, "", ""]).encode("latin-1")
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=2)) + data[at + draw(st.integers(0, 2)) :]
    return data


@st.composite
def cut(draw: Any, data: bytes) -> list[bytes]:
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    pieces = [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


FOLLOWING = [
    b"",
    PING,
    PING + frame(8, struct.pack("!H", 1000)),
    PING[:5],
    frame(9, b"x") + b"\xff\xff\xff\xff",
    b"\r\n",
    request(),
]


@settings(deadline=None, max_examples=300)
@given(
    st.tuples(requests(), st.sampled_from(FOLLOWING)).map(b"".join).flatmap(cut), st.sampled_from([Config(), PROXIED])
)
def test_both_ways_end_the_same_wherever_the_bytes_are_cut(pieces: list[bytes], config: Config) -> None:
    short, usual = both(*pieces, config=config)
    assert short == usual


# -- On a socket --


class Reactor:
    """Remembers who wants to be written; the test plays the rest."""

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


class Plain:
    """A client on a socket pair below Twisted's own TCP transport, without its reactor."""

    def __init__(self, house: House | None = None) -> None:
        self.house = house or House(True, Config())
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.reactor = Reactor(self.house.time)
        self.transport = Server(ours, self.house.site.buildProtocol(None), ("192.0.2.7", 5000), None, 1, self.reactor)
        self.transport.protocol.makeConnection(self.transport)

    def read(self) -> bytes:
        try:
            return self.socket.recv(1 << 20)
        except BlockingIOError:
            return b""

    def drained(self) -> bytes:
        data = self.read()
        while self.reactor.writers:
            for writer in list(self.reactor.writers):
                writer.doWrite()
            data += self.read()
        return data

    def close(self) -> None:
        self.socket.close()
        self.transport.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def usual() -> bytes:
    """What the usual way answers."""
    return House(False, Config()).connect().send(request())


def test_on_a_plain_socket_the_answer_leaves_first(usual: bytes) -> None:
    plain = Plain()
    plain.transport.protocol.dataReceived(request() + PING)
    data = plain.drained()
    assert data.startswith(usual) and b'"Pong"' in data[len(usual) :]
    (protocol,) = plain.house.clients.sessions
    assert protocol.writer.clean and plain.transport.protocol is protocol
    plain.close()
    plain.house.time.advance(1)
    assert not plain.house.time.getDelayedCalls() and len(plain.house.clients.sockets) == 0


def test_a_refusal_on_a_socket_follows_the_answer() -> None:
    house = House(True, configured(max_connections=1))
    house.connect().send(request())
    plain = Plain(house)
    plain.transport.protocol.dataReceived(request())
    head, _, frames = plain.drained().partition(b"\r\n\r\n")
    assert (
        head.startswith(b"HTTP/1.1 101 ")
        and frames[:1] == b"\x88"
        and frames[2:] == struct.pack("!H", 1013) + b"server is full"
    )
    plain.close()


# -- Through TLS --


class Client(Protocol):
    """Says hello and keeps what comes back."""

    def __init__(self) -> None:
        self.got = b""

    def connectionMade(self) -> None:
        self.transport.write(request())

    def dataReceived(self, data: bytes) -> None:
        self.got += data


def test_below_tls_the_short_way_is_taken_too(usual: bytes) -> None:
    from twisted.internet.endpoints import HostnameEndpoint

    house, authority, client = House(True, Config()), Authority(), Client()
    house.time.listen(
        443, TLSMemoryBIOFactory(authority.options("server.example"), False, house.site, clock=house.time)
    )
    options = optionsForClientTLS("server.example", trustRoot=authority.trust_root)
    factory = TLSMemoryBIOFactory(options, True, Factory.forProtocol(lambda: client), clock=house.time)
    HostnameEndpoint(house.time, "server.example", 443).connect(factory)
    house.time.settle()
    assert client.got == usual
    client.transport.write(PING)
    house.time.settle()
    assert b'"Pong"' in client.got
    client.transport.loseConnection()
    house.time.settle()
    assert not house.clients.sessions and len(house.clients.sockets) == 0
