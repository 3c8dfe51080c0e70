"""Kraken's order book: its frames, and the checksum that each of them carries.

The checksum is the only proof that no frame is missing: there are no sequence numbers. Source: docs.kraken.com, "Book"
(WebSocket v2) and "Book checksum (v2)".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from zlib import crc32

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.events import Level
from cryptodash.core.numbers import positive, unsigned
from cryptodash.exchanges.adapter.decode import Name, decoder, exact, misdirected
from cryptodash.exchanges.adapter.messages import BadFrame, Depth, Message
from cryptodash.exchanges.venues.kraken.names import parse_stream
from cryptodash.exchanges.venues.kraken.times import Moment, milliseconds

CHECKSUM_DEPTH = 10
"""Levels a side that the checksum covers, whatever the depth of the book."""


class _Level(Struct, gc=False):
    price: Raw
    qty: Raw


# {"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":63004.9,"qty":0.01876947},...],
#  "asks":[{"price":63005.0,"qty":2.07265551},...],"checksum":2531248887,"timestamp":"2026-08-01T02:53:53.398143Z"}]}
# {"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":63005.9,"qty":0.00000000},
#  {"price":63008.6,"qty":0.00039677}],"checksum":3629011692,"timestamp":"2026-08-01T02:53:54.966086Z"}]}
class _Book(Struct, gc=False):
    symbol: Name
    bids: list[_Level]
    asks: list[_Level]
    checksum: Annotated[int, Meta(ge=0, lt=2**32)] | None = None
    timestamp: Moment | None = None


class _Books(Struct, gc=False):
    kind: Literal["snapshot", "update"] = field(name="type")
    data: list[_Book]


_books = decoder(_Books)


def read_book(stream: str, frame: bytes) -> Sequence[Message]:
    """Sizes are absolute, 0 deletes. A snapshot may come again unasked, and the first one without a checksum; an update
    always has one, and without it nothing would show a loss."""
    found = _books(frame)
    pair, snapshot = parse_stream(stream).pair, found.kind == "snapshot"
    return [_depth(stream, pair, book, snapshot) for book in found.data]


def _depth(stream: str, pair: str, book: _Book, snapshot: bool) -> Depth:
    if book.symbol != pair:
        raise misdirected(stream, book.symbol)
    if book.checksum is None and not snapshot:
        raise BadFrame("schema", "an update of the book without a checksum")
    time = None if book.timestamp is None else milliseconds(book.timestamp)
    bids, asks = _levels(book.bids), _levels(book.asks)
    return Depth(stream, snapshot, None, None, None, bids, asks, time, checksum=book.checksum)


def _levels(raw: Sequence[_Level]) -> Sequence[Level]:
    return [(positive(exact(each.price)), unsigned(exact(each.qty))) for each in raw]


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """CRC32 over the asks, then the bids, best first: of each level the digits of price and quantity as the venue wrote
    them, without the point and without leading zeros."""
    digits = [text.replace(".", "").lstrip("0") for side in (asks, bids) for level in side for text in level]
    return crc32("".join(digits).encode())
