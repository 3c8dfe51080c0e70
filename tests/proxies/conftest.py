"""A server in a process of its own, and a real proxy before it. Clients are of the standard library and ``websockets``:
nothing here is ours but the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Process, all_ended, get
from tests.proxies.front import NAMES, Front, find_proxy
from tests.proxies.peers import until


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Each proxy; skipped where it is not installed."""
    find_proxy(request.param)
    return str(request.param)


Behind = Callable[..., tuple[Process, Front]]


def begin(
    started: list[Any], folder: Path, name: str, changes: Mapping[str, str] | None = None, **settings: str
) -> tuple[Process, Front]:
    """A demo and the proxy before it, noted in ``started``."""
    find_proxy(name)
    settings = {"DEMO": "true", "BIND_ADDR": "127.0.0.1:0", "TRUSTED_PROXIES": "127.0.0.1", **settings}
    server = Process("-n", "--pidfile=", "cryptodash", cwd=folder, **{"EXCHANGES": "binance,bybit", **settings})
    started.append(server)
    front = Front(name, server.port(), folder / "proxy", changes)
    started.append(front)
    front.wait()
    return server, front


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    """``behind(name, changes, **settings)``: a demo and the proxy before it, both ended after the test.

    ``settings`` are the server's; ``BIND_ADDR`` and ``TRUSTED_PROXIES`` are those of the proxy's file."""
    with all_ended() as started:
        yield partial(begin, started, tmp_path)


@pytest.fixture(scope="module")
def pair(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Front]]:
    """A demo with its defaults behind the proxy as it is shipped, whose catalogues are read."""
    with all_ended() as started:
        server, front = begin(started, tmp_path_factory.mktemp(name), name)
        until(lambda: get(server.port(), "/ready")[0] == 200)
        yield server, front
