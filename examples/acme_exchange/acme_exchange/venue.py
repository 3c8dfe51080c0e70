"""Acme: perpetuals settled in USDT, sizes in contracts.

========  ==================  ================================  ==========================  ========  ==================
channel   stream              rule                              units                       manual    recording
========  ==================  ================================  ==========================  ========  ==================
ticker    ``quotes:<name>``   replaces; ``id`` grows            price USDT, size contracts   4.2       ``ticker.jsonl``
ticker    ``day:<name>``      replaces; every second            price USDT, volume contracts 4.3       ``ticker.jsonl``
bbo       ``quotes:<name>``   as for the ticker                 price USDT, size contracts   4.2       ``ticker.jsonl``
trade     ``trades:<name>``   appends; ``id`` counts by one     price USDT, size contracts   4.4       ``trades.jsonl``
book      ``book:<name>``     snapshot, then changes; ``id``    price USDT, size contracts   4.5       ``book.jsonl``
                              counts by one; size 0 deletes
candle    ``candles-1m:``...  replaces the bar of ``openTime``  price USDT, volume contracts 4.6       ``candles.jsonl``
========  ==================  ================================  ==========================  ========  ==================
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from zope.interface import implementer

from acme_exchange import rest
from acme_exchange.streams import KINDS, Control, read_control, reader_for
from cryptodash.exchanges.adapter import (
    MAX_NAME,
    Ack,
    BadFrame,
    BookRules,
    Chaining,
    Channel,
    Endpoint,
    Hosts,
    Instrument,
    IVenue,
    Limits,
    MarketType,
    Message,
    NoSeeds,
    Part,
    Plan,
    Pong,
    Rate,
    Reader,
    Readers,
    Restarting,
    RestLimits,
    RestRequest,
    SendingTime,
    SnapshotsInStream,
    SnapshotSource,
    StreamSpec,
    Topic,
    UpstreamError,
    not_served,
    read_data,
    sending_time,
)

PERPETUAL = MarketType.PERPETUAL
ENDPOINT = "perpetual"
_TIME = sending_time("time")


@implementer(IVenue)
class Acme(NoSeeds, SnapshotsInStream):
    """The venue: data, and pure functions between its words and ours."""

    id = "acme"
    name = "Acme"
    markets: tuple[MarketType, ...] = (PERPETUAL,)
    hosts: Mapping[MarketType, Hosts] = {PERPETUAL: Hosts("wss://stream.acme.example", "https://api.acme.example")}
    alternative: Mapping[MarketType, str] = {PERPETUAL: "a proxy in a place that Acme serves (HTTPS_PROXY)"}
    endpoints: Mapping[str, Endpoint] = {ENDPOINT: Endpoint(ENDPOINT, PERPETUAL, "/v1/stream")}
    limits: Mapping[str, Limits] = {
        ENDPOINT: Limits(
            streams=160,  # of 200 (4.1)
            args_chars=None,
            args_per_message=20,  # more is refused (4.1)
            message_gap=0.25,  # 5 a second at most (4.1), and a burst counts against the next second
            connects=(Rate(24, 60.0),),  # of 30 a minute for an address (4.1)
            ping_every=20.0,  # a connection without a ping for 60 s is closed (4.7)
            silent_after=45.0,
            lifetime=None,
        )
    }
    rest_limits: Mapping[str, RestLimits] = {rest.POOL: RestLimits(480, 60.0)}  # of 600 (5.1)
    book_rules: Mapping[MarketType, BookRules] = {PERPETUAL: BookRules(SnapshotSource.STREAM, Chaining.COUNTER)}
    data_prefix = b'{"stream":"'
    name_end = b'"'

    def intervals(self, market: MarketType) -> Sequence[str]:
        """Those of Acme that are ours, too (4.6)."""
        return ("1m", "1h")

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        """One stream a channel, two for the ticker. The book has one depth, all of it."""
        if instrument is None:
            raise UpstreamError("rejected", "Acme has no stream of a whole market")
        quotes = _stream("quotes", instrument, Part.QUOTE)
        if topic.channel is Channel.TICKER:
            day = _stream("day", instrument, Part.LAST, Part.STATS, promise=1.0)
            return Plan((quotes, day), required=frozenset({Part.QUOTE, Part.LAST}))
        if topic.channel is Channel.BBO:
            stream = quotes
        elif topic.channel is Channel.TRADE:
            stream = _stream("trades", instrument, Part.TRADES)
        elif topic.channel is Channel.LIQUIDATION:
            raise not_served(topic)
        elif topic.channel is Channel.ORDER_BOOK:
            stream = _stream("book", instrument, Part.BOOK)
        else:
            stream = _stream(f"candles-{topic.interval}", instrument, Part.CANDLE)
        return Plan((stream,), required=stream.parts)

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("subscribe", request_id, names)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("unsubscribe", request_id, names)

    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        return _request("ping", request_id)

    def reader(self, stream: StreamSpec) -> Reader:
        """By the word before the colon."""
        kind, _, name = stream.name.partition(":")
        if kind not in KINDS or not name or len(stream.name) > MAX_NAME:
            raise BadFrame("unknown", f"stream {stream.name[:MAX_NAME]}")
        return reader_for(KINDS[kind], stream.instrument)

    def sending_time(self, stream: StreamSpec) -> SendingTime | None:
        """``time`` begins every frame (4.1); a book's snapshot and the bars are no news of this moment."""
        return None if stream.name.startswith(("book:", "candles-")) else _TIME

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        control = read_control(frame)
        if control.stream and control.id is None:
            return read_data(readers, control.stream, frame)
        return [_answer(control)]

    catalogue_requests = staticmethod(rest.catalogue_requests)
    candles_request = staticmethod(rest.candles_request)
    read_candles = staticmethod(rest.read_candles)
    probe_request = staticmethod(rest.probe_request)
    read_probe = staticmethod(rest.read_probe)

    rest_error = staticmethod(rest.rest_error)

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        return rest.read_catalogue(body), None

    def read_poll(self, request: RestRequest, body: bytes) -> Sequence[Message]:
        raise BadFrame("unknown", "nothing is polled")


def _stream(kind: str, instrument: Instrument, *parts: Part, promise: float | None = None) -> StreamSpec:
    return StreamSpec(ENDPOINT, f"{kind}:{instrument.native}", frozenset(parts), promise, instrument=instrument)


# -> {"op":"subscribe","id":"7","streams":["trades:BTC-PERP","book:BTC-PERP"]}
# -> {"op":"ping","id":"8"}
def _request(op: str, request_id: str, names: Sequence[str] = ()) -> bytes:
    streams = {"streams": list(names)} if names else {}
    return json.dumps({"op": op, "id": request_id, **streams}, separators=(",", ":")).encode()


def _answer(control: Control) -> Message:
    if control.id is not None:
        # A refusal names its stream; one answer without a name is for all the others of the request (4.1).
        streams = (control.stream,) if control.stream else ()
        return Ack(control.id, control.ok, control.error, streams)
    if control.op == "pong":
        return Pong()
    if control.op == "maintenance":
        return Restarting()
    raise BadFrame("unknown", "neither data nor an answer")


VENUE = Acme()
