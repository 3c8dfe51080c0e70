"""Instruments of every kind, from the simulated venues' catalogues through real HTTP and WebSockets to clients: what is
no crypto asset, names outside ASCII, names whose case matters, what is not launched yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import pytest
import pytest_twisted

VENUES = "binance,bybit,okx,coinbase,kraken"

Start = Callable[..., Any]
Helpers = Sequence[Callable[..., Any]]

UNUSUAL = [
    ("binance", "spot", "币安人生-USDT", "币安人生USDT", "crypto"),
    ("binance", "perpetual", "币安人生-USDT", "币安人生USDT", "crypto"),
    ("binance", "perpetual", "AAPL-USDT", "AAPLUSDT", "equity"),
    ("binance", "perpetual", "XAU-USDT", "XAUUSDT", "commodity"),
    ("bybit", "perpetual", "AAPL-USDT", "AAPLUSDT", "equity"),
    ("bybit", "perpetual", "XAU-USDT", "XAUUSDT", "commodity"),
    ("okx", "perpetual", "AAPL-USDT", "AAPL-USDT-SWAP", "equity"),
    ("okx", "perpetual", "XAU-USDT", "XAU-USDT-SWAP", "commodity"),
    ("okx", "perpetual", "EUR-USDT", "EUR-USDT-SWAP", "fx"),
    ("kraken", "spot", "AAPLX-USD", "AAPLx/USD", "equity"),
]
"""Exchange, market, symbol, native name, what the price is of."""


def listed(document: Any) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {
        (venue["exchange"], each["market_type"], each["symbol"]): each
        for venue in document["exchanges"]
        for each in venue["symbols"]
    }


@pytest_twisted.ensureDeferred
async def test_the_catalogue_has_them_and_names_what_it_has_not(start: Start) -> None:
    running = await start(DEMO="true", EXCHANGES=VENUES)
    document = await running.json("/api/symbols")
    symbols = listed(document)
    for exchange, market, symbol, native, underlying in UNUSUAL:
        found = symbols[exchange, market, symbol]
        assert (found["native"], found["underlying_type"], found["status"]) == (native, underlying, "trading")
    assert {each["underlying_type"] for each in symbols.values()} >= {"crypto", "equity", "commodity", "fx"}
    early = symbols["bybit", "perpetual", "BIO-USDT"]
    assert (early["status"], early["underlying_type"]) == ("pre_open", "pre_market")
    others = {
        (venue["exchange"], each["native"]): each["reason"]
        for venue in document["exchanges"]
        for each in venue.get("not_listed", ())
    }
    assert others == {
        ("binance", "BTCUSDT_270326"): "no perpetual: contractType 'CURRENT_QUARTER'",
        ("bybit", "BTCUSDT-26MAR27"): "no perpetual: contractType 'LinearFutures'",
        ("okx", "BTC-USD-SWAP"): "settled in its base",
        ("okx", "ETH-USD_UM-SWAP"): "announced only: ctType ''",
    }
    searched = await running.json(f"/api/symbols?search={quote('币安')}")
    assert {each[2] for each in listed(searched)} == {"币安人生-USDT"}


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("exchange", "market", "symbol"), [each[:3] for each in UNUSUAL])
async def test_they_come_by_stream_and_by_rest(
    start: Start, helpers: Helpers, exchange: str, market: str, symbol: str
) -> None:
    _, channel = helpers
    running = await start(DEMO="true", EXCHANGES=exchange)
    client = await running.connect()
    asked = [channel(kind, exchange, symbol, market_type=market) for kind in ("ticker", "order_book")]
    client.subscribe(*asked, channel("candle", exchange, symbol, market_type=market, interval="1m"))
    base, _, quoted = symbol.rpartition("-")
    name = {"base": base, "quote": quoted}
    await client.until_type("ticker", 20, symbol=name, exchange=exchange, market_type=market)
    if not client.of("order_book_snapshot"):
        await client.until_type("order_book_snapshot", 20, symbol=name, exchange=exchange)
    assert client.of("error") == []
    spelled = quote(symbol, safe="")
    where = f"exchange={exchange}&symbol={spelled}&market_type={market}"
    ticker = await running.json(f"/api/ticker?{where}")
    assert (ticker["symbol"], ticker["exchange"]) == (name, exchange)
    book = await running.json(f"/api/orderbook?{where}&depth=5")
    assert len(book["bids"]) == len(book["asks"]) == 5
    candles = await running.json(f"/api/candles?{where}&interval=1m&limit=3")
    assert len(candles["candles"]) >= 1
    client.unsubscribe(*asked)
    await client.until_type("info", 5)
    await client.leave()


@pytest_twisted.ensureDeferred
async def test_the_case_of_a_name_is_the_venues_whatever_a_client_spells(start: Start, helpers: Helpers) -> None:
    _, channel = helpers
    running = await start(DEMO="true", EXCHANGES="kraken", prepare=lambda simulator: None)
    for spelled in ("AAPLx-USD", "aaplx/usd", "AAPLXUSD"):
        found = await running.json(f"/api/candles?exchange=kraken&symbol={quote(spelled, safe='')}&interval=1m&limit=2")
        assert found["symbol"] == "AAPLXUSD"
    client = await running.connect()
    client.subscribe(channel("ticker", "kraken", {"base": "AAPLx", "quote": "USD"}))
    await client.until_type("ticker", 20, symbol={"base": "AAPLX", "quote": "USD"})
    await client.leave()


@pytest_twisted.ensureDeferred
async def test_two_names_that_differ_in_their_case_are_two(start: Start, helpers: Helpers) -> None:
    _, channel = helpers

    def prepare(simulator: Any) -> None:
        simulator.faults.start("kraken", "list", "AAPLX-USD", 60)

    running = await start(DEMO="true", EXCHANGES="kraken", prepare=prepare)
    symbols = listed(await running.json("/api/symbols"))
    natives = {symbol: each["native"] for (_, _, symbol), each in symbols.items() if "AAPL" in symbol}
    assert natives == {"AAPLX-USD": "AAPLX/USD", "AAPLx-USD": "AAPLx/USD"}
    client = await running.connect()
    client.subscribe(channel("ticker", "kraken", "AAPLx-USD"), channel("ticker", "kraken", "AAPLX-USD"))
    seen: dict[str, Any] = {}
    while len(seen) < 2:
        said = (await client.until_type("ticker", 20))["payload"]
        seen[said["symbol"]["base"]] = said["last"]
    client.subscribe(channel("ticker", "kraken", "aaplx-usd"))
    said = await client.until_type("error", 5)
    assert said["payload"]["code"] == "ambiguous_symbol"
    assert "AAPLX-USD, AAPLx-USD" in said["payload"]["message"]
    await client.leave()


@pytest_twisted.ensureDeferred
async def test_what_is_not_launched_is_listed_and_never_live(start: Start, helpers: Helpers) -> None:
    _, channel = helpers
    running = await start(DEMO="true", EXCHANGES="bybit")
    client = await running.connect()
    client.subscribe(channel("ticker", "bybit", "BIO-USDT", market_type="perpetual"))
    said = await client.until_type("status", 10, state="stale")
    assert said["payload"]["cause"] == "halted"
    assert client.of("error") == []
    await client.leave()
