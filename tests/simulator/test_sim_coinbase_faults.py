"""What faults do to a venue that numbers all frames of a connection, and to one that writes its ids and times as text;
and recordings of it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.endpoints import HostnameEndpoint

from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.fault_runner import UnknownFault
from cryptodash.simulator.raised import raised
from cryptodash.simulator.recording import read_recording
from cryptodash.simulator.replay import Replay
from cryptodash.testing.network import MemoryNetwork
from tests.simulator.coinbase_wire import API, HOST, ask, connect, gaps, of

BTC, ETH = "BTC-USD", "ETH-USD"


def _wire(world: Any) -> Any:
    wire = connect(world, ("level2", [BTC, ETH]), ("market_trades", [BTC]), ("ticker", [ETH]))
    ask(wire, "heartbeats", [])
    world.run(2)
    wire.take()
    return wire


def test_a_frame_that_is_lost_keeps_its_number(world) -> None:
    wire = connect(world, ("level2", [BTC, ETH]), ("market_trades", [BTC]), ("ticker", [ETH]))
    world.run(2)
    world.simulator.faults.start("coinbase", "skip", "BTC-USD", seconds=5)
    world.run(10)
    frames = wire.take()
    ((expected, came),) = gaps(frames)
    assert came == expected + 1
    assert of(frames, "l2_data")


def test_a_silent_product_leaves_no_hole_in_the_series(world) -> None:
    wire = _wire(world)
    for fault in ("silent", "delist"):
        world.simulator.faults.start("coinbase", fault, "BTC-USD", seconds=3)
        world.run(2.9)
        frames = wire.take()
        assert {event["product_id"] for frame in of(frames, "l2_data") for event in frame["events"]} == {ETH}
        assert gaps(frames) == []
        world.run(2)
        assert gaps(wire.take()) == []


def test_what_a_silent_venue_keeps_back_leaves_a_hole_in_the_series(world) -> None:
    wire = _wire(world)
    world.run(1)
    last = wire.take()[-1]["sequence_num"]
    world.simulator.faults.start("coinbase", "silent-venue", seconds=100)
    world.run(95)
    assert wire.take() == [] and wire.ended is None
    world.run(10)
    frames = wire.take()
    assert frames[0]["sequence_num"] > last + 1 and gaps(frames) == []


def test_a_frame_that_comes_twice_has_one_number_and_an_answer_comes_once(world) -> None:
    wire = _wire(world)
    world.simulator.faults.start("coinbase", "duplicate", seconds=5)
    world.run(2)
    ask(wire, "ticker", [BTC])
    world.run(1)
    frames = wire.take()
    numbers = [frame["sequence_num"] for frame in frames]
    answers = of(frames, "subscriptions")
    assert len(answers) == 1
    twice = [number for number in numbers if number != answers[0]["sequence_num"]]
    assert twice[::2] == twice[1::2]
    assert sorted(set(numbers)) == list(range(numbers[0], numbers[-1] + 1))


def test_frames_that_change_places_have_their_numbers_with_them(world) -> None:
    wire = _wire(world)
    world.simulator.faults.start("coinbase", "reorder", seconds=5)
    world.run(7)
    numbers = [frame["sequence_num"] for frame in wire.take()]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(min(numbers), max(numbers) + 1))


def test_a_stream_that_alone_is_late_is_numbered_when_it_comes(world) -> None:
    wire = _wire(world)
    world.simulator.faults.start("coinbase", "slow", stream="level2:BTC-USD", delay=1.0, seconds=4)
    world.run(8)
    frames = wire.take()
    assert gaps(frames) == []
    assert len(of(frames, "l2_data")) > 50


def test_a_slow_venue_keeps_the_order(world) -> None:
    wire = _wire(world)
    world.simulator.faults.start("coinbase", "slow", delay=1.0, seconds=4)
    world.run(2)
    ask(wire, "candles", [BTC])
    world.run(6)
    assert gaps(wire.take()) == []


def test_garbage_takes_no_number(world) -> None:
    wire = _wire(world)
    world.simulator.faults.start("coinbase", "garbage", seconds=6)
    world.run(6)
    good = []
    for text in wire.frames:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(frame, dict) and isinstance(frame.get("sequence_num"), int) and frame["sequence_num"] >= 0:
            good.append(frame)
    assert gaps(good) == []
    assert len(wire.frames) > len(good) > 50


@pytest.mark.parametrize(("fault", "by"), [("future-id", 10**12), ("future-time", 0)])
def test_a_copy_from_the_future_comes_before_the_true_frame(world, fault: str, by: int) -> None:
    wire = _wire(world)
    world.simulator.faults.start("coinbase", fault, seconds=20)
    world.run(10)
    frames = wire.take()
    pairs = [(copy, true) for copy, true in pairwise(frames) if copy["sequence_num"] == true["sequence_num"] + by]
    assert len(pairs) > 10
    for copy, true in pairs:
        assert (copy["timestamp"] == true["timestamp"]) == bool(by)
        assert len(copy["timestamp"]) == len(true["timestamp"])
    copies = [copy for copy, _ in pairs]
    assert gaps([frame for frame in frames if frame not in copies]) == []
    trades = [pair for pair in pairs if pair[0]["channel"] == "market_trades"]
    for copy, true in trades:
        first, second = copy["events"][0]["trades"][0], true["events"][0]["trades"][0]
        assert int(first["trade_id"]) == int(second["trade_id"]) + by
        assert (first["time"] > second["time"]) == (not by)
    assert trades


def test_a_crossed_book_shows_a_bid_above_the_ask_and_is_sound_afterwards(world) -> None:
    wire, crossed = connect(world, ("level2", [BTC]), ("ticker", [BTC])), []
    sides: dict[str, dict[float, float]] = {"bid": {}, "offer": {}}

    def follow(seconds: int) -> None:
        for _ in range(seconds * 10):
            world.run(0.1)
            for frame in of(wire.take(), "l2_data"):
                for row in frame["events"][0]["updates"]:
                    sides[row["side"]][float(row["price_level"])] = float(row["new_quantity"])
            bid, ask_ = (
                best(price for price, size in sides[side].items() if size)
                for side, best in (("bid", max), ("offer", min))
            )
            crossed.append(bid > ask_)

    follow(3)
    assert not any(crossed)
    world.simulator.faults.start("coinbase", "crossed", seconds=3)
    follow(2)
    assert all(crossed[-15:])
    follow(5)
    assert not any(crossed[-30:])


def test_all_times_are_of_the_stepped_clock(world) -> None:
    wire = connect(world, *[(each, [BTC]) for each in ("level2", "market_trades", "ticker", "candles", "status")])
    ask(wire, "heartbeats", [])
    world.run(1)
    wire.take()
    world.simulator.faults.start("coinbase", "clock", step=3_600.0, seconds=30)
    world.run(3)
    frames = wire.take()
    assert {frame["timestamp"][:13] for frame in frames} == {"2025-11-22T12"}
    rows = [row for frame in of(frames, "l2_data") for row in frame["events"][0]["updates"]]
    fills = [row for frame in of(frames, "market_trades") for row in frame["events"][0]["trades"]]
    assert rows and all(row["event_time"].startswith("2025-11-22T12:33") for row in rows)
    assert fills[-1]["time"].startswith("2025-11-22T12:33")
    assert of(frames, "heartbeats")[-1]["events"][0]["current_time"].startswith("2025-11-22 12:33")
    assert world.json(HOST, f"{API}/time")["iso"].startswith("2025-11-22T12:33")


def test_the_venue_bans_nobody(world) -> None:
    with pytest.raises(UnknownFault, match="the simulated coinbase does not do 418"):
        world.simulator.faults.start("coinbase", "418")
    world.simulator.faults.start("coinbase", "429", seconds=10)
    answer = world.get(HOST, f"{API}/time")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "10")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"n":7,"m":7}', '{"n":3600007,"m":7}'),
        ('{"n":"7"}', '{"n":"3600007"}'),
        ('{"n":"2026-08-24T22:34:13.48312Z"}', '{"n":"2026-08-24T23:34:13.48312Z"}'),
        ('{"n":"2026-12-31T23:34:13Z"}', '{"n":"2027-01-01T00:34:13Z"}'),
        ('{"n":"2026-08-24"}', '{"n":"2026-08-24"}'),
        ('{"n":"x7"}', '{"n":"x7"}'),
        ('{"n":[7]}', '{"n":[7]}'),
    ],
)
def test_raised_members(frame: str, expected: str) -> None:
    assert raised(frame, ("n", "o"), 3_600_000) == expected


# --- recordings ---


@pytest.mark.captures
@pytest.mark.parametrize(
    ("file", "stream", "count", "tick"),
    [
        ("at-level2-btcusd-2026.jsonl", "level2:BTC-USD", 11, "0.01"),
        ("at-market-trades-btcusd-2026.jsonl", "market_trades:BTC-USD", 2, "0.01"),
        ("at-ticker-btcusd-2026.jsonl", "ticker:BTC-USD", 2, "0.01"),
    ],
)
def test_recordings_are_read(captures: Path, file: str, stream: str, count: int, tick: str) -> None:
    recording = read_recording(captures / "coinbase" / file)
    assert (recording.exchange, recording.market, recording.streams) == ("coinbase", MarketType.SPOT, (stream,))
    assert recording.symbols == {BTC: Symbol("BTC", "USD")}
    assert recording.tick_sizes == {BTC: tick}
    assert len(recording.frames) == count


class _Player(WebSocketClientProtocol):
    """The server under test, as a replay sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Any] = []

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(json.loads(payload))


