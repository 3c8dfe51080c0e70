"""Bybit V5 frames in our words: one reader per kind of topic, the raw message above each.

Prices and sizes are decimal strings, times ms; ``ts`` is the gateway's time, ``cts`` the matching engine's. The order
of keys differs per product. The raw messages are recorded ones; rules: bybit-exchange.github.io/docs/v5,
"WebSocket Stream / Public". Tickers stand in ``ticker_streams.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from cryptodash.core.errors import ZeroRejected
from cryptodash.core.events import Level, Side
from cryptodash.core.numbers import positive, unsigned
from cryptodash.exchanges.adapter.decode import (
    Best,
    Count,
    Name,
    RawLevels,
    Time,
    both_sides,
    decoder,
    fill,
    misdirected,
    quote,
    shape,
    side,
)
from cryptodash.exchanges.adapter.elements import nonzero
from cryptodash.exchanges.adapter.messages import (
    BadFrame,
    Bar,
    Depth,
    Fill,
    LiquidationOrder,
    Liquidations,
    Message,
    Quote,
    Reader,
    Trades,
)
from cryptodash.exchanges.venues.bybit.ticker_streams import read_ticker

_BUY, _SELL = Side.BUY, Side.SELL  # looked up once: a member costs 0.1 us each time (Python 3.11)


# {"topic":"orderbook.50.BTCUSDT","ts":1787612486116,"type":"delta","data":{"s":"BTCUSDT","b":[],
#  "a":[["78716.8","0.027559"],["78748.5","0"]],"u":217107085,"seq":113099229629},"cts":1787612486108}
class _Levels(Struct, gc=False):
    bids: RawLevels = field(name="b")
    asks: RawLevels = field(name="a")
    update_id: Count = field(name="u")
    sequence: Count | None = field(name="seq", default=None)
    native: Name = field(name="s", default="")


class _Orderbook(Struct, gc=False):
    kind: Literal["snapshot", "delta"] = field(name="type")
    time: Time = field(name="ts")
    data: _Levels
    engine_time: Time | None = field(name="cts", default=None)


_orderbook = decoder(_Orderbook)
_plain_orderbook = shape(
    '{"topic":"<word>","ts":<int>,"type":"<word>","data":{"s":"<word>",'
    '"b":<levels>,"a":<levels>,"u":<int>,"seq":<int>},"cts":<int>}'
)


def read_orderbook(topic: str, frame: bytes) -> Sequence[Message]:
    """``u`` counts per topic and starts at 1 when the service restarts: whatever kind such a frame calls itself, it is
    the new base, and without levels it says that there is no book. ``cts`` is comparable with the times of trades, so
    it is the book's time where it is there."""
    book = _orderbook(frame)
    data = book.data
    if not topic.endswith(f".{data.native}") and data.native:
        raise misdirected(topic, data.native)
    time = book.time if book.engine_time is None else book.engine_time
    bids, asks = both_sides(data.bids, data.asks, _plain_orderbook(frame.decode()) is not None)
    restarted = data.update_id == 1
    snapshot = book.kind == "snapshot" or (restarted and bool(bids or asks))
    return (
        Depth(topic, snapshot, data.update_id, data.update_id, None, bids, asks, time, restarted, None, data.sequence),
    )


# {"topic":"orderbook.1.BTCUSDT","ts":1786613159749,"type":"snapshot","data":{"s":"BTCUSDT",
#  "b":[["63705.3","2.045546"]],"a":[["63705.4","2.334566"]],"u":72212457,"seq":112603120278},"cts":1786613159748}
def read_quote(topic: str, frame: bytes) -> Sequence[Message]:
    """Level 1 is sent as snapshots only, and again after 3 s without a change.

    ``seq`` orders the quotes, not ``u``: ``u`` starts again at 1 when the service restarts, ``seq`` only ever grows.
    """
    book = _orderbook(frame)
    if book.kind != "snapshot":
        raise BadFrame("schema", "a level-1 delta (withdrawn in 2025)")
    if not topic.endswith(f".{book.data.native}") and book.data.native:
        raise misdirected(topic, book.data.native)
    bids, asks = book.data.bids, book.data.asks
    best: Best = quote(*bids[0], *asks[0]) if bids and asks else (*_best(bids), *_best(asks))
    return (Quote(topic, *best, book.data.sequence, book.time if book.engine_time is None else book.engine_time),)


def _best(raw: Sequence[tuple[str, str]]) -> Level | tuple[None, None]:
    return side(*raw[0]) if raw else (None, None)


# linear: {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786540363844,"data":[{"T":1786540363843,"s":"BTCUSDT",
#  "S":"Buy","v":"0.015","p":"63976.10","L":"ZeroPlusTick","i":"e799c7b7-1ccc-53d9-b84a-fb7a460397bc","BT":false,
#  "RPI":false,"seq":760579112851}]}
# spot: {"topic":"publicTrade.BTCUSDT","ts":1786538700968,"type":"snapshot","data":[{"i":"2290000001190010749",
#  "T":1786538700967,"p":"64103.9","v":"0.001683","S":"Sell","seq":112571834997,"s":"BTCUSDT","BT":false,"RPI":false}]}
class _Trade(Struct, gc=False):
    id: Name = field(name="i")
    time: Time = field(name="T")
    taker: Literal["Buy", "Sell"] = field(name="S")
    price: str = field(name="p")
    quantity: str = field(name="v")
    is_block: bool = field(name="BT", default=False)
    native: Name = field(name="s", default="")


