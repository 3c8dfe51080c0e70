"""Coinbase through the real engine: what is asked for and when, what a hole in the count of frames costs, and books
rebuilt from recorded frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from cryptodash.core.events import Candle, Cause, State, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number
from cryptodash.core.tally import Tally
from cryptodash.core.time import ManualClock, rfc3339
from cryptodash.core.topics import parse_topic
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.connections.commands import (
    BookChanged,
    Closed,
    Connect,
    Disconnect,
    Fetch,
    Output,
    Publication,
    Send,
)
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.venues.coinbase.venue import VENUE
from cryptodash.testing.conformance.evidence import read_recording

SPOT = MarketType.SPOT
BTC = Instrument("coinbase", SPOT, Symbol("BTC", "USD"), "BTC-USD", Number("0.01"), Number("0.00000001"))
ETH = evolve(BTC, symbol=Symbol("ETH", "USD"), native="ETH-USD")
USDC = evolve(BTC, symbol=Symbol("BTC", "USDC"), native="BTC-USDC", alias_of="BTC-USD")
BOOK, TRADES, TICKER = "spot:BTC-USD:order_book:20", "spot:BTC-USD:trade", "spot:BTC-USD:ticker"


class Wire:
    """The engine and the venue's side of its connections: every request is answered as the venue does, with the list
    of everything, and frames are counted."""

    def __init__(self, wall_ms: int = 1_700_000_000_000) -> None:
        self.clock = ManualClock(wall_ms)
        self.tally = Tally()
        catalogue = Catalogue(VENUE.id)
        catalogue.replace(SPOT, [BTC, ETH, USDC])
        self.engine = Engine(VENUE, VENUE.hosts, catalogue, self.clock, Random(1), self.tally)
        self.sent: list[tuple[str, float, Mapping[str, Any]]] = []
        """Requests: by which connection, how long after it was opened, and what."""
        self.gone: list[str] = []
        self.fetches: list[RestRequest] = []
        self.events: list[Publication] = []
        self.unlisted: set[str] = set()
        """Products that the venue passes over in silence."""
        self.refused: set[str] = set()
        """Those for which it refuses a whole request."""
        self._opened: dict[str, float] = {}
        self._numbers: dict[str, int] = {}
        self._carried: dict[str, dict[str, list[str]]] = {}
        self._busy: dict[str, float] = {}

    @property
    def connection(self) -> str:
        """The newest connection."""
        return list(self._numbers)[-1]

    def want(self, *topics: str) -> None:
        self._carry_out(self.engine.want([parse_topic(f"coinbase:{each}", default_depth=20) for each in topics]))

    def drop(self, *topics: str) -> None:
        self._carry_out(self.engine.drop([parse_topic(f"coinbase:{each}", default_depth=20) for each in topics]))

    def pass_time(self, seconds: float) -> None:
        """With a heartbeat each second, as the venue sends them."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            now = self.clock.monotonic()
            for key in [key for key, free in self._busy.items() if free <= now]:
                del self._busy[key]
                self._carry_out(self.engine.may_send(key))
            if round(now * 10) % 10 == 0:
                for key in list(self._numbers):
                    if "heartbeats" in self._carried[key]:
                        self.say("heartbeats", {"current_time": "now", "heartbeat_counter": 1}, connection=key)
            self._carry_out(self.engine.tick())

    def stall(self, seconds: float) -> None:
        """Time passes without a frame."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self._carry_out(self.engine.tick())

    def say(self, channel: str, *events: Mapping[str, Any], skip: int = 0, connection: str = "") -> None:
        """A frame, after ``skip`` that get lost."""
        key = connection or self.connection
        number = self._numbers[key] + skip
        self._numbers[key] = number + 1
        head = {"channel": channel, "timestamp": rfc3339(self.clock.wall_ms()), "sequence_num": number}
        self._receive(key, json.dumps({**head, "events": events}).encode())

    def refuse(self, message: str) -> None:
        self._receive(self.connection, json.dumps({"type": "error", "message": message}).encode())

    def answer(self, request: RestRequest, body: object) -> None:
        self.fetches.remove(request)
        self._carry_out(self.engine.rest_answer(request, json.dumps(body).encode()))

    def state(self, text: str) -> tuple[State, Cause | None]:
        upstream = parse_topic(f"coinbase:{text}", default_depth=20).upstream
        last = [each for each in self.events if isinstance(each, StreamStatus) and each.topic is upstream][-1]
        return last.state, last.cause

    def _receive(self, key: str, frame: bytes) -> None:
        self._carry_out(self.engine.received(key, frame, self.clock.wall_ms()))

    def _carry_out(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Connect):
                assert output.url == "wss://advanced-trade-ws.coinbase.com"
                key = output.connection
                self._numbers[key], self._carried[key], self._opened[key] = 0, {}, self.clock.monotonic()
                self._carry_out(self.engine.opened(key))
            elif isinstance(output, Send):
                self._take(output.connection, json.loads(output.payload))
            elif isinstance(output, Disconnect):
                self.gone.append(output.why)
                del self._numbers[output.connection]
                self._carry_out(self.engine.closed(output.connection, Closed("local")))
            elif isinstance(output, Fetch):
                if output.request.purpose is not Purpose.PROBE:
                    self.fetches.append(output.request)
            else:
                self.events.append(output)

    def _take(self, key: str, request: Mapping[str, Any]) -> None:
        now = self.clock.monotonic()
        self._busy[key] = now + VENUE.limits["spot"].message_gap
        self.sent.append((key, now - self._opened[key], request))
        if self.refused & set(request.get("product_ids", ())):
            self.refuse("authentication failure")
            return
        carried = self._carried[key].setdefault(request["channel"], [])
        for name in request.get("product_ids", ["heartbeats"]):
            if request["type"] == "unsubscribe":
                carried[:] = [each for each in carried if each != name]
            elif name not in self.unlisted:
                carried.append(name)
        listed = {channel: names for channel, names in self._carried[key].items() if names}
        self.say("subscriptions", {"subscriptions": listed}, connection=key)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def level(side: str, price: str, size: str) -> dict[str, str]:
    return {"side": side, "event_time": "2023-11-14T22:13:20Z", "price_level": price, "new_quantity": size}


def book(kind: str, *levels: Mapping[str, str], product: str = "BTC-USD") -> dict[str, Any]:
    return {"type": kind, "product_id": product, "updates": list(levels)}


SNAPSHOT = book("snapshot", level("bid", "99", "1"), level("bid", "98", "2"), level("offer", "101", "3"))


def trade(number: int, price: str, time: str = "2023-11-14T22:13:20.5Z", side: str = "SELL") -> dict[str, Any]:
    return {
        "product_id": "BTC-USD",
        "trade_id": str(number),
        "price": price,
        "size": "1",
        "time": time,
        "side": side,
    }


def trades(*each: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "update", "trades": list(each)}


def best(wire: Wire) -> tuple[list[Any], list[Any]]:
    last = [each for each in wire.events if isinstance(each, BookChanged)][-1]
    bids, asks = last.book.top(5)
    return list(bids), list(asks)


def test_heartbeats_are_asked_for_at_once_and_then_one_channel_a_message(wire: Wire) -> None:
    wire.want(BOOK, TRADES, "spot:ETH-USD:trade", TICKER)
    wire.pass_time(5)
    asked = [(each["channel"], each.get("product_ids")) for _, _, each in wire.sent]
    assert asked == [
        ("heartbeats", None),
        ("level2", ["BTC-USD"]),
        ("market_trades", ["BTC-USD", "ETH-USD"]),
        ("ticker", ["BTC-USD"]),
    ]
    assert wire.sent[0][1] == 0.0, "whoever has not subscribed within 5 s is cut off"
    assert wire.sent[-1][1] < 5.0
    wire.say("l2_data", SNAPSHOT)
    assert wire.state(BOOK) == (State.LIVE, None)


def test_a_hole_in_the_count_ends_the_connection_and_a_heartbeat_shows_it(wire: Wire) -> None:
    wire.want(BOOK)
    wire.pass_time(2)
    wire.say("l2_data", SNAPSHOT)
    wire.say("l2_data", book("update", level("bid", "99", "0"), level("offer", "100", "5")))
    assert best(wire) == ([("98", "2")], [("100", "5"), ("101", "3")])
    wire.say("heartbeats", {"current_time": "now", "heartbeat_counter": 1}, skip=1)
    assert wire.gone == ["gap"] and wire.state(BOOK) == (State.STALE, Cause.GAP)
    wire.pass_time(5)
    wire.say("l2_data", SNAPSHOT)
    assert wire.state(BOOK) == (State.LIVE, None)
    assert best(wire) == ([("99", "1"), ("98", "2")], [("101", "3")])


def test_data_before_the_answer_counts_and_what_is_passed_over_in_silence_is_rejected(wire: Wire) -> None:
    wire.unlisted = {"ETH-USD"}
    wire.want("spot:ETH-USD:trade", TRADES)
    wire.pass_time(2)
    wire.say("market_trades", trades(trade(1, "100")))
    assert wire.state(TRADES) == (State.LIVE, None)
    wire.pass_time(25)
    assert wire.state("spot:ETH-USD:trade") == (State.CLOSED, Cause.REJECTED)
    assert wire.state(TRADES)[0] is not State.CLOSED and wire.gone == []


def test_what_is_dropped_is_ended_and_its_last_frames_are_no_fault(wire: Wire) -> None:
    wire.want(BOOK, TRADES)
    wire.pass_time(3)
    wire.drop(BOOK)
    wire.say("l2_data", SNAPSHOT)
    wire.pass_time(2)
    assert wire.sent[-1][2] == {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channel": "level2"}
    assert wire.gone == []


def test_an_odd_trade_costs_neither_the_connection_nor_the_book(wire: Wire) -> None:
    wire.want(BOOK, TRADES)
    wire.pass_time(3)
    wire.say("l2_data", SNAPSHOT)
    wire.say("market_trades", trades(trade(1, "100"), {**trade(2, "100"), "side": "NEITHER"}))
    wire.say("market_trades", trades(trade(3, "102"), trade(2, "101")))
    wire.say("l2_data", book("update", level("bid", "97", "1")))
    assert wire.gone == [] and wire.state(BOOK) == (State.LIVE, None)
    told = [(each.id, each.side.value) for each in wire.events if isinstance(each, Trade)]
    assert told == [("2", "buy"), ("3", "buy")]


def test_a_frame_of_a_book_that_cannot_be_read_is_a_hole(wire: Wire) -> None:
    wire.want(BOOK)
    wire.pass_time(2)
    wire.say("l2_data", SNAPSHOT)
    wire.say("l2_data", book("update", level("ask", "97", "1")))
    wire.say("l2_data", book("update", level("bid", "97", "1")))
    assert wire.gone == ["gap"] and wire.state(BOOK) == (State.STALE, Cause.GAP)


def test_a_pair_in_usdc_is_the_one_in_usd(wire: Wire) -> None:
    wire.want("spot:BTC-USDC:ticker", TICKER)
    wire.pass_time(3)
    assert [each.get("product_ids") for _, _, each in wire.sent] == [None, ["BTC-USD"]]
    figures = {"product_id": "BTC-USD", "price": "100", "best_bid": "99", "best_ask": "101"}
    wire.say(
        "ticker",
        {"type": "snapshot", "tickers": [{**figures, "best_bid_quantity": "1", "best_ask_quantity": "2"}]},
    )
    tickers = [each for each in wire.events if isinstance(each, Ticker)]
    assert {str(each.topic.symbol): (each.last, each.ask_size) for each in tickers} == {
        "BTC-USD": ("100", "2"),
        "BTC-USDC": ("100", "2"),
    }


def test_bars_of_a_minute_are_built_from_trades(wire: Wire) -> None:
    wire.want("spot:BTC-USD:candle:1m")
    wire.pass_time(2)
    start = wire.clock.wall_ms() - wire.clock.wall_ms() % 60_000 + 60_000
    for number, (at, price) in enumerate(((-1, "90"), (0, "100"), (30_000, "104"), (59_999, "99"), (60_000, "1")), 1):
        wire.pass_time(max(0.0, (start + at - wire.clock.wall_ms()) / 1000 + 0.3))
        wire.say("market_trades", trades(trade(number, price, rfc3339(start + at))))
    closed = [each for each in wire.events if isinstance(each, Candle) and each.closed]
    assert [(each.timestamp, each.open, each.high, each.low, each.close, each.volume) for each in closed] == [
        (start, "100", "104", "99", "99", "3")
    ]


def test_no_bar_is_closed_by_the_clock_while_its_last_trades_may_be_on_their_way(wire: Wire) -> None:
    wire.want("spot:BTC-USD:candle:1m")
    wire.pass_time(2)
    start = wire.clock.wall_ms() - wire.clock.wall_ms() % 60_000 + 60_000
    for number, (at, price) in enumerate(((-1, "90"), (0, "100"), (30_000, "104")), 1):
        wire.pass_time(max(0.0, (start + at - wire.clock.wall_ms()) / 1000 + 0.3))
        wire.say("market_trades", trades(trade(number, price, rfc3339(start + at))))
    wire.pass_time((start + 58_000 - wire.clock.wall_ms()) / 1000)
    wire.stall(6.0)  # nothing comes, not even a heartbeat, until four seconds after the end of the bar
    wire.say("market_trades", trades(trade(4, "99", rfc3339(start + 59_500))))
    wire.pass_time(2)
    closed = [each for each in wire.events if isinstance(each, Candle) and each.closed]
    assert [(each.timestamp, each.high, each.close, each.volume) for each in closed] == [(start, "104", "99", "3")]


def test_trades_that_come_again_after_a_reconnect_are_told_once_and_make_no_bar_twice(wire: Wire) -> None:
    wire.want("spot:BTC-USD:candle:1m", TRADES)
    wire.pass_time(2)
    start = wire.clock.wall_ms() - wire.clock.wall_ms() % 60_000 + 60_000
    known = [trade(number, "100", rfc3339(start + at)) for number, at in enumerate((-1, 0, 1_000, 60_000), 1)]
    for each, at in zip(known, (-1, 0, 1_000, 60_000), strict=True):
        wire.pass_time(max(0.0, (start + at - wire.clock.wall_ms()) / 1000 + 0.3))
        wire.say("market_trades", trades(each))
    wire.say("heartbeats", skip=3)
    assert wire.gone == ["gap"]
    wire.pass_time(5)
    wire.say("market_trades", {"type": "snapshot", "trades": [trade(5, "101", rfc3339(start + 61_000)), *known[::-1]]})
    wire.pass_time((start + 120_000 - wire.clock.wall_ms()) / 1000 + 0.3)
    wire.say("market_trades", trades(trade(6, "102", rfc3339(start + 120_000))))
    closed = [each for each in wire.events if isinstance(each, Candle) and each.closed]
    assert [(each.timestamp - start, each.close, each.volume) for each in closed] == [
        (0, "100", "2"),
        (60_000, "101", "2"),
    ]
    assert [each.id for each in wire.events if isinstance(each, Trade)] == ["1", "2", "3", "4", "5", "6"]


def test_bars_that_come_again_after_a_reconnect_are_closed_once(wire: Wire) -> None:
    wire.want("spot:BTC-USD:candle:5m")
    wire.pass_time(2)
    start = wire.clock.wall_ms() - wire.clock.wall_ms() % 300_000
    figures = {"high": "2", "low": "1", "open": "1", "close": "2", "volume": "3", "product_id": "BTC-USD"}
    rows = [{"start": str(start // 1000 + 300 * each), **figures} for each in (0, -1, -2)]
    wire.say("candles", {"type": "snapshot", "candles": rows})
    wire.say("heartbeats", skip=3)
    wire.pass_time(5)
    wire.say("candles", {"type": "snapshot", "candles": rows})
    closed = [each.timestamp for each in wire.events if isinstance(each, Candle) and each.closed]
    assert closed == [start - 600_000, start - 300_000] and wire.fetches == []


def test_bars_of_five_minutes_come_from_their_channel_and_lost_ones_from_rest(wire: Wire) -> None:
    wire.want("spot:BTC-USD:candle:5m")
    wire.pass_time(2)
    length = 300_000
    start = wire.clock.wall_ms() - wire.clock.wall_ms() % length
    figures = {"high": "2", "low": "1", "open": "1", "close": "2", "volume": "3", "product_id": "BTC-USD"}

    def bars(*starts: int) -> dict[str, Any]:
        return {"type": "update", "candles": [{"start": str(each // 1000), **figures} for each in starts]}

    wire.say("candles", bars(start))
    wire.pass_time((start + length - wire.clock.wall_ms()) / 1000 + 1)
    wire.say("candles", bars(start + length))
    closed = [each.timestamp for each in wire.events if isinstance(each, Candle) and each.closed]
    assert closed == [start] and wire.fetches == []
    wire.pass_time(length / 1000 + 10)
    (request,) = wire.fetches
    assert request.path == "/api/v3/brokerage/market/products/BTC-USD/candles"
    params = dict(request.params)
    assert int(params["start"]) <= (start + length) // 1000 <= int(params["end"]) <= wire.clock.wall_ms() // 1000
    rows = [{"start": str((start + each * length) // 1000), **figures} for each in (2, 1)]
    wire.answer(request, {"candles": rows})
    closed = [each.timestamp for each in wire.events if isinstance(each, Candle) and each.closed]
    assert closed == [start, start + length]


def test_a_refusal_is_that_of_the_oldest_request_and_the_bad_name_is_found(wire: Wire) -> None:
    """It names neither request nor product: the request is asked for again in halves."""
    wire.want(BOOK)
    wire.pass_time(2)
    wire.refused = {"ETH-USD"}
    wire.want(TRADES, "spot:ETH-USD:trade")
    wire.pass_time(5)
    asked = [each["product_ids"] for _, _, each in wire.sent if each["channel"] == "market_trades"]
    assert asked == [["BTC-USD", "ETH-USD"], ["BTC-USD"], ["ETH-USD"]]
    assert wire.state("spot:ETH-USD:trade") == (State.CLOSED, Cause.REJECTED)
    wire.say("market_trades", trades(trade(1, "100")))
    assert wire.state(TRADES) == (State.LIVE, None) and wire.gone == []


@pytest.mark.captures
def test_a_recorded_book_is_what_an_independent_rebuild_makes_of_it(captures: Path) -> None:
    wire = Wire(1_787_610_853_000)
    sides: dict[str, dict[Decimal, tuple[str, str]]] = {"bid": {}, "offer": {}}
    wire.want("spot:BTC-USD:order_book:1000")
    wire.pass_time(2)
    frames = 0
    for recorded in read_recording(captures / "coinbase" / "at-level2-btcusd-2026.jsonl"):
        raw = json.loads(recorded.raw)
        wire.say(raw["channel"], *raw["events"])
        if raw["channel"] != "l2_data":
            continue
        frames += 1
        for event in raw["events"]:
            for each in event["updates"]:
                side, price = sides[each["side"]], Decimal(each["price_level"])
                if Decimal(each["new_quantity"]):
                    side[price] = each["price_level"], each["new_quantity"]
                else:
                    del side[price]
        last = [each for each in wire.events if isinstance(each, BookChanged)][-1]
        bids, asks = last.book.top(1000)
        assert list(bids) == [sides["bid"][price] for price in sorted(sides["bid"], reverse=True)]
        assert list(asks) == [sides["offer"][price] for price in sorted(sides["offer"])]
        assert max(sides["bid"]) < min(sides["offer"])
    assert frames == 11 and wire.gone == []


@pytest.mark.captures
def test_a_recorded_trade_at_the_ask_has_the_makers_side(captures: Path) -> None:
    said = json.loads((captures / "coinbase" / "rest-at-ticker.json").read_bytes())
    newest = said["trades"][0]
    assert (newest["price"], newest["side"]) == (said["best_ask"], "SELL"), "somebody bought from who was selling"


@pytest.mark.captures
def test_every_recording_of_todays_feed_is_read(captures: Path) -> None:
    names = {path.name for path in (captures / "coinbase").glob("at-*.jsonl")}
    assert names == {f"at-{each}-btcusd-2026.jsonl" for each in ("level2", "market-trades", "ticker")}
