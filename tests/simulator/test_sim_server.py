"""The simulator as bytes: real HTTP and WebSocket conversations over memory, and the control port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import txaio
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.test.iosim import FakeTransport, IOPump

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import MarketType
from cryptodash.core.time import ManualClock
from cryptodash.simulator.control import CONTROL_PORT
from cryptodash.simulator.server import Simulator
from cryptodash.simulator.websocket import VenueProtocol

HERE = IPv4Address("TCP", "127.0.0.1", 40_000)


@pytest.fixture(autouse=True)
def _autobahn_clock(world) -> Iterator[None]:
    before = txaio.config.loop
    txaio.config.loop = world.reactor
    yield
    txaio.config.loop = before


class _Client(WebSocketClientProtocol):
    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []
        self.left: tuple[int | None, str | None] | None = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(msgspec.json.decode(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.left = (code, reason)


class _Raw(Protocol):
    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


def _dial(world, host: str, client: Protocol) -> Callable[[], None]:
    """Connect a client protocol to a host's port; the result moves all waiting bytes."""
    index = list(world.simulator.hosts).index(host)
    return _join(client, world.reactor.tcpServers[index][1].buildProtocol(HERE))


def _join(client: Protocol, server: Any) -> Callable[[], None]:
    ends = FakeTransport(client, isServer=False), FakeTransport(server, isServer=True)
    pump = IOPump(client, server, ends[0], ends[1], debug=False)
    server.makeConnection(ends[1])
    client.makeConnection(ends[0])
    pump.flush()
    return pump.flush


def _websocket(world, host: str, path: str) -> tuple[_Client, Callable[[], None]]:
    factory = WebSocketClientFactory(f"ws://127.0.0.1:1{path}", reactor=world.reactor)
    factory.protocol = _Client
    factory.setProtocolOptions(failByDrop=False, echoCloseCodeReason=True)
    client = factory.buildProtocol(HERE)
    return client, _dial(world, host, client)


def _http(world, host: str, request: bytes) -> bytes:
    client = _Raw()
    flush = _dial(world, host, client)
    client.transport.write(request)
    flush()
    world.run(0.1)
    flush()
    client.transport.loseConnection()
    flush()
    return client.data


def test_a_client_subscribes_over_the_wire(world) -> None:
    client, flush = _websocket(world, "binance-spot", "/stream?streams=ethusdt@bookTicker")
    client.sendMessage(b'{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}')
    for _ in range(30):
        flush()
        world.run(0.1)
    flush()
    assert {"result": None, "id": 1} in client.got
    assert {frame.get("stream") for frame in client.got} == {None, "btcusdt@bookTicker", "ethusdt@bookTicker"}
    client.sendClose(1000)
    flush()
    assert client.left[0] == 1000
    assert world.simulator.hosts["binance-spot"].sessions == {}
    assert world.simulator.hosts["binance-spot"].streams == {}


def test_a_venues_frame_may_be_longer_than_a_clients(world) -> None:
    client, flush = _websocket(world, "coinbase", "/")
    client.sendMessage(b'{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}')
    flush()
    assert len(client.got[0]["events"][0]["updates"]) > 40_000
    client.sendMessage(b" " * 300_000)
    flush()
    assert client.left is not None and client.left[0] == 1009


def test_pings_go_both_ways(world) -> None:
    client, flush = _websocket(world, "binance-spot", "/ws")
    (session,) = world.simulator.hosts["binance-spot"].sessions
    world.run(20.1)
    assert session.pinged is not None
    flush()
    assert session.pinged is None
    client.sendPing(b"x")
    flush()
    assert world.simulator.ledger["binance-spot"].messages == 2


