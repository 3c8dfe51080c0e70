"""Every view on every screen: no complaint of the browser, nothing wider than the screen, everything has a name, the
keyboard reaches all of it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred

VIEWS = {
    "markets": (
        "#/markets",
        "document.querySelectorAll('table.grid tbody tr').length > 10 && !document.querySelector('.pending')",
    ),
    "market": (
        "#/market/binance/spot/BTC-USDT?ov=ema20,vwap",
        "/[0-9]/.test(document.querySelector('.last').innerText)",
    ),
    "compare": ("#/compare/spot/BTC-USDT", "document.querySelectorAll('main tbody tr').length >= 2"),
    "health": ("#/health", "/binance/.test(document.querySelector('main').innerText)"),
    "alerts": ("#/alerts", "document.querySelector('main form, main select, main input')"),
}
LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 0"
HERE = "document.querySelector('nav [aria-current=page]').innerText.split(/\\s/)[0].toLowerCase()"
NEEDS_A_NAME = {
    "button",
    "link",
    "textbox",
    "searchbox",
    "combobox",
    "checkbox",
    "radio",
    "spinbutton",
    "tab",
    "table",
    "dialog",
    "region",
    "slider",
    "option",
}


async def show(page: Any, stage: Any, view: str) -> None:
    fragment, there = VIEWS[view]
    await page.goto(stage.url + fragment)
    await page.wait_for(f"{LIVE} && {there}")
    await page.wait_for(f"{HERE} === {view!r}")


@pytest_twisted.async_yield_fixture(scope="module", params=VIEWS)
async def view(request: Any, browser: Any, stage: Any, reactor: Any) -> AsyncIterator[Any]:
    """Each view in turn, in a tab that is only looked at."""
    tab = await browser.open(reactor)
    await show(tab, stage, request.param)
    yield tab
    assert tab.problems == []
    await tab.close()


async def redrawn(page: Any) -> None:
    """Wait until the page has laid out and drawn what was changed."""
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def still(page: Any, selector: str) -> None:
    """Wait until an element has stood at the same place for twenty frames:
    what comes in while a page loads can move what is below it."""
    await page.evaluate(
        """((selector) => new Promise((done) => {
            let last, frames = 0;
            const look = () => {
                const { top } = document.querySelector(selector).getBoundingClientRect();
                frames = top === last ? frames + 1 : 0;
                last = top;
                frames > 20 ? done() : requestAnimationFrame(look);
            };
            look();
        }))"""
        f"({json.dumps(selector)})"
    )


@pytest.mark.parametrize("theme", ["dark", "light"])
@ensureDeferred
async def test_a_view_fits_every_screen_and_can_be_read_on_it(view: Any, theme: str) -> None:
    """No wider than the screen, and a contrast of at least 4.5:1 of every text (WCAG 1.4.3)."""
    await view.media(prefers_color_scheme=theme)
    for width, height in ((2560, 1440), (1440, 900), (800, 600), (375, 800)):
        await view.viewport(width, height)
        await redrawn(view)
        assert await view.probe("wider") == [], width
        assert await view.probe("poorContrast") == [], width
    back = await view.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    assert (sum(back) / 3 > 127) is (theme == "light")
    assert view.problems == []


@pytest.mark.parametrize("width", [375, 1440])
@ensureDeferred
async def test_everything_that_can_be_used_has_a_name(view: Any, width: int) -> None:
    await view.viewport(width, 900)
    await redrawn(view)
    assert [role for role, name in await view.names() if role in NEEDS_A_NAME and not name.strip()] == []
    assert await view.count("main h1") >= 1


@ensureDeferred
async def test_everything_has_a_name_from_the_first_picture_on(page: Any, stage: Any) -> None:
    """What is drawn twice a second only was an unnamed link during the page's first half second."""
    await page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="{ const now = performance.now.bind(performance); performance.now = () => now() / 1000; }",
    )
    await show(page, stage, "alerts")
    await redrawn(page)
    assert await page.evaluate("performance.now() < 500")
    assert [role for role, name in await page.names() if role in NEEDS_A_NAME and not name.strip()] == []
    assert page.problems == []


@ensureDeferred
async def test_prices_are_in_no_live_region_and_tables_are_tables(view: Any) -> None:
    assert await view.probe("loud") == []
    assert await view.probe("poorTables") == []


