"""What a dashboard may rely on, from outside: subscriptions, values, books, readiness, the seed's own client, the goodbye."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise
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
    return {
        f"{name}/{market}/{stream.name}": len(stream.sessions)
        for name, host in running.simulator.venues.items()
        for (market, _), stream in host.streams.items()
    }


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
    text = (await running.get("/metrics")).body.decode()
    assert f'cryptodash_ws_closes_total{{code="{code if code < 3000 else "other"}",initiator="client"}} 1.0' in text


# -- Subscriptions --


@ensureDeferred
async def test_two_clients_get_only_what_each_asked_for_and_one_leaving_disturbs_nobody(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="1")
    first, second = await running.connect(), await running.connect()
    first.subscribe(channel("ticker"), channel("trade"), channel("order_book", depth=5))
    second.subscribe(channel("ticker", "bybit", "ETH-USDT", market_type="perpetual"), channel("trade"))
    kinds = ("ticker", "trade", "order_book_delta")
    await eventually(lambda: all(first.of(kind) for kind in kinds) and all(second.of(kind) for kind in kinds[:2]))
    await first.leave()
    left = len(second.messages)
    await eventually(
        lambda: "binance-spot/spot/btcusdt@depth@100ms" not in subscribers(running) or not any("depth" in each for each in subscribers(running))
    )
    await eventually(lambda: {each["type"] for each in second.messages[left:]} >= {"ticker", "trade"})
    assert {place(each) for each in first.of("ticker") + first.of("trade")} == {("binance", "spot", "BTC-USDT")}
    assert {place(each) for each in second.of("ticker")} == {("bybit", "perpetual", "ETH-USDT")}
    assert {place(each) for each in second.of("trade")} == {("binance", "spot", "BTC-USDT")}
    assert not second.of("order_book_snapshot") and not second.of("order_book_delta")
    assert [each["state"] for each in second.of("status")].count("connecting") <= 2
    assert second.of("status")[-1]["state"] == "live" and not [each for each in second.messages[left:] if each["type"] == "status"]
    ids = [int(each["id"]) for each in second.of("trade")]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "a trade is missing or came twice"


@ensureDeferred
async def test_many_clients_share_one_upstream_subscription_that_ends_after_the_linger(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="1")
    wanted = [channel("ticker", market_type="perpetual"), channel("trade", "bybit"), channel("order_book", depth=7), channel("order_book", depth=20)]
    clients = [await running.connect() for _ in range(10)]
    for client in clients:
        client.subscribe(*wanted)
    await eventually(lambda: all(client.of("ticker") and client.of("trade") and len(client.of("order_book_snapshot")) == 2 for client in clients))
    streams = subscribers(running)
    assert len(streams) >= 4 and set(streams.values()) == {1}
    clients.pop().unsubscribe(*wanted)
    for client in clients:
        await client.leave()
    before = messages_upstream(running)
    again = await running.connect()
    again.subscribe(*wanted)  # within the linger: the venue does not hear of it
    await eventually(lambda: again.of("ticker") and again.of("trade") and len(again.of("order_book_snapshot")) == 2)
    assert (messages_upstream(running), subscribers(running)) == (before, streams)
    await again.leave()
    await eventually(lambda: not subscribers(running), 5)
    assert all(not upstream.streams() for upstream in running.server.hub.upstreams.values())
    assert running.simulator.ledger.violations == []


@ensureDeferred
async def test_a_value_is_forgotten_with_its_last_subscriber(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="0")
    client = await running.connect()
    client.subscribe(channel("ticker"))
    await client.until_type("ticker")
    client.unsubscribe(channel("ticker"))
    await eventually(lambda: not subscribers(running))
    seen = len(client.messages)
    client.subscribe(channel("ticker"))
    await client.synced()
    after = [each for each in client.messages[seen:] if each["type"] in ("status", "ticker")]
    assert after[0]["payload"]["state"] == "connecting", "an old value came as the latest"


@ensureDeferred
async def test_a_late_subscriber_gets_status_and_latest_value_at_once(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    early, late = await running.connect(), await running.connect()
    wanted = [channel("ticker"), channel("trade"), channel("order_book", depth=10), channel("candle", interval="5m")]
    early.subscribe(*wanted)
    await eventually(lambda: all(early.of(kind) for kind in ("ticker", "order_book_delta", "candle")) and len(early.of("trade")) > 2)
    late.subscribe(*wanted)
    await late.synced()
    answers = [each for each in late.messages[1:] if each["type"] != "info" or "accepted" in each["payload"]]
    kinds = [each["type"] for each in answers]
    trades = kinds.count("trade")
    assert trades > 2 and kinds == ["info", "status", "ticker", "status", *["trade"] * trades, "status", "order_book_snapshot", "status", "candle"]
    assert [each["state"] for each in late.of("status")] == ["live"] * 4 and all(each["age_ms"] < 2000 for each in late.of("status"))
    assert all(each["source"] == "simulated" for each in late.of("status"))
    assert all(each["replayed"] is True for each in late.of("trade")) and not any("replayed" in each for each in early.of("trade"))
    assert late.of("ticker") == early.of("ticker")[-1:] and late.of("candle") == early.of("candle")[-1:]
    assert [each["id"] for each in late.of("trade")] == [each["id"] for each in early.of("trade")][-trades:]


@ensureDeferred
async def test_nothing_follows_the_answer_to_an_unsubscribe(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    client = await running.connect()
    wanted = [channel("ticker"), channel("trade"), channel("order_book", depth=50)]
    client.subscribe(*wanted, channel("ticker", symbol="ETH-USDT"))
    await eventually(lambda: client.of("order_book_delta"))
    client.unsubscribe(*wanted, id="bye")
    await client.until_type("info", id="bye")
    at = next(index for index, each in enumerate(client.messages) if each["payload"].get("id") == "bye")
    await eventually(lambda: len([each for each in client.messages[at:] if each["type"] == "ticker"]) >= 3)
    assert {place(each["payload"]) for each in client.messages[at + 1 :]} == {("binance", "spot", "ETH-USDT")}


@ensureDeferred
async def test_a_client_with_a_thousand_subscriptions(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", STALE_AFTER_S="60")
    topics = [each for each in all_topics(running) if each[2] != "NKN-USDT"]  # trades so rarely that its streams stay silent for minutes
    wanted = [channel(kind, exchange, symbol, market_type=market) for kind in ("ticker", "trade") for exchange, market, symbol in topics]
    wanted += [channel("order_book", exchange, symbol, market_type=market, depth=5) for exchange, market, symbol in topics][:100]
    intervals = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d")
    wanted += [
        channel("candle", exchange, symbol, market_type=market, interval=interval) for interval in intervals for exchange, market, symbol in topics
    ]
    wanted = wanted[:1000]
    assert len(wanted) == 1000
    client = await running.connect()
    accepted = client.until(lambda message: "accepted" in message["payload"])
    client.subscribe(*wanted)
    assert len((await accepted)["payload"]["accepted"]) == 1000
    await eventually(lambda: len({named(each) for each in client.of("status") if each["state"] in ("live", "quiet")}) == 1000, 20)
    assert not client.of("error")
    assert len({place(each) for each in client.of("ticker")}) == len(topics)
    assert set(subscribers(running).values()) == {1} and running.simulator.ledger.violations == []
    counted = await running.json("/api/streams")
    assert {each["clients"] for each in counted["streams"]} >= {1}
    listed = client.until(lambda message: "channels" in message["payload"])
    client.say({"op": "list"})
    assert len((await listed)["payload"]["channels"]) == 1000


@ensureDeferred
async def test_a_symbol_is_taken_at_its_word_until_the_catalogue_comes(start: Any, helpers: Any) -> None:
    _, channel = helpers
    running = await start(
        DEMO="true", EXCHANGES="binance", wait=False, prepare=lambda simulator: simulator.faults.start("binance", "slow", seconds=60)
    )
    client = await running.connect()
    client.subscribe(channel("ticker"), channel("trade", symbol="NO-SUCH"), channel("ticker", symbol="BTCUSDT"))
    await client.synced()
    answer = next(each for each in client.of("info") if "accepted" in each)
    assert len(answer["accepted"]) == 2 and [each["code"] for each in answer["rejected"]] == ["not_yet_known"], "a joined name cannot be split yet"
    assert [each["state"] for each in client.of("status")] == ["connecting", "connecting"]
    closed = client.until_type("status", state="closed", cause="rejected")
    assert (await closed)["payload"]["channel"]["symbol"] == {"base": "NO", "quote": "SUCH"}
    assert client.of("error")[-1]["code"] == "unknown_symbol"
    running.simulator.faults.stop()
    await client.until_type("ticker")


@ensureDeferred
async def test_max_rate_thins_out_and_keeps_the_latest(start: Any, helpers: Any, reactor: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    thin, full = await running.connect(), await running.connect()
    full.subscribe(channel("ticker"))
    thin.subscribe(channel("ticker", max_rate=4))
    await eventually(lambda: len(thin.of("ticker")) >= 6 and len(full.of("ticker")) > 20)
    times = [when for message, when in zip(thin.messages, thin.received_at, strict=True) if message["type"] == "ticker"][2:]
    assert all(later - earlier > 200 for earlier, later in pairwise(times))
    everything = full.of("ticker")
    assert all(each in everything for each in thin.of("ticker")[1:])
    thin.subscribe(channel("ticker", max_rate=100))  # a repeat replaces the rate
    count = len(thin.of("ticker"))
    began = reactor.seconds()
    await eventually(lambda: len(thin.of("ticker")) >= count + 6)
    assert reactor.seconds() - began < 1.2


@ensureDeferred
async def test_rest_values_are_those_of_the_streams_and_hold_them_for_the_linger(start: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true", UPSTREAM_LINGER_S="1")
    pair = "exchange=bybit&symbol=eth/usdt&market_type=perpetual"
    ticker, book, trades = [await running.json(f"/api/{path}?{pair}") for path in ("ticker", "orderbook", "trades")]
    assert {place(each) for each in (ticker, book, trades)} == {("bybit", "perpetual", "ETH-USDT")}
    assert all(each["status"]["state"] in ("live", "quiet") and each["source"] == "simulated" for each in (ticker, book, trades))
    assert ticker["bid"] < ticker["ask"] and len(book["bids"]) == len(book["asks"]) == book["depth"] == 50
    assert [each["id"] for each in trades["trades"]] == [each["id"] for each in (await running.json(f"/api/trades?{pair}"))["trades"]][
        : len(trades["trades"])
    ]
    assert set(subscribers(running).values()) == {1}
    await eventually(lambda: not subscribers(running), 4)


@ensureDeferred
async def test_one_upstream_request_serves_all_who_ask_for_the_same_candles(start: Any) -> None:
    running = await start(DEMO="true")
    before = running.simulator.ledger["bybit"].requests
    asked = [Deferred.fromCoroutine(running.json("/api/candles?exchange=bybit&symbol=BTCUSDT&interval=5m&limit=300")) for _ in range(10)]
    answers = await gatherResults(asked)
    assert running.simulator.ledger["bybit"].requests == before + 1
    assert len(answers[0]["candles"]) == 300 and all(each["candles"] == answers[0]["candles"] for each in answers)


# -- The sweep --


@pytest.mark.parametrize("exchange", ["binance", "bybit"])
@pytest.mark.parametrize("market", ["spot", "perpetual"])
@ensureDeferred
async def test_a_sweep_brings_the_whole_market_and_leaves_out_what_is_subscribed_by_name(
    start: Any, helpers: Any, exchange: str, market: str
) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    topics = {each for each in all_topics(running) if each[:2] == (exchange, market)}
    client, other = await running.connect(), await running.connect()
    sweep = channel("ticker", exchange, "*", market_type=market)
    client.subscribe(sweep)
    await eventually(lambda: {place(each) for each in client.of("ticker")} == topics)
    client.subscribe(channel("ticker", exchange, "ETH-USDT", market_type=market))
    await client.synced()
    first = len(client.messages)
    other.subscribe(sweep)
    await other.synced()
    await eventually(
        lambda: Counter(place(each["payload"]) for each in client.messages[first:] if each["type"] == "ticker")[exchange, market, "ETH-USDT"] >= 5
    )
    assert {place(each) for each in other.of("ticker")} == topics, "a late subscriber has to wait"
    assert next(named(each) for each in client.of("status") if each["channel"]["symbol"] == "*") == ("ticker", exchange, market, "*", None)
    arrivals: dict[tuple[str, str, str], list[int]] = {}
    for message, when in zip(client.messages[first:], client.received_at[first:], strict=True):
        if message["type"] == "ticker":
            arrivals.setdefault(place(message["payload"]), []).append(when)
    del arrivals[exchange, market, "ETH-USDT"]
    for name, times in arrivals.items():
        assert all(later - earlier > 700 for earlier, later in pairwise(times)), (name, times)
    texts = [text for text in client.texts[first:] if b'"ETH","quote":"USDT"' in text]
    assert len(texts) == len(set(texts)), "the same value came by name and by sweep"
    assert sum(1 for each in client.of("status") if each["channel"]["symbol"] == "*") <= 2
    client.unsubscribe(channel("ticker", exchange, "ETH-USDT", market_type=market))
    await client.synced()
    await client.until(lambda message: message["type"] == "ticker" and place(message["payload"])[2] == "ETH-USDT")  # by the sweep again


# -- Books --


class Book:
    """A client's book: what it holds after each message, checked as it goes."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sequence = 0
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.deltas = 0

    def take(self, message: dict[str, Any]) -> None:
        payload = message["payload"]
        if message["type"] == "order_book_snapshot":
            self.bids, self.asks = ({each["price"]: each["quantity"] for each in payload[side]} for side in ("bids", "asks"))
        elif message["type"] == "order_book_delta":
            assert payload["sequence"] == self.sequence + 1
            self.deltas += 1
            for side, levels in (("bids", self.bids), ("asks", self.asks)):
                for price in payload["deletes"][side]:
                    del levels[price]
                levels.update({each["price"]: each["quantity"] for each in payload[f"{side}_upserts"]})
        self.sequence = payload["sequence"]
        assert len(self.bids) <= self.depth and len(self.asks) <= self.depth
        assert max(self.bids) < min(self.asks)
        assert all(size > 0 for size in [*self.bids.values(), *self.asks.values()])

    def same_as(self, payload: dict[str, Any]) -> bool:
        sides = [[(each["price"], each["quantity"]) for each in payload[side]] for side in ("bids", "asks")]
        return [sorted(self.bids.items(), reverse=True), sorted(self.asks.items())] == sides


