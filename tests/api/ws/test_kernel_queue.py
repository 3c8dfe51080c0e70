"""What the kernel says of a socket's output: real sockets on loopback, no reactor."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from cryptodash.api.ws.kernel_queue import LOCAL_SEND_BUFFER, keep_short, unacknowledged

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what waits in the kernel")


def tcp_pair(receive_buffer: int) -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.connect(listening.getsockname())
        ours, _ = listening.accept()
    return ours, peer


@pytest.fixture(params=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = tcp_pair(8192) if request.param == "tcp" else socket.socketpair()
    with ours, peer:
        ours.setblocking(False)
        yield ours, peer


def fill(ours: socket.socket) -> int:
    """Bytes until the kernel takes no more."""
    total = 0
    with suppress(BlockingIOError):
        while True:
            total += ours.send(b"x" * 1000)
    return total


@linux
def test_what_the_peer_reads_leaves_the_kernels_queue(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, peer = pair
    keep_short(ours, 131_072)
    assert unacknowledged(ours) == 0
    total = fill(ours)
    full = unacknowledged(ours)
    assert full > 0
    read = len(peer.recv(total // 2, socket.MSG_WAITALL))
    assert read == total // 2
    assert unacknowledged(ours) < full


@linux
def test_the_kernel_takes_little_for_who_reads_nothing() -> None:
    usual, _kept = tcp_pair(8192)
    short, _kept_too = tcp_pair(8192)
    with usual, short, _kept, _kept_too:
        usual.setblocking(False)
        short.setblocking(False)
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 131_072)
        keep_short(short, 131_072)
        assert fill(short) < 40_000 < fill(usual)


def test_a_unix_socket_holds_less() -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        keep_short(ours, 131_072)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * LOCAL_SEND_BUFFER


def test_what_cannot_be_asked_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, peer = socket.socketpair()
    with peer:
        ours.setblocking(False)
        fill(ours)
        monkeypatch.setattr(sys, "platform", "darwin")
        assert unacknowledged(ours) == 0
        monkeypatch.undo()
        ours.close()
        assert unacknowledged(ours) == 0
