"""What the same seed gives again: in another process, in another order, at a later time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptodash.simulator.intervals import DAY, HOUR, MINUTE

START = 1_763_811_234_567
"""Of the worlds made here."""

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
from hashlib import sha256
from tests.simulator.conftest import make_world
world = make_world(5)
wires = [
    world.connect("binance-spot", "/stream", {"streams": "btcusdt@depth@100ms/pepeusdt@trade/!miniTicker@arr"}),
    world.connect("bybit", "/v5/public/linear"),
]
wires[1].say({"op": "subscribe", "args": ["tickers.ETHUSDT", "orderbook.200.BTCUSDT"]})
world.run(10)
print(sha256(repr([wire.frames for wire in wires]).encode()).hexdigest())
"""


def test_two_processes_with_one_seed_say_the_same() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(said) == 1


def _past(world: Any, natives: list[str]) -> dict[str, Any]:
    """Bars of before the simulator started."""
    asked = (("1m", 3 * MINUTE), ("5m", 10 * MINUTE), ("1h", 2 * HOUR), ("1d", DAY))
    return {
        native: [
            world.json(
                "binance-spot", "/api/v3/klines", symbol=native, interval=interval, endTime=START - ago, limit=20
            )
            for interval, ago in asked
        ]
        for native in natives
    }


def test_the_past_is_the_same_in_whatever_order_and_however_late_it_is_asked_for(make_world) -> None:
    natives = ["BTCUSDT", "ETHUSDT", "ETHBTC", "PEPEUSDT", "NKNUSDT"]
    early, late = make_world(), make_world()
    wire = late.connect("binance-spot", "/stream", {"streams": "btcusdt@trade/ethbtc@trade"})
    late.run(10 * 60)
    assert wire.frames
    assert _past(early, natives) == _past(late, natives[::-1])
    for world in (early, late):
        world.simulator.stopService()
