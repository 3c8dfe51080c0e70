"""The kit itself: it has to see what is wrong with a page, else every other test here proves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_twisted import ensureDeferred

PLANTED = {
    "exception": "setTimeout(() => { throw new Error('planted') })",
    "exception: Error: lost": "Promise.reject(new Error('lost')) && 1",
    "console.error": "console.error('planted')",
    "csp: style-src": "document.body.setAttribute('style', 'color: red')",
    "csp: connect-src": "fetch('https://elsewhere.invalid/').catch(() => 1)",
    "csp: img-src": "new Image().src = 'https://elsewhere.invalid/'",
    "csp: require-trusted-types-for": "try { document.body.innerHTML = '<b>' } catch {}",
}


@ensureDeferred
async def test_every_planted_fault_is_seen(page: Any, stage: Any, until: Any) -> None:
    await page.goto(stage.url)
    assert page.problems == []
    for planted, script in PLANTED.items():
        await page.evaluate(script)
        await until(lambda planted=planted: any(each.startswith(planted) for each in page.problems))
    page.excuse("")


@ensureDeferred
async def test_keys_and_clicks_are_real_events(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "health")  # a document without scripts of its own
    await page.evaluate(
        "document.body.replaceChildren(document.createElement('button'), document.createElement('input'))"
    )
    await page.evaluate("document.querySelector('button').textContent = 'press'")
    await page.evaluate(
        "window.heard = []; for (const kind of ['keydown', 'click', 'input']) addEventListener(kind, (event) =>"
        " heard.push([kind, event.isTrusted, event.key ?? event.target.value ?? '']), true)"
    )
    await page.click("button")
    await page.press("Tab")
    await page.write("a1?")
    await page.press("Enter", "Escape", "ArrowLeft")
    heard = await page.evaluate("heard")
    assert all(trusted for _, trusted, _ in heard)
    assert [key for kind, _, key in heard if kind == "keydown"] == [
        "Tab",
        "a",
        "1",
        "?",
        "Enter",
        "Escape",
        "ArrowLeft",
    ]
    assert [value for kind, _, value in heard if kind == "input"] == ["a", "a1", "a1?"]
    assert [kind for kind, _, _ in heard].count("click") == 1


@ensureDeferred
async def test_a_condition_that_never_holds_tells_what_was_there(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "health")
    with pytest.raises(AssertionError, match=r"(?s)last: .*nothing is not defined.*crypto-dash-api"):
        await page.wait_for("nothing.at.all", 0.1)
