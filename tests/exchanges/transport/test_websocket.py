"""One upstream WebSocket against real servers over a network in memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory

from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.websocket import Handlers, VenueSocket
from cryptodash.exchanges.transport.websocket_protocol import MAX_FRAME
from cryptodash.testing.authority import Authority
from cryptodash.testing.network import MemoryNetwork

HOST = "stream.example"


class Venue(WebSocketServerProtocol):
    """A server that remembers what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []
        self.pongs: list[bytes] = []
        self.ended: tuple[bool, int | None] | None = None

    def onConnect(self, request: Any) -> None:
        self.request = request

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(payload)

    def onPong(self, payload: bytes) -> None:
        self.pongs.append(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.ended = (wasClean, code)


class VenueFactory(WebSocketServerFactory):
    protocol = Venue

    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__("ws://localhost", reactor=network)
        self.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0, failByDrop=False)
        self.seen: list[Venue] = []

    def buildProtocol(self, addr: object) -> Venue:
        venue = Venue()
        venue.factory = self
        self.seen.append(venue)
        return venue


class Raw(Protocol):
    """A server that answers the first bytes with fixed ones and remembers everything."""

    def __init__(self, answer: bytes, then_close: bool) -> None:
        self.answer, self.then_close, self.got = answer, then_close, b""

    def dataReceived(self, data: bytes) -> None:
        first, self.got = not self.got, self.got + data
        if first:
            self.transport.write(self.answer)
            if self.then_close:
                self.transport.loseConnection()


def raw(answer: bytes, *, then_close: bool = False) -> Factory:
    return Factory.forProtocol(lambda: Raw(answer, then_close))


class Heard:
    """What a feed told its owner."""

    def __init__(self) -> None:
        self.opened = 0
        self.frames: list[bytes] = []
        self.signs = 0
        self.closed: list[Closed] = []

    def handlers(self, frame: Callable[[bytes], None] | None = None) -> Handlers:
        def opened() -> None:
            self.opened += 1

        def heard() -> None:
            self.signs += 1

        def frames(payloads: Sequence[bytes]) -> None:
            for payload in payloads:
                (frame or self.frames.append)(payload)

        return Handlers(opened, frames, heard, lambda: None, self.closed.append)


@pytest.fixture
def network() -> Any:
    network = MemoryNetwork()
    yield network
    assert network.getDelayedCalls() == [], "a timer was left behind"


@pytest.fixture
def heard() -> Heard:
    return Heard()


def start(
    network: MemoryNetwork, heard: Heard, url: str = f"ws://{HOST}:9443/stream?streams=a/b", **dialing: Any
) -> VenueSocket:
    feed = VenueSocket(url, Dialer(network, **dialing), network, heard.handlers(), gap=0.3)
    feed.open()
    network.settle()
    return feed


def opened(network: MemoryNetwork, heard: Heard) -> tuple[VenueSocket, Venue]:
    factory = VenueFactory(network)
    network.listen(9443, factory)
    feed = start(network, heard)
    assert heard.opened == 1 and not heard.closed
    return feed, factory.seen[0]


def end(network: MemoryNetwork, feed: VenueSocket) -> None:
    feed.abort()
    network.settle()


def test_opens_sends_and_receives_text(network: MemoryNetwork, heard: Heard) -> None:
    feed, venue = opened(network, heard)
    assert venue.request.path == "/stream" and venue.request.params == {"streams": ["a/b"]}
    assert venue.request.headers["user-agent"].startswith("cryptodash/")
    assert "sec-websocket-extensions" not in venue.request.headers
    feed.send(b'{"id":1}')
    venue.sendMessage(b'{"e":"\xc3\xa4"}')
    venue.sendMessage(b"x" * 100_000, fragmentSize=1000)
    network.settle()
    assert venue.got == [b'{"id":1}']
    assert heard.frames == [b'{"e":"\xc3\xa4"}', b"x" * 100_000]
    end(network, feed)


def test_a_binary_frame_counts_as_an_unreadable_one(network: MemoryNetwork, heard: Heard) -> None:
    feed, venue = opened(network, heard)
    venue.sendMessage(b'{"looks":"good"}', isBinary=True)
    network.settle()
    assert heard.frames == [b""] and not heard.closed
    end(network, feed)