class _PublicTrade(Struct, gc=False):
    data: list[_Trade]


_public_trade = decoder(_PublicTrade)


def read_trades(topic: str, frame: bytes) -> Sequence[Message]:
    """``S`` is the taker's side. Block trades (``BT``) are agreed off the book and left out. Nothing promises that ids
    are counted without holes."""
    data = _public_trade(frame).data
    for each in data:
        if not topic.endswith(f".{each.native}") and each.native:
            raise misdirected(topic, each.native)
    try:
        return (Trades(topic, [_fill(trade) for trade in data if not trade.is_block]),)
    except ZeroRejected:
        fills = nonzero([trade for trade in data if not trade.is_block], _fill, lambda trade: trade.id)
        return fills.told(topic, (Trades(topic, fills),))


def _fill(trade: _Trade) -> Fill:
    taker = _BUY if trade.taker == "Buy" else _SELL
    return Fill(trade.id, *fill(trade.price, trade.quantity), taker, trade.time, None)


# {"topic":"kline.1.BTCUSDT","data":[{"start":1786540380000,"end":1786540439999,"interval":"1","open":"63975",
#  "close":"63971.2","high":"63975","low":"63971.2","volume":"0.329","turnover":"21047.0079","confirm":false,
#  "timestamp":1786540381441}],"ts":1786540381441,"type":"snapshot"}
class _Bar(Struct, gc=False):
    start: Time
    open: str
    high: str
    low: str
    close: str
    volume: str
    confirm: bool
    interval: Name = ""


class _Kline(Struct, gc=False):
    time: Time = field(name="ts")
    data: list[_Bar]


_kline = decoder(_Kline)


def read_kline(topic: str, frame: bytes) -> Sequence[Message]:
    """``confirm`` marks the closed bar; one frame may hold it together with the bar that follows."""
    kline = _kline(frame)
    for each in kline.data:
        if not topic.startswith(f"kline.{each.interval}.") and each.interval:
            raise misdirected(topic, each.interval)
    try:
        return [_bar(topic, bar, kline.time) for bar in kline.data]
    except ZeroRejected:
        bars = nonzero(kline.data, lambda bar: _bar(topic, bar, kline.time), lambda bar: bar.start)
        return bars.told(topic, bars)


def _bar(topic: str, bar: _Bar, time: int) -> Bar:
    return Bar(
        topic,
        bar.start,
        positive(bar.open),
        positive(bar.high),
        positive(bar.low),
        positive(bar.close),
        unsigned(bar.volume),
        bar.confirm,
        time,
    )


# {"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"ROSEUSDT",
#  "S":"Sell","v":"20000","p":"0.04499"}]}     the documents' example
class _Liquidation(Struct, gc=False):
    time: Time = field(name="T")
    native: Name = field(name="s")
    position: Literal["Buy", "Sell"] = field(name="S")
    quantity: str = field(name="v")
    price: str = field(name="p")


class _AllLiquidation(Struct, gc=False):
    data: list[_Liquidation]


_all_liquidation = decoder(_AllLiquidation)


def read_liquidations(topic: str, frame: bytes) -> Sequence[Message]:
    """All of them, every 500 ms. ``S`` is the side of the position: Buy is a long, which an order to sell ends. ``p``
    is the price of bankruptcy."""
    data = _all_liquidation(frame).data
    for each in data:
        if not topic.endswith(f".{each.native}"):
            raise misdirected(topic, each.native)
    orders = nonzero(data, _closing_order, lambda each: each.time)
    return orders.told(topic, (Liquidations(topic, orders),))


def _closing_order(said: _Liquidation) -> LiquidationOrder:
    side = _SELL if said.position == "Buy" else _BUY
    return LiquidationOrder(said.native, side, *fill(said.price, said.quantity), said.time)


READERS: Mapping[str, Reader] = {
    "orderbook": read_orderbook,
    "tickers": read_ticker,
    "publicTrade": read_trades,
    "kline": read_kline,
    "allLiquidation": read_liquidations,
}
"""By the first word of the topic; ``orderbook.1`` is ``read_quote``."""


# <- {"success":true,"ret_msg":"subscribe","conn_id":"d9avsooae41ai44n43eg-5elsb","req_id":"1","op":"subscribe"}
#  linear: "ret_msg":""
# <- {"success":false,"ret_msg":"args size >10","conn_id":"...","req_id":"1","op":"subscribe"}
# <- {"success":true,"ret_msg":"pong","conn_id":"...","req_id":"7","op":"ping"}
#  spot: without req_id
class Control(Struct, gc=False):
    """Any frame as far as its topic is not at the beginning."""

    topic: str | None = None
    op: Annotated[str, Meta(max_length=64)] = ""
    success: bool | None = None
    ret_msg: Annotated[str, Meta(max_length=8192)] = ""
    req_id: Annotated[str, Meta(max_length=64)] = ""


read_control = decoder(Control)
