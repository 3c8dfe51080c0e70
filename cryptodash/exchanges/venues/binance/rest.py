"""Binance REST answers in our words: book snapshot, candles, errors. The catalogue stands in ``catalogue.py``, what is
polled in ``polls.py``.

Sources: developers.binance.com, "REST API" (spot, ``/api/v3``) and "Market Data Endpoints" (USD-M, ``/fapi/v1``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.numbers import positive, unsigned
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import (
    Count,
    Name,
    RawLevels,
    Time,
    decoder,
    firewall_refusal,
    levels,
    quote,
    retry_after,
)
from cryptodash.exchanges.adapter.elements import kept, named
from cryptodash.exchanges.adapter.messages import Bar, Depth, Message, Quote
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL

ALTERNATIVE = "https://data-api.binance.vision and wss://data-stream.binance.vision (spot market data)"

_PREFIX = {SPOT: "/api/v3", PERPETUAL: "/fapi/v1"}
POOL: Mapping[MarketType, str] = {SPOT: "binance-spot", PERPETUAL: "binance-usdm"}
"""The budgets: weight is counted per address, for each market by itself."""


_DEPTH_SIZES = {
    SPOT: ((100, 5), (500, 25), (1000, 50), (5000, 250)),
    PERPETUAL: ((50, 2), (100, 5), (500, 10), (1000, 20)),
}
"""(levels, weight). Spot gives any number of levels, but weighs them by these steps."""


def snapshot_request(topic: Topic, instrument: Instrument, levels: int) -> RestRequest:
    """The smallest size that has so many levels a side, or the largest there is."""
    market = instrument.market
    sizes = _DEPTH_SIZES[market]
    limit, weight = next((each for each in sizes if each[0] >= levels), sizes[-1])
    params = (("symbol", instrument.native), ("limit", str(limit)))
    path, pool = _PREFIX[market] + "/depth", POOL[market]
    return RestRequest(Purpose.SNAPSHOT, market, path, params, weight, topic, instrument.native, limit, pool)


# {"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"],...],"asks":[...]}
#  spot: without E and T
class _Snapshot(Struct, gc=False):
    sequence: Count = field(name="lastUpdateId")
    bids: RawLevels
    asks: RawLevels
    time: Time | None = field(name="T", default=None)


_snapshot = decoder(_Snapshot)


def read_snapshot(stream: str, body: bytes) -> Depth:
    data = _snapshot(body)
    return Depth(stream, True, data.sequence, data.sequence, None, levels(data.bids), levels(data.asks), data.time)


def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
    """``endTime`` bounds the open time, inclusive. USD-M weight by limit: 1 below 100,
    2 below 500, 5 up to 1000; spot 2."""
    limit = max(1, min(limit, 1000))
    end = () if end_ms is None else (("endTime", str(end_ms)),)
    params = (("symbol", instrument.native), ("interval", topic.interval), *end, ("limit", str(limit)))
    market = instrument.market
    weight = 2 if market is SPOT else 1 if limit < 100 else 2 if limit < 500 else 5
    path, pool = _PREFIX[market] + "/klines", POOL[market]
    return RestRequest(Purpose.CANDLES, market, path, params, weight, topic, instrument.native, limit, pool)


# [1786539480000,"64117.67000000","64118.00000000","64117.66000000","64117.99000000","0.38518000",1786539539999,
#  "24696.88116430",115,"0.17878000",...]
class _Row(Struct, array_like=True, gc=False):
    open_time: Time
    open: str
    high: str
    low: str
    close: str
    volume: str


_rows = decoder(list[Raw])
_row = decoder(_Row)


def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
    return kept(_rows(body), _bar, named(0))


def _bar(raw: Raw) -> Bar:
    row = _row(raw)
    prices = positive(row.open), positive(row.high), positive(row.low), positive(row.close)
    return Bar("", row.open_time, *prices, unsigned(row.volume))


# [{"symbol":"LTCBTC","bidPrice":"4.00000000","bidQty":"431.00000000","askPrice":"4.00000200","askQty":"9.00000000"}]
# (no update id on spot; USD-M adds "time" and "lastUpdateId")
class _BookTicker(Struct, gc=False):
    native: Name = field(name="symbol")
    bid: str = field(name="bidPrice")
    bid_size: str = field(name="bidQty")
    ask: str = field(name="askPrice")
    ask_size: str = field(name="askQty")


_book_ticker = decoder(_BookTicker)
_book_tickers = decoder(list[Raw])


def quotes_request(market: MarketType, natives: Sequence[str]) -> RestRequest:
    """Spot takes a list of symbols (weight 4), USD-M one or all of them (weight 5)."""
    spot = market is MarketType.SPOT
    params = (("symbols", msgspec.json.encode(list(natives)).decode()),) if spot else ()
    path = _PREFIX[market] + "/ticker/bookTicker"
    return RestRequest(Purpose.SEED, market, path, params, weight=4 if spot else 5, pool=POOL[market])


def read_quotes(request: RestRequest, body: bytes) -> Sequence[tuple[str, Message]]:
    """Without the update id: that of REST is not comparable with the stream's."""
    return kept(_book_tickers(body), _quote_of, named("symbol"))


def _quote_of(raw: Raw) -> tuple[str, Message]:
    row = _book_ticker(bytes(raw))
    best = quote(row.bid, row.bid_size, row.ask, row.ask_size)
    return row.native, Quote(f"{row.native.lower()}@bookTicker", *best, None, None)


def probe_request(market: MarketType) -> RestRequest:
    return RestRequest(Purpose.PROBE, market, _PREFIX[market] + "/time", pool=POOL[market])


# {"serverTime":1499827319559}
class _Clock(Struct, gc=False):
    time: Time = field(name="serverTime")


_clock = decoder(_Clock)


def read_probe(request: RestRequest, body: bytes) -> int | None:
    return _clock(body).time


# {"code":-1121,"msg":"Invalid symbol."}
class _Error(Struct, gc=False):
    code: int = 0
    msg: str = ""


_error = decoder(_Error)

_TOO_MANY_REQUESTS = -1003
_SHUTTING_DOWN = -1016
_BAD_PARAMETER = range(-1199, -1099)
"""-11xx: something about the request itself (-1121: no such symbol)."""


def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
    """What a refusal means. 429: slow down; 418: banned (two minutes to three days); 451, and 403 from
    the API itself: this host does not serve this place. Any other 403 is the firewall's."""
    if status < 300:
        return None
    error = _read_error(body)
    message = f"HTTP {status}" + (f", {error.code} {error.msg[:200]}" if error.code else "")
    if status == 418:
        return "banned", f"{message}: this address is banned", retry_after(headers, 600.0)
    if status == 429 or error.code == _TOO_MANY_REQUESTS:
        return "banned", f"{message}: too many requests", retry_after(headers, 60.0)
    firewall = firewall_refusal(status, body)
    if firewall is not None:
        return "blocked", f"{firewall}; try {ALTERNATIVE}", None
    if status in (403, 451):
        return "blocked", f"{message}: not served from here; try {ALTERNATIVE}", None
    if error.code == _SHUTTING_DOWN or (status >= 500 and "maintenance" in error.msg.lower()):
        return "maintenance", message, None
    if error.code in _BAD_PARAMETER:
        return "rejected", message, None
    return "", message, None


def _read_error(body: bytes) -> _Error:
    """A refusal may carry anything (a proxy's HTML page): then there is simply no code."""
    try:
        return _error(body)
    except (ValueError, RecursionError):
        return _Error()