def test_a_flood_is_closed_with_1008(world) -> None:
    client, flush = _websocket(world, "binance-spot", "/ws")
    for _ in range(6):
        client.sendMessage(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
    flush()
    assert client.left == (1008, "Too many requests")


def test_binary_frames_are_ignored(world) -> None:
    client, flush = _websocket(world, "bybit", "/v5/public/spot")
    client.sendMessage(b'{"op":"ping"}', isBinary=True)
    flush()
    world.run(0.3)
    flush()
    assert client.got == []
    assert client.left is None


def test_a_fault_drops_connections_without_a_close_frame(world) -> None:
    client, flush = _websocket(world, "bybit", "/v5/public/linear")
    world.simulator.faults.start("bybit", "drop")
    flush()
    assert client.left[0] == 1006


def test_a_client_that_does_not_read_is_cut(world) -> None:
    _client, flush = _websocket(world, "binance-spot", "/ws/btcusdt@trade")
    (session,) = world.simulator.hosts["binance-spot"].sessions
    protocol = session.transport
    assert isinstance(protocol, VenueProtocol)
    assert IPushProducer.providedBy(protocol)
    protocol.pauseProducing()
    world.run(5)
    protocol.resumeProducing()
    world.run(30)
    assert session.is_open
    protocol.pauseProducing()
    world.run(11)
    flush()
    assert not session.is_open


@pytest.mark.parametrize(
    ("fault", "status"),
    [(None, b"101"), ("451", b"451"), ("maintenance", b"503")],
)
def test_upgrades_are_refused_in_http(world, fault: str | None, status: bytes) -> None:
    if fault is not None:
        world.simulator.faults.start("binance", fault, seconds=20)
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert _http(world, "binance-spot", upgrade).split(b" ")[1] == status


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /api/v3/time", b"200"),
        (b"GET /api/v3/exchangeInfo?symbol=BTCUSDT", b"200"),
        (b"GET /ws", b"404"),
        (b"POST /api/v3/time", b"405"),
        (b"GET /%00", b"404"),
        (b"GET /api/v3/depth?symbol=%FF%FE", b"400"),
    ],
)
def test_plain_requests(world, request_line: bytes, status: bytes) -> None:
    assert (
        _http(world, "binance-spot", request_line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").split(b" ")[1]
        == status
    )


def test_rest_answers_carry_the_used_weight(world) -> None:
    head = _http(
        world, "binance-spot", b"GET /api/v3/depth?symbol=BTCUSDT&limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n"
    ).partition(b"\r\n\r\n")[0]
    assert b"x-mbx-used-weight-1m: 50" in head.lower()


def test_slow_rest_answers_come_two_seconds_late(world) -> None:
    world.simulator.faults.start("bybit", "slow", seconds=5, delay=2)
    client = _Raw()
    flush = _dial(world, "bybit", client)
    client.transport.write(b"GET /v5/market/time HTTP/1.1\r\nHost: x\r\n\r\n")
    flush()
    world.run(1.8)
    flush()
    assert client.data == b""
    world.run(0.4)
    flush()
    assert client.data.startswith(b"HTTP/1.1 200")
    client.transport.loseConnection()
    flush()


def test_the_date_of_an_answer_is_by_the_stepped_clock(world) -> None:
    request = b"GET /api/v3/time HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b"Date: Sat, 22 Nov 2025 11:33:54 GMT" in _http(world, "binance-spot", request)
    world.simulator.faults.start("binance", "clock", step=-3_600)
    assert b"Date: Sat, 22 Nov 2025 10:33:54 GMT" in _http(world, "binance-spot", request)


def test_hosts_name_every_market_once_listening() -> None:
    reactor, clock = MemoryReactorClock(), ManualClock()
    simulator = Simulator(reactor, clock, first_port=18_000, control_port=CONTROL_PORT)
    assert simulator.base_urls == {}
    simulator.listen()
    simulator.listen()
    assert [server[0] for server in reactor.tcpServers] == [*range(18_000, 18_000 + len(simulator.hosts)), 8_099]
    assert {server[3] for server in reactor.tcpServers} == {"127.0.0.1"}
    assert simulator.base_urls.keys() == {
        (dialect.exchange, market) for dialect in simulator.dialects for market in dialect.markets
    }
    ws, rest = simulator.base_urls["binance", MarketType.SPOT]
    assert ws.startswith(("ws://127.0.0.1:", "ws://127.0.0.1"))
    assert rest.startswith("http://127.0.0.1")
    simulator.startService()
    simulator.stopService()


@pytest.mark.parametrize(
    ("interface", "url"),
    [("0.0.0.0", "ws://0.0.0.0:18000"), ("127.0.0.2", "ws://127.0.0.2:18000"), ("::1", "ws://[::1]:18000")],
)
def test_the_hosts_are_where_they_are_told_to_be_and_the_control_port_on_loopback(interface: str, url: str) -> None:
    reactor = MemoryReactorClock()
    simulator = Simulator(
        reactor, ManualClock(), exchanges=["bybit"], interface=interface, first_port=18_000, control_port=CONTROL_PORT
    )
    simulator.listen()
    assert [(server[0], server[3]) for server in reactor.tcpServers] == [
        (18_000, interface),
        (CONTROL_PORT, "127.0.0.1"),
    ]
    rest = url.replace("ws:", "http:")
    assert simulator.base_urls["bybit", MarketType.SPOT] == (url, rest)


class Taken(MemoryReactorClock):
    """A machine on which somebody has the control port."""

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if port == CONTROL_PORT:
            raise CannotListenError(interface, port, OSError("in use"))
        return super().listenTCP(port, factory, backlog, interface)


def test_a_control_port_that_is_taken_is_an_error_unless_any_other_will_do() -> None:
    strict = Simulator(Taken(), ManualClock(), exchanges=["bybit"], control_port=CONTROL_PORT)
    with pytest.raises(CannotListenError):
        strict.listen()
    reactor = Taken()
    lenient = Simulator(
        reactor, ManualClock(), exchanges=["bybit"], control_port=CONTROL_PORT, or_any_control_port=True
    )
    lenient.listen()
    assert reactor.tcpServers[-1][0] == 0 and lenient.control_port is not None


def test_one_venue_alone_and_unknown_venues() -> None:
    reactor, clock = MemoryReactorClock(), ManualClock()
    assert list(Simulator(reactor, clock, exchanges=["bybit"]).hosts) == ["bybit"]
    with pytest.raises(ConfigError, match="'nowhere' has no simulator; available: binance, bybit"):
        Simulator(reactor, clock, exchanges=["nowhere"])


def test_an_idle_simulator_does_no_work(world) -> None:
    assert not [call for call in world.reactor.getDelayedCalls() if call.active()]
    wire = world.connect("binance-spot", "/ws/btcusdt@trade")
    world.run(1)
    wire.close(1000, "")
    world.run(0.2)
    assert not [call for call in world.reactor.getDelayedCalls() if call.active()]


def _control(world, request: bytes) -> tuple[_Raw, Callable[[], None]]:
    """A client of the control port that has sent this."""
    client = _Raw()
    flush = _join(client, world.reactor.tcpServers[-1][1].buildProtocol(HERE))
    client.transport.write(request)
    flush()
    return client, flush


def _answer(data: bytes) -> tuple[int, Any]:
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), msgspec.json.decode(body)


