"""What stands on the screen is what the simulated venues say, in their own steps;
and where they fall silent, the screen says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
import pytest_twisted
from pytest_twisted import ensureDeferred

from cryptodash.core.instruments import MarketType

MARKET = "#/market/{}/{}/{}"
ROW = """(symbol, exchange) => [...document.querySelectorAll('table.grid tbody tr')].find((row) =>
    row.cells.length > 5 && row.cells[1].innerText.trim() === symbol && row.cells[2].innerText.trim() === exchange)"""
FULL = """(() => { const prices = [...document.querySelectorAll('.ladder tr:not([hidden]) td.price')];
    return prices.length > 7 && prices.every((cell) => cell.innerText); })()"""

MOVES_S = 60.0
"""Seconds in which some price of a market moves, by chance."""
PLACES = [
    ("binance", "spot", "BTC-USDT", 2, 5),
    ("bybit", "perpetual", "BTC-USDT", 1, 3),
    ("binance", "spot", "PEPE-USDT", 8, 0),
]


async def cells(page: Any, symbol: str, exchange: str) -> list[str]:
    """The texts of a row of the markets table."""
    found: list[str] = await page.evaluate(
        f"[...({ROW})({symbol!r}, {exchange!r}).cells].map((cell) => cell.innerText.trim())"
    )
    return found


@pytest_twisted.async_yield_fixture
async def markets(page: Any, stage: Any) -> AsyncIterator[Any]:
    """The markets table with live rows."""
    await page.goto(stage.url + "#/markets")
    await page.wait_for(
        f"/^(live|quiet)/.test(({ROW})('BTC-USDT', 'binance').cells[9].innerText) && "
        f"({ROW})('BTC-USDT', 'bybit').cells[5].innerText > '1'"
    )
    yield page
    stage.calm()


@ensureDeferred
async def test_quotes_in_the_table_are_quotes_of_the_venue_to_its_tick(markets: Any, stage: Any, shown: Any) -> None:
    for symbol, decimals in (("BTC-USDT", 2), ("ETH-USDT", 2), ("DOGE-USDT", 5), ("ADA-USDT", 4)):
        await markets.wait_for(f"/[0-9]/.test(({ROW})({symbol!r}, 'binance').cells[5].innerText)")
        row = await cells(markets, symbol, "binance")
        quotes = stage.simulator.truth.quotes("binance", MarketType.SPOT, symbol)
        assert (row[5], row[6]) in {(shown(each.bid, decimals), shown(each.ask, decimals)) for each in quotes}
        assert row[3].split()[0] in {
            shown(each.price, decimals) for each in stage.simulator.truth.trades("binance", MarketType.SPOT, symbol)
        }
        bid, ask = (Decimal(row[n].replace(",", "")) for n in (5, 6))
        spread = (ask - bid) / (ask + bid) * 20000
        assert row[7] == shown(str(spread), max(2, 1 - spread.adjusted())), "two digits of it at least"


@pytest.mark.parametrize(
    ("exchange", "market", "symbol", "decimals", "steps"), PLACES, ids=[f"{each[0]}-{each[2]}" for each in PLACES]
)
@ensureDeferred
async def test_the_ladder_is_a_book_that_the_venue_had(
    page: Any, stage: Any, shown: Any, exchange: str, market: str, symbol: str, decimals: int, steps: int
) -> None:
    await page.goto(stage.url + MARKET.format(exchange, market, symbol))
    await page.wait_for(f"{FULL} && document.querySelector('.panel-book .panel-state').innerText === 'live'")
    for _ in range(3):
        ladder = await page.probe("ladder")
        rows = len(ladder["bids"])
        assert rows == len(ladder["asks"]) >= 4
        seen = tuple([(price, size) for price, size, _ in ladder[side]] for side in ("bids", "asks"))
        instrument = stage.simulator.truth.instrument(exchange, MarketType(market), symbol)
        recent = [each.id for each in islice(reversed(instrument.book_changes), 1500)]
        assert any(
            seen == tuple([(shown(price, decimals), shown(size, steps)) for price, size in side] for side in book)
            for book in (
                stage.simulator.truth.book(exchange, MarketType(market), symbol, each, rows) for each in recent
            )
            if book is not None
        ), ladder
        for side in ("bids", "asks"):
            total = Decimal(0)
            for _, size, cumulated in ladder[side]:
                total += Decimal(size.replace(",", ""))
                assert cumulated == shown(str(total), steps)
        bid, ask = (Decimal(ladder[side][0][0].replace(",", "")) for side in ("bids", "asks"))
        assert ladder["spread"].startswith(shown(str(ask - bid), decimals))
        sequence = await page.text(".panel-book .panel-foot")
        await page.wait_for(
            f"document.querySelector('.panel-book .panel-foot').innerText.split(',')[0] !== {sequence.split(',')[0]!r}"
        )


@ensureDeferred
async def test_the_tape_tells_trades_that_happened(page: Any, stage: Any, shown: Any) -> None:
    await page.goto(stage.url + MARKET.format("binance", "spot", "BTC-USDT"))
    await page.wait_for("document.querySelectorAll('table.tape tbody tr:not([hidden])').length > 10")
    rows = await page.evaluate(
        "[...document.querySelectorAll('table.tape tbody "
        "tr:not([hidden]):not(.note)')].map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    trades = stage.simulator.truth.trades("binance", MarketType.SPOT, "BTC-USDT")
    happened = {(shown(each.price, 2), shown(each.size, 5), each.side) for each in trades}
    single = [(price, size, side.split()[0]) for _, price, size, side, _ in rows if "×" not in side]
    assert len(single) > 5 and set(single) <= happened
    for _, price, size, side, _ in rows:
        if "×" in side:  # the fills of one order, by their ids in one row
            count = int(side.split()[-1].rstrip("×"))
            runs = [trades[at : at + count] for at in range(len(trades) - count + 1)]
            assert (size, price.split("–")[-1], side.split()[0]) in {
                (shown(str(sum(Decimal(each.size) for each in run)), 5), shown(run[-1].price, 2), run[-1].side)
                for run in runs
            }
    times = [time for time, *_ in rows]
    assert times == sorted(times, reverse=True), "newest first (over midnight this fails once in a long while)"


@ensureDeferred
async def test_the_day_s_figures_and_the_closed_bars_are_those_of_rest(page: Any, stage: Any, shown: Any) -> None:
    await page.goto(stage.url + MARKET.format("bybit", "spot", "BTC-USDT"))
    await page.wait_for(
        "document.querySelectorAll('dl.figures dd').length > 5 && "
        "/[0-9]/.test(document.querySelector('dl.figures dd').innerText)"
    )
    await page.wait_for("document.querySelector('.market-last').innerText.includes('%')")
    await page.click("button[title='Show the bars as a table']")
    await page.wait_for("document.querySelectorAll('.chart-table tbody tr:not([hidden])').length > 50")
    bars = await page.evaluate(
        "[...document.querySelectorAll('.chart-table tbody "
        "tr:not([hidden])')].map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    rest = await stage.json(
        "api/candles", exchange="bybit", market_type="spot", symbol="BTC-USDT", interval="1m", limit=150
    )
    closed = {
        each["timestamp"][:16].replace("T", " "): [
            shown(str(each[name]), 1 if name != "volume" else 6) for name in ("open", "high", "low", "close", "volume")
        ]
        for each in rest["candles"]
        if each["closed"]
    }
    compared = 0
    for when, *values in bars:
        key = when.split(" ", 1)[1]
        if key in closed:
            compared += 1
            assert values[:5] == closed[key]
    assert compared > 40
    figures = dict(
        await page.evaluate(
            "[...document.querySelectorAll('dl.figures div')].map((each) "
            "=> [each.children[0].innerText, each.children[1].innerText])"
        )
    )
    ticker = await stage.json("api/ticker", exchange="bybit", symbol="BTC-USDT")
    assert figures["24h high"] == shown(str(ticker["high_24h"]), 1)
    assert figures["24h low"] == shown(str(ticker["low_24h"]), 1)


@ensureDeferred
async def test_rows_of_the_ladder_stand_still_while_the_book_moves(page: Any, stage: Any) -> None:
    await page.goto(stage.url + MARKET.format("binance", "spot", "BTC-USDT"))
    await page.wait_for(FULL)
    before = await page.probe("boxes")
    elements = await page.evaluate("window.kept = [...document.querySelectorAll('.ladder tr')], kept.length")
    text = await page.text(".ladder tbody")
    for _ in range(5):
        # A book may change below what is shown, so that its text, not its sequence, says that the rows moved.
        await page.wait_for(f"document.querySelector('.ladder tbody').innerText.trim() !== {text!r}")
        text = await page.text(".ladder tbody")
        assert await page.probe("boxes") == before
    assert (
        await page.evaluate("[...document.querySelectorAll('.ladder tr')].every((row, at) => row === kept[at])")
        and elements > 9
    )


@ensureDeferred
async def test_a_silent_market_goes_stale_with_its_cause_the_others_stay_and_it_comes_back(
    markets: Any, stage: Any
) -> None:
    others = (("ETH-USDT", "binance"), ("BTC-USDT", "bybit"), ("ETH-USDT", "bybit"))
    for symbol, exchange in others:
        await markets.wait_for(f"/^(live|quiet)/.test(({ROW})({symbol!r}, {exchange!r}).cells[9].innerText)")
    stage.fault("binance", "silent", "BTC-USDT")
    await markets.wait_for(f"/stale: silent/.test(({ROW})('BTC-USDT', 'binance').cells[9].innerText)")
    hit = f"({ROW})('BTC-USDT', 'binance')"
    assert await markets.evaluate(f"{hit}.className") == "untrusted"
    frozen = (await cells(markets, "BTC-USDT", "binance"))[:8]
    for symbol, exchange in others:
        row = await cells(markets, symbol, exchange)
        assert row[9].startswith(("live", "quiet")), row
    # Of one market the best prices may stay for longer than anybody would wait.
    quotes = (
        f"JSON.stringify({json.dumps(others)}.map(([symbol, exchange]) => "
        f"[5, 6].map((at) => ({ROW})(symbol, exchange).cells[at].innerText)))"
    )
    before = await markets.evaluate(quotes)
    await markets.wait_for(f"{quotes} !== {json.dumps(before)}", MOVES_S)
    assert (await cells(markets, "BTC-USDT", "binance"))[:8] == frozen, "kept for reading, not moving"
    muted, plain = [
        await markets.evaluate(f"getComputedStyle(({ROW})({each!r}, 'binance').cells[5]).color")
        for each in ("BTC-USDT", "ETH-USDT")
    ]
    assert muted != plain
    stage.calm()
    await markets.wait_for(f"/^(live|quiet)/.test({hit}.cells[9].innerText) && {hit}.className === ''", 15)
    await markets.wait_for(
        f"JSON.stringify([...{hit}.cells].slice(5, 7).map((cell) => cell.innerText)) !== "
        f"JSON.stringify({frozen[5:7]!r})",
        MOVES_S,
    )


@ensureDeferred
async def test_a_venue_in_maintenance_is_named_and_only_its_rows_are_dimmed(markets: Any, stage: Any) -> None:
    rows = "[...document.querySelectorAll('table.grid tbody tr')].filter((row) => row.cells.length > 5)"
    good = "good.filter((row) => row.className === '').length"
    await markets.evaluate("window.ours = (row) => row.cells[2].innerText.trim() === 'binance'")
    await markets.wait_for(
        f"(window.good = {rows}.filter((row) => row.className === '')).filter((row) => !ours(row)).length > 5", 15
    )
    here, all_of_them = await markets.evaluate("[good.filter(ours).length, good.length]")
    assert 5 < here < all_of_them - 5
    markets.excuse("status of 502 .*api/candles")  # the lines of the last day, of an exchange that answers nothing
    stage.fault("bybit", "maintenance")
    await markets.wait_for(f"{good} === {here}", 12)
    assert await markets.evaluate("good.filter(ours).every((row) => row.className === '')")
    await markets.wait_for(f"/maintenance/.test(({ROW})('BTC-USDT', 'bybit').cells[9].innerText)")
    await markets.wait_for(
        "/bybit (maintenance|offline|degraded)/.test(document.querySelector('.statusline').innerText)"
    )
    stage.calm()
    await markets.wait_for(f"{good} === {all_of_them}", 20)


@ensureDeferred
async def test_a_book_that_is_being_rebuilt_is_grey_and_says_so(page: Any, stage: Any) -> None:
    await page.goto(stage.url + MARKET.format("binance", "spot", "BTC-USDT"))
    await page.wait_for(FULL)
    stage.fault("binance", "crossed", "BTC-USDT")
    await page.wait_for(
        "/(resyncing|stale)(: crossed)?/.test(document.querySelector('.panel-book .panel-state').innerText)"
    )
    await page.wait_for("document.querySelector('.ladder-box.doubt')")
    ladder = await page.probe("ladder")
    prices = [Decimal(price.replace(",", "")) for price, *_ in reversed(ladder["asks"])] + [
        Decimal(price.replace(",", "")) for price, *_ in ladder["bids"]
    ]
    assert prices == sorted(prices, reverse=True), "never crossed on the screen"
    stage.calm()
    await page.wait_for(
        "!document.querySelector('.ladder-box.doubt') && "
        "document.querySelector('.panel-book .panel-state').innerText === 'live'",
        15,
    )


@ensureDeferred
async def test_an_invented_market_is_never_mistaken_for_a_real_one(page: Any, stage: Any) -> None:
    await page.goto(stage.url + MARKET.format("binance", "spot", "BTC-USDT"))
    await page.wait_for(
        "document.querySelector('.badge:not([hidden])')?.innerText === "
        "'DEMO DATA' && document.title.startsWith('DEMO ')"
    )
