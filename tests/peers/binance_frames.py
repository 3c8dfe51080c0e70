"""Binance's raw frames as values to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.peers.simulated import Simulated
from tests.peers.witness import Reading, Witness

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PUBLIC = ("trade", "bookTicker", "depth20@100ms", "depth@100ms")
MARKET = ("aggTrade", "kline_1m", "ticker", "miniTicker")
USDM = {"public": (*PUBLIC, "depth10"), "market": (*MARKET, "markPrice@1s", "continuousKline_1m")}
_KINDS = {
    "trade": ("trade", "t"),
    "aggTrade": ("aggTrade", "a"),
    "bookTicker": ("quote", "u"),
    "depthUpdate": ("diff", "u"),
    "24hrTicker": ("ticker", "E"),
    "24hrMiniTicker": ("mini", "E"),
    "kline": ("kline", "E"),
    "continuous_kline": ("continuous", "E"),
    "markPriceUpdate": ("mark", "E"),
}


def witness(simulated: Simulated, *, spot: bool) -> Witness:
    """Everything about ``SYMBOLS``: one connection on spot, one per tier on USD-M."""
    made = Witness(_readings)
    if spot:
        made.open(_url(simulated.at["binance-spot"], "/stream", (*PUBLIC, *MARKET)))
    else:
        for tier, names in USDM.items():
            made.open(_url(simulated.at["binance-perpetual"], f"/{tier}/stream", names))
    made.begun("book", SYMBOLS)
    return made


def _url(at: str, path: str, names: tuple[str, ...]) -> str:
    streams = "/".join(
        f"{native.lower()}{'_perpetual' if name.startswith('continuous') else ''}@{name}"
        for native in SYMBOLS
        for name in names
    )
    return f"ws://{at}{path}?streams={streams}"


def _readings(frame: dict[str, Any]) -> Iterator[Reading]:
    """``trade``, ``aggTrade``, ``quote``, ``diff``, ``ticker``, ``mini``, ``kline``, ``continuous``, ``mark``: raw
    messages; ``book``: one with the 20 best levels by its update id; ``book10``: one with 10 by its time; ``candle``: a
    bar by its numbers; ``id``: the last update id of a diff by its time."""
    stream, data = frame["stream"], frame["data"]
    native, _, name = stream.partition("@")
    native = native.removesuffix("_perpetual").upper()
    if name == "depth20@100ms":
        yield "book", native, data.get("lastUpdateId") or data["u"], data
    elif name == "depth10":
        yield "book10", native, data["E"], data
    else:
        kind, key = key_of(data)
        yield kind, native, key, data
        if kind == "diff":
            yield "id", native, data["E"], data["u"]
        if kind == "kline":
            yield "candle", native, candle([data["k"][name] for name in "tohlcv"]), data


def candle(row: list[Any]) -> tuple[float, ...]:
    """Open time, open, high, low, close, volume."""
    return tuple(map(float, row[:6]))


def levels(raw: dict[str, Any]) -> tuple[list[list[str]], list[list[str]]]:
    """(bids, asks) of a message about a book, best first."""
    return (raw["bids"], raw["asks"]) if "bids" in raw else (raw["b"], raw["a"])


def trade(raw: dict[str, Any]) -> tuple[str, str, str, int]:
    """Price, size, the taker's side, time (ms); of the stream or of REST."""
    if "isBuyerMaker" in raw:
        return raw["price"], raw["qty"], "sell" if raw["isBuyerMaker"] else "buy", raw["time"]
    return raw["p"], raw["q"], "sell" if raw["m"] else "buy", raw["T"]


def quote(raw: dict[str, Any]) -> tuple[str, str, str, str]:
    """Bid, its size, ask, its size; of the stream or of REST."""
    names = ("bidPrice", "bidQty", "askPrice", "askQty") if "bidPrice" in raw else tuple("bBaA")
    return tuple(raw[name] for name in names)  # type: ignore[return-value]


def day(raw: dict[str, Any]) -> tuple[str, ...]:
    """Last price, open, high, low, base and quote volume of 24 hours; of the stream or of REST."""
    rest = ("lastPrice", "openPrice", "highPrice", "lowPrice", "volume", "quoteVolume")
    return tuple(raw[name] for name in (rest if "lastPrice" in raw else "cohlvq"))


def key_of(raw: dict[str, Any]) -> tuple[str, object]:
    """The kind of a raw message, and what tells it from others of its kind."""
    kind, name = _KINDS[raw.get("e", "bookTicker")]
    # A bar's last message and the next one's first may be of one time.
    return kind, (raw[name], raw["k"]["t"]) if "k" in raw else raw[name]
