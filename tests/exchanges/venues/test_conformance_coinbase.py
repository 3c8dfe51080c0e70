"""Coinbase under the conformance kit that every venue of a third party runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptodash.core.instruments import ANY, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Ack, Heartbeat, Ignored, Sequenced, Subscribed
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.venues.coinbase.venue import VENUE
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

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures" / "coinbase"
SPOT = MarketType.SPOT
BTC = "spot:BTC-USD:"


def instrument(base: str = "BTC") -> Instrument:
    return Instrument("coinbase", SPOT, Symbol(base, "USD"), f"{base}-USD", Number("0.01"), Number("0.00000001"))


INSTRUMENTS = (instrument(), instrument("ETH"))
COMPUTED = frozenset({"Stats.open"})

REQUESTS = (
    Request("spot", ("level2:BTC-USD",), b'{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}'),
    Request(
        "spot",
        ("market_trades:BTC-USD", "market_trades:ETH-USD"),
        {"type": "unsubscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": "market_trades"},
        on=False,
    ),
    Request("spot", ("heartbeats",), {"type": "subscribe", "channel": "heartbeats"}),
)
ANSWERS = (
    Answer(
        "spot",
        b'{"channel":"subscriptions","timestamp":"2026-08-24T22:34:13.813379359Z","sequence_num":3,"events":['
        b'{"subscriptions":{"heartbeats":["heartbeats"],"level2":["BTC-USD","ETH-USD"],"status":["BTC-USD"]}}]}',
        [Sequenced(3), Subscribed(["heartbeats", "level2:BTC-USD", "level2:ETH-USD"])],
    ),
    Answer(
        "spot",
        b'{"channel":"subscriptions","timestamp":"2026-08-24T22:34:13Z","sequence_num":9,"events":['
        b'{"subscriptions":{}}]}',
        [Sequenced(9), Subscribed([])],
    ),
    Answer(
        "spot",
        b'{"type":"error","message":"authentication failure"}',
        [Ack(ok=False, reason="authentication failure")],
    ),
    Answer(
        "spot",
        b'{"channel":"heartbeats","timestamp":"2026-09-07T23:37:22.675755362Z","sequence_num":3,"events":['
        b'{"current_time":"2026-09-07 23:37:22.674409 +0000 UTC m=+139651.2","heartbeat_counter":139651}]}',
        [Sequenced(3), Heartbeat(1788824242675)],
    ),
    Answer(
        "spot",
        b'{"channel":"status","timestamp":"2026-09-07T23:37:22Z","sequence_num":4,"events":[{"products":[]}]}',
        [Sequenced(4), Ignored("status")],
    ),
)
REFUSALS = (
    Refusal(200, b'{"candles":[]}', None),
    Refusal(404, b'{"error":"NOT_FOUND","error_details":"x","message":"valid product_id is required"}', "rejected"),
    Refusal(400, b'{"error":"INVALID_ARGUMENT","message":"start and end argument is invalid"}', "rejected"),
    Refusal(429, b"", "banned", wait=5.0),
    Refusal(429, b'{"error":"x"}', "banned", {"retry-after": "7"}, wait=7.0),
    Refusal(403, b"<html>blocked</html>", "blocked"),
    Refusal(451, b"", "blocked"),
    Refusal(503, b'{"error":"UNAVAILABLE","message":"Under maintenance"}', "maintenance"),
    Refusal(500, b'{"error":"unknown","message":"?"}', ""),
)
EVIDENCE = Evidence(VENUE, INSTRUMENTS, requests=REQUESTS, answers=ANSWERS, refusals=REFUSALS, computed=COMPUTED)

CANDLES = (
    b'{"channel":"candles","timestamp":"2023-06-09T20:19:35.39625135Z","sequence_num":0,"events":[{"type":"snapshot",'
    b'"candles":[{"start":"1686341700","high":"1867.72","low":"1865.63","open":"1867.38","close":"1866.81",'
    b'"volume":"0.20269406","product_id":"ETH-USD"},{"start":"1686341400","high":"1868.1","low":"1866.00",'
    b'"open":"1867.9","close":"1867.38","volume":"12.5","product_id":"ETH-USD"}]}]}',
    b'{"channel":"candles","timestamp":"2023-06-09T20:20:01.1Z","sequence_num":1,"events":[{"type":"update",'
    b'"candles":[{"start":"1686342000","high":"1866.9","low":"1866.8","open":"1866.81","close":"1866.9",'
    b'"volume":"0.1","product_id":"ETH-USD"}]}]}',
)
"""In the shape of the documents' example; nothing of this channel was recorded."""
DOCUMENTED = (
    Recording(
        "documented candles",
        "spot",
        CANDLES,
        ["spot:ETH-USD:candle:5m"],
        messages={"Sequenced": 2, "Bar": 3},
        last={
            "spot:ETH-USD:candle:5m": {
                "timestamp": 1686342000000,
                "open": "1866.81",
                "close": "1866.9",
                "volume": "0.1",
                "closed": False,
            }
        },
    ),
)


