"""OKX V5 REST answers in our words: book snapshot, candles, the ticker sweep. The catalogue stands in
``catalogue.py``, errors in ``rest_errors.py``.

Every answer is ``{"code":"0","msg":"","data":[...]}``; a failure has another code, often with HTTP 200. Limits are of
each path by itself, per address and two seconds. Sources: www.okx.com/docs-v5, "Order Book Trading / Market Data"
and "Public Data".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from msgspec import Raw, Struct, field

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import decoder
from cryptodash.exchanges.adapter.elements import kept, named
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Depth, Message, SweepRow, SweepRows
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import RestLimits
from cryptodash.exchanges.venues.okx.streams import Row, Whole
from cryptodash.exchanges.venues.okx.ticker_streams import TickerFields
from cryptodash.exchanges.venues.okx.wire import subject_of, time_of

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL

KIND: Mapping[MarketType, str] = {SPOT: "SPOT", PERPETUAL: "SWAP"}
"""``instType``."""

INSTRUMENTS, TICKERS, BOOKS = "/api/v5/public/instruments", "/api/v5/market/tickers", "/api/v5/market/books"
CANDLES, HISTORY, TIME = "/api/v5/market/candles", "/api/v5/market/history-candles", "/api/v5/public/time"
LIMITS: Mapping[str, RestLimits] = {
    INSTRUMENTS: RestLimits(16, 2.0),  # of 20, which counts for each instType by itself
    TICKERS: RestLimits(16, 2.0),  # of 20
    BOOKS: RestLimits(32, 2.0),  # of 40
    CANDLES: RestLimits(32, 2.0),  # of 40
    HISTORY: RestLimits(16, 2.0),  # of 20
    TIME: RestLimits(8, 2.0),  # of 10
}
"""The budgets. A pool is named after its path."""

T = TypeVar("T")


class Answer(Struct, Generic[T], gc=False):
    """What every answer is."""

    data: list[T]


MOST_LEVELS = 400


def snapshot_request(topic: Topic, instrument: Instrument, levels: int) -> RestRequest:
    """Always as many levels as there are: requests are counted, not weighed."""
    params = (("instId", instrument.native), ("sz", str(MOST_LEVELS)))
    market, native = instrument.market, instrument.native
    return RestRequest(
        Purpose.SNAPSHOT, market, BOOKS, params, 1, topic, native, MOST_LEVELS, BOOKS, instrument=instrument
    )


# {"code":"0","msg":"","data":[{"asks":[["41006.8","0.60038921","0","1"]],"bids":[["41006.3","0.30178218","0","2"]],
#  "ts":"1629966436396","seqId":3235851742}]}
_snapshot = decoder(Answer[Whole])


def read_snapshot(stream: str, request: RestRequest, body: bytes) -> Depth:
    """``seqId`` is that of the stream: the first frame to apply has ``prevSeqId <= seqId`` of this ``< seqId``."""
    (data, *others) = _snapshot(body).data or (None,)
    if data is None or others:
        raise BadFrame("schema", "not one book")
    return data.depth(stream, subject_of(request.native, request.instrument, is_swap=request.market is PERPETUAL))


INTERVALS: Mapping[str, str] = {
    "1m": "1m",
    "3m": "3m",
    "5m": "5m",
    "15m": "15m",
    "30m": "30m",
    "1h": "1H",
    "2h": "2H",
    "4h": "4H",
    "6h": "6Hutc",
    "12h": "12Hutc",
    "1d": "1Dutc",
    "1w": "1Wutc",
    "1M": "1Mutc",
}
"""The venue's name for each of ours. From six hours up the plain names are bars of Hong Kong's day."""


def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
    """The newest bars, 1440 at most, have a path of their own; older ones are on the other, which has half its budget.
    ``after`` bounds the open time, exclusive."""
    limit = max(1, min(limit, 300))
    path, end = (CANDLES, ()) if end_ms is None else (HISTORY, (("after", str(end_ms + 1)),))
    market, native = instrument.market, instrument.native
    params = (("instId", native), ("bar", INTERVALS[topic.interval]), *end, ("limit", str(limit)))
    return RestRequest(Purpose.CANDLES, market, path, params, 1, topic, native, limit, path)


_rows = decoder(Answer[Raw])
_row = decoder(Row)


def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
    """Newest first, rows as in the stream."""
    is_swap = request.market is PERPETUAL
    return kept(_rows(body).data, lambda raw: _row(raw).bar("", is_swap=is_swap), named(0))


def sweep_request(topic: Topic) -> RestRequest:
    """All tickers of the market: there is no stream of them."""
    params = (("instType", KIND[topic.market]),)
    return RestRequest(Purpose.POLL, topic.market, TICKERS, params, 1, topic, pool=TICKERS)


_fields = decoder(TickerFields)


def read_sweep(request: RestRequest, body: bytes) -> Sequence[Message]:
    stream, is_swap = f"{TICKERS}?instType={KIND[request.market]}", request.market is PERPETUAL

    def read(raw: Raw) -> SweepRow:
        data = _fields(raw)
        return SweepRow(data.native, data.quote(stream, is_swap=is_swap), data.stats(stream, is_swap=is_swap), None)

    rows = kept(_rows(body).data, read, named("instId"))
    return rows.told(stream, (SweepRows(stream, rows),))


def probe_request(market: MarketType) -> RestRequest:
    return RestRequest(Purpose.PROBE, market, TIME, pool=TIME)


# {"code":"0","msg":"","data":[{"ts":"1597026383085"}]}
class _Clock(Struct, gc=False):
    time: str = field(name="ts")


_clock = decoder(Answer[_Clock])


def read_probe(request: RestRequest, body: bytes) -> int | None:
    for clock in _clock(body).data:
        return time_of(clock.time)
    raise BadFrame("schema", "no time")
