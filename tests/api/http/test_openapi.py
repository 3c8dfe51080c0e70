"""The two descriptions against the server, both ways: what is sent is described, and what is described is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_schema_validator import OAS31Validator
from twisted.internet.defer import Deferred

from cryptodash.api.access.grant import Grant
from cryptodash.api.http.door import NEEDS, Right
from cryptodash.api.http.drain import Waits, shutting_down
from cryptodash.api.http.rest import Rest
from cryptodash.core import codec
from cryptodash.core.errors import Refused, TryLater, UpstreamError
from cryptodash.core.events import (
    Bbo,
    BookDelta,
    BookSnapshot,
    Candle,
    Cause,
    Gap,
    Liquidation,
    Side,
    State,
    StreamStatus,
    Ticker,
    Trade,
)
from cryptodash.core.instruments import MarketType, Symbol
from cryptodash.core.interfaces import ClusterReport, RecordingReport, StreamReport
from cryptodash.core.numbers import Number
from cryptodash.core.quality import Loss
from cryptodash.core.recorded import STATE, Entry, Made, Missing, Recorded, Span
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub import composite_messages as composite
from cryptodash.hub.composite import CompositeBbo, Constituent, Excluded, composite_bbo, select
from cryptodash.hub.composite_book import MergedQuantity
from cryptodash.hub.interfaces import Message
from cryptodash.recording.history_answers import hole_message
from cryptodash.recording.history_book import BookThen
from tests.api.conftest import World, read_frames
from tests.api.fake_tapes import AT, FROM, TRADES, Playing
from tests.api.http.test_history import AnswerDouble, TapesDouble

RECEIVED = 1_700_000_000_123
"""When the frames of these tests came in, ms."""

T0 = 1_704_067_200_000
TICKER_NUMBERS = (
    "bid",
    "ask",
    "bid_size",
    "ask_size",
    "open_24h",
    "high_24h",
    "low_24h",
    "volume_24h",
    "quote_volume_24h",
)
TICKER_MORE = ("change_24h", "change_pct_24h", "mark_price", "index_price", "funding_rate", "open_interest")
TICKER_TIMES = ("next_funding_time", "quote_time", "last_time", "stats_time")
FULL_TICKER: dict[str, Any] = {
    **dict.fromkeys(TICKER_NUMBERS + TICKER_MORE, "1.50"),
    **dict.fromkeys(TICKER_TIMES, T0),
    "funding_interval_h": 8,
}

LATER = {"OrderBook.checksum", "OrderBookSnapshot.payload.checksum"}
"""Described for venues that check their books by a checksum; the first venues have none."""


class Description:
    """A document, its schemas, and which of their members have been seen."""

    def __init__(self, document: Any, validator: Callable[..., Any]) -> None:
        self.document = document
        self.schemas = document["components"]["schemas"]
        self._validator = validator
        self.seen: set[str] = set()

    def check(self, schema: Any, value: Any) -> None:
        """The value fits the schema; its members count as seen."""
        self._validator({**schema, "components": {"schemas": self.schemas}}).validate(value)
        self._see(schema, value, "")

    def fits(self, schema: Any, value: Any) -> bool:
        return bool(self._validator({**schema, "components": {"schemas": self.schemas}}).is_valid(value))

    def _see(self, schema: Any, value: Any, at: str) -> None:
        if "$ref" in schema:
            at = schema["$ref"].rpartition("/")[2]
            schema = self.schemas[at]
        for option in schema.get("oneOf", ()):
            if self.fits(option, value):
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
            for item in value:
                self._see(schema.get("items", {}), item, at)

    def members(self) -> set[str]:
        return {member for name, schema in self.schemas.items() for member in _members(schema, name)}


def _members(schema: Any, at: str) -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{at}.{name}"
        yield from _members(inner, f"{at}.{name}")
    if "items" in schema:
        yield from _members(schema["items"], at)


@pytest.fixture
def openapi(web: Any) -> Description:
    return Description(web.get("/openapi.json").json(), OAS31Validator)


@pytest.fixture
def asyncapi(web: Any) -> Description:
    return Description(web.get("/asyncapi.json").json(), Draft202012Validator)


def test_every_route_is_described_and_every_description_is_a_route(openapi: Description) -> None:
    routes = {
        (rule.rule, method.lower())
        for rule in Rest.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if "<" not in rule.rule
    }
    assert routes == {(path, method) for path, item in openapi.document["paths"].items() for method in item}


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
def test_objects_are_closed_and_carry_the_version(web: Any, path: str) -> None:
    document = web.get(path).json()
    assert document["info"]["version"] == "1.2.3"

    def walk(schema: Any, at: str) -> None:
        if isinstance(schema, dict):
            if isinstance(schema.get("properties"), dict):
                assert schema["additionalProperties"] is at.endswith("/Recorded/properties/payload"), at
            for name, inner in schema.items():
                walk(inner, f"{at}/{name}")

    walk(document["components"]["schemas"], path)  # a recorded message has the members of any other besides its own


def crossed_quote(topic: Topic) -> CompositeBbo:
    """A composite quote with everything that one can have."""
    parts = [
        Constituent(Topic(exchange, topic.market, symbol, Channel.BBO), state, cause, quote, 1.0)
        for exchange, symbol, state, cause, quote in (
            ("binance", topic.symbol, State.LIVE, None, Bbo(topic, T0, RECEIVED, "1.6", "2.0", "1.7", "0.5")),
            ("bybit", Symbol("BTC", "USD"), State.QUIET, None, Bbo(topic, T0, RECEIVED, "1.4", "2.0", "1.5", "0.5")),
            ("third", topic.symbol, State.STALE, Cause.LATE, None),
        )
    ]
    return composite_bbo(topic, select(parts, None), 2.0)


def composite_messages() -> Iterator[tuple[str, bytes]]:
    """Of the composite what it sends."""
    quote = Topic("composite", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.BBO)
    yield "CompositeBbo", composite.bbo_message(crossed_quote(quote)).body
    yield "CompositeBbo", composite.bbo_message(composite_bbo(quote, select([], None), 2.0)).body
    book = quote.sibling(Channel.ORDER_BOOK, depth=5)
    levels = [(Number("1.5"), Number(MergedQuantity([("binance", Number("1.0")), ("bybit", Number("2"))])))]
    excluded = [Excluded("third", State.RESYNCING, Cause.GAP)]
    yield (
        "CompositeBookSnapshot",
        composite.snapshot_message(book, T0, RECEIVED, 1, levels, levels, True, excluded).body,
    )
    gone = [Number("1.4")], [Number("1.6")]
    yield (
        "CompositeBookDelta",
        composite.delta_message(book, T0, RECEIVED, 2, (levels, levels), gone, True, excluded).body,
    )


def fill(web: Any) -> None:
    """Put something into every member that an answer can have."""
    ticker = web.put_ticker(**FULL_TICKER)
    web.hub.statuses[ticker] = StreamStatus(ticker, State.STALE, Cause.SILENT, ("quote",), T0)
    web.put_book()
    web.put_trades(2)
    web.hub.bars = ([Candle(web.topic(Channel.CANDLE), T0, RECEIVED, "1", "2", "1", "2", "10", True, "rest")], True)
    quote = Topic("composite", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.BBO)
    web.hub.composites[quote] = crossed_quote(quote)
    upstream = web.hub.upstreams["binance"]
    listed = upstream.catalogue.listed(MarketType.PERPETUAL).values()
    upstream.catalogue.replace(MarketType.PERPETUAL, list(listed), [("BTCUSDT_270326", "no perpetual")])
    upstream.status = {
        "status": "degraded",
        "cause": Cause.SILENT,
        "reason": "one host is slow",
        "unknown_topics": ("binance:spot:NO-PE:ticker",),
        "clock_ahead_ms": 2500,
    }
    upstream.reports = [
        StreamReport(
            *("binance", "x", "c1", (ticker,), State.STALE, Cause.GAP, 1.0, 2.0, 9, 1, 1, 40, 30, 90),
            endpoint="spot",
            degraded=Loss.TRADES_MISSING,
            audits=3,
            divergences=2,
            disputed=True,
        )
    ]
    fill_ledger(web)


def fill_ledger(web: Any) -> None:
    record = web.hub.ledger.venue("binance").open("spot", "x")
    record.delayed(40)
    record.degrade(Loss.TRADES_MISSING)
    for _ in range(200):
        for state, cause in ((State.LIVE, None), (State.STALE, Cause.SILENT)):
            record.changed(state, cause)
            web.scheduler.advance(0.25)


def put_composite_book(web: Any) -> None:
    """A merged book that is known."""
    book = Topic("composite", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.ORDER_BOOK, depth=50)
    body = next(body for name, body in composite_messages() if name == "CompositeBookSnapshot")
    web.hub.books[book] = None
    web.hub.current = lambda topic, interval: [Message(topic, "order_book_snapshot", body, topic)]


PAIR = "exchange=binance&symbol=BTC-USDT"


class Ended(Waits):
    """The server ends while a request waits, however little there is to wait for."""

    async def wait(self, awaitable: Any) -> Any:
        Deferred.fromCoroutine(super().wait(awaitable)).addErrback(lambda failure: None)
        raise shutting_down()


RECORDED = (
    b'{"type":"begin","payload":{"channel":{"channel_type":"candle","exchange":"binance","market_type":"spot","symbol":'
    b'{"base":"BTC","quote":"USDT"},"interval":"1m"},"source":"recorded","from":"2024-01-01T00:00:00.000Z","to":'
    b'"2024-01-01T00:00:00.000Z"}}\n',
    b'{"type":"gap","payload":{"channel":{"channel_type":"order_book","exchange":"binance","market_type":"spot","symbol":'
    b'{"base":"BTC","quote":"USDT"},"depth":5},"reason":"failover","missed":3}}\n',
    b'{"type":"end","payload":{"rows":2,"holes":1,"complete":false,"until":"2024-01-01T00:00:00.000Z","next":"1-0"}}\n',
)


def recorded_lines(channel: Channel) -> list[Any]:
    """A line of each kind."""
    bar = Candle(topic_of(Channel.CANDLE, interval="1m"), T0, RECEIVED, "1", "2", "1", "2", "3.0", True, "trades", True)
    trade = Trade(topic_of(Channel.TRADE), T0, RECEIVED, "1", "1.5", "2", Side.SELL)
    row = codec.message("trade", codec.trade_payload(trade))
    if channel is Channel.CANDLE:
        row = codec.message("candle", codec.candle_payload(bar))
    hole = hole_message(topic_of(Channel.TRADE), Missing(T0 * 1000, T0 * 1000 + 1, "stopped"))
    return [Made(each) for each in (*RECORDED, row + b"\n", hole + b"\n")]


def topic_of(channel: Channel, **more: Any) -> Topic:
    return Topic("binance", MarketType.SPOT, Symbol("BTC", "USDT"), channel, **more)


def recorded_book() -> list[Any]:
    book = topic_of(Channel.ORDER_BOOK, depth=5)
    levels = [("1.5", "2.00")]
    snapshot = msgspec.json.decode(
        codec.snapshot_payload(BookSnapshot(book, T0, RECEIVED, 1, levels, levels, True)), type=dict[str, msgspec.Raw]
    )
    status = msgspec.json.decode(
        b'{"state":"stale","cause":"late","fields":["bids"],"since":"2024-01-01T00:00:00.000Z","source":"simulated"}',
        type=dict[str, msgspec.Raw],
    )
    return [Made(BookThen(book, T0 * 1000, snapshot, status).document())]


def tapes_of(*items: Any, error: Exception | None = None) -> Callable[[Any], None]:
    """A recording that gives these items to every question."""

    def arrange(web: Any) -> None:
        web.rest._history._tapes = TapesDouble(AnswerDouble([list(items)] if items else [], error))

    return arrange


SPANS = [Span(T0 * 1000, T0 * 1000 + 1)]
KNOWN = [
    Recorded("binance:spot:BTC-USDT:order_book:5", SPANS),
    Recorded("binance:spot:BTC-USDT:candle:1m", SPANS),
]

CALLS: list[tuple[str, str, str, int, Callable[[Any], None]]] = [
    ("GET", "/health", "", 200, fill),
    ("GET", "/ready", "", 200, fill),
    ("GET", "/ready", "", 200, lambda web: setattr(web.hub, "unknown", ("composite:spot:NO-PE:bbo",))),
    ("GET", "/ready", "", 503, lambda web: web.state.update(draining=True)),
    ("GET", "/api/exchanges", "", 200, fill),
    ("GET", "/api/symbols", "", 200, fill),
    ("GET", "/api/symbols", "market_type=x", 400, fill),
    ("GET", "/api/symbols", "exchange=x", 404, fill),
    ("POST", "/api/symbols/refresh", "exchange=bybit", 200, fill),
    ("POST", "/api/symbols/refresh", "exchange=bybit", 429, lambda web: web.get("/api/symbols/refresh", "POST")),
    (
        "POST",
        "/api/symbols/refresh",
        "",
        502,
        lambda web: setattr(web.hub.upstreams["binance"], "refresh_error", UpstreamError("banned", "x", 1)),
    ),
    ("GET", "/api/ticker", PAIR, 200, fill),
    ("GET", "/api/ticker", PAIR, 409, lambda web: None),
    ("GET", "/api/ticker", PAIR + "&market_type=x", 400, fill),
    ("GET", "/api/ticker", "exchange=x&symbol=y-z", 404, fill),
    ("GET", "/api/orderbook", PAIR, 200, fill),
    ("GET", "/api/orderbook/snapshot", PAIR, 200, fill),
    ("GET", "/api/orderbook", "exchange=composite&symbol=BTC-USDT", 200, lambda web: put_composite_book(web)),
    ("GET", "/api/compare", "symbols=BTC-USDT", 200, fill),
    ("GET", "/api/compare", "symbols=BTC-USDT", 409, lambda web: None),
    ("GET", "/api/compare", "symbols=", 400, fill),
    ("GET", "/api/compare", "symbols=BTC-USDT&exchanges=nowhere", 404, fill),
    ("GET", "/api/trades", PAIR, 200, fill),
    ("GET", "/api/candles", PAIR, 200, fill),
    ("GET", "/api/candles", PAIR, 502, lambda web: setattr(web.hub, "bars", UpstreamError("banned", "x"))),
    ("GET", "/api/streams", "", 200, fill),
    ("GET", "/api/quality", "exchange=binance", 200, fill),
    ("GET", "/api/quality", "exchange=x", 404, fill),
    *(
        ("GET", f"/{path}", "", 503, lambda web: setattr(web.rest, "_waits", Ended()))
        for path in ("api/exchanges", "api/symbols", "api/streams", "api/quality", "metrics")
    ),
    ("GET", "/api/quality", "exchange=binance&exchange=bybit", 400, fill),
    ("GET", "/api/history", PAIR, 200, tapes_of(*KNOWN, Missing(T0, T0 + 1, "torn"))),
    ("GET", "/api/history/trades", PAIR, 200, tapes_of(*recorded_lines(Channel.TRADE))),
    ("GET", "/api/history/candles", PAIR, 200, tapes_of(*recorded_lines(Channel.CANDLE))),
    ("GET", "/api/history/candles", PAIR, 404, tapes_of(*KNOWN)),
    ("GET", "/api/history/book", f"{PAIR}&at=0", 200, tapes_of(*recorded_book())),
    ("GET", "/api/history/book", f"{PAIR}&at=0", 404, tapes_of(*KNOWN)),
    ("GET", "/api/history/trades", PAIR, 404, fill),
    ("GET", "/api/history/trades", PAIR, 429, tapes_of(error=TryLater("too_many_replays", "x", 5))),
    ("GET", "/trades.arrow", "venue=binance", 400, fill),
    (
        "GET",
        "/trades.arrow",
        "venue=binance&symbol=BTC-USDT",
        503,
        tapes_of(error=Refused("recording_failed", "x", 503)),
    ),
]


def test_every_json_answer_fits_and_every_described_member_is_seen(
    make_web: Any, make_peers: Any, openapi: Description
) -> None:
    for method, path, query, status, arrange in CALLS:
        tls = {"status": "degraded", "not_after": "2024-01-01T00:00:00.000Z", "reason": "it ends soon"}
        peers = make_peers("silent")
        web = make_web("binance", "bybit", peers=peers, certificate=tls, demo=True, control_port=8_099)
        web.hub.cluster = ClusterReport("one", "all", ("binance",), "Redis is out of reach", 2, 7)
        web.hub.upstreams["bybit"].status = {"process": "two"}
        web.state["recording"] = RecordingReport("frames: Input/output error", 7, 1)
        arrange(web)
        wire = web.wire()
        wire.ask(f"{path}?{query}", method)
        web.scheduler.advance(2)
        answer = wire.response()
        assert answer.status == status, (path, answer.body)
        content = openapi.document["paths"][path][method.lower()]["responses"][str(status)]["content"]
        kind = answer.headers["content-type"].partition(";")[0]
        for text in answer.body.splitlines() if kind == "application/x-ndjson" else (answer.body,):
            openapi.check(content[kind]["schema"], msgspec.json.decode(text))
    guarded = make_web("binance", "bybit", auth_token="secret").get("/ready")
    described = openapi.document["paths"]["/ready"]["get"]["responses"]["200"]
    openapi.check(described["content"]["application/json"]["schema"], guarded.json())
    assert openapi.members() - openapi.seen == LATER & openapi.members()


def test_what_needs_a_right_says_so_in_the_description(openapi: Description) -> None:
    for rule in Rest.app.url_map.iter_rules():
        right = getattr(Rest.__dict__[rule.endpoint], NEEDS)
        for operation in openapi.document["paths"].get(rule.rule, {}).values():
            described = {"401", "403", "429"} & operation["responses"].keys()
            expected = {Right.OPEN: set(), Right.STATUS: {"401", "429"}}.get(right, {"401", "403", "429"})
            assert described == expected, rule.rule


def _messages() -> Iterator[tuple[str, bytes]]:
    def topic(channel: Channel, **more: Any) -> Topic:
        return Topic("binance", MarketType.PERPETUAL, Symbol("BTC", "USDT"), channel, **more)

    ticker, book, candle = (
        topic(Channel.TICKER),
        topic(Channel.ORDER_BOOK, depth=5),
        topic(Channel.CANDLE, interval="1m"),
    )
    trade = Trade(topic(Channel.TRADE), T0, RECEIVED, "1", "1.5", "2", Side.SELL)
    level = [("1.5", "2.00")]
    yield "Ticker", codec.message("ticker", codec.ticker_payload(Ticker(ticker, T0, RECEIVED, "1.5", **FULL_TICKER)))
    quote = Bbo(topic(Channel.BBO), T0, RECEIVED, "1.4", "2.0", "1.5", "0.5")
    yield "Bbo", codec.message("bbo", codec.bbo_payload(quote))
    gone = Liquidation(topic(Channel.LIQUIDATION), T0, RECEIVED, Side.SELL, "1.5", "2", "7", "1.4", False)
    yield "Liquidation", codec.message("liquidation", codec.liquidation_payload(gone, replayed=True))
    yield "Trade", codec.message("trade", codec.trade_payload(trade))
    yield "Trade", codec.message("trade", codec.trade_payload(trade, replayed=True))
    yield (
        "OrderBookSnapshot",
        codec.message(
            "order_book_snapshot", codec.snapshot_payload(BookSnapshot(book, T0, RECEIVED, 1, level, level, True))
        ),
    )
    delta = BookDelta(book, T0, RECEIVED, 2, level, level, ["1.4"], ["1.6"])
    for gap in (Gap(ticker, T0, T0 + 5, 3), Gap(ticker, T0, T0)):
        yield "Gap", codec.message("gap", codec.gap_payload(gap))
    yield "Gap", codec.message("gap", codec.gap_of(ticker, "expired", None, T0, T0))
    yield "OrderBookDelta", codec.message("order_book_delta", codec.delta_payload(delta))
    bar = Candle(candle, T0, RECEIVED, "1", "2", "1", "2", "3.0", True, "trades", True)
    yield "Candle", codec.message("candle", codec.candle_payload(bar))
    yield "Candle", codec.message("candle", codec.candle_payload(bar, replayed=True))
    for status in (
        StreamStatus(ticker, State.STALE, Cause.SILENT, ("quote",), T0),
        StreamStatus(ticker, State.CLOSED, Cause.DELISTED, since=T0, renamed=Symbol("XBT", "USDT")),
        StreamStatus(book, State.LIVE, since=T0),
        StreamStatus(candle, State.LIVE, since=T0),
    ):
        yield "Status", codec.message("status", codec.status_payload(status, source="live", age_ms=7))


def _session_messages() -> Iterator[tuple[str, bytes]]:
    """What one session answers, through the real session and the frame it would put on the wire."""

    from cryptodash.api.fanout.traffic import Traffic
    from cryptodash.api.fanout.waiting_trades import Missed
    from cryptodash.api.ws import session as rules
    from cryptodash.api.ws.frames import text_frame
    from cryptodash.api.ws.limiter import WorkBudget
    from cryptodash.core.config import Limits
    from cryptodash.core.tally import Tally
    from cryptodash.core.time import ManualClock

    frames: list[bytes] = []
    hub = _Hub()
    fanout = SimpleNamespace(
        clock=ManualClock(),
        traffic=Traffic(Tally()),
        subscribe=lambda writer, deliveries: None,
        close=lambda writer: None,
        slices=SimpleNamespace(run=list),
    )
    writer = SimpleNamespace(send_answer=frames.append, send_current=lambda deliveries, since=None: iter(()))
    client = rules.Session(
        hub,
        hub,
        fanout,
        writer,
        Limits(),
        rules.Identity("1.2.3", "live", 20_000),
        "123e4567-e89b-42d3-a456-426614174000",
        WorkBudget(50, 200, ManualClock()),
    )
    client.opened()
    client.received(b'{"op":"auth","token":"x","id":9}')
    signed = client.rights
    signed._authentication.hold(Grant(words=("read",), patterns=None, until_ms=T0))
    signed._authentication.present = lambda token: signed.grant
    client.received(b'{"op":"auth","token":"x"}')
    good = '{"channel_type":"order_book","exchange":"binance","symbol":"BTC-USDT","depth":5,"max_rate":2}'
    candle = '{"channel_type":"candle","exchange":"binance","symbol":"BTC-USDT","interval":"1m"}'
    for request in (
        f'{{"op":"subscribe","id":7,"channels":[{good},{candle},5]}}',
        f'{{"op":"resync","id":"a","channels":[{good},5]}}',
        '{"op":"list","id":1}',
        f'{{"op":"unsubscribe","id":2,"channels":[{good}]}}',
        '{"op":"ping","id":3}',
    ):
        client.received(request.encode())
    names = [
        "Greeting",
        "Authentication",
        "Authentication",
        "Subscribed",
        "Error",
        "Resynced",
        "Error",
        "Channels",
        "Unsubscribed",
        "Pong",
    ]
    frames.append(text_frame(Missed(3).message(hub.resolve("", "", "trade", "", None, None))))
    yield from zip([*names, "Gap"], (frame[frame.index(b"{") :] for frame in frames), strict=True)


def _replay_messages() -> Iterator[tuple[str, bytes]]:
    """What a client is sent of a replay."""
    playing = Playing(World())
    trade = Topic("binance", MarketType.SPOT, Symbol("BTC", "USDT"), Channel.TRADE)
    status = codec.status_payload(StreamStatus(trade, State.LIVE, since=T0), source="live", age_ms=7)
    channels = [{**TRADES, "channel_type": kind} for kind in ("trade", "ticker")]
    playing.client.session.received(
        codec.encode({"op": "replay", "from": FROM, "channels": channels, "id": "a", "speed": 0})
    )
    playing.answer.put(
        Recorded("binance:spot:BTC-USDT:ticker", [Span(0, 1)]),
        Entry(AT, trade.text, STATE, codec.message("status", status)),
        Missing(AT, AT + 1, "torn", trade.text),
    )
    playing.world.flush()
    playing.client.session.received(b'{"op":"replay_stop","id":7}')
    playing.client.session.received(b'{"op":"replay","from":0,"channels":[5]}')
    frames = [frame[frame.index(b"{") :] for frame in read_frames(playing.client.wire.got)]
    names = ("Replaying", "Error", "Recorded", "Recorded", "ReplayEnded", "Error")
    yield from zip(names, frames, strict=True)


class _Hub:
    """Just enough of a hub for a session."""

    def resolve(
        self, exchange: Any, market: Any, channel: Any, symbol: Any, depth: Any = None, interval: Any = None
    ) -> Topic:
        return Topic(
            "binance",
            MarketType.SPOT,
            Symbol("BTC", "USDT"),
            Channel(channel),
            depth=depth or 0,
            interval=interval or "",
        )

    def view_interval(self, topic: Topic, max_rate: float | None) -> int:
        return 0

    def check(self, topic: Topic) -> None: ...

    def hold(self, topic: Topic, interval: int) -> None: ...

    def release(self, topic: Topic, interval: int) -> None: ...


def test_every_message_of_ws_fits_and_every_described_member_is_seen(asyncapi: Description) -> None:
    for name, body in [*_messages(), *composite_messages(), *_session_messages(), *_replay_messages()]:
        value = msgspec.json.decode(body)
        asyncapi.check({"$ref": f"#/components/schemas/{name}"}, value)
    asked = {"Channel", "Subscribe", "Unsubscribe", "Resync", "List", "Ping", "Auth", "Replay", "ReplayStop"}
    missing = {member for member in asyncapi.members() - asyncapi.seen if member.partition(".")[0] not in asked}
    assert missing == LATER & asyncapi.members()


REQUESTS = [
    (
        "Subscribe",
        '{"op":"subscribe","channels":[{"channel_type":"ticker",'
        '"exchange":"binance", "symbol":{"base":"BTC","quote":"USDT"}}]}',
        True,
    ),
    (
        "Subscribe",
        '{"op":"subscribe","id":1,"channels":[{"channel_type":"orderbook",'
        '"exchange":"bybit","symbol":"BTCUSDT","depth":5}]}',
        True,
    ),
    ("Unsubscribe", '{"op":"unsubscribe","channels":[]}', True),
    ("Ping", '{"op":"ping"}', True),
    ("List", '{"op":"list","id":"x"}', True),
    ("Resync", '{"op":"resync"}', False),
    ("Auth", '{"op":"auth","token":"abc","id":1}', True),
    ("Auth", '{"op":"auth"}', False),
    ("Replay", '{"op":"replay","from":"2024-01-01T00:00:00Z","to":1704067260000,"speed":0,"channels":[]}', True),
    ("Replay", '{"op":"replay","channels":[]}', False),
    ("ReplayStop", '{"op":"replay_stop","id":1}', True),
    (
        "Subscribe",
        '{"op":"subscribe","channels":[{"channel_type":"bbo","exchange":"binance","symbol":"BTC-USDT"}]}',
        True,
    ),
    (
        "Subscribe",
        '{"op":"subscribe","channels":[{"channel_type":"trade","exchange":"binance","symbol":"BTC-USDT",'
        '"since":"7c0aa3a5-1704067200000-3735683259"}]}',
        True,
    ),
]


@pytest.mark.parametrize(("name", "text", "fits"), REQUESTS)
def test_requests_are_described_as_the_contract_shows_them(
    asyncapi: Description, name: str, text: str, fits: bool
) -> None:
    assert asyncapi.fits({"$ref": f"#/components/schemas/{name}"}, msgspec.json.decode(text)) is fits


def test_every_message_is_in_a_channel_and_an_operation(asyncapi: Description) -> None:
    document = asyncapi.document
    messages = set(document["components"]["messages"])
    assert set(document["channels"]["ws"]["messages"]) == messages
    used = {
        each["$ref"].rpartition("/")[2]
        for operation in document["operations"].values()
        for each in operation["messages"]
    }
    assert used == messages


def test_the_page_obeys_its_own_policy(web: Any) -> None:
    page = web.get("/", Host="dash.example:8080")
    assert (
        "connect-src 'self' ws://dash.example:8080 wss://dash.example:8080;" in page.headers["content-security-policy"]
    )
    assert "require-trusted-types-for 'script'" in page.headers["content-security-policy"]
    html = page.body.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", html)
    assert page.headers["cache-control"] == "no-cache" and page.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:href|src)="(assets/[^"]+)"', html):
        asset = web.get(f"/{name}")
        # A module is asked for by the address that its importers write.
        is_module = f'rel="modulepreload" href="{name}"' in html
        assert asset.status == 200 and name.endswith("?v=1.2.3") is not is_module
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://(?!www\.w3\.org/2000/svg)",
            asset.body.decode(),
        )
        assert web.get(f"/{name}", If_None_Match=asset.headers["etag"]).status == 304
