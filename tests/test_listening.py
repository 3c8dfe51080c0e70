"""What the server asks of the kernel where it listens."""

from __future__ import annotations

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactor

from cryptodash.listening import BACKLOG, endpoint_of


@pytest.mark.parametrize(
    ("endpoint", "backlog"),
    [
        ("tcp:8080:interface=127.0.0.1", BACKLOG),
        ("tcp6:8080", BACKLOG),
        ("haproxy:tcp:8080:interface=127.0.0.1", BACKLOG),
        ("haproxy:tcp:8080:backlog=7", 7),
    ],
)
def test_all_clients_may_come_back_at_once(endpoint: str, backlog: int) -> None:
    reactor = MemoryReactor()
    endpoint_of(reactor, endpoint).listen(Factory.forProtocol(Protocol))
    assert [each[2] for each in reactor.tcpServers] == [backlog]