def test_close_is_polite_and_told_once(network: MemoryNetwork, heard: Heard) -> None:
    feed, venue = opened(network, heard)
    feed.close("rollover")
    venue.sendMessage(b"too late")
    network.settle()
    assert venue.ended == (True, 1000)
    feed.close()
    feed.abort()
    feed.send(b"nobody reads this")
    network.settle()
    assert heard.closed == [Closed("local", code=1000, reason="rollover")]
    assert heard.frames == []


def test_a_peer_that_does_not_answer_the_close_is_dropped_after_a_second(network: MemoryNetwork, heard: Heard) -> None:
    feed, _ = opened(network, heard)
    network.wires[0].frozen = True
    feed.close()
    network.pass_time(0.9)
    assert heard.closed == []
    network.pass_time(0.2)
    assert heard.closed == [Closed("local", code=1000)]


def test_abort_needs_no_peer(network: MemoryNetwork, heard: Heard) -> None:
    feed, _ = opened(network, heard)
    network.wires[0].frozen = True
    feed.abort("idle")
    network.settle()
    assert heard.closed == [Closed("local", reason="idle")]


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1012, 4000])
def test_the_peers_close_code_is_told(network: MemoryNetwork, heard: Heard, code: int) -> None:
    _, venue = opened(network, heard)
    venue.sendCloseFrame(code=code, reasonUtf8=b"maintenance")
    network.settle()
    assert heard.closed == [Closed("remote", code=code, reason="maintenance")]


def test_a_peer_that_says_goodbye_and_stays_is_dropped(network: MemoryNetwork, heard: Heard) -> None:
    _, venue = opened(network, heard)
    venue.dropConnection = lambda abort=False: None  # type: ignore[method-assign]
    venue.sendCloseFrame(code=1001)
    network.settle()
    assert heard.closed == []
    network.pass_time(1.1)
    assert [(how.kind, how.code) for how in heard.closed] == [("remote", 1006)]


def test_a_lost_connection_is_1006(network: MemoryNetwork, heard: Heard) -> None:
    opened(network, heard)
    network.wires[0].server.abortConnection()
    network.settle()
    assert [(how.kind, how.code) for how in heard.closed] == [("remote", 1006)]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x03\xff\xfe\xfd", 1007),
        (b"\x83\x00", 1002),
        (b"\x81\x7f" + struct.pack("!Q", MAX_FRAME + 1), 1009),
        (b"\x81\x7f" + struct.pack("!Q", 2**62), 1009),
        (b"\x89\x7e\x00\x80" + b"p" * 128, 1002),
    ],
    ids=["invalid UTF-8", "reserved opcode", "frame over 4 MiB", "a frame of 2**62 bytes", "oversized ping"],
)
def test_what_breaks_the_protocol_ends_with_our_code(
    network: MemoryNetwork, heard: Heard, sent: bytes, code: int
) -> None:
    opened(network, heard)
    network.wires[0].server.write(sent)
    network.pass_time(1.1)
    assert [(how.kind, how.code) for how in heard.closed] == [("local", code)]
    assert heard.frames == []


def test_many_fragments_over_the_message_limit_are_too_big(network: MemoryNetwork, heard: Heard) -> None:
    opened(network, heard)
    piece = b"\x00\x7f" + struct.pack("!Q", 3 * 1024 * 1024) + b"y" * (3 * 1024 * 1024)
    server = network.wires[0].server
    server.write(b"\x01" + piece[1:])
    for _ in range(6):
        server.write(piece)
    network.pass_time(1.1)
    assert [(how.kind, how.code) for how in heard.closed] == [("local", 1009)]


def test_pings_are_answered_and_count_as_a_sign_of_life(network: MemoryNetwork, heard: Heard) -> None:
    feed, venue = opened(network, heard)
    venue.sendPing(b"123")
    network.settle()
    assert venue.pongs == [b"123"]
    venue.sendPong(b"unasked")
    network.settle()
    assert heard.signs == 2
    end(network, feed)


