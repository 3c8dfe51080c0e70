"""The chart says one last price with the header and the tape, stays where a hand has put it, and tells what it does not
know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

MARKET = "#/market/binance/spot/BTC-USDT"
MINUS = "\N{MINUS SIGN}"
LEGEND = "document.querySelector('.chart-legend').innerText"
READY = f"/C [0-9]/.test({LEGEND}) && document.documentElement.dataset.socket === 'open'"
BARS = [
    {
        "timestamp": f"2026-07-22T10:0{minute}:00.000Z",
        "open": 100.0,
        "high": 101.0,
        "low": 99.0,
        "close": 100.5,
        "volume": 5.0,
        "closed": minute < 2,
    }
    for minute in range(3)
]
T = 1_784_714_520_000  # 2026-07-22T10:02:00Z, when the open one of them opens


def folded(actions: str, result: str) -> str:
    """An expression of series.js: what is ``result`` after ``actions`` on two closed bars and an open one."""
    return f"""(() => {{
        const s = new m.Series("1m"), put = (more) => s.put({{ ...{json.dumps(BARS[2])}, ...more }});
        s.merge({json.dumps(BARS)});
        {actions}
        const {{ open, high, low, close, volume, closed }} = s.last;
        return {result}; }})()"""


SERIES: Mapping[str, Any] = {
    folded(f"s.fold(100.7, {T + 1});", "[high, low, close]"): [101, 99, 100.7],
    folded(f"s.fold(103, {T + 1}); s.fold(98, {T + 2});", "[open, high, low, close, volume, closed]"): [
        100,
        103,
        98,
        98,
        5,
        False,
    ],
    # Older than what is folded: nothing. As old: the later word counts.
    folded(f"s.fold(103, {T + 5}); s.fold(98, {T + 4});", "[high, low, close]"): [103, 99, 103],
    folded(f"s.fold(103, {T + 5}); s.fold(98, {T + 5});", "close"): 98,
    # Of a bar that is closed, also where the open one is not there yet.
    folded(f"s.fold(98, {T - 1});", "[close, s.bars[1].close, s.version === s.bars.length]"): [100.5, 100.5, True],
    folded(f"put({{ closed: true }}); s.fold(98, {T + 9});", "[low, close, closed]"): [99, 100.5, True],
    # The venue's bar replaces all of it.
    folded(f"s.fold(103, {T + 1}); put({{ close: 100.1, volume: 6 }});", "[high, low, close, volume]"): [
        101,
        99,
        100.1,
        6,
    ],
    folded(f"s.fold(103, {T + 1}); put({{ close: 100.1, closed: true }});", "[high, close, closed]"): [
        101,
        100.1,
        True,
    ],
    # A bar that a price opened closes nothing and has no volume; the hole before it is seen when the venue speaks.
    folded(f"s.fold(103, {T + 60001});", "[open, high, low, close, volume ?? 'none', closed, s.bars[2].closed]"): [
        103,
        103,
        103,
        103,
        "none",
        False,
        False,
    ],
    folded(
        f"s.fold(103, {T + 60001}); window.hole = put({{ timestamp: '2026-07-22T10:03:00.000Z' }});", "[hole, volume]"
    ): [
        True,
        5,
    ],
    folded(
        f"s.fold(103, {T + 60001});"
        f"s.merge([{{ ...{json.dumps(BARS[2])}, timestamp: '2026-07-22T10:03:00.000Z', volume: 0 }}]);",
        "volume",
    ): 0,
    "['1m', '1h', '1d', '1w', '1M'].map((each) =>"
    f" Math.round(m.momentOf(m.placeOf({T + 12345}, each), each)) - {T + 12345})": [0, 0, 0, 0, 0],
    # Nothing new is no news: nothing is drawn again.
    folded(f"s.fold(100.5, {T + 1});", "s.version"): 3,
}
ONE_BAR = "[{ low: 100, high: 110, close: 104 }, { low: 90, high: 105, close: 91 }]"
SCALE = f"const s = new m.PriceScale(); const fit = () => s.fit({ONE_BAR}, 10, 110, 2); fit();"
PRICES: Mapping[str, Any] = {
    f"(() => {{ {SCALE} return [s.y(s.bounds.high), s.y(s.bounds.low), s.text(91), s.isHeld] }})()": [
        10,
        110,
        "91.00",
        False,
    ],
    f"(() => {{ {SCALE} s.setMode('percent'); fit(); return [s.text(91), s.text(104), s.text(105.04)] }})()": [
        f"{MINUS}12.50 %",
        "0.00 %",
        "+1.00 %",
    ],
    f"(() => {{ {SCALE} s.setMode('percent'); fit(); return s.marks(5).map((each) => s.text(each)) }})()": [
        f"{MINUS}10.00 %",
        f"{MINUS}5.00 %",
        "0.00 %",
        "+5.00 %",
    ],
    f"(() => {{ {SCALE} s.setMode('log'); fit(); return [s.priceAt(s.y(97)).toFixed(6), s.text(97)] }})()": [
        "97.000000",
        "97.00",
    ],
    f"(() => {{ {SCALE} const before = s.span; s.stretch(2); fit(); return [s.span / before, s.isHeld] }})()": [
        2,
        True,
    ],
    f"(() => {{ {SCALE} let at = s.y(100); s.shift(20); const fitted = s.y(100) - at;"
    "s.stretch(2); at = s.y(100); s.shift(20); return [fitted, (s.y(100) - at).toFixed(6)] })()": [
        0,
        "20.000000",
    ],
    f"(() => {{ {SCALE} const was = s.span; s.stretch(2); s.auto(); fit(); return [was / s.span, s.isHeld] }})()": [
        1,
        False,
    ],
    f"(() => {{ {SCALE} s.stretch(0); s.stretch(NaN); s.stretch(Infinity); return s.isHeld }})()": False,
}


def run(begin: int, end: int, state: str, cause: str | None = None, **more: Any) -> dict[str, Any]:
    """A run of a state, in ms."""
    return {"from": begin, "to": end, "state": state, **({"cause": cause} if cause else {}), **more}


def streams(**runs: list[dict[str, Any]]) -> str:
    return json.dumps([{"name": name, "runs": each} for name, each in runs.items()])


WATCH = "const w = new m.Watch(); const told = () => w.runs.map(({ from, to, state }) => [from, to, state]);"
TRUST: Mapping[str, Any] = {
    "[['stale', 'late'], ['stale', 'silent'], ['connecting'], ['closed'], ['quiet'], ['resyncing']]"
    ".map(([state, cause]) => m.kindOf({ state, cause }))": ["late", "stale", "down", "down", "quiet", "resyncing"],
    f"m.worstOf({streams(a=[run(0, 10, 'live')], b=[run(4, 6, 'stale', 'silent')])})": [
        run(0, 4, "live", name="a"),
        run(4, 6, "stale", "silent", name="b"),
        run(6, 10, "live", name="a"),
    ],
    # What nobody observed is empty, and neighbours that say the same are one piece.
    f"m.worstOf({streams(a=[run(0, 4, 'live'), run(4, 6, 'live'), run(8, 9, 'quiet')])})": [
        run(0, 6, "live", name="a"),
        run(8, 9, "quiet", name="a"),
    ],
    f"m.worstOf({streams(a=[run(0, 9, 'closed')], b=[run(0, 9, 'stale', 'late')])})": [run(0, 9, "closed", name="a")],
    "m.worstOf([])": [],
    f"m.joined({json.dumps([run(0, 5, 'live')])}, 5, {json.dumps([run(1, 4, 'stale'), run(4, 9, 'live')])})": [
        run(0, 9, "live")
    ],
    f"m.joined({json.dumps([run(0, 5, 'live')])}, 5, {json.dumps([run(4, 9, 'stale')])})": [
        run(0, 5, "live"),
        run(5, 9, "stale"),
    ],
    f"m.joined([], -Infinity, {json.dumps([run(4, 9, 'stale')])})": [run(4, 9, "stale")],
    f"(() => {{ {WATCH} w.take('live', undefined, 5, 2); w.take('live', undefined, 9, 2); return told() }})()": [
        [2, 9, "live"],
    ],
    # Between two words the state lasted until the server says that the other began; without a word nothing is known.
    f"(() => {{ {WATCH} w.take('live', undefined, 5); w.take('stale', 'silent', 9, 8); return told() }})()": [
        [5, 8, "live"],
        [8, 9, "stale"],
    ],
    f"(() => {{ {WATCH} w.take('live', undefined, 5); w.take(undefined, undefined, 9);"
    " w.take('live', undefined, 20, 1); return told() })()": [[5, 9, "live"], [9, 20, "live"]],
    f"(() => {{ {WATCH} for (let t = 0; t < 999; t += 1) w.take(t % 2 ? 'live' : 'quiet', undefined, t);"
    " return w.runs.length })()": 200,
}
DELTA_CODE = (
    "const d = new m.VolumeDelta(), tape = [];"
    "const trade = (minute, quantity, side) => tape.push({ quantity, side,"
    " timestamp: `2026-07-22T10:${String(minute).padStart(2, '0')}:30.000Z` });"
    "const bars = (interval) => { d.take(tape);"
    " return d.bars(interval).map(({ part, change, total }) => [part, change, total]) };"
)
DELTA: Mapping[str, Any] = {
    f"(() => {{ {DELTA_CODE} trade(0, 3, 'buy'); trade(0, 1, 'sell'); trade(1, 4, 'sell'); return bars('1m') }})()": [
        [0, 2, 2],
        [0, -4, -2],
    ],
    f"(() => {{ {DELTA_CODE} trade(0, 3, 'buy'); trade(1, 4, 'sell'); trade(6, 1, 'buy'); return bars('5m') }})()": [
        [0, -1, -1],
        [0, 1, 0],
    ],
    # What is taken twice counts once.
    f"(() => {{ {DELTA_CODE} trade(0, 3, 'buy'); d.take(tape); d.take(tape);"
    " trade(0, 1, 'buy'); return bars('1m') })()": [
        [0, 4, 4],
    ],
    # A gap ends the sum, also within a minute, and so does a tape that has run on further than it reaches back.
    f"(() => {{ {DELTA_CODE} trade(0, 3, 'buy'); tape.push({{ gap: 2 }}); trade(0, 1, 'buy');"
    " return bars('1m') })()": [
        [0, 3, 3],
        [1, 1, 1],
    ],
    f"(() => {{ {DELTA_CODE} trade(0, 3, 'buy'); d.take(tape); tape.length = 0;"
    " trade(1, 1, 'buy'); return bars('1m') })()": [
        [0, 3, 3],
        [1, 1, 1],
    ],
    f"(() => {{ {DELTA_CODE} tape.push({{ gap: 2 }}); trade(0, 3, 'buy'); return bars('1m') }})()": [[0, 3, 3]],
    # A late trade belongs to its own minute, but never to what was before a gap.
    f"(() => {{ {DELTA_CODE} trade(0, 3, 'buy'); trade(1, 1, 'buy'); trade(0, 2, 'sell'); return bars('1m') }})()": [
        [0, 1, 1],
        [0, 1, 2],
    ],
    f"(() => {{ {DELTA_CODE} trade(0, 3, 'buy'); tape.push({{ gap: 1 }}); trade(5, 1, 'buy'); trade(2, 1, 'buy');"
    " return bars('1m') })()": [[0, 3, 3], [1, 2, 2]],
    f"(() => {{ {DELTA_CODE} for (let n = 0; n < 2000; n += 1) tape.push({{ quantity: 1, side: 'buy',"
    " timestamp: new Date(n * 60000).toISOString() }); bars('1m'); return d.minutes.length })()": 1500,
    f"(() => {{ {DELTA_CODE} trade(0, 1.5, 'buy'); d.take(tape);"
    " return d.words({ interval: '1m' }, undefined, { base: 'BTC', steps: 3 }, 'utc') })()": (
        "CVD +1.500 BTC since 10:00:30"
    ),
    f"(() => {{ {DELTA_CODE} return d.words({{ interval: '1m' }}, undefined, {{ base: 'BTC' }}, 'utc') }})()": (
        "CVD \N{EN DASH} BTC no trades yet"
    ),
}
BOOK_MAP_CODE = (
    "const b = new m.BookMap(1); const book = (mid, reach = 5) => ({"
    " bids: Array.from({ length: reach }, (_, n) => [mid - 1 - n, n + 1]),"
    " asks: Array.from({ length: reach }, (_, n) => [mid + 1 + n, n + 10]) });"
)
BOOK_MAP: Mapping[str, Any] = {
    f"(() => {{ {BOOK_MAP_CODE} b.sample(5000, book(100));"
    " return [b.known(5), b.sizeAt(5, 99), b.sizeAt(5, 101), b.sizeAt(5, 100)] })()": [[95, 105], 1, 10, 0],
    # Beyond the deepest level, and in a second in which nobody looked, nothing is known: that is not 0.
    f"(() => {{ {BOOK_MAP_CODE} b.sample(5000, book(100)); b.sample(8000, book(100));"
    " return [b.sizeAt(5, 94), b.sizeAt(5, 106), b.sizeAt(6, 100), b.known(7), b.known(4), b.known(9)]"
    ".map((each) => each ?? 'unknown') })()": ["unknown"] * 6,
    f"(() => {{ {BOOK_MAP_CODE} b.sample(5000, book(100)); b.sample(6000, undefined);"
    " b.sample(7000, { bids: [], asks: [] }); return [5, 6, 7].map((at) => b.known(at) ?? 'unknown') })()": [
        [95, 105],
        "unknown",
        "unknown",
    ],
    # One column a second.
    f"(() => {{ {BOOK_MAP_CODE} return [b.sample(5000, book(100)), b.sample(5900, book(120)),"
    " b.sample(6000, book(120))].concat(b.sizeAt(5, 99), b.columns) })()": [True, False, True, 1, 2],
    # Ten minutes.
    f"(() => {{ {BOOK_MAP_CODE} b.sample(5000, book(100)); b.sample(604000, book(100)); const held = b.known(5);"
    " b.sample(605000, book(100)); return [held, b.known(5) ?? 'unknown', b.first] })()": [[95, 105], "unknown", 6],
    # The price moves on: what is still within reach is kept, what is not is not known, also when it comes back.
    f"(() => {{ {BOOK_MAP_CODE} b.sample(5000, book(1000)); b.sample(6000, book(1250));"
    " return [b.known(5) ?? 'unknown', b.sizeAt(6, 1249)] })()": ["unknown", 1],
    f"(() => {{ {BOOK_MAP_CODE} b.sample(5000, book(1000)); b.sample(6000, book(1198)); b.sample(7000, book(1000));"
    " return [b.known(5), b.sizeAt(5, 999), b.known(6), b.sizeAt(6, 1197)] })()": [[998, 1005], 1, [1193, 1200], 1],
    # A book that reaches further makes the steps wider, and begins anew.
    f"(() => {{ {BOOK_MAP_CODE} b.sample(5000, book(1000)); b.sample(6000, book(1000, 300));"
    " return [b.step, b.known(5) ?? 'unknown', b.known(6)] })()": [10, "unknown", [700, 1300]],
    "[m.COLUMNS, m.BINS]": [600, 400],
}
LIQUIDATION = {"timestamp": "2026-07-22T10:02:10.000Z", "side": "sell", "price": 100.5, "quantity": 2}
LIQUIDATIONS: Mapping[str, Any] = {
    f"(() => {{ const l = new m.Liquidations(), one = {json.dumps(LIQUIDATION)}, words = () => l.words({{ base: 'BTC',"
    " decimals: 1, steps: 2 }, 'utc'); const told = [words()]; l.take(one); l.take(one); told.push(words());"
    " l.take({ ...one, side: 'buy', complete: false }); told.push(words()); return told })()": [
        "0 liquidations so far",
        "1 liquidation, last \N{BLACK DOWN-POINTING TRIANGLE} long 2.00 BTC at 100.5, 10:02:10",
        "2 liquidations (a sample, by the venue), "
        "last \N{WHITE UP-POINTING TRIANGLE} short 2.00 BTC at 100.5, 10:02:10",
    ],
    "(() => { const l = new m.Liquidations(); for (let id = 0; id < 900; id += 1)"
    f" l.take({{ ...{json.dumps(LIQUIDATION)}, id }});"
    " return l.marks.length })()": 500,
}
TABLES = {
    "series.js": SERIES,
    "pricescale.js": PRICES,
    "trust.js": TRUST,
    "delta.js": DELTA,
    "bookmap.js": BOOK_MAP,
    "liquidations.js": LIQUIDATIONS,
}


@pytest.mark.parametrize("name", TABLES)
@ensureDeferred
async def test_every_case_of_the_table(answers: Any, name: str) -> None:
    assert await answers(name, TABLES[name]) == dict(TABLES[name])


async def show(page: Any, stage: Any, fragment: str = MARKET) -> dict[str, float]:
    """The market, and where its plot is: left, top, width and height in pixels."""
    await page.goto(stage.url + fragment)
    await page.wait_for(f"{READY} && document.querySelectorAll('table.tape tbody tr:not([hidden])').length > 5")
    box: dict[str, float] = await page.evaluate(
        "(({ x, y, width, height }) => ({ x, y, width, height }))"
        "(document.querySelector('.chart-plot').getBoundingClientRect())"
    )
    return box


@ensureDeferred
async def test_chart_header_and_tape_say_one_last_price_in_every_picture(page: Any, stage: Any) -> None:
    await show(page, stage)
    # After each change of the legend, in the same turn of the browser: what the other two say then.
    await page.evaluate(
        """(() => {
            window.seen = [];
            const look = () => {
                const text = (selector) => document.querySelector(selector).textContent;
                const close = / C ([0-9,.]+)/.exec(text('.chart-legend'))[1];
                const trades = [...document.querySelectorAll('table.tape tbody tr:not([hidden]):not(.note)')];
                window.seen.push([close, trades.map((row) => row.cells[1].textContent), text('.last > span')]);
            };
            new MutationObserver(() => requestAnimationFrame(look)).observe(
                document.querySelector('.chart-legend'), { subtree: true, childList: true, characterData: true });
        })()"""
    )
    await page.wait_for("seen.length > 25 && new Set(seen.map(([close]) => close)).size > 3", 60)
    seen = await page.evaluate("seen")
    assert [close for close, _, _ in seen] == [trades[0] for _, trades, _ in seen]
    assert [close for close, _, _ in seen] == [last for _, _, last in seen]


@ensureDeferred
async def test_a_ticker_in_doubt_does_not_move_the_chart(page: Any, stage: Any, flood: Any) -> None:
    await page.viewport(375, 800)  # one tab at a time: no tape beside the chart, only the ticker says a last price
    flood.rate = 0
    await page.goto(flood.url + MARKET)
    await page.wait_for(READY)
    flood.last = {"last": 60_123.25, "last_time": flood._now()}
    flood.say_values("ticker")
    await page.wait_for(f"{LEGEND}.includes('C 60,123.25')")
    flood.say_status("ticker", "stale", "silent")
    await page.wait_for("/stale: silent/.test(document.querySelector('.fresh').innerText)")
    flood.last = {"last": 60_200.5, "last_time": flood._now()}
    flood.say_values("ticker")
    await page.wait_for("document.querySelector('.last').innerText.includes('60,200.50')")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 250)))")
    assert "C 60,123.25" in await page.evaluate(LEGEND)
    flood.say_status("ticker", "live")
    await page.wait_for(f"{LEGEND}.includes('C 60,200.50')")


@ensureDeferred
async def test_the_crosshair_stays_under_the_pointer_while_the_chart_zooms_and_pans(page: Any, stage: Any) -> None:
    box = await show(page, stage)
    # Near the right edge, where zooming keeps the newest bar in its place and not what is under the pointer.
    x, y = box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.4
    when = f"/[A-Z][a-z]{{2}} [0-9-]+ [0-9:]+/.exec({LEGEND})[0]"
    await page.mouse("mouseMoved", x, y)
    before = await page.evaluate(when)
    for act in ("zoom", "pan"):
        if act == "zoom":
            await page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-400)
        else:
            await page.evaluate("document.querySelector('.chart-plot').focus()")
            await page.press("ArrowLeft", modifiers=8)
        await page.wait_for(f"{when} !== {before!r}")
        stayed = await page.evaluate(when)
        await page.mouse("mouseMoved", x + 40, y)
        await page.wait_for(f"{when} !== {stayed!r}")
        await page.mouse("mouseMoved", x, y)
        await page.wait_for(f"{when} === {stayed!r}")
        before = stayed


@ensureDeferred
async def test_the_way_back_is_offered_only_when_the_newest_bar_is_out_of_sight(page: Any, stage: Any) -> None:
    box = await show(page, stage)
    hidden = "document.querySelector('.chart-latest').hidden"
    await page.evaluate("document.querySelector('.chart-plot').focus()")
    assert await page.evaluate(hidden)
    await page.press("ArrowLeft", modifiers=8)
    await page.wait_for(f"!{hidden}")
    await page.press("ArrowRight", modifiers=8)
    await page.wait_for(hidden)
    # Two bars of seven pixels: the newest one is still seen, in the room that is kept free at the right edge.
    await page.mouse("mouseWheel", box["x"] + 200, box["y"] + 100, deltaX=-14, deltaY=0)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 250)))")
    assert await page.evaluate(hidden)


@ensureDeferred
async def test_the_price_scale_is_stretched_by_hand_and_fitted_again(page: Any, stage: Any) -> None:
    box = await show(page, stage)
    auto = "document.querySelector('.chart-auto')"
    axis, y = box["x"] + box["width"] - 12, box["y"] + 120
    assert await page.evaluate(f"{auto}.hidden")
    for back in ("button", "double click", "keys"):
        if back == "keys":
            await page.evaluate("document.querySelector('.chart-plot').focus()")
            await page.press("ArrowDown", modifiers=8)
        else:
            await page.mouse("mousePressed", axis, y, button="left", clickCount=1)
            await page.mouse("mouseMoved", axis, y + 60, button="left", buttons=1)
            await page.mouse("mouseReleased", axis, y + 60, button="left", clickCount=1)
        await page.wait_for(f"!{auto}.hidden")
        assert await page.evaluate("document.querySelector('.chart-latest').hidden"), "the axis of time did not move"
        if back == "double click":
            for count in (1, 2):
                await page.mouse("mousePressed", axis, y, button="left", clickCount=count)
                await page.mouse("mouseReleased", axis, y, button="left", clickCount=count)
        else:
            await page.click(".chart-auto")
        await page.wait_for(f"{auto}.hidden")


@ensureDeferred
async def test_a_scale_in_percent_says_what_it_is_of_and_is_in_the_address(page: Any, stage: Any) -> None:
    await show(page, stage, f"{MARKET}?pct=1")
    first = await page.wait_for(f"/0 % is ([0-9,.]+), the first close in sight/.exec({LEGEND})?.[1]")
    rest = await stage.json(
        "api/candles", exchange="binance", market_type="spot", symbol="BTC-USDT", interval="1m", limit=500
    )
    assert first.replace(",", "") in {f"{each['close']:.2f}" for each in rest["candles"]}
    await page.click("button[title='Logarithmic prices']")
    await page.wait_for(f"location.hash.endsWith('?log=1') && !{LEGEND}.includes('0 % is')")
    await page.click("button[title^='Percent of']")
    await page.wait_for(f"location.hash.endsWith('?pct=1') && {LEGEND}.includes('0 % is')")
    await page.click("button[title^='Percent of']")
    await page.wait_for(f"!location.hash.includes('?') && !{LEGEND}.includes('0 % is')")


PIECES = "[...document.querySelectorAll('.trust-row')].map((row) => [...row.querySelectorAll('button:not([hidden])')])"
BOOK = f"({PIECES})[2]"
SAID = "document.querySelector('.trust-words').innerText"


@ensureDeferred
async def test_the_hour_of_the_streams_says_what_was_wrong_since_when_and_why(page: Any, stage: Any) -> None:
    await show(page, stage)
    await page.wait_for(f"({PIECES}).every((each) => each.some((one) => one.matches('.live, .quiet')))")
    assert not await page.evaluate(f"{BOOK}.some((each) => each.matches('.stale, .resyncing'))")
    # Before the server started nothing is known: no piece begins at the left end of the hour.
    lefts = await page.evaluate(f"({PIECES}).flat().map((each) => parseFloat(each.style.left))")
    assert min(lefts) > 50
    stage.fault("binance", "crossed", "BTC-USDT")
    await page.wait_for(f"{BOOK}.at(-1).matches('.stale, .resyncing')")
    stage.calm()
    await page.wait_for(f"{BOOK}.at(-1).matches('.live, .quiet')", 20)
    bad = await page.evaluate(f"{BOOK}.findLastIndex((each) => each.matches('.stale, .resyncing'))")
    await page.evaluate(f"{BOOK}[{bad}].focus()")
    words = await page.wait_for(
        f"/^book: (stale|resyncing).*, from [0-9:]+ to [0-9:]+ UTC, [0-9.]+ s/.exec({SAID})?.[0]"
    )
    assert await page.evaluate(f"{BOOK}[{bad}].ariaLabel.startsWith({words!r})")
    await page.press("ArrowRight")
    await page.wait_for(f"/^book: (live|quiet|stale|resyncing)/.test({SAID}) && !{SAID}.startsWith({words!r})")
    await page.press("ArrowUp")
    await page.wait_for(f"{SAID}.startsWith('trades: ')")
    assert await page.evaluate("document.activeElement.matches('.trust-piece')")


@ensureDeferred
async def test_a_ledger_that_is_refused_is_asked_once_and_what_came_is_shown(tampered: Any, stage: Any) -> None:
    page = tampered
    await page.goto(stage.url + "#/markets")
    await page.wait_for("document.querySelectorAll('table.grid tbody tr').length > 10")
    await page.evaluate("answers.streams = () => Promise.resolve(new Response('{}', { status: 403 })), 1")
    await page.go(MARKET)
    refusal = "document.querySelector('.trust .panel-refusal').innerText"
    await page.wait_for(f"{refusal}.includes('the server does not tell its ledger')")
    asked = "asked.filter((each) => /^streams|^quality/.test(each)).length - reopened"
    once = await page.evaluate(asked)
    assert once <= 1
    others = await page.evaluate("askedAt.exchanges.length")
    await page.wait_for(f"askedAt.exchanges.length >= {others + 18}", 30)  # more than half a minute
    await page.wait_for(f"({PIECES}).every((each) => each.length)")
    await page.wait_for(f"{asked} === {once}")
    await page.click("[aria-label='Retry: last hour']")
    await page.wait_for(f"{asked} === {once + 1}")


async def zoomed(page: Any, flood: Any, layers: str, market: str = "spot") -> None:
    """The market of the flood with these layers, bars as wide as can be. Nothing is said by itself."""
    flood.rate = 0
    await page.goto(f"{flood.url}#/market/binance/{market}/BTC-USDT?lay={layers}")
    await page.wait_for(READY, 20)
    await page.evaluate("document.querySelector('.chart-plot').focus()")
    await page.press(*["+"] * 9)


@ensureDeferred
async def test_volume_delta_is_of_the_trades_that_are_known_and_breaks_at_a_gap(page: Any, flood: Any) -> None:
    await zoomed(page, flood, "cvd")
    cvd = f"/CVD (\\S+) BTC since/.exec({LEGEND})?.[1]"
    first = float((await page.wait_for(cvd)).replace(MINUS, "-"))  # the flood says one trade to whoever subscribes
    flood.say_all("trade", id="b1", price=60_000, quantity=1.5, side="buy")
    flood.say_all("trade", id="b2", price=60_000, quantity=0.25, side="sell")
    await page.wait_for(f"Math.abs(parseFloat({cvd}.replace('{MINUS}', '-')) - {first + 1.25}) < 0.0001")
    flood.say_all("trade", "gap", reason="slow", missed=3)
    flood.say_all("trade", id="b3", price=60_000, quantity=0.5, side="sell")
    await page.wait_for(f"parseFloat({cvd}.replace('{MINUS}', '-')) === -0.5")
    await page.click("button[title^='Cumulative volume']")
    await page.wait_for(f"!{LEGEND}.includes('CVD') && !location.hash.includes('lay')")


@ensureDeferred
async def test_the_map_of_the_book_shows_sizes_hatches_the_unknown_and_is_gone_when_it_is_off(
    page: Any, flood: Any
) -> None:
    await zoomed(page, flood, "heat")
    # What the map is given: whether each second's book was one that is proven.
    await page.evaluate(
        """import('./assets/bookmap.js').then(({ BookMap: { prototype } }) => {
            const { sample } = prototype;
            window.given = [];
            prototype.sample = function (now, book) {
                const isNew = sample.call(this, now, book);
                if (isNew) window.given.push(book ? this.known(Math.floor(now / 1000)) : "unknown");
                return isNew;
            };
        })"""
    )
    await page.wait_for("given.length > 1")
    assert await page.evaluate("given.at(-1)") == [59_950, 60_050]
    await page.wait_for(f"/book since [0-9:]+, hatched: not known/.test({LEGEND})")
    inked = (
        "(() => { const canvas = document.querySelector('.chart-plot canvas');"
        " const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        " return data.filter((value, at) => at % 4 === 3 && value).length })()"
    )
    await page.wait_for(f"document.querySelectorAll('.chart-plot canvas').length === 2 && {inked} > 50")
    flood.say_status("order_book", "resyncing", "gap")
    await page.wait_for("given.at(-1) === 'unknown'")
    flood.say_status("order_book", "live")
    await page.wait_for("given.at(-1) !== 'unknown'")
    await page.press("3")
    await page.wait_for(f"/choose 1m to 5m/.test({LEGEND}) || {LEGEND}.includes('book since')")
    await page.press(*["-"] * 12)
    await page.wait_for(f"/choose 1m to 5m/.test({LEGEND}) && {inked} === 0")
    await page.click("button[title^='The order book of']")
    await page.wait_for(f"document.querySelectorAll('.chart-plot canvas').length === 1 && !{LEGEND}.includes('book')")


@ensureDeferred
async def test_the_book_is_held_deeper_while_its_map_is_shown(page: Any, stage: Any) -> None:
    source = """window.sent = [];
        {
            const send = WebSocket.prototype.send;
            WebSocket.prototype.send = function (text) { sent.push(JSON.parse(text)); send.call(this, text); };
        }"""
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=source)
    await page.viewport(375, 800)  # one tab at a time: the book is held for its map alone
    await page.goto(f"{stage.url}{MARKET}?lay=heat")
    channels = "sent.filter(({ op }) => op === %r).flatMap((each) => each.channels)"
    books = f"({channels}).filter((each) => each.channel_type === 'order_book').map(({{ depth }}) => depth)"
    await page.wait_for(f"{LEGEND}.includes('book since')", 20)
    assert await page.evaluate(books % "subscribe") == [200]
    await page.viewport(1440, 900)
    await page.click("button[title^='The order book of']")
    await page.wait_for(f"({books % 'subscribe'}).some((depth) => depth < 200)")
    await page.wait_for(f"({books % 'unsubscribe'}).includes(200)", 20)


@ensureDeferred
async def test_liquidations_are_told_with_whose_they_were_and_that_they_are_a_sample(page: Any, flood: Any) -> None:
    await zoomed(page, flood, "liq", "perpetual")
    await page.wait_for(f"{LEGEND}.includes('0 liquidations so far')")
    flood.say_all("liquidation", side="sell", price=60_001.5, quantity=0.25, complete=False)
    await page.wait_for(
        f"/1 liquidation \\(a sample, by the venue\\), last . long 0.25\\d* BTC at 60,001.5\\d*/.test({LEGEND})"
    )
    flood.say_all("liquidation", "gap", reason="slow", missed=1)
    flood.say_all("liquidation", side="buy", price=60_000.5, quantity=0.5, complete=False)
    await page.wait_for(f"/2 liquidations .*last . short 0.50?\\d* BTC/.test({LEGEND})")
    await page.go("#/market/binance/spot/BTC-USDT?lay=liq")
    await page.wait_for(f"{READY} && document.querySelector('.market-name').innerText.includes('spot')")
    assert not await page.evaluate(f"{LEGEND}.includes('liquidation')")
    assert await page.evaluate("document.querySelector('button[title^=Liquidations]').hidden")


@ensureDeferred
async def test_layers_are_in_the_address_and_cost_no_subscription_while_they_are_off(page: Any, stage: Any) -> None:
    await page.viewport(375, 800)
    await page.goto(stage.url + "#/market/binance/perpetual/BTC-USDT")
    await page.wait_for(READY, 20)
    for name, layer, channel in (
        ("LIQ", "liq", "liquidation"),
        ("CVD", "cvd", "trade"),
        ("book", "heat", "order_book"),
    ):
        topic = f"binance:perpetual:BTC-USDT:{channel}"
        assert not [each for each in stage.wanted if each.startswith(topic)]
        await page.evaluate(
            f"[...document.querySelectorAll('[aria-label=Layers] button')]"
            f".find((each) => each.innerText === {name!r}).click()"
        )
        await page.wait_for(f"location.hash.endsWith('?lay={layer}')")
        await page.wait_for(f"/liquidation|CVD|book since|no book yet/.test({LEGEND})")
        await page.evaluate(
            f"[...document.querySelectorAll('[aria-label=Layers] button')]"
            f".find((each) => each.innerText === {name!r}).click()"
        )
        await page.wait_for("!location.hash.includes('lay=')")


@ensureDeferred
async def test_zoomed_out_further_than_bars_can_be_narrow_longer_ones_are_shown_and_said(page: Any, stage: Any) -> None:
    await show(page, stage)
    when = f"/[A-Z][a-z]{{2}} [0-9-]+ [0-9:]+/.exec({LEGEND})?.[0]"
    await page.evaluate("document.querySelector('.chart-plot').focus()")
    assert "shown as" not in await page.evaluate(LEGEND)
    await page.press(*["-"] * 12)
    await page.wait_for(f"{LEGEND}.includes('1m shown as 3m') && {READY}")
    assert await page.evaluate("location.hash.includes('tf=')") is False, "what was chosen stays chosen"
    await page.press("ArrowLeft")
    await page.wait_for(when)
    for _ in range(2):
        before = await page.evaluate(when)
        await page.press("ArrowLeft")
        await page.wait_for(f"{when} !== {before!r}")
    await page.wait_for(f"!/ open/.test({LEGEND})")
    day, clock = (await page.evaluate(when)).split()[1:]
    rest = await stage.json(
        "api/candles", exchange="binance", market_type="spot", symbol="BTC-USDT", interval="3m", limit=20
    )
    (closed,) = [each["close"] for each in rest["candles"] if each["timestamp"].startswith(f"{day}T{clock}")]
    await page.wait_for(f"{LEGEND}.includes('C {closed:,.2f}')")  # once the venue's own word of it has come
    await page.press("End", *["-"] * 10)
    await page.wait_for(f"/1m shown as (5m|15m|30m|1h)/.test({LEGEND}) && {READY}")
    # Faster than bars come: a key counts while those of the next interval are on their way.
    await page.press(*["+"] * 30)
    await page.wait_for(f"!{LEGEND}.includes('shown as') && {READY}")
    await page.press(*["-"] * 40)
    await page.wait_for(f"{LEGEND}.includes('1m shown as')")
    await page.click("button[title^='1m candles']")
    await page.wait_for(f"!{LEGEND}.includes('shown as') && {READY}")
