"""The Binance hosts: requests and their answers, tiers, sequences, REST, limits."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from attrs import evolve

from cryptodash.core.instruments import MarketType

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}, {"result": None, "id": 1}),
        ({"method": "SUBSCRIBE", "params": ["nosuch@trade", "!nosuch"], "id": "abc"}, {"result": None, "id": "abc"}),
        ({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": None}, {"result": None, "id": None}),
        ({"method": "LIST_SUBSCRIPTIONS", "id": 3}, {"result": ["ethusdt@trade"], "id": 3}),
        ({"method": "SET_PROPERTY", "params": ["combined", True], "id": 5}, {"result": None, "id": 5}),
        (
            {"method": "SET_PROPERTY", "params": ["combined", "yes"], "id": 5},
            {"code": 1, "msg": "Invalid value type: expected Boolean", "id": 5},
        ),
        (
            {"method": "SET_PROPERTY", "params": ["other", True], "id": 5},
            {"code": 0, "msg": "Unknown property", "id": 5},
        ),
        ("{", {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}),
        ("[]", {"code": 2, "msg": "Invalid request: request must be an object"}),
        (
            {"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 7},
            {"code": 2, "msg": "Invalid request: property params must be an array of strings", "id": 7},
        ),
    ],
)
def test_requests_are_answered_as_documented(world, request_: object, answer: object) -> None:
    wire = world.connect("binance-spot", "/ws/ethusdt@trade")
    wire.say(request_)
    world.run(0.3)
    assert [frame for frame in wire.take() if "e" not in frame and "stream" not in frame] == [answer]


def test_acks_are_never_wrapped_and_data_is_on_combined_connections(world) -> None:
    wire = world.connect("binance-spot", "/stream", {"streams": "btcusdt@bookTicker/pepeusdt@bookTicker"})
    wire.say({"method": "SUBSCRIBE", "params": ["ethusdt@bookTicker"], "id": 1})
    world.run(10)
    frames = wire.take()
    assert {"result": None, "id": 1} in frames
    assert {frame["stream"] for frame in frames if "stream" in frame} == {
        "btcusdt@bookTicker",
        "pepeusdt@bookTicker",
        "ethusdt@bookTicker",
    }


def test_data_sometimes_comes_before_the_ack(world) -> None:
    orders = set()
    for _ in range(40):
        wire = world.connect("binance-spot", "/ws")
        wire.say({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1})
        world.run(0.4)
        frames = wire.take()
        orders.add("result" in frames[0])
        wire.close(1000, "")
    assert orders == {True, False}


@pytest.mark.parametrize(
    "stream",
    [
        "BTCUSDT@trade",
        "nosuch@trade",
        "bchbtc@trade",
        "btcusdt@nosuch",
        "btcusdt@kline_7m",
        "btcusdt@kline_0s",
        "btcusdt_perpetual@continuousKline_1m",
        "!ticker@arr",
        "!bookTicker",
    ],
)
def test_what_does_not_exist_on_spot_is_acked_and_silent(world, stream: str) -> None:
    wire = world.connect("binance-spot", "/stream")
    wire.say({"method": "SUBSCRIBE", "params": [stream], "id": 1})
    world.run(7)
    assert wire.take() == [{"result": None, "id": 1}]
    wire.say({"method": "LIST_SUBSCRIPTIONS", "id": 2})
    world.run(0.3)
    assert wire.take() == [{"result": [stream], "id": 2}]


@pytest.mark.parametrize(
    ("path", "stream", "flows"),
    [
        ("/public/ws", "btcusdt@bookTicker", True),
        ("/public/ws", "btcusdt@depth@100ms", True),
        ("/public/ws", "btcusdt@trade", True),
        ("/public/ws", "btcusdt@aggTrade", False),
        ("/public/ws", "btcusdt@forceOrder", False),
        ("/market/ws", "btcusdt@aggTrade", True),
        ("/market/ws", "btcusdt@markPrice@1s", True),
        ("/market/ws", "btcusdt@kline_1m", True),
        ("/market/ws", "btcusdt@kline_1s", False),
        ("/market/ws", "btcusdt_perpetual@continuousKline_1m", True),
        ("/market/ws", "btcusdt_perpetual@continuousKline_1s", False),
        ("/market/ws", "btcusdt_current_quarter@continuousKline_1m", False),
        ("/market/ws", "nosuch_perpetual@continuousKline_1m", False),
        ("/public/ws", "btcusdt_perpetual@continuousKline_1m", False),
        ("/market/ws", "!ticker@arr", True),
        ("/market/ws", "!miniTicker@arr", True),
        ("/market/ws", "btcusdt@bookTicker", False),
        ("/ws", "btcusdt@bookTicker", True),
        ("/ws", "btcusdt@ticker", False),
        ("/private/ws", "btcusdt@trade", False),
    ],
)
def test_a_usdm_tier_delivers_its_own_streams_only(world, path: str, stream: str, flows: bool) -> None:
    wire = world.connect("binance-perpetual", path)
    wire.say({"method": "SUBSCRIBE", "params": [stream], "id": 1})
    world.run(6)
    frames = wire.take()
    assert {"result": None, "id": 1} in frames
    assert (len(frames) > 1) == flows


def _levels(rows: list[list[str]]) -> dict[str, str]:
    return {price: size for price, size in rows if size.strip("0.")}


def _follow(book: dict[str, dict[str, str]], event: dict[str, list[list[str]]]) -> None:
    for side in ("b", "a"):
        for price, size in event[side]:
            book[side].pop(price, None)
            if size.strip("0."):
                book[side][price] = size


def _best(book: dict[str, dict[str, str]], count: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    bids = sorted(book["b"].items(), key=lambda level: -float(level[0]))[:count]
    return bids, sorted(book["a"].items(), key=lambda level: float(level[0]))[:count]


@pytest.mark.parametrize("symbol", ["btcusdt", "pepeusdt", "ethbtc"])
def test_spot_books_follow_the_documented_steps_to_the_truth(world, symbol: str) -> None:
    wire = world.connect("binance-spot", "/ws/" + symbol + "@depth@100ms/" + symbol + "@bookTicker")
    world.run(1)
    snapshot = world.json("binance-spot", "/api/v3/depth", symbol=symbol.upper(), limit=1000)
    world.run(30)
    frames = wire.take()
    events = [frame for frame in frames if frame.get("e") == "depthUpdate"]
    quotes = {frame["u"]: frame for frame in frames if "e" not in frame}
    assert all(after["U"] == before["u"] + 1 for before, after in itertools.pairwise(events))
    kept = [event for event in events if event["u"] > snapshot["lastUpdateId"]]
    assert kept[0]["U"] <= snapshot["lastUpdateId"] + 1 <= kept[0]["u"]
    book = {"b": _levels(snapshot["bids"]), "a": _levels(snapshot["asks"])}
    compared = 0
    for event in kept:
        _follow(book, event)
        bids, asks = _best(book, 20)
        assert (bids, asks) == world.simulator.truth.book("binance", SPOT, symbol.upper(), event["u"], 20)
        if event["u"] in quotes:
            quote = quotes[event["u"]]
            assert (bids[0], asks[0]) == ((quote["b"], quote["B"]), (quote["a"], quote["A"]))
            compared += 1
    assert compared or symbol != "btcusdt"


def test_usdm_books_are_chained_by_pu_and_share_one_id_space(world) -> None:
    wire = world.connect("binance-perpetual", "/public/stream", {"streams": "btcusdt@depth@100ms/ethusdt@depth"})
    world.run(1)
    snapshot = world.json("binance-perpetual", "/fapi/v1/depth", symbol="BTCUSDT", limit=1000)
    world.run(20)
    events = [frame["data"] for frame in wire.take() if frame["stream"].startswith("btc")]
    assert all(after["pu"] == before["u"] for before, after in itertools.pairwise(events))
    assert any(after["U"] != before["u"] + 1 for before, after in itertools.pairwise(events))
    kept = [event for event in events if event["u"] >= snapshot["lastUpdateId"]]
    assert kept[0]["U"] <= snapshot["lastUpdateId"] <= kept[0]["u"] or kept[0]["pu"] == snapshot["lastUpdateId"]
    book = {"b": _levels(snapshot["bids"]), "a": _levels(snapshot["asks"])}
    for event in kept:
        _follow(book, event)
    assert _best(book, 50) == world.simulator.truth.book("binance", PERPETUAL, "BTCUSDT", events[-1]["u"], 50)


def test_shared_ids_do_not_leap_when_others_are_asked_about_that_nobody_watched(world) -> None:
    """Measured: up to 60,000 a second for all symbols together, and none of them in one moment."""
    wire = world.connect("binance-perpetual", "/public/ws/btcusdt@bookTicker")
    world.run(200)
    wire.take()
    world.json("binance-perpetual", "/fapi/v1/ticker/bookTicker")
    world.run(100)
    world.json("binance-perpetual", "/fapi/v1/ticker/24hr")
    world.run(1)
    frames = wire.take()
    assert len(frames) > 500
    for before, after in itertools.pairwise(frames):
        assert 0 < after["u"] - before["u"] < 60_000 * max(1.0, (after["E"] - before["E"]) / 1000)


def test_partial_depth_is_the_truth_at_its_id(world) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@depth5@100ms")
    world.run(5)
    frames = wire.take()
    assert len(frames) > 20
    for frame in frames:
        bids, asks = world.simulator.truth.book("binance", SPOT, "BTCUSDT", frame["lastUpdateId"], 5)
        assert [tuple(level) for level in frame["bids"]] == bids
        assert [tuple(level) for level in frame["asks"]] == asks


@pytest.mark.parametrize("symbol", ["BTCUSDT", "NKNUSDT"])
def test_a_closing_candle_is_sent_once_with_the_flag(world, symbol: str) -> None:
    wire = world.connect("binance-spot", f"/ws/{symbol.lower()}@kline_1m")
    world.run(130)
    closed = [frame["k"] for frame in wire.take() if frame["k"]["x"]]
    assert [bar["t"] for bar in closed] == [closed[0]["t"], closed[0]["t"] + 60_000, closed[0]["t"] + 120_000]
    rows = {row[0]: row for row in world.json("binance-spot", "/api/v3/klines", symbol=symbol, interval="1m", limit=5)}
    for bar in closed:
        assert [bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["T"], bar["q"], bar["n"]] == rows[bar["t"]][1:9]
        assert (bar["f"] == -1) == (bar["n"] == 0)


def test_sweeps_show_those_that_traded(world) -> None:
    wire = world.connect("binance-spot", "/ws/!miniTicker@arr")
    world.run(30)
    sweeps = wire.take()
    assert 25 <= len(sweeps) <= 31
    seen = [{entry["s"] for entry in sweep} for sweep in sweeps[1:]]
    assert set.union(*seen) >= {"BTCUSDT", "PEPEUSDT", "ETHBTC"}
    assert any("NKNUSDT" not in symbols for symbols in seen)


def test_aggregates_cover_all_trades(world) -> None:
    wire = world.connect("binance-spot", "/ws/btcusdt@trade/btcusdt@aggTrade")
    world.run(30)
    frames = wire.take()
    trades = [frame["t"] for frame in frames if frame["e"] == "trade"]
    aggregates = [frame for frame in frames if frame["e"] == "aggTrade"]
    assert [number for each in aggregates for number in range(each["f"], each["l"] + 1)] == trades
    assert [each["a"] for each in aggregates] == list(range(aggregates[0]["a"], aggregates[0]["a"] + len(aggregates)))
    assert any(each["l"] > each["f"] for each in aggregates)


@pytest.mark.parametrize(
    ("host", "path", "query", "status", "code"),
    [
        ("binance-spot", "/api/v3/depth", {"symbol": "NOSUCH"}, 400, -1121),
        ("binance-spot", "/api/v3/depth", {}, 400, -1102),
        ("binance-spot", "/api/v3/depth", {"symbol": "BTCUSDT", "limit": "x"}, 400, -1130),
        ("binance-spot", "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120),
        ("binance-perpetual", "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1s"}, 400, -1120),
        ("binance-spot", "/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "soon"}, 400, -1100),
        ("binance-spot", "/api/v3/exchangeInfo", {"symbol": "NOSUCH"}, 400, -1121),
        ("binance-perpetual", "/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 7}, 400, -4021),
    ],
)
def test_rest_errors(world, host: str, path: str, query: dict[str, object], status: int, code: int) -> None:
    answer = world.get(host, path, **query)
    assert (answer.status, msgspec.json.decode(answer.body)["code"]) == (status, code)


def test_unknown_paths_are_404(world) -> None:
    assert world.get("binance-spot", "/api/v1/depth", symbol="BTCUSDT").status == 404
    assert world.get("binance-spot", "/fapi/v1/time").status == 404
    assert world.simulator.hosts["binance-spot"].refuse("/nope").status == 404


@pytest.mark.parametrize("symbol", ["NEARUSDT", "NKNUSDT"])
def test_spot_has_bars_of_a_second_whether_there_was_a_trade_or_not(world, symbol: str) -> None:
    wire = world.connect("binance-spot", f"/ws/{symbol.lower()}@kline_1s")
    world.run(30)
    frames = wire.take()
    bars = [frame["k"] for frame in frames]
    assert [bar["t"] for bar in bars] == list(range(bars[0]["t"], bars[0]["t"] + 30_000, 1_000))
    assert {(bar["x"], bar["i"], bar["T"] - bar["t"]) for bar in bars} == {(True, "1s", 999)}
    assert all(0 < frame["E"] - frame["k"]["T"] <= 200 for frame in frames)
    empty = [bar for bar in bars if not bar["n"]]
    assert len(empty) >= (25 if symbol == "NKNUSDT" else 1)
    assert {(bar["f"], bar["L"]) for bar in empty} == {(-1, -1)}
    rows = world.json("binance-spot", "/api/v3/klines", symbol=symbol, interval="1s", limit=31)
    assert [[bar[each] for each in "tohlcvTqnVQB"] for bar in bars] == rows[:30]


def test_klines_by_time_and_limit(world) -> None:
    rows = world.json("binance-spot", "/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=10)
    assert len(rows) == 10
    assert (
        world.json(
            "binance-spot", "/api/v3/klines", symbol="BTCUSDT", interval="1h", startTime=rows[2][0], endTime=rows[5][0]
        )
        == rows[2:6]
    )
    assert (
        world.json("binance-spot", "/api/v3/klines", symbol="BTCUSDT", interval="1h", endTime=rows[5][0], limit=3)
        == rows[3:6]
    )
    assert len(world.json("binance-perpetual", "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=5000)) == 1_500


def test_the_last_liquidation_of_a_second_is_told(world) -> None:
    instrument = world.simulator.truth.instrument("binance", MarketType.PERPETUAL, "BTC-USDT")
    instrument.spec = evolve(instrument.spec, trades_per_hour=720_000)
    trades = world.connect("binance-perpetual", "/market/ws/btcusdt@aggTrade")
    wire = world.connect("binance-perpetual", "/market/ws/btcusdt@forceOrder")
    world.run(30)
    orders = {(each["T"], "SELL" if each["m"] else "BUY", each["p"], each["q"]) for each in trades.take()}
    frames = wire.take()
    told = [each["o"] for each in frames]
    assert 20 <= len(told) <= 30
    assert {(each["T"], each["S"], each["p"], each["q"]) for each in told} <= orders
    assert all(each["s"] == "BTCUSDT" and each["ap"] == each["p"] and each["z"] == each["q"] for each in told)
    times = [each["E"] for each in frames]
    assert all(later - earlier >= 1_000 for earlier, later in itertools.pairwise(times))
    spot = world.connect("binance-spot", "/ws/btcusdt@forceOrder")
    world.run(5)
    assert spot.take() == []


def test_rest_of_usdm(world) -> None:
    mark = world.json("binance-perpetual", "/fapi/v1/premiumIndex", symbol="BTCUSDT")
    assert float(mark["markPrice"]) > 100_000
    assert len(world.json("binance-perpetual", "/fapi/v1/premiumIndex")) >= 20
    assert world.json("binance-perpetual", "/fapi/v1/openInterest", symbol="BTCUSDT")["symbol"] == "BTCUSDT"
    adjusted = world.json("binance-perpetual", "/fapi/v1/fundingInfo")
    assert len(adjusted) >= 19 and {each["fundingIntervalHours"] for each in adjusted} == {8}
    assert "bidPrice" not in world.json("binance-perpetual", "/fapi/v1/ticker/24hr", symbol="BTCUSDT")
    assert world.json("binance-perpetual", "/fapi/v1/time")["serverTime"] == world.clock.wall_ms()
    assert world.json("binance-spot", "/api/v3/ping") == {}


def test_the_24h_ticker_agrees_with_the_candles(world) -> None:
    ticker = world.json("binance-spot", "/api/v3/ticker/24hr", symbol="ETHUSDT")
    rows = world.json(
        "binance-spot", "/api/v3/klines", symbol="ETHUSDT", interval="1m", limit=1000, endTime=world.clock.wall_ms()
    )
    older = world.json(
        "binance-spot", "/api/v3/klines", symbol="ETHUSDT", interval="1m", limit=440, endTime=rows[0][0] - 1
    )
    day = older + rows
    assert len(day) == 1_440
    assert ticker["openPrice"] == next(row[1] for row in day if row[8])
    assert ticker["highPrice"] == max((row[2] for row in day), key=float)
    assert ticker["lowPrice"] == min((row[3] for row in day), key=float)
    assert ticker["count"] == sum(row[8] for row in day)
    assert int(ticker["volume"].replace(".", "")) == sum(int(row[5].replace(".", "")) for row in day)
    assert len(world.json("binance-spot", "/api/v3/ticker/24hr")) >= 20
    book = world.json("binance-spot", "/api/v3/ticker/bookTicker", symbol="ETHUSDT")
    assert (book["bidPrice"], book["askPrice"]) == (ticker["bidPrice"], ticker["askPrice"])


def test_the_server_pings_and_drops_who_does_not_answer(world) -> None:
    good, bad = world.connect("binance-spot", "/ws"), world.connect("binance-spot", "/ws")
    bad.answers_pings = False
    world.run(105)
    assert len(good.pings) == 5
    assert good.ended is None
    assert bad.ended == (1008, "Pong timeout")
    assert world.simulator.ledger.violations == ["binance-spot: no pong in time"]


def test_usdm_pings_every_three_minutes(world) -> None:
    wire = world.connect("binance-perpetual", "/public/ws")
    world.run(185)
    assert len(wire.pings) == 1
