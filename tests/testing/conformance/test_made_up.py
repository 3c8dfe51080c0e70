"""The made-up venue under the kit, with the habits of every kind of venue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.messages import Ack, Heartbeat, Pong, Restarting, Subscribed
from cryptodash.testing import wire
from cryptodash.testing.conformance import Answer, Body, Check, Evidence, Recording, Refusal, Request, checks
from cryptodash.testing.venue import Habits, MadeUpVenue, make_instrument

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
NOW = 1_700_000_000_000
BIDS, ASKS = {"100.0": "1.50", "99.0": "2"}, {"101.0": "1", "102.0": "3"}
COMPUTED = frozenset({"Quote.bid_size", "Quote.ask_size", "Fill.quantity", "Bar.volume"})
"""The made-up venue sends no sizes but those of books: all others are 1."""

KINDS = {
    "usual": Habits(),
    "one channel a frame": Habits(one_channel=True, one_depth=True),
    "heartbeats": Habits(heartbeats=True, text_ping=True),
    "snapshot by either": Habits(books=BookRules(SnapshotSource.EITHER, Chaining.PREVIOUS)),
    "frames counted": Habits(books=BookRules(SnapshotSource.STREAM, Chaining.CONNECTION)),
    "checksum": Habits(
        books=BookRules(SnapshotSource.STREAM, Chaining.CHECKSUM, wire.checksum, checksum_depth=wire.CHECKED_LEVELS)
    ),
}


def trades(count: int) -> list[bytes]:
    return [wire.trade("BTCUSDT", number, f"{100 + number}.50", NOW + number) for number in range(1, count + 1)]


def book(habits: Habits) -> list[bytes]:
    """A snapshot and a change, chained as the venue chains them."""
    rules = habits.books
    if rules is None or rules.chaining is Chaining.COUNTER:
        first = wire.book("book50:BTCUSDT", 10, 10, BIDS, ASKS, snapshot=True, time=NOW)
        return [first, wire.book("book50:BTCUSDT", 11, 11, {"100.0": "0"}, {}, time=NOW + 1)]
    if rules.chaining is Chaining.PREVIOUS:
        first = wire.book("book50:BTCUSDT", 10, 10, BIDS, ASKS, snapshot=True, time=NOW)
        return [first, wire.book("book50:BTCUSDT", 12, 12, {"100.0": "0"}, {}, previous=10, time=NOW + 1)]
    sums = [None, None]
    if rules.checksum is not None:
        bids: Any = list(BIDS.items())
        asks: Any = list(ASKS.items())
        sums = [wire.checksum(bids, asks), wire.checksum(bids[1:], asks)]
    frames = [
        wire.book("book50:BTCUSDT", None, None, BIDS, ASKS, snapshot=True, time=NOW, checksum=sums[0]),
        wire.book("book50:BTCUSDT", None, None, {"100.0": "0"}, {}, time=NOW + 1, checksum=sums[1]),
    ]
    if rules.chaining is Chaining.CONNECTION:
        return [wire.numbered(number, frame) for number, frame in enumerate(frames, 5)]
    return frames


def ticker() -> list[bytes]:
    return [
        wire.day("BTCUSDT", "100.25", NOW),
        wire.mark("BTCUSDT", "100.30", NOW + 1),
        wire.quote("BTCUSDT", "100.0", "100.5", 7, NOW + 2),
    ]


def candles() -> list[bytes]:
    return [
        wire.candle("BTCUSDT", NOW, "100.5"),
        wire.candle("BTCUSDT", NOW, "100.75", True),
        wire.candle("BTCUSDT", NOW + 60_000, "101"),
    ]


LAST_BOOK = {"bids": [["99.0", "2"]], "asks": [["101.0", "1"], ["102.0", "3"]], "rebuilt": False}


def recordings(habits: Habits) -> tuple[Recording, ...]:
    perpetual = "perpetual:BTC-USDT:"
    return (
        Recording(
            "a book",
            "perp",
            book(habits),
            [perpetual + "order_book:50"],
            counts={"book": 2},
            last={perpetual + "order_book": LAST_BOOK},
        ),
        Recording(
            "trades",
            "perp",
            trades(2),
            [perpetual + "trade"],
            messages={"Trades": 2},
            events=[
                {
                    "kind": "trade",
                    "topic": perpetual + "trade",
                    "timestamp": NOW + number,
                    "id": str(number),
                    "price": f"{100 + number}.50",
                    "quantity": "1",
                    "side": "buy",
                }
                for number in (1, 2)
            ],
        ),
        Recording(
            "a ticker",
            "perp",
            ticker(),
            [perpetual + "ticker"],
            polls={"/interest/BTCUSDT": wire.interest("BTCUSDT", "12.5", NOW)},
            last={perpetual + "ticker": {"last": "100.25", "bid": "100.0", "open_interest": "12.5"}},
        ),
        Recording(
            "candles",
            "perp",
            candles(),
            [perpetual + "candle:1m"],
            counts={"candle": 3},
            last={perpetual + "candle:1m": {"timestamp": NOW + 60_000, "closed": False, "close": "101"}},
        ),
    )


def by_rest() -> Recording:
    """Spot books of the usual habits: a REST snapshot and ranges of ids."""
    frames = [wire.book("book:BTCUSDT", 10 + at, 10 + at, {"100.0": str(at + 1)}, {}, time=NOW + at) for at in range(4)]
    return Recording(
        "a book by REST",
        "spot",
        frames,
        ["spot:BTC-USDT:order_book:5"],
        snapshots={"BTCUSDT": wire.book("", 11, 11, BIDS, ASKS, snapshot=True, time=NOW)},
        last={"spot:BTC-USDT:order_book": {"bids": [["100.0", "4"], ["99.0", "2"]]}},
    )


def requests(habits: Habits) -> tuple[Request, ...]:
    if not habits.one_channel:
        frame = b'{"op": "sub", "args": ["trade:BTCUSDT", "quote:BTCUSDT"], "id": "1"}'
        ended = {"op": "unsub", "args": ["trade:BTCUSDT"], "id": "9"}
        return (
            Request("spot", ["trade:BTCUSDT", "quote:BTCUSDT"], frame),
            Request("perp", ["trade:BTCUSDT"], ended, id="9", on=False),
        )
    asked = {"op": "sub", "channel": "book", "depth": 50, "symbols": ["BTCUSDT"], "id": "1"}
    return (Request("perp", ["book50:BTCUSDT"], asked),)


ANSWERS = (
    Answer("spot", wire.ack("1"), [Ack("1")]),
    Answer("spot", wire.ack("1", "no such stream"), [Ack("1", False, "no such stream")]),
    Answer("spot", wire.ack(symbol="BTCUSDT"), [Ack(argument="BTCUSDT")]),
    Answer("perp", wire.subscriptions("trade:BTCUSDT"), [Subscribed(("trade:BTCUSDT",))]),
    Answer("perp", wire.pong(), [Pong()]),
    Answer("perp", wire.TEXT_PONG, [Pong()]),
    Answer("perp", wire.restarting(), [Restarting()]),
)


def evidence(habits: Habits) -> Evidence:
    venue = MadeUpVenue(habits=habits)
    spot = make_instrument(SPOT, "BTC", "USDT")
    topic = Topic("madeup", SPOT, Symbol("BTC", "USDT"), Channel.ORDER_BOOK)
    (catalogue,) = venue.catalogue_requests(SPOT)
    bodies = [
        Body(catalogue, b'["BTC-USDT","ETH-USDT"]', count=2, rows={1: {"native": "ETHUSDT"}}),
        Body(
            venue.candles_request(topic.sibling(Channel.CANDLE, interval="1m"), spot, 2, None),
            json.dumps([[NOW, "100.5"], [NOW + 60_000, "101"]]).encode(),
            rows={0: {"close": "100.5"}},
        ),
    ]
    snapshot = venue.snapshot_request(topic, spot, 50)
    if snapshot is not None:
        bodies.append(Body(snapshot, wire.book("", 11, 11, BIDS, ASKS, snapshot=True), rows={0: {"last": 11}}))
    heartbeat = (Answer("perp", wire.heartbeat(NOW), [Heartbeat(NOW)]),) if habits.heartbeats else ()
    return Evidence(
        venue,
        [spot, make_instrument(PERPETUAL, "BTC", "USDT")],
        recordings=[*recordings(habits), *(() if habits.books else (by_rest(),))],
        requests=requests(habits),
        answers=(*ANSWERS, *heartbeat),
        bodies=bodies,
        refusals=[Refusal(200, b"", None), Refusal(404, b"", "")],
        computed=COMPUTED,
    )


ALL = [
    pytest.param(check, id=f"{kind}: {check}") for kind, habits in KINDS.items() for check in checks(evidence(habits))
]


@pytest.mark.parametrize("check", ALL)
def test_conformance(check: Check) -> None:
    check()
