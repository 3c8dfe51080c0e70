"""What anybody may rely on, from outside: the seed's README and frontend, REST, readiness, the goodbye."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionRefusedError

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
README_COMPACT = (
    '{"op":"subscribe","channels":[{"channel_type":"ticker",'
    '"exchange":"binance", "symbol":{"base":"BTC","quote":"USDT"}}]}'
)
README_BROKEN = (
    '{"op":"subscribe","channels":[{\n"channel_type":"ticker",\n'
    '"exchange":"binance", \n"symbol":{"base":"BTC","quote":"USDT"}\n}]}\n'
)
README_MEMBERS = {"timestamp", "exchange", "symbol", "bid", "ask", "last", "bid_size", "ask_size"}
JSON_HEADERS = {"Content-Type": "application/json"}


# -- The seed's README and its frontend --


@pytest.mark.parametrize("text", [README, README_COMPACT, README_BROKEN], ids=["indented", "compact", "broken"])
@ensureDeferred
async def test_the_seed_s_subscribe_message_gets_its_ticker(start: Any, text: str) -> None:
    running = await start(DEMO="true")
    client = await running.connect()
    ticker = client.until(lambda message: message["type"] == "ticker" and message["payload"].keys() >= README_MEMBERS)
    client.say(text)
    payload = (await ticker)["payload"]
    assert (payload["exchange"], payload["symbol"]) == ("binance", {"base": "BTC", "quote": "USDT"})
    assert all(
        isinstance(payload[name], Decimal) and payload[name] > 0
        for name in ("bid", "ask", "last", "bid_size", "ask_size")
    )
    assert payload["bid"] < payload["ask"]
    answer = next(each for each in client.of("info") if "accepted" in each)
    assert answer["message"] == "Subscribed to 1 channels across 1 exchanges"


@ensureDeferred
async def test_digits_are_the_venue_s_own(start: Any, helpers: Any) -> None:
    running = await start(DEMO="true")
    _, channel = helpers
    client = await running.connect()
    ticker = client.until(lambda message: "bid" in message["payload"])
    client.subscribe(channel("ticker", symbol="PEPE-USDT"))
    await ticker
    bid = client.texts[-1].partition(b'"bid":')[2].partition(b",")[0]
    assert len(bid.partition(b".")[2]) == 8 and b"e" not in bid.lower()
    assert b"null" not in b"".join(client.texts)


@ensureDeferred
async def test_the_seed_s_frontend_gets_its_rest(start: Any) -> None:
    running = await start(DEMO="true")
    answers = {}
    for path in (
        "/api/exchanges",
        "/api/symbols",
        "/api/candles?exchange=binance&symbol=BTCUSDT&interval=1m&limit=500&market_type=spot",
    ):
        preflight = {
            "Origin": "http://seed.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "content-type",
        }
        before = await running.get(path, "OPTIONS", headers=preflight)
        assert before.code in (200, 204)
        allowed = {
            name: before.headers.getRawHeaders(f"Access-Control-Allow-{name}", [""])[0].lower()
            for name in ("Origin", "Headers", "Methods")
        }
        assert (
            allowed["Origin"] in ("*", "http://seed.example")
            and "content-type" in allowed["Headers"]
            and "get" in allowed["Methods"]
        )
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
        assert (
            each["symbol"] == f"{each['base']}-{each['quote']}"
            and each["display_name"] == f"{each['base']} / {each['quote']}"
        )
        assert 0 <= each["price_precision"] <= 20 and each["market_type"] in ("spot", "perpetual")
        assert all(Decimal(each[name]) > 0 for name in ("tick_size", "step_size"))
    candles = answers["/api/candles"]
    times = [each["timestamp"] for each in candles["candles"]]
    assert candles["symbol"] == "BTCUSDT" and len(times) == 500 and times == sorted(set(times))
    assert all(
        each["low"] <= min(each["open"], each["close"]) <= max(each["open"], each["close"]) <= each["high"]
        for each in candles["candles"]
    )


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
@ensureDeferred
async def test_candles_of_every_interval_the_seed_s_frontend_asks_for(start: Any, exchange: str) -> None:
    running = await start(DEMO="true")
    for market in ("spot", "perpetual"):
        for interval in ("1m", "5m", "15m", "1h", "4h", "1d"):
            found = await running.json(
                f"/api/candles?exchange={exchange}&symbol=BTCUSDT&interval={interval}&limit=500&market_type={market}"
            )
            assert (found["interval"], found["market_type"], len(found["candles"])) == (interval, market, 500)
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
    assert (
        client.of("info")[0]["message"] == f"Connected to crypto-dash API. Session: {client.of('info')[0]['session']}"
    )


@ensureDeferred
async def test_unsubscribe_and_subscribe_back_to_back_cost_the_venue_nothing(
    start: Any, helpers: Any, place: Any
) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="5")
    client = await running.connect()
    btc, eth = (
        channel("ticker", symbol={"base": base, "quote": "USDT"}, market_type="spot") for base in ("BTC", "ETH")
    )
    client.subscribe(btc, eth)
    await eventually(lambda: {place(each)[2] for each in client.of("ticker")} == {"BTC-USDT", "ETH-USDT"})
    before, streams, seen = running.upstream_messages(), running.upstream_streams(), len(client.messages)
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
        assert {place(each["payload"])[2] for each in answers[index + 1 : index + 5] if each["type"] == "ticker"} == {
            "BTC-USDT",
            "ETH-USDT",
        }
    assert (running.upstream_messages(), running.upstream_streams()) == (before, streams)


@pytest.mark.parametrize("code", [1000, 1001, 3000])
@ensureDeferred
async def test_the_peer_s_close_code_comes_back(start: Any, helpers: Any, code: int) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true")
    raw = await running.raw_ws()
    raw.send_frame(8, code.to_bytes(2, "big"))
    await eventually(lambda: raw.gone)
    assert raw.close_code == code
    # of several processes each sample names its own
    text = re.sub(r'process="[^"]*",?', "", (await running.get("/metrics")).body.decode())
    assert f'cryptodash_ws_closes_total{{code="{code if code < 3000 else "other"}",initiator="client"}} 1.0' in text


# -- REST --


@ensureDeferred
async def test_rest_values_are_those_of_the_streams_and_hold_them_for_the_linger(
    start: Any, helpers: Any, place: Any
) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="1")
    pair = "exchange=bybit&symbol=eth/usdt&market_type=perpetual"
    ticker, book, trades = [await running.json(f"/api/{path}?{pair}") for path in ("ticker", "orderbook", "trades")]
    assert {place(each) for each in (ticker, book, trades)} == {("bybit", "perpetual", "ETH-USDT")}
    assert all(
        each["status"]["state"] in ("live", "quiet") and each["source"] == "simulated"
        for each in (ticker, book, trades)
    )
    assert ticker["bid"] < ticker["ask"] and len(book["bids"]) == len(book["asks"]) == book["depth"] == 50
    assert [each["id"] for each in trades["trades"]] == [
        each["id"] for each in (await running.json(f"/api/trades?{pair}"))["trades"]
    ][: len(trades["trades"])]
    assert set(running.upstream_streams().values()) == {1}
    await eventually(lambda: not running.upstream_streams())


@ensureDeferred
async def test_one_upstream_request_serves_all_who_ask_for_the_same_candles(start: Any) -> None:
    running = await start(DEMO="true")
    before = running.simulator.ledger["bybit"].requests
    asked = [
        Deferred.fromCoroutine(running.json("/api/candles?exchange=bybit&symbol=BTCUSDT&interval=5m&limit=300"))
        for _ in range(10)
    ]
    answers = await gatherResults(asked)
    assert running.simulator.ledger["bybit"].requests == before + 1
    assert len(answers[0]["candles"]) == 300 and all(each["candles"] == answers[0]["candles"] for each in answers)


# -- Readiness --


@ensureDeferred
async def test_not_ready_while_no_venue_can_be_reached_and_it_says_why(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    closed = {
        f"BINANCE_{market}{kind}_URL": f"{scheme}://127.0.0.1:1"
        for market in ("", "PERPETUAL_")
        for kind, scheme in (("WS", "ws"), ("REST", "http"))
    }
    running = await start(EXCHANGES="binance", **closed)
    answer = await running.get("/ready")
    said = json.loads(answer.body)
    assert (answer.code, said["status"]) == (503, "not_ready")
    await eventually(lambda: running.server.hub.upstreams["binance"].report().reason != "the catalogue is not read yet")
    client = await running.connect()
    client.subscribe(channel("ticker"))
    await client.synced()
    assert [each["state"] for each in client.of("status")] == ["connecting"]
    answer = await running.get("/ready")
    said = json.loads(answer.body)
    assert answer.code == 503 and said["reasons"][0].startswith("binance is offline")
    assert (
        said["dependencies"]["exchanges"]["binance"]["status"] == "offline"
        and said["dependencies"]["exchanges"]["binance"]["source"] == "custom"
    )
    assert not client.of("error") and not client.of("ticker")
    venue = (await running.json("/api/exchanges"))["exchanges"][0]
    assert (venue["status"], venue["source"], venue["ws_url"]) == ("offline", "custom", "ws://127.0.0.1:1")
    assert (await running.get("/health")).code == 200


@ensureDeferred
async def test_readiness_and_exchanges_follow_the_data(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", STALE_AFTER_S="1")
    assert (await running.get("/ready")).code == 200, "idle, and both catalogues were read"
    assert all(
        each["idle"] and each["status"] == "online" for each in (await running.json("/api/exchanges"))["exchanges"]
    )
    client = await running.connect()
    # the sweep's stream has a pace the venue promises
    client.subscribe(channel("ticker", "binance", "*"), channel("order_book", "bybit"))
    await eventually(lambda: len(client.of("order_book_delta")) > 3 and client.of("ticker"))
    # of another process's venue the report comes a moment after its values
    reports = running.server.hub.exchange_reports
    await eventually(
        lambda: all(
            each.status == "online" and not each.idle and each.streams and each.last_message is not None
            for each in reports()
        )
    )
    venues = {each["id"]: each for each in (await running.json("/api/exchanges"))["exchanges"]}
    assert all(
        each["status"] == "online" and not each["idle"] and each["streams"] and each["last_message_at"]
        for each in venues.values()
    )

    running.simulator.faults.start("binance", "silent-venue", seconds=60)  # the connection stays up, data stops
    await client.until_type("status", state="stale", cause="silent")
    binance, bybit = (running.server.hub.upstreams[name].report for name in ("binance", "bybit"))
    await eventually(lambda: binance().status == "offline")  # a moment after, as above
    assert (binance().status, binance().connections) == ("offline", 1), "an open socket is no data"
    assert (await running.get("/ready")).code == 200, "bybit still delivers"

    running.simulator.faults.start("bybit", "maintenance", seconds=60)
    await client.until_type("status", cause="maintenance")
    await eventually(lambda: bybit().status == "maintenance")
    answer = await running.get("/ready")
    reasons = json.loads(answer.body)["reasons"]
    assert (
        answer.code == 503
        and reasons[0].startswith("binance is offline: cause silent")
        and reasons[1].startswith("bybit is maintenance")
    )
    venues = {each["id"]: each["status"] for each in (await running.json("/api/exchanges"))["exchanges"]}
    assert venues == {"binance": "offline", "bybit": "maintenance"}

    running.simulator.faults.stop("bybit")
    await eventually(lambda: bybit().status == "online")
    assert (await running.get("/ready")).code == 200


@ensureDeferred
async def test_symbols_kept_warm_have_values_before_anybody_asks(start: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running = await start(
        DEMO="true", SYMBOLS="binance:spot:BTC-USDT,bybit:perpetual:ETH-USDT:order_book:20,binance:spot:NO-SUCH"
    )
    await eventually(
        lambda: [each.state.value for part in running.opened("binance").streams() for each in part] == ["live", "live"]
    )
    found = await running.json("/api/ticker?exchange=binance&symbol=BTC-USDT")
    assert found["status"]["state"] == "live" and found["source"] == "simulated"
    ready = await running.json("/ready")
    assert ready["dependencies"]["exchanges"]["binance"]["unknown_symbols"] == ["binance:spot:NO-SUCH:ticker"]


# -- The goodbye --


@ensureDeferred
async def test_a_stop_says_1012_to_everybody_with_a_time_to_come_back(start: Any, helpers: Any, reactor: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    clients = [await running.connect() for _ in range(20)]
    for client in clients:
        client.subscribe(channel("ticker"), channel("order_book"))
    deaf = await running.raw_ws()
    deaf.pause()
    kept = await running.raw(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
    await eventually(lambda: all(client.of("order_book_snapshot") for client in clients) and kept.data.endswith(b"}"))
    stopping = running.server.stopService()
    del kept.data[:]
    kept.send(b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n")
    ends = [await client.closed for client in clients]
    await eventually(lambda: kept.status)
    assert kept.status == 503 and b"shutting down" in kept.data
    await stopping
    assert {code for code, _ in ends} == {1012}
    waits = [json.loads(reason)["retry_ms"] for _, reason in ends]
    assert all(type(each) is int and 0 <= each < 60_000 for each in waits) and len(set(waits)) > 10, (
        "reconnects must be spread"
    )
    await running.stop_others()
    assert not running.simulator.hosts["binance-spot"].sessions
    with pytest.raises(ConnectionRefusedError):
        await running.raw()
