"""The view that compares: what stands together is of one moment, what is left out is named, and every figure is the
venues' own or worked out from them exactly."""

from __future__ import annotations

import json
import re
from decimal import ROUND_FLOOR, Decimal
from random import Random
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import rfc3339

BTC = "#/compare/spot/BTC-USDT"
LEFT = "document.querySelector('.left-out').innerText"
COLUMNS = ["exchange", "bid", "ask", "mid", "off", "spread", "last", "age", "lag", "p50", "p99", "state"]


def cell(exchange: str, column: str) -> str:
    """An expression for the text of a cell of the table of venues."""
    return (
        "([...document.querySelectorAll('.venues tbody tr')].find((row) => "
        f"row.cells[0].textContent.endsWith({exchange!r}))?.cells[{COLUMNS.index(column)}].textContent ?? '')"
    )


@ensureDeferred
async def test_venues_side_by_side_are_their_own_quotes_and_the_best_of_them(page: Any, stage: Any, shown: Any) -> None:
    await page.goto(stage.url + BTC)
    await page.wait_for(
        "[...document.querySelectorAll('.venues tbody tr')].filter((row) "
        f"=> /^(live|quiet)/.test(row.lastChild.innerText)).length === 2 && {LEFT} === '2 of 2 venues'"
    )
    rows = {row[0].split()[-1]: row for row in await page.probe("rows", ".venues")}
    mids = {}
    for exchange, decimals in (("binance", 2), ("bybit", 1)):
        quotes = stage.simulator.truth.quotes(exchange, MarketType.SPOT, "BTC-USDT")
        assert tuple(rows[exchange][1:3]) in {(shown(each.bid, decimals), shown(each.ask, decimals)) for each in quotes}
        bid, ask = (Decimal(each.replace(",", "")) for each in rows[exchange][1:3])
        mids[exchange] = (bid + ask) / 2
    middle = sum(mids.values()) / 2
    for exchange, mid in mids.items():
        said = Decimal(rows[exchange][4].replace("\N{MINUS SIGN}", "-").replace("+", ""))
        assert abs(said - (mid / middle - 1) * 10_000) < Decimal("0.006")


@ensureDeferred
async def test_a_stale_venue_is_left_out_of_the_best_and_that_is_said(page: Any, stage: Any) -> None:
    await page.goto(stage.url + BTC)
    await page.wait_for("document.querySelector('.left-out')?.innerText === '2 of 2 venues'")
    stage.fault("bybit", "silent", "BTC-USDT")
    await page.wait_for(f"/^1 of 2 venues: left out bybit .*silent, [0-9.]+ s old$/.test({LEFT})", 10)
    assert (await page.text(".summary")).count("binance") == 2
    stage.calm()


@ensureDeferred
async def test_the_best_is_of_the_quotes_that_the_server_compares(page: Any, stage: Any, flood: Any) -> None:
    """Both tickers call themselves live; one of them is too old to be compared with the other."""
    late = {"exchange": "bybit", "state": "stale", "cause": "late"}
    flood.say_composite(venues={"binance": flood.quote(60_000, 60_001)}, excluded=[late])
    await page.goto(flood.url + BTC)
    await page.wait_for(f"/^1 of 2 venues: left out bybit stale: late, [0-9.]+ s old$/.test({LEFT})")
    said = await page.text(".summary")
    assert said == "best bid binance 60,000.00 \N{MIDDLE DOT} best ask binance 60,001.00"
    assert await page.count(".summary-line .crossed.vacant") == 1
    assert [row[-1] for row in await page.probe("rows", ".venues")] == ["live", "live"], "rows are the tickers"
    flood.say_composite(
        venues={"binance": flood.quote(60_000, 60_001), "bybit": flood.quote(60_001, 60_002)}, excluded=[]
    )
    await page.wait_for("document.querySelector('.summary-line .crossed').innerText === 'LOCKED: bid equals ask'")
    assert await page.evaluate(LEFT) == "2 of 2 venues"
    flood.say_composite(
        venues={"binance": flood.quote(60_000, 60_001), "bybit": flood.quote(60_004, 60_005)}, excluded=[]
    )
    await page.wait_for("document.querySelector('.summary-line .crossed').innerText === 'CROSSED 0.50 bp gross'")
    flood.say_composite(venues={}, excluded=[late, {**late, "exchange": "binance"}])
    await page.wait_for(
        f"/^0 of 2 venues: left out binance stale: late, [0-9.]+ s old; bybit stale: late, /.test({LEFT})"
    )
    assert await page.text(".summary") == "no venue can be trusted now"


