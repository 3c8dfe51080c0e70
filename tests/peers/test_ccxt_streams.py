"""The watch methods of ``ccxt.pro``, unmodified, on the simulator: each value is what the simulator sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import frozen

from tests.peers.ccxt_client import MARKETS, Client, Market, urls_of, watching
from tests.peers.libraries import library
from tests.peers.simulated import Simulated
from tests.peers.witness import Witness

ccxt = library("ccxt.pro")
pytestmark = pytest.mark.peers


@frozen
class Heard:
    """What a client was told of a market, by subject, and what is true."""

    market: Market
    client: Client
    truth: Witness
    values: dict[str, Any]

    def of(self, subject: str) -> list[Any]:
        """The values of a subject; raises what its watch method raised. Bybit tells the first of a book or ticker to
        the new subscriber alone, between two of those that all get: it is left out."""
        values = self.values[subject]
        if isinstance(values, BaseException):
            raise values
        if self.market.exchange == "binance" or subject in ("trades", "candles"):
            return list(values)
        first = {each["symbol"]: each["timestamp"] for each in reversed(values)}
        return [each for each in values if each["timestamp"] != first[each["symbol"]]]


@pytest.fixture(scope="module", params=MARKETS)
def heard(request: pytest.FixtureRequest, simulated: Simulated) -> Iterator[Heard]:
    """One client, all its streams together."""
    market = MARKETS[request.param]
    truth = market.witness(simulated)
    client = Client(ccxt, market, simulated)
    first, second, third = market.symbols
    pair = [first, second]
    told_alone = 1 if market.exchange == "bybit" else 0
    # The third apart: of Bybit, ccxt asks twice for what a ticker and tickers share (and is refused), and it keeps the
    # first level where it keeps the book.
    wanted = {
        "tickers": watching("watch_tickers", pair, note=_held("tickers", pair), enough=_of_each(pair, 2)),
        "ticker": watching(
            "watch_ticker", third, note=_held("tickers", [third]), enough=_of_each([third], 1 + told_alone)
        ),
        "quotes": watching("watch_bids_asks", pair, note=_held("bidsasks", pair), enough=_of_each(pair, 4)),
        "trades": watching("watch_trades", first, note=lambda _, trades: list(trades), enough=_of_each([first], 4)),
        "book": watching("watch_order_book", third, note=_book, enough=_of_each([third], 8)),
        "candles": watching("watch_ohlcv", first, "1m", note=lambda _, bars: list(bars), enough=lambda it: len(it) > 1),
    }
    yield Heard(market, client, truth, client.watch(wanted))
    client.close()
    truth.close()


def _number(each: dict[str, Any]) -> object:
    """What tells it from others of its kind and symbol: spot quotes of Binance have no time."""
    return each.get("id") or each.get("nonce") or each["timestamp"] or each["info"]["u"]


def _of_each(symbols: list[str], count: int) -> Callable[[list[Any]], bool]:
    return lambda values: all(
        len({_number(each) for each in values if each["symbol"] == symbol}) >= count for symbol in symbols
    )


def _held(table: str, symbols: list[str]) -> Callable[[Any, Any], list[Any]]:
    """What ccxt holds of each symbol. What it returns is about the first to come: the others of the moment are lost."""
    return lambda exchange, _: [
        dict(getattr(exchange, table)[each]) for each in symbols if each in getattr(exchange, table)
    ]


def _book(_: Any, book: Any) -> list[Any]:
    """The object changes with the next message."""
    sides = {side: [list(level[:2]) for level in book[side][:20]] for side in ("bids", "asks")}
    return [{name: book[name] for name in ("symbol", "nonce", "timestamp")} | sides]


def _floats(texts: Any) -> list[float]:
    return [float(text) for text in texts]


def _day_of(ticker: dict[str, Any]) -> list[float]:
    return [ticker[name] for name in ("last", "open", "high", "low", "baseVolume", "quoteVolume")]


def test_every_url_leads_to_the_simulator(heard: Heard, simulated: Simulated) -> None:
    urls = urls_of(heard.client.exchange.urls["api"])
    assert len(urls) > 10
    assert all(simulated.is_here(url) for url in urls), urls


def test_tickers_of_several_symbols(heard: Heard) -> None:
    kind = "mini" if heard.market.exchange == "binance" else "ticker"
    tickers = heard.of("tickers")
    assert {each["symbol"] for each in tickers} == set(list(heard.market.symbols)[:2])
    for ticker in tickers:
        raw = heard.truth.value(kind, heard.market.symbols[ticker["symbol"]], ticker["timestamp"])
        assert _day_of(ticker) == _floats(heard.market.words.day(raw))


def test_the_ticker_of_one_symbol(heard: Heard) -> None:
    tickers = heard.of("ticker")
    assert tickers
    for ticker in tickers:
        raw = heard.truth.value("ticker", heard.market.symbols[ticker["symbol"]], ticker["timestamp"])
        assert _day_of(ticker) == _floats(heard.market.words.day(raw))


def test_bids_and_asks(heard: Heard) -> None:
    quotes = heard.of("quotes")
    assert {each["symbol"] for each in quotes} == set(list(heard.market.symbols)[:2])
    for each in quotes:
        key = each["info"]["u"] if heard.market.exchange == "binance" else each["timestamp"]
        raw = heard.truth.value("quote", heard.market.symbols[each["symbol"]], key)
        told = [each[name] for name in ("bid", "bidVolume", "ask", "askVolume")]
        assert told == _floats(heard.market.words.quote(raw))


def test_trades(heard: Heard) -> None:
    trades = heard.of("trades")
    assert len({each["id"] for each in trades}) == len(trades)
    for each in trades:
        key = int(each["id"]) if heard.market.exchange == "binance" else each["id"]
        raw = heard.truth.value("trade", heard.market.symbols[each["symbol"]], key)
        price, size, side, time = heard.market.words.trade(raw)
        assert (each["price"], each["amount"]) == (float(price), float(size))
        assert (each["side"], each["timestamp"]) == (side, time)


def test_order_book(heard: Heard) -> None:
    """The client's book, of a snapshot and its deltas, against the simulator's own best levels at the same change."""
    books = heard.of("book")
    assert len(books) >= 7
    for book in books:
        native = heard.market.symbols[book["symbol"]]
        if heard.market.exchange == "binance":
            bids, asks = heard.market.words.levels(heard.truth.value("book", native, book["nonce"]))
        else:
            bids, asks = heard.market.words.best(heard.truth.value("book", native, book["timestamp"]), 20)
        assert len(bids) == len(asks) == 20
        assert book["bids"] == [_floats(level) for level in bids]
        assert book["asks"] == [_floats(level) for level in asks]


def test_candles(heard: Heard) -> None:
    bars = heard.of("candles")
    native = heard.market.symbols["BTC/USDT" + heard.market.suffix]
    for bar in bars:
        key = heard.market.words.candle(bar)
        assert heard.truth.value("candle", native, key)
        assert key[3] <= key[1] <= key[2]
