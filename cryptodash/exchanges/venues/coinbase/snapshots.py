"""Coinbase's order books by REST, to compare live books with. Source: docs.cdp.coinbase.com, "Get Public Product
Book"."""

from __future__ import annotations

from msgspec import Struct

from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import positive, unsigned
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import Name, decoder, misdirected
from cryptodash.exchanges.adapter.messages import Depth
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.venues.coinbase.rest import POOL

MOST_LEVELS = 1000
"""No bound is documented for ``limit``; more are never watched."""


def snapshot_request(topic: Topic, instrument: Instrument, levels: int) -> RestRequest:
    """By the name that the frames of its stream have: one book may be listed twice, and then answers by one name."""
    limit, market, native = min(levels, MOST_LEVELS), instrument.market, instrument.alias_of or instrument.native
    params = (("product_id", native), ("limit", str(limit)))
    path = "/api/v3/brokerage/market/product_book"
    return RestRequest(Purpose.SNAPSHOT, market, path, params, 1, topic, native, limit, POOL)


# {"pricebook":{"product_id":"BTC-USD","bids":[{"price":"105944.3","size":"0.136"},...],"asks":[...],
#  "time":"2025-11-11T00:17:28.123456Z"},"last":...}
class _Level(Struct, gc=False):
    price: str
    size: str


class _Pricebook(Struct, gc=False):
    product_id: Name
    bids: list[_Level]
    asks: list[_Level]


class _Book(Struct, gc=False):
    pricebook: _Pricebook


_book = decoder(_Book)


def read_snapshot(request: RestRequest, body: bytes) -> Depth:
    """No number joins it to the stream, and it may come from a cache of about a second ago."""
    book = _book(body).pricebook
    if book.product_id != request.native:
        raise misdirected(request.native, book.product_id)
    bids, asks = ([(positive(each.price), unsigned(each.size)) for each in side] for side in (book.bids, book.asks))
    return Depth(request.native, True, None, None, None, bids, asks, None)
