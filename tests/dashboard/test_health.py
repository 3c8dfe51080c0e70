"""Health tells how old what it shows is, and asks no more of the server than it needs."""

from __future__ import annotations

from typing import Any

from pytest_twisted import ensureDeferred

STRIP = "[...document.querySelectorAll('.strip-cell')].find((each) => /^last /.test(each.title))"


@ensureDeferred
async def test_a_strip_says_until_when_it_is_and_is_not_trusted_when_it_is_old(tampered: Any, stage: Any) -> None:
    page = tampered
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT")
    await page.wait_for("/[0-9] BTC-USDT/.test(document.title)")
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
    await page.goto(stage.url + "#/market/binance/spot/BTC-USDT")
    await page.wait_for("/[0-9] BTC-USDT/.test(document.title)")
    await page.evaluate("answers.quality = (real) => new Promise((done) => { window.let_go = () => done(real()); })")
    await page.go("#/health")
    await page.wait_for("/[0-9]+ streams, /.test(document.querySelector('main').innerText)")
    begun = await page.evaluate("asked.filter((each) => each === 'streams').length")
    await page.wait_for(f"asked.filter((each) => each === 'streams').length >= {begun + 5}")
    assert await page.evaluate("asked.filter((each) => each === 'quality').length") == 1
    await page.evaluate("let_go()")
    await page.wait_for(f"({STRIP})?.title")
