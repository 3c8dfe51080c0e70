"""A made-up venue, small enough to read, with everything the engine has to cope with: for tests of the engine and of
what drives it.

One endpoint per market type (``spot``, ``perp``). Stream names are ``<kind>:<native>`` with kind ``quote``, ``day``,
``trade``, ``candle``, ``mark`` or ``book<tier>``. Spot books are a REST snapshot and ranges of ids, perpetual books
come in the stream, counted, in two tiers (5 and 50). Its ``Habits`` may be changed to those of other venues.

Requests are ``{"op": "sub" | "unsub" | "ping", "args": [...], "id": "1"}``, or one channel at a time:
``{"op": "sub", "channel": "book", "depth": 50, "symbols": [...], "id": "1"}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen
from zope.interface import implementer

from cryptodash.core.instruments import Catalogue, Instrument, MarketType, Symbol
from cryptodash.core.numbers import Number, positive
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import MAX_NAME, sending_time, symbol
from cryptodash.exchanges.adapter.elements import kept
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Depth, Message, Quote, Reader, Readers, SendingTime
from cryptodash.exchanges.adapter.plan import Part, Plan, Poll, Purpose, RestRequest, StreamSpec, not_served
from cryptodash.exchanges.adapter.venue import Endpoint, Hosts, IVenue, Limits, Rate, RestLimits
from cryptodash.testing import wire

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL
TIERS = (5, 50)
LIMITS = Limits(
    streams=6,
    args_chars=None,
    args_per_message=3,
    message_gap=0.25,
    connects=(Rate(20, 300.0), Rate(1, 0.1)),
    ping_every=20.0,
    silent_after=30.0,
    lifetime=86_400.0,
    max_connections=4,
)


@frozen
class Habits:
    """What differs from venue to venue. ``books``: rules in the place of the usual ones, for both markets.

    ``one_channel``: a request names one channel, and its symbols. ``one_depth``: two depths of a symbol never share a
    connection. ``heartbeats``: every connection subscribes to a stream of them. ``text_ping``: the heartbeat is no
    JSON. ``timed``: heartbeats tell the time on connections that carry nothing else that does. ``seeds``: quotes come
    only as they change, and REST has the last.
    """

    books: BookRules | None = None
    one_channel: bool = False
    one_depth: bool = False
    heartbeats: bool = False
    text_ping: bool = False
    timed: bool = False
    seeds: bool = False


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
    rest_limits: Mapping[str, RestLimits] = {"": RestLimits(1000, 60.0), "books": RestLimits(60, 60.0)}
    data_prefix = b""
    name_end = b'"'

    def __init__(self, limits: Limits = LIMITS, habits: Habits | None = None) -> None:
        self._habits = habits or Habits()
        standing = [StreamSpec(key, "heartbeat:", frozenset(), batch="heartbeat") for key in ("spot", "perp")]
        self.endpoints: Mapping[str, Endpoint] = {
            spec.endpoint: Endpoint(
                spec.endpoint,
                market,
                "/ws",
                (spec,) if self._habits.heartbeats else (),
                spec if self._habits.timed else None,
            )
            for spec, market in zip(standing, self.markets, strict=True)
        }
        self.limits: Mapping[str, Limits] = dict.fromkeys(self.endpoints, limits)
        rules = self._habits.books
        self.book_rules: Mapping[MarketType, BookRules] = {
            SPOT: rules or BookRules(SnapshotSource.REST, Chaining.RANGE),
            PERPETUAL: rules or BookRules(SnapshotSource.STREAM, Chaining.COUNTER),
        }

    def intervals(self, market: MarketType) -> Sequence[str]:
        """``3m`` is built from trades."""
        return ("1m", "3m", "1h")

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        endpoint = "spot" if topic.market is SPOT else "perp"
        if instrument is None:
            request = RestRequest(Purpose.POLL, topic.market, "/sweep", topic=topic)
            return Plan((), (Poll(request, 2.0, frozenset({Part.SWEEP})),), frozenset({Part.SWEEP}))
        if topic.channel is Channel.TICKER:
            return self._ticker_plan(endpoint, instrument, topic)
        if topic.channel is Channel.BBO:
            return _single(self._quotes(endpoint, instrument))
        if topic.channel is Channel.LIQUIDATION:
            if topic.market is SPOT:
                raise not_served(topic)
            return _single(StreamSpec(endpoint, "liquidation:ALL", frozenset({Part.LIQUIDATIONS}), argument="ALL"))
        if topic.channel is Channel.TRADE or topic.interval == "3m":
            return _single(self._spec(endpoint, "trade", instrument, frozenset({Part.TRADES})))
        if topic.channel is Channel.CANDLE:
            return _single(self._spec(endpoint, "candle", instrument, frozenset({Part.CANDLE})))
        if topic.market is SPOT and self._habits.books is None:
            return _single(self._spec(endpoint, "book", instrument, frozenset({Part.BOOK})))
        tier = next(each for each in TIERS if each >= min(depth, TIERS[-1]))
        return _single(self._spec(endpoint, "book", instrument, frozenset({Part.BOOK}), tier))

    def _ticker_plan(self, endpoint: str, instrument: Instrument, topic: Topic) -> Plan:
        day = self._spec(endpoint, "day", instrument, frozenset({Part.LAST, Part.STATS}))
        streams = [self._quotes(endpoint, instrument), evolve(day, promise=2.0)]
        polls: tuple[Poll, ...] = ()
        if topic.market is PERPETUAL:
            streams.append(evolve(self._spec(endpoint, "mark", instrument, frozenset({Part.MARK})), promise=1.0))
            request = RestRequest(Purpose.POLL, PERPETUAL, f"/interest/{instrument.native}", topic=topic)
            polls = (Poll(request, 30.0, frozenset({Part.INTEREST})),)
        return Plan(tuple(streams), polls, frozenset({Part.QUOTE, Part.LAST}))

    def _quotes(self, endpoint: str, instrument: Instrument) -> StreamSpec:
        quotes = self._spec(endpoint, "quote", instrument, frozenset({Part.QUOTE}))
        return evolve(quotes, seed=instrument.native if self._habits.seeds else "")

    def _spec(
        self, endpoint: str, channel: str, instrument: Instrument, parts: frozenset[Part], tier: int | None = None
    ) -> StreamSpec:
        native = instrument.native
        name = f"{channel}{tier or ''}:{native}"
        return StreamSpec(
            endpoint,
            name,
            parts,
            depth=tier,
            instrument=instrument,
            batch=name.partition(":")[0] if self._habits.one_channel else "",
            argument=native,
            exclusive=f"{channel}:{native}" if tier and self._habits.one_depth else "",
        )

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return self._request("sub", names, request_id)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return self._request("unsub", names, request_id)

    def _request(self, op: str, names: Sequence[str], request_id: str) -> bytes:
        if not self._habits.one_channel:
            return _write({"op": op, "args": list(names), "id": request_id})
        kind = names[0].partition(":")[0]
        channel = kind.rstrip("0123456789")
        depth = {"depth": int(kind.removeprefix(channel))} if kind != channel else {}
        symbols = [name.partition(":")[2] for name in names]
        return _write({"op": op, "channel": channel, **depth, "symbols": symbols, "id": request_id})

    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        return wire.TEXT_PING if self._habits.text_ping else _write({"op": "ping", "id": request_id})

    def reader(self, stream: StreamSpec) -> Reader:
        if not _is_name(stream.name):
            raise BadFrame("unknown", f"stream {stream.name[:MAX_NAME]}")
        return wire.reader(stream.instrument)

    def sending_time(self, stream: StreamSpec) -> SendingTime | None:
        """A bar has a time of its opening, and another; a book's snapshot is an old state."""
        kind = stream.name.partition(":")[0]
        if kind == "candle":
            return _SENT
        return _time_of_change if kind.startswith("book") else _TIME

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        return wire.read(frame, readers)

    def catalogue_requests(self, market: MarketType) -> Sequence[RestRequest]:
        return (RestRequest(Purpose.CATALOGUE, market, "/instruments"),)

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        def read(pair: object) -> Instrument:
            with wire.checked():
                return make_instrument(request.market, *_symbol(pair))

        return kept(_listed(body), read, lambda pair: pair), None

    def snapshot_request(self, topic: Topic, instrument: Instrument, levels: int) -> RestRequest | None:
        rules = self.book_rules[topic.market]
        if rules.snapshots is SnapshotSource.STREAM and rules.audit is None:
            return None
        native = instrument.native
        path, limit = f"/book/{native}", 100 if levels <= 100 else 1000
        return RestRequest(Purpose.SNAPSHOT, topic.market, path, topic=topic, native=native, limit=limit, pool="books")

    def read_snapshot(self, request: RestRequest, body: bytes) -> Depth:
        message = wire.body_reader(body)
        if not isinstance(message, Depth) or not message.snapshot:
            raise BadFrame("schema", "not a whole book")
        return message

    def candles_request(self, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        native = instrument.native
        return RestRequest(Purpose.CANDLES, topic.market, f"/candles/{native}", topic=topic, native=native, limit=limit)

    def read_candles(self, request: RestRequest, body: bytes) -> Sequence[Bar]:
        return kept(_listed(body), _bar, lambda row: row[0])

    def read_poll(self, request: RestRequest, body: bytes) -> Sequence[Message]:
        return wire.body_messages(body)

    def seed_request(self, market: MarketType, seeds: Sequence[str]) -> RestRequest | None:
        return RestRequest(Purpose.SEED, market, "/quotes", (("symbols", ",".join(seeds)),))

    def read_seed(self, request: RestRequest, body: bytes) -> Sequence[tuple[str, Message]]:
        """Bid and ask by native name."""
        with wire.checked():
            return kept(json.loads(body).items(), _seed, lambda each: each[0])

    def probe_request(self, market: MarketType) -> RestRequest:
        return RestRequest(Purpose.PROBE, market, "/time")

    def read_probe(self, request: RestRequest, body: bytes) -> int | None:
        with wire.checked():
            return wire.as_time(json.loads(body))

    def rest_error(self, status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
        """420 is how it bans an address for a quarter of an hour."""
        if status == 420:
            return "banned", "HTTP 420: this address is banned", 900.0
        return None if status == 200 else ("", f"HTTP {status}", None)


_is_name = re.compile(r"(?:(?:quote|day|trade|candle|mark|liquidation|book[0-9]*):[^:]{1,100}|heartbeat:)").fullmatch


_TIME, _SENT = sending_time("t"), sending_time("sent")


def _seed(row: tuple[str, tuple[str, str]]) -> tuple[str, Message]:
    native, (bid, ask) = row
    one = Number("1")
    return native, Quote("", positive(bid), one, positive(ask), one, None, None)


def _time_of_change(frame: bytes) -> int | None:
    return None if json.loads(frame)["snapshot"] else _TIME(frame)


def _listed(body: bytes) -> list[Any]:
    found = json.loads(body)
    if not isinstance(found, list):
        raise BadFrame("schema", "not a list")
    return found


def _symbol(pair: Any) -> Symbol:
    found = symbol(*pair.split("-"))
    if found is None:
        raise BadFrame("schema", f"no pair: {pair[:MAX_NAME]!r}")
    return found


def _bar(row: Any) -> Bar:
    with wire.checked():
        time, text = row
        close = positive(text)
        return Bar("", wire.as_time(time), close, close, close, close, Number("1"))


def _single(spec: StreamSpec) -> Plan:
    return Plan((spec,), (), spec.parts)


def _write(document: object) -> bytes:
    return json.dumps(document).encode()


def make_instrument(
    market: MarketType, base: str, quote_: str, status: str = "trading", contract_size: str | None = None
) -> Instrument:
    """An instrument of the venue."""
    size = None if contract_size is None else Number(contract_size)
    symbol, tick, step = Symbol(base, quote_), Number("0.1"), Number("0.001")
    return Instrument("madeup", market, symbol, base + quote_, tick, step, status=status, contract_size=size)


def make_catalogue(*pairs: str, markets: Sequence[MarketType] = (SPOT, PERPETUAL)) -> Catalogue:
    """A catalogue with the same pairs (``BTC-USDT``) in these markets."""
    catalogue = Catalogue("madeup")
    for market in markets:
        catalogue.replace(market, [make_instrument(market, *each.split("-")) for each in pairs])
    return catalogue


def halted(instrument: Instrument) -> Instrument:
    """The same instrument, halted."""
    return evolve(instrument, status="halted")
