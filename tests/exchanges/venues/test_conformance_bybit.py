"""Bybit under the conformance kit that every venue of a third party runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptodash.core.instruments import ANY, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Ack, Ignored, Pong
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.venues.bybit.venue import VENUE
from cryptodash.testing.conformance import (
    Answer,
    Body,
    Check,
    Evidence,
    Recording,
    Refusal,
    Request,
    checks,
    fault_checks,
    recorded_checks,
)

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures" / "bybit"
SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL


def instrument(market: MarketType, base: str = "BTC") -> Instrument:
    return Instrument("bybit", market, Symbol(base, "USDT"), f"{base}USDT", Number("0.1"), Number("0.000001"))


INSTRUMENTS = (instrument(SPOT), instrument(PERPETUAL), instrument(PERPETUAL, "XRP"))
SPOT_BTC, LINEAR_BTC = "spot:BTC-USDT:", "perpetual:BTC-USDT:"
COMPUTED = frozenset({"Stats.change_pct"})

REQUESTS = (
    Request(
        "spot",
        ("orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"),
        b'{"req_id":"1","op":"subscribe","args":["orderbook.50.BTCUSDT","publicTrade.BTCUSDT"]}',
    ),
    Request(
        "linear",
        ("kline.1.BTCUSDT",),
        {"req_id": "2", "op": "unsubscribe", "args": ["kline.1.BTCUSDT"]},
        id="2",
        on=False,
    ),
)
ANSWERS = (
    Answer("spot", b'{"success":true,"ret_msg":"subscribe","conn_id":"d9","req_id":"1","op":"subscribe"}', [Ack("1")]),
    Answer("spot", b'{"success":true,"ret_msg":"subscribe","conn_id":"d9","op":"subscribe"}', [Ack("")]),
    Answer(
        "spot",
        b'{"success":false,"ret_msg":"args size >10","conn_id":"d9","req_id":"1","op":"subscribe"}',
        [Ack("1", False, "args size >10")],
    ),
    Answer(
        "linear",
        b'{"success":false,"ret_msg":"error:already subscribed,topic:x","conn_id":"d9","req_id":"1","op":"subscribe"}',
        [Ack("1", False, "error:already subscribed,topic:x", already=True)],
    ),
    Answer("linear", b'{"req_id":"7","op":"pong","args":["1675418560633"],"conn_id":"d9"}', [Pong()]),
    Answer("spot", b'{"success":false,"ret_msg":"unknown op","conn_id":"d9","op":"other"}', [Ignored("answer")]),
)
REFUSALS = (
    Refusal(200, b'{"retCode":0,"retMsg":"OK","result":{}}', None),
    Refusal(200, b'{"retCode":10001,"retMsg":"params error"}', "rejected"),
    Refusal(200, b'{"retCode":10006,"retMsg":"Too many visits."}', "banned", wait=5.0),
    Refusal(403, b"access too frequent, please try again in 10 minutes", "banned", wait=600.0),
    Refusal(403, b"<html>CloudFront: your country</html>", "blocked"),
)
EVIDENCE = Evidence(VENUE, INSTRUMENTS, requests=REQUESTS, answers=ANSWERS, refusals=REFUSALS, computed=COMPUTED)


def spot(file: str, topic: str, **expected: object) -> Recording:
    return recording(f"spot-{file}", "spot", SPOT_BTC + topic, **expected)


def linear(file: str, topic: str, **expected: object) -> Recording:
    return recording(f"linear-{file}", "linear", LINEAR_BTC + topic, **expected)


def recording(file: str, endpoint: str, *topics: str, **expected: object) -> Recording:
    return Recording(file, endpoint, CAPTURES / f"{file}.jsonl", topics, **expected)  # type: ignore[arg-type]


RECORDINGS = (
    linear(
        "kline1-btcusdt-2026",
        "candle:1m",
        messages={"Ack": 1, "Bar": 2},
        counts={"candle": 2},
        last={LINEAR_BTC + "candle:1m": {"timestamp": 1786540380000, "close": "63971.3", "volume": "0.891"}},
    ),
    linear("orderbook50-btcusdt-2026", "order_book:50", messages={"Depth": 2}, counts={"book": 2}),
    recording(
        "linear-orderbook500-xrpusdt-2024",
        "linear",
        "perpetual:XRP-USDT:order_book:50",
        instead={"orderbook.50.XRPUSDT": "orderbook.500.XRPUSDT"},
        messages={"Depth": 50},
        counts={"book": 50},
    ),
    linear(
        "publictrade-btcusdt-2026",
        "trade",
        messages={"Ack": 1, "Trades": 2},
        counts={"trade": 2},
        last={LINEAR_BTC + "trade": {"price": "63976.10", "quantity": "0.002", "side": "buy"}},
    ),
    linear(
        "tickers-btcusdt-2026",
        "ticker",
        messages={"Stats": 1, "Mark": 2},
        counts={"ticker": 2},
        last={
            LINEAR_BTC + "ticker": {
                "last": "63958.60",
                "index_price": "63986.66",
                "change_pct_24h": "-0.506",
                "funding_rate": "0.0000544",
                "funding_interval_h": 8,
            }
        },
    ),
    spot("kline1-btcusdt-2026", "candle:1m", messages={"Ack": 1, "Bar": 2}),
    spot("orderbook1-btcusdt-2026", "ticker", messages={"Ack": 1, "Quote": 2}, counts={}),
    spot("orderbook1-btcusdt-2026", "bbo", counts={"bbo": 2}),
    spot("orderbook50-btcusdt-2026", "order_book:50", messages={"Ack": 1, "Depth": 9}, counts={"book": 9}),
    spot("publictrade-btcusdt-2026", "trade", messages={"Ack": 1, "Trades": 2}, counts={"trade": 11}),
    spot(
        "tickers-btcusdt-2026",
        "ticker",
        messages={"Ack": 1, "Stats": 2},
        last={SPOT_BTC + "ticker": {"last": "64057.7", "change_pct_24h": "-0.42", "change_24h": "-269.2"}},
    ),
)


def catalogue(market: MarketType) -> RestRequest:
    return next(iter(VENUE.catalogue_requests(market)))


def candles() -> RestRequest:
    topic = Topic("bybit", SPOT, Symbol("BTC", "USDT"), Channel.CANDLE, interval="1h")
    return VENUE.candles_request(topic, instrument(SPOT), 3, None)


def sweep(market: MarketType) -> RestRequest:
    (poll,) = VENUE.plan(Topic("bybit", market, ANY, Channel.TICKER), None, 0).polls
    return poll.request


BODIES = (
    Body(
        catalogue(PERPETUAL),
        CAPTURES / "rest-instruments-linear-docexample.json",
        rows={0: {"native": "BTCUSDT", "tick_size": "0.1", "step_size": "0.001", "status": "trading"}},
    ),
    Body(catalogue(SPOT), CAPTURES / "rest-instruments-spot-docexample.json", count=1),
    Body(
        candles(),
        CAPTURES / "rest-kline-docexample.json",
        count=3,
        rows={0: {"open_time": 1670608800000, "open": "17071", "close": "17055.5", "volume": "268611"}},
    ),
    Body(sweep(SPOT), CAPTURES / "rest-tickers-spot-docexample.json", count=1),
    Body(sweep(PERPETUAL), CAPTURES / "rest-tickers-docexample.json", count=1),
)
RECORDED = Evidence(VENUE, INSTRUMENTS, recordings=RECORDINGS, bodies=BODIES, computed=COMPUTED)


LIQUIDATIONS = Recording(
    "documented liquidations",
    "linear",
    [
        b'{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,'
        b'"s":"BTCUSDT","S":"Sell","v":"20000","p":"0.04499"},{"T":1739502302930,"s":"BTCUSDT","S":"Buy","v":"0.5",'
        b'"p":"96000.10"}]}',
    ],
    (LINEAR_BTC + "liquidation",),
    messages={"Liquidations": 1},
    counts={"liquidation": 2},
    last={LINEAR_BTC + "liquidation": {"side": "sell", "price": "96000.10", "quantity": "0.5", "complete": True}},
)


@pytest.mark.parametrize(
    "check", [*checks(EVIDENCE), *recorded_checks(Evidence(VENUE, INSTRUMENTS, recordings=(LIQUIDATIONS,)))], ids=str
)
def test_conformance(check: Check) -> None:
    check()


@pytest.mark.captures
@pytest.mark.parametrize("check", recorded_checks(RECORDED), ids=str)
def test_recordings(captures: Path, check: Check) -> None:
    check()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("check", fault_checks(EVIDENCE), ids=str)
def test_faults(check: Check) -> None:
    check()
