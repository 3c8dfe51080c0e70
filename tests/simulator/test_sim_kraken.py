"""The Kraken host: requests and answers, heartbeats, limits, tickers, trades, bars, and what faults make of it."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.recording import read_recording
from tests.simulator.kraken_book import read

SPOT = MarketType.SPOT


def _ask(channel: str, *symbols: str, method: str = "subscribe", **params: object) -> dict[str, Any]:
    named = {"symbol": list(symbols)} if symbols else {}
    return {"method": method, "params": {"channel": channel, **named, **params}}


def _wire(world: Any, *requests: object) -> Any:
    wire = world.connect("kraken", "/v2")
    for request in requests:
        wire.say(request)
    return wire


def _data(wire: Any, channel: str) -> list[Any]:
    """The frames of a channel since the last call, their numbers as text."""
    taken, wire.frames = [read(frame) for frame in wire.frames], []
    return [frame for frame in taken if frame.get("channel") == channel]


def _rows(frames: list[Any]) -> list[Any]:
    return [row for frame in frames for row in frame["data"]]


def _answers(wire: Any) -> list[Any]:
    return [frame for frame in wire.take() if "method" in frame or "error" in frame]


# --- requests ---


def test_each_symbol_is_answered_before_its_data_comes(world: Any) -> None:
    wire = _wire(world, _ask("ticker", "BTC/USD", "NOPE/USD", "ETH/USD") | {"req_id": 7})
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
        (_ask("book", "BTC/USD", depth=27), "Subscription depth not supported", "BTC/USD"),
        (_ask("book", "BTC/USD", depth="10"), "Subscription depth not supported", "BTC/USD"),
        (_ask("ohlc", "BTC/USD", interval=127), "Subscription ohlc interval not supported", "BTC/USD"),
        (_ask("trade", "XBT/USD"), "Currency pair not supported XBT/USD", "XBT/USD"),
        (_ask("trade", "btc/usd"), "Currency pair not supported btc/usd", "btc/usd"),
        (_ask("executions", token="x"), PRIVATE, None),
        (_ask("spread", "BTC/USD"), "Unsupported event", None),
        ({"method": "dance", "params": {}}, "Unsupported event", None),
        (_ask("trade"), "Symbol(s) not found", None),
        (_ask("trade", symbol="BTC/USD"), "Symbol field must be an array", None),
        ({"method": "ping", "params": {}}, "Unsupported field: 'params' for the given msg type: ping", None),
        (_ask("book", "BTC/USD", method="unsubscribe"), "Subscription Not Found", "BTC/USD"),
        ({"method": "subscribe"}, "Malformed request", None),
    ],
    ids=str,
)
def test_refusals_leave_the_connection_open(
    world: Any, request_: dict[str, Any], error: str, symbol: str | None
) -> None:
    wire = _wire(world, request_ | {"req_id": 3})
    (refusal,) = _answers(wire)
    assert (refusal["error"], refusal["method"], refusal["success"]) == (error, request_["method"], False)
    assert (refusal["req_id"], refusal.get("symbol")) == (3, symbol)
    wire.say({"method": "ping"})
    assert _answers(wire)[0]["method"] == "pong"
    assert wire.ended is None


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", "null", '"x"', '{"method":5}', '{"method":"ping","req_id":"x"}', "[" * 5_000]
)
def test_nonsense_is_refused(world: Any, text: str) -> None:
    wire = _wire(world, text)
    (refusal,) = _answers(wire)
    assert list(refusal) == ["error", "success", "time_in", "time_out"]
    assert refusal["error"] == "Malformed request"
    assert wire.ended is None


def test_an_unsubscribe_repeats_depth_and_interval(world: Any) -> None:
    wire = _wire(world, _ask("book", "BTC/USD", depth=25), _ask("ohlc", "BTC/USD", interval=5))
    wire.take()
    for wrong in (_ask("book", "BTC/USD", method="unsubscribe"), _ask("ohlc", "BTC/USD", method="unsubscribe")):
        wire.say(wrong)
    assert [each["error"] for each in _answers(wire)] == ["Subscription Not Found"] * 2
    wire.say(_ask("book", "BTC/USD", method="unsubscribe", depth=25))
    wire.say(_ask("ohlc", "BTC/USD", method="unsubscribe", interval=5))
    assert [each["result"] for each in _answers(wire)] == [
        {"channel": "book", "depth": 25, "symbol": "BTC/USD"},
        {"channel": "ohlc", "interval": 5, "symbol": "BTC/USD"},
    ]
    world.run(5)
    assert wire.take() == []


def test_bars_of_several_intervals_go_together_and_tickers_of_two_triggers_do_not(world: Any) -> None:
    wire = _wire(world, *(_ask("ohlc", "BTC/USD", interval=each) for each in (1, 5)))
    assert all(each["success"] for each in _answers(wire))
    wire.say(_ask("ticker", "BTC/USD", event_trigger="bbo"))
    wire.say(_ask("ticker", "BTC/USD"))
    assert [each.get("error") for each in _answers(wire)] == [None, "Already subscribed"]
    wire.say(_ask("ticker", "BTC/USD", method="unsubscribe"))
    assert _answers(wire)[0]["success"] is True


# --- time ---


def test_heartbeats_come_every_second_once_there_is_a_subscription(world: Any) -> None:
    wire = _wire(world)
    world.run(5)
    assert len(wire.take()) == 1
    wire.say(_ask("book", "BTC/USD"))
    world.run(20)
    frames = wire.take()
    assert sum(frame == {"channel": "heartbeat"} for frame in frames) == 20
    assert sum(frame.get("channel") == "book" for frame in frames) > 20


def test_who_has_no_subscription_and_says_nothing_for_a_minute_is_dropped(world: Any) -> None:
    silent, pinging, subscribed = _wire(world), _wire(world), _wire(world, _ask("trade", "NKN/USD"))
    for _ in range(6):
        world.run(20)
        pinging.say({"method": "ping"})
    assert (silent.ended, pinging.ended, subscribed.ended) == ((1006, "aborted"), None, None)
    assert world.simulator.ledger.violations == ["kraken: no subscription and no ping for 60 s"]


def test_a_pong_repeats_the_number(world: Any) -> None:
    wire = _wire(world, {"method": "ping", "req_id": 101}, {"method": "ping"})
    first, second = _answers(wire)
    assert list(first) == ["method", "req_id", "time_in", "time_out"]
    assert (first["method"], first["req_id"]) == ("pong", 101)
    assert list(second) == ["method", "time_in", "time_out"]


# --- limits ---


def test_too_many_messages_are_refused_and_the_connection_stays(world: Any) -> None:
    wire = _wire(world, *({"method": "ping", "req_id": number} for number in range(16)))
    assert wire.take()[-1] == {"Error": "Exceeded msg rate"}
    assert wire.ended is None
    assert world.simulator.ledger.violations == ["kraken: 16 messages in 1 s on one connection"]
    world.run(1.1)
    wire.say({"method": "ping"})
    assert _answers(wire)[0]["method"] == "pong"


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
    after_trades = _wire(world, _ask("ticker", "BTC/USD"), _ask("trade", "BTC/USD"))
    best = _wire(world, _ask("ticker", "BTC/USD", event_trigger="bbo"))
    world.run(30)
    frames = [read(frame) for frame in after_trades.frames]
    trades = [each for each in frames if each.get("channel") == "trade" and each["type"] == "update"]
    tickers = [each for each in frames if each.get("channel") == "ticker" and each["type"] == "update"]
    assert len(tickers) == len(trades) > 10
    assert [each["data"][0]["last"] for each in tickers] == [each["data"][-1]["price"] for each in trades]
    quotes = _rows(_data(best, "ticker"))
    told = [tuple(row[name] for name in ("bid", "bid_qty", "ask", "ask_qty")) for row in quotes]
    true = [
        (each.bid, each.bid_size, each.ask, each.ask_size)
        for each in world.simulator.truth.quotes("kraken", SPOT, "BTC/USD")
    ]
    assert len(told) > 50
    assert told == true[-len(told) - 1 : -1] or told[1:] == true[-len(told) : -1]


def test_statistics_are_those_of_a_day(world: Any) -> None:
    wire = _wire(world, _ask("ticker", "BTC/USD"))
    world.run(10)
    row = _rows(_data(wire, "ticker"))[-1]
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
    wire = _wire(world, _ask("trade", "BTC/USD"))
    world.run(60)
    first, *updates = _data(wire, "trade")
    assert (first["type"], len(first["data"])) == ("snapshot", 50)
    assert {each["type"] for each in updates} == {"update"}
    rows = _rows([first, *updates])
    assert [row["trade_id"] for row in rows] == [rows[0]["trade_id"] + each for each in range(len(rows))]
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    for row in rows[-20:]:
        true = world.simulator.truth.trade("kraken", SPOT, "BTC/USD", row["trade_id"])
        assert (row["price"], row["qty"], row["side"]) == (true.price, true.size, true.side)


def test_bars_come_with_trades_and_the_last_word_on_each_is_rests(world: Any) -> None:
    wire = _wire(world, _ask("ohlc", "BTC/USD", interval=1))
    world.run(150)
    first, *updates = _data(wire, "ohlc")
    assert (first["type"], len(first["data"])) == ("snapshot", 10)
    latest = {row["interval_begin"]: row for row in _rows([first, *updates])}
    begins = [row["interval_begin"] for row in _rows(updates)]
    assert begins == sorted(begins) and len(set(begins)) == 4
    rest = world.json("kraken", "/0/public/OHLC", pair="XBTUSD", interval=1)["result"]["XXBTZUSD"]
    names = ("open", "high", "low", "close", "vwap", "volume", "trades")
    assert [list(row[1:]) for row in rest[-12:]] == [
        [latest[each][name] for name in names] for each in sorted(latest)[-12:]
    ]


def test_a_snapshot_holds_something_or_does_not_come(world: Any) -> None:
    """Of a pair that trades four times an hour the last bars with a trade are far back."""
    wire = _wire(world, _ask("trade", "NKN/USD"), _ask("ohlc", "NKN/USD", interval=1))
    assert not world.simulator.truth.trades("kraken", SPOT, "NKN/USD")
    frames = [read(frame) for frame in wire.frames]
    assert [frame["channel"] for frame in frames if "channel" in frame] == ["status", "ohlc"]
    assert len(frames[-1]["data"]) == 10
    assert all(row["trades"] for row in frames[-1]["data"])


def test_nothing_is_said_of_a_minute_without_a_trade(world: Any) -> None:
    wire = _wire(world, _ask("ohlc", "NKN/USD", interval=1))
    world.run(900)
    frames = _data(wire, "ohlc")
    assert all(row["trades"] > 0 for row in _rows(frames))
    rest = world.json("kraken", "/0/public/OHLC", pair="NKNUSD", interval=1)["result"]["NKNUSD"]
    (flat, *_) = [row for row in rest[-15:] if not row[7]]
    assert flat[1:8] == [flat[4]] * 4 + ["0.0", "0.00000000", 0]
    assert len({row["interval_begin"] for row in _rows(frames[1:])}) == sum(row[7] > 0 for row in rest[-16:])


# --- faults ---


def test_maintenance_is_announced_and_then_refused(world: Any) -> None:
    wire = _wire(world, _ask("trade", "BTC/USD"))
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
    assert _wire(world).take()[0]["data"][0]["system"] == "online"


def test_a_delisted_pair_leaves_the_catalogues_and_comes_back(world: Any) -> None:
    wire = _wire(world, _ask("instrument"), _ask("trade", "ETH/USD"))
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
    wire = _wire(world, _ask("trade", "BTC/USD"))
    world.run(2)
    wire.take()
    world.simulator.faults.start("kraken", "silent-venue", seconds=5)
    wire.say({"method": "ping"})
    wire.say(_ask("book", "BTC/USD"))
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
    wire = _wire(world, _ask("trade", "BTC/USD"), _ask("ticker", "BTC/USD"))
    world.run(1)
    _data(wire, "trade")
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
    wire = _wire(world, _ask("trade", "BTC/USD"), _ask("book", "BTC/USD"))
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
    from cryptodash.simulator.dialects.kraken.recordings import KrakenRecordings

    asked = KrakenRecordings().read_request(_ask("book", "BTC/USD", "ETH/USD", depth=25) | {"req_id": 4})
    assert asked is not None and asked.subscribes == ("book:BTC/USD:25", "book:ETH/USD:25")
    answers = [json.loads(each) for each in (asked.answer, *asked.further)]
    assert [(each["result"]["symbol"], each["req_id"]) for each in answers] == [("BTC/USD", 4), ("ETH/USD", 4)]
