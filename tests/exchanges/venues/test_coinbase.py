"""Coinbase Advanced Trade: plans, frames both ways and REST, as tables from the venue's documentation and from recorded
frames."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptodash.core.events import Side
from cryptodash.core.instruments import ANY, Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.intervals import INTERVALS
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Bar,
    Depth,
    Fill,
    Heartbeat,
    Ignored,
    LeftOut,
    Message,
    Quote,
    Sequenced,
    Stats,
    SweepRow,
    SweepRows,
    Trades,
    Unwanted,
)
from cryptodash.exchanges.adapter.plan import Part, StreamSpec
from cryptodash.exchanges.venues.coinbase import rest
from cryptodash.exchanges.venues.coinbase.figures import open_24h
from cryptodash.exchanges.venues.coinbase.venue import VENUE
from cryptodash.exchanges.venues.coinbase.wire import sent_at, time_of
from cryptodash.testing.readers import read

SPOT = MarketType.SPOT
BTC = Instrument("coinbase", SPOT, Symbol("BTC", "USD"), "BTC-USD", Number("0.01"), Number("0.00000001"))
USDC = evolve(BTC, symbol=Symbol("BTC", "USDC"), native="BTC-USDC", alias_of="BTC-USD")
SENT = "2026-08-12T19:27:33.489674268Z"
SENT_MS = 1_786_562_853_489


def topic(channel: Channel, interval: str = "") -> Topic:
    return Topic("coinbase", SPOT, BTC.symbol, channel, interval=interval)


def frame(channel: str, *events: Mapping[str, Any], number: int = 7, sent: str = SENT) -> bytes:
    document = {"channel": channel, "timestamp": sent, "sequence_num": number, "events": list(events)}
    return json.dumps(document, separators=(",", ":")).encode()


def said(channel: str, *events: Mapping[str, Any]) -> Sequence[Message]:
    """What a frame says beside its place."""
    place, *messages = read(VENUE, "spot", frame(channel, *events))
    assert place == Sequenced(7)
    return messages


# Plans


@pytest.mark.parametrize(
    ("channel", "interval", "name", "parts"),
    [
        (Channel.TICKER, "", "ticker:BTC-USD", {Part.QUOTE, Part.LAST, Part.STATS}),
        (Channel.TRADE, "", "market_trades:BTC-USD", {Part.TRADES}),
        (Channel.ORDER_BOOK, "", "level2:BTC-USD", {Part.BOOK}),
        (Channel.CANDLE, "5m", "candles:BTC-USD", {Part.CANDLE}),
        (Channel.CANDLE, "1m", "market_trades:BTC-USD", {Part.TRADES}),
        (Channel.CANDLE, "1d", "market_trades:BTC-USD", {Part.TRADES}),
    ],
)
@pytest.mark.parametrize("instrument", [BTC, USDC], ids=lambda each: each.native)
def test_every_channel_is_planned_by_the_name_that_its_frames_have(
    channel: Channel, interval: str, name: str, parts: set[Part], instrument: Instrument
) -> None:
    (spec,) = VENUE.plan(topic(channel, interval), instrument, 50).streams
    assert (spec.name, set(spec.parts), spec.batch, spec.depth) == (name, parts, name.partition(":")[0], None)


def test_a_connection_carries_heartbeats_and_takes_the_largest_snapshot() -> None:
    (heartbeats,) = VENUE.endpoints["spot"].standing
    assert (heartbeats.name, heartbeats.parts) == ("heartbeats", frozenset())
    limits = VENUE.limits["spot"]
    assert limits.max_frame >= 16 * 1024 * 1024
    assert limits.max_connections / limits.message_gap <= 8, "messages a second of one address"


def test_intervals_are_those_that_rest_has_too() -> None:
    assert set(VENUE.intervals(SPOT)) == {"1m", "5m", "15m", "30m", "1h", "2h", "6h", "1d"} <= set(INTERVALS)


@pytest.mark.parametrize("name", ["", "ticker", "ticker:", "l2_data:BTC-USD", "status:BTC-USD", "level2:" + "X" * 130])
def test_a_name_that_is_none_of_the_venues_has_no_reader(name: str) -> None:
    with pytest.raises(BadFrame):
        VENUE.reader(StreamSpec("spot", name, frozenset()))


# Times


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-08-12T19:27:33.489674268Z", SENT_MS),
        ("2026-08-12T19:27:33.48967426Z", SENT_MS),
        ("2026-08-12T19:27:33.4Z", SENT_MS - 89),
        ("2026-08-12T19:27:33Z", SENT_MS - 489),
        ("2026-08-12T19:27:33.999999999Z", SENT_MS + 510),
    ],
)
def test_times_have_up_to_nine_decimals_without_their_last_zeros(text: str, ms: int) -> None:
    assert time_of(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-08-12",
        "2026-08-12T19:27:33.Z",
        "2026-08-12T19:27:33+01:00",
        "2026-13-12T19:27:33Z",
        "0001-01-01T00:00:00Z",
        "2026-08-12T19:27:33.1234567890Z",
        "٢٠٢٦-08-12T19:27:33Z",
    ],
)
def test_what_is_no_time_is_bad(text: str) -> None:
    with pytest.raises(BadFrame):
        reading(time_of, text)


@given(st.integers(min_value=0, max_value=253_402_300_799), st.integers(min_value=0, max_value=999_999_999))
@settings(max_examples=200)
def test_every_time_is_exact(second: int, nanosecond: int) -> None:
    moment = datetime.fromtimestamp(second, timezone.utc)
    decimals = f".{nanosecond:09}".rstrip("0").rstrip(".")
    assert time_of(f"{moment:%Y-%m-%dT%H:%M:%S}{decimals}Z") == second * 1000 + nanosecond // 1_000_000


def test_the_time_of_sending_is_the_envelopes_but_for_old_states() -> None:
    update, snapshot = ({"type": kind, "product_id": "BTC-USD", "updates": []} for kind in ("update", "snapshot"))
    assert sent_at(frame("l2_data", update)) == SENT_MS
    assert sent_at(frame("l2_data", snapshot)) is None
    assert sent_at(frame("l2_data", update, sent="2026-99-12T19:27:33.489674268Z")) is None
    assert sent_at(b"{}") is None
    assert VENUE.sending_time(StreamSpec("spot", "ticker:BTC-USD", frozenset())) is sent_at


# Ticker


def ticker(**changed: str) -> dict[str, str]:
    return {
        "type": "ticker",
        "product_id": "BTC-USD",
        "price": "63320.73",
        "volume_24_h": "6629.927726",
        "low_24_h": "63235.88",
        "high_24_h": "64416.3",
        "price_percent_chg_24_h": "0.03813791548644",
        "best_bid": "63320.73",
        "best_ask": "63320.74",
        "best_bid_quantity": "0.12636254",
        "best_ask_quantity": "0.49679101",
    } | changed


def ticker_of(instrument: Instrument | None, **changed: str) -> Sequence[Message]:
    read_ticker = VENUE.reader(StreamSpec("spot", "ticker:BTC-USD", frozenset(), instrument=instrument))
    return read_ticker("ticker:BTC-USD", frame("ticker", {"type": "update", "tickers": [ticker(**changed)]}))


def test_a_ticker_is_a_quote_and_the_figures_of_a_day() -> None:
    quote, stats = ticker_of(BTC)
    best = Number("63320.73"), Number("0.12636254"), Number("63320.74"), Number("0.49679101")
    assert quote == Quote("ticker:BTC-USD", *best, None, SENT_MS)
    assert stats == Stats(
        "ticker:BTC-USD",
        SENT_MS,
        last=Number("63320.73"),
        open=Number("63296.59"),
        high=Number("64416.3"),
        low=Number("63235.88"),
        volume=Number("6629.927726"),
        change_pct=Number("0.03813791548644"),
    )


def test_odd_tickers() -> None:
    quote, stats = ticker_of(BTC, price="0", best_bid="", best_bid_quantity="", price_percent_chg_24_h="")
    assert isinstance(quote, Quote) and (quote.bid, quote.bid_size, quote.ask) == (None, None, "63320.74")
    assert isinstance(stats, Stats) and (stats.last, stats.open, stats.change_pct) == (None, None, None)
    assert stats.volume == "6629.927726"
    (_, stats) = ticker_of(None)
    assert isinstance(stats, Stats) and stats.open is None, "no tick is known"
    for changed in ({"price": "-1"}, {"best_bid": "1e999"}, {"volume_24_h": "NaN"}):
        with pytest.raises(BadFrame):
            reading(lambda odd=changed: ticker_of(BTC, **odd))


@pytest.mark.parametrize(
    ("last", "percent", "tick", "expected"),
    [
        ("63320.73", "0.03813791548644", "0.01", "63296.59"),
        ("68923.67", "-0.28560028286595", "0.01", "69121.08"),
        ("0.00001200", "20", "0.00000001", "0.00001"),
        ("5", "0", "1", "5"),
        ("63320.73", "0.038", "0.01", None),  # too few digits: not a whole number of ticks
        ("63320.73", "-100", "0.01", None),
        ("63320.73", "-250", "0.01", None),
        ("0.01", "100000000", "0.01", None),
        (None, "1", "0.01", None),
        ("1", None, "0.01", None),
    ],
)
def test_the_open_follows_from_the_change_where_it_is_exact(
    last: str | None, percent: str | None, tick: str, expected: str | None
) -> None:
    found = open_24h(None if last is None else Number(last), None if percent is None else Number(percent), Number(tick))
    assert (None if found is None else float(found)) == (None if expected is None else float(expected))


# Trades


def trade(number: int | str, side: str = "BUY", **changed: str) -> dict[str, str]:
    return {
        "product_id": "BTC-USD",
        "trade_id": str(number),
        "price": "63310.25",
        "size": "0.00000012",
        "time": "2026-08-12T19:27:48.298771Z",
        "side": side,
    } | changed


def test_trades_come_newest_first_and_tell_the_makers_side() -> None:
    (trades,) = said("market_trades", {"type": "update", "trades": [trade(12, "SELL"), trade(11, "BUY")]})
    text = Number("63310.25"), Number("0.00000012")
    assert trades == Trades(
        "market_trades:BTC-USD",
        [
            Fill("11", *text, Side.SELL, 1_786_562_868_298, 11),
            Fill("12", *text, Side.BUY, 1_786_562_868_298, 12),
        ],
    )


def test_a_trade_of_nothing_is_left_out_and_said() -> None:
    trades, left_out = said("market_trades", {"type": "update", "trades": [trade(12, size="0"), trade(11)]})
    assert isinstance(trades, Trades) and [each.id for each in trades.fills] == ["11"]
    assert isinstance(left_out, LeftOut) and [name for name, _ in left_out.elements] == ["12"]


@pytest.mark.parametrize(
    "odd", [trade("a1"), trade(1, "UNKNOWN"), trade(1, price="x"), trade(1, time="yesterday"), trade("9" * 19)]
)
def test_an_odd_trade_makes_the_frame_bad(odd: Mapping[str, str]) -> None:
    with pytest.raises(BadFrame):
        said("market_trades", {"type": "update", "trades": [trade(11), odd]})


# Book


def update(side: str, price: str, size: str, time: str = "2026-08-24T22:34:13.788063Z") -> dict[str, str]:
    return {"side": side, "event_time": time, "price_level": price, "new_quantity": size}


def test_a_book_has_bids_and_offers_and_the_time_of_the_matching_engine() -> None:
    updates = [update("bid", "78854.48", "0"), update("offer", "78856.06", "0.18983151"), update("bid", "78856", "2")]
    for kind in ("snapshot", "update"):
        (depth,) = said("l2_data", {"type": kind, "product_id": "BTC-USD", "updates": updates})
        bids, asks = [("78854.48", "0"), ("78856", "2")], [("78856.06", "0.18983151")]
        assert depth == Depth(
            "level2:BTC-USD",
            kind == "snapshot",
            None,
            None,
            None,
            [(Number(price), Number(size)) for price, size in bids],
            [(Number(price), Number(size)) for price, size in asks],
            1_787_610_853_788,
        )


def test_a_frame_without_levels_is_a_sign_of_life() -> None:
    (depth,) = said("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": []})
    assert depth == Depth("level2:BTC-USD", False, None, None, None, [], [], None)


@pytest.mark.parametrize(
    "odd", [update("ask", "1", "1"), update("bid", "0", "1"), update("bid", "1", "-1"), update("bid", "1", "")]
)
def test_an_odd_level_makes_the_frame_bad(odd: Mapping[str, str]) -> None:
    with pytest.raises(BadFrame):
        said("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": [update("bid", "1", "1"), odd]})


# Candles


def candle(start: str, **changed: str) -> dict[str, str]:
    figures = {"high": "1867.72", "low": "1865.63", "open": "1867.38", "close": "1866.81", "volume": "0.20269406"}
    return {"start": start, **figures, "product_id": "BTC-USD"} | changed


def test_bars_have_seconds_and_come_oldest_first_and_are_closed_by_the_next() -> None:
    first, second = said("candles", {"type": "snapshot", "candles": [candle("1688998500"), candle("1688998200")]})
    prices = Number("1867.38"), Number("1867.72"), Number("1865.63"), Number("1866.81")
    volume = Number("0.20269406")
    assert first == Bar("candles:BTC-USD", 1_688_998_200_000, *prices, volume, True, SENT_MS)
    assert isinstance(second, Bar) and (second.open_time, second.closed) == (1_688_998_500_000, None)


def test_odd_bars() -> None:
    good, left_out = said("candles", {"type": "update", "candles": [candle("300"), candle("600", open="0")]})
    assert isinstance(good, Bar) and isinstance(left_out, LeftOut)
    for odd in (candle("999999999999999"), candle("x"), candle("300", volume="-1")):
        with pytest.raises(BadFrame):
            said("candles", {"type": "update", "candles": [odd]})


# Frames


def test_products_that_share_a_frame_are_told_apart() -> None:
    own = {"type": "update", "product_id": "BTC-USD", "updates": [update("bid", "1", "1")]}
    other = {"type": "update", "product_id": "ETH-USD", "updates": [update("bid", "2", "1")]}
    both = said("l2_data", other, own, other)
    assert [getattr(each, "stream", "") for each in both] == ["level2:ETH-USD", "level2:ETH-USD", "level2:BTC-USD"]
    readers = {"level2:BTC-USD": VENUE.reader(StreamSpec("spot", "level2:BTC-USD", frozenset()))}
    _, depth, unwanted = VENUE.read("spot", frame("l2_data", other, own), readers)
    assert isinstance(depth, Depth) and depth.bids == [("1", "1")]
    assert unwanted == Unwanted("level2:ETH-USD")
    with pytest.raises(BadFrame, match="ETH-USD"):
        readers["level2:BTC-USD"]("level2:BTC-USD", frame("l2_data", other))


@pytest.mark.parametrize("native", ["币安人生-USD", "a$B.c-USD", "1INCH-USD"])
def test_names_keep_their_text(native: str) -> None:
    (depth,) = said("l2_data", {"type": "update", "product_id": native, "updates": []})
    assert getattr(depth, "stream", "") == f"level2:{native}"
    request = json.loads(VENUE.subscribe("spot", [f"level2:{native}"], "1"))
    assert request == {"type": "subscribe", "product_ids": [native], "channel": "level2"}


def test_frames_that_are_none_of_ours() -> None:
    assert said("status", {"type": "snapshot", "products": [{"id": "BTC-USD"}]}) == [Ignored("status")]
    assert said("ticker", {"type": "update", "tickers": []}) == [Ignored("ticker")]
    refusal = b'{"type":"error","message":"authentication failure"}'
    assert read(VENUE, "spot", refusal) == (Ack(ok=False, reason="authentication failure"),)
    assert said("heartbeats", {"current_time": "now", "heartbeat_counter": "1"}) == [Heartbeat(SENT_MS)]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"welcome"}',
        b'{"channel":"ticker","timestamp":"2026-08-12T19:27:33Z","events":[]}',  # its place cannot be known
        b'{"channel":"subscriptions","sequence_num":1,"events":[{"subscriptions":[]}]}',
        b'{"channel":"l2_data","sequence_num":-1,"events":[]}',
    ],
)
def test_frames_that_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        read(VENUE, "spot", raw)


# REST


def product(**changed: Any) -> dict[str, Any]:
    return {
        "product_id": "BTC-USD",
        "price": "68925.98",
        "price_percentage_change_24h": "-0.28225832119521",
        "volume_24h": "11005.02587005",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "price_increment": "0.01",
        "quote_min_size": "1",
        "base_min_size": "0.00000001",
        "status": "online",
        "product_type": "SPOT",
        "quote_currency_id": "USD",
        "base_currency_id": "BTC",
        "alias": "",
    } | changed


def body(*products: Any) -> bytes:
    return json.dumps({"products": products, "num_products": len(products), "pagination": None}).encode()


def catalogue(*products: Any) -> Sequence[Instrument]:
    (request,) = VENUE.catalogue_requests(SPOT)
    found, following = VENUE.read_catalogue(request, body(*products))
    assert following is None
    return found


def test_a_product_is_an_instrument_and_an_alias_knows_whose() -> None:
    usd, usdc = catalogue(product(), product(product_id="BTC-USDC", quote_currency_id="USDC", alias="BTC-USD"))
    sizes: dict[str, Any] = {"min_qty": Number("0.00000001"), "min_notional": Number("1")}
    assert usd == evolve(BTC, venue_status="online", **sizes)
    assert usdc == evolve(USDC, venue_status="online", **sizes)
    listed = Catalogue("coinbase")
    listed.replace(SPOT, [usd, usdc])
    assert (listed.native(SPOT, "BTC-USD"), listed.native(SPOT, "BTC-USDC")) == (usd, usdc)


@pytest.mark.parametrize(
    ("changed", "status", "venue_status"),
    [
        ({}, "trading", "online"),
        ({"status": ""}, "trading", ""),
        ({"limit_only": True}, "trading", "online, limit_only"),
        ({"status": "", "view_only": True}, "halted", "view_only"),
        ({"cancel_only": True}, "halted", "online, cancel_only"),
        ({"post_only": True}, "halted", "online, post_only"),
        ({"auction_mode": True}, "halted", "online, auction_mode"),
        ({"trading_disabled": True, "is_disabled": True}, "halted", "online, is_disabled, trading_disabled"),
        ({"status": "offline"}, "halted", "offline"),
        ({"status": "internal"}, "halted", "internal"),
        ({"status": "delisted", "trading_disabled": True}, "delisted", "delisted, trading_disabled"),
        ({"status": "something new"}, "halted", "something new"),
    ],
)
def test_a_status_is_judged_with_its_flags(changed: Mapping[str, Any], status: str, venue_status: str) -> None:
    (found,) = catalogue(product(**changed))
    assert (found.status, found.venue_status) == (status, venue_status)


def test_what_is_no_spot_product_is_not_read_and_what_is_odd_is_left_out() -> None:
    found = catalogue(
        product(),
        {"product_type": "FUTURE"},
        {"product_id": "X-USD"},
        product(product_id="Y-USD", base_increment="", base_currency_id="Y"),
        product(product_id="币安人生-USD", base_currency_id="", quote_currency_id=""),
        product(product_id="A-B-USD", base_currency_id="", quote_currency_id="", price_increment=""),
    )
    assert [each.native for each in found] == ["BTC-USD", "币安人生-USD", "A-B-USD"]
    assert [tuple(each.symbol) for each in found[1:]] == [("币安人生", "USD"), ("A-B", "USD")]
    assert [name for name, _ in left_out_of(found)] == ["X-USD"]


@pytest.mark.parametrize(
    ("interval", "limit", "end", "start", "wanted"),
    [
        ("1h", 2, 1_712_192_400_000, 1_712_188_800, 2),
        ("1h", 2, 1_712_192_400_000 + 1_234_567, 1_712_188_800, 2),
        ("1m", 1, 1_712_192_459_999, 1_712_192_400, 1),
        ("1m", 1000, 1_712_192_400_000, 1_712_192_400 - 299 * 60, 300),
        ("1d", 300, 1_000_000_000, 0, 300),
    ],
)
def test_bars_are_asked_for_by_their_first_and_last(
    interval: str, limit: int, end: int, start: int, wanted: int
) -> None:
    request = VENUE.candles_request(topic(Channel.CANDLE, interval), USDC, limit, end)
    assert request.path == "/api/v3/brokerage/market/products/BTC-USDC/candles"
    assert dict(request.params) == {
        "start": str(start),
        "end": str(end // 1000),
        "granularity": rest.INTERVALS[interval],
    }
    assert (request.limit, request.needs_end) == (wanted, False)


def test_bars_up_to_now_need_an_end() -> None:
    assert VENUE.candles_request(topic(Channel.CANDLE, "1h"), BTC, 2, None).needs_end


def test_bars_of_rest_that_cannot_be_read_are_left_out() -> None:
    request = VENUE.candles_request(topic(Channel.CANDLE, "1h"), BTC, 2, 0)
    rows = [candle("1712192400"), candle("1712188800", volume="-5")]
    bars = VENUE.read_candles(request, json.dumps({"candles": rows}).encode())
    assert [(each.open_time, each.close, each.closed) for each in bars] == [(1_712_192_400_000, "1866.81", None)]
    assert [name for name, _ in left_out_of(bars)] == ["1712188800"]
    assert VENUE.read_candles(request, b'{"candles":[]}') == []


def test_the_sweep_is_the_list_of_all_products() -> None:
    (poll,) = VENUE.plan(Topic("coinbase", SPOT, ANY, Channel.TICKER), None, 0).polls
    never = {"price": "", "price_percentage_change_24h": "", "volume_24h": ""}
    rows = body(product(), product(product_id="NEW-USD", **never), {"product_type": "FUTURE"}, {"product_id": 1})
    found, left_out = VENUE.read_poll(poll.request, rows)
    assert isinstance(found, SweepRows) and isinstance(left_out, LeftOut) and len(left_out.elements) == 1
    figures: dict[str, Any] = {
        "last": Number("68925.98"),
        "open": Number("69121.08"),
        "volume": Number("11005.02587005"),
        "change_pct": Number("-0.28225832119521"),
    }
    assert found.rows == [
        SweepRow("BTC-USD", None, Stats(found.stream, None, **figures), None),
        SweepRow("NEW-USD", None, Stats(found.stream, None), None),
    ]


def test_a_probe_proves_that_the_venue_answers_and_nothing_of_its_clock() -> None:
    request = VENUE.probe_request(SPOT)
    assert request.path == "/api/v3/brokerage/time"
    good = b'{"iso":"2026-04-07T14:30:10Z","epochSeconds":"1775572210","epochMillis":"1775572210012"}'
    assert VENUE.read_probe(request, good) is None
    with pytest.raises(BadFrame):
        reading(VENUE.read_probe, request, b"<html>")


def test_there_is_no_seed() -> None:
    assert VENUE.seed_request(SPOT, ["BTC-USD"]) is None


def test_a_snapshot_to_compare_with_has_no_number() -> None:
    request = VENUE.snapshot_request(topic(Channel.ORDER_BOOK), BTC, 50)
    assert request is not None and request.path == "/api/v3/brokerage/market/product_book"
    assert (dict(request.params), request.limit) == ({"product_id": "BTC-USD", "limit": "50"}, 50)
    sides = {"bids": [{"price": "9.5", "size": "1.0"}], "asks": [{"price": "10", "size": "2"}]}
    book = {"pricebook": {"product_id": "BTC-USD", **sides, "time": "2026-01-01T00:00:00Z"}, "last": "9.75"}
    depth = VENUE.read_snapshot(request, json.dumps(book).encode())
    assert (depth.snapshot, depth.last, depth.sequence) == (True, None, None)
    assert (depth.bids, depth.asks) == ([("9.5", "1.0")], [("10", "2")])
    for wrong in (b"{}", json.dumps({"pricebook": {"product_id": "ETH-USD", **sides}}).encode()):
        with pytest.raises(BadFrame):
            reading(VENUE.read_snapshot, request, wrong)


def test_a_snapshot_of_a_book_that_is_listed_twice_is_asked_for_and_answers_by_the_name_of_its_stream() -> None:
    request = VENUE.snapshot_request(topic(Channel.ORDER_BOOK), USDC, 50)
    assert request is not None and dict(request.params)["product_id"] == "BTC-USD"
    sides = {"bids": [{"price": "9.5", "size": "1.0"}], "asks": [{"price": "10", "size": "2"}]}
    body = json.dumps({"pricebook": {"product_id": "BTC-USD", **sides}}).encode()
    assert VENUE.read_snapshot(request, body).bids == [("9.5", "1.0")]
