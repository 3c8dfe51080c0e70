"""Alerts: they fire once, on whatever view, say why, and never on a value that cannot be trusted.
And the view that reports."""

from __future__ import annotations

import json
import re
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
    await arm(alerts, "stale", "3")
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


TOLD = "document.querySelector('#banners [data-id=alerts] .banner-line > span')?.textContent ?? ''"
FROZEN = "window.at = performance.now(); performance.now = () => window.at"


@ensureDeferred
async def test_a_price_that_crosses_fires_from_either_side_and_says_price_time_and_venue(
    alerts: Any, stage: Any, flood: Any
) -> None:
    """The flood's tickers have a last price between 59,500 and 60,500: it says one as it is asked, and more as told."""
    flood.last = {"last": 60_000}
    await alerts.goto(flood.url + "#/alerts")
    await alerts.wait_for("document.querySelector('#alert-market')?.value")
    await arm(alerts, "crosses", "60000")
    await arm(alerts, "crosses", "60010")
    await arm(alerts, "crosses", "59990")
    rows = "[...document.querySelectorAll('.alerts tbody tr')].map((row) => row.cells[1].innerText)"
    await alerts.wait_for(f"{rows}.some((each) => each.endsWith('59,990.00 from above'))")
    await alerts.wait_for(f"{rows}.some((each) => each.endsWith('60,010.00 from below'))")
    await alerts.wait_for(f"{rows}.some((each) => each.endsWith('60,000.00'))")
    flood.say_tickers(60_009.99)
    await alerts.wait_for(f"{rows}.some((each) => each.endsWith('60,000.00 from above'))")
    assert await alerts.evaluate(STATE) == ["armed"] * 3, "on the level is on no side of it"
    flood.say_tickers(60_010.25)
    await alerts.wait_for(f'JSON.stringify({STATE}) === \'["armed","fired","armed"]\'')
    said = await alerts.evaluate(TOLD)
    assert re.fullmatch(
        r"Alert: binance spot BTC-USDT: last price crosses 60,010\.00: 60,010\.25 on binance, "
        r"\d\d:\d\d:\d\d UTC \(demo data\)",
        said,
    ), said
    flood.say_tickers(59_989.5)
    await alerts.wait_for(f'JSON.stringify({STATE}) === \'["fired","fired","fired"]\'')
    text = await alerts.text(".alerts tbody")
    assert text.count("59,989.50 on binance") == 2 and text.count("60,010.25 on binance") == 1


@ensureDeferred
async def test_many_alerts_are_one_line_that_unfolds(alerts: Any, flood: Any) -> None:
    await alerts.goto(flood.url + "#/alerts")
    await alerts.wait_for("document.querySelector('#alert-market')?.value")
    for level in ("1", "2", "3"):
        await arm(alerts, "above", level)
    await alerts.wait_for(f"({TOLD}) === '3 alerts fired'")
    assert await alerts.count("#banners .banner[data-id^='alert']") == 1
    listed = "[...document.querySelectorAll('#alerts-told:not([hidden]) li')].map((each) => each.innerText)"
    assert await alerts.evaluate(listed) == []
    await alerts.click("#banners [aria-controls=alerts-told]")
    said = await alerts.evaluate(listed)
    assert [re.findall(r"at or above (\d)", each)[0] for each in said] == ["3", "2", "1"]
    assert await alerts.evaluate("document.querySelector('[aria-controls=alerts-told]').ariaExpanded") == "true"
    await alerts.click("#banners [data-id=alerts] [aria-label=Dismiss]")
    assert await alerts.count("#banners [data-id=alerts]") == 0
    await arm(alerts, "above", "4")
    await alerts.wait_for(f"({TOLD}).includes('at or above 4')")


