"""No client of these tests can leave this machine."""

from __future__ import annotations

import socket

import pytest

pytestmark = pytest.mark.peers


@pytest.mark.parametrize(
    "address", [("192.0.2.1", 443), ("api.binance.com", 443), ("stream.bybit.com", 443), ("ws.kraken.com", 443)]
)
def test_a_connection_to_elsewhere_is_refused_and_noted(address: tuple[str, int], attempts: list[object]) -> None:
    with pytest.raises(OSError, match="nothing but this machine"):
        socket.create_connection(address, timeout=1)
    assert attempts == [address[0]]
    attempts.clear()
