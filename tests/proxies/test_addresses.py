"""Whose an address is, behind each proxy: the client's own, whatever it claims, and only where the proxy is trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import ConnectionClosed

from tests.processes import Process, get
from tests.proxies.conftest import Behind
from tests.proxies.front import Front
from tests.proxies.peers import ask, client, until

pytestmark = pytest.mark.sampled(3)

MOST = {"MAX_CONNECTIONS_PER_IP": "3", "REST_HELD_TOPICS_PER_IP": "1"}
FORGED = ("203.0.113.1", "203.0.113.2, 127.0.0.1", "127.0.0.9", "unix:", "::1", "nonsense")


async def who_may_stay(front: Front, clients: Sequence[tuple[str, str]]) -> list[bool]:
    """One after the other clients of these addresses come, with these claims to be another, and stay. True for one that
    is greeted, False for one that is sent away with 1008."""
    stays = []
    async with AsyncExitStack() as stack:
        for source, claimed in clients:
            headers = {"X-Forwarded-For": claimed} if claimed else {}
            socket = await client(front, source=source, headers=headers)
            stack.push_async_callback(socket.close)
            try:
                stays.append(json.loads(await asyncio.wait_for(socket.recv(), 10))["type"] == "info")
            except ConnectionClosed as closed:
                assert closed.rcvd is not None and closed.rcvd.code == 1008, closed
                stays.append(False)
    return stays


def settled(server: Process) -> None:
    """Until the catalogues are read."""
    until(lambda: get(server.port(), "/ready")[0] == 200)


def test_clients_are_counted_by_their_own_address_whatever_they_claim(behind: Behind, name: str) -> None:
    _, front = behind(name, **MOST)
    ours = [("127.0.0.7", each) for each in FORGED]
    others = [("127.0.0.8", ""), ("127.0.0.9", ""), ("127.0.0.1", "")]
    stays = asyncio.run(who_may_stay(front, [*ours, *others]))
    assert stays == [True] * 3 + [False] * 3 + [True] * 3


def test_rest_counts_them_the_same_way(behind: Behind, name: str) -> None:
    server, front = behind(name, **MOST)
    settled(server)

    def held(symbol: str, source: str, claimed: str) -> int:
        path = f"/crypto/api/ticker?exchange=binance&symbol={symbol}"
        return ask(front, path, source=source, headers={"X-Forwarded-For": claimed}).status

    assert held("BTC-USDT", "127.0.0.7", "203.0.113.1") == 200
    assert held("ETH-USDT", "127.0.0.7", "203.0.113.2") == 429
    assert held("ETH-USDT", "127.0.0.8", "203.0.113.1") == 200


def test_a_proxy_that_is_not_trusted_is_one_client(behind: Behind, name: str) -> None:
    _, front = behind(name, TRUSTED_PROXIES="10.0.0.0/8", **MOST)
    many = [(f"127.0.0.{each}", "") for each in range(11, 16)]
    assert asyncio.run(who_may_stay(front, many)) == [True] * 3 + [False] * 2


LINE = "pool-purge-delay 5s"


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_the_proxy_protocol_tells_the_client_s_address(behind: Behind, version: str) -> None:
    server, front = behind(
        "haproxy",
        {LINE: f"{LINE} {version}"},
        BIND_ADDR="haproxy:tcp:0:interface=127.0.0.1",
        TRUSTED_PROXIES="",
        **MOST,
    )
    until(lambda: ask(front, "/ready").status == 200)
    ours = [("127.0.0.7", each) for each in FORGED]
    stays = asyncio.run(who_may_stay(front, [*ours, ("127.0.0.8", ""), ("127.0.0.1", "")]))
    assert stays == [True] * 3 + [False] * 3 + [True] * 2

    def held(symbol: str, source: str) -> int:
        path = f"/api/ticker?exchange=binance&symbol={symbol}"
        return ask(front, path, source=source, headers={"X-Forwarded-For": "203.0.113.1"}).status

    assert [held("BTC-USDT", "127.0.0.7"), held("ETH-USDT", "127.0.0.7"), held("ETH-USDT", "127.0.0.8")] == [
        200,
        429,
        200,
    ]
    with pytest.raises(OSError):  # whoever comes without that first line is nobody
        get(server.port(), "/health")