@ensureDeferred
async def test_an_unconfirmed_value_fires_after_its_seconds_by_the_page_s_own_clock(
    alerts: Any, flood: Any, until: Any
) -> None:
    """Nothing comes, and the server calls the stream live all the time: the age counts. The page's own timers
    stand still as in a hidden tab, where the worker's go on."""
    ticking = """window.ticks = 0;
        window.setInterval = () => 0;
        window.Worker = class extends Worker {
            constructor(...all) { super(...all); this.addEventListener('message', () => { ticks += 1; }); }
        };"""
    await alerts.call("Page.addScriptToEvaluateOnNewDocument", source=ticking)
    await alerts.goto(flood.url + "#/alerts")
    await alerts.wait_for("document.querySelector('#alert-market')?.value")
    await alerts.evaluate(FROZEN)
    await arm(alerts, "stale", "3")
    now = "document.querySelector('.alerts tbody tr')?.cells[2].innerText"
    # The alert wants the ticker more often than the form does: only after the answer to that does nothing more come.
    await until(lambda: [each["max_rate"] for each in flood.channels.values()] == [10])
    flood.say_tickers(61_234.5)
    await alerts.wait_for("document.querySelector('.alerts .resolved').innerText.includes('61,234.50')")
    await alerts.wait_for(f"{now} === '0.0 s'")
    await alerts.evaluate("at += 2950, ticks = 0")
    await alerts.wait_for(f"ticks > 1 && /^(3.0|2.9) s/.test({now})")
    assert await alerts.evaluate(STATE) == ["armed"]
    await alerts.evaluate("at += 60")
    await alerts.wait_for(f"JSON.stringify({STATE}) === '[\"fired\"]'")
    assert "3.0 s (live)" in await alerts.text(".alerts tbody")


@ensureDeferred
async def test_venues_are_compared_by_quotes_of_one_moment(alerts: Any, flood: Any) -> None:
    """Not by the two tickers, which differ by chance and call themselves live."""
    late = {"exchange": "kraken", "state": "stale", "cause": "late"}
    near = {"binance": flood.quote(60_000, 60_001), "bybit": flood.quote(60_000.5, 60_001.5)}
    flood.say_composite(bid=60_000.5, ask=60_001, spread_bps=0.0833, venues=near, excluded=[late])
    await alerts.goto(flood.url + "#/alerts")
    await alerts.wait_for("document.querySelector('#alert-market')?.value")
    flood.rate = 50
    await arm(alerts, "cross", "5")
    await arm(alerts, "crossed", "0")
    now = "[...document.querySelectorAll('.alerts tbody tr')].map((row) => row.cells[2].innerText)"
    left = "left out kraken stale: late"
    wanted = [f"\N{MINUS SIGN}0.083 bp; {left}", f"0.083 bp; {left}"]
    await alerts.wait_for(f"JSON.stringify({now}) === JSON.stringify({json.dumps(wanted)})")
    assert await alerts.evaluate(STATE) == ["armed", "armed"]
    flood.say_composite(venues={"binance": flood.quote(60_000, 60_001)}, excluded=[late, {**late, "exchange": "bybit"}])
    await alerts.wait_for(f"{now}.every((each) => each.startsWith('not trusted; left out kraken stale: late; bybit'))")
    far = {"binance": flood.quote(60_000, 60_001), "bybit": flood.quote(60_040, 60_041)}
    flood.say_composite(bid=60_040, ask=60_001, crossed_bps=6.4978, venues=far, excluded=[late])
    await alerts.wait_for(f'JSON.stringify({STATE}) === \'["fired","fired"]\'')
    text = await alerts.text(".alerts tbody")
    sides = "binance 60,000.00 / 60,001.00, bybit 60,040.00 / 60,041.00; left out kraken stale: late"
    assert f"6.50 bp: {sides}" in text and f"6.67 bp: {sides}" in text


