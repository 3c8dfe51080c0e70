"""``ccxt.pro``, unmodified, on the simulated OKX: what its watch methods tell is what the simulator sent, what its REST
methods answer is what the simulator answers, on spot and on perpetuals, whose sizes it leaves in contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import frozen

from tests.peers import okx_frames
from tests.peers.ccxt_client import Client, Market, urls_of, watching
from tests.peers.libraries import library
from tests.peers.simulated import Simulated, steady
from tests.peers.witness import Witness

ccxt = library("ccxt.pro")
pytestmark = pytest.mark.peers

BASES = ("BTC", "ETH", "SOL", "XRP")
MARKETS = {
    "spot": Market("okx", "spot", "spot", "", "okx", okx_frames, "/api/v5", "{}-USDT", BASES),
    "perpetual": Market("okx", "swap", "swap", ":USDT", "okx", okx_frames, "/api/v5", "{}-USDT-SWAP", BASES),
}


@frozen
class Okx:
    """A client of a market, what it was told by subject, and what is true."""

    market: Market
    client: Client
    simulated: Simulated
    truth: Witness
    values: dict[str, Any]

    @property
    def symbol(self) -> str:
        return next(iter(self.market.symbols))

    @property
    def native(self) -> str:
        return self.market.symbols[self.symbol]

    @property
    def kind(self) -> str:
        return "SPOT" if self.market.kind == "spot" else "SWAP"

    def of(self, subject: str) -> list[Any]:
        """The values of a subject, without the first of each symbol, which a new subscriber is told alone; raises what
        its watch method raised."""
        values = self.values[subject]
        if isinstance(values, BaseException):
            raise values
        first = {each["symbol"]: each["timestamp"] for each in reversed(values)}
        return [each for each in values if each["timestamp"] != first[each["symbol"]]]

    def raw(self, path: str, **query: object) -> list[Any]:
        """What the simulator answers, read by the test itself."""
        answer = self.simulated.read("okx", f"{self.market.rest}/{path}", **query)
        assert answer["code"] == "0", answer
        rows: list[Any] = answer["data"]
        return rows


@pytest.fixture(scope="module", params=MARKETS)
def okx(request: pytest.FixtureRequest, simulated: Simulated) -> Iterator[Okx]:
    """One client, all its streams together, then REST while they go on. Tickers and quotes are of different symbols:
    of one that has both ccxt takes its quotes from tickers, too, and which of the two it tells is a matter of luck."""
    market = MARKETS[request.param]
    first, second, third, fourth = market.symbols
    truth = okx_frames.witness(simulated, list(market.symbols.values()))
    client = Client(ccxt, market, simulated)
    pair, others = [first, second], [third, fourth]
    wanted = {
        "tickers": watching("watch_tickers", pair, note=_held("tickers", pair), enough=_of_each(pair, 3)),
        "quotes": watching("watch_bids_asks", others, note=_held("bidsasks", others), enough=_of_each(others, 4)),
        "trades": watching("watch_trades", first, note=lambda _, trades: list(trades), enough=_of_each([first], 4)),
        "book": watching("watch_order_book", third, note=_book, enough=_of_each([third], 8)),
        "candles": watching("watch_ohlcv", first, "1m", note=lambda _, bars: [list(bars[-1])], enough=_three),
    }
    yield Okx(market, client, simulated, truth, client.watch(wanted))
    client.close()
    truth.close()


def _of_each(symbols: list[str], least: int) -> Callable[[list[Any]], bool]:
    return lambda values: all(
        len({each.get("id") or each["timestamp"] for each in values if each["symbol"] == symbol}) >= least
        for symbol in symbols
    )


def _three(bars: list[Any]) -> bool:
    return len({tuple(bar) for bar in bars}) >= 3


def _held(table: str, symbols: list[str]) -> Callable[[Any, Any], list[Any]]:
    """What ccxt holds of each symbol: what it returns is about the first to come."""
    return lambda exchange, _: [
        dict(getattr(exchange, table)[each]) for each in symbols if each in getattr(exchange, table)
    ]


def _book(_: Any, book: Any) -> list[Any]:
    """The object changes with the next message."""
    sides = {side: [list(level[:2]) for level in book[side][:20]] for side in ("bids", "asks")}
    return [{name: book[name] for name in ("symbol", "nonce", "timestamp")} | sides]


def _floats(texts: Any) -> list[float]:
    return [float(text) for text in texts]


def _same_day(told: dict[str, Any], raw: dict[str, Any]) -> None:
    expected = okx_frames.day(raw)
    assert {name: told[name] for name in expected} == expected


# -- streams


def test_every_url_leads_to_the_simulator(okx: Okx) -> None:
    urls = urls_of(okx.client.exchange.urls["api"])
    assert urls
    assert all(okx.simulated.is_here(url) for url in urls), urls


def test_watched_tickers(okx: Okx) -> None:
    tickers = okx.of("tickers")
    assert {each["symbol"] for each in tickers} == set(list(okx.market.symbols)[:2])
    for each in tickers:
        _same_day(each, okx.truth.value("ticker", okx.market.symbols[each["symbol"]], each["timestamp"]))


def test_watched_bids_and_asks(okx: Okx) -> None:
    quotes = okx.of("quotes")
    assert {each["symbol"] for each in quotes} == set(list(okx.market.symbols)[2:])
    for each in quotes:
        raw = okx.truth.value("quote", okx.market.symbols[each["symbol"]], each["info"]["seqId"])
        assert [each[name] for name in ("bid", "bidVolume", "ask", "askVolume")] == _floats(okx_frames.quote(raw))


def test_watched_trades(okx: Okx) -> None:
    trades = okx.values["trades"]
    assert not isinstance(trades, BaseException), trades
    assert len(trades) >= 4
    for each in trades:
        price, size, side, time = okx_frames.trade(okx.truth.value("trade", okx.native, each["id"]))
        assert (each["price"], each["amount"]) == (float(price), float(size))
        assert (each["side"], each["timestamp"]) == (side, time)


def test_watched_order_book(okx: Okx) -> None:
    """The client's book, of a snapshot and its updates, against one that is put together here; its ids chained, or it
    would have thrown the book away."""
    books = okx.of("book")
    assert len(books) >= 7
    for book in books:
        true = okx.truth.value("book", okx.market.symbols[book["symbol"]], book["timestamp"])
        bids, asks = okx_frames.best(true, 20)
        assert len(bids) == len(asks) == 20
        assert book["bids"] == [_floats(level) for level in bids]
        assert book["asks"] == [_floats(level) for level in asks]


def test_watched_candles(okx: Okx) -> None:
    bars = okx.values["candles"]
    assert not isinstance(bars, BaseException), bars
    alone = tuple(bars[0])
    known = [bar for bar in bars if tuple(bar) != alone]
    assert len({tuple(bar) for bar in known}) >= 2
    for bar in known:
        assert okx.truth.value("candle", okx.native, tuple(bar))


# -- REST


def test_markets(okx: Okx) -> None:
    """Every instrument of the catalogue, with its assets, tick, lot and contract."""
    listed = okx.raw("public/instruments", instType=okx.kind)
    raw = {each["instId"]: each for each in listed if each["state"] != "preopen"}
    markets = {each["id"]: each for each in okx.client.exchange.markets.values()}
    assert markets.keys() >= raw.keys()
    for native, entry in raw.items():
        market = markets[native]
        base, quote, *_ = native.split("-")
        assert (market["baseId"], market["quoteId"]) == (base, quote)
        assert market["active"] == (entry["state"] == "live")
        assert (market["precision"]["price"], market["precision"]["amount"]) == (
            float(entry["tickSz"]),
            float(entry["lotSz"]),
        )
        assert market["contractSize"] == (float(entry["ctVal"]) if entry["ctVal"] else None)
        assert (market["linear"] or False) == (entry["ctType"] == "linear")


def test_ticker(okx: Okx) -> None:
    (raw,), told = steady(_without_time(okx), lambda: okx.client.ask("fetch_ticker", okx.symbol))
    assert told["symbol"] == okx.symbol
    _same_day(told, raw)


def test_tickers(okx: Okx) -> None:
    (raw,), told = steady(_without_time(okx), lambda: okx.client.ask("fetch_tickers", [okx.symbol]))
    assert list(told) == [okx.symbol]
    _same_day(told[okx.symbol], raw)


def _without_time(okx: Okx) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [
        {name: text for name, text in row.items() if name != "ts"}
        for row in okx.raw("market/ticker", instId=okx.native)
    ]


def test_order_book(okx: Okx) -> None:
    def truth() -> list[Any]:
        (row,) = okx.raw("market/books", instId=okx.native, sz=50)
        return [[_floats(level[:2]) for level in row[side]] for side in ("bids", "asks")] + [row["seqId"]]

    (bids, asks, seq), told = steady(truth, lambda: okx.client.ask("fetch_order_book", okx.symbol, 50))
    assert len(bids) == len(asks) == 50
    assert [[level[:2] for level in told[side]] for side in ("bids", "asks")] == [bids, asks]
    assert seq > 0


@pytest.mark.parametrize("timeframe", ["5m", "1d"])
def test_candles(okx: Okx, timeframe: str) -> None:
    """Days are those of UTC: ccxt asks for them by their own name."""
    bar = {"5m": "5m", "1d": "1Dutc"}[timeframe]

    def truth() -> list[list[float]]:
        rows = okx.raw("market/candles", instId=okx.native, bar=bar, limit=20)[::-1]
        return [list(okx_frames.candle(row, is_spot=okx.kind == "SPOT")) for row in rows]

    true, told = steady(truth, lambda: okx.client.ask("fetch_ohlcv", okx.symbol, timeframe, None, 20))
    assert len(true) == 20
    assert told == true


def test_older_candles_by_time(okx: Okx) -> None:
    """More than 1,440 entries back ccxt asks for the history, with ``after`` and ``before``."""
    (newest,) = okx.raw("market/candles", instId=okx.native, bar="1m", limit=1)
    since = int(newest[0]) - 2_000 * 60_000
    told = okx.client.ask("fetch_ohlcv", okx.symbol, "1m", since, 50)
    rows = okx.raw("market/history-candles", instId=okx.native, bar="1m", after=since + 50 * 60_000, limit=50)[::-1]
    assert told == [list(okx_frames.candle(row, is_spot=okx.kind == "SPOT")) for row in rows]
    assert told[0][0] == since and len(told) == 50


def test_trades(okx: Okx) -> None:
    raw, told = steady(
        lambda: okx.raw("market/trades", instId=okx.native, limit=30)[::-1],
        lambda: okx.client.ask("fetch_trades", okx.symbol, None, 30),
    )
    assert len(told) == len(raw) > 5
    by_id = {each["tradeId"]: okx_frames.trade(each) for each in raw}
    for each in told:
        price, size, side, time = by_id.pop(each["id"])
        assert (each["price"], each["amount"]) == (float(price), float(size))
        assert (each["side"], each["timestamp"]) == (side, time)


@pytest.mark.parametrize("okx", ["perpetual"], indirect=True)
def test_funding_mark_and_open_interest(okx: Okx) -> None:
    (raw,) = okx.raw("public/funding-rate", instId=okx.native)
    told = okx.client.ask("fetch_funding_rate", okx.symbol)
    assert (told["fundingRate"], told["fundingTimestamp"]) == (float(raw["fundingRate"]), int(raw["fundingTime"]))

    def mark() -> float:
        return float(okx.raw("public/mark-price", instType="SWAP", instId=okx.native)[0]["markPx"])

    true, price = steady(mark, lambda: okx.client.ask("fetch_mark_price", okx.symbol))
    assert price["markPrice"] == true

    def interest() -> tuple[float, float]:
        (row,) = okx.raw("public/open-interest", instType="SWAP", instId=okx.native)
        return float(row["oi"]), float(row["oiCcy"])

    (contracts, _), open_interest = steady(interest, lambda: okx.client.ask("fetch_open_interest", okx.symbol))
    assert open_interest["openInterestAmount"] == contracts


def test_the_time_of_the_server(okx: Okx) -> None:
    before = int(okx.raw("public/time")[0]["ts"])
    told = okx.client.ask("fetch_time")
    assert before <= told <= int(okx.raw("public/time")[0]["ts"])


def test_an_unknown_symbol_is_refused_by_the_venue(okx: Okx) -> None:
    with pytest.raises(ccxt.BadSymbol, match="51001"):
        okx.client.ask("publicGetMarketTicker", {"instId": "NOPE-USDT"})
