"""One client's rules, over the real hub and without a socket."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from cryptodash.core.config import Config, Limits
from cryptodash.core.events import State
from cryptodash.core.instruments import MarketType
from cryptodash.core.topics import Channel

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

BTC = {"channel_type": "ticker", "exchange": "binance", "symbol": {"base": "BTC", "quote": "USDT"}}
ETH = {"channel_type": "ticker", "exchange": "binance", "market_type": "spot", "symbol": "eth/usdt"}
TRADES = {"channel_type": "trade", "exchange": "binance", "symbol": "BTC-USDT"}
BOOK = {"channel_type": "order_book", "exchange": "binance", "symbol": "BTC-USDT", "depth": 5}

# Appendix A of the contract: the request with its line breaks and the blank after "binance",
SEED_REQUEST = b"""{
  "op": "subscribe",
  "channels": [
    {
      "channel_type": "ticker",
      "exchange": "binance",\x20
      "symbol": {"base": "BTC", "quote": "USDT"}
    }
  ]
}"""


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def test_greeting_is_the_first_frame(world):
    client = world.client()
    client.session.opened()
    assert client.got() == [
        {
            "type": "info",
            "payload": {
                "message": "Connected to crypto-dash API. Session: an-id",
                "session": "an-id",
                "version": "1.2.3",
                "source": "simulated",
                "server_time": "2024-01-01T00:00:00.000Z",
                "ping_ms": 20000,
            },
        }
    ]


def test_the_seeds_subscription_is_answered_in_order_and_with_the_venues_digits(world):
    client = world.client()
    world.hub.hold(world.topic(), 0)
    world.ticker("43251.00")
    client.session.received(SEED_REQUEST)
    raw = client.wire.got
    answers = client.got()
    assert kinds(answers) == ["info", "status", "ticker"]
    assert answers[0]["payload"]["message"] == "Subscribed to 1 channels across 1 exchanges"
    assert answers[0]["payload"]["accepted"] == [{**BTC, "market_type": "spot"}]
    assert answers[0]["payload"]["rejected"] == []
    assert "id" not in answers[0]["payload"]
    assert b'"symbol":{"base":"BTC","quote":"USDT"},"last":43251.00,' in raw
    assert answers[2]["payload"]["exchange"] == "binance"


def test_updates_follow_and_end_with_the_unsubscribe(world):
    client = world.client()
    client.subscribe(BTC)
    world.ticker("1")
    world.flush()
    assert [message["payload"]["last"] for message in client.got()] == [1]
    world.ticker("2")
    answers = client.ask({"op": "unsubscribe", "channels": [BTC, ETH, {"nonsense": 1}, 5]})
    assert kinds(answers) == ["ticker", "info"]
    assert answers[1]["payload"] == {"message": "Unsubscribed from 1 channels"}
    world.ticker("3")
    world.flush()
    assert client.got() == []


@pytest.mark.parametrize(("sent", "payload_id"), [({}, None), ({"id": 7}, 7), ({"id": "x"}, "x"), ({"id": None}, None)])
def test_pong_is_exact(world, sent, payload_id):
    client = world.client()
    client.session.received(json.dumps({"op": "ping", **sent}).encode())
    tail = "" if payload_id is None else f',"id":{json.dumps(payload_id)}'
    expected = (
        f'{{"type":"info","payload":{{"message":"Pong",'
        f'"timestamp":"2024-01-01T00:00:00.000Z"{tail}}},"message":"pong"}}'
    )
    assert client.wire.got[client.wire.got.index(b"{") :] == expected.encode()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "invalid_message"),
        (b"null", "invalid_message"),
        (b"[]", "invalid_message"),
        (b"5", "invalid_message"),
        (b'{"op":"ping"', "invalid_message"),
        (b"[" * 100_000, "invalid_message"),
        (b"{}", "invalid_message"),
        (b'{"op":5}', "invalid_message"),
        (b'{"op":"subscribe"}', "invalid_message"),
        (b'{"op":"subscribe","channels":{}}', "invalid_message"),
        (b'{"op":"ping","id":[]}', "invalid_message"),
        (b'{"op":"ping","id":true}', "invalid_message"),
        (b'{"op":"ping","id":123456789012345678901234567890}', "invalid_message"),
        (b'{"op":"ping","id":"' + b"x" * 200_000 + b'"}', "invalid_message"),
        (b'{"op":"explode"}', "unknown_op"),
        (b'{"op":"' + b"x" * 200_000 + b'"}', "unknown_op"),
        (b'{"op":"subscribe","channels":[' + b",".join([b"1"] * 1001) + b"]}", "too_many_channels"),
        (b'{"op":"unsubscribe","channels":[' + b",".join([b"1"] * 1001) + b"]}", "too_many_channels"),
    ],
)
def test_bad_messages_are_answered_shortly_and_the_connection_stays(world, sent, code):
    client = world.client()
    (error,) = client.ask(sent)
    assert error["type"] == "error"
    assert error["payload"]["code"] == code
    assert error["message"] == error["payload"]["message"]
    if code == "invalid_message":
        assert error["message"].startswith("Invalid message format: ")
    assert len(error["message"]) < 256
    assert kinds(client.ask({"op": "ping"})) == ["info"]
    assert client.wire.closed_with is None


@pytest.mark.parametrize("sent", [{"op": "explode"}, {"op": "subscribe"}, {"op": "subscribe", "channels": 3}, {}])
def test_errors_echo_the_id(world, sent):
    (error,) = world.client().ask({**sent, "id": "mine"})
    assert error["payload"]["id"] == "mine"


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ({**BTC, "exchange": "nowhere"}, "unknown_exchange"),
        ({**BTC, "exchange": 5}, "unknown_exchange"),
        ({**BTC, "channel_type": "tocker"}, "unknown_channel"),
        ({**BTC, "market_type": "options"}, "invalid_market"),
        ({**BTC, "symbol": {"base": "BTC"}}, "invalid_symbol"),
        ({**BTC, "symbol": "NOPE-USDT"}, "unknown_symbol"),
        ({**BOOK, "depth": 0}, "invalid_depth"),
        ({**BOOK, "depth": 5.5}, "invalid_depth"),
        ({**BTC, "channel_type": "candle", "interval": "7m"}, "invalid_interval"),
        ({**BTC, "channel_type": "candle", "interval": "1w"}, "unsupported_interval"),
        ({**TRADES, "max_rate": 1}, "invalid_max_rate"),
        ({**TRADES, "channel_type": "liquidation"}, "unsupported_channel"),
        ({**TRADES, "channel_type": "liquidation", "market_type": "perpetual", "max_rate": 1}, "invalid_max_rate"),
        ({**BTC, "max_rate": 0.05}, "invalid_max_rate"),
        ({**BTC, "max_rate": 101}, "invalid_max_rate"),
        ({**BTC, "max_rate": True}, "invalid_max_rate"),
        ({**BTC, "max_rate": "5"}, "invalid_max_rate"),
        ("BTC-USDT", "invalid_channel"),
    ],
)
def test_one_bad_channel_does_not_spoil_the_others(world, channel, code):
    client = world.client()
    answers = client.ask({"op": "subscribe", "id": 3, "channels": [channel, ETH]})
    assert kinds(answers) == ["info", "error", "status"]
    info, error, status = (answer["payload"] for answer in answers)
    assert info["message"] == "Subscribed to 1 channels across 1 exchanges"
    assert [(each["index"], each["code"]) for each in info["rejected"]] == [(0, code)]
    assert error["code"] == code
    assert error["message"] == f"1 of 2 channels rejected: {info['rejected'][0]['message']}"
    assert info["id"] == error["id"] == 3
    assert status["channel"]["symbol"] == {"base": "ETH", "quote": "USDT"}
    assert world.venue.wanted == [world.topic("ETH")]


def test_all_rejections_come_as_one_error(world):
    client = world.client()
    bad = [{**BTC, "exchange": "a"}, {**BTC, "symbol": "X-Y"}, {**BTC, "exchange": "b"}]
    answers = client.subscribe(*bad)
    assert kinds(answers) == ["info", "error"]
    assert [each["code"] for each in answers[0]["payload"]["rejected"]] == [
        "unknown_exchange",
        "unknown_symbol",
        "unknown_exchange",
    ]
    assert answers[1]["message"].startswith("3 of 3 channels rejected: ")


def test_per_channel_the_status_comes_first(world):
    client = world.client()
    for topic in (world.topic(), world.topic("ETH"), world.topic(channel=Channel.TRADE)):
        world.hub.hold(topic, 0)
    world.ticker("1")
    world.ticker("2", "ETH")
    world.trade(1)
    world.trade(2)
    answers = client.subscribe(BTC, TRADES, ETH)
    assert kinds(answers) == ["info", "status", "ticker", "status", "trade", "trade", "status", "ticker"]
    assert [message["payload"].get("replayed") for message in answers if message["type"] == "trade"] == [True, True]


def test_duplicates_count_once_and_the_last_wins(world):
    client = world.client()
    answers = client.subscribe({**BTC, "max_rate": 1}, BTC, {**BTC, "max_rate": 5})
    assert kinds(answers) == ["info", "status"]
    assert answers[0]["payload"]["message"] == "Subscribed to 1 channels across 1 exchanges"
    assert [each["max_rate"] for each in answers[0]["payload"]["accepted"]] == [5]
    assert world.hub.clients_of(world.topic()) == 1


def test_a_repeat_replaces_max_rate_and_sends_status_and_value_again(world):
    client = world.client()
    client.subscribe({**BTC, "max_rate": 1})
    world.ticker("1")
    world.flush()
    client.got()
    assert kinds(client.subscribe(BTC)) == ["info", "status", "ticker"]
    assert world.hub.clients_of(world.topic()) == 1
    for price in ("2", "3"):
        world.ticker(price)
        world.flush()
    assert [message["payload"]["last"] for message in client.got()] == [2, 3]


def test_two_depths_are_two_subscriptions_and_orderbook_is_an_alias(world):
    client = world.client()
    answers = client.subscribe(BOOK, {**BOOK, "depth": 10, "channel_type": "orderbook"}, {**BOOK, "depth": None})
    assert answers[0]["payload"]["message"] == "Subscribed to 3 channels across 1 exchanges"
    assert [each["depth"] for each in answers[0]["payload"]["accepted"]] == [5, 10, 50]


def test_list_names_the_channels_after_defaults(world):
    client = world.client()
    client.subscribe({**BTC, "max_rate": 2.5}, {**BOOK, "depth": None})
    (answer,) = client.ask({"op": "list", "id": "l"})
    assert answer["payload"] == {
        "message": "2 channels",
        "channels": [
            {**BTC, "market_type": "spot", "max_rate": 2.5},
            {**BOOK, "symbol": BTC["symbol"], "market_type": "spot", "depth": 50},
        ],
        "id": "l",
    }


def test_resync_gives_a_fresh_snapshot_after_what_was_pending(world):
    client = world.client()
    client.subscribe(BOOK)
    world.book("10", "11")
    world.time.advance(1)
    assert kinds(client.got()) == ["order_book_snapshot"]
    world.book("10", "12")
    world.time.advance(0.05)
    world.time.advance(0.1)
    world.book("10", "13")
    world.time.advance(1)
    client.got()
    answers = client.ask({"op": "resync", "channels": [BOOK, ETH], "id": 1})
    assert kinds(answers) == ["info", "error", "status", "order_book_snapshot"]
    assert answers[0]["payload"]["message"] == "Resynced 1 channels"
    assert answers[1]["payload"]["code"] == "not_subscribed"
    assert [level["price"] for level in answers[3]["payload"]["bids"]] == [13, 10]


def limited(**limits: Any) -> Config:
    return Config(limits=evolve(Limits(), **limits))


def test_too_many_channels_on_one_connection_apply_nothing(make_world):
    world = make_world(limited(max_channels=2))
    client = world.client()
    client.subscribe(BTC)
    (error,) = client.subscribe(ETH, {**ETH, "symbol": "SOL-USDT"})
    assert error["payload"]["code"] == "too_many_channels"
    assert world.venue.wanted == [world.topic()]
    assert kinds(client.subscribe(BTC, ETH)) == ["info", "status", "status"]


def test_books_per_client_are_limited(make_world):
    world = make_world(limited(max_books_per_client=2))
    client = world.client()
    answers = client.subscribe(*({**BOOK, "depth": depth} for depth in (1, 5, 10)))
    assert [(each["index"], each["code"]) for each in answers[0]["payload"]["rejected"]] == [(2, "too_many_books")]
    client.ask({"op": "unsubscribe", "channels": [BOOK]})
    assert client.subscribe({**BOOK, "depth": 10})[0]["payload"]["rejected"] == []


def named(kind: str, number: int) -> dict[str, Any]:
    return {"channel_type": kind, "exchange": "binance", "symbol": f"N{number}-USDT"}


def test_a_channel_that_must_wait_is_accepted_and_says_so_until_it_is_opened(make_world):
    world = make_world(loaded=False)
    client = world.client()
    books = [named("order_book", number) for number in range(100)]
    client.subscribe(*books)
    client.ask({"op": "unsubscribe", "channels": books[:1]})
    info, status = client.subscribe(named("order_book", 100))
    assert info["payload"]["rejected"] == []
    assert (status["payload"]["state"], status["payload"]["cause"]) == ("connecting", "capacity")
    assert len(world.venue.wanted) == 100
    world.time.advance(1)
    assert [(each["type"], each["payload"].get("cause")) for each in client.got()] == [("status", None)]
    assert len(world.venue.wanted) == 101


def test_a_waiting_channel_can_be_left(make_world):
    world = make_world(loaded=False)
    client = world.client()
    client.subscribe(*(named("order_book", number) for number in range(100)))
    client.ask({"op": "unsubscribe", "channels": [named("order_book", 0)]})
    client.subscribe(named("order_book", 100))
    (answer,) = client.ask({"op": "unsubscribe", "channels": [named("order_book", 100)]})
    assert answer["payload"]["message"] == "Unsubscribed from 1 channels"
    world.time.advance(5)
    assert client.got() == []
    assert len(world.venue.wanted) == 100
    client.session.closed()
    world.time.advance(31)
    assert world.venue.wanted == []


def test_when_a_thousand_channels_of_a_client_wait_the_next_is_rejected(make_world):
    world = make_world(limited(max_channels=3000), loaded=False)
    client = world.client()
    info, error, *_ = client.subscribe(*(named("trade", number) for number in range(2003)))
    assert [(each["index"], each["code"]) for each in info["payload"]["rejected"]] == [
        (number, "rate_limited") for number in (2000, 2001, 2002)
    ]
    assert (len(info["payload"]["accepted"]), error["payload"]["code"]) == (2000, "rate_limited")
    assert len(world.venue.wanted) == 1000


def test_a_channel_that_waits_when_the_catalogue_comes_without_it_is_closed(make_world):
    world = make_world(loaded=False)
    client, clients = world.client(), world.clients()
    clients.start()
    clients.sessions[client] = None
    client.subscribe(*(named("order_book", number) for number in range(100)))
    client.ask({"op": "unsubscribe", "channels": [named("order_book", 0)]})
    client.subscribe(named("order_book", 100))
    world.venue.load(("BTC-USDT", *(f"N{number}-USDT" for number in range(100))))
    world.hub.catalogue_changed("binance", MarketType.SPOT)
    assert [(each["type"], each["payload"].get("state")) for each in client.got()] == [
        ("error", None),
        ("status", "closed"),
    ]
    world.time.advance(5)
    assert len(world.venue.wanted) == 100


def test_custom_depths_of_one_request_count_too(world):
    client = world.client()
    answers = client.subscribe(*({**BOOK, "depth": depth} for depth in range(301, 311)))
    assert [each["code"] for each in answers[0]["payload"]["rejected"]] == ["too_many_depths"] * 2
    assert len(answers[0]["payload"]["accepted"]) == 8


def test_a_rate_flood_is_a_policy_violation_and_garbage_alone_is_not(world):
    client = world.client()
    for _ in range(200):
        client.session.received(b"garbage")
    assert client.wire.closed_with is None
    assert kinds(client.got()) == ["error"] * 200
    client.session.received(b"garbage")
    assert client.wire.closed_with == (1008, "too many requests")


def test_fifty_requests_a_second_are_sustained(world):
    client = world.client()
    for _ in range(1000):
        client.session.received(b'{"op":"ping"}')
        world.time.advance(1 / 50)
    assert client.wire.closed_with is None


def test_a_leaving_client_gives_back_everything(world):
    client, other = world.client(), world.client()
    client.subscribe(BTC, BOOK, {**ETH, "max_rate": 1}, TRADES)
    other.subscribe(BTC)
    client.session.closed()
    client.session.closed()
    world.time.advance(60)
    assert world.venue.wanted == [world.topic()]
    assert len(world.fanout.cohorts) == 1
    assert not [each for each in world.fanout.deliveries.groups if each.rate]
    world.ticker("5")
    world.flush()
    assert client.got() == []
    assert world.tally.metrics["cryptodash_ws_subscriptions"].read()[("ticker",)] == 1


def test_a_symbol_that_turns_out_unknown_is_an_error_and_a_closed_status(make_world):
    world = make_world(loaded=False)
    client = world.client()
    world.hub.on_unknown.append(client.session.unknown)
    answers = client.subscribe({**BTC, "symbol": "NOPE-USDT"}, BTC)
    assert [answer["payload"].get("state") for answer in answers] == [None, "connecting", "connecting"]
    world.venue.load(("BTC-USDT",))
    for market in world.venue.markets:
        world.hub.catalogue_changed("binance", market)
    error, status = client.got()
    assert error["payload"]["code"] == "unknown_symbol"
    assert status["payload"]["state"] == "closed"
    assert status["payload"]["cause"] == "rejected"
    assert status["payload"]["source"] == "simulated"
    assert list(client.session.subscriptions) == [world.topic()]


def test_the_sweep_is_one_channel_and_leaves_out_what_is_subscribed_by_name(world):
    from cryptodash.core.events import Sweep, Ticker

    client, whole = world.client(), world.client()
    sweep = {**BTC, "symbol": "*"}
    answers = client.subscribe(sweep, BTC)
    assert answers[0]["payload"]["message"] == "Subscribed to 2 channels across 1 exchanges"
    whole.subscribe(sweep)
    tickers = [
        Ticker(world.topic(base), world.time.wall_ms(), RECEIVED, last) for base, last in (("BTC", "1"), ("ETH", "2"))
    ]
    world.hub.publish(Sweep(next(iter(client.session.subscriptions)), tickers))
    world.flush()
    assert [message["payload"]["symbol"]["base"] for message in client.got()] == ["ETH"]
    assert [message["payload"]["symbol"]["base"] for message in whole.got()] == ["BTC", "ETH"]
    late = world.client()
    assert [each["payload"]["symbol"]["base"] for each in late.subscribe(BTC, sweep) if each["type"] == "ticker"] == [
        "ETH"
    ]


def test_the_seeds_frontend_switching_symbols_back_to_back(world):
    client = world.client()
    first = {**BTC, "market_type": "spot"}
    client.subscribe(first)
    client.session.received(json.dumps({"op": "unsubscribe", "channels": [first]}).encode())
    answers = client.subscribe(first, ETH)
    assert [answer["payload"].get("message", "") for answer in answers][:2] == [
        "Unsubscribed from 1 channels",
        "Subscribed to 2 channels across 1 exchanges",
    ]
    assert world.venue.wanted == [world.topic(), world.topic("ETH")]


def test_statuses_come_with_changes(world):
    client = world.client()
    client.subscribe(BTC)
    world.status(State.LIVE)
    world.flush()
    (status,) = client.got()
    assert status["payload"]["state"] == "live"
    assert status["payload"]["channel"] == {**BTC, "market_type": "spot"}


def test_commands_are_counted_by_op_and_result(world):
    client = world.client()
    client.ask({"op": "ping"})
    client.ask({"op": "explode"})
    client.ask({"op": "subscribe", "channels": 5})
    assert dict(world.tally.metrics["cryptodash_ws_commands_total"].values) == {
        ("ping", "ok"): 1,
        ("unknown", "error"): 1,
        ("subscribe", "error"): 1,
    }


def test_another_max_rate_of_a_book_is_held_at_its_own_interval(world):
    client = world.client()
    book = {"channel_type": "order_book", "exchange": "binance", "symbol": "BTC-USDT", "depth": 5}
    topic = world.topic(channel=Channel.ORDER_BOOK, depth=5)
    held = []
    client.session._held._demand = SimpleNamespace(
        view_interval=world.hub.view_interval,
        hold=lambda *what: (held.append(("+", *what)), world.hub.hold(*what)),
        release=lambda *what: (held.append(("-", *what)), world.hub.release(*what)),
    )
    client.subscribe(book)
    client.subscribe(book)
    client.subscribe({**book, "max_rate": 1})
    assert held == [("+", topic, 100), ("+", topic, 1000), ("-", topic, 100)]
    assert world.hub.clients_of(topic) == 1
    client.ask({"op": "unsubscribe", "channels": [book]})
    assert held[3:] == [("-", topic, 1000)]
    assert world.hub.clients_of(topic) == 0
