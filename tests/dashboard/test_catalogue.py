"""What the page makes of a list of instruments that is not whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred

LACKING = """{
    const changed = async (real, change) => Response.json(change(await (await real()).json()));
    window.trouble = {};
    window.lacks = true;
    window.answers.symbols = (real) => changed(real, (body) => {
        for (const each of body.exchanges) {
            if (!window.lacks || each.exchange !== 'bybit') continue;
            each.symbols = each.symbols.filter(({ market_type: market }) => market === window.kept);
        }
        return body;
    });
    window.answers.exchanges = (real) => changed(real, (body) => {
        for (const each of body.exchanges) if (each.id === 'bybit') Object.assign(each, window.trouble);
        return body;
    });
}"""
"""One of the two exchanges has no catalogue; `trouble` is what /api/exchanges says of it."""
NAMELESS = """window.trouble = { status: 'offline', cause: 'disconnected',
    reason: 'https://api.bybit.com: DNSLookupError: DNS lookup failed: no results for hostname lookup' }, 1"""
BACK = "window.trouble = {}, window.lacks = false, 1"
UNREACHED = "bybit cannot be reached: its name was not found (DNS). The server goes on trying."
VIEWS = {
    "markets": "#/markets",
    "market": "#/market/bybit/spot/BTC-USDT",
    "compare": "#/compare/spot/BTC-USDT",
    "health": "#/health",
    "alerts": "#/alerts",
}
BLOCKED = "window.trouble = { status: 'offline', cause: 'blocked' }, 1"
MAIN = "document.querySelector('main').innerText"


@pytest_twisted.async_yield_fixture
async def lacking(tampered: Any) -> AsyncIterator[Any]:
    """A tab in whose pages one exchange has no catalogue."""
    await tampered.call("Page.addScriptToEvaluateOnNewDocument", source=LACKING)
    yield tampered


@pytest.mark.parametrize("kept", ["", "spot"])
@ensureDeferred
async def test_a_catalogue_that_stays_incomplete_is_asked_for_less_and_less(
    lacking: Any, stage: Any, kept: str
) -> None:
    """Also where one of a venue's markets is there: a page that was opened early lacked the other one for a minute."""
    await lacking.call("Page.addScriptToEvaluateOnNewDocument", source=f"window.kept = {kept!r}")
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
    assert "bybit does not serve this place" in await lacking.evaluate(MAIN)
    await lacking.evaluate("window.trouble = {}, 1")
    await lacking.wait_for(f"{MAIN}.includes('Loading the catalogue')")
    await lacking.go("#/market/bybit/spot/BTC-USDT")
    await lacking.wait_for(f"{MAIN}.includes('Reading the list of markets of bybit')")
    await lacking.evaluate(BLOCKED)
    await lacking.wait_for(f"{MAIN}.includes('bybit does not serve this place')")


@pytest.mark.parametrize("view", VIEWS)
@ensureDeferred
async def test_every_view_says_in_a_sentence_why_an_exchange_is_out_of_reach_and_goes_on_when_it_is_back(
    lacking: Any, stage: Any, view: str
) -> None:
    """Opened by a bookmark, before anything is known."""
    await lacking.call("Page.addScriptToEvaluateOnNewDocument", source=f"{{ {NAMELESS} }}")
    await lacking.goto(stage.url + VIEWS[view])
    await lacking.wait_for(f"{MAIN}.includes({json.dumps(UNREACHED)})", 20)
    assert (await lacking.evaluate(MAIN)).count(UNREACHED) == 1
    shown = await lacking.evaluate("document.body.innerText")
    assert "DNSLookupError" not in shown and "https://api.bybit.com" not in shown
    await lacking.evaluate(BACK)
    await lacking.wait_for(f"!{MAIN}.includes('cannot be reached')", 20)
    if view == "market":
        await lacking.wait_for("/[0-9] BTC-USDT/.test(document.title)", 20)
    if view == "compare":
        await lacking.wait_for("document.querySelectorAll('.venues tbody tr:not([hidden])').length === 2", 20)


REFUSES = (
    "() => Promise.resolve(Response.json({ error: { code: 'forbidden', message: 'not for you' } }, { status: 403 }))"
)


@ensureDeferred
async def test_a_refused_list_is_told_once_and_asked_again_only_on_demand_or_a_new_connection(
    tampered: Any, stage: Any
) -> None:
    page = tampered
    page.excuse("status of 403|WebSocket connection to")
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=f"window.answers.symbols = {REFUSES}")
    await page.goto(stage.url + "#/health")
    await page.wait_for("document.querySelector('#banners').innerText.includes('list of markets: not for you')")
    count = "asked.filter((each) => each === 'symbols').length - reopened"
    once = await page.evaluate(count)
    assert once <= 1
    others = await page.evaluate("asked.filter((each) => each === 'exchanges').length")
    await page.wait_for(f"asked.filter((each) => each === 'exchanges').length >= {others + 10}", 20)
    await page.wait_for(f"{count} === {once}")
    await page.click("#banners .banner[data-id='list of markets'] button:not(.plain)")
    await page.wait_for(f"{count} === {once + 1}")
    before = await page.evaluate("reopened")
    stage.cut()
    await page.wait_for(f"reopened > {before} && {count} === {once + 1}", 20)
    await page.evaluate("delete answers.symbols")
    await page.click("#banners .banner[data-id='list of markets'] button:not(.plain)")
    await page.wait_for("!document.querySelector('#banners').innerText.includes('list of markets')")


@pytest.mark.parametrize("written", ["BTC/USDT", "BTC%2FUSDT", "BTCUSDT", "btcusdt", "btc_usdt"])
@ensureDeferred
async def test_a_symbol_of_a_link_is_understood_as_exchanges_write_it(page: Any, stage: Any, written: str) -> None:
    await page.goto(f"{stage.url}#/market/binance/spot/{written}")
    await page.wait_for("/[0-9] BTC-USDT/.test(document.title)")
    await page.go(f"#/compare/spot/{written}")
    await page.wait_for("document.querySelector('.left-out')?.innerText === '2 of 2 venues'")


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
