"""Bybit V5: plans, frames both ways, REST, and refusals, as tables from the venue's documentation
and from recorded frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.events import Side
from cryptodash.core.instruments import ANY, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import INTERVALS, Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Bar,
    Depth,
    Fill,
    Ignored,
    LeftOut,
    Mark,
    Pong,
    Quote,
    Stats,
    SweepRow,
    SweepRows,
    Trades,
)
from cryptodash.exchanges.adapter.plan import Part, RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import Rate
from cryptodash.exchanges.venues.bybit.venue import VENUE
from cryptodash.testing.readers import read

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
BTC = Symbol("BTC", "USDT")
LINEAR_FIGURES = {Part.LAST, Part.STATS, Part.MARK, Part.INTEREST}


def instrument(market: MarketType, native: str = "BTCUSDT") -> Instrument:
    return Instrument("bybit", market, BTC, native, Number("0.1"), Number("0.000001"))


def topic(market: MarketType, channel: Channel, interval: str = "") -> Topic:
    return Topic("bybit", market, BTC, channel, interval=interval)


@pytest.mark.parametrize(
    ("market", "channel", "interval", "depth", "expected"),
    [
        (
            SPOT,
            Channel.TICKER,
            "",
            0,
            [("orderbook.1.BTCUSDT", {Part.QUOTE}, 3.0), ("tickers.BTCUSDT", {Part.LAST, Part.STATS}, None)],
        ),
        (
            PERPETUAL,
            Channel.TICKER,
            "",
            0,
            [("orderbook.1.BTCUSDT", {Part.QUOTE}, 3.0), ("tickers.BTCUSDT", LINEAR_FIGURES, None)],
        ),
        (SPOT, Channel.BBO, "", 0, [("orderbook.1.BTCUSDT", {Part.QUOTE}, 3.0)]),
        (PERPETUAL, Channel.LIQUIDATION, "", 0, [("allLiquidation.BTCUSDT", {Part.LIQUIDATIONS}, None)]),
        (SPOT, Channel.TRADE, "", 0, [("publicTrade.BTCUSDT", {Part.TRADES}, None)]),
        (PERPETUAL, Channel.CANDLE, "1d", 0, [("kline.D.BTCUSDT", {Part.CANDLE}, None)]),
        (SPOT, Channel.CANDLE, "4h", 0, [("kline.240.BTCUSDT", {Part.CANDLE}, None)]),
        (SPOT, Channel.ORDER_BOOK, "", 1, [("orderbook.50.BTCUSDT", {Part.BOOK}, None)]),
        (SPOT, Channel.ORDER_BOOK, "", 50, [("orderbook.50.BTCUSDT", {Part.BOOK}, None)]),
        (SPOT, Channel.ORDER_BOOK, "", 51, [("orderbook.200.BTCUSDT", {Part.BOOK}, None)]),
        (PERPETUAL, Channel.ORDER_BOOK, "", 201, [("orderbook.1000.BTCUSDT", {Part.BOOK}, None)]),
        (PERPETUAL, Channel.ORDER_BOOK, "", 1000, [("orderbook.1000.BTCUSDT", {Part.BOOK}, None)]),
    ],
)
def test_each_topic_needs_these_streams(
    market: MarketType, channel: Channel, interval: str, depth: int, expected: object
) -> None:
    plan = VENUE.plan(topic(market, channel, interval), instrument(market), depth)
    assert [(stream.name, set(stream.parts), stream.promise) for stream in plan.streams] == expected
    assert {stream.endpoint for stream in plan.streams} == {"spot" if market is SPOT else "linear"}
    assert plan.required == ({Part.QUOTE, Part.LAST} if channel is Channel.TICKER else plan.streams[0].parts)
    assert not plan.polls


@pytest.mark.parametrize(("market", "category"), [(SPOT, "spot"), (PERPETUAL, "linear")])
def test_a_sweep_is_a_poll_of_all_tickers(market: MarketType, category: str) -> None:
    plan = VENUE.plan(Topic("bybit", market, ANY, Channel.TICKER), None, 0)
    (poll,) = plan.polls
    assert not plan.streams and plan.required == poll.parts == {Part.SWEEP}
    assert (poll.request.path, poll.request.params, poll.every) == (
        "/v5/market/tickers",
        (("category", category),),
        2.0,
    )


def test_every_interval_of_ours_is_there() -> None:
    assert tuple(VENUE.intervals(SPOT)) == tuple(VENUE.intervals(PERPETUAL)) == INTERVALS
    assert set(VENUE.book_rules.values()) == {
        BookRules(SnapshotSource.STREAM, Chaining.COUNTER, audit=AuditBy.SEQUENCE)
    }


def test_limits_keep_a_margin() -> None:
    for limits in VENUE.limits.values():
        assert (
            limits.args_per_message == 10
            and limits.args_chars == 0.8 * 21_000
            and limits.connects[0] == Rate(400, 300.0)
        )
        assert limits.ping_every == 20 and limits.silent_after > limits.ping_every and limits.lifetime is None
    assert [VENUE.probe_request(market).pool for market in (SPOT, PERPETUAL)] == list(VENUE.rest_limits) * 2
    (limits,) = VENUE.rest_limits.values()
    assert (limits.weight, limits.per) == (0.8 * 600, 5.0)


def test_requests_look_as_documented() -> None:
    assert VENUE.subscribe("spot", ["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"], "1") == (
        b'{"req_id":"1","op":"subscribe","args":["orderbook.50.BTCUSDT","publicTrade.BTCUSDT"]}'
    )
    assert (
        VENUE.unsubscribe("linear", ["publicTrade.BTCUSDT"], "2")
        == b'{"req_id":"2","op":"unsubscribe","args":["publicTrade.BTCUSDT"]}'
    )
    assert VENUE.ping("spot", "3") == b'{"req_id":"3","op":"ping"}'


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"success":true,"ret_msg":"subscribe","conn_id":"d9","req_id":"1","op":"subscribe"}', Ack("1")),
        ('{"success":true,"ret_msg":"","conn_id":"d9","req_id":"1","op":"subscribe"}', Ack("1")),
        ('{"success":true,"ret_msg":"subscribe","conn_id":"d9","op":"subscribe"}', Ack("")),
        ('{"success":true,"ret_msg":"","conn_id":"d9","req_id":"2","op":"unsubscribe"}', Ack("2")),
        (
            '{"success":false,"ret_msg":"args size >10","conn_id":"d9","req_id":"1","op":"subscribe"}',
            Ack("1", False, "args size >10"),
        ),
        (
            '{"success":false,"ret_msg":"error:handler not found,topic:orderbook.500.X",'
            '"conn_id":"d9","req_id":"4","op":"subscribe"}',
            Ack("4", False, "error:handler not found,topic:orderbook.500.X"),
        ),
        ('{"success":true,"ret_msg":"pong","conn_id":"d9","op":"ping"}', Pong()),
        ('{"success":true,"ret_msg":"pong","conn_id":"d9","req_id":"7","op":"ping"}', Pong()),
        ('{"req_id":"7","op":"pong","args":["1675418560633"],"conn_id":"d9"}', Pong()),
        ('{"success":false,"ret_msg":"unknown op","conn_id":"d9","op":"other"}', Ignored("answer")),
    ],
)
def test_answers(frame: str, expected: object) -> None:
    assert read(VENUE, "spot", frame.encode()) == (expected,)
    assert not frame.encode().startswith(VENUE.data_prefix)


SNAPSHOT_FIELDS = {
    "symbol": "BTCUSDT", "tickDirection": "ZeroMinusTick", "price24hPcnt": "-0.00506", "lastPrice": "63958.60",
    "prevPrice24h": "64283.90", "highPrice24h": "64477.00", "lowPrice24h": "63183.10", "markPrice": "63958.60",
    "indexPrice": "63986.67", "openInterest": "57798.137", "turnover24h": ( "3947254153.7179" ),
    "volume24h": "61874.6390", "fundingRate": "0.0000544", "nextFundingTime": "1786550400000",
    "bid1Price": "63958.60", "bid1Size": "6.907", "ask1Price": "63958.70", "ask1Size": "2.750", "preOpenPrice": "",
}  # fmt: skip


def linear_stats(stream: str, time: int) -> Stats:
    numbers = map(Number, ("63958.60", "64283.90", "64477.00", "63183.10", "61874.6390", "3947254153.7179"))
    return Stats(stream, time, True, *numbers, change_pct=Number("-0.506"))


def linear_mark(stream: str, time: int) -> Mark:
    return Mark(
        stream,
        time,
        True,
        Number("63958.60"),
        Number("63986.67"),
        Number("0.0000544"),
        1786550400000,
        Number("57798.137"),
    )


def ticker(data: object, kind: str = "delta", time: int = 1786540397983) -> str:
    return json.dumps({"topic": "tickers.BTCUSDT", "type": kind, "data": data, "cs": 760580218857, "ts": time})


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            '{"topic":"orderbook.1.BTCUSDT","ts":1786613159749,'
            '"type":"snapshot","data":{"s":"BTCUSDT","b":[["63705.3","2.045546"]],'
            '"a":[["63705.4","2.334566"]],"u":72212457,"seq":112603120278},"cts":1786613159748}',
            [
                Quote(
                    "orderbook.1.BTCUSDT",
                    *map(Number, ("63705.3", "2.045546", "63705.4", "2.334566")),
                    112603120278,
                    1786613159748,
                )
            ],
        ),
        (
            '{"topic":"orderbook.1.XUSDT","ts":7,"type":"snapshot",'
            '"data":{"s":"XUSDT","b":[],"a":[["2","1"]],"u":1,"seq":5}}',
            [Quote("orderbook.1.XUSDT", None, None, Number("2"), Number("1"), 5, 7)],
        ),
        (
            '{"topic":"orderbook.50.BTCUSDT","ts":1787612486116,"type":"delta",'
            '"data":{"s":"BTCUSDT","b":[],"a":[["78716.8","0.027559"],["78748.5","0"]],'
            '"u":217107085,"seq":113099229629},"cts":1787612486108}',
            [
                Depth(
                    "orderbook.50.BTCUSDT",
                    False,
                    217107085,
                    217107085,
                    None,
                    [],
                    [(Number("78716.8"), Number("0.027559")), (Number("78748.5"), Number("0"))],
                    1787612486108,
                    sequence=113099229629,
                )
            ],
        ),
        (
            '{"topic":"orderbook.200.X","type":"snapshot","ts":7,'
            '"data":{"s":"X","b":[["1","2"]],"a":[],"u":1,"seq":3}}',
            [
                Depth(
                    "orderbook.200.X", True, 1, 1, None, [(Number("1"), Number("2"))], [], 7, restarted=True, sequence=3
                )
            ],
        ),
        (
            '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786540363844,'
            '"data":[{"T":1786540363843,"s":"BTCUSDT","S":"Buy","v":"0.015",'
            '"p":"63976.10","L":"ZeroPlusTick","i":"e799c7b7-1ccc-53d9-b84a-fb7a460397bc",'
            '"BT":false,"RPI":false,"seq":760579112851}]}',
            [
                Trades(
                    "publicTrade.BTCUSDT",
                    [
                        Fill(
                            "e799c7b7-1ccc-53d9-b84a-fb7a460397bc",
                            Number("63976.10"),
                            Number("0.015"),
                            Side.BUY,
                            1786540363843,
                            None,
                        )
                    ],
                )
            ],
        ),
        (
            '{"topic":"publicTrade.X","ts":1,"type":"snapshot","data":[{"i":"1",'
            '"T":5,"p":"1","v":"9","S":"Sell","seq":1,"s":"X","BT":true,"RPI":false},'
            '{"i":"2","T":6,"p":"2","v":"8","S":"Sell","seq":2,"s":"X","BT":false,"RPI":true}]}',
            [Trades("publicTrade.X", [Fill("2", Number("2"), Number("8"), Side.SELL, 6, None)])],
        ),
        (
            '{"type":"snapshot","topic":"kline.1.BTCUSDT","data":['
            '{"start":60000,"end":119999,"interval":"1","open":"1","close":"2","high":"3",'
            '"low":"0.5","volume":"7","turnover":"9","confirm":true,"timestamp":1},'
            '{"start":120000,"end":179999,"interval":"1","open":"2","close":"2",'
            '"high":"2","low":"2","volume":"0","turnover":"0","confirm":false,"timestamp":1}'
            '],"ts":1}',
            [
                Bar("kline.1.BTCUSDT", 60000, *map(Number, ("1", "3", "0.5", "2", "7")), True, 1),
                Bar("kline.1.BTCUSDT", 120000, *map(Number, ("2", "2", "2", "2", "0")), False, 1),
            ],
        ),
        (
            ticker(SNAPSHOT_FIELDS, "snapshot", 9),
            [linear_mark("tickers.BTCUSDT", 9), linear_stats("tickers.BTCUSDT", 9)],
        ),
        (
            ticker({"symbol": "BTCUSDT", "indexPrice": "63986.66"}),
            [Mark("tickers.BTCUSDT", 1786540397983, False, index_price=Number("63986.66"))],
        ),
        (
            ticker({"symbol": "BTCUSDT", "lastPrice": "1.50", "price24hPcnt": "0"}),
            [Stats("tickers.BTCUSDT", 1786540397983, False, last=Number("1.50"), change_pct=Number("0"))],
        ),
        (ticker({"symbol": "BTCUSDT", "bid1Price": "1.50"}), [Mark("tickers.BTCUSDT", 1786540397983, False)]),
        (
            ticker(
                {"symbol": "BTCUSDT", "lastPrice": "", "markPrice": "1", "fundingRate": "", "nextFundingTime": "0"},
                "snapshot",
                9,
            ),
            [Mark("tickers.BTCUSDT", 9, True, Number("1"))],
        ),
    ],
)
def test_data_frames(frame: str, expected: list[object]) -> None:
    assert list(read(VENUE, "linear", frame.encode())) == expected
    fields = json.loads(frame)
    for order in (sorted(fields), sorted(fields, reverse=True)):  # the order of keys differs per product
        turned = json.dumps({key: fields[key] for key in order}, separators=(",", ":")).encode()
        assert list(read(VENUE, "linear", turned)) == expected
        assert (
            list(VENUE.reader(StreamSpec("linear", fields["topic"], frozenset()))(fields["topic"], turned)) == expected
        )


@pytest.mark.parametrize(
    ("fraction", "percent"),
    [
        ("-0.0042", "-0.42"),
        ("0.142425", "14.2425"),
        ("1", "100"),
        ("0", "0"),
        ("0.000000000000000001", "0.0000000000000001"),
    ],
)
def test_the_change_is_a_percentage_exactly(fraction: str, percent: str) -> None:
    (stats,) = read(
        VENUE, "spot", ticker({"symbol": "BTCUSDT", "lastPrice": "1", "price24hPcnt": fraction}, "snapshot").encode()
    )
    assert isinstance(stats, Stats) and stats.change_pct == percent


def book(**changes: object) -> dict[str, object]:
    return {
        "topic": "orderbook.50.X",
        "ts": 1,
        "type": "delta",
        "data": {"s": "X", "b": [], "a": [], "u": 2, "seq": 3},
        **changes,
    }


def trade(**changes: object) -> dict[str, object]:
    return {
        "topic": "publicTrade.X",
        "ts": 1,
        "data": [{"i": "1", "T": 5, "p": "1", "v": "9", "S": "Sell", "BT": False, **changes}],
    }


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (book(type="other"), "schema"),
        (book(ts=-1), "schema"),
        (book(data={"b": [], "a": [], "u": -1, "seq": 3}), "schema"),
        (book(data={"b": [["0", "1"]], "a": [], "u": 1, "seq": 3}), "number"),
        (book(data={"b": [], "a": [["1", "-0.1"]], "u": 1, "seq": 3}), "number"),
        (book(data={"b": [], "a": [["1", 2]], "u": 1, "seq": 3}), "schema"),
        (book(topic="orderbook.1.X"), "schema"),
        (book(topic="liquidation.X"), "unknown"),
        (book(topic=""), "unknown"),
        (book(topic="kline." + "x" * 200), "unknown"),
        (trade(s="XY"), "symbol"),
        (book(topic="orderbook.1.X", type="snapshot", data={"s": "XY", "b": [], "a": [], "u": 1, "seq": 3}), "symbol"),
        (book(data={"s": "XY", "b": [], "a": [], "u": 1, "seq": 3}), "symbol"),
        (trade(p="Infinity"), "number"),
        (trade(p="0"), "number"),
        (trade(v="1e99"), "number"),
        (trade(S="sell"), "schema"),
        (trade(i=""), "schema"),
        (trade(i="x" * 500), "schema"),
        (trade(T=5e12), "schema"),
        (json.loads(ticker({"symbol": "BTCUSDT", "lastPrice": "-1"})), "number"),
        (json.loads(ticker({"symbol": "BTCUSDT", "price24hPcnt": "abc"})), "number"),
        (json.loads(ticker({"symbol": "BTCUSDT", "nextFundingTime": "soon"})), "schema"),
        (json.loads(ticker({"symbol": "BTCUSDT", "nextFundingTime": "999999999999999"})), "schema"),
        (json.loads(ticker({})), "schema"),
        (json.loads(ticker({"symbol": "ETHUSDT", "lastPrice": "1"})), "symbol"),
        ({}, "unknown"),
        ({"op": "subscribe"}, "unknown"),
    ],
)
def test_a_bad_frame_is_refused_with_its_reason(frame: object, reason: str) -> None:
    with pytest.raises(BadFrame) as caught:
        read(VENUE, "linear", json.dumps(frame, separators=(",", ":")).encode())
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff",
        b'{"topic":"tickers.X","junk":"\xff"}',
        b"<html>",
        b'{"topic":"tickers.X","junk":' + b"[" * 100_000,
        b'{"topic":"tickers.X',
        b"null",
        b"7",
    ],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        read(VENUE, "spot", frame)


# REST


def doc(captures: Path, name: str) -> bytes:
    return (captures / "bybit" / f"rest-{name}-docexample.json").read_bytes()


def catalogue(market: MarketType, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
    return VENUE.read_catalogue(VENUE.catalogue_requests(market)[0], body)


@pytest.mark.captures
def test_documented_catalogues(captures: Path) -> None:
    linear = Instrument(
        "bybit",
        PERPETUAL,
        BTC,
        "BTCUSDT",
        *map(Number, ("0.1", "0.001", "0.001", "5")),
        "trading",
        "Trading",
        venue_id="5",
    )
    spot = Instrument(
        "bybit",
        SPOT,
        BTC,
        "BTCUSDT",
        *map(Number, ("0.1", "0.000001", "0.000011", "5")),
        "trading",
        "Trading",
        venue_id="9",
    )
    assert catalogue(PERPETUAL, doc(captures, "instruments-linear")) == ([linear], None)
    assert catalogue(SPOT, doc(captures, "instruments-spot")) == ([spot], None)


def page(cursor: str = "", **changes: object) -> bytes:
    listing = {
        "symbol": "BTCPERP",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDC",
        "settleCoin": "USDC",
        "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001", "minNotionalValue": "5"},
    }
    return json.dumps(
        {"retCode": 0, "result": {"list": [{**listing, **changes}], "nextPageCursor": cursor}, "time": 1}
    ).encode()


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("Trading", "trading"),
        ("PreLaunch", "pre_open"),
        ("Delivering", "delisted"),
        ("Closed", "delisted"),
        ("New", "halted"),
    ],
)
def test_status_words(word: str, ours: str) -> None:
    ((found,), _) = catalogue(PERPETUAL, page(status=word))
    assert (found.status, found.venue_status, found.symbol) == (ours, word, ("BTC", "USDC"))


@pytest.mark.parametrize(
    "changes",
    [
        {"contractType": "LinearFutures", "symbol": "BTC-26DEC25"},
        {"settleCoin": "BTC"},
        {"priceFilter": {"tickSize": ""}},
        {"lotSizeFilter": {}},
        {"baseCoin": "B\nC"},
    ],
)
def test_what_is_no_linear_perpetual_is_left_out(changes: dict[str, object]) -> None:
    assert catalogue(PERPETUAL, page(**changes)) == ([], None)


def test_pages_are_followed_until_the_cursor_is_empty_or_stands_still() -> None:
    first = VENUE.catalogue_requests(PERPETUAL)[0]
    assert first.params == (("category", "linear"), ("limit", "1000"))
    _, second = VENUE.read_catalogue(first, page("first%3DBTCPERP%26last%3DX"))
    assert second is not None and second.params == (
        ("category", "linear"),
        ("limit", "1000"),
        ("cursor", "first=BTCPERP&last=X"),
    )
    _, third = VENUE.read_catalogue(second, page("next"))
    assert third is not None and third.params == (("category", "linear"), ("limit", "1000"), ("cursor", "next"))
    assert VENUE.read_catalogue(third, page("next"))[1] is None
    assert VENUE.read_catalogue(third, page(""))[1] is None


def test_candles_are_read_as_they_stand() -> None:
    request = VENUE.candles_request(topic(SPOT, Channel.CANDLE, "1m"), instrument(SPOT), 200, None)
    rows = [[str(opened), "2", "3", "1", "2.50", "9", "1"] for opened in (180_000, 120_000)]
    bars = VENUE.read_candles(request, json.dumps({"retCode": 0, "result": {"list": rows}, "time": 1}).encode())
    assert [(bar.open_time, bar.closed) for bar in bars] == [(180_000, None), (120_000, None)]
    assert {(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars} == {("2", "3", "1", "2.50", "9")}


def test_candle_requests() -> None:
    request = VENUE.candles_request(topic(PERPETUAL, Channel.CANDLE, "1w"), instrument(PERPETUAL), 2000, 5)
    assert request.path == "/v5/market/kline"
    assert request.params == (
        ("category", "linear"),
        ("symbol", "BTCUSDT"),
        ("interval", "W"),
        ("end", "5"),
        ("limit", "1000"),
    )


@pytest.mark.parametrize(("levels", "limit"), [(1, 1), (50, 50), (1000, 1000), (5000, 1000)])
def test_a_snapshot_to_compare_with_has_the_number_of_all_streams(levels: int, limit: int) -> None:
    request = VENUE.snapshot_request(topic(SPOT, Channel.ORDER_BOOK), instrument(SPOT), levels)
    assert request is not None and (request.path, request.limit) == ("/v5/market/orderbook", limit)
    assert dict(request.params) == {"category": "spot", "symbol": "BTCUSDT", "limit": str(limit)}
    body = {"s": "BTCUSDT", "b": [["65485.4", "47.08"]], "a": [["65557.7", "16.60"]], "ts": 9, "u": 230704, "seq": 1432}
    depth = VENUE.read_snapshot(request, json.dumps({"retCode": 0, "result": body, "time": 10}).encode())
    assert (depth.snapshot, depth.last, depth.sequence, depth.time) == (True, 230704, 1432, 9)
    assert (depth.bids, depth.asks) == ([("65485.4", "47.08")], [("65557.7", "16.60")])
    for wrong in (b"{}", json.dumps({"result": {**body, "s": "ETHUSDT"}}).encode()):
        with pytest.raises(BadFrame):
            reading(VENUE.read_snapshot, request, wrong)


@pytest.mark.captures
def test_documented_sweep(captures: Path) -> None:
    (poll,) = VENUE.plan(Topic("bybit", SPOT, ANY, Channel.TICKER), None, 0).polls
    (rows,) = VENUE.read_poll(poll.request, doc(captures, "tickers-spot"))
    assert isinstance(rows, SweepRows)
    quote = Quote(rows.stream, *map(Number, ("20517.96", "2", "20527.77", "1.862172")), None, 1673859087947)
    numbers = map(Number, ("20533.13", "20393.48", "21128.12", "20318.89", "11801.27771", "243765620.65899866"))
    stats = Stats(rows.stream, 1673859087947, True, *numbers, change_pct=Number("0.68"))
    assert rows.rows == [SweepRow("BTCUSDT", quote, stats, None)]


def test_a_linear_sweep_holds_the_mark_too() -> None:
    (poll,) = VENUE.plan(Topic("bybit", PERPETUAL, ANY, Channel.TICKER), None, 0).polls
    body = json.dumps({"retCode": 0, "result": {"category": "linear", "list": [SNAPSHOT_FIELDS]}, "time": 9}).encode()
    (rows,) = VENUE.read_poll(poll.request, body)
    assert isinstance(rows, SweepRows)
    quote = Quote(rows.stream, *map(Number, ("63958.60", "6.907", "63958.70", "2.750")), None, 9)
    assert rows.rows == [SweepRow("BTCUSDT", quote, linear_stats(rows.stream, 9), linear_mark(rows.stream, 9))]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"{}",
        b"null",
        b"\xff",
        b'{"retCode":10001,"retMsg":"x","result":{}}',
        b'{"result":' + b"[" * 50_000,
    ],
)
def test_bodies_that_cannot_be_read_are_bad_frames(body: bytes) -> None:
    request = VENUE.candles_request(topic(SPOT, Channel.CANDLE, "1m"), instrument(SPOT), 10, None)
    (poll,) = VENUE.plan(Topic("bybit", SPOT, ANY, Channel.TICKER), None, 0).polls
    with pytest.raises(BadFrame):
        reading(catalogue, SPOT, body)
    with pytest.raises(BadFrame):
        reading(VENUE.read_candles, request, body)
    with pytest.raises(BadFrame):
        reading(VENUE.read_poll, poll.request, body)


LISTED = (
    '{"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT",'
    '"settleCoin":"USDT","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"0.001"}}'
)


@pytest.mark.parametrize(
    ("market", "change", "left_out"),
    [
        (PERPETUAL, '"baseCoin":""', True),
        (PERPETUAL, '"priceFilter":null', True),
        (PERPETUAL, '"lotSizeFilter":null', True),
        (PERPETUAL, '"lotSizeFilter":{"qtyStep":"-1"}', True),
        (PERPETUAL, '"status":""', True),
        (PERPETUAL, '"contractType":"LinearFutures","status":"","priceFilter":null', False),
        (PERPETUAL, '"settleCoin":"BTC","baseCoin":""', False),
        (SPOT, '"baseCoin":""', True),
        (SPOT, '"priceFilter":null', True),
    ],
)
def test_an_odd_listing_never_takes_the_others_with_it(market: MarketType, change: str, left_out: bool) -> None:
    odd = json.dumps(json.loads(LISTED) | {"symbol": "T"} | json.loads(f"{{{change}}}"))
    for listings in (f"{LISTED},{odd}", f"{odd},{LISTED}"):
        body = f'{{"retCode":0,"result":{{"list":[{listings}],"nextPageCursor":""}}}}'.encode()
        found, _ = VENUE.read_catalogue(VENUE.catalogue_requests(market)[0], body)
        assert [each.native for each in found] == ["BTCUSDT"]
        assert [name for name, _ in left_out_of(found)] == (["T"] if left_out else [])


def test_an_odd_bar_or_row_never_takes_the_others_with_it() -> None:
    request = VENUE.candles_request(topic(SPOT, Channel.CANDLE, "1m"), instrument(SPOT), 10, None)
    rows = '["1670608800000","17071","17073","17027","17055.5","-1","15"],["1670605200000","1","2","0.5","1","3","4"]'
    bars = VENUE.read_candles(request, f'{{"retCode":0,"result":{{"list":[{rows}]}}}}'.encode())
    assert [each.open_time for each in bars] == [1670605200000]
    assert [name for name, _ in left_out_of(bars)] == ["1670608800000"]
    (poll,) = VENUE.plan(Topic("bybit", SPOT, ANY, Channel.TICKER), None, 0).polls
    tickers = '{"symbol":"X","bid1Price":null},{"symbol":"BTCUSDT","lastPrice":"2"},null'
    said = VENUE.read_poll(poll.request, f'{{"retCode":0,"result":{{"list":[{tickers}]}},"time":1}}'.encode())
    assert [[row.native for row in each.rows] for each in said if isinstance(each, SweepRows)] == [["BTCUSDT"]]
    assert [[name for name, _ in each.elements] for each in said if isinstance(each, LeftOut)] == [["X", ""]]


def test_the_probe_asks_for_the_time() -> None:
    assert VENUE.probe_request(PERPETUAL).path == "/v5/market/time"


@pytest.mark.parametrize(
    ("status", "headers", "body", "cause", "wait"),
    [
        (403, {}, "403, access too frequent", "banned", 600.0),
        (403, {"retry-after": "20"}, '{"retCode":10006,"retMsg":"Too many visits!"}', "banned", 20.0),
        (403, {}, '{"retCode":10018,"retMsg":"Exceeded the IP Rate Limit."}', "banned", 600.0),
        (
            403,
            {},
            "<html>The Amazon CloudFront distribution is configured to block access from your country.</html>",
            "blocked",
            None,
        ),
        (451, {}, "", "blocked", None),
        (200, {}, '{"retCode":10024,"retMsg":"Compliance rules triggered"}', "blocked", None),
        (429, {}, "", "banned", 60.0),
        (429, {"retry-after": "3"}, "", "banned", 3.0),
        (200, {}, '{"retCode":10006,"retMsg":"Too many visits!","result":{}}', "banned", 5.0),
        (200, {}, '{"retMsg":"params error: symbol invalid","retCode":10001,"result":{}}', "rejected", None),
        (200, {}, '{"retCode":10016,"retMsg":"Server error."}', "", None),
        (503, {}, '{"retCode":10016,"retMsg":"System maintenance"}', "maintenance", None),
        (502, {}, "<html>", "", None),
        (500, {}, "[" * 100_000, "", None),
    ],
)
def test_refusals(status: int, headers: dict[str, str], body: str, cause: str, wait: float | None) -> None:
    said = VENUE.rest_error(status, headers, body.encode())
    assert said is not None
    assert (said[0], said[2]) == (cause, wait)
    assert said[1].startswith(f"HTTP {status}") and len(said[1]) < 500
    assert ("api.bytick.com" in said[1]) == (cause == "blocked")


@pytest.mark.parametrize("body", [b'{"retCode":0,"retMsg":"OK"}', b'{"result":{},"retCode":0}', b"<html>", b""])
def test_good_answers_are_no_refusals(body: bytes) -> None:
    assert VENUE.rest_error(200, {}, body) is None


# Anything at all

WORDS = [
    "b",
    "a",
    "u",
    "seq",
    "s",
    "i",
    "T",
    "p",
    "v",
    "S",
    "BT",
    "symbol",
    "lastPrice",
    "price24hPcnt",
    "start",
    "open",
    "close",
    "confirm",
    "nextFundingTime",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "-1", "NaN", "1e9", "0", "9" * 60, "Buy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=8),
    max_leaves=12,
)
GOOD = [
    json.dumps(each, separators=(",", ":")).encode()
    for each in (book(), trade(), json.loads(ticker(SNAPSHOT_FIELDS, "snapshot")))
]


def reads_or_is_bad(frame: bytes) -> None:
    try:
        read(VENUE, "linear", frame)
    except BadFrame as error:
        assert error.reason in ("json", "schema", "number", "size", "symbol", "unknown")


@settings(max_examples=300, deadline=None)
@given(
    topic=st.sampled_from(["tickers.X", "orderbook.1.X", "orderbook.50.X", "publicTrade.X", "kline.1.X"]),
    kind=JSON,
    data=JSON,
)
def test_any_json_reads_or_is_a_bad_frame(topic: str, kind: object, data: object) -> None:
    for each in (kind, "snapshot", "delta"):
        reads_or_is_bad(
            json.dumps({"topic": topic, "type": each, "ts": 1, "data": data}, separators=(",", ":")).encode()
        )
    reads_or_is_bad(json.dumps(data).encode())


@settings(max_examples=300, deadline=None)
@given(frame=st.sampled_from(GOOD), cut=st.tuples(st.integers(0, 600), st.integers(0, 20)), put=st.binary(max_size=8))
def test_any_damage_reads_or_is_a_bad_frame(frame: bytes, cut: tuple[int, int], put: bytes) -> None:
    start, length = cut
    reads_or_is_bad(frame[:start] + put + frame[start + length :])
