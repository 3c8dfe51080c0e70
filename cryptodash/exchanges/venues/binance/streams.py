"""Binance frames in our words: one reader per kind of stream, the raw message above each.

Every frame comes from a combined connection, ``{"stream":"<name>","data":{...}}``. Prices and sizes are decimal
strings; ``E`` is the time of sending, ``T`` the matching engine's, both in ms. Fields that are not named here are
ignored (Binance added ``ps`` and ``st`` in 2026). The raw messages are recorded ones; rules: developers.binance.com,
"WebSocket Streams" (spot) and "Websocket Market Streams" (USD-M). Tickers stand in ``ticker_streams.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from cryptodash.core.events import Side
from cryptodash.core.numbers import positive, unsigned
from cryptodash.exchanges.adapter.decode import (
    Count,
    Name,
    RawLevels,
    Time,
    Wrapped,
    both_sides,
    decoder,
    fill,
    misdirected,
    price,
    shape,
)
from cryptodash.exchanges.adapter.messages import (
    BadFrame,
    Bar,
    Depth,
    Fill,
    LiquidationOrder,
    Liquidations,
    Message,
    Reader,
    Restarting,
    Trades,
)
from cryptodash.exchanges.venues.binance.ticker_streams import (
    is_about,
    read_all_book_tickers,
    read_all_day_tickers,
    read_book_ticker,
    read_day_ticker,
    read_mark_price,
)

_BUY, _SELL = Side.BUY, Side.SELL  # looked up once: a member costs 0.1 us each time (Python 3.11)


# {"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,
#  "m":true,"M":true}     spot
# {"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET",
#  "m":false}            USD-M
class _Trade(Struct, gc=False):
    number: Count = field(name="t")
    price: str = field(name="p")
    quantity: str = field(name="q")
    time: Time = field(name="T")
    buyer_is_maker: bool = field(name="m")
    kind: str = field(name="X", default="MARKET")
    native: Name = field(name="s", default="")


# {"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT","p":"1.01100","q":"10","f":23961322,"l":23961322,
#  "T":1626992741421,"m":false}
class _AggregateTrade(Struct, gc=False):
    number: Count = field(name="a")
    price: str = field(name="p")
    quantity: str = field(name="q")
    time: Time = field(name="T")
    buyer_is_maker: bool = field(name="m")
    native: Name = field(name="s", default="")


_trade = decoder(Wrapped[_Trade])
_aggregate_trade = decoder(Wrapped[_AggregateTrade])


def _trades(stream: str, data: _Trade | _AggregateTrade) -> Sequence[Message]:
    if not is_about(stream, data.native):
        raise misdirected(stream, data.native)
    # m tells that the buyer was the maker: the taker sold.
    taker = _SELL if data.buyer_is_maker else _BUY
    return (Trades(stream, (Fill(str(data.number), *fill(data.price, data.quantity), taker, data.time, data.number),)),)


def read_trade(stream: str, frame: bytes) -> Sequence[Message]:
    data = _trade(frame).data
    if data.kind != "MARKET":  # INSURANCE_FUND, ADL, NA: not trades of the book, the price may be 0
        return (Trades(stream, ()),)
    return _trades(stream, data)


def read_aggregate_trade(stream: str, frame: bytes) -> Sequence[Message]:
    return _trades(stream, _aggregate_trade(frame).data)


# {"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,
#  "b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"]]}
class _SpotDepth(Struct, gc=False):
    time: Time = field(name="E")
    first: Count = field(name="U")
    last: Count = field(name="u")
    bids: RawLevels = field(name="b")
    asks: RawLevels = field(name="a")
    native: Name = field(name="s", default="")


# {"e":"depthUpdate","E":1626992741077,"T":1626992740974,"s":"AKROUSDT","U":600859599831,"u":600859599831,
#  "pu":600859598737,"b":[],"a":[["0.01737","437848"]]}
class _PerpetualDepth(Struct, gc=False):
    time: Time = field(name="T")
    first: Count = field(name="U")
    last: Count = field(name="u")
    previous: Count = field(name="pu")
    bids: RawLevels = field(name="b")
    asks: RawLevels = field(name="a")
    native: Name = field(name="s", default="")


_spot_depth = decoder(Wrapped[_SpotDepth])
_perpetual_depth = decoder(Wrapped[_PerpetualDepth])
_plain_spot_depth = shape(
    '{"stream":"<word>","data":{"e":"depthUpdate","E":<int>,'
    '"s":"<word>","U":<int>,"u":<int>,"b":<levels>,"a":<levels>}}'
)
_plain_perpetual_depth = shape(
    '{"stream":"<word>","data":{"e":"depthUpdate","E":<int>,"T":<int>,'
    '"s":"<word>","U":<int>,"u":<int>,"pu":<int>,"b":<levels>,"a":<levels>}}'
)


def read_spot_depth(stream: str, frame: bytes) -> Sequence[Message]:
    return (_depth(stream, _spot_depth(frame).data, None, plain=_plain_spot_depth(frame.decode()) is not None),)


def read_perpetual_depth(stream: str, frame: bytes) -> Sequence[Message]:
    data = _perpetual_depth(frame).data
    return (_depth(stream, data, data.previous, plain=_plain_perpetual_depth(frame.decode()) is not None),)


def _depth(stream: str, data: _SpotDepth | _PerpetualDepth, previous: int | None, *, plain: bool) -> Depth:
    if not is_about(stream, data.native):
        raise misdirected(stream, data.native)
    if data.first > data.last:
        raise BadFrame("schema", f"update ids {data.first}..{data.last} run backwards")
    bids, asks = both_sides(data.bids, data.asks, plain)
    return Depth(stream, False, data.first, data.last, previous, bids, asks, data.time)


# {"e":"kline","E":1786539494037,"s":"BTCUSDT","k":{"t":1786539480000,"T":1786539539999,"s":"BTCUSDT","i":"1m",
#  "f":6569906771,"L":6569906885,"o":"64117.67000000","c":"64117.99000000","h":"64118.00000000","l":"64117.66000000",
#  "v":"0.38518000","n":115,"x":false,"q":"24696.88116430",...}}
class _Bar(Struct, gc=False):
    open_time: Time = field(name="t")
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    close: str = field(name="c")
    volume: str = field(name="v")
    closed: bool = field(name="x")
    native: Name = field(name="s", default="")
    interval: Name = field(name="i", default="")


class _Kline(Struct, gc=False):
    time: Time = field(name="E")
    bar: _Bar = field(name="k")
    native: Name = field(name="s", default="")


_kline = decoder(Wrapped[_Kline])


def read_kline(stream: str, frame: bytes) -> Sequence[Message]:
    """``x`` is true on the last frame of a bar and on no other."""
    data = _kline(frame).data
    bar = data.bar
    for native in (data.native, bar.native):
        if not is_about(stream, native):
            raise misdirected(stream, native)
    if bar.interval and bar.interval != stream.rpartition("_")[2]:
        raise misdirected(stream, bar.interval)
    return (
        Bar(
            stream,
            bar.open_time,
            positive(bar.open),
            positive(bar.high),
            positive(bar.low),
            positive(bar.close),
            unsigned(bar.volume),
            bar.closed,
            data.time,
        ),
    )


# {"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910",
#  "ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}     the documents' example
class _ForcedOrder(Struct, gc=False):
    native: Name = field(name="s")
    side: Literal["BUY", "SELL"] = field(name="S")
    quantity: str = field(name="q")
    price: str = field(name="p")
    time: Time = field(name="T")
    average_price: str = field(name="ap", default="")


class _ForceOrder(Struct, gc=False):
    order: _ForcedOrder = field(name="o")


_force_order = decoder(Wrapped[_ForceOrder])


def read_force_order(stream: str, frame: bytes) -> Sequence[Message]:
    """``S`` is the side of the order: SELL ends a long. Of several within a second the last one is told, so this is a
    sample."""
    order = _force_order(frame).data.order
    if not is_about(stream, order.native):
        raise misdirected(stream, order.native)
    side = _BUY if order.side == "BUY" else _SELL
    size = fill(order.price, order.quantity)
    told = LiquidationOrder(order.native, side, *size, order.time, average_price=price(order.average_price))
    return (Liquidations(stream, (told,), complete=False),)


SHUTDOWN = "!serverShutdown"


# {"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1788548384904}}  spot, shortly before a planned restart
def read_shutdown(stream: str, frame: bytes) -> Sequence[Message]:
    return (Restarting(),)


def _readers(depth: Reader) -> Mapping[str, Reader]:
    """By kind of stream: the word after the symbol, without interval or speed;
    all-market streams by their whole name."""
    return {
        "bookTicker": read_book_ticker,
        "!bookTicker": read_all_book_tickers,
        "ticker": read_day_ticker,
        "miniTicker": read_day_ticker,
        "!ticker@arr": read_all_day_tickers,
        "!miniTicker@arr": read_all_day_tickers,
        "markPrice": read_mark_price,
        "trade": read_trade,
        "aggTrade": read_aggregate_trade,
        "kline": read_kline,
        "depth": depth,
        SHUTDOWN: read_shutdown,
    }


SPOT_READERS = _readers(read_spot_depth)
PERPETUAL_READERS = {**_readers(read_perpetual_depth), "forceOrder": read_force_order}


# <- {"result":null,"id":1}
# <- {"code":2,"msg":"Invalid request: ...","id":7}        <- {"code":3,"msg":"Invalid JSON: expected value at line 1
#  column 1"}
# <- {"e":"serverShutdown","E":1788548384904}
class Error(Struct, gc=False):
    """An error as it stands in an answer; older servers nest it under ``error``."""

    code: int | None = None
    msg: Annotated[str, Meta(max_length=4096)] = ""


class Control(Struct, gc=False):
    """Any frame as far as it has no known stream name at its beginning."""

    stream: str | None = None
    id: int | Annotated[str, Meta(max_length=64)] | None = None
    code: int | None = None
    msg: Annotated[str, Meta(max_length=4096)] = ""
    error: Error | None = None
    event: str | None = field(name="e", default=None)
    result: object = False
    """``null`` or a list in an answer; False stands for "there is none"."""


read_control = decoder(Control)
