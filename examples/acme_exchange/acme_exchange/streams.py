"""Acme's frames in our words: one reader per kind of stream, the raw message above each.

Prices are decimal text in USDT. Sizes are whole contracts; a contract is ``contractSize`` of the base, which the
catalogue tells. Times are ms. Source: Acme's manual, chapter 4, "Streams".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Raw, Struct, field

from cryptodash.exchanges.adapter import (
    Bar,
    Count,
    Depth,
    Fill,
    Instrument,
    Message,
    Quote,
    RawLevels,
    Reader,
    Side,
    Stats,
    Time,
    Trades,
    decoder,
    in_base,
    nonzero,
    positive,
    unsigned,
)

Read = Callable[[str, bytes, Instrument | None], Sequence[Message]]


# {"stream":"quotes:BTC-PERP","time":1788548384904,"data":{"id":901,"bid":"60000.5","bidSize":"1200","ask":"60001.0",
#  "askSize":"800"}}
class _Best(Struct, gc=False):
    id: Count
    bid: str
    ask: str
    bid_size: str = field(name="bidSize")
    ask_size: str = field(name="askSize")


class _Quote(Struct, gc=False):
    time: Time
    data: _Best


_quote = decoder(_Quote)


def read_quote(stream: str, frame: bytes, instrument: Instrument | None) -> Sequence[Message]:
    """Sent on every change of either side; both sides are always there (4.2)."""
    quote = _quote(frame)
    best = quote.data
    bid, ask = positive(best.bid), positive(best.ask)
    sizes = in_base(best.bid_size, instrument), in_base(best.ask_size, instrument)
    return [Quote(stream, bid, sizes[0], ask, sizes[1], best.id, quote.time)]


# {"stream":"day:BTC-PERP","time":1788548385000,"data":{"last":"60001.0","open":"59000.0","high":"60500.0",
#  "low":"58900.5","volume":"1250000"}}
class _Figures(Struct, gc=False):
    last: str
    open: str
    high: str
    low: str
    volume: str


class _Day(Struct, gc=False):
    time: Time
    data: _Figures


_day = decoder(_Day)


def read_day(stream: str, frame: bytes, instrument: Instrument | None) -> Sequence[Message]:
    """Sent every second (4.3): ``StreamSpec.promise``."""
    day = _day(frame)
    data = day.data
    prices = positive(data.last), positive(data.open), positive(data.high), positive(data.low)
    return [Stats(stream, day.time, True, *prices, in_base(data.volume, instrument))]


# {"stream":"trades:BTC-PERP","time":1788548385100,"data":[{"id":77,"price":"60001.0","size":"25","side":"buy",
#  "time":1788548385098}]}
class _Trade(Struct, gc=False):
    id: Count
    price: str
    size: str
    side: Literal["buy", "sell"]
    time: Time


class _Trades(Struct, gc=False):
    data: list[_Trade]


_trades = decoder(_Trades)


def read_trades(stream: str, frame: bytes, instrument: Instrument | None) -> Sequence[Message]:
    """Oldest first; ``side`` is the taker's; ids are counted without holes (4.4)."""
    fills = nonzero(_trades(frame).data, lambda trade: _fill(trade, instrument), lambda trade: trade.id)
    return fills.told(stream, [Trades(stream, fills)])


def _fill(trade: _Trade, instrument: Instrument | None) -> Fill:
    quantity = positive(in_base(trade.size, instrument))
    return Fill(str(trade.id), positive(trade.price), quantity, Side(trade.side), trade.time, trade.id)


# {"stream":"book:BTC-PERP","time":1788548385200,"data":{"kind":"snapshot","id":5001,"bids":[["60000.5","1200"]],
#  "asks":[["60001.0","800"]]}}
class _Levels(Struct, gc=False):
    kind: Literal["snapshot", "change"]
    id: Count
    bids: RawLevels
    asks: RawLevels


class _Book(Struct, gc=False):
    time: Time
    data: _Levels


_book = decoder(_Book)


def read_book(stream: str, frame: bytes, instrument: Instrument | None) -> Sequence[Message]:
    """A snapshot first, then changes, each with the id before plus one; size 0 deletes (4.5): ``Chaining.COUNTER``."""
    book = _book(frame)
    data = book.data
    bids, asks = (
        [(positive(price), in_base(size, instrument)) for price, size in side] for side in (data.bids, data.asks)
    )
    return [Depth(stream, data.kind == "snapshot", data.id, data.id, None, bids, asks, book.time)]


# {"stream":"candles-1m:BTC-PERP","time":1788548390000,"data":{"openTime":1788548340000,"open":"60000.0",
#  "high":"60001.0","low":"59999.5","close":"60000.5","volume":"310","closed":false}}
class Candle(Struct, gc=False):
    """A bar, of a stream or of REST (5.2)."""

    open_time: Time = field(name="openTime")
    open: str
    high: str
    low: str
    close: str
    volume: str
    closed: bool | None = None

    def bar(self, stream: str, instrument: Instrument | None, time: int | None) -> Bar:
        prices = positive(self.open), positive(self.high), positive(self.low), positive(self.close)
        return Bar(stream, self.open_time, *prices, unsigned(in_base(self.volume, instrument)), self.closed, time)


class _Candle(Struct, gc=False):
    time: Time
    data: Candle


_candle = decoder(_Candle)
_bar = decoder(Candle)


def read_bar(raw: Raw, instrument: Instrument | None) -> Bar:
    """A bar as REST lists it (5.2)."""
    return _bar(raw).bar("", instrument, None)


def read_candle(stream: str, frame: bytes, instrument: Instrument | None) -> Sequence[Message]:
    """Sent on every trade, and once with ``closed`` when the bar is over (4.6)."""
    candle = _candle(frame)
    return [candle.data.bar(stream, instrument, candle.time)]


KINDS: Mapping[str, Read] = {
    "quotes": read_quote,
    "day": read_day,
    "trades": read_trades,
    "book": read_book,
    "candles-1m": read_candle,
    "candles-1h": read_candle,
}
"""By the word before the colon."""


def reader_for(read: Read, instrument: Instrument | None) -> Reader:
    """The reader of one stream: it knows how large a contract is."""
    return lambda stream, frame: read(stream, frame, instrument)


# <- {"id":"7","ok":true}
# <- {"id":"7","ok":false,"error":"no such stream","stream":"trades:X-PERP"}       one for each such stream
# <- {"op":"pong"}
# <- {"op":"maintenance","inSeconds":30}
class Control(Struct, gc=False):
    """Any frame, as far as it is no data."""

    stream: str = ""
    id: str | None = None
    ok: bool = False
    error: str = ""
    op: str = ""


read_control = decoder(Control)
