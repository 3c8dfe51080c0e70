"""What a client may write, and what it is told where it may not."""

from __future__ import annotations

import pytest

from cryptodash.core.errors import Refused
from cryptodash.core.instruments import ANY, MarketType, Symbol
from cryptodash.core.topics import Channel, Topic

BTC = {"base": "BTC", "quote": "USDT"}


@pytest.mark.parametrize(
    "symbol", [BTC, {"base": "btc", "quote": "usdt"}, "BTC-USDT", "btc-usdt", "BTC/USDT", "BTCUSDT", "btcusdt"]
)
def test_every_spelling_is_the_same_topic(world, symbol):
    assert world.hub.resolve("binance", None, "ticker", symbol) is world.ticker_topic


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("binance", "spot", "ticker", "*"), "binance:spot:*:ticker"),
        (("BYBIT", "Perpetual", "trade", BTC), "bybit:perpetual:BTC-USDT:trade"),
        (("binance", "perpetual", "liquidation", BTC), "binance:perpetual:BTC-USDT:liquidation"),
        (("binance", None, "bbo", BTC), "binance:spot:BTC-USDT:bbo"),
        (("binance", None, "order_book", BTC), "binance:spot:BTC-USDT:order_book:50"),
        (("binance", None, "orderbook", BTC, 7), "binance:spot:BTC-USDT:order_book:7"),
        (("binance", None, "order_book", BTC, "20"), "binance:spot:BTC-USDT:order_book:20"),
        (("binance", None, "candle", BTC, None, "1m"), "binance:spot:BTC-USDT:candle:1m"),
        (("binance", None, "ticker", BTC, 5, "1m"), "binance:spot:BTC-USDT:ticker"),
    ],
)
def test_defaults_and_aliases(world, words, text):
    assert str(world.hub.resolve(*words)) == text


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("kraken", None, "ticker", BTC), "unknown_exchange", 404),
        ((None, None, "ticker", BTC), "unknown_exchange", 404),
        ((["binance"], None, "ticker", BTC), "unknown_exchange", 404),
        (("binance", "futures", "ticker", BTC), "invalid_market", 400),
        (("binance", ["spot"], "ticker", BTC), "invalid_market", 400),
        (("binance", "", "ticker", BTC), "invalid_market", 400),
        (("binance", None, "news", BTC), "unknown_channel", 400),
        (("binance", None, None, BTC), "unknown_channel", 400),
        (("binance", None, {}, BTC), "unknown_channel", 400),
        (("binance", None, "ticker", None), "invalid_symbol", 400),
        (("binance", None, "ticker", 7), "invalid_symbol", 400),
        (("binance", None, "ticker", ""), "invalid_symbol", 400),
        (("binance", None, "ticker", {"base": "BTC"}), "invalid_symbol", 400),
        (("binance", None, "ticker", {"base": "BTC", "quote": ["USDT"]}), "invalid_symbol", 400),
        (("binance", None, "trade", "*"), "invalid_symbol", 400),
        (("binance", None, "ticker", "NO-SUCH"), "unknown_symbol", 404),
        (("binance", None, "ticker", "NOSUCH"), "unknown_symbol", 404),
        (("binance", None, "ticker", {"base": "*", "quote": "*"}), "unknown_symbol", 404),
        (("binance", None, "candle", BTC), "invalid_interval", 400),
        (("binance", None, "candle", BTC, None, "7m"), "invalid_interval", 400),
        (("binance", None, "candle", BTC, None, 1), "invalid_interval", 400),
        (("binance", None, "candle", BTC, None, "1w"), "unsupported_interval", 400),
        (("binance", None, "liquidation", BTC), "unsupported_channel", 400),
        (("binance", "perpetual", "liquidation", "*"), "invalid_symbol", 400),
        (("binance", None, "order_book", BTC, 0), "invalid_depth", 400),
        (("binance", None, "order_book", BTC, 1001), "invalid_depth", 400),
        (("binance", None, "order_book", BTC, True), "invalid_depth", 400),
        (("binance", None, "order_book", BTC, 5.0), "invalid_depth", 400),
        (("binance", None, "order_book", BTC, "٥"), "invalid_depth", 400),
        (("binance", None, "order_book", BTC, "9" * 5_000), "invalid_depth", 400),
    ],
)
def test_refusals(world, words, code, status):
    with pytest.raises(Refused) as refused:
        world.hub.resolve(*words)
    assert (refused.value.code, refused.value.status) == (code, status)
    assert len(refused.value.message) < 300


def test_the_refusal_lists_what_is_allowed(world):
    with pytest.raises(Refused, match="binance, bybit"):
        world.hub.resolve("kraken", None, "ticker", BTC)
    with pytest.raises(Refused, match="1m, 5m, 1h, 1d"):
        world.hub.resolve("binance", None, "candle", BTC, None, "1w")


def test_an_ambiguous_spelling_lists_the_candidates(world):
    world.venue.load(Symbol("AB", "C"), Symbol("A", "BC"))
    with pytest.raises(Refused, match="AB-C, A-BC") as refused:
        world.hub.resolve("binance", None, "ticker", "abc")
    assert refused.value.code == "ambiguous_symbol"


def test_before_the_catalogue_is_loaded_a_separated_symbol_is_taken_at_its_word(make_world):
    world = make_world(loaded=False)
    assert world.hub.resolve("binance", None, "ticker", "NO-SUCH") == Topic(
        "binance", MarketType.SPOT, Symbol("NO", "SUCH"), Channel.TICKER
    )
    assert world.hub.resolve("binance", None, "ticker", "*").symbol == ANY
    with pytest.raises(Refused) as refused:
        world.hub.resolve("binance", None, "ticker", "BTCUSDT")
    assert (refused.value.code, refused.value.status) == ("not_yet_known", 409)


def test_a_book_has_a_bounded_number_of_unusual_depths(make_world):
    world = make_world(max_custom_depths=2)

    def resolve(depth, symbol="BTC-USDT"):
        return world.hub.resolve("binance", None, "order_book", symbol, depth)

    for depth in (7, 8, 50):
        world.hub.hold(resolve(depth), 0)
    with pytest.raises(Refused) as refused:
        resolve(9)
    assert refused.value.code == "too_many_depths"
    assert resolve(7).depth == 7  # held already
    assert resolve(100).depth == 100  # free
    assert resolve(9, "ETH-USDT").depth == 9  # another book
    world.hub.release(resolve(7), 0)
    assert resolve(9).depth == 9  # a lingering depth does not count
