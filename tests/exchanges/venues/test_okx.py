"""OKX V5: plans, frames both ways, and REST, as tables from the venue's documentation and from recorded frames.
Refusals and answers stand in ``test_conformance_okx.py``, books in ``test_okx_books.py``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.events import Side
from cryptodash.core.instruments import ANY, Instrument, MarketType, Symbol
from cryptodash.core.intervals import INTERVALS
from cryptodash.core.numbers import Number, multiply, trimmed
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Bar,
    Fill,
    LeftOut,
    Mark,
    Message,
    Quote,
    Stats,
    SweepRows,
    Trades,
    Unwanted,
)
from cryptodash.exchanges.adapter.plan import Part, RestRequest, StreamSpec
from cryptodash.exchanges.adapter.venue import Rate
from cryptodash.exchanges.connections.allowance import Allowance
from cryptodash.exchanges.venues.okx.venue import VENUE
from cryptodash.exchanges.venues.okx.wire import argument_of, stream_name
from cryptodash.testing.readers import read

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
BTC = Symbol("BTC", "USDT")
NATIVE = {SPOT: "BTC-USDT", PERPETUAL: "BTC-USDT-SWAP"}


def instrument(market: MarketType, native: str = "") -> Instrument:
    contract = Number("0.01") if market is PERPETUAL else None
    name = native or NATIVE[market]
    return Instrument("okx", market, BTC, name, Number("0.1"), Number("0.0001"), contract_size=contract)


def topic(market: MarketType, channel: Channel, interval: str = "") -> Topic:
    return Topic("okx", market, BTC, channel, interval=interval)


def frame(channel: str, *data: object, native: str = "BTC-USDT", **more: object) -> bytes:
    document = {"arg": {"channel": channel, "instId": native}, **more, "data": data}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def spec(market: MarketType, channel: str, native: str = "", place: str = "public") -> StreamSpec:
    """As a plan names it."""
    of = instrument(market, native)
    prefix = "spot" if market is SPOT else "swap"
    return StreamSpec(f"{prefix}-{place}", stream_name(channel, of.native), frozenset(), instrument=of)


def said(stream: StreamSpec, raw: bytes) -> list[Message]:
    """What a frame of a stream says. Raises ``BadFrame``."""
    return list(reading(VENUE.read, stream.endpoint, raw, {stream.name: VENUE.reader(stream)}))


# Plans


@pytest.mark.parametrize(
    ("market", "channel", "interval", "expected"),
    [
        (
            SPOT,
            Channel.TICKER,
            "",
            [
                ("spot-public", "bbo-tbt", "BTC-USDT", {Part.QUOTE}, 60.0),
                ("spot-public", "tickers", "BTC-USDT", {Part.LAST, Part.STATS}, None),
            ],
        ),
        (
            PERPETUAL,
            Channel.TICKER,
            "",
            [
                ("swap-public", "bbo-tbt", "BTC-USDT-SWAP", {Part.QUOTE}, 60.0),
                ("swap-public", "tickers", "BTC-USDT-SWAP", {Part.LAST, Part.STATS}, None),
                ("swap-public", "mark-price", "BTC-USDT-SWAP", {Part.MARK}, 10.0),
                ("swap-public", "index-tickers", "BTC-USDT", {Part.MARK}, 60.0),
                ("swap-public", "funding-rate", "BTC-USDT-SWAP", {Part.MARK}, 90.0),
                ("swap-public", "open-interest", "BTC-USDT-SWAP", {Part.INTEREST}, None),
            ],
        ),
        (SPOT, Channel.TRADE, "", [("spot-public", "trades", "BTC-USDT", {Part.TRADES}, None)]),
        (PERPETUAL, Channel.ORDER_BOOK, "", [("swap-books", "books", "BTC-USDT-SWAP", {Part.BOOK}, 60.0)]),
        (SPOT, Channel.CANDLE, "1m", [("spot-business", "candle1m", "BTC-USDT", {Part.CANDLE}, None)]),
        (SPOT, Channel.CANDLE, "4h", [("spot-business", "candle4H", "BTC-USDT", {Part.CANDLE}, None)]),
        (PERPETUAL, Channel.CANDLE, "1d", [("swap-business", "candle1Dutc", "BTC-USDT-SWAP", {Part.CANDLE}, None)]),
    ],
)
def test_each_topic_needs_these_streams(market: MarketType, channel: Channel, interval: str, expected: object) -> None:
    plan = VENUE.plan(topic(market, channel, interval), instrument(market), 1000)
    found = [(each, argument_of(each.name)) for each in plan.streams]
    assert [
        (each.endpoint, argument.channel, argument.native, set(each.parts), each.promise) for each, argument in found
    ] == expected
    assert plan.required == ({Part.QUOTE, Part.LAST} if channel is Channel.TICKER else plan.streams[0].parts)
    assert not plan.polls
    assert [each.depth for each in plan.streams if Part.BOOK in each.parts] == [400] * (channel is Channel.ORDER_BOOK)


@pytest.mark.parametrize(("market", "kind"), [(SPOT, "SPOT"), (PERPETUAL, "SWAP")])
def test_a_sweep_is_a_poll_of_all_tickers(market: MarketType, kind: str) -> None:
    plan = VENUE.plan(Topic("okx", market, ANY, Channel.TICKER), None, 0)
    (poll,) = plan.polls
    assert not plan.streams and plan.required == poll.parts == {Part.SWEEP}
    assert (poll.request.path, poll.request.params, poll.every) == (
        "/api/v5/market/tickers",
        (("instType", kind),),
        2.0,
    )


def test_bars_of_six_hours_and_more_are_those_of_utc() -> None:
    assert tuple(VENUE.intervals(SPOT)) == tuple(VENUE.intervals(PERPETUAL)) == INTERVALS
    channels = []
    for interval in INTERVALS:
        (stream,) = VENUE.plan(topic(SPOT, Channel.CANDLE, interval), instrument(SPOT), 0).streams
        channels.append(argument_of(stream.name).channel.removeprefix("candle"))
    assert channels == ["1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H", "6Hutc", "12Hutc", "1Dutc", "1Wutc", "1Mutc"]


def test_limits_keep_a_margin() -> None:
    for key, limits in VENUE.limits.items():
        assert limits.requests == Rate(384, 3600.0) and 384 == 0.8 * 480
        assert limits.connects == (Rate(2, 1.0), Rate(1, 0.4))
        assert limits.ping_every is not None and limits.ping_every < limits.silent_after <= 30.0
        assert limits.streams == (24 if key.endswith("-books") else 400)  # 30 books are too many
        assert limits.args_chars is not None and limits.args_chars + 3 * limits.streams < 0.8 * 65_536
        assert VENUE.ping(key, "1") == b"ping"
    assert {(path, each.weight, each.per) for path, each in VENUE.rest_limits.items()} >= {
        ("/api/v5/market/books", 32, 2.0),
        ("/api/v5/public/time", 8, 2.0),
    }
    assert set(VENUE.book_rules.values()) == {
        BookRules(SnapshotSource.EITHER, Chaining.PREVIOUS, audit=AuditBy.UPDATE_ID)
    }


def test_attempts_to_connect_may_arrive_a_third_of_a_second_late() -> None:
    """The venue refuses the fourth that arrives within a second, whenever they were made."""
    (rates,) = {each.connects for each in VENUE.limits.values()}
    allowed, attempts = Allowance(rates), [0.0]
    for _ in range(12):
        allowed.take(attempts[-1])
        attempts.append(max(attempts[-1], allowed.free_at()))
    assert all(later - earlier >= 1.0 + 0.33 for earlier, later in zip(attempts, attempts[3:], strict=False))


def test_public_and_business_are_two_paths_of_one_host() -> None:
    assert {(key, each.path) for key, each in VENUE.endpoints.items()} == {
        (f"{market}-{place}", f"/ws/v5/{'business' if place == 'business' else 'public'}")
        for market in ("spot", "swap")
        for place in ("public", "books", "business")
    }
    assert {each.ws for each in VENUE.hosts.values()} == {"wss://ws.okx.com"}


# Names


@pytest.mark.parametrize("native", ["BTC-USDT", "币安-USDT", "AAPLx-USDT", "1000SATS-USDT-SWAP"])
def test_a_name_keeps_its_letters_on_the_wire_and_back(native: str) -> None:
    stream = spec(SPOT, "trades", native)
    assert json.loads(VENUE.subscribe("spot-public", [stream.name], "1"))["args"] == [
        {"channel": "trades", "instId": native}
    ]
    assert native.encode() in VENUE.unsubscribe("spot-public", [stream.name], "1")
    trade = {"instId": native, "tradeId": "1", "px": "2", "sz": "3", "side": "buy", "ts": "4"}
    raw = frame("trades", trade, native=native)
    fill = Fill("1", Number("2"), Number("3"), Side.BUY, 4, None)
    assert said(stream, raw) == [Trades(stream.name, [fill])]
    assert said(stream, raw.decode().encode("ascii", "backslashreplace")) == [Trades(stream.name, [fill])]
    assert raw.startswith(VENUE.data_prefix + stream.name.encode() + VENUE.name_end)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "trades:BTC-USDT",
        '"channel":"trades"',
        '"channel":"trades","instId":""',
        '"instId":"BTC-USDT","channel":"trades"',
        '"channel":"trades", "instId":"BTC-USDT"',
        '"channel":"books-l2-tbt","instId":"BTC-USDT"',
        '"channel":"candle1D","instId":"BTC-USDT"',
        '"channel":"trades","instId":"' + "X" * 120 + '"',
    ],
)
def test_other_names_are_none_of_the_venues(name: str) -> None:
    with pytest.raises(BadFrame):
        VENUE.reader(StreamSpec("spot-public", name, frozenset()))


def test_a_frame_whose_argument_is_written_otherwise_finds_its_stream() -> None:
    stream = spec(SPOT, "trades")
    raw = b'{"data":[],"arg":{"instId":"BTC-USDT","channel":"trades"}}'
    assert said(stream, raw) == [Trades(stream.name, [])]
    assert said(stream, raw.replace(b"BTC", b"ETH")) == [Unwanted(stream_name("trades", "ETH-USDT"))]


# Ticker

BEST = {"asks": [["63921.5", "790.41", "0", "42"]], "bids": [["63921.4", "421.93", "0", "28"]], "ts": "5", "seqId": 7}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ("63921.4", "421.93", "63921.5", "790.41")),
        ({"bids": []}, (None, None, "63921.5", "790.41")),
        ({"bids": [], "asks": []}, (None,) * 4),
        ({"asks": [["", "", "0", "0"]]}, None),
        ({"asks": [["63921.5", "0", "0", "0"]]}, ("63921.4", "421.93", None, None)),
        ({"asks": [["63921.5"]]}, None),
        ({"asks": [["-1", "1", "0", "1"]]}, None),
        ({"seqId": "7"}, None),
        ({"ts": "5.5"}, None),
        ({"ts": "999999999999999"}, None),
        ({"instId": "ETH-USDT"}, None),
    ],
)
def test_best_bid_and_ask(change: dict[str, object], expected: Sequence[str | None] | None) -> None:
    stream = spec(SPOT, "bbo-tbt")
    raw = frame("bbo-tbt", BEST | change)
    if expected is None:
        with pytest.raises(BadFrame):
            said(stream, raw)
    else:
        assert said(stream, raw) == [Quote(stream.name, *expected, 7, 5)]  # type: ignore[call-arg,arg-type]


def test_sizes_of_a_swap_are_contracts_turned_into_base_exactly() -> None:
    stream = spec(PERPETUAL, "bbo-tbt")
    (quote,) = said(stream, frame("bbo-tbt", BEST, native="BTC-USDT-SWAP"))
    assert isinstance(quote, Quote)
    assert (quote.bid_size, quote.ask_size) == ("4.2193", "7.9041")
    unknown = StreamSpec("swap-public", stream.name, frozenset())
    with pytest.raises(BadFrame):
        said(unknown, frame("bbo-tbt", BEST, native="BTC-USDT-SWAP"))


TICKER = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "last": "64028.6",
    "open24h": "64324",
    "high24h": "64496.9",
    "low24h": "63237.6",
    "volCcy24h": "374703695.177360964",
    "vol24h": "5874.19398956",
    "ts": "1786538789464",
}


def test_volumes_of_spot_are_base_and_quote_and_of_a_swap_contracts_and_base() -> None:
    (spot,) = said(spec(SPOT, "tickers"), frame("tickers", TICKER))
    assert isinstance(spot, Stats)
    assert (spot.volume, spot.quote_volume, spot.change_pct) == ("5874.19398956", "374703695.177360964", "-0.459")
    swap = TICKER | {"instId": "BTC-USDT-SWAP", "volCcy24h": "73998.8786", "vol24h": "7399887.86"}
    (stats,) = said(spec(PERPETUAL, "tickers"), frame("tickers", swap, native="BTC-USDT-SWAP"))
    assert isinstance(stats, Stats)
    assert (stats.volume, stats.quote_volume, stats.time) == ("73998.8786", None, 1786538789464)


@pytest.mark.parametrize(
    ("change", "pct"),
    [
        ({"last": "65000", "open24h": "64000"}, "1.562"),  # 1.5625: half to even
        ({"last": "64000", "open24h": "64000"}, "0.000"),
        ({"open24h": ""}, None),
        ({"open24h": "0"}, None),
        ({"last": ""}, None),
        ({"last": "1" + "0" * 36, "open24h": "0.000000000000000001"}, None),
    ],
)
def test_the_change_in_percent_is_ours(change: dict[str, str], pct: str | None) -> None:
    (stats,) = said(spec(SPOT, "tickers"), frame("tickers", TICKER | change))
    assert isinstance(stats, Stats) and stats.change_pct == pct


def test_what_was_never_traded_has_no_figures() -> None:
    blank = dict.fromkeys(TICKER, "") | {"instId": "BTC-USDT", "ts": "5"}
    stream = spec(SPOT, "tickers")
    assert said(stream, frame("tickers", blank)) == [Stats(stream.name, 5)]


@pytest.mark.parametrize(
    ("channel", "native", "data", "expected"),
    [
        ("mark-price", "BTC-USDT-SWAP", {"markPx": "0.1"}, {"mark_price": "0.1"}),
        ("index-tickers", "BTC-USDT", {"idxPx": "0.2", "high24h": "0.5"}, {"index_price": "0.2"}),
        (
            "funding-rate",
            "BTC-USDT-SWAP",
            {"fundingRate": "-0.0001", "fundingTime": "1700726400000", "nextFundingTime": "1700755200000"},
            {"funding_rate": "-0.0001", "next_funding_time": 1700726400000, "funding_interval_h": 8},
        ),
        (
            "funding-rate",
            "BTC-USDT-SWAP",
            {"fundingRate": "0.0001", "fundingTime": "1700726400000", "nextFundingTime": "1700730000000"},
            {"funding_rate": "0.0001", "next_funding_time": 1700726400000, "funding_interval_h": 1},
        ),
        (
            "funding-rate",
            "BTC-USDT-SWAP",
            {"fundingRate": "0.0001", "fundingTime": "1700726400000", "nextFundingTime": "1700726400000"},
            {"funding_rate": "0.0001", "next_funding_time": 1700726400000},
        ),
        ("funding-rate", "BTC-USDT-SWAP", {"fundingRate": "", "fundingTime": ""}, {}),
        (
            "open-interest",
            "BTC-USDT-SWAP",
            {"oi": "2216113.01000000309", "oiCcy": "22161.1301000000309"},
            {"open_interest": "22161.1301000000309"},
        ),
    ],
)
def test_what_swaps_have_besides(channel: str, native: str, data: dict[str, str], expected: dict[str, Any]) -> None:
    plan = VENUE.plan(topic(PERPETUAL, Channel.TICKER), instrument(PERPETUAL), 0)
    (stream,) = (each for each in plan.streams if argument_of(each.name).channel == channel)
    found = said(stream, frame(channel, {"instId": native, "ts": "1700724675402", **data}, native=native))
    assert found == [Mark(stream.name, 1700724675402, False, **expected)]
    with pytest.raises(BadFrame):
        said(stream, frame(channel, {"instId": "X" + native, "ts": "1700724675402", **data}, native=native))


# Trades and bars

TRADE = {
    "instId": "BTC-USDT",
    "tradeId": "635",
    "px": "63913.4",
    "sz": "34.95",
    "side": "sell",
    "ts": "5",
    "count": "10",
}


def test_trades_of_a_frame_come_in_its_order_and_a_zero_is_left_out() -> None:
    stream = spec(SPOT, "trades")
    (trades, left_out) = said(
        stream, frame("trades", TRADE, TRADE | {"tradeId": "636", "sz": "0"}, TRADE | {"tradeId": "637", "side": "buy"})
    )
    assert isinstance(trades, Trades) and isinstance(left_out, LeftOut)
    assert [(each.id, each.side, each.number, each.count) for each in trades.fills] == [
        ("635", Side.SELL, 635, 10),
        ("637", Side.BUY, 637, 10),
    ]
    assert [name for name, _ in left_out.elements] == ["636"]


@pytest.mark.parametrize("change", [{"tradeId": "6a"}, {"count": ""}, {"count": "0"}, {"count": "636"}, {"count": "x"}])
def test_an_id_that_cannot_be_counted_by_is_an_id_all_the_same(change: dict[str, str]) -> None:
    (trades,) = said(spec(SPOT, "trades"), frame("trades", TRADE | change))
    assert isinstance(trades, Trades)
    assert [(each.id, each.number, each.count) for each in trades.fills] == [((TRADE | change)["tradeId"], None, 1)]


@pytest.mark.parametrize(
    "change",
    [{"sz": "0"}, {"px": ""}, {"side": "SELL"}, {"ts": ""}, {"tradeId": ""}, {"instId": "BTC-USDC"}, {"px": "NaN"}],
)
def test_an_odd_trade_is_a_bad_frame(change: dict[str, str]) -> None:
    with pytest.raises(BadFrame):
        said(spec(SPOT, "trades"), frame("trades", TRADE | change))


ROW = ["1786540440000", "63913.0", "63952.0", "63913.0", "63951", "1803.74", "18.0374", "1153287.13186000", "0"]


def test_a_bar_counts_base_quantity_in_both_markets() -> None:
    for market, volume in ((SPOT, "1803.74"), (PERPETUAL, "18.0374")):
        stream = spec(market, "candle1m", place="business")
        (bar,) = said(stream, frame("candle1m", ROW, native=NATIVE[market]))
        assert bar == Bar(stream.name, 1786540440000, *map(Number, [*ROW[1:5], volume]), False)  # type: ignore[call-arg,arg-type]


def test_the_closing_bar_may_share_a_frame_with_the_next() -> None:
    closed = ["1786540380000", *ROW[1:8], "1"]
    found = said(spec(SPOT, "candle1m", place="business"), frame("candle1m", ROW, closed))
    assert [(each.open_time, each.closed) for each in found if isinstance(each, Bar)] == [
        (1786540380000, True),
        (1786540440000, False),
    ]


@pytest.mark.parametrize("row", [ROW[:8], [*ROW[:8], "2"], [*ROW[:4], "0", *ROW[5:]], ["x", *ROW[1:]], []])
def test_an_odd_bar_is_a_bad_frame(row: list[str]) -> None:
    with pytest.raises(BadFrame):
        said(spec(SPOT, "candle1m", place="business"), frame("candle1m", row))


def test_a_minute_without_a_trade_is_a_bar_of_nothing() -> None:
    quiet = ["1691312400000", "160.36", "160.36", "160.36", "160.36", "0", "0", "0", "0"]
    (bar,) = said(spec(SPOT, "candle1m", place="business"), frame("candle1m", quiet))
    assert isinstance(bar, Bar) and bar.volume == "0"


# Answers


def test_a_refused_stream_is_named_in_words_whatever_letters_it_has() -> None:
    message = (
        "Wrong URL or channel:candle1m,instId:币-USDT doesn't exist. Please use the correct URL, channel and so on"
    )
    raw = json.dumps({"event": "error", "code": "60018", "msg": message, "id": "7"}, ensure_ascii=False).encode()
    found = list(read(VENUE, "spot-business", raw))
    assert found == [Ack("7", False, f"60018: {message}", (stream_name("candle1m", "币-USDT"),))]


def test_how_late_the_venue_runs_is_told_by_changes_of_books_and_by_tickers() -> None:
    told = {
        channel: VENUE.sending_time(spec(SPOT, channel)) is not None
        for channel in ("books", "tickers", "bbo-tbt", "trades", "candle1m", "mark-price", "index-tickers")
    }
    assert [channel for channel, tells in told.items() if tells] == ["books", "tickers"]
    written = VENUE.sending_time(spec(SPOT, "books"))
    assert written is not None
    change = {"asks": [["1", "0", "0", "0"]], "bids": [], "ts": "1787612486207", "seqId": 2, "prevSeqId": 1}
    assert written(frame("books", change, action="update")) == 1787612486207
    assert written(frame("books", change, action="snapshot")) is None
    assert written(frame("books", change | {"asks": []}, action="update")) is None  # sent again after a minute
    assert written(b"pong") is None


# REST


def catalogue(market: MarketType) -> RestRequest:
    return VENUE.catalogue_requests(market)[0]


SPOT_LISTED = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "baseCcy": "BTC",
    "quoteCcy": "USDT",
    "tickSz": "0.1",
    "lotSz": "0.00000001",
    "minSz": "0.00001",
    "state": "live",
    "ctVal": "",
    "ctMult": "",
    "ctValCcy": "",
    "settleCcy": "",
    "ctType": "",
}
SWAP_LISTED = SPOT_LISTED | {
    "instType": "SWAP",
    "instId": "BTC-USDT-SWAP",
    "baseCcy": "",
    "quoteCcy": "",
    "lotSz": "0.01",
    "minSz": "0.02",
    "ctVal": "0.01",
    "ctMult": "1",
    "ctValCcy": "BTC",
    "settleCcy": "USDT",
    "ctType": "linear",
}


def listed(market: MarketType, *listings: object) -> Sequence[Instrument]:
    body = json.dumps({"code": "0", "msg": "", "data": listings}, ensure_ascii=False).encode()
    found, following = VENUE.read_catalogue(catalogue(market), body)
    assert following is None
    return found


def test_a_swap_is_called_after_what_its_contracts_are_of_and_settled_in() -> None:
    (swap,) = listed(PERPETUAL, SWAP_LISTED)
    assert (swap.symbol, swap.native, swap.contract_size) == (BTC, "BTC-USDT-SWAP", "0.01")
    assert (swap.step_size, swap.min_qty, swap.tick_size) == ("0.0001", "0.0002", "0.1")
    (tens,) = listed(PERPETUAL, SWAP_LISTED | {"ctVal": "10", "ctMult": "10", "lotSz": "1"})
    assert (tens.contract_size, tens.step_size) == ("100", "100")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("live", "trading"),
        ("preopen", "pre_open"),
        ("suspend", "halted"),
        ("rebase", "halted"),
        ("post_only", "halted"),
        ("test", "halted"),
        ("expired", "delisted"),
        ("never heard of", "halted"),
    ],
)
def test_statuses(state: str, status: str) -> None:
    (found,) = listed(PERPETUAL, SWAP_LISTED | {"state": state})
    assert (found.status, found.venue_status) == (status, state)


@pytest.mark.parametrize(
    ("market", "change", "left_out"),
    [
        (PERPETUAL, {"ctType": "inverse", "ctVal": "100", "ctValCcy": "USD", "settleCcy": "BTC", "state": ""}, False),
        (PERPETUAL, {"instType": "FUTURES", "tickSz": None}, False),
        (SPOT, {"instType": "MARGIN"}, False),
        (SPOT, {"tickSz": "", "lotSz": "", "minSz": "", "baseCcy": "", "quoteCcy": "", "state": "preopen"}, False),
        (PERPETUAL, {"ctVal": ""}, False),
        (PERPETUAL, {"ctValCcy": ""}, False),
        (PERPETUAL, {"ctVal": "-1"}, True),
        (SPOT, {"tickSz": "x"}, True),
        (SPOT, {"state": ""}, True),
        (SPOT, {"lotSz": None}, True),
    ],
)
def test_an_odd_listing_never_takes_the_others_with_it(
    market: MarketType, change: dict[str, object], left_out: bool
) -> None:
    good = SPOT_LISTED if market is SPOT else SWAP_LISTED
    odd = good | {"instId": "ODD"} | change
    for listings in ((good, odd), (odd, good)):
        found = listed(market, *listings)
        assert [each.native for each in found] == [NATIVE[market]]
        assert [name for name, _ in left_out_of(found)] == (["ODD"] if left_out else [])


def test_names_outside_ascii_keep_their_text() -> None:
    (found,) = listed(SPOT, SPOT_LISTED | {"instId": "币安人生-USDT", "baseCcy": "币安人生"})
    assert (found.native, found.symbol) == ("币安人生-USDT", Symbol("币安人生", "USDT"))


@pytest.mark.captures
def test_contract_sizes_agree_with_the_volumes_in_both_units(captures: Path) -> None:
    body = (captures / "okx" / "rest-instruments-swap-2026.json").read_bytes()
    found, _ = VENUE.read_catalogue(catalogue(PERPETUAL), body)
    size = {each.native: each.contract_size for each in found}["BTC-USDT-SWAP"]
    assert size is not None
    lines = (captures / "okx" / "swap-tickers-btcusdt-2026.jsonl").read_text().splitlines()
    frames = [json.loads(json.loads(line)["raw"]) for line in lines]
    volumes = [(each["data"][0]["vol24h"], each["data"][0]["volCcy24h"]) for each in frames if "data" in each]
    assert len(volumes) == 2
    for contracts, base in volumes:
        assert trimmed(multiply(contracts, size)) == base


@pytest.mark.parametrize(
    ("limit", "end", "path", "params"),
    [
        (1000, None, "/api/v5/market/candles", {"limit": "300"}),
        (5, 1786538760000, "/api/v5/market/history-candles", {"limit": "5", "after": "1786538760001"}),
    ],
)
def test_older_bars_are_asked_for_on_a_path_of_their_own(
    limit: int, end: int | None, path: str, params: dict[str, str]
) -> None:
    request = VENUE.candles_request(topic(SPOT, Channel.CANDLE, "1w"), instrument(SPOT), limit, end)
    assert (request.path, request.pool) == (path, path)
    assert dict(request.params) == {"instId": "BTC-USDT", "bar": "1Wutc", **params}


def test_an_odd_bar_or_row_never_takes_the_others_with_it() -> None:
    request = VENUE.candles_request(topic(SPOT, Channel.CANDLE, "1m"), instrument(SPOT), 10, None)
    rows = [[*ROW[:5], "-1", *ROW[6:]], ["1786540380000", *ROW[1:]]]
    bars = VENUE.read_candles(request, json.dumps({"code": "0", "data": rows}).encode())
    assert [each.open_time for each in bars] == [1786540380000]
    assert [name for name, _ in left_out_of(bars)] == ["1786540440000"]
    (poll,) = VENUE.plan(Topic("okx", SPOT, ANY, Channel.TICKER), None, 0).polls
    tickers = [TICKER | {"instId": "X", "bidPx": None}, TICKER | {"bidPx": "1", "bidSz": "2"}, None]
    found = VENUE.read_poll(poll.request, json.dumps({"code": "0", "data": tickers}).encode())
    assert [[row.native for row in each.rows] for each in found if isinstance(each, SweepRows)] == [["BTC-USDT"]]
    assert [[name for name, _ in each.elements] for each in found if isinstance(each, LeftOut)] == [["X", ""]]


def test_a_sweep_of_swaps_says_no_sizes_because_nobody_knows_the_contract_there() -> None:
    (poll,) = VENUE.plan(Topic("okx", PERPETUAL, ANY, Channel.TICKER), None, 0).polls
    best = {"bidPx": "63921", "bidSz": "779.3", "askPx": "63921.1", "askSz": "1871.75", "instId": "BTC-USDT-SWAP"}
    (rows,) = VENUE.read_poll(poll.request, json.dumps({"code": "0", "data": [TICKER | best]}).encode())
    assert isinstance(rows, SweepRows)
    quote = rows.rows[0].quote
    assert quote is not None
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == ("63921", None, "63921.1", None)


def test_the_probe_asks_for_the_time() -> None:
    request = VENUE.probe_request(PERPETUAL)
    assert request.path == "/api/v5/public/time"
    assert VENUE.read_probe(request, b'{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}') == 1597026383085
    with pytest.raises(BadFrame):
        VENUE.read_probe(request, b'{"code":"0","msg":"","data":[]}')


# Anything at all

WORDS = [
    *("asks", "bids", "ts", "seqId", "prevSeqId", "instId", "tradeId", "px", "sz", "side"),
    *("last", "open24h", "vol24h", "action", "fundingTime", "markPx"),
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "-1", "NaN", "1e9", "0", "9" * 60, "buy"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=8),
    max_leaves=12,
)
CHANNELS = ["books", "trades", "candle1m", "bbo-tbt", "tickers", "funding-rate"]


@settings(max_examples=300, deadline=None)
@given(channel=st.sampled_from(CHANNELS), data=JSON, action=JSON)
def test_any_json_reads_or_is_a_bad_frame(channel: str, data: object, action: object) -> None:
    argument = {"channel": channel, "instId": "BTC-USDT"}
    documents = [{"arg": argument, "action": each, "data": [data]} for each in (action, "update")]
    for document in (*documents, {"arg": argument, "data": data}, data):
        try:
            read(VENUE, "spot-public", json.dumps(document, separators=(",", ":")).encode())
        except BadFrame as error:
            assert error.reason in ("json", "schema", "number", "size", "symbol", "unknown")


@pytest.mark.captures
def test_the_recorded_contract_size_is_what_volume_in_contracts_and_in_base_say(captures: Path) -> None:
    request = next(iter(VENUE.catalogue_requests(MarketType.PERPETUAL)))
    listed, _ = VENUE.read_catalogue(request, (captures / "okx/rest-instruments-swap-2026.json").read_bytes())
    sizes = {each.native: each.contract_size for each in listed}
    checked = 0
    for line in (captures / "okx/swap-tickers-btcusdt-2026.jsonl").read_text().splitlines():
        record = json.loads(line)
        for row in json.loads(record["raw"]).get("data", ()) if record["dir"] == "in" else ():
            size = sizes[row["instId"]]
            assert size is not None
            assert Decimal(row["vol24h"]) * Decimal(size) == Decimal(row["volCcy24h"])
            checked += 1
    assert checked
