"""Kraken by ``ccxt.pro``, unmodified, on the simulator: REST and watch methods, each value is the simulator's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from attrs import frozen

from tests.peers import kraken_frames
from tests.peers.ccxt_client import Client, Market, urls_of, watching
from tests.peers.libraries import library
from tests.peers.simulated import Simulated
from tests.peers.witness import Witness

ccxt = library("ccxt.pro")
pytestmark = pytest.mark.peers

MARKET = Market("kraken", "spot", "spot", "", "kraken", kraken_frames, "/0/public")
BTC, ETH, SOL = kraken_frames.SYMBOLS
_TRIES = 5


@frozen
class Venue:
    """A client of the simulator, what it heard on its streams, and what is true."""

    simulated: Simulated
    client: Client
    truth: Witness
    heard: dict[str, Any]

    def raw(self, method: str, **query: object) -> Any:
        """What the simulator answers, read by the test itself."""
        answer = self.simulated.read("kraken", f"{MARKET.rest}/{method}", **query)
        assert answer["error"] == [], answer
        return answer["result"]

    def of(self, subject: str) -> list[Any]:
        """What was heard; raises what the watch method raised."""
        values = self.heard[subject]
        if isinstance(values, BaseException):
            raise values
        return list(values)

    def seen(self, kind: str, native: str, key: object) -> bool:
        """Whether the simulator has sent something of this key, waited for a little."""
        try:
            self.truth.value(kind, native, key, 1.0)
        except AssertionError:
            return False
        return True


@pytest.fixture(scope="module")
def venue(simulated: Simulated) -> Iterator[Venue]:
    """One client, all its streams together; each symbol of a ticker has one trigger."""
    truth = kraken_frames.witness(simulated)
    client = Client(ccxt, MARKET, simulated)
    wanted = {
        "tickers": watching("watch_tickers", [BTC, ETH], note=_tickers(BTC, ETH), enough=_of_each((BTC, ETH), 3)),
        "quotes": watching("watch_bids_asks", [SOL], note=_tickers(SOL), enough=_of_each((SOL,), 6)),
        "trades": watching("watch_trades", BTC, note=lambda _, rows: list(rows), enough=lambda it: len(it) > 60),
        "book": watching("watch_order_book", SOL, 10, note=_book, enough=lambda it: len(it) > 10),
        "candles": watching("watch_ohlcv", BTC, "1m", note=lambda _, bars: list(bars), enough=lambda it: len(it) > 12),
    }
    yield Venue(simulated, client, truth, client.watch(wanted))
    client.close()
    truth.close()


def _tickers(*symbols: str) -> Callable[[Any, Any], list[Any]]:
    """What ccxt holds of each symbol after a message."""
    return lambda exchange, _: [dict(exchange.tickers[each]) for each in symbols if each in exchange.tickers]


def _of_each(symbols: tuple[str, ...], count: int) -> Callable[[list[Any]], bool]:
    return lambda values: all(
        len({each["info"]["timestamp"] for each in values if each["symbol"] == symbol}) >= count for symbol in symbols
    )


def _book(_: Any, book: Any) -> list[Any]:
    """The object changes with the next message. ccxt keeps no time of a snapshot: these are passed over."""
    if book["timestamp"] is None:
        return []
    return [{"datetime": book["datetime"], "sides": [[level[:2] for level in book[side]] for side in ("bids", "asks")]}]


def _day_of(ticker: dict[str, Any]) -> tuple[float, ...]:
    return tuple(ticker[name] for name in ("last", "high", "low", "baseVolume", "vwap"))


def _quote_of(ticker: dict[str, Any]) -> tuple[float, ...]:
    return tuple(ticker[name] for name in ("bid", "bidVolume", "ask", "askVolume"))


def test_every_url_leads_to_the_simulator(venue: Venue) -> None:
    urls = urls_of(venue.client.exchange.urls["api"])
    assert len(urls) > 5
    assert all(venue.simulated.is_here(url) for url in urls), urls


# --- streams ---


def _in_turn(tickers: list[Any]) -> list[Any]:
    """Without the first of each symbol: the snapshot is of the moment of the subscription, for this client alone."""
    first = {each["symbol"]: each["info"]["timestamp"] for each in reversed(tickers)}
    return [each for each in tickers if each["info"]["timestamp"] != first[each["symbol"]]]


def test_tickers(venue: Venue) -> None:
    tickers = _in_turn(venue.of("tickers"))
    assert {each["symbol"] for each in tickers} == {BTC, ETH}
    for each in tickers:
        raw = venue.truth.value("ticker", each["symbol"], (_quote_of(each), _day_of(each)))
        assert (each["change"], each["percentage"]) == (raw["change"], raw["change_pct"])


def test_bids_and_asks(venue: Venue) -> None:
    quotes = _in_turn(venue.of("quotes"))
    assert len(quotes) >= 5
    for each in quotes:
        assert venue.truth.value("ticker", SOL, (_quote_of(each), _day_of(each)))


def test_trades(venue: Venue) -> None:
    trades = venue.of("trades")
    assert len({each["id"] for each in trades}) > 50
    proved = 0
    for each in trades:
        raw = venue.truth.value("trade", BTC, int(each["id"]))
        assert (each["price"], each["amount"], each["side"]) == (raw["price"], raw["qty"], raw["side"])
        assert each["datetime"][:23] == raw["timestamp"][:23]
        proved += 1
    assert proved > 50


def test_order_book(venue: Venue) -> None:
    books = venue.of("book")
    assert len(books) > 10
    for book in books:
        assert book["sides"] == venue.truth.value("book", SOL, book["datetime"])
        assert [len(side) for side in book["sides"]] == [10, 10]


def test_candles(venue: Venue) -> None:
    bars = venue.of("candles")
    assert len({bar[0] for bar in bars}) >= 10  # the snapshot's, then the running one
    for bar in bars:
        begin = datetime.fromtimestamp(bar[0] / 1000, timezone.utc)
        assert venue.truth.value("candle", BTC, (f"{begin:%Y-%m-%dT%H:%M:%S}.000000000Z", *bar[1:]))


# --- REST ---


def test_markets(venue: Venue) -> None:
    raw = venue.raw("AssetPairs")
    markets = {each["id"]: each for each in venue.client.exchange.markets.values()}
    assert markets.keys() == raw.keys()
    for native, entry in raw.items():
        market = markets[native]
        assert market["symbol"] == entry["wsname"].replace("XBT", "BTC").replace("XDG", "DOGE")
        assert market["symbol"] == f"{market['base']}/{market['quote']}"
        assert market["active"] == (entry["status"] == "online")
        tick, step = float(entry["tick_size"]), 10 ** -entry["lot_decimals"]
        assert market["precision"]["price"] == tick
        assert market["precision"]["amount"] == pytest.approx(step, rel=1e-12)
    assert {symbol: markets[key]["symbol"] for symbol, key in kraken_frames.SYMBOLS.items()} == {
        symbol: symbol for symbol in kraken_frames.SYMBOLS
    }


def test_fetch_tickers(venue: Venue) -> None:
    """Between two trades all say the same; a day may lose its first minute without one."""
    for _ in range(_TRIES):
        told = venue.client.ask("fetch_tickers", [BTC, ETH])
        assert set(told) == {BTC, ETH}
        if all(venue.seen("day", symbol, _day_of(each)) for symbol, each in told.items()):
            break
    else:
        raise AssertionError(told)
    for each in told.values():
        assert 0 < each["ask"] - each["bid"] < each["bid"] / 1000


def test_fetch_order_book(venue: Venue) -> None:
    """Prices are exact there, sizes have three decimals."""
    for _ in range(_TRIES):
        told = venue.client.ask("fetch_order_book", BTC, 10)
        sides = [[level[:2] for level in told[side]] for side in ("bids", "asks")]
        known = [value for kind, native, value in venue.truth.taken() if (kind, native) == ("book", BTC)]
        if any(_is_like(sides, each) for each in known):
            return
    raise AssertionError(sides)


def _is_like(told: list[list[list[float]]], true: list[list[list[float]]]) -> bool:
    pairs = [pair for sides in zip(told, true, strict=True) for pair in zip(*sides, strict=True)]
    return all(ours[0] == theirs[0] and abs(ours[1] - theirs[1]) <= 0.001 for ours, theirs in pairs)


def test_fetch_candles(venue: Venue) -> None:
    """Bars that are closed."""
    told = venue.client.ask("fetch_ohlcv", BTC, "5m", None, 20)
    raw = {row[0] * 1000: row for row in venue.raw("OHLC", pair="XBTUSD", interval=5)["XXBTZUSD"]}
    assert len(told) == 20
    for bar in told[:-1]:
        row = raw[bar[0]]
        assert bar[1:] == [float(row[index]) for index in (1, 2, 3, 4, 6)]


def test_fetch_trades(venue: Venue) -> None:
    told = venue.client.ask("fetch_trades", BTC, None, 30)
    raw = {str(row[6]): row for row in venue.raw("Trades", pair="XBTUSD")["XXBTZUSD"]}
    assert len(told) == 30
    for each in told:
        price, size, time, side, kind, _, _ = raw[each["id"]]
        assert (each["price"], each["amount"]) == (float(price), float(size))
        assert (each["side"][0], each["type"][0]) == (side, kind)
        assert abs(each["timestamp"] - time * 1000) <= 1


def test_fetch_time_and_currencies(venue: Venue) -> None:
    assert venue.client.ask("fetch_time") % 1000 == 0
    currencies = venue.client.ask("fetch_currencies")
    assert {"BTC", "DOGE", "USD", "USDT"} <= currencies.keys()
    assert currencies["BTC"]["id"] == "XXBT"
