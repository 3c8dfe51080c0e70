"""CONNECT through an HTTP proxy, for WebSocket and REST alike."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.client import Agent, readBody
from twisted.web.resource import Resource
from twisted.web.server import Site

from cryptodash.core.errors import ConfigError
from cryptodash.exchanges.transport.dialer import ConnectEndpoint, Dialer, ProxyRefused, failure_kind, failure_text
from cryptodash.testing.authority import Authority
from cryptodash.testing.network import MemoryNetwork

VENUE = "api.example"


class Echo(Protocol):
    """What runs at the far end, or above the tunnel: it keeps what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        self.lost = reason


class Proxy(Protocol):
    """A proxy that gives one answer, then lets the bytes through to a protocol of ``target``."""

    def __init__(self, answer: bytes, target: Any) -> None:
        self.answer, self.target = answer, target
        self.head = b""
        self.far: Any = None

    def dataReceived(self, data: bytes) -> None:
        if self.far is not None:
            self.far.dataReceived(data)
            return
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.transport.write(self.answer)
            if b" 200" in self.answer:
                self.far = self.target.buildProtocol(None)
                self.far.makeConnection(self.transport)

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        if self.far is not None:
            self.far.connectionLost(reason)


class ProxyFactory(Factory):
    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n", target: Any = None) -> None:
        self.answer, self.target = answer, target or Factory.forProtocol(Echo)
        self.seen: list[Proxy] = []

    def buildProtocol(self, addr: object) -> Proxy:
        self.seen.append(Proxy(self.answer, self.target))
        return self.seen[-1]


@pytest.fixture
def network() -> Any:
    network = MemoryNetwork()
    yield network
    assert network.getDelayedCalls() == []


def connect(network: MemoryNetwork, proxy: Any, **options: Any) -> Deferred[Any]:
    network.listen(3128, proxy)
    endpoint = ConnectEndpoint(HostnameEndpoint(network, "proxy.example", 3128), VENUE, 443, network, **options)
    connected = endpoint.connect(Factory.forProtocol(Echo))
    network.settle()
    return connected


def refusal(connected: Deferred[Any]) -> ProxyRefused:
    caught: list[Failure] = []
    connected.addErrback(caught.append)
    assert caught and caught[0].check(ProxyRefused), caught
    error = caught[0].value
    assert isinstance(error, ProxyRefused)
    return error


def test_asks_for_the_target_and_hands_on_the_bytes(network: MemoryNetwork) -> None:
    proxy = ProxyFactory()
    above = connect(network, proxy).result
    assert isinstance(above, Echo)
    assert proxy.seen[0].head == b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n"
    above.transport.write(b"up")
    proxy.seen[0].transport.write(b"down")
    network.settle()
    assert above.got == b"down" and proxy.seen[0].far.got == b"up"
    proxy.seen[0].transport.loseConnection()
    network.settle()
    assert above.lost is not None


