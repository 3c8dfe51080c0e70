"""The Bybit host: requests and their answers, book windows, REST."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from attrs import evolve

from cryptodash.core.instruments import MarketType

SPOT, LINEAR = "/v5/public/spot", "/v5/public/linear"


def _subscribe(world, path: str, *topics: str):
    wire = world.connect("bybit", path)
    wire.say({"op": "subscribe", "args": list(topics), "req_id": "r"})
    return wire


@pytest.mark.parametrize(
    ("path", "args", "message"),
    [
        (
            SPOT,
            [
                f"tickers.{base}USDT"
                for base in ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT", "TRX")
            ],
            "args size >10",
        ),
        (SPOT, ["tickers.BTCUSDT", "orderbook.500.BTCUSDT"], "error:handler not found,topic:orderbook.500.BTCUSDT"),
        (SPOT, ["tickers.NOSUCH"], "error:handler not found,topic:tickers.NOSUCH"),
        (LINEAR, ["kline.7.BTCUSDT"], "error:handler not found,topic:kline.7.BTCUSDT"),
        (SPOT, ["tickers.BTCUSDT", "tickers.BTCUSDT"], "error:already subscribed,topic:tickers.BTCUSDT"),
        (SPOT, ["tickers.BTCPERP"], "error:handler not found,topic:tickers.BTCPERP"),
    ],
)
def test_one_bad_topic_rejects_the_whole_request(world, path: str, args: list[str], message: str) -> None:
    wire = _subscribe(world, path, *args)
    world.run(3)
    (answer,) = wire.take()
    assert answer | {"conn_id": ""} == {
        "success": False,
        "ret_msg": message,
        "conn_id": "",
        "req_id": "r",
        "op": "subscribe",
    }


def test_linear_takes_more_than_ten_args(world) -> None:
    wire = _subscribe(
        world,
        LINEAR,
        *(
            f"tickers.{base}USDT"
            for base in ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT", "TRX")
        ),
    )
    world.run(1)
    assert any(frame.get("success") for frame in wire.take())


def test_a_second_subscription_is_an_error_and_unsubscribe_ends_the_stream(world) -> None:
    wire = _subscribe(world, SPOT, "orderbook.1.BTCUSDT")
    world.run(1)
    wire.take()
    wire.say({"op": "subscribe", "args": ["orderbook.1.BTCUSDT"]})
    wire.say({"op": "unsubscribe", "args": ["orderbook.1.BTCUSDT"], "req_id": 9})
    world.run(0.3)
    answers = [frame for frame in wire.take() if "success" in frame]
    assert sorted((answer["ret_msg"], answer.get("req_id")) for answer in answers) == [
        ("error:already subscribed,topic:orderbook.1.BTCUSDT", None),
        ("unsubscribe", "9"),
    ]
    world.run(5)
    assert wire.take() == []


@pytest.mark.parametrize(("path", "echoed"), [(SPOT, False), (LINEAR, True)])
def test_pings_are_answered_and_the_op_stays_ping(world, path: str, echoed: bool) -> None:
    wire = world.connect("bybit", path)
    wire.say({"op": "ping", "req_id": "42"})
    world.run(0.3)
    (answer,) = wire.take()
    assert (answer["success"], answer["ret_msg"], answer["op"]) == (True, "pong", "ping")
    assert ("req_id" in answer) == echoed


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"op":"fly"}', '{"op":"subscribe","args":"x"}', '{"op":"subscribe","args":[1]}', "[" * 5_000]
)
def test_nonsense_is_refused_without_ending_the_connection(world, text: str) -> None:
    wire = world.connect("bybit", SPOT)
    wire.say(text)
    world.run(0.3)
    assert [frame["success"] for frame in wire.take()] == [False]
    assert wire.ended is None


@pytest.mark.parametrize("depth", [50, 200, 1000])
@pytest.mark.parametrize(("path", "market"), [(SPOT, MarketType.SPOT), (LINEAR, MarketType.PERPETUAL)])
def test_books_of_every_depth_stay_the_truth(world, path: str, market: MarketType, depth: int) -> None:
    wire = _subscribe(world, path, f"orderbook.{depth}.BTCUSDT")
    world.run(15)
    snapshot, *deltas = [frame for frame in wire.take() if "topic" in frame]
    assert snapshot["type"] == "snapshot"
    book = {side: dict(snapshot["data"][side]) for side in ("b", "a")}
    last = snapshot["data"]["u"]
    assert len(deltas) > 50
    for frame in deltas:
        data = frame["data"]
        assert frame["type"] == "delta"
        assert data["u"] == last + 1
        last = data["u"]
        for side in ("b", "a"):
            for price, size in data[side]:
                if size == "0":
                    del book[side][price]  # a delete of an unknown level never happens
                else:
                    book[side][price] = size
            assert len(book[side]) == depth
        truth = world.simulator.truth.book("bybit", market, "BTCUSDT", data["seq"], depth)
        for side, levels in zip(("b", "a"), truth, strict=True):
            assert {(float(price), float(size)) for price, size in book[side].items()} == {
                (float(price), float(size)) for price, size in levels
            }


def test_level_one_is_always_whole_and_repeated_after_three_silent_seconds(world) -> None:
    wire = _subscribe(world, SPOT, "orderbook.1.NKNUSDT")
    world.run(60)
    frames = [frame for frame in wire.take() if "topic" in frame]
    assert {frame["type"] for frame in frames} == {"snapshot"}
    repeated = [after for before, after in itertools.pairwise(frames) if before["data"]["u"] == after["data"]["u"]]
    assert len(repeated) > 3
    assert all(after["ts"] - before["ts"] <= 3_200 for before, after in itertools.pairwise(frames))


def test_a_late_subscriber_gets_the_window_as_last_sent(world) -> None:
    first = _subscribe(world, SPOT, "orderbook.50.BTCUSDT")
    world.run(5)
    second = _subscribe(world, SPOT, "orderbook.50.BTCUSDT")
    last = [frame for frame in first.take() if "topic" in frame][-1]["data"]["u"]
    snapshot = next(frame for frame in second.take() if "topic" in frame)
    assert (snapshot["type"], snapshot["data"]["u"]) == ("snapshot", last)


def test_trades_are_whole_and_in_order(world) -> None:
    wire = _subscribe(world, SPOT, "publicTrade.BTCUSDT")
    world.run(60)
    trades = [trade for frame in wire.take() if "topic" in frame for trade in frame["data"]]
    numbers = [int(trade["i"]) for trade in trades]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    recent = world.json("bybit", "/v5/market/recent-trade", category="spot", symbol="BTCUSDT", limit=5)["result"][
        "list"
    ]
    assert [row["execId"] for row in recent] == [trade["i"] for trade in trades[:-6:-1]]


def test_all_liquidations_are_told_with_the_side_of_the_position(world) -> None:
    instrument = world.simulator.truth.instrument("bybit", MarketType.PERPETUAL, "BTC-USDT")
    instrument.spec = evolve(instrument.spec, trades_per_hour=360_000)
    wire = _subscribe(world, LINEAR, "allLiquidation.BTCUSDT", "publicTrade.BTCUSDT")
    world.run(30)
    frames = [frame for frame in wire.take() if "topic" in frame]
    sold = {
        (each["T"], each["p"]) for frame in frames for each in frame["data"] if each.get("i") and each["S"] == "Sell"
    }
    told = [each for frame in frames if frame["topic"].startswith("all") for each in frame["data"]]
    assert len(told) > 20
    assert {each["S"] for each in told} == {"Buy", "Sell"}
    longs = [(each["T"], each["p"]) for each in told if each["S"] == "Buy"]
    assert longs and set(longs) <= sold, "a long is ended by an order to sell"
    refused = _subscribe(world, SPOT, "allLiquidation.BTCUSDT")
    world.run(1)
    assert [each["success"] for each in refused.take()] == [False]


def test_a_closing_candle_comes_with_the_next_one(world) -> None:
    wire = _subscribe(world, LINEAR, "kline.1.BTCUSDT")
    world.run(70)
    pairs = [frame["data"] for frame in wire.take() if "topic" in frame and len(frame["data"]) == 2]
    assert pairs
    closed, running = pairs[0]
    assert (closed["confirm"], running["confirm"]) == (True, False)
    assert closed["start"] + 60_000 == running["start"]
    rows = world.json("bybit", "/v5/market/kline", category="linear", symbol="BTCUSDT", interval="1", limit=5)[
        "result"
    ]["list"]
    row = next(row for row in rows if row[0] == str(closed["start"]))
    assert row[1:] == [closed[key] for key in ("open", "high", "low", "close", "volume", "turnover")]


def test_linear_catalogue_comes_in_pages_and_spot_at_once(world) -> None:
    names, cursor, pages = [], "", 0
    while True:
        query = {"cursor": cursor} if cursor else {}
        result = world.json("bybit", "/v5/market/instruments-info", category="linear", limit=1000, **query)["result"]
        names += [entry["symbol"] for entry in result["list"]]
        pages, cursor = pages + 1, result["nextPageCursor"]
        if not cursor:
            break
    assert pages > 1
    assert len(names) == len(set(names)) >= 22
    assert {"BTCUSDT", "BTCPERP", "1000PEPEUSDT", "SHIB1000USDT", "BTCUSDT-26MAR27"} <= set(names)
    assert "nextPageCursor" not in world.json("bybit", "/v5/market/instruments-info", category="spot")["result"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v5/market/tickers", {}),
        ("/v5/market/tickers", {"category": "spot", "symbol": "NOSUCH"}),
        ("/v5/market/kline", {"category": "spot", "symbol": "BTCUSDT", "interval": "7"}),
        ("/v5/market/kline", {"category": "spot", "symbol": "BTCUSDT", "interval": "1", "limit": "0"}),
        ("/v5/market/kline", {"category": "spot", "symbol": "BTCUSDT", "interval": "1", "start": "x"}),
        ("/v5/market/instruments-info", {"category": "linear", "cursor": "junk"}),
    ],
)
def test_rest_errors_hide_in_http_200(world, path: str, query: dict[str, str]) -> None:
    answer = world.get("bybit", path, **query)
    assert (answer.status, msgspec.json.decode(answer.body)["retCode"]) == (200, 10001)


def test_unknown_rest_paths_are_404(world) -> None:
    assert world.get("bybit", "/v5/market/nothing").status == 404


def test_klines_are_newest_first_and_bounded_by_start_and_end(world) -> None:
    def rows(**query: object) -> list[list[str]]:
        return world.json("bybit", "/v5/market/kline", category="spot", symbol="BTCUSDT", interval="60", **query)[
            "result"
        ]["list"]

    newest = rows(limit=10)
    starts = [int(row[0]) for row in newest]
    assert starts == sorted(starts, reverse=True)
    assert rows(start=starts[5], end=starts[2]) == newest[2:6]
    assert len(rows()) == 200


def test_rest_tickers_of_all_symbols(world) -> None:
    rows = world.json("bybit", "/v5/market/tickers", category="spot")["result"]["list"]
    assert len(rows) >= 20
    for row in rows:
        assert float(row["bid1Price"]) < float(row["ask1Price"])
        assert float(row["lowPrice24h"]) <= float(row["lastPrice"]) <= float(row["highPrice24h"])


def test_who_says_nothing_for_a_minute_is_dropped(world) -> None:
    quiet, lively = world.connect("bybit", SPOT), world.connect("bybit", SPOT)
    for _ in range(6):
        world.run(20)
        lively.say({"op": "ping"})
    assert quiet.ended == (1006, "aborted")
    assert lively.ended is None
    assert world.simulator.ledger.violations == ["bybit: no ping for 60 s"]
