"""What Binance says: the messages of its spot and USD-M streams and its REST answers, in the venue's exact shapes.

Only builders of text are here; ``binance_host.py`` knows who gets what, and when.
A real message stands above each builder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.candles import DAY, HOUR, Bar, closes
from cryptodash.simulator.listing import Listing, fixed
from cryptodash.simulator.market import Instrument, Top, Trade

SPOT = MarketType.SPOT


def quote_places(listing: Listing) -> int:
    """Decimals of a turnover: 8 on spot, price and size decimals together on USD-M (``4000.12345``)."""
    return 8 if listing.market is SPOT else listing.price_decimals + listing.size_decimals


def _amount(listing: Listing, amount: int) -> str:
    return listing.quote_amount(amount, quote_places(listing))


def levels(listing: Listing, side: Iterable[tuple[int, int]]) -> str:
    """``[["63704.00000000","4.77471000"],...]``"""
    price, size = listing.price, listing.size
    return "[" + ",".join([f'["{price(ticks)}","{size(steps)}"]' for ticks, steps in side]) + "]"


def book_ticker(listing: Listing, top: Top, now: int) -> str:
    """Best levels.

    ``{"u":98494969448,"s":"BTCUSDT","b":"63704.00000000","B":"4.77471000","a":"63704.01000000","A":"11.33198000"}``
    ``{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510",
    "T":1723161256313,"E":1723161256313}``
    """
    price, size = listing.price, listing.size
    body = (
        f'"u":{top.id},"s":"{listing.native}","b":"{price(top.bid)}",'
        f'"B":"{size(top.bid_size)}","a":"{price(top.ask)}","A":"{size(top.ask_size)}"'
    )
    return f"{{{body}}}" if listing.market is SPOT else f'{{"e":"bookTicker",{body},"T":{now},"E":{now}}}'


def trade(listing: Listing, fill: Trade) -> str:
    """One fill; ``m`` says that the buyer was the maker.

    ``{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000",
    "T":1723161255342,"m":true,"M":true}``
    ``{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006",
    "X":"MARKET","m":false}``
    """
    maker = "false" if fill.buy else "true"
    body = f'"s":"{listing.native}","t":{fill.id},"p":"{listing.price(fill.price)}","q":"{listing.size(fill.size)}"'
    if listing.market is SPOT:
        return f'{{"e":"trade","E":{fill.time},{body},"T":{fill.time},"m":{maker},"M":true}}'
    return f'{{"e":"trade","E":{fill.time},"T":{fill.time},{body},"X":"MARKET","m":{maker}}}'


def agg_trade(listing: Listing, fills: Sequence[Trade]) -> str:
    """The fills of one order at one price as one.

    ``{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,
    "l":19862790,"T":...,"m":false,"M":true}``
    ``{"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT","p":"1.01100","q":"10","nq":"10","f":23961322,
    "l":23961322,"T":...,"m":false,"st":1}``
    """
    first, last = fills[0], fills[-1]
    maker = "false" if first.buy else "true"
    size = listing.size(sum(fill.size for fill in fills))
    price, native = listing.price(first.price), listing.native
    tail = f'"f":{first.id},"l":{last.id},"T":{first.time},"m":{maker}'
    if listing.market is SPOT:
        return (
            f'{{"e":"aggTrade","E":{first.time},"s":"{native}",'
            f'"a":{first.order},"p":"{price}","q":"{size}",{tail},"M":true}}'
        )
    return (
        f'{{"e":"aggTrade","E":{first.time},"a":{first.order},'
        f'"s":"{native}","p":"{price}","q":"{size}","nq":"{size}",{tail},"st":1}}'
    )


def depth_update(
    listing: Listing,
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
    sides = f'"b":{levels(listing, bids)},"a":{levels(listing, asks)}'
    native = listing.native
    if listing.market is SPOT:
        return f'{{"e":"depthUpdate","E":{now},"s":"{native}","U":{first},"u":{last},{sides}}}'
    head = f'"e":"depthUpdate","E":{now},"T":{now},"s":"{native}","ps":"{native}"'
    return f'{{{head},"U":{first},"u":{last},"pu":{before},{sides},"st":1}}'


def partial_depth(listing: Listing, last: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> str:
    """The top levels of a spot book; also the spot REST book.
    ``{"lastUpdateId":50093239218,"bids":[...],"asks":[...]}``"""
    return f'{{"lastUpdateId":{last},"bids":{levels(listing, bids)},"asks":{levels(listing, asks)}}}'


def depth_usdm(
    listing: Listing, now: int, last: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
) -> str:
    """The USD-M REST book.
    ``{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[...],"asks":[...]}``"""
    return (
        f'{{"lastUpdateId":{last},"E":{now},"T":{now},"bids":{levels(listing, bids)},"asks":{levels(listing, asks)}}}'
    )


def kline(listing: Listing, interval: str, bar: Bar, now: int, *, closed: bool) -> str:
    """One candle.

    ``{"e":"kline","E":1786539494037,"s":"BTCUSDT","k":{"t":1786539480000,"T":1786539539999,"s":"BTCUSDT","i":"1m",
    "f":6569906771,"L":6569906885,"o":"64117.67000000","c":...,"h":...,"l":...,"v":"0.38518000","n":115,"x":false,
    "q":"24696.88116430","V":...,"Q":...,"B":"0"}}``
    """
    price, size = listing.price, listing.size
    first, last = (bar.first, bar.first + bar.count - 1) if bar.count else (-1, -1)
    return (
        f'{{"e":"kline","E":{now},"s":"{listing.native}","k":{{"t":{bar.start},'
        f'"T":{closes(interval, bar.start) - 1},"s":"{listing.native}",'
        f'"i":"{interval}","f":{first},"L":{last},"o":"{price(bar.open)}",'
        f'"c":"{price(bar.close)}","h":"{price(bar.high)}","l":"{price(bar.low)}",'
        f'"v":"{size(bar.volume)}","n":{bar.count},'
        f'"x":{"true" if closed else "false"},"q":"{_amount(listing, bar.turnover)}",'
        f'"V":"{size(bar.buy_volume)}","Q":"{_amount(listing, bar.buy_turnover)}","B":"0"}}}}'
    )


def kline_row(listing: Listing, interval: str, bar: Bar) -> str:
    """A REST candle: ``[openTime,"o","h","l","c","vol",closeTime,"quoteVol",trades,"takerBase","takerQuote","0"]``"""
    price, size = listing.price, listing.size
    return (
        f'[{bar.start},"{price(bar.open)}","{price(bar.high)}",'
        f'"{price(bar.low)}","{price(bar.close)}","{size(bar.volume)}",'
        f'{closes(interval, bar.start) - 1},"{_amount(listing, bar.turnover)}",{bar.count},"{size(bar.buy_volume)}",'
        f'"{_amount(listing, bar.buy_turnover)}","0"]'
    )


def _percent(change: int, base: int) -> str:
    scaled = abs(change) * 100_000 // base
    return fixed(-scaled if change < 0 else scaled, 3, 3)


def _mean_price(listing: Listing, bar: Bar) -> str:
    places = listing.places[0]
    scaled = bar.turnover * listing.tick * 10**8 // bar.volume if bar.volume else bar.close * listing.tick * 10**8
    return fixed(scaled, listing.price_decimals + 8, places)


def _tail(listing: Listing) -> str:
    return "" if listing.market is SPOT else ',"st":1'


def ticker(instrument: Instrument, now: int) -> str:
    """24 hours of one instrument.

    ``{"e":"24hrTicker","E":...,"s":"BTCUSDT","p":"-331.00","P":"-0.515","w":...,"x":...,"c":...,"Q":...,"b":...,
    "B":...,"a":...,"A":...,"o":...,"h":...,"l":...,"v":...,"q":...,"O":...,"C":...,"F":1,"L":9,
    "n":9}``; USD-M has ``ps`` and ``st`` and no ``x``, ``b``,
    ``B``, ``a``, ``A``.
    """
    listing, day, top = instrument.listing, instrument.candles.day(), instrument.top()
    price, size = listing.price, listing.size
    spot = listing.market is SPOT
    pair = "" if spot else f'"ps":"{listing.native}",'
    quotes = (
        f'"b":"{price(top.bid)}","B":"{size(top.bid_size)}","a":"{price(top.ask)}","A":"{size(top.ask_size)}",'
        if spot
        else ""
    )
    before = f'"x":"{price(day.open)}",' if spot else ""
    change = day.close - day.open
    return (
        f'{{"e":"24hrTicker","E":{now},"s":"{listing.native}",'
        f'{pair}"p":"{price(change)}","P":"{_percent(change, day.open)}",'
        f'"w":"{_mean_price(listing, day)}",{before}"c":"{price(day.close)}",'
        f'"Q":"{size(instrument.last_size)}",{quotes}"o":"{price(day.open)}",'
        f'"h":"{price(day.high)}","l":"{price(day.low)}","v":"{size(day.volume)}",'
        f'"q":"{_turnover_24h(listing, day)}","O":{now - DAY},"C":{now},'
        f'"F":{day.first},"L":{day.first + day.count - 1},"n":{day.count}{_tail(listing)}}}'
    )


def _turnover_24h(listing: Listing, day: Bar) -> str:
    return listing.quote_amount(day.turnover, 8 if listing.market is SPOT else 2)


def mini_ticker(instrument: Instrument, now: int) -> str:
    """The short 24 h ticker.

    ``{"e":"24hrMiniTicker","E":1786539510015,"s":"BTCUSDT","c":...,"o":...,"h":...,"l":...,"v":"14724.65375000",
    "q":"940099726.82861850"}``
    ``{"e":"24hrMiniTicker","E":1786540329176,"s":"BTCUSDT","ps":"BTCUSDT","c":"63972.70",...,"v":"125235.211",
    "q":"7989662536.93","st":1}``
    """
    listing, day = instrument.listing, instrument.candles.day()
    price = listing.price
    spot = listing.market is SPOT
    pair = "" if spot else f'"ps":"{listing.native}",'
    return (
        f'{{"e":"24hrMiniTicker","E":{now},"s":"{listing.native}",{pair}"c":"{price(day.close)}",'
        f'"o":"{price(day.open)}","h":"{price(day.high)}",'
        f'"l":"{price(day.low)}","v":"{listing.size(day.volume)}","q":"{_turnover_24h(listing, day)}"{_tail(listing)}}}'
    )


def next_funding(now: int) -> int:
    """Funding is settled at 00:00, 08:00 and 16:00 UTC."""
    return now - now % (8 * HOUR) + 8 * HOUR


def _eight(instrument: Instrument, ticks: int) -> str:
    return fixed(ticks * instrument.listing.tick, instrument.listing.price_decimals, 8)


def mark_price(instrument: Instrument, now: int) -> str:
    """``{"e":"markPriceUpdate","E":...,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091","P":"11784.25641265",
    "r":"0.00038167","T":1562306400000}``"""
    index = instrument.index
    return (
        f'{{"e":"markPriceUpdate","E":{now},"s":"{instrument.listing.native}",'
        f'"p":"{_eight(instrument, instrument.mark)}",'
        f'"i":"{_eight(instrument, index)}","P":"{_eight(instrument, index)}",'
        f'"r":"{fixed(instrument.funding_ppb, 9, 8)}","T":{next_funding(now)}}}'
    )


def premium_index(instrument: Instrument, now: int) -> dict[str, object]:
    """The REST form of the mark price."""
    return {
        "symbol": instrument.listing.native,
        "markPrice": _eight(instrument, instrument.mark),
        "indexPrice": _eight(instrument, instrument.index),
        "estimatedSettlePrice": _eight(instrument, instrument.index),
        "lastFundingRate": fixed(instrument.funding_ppb, 9, 8),
        "interestRate": "0.00010000",
        "nextFundingTime": next_funding(now),
        "time": now,
    }


def open_interest(instrument: Instrument, now: int) -> dict[str, object]:
    """``{"openInterest":"10659.509","symbol":"BTCUSDT","time":...}``, base quantity."""
    listing = instrument.listing
    return {"openInterest": listing.size(instrument.open_interest), "symbol": listing.native, "time": now}


def ticker_24h(instrument: Instrument, now: int) -> dict[str, object]:
    """The REST 24 h ticker; spot adds quotes and the previous close."""
    listing, day, top = instrument.listing, instrument.candles.day(), instrument.top()
    price, size = listing.price, listing.size
    spot = listing.market is SPOT
    change = day.close - day.open
    answer: dict[str, object] = {
        "symbol": listing.native,
        "priceChange": price(change),
        "priceChangePercent": _percent(change, day.open),
        "weightedAvgPrice": _mean_price(listing, day),
    }
    if spot:
        answer["prevClosePrice"] = price(day.open)
    answer |= {"lastPrice": price(day.close), "lastQty": size(instrument.last_size)}
    if spot:
        answer |= {
            "bidPrice": price(top.bid),
            "bidQty": size(top.bid_size),
            "askPrice": price(top.ask),
            "askQty": size(top.ask_size),
        }
    return answer | {
        "openPrice": price(day.open),
        "highPrice": price(day.high),
        "lowPrice": price(day.low),
        "volume": size(day.volume),
        "quoteVolume": _turnover_24h(listing, day),
        "openTime": now - DAY,
        "closeTime": now,
        "firstId": day.first,
        "lastId": day.first + day.count - 1,
        "count": day.count,
    }


def book_ticker_rest(instrument: Instrument, now: int) -> dict[str, object]:
    """The best levels over REST; USD-M adds the time."""
    listing, top = instrument.listing, instrument.top()
    answer: dict[str, object] = {
        "symbol": listing.native,
        "bidPrice": listing.price(top.bid),
        "bidQty": listing.size(top.bid_size),
        "askPrice": listing.price(top.ask),
        "askQty": listing.size(top.ask_size),
    }
    return answer if listing.market is SPOT else answer | {"time": now}


def trade_rest(listing: Listing, fill: Trade) -> dict[str, object]:
    """A row of ``/api/v3/trades``."""
    return {
        "id": fill.id,
        "price": listing.price(fill.price),
        "qty": listing.size(fill.size),
        "quoteQty": _amount(listing, fill.price * fill.size),
        "time": fill.time,
        "isBuyerMaker": not fill.buy,
        "isBestMatch": True,
    }


def _padded(units: int, decimals: int) -> str:
    return fixed(units, decimals, 8)


def spot_symbol(listing: Listing, *, status: str) -> dict[str, object]:
    """An entry of the spot catalogue; filter values are padded to 8 decimals."""
    tick, step = _padded(listing.tick, listing.price_decimals), _padded(listing.step, listing.size_decimals)
    return {
        "symbol": listing.native,
        "status": status,
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000000.00000000", "stepSize": step},
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000",
                "maxQty": "100000.00000000",
                "stepSize": "0.00000000",
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": "0.00010000" if listing.quote == "BTC" else "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]],
    }


def usdm_symbol(listing: Listing, *, status: str) -> dict[str, object]:
    """An entry of the USD-M catalogue. ``pricePrecision`` is display decimals, the tick is in the filter."""
    tick = fixed(listing.tick, listing.price_decimals, listing.price_decimals)
    step = fixed(listing.step, listing.size_decimals, listing.size_decimals)
    perpetual = listing.kind == "perpetual"
    return {
        "symbol": listing.native,
        "pair": listing.base + listing.quote,
        "contractType": "PERPETUAL" if perpetual else "CURRENT_QUARTER",
        "deliveryDate": 4133404800000 if perpetual else 1806048000000,
        "onboardDate": 1569398400000,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "marginAsset": listing.quote,
        "pricePrecision": listing.price_decimals,
        "quantityPrecision": listing.size_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012000",
        "marketTakeBound": "0.30",
        "filters": [
            {"minPrice": tick, "maxPrice": "1000000", "filterType": "PRICE_FILTER", "tickSize": tick},
            {"stepSize": step, "filterType": "LOT_SIZE", "maxQty": "10000000", "minQty": step},
            {"stepSize": step, "filterType": "MARKET_LOT_SIZE", "maxQty": "5000000", "minQty": step},
            {"limit": 200, "filterType": "MAX_NUM_ORDERS"},
            {"limit": 10, "filterType": "MAX_NUM_ALGO_ORDERS"},
            {"notional": "5", "filterType": "MIN_NOTIONAL"},
            {
                "multiplierDown": "0.8500",
                "multiplierUp": "1.1500",
                "multiplierDecimal": "4",
                "filterType": "PERCENT_PRICE",
            },
        ],
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def exchange_info(
    market: MarketType, weight_limit: int, symbols: Sequence[Mapping[str, object]], now: int
) -> dict[str, object]:
    """The catalogue's envelope."""
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
    ]
    head: dict[str, object] = {"timezone": "UTC", "serverTime": now}
    if market is not SPOT:
        head["futuresType"] = "U_MARGINED"
    head |= {"rateLimits": limits, "exchangeFilters": []}
    if market is not SPOT:
        head["assets"] = [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}]
    return head | {"symbols": list(symbols)}


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
