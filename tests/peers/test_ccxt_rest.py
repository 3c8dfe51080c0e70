"""REST by ``ccxt.pro``, unmodified, on the simulator: each value is what the simulator answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import frozen

from tests.peers.ccxt_client import MARKETS, Client, Market
from tests.peers.libraries import library
from tests.peers.simulated import Simulated, steady
from tests.peers.witness import Witness

ccxt = library("ccxt.pro")
pytestmark = pytest.mark.peers


@frozen
class Asked:
    """A client of a market, and the simulator it asks. The witness keeps the instruments watched."""

    market: Market
    client: Client
    simulated: Simulated
    witness: Witness

    @property
    def is_bybit(self) -> bool:
        return self.market.exchange == "bybit"

    @property
    def symbol(self) -> str:
        return next(iter(self.market.symbols))

    def raw(self, path: str, **query: object) -> Any:
        """What the simulator answers, read by the test itself."""
        if self.is_bybit:
            answer = self.simulated.read(
                self.market.host, f"{self.market.rest}/{path}", category=self.market.types, **query
            )
            assert answer["retCode"] == 0, answer
            return answer["result"]
        return self.simulated.read(self.market.host, f"{self.market.rest}/{path}", **query)


@pytest.fixture(scope="module", params=MARKETS)
def asked(request: pytest.FixtureRequest, simulated: Simulated) -> Iterator[Asked]:
    """One client for all questions about a market."""
    market = MARKETS[request.param]
    witness = market.witness(simulated)
    client = Client(ccxt, market, simulated)
    yield Asked(market, client, simulated, witness)
    client.close()
    witness.close()


def _floats(texts: Any) -> list[float]:
    return [float(text) for text in texts]


def _pages(asked: Asked) -> Iterator[dict[str, Any]]:
    """Every entry of the catalogue; at Bybit what is announced is a list of its own, which the library asks for too."""
    if not asked.is_bybit:
        yield from asked.raw("exchangeInfo")["symbols"]
        return
    for query in ({}, {"status": "PreLaunch"}) if asked.market.types == "linear" else ({},):
        cursor = ""
        while True:
            page = asked.raw("instruments-info", **query, **({"cursor": cursor} if cursor else {}))
            yield from page["list"]
            cursor = page.get("nextPageCursor", "")
            if not cursor:
                break


def test_markets(asked: Asked) -> None:
    """Every instrument of the catalogue, with its assets, tick and step."""
    raw = {each["symbol"]: each for each in _pages(asked)}
    markets = {each["id"]: each for each in asked.client.exchange.markets.values()}
    assert markets.keys() == raw.keys()
    for native, entry in raw.items():
        market = markets[native]
        names = ("baseCoin", "quoteCoin") if asked.is_bybit else ("baseAsset", "quoteAsset")
        assert (market["baseId"], market["quoteId"]) == tuple(entry[name] for name in names)
        assert market["active"] == (entry["status"].lower() == "trading")
        if asked.is_bybit:
            lot = entry["lotSizeFilter"]
            tick, step = entry["priceFilter"]["tickSize"], lot.get("qtyStep") or lot["basePrecision"]
        else:
            filters = {each["filterType"]: each for each in entry["filters"]}
            tick, step = filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]
        assert (market["precision"]["price"], market["precision"]["amount"]) == (float(tick), float(step))


def _ticker(asked: Asked) -> Callable[[], list[float]]:
    native = asked.market.symbols[asked.symbol]
    if asked.is_bybit:
        return lambda: _floats(asked.market.words.day(asked.raw("tickers", symbol=native)["list"][0]))
    return lambda: _floats(asked.market.words.day(asked.raw("ticker/24hr", symbol=native)))


def _day_of(ticker: dict[str, Any]) -> list[float]:
    return [ticker[name] for name in ("last", "open", "high", "low", "baseVolume", "quoteVolume")]


def test_ticker(asked: Asked) -> None:
    truth, told = steady(_ticker(asked), lambda: asked.client.ask("fetch_ticker", asked.symbol))
    assert told["symbol"] == asked.symbol
    assert _day_of(told) == truth


def test_tickers(asked: Asked) -> None:
    truth, told = steady(_ticker(asked), lambda: asked.client.ask("fetch_tickers", [asked.symbol]))
    assert list(told) == [asked.symbol]
    assert _day_of(told[asked.symbol]) == truth


def test_bids_and_asks(asked: Asked) -> None:
    native = asked.market.symbols[asked.symbol]

    def truth() -> list[float]:
        if asked.is_bybit:
            return _floats(asked.market.words.quote(asked.raw("tickers", symbol=native)["list"][0]))
        return _floats(asked.market.words.quote(asked.raw("ticker/bookTicker", symbol=native)))

    true, told = steady(truth, lambda: asked.client.ask("fetch_bids_asks", [asked.symbol]))
    assert [told[asked.symbol][name] for name in ("bid", "bidVolume", "ask", "askVolume")] == true


def test_order_book(asked: Asked) -> None:
    native = asked.market.symbols[asked.symbol]

    def truth() -> list[list[list[float]]]:
        raw = asked.raw("orderbook" if asked.is_bybit else "depth", symbol=native, limit=50)
        sides = (raw["b"], raw["a"]) if asked.is_bybit else (raw["bids"], raw["asks"])
        return [[_floats(level) for level in side] for side in sides]

    (bids, asks), told = steady(truth, lambda: asked.client.ask("fetch_order_book", asked.symbol, 50))
    assert len(bids) == len(asks) == 50
    assert (told["bids"], told["asks"]) == (bids, asks)


def test_candles(asked: Asked) -> None:
    native = asked.market.symbols[asked.symbol]

    def truth() -> list[list[float]]:
        if asked.is_bybit:
            rows = asked.raw("kline", symbol=native, interval=5, limit=20)["list"][::-1]
        else:
            rows = asked.raw("klines", symbol=native, interval="5m", limit=20)
        return [list(asked.market.words.candle(row)) for row in rows]

    true, told = steady(truth, lambda: asked.client.ask("fetch_ohlcv", asked.symbol, "5m", None, 20))
    assert len(true) == 20
    assert told == true


def test_trades(asked: Asked) -> None:
    native = asked.market.symbols[asked.symbol]
    # By default ccxt takes aggregated ones of Binance; which of both is an option of its own.
    params = {} if asked.is_bybit else {"fetchTradesMethod": _TRADES[asked.market.kind]}

    def truth() -> list[dict[str, Any]]:
        if asked.is_bybit:
            return list(reversed(asked.raw("recent-trade", symbol=native, limit=30)["list"]))
        return list(asked.raw("trades", symbol=native, limit=30))

    raw, told = steady(truth, lambda: asked.client.ask("fetch_trades", asked.symbol, None, 30, params))
    assert len(told) == len(raw) > 5
    key = "execId" if asked.is_bybit else "id"
    by_id = {str(each[key]): asked.market.words.trade(each) for each in raw}
    for each in told:
        price, size, side, time = by_id.pop(each["id"])
        assert (each["price"], each["amount"]) == (float(price), float(size))
        assert (each["side"], each["timestamp"]) == (side, time)


_TRADES = {"spot": "publicGetTrades", "swap": "fapiPublicGetTrades"}


@pytest.mark.parametrize("asked", ["binance-perpetual", "bybit-perpetual"], indirect=True)
def test_funding_rate(asked: Asked) -> None:
    native = asked.market.symbols[asked.symbol]

    def truth() -> tuple[float, int, float]:
        if asked.is_bybit:
            raw = asked.raw("tickers", symbol=native)["list"][0]
            return float(raw["fundingRate"]), int(raw["nextFundingTime"]), float(raw["markPrice"])
        raw = asked.raw("premiumIndex", symbol=native)
        return float(raw["lastFundingRate"]), int(raw["nextFundingTime"]), float(raw["markPrice"])

    true, told = steady(truth, lambda: asked.client.ask("fetch_funding_rate", asked.symbol))
    assert (told["fundingRate"], told["fundingTimestamp"], told["markPrice"]) == true
