"""OKX V5 frames in our words: books, trades and bars, and what belongs to a connection. The raw message stands above
each reader; those of the ticker are in ``ticker_streams.py``.

Prices and sizes are decimal text without padding, times ms as text, sequence ids whole numbers. Sizes of swaps are
contracts. Recorded messages, and those of the documents where none is recorded; rules: www.okx.com/docs-v5, "Order Book
Trading / Market Data".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.events import Level as BookLevel
from cryptodash.core.events import Side
from cryptodash.core.numbers import positive, unsigned
from cryptodash.exchanges.adapter.decode import MAX_NAME, Count, Name, decoder, misdirected
from cryptodash.exchanges.adapter.elements import kept, named, nonzero
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Bar,
    Depth,
    Fill,
    Ignored,
    LiquidationOrder,
    Liquidations,
    Message,
    Restarting,
    Trades,
)
from cryptodash.exchanges.venues.okx.wire import Argument, Read, Subject, market_stream_name, time_of

_BUY, _SELL = Side.BUY, Side.SELL  # looked up once: a member costs 0.1 us each time (Python 3.11)


class Level(Struct, array_like=True, gc=False):
    """``["63921.5","790.41","0","42"]``: price, size, nothing, number of orders."""

    price: str
    size: str


def levels(raw: Sequence[Level], subject: Subject) -> Sequence[BookLevel]:
    """Levels of a book, sizes in base. Raises ``NumberRejected``, and ``BadFrame`` without a contract's size."""
    size = subject.size
    return [(positive(level.price), size(level.size)) for level in raw]


# {"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["78722.3","0.38699412","0","10"],
#  ...],"bids":[...],"ts":"1787612486107","checksum":0,"seqId":80274874800,"prevSeqId":-1}]}
# {"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["78729.9","0","0","0"]],"bids":
#  [["78722.2","0.48865651","0","19"]],"ts":"1787612486207","checksum":0,"seqId":80274874876,"prevSeqId":80274874800}]}
class _Levels(Struct, gc=False):
    asks: list[Level]
    bids: list[Level]
    time: str = field(name="ts")
    sequence: Count = field(name="seqId")
    previous: Annotated[int, Meta(ge=-1, le=2**63 - 2)] = field(name="prevSeqId")
    native: Name = field(name="instId", default="")


class _Books(Struct, gc=False):
    action: Literal["snapshot", "update"]
    data: list[_Levels]


_books = decoder(_Books)


def read_books(stream: str, frame: bytes, subject: Subject) -> Sequence[Message]:
    """A snapshot of 400 levels a side, then changes every 100 ms at most; sizes are absolute, zero deletes.

    ``prevSeqId`` is the ``seqId`` of the frame before: ids of all changes between the two are in this one. About every
    60 s without a change one without levels comes, both ids those of the last frame. After maintenance ``seqId`` may be
    below ``prevSeqId``, once, and counts on from there. ``checksum`` has been 0 since 2026 and is not looked at.
    """
    books = _books(frame)
    return [_depth(stream, books.action == "snapshot", each, subject) for each in books.data]


def _depth(stream: str, snapshot: bool, data: _Levels, subject: Subject) -> Depth:
    if data.native and data.native != subject.native:
        raise misdirected(stream, data.native)
    bids, asks, time = levels(data.bids, subject), levels(data.asks, subject), time_of(data.time)
    if snapshot:
        return Depth(stream, True, data.sequence, data.sequence, None, bids, asks, time)
    return Depth(stream, False, data.previous + 1, data.sequence, data.previous, bids, asks, time)