@ensureDeferred
async def test_loaded_on_a_telephone_it_fits_too(page: Any, stage: Any) -> None:
    await page.viewport(375, 700)
    await show(page, stage, "market")
    await still(page, "#tab-book")
    assert await page.probe("wider") == []
    assert await page.count(".market-tabs:not([hidden]) [role=tab]") == 4
    await still(page, "#tab-book")  # again: what came meanwhile may have moved it away from under the click
    await page.click("#tab-book")
    await page.wait_for(
        "document.querySelector('.ladder').checkVisibility() && !document.querySelector('.chart').checkVisibility()"
    )
    assert await page.evaluate("location.hash.includes('tab=book')")


@ensureDeferred
async def test_views_follow_each_other_on_one_socket_and_give_back_what_they_held(
    page: Any, stage: Any, until: Any
) -> None:
    before = stage.wanted  # by the tab that is only looked at
    await page.hasten(5)  # subscriptions linger for five seconds
    await show(page, stage, "market")
    await until(lambda: any("BTC-USDT:order_book" in each for each in stage.wanted))
    for view in ("compare", "markets", "health"):
        await page.go(VIEWS[view][0])
        await page.wait_for(f"{HERE} === {view!r} && {VIEWS[view][1]}")
    await until(lambda: stage.wanted == before)
    assert len(page.sockets) == 1
    assert await page.evaluate("performance.getEntriesByType('navigation').length") == 1


@ensureDeferred
async def test_the_keyboard_alone_reaches_every_view_and_does_its_work(page: Any, stage: Any) -> None:
    await page.goto(stage.url)
    await page.wait_for(f"{LIVE} && {HERE} === 'market' && /[0-9]/.test(document.querySelector('.last').innerText)")
    for key, view in (("m", "markets"), ("c", "compare"), ("h", "health"), ("a", "alerts"), ("k", "market")):
        await page.press("g", key)
        await page.wait_for(f"{HERE} === {view!r} && {VIEWS[view][1]}")
    await page.press("/")
    await page.wait_for("document.activeElement.matches('.search input')")
    await page.write("eth usdt byb")
    await page.wait_for("document.querySelector('[role=option][aria-selected=true]')?.innerText.includes('ETH-USDT')")
    await page.press("Enter")
    await page.wait_for(
        "location.hash.startsWith('#/market/bybit/spot/ETH-USDT') && "
        "document.querySelector('.market-head h1').innerText === 'ETH-USDT'"
    )
    await page.press("2")
    await page.wait_for(
        "location.hash.includes('tf=5m') && "
        "document.querySelector('[aria-label=Interval] [aria-pressed=true]').innerText === '5m'"
    )
    await page.press("b")
    await page.wait_for("location.hash.includes('grp=2')")
    await page.press("j")
    await page.wait_for("!location.hash.includes('ETH-USDT') && location.hash.includes('tf=5m')")
    await page.press("k")
    await page.wait_for("location.hash.includes('/ETH-USDT')")
    await page.press("p")
    await page.wait_for("document.querySelector('.held:not([hidden])').innerText.startsWith('PAUSED')")
    await page.press("p")
    await page.wait_for("!document.querySelector('.held:not([hidden])')")
    await page.press("?")
    await page.wait_for("document.querySelector('dialog.help[open]')")
    await page.press("Escape")
    # the focus leaves with the next frame
    await page.wait_for("!document.querySelector('dialog[open]') && document.activeElement === document.body")
    await page.wait_for("/[0-9] ETH-USDT/.test(document.title)")
    await page.press("r")
    await page.wait_for("/last [0-9]/.test(document.querySelector('#polite').textContent)")
    await page.press("g", "m")
    await page.wait_for(f"{HERE} === 'markets' && {VIEWS['markets'][1]}")
    await page.press("j", "j", "f")
    await page.wait_for("document.activeElement.closest('tr')?.querySelector('[aria-pressed=true]')")
    name = await page.evaluate("document.activeElement.innerText")
    await page.press("Enter")
    await page.wait_for(f"{HERE} === 'market' && document.querySelector('.market-head h1').innerText === {name!r}")


@ensureDeferred
async def test_tab_goes_round_the_page_and_the_focus_is_always_seen(page: Any, stage: Any) -> None:
    await show(page, stage, "market")
    seen: list[str] = []
    for _ in range(40):
        await page.press("Tab")
        what, is_seen = await page.probe("focus")
        assert is_seen, what
        seen.append(what)
    assert any("chart-plot" in each for each in seen), "the chart can be reached"
    assert "skip" in seen[0]


