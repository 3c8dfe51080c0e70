"""The words of scopes, and the channels that they allow."""

from __future__ import annotations

import pytest

from cryptodash.api.access.grant import EVERYTHING, NOTHING
from cryptodash.api.access.scopes import MOST_PATTERNS, read_scopes
from cryptodash.core.quote_aliases import QuoteAliases
from cryptodash.core.topics import Channel, parse_topic

TICKER = "binance:spot:BTC-USDT:ticker"
SWEEP = "binance:spot:*:ticker"
BOOK = "bybit:perpetual:ETH-USDT:order_book:20"
BBO = "composite:spot:BTC-USDT:bbo"


@pytest.mark.parametrize(
    ("scopes", "allowed", "refused"),
    [
        ("read", [TICKER, SWEEP, BOOK, BBO], []),
        ("read:*", [TICKER, SWEEP, BOOK, BBO], []),
        ("read:*:*:*:*", [TICKER, SWEEP, BOOK, BBO], []),
        ("read:ticker:binance:*", [TICKER, SWEEP], [BOOK, BBO, "bybit:spot:BTC-USDT:ticker"]),
        ("read:ticker", [TICKER, SWEEP, "kraken:spot:BTC-USD:ticker"], [BOOK, "binance:spot:BTC-USDT:trade"]),
        ("read:ticker:Binance", [TICKER], [BOOK]),
        ("read:*:binance", [TICKER, "binance:spot:BTC-USDT:candle:1m"], [BOOK, BBO]),
        ("read:orderbook:bybit:perpetual:ETH-USDT", [BOOK, "bybit:perpetual:ETH-USDT:order_book:500"], [TICKER]),
        ("read:order_book:bybit:spot", [], [BOOK]),
        ("read:ticker:binance:spot:BTC-USDT", [TICKER], [SWEEP, "binance:spot:ETH-USDT:ticker"]),
        ("read:ticker:binance:spot:BTC-*", [TICKER, "binance:spot:BTC-USDC:ticker"], [SWEEP]),
        ("read:ticker:binance:spot:*-USDT", [TICKER], [SWEEP, "binance:spot:BTC-USDC:ticker"]),
        ("read:bbo:binance read:bbo:bybit", ["binance:spot:BTC-USDT:bbo"], [BBO]),
        ("read:bbo:composite", [BBO], ["binance:spot:BTC-USDT:bbo", "composite:spot:BTC-USDT:order_book:20"]),
        ("read:bbo", [BBO, "binance:spot:BTC-USDT:bbo"], [TICKER]),
        ("read:bbo:*:perpetual", [], [BBO]),
        ("admin", [], [TICKER, SWEEP, BOOK, BBO]),
        ("read:trade admin", ["binance:spot:BTC-USDT:trade"], [TICKER]),
    ],
)
def test_what_patterns_allow(scopes: str, allowed: list[str], refused: list[str]) -> None:
    grant = read_scopes(scopes.split())
    assert {text: grant.allows(parse_topic(text)) for text in (*allowed, *refused)} == {
        **dict.fromkeys(allowed, True),
        **dict.fromkeys(refused, False),
    }


def test_the_composite_gives_no_quote_currency_that_the_patterns_lack() -> None:
    """With USD=USDC the composite of BTC-USD tells quotes of BTC-USDC."""
    topic = parse_topic("composite:spot:BTC-USD:bbo")
    aliases = QuoteAliases((("USD", "USDC"),))

    def allows(scopes: str) -> bool:
        grant = read_scopes(scopes.split())
        return type(grant)(patterns=grant.patterns, aliases=aliases).allows(topic)

    assert not allows("read:bbo:*:spot:BTC-USD")
    assert allows("read:bbo:*:spot:BTC-USD read:bbo:*:spot:BTC-USDC")
    assert allows("read:bbo:*:spot:BTC-*")
    assert allows("read:bbo:composite:spot:BTC-USD")


def test_every_channel_can_be_named() -> None:
    for channel in Channel:
        grant = read_scopes([f"read:{channel}"])
        assert grant.patterns is not None
        assert [each.channel for each in grant.patterns] == [channel]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "allow nothing"),
        ("max_rate=5", "allow nothing"),
        ("write", "'write' is no scope"),
        ("READ", "is no scope"),
        ("read:", "is no pattern"),
        ("read::binance", "is no pattern"),
        ("read:ticker:binance:spot:BTC-USDT:1m", "is no pattern"),
        ("read:tickers", "channel_type"),
        ("read:ticker:bin*", "names no exchange"),
        ("read:ticker:binance:swap", "market 'swap'"),
        ("read:ticker:binance:spot:BTCUSDT", "BASE-QUOTE"),
        ("read:ticker:binance:spot:BTC*-USDT", "BASE-QUOTE"),
        ("read max_rate=0.01", "is no scope"),
        ("read max_rate=1e1", "is no scope"),
        ("read max_rate=\u0661", "is no scope"),
        ("read max_channels=0", "is no scope"),
        ("read max_channels=", "is no scope"),
        (" ".join(["read:ticker:x"] * (MOST_PATTERNS + 1)), "patterns"),
    ],
)
def test_what_is_no_scope_is_said(words: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_scopes(words.split())


def test_bounds_of_a_grant() -> None:
    grant = read_scopes(["read", "max_rate=5", "max_rate=2.5", "max_channels=10"])
    assert (grant.rate(None), grant.rate(1.0), grant.rate(50.0)) == (2.5, 1.0, 2.5)
    assert (grant.channels(1000), grant.channels(4)) == (10, 4)
    assert (EVERYTHING.rate(None), EVERYTHING.rate(7.0), EVERYTHING.channels(1000)) == (None, 7.0, 1000)


def test_what_a_token_knows_of_exchanges() -> None:
    grant = read_scopes(["read:ticker:binance", "read:bbo:composite"])
    assert grant.known(("binance", "bybit")) == ("binance",)
    assert [grant.knows(each) for each in ("BINANCE", "composite", "bybit", 7, None)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert NOTHING.known(("binance",)) == () and EVERYTHING.known(("binance",)) == ("binance",)
    assert not NOTHING.allows(parse_topic(TICKER))
