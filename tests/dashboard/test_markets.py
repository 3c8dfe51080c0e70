"""The table of markets: in one order and one currency, said by which rates; columns of one's own; on paper whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pytest_twisted import ensureDeferred

from cryptodash.core.instruments import MarketType

LIVE = "document.documentElement.dataset.socket === 'open' && cryptodash.applied > 5"
HEADS = "[...document.querySelectorAll('.markets thead th')].map((each) => each.textContent)"
ROWS = """(() => {
    const names = [...document.querySelectorAll('.markets thead th')].map((each) => each.textContent.split(',')[0]);
    return [...document.querySelectorAll('.markets tbody tr:not(.pad)')].map((row) => Object.fromEntries(
        [...row.cells].map((cell, at) => [names[at], [cell.textContent.trim(), cell.title, cell.className]])));
})()"""
NORMAL = [
    "Favourite",
    "Market",
    "Exchange",
    "Last",
    "24h change",
    "Bid",
    "Ask",
    "Spread",
    "24h volume",
    "State",
    "24h line",
]
ALL = "localStorage.setItem('cryptodash.1', JSON.stringify({columns: %s}))"
EVERY = ["ex", "last", "change", "bid", "ask", "spread", "volume", "own", "high", "low", "funding", "interest", "spark"]

COLUMNS: Mapping[str, Any] = {
    "m.columnsFor([], 375)": ["star", "market", "last", "change", "volume", "state"],
    "m.columnsFor([], 1440).length": 11,
    "m.columnsFor([], 2560).length": 16,
    "m.columnsFor(['low', 'ex', 'nonsense'], 375)": ["star", "market", "ex", "low", "state"],
    "m.heading('last', '', 'USDT')": "Last, quote",
    "m.heading('last', 'USDC', 'USDT')": "Last, USDC",
    "m.heading('volume', 'USDC', 'USDT')": "24h volume, USDT",
    "m.heading('spread', '', 'USDT')": "Spread, bp",
    "m.withUnit(12400, 'BTC')": "12.40K BTC",
    "m.withUnit(undefined, 'BTC')": "\N{EN DASH}",
    "m.COLUMNS.funding.write({funding_rate: 0.0001052, funding_interval_h: 8})": "+0.0105 % / 8 h",
    "m.COLUMNS.funding.write({funding_rate: -0.0001})": "\N{MINUS SIGN}0.0100 %",
    "m.COLUMNS.funding.write({})": "\N{EN DASH}",
    "m.COLUMNS.interest.write({open_interest: 585.169}, {base: 'BTC'})": "585.2 BTC",
    "m.turnover({quote_volume_24h: 7, volume_24h: 2, last: 3})": 7,
    "m.turnover({volume_24h: 2, last: 3})": 6,
}
CONVERSION: Mapping[str, Any] = {
    "m.commonCurrency([{quote: 'USD'}, {quote: 'USD'}, {quote: 'USDT'}, {quote: 'BTC'}])": "USD",
    "m.commonCurrency([{quote: 'USD'}, {quote: 'USDT'}])": "USDT",
    "m.commonCurrency([{quote: 'EUR'}, {quote: 'BTC'}, {quote: 'EUR'}])": "EUR",
    "m.legsOf((each) => each === 'BTC-USDT', 'BTC', 'USDT')": [{"symbol": "BTC-USDT", "inverse": False}],
    "m.legsOf((each) => each === 'USDT-TRY', 'TRY', 'USDT')": [{"symbol": "USDT-TRY", "inverse": True}],
    "m.legsOf((each) => ['BTC-USDT', 'BTC-USD'].includes(each), 'USD', 'USDT')": [
        {"symbol": "BTC-USD", "inverse": True},
        {"symbol": "BTC-USDT", "inverse": False},
    ],
    "m.legsOf((each) => each === 'BTC-USDT', 'USDC', 'USDT')": None,
}
HOUR = "(hour, close) => ({timestamp: new Date(Date.UTC(2026, 0, 2, hour)).toISOString(), close})"
SPARK: Mapping[str, Any] = {
    f"m.sparkPath([[22, 1], [23, 3]].map(([h, c]) => ({HOUR})(h, c)))": "M91.8 19.0h0L96.0 1.0",
    f"m.sparkPath([[0, 1], [22, 2], [23, 3]].map(([h, c]) => ({HOUR})(h, c)))": "M0.0 19.0h0M91.8 10.0h0L96.0 1.0",
    f"m.sparkPath([({HOUR})(23, 7)])": "M96.0 19.0h0",
    f"m.sparkWords([[22, 1], [23, 3]].map(([h, c]) => ({HOUR})(h, c)), 1)": (
        "2 hourly closes, 2026-01-02 22:00 to 2026-01-02 23:00 UTC: from 1.0 to 3.0, low 1.0, high 3.0"
    ),
}
MODULES = {"columns.js": COLUMNS, "conversion.js": CONVERSION, "sparkline.js": SPARK}


def number(text: str) -> Decimal:
    """What a text of the page says, without its marks."""
    return Decimal(text.replace(",", "").replace("\N{MINUS SIGN}", "-").lstrip("\N{ALMOST EQUAL TO} "))


def compact(value: Decimal) -> str:
    """A large figure as the page writes it."""
    power = next(each for each in range(4) if abs(value) / 1000**each < Decimal("999.95"))
    scaled = value / 1000**power
    return f"{scaled:.{4 - len(str(int(abs(scaled))))}f}{['', 'K', 'M', 'B'][power]}"


async def row_of(page: Any, symbol: str, exchange: str) -> Any:
    """The cells of a row by their headings: [text, title, class]."""
    rows = await page.evaluate(ROWS)
    return next(
        each
        for each in rows
        if each["Market"][0].startswith(symbol) and each.get("Exchange", [exchange])[0] == exchange
    )


@ensureDeferred
async def test_the_pure_parts(page: Any, stage: Any) -> None:
    await page.laboratory(stage.url)
    for module, cases in MODULES.items():
        for expression, wanted in cases.items():
            assert await page.module(module, expression) == wanted, expression


@ensureDeferred
async def test_the_table_begins_with_the_largest_volume_in_one_currency(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/markets?m=all")
    await page.wait_for(f"{LIVE} && ({ROWS}).slice(0, 10).every((row) => /[0-9]/.test(row['24h volume'][0]))", 20)
    assert [each.split(",")[0] for each in await page.evaluate(HEADS)] == NORMAL
    assert "24h volume, USDT" in await page.evaluate(HEADS)
    assert await page.evaluate("document.querySelector('[aria-sort=descending]').textContent") == "24h volume, USDT"
    # The order is of the last sort, the figures are of now: held against what the venues say.
    await page.wait_for(f"({ROWS})[0].Market[0].startsWith('BTC-USDT')", 20)
    places = [
        (exchange, market, each)
        for (exchange, market), found in stage.simulator.markets.items()
        if exchange in ("binance", "bybit")
        for each in ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BTC-USDC"]
    ]
    largest = max(
        places,
        key=lambda place: (
            Decimal(stage.truth(place[0], place[2], place[1]).volume)
            * Decimal(stage.truth(place[0], place[2], place[1]).last)
        ),
    )
    name = f"{largest[2]}{'perp' if largest[1] is MarketType.PERPETUAL else ''}"
    await page.wait_for(f"((row) => row.Exchange[0] === {largest[0]!r} && row.Market[0] === {name!r})(({ROWS})[0])", 20)


@ensureDeferred
async def test_what_is_converted_says_by_which_quotes_and_is_their_product(page: Any, stage: Any, flood: Any) -> None:
    two = {"bid": 60_000, "bid_size": 1, "ask": 60_001, "ask_size": 1, "age_ms": 0}
    flood.say_composite(bid=60_000, ask=60_001, venues={"binance": two, "bybit": two}, excluded=[])
    await page.goto(flood.url + "#/markets?quote=BTC")
    await page.wait_for(f"{LIVE} && ({ROWS}).some((row) => row['24h volume'][0].startsWith('\u2248'))", 20)
    text, title, _ = (await row_of(page, "ETH-BTC", "binance"))["24h volume"]
    assert text == f"\N{ALMOST EQUAL TO} {compact(Decimal('73456.5') * Decimal('60000.5'))}"
    assert title.startswith(
        "73,456.5 BTC, 1,234.5 ETH \N{MULTIPLICATION SIGN} BTC-USDT 60,000.5 (middle, best of binance, bybit, "
    )
    await page.wait_for(f"({ROWS}).length > 0")
    # Of no quote nothing is known, and the amount keeps its own currency.
    flood.say_composite(venues={}, excluded=[])
    await page.wait_for(f"({ROWS}).every((row) => row['24h volume'][0] === '73.46K BTC')")
    row = await row_of(page, "ETH-BTC", "binance")
    assert row["24h volume"][1] == "73,456.5 BTC, 1,234.5 ETH: no live rate to USDT"
    assert "unsure" in row["24h volume"][2]


@ensureDeferred
async def test_a_dollar_coin_is_no_dollar(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/markets?q=eth")
    await page.wait_for(f"{LIVE} && ({ROWS}).filter((row) => /[0-9]/.test(row['24h volume'][0])).length > 5", 20)
    own, other = [(await row_of(page, each, "binance"))["24h volume"] for each in ("ETH-USDT", "ETH-USDC")]
    assert not own[0].startswith("\N{ALMOST EQUAL TO}") and "\N{MULTIPLICATION SIGN}" not in own[1]
    await page.wait_for(
        f"({ROWS}).some((row) => row.Market[0] === 'ETH-USDC' && row['24h volume'][0].startsWith('\u2248'))"
    )
    text, title, _ = (await row_of(page, "ETH-USDC", "binance"))["24h volume"]
    assert "\N{DIVISION SIGN} BTC-USDC" in title and "\N{MULTIPLICATION SIGN} BTC-USDT" in title, other
    amount = number(title.split(" ")[0])
    down, up = (number(title.partition(f"{each} ")[2].split(" ")[0]) for each in ("BTC-USDC", "BTC-USDT"))
    assert text == f"\N{ALMOST EQUAL TO} {compact(amount / down * up)}"


@ensureDeferred
async def test_every_figure_is_the_exchange_s(page: Any, stage: Any, shown: Any) -> None:
    await page.goto(stage.url + "health")
    await page.evaluate(ALL % json.dumps(EVERY))
    await page.goto(stage.url + "#/markets?m=perpetual&q=btc-usdt")
    await page.wait_for(
        f"{LIVE} && ({ROWS}).every((row) => /[0-9]/.test(row.Funding[0] + row['Open interest'][0]))", 20
    )
    row = await row_of(page, "BTC-USDT", "binance")
    ticker = await stage.json("api/ticker", exchange="binance", symbol="BTC-USDT", market_type="perpetual")
    assert row["24h high"][0] == shown(str(ticker["high_24h"]), 1)
    assert row["24h low"][0] == shown(str(ticker["low_24h"]), 1)
    funding = f"{ticker['funding_rate'] * 100:+.4f}".replace("-", "\N{MINUS SIGN}")
    assert row["Funding"][0] == f"{funding} % / {ticker['funding_interval_h']} h"
    assert row["Open interest"][0].endswith(" BTC")
    assert abs(number(row["Open interest"][0].split(" ")[0]) / ticker["open_interest"] - 1) < Decimal("0.02")
    await page.wait_for(f"({ROWS}).every((row) => row['24h line'][1].startsWith('24 hourly closes'))", 20)
    words = (await row_of(page, "BTC-USDT", "binance"))["24h line"][1]
    rest = await stage.json(
        "api/candles", exchange="binance", market_type="perpetual", symbol="BTC-USDT", interval="1h", limit=24
    )
    closed = [each["close"] for each in rest["candles"]]
    decimals = len(row["Last"][0].split()[0].partition(".")[2])
    assert decimals == 1 and f"from {shown(str(closed[0]), 1)} to " in words


@ensureDeferred
async def test_the_lines_of_24_hours_are_of_the_rows_in_sight_two_requests_at_a_time_and_a_refusal_is_final(
    tampered: Any, stage: Any
) -> None:
    await tampered.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""{
            window.most = window.running = 0;
            window.candles = [];
            const plain = window.fetch;
            window.fetch = async (url, ...rest) => {
                if (!String(url).includes('api/candles')) return plain(url, ...rest);
                const { searchParams } = new URL(url);
                window.candles.push(`${searchParams.get('exchange')} ${searchParams.get('symbol')}`);
                window.most = Math.max(window.most, window.running += 1);
                await new Promise((done) => setTimeout(done, 50));
                window.running -= 1;
                if (searchParams.get('symbol') === 'ETH-USDT') {
                    return new Response('{"error": {"code": "x", "message": "not here"}}', { status: 400 });
                }
                return plain(url, ...rest);
            };
        }""",
    )
    await tampered.goto(stage.url + "#/markets?sort=market")
    await tampered.viewport(1440, 500)
    await tampered.wait_for(f"{LIVE} && candles.length > 5 && running === 0", 20)
    asked = await tampered.evaluate("candles")
    assert await tampered.evaluate("most") == 2
    rows = len(await tampered.evaluate(ROWS))
    assert len(set(asked)) == len(asked) < rows, "only what is in sight, each once"
    await tampered.evaluate("document.querySelector('.scroller').scrollTop = 0; location.hash = '#/markets?q=eth-usdt'")
    await tampered.wait_for(f"({ROWS}).some((row) => row['24h line'][0] === '\u2013')", 20)
    before = await tampered.evaluate("candles.filter((each) => each === 'binance ETH-USDT').length")
    assert before == 1
    await tampered.evaluate("window.ahead += 3600000, new Promise((done) => setTimeout(done, 3000))")
    assert await tampered.evaluate("candles.filter((each) => each === 'binance ETH-USDT').length") == 1
    refusal = "document.querySelector('.markets > .panel-refusal').innerText"
    assert await tampered.evaluate(f"/^No line of [0-9]+ markets?, the server refuses: not here/.test({refusal})")
    await tampered.click("[aria-label='Retry: lines of 24 hours']")
    await tampered.wait_for("candles.filter((each) => each === 'binance ETH-USDT').length === 2")


