"""What stands around every view: nothing of it moves while it loads, it is small, it prints, and its keys and links do
what they say."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

VIEWS = {
    "markets": ("#/markets", "document.querySelectorAll('table.grid tbody tr').length > 10"),
    "market": ("#/market/binance/spot/BTC-USDT", "/[0-9]/.test(document.querySelector('.last').innerText)"),
    "compare": ("#/compare/spot/BTC-USDT", "document.querySelectorAll('main tbody tr').length >= 2"),
    "health": ("#/health", "/[0-9]+ streams/.test(document.querySelector('main').innerText)"),
    "alerts": ("#/alerts", "document.querySelector('main form')"),
}
LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 0"
BUDGET = 140_000
"""Bytes of a view that is opened first."""
ALL_VIEWS = 200_000
SHIFTS = """window.shifts = [];
new PerformanceObserver((list) => { for (const each of list.getEntries()) if (!each.hadRecentInput)
    shifts.push([each.value, each.sources.map(({ node }) => (node?.outerHTML ?? '').slice(0, 80))]); })
    .observe({ type: 'layout-shift', buffered: true })"""


class Transfer:
    """Bytes of HTTP answers as they came over the wire, without those of ``/api``."""

    def __init__(self, page: Any) -> None:
        self.by_file: defaultdict[str, int] = defaultdict(int)
        self._names: dict[str, str] = {}
        self._heard = page._heard
        page._heard = page._tools.heard = self._hear

    def _hear(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self._names[params["requestId"]] = params["request"]["url"].partition("//")[2].partition("/")[2]
        elif method == "Network.loadingFinished":
            name = self._names.get(params["requestId"], "api/")
            if not name.startswith("api/"):
                self.by_file[name.partition("?")[0] or "/"] += round(params["encodedDataLength"])
        self._heard(method, params)

    @property
    def total(self) -> int:
        return sum(self.by_file.values())


async def show(page: Any, stage: Any, view: str) -> None:
    fragment, there = VIEWS[view]
    await page.goto(stage.url + fragment)
    await page.wait_for(f"{LIVE} && {there}", 20)


@pytest.mark.parametrize("width", [1440, 375])
@pytest.mark.parametrize("view", VIEWS)
@ensureDeferred
async def test_nothing_moves_while_a_view_loads_and_it_is_small(
    page: Any, stage: Any, record_property: Any, view: str, width: int
) -> None:
    transfer = Transfer(page)
    await page.viewport(width, 900 if width > 600 else 800)
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=SHIFTS)
    await show(page, stage, view)
    await page.wait_for("cryptodash.received > 5 && document.querySelectorAll('.chips .chip').length === 2", 40)
    shifts = await page.evaluate("shifts")
    total = sum(value for value, _ in shifts)
    record_property("measured", f"page, {view} at {width}: moved {total:.3f}, {transfer.total / 1000:.1f} kB")
    assert total < 0.05, sorted(shifts, reverse=True)[:3]
    assert 10_000 < transfer.total <= BUDGET, transfer.by_file


@ensureDeferred
async def test_all_five_views_together_are_small(page: Any, stage: Any, record_property: Any) -> None:
    transfer = Transfer(page)
    await show(page, stage, "market")
    for fragment, there in VIEWS.values():
        await page.go(fragment)
        await page.wait_for(there, 20)
    record_property("measured", f"page, all views: {transfer.total / 1000:.1f} kB")
    assert 10_000 < transfer.total <= ALL_VIEWS, transfer.by_file


@ensureDeferred
async def test_the_modules_that_the_page_imports_are_asked_for_at_once(page: Any, stage: Any) -> None:
    await show(page, stage, "alerts")
    links = await page.evaluate(
        "[...document.querySelectorAll('link[rel=modulepreload]')].map((each) => each.getAttribute('href'))"
    )
    sources = {
        each.name: each.read_text() for each in files("cryptodash.dashboard").iterdir() if each.name.endswith(".js")
    }
    graph, waiting = set(), ["app.js"]
    while waiting:
        for name in re.findall(r'^[^/\n]*from "\./([\w-]+\.js)"', sources[waiting.pop()], re.M):
            if name not in graph:
                graph.add(name)
                waiting.append(name)
    assert len(links) == len(set(links))
    assert {each.removeprefix("assets/") for each in links} == graph
    loaded = await page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert all(any(each.endswith(f"/{link}") for each in loaded) for link in links)


@ensureDeferred
async def test_every_bad_value_of_a_link_is_named(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT?tf=7m&grp=3&depth=x&log=9&tz=Mars/Base")
    await page.wait_for("document.querySelector('#banners').innerText.includes('is not known')")
    said = await page.text("#banners")
    assert all(each in said for each in ("tf=7m", "grp=3", "depth=x", "log=9", "tz=Mars/Base"))
    await page.go("#/alerts")
    await page.wait_for("document.querySelector('#banners').innerText === ''")


@ensureDeferred
async def test_the_hint_goes_when_a_key_was_used_and_does_not_come_again(page: Any, stage: Any) -> None:
    await show(page, stage, "alerts")
    assert "Press /" in await page.text(".hint")
    await page.press("g")
    await page.wait_for("!document.querySelector('.hint')")
    await page.reload()
    await page.wait_for(LIVE)
    assert await page.count(".hint") == 0


@ensureDeferred
async def test_the_help_lists_the_keys_that_are_documented_and_no_others(page: Any, stage: Any) -> None:
    text = (Path(__file__).parents[2] / "docs/dashboard.md").read_text(encoding="utf-8")
    section = text.partition("\n## Keys\n")[2].partition("\n## ")[0]
    tables = [each for each in section.strip().split("\n\n") if each.startswith("| key")]
    documented = [
        {key for row in table.splitlines()[2:] for key in re.findall("`([^`]+)`", row.split("|")[1])}
        for table in tables
    ]
    await page.goto(stage.url + "#/health")
    await page.wait_for(LIVE)
    await page.press("?")
    rows = "[...table.querySelectorAll('kbd')].map((each) => each.textContent)"
    listed = await page.evaluate(f"[...document.querySelectorAll('dialog.help table')].map((table) => {rows})")
    words = {"then", "click", "\N{HORIZONTAL ELLIPSIS}", ""}
    said = [
        {key for row in each for key in re.split(r",? |, ", row.replace(" + ", " ").replace("\N{MINUS SIGN}", "-"))}
        - words
        for each in listed
    ]
    assert said == documented
    assert {"a", "Esc", "g"} <= said[0] and {"Shift+\N{UPWARDS ARROW}", "+", "Tab"} <= said[1]


@ensureDeferred
async def test_opening_the_help_and_pressing_on_changes_nothing(page: Any, stage: Any) -> None:
    await show(page, stage, "alerts")
    await page.press("?")
    await page.wait_for("document.activeElement === document.querySelector('#help-title')")
    await page.press("Enter", " ")
    assert await page.evaluate(
        "document.querySelector('#shortcuts-on').checked && Boolean(document.querySelector('dialog[open]'))"
    )
    assert "crosshair" in await page.text("dialog.help") and "zoom" in await page.text("dialog.help")
    await page.press("Escape", "g", "h")
    await page.wait_for("location.hash === '#/health'")


@pytest.mark.parametrize("system", ["dark", "light"])
@ensureDeferred
async def test_the_theme_key_changes_what_is_seen_each_time(page: Any, stage: Any, system: str) -> None:
    await page.media(prefers_color_scheme=system)
    await show(page, stage, "alerts")
    back = "getComputedStyle(document.body).backgroundColor"
    for _ in range(3):
        before = await page.evaluate(back)
        await page.press("t")
        await page.wait_for(f"{back} !== {before!r}")


@ensureDeferred
async def test_it_is_printed_in_light_colours_with_every_row_of_the_book(page: Any, stage: Any) -> None:
    await page.media(prefers_color_scheme="dark")
    await show(page, stage, "market")
    await page.wait_for("document.querySelectorAll('.ladder tr.bid:not([hidden])').length > 4")
    await page.evaluate(
        "addEventListener('beforeprint', () => { window.printed = document.documentElement.dataset.theme; }); 1"
    )
    rows = await page.evaluate("document.querySelectorAll('.ladder tr:not([hidden])').length")
    await page.call("Page.printToPDF", printBackground=True)
    assert await page.evaluate("window.printed") == "light"
    await page.wait_for("document.documentElement.dataset.theme === 'system'")
    await page.call("Emulation.setEmulatedMedia", media="print")
    light = "getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'"
    assert await page.evaluate(light)
    whole = """(() => { const { bottom } = document.querySelector('.panel-book').getBoundingClientRect();
        return [...document.querySelectorAll('.ladder tr:not([hidden])')].filter((each) =>
            each.getBoundingClientRect().bottom <= bottom + 1).length })()"""
    assert await page.evaluate(whole) >= rows > 10
    await page.call("Emulation.setEmulatedMedia", media="")


@ensureDeferred
async def test_a_view_that_goes_on_below_says_so_and_is_scrolled_by_keys(page: Any, stage: Any) -> None:
    await page.viewport(1440, 500)
    await show(page, stage, "health")
    main = "document.querySelector('main')"
    await page.wait_for(f"{main}.dataset.more === '' && {main}.tabIndex === 0")
    key = {"key": "PageDown", "code": "PageDown", "windowsVirtualKeyCode": 34}
    for kind in ("rawKeyDown", "keyUp"):
        await page.call("Input.dispatchKeyEvent", type=kind, **key)
    await page.wait_for(f"{main}.scrollTop > 50")
    await page.press("End")
    await page.wait_for(f"{main}.dataset.more === undefined")
    assert await page.count(".health .scroll[tabindex='0'][aria-label]") == 2
    await page.evaluate(f"{main}.focus()")
    await page.press("Tab")
    await page.viewport(1440, 3000)
    await page.wait_for(f"{main}.tabIndex === -1")


@ensureDeferred
async def test_why_the_page_draws_less_often_is_a_warning(page: Any, flood: Any) -> None:
    await page.goto(flood.url + "#/market/binance/spot/BTC-USDT")
    await page.wait_for(LIVE)
    rate = "[...document.querySelectorAll('.statusline > span')].find((each) => / Hz/.test(each.innerText))"
    # Not as long as the time between two drawings: these would all fall into the pauses.
    await page.evaluate(
        "window.slow = setInterval(() => {"
        " const until = performance.now() + 120; while (performance.now() < until); }, 130), 1"
    )
    await page.wait_for(f"/slowed: /.test(({rate}).innerText) && ({rate}).className === 'rate chip warned'", 30)
    await page.evaluate("clearInterval(slow)")
