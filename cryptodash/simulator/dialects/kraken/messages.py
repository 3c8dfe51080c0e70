"""The messages of Kraken's WebSocket v2, in the venue's exact shapes; a real one stands above each builder.

Only builders of text are here; ``websocket.py`` knows who gets what, ``feeds.py`` when. Prices and quantities are bare
JSON numbers whose trailing zeros count. Answers have their members in alphabetical order, data has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Top, Trade
from cryptodash.simulator.decimal_text import fixed
from cryptodash.simulator.dialects.kraken.numbers import (
    change_percent,
    checksum,
    increment,
    mean_price,
    stamp,
    stamp_ns,
    trade_ns,
)
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.intervals import MINUTE

HEARTBEAT = '{"channel":"heartbeat"}'

Levels = Sequence[tuple[int, int]]

_WARNINGS = {
    "ohlc": ["timestamp is deprecated, use interval_begin"],
    "instrument": ["tick_size is deprecated, use price_increment"],
}


def status(system: str, connection: int) -> str:
    """The first message of a connection, and a change of the system.

    ``{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",
    "connection_id":18125794168470749634,"upcoming_maintenance":[],"emergency":[]}]}``
    """
    return (
        f'{{"channel":"status","type":"update","data":[{{"version":"2.0.10","system":"{system}","api_version":"v2",'
        f'"connection_id":{connection},"upcoming_maintenance":[],"emergency":[]}}]}}'
    )


def _answer(now: int, members: Mapping[str, object]) -> str:
    times = {"time_in": stamp(now), "time_out": stamp_ns(now * 1_000_000 + 40_000)}
    return msgspec.json.encode(dict(sorted({**members, **times}.items()))).decode()


def accepted(method: str, result: Mapping[str, object], request_id: int | None, now: int) -> str:
    """One for each symbol.

    ``{"method":"subscribe","req_id":1,"result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},
    "success":true,"time_in":"2026-10-06T08:04:55.791872Z","time_out":"2026-10-06T08:04:55.791930Z"}``
    ``{"method":"unsubscribe","result":{"channel":"book","depth":10,"symbol":"BTC/USD"},"success":true,...}``
    """
    warnings = _WARNINGS.get(str(result["channel"])) if method == "subscribe" else None
    said = dict(sorted({**result, **({"warnings": warnings} if warnings else {})}.items()))
    return _answer(now, {"method": method, "result": said, "success": True, **_numbered(request_id)})


def refused(error: str, method: str | None, symbol: str | None, request_id: int | None, now: int) -> str:
    """``{"error":"Already subscribed","method":"subscribe","req_id":2,"success":false,"symbol":"BTC/USD",
    "time_in":"2025-12-20T07:39:28.809188Z","time_out":"2025-12-20T07:39:28.809200Z"}``"""
    members: dict[str, object] = {"error": error, "success": False, **_numbered(request_id)}
    members |= {"method": method} if method is not None else {}
    members |= {"symbol": symbol} if symbol is not None else {}
    return _answer(now, members)


def pong(request_id: int | None, now: int) -> str:
    """``{"method":"pong","req_id":1,"time_in":"2024-05-20T11:08:49.272922Z","time_out":"..."}``"""
    return _answer(now, {"method": "pong", **_numbered(request_id)})


def _numbered(request_id: int | None) -> dict[str, object]:
    return {} if request_id is None else {"req_id": request_id}


def levels(spec: InstrumentSpec, side: Iterable[tuple[int, int]]) -> str:
    """``[{"price":63004.9,"qty":0.01876947},...]``"""
    return "[" + ",".join([f'{{"price":{spec.price(ticks)},"qty":{spec.size(steps)}}}' for ticks, steps in side]) + "]"


def book(
    spec: InstrumentSpec, kind: str, shown: tuple[Levels, Levels], best: tuple[Levels, Levels] | None, now: int
) -> str:
    """``shown`` are the (bids, asks) it tells, ``best`` the ten best of each side after it, for the checksum; None for
    a message without one.

    ``{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":63005.9,
    "qty":0.00000000},{"price":63008.6,"qty":0.00039677}],"checksum":3629011692,
    "timestamp":"2026-08-01T02:53:54.966086Z"}]}``
    """
    bids, asks = shown
    check = "" if best is None else f'"checksum":{checksum(spec, *best)},'
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{spec.native}","bids":{levels(spec, bids)},'
        f'"asks":{levels(spec, asks)},{check}"timestamp":"{stamp(now)}"}}]}}'
    )


def ticker(spec: InstrumentSpec, kind: str, top: Top, day: Bar, now: int) -> str:
    """``{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":83744.2,"bid_qty":0.56251979,
    "ask":83744.3,"ask_qty":0.00044780,"last":83744.3,"volume":3156.84782110,"vwap":84174.6,"low":83163.6,
    "high":85247.4,"change":-429.3,"change_pct":-0.51,"trades":135262,"timestamp":"2026-09-25T17:48:26.844359Z"}]}``"""
    price, size = spec.price, spec.size
    return (
        f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{spec.native}","bid":{price(top.bid)},'
        f'"bid_qty":{size(top.bid_size)},"ask":{price(top.ask)},"ask_qty":{size(top.ask_size)},'
        f'"last":{price(day.close)},"volume":{size(day.volume)},"vwap":{price(mean_price(day))},'
        f'"low":{price(day.low)},"high":{price(day.high)},"change":{price(day.close - day.open)},'
        f'"change_pct":{change_percent(day)},"trades":{day.count},"timestamp":"{stamp(now)}"}}]}}'
    )


def order_type(fill: Trade) -> str:
    """Of the taker's order; all fills of one order have the same."""
    return "limit" if fill.order % 3 else "market"


