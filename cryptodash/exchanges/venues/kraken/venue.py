"""Kraken: spot, by WebSocket version 2.

Evidence, per channel of ours (raw messages stand above their parsers in ``streams.py``, ``book.py`` and ``rest.py``;
all is documented on docs.kraken.com, "Spot WebSocket v2"):

=========  ==============================  =============  ===========================================================
channel    stream                          role           rule, units
=========  ==============================  =============  ===========================================================
ticker     ``ticker``, trigger ``bbo``;    event          sent when a best price changes; each frame replaces all;
           last from ``trade`` too                        change absolute and in percent; open = last - change
bbo        ``ticker``, trigger ``bbo``     event          its quote
trade      ``trade``                       event          ids of a pair + 1; ``side`` is the taker's; the snapshot is
                                                          the last 50
book       ``book``, depth 10 to 1000      snapshot,      absolute sizes, 0 deletes, cut at the depth after each frame,
                                           then deltas    then a CRC32 over the best 10 levels a side
candle     ``ohlc``, 8 intervals           event          replaces the bar of ``interval_begin``; never says closed
sweep      REST ``Ticker``, every 2.5 s    poll           24 h figures have index 1; nothing tells the time
=========  ==============================  =============  ===========================================================

Recorded are book, ticker and bars (shared captures); trades and error frames are documented only.

Traps that shaped this file: numbers are bare and every digit counts in the checksum; a frame of a book does not say
which depth it is of, and two depths of a pair exclude each other on a connection; there is one answer for each pair of
a request, and a refusal names the pair alone; REST calls pairs by other names than streams do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from zope.interface import implementer

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import MAX_NAME, read_data
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Heartbeat,
    Ignored,
    Message,
    Pong,
    Reader,
    Readers,
    SendingTime,
    Unwanted,
)
from cryptodash.exchanges.adapter.plan import Part, Plan, Poll, RestRequest, StreamSpec, not_served
from cryptodash.exchanges.adapter.venue import (
    Endpoint,
    Hosts,
    IVenue,
    Limits,
    NoSeeds,
    Rate,
    RestLimits,
)
from cryptodash.exchanges.venues.kraken import catalogue, rest, snapshots
from cryptodash.exchanges.venues.kraken.book import CHECKSUM_DEPTH, checksum
from cryptodash.exchanges.venues.kraken.names import (
    BOOK,
    DEPTHS,
    MINUTES,
    OHLC,
    TICKER,
    TRADE,
    StreamName,
    book_streams,
    parse_stream,
)
from cryptodash.exchanges.venues.kraken.streams import READERS, Control, Result, read_control, read_subjects
from cryptodash.exchanges.venues.kraken.times import milliseconds, time_of_update

SPOT = MarketType.SPOT
ENDPOINT = "spot"

_LIMITS = Limits(
    streams=400,  # none is documented
    args_chars=None,
    args_per_message=100,
    message_gap=0.3,  # "a few" a second are taken; the limit moves with the load
    connects=(Rate(120, 600.0), Rate(1, 0.2)),  # of 150 in ten minutes
    ping_every=1.0,  # the answers tell the venue's time, which little else does
    silent_after=5.0,  # the venue's own advice: it sends a heartbeat each second
    lifetime=None,
)

_TRADES, _BOOK, _CANDLE, _SWEEP = (frozenset({part}) for part in (Part.TRADES, Part.BOOK, Part.CANDLE, Part.SWEEP))
_TICKER, _LAST = frozenset({Part.QUOTE, Part.LAST, Part.STATS}), frozenset({Part.LAST})


@implementer(IVenue)
class Kraken(NoSeeds):
    """Kraken spot. The book of REST has no checksum and rounded sizes: it serves to compare, not to begin with."""

    id = "kraken"
    name = "Kraken"
    data_prefix = b""  # the name of a stream stands in no frame
    name_end = b""
    markets: tuple[MarketType, ...] = (SPOT,)
    hosts: Mapping[MarketType, Hosts] = {SPOT: Hosts("wss://ws.kraken.com", "https://api.kraken.com")}
    alternative: Mapping[MarketType, str] = {SPOT: rest.ALTERNATIVE}
    endpoints: Mapping[str, Endpoint] = {ENDPOINT: Endpoint(ENDPOINT, SPOT, "/v2")}
    limits: Mapping[str, Limits] = {ENDPOINT: _LIMITS}
    rest_limits: Mapping[str, RestLimits] = {rest.POOL: RestLimits(4, 5.0)}  # of about one a second
    book_rules: Mapping[MarketType, BookRules] = {
        SPOT: BookRules(
            SnapshotSource.STREAM,
            Chaining.CHECKSUM,
            checksum,
            CHECKSUM_DEPTH,
            audit=AuditBy.UNCHANGED,
            audit_rounded=True,
        )
    }

    def intervals(self, market: MarketType) -> Sequence[str]:
        """Eight of ours."""
        return tuple(MINUTES)

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        if instrument is None:
            return Plan((), (Poll(rest.sweep_request(topic), 2.5, _SWEEP),), required=_SWEEP)
        pair = instrument.native
        if topic.channel is Channel.TRADE:
            return Plan((_stream(StreamName(TRADE, None, pair), _TRADES),), required=_TRADES)
        if topic.channel is Channel.CANDLE:
            minutes = MINUTES.get(topic.interval)
            if minutes is None:
                raise UpstreamError("rejected", f"Kraken has no candles of {topic.interval}")
            return Plan((_stream(StreamName(OHLC, minutes, pair), _CANDLE),), required=_CANDLE)
        if topic.channel is Channel.ORDER_BOOK:
            tier = next((each for each in DEPTHS if each >= depth), DEPTHS[-1])
            return Plan((_stream(StreamName(BOOK, tier, pair), _BOOK),), required=_BOOK)
        if topic.channel is Channel.LIQUIDATION:
            raise not_served(topic)
        tickers = _stream(StreamName(TICKER, None, pair), _TICKER)
        if topic.channel is Channel.BBO:
            return Plan((tickers,), required=frozenset({Part.QUOTE}))
        # With the trigger bbo a trade at an unchanged best price brings no ticker (docs, "Ticker").
        trades = _stream(StreamName(TRADE, None, pair), _LAST)
        return Plan((tickers, trades), required=frozenset({Part.QUOTE, Part.LAST}))

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("subscribe", names, request_id)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("unsubscribe", names, request_id)

    # -> {"method":"ping","req_id":101}
    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        return msgspec.json.encode({"method": "ping", "req_id": int(request_id)})

    def reader(self, stream: StreamSpec) -> Reader:
        return READERS[parse_stream(stream.name).channel]

    def sending_time(self, stream: StreamSpec) -> SendingTime | None:
        """A ticker's time, and a trade's, is that of a trade."""
        return time_of_update if parse_stream(stream.name).channel in (BOOK, OHLC) else None

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        control = read_control(frame)
        if not control.channel:
            return _answer(control)
        if control.channel not in READERS:
            return (_notice(control.channel),)
        subjects = read_subjects(bytes(control.data))
        if not subjects:
            raise BadFrame("schema", f"no data of {control.channel}")
        pair = subjects[0].symbol
        if control.channel == BOOK:
            return _read_book(pair, frame, readers)
        minutes = subjects[0].interval if control.channel == OHLC else None
        return read_data(readers, str(StreamName(control.channel, minutes, pair)), frame)

    snapshot_request = staticmethod(snapshots.snapshot_request)
    read_snapshot = staticmethod(snapshots.read_snapshot)
    catalogue_requests = staticmethod(catalogue.catalogue_requests)
    candles_request = staticmethod(rest.candles_request)
    read_candles = staticmethod(rest.read_candles)
    read_poll = staticmethod(rest.read_sweep)
    probe_request = staticmethod(rest.probe_request)
    read_probe = staticmethod(rest.read_probe)
    rest_error = staticmethod(rest.rest_error)

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        return catalogue.read_catalogue(self.id, request, body)


def _stream(name: StreamName, parts: frozenset[Part]) -> StreamSpec:
    """A request is about one channel, and one depth or interval. An answer that refuses names the pair alone."""
    is_book = name.channel == BOOK
    return StreamSpec(
        ENDPOINT,
        str(name),
        parts,
        depth=name.number if is_book else None,
        batch=name.channel if name.number is None else f"{name.channel}:{name.number}",
        argument=name.pair,
        exclusive=f"{BOOK}:{name.pair}" if is_book else "",
    )


# -> {"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":10,"snapshot":true},
#     "req_id":1}
# -> {"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":2}
def _request(method: str, names: Sequence[str], request_id: str) -> bytes:
    """One channel a request: names of one ``batch``."""
    parsed = [parse_stream(name) for name in names]
    channel, number = parsed[0].channel, parsed[0].number
    params: dict[str, object] = {"channel": channel, "symbol": [each.pair for each in parsed]}
    if number is not None:
        params["depth" if channel == BOOK else "interval"] = number
    if channel == TICKER:
        params["event_trigger"] = "bbo"
    if method == "subscribe":
        params["snapshot"] = True
    return msgspec.json.encode({"method": method, "params": params, "req_id": int(request_id)})


def _read_book(pair: str, frame: bytes, readers: Readers) -> Sequence[Message]:
    """A connection has a pair's book in one depth; which one, no frame says. Frames of a book that has just been ended
    are nobody's."""
    for name in book_streams(pair):
        if name in readers:
            return readers[name](name, frame)
    return (Ignored(BOOK),)


