"""How long what is idle stays, through each proxy, and that the times in the shipped files fit to the server's."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Final

import pytest
from websockets.exceptions import ConnectionClosed

from cryptodash.core.config import Config
from tests.proxies.conftest import Behind
from tests.proxies.front import Front, shipped
from tests.proxies.peers import client

pytestmark = pytest.mark.sampled(3)

SHORT_S: Final = 3
"""What stands in the place of a minute."""
SHORTENED: Final = {
    "nginx": {"proxy_read_timeout    60s;": f"proxy_read_timeout {SHORT_S}s;"},
    "haproxy": {"timeout tunnel 60s": f"timeout tunnel {SHORT_S}s"},
    "caddy": {},
}
UNITS: Final = {"s": 1, "m": 60, "h": 3600}


def seconds(name: str, pattern: str) -> int:
    """The one time that the shipped file gives after these words."""
    ((number, unit),) = re.findall(rf"^\s*{pattern}\s+(\d+)([smh]);?(?:\s*#.*)?$", shipped(name), re.MULTILINE)
    return int(number) * UNITS[unit]


async def stays(front: Front, wait: float) -> bool:
    """Whether a client that wants nothing, and says nothing but pongs, is still answered after this time."""
    socket = await client(front)
    await socket.recv()
    await asyncio.wait([asyncio.ensure_future(socket.wait_closed())], timeout=wait)
    try:
        await socket.send('{"op":"ping","id":"still here"}')
        return bool(json.loads(await asyncio.wait_for(socket.recv(), 5))["payload"]["id"] == "still here")
    except ConnectionClosed:
        return False
    finally:
        await socket.close()


def test_an_idle_client_is_kept_by_the_server_s_pings(behind: Behind, name: str) -> None:
    _, front = behind(name, SHORTENED[name], PING_INTERVAL_S="1")
    assert asyncio.run(stays(front, 3 * SHORT_S))


@pytest.mark.parametrize("proxy", ["nginx", "haproxy"])  # Caddy has no such time, docs/operations.md
def test_without_pings_it_would_be_cut(behind: Behind, proxy: str) -> None:
    _, front = behind(proxy, SHORTENED[proxy], PING_INTERVAL_S="60")
    assert not asyncio.run(stays(front, 1.5 * SHORT_S))


def test_the_shipped_times_leave_room_for_two_pings_that_are_lost() -> None:
    ping = Config().limits.ping_interval_s
    for name, words in (
        ("nginx", "proxy_read_timeout"),
        ("nginx", "proxy_send_timeout"),
        ("haproxy", "timeout tunnel"),
    ):
        assert seconds(name, words) >= 3 * ping, (name, words)
    assert not re.search(r"stream_timeout|read_timeout|write_timeout", shipped("caddy"))


def test_the_server_keeps_an_idle_connection_longer_than_each_proxy_does() -> None:
    keeps = Config().limits.keep_alive_s
    for name, words in (("nginx", "    keepalive_timeout"), ("caddy", "keepalive")):
        found = [int(number) * UNITS[unit] for number, unit in re.findall(rf"{words}\s+(\d+)([smh])\b", shipped(name))]
        assert found and all(each < keeps for each in found), (name, found)
    (purge,) = re.findall(r"^\s*server .* pool-purge-delay (\d+)s$", shipped("haproxy"), re.MULTILINE)
    assert int(purge) < keeps


def test_the_shipped_sizes_are_the_server_s() -> None:
    limits = Config().limits
    nginx, haproxy, caddy = map(shipped, ("nginx", "haproxy", "caddy"))
    assert limits.max_body_bytes == 64 * 1024
    assert "client_max_body_size  64k;" in nginx and "max_size 64KB" in caddy
    (nginx_buffer,) = re.findall(r"sndbuf=(\d+)k", nginx)
    buffers = [1024 * int(nginx_buffer), *map(int, re.findall(r"tune\.(?:snd|rcv)buf\.\w+ (\d+)", haproxy))]
    assert len(buffers) == 3 and all(each < limits.socket_send_buffer_bytes for each in buffers)