@ensureDeferred
async def test_columns_are_chosen_in_a_menu_and_kept(page: Any, stage: Any) -> None:
    await page.goto(stage.url + "#/markets")
    await page.wait_for(f"{LIVE} && ({ROWS}).length > 10")
    await page.click(".menu summary")
    await page.click(".menu [name=column-high]")
    await page.click(".menu [name=column-bid]")
    wanted = [each for each in [*NORMAL[:9], "24h high", *NORMAL[9:]] if each != "Bid"]
    names = f"({HEADS}).map((each) => each.split(',')[0])"
    await page.wait_for(f"JSON.stringify({names}) === {json.dumps(json.dumps(wanted, separators=(',', ':')))!s}")
    await page.reload()
    await page.wait_for(f"{LIVE} && ({ROWS}).some((row) => /[0-9]/.test(row['24h high'][0]))")
    assert await page.evaluate(names) == wanted
    await page.click(".menu summary")
    await page.press("Escape")
    assert await page.evaluate("!document.querySelector('.menu').open")
    await page.click(".menu summary")
    await page.click(".menu .small")
    await page.wait_for(f"{names}.includes('Bid') && !{names}.includes('24h high')")
    await page.viewport(375, 800)
    await page.wait_for(f"{names}.join() === 'Favourite,Market,Last,24h change,24h volume,State'")


