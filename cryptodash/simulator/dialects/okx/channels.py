"""Which channels OKX has, on which of its two paths, and what makes each stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.dialects.okx import messages
from cryptodash.simulator.dialects.okx.answers import name_of
from cryptodash.simulator.dialects.okx.bars import BARS
from cryptodash.simulator.dialects.okx.feeds import (
    BestLevels,
    Books,
    Candles,
    Figures,
    LiquidationOrders,
    Listing,
    Quotes,
    Trades,
)
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.intervals import DAY, MINUTE
from cryptodash.simulator.market import Market
from cryptodash.simulator.streams import StreamFeed

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
PUBLIC, BUSINESS = "/ws/v5/public", "/ws/v5/business"

MARKET_TYPES = {"SPOT": SPOT, "SWAP": PERPETUAL}
"""By ``instType``."""

Markets = Mapping[MarketType, Market]
Make = Callable[[SimulatedInstrument, str], StreamFeed]


@frozen
class Found:
    """A stream that exists: its name, its market, its kind, its instrument's name, and how to make its feed."""

    name: str
    market: MarketType
    kind: str
    native: str
    make: Callable[[SimulatedInstrument | None], StreamFeed]


# Paces: documents, one section for each channel.
_PUBLIC: dict[str, tuple[str, Make]] = {
    "books": ("book", Books),
    "books5": ("book", BestLevels),
    "bbo-tbt": ("quote", Quotes),
    "trades": ("trade", lambda each, name: Trades(each, name, aggregated=True)),
    "tickers": ("ticker", lambda each, name: Figures(each, name, messages.ticker, 100, DAY)),
    "mark-price": ("mark", lambda each, name: Figures(each, name, messages.mark_price, 200, 10_000)),
}
_OF_PERPETUALS: dict[str, tuple[str, Make]] = {
    "open-interest": ("mark", lambda each, name: Figures(each, name, messages.open_interest, 3_000)),
    "funding-rate": ("mark", lambda each, name: Figures(each, name, messages.funding_rate, MINUTE)),
}
LIQUIDATIONS = name_of({"channel": "liquidation-orders", "instType": "SWAP"})
"""Of all swaps in one stream."""
NEED_LOGIN = frozenset({"books-l2-tbt", "books50-l2-tbt"})
"""Books for customers of a higher level."""


def argument_of(asked: object) -> Mapping[str, str] | None:
    """A stream's argument in the venue's order: the channel, then the instrument or the kind of instrument; None for
    one that does not have these."""
    if not isinstance(asked, dict) or not isinstance(asked.get("channel"), str):
        return None
    for key in ("instId", "instType"):
        if isinstance(asked.get(key), str):
            return {"channel": asked["channel"], key: asked[key]}
    return None


def find(
    argument: Mapping[str, str], path: str, markets: Markets, entries: Callable[[MarketType], Mapping[str, str]]
) -> Found | None:
    """The stream of an argument on a path; None if there is none. ``entries`` gives a market's catalogue by native
    name."""
    name, channel, native = name_of(argument), argument["channel"], argument.get("instId", "")
    if channel == "instruments" and path == PUBLIC:
        kind = MARKET_TYPES.get(argument.get("instType", ""))
        return None if kind is None else Found(name, kind, "sweep", "", lambda _: Listing(name, lambda: entries(kind)))
    if name == LIQUIDATIONS and path == PUBLIC and PERPETUAL in markets:
        swaps = markets[PERPETUAL]
        return Found(name, PERPETUAL, "liquidation", "", lambda _: LiquidationOrders(swaps, name))
    if channel == "index-tickers" and path == PUBLIC:
        return _index(name, native, markets)
    market = next((each for each in markets if is_traded(markets[each], native)), None)
    made = None if market is None else _business(channel) if path == BUSINESS else _public(channel, market)
    if market is None or made is None:
        return None
    kind_of_stream, make = made
    return Found(name, market, kind_of_stream, native, lambda each: make(_made(each), name))


def is_traded(market: Market, native: str) -> bool:
    """Whether there are streams about it."""
    spec = market.spec(native)
    return spec is not None and spec.trading


def _public(channel: str, market: MarketType) -> tuple[str, Make] | None:
    return _PUBLIC.get(channel) or (_OF_PERPETUALS.get(channel) if market is PERPETUAL else None)


def _business(channel: str) -> tuple[str, Make] | None:
    if channel == "trades-all":
        return "trade", lambda each, name: Trades(each, name, aggregated=False)
    bars = BARS.get(channel.removeprefix("candle")) if channel.startswith("candle") else None
    return None if bars is None else ("candle", lambda each, name: Candles(each, name, bars))


def index_source(native: str, markets: Markets) -> tuple[MarketType, str] | None:
    """The instrument that an index is told from: the perpetual on it, else the pair itself."""
    for market, traded in ((PERPETUAL, f"{native}-SWAP"), (SPOT, native)):
        if market in markets and is_traded(markets[market], traded):
            return market, traded
    return None


def _index(name: str, native: str, markets: Markets) -> Found | None:
    source = index_source(native, markets)
    if source is None:
        return None
    return Found(
        name, source[0], "mark", source[1], lambda each: Figures(_made(each), name, messages.index_ticker, 100, MINUTE)
    )


def _made(instrument: SimulatedInstrument | None) -> SimulatedInstrument:
    assert instrument is not None  # a feed with a name is made only after its instrument was found
    return instrument
