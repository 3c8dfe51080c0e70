"""Binance under the conformance kit that every venue of a third party runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Ack, Restarting
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.venues.binance.polls import FUNDING_POLL
from cryptodash.exchanges.venues.binance.venue import VENUE
from cryptodash.testing.conformance import (
    Answer,
    Body,
    Check,
    Evidence,
    RecordedFrame,
    Recording,
    Refusal,
    Request,
    checks,
    fault_checks,
    recorded_checks,
)

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures" / "binance"
SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
SPOT_2021 = ("NKN-USDT", "BLZ-ETH", "LRC-BTC", "RUNE-EUR")
USDM_2021 = ("SUSHI-USDT", "AKRO-USDT", "KEEP-USDT", "CTK-USDT")


def instrument(market: MarketType, pair: str) -> Instrument:
    symbol = Symbol(*pair.split("-"))
    return Instrument("binance", market, symbol, symbol.base + symbol.quote, Number("0.01"), Number("0.00001"))


INSTRUMENTS = (
    *(instrument(SPOT, each) for each in ("BTC-USDT", *SPOT_2021)),
    *(instrument(PERPETUAL, each) for each in ("BTC-USDT", *USDM_2021)),
)

REQUESTS = (
    Request(
        "spot",
        ("btcusdt@trade", "btcusdt@depth@100ms"),
        b'{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth@100ms"],"id":1}',
    ),
    Request(
        "usdm-public",
        ("btcusdt@bookTicker",),
        {"method": "UNSUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 2},
        id="2",
        on=False,
    ),
)
ANSWERS = (
    Answer("spot", b'{"result":null,"id":1}', [Ack("1")]),
    Answer("spot", b'{"code":2,"msg":"Invalid request","id":7}', [Ack("7", False, "2: Invalid request")]),
    Answer("spot", b'{"error":{"code":3,"msg":"Invalid JSON"},"id":"x"}', [Ack("x", False, "3: Invalid JSON")]),
    Answer("spot", b'{"e":"serverShutdown","E":1788548384904}', [Restarting()]),
)
REFUSALS = (
    Refusal(200, b"[]", None),
    Refusal(400, b'{"code":-1121,"msg":"Invalid symbol."}', "rejected"),
    Refusal(418, b"", "banned", {"retry-after": "120"}, wait=120.0),
    Refusal(429, b'{"code":-1003,"msg":"Too much request weight used"}', "banned", wait=60.0),
    Refusal(451, b"<html>", "blocked"),
    Refusal(503, b'{"code":-1016,"msg":"This service is no longer available."}', "maintenance"),
)


def bare(file: str) -> Iterator[RecordedFrame]:
    """A recording of ``/ws/<stream>``, with the wrapper that our connections have."""
    stream = ""
    for line in (CAPTURES / file).read_text().splitlines():
        record = json.loads(line)
        raw = record["raw"]
        if record["dir"] == "out":
            stream = json.loads(raw)["params"][0]
        else:
            wrapped = raw if raw.startswith('{"result"') else f'{{"stream":"{stream}","data":{raw}}}'
            yield RecordedFrame(wrapped.encode())


def single(file: str, endpoint: str, topic: str, **expected: object) -> Recording:
    topics = (topic,) if topic else ()
    return Recording(file, endpoint, partial(bare, f"{file}.jsonl"), topics, **expected)  # type: ignore[arg-type]


def combined(file: str, endpoint: str, *topics: str, **expected: object) -> Recording:
    return Recording(file.partition(".")[0], endpoint, CAPTURES / file, topics, **expected)  # type: ignore[arg-type]


def books(market: MarketType, *pairs: str) -> tuple[str, ...]:
    return tuple(f"{market}:{pair}:order_book:50" for pair in pairs)


def snapshots(market: str, year: int, *pairs: str) -> dict[str, Path]:
    natives = [pair.replace("-", "") for pair in pairs]
    return {each: CAPTURES / f"rest-{market}-depth-{each.lower()}-{year}.json" for each in natives}


SHORT = (
    combined(
        "spot-combined-4sym-2021.jsonl",
        "spot",
        *books(SPOT, *SPOT_2021),
        *(f"spot:{pair}:candle:1m" for pair in SPOT_2021),
        snapshots=snapshots("spot", 2021, *SPOT_2021),
        messages={"Depth": 177, "Quote": 84, "Trades": 2, "Bar": 2},
        counts={"book": 175, "candle": 2},
    ),
    combined(
        "usdm-combined-4sym-2021.jsonl",
        "usdm-public",
        *books(PERPETUAL, *USDM_2021),
        snapshots=snapshots("usdm", 2021, *USDM_2021),
        messages={"Depth": 764, "Quote": 613, "Trades": 91, "Bar": 67},
        counts={"book": 753},
    ),
    combined(
        "usdm-combined-4sym-2021.jsonl",
        "usdm-market",
        *(f"perpetual:{pair}:trade" for pair in USDM_2021),
        *(f"perpetual:{pair}:candle:1m" for pair in USDM_2021),
        counts={"candle": 67, "trade": 91},
    ),
    single("spot-bookticker-btcusdt-2026", "spot", "spot:BTC-USDT:ticker", messages={"Ack": 1, "Quote": 2}),
    single(
        "spot-bookticker-btcusdt-2026",
        "spot",
        "spot:BTC-USDT:bbo",
        counts={"bbo": 2},
        last={"spot:BTC-USDT:bbo": {"bid": "63704.00000000", "bid_size": "4.77462000", "ask_size": "11.33198000"}},
    ),
    single("spot-miniticker-btcusdt-2026", "spot", "", messages={"Ack": 1, "Stats": 2}),
    single("spot-kline1m-btcusdt-2026", "spot", "spot:BTC-USDT:candle:1m", messages={"Ack": 1, "Bar": 2}),
    single("usdm-miniticker-btcusdt-2026", "usdm-market", "", messages={"Ack": 1, "Stats": 2}),
    single("usdm-kline1m-btcusdt-2026", "usdm-market", "perpetual:BTC-USDT:candle:1m", counts={"candle": 2}),
    single("coinm-ticker24h-btcusdperp-2026", "usdm-market", "", messages={"Ack": 1, "Stats": 1}),
)
LONG = (
    combined(
        "spot-combined-btcusdt-2024.jsonl.gz",
        "spot",
        *books(SPOT, "BTC-USDT"),
        "spot:BTC-USDT:trade",
        snapshots=snapshots("spot", 2024, "BTC-USDT"),
        messages={"Depth": 3451, "Quote": 28040, "Trades": 9757},
        counts={"book": 3428, "trade": 9757},
        last={"spot:BTC-USDT:trade": {"id": "3735693015", "price": "61685.99000000", "quantity": "0.00140000"}},
    ),
    combined(
        "usdm-combined-btcusdt-2024.jsonl.gz",
        "usdm-public",
        *books(PERPETUAL, "BTC-USDT"),
        snapshots=snapshots("usdm", 2024, "BTC-USDT"),
        instead={"btcusdt@depth@100ms": "btcusdt@depth@0ms"},
        messages={"Depth": 2993, "Quote": 27473, "Trades": 5534},
        counts={"book": 2990},
    ),
)


def catalogue(market: MarketType) -> RestRequest:
    return next(iter(VENUE.catalogue_requests(market)))


def snapshot(market: MarketType) -> RestRequest:
    topic = Topic("binance", market, Symbol("BTC", "USDT"), Channel.ORDER_BOOK)
    request = VENUE.snapshot_request(topic, instrument(market, "BTC-USDT"), 50)
    assert request is not None
    return request


ROW = (
    b'[1786539480000,"64117.67000000","64118.00000000","64117.66000000","64117.99000000","0.38518000",1786539539999,'
    b'"24696.88116430",115,"0.17878000","11462.94080000","0"]'
)
CANDLES = RestRequest(Purpose.CANDLES, SPOT, "/api/v3/klines")
FUNDING = (
    b'[{"symbol":"BLZUSDT","adjustedFundingRateCap":"0.02500000","adjustedFundingRateFloor":"-0.02500000",'
    b'"fundingIntervalHours":8,"disclaimer":false}]'
)
INTEREST = b'{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}'
DOCUMENTED = (
    Body(CANDLES, b"[" + ROW + b"]", count=1, rows={0: {"open_time": 1786539480000, "volume": "0.38518000"}}),
    Body(
        RestRequest(Purpose.POLL, PERPETUAL, "/fapi/v1/openInterest", native="BTCUSDT"),
        INTEREST,
        rows={0: {"open_interest": "10659.509", "time": 1589437530011}},
    ),
    Body(FUNDING_POLL.request, FUNDING, rows={0: {"hours": {"BLZUSDT": 8}, "others": 8}}),
)
LIQUIDATION = Recording(
    "documented liquidation",
    "usdm-market",
    [
        b'{"stream":"btcusdt@forceOrder","data":{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL",'
        b'"o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910","X":"FILLED","l":"0.014","z":"0.014",'
        b'"T":1568014460893}}}',
    ],
    ("perpetual:BTC-USDT:liquidation",),
    messages={"Liquidations": 1},
    counts={"liquidation": 1},
    last={
        "perpetual:BTC-USDT:liquidation": {
            "side": "sell",
            "price": "9910",
            "quantity": "0.014",
            "average_price": "9910",
            "complete": False,
        }
    },
)
EVIDENCE = Evidence(VENUE, INSTRUMENTS, requests=REQUESTS, answers=ANSWERS, refusals=REFUSALS, bodies=DOCUMENTED)
BODIES = (
    Body(catalogue(SPOT), CAPTURES / "rest-spot-exchangeinfo-2021.json", rows={0: {"status": "trading"}}),
    Body(catalogue(PERPETUAL), CAPTURES / "rest-usdm-exchangeinfo-2021.json"),
    Body(snapshot(SPOT), CAPTURES / "rest-spot-depth-btcusdt-2024.json", count=1),
    Body(snapshot(PERPETUAL), CAPTURES / "rest-usdm-depth-btcusdt-2024.json", count=1),
)
RECORDED = Evidence(VENUE, INSTRUMENTS, recordings=(*SHORT, *LONG), bodies=BODIES)


DOCUMENTED_EVIDENCE = Evidence(VENUE, INSTRUMENTS, recordings=(LIQUIDATION,), bodies=DOCUMENTED)


@pytest.mark.parametrize("check", [*checks(EVIDENCE), *recorded_checks(DOCUMENTED_EVIDENCE)], ids=str)
def test_conformance(check: Check) -> None:
    check()


@pytest.mark.sampled(3)
@pytest.mark.captures
@pytest.mark.parametrize("check", recorded_checks(RECORDED), ids=str)
def test_recordings(captures: Path, check: Check) -> None:
    check()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("check", fault_checks(EVIDENCE), ids=str)
def test_faults(check: Check) -> None:
    check()
