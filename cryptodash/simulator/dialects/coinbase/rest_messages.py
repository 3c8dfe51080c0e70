"""The answers of Coinbase's Advanced Trade REST API, the catalogue included, in the venue's exact shapes."""

from __future__ import annotations

from collections.abc import Iterable

from cryptodash.simulator.bars import Bar
from cryptodash.simulator.book_image import BookImage
from cryptodash.simulator.changes import Trade
from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.dialects.coinbase.instruments import ALIASES, currency_name
from cryptodash.simulator.dialects.coinbase.messages import change_percent, maker_side
from cryptodash.simulator.dialects.coinbase.texts import at_trade, instant, price, ratio, size
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec

_FOR = {native: [each for each, real in ALIASES.items() if real == native] for native in ALIASES.values()}


def product(instrument: SimulatedInstrument, name: str, *, delisted: bool) -> dict[str, object]:
    """An entry of the catalogue, under its own name or under another of the same book."""
    spec, day = instrument.spec, instrument.candles.day()
    base, _, quote = name.rpartition("-")
    is_alias = name != spec.native
    quote_size = "0.00001" if quote == "BTC" else "1"
    return {
        "product_id": name,
        "price": price(spec, day.close),
        "price_percentage_change_24h": change_percent(day),
        "volume_24h": size(spec, day.volume),
        "volume_percentage_change_24h": "12.92748862719962",
        "base_increment": size(spec, 1),
        "quote_increment": price(spec, 1),
        "quote_min_size": quote_size,
        "quote_max_size": "150000000",
        "base_min_size": size(spec, 1),
        "base_max_size": "150000000",
        "base_name": currency_name(base),
        "quote_name": currency_name(quote),
        "watched": False,
        "is_disabled": delisted,
        "new": False,
        "status": "delisted" if delisted else "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": delisted,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "fcm_trading_session_details": None,
        "mid_market_price": "",
        "alias": spec.native if is_alias else "",
        "alias_to": [] if is_alias else _FOR.get(spec.native, []),
        "base_display_symbol": base,
        "quote_display_symbol": spec.quote,
        "view_only": False,
        "price_increment": price(spec, 1),
        "display_name": name,
        "product_venue": "CBE",
        "approximate_quote_24h_volume": spec.quote_amount(day.volume * day.close, 2),
        "new_at": "2023-01-01T00:00:00Z",
        "market_cap": "",
        "base_cbrn": "",
        "quote_cbrn": "",
        "product_cbrn": "",
        "icon_color": "",
        "icon_url": "",
        "display_name_overwrite": "",
        "is_alpha_testing": False,
        "about_description": "",
        "best_bid_price": "",
        "best_ask_price": "",
    }


def _rows(spec: InstrumentSpec, side: Iterable[tuple[int, int]]) -> list[dict[str, str]]:
    return [{"price": price(spec, ticks), "size": size(spec, steps)} for ticks, steps in side]


def book(spec: InstrumentSpec, name: str, image: BookImage) -> dict[str, object]:
    """``/market/product_book``; what it calls the last price is the middle of the book. There is no number in it that
    a stream has, too."""
    bid, ask = image.bids[0][0], image.asks[0][0]
    middle = trim(fixed((bid + ask) * spec.tick * 5, spec.price_decimals + 1, spec.price_decimals + 1))
    spread = ask - bid
    return {
        "pricebook": {
            "product_id": name,
            "bids": _rows(spec, image.bids),
            "asks": _rows(spec, image.asks),
            "time": at_trade(image.time, image.last),
        },
        "last": middle,
        "mid_market": middle,
        "spread_bps": ratio(spread * 20_000, bid + ask, 12),
        "spread_absolute": price(spec, spread),
    }


def trade(spec: InstrumentSpec, name: str, fill: Trade) -> dict[str, str]:
    """A row of ``/market/products/{id}/ticker``; the side is the maker's."""
    return {
        "trade_id": str(fill.id),
        "product_id": name,
        "price": price(spec, fill.price),
        "size": size(spec, fill.size),
        "time": at_trade(fill.time, fill.id),
        "side": maker_side(fill),
        "bid": "",
        "ask": "",
        "exchange": "coinbase",
    }


def candle(spec: InstrumentSpec, bar: Bar) -> dict[str, str]:
    """A row of ``/market/products/{id}/candles``, the start in seconds."""
    return {
        "start": str(bar.start // 1_000),
        "low": price(spec, bar.low),
        "high": price(spec, bar.high),
        "open": price(spec, bar.open),
        "close": price(spec, bar.close),
        "volume": size(spec, bar.volume),
    }


def server_time(now: int) -> dict[str, str]:
    """``{"iso":"2024-02-27T03:37:14Z","epochSeconds":"1709005034","epochMillis":"1709005034333"}``"""
    seconds = now // 1_000
    return {"iso": instant(seconds * 1_000), "epochSeconds": str(seconds), "epochMillis": str(now)}


def old_server_time(now: int) -> dict[str, object]:
    """``/v2/time``: ``{"data":{"iso":"2020-05-12T15:01:19Z","epoch":1589295679}}``"""
    seconds = now // 1_000
    return {"data": {"iso": instant(seconds * 1_000), "epoch": seconds}}


def error(code: str, message: str) -> dict[str, str]:
    """``{"error":"INVALID_ARGUMENT","error_details":"...","message":"..."}``"""
    return {"error": code, "error_details": message, "message": message}
