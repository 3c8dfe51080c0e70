"""The page's pure modules, in the browser that runs them: tables of cases,
and Python's own answer where there is one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from random import Random
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
T = 1_784_715_730_250  # 2026-07-22T10:22:10.250Z

FORMAT: Mapping[str, Any] = {
    "m.price(60001.5, 2)": "60,001.50",
    "m.price(60001, 0)": "60,001",
    "m.price(999.999, 2)": "1,000.00",
    "m.price(1234567.5, 1)": "1,234,567.5",
    "m.price(0.00001093, 8)": "0.00001093",
    "m.price(1e-8, 8)": "0.00000001",
    "m.price(0, 2)": "0.00",
    "m.price(-3.5, 1)": f"{MINUS}3.5",
    "m.price(undefined, 2)": DASH,
    "m.price(null, 2)": DASH,
    "m.price(NaN, 2)": DASH,
    "m.price('1', 2)": DASH,
    "m.size(0.1 + 0.2, 5)": "0.30000",
    "m.compact(12345678)": "12.35M",
    "m.compact(12400000)": "12.40M",
    "m.compact(999949)": "999.9K",
    "m.compact(999950)": "1.000M",
    "m.compact(999994)": "1.000M",
    "m.compact(9.9999)": "10.00",
    "m.compact(3210000000)": "3.210B",
    "m.compact(1e15)": "1,000T",
    "m.compact(12.345)": "12.35",
    "m.compact(0.001234)": "0.001234",
    "m.compact(-1234.56)": f"{MINUS}1.235K",
    "m.compact(0)": "0",
    "m.compact(12349999, Math.floor)": "12.34M",
    "m.compact(999999, Math.floor)": "999.9K",
    "m.compact(undefined)": DASH,
    "[5e6, 5.5e6, 500, 150, 0.02, 0].map(m.mark)": ["5M", "5.5M", "500", "150", "0.02", "0"],
    "m.amount(999999.5, 1)": "999,999.5",
    "m.amount(1234567, 0)": "1.235M",
    "m.amount(1239999, 0, Math.floor)": "1.239M",
    "m.amount(undefined, 2)": DASH,
    "m.signedPercent(1.239)": "+1.24 %",
    "m.signedPercent(-1.239)": f"{MINUS}1.24 %",
    "m.signedPercent(-0.001)": "0.00 %",
    "m.signedPercent(undefined)": DASH,
    "m.bps(0.0834)": "0.083",
    "m.bps(0.0008)": "0.00080",
    "m.bps(-0.00166)": f"{MINUS}0.0017",
    "m.bps(1.239)": "1.24",
    "m.bps(123.456)": "123.46",
    "m.bps(0)": "0.00",
    "m.bps(undefined)": DASH,
    "m.age(0)": "0.0 s",
    "m.age(-20)": "0.0 s",
    "m.age(349)": "0.3 s",
    "m.age(9949)": "9.9 s",
    "m.age(12400)": "12 s",
    "m.age(240000)": "4 m",
    "m.age(7200000)": "2 h",
    "m.age(259200000)": "3 d",
    "m.age(undefined)": DASH,
    f"m.time({T}, 'utc', true)": "10:22:10",
    f"m.time({T}, 'utc', false)": "10:22",
    f"m.time({T}, 'Asia/Tokyo', true)": "19:22:10",
    f"m.time({T}, 'Asia/Kolkata', false)": "15:52",
    "m.time(undefined, 'utc', true)": DASH,
    "m.time(1784678400000, 'utc', true)": "00:00:00",
    "m.decimalsOf('0.00001')": 5,
    "m.decimalsOf('0.01000000')": 2,
    "m.decimalsOf('0.25')": 2,
    "m.decimalsOf('1')": 0,
    "m.MINUS": MINUS,
    "m.DASH": DASH,
}

ROUND_TRIPS = (
    "#/market/binance/spot/BTC-USDT",
    "#/market/binance/spot/BTC-USDT?tf=5m&grp=10&tz=utc&depth=cum&ov=ema20,vwap",
    "#/market/bybit/perpetual/1000SHIB-USDT?tf=1M",
    "#/compare/spot/BTC-USDT?ex=binance,bybit",
    "#/compare/spot/BTC-USDT?ref=last",
    "#/markets?q=btc&ex=bybit&sort=-spread",
    "#/markets",
    "#/health",
    "#/alerts",
    "#/markets?future=yes&other=a,b",
)
ROUTE: Mapping[str, Any] = {
    **{f"m.format(m.parse({json.dumps(each)}))": each for each in ROUND_TRIPS},
    "m.format(m.parse('#/market/Binance/spot/btc-usdt?tf=1m&grp=1'))": "#/market/binance/spot/BTC-USDT",
    "m.format(m.parse('#/market/binance/perp/BTC-USDT'))": "#/market/binance/perpetual/BTC-USDT",
    "m.parse('#/market/binance/spot/BTC-USDT?tf=5m').params.tf": "5m",
    "m.parse('#/market/binance/spot/BTC-USDT?tf=7m').params.tf": "1m",
    "m.parse('#/market/binance/spot/BTC-USDT?tf=7m').notices.length": 1,
    "m.parse('#/market/binance/spot/BTC-USDT?tf=7m&grp=3').notices.length": 2,
    "m.parse('#/market/binance/spot/BTC-USDT?tf=5m').notices.length": 0,
    "m.parse('#/market/binance/spot/BTC-USDT?tz=Europe/Berlin').params.tz": "Europe/Berlin",
    "m.parse('#/market/binance/spot/BTC-USDT?tz=Mars/Base').notices.length": 1,
    "m.parse('#/nonsense').view": "",
    "m.parse('').view": "",
    "m.parse('#').view": "",
    "m.parse('#/markets?q=%E2%82%BF').params.q": "₿",
    "m.parse('#/markets?q=%ZZ').params.q": "%ZZ",
    "m.parse('#/markets?q=a%26b%3Dc').params.q": "a&b=c",
    "m.format(m.parse('#/markets?q=a%26b%3Dc'))": "#/markets?q=a%26b%3Dc",
    "m.parse('#/markets?__proto__=1&constructor=2').view": "markets",
    "Object.getPrototypeOf(m.parse('#/markets?__proto__=1').params) === Object.prototype": True,
}

CONNECTION: Mapping[str, Any] = {
    "[0, 1, 2, 3, 4, 5, 9, 50].map((tries) => m.retryDelay(tries, 1))": [
        500,
        1000,
        2000,
        4000,
        8000,
        15000,
        15000,
        15000,
    ],
    "m.retryDelay(3, 0.5)": 2000,
    "m.retryDelay(0, 0, '{\"retry_ms\":700}')": 700,
    "m.retryDelay(0, 1, 'not json')": 500,
    'm.retryDelay(0, 1, \'{"retry_ms":"x"}\')': 500,
    "m.retryDelay(0, 0, '{\"retry_ms\":1e12}') <= 60000": True,
    # Three samples: the one with the shortest way (40 ms) is believed; the server's clock is 5 s ahead of ours.
    (
        "(() => { const c = new m.Clock(); c.note(6200, 1000, 1400); "
        "c.note(7020, 2000, 2040); c.note(8900, 3000, 3900); return c.at(4000) })()"
    ): 9000,
}
FEED: Mapping[str, Any] = {"m.wantedRate([4, 10, 2])": 10, "m.wantedRate([4, undefined])": None}

GOVERN = (
    "const g = new m.Governor(); let t = 0; const run = (ms, flush, late) => { for (const end = t + ms; "
    "t < end; t += 100) g.note(t, flush, late); };"
)
GOVERNOR: Mapping[str, Any] = {
    f"(() => {{ {GOVERN} run(30000, 3, 5); return [g.rate, g.why] }})()": [10, ""],
    f"(() => {{ {GOVERN} run(4000, 30, 5); return g.rate }})()": 10,
    f"(() => {{ {GOVERN} run(6000, 30, 5); return g.rate }})()": 5,
    f"(() => {{ {GOVERN} run(6000, 3, 60); return g.rate }})()": 5,
    f"(() => {{ {GOVERN} run(20000, 30, 5); return [g.rate, g.why.length > 0] }})()": [2, True],
    f"(() => {{ {GOVERN} run(20000, 30, 5); run(8200, 3, 5); return [g.rate, g.why] }})()": [10, ""],
    f"(() => {{ {GOVERN} run(20000, 30, 5); run(60000, 8, 5); return g.rate }})()": 2,
}

END = "2026-07-22T10:00:00.000Z"
STALE = {"from": "2026-07-22T09:30:00.000Z", "to": "2026-07-22T09:30:06.000Z", "state": "stale", "cause": "silent"}
HOUR = [
    {"from": "2026-07-22T08:00:00.000Z", "to": "2026-07-22T09:30:00.000Z", "state": "live"},
    STALE,
    {"from": "2026-07-22T09:30:06.000Z", "state": "quiet"},
]
RUNS = f"m.runsOf({json.dumps(HOUR)}, Date.parse('{END}'))"
STRIP: Mapping[str, Any] = {
    f"{RUNS}.map((each) => [each.state, each.begin, each.seconds])": [
        ["live", 0, 1800],
        ["stale", 1800, 6],
        ["quiet", 1806, 1794],
    ],
    f"m.pathsOf({RUNS})": ["M0 10h1800v4h-1800z", "M1806 10h1794v4h-1794z", "", "", "M1800 0h30v14h-30z"],
    f"m.wordsOf({RUNS})": ["99.8 %", "last 60 minutes: live 50.0 %, quiet 49.8 %, stale (silent) 0.2 %"],
    f"m.wordsOf({RUNS}, ' until 10:00:00')[1].split(':', 3)": ["last 60 minutes until 10", "00", "00"],
    "m.wordsOf([])": ["", "nothing known of the last hour"],
    "m.wordsOf([{state: 'live', begin: 3599, seconds: 1}])": ["100 %", "last minute: live 100 %"],
    "m.wordsOf([{state: 'live', begin: 0, seconds: 3599}, {state: 'stale', begin: 3599, seconds: 1}])[0]": "> 99.9 %",
    f"m.runsOf({json.dumps([{**STALE, 'from': '2026-07-22T07:00:00.000Z', 'to': '2026-07-22T08:00:00.000Z'}])}, "
    f"Date.parse('{END}')).length": 0,
    "m.lossWords('trades_missing')": "degraded: trades are missing",
    "m.lossWords('something_new')": "degraded: something_new",
}

RULES: Mapping[str, Any] = {
    "m.isSplit('equity', 200, 20)": True,
    "m.isSplit('equity', 20, 200)": True,
    "m.isSplit('equity', 200, 170)": False,
    "m.isSplit('index', 100, 50)": True,
    "m.isSplit('crypto', 200, 20)": False,
    "m.isSplit('commodity', 200, 20)": False,
    "m.isSplit(undefined, 200, 20)": False,
    "m.isSplit('equity', undefined, 20)": False,
    "m.isSplit('equity', 0, 20)": False,
}

QUOTES = {
    "one": {"bid": 100, "bid_size": 1, "ask": 101, "ask_size": 1},
    "above": {"bid": 102, "bid_size": 1, "ask": 103, "ask_size": 1},
    "locks": {"bid": 101, "bid_size": 1, "ask": 102, "ask_size": 1},
    "larger": {"bid": 100, "bid_size": 5, "ask": 101, "ask_size": 5},
}


def best(*names: str) -> str:
    """The expression that asks for the best of these quotes."""
    return f"m.best({json.dumps([{'exchange': name, 'good': True, 'ticker': QUOTES[name]} for name in names])})"


RULES = {
    **RULES,
    f"{best('one')}.crossed": None,
    f"{best('one', 'larger')}.crossed": None,
    f"{best('one', 'locks')}.crossed": 0,
    f"Math.round({best('one', 'above')}.crossed)": 99,
    f"{best('one', 'larger')}.bid.exchange": "larger",
    f"{best('larger', 'one')}.ask.exchange": "larger",
    f"{best()}.crossed": None,
}

LISTED = {"a": ("AAPLx-USD", "AAPLX-USD", "BTC-USD"), "b": ("AAPLX-USD", "kPEPE-USD")}
CASES = (
    ("a", "AAPLx-USD", "AAPLx-USD"),
    ("a", "AAPLX-USD", "AAPLX-USD"),
    ("a", "aAPLX-USD", "AAPLX-USD"),
    ("a", "Btc-USD", "BTC-USD"),
    ("b", "AAPLx-USD", "AAPLX-USD"),
    ("b", "kPEPE-USD", "kPEPE-USD"),
    ("b", "Btc-USD", "Btc-USD"),
    (None, "AAPLx-USD", "AAPLx-USD"),
    (None, "Btc-USD", "BTC-USD"),
)
CATALOGUE = "const c = new m.Catalogue(); c.take({}); return".format(
    json.dumps(
        [
            {"exchange": name, "symbols": [{"market_type": "spot", "symbol": each} for each in symbols]}
            for name, symbols in LISTED.items()
        ]
    )
)
SPELLED = {
    f"(() => {{ {CATALOGUE} c.spelling({json.dumps(exchange)}, 'spot', {json.dumps(symbol)}) }})()": found
    for exchange, symbol, found in CASES
}

TRADES = """(() => {
  const topic = new m.Topic({ channel_type: "trade", exchange: "binance", symbol: "BTC-USDT" });
  const trade = (id, more) => topic.take("trade", { id, timestamp: `2026-01-01T00:00:0${id}Z`, ...more }, 0);
  topic.requested();
  %s
  return %s;
})()"""
LOST_AND_BACK = "trade(1, {cursor: 'c1'}); topic.lost(); const since = topic.since(); topic.requested();"
RESUMED = {
    TRADES % (LOST_AND_BACK, "[since, topic.since()]"): ["c1", None],
    TRADES % (LOST_AND_BACK + "trade(3, {replayed: true});", "topic.value.map(({id, gap}) => gap ?? id)"): [1, 3],
    TRADES % (LOST_AND_BACK + "topic.take('gap', {}); trade(5, {});", "topic.value.map(({id, gap}) => gap ?? id)"): [
        1,
        "some",
        5,
    ],
    TRADES
    % ("trade(1, {}); topic.lost(); topic.requested(); trade(3, {});", "topic.value.map(({id, gap}) => gap ?? id)"): [
        1,
        "some",
        3,
    ],
}

LAST = """(() => {
  const open = { state: { phase: "open" } };
  const ticker = new m.Topic({ channel_type: "ticker", exchange: "binance", symbol: "BTC-USDT" });
  const trades = new m.Topic({ channel_type: "trade", exchange: "binance", symbol: "BTC-USDT" });
  const at = (second) => `2026-01-01T00:00:0${second}.000Z`;
  for (const each of [ticker, trades]) each.take("status", { state: "live", age_ms: 0 }, 0);
  const quote = (last, second, more) => ticker.take("ticker", { last, last_time: at(second) }, 0);
  const trade = (price, second) => trades.take("trade", { id: String(price), price, timestamp: at(second) }, 0);
  const stale = { state: "stale", cause: "silent", age_ms: 0 };
  const doubt = (topic, fields) => topic.take("status", { ...stale, ...(fields && { fields }) }, 0);
  const last = () => { const found = m.lastPrice(ticker, trades, open); return found && [found.price, found.good]; };
  %s
  return last();
})()"""
PARTS = """(() => {
  const topic = new m.Topic({ channel_type: "ticker", exchange: "binance", symbol: "BTC-USDT" });
  topic.take("status", { state: "live", age_ms: 0 }, 1000);
  topic.take("ticker", { last: 1 }, 2000);
  topic.take("status", { state: "stale", cause: "silent", fields: ["last"], age_ms: 7000 }, 10000);
  topic.take("ticker", { last: 1, bid: 2 }, 11000);
  %s
  return topic.age(12000);
})()"""
TOPICS = {
    **RESUMED,
    LAST % "": None,
    LAST % "quote(10, 1);": [10, True],
    LAST % "trade(11, 1);": [11, True],
    LAST % "quote(10, 1); trade(11, 2);": [11, True],
    LAST % "trade(11, 1); quote(10, 2);": [10, True],
    LAST % "trade(11, 2); trades.take('gap', {}, 0); quote(10, 1);": [11, True],
    LAST % "quote(10, 1); trade(11, 2); doubt(trades);": [11, False],
    LAST % "quote(10, 1); trade(11, 1);": [11, True],
    LAST % "quote(10, 1); trade(10, 1); doubt(trades);": [10, True],
    LAST % "quote(10, 2); doubt(ticker, ['bid', 'ask']);": [10, True],
    LAST % "quote(10, 2); doubt(ticker, ['last']);": [10, False],
    LAST % "quote(10, 2); doubt(ticker);": [10, False],
    LAST % "quote(10, 2); open.state.phase = 'silent';": [10, False],
    PARTS % "": 9000,
    PARTS.replace('topic.take("ticker", { last: 1, bid: 2 }, 11000);', "") % "": 9000,
    PARTS % "topic.take('status', { state: 'live', age_ms: 0 }, 11500);": 500,
    PARTS % "topic.lost();": 1000,
}

SIDE = "[[99, 1], [98, 2], [96, 4]]"
BOOK = """(() => { const book = m.Book.fromSnapshot({ sequence: 1, depth: %s, complete: true,
  bids: [[99.95, 1], [99, 2]].map(([price, quantity]) => ({ price, quantity })),
  asks: [[100.05, 1], [101.5, 2]].map(([price, quantity]) => ({ price, quantity })) });
  return book.deeper(%s); })()"""
DEEP: Mapping[str, Any] = {
    f"m.upTo({SIDE}, 98, -1)": {"quantity": 3, "value": 295, "proven": True},
    f"m.upTo({SIDE}, 97, -1)": {"quantity": 3, "value": 295, "proven": True},
    f"m.upTo({SIDE}, 96, -1)": {"quantity": 7, "value": 679, "proven": True},
    f"m.upTo({SIDE}, 95, -1)": {"quantity": 7, "value": 679, "proven": False},
    f"m.upTo({SIDE}, 99.5, -1)": {"quantity": 0, "value": 0, "proven": True},
    "m.upTo([[101, 1], [103, 2]], 101, 1)": {"quantity": 1, "value": 101, "proven": True},
    "m.upTo([[101, 1], [103, 2]], 104, 1)": {"quantity": 3, "value": 307, "proven": False},
    "m.upTo([], 104, 1)": {"quantity": 0, "value": 0, "proven": False},
    BOOK % (2, 90): None,  # both sides are known to 100 basis points
    BOOK % (2, 200): 5,
    BOOK % (2, 4_000): 100,
    BOOK % (2, 500_000): 1000,
    BOOK % (3, 200): None,  # the venue has no more
}

FILLS = """(() => {
  const fill = (id, more) => ({ id, timestamp: "t1", side: "buy", price: 10, quantity: 0.1, ...more });
  const about = (more) => ({ kind: "trade", decimals: 1, exchange: "binance", ...more });
  const rows = (entries, more) => [...m.ordersOf(entries, about(more))];
  const brief = (all) => all.map(({ note, fills, quantity, from, price }) => note ?? [fills, quantity, from, price]);
  return %s;
})()"""
ORDERS: Mapping[str, Any] = {
    FILLS % 'brief(rows([fill("7"), fill("8", { price: 11, quantity: 0.2 })]))': [[2, 0.3, 10, 11]],
    FILLS % 'brief(rows([fill("7"), fill("9")]))': [[1, 0.1, 10, 10], [1, 0.1, 10, 10]],
    FILLS % 'brief(rows([fill("7"), fill("8", { side: "sell" })])).length': 2,
    FILLS % 'brief(rows([fill("7"), fill("8", { timestamp: "t2" })])).length': 2,
    FILLS % 'brief(rows([fill("a7"), fill("a8")])).length': 2,
    FILLS % 'brief(rows([fill("9007199254740993"), fill("9007199254740994")])).length': 1,
    FILLS % 'brief(rows([fill("7"), { gap: 3 }, fill("8")]))': [
        [1, 0.1, 10, 10],
        "3 trades missed",
        [1, 0.1, 10, 10],
    ],
    FILLS % 'brief(rows([fill("7"), { gap: "some" }], { venue: "okx" }))': [
        "some trades missed at okx",
        [1, 0.1, 10, 10],
    ],
    FILLS % 'brief(rows([fill("7", { replayed: true }), fill("8")]))': [
        [1, 0.1, 10, 10],
        "before this page looked",
        [1, 0.1, 10, 10],
    ],
    FILLS % 'rows([fill("7"), fill("8"), fill("9", { price: 12 })])[0].value.toFixed(6)': "3.200000",
    FILLS % "brief(rows([fill(undefined), fill(undefined)], { kind: 'liquidation' })).length": 2,
    FILLS
    % (
        'm.mixed([rows([fill("1", { timestamp: "t1" }), fill("2", { timestamp: "t3" })]).values(), '
        'rows([fill("3", { timestamp: "t2" }), { gap: 1 }]).values()], 9).map(({ id, note }) => note ?? id)'
    ): ["1 trade missed", "2", "3", "1"],
    FILLS % 'm.mixed([rows([fill("1"), fill("3")]).values()], 1).map(({ id }) => id)': ["3"],
    FILLS
    % (
        'm.mixed([rows([fill("1", { quantity: 5 }), fill("3")]).values()], 1, ({ quantity }) => quantity > 1)'
        ".map(({ id }) => id)"
    ): ["1"],
}

TABLES = {
    "book.js": DEEP,
    "orders.js": ORDERS,
    "topics.js": TOPICS,
    "catalogue.js": SPELLED,
    "format.js": FORMAT,
    "route.js": ROUTE,
    "connection.js": CONNECTION,
    "feed.js": FEED,
    "scheduler.js": GOVERNOR,
    "strip.js": STRIP,
    "rules.js": RULES,
}


@pytest.mark.parametrize("name", TABLES)
@ensureDeferred
async def test_every_case_of_the_table(answers: Any, name: str) -> None:
    assert await answers(name, TABLES[name]) == dict(TABLES[name])


def random_book(random: Random, tick: Decimal, step: Decimal) -> tuple[dict[str, Any], list[dict[str, Any]], list[Any]]:
    """A snapshot, deltas that follow it, and the (bids, asks) after each, best first, as exact text."""
    held: list[dict[Decimal, Decimal]] = [
        {(5000 - n) * tick: random.randrange(1, 10**6) * step for n in range(30)},
        {(5001 + n) * tick: random.randrange(1, 10**6) * step for n in range(30)},
    ]

    def levels(side: int) -> list[dict[str, Decimal]]:
        return [{"price": price, "quantity": held[side][price]} for price in sorted(held[side], reverse=side == 0)]

    snapshot = {"sequence": 7, "depth": 50, "bids": levels(0), "asks": levels(1), "complete": True}
    deltas, states = [], []
    for sequence in range(8, 208):
        changed: list[dict[Decimal, Decimal]] = [{}, {}]
        gone: list[list[Decimal]] = [[], []]
        for side in (0, 1):
            for _ in range(random.randrange(4)):
                price = (5000 - random.randrange(40) if side == 0 else 5001 + random.randrange(40)) * tick
                if random.random() < 0.4 and len(held[side]) > 3:
                    gone[side].append(price)  # also prices that are not there
                    held[side].pop(price, None)
                elif price not in gone[side]:
                    changed[side][price] = held[side][price] = random.randrange(1, 10**6) * step
            changed[side] = {price: size for price, size in changed[side].items() if price not in gone[side]}
        ups = [[{"price": price, "quantity": size} for price, size in each.items()] for each in changed]
        deltas.append(
            {
                "sequence": sequence,
                "bids_upserts": ups[0],
                "asks_upserts": ups[1],
                "deletes": {"bids": gone[0], "asks": gone[1]},
            }
        )
        states.append([[[float(each["price"]), float(each["quantity"])] for each in levels(side)] for side in (0, 1)])
    return snapshot, deltas, states


def as_numbers(value: object) -> str:
    """JSON with decimals as bare numbers, as the server writes them."""
    return json.dumps(value, default=float)


@pytest.mark.parametrize(("tick", "step"), [("0.01", "0.00001"), ("0.25", "1"), ("0.00000001", "1"), ("5", "0.001")])
@ensureDeferred
async def test_a_book_after_any_deltas_is_the_book_they_describe(bench: Any, tick: str, step: str) -> None:
    snapshot, deltas, states = random_book(Random(tick), Decimal(tick), Decimal(step))
    code = f"""(() => {{
        const book = m.Book.fromSnapshot({as_numbers(snapshot)}), kept = [];
        for (const delta of {as_numbers(deltas)})
            kept.push([book.apply(delta), structuredClone([book.bids, book.asks])]);
        return kept; }})()"""
    found = await bench.module("book.js", code)
    assert [ok for ok, _ in found] == [True] * len(deltas)
    assert [state for _, state in found] == states


@ensureDeferred
async def test_a_delta_that_does_not_fit_changes_nothing(bench: Any) -> None:
    snapshot, deltas, _ = random_book(Random(1), Decimal("0.01"), Decimal("0.001"))
    code = f"""(() => {{
        const book = m.Book.fromSnapshot({as_numbers(snapshot)}), before = JSON.stringify(book);
        const [first, second] = {as_numbers(deltas[:2])};
        return [book.apply(second), book.apply({{...first, sequence: 7}}), JSON.stringify(book) === before,
            book.apply(first), book.apply(second)]; }})()"""
    assert await bench.module("book.js", code) == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("tick", "factor"), [("0.01", 1), ("0.01", 10), ("0.01", 100), ("0.25", 2), ("0.00000001", 5), ("5", 50)]
)
@ensureDeferred
async def test_grouped_rows_are_exact_and_never_look_better_than_the_book(bench: Any, tick: str, factor: int) -> None:
    snapshot, _, _ = random_book(Random(factor), Decimal(tick), Decimal("0.001"))
    width = Decimal(tick) * factor
    expected = []
    for name, rounding in (("bids", ROUND_FLOOR), ("asks", ROUND_CEILING)):
        rows: dict[Decimal, Decimal] = {}
        for level in snapshot[name]:
            edge = (level["price"] / width).to_integral_value(rounding) * width
            rows[edge] = rows.get(edge, Decimal(0)) + level["quantity"]
        expected.append([[float(price), float(size)] for price, size in rows.items()][:15])
    code = f"""(() => {{
        const {{bids, asks}} = m.Book.fromSnapshot({as_numbers(snapshot)})
            .grouped(m.stepOf({json.dumps(tick)}, {factor}), 15);
        return [bids, asks].map((side) => side.map(({{price, quantity}}) => [price, quantity])); }})()"""
    found = await bench.module("book.js", code)
    for side, rows in zip(found, expected, strict=True):
        assert [price for price, _ in side] == [price for price, _ in rows]
        assert [size for _, size in side] == pytest.approx([size for _, size in rows])


def bars(times: list[int]) -> list[dict[str, Any]]:
    """Closed one-minute bars at these minutes since midnight."""
    random = Random(3)
    made = []
    for minute in times:
        opened, closed = (round(100 + random.random() * 10, 2) for _ in "oc")
        edges = {"open": opened, "high": max(opened, closed) + 1, "low": min(opened, closed) - 1, "close": closed}
        made.append(
            {
                "timestamp": f"2026-07-22T{minute // 60:02}:{minute % 60:02}:00.000Z",
                **edges,
                "volume": 1 + minute % 7,
                "closed": True,
            }
        )
    return made


def averages(
    known: list[dict[str, Any]], times: list[int], length: int
) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """Simple and exponential mean and the day's VWAP after each bar; none of them reaches across a hole."""
    simple: list[float | None] = []
    exponential: list[float | None] = []
    weighted: list[float | None] = []
    run: list[float] = []
    money = volume = 0.0
    for index, bar in enumerate(known):
        if index and times[index] != times[index - 1] + 1:
            run, money, volume = [], 0.0, math.nan
        run.append(bar["close"])
        simple.append(sum(run[-length:]) / length if len(run) >= length else None)
        before = exponential[-1] if len(run) > length else None
        exponential.append(before + (bar["close"] - before) * 2 / (length + 1) if before is not None else simple[-1])
        money += (bar["high"] + bar["low"] + bar["close"]) / 3 * bar["volume"]
        volume += bar["volume"]
        weighted.append(None if math.isnan(volume) else money / volume)
    return simple, exponential, weighted


