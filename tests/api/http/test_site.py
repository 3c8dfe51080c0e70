"""What the HTTP port does with peers that are slow, wrong, greedy or hostile."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from cryptodash.api.fanout.read_progress import Queued
from cryptodash.api.http import sender
from cryptodash.api.http.answers import Answer
from cryptodash.api.http.guards import LINGER_S, MAX_HEADER_LINES, MAX_URL, STALL_S, TLS_HANDSHAKE_S
from cryptodash.api.http.sender import Sender
from cryptodash.api.slices import Slices
from cryptodash.api.sockets import ADDRESS_RESERVE
from cryptodash.core.config import Limits
from cryptodash.core.settings import origins
from cryptodash.testing.authority import Authority

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


def rejected(web: Any) -> dict[str, int]:
    counter = web.tally.metrics["cryptodash_http_rejected_total"]
    return {labels[0]: count for labels, count in counter.values.items()}


DRIPS = [
    ("silence", b"", b""),
    ("header drip", b"GET /health HTTP/1.1\r\nX: ", b"a"),
    ("line drip", b"GET /health HTTP/1.1\r\n", b"X: a\r\n"),
    ("body drip", b"POST /api/symbols/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", b"a"),
    (
        "chunk drip",
        b"POST /api/symbols/refresh HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\na\r\n",
    ),
    ("bare line feeds", b"GET /health HTTP/1.1\nHost: a\n\n", b"\n"),
]


@pytest.mark.parametrize(("opening", "drop"), [each[1:] for each in DRIPS], ids=[each[0] for each in DRIPS])
def test_a_request_that_is_not_complete_in_ten_seconds_is_408(web: Any, opening: bytes, drop: bytes) -> None:
    wire = web.wire()
    wire.send(opening)
    for _ in range(9):
        web.scheduler.advance(1)
        wire.send(drop)
    web.scheduler.advance(0.9)
    assert not wire.closing and wire.received() == b""
    web.scheduler.advance(0.1)
    assert (wire.response().status, wire.response().code) == (408, "request_timeout")
    assert wire.closing and rejected(web) == {"timeout": 1}
    wire.drop()
    assert not web.scheduler.getDelayedCalls()


class TcpTransport(StringTransport):
    def setTcpNoDelay(self, enabled: bool) -> None:
        """TLS says that it has what the transport below it has."""


class TlsWire:
    """A peer of the site behind TLS: bytes of the handshake, or none."""

    def __init__(self, web: Any, peer: str = "192.0.2.1") -> None:
        self.web = web
        options = Authority().options("market.example")
        factory = TLSMemoryBIOFactory(options, False, web.site, web.scheduler)
        self.transport = TcpTransport(peerAddress=IPv4Address("TCP", peer, 40000))
        self.protocol = factory.buildProtocol(self.transport.getPeer())
        self.protocol.makeConnection(self.transport)
        self.client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        self.client.set_connect_state()

    def shake_hands(self) -> None:
        for _ in range(3):
            with suppress(SSL.WantReadError):
                self.client.do_handshake()
            with suppress(SSL.WantReadError):
                self.protocol.dataReceived(self.client.bio_read(65536))
            if self.transport.value():
                self.client.bio_write(self.transport.value())
                self.transport.clear()

    def ask(self) -> bytes:
        """The answer to a request."""
        self.client.send(HEALTH)
        self.protocol.dataReceived(self.client.bio_read(65536))
        self.web.scheduler.advance(0)
        self.client.bio_write(self.transport.value())
        answer: bytes = self.client.recv(65536)
        return answer


@pytest.mark.parametrize("hello", [False, True])
def test_a_tls_handshake_that_is_not_complete_in_five_seconds_is_cut(web: Any, hello: bool) -> None:
    wire = TlsWire(web)
    assert len(web.site.sockets) == 1
    if hello:
        with suppress(SSL.WantReadError):
            wire.client.do_handshake()
        data = wire.client.bio_read(65536)
        for index in range(20):
            web.scheduler.advance(TLS_HANDSHAKE_S / 20 - 0.001)
            wire.protocol.dataReceived(data[index : index + 1])
    else:
        web.scheduler.advance(TLS_HANDSHAKE_S - 0.1)
    assert not wire.transport.disconnected
    web.scheduler.advance(0.1)
    assert wire.transport.disconnected and rejected(web) == {"tls_handshake": 1}
    wire.protocol.connectionLost(Failure(ConnectionDone()))
    assert len(web.site.sockets) == 0 and not web.scheduler.getDelayedCalls()


def test_after_the_handshake_the_requests_time_begins(web: Any) -> None:
    wire = TlsWire(web)
    web.scheduler.advance(TLS_HANDSHAKE_S - 0.1)
    wire.shake_hands()
    web.scheduler.advance(9.9)
    assert not wire.transport.disconnected
    assert wire.ask().startswith(b"HTTP/1.1 200 ")
    assert not rejected(web)


def test_sockets_count_from_the_moment_they_are_accepted(make_web: Any) -> None:
    web = make_web(limits=Limits(max_connections_per_ip=1, max_connections=2))
    wires = [web.wire() for _ in range(1 + ADDRESS_RESERVE)]
    refused = web.wire()
    assert refused.transport.disconnected and not any(wire.transport.disconnected for wire in wires)
    assert wires[-1].get("/health").status == 200
    assert len(web.site.sockets) == 1 + ADDRESS_RESERVE
    assert TlsWire(web).transport.disconnected and not TlsWire(web, "192.0.2.2").transport.disconnected
    for wire in wires:
        wire.drop()
    refused.drop()
    assert len(web.site.sockets) == 1 and web.site.sockets.charged == 1


def test_the_deadline_counts_from_each_request_of_its_own(web: Any) -> None:
    wire = web.wire()
    for _ in range(5):
        web.scheduler.advance(9)
        assert wire.get("/health").status == 200
    wire.transport.clear()
    wire.send(b"GET /hea")
    web.scheduler.advance(9.9)
    wire.send(b"l")
    web.scheduler.advance(0.1)
    assert wire.response().status == 408


def test_a_pipelined_beginning_has_its_deadline_too(web: Any) -> None:
    wire = web.wire()
    wire.send(HEALTH + b"GET /health HTTP/1.1\r\n")
    wire.transport.clear()
    web.scheduler.advance(10)
    assert wire.response().status == 408


def test_a_kept_connection_outlasts_the_60_s_of_a_balancer(web: Any) -> None:
    wire = web.wire()
    wire.get("/health")
    web.scheduler.advance(60)
    assert not wire.closing
    assert wire.get("/health").status == 200


@pytest.mark.parametrize("keep_alive_s", [75.0, 620.0])
def test_an_idle_connection_ends_after_its_own_time(make_web: Any, keep_alive_s: float) -> None:
    web = make_web() if keep_alive_s == 75 else make_web(limits=Limits(keep_alive_s=keep_alive_s))
    wire = web.wire()
    wire.get("/health")
    web.scheduler.advance(keep_alive_s - 0.1)
    assert not wire.closing
    web.scheduler.advance(0.1)
    assert wire.closing


def test_a_long_answer_is_not_cut_by_the_request_deadline(web: Any) -> None:
    wire = web.wire()
    wire.ask("/api/ticker?exchange=binance&symbol=BTC-USDT")
    web.scheduler.advance(1.5)
    web.hub.arrive(web.put_ticker())
    assert wire.response().status == 200
    web.scheduler.advance(30)
    assert not wire.closing


def test_an_upgraded_connection_lives_on(web: Any) -> None:
    wire = web.wire()
    wire.ask("/ws", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="x", Sec_WebSocket_Version="13")
    assert web.socket.upgrades == 1
    assert not web.scheduler.getDelayedCalls()


@pytest.mark.parametrize(
    ("request_line", "status_line"),
    [
        (b"GET /health", b"HTTP/1.1 200 OK"),
        (b"GET /ws", b"HTTP/1.1 426 Upgrade Required"),
        (b"GET /nope", b"HTTP/1.1 404 Not Found"),
        (b"POST /api/symbols/refresh", b"HTTP/1.1 429 Too Many Requests"),
    ],
)
def test_every_status_has_its_words(web: Any, request_line: bytes, status_line: bytes) -> None:
    web.get("/api/symbols/refresh", "POST")
    wire = web.wire()
    wire.send(request_line + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.received().partition(b"\r\n")[0] == status_line


@pytest.mark.parametrize("target", [b"http://a/health", b"HTTPS://a/health", b"http://a/health?x=1"])
def test_an_address_in_absolute_form_means_its_path(web: Any, target: bytes) -> None:
    wire = web.wire()
    wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.response().json()["status"] == "ok"


TOO_BIG = b"POST /api/symbols/refresh HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("length", [b"65537", b"67108864", b"9" * 18, b"9" * 5000])
def test_a_declared_body_over_the_limit_is_refused_before_it_comes(web: Any, length: bytes) -> None:
    wire = web.wire()
    wire.send(TOO_BIG + b"Content-Length: " + length + b"\r\n\r\n")
    assert (wire.response().status, wire.response().code) == (413, "body_too_large")
    wire.send(b"x" * 100_000)
    web.scheduler.advance(LINGER_S)
    assert wire.closing and rejected(web) == {"body": 1}


def test_a_chunked_body_is_counted(web: Any) -> None:
    wire = web.wire()
    wire.send(TOO_BIG + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(64):
        wire.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    assert wire.received() == b""
    wire.send(b"1\r\nx\r\n0\r\n\r\n")
    assert wire.response().status == 413
    assert web.hub.upstreams["binance"].refreshes == 0


def test_a_body_within_the_limit_is_fine(web: Any) -> None:
    assert web.get("/api/symbols/refresh", "POST", b"x" * 65536).status == 200


HEADS = [
    ("17 KiB header", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17 * 1024 + b"\r\n\r\n", 431),
    ("many headers of 17 KiB in all", b"GET / HTTP/1.1\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 17 + b"\r\n", 431),
    ("501 headers", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 501 + b"\r\n", 431),
    ("header line without an end", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000, 431),
    ("9 KiB address", b"GET /" + b"a" * (MAX_URL + 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("20 KiB address", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("address without an end", b"GET /" + b"a" * 40_000, 414),
    ("no HTTP", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("length and chunked", TOO_BIG + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("two lengths", TOO_BIG + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    ("signed length", TOO_BIG + b"Content-Length: +4\r\n\r\nabcd", 400),
    ("negative length", TOO_BIG + b"Content-Length: -1\r\n\r\n", 400),
    ("unknown coding", TOO_BIG + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("blank before the colon", TOO_BIG + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("0x chunk", TOO_BIG + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400),
    ("huge chunk extension", TOO_BIG + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 20_000, 400),
    ("NUL in a header", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
]


@pytest.mark.parametrize(("data", "status"), [each[1:] for each in HEADS], ids=[each[0] for each in HEADS])
@pytest.mark.parametrize("piece", [1000, 100_000])
def test_heads_that_are_too_large_or_broken_are_refused_and_closed(
    web: Any, data: bytes, status: int, piece: int
) -> None:
    wire = web.wire()
    for at in range(0, len(data), piece):
        wire.send(data[at : at + piece])
    answer = wire.response()
    assert answer.status == status and answer.json()["error"]["code"]
    assert answer.headers["connection"] == "close" and answer.headers["server"] == "cryptodash"
    before = len(wire.received())
    wire.send(HEALTH)
    assert len(wire.received()) == before, "nothing is answered after a refusal"
    web.scheduler.advance(LINGER_S)
    assert wire.closing and sum(rejected(web).values()) == 1


TEXT_HEADERS = [
    "Origin",
    "X-Forwarded-For",
    "Authorization",
    "Accept-Encoding",
    "If-None-Match",
    "Cookie",
    "User-Agent",
    "Content-Type",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "X-Anything",
]
UPGRADE_LINES = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize("target", ["GET /api/symbols", "GET /api/ticker?exchange=binance&symbol=BTC-USDT", "GET /ws"])
@pytest.mark.parametrize("name", TEXT_HEADERS)
def test_a_header_that_is_not_utf_8_is_400(make_web: Any, target: str, name: str) -> None:
    web = make_web(trusted_proxies=("192.0.2.0/24",), cors_origins=("https://example.org",), auth_token="secret")
    web.put_ticker()
    wire = web.wire()
    more = UPGRADE_LINES if target.endswith("/ws") else b""
    with capturedLogs() as logs:
        wire.send(f"{target} HTTP/1.1\r\nHost: a\r\n{name}: ".encode() + b"a\xffb\r\n" + more + b"\r\n")
    assert (wire.response().status, wire.response().code) == (400, "bad_request")
    assert logs == [] and web.socket.upgrades == 0 and rejected(web) == {"malformed": 1}
    web.scheduler.advance(LINGER_S)
    assert wire.closing


@pytest.mark.parametrize(
    "target", [b"/\xff", b"/api/ticker?symbol=\xff", b"/ws?token=\xff", b"/ws\xff", b"/api/symbols?a\xffb"]
)
def test_an_address_that_is_not_utf_8_is_400(web: Any, target: bytes) -> None:
    wire = web.wire()
    wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + UPGRADE_LINES + b"\r\n")
    assert wire.response().status == 400


@pytest.mark.parametrize("name", TEXT_HEADERS)
def test_a_header_with_letters_outside_ascii_is_fine(web: Any, name: str) -> None:
    wire = web.wire()
    wire.send(f"GET /health HTTP/1.1\r\nHost: a\r\n{name}: \u00e9\u4e16\r\n\r\n".encode())
    assert wire.response().status == 200


@pytest.mark.parametrize(
    "lines",
    [
        b"Host: a\r\nX: b\r\n c: d\r\n",
        b"Host: a\r\nX: b\r\n\tc\r\n",
        b" Host: a\r\n",
        b"X: b\r\n Host: a\r\n",
        b"Host: a\r\n \r\n",
    ],
    ids=["blank", "tab", "the first", "a folded host", "an empty one"],
)
@pytest.mark.parametrize("target", [b"/health", b"/ws"])
def test_a_folded_header_is_400(web: Any, lines: bytes, target: bytes) -> None:
    wire = web.wire()
    wire.send(b"GET " + target + b" HTTP/1.1\r\n" + lines + UPGRADE_LINES + b"\r\n")
    assert (wire.response().status, wire.response().code) == (400, "bad_request")
    assert web.socket.upgrades == 0


def test_a_hundred_headers_are_fine(web: Any) -> None:
    assert web.get("/health", **{f"X_{number}": "a" for number in range(MAX_HEADER_LINES - 1)}).status == 200


HOSTS = [
    (b"", 400),
    (b"Host: a\r\nHost: a\r\n", 400),
    (b"Host: \r\n", 400),
    (b"Host: a b\r\n", 400),
    (b"Host: a..b\r\n", 400),
    (b"Host: " + b"a" * 64 + b".test\r\n", 400),
    (b"Host: \xff\r\n", 400),
    (b"Host: a;script-src *\r\n", 400),
    (b"Host: a:port\r\n", 400),
    (b"Host: a\r\n", 200),
    (b"Host: a.example:8080\r\n", 200),
    (b"Host: [::1]:8080\r\n", 200),
]


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_exactly_one_valid_host_is_needed(web: Any, host: bytes, status: int) -> None:
    wire = web.wire()
    wire.send(b"GET /health HTTP/1.1\r\n" + host + b"\r\n")
    assert wire.response().status == status
    reason = "host" if host.isascii() else "malformed"
    assert rejected(web) == ({reason: 1} if status == 400 else {})


def test_http_1_0_needs_no_host(web: Any) -> None:
    wire = web.wire()
    wire.send(b"GET /health HTTP/1.0\r\n\r\n")
    assert wire.response().status == 200 and wire.closing


PATHS = [
    "/../etc/passwd",
    "/assets/../../setup.cfg",
    "/assets/%2e%2e/rest.py",
    "/assets/..%2frest.py",
    "/assets/%2e%2e%2frest.py",
    "/assets/..\\rest.py",
    "/assets/%5c..%5crest.py",
    "/assets/index.html%00.txt",
    "/assets/%00",
    "/assets/",
    "/assets/__init__.py",
    "/assets/nope.js",
    "/api%2fsymbols",
    "/%ff",
    "/health%0d%0aX:%20a",
    "http://evil.test/health",
    "health",
    "/" + "a/" * 2000,
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_mean_no_route_are_400_or_404(web: Any, path: str) -> None:
    answer = web.get(path)
    assert answer.status in (400, 404)
    assert answer.json()["error"]["code"] in ("bad_path", "not_found")


@pytest.mark.parametrize("path", ["/", "/health", "/nowhere", "/ws", "/api/candles", "/../x", "/metrics"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE"])
def test_every_answer_has_the_security_headers_and_a_neutral_server(web: Any, path: str, method: str) -> None:
    headers = web.get(path, method).headers
    assert headers["server"] == "cryptodash"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/", "/health", "/api/candles?exchange=binance", "/nowhere", "/ws", "*"])
def test_preflight_is_answered_on_every_path(web: Any, path: str) -> None:
    answer = web.get(
        path,
        "OPTIONS",
        Origin="https://page.test",
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="content-type",
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"
    assert "Content-Type" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api/candles"])
def test_answers_and_errors_name_the_allowed_origin(make_web: Any, path: str) -> None:
    web = make_web(cors_origins=("https://good.test",))
    good = web.get(path, Origin="https://good.test")
    assert good.headers["access-control-allow-origin"] == "https://good.test" and "Origin" in good.headers["vary"]
    for evil in ("https://evil.test", "null", "https://good.test.evil"):
        assert "access-control-allow-origin" not in web.get(path, Origin=evil).headers
        assert "access-control-allow-origin" not in web.get(path, "OPTIONS", Origin=evil).headers


def test_an_allowed_origin_may_be_written_with_capitals(make_web: Any) -> None:
    web = make_web(cors_origins=origins("https://Good.Test"))
    assert web.get("/health", Origin="https://good.test").headers["access-control-allow-origin"] == "https://good.test"


UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}


@pytest.mark.parametrize(
    ("method", "body", "headers", "status", "code"),
    [
        ("GET", b"", {}, 426, "upgrade_required"),
        ("GET", b"", {"Upgrade": "h2c"}, 426, "upgrade_required"),
        ("GET", b"", UPGRADE | {"Sec_WebSocket_Version": "7"}, 426, "upgrade_required"),
        ("POST", b"", {}, 405, "method_not_allowed"),
        ("POST", b"", UPGRADE, 405, "method_not_allowed"),
        ("GET", b"x", UPGRADE, 400, "bad_request"),
    ],
)
def test_ws_is_handed_over_only_for_an_upgrade(
    web: Any, method: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = web.get("/ws", method, body, **headers)
    assert (answer.status, answer.code, web.socket.upgrades) == (status, code, 0)
    assert status != 426 or (answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == ("websocket", "13")


def test_an_error_of_the_resource_itself_is_a_neutral_500(web: Any) -> None:
    def broken(request: Any) -> int:
        raise ValueError("secret detail")

    web.socket.render = broken
    answer = web.get("/ws", **UPGRADE)
    assert answer.json() == {"error": {"code": "internal_error", "message": "the server failed to answer"}}
    assert answer.status == 500 and answer.headers["x-content-type-options"] == "nosniff"


def test_requests_are_counted_by_route_template(web: Any) -> None:
    web.get("/health")
    web.get("/wp-admin/evil.php")
    web.get("/assets/whatever.js")
    web.get("/health", "BREW")
    wire = web.wire()
    wire.ask("/api/ticker?exchange=binance&symbol=BTC-USDT")
    wire.drop()
    counted = web.tally.metrics["cryptodash_http_requests_total"].values
    assert dict(counted) == {
        ("/health", "GET", "200"): 1,
        ("unmatched", "GET", "404"): 1,
        ("/assets/<name>", "GET", "404"): 1,
        ("/health", "other", "405"): 1,
        ("/api/ticker", "GET", "499"): 1,
    }


def test_pipelined_requests_are_answered_in_order(web: Any) -> None:
    wire = web.wire()
    wire.send(HEALTH * 500 + HEALTH.replace(b"/health", b"/nowhere"))
    statuses = re.findall(rb"HTTP/1\.1 ([0-9]+)", wire.received())
    assert statuses == [b"200"] * 500 + [b"404"]


class StuckTransport(StringTransport):
    """Takes the first 64 KiB and then asks for a pause, like a socket whose peer does not read."""

    aborted = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.value()) > 65536:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        self.aborted = True


class Big(Resource):
    """A large answer on every path."""

    isLeaf = True
    body = b""

    def __init__(self, slices: Slices) -> None:
        super().__init__()
        self.sender = Sender(slices)

    def render(self, request: Any) -> int:
        sending = ensureDeferred(
            self.sender.send(request, Answer(self.body or bytes(1_000_000), headers={"Vary": "no gzip"}))
        )
        request.notifyFinish().addErrback(lambda _: sending.cancel())
        sending.addCallbacks(lambda _: request.finish(), lambda failure: failure.trap(CancelledError))
        return NOT_DONE_YET


@pytest.fixture
def stuck(web: Any) -> Any:
    """A connection that asked for a large answer and reads nothing of it."""
    web.site.resource = Big(Slices(web.scheduler, web.scheduler))
    wire = web.wire(transport=StuckTransport())
    wire.ask("/big")
    return wire


def test_a_peer_that_reads_nothing_holds_one_slice_and_is_cut(web: Any, stuck: Any) -> None:
    assert 65536 < len(stuck.received()) < 200_000
    web.scheduler.advance(STALL_S - 0.1)
    assert not stuck.transport.aborted
    web.scheduler.advance(0.1)
    assert stuck.transport.aborted and rejected(web)["stalled"] == 1
    stuck.drop()
    assert not web.scheduler.getDelayedCalls()


def test_a_peer_that_reads_what_the_kernel_holds_is_not_cut(web: Any, stuck: Any, monkeypatch: Any) -> None:
    in_kernel = 200_000
    monkeypatch.setattr("cryptodash.api.http.guards.queued_on", lambda owner: Queued(100_000, in_kernel))
    stuck.channel.resumeProducing()
    stuck.channel.pauseProducing()
    for _ in range(4):
        in_kernel -= 40_000
        web.scheduler.advance(STALL_S)
        assert not stuck.transport.aborted
    web.scheduler.advance(STALL_S)
    assert stuck.transport.aborted and rejected(web)["stalled"] == 1


def test_a_slow_reader_that_goes_on_gets_everything(web: Any, stuck: Any) -> None:
    total = 0
    while total < 1_000_000:
        total += len(stuck.received())
        stuck.transport.clear()
        web.scheduler.advance(STALL_S - 1)
        stuck.channel.resumeProducing()
    assert not stuck.transport.aborted and not rejected(web)


def test_bodies_that_slow_readers_keep_are_bounded_and_who_took_longest_is_cut(
    web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "BODIES", 10_000_000)
    web.site.resource = big = Big(Slices(web.scheduler, web.scheduler))
    wires = [web.wire(transport=StuckTransport()) for _ in range(11)]
    for wire in wires:
        wire.ask("/big")
        assert big.sender.held <= 10_000_000
    assert [wire.transport.aborted for wire in wires] == [True] + [False] * 10
    for wire in wires:
        wire.drop()
    assert big.sender.held == 0


def test_a_body_that_many_read_counts_once(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "BODIES", 1_500_000)
    web.site.resource = big = Big(Slices(web.scheduler, web.scheduler))
    big.body = bytes(1_000_000)
    wires = [web.wire(transport=StuckTransport()) for _ in range(5)]
    for wire in wires:
        wire.ask("/big")
    assert big.sender.held == 1_000_000 and not any(wire.transport.aborted for wire in wires)


def test_a_closing_connection_whose_peer_does_not_read_is_cut(web: Any) -> None:
    wire = web.wire()
    wire.transport.abortConnection = lambda: setattr(wire, "aborted", True)
    wire.send(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert wire.closing
    web.scheduler.advance(STALL_S)
    assert wire.aborted


FRAGMENTS = [
    b"GET ",
    b"POST ",
    b"/",
    b"/health",
    b"/ws",
    b"%00",
    b"*",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"Host: a",
    b"Content-Length: ",
]
FRAGMENTS += [
    b"3",
    b"-1",
    b"9" * 4400,
    b"Transfer-Encoding: chunked",
    b"0\r\n",
    b"5;x\r\n",
    b"Upgrade: websocket",
    b":",
    b" ",
    b"\x00",
    b"\xff",
    b"abc",
]


@settings(deadline=None, max_examples=150)
@given(pieces=st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=8)), max_size=40))
def test_no_bytes_make_the_server_stumble(make_web: Any, pieces: list[bytes]) -> None:
    web = make_web()
    wire = web.wire()
    wire.send(b"GET /health HTTP/1.1\r\n")
    for piece in pieces:
        if not web.socket.upgrades:
            wire.send(piece)
    assert b" 500 " not in wire.received()
    if not web.socket.upgrades:
        web.scheduler.pump([5] * 30)
        assert wire.closing
        wire.drop()
    assert not web.scheduler.getDelayedCalls()


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/api/exchanges", "/api/streams", "/api/quality"])
def test_a_process_without_clients_answers_its_operator(make_web: Any, path: str) -> None:
    assert make_web(role="ingest").get(path).status == 200


@pytest.mark.parametrize("path", ["/", "/ws", "/api/symbols", "/api/ticker?symbol=BTC-USDT", "/assets/page.js", "/no"])
def test_a_process_without_clients_says_so_to_all_others(make_web: Any, path: str) -> None:
    web = make_web(role="ingest")
    answer = web.get(path)
    assert answer.status == 503
    assert answer.json() == {
        "error": {
            "code": "no_clients",
            "message": "this process serves no clients (ROLE=ingest): ask another one",
        }
    }
    assert web.tally.metrics["cryptodash_http_rejected_total"].values["role",] == 1
