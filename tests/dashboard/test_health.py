"""Health tells how old what it shows is, and asks no more of the server than it needs."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

from pytest_twisted import ensureDeferred

from cryptodash.simulator.dialects import registry

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
    text = files("cryptodash.dashboard").joinpath("health.js").read_text()
    offered = set(re.findall(r'^  \[[01], "([a-z-]+)', text, re.M))
    assert len(offered) == 6
    assert {name: offered - set(registry.load(name).faults) for name in registry.available()} == {
        name: set() for name in registry.available()
    }
