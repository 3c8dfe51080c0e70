"""What one read of the socket brought is handed on as a whole, below TLS as well, and many frames mean that the
connection is behind."""

from __future__ import annotations

import socket as socket_module
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from cryptodash.exchanges.connections.commands import Closed
from cryptodash.exchanges.transport.dialer import Dialer
from cryptodash.exchanges.transport.websocket import Handlers, VenueSocket
from cryptodash.exchanges.transport.websocket_protocol import MANY
from cryptodash.exchanges.transport.whole_reads import LARGEST_READ, READ, ReadSize, widen_window
from cryptodash.testing.authority import Authority
from cryptodash.testing.network import MemoryNetwork
from tests.exchanges.transport.test_websocket import HOST, Venue, VenueFactory

PING = b"\x89\x00"


def text(payload: bytes) -> bytes:
    return (
        b"\x81" + bytes([len(payload)]) + payload
        if len(payload) < 126
        else b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
    )


class Reads:
    """What each read brought, and the slices of those of a connection that is behind."""

    def __init__(self) -> None:
        self.normal: list[list[bytes]] = []
        self.behind: list[list[bytes]] = []
        self.sliced: list[bytes] = []
        self.order: list[str] = []
        self.closed: list[Closed] = []
        self.fails = False

    def begin(self, payloads: Sequence[bytes]) -> Callable[[], bool]:
        self.behind.append(list(payloads))
        left = list(payloads)

        def work() -> bool:
            if self.fails:
                raise ValueError
            self.sliced += left[:20]
            del left[:20]
            return bool(left)

        return work

    def handlers(self) -> Handlers:
        return Handlers(
            opened=lambda: None,
            frames=lambda payloads: (self.normal.append(list(payloads)), self.order.append("frames"))[0],
            heard=lambda: self.order.append("heard"),
            may_send=lambda: None,
            closed=lambda how: (self.closed.append(how), self.order.append(f"closed after {len(self.sliced)}"))[0],
            behind=self.begin,
        )


@pytest.fixture
def network() -> Iterator[MemoryNetwork]:
    network = MemoryNetwork()
    yield network
    assert network.getDelayedCalls() == [], "a timer was left behind"


@pytest.fixture
def reads() -> Reads:
    return Reads()


def opened(network: MemoryNetwork, reads: Reads, *, secure: bool = False) -> tuple[VenueSocket, Venue]:
    factory = VenueFactory(network)
    authority = Authority()
    listening: Factory = factory
    if secure:
        listening = TLSMemoryBIOFactory(authority.options(HOST, days=1), False, factory, clock=network)
    network.listen(9443, listening)
    dialer = Dialer(network, trust_root=authority.trust_root) if secure else Dialer(network)
    socket = VenueSocket(f"{'wss' if secure else 'ws'}://{HOST}:9443/", dialer, network, reads.handlers())
    socket.open()
    network.settle()
    assert factory.seen, "it is open"
    return socket, factory.seen[0]


def end(network: MemoryNetwork, socket: VenueSocket) -> None:
    socket.abort()
    network.settle()


