"""Binance: plans, frames both ways, REST, and refusals, as tables from the venue's documentation
and from recorded frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    FundingIntervals,
    LeftOut,
    Mark,
    Quote,
    Restarting,
    Stats,
    SweepRow,
    SweepRows,
    Trades,
)
from cryptodash.exchanges.adapter.plan import Part, Purpose, StreamSpec
from cryptodash.exchanges.venues.binance.venue import VENUE
from cryptodash.testing.readers import read

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
BTC = Symbol("BTC", "USDT")


def instrument(market: MarketType, native: str = "BTCUSDT") -> Instrument:
    return Instrument("binance", market, BTC, native, Number("0.01"), Number("0.00001"))


def topic(market: MarketType, channel: Channel, interval: str = "") -> Topic:
    return Topic("binance", market, BTC, channel, interval=interval)


def streams(
    market: MarketType, channel: Channel, interval: str = "", native: str = "BTCUSDT"
) -> list[tuple[str, str, float | None]]:
    plan = VENUE.plan(topic(market, channel, interval), instrument(market, native), 50)
    return [(stream.endpoint, stream.name, stream.promise) for stream in plan.streams]


def wrap(stream: str, data: str) -> bytes:
    return f'{{"stream":"{stream}","data":{data}}}'.encode()


@pytest.mark.parametrize(
    ("market", "channel", "interval", "expected"),
    [
        (SPOT, Channel.TICKER, "", [("spot", "btcusdt@bookTicker", None), ("spot", "btcusdt@ticker", 1.0)]),
        (SPOT, Channel.TRADE, "", [("spot", "btcusdt@trade", None)]),
        (SPOT, Channel.ORDER_BOOK, "", [("spot", "btcusdt@depth@100ms", None)]),
        (SPOT, Channel.CANDLE, "1M", [("spot", "btcusdt@kline_1M", None)]),
        (
            PERPETUAL,
            Channel.TICKER,
            "",
            [
                ("usdm-public", "btcusdt@bookTicker", None),
                ("usdm-market", "btcusdt@ticker", 2.0),
                ("usdm-market", "btcusdt@markPrice@1s", 1.0),
            ],
        ),
        (PERPETUAL, Channel.TRADE, "", [("usdm-market", "btcusdt@aggTrade", None)]),
        (PERPETUAL, Channel.ORDER_BOOK, "", [("usdm-public", "btcusdt@depth@100ms", None)]),
        (PERPETUAL, Channel.CANDLE, "12h", [("usdm-market", "btcusdt@kline_12h", None)]),
        (SPOT, Channel.BBO, "", [("spot", "btcusdt@bookTicker", None)]),
        (PERPETUAL, Channel.BBO, "", [("usdm-public", "btcusdt@bookTicker", None)]),
        (PERPETUAL, Channel.LIQUIDATION, "", [("usdm-market", "btcusdt@forceOrder", None)]),
    ],
)
def test_each_topic_needs_these_streams(market: MarketType, channel: Channel, interval: str, expected: object) -> None:
    assert streams(market, channel, interval) == expected


def test_a_ticker_requires_quote_and_last_and_a_perpetual_polls_interest_and_the_table_of_intervals() -> None:
    spot = VENUE.plan(topic(SPOT, Channel.TICKER), instrument(SPOT), 0)
    perpetual = VENUE.plan(topic(PERPETUAL, Channel.TICKER), instrument(PERPETUAL), 0)
    assert spot.required == perpetual.required == {Part.QUOTE, Part.LAST}
    assert not spot.polls
    poll, funding = perpetual.polls
    eth = Topic("binance", PERPETUAL, Symbol("ETH", "USDT"), Channel.TICKER)
    other = VENUE.plan(eth, instrument(PERPETUAL, "ETHUSDT"), 0)
    assert funding == other.polls[1], "one request serves all"
    assert (funding.request.path, funding.request.params, funding.parts) == ("/fapi/v1/fundingInfo", (), {Part.FUNDING})
    assert (poll.every, poll.parts, poll.request.path, poll.request.params) == (
        30.0,
        {Part.INTEREST},
        "/fapi/v1/openInterest",
        (("symbol", "BTCUSDT"),),
    )


def test_sweeps_use_the_all_market_streams() -> None:
    spot = VENUE.plan(Topic("binance", SPOT, ANY, Channel.TICKER), None, 0)
    perpetual = VENUE.plan(Topic("binance", PERPETUAL, ANY, Channel.TICKER), None, 0)
    assert [(each.endpoint, each.name) for each in spot.streams] == [("spot", "!miniTicker@arr")]
    assert [(each.endpoint, each.name) for each in perpetual.streams] == [
        ("usdm-market", "!ticker@arr"),
        ("usdm-public", "!bookTicker"),
    ]
    assert spot.required == perpetual.required == {Part.SWEEP}


@pytest.mark.parametrize("native", ["1000SHIBUSDT", "币安人生USDT", "ÇAYUSDT", "1INCHUSDT"])
def test_odd_names_are_lowered_and_found_again_as_subscribed(native: str) -> None:
    ((_, name, _),) = streams(SPOT, Channel.TRADE, native=native)
    assert name == f"{native.lower()}@trade"
    data = '{"t":7,"p":"1.50","q":"2","T":1723161255342,"m":false}'
    for shown in (name, json.dumps(name)[1:-1]):  # the server may write such a name plainly or with escapes
        (trades,) = read(VENUE, "spot", wrap(shown, data))
        assert isinstance(trades, Trades) and trades.stream == name
    assert VENUE.reader(StreamSpec("spot", name, frozenset()))(name, wrap(name, data)) == (trades,)


def test_every_interval_of_ours_is_there() -> None:
    assert VENUE.intervals(SPOT) == VENUE.intervals(PERPETUAL) == INTERVALS
    assert VENUE.book_rules == {
        SPOT: BookRules(SnapshotSource.REST, Chaining.RANGE, audit=AuditBy.UPDATE_ID),
        PERPETUAL: BookRules(SnapshotSource.REST, Chaining.PREVIOUS, audit=AuditBy.UPDATE_ID),
    }


def test_limits_keep_a_margin() -> None:
    spot = VENUE.limits["spot"]
    assert (
        spot.streams <= 0.8 * 1024
        and spot.message_gap >= 0.3
        and spot.args_per_message <= 100
        and spot.lifetime == 24 * 3600
    )
    assert VENUE.limits["usdm-public"].message_gap >= 0.1 / 0.8
    pools = [VENUE.probe_request(market).pool for market in (SPOT, PERPETUAL)]
    assert [VENUE.rest_limits[pool].weight for pool in pools] == [0.8 * 6000, 0.8 * 2400]


def test_requests_look_as_documented() -> None:
    assert (
        VENUE.subscribe("spot", ["btcusdt@trade", "a@b"], "1")
        == b'{"method":"SUBSCRIBE","params":["btcusdt@trade","a@b"],"id":1}'
    )
    assert (
        VENUE.unsubscribe("spot", ["btcusdt@trade"], "x-2")
        == b'{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":"x-2"}'
    )
    assert VENUE.ping("spot", "1") is None


@pytest.mark.parametrize("request_id", ["1", "12345678901234567890", "007", "a-1", "0", "９"])
def test_the_answer_carries_the_id_as_sent(request_id: str) -> None:
    sent = json.loads(VENUE.subscribe("spot", ["x@trade"], request_id))["id"]
    assert read(VENUE, "spot", json.dumps({"result": None, "id": sent}).encode()) == (Ack(request_id),)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"result":null,"id":1}', Ack("1")),
        ('{"id":3,"result":["btcusdt@depth@100ms"]}', Ack("3")),
        ('{"code":2,"msg":"Invalid request: x","id":7}', Ack("7", False, "2: Invalid request: x")),
        ('{"code":3,"msg":"Invalid JSON: x"}', Ack("", False, "3: Invalid JSON: x")),
        ('{"error":{"code":2,"msg":"Invalid request: x"},"id":"a"}', Ack("a", False, "2: Invalid request: x")),
        ('{"e":"serverShutdown","E":1788548384904}', Restarting()),
        ('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1788548384904}}', Restarting()),
    ],
)
def test_answers_and_notices(frame: str, expected: object) -> None:
    assert read(VENUE, "spot", frame.encode()) == (expected,)


def test_a_restart_is_announced_to_those_who_have_not_subscribed_to_it() -> None:
    frame = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1788548384904}}'
    assert VENUE.read("spot", frame, {}) == (Restarting(),)


DAY = {
    "e": "24hrTicker", "E": 1786540329176, "s": "BTCUSDT", "p": "-331.00", "P": "-0.515", "w": "63795.1",
    "c": "63999.60", "Q": "0.005", "o": "64330.60", "h": "64500", "l": "63238.00", "v": "14724.6", "q": "940099726.82",
    "O": 1, "C": 2, "F": 1, "L": 9, "n": 9,
}  # fmt: skip
DAY_STATS = Stats(
    "btcusdt@ticker",
    1786540329176,
    True,
    *map(Number, ("63999.60", "64330.60", "64500", "63238.00", "14724.6", "940099726.82", "-331.00", "-0.515")),
)


@pytest.mark.parametrize(
    ("endpoint", "stream", "data", "expected"),
    [
        (
            "spot",
            "btcusdt@bookTicker",
            '{"u":98494969448,"s":"BTCUSDT","b":"63704.00000000",'
            '"B":"4.77471000","a":"63704.01000000","A":"11.33198000"}',
            Quote(
                "btcusdt@bookTicker",
                *map(Number, ("63704.00000000", "4.77471000", "63704.01000000", "11.33198000")),
                98494969448,
                None,
            ),
        ),
        (
            "spot",
            "btcusdt@bookTicker",
            '{"u":5,"s":"BTCUSDT","b":"0.00000000","B":"0.00000000","a":"63704.01","A":"1.0"}',
            Quote("btcusdt@bookTicker", None, None, Number("63704.01"), Number("1.0"), 5, None),
        ),
        (
            "usdm-public",
            "btcusdt@bookTicker",
            '{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20",'
            '"B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}',
            Quote(
                "btcusdt@bookTicker",
                *map(Number, ("61800.20", "2.507", "61800.30", "2.510")),
                5123107839020,
                1723161256313,
            ),
        ),
        ("spot", "btcusdt@ticker", json.dumps({**DAY, "x": "1", "b": "1", "B": "1", "a": "2", "A": "1"}), DAY_STATS),
        ("usdm-market", "btcusdt@ticker", json.dumps(DAY), DAY_STATS),
        (
            "usdm-market",
            "btcusdt@markPrice@1s",
            '{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15",'
            '"i":"11784.62","P":"11784.25","r":"0.00038167","T":1562306400000}',
            Mark(
                "btcusdt@markPrice@1s",
                1562305380000,
                False,
                Number("11794.15"),
                Number("11784.62"),
                Number("0.00038167"),
                1562306400000,
            ),
        ),
        (
            "spot",
            "btcusdt@trade",
            '{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
            '"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}',
            Trades(
                "btcusdt@trade",
                (
                    Fill(
                        "3735683259",
                        Number("61837.63000000"),
                        Number("0.02000000"),
                        Side.SELL,
                        1723161255342,
                        3735683259,
                    ),
                ),
            ),
        ),
        (
            "usdm-market",
            "ctkusdt@aggTrade",
            '{"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT","p":"1.01100",'
            '"q":"10","nq":"9","f":1,"l":2,"T":1626992741421,"m":false,"st":1}',
            Trades(
                "ctkusdt@aggTrade",
                (Fill("16599292", Number("1.01100"), Number("10"), Side.BUY, 1626992741421, 16599292),),
            ),
        ),
        (
            "usdm-public",
            "btcusdt@trade",
            '{"t":1,"p":"0","q":"0","T":1,"m":false,"X":"INSURANCE_FUND"}',
            Trades("btcusdt@trade", ()),
        ),
        (
            "spot",
            "btcusdt@depth@100ms",
            '{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,'
            '"u":50093239202,"b":[["61737.63000000","0.00000000"]],"a":[]}',
            Depth(
                "btcusdt@depth@100ms",
                False,
                50093239189,
                50093239202,
                None,
                [(Number("61737.63000000"), Number("0.00000000"))],
                [],
                1723161255208,
            ),
        ),
        (
            "usdm-public",
            "btcusdt@depth@100ms",
            '{"e":"depthUpdate","E":1786541222707,"T":1786541222706,"s":"BTCUSDT",'
            '"ps":"BTCUSDT","U":7,"u":9,"pu":4,"b":[["62930.30","0.000"]],"a":[],"st":1}',
            Depth("btcusdt@depth@100ms", False, 7, 9, 4, [(Number("62930.30"), Number("0.000"))], [], 1786541222706),
        ),
        (
            "spot",
            "btcusdt@kline_1m",
            '{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":1786539480000,"T":1786539539999,'
            '"o":"64117.67","c":"64117.99","h":"64118.00","l":"64117.66","v":"0","x":true}}',
            Bar(
                "btcusdt@kline_1m",
                1786539480000,
                *map(Number, ("64117.67", "64118.00", "64117.66", "64117.99", "0")),
                True,
                1,
            ),
        ),
        (
            "usdm-market",
            "!ticker@arr",
            json.dumps([DAY]),
            SweepRows(
                "!ticker@arr",
                [
                    SweepRow(
                        "BTCUSDT",
                        None,
                        Stats("!ticker@arr", *(getattr(DAY_STATS, n) for n in DAY_STATS.__struct_fields__[1:])),
                        None,
                    )
                ],
            ),
        ),
        (
            "usdm-public",
            "!bookTicker",
            '{"e":"bookTicker","u":3,"s":"ETHUSDT","b":"1","B":"2","a":"3","A":"4","T":5,"E":6}',
            SweepRows(
                "!bookTicker",
                (SweepRow("ETHUSDT", Quote("!bookTicker", *map(Number, ("1", "2", "3", "4")), 3, 5), None, None),),
            ),
        ),
    ],
)
def test_data_frames(endpoint: str, stream: str, data: str, expected: object) -> None:
    assert read(VENUE, endpoint, wrap(stream, data)) == (expected,)
    assert wrap(stream, data).startswith(VENUE.data_prefix + stream.encode() + b'"')
    assert VENUE.reader(StreamSpec(endpoint, stream, frozenset()))(stream, wrap(stream, data)) == (expected,)
    turned = f'{{"data":{data},"stream":"{stream}"}}'.encode()  # nothing promises that the name comes first
    assert not turned.startswith(VENUE.data_prefix)
    assert read(VENUE, endpoint, turned) == (expected,)


def test_a_mini_ticker_knows_no_change_and_zero_prices_are_unknown() -> None:
    data = (
        '[{"e":"24hrMiniTicker","E":1,"s":"NEWUSDT","c":"0.00000000",'
        '"o":"0.00000000","h":"0.0","l":"0","v":"0.00000000","q":"0"}]'
    )
    (rows,) = read(VENUE, "spot", wrap("!miniTicker@arr", data))
    assert isinstance(rows, SweepRows)
    assert rows.rows == [
        SweepRow(
            "NEWUSDT", None, Stats("!miniTicker@arr", 1, volume=Number("0.00000000"), quote_volume=Number("0")), None
        )
    ]


TRADE = {"t": 1, "p": "1.5", "q": "2", "T": 1723161255342, "m": False}
DEPTH = {"E": 1, "U": 1, "u": 2, "b": [["1", "1"]], "a": []}
BAR = {"t": 60_000, "s": "X", "i": "1m", **dict.fromkeys("ohlcv", "1"), "x": False}


@pytest.mark.parametrize(
    ("stream", "data", "reason"),
    [
        ("x@trade", {**TRADE, "p": "NaN"}, "number"),
        ("x@trade", {**TRADE, "p": "0.000"}, "number"),
        ("x@trade", {**TRADE, "p": "-1"}, "number"),
        ("x@trade", {**TRADE, "q": "1_000"}, "number"),
        ("x@trade", {**TRADE, "q": "1e400"}, "number"),
        ("x@trade", {**TRADE, "q": "٣"}, "number"),
        ("x@trade", {**TRADE, "q": ""}, "number"),
        ("x@trade", {**TRADE, "p": "1" * 41}, "number"),
        ("x@trade", {**TRADE, "p": 1.5}, "schema"),
        ("x@trade", {**TRADE, "p": None}, "schema"),
        ("x@trade", {**TRADE, "t": -1}, "schema"),
        ("x@trade", {**TRADE, "t": "1"}, "schema"),
        ("x@trade", {**TRADE, "m": 1}, "schema"),
        ("x@trade", {**TRADE, "T": 1723161255342000}, "schema"),  # microseconds
        ("x@trade", {"t": 1}, "schema"),
        ("x@trade", [], "schema"),
        # The envelope says one instrument, the payload another: nobody knows which is right.
        ("x@trade", {**TRADE, "s": "XY"}, "symbol"),
        ("xy@trade", {**TRADE, "s": "X"}, "symbol"),
        ("x@aggTrade", {**TRADE, "a": 1, "s": "XY"}, "symbol"),
        ("x@depth@100ms", {**DEPTH, "s": "XY"}, "symbol"),
        ("x@bookTicker", {"u": 1, "s": "XY", "b": "1", "B": "1", "a": "2", "A": "1"}, "symbol"),
        ("x@ticker", {"E": 1, "s": "XY", **dict.fromkeys("cohlvq", "1")}, "symbol"),
        ("x@kline_1m", {"E": 1, "s": "XY", "k": BAR}, "symbol"),
        ("x@kline_1m", {"E": 1, "s": "X", "k": {**BAR, "s": "XY"}}, "symbol"),
        ("x@kline_1m", {"E": 1, "s": "X", "k": {**BAR, "i": "1M"}}, "symbol"),
        ("x@depth@100ms", {**DEPTH, "U": 3}, "schema"),
        ("x@depth@100ms", {**DEPTH, "b": [["1", "1"], ["0", "1"]]}, "number"),
        ("x@depth@100ms", {**DEPTH, "b": [["1", "-1"]]}, "number"),
        ("x@depth@100ms", {**DEPTH, "b": [["1"]]}, "schema"),
        ("x@depth20@100ms", DEPTH, "unknown"),
        ("x@forceOrder", {}, "unknown"),
        ("x@!bookTicker", {}, "unknown"),
        ("trade", TRADE, "unknown"),
        ("x" * 200 + "@trade", TRADE, "unknown"),
        ("", TRADE, "unknown"),
    ],
)
def test_a_bad_frame_is_refused_with_its_reason(stream: str, data: object, reason: str) -> None:
    with pytest.raises(BadFrame) as caught:
        read(VENUE, "spot", wrap(stream, json.dumps(data, ensure_ascii=False)))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "json"),
        (b"\xff\xfe", "json"),
        (b'{"stream":"x@trade","data":{"t":1,"p":"1","q":"1","T":1,"m":true,"junk":"\xff"}}', "json"),
        (b'{"stream":"x@trade","data":{"junk":' + b"[" * 100_000, "json"),
        (b'{"stream":"x@trade', "json"),
        (b'{"stream":"x@trade\\', "json"),
        (b"<html>maintenance</html>", "json"),
        (b"null", "schema"),
        (b"[]", "schema"),
        (b"{}", "unknown"),
        (b'{"id":1}', "unknown"),
        (b'{"result":null}', "unknown"),
        (b'{"e":"trade","s":"BTCUSDT"}', "unknown"),  # not from a combined connection: its stream is not known
    ],
)
def test_what_is_no_frame_of_binance_is_refused(frame: bytes, reason: str) -> None:
    with pytest.raises(BadFrame) as caught:
        read(VENUE, "spot", frame)
    assert caught.value.reason == reason


def test_perpetual_depth_without_the_previous_id_is_refused() -> None:
    with pytest.raises(BadFrame) as caught:
        read(VENUE, "usdm-public", wrap("x@depth@100ms", json.dumps({**DEPTH, "T": 1})))
    assert caught.value.reason == "schema"


# REST


def test_catalogue_requests() -> None:
    (spot,), (perpetual,) = VENUE.catalogue_requests(SPOT), VENUE.catalogue_requests(PERPETUAL)
    assert (spot.purpose, spot.path, spot.weight) == (Purpose.CATALOGUE, "/api/v3/exchangeInfo", 20)
    assert (perpetual.path, perpetual.weight) == ("/fapi/v1/exchangeInfo", 1)


def listing(market: MarketType, **changes: object) -> bytes:
    filters: Sequence[Mapping[str, object]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.01000000",
            "maxPrice": "1000000.00000000",
            "tickSize": "0.01000000",
        },
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"}
        if market is SPOT
        else {"filterType": "MIN_NOTIONAL", "notional": "100"},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
    ]
    contract = {} if market is SPOT else {"contractType": "PERPETUAL"}
    symbol = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "filters": filters,
        **contract,
        **changes,
    }
    return json.dumps({"timezone": "UTC", "symbols": [symbol]}).encode()


def catalogue(market: MarketType, body: bytes) -> Sequence[Instrument]:
    instruments, more = VENUE.read_catalogue(VENUE.catalogue_requests(market)[0], body)
    assert more is None
    return instruments


@pytest.mark.parametrize(("market", "notional"), [(SPOT, "5"), (PERPETUAL, "100")])
def test_a_listing_becomes_an_instrument(market: MarketType, notional: str) -> None:
    numbers = map(Number, ("0.01", "0.00001", "0.00001", notional))
    assert catalogue(market, listing(market)) == [
        Instrument("binance", market, BTC, "BTCUSDT", *numbers, "trading", "TRADING")
    ]


@pytest.mark.parametrize(
    ("market", "word", "ours"),
    [
        (SPOT, "TRADING", "trading"),
        (SPOT, "BREAK", "halted"),
        (SPOT, "HALT", "halted"),
        (SPOT, "END_OF_DAY", "halted"),
        (SPOT, "CANCEL_ONLY", "halted"),
        (SPOT, "SOMETHING_NEW", "halted"),
        (PERPETUAL, "PENDING_TRADING", "pre_open"),
        (PERPETUAL, "SETTLING", "halted"),
        (PERPETUAL, "PRE_DELIVERING", "delisted"),
        (PERPETUAL, "CLOSE", "delisted"),
    ],
)
def test_status_words(market: MarketType, word: str, ours: str) -> None:
    (found,) = catalogue(market, listing(market, status=word))
    assert (found.status, found.venue_status) == (ours, word)


@pytest.mark.parametrize("contract", ["CURRENT_QUARTER", "NEXT_QUARTER", ""])
def test_other_contracts_are_no_perpetuals(contract: str) -> None:
    assert catalogue(PERPETUAL, listing(PERPETUAL, contractType=contract)) == []


@pytest.mark.parametrize("contract", ["PERPETUAL_DELIVERING", "TRADIFI_PERPETUAL"])
def test_contracts_without_a_date_are_perpetuals(contract: str) -> None:
    assert len(catalogue(PERPETUAL, listing(PERPETUAL, contractType=contract))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"isSpotTradingAllowed": False},
        {"filters": []},
        {"baseAsset": "B T"},
        {"filters": [{"filterType": "PRICE_FILTER", "tickSize": "0"}]},
    ],
)
def test_listings_that_cannot_be_shown_are_left_out(changes: dict[str, object]) -> None:
    assert catalogue(SPOT, listing(SPOT, **changes)) == []


@pytest.mark.captures
def test_recorded_catalogues_are_read_whole(captures: Path) -> None:
    spot = {
        each.native: each
        for each in catalogue(SPOT, (captures / "binance/rest-spot-exchangeinfo-2021.json").read_bytes())
    }
    assert len(spot) == 13 and spot["BCCBTC"].status == "halted" and spot["RUNEEUR"].symbol == ("RUNE", "EUR")
    assert (spot["BTCUSDT"].tick_size, spot["BTCUSDT"].min_notional, spot["SHIBUSDT"].tick_size) == (
        "0.01",
        "10",
        "0.00000001",
    )
    perpetual = {
        each.native: each
        for each in catalogue(PERPETUAL, (captures / "binance/rest-usdm-exchangeinfo-2021.json").read_bytes())
    }
    assert len(perpetual) == 119 and all("_" not in native for native in perpetual)
    assert perpetual["BTCUSDT"].min_notional == "5" and perpetual["1000SHIBUSDT"].symbol == ("1000SHIB", "USDT")


@pytest.mark.parametrize(
    ("market", "levels", "limit", "weight"),
    [
        (SPOT, 2, 100, 5),
        (SPOT, 100, 100, 5),
        (SPOT, 101, 500, 25),
        (SPOT, 501, 1000, 50),
        (SPOT, 1001, 5000, 250),
        (SPOT, 5001, 5000, 250),
        (PERPETUAL, 10, 50, 2),
        (PERPETUAL, 100, 100, 5),
        (PERPETUAL, 101, 500, 10),
        (PERPETUAL, 501, 1000, 20),
        (PERPETUAL, 2000, 1000, 20),
    ],
)
def test_a_snapshot_is_the_cheapest_that_has_the_levels(
    market: MarketType, levels: int, limit: int, weight: int
) -> None:
    request = VENUE.snapshot_request(topic(market, Channel.ORDER_BOOK), instrument(market), levels)
    assert request is not None
    assert (request.limit, request.weight, request.params) == (
        limit,
        weight,
        (("symbol", "BTCUSDT"), ("limit", str(limit))),
    )
    assert request.path == ("/api/v3/depth" if market is SPOT else "/fapi/v1/depth")


def test_snapshots_are_read() -> None:
    request = VENUE.snapshot_request(topic(PERPETUAL, Channel.ORDER_BOOK), instrument(PERPETUAL), 50)
    assert request is not None
    body = b'{"lastUpdateId":5,"E":2,"T":1,"bids":[["61800.20","2.909"]],"asks":[["61800.30","1.000"]]}'
    bid, ask = (Number("61800.20"), Number("2.909")), (Number("61800.30"), Number("1.000"))
    assert VENUE.read_snapshot(request, body) == Depth("btcusdt@depth@100ms", True, 5, 5, None, [bid], [ask], 1)


CANDLES = [
    [120_000, "3.0", "4.0", "2.0", "3.5", "10.00", 179_999, "1", 1, "1", "1", "0"],
    [60_000, "1.0", "2.0", "0.5", "1.5", "0", 119_999, "1", 1, "1", "1", "0"],
    [60_000, "1.0", "2.0", "0.5", "1.6", "0", 119_999, "1", 1, "1", "1", "0"],
    [180_000, "3.0", "4.0", "2.0", "3.5", "10.00", 239_999, "1", 1, "1", "1", "0"],
]


def test_candles_are_read_as_they_stand() -> None:
    candle = topic(SPOT, Channel.CANDLE, "1m")
    request = VENUE.candles_request(candle, instrument(SPOT), 500, 120_000)
    assert request.params == (("symbol", "BTCUSDT"), ("interval", "1m"), ("endTime", "120000"), ("limit", "500"))
    bars = VENUE.read_candles(request, json.dumps(CANDLES).encode())
    assert {(bar.open_time, bar.close, bar.closed) for bar in bars} >= {(60_000, "1.6", None), (120_000, "3.5", None)}


@pytest.mark.parametrize(
    ("limit", "weight", "asked"),
    [(1, 1, 1), (99, 1, 99), (100, 2, 100), (499, 2, 499), (500, 5, 500), (1000, 5, 1000), (5000, 5, 1000)],
)
def test_perpetual_candles_weigh_by_their_number(limit: int, weight: int, asked: int) -> None:
    request = VENUE.candles_request(topic(PERPETUAL, Channel.CANDLE, "1h"), instrument(PERPETUAL), limit, None)
    assert (request.weight, request.limit, request.path) == (weight, asked, "/fapi/v1/klines")


FUNDING = (
    b'[{"symbol":"BLZUSDT","adjustedFundingRateCap":"0.02500000","adjustedFundingRateFloor":"-0.02500000",'
    b'"fundingIntervalHours":4,"disclaimer":false},{"symbol":"ODDUSDT","fundingIntervalHours":"?"},'
    b'{"symbol":"XUSDT","fundingIntervalHours":1,"disclaimer":true}]'
)


def test_funding_intervals_are_a_table_of_those_that_are_not_usual() -> None:
    _, poll = VENUE.plan(topic(PERPETUAL, Channel.TICKER), instrument(PERPETUAL), 0).polls
    intervals, left_out = VENUE.read_poll(poll.request, FUNDING)
    assert isinstance(intervals, FundingIntervals) and isinstance(left_out, LeftOut)
    assert (intervals.hours, intervals.others) == ({"BLZUSDT": 4, "ODDUSDT": None, "XUSDT": 1}, 8)
    assert [name for name, _ in left_out.elements] == ["ODDUSDT"]
    (nothing,) = VENUE.read_poll(poll.request, b"[]")
    assert nothing == FundingIntervals("/fapi/v1/fundingInfo", {}, 8)


def test_open_interest_is_a_partial_mark() -> None:
    poll, _ = VENUE.plan(topic(PERPETUAL, Channel.TICKER), instrument(PERPETUAL), 0).polls
    (mark,) = VENUE.read_poll(poll.request, b'{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}')
    assert mark == Mark("btcusdt@openInterest", 1589437530011, full=False, open_interest=Number("10659.509"))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>maintenance</html>",
        b"",
        b"{}",
        b"null",
        b"\xff",
        b'{"code":-1121,"msg":"Invalid symbol."}',
        b"[" * 50_000,
    ],
)
def test_bodies_that_cannot_be_read_are_bad_frames(body: bytes) -> None:
    snapshot = VENUE.snapshot_request(topic(SPOT, Channel.ORDER_BOOK), instrument(SPOT), 50)
    assert snapshot is not None
    candles = VENUE.candles_request(topic(SPOT, Channel.CANDLE, "1m"), instrument(SPOT), 10, None)
    polls = VENUE.plan(topic(PERPETUAL, Channel.TICKER), instrument(PERPETUAL), 0).polls
    with pytest.raises(BadFrame):
        reading(VENUE.read_catalogue, VENUE.catalogue_requests(SPOT)[0], body)
    with pytest.raises(BadFrame):
        reading(VENUE.read_snapshot, snapshot, body)
    with pytest.raises(BadFrame):
        reading(VENUE.read_candles, candles, body)
    for poll in polls:
        with pytest.raises(BadFrame):
            reading(VENUE.read_poll, poll.request, body)


def test_probes_ask_for_the_time() -> None:
    assert [VENUE.probe_request(market).path for market in (SPOT, PERPETUAL)] == ["/api/v3/time", "/fapi/v1/time"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "cause", "wait"),
    [
        (429, {"retry-after": "7"}, '{"code":-1003,"msg":"Too many requests"}', "banned", 7.0),
        (429, {}, "", "banned", 60.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", "banned", 60.0),
        (429, {"retry-after": "999999999"}, "", "banned", 259_200.0),
        (418, {"retry-after": "120"}, "", "banned", 120.0),
        (418, {}, '{"code":-1003,"msg":"Way too many requests; IP banned"}', "banned", 600.0),
        (400, {}, '{"code":-1003,"msg":"Too many requests"}', "banned", 60.0),
        (451, {}, '{"code":0,"msg":"Service unavailable from a restricted location"}', "blocked", None),
        (403, {}, "<html>Forbidden</html>", "blocked", None),
        (403, {}, '{"code":0,"msg":"Service unavailable from a restricted location"}', "blocked", None),
        (403, {}, '{"code":-1003,"msg":"Too many requests"}', "banned", 60.0),
        (400, {}, '{"code":-1121,"msg":"Invalid symbol."}', "rejected", None),
        (400, {}, '{"code":-1120,"msg":"Invalid interval."}', "rejected", None),
        (400, {}, '{"code":-1000,"msg":"?"}', "", None),
        (503, {}, '{"code":-1016,"msg":"This service is no longer available."}', "maintenance", None),
        (503, {}, '{"code":-1001,"msg":"System is under maintenance."}', "maintenance", None),
        (502, {}, "<html>Bad Gateway</html>", "", None),
        (500, {}, "[" * 100_000, "", None),
        (302, {}, "", "", None),
    ],
)
def test_refusals(status: int, headers: dict[str, str], body: str, cause: str, wait: float | None) -> None:
    said = VENUE.rest_error(status, headers, body.encode())
    assert said is not None
    assert (said[0], said[2]) == (cause, wait)
    assert said[1].startswith(f"HTTP {status}") and len(said[1]) < 500
    assert ("data-api.binance.vision" in said[1]) == (cause == "blocked")


def test_only_a_firewalls_refusal_may_mean_too_many_requests() -> None:
    for status, body, firewall in (
        (403, b"<html>Request blocked</html>", True),
        (403, b"", True),
        (403, b'{"code":0,"msg":"x"}', False),
        (451, b"<html>", False),
    ):
        said = VENUE.rest_error(status, {}, body)
        assert said is not None
        assert ("or too many requests" in said[1], "not served from here" in said[1]) == (firewall, not firewall)


LISTED = (
    '{"symbol":"BTCUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":'
    '[{"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE","minQty":"0.001","stepSize":"0.001"}]}'
)


@pytest.mark.parametrize(
    ("odd", "left_out"),
    [
        ('"symbol":"T","contractType":"PERPETUAL","status":"","baseAsset":"T","quoteAsset":"USDT","filters":[]', "T"),
        ('"symbol":"T","contractType":"PERPETUAL","status":"PENDING_TRADING","baseAsset":"T","quoteAsset":"USDT"', "T"),
        ('"symbol":"","contractType":"","status":"PENDING_TRADING","baseAsset":"","quoteAsset":"","filters":[]', None),
        ('"symbol":"T","contractType":"CURRENT_QUARTER","status":7,"filters":"none"', None),
        ('"symbol":"T","contractType":null', None),
        (
            '"symbol":"T","contractType":"PERPETUAL","status":"TRADING","baseAsset":"T","quoteAsset":"USDT","filters":['
            '{"filterType":"PRICE_FILTER","tickSize":"NaN"},{"filterType":"LOT_SIZE","stepSize":"1"}]',
            "T",
        ),
        (
            '"symbol":"T","contractType":"PERPETUAL","status":"TRADING","baseAsset":"T","quoteAsset":"USDT",'
            '"filters":null',
            "T",
        ),
    ],
)
def test_an_odd_listing_never_takes_the_others_with_it(odd: str, left_out: str | None) -> None:
    for listings in (f"{LISTED},{{{odd}}}", f"{{{odd}}},{LISTED}"):
        body = f'{{"symbols":[{listings}]}}'.encode()
        found, following = VENUE.read_catalogue(VENUE.catalogue_requests(PERPETUAL)[0], body)
        assert ([each.native for each in found], following) == (["BTCUSDT"], None)
        assert [name for name, _ in left_out_of(found)] == ([left_out] if left_out else [])


def test_an_odd_bar_never_takes_the_others_with_it() -> None:
    request = VENUE.candles_request(topic(SPOT, Channel.CANDLE, "1M"), instrument(SPOT), 2, None)
    bad = '[1499040000000,"0.10","0.20","0.05","0.15","-5.0",1501545599999,"0",1,"0","0","0"]'
    good = '[1501545600000,"0.15","0.25","0.10","0.20","7.0",1504223999999,"0",1,"0","0","0"]'
    found = VENUE.read_candles(request, f"[{bad},{good}]".encode())
    assert [(each.open_time, each.volume) for each in found] == [(1501545600000, "7.0")]
    assert [name for name, _ in left_out_of(found)] == ["1499040000000"]
    with pytest.raises(BadFrame):
        reading(VENUE.read_candles, request, f"[{bad}]".encode())


def test_good_answers_are_no_refusals() -> None:
    assert VENUE.rest_error(200, {}, b"[]") is None
    assert VENUE.rest_error(200, {}, b"<html>") is None  # the readers say what is wrong with it


# Anything at all

GOOD = [
    wrap("btcusdt@bookTicker", '{"u":98494969448,"s":"BTCUSDT","b":"63704.00","B":"4.7","a":"63704.01","A":"11.3"}'),
    wrap("btcusdt@trade", json.dumps(TRADE)),
    wrap("btcusdt@depth@100ms", json.dumps(DEPTH)),
    wrap("btcusdt@ticker", json.dumps(DAY)),
    b'{"result":null,"id":1}',
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "-1", "NaN", "1e9", "0", "9" * 60]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list("absuUEtpqTmkxcohlvbB")), inner, max_size=8)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "x@bookTicker",
        "x@ticker",
        "x@trade",
        "x@aggTrade",
        "x@depth@100ms",
        "x@kline_1m",
        "x@markPrice@1s",
        "!ticker@arr",
        "!miniTicker@arr",
        "!bookTicker",
    ]
)


def reads_or_is_bad(endpoint: str, frame: bytes) -> None:
    try:
        read(VENUE, endpoint, frame)
    except BadFrame as error:
        assert error.reason in ("json", "schema", "number", "size", "symbol", "unknown")


@settings(max_examples=300, deadline=None)
@given(endpoint=st.sampled_from(list(VENUE.endpoints)), stream=NAMES, data=JSON)
def test_any_json_reads_or_is_a_bad_frame(endpoint: str, stream: str, data: object) -> None:
    reads_or_is_bad(endpoint, json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode())
    reads_or_is_bad(endpoint, json.dumps(data).encode())


@settings(max_examples=300, deadline=None)
@given(frame=st.sampled_from(GOOD), cut=st.tuples(st.integers(0, 200), st.integers(0, 20)), put=st.binary(max_size=8))
def test_any_damage_reads_or_is_a_bad_frame(frame: bytes, cut: tuple[int, int], put: bytes) -> None:
    start, length = cut
    reads_or_is_bad("spot", frame[:start] + put + frame[start + length :])
