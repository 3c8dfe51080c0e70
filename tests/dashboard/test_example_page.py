"""The example of a page of one's own (examples/browser.html), opened as a file in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest_twisted

PAGE = Path(__file__).resolve().parents[2] / "examples" / "browser.html"


def address(port: int, **more: str) -> str:
    return f"{PAGE.as_uri()}?{urlencode({'url': f'ws://127.0.0.1:{port}/ws', **more})}"


@pytest_twisted.ensureDeferred
async def test_the_example_shows_a_price_and_says_when_not_to_believe_it(page: Any, stage: Any) -> None:
    await page.goto(address(stage.port))
    await page.wait_for("/^live, /.test(document.querySelector('#freshness').innerText)")
    shown = await page.text("#last")
    whole, _, fraction = shown.partition(".")
    assert whole.isdigit() and fraction.isdigit()
    assert await page.evaluate("document.body.classList.contains('doubtful')") is False
    assert await page.text("#name") == "binance spot BTC-USDT"
    stage.fault("binance", "silent", "BTC-USDT")
    try:
        await page.wait_for("/^STALE: silent, /.test(document.querySelector('#freshness').innerText)")
        assert await page.evaluate("document.body.classList.contains('doubtful')") is True
        assert await page.text("#last") != "-", "the last price stands there, crossed out"
    finally:
        stage.calm()
    await page.wait_for("/^live, /.test(document.querySelector('#freshness').innerText)")
    page.excuse("WebSocket")
    await stage.stop()
    try:
        await page.wait_for("/^STALE: no connection/.test(document.querySelector('#freshness').innerText)")
    finally:
        stage.start()
    await page.wait_for("/^live, /.test(document.querySelector('#freshness').innerText)")
