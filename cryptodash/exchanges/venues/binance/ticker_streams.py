"""Binance's ticker frames in our words: best quote, 24 h statistics, mark price; of one symbol and of all.

The rules of ``streams.py`` hold here as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw, Struct, field

from cryptodash.exchanges.adapter.decode import (
    Count,
    Name,
    Time,
    Wrapped,
    amount,
    decoder,
    misdirected,
    price,
    quote,
    signed,
)
from cryptodash.exchanges.adapter.elements import kept, named
from cryptodash.exchanges.adapter.messages import Mark, Message, Quote, Stats, SweepRow, SweepRows


def is_about(stream: str, native: str) -> bool:
    """Whether a frame that names this symbol, or none, is of the stream."""
    return not native or native.lower() == stream.partition("@")[0]


# spot, without a time: {"u":98494969448,"s":"BTCUSDT","b":"63704.00000000","B":"4.77471000","a":"63704.01000000",
#  "A":"11.33198000"}
# USD-M: {"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510",
#  "T":1723161256313,"E":1723161256313}
class _BookTicker(Struct, gc=False):
    native: Name = field(name="s")
    update_id: Count = field(name="u")
    bid: str = field(name="b")
    bid_size: str = field(name="B")
    ask: str = field(name="a")
    ask_size: str = field(name="A")
    time: Time | None = field(name="T", default=None)


_book_ticker = decoder(Wrapped[_BookTicker])


def read_book_ticker(stream: str, frame: bytes) -> Sequence[Message]:
    data = _book_ticker(frame).data
    if not is_about(stream, data.native):
        raise misdirected(stream, data.native)
    return (Quote(stream, *quote(data.bid, data.bid_size, data.ask, data.ask_size), data.update_id, data.time),)


def read_all_book_tickers(stream: str, frame: bytes) -> Sequence[Message]:
    """``!bookTicker`` (USD-M): one symbol a frame."""
    data = _book_ticker(frame).data
    best = Quote(stream, *quote(data.bid, data.bid_size, data.ask, data.ask_size), data.update_id, data.time)
    return (SweepRows(stream, (SweepRow(data.native, best, None, None),)),)


# {"e":"24hrTicker","E":1788548384904,"s":"BTCUSD_PERP","ps":"BTCUSD","p":"-1614.7","P":"-1.988","w":"80435.03631557",
#  "c":"79603.1","Q":"1","o":"81217.8","h":"82265.9","l":"78601.0","v":"13210881","q":"16424.3","O":1788461940000,
#  "C":1788548384896,"F":1151701827,"L":1152013525,"n":311696,"st":2}
# {"e":"24hrMiniTicker","E":1786539510015,"s":"BTCUSDT","c":"64117.99000000","o":"64330.60000000","h":"64500.00000000",
#  "l":"63238.00000000","v":"14724.65375000","q":"940099726.82861850"}
class _DayTicker(Struct, gc=False):
    native: Name = field(name="s")
    time: Time = field(name="E")
    last: str = field(name="c")
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    volume: str = field(name="v")
    quote_volume: str = field(name="q")
    change: str | None = field(name="p", default=None)
    change_pct: str | None = field(name="P", default=None)


_day_ticker = decoder(Wrapped[_DayTicker])
_day_tickers = decoder(Wrapped[list[Raw]])
_day_ticker_row = decoder(_DayTicker)


def _stats(stream: str, data: _DayTicker) -> Stats:
    return Stats(
        stream,
        data.time,
        True,
        price(data.last),
        price(data.open),
        price(data.high),
        price(data.low),
        amount(data.volume),
        amount(data.quote_volume),
        signed(data.change),
        signed(data.change_pct),  # P is percent already
    )


def read_day_ticker(stream: str, frame: bytes) -> Sequence[Message]:
    data = _day_ticker(frame).data
    if not is_about(stream, data.native):
        raise misdirected(stream, data.native)
    return (_stats(stream, data),)


def read_all_day_tickers(stream: str, frame: bytes) -> Sequence[Message]:
    """``!ticker@arr`` and ``!miniTicker@arr``: those instruments that changed."""

    def read(raw: Raw) -> SweepRow:
        data = _day_ticker_row(raw)
        return SweepRow(data.native, None, _stats(stream, data), None)

    rows = kept(_day_tickers(frame).data, read, named("s"))
    return rows.told(stream, (SweepRows(stream, rows),))


# {"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15","i":"11784.62","P":"11784.25","r":"0.00038167",
#  "T":1562306400000}
class _MarkPrice(Struct, gc=False):
    time: Time = field(name="E")
    mark: str = field(name="p")
    index: str = field(name="i", default="")
    funding_rate: str = field(name="r", default="")
    next_funding: Time = field(name="T", default=0)
    native: Name = field(name="s", default="")


_mark_price = decoder(Wrapped[_MarkPrice])


def read_mark_price(stream: str, frame: bytes) -> Sequence[Message]:
    """Not ``full``: the open interest, which comes by a poll, must stay."""
    data = _mark_price(frame).data
    if not is_about(stream, data.native):
        raise misdirected(stream, data.native)
    return (
        Mark(
            stream,
            data.time,
            False,
            price(data.mark),
            price(data.index),
            signed(data.funding_rate),
            data.next_funding or None,
        ),
    )