def trades(spec: InstrumentSpec, kind: str, fills: Iterable[Trade]) -> str:
    """Fills, oldest first; ``side`` is the taker's.

    ``{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,
    "ord_type":"limit","trade_id":109116693,"timestamp":"2026-09-25T17:48:26.844359Z"}]}``
    """
    rows = [
        f'{{"symbol":"{spec.native}","side":"{"buy" if fill.buy else "sell"}","price":{spec.price(fill.price)},'
        f'"qty":{spec.size(fill.size)},"ord_type":"{order_type(fill)}","trade_id":{fill.id},'
        f'"timestamp":"{stamp_ns(trade_ns(fill))}"}}'
        for fill in fills
    ]
    return f'{{"channel":"trade","type":"{kind}","data":[{",".join(rows)}]}}'


def ohlc(spec: InstrumentSpec, kind: str, minutes: int, bars: Iterable[Bar], now: int) -> str:
    """``{"channel":"ohlc","type":"update","timestamp":"2026-08-12T19:28:44.084233010Z","data":[{"symbol":"BTC/USD",
    "open":63301.6,"high":63301.6,"low":63297.7,"close":63297.7,"trades":27,"volume":0.04121249,"vwap":63298.2,
    "interval_begin":"2026-08-12T19:28:00.000000000Z","interval":1,"timestamp":"2026-08-12T19:29:00.000000Z"}]}``"""
    price = spec.price
    rows = [
        f'{{"symbol":"{spec.native}","open":{price(bar.open)},"high":{price(bar.high)},"low":{price(bar.low)},'
        f'"close":{price(bar.close)},"trades":{bar.count},"volume":{spec.size(bar.volume)},'
        f'"vwap":{price(mean_price(bar))},"interval_begin":"{stamp(bar.start, 9)}","interval":{minutes},'
        f'"timestamp":"{stamp(bar.start + minutes * MINUTE)}"}}'
        for bar in bars
    ]
    return f'{{"channel":"ohlc","type":"{kind}","timestamp":"{stamp(now, 9)}","data":[{",".join(rows)}]}}'


def instruments(kind: str, assets: Iterable[str], pairs: Iterable[tuple[InstrumentSpec, str]]) -> str:
    """The catalogue, or what has changed of it; ``pairs`` with their status. Its ``data`` is an object.

    ``{"channel":"instrument","type":"snapshot","data":{"assets":[{"id":"BTC","status":"enabled","precision":10,
    "precision_display":5,"borrowable":true,"collateral_value":1.00,"margin_rate":0.010000}],"pairs":[{...}]}}``
    """
    entries = ",".join(
        [
            f'{{"id":"{asset}","status":"enabled","precision":10,"precision_display":5,"borrowable":true,'
            '"collateral_value":1.00,"margin_rate":0.020000}'
            for asset in assets
        ]
    )
    rows = ",".join([_pair(spec, said) for spec, said in pairs])
    return f'{{"channel":"instrument","type":"{kind}","data":{{"assets":[{entries}],"pairs":[{rows}]}}}}'


def smallest_order(spec: InstrumentSpec) -> str:
    """The least quantity of an order."""
    return fixed(int(10 ** (spec.size_decimals // 2)) * spec.step, spec.size_decimals, spec.size_decimals)


def _pair(spec: InstrumentSpec, said: str) -> str:
    """``{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":1E-8,
    "price_precision":1,"cost_precision":5,"marginable":true,"has_index":true,"cost_min":0.50,"margin_initial":0.20,
    "position_limit_long":300,"position_limit_short":240,"tick_size":0.1,"price_increment":0.1,
    "qty_min":0.00010000}``"""
    tick, step = increment(spec.tick, spec.price_decimals), increment(spec.step, spec.size_decimals)
    return (
        f'{{"symbol":"{spec.native}","base":"{spec.base}","quote":"{spec.quote}","status":"{said}",'
        f'"qty_precision":{spec.size_decimals},"qty_increment":{step},"price_precision":{spec.price_decimals},'
        f'"cost_precision":5,"marginable":true,"has_index":true,"cost_min":0.50,"margin_initial":0.20,'
        f'"position_limit_long":300,"position_limit_short":240,"tick_size":{tick},"price_increment":{tick},'
        f'"qty_min":{smallest_order(spec)}}}'
    )
