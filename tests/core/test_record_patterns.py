"""RECORD: which topics a pattern means."""

from __future__ import annotations

import pytest

from cryptodash.core.instruments import Instrument, MarketType, Symbol
from cryptodash.core.numbers import admit
from cryptodash.core.record_patterns import HELD, RecordPattern, record_patterns
from cryptodash.core.topics import parse_topic

ONE = admit("1")


def instrument(base: str, quote: str, market: MarketType = MarketType.SPOT, exchange: str = "acme") -> Instrument:
    return Instrument(exchange, market, Symbol(base, quote), base + quote, ONE, ONE)


@pytest.mark.parametrize(
    ("pattern", "instrument_", "expected"),
    [
        ("trade:acme:spot:*-USDT", instrument("BTC", "USDT"), ["trade"]),
        ("trade:acme:spot:*-USDT", instrument("BTC", "USDC"), []),
        ("trade:acme:spot:*-USDT", instrument("BTC", "USDT", MarketType.PERPETUAL), []),
        ("*:*:*:BTC-USDT", instrument("BTC", "USDT"), ["bbo", "candle:1m", "order_book:50", "ticker", "trade"]),
        (
            "*:*:*:BTC-USDT",
            instrument("BTC", "USDT", MarketType.PERPETUAL),
            ["bbo", "candle:1m", "liquidation", "order_book:50", "ticker", "trade"],
        ),
        ("candle:*:*:*:5m", instrument("BTC", "USDT"), ["candle:5m"]),
        ("candle:*:*:*:3m", instrument("BTC", "USDT"), []),
        ("orderbook:*:*:*", instrument("BTC", "USDT"), ["order_book:50"]),
        ("TRADE:ACME:SPOT:BTC-USDT", instrument("BTC", "USDT"), ["trade"]),
        ("trade:acme:spot:btc-*", instrument("BTC", "USDT"), ["trade"]),
        ("trade:other:spot:*", instrument("BTC", "USDT"), []),
    ],
)
def test_the_topics_of_an_instrument(pattern: str, instrument_: Instrument, expected: list[str]) -> None:
    (read,) = record_patterns(pattern)
    assert isinstance(read, RecordPattern)
    found = read.topics_of(instrument_, 50, ("1m", "5m"))
    prefix = f"{instrument_.exchange}:{instrument_.market}:{instrument_.symbol}:"
    assert sorted(each.text.removeprefix(prefix) for each in found) == expected


def test_what_is_held_matches_at_whatever_depth() -> None:
    (pattern,) = record_patterns("order_book:*:*:BTC-*")
    assert isinstance(pattern, RecordPattern)
    assert pattern.matches(parse_topic("acme:spot:BTC-USDT:order_book:20"))
    assert not pattern.matches(parse_topic("acme:spot:ETH-USDT:order_book:20"))
    (every,) = record_patterns("*:*:*:*")
    assert isinstance(every, RecordPattern) and not every.matches(parse_topic("acme:spot:*"))


def test_held_stands_beside_patterns() -> None:
    assert record_patterns("held") == (HELD,)
    assert [type(each).__name__ for each in record_patterns("Held, ticker:*:*:*")] == ["str", "RecordPattern"]


@pytest.mark.parametrize(
    "text",
    [
        *("ticker", "ticker:a:spot", "ticker:a:spot:", "x:a:spot:B-Q", "ticker:a:future:B-Q", "candle:a:spot:B-Q:7m"),
        *("trade:a:spot:B-Q:1m", "ticker:composite:spot:B-Q", "ticker:a:spot:[AB]-Q", "a:b:c:d:e:f", "t" * 300),
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="held, or patterns"):
        record_patterns(text)


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("trade:binance:spot", "not four or five parts"),
        ("foo:binance:spot:BTC-USDT", "channel_type 'foo' is not one of: ticker, trade"),
        ("trade:binance:swap:BTC-USDT", "market 'swap' is not one of: *, spot, perpetual"),
        ("candle:binance:spot:BTC-USDT:7m", "interval '7m' is not one of: 1m, 3m"),
        ("trade:binance:spot:BTC-USDT:1m", "an interval goes with candle only"),
        ("trade:binance:spot:BTCUSDT", "symbol 'BTCUSDT' is not BASE-QUOTE"),
        ("liquidation:*:spot:*", "liquidation goes with market perpetual only"),
        ("bbo:composite:spot:BTC-USDT", "composite is recorded while it is held"),
        ("trade:binance:spot:[AB]-USDT", "'[' is in no symbol"),
    ],
)
def test_of_several_patterns_the_one_that_is_wrong_is_named_and_what_of_it(pattern: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="held, or patterns") as refused:
        record_patterns(f"held, *:*:*:BTC-USDT, {pattern}, trade:*:spot:*")
    assert f": {pattern!r}: " in str(refused.value) and wrong in str(refused.value)