def test_a_ping_flood_gets_spaced_pongs_with_the_latest_payload(network: MemoryNetwork, heard: Heard) -> None:
    feed, venue = opened(network, heard)
    network.pass_time(5)
    for number in range(1000):
        venue.sendPing(b"%d" % number)
    network.settle()
    assert venue.pongs == [b"0"]
    network.pass_time(2)
    assert venue.pongs == [b"0", b"999"]
    for number in range(3):
        venue.sendPing(b"again %d" % number)
    network.settle()
    end(network, feed)


def test_no_timer_outlives_a_connection_with_an_owed_pong(network: MemoryNetwork, heard: Heard) -> None:
    feed, venue = opened(network, heard)
    for _ in range(3):
        venue.sendPing(b"")
    network.settle()
    feed.close()
    network.settle()
    assert len(heard.closed) == 1


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, None),
        (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n", 429, 7.0),
        (b"HTTP/1.1 418 I'm a teapot\r\nRetry-After: 99999999999\r\n\r\n", 418, None),
        (b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 99999999\r\n\r\n", 503, 604800.0),
        (b"HTTP/1.1 451\r\n\r\n", 451, None),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", 200, None),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", None, None),
        (b"SSH-2.0-OpenSSH\r\n\r\n", None, None),
        (b"\xff\xfe\xfd\xfc\r\n\r\n", None, None),
        (b"\r\n\r\n", None, None),
        (b"HTTP/1.1 " + b"9" * 5000 + b" x\r\n\r\n", None, None),
    ],
)
def test_a_refused_upgrade_tells_its_status(
    network: MemoryNetwork, heard: Heard, answer: bytes, status: int | None, retry_after: float | None
) -> None:
    network.listen(9443, raw(answer))
    start(network, heard)
    assert heard.opened == 0
    [how] = heard.closed
    assert (how.kind, how.status, how.retry_after) == ("http", status, retry_after)
    assert len(how.reason) <= 200


def test_an_endless_answer_to_the_handshake_is_cut_off(network: MemoryNetwork, heard: Heard) -> None:
    network.listen(9443, raw(b"HTTP/1.1 101 Switching\r\n" + b"X: y\r\n" * 10_000))
    start(network, heard)
    network.wires[0].server.write(b"X: y\r\n")
    network.settle()
    assert [how.kind for how in heard.closed] == ["http"]


def test_a_peer_that_hangs_up_instead_of_answering(network: MemoryNetwork, heard: Heard) -> None:
    network.listen(9443, raw(b"", then_close=True))
    start(network, heard)
    assert [(how.kind, how.code) for how in heard.closed] == [("remote", 1006)]


def test_frames_behind_the_handshake_in_one_piece_are_not_lost(network: MemoryNetwork, heard: Heard) -> None:
    factory = VenueFactory(network)

    class Eager(Venue):
        def onOpen(self) -> None:
            self.sendMessage(b"first")
            self.sendMessage(b"second")

    factory.buildProtocol = lambda addr: _built(Eager(), factory)  # type: ignore[method-assign]
    network.listen(9443, factory)
    feed = start(network, heard)
    assert heard.frames == [b"first", b"second"]
    end(network, feed)


def _built(venue: Venue, factory: VenueFactory) -> Venue:
    venue.factory = factory
    return venue


def test_an_unknown_name(network: MemoryNetwork, heard: Heard) -> None:
    network.unknown_names.add(HOST)
    start(network, heard)
    assert [how.kind for how in heard.closed] == ["dns"]


def test_a_refused_port(network: MemoryNetwork, heard: Heard) -> None:
    start(network, heard)
    network.pass_time(1)
    assert [how.kind for how in heard.closed] == ["tcp"]


@pytest.mark.parametrize(
    ("prepare", "kind", "reason"),
    [
        (lambda network: network.hanging_names.add(HOST), "tcp", "no TCP connection within 10 s"),
        (lambda network: network.deaf_ports.add(9443), "tcp", ""),
        (
            lambda network: network.listen(9443, Factory.forProtocol(Protocol)),
            "timeout",
            "no answer to the WebSocket handshake within 10 s",
        ),
    ],
    ids=["resolver", "TCP", "upgrade"],
)
def test_silence_while_opening_ends_after_ten_seconds(
    network: MemoryNetwork, heard: Heard, prepare: Callable[[MemoryNetwork], None], kind: str, reason: str
) -> None:
    prepare(network)
    start(network, heard)
    network.pass_time(9.4)
    assert heard.closed == []
    network.pass_time(0.7)
    [how] = heard.closed
    assert how.kind == kind and reason in how.reason


