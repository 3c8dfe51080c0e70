"""Of candles as of everything else: what is refused is said once with the server's words and asked again on demand or
when the connection is new; what fails for now is asked again after growing pauses."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

MARKET = "#/market/binance/spot/BTC-USDT"
COMPARE = "#/compare/spot/BTC-USDT"
LEGEND = "document.querySelector('.chart-legend').innerText"
TIMES = "(askedAt['candles?'] ?? []).length"
ASKED = f"({TIMES} - reopened)"
"""Without what was asked because a connection is new; less than one where that came before the first refusal."""
REFUSED = "[...document.querySelectorAll('{} .panel-refusal')].filter((each) => each.checkVisibility())[0]?.innerText"


async def answer(page: Any, status: int, more: str = "", only: str = "") -> None:
    """Every page to come gets this for candles, or for those alone whose address holds ``only``."""
    body = f"{{ error: {{ message: 'not these bars'{more} }} }}"
    made = f"name.includes('{only}') ? Promise.resolve(Response.json({body}, {{ status: {status} }})) : real()"
    source = f"answers['candles?'] = (real, name) => {made}"
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=source)


async def time_passes(page: Any) -> None:
    """Some twenty seconds by the page's timers: longer than three pauses."""
    others = await page.evaluate("askedAt.exchanges.length")
    await page.wait_for(f"askedAt.exchanges.length >= {others + 9}", 20)


@pytest.mark.parametrize(("status", "more"), [(400, ""), (404, ""), (502, ", cause: 'rejected'")])
@ensureDeferred
async def test_refused_candles_are_asked_once_and_again_on_demand_or_a_new_connection(
    tampered: Any, stage: Any, status: int, more: str
) -> None:
    page = tampered
    page.excuse(f"status of {status}|WebSocket connection to")
    await answer(page, status, more)
    await page.goto(stage.url + MARKET)
    shown = f"({REFUSED.format('.panel-chart')} ?? '').includes('not these bars')"
    await page.wait_for(shown)
    once = await page.evaluate(ASKED)
    assert once <= 1
    await time_passes(page)
    await page.wait_for(f"{ASKED} === {once}")
    await page.click("[aria-label='Retry: Chart']")
    await page.wait_for(f"{ASKED} === {once + 1}")
    await time_passes(page)
    await page.wait_for(f"{ASKED} === {once + 1}")
    before = await page.evaluate("reopened")
    stage.cut()
    await page.wait_for(f"reopened > {before} && {ASKED} === {once + 1}", 20)
    await time_passes(page)
    await page.wait_for(f"{ASKED} === {once + 1}")
    await page.press("2")
    await page.wait_for(f"{ASKED} === {once + 2} && {shown}")  # another interval is another question
    await page.evaluate("delete answers['candles?']")
    await page.click("[aria-label='Retry: Chart']")
    await page.wait_for(f"/C [0-9]/.test({LEGEND}) && {REFUSED.format('.panel-chart')} === undefined")


@ensureDeferred
async def test_a_pointer_over_a_chart_without_bars_disturbs_nothing(tampered: Any, stage: Any) -> None:
    """Its legend asked for the newest bar, of which there was none: an exception at each drawing."""
    page = tampered
    page.excuse("status of 404")
    await answer(page, 404)
    await page.goto(stage.url + MARKET)
    await page.wait_for(f"({REFUSED.format('.panel-chart')} ?? '').includes('not these bars')")
    box = "(({ x, y, width }) => ({ x, y, width }))(document.querySelector('.chart-plot').getBoundingClientRect())"
    plot = await page.evaluate(box)
    for share in (0.3, 0.6, 0.9):
        await page.mouse("mouseMoved", plot["x"] + plot["width"] * share, plot["y"] + 20)
        before = await page.evaluate("cryptodash.received")
        await page.wait_for(f"cryptodash.received > {before + 5}")
    await page.evaluate("delete answers['candles?']")
    await page.click("[aria-label='Retry: Chart']")
    await page.wait_for(f"/C [0-9]/.test({LEGEND})")


@ensureDeferred
async def test_candles_that_fail_for_now_are_asked_after_growing_pauses(tampered: Any, stage: Any) -> None:
    page = tampered
    page.excuse("status of 503")
    await answer(page, 503)
    await page.goto(stage.url + MARKET)
    await page.wait_for("/could not be loaded: not these bars/.test(document.querySelector('.chart-note').innerText)")
    await page.wait_for(f"{TIMES} >= 5", 20)
    times = (await page.evaluate("askedAt['candles?']"))[:5]
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap > 0.95 * least for gap, least in zip(gaps, (2000, 4000, 8000, 16000), strict=True)), gaps
    assert await page.evaluate(f"{REFUSED.format('.panel-chart')} === undefined")
    await page.evaluate("delete answers['candles?']")
    await page.wait_for(f"/C [0-9]/.test({LEGEND}) && document.querySelector('.chart-note').hidden", 20)


@ensureDeferred
async def test_a_venue_whose_candles_are_refused_is_named_in_the_comparison_and_asked_again_on_demand(
    tampered: Any, stage: Any
) -> None:
    page = tampered
    page.excuse("status of 404")
    await answer(page, 404, only="bybit")
    await page.goto(stage.url + COMPARE)
    bybit = "asked.filter((each) => each.startsWith('candles?') && each.includes('bybit')).length"
    words = json.dumps("No candles of bybit: not these bars.")
    refused = REFUSED.format(".compare .grow")
    await page.wait_for(f"({refused} ?? '').includes({words}) && {TIMES} - {bybit} === 1")
    once = await page.evaluate(f"{bybit} - reopened")
    assert once <= 1
    await time_passes(page)
    await page.wait_for(f"{bybit} - reopened === {once}")
    await page.evaluate("delete answers['candles?']")
    await page.click("[aria-label='Retry: candles']")
    await page.wait_for(f"{bybit} - reopened === {once + 1} && {refused} === undefined")
    assert await page.evaluate(f"{TIMES} - {bybit}") == 1, "the other one was answered"