@ensureDeferred
async def test_the_chart_is_read_with_arrows_and_shown_as_a_table(page: Any, stage: Any) -> None:
    await show(page, stage, "market")
    await page.wait_for("/C [0-9]/.test(document.querySelector('.chart-legend').innerText)")
    await page.evaluate("document.querySelector('.chart-plot').focus()")
    await page.press("ArrowLeft", "ArrowLeft", "ArrowLeft", "Enter")
    said = await page.wait_for(
        "/close [0-9]/.test(document.querySelector('#polite').textContent) && "
        "document.querySelector('#polite').textContent"
    )
    close = re.search(r"close ([0-9.,]+),", said)[1]  # type: ignore[index]
    await page.wait_for(f"document.querySelector('.chart-legend').innerText.includes('C {close}')")
    assert not await page.evaluate("document.querySelector('.chart-legend').innerText.includes('open')"), (
        "a bar of the past is closed"
    )
    await page.press("End")
    await page.wait_for("document.querySelector('.chart-legend').innerText.includes('open')")


@ensureDeferred
async def test_single_keys_can_be_switched_off_and_do_nothing_while_typing(page: Any, stage: Any) -> None:
    await show(page, stage, "markets")
    await page.click(".filters input[type=search]")
    await page.write("gh?pt")
    assert await page.evaluate(f"{HERE} === 'markets' && !document.querySelector('dialog[open]')")
    assert await page.evaluate("location.hash.includes('q=gh')")
    await page.press("Escape")
    await page.evaluate("document.activeElement.blur()")
    await page.press("?")
    await page.click("#shortcuts-on")
    await page.press("Escape")
    await page.wait_for("!document.querySelector('dialog[open]') && document.activeElement === document.body")
    await page.press("g", "h")
    assert await page.evaluate(HERE) == "markets"


@ensureDeferred
async def test_a_link_brings_back_what_was_seen_and_back_goes_back(page: Any, stage: Any) -> None:
    link = "#/market/bybit/perpetual/ETH-USDT?tf=15m&grp=10&tz=Asia/Tokyo&depth=cum&ov=ema20&later=kept"
    await page.goto(stage.url + link)
    await page.wait_for(f"{LIVE} && document.querySelector('.market-head h1').innerText === 'ETH-USDT'")
    assert await page.evaluate("location.hash") == link
    assert await page.evaluate("document.querySelector('[aria-label=Interval] [aria-pressed=true]').innerText") == "15m"
    assert await page.evaluate("document.querySelector('[aria-label=\"Group prices by\"]').value") == "10"
    assert await page.evaluate("document.querySelector('[aria-label=\"Time zone\"]').value") == "Asia/Tokyo"
    tokyo = (
        "new Intl.DateTimeFormat('en-GB', {timeZone: 'Asia/Tokyo', "
        "hour: '2-digit', minute: '2-digit'}).format(Date.now())"
    )
    await page.wait_for(f"document.querySelector('.clock').innerText.startsWith({tokyo})")
    await page.press("1")
    await page.wait_for("!location.hash.includes('tf=')")
    assert await page.evaluate("location.hash.includes('later=kept') && location.hash.includes('grp=10')")
    length = await page.evaluate("history.length")
    await page.press("4")
    await page.wait_for("location.hash.includes('tf=1h')")
    assert await page.evaluate("history.length") == length, "a knob makes no step of its own"
    await page.press("g", "h")
    await page.wait_for(f"{HERE} === 'health'")
    await page.back()
    await page.wait_for(
        f"{HERE} === 'market' && location.hash.includes('tf=1h') && location.hash.includes('later=kept')"
    )
    await page.reload()
    await page.wait_for(
        f"{LIVE} && document.querySelector('[aria-label=Interval] [aria-pressed=true]').innerText === '1h'"
    )


@ensureDeferred
async def test_a_value_that_is_not_known_is_told_and_something_sensible_is_shown(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT?tf=7m")
    await page.wait_for(f"{LIVE} && document.querySelector('#banners').innerText.includes('7m')")
    await page.wait_for("document.querySelector('[aria-label=Interval] [aria-pressed=true]').innerText === '1m'")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("binance/spot/DOGE-XYZ", "binance has no spot DOGE-XYZ"),
        ("nowhere/spot/BTC-USDT", "nowhere"),
        ("binance/spot/%3Cb%3E", "<B>"),
    ],
)
@ensureDeferred
async def test_a_market_that_does_not_exist_is_told_with_near_ones_and_never_asked_for(
    page: Any, stage: Any, place: str, said: str
) -> None:
    before = stage.wanted
    await page.goto(f"{stage.url}#/market/{place}")
    await page.wait_for(f"document.querySelector('main h1')?.innerText.includes({json.dumps(said)})")
    more = [each for each, count in stage.wanted.items() if count > before.get(each, 0)]
    assert not any(f"{place.split('/')[-1]}" in each for each in more)
    assert await page.evaluate("document.querySelector('main a[href=\"#/markets\"]') !== null")
    if "XYZ" in place:
        await page.click("main a[href*='DOGE-USDT']")
        await page.wait_for(f"{LIVE} && document.querySelector('.market-head h1').innerText === 'DOGE-USDT'")


