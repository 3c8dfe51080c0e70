"""Coinbase Advanced Trade REST answers in our words: catalogue, bars, the list of all products, errors.

The public part needs no key. All numbers are decimal strings; no answer tells when it was written. Sources:
docs.cdp.coinbase.com, "Advanced Trade REST API" ("List Public Products", "Get Public Product Candles", "Get Server
Time") and "Rate Limits".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Raw, Struct

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.intervals import LENGTH_MS
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import (
    MAX_NAME,
    Name,
    amount,
    decoder,
    firewall_refusal,
    price,
    retry_after,
    signed,
    step,
    symbol,
)
from cryptodash.exchanges.adapter.elements import NotListed, kept, named, tradable
from cryptodash.exchanges.adapter.messages import Bar, Message, Stats, SweepRow, SweepRows
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue_words import VenueWords
from cryptodash.exchanges.venues.coinbase.figures import open_24h
from cryptodash.exchanges.venues.coinbase.streams import Candle, bar

POOL = "coinbase"
"""One budget for the address."""
ALTERNATIVE = "HTTPS_PROXY with a proxy in a place that Coinbase serves (there is no other public host)"

_PRODUCTS = "/api/v3/brokerage/market/products"
_SPOT_ONLY = (("product_type", "SPOT"),)

# {"products":[{"product_id":"BTC-USDC","price":"68923.67","price_percentage_change_24h":"-0.28560028286595",
#  "volume_24h":"11005.02587005",...,"base_increment":"0.00000001","quote_increment":"0.01","quote_min_size":"1",...,
#  "base_min_size":"0.00000001",...,"is_disabled":false,"new":false,"status":"online","cancel_only":false,
#  "limit_only":false,"post_only":false,"trading_disabled":false,"auction_mode":false,"product_type":"SPOT",
#  "quote_currency_id":"USDC","base_currency_id":"BTC",...,"alias":"BTC-USD","alias_to":[],...,"view_only":false,
#  "price_increment":"0.01",...}],"num_products":2,"pagination":null}


class _Kind(Struct, gc=False):
    """Whether a product is ours to read: one that is not may hold whatever it likes."""

    product_type: object = "SPOT"


class _Product(Struct, gc=False):
    product_id: Name
    base_increment: str
    quote_increment: str
    status: str = ""
    base_currency_id: str = ""
    quote_currency_id: str = ""
    price_increment: str = ""
    base_min_size: str = ""
    quote_min_size: str = ""
    alias: str = ""
    is_disabled: bool = False
    trading_disabled: bool = False
    view_only: bool = False
    cancel_only: bool = False
    post_only: bool = False
    auction_mode: bool = False
    limit_only: bool = False


class _Products(Struct, gc=False):
    products: list[Raw]


_kind = decoder(_Kind)
_product = decoder(_Product)
_products = decoder(_Products)


def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
    """All products in one answer: without a ``limit`` there are no pages."""
    return (RestRequest(Purpose.CATALOGUE, market, _PRODUCTS, _SPOT_ONLY, pool=POOL),)


def read_catalogue(exchange: str, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
    def read(raw: Raw) -> Instrument:
        kind = _kind(raw).product_type
        if kind != "SPOT":
            raise NotListed(f"another market: product_type {str(kind)[:MAX_NAME]!r}")
        return _instrument(exchange, request.market, _product(raw))

    return kept(_products(body).products, read, named("product_id")), None


def _instrument(exchange: str, market: MarketType, product: _Product) -> Instrument:
    base, _, quote = product.product_id.rpartition("-")
    name, tick, size = tradable(
        symbol(product.base_currency_id or base, product.quote_currency_id or quote),
        step(product.price_increment or product.quote_increment),
        step(product.base_increment),
    )
    words = VenueWords()
    status, venue_status = status_of(product, words)
    return Instrument(
        exchange,
        market,
        name,
        product.product_id,
        tick,
        size,
        min_qty=step(product.base_min_size),
        min_notional=step(product.quote_min_size),
        status=status,
        venue_status=venue_status,
        alias_of=product.alias if product.alias != product.product_id else "",
        unknown_words=words.unknown,
    )


STATUS: Mapping[str, str] = {
    "online": "trading",
    "": "trading",  # it may be empty: then the flags say all
    "offline": "halted",
    "internal": "halted",
    "delisted": "delisted",
}
"""Our word for each of the venue's, as far as its flags allow; one we do not know is ``halted``. Source:
docs.cdp.coinbase.com, "List Public Products"; the last three from "Get all trading pairs" of its Exchange API."""

HALTING = ("is_disabled", "trading_disabled", "view_only", "cancel_only", "post_only", "auction_mode")
"""Flags under which nothing is matched continuously. ``limit_only`` is none of them: limit orders are matched."""


def status_of(product: _Product, words: VenueWords) -> tuple[str, str]:
    """Our word, and the venue's with the flags that are set: ``("halted", "online, cancel_only")``."""
    flags = [flag for flag in (*HALTING, "limit_only") if getattr(product, flag)]
    status = words.read("status", product.status, STATUS, "halted")
    if status == "trading" and any(flag in HALTING for flag in flags):
        status = "halted"
    return status, ", ".join(filter(None, (product.status, *flags)))


