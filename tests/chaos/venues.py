"""What the search knows of each simulated venue: its markets, the faults it can have, how it writes numbers and ids of
trades, and of which stream a frame is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from cryptodash.simulator.changes import Trade
from cryptodash.simulator.decimal_text import trim
from cryptodash.simulator.dialects import registry
from cryptodash.simulator.dialects.bybit.messages import trade_id
from cryptodash.simulator.faults import FAULTS
from cryptodash.simulator.instrument_spec import InstrumentSpec

TWO = ("binance", "bybit")
"""Those of a seed."""
ALL = (*TWO, "okx", "coinbase", "kraken")
"""Those of a seed of all venues, which is another run than the seed of that number."""

COMPOSITE = "composite"
"""The exchange of channels that are derived of all venues."""

Text = Callable[[str], str]


@lru_cache
def markets_of(exchange: str) -> tuple[str, ...]:
    """Spot before perpetual."""
    return tuple(sorted((each.value for each in registry.load(exchange).markets), reverse=True))


@lru_cache
def can_have(exchange: str, fault: str) -> bool:
    """Whether the venue can have a fault of that name. What goes wrong with network and clocks meets everybody."""
    return fault not in FAULTS or fault in registry.load(exchange).faults


# --- numbers


def text_of(exchange: str, market: str) -> Text:
    """From the simulator's padded number to what clients are to be told. Bybit pads nothing on spot."""
    return trim if (exchange, market) == ("bybit", "spot") or exchange in BY_VALUE else str


def bar_text_of(exchange: str) -> Text:
    """The same for a candle: Bybit pads none."""
    return trim if exchange == "bybit" or exchange in BY_VALUE else str


BY_VALUE = ("okx", "coinbase")
"""Where some numbers are the server's own sums and products (contracts times their size, bars from trades), whose
padding means nothing: what is told is compared by value."""


def said_of(exchange: str) -> Text:
    """From what a client is told to what is compared."""
    return trim if exchange in BY_VALUE else str


UNNUMBERED_QUOTES = ("coinbase", "kraken")
"""Quotes have no ids there: two of one time whose order is changed on the way cannot be told apart."""


TRADES_BY_TIME = (("bybit", "perpetual"),)
"""Ids of trades are no numbers there: two whose order is changed on the way are told apart by their times, unless the
venue's clock is set back between them."""


# --- bars

UNTIMED_BARS = ("okx",)
"""A running bar does not say of when it is there: two whose order is changed on the way cannot be told apart."""
WITHOUT_EMPTY_BARS = ("coinbase", "kraken")
"""A minute without a trade has no bar there, so that the one before it stands until the next trade."""


UNTIMED_BOOK_FRAMES = ("coinbase",)
"""A frame of a book in which nothing has changed does not say when that was: the server says it by its own clock and
what it knows of the venue's."""


# --- trades


def told_as(spec: InstrumentSpec, trade: Trade) -> tuple[str, str]:
    """What is the same for all fills that are told as one trade, and the id of that trade as of this fill."""
    if spec.exchange == "bybit":
        return (trade_id(spec, trade),) * 2
    if spec.exchange == "binance" and spec.market.value == "perpetual":
        return (str(trade.order),) * 2
    if spec.exchange == "okx":
        return str(trade.order), str(trade.id)  # a row has the id of its last fill
    return (str(trade.id),) * 2


# --- streams

_NAMED = re.compile(rb'"(?:stream|topic)":"([^"]+)"')
_OF_ARGUMENT = re.compile(rb'"channel":"([^"]+)","instId":"([^"]+)"')
_OF_PRODUCT = re.compile(rb'"channel":"([^"]+)".*?"(?:product_id|symbol)":"([^"]+)"')
HEAD = 300
"""Bytes of a frame in which its stream is named."""


def stream_of(exchange: str, market: str | None, head: bytes) -> tuple[str, str] | None:
    """(market, stream) of a frame by its first bytes; None for one that is of no stream. Where frames have no name of
    their stream it is ``channel:INSTRUMENT``, as in ``tickers:XRPUSDT``."""
    if exchange in TWO:
        named = _NAMED.search(head[:200])
        return None if named is None else (market or "", named[1].decode())
    found = (_OF_ARGUMENT if exchange == "okx" else _OF_PRODUCT).search(head)
    if found is None:
        return None
    channel, native = found[1].decode(), found[2].decode()
    is_swap = native.endswith("-SWAP") or channel == "index-tickers"
    pair = native.removesuffix("-SWAP").replace("-", "").replace("/", "")
    return "perpetual" if is_swap else "spot", f"{channel}:{pair}"


WORDS: Mapping[str, tuple[str, ...]] = {
    "ticker": (
        *("bookTicker", "@ticker", "@trade", "@aggTrade", "tickers.", "orderbook.1.", "publicTrade."),
        *("bbo-tbt:", "tickers:", "trades:", "mark-price:", "index-tickers:", "funding-rate:", "open-interest:"),
        *("ticker:", "trade:"),
    ),
    "bbo": ("bookTicker", "orderbook.1.", "bbo-tbt:", "ticker:"),
    "trade": ("@trade", "@aggTrade", "publicTrade.", "trades:", "trade:"),
    "order_book": ("@depth", "orderbook.", "books:", "l2_data:", "book:"),
    "candle": ("@kline", "kline.", "@trade", "@aggTrade", "publicTrade.", "candle1m:", "ohlc:", "trades:", "trade:"),
}
"""What stands in the names of streams that can confirm a value of that kind."""
