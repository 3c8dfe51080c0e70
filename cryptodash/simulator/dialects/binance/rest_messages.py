"""The answers of Binance's REST API, catalogues included, in the venue's exact shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.decimal_text import fixed
from cryptodash.simulator.dialects.binance.messages import levels
from cryptodash.simulator.dialects.binance.numbers import (
    FUNDING_HOURS,
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

SPOT = MarketType.SPOT


def depth_usdm(
    spec: InstrumentSpec, now: int, last: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
) -> str:
    """The USD-M REST book.
    ``{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[...],"asks":[...]}``"""
    return f'{{"lastUpdateId":{last},"E":{now},"T":{now},"bids":{levels(spec, bids)},"asks":{levels(spec, asks)}}}'


def kline_row(spec: InstrumentSpec, interval: str, bar: Bar) -> str:
    """A REST candle: ``[openTime,"o","h","l","c","vol",closeTime,"quoteVol",trades,"takerBase","takerQuote","0"]``"""
    price, size = spec.price, spec.size
    return (
        f'[{bar.start},"{price(bar.open)}","{price(bar.high)}",'
        f'"{price(bar.low)}","{price(bar.close)}","{size(bar.volume)}",'
        f'{closes(interval, bar.start) - 1},"{quote_amount(spec, bar.turnover)}",{bar.count},"{size(bar.buy_volume)}",'
        f'"{quote_amount(spec, bar.buy_turnover)}","0"]'
    )


def premium_index(instrument: SimulatedInstrument, now: int) -> dict[str, object]:
    """The REST form of the mark price."""
    return {
        "symbol": instrument.spec.native,
        "markPrice": eight_decimals(instrument, instrument.mark),
        "indexPrice": eight_decimals(instrument, instrument.index),
        "estimatedSettlePrice": eight_decimals(instrument, instrument.index),
        "lastFundingRate": fixed(instrument.funding_ppb, 9, 8),
        "interestRate": "0.00010000",
        "nextFundingTime": next_funding(now),
        "time": now,
    }


def funding_info(spec: InstrumentSpec) -> dict[str, object]:
    """How often funding is settled, of a perpetual whose cap, floor or interval was adjusted."""
    return {
        "symbol": spec.native,
        "adjustedFundingRateCap": "0.02500000",
        "adjustedFundingRateFloor": "-0.02500000",
        "fundingIntervalHours": FUNDING_HOURS,
        "disclaimer": False,
    }


def open_interest(instrument: SimulatedInstrument, now: int) -> dict[str, object]:
    """``{"openInterest":"10659.509","symbol":"BTCUSDT","time":...}``, base quantity."""
    spec = instrument.spec
    return {"openInterest": spec.size(instrument.open_interest), "symbol": spec.native, "time": now}


def ticker_24h(instrument: SimulatedInstrument, now: int) -> dict[str, object]:
    """The REST 24 h ticker; spot adds quotes and the previous close."""
    spec, day, top = instrument.spec, instrument.candles.day(), instrument.shown_top()
    price, size = spec.price, spec.size
    spot = spec.market is SPOT
    change = day.close - day.open
    answer: dict[str, object] = {
        "symbol": spec.native,
        "priceChange": price(change),
        "priceChangePercent": percent(change, day.open),
        "weightedAvgPrice": mean_price(spec, day),
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
        "quoteVolume": turnover_24h(spec, day),
        "openTime": now - DAY,
        "closeTime": now,
        "firstId": day.first,
        "lastId": day.first + day.count - 1,
        "count": day.count,
    }


def book_ticker_rest(instrument: SimulatedInstrument, now: int) -> dict[str, object]:
    """The best levels over REST; USD-M adds the time."""
    spec, top = instrument.spec, instrument.shown_top()
    answer: dict[str, object] = {
        "symbol": spec.native,
        "bidPrice": spec.price(top.bid),
        "bidQty": spec.size(top.bid_size),
        "askPrice": spec.price(top.ask),
        "askQty": spec.size(top.ask_size),
    }
    return answer if spec.market is SPOT else answer | {"time": now}


def trade_rest(spec: InstrumentSpec, fill: Trade) -> dict[str, object]:
    """A row of ``trades``. Spot: ``{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012",
    "time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}``; USD-M has no ``isBestMatch``."""
    row: dict[str, object] = {
        "id": fill.id,
        "price": spec.price(fill.price),
        "qty": spec.size(fill.size),
        "quoteQty": quote_amount(spec, fill.price * fill.size),
        "time": fill.time,
        "isBuyerMaker": not fill.buy,
    }
    return row | {"isBestMatch": True} if spec.market is MarketType.SPOT else row


def agg_trade_rest(spec: InstrumentSpec, fills: Sequence[Trade]) -> dict[str, object]:
    """A row of ``aggTrades``: the fills of one order at one price, named as in the stream. Spot:
    ``{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}``; USD-M
    has no ``M``."""
    first, last = fills[0], fills[-1]
    row: dict[str, object] = {
        "a": first.order,
        "p": spec.price(first.price),
        "q": spec.size(sum(fill.size for fill in fills)),
        "f": first.id,
        "l": last.id,
        "T": first.time,
        "m": not first.buy,
    }
    return row | {"M": True} if spec.market is MarketType.SPOT else row


def _padded(units: int, decimals: int) -> str:
    return fixed(units, decimals, 8)


def spot_symbol(spec: InstrumentSpec, *, status: str) -> dict[str, object]:
    """An entry of the spot catalogue; filter values are padded to 8 decimals."""
    tick, step = _padded(spec.tick, spec.price_decimals), _padded(spec.step, spec.size_decimals)
    return {
        "symbol": spec.native,
        "status": status,
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
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
                "minNotional": "0.00010000" if spec.quote == "BTC" else "5.00000000",
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


_CONTRACT_TYPES = {"crypto": "PERPETUAL"}
_UNDERLYING_TYPES = {"crypto": "COIN", "equity": "EQUITY", "commodity": "COMMODITY", "fx": "FOREX"}


def usdm_symbol(spec: InstrumentSpec, *, status: str) -> dict[str, object]:
    """An entry of the USD-M catalogue. ``pricePrecision`` is display decimals, the tick is in the filter."""
    tick = fixed(spec.tick, spec.price_decimals, spec.price_decimals)
    step = fixed(spec.step, spec.size_decimals, spec.size_decimals)
    perpetual = spec.kind == "perpetual"
    return {
        "symbol": spec.native,
        "pair": spec.base + spec.quote,
        "contractType": _CONTRACT_TYPES.get(spec.underlying, "TRADIFI_PERPETUAL") if perpetual else "CURRENT_QUARTER",
        "deliveryDate": 4133404800000 if perpetual else 1806048000000,
        "onboardDate": 1569398400000,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": spec.quote,
        "marginAsset": spec.quote,
        "pricePrecision": spec.price_decimals,
        "quantityPrecision": spec.size_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": _UNDERLYING_TYPES[spec.underlying],
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