@ensureDeferred
async def test_a_row_does_not_keep_the_lag_of_the_symbol_before(page: Any, stage: Any, flood: Any) -> None:
    lags = "[...document.querySelectorAll('.venues tbody tr')].map((row) => row.cells[8].textContent)"
    flood.rate = 100
    await page.goto(flood.url + BTC)
    await page.wait_for(f"{lags}.length === 2 && {lags}.every((each) => / ms$/.test(each))")
    flood.rate = 0
    # From now on it is never time to write ages and lags again: only the new symbol can be the cause.
    await page.evaluate("{ const at = performance.now(); performance.now = () => at; }")
    await page.go("#/compare/spot/ETH-USDT")
    await page.wait_for(f"document.querySelector('main h1').innerText === 'ETH-USDT spot' && !/ms/.test({lags})")


@ensureDeferred
async def test_without_the_server_s_word_nothing_is_compared(page: Any, stage: Any, flood: Any) -> None:
    """Tickers that all call themselves live may be of different moments."""
    flood.rate = 100
    await page.goto(flood.url + BTC)
    for exchange in ("binance", "bybit"):
        await page.wait_for(f"/[0-9]/.test({cell(exchange, 'bid')}) && {cell(exchange, 'state')} === 'live'")
    said = "nothing can be compared: the server has not said yet which quotes are of one moment"
    await page.wait_for(f"document.querySelector('.summary').innerText === {said!r}")
    assert await page.evaluate(LEFT) == "0 of 2 venues"
    assert await page.count(".summary-line .crossed.vacant") == 1
    assert [await page.evaluate(cell(each, "off")) for each in ("binance", "bybit")] == ["left out"] * 2
    flood.say_composite(
        venues={"binance": flood.quote(60_000, 60_001), "bybit": flood.quote(60_000, 60_001)}, excluded=[]
    )
    await page.wait_for(f"{LEFT} === '2 of 2 venues' && /^[+\u2212]?[0-9.]+$/.test({cell('bybit', 'off')})")


@ensureDeferred
async def test_a_venue_that_is_late_says_so_with_its_age_and_is_compared_with_nobody(page: Any, stage: Any) -> None:
    await page.viewport(375, 800)
    await page.goto(stage.url + BTC)
    await page.wait_for(f"{LEFT} === '2 of 2 venues'")
    stage.fault("bybit", "slow")
    await page.wait_for(f"/^1 of 2 venues: left out bybit stale: late, [0-9.]+ s old$/.test({LEFT})", 20)
    await page.wait_for(f"/^stale: late, [0-9.]+ s old$/.test({cell('bybit', 'state')})")
    assert await page.evaluate(cell("bybit", "off")) == "left out"
    ages = f"[...document.querySelectorAll('.venues tbody tr')].map((row) => row.cells[{COLUMNS.index('age')}])"
    assert await page.evaluate(f"{ages}.every((each) => each.checkVisibility())")
    assert await page.probe("wider") == []
    stage.calm()
    await page.wait_for(f"{LEFT} === '2 of 2 venues'", 40)  # the next test shall not find it on its way back