# {"arg":{"channel":"books5","instId":"BTC-USDT-SWAP"},"data":[{"asks":[["63921.5","790.41","0","42"],...],"bids":
#  [["63921.4","421.93","0","28"],...],"instId":"BTC-USDT-SWAP","ts":"1786541241006","seqId":333794734980}]}
class Whole(Struct, gc=False):
    """A book as a whole, however many levels of it: of ``books5``, ``bbo-tbt`` or REST."""

    asks: list[Level]
    bids: list[Level]
    time: str = field(name="ts")
    sequence: Count = field(name="seqId")
    native: Name = field(name="instId", default="")

    def depth(self, stream: str, subject: Subject) -> Depth:
        if self.native and self.native != subject.native:
            raise misdirected(stream, self.native)
        bids, asks = levels(self.bids, subject), levels(self.asks, subject)
        return Depth(stream, True, self.sequence, self.sequence, None, bids, asks, time_of(self.time))


class _Books5(Struct, gc=False):
    data: list[Whole]


_books5 = decoder(_Books5)


def read_books5(stream: str, frame: bytes, subject: Subject) -> Sequence[Message]:
    """Five levels a side, all of them each time. No plan asks for it: 400 levels by their changes cost less to follow
    than five that are replaced ten times a second."""
    return [each.depth(stream, subject) for each in _books5(frame).data]


# {"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"2832749645",
#  "px":"63913.4","sz":"34.95","side":"sell","ts":"1786540436090","count":"10","source":"0","seqId":333793118093}]}
class _Trade(Struct, gc=False):
    id: Name = field(name="tradeId")
    price: str = field(name="px")
    size: str = field(name="sz")
    side: Literal["buy", "sell"]
    time: str = field(name="ts")
    count: Annotated[str, Meta(max_length=MAX_NAME)] = ""
    native: Name = field(name="instId", default="")


class _Trades(Struct, gc=False):
    data: list[_Trade]


_trades = decoder(_Trades)


def read_trades(stream: str, frame: bytes, subject: Subject) -> Sequence[Message]:
    """One for each order of a taker, price and source: ``count`` fills, of which ``tradeId`` is the last. Ids are
    counted, so that an id less its ``count`` is the id before. ``side`` is the taker's."""
    data = _trades(frame).data
    for each in data:
        if each.native and each.native != subject.native:
            raise misdirected(stream, each.native)
    fills = nonzero(data, lambda trade: _fill(trade, subject), lambda trade: trade.id)
    return fills.told(stream, (Trades(stream, fills),))


def _fill(trade: _Trade, subject: Subject) -> Fill:
    side = _BUY if trade.side == "buy" else _SELL
    quantity = positive(subject.size(trade.size))
    number, count = _whole(trade.id), _whole(trade.count)
    if number is None or not count or count > number:
        number, count = None, 1  # an id and nothing else
    return Fill(trade.id, positive(trade.price), quantity, side, time_of(trade.time), number, count)


def _whole(text: str) -> int | None:
    """The whole number that a text is; None where it is none."""
    return int(text) if len(text) <= 18 and text.isascii() and text.isdigit() else None


# {"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1786538760000","64040.2","64040.2","64025.7","64033.5",
#  "2.16787395","138825.265446816","138825.265446816","0"]]}
class Row(Struct, array_like=True, gc=False):
    """A bar, of a stream or of REST."""

    opened: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    """Spot: base. Swap: contracts."""
    volume_currency: str
    """Spot: quote. Swap: base."""
    volume_quote: str
    confirm: Literal["0", "1"]

    def bar(self, stream: str, *, is_swap: bool) -> Bar:
        prices = positive(self.open), positive(self.high), positive(self.low), positive(self.close)
        volume = unsigned(self.volume_currency if is_swap else self.volume)
        return Bar(stream, time_of(self.opened), *prices, volume, self.confirm == "1")


class _Candles(Struct, gc=False):
    data: list[Row]


_candles = decoder(_Candles)


def read_candles(stream: str, frame: bytes, subject: Subject) -> Sequence[Message]:
    """At most one a second; ``confirm`` marks the closed bar. Oldest first, should a frame hold the next one, too."""
    rows = _candles(frame).data
    bars = nonzero(rows, lambda row: row.bar(stream, is_swap=subject.is_swap), lambda row: row.opened)
    bars.sort(key=lambda bar: bar.open_time)
    return bars.told(stream, bars)


