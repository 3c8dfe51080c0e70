"""Kraken under the conformance kit that every venue of a third party runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from cryptodash.core.instruments import ANY, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Ack, Heartbeat, Ignored, Pong
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.venues.kraken.venue import VENUE
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

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures" / "kraken"
SPOT = MarketType.SPOT


def instrument(base: str, quote: str, tick: str, *others: str) -> Instrument:
    symbol = Symbol(base.upper(), quote)
    return Instrument("kraken", SPOT, symbol, f"{base}/{quote}", Number(tick), Number("0.00000001"), other_names=others)


BTC = instrument("BTC", "USD", "0.1", "XXBTZUSD")
INSTRUMENTS = (
    BTC,
    instrument("ETH", "USD", "0.01", "XETHZUSD"),
    instrument("DOGE", "USDT", "0.00001", "XDGUSDT"),
    instrument("AAPLx", "USD", "0.01"),
)
COMPUTED = frozenset({"Stats.open"})
TIMES = '"time_in":"2026-08-12T19:28:08.287297Z","time_out":"2026-08-12T19:28:08.287347Z"'

REQUESTS = (
    Request(
        "spot",
        ("book:10:BTC/USD", "book:10:ETH/USD"),
        b'{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":10,"snapshot":true},'
        b'"req_id":1}',
    ),
    Request(
        "spot",
        ("book:10:BTC/USD",),
        b'{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":2}',
        id="2",
        on=False,
    ),
    Request(
        "spot",
        ("ohlc:60:AAPLx/USD",),
        {
            "method": "subscribe",
            "params": {"channel": "ohlc", "symbol": ["AAPLx/USD"], "interval": 60, "snapshot": True},
            "req_id": 3,
        },
        id="3",
    ),
    Request(
        "spot",
        ("ticker:BTC/USD",),
        {
            "method": "subscribe",
            "params": {"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "bbo", "snapshot": True},
            "req_id": 1,
        },
    ),
    Request(
        "spot",
        ("trade:BTC/USD",),
        {"method": "unsubscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}, "req_id": 1},
        on=False,
    ),
)


def answer(text: str, *messages: Ack | Heartbeat | Ignored | Pong) -> Answer:
    return Answer("spot", text.encode(), messages)


ANSWERS = (
    answer(
        '{"method":"subscribe","req_id":1,"result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},'
        f'"success":true,{TIMES}}}',
        Ack("1", streams=("book:10:BTC/USD",)),
    ),
    answer(
        '{"method":"subscribe","req_id":1,"result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,'
        f'"symbol":"BTC/USD"}},"success":true,{TIMES}}}',
        Ack("1", streams=("ticker:BTC/USD",)),
    ),
    answer(
        '{"method":"unsubscribe","req_id":4,"result":{"channel":"book","symbol":"BTC/USD"},"success":true}',
        Ack("4", argument="BTC/USD"),
    ),
    answer(
        '{"error":"Subscription depth not supported","method":"subscribe","req_id":1,"success":false,'
        f'"symbol":"BTC/USD",{TIMES}}}',
        Ack("1", False, "Subscription depth not supported", argument="BTC/USD"),
    ),
    answer(
        '{"error":"Already subscribed","method":"subscribe","req_id":1,"success":false,"symbol":"BTC/USD"}',
        Ack("1", False, "Already subscribed", argument="BTC/USD", already=True),
    ),
    answer(f'{{"method":"pong","req_id":101,{TIMES}}}', Pong("101", 1786562888287)),
    answer('{"channel":"heartbeat"}', Heartbeat()),
    answer(
        '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",'
        '"connection_id":7204881492680171915,"upcoming_maintenance":[],"emergency":[]}]}',
        Ignored("status"),
    ),
    answer('{"Error":"Exceeded msg rate"}', Ignored("limit")),
)
REFUSALS = (
    Refusal(200, b'{"error":[],"result":{}}', None),
    Refusal(200, b'{"error":["EQuery:Unknown asset pair"]}', "rejected"),
    Refusal(200, b'{"error":["EGeneral:Too many requests"]}', "banned", wait=10.0),
    Refusal(200, b'{"error":["EAPI:Rate limit exceeded"]}', "banned", wait=10.0),
    Refusal(429, b"", "banned", headers={"retry-after": "7"}, wait=7.0),
    Refusal(200, b'{"error":["EService:Unavailable"]}', "maintenance"),
    Refusal(200, b'{"error":["EService:Busy"]}', ""),
    Refusal(403, b"<html>Cloudflare</html>", "blocked"),
)
EVIDENCE = Evidence(VENUE, INSTRUMENTS, requests=REQUESTS, answers=ANSWERS, refusals=REFUSALS, computed=COMPUTED)
FAULTY = evolve(EVIDENCE, seed=2)
"""The checksum covers ten levels: with some seeds, two swapped frames leave a deeper level wrong until it rises."""


def recording(file: str, topic: str, **expected: object) -> Recording:
    return Recording(file, "spot", CAPTURES / f"spot-v2-{file}.jsonl", (topic,), **expected)  # type: ignore[arg-type]


RECORDINGS = (
    recording(
        "book25-btcusd-2026",
        "spot:BTC-USD:order_book:20",
        messages={"Ignored": 1, "Ack": 1, "Depth": 2052, "Heartbeat": 50},
        counts={"book": 2052},
    ),
    recording(
        "book25-ethusd-2026",
        "spot:ETH-USD:order_book:20",
        messages={"Ignored": 1, "Ack": 1, "Depth": 1129, "Heartbeat": 39},
        counts={"book": 1129},
    ),
    recording(
        "book10-btcusd-resub-2026",
        "spot:BTC-USD:order_book:10",
        messages={"Ignored": 1, "Ack": 15, "Depth": 301, "Heartbeat": 60},
    ),
    # 9 frames: the second snapshot says what is known.
    recording("book10-btcusd-second-snapshot-2026", "spot:BTC-USD:order_book:10", counts={"book": 8}),
    # 4 frames: without receive times all come at once, and one that was written five seconds later waits for the next.
    recording("book10-dogeusdt-double-snapshot-2026", "spot:DOGE-USDT:order_book:10", counts={"book": 3}),
    recording(
        "ohlc1-btcusd-2026",
        "spot:BTC-USD:candle:1m",
        messages={"Ignored": 1, "Ack": 1, "Bar": 5},
        counts={"candle": 5},
        last={
            "spot:BTC-USD:candle:1m": {
                "timestamp": 1786562880000,
                "open": "63301.6",
                "close": "63297.7",
                "volume": "0.04121249",
                "closed": False,
            }
        },
    ),
    recording(
        "ticker-btcusd-2026",
        "spot:BTC-USD:bbo",
        last={"spot:BTC-USD:bbo": {"bid": "63297.7", "bid_size": "5.45673101", "ask_size": "0.36974422"}},
    ),
    recording(
        "ticker-btcusd-2026",
        "spot:BTC-USD:ticker",
        messages={"Ignored": 1, "Ack": 1, "Quote": 2, "Stats": 2, "Heartbeat": 1},
        last={
            "spot:BTC-USD:ticker": {
                "bid": "63297.7",
                "bid_size": "5.45673101",
                "ask_size": "0.36974422",
                "last": "63297.8",
                "open_24h": "63297.1",
                "change_24h": "0.7",
                "change_pct_24h": "0",
                "volume_24h": "1020.88391276",
            }
        },
    ),
)


def catalogue() -> RestRequest:
    return next(iter(VENUE.catalogue_requests(SPOT)))


def candles() -> RestRequest:
    topic = Topic("kraken", SPOT, Symbol("BTC", "USD"), Channel.CANDLE, interval="1m")
    return VENUE.candles_request(topic, BTC, 720, None)


def sweep() -> RestRequest:
    (poll,) = VENUE.plan(Topic("kraken", SPOT, ANY, Channel.TICKER), None, 0).polls
    return poll.request


BODIES = (
    Body(
        catalogue(),
        CAPTURES / "rest-spot-assetpairs.json",
        count=1,
        rows={
            0: {
                "native": "BTC/USDT",
                "symbol": "BTC-USDT",
                "tick_size": "0.1",
                "step_size": "0.00000001",
                "min_qty": "0.00005",
                "min_notional": "0.5",
                "status": "trading",
                "venue_status": "online",
                "other_names": ["XBTUSDT"],
            }
        },
        elements=("result",),
    ),
    Body(
        candles(),
        CAPTURES / "rest-spot-ohlc.json",
        count=721,
        rows={0: {"open_time": 1762777020000, "open": "106038.2", "close": "106038.2", "volume": "0.00000000"}},
    ),
    Body(sweep(), CAPTURES / "rest-spot-ticker.json", count=1, elements=("result",)),
)
RECORDED = Evidence(VENUE, INSTRUMENTS, recordings=RECORDINGS, bodies=BODIES, computed=COMPUTED)


@pytest.mark.parametrize("check", checks(EVIDENCE), ids=str)
def test_conformance(check: Check) -> None:
    check()


@pytest.mark.captures
@pytest.mark.parametrize("check", recorded_checks(RECORDED), ids=str)
def test_recordings(captures: Path, check: Check) -> None:
    check()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("check", fault_checks(FAULTY), ids=str)
def test_faults(check: Check) -> None:
    check()
