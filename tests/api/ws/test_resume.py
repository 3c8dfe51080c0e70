"""A client that comes back names the last message it has: what it missed comes first, then all goes on, nothing twice
and nothing left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.api.fanout.deliveries import Delivery
from cryptodash.api.ws.requests import SEARCHED, charged_as
from cryptodash.core.cursors import Cursor
from cryptodash.core.topics import Channel
from tests.api.conftest import read_frames
from tests.api.fanout.channels import BTC, CANDLES, TRADES, kinds

LIQUIDATIONS = {**BTC, "channel_type": "liquidation", "market_type": "perpetual"}

TRADES_OF_ETH = {**TRADES, "symbol": "ETH-USDT"}


def ids(messages: list[dict[str, Any]]) -> list[int]:
    return [int(each["payload"]["id"]) for each in messages if each["type"] == "trade"]


def last_cursor(messages: list[dict[str, Any]]) -> str:
    return [str(each["payload"]["cursor"]) for each in messages if "cursor" in each["payload"]][-1]


def since(channel: dict[str, Any], cursor: str) -> dict[str, Any]:
    return {**channel, "since": cursor}


def send(client: Any, op: str, *channels: dict[str, Any]) -> None:
    client.session.received(json.dumps({"op": op, "channels": channels}).encode())


def away_after(world: Any, channel: dict[str, Any] = TRADES) -> str:
    """A client that has seen trade 1, and left; returns its cursor."""
    client = world.client()
    client.subscribe(channel)
    world.trade(1, channel["symbol"].partition("-")[0])
    world.flush()
    cursor = last_cursor(client.got())
    client.session.closed()
    return cursor


def test_what_came_meanwhile_comes_first_and_then_all_goes_on(world: Any) -> None:
    cursor = away_after(world)
    for number in range(2, 100):
        world.trade(number)
    client = world.client()
    answer = client.subscribe(since(TRADES, cursor))
    assert kinds(answer)[:2] == ["info", "status"]
    assert ids(answer) == list(range(2, 100)), "all of it, not the last fifty"
    assert all(each["payload"]["replayed"] for each in answer if each["type"] == "trade")
    world.trade(100)
    world.flush()
    live = client.got()
    assert ids(live) == [100] and "replayed" not in live[0]["payload"]
    assert "since" not in answer[0]["payload"]["accepted"][0], "it is no part of the channel"
    assert world.tally.metrics["cryptodash_ws_resumes_total"].values == {("trade", "complete"): 1}


def test_one_that_missed_nothing_gets_nothing_twice(world: Any) -> None:
    cursor = away_after(world)
    answer = world.client().subscribe(since(TRADES, cursor))
    assert kinds(answer) == ["info", "status"]


def test_a_message_of_this_very_turn_comes_once(world: Any) -> None:
    cursor = away_after(world)
    client = world.client()
    client.subscribe(BTC)
    world.trade(2)  # not flushed yet
    answer = client.subscribe(since(TRADES, cursor))
    world.trade(3)
    world.flush()
    assert ids(answer) + ids(client.got()) == [2, 3]


def test_where_the_server_does_not_reach_back_a_gap_says_so(world: Any) -> None:
    cursor = away_after(world)
    world.time.advance(31)  # nobody holds it any more
    client = world.client()
    answer = client.subscribe(since(TRADES, cursor))
    (gap,) = [each["payload"] for each in answer if each["type"] == "gap"]
    assert gap["reason"] == "expired" and "missed" not in gap and gap["from"]
    world.trade(9)
    world.flush()
    assert ids(client.got()) == [9]
    assert world.tally.metrics["cryptodash_ws_resumes_total"].values == {("trade", "expired"): 1}


def test_a_gap_of_the_venue_is_told_in_its_place(world: Any) -> None:
    cursor = away_after(world)
    world.trade(2)
    world.gap()
    world.trade(5)
    answer = world.client().subscribe(since(TRADES, cursor))
    assert kinds(answer) == ["info", "status", "trade", "gap", "trade"]


def test_a_slow_client_reads_what_it_missed_at_its_own_pace_and_nothing_is_stored_for_it(world: Any) -> None:
    cursor = away_after(world)
    for number in range(2, 2_000):
        world.trade(number)
    client = world.client(room=3_000)
    send(client, "subscribe", since(TRADES, cursor))
    most, number = 0, 2_000
    for _ in range(3_000):
        world.trade(number)
        number += 1
        world.flush()
        most = max(most, client.writer.queued_bytes)
        client.wire.read(room=9_000)
        world.flush()
    client.wire.read()
    assert ids(client.got()) == list(range(2, number))
    assert most < 3_000
    assert client.writer.clean


def test_a_resync_in_the_middle_leaves_nothing_out(world: Any) -> None:
    cursor = away_after(world)
    for number in range(2, 1_002):
        world.trade(number)
    client = world.client(room=1_000)
    send(client, "subscribe", since(TRADES, cursor))
    client.wire.read(room=1_000)
    send(client, "resync", TRADES)
    client.wire.read()
    client.wire.read()
    messages = client.got()
    assert kinds(messages).count("status") == 2
    assert ids(messages) == list(range(2, 1_002))
    assert "gap" not in kinds(messages)


def test_a_resync_while_the_replay_still_waits_for_room_leaves_nothing_out(world: Any) -> None:
    cursor = away_after(world)
    for number in range(2, 300):
        world.trade(number)
    client = world.client(room=0)
    send(client, "subscribe", since(TRADES, cursor))
    send(client, "resync", TRADES)
    client.wire.read()
    client.wire.read()
    assert ids(client.got()) == list(range(2, 300))


def test_after_a_resync_a_replay_begins_with_its_gap_still(world: Any) -> None:
    world.client().subscribe(TRADES)
    for number in range(300):
        world.trade(number)
    topic = world.topic(channel=Channel.TRADE)
    client, delivery = world.client(), Delivery(topic)
    queue = client.writer.unsent
    queue.follow([delivery])
    queue.add_current([delivery], {delivery: Cursor(1, "not kept")})
    queue.pop()  # the status; what is replayed has not been read
    queue.add_current([delivery], {})
    messages = [json.loads(each) for _ in range(2) for each in read_frames(queue.pop())]
    assert kinds(messages)[:3] == ["status", "gap", "trade"]


def test_a_replay_that_waits_is_the_same_at_another_rate(world: Any) -> None:
    cursor = away_after(world)
    world.trade(2)
    client = world.client(room=0)
    send(client, "subscribe", since(TRADES, cursor))
    send(client, "subscribe", {**TRADES, "max_rate": 5})
    client.wire.read()
    client.wire.read()
    assert ids(client.got()) == [2]


def test_a_cursor_is_charged_as_ten_channels_more(world: Any) -> None:
    plain = charged_as(world.hub, [TRADES, CANDLES])
    assert charged_as(world.hub, [since(TRADES, "x"), CANDLES, 5]) == plain + 1 + SEARCHED


def test_a_channel_left_in_the_middle_sends_no_more(world: Any) -> None:
    cursor = away_after(world)
    for number in range(2, 1_002):
        world.trade(number)
    client = world.client(room=1_000)
    send(client, "subscribe", since(TRADES, cursor))
    send(client, "unsubscribe", TRADES)
    client.wire.read()
    assert kinds(client.got())[-1] == "info"


def test_closed_bars_and_liquidations_go_on_as_well(world: Any) -> None:
    client = world.client()
    client.subscribe(CANDLES, LIQUIDATIONS)
    world.candle(1, "1", closed=True)
    world.liquidation(1)
    world.flush()
    cursors = {each["type"]: each["payload"]["cursor"] for each in client.got() if "cursor" in each["payload"]}
    client.session.closed()
    world.candle(2, "2", closed=True)
    world.candle(3, "3")
    world.liquidation(2)
    again = world.client()
    answer = again.subscribe(since(CANDLES, cursors["candle"]), since(LIQUIDATIONS, cursors["liquidation"]))
    bars = [each["payload"] for each in answer if each["type"] == "candle"]
    assert [(each["close"], each["closed"], each.get("replayed", False)) for each in bars] == [
        (2, True, True),
        (3, False, False),
    ]
    assert [each["payload"]["price"] for each in answer if each["type"] == "liquidation"] == [3]
    world.candle(3, "4", closed=True)
    world.flush()
    assert [each["payload"]["closed"] for each in again.got()] == [True]


def test_a_closed_bar_that_is_the_newest_is_not_told_twice(world: Any) -> None:
    client = world.client()
    client.subscribe(CANDLES)
    world.candle(1, "1", closed=True)
    world.flush()
    cursor = last_cursor(client.got())
    world.candle(2, "2", closed=True)
    answer = world.client().subscribe(since(CANDLES, cursor))
    assert [each["payload"]["close"] for each in answer if each["type"] == "candle"] == [2]


@pytest.mark.parametrize(
    ("channel", "cursor", "message"),
    [
        (BTC, "1", "since does not go with ticker"),
        (TRADES, 5, "since is not a cursor"),
        (TRADES, "00000000-1-1", "since is the cursor of another topic"),
    ],
)
def test_a_wrong_cursor_is_refused_and_its_channel_with_it(
    world: Any, channel: dict[str, Any], cursor: object, message: str
) -> None:
    client = world.client()
    answer = client.ask({"op": "subscribe", "channels": [{**channel, "since": cursor}, CANDLES]})
    info, error = answer[0]["payload"], answer[1]["payload"]
    assert len(info["accepted"]) == 1
    assert error["code"] == "invalid_since" and message in error["message"]


def complete_messages(client: Any) -> list[dict[str, Any]]:
    """What has been read; the beginning of a frame stays."""
    data, end = client.wire.got, 0
    while end + 4 <= len(data):
        size, start = (data[end + 1], 2) if data[end + 1] < 126 else (int.from_bytes(data[end + 2 : end + 4], "big"), 4)
        if end + start + size > len(data):
            break
        end += start + size
    client.wire.got = data[end:]
    return [json.loads(each) for each in read_frames(data[:end])]


class Returning:
    """A client that comes and goes, and goes on from the last message it has read."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.cursors: dict[str, str] = {}
        self.got: dict[str, list[int]] = {"BTC": [], "ETH": []}
        self.client: Any = None

    def come(self, room: float) -> None:
        self.client = self.client or self.world.client(room=room)
        channels = [since(each, self.cursors[each["symbol"][:3]]) for each in (TRADES, TRADES_OF_ETH)]
        send(self.client, "subscribe", *channels)

    def read(self, room: float) -> None:
        if self.client is None:
            return
        for message in complete_messages(self.client):
            assert message["type"] != "gap"
            if message["type"] == "trade":
                base = message["payload"]["symbol"]["base"]
                self.got[base].append(int(message["payload"]["id"]))
                self.cursors[base] = message["payload"]["cursor"]
        self.client.wire.read(room=room)

    def go(self) -> None:
        """What it has not read is lost."""
        if self.client is not None:
            self.client.session.closed()
            self.client = None


