"""One simulator for all clients, and no way out of this machine for any of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers.simulated import Simulated
from tests.processes import NO_WAY_OUT

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_HERE = ("127.0.0.1", "localhost", "::1")


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """The simulator."""
    running = Simulated(tmp_path_factory.mktemp("simulate"))
    yield running
    running.process.kill()


@pytest.fixture(scope="module", autouse=True)
def attempts() -> Iterator[list[object]]:
    """Addresses elsewhere that somebody wanted to reach: each attempt is refused, and fails the module's last test."""
    refused: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in _PROXIES:
            patch.setenv(name, NO_WAY_OUT)
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, ",".join(_HERE))
        _guard(patch, refused)
        yield refused
    assert not refused


def _guard(patch: pytest.MonkeyPatch, refused: list[object]) -> None:
    """Let sockets of this process connect, and names resolve, on this machine alone."""
    connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(host: object) -> None:
        if host not in _HERE and host not in (None, "", b"localhost"):
            refused.append(host)
            raise OSError(f"the tests reach nothing but this machine: {host!r}")

    def guarded(real: Any) -> Any:
        def call(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                check(address[0])
            return real(self, address)

        return call

    def guarded_lookup(host: Any, *arguments: Any, **named: Any) -> Any:
        check(host)
        return lookup(host, *arguments, **named)

    patch.setattr(socket.socket, "connect", guarded(connect))
    patch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
    patch.setattr(socket, "getaddrinfo", guarded_lookup)
