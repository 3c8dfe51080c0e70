"""What faults make of the simulated Kraken, and how its recordings are read."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.kraken.recordings import KrakenRecordings
from cryptodash.simulator.recording import read_recording
from tests.simulator.kraken_client import ask, connected, data_of, read

SPOT = MarketType.SPOT


def test_maintenance_is_announced_and_then_refused(world: Any) -> None:
    wire = connected(world, ask("trade", "BTC/USD"))
    wire.take()
    world.simulator.faults.start("kraken", "maintenance", seconds=5)
    (status,) = (each for each in wire.take() if each.get("channel") == "status")
    assert status["data"][0]["system"] == "maintenance"
    world.run(1)
    assert wire.ended == (1012, "service restart")
    assert world.simulator.hosts["kraken"].refuse("/v2").status == 503
    answer = world.get("kraken", "/0/public/Time")
    assert (answer.status, answer.body) == (503, b'{"error":["EService:Unavailable"]}')
    world.run(5)
    assert connected(world).take()[0]["data"][0]["system"] == "online"


def test_a_delisted_pair_leaves_the_catalogues_and_comes_back(world: Any) -> None:
    wire = connected(world, ask("instrument"), ask("trade", "ETH/USD"))
    wire.take()
    world.simulator.faults.start("kraken", "delist", "ETH-USD", 5)
    world.run(2)
    frames = wire.take()
    (update,) = (each for each in frames if each.get("channel") == "instrument")
    assert [(each["symbol"], each["status"]) for each in update["data"]["pairs"]] == [("ETH/USD", "delisted")]
    assert not [each for each in frames if each.get("channel") == "trade"]
    assert "XETHZUSD" not in world.json("kraken", "/0/public/AssetPairs")["result"]
    refused = world.json("kraken", "/0/public/Ticker", pair="ETHUSD")
    assert refused == {"error": ["EQuery:Unknown asset pair"]}
    world.run(5)
    (update,) = (each for each in wire.take() if each.get("channel") == "instrument")
    assert [each["status"] for each in update["data"]["pairs"]] == ["online"]
    assert "XETHZUSD" in world.json("kraken", "/0/public/AssetPairs")["result"]


def test_a_silent_venue_sends_no_heartbeat_and_no_answer(world: Any) -> None:
    wire = connected(world, ask("trade", "BTC/USD"))
    world.run(2)
    wire.take()
    world.simulator.faults.start("kraken", "silent-venue", seconds=5)
    wire.say({"method": "ping"})
    wire.say(ask("book", "BTC/USD"))
    world.run(4)
    assert wire.take() == []
    world.run(3)
    channels = {each.get("channel") for each in wire.take()}
    assert {"heartbeat", "trade", "book"} <= channels


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [("429", 429, b'{"error":["EGeneral:Too many requests"]}'), ("418", 403, b"error code: 1006"), ("451", 451, None)],
)
def test_rest_under_a_ban(world: Any, fault: str, status: int, body: bytes | None) -> None:
    world.simulator.faults.start("kraken", fault, seconds=5)
    answer = world.get("kraken", "/0/public/Time")
    assert answer.status == status
    assert body is None or (answer.body, answer.headers["Retry-After"]) == (body, "5")


def test_ids_and_times_of_the_future_are_raised_in_copies(world: Any) -> None:
    wire = connected(world, ask("trade", "BTC/USD"), ask("ticker", "BTC/USD"))
    world.run(1)
    data_of(wire, "trade")
    for fault in ("future-id", "future-time"):
        world.simulator.faults.start("kraken", fault, "BTC-USD", 20)
        world.run(20.2)
        frames = [read(frame) for frame in wire.frames]
        wire.frames = []
        rows = [row for frame in frames if frame.get("channel") == "trade" for row in frame["data"]]
        strange = [row for row in rows if row["trade_id"] > 10**12 or row["timestamp"][11:13] != "11"]
        true = [row for row in rows if row not in strange]
        assert strange and {row["trade_id"] % 10**12 for row in strange} <= {row["trade_id"] for row in true}
        assert [after["trade_id"] - before["trade_id"] for before, after in itertools.pairwise(true)] == [1] * (
            len(true) - 1
        )
        tickers = [frame["data"][0]["timestamp"][11:13] for frame in frames if frame.get("channel") == "ticker"]
        assert ("12" in tickers) == (fault == "future-time")


def test_the_clock_fault_steps_every_time(world: Any) -> None:
    wire = connected(world, ask("trade", "BTC/USD"), ask("book", "BTC/USD"))
    world.simulator.faults.start("kraken", "clock", step=3600, seconds=10)
    world.run(5)
    wire.take()
    wire.say({"method": "ping"})
    world.run(3)
    frames = wire.take()
    times = [row["timestamp"] for frame in frames if isinstance(frame.get("data"), list) for row in frame["data"]]
    times += [frame["time_in"] for frame in frames if "time_in" in frame]
    assert times and {each[11:13] for each in times} == {"12"}
    assert world.json("kraken", "/0/public/Time")["result"]["unixtime"] == world.clock.wall_ms() // 1000 + 3600


# --- recordings ---


@pytest.mark.captures
@pytest.mark.parametrize(
    ("file", "stream", "symbol", "tick"),
    [
        ("spot-v2-book25-ethusd-2026.jsonl", "book:ETH/USD:25", "ETH-USD", "0.01"),
        ("spot-v2-book10-btcusd-resub-2026.jsonl", "book:BTC/USD:10", "BTC-USD", "0.1"),
        ("spot-v2-book10-dogeusdt-double-snapshot-2026.jsonl", "book:DOGE/USDT:10", "DOGE-USDT", "0.00001"),
        ("spot-v2-ticker-btcusd-2026.jsonl", "ticker:BTC/USD:trades", "BTC-USD", "0.1"),
        ("spot-v2-ohlc1-btcusd-2026.jsonl", "ohlc:BTC/USD:1", "BTC-USD", "0.1"),
    ],
)
def test_recordings_are_read(captures: Any, file: str, stream: str, symbol: str, tick: str) -> None:
    found = read_recording(captures / "kraken" / file)
    native = stream.split(":")[1]
    assert (found.exchange, found.market, found.streams) == ("kraken", SPOT, (stream,))
    assert str(found.symbols[native]) == symbol
    assert found.tick_sizes == {native: tick}


def test_a_replay_answers_for_each_symbol() -> None:
    asked = KrakenRecordings().read_request(ask("book", "BTC/USD", "ETH/USD", depth=25) | {"req_id": 4})
    assert asked is not None and asked.subscribes == ("book:BTC/USD:25", "book:ETH/USD:25")
    answers = [json.loads(each) for each in (asked.answer, *asked.further_answers)]
    assert [(each["result"]["symbol"], each["req_id"]) for each in answers] == [("BTC/USD", 4), ("ETH/USD", 4)]
