"""The page and its one connection: lost, cut, silent, restarted, another release.
What it shows meanwhile says that it is old."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred

MARKET = "#/market/binance/spot/BTC-USDT"
LOST = "WebSocket connection to|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 503"
OPEN = "document.documentElement.dataset.socket === 'open'"
LIVE = f"{OPEN} && cryptodash.applied > 20 && /[0-9]/.test(document.title)"


@pytest.fixture(autouse=True)
def running(stage: Any) -> Iterator[None]:
    """A test that failed while the server was stopped harms no other."""
    yield
    if stage.server is None:
        stage.start()


@pytest_twisted.async_yield_fixture
async def market(page: Any, stage: Any) -> AsyncIterator[Any]:
    """The market view, live."""
    await page.goto(stage.url + MARKET)
    await page.wait_for(f"{LIVE} && !document.querySelector('.pending')")
    yield page


async def pill(page: Any) -> str:
    return await page.text(".pill")


@ensureDeferred
async def test_a_live_connection_says_its_round_trip(market: Any, stage: Any) -> None:
    assert await market.wait_for("/^server [0-9.]+ ms$/.test(document.querySelector('.pill').innerText)")
    assert market.sockets == [stage.url.replace("http", "ws") + "ws"], "one socket, to the server the page came from"


@ensureDeferred
async def test_a_lost_server_is_told_and_what_was_shown_is_dimmed_until_it_is_back(
    market: Any, stage: Any, until: Any
) -> None:
    market.excuse(LOST)
    await market.wait_for("document.querySelectorAll('.doubt').length === 0")
    before = set(stage.wanted)
    await stage.crash()
    await market.wait_for("document.documentElement.dataset.socket !== 'open'")
    await market.wait_for(
        "/^(offline, )?reconnecting in [0-9]+ s \\(try [0-9]+\\)$/.test(document.querySelector('.pill').innerText)"
    )
    await market.wait_for("document.title.includes('! ')")
    await market.wait_for("document.querySelectorAll('.ladder-box.doubt, .tape-box.doubt').length === 2")
    assert "Connection lost" in await market.evaluate("document.querySelector('#polite').textContent")
    assert await market.evaluate(
        "[...document.querySelectorAll('.ladder tbody tr.bid td.price')].some((cell) => cell.innerText !== '')"
    ), "kept for reading"
    stage.start()
    # unless it has just tried again by itself
    await market.evaluate("document.querySelector('.statusline button:not([hidden])')?.click()")
    await market.wait_for(LIVE)
    await market.wait_for("document.querySelectorAll('.doubt').length === 0 && !document.title.includes('! ')")
    assert "Connected again" in await market.evaluate("document.querySelector('#polite').textContent")
    await until(lambda: set(stage.wanted) == before)


@ensureDeferred
async def test_it_comes_back_by_itself_after_every_cut(market: Any, stage: Any, until: Any) -> None:
    market.excuse(LOST)
    for times in range(2, 5):
        stage.cut()
        await until(lambda times=times: len(market.sockets) >= times)
        await market.wait_for(f"{LIVE} && cryptodash.state.tries === 0")
    await market.wait_for("document.querySelectorAll('.doubt').length === 0")
    assert await market.evaluate("performance.getEntriesByType('navigation').length") == 1, (
        "the document was not loaded again"
    )


@ensureDeferred
async def test_a_server_that_says_nothing_is_left_and_tried_again(
    page: Any, stage: Any, flood: Any, until: Any
) -> None:
    page.excuse(LOST)
    await page.hasten(8)
    flood.rate = 100
    await page.goto(flood.url + MARKET)
    await page.wait_for(OPEN)
    flood.fall_silent()
    await until(lambda: len(page.sockets) > 1, 10)
    await page.wait_for(LIVE)


NOTES_DOUBT = """window.doubted = null; window.begun = performance.now(); new MutationObserver(() => {
  const boxes = document.querySelectorAll('.ladder-box.doubt, .tape-box.doubt').length;
  if (doubted || !document.title.includes('! ') || boxes < 2) return;
  window.doubted = { after: performance.now() - begun, phase: cryptodash.state.phase,
    pill: document.querySelector('.pill').innerText };
}).observe(document, { attributes: true, childList: true, characterData: true, subtree: true })"""


SETTLED = """(() => {
  const now = performance.now(), title = document.title;
  if (window.settled?.title !== title) window.settled = { title, at: now };
  return now - settled.at;
})()"""
"""ms for which the title, which has the last price, has been the same."""


async def watch(page: Any, flood: Any) -> None:
    """The market view of a server that can fall silent."""
    page.excuse(LOST)
    flood.rate = 100
    await page.goto(flood.url + MARKET)
    await page.wait_for(OPEN)
    await page.wait_for("document.querySelectorAll('.doubt').length === 0 && cryptodash.applied > 20")


@ensureDeferred
async def test_within_two_seconds_and_a_half_of_silence_nothing_is_believed_any_more(page: Any, flood: Any) -> None:
    await watch(page, flood)
    flood.fall_silent()
    await page.evaluate(NOTES_DOUBT)
    doubted = await page.wait_for("window.doubted")
    assert 1500 < doubted["after"] < 3500, "asked after a second, doubted after another"
    assert doubted["phase"] == "silent" and "no answer for" in doubted["pill"]


@ensureDeferred
async def test_the_title_of_a_hidden_tab_goes_on_and_is_marked_when_the_server_does_not_answer(
    page: Any, flood: Any
) -> None:
    """Its own timers and frames stand still, as browsers have it."""
    await watch(page, flood)
    await page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true });"
        "document.dispatchEvent(new Event('visibilitychange'));"
        "window.requestAnimationFrame = () => 0; for (let id = 1; id < 10000; id += 1) { clearInterval(id) }"
    )
    shown = await page.evaluate("document.title")
    await page.wait_for(f"document.title !== {json.dumps(shown)} && !document.title.includes('! ')")
    flood.fall_silent()
    await page.evaluate("window.begun = performance.now()")
    assert await page.wait_for("document.title.includes('! ') && performance.now() - begun") < 3500


@ensureDeferred
async def test_what_the_browser_knows_of_the_network_counts_at_once_and_what_comes_counts_more(
    page: Any, flood: Any
) -> None:
    await watch(page, flood)
    await page.evaluate("dispatchEvent(new Event('offline'))")
    await page.wait_for(f"{OPEN} && !document.title.includes('! ')")
    flood.fall_silent()
    await page.wait_for(f"{SETTLED} > 300")  # what was on its way has come: it would count more
    await page.evaluate(f"{NOTES_DOUBT}; dispatchEvent(new Event('offline'))")
    assert (await page.wait_for("window.doubted"))["after"] < 1000


@ensureDeferred
async def test_a_quiet_connection_that_answers_is_not_doubted(page: Any, flood: Any) -> None:
    """Nothing moves: the server is asked each second, and its answers are enough."""
    flood.rate = 0
    await page.goto(flood.url + MARKET)
    await page.wait_for(OPEN)
    await page.evaluate(
        "window.seen = new Set(); new MutationObserver(() => seen.add(document.documentElement.dataset.socket))"
        ".observe(document.documentElement, {attributes: true})"
    )
    before = await page.evaluate("cryptodash.received")
    await page.wait_for(f"cryptodash.received >= {before + 4}")
    assert await page.evaluate("[...seen].filter((phase) => phase !== 'open')") == []


@ensureDeferred
async def test_a_restart_in_order_is_followed_by_a_return_and_a_new_release_by_a_banner(
    market: Any, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.excuse(LOST)
    await market.evaluate("window.untouched = true")
    await stage.stop()
    monkeypatch.setattr("cryptodash.service.__version__", "99.0.0")
    stage.start()
    await market.wait_for("document.querySelector('#banners').innerText.includes('99.0.0')", 15)
    await market.wait_for(LIVE)
    assert await market.evaluate("untouched"), "never reloaded without being asked"
    await market.click("#banners .banner[data-id=version] button:not(.plain)")
    await market.wait_for("window.untouched === undefined && window.cryptodash?.version === '99.0.0'")
    await market.wait_for(LIVE)
    assert await market.count(".banner[data-id=version]") == 0
    monkeypatch.undo()
    await stage.stop()
    stage.start()


@ensureDeferred
async def test_a_view_that_could_not_be_fetched_says_so_and_comes_with_the_connection(page: Any, stage: Any) -> None:
    page.excuse(f"{LOST}|alerts.js")
    await page.goto(stage.url + "#/health")
    await page.wait_for(OPEN)
    await stage.crash()
    await page.wait_for("document.documentElement.dataset.socket !== 'open'")
    await page.go("#/alerts")
    await page.wait_for("document.querySelector('main').innerText.includes('could not be fetched')")
    stage.start()
    await page.wait_for(f"{OPEN} && document.querySelector('main form')", 25)


@ensureDeferred
async def test_before_the_first_connection_nothing_is_invented(page: Any, stage: Any) -> None:
    page.excuse(LOST)
    await page.goto(stage.url + "#/market/bybit/spot/BTC-USDT")
    await page.wait_for(f"{OPEN} && document.querySelector('.ladder')")
    await stage.crash()
    await page.wait_for("document.documentElement.dataset.socket !== 'open'")
    await page.go("#/market/bybit/spot/ETH-USDT")
    await page.wait_for("document.querySelector('.ladder')")
    assert await page.evaluate(
        "[...document.querySelectorAll('.ladder tbody td.price')].every((cell) => cell.innerText.trim() === '')"
    )
    stage.start()
    await page.wait_for(LIVE, 15)
