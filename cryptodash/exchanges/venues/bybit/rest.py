"""Bybit V5 REST answers in our words: candles, the ticker sweep, errors. The catalogue stands in ``catalogue.py``.

Every answer is ``{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":<ms>}``; a failure has another
``retCode``, mostly with HTTP 200. Sources: bybit-exchange.github.io/docs/v5, "Market",
"Error Codes" and "Rate Limit Rules".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.numbers import positive, unsigned
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import (
    MAX_TIME_MS,
    Time,
    decoder,
    firewall_refusal,
    retry_after,
    side,
)
from cryptodash.exchanges.adapter.elements import kept, named
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Message, Quote, SweepRow, SweepRows
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.venues.bybit.ticker_streams import TickerFields

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL

CATEGORY: Mapping[MarketType, str] = {SPOT: "spot", PERPETUAL: "linear"}
POOL = "bybit"
"""One budget for the address, whatever the product."""
ALTERNATIVE = "https://api.bytick.com (REST), or the host of your region"

T = TypeVar("T")


class Answer(Struct, Generic[T], gc=False):
    """What every answer is."""

    result: T
    time: Time = 0


INTERVALS: Mapping[str, str] = {
    "1m": "1",
    "3m": "3",
    "5m": "5",
    "15m": "15",
    "30m": "30",
    "1h": "60",
    "2h": "120",
    "4h": "240",
    "6h": "360",
    "12h": "720",
    "1d": "D",
    "1w": "W",
    "1M": "M",
}
"""The venue's name for each of ours; it has them all."""


def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
    limit = max(1, min(limit, 1000))
    end = () if end_ms is None else (("end", str(end_ms)),)
    category, interval = CATEGORY[instrument.market], INTERVALS[topic.interval]
    params = (
        ("category", category),
        ("symbol", instrument.native),
        ("interval", interval),
        *end,
        ("limit", str(limit)),
    )
    path, market = "/v5/market/kline", instrument.market
    return RestRequest(Purpose.CANDLES, market, path, params, 1, topic, instrument.native, limit, POOL)


# "list":[["1670608800000","17071","17073","17027","17055.5","268611","15.74462667"],["1670605200000",...],...]
#  newest first, no flag for closed
class _Row(Struct, array_like=True, gc=False):
    start: Annotated[str, Meta(pattern="^[0-9]{1,15}$")]
    open: str
    high: str
    low: str
    close: str
    volume: str


class _Rows(Struct, gc=False):
    rows: list[Raw] = field(name="list")


_rows = decoder(Answer[_Rows])
_row = decoder(_Row)


def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
    return kept(_rows(body).result.rows, _bar, named(0))


def _bar(raw: Raw) -> Bar:
    row = _row(raw)
    opened = int(row.start)
    if opened > MAX_TIME_MS:
        raise BadFrame("schema", f"start {row.start}")
    prices = positive(row.open), positive(row.high), positive(row.low), positive(row.close)
    return Bar("", opened, *prices, unsigned(row.volume))


def sweep_request(topic: Topic) -> RestRequest:
    """All tickers of the market: the only place where Bybit gives spot bid and ask together with the rest."""
    params = (("category", CATEGORY[topic.market]),)
    return RestRequest(Purpose.POLL, topic.market, "/v5/market/tickers", params, 1, topic, pool=POOL)


# "list":[{"symbol":"BTCUSDT","bid1Price":"20517.96","bid1Size":"2","ask1Price":"20527.77","ask1Size":"1.862172",
#  "lastPrice":"20533.13",...},...]
class _SweepFields(TickerFields, gc=False):
    bid: str = field(name="bid1Price", default="")
    bid_size: str = field(name="bid1Size", default="")
    ask: str = field(name="ask1Price", default="")
    ask_size: str = field(name="ask1Size", default="")


class _Tickers(Struct, gc=False):
    tickers: list[Raw] = field(name="list")


_tickers = decoder(Answer[_Tickers])
_sweep_fields = decoder(_SweepFields)


def read_sweep(request: RestRequest, body: bytes) -> Sequence[Message]:
    answer = _tickers(body)
    stream = f"{request.path}?category={CATEGORY[request.market]}"
    rows = kept(answer.result.tickers, lambda raw: _sweep_row(stream, _sweep_fields(raw), answer.time), named("symbol"))
    return rows.told(stream, (SweepRows(stream, rows),))


def _sweep_row(stream: str, data: _SweepFields, time: int) -> SweepRow:
    bid, bid_size = side(data.bid, data.bid_size)
    ask, ask_size = side(data.ask, data.ask_size)
    quote = Quote(stream, bid, bid_size, ask, ask_size, None, time)
    return SweepRow(
        data.native,
        quote,
        data.stats(stream, time, True),
        data.mark_of(stream, time, True) if data.has_mark() else None,
    )


def probe_request(market: MarketType) -> RestRequest:
    return RestRequest(Purpose.PROBE, market, "/v5/market/time", pool=POOL)


# {"retCode":0,"retMsg":"OK","result":{"timeSecond":"1688639403","timeNano":"1688639403423213947"},"time":1688639403423}
class _Clock(Struct, gc=False):
    time: Time


_clock = decoder(_Clock)


def read_probe(request: RestRequest, body: bytes) -> int | None:
    return _clock(body).time


class _Failure(Struct, gc=False):
    code: int = field(name="retCode", default=0)
    message: str = field(name="retMsg", default="")


_failure = decoder(_Failure)

_GOOD = b'{"retCode":0,'
_TOO_MANY_VISITS = 10006
_TOO_MANY_FROM_ADDRESS = 10018
_BAD_PARAMETER = 10001
_NOT_HERE = 10024
"""Compliance rules of the caller's region."""


def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
    """What a refusal means. HTTP 403 is "access too frequent" (wait ten minutes), a region that is not
    served, or the firewall's, which means either."""
    if status < 300 and body.startswith(_GOOD):
        return None
    failure = _read_failure(body)
    if status < 300 and failure.code == 0:
        return None
    message = f"HTTP {status}" + (f", {failure.code} {failure.message[:200]}" if failure.code else "")
    too_frequent = failure.code == _TOO_MANY_VISITS or b"too frequent" in body[:4096].lower()
    if failure.code == _TOO_MANY_FROM_ADDRESS or (status == 403 and too_frequent):
        return "banned", f"{message}: access too frequent", retry_after(headers, 600.0)
    firewall = firewall_refusal(status, body)
    if firewall is not None:
        return "blocked", f"{firewall}; try {ALTERNATIVE}", None
    if status in (403, 451) or failure.code == _NOT_HERE:
        return "blocked", f"{message}: not served from here; try {ALTERNATIVE}", None
    if status == 429:
        return "banned", f"{message}: too many requests", retry_after(headers, 60.0)
    if failure.code == _TOO_MANY_VISITS:  # counted per second
        return "banned", f"{message}: too many requests", retry_after(headers, 5.0)
    if "maintenance" in failure.message.lower():
        return "maintenance", message, None
    return ("rejected" if failure.code == _BAD_PARAMETER else ""), message, None


def _read_failure(body: bytes) -> _Failure:
    """A refusal may carry anything (a proxy's HTML page): then there is simply no code."""
    try:
        return _failure(body)
    except (ValueError, RecursionError):
        return _Failure()
