"""``max_rate``: no more than so many values a second of one channel."""

from __future__ import annotations

from cryptodash.core.events import Bbo, Cause, State, StreamStatus
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel
from tests.api.fanout.channels import BTC, CANDLES, ETH, kinds, lasts


def test_max_rate_sends_the_first_at_once_and_then_the_latest_per_period(world):
    client, full = world.client(), world.client()
    client.subscribe({**BTC, "max_rate": 2})
    full.subscribe(BTC)
    for price in range(1, 11):
        world.ticker(str(price))
        world.time.advance(0.125)
    world.time.pump([0.25] * 4)
    assert lasts(client.got()) == [1, 4, 8, 10]
    assert lasts(full.got()) == list(range(1, 11))
    world.ticker("11")
    world.flush()
    assert lasts(client.got()) == [11]


def test_max_rate_counts_the_value_that_comes_with_the_subscription(world):
    client, full = world.client(), world.client()
    full.subscribe(BTC)
    world.ticker("1")
    world.flush()
    assert lasts(client.subscribe({**BTC, "max_rate": 1})) == [1]
    world.ticker("2")
    world.time.advance(0.9)
    assert client.got() == []
    world.ticker("3")
    world.time.advance(0.2)
    assert lasts(client.got()) == [3]


def test_clients_of_one_rate_share_one_timer(world):
    for _ in range(20):
        world.client().subscribe({**BTC, "max_rate": 2}, ETH)
    world.ticker("1")
    world.flush()
    assert len(world.time.getDelayedCalls()) == 1


def test_max_rate_never_holds_back_statuses_or_closed_bars(world):
    client = world.client()
    client.subscribe({**CANDLES, "max_rate": 0.1}, {**BTC, "max_rate": 0.1})
    world.candle(0, "1")
    world.candle(0, "2")
    world.ticker("1")
    world.ticker("2")
    world.candle(0, "3", closed=True)
    world.candle(1, "4")
    world.status(State.LIVE)
    world.flush()
    messages = client.got()
    assert kinds(messages) == ["candle", "ticker", "candle", "ticker", "status"]
    assert [message["payload"]["close"] for message in messages if message["type"] == "candle"] == [1, 3]
    world.time.advance(10)
    assert kinds(client.got()) == ["candle"]


def test_a_status_that_improves_never_overtakes_the_value_that_makes_it_so(world):
    client = world.client()
    client.subscribe({**BTC, "max_rate": 0.1})
    world.ticker("1")
    world.status(State.LIVE)
    world.flush()
    world.status(State.STALE)
    world.ticker("2")
    world.status(State.LIVE)
    world.flush()
    told = [message["payload"].get("state") or message["payload"]["last"] for message in client.got()[-3:]]
    assert told == ["stale", 2, "live"]


def test_a_part_that_is_stale_no_more_comes_with_its_value(world):
    client = world.client()
    client.subscribe({**BTC, "max_rate": 0.1})
    world.ticker("1")
    world.status(State.LIVE)
    parts_stale(world, "bid", "ask", "last", "stats")
    world.ticker("2")
    world.flush()
    assert [kind for kind in kinds(client.got()) if kind == "ticker"] == ["ticker"], (
        "what gets worse brings nothing along"
    )
    parts_stale(world, "last", "stats")
    world.ticker("3")
    parts_stale(world, "last", "stats", "mark_price")
    world.flush()
    told = [message["payload"].get("fields") or message["payload"]["last"] for message in client.got()]
    assert told[-3:] == [2, ["last", "stats"], ["last", "stats", "mark_price"]]


def test_a_slow_client_too_gets_the_part_that_is_stale_no_more_with_its_value(world):
    client = world.client()
    client.subscribe(BTC)
    world.ticker("1")
    world.status(State.LIVE)
    world.flush()
    client.wire.room = 0
    world.ticker("2")
    world.flush()
    parts_stale(world, "bid", "ask", "last")
    world.flush()
    world.ticker("3")
    world.flush()
    parts_stale(world, "last")
    world.flush()
    client.wire.read()
    told = [message["payload"].get("fields") or message["payload"].get("last") for message in client.got()]
    assert told.index(["last"]) > told.index(3)


def parts_stale(world, *fields):
    world.venue.books.status(StreamStatus(world.topic(), State.STALE, Cause.DISCONNECTED, fields, world.time.wall_ms()))


def test_a_venue_that_leaves_the_composite_is_not_held_back(world):
    client = world.client()
    client.subscribe({"channel_type": "bbo", "exchange": "composite", "symbol": "BTC-USDT", "max_rate": 0.1})
    one = Number("1")
    for number, exchange in enumerate(("binance", "bybit")):
        part = world.topic(channel=Channel.BBO, exchange=exchange)
        world.hub.publish(Bbo(part, 1, 2, Number(f"10{number}"), one, Number("105"), one))
        world.hub.publish(StreamStatus(part, State.LIVE))
    world.flush()
    best = [message["payload"]["bid"] for message in client.got() if message["type"] == "bbo"]
    assert best == [100], "the first; the next one waits"
    world.hub.publish(StreamStatus(part, State.STALE, Cause.LATE))
    world.flush()
    (message,) = client.got()
    assert set(message["payload"]["venues"]) == {"binance"}
    assert [each["exchange"] for each in message["payload"]["excluded"]] == ["bybit"]
    world.time.advance(10)
    assert client.got() == [], "what waited was taken back"
