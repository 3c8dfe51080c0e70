"""Bad input of every kind: a clear answer for who sends it, and for everybody else nothing at all happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

TICKER = {"channel_type": "ticker", "exchange": "binance", "symbol": "BTC-USDT"}


def changed(**members: object) -> dict[str, Any]:
    return {"op": "subscribe", "channels": [{**TICKER, **members}]}


class Witness:
    """A good client beside the bad one: its streams must go on as if nothing happened."""

    def __init__(self, client: Any, eventually: Callable[..., Any]) -> None:
        self.client = client
        self._eventually = eventually

    async def watch(self, channel: Callable[..., Any]) -> None:
        # The book of a venue that sends its own snapshots: one made from a REST snapshot may be used up by a jump.
        self.client.subscribe(channel("trade"), channel("order_book", "bybit", depth=5), channel("ticker"))
        await self._eventually(
            lambda: self.client.of("order_book_delta") and self.client.of("ticker") and self.client.of("trade")
        )
        self._seen = len(self.client.messages)

    async def is_undisturbed(self) -> None:
        deltas = len(self.client.of("order_book_delta"))
        await self._eventually(lambda: len(self.client.of("order_book_delta")) > deltas)
        sequences = [each["sequence"] for each in self.client.of("order_book_delta")]
        ids = [int(each["id"]) for each in self.client.of("trade")]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert {each["type"] for each in self.client.messages[self._seen :]} <= {"ticker", "trade", "order_book_delta"}
        assert not self.client.closed.called


@pytest.fixture
def scene(start: Any, helpers: Any) -> Callable[..., Any]:
    """A demo with a witness and a client to misbehave with."""
    eventually, channel = helpers

    async def make(**settings: str) -> tuple[Any, Witness]:
        running = await start(DEMO="true", **settings)
        witness = Witness(await running.connect(), eventually)
        await witness.watch(channel)
        return running, witness

    return make


REFUSED: list[tuple[str, object, str]] = [
    ("no JSON", '{"op":"subscribe",', "invalid_message"),
    ("empty", "", "invalid_message"),
    ("two documents", '{"op":"ping"}{"op":"ping"}', "invalid_message"),
    ("a list", [], "invalid_message"),
    ("null", "null", "invalid_message"),
    ("a number of many digits", '{"op":"ping","id":' + "9" * 5_000 + "}", "invalid_message"),
    ("deep nesting", "[" * 100_000, "invalid_message"),
    ("half a surrogate", b'{"op":"\\ud800"}', "invalid_message"),
    ("no op", {"channels": []}, "invalid_message"),
    ("op of a wrong type", {"op": 5}, "invalid_message"),
    ("unknown op", {"op": "hack"}, "unknown_op"),
    ("op in capitals", {"op": "SUBSCRIBE", "channels": []}, "unknown_op"),
    ("id of a wrong type", {"op": "ping", "id": []}, "invalid_message"),
    ("no channels", {"op": "subscribe"}, "invalid_message"),
    ("channels of a wrong type", {"op": "subscribe", "channels": {"a": 1}}, "invalid_message"),
    ("a channel of a wrong type", {"op": "subscribe", "channels": ["binance:BTC-USDT"]}, "invalid_channel"),
    (
        "1,001 channels",
        {"op": "subscribe", "channels": [{**TICKER, "depth": each} for each in range(1001)]},
        "too_many_channels",
    ),
    ("unknown channel", changed(channel_type="bbo2"), "unknown_channel"),
    ("channel of a wrong type", changed(channel_type=["ticker"]), "unknown_channel"),
    ("unknown exchange", changed(exchange="mtgox"), "unknown_exchange"),
    ("exchange of a wrong type", changed(exchange=7), "unknown_exchange"),
    ("exchange of another script", changed(exchange="bınance"), "unknown_exchange"),
    ("unknown symbol", changed(symbol="NO-SUCH"), "unknown_symbol"),
    ("joined unknown symbol", changed(symbol="NOSUCHUSDT"), "unknown_symbol"),
    ("symbol of a wrong type", changed(symbol=5), "invalid_symbol"),
    ("symbol without a quote", changed(symbol={"base": "BTC"}), "invalid_symbol"),
    ("symbol with control characters", changed(symbol="BTC-US\x00DT"), "invalid_symbol"),
    ("symbol of 10 kB", changed(symbol="B" * 10_000), "invalid_symbol"),
    ("unknown market", changed(market_type="margin"), "invalid_market"),
    ("unknown interval", changed(channel_type="candle", interval="7m"), "invalid_interval"),
    ("interval in other digits", changed(channel_type="candle", interval="１m"), "invalid_interval"),
    ("interval of a wrong type", changed(channel_type="candle", interval={"m": 1}), "invalid_interval"),
    ("no interval", changed(channel_type="candle"), "invalid_interval"),
    ("depth 0", changed(channel_type="order_book", depth=0), "invalid_depth"),
    ("depth 1001", changed(channel_type="order_book", depth=1001), "invalid_depth"),
    ("depth with a fraction", changed(channel_type="order_book", depth=5.5), "invalid_depth"),
    ("depth true", changed(channel_type="order_book", depth=True), "invalid_depth"),
    ("sweep of books", changed(channel_type="order_book", symbol="*"), "invalid_symbol"),
    ("max_rate 0", changed(max_rate=0), "invalid_max_rate"),
    (
        "max_rate that is none",
        '{"op":"subscribe","channels":[{"channel_type":"ticker",'
        '"exchange":"binance","symbol":"BTC-USDT","max_rate":1e400}]}',
        None,
    ),
    ("max_rate on trades", changed(channel_type="trade", max_rate=1), "invalid_max_rate"),
]


@ensureDeferred
async def test_every_bad_request_gets_its_error_and_the_connection_stays(scene: Any) -> None:
    running, witness = await scene()
    client = await running.connect()
    for what, message, code in REFUSED:
        seen = len(client.messages)
        error = client.until_type("error")
        client.say(message)
        answer = await error
        assert code in (None, answer["payload"]["code"]), (what, answer)
        assert answer["message"] == answer["payload"]["message"] and len(answer["message"]) < 512, what
        if code == "invalid_message":
            assert answer["message"].startswith("Invalid message format: "), what
        await client.synced()
        assert len([each for each in client.messages[seen:] if each["type"] == "error"]) == 1, what
    listed = client.until(lambda message: "channels" in message["payload"])
    client.say({"op": "list"})
    assert (await listed)["payload"]["channels"] == [], "something of a refused message was applied"
    assert not client.of("ticker") and not client.of("status")
    for upstream in running.server.hub.upstreams.values():
        assert all(
            "BTC-USDT" in str(topic) for stream in chain.from_iterable(upstream.streams()) for topic in stream.topics
        ), "a refused request reached the venue"
    await witness.is_undisturbed()


@ensureDeferred
async def test_what_is_good_of_a_mixed_request_is_served(scene: Any, helpers: Any) -> None:
    _, channel = helpers
    running, witness = await scene()
    client = await running.connect()
    ticker = client.until_type("ticker")
    client.subscribe(
        channel("ticker", "mtgox"),
        channel("ticker", symbol="ETH-USDT"),
        channel("candle", interval="9m"),
        channel("ticker", symbol="ETH-USDT"),
        id=7,
    )
    await ticker
    at = next(index for index, each in enumerate(client.messages) if "accepted" in each["payload"])
    info, error, status = client.messages[at : at + 3]
    assert (info["payload"]["id"], len(info["payload"]["accepted"])) == (7, 1)
    assert info["payload"]["message"] == "Subscribed to 1 channels across 1 exchanges"
    assert [(each["index"], each["code"]) for each in info["payload"]["rejected"]] == [
        (0, "unknown_exchange"),
        (2, "invalid_interval"),
    ]
    assert error["payload"]["code"] == "unknown_exchange" and error["payload"]["message"].startswith(
        "2 of 4 channels rejected"
    )
    assert status["type"] == "status" and status["payload"]["channel"]["symbol"]["base"] == "ETH"
    await witness.is_undisturbed()


# -- Frames --

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
PING_OP = b'{"op":"ping","id":"p"}'
FRAMES: list[tuple[str, Callable[[Any], object], int]] = [
    ("an unmasked frame", lambda raw: raw.send_frame(TEXT, PING_OP, masked=False), 1002),
    ("a reserved bit", lambda raw: raw.send_frame(TEXT, PING_OP, reserved=4), 1002),
    ("a reserved opcode", lambda raw: raw.send_frame(3, PING_OP), 1002),
    ("a fragmented ping", lambda raw: raw.send_frame(PING, b"", fin=False), 1002),
    ("a ping of 126 bytes", lambda raw: raw.send_frame(PING, b"x" * 126), 1002),
    ("a continuation of nothing", lambda raw: raw.send_frame(0, PING_OP), 1002),
    ("a close with one byte", lambda raw: raw.send_frame(CLOSE, b"x"), 1002),
    ("a close with a code that is none", lambda raw: raw.send_frame(CLOSE, (1006).to_bytes(2, "big")), 1002),
    ("text that is not UTF-8", lambda raw: raw.send_frame(TEXT, b'{"op":"\xff\xfe"}'), 1007),
    ("a frame of 1 MiB", lambda raw: raw.send_frame(TEXT, b" " * 2**20), 1009),
    (
        "the head of a frame of 2^62 bytes",
        lambda raw: raw.send(b"\x81\xff" + (2**62).to_bytes(8, "big") + b"key!"),
        1009,
    ),
    (
        "fragments of 512 KiB together",
        lambda raw: [raw.send_frame(TEXT if not each else 0, b" " * 65_000, fin=False) for each in range(8)],
        1009,
    ),
    ("a subscribe flood", lambda raw: [raw.send_frame(TEXT, json.dumps(changed()).encode()) for _ in range(300)], 1008),
    ("a ping flood", lambda raw: [raw.send_frame(PING, b"") for _ in range(300)], 1008),
]


@ensureDeferred
async def test_broken_frames_end_their_connection_with_the_right_code(scene: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene()
    for what, misbehave, code in FRAMES:
        raw = await running.raw_ws()
        misbehave(raw)
        await eventually(lambda raw=raw: raw.close_code is not None or raw.gone)
        assert raw.close_code == code, (what, raw.close_code)
        raw.send_frame(CLOSE, code.to_bytes(2, "big"))
        await eventually(lambda raw=raw: raw.gone)
    await witness.is_undisturbed()
    await eventually(lambda: len(running.server.clients.sessions) == 1)
    assert running.server.hub.clients_of(running.server.hub.resolve("binance", None, "ticker", "BTC-USDT")) == 1, (
        "a dead client holds a topic"
    )


@ensureDeferred
async def test_a_binary_frame_is_ignored_and_counted(scene: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene()
    raw = await running.raw_ws()
    raw.send_frame(BINARY, json.dumps(changed()).encode())
    raw.send_frame(TEXT, PING_OP)
    await eventually(lambda: b"pong" in raw.data)
    assert len(list(raw.frames())) == 2 and raw.close_code is None, "greeting and pong, nothing else"
    assert "cryptodash_ws_binary_ignored_total 1.0" in (await running.get("/metrics")).body.decode()
    await witness.is_undisturbed()


# -- HTTP --

REST: list[tuple[str, str, int, str]] = [
    ("GET", "/nothing", 404, "not_found"),
    ("POST", "/health", 405, "method_not_allowed"),
    ("POST", "/api/exchanges", 405, "method_not_allowed"),
    ("DELETE", "/api/symbols", 405, "method_not_allowed"),
    ("GET", "/api/symbols/refresh", 405, "method_not_allowed"),
    ("GET", "/api/symbols?exchange=mtgox", 404, "unknown_exchange"),
    ("GET", "/api/symbols?market_type=margin", 400, "invalid_market"),
    ("GET", "/api/ticker", 400, "missing_parameter"),
    ("GET", "/api/ticker?exchange=binance", 400, "missing_parameter"),
    ("GET", "/api/ticker?exchange=mtgox&symbol=BTC-USDT", 404, "unknown_exchange"),
    ("GET", "/api/ticker?exchange=binance&symbol=NO-SUCH", 404, "unknown_symbol"),
    ("GET", "/api/ticker?exchange=binance&symbol=*", 400, "invalid_symbol"),
    ("GET", "/api/ticker?exchange=binance&exchange=bybit&symbol=BTC-USDT", 400, "duplicate_parameter"),
    ("GET", "/api/ticker?exchange=binance&symbol=%ff", 400, "invalid_parameter"),
    ("GET", "/api/orderbook?exchange=binance&symbol=BTC-USDT&depth=0", 400, "invalid_depth"),
    ("GET", "/api/orderbook?exchange=binance&symbol=BTC-USDT&depth=1e2", 400, "invalid_depth"),
    ("GET", "/api/trades?exchange=binance&symbol=BTC-USDT&limit=0", 400, "invalid_limit"),
    ("GET", "/api/trades?exchange=binance&symbol=BTC-USDT&limit=1001", 400, "invalid_limit"),
    ("GET", "/api/candles?exchange=binance&symbol=BTCUSDT&limit=0", 400, "invalid_limit"),
    ("GET", "/api/candles?exchange=binance&symbol=BTCUSDT&limit=1001", 400, "invalid_limit"),
    ("GET", "/api/candles?exchange=binance&symbol=BTCUSDT&limit=-1", 400, "invalid_limit"),
    ("GET", "/api/candles?exchange=binance&symbol=BTCUSDT&limit=%D9%A1", 400, "invalid_limit"),
    ("GET", "/api/candles?exchange=binance&symbol=BTCUSDT&interval=%EF%BC%91m", 400, "invalid_interval"),
    ("GET", "/api/candles?exchange=binance&symbol=BTCUSDT&end=soon", 400, "invalid_end"),
    ("GET", "/api/candles?exchange=binance&symbol=NOSUCH", 404, "unknown_symbol"),
]


@ensureDeferred
async def test_every_bad_rest_request_gets_its_status_and_its_code(scene: Any) -> None:
    running, witness = await scene()
    for method, path, status, code in REST:
        answer = await running.get(path, method)
        body = json.loads(answer.body)
        assert (answer.code, body["error"]["code"]) == (status, code), (method, path, answer.body)
        assert body["error"]["message"] and body.keys() == {"error"}
        assert answer.headers.getRawHeaders("Access-Control-Allow-Origin") == ["*"]
        assert status != 405 or "OPTIONS" in answer.headers.getRawHeaders("Allow")[0]
    await witness.is_undisturbed()


CLIMBING = [
    "/../setup.py",
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc/passwd",
    "/assets/../../core/config.py",
    "/assets/%2e%2e%2f__init__.py",
    "/assets/..\\..\\setup.py",
    "/assets/..%5c__init__.py",
    "/assets/__init__.py",
    "/assets/app.js%00.html",
    "//etc/passwd",
    "/./health/../../etc/passwd",
]


@ensureDeferred
async def test_no_path_climbs_out_of_the_dashboard(scene: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene()
    for path in CLIMBING:
        raw = await running.raw(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        await eventually(lambda raw=raw: raw.gone)
        assert raw.status in (400, 404), (path, bytes(raw.data[:200]))
        assert b"import" not in raw.data and b"root:" not in raw.data and b"Traceback" not in raw.data
    raw = await running.raw(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    await eventually(lambda: raw.gone)
    assert raw.status == 200 and b"<html" in raw.data
    await witness.is_undisturbed()


HEAD = b"GET /health HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /api/symbols/refresh HTTP/1.1\r\nHost: h\r\n"
REQUESTS: list[tuple[str, bytes, int]] = [
    ("a header of 20 KiB", HEAD + b"X: " + b"x" * 20_480, 431),
    ("headers of 20 KiB together", HEAD + b"".join(b"X-%d: %s\r\n" % (each, b"x" * 400) for each in range(50)), 431),
    ("a thousand headers", HEAD + b"".join(b"X-%d: 1\r\n" % each for each in range(1000)), 431),
    (
        "a header bomb on the upgrade",
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" + b"X: 1\r\n" * 5_000,
        431,
    ),
    ("an endless address", b"GET /" + b"x" * 70_000, 414),
    ("a body of 64 MB", POST + b"Content-Length: 67108864\r\n\r\n" + b"x" * 100, 413),
    ("a body length of 5,000 digits", POST + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", 413),
    (
        "an endless chunked body",
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 0x1000 + b"\r\n") * 20,
        413,
    ),
    ("length and chunks", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("two lengths", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    ("no Host", b"GET /health HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", HEAD + b"Host: other\r\n\r\n", 400),
    ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (
        "an upgrade of another version",
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 7\r\n\r\n",
        426,
    ),
    ("no upgrade", b"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n", 426),
    (
        "a POST upgrade",
        b"POST /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
        405,
    ),
    ("TRACE", b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
]


@ensureDeferred
async def test_broken_requests_are_answered_and_cost_nobody_else(scene: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene()
    for what, request, status in REQUESTS:
        raw = await running.raw(request)
        await eventually(lambda raw=raw: raw.status or raw.gone)
        assert raw.status == status, (what, bytes(raw.data[:200]))
        assert b"Traceback" not in raw.data and b"Twisted" not in raw.data
        raw.close()
    assert (await running.get("/health")).code == 200
    await witness.is_undisturbed()


@ensureDeferred
async def test_who_dawdles_over_a_request_is_cut_at_the_deadline(scene: Any, helpers: Any, reactor: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene(REQUEST_DEADLINE_S="1")
    began = reactor.seconds()
    upgrade = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
    dawdlers = {
        name: await running.raw(begin)
        for name, begin in {"mute": b"", "half": upgrade, "header": HEAD, "body": POST, "handshake": upgrade}.items()
    }
    dawdlers["header"].drip(b"X-Slow: " + b"x" * 2000, every=0.03)
    dawdlers["handshake"].drip(b"X-Slow: 1\r\n" * 200, every=0.03)
    dawdlers["body"].send(b"Content-Length: 1000\r\n\r\n")
    dawdlers["body"].drip(b"x" * 2000, every=0.03)
    await eventually(lambda: all(each.gone for each in dawdlers.values()))
    assert 0.9 < reactor.seconds() - began < 9, "by the setting, not by the ten seconds that hold without one"
    assert {name: each.status for name, each in dawdlers.items()} == dict.fromkeys(dawdlers, 408)
    await witness.is_undisturbed()


@ensureDeferred
async def test_a_storm_of_connections_leaves_nothing_behind(scene: Any, helpers: Any) -> None:
    eventually, channel = helpers
    running, witness = await scene(UPSTREAM_LINGER_S="0")
    for _ in range(5):
        clients = [await running.connect() for _ in range(10)]
        for client in clients:
            client.subscribe(channel("ticker", symbol="ETH-USDT"), channel("order_book", symbol="ETH-USDT", depth=5))
            client.say({"op": "nonsense"})
            client.dropConnection(abort=True)
    await eventually(lambda: len(running.server.clients.sessions) == 1 and len(running.server.clients.sockets) == 1)
    await eventually(
        lambda: not any("eth" in name for host in running.simulator.hosts.values() for _, name in host.streams)
    )
    assert len(running.server.clients.fanout.cohorts) == 1
    await witness.is_undisturbed()
    assert running.simulator.ledger.violations == []


# -- Who may come, and stay --


@ensureDeferred
async def test_limits_on_connections_and_origins(scene: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene(
        MAX_CONNECTIONS_PER_IP="3", MAX_CONNECTIONS="100", ALLOWED_ORIGINS="https://good.example"
    )
    good = await running.connect(headers={"Origin": "https://good.example"})
    with pytest.raises(ConnectionError, match="403"):
        await running.connect(headers={"Origin": "https://evil.example"})
    await running.connect()
    surplus = await running.raw_ws()
    await eventually(lambda: surplus.close_code is not None)
    assert surplus.close_code == 1008 and not any(opcode == TEXT for opcode, _ in surplus.frames())
    await good.leave()
    await eventually(lambda: len(running.server.clients.sessions) == 2)
    assert (await running.connect()).state == good.STATE_OPEN, "the place is free again"
    await witness.is_undisturbed()


@ensureDeferred
async def test_a_full_server_says_so(scene: Any, helpers: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene(MAX_CONNECTIONS="1")
    surplus = await running.raw_ws()
    await eventually(lambda: surplus.close_code is not None)
    assert surplus.close_code == 1013
    await witness.is_undisturbed()


@ensureDeferred
async def test_who_answers_no_ping_is_dropped_whatever_else_it_says(scene: Any, helpers: Any, reactor: Any) -> None:
    eventually, _ = helpers
    running, witness = await scene(PING_INTERVAL_S="1", PING_TIMEOUT_S="1")
    raw = await running.raw_ws()
    began = reactor.seconds()

    def gone() -> bool:
        raw.send_frame(TEXT, PING_OP)
        return raw.gone

    await eventually(gone, every=0.1)
    assert 1.5 < reactor.seconds() - began < 19, "by the settings, not by the twenty seconds that hold without them"
    assert [opcode for opcode, _ in raw.frames()].count(PING) >= 1 and raw.close_code != 1000
    await witness.is_undisturbed()