@ensureDeferred
async def test_favourites_and_looks_survive_a_reload(page: Any, stage: Any) -> None:
    await show(page, stage, "market")
    await page.press("f")
    await page.wait_for("document.querySelector('.market-name button').getAttribute('aria-pressed') === 'true'")
    await page.press("t")
    theme = await page.evaluate("document.documentElement.dataset.theme")
    assert theme != "system"
    await page.reload()
    await page.wait_for(
        f"{LIVE} && document.querySelector('.market-name button')?.getAttribute('aria-pressed') === 'true'"
    )
    assert await page.evaluate("document.documentElement.dataset.theme") == theme
    await page.go("#/markets?fav=1")
    two_of_them_are_padding = "document.querySelectorAll('table.grid tbody tr').length === 3"
    # The view has just been fetched: its row is there a drawing before its words.
    has_words = "document.querySelector('table.grid tbody').innerText.includes('BTC-USDT')"
    await page.wait_for(f"{two_of_them_are_padding} && !document.querySelector('.pending') && {has_words}")


@ensureDeferred
async def test_broken_storage_is_not_a_broken_page(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "health")
    await page.evaluate(
        "localStorage.setItem('cryptodash.1', '{\"favourites\": 7, "
        '"theme": "pink", "alerts": [null, 3, {}], "zone": "Mars/Base"}\')'
    )
    for view in VIEWS:
        await show(page, stage, view)
    assert page.problems == []


@ensureDeferred
async def test_with_reduced_motion_nothing_flashes(page: Any, stage: Any) -> None:
    await page.media(prefers_reduced_motion="reduce")
    for view in ("markets", "market"):
        await show(page, stage, view)
        await page.wait_for("/[▲▼▴▾]/.test(document.querySelector('main').innerText)")
        assert (
            await page.evaluate(
                "document.getAnimations().filter((each) => each.effect.getComputedTiming().duration > 1).length"
            )
            == 0
        )
    await page.media(prefers_reduced_motion="no-preference")
    await show(page, stage, "market")
    await page.wait_for("document.getAnimations().some((each) => each.effect.target.closest('.last'))")
    assert (
        await page.evaluate(
            "Math.max(...document.getAnimations().map((each) => each.effect.getComputedTiming().duration))"
        )
        <= 250
    )


@ensureDeferred
async def test_the_page_loads_only_from_its_server_and_nothing_unused_is_shipped(page: Any, stage: Any) -> None:
    await show(page, stage, "market")
    for view in ("markets", "alerts", "health", "compare"):  # fetched when they are first shown
        await page.go(VIEWS[view][0])
        await page.wait_for(VIEWS[view][1])
    await page.wait_for("document.querySelector('.sizes tbody tr')")
    await page.go("#/market/binance/perpetual/BTC-USDT?lay=cvd,heat,liq")  # as is each layer of the chart
    await page.wait_for("/CVD.*book.*liquidation/s.test(document.querySelector('.chart-legend').innerText)", 20)
    await page.press("m")
    await page.wait_for("document.querySelector('.drawer tbody tr')")
    page.excuse("404 .*/api/history")  # the stage records nothing
    await page.press("w")
    await page.wait_for("document.querySelector('.time-control')")
    loaded = await page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert all(name.startswith(stage.url) for name in loaded)
    own = {name.partition("?")[0].rpartition("/")[2] for name in loaded if "/assets/" in name}
    shipped = {each.name for each in files("cryptodash.dashboard").iterdir()}
    assert {name for name in shipped if name.rpartition(".")[2] in ("css", "js")} == own


@ensureDeferred
async def test_below_a_proxy_s_path_everything_still_works(page: Any, stage: Any, proxy: Any) -> None:
    await page.goto(proxy.url + VIEWS["market"][0])
    await page.wait_for(f"{LIVE} && {VIEWS['market'][1]}")
    assert page.sockets == [proxy.url.replace("http", "ws") + "ws"]
