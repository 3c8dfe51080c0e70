"""The list of markets beside a market: opened by a button or a key, kept open, with the true last prices of the rows in
sight, and only theirs are asked for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest_twisted
from pytest_twisted import ensureDeferred

from cryptodash.core.instruments import MarketType

MARKET = "#/market/binance/spot/BTC-USDT"
LIVE = "document.documentElement.dataset.socket === 'open' && /[0-9]/.test(document.querySelector('.last').innerText)"
CATALOGUE = """{
    all: ['A', 'B', 'C', 'D'].map((symbol) => ({symbol, market_type: symbol === 'A' ? 'perpetual' : 'spot'})),
    search: () => [{symbol: 'D'}, {symbol: 'B'}],
}"""
LISTED: Mapping[str, list[str]] = {
    "m.listed(catalogue, '', ({symbol}) => 'DB'.includes(symbol))": ["B", "D", "C", "A"],
    "m.listed(catalogue, 'x', ({symbol}) => symbol === 'B')": ["B", "D"],
    "m.listed(catalogue, 'x', () => false)": ["D", "B"],
}
ROWS = """[...document.querySelectorAll('.drawer tbody tr:not(.pad)')].map((row) => ({
    id: row.querySelector('a').getAttribute('href').replace('#/market/', ''),
    star: row.querySelector('.starbutton').getAttribute('aria-pressed') === 'true',
    halted: row.cells[1].textContent.includes('halted'),
    last: row.cells[2].querySelector('span').textContent,
    change: row.cells[3].textContent,
    sign: row.querySelector('.sign').hidden ? '' : row.querySelector('.sign').title,
    dimmed: row.classList.contains('untrusted'),
    present: row.querySelector('a').getAttribute('aria-current') === 'page',
    line: row.querySelector('.sparkline').getAttribute('aria-label'),
    top: row.getBoundingClientRect().top,
    bottom: row.getBoundingClientRect().bottom,
}))"""
IDS = f"{ROWS}.map(({{ id }}) => id)"
TOLD = f"({ROWS}).length > 5 && ({ROWS}).every((row) => /[0-9]/.test(row.last) || row.sign || row.halted)"
OPEN = "document.querySelector('.drawer').checkVisibility()"
FAVOURITES = ["bybit/spot/ETH-USDT", "binance/spot/SOL-USDT"]


async def show(page: Any, stage: Any, fragment: str = MARKET) -> None:
    await page.goto(stage.url + fragment)
    await page.wait_for(LIVE, 20)


async def show_open(page: Any, stage: Any, fragment: str = MARKET, **settings: Any) -> None:
    """With what this browser remembers from before."""
    remembered = json.dumps(json.dumps({"drawer": True, **settings}))
    await page.goto(stage.url + "health")
    await page.evaluate(f"localStorage.setItem('cryptodash.1', {remembered})")
    await show(page, stage, fragment)
    await page.wait_for(f"({ROWS}).length > 5")


def tickers(stage: Any) -> set[str]:
    return {name for name in stage.wanted if "ticker" in name}


@ensureDeferred
async def test_favourites_come_first_else_the_order_stays(page: Any, stage: Any) -> None:
    await page.laboratory(stage.url)
    for expression, expected in LISTED.items():
        names = f"{expression.replace('catalogue', CATALOGUE)}.map(({{ symbol }}) => symbol)"
        assert await page.module("marketlist.js", names) == expected, expression


@pytest_twisted.async_yield_fixture
async def calm(stage: Any) -> AsyncIterator[None]:
    """Faults end with the test."""
    yield
    stage.calm()


@ensureDeferred
async def test_a_button_and_a_key_open_and_close_it(page: Any, stage: Any) -> None:
    await show(page, stage)
    assert not await page.evaluate(OPEN)
    assert not await page.evaluate("performance.getEntriesByType('resource').some(({ name }) => /marketl/.test(name))")
    await page.click(".drawer-button")
    await page.wait_for(f"{OPEN} && {TOLD}", 20)
    assert await page.evaluate("document.querySelector('.drawer-button').ariaExpanded") == "true"
    at = "document.activeElement.getAttribute('href')"
    assert await page.evaluate(at) == MARKET, "the row of the present market has the focus"
    await page.press("m")
    await page.wait_for(f"!({OPEN}) && document.activeElement.matches('.drawer-button')")
    await page.press("m")
    await page.wait_for(f"{OPEN} && {at} === {MARKET!r}")
    await page.press("Escape")
    await page.wait_for(f"!({OPEN})")
    await page.press("g", "m")
    await page.wait_for("location.hash === '#/markets'")
    await page.press("m")
    assert not await page.evaluate("JSON.parse(localStorage.getItem('cryptodash.1')).drawer")
    await page.press("g", "k")
    await page.wait_for(f"{LIVE} && location.hash === {MARKET!r}", 20)
    assert not await page.evaluate(OPEN), "on another view the key means nothing"


@ensureDeferred
async def test_the_rows_in_sight_show_the_last_prices_of_the_exchange(page: Any, stage: Any, shown: Any) -> None:
    await show_open(page, stage, favourites=[f"binance/spot/{each}-USDT" for each in ("BTC", "ETH", "DOGE", "ADA")])
    await page.wait_for(f"{TOLD} && ({ROWS}).slice(0, 4).every(({{ line }}) => line)", 20)
    rows = {each["id"]: each for each in await page.evaluate(ROWS)}
    for symbol, decimals in (("BTC-USDT", 2), ("ETH-USDT", 2), ("DOGE-USDT", 5), ("ADA-USDT", 4)):
        row = rows[f"binance/spot/{symbol}"]
        trades = stage.simulator.truth.trades("binance", MarketType.SPOT, symbol)
        assert row["last"] in {shown(each.price, decimals) for each in trades}
        ticker = await stage.json("api/ticker", exchange="binance", symbol=symbol)
        change = float(row["change"].replace("\N{MINUS SIGN}", "-"))
        assert abs(change - float(ticker["change_pct_24h"])) < 0.5, "of a moment before"
        assert row["line"].startswith("24 hourly closes")
        assert row["present"] == (symbol == "BTC-USDT")


@ensureDeferred
async def test_a_value_that_nothing_confirms_is_dimmed_with_sign_and_cause(page: Any, stage: Any, calm: None) -> None:
    await show_open(page, stage, favourites=["binance/spot/ETH-USDT"])
    row = f"({ROWS}).find(({{ id }}) => id === 'binance/spot/ETH-USDT')"
    await page.wait_for(f"/[0-9]/.test({row}.last) && !{row}.dimmed && !{row}.sign", 20)
    stage.fault("binance", "silent", "ETH-USDT")
    sign = await page.wait_for(f"{row}.dimmed && /, [0-9.]+ s$/.test({row}.sign) && {row}.sign", 20)
    assert sign.startswith("not to be trusted: stale: silent")
    assert await page.evaluate("document.querySelector('.drawer .sign:not([hidden])').ariaLabel.startsWith('not to')")
    stage.calm()
    await page.wait_for(f"!{row}.dimmed && !{row}.sign", 20)


@ensureDeferred
async def test_favourites_are_first_and_a_new_one_when_no_hand_is_on_the_rows(page: Any, stage: Any) -> None:
    await show_open(page, stage, favourites=FAVOURITES)
    ids = await page.evaluate(IDS)
    assert sorted(ids[:2]) == sorted(FAVOURITES)
    assert [each["star"] for each in await page.evaluate(ROWS)][:3] == [True, True, False]
    await page.click(".drawer tbody tr:not(.pad):nth-child(7) .starbutton")
    await page.wait_for(f"({ROWS})[5].star")
    assert await page.evaluate(IDS) == ids, "not from under the pointer"
    await page.mouse("mouseMoved", 700, 30)
    await page.evaluate("document.activeElement.blur()")
    await page.wait_for(f"({ROWS}).slice(0, 3).some(({{ id }}) => id === {ids[5]!r})")
    # The key, on the row with the focus.
    await page.evaluate("document.querySelector('.drawer tbody tr:not(.pad) a').focus()")
    await page.press("f")
    await page.wait_for(f"!({ROWS})[0].star")


@ensureDeferred
async def test_the_search_filters_as_that_of_the_table(page: Any, stage: Any) -> None:
    await show_open(page, stage, favourites=FAVOURITES)
    await page.click(".drawer input")
    await page.write("bybit eth")
    await page.wait_for(f"({IDS}).every((id) => id.startsWith('bybit/') && id.includes('ETH'))")
    ids = await page.evaluate(IDS)
    assert ids[0] == "bybit/spot/ETH-USDT" and "bybit/perpetual/ETH-USDT" in ids
    await page.write("xyz")
    await page.wait_for("document.querySelector('.drawer .empty').innerText === 'No market matches \"bybit ethxyz\".'")
    assert await page.evaluate("location.hash") == MARKET


@ensureDeferred
async def test_a_click_and_enter_open_the_market_with_the_present_parameters(page: Any, stage: Any) -> None:
    await show_open(page, stage, MARKET + "?tf=5m&ov=ema20")
    row = ".drawer tbody tr:not(.pad):nth-child({})"
    second, third = (await page.evaluate(IDS))[1:3]
    await page.click(row.format(3) + " td:nth-child(4)")
    await page.wait_for(f"location.hash === '#/market/{second}?tf=5m&ov=ema20'")
    await page.wait_for(f"({ROWS}).filter(({{ present }}) => present).map(({{ id }}) => id).join() === {second!r}")
    await page.evaluate(f"document.querySelector({row.format(3)!r} + ' a').focus()")
    await page.press("ArrowDown", "Enter")
    await page.wait_for(f"location.hash === '#/market/{third}?tf=5m&ov=ema20'")
    await page.press("ArrowUp", "ArrowUp", "ArrowUp")
    assert await page.evaluate("document.activeElement.name") == "drawer-filter"
    await page.write("sol")
    await page.wait_for(f"({IDS}).every((id) => id.includes('SOL'))")
    await page.press("ArrowDown", "ArrowDown", "ArrowUp")
    first = (await page.evaluate(IDS))[0]
    assert await page.evaluate("document.activeElement.getAttribute('href')") == f"#/market/{first}"
    await page.press("ArrowUp", "Enter")
    await page.wait_for(f"location.hash === '#/market/{first}?tf=5m&ov=ema20'")


@ensureDeferred
async def test_only_rows_in_sight_are_asked_for_and_given_back(tampered: Any, stage: Any, until: Any) -> None:
    await tampered.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""window.sent = [];
        {
            const send = WebSocket.prototype.send;
            WebSocket.prototype.send = function (text) { sent.push(JSON.parse(text)); send.call(this, text); };
        }""",
    )
    await until(lambda: not tickers(stage), 20)
    await show(tampered, stage)
    await until(lambda: len(tickers(stage)) == 1)
    await tampered.press("m")
    await tampered.wait_for(TOLD, 20)

    def named(ids: list[str]) -> set[str]:
        return {f"{each.replace('/', ':')}:ticker" for each in ids}

    ids = await tampered.evaluate(IDS)
    assert 10 < len(ids) <= 40
    await until(lambda: tickers(stage) == named([*ids, "binance/spot/BTC-USDT"]))
    room = "document.querySelector('.drawer .scroller')"
    seen = await tampered.evaluate(
        f"({ROWS}).filter(({{ top }}) => top < {room}.getBoundingClientRect().bottom).length"
    )
    assert len(ids) - seen <= 3, "a row or two beside those in sight"
    await tampered.evaluate(f"{room}.scrollTop = 1e6")
    await tampered.wait_for(f"!({IDS}).includes({ids[0]!r})")
    below = await tampered.evaluate(IDS)
    assert len(below) <= 40
    await until(lambda: tickers(stage) == named([*below, "binance/spot/BTC-USDT"]), 20)
    asked = await tampered.evaluate(
        "sent.filter(({ op }) => op === 'subscribe').flatMap(({ channels }) => channels)"
        ".filter((each) => each.channel_type === 'ticker' && each.symbol !== 'BTC-USDT')"
        ".map((each) => each.symbol === '*' || each.max_rate)"
    )
    assert set(asked) == {2}
    await tampered.press("m")
    await until(lambda: tickers(stage) == {"binance:spot:BTC-USDT:ticker"}, 20)
    await tampered.press("m")
    await until(lambda: len(tickers(stage)) > 10, 20)
    await tampered.go("#/health")
    await until(lambda: not tickers(stage), 20)


