"""The two machine-readable descriptions against a running server, both ways: all that comes is described,
all that is described comes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

import jwt
import pytest
from attrs import evolve
from jsonschema import Draft202012Validator
from openapi_schema_validator import OAS31Validator
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults

from cryptodash.core.time import rfc3339
from tests.processes import ROOT

PAIR = "exchange=binance&symbol=BTC-USDT"
NDJSON = "application/x-ndjson"
VENUE = "venue=binance"
RECORDED_TIME = ("/api/history/trades", "/api/history/candles", "/api/history/book", "/trades.arrow")
KEY = bytes(range(32))
KEYS = f"HS256:{base64.urlsafe_b64encode(KEY).decode()}"
ADMIN = jwt.encode({"exp": 4_000_000_000, "scope": "admin"}, KEY, "HS256")

NEVER_IN_A_DEMO = {
    "OrderBook.checksum": "for venues that check their books by a checksum; the simulated ones have none",
    "OrderBookSnapshot.payload.checksum": "the same",
    "Liquidation.payload.id": "no venue of ours gives one",
    "Liquidation.payload.average_price": "Binance tells it, Bybit does not",
    "Liquidation.payload.complete": "for venues that tell a sample; Bybit tells all",
    "Stream.disputed": "no audit finds a simulated book wrong twice (test_audits.py)",
    "Status.payload.renamed_to": "neither Binance nor Bybit renames anything (test_catalogue_changes.py)",
    "Candle.payload.corrected": (
        "a closed bar is sent again only after its closing frame was lost and REST told otherwise"
    ),
    "Candle.payload.cursor": "a bar closes once a minute, which nobody waits for here (test_resume.py)",
    "Candle.payload.replayed": "the same",
    "Ready.dependencies.clock.error_ms": "the demo's venues go by the clock of this machine",
    "Ready.dependencies.clock.reason": "the same",
    **dict.fromkeys(
        (f"Ready.dependencies.certificate{each}" for each in ("", ".status", ".not_after", ".reason")),
        "the servers of these tests speak no TLS themselves (tests/api/http/test_openapi.py)",
    ),
    "Ready.dependencies.stream_hub.unknown_symbols": "no topic of SYMBOLS is one of the composite (test_compare.py)",
    **dict.fromkeys(
        (
            *(
                f"Ready.dependencies.cache.{each}"
                for each in ("reason", "process", "role", "holds", "processes", "lag_ms")
            ),
            *(f"{each}.process" for each in ("Exchange", "Stream", "StreamQuality", "VenueQuality")),
            *(f"{each}.missing" for each in ("Streams", "Quality")),
        ),
        "of several processes that are one server (test_rest_routes.py, test_openapi.py)",
    ),
    **dict.fromkeys(
        (f"Ready.dependencies.recording{each}" for each in ("", ".status", ".reason", ".topics", ".lost_blocks")),
        "with RECORD_DIR (tests/recording/test_service.py)",
    ),
    **dict.fromkeys(
        (
            *(f"RecordedCandle.{each}" for each in ("type", "payload")),
            *(f"RecordedCandle.payload.{each}" for each in ("timestamp", "received", "exchange", "market_type")),
            *(f"RecordedCandle.payload.{each}" for each in ("symbol", "interval", "open", "high", "low", "close")),
            *(f"RecordedCandle.payload.{each}" for each in ("volume", "closed", "source", "corrected", "cursor")),
        ),
        "a bar closes once a minute (tests/recording/test_history.py)",
    ),
    **dict.fromkeys(
        (
            *(f"Holdings.holes.{each}" for each in ("from", "to", "reason")),
            *("NotRecorded.error.ranges.interval", "RecordedGap.payload.missed"),
        ),
        "nothing is missing of this short recording (tests/recording/test_history.py)",
    ),
    "Ready.control_port": "the servers of these tests are given their simulator, and start none",
    "Stream.degraded": "a stream of this short run loses nothing for good",
    "StreamQuality.degraded": "the same",
    "StreamQuality.degraded_at": "the same",
    "QualityRun.merged": "for more changes of state than this run has",
}
NEVER_IN_A_DEMO |= {
    f"{path} 503": "the server ends while the request waits (test_commands.py)"
    for path in (
        *(f"GET /api/{name}" for name in ("ticker", "orderbook", "orderbook/snapshot", "trades", "candles", "compare")),
        *(f"GET /api/{name}" for name in ("exchanges", "symbols", "streams", "quality")),
        "GET /metrics",
        "POST /api/symbols/refresh",
    )
}
NEVER_IN_A_DEMO |= {f"GET {path} 503": "a recording that cannot be read (test_history.py)" for path in RECORDED_TIME}
NEVER_IN_A_DEMO |= {f"GET {path} 501": "pyarrow is missing (test_history.py)" for path in RECORDED_TIME}
NEVER_IN_A_DEMO |= {
    "GET /api/history 503": "the same",
    "GET /trades.arrow 200": "without pyarrow",
    "VenueQuote.quote": "QUOTE_ALIASES is empty (test_composite_hub.py)",
    "GET /api/compare 409": "a venue that cannot be reached says so (test_compare.py)",
}
NEVER_IN_A_DEMO |= {
    f"{schema}.crossed_{what}": "one venue, or two that follow one market, do not cross for long (test_openapi.py)"
    for schema in ("CompositeBbo.payload", "CompositeQuote")
    for what in ("bps", "size")
}
ASKED = ("Channel", "Subscribe", "Unsubscribe", "Resync", "List", "Ping", "Auth", "Replay", "ReplayStop")
"""Schemas of what clients send."""


class Description:
    """A document, and which members of its schemas have been seen."""

    def __init__(self, document: Any, validator: Callable[..., Any]) -> None:
        self.document = document
        self.schemas = document["components"]["schemas"]
        self.seen: set[str] = set()
        self._validator = validator
        self._shapes: set[object] = set()

    def check(self, name: str, value: Any) -> None:
        """The value fits the schema of this name; its members count as seen.
        Of values that look alike the first is enough."""
        shape = (name, _shape(value))
        if shape not in self._shapes:
            self._shapes.add(shape)
            self.check_against({"$ref": f"#/components/schemas/{name}"}, value)

    def check_against(self, schema: Any, value: Any) -> None:
        self._validator({**schema, "components": {"schemas": self.schemas}}).validate(value)
        self._see(schema, value, "")

    def _see(self, schema: Any, value: Any, at: str) -> None:
        if "$ref" in schema:
            at = schema["$ref"].rpartition("/")[2]
            schema = self.schemas[at]
        for option in schema.get("oneOf", ()):
            if self._validator({**option, "components": {"schemas": self.schemas}}).is_valid(value):
                self._see(option, value, at)
        if isinstance(value, dict):
            for name, member in value.items():
                inner = schema.get("properties", {}).get(name)
                if inner is not None:
                    self.seen.add(f"{at}.{name}")
                    self._see(inner, member, f"{at}.{name}")
                elif isinstance(schema.get("additionalProperties"), dict):
                    self._see(schema["additionalProperties"], member, at)
        elif isinstance(value, list):
            for item in value[:50]:
                self._see(schema.get("items", {}), item, at)

    def unseen(self) -> set[str]:
        return {member for name, schema in self.schemas.items() for member in _members(schema, name)} - self.seen


def _members(schema: Any, at: str) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{at}.{name}"
        yield from _members(inner, f"{at}.{name}")
    if "items" in schema:
        yield from _members(schema["items"], at)


def _shape(value: Any) -> object:
    """Names and kinds, without the values: of lists what their items look like.
    Words stay, so that every enumerated one is checked."""
    if isinstance(value, dict):
        return tuple((name, _shape(value[name])) for name in sorted(value))
    if isinstance(value, list):
        return frozenset(map(_shape, value[:50]))
    return value if isinstance(value, bool) or (isinstance(value, str) and value.isalpha()) else type(value).__name__


# -- /ws --

KINDS = {
    "error": "Error",
    "ticker": "Ticker",
    "bbo": "Bbo",
    "liquidation": "Liquidation",
    "trade": "Trade",
    "order_book_snapshot": "OrderBookSnapshot",
    "order_book_delta": "OrderBookDelta",
    "candle": "Candle",
    "status": "Status",
    "gap": "Gap",
}
ANSWERS = {
    "Connected": "Greeting",
    "Subscribed": "Subscribed",
    "Unsubscribed": "Unsubscribed",
    "Resynced": "Resynced",
    "Pong": "Pong",
    "Replaying": "Replaying",
    "Replay": "ReplayEnded",
}


COMPOSITE = {
    "bbo": "CompositeBbo",
    "order_book_snapshot": "CompositeBookSnapshot",
    "order_book_delta": "CompositeBookDelta",
}


def schema_of(message: dict[str, Any]) -> str:
    if message["type"] not in ("info", "error") and "replay_id" in message["payload"]:
        return "Recorded"
    if message["payload"].get("exchange") == "composite":
        return COMPOSITE[message["type"]]
    if message["type"] != "info":
        return KINDS[message["type"]]
    if "auth" in message["payload"]:
        return "Authentication"
    return ANSWERS.get(message["payload"]["message"].split()[0], "Channels")


@ensureDeferred
async def test_every_message_of_ws_is_described_and_every_description_comes(
    start: Any, helpers: Any, reactor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually, channel = helpers
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the process that reads the recording
    running = await start(
        DEMO="true", EXCHANGES="bybit", SOCKET_SEND_BUFFER_BYTES="4096", RECORD_DIR=str(tmp_path / "recordings")
    )
    began = running.server.clients.clock.wall_ms()
    asyncapi = Description(await running.json("/asyncapi.json"), Draft202012Validator)
    client, slow = await running.connect(), await running.raw_ws()
    requests: list[dict[str, Any]] = []

    def ask(op: str, *channels: Any, **more: Any) -> None:
        requests.append({"op": op, **({"channels": list(channels)} if channels else {}), **more})
        client.say(requests[-1])

    book = channel("order_book", "bybit", depth=20, max_rate=10)
    perpetual = channel("ticker", "bybit", {"base": "BTC", "quote": "USDT"}, market_type="perpetual")
    wrong = channel("ticker", "bybit", "NO-SUCH")
    ask(
        "subscribe",
        book,
        perpetual,
        channel("bbo", "bybit"),
        channel("bbo", "composite"),
        channel("order_book", "composite", depth=5),
        channel("liquidation", "bybit", market_type="perpetual"),
        channel("trade", "bybit"),
        channel("candle", "bybit", interval="1m"),
        channel("ticker", "bybit", "*"),
        wrong,
        id=1,
    )
    for instrument in running.simulator.markets.values():
        btc = instrument.get("BTCUSDT")
        btc.spec = evolve(btc.spec, trades_per_hour=1_000_000)
    await eventually(
        lambda: all(client.of(kind) for kind in ("order_book_delta", "ticker", "bbo", "trade", "candle", "liquidation"))
    )
    ask("resync", book, wrong, channel("liquidation", "bybit", market_type="perpetual"), id="again")
    ask("list", id=3)
    ask("ping", id=4)
    ask("auth", token="needed by nobody here", id=6)
    ask("subscribe", channel("trade", "bybit"))
    ask("unsubscribe", channel("trade", "bybit"), id=5)
    slow.pause()
    slow.send_frame(
        1,
        json.dumps(
            {"op": "subscribe", "channels": [channel("order_book", "bybit", depth=200), channel("trade", "bybit")]}
        ).encode(),
    )
    await eventually(lambda: running.server.clients.traffic.dropped.values[("trade",)] > 10)
    slow.transport.resumeProducing()
    await eventually(lambda: b'"gap"' in slow.data)  # of being slow
    told = len(client.of("trade"))
    ask("subscribe", channel("trade", "bybit", since=client.of("trade")[-1]["cursor"]))
    await eventually(lambda: len(client.of("trade")) > told)
    running.simulator.faults.start("bybit", "drop")
    await eventually(lambda: any(each["state"] == "stale" for each in client.of("status")))
    await eventually(lambda: "failover" in {each["reason"] for each in client.of("gap")})
    ask(
        "replay",
        channel("order_book", "bybit"),
        channel("trade", "bybit"),
        speed=0,
        id=7,
        **{"from": began, "to": rfc3339(began + 3_600_000)},
    )
    await eventually(
        lambda: any(text.startswith(b'{"type":"info","payload":{"message":"Replay ended"') for text in client.texts)
    )
    ask("replay", channel("bbo", "bybit"), **{"from": 0, "to": 1})
    await eventually(lambda: client.of("error")[-1]["code"] == "not_recorded")
    ask("replay", channel("trade", "bybit"), **{"from": began})
    ask("replay_stop", id="stop")
    await client.synced()

    guarded = await start(DEMO="true", EXCHANGES="bybit", AUTH_JWT_KEYS=KEYS)
    signed = {"exp": guarded.server.clients.clock.wall_ms() / 1000 + 30, "scope": "read max_channels=5"}
    asked = await guarded.connect()
    asked.say({"op": "auth", "token": jwt.encode(signed, KEY, "HS256")})
    await eventually(lambda: len(asked.texts) == 4)
    said = [json.loads(text)["payload"].get("auth") for text in asked.texts]
    assert said == ["required", "ok", None, "expiring"]

    for message in [json.loads(text) for text in (*client.texts, *asked.texts)] + [
        json.loads(payload) for opcode, payload in slow.frames() if opcode == 1
    ]:
        asyncapi.check(schema_of(message), message)
    for request in requests:
        asyncapi.check("".join(map(str.capitalize, request["op"].split("_"))), request)
    assert {each for each in asyncapi.unseen() if each not in NEVER_IN_A_DEMO} == set()


# -- REST --


class Answers:
    """Asks a server, and checks each answer against the description."""

    def __init__(self, openapi: Description) -> None:
        self.openapi = openapi
        self.seen: set[str] = set()

    async def ask(self, running: Any, method: str, target: str, status: int, **options: Any) -> Any:
        path = target.partition("?")[0]
        answer = await running.get(target, method, **options)
        assert answer.code == status, (method, target, answer.code, answer.body)
        described = self.openapi.document["paths"][path][method.lower()]["responses"]
        assert str(status) in described, f"{method} {path} answers {status}, which is not described"
        self.seen.add(f"{method} {path} {status}")
        kind = answer.headers.getRawHeaders("Content-Type", [""])[0].partition(";")[0]
        content = described[str(status)].get("content", {})
        assert kind in content or (not answer.body and not content), (path, kind)
        for text in {"application/json": (answer.body,), NDJSON: answer.body.splitlines()}.get(kind, ()):
            self.openapi.check_against(content[kind]["schema"], json.loads(text))
        for name in described[str(status)].get("headers", ()):
            assert answer.headers.hasHeader(name), (path, status, name)
        return answer

    def unseen(self) -> set[str]:
        everything = {
            f"{method.upper()} {path} {status}"
            for path, item in self.openapi.document["paths"].items()
            for method, operation in item.items()
            for status in operation["responses"]
        }
        return everything - self.seen


async def recorded_time(start: Any, helpers: Any, ask: Any, root: Path) -> None:
    """A server that records, asked what it has recorded."""
    eventually, channel = helpers
    recording = await start(DEMO="true", RECORD_DIR=str(root))
    client = await recording.connect()
    client.subscribe(channel("order_book"), channel("trade"), channel("candle", interval="1m"))
    await client.until_type("trade")

    async def is_told(path: str, word: str) -> None:
        until = monotonic() + 30
        while True:
            answer = await recording.get(path)
            if answer.code == 200 and word in answer.body.decode():
                return
            asked = monotonic()
            assert asked < until, answer.body
            await eventually(lambda asked=asked: monotonic() - asked > 0.2)

    trades = f"/api/history/trades?{PAIR}"
    await is_told(trades, '"type":"trade"')
    await ask(recording, "GET", f"/api/history?{PAIR}", 200)
    await ask(recording, "GET", f"{trades}&limit=1", 200)
    await ask(recording, "GET", f"/api/history/candles?{PAIR}", 200)
    now = recording.server.clients.clock.wall_ms()
    await ask(recording, "GET", f"/api/history/book?{PAIR}&at={now - 1000}", 200)
    await ask(recording, "GET", f"/api/history/book?{PAIR}&at={now - 1000}&depth=1000", 404)
    for path in (*RECORDED_TIME, "/api/history"):
        await ask(recording, "GET", f"{path}?{VENUE}", 400)
        await ask(recording, "GET", f"{path}?exchange=binance&{VENUE}&symbol=NOSUCH&at=0", 404)
    arrow = f"/trades.arrow?{VENUE}&symbol=BTC-USDT"
    if find_spec("pyarrow") is None:
        await ask(recording, "GET", arrow, 501)
    else:
        pyarrow: Any = import_module("pyarrow")
        table = pyarrow.ipc.open_stream((await ask(recording, "GET", arrow, 200)).body).read_all()
        assert table.num_rows > 0


@ensureDeferred
async def test_every_answer_of_rest_is_described_and_every_description_comes(
    start: Any, helpers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually, channel = helpers
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the processes that read tapes
    running = await start(
        DEMO="true",
        SYMBOLS="binance:spot:NO-SUCH,binance:perpetual:BTC-USDT:ticker",
        CONTROL_PORT="8099",
    )
    closed = {
        f"BINANCE_{market}{kind}_URL": f"{scheme}://127.0.0.1:1"
        for market in ("", "PERPETUAL_")
        for kind, scheme in (("WS", "ws"), ("REST", "http"))
    }
    dead = await start(EXCHANGES="binance", REST_HELD_TOPICS_PER_IP="4", **closed)
    answers = Answers(Description(await running.json("/openapi.json"), OAS31Validator))
    ask = answers.ask

    for path in (
        "/health",
        "/ready",
        "/api/exchanges",
        "/api/symbols",
        "/metrics",
        "/",
        "/openapi.json",
        "/asyncapi.json",
    ):
        await ask(running, "GET", path, 200)
    for path in ("ticker", "orderbook", "orderbook/snapshot", "trades", "candles"):
        await ask(running, "GET", f"/api/{path}?{PAIR}", 200)
        await ask(running, "GET", f"/api/{path}?{PAIR}&market_type=margin", 400)
        await ask(running, "GET", f"/api/{path}?exchange=mtgox&symbol=BTC-USDT", 404)
    await ask(running, "GET", f"/api/ticker?{PAIR}&market_type=perpetual", 200)
    await ask(running, "GET", "/api/compare?symbols=BTC-USDT", 200)
    await ask(running, "GET", "/api/compare", 400)
    await ask(running, "GET", "/api/compare?symbols=NO-SUCH", 404)
    await ask(running, "GET", "/api/orderbook?exchange=composite&symbol=BTC-USDT", 200)
    tag = (await ask(running, "GET", "/api/symbols?exchange=bybit", 200)).headers.getRawHeaders("ETag")[0]
    await ask(running, "GET", "/api/symbols?exchange=bybit", 304, headers={"If-None-Match": tag})
    await ask(running, "GET", "/api/symbols?market_type=margin", 400)
    await ask(running, "GET", "/api/symbols?exchange=mtgox", 404)
    await ask(running, "GET", "/api/quality?exchange=mtgox", 404)
    await ask(running, "GET", "/api/quality?exchange=binance&exchange=bybit", 400)
    for query, status in (
        ("exchange=binance&exchange=bybit", 400),
        ("exchange=mtgox", 404),
        ("exchange=bybit", 200),
        ("exchange=bybit", 429),
    ):
        await ask(running, "POST", f"/api/symbols/refresh?{query}", status)

    # The dearest candles there are: 40 charts, opened twice, and one more.
    dear = f"/api/candles?{PAIR}&market_type=perpetual&limit=1000&end="
    charts = [Deferred.fromCoroutine(ask(running, "GET", f"{dear}{number * 60_000}", 200)) for number in range(80)]
    await gatherResults(charts)
    await ask(running, "GET", f"{dear}{80 * 60_000}", 429)

    await ask(dead, "GET", "/ready", 503)
    hub = dead.server.hub
    first = [
        ("ticker", None, "ticker"),
        ("orderbook", None, "order_book"),
        ("orderbook/snapshot", 7, "order_book"),
        ("trades", None, "trade"),
    ]
    waits = []
    for path, depth, kind in first:  # each waits two seconds for a value that does not come
        target = f"/api/{path}?{PAIR}{f'&depth={depth}' if depth else ''}"
        waits.append(Deferred.fromCoroutine(ask(dead, "GET", target, 409)))
        topic = hub.resolve("binance", None, kind, "BTC-USDT", depth)
        await eventually(lambda topic=topic: hub.clients_of(topic))
    for path in ("ticker", "orderbook", "orderbook/snapshot", "trades"):
        await ask(dead, "GET", f"/api/{path}?exchange=binance&symbol=ETH-USDT", 429)
    await ask(dead, "GET", "/api/compare?symbols=ETH-USDT", 429)
    await ask(dead, "GET", "/api/candles?exchange=binance&symbol=BTCUSDT", 409)
    await ask(dead, "GET", f"/api/candles?{PAIR}", 502)
    await ask(dead, "POST", "/api/symbols/refresh", 502)
    await gatherResults(waits)

    await recorded_time(start, helpers, ask, tmp_path)
    client = await running.connect()
    client.subscribe(channel("order_book", depth=5), channel("ticker"))
    await client.until_type("order_book_delta")
    await ask(running, "GET", "/api/streams", 200)
    listed = monotonic()
    running.simulator.faults.start("binance", "maintenance", seconds=60)
    await client.until_type("status", cause="maintenance")
    await eventually(lambda: monotonic() - listed > 1.1)  # streams are listed once a second
    for path in (
        "/ready",
        "/api/exchanges",
        "/api/streams",
        "/api/quality",
        f"/api/ticker?{PAIR}",
        f"/api/ticker?{PAIR}&market_type=perpetual",
        "/api/compare?symbols=BTC-USDT",
    ):
        await ask(running, "GET", path, 200)

    guarded = await start(DEMO="true", AUTH_JWT_KEYS=KEYS)
    signed = jwt.encode({"exp": 4_000_000_000, "scope": "read:ticker:kraken"}, KEY, "HS256")
    bearer = {"headers": {"Authorization": f"Bearer {signed}"}}
    await ask(guarded, "GET", "/ready", 200)
    paths = [
        path
        for path, item in answers.openapi.document["paths"].items()
        for each in item.values()
        if "401" in each["responses"]
    ]
    for status, options in ((401, {}), (403, bearer)):
        for path in paths:
            method = "POST" if path.endswith("refresh") else "GET"
            if path == "/ready":
                await ask(guarded, method, path, 401, headers={"Authorization": "Bearer wrong"})
            elif status == 403 and path in ("/api/exchanges", "/api/symbols"):
                await ask(guarded, method, path, 403, headers={"Authorization": f"Bearer {ADMIN}"})
            else:
                query = f"?{PAIR}&{VENUE}" if path not in ("/metrics", "/api/compare") else "?symbols=BTC-USDT"
                await ask(guarded, method, path + query, status, **options)
    for at in range(20):
        await guarded.get("/api/exchanges", headers={"Authorization": f"Bearer guess-{at}"})
    for path in paths:
        method = "POST" if path.endswith("refresh") else "GET"
        await ask(guarded, method, path, 429, headers={"Authorization": "Bearer wrong"})

    assert {each for each in answers.openapi.unseen() if each not in NEVER_IN_A_DEMO} == set()
    assert {each for each in answers.unseen() if each not in NEVER_IN_A_DEMO} == set()