@ensureDeferred
async def test_delays_are_the_ledger_s_bounds_over_a_venue_s_streams(page: Any, stage: Any, tampered: Any) -> None:
    figures = {"binance": [(5, 10), (7, 150), (None, None)], "bybit": [(20000, 60000)], "okx": []}
    streams = [
        {"exchange": exchange, "in_use": True, "last_1h": {"delay_p50_ms": p50, "delay_p99_ms": p99} if p50 else {}}
        for exchange, each in figures.items()
        for p50, p99 in each
    ]
    streams.append({"exchange": "binance", "in_use": False, "last_1h": {"delay_p50_ms": 500, "delay_p99_ms": 500}})
    ledger = json.dumps({"streams": streams})
    await tampered.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source=f"answers.quality = () => Promise.resolve(new Response({json.dumps(ledger)}));",
    )
    await tampered.goto(stage.url + BTC)
    await tampered.wait_for(
        f"{cell('binance', 'p50')} === '\u2264 7 ms' && {cell('binance', 'p99')} === '\u2264 150 ms'"
    )
    assert await tampered.evaluate(cell("bybit", "p50")) == "\N{LESS-THAN OR EQUAL TO} 20 s"
    assert await tampered.evaluate(cell("bybit", "p99")) == "> 30 s"
    asked = "asked.filter((name) => name === 'quality').length"
    await tampered.wait_for(f"{asked} > 2", 10)
    refused = '() => Promise.resolve(Response.json({error: {message: "only for admins"}}, {status: 403}))'
    asked += " - reopened"
    await tampered.evaluate(f"answers.quality = {refused}; window.before = {asked};")
    await tampered.wait_for(f"{cell('binance', 'p50')} === '\u2013'", 10)
    once = await tampered.evaluate(asked)
    assert once <= await tampered.evaluate("before") + 1
    others = await tampered.evaluate("askedAt.exchanges.length")
    await tampered.wait_for(f"askedAt.exchanges.length >= {others + 9}", 20)
    await tampered.wait_for(f"{asked} === {once}")  # what is refused is not asked for again
    assert "Delays are not known, the server refuses: only for admins" in await tampered.text(".compare")
    await tampered.click("[aria-label='Retry: delays']")
    await tampered.wait_for(f"{asked} === {once + 1}")
    await tampered.go("#/health")
    await tampered.go(BTC)
    await tampered.wait_for(f"{asked} > {once + 1}")


def level(price: str, **venues: str) -> dict[str, Any]:
    """A level of a merged book."""
    parts = {name: Decimal(each) for name, each in venues.items()}
    return {"price": Decimal(price), "quantity": sum(parts.values()), "venues": parts}


MERGED = "[...document.querySelectorAll('.merged tr.{}')].map((row) => [...row.cells].map((cell) => cell.innerText))"
CROSSED = {
    "bids": [level("60010.5", bybit="0.5"), level("60000", binance="1", bybit="2"), level("59990", binance="1")],
    "asks": [level("60001", binance="0.3"), level("60005.25", binance="0.4"), level("60012", bybit="1")],
    "complete": True,
    "excluded": [{"exchange": "okx", "state": "stale", "cause": "late"}],
}


async def enter(page: Any, exchange: str, fee: str) -> None:
    await page.evaluate(
        f"(() => {{ const fee = document.querySelector('[aria-label=\"Taker fee of {exchange}, percent\"]');"
        f" fee.value = '{fee}'; fee.dispatchEvent(new Event('change')); }})()"
    )


