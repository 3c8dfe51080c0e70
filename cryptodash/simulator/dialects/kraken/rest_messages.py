"""The answers of Kraken's REST API in the venue's exact shapes; a real one stands above each builder.

Prices have at least five decimals here, those of a candle as many as the pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects.kraken.instruments import RestNames, asset_altname, rest_names
from cryptodash.simulator.dialects.kraken.messages import order_type, smallest_order
from cryptodash.simulator.dialects.kraken.numbers import mean_price, trade_ns
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import DAY

_PLACES = 5
_BOOK_SIZE_PLACES = 3


def envelope(result: object) -> bytes:
    """``{"error":[],"result":{...}}``"""
    return msgspec.json.encode({"error": [], "result": result})


def failure(error: str) -> bytes:
    """``{"error":["EQuery:Unknown asset pair"]}``, with HTTP 200."""
    return msgspec.json.encode({"error": [error]})


def price(spec: InstrumentSpec, ticks: int) -> str:
    """``105944.30000``"""
    return fixed(ticks * spec.tick, spec.price_decimals, max(_PLACES, spec.price_decimals))


def asset_class(spec: InstrumentSpec) -> str:
    """That of the base."""
    return "tokenized_asset" if spec.underlying == "equity" else "currency"


def pair(spec: InstrumentSpec, status: str, names: RestNames) -> dict[str, object]:
    """An entry of ``AssetPairs`` with the names it is to have.

    ``{"altname":"XBTUSD","wsname":"XBT/USD","aclass_base":"currency","base":"XXBT","aclass_quote":"currency",
    "quote":"ZUSD","lot":"unit","cost_decimals":5,"pair_decimals":1,"lot_decimals":8,"lot_multiplier":1,...,
    "ordermin":"0.00005","costmin":"0.5","tick_size":"0.1","status":"online","execution_venue":"international",
    "long_position_limit":350,"short_position_limit":250}``
    """
    legacy = rest_names(spec)
    return {
        "altname": legacy.altname,
        "wsname": legacy.wsname,
        "aclass_base": asset_class(spec),
        "base": names.base,
        "aclass_quote": "currency",
        "quote": names.quote,
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": spec.price_decimals,
        "lot_decimals": spec.size_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3, 4, 5],
        "leverage_sell": [2, 3, 4, 5],
        "fees": [],
        "fees_maker": [],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": trim(smallest_order(spec)),
        "costmin": "0.5",
        "tick_size": fixed(spec.tick, spec.price_decimals, spec.price_decimals),
        "status": status,
        "execution_venue": "international",
        "long_position_limit": 350,
        "short_position_limit": 250,
    }


def asset(name: str) -> dict[str, object]:
    """``{"aclass":"currency","altname":"XBT","decimals":10,"display_decimals":5,"collateral_value":0.99,
    "status":"enabled","margin_rate":"0.01"}``"""
    return {
        "aclass": "currency",
        "altname": asset_altname(name),
        "decimals": 10,
        "display_decimals": 5,
        "collateral_value": 1.0,
        "status": "enabled",
        "margin_rate": "0.02",
    }


def ticker(instrument: SimulatedInstrument, now: int) -> dict[str, object]:
    """``{"a":["105944.30000","1","1.000"],"b":["105944.20000","1","1.000"],"c":["105899.40000","0.00009443"],
    "v":["0.78648221","163.28908096"],"p":["105960.64756","105904.39279"],"t":[35,3276],
    "l":["105853.50000","104711.00000"],"h":["106112.00000","106613.10000"],"o":"106021.60000"}``: today (UTC), then
    the last 24 hours; ``o`` is today's open."""
    spec, top, candles = instrument.spec, instrument.shown_top(), instrument.candles
    day = candles.day()
    today = candles.bar(DAY, now - now % DAY) or day
    both = (today, day)
    return {
        "a": _offer(spec, top.ask, top.ask_size),
        "b": _offer(spec, top.bid, top.bid_size),
        "c": [price(spec, instrument.last_price), spec.size(instrument.last_size)],
        "v": [spec.size(bar.volume) for bar in both],
        "p": [price(spec, mean_price(bar)) for bar in both],
        "t": [bar.count for bar in both],
        "l": [price(spec, bar.low) for bar in both],
        "h": [price(spec, bar.high) for bar in both],
        "o": price(spec, today.open),
    }


def _offer(spec: InstrumentSpec, ticks: int, steps: int) -> list[str]:
    """A price with its quantity in whole lots, at least one."""
    lots = max(1, int(spec.size(steps).partition(".")[0]))
    return [price(spec, ticks), str(lots), f"{lots}.000"]


def candle(spec: InstrumentSpec, bar: Bar) -> list[object]:
    """``[1762777140,"106038.3","106038.3","106038.3","106038.3","106038.3","0.00032101",1]``: seconds, open, high, low,
    close, vwap, volume, trades; ``"0.0"`` is the vwap of a bar without trades."""
    prices = [spec.price(ticks) for ticks in (bar.open, bar.high, bar.low, bar.close)]
    mean = spec.price(mean_price(bar)) if bar.count else "0.0"
    return [bar.start // 1_000, *prices, mean, spec.size(bar.volume), bar.count]


def depth_side(spec: InstrumentSpec, side: Iterable[tuple[int, int]], time: int) -> list[list[object]]:
    """``[["105944.30000","0.136",1762820248],...]``: quantities with three decimals, the least is one of the last."""
    return [[price(spec, ticks), _rough(spec, steps), time // 1_000] for ticks, steps in side]


def _rough(spec: InstrumentSpec, steps: int) -> str:
    shift = int(10 ** (spec.size_decimals - _BOOK_SIZE_PLACES))
    units = max(1, (2 * steps * spec.step + shift) // (2 * shift))
    return fixed(units, _BOOK_SIZE_PLACES, _BOOK_SIZE_PLACES)


def trade(spec: InstrumentSpec, fill: Trade) -> list[object]:
    """``["105433.60000","0.00027625",1762795433.9717445,"b","l","",10218208]``: price, quantity, seconds, the taker's
    side, limit or market, nothing, id."""
    return [
        price(spec, fill.price),
        spec.size(fill.size),
        msgspec.Raw(_seconds(fill)),
        "b" if fill.buy else "s",
        order_type(fill)[0],
        "",
        fill.id,
    ]


def _seconds(fill: Trade) -> bytes:
    seconds, rest = divmod(trade_ns(fill), 10**9)
    return f"{seconds}.{rest // 100:07d}".encode()


def last_trade(fills: Sequence[Trade], since: int) -> str:
    """What to ask for next: the time of the last fill in ns."""
    return str(trade_ns(fills[-1]) if fills else since)