def _ask(world, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    given = {"host": "127.0.0.1:8099", "connection": "close", "content-length": str(len(body)), **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in given.items())]
    return _answer(_control(world, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)[0].data)


JSON = {"content-type": "application/json"}


def test_the_control_port_lists_starts_and_stops_faults(world) -> None:
    wanted = b'{"exchange":"binance","fault":"silent","symbol":"BTC-USDT","seconds":10}'
    assert _ask(world, "POST", "/faults", wanted, JSON) == (
        200,
        {"started": {"exchange": "binance", "fault": "silent", "symbol": "BTC-USDT"}},
    )
    status, listed = _ask(world, "GET", "/faults")
    assert (status, listed["active"]) == (200, [{"exchange": "binance", "fault": "silent", "symbol": "BTC-USDT"}])
    assert listed["faults"]["silent"] == "the streams of one symbol deliver nothing"
    assert _ask(world, "POST", "/faults", b'{"exchange":"binance","stop":true}', JSON) == (200, {"stopped": 1})
    assert world.simulator.faults.active == []
    assert _ask(world, "GET", "/ledger") == (200, {"violations": []})


def test_the_control_port_takes_and_reports_a_stream_a_delay_and_a_step(world) -> None:
    clock = {"exchange": "bybit", "fault": "clock", "step": -1.5}
    assert _ask(world, "POST", "/faults", msgspec.json.encode(clock), JSON) == (200, {"started": clock})
    world.simulator.faults.stop()
    for said in ({"stream": "btcusdt@trade", "delay": 2.5}, {"symbol": "BTC-USDT"}):
        wanted = {"exchange": "binance", "fault": "slow", **said}
        started = {"delay": 5.0, **wanted}
        assert _ask(world, "POST", "/faults", msgspec.json.encode(wanted), JSON) == (200, {"started": started})
    assert len(_ask(world, "GET", "/faults")[1]["active"]) == 2
    assert _ask(world, "POST", "/faults", b'{"stream":"btcusdt@trade","stop":true}', JSON) == (200, {"stopped": 1})
    assert [fault.symbol for fault in world.simulator.faults.active] == ["BTC-USDT"]


