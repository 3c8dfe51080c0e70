"""The messages of Binance's spot and USD-M streams, in the venue's exact shapes; a real one stands above each builder.

Only builders of text are here; ``websocket.py`` knows who gets what, ``feeds.py`` when.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Top, Trade
from cryptodash.simulator.decimal_text import fixed
from cryptodash.simulator.dialects.binance.numbers import (
    eight_decimals,
    mean_price,
    next_funding,
    percent,
    quote_amount,
    turnover_24h,
)
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import DAY, closes
from cryptodash.simulator.liquidations import Liquidation

SPOT = MarketType.SPOT


def levels(spec: InstrumentSpec, side: Iterable[tuple[int, int]]) -> str:
    """``[["63704.00000000","4.77471000"],...]``"""
    price, size = spec.price, spec.size
    return "[" + ",".join([f'["{price(ticks)}","{size(steps)}"]' for ticks, steps in side]) + "]"


def book_ticker(spec: InstrumentSpec, top: Top, now: int) -> str:
    """Best levels.

    ``{"u":98494969448,"s":"BTCUSDT","b":"63704.00000000","B":"4.77471000","a":"63704.01000000","A":"11.33198000"}``
    ``{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510",
    "T":1723161256313,"E":1723161256313}``
    """
    price, size = spec.price, spec.size
    body = (
        f'"u":{top.id},"s":"{spec.native}","b":"{price(top.bid)}",'
        f'"B":"{size(top.bid_size)}","a":"{price(top.ask)}","A":"{size(top.ask_size)}"'
    )
    return f"{{{body}}}" if spec.market is SPOT else f'{{"e":"bookTicker",{body},"T":{now},"E":{now}}}'


def trade(spec: InstrumentSpec, fill: Trade) -> str:
    """One fill; ``m`` says that the buyer was the maker.

    ``{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
    "T":1723161255342,"m":true,"M":true}``
    ``{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006",
    "X":"MARKET","m":false}``
    """
    maker = "false" if fill.buy else "true"
    body = f'"s":"{spec.native}","t":{fill.id},"p":"{spec.price(fill.price)}","q":"{spec.size(fill.size)}"'
    if spec.market is SPOT:
        return f'{{"e":"trade","E":{fill.time},{body},"T":{fill.time},"m":{maker},"M":true}}'
    return f'{{"e":"trade","E":{fill.time},"T":{fill.time},{body},"X":"MARKET","m":{maker}}}'


def agg_trade(spec: InstrumentSpec, fills: Sequence[Trade]) -> str:
    """The fills of one order at one price as one.

    ``{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,
    "l":19862790,"T":...,"m":false,"M":true}``
    ``{"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT","p":"1.01100","q":"10","nq":"10","f":23961322,
    "l":23961322,"T":...,"m":false,"st":1}``
    """
    first, last = fills[0], fills[-1]
    maker = "false" if first.buy else "true"
    size = spec.size(sum(fill.size for fill in fills))
    price, native = spec.price(first.price), spec.native
    tail = f'"f":{first.id},"l":{last.id},"T":{first.time},"m":{maker}'
    if spec.market is SPOT:
        return (
            f'{{"e":"aggTrade","E":{first.time},"s":"{native}",'
            f'"a":{first.order},"p":"{price}","q":"{size}",{tail},"M":true}}'
        )
    return (
        f'{{"e":"aggTrade","E":{first.time},"a":{first.order},'
        f'"s":"{native}","p":"{price}","q":"{size}","nq":"{size}",{tail},"st":1}}'
    )


def force_order(spec: InstrumentSpec, order: Liquidation, now: int) -> str:
    """An order that closed a position; ``S`` is the order's side.

    ``{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910",
    "ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}``
    """
    price, size, side = spec.price(order.price), spec.size(order.size), "BUY" if order.buy else "SELL"
    filled = f'"q":"{size}","p":"{price}","ap":"{price}","X":"FILLED","l":"{size}","z":"{size}","T":{order.time}'
    return f'{{"e":"forceOrder","E":{now},"o":{{"s":"{spec.native}","S":"{side}","o":"LIMIT","f":"IOC",{filled}}}}}'


def depth_update(
    spec: InstrumentSpec,
    now: int,
    ids: tuple[int, int, int],
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
) -> str:
    """Changed levels; ``ids``: first and last change in here, last change of the message before.

    ``{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[...],"a":[...]}``
    ``{"e":"depthUpdate","E":...,"T":...,"s":"BTCUSDT","ps":"BTCUSDT","U":11270657199452,"u":11270657214025,
    "pu":11270657199444,"b":[...],"a":[...],"st":1}``
    """
    first, last, before = ids
    sides = f'"b":{levels(spec, bids)},"a":{levels(spec, asks)}'
    native = spec.native
    if spec.market is SPOT:
        return f'{{"e":"depthUpdate","E":{now},"s":"{native}","U":{first},"u":{last},{sides}}}'
    head = f'"e":"depthUpdate","E":{now},"T":{now},"s":"{native}","ps":"{native}"'
    return f'{{{head},"U":{first},"u":{last},"pu":{before},{sides},"st":1}}'


def partial_depth(
    spec: InstrumentSpec, last: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
) -> str:
    """The top levels of a spot book; also the spot REST book.
    ``{"lastUpdateId":50093239218,"bids":[...],"asks":[...]}``"""
    return f'{{"lastUpdateId":{last},"bids":{levels(spec, bids)},"asks":{levels(spec, asks)}}}'


def kline(spec: InstrumentSpec, interval: str, bar: Bar, now: int, *, closed: bool) -> str:
    """One candle.

    ``{"e":"kline","E":1786539494037,"s":"BTCUSDT","k":{"t":1786539480000,"T":1786539539999,"s":"BTCUSDT","i":"1m",
    "f":6569906771,"L":6569906885,"o":"64117.67000000","c":...,"h":...,"l":...,"v":"0.38518000","n":115,"x":false,
    "q":"24696.88116430","V":...,"Q":...,"B":"0"}}``
    """
    bounds, numbers = _bar(spec, interval, bar, closed=closed)
    return f'{{"e":"kline","E":{now},"s":"{spec.native}","k":{{{bounds},"s":"{spec.native}",{numbers}}}}}'


def continuous_kline(spec: InstrumentSpec, interval: str, bar: Bar, now: int, *, closed: bool) -> str:
    """One candle of whatever perpetual a USD-M pair has.

    ``{"e":"continuous_kline","E":1669993761391,"ps":"BTCUSDT","ct":"PERPETUAL","k":{"t":1669993200000,
    "T":1669996799999,"i":"1h","f":2224245770103,"L":2224270671527,"o":"16902.10","c":...,"h":...,"l":...,
    "v":"3236.699","n":19558,"x":false,"q":"54724989.96080","V":...,"Q":...,"B":"0"}}``
    """
    bounds, numbers = _bar(spec, interval, bar, closed=closed)
    pair = spec.base + spec.quote
    return f'{{"e":"continuous_kline","E":{now},"ps":"{pair}","ct":"PERPETUAL","k":{{{bounds},{numbers}}}}}'


def _bar(spec: InstrumentSpec, interval: str, bar: Bar, *, closed: bool) -> tuple[str, str]:
    """When a candle begins and ends, and the rest of it: some messages have the symbol in between."""
    price, size = spec.price, spec.size
    first, last = (bar.first, bar.first + bar.count - 1) if bar.count else (-1, -1)
    return (
        f'"t":{bar.start},"T":{closes(interval, bar.start) - 1}',
        f'"i":"{interval}","f":{first},"L":{last},"o":"{price(bar.open)}",'
        f'"c":"{price(bar.close)}","h":"{price(bar.high)}","l":"{price(bar.low)}",'
        f'"v":"{size(bar.volume)}","n":{bar.count},'
        f'"x":{"true" if closed else "false"},"q":"{quote_amount(spec, bar.turnover)}",'
        f'"V":"{size(bar.buy_volume)}","Q":"{quote_amount(spec, bar.buy_turnover)}","B":"0"',
    )


def _tail(spec: InstrumentSpec) -> str:
    return "" if spec.market is SPOT else ',"st":1'


def ticker(instrument: SimulatedInstrument, now: int) -> str:
    """24 hours of one instrument.

    ``{"e":"24hrTicker","E":...,"s":"BTCUSDT","p":"-331.00","P":"-0.515","w":...,"x":...,"c":...,"Q":...,"b":...,
    "B":...,"a":...,"A":...,"o":...,"h":...,"l":...,"v":...,"q":...,"O":...,"C":...,"F":1,"L":9,
    "n":9}``; USD-M has ``ps`` and ``st`` and no ``x``, ``b``,
    ``B``, ``a``, ``A``.
    """
    spec, day, top = instrument.spec, instrument.candles.day(), instrument.shown_top()
    price, size = spec.price, spec.size
    spot = spec.market is SPOT
    pair = "" if spot else f'"ps":"{spec.native}",'
    quotes = (
        f'"b":"{price(top.bid)}","B":"{size(top.bid_size)}","a":"{price(top.ask)}","A":"{size(top.ask_size)}",'
        if spot
        else ""
    )
    before = f'"x":"{price(day.open)}",' if spot else ""
    change = day.close - day.open
    return (
        f'{{"e":"24hrTicker","E":{now},"s":"{spec.native}",'
        f'{pair}"p":"{price(change)}","P":"{percent(change, day.open)}",'
        f'"w":"{mean_price(spec, day)}",{before}"c":"{price(day.close)}",'
        f'"Q":"{size(instrument.last_size)}",{quotes}"o":"{price(day.open)}",'
        f'"h":"{price(day.high)}","l":"{price(day.low)}","v":"{size(day.volume)}",'
        f'"q":"{turnover_24h(spec, day)}","O":{now - DAY},"C":{now},'
        f'"F":{day.first},"L":{day.first + day.count - 1},"n":{day.count}{_tail(spec)}}}'
    )


def mini_ticker(instrument: SimulatedInstrument, now: int) -> str:
    """The short 24 h ticker.

    ``{"e":"24hrMiniTicker","E":1786539510015,"s":"BTCUSDT","c":...,"o":...,"h":...,"l":...,"v":"14724.65375000",
    "q":"940099726.82861850"}``
    ``{"e":"24hrMiniTicker","E":1786540329176,"s":"BTCUSDT","ps":"BTCUSDT","c":"63972.70",...,"v":"125235.211",
    "q":"7989662536.93","st":1}``
    """
    spec, day = instrument.spec, instrument.candles.day()
    price = spec.price
    spot = spec.market is SPOT
    pair = "" if spot else f'"ps":"{spec.native}",'
    return (
        f'{{"e":"24hrMiniTicker","E":{now},"s":"{spec.native}",{pair}"c":"{price(day.close)}",'
        f'"o":"{price(day.open)}","h":"{price(day.high)}",'
        f'"l":"{price(day.low)}","v":"{spec.size(day.volume)}","q":"{turnover_24h(spec, day)}"{_tail(spec)}}}'
    )


def mark_price(instrument: SimulatedInstrument, now: int) -> str:
    """``{"e":"markPriceUpdate","E":...,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091","P":"11784.25641265",
    "r":"0.00038167","T":1562306400000}``"""
    index = instrument.index
    return (
        f'{{"e":"markPriceUpdate","E":{now},"s":"{instrument.spec.native}",'
        f'"p":"{eight_decimals(instrument, instrument.mark)}",'
        f'"i":"{eight_decimals(instrument, index)}","P":"{eight_decimals(instrument, index)}",'
        f'"r":"{fixed(instrument.funding_ppb, 9, 8)}","T":{next_funding(now)}}}'
    )


def ack(request_id: object) -> str:
    """``{"result":null,"id":1}``"""
    return result(None, request_id)


def result(value: object, request_id: object) -> str:
    """``{"result":["btcusdt@depth@100ms"],"id":3}``"""
    return msgspec.json.encode({"result": value, "id": request_id}).decode()


def error(code: int, message: str, request_id: object = None) -> str:
    """``{"code":2,"msg":"Invalid request: ...","id":7}``; without an id where none could be read."""
    answer: dict[str, object] = {"code": code, "msg": message}
    if request_id is not None:
        answer["id"] = request_id
    return msgspec.json.encode(answer).decode()


def wrapped(stream: str, payload: str) -> str:
    """``{"stream":"btcusdt@trade","data":{...}}``"""
    return f'{{"stream":"{stream}","data":{payload}}}'
