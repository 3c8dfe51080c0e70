"""Coinbase Advanced Trade: spot, without a key.

Evidence, per channel of ours (raw messages stand above their parsers in ``streams.py`` and ``rest.py``):

=========  ================================  ===========================================================================
channel    stream                            remark
=========  ================================  ===========================================================================
ticker     ``ticker``                        quote and 24 h figures in each frame; the open is computed
bbo        ``ticker``                        its quote; no other channel without a book has one
trade      ``market_trades``                 tells the maker's side; ids are counted; begins with trades from before
book       ``level2`` (frames: ``l2_data``)  all levels, then changes; the frames of the connection are counted
candle     ``candles`` (5m)                  no flag: closed by the next bar; other intervals are built from trades
sweep      REST ``market/products``          every 5 s; without bid, ask, high, low and time
=========  ================================  ===========================================================================

Traps that shaped this file: one channel a request; the answer lists everything the connection carries, and comes after
the first data; a connection that has not subscribed within 5 s is closed, and one whose streams are quiet within a
minute or so, so that each carries ``heartbeats``; ``sequence_num`` counts the frames of a connection over all channels;
a pair in USDC is another listing of the one in USD, and its frames have that one's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct
from zope.interface import implementer

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import MAX_NAME, Name, decoder, read_data
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Ignored,
    Message,
    Reader,
    Readers,
    SendingTime,
    Sequenced,
    Subscribed,
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
from cryptodash.exchanges.venues.coinbase import rest, snapshots, streams
from cryptodash.exchanges.venues.coinbase.wire import (
    CHANNELS,
    HEARTBEATS,
    Head,
    parts_of,
    products,
    read_head,
    sent_at,
    stream_of,
)

SPOT = MarketType.SPOT
ENDPOINT = "spot"

_LIMITS = Limits(
    streams=250,  # nothing is documented; a hole in the count of a connection's frames loses them all
    args_chars=None,
    args_per_message=50,
    message_gap=0.65,  # 8 a second for the address, and these are for each of four connections
    connects=(Rate(6, 1.0), Rate(1, 0.1)),  # of 8 a second
    ping_every=None,
    silent_after=15.0,  # heartbeats come every second
    lifetime=None,
    max_connections=4,
    max_frame=16 * 1024 * 1024,  # a snapshot of BTC-USD has 4.8 MB
)

_HEARTBEATS = StreamSpec(ENDPOINT, HEARTBEATS, frozenset(), batch=HEARTBEATS)

_TICKER = frozenset({Part.QUOTE, Part.LAST, Part.STATS})
_TRADES, _BOOK, _CANDLE, _SWEEP = (frozenset({part}) for part in (Part.TRADES, Part.BOOK, Part.CANDLE, Part.SWEEP))


@implementer(IVenue)
class Coinbase(NoSeeds):
    """Coinbase spot. The book of REST has no number that would join it to the stream: it serves to compare alone."""

    id = "coinbase"
    name = "Coinbase"
    data_prefix = b""
    name_end = b'"'
    markets: tuple[MarketType, ...] = (SPOT,)
    hosts: Mapping[MarketType, Hosts] = {
        SPOT: Hosts("wss://advanced-trade-ws.coinbase.com", "https://api.coinbase.com")
    }
    alternative: Mapping[MarketType, str] = {SPOT: rest.ALTERNATIVE}
    endpoints: Mapping[str, Endpoint] = {ENDPOINT: Endpoint(ENDPOINT, SPOT, "", standing=(_HEARTBEATS,))}
    limits: Mapping[str, Limits] = {ENDPOINT: _LIMITS}
    rest_limits: Mapping[str, RestLimits] = {rest.POOL: RestLimits(8, 1.0)}  # of 10 requests
    book_rules: Mapping[MarketType, BookRules] = {
        SPOT: BookRules(SnapshotSource.STREAM, Chaining.CONNECTION, audit=AuditBy.UNCHANGED)
    }

    def intervals(self, market: MarketType) -> Sequence[str]:
        """Those that REST has as well."""
        return tuple(rest.INTERVALS)

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        if instrument is None:
            return Plan((), (Poll(rest.sweep_request(topic), 5.0, _SWEEP),), required=_SWEEP)
        if topic.channel is Channel.LIQUIDATION:
            raise not_served(topic)
        if topic.channel in (Channel.TICKER, Channel.BBO):
            ticker = _stream("ticker", instrument, _TICKER, for_reader=instrument)
            needed = (Part.QUOTE, Part.LAST) if topic.channel is Channel.TICKER else (Part.QUOTE,)
            return Plan((ticker,), required=frozenset(needed))
        if topic.channel is Channel.ORDER_BOOK:
            return Plan((_stream("level2", instrument, _BOOK),), required=_BOOK)
        if topic.channel is Channel.CANDLE and topic.interval == "5m":
            return Plan((_stream("candles", instrument, _CANDLE),), required=_CANDLE)
        return Plan((_stream("market_trades", instrument, _TRADES),), required=_TRADES)

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("subscribe", names)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("unsubscribe", names)

    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        """None: the venue wants none."""
        return None

    def reader(self, stream: StreamSpec) -> Reader:
        return streams.reader(stream)

    def sending_time(self, stream: StreamSpec) -> SendingTime | None:
        """The envelope's time, whatever the channel."""
        return sent_at

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        head = read_head(frame)
        if not head.channel:
            return (_refusal(head),)
        if head.sequence_num is None:
            raise BadFrame("schema", f"a frame of {head.channel} has no sequence_num")
        place = Sequenced(head.sequence_num)
        if head.channel == "subscriptions":
            return place, Subscribed(_listed(head.events))
        if head.channel == HEARTBEATS:
            return (place, *read_data(readers, HEARTBEATS, frame))
        channel = CHANNELS.get(head.channel)
        if channel is None:
            return place, Ignored(head.channel)
        return (place, *_read_products(channel, head.events, frame, readers))

    catalogue_requests = staticmethod(rest.catalogue_requests)
    snapshot_request = staticmethod(snapshots.snapshot_request)
    read_snapshot = staticmethod(snapshots.read_snapshot)
    candles_request = staticmethod(rest.candles_request)
    read_candles = staticmethod(rest.read_candles)
    read_poll = staticmethod(rest.read_sweep)
    probe_request = staticmethod(rest.probe_request)
    read_probe = staticmethod(rest.read_probe)
    rest_error = staticmethod(rest.rest_error)

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        return rest.read_catalogue(self.id, request, body)