@ensureDeferred
async def test_overlays_are_the_textbook_s_and_stop_at_a_hole(bench: Any) -> None:
    times = [*range(40), *range(45, 80)]
    known = bars(times)
    code = f"""(() => {{
        const series = new m.Series('1m'); series.merge({json.dumps(known)});
        return ['sma5', 'ema5', 'vwap'].map((name) =>
            Array.from(m.overlay(name, series), (each) => Number.isNaN(each) ? null : each)); }})()"""
    for found, expected in zip(await bench.module("series.js", code), averages(known, times, 5), strict=True):
        assert [each is None for each in found] == [each is None for each in expected]
        assert [each for each in found if each is not None] == pytest.approx(
            [each for each in expected if each is not None]
        )


@ensureDeferred
async def test_bars_are_one_per_time_and_a_closed_one_never_opens_again(bench: Any) -> None:
    first, second, third, fourth = bars([0, 1, 2, 3])
    live = {**second, "closed": False, "close": 50.0}
    code = f"""(() => {{
        const series = new m.Series('1m'), told = [];
        series.merge({json.dumps([second, first])});
        told.push(series.put({json.dumps(live)}), series.bars.map(({{close}}) => close));
        told.push(
            series.put({json.dumps({**third, "closed": False})}),
            series.put({json.dumps({**third, "close": 7.0})}),
            series.last.close);
        told.push(series.put({json.dumps({**fourth, "timestamp": "2026-07-22T00:09:00.000Z"})}), series.bars.length);
        return told; }})()"""
    late, closes, joined, again, last, hole, count = await bench.module("series.js", code)
    assert (late, closes) == (False, [first["close"], second["close"]])
    assert (joined, again, last) == (False, False, 7.0)
    assert (hole, count) == (True, 4), "a bar after missing ones is kept, and the hole is told"


@ensureDeferred
async def test_a_series_is_bounded(bench: Any) -> None:
    code = (
        f"(() => {{ const s = new m.Series('1m', 10); s.merge({json.dumps(bars(list(range(50))))}); "
        f"return [s.bars.length, s.first.slot % 1440] }})()"
    )
    assert await bench.module("series.js", code) == [10, 40]