@pytest.mark.parametrize(
    ("exchange", "market", "depth"), [("binance", "spot", 1), ("binance", "perpetual", 50), ("bybit", "spot", 20), ("bybit", "perpetual", 7)]
)
@ensureDeferred
async def test_a_book_kept_from_deltas_equals_a_fresh_snapshot(start: Any, helpers: Any, exchange: str, market: str, depth: int) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true")
    client = await running.connect()
    wanted = channel("order_book", exchange, market_type=market, depth=depth)
    client.subscribe(wanted)
    await eventually(lambda: client.of("order_book_snapshot"))
    for _ in range(3):
        deltas = len(client.of("order_book_delta"))
        await eventually(lambda deltas=deltas: len(client.of("order_book_delta")) >= deltas + 4)
        client.say({"op": "resync", "channels": [wanted]})
        await client.synced()
    book, resyncs = Book(depth), 0
    for message in client.messages:
        if message["type"] == "order_book_snapshot" and book.sequence:
            assert message["payload"]["sequence"] == book.sequence and book.same_as(message["payload"])
            resyncs += 1
        if message["type"].startswith("order_book"):
            book.take(message)
    assert resyncs == 3 and book.deltas >= 12
    assert all(each["complete"] for each in client.of("order_book_snapshot"))


# -- Readiness --


