"""Coinbase Advanced Trade frames in our words: one reader per channel, the raw message above each.

All numbers are decimal strings; sizes and volumes are base quantities, prices quote currency. A frame may hold several
events, and an event elements of several products: a reader takes what is its stream's and leaves the others' to theirs.
The envelope's ``timestamp`` is when the venue sent the frame. Rules: docs.cdp.coinbase.com, "Advanced Trade WebSocket
Channels".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Protocol, TypeVar

from msgspec import Meta, Struct

from cryptodash.core.events import Level, Side
from cryptodash.core.instruments import Instrument
from cryptodash.core.numbers import positive, unsigned
from cryptodash.exchanges.adapter.decode import (
    MAX_TIME_MS,
    Name,
    amount,
    decoder,
    fill,
    misdirected,
    price,
    quote,
    signed,
)
from cryptodash.exchanges.adapter.elements import Kept, closed_by_next, nonzero
from cryptodash.exchanges.adapter.messages import (
    BadFrame,
    Bar,
    Depth,
    Fill,
    Heartbeat,
    Message,
    Quote,
    Reader,
    Stats,
    Trades,
)
from cryptodash.exchanges.adapter.plan import StreamSpec
from cryptodash.exchanges.venues.coinbase.figures import open_24h
from cryptodash.exchanges.venues.coinbase.wire import HEARTBEATS, parts_of, time_of

_TAKER = {"BUY": Side.SELL, "SELL": Side.BUY}
"""The taker's side by the maker's, which is what the venue tells of a trade."""
Digits = Annotated[str, Meta(pattern="^[0-9]{1,18}$")]


class _OfProduct(Protocol):
    product_id: str


T = TypeVar("T", bound=_OfProduct)


def _own(stream: str, elements: Iterable[T]) -> list[T]:
    """Those of the stream's product. Raises ``BadFrame`` where there is none."""
    _, product = parts_of(stream)
    others = ""
    own: list[T] = []
    for each in elements:
        if each.product_id == product:
            own.append(each)
        else:
            others = each.product_id
    if not own:
        raise misdirected(stream, others)
    return own


# {"channel":"ticker","timestamp":"2026-08-12T19:27:33.829058895Z","sequence_num":2,"events":[{"type":"update",
#  "tickers":[{"type":"ticker","product_id":"BTC-USD","price":"63320.73","volume_24_h":"6629.927726",
#  "low_24_h":"63235.88","high_24_h":"64416.3","low_52_w":"57717.55","high_52_w":"126296",
#  "price_percent_chg_24_h":"0.03813791548644","best_bid":"63318.86","best_ask":"63318.87",
#  "best_bid_quantity":"0.2275291","best_ask_quantity":"0.49990114"}]}]}
class _Ticker(Struct, gc=False):
    product_id: Name
    price: str
    best_bid: str
    best_bid_quantity: str
    best_ask: str
    best_ask_quantity: str
    volume_24_h: str = ""
    low_24_h: str = ""
    high_24_h: str = ""
    price_percent_chg_24_h: str = ""


class _TickerEvent(Struct, gc=False):
    tickers: list[_Ticker]


class _Tickers(Struct, gc=False):
    timestamp: str
    events: list[_TickerEvent]


_tickers = decoder(_Tickers)


def ticker_reader(instrument: Instrument | None) -> Reader:
    """Every frame is a whole ticker. A price of zero, or none, is that of a product that was never traded. The change
    is percent; the open is not said, and follows from it."""

    def read(stream: str, frame: bytes) -> Sequence[Message]:
        said = _tickers(frame)
        time = time_of(said.timestamp)
        messages: list[Message] = []
        for ticker in _own(stream, (each for event in said.events for each in event.tickers)):
            best = quote(ticker.best_bid, ticker.best_bid_quantity, ticker.best_ask, ticker.best_ask_quantity)
            messages.append(Quote(stream, *best, None, time))
            messages.append(_stats(stream, ticker, time, instrument))
        return messages

    return read


def _stats(stream: str, ticker: _Ticker, time: int, instrument: Instrument | None) -> Stats:
    last, percent = price(ticker.price), signed(ticker.price_percent_chg_24_h)
    return Stats(
        stream,
        time,
        last=last,
        open=None if instrument is None else open_24h(last, percent, instrument.tick_size),
        high=price(ticker.high_24_h),
        low=price(ticker.low_24_h),
        volume=amount(ticker.volume_24_h),
        change_pct=percent,
    )


# {"channel":"market_trades","timestamp":"2026-08-12T19:27:48.364886251Z","sequence_num":2,"events":[{"type":"update",
#  "trades":[{"product_id":"BTC-USD","trade_id":"1069726293","price":"63310.25","size":"0.00000012",
#  "time":"2026-08-12T19:27:48.298771Z","side":"BUY"},{"product_id":"BTC-USD","trade_id":"1069726292",...}]}]}
class _Trade(Struct, gc=False):
    product_id: Name
    trade_id: Digits
    price: str
    size: str
    time: str
    side: Literal["BUY", "SELL"]


class _TradeEvent(Struct, gc=False):
    trades: list[_Trade]


class _MarketTrades(Struct, gc=False):
    events: list[_TradeEvent]


