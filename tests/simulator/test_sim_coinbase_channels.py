"""What the Coinbase host's channels say: trades, tickers, candles, heartbeats, status; and their times."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise

import pytest

from cryptodash.core.instruments import MarketType
from tests.simulator.coinbase_wire import HOST, connect, of

BTC = "BTC-USD"
CHANNELS = ("level2", "market_trades", "ticker", "ticker_batch", "candles", "status", "heartbeats")


def test_trades_are_newest_first_of_the_makers_side_and_without_a_hole(world) -> None:
    wire = connect(world, ("market_trades", [BTC]))
    world.run(10)
    frames = of(wire.take(), "market_trades")
    assert [frame["events"][0]["type"] for frame in frames] == ["snapshot"] + ["update"] * (len(frames) - 1)
    rows = [frame["events"][0]["trades"] for frame in frames]
    assert all(int(newer["trade_id"]) == int(older["trade_id"]) + 1 for each in rows for newer, older in pairwise(each))
    ids = [int(row["trade_id"]) for each in rows for row in reversed(each)]
    assert sorted(set(ids)) == list(range(ids[0], ids[-1] + 1))
    assert len(rows[0]) <= 100
    for row in rows[-1]:
        truth = world.simulator.truth.trade("coinbase", MarketType.SPOT, BTC, int(row["trade_id"]))
        assert (Decimal(row["price"]), Decimal(row["size"])) == (Decimal(truth.price), Decimal(truth.size))
        assert row["side"] == {"buy": "SELL", "sell": "BUY"}[truth.side]


def test_tickers_are_the_truth_and_a_batch_has_no_quotes(world) -> None:
    wire = connect(world, ("ticker", [BTC]), ("ticker_batch", [BTC]))
    world.run(12)
    frames = wire.take()
    truth = world.simulator.truth.ticker("coinbase", MarketType.SPOT, BTC)
    last = of(frames, "ticker")[-1]["events"][0]["tickers"][0]
    quote = truth.quote
    assert [Decimal(last[name]) for name in ("price", "volume_24_h", "low_24_h", "high_24_h")] == [
        Decimal(text) for text in (truth.last, truth.volume, truth.low, truth.high)
    ]
    assert [Decimal(last[f"best_{name}"]) for name in ("bid", "bid_quantity", "ask", "ask_quantity")] == [
        Decimal(text) for text in (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
    ]
    open_ = Decimal(last["price"]) / (1 + Decimal(last["price_percent_chg_24_h"]) / 100)
    assert abs(open_ - Decimal(truth.open)) < Decimal("0.00001")
    assert Decimal(last["low_52_w"]) <= Decimal(truth.low) and Decimal(last["high_52_w"]) >= Decimal(truth.high)
    batches = of(frames, "ticker_batch")
    assert 3 <= len(batches) <= 4
    assert not [name for frame in batches for name in frame["events"][0]["tickers"][0] if name.startswith("best_")]


def test_candles_are_the_last_hundred_of_five_minutes_then_the_running_one_every_second(world) -> None:
    wire = connect(world, ("candles", [BTC]))
    world.run(90)  # the quarter ends within
    frames = of(wire.take(), "candles")
    snapshot, *updates = [frame["events"][0] for frame in frames]
    assert snapshot["type"] == "snapshot" and len(snapshot["candles"]) == 100
    starts = [int(row["start"]) for row in snapshot["candles"]]
    assert starts == list(range(starts[0], starts[0] - 30_000, -300))
    assert {event["type"] for event in updates} == {"update"}
    assert 85 <= len(updates) <= 92
    truth = {
        bar.start // 1_000: bar for bar in world.simulator.truth.candles("coinbase", MarketType.SPOT, BTC, "5m", 100)
    }
    told = {int(row["start"]): row for event in (snapshot, *updates) for row in reversed(event["candles"])}
    assert starts[0] + 300 in told
    for start, row in told.items():
        bar = truth.get(start)
        if bar is not None and bar.closed:
            assert [Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")] == [
                Decimal(text) for text in (bar.open, bar.high, bar.low, bar.close, bar.volume)
            ]
    assert len(told.keys() & {start for start, bar in truth.items() if bar.closed}) == 99


def test_candles_without_a_trade_are_left_out(world) -> None:
    wire = connect(world, ("candles", ["NKN-USD"]))
    world.run(600)
    rows = [row for frame in of(wire.take(), "candles") for row in frame["events"][0]["candles"]]
    starts = sorted({int(row["start"]) for row in rows})
    assert rows and all(Decimal(row["volume"]) for row in rows)
    assert [after - before for before, after in pairwise(starts) if after - before > 300]


@pytest.mark.parametrize(
    ("channel", "rows", "members"),
    [
        ("candles", "candles", "start high low open close volume product_id"),
        (
            "ticker_batch",
            "tickers",
            "type product_id price volume_24_h low_24_h high_24_h low_52_w high_52_w price_percent_chg_24_h",
        ),
        (
            "status",
            "products",
            "product_type id base_currency quote_currency base_increment quote_increment display_name status "
            "status_message min_market_funds",
        ),
        ("heartbeats", None, "current_time heartbeat_counter"),
    ],
)
def test_channels_of_which_nothing_is_recorded_have_the_documents_members(
    world, channel: str, rows: str | None, members: str
) -> None:
    wire = connect(world, (channel, [BTC]))
    world.run(7)
    frames = of(wire.take(), channel)
    assert len(frames) > 1
    for frame in frames:
        assert list(frame) == ["channel", "timestamp", "sequence_num", "events"]
        (event,) = frame["events"]
        entries = event[rows] if rows else [event]
        assert entries and all(list(entry) == members.split() for entry in entries)


def test_heartbeats_count_the_seconds(world) -> None:
    wire = world.connect(HOST, "/")
    wire.say({"type": "subscribe", "channel": "heartbeats"})
    world.run(10)
    events = [frame["events"][0] for frame in of(wire.take(), "heartbeats")]
    counts = [event["heartbeat_counter"] for event in events]
    assert counts == list(range(counts[0], counts[0] + len(counts))) and 9 <= len(counts) <= 11
    assert re.fullmatch(r"2025-11-22 11:33:5\d\.\d+ \+0000 UTC m=\+\d+\.\d+", events[0]["current_time"])


def test_the_status_channel_tells_of_a_delisted_product(world) -> None:
    wire = connect(world, ("status", [BTC]))
    world.run(6)
    world.simulator.faults.start("coinbase", "delist", BTC, seconds=60)
    world.run(6)
    said = [frame["events"][0]["products"][0]["status"] for frame in of(wire.take(), "status")]
    assert (said[0], said[-1]) == ("online", "delisted")


def test_times_are_of_nanoseconds_and_never_go_back(world) -> None:
    wire = connect(world, *[(channel, [BTC]) for channel in CHANNELS])
    world.run(5)
    times = [frame["timestamp"] for frame in wire.take()]
    assert all(re.fullmatch(r"2025-11-22T11:33:\d\d\.\d{4,9}Z", time) for time in times)
    assert not [time for time in times if time.endswith("0Z")]
    padded = [time[:-1].ljust(29, "0") for time in times]
    assert padded == sorted(padded)
