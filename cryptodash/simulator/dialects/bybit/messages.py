"""The messages of Bybit's V5 spot and linear topics, in the venue's exact shapes; a real one stands above each builder.

Only builders of text and plain values are here; ``websocket.py`` knows who gets what, ``feeds.py`` when. Key order
differs between the products, as it does live.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import HOUR
from cryptodash.simulator.liquidations import Liquidation

SPOT = MarketType.SPOT


INTERVALS = {
    "1": "1m",
    "3": "3m",
    "5": "5m",
    "15": "15m",
    "30": "30m",
    "60": "1h",
    "120": "2h",
    "240": "4h",
    "360": "6h",
    "720": "12h",
    "D": "1d",
    "W": "1w",
    "M": "1M",
}
"""The venue's interval names and ours."""


def price(spec: InstrumentSpec, ticks: int) -> str:
    """Bare on spot (``78715``), padded to the tick on linear (``63982.70``)."""
    text = spec.price(ticks)
    return trim(text) if spec.market is SPOT else text


def size(spec: InstrumentSpec, steps: int) -> str:
    """As ``price``; an empty level is ``0`` on both."""
    if not steps:
        return "0"
    text = spec.size(steps)
    return trim(text) if spec.market is SPOT else text


def turnover(spec: InstrumentSpec, amount: int, places: int) -> str:
    return trim(spec.quote_amount(amount, places))


def exact_places(spec: InstrumentSpec) -> int:
    return spec.price_decimals + spec.size_decimals


def next_funding(now: int) -> int:
    """Funding is settled at 00:00, 08:00 and 16:00 UTC."""
    return now - now % (8 * HOUR) + 8 * HOUR


def levels(spec: InstrumentSpec, side: Iterable[tuple[int, int]]) -> str:
    """``[["78715","1.271882"],...]``"""
    return "[" + ",".join([f'["{price(spec, ticks)}","{size(spec, steps)}"]' for ticks, steps in side]) + "]"


def order_book(
    spec: InstrumentSpec,
    topic: str,
    kind: str,
    now: int,
    ids: tuple[int, int],
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
) -> str:
    """Level 1 and everything on spot have ``ts`` before ``type``; ``ids``: the topic's ``u`` and the venue's ``seq``.

    ``{"topic":"orderbook.50.BTCUSDT","ts":1787612486096,"type":"snapshot","data":{"s":"BTCUSDT","b":[...],"a":[...],
    "u":217107084,"seq":113099229623},"cts":...}``
    ``{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1786540345149,"data":{...,"u":53935310,"seq":760578520655},
    "cts":1786540345147}``
    """
    u, seq = ids
    first = spec.market is SPOT or topic.startswith("orderbook.1.")
    head = f'"ts":{now},"type":"{kind}"' if first else f'"type":"{kind}","ts":{now}'
    data = f'{{"s":"{spec.native}","b":{levels(spec, bids)},"a":{levels(spec, asks)},"u":{u},"seq":{seq}}}'
    return f'{{"topic":"{topic}",{head},"data":{data},"cts":{now}}}'


def trade_id(spec: InstrumentSpec, fill: Trade) -> str:
    """A long number on spot, a UUID without order on linear."""
    if spec.market is SPOT:
        return f"22900000{fill.id:011d}"
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{spec.native}:{fill.id}"))


def public_trade(spec: InstrumentSpec, topic: str, now: int, fills: Sequence[Trade]) -> str:
    """Fills, oldest first; ``S`` is the taker's side.

    ``{"topic":"publicTrade.BTCUSDT","ts":...,"type":"snapshot","data":[{"i":"2290000001190010749","T":...,
    "p":"64103.9","v":"0.001683","S":"Sell","seq":112571834997,"s":"BTCUSDT","BT":false,"RPI":false}]}``
    ``{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":...,"data":[{"T":...,"s":"BTCUSDT","S":"Buy","v":"0.015",
    "p":"63976.10","L":"ZeroPlusTick","i":"e799c7b7-1ccc-53d9-b84a-fb7a460397bc","BT":false,"RPI":false,
    "seq":760579112851}]}``
    """
    if spec.market is SPOT:
        rows = ",".join([_spot_trade(spec, fill) for fill in fills])
        return f'{{"topic":"{topic}","ts":{now},"type":"snapshot","data":[{rows}]}}'
    rows = ",".join([_linear_trade(spec, fill) for fill in fills])
    return f'{{"topic":"{topic}","type":"snapshot","ts":{now},"data":[{rows}]}}'