@ensureDeferred
async def test_a_comparison_that_was_stored_is_watched_once_the_catalogue_is_there(page: Any, stage: Any) -> None:
    """Whatever else is written to the alerts meanwhile, such as the side of one that is to be crossed."""
    place = {"exchange": "binance", "market": "spot", "symbol": "BTC-USDT", "state": "armed"}
    stored = {
        "alerts": [
            {**place, "id": "1", "kind": "cross", "level": 9999},
            {**place, "id": "2", "kind": "crosses", "level": 1},
        ]
    }
    hold = """{
        const plain = window.fetch;
        window.release = () => {};
        window.fetch = async (url, ...rest) => {
            if (String(url).includes('api/symbols')) await new Promise((done) => { window.release = done; });
            return plain(url, ...rest);
        };
    }"""
    await page.goto(stage.url + "health")
    await page.evaluate(f"localStorage.setItem('cryptodash.1', {json.dumps(json.dumps(stored))})")
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=hold)
    await page.goto(stage.url + "#/alerts")
    rows = "[...document.querySelectorAll('.alerts tbody tr')].map((row) => row.cells[2].innerText)"
    await page.wait_for(f"/[0-9]/.test({rows}[0])", 15)
    # The catalogue comes in the very moment in which something else is written.
    await page.evaluate(
        "{ release();"
        " const again = () => dispatchEvent(new StorageEvent('storage', { key: 'cryptodash.1' }));"
        " for (let at = 0; at < 2000; at += 5) setTimeout(again, at); }"
    )
    await page.wait_for(f"/^[0-9.]+ bp/.test({rows}[1])", 15)


@ensureDeferred
async def test_the_form_says_which_market_is_meant_before_anything_is_armed(
    alerts: Any, stage: Any, shown: Any
) -> None:
    await alerts.wait_for("/last [0-9].* live/.test(document.querySelector('.resolved').innerText)")
    said = await alerts.text(".alerts .resolved")
    assert said.startswith("binance spot BTC-USDT (BTCUSDT there) \N{MIDDLE DOT} last ")
    last = re.findall(r"last ([0-9,.]+) USDT", said)[0]
    assert last in {
        shown(each.price, 2) for each in stage.simulator.truth.trades("binance", MarketType.SPOT, "BTC-USDT")
    }
    await alerts.click("#alert-level")
    await alerts.write("1")
    await alerts.wait_for("document.querySelector('.alerts .resolved').innerText.includes('met already')")
    await alerts.evaluate("document.querySelector('#alert-market').value = 'binance spot BTC-NOPE'")
    await alerts.wait_for(
        "document.querySelector('.alerts .resolved').innerText === 'This market is not in the catalogue.'"
    )


@ensureDeferred
async def test_an_alert_is_armed_from_the_chart_the_book_and_the_keyboard(page: Any, stage: Any, shown: Any) -> None:
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT")
    full = (
        "[...document.querySelectorAll('.ladder tr.bid:not([hidden]) td.price')].slice(0, 3).map((it) => it.innerText)"
    )
    await page.wait_for(f"{LIVE} && {full}.length === 3 && {full}.every(Boolean)")
    await page.wait_for("/C [0-9]/.test(document.querySelector('.chart-legend').innerText)")
    opened, level = "document.querySelector('dialog.arm[open]')", "document.querySelector('#arm-level').value"
    # The book: the price of that very row, whatever it is by now.
    await page.evaluate(
        "{ const cell = [...document.querySelectorAll('.ladder tr.bid:not([hidden]) td.size')][2];"
        " window.pointed = cell.parentNode.cells[0].textContent;"
        " cell.dispatchEvent(new MouseEvent('click', { bubbles: true, altKey: true })); }"
    )
    await page.wait_for(f"{opened} && {level}.length > 5")
    pointed = (await page.evaluate("pointed")).replace(",", "")
    assert await page.evaluate(level) == pointed
    assert await page.evaluate("document.activeElement.id") == "arm-level"
    assert "binance spot BTC-USDT" in await page.text("dialog.arm .resolved")
    await page.press("Enter")
    await page.wait_for(f"!{opened}")
    stored = "JSON.parse(localStorage.getItem('cryptodash.1')).alerts.map(({ kind, level }) => [kind, level])"
    assert await page.evaluate(stored) == [["crosses", float(pointed)]]
    # The chart: the price of the height that was clicked, as its own crosshair says.
    await page.evaluate(
        "{ const plot = document.querySelector('.chart-plot'); const { left, top } = plot.getBoundingClientRect();"
        " const at = { clientX: left + 200, clientY: top + 100 };"
        " plot.dispatchEvent(new MouseEvent('click', { bubbles: true, altKey: true, ...at })); }"
    )
    await page.wait_for(f"{opened} && {level}.length > 5")
    low, high = (Decimal(str(each)) for each in await page.evaluate("[0.9, 1.1].map((each) => each * " + pointed + ")"))
    at = Decimal(await page.evaluate(level))
    assert low < at < high and -at.as_tuple().exponent == 2
    await page.press("Escape")
    await page.wait_for(f"!{opened}")
    # The keyboard: the bar under the crosshair, else the last price.
    await page.evaluate("document.querySelector('.chart-plot').focus()")
    await page.press("ArrowLeft", "ArrowLeft", "ArrowLeft", "Enter")
    close = await page.wait_for("/close ([0-9.,]+),/.exec(document.querySelector('#polite').textContent)?.[1]")
    await page.press("a")
    await page.wait_for(f"{opened} && {level} === {json.dumps(close.replace(',', ''))}")
    await page.press("Escape")


