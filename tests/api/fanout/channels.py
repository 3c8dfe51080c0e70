"""Channels as clients name them, and what their messages tell: for all tests of the fan-out."""

from __future__ import annotations

from typing import Any

BTC = {"channel_type": "ticker", "exchange": "binance", "symbol": "BTC-USDT"}
ETH = {**BTC, "symbol": "ETH-USDT"}
SOL = {**BTC, "symbol": "SOL-USDT"}
TRADES = {**BTC, "channel_type": "trade"}
CANDLES = {**BTC, "channel_type": "candle", "interval": "1m"}
BOOK = {**BTC, "channel_type": "order_book", "depth": 5}


def lasts(messages: list[dict[str, Any]]) -> list[float]:
    return [message["payload"]["last"] for message in messages if message["type"] == "ticker"]


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]
