"""What is said of a venue has one source: the header, Health and the panels cannot contradict each other. And what asks
again, and when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

PARTS = """
  const feed = { state: { phase: 'open' }, serverNow: () => 100000 };
  const topic = (state, cause, ms) => (
    { error: null, status: { state, cause }, channel: { exchange: 'v' }, age: () => ms });
  const live = topic('live', undefined, 100), silent = topic('stale', 'silent', 12000);
  const cut = topic('stale', 'disconnected', 5000);
  const waits = topic('connecting'), halted = topic('stale', 'halted', 9000);
  const unreached = topic('connecting', 'disconnected');
  const online = { id: 'v', status: 'online', last_message_at: new Date(99900).toISOString() };
  const offline = { id: 'v', status: 'offline', cause: 'disconnected',
    last_message_at: new Date(70000).toISOString() };
  const degraded = { id: 'v', status: 'degraded', cause: 'silent',
    last_message_at: new Date(99900).toISOString() };
  const shown = (report, topics, isOld) => {
    const { kind, text } = m.venueState('v', report, topics, feed, 0, isOld); return [kind, text]; };
  const count = (...topics) => { const { good, all, kind } = m.countFresh(topics, feed); return [good, all, kind]; };
"""


def case(expression: str) -> str:
    return f"(() => {{ {PARTS} return {expression}; }})()"


VENUES: Mapping[str, Any] = {
    # None fresh is no good colour, whatever the others are.
    case("count(live, live)"): [2, 2, "good"],
    case("count(live, silent)"): [1, 2, "bad"],
    case("count(silent, silent)"): [0, 2, "bad"],
    case("count(waits, waits)"): [0, 2, "unsure"],
    case("count(live, waits)"): [1, 2, "unsure"],
    case("count(halted)"): [0, 1, "unsure"],
    case("count(unreached)"): [0, 1, "bad"],
    case("count()"): [0, 0, "unsure"],
    # The streams say it sooner than the report.
    case("shown(online, [live])"): ["good", "v"],
    case("shown(offline, [live, live])"): ["good", "v"],
    case("shown(undefined, [live])"): ["good", "v"],
    case("shown(online, [cut, cut])"): ["bad", "v stale: venue disconnected 5.0 s"],
    case("shown(undefined, [cut])"): ["bad", "v stale: venue disconnected 5.0 s"],
    case("shown(offline, [cut])"): ["bad", "v offline: venue disconnected 5.0 s"],
    # The age is that of what is in doubt, never that of what flows beside it.
    case("shown(online, [live, silent])"): ["warned", "v 1 of 2 streams stale: silent 12 s"],
    case("shown(degraded, [live])"): ["warned", "v degraded: silent"],
    case("shown(offline, [])"): ["bad", "v offline: venue disconnected 30 s"],
    # Nobody is at fault, or nothing is known.
    case("shown(online, [halted])"): ["good", "v"],
    case("shown(undefined, [waits])"): ["unsure", "v ?"],
    case("shown(online, [], true)"): ["unsure", "v ?"],
    case("shown(online, [live], true)"): ["good", "v"],
    case("(feed.state.phase = 'silent', shown(online, [live]))"): ["unsure", "v ?"],
}

REASONS = {
    "https://a.b: DNSLookupError: DNS lookup failed: no results for hostname lookup": "its name was not found (DNS)",
    "http://a: ConnectionRefusedError: Connection was refused by other side: 111: Connection refused.": (
        "it refuses the connection"
    ),
    "a did not answer within 10 s": "it does not answer",
    "https://a: TimeoutError: User timeout caused connection failure.": "it does not answer",
    "https://a: NoRouteError: No route to host: 113": "there is no way to it through the network",
    "https://a: Error: certificate verify failed": "a secure connection to it could not be made (TLS)",
    "https://a: ConnectionLost: Connection to the other side was lost": "it closes the connection",
    "https://a: HTTP 500": "it answers with an error",
}
VENUES = {
    **VENUES,
    **{
        f"m.sentence({json.dumps({'id': 'v', 'status': 'offline', 'cause': 'disconnected', 'reason': reason})})": (
            f"v cannot be reached: {words}"
        )
        for reason, words in REASONS.items()
    },
    "m.sentence({id: 'v', status: 'offline', cause: 'disconnected'})": "v cannot be reached",
    "m.sentence({id: 'v', status: 'offline', cause: 'blocked', reason: 'HTTP 451'})": "v does not serve this place",
    "m.sentence({id: 'v', status: 'maintenance', cause: 'maintenance'})": "v is in maintenance",
    "m.sentence({id: 'v', status: 'degraded', cause: 'silent'})": "v is degraded: silent",
}

REQUESTS: Mapping[str, Any] = {
    "[400, 401, 403, 404, 410, 422].map((status) => m.isPermanent({status}))": [True] * 6,
    "[408, 409, 425, 429, 500, 502, 503, undefined].map((status) => m.isPermanent({status}))": [False] * 8,
    "m.isPermanent({status: 502, body: {error: {cause: 'rejected'}}})": True,
    "m.isPermanent({status: 502, body: {error: {cause: 'disconnected'}}})": False,
    "m.isPermanent({status: 502, body: null})": False,
    "[1, 2, 3, 5, 6, 50].map((tries) => m.pauseAfter(tries))": [2000, 4000, 8000, 32000, 60000, 60000],
    "m.pauseAfter(1, {retryMs: 5000})": 5000,
    "m.pauseAfter(4, {retryMs: 5000})": 16000,
}

NEW = """(() => {
  const topic = new m.Topic({ channel_type: 'ticker', exchange: 'v', symbol: 'BTC-USDT' });
  const says = (status, now) => topic.take('status', status, now), value = (now) => topic.take('ticker', {}, now);
  %s
  return %s;
})()"""
TOPIC = NEW % ("says({ state: 'live', age_ms: 0 }, 0); %s", "%s")
OPEN = "{ state: { phase: 'open' } }"
TOPICS: Mapping[str, Any] = {
    TOPIC % ("value(900);", "topic.age(1000)"): 100,
    # A part is in doubt: its age goes on although the other part is confirmed again and again.
    TOPIC % ("says({state: 'stale', fields: ['bid'], age_ms: 5000}, 100); value(900);", "topic.age(1100)"): 6000,
    # What is in doubt of a live one is not the age of what is live.
    TOPIC % ("says({state: 'live', fields: ['stats'], age_ms: 5000}, 100); value(900);", "topic.age(1000)"): 100,
    # Each value of a late stream is as old as it is late.
    TOPIC % ("says({state: 'stale', cause: 'late', age_ms: 5000}, 100); value(900);", "topic.age(1000)"): 5100,
    TOPIC
    % (
        "says({state: 'stale', cause: 'late', fields: ['bid', 'ask'], age_ms: 5000}, 100); value(900);",
        "topic.age(1000)",
    ): (5100),
    TOPIC
    % (
        "says({state: 'stale', fields: ['bid'], age_ms: 5000}, 0); says({state: 'live', age_ms: 10}, 900);",
        "topic.age(1000)",
    ): (110),
    "m.tradingStatus({status: 'trading'}, {status: {state: 'stale', cause: 'halted'}})": "halted",
    "m.tradingStatus({status: 'halted'}, {status: {state: 'live'}})": "trading",
    "m.tradingStatus({status: 'halted'}, {status: {state: 'connecting'}})": "halted",
    "m.tradingStatus({status: 'trading'}, undefined)": "trading",
    # The last price of a market that stands still is no price of now; where none was heard, none is shown.
    TOPIC % ("says({state: 'stale', cause: 'halted', age_ms: 5000}, 100);", f"m.isInDoubt(topic, {OPEN})"): True,
    TOPIC % ("says({state: 'closed', cause: 'delisted', age_ms: 5000}, 100);", f"m.isInDoubt(topic, {OPEN})"): True,
    TOPIC % ("says({state: 'live', age_ms: 5000}, 100);", f"m.isInDoubt(topic, {OPEN})"): False,
    NEW % ("says({state: 'stale', cause: 'halted'}, 100);", f"m.isInDoubt(topic, {OPEN})"): False,
    NEW % ("says({state: 'connecting'}, 100);", f"m.isInDoubt(topic, {OPEN})"): False,
    NEW % ("says({state: 'stale', cause: 'silent'}, 100);", f"m.isInDoubt(topic, {OPEN})"): True,
}

TABLES = {"venues.js": VENUES, "requests.js": REQUESTS, "topics.js": TOPICS}


@pytest.mark.parametrize("name", TABLES)
@ensureDeferred
async def test_every_case_of_the_table(answers: Any, name: str) -> None:
    assert await answers(name, TABLES[name]) == dict(TABLES[name])


MARKET = "#/market/binance/spot/BTC-USDT"
CHIP = "[...document.querySelectorAll('.chips .chip')].find((each) => each.innerText.startsWith('binance'))"
FRESH = "document.querySelector('a.chip')"
WELL = f"{CHIP}.className === 'chip good' && {CHIP}.innerText === 'binance' && {FRESH}.className === 'chip good'"


async def frozen(page: Any, stage: Any, change: str = "") -> None:
    """The market view, all of it live; from then on /api/exchanges always says what it says now, changed so."""
    await page.goto(stage.url + MARKET)
    await page.wait_for(WELL, 30)
    await page.evaluate(
        f"window.change = (body) => {{ {change}; return body; }};"
        "answers.exchanges = async (real) => Response.json(change(window.kept ??= await (await real()).json())), 1"
    )
    await page.wait_for("window.kept")


@ensureDeferred
async def test_streams_that_have_failed_are_not_beside_a_venue_that_is_well(tampered: Any, stage: Any) -> None:
    await frozen(tampered, stage)
    stage.fault("binance", "maintenance", None, 30)
    await tampered.wait_for(f"/^0 of [0-9]+ streams fresh/.test({FRESH}.innerText)", 20)
    await tampered.wait_for(f"{CHIP}.className === 'chip bad'")
    assert "good" not in await tampered.evaluate(f"{FRESH}.className")
    cause = "/venue (maintenance|disconnected)/"
    assert await tampered.evaluate(f"{cause}.test({CHIP}.innerText)")
    assert await tampered.evaluate(f"{cause}.test(document.querySelector('.panel-book .panel-state').innerText)")
    stage.calm()
    await tampered.wait_for(WELL, 40)


@ensureDeferred
async def test_a_venue_whose_streams_are_live_is_not_called_offline(tampered: Any, stage: Any) -> None:
    change = "Object.assign(each, {status: 'offline', cause: 'disconnected'})"
    await frozen(tampered, stage, f"for (const each of body.exchanges) if (each.id === 'binance') {change}")
    begun = await tampered.evaluate("asked.length")
    await tampered.wait_for(f"asked.length >= {begun + 3}")
    await tampered.wait_for(WELL)
    shown = "document.querySelector('#top').innerText + document.querySelector('main').innerText"
    assert "offline" not in await tampered.evaluate(shown)
    await tampered.go("#/health")  # where no stream is held any more the report alone speaks
    await tampered.wait_for("/offline/.test(document.querySelector('#top').innerText)", 20)
