"""Health tells how old what it shows is, and asks no more of the server than it needs."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from itertools import pairwise
from typing import Any

from pytest_twisted import ensureDeferred

from cryptodash.simulator.dialects import registry
from tests.dashboard.doubts import ALERT

STRIP = "[...document.querySelectorAll('.strip-cell')].find((each) => /^last /.test(each.title))"


async def elsewhere(page: Any, stage: Any) -> None:
    """On another view, whose values come: what is asked for Health can be changed before it is opened."""
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT")
    await page.wait_for("/[0-9] BTC-USDT/.test(document.title)")


@ensureDeferred
async def test_a_strip_says_until_when_it_is_and_is_not_trusted_when_it_is_old(tampered: Any, stage: Any) -> None:
    page = tampered
    await elsewhere(page, stage)
    await page.go("#/health")
    title = await page.wait_for(f"({STRIP})?.title")
    ends = await page.evaluate(f"/ until [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}: /.test({title!r})")
    assert ends, title
    assert await page.count(".strip-cell.untrusted") == 0
    await page.evaluate("answers.quality = () => Promise.reject(new Error('refused'))")
    await page.evaluate("window.ahead = 50 * 60000, 1")
    await page.wait_for(f"/until [0-9:]{{8}}, 5[0-9] m ago: /.test(({STRIP}).title)")
    await page.wait_for(
        f"({STRIP}).matches('.untrusted') && ({STRIP}).querySelector('.unseen').textContent.includes(' ago')"
    )
    assert "%" not in await page.evaluate(f"({STRIP}).querySelector('.share').textContent"), "an old share is no share"
    await page.evaluate("delete answers.quality")
    await page.wait_for(
        f"!({STRIP}).matches('.untrusted') && /[0-9] %/.test(({STRIP}).querySelector('.share').textContent)"
    )


@ensureDeferred
async def test_a_slow_ledger_is_asked_once_and_the_streams_do_not_wait_for_it(tampered: Any, stage: Any) -> None:
    page = tampered
    await elsewhere(page, stage)
    await page.evaluate("answers.quality = (real) => new Promise((done) => { window.let_go = () => done(real()); })")
    await page.go("#/health")
    await page.wait_for("/[0-9]+ streams, /.test(document.querySelector('main').innerText)")
    begun = await page.evaluate("asked.filter((each) => each === 'streams').length")
    await page.wait_for(f"asked.filter((each) => each === 'streams').length >= {begun + 5}")
    assert await page.evaluate("asked.filter((each) => each === 'quality').length") == 1
    await page.evaluate("let_go()")
    await page.wait_for(f"({STRIP})?.title")


@ensureDeferred
async def test_of_several_processes_it_says_which_one_answers_and_what_it_has(tampered: Any, stage: Any) -> None:
    page = tampered
    await elsewhere(page, stage)
    cache = "{status: 'ok', process: 'one', role: 'all', holds: ['binance'], processes: 3, lag_ms: 7}"
    change = f"const body = await (await real()).json(); body.dependencies.cache = {cache}; return Response.json(body)"
    await page.evaluate(f"window.answers.ready = async (real) => {{ {change}; }}, 1")
    await page.go("#/health")
    text = "document.querySelector('main').innerText"
    await page.wait_for(f"/process one .all., one of 3/.test({text})")
    assert await page.evaluate(f"/has open: binance/.test({text}) && /comes 7 ms late by Redis/.test({text})")


def answering(name: str, body: str, status: int = 200) -> str:
    """The script after which the page's question of that name gets this JSON."""
    return f"answers.{name} = () => Promise.resolve(Response.json({body}, {{ status: {status} }})), 1"


@ensureDeferred
async def test_what_the_server_refuses_is_said_once_with_its_word_and_asked_again_on_demand(
    tampered: Any, stage: Any
) -> None:
    page = tampered
    page.excuse("status of 403|WebSocket connection to")
    await elsewhere(page, stage)
    await page.evaluate(answering("quality", "{ error: { message: 'only for admins' } }", 403))
    await page.go("#/health")
    main = "document.querySelector('main').innerText"
    await page.wait_for(f"{main}.includes('the server refuses it: only for admins')")
    times = "asked.filter((each) => each === 'quality').length - reopened"
    once = await page.evaluate(times)
    assert once <= 1
    begun = await page.evaluate("asked.filter((each) => each === 'streams').length")
    await page.wait_for(f"asked.filter((each) => each === 'streams').length >= {begun + 15}", 20)
    await page.wait_for(f"{times} === {once}")  # thirty seconds later still once
    await page.click("[aria-label='Retry: api/quality']")
    await page.wait_for(f"{times} === {once + 1}")
    before = await page.evaluate("reopened")
    stage.cut()
    calm = "document.querySelector('.health > .outage').hidden"  # what it moved is back where it was
    await page.wait_for(f"reopened > {before} && {times} === {once + 1} && {calm}", 20)
    await page.evaluate("delete answers.quality")
    await page.click("[aria-label='Retry: api/quality']")
    await page.wait_for(f"!{main}.includes('only for admins') && {times} === {once + 2}", 20)