def all_liquidation(spec: InstrumentSpec, topic: str, now: int, orders: Sequence[Liquidation]) -> str:
    """Orders that closed positions; ``S`` is the side of the position, ``p`` the price of bankruptcy.

    ``{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"ROSEUSDT",
    "S":"Sell","v":"20000","p":"0.04499"}]}``
    """
    rows = ",".join(
        f'{{"T":{each.time},"s":"{spec.native}","S":"{"Sell" if each.buy else "Buy"}",'
        f'"v":"{size(spec, each.size)}","p":"{price(spec, each.price)}"}}'
        for each in orders
    )
    return f'{{"topic":"{topic}","type":"snapshot","ts":{now},"data":[{rows}]}}'


def side(fill: Trade) -> str:
    return "Buy" if fill.buy else "Sell"


def _spot_trade(spec: InstrumentSpec, fill: Trade) -> str:
    return (
        f'{{"i":"{trade_id(spec, fill)}","T":{fill.time},'
        f'"p":"{price(spec, fill.price)}","v":"{size(spec, fill.size)}",'
        f'"S":"{side(fill)}","seq":{fill.sequence},"s":"{spec.native}","BT":false,"RPI":false}}'
    )


def _linear_trade(spec: InstrumentSpec, fill: Trade) -> str:
    return (
        f'{{"T":{fill.time},"s":"{spec.native}","S":"{side(fill)}",'
        f'"v":"{size(spec, fill.size)}","p":"{price(spec, fill.price)}",'
        f'"L":"{fill.tick}","i":"{trade_id(spec, fill)}","BT":false,"RPI":false,"seq":{fill.sequence}}}'
    )


def candle(spec: InstrumentSpec, interval: str, bar: Bar, end: int, now: int, *, closed: bool) -> str:
    """One bar of a kline message; numbers are bare on both products. ``end`` is exclusive, ms.

    ``{"start":1786540380000,"end":1786540439999,"interval":"1","open":"63975","close":"63971.2","high":"63975",
    "low":"63971.2","volume":"0.329","turnover":"21047.0079","confirm":false,"timestamp":1786540381441}``
    """
    bare = [trim(spec.price(ticks)) for ticks in (bar.open, bar.close, bar.high, bar.low)]
    return (
        f'{{"start":{bar.start},"end":{end - 1},"interval":"{interval}",'
        f'"open":"{bare[0]}","close":"{bare[1]}","high":"{bare[2]}","low":"{bare[3]}",'
        f'"volume":"{trim(spec.size(bar.volume))}",'
        f'"turnover":"{turnover(spec, bar.turnover, exact_places(spec))}",'
        f'"confirm":{"true" if closed else "false"},"timestamp":{min(now, end - 1)}}}'
    )


def kline(spec: InstrumentSpec, topic: str, rows: Sequence[str], now: int) -> str:
    """``{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[...],"ts":...}`` on spot; on linear the topic comes first
    and the type last."""
    data = ",".join(rows)
    if spec.market is SPOT:
        return f'{{"type":"snapshot","topic":"{topic}","data":[{data}],"ts":{now}}}'
    return f'{{"topic":"{topic}","data":[{data}],"ts":{now},"type":"snapshot"}}'


def _fraction(change: int, base: int, places: int) -> str:
    scaled = abs(change) * 10**places // base
    return trim(fixed(-scaled if change < 0 else scaled, places, places))