def test_bytes_behind_the_answer_belong_to_the_target(network: MemoryNetwork) -> None:
    above = connect(network, ProxyFactory(b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\nearly")).result
    assert above.got == b"early"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "other credentials (407)"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot reach the venue (502 Bad Gateway)"),
        (b"HTTP/1.1 504\r\n\r\n", "cannot reach the venue (504)"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refused the connection (403 Forbidden)"),
        (b"HTTP/1.1 301 Moved\r\n\r\n", "refused the connection (301 Moved)"),
        (b"SSH-2.0-x\r\n\r\n", "HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "HTTP"),
        (b"\r\n\r\n", "HTTP"),
        (b"HTTP/1.1 2" + b"00" * 9000, "longer than 16 KiB"),
    ],
)
def test_a_refusal_says_why(network: MemoryNetwork, answer: bytes, words: str) -> None:
    connected = connect(network, ProxyFactory(answer))
    error = refusal(connected)
    assert words in str(error)
    network.settle()
    assert network.wires[0].server.connected == 0, "the connection is dropped"


def test_a_proxy_that_hangs_up(network: MemoryNetwork) -> None:
    class Rude(Protocol):
        def dataReceived(self, data: bytes) -> None:
            self.transport.loseConnection()

    assert "without an answer" in str(refusal(connect(network, Factory.forProtocol(Rude))))


def test_a_silent_proxy_is_given_ten_seconds(network: MemoryNetwork) -> None:
    connected = connect(network, Factory.forProtocol(Protocol))
    network.pass_time(9.5)
    assert not connected.called
    network.pass_time(1)
    assert "within 10 s" in str(refusal(connected))
    assert network.wires[0].client.connected == 0


def test_cancelling_drops_the_connection(network: MemoryNetwork) -> None:
    connected = connect(network, Factory.forProtocol(Protocol))
    connected.addErrback(lambda failure: None)
    connected.cancel()
    network.settle()
    assert network.wires[0].client.connected == 0


def test_credentials_are_sent_and_shown_nowhere(network: MemoryNetwork) -> None:
    proxy = ProxyFactory(b"HTTP/1.1 407 No\r\n\r\n")
    network.listen(8888, proxy)
    dialer = Dialer(network, "http://us%40er:p%3Ass@proxy.example:8888")
    connected = dialer.endpoint(VENUE, 443, True).connect(Factory.forProtocol(Echo))
    network.settle()
    error = refusal(connected)
    assert b"\r\nProxy-Authorization: Basic " + b64encode(b"us@er:p:ss") + b"\r\n" in proxy.seen[0].head
    assert "p:ss" not in str(error) + repr(vars(dialer)) and "p%3A" not in str(error) + repr(vars(dialer))


@pytest.mark.parametrize(
    "url",
    [
        "socks5://a:secret@proxy:1080",
        "http://a:secret@",
        "http://a:secret@p:0",
        "http://a:secret@p:port",
        "http://a:secret@p:99999",
    ],
)
def test_a_wrong_proxy_url_is_a_setting_error_without_the_url(network: MemoryNetwork, url: str) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY must be") as caught:
        Dialer(network, url)
    assert "secret" not in str(caught.value)


def test_only_tls_connections_take_the_proxy(network: MemoryNetwork) -> None:
    network.listen(80, Factory.forProtocol(Echo))
    dialer = Dialer(network, "proxy.example:3128")
    connected = dialer.endpoint("localhost", 80, False).connect(Factory.forProtocol(Echo))
    network.settle()
    assert isinstance(connected.result, Echo)
    assert network.names == ["localhost"]


@pytest.mark.parametrize(
    ("host", "no_proxy", "asked"),
    [
        (VENUE, "", "proxy.example"),
        (VENUE, "other.example", "proxy.example"),
        (VENUE, "api.example:8443", "proxy.example"),
        (VENUE, "api.example", VENUE),
        (VENUE, "other.example,.example:443", VENUE),
        (VENUE, "*", VENUE),
        ("localhost", "", "localhost"),
        ("venue.localhost", "", "venue.localhost"),
    ],
)
def test_some_hosts_are_reached_without_the_proxy(network: MemoryNetwork, host: str, no_proxy: str, asked: str) -> None:
    dialer = Dialer(network, "http://proxy.example:3128", no_proxy=no_proxy)
    connected = dialer.endpoint(host, 443, True).connect(Factory.forProtocol(Echo))
    connected.addErrback(lambda failure: None)
    network.pass_time(1)
    assert network.names == [asked]


def test_rest_over_tls_over_a_tunnel(network: MemoryNetwork) -> None:
    class Answer(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return b"good " + request.path

    authority = Authority()
    target = TLSMemoryBIOFactory(authority.options(VENUE), False, Site(Answer(), reactor=network), clock=network)
    proxy = ProxyFactory(target=target)
    network.listen(3128, proxy)
    dialer = Dialer(network, "http://proxy.example:3128", trust_root=authority.trust_root)
    agent = Agent.usingEndpointFactory(network, dialer)
    body = agent.request(b"GET", b"https://api.example/time").addCallback(lambda response: response)
    network.settle()
    response = body.result
    assert response.code == 200
    assert network.names == ["proxy.example"], "the target's name is the proxy's to resolve"
    wire = network.wires[0]
    assert b"GET /time" not in wire.client.written
    with pytest.warns(DeprecationWarning, match="abortConnection"):
        read = readBody(response)
    network.settle()
    assert read.result == b"good /time"
    wire.client.abortConnection()
    network.pass_time(61)


def test_a_target_with_another_name_is_refused_through_the_tunnel_too(network: MemoryNetwork) -> None:
    authority = Authority()
    target = TLSMemoryBIOFactory(authority.options("evil.example"), False, Factory.forProtocol(Echo), clock=network)
    network.listen(3128, ProxyFactory(target=target))
    dialer = Dialer(network, "http://proxy.example:3128", trust_root=authority.trust_root)
    request = Agent.usingEndpointFactory(network, dialer).request(b"GET", b"https://api.example/time")
    caught: list[Failure] = []
    request.addErrback(caught.append)
    network.settle()
    error = caught[0].value
    assert error is not None
    assert failure_kind(error) == "tls" and len(failure_text(error)) <= 200


def test_the_proxy_itself_may_be_behind_tls(network: MemoryNetwork) -> None:
    authority = Authority()
    inner = TLSMemoryBIOFactory(authority.options(VENUE), False, Factory.forProtocol(Echo), clock=network)
    proxy = ProxyFactory(target=inner)
    network.listen(443, TLSMemoryBIOFactory(authority.options("proxy.example"), False, proxy, clock=network))
    dialer = Dialer(network, "https://user:secret@proxy.example", trust_root=authority.trust_root)
    connected = dialer.endpoint(VENUE, 443, True).connect(Factory.forProtocol(Echo))
    network.settle()
    connected.result.transport.write(b"deep")
    network.settle()
    assert proxy.seen[0].far.wrappedProtocol.got == b"deep"
    assert b"CONNECT" not in network.wires[0].client.written


@pytest.mark.parametrize(
    ("error", "kind"),
    [(DNSLookupError("x"), "dns"), (ConnectionRefusedError(), "tcp"), (ProxyRefused("no"), "tcp")],
)
def test_failures_have_a_kind_and_a_text(error: Exception, kind: str) -> None:
    assert failure_kind(error) == kind
    assert type(error).__name__ in failure_text(error)
