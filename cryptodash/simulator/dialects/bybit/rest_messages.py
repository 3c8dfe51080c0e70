"""The answers of Bybit's V5 REST API, the catalogue included, in the venue's exact shapes."""

from __future__ import annotations

import msgspec

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects.bybit.messages import (
    exact_places,
    linear_ticker,
    price,
    side,
    size,
    spot_ticker,
    trade_id,
    turnover,
)
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec

SPOT = MarketType.SPOT


def kline_row(spec: InstrumentSpec, bar: Bar) -> list[str]:
    """A REST candle: ``[start,open,high,low,close,volume,turnover]``, strings."""
    prices = [trim(spec.price(ticks)) for ticks in (bar.open, bar.high, bar.low, bar.close)]
    return [
        str(bar.start),
        *prices,
        trim(spec.size(bar.volume)),
        turnover(spec, bar.turnover, exact_places(spec)),
    ]


def spot_ticker_rest(instrument: SimulatedInstrument) -> dict[str, str]:
    """The REST ticker: the only spot ticker with quotes."""
    spec, top = instrument.spec, instrument.shown_top()
    fields = spot_ticker(instrument)
    return {
        "symbol": fields["symbol"],
        "bid1Price": price(spec, top.bid),
        "bid1Size": size(spec, top.bid_size),
        "ask1Price": price(spec, top.ask),
        "ask1Size": size(spec, top.ask_size),
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


def linear_ticker_rest(instrument: SimulatedInstrument, now: int) -> dict[str, str]:
    """The REST ticker of a contract; what concerns dated futures only is empty."""
    fields = linear_ticker(instrument, now) | {"deliveryTime": "0"}
    return {name: fields.get(name, "") for name in _LINEAR_REST}


def trade_rest(spec: InstrumentSpec, fill: Trade) -> dict[str, object]:
    """A row of ``/v5/market/recent-trade``."""
    return {
        "execId": trade_id(spec, fill),
        "symbol": spec.native,
        "price": price(spec, fill.price),
        "size": size(spec, fill.size),
        "side": side(fill),
        "time": str(fill.time),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(fill.sequence),
    }


def spot_instrument(spec: InstrumentSpec, number: int) -> dict[str, object]:
    """An entry of the spot catalogue; ``basePrecision`` is a step."""
    step = trim(fixed(spec.step, spec.size_decimals, spec.size_decimals))
    return {
        "symbolId": number,
        "symbol": spec.native,
        "baseCoin": spec.base,
        "quoteCoin": spec.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": step,
            "quotePrecision": "0.0000001",
            "minOrderQty": step,
            "maxOrderQty": "1000000",
            "minOrderAmt": "0.0001" if spec.quote == "BTC" else "5",
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": "1000000",
            "maxMarketOrderQty": "500000",
            "postOnlyMaxLimitOrderSize": "6000000",
        },
        "priceFilter": {"tickSize": trim(fixed(spec.tick, spec.price_decimals, spec.price_decimals))},
        "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
        "symbolType": "",
    }


_SYMBOL_TYPES = {"crypto": "", "equity": "stock", "commodity": "commodity", "fx": "forex"}


def linear_instrument(spec: InstrumentSpec, number: int, *, status: str) -> dict[str, object]:
    """An entry of the linear catalogue."""
    tick = fixed(spec.tick, spec.price_decimals, spec.price_decimals)
    step = fixed(spec.step, spec.size_decimals, spec.size_decimals)
    perpetual = spec.kind == "perpetual"
    return {
        "symbol": spec.native,
        "symbolId": number,
        "contractType": "LinearPerpetual" if perpetual else "LinearFutures",
        "status": status,
        "baseCoin": spec.base,
        "quoteCoin": spec.quote,
        "launchTime": "1585526400000",
        "deliveryTime": "0" if perpetual else "1806048000000",
        "deliveryFeeRate": "" if perpetual else "0.0005",
        "priceScale": str(spec.price_decimals),
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
        "settleCoin": spec.quote,
        "copyTrading": "both",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": not spec.launched,
        "preListingInfo": None if spec.launched else {"curAuctionPhase": "NotStarted", "phases": []},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "symbolType": _SYMBOL_TYPES[spec.underlying],
    }


def envelope(result: object, now: int, code: int = 0, message: str = "OK") -> bytes:
    """``{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":1735809771618}``"""
    return msgspec.json.encode({"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now})
