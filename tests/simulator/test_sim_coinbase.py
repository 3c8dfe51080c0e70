"""The Coinbase host's WebSocket: requests and answers, the series of numbers, books, and how long connections live."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.coinbase.book_feed import Books
from cryptodash.simulator.dialects.coinbase.texts import Stamps
from tests.simulator.coinbase_wire import HOST, Book, ask, connect, decimals, gaps, of

BTC, ETH = "BTC-USD", "ETH-USD"


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
