"""Kraken's order books by REST, to compare live books with. Source: docs.kraken.com, "Get Order Book"."""

from __future__ import annotations

from msgspec import Struct

from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import positive, unsigned
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import decoder
from cryptodash.exchanges.adapter.messages import BadFrame, Depth
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.venues.kraken.rest import POOL, Answer, pair_params

MOST_LEVELS = 500


def snapshot_request(topic: Topic, instrument: Instrument, levels: int) -> RestRequest:
    limit, market, native = min(levels, MOST_LEVELS), instrument.market, instrument.native
    params = (*pair_params(instrument), ("count", str(limit)))
    return RestRequest(Purpose.SNAPSHOT, market, "/0/public/Depth", params, 1, topic, native, limit, POOL)


# {"error":[],"result":{"XXBTZUSD":{"asks":[["105944.30000","0.136",1762820248],...],"bids":[...]}}}
class _Level(Struct, array_like=True, gc=False):
    price: str
    size: str


class _Depth(Struct, gc=False):
    bids: list[_Level]
    asks: list[_Level]


_snapshot = decoder(Answer[dict[str, _Depth]])


def read_snapshot(request: RestRequest, body: bytes) -> Depth:
    """Nothing joins it to the stream: it has neither checksum nor number, and the times are those of the levels. Sizes
    are rounded to three places. The book stands under the pair's old name, whatever it was asked for by."""
    found = list(_snapshot(body).result.values())
    if len(found) != 1:
        raise BadFrame("schema", f"books of {len(found)} pairs")
    sides = found[0].bids, found[0].asks
    bids, asks = ([(positive(each.price), unsigned(each.size)) for each in side] for side in sides)
    return Depth(request.native, True, None, None, None, bids, asks, None)