@ensureDeferred
async def test_a_crossing_is_walked_level_by_level_after_the_fees_that_were_entered(
    page: Any, stage: Any, flood: Any
) -> None:
    flood.say_book("composite", **CROSSED)
    await page.goto(flood.url + BTC)
    gross, net = "document.querySelector('.gross').innerText", "document.querySelector('.net').innerText"
    # 0.3 x (60010.5 - 60001) + 0.2 x (60010.5 - 60005.25)
    await page.wait_for(f"{gross} === 'gross, before fees: 0.500000 BTC, profit 3.90 USDT'")
    assert await page.evaluate(net) == "net: enter the taker fee of bybit, binance"
    asks, bids = [await page.evaluate(MERGED.format(side)) for side in ("ask", "bid")]
    assert [row for row in reversed(asks) if row[0]] == [
        ["60,001.00", "0.300000", "BI 0.300000"],
        ["60,005.25", "0.400000", "BI 0.400000"],
        ["60,012.00", "1.000000", "BY 1.000000"],
    ]
    assert bids[1] == ["60,000.00", "3.000000", "BI 1.000000BY 2.000000"]
    assert (await page.text(".merged .spread")).startswith("crossed by 1.58 bp")
    await enter(page, "binance", "0.001")
    await enter(page, "bybit", "0.004")
    # of a pair 60001 x 0.00001 + 60010.5 x 0.00004 go to the venues: 3.00043; so 0.3 x 6.49957 + 0.2 x 2.2495275
    said = "net, after fees: 0.500000 BTC, profit 2.39 USDT: buy binance, sell bybit"
    await page.wait_for(f"{net} === {json.dumps(said)}")
    await enter(page, "bybit", "0.009")
    await page.wait_for(f"{net}.startsWith('net, after fees: 0.300000 BTC, profit 1.04 USDT')")
    await enter(page, "binance", "0.1")
    await page.wait_for(f"{net} === 'no crossing after fees'")
    assert (await page.evaluate(gross)).endswith("3.90 USDT"), "gross is another figure"
    for wrong in ("-1", "11"):
        await enter(page, "binance", wrong)
        await page.wait_for(
            "document.querySelector('.sizes + .problem, .compare .problem').innerText.includes('percent')"
        )
    await page.reload()
    await page.wait_for(f"{net} === 'no crossing after fees'")
    flood.say_book("composite", **{**CROSSED, "bids": CROSSED["bids"][:1]})
    await page.wait_for(f"{gross}.includes('\u2265 0.500000 BTC')")
    flood.say_book("composite", **{**CROSSED, "bids": CROSSED["bids"][1:]})
    await page.wait_for(f"{gross} === 'no crossing before fees' && {net} === 'no crossing after fees'")


@ensureDeferred
async def test_a_size_near_the_middle_that_the_book_does_not_prove_is_a_lower_bound(
    page: Any, stage: Any, flood: Any
) -> None:
    def levels(*pairs: tuple[int, str]) -> list[dict[str, Any]]:
        return [{"price": price, "quantity": Decimal(quantity)} for price, quantity in pairs]

    # 5, 10 and 25 bp of 60000 are 30, 60 and 150
    bids = levels((59_999, "0.1"), (59_970, "0.2"), (59_969, "0.4"), (59_850, "0.8"))
    asks = levels((60_001, "1.1"), (60_060, "2.2"), (60_151, "4.4"))
    flood.say_book("binance", bids=bids, asks=asks, complete=False)
    await page.goto(flood.url + BTC)
    rows = "[...document.querySelectorAll('.sizes tbody tr')].map((row) => [...row.querySelectorAll('.number span')]"
    text = f"{rows}.map((each) => each.textContent).join())[0]"
    said = "0.3000,1.1000,0.7000,3.3000,\u2265 1.5000,3.3000"
    await page.wait_for(f"{text} === '{said}'")


@ensureDeferred
async def test_the_consolidated_book_is_that_of_the_venues(page: Any, stage: Any) -> None:
    await page.goto(stage.url + BTC)
    await page.wait_for(f"{MERGED.format('bid')}.every(([price, , whose]) => price && whose)", 15)
    both = f"[...{MERGED.format('bid')}, ...{MERGED.format('ask')}]"
    await page.wait_for(f"/BI/.test({both}) && /BY/.test({both})", 30)
    for side, order in (("ask", True), ("bid", True)):
        rows = await page.evaluate(MERGED.format(side))
        prices = [Decimal(row[0].replace(",", "")) for row in rows]
        assert prices == sorted(prices, reverse=order)
        for _, size, whose in rows:
            parts = [Decimal(each) for each in re.findall(r"(?:BI|BY) ([0-9.]+?[0-9]{6})(?=B|$)", whose)]
            assert sum(parts) == Decimal(size)
    warned = "document.querySelectorAll('.left-out.warned').length"
    await page.wait_for(f"{warned} === 0")
    stage.fault("bybit", "silent", "BTC-USDT")
    left = "document.querySelector('[aria-label=\"Consolidated order book\"] .left-out').innerText"
    await page.wait_for(f"/^left out bybit stale.* old$/.test({left})", 15)
    await page.wait_for(f"!/BY/.test({both})")
    assert await page.text(".net") == "only binance counts: nothing can be compared"
    stage.calm()
    await page.wait_for(f"/BY/.test({both})", 40)