def test_aborting_while_connecting_is_told_as_ours(network: MemoryNetwork, heard: Heard) -> None:
    network.deaf_ports.add(9443)
    feed = start(network, heard)
    feed.abort("shutdown")
    network.settle()
    assert heard.closed == [Closed("local", reason="shutdown")]
    assert network.attempts == []


@pytest.mark.parametrize("url", ["http://x/", "ws://", "ws://host:99999/", "nonsense"])
def test_a_wrong_url_is_told_later_not_raised(network: MemoryNetwork, heard: Heard, url: str) -> None:
    feed = VenueSocket(url, Dialer(network), network, heard.handlers())
    feed.open()
    assert heard.closed == []
    network.settle()
    assert [how.kind for how in heard.closed] == ["local"]


def test_an_error_of_the_owner_drops_the_connection_and_goes_no_further(network: MemoryNetwork, heard: Heard) -> None:
    factory = VenueFactory(network)
    network.listen(9443, factory)

    def clumsy(frame: bytes) -> None:
        raise RuntimeError("a bug")

    feed = VenueSocket(f"ws://{HOST}:9443/", Dialer(network), network, heard.handlers(frame=clumsy))
    feed.open()
    network.settle()
    factory.seen[0].sendMessage(b"{}")
    factory.seen[0].sendMessage(b"{}")
    network.settle()
    assert heard.closed == [Closed("local", reason="our own error")]


def secure_venue(network: MemoryNetwork, authority: Authority, host: str = HOST, *, days: int = 1) -> VenueFactory:
    factory = VenueFactory(network)
    network.listen(443, TLSMemoryBIOFactory(authority.options(host, days=days), False, factory, clock=network))
    return factory


def test_tls_with_the_right_name_and_a_trusted_authority(network: MemoryNetwork, heard: Heard) -> None:
    authority = Authority()
    factory = secure_venue(network, authority)
    feed = start(network, heard, f"wss://{HOST}/stream", trust_root=authority.trust_root)
    assert heard.opened == 1
    factory.seen[0].sendMessage(b"secret")
    feed.send(b"answer")
    network.settle()
    assert heard.frames == [b"secret"] and factory.seen[0].got == [b"answer"]
    assert b"answer" not in network.wires[0].client.written and b"GET" not in network.wires[0].client.written
    feed.close()
    network.pass_time(1.1)
    assert len(heard.closed) == 1


@pytest.mark.parametrize(
    ("served", "trusted", "days"),
    [("other.example", True, 1), (HOST, False, 1), (HOST, True, -1)],
    ids=["wrong name", "unknown authority", "expired"],
)
def test_a_bad_certificate_is_refused(
    network: MemoryNetwork, heard: Heard, served: str, trusted: bool, days: int
) -> None:
    authority = Authority()
    factory = secure_venue(network, authority, served, days=days)
    start(network, heard, f"wss://{HOST}/stream", trust_root=(authority if trusted else Authority()).trust_root)
    assert heard.opened == 0
    assert [how.kind for how in heard.closed] == ["tls"]
    assert all(not hasattr(venue, "request") for venue in factory.seen), (
        "nothing was sent before the certificate was checked"
    )


def test_a_tls_handshake_that_never_ends(network: MemoryNetwork, heard: Heard) -> None:
    network.listen(443, Factory.forProtocol(Protocol))
    start(network, heard, f"wss://{HOST}/stream", trust_root=Authority().trust_root)
    network.pass_time(10.1)
    assert heard.closed == [Closed("timeout", reason="TLS handshake not finished within 10 s")]


def test_a_host_whose_name_cannot_be_one_ends_it_after_open_has_returned(network: MemoryNetwork, heard: Heard) -> None:
    feed = VenueSocket("ws://a..example/", Dialer(network), network, heard.handlers())
    feed.open()
    assert heard.closed == []
    network.pass_time(0.1)
    assert [each.kind for each in heard.closed] == ["tcp"]
