"""``ccxt.pro``, unmodified, on the simulated Coinbase: the watch methods it has there (no bars, no quotes alone), and
REST. ccxt takes the side of a trade as the venue writes it, which is the maker's: it tells the opposite of the taker's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import frozen

from tests.peers.ccxt_client import Client, urls_of, watching
from tests.peers.coinbase_frames import FIRST, SECOND, SHALLOW, best, market, time_of
from tests.peers.libraries import library
from tests.peers.simulated import Simulated, steady
from tests.peers.witness import Witness

ccxt = library("ccxt.pro")
pytestmark = pytest.mark.peers

QUIET = "NKN/USD"
"""Nothing happens there for seconds: two answers of the simulator are the same, and few requests are needed."""
BTC, ETH, LTC = (native.replace("-", "/") for native in (FIRST, SECOND, SHALLOW))


@frozen
class Told:
    """What the client was told by its watch methods, and what is true."""

    client: Client
    simulated: Simulated
    truth: Witness
    values: dict[str, Any]

    def of(self, subject: str) -> list[Any]:
        """The values of a subject but the first of each symbol, which the new subscriber alone is told; raises what
        its watch method raised."""
        values = self.values[subject]
        if isinstance(values, BaseException):
            raise values
        first = {each["symbol"]: each["timestamp"] for each in reversed(values)}
        return [each for each in values if each["timestamp"] != first[each["symbol"]]]

    def raw(self, path: str, **query: object) -> Any:
        """What the simulator answers, read by the test itself."""
        return self.simulated.read("coinbase", f"/api/v3/brokerage/market/{path}", **query)


@pytest.fixture(scope="module")
def told(simulated: Simulated) -> Iterator[Told]:
    """One client, all its streams together."""
    place = market()
    truth = place.witness(simulated)
    client = Client(ccxt, place, simulated)
    wanted = {
        "ticker": watching("watch_ticker", BTC, note=lambda _, each: [dict(each)], enough=lambda it: len(it) > 9),
        "tickers": watching("watch_tickers", [ETH, LTC], note=_tickers, enough=_of_both),
        "trades": watching("watch_trades", BTC, note=lambda _, some: list(some), enough=lambda it: len(it) > 120),
        "book": watching("watch_order_book", LTC, note=_book, enough=lambda it: len(it) > 9),
    }
    yield Told(client, simulated, truth, client.watch(wanted))
    client.close()
    truth.close()


def _of_both(values: list[Any]) -> bool:
    return all(len({each["timestamp"] for each in values if each["symbol"] == symbol}) > 1 for symbol in (ETH, LTC))


def _tickers(exchange: Any, _: Any) -> list[Any]:
    """What ccxt holds of both. What it returns is about the first to come: the other one of the moment is lost."""
    return [dict(exchange.tickers[symbol]) for symbol in (ETH, LTC) if symbol in exchange.tickers]


def _book(_: Any, book: Any) -> list[Any]:
    """The object changes with the next message."""
    sides = {side: [list(level[:2]) for level in book[side][:20]] for side in ("bids", "asks")}
    return [{name: book[name] for name in ("symbol", "timestamp")} | sides]


def _number(raw: dict[str, str], *names: str) -> list[float]:
    return [float(raw[name]) for name in names]


def _percentage(text: str) -> float | None:
    """A day's change in percent as ccxt has it of this venue: a change of nothing is not told, for ccxt leaves a zero
    out and has neither an open nor a change in money to make it from."""
    return float(text) or None


def test_every_url_leads_to_the_simulator(told: Told) -> None:
    urls = urls_of(told.client.exchange.urls["api"])
    assert len(urls) >= 2
    assert all(told.simulated.is_here(url) for url in urls), urls


# --- streams ---


DAY = ("last", "low", "high", "baseVolume", "percentage")


def _day(raw: dict[str, str]) -> list[float | None]:
    numbers = _number(raw, "price", "low_24_h", "high_24_h", "volume_24_h")
    return [*numbers, _percentage(raw["price_percent_chg_24_h"])]


def test_a_change_of_nothing_is_told_by_ccxt_as_a_change_unknown(told: Told) -> None:
    row = {"product_id": FIRST, "price": "3.00"}
    for text in ("0.0000", "0", "0.02", "-1.5"):
        ticker = told.client.exchange.parse_ticker(row | {"price_percentage_change_24h": text})
        assert ticker["percentage"] == _percentage(text)


def test_the_ticker_of_one_symbol(told: Told) -> None:
    tickers = told.of("ticker")
    assert len(tickers) > 5
    for ticker in tickers:
        raw = told.truth.value("ticker", FIRST, ticker["timestamp"])
        assert [ticker[name] for name in DAY] == _day(raw)
        quote = [ticker[name] for name in ("bid", "bidVolume", "ask", "askVolume")]
        assert quote == _number(raw, "best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity")


def test_tickers_of_several_symbols(told: Told) -> None:
    tickers = told.of("tickers")
    assert {each["symbol"] for each in tickers} == {ETH, LTC}
    for ticker in tickers:
        assert ticker["bid"] is ticker["ask"] is None
        raw = told.truth.value("ticker_batch", ticker["symbol"].replace("/", "-"), ticker["timestamp"])
        assert [ticker[name] for name in DAY] == _day(raw)


def test_trades(told: Told) -> None:
    trades = told.values["trades"]
    assert not isinstance(trades, BaseException), trades
    by_id = {each["id"]: each for each in trades}
    ids = sorted(map(int, by_id))
    assert ids == list(range(ids[0], ids[-1] + 1))
    newest = trades[-20:]
    for each in newest:
        raw = told.truth.value("trade", FIRST, each["id"])
        assert [each["price"], each["amount"]] == _number(raw, "price", "size")
        assert (each["side"], each["timestamp"]) == (raw["side"].lower(), time_of(raw["time"]))


def test_order_book(told: Told) -> None:
    books = told.of("book")
    assert len(books) > 7
    for book in books:
        bids, asks = best(told.truth.value("book", SHALLOW, book["timestamp"]), 20)
        assert len(bids) == len(asks) == 20
        assert (book["bids"], book["asks"]) == (bids, asks)


# --- REST ---


def test_markets(told: Told) -> None:
    raw = {each["product_id"]: each for each in told.raw("products")["products"]}
    markets = {each["id"]: each for each in told.client.exchange.markets.values()}
    assert markets.keys() == raw.keys()
    for native, entry in raw.items():
        found = markets[native]
        assert (found["baseId"], found["quoteId"]) == (entry["base_currency_id"], entry["quote_currency_id"])
        assert found["active"]
        assert [found["precision"][name] for name in ("price", "amount")] == _number(
            entry, "price_increment", "base_increment"
        )


def test_fetched_ticker(told: Told) -> None:
    raw, ticker = steady(
        lambda: told.raw("products/NKN-USD/ticker", limit=1), lambda: told.client.ask("fetch_ticker", QUIET)
    )
    assert [ticker["bid"], ticker["ask"]] == _number(raw, "best_bid", "best_ask")
    last = told.client.ask("fetch_ticker", BTC)
    assert last["last"] == float(told.truth.value("trade", FIRST, last["info"]["trade_id"])["price"])


def test_fetched_tickers(told: Told) -> None:
    raw, tickers = steady(
        lambda: told.raw("products/NKN-USD"), lambda: told.client.ask("fetch_tickers", [QUIET, "NKN/USDC"])
    )
    assert set(tickers) == {QUIET, "NKN/USDC"}
    for ticker in tickers.values():
        assert ticker["last"] == float(raw["price"])
        assert ticker["percentage"] == _percentage(raw["price_percentage_change_24h"])


def test_fetched_order_book(told: Told) -> None:
    raw, book = steady(
        lambda: [
            told.raw("product_book", product_id="NKN-USD", limit=30)["pricebook"][side] for side in ("bids", "asks")
        ],
        lambda: told.client.ask("fetch_order_book", QUIET, 30),
    )
    sides = [[_number(level, "price", "size") for level in side] for side in raw]
    assert [len(side) for side in sides] == [30, 30]
    assert [book["bids"], book["asks"]] == sides


def test_fetched_trades(told: Told) -> None:
    trades = told.client.ask("fetch_trades", BTC, None, 30)
    assert len(trades) == 30
    for each in trades:
        raw = told.truth.value("trade", FIRST, each["id"])
        assert [each["price"], each["amount"]] == _number(raw, "price", "size")
        assert (each["side"], each["timestamp"]) == (raw["side"].lower(), time_of(raw["time"]))


def test_fetched_candles(told: Told) -> None:
    bars = told.client.ask("fetch_ohlcv", BTC, "5m", None, 20)
    closed = bars[:-1]
    start, end = closed[0][0] // 1_000, closed[-1][0] // 1_000
    raw = told.raw("products/BTC-USD/candles", granularity="FIVE_MINUTE", start=start, end=end)["candles"]
    assert 18 <= len(raw) <= 20
    assert closed == [
        [int(each["start"]) * 1_000, *_number(each, "open", "high", "low", "close", "volume")] for each in raw[::-1]
    ]


def test_the_time(told: Told) -> None:
    before = int(told.simulated.read("coinbase", "/api/v3/brokerage/time")["epochSeconds"])
    assert before <= told.client.ask("fetch_time") // 1_000 <= before + 20