@ensureDeferred
async def test_a_net_crossing_is_exact(page: Any, stage: Any) -> None:
    """Against decimals: every unit is traded by itself, the best bid after fees with the best ask after fees."""
    await page.laboratory(stage.url)
    random = Random(5)
    for _ in range(30):
        fees = {name: Decimal(random.randrange(0, 30)) / 10_000 for name in ("a", "b", "c")}
        book: dict[str, Any] = {"merged": True}
        for side, sign in (("bids", -1), ("asks", 1)):
            prices = {
                Decimal(random.randrange(9_970, 10_000)) / 100 + (Decimal("0.2") if sign < 0 else 0) for _ in range(12)
            }
            book[side] = [
                [price, 0, {name: Decimal(random.randrange(1, 9)) / 1000 for name in random.sample("abc", 2)}]
                for price in sorted(prices, reverse=sign < 0)
            ]
        nets = [
            sorted(
                (
                    price * (1 + sign * fees[name] / 100)
                    for price, _, venues in book[side]
                    for name, quantity in venues.items()
                    for _ in range(int(quantity * 1000))
                ),
                reverse=sign < 0,
            )
            for side, sign in (("bids", -1), ("asks", 1))
        ]
        gains = [bid - ask for bid, ask in zip(*nets, strict=False) if bid > ask]
        given = json.dumps({"book": book, "fees": fees}, default=float)
        found = await page.module(
            "crossing.js",
            f"(({{book, fees}}) => m.netCrossing(book, fees, {{sizeDecimals: 3, profitDecimals: 8}}) ?? {{}})({given})",
        )
        if not gains:
            assert found == {}
            continue
        assert found["size"] == float(Decimal(len(gains)) / 1000)
        profit = (sum(gains) / 1000).quantize(Decimal("0.00000001"), ROUND_FLOOR)
        assert Decimal(repr(found["profit"])) == profit


BASIS = "[...document.querySelectorAll('.basis tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"


@ensureDeferred
async def test_basis_and_funding_are_of_both_markets_of_a_venue(page: Any, stage: Any, flood: Any) -> None:
    both = {"binance": flood.quote(60_000, 60_002), "bybit": flood.quote(60_000, 60_002)}
    flood.say_composite(venues=both, excluded=[])
    await page.goto(flood.url + BTC)
    funding = {"bid": 60_030, "ask": 60_032, "last": 60_031, "funding_rate": 0.0001}
    await page.wait_for(f"{BASIS}.length === 2 && {BASIS}[0][6] === 'live'")
    flood.say(
        "ticker", "binance", "perpetual", **funding, funding_interval_h=8, next_funding_time="2026-01-01T16:00:00Z"
    )
    flood.say("ticker", "bybit", "perpetual", **funding, next_funding_time="2026-01-01T16:00:00Z")
    await page.wait_for(f"{BASIS}[0].join('|') === 'binance|0.00|+0.0100|8 h|+10.95|16:00|live'")
    dash = "\N{EN DASH}"
    assert (await page.evaluate(BASIS))[1] == ["bybit", "0.00", "+0.0100", dash, dash, "16:00", "live"]
    flood.say("ticker", "bybit", "perpetual", **{**funding, "next_funding_time": "2026-01-01T20:00:00Z"})
    await page.wait_for(f"{BASIS}[1][3] === '4 h' && {BASIS}[1][4] === '+21.90'")
    late = {"exchange": "bybit", "state": "stale", "cause": "late"}
    flood.say_composite(venues={"binance": both["binance"]}, excluded=[late])
    await page.wait_for(f"/^spot stale: late, .*; perpetual stale: late, .* old$/.test({BASIS}[1][6])")
    assert (await page.evaluate(BASIS))[1][1] == dash, "of two moments there is no basis"


