"""``pybit``, unmodified, on the simulator: each value is what the simulator sent or answers, to the letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import pytest
from attrs import frozen

from tests.peers import bybit_frames
from tests.peers.libraries import library
from tests.peers.simulated import Simulated, steady
from tests.peers.witness import Witness

trading = library("pybit.unified_trading")
spread = library("pybit._v5_spread")
orders = library("pybit._websocket_trading")
http = library("pybit._http_manager")
pytestmark = pytest.mark.peers

CONSTANTS = (
    *((http, "HTTP_URL"), (trading, "PUBLIC_WSS"), (trading, "PRIVATE_WSS")),
    *((spread, "PUBLIC_WSS"), (orders, "TRADE_WSS")),
)
CATEGORIES = ("spot", "linear")
SECONDS = 60.0
ATTEMPTS = 5
TIMES = ("ts", "cts")
"""Members that tell when the question came."""


@pytest.fixture(scope="module", autouse=True)
def urls(simulated: Simulated, attempts: list[object]) -> Iterator[list[str]]:
    """The library has no option for a whole URL, but constants: all of them lead to the simulator."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in CONSTANTS:
            patch.setattr(module, name, simulated.bybit(getattr(module, name)))
        yield [getattr(module, name) for module, name in CONSTANTS]


@pytest.fixture(scope="module", params=CATEGORIES)
def category(request: pytest.FixtureRequest) -> str:
    """The market in the venue's words."""
    return str(request.param)


@pytest.fixture(scope="module")
def truth(category: str, simulated: Simulated, attempts: list[object]) -> Iterator[Witness]:
    """What the simulator sends in this market."""
    witness = bybit_frames.witness(simulated, category=category)
    yield witness
    witness.close()


# --- REST ---


@pytest.fixture(scope="module")
def rest(urls: list[str]) -> Iterator[Any]:
    """The library's HTTP session."""
    session = trading.HTTP()
    yield session
    session.client.close()


BTC = {"symbol": "BTCUSDT"}
CALLS = {
    "get_kline": ("kline", BTC | {"interval": "15", "limit": 50}),
    "get_orderbook": ("orderbook", BTC | {"limit": 100}),
    "get_tickers": ("tickers", BTC),
    "get_instruments_info": ("instruments-info", {}),
    "get_public_trade_history": ("recent-trade", BTC | {"limit": 20}),
}


@pytest.mark.parametrize("method", CALLS)
def test_rest(method: str, category: str, rest: Any, simulated: Simulated, truth: Witness) -> None:
    path, query = CALLS[method]

    def read() -> Any:
        answer = simulated.read("bybit", f"/v5/market/{path}", category=category, **query)["result"]
        return {name: each for name, each in answer.items() if name not in TIMES}

    true, told = steady(read, lambda: getattr(rest, method)(category=category, **query))
    assert told["retCode"] == 0
    assert true.get("list") or true["b"]
    assert {name: each for name, each in told["result"].items() if name not in TIMES} == true


def test_an_unknown_symbol_is_an_error_of_the_venue(category: str, rest: Any) -> None:
    errors = library("pybit.exceptions")
    with pytest.raises(errors.InvalidRequestError, match="symbol invalid"):
        rest.get_tickers(category=category, symbol="NOSUCHUSDT")


# --- streams ---


@frozen
class Heard:
    """A connection of the library's, and what it told by subject."""

    values: dict[str, Queue[Any]]

    def next(self, subject: str, count: int) -> list[Any]:
        """The next messages of a subject."""
        return [self.values[subject].get(timeout=SECONDS) for _ in range(count)]

    def after_the_first(self, subject: str, count: int) -> list[Any]:
        """The first is told to a new subscriber alone, between two of those that all get."""
        return self.next(subject, count + 1)[1:]


class Listener:
    """One connection of the library's with all topics; it goes on changing the object that it told."""

    def __init__(self, category: str) -> None:
        self.values: dict[str, Queue[Any]] = {name: Queue() for name in ("book", "quote", "trades", "ticker", "bars")}
        self.listening: Queue[Any] = Queue()
        """Gets the library's object once everything is asked for."""
        opened = Event()

        class Socket(trading.WebSocket):  # type: ignore[misc, name-defined]
            """The library's own: it takes a TCP connection for an open one, and would subscribe in the handshake."""

            def _on_open(self) -> None:
                super()._on_open()
                opened.set()

        def listen() -> None:
            socket = Socket(channel_type=category, testnet=False)
            if not opened.wait(SECONDS):
                return
            socket.orderbook_stream(50, "BTCUSDT", self._note("book"))
            socket.orderbook_stream(1, "BTCUSDT", self._note("quote"))
            socket.trade_stream(["BTCUSDT", "ETHUSDT"], self._note("trades"))
            socket.ticker_stream("BTCUSDT", self._note("ticker"))
            socket.kline_stream(1, "BTCUSDT", self._note("bars"))
            self.listening.put(socket)

        Thread(target=listen, daemon=True).start()

    def _note(self, subject: str) -> Callable[[Any], None]:
        return lambda message: self.values[subject].put(deepcopy(message))


@pytest.fixture(scope="module")
def heard(category: str, truth: Witness, urls: list[str]) -> Iterator[Heard]:
    """All topics on one connection. On a busy machine the library may send its first ping before its own handshake,
    lose the connection for that, and wait for it without end: then another one is made."""
    for _ in range(ATTEMPTS):
        listener = Listener(category)
        try:
            socket = listener.listening.get(timeout=SECONDS / 2)
        except Empty:
            continue
        yield Heard(listener.values)
        socket.exit()
        return
    pytest.fail("pybit has not come through its own handshake")


def test_trades(heard: Heard, truth: Witness) -> None:
    for message in heard.next("trades", 4):
        assert message["data"]
        for row in message["data"]:
            assert row == truth.value("trade", row["s"], row["i"])


def test_bids_and_asks(heard: Heard, truth: Witness) -> None:
    for message in heard.after_the_first("quote", 5):
        assert message["data"] == truth.value("quote", "BTCUSDT", message["ts"])


def test_order_book(heard: Heard, truth: Witness) -> None:
    """The library's book, of a snapshot and its deltas, against the best levels of a deeper one at the same time."""
    for message in heard.after_the_first("book", 10):
        bids, asks = bybit_frames.best(truth.value("book", "BTCUSDT", message["ts"]), 50)
        told = (dict(message["data"][side]) for side in "ba")
        assert bybit_frames.best(tuple(told), 50) == (bids, asks)
        assert len(bids) == len(message["data"]["b"]) == len(message["data"]["a"]) == 50


def test_ticker(heard: Heard, truth: Witness) -> None:
    """Linear: the library merges what changed."""
    for message in heard.after_the_first("ticker", 4):
        assert message["data"] == truth.value("ticker", "BTCUSDT", message["ts"])


def test_bars(heard: Heard, truth: Witness) -> None:
    for message in heard.next("bars", 2):
        key = message["ts"], message["data"][0]["start"]
        assert message["data"] == truth.value("kline", "BTCUSDT", key)


def test_every_url_leads_to_the_simulator(urls: list[str], simulated: Simulated) -> None:
    assert len(urls) == len(CONSTANTS)
    assert all(simulated.is_here(url) for url in urls)
