"""A made-up venue, small enough to read, with everything the engine has to cope with:
for tests of the engine and of what drives it.

Its wire is JSON. One endpoint per market type (``spot``, ``perp``). Stream names are ``<kind>:<native>`` with kind
``quote``, ``day``, ``trade``, ``candle``, ``mark`` or ``book<tier>``. Spot books have rule ``RANGE`` with a REST
snapshot, perpetual books ``COUNTER`` in two tiers (5 and 50).

Requests are ``{"op": "sub" | "unsub" | "ping", "args": [...], "id": "1"}``. The functions below the class write what
the venue would send.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from attrs import evolve
from zope.interface import implementer

from cryptodash.core.events import Level, Side
from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, positive, unsigned
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Bar,
    Depth,
    Fill,
    Ignored,
    Mark,
    Message,
    Pong,
    Quote,
    Reader,
    Restarting,
    Stats,
    SweepRow,
    SweepRows,
    Trades,
)
from cryptodash.exchanges.adapter.venue import (
    BookRule,
    Endpoint,
    Hosts,
    IVenue,
    Limits,
    Part,
    Plan,
    Poll,
    Purpose,
    RestLimits,
    RestRequest,
    StreamSpec,
)

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
TIERS = (5, 50)
LIMITS = Limits(
    streams=6,
    args_chars=None,
    args_per_message=3,
    message_gap=0.25,
    connects_per_5min=20,
    ping_every=20.0,
    silent_after=30.0,
    lifetime=86_400.0,
    max_connections=4,
)


@implementer(IVenue)
class MadeUpVenue:
    """The venue. ``limits`` replaces those of every endpoint."""

    id = "madeup"
    name = "Made Up"
    markets = (SPOT, PERPETUAL)
    hosts: Mapping[MarketType, Hosts] = {
        market: Hosts(f"wss://{market}.example", f"https://{market}.example") for market in (SPOT, PERPETUAL)
    }
    alternative: Mapping[MarketType, str] = {SPOT: "other.example", PERPETUAL: "other.example"}
    endpoints: Mapping[str, Endpoint] = {
        "spot": Endpoint("spot", SPOT, "/ws"),
        "perp": Endpoint("perp", PERPETUAL, "/ws"),
    }
    rest_limits: Mapping[MarketType, RestLimits] = {
        market: RestLimits("all", 1000, 60.0) for market in (SPOT, PERPETUAL)
    }
    book_rule: Mapping[MarketType, BookRule] = {SPOT: BookRule.RANGE, PERPETUAL: BookRule.COUNTER}
    mark = b""
    simulated = False

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits: Mapping[str, Limits] = dict.fromkeys(self.endpoints, limits)

    def intervals(self, market: MarketType) -> Sequence[str]:
        return ("1m", "1h")

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        endpoint = "spot" if topic.market is SPOT else "perp"
        if instrument is None:
            request = RestRequest(Purpose.POLL, topic.market, "/sweep", topic=topic)
            return Plan((), (Poll(request, 2.0, frozenset({Part.SWEEP})),), frozenset({Part.SWEEP}))
        native = instrument.native
        if topic.channel is Channel.TICKER:
            return _ticker_plan(endpoint, native, topic)
        if topic.channel is Channel.TRADE:
            return _single(StreamSpec(endpoint, f"trade:{native}", frozenset({Part.TRADES})))
        if topic.channel is Channel.CANDLE:
            return _single(StreamSpec(endpoint, f"candle:{native}", frozenset({Part.CANDLE})))
        if topic.market is SPOT:
            return _single(StreamSpec(endpoint, f"book:{native}", frozenset({Part.BOOK})))
        tier = next(each for each in TIERS if each >= min(depth, TIERS[-1]))
        return _single(StreamSpec(endpoint, f"book{tier}:{native}", frozenset({Part.BOOK}), depth=tier))

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _write({"op": "sub", "args": list(names), "id": request_id})

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _write({"op": "unsub", "args": list(names), "id": request_id})

    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        return _write({"op": "ping", "id": request_id})

    def reader(self, endpoint: str, name: str) -> Reader:
        """Nothing to choose from: a frame says what it is."""
        return lambda stream, frame: self.read(endpoint, frame)

    def read(self, endpoint: str, frame: bytes) -> Sequence[Message]:
        try:
            return [_read(json.loads(frame))]
        except BadFrame:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadFrame("schema", str(error)) from None

    def catalogue_requests(self, market: MarketType) -> Sequence[RestRequest]:
        return (RestRequest(Purpose.CATALOGUE, market, "/instruments"),)

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        return [make_instrument(request.market, *each.split("-")) for each in json.loads(body)], None

    def snapshot_request(self, topic: Topic, instrument: Instrument, depth: int) -> RestRequest | None:
        if topic.market is PERPETUAL:
            return None
        return RestRequest(
            Purpose.SNAPSHOT,
            topic.market,
            f"/book/{instrument.native}",
            topic=topic,
            native=instrument.native,
            limit=100,
        )

    def read_snapshot(self, request: RestRequest, body: bytes) -> Depth:
        message = self.read("spot", body)[0]
        if not isinstance(message, Depth):
            raise BadFrame("schema", "not a book")
        return message

    def candles_request(self, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        return RestRequest(
            Purpose.CANDLES,
            topic.market,
            f"/candles/{instrument.native}",
            topic=topic,
            native=instrument.native,
            limit=limit,
        )

    def read_candles(self, request: RestRequest, body: bytes) -> Sequence[Bar]:
        bars = []
        for time, text in json.loads(body):
            close = positive(text)
            bars.append(Bar("", time, close, close, close, close, Number("1"), closed=False))
        return bars

    def read_poll(self, request: RestRequest, body: bytes) -> Sequence[Message]:
        return self.read("spot", body)

    def probe_request(self, market: MarketType) -> RestRequest:
        return RestRequest(Purpose.PROBE, market, "/time")

    def rest_error(self, status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
        return None if status == 200 else ("", f"HTTP {status}", None)


def _ticker_plan(endpoint: str, native: str, topic: Topic) -> Plan:
    streams = [
        StreamSpec(endpoint, f"quote:{native}", frozenset({Part.QUOTE})),
        StreamSpec(endpoint, f"day:{native}", frozenset({Part.LAST, Part.STATS}), promise=2.0),
    ]
    polls: tuple[Poll, ...] = ()
    if topic.market is PERPETUAL:
        streams.append(StreamSpec(endpoint, f"mark:{native}", frozenset({Part.MARK}), promise=1.0))
        polls = (
            Poll(
                RestRequest(Purpose.POLL, PERPETUAL, f"/interest/{native}", topic=topic),
                30.0,
                frozenset({Part.INTEREST}),
            ),
        )
    return Plan(tuple(streams), polls, frozenset({Part.QUOTE, Part.LAST}))


def _single(spec: StreamSpec) -> Plan:
    return Plan((spec,), (), spec.parts)


def _write(document: object) -> bytes:
    return json.dumps(document).encode()


# -- what the venue sends


def ack(request_id: str, reason: str = "") -> bytes:
    """The answer to a request; a ``reason`` refuses it."""
    return _write({"kind": "ack", "id": request_id, "reason": reason})


def pong() -> bytes:
    """The answer to a ping."""
    return _write({"kind": "pong"})


def restarting() -> bytes:
    """The announcement that the connection will be closed."""
    return _write({"kind": "restarting"})


def quote(native: str, bid: str, ask: str, update_id: int, time: int | None = None) -> bytes:
    """Best bid and ask, one unit each."""
    return _write({"kind": "quote", "stream": f"quote:{native}", "bid": bid, "ask": ask, "u": update_id, "t": time})


def day(native: str, last: str, time: int) -> bytes:
    """The 24 h figures."""
    return _write({"kind": "day", "stream": f"day:{native}", "last": last, "t": time})


def mark(native: str, price: str, time: int) -> bytes:
    """The mark price."""
    return _write({"kind": "mark", "stream": f"mark:{native}", "price": price, "t": time})


def interest(native: str, amount: str, time: int) -> bytes:
    """The answer of the open-interest poll."""
    return _write({"kind": "interest", "stream": "poll", "amount": amount, "t": time})


def trade(native: str, number: int, price: str, time: int) -> bytes:
    """One trade."""
    return _write({"kind": "trade", "stream": f"trade:{native}", "n": number, "price": price, "t": time})


def candle(native: str, time: int, close: str, closed: bool = False) -> bytes:
    """A bar of one minute."""
    return _write({"kind": "candle", "stream": f"candle:{native}", "t": time, "close": close, "closed": closed})


def book(
    stream: str,
    first: int,
    last: int,
    bids: Mapping[str, str],
    asks: Mapping[str, str],
    *,
    snapshot: bool = False,
    time: int | None = None,
) -> bytes:
    """A book frame, or the body of a REST snapshot."""
    levels = {"bids": list(bids.items()), "asks": list(asks.items())}
    return _write(
        {"kind": "book", "stream": stream, "first": first, "last": last, "snapshot": snapshot, "t": time, **levels}
    )


def sweep(rows: Mapping[str, str], time: int) -> bytes:
    """The answer of the sweep poll: last price by native name."""
    return _write({"kind": "sweep", "stream": "sweep", "rows": dict(rows), "t": time})


def make_instrument(market: MarketType, base: str, quote_: str, status: str = "trading") -> Instrument:
    """An instrument of the venue."""
    return Instrument(
        "madeup", market, Symbol(base, quote_), base + quote_, Number("0.1"), Number("0.001"), status=status
    )


def make_catalogue(*pairs: str, markets: Sequence[MarketType] = (SPOT, PERPETUAL)) -> Catalogue:
    """A catalogue with the same pairs (``BTC-USDT``) in these markets."""
    catalogue = Catalogue("madeup")
    for market in markets:
        catalogue.replace(market, [make_instrument(market, *each.split("-")) for each in pairs])
    return catalogue


def halted(instrument: Instrument) -> Instrument:
    """The same instrument, halted."""
    return evolve(instrument, status="halted")


# -- how it is read


def _read(said: dict[str, object]) -> Message:
    kind = said["kind"]
    stream, time = str(said.get("stream", "")), said.get("t")
    at = int(str(time)) if time is not None else 0
    if kind == "ack":
        return Ack(str(said["id"]), not said["reason"], str(said["reason"]))
    if kind == "pong":
        return Pong()
    if kind == "restarting":
        return Restarting()
    if kind == "quote":
        one = Number("1")
        return Quote(
            stream,
            positive(str(said["bid"])),
            one,
            positive(str(said["ask"])),
            one,
            int(str(said["u"])),
            None if time is None else at,
        )
    if kind == "day":
        return Stats(stream, at, last=positive(str(said["last"])))
    if kind == "mark":
        return Mark(stream, at, full=False, mark_price=positive(str(said["price"])))
    if kind == "interest":
        return Mark(stream, at, full=False, open_interest=positive(str(said["amount"])))
    if kind == "trade":
        number = int(str(said["n"]))
        return Trades(stream, [Fill(str(number), positive(str(said["price"])), Number("1"), Side.BUY, at, number)])
    return _read_rest(said, kind, stream, at, None if time is None else at)


def _read_rest(said: dict[str, object], kind: object, stream: str, at: int, time: int | None) -> Message:
    if kind == "candle":
        close = positive(str(said["close"]))
        return Bar(stream, at, close, close, close, close, Number("1"), bool(said["closed"]))
    if kind == "book":
        bids, asks = _levels(said["bids"]), _levels(said["asks"])
        return Depth(
            stream, bool(said["snapshot"]), int(str(said["first"])), int(str(said["last"])), None, bids, asks, time
        )
    if kind == "sweep":
        rows = said["rows"]
        assert isinstance(rows, dict)
        return SweepRows(
            stream, [SweepRow(native, None, Stats("", at, last=positive(last)), None) for native, last in rows.items()]
        )
    return Ignored(str(kind)[:20])


def _levels(pairs: object) -> list[Level]:
    assert isinstance(pairs, list)
    return [(positive(price), unsigned(size)) for price, size in pairs]
