"""Alerts: they fire once, on whatever view, say why, and never on a value that cannot be trusted.
And the views that compare and report."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest_twisted
from attrs import evolve
from pytest_twisted import ensureDeferred

from cryptodash.core.instruments import MarketType

LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 5"
BTC = "binance spot BTC-USDT"
STATE = (
    "[...document.querySelectorAll('.alerts tbody tr')].filter((row) "
    "=> row.checkVisibility()).map((row) => row.cells[3].innerText)"
)


async def arm(page: Any, kind: str, level: str, market: str = BTC) -> None:
    await page.click("#alert-market")
    await page.evaluate("document.querySelector('#alert-market').select()")
    await page.write(market)
    await page.evaluate(
        "(() => { const kind = document.querySelector('#alert-kind');"
        f" kind.value = {json.dumps(kind)}; kind.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"
    )
    await page.click("#alert-level")
    await page.evaluate("document.querySelector('#alert-level').select()")
    await page.write(level)
    await page.press("Enter")


@pytest_twisted.async_yield_fixture
async def alerts(page: Any, stage: Any) -> AsyncIterator[Any]:
    """The alerts view."""
    await page.goto(stage.url + "#/alerts")
    await page.wait_for(f"{LIVE.replace('> 5', '> 0')} && document.querySelector('#alert-market')?.value")
    yield page
    stage.calm()


@ensureDeferred
async def test_a_price_alert_fires_once_and_is_said_on_another_view(alerts: Any) -> None:
    await arm(alerts, "above", "1")
    await alerts.wait_for("document.querySelector('#urgent').textContent.includes('last price at or above 1.00')")
    await alerts.press("g", "h")
    await alerts.wait_for("/Alert: binance spot BTC-USDT/.test(document.querySelector('#banners').innerText)")
    await alerts.wait_for("document.querySelector('nav .count:not([hidden])').innerText === '1'")
    assert await alerts.count("#banners .banner[data-id^='alert']") == 1
    await alerts.click("#banners .banner[data-id^='alert'] button:not(.plain)")
    await alerts.wait_for(f"JSON.stringify({STATE}) === '[\"fired\"]'")


@ensureDeferred
async def test_an_alert_out_of_reach_stays_armed_after_a_reload_and_is_watched_everywhere(
    alerts: Any, stage: Any, until: Any
) -> None:
    await arm(alerts, "above", "99999999")
    await alerts.wait_for(f"JSON.stringify({STATE}) === '[\"armed\"]'")
    await alerts.go("#/health")
    await alerts.reload()
    await alerts.wait_for(LIVE)
    await until(lambda: any("BTC-USDT:ticker" in each for each in stage.wanted))
    await alerts.go("#/alerts")
    await alerts.wait_for(f"JSON.stringify({STATE}) === '[\"armed\"]'")
    await alerts.click("button[aria-label^='Delete']")
    await alerts.wait_for(f"{STATE}.length === 0")


@ensureDeferred
async def test_a_market_that_is_not_there_and_a_level_that_is_none_are_refused(alerts: Any) -> None:
    await arm(alerts, "above", "5", "binance spot NOPE-USDT")
    await alerts.wait_for("document.querySelector('.problem').innerText.includes('catalogue')")
    await arm(alerts, "above", "-5")
    await alerts.wait_for("document.querySelector('.problem').innerText.includes('above 0')")
    assert await alerts.evaluate(f"{STATE}.length") == 0


@ensureDeferred
async def test_a_stale_market_fires_the_alert_on_just_that_and_no_other(alerts: Any, stage: Any) -> None:
    await arm(alerts, "stale", "1")
    await alerts.wait_for("document.querySelector('.statusline').innerText.includes('1 of 1 streams fresh')")
    stage.fault("binance", "silent", "BTC-USDT")
    await alerts.wait_for(f"JSON.stringify({STATE}) === '[\"fired\"]'", 12)
    assert "silent" in await alerts.text(".alerts tbody")
    await arm(alerts, "above", "1")
    await alerts.wait_for("document.querySelector('.alerts tbody').innerText.includes('not trusted')")
    assert "armed" in await alerts.evaluate(STATE)
    stage.calm()
    await alerts.wait_for(f'JSON.stringify({STATE}) === \'["fired","fired"]\'', 15)


@ensureDeferred
async def test_a_split_switches_the_alerts_of_a_share_off_and_fires_none(alerts: Any, stage: Any) -> None:
    await arm(alerts, "above", "1500", "binance perpetual AAPL-USDT")
    await alerts.wait_for("/\\d/.test(document.querySelector('.alerts tbody tr').cells[2].innerText)", 15)
    share = stage.simulator.markets["binance", MarketType.PERPETUAL].get("AAPLUSDT")
    before, share.spec = share.spec, evolve(share.spec, price_decimals=share.spec.price_decimals - 1)
    try:
        await alerts.wait_for(f"JSON.stringify({STATE}) === '[\"off\"]'", 30)
    finally:
        share.spec = before
    assert "as by a split or a dividend" in await alerts.text(".alerts tbody")
    assert "Alert switched off: binance perpetual AAPL-USDT" in await alerts.text("#banners")
    assert "Alert: " not in await alerts.text("#banners")
    assert "Alert switched off" in await alerts.text("#urgent")


@ensureDeferred
async def test_every_other_kind_fires(alerts: Any) -> None:
    for kind, level in (("spread", "0.000001"), ("cross", "0.000001"), ("below", "9999999")):
        await arm(alerts, kind, level)
    await alerts.wait_for(f'JSON.stringify({STATE}) === \'["fired","fired","fired"]\'')


@ensureDeferred
async def test_venues_side_by_side_are_their_own_quotes_and_the_best_of_them(page: Any, stage: Any, shown: Any) -> None:
    await page.goto(stage.url + "#/compare/spot/BTC-USDT")
    await page.wait_for(
        "[...document.querySelectorAll('main tbody tr')].filter((row) "
        "=> /^(live|quiet)/.test(row.lastChild.innerText)).length === 2"
    )
    rows = {row[0].split()[-1]: row for row in await page.probe("rows", "main")}
    mids = {}
    for exchange, decimals in (("binance", 2), ("bybit", 1)):
        quotes = stage.simulator.truth.quotes(exchange, MarketType.SPOT, "BTC-USDT")
        assert tuple(rows[exchange][1:3]) in {(shown(each.bid, decimals), shown(each.ask, decimals)) for each in quotes}
        bid, ask = (Decimal(each.replace(",", "")) for each in rows[exchange][1:3])
        mids[exchange] = (bid + ask) / 2
    middle = sum(mids.values()) / 2
    for exchange, mid in mids.items():
        said = Decimal(rows[exchange][4].replace("\N{MINUS SIGN}", "-").replace("+", ""))
        assert abs(said - (mid / middle - 1) * 10_000) < Decimal("0.006")


@ensureDeferred
async def test_a_stale_venue_is_left_out_of_the_best_and_that_is_said(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/compare/spot/BTC-USDT")
    await page.wait_for("document.querySelector('.left-out')?.innerText === '2 of 2 venues'")
    stage.fault("bybit", "silent", "BTC-USDT")
    await page.wait_for(
        "/^1 of 2 venues: left out bybit .*silent/.test(document.querySelector('.left-out').innerText)", 10
    )
    assert (await page.text(".summary")).count("binance") == 2
    stage.calm()


def quote(bid: float, ask: float, size: float = 1.0) -> dict[str, float]:
    """What a composite quote says of an exchange that counts."""
    return {"bid": bid, "bid_size": size, "ask": ask, "ask_size": size, "age_ms": 0}


@ensureDeferred
async def test_the_best_is_of_the_quotes_that_the_server_compares(page: Any, stage: Any, flood: Any) -> None:
    """Both tickers call themselves live; one of them is too old to be compared with the other."""
    late = {"exchange": "bybit", "state": "stale", "cause": "late"}
    flood.say_composite(venues={"binance": quote(60_000, 60_001)}, excluded=[late])
    await page.goto(flood.url + "#/compare/spot/BTC-USDT")
    left = "document.querySelector('.left-out').innerText"
    await page.wait_for(f"{left} === '1 of 2 venues: left out bybit stale: late'")
    said = await page.text(".summary")
    assert said == "best bid binance 60,000.00 \N{MIDDLE DOT} best ask binance 60,001.00"
    assert await page.count(".summary-line .crossed.vacant") == 1
    assert [row[-1] for row in await page.probe("rows", "main")] == ["live", "live"], "rows are the tickers"
    flood.say_composite(venues={"binance": quote(60_000, 60_001), "bybit": quote(60_001, 60_002)}, excluded=[])
    await page.wait_for("document.querySelector('.summary-line .crossed').innerText === 'LOCKED: bid equals ask'")
    assert await page.evaluate(left) == "2 of 2 venues"
    flood.say_composite(venues={"binance": quote(60_000, 60_001), "bybit": quote(60_004, 60_005)}, excluded=[])
    await page.wait_for("document.querySelector('.summary-line .crossed').innerText === 'CROSSED 0.50 bp gross'")
    flood.say_composite(venues={}, excluded=[late, {**late, "exchange": "binance"}])
    await page.wait_for(f"{left}.startsWith('0 of 2 venues: left out binance stale: late; bybit stale: late')")
    assert await page.text(".summary") == "no venue can be trusted now"


@ensureDeferred
async def test_a_row_does_not_keep_the_lag_of_the_symbol_before(page: Any, stage: Any, flood: Any) -> None:
    lags = "[...document.querySelectorAll('main tbody tr')].map((row) => row.cells[8].textContent)"
    flood.rate = 100
    await page.goto(flood.url + "#/compare/spot/BTC-USDT")
    await page.wait_for(f"{lags}.length === 2 && {lags}.every((each) => / ms$/.test(each))")
    left = await page.text(".left-out")
    assert left == "2 of 2 venues", "without an answer of the server's the tickers are compared"
    flood.rate = 0
    # From now on it is never time to write ages and lags again: only the new symbol can be the cause.
    await page.evaluate("{ const at = performance.now(); performance.now = () => at; }")
    await page.go("#/compare/spot/ETH-USDT")
    await page.wait_for(f"document.querySelector('main h1').innerText === 'ETH-USDT spot' && !/ms/.test({lags})")


@ensureDeferred
async def test_health_lists_the_streams_of_the_server_with_their_state(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT")
    await page.wait_for(f"{LIVE} && /[0-9] BTC-USDT/.test(document.title)")
    stage.fault("binance", "maintenance")
    await page.wait_for("/stale/.test(document.querySelector('main').innerText)")
    await page.go("#/health")
    await page.wait_for(
        "document.querySelectorAll('main table').length >= 2 && "
        "/@trade|@depth|@bookTicker/i.test(document.querySelector('main').innerText)"
    )
    await page.wait_for("/stale: venue maintenance/.test(document.querySelector('main').innerText)")
    await page.wait_for(
        "/ready/.test(document.querySelector('main').innerText) && "
        "/simulated/.test(document.querySelector('main').innerText)"
    )
    command = "twistd cryptodash fault --control-port 8123 bybit silent BTC-USDT 30"
    await page.wait_for(f"document.querySelector('main').innerText.includes('{command}')")
    stage.calm()


@ensureDeferred
async def test_health_shows_the_last_hour_of_each_stream_by_height_and_in_words(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT")
    await page.wait_for(f"{LIVE} && /[0-9] BTC-USDT/.test(document.title)")
    stage.fault("binance", "maintenance")
    await page.wait_for("/stale/.test(document.querySelector('main').innerText)")
    await page.go("#/health")
    row = "[...document.querySelectorAll('main tbody tr')].find((each) => /@trade/.test(each.innerText))"
    await page.wait_for(f"({row})?.querySelector('.strip .stale')?.getAttribute('d')", 15)
    words = await page.evaluate(f"({row}).querySelector('.strip-cell .unseen').textContent")
    assert words.startswith("last ") and "live " in words and "stale (venue maintenance) " in words
    share = await page.evaluate(f"({row}).querySelector('.share').textContent")
    assert share.endswith("%") and share != "100 %"
    stage.calm()


@ensureDeferred
async def test_health_says_which_stream_lacks_something_for_good(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/market/bybit/spot/BTC-USDT")
    await page.wait_for(f"{LIVE} && document.querySelectorAll('table.tape tbody tr:not([hidden])').length > 1")
    stage.fault("bybit", "drop")
    await page.wait_for("/stale/.test(document.querySelector('main').innerText)")
    await page.wait_for("!/stale|connecting|resyncing/.test(document.querySelector('main').innerText)", 20)
    await page.go("#/health")
    await page.wait_for("/degraded: trades may be missing/.test(document.querySelector('main').innerText)", 20)
    await page.wait_for("/[1-9][0-9]* degraded by a loss/.test(document.querySelector('main').innerText)")
    stage.calm()
