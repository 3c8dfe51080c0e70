"""The market view: what its panels say of a market is what the simulated venue says, and they agree with each other."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from cryptodash.core.instruments import MarketType

BINANCE = "#/market/binance/spot/{}"
FULL = """(() => { const prices = [...document.querySelectorAll('.ladder tr:not([hidden]) td.price')];
    return prices.length > 7 && prices.every((cell) => cell.innerText); })()"""
LIVE_BOOK = f"{FULL} && document.querySelector('.panel-book .panel-state').innerText === 'live'"
LASTS = """(() => {
    const [head, ladder] = ['.market-head .last span', '.ladder .last span'].map(
        (each) => document.querySelector(each).textContent);
    const [top] = document.querySelectorAll('.tape tbody tr:not([hidden]):not(.note)');
    return [head, ladder, top.cells[1].textContent.split('–').at(-1)]; })()"""

SAID = """{ window.said = []; const send = WebSocket.prototype.send; WebSocket.prototype.send = function (text) {
    window.said.push(JSON.parse(text)); return send.call(this, text); }; }"""
"""What the page says to the server is kept."""
ASKED = """window.said.filter(({{op}}) => op === '{}').flatMap(({{channels}}) => channels)
    .filter((each) => each.channel_type === '{}').map((each) => [each.depth ?? each.exchange, each.max_rate ?? null])"""


def number(text: str) -> Decimal:
    """A number of the page."""
    return Decimal(text.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def recent_books(stage: Any, symbol: str, rows: int, exchange: str = "binance", market: str = "spot") -> list[Any]:
    """(bids, asks) as texts after each of the last changes, the newest first."""
    truth, kind = stage.simulator.truth, MarketType(market)
    instrument = truth.instrument(exchange, kind, symbol)
    recent = [each.id for each in islice(reversed(instrument.book_changes), 1500)]
    books = (truth.book(exchange, kind, symbol, each, rows) for each in recent)
    return [each for each in books if each is not None]


@ensureDeferred
async def test_header_ladder_and_tape_show_one_last_price_that_was_traded(page: Any, stage: Any, shown: Any) -> None:
    await page.goto(stage.url + BINANCE.format("BTC-USDT"))
    await page.wait_for(f"{LIVE_BOOK} && document.querySelectorAll('.tape tbody tr:not([hidden])').length > 3")
    for _ in range(4):
        # A tape that is one message behind the ticker has caught up with the next frame.
        await page.wait_for(f"new Set({LASTS}).size === 1")
        head, *_ = await page.evaluate(LASTS)
        assert head in {
            shown(each.price, 2) for each in stage.simulator.truth.trades("binance", MarketType.SPOT, "BTC-USDT")
        }
        await page.wait_for(f"{LASTS}[0] !== {head!r}", 60)


@ensureDeferred
async def test_a_silent_market_s_last_price_is_doubted_in_header_and_ladder_with_the_age_of_what_is_old(
    page: Any, stage: Any
) -> None:
    await page.goto(stage.url + BINANCE.format("BTC-USDT"))
    await page.wait_for(f"{LIVE_BOOK} && document.querySelector('.ladder .last').className.indexOf('doubtful') < 0")
    stage.fault("binance", "silent", "BTC-USDT")
    doubted = "document.querySelectorAll('.market .last.doubtful').length === 2"
    await page.wait_for(f"{doubted} && document.querySelector('.fresh').innerText.includes('silent')", 15)
    said = await page.evaluate("['.fresh', '.last-doubt'].map((each) => document.querySelector(each).textContent)")
    assert all("silent" in each and each.endswith((" s", " m")) for each in said), said
    stage.calm()
    await page.wait_for("document.querySelectorAll('.market .last.doubtful').length === 0", 15)
    assert await page.text(".last-doubt") == ""


@pytest.mark.parametrize("unit", ["base", "quote"])
@ensureDeferred
async def test_the_balance_is_the_bids_share_of_the_rows_that_are_shown(page: Any, stage: Any, unit: str) -> None:
    await page.goto(stage.url + BINANCE.format("BTC-USDT") + f"?unit={unit}")
    await page.wait_for(LIVE_BOOK)
    # One look for both: the next message changes them.
    ladder = await page.probe("ladder")
    (bids, asks, scale), ladder = ladder["balance"], (ladder["bids"], ladder["asks"])
    bid, ask = (number(side[-1][2]) for side in ladder)
    share = (bid / (bid + ask) * 100).quantize(Decimal("0.1"))
    assert bids.startswith("bids ") and asks.startswith("asks ")
    assert abs(number(bids.split()[1]) - share) <= Decimal("0.1")
    assert number(bids.split()[1]) + number(asks.split()[1]) == 100
    assert scale == pytest.approx(float(share) / 100, abs=0.002)


@ensureDeferred
async def test_sizes_in_the_quote_currency_are_price_times_size_and_say_so(page: Any, stage: Any) -> None:
    await page.goto(stage.url + BINANCE.format("BTC-USDT"))
    await page.wait_for(LIVE_BOOK)
    await page.click(".panel-book button[title^='Sizes in']")
    await page.wait_for("location.hash.includes('unit=quote')")
    heads = await page.evaluate("[...document.querySelectorAll('.ladder th')].map((each) => each.innerText)")
    assert heads == ["Price USDT", "Value USDT", "Total USDT"]
    await page.wait_for("document.querySelector('.ladder tr.bid .size').title !== ''")
    ladder = await page.probe("ladder")
    rows = len(ladder["bids"])
    books = [
        tuple([(Decimal(price), Decimal(price) * Decimal(size)) for price, size in side] for side in book)
        for book in recent_books(stage, "BTC-USDT", rows)
    ]
    seen = tuple([(number(price), number(value)) for price, value, _ in ladder[side]] for side in ("bids", "asks"))
    assert any(
        all(
            [price for price, _ in theirs] == [price for price, _ in ours]
            and all(abs(a - b) <= Decimal("0.006") for (_, a), (_, b) in zip(theirs, ours, strict=True))
            for theirs, ours in zip(book, seen, strict=True)
        )
        for book in books
    ), ladder
    for side in seen:
        assert side, "a side is empty"
    total = sum(value for _, value in seen[0])
    assert abs(number(ladder["bids"][-1][2]) - total) < Decimal("0.01") * rows


@pytest.mark.parametrize("size", [(1440, 900), (2560, 1440), (375, 812)])
@ensureDeferred
async def test_the_ladder_fills_its_panel_and_no_cell_runs_into_the_next(
    page: Any, stage: Any, size: tuple[int, int]
) -> None:
    await page.viewport(*size)
    await page.goto(stage.url + BINANCE.format("PEPE-USDT") + "?tab=book")
    await page.wait_for(LIVE_BOOK)
    free = "document.querySelector('.ladder-room').clientHeight - document.querySelector('.ladder').offsetHeight"
    row = "document.querySelector('.ladder tr.bid').offsetHeight"
    await page.wait_for(f"-1 <= {free} && {free} < 2 * {row}")  # how many rows fit is found once there is a row
    await page.wait_for(
        "[...document.querySelectorAll('.ladder tr:not([hidden]) td, .tape tr:not([hidden]) td')]"
        ".every((cell) => cell.scrollWidth <= cell.clientWidth + 1)"
    )
    sizes = "[...document.querySelectorAll('.ladder tr.bid .size')].map((cell) => cell.textContent)"
    assert any(each.endswith(("K", "M", "B")) for each in await page.evaluate(sizes)), "the best may be of one PEPE"
    await page.viewport(1440, 900)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "PEPE-USDT"])
@ensureDeferred
async def test_depth_totals_are_sums_of_the_venue_s_book_and_say_where_they_are_not_proven(
    page: Any, stage: Any, symbol: str
) -> None:
    await page.goto(stage.url + BINANCE.format(symbol))
    # Four distances: of a book that is asked for as deep as they need.
    await page.wait_for(
        "document.querySelectorAll('.depth-totals td').length === 8 && "
        "/[0-9]/.test(document.querySelector('.depth-totals td').textContent) && "
        "/known to .*%/.test(document.querySelector('.depth-reading').innerText)"
    )
    read = """[...document.querySelectorAll('.depth-totals td')].map((cell) => [cell.textContent, cell.title])"""
    text = await page.text(".depth-reading")
    await page.wait_for(f"document.querySelector('.depth-reading').innerText !== {text!r}", 30)
    cells = await page.evaluate(read)
    assert [("≥" in text) == title.startswith("at least") for text, title in cells] == [True] * 8
    found = [(number(title.replace("at least ", "").split()[0]), "≥" not in text) for text, title in cells]
    for bids, asks in recent_books(stage, symbol, 1000):
        mid = (Decimal(bids[0][0]) + Decimal(asks[0][0])) / 2
        sums = []
        for far in (10, 50, 100, 200):
            for sign, side in ((-1, bids), (1, asks)):
                limit = mid * (1 + sign * Decimal(far) / 10000)
                sums.append(sum(Decimal(size) for price, size in side if (Decimal(price) - limit) * sign <= 0))
        if all(
            total == ours if proven else total >= ours > 0 for total, (ours, proven) in zip(sums, found, strict=True)
        ):
            break
    else:
        pytest.fail(f"no such book: {cells}")


@ensureDeferred
async def test_a_deeper_book_is_asked_for_only_while_the_depth_is_seen(page: Any, stage: Any) -> None:
    await page.hasten(5)  # subscriptions linger for five seconds
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=SAID)
    await page.viewport(375, 812)
    await page.goto(stage.url + BINANCE.format("BTC-USDT") + "?tab=book")
    await page.wait_for(LIVE_BOOK)
    assert {depth for depth, _ in await page.evaluate(ASKED.format("subscribe", "order_book"))} == {50}
    await page.click("#tab-depth")
    await page.wait_for(f"{ASKED.format('subscribe', 'order_book')}.some(([depth]) => depth === 1000)")
    assert [1000, 2] in await page.evaluate(ASKED.format("subscribe", "order_book"))
    await page.click("#tab-chart")
    await page.wait_for(f"new Set({ASKED.format('unsubscribe', 'order_book')}.map(([depth]) => depth)).size === 2", 20)


TAPE = """[...document.querySelectorAll('.tape tbody tr:not([hidden]):not(.note)')].map((row) =>
    ({price: row.cells[1].textContent, size: row.cells[2].textContent, side: row.cells[3].textContent,
      venue: row.cells[4].textContent, name: row.className}))"""


@ensureDeferred
async def test_the_tape_mixes_all_venues_while_that_is_wanted_and_names_them(
    page: Any, stage: Any, until: Any, shown: Any
) -> None:
    await page.hasten(5)  # subscriptions linger for five seconds
    await page.goto(stage.url + BINANCE.format("BTC-USDT"))
    await page.wait_for("document.querySelectorAll('.tape tbody tr:not([hidden])').length > 3", 20)
    assert not [each for each in stage.wanted if each.startswith("bybit") and "trade" in each]
    await page.click("[aria-label='More about trades']")
    await page.click(".tape-tools button[title*='every venue']")
    # Of each a row that is one fill, at the same moment: few rows fit, and the next trades push them out.
    single = "(venue) => rows.some((row) => row.venue === venue && !row.side.includes('×'))"
    both = f"((rows) => ['binance', 'bybit'].every({single}) && rows)({TAPE})"
    rows = await page.wait_for(f"location.hash.includes('tape=all') && {both}", 30)
    for exchange, decimals, steps in (("binance", 2, 5), ("bybit", 1, 6)):
        trades = stage.simulator.truth.trades(exchange, MarketType.SPOT, "BTC-USDT")
        happened = {(shown(each.price, decimals), shown(each.size, steps)) for each in trades}
        seen = {
            (shown(str(number(row["price"])), decimals), shown(str(number(row["size"])), steps))
            for row in rows
            if row["venue"] == exchange and "×" not in row["side"]
        }
        assert seen and seen <= happened, exchange
    stage.fault("bybit", "maintenance")
    await page.wait_for(
        "/bybit trades (stale|connecting)/.test(document.querySelector('.panel-trades .panel-foot').innerText)", 30
    )
    stage.calm()
    await page.click(".tape-tools button[title*='every venue']")
    await until(lambda: not [each for each in stage.wanted if each.startswith("bybit") and "trade" in each], 20)


def is_marked_from(least: int, row: Any) -> bool:
    worth = number(row["price"].split("–")[-1]) * number(row["size"].removeprefix("◆ "))
    return abs(worth - least) <= 1 or ("large" in row["name"]) == ("◆" in row["size"]) == (worth > least)


@ensureDeferred
async def test_large_trades_are_marked_from_what_the_user_said_and_that_is_kept(page: Any, stage: Any) -> None:
    await page.goto(stage.url + BINANCE.format("BTC-USDT"))
    await page.wait_for("document.querySelectorAll('.tape tbody tr:not([hidden])').length > 8", 20)
    await page.click("[aria-label='More about trades']")
    await page.click(".tape-tools input")
    await page.write("1000")
    await page.wait_for(f"{TAPE}.some(({{name}}) => name.includes('large'))", 30)
    wrong = await page.evaluate(TAPE)
    for _ in range(50):  # each key that is written is a size of its own, until the next picture
        if wrong:
            await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
            wrong = [row for row in await page.evaluate(TAPE) if not is_marked_from(1000, row)]
    assert not wrong
    assert await page.evaluate("document.querySelector('.tape-tools button[title*=tone]').ariaPressed") == "false"
    await page.reload()
    await page.wait_for(f"{TAPE}.some(({{name}}) => name.includes('large'))", 30)
    assert await page.evaluate("document.querySelector('.tape-tools input').value") == "1000"


@ensureDeferred
async def test_liquidations_of_a_perpetual_stand_in_the_tape_as_such(page: Any, stage: Any) -> None:
    await page.viewport(2560, 1440)
    await page.goto(stage.url + "#/market/binance/perpetual/BTC-USDT")
    await page.wait_for(f"{TAPE}.some(({{name}}) => name.includes('liquidation'))", 60)
    rows = await page.evaluate(TAPE)
    assert all(("liquidation" in row["name"]) == row["side"].startswith("liq.") for row in rows)
    await page.wait_for("/a sample, by the venue/.test(document.querySelector('.panel-trades .panel-foot').innerText)")
    await page.go(BINANCE.format("BTC-USDT"))
    await page.wait_for("document.querySelector('.market-head h1').nextSibling.innerText.includes('spot')")
    assert not await page.evaluate(f"{TAPE}.some(({{name}}) => name.includes('liquidation'))")


HEIGHTS = """
    window.heights = new Set();
    const look = () => {
        const head = document.querySelector('.market-head');
        if (head) window.heights.add(head.getBoundingClientRect().height);
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
"""
"""Of the head of a market, in each frame since the document was loaded."""


@ensureDeferred
async def test_the_head_has_its_height_before_anything_is_known(page: Any, stage: Any) -> None:
    await page.call("Emulation.setCPUThrottlingRate", rate=4)  # so slow that its first frames are empty
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=HEIGHTS)
    for size in ((1440, 900), (1024, 768), (2560, 1440), (375, 812)):
        await page.viewport(*size)
        heights = set()
        for market in ("spot", "perpetual"):
            await page.goto("about:blank")
            await page.goto(f"{stage.url}#/market/binance/{market}/BTC-USDT")
            await page.wait_for("/[0-9]/.test(document.querySelector('.market-head .last').innerText)", 20)
            heights.update(await page.evaluate("[...heights]"))
        assert len(heights) == 1, (size, heights)


@ensureDeferred
async def test_switching_between_spot_and_perpetual_moves_no_panel(page: Any, stage: Any) -> None:
    for size in ((1440, 900), (1024, 768), (2560, 1440), (375, 812)):
        await page.viewport(*size)
        tops = set()
        for market in ("spot", "perpetual"):
            await page.goto(f"{stage.url}#/market/binance/{market}/BTC-USDT")
            await page.wait_for("/[0-9]/.test(document.querySelector('.market-head .last').innerText)", 20)
            head = "document.querySelector('.market-head').getBoundingClientRect()"
            tops.add(await page.evaluate(f"{head}.height"))
        assert len(tops) == 1, (size, tops)
    await page.go(BINANCE.format("BTC-USDT") + "?tab=book")
    await page.wait_for(LIVE_BOOK, 20)
    fold = await page.evaluate("document.querySelector('.ladder').getBoundingClientRect().bottom / innerHeight")
    assert fold < 1.1, "the ladder of a telephone lies above the fold"
