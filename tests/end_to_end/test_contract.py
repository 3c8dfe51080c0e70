"""What a dashboard may rely on, from outside: subscriptions, values, books, readiness, the seed's own client, the goodbye."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

README = """{
  "op": "subscribe",
  "channels": [
    {
      "channel_type": "ticker",
      "exchange": "binance",
      "symbol": {"base": "BTC", "quote": "USDT"}
    }
  ]
}"""
README_COMPACT = '{"op":"subscribe","channels":[{"channel_type":"ticker","exchange":"binance", "symbol":{"base":"BTC","quote":"USDT"}}]}'
README_BROKEN = '{"op":"subscribe","channels":[{\n"channel_type":"ticker",\n"exchange":"binance", \n"symbol":{"base":"BTC","quote":"USDT"}\n}]}\n'
README_MEMBERS = {"timestamp", "exchange", "symbol", "bid", "ask", "last", "bid_size", "ask_size"}
JSON_HEADERS = {"Content-Type": "application/json"}


def place(payload: dict[str, Any]) -> tuple[str, str, str]:
    """Whose value this is."""
    symbol = payload["symbol"]
    return payload["exchange"], payload["market_type"], f"{symbol['base']}-{symbol['quote']}"


def named(payload: dict[str, Any]) -> tuple[Any, ...]:
    """A status's channel, as something to compare."""
    own = payload["channel"]
    symbol = own["symbol"] if isinstance(own["symbol"], str) else "-".join(own["symbol"].values())
    return own["channel_type"], own["exchange"], own["market_type"], symbol, own.get("depth") or own.get("interval")


def all_topics(running: Any) -> list[tuple[str, str, str]]:
    """Every instrument that trades in the demo: exchange, market, symbol."""
    return [
        (exchange, each.market.value, str(each.symbol))
        for exchange, upstream in running.server.hub.upstreams.items()
        for each in upstream.catalogue
        if each.status == "trading"
    ]


def subscribers(running: Any) -> dict[str, int]:
    """The simulator's side: how often each of its streams is subscribed."""
    return {f"{name}/{market}/{stream.name}": len(stream.sessions) for name, host in running.simulator.venues.items() for (market, _), stream in host.streams.items()}


def messages_upstream(running: Any) -> int:
    """Frames the venues got from us that ask for something: data subscriptions and their ends."""
    return sum(ledger.subscriptions + ledger.messages for ledger in running.simulator.ledger.by_host.values())


# -- The seed's README and its frontend --


@pytest.mark.parametrize("text", [README, README_COMPACT, README_BROKEN], ids=["indented", "compact", "broken"])
@ensureDeferred
async def test_the_seed_s_subscribe_message_gets_its_ticker(start: Any, text: str) -> None:
    running = await start(DEMO="true")
    client = await running.connect()
    ticker = client.until_type("ticker")
    client.say(text)
    payload = (await ticker)["payload"]
    assert payload.keys() >= README_MEMBERS
    assert (payload["exchange"], payload["symbol"]) == ("binance", {"base": "BTC", "quote": "USDT"})
    assert all(isinstance(payload[name], Decimal) and payload[name] > 0 for name in ("bid", "ask", "last", "bid_size", "ask_size"))
    assert payload["bid"] < payload["ask"]
    answer = next(each for each in client.of("info") if "accepted" in each)
    assert answer["message"] == "Subscribed to 1 channels across 1 exchanges"


@ensureDeferred
async def test_digits_are_the_venue_s_own(start: Any, helpers: Any) -> None:
    running = await start(DEMO="true")
    _, channel = helpers
    client = await running.connect()
    ticker = client.until_type("ticker")
    client.subscribe(channel("ticker", symbol="PEPE-USDT"))
    await ticker
    text = next(each for each in client.texts if each.startswith(b'{"type":"ticker"'))
    bid = text.partition(b'"bid":')[2].partition(b",")[0]
    assert len(bid.partition(b".")[2]) == 8 and b"e" not in bid.lower()
    assert b"null" not in b"".join(client.texts)