@ensureDeferred
async def test_no_text_is_cut_off_or_runs_into_its_neighbour(page: Any, stage: Any) -> None:
    cut = """[...document.querySelectorAll('.markets tbody tr:not(.pad) td.number')].filter((cell) =>
        cell.checkVisibility() && cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent)"""
    for width in (375, 1440, 2560):
        await page.viewport(width, 900)
        await page.goto(stage.url + "#/markets?m=all&q=pepe")
        await page.wait_for(f"{LIVE} && ({ROWS}).length > 2 && ({ROWS}).every((row) => /[0-9]/.test(row.Last[0]))", 20)
        assert await page.evaluate(cut) == []
        assert await page.probe("wider") == []


@ensureDeferred
async def test_the_order_holds_still_under_the_pointer_and_for_seconds(tampered: Any, stage: Any, until: Any) -> None:
    """Whatever the values do: their order is read from the page, that of the rows from the document."""
    await tampered.goto(stage.url + "#/markets?sort=-last")
    await tampered.wait_for(f"{LIVE} && ({ROWS})[0].Market[0].startsWith('BTC')", 20)
    await tampered.wait_for("document.querySelector('.order').textContent === 'sorted every 5 s'")
    await tampered.mouse("mouseMoved", 500, 400)
    await tampered.wait_for("document.querySelector('.order').textContent === 'order held'")
    moved = (
        "window.moves = 0, new MutationObserver((all) => { moves += all.length; })"
        ".observe(document.querySelector('.markets tbody'), { childList: true })"
    )
    await tampered.evaluate(moved)
    # Turned round by hand: nothing but a new order would put it right.
    await tampered.evaluate("{ const body = document.querySelector('.markets tbody'); body.append(body.rows[1]); }")
    await tampered.evaluate("moves = 0")
    await tampered.evaluate("window.ahead += 60000, new Promise((done) => setTimeout(done, 4000))")
    assert await tampered.evaluate("moves") == 0
    await tampered.mouse("mouseMoved", 500, 20)
    await tampered.evaluate("window.ahead += 6000")
    await tampered.wait_for(f"moves > 1 && ({ROWS})[0].Market[0].startsWith('BTC')", 20)


