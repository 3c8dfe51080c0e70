"""``ccxt.pro`` pointed at the simulator by its table of URLs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

from attrs import frozen

from tests.peers import binance_frames, bybit_frames
from tests.peers.simulated import Simulated
from tests.peers.witness import Witness

SECONDS = 60.0
"""How long an answer or a stream's values may take."""


@frozen
class Market:
    """A market in ccxt's words. ``kind`` and ``types`` are options of ccxt; ``suffix`` ends its symbols; ``host`` is
    the simulator's; ``words`` reads the venue's raw messages; ``rest`` begins its REST paths; ``native`` is the venue's
    name of a pair in USDT by its base, of which ``bases`` are watched."""

    exchange: str
    kind: str
    types: str
    suffix: str
    host: str
    words: ModuleType
    rest: str
    native: str = "{}USDT"
    bases: tuple[str, ...] = ("BTC", "ETH", "SOL")

    @property
    def settings(self) -> dict[str, Any]:
        """What ccxt is told when its exchange is made."""
        options = {"defaultType": self.kind, "fetchMarkets": {"types": [self.types]}, "fetchMargins": False}
        # Without a pause between requests: those of the tests are few, and the simulator counts them.
        return {"options": options, "enableRateLimit": False}

    @property
    def symbols(self) -> dict[str, str]:
        """ccxt's symbols and the venue's."""
        return {f"{base}/USDT{self.suffix}": self.native.format(base) for base in self.bases}

    def witness(self, simulated: Simulated) -> Witness:
        """The truth about it."""
        if self.exchange == "bybit":
            return bybit_frames.witness(simulated, category=self.types)
        return binance_frames.witness(simulated, spot=self.kind == "spot")


MARKETS = {
    "binance-spot": Market("binance", "spot", "spot", "", "binance-spot", binance_frames, "/api/v3"),
    "binance-perpetual": Market("binance", "swap", "linear", ":USDT", "binance-perpetual", binance_frames, "/fapi/v1"),
    "bybit-spot": Market("bybit", "spot", "spot", "", "bybit", bybit_frames, "/v5/market"),
    "bybit-perpetual": Market("bybit", "swap", "linear", ":USDT", "bybit", bybit_frames, "/v5/market"),
}


def urls_of(table: Any) -> list[str]:
    """Every URL of a table of tables."""
    return [url for each in table.values() for url in urls_of(each)] if isinstance(table, dict) else [table]


def _pointed(table: Any, here: Callable[[str], str]) -> Any:
    if isinstance(table, dict):
        return {name: _pointed(each, here) for name, each in table.items()}
    return here(table)


class Client:
    """An exchange of ccxt in an event loop of its own, its markets loaded. Each wait ends after ``SECONDS``."""

    def __init__(self, ccxt: Any, market: Market, simulated: Simulated) -> None:
        self._runner = asyncio.Runner()
        self.exchange = getattr(ccxt, market.exchange)(market.settings)
        here: Callable[[str], str] = getattr(simulated, market.exchange)
        api = _pointed(self.exchange.urls["api"], lambda url: here(self.exchange.implode_hostname(url)))
        if market.exchange == "binance":
            # By this word in the URL ccxt tells spot from futures. Below /ws it is the name of a stream there is not.
            api["ws"]["spot"] += "/stream"
        self.exchange.urls["api"] = api
        self.ask("load_markets")

    def ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        """What a method answers."""

        async def answer() -> Any:
            async with asyncio.timeout(SECONDS):
                return await getattr(self.exchange, method)(*arguments, **named)

        return self._runner.run(answer())

    def watch(self, wanted: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
        """For each name the results of a function that takes the exchange, or the exception it ended with; all at the
        same time."""

        async def one(values: Callable[[Any], Any]) -> Any:
            async with asyncio.timeout(SECONDS):
                return await values(self.exchange)

        async def everything() -> list[Any]:
            return await asyncio.gather(*map(one, wanted.values()), return_exceptions=True)

        return dict(zip(wanted, self._runner.run(everything()), strict=True))

    def close(self) -> None:
        """End its connections and its loop."""
        self._runner.run(self.exchange.close())
        self._runner.close()


def watching(
    method: str, *arguments: Any, note: Callable[[Any, Any], list[Any]], enough: Callable[[list[Any]], bool]
) -> Callable[[Any], Any]:
    """For ``Client.watch``: what ``note`` keeps of the exchange and each result of a watch method, until it is
    ``enough``."""

    async def values(exchange: Any) -> list[Any]:
        kept: list[Any] = []
        while not enough(kept):
            result = await getattr(exchange, method)(*arguments)
            kept += note(exchange, result)
        return kept

    return values