@ensureDeferred
async def test_the_seed_s_frontend_gets_its_rest(start: Any) -> None:
    running = await start(DEMO="true")
    answers = {}
    for path in ("/api/exchanges", "/api/symbols", "/api/candles?exchange=binance&symbol=BTCUSDT&interval=1m&limit=500&market_type=spot"):
        preflight = {"Origin": "http://seed.example", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "content-type"}
        before = await running.get(path, "OPTIONS", headers=preflight)
        assert before.code in (200, 204)
        allowed = {name: before.headers.getRawHeaders(f"Access-Control-Allow-{name}", [""])[0].lower() for name in ("Origin", "Headers", "Methods")}
        assert allowed["Origin"] in ("*", "http://seed.example") and "content-type" in allowed["Headers"] and "get" in allowed["Methods"]
        answer = await running.get(path, headers={**JSON_HEADERS, "Origin": "http://seed.example"})
        assert answer.code == 200, answer.body
        assert answer.headers.getRawHeaders("Access-Control-Allow-Origin") == ["*"]
        answers[path.partition("?")[0]] = json.loads(answer.body)
    assert [each["id"] for each in answers["/api/exchanges"]["exchanges"]] == ["binance", "bybit"]
    assert all(each["status"] == "online" and each["name"] for each in answers["/api/exchanges"]["exchanges"])
    symbols = answers["/api/symbols"]
    assert "USDT" in symbols["allowed_quotes"]["spot"] and "USDT" in symbols["allowed_quotes"]["perpetual"]
    listed = [(venue["exchange"], each) for venue in symbols["exchanges"] for each in venue["symbols"]]
    assert {exchange for exchange, _ in listed} == {"binance", "bybit"}
    for _, each in listed:
        assert each["symbol"] == f"{each['base']}-{each['quote']}" and each["display_name"] == f"{each['base']} / {each['quote']}"
        assert 0 <= each["price_precision"] <= 20 and each["market_type"] in ("spot", "perpetual")
        assert all(Decimal(each[name]) > 0 for name in ("tick_size", "step_size"))
    candles = answers["/api/candles"]
    times = [each["timestamp"] for each in candles["candles"]]
    assert candles["symbol"] == "BTCUSDT" and len(times) == 500 and times == sorted(set(times))
    assert all(each["low"] <= min(each["open"], each["close"]) <= max(each["open"], each["close"]) <= each["high"] for each in candles["candles"])


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "1h", "4h", "1d"])
@pytest.mark.parametrize("market", ["spot", "perpetual"])
@ensureDeferred
async def test_candles_of_every_interval_the_seed_s_frontend_asks_for(start: Any, interval: str, market: str) -> None:
    running = await start(DEMO="true")
    for exchange in ("binance", "bybit"):
        found = await running.json(f"/api/candles?exchange={exchange}&symbol=BTCUSDT&interval={interval}&limit=500&market_type={market}")
        assert found["interval"] == interval and len(found["candles"]) == 500
        assert [each["closed"] for each in found["candles"]].count(False) <= 1


@ensureDeferred
async def test_ping_is_answered_as_the_seed_s_frontend_knows_it(start: Any) -> None:
    running = await start(DEMO="true")
    client = await running.connect()
    pong = client.until(lambda message: message.get("message") == "pong")
    client.say({"op": "ping"})
    answer = await pong
    assert answer.keys() == {"type", "payload", "message"} and answer["type"] == "info"
    assert answer["payload"].keys() == {"message", "timestamp"} and answer["payload"]["message"] == "Pong"
    assert client.of("info")[0]["message"] == f"Connected to crypto-dash API. Session: {client.of('info')[0]['session']}"


@ensureDeferred
async def test_unsubscribe_and_subscribe_back_to_back_cost_the_venue_nothing(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="5")
    client = await running.connect()
    btc, eth = (channel("ticker", symbol={"base": base, "quote": "USDT"}, market_type="spot") for base in ("BTC", "ETH"))
    client.subscribe(btc, eth)
    await eventually(lambda: {place(each)[2] for each in client.of("ticker")} == {"BTC-USDT", "ETH-USDT"})
    before, streams, seen = messages_upstream(running), subscribers(running), len(client.messages)
    for _ in range(5):
        client.unsubscribe(btc, eth)
        client.subscribe(eth, btc)
    await client.synced()
    answers = client.messages[seen:]
    said = [each["payload"]["message"] for each in answers if each["type"] == "info"]
    assert said[:-1] == ["Unsubscribed from 2 channels", "Subscribed to 2 channels across 1 exchanges"] * 5
    assert not [each for each in answers if each["type"] == "error"]
    again = [index for index, each in enumerate(answers) if "accepted" in each["payload"]]
    for index in again:  # each subscribe brings both values again, at once
        assert {place(each["payload"])[2] for each in answers[index + 1 : index + 5] if each["type"] == "ticker"} == {"BTC-USDT", "ETH-USDT"}
    assert (messages_upstream(running), subscribers(running)) == (before, streams)


@pytest.mark.parametrize("code", [1000, 1001, 3000])
@ensureDeferred
async def test_the_peer_s_close_code_comes_back(start: Any, helpers: Any, code: int) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true")
    raw = await running.raw_ws()
    raw.send_frame(8, code.to_bytes(2, "big"))
    await eventually(lambda: raw.gone)
    assert raw.close_code == code