@ensureDeferred
async def test_a_new_order_subscribes_what_came_into_sight_and_no_more(page: Any, stage: Any, until: Any) -> None:
    sent = (
        "window.sent.filter((each) => each.op === 'subscribe').flatMap((each) => each.channels)"
        ".filter((each) => each.symbol !== '*' && each.channel_type === 'ticker').length"
    )
    await page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""window.sent = [];
        {
            const send = WebSocket.prototype.send;
            WebSocket.prototype.send = function (text) { sent.push(JSON.parse(text)); send.call(this, text); };
        }""",
    )
    await page.goto(stage.url + "#/markets?ex=binance&sort=-change")
    await page.wait_for(f"{LIVE} && ({ROWS}).every((row) => /^(live|quiet|.*halted)/.test(row.State[0]))", 20)
    rows = len(await page.evaluate(ROWS))
    assert await page.evaluate(sent) == rows
    before = await page.text(".markets tbody")
    await page.wait_for(f"document.querySelector('.markets tbody').innerText !== {json.dumps(before)}", 20)
    assert await page.evaluate(sent) == rows, "all of them are on the screen: a new order changes nothing"


@ensureDeferred
async def test_on_paper_the_table_is_whole_and_light(page: Any, stage: Any) -> None:
    await page.media(prefers_color_scheme="dark")
    await page.viewport(1440, 500)
    await page.goto(stage.url + "#/markets?m=all&ex=binance")
    await page.wait_for(f"{LIVE} && ({ROWS}).slice(0, 5).every((row) => /[0-9]/.test(row.Last[0]))", 20)
    text = await page.wait_for(
        "(/([0-9]+) of [0-9]+ markets/.exec(document.querySelector('.filters').innerText) ?? [])[1]"
    )
    assert len(await page.evaluate(ROWS)) < int(text)
    await page.call("Emulation.setEmulatedMedia", media="print")
    told = f"dispatchEvent(new Event('beforeprint')), ({ROWS}).filter((row) => /[0-9]/.test(row.Last[0])).length"
    await page.wait_for(f"({told}) > 0.9 * {text}", 20)
    rows = await page.evaluate(ROWS)
    assert len(rows) == int(text)
    assert all(each["State"][0] for each in rows if set("0123456789") & set(each["Last"][0]))
    colours = (
        "[...new Set([...document.querySelectorAll('.markets tbody tr:not(.pad) td.name a')]"
        ".map((each) => getComputedStyle(each).color))].join()"
    )
    assert await page.evaluate(colours) == "rgb(0, 0, 0)"
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    scroller = "document.querySelector('.scroller')"
    assert await page.evaluate(f"{scroller}.scrollHeight <= {scroller}.clientHeight + 1"), "nothing is scrolled away"
    await page.call("Emulation.setEmulatedMedia", media="")
    await page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(await page.evaluate(ROWS)) < int(text)
    # The browser's own way to paper is the same.
    await page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = ({ROWS}).length; }})")
    await page.call("Page.printToPDF", pageRanges="1")
    assert await page.evaluate("printed") == int(text)