@ensureDeferred
async def test_it_is_open_again_after_a_reload(page: Any, stage: Any) -> None:
    await show(page, stage)
    await page.press("m")
    await page.wait_for(TOLD, 20)
    await page.reload()
    await page.wait_for(f"{LIVE} && {OPEN} && {TOLD}", 20)
    assert not await page.evaluate("document.querySelector('.drawer').contains(document.activeElement)")
    await page.press("m")
    await page.wait_for(f"!({OPEN})")
    await page.reload()
    await page.wait_for(LIVE, 20)
    assert not await page.evaluate(OPEN)


@ensureDeferred
async def test_it_stands_beside_the_market_and_on_a_narrow_screen_over_it(page: Any, stage: Any) -> None:
    cut = """[...document.querySelectorAll('.drawer tbody tr:not(.pad) td.number')].filter((each) =>
        each.scrollWidth > each.clientWidth).map((each) => each.textContent)"""
    box = "JSON.parse(JSON.stringify(document.querySelector({!r}).getBoundingClientRect()))"
    await show_open(page, stage)
    for width in (2560, 1440, 1240, 1024):
        await page.viewport(width, 900)
        await page.wait_for(TOLD, 20)
        drawer, grid = [await page.evaluate(box.format(each)) for each in (".drawer", ".market-grid")]
        assert drawer["right"] <= grid["left"] and drawer["width"] < 300 and grid["right"] <= width
        assert await page.probe("wider") == [] and await page.evaluate(cut) == []
        assert (await page.evaluate(box.format(".panel-depth")))["width"] > 350
    assert await page.probe("poorContrast") == []
    await page.viewport(375, 800)
    await page.wait_for(f"!({OPEN})")  # a sheet is open only by hand
    await page.click(".drawer-button")
    await page.wait_for(f"{OPEN} && {TOLD}", 20)
    drawer = await page.evaluate(box.format(".drawer"))
    assert [drawer[each] for each in ("left", "top", "width", "height")] == [0, 0, 375, 800]
    assert await page.probe("wider") == [] and await page.evaluate(cut) == []
    unnamed = [
        role for role, name in await page.names() if role in {"button", "link", "searchbox", "table"} and not name
    ]
    assert unnamed == []
    reached = set()
    await page.evaluate("document.querySelector('.drawer input').focus()")
    for _ in range(4):
        await page.press("Tab", modifiers=8)
        reached.add(await page.evaluate("document.activeElement.matches('body, .drawer *')"))
    assert reached == {True}, "what the sheet covers cannot be reached"
    await page.click(".drawer tbody tr:not(.pad):nth-child(4)")
    await page.wait_for(f"!({OPEN}) && location.hash !== {MARKET!r}")
    await page.click(".market-tabs [role=tab]:nth-child(2)")
    await page.wait_for("location.hash.includes('tab=book')")
