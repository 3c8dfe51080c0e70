"""Kraken: plans, requests and answers, as tables from the venue's documentation and from recorded frames. What its
frames and REST answers say stands in the files beside this one."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import ANY, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Heartbeat,
    Ignored,
    Message,
    Pong,
    Unwanted,
)
from cryptodash.exchanges.adapter.plan import Part
from cryptodash.exchanges.venues.kraken.venue import VENUE
from cryptodash.testing.readers import read

SPOT = MarketType.SPOT
BTC = Symbol("BTC", "USD")


def instrument(native: str = "BTC/USD", *others: str) -> Instrument:
    return Instrument("kraken", SPOT, BTC, native, Number("0.1"), Number("0.00000001"), other_names=others)


def topic(channel: Channel, interval: str = "") -> Topic:
    return Topic("kraken", SPOT, BTC, channel, interval=interval)


def said(text: str) -> Sequence[Message]:
    return read(VENUE, "spot", text.encode())


@pytest.mark.parametrize(
    ("channel", "interval", "depth", "name", "parts", "batch", "tier"),
    [
        (Channel.TRADE, "", 0, "trade:BTC/USD", {Part.TRADES}, "trade", None),
        (Channel.CANDLE, "1m", 0, "ohlc:1:BTC/USD", {Part.CANDLE}, "ohlc:1", None),
        (Channel.CANDLE, "1w", 0, "ohlc:10080:BTC/USD", {Part.CANDLE}, "ohlc:10080", None),
        (Channel.ORDER_BOOK, "", 1, "book:10:BTC/USD", {Part.BOOK}, "book:10", 10),
        (Channel.ORDER_BOOK, "", 10, "book:10:BTC/USD", {Part.BOOK}, "book:10", 10),
        (Channel.ORDER_BOOK, "", 11, "book:25:BTC/USD", {Part.BOOK}, "book:25", 25),
        (Channel.ORDER_BOOK, "", 50, "book:100:BTC/USD", {Part.BOOK}, "book:100", 100),
        (Channel.ORDER_BOOK, "", 200, "book:500:BTC/USD", {Part.BOOK}, "book:500", 500),
        (Channel.ORDER_BOOK, "", 1000, "book:1000:BTC/USD", {Part.BOOK}, "book:1000", 1000),
    ],
)
def test_each_topic_needs_this_stream(
    channel: Channel, interval: str, depth: int, name: str, parts: set[Part], batch: str, tier: int | None
) -> None:
    plan = VENUE.plan(topic(channel, interval), instrument(), depth)
    (spec,) = plan.streams
    assert (spec.name, set(spec.parts), spec.batch, spec.argument, spec.depth) == (name, parts, batch, "BTC/USD", tier)
    assert spec.exclusive == ("book:BTC/USD" if tier else "") and spec.promise is None and not plan.polls
    assert plan.required == parts


def test_a_ticker_needs_the_trades_as_well_for_best_prices_may_stay_as_they_are() -> None:
    plan = VENUE.plan(topic(Channel.TICKER), instrument(), 0)
    assert [(spec.name, set(spec.parts), spec.batch) for spec in plan.streams] == [
        ("ticker:BTC/USD", {Part.QUOTE, Part.LAST, Part.STATS}, "ticker"),
        ("trade:BTC/USD", {Part.LAST}, "trade"),
    ]
    assert plan.required == {Part.QUOTE, Part.LAST} and not plan.polls


@pytest.mark.parametrize("interval", ["3m", "2h", "6h", "12h", "1M"])
def test_an_interval_that_the_venue_has_not_is_refused(interval: str) -> None:
    assert interval not in VENUE.intervals(SPOT)
    with pytest.raises(UpstreamError, match="no candles"):
        VENUE.plan(topic(Channel.CANDLE, interval), instrument(), 0)


def test_a_sweep_is_a_poll_of_all_tickers() -> None:
    plan = VENUE.plan(Topic("kraken", SPOT, ANY, Channel.TICKER), None, 0)
    (poll,) = plan.polls
    assert not plan.streams and plan.required == poll.parts == {Part.SWEEP}
    assert (poll.request.path, poll.request.params, poll.every) == ("/0/public/Ticker", (), 2.5)


@pytest.mark.parametrize(
    ("names", "params"),
    [
        (["ticker:BTC/USD", "ticker:AAPLx/USD"], {"channel": "ticker", "event_trigger": "bbo"}),
        (["trade:BTC/USD"], {"channel": "trade"}),
        (["book:25:BTC/USD", "book:25:ETH/USD"], {"channel": "book", "depth": 25}),
        (["ohlc:240:BTC/USD"], {"channel": "ohlc", "interval": 240}),
    ],
)
def test_requests_repeat_what_the_venue_wants_repeated(names: list[str], params: dict[str, object]) -> None:
    symbols = {"symbol": [name.rpartition(":")[2] for name in names]}
    on, off = VENUE.subscribe("spot", names, "7"), VENUE.unsubscribe("spot", names, "8")
    assert json.loads(on) == {"method": "subscribe", "params": {**params, **symbols, "snapshot": True}, "req_id": 7}
    assert json.loads(off) == {"method": "unsubscribe", "params": {**params, **symbols}, "req_id": 8}
    assert VENUE.ping("spot", "101") == b'{"method":"ping","req_id":101}'


# Answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"method":"subscribe","result":{"channel":"book","depth":25,"snapshot":true,"symbol":"BTC/USD"},'
            '"success":true,"time_in":"2026-08-02T03:35:50.983359Z","time_out":"2026-08-02T03:35:50.983398Z"}',
            Ack("", streams=("book:25:BTC/USD",)),
        ),
        (
            '{"method":"subscribe","req_id":1,"result":{"channel":"ohlc","interval":1,"snapshot":true,'
            '"symbol":"BTC/USD","warnings":["timestamp is deprecated, use interval_begin"]},"success":true}',
            Ack("1", streams=("ohlc:1:BTC/USD",)),
        ),
        (
            '{"method":"unsubscribe","req_id":2,"result":{"channel":"ohlc","symbol":"BTC/USD"},"success":true}',
            Ack("2", argument="BTC/USD"),
        ),
        ('{"method":"subscribe","req_id":2,"success":true}', Ack("2")),
        (
            '{"error":"Currency pair not supported NOPE/USD","method":"subscribe","req_id":1,"success":false,'
            '"symbol":"NOPE/USD"}',
            Ack("1", False, "Currency pair not supported NOPE/USD", argument="NOPE/USD"),
        ),
        (
            '{"error":"Symbol field must be an array","method":"subscribe","success":false}',
            Ack("", False, "Symbol field must be an array"),
        ),
        (
            '{"method":"pong","req_id":101,"time_in":"2026-08-12T19:28:08.1Z","time_out":"2026-08-12T19:28:08.2879Z"}',
            Pong("101", 1786562888287),
        ),
        ('{"method":"pong"}', Pong()),
        ('{"channel":"heartbeat"}', Heartbeat()),
        ('{"channel":"status","type":"update","data":[{"system":"cancel_only"}]}', Ignored("status")),
        ('{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[]}}', Unwanted("instrument")),
        ('{"Error":"Exceeded msg rate"}', Ignored("limit")),
    ],
)
def test_answers(text: str, expected: Message) -> None:
    assert said(text) == (expected,)


def test_a_book_that_nobody_wants_is_nobodys() -> None:
    text = b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":1}]}'
    assert VENUE.read("spot", text, {}) == (Ignored("book"),)


@pytest.mark.parametrize(("others", "pair"), [(("XXBTZUSD",), "XXBTZUSD"), ((), "XBTUSD")])
def test_a_snapshot_to_compare_with_has_neither_number_nor_checksum(others: tuple[str, ...], pair: str) -> None:
    request = VENUE.snapshot_request(topic(Channel.ORDER_BOOK), instrument("BTC/USD", *others), 1000)
    assert request is not None and (request.path, request.limit) == ("/0/public/Depth", 500)
    assert dict(request.params) == {"pair": pair, "count": "500"}
    sides = {"asks": [["105944.30000", "0.136", 1762820248]], "bids": [["105944.20000", "3.000", 1762820248]]}
    depth = VENUE.read_snapshot(request, json.dumps({"error": [], "result": {"XXBTZUSD": sides}}).encode())
    assert (depth.snapshot, depth.last, depth.sequence, depth.checksum) == (True, None, None, None)
    assert (depth.bids, depth.asks) == ([("105944.20000", "3.000")], [("105944.30000", "0.136")])
    for wrong in ({}, {"XXBTZUSD": sides, "XETHZUSD": sides}, {"XXBTZUSD": {"asks": []}}):
        with pytest.raises(BadFrame):
            reading(VENUE.read_snapshot, request, json.dumps({"error": [], "result": wrong}).encode())
