"""Acme under cryptodash's conformance kit: `python -m pytest` in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from acme_exchange.venue import VENUE

from cryptodash.exchanges.adapter import (
    Ack,
    Channel,
    Instrument,
    MarketType,
    Number,
    Pong,
    Restarting,
    Symbol,
    Topic,
)
from cryptodash.testing import Answer, Body, Check, Evidence, Recording, Refusal, Request, checks, fault_checks

RECORDINGS = Path(__file__).parent / "recordings"
PERPETUAL = MarketType.PERPETUAL
BTC = Instrument(
    "acme",
    PERPETUAL,
    Symbol("BTC", "USDT"),
    "BTC-PERP",
    tick_size=Number("0.5"),
    step_size=Number("0.001"),
    contract_size=Number("0.001"),
)
HOURS = Topic("acme", PERPETUAL, BTC.symbol, Channel.CANDLE, interval="1h")
TICKER, BBO, TRADES, BOOK = (f"perpetual:BTC-USDT:{channel}" for channel in ("ticker", "bbo", "trade", "order_book"))
CANDLES = "perpetual:BTC-USDT:candle:1m"

TRADES_RECORDED = Recording(
    "trades",
    "perpetual",
    RECORDINGS / "trades.jsonl",
    [TRADES],
    counts={"trade": 3},
    last={TRADES: {"id": "79", "price": "60000.0", "quantity": "0.040", "side": "sell"}},
)
REFUSED = Answer(
    "perpetual",
    b'{"id":"7","ok":false,"error":"no such stream","stream":"trades:X-PERP"}',
    [Ack("7", False, "no such stream", ("trades:X-PERP",))],
)

EVIDENCE = Evidence(
    VENUE,
    instruments=[BTC],
    without=frozenset({"sweep", "liquidation"}),
    # Sizes come in contracts: 25 of them are 0.025 BTC, and that stands in no frame.
    computed=frozenset(
        {"Quote.bid_size", "Quote.ask_size", "Stats.volume", "Fill.quantity", "Depth.size", "Bar.volume"}
    ),
    recordings=[
        Recording(
            "the ticker",
            "perpetual",
            RECORDINGS / "ticker.jsonl",
            [TICKER, BBO],
            messages={"Ack": 1, "Quote": 2, "Stats": 2},
            last={
                BBO: {"bid": "60000.5", "bid_size": "1.150"},
                TICKER: {"bid": "60000.5", "bid_size": "1.150", "last": "60000.5", "volume_24h": "1250.025"},
            },
        ),
        TRADES_RECORDED,
        Recording(
            "the book",
            "perpetual",
            RECORDINGS / "book.jsonl",
            [BOOK],
            counts={"book": 3},
            last={
                BOOK: {
                    "bids": [("60000.5", "1.150")],
                    "asks": [("60001.0", "0.800"), ("60001.5", "0.070"), ("60002.5", "0.009")],
                }
            },
        ),
        Recording(
            "candles",
            "perpetual",
            RECORDINGS / "candles.jsonl",
            [CANDLES],
            counts={"candle": 3},
            last={CANDLES: {"timestamp": 1788548400000, "close": "60000.0", "volume": "0.001", "closed": False}},
        ),
    ],
    requests=[
        Request(
            "perpetual",
            ["trades:BTC-PERP", "book:BTC-PERP"],
            b'{"op":"subscribe","id":"7","streams":["trades:BTC-PERP","book:BTC-PERP"]}',
            id="7",
        ),
        Request(
            "perpetual", ["day:BTC-PERP"], {"op": "unsubscribe", "id": "8", "streams": ["day:BTC-PERP"]}, "8", on=False
        ),
    ],
    answers=[
        Answer("perpetual", b'{"id":"7","ok":true}', [Ack("7")]),
        REFUSED,
        Answer("perpetual", b'{"op":"pong"}', [Pong()]),
        Answer("perpetual", b'{"op":"maintenance","inSeconds":30}', [Restarting()]),
    ],
    bodies=[
        Body(
            VENUE.catalogue_requests(PERPETUAL)[0],
            b'{"contracts":[{"name":"BTC-PERP","base":"BTC","quote":"USDT","contractSize":"0.001","tick":"0.5",'
            b'"minContracts":"1","state":"open"}]}',
            count=1,
            rows={0: {"native": "BTC-PERP", "contract_size": "0.001", "min_qty": "0.001", "status": "trading"}},
        ),
        Body(
            VENUE.candles_request(HOURS, BTC, 2, None),
            b'{"candles":[{"openTime":1788548400000,"open":"60000.0","high":"60010.0","low":"59990.0",'
            b'"close":"60005.5","volume":"12000"}]}',
            rows={0: {"open_time": 1788548400000, "close": "60005.5", "volume": "12.000"}},
        ),
    ],
    refusals=[
        Refusal(200, b"{}", None),
        Refusal(429, b"", "banned", {"retry-after": "7"}, wait=7.0),
        Refusal(451, b"", "blocked"),
        Refusal(404, b'{"error":"unknown contract"}', "rejected"),
    ],
)


@pytest.mark.parametrize("check", checks(EVIDENCE), ids=str)
def test_conformance(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", fault_checks(EVIDENCE), ids=str)
def test_faults(check: Check) -> None:
    check()