def recording(file: str, *topics: str, **expected: object) -> Recording:
    return Recording(file, "spot", CAPTURES / f"{file}.jsonl", topics, **expected)  # type: ignore[arg-type]


RECORDINGS = (
    recording(
        "at-level2-btcusd-2026",
        f"{BTC}order_book:50",
        messages={"Sequenced": 12, "Depth": 11, "Subscribed": 1},
        counts={"book": 11},
        last={
            f"{BTC}order_book": {
                "timestamp": 1787610854005,
                "bids": [
                    ("78856.05", "0.04868904"),
                    ("78855.8", "0.0023974"),
                    ("78855.79", "0.10195826"),
                    ("78855.47", "0.02540066"),
                    ("78854.47", "0.02536318"),
                ],
            }
        },
    ),
    recording(
        "at-market-trades-btcusd-2026",
        f"{BTC}trade",
        messages={"Sequenced": 3, "Trades": 2, "Subscribed": 1},
        counts={"trade": 7},
        last={
            f"{BTC}trade": {
                "id": "1069726293",
                "price": "63310.25",
                "quantity": "0.00000012",
                "side": "sell",
                "timestamp": 1786562868298,
            }
        },
    ),
    recording(
        "at-ticker-btcusd-2026",
        f"{BTC}bbo",
        last={f"{BTC}bbo": {"bid": "63318.86", "bid_size": "0.2275291", "ask_size": "0.49990114"}},
    ),
    recording(
        "at-ticker-btcusd-2026",
        f"{BTC}ticker",
        messages={"Sequenced": 3, "Quote": 2, "Stats": 2, "Subscribed": 1},
        last={
            f"{BTC}ticker": {
                "last": "63320.73",
                "bid": "63318.86",
                "ask_size": "0.49990114",
                "open_24h": "63296.59",
                "change_24h": "24.14",
                "change_pct_24h": "0.03813791548644",
                "volume_24h": "6629.927726",
            }
        },
    ),
)


def catalogue() -> RestRequest:
    return next(iter(VENUE.catalogue_requests(SPOT)))


def candles() -> RestRequest:
    topic = Topic("coinbase", SPOT, Symbol("BTC", "USD"), Channel.CANDLE, interval="1h")
    return VENUE.candles_request(topic, instrument(), 2, 1712192400000)


def sweep() -> RestRequest:
    (poll,) = VENUE.plan(Topic("coinbase", SPOT, ANY, Channel.TICKER), None, 0).polls
    return poll.request


BODIES = (
    Body(
        catalogue(),
        CAPTURES / "rest-at-products.json",
        count=2,
        rows={
            0: {"native": "BTC-USD", "tick_size": "0.01", "step_size": "0.00000001", "status": "trading"},
            1: {"native": "BTC-USDC", "alias_of": "BTC-USD", "min_notional": "1"},
        },
    ),
    Body(
        candles(),
        CAPTURES / "rest-at-candles.json",
        count=2,
        rows={0: {"open_time": 1712192400000, "open": "66312.4", "low": "66055.14", "volume": "355.82896243"}},
    ),
    Body(sweep(), CAPTURES / "rest-at-products.json", count=1),
)
RECORDED = Evidence(VENUE, INSTRUMENTS, recordings=RECORDINGS, bodies=BODIES, computed=COMPUTED)


@pytest.mark.parametrize("check", checks(EVIDENCE), ids=str)
def test_conformance(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", recorded_checks(Evidence(VENUE, INSTRUMENTS, recordings=DOCUMENTED)), ids=str)
def test_documented(check: Check) -> None:
    check()


@pytest.mark.captures
@pytest.mark.parametrize("check", recorded_checks(RECORDED), ids=str)
def test_recordings(captures: Path, check: Check) -> None:
    check()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("check", fault_checks(EVIDENCE), ids=str)
def test_faults(check: Check) -> None:
    check()
