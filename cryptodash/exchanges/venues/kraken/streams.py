"""Kraken's frames in our words (WebSocket v2): one reader per channel, the raw message above each.

Every data frame is ``{"channel":...,"type":"snapshot"|"update","data":[...]}``. Prices and quantities are bare JSON
numbers, of which every digit counts, times RFC 3339. A frame is of one pair, which stands in each of its elements.
The raw messages are recorded ones but for the trade, which no recording has; rules: docs.kraken.com, "Spot WebSocket
v2". The book stands in ``book.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

from cryptodash.core.errors import NumberRejected, ZeroRejected
from cryptodash.core.events import Side
from cryptodash.core.numbers import Number, positive, subtract, unsigned
from cryptodash.exchanges.adapter.decode import (
    Count,
    Name,
    amount,
    decoder,
    exact,
    fill,
    misdirected,
    price,
    quote,
    signed,
)
from cryptodash.exchanges.adapter.elements import closed_by_next, nonzero
from cryptodash.exchanges.adapter.messages import Bar, Fill, Message, Quote, Reader, Stats, Trades
from cryptodash.exchanges.venues.kraken.book import read_book
from cryptodash.exchanges.venues.kraken.names import BOOK, OHLC, TICKER, TRADE, parse_stream
from cryptodash.exchanges.venues.kraken.times import Moment, milliseconds

_BUY, _SELL = Side.BUY, Side.SELL  # looked up once: a member costs 0.1 us each time (Python 3.11)
_NONE = Raw(b"null")

Kind = Literal["snapshot", "update"]


def _text(raw: Raw) -> str:
    """The digits of a number; blank where the venue writes none."""
    text = exact(raw)
    return "" if text == "null" else text


# {"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":63297.7,"bid_qty":5.75119051,"ask":63297.8,
#  "ask_qty":0.36977971,"last":63297.8,"volume":1020.88387727,"vwap":63685.7,"low":63250.0,"high":64409.2,"change":0.7,
#  "change_pct":0.00,"trades":47535,"timestamp":"2026-08-12T19:29:00.921195Z"}]}
class _Ticker(Struct, gc=False):
    symbol: Name
    bid: Raw
    bid_qty: Raw
    ask: Raw
    ask_qty: Raw
    last: Raw
    timestamp: Moment
    volume: Raw = _NONE
    low: Raw = _NONE
    high: Raw = _NONE
    change: Raw = _NONE
    change_pct: Raw = _NONE


class _Tickers(Struct, gc=False):
    kind: Kind = field(name="type")
    data: list[_Ticker]


_tickers = decoder(_Tickers)


def read_ticker(stream: str, frame: bytes) -> Sequence[Message]:
    """Quote and 24 h figures together, on every change of the best quote; each frame says all of them."""
    messages: list[Message] = []
    for data in _tickers(frame).data:
        if data.symbol != parse_stream(stream).pair:
            raise misdirected(stream, data.symbol)
        messages += _ticker(stream, data)
    return messages


def _ticker(stream: str, data: _Ticker) -> Sequence[Message]:
    """A pair that was never traded has zeros for its figures and the time 0: it has none. The quote comes first: with
    the last price comes the first ticker, and it shall be whole."""
    time = milliseconds(data.timestamp)
    best = quote(_text(data.bid), _text(data.bid_qty), _text(data.ask), _text(data.ask_qty))
    if not time:
        return (Quote(stream, *best, None, None),)
    last, change = price(_text(data.last)), signed(_text(data.change))
    stats = Stats(
        stream,
        time,
        True,
        last,
        _open(last, change),
        price(_text(data.high)),
        price(_text(data.low)),
        amount(_text(data.volume)),
        None,
        change,
        signed(_text(data.change_pct)),  # percent already
    )
    return Quote(stream, *best, None, time), stats


def _open(last: Number | None, change: Number | None) -> Number | None:
    """The price 24 h ago: ``change`` is absolute. None where that is no price."""
    if last is None or change is None:
        return None
    try:
        return positive(subtract(last, change))
    except NumberRejected:
        return None


# {"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.2,"qty":0.00027625,
#  "ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}
class _Trade(Struct, gc=False):
    symbol: Name
    side: Literal["buy", "sell"]
    price: Raw
    quantity: Raw = field(name="qty")
    number: Count = field(name="trade_id")
    time: Moment = field(name="timestamp")


class _Trades(Struct, gc=False):
    kind: Kind = field(name="type")
    data: list[_Trade]


_trades = decoder(_Trades)


def read_trades(stream: str, frame: bytes) -> Sequence[Message]:
    """``side`` is the taker's; ids are counted by pair without holes. A snapshot holds the last 50: what a reconnect
    missed is among them. Nothing says in which order, so the ids do."""
    pair, data = parse_stream(stream).pair, _trades(frame).data
    for each in data:
        if each.symbol != pair:
            raise misdirected(stream, each.symbol)
    if len(data) > 1:
        data.sort(key=lambda trade: trade.number)
    try:
        return (Trades(stream, [_fill(trade) for trade in data]),)
    except ZeroRejected:
        fills = nonzero(data, _fill, lambda trade: trade.number)
        return fills.told(stream, (Trades(stream, fills),))


def _fill(trade: _Trade) -> Fill:
    taker = _BUY if trade.side == "buy" else _SELL
    size = fill(exact(trade.price), exact(trade.quantity))
    return Fill(str(trade.number), *size, taker, milliseconds(trade.time), trade.number)


# {"channel":"ohlc","type":"update","timestamp":"2026-08-12T19:28:44.084233010Z","data":[{"symbol":"BTC/USD",
#  "open":63301.6,"high":63301.6,"low":63297.7,"close":63297.7,"trades":27,"volume":0.04121249,"vwap":63298.2,
#  "interval_begin":"2026-08-12T19:28:00.000000000Z","interval":1,"timestamp":"2026-08-12T19:29:00.000000Z"}]}
class _Bar(Struct, gc=False):
    symbol: Name
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    interval_begin: Moment
    interval: int


class _Bars(Struct, gc=False):
    kind: Kind = field(name="type")
    data: list[_Bar]
    timestamp: Moment | None = None


_bars = decoder(_Bars)


def read_bars(stream: str, frame: bytes) -> Sequence[Message]:
    """A snapshot of the latest bars, then the running one on every trade. No flag tells that a bar is closed: the one
    that opens later does. A minute without trades has no bar."""
    bars, name = _bars(frame), parse_stream(stream)
    time = None if bars.timestamp is None else milliseconds(bars.timestamp)
    for each in bars.data:
        if each.symbol != name.pair or each.interval != name.number:
            raise misdirected(stream, f"{each.symbol} {each.interval}")
    data = sorted(bars.data, key=lambda bar: bar.interval_begin) if len(bars.data) > 1 else bars.data
    try:
        return closed_by_next([_bar(stream, bar, time) for bar in data])
    except ZeroRejected:
        kept = nonzero(data, lambda bar: _bar(stream, bar, time), lambda bar: bar.interval_begin.isoformat())
        return kept.told(stream, closed_by_next(kept))


def _bar(stream: str, bar: _Bar, time: int | None) -> Bar:
    return Bar(
        stream,
        milliseconds(bar.interval_begin),
        positive(exact(bar.open)),
        positive(exact(bar.high)),
        positive(exact(bar.low)),
        positive(exact(bar.close)),
        unsigned(exact(bar.volume)),
        None,
        time,
    )


READERS: Mapping[str, Reader] = {TICKER: read_ticker, TRADE: read_trades, BOOK: read_book, OHLC: read_bars}
"""By channel."""


# <- {"method":"subscribe","req_id":1,"result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},
#  "success":true,"time_in":"2026-08-12T19:28:08.287297Z","time_out":"2026-08-12T19:28:08.287347Z"}   one per pair
# <- {"error":"Currency pair not supported NOPE/USD","method":"subscribe","req_id":1,"success":false,
#  "symbol":"NOPE/USD","time_in":"...","time_out":"..."}
# <- {"method":"pong","req_id":101,"time_in":"...","time_out":"..."}
# <- {"Error":"Exceeded msg rate"}
# <- {"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",...}]}
# <- {"channel":"heartbeat"}
class Result(Struct, gc=False):
    """What an answer is about; ``depth`` of a book, ``interval`` (minutes) of bars."""

    channel: Annotated[str, Meta(max_length=64)] = ""
    symbol: Annotated[str, Meta(max_length=128)] = ""
    depth: int | None = None
    interval: int | None = None


class Control(Struct, gc=False):
    """Any frame, as far as it is no data."""

    channel: Annotated[str, Meta(max_length=64)] = ""
    data: Raw = _NONE
    method: Annotated[str, Meta(max_length=64)] = ""
    success: bool | None = None
    error: Annotated[str, Meta(max_length=8192)] = ""
    symbol: Annotated[str, Meta(max_length=128)] = ""
    request: Count | None = field(name="req_id", default=None)
    result: Result | None = None
    answered: Moment | None = field(name="time_out", default=None)
    complaint: Annotated[str, Meta(max_length=8192)] = field(name="Error", default="")


class Subject(Struct, gc=False):
    """What an element of data is about."""

    symbol: Name
    interval: int | None = None


read_control = decoder(Control)
read_subjects = decoder(list[Subject])