def frames(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_a_few_frames_of_one_read_come_together(network: MemoryNetwork, reads: Reads) -> None:
    socket, venue = opened(network, reads)
    venue.transport.write(b"".join(map(text, frames(MANY))))
    network.settle()
    assert reads.normal == [frames(MANY)] and reads.behind == []
    end(network, socket)


def test_many_frames_of_one_read_mean_that_it_is_behind(network: MemoryNetwork, reads: Reads) -> None:
    socket, venue = opened(network, reads)
    venue.transport.write(b"".join(map(text, frames(MANY + 1))))
    network.settle()
    assert reads.normal == [] and reads.behind == [frames(MANY + 1)] and reads.sliced == frames(MANY + 1)
    end(network, socket)


def test_so_does_a_read_of_all_the_bytes_that_one_may_bring(network: MemoryNetwork, reads: Reads) -> None:
    socket, venue = opened(network, reads)
    payload = b"x" * (READ // 3)
    venue.transport.write(text(payload) * 3)
    network.settle()
    assert reads.behind == [[payload] * 3]
    end(network, socket)


def test_records_of_tls_are_told_as_the_read_that_brought_them(network: MemoryNetwork, reads: Reads) -> None:
    socket, venue = opened(network, reads, secure=True)
    wire = network.wires[0]
    wire.frozen = True
    for frame in frames(50):
        venue.sendMessage(frame)
        network.settle()  # a record each
    records = [wire.server._outgoing.popleft()[1] for _ in range(len(wire.server._outgoing))]
    assert len(records) == 50
    wire.frozen = False
    wire.client.receive(b"".join(records))
    network.settle()
    assert [each for read in reads.behind for each in read] == frames(50)
    assert len(reads.behind) == 1 and reads.normal == []
    end(network, socket)


def test_what_stands_between_the_frames_keeps_its_place(network: MemoryNetwork, reads: Reads) -> None:
    socket, venue = opened(network, reads)
    venue.transport.write(text(b"a") + PING + text(b"b"))
    network.settle()
    assert reads.order == ["frames", "heard", "frames"] and reads.normal == [[b"a"], [b"b"]]
    end(network, socket)


def test_nothing_more_is_read_until_the_slices_are_done(network: MemoryNetwork, reads: Reads) -> None:
    socket, venue = opened(network, reads)
    venue.transport.write(b"".join(map(text, frames(50))))
    venue.transport.write(text(b"next"))
    while network.wires[0].turn():
        pass
    assert reads.sliced == frames(20) and reads.normal == [], "held back"
    network.settle()
    assert reads.sliced == frames(50) and reads.normal == [[b"next"]]
    end(network, socket)


@pytest.mark.parametrize("polite", [True, False])
def test_what_came_before_the_end_is_taken_before_the_end_is_told(
    network: MemoryNetwork, reads: Reads, polite: bool
) -> None:
    _, venue = opened(network, reads)
    venue.transport.write(b"".join(map(text, frames(90))) + (b"\x88\x02\x03\xe9" if polite else b""))
    if not polite:
        venue.transport.loseConnection()
    network.settle()
    assert reads.order == ["closed after 90"] and len(reads.closed) == 1


def test_what_waits_is_dropped_with_a_connection_that_we_end(network: MemoryNetwork, reads: Reads) -> None:
    socket, venue = opened(network, reads)
    venue.transport.write(b"".join(map(text, frames(90))))
    while network.wires[0].turn():
        pass
    end(network, socket)
    assert reads.sliced == frames(20) and len(reads.closed) == 1


def test_a_connection_whose_frames_cannot_be_taken_is_dropped(network: MemoryNetwork, reads: Reads) -> None:
    _, venue = opened(network, reads)
    reads.fails = True
    venue.transport.write(b"".join(map(text, frames(90))))
    network.settle()
    assert [how.reason for how in reads.closed] == ["our own error"]


def test_full_reads_grow_and_a_small_one_ends_that() -> None:
    socket = FileDescriptor(reactor=object())  # type: ignore[arg-type]
    wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
    wrapper.transport = socket  # type: ignore[assignment]
    size = ReadSize(wrapper)
    assert [size.brought(each) for each in (100, READ - 1, READ)] == [False, False, True]
    assert socket.bufferSize == 2 * READ
    assert size.brought(READ) and socket.bufferSize == 2 * READ, "behind, but it need not read more"
    for _ in range(10):
        assert size.brought(socket.bufferSize)
    assert socket.bufferSize == LARGEST_READ
    assert not size.brought(READ - 1) and socket.bufferSize == READ


@pytest.mark.skipif(sys.platform != "linux", reason="what a low-water mark does to the buffer is Linux's")
def test_the_kernel_has_room_for_the_largest_read_before_anything_was_read() -> None:
    with socket_module.create_server(("127.0.0.1", 0)) as server, socket_module.socket() as venue:
        venue.connect(server.getsockname())
        widen_window(venue)
        options = [socket_module.SO_RCVLOWAT, socket_module.SO_RCVBUF]
        low_water, room = (venue.getsockopt(socket_module.SOL_SOCKET, option) for option in options)
    assert low_water == 1, "a single byte is told of"
    assert room >= LARGEST_READ


def test_a_transport_without_a_socket_is_read_as_it_comes() -> None:
    assert ReadSize(object()).brought(READ) and not ReadSize(object()).brought(1)
