"""Kraken's REST answers in our words: candles, the ticker sweep, errors. The catalogue stands in
``catalogue.py``.

Every answer is ``{"error":[],"result":{...}}``; a failure has texts in ``error``, mostly with HTTP 200. Pairs are
called by an old name here (``XXBTZUSD``), whatever was asked for. Sources: docs.kraken.com, "Market Data" of the Spot
REST API, and support.kraken.com, "API error messages".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.intervals import LENGTH_MS
from cryptodash.core.numbers import positive, unsigned
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import (
    MAX_TIME_MS,
    amount,
    decoder,
    firewall_refusal,
    price,
    retry_after,
    side,
)
from cryptodash.exchanges.adapter.elements import kept, named
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Message, Quote, Stats, SweepRow, SweepRows
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.venues.kraken.names import MINUTES, altname

SPOT = MarketType.SPOT
POOL = "kraken"
"""One budget for the address."""
ALTERNATIVE = "HTTPS_PROXY with a proxy in a place that Kraken serves (it has no other public host)"

TOKENIZED = "tokenized_asset"
"""The class of assets that stand for shares. It has to be asked for by that ("Get OHLC Data" and "Get Order
Book", "asset_class")."""

T = TypeVar("T")


class Answer(Struct, Generic[T], gc=False):
    """What every answer is."""

    result: T


def pair_params(instrument: Instrument) -> tuple[tuple[str, str], ...]:
    """How a request names a pair: by its old name, with its class where that has to be said."""
    name = instrument.other_names[0] if instrument.other_names else altname(instrument.native)
    named = (("pair", name),)
    return (*named, ("asset_class", TOKENIZED)) if instrument.underlying_type == "equity" else named


LEAST_OPEN_S = 1_000_000_000
"""No bar of the venue's is older (2001); an ``end`` before that asks for nothing that is there."""


def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
    """At most the newest 720 bars, whatever is asked for: what is older cannot be had. ``since`` goes back one bar more
    than is wanted, for nothing says whether its own bar is among the answer."""
    since: tuple[tuple[str, str], ...] = ()
    if end_ms is not None:
        first = (end_ms - (limit + 1) * LENGTH_MS[topic.interval]) // 1000
        since = (("since", str(max(first, LEAST_OPEN_S))),)
    params = (*pair_params(instrument), ("interval", str(MINUTES[topic.interval])), *since)
    return RestRequest(
        Purpose.CANDLES, instrument.market, "/0/public/OHLC", params, 1, topic, instrument.native, limit, POOL
    )


# {"error":[],"result":{"XBTUSDT":[[1762777020,"106038.2","106038.2","106038.2","106038.2","0.0","0.00000000",0],...],
#  "last":1762820160}}
#  time (s), open, high, low, close, vwap, volume, count; oldest first, the last one runs
class _Row(Struct, array_like=True, gc=False):
    time: Annotated[int, Meta(ge=0, le=MAX_TIME_MS // 1000)]
    open: str
    high: str
    low: str
    close: str
    vwap: str
    volume: str


_ohlc = decoder(Answer[dict[str, Raw]])
_rows = decoder(list[Raw])
_row = decoder(_Row)


def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
    """The bars stand under the pair's own key, whatever it was asked for by."""
    found = [value for key, value in _ohlc(body).result.items() if key != "last"]
    if len(found) != 1:
        raise BadFrame("schema", f"bars of {len(found)} pairs")
    return kept(_rows(found[0]), _bar, named(0))


def _bar(raw: Raw) -> Bar:
    row = _row(raw)
    prices = positive(row.open), positive(row.high), positive(row.low), positive(row.close)
    return Bar("", row.time * 1000, *prices, unsigned(row.volume))


def sweep_request(topic: Topic) -> RestRequest:
    """Without a pair: the tickers of all. There is no all-market stream."""
    return RestRequest(Purpose.POLL, topic.market, "/0/public/Ticker", (), 1, topic, pool=POOL)


# {"error":[],"result":{"XBTUSDT":{"a":["105944.30000","1","1.000"],"b":["105944.20000","1","1.000"],
#  "c":["105899.40000","0.00009443"],"v":["0.78648221","163.28908096"],"p":["105960.64756","105904.39279"],
#  "t":[35,3276],"l":["105853.50000","104711.00000"],"h":["106112.00000","106613.10000"],"o":"106021.60000"}}}
#  a, b: price, whole lots, lots; c: price, lots; v, l, h: today, last 24 hours; o: the day's open (00:00 UTC)
class _Ticker(Struct, gc=False):
    ask: tuple[str, str, str] = field(name="a")
    bid: tuple[str, str, str] = field(name="b")
    last: tuple[str, str] = field(name="c")
    volume: tuple[str, str] = field(name="v")
    low: tuple[str, str] = field(name="l")
    high: tuple[str, str] = field(name="h")


_tickers = decoder(Answer[dict[str, Raw]])
_ticker = decoder(_Ticker)


def read_sweep(request: RestRequest, body: bytes) -> Sequence[Message]:
    """Nothing in it tells when it was written, and no figure is the price 24 h ago: ``o`` is today's."""
    stream = request.path
    rows = kept(_tickers(body).result.items(), lambda item: _sweep_row(stream, *item), lambda item: item[0])
    return rows.told(stream, (SweepRows(stream, rows),))


def _sweep_row(stream: str, key: str, raw: Raw) -> SweepRow:
    data = _ticker(raw)
    bid, bid_size = side(data.bid[0], data.bid[2])
    ask, ask_size = side(data.ask[0], data.ask[2])
    day = price(data.last[0]), None, price(data.high[1]), price(data.low[1]), amount(data.volume[1])
    return SweepRow(key, Quote(stream, bid, bid_size, ask, ask_size, None, None), Stats(stream, None, True, *day), None)


def probe_request(market: MarketType) -> RestRequest:
    return RestRequest(Purpose.PROBE, market, "/0/public/Time", pool=POOL)


def read_probe(request: RestRequest, body: bytes) -> int | None:
    """None: it says whole seconds. The answers to pings say more."""
    return None


class _Failure(Struct, gc=False):
    errors: list[Annotated[str, Meta(max_length=8192)]] = field(name="error", default_factory=list)


_failure = decoder(_Failure)

_GOOD = b'{"error":[],'
_LIMITS = ("EGeneral:Too many requests", "EAPI:Rate limit exceeded", "EService:Throttled", "EGeneral:Temporary lockout")
_UNKNOWN = ("EQuery:", "EGeneral:Invalid arguments", "EGeneral:Unknown method")
_AWAY = ("EService:Unavailable", "EService:Market in", "EGeneral:Maintenance")


def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
    """What a refusal means: the texts are severity, category, and words after a colon."""
    if status < 300 and body.startswith(_GOOD):
        return None
    errors = _read_errors(body)
    if status < 300 and not any(each.startswith("E") for each in errors):
        return None  # a text that begins with W only warns
    message = ", ".join([f"HTTP {status}", *errors])[:300]
    firewall = firewall_refusal(status, body)
    if firewall is not None:
        return "blocked", f"{firewall}; try {ALTERNATIVE}", None
    if status in (403, 451):
        return "blocked", f"{message}: not served from here; try {ALTERNATIVE}", None
    if status == 429:
        return "banned", f"{message}: too many requests", retry_after(headers, 60.0)
    if _is_any(errors, _LIMITS):  # about one request a second may be made
        return "banned", f"{message}: too many requests", retry_after(headers, 10.0)
    if _is_any(errors, _AWAY):
        return "maintenance", message, None
    return ("rejected" if _is_any(errors, _UNKNOWN) else ""), message, None


def _is_any(errors: Sequence[str], known: tuple[str, ...]) -> bool:
    return any(each.startswith(known) for each in errors)


def _read_errors(body: bytes) -> Sequence[str]:
    """A refusal may carry anything (a proxy's HTML page): then there is simply no text."""
    try:
        return _failure(body).errors
    except (ValueError, RecursionError):
        return ()
