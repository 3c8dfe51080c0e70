"""QUOTE_ALIASES."""

from __future__ import annotations

import pytest

from cryptodash.core.errors import ConfigError
from cryptodash.core.instruments import Symbol
from cryptodash.core.layers import Layer, load
from cryptodash.core.quote_aliases import QuoteAliases, quote_aliases


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("", ()),
        ("USD=USDC", (("USD", "USDC"),)),
        (" usd = usdc , USDT=FDUSD", (("USD", "USDC"), ("USDT", "FDUSD"))),
        ("USD=USDC,USDC=FDUSD", (("USD", "USDC", "FDUSD"),)),
        ("A=B,C=D,B=C", (("A", "B", "C", "D"),)),
        ("USD=USD", ()),
    ],
)
def test_pairs_become_groups(text, groups):
    assert quote_aliases(text) == groups


@pytest.mark.parametrize("text", ["USD", "USD=", "=USD", "USD=USDC=USDT", "USD USDC"])
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(ValueError, match="USD=USDC"):
        quote_aliases(text)


def test_a_symbol_comes_first_and_others_only_within_its_group():
    aliases = QuoteAliases(quote_aliases("USD=USDC,USDT=FDUSD"))
    assert list(aliases.of(Symbol("BTC", "USDC"))) == [Symbol("BTC", "USDC"), Symbol("BTC", "USD")]
    assert list(aliases.of(Symbol("BTC", "EUR"))) == [Symbol("BTC", "EUR")]
    assert list(QuoteAliases().of(Symbol("BTC", "USD"))) == [Symbol("BTC", "USD")]


def test_it_is_a_setting_and_symbols_may_name_the_composite():
    values = {"QUOTE_ALIASES": "USD=USDC", "SYMBOLS": "composite:spot:BTC-USDT:bbo,composite:spot:BTC-USDT:order_book"}
    config = load([Layer("test", values)], ["binance", "bybit"])
    assert config.quote_aliases == (("USD", "USDC"),)
    assert [str(each) for each in config.symbols] == [
        "composite:spot:BTC-USDT:bbo",
        "composite:spot:BTC-USDT:order_book:50",
    ]


def test_the_composite_has_no_ticker():
    with pytest.raises(ConfigError, match="bbo and order_book only"):
        load([Layer("test", {"SYMBOLS": "composite:spot:BTC-USDT"})], ["binance", "bybit"])
