"""The frames of OKX's V5 channels, in the venue's exact shapes; a real one stands above each builder.

Only builders of text are here; ``websocket.py`` knows who gets what, ``feeds.py`` when. A stream is named by its
argument as the venue writes it (``"channel":"books","instId":"BTC-USDT"``), so that the name is part of each frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Top, Trade
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects.okx.numbers import (
    SPOT,
    base_size,
    exact_places,
    following_funding,
    instrument_type,
    next_funding,
    orders,
    padded_size,
    price,
    sequence,
    size,
    turnover,
)
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import DAY, HOUR
from cryptodash.simulator.liquidations import Liquidation

_CHINA = 8 * HOUR


def data(name: str, *rows: str, action: str = "") -> str:
    """``{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{...}]}``; books have ``"action"`` between."""
    between = f'"action":"{action}",' if action else ""
    return f'{{"arg":{{{name}}},{between}"data":[{",".join(rows)}]}}'


def levels(spec: InstrumentSpec, side: Iterable[tuple[int, int]]) -> str:
    """``[["78722.3","0.38699412","0","10"],...]``: price, size, a zero that means nothing any more, orders."""
    return (
        "["
        + ",".join(
            [f'["{price(spec, ticks)}","{size(spec, steps)}","0","{orders(ticks, steps)}"]' for ticks, steps in side]
        )
        + "]"
    )


def book(
    spec: InstrumentSpec,
    now: int,
    ids: tuple[int, int],
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
) -> str:
    """A row of ``books``; ``ids``: ``seqId`` and ``prevSeqId``. The checksum is dead since 2026.

    ``{"asks":[["78729.9","0","0","0"]],"bids":[["78722.2","0.48865651","0","19"]],"ts":"1787612486207","checksum":0,
    "seqId":80274874876,"prevSeqId":80274874800}``
    """
    return (
        f'{{"asks":{levels(spec, asks)},"bids":{levels(spec, bids)},"ts":"{now}","checksum":0,'
        f'"seqId":{ids[0]},"prevSeqId":{ids[1]}}}'
    )


def best_levels(
    spec: InstrumentSpec, now: int, seq: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
) -> str:
    """A row of ``books5``.

    ``{"asks":[["63921.5","790.41","0","42"],...],"bids":[...],"instId":"BTC-USDT-SWAP","ts":"1786541241006",
    "seqId":333794734980}``
    """
    return (
        f'{{"asks":{levels(spec, asks)},"bids":{levels(spec, bids)},"instId":"{spec.native}",'
        f'"ts":"{now}","seqId":{seq}}}'
    )


def quote(spec: InstrumentSpec, now: int, top: Top) -> str:
    """A row of ``bbo-tbt``.

    ``{"asks":[["97687.6","0.00445824","0","3"]],"bids":[["97687.5","0.84129164","0","10"]],"ts":"1739657990337",
    "seqId":45774132816}``
    """
    asks, bids = levels(spec, [(top.ask, top.ask_size)]), levels(spec, [(top.bid, top.bid_size)])
    return f'{{"asks":{asks},"bids":{bids},"ts":"{now}","seqId":{sequence(top.id, now)}}}'


def trade(spec: InstrumentSpec, fills: Sequence[Trade]) -> str:
    """A row of ``trades``: the fills of one order at one price as one. ``tradeId`` is the last, ``side`` the taker's.

    ``{"instId":"BTC-USDT-SWAP","tradeId":"2832749645","px":"63913.4","sz":"34.95","side":"sell","ts":"1786540436090",
    "count":"10","source":"0","seqId":333793118093}``
    """
    last = fills[-1]
    return (
        f'{{"instId":"{spec.native}","tradeId":"{last.id}","px":"{price(spec, last.price)}",'
        f'"sz":"{size(spec, sum(fill.size for fill in fills))}","side":"{side(last)}","ts":"{last.time}",'
        f'"count":"{len(fills)}","source":"0","seqId":{sequence(last.sequence, last.time)}}}'
    )


def fill_row(spec: InstrumentSpec, fill: Trade) -> str:
    """A row of ``trades-all`` (documents, "All trades channel").

    ``{"instId":"BTC-USDT","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy","source":"0",
    "ts":"1630048897897"}``
    """
    return (
        f'{{"instId":"{spec.native}","tradeId":"{fill.id}","px":"{price(spec, fill.price)}",'
        f'"sz":"{size(spec, fill.size)}","side":"{side(fill)}","source":"0","ts":"{fill.time}"}}'
    )


def liquidation(spec: InstrumentSpec, order: Liquidation) -> str:
    """A row of ``liquidation-orders`` (documents, "Liquidation orders channel"); ``sz`` is contracts.

    ``{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13",
    "ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"}``
    """
    position, way = ("short", "buy") if order.buy else ("long", "sell")
    pair = spec.native.removesuffix("-SWAP")
    return (
        f'{{"details":[{{"bkLoss":"0","bkPx":"{price(spec, order.price)}","ccy":"","posSide":"{position}",'
        f'"side":"{way}","sz":"{size(spec, order.size)}","ts":"{order.time}"}}],"instFamily":"{pair}",'
        f'"instId":"{spec.native}","instType":"SWAP","uly":"{pair}"}}'
    )


def rest_trade(spec: InstrumentSpec, fill: Trade) -> str:
    """A row of ``/api/v5/market/trades`` (documents, "Get trades").

    ``{"instId":"BTC-USDT","side":"sell","sz":"0.00001","source":"0","px":"29963.2","tradeId":"242720720",
    "ts":"1654161646974"}``
    """
    return (
        f'{{"instId":"{spec.native}","side":"{side(fill)}","sz":"{size(spec, fill.size)}","source":"0",'
        f'"px":"{price(spec, fill.price)}","tradeId":"{fill.id}","ts":"{fill.time}"}}'
    )


def side(fill: Trade) -> str:
    """The taker's."""
    return "buy" if fill.buy else "sell"