_market_trades = decoder(_MarketTrades)


def read_trades(stream: str, frame: bytes) -> Sequence[Message]:
    """``side`` is the maker's. Trades are counted by product, and come newest first; the first event of a subscription
    repeats what was traded before it."""
    trades = _own(stream, (each for event in _market_trades(frame).events for each in event.trades))
    fills: Kept[Fill] = nonzero(sorted(trades, key=_number), _fill, lambda trade: trade.trade_id)
    return fills.told(stream, (Trades(stream, fills),))


def _number(trade: _Trade) -> int:
    return int(trade.trade_id)


def _fill(trade: _Trade) -> Fill:
    return Fill(
        trade.trade_id, *fill(trade.price, trade.size), _TAKER[trade.side], time_of(trade.time), int(trade.trade_id)
    )


# {"channel":"l2_data","timestamp":"2026-08-24T22:34:13.82310097Z","sequence_num":7,"events":[{"type":"update",
#  "product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-24T22:34:13.788063Z",
#  "price_level":"78854.48","new_quantity":"0"},{"side":"offer","event_time":"2026-08-24T22:34:13.788063Z",
#  "price_level":"78856.06","new_quantity":"0.18983151"}]}]}
#  ("updates":[] occurs)
class _Update(Struct, gc=False):
    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str
    event_time: str


class _BookEvent(Struct, gc=False):
    type: Literal["snapshot", "update"]
    product_id: Name
    updates: list[_Update]


class _Book(Struct, gc=False):
    events: list[_BookEvent]


_book = decoder(_Book)


def read_book(stream: str, frame: bytes) -> Sequence[Message]:
    """A snapshot of all levels, then changes: quantities are absolute, zero deletes, also what is not there. Frames
    have no ids of their own: the connection counts them. ``event_time`` is the matching engine's."""
    return [_depth(stream, event) for event in _own(stream, _book(frame).events)]


def _depth(stream: str, event: _BookEvent) -> Depth:
    bids: list[Level] = []
    asks: list[Level] = []
    for each in event.updates:
        side = bids if each.side == "bid" else asks
        side.append((positive(each.price_level), unsigned(each.new_quantity)))
    time = time_of(event.updates[-1].event_time) if event.updates else None
    return Depth(stream, event.type == "snapshot", None, None, None, bids, asks, time)


# {"channel":"candles","timestamp":"2023-06-09T20:19:35.39625135Z","sequence_num":0,"events":[{"type":"snapshot",
#  "candles":[{"start":"1688998200","high":"1867.72","low":"1865.63","open":"1867.38","close":"1866.81",
#  "volume":"0.20269406","product_id":"ETH-USD"}]}]}     the documents' example
class Candle(Struct, gc=False):
    """A bar, of the stream or (without a product) of REST; ``start`` is seconds."""

    start: Digits
    high: str
    low: str
    open: str
    close: str
    volume: str
    product_id: str = ""


class _CandleEvent(Struct, gc=False):
    candles: list[Candle]


class _Candles(Struct, gc=False):
    timestamp: str
    events: list[_CandleEvent]


_candles = decoder(_Candles)


def read_candles(stream: str, frame: bytes) -> Sequence[Message]:
    """Bars of five minutes; there is no flag for closed."""
    said = _candles(frame)
    time = time_of(said.timestamp)
    candles = _own(stream, (each for event in said.events for each in event.candles))
    bars = nonzero(
        sorted(candles, key=lambda candle: int(candle.start)),
        lambda candle: bar(stream, candle, time),
        lambda candle: candle.start,
    )
    return bars.told(stream, closed_by_next(bars))


def bar(stream: str, candle: Candle, time: int | None) -> Bar:
    """The bar as a message. Raises ``BadFrame`` for a start that is no time."""
    opened = int(candle.start) * 1000
    if opened > MAX_TIME_MS:
        raise BadFrame("schema", f"start {candle.start}")
    prices = positive(candle.open), positive(candle.high), positive(candle.low), positive(candle.close)
    return Bar(stream, opened, *prices, unsigned(candle.volume), None, time)


# {"channel":"heartbeats","timestamp":"2026-04-07T14:30:10.012345678Z","sequence_num":7,"events":[{
#  "current_time":"2026-04-07 14:30:10.0 +0000 UTC m=+1.0","heartbeat_counter":42}]}
class _Heartbeat(Struct, gc=False):
    timestamp: str


_heartbeat = decoder(_Heartbeat)


def read_heartbeat(stream: str, frame: bytes) -> Sequence[Message]:
    """Every second on each connection. ``current_time`` is for people; the envelope's time says the same."""
    return (Heartbeat(time_of(_heartbeat(frame).timestamp)),)


def reader(stream: StreamSpec) -> Reader:
    """Who reads the frames of a stream. Raises ``BadFrame`` for a name that is none of ours."""
    if stream.name == HEARTBEATS:
        return read_heartbeat
    channel, _ = parts_of(stream.name)
    return ticker_reader(stream.instrument) if channel == "ticker" else _READERS[channel]


_READERS: Mapping[str, Reader] = {
    "market_trades": read_trades,
    "level2": read_book,
    "candles": read_candles,
}
