"""What waits for a client whose socket takes no more: its order, what is merged or dropped, and its limits."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from cryptodash.api.fanout.waiting_trades import BURST_S, MAX_OLD_TRADES, MAX_TRADES
from cryptodash.api.ws.frames import text_frame
from cryptodash.core.config import Config, Limits
from cryptodash.core.events import State
from tests.api.fanout.channels import BOOK, BTC, CANDLES, TRADES, kinds, lasts


def test_a_short_write_sends_the_rest_first_and_the_client_returns_when_it_has_drained(world):
    slow, fast = world.client(), world.client()
    for client in (slow, fast):
        client.subscribe(BTC)
    slow.wire.room = 10
    world.ticker("1")
    world.flush()
    cohort = next(iter(world.fanout.cohorts.values()))
    assert len(cohort.clean) == 1
    world.ticker("2")
    world.flush()
    world.ticker("3")
    world.flush()
    assert lasts(fast.got()) == [1, 2, 3]
    slow.wire.read()
    assert lasts(slow.got()) == [1, 3]
    assert len(cohort.clean) == 2
    world.ticker("4")
    world.flush()
    assert lasts(slow.got()) == [4]
    assert world.tally.metrics["cryptodash_ws_conflated_total"].values[("ticker",)] == 1


def test_a_full_or_broken_socket_is_no_error(world):
    full, broken = world.client(), world.client()
    for client in (full, broken):
        client.subscribe(BTC)
    full.wire.room = 0

    def fail(data: bytes) -> int:
        raise ConnectionResetError

    cohort = next(iter(world.fanout.cohorts.values()))
    writer = cohort.clean.pop(broken.writer.send)
    broken.writer.send = fail
    cohort.clean[fail] = writer
    world.ticker("1")
    world.flush()
    assert broken.wire.waiting
    assert broken.writer.blocked
    full.wire.read()
    assert lasts(full.got()) == [1]


def test_answers_keep_their_order_with_data_for_a_slow_client(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 5
    world.ticker("1")
    world.flush()
    world.ticker("2")
    world.flush()
    assert client.session.received(b'{"op":"ping","id":1}') is None
    client.session.received(json.dumps({"op": "unsubscribe", "channels": [BTC]}).encode())
    client.session.received(b'{"op":"ping","id":2}')
    client.wire.read()
    messages = client.got()
    assert [
        message["payload"].get("id") or message["payload"]["message"]
        for message in messages
        if message["type"] == "info"
    ] == [
        1,
        "Unsubscribed from 1 channels",
        2,
    ]
    assert lasts(messages) == [1]


def test_slow_clients_get_books_as_one_snapshot_with_the_present_sequence(world):
    client = world.client()
    client.subscribe(BOOK)
    world.book("10")
    world.time.advance(1)
    client.got()
    client.wire.room = 0
    for price in range(11, 16):
        world.book("10", str(price))
        world.time.advance(1)
    client.wire.read()
    messages = client.got()
    assert kinds(messages) == ["order_book_delta", "order_book_snapshot"]
    assert messages[1]["payload"]["sequence"] == 6
    world.book("10")
    world.time.advance(1)
    (delta,) = client.got()
    assert delta["payload"]["sequence"] == 7


def test_a_snapshot_taken_in_mid_turn_contains_the_deltas_that_were_pending(world):
    client = world.client()
    client.subscribe(BOOK)
    world.book("10")
    world.time.advance(1)
    client.got()
    client.wire.room = 0
    world.book("10", "11")
    world.time.advance(1)
    world.book("10", "12")
    world.time.advance(1)
    world.book("10", "13")  # published at once after a quiet time, not flushed yet
    client.wire.read()
    world.time.advance(1)
    messages = client.got()
    assert kinds(messages) == ["order_book_delta", "order_book_snapshot"]
    assert [message["payload"]["sequence"] for message in messages] == [2, 4]


def test_protocol_frames_do_not_overtake_queued_bytes(world):
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 10
    world.ticker("1")
    world.flush()
    client.wire.room = 100
    pong = text_frame(b'{"type":"pong"}')
    client.writer.send_control(pong)
    client.wire.read()
    assert kinds(client.got()) == ["ticker", "pong"]
    client.writer.send_control(pong)
    assert kinds(client.got()) == ["pong"]


def test_closed_candles_are_never_lost_to_a_slow_client(world):
    client = world.client()
    client.subscribe(CANDLES)
    client.wire.room = 0
    world.candle(0, "1")
    world.flush()
    for open_time in range(3):
        world.candle(open_time, "5")
        world.candle(open_time, "6", closed=True)
        world.flush()
    world.candle(3, "7")
    world.candle(3, "8")
    world.flush()
    client.wire.read()
    bars = [
        (message["payload"]["timestamp"][14:16], message["payload"]["close"], message["payload"]["closed"])
        for message in client.got()
    ]
    assert bars == [("00", 1, False), ("00", 6, True), ("01", 6, True), ("02", 6, True), ("03", 8, False)]


@pytest.mark.parametrize("resync_before", [1, 2, 3])
def test_closed_candles_are_delivered_once_whenever_a_slow_client_asks_for_the_present_value(world, resync_before):
    client = world.client()
    client.subscribe(CANDLES)
    client.wire.room = 0
    for open_time in (1, 2, 3):
        if open_time == resync_before:
            client.session.received(json.dumps({"op": "resync", "channels": [CANDLES]}).encode())
        world.candle(open_time, "5")
        world.candle(open_time, "6", closed=True)
        world.flush()
    world.candle(4, "7")
    world.flush()
    client.wire.read()
    client.wire.read()
    bars = [each["payload"] for each in client.got() if each["type"] == "candle"]
    assert [bar["timestamp"][14:16] for bar in bars if bar["closed"]] == ["01", "02", "03"]
    assert (bars[-1]["close"], bars[-1]["closed"]) == (7, False)
    assert client.writer.unsent.bytes == 0


def test_dropped_trades_are_told_before_the_next_ones(world):
    client = world.client()
    client.subscribe(TRADES)
    client.wire.room = 0
    for id in range(MAX_TRADES + 31):
        world.trade(id)
        world.flush()
    client.wire.read()
    messages = client.got()
    assert kinds(messages)[:3] == ["trade", "gap", "trade"]
    assert messages[1]["payload"] == {
        "channel": {**TRADES, "market_type": "spot", "symbol": {"base": "BTC", "quote": "USDT"}},
        "reason": "slow",
        "missed": 30,
    }
    assert [int(message["payload"]["id"]) for message in messages[2:]] == list(range(31, MAX_TRADES + 31))
    assert world.tally.metrics["cryptodash_ws_dropped_total"].values[("trade",)] == 30


def test_liquidations_are_dropped_with_a_gap_as_trades_are(world):
    client = world.client()
    channel = {**TRADES, "channel_type": "liquidation", "market_type": "perpetual"}
    client.subscribe(channel)
    client.wire.room = 0
    for number in range(MAX_TRADES + 31):
        world.liquidation(number)
        world.flush()
    client.wire.read()
    messages = client.got()
    assert kinds(messages)[:3] == ["liquidation", "gap", "liquidation"]
    named = {**channel, "symbol": {"base": "BTC", "quote": "USDT"}}
    assert messages[1]["payload"] == {"channel": named, "reason": "slow", "missed": 30}
    assert [message["payload"]["price"] for message in messages[2:]] == list(range(32, MAX_TRADES + 32))
    assert world.tally.metrics["cryptodash_ws_dropped_total"].values[("liquidation",)] == 30


def test_a_gap_among_liquidations_keeps_its_place_and_is_never_counted_as_one_of_them(world):
    client = world.client()
    client.subscribe({**TRADES, "channel_type": "liquidation", "market_type": "perpetual"})
    client.wire.room = 0
    for number in range(2):
        world.liquidation(number)
        world.gap(topic=world.liquidations())
        world.flush()
    client.wire.read()
    assert kinds(client.got()) == ["liquidation", "gap", "liquidation", "gap"]
    client.wire.room = 0
    world.liquidation(0)
    world.flush()
    world.gap(topic=world.liquidations())
    for number in range(1, MAX_TRADES + 31):
        world.liquidation(number)
        world.flush()
    client.wire.read()
    messages = client.got()
    assert kinds(messages)[:3] == ["liquidation", "gap", "liquidation"]
    told = messages[1]["payload"]
    assert told["reason"] == "slow" and "missed" not in told, "nobody knows how many the interruption cost"
    assert world.tally.metrics["cryptodash_ws_dropped_total"].values[("liquidation",)] == 30


def test_a_burst_of_trades_is_kept_for_one_that_will_read_it_soon(world):
    client = world.client()
    behind_with_trades(world, client, MAX_TRADES)
    world.time.advance(BURST_S)
    client.wire.read()
    assert [message["payload"]["id"] for message in client.got()] == [str(id) for id in range(MAX_TRADES + 1)]


@pytest.mark.parametrize("later", [0, 1], ids=["none came later", "one came later"])
def test_of_trades_that_waited_long_only_some_are_kept(world, later):
    client = world.client()
    behind_with_trades(world, client, MAX_TRADES)
    world.time.advance(BURST_S + 0.1)
    for _ in range(later):
        world.trade(MAX_TRADES + 1)
    world.flush()
    client.wire.read()
    messages = client.got()
    assert kinds(messages) == ["trade", "gap"] + ["trade"] * MAX_OLD_TRADES
    assert messages[1]["payload"]["missed"] == MAX_TRADES + later - MAX_OLD_TRADES


def behind_with_trades(world, client, number: int) -> None:
    """The client takes one trade, and so many wait for it."""
    client.subscribe(TRADES)
    client.wire.room = 0
    world.trade(0)
    world.flush()
    for id in range(1, number + 1):
        world.trade(id)
    world.flush()


def small_buffer(size: int) -> Config:
    return Config(limits=evolve(Limits(), client_buffer_bytes=size))


def test_trades_that_do_not_fit_are_dropped_and_the_client_stays(make_world):
    world = make_world(small_buffer(1000))
    client = world.client()
    client.subscribe(TRADES)
    client.wire.room = 0
    for id in range(100):
        world.trade(id)
        world.flush()
        assert client.writer.unsent.bytes <= 1000
    client.wire.read()
    messages = client.got()
    told = sum(message["payload"]["missed"] for message in messages if message["type"] == "gap")
    assert told + kinds(messages).count("trade") == 100
    assert messages[-1]["payload"]["id"] == "99"


def test_one_whose_latest_values_do_not_fit_is_too_slow(make_world):
    world = make_world(small_buffer(100))
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    world.ticker("2")
    world.flush()
    assert client.writer.unsent.bytes <= 100
    world.time.advance(1)
    assert client.wire.closed_with == (1013, "too slow")


def test_one_whose_backlog_overflowed_is_not_resumed_with_holes(make_world):
    world = make_world(small_buffer(100))
    client = world.client()
    client.subscribe(BTC)
    client.wire.room = 0
    world.ticker("1")
    world.flush()
    world.ticker("2")
    world.flush()
    client.wire.read()
    assert client.wire.closed_with == (1013, "too slow")


def test_a_client_that_asks_much_and_reads_nothing_costs_bounded_memory(make_world):
    world = make_world(small_buffer(1000))
    client = world.client(room=0)
    for _ in range(100):
        client.session.received(b'{"op":"ping"}')
    assert client.writer.unsent.bytes <= 1000
    assert len(client.wire.waiting) < 200
    world.time.advance(1)
    assert client.wire.closed_with == (1013, "too slow")


def test_a_status_that_improves_waits_behind_the_value_that_makes_it_so(world):
    client = world.client()
    client.subscribe(BTC)
    world.ticker("1")
    world.status(State.LIVE)
    world.flush()
    client.got()
    client.wire.room = 0
    world.ticker("2")
    world.flush()
    world.status(State.STALE)
    world.ticker("3")
    world.status(State.LIVE)
    world.flush()
    client.wire.read()
    told = [message["payload"].get("state") or message["payload"]["last"] for message in client.got()]
    assert told == [2, 3, "live"]


def test_trades_left_out_by_a_new_subscription_of_a_slow_client_are_a_gap(world):
    client = world.client()
    client.subscribe(TRADES)
    client.wire.room = 0
    world.trade(0)
    world.flush()
    for number in range(1, 101):
        world.trade(number)
    world.flush()
    client.subscribe(TRADES)
    client.wire.read()
    messages = client.got()
    trades = [int(each["payload"]["id"]) for each in messages if each["type"] == "trade"]
    missed = sum(each["payload"]["missed"] for each in messages if each["type"] == "gap")
    assert len(set(trades)) + missed == 101


def gaps(messages):
    """Each as its place among the trades, and what it says."""
    found, before = [], None
    for each in (each["payload"] for each in messages if each["type"] in ("trade", "gap")):
        if "reason" in each:
            found.append((before, each["reason"], each.get("missed"), "from" in each))
        before = each.get("id", before)
    return found


def test_a_gap_of_the_topic_keeps_its_place_among_the_trades_for_fast_and_slow(world):
    fast, slow = world.client(), world.client()
    fast.subscribe(TRADES)
    slow.subscribe(TRADES)
    slow.wire.room = 0
    for number in range(3):
        world.trade(number)
        world.flush()
        if number == 1:
            world.gap(4)
    world.gap()
    world.flush()
    slow.wire.read()
    wanted = [("1", "failover", 4, True), ("2", "failover", None, True)]
    assert gaps(fast.got()) == wanted
    assert gaps(slow.got()) == wanted


def test_a_gap_that_is_dropped_with_trades_makes_their_number_unknown(world):
    client = world.client()
    client.subscribe(TRADES)
    client.wire.room = 0
    world.trade(0)
    world.flush()
    world.gap(4)
    for number in range(1, MAX_TRADES + 31):
        world.trade(number)
        world.flush()
    client.wire.read()
    messages = client.got()
    assert gaps(messages) == [("0", "slow", None, False)]
    assert [each["payload"]["id"] for each in messages if each["type"] == "trade"][1] == "31"


@pytest.mark.parametrize(("trades", "reason"), [(10, "failover"), (100, "slow")])
def test_a_gap_is_told_though_the_recent_trades_are_sent_again(world, trades, reason):
    client = world.client()
    client.subscribe(TRADES)
    client.wire.room = 0
    world.trade(0)
    world.flush()
    world.trade(1)
    world.flush()
    client.subscribe(TRADES)
    world.gap()
    for number in range(2, trades):
        world.trade(number)
    world.flush()
    client.wire.read()
    assert gaps(client.got()) == [("0", reason, None, False)]