@ensureDeferred
async def test_the_basis_is_the_middle_of_the_perpetual_against_that_of_the_spot(page: Any, stage: Any) -> None:
    await page.goto(stage.url + BTC)
    await page.wait_for(f"{BASIS}.length === 2 && {BASIS}.every((row) => row[6] === 'live' && row[2] !== '\u2013')", 15)
    for exchange, basis, funding, every, *_ in await page.evaluate(BASIS):
        mids = []
        for market in (MarketType.SPOT, MarketType.PERPETUAL):
            quotes = stage.simulator.truth.quotes(exchange, market, "BTC-USDT")
            mids.append([(Decimal(each.bid) + Decimal(each.ask)) / 2 for each in quotes])
        low, high = ((f(mids[1]) / g(mids[0]) - 1) * 10_000 for f, g in ((min, max), (max, min)))
        assert low - 1 <= Decimal(basis.replace("\N{MINUS SIGN}", "-")) <= high + 1
        rest = await stage.json("api/ticker", exchange=exchange, symbol="BTC-USDT", market_type="perpetual")
        assert every == f"{rest['funding_interval_h']} h"
        assert abs(Decimal(funding.replace("\N{MINUS SIGN}", "-")) - rest["funding_rate"] * 100) < Decimal("0.01")


@ensureDeferred
async def test_who_follows_another_does_so_by_the_lag_that_its_quotes_have(page: Any, stage: Any, flood: Any) -> None:
    random, lag, step = Random(3), 300, 100
    await page.goto(flood.url + BTC)
    lead = "[...document.querySelectorAll('.lead tbody tr td')].map((cell) => cell.textContent)"
    dash = "\N{EN DASH}"
    await page.wait_for(f"{lead}.length === 5 && {lead}[0] === 'bybit'")
    assert (await page.evaluate(lead))[1:3] == [dash, dash]
    now, middle = stage.clock.wall_ms(), 60_000
    for at in range(now - 60_000, now - 1000, 2 * step):
        middle += random.choice((-1, 0, 1))
        for exchange, late in (("binance", 0), ("bybit", lag)):
            flood.say("bbo", exchange, timestamp=rfc3339(at + late), bid=middle - 0.5, ask=middle + 0.5)
    await page.wait_for(f"{lead}[4] !== 'no clear lead, or too few changes'", 15)
    _, found, correlation, changes, words = await page.evaluate(lead)
    assert abs(int(found.replace("+", "")) - lag) <= step
    assert float(correlation) > 0.9
    assert int(changes) > 100
    assert words == f"follows binance by {found.removeprefix('+')} ms"
    await page.evaluate(
        "(() => { const it = document.querySelector('[aria-label=\"Reference exchange\"]');"
        " it.value = 'bybit'; it.dispatchEvent(new Event('change')); })()"
    )
    await page.wait_for(f"{lead}[0] === 'binance' && /^leads bybit by [234]00 ms$/.test({lead}[4])")


SERIES = """
    let seed = 7;
    const chance = () => { seed = (seed * 16807) % 2147483647; return seed / 2147483647; };
    const move = () => (chance() < 0.3 ? chance() - 0.5 : 0);
    const walk = (count) => { let at = 100; return Array.from({length: count}, () => at += move()); };
    const one = walk(3000), other = walk(3000);
    const held = (index) => one[Math.min(2999, Math.max(0, index))];
    const behind = (steps) => one.map((_, index) => held(index - steps));
    const steps = (...pair) => m.leadLag(...pair.map((each) => Float64Array.from(each)), 20).steps ?? null;
"""