def spot_ticker(instrument: SimulatedInstrument) -> dict[str, str]:
    """The fields of a spot ticker message; there are no quotes in it.

    ``{"symbol":"BTCUSDT","lastPrice":"64057.7","highPrice24h":"64500","lowPrice24h":"63232.1","prevPrice24h":"64326.9",
    "volume24h":"7217.990977","turnover24h":"460629823.77866687","price24hPcnt":"-0.0042",
    "usdIndexPrice":"63989.741059"}``
    """
    spec, day = instrument.spec, instrument.candles.day()
    index = trim(fixed(instrument.index * spec.tick, spec.price_decimals, max(6, spec.price_decimals)))
    return {
        "symbol": spec.native,
        "lastPrice": price(spec, day.close),
        "highPrice24h": price(spec, day.high),
        "lowPrice24h": price(spec, day.low),
        "prevPrice24h": price(spec, day.open),
        "volume24h": size(spec, day.volume),
        "turnover24h": turnover(spec, day.turnover, 8),
        "price24hPcnt": _fraction(day.close - day.open, day.open, 4),
        "usdIndexPrice": index if spec.quote.startswith("USD") else "",
    }


def linear_ticker(instrument: SimulatedInstrument, now: int) -> dict[str, str]:
    """All fields of a linear ticker; a delta carries the changed ones.

    ``{"symbol":"BTCUSDT","tickDirection":"ZeroMinusTick","price24hPcnt":"-0.00506","lastPrice":"63958.60",
    "prevPrice24h":"64283.90",...,"bid1Price":"63958.60","bid1Size":"6.907","ask1Price":"63958.70","ask1Size":"2.750",
    "preOpenPrice":"","preQty":"","curPreListingPhase":""}``
    """
    spec, day, top = instrument.spec, instrument.candles.day(), instrument.shown_top()
    hour = instrument.candles.bar(60_000, instrument.candles.minute.start - HOUR)
    interest, index = instrument.open_interest, instrument.index
    worth = turnover(spec, interest * index, 2)
    half = interest // 2
    return {
        "symbol": spec.native,
        "tickDirection": instrument.tick_direction,
        "price24hPcnt": _fraction(day.close - day.open, day.open, 6),
        "lastPrice": price(spec, day.close),
        "prevPrice24h": price(spec, day.open),
        "highPrice24h": price(spec, day.high),
        "lowPrice24h": price(spec, day.low),
        "prevPrice1h": price(spec, hour.open if hour is not None else day.open),
        "markPrice": price(spec, instrument.mark),
        "indexPrice": price(spec, index),
        "openInterest": spec.size(interest),
        "openInterestValue": worth,
        "turnover24h": spec.quote_amount(day.turnover, 4),
        "volume24h": fixed(day.volume * spec.step, spec.size_decimals, 4),
        "fundingIntervalHour": "8",
        "fundingCap": "0.005",
        "singleOpenInterest": spec.size(half),
        "singleOpenInterestValue": turnover(spec, half * index, 2),
        "nextFundingTime": str(next_funding(now)),
        "fundingRate": trim(fixed(instrument.funding_ppb, 9, 8)),
        "bid1Price": price(spec, top.bid),
        "bid1Size": spec.size(top.bid_size),
        "ask1Price": price(spec, top.ask),
        "ask1Size": spec.size(top.ask_size),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def _object(fields: Mapping[str, str]) -> str:
    return "{" + ",".join([f'"{name}":"{text}"' for name, text in fields.items()]) + "}"


def ticker(spec: InstrumentSpec, topic: str, kind: str, fields: Mapping[str, str], sequence: int, now: int) -> str:
    """``{"topic":"tickers.BTCUSDT","ts":...,"type":"snapshot","cs":...,"data":{...}}`` on spot,
    ``{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","indexPrice":"63986.66"},"cs":760580218857,
    "ts":...}`` on linear."""
    if spec.market is SPOT:
        return f'{{"topic":"{topic}","ts":{now},"type":"{kind}","cs":{sequence},"data":{_object(fields)}}}'
    return f'{{"topic":"{topic}","type":"{kind}","data":{_object(fields)},"cs":{sequence},"ts":{now}}}'


def response(success: bool, message: str, connection: str, op: str, request_id: object) -> str:
    """``{"success":true,"ret_msg":"subscribe","conn_id":"d9av...","req_id":"1","op":"subscribe"}``

    ``req_id`` is text whatever was sent, and absent if nothing was.
    """
    answer: dict[str, object] = {"success": success, "ret_msg": message, "conn_id": connection}
    if request_id is not None:
        answer["req_id"] = str(request_id)
    return msgspec.json.encode(answer | {"op": op}).decode()
