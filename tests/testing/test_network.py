"""The network in memory keeps the promises that tests rely on."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import CannotListenError, ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from cryptodash.testing.network import MemoryNetwork


class Remembering(Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.ended: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        self.ended = reason.value


def connect(network: MemoryNetwork, timeout: float = 10) -> Any:
    connected = HostnameEndpoint(network, "example.test", 80, timeout=timeout).connect(Factory.forProtocol(Remembering))
    network.settle()
    return connected


@pytest.fixture
def network() -> MemoryNetwork:
    network = MemoryNetwork()
    network.listen(80, Factory.forProtocol(Remembering))
    return network


def test_bytes_cross_in_order_and_a_polite_end_comes_after_them(network: MemoryNetwork) -> None:
    client = connect(network).result
    client.transport.write(b"one ")
    client.transport.writeSequence([b"two", b"."])
    client.transport.loseConnection()
    client.transport.write(b"too late")
    network.settle()
    assert network.wires[0].server.protocol.got == b"one two."
    assert client.ended is not None and network.wires[0].server.protocol.ended is not None


def test_a_frozen_wire_lets_nothing_through_but_an_abort_at_home(network: MemoryNetwork) -> None:
    client = connect(network).result
    wire = network.wires[0]
    wire.frozen = True
    client.transport.write(b"lost")
    client.transport.abortConnection()
    network.settle()
    assert client.ended is not None
    assert wire.server.protocol.ended is None and wire.server.protocol.got == b""


def test_a_paused_end_gets_its_bytes_later(network: MemoryNetwork) -> None:
    client = connect(network).result
    network.wires[0].server.pauseProducing()
    client.transport.write(b"wait")
    network.settle()
    assert network.wires[0].server.protocol.got == b""
    network.wires[0].server.resumeProducing()
    network.settle()
    assert network.wires[0].server.protocol.got == b"wait"


def test_the_ways_in_which_connecting_fails(network: MemoryNetwork) -> None:
    def failure() -> Any:
        caught: list[Any] = []
        connect(network).addErrback(lambda failed: caught.append(failed.value))
        network.pass_time(10.5)
        return caught[0]

    network.deaf_ports.add(80)
    assert isinstance(failure(), TimeoutError)
    network.deaf_ports.clear()
    network.servers.clear()
    assert isinstance(failure(), ConnectionRefusedError)
    network.unknown_names.add("example.test")
    assert isinstance(failure(), DNSLookupError)
    network.hanging_names.add("example.test")
    assert not connect(network).called
    assert network.getDelayedCalls() == []


def test_both_clocks_move_together(network: MemoryNetwork) -> None:
    monotonic, wall = network.monotonic(), network.wall_ms()
    network.pass_time(1.25)
    assert network.monotonic() == pytest.approx(monotonic + 1.25)
    assert network.wall_ms() == wall + 1250


def test_bytes_arrive_after_the_latency_and_in_order() -> None:
    network = MemoryNetwork()
    network.latency = 0.25
    network.listen(80, Factory.forProtocol(Remembering))
    client = connect(network).result
    client.transport.write(b"one ")
    network.pass_time(0.125, step=0.125)
    client.transport.write(b"two")
    assert network.wires[0].server.protocol.got == b""
    network.pass_time(0.125, step=0.125)
    assert network.wires[0].server.protocol.got == b"one "
    network.pass_time(0.125, step=0.125)
    assert network.wires[0].server.protocol.got == b"one two"


def test_a_server_can_bind_a_port_and_give_it_back() -> None:
    network = MemoryNetwork()
    bound = network.listenTCP(0, Factory.forProtocol(Remembering))
    number = bound.getHost().port
    assert number in network.servers
    with pytest.raises(CannotListenError):
        network.listenTCP(number, Factory.forProtocol(Remembering))
    bound.stopListening()
    assert network.servers == {}
