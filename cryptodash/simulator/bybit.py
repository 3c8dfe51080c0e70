"""What Bybit V5 says: the messages of its spot and linear topics and its REST answers, in the venue's exact shapes.

Only builders of text and plain values are here; ``bybit_host.py`` knows who gets what, and when. Key order differs
between the products, as it does live.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.candles import HOUR, Bar
from cryptodash.simulator.listing import Listing, fixed, trim
from cryptodash.simulator.market import Instrument, Trade

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


def price(listing: Listing, ticks: int) -> str:
    """Bare on spot (``78715``), padded to the tick on linear (``63982.70``)."""
    text = listing.price(ticks)
    return trim(text) if listing.market is SPOT else text


def size(listing: Listing, steps: int) -> str:
    """As ``price``; an empty level is ``0`` on both."""
    if not steps:
        return "0"
    text = listing.size(steps)
    return trim(text) if listing.market is SPOT else text


def turnover(listing: Listing, amount: int, places: int) -> str:
    return trim(listing.quote_amount(amount, places))


def _exact_places(listing: Listing) -> int:
    return listing.price_decimals + listing.size_decimals


def levels(listing: Listing, side: Iterable[tuple[int, int]]) -> str:
    """``[["78715","1.271882"],...]``"""
    return "[" + ",".join([f'["{price(listing, ticks)}","{size(listing, steps)}"]' for ticks, steps in side]) + "]"


def order_book(
    listing: Listing,
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
    first = listing.market is SPOT or topic.startswith("orderbook.1.")
    head = f'"ts":{now},"type":"{kind}"' if first else f'"type":"{kind}","ts":{now}'
    data = f'{{"s":"{listing.native}","b":{levels(listing, bids)},"a":{levels(listing, asks)},"u":{u},"seq":{seq}}}'
    return f'{{"topic":"{topic}",{head},"data":{data},"cts":{now}}}'


def trade_id(listing: Listing, fill: Trade) -> str:
    """A long number on spot, a UUID without order on linear."""
    if listing.market is SPOT:
        return f"22900000{fill.id:011d}"
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{listing.native}:{fill.id}"))


def public_trade(listing: Listing, topic: str, now: int, fills: Sequence[Trade]) -> str:
    """Fills, oldest first; ``S`` is the taker's side.

    ``{"topic":"publicTrade.BTCUSDT","ts":...,"type":"snapshot","data":[{"i":"2290000001190010749","T":...,
    "p":"64103.9","v":"0.001683","S":"Sell","seq":112571834997,"s":"BTCUSDT","BT":false,"RPI":false}]}``
    ``{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":...,"data":[{"T":...,"s":"BTCUSDT","S":"Buy","v":"0.015",
    "p":"63976.10","L":"ZeroPlusTick","i":"e799c7b7-1ccc-53d9-b84a-fb7a460397bc","BT":false,"RPI":false,
    "seq":760579112851}]}``
    """
    if listing.market is SPOT:
        rows = ",".join([_spot_trade(listing, fill) for fill in fills])
        return f'{{"topic":"{topic}","ts":{now},"type":"snapshot","data":[{rows}]}}'
    rows = ",".join([_linear_trade(listing, fill) for fill in fills])
    return f'{{"topic":"{topic}","type":"snapshot","ts":{now},"data":[{rows}]}}'


def _side(fill: Trade) -> str:
    return "Buy" if fill.buy else "Sell"


def _spot_trade(listing: Listing, fill: Trade) -> str:
    return (
        f'{{"i":"{trade_id(listing, fill)}","T":{fill.time},'
        f'"p":"{price(listing, fill.price)}","v":"{size(listing, fill.size)}",'
        f'"S":"{_side(fill)}","seq":{fill.sequence},"s":"{listing.native}","BT":false,"RPI":false}}'
    )


def _linear_trade(listing: Listing, fill: Trade) -> str:
    return (
        f'{{"T":{fill.time},"s":"{listing.native}","S":"{_side(fill)}",'
        f'"v":"{size(listing, fill.size)}","p":"{price(listing, fill.price)}",'
        f'"L":"{fill.tick}","i":"{trade_id(listing, fill)}","BT":false,"RPI":false,"seq":{fill.sequence}}}'
    )


def candle(listing: Listing, interval: str, bar: Bar, end: int, now: int, *, closed: bool) -> str:
    """One bar of a kline message; numbers are bare on both products. ``end`` is exclusive, ms.

    ``{"start":1786540380000,"end":1786540439999,"interval":"1","open":"63975","close":"63971.2","high":"63975",
    "low":"63971.2","volume":"0.329","turnover":"21047.0079","confirm":false,"timestamp":1786540381441}``
    """
    bare = [trim(listing.price(ticks)) for ticks in (bar.open, bar.close, bar.high, bar.low)]
    return (
        f'{{"start":{bar.start},"end":{end - 1},"interval":"{interval}",'
        f'"open":"{bare[0]}","close":"{bare[1]}","high":"{bare[2]}","low":"{bare[3]}",'
        f'"volume":"{trim(listing.size(bar.volume))}",'
        f'"turnover":"{turnover(listing, bar.turnover, _exact_places(listing))}",'
        f'"confirm":{"true" if closed else "false"},"timestamp":{min(now, end - 1)}}}'
    )


def kline(listing: Listing, topic: str, rows: Sequence[str], now: int) -> str:
    """``{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[...],"ts":...}`` on spot; on linear the topic comes first
    and the type last."""
    data = ",".join(rows)
    if listing.market is SPOT:
        return f'{{"type":"snapshot","topic":"{topic}","data":[{data}],"ts":{now}}}'
    return f'{{"topic":"{topic}","data":[{data}],"ts":{now},"type":"snapshot"}}'


def kline_row(listing: Listing, bar: Bar) -> list[str]:
    """A REST candle: ``[start,open,high,low,close,volume,turnover]``, strings."""
    prices = [trim(listing.price(ticks)) for ticks in (bar.open, bar.high, bar.low, bar.close)]
    return [
        str(bar.start),
        *prices,
        trim(listing.size(bar.volume)),
        turnover(listing, bar.turnover, _exact_places(listing)),
    ]


def _fraction(change: int, base: int, places: int) -> str:
    scaled = abs(change) * 10**places // base
    return trim(fixed(-scaled if change < 0 else scaled, places, places))


def next_funding(now: int) -> int:
    """Funding is settled at 00:00, 08:00 and 16:00 UTC."""
    return now - now % (8 * HOUR) + 8 * HOUR


def spot_ticker(instrument: Instrument) -> dict[str, str]:
    """The fields of a spot ticker message; there are no quotes in it.

    ``{"symbol":"BTCUSDT","lastPrice":"64057.7","highPrice24h":"64500","lowPrice24h":"63232.1","prevPrice24h":"64326.9",
    "volume24h":"7217.990977","turnover24h":"460629823.77866687","price24hPcnt":"-0.0042",
    "usdIndexPrice":"63989.741059"}``
    """
    listing, day = instrument.listing, instrument.candles.day()
    index = trim(fixed(instrument.index * listing.tick, listing.price_decimals, max(6, listing.price_decimals)))
    return {
        "symbol": listing.native,
        "lastPrice": price(listing, day.close),
        "highPrice24h": price(listing, day.high),
        "lowPrice24h": price(listing, day.low),
        "prevPrice24h": price(listing, day.open),
        "volume24h": size(listing, day.volume),
        "turnover24h": turnover(listing, day.turnover, 8),
        "price24hPcnt": _fraction(day.close - day.open, day.open, 4),
        "usdIndexPrice": index if listing.quote.startswith("USD") else "",
    }


def linear_ticker(instrument: Instrument, now: int) -> dict[str, str]:
    """All fields of a linear ticker; a delta carries the changed ones.

    ``{"symbol":"BTCUSDT","tickDirection":"ZeroMinusTick","price24hPcnt":"-0.00506","lastPrice":"63958.60",
    "prevPrice24h":"64283.90",...,"bid1Price":"63958.60","bid1Size":"6.907","ask1Price":"63958.70","ask1Size":"2.750",
    "preOpenPrice":"","preQty":"","curPreListingPhase":""}``
    """
    listing, day, top = instrument.listing, instrument.candles.day(), instrument.top()
    hour = instrument.candles.bar(60_000, instrument.candles.minute.start - HOUR)
    interest, index = instrument.open_interest, instrument.index
    bid, ask = (top.ask, top.bid) if instrument.crossed else (top.bid, top.ask)
    worth = turnover(listing, interest * index, 2)
    half = interest // 2
    return {
        "symbol": listing.native,
        "tickDirection": instrument.tick_direction,
        "price24hPcnt": _fraction(day.close - day.open, day.open, 6),
        "lastPrice": price(listing, day.close),
        "prevPrice24h": price(listing, day.open),
        "highPrice24h": price(listing, day.high),
        "lowPrice24h": price(listing, day.low),
        "prevPrice1h": price(listing, hour.open if hour is not None else day.open),
        "markPrice": price(listing, instrument.mark),
        "indexPrice": price(listing, index),
        "openInterest": listing.size(interest),
        "openInterestValue": worth,
        "turnover24h": listing.quote_amount(day.turnover, 4),
        "volume24h": fixed(day.volume * listing.step, listing.size_decimals, 4),
        "fundingIntervalHour": "8",
        "fundingCap": "0.005",
        "singleOpenInterest": listing.size(half),
        "singleOpenInterestValue": turnover(listing, half * index, 2),
        "nextFundingTime": str(next_funding(now)),
        "fundingRate": trim(fixed(instrument.funding_ppb, 9, 8)),
        "bid1Price": price(listing, bid),
        "bid1Size": listing.size(top.bid_size),
        "ask1Price": price(listing, ask),
        "ask1Size": listing.size(top.ask_size),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def _object(fields: Mapping[str, str]) -> str:
    return "{" + ",".join([f'"{name}":"{text}"' for name, text in fields.items()]) + "}"


def ticker(listing: Listing, topic: str, kind: str, fields: Mapping[str, str], sequence: int, now: int) -> str:
    """``{"topic":"tickers.BTCUSDT","ts":...,"type":"snapshot","cs":...,"data":{...}}`` on spot,
    ``{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","indexPrice":"63986.66"},"cs":760580218857,
    "ts":...}`` on linear."""
    if listing.market is SPOT:
        return f'{{"topic":"{topic}","ts":{now},"type":"{kind}","cs":{sequence},"data":{_object(fields)}}}'
    return f'{{"topic":"{topic}","type":"{kind}","data":{_object(fields)},"cs":{sequence},"ts":{now}}}'


def spot_ticker_rest(instrument: Instrument) -> dict[str, str]:
    """The REST ticker: the only spot ticker with quotes."""
    listing, top = instrument.listing, instrument.top()
    fields = spot_ticker(instrument)
    return {
        "symbol": fields["symbol"],
        "bid1Price": price(listing, top.bid),
        "bid1Size": size(listing, top.bid_size),
        "ask1Price": price(listing, top.ask),
        "ask1Size": size(listing, top.ask_size),
        "lastPrice": fields["lastPrice"],
        "prevPrice24h": fields["prevPrice24h"],
        "price24hPcnt": fields["price24hPcnt"],
        "highPrice24h": fields["highPrice24h"],
        "lowPrice24h": fields["lowPrice24h"],
        "turnover24h": fields["turnover24h"],
        "volume24h": fields["volume24h"],
        "usdIndexPrice": fields["usdIndexPrice"],
    }


_LINEAR_REST = (
    "symbol",
    "lastPrice",
    "indexPrice",
    "markPrice",
    "prevPrice24h",
    "price24hPcnt",
    "highPrice24h",
    "lowPrice24h",
    "prevPrice1h",
    "openInterest",
    "openInterestValue",
    "turnover24h",
    "volume24h",
    "fundingRate",
    "nextFundingTime",
    "predictedDeliveryPrice",
    "basisRate",
    "deliveryFeeRate",
    "deliveryTime",
    "ask1Size",
    "bid1Price",
    "ask1Price",
    "bid1Size",
    "basis",
    "preOpenPrice",
    "preQty",
    "curPreListingPhase",
    "fundingIntervalHour",
    "basisRateYear",
    "fundingCap",
)


def linear_ticker_rest(instrument: Instrument, now: int) -> dict[str, str]:
    """The REST ticker of a contract; what concerns dated futures only is empty."""
    fields = linear_ticker(instrument, now) | {"deliveryTime": "0"}
    return {name: fields.get(name, "") for name in _LINEAR_REST}


def trade_rest(listing: Listing, fill: Trade) -> dict[str, object]:
    """A row of ``/v5/market/recent-trade``."""
    return {
        "execId": trade_id(listing, fill),
        "symbol": listing.native,
        "price": price(listing, fill.price),
        "size": size(listing, fill.size),
        "side": _side(fill),
        "time": str(fill.time),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(fill.sequence),
    }


def spot_instrument(listing: Listing, number: int) -> dict[str, object]:
    """An entry of the spot catalogue; ``basePrecision`` is a step."""
    step = trim(fixed(listing.step, listing.size_decimals, listing.size_decimals))
    return {
        "symbolId": number,
        "symbol": listing.native,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": step,
            "quotePrecision": "0.0000001",
            "minOrderQty": step,
            "maxOrderQty": "1000000",
            "minOrderAmt": "0.0001" if listing.quote == "BTC" else "5",
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": "1000000",
            "maxMarketOrderQty": "500000",
            "postOnlyMaxLimitOrderSize": "6000000",
        },
        "priceFilter": {"tickSize": trim(fixed(listing.tick, listing.price_decimals, listing.price_decimals))},
        "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
        "symbolType": "",
    }


def linear_instrument(listing: Listing, number: int, *, status: str) -> dict[str, object]:
    """An entry of the linear catalogue."""
    tick = fixed(listing.tick, listing.price_decimals, listing.price_decimals)
    step = fixed(listing.step, listing.size_decimals, listing.size_decimals)
    perpetual = listing.kind == "perpetual"
    return {
        "symbol": listing.native,
        "symbolId": number,
        "contractType": "LinearPerpetual" if perpetual else "LinearFutures",
        "status": status,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "launchTime": "1585526400000",
        "deliveryTime": "0" if perpetual else "1806048000000",
        "deliveryFeeRate": "" if perpetual else "0.0005",
        "priceScale": str(listing.price_decimals),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": "1000000",
            "minOrderQty": step,
            "qtyStep": step,
            "postOnlyMaxOrderQty": "1000000",
            "maxMktOrderQty": "500000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": listing.quote,
        "copyTrading": "both",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "symbolType": "",
    }


def envelope(result: object, now: int, code: int = 0, message: str = "OK") -> bytes:
    """``{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":1735809771618}``"""
    return msgspec.json.encode({"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now})


def response(success: bool, message: str, connection: str, op: str, request_id: object) -> str:
    """``{"success":true,"ret_msg":"subscribe","conn_id":"d9av...","req_id":"1","op":"subscribe"}``

    ``req_id`` is text whatever was sent, and absent if nothing was.
    """
    answer: dict[str, object] = {"success": success, "ret_msg": message, "conn_id": connection}
    if request_id is not None:
        answer["req_id"] = str(request_id)
    return msgspec.json.encode(answer | {"op": op}).decode()
