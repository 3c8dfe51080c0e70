"""What a client means: its words, checked one by one, as a topic."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from cryptodash.core.errors import Refused
from cryptodash.core.instruments import ANY, MarketType, Symbol, spelled_symbol
from cryptodash.core.interfaces import ITopicSource
from cryptodash.core.topics import (
    COMPOSITE,
    FREE_DEPTHS,
    Channel,
    Topic,
    check_depth,
    check_exchange,
    check_interval,
    parse_channel,
)
from cryptodash.hub.composite_source import CHANNELS


class Naming:
    """Turns the members of a client's channel into a Topic.

    ``held_depths(book topic)`` gives the depths that are held now, of the book and of each that it is made of:
    at most ``max_custom_depths`` of any may be unusual ones.
    """

    def __init__(
        self,
        upstreams: Mapping[str, ITopicSource],
        default_depth: int,
        max_custom_depths: int,
        held_depths: Callable[[Topic], Mapping[Topic, Collection[int]]],
    ) -> None:
        self._upstreams = upstreams
        self._default_depth = default_depth
        self.max_custom_depths = max_custom_depths
        self._held_depths = held_depths

    def resolve(
        self,
        exchange: object,
        market: object,
        channel: object,
        symbol: object,
        depth: object = None,
        interval: object = None,
    ) -> Topic:
        """The topic; raises ``Refused`` (see ``IDirectory.resolve``). None means left out."""
        upstream = self._upstreams[check_exchange(exchange, self._upstreams)]
        kind = parse_channel(channel)
        market_type = _market(market, upstream)
        if upstream.exchange == COMPOSITE and kind not in CHANNELS:
            raise Refused("unsupported_channel", f"of {COMPOSITE} there are {' and '.join(CHANNELS)} only, not {kind}")
        if kind is Channel.LIQUIDATION and market_type is not MarketType.PERPETUAL:
            raise Refused("unsupported_channel", f"liquidation goes with market_type perpetual only, not {market_type}")
        name = _symbol(symbol, kind, market_type, upstream)
        if kind is Channel.ORDER_BOOK:
            return self._book(Topic(upstream.exchange, market_type, name, kind), depth)
        if kind is Channel.CANDLE:
            return Topic(
                upstream.exchange, market_type, name, kind, interval=_interval(interval, market_type, upstream)
            )
        return Topic(upstream.exchange, market_type, name, kind)

    def _book(self, book: Topic, depth: object) -> Topic:
        wanted = self._default_depth if depth is None else check_depth(_whole(depth))
        if wanted not in FREE_DEPTHS:
            for each, depths in self._held_depths(book).items():
                self._check_unusual(each, wanted, {depth for depth in depths if depth not in FREE_DEPTHS})
        return book.sibling(Channel.ORDER_BOOK, depth=wanted)

    def _check_unusual(self, book: Topic, wanted: int, unusual: Collection[int]) -> None:
        if wanted not in unusual and len(unusual) >= self.max_custom_depths:
            free = ", ".join(map(str, FREE_DEPTHS))
            raise Refused(
                "too_many_depths",
                f"{book} is watched at {len(unusual)} unusual depths already: use one of {free}",
                429,
            )


def _market(market: object, upstream: ITopicSource) -> MarketType:
    try:
        found = MarketType.SPOT if market is None else MarketType(market.lower() if isinstance(market, str) else market)
    except ValueError:
        found = None
    if found is None or found not in upstream.markets:
        names = ", ".join(upstream.markets)
        raise Refused(
            "invalid_market", f"market_type {repr(market)[:40]} of {upstream.exchange} is not one of: {names}"
        )
    return found


def _symbol(symbol: object, kind: Channel, market: MarketType, upstream: ITopicSource) -> Symbol:
    if symbol == "*":
        if kind is Channel.TICKER:
            return ANY
        raise Refused("invalid_symbol", f"symbol '*' goes with channel_type ticker only, not {kind}")
    if isinstance(symbol, str):
        return upstream.catalogue.find(market, symbol)
    if isinstance(symbol, Mapping):
        return upstream.catalogue.check(market, spelled_symbol(symbol.get("base"), symbol.get("quote")))
    raise Refused(
        "invalid_symbol",
        f'symbol {repr(symbol)[:40]} is neither a text like BTC-USDT nor {{"base":"BTC","quote":"USDT"}}',
    )


def _interval(interval: object, market: MarketType, upstream: ITopicSource) -> str:
    wanted = check_interval(interval)
    offered = upstream.intervals(market)
    if wanted not in offered:
        raise Refused(
            "unsupported_interval", f"{upstream.exchange} {market} has no {wanted} candles, only: {', '.join(offered)}"
        )
    return wanted


def _whole(depth: object) -> object:
    """A query parameter's digits as the number they spell."""
    return int(depth) if isinstance(depth, str) and depth.isascii() and depth.isdigit() and len(depth) <= 6 else depth
