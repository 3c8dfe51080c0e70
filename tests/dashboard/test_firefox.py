"""The page in the other engine: every view is there, gets its values, and does nothing that its policy forbids."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred

from tests.dashboard import firefox
from tests.dashboard.browsers import browser_or_skip

STREAMS = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 20"
VIEWS = {
    "markets": ("#/markets", "document.querySelectorAll('.markets tbody .state.good').length > 10"),
    "market": (
        "#/market/binance/spot/BTC-USDT?ov=ema20,vwap",
        "document.querySelectorAll('.tape tbody tr:not([hidden])').length > 3 && /[0-9]/.test(document.title)"
        " && document.querySelectorAll('.panel-state').length === 4 && !document.querySelector('.doubtful')",
    ),
    "compare": ("#/compare/spot/BTC-USDT", "/^2 of 2/.test(document.querySelector('.left-out').innerText)"),
    "health": ("#/health", "document.querySelectorAll('.health tbody .state.good').length > 2"),
    "alerts": ("#/alerts", "document.querySelector('#alert-market').value !== ''"),
}
PLANTED = {
    "exception": ("setTimeout(() => { throw new Error('planted') })", "javascript error: Error: planted"),
    "console": ("console.error('planted')", "console error: planted"),
    "style": ("document.body.setAttribute('style', 'color: red')", "csp: style-src"),
    "connect": ("fetch('https://elsewhere.invalid/').catch(() => 1)", "csp: connect-src"),
    "image": ("new Image().src = 'https://elsewhere.invalid/'", "csp: img-src"),
}


@pytest.fixture(scope="module")
def other_browser() -> Iterator[Any]:
    """Skips where there is none, unless ``CRYPTODASH_REQUIRE_FIREFOX`` is set (as CI does)."""
    running = firefox.Firefox(browser_or_skip("FIREFOX", firefox.NAMES))
    yield running
    running.stop()


@pytest_twisted.async_yield_fixture
async def other_page(other_browser: Any, reactor: Any) -> AsyncIterator[Any]:
    """A fresh tab, 1440 x 900. After the test, anything it complained of is a failure."""
    tab = await other_browser.open(reactor)
    yield tab
    await tab.close()
    assert tab.problems == []


@ensureDeferred
async def test_every_planted_fault_is_seen(other_page: Any, stage: Any, until: Any) -> None:
    await other_page.goto(stage.url)
    await other_page.wait_for(STREAMS)
    assert other_page.problems == []
    for script, expected in PLANTED.values():
        await other_page.evaluate(f"{script}, 1" if script.endswith(")") else script)
        await until(lambda expected=expected: any(each.startswith(expected) for each in other_page.problems))
    other_page.excuse("")


@pytest.mark.parametrize("view", VIEWS)
@ensureDeferred
async def test_each_view_is_there_and_gets_its_values(other_page: Any, stage: Any, view: str) -> None:
    fragment, there = VIEWS[view]
    await other_page.goto(stage.url + "#/market/binance/spot/ETH-USDT")
    await other_page.wait_for(f"{STREAMS} && cryptodash.state.rtt !== undefined", 20)
    await other_page.go(fragment)
    await other_page.wait_for(there, 20)
    assert await other_page.probe("wider") == []


@ensureDeferred
async def test_keys_lead_through_the_views_and_a_picture_can_be_taken(
    other_page: Any, stage: Any, tmp_path: Path
) -> None:
    await other_page.goto(stage.url + VIEWS["market"][0])
    await other_page.wait_for(f"{STREAMS} && {VIEWS['market'][1]}", 20)
    for key, view in (("c", "compare"), ("h", "health"), ("m", "markets"), ("k", "market")):
        await other_page.press("g", key)
        await other_page.wait_for(f"location.hash.startsWith('#/{view}')")
    await other_page.wait_for(VIEWS["market"][1], 20)
    picture = Path(os.environ.get("CRYPTODASH_PICTURES", tmp_path)) / "firefox-market.png"
    assert await other_page.screenshot(picture) > 30_000, "not an empty page"