LIQUIDATIONS = market_stream_name("liquidation-orders", "SWAP")


# {"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831",
#  "ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],"instFamily":"IOST-USDT",
#  "instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"}]}     the documents' example
class _Detail(Struct, gc=False):
    price: str = field(name="bkPx")
    side: Literal["buy", "sell"]
    contracts: str = field(name="sz")
    time: str = field(name="ts")


class _Liquidated(Struct, gc=False):
    native: Name = field(name="instId")
    details: list[_Detail]


class _LiquidationOrders(Struct, gc=False):
    data: list[Raw]


_liquidation_orders = decoder(_LiquidationOrders)
_liquidated = decoder(_Liquidated)


def read_liquidations(stream: str, frame: bytes) -> Sequence[Message]:
    """Of every swap, not in order of time; the venue says that they are not all. ``side`` is the order's, ``bkPx`` the
    price of bankruptcy, sizes are contracts of whatever each swap's are."""
    rows = kept(_liquidation_orders(frame).data, _closing_orders, named("instId"))
    orders = [each for row in rows for each in row]
    return rows.told(stream, (Liquidations(stream, orders, complete=False, in_contracts=True),))


def _closing_orders(raw: Raw) -> Sequence[LiquidationOrder]:
    row = _liquidated(raw)
    return [
        LiquidationOrder(
            row.native,
            _BUY if each.side == "buy" else _SELL,
            positive(each.price),
            positive(each.contracts),
            time_of(each.time),
        )
        for each in row.details
    ]


CHANNELS: Mapping[str, Read] = {"books": read_books, "books5": read_books5, "trades": read_trades}
"""Readers by channel; those of bars are ``candle`` and the name of their interval."""


# <- {"id":"a1","event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"503b4b32"}
# <- {"id":"a1","event":"error","code":"60018","msg":"Wrong URL or channel:candle1m,instId:BTC-USD-SWAP doesn't exist.
#     Please use the correct URL, channel and parameters referring to API document.","connId":"a4d3ae55"}
# <- {"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please
#     reconnect.","connId":"a4d3ae55"}
# <- {"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"abcd1234"}
class Control(Struct, gc=False):
    """Any frame that is not plain text, as far as it is no data."""

    argument: Argument | None = field(name="arg", default=None)
    event: Annotated[str, Meta(max_length=64)] = ""
    id: Annotated[str, Meta(max_length=64)] = ""
    code: Annotated[str, Meta(max_length=64)] = ""
    message: Annotated[str, Meta(max_length=8192)] = field(name="msg", default="")


read_control = decoder(Control)

PONG = b"pong"
"""The answer to a heartbeat: plain text, no JSON."""

_UPGRADE = "64008"
_LATER = frozenset({"60014", "64007"})
"""Too many requests; an error of the server's own: they say nothing of the stream, which is asked for again."""
_refused = re.compile(r"channel:([^,]{1,64}),instId:(.{1,64}?) doesn't exist").search


def answer(control: Control) -> Message:
    """What a frame says that belongs to the connection. There is one answer for each argument of a request, and an
    error for each that is refused, which names it in words only. Raises ``BadFrame``."""
    event, argument = control.event, control.argument
    if event in ("subscribe", "unsubscribe") and argument is not None:
        return Ack(control.id, streams=(argument.stream,))
    if event == "error":
        return Ignored(control.code) if control.code in _LATER else _refusal(control)
    if event == "notice":
        return Restarting() if control.code == _UPGRADE else Ignored("notice")
    if event.startswith("channel-conn-count"):
        return Ignored("channel-conn-count")
    raise BadFrame("unknown", "neither data nor an answer")


def _refusal(control: Control) -> Ack:
    found = _refused(control.message)
    named = control.argument or (None if found is None else Argument(found[1], found[2]))
    return Ack(control.id, False, f"{control.code}: {control.message}", () if named is None else (named.stream,))