# Bars

INTERVALS: Mapping[str, str] = {
    "1m": "ONE_MINUTE",
    "5m": "FIVE_MINUTE",
    "15m": "FIFTEEN_MINUTE",
    "30m": "THIRTY_MINUTE",
    "1h": "ONE_HOUR",
    "2h": "TWO_HOUR",
    "6h": "SIX_HOUR",
    "1d": "ONE_DAY",
}
"""The venue's name for each interval that it has, by ours."""

MOST_BARS = 300
"""350 are documented for a request; long-running clients stay at 300."""


def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
    """``start`` and ``end`` are required, in seconds; both bars that open there are in the answer. Intervals without a
    trade are not."""
    limit = max(1, min(limit, MOST_BARS))
    params: tuple[tuple[str, str], ...] = (("granularity", INTERVALS[topic.interval]),)
    if end_ms is not None:
        length = LENGTH_MS[topic.interval]
        last = end_ms - end_ms % length
        first = max(last - (limit - 1) * length, 0)
        params = (("start", str(first // 1000)), ("end", str(end_ms // 1000)), *params)
    path = f"{_PRODUCTS}/{instrument.native}/candles"
    return RestRequest(
        Purpose.CANDLES,
        instrument.market,
        path,
        params,
        1,
        topic,
        instrument.native,
        limit,
        POOL,
        needs_end=end_ms is None,
    )


# {"candles":[{"start":"1712192400","low":"66055.14","high":"66331.99","open":"66312.4","close":"66181.6",
#  "volume":"355.82896243"},{"start":"1712188800",...}]}     newest first, no flag for closed
class _Candles(Struct, gc=False):
    candles: list[Raw]


_candles = decoder(_Candles)
_candle = decoder(Candle)


def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
    return kept(_candles(body).candles, lambda raw: bar("", _candle(raw), None), named("start"))


# All products: the only place where the figures of the whole market stand, without bid and ask


class _Figures(Struct, gc=False):
    product_id: Name
    price_increment: str
    price: str = ""
    price_percentage_change_24h: str = ""
    volume_24h: str = ""


_figures = decoder(_Figures)


def sweep_request(topic: Topic) -> RestRequest:
    return RestRequest(Purpose.POLL, topic.market, _PRODUCTS, _SPOT_ONLY, 1, topic, pool=POOL)


def read_sweep(request: RestRequest, body: bytes) -> Sequence[Message]:
    stream = f"{request.path}?product_type=SPOT"
    rows = kept(
        _products(body).products,
        lambda raw: _row(stream, _figures(raw)) if _kind(raw).product_type == "SPOT" else None,
        named("product_id"),
    )
    return rows.told(stream, (SweepRows(stream, rows),))


def _row(stream: str, said: _Figures) -> SweepRow:
    """The change is percent; the volume, base quantity. The answer's quote volume is an approximation, and left out."""
    last, percent, tick = price(said.price), signed(said.price_percentage_change_24h), price(said.price_increment)
    opened = None if tick is None else open_24h(last, percent, tick)
    stats = Stats(stream, None, last=last, open=opened, volume=amount(said.volume_24h), change_pct=percent)
    return SweepRow(said.product_id, None, stats, None)


# Time and errors


def probe_request(market: MarketType) -> RestRequest:
    return RestRequest(Purpose.PROBE, market, "/api/v3/brokerage/time", pool=POOL)


# {"iso":"2026-04-07T14:30:10Z","epochSeconds":"1775572210","epochMillis":"1775572210012"}     the documents' shape
class _Clock(Struct, gc=False):
    epochMillis: str


_clock = decoder(_Clock)


def read_probe(request: RestRequest, body: bytes) -> int | None:
    """None: public answers may come out of a cache, a second old ("Public Endpoints"), so that the time in one proves
    nothing of a venue's clock. One without a time is no answer of the venue's."""
    _clock(body)
    return None


# {"error":"NOT_FOUND","error_details":"valid product_id is required","message":"valid product_id is required"}
class _Failure(Struct, gc=False):
    error: str = ""
    message: str = ""


_failure = decoder(_Failure)
_REJECTED = ("NOT_FOUND", "INVALID_ARGUMENT")


def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
    """What a refusal means. The limit is counted per second."""
    if 200 <= status < 300:
        return None
    failure = _read_failure(body)
    message = f"HTTP {status}" + (f", {failure.error} {failure.message[:200]}" if failure.error else "")
    if status == 429:
        return "banned", f"{message}: too many requests", retry_after(headers, 5.0)
    firewall = firewall_refusal(status, body)
    if firewall is not None:
        return "blocked", f"{firewall}; try {ALTERNATIVE}", None
    if status in (403, 451):
        return "blocked", f"{message}: not served from here; try {ALTERNATIVE}", None
    if "maintenance" in failure.message.lower():
        return "maintenance", message, None
    return ("rejected" if failure.error in _REJECTED else ""), message, None


def _read_failure(body: bytes) -> _Failure:
    """A refusal may carry anything (a proxy's HTML page): then there is simply no code."""
    try:
        return _failure(body)
    except (ValueError, RecursionError):
        return _Failure()
