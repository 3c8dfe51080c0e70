"""Cursors name events; what is none is refused with a reason."""

from __future__ import annotations

import json

import pytest

from cryptodash.core import codec
from cryptodash.core.cursors import MAX_LENGTH, Cursor, read_cursor
from cryptodash.core.errors import Refused
from cryptodash.core.events import Candle, Liquidation, Side, Trade
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Topic, parse_topic

TRADES = parse_topic("binance:spot:BTC-USDT:trade")
LIQUIDATIONS = parse_topic("bybit:perpetual:BTC-USDT:liquidation")
BARS = parse_topic("binance:spot:BTC-USDT:candle:1m")
ONE = Number("1")


def trade(trade_id: str, topic: Topic = TRADES) -> Trade:
    return Trade(topic, 1_700_000_000_000, 1, trade_id, ONE, ONE, Side.BUY)


def cursor_in(payload: str) -> str:
    return str(json.loads(payload)["cursor"])


@pytest.mark.parametrize("trade_id", ["123", "f3b2-11d-x", 'a"b\\c', "ü", "", "a-1\n"])
def test_a_trade_is_found_by_the_cursor_of_its_message(trade_id: str) -> None:
    text = cursor_in(codec.trade_payload(trade(trade_id)))
    assert read_cursor(text, TRADES) == Cursor(1_700_000_000_000, trade_id)


def test_liquidations_without_an_id_are_told_apart_by_what_they_say() -> None:
    def of(quantity: str, liquidation_id: str = "") -> Cursor:
        event = Liquidation(LIQUIDATIONS, 5, 1, Side.SELL, Number("61.5"), Number(quantity), liquidation_id)
        return read_cursor(cursor_in(codec.liquidation_payload(event)), LIQUIDATIONS)

    assert of("2").time == 5
    assert of("2") != of("3")
    assert of("2", "77").id == "77"


def test_a_closed_bar_has_a_cursor_and_a_corrected_one_another() -> None:
    def bar(*, closed: bool = True, close: str = "1", corrected: bool = False) -> str:
        return codec.candle_payload(
            Candle(BARS, 60_000, 1, ONE, ONE, ONE, Number(close), ONE, closed, "rest", corrected)
        )

    assert "cursor" not in json.loads(bar(closed=False))
    cursors = [cursor_in(bar()), cursor_in(bar(corrected=True)), cursor_in(bar(corrected=True, close="2"))]
    assert len(set(cursors)) == 3
    assert {read_cursor(each, BARS).time for each in cursors} == {60_000}


@pytest.mark.parametrize(
    "text",
    [
        7,
        "",
        "x",
        "12345678",
        "12345678-1",
        f"{TRADES.tag}--1",
        f"{TRADES.tag}-x-1",
        f"{TRADES.tag}-1-" + "9" * MAX_LENGTH,
    ],
)
def test_what_is_no_cursor_is_refused(text: object) -> None:
    with pytest.raises(Refused, match="since is not a cursor") as refused:
        read_cursor(text, TRADES)
    assert refused.value.code == "invalid_since"


def test_a_cursor_of_another_topic_is_refused() -> None:
    other = parse_topic("binance:spot:ETH-USDT:trade")
    with pytest.raises(Refused, match="of another topic than binance:spot:ETH-USDT:trade"):
        read_cursor(cursor_in(codec.trade_payload(trade("1"))), other)


@pytest.mark.parametrize("name", ["ticker", "bbo", "order_book:50"])
def test_what_begins_with_what_is_true_now_takes_no_cursor(name: str) -> None:
    with pytest.raises(Refused, match="since does not go with"):
        read_cursor("", parse_topic(f"binance:spot:BTC-USDT:{name}"))