def ticker(instrument: SimulatedInstrument, now: int) -> str:
    """A row of ``tickers``, by stream and by REST. On spot ``vol24h`` is base and ``volCcy24h`` quote, on perpetuals
    contracts and base.

    ``{"instType":"SPOT","instId":"BTC-USDT","last":"64028.6","lastSz":"0.0011553","askPx":"64028.7",
    "askSz":"2.31126955","bidPx":"64028.6","bidSz":"0.00503393","open24h":"64324","high24h":"64496.9",
    "low24h":"63237.6","sodUtc0":"63589.4","sodUtc8":"63606.7","volCcy24h":"374703695.177360964",
    "vol24h":"5874.19398956","ts":"1786538789464"}``
    """
    spec, day, top = instrument.spec, instrument.candles.day(), instrument.shown_top()
    volume = turnover(spec, day.turnover) if spec.market is SPOT else base_size(spec, day.volume)
    return (
        f'{{"instType":"{instrument_type(spec.market)}","instId":"{spec.native}","last":"{price(spec, day.close)}",'
        f'"lastSz":"{size(spec, instrument.last_size)}","askPx":"{price(spec, top.ask)}",'
        f'"askSz":"{size(spec, top.ask_size)}","bidPx":"{price(spec, top.bid)}","bidSz":"{size(spec, top.bid_size)}",'
        f'"open24h":"{price(spec, day.open)}","high24h":"{price(spec, day.high)}","low24h":"{price(spec, day.low)}",'
        f'"sodUtc0":"{day_open(instrument, 0)}","sodUtc8":"{day_open(instrument, _CHINA)}","volCcy24h":"{volume}",'
        f'"vol24h":"{size(spec, day.volume)}","ts":"{now}"}}'
    )


def day_open(instrument: SimulatedInstrument, offset: int) -> str:
    """The price at which the day began, ``offset`` ms before UTC."""
    spec, candles = instrument.spec, instrument.candles
    at = candles.running + offset
    bar = candles.bar(HOUR, at - at % DAY - offset)
    return price(spec, bar.open if bar is not None else candles.day().open)


