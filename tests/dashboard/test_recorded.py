"""The market view at another time: a moment is picked, what is shown is the recording's and says so, and one key leads
back to now with nothing left of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred

from cryptodash.core.time import parse_time, rfc3339
from tests.dashboard import remote
from tests.dashboard.conftest import stages
from tests.processes import ROOT

MARKET = "#/market/binance/spot/BTC-USDT"
TAPE = "binance:spot:BTC-USDT:trade"
LIVE = "document.querySelector('.panel-book .panel-state').innerText === 'live'"
STATES = "[...document.querySelectorAll('.panel-state, .fresh')].map((each) => each.innerText.trim())"
WORDS = "document.querySelector('.time-words')?.innerText ?? ''"
IDS = """[...document.querySelectorAll('.tape tbody tr:not([hidden]):not(.note)')]
    .map((each) => each.cells[1].textContent)"""


def shown_recorded(more: str = "true") -> str:
    """Every panel shows the recording, and nothing is called live."""
    return f"({STATES}).every((each) => each === 'recorded') && document.title.startsWith('RECORDED ') && ({more})"


@pytest_twisted.async_yield_fixture(scope="module")
async def recording(reactor: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    """A server that has recorded BTC-USDT for some seconds, and records on; with it what it had recorded by then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # for the processes that read tapes
        root = tmp_path_factory.mktemp("recording")
        topics = "ticker", "trade", "order_book:50", "candle:1m"
        made = stages.Stage(
            reactor,
            RECORD_DIR=str(root),
            SYMBOLS=",".join(f"binance:spot:BTC-USDT:{each}" for each in topics),
        )
        made.start()
        await remote.until(reactor, lambda: made.ready, 10, lambda: "the catalogues were not read")
        made.root = root
        begun = made.clock.wall_ms()
        await remote.until(reactor, lambda: made.clock.wall_ms() - begun > 12_000, 30, lambda: "record for a while")
        made.begun = begun
        yield made
        await made.end()


async def trades_of(page: Any, begin: int, end: int) -> list[Any]:
    """The trades on the tape between two times, ms."""
    path = f"api/history/trades?exchange=binance&symbol=BTC-USDT&from={begin}&to={end}&limit=100000"
    answer = await page.evaluate(f"fetch('{path}').then((each) => each.text())")
    lines = [json.loads(each, parse_float=str, parse_int=str) for each in answer.splitlines()]
    return [each["payload"] for each in lines if each["type"] == "trade"]


def moment(ms: int) -> str:
    return rfc3339(ms)[:19] + "Z"


@ensureDeferred
async def test_a_moment_is_picked_and_one_key_leads_back(page: Any, recording: Any, reactor: Any, shown: Any) -> None:
    await page.goto(recording.url + MARKET)
    await page.wait_for(f"{LIVE} && document.querySelector('.panel-trades .panel-state').innerText === 'live'")
    await page.press("w")
    await page.wait_for("document.querySelector('.time-control input[type=range]')?.max > 0")
    assert not (await page.evaluate("document.title")).startswith("RECORDED")
    at = recording.begun // 1000 * 1000 + 4000
    await page.evaluate(f"""(() => {{ const [slider] = document.querySelectorAll('.time-control input[type=range]');
        slider.value = {at}; slider.dispatchEvent(new Event('input')); slider.dispatchEvent(new Event('change')); }})()""")
    await page.wait_for(shown_recorded(f"({IDS}).length > 0 && document.querySelectorAll('.ladder td.price').length > 7"))
    assert f"at={moment(at)}" in await page.evaluate("location.hash")
    assert "RECORDED" in await page.text(".statusline .badge") and "RECORDED" in await page.text(".recorded-badge")
    assert await page.evaluate("getComputedStyle(document.querySelector('.trust')).visibility") == "hidden"
    # It moves at the pace of then, and what it shows was traded then.
    await page.wait_for(f"({IDS}).length > 5")
    seen = await page.evaluate(IDS)
    upto = await page.evaluate("document.querySelector('.tools time').title")
    tape = await trades_of(page, at, at + 60_000)
    prices = [shown(each["price"], 2) for each in tape]
    ahead = iter(prices)
    assert all(price in ahead for price in reversed(seen)), "rows of the tape in its order, none of another time"
    assert abs(parse_time(upto.rpartition("; ")[2]) - at) < 30_000
    from pathlib import Path
    await page.screenshot(Path("/tmp/tb-rec.png"))
    await page.viewport(375, 800)
    await page.screenshot(Path("/tmp/tb-rec375.png"))
    await page.viewport(1440, 900)
    await page.press("l")
    await page.wait_for(f"{LIVE} && !document.title.startsWith('RECORDED')")
    left = "[...document.querySelectorAll('*')].filter((each) => !each.children.length && each.checkVisibility())"
    assert await page.evaluate(f"{left}.filter((each) => /recorded/i.test(each.innerText ?? '')).map((e) => e.innerText)") == []
    assert "at=" not in await page.evaluate("location.hash")
    assert await page.evaluate("document.documentElement.hasAttribute('data-recorded')") is False
    now = recording.clock.wall_ms()
    assert abs(parse_time((await page.evaluate("document.querySelector('.tools time').title")).rpartition("; ")[2]) - now) < 3000