@ensureDeferred
async def test_what_fails_for_now_is_asked_again_after_growing_pauses(tampered: Any, stage: Any) -> None:
    page = tampered
    page.excuse("status of 502")
    await elsewhere(page, stage)
    begin = "askedAt.streams = [], location.hash = '#/health'"  # at once: the view that is left asks for them as well
    await page.evaluate(f"{answering('streams', '{ error: { message: `not now` } }', 502)}, {begin}")
    await page.wait_for("document.querySelector('main').innerText.includes('the server does not answer: not now')")
    await page.wait_for("askedAt.streams.length >= 5", 20)
    times = (await page.evaluate("askedAt.streams"))[:5]
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap > 0.95 * least for gap, least in zip(gaps, (2000, 4000, 8000, 16000), strict=True)), gaps


@ensureDeferred
async def test_how_late_a_venue_and_a_stream_are_is_the_ledger_s_word_and_a_dash_where_it_has_none(
    tampered: Any, stage: Any
) -> None:
    page = tampered
    await elsewhere(page, stage)
    change = (
        "const body = await (await real()).json(); const [one, other] = body.exchanges;"
        "Object.assign(one.since_start, { observed_ms: 1, delay_p50_ms: 7, delay_p99_ms: 60000 });"
        "delete other.since_start.delay_p50_ms; delete other.since_start.delay_p99_ms;"
        "for (const each of body.streams) { delete each.last_1h.delay_p50_ms; delete each.last_1h.delay_p99_ms;"
        " if (each.name.includes('bookTicker')) Object.assign(each.last_1h, { delay_p50_ms: 3, delay_p99_ms: 150 }); }"
        "return Response.json(body)"
    )
    await page.evaluate(f"answers.quality = async (real) => {{ {change} }}, 1")
    await page.go("#/health")
    row = "[...document.querySelectorAll('.health tbody tr')].find((each) => each.innerText.startsWith('%s'))"
    cells = f"[...({row}).cells].map((each) => each.innerText)"
    await page.wait_for(f"{cells % 'Binance'}.slice(4, 6).join() === '7 ms,60 s or more'")
    assert await page.evaluate(f"{cells % 'Bybit'}.slice(4, 6)") == ["\N{EN DASH}"] * 2
    both = "[row.cells[1].innerText, row.cells[6].innerText]"
    streams = f"[...document.querySelectorAll('.health tbody tr')].map((row) => {both})"
    hours = {name: hour for name, hour in await page.evaluate(streams) if "@" in name}
    assert {hour for name, hour in hours.items() if "bookTicker" in name} == {"3 ms, 150 ms"}
    assert {hour for name, hour in hours.items() if "bookTicker" not in name} == {"\N{EN DASH}"}


@ensureDeferred
async def test_a_late_stream_says_so_with_its_age_on_health_and_in_the_header(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT")
    await page.wait_for("/[0-9] BTC-USDT/.test(document.title)")
    stage.fault("binance", "slow", "BTC-USDT", 120)
    chip = (
        "[...document.querySelectorAll('.chips .chip')].find((each) => each.innerText.startsWith('binance')).innerText"
    )
    await page.wait_for(f"/: late [0-9.]+ s$/.test({chip}) && parseFloat({chip}.split('late')[1]) >= 2", 40)
    await page.go("#/health")
    is_late = "row.cells[2].innerText.startsWith('stale: late')"
    late = f"[...document.querySelectorAll('.health tbody tr')].find((row) => {is_late})"
    assert await page.wait_for(f"parseFloat(({late}).cells[4].innerText) >= 2", 20)
    stage.calm()


@ensureDeferred
async def test_the_streams_are_asked_more_often_than_the_rest(tampered: Any, stage: Any) -> None:
    page = tampered
    await page.goto(stage.url + "#/health")
    await page.wait_for("askedAt.ready?.length >= 5", 20)
    streams, ready = await page.evaluate("[askedAt.streams.length, askedAt.ready.length]")
    assert streams > ready, "every two seconds and every five"
    assert await page.evaluate("document.querySelector('main').innerText.includes('asked every 2 s')")


@ensureDeferred
async def test_a_status_that_comes_is_reason_to_ask_for_the_streams(page: Any, flood: Any) -> None:
    """An alert's stream is held on every view. Here nothing is asked again after two seconds."""
    flood.rate = 0
    store = f"localStorage.setItem('cryptodash.1', {json.dumps(json.dumps(ALERT))})"
    later = (
        "const plain = setTimeout; window.setTimeout = (act, ms, ...more) => ms === 2000 ? 0 : plain(act, ms, ...more)"
    )
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=f"{{ {store}; {later}; }}")
    await page.goto(flood.url + "#/health")
    await page.wait_for("/[0-9]+ streams, /.test(document.querySelector('main').innerText)")
    times = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('api/streams')).length"
    await page.wait_for("cryptodash.applied > 2")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 1500)))")
    before = await page.evaluate(times)
    flood.say_status("ticker", "stale", "silent")
    await page.wait_for(f"{times} === {before + 1}")