def candle(spec: InstrumentSpec, bar: Bar, *, closed: bool) -> str:
    """A row of a candle channel and of REST: time, open, high, low, close, volume, volume in the other unit, in quote,
    whether it is closed. Bare on spot, padded on perpetuals.

    ``["1786538760000","64040.2","64040.2","64025.7","64033.5","2.16787395","138825.265446816","138825.265446816","0"]``
    ``["1786540440000","63913.0","63952.0","63913.0","63952.0","1803.74","18.0374","1153287.13186000","0"]``
    """
    if spec.market is SPOT:
        prices = [price(spec, ticks) for ticks in (bar.open, bar.high, bar.low, bar.close)]
        worth = turnover(spec, bar.turnover)
        volumes = [size(spec, bar.volume), worth, worth]
    else:
        prices = [spec.price(ticks) for ticks in (bar.open, bar.high, bar.low, bar.close)]
        worth = spec.quote_amount(bar.turnover, max(8, exact_places(spec)))
        volumes = [padded_size(spec, bar.volume), spec.size(bar.volume), worth]
    return '["' + '","'.join([str(bar.start), *prices, *volumes, "1" if closed else "0"]) + '"]'


def mark_price(instrument: SimulatedInstrument, now: int) -> str:
    """``{"instId":"BTC-USDT-SWAP","instType":"SWAP","markPx":"110562.0","ts":"1762079224447"}``"""
    spec = instrument.spec
    kind = instrument_type(spec.market)
    return f'{{"instId":"{spec.native}","instType":"{kind}","markPx":"{spec.price(instrument.mark)}","ts":"{now}"}}'


def index_name(spec: InstrumentSpec) -> str:
    """The index that an instrument follows: ``BTC-USDT``."""
    return f"{spec.base}-{spec.quote}"


def index_ticker(instrument: SimulatedInstrument, now: int) -> str:
    """A row of ``index-tickers`` (documents, "Index tickers channel"). Its past is the instrument's own, for the
    simulator keeps none of an index.

    ``{"instId":"BTC-USDT","idxPx":"0.1","high24h":"0.5","low24h":"0.1","open24h":"0.1","sodUtc0":"0.1","sodUtc8":"0.1",
    "ts":"1597026383085"}``
    """
    spec, day = instrument.spec, instrument.candles.day()
    return (
        f'{{"instId":"{index_name(spec)}","idxPx":"{price(spec, instrument.index)}",'
        f'"high24h":"{price(spec, day.high)}","low24h":"{price(spec, day.low)}",'
        f'"open24h":"{price(spec, day.open)}","sodUtc0":"{day_open(instrument, 0)}",'
        f'"sodUtc8":"{day_open(instrument, _CHINA)}","ts":"{now}"}}'
    )


def open_interest(instrument: SimulatedInstrument, now: int) -> str:
    """In contracts, in base, in dollars (documents, "Open interest channel").

    ``{"instId":"LTC-USD-SWAP","instType":"SWAP","oi":"5000","oiCcy":"555.55","oiUsd":"50000","ts":"1743049357949"}``
    """
    spec, interest = instrument.spec, instrument.open_interest
    return (
        f'{{"instId":"{spec.native}","instType":"SWAP","oi":"{size(spec, interest)}",'
        f'"oiCcy":"{base_size(spec, interest)}","oiUsd":"{turnover(spec, interest * instrument.index)}","ts":"{now}"}}'
    )


def funding_rate(instrument: SimulatedInstrument, now: int) -> str:
    """A row of ``funding-rate``, by stream and by REST (documents, "Get funding rate").

    ``{"formulaType":"noRate","fundingRate":"0.0000182221218054","fundingTime":"1743609600000","impactValue":"",
    "instId":"BTC-USDT-SWAP","instType":"SWAP","interestRate":"","maxFundingRate":"0.00375","method":"current_period",
    "minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"1743638400000","premium":"0.0000910113652644",
    "settFundingRate":"0.0000145824401745","settState":"settled","ts":"1743588686291"}``
    """
    rate = trim(fixed(instrument.funding_ppb, 9, 9))
    return (
        f'{{"formulaType":"noRate","fundingRate":"{rate}","fundingTime":"{next_funding(now)}","impactValue":"",'
        f'"instId":"{instrument.spec.native}","instType":"SWAP","interestRate":"","maxFundingRate":"0.00375",'
        f'"method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"",'
        f'"nextFundingTime":"{following_funding(now)}","premium":"{rate}","settFundingRate":"{rate}",'
        f'"settState":"settled","ts":"{now}"}}'
    )