def _notice(channel: str) -> Message:
    """A frame of no stream of ours. The venue's ``status`` changes nothing for us: where it takes no orders the markets
    are quiet, and the connection stays."""
    if channel == "heartbeat":
        return Heartbeat()
    return Ignored("status") if channel == "status" else Unwanted(channel[:MAX_NAME])


def _answer(control: Control) -> Sequence[Message]:
    request_id = "" if control.request is None else str(control.request)
    if control.method == "pong":
        return (Pong(request_id, None if control.answered is None else milliseconds(control.answered)),)
    if control.complaint:  # the message rate was too high; what was refused is asked for again when no answer comes
        return (Ignored("limit"),)
    if control.success is None or control.method not in ("subscribe", "unsubscribe"):
        raise BadFrame("unknown", "neither data nor an answer")
    return (_granted(request_id, control.result) if control.success else _refused(request_id, control),)


def _granted(request_id: str, result: Result | None) -> Ack:
    """Names the stream where it says which depth or interval, else the pair, which is enough beside a request's id."""
    if result is None:
        return Ack(request_id)
    number = {BOOK: result.depth, OHLC: result.interval}.get(result.channel)
    if number is None and result.channel in (BOOK, OHLC):
        return Ack(request_id, argument=result.symbol)
    return Ack(request_id, streams=(str(StreamName(result.channel, number, result.symbol)),))


def _refused(request_id: str, control: Control) -> Ack:
    reason = control.error or "refused"
    already = control.method == "subscribe" and "already subscribed" in reason.lower()
    return Ack(request_id, False, reason, argument=control.symbol, already=already)


VENUE = Kraken()
