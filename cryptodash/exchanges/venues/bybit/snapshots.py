"""Bybit's order books by REST, to compare live books with. Source: bybit-exchange.github.io/docs, v5, "Get
Orderbook"."""

from __future__ import annotations

from msgspec import Struct, field

from cryptodash.core.instruments import Instrument
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import Count, Name, RawLevels, Time, decoder, levels, misdirected
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.venues.bybit.rest import CATEGORY, POOL, Answer

MOST_LEVELS = 1000


def snapshot_request(topic: Topic, instrument: Instrument, levels: int) -> RestRequest:
    """Requests are counted, not weighed."""
    limit, market, native = min(levels, MOST_LEVELS), instrument.market, instrument.native
    params = (("category", CATEGORY[market]), ("symbol", native), ("limit", str(limit)))
    return RestRequest(Purpose.SNAPSHOT, market, "/v5/market/orderbook", params, 1, topic, native, limit, POOL)


# {"retCode":0,"retMsg":"OK","result":{"s":"BTCUSDT","b":[["65485.47","47.081829"],...],"a":[["65557.7","16.606555"],
#  ...],"ts":1716863719031,"u":230704,"seq":1432604333,"cts":1716863718905},"retExtInfo":{},"time":1716863719382}
class _Orderbook(Struct, gc=False):
    native: Name = field(name="s")
    bids: RawLevels = field(name="b")
    asks: RawLevels = field(name="a")
    time: Time = field(name="ts")
    update_id: Count = field(name="u")
    sequence: Count = field(name="seq")
    engine_time: Time | None = field(name="cts", default=None)


_orderbook = decoder(Answer[_Orderbook])


def read_snapshot(request: RestRequest, body: bytes) -> Depth:
    """``seq`` compares with that of every stream of the book, ``u`` with the stream of 1,000 levels alone."""
    book = _orderbook(body).result
    if book.native != request.native:
        raise misdirected(request.native, book.native)
    time = book.time if book.engine_time is None else book.engine_time
    bids, asks, last = levels(book.bids), levels(book.asks), book.update_id
    return Depth(
        f"orderbook.{MOST_LEVELS}.{book.native}", True, last, last, None, bids, asks, time, sequence=book.sequence
    )
