"""The Kraken host: requests and answers, heartbeats, limits, tickers, trades and bars."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from tests.simulator.kraken_client import answers_of, ask, connected, data_of, read, rows_of

SPOT = MarketType.SPOT


# --- requests ---


def test_each_symbol_is_answered_before_its_data_comes(world: Any) -> None:
    wire = connected(world, ask("ticker", "BTC/USD", "NOPE/USD", "ETH/USD") | {"req_id": 7})
    _, first, refusal, second, *snapshots = wire.take()
    for ack, symbol in ((first, "BTC/USD"), (second, "ETH/USD")):
        assert (ack["success"], ack["req_id"]) == (True, 7)
        assert ack["result"] == {"channel": "ticker", "event_trigger": "trades", "snapshot": True, "symbol": symbol}
    assert {**refusal, "time_in": 0, "time_out": 0} == {
        "error": "Currency pair not supported NOPE/USD",
        "method": "subscribe",
        "req_id": 7,
        "success": False,
        "symbol": "NOPE/USD",
        "time_in": 0,
        "time_out": 0,
    }
    assert [(each["type"], each["data"][0]["symbol"]) for each in snapshots] == [
        ("snapshot", "BTC/USD"),
        ("snapshot", "ETH/USD"),
    ]


PRIVATE = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"


@pytest.mark.parametrize(
    ("request_", "error", "symbol"),
    [
        (ask("book", "BTC/USD", depth=27), "Subscription depth not supported", "BTC/USD"),
        (ask("book", "BTC/USD", depth="10"), "Subscription depth not supported", "BTC/USD"),
        (ask("ohlc", "BTC/USD", interval=127), "Subscription ohlc interval not supported", "BTC/USD"),
        (ask("trade", "XBT/USD"), "Currency pair not supported XBT/USD", "XBT/USD"),
        (ask("trade", "btc/usd"), "Currency pair not supported btc/usd", "btc/usd"),
        (ask("executions", token="x"), PRIVATE, None),
        (ask("spread", "BTC/USD"), "Unsupported event", None),
        ({"method": "dance", "params": {}}, "Unsupported event", None),
        (ask("trade"), "Symbol(s) not found", None),
        (ask("trade", symbol="BTC/USD"), "Symbol field must be an array", None),
        ({"method": "ping", "params": {}}, "Unsupported field: 'params' for the given msg type: ping", None),
        (ask("book", "BTC/USD", method="unsubscribe"), "Subscription Not Found", "BTC/USD"),
        ({"method": "subscribe"}, "Malformed request", None),
    ],
    ids=str,
)
def test_refusals_leave_the_connection_open(
    world: Any, request_: dict[str, Any], error: str, symbol: str | None
) -> None:
    wire = connected(world, request_ | {"req_id": 3})
    (refusal,) = answers_of(wire)
    assert (refusal["error"], refusal["method"], refusal["success"]) == (error, request_["method"], False)
    assert (refusal["req_id"], refusal.get("symbol")) == (3, symbol)
    wire.say({"method": "ping"})
    assert answers_of(wire)[0]["method"] == "pong"
    assert wire.ended is None


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", "null", '"x"', '{"method":5}', '{"method":"ping","req_id":"x"}', "[" * 5_000]
)
def test_nonsense_is_refused(world: Any, text: str) -> None:
    wire = connected(world, text)
    (refusal,) = answers_of(wire)
    assert list(refusal) == ["error", "success", "time_in", "time_out"]
    assert refusal["error"] == "Malformed request"
    assert wire.ended is None


def test_an_unsubscribe_repeats_depth_and_interval(world: Any) -> None:
    wire = connected(world, ask("book", "BTC/USD", depth=25), ask("ohlc", "BTC/USD", interval=5))
    wire.take()
    for wrong in (ask("book", "BTC/USD", method="unsubscribe"), ask("ohlc", "BTC/USD", method="unsubscribe")):
        wire.say(wrong)
    assert [each["error"] for each in answers_of(wire)] == ["Subscription Not Found"] * 2
    wire.say(ask("book", "BTC/USD", method="unsubscribe", depth=25))
    wire.say(ask("ohlc", "BTC/USD", method="unsubscribe", interval=5))
    assert [each["result"] for each in answers_of(wire)] == [
        {"channel": "book", "depth": 25, "symbol": "BTC/USD"},
        {"channel": "ohlc", "interval": 5, "symbol": "BTC/USD"},
    ]
    world.run(5)
    assert wire.take() == []


def test_bars_of_several_intervals_go_together_and_tickers_of_two_triggers_do_not(world: Any) -> None:
    wire = connected(world, *(ask("ohlc", "BTC/USD", interval=each) for each in (1, 5)))
    assert all(each["success"] for each in answers_of(wire))
    wire.say(ask("ticker", "BTC/USD", event_trigger="bbo"))
    wire.say(ask("ticker", "BTC/USD"))
    assert [each.get("error") for each in answers_of(wire)] == [None, "Already subscribed"]
    wire.say(ask("ticker", "BTC/USD", method="unsubscribe"))
    assert answers_of(wire)[0]["success"] is True


# --- time ---


def test_heartbeats_come_every_second_once_there_is_a_subscription(world: Any) -> None:
    wire = connected(world)
    world.run(5)
    assert len(wire.take()) == 1
    wire.say(ask("book", "BTC/USD"))
    world.run(20)
    frames = wire.take()
    assert sum(frame == {"channel": "heartbeat"} for frame in frames) == 20
    assert sum(frame.get("channel") == "book" for frame in frames) > 20


def test_who_has_no_subscription_and_says_nothing_for_a_minute_is_dropped(world: Any) -> None:
    silent, pinging, subscribed = connected(world), connected(world), connected(world, ask("trade", "NKN/USD"))
    for _ in range(6):
        world.run(20)
        pinging.say({"method": "ping"})
    assert (silent.ended, pinging.ended, subscribed.ended) == ((1006, "aborted"), None, None)
    assert world.simulator.ledger.violations == ["kraken: no subscription and no ping for 60 s"]


def test_a_pong_repeats_the_number(world: Any) -> None:
    wire = connected(world, {"method": "ping", "req_id": 101}, {"method": "ping"})
    first, second = answers_of(wire)
    assert list(first) == ["method", "req_id", "time_in", "time_out"]
    assert (first["method"], first["req_id"]) == ("pong", 101)
    assert list(second) == ["method", "time_in", "time_out"]


# --- limits ---


def test_too_many_messages_are_refused_and_the_connection_stays(world: Any) -> None:
    wire = connected(world, *({"method": "ping", "req_id": number} for number in range(16)))
    assert wire.take()[-1] == {"Error": "Exceeded msg rate"}
    assert wire.ended is None
    assert world.simulator.ledger.violations == ["kraken: 16 messages in 1 s on one connection"]
    world.run(1.1)
    wire.say({"method": "ping"})
    assert answers_of(wire)[0]["method"] == "pong"


def test_a_hundred_and_fifty_connections_in_ten_minutes(world: Any) -> None:
    host = world.simulator.hosts["kraken"]
    assert [host.refuse("/v2") for _ in range(150)] == [None] * 150
    refusal = host.refuse("/v2")
    assert refusal is not None and refusal.status == 429
    world.run(600)
    assert host.refuse("/v2") is None
    assert host.refuse("/ws").status == 404
    assert world.simulator.ledger.violations == ["kraken: 151 connection attempts in 600 s"]


# --- what the channels say ---


def test_a_ticker_comes_after_trades_or_with_every_change_of_the_best_levels(world: Any) -> None:
    after_trades = connected(world, ask("ticker", "BTC/USD"), ask("trade", "BTC/USD"))
    best = connected(world, ask("ticker", "BTC/USD", event_trigger="bbo"))
    world.run(30)
    frames = [read(frame) for frame in after_trades.frames]
    trades = [each for each in frames if each.get("channel") == "trade" and each["type"] == "update"]
    tickers = [each for each in frames if each.get("channel") == "ticker" and each["type"] == "update"]
    assert len(tickers) == len(trades) > 10
    assert [each["data"][0]["last"] for each in tickers] == [each["data"][-1]["price"] for each in trades]
    quotes = rows_of(data_of(best, "ticker"))
    told = [tuple(row[name] for name in ("bid", "bid_qty", "ask", "ask_qty")) for row in quotes]
    true = [
        (each.bid, each.bid_size, each.ask, each.ask_size)
        for each in world.simulator.truth.quotes("kraken", SPOT, "BTC/USD")
    ]
    assert len(told) > 50
    assert told == true[-len(told) - 1 : -1] or told[1:] == true[-len(told) : -1]


def test_statistics_are_those_of_a_day(world: Any) -> None:
    wire = connected(world, ask("ticker", "BTC/USD"))
    world.run(10)
    row = rows_of(data_of(wire, "ticker"))[-1]
    day = world.simulator.truth.instrument("kraken", SPOT, "BTC/USD").candles.day()
    truth = world.simulator.truth.ticker("kraken", SPOT, "BTC/USD")
    names = ("last", "high", "low", "volume")
    assert [row[name] for name in names] == [getattr(truth, name) for name in names]
    assert row["trades"] == truth.count
    change = Decimal(truth.last) - Decimal(truth.open)
    assert Decimal(row["change"]) == change
    assert abs(Decimal(row["change_pct"]) - 100 * change / Decimal(truth.open)) <= Decimal("0.005")
    assert abs(Decimal(row["vwap"]) * 10 - Decimal(day.turnover) / day.volume) <= Decimal("0.5")
    rest = world.json("kraken", "/0/public/Ticker", pair="XBTUSD")["result"]["XXBTZUSD"]
    assert [Decimal(rest[name][1]) for name in "vpth l".replace(" ", "")] == [
        Decimal(row[name]) for name in ("volume", "vwap", "trades", "high", "low")
    ]


def test_trades_begin_with_fifty_and_miss_none(world: Any) -> None:
    wire = connected(world, ask("trade", "BTC/USD"))
    world.run(60)
    first, *updates = data_of(wire, "trade")
    assert (first["type"], len(first["data"])) == ("snapshot", 50)
    assert {each["type"] for each in updates} == {"update"}
    rows = rows_of([first, *updates])
    assert [row["trade_id"] for row in rows] == [rows[0]["trade_id"] + each for each in range(len(rows))]
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    for row in rows[-20:]:
        true = world.simulator.truth.trade("kraken", SPOT, "BTC/USD", row["trade_id"])
        assert (row["price"], row["qty"], row["side"]) == (true.price, true.size, true.side)


def test_bars_come_with_trades_and_the_last_word_on_each_is_rests(world: Any) -> None:
    wire = connected(world, ask("ohlc", "BTC/USD", interval=1))
    world.run(150)
    first, *updates = data_of(wire, "ohlc")
    assert (first["type"], len(first["data"])) == ("snapshot", 10)
    latest = {row["interval_begin"]: row for row in rows_of([first, *updates])}
    begins = [row["interval_begin"] for row in rows_of(updates)]
    assert begins == sorted(begins) and len(set(begins)) == 4
    rest = world.json("kraken", "/0/public/OHLC", pair="XBTUSD", interval=1)["result"]["XXBTZUSD"]
    names = ("open", "high", "low", "close", "vwap", "volume", "trades")
    assert [list(row[1:]) for row in rest[-12:]] == [
        [latest[each][name] for name in names] for each in sorted(latest)[-12:]
    ]


def test_a_snapshot_holds_something_or_does_not_come(world: Any) -> None:
    """Of a pair that trades four times an hour the last bars with a trade are far back."""
    wire = connected(world, ask("trade", "NKN/USD"), ask("ohlc", "NKN/USD", interval=1))
    assert not world.simulator.truth.trades("kraken", SPOT, "NKN/USD")
    frames = [read(frame) for frame in wire.frames]
    assert [frame["channel"] for frame in frames if "channel" in frame] == ["status", "ohlc"]
    assert len(frames[-1]["data"]) == 10
    assert all(row["trades"] for row in frames[-1]["data"])


def test_nothing_is_said_of_a_minute_without_a_trade(world: Any) -> None:
    wire = connected(world, ask("ohlc", "NKN/USD", interval=1))
    world.run(900)
    frames = data_of(wire, "ohlc")
    assert all(row["trades"] > 0 for row in rows_of(frames))
    rest = world.json("kraken", "/0/public/OHLC", pair="NKNUSD", interval=1)["result"]["NKNUSD"]
    (flat, *_) = [row for row in rest[-15:] if not row[7]]
    assert flat[1:8] == [flat[4]] * 4 + ["0.0", "0.00000000", 0]
    assert len({row["interval_begin"] for row in rows_of(frames[1:])}) == sum(row[7] > 0 for row in rest[-16:])
