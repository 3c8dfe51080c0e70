"""The Coinbase host's WebSocket: requests and answers, the series of numbers, books, and how long connections live."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.coinbase.book_feed import Books
from cryptodash.simulator.dialects.coinbase.texts import Stamps
from tests.simulator.coinbase_wire import HOST, Book, ask, connect, decimals, gaps, of

BTC, ETH = "BTC-USD", "ETH-USD"
CHANNELS = ("level2", "market_trades", "ticker", "ticker_batch", "candles", "status", "heartbeats")


def test_all_frames_of_a_connection_are_in_one_series_from_zero(world) -> None:
    wires = [connect(world, (channel, [BTC]), ("heartbeats", [])) for channel in ("market_trades", "level2")]
    ask(wires[1], "ticker", [ETH, BTC])
    world.run(10)
    for wire in wires:
        frames = wire.take()
        assert frames[0]["sequence_num"] == 0
        assert gaps(frames) == []
        assert len({frame["channel"] for frame in frames}) >= 3
        assert len(frames) > 30


def test_the_first_data_comes_before_the_acknowledgement_which_lists_all_that_the_connection_has(world) -> None:
    wire = connect(world, ("ticker", [BTC, ETH]), ("level2", [ETH]))
    ask(wire, "heartbeats", [])
    world.run(0.3)
    frames = wire.take()
    assert [frame["channel"] for frame in frames[:2]] == ["ticker", "ticker"]
    assert frames.index(of(frames, "l2_data")[0]) < frames.index(of(frames, "subscriptions")[-1])
    (last,) = of(frames, "subscriptions")[-1]["events"]
    assert last == {"subscriptions": {"heartbeats": ["heartbeats"], "level2": [ETH], "ticker": [BTC, ETH]}}
    assert list(last["subscriptions"]) == ["heartbeats", "level2", "ticker"]


def test_unsubscribing_ends_a_stream_and_the_answer_lists_what_is_left(world) -> None:
    wire = connect(world, ("ticker", [BTC, ETH]))
    world.run(1)
    wire.take()
    ask(wire, "ticker", [BTC], "unsubscribe")
    ask(wire, "ticker", [ETH], "unsubscribe")
    world.run(0.3)
    assert of(wire.take(), "subscriptions")[-1]["events"] == [{"subscriptions": {}}]
    world.run(3)
    assert wire.take() == []


def test_a_second_subscription_changes_nothing(world) -> None:
    wire = connect(world, ("level2", [BTC]))
    world.run(0.3)
    wire.take()
    ask(wire, "level2", [BTC])
    world.run(0.3)
    frames = wire.take()
    assert not [event for frame in of(frames, "l2_data") for event in frame["events"] if event["type"] == "snapshot"]
    assert len(of(frames, "subscriptions")) == 1
    ask(wire, "level2", [BTC], "unsubscribe")
    ask(wire, "level2", [BTC])
    world.run(0.1)
    assert of(wire.take(), "l2_data")[0]["events"][0]["type"] == "snapshot"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"type": "subscribe", "product_ids": [BTC], "channel": "user"}, "authentication failure"),
        ({"type": "subscribe", "product_ids": [BTC], "channel": "level3"}, "authentication failure"),
        ({"type": "subscribe", "product_ids": [BTC], "channels": ["level2"]}, "authentication failure"),
        ({"type": "subscribe", "product_ids": [BTC], "channel": ["level2", "ticker"]}, "authentication failure"),
        ({"type": "subscribe", "product_ids": [BTC], "channel": "ticker", "jwt": "x"}, "authentication failure"),
        ({"type": "subscribe", "product_ids": BTC, "channel": "ticker"}, "invalid product_ids"),
        ({"op": "subscribe"}, "invalid message"),
        ("{", "invalid message"),
        ("[" * 5_000, "invalid message"),
        ("[]", "invalid message"),
    ],
)
def test_what_is_refused_is_told_without_a_number_and_ends_nothing(world, request_: Any, said: str) -> None:
    wire = connect(world, ("ticker", [BTC]))
    wire.say(request_)
    world.run(1)
    frames = wire.take()
    assert [frame for frame in frames if "channel" not in frame] == [{"type": "error", "message": said}]
    assert gaps(frames) == []
    assert wire.ended is None


def test_a_product_that_there_is_not_is_left_out_of_the_acknowledgement(world) -> None:
    wire = connect(world, ("ticker", ["NOPE-USD", BTC]))
    world.run(0.5)
    frames = wire.take()
    assert of(frames, "subscriptions")[-1]["events"] == [{"subscriptions": {"ticker": [BTC]}}]
    assert {row["product_id"] for frame in of(frames, "ticker") for row in frame["events"][0]["tickers"]} == {BTC}


def test_products_in_usdc_are_other_names_of_the_books_in_usd(world) -> None:
    wire = connect(world, ("level2", ["BTC-USDC", BTC]), ("market_trades", ["ETH-USDC"]))
    world.run(5)
    frames = wire.take()
    assert {event["product_id"] for frame in of(frames, "l2_data") for event in frame["events"]} == {BTC}
    trades = [row for frame in of(frames, "market_trades") for row in frame["events"][0]["trades"]]
    assert {row["product_id"] for row in trades} == {ETH}
    assert of(frames, "subscriptions")[-1]["events"][0]["subscriptions"]["level2"] == [BTC]


# --- books ---


@pytest.mark.parametrize("product", [BTC, "XRP-USD", "ETH-BTC", "PEPE-USD"])
def test_a_book_of_snapshot_and_updates_is_the_truth_after_each_frame(world, product: str) -> None:
    wire, book, instrument = connect(world, ("level2", [product])), Book(), None
    compared = 0
    for _ in range(200):
        world.run(0.1)
        events = [event for frame in of(wire.take(), "l2_data") for event in frame["events"]]
        for event in events:
            book.take(event)
        instrument = world.simulator.truth.instrument("coinbase", MarketType.SPOT, product)
        truth = world.simulator.truth.book("coinbase", MarketType.SPOT, product, instrument.update_id, 200)
        assert book.best(200) == (decimals(truth[0]), decimals(truth[1]))
        compared += bool(events)
    assert compared > 40


def test_the_snapshot_is_the_whole_book(world) -> None:
    """About as long as the one of 4.8 MB that the venue sends of BTC-USD; all its levels have one time."""
    wire = connect(world, ("level2", [BTC]))
    text = wire.frames[0]
    assert 4_000_000 < len(text) < 6_000_000
    (event,) = wire.take()[0]["events"]
    sides = [row["side"] for row in event["updates"]]
    assert sides == sorted(sides) and set(sides) == {"bid", "offer"} and min(map(sides.count, set(sides))) > 20_000
    assert len({row["event_time"] for row in event["updates"]}) == 1
    assert len({(row["side"], row["price_level"]) for row in event["updates"]}) == len(sides)


def test_a_later_subscriber_gets_the_same_book(world) -> None:
    first = connect(world, ("level2", ["LTC-USD"]))
    books = [Book(), Book()]
    world.run(20)
    second = connect(world, ("level2", ["LTC-USD"]))
    world.run(5)
    for wire, book in zip((first, second), books, strict=True):
        for frame in of(wire.take(), "l2_data"):
            book.take(frame["events"][0])
    assert books[0].sides == books[1].sides


def test_when_the_price_comes_near_the_end_of_the_book_it_goes_on(world) -> None:
    """As if new orders were placed there: nothing is missing that the truth has."""
    connect(world, ("ticker", [BTC]), ("heartbeats", []))  # so that the instrument goes on
    instrument = world.simulator.truth.instrument("coinbase", MarketType.SPOT, BTC)
    feed, book, sizes = Books(instrument, Stamps(), 12), Book(), []
    book.take(msgspec.json.decode(feed.opening(world.clock.wall_ms())[0])["events"][0])
    for _ in range(3_000):
        world.run(0.1)
        for frame in feed.frames(world.clock.wall_ms()):
            book.take(msgspec.json.decode(frame)["events"][0])
        truth = instrument.book.levels(12)
        fewest = [min(12, len(side)) for side in book.sides.values()]
        for told, true, count in zip(book.best(12), truth, fewest, strict=True):
            assert told == decimals([(instrument.spec.price(p), instrument.spec.size(s)) for p, s in true[:count]])
        sizes += fewest
    assert min(sizes) > 2


def test_updates_without_levels_and_deletes_of_unknown_ones_are_routine(world) -> None:
    wire, book = connect(world, ("level2", [BTC, "NKN-USD"])), {BTC: Book(), "NKN-USD": Book()}
    world.run(60)
    events = [event for frame in of(wire.take(), "l2_data") for event in frame["events"]]
    for event in events:
        book[event["product_id"]].take(event)
    assert [event for event in events if not event["updates"]]
    assert book[BTC].unknown + book["NKN-USD"].unknown > 0


# --- what the channels say ---


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


# --- how long a connection lives, and what it may do ---


def test_who_subscribes_to_nothing_within_five_seconds_is_disconnected(world) -> None:
    idle, busy = world.connect(HOST, "/"), connect(world, ("heartbeats", []))
    world.run(4.8)
    assert idle.ended is None
    world.run(0.4)
    assert idle.ended is not None and busy.ended is None
    assert world.simulator.ledger.violations == ["coinbase: no subscribe within 5 s"]


def test_a_connection_without_updates_is_closed_and_heartbeats_keep_it(world) -> None:
    silent, kept = connect(world, ("candles", [])), connect(world, ("candles", []), ("heartbeats", []))
    world.run(60)
    assert silent.ended is None
    world.run(30)
    assert silent.ended == (1001, "no updates") and kept.ended is None
    assert world.simulator.ledger.violations == []


def test_nine_messages_of_an_address_in_a_second_are_one_too_many(world) -> None:
    wires = world.connect(HOST, "/"), world.connect(HOST, "/")
    for number in range(9):
        ask(wires[number % 2], "ticker", [("BTC-USD", "ETH-USD", "SOL-USD")[number % 3]])
    assert [wire.ended for wire in wires] == [(1008, "Too many requests"), None]
    assert world.simulator.ledger.violations == ["coinbase: 9 messages in 1 s from one address"]
    world.run(1.1)
    ask(wires[1], "heartbeats", [])
    assert wires[1].ended is None


def test_nine_connections_in_a_second_are_one_too_many(world) -> None:
    host = world.simulator.hosts[HOST]
    assert [host.refuse("/") for _ in range(8)] == [None] * 8
    assert host.refuse("/").status == 429
    assert world.simulator.ledger.violations == ["coinbase: 9 connection attempts in 1 s"]
    world.run(1.1)
    assert host.refuse("/") is None
    assert host.refuse("/ws").status == 404
