"""The frames of Coinbase's Advanced Trade channels, in the venue's exact shapes; a real one stands above each builder.

Every frame is in an envelope that numbers it in its connection's series. Builders write 0 there (``NUMBER``);
``websocket.py`` puts the number in when it is known whose frame it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice

import msgspec

from cryptodash.simulator.bars import Bar
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.dialects.coinbase.texts import at_trade, instant, price, ratio, size
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec

NUMBER = '"sequence_num":0'
_ROWS_AT_ONCE = 500


def frame(channel: str, stamp: str, *events: str) -> str:
    """``{"channel":"l2_data","timestamp":"2026-08-24T22:34:13.793075885Z","sequence_num":0,"events":[...]}``"""
    return f'{{"channel":"{channel}","timestamp":"{stamp}",{NUMBER},"events":[{",".join(events)}]}}'


# --- books ---


def level(spec: InstrumentSpec, side: str, event_time: str, ticks: int, steps: int) -> str:
    """``{"side":"bid","event_time":"2026-08-24T22:34:13.483122Z","price_level":"78856.05",
    "new_quantity":"0.0476177"}``"""
    return (
        f'{{"side":"{side}","event_time":"{event_time}",'
        f'"price_level":"{price(spec, ticks)}","new_quantity":"{size(spec, steps)}"}}'
    )


def book_event(
    spec: InstrumentSpec,
    kind: str,
    event_time: str,
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
) -> str:
    """``{"type":"update","product_id":"BTC-USD","updates":[...]}``: bids, then asks, which are called offers."""
    rows = chain(
        (level(spec, "bid", event_time, *each) for each in bids),
        (level(spec, "offer", event_time, *each) for each in asks),
    )
    # By parts: 44,000 small texts at once, among everything else, would leave the memory in pieces.
    parts = iter(lambda: ",".join(islice(rows, _ROWS_AT_ONCE)), "")
    return f'{{"type":"{kind}","product_id":"{spec.native}","updates":[{",".join(parts)}]}}'


# --- trades ---


def maker_side(fill: Trade) -> str:
    """The side of the order that rested in the book: ``SELL`` where the taker bought."""
    return "SELL" if fill.buy else "BUY"


def trade(spec: InstrumentSpec, fill: Trade) -> str:
    """``{"product_id":"BTC-USD","trade_id":"1069726293","price":"63310.25","size":"0.00000012",
    "time":"2026-08-12T19:27:48.298771Z","side":"BUY"}``"""
    return (
        f'{{"product_id":"{spec.native}","trade_id":"{fill.id}","price":"{price(spec, fill.price)}",'
        f'"size":"{size(spec, fill.size)}","time":"{at_trade(fill.time, fill.id)}","side":"{maker_side(fill)}"}}'
    )


def trades_event(spec: InstrumentSpec, kind: str, fills: Sequence[Trade]) -> str:
    """``{"type":"update","trades":[...]}``, the newest first; ``fills`` are oldest first."""
    return f'{{"type":"{kind}","trades":[{",".join([trade(spec, fill) for fill in reversed(fills)])}]}}'


# --- tickers ---


def change_percent(day: Bar) -> str:
    """How far the price has moved in 24 hours, in percent: ``0.03813791548644``."""
    return ratio((day.close - day.open) * 100, day.open, 14)


def ticker_fields(instrument: SimulatedInstrument, year: tuple[int, int], *, quotes: bool) -> dict[str, str]:
    """The members of a ticker; ``year``: lowest and highest price of 52 weeks. Without ``quotes`` as ``ticker_batch``
    has them.

    ``{"type":"ticker","product_id":"BTC-USD","price":"63320.73","volume_24_h":"6629.927726","low_24_h":"63235.88",
    "high_24_h":"64416.3","low_52_w":"57717.55","high_52_w":"126296","price_percent_chg_24_h":"0.03813791548644",
    "best_bid":"63320.73","best_ask":"63320.74","best_bid_quantity":"0.12636254","best_ask_quantity":"0.49679101"}``
    """
    spec, day = instrument.spec, instrument.candles.day()
    fields = {
        "type": "ticker",
        "product_id": spec.native,
        "price": price(spec, day.close),
        "volume_24_h": size(spec, day.volume),
        "low_24_h": price(spec, day.low),
        "high_24_h": price(spec, day.high),
        "low_52_w": price(spec, min(year[0], day.low)),
        "high_52_w": price(spec, max(year[1], day.high)),
        "price_percent_chg_24_h": change_percent(day),
    }
    if quotes:
        top = instrument.shown_top()
        fields |= {
            "best_bid": price(spec, top.bid),
            "best_ask": price(spec, top.ask),
            "best_bid_quantity": size(spec, top.bid_size),
            "best_ask_quantity": size(spec, top.ask_size),
        }
    return fields


def ticker_event(kind: str, fields: Mapping[str, str]) -> str:
    """``{"type":"snapshot","tickers":[{...}]}``"""
    return f'{{"type":"{kind}","tickers":[{msgspec.json.encode(fields).decode()}]}}'


# --- candles ---


def candle(spec: InstrumentSpec, bar: Bar) -> str:
    """``{"start":"1688998200","high":"1867.72","low":"1865.63","open":"1867.38","close":"1866.81",
    "volume":"0.20269406","product_id":"ETH-USD"}``, the start in seconds."""
    return (
        f'{{"start":"{bar.start // 1_000}","high":"{price(spec, bar.high)}","low":"{price(spec, bar.low)}",'
        f'"open":"{price(spec, bar.open)}","close":"{price(spec, bar.close)}",'
        f'"volume":"{size(spec, bar.volume)}","product_id":"{spec.native}"}}'
    )


def candles_event(spec: InstrumentSpec, kind: str, bars: Sequence[Bar]) -> str:
    """``{"type":"update","candles":[...]}``, the newest first; ``bars`` are oldest first."""
    return f'{{"type":"{kind}","candles":[{",".join([candle(spec, bar) for bar in reversed(bars)])}]}}'


# --- what is about the venue ---


def status_event(spec: InstrumentSpec, kind: str, status: str) -> str:
    """``{"type":"snapshot","products":[{"product_type":"SPOT","id":"BTC-USD","base_currency":"BTC",
    "quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01","display_name":"BTC/USD",
    "status":"online","status_message":"","min_market_funds":"1"}]}``"""
    product = {
        "product_type": "SPOT",
        "id": spec.native,
        "base_currency": spec.base,
        "quote_currency": spec.quote,
        "base_increment": size(spec, 1),
        "quote_increment": price(spec, 1),
        "display_name": f"{spec.base}/{spec.quote}",
        "status": status,
        "status_message": "",
        "min_market_funds": "1",
    }
    return f'{{"type":"{kind}","products":[{msgspec.json.encode(product).decode()}]}}'


def heartbeat_event(now: int, count: int) -> str:
    """``{"current_time":"2026-09-07 23:37:22.674409 +0000 UTC m=+139651.272674714","heartbeat_counter":139651}``: a
    free text and a number. ``now`` in ms."""
    said = instant(now, 409_000)[:-1].replace("T", " ")
    return f'{{"current_time":"{said} +0000 UTC m=+{count}.272674714","heartbeat_counter":{count}}}'


def subscriptions_event(channels: Mapping[str, Sequence[str]]) -> str:
    """``{"subscriptions":{"heartbeats":["heartbeats"],"level2":["BTC-USD"]}}``: all that the connection has now, the
    channels in the order of their names."""
    ordered = {name: list(channels[name]) for name in sorted(channels)}
    return msgspec.json.encode({"subscriptions": ordered}).decode()


def error(message: str) -> str:
    """``{"type":"error","message":"authentication failure"}``: without an envelope and without a number."""
    return msgspec.json.encode({"type": "error", "message": message}).decode()
