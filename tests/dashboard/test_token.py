"""A server that asks for a token: the page asks its user, shows the token first on the socket and with every question,
says when it is wrong, and forgets it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest_twisted
from pytest_twisted import ensureDeferred

from cryptodash.api.access.tokens import hash_of
from tests.dashboard.conftest import remote, stages

TOKEN, SECOND = "token-of-the-page-0123456789", "second-of-the-page-0123456789"
KEY = bytes(range(32))
MARKET = "#/market/binance/spot/BTC-USDT"
LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 20 && /[0-9]/.test(document.title)"
DIALOG = "document.querySelector('dialog.token')"
ASKED = f"{DIALOG}.open"
REFUSED = "status of 401"
LOCKED = "document.documentElement.dataset.socket === 'locked'"


def write(file: Path, *tokens: str) -> None:
    file.write_text("".join(f"n{at}:{hash_of(token).hex()}:read\n" for at, token in enumerate(tokens)))


@pytest_twisted.async_yield_fixture
async def guarded(reactor: Any, tmp_path: Path) -> AsyncIterator[Any]:
    """A stage with rules of access; ``tokens`` is its file. Asked for before ``page``, to end after it."""
    file = tmp_path / "tokens"
    write(file, TOKEN, SECOND)
    keys = f"HS256:{base64.urlsafe_b64encode(KEY).decode()}"
    made = stages.Stage(reactor, AUTH_TOKENS_FILE=str(file), AUTH_JWT_KEYS=keys)
    made.tokens = file
    made.start()
    await remote.until(reactor, lambda: made.ready, 10, lambda: "the catalogues were not read")
    yield made
    await made.end()


async def enter(page: Any, token: str) -> None:
    await page.wait_for(ASKED)
    await page.evaluate(f"{DIALOG}.querySelector('input').value = {token!r}")
    await page.evaluate(f"{DIALOG}.querySelector('button[type=submit]').click()")


@ensureDeferred
async def test_the_page_asks_for_a_token_and_works_with_it(guarded: Any, page: Any) -> None:
    page.excuse(REFUSED)
    await page.goto(guarded.url + MARKET)
    await page.wait_for(f"{ASKED} && {LOCKED}")
    assert await page.text(".pill") == "needs a token"
    assert "This server asks for a token" in await page.text("#banners")
    assert not await page.evaluate(f"{DIALOG}.querySelector('.refused').checkVisibility()"), "nothing was wrong yet"
    await enter(page, TOKEN)
    await page.wait_for(f"{LIVE} && !document.querySelector('.pending')", 20)
    await page.wait_for("document.querySelectorAll('.chips .chip').length === 2", 20)
    assert not await page.evaluate(ASKED) and "asks for a token" not in await page.text("#banners")
    assert await page.evaluate("sessionStorage.getItem('cryptodash.token')") == TOKEN
    stored = await page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
    assert TOKEN not in stored


@ensureDeferred
async def test_a_wrong_token_is_said_and_a_right_one_goes_on(guarded: Any, page: Any) -> None:
    page.excuse(REFUSED)
    await page.goto(guarded.url + MARKET)
    await enter(page, "wrong")
    await page.wait_for(f"{ASKED} && {DIALOG}.querySelector('.refused').innerText === 'the token is not known'")
    await page.wait_for(LOCKED)
    await enter(page, TOKEN)
    await page.wait_for(LIVE, 20)


@ensureDeferred
async def test_a_reload_needs_no_form_and_every_view_works(guarded: Any, page: Any) -> None:
    page.excuse(REFUSED)
    await page.goto(guarded.url + MARKET)
    await enter(page, TOKEN)
    await page.wait_for(LIVE, 20)
    await page.goto(guarded.url + "#/health")
    await page.wait_for("/[0-9]+ streams/.test(document.querySelector('main').innerText)", 20)
    await page.reload()
    await page.wait_for("/[0-9]+ streams/.test(document.querySelector('main')?.innerText ?? '')", 20)
    assert not await page.evaluate(ASKED)
    for fragment, there in (
        ("#/markets", "document.querySelectorAll('table.grid tbody tr').length > 10"),
        ("#/compare/spot/BTC-USDT", "document.querySelectorAll('main tbody tr').length >= 2"),
        ("#/alerts", "document.querySelector('main form')"),
    ):
        await page.go(fragment)
        await page.wait_for(there, 20)


@ensureDeferred
async def test_a_token_is_forgotten_on_demand(guarded: Any, page: Any) -> None:
    page.excuse(REFUSED)
    await page.goto(guarded.url + MARKET)
    await enter(page, TOKEN)
    await page.wait_for(LIVE, 20)
    await page.evaluate(
        "[...document.querySelectorAll('dialog.settings button')].find((each) => each.textContent === 'Show').click()"
    )
    await page.wait_for(ASKED)
    await page.evaluate(
        f"[...{DIALOG}.querySelectorAll('button')].find((each) => each.textContent === 'Forget the token').click()"
    )
    await page.wait_for(LOCKED)
    assert await page.evaluate("sessionStorage.getItem('cryptodash.token')") is None


@ensureDeferred
async def test_a_token_that_is_taken_away_is_told_and_another_goes_on(guarded: Any, page: Any) -> None:
    page.excuse(REFUSED)
    await page.goto(guarded.url + MARKET)
    await enter(page, TOKEN)
    await page.wait_for(LIVE, 20)
    write(guarded.tokens, SECOND)
    assert guarded.running.access.replace(guarded.running.config)
    await page.wait_for(f"{ASKED} && {LOCKED}", 20)
    assert await page.text("dialog.token .refused") == "the token is not known"
    await enter(page, SECOND)
    await page.wait_for("document.documentElement.dataset.socket === 'open'", 20)
    await page.wait_for("document.querySelectorAll('.doubt').length === 0", 20)


@ensureDeferred
async def test_a_token_that_is_about_to_end_is_told_before(guarded: Any, page: Any) -> None:
    page.excuse(REFUSED)
    await page.goto(guarded.url + MARKET)
    exp = guarded.clock.wall_ms() / 1000 + 40
    await enter(page, jwt.encode({"exp": exp, "scope": "read"}, KEY, "HS256"))
    await page.wait_for("document.querySelector('#banners').innerText.includes('about to end')", 20)
    await page.evaluate(
        "[...document.querySelectorAll('#banners button')].find((each) => each.innerText === 'Enter another').click()"
    )
    await enter(page, TOKEN)
    await page.wait_for("!document.querySelector('#banners').innerText.includes('about to end')", 20)
    await page.wait_for(LIVE, 20)


@ensureDeferred
async def test_what_a_token_does_not_allow_is_said_where_it_would_stand(guarded: Any, page: Any) -> None:
    page.excuse("status of 40[13]")
    await page.goto(guarded.url + MARKET)
    exp = guarded.clock.wall_ms() / 1000 + 3600
    await enter(page, jwt.encode({"exp": exp, "scope": "read:ticker:binance:spot"}, KEY, "HS256"))
    await page.wait_for("document.documentElement.dataset.socket === 'open' && /[0-9]/.test(document.title)", 20)
    refused = "[...document.querySelectorAll('.panel-refusal')].filter((each) => each.checkVisibility())"
    await page.wait_for(f"{refused}.some((each) => each.innerText.includes('the token does not allow'))", 20)
    assert not await page.evaluate(ASKED), "a token that allows less is no wrong one"