@ensureDeferred
async def test_a_known_lag_is_found_and_none_where_there_is_none(page: Any, stage: Any) -> None:
    await page.laboratory(stage.url)
    noisy = "behind(5).map((value) => value + (chance() < 0.1 ? 0.05 : 0))"
    holes = "behind(5).map((value, index) => index % 500 < 60 ? NaN : value)"
    cases = {
        "steps(one, behind(3))": 3,
        "steps(one, behind(-7))": -7,
        "steps(one, one)": 0,
        f"steps(one, {noisy})": 5,
        f"steps(one, {holes})": 5,
        "steps(one, other)": None,
        "steps(one, one.map(() => 5))": None,
        "steps(one.slice(0, 50), one.slice(0, 50))": None,
        "[...m.resample([[0, 1], [100, 2], [250, null], [400, 3]], 0, 100, 6)].join()": "1,2,2,NaN,3,3",
        "[...m.resample([[150, 1]], 0, 100, 3)].join()": "NaN,NaN,1",
    }
    found = await page.module("lead_lag.js", f"(() => {{ {SERIES} return [{', '.join(cases)}]; }})()")
    assert dict(zip(cases, found, strict=True)) == cases


LEGEND = "[...document.querySelector('.lines-legend').children].map((each) => each.textContent)"


@ensureDeferred
async def test_the_chart_begins_with_the_candles_of_both_and_says_so(page: Any, stage: Any) -> None:
    await page.goto(stage.url + BTC)
    await page.wait_for(
        "/^Until [0-9:]{8} from the closes of one-minute candles/.test(document.querySelector('.grow p').innerText)", 15
    )
    assert (await page.text(".grow h2")) == "binance minus bybit, bp of bybit"
    closes: list[dict[str, Decimal]] = []
    for exchange in ("binance", "bybit"):
        rest = await stage.json("api/candles", exchange=exchange, symbol="BTC-USDT", interval="1m", limit=40)
        closes.append({each["timestamp"]: each["close"] for each in rest["candles"]})
    there = {round((closes[0][at] / closes[1][at] - 1) * 10_000, 2): at for at in closes[0].keys() & closes[1].keys()}
    x, y, width = await page.evaluate(
        "(({x, y, width}) => [x, y, width])(document.querySelector('.lines-plot').getBoundingClientRect())"
    )
    for share in (0.2, 0.4, 0.6):
        await page.mouse("mouseMoved", x + width * share, y + 40)
        await page.wait_for(f"/^[0-9:]{{8}} from candles$/.test({LEGEND}[0])")
        words = (await page.evaluate(LEGEND))[1]
        name, value, unit = re.findall(r"^(.+) ([^ ]+) (bp)$", words)[0]
        assert name == "binance \N{MINUS SIGN} bybit"
        assert Decimal(value.replace("\N{MINUS SIGN}", "-")) in there, (words, unit)
    await page.mouse("mouseMoved", x + width / 2, y - 30)
    await page.wait_for(f"{LEGEND}[0] === 'now' && / [+\u2212]?[0-9.]+ bp$/.test({LEGEND}[1])")


@ensureDeferred
async def test_the_symbol_is_searched_for_and_the_next_one_is_a_key_away(page: Any, stage: Any) -> None:
    await page.goto(stage.url + BTC)
    await page.wait_for(f"{LEFT} === '2 of 2 venues'")
    await page.click("[aria-label=Symbol]")
    await page.write("eth usdt")
    option = "document.querySelector('#compared-found [aria-selected=true]').textContent"
    await page.wait_for(f"{option} === 'ETH-USDTspot, 2 exchanges'")
    await page.press("ArrowDown")
    await page.wait_for(f"{option} === 'ETH-USDTperpetual, 2 exchanges'")
    await page.press("Enter")
    await page.wait_for("location.hash === '#/compare/perpetual/ETH-USDT'")
    await page.wait_for("document.querySelector('main h1').innerText === 'ETH-USDT perpetual'")
    await page.press("k")
    await page.wait_for("location.hash === '#/compare/perpetual/BTC-USDT'")
    await page.press("j")
    await page.wait_for("location.hash === '#/compare/perpetual/ETH-USDT'")
    assert await page.count("#compared-found:not([hidden])") == 0


AT = "(hour) => ({next_funding_time: hour === undefined ? hour : new Date(hour * 3600000).toISOString()})"
"""A ticker that announces the next funding for an hour of 1970."""


