"""What the page makes of a list of instruments that is not whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest_twisted
from pytest_twisted import ensureDeferred

LACKING = """{
    const changed = async (real, change) => Response.json(change(await (await real()).json()));
    window.trouble = {};
    window.answers.symbols = (real) => changed(real, (body) => {
        for (const each of body.exchanges) if (each.exchange === 'bybit') each.symbols = [];
        return body;
    });
    window.answers.exchanges = (real) => changed(real, (body) => {
        for (const each of body.exchanges) if (each.id === 'bybit') Object.assign(each, window.trouble);
        return body;
    });
}"""
"""One of the two exchanges has no catalogue; `trouble` is what /api/exchanges says of it."""
BLOCKED = "window.trouble = { status: 'offline', cause: 'blocked' }, 1"
MAIN = "document.querySelector('main').innerText"


@pytest_twisted.async_yield_fixture
async def lacking(tampered: Any) -> AsyncIterator[Any]:
    """A tab in whose pages one exchange has no catalogue."""
    await tampered.call("Page.addScriptToEvaluateOnNewDocument", source=LACKING)
    yield tampered


@ensureDeferred
async def test_a_catalogue_that_stays_incomplete_is_asked_for_less_and_less(lacking: Any, stage: Any) -> None:
    await lacking.goto(stage.url + "#/health")
    await lacking.wait_for("askedAt.symbols.length >= 5", 20)
    times = (await lacking.evaluate("askedAt.symbols"))[:5]
    gaps = [after - before for before, after in pairwise(times)]
    # The first answer brought something new, so that the second is asked for soon.
    assert all(gap > 0.95 * least for gap, least in zip(gaps, (2000, 4000, 8000, 16000), strict=True)), gaps


@ensureDeferred
async def test_an_exchange_that_cannot_be_reached_is_not_waited_for(lacking: Any, stage: Any) -> None:
    await lacking.goto(stage.url + "#/compare/spot/NOPE-USDT")
    await lacking.wait_for(f"{MAIN}.includes('Loading the catalogue')")
    await lacking.evaluate(BLOCKED)
    await lacking.wait_for(f"{MAIN}.includes('No exchange has spot NOPE-USDT')")
    assert "bybit is offline: venue blocks this place" in await lacking.evaluate(MAIN)
    await lacking.evaluate("window.trouble = {}, 1")
    await lacking.wait_for(f"{MAIN}.includes('Loading the catalogue')")
    await lacking.go("#/market/bybit/spot/BTC-USDT")
    await lacking.wait_for(f"{MAIN}.includes('Reading the list of markets of bybit')")
    await lacking.evaluate(BLOCKED)
    await lacking.wait_for(f"{MAIN}.includes('bybit is offline: venue blocks this place')")


@ensureDeferred
async def test_a_name_in_any_case_is_found_as_the_server_finds_it(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/market/binance/spot/Btc-USDT")
    await page.wait_for("/[0-9] BTC-USDT/.test(document.title)")
    await page.go("#/market/binance/spot/Eth-uSDT?tf=5m")
    await page.wait_for("/[0-9] ETH-USDT/.test(document.title)")
    await page.go("#/compare/spot/Btc-USDT")
    await page.wait_for("document.querySelector('.left-out')?.innerText === '2 of 2 venues'")
    await page.go("#/alerts")
    await page.click("#alert-market")
    await page.evaluate("document.querySelector('#alert-market').select()")
    await page.write("Binance Spot Btc-USDT")
    await page.click("#alert-level")
    await page.write("99999999")
    await page.press("Enter")
    await page.wait_for(f"{MAIN}.includes('armed') && {MAIN}.includes('binance spot BTC-USDT')")