@ensureDeferred
async def test_a_sound_is_off_until_it_is_wanted_and_asked_for_only_in_a_click(page: Any, stage: Any) -> None:
    await page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""window.contexts = 0; window.tones = 0;
        window.AudioContext = class extends AudioContext {
            constructor() { super(); contexts += 1; }
            createOscillator() { tones += 1; return super.createOscillator(); }
        };""",
    )
    await page.goto(stage.url + "#/alerts")
    await page.wait_for("document.querySelector('#alert-market')?.value")
    await arm(page, "above", "1")
    await page.wait_for(f"JSON.stringify({STATE}) === '[\"fired\"]'")
    assert await page.evaluate("[contexts, tones]") == [0, 0]
    button = "[...document.querySelectorAll('.alerts .filters button')].find((each) => each.textContent === 'Sound')"
    await page.evaluate(f"{button}.id = 'sound'")
    await page.click("#sound")
    await page.wait_for("document.querySelector('#sound').ariaPressed === 'true'")
    assert await page.evaluate("[contexts, tones]") == [1, 2], "a sample of it"
    await page.evaluate(
        "{ const stored = JSON.parse(localStorage.getItem('cryptodash.1')); stored.alerts[0].state = 'armed';"
        " localStorage.setItem('cryptodash.1', JSON.stringify(stored)); }"
    )
    await page.reload()
    await page.wait_for(f"JSON.stringify({STATE}) === '[\"fired\"]'")
    assert await page.evaluate("[contexts, tones]") == [0, 0], "nobody has touched the page yet"
    await page.click("#alert-level")
    await arm(page, "above", "2")
    await page.wait_for(f'JSON.stringify({STATE}) === \'["fired","fired"]\'')
    assert await page.evaluate("[contexts, tones]") == [1, 2]


@ensureDeferred
async def test_notifications_are_asked_for_in_a_click_and_say_what_the_line_says(page: Any, stage: Any) -> None:
    await page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""window.notes = []; window.questions = 0;
        window.Notification = class { constructor(title, { body }) { notes.push(body); } };
        Notification.permission = 'default';
        Notification.requestPermission = async () => {
            questions += 1;
            return (Notification.permission = 'granted');
        };""",
    )
    await page.goto(stage.url + "#/alerts")
    await page.wait_for("document.querySelector('#alert-market')?.value")
    await arm(page, "above", "1")
    await page.wait_for(f"JSON.stringify({STATE}) === '[\"fired\"]'")
    assert await page.evaluate("[questions, notes.length]") == [0, 0]
    await page.evaluate("[...document.querySelectorAll('.alerts .filters button')].at(-1).id = 'ask'")
    await page.click("#ask")
    await page.wait_for("questions === 1 && document.querySelector('#ask').textContent.startsWith('Stop')")
    await arm(page, "above", "2")
    await page.wait_for("notes.length === 1")
    assert re.match(
        r"Alert: binance spot BTC-USDT: last price at or above 2\.00: [0-9,.]+ on binance, ",
        (await page.evaluate("notes"))[0],
    )


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