@ensureDeferred
async def test_not_ready_while_no_venue_can_be_reached_and_it_says_why(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    closed = {
        f"BINANCE_{market}{kind}_URL": f"{scheme}://127.0.0.1:1" for market in ("", "PERPETUAL_") for kind, scheme in (("WS", "ws"), ("REST", "http"))
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
    assert said["dependencies"]["exchanges"]["binance"]["status"] == "offline" and said["dependencies"]["exchanges"]["binance"]["source"] == "custom"
    assert not client.of("error") and not client.of("ticker")
    venue = (await running.json("/api/exchanges"))["exchanges"][0]
    assert (venue["status"], venue["source"], venue["ws_url"]) == ("offline", "custom", "ws://127.0.0.1:1")
    assert (await running.get("/health")).code == 200


@ensureDeferred
async def test_readiness_and_exchanges_follow_the_data(start: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running = await start(DEMO="true", STALE_AFTER_S="1")
    assert (await running.get("/ready")).code == 200, "idle, and both catalogues were read"
    assert all(each["idle"] and each["status"] == "online" for each in (await running.json("/api/exchanges"))["exchanges"])
    client = await running.connect()
    client.subscribe(channel("ticker", "binance", "*"), channel("order_book", "bybit"))  # the sweep's stream has a pace the venue promises
    await eventually(lambda: len(client.of("order_book_delta")) > 3 and client.of("ticker"))
    venues = {each["id"]: each for each in (await running.json("/api/exchanges"))["exchanges"]}
    assert all(each["status"] == "online" and not each["idle"] and each["streams"] and each["last_message_at"] for each in venues.values())

    running.simulator.faults.start("binance", "silent-venue", seconds=60)  # the connection stays up, data stops
    await client.until_type("status", state="stale", cause="silent")
    binance, bybit = (running.server.hub.upstreams[name].report for name in ("binance", "bybit"))
    assert (binance().status, binance().connections) == ("offline", 1), "an open socket is no data"
    assert (await running.get("/ready")).code == 200, "bybit still delivers"

    running.simulator.faults.start("bybit", "maintenance", seconds=60)
    await client.until_type("status", cause="maintenance")
    answer = await running.get("/ready")
    reasons = json.loads(answer.body)["reasons"]
    assert answer.code == 503 and reasons[0].startswith("binance is offline: cause silent") and reasons[1].startswith("bybit is maintenance")
    venues = {each["id"]: each["status"] for each in (await running.json("/api/exchanges"))["exchanges"]}
    assert venues == {"binance": "offline", "bybit": "maintenance"}

    running.simulator.faults.stop("bybit")
    await eventually(lambda: bybit().status == "online")
    assert (await running.get("/ready")).code == 200


@ensureDeferred
async def test_symbols_kept_warm_have_values_before_anybody_asks(start: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running = await start(DEMO="true", SYMBOLS="binance:spot:BTC-USDT,bybit:perpetual:ETH-USDT:order_book:20,binance:spot:NO-SUCH")
    await eventually(lambda: len(subscribers(running)) >= 2)
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
    began = reactor.seconds()
    stopping = running.server.stopService()
    del kept.data[:]
    kept.send(b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n")
    ends = [await client.closed for client in clients]
    await eventually(lambda: kept.status)
    assert kept.status == 503 and b"shutting down" in kept.data
    await stopping
    assert reactor.seconds() - began < 5
    assert {code for code, _ in ends} == {1012}
    waits = [json.loads(reason)["retry_ms"] for _, reason in ends]
    assert all(type(each) is int and 0 <= each < 60_000 for each in waits) and len(set(waits)) > 10, "reconnects must be spread"
    assert not running.simulator.venues["binance-spot"].sessions
    with pytest.raises(ConnectionRefusedError):
        await running.raw()
