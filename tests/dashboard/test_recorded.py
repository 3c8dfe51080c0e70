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
STATES = """[...document.querySelectorAll('.panel-state, .fresh')].filter((each) => each.checkVisibility())
    .map((each) => each.innerText.trim())"""
LADDER = """[...document.querySelectorAll('.ladder tbody tr:not([hidden])')].map((each) => each.cells[0]?.innerText)
    .filter((each) => each && /^[0-9,.]+$/.test(each))"""
WORDS = "document.querySelector('.time-words')?.innerText ?? ''"
IDS = """[...document.querySelectorAll('.tape tbody tr:not([hidden]):not(.note)')]
    .map((each) => each.cells[1].textContent)"""


def shown_recorded(more: str = "true") -> str:
    """Every panel that is in sight shows the recording, and nothing is called live."""
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
        slider.value = {at}; for (const each of ['input', 'change']) slider.dispatchEvent(new Event(each)); }})()""")
    await page.wait_for(
        shown_recorded(f"({IDS}).length > 0 && document.querySelectorAll('.ladder td.price').length > 7")
    )
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
    await page.press("l")
    await page.wait_for(f"{LIVE} && !document.title.startsWith('RECORDED')")
    left = "[...document.querySelectorAll('*')].filter((each) => !each.children.length && each.checkVisibility())"
    assert (
        await page.evaluate(f"{left}.filter((each) => /recorded/i.test(each.innerText ?? '')).map((e) => e.innerText)")
        == []
    )
    assert "at=" not in await page.evaluate("location.hash")
    assert await page.evaluate("document.documentElement.hasAttribute('data-recorded')") is False
    now = recording.clock.wall_ms()
    assert (
        abs(parse_time((await page.evaluate("document.querySelector('.tools time').title")).rpartition("; ")[2]) - now)
        < 3000
    )


@ensureDeferred
async def test_a_link_opens_a_moment_and_the_book_is_that_of_then(page: Any, recording: Any, shown: Any) -> None:
    at = recording.begun // 1000 * 1000 + 6000
    await page.goto(f"{recording.url}{MARKET}?at={moment(at)}")
    await page.wait_for(shown_recorded())
    await page.evaluate("document.querySelector('.time-control .small').click()")  # Pause
    await page.wait_for(f"({WORDS}).includes('paused')")
    then = at + 3000
    await page.evaluate(f"location.hash = '{MARKET}?at={moment(then)}'")
    book = await recording.json("api/history/book", exchange="binance", symbol="BTC-USDT", at=then)
    prices = [shown(str(each["price"]), 2) for each in book["bids"] + book["asks"]]
    best = [shown(str(book[side][0]["price"]), 2) for side in ("bids", "asks")]
    are_those = f"((rows) => rows.length > 7 && rows.every((each) => {json.dumps(prices)}.includes(each))"
    await page.wait_for(
        shown_recorded(f"{are_those} && {json.dumps(best)}.every((each) => rows.includes(each)))({LADDER})")
    )
    assert f"{rfc3339(then)[11:19]} UTC, paused" in await page.evaluate(WORDS)
    await page.press("l")
    await page.wait_for(f"{LIVE} && !document.title.startsWith('RECORDED')")


@ensureDeferred
async def test_sixty_times_as_fast_it_says_a_hole_and_where_it_ends(page: Any, recording: Any, until: Any) -> None:
    """The server is stopped for some seconds: what it did not record is said, and takes no time."""
    stopped = recording.clock.wall_ms()
    await recording.stop()
    await until(lambda: recording.clock.wall_ms() - stopped > 4_000)
    recording.start()
    begun = recording.clock.wall_ms()
    await until(lambda: recording.ready and recording.clock.wall_ms() - begun > 8_000, 30)
    await page.goto(f"{recording.url}{MARKET}?at={moment(stopped - 4_000)}")
    await page.wait_for(shown_recorded(f"({WORDS}).includes('nothing is recorded from')"), 20)
    assert "the server was not running" in await page.evaluate(WORDS)
    assert await page.count(".recorded-hole") == 1
    await page.evaluate("""(() => { const chosen = document.querySelector('.time-control select');
        chosen.value = '60'; chosen.dispatchEvent(new Event('change')); })()""")
    await page.wait_for(f"({WORDS}).includes('the recording ends here')", 20)
    assert await page.evaluate(f"document.title.startsWith('RECORDED ') && !({STATES}).includes('live')")
    await page.evaluate("document.querySelector('.time-control .primary').click()")
    await page.wait_for(f"{LIVE} && !document.title.startsWith('RECORDED')")


@ensureDeferred
async def test_on_a_narrow_screen_everything_fits_and_nothing_moves(page: Any, recording: Any) -> None:
    await page.viewport(375, 800)
    at = recording.begun // 1000 * 1000 + 5000
    await page.goto(f"{recording.url}{MARKET}?at={moment(at)}&tab=book")
    await page.wait_for(shown_recorded(f"({LADDER}).length > 7"))
    wide = """[...document.querySelectorAll('.time-control *')].filter((each) => each.checkVisibility())
        .every((each) => each.getBoundingClientRect().right <= innerWidth)"""
    assert await page.evaluate(f"document.documentElement.scrollWidth <= innerWidth && {wide}")
    await page.press("l")
    await page.wait_for(f"{LIVE} && !document.title.startsWith('RECORDED')")


@ensureDeferred
async def test_the_clock_of_the_page_moves_nothing_while_it_plays(page: Any, recording: Any) -> None:
    at = recording.begun // 1000 * 1000 + 2000
    await page.goto(f"{recording.url}{MARKET}?at={moment(at)}")
    await page.wait_for(shown_recorded(f"({IDS}).length > 2"))
    await page.evaluate("""new Promise((done) => { window.shift = 0;
        new PerformanceObserver((list) => { for (const each of list.getEntries()) window.shift += each.value; })
            .observe({ type: 'layout-shift', buffered: true }); setTimeout(done, 1500); })""")
    assert await page.evaluate("window.shift") < 0.05


@ensureDeferred
async def test_without_a_recording_it_says_why(page: Any, stage: Any) -> None:
    page.excuse("404")  # the browser tells of every answer that is none
    await page.goto(stage.url + MARKET)
    await page.wait_for(LIVE)
    await page.press("w")
    await page.wait_for(f"({WORDS}).includes('without RECORD_DIR')")
    assert not await page.evaluate("document.querySelector('.time-control input').checkVisibility()")
    await page.goto(f"{stage.url}{MARKET}?at=2024-01-01T00:00:00Z")
    await page.wait_for(f"{LIVE} && document.body.innerText.includes('No recorded time: this server records nothing')")
    assert "at=" not in await page.evaluate("location.hash")


SPANS = [
    ("joined([])", []),
    ("joined([{from: 5, to: 9}, {from: 1, to: 3}])", [{"from": 1, "to": 3}, {"from": 5, "to": 9}]),
    ("joined([{from: 1, to: 9}, {from: 2, to: 3}, {from: 9, to: 10}])", [{"from": 1, "to": 10}]),
]


@ensureDeferred
async def test_times_of_several_channels_are_one_line(answers: Any) -> None:
    found = await answers("timecontrol.js", [f"m.{each}" for each, _ in SPANS])
    assert list(found.values()) == [expected for _, expected in SPANS]
