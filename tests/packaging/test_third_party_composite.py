"""A venue of another distribution takes part in the composite market: found by its entry point, simulated by its own
dialect, one of six."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.packaging.test_third_party import EXAMPLE, RUN, ended, installed
from tests.processes import Process, all_ended

SIX = ("binance", "bybit", "okx", "coinbase", "kraken", "acme")
PERPETUAL = {"binance", "bybit", "okx", "acme"}
"""Those of them that have the perpetual."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed."""
    folder = tmp_path_factory.mktemp("acme")
    return installed(Path(copytree(EXAMPLE, folder / "source")), folder / "site")


def venues_of(payload: dict[str, Any]) -> set[str]:
    """Whose prices a message of the composite holds."""
    sides = ("bids", "asks", "bids_upserts", "asks_upserts")
    levels = [level for side in sides for level in payload.get(side, ())]
    return {name for level in levels for name in level["venues"]} | set(payload.get("venues", ()))


def until_all(port: int, kind: str, **more: Any) -> dict[str, Any]:
    """The first message of the composite after which all four have been seen in it."""
    channel = {"channel_type": kind, "exchange": "composite", "market_type": "perpetual", "symbol": "BTC-USDT", **more}
    seen: set[str] = set()
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None, max_size=None) as client:
        client.send(json.dumps({"op": "subscribe", "channels": [channel]}))
        while True:
            message: dict[str, Any] = json.loads(client.recv(timeout=20))
            assert message["type"] != "error", message
            seen |= venues_of(message["payload"])
            if message["payload"].get("excluded") == [] and seen == PERPETUAL:
                return dict(message["payload"])


def test_a_sixth_venue_is_found_and_takes_part(site: Path, tmp_path: Path) -> None:
    with all_ended() as processes:
        server = Process(*RUN, ",".join(SIX), "--demo", cwd=tmp_path, paths=[site])
        processes.append(server)
        port = server.port()
        quote = until_all(port, "bbo")
        assert set(quote["venues"]) == PERPETUAL
        assert quote["venues"]["acme"]["bid"] < quote["venues"]["acme"]["ask"]
        assert until_all(port, "order_book", depth=1000)["exchange"] == "composite"
        ended(server)
