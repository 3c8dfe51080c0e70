"""Worlds of real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_twisted

from tests.cluster.real.world import World
from tests.processes import all_ended

SAMPLE: Final = tuple(
    f"{exchange}:{market}:{symbol}:{kind}"
    for exchange, market in (("binance", "spot"), ("bybit", "perpetual"))
    for symbol in ("XRP-USDT", "SOL-USDT", "ETH-USDT")
    for kind in ("ticker", "trade", "order_book:20", "candle:1m")
)
"""What a client of each process has."""


@pytest_twisted.async_yield_fixture(scope="module")
async def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_program: str
) -> AsyncIterator[Any]:
    """Three processes (or ``COUNT``), for all tests of a module: its ``NAMES`` are the channels of each client, its
    ``SETTINGS`` what is set for each process; each test begins with ``await world.repair()``."""
    from twisted.internet import reactor

    names, settings = getattr(request.module, "NAMES", SAMPLE), getattr(request.module, "SETTINGS", {})
    count = getattr(request.module, "COUNT", 3)
    with all_ended() as started:
        made = World(reactor, tmp_path_factory.mktemp("cluster"), redis_program, started, names, count, settings)
        try:
            yield made
        finally:
            await made.stop()
