"""Kraken's data frames, one reader after the other, and what is no frame of its."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptodash.core.events import Side
from cryptodash.core.numbers import Number
from cryptodash.exchanges.adapter.messages import (
    BadFrame,
    Bar,
    Depth,
    Fill,
    LeftOut,
    Message,
    Quote,
    Stats,
    Trades,
)
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.venues.kraken.venue import VENUE
from cryptodash.testing.readers import read


def said(text: str) -> Sequence[Message]:
    return read(VENUE, "spot", text.encode())


def numbers(*texts: str) -> list[Number]:
    return [Number(text) for text in texts]


def ticker(**members: str) -> str:
    usual = {
        "symbol": '"BTC/USD"', "bid": "63297.7", "bid_qty": "5.75119051", "ask": "63297.8", "ask_qty": "0.36977970",
        "last": "63297.80", "volume": "1020.88387727", "vwap": "63685.7", "low": "63250.0", "high": "64409.2",
        "change": "-0.70", "change_pct": "0.00", "trades": "47535", "timestamp": '"2026-08-12T19:29:00.921195Z"',
    }  # fmt: skip
    data = ",".join(f'"{name}":{text}' for name, text in {**usual, **members}.items())
    return f'{{"channel":"ticker","type":"update","data":[{{{data}}}]}}'


def test_a_ticker_is_a_quote_and_figures_digit_for_digit() -> None:
    quote, stats = said(ticker())
    best = numbers("63297.7", "5.75119051", "63297.8", "0.36977970")
    assert quote == Quote("ticker:BTC/USD", *best, None, 1786562940921)
    prices = numbers("63297.80", "63298.50", "64409.2", "63250.0", "1020.88387727")
    change = {"change": Number("-0.70"), "change_pct": Number("0.00")}
    assert stats == Stats("ticker:BTC/USD", 1786562940921, True, *prices, **change)


def test_a_pair_that_was_never_traded_has_no_figures() -> None:
    zeros = dict.fromkeys(("last", "volume", "vwap", "low", "high", "change", "change_pct", "ask", "ask_qty"), "0")
    (quote,) = said(ticker(**zeros, timestamp='"1970-01-01T00:00:00.000000Z"'))
    assert quote == Quote("ticker:BTC/USD", Number("63297.7"), Number("5.75119051"), None, None, None, None)


@pytest.mark.parametrize(
    ("change", "opened"), [("63297.80", None), ("70000", None), ("null", None), ("0.8", "63297.00")]
)
def test_the_price_a_day_ago_is_last_less_change(change: str, opened: str | None) -> None:
    _, stats = said(ticker(change=change))
    assert isinstance(stats, Stats) and stats.open == opened


def trade(number: int, **members: str) -> str:
    usual = {
        "symbol": '"BTC/USD"', "side": '"buy"', "price": "105944.20", "qty": "0.00027620", "ord_type": '"limit"',
        "trade_id": str(number), "timestamp": '"2023-10-06T17:35:55.440295Z"',
    }  # fmt: skip
    return "{" + ",".join(f'"{name}":{text}' for name, text in {**usual, **members}.items()) + "}"


def trades(*each: str) -> str:
    return f'{{"channel":"trade","type":"update","data":[{",".join(each)}]}}'


def fill(number: int, side: Side = Side.BUY) -> Fill:
    return Fill(str(number), Number("105944.20"), Number("0.00027620"), side, 1696613755440, number)


def test_trades_are_told_oldest_first_whatever_their_order() -> None:
    frame = trades(trade(10218209, side='"sell"'), trade(10218208))
    assert said(frame) == (Trades("trade:BTC/USD", [fill(10218208), fill(10218209, Side.SELL)]),)


def test_a_trade_of_nothing_is_left_out() -> None:
    told, left_out = said(trades(trade(7), trade(8, qty="0.00000000")))
    assert told == Trades("trade:BTC/USD", [fill(7)])
    assert isinstance(left_out, LeftOut) and [name for name, _ in left_out.elements] == ["8"]


def bar(begin: str, close: str = "63297.70", **members: str) -> str:
    usual = {
        "symbol": '"BTC/USD"', "open": "63301.6", "high": "63301.6", "low": "63297.7", "close": close, "trades": "27",
        "volume": "0.04121240", "vwap": "63298.2", "interval_begin": f'"2026-08-12T{begin}.000000000Z"',
        "interval": "1", "timestamp": '"2026-08-12T19:29:00.000000Z"',
    }  # fmt: skip
    return "{" + ",".join(f'"{name}":{text}' for name, text in {**usual, **members}.items()) + "}"


def bars(*each: str) -> str:
    sent = "2026-08-12T19:28:44.084233010Z"
    return f'{{"channel":"ohlc","type":"snapshot","timestamp":"{sent}","data":[{",".join(each)}]}}'


def test_bars_open_when_they_begin_and_are_closed_by_the_next() -> None:
    prices = numbers("63301.6", "63301.6", "63297.7", "63297.70", "0.04121240")
    expected = [
        Bar("ohlc:1:BTC/USD", 1786562820000, *prices, True, 1786562924084),
        Bar("ohlc:1:BTC/USD", 1786562880000, *prices, None, 1786562924084),
    ]
    assert list(said(bars(bar("19:28:00"), bar("19:27:00")))) == expected


BOOK = '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[%s],"asks":[],%s}]}'


def test_a_book_frame_keeps_every_digit() -> None:
    levels = '{"price":63005.0,"qty":0.00000000},{"price":63004.90,"qty":0.00005100}'
    (depth,) = said(BOOK % (levels, '"checksum":3629011692,"timestamp":"2026-08-01T02:53:54.966086Z"'))
    bids = [tuple(numbers("63005.0", "0.00000000")), tuple(numbers("63004.90", "0.00005100"))]
    time, checksum = 1785552834966, 3629011692
    assert depth == Depth("book:10:BTC/USD", False, None, None, None, bids, [], time, checksum=checksum)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOOK % ("", '"timestamp":"2026-08-01T02:53:54Z"'), "schema"),  # nothing would show a loss
        (BOOK % ("", '"checksum":-1'), "schema"),
        (BOOK % ("", '"checksum":4294967296'), "schema"),
        (BOOK % ('{"price":0,"qty":1}', '"checksum":1'), "number"),
        (BOOK % ('{"price":1,"qty":-1}', '"checksum":1'), "number"),
        (BOOK % ('{"price":"1","qty":1}', '"checksum":1'), "number"),
        (BOOK % ("", '"checksum":1,"timestamp":"soon"'), "schema"),
        (BOOK % ("", '"checksum":1,"timestamp":"2026-08-01T02:53:54"'), "schema"),
        (BOOK % ("", '"checksum":1,"timestamp":"1969-08-01T02:53:54Z"'), "schema"),
        ('{"channel":"book","type":"update","data":[]}', "schema"),
        ('{"channel":"book","type":"other","data":[{"symbol":"BTC/USD","bids":[],"asks":[]}]}', "schema"),
        (trades(trade(1), trade(2, symbol='"ETH/USD"')), "symbol"),
        (trades(trade(1, side='"b"')), "schema"),
        (trades(trade(1, price="1e99")), "number"),
        (trades(trade(1, price='"1"')), "number"),
        (trades(trade(1, price="0")), "number"),
        (bars(bar("19:28:00"), bar("19:29:00", interval="5")), "symbol"),
        (bars(bar("19:28:00", interval="7")), "unknown"),
        (bars(bar("19:28:00", close="true")), "number"),
        (ticker(last='"1"'), "number"),
        (ticker(bid="-1"), "number"),
        (ticker(symbol=f'"{"x" * 200}"'), "schema"),
        ("{}", "unknown"),
        ('{"method":"add_order","success":true}', "unknown"),
        ("[1]", "schema"),
        ("<html>", "json"),
    ],
)
def test_a_bad_frame_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(BadFrame) as caught:
        said(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "name", ["", "book:BTC/USD", "book:20:BTC/USD", "ohlc:3:X", "ticker:", "level3:X", "trade:" + "x" * 200]
)
def test_a_name_that_is_none_of_ours_has_no_reader(name: str) -> None:
    with pytest.raises(BadFrame):
        VENUE.reader(StreamSpec("spot", name, frozenset()))


@pytest.mark.parametrize(
    ("stream", "text", "expected"),
    [
        ("book:10:BTC/USD", BOOK % ("", '"checksum":1,"timestamp":"2026-08-01T02:53:54.966086Z"'), 1785552834966),
        ("book:10:BTC/USD", (BOOK % ("", '"timestamp":"2026-08-01T02:53:54Z"')).replace("update", "snapshot"), None),
        ("ohlc:1:BTC/USD", bars(bar("19:28:00")).replace("snapshot", "update"), 1786562924084),
        ("ohlc:1:BTC/USD", bars(bar("19:28:00")), None),
        ("book:10:BTC/USD", BOOK % ("", '"checksum":1,"timestamp":"soon"'), None),
    ],
)
def test_updates_tell_when_they_were_sent(stream: str, text: str, expected: int | None) -> None:
    tell = VENUE.sending_time(StreamSpec("spot", stream, frozenset()))
    assert tell is not None and tell(text.encode()) == expected
    for untimed in ("ticker:BTC/USD", "trade:BTC/USD"):
        assert VENUE.sending_time(StreamSpec("spot", untimed, frozenset())) is None


@given(st.decimals(min_value="0.00000001", max_value=10**9, places=8))
def test_numbers_keep_every_digit(price: object) -> None:
    text = format(price, "f")
    (told,) = said(trades(trade(1, price=text)))
    assert isinstance(told, Trades) and told.fills[0].price == text