@pytest.mark.captures
def test_a_replay_numbers_what_it_gives_on_each_connection(captures: Path) -> None:
    """The recording's own series has holes: its acknowledgement is left out."""
    recording = read_recording(captures / "coinbase" / "at-level2-btcusd-2026.jsonl")
    assert gaps([json.loads(frame.text) for frame in recording.frames]) != []
    network, players = MemoryNetwork(), []
    replay = Replay(network, recording, delay=None, speed=0)
    replay.listen()
    replay.startService()
    port = int(replay.base_urls["coinbase", MarketType.SPOT][1].rpartition(":")[2])
    for channels in (("level2",), ("ticker", "level2")):
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}/", reactor=network)
        factory.protocol = _Player
        factory.setProtocolOptions(openHandshakeTimeout=0, closeHandshakeTimeout=0)
        HostnameEndpoint(network, "127.0.0.1", port).connect(factory).addCallback(players.append)
        network.settle()
        for channel in channels:
            players[-1].sendMessage(
                json.dumps({"type": "subscribe", "product_ids": [BTC], "channel": channel}).encode()
            )
            network.settle()
    replay.begin()
    network.settle()
    for player, answers in zip(players, (1, 2), strict=True):
        assert [frame["sequence_num"] for frame in player.got] == list(range(answers + 11))
        assert [frame["events"] for frame in of(player.got, "l2_data")] == [
            json.loads(frame.text)["events"] for frame in recording.frames
        ]
    replay.stopService()
    network.settle()


def test_requests_of_a_recording() -> None:
    reader = registry.load("coinbase").recordings
    assert reader is not None
    asked = reader.read_request({"type": "subscribe", "product_ids": [BTC, 7, ETH], "channel": "level2"})
    assert asked is not None and (asked.subscribes, asked.unsubscribes) == (("level2:BTC-USD", "level2:ETH-USD"), ())
    assert json.loads(asked.answer)["events"] == [{"subscriptions": {"level2": [BTC, ETH]}}]
    gone = reader.read_request({"type": "unsubscribe", "product_ids": [BTC], "channel": "level2"})
    assert gone is not None and (gone.subscribes, gone.unsubscribes) == ((), ("level2:BTC-USD",))
    assert reader.read_request({"type": "subscribe", "channels": ["level2"]}) is None
    url = "https://api.coinbase.com/api/v3/brokerage/market/product_book?product_id=BTC-USD&limit=5"
    snapshot = reader.read_snapshot_request(url)
    assert snapshot is not None and (snapshot.native, snapshot.limit) == (BTC, 5)
    assert reader.read_snapshot_request("https://api.coinbase.com/api/v3/brokerage/time") is None
