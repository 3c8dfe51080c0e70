"""Instruments of every kind in the page: found by their names, shown under them, with a price and a chart."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from pytest_twisted import ensureDeferred

PRICE = "/[0-9]/.test(document.querySelector('.last').innerText)"
LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 0"


@pytest.mark.parametrize(
    ("exchange", "market", "symbol"),
    [
        ("binance", "spot", "币安人生-USDT"),
        ("binance", "perpetual", "币安人生-USDT"),
        ("binance", "perpetual", "AAPL-USDT"),
        ("bybit", "perpetual", "XAU-USDT"),
    ],
)
@ensureDeferred
async def test_a_market_shows_its_price(page: Any, stage: Any, exchange: str, market: str, symbol: str) -> None:
    await page.goto(f"{stage.url}#/market/{exchange}/{market}/{quote(symbol)}")
    await page.wait_for(f"{LIVE} && {PRICE}", 20)
    text = await page.evaluate("document.querySelector('main').innerText + document.title")
    assert symbol.partition("-")[0] in text
    asked = f"api/candles?exchange={exchange}"
    got = "performance.getEntriesByType('resource').map((each) => each.name).join(' ')"
    await page.wait_for(f"({got}).includes({asked!r})", 20)
    names = await page.evaluate(got)
    assert quote(symbol.partition("-")[0]) in names


@ensureDeferred
async def test_a_name_outside_ascii_is_found(page: Any, stage: Any) -> None:
    await page.goto(f"{stage.url}#/markets?q={quote('币安')}")
    rows = "[...document.querySelectorAll('table.grid tbody tr')].filter((each) => each.offsetHeight)"
    await page.wait_for(
        f"{LIVE} && {rows}.length > 0 && {rows}.every((each) => each.innerText.includes('币安人生'))", 20
    )