def seen(*looks: tuple[str, int]) -> str:
    """What a new clock of funding says to each of these tickers, at these times."""
    takes = ", ".join(f"clock.take(at({hour}), {now})" for hour, now in looks)
    return f"((clock, at) => [{takes}].join())(new m.FundingClock(), {AT})"


PURE = {
    "funding.js": {
        "m.yearly(0.0001, 8)": 0.1095,
        "m.yearly(0.0001, undefined) ?? null": None,
        "m.basisOf({bid: 99, ask: 101}, {bid: 100, ask: 102}, 5)": {"bps": 100.00000000000009, "isMark": False},
        "m.basisOf({bid: 99, ask: 101}, {}, 99)": {"bps": -100.00000000000009, "isMark": True},
        "m.basisOf({bid: 99}, {bid: 100, ask: 102}, 5) ?? null": None,
        seen(("0", 0), ("8", 100_000), ("12", 100_500), ("undefined", 100_600)): ",,4,4",
        seen(("0", 0), ("0.5", 1000), ("8.5", 2000)): ",,8",
        "new m.FundingClock().take({funding_interval_h: 1}, 0)": 1,
    },
    "compare_lines.js": {
        "JSON.stringify(m.differences(['a', 'b'], new Map([['a', 101], ['b', 100]])))": "[100.00000000000009]",
        "JSON.stringify(m.differences(['a', 'b'], new Map([['a', 101]])))": "[null]",
        "JSON.stringify(m.differences(['a', 'b', 'c'], new Map([['a', 101], ['c', 100], ['b', 99]])).map("
        "(each) => each && Math.round(each)))": "[100,-100,0]",
        "JSON.stringify(m.differences(['a', 'b', 'c'], new Map([['b', 5]])))": "[null,null,null]",
        "JSON.stringify(m.pointsOfCandles(['a', 'b'], new Map([['a', new Map([[60000, 2], [120000, 2], [300000, 3]])],"
        " ['b', new Map([[60000, 2], [300000, 3], [360000, 9]])]]), 300000))": (
            "[[60000,[0]],[120000,[null]],[240000,[null]],[300000,[0]]]"
        ),
    },
    "compare_search.js": {
        "m.comparable({all: [['spot', 'A'], ['spot', 'A'], ['spot', 'B'], ['perpetual', 'B'], ['perpetual', 'B']].map("
        "([market_type, symbol]) => ({market_type, symbol}))}, 'spot/C').join()": "spot/C,spot/A,perpetual/B",
    },
    "exact.js": {
        "String(m.units(60001.5))": "60001500000000000000000",
        "String(m.units(1e-8))": "10000000000",
        "String(m.units(1.25e-7) + m.units(0.1) + m.units(0.2) - m.units(0.3))": "125000000000",
        "String(m.units(1e21))": "1" + "0" * 39,
        "m.floored(m.units(0.129), 18, 2)": 0.12,
        "m.floored(-m.units(0.121), 18, 2)": -0.13,
    },
    "compare_book.js": {
        "JSON.stringify(m.marksOf(['binance', 'bybit', 'okx']))": '{"binance":"BI","bybit":"BY","okx":"O"}',
        "JSON.stringify(m.marksOf(['kraken', 'krak']))": '{"kraken":"KRAKE","krak":"KRAK"}',
    },
    "compare_quotes.js": {
        "m.valueAge({ age: () => 100, lag: 3700 }, 0)": 3700,
        "m.valueAge({ age: () => 5000, lag: 3700 }, 0)": 5000,
        "m.valueAge({ age: () => 5000 }, 0)": 5000,
        "m.agedWords('stale: late', { age: () => 100, lag: 3800 }, 0)": "stale: late, 3.8 s old",
        "m.agedWords('connecting', { age: () => undefined }, 0)": "connecting",
    },
}


@pytest.mark.parametrize("module", PURE)
@ensureDeferred
async def test_the_arithmetic(page: Any, stage: Any, module: str) -> None:
    await page.laboratory(stage.url)
    cases = PURE[module]
    found = await page.module(module, f"[{', '.join(cases)}]")
    assert dict(zip(cases, found, strict=True)) == cases