ROOMS = st.sampled_from([float("inf"), 700, 5_000])


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_whoever_comes_and_goes_at_whatever_pace_gets_everything_once(make_world: Any, data: st.DataObject) -> None:
    world = make_world()
    world.client().subscribe(TRADES, TRADES_OF_ETH)
    told: dict[str, list[int]] = {"BTC": [], "ETH": []}
    returning = Returning(world)
    returning.cursors = {"BTC": away_after(world), "ETH": away_after(world, TRADES_OF_ETH)}
    number = 1
    for step in data.draw(st.lists(st.sampled_from(["trade", "burst", "flush", "read", "come", "go"]), max_size=25)):
        if step in ("trade", "burst"):
            for _ in range(1 if step == "trade" else 30):
                number += 1
                base = data.draw(st.sampled_from(["BTC", "ETH"]))
                world.trade(number, base)
                told[base].append(number)
        elif step == "flush":
            world.flush()
        elif step == "come" and returning.client is None:
            returning.come(data.draw(ROOMS))
        elif step == "go":
            returning.go()
        elif step == "read":
            returning.read(data.draw(ROOMS))
    if returning.client is None:
        returning.come(float("inf"))
    for _ in range(3):
        world.flush()
        returning.read(float("inf"))
    assert returning.got == told
