"""``python-binance``, unmodified, on the simulator: each value is what the simulator sent or answers, to the letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen

from tests.peers import binance_frames
from tests.peers.libraries import library
from tests.peers.simulated import Simulated, steady
from tests.peers.witness import Witness

binance = library("binance")
base_client = library("binance.base_client")
streams = library("binance.ws.streams")
pytestmark = pytest.mark.peers

SECONDS = 60.0
TIMES = ("openTime", "closeTime", "serverTime", "time", "E", "T")
"""Members that tell when the question came."""


@pytest.fixture(scope="module", autouse=True)
def urls(simulated: Simulated, attempts: list[object]) -> Iterator[list[str]]:
    """The library has no option for a URL, but constants: all of them lead to the simulator."""
    with pytest.MonkeyPatch.context() as patch:
        pointed = []
        for owner in (base_client.BaseClient, streams.BinanceSocketManager):
            for name in dir(owner):
                if name.endswith("_URL"):
                    pointed.append(simulated.binance(getattr(owner, name)))
                    patch.setattr(owner, name, pointed[-1])
        yield pointed


@pytest.fixture(scope="module")
def loop(urls: list[str]) -> Iterator[asyncio.Runner]:
    """Clients are made in it: they want one."""
    with asyncio.Runner() as runner:
        yield runner


# --- REST ---


@pytest.fixture(scope="module")
def rest(loop: asyncio.Runner) -> Iterator[Any]:
    """The blocking client."""

    async def made() -> Any:
        return binance.Client(ping=False)

    client = loop.run(made())
    yield client
    client.close_connection()


@pytest.fixture(scope="module")
def spot(simulated: Simulated) -> Iterator[Witness]:
    """The truth about the spot market."""
    witness = binance_frames.witness(simulated, spot=True)
    yield witness
    witness.close()


@pytest.fixture(scope="module")
def usdm(simulated: Simulated) -> Iterator[Witness]:
    """The truth about the USD-M market."""
    witness = binance_frames.witness(simulated, spot=False)
    yield witness
    witness.close()


BTC = {"symbol": "BTCUSDT"}
BARS = BTC | {"interval": "15m", "limit": 50}
SPOT_CALLS = {
    "get_exchange_info": ("exchangeInfo", {}),
    "get_order_book": ("depth", BTC | {"limit": 100}),
    "get_klines": ("klines", BARS),
    "get_recent_trades": ("trades", BTC | {"limit": 20}),
    "get_ticker": ("ticker/24hr", BTC),
    "get_orderbook_ticker": ("ticker/bookTicker", BTC),
}
USDM_CALLS = {
    "futures_exchange_info": ("exchangeInfo", {}),
    "futures_order_book": ("depth", BTC | {"limit": 100}),
    "futures_klines": ("klines", BARS),
    "futures_recent_trades": ("trades", BTC | {"limit": 20}),
    "futures_ticker": ("ticker/24hr", BTC),
    "futures_orderbook_ticker": ("ticker/bookTicker", BTC),
    "futures_mark_price": ("premiumIndex", BTC),
    "futures_open_interest": ("openInterest", BTC),
}


def _timeless(answer: Any) -> Any:
    return {name: each for name, each in answer.items() if name not in TIMES} if isinstance(answer, dict) else answer


def _same(read: Callable[[], Any], ask: Callable[[], Any]) -> None:
    true, told = steady(lambda: _timeless(read()), ask)
    assert true
    assert _timeless(told) == true


@pytest.mark.parametrize("method", SPOT_CALLS)
def test_spot_rest(method: str, rest: Any, simulated: Simulated, spot: Witness) -> None:
    path, query = SPOT_CALLS[method]
    _same(lambda: simulated.read("binance-spot", f"/api/v3/{path}", **query), lambda: getattr(rest, method)(**query))


@pytest.mark.parametrize("method", USDM_CALLS)
def test_usdm_rest(method: str, rest: Any, simulated: Simulated, usdm: Witness) -> None:
    path, query = USDM_CALLS[method]
    _same(
        lambda: simulated.read("binance-perpetual", f"/fapi/v1/{path}", **query),
        lambda: getattr(rest, method)(**query),
    )


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_bars_over_several_pages(market: str, rest: Any, simulated: Simulated) -> None:
    """More than an answer holds: the library goes on where the last one ended."""
    host, path, method = {
        "spot": ("binance-spot", "/api/v3/klines", rest.get_historical_klines),
        "usdm": ("binance-perpetual", "/fapi/v1/klines", rest.futures_historical_klines),
    }[market]
    query = {"symbol": "BTCUSDT", "interval": "1m"}
    (last,) = simulated.read(host, path, **query, limit=1)
    minutes = range(last[0] - 1_700 * 60_000, last[0], 60_000)
    told = method("BTCUSDT", "1m", minutes[0], minutes[-1])
    assert [row[0] for row in told] == list(minutes)
    for first in (0, 850):
        assert told[first : first + 850] == simulated.read(
            host, path, **query, startTime=minutes[first], endTime=minutes[first + 849], limit=1000
        )


# --- sockets ---


@frozen
class Heard:
    """What the sockets of a market told, by what was asked for, and what is true."""

    truth: Witness
    values: dict[str, Any]

    def of(self, subject: str) -> list[Any]:
        """The values of a subject; raises what its socket raised."""
        if isinstance(self.values[subject], BaseException):
            raise self.values[subject]
        assert self.values[subject]
        return list(self.values[subject])


async def _received(socket: Any, count: int, note: Callable[[Any], Any] = lambda message: message) -> list[Any]:
    async with asyncio.timeout(SECONDS), socket as opened:
        return [note(await opened.recv()) for _ in range(count)]


async def _received_all(socket: Any, names: Sequence[str]) -> list[Any]:
    """Messages until each of these streams has sent one."""
    messages: list[Any] = []
    async with asyncio.timeout(SECONDS), socket as opened:
        while {each["stream"] for each in messages} < set(names):
            messages.append(await opened.recv())
    return messages


async def _listened(make: Callable[[Any, Any], dict[str, Any]]) -> dict[str, Any]:
    client = binance.AsyncClient()
    try:
        wanted = make(client, binance.BinanceSocketManager(client))
        values = await asyncio.gather(*wanted.values(), return_exceptions=True)
        return dict(zip(wanted, values, strict=True))
    finally:
        await client.close_connection()


COMBINED_SPOT = ["ethusdt@bookTicker", "btcusdt@miniTicker"]
COMBINED_USDM = ["ethusdt@kline_1m", "btcusdt@miniTicker"]


def _book(cache: Any) -> tuple[int, list[Any], list[Any]]:
    """The object changes with the next message."""
    return cache.update_time, cache.get_bids(), cache.get_asks()


def _spot_sockets(client: Any, sockets: Any) -> dict[str, Any]:
    cache = binance.DepthCacheManager(client, "SOLUSDT", bm=sockets, ws_interval=100, conv_type=Decimal)
    return {
        "trade": _received(sockets.trade_socket("BTCUSDT"), 3),
        "aggTrade": _received(sockets.aggtrade_socket("ETHUSDT"), 2),
        "quote": _received(sockets.symbol_book_ticker_socket("BTCUSDT"), 5),
        "kline": _received(sockets.kline_socket("BTCUSDT", "1m"), 1),
        "ticker": _received(sockets.symbol_ticker_socket("BTCUSDT"), 1),
        "mini": _received(sockets.symbol_miniticker_socket("ETHUSDT"), 1),
        "diff": _received(sockets.depth_socket("BTCUSDT", interval=100), 5),
        "combined": _received_all(sockets.multiplex_socket(COMBINED_SPOT), COMBINED_SPOT),
        "cache": _received(cache, 12, _book),
    }


def _usdm_sockets(client: Any, sockets: Any) -> dict[str, Any]:
    def combined(category: str, *names: str) -> Any:
        return sockets.futures_multiplex_socket(list(names), category=category)

    return {
        "trade": _received(combined("public", "btcusdt@trade"), 3),
        "aggTrade": _received(sockets.aggtrade_futures_socket("ETHUSDT"), 2),
        "quote": _received(combined("public", "btcusdt@bookTicker"), 5),
        "kline": _received(combined("market", "btcusdt@kline_1m"), 2),
        "continuous": _received(sockets.kline_futures_socket("BTCUSDT", "1m"), 2),
        "ticker": _received(sockets.individual_symbol_ticker_futures_socket("BTCUSDT"), 1),
        "mark": _received(sockets.symbol_mark_price_socket("BTCUSDT", fast=True), 1),
        "diff": _received(combined("public", "btcusdt@depth@100ms"), 5),
        "combined": _received_all(combined("market", *COMBINED_USDM), COMBINED_USDM),
        "cache": _received(
            binance.FuturesDepthCacheManager(client, "SOLUSDT", bm=sockets, conv_type=Decimal), 5, _book
        ),
    }


@pytest.fixture(scope="module")
def on_spot(loop: asyncio.Runner, spot: Witness) -> Heard:
    """All spot sockets together."""
    return Heard(spot, loop.run(_listened(_spot_sockets)))


@pytest.fixture(scope="module")
def on_usdm(loop: asyncio.Runner, usdm: Witness) -> Heard:
    """All USD-M sockets together."""
    return Heard(usdm, loop.run(_listened(_usdm_sockets)))


def _all_true(messages: list[Any], truth: Witness) -> set[str]:
    """The kinds of the messages, each of which the simulator sent, wrapped or not."""
    kinds = set()
    for message in messages:
        data = message.get("data", message)
        kind, key = binance_frames.key_of(data)
        assert data == truth.value(kind, data["ps"] if kind == "continuous" else data["s"], key)
        kinds.add(kind)
    return kinds


@pytest.mark.parametrize("subject", ["trade", "aggTrade", "quote", "kline", "ticker", "mini", "diff"])
def test_spot_socket(subject: str, on_spot: Heard) -> None:
    assert _all_true(on_spot.of(subject), on_spot.truth) == {subject}


@pytest.mark.parametrize("subject", ["trade", "aggTrade", "quote", "kline", "continuous", "ticker", "mark", "diff"])
def test_usdm_socket(subject: str, on_usdm: Heard) -> None:
    assert _all_true(on_usdm.of(subject), on_usdm.truth) == {subject}


def test_combined_spot_streams(on_spot: Heard) -> None:
    messages = on_spot.of("combined")
    assert _all_true(messages, on_spot.truth) == {"quote", "mini"}
    assert {each["stream"] for each in messages} == set(COMBINED_SPOT)


def test_combined_usdm_streams(on_usdm: Heard) -> None:
    messages = on_usdm.of("combined")
    assert _all_true(messages, on_usdm.truth) == {"kline", "mini"}
    assert {each["stream"] for each in messages} == set(COMBINED_USDM)


def _decimals(levels: list[list[str]]) -> list[list[Decimal]]:
    return [list(map(Decimal, level[:2])) for level in levels]


def test_spot_depth_cache(on_spot: Heard) -> None:
    """The library's book, of a snapshot and its deltas, against the simulator's own best levels at the same change. The
    first ones are left out: the library puts messages on top of a snapshot that can be newer, until that is made up."""
    for time, bids, asks in on_spot.of("cache")[4:]:
        true = on_spot.truth.value("book", "SOLUSDT", on_spot.truth.value("id", "SOLUSDT", time))
        assert bids[:20] == _decimals(true["bids"])
        assert asks[:20] == _decimals(true["asks"])


def test_usdm_depth_cache(on_usdm: Heard) -> None:
    for time, bids, asks in on_usdm.of("cache"):
        true = on_usdm.truth.value("book10", "SOLUSDT", time)
        assert (bids, asks) == (_decimals(true["b"]), _decimals(true["a"]))
        assert len(bids) == len(asks) == 10


def test_every_url_leads_to_the_simulator(urls: list[str], simulated: Simulated) -> None:
    assert len(urls) > 20
    assert all(simulated.is_here(url) for url in urls)