@ensureDeferred
async def test_without_an_answer_everything_of_the_server_is_dimmed_and_it_is_said_since_when(
    page: Any, flood: Any
) -> None:
    page.excuse("WebSocket connection to|ERR_")
    flood.rate = 100
    await page.goto(flood.url + "#/health")
    text = "document.querySelector('main').innerText"
    await page.wait_for(f"/[0-9]+ streams, /.test({text}) && document.documentElement.dataset.socket === 'open'")
    dimmed = "document.querySelectorAll('.health .panel.untrusted').length"
    assert await page.evaluate(f"{dimmed} === 0 && document.querySelector('.health > .outage').hidden")
    flood.fall_silent()
    await page.wait_for(
        f"{dimmed} === 4 && /no (answer|connection) for [0-9.]+ s: what stands dimmed/.test({text})", 15
    )
    # The page's own figures are as true as before.
    titles = "[...document.querySelectorAll('.health .panel.untrusted h2')].map((each) => each.innerText)"
    assert await page.evaluate(titles) == [
        "From the venue to this page",
        "Server",
        "Exchanges",
        "Streams from the exchanges",
    ]
    await page.wait_for(f"{dimmed} === 0 && document.querySelector('.health > .outage').hidden", 20)


COMMANDS = """(() => [...document.querySelectorAll('.commands code')]
    .map((each) => each.textContent.replace(/.*--control-port [0-9]+ /, '')))()"""


@ensureDeferred
async def test_the_commands_that_break_the_demo_name_what_is_there(tampered: Any, stage: Any) -> None:
    """Simulated exchanges only, and an instrument that each of them lists."""
    page = tampered
    changes = {
        "exchanges": "for (const each of body.exchanges) each.id = each.id === 'binance' ? 'acme' : 'other'",
        "symbols": "for (const each of body.exchanges) {"
        " each.exchange = each.exchange === 'binance' ? 'acme' : 'other';"
        " if (each.exchange === 'acme') each.symbols = each.symbols.filter(({ base }) => base === 'ETH'); }",
    }
    for name, change in changes.items():
        answer = f"const body = await (await real()).json(); {change}; return Response.json(body)"
        source = f"window.answers.{name} = async (real) => {{ {answer}; }}"
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    await page.goto(stage.url + "#/health")
    await page.wait_for(f"{COMMANDS}.length === 7")
    commands = await page.evaluate(COMMANDS)
    assert "other silent BTC-USDT 30" in commands and commands[-1] == "stop"
    assert {each.split()[0] for each in commands[:-1]} == {"acme", "other"}
    on_acme = [each for each in commands if each.startswith("acme") and "-USD" in each]
    assert on_acme and all("ETH-" in each for each in on_acme)
    await page.evaluate(
        "answers.exchanges = async (real) => { const body = await (await real()).json();"
        " body.exchanges = [{ ...body.exchanges[0], id: 'other' }]; return Response.json(body) }, 1"
    )
    await page.wait_for(f"{COMMANDS}.slice(0, -1).every((each) => each.startsWith('other '))")


def test_every_simulated_exchange_knows_the_faults_that_the_page_offers() -> None:
    text = files("cryptodash.dashboard").joinpath("faults.js").read_text()
    offered = set(re.findall(r'^  \[[01], "([a-z-]+)', text, re.M))
    assert len(offered) == 6
    assert {name: offered - set(registry.load(name).faults) for name in registry.available()} == {
        name: set() for name in registry.available()
    }
