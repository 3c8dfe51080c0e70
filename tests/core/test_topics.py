from __future__ import annotations

import gc
import pickle

import msgspec
import pytest

from cryptodash.core.errors import Refused
from cryptodash.core.instruments import ANY, Catalogue, Instrument, MarketType, Symbol, make_symbol, split_symbol
from cryptodash.core.numbers import Number
from cryptodash.core.topics import Channel, Topic, check_depth, check_interval, parse_channel, parse_topic

BTC = Symbol("BTC", "USDT")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("binance:spot:BTC-USDT", "binance:spot:BTC-USDT:ticker"),
        ("Bybit:PERPETUAL:btc/usdt:trade", "bybit:perpetual:BTC-USDT:trade"),
        ("binance:spot:BTC-USDT:orderbook", "binance:spot:BTC-USDT:order_book:50"),
        ("binance:spot:BTC-USDT:order_book:20", "binance:spot:BTC-USDT:order_book:20"),
        ("binance:spot:BTC-USDT:candle:1M", "binance:spot:BTC-USDT:candle:1M"),
        ("binance:spot:*", "binance:spot:*:ticker"),
    ],
)
def test_text_form_round_trips(text: str, canonical: str) -> None:
    topic = parse_topic(text, default_depth=50)
    assert topic.text == canonical
    assert parse_topic(topic.text) is topic


@pytest.mark.parametrize(
    "text",
    [
        "",
        "binance",
        "binance:spot",
        "binance:margin:BTC-USDT",
        "binance:spot:BTCUSDT",
        "binance:spot:BTC-USDT:candle",
        "binance:spot:BTC-USDT:candle:7m",
        "binance:spot:BTC-USDT:order_book:0",
        "binance:spot:BTC-USDT:order_book:1001",
        "binance:spot:BTC-USDT:order_book:x",
        "binance:spot:BTC-USDT:ticker:5",
        "binance:spot:BTC-USDT:nonsense",
        "binance:spot:*:trade",
        "a:spot:B-C:ticker:1:2",
    ],
)
def test_bad_text_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_topic(text)
    assert caught.value.message


def test_equal_topics_are_one_object_and_leave_when_unused() -> None:
    first = Topic("binance", MarketType.SPOT, Symbol("LEAVES", "USDT"), Channel.TICKER)
    assert Topic("binance", MarketType.SPOT, Symbol("LEAVES", "USDT"), Channel.TICKER) is first
    assert pickle.loads(pickle.dumps(first)) is first
    identity = id(first)
    with pytest.raises(AttributeError):
        first.depth = 5  # type: ignore[misc]
    del first
    gc.collect()
    assert all(id(each) != identity for each in gc.get_objects() if isinstance(each, Topic))


def test_members_are_valid_json_for_any_name() -> None:
    topic = Topic("x", MarketType.SPOT, Symbol('A"\\é', "币"), Channel.CANDLE, interval="1m")
    assert msgspec.json.decode("{" + topic.json + "}") == {
        "exchange": "x",
        "market_type": "spot",
        "symbol": {"base": 'A"\\é', "quote": "币"},
        "interval": "1m",
    }
    sweep = Topic("x", MarketType.SPOT, ANY, Channel.TICKER)
    assert sweep.is_sweep
    assert '"symbol":"*"' in sweep.json


def test_a_book_subscription_knows_its_upstream_book() -> None:
    view = Topic("x", MarketType.SPOT, BTC, Channel.ORDER_BOOK, depth=20)
    assert view.upstream is Topic("x", MarketType.SPOT, BTC, Channel.ORDER_BOOK)
    ticker = view.sibling(Channel.TICKER)
    assert ticker.upstream is ticker


def test_words_of_channels_depths_and_intervals() -> None:
    assert parse_channel("orderbook") is Channel.ORDER_BOOK
    assert check_depth(7) == 7
    assert check_interval("1M") == "1M"
    for check, value in (
        (parse_channel, "bbo2"),
        (parse_channel, 5),
        (parse_channel, ["ticker"]),
        (check_depth, True),
        (check_depth, "5"),
        (check_interval, "1M "),
        (check_interval, "１m"),
    ):
        with pytest.raises(Refused):
            check(value)  # type: ignore[operator]


def _instrument(base: str, quote: str, native: str | None = None) -> Instrument:
    return Instrument("x", MarketType.SPOT, Symbol(base, quote), native or base + quote, Number("0.01"), Number("0.1"))


def test_catalogue_resolves_every_spelling_and_lists_ambiguous_ones() -> None:
    catalogue = Catalogue("x")
    assert catalogue.find(MarketType.SPOT, "new-usdt") == Symbol("NEW", "USDT")
    with pytest.raises(Refused, match="not loaded"):
        catalogue.find(MarketType.SPOT, "NEWUSDT")
    catalogue.replace(
        MarketType.SPOT,
        [
            _instrument("BTC", "USDT"),
            _instrument("AB", "CUSDT", "n1"),
            _instrument("ABC", "USDT", "n2"),
            _instrument("A-B", "USDT"),
        ],
    )
    for spelling in ("BTC-USDT", "btc-usdt", "BTC/USDT", "btcusdt"):
        assert catalogue.find(MarketType.SPOT, spelling) == BTC
    assert catalogue.find(MarketType.SPOT, "a-b-usdt") == Symbol("A-B", "USDT")
    with pytest.raises(Refused, match="AB-CUSDT, ABC-USDT") as ambiguous:
        catalogue.find(MarketType.SPOT, "ABCUSDT")
    assert ambiguous.value.code == "ambiguous_symbol"
    with pytest.raises(Refused) as unknown:
        catalogue.find(MarketType.SPOT, "NOPE-USDT")
    assert (unknown.value.code, unknown.value.status) == ("unknown_symbol", 404)
    assert catalogue.native(MarketType.SPOT, "n1") is not None
    assert len(catalogue) == len(list(catalogue)) == 4


@pytest.mark.parametrize("text", ["", "A B", "A\x00B", "-USDT", "BTC-", "x" * 200, "a\n-b"])
def test_bad_symbols_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        split_symbol(text)


@pytest.mark.parametrize("parts", [(None, "USDT"), (5, "USDT"), ("BTC", ""), (["BTC"], "USDT"), ("B TC", "USDT")])
def test_bad_symbol_objects_are_refused(parts: tuple[object, object]) -> None:
    with pytest.raises(Refused):
        make_symbol(*parts)