def _stream(
    channel: str, instrument: Instrument, parts: frozenset[Part], for_reader: Instrument | None = None
) -> StreamSpec:
    """By the name that its frames will have."""
    name = stream_of(channel, instrument.alias_of or instrument.native)
    return StreamSpec(ENDPOINT, name, parts, instrument=for_reader, batch=channel)


# -> {"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}
# -> {"type":"subscribe","channel":"heartbeats"}
def _request(kind: str, names: Sequence[str]) -> bytes:
    """All of one channel (``StreamSpec.batch``)."""
    if names[0] == HEARTBEATS:
        return msgspec.json.encode({"type": kind, "channel": HEARTBEATS})
    channel, _ = parts_of(names[0])
    return msgspec.json.encode({"type": kind, "product_ids": [parts_of(name)[1] for name in names], "channel": channel})


# <- {"channel":"subscriptions","timestamp":"2026-08-24T22:34:13.813379359Z","sequence_num":3,"events":[{
#  "subscriptions":{"level2":["BTC-USD"]}}]}
#  with heartbeats: "subscriptions":{"heartbeats":["heartbeats"],"level2":["BTC-USD"]}
class _Subscriptions(Struct, gc=False):
    subscriptions: dict[Name, list[Name]]


_subscriptions = decoder(list[_Subscriptions])


def _listed(events: Raw) -> Sequence[str]:
    """Everything that the connection carries, channels that are none of ours left out."""
    found: list[str] = []
    for event in _subscriptions(events):
        for channel, names in event.subscriptions.items():
            if channel == HEARTBEATS:
                found.append(HEARTBEATS)
            elif channel in CHANNELS.values():
                found += [stream_of(channel, each) for each in names]
    return found


# <- {"type":"error","message":"authentication failure"}
def _refusal(head: Head) -> Message:
    """It says neither which request it is about nor what of it, and is not counted."""
    if head.type != "error":
        raise BadFrame("unknown", "neither data nor an answer")
    return Ack(ok=False, reason=head.message)


def _read_products(channel: str, events: Raw, frame: bytes, readers: Readers) -> Sequence[Message]:
    """Each product's part of the frame, by its own reader; what nobody reads comes last."""
    found: list[Message] = []
    unwanted: list[Message] = []
    names = [stream_of(channel, product) for product in products(events)]
    for name in names:
        if name in readers:
            found += read_data(readers, name, frame)
        else:
            unwanted.append(Unwanted(name[:MAX_NAME]))
    return [*found, *unwanted] if names else [Ignored(channel)]


VENUE = Coinbase()