def test_the_control_port_stops_the_faults_of_one_market(world) -> None:
    for market in MarketType:
        world.simulator.faults.start("binance", "slow", market=market)
    assert _ask(world, "POST", "/faults", b'{"market":"spot","stop":true}', JSON) == (200, {"stopped": 1})
    assert [fault.market for fault in world.simulator.faults.active] == [MarketType.PERPETUAL]


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b'{"exchange":"binance","fault":"nosuch"}', JSON, "'nosuch' is not one of"),
        (b"{", JSON, "Input data was truncated"),
        (b'{"exchange":"binance","fault":"slow","delay":1e9}', JSON, "delay must be above 0 and at most 60"),
        (b'{"exchange":"binance","fault":"slow","delay":"5"}', JSON, "Expected `float | null`"),
        (b'{"exchange":"binance","fault":"clock"}', JSON, "clock needs a step"),
        (b'{"exchange":1}', JSON, "Expected `str | null`"),
        (b'{"colour":"red"}', JSON, "unknown field"),
        (b'{"exchange":"binance","fault":"drop"}', {"content-type": "text/plain"}, "send application/json"),
    ],
)
def test_bad_requests_are_400_with_the_reason(world, body: bytes, headers: dict[str, str], message: str) -> None:
    status, answer = _ask(world, "POST", "/faults", body, headers)
    assert status == 400
    assert message in answer["error"]
    assert world.simulator.faults.active == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8099", "127.0.0.1", "localhost:8099", "LocalHost", "[::1]:8099", "127.0.0.2"]
)
def test_the_control_port_answers_whoever_asks_for_this_machine(world, host: str) -> None:
    assert _ask(world, "GET", "/ledger", headers={"host": host}) == (200, {"violations": []})


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example:8099"},
        {"host": "localhost.rebound.example"},
        {"host": "127.0.0.1.rebound.example:8099"},
        {"host": "192.168.1.7:8099"},
        {"host": "[2001:db8::1]:8099"},
        {"host": "127.0.0.1:8099\r\nHost: rebound.example"},
        {"host": ""},
        {"origin": "http://rebound.example"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "null"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_the_control_port_refuses_what_a_web_page_may_have_sent(world, headers: dict[str, str]) -> None:
    wanted = b'{"exchange":"binance","fault":"drop"}'
    for method, path, body in (("POST", "/faults", wanted), ("GET", "/faults", b""), ("GET", "/ledger", b"")):
        status, answer = _ask(world, method, path, body, {**JSON, **headers})
        assert (status, set(answer)) == (403, {"error"}), path
    assert world.simulator.faults.active == []


BODY = b'{"exchange":"binance","fault":"drop"}' + b" " * 5_000
HEAD = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /faults" + HEAD + b"Content-Length: 4097\r\n\r\n",
        b"POST /faults" + HEAD + b"Content-Length: %d\r\n\r\n" % 10**12,
        b"POST /faults" + HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST /faults" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n",
        b"GET /ledger" + HEAD + b"Content-Length: 4097\r\nX-More: 1\r\n\r\n",
    ],
    ids=["declared", "a terabyte", "5,000 digits", "in chunks", "of a GET"],
)
@pytest.mark.parametrize("port", ["control", "binance-spot"])
def test_a_long_body_is_refused_before_it_has_come(world, port: str, request_: bytes) -> None:
    client = _Raw()
    index = -1 if port == "control" else list(world.simulator.hosts).index(port)
    flush = _join(client, world.reactor.tcpServers[index][1].buildProtocol(HERE))
    client.transport.write(request_)
    flush()
    assert _answer(client.data) == (413, {"error": "a body has at most 4096 bytes"})
    client.transport.write(b"x" * 10_000)
    flush()
    world.run(1.5)
    flush()
    assert client.transport.disconnected
    assert world.simulator.faults.active == []


@pytest.mark.parametrize("port", ["control", "binance-spot"])
def test_a_request_that_does_not_end_is_refused(world, port: str) -> None:
    client = _Raw()
    index = -1 if port == "control" else list(world.simulator.hosts).index(port)
    flush = _join(client, world.reactor.tcpServers[index][1].buildProtocol(HERE))
    client.transport.write(b"GET /ledger HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    for _ in range(12):
        client.transport.write(b"x")
        flush()
        world.run(1)
    flush()
    assert client.data.startswith(b"HTTP/1.1 408 ")
    assert client.transport.disconnected


@pytest.mark.parametrize(
    "headers", [b"X-A: 1\r\n" * 200, b"X-A: " + b"1" * 9_000 + b"\r\nX-B: " + b"2" * 9_000 + b"\r\n"]
)
def test_too_many_headers_are_refused(world, headers: bytes) -> None:
    client, _ = _control(world, b"GET /ledger" + HEAD + headers + b"\r\n")
    assert client.data.startswith(b"HTTP/1.1 400 ")
