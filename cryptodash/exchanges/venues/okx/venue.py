"""OKX V5: spot, and linear perpetual swaps.

Evidence, per channel of ours (raw messages stand above their parsers in ``ticker_streams.py``, ``streams.py`` and
``rest.py``):

=========  =======================================  ====================================================================
channel    stream                                   remark
=========  =======================================  ====================================================================
ticker     ``bbo-tbt`` (quote), ``tickers``         swaps besides: ``mark-price``, ``index-tickers``, ``funding-rate``,
                                                    ``open-interest``
bbo        ``bbo-tbt``
trade      ``trades``                               fills of one order at one price come as one; ids have holes
book       ``books``                                400 levels: snapshot, then changes that name the id before; REST
                                                    ``/market/books`` where no snapshot comes
candle     business ``candle<i>``                   UTC bars from 6 h up are ``candle6Hutc`` ...
liquid.    ``liquidation-orders``                   of all swaps in one stream; a sample; sizes are contracts
sweep      REST ``/market/tickers``, every 2 s      there is no all-market stream
=========  =======================================  ====================================================================

Traps that shaped this file: ping and pong are plain text; a request of many streams has one answer for each; bars come
on a path of their own; sizes of swaps are contracts; more than 30 books should not share a connection, so that they
have an endpoint to themselves; 480 requests an hour and connection are all, however many streams each names.

A renamed swap keeps its old id for what is subscribed to, but most of its streams fall silent, and its book goes on
until the *new* id is unsubscribed. Here a silent quote is asked for anew and refused, and the catalogue, which lists
the new name, ends the rest. Frames of a book that goes on all the same belong to nobody and are counted as unwanted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import evolve
from zope.interface import implementer

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes
from cryptodash.exchanges.adapter.decode import MAX_NAME, MAX_TIME_MS, read_data
from cryptodash.exchanges.adapter.messages import BadFrame, Depth, Message, Pong, Reader, Readers, SendingTime
from cryptodash.exchanges.adapter.plan import Part, Plan, Poll, RestRequest, StreamSpec, not_served
from cryptodash.exchanges.adapter.venue import Endpoint, Hosts, IVenue, Limits, NoSeeds, Rate, RestLimits
from cryptodash.exchanges.venues.okx import catalogue, rest, rest_errors, streams, ticker_streams
from cryptodash.exchanges.venues.okx.wire import Read, argument_of, request, stream_name, subject_of

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL

_PUBLIC, _BUSINESS = "/ws/v5/public", "/ws/v5/business"
_PREFIX: Mapping[MarketType, str] = {SPOT: "spot", PERPETUAL: "swap"}
_SWAP_ENDPOINTS = frozenset({"swap-public", "swap-books", "swap-business"})

PING = b"ping"

_LIMITS = Limits(
    streams=400,
    args_chars=50_000,  # of 64 KiB of arguments a connection, with their braces and commas
    args_per_message=50,
    message_gap=0.1,
    # Of 3 an address and second; apart, because the venue counts when they arrive: two and two more made four.
    connects=(Rate(2, 1.0), Rate(1, 0.4)),
    ping_every=20.0,  # a connection on which nothing comes for 30 s is closed
    silent_after=30.0,
    lifetime=None,  # upgrades are announced a minute before
    requests=Rate(384, 3600.0),  # of 480
)
_BOOK_LIMITS = evolve(_LIMITS, streams=24)  # of fewer than 30

_READERS: Mapping[str, Read] = {
    **streams.CHANNELS,
    **ticker_streams.CHANNELS,
    **{f"candle{bar}": streams.read_candles for bar in rest.INTERVALS.values()},
}

_QUOTE, _DAY, _MARK, _INTEREST = (
    frozenset({Part.QUOTE}),
    frozenset({Part.LAST, Part.STATS}),
    frozenset({Part.MARK}),
    frozenset({Part.INTEREST}),
)
_TRADES, _BOOK, _CANDLE, _SWEEP = (frozenset({part}) for part in (Part.TRADES, Part.BOOK, Part.CANDLE, Part.SWEEP))
_LIQUIDATIONS = frozenset({Part.LIQUIDATIONS})
_TICKER = frozenset({Part.QUOTE, Part.LAST})

_LIQUIDATION_STREAM = StreamSpec("swap-public", streams.LIQUIDATIONS, _LIQUIDATIONS)
"""One for all swaps: there is none by instrument."""

_KEEP_ALIVE = 60.0
"""A book or a quote without a change is sent again after about so many seconds."""

_time = re.compile(rb'"ts":"([0-9]{10,15})"').search


def _written_at(frame: bytes) -> int | None:
    """When the venue made this frame: of a ticker, or of a change of a book. A snapshot shows an older state, and a
    change of nothing is sent again."""
    if b'"action":"snapshot"' in frame[:200] or b'"asks":[],"bids":[]' in frame[:200]:
        return None
    found = _time(frame)
    return None if found is None else min(int(found[1]), MAX_TIME_MS)


def _endpoints(market: MarketType, timed: str) -> Mapping[str, Endpoint]:
    """``timed``: the instrument with the most trades."""
    public, books, business = (f"{_PREFIX[market]}-{each}" for each in ("public", "books", "business"))
    clock = StreamSpec(public, stream_name("tickers", timed), frozenset())
    return {
        public: Endpoint(public, market, _PUBLIC, timed=clock),
        books: Endpoint(books, market, _PUBLIC),
        business: Endpoint(business, market, _BUSINESS),
    }


@implementer(IVenue)
class Okx(NoSeeds):
    """OKX spot and linear swaps."""

    id = "okx"
    name = "OKX"
    data_prefix = b'{"arg":{'
    name_end = b"}"
    markets: tuple[MarketType, ...] = (SPOT, PERPETUAL)
    # Port 8443, which older documents name, refuses connections since 2026-10-31.
    hosts: Mapping[MarketType, Hosts] = dict.fromkeys(markets, Hosts("wss://ws.okx.com", "https://openapi.okx.com"))
    alternative: Mapping[MarketType, str] = dict.fromkeys(markets, rest_errors.ALTERNATIVE)
    endpoints: Mapping[str, Endpoint] = {**_endpoints(SPOT, "BTC-USDT"), **_endpoints(PERPETUAL, "BTC-USDT-SWAP")}
    limits: Mapping[str, Limits] = {key: _BOOK_LIMITS if key.endswith("-books") else _LIMITS for key in endpoints}
    rest_limits: Mapping[str, RestLimits] = rest.LIMITS
    book_rules: Mapping[MarketType, BookRules] = dict.fromkeys(
        markets, BookRules(SnapshotSource.EITHER, Chaining.PREVIOUS, audit=AuditBy.UPDATE_ID)
    )

    def intervals(self, market: MarketType) -> Sequence[str]:
        """All of ours."""
        return tuple(rest.INTERVALS)

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        if instrument is None:
            return Plan((), (Poll(rest.sweep_request(topic), 2.0, _SWEEP),), required=_SWEEP)
        if topic.channel is Channel.TRADE:
            return Plan((_stream("public", "trades", instrument, _TRADES),), required=_TRADES)
        if topic.channel is Channel.CANDLE:
            channel = f"candle{rest.INTERVALS[topic.interval]}"
            return Plan((_stream("business", channel, instrument, _CANDLE),), required=_CANDLE)
        if topic.channel is Channel.ORDER_BOOK:
            books = evolve(_stream("books", "books", instrument, _BOOK, _KEEP_ALIVE), depth=rest.MOST_LEVELS)
            return Plan((books,), required=_BOOK)
        if topic.channel is Channel.LIQUIDATION:
            if topic.market is not PERPETUAL:
                raise not_served(topic)
            return Plan((_LIQUIDATION_STREAM,), required=_LIQUIDATIONS)
        quotes = evolve(_stream("public", "bbo-tbt", instrument, _QUOTE, _KEEP_ALIVE), conflate_by="seqId")
        if topic.channel is Channel.BBO:
            return Plan((quotes,), required=_QUOTE)
        day = _stream("public", "tickers", instrument, _DAY)
        return Plan((quotes, day, *_swap_figures(instrument)), required=_TICKER)

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return request("subscribe", names, request_id)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return request("unsubscribe", names, request_id)

    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        return PING

    def reader(self, stream: StreamSpec) -> Reader:
        """By the channel that the name begins with."""
        if stream.name == streams.LIQUIDATIONS:
            return streams.read_liquidations
        argument = argument_of(stream.name)
        read = _READERS.get(argument.channel)
        if read is None or not argument.native:
            raise BadFrame("unknown", f"stream {stream.name[:MAX_NAME]}")
        subject = subject_of(argument.native, stream.instrument, is_swap=stream.endpoint in _SWAP_ENDPOINTS)
        return lambda name, frame: read(name, frame, subject)

    def sending_time(self, stream: StreamSpec) -> SendingTime | None:
        """Quotes, marks and indices are sent again with their old time; a trade's time is its own."""
        return _written_at if argument_of(stream.name).channel in ("books", "tickers") else None

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        if frame == streams.PONG:
            return (Pong(),)
        control = streams.read_control(frame)
        if control.argument is not None and not control.event:
            return read_data(readers, control.argument.stream, frame)
        return (streams.answer(control),)

    catalogue_requests = staticmethod(catalogue.catalogue_requests)
    snapshot_request = staticmethod(rest.snapshot_request)
    candles_request = staticmethod(rest.candles_request)
    read_candles = staticmethod(rest.read_candles)
    read_poll = staticmethod(rest.read_sweep)
    probe_request = staticmethod(rest.probe_request)
    read_probe = staticmethod(rest.read_probe)
    rest_error = staticmethod(rest_errors.rest_error)

    def read_catalogue(
        self, request: RestRequest, body: bytes
    ) -> tuple[Sequence[Instrument | ContractVolumes], RestRequest | None]:
        return catalogue.read_catalogue(self.id, request, body), None

    def read_snapshot(self, request: RestRequest, body: bytes) -> Depth:
        return rest.read_snapshot(stream_name("books", request.native), request, body)


def _stream(
    place: str, channel: str, instrument: Instrument, parts: frozenset[Part], promise: float | None = None
) -> StreamSpec:
    endpoint, name = f"{_PREFIX[instrument.market]}-{place}", stream_name(channel, instrument.native)
    return StreamSpec(endpoint, name, parts, promise, instrument=instrument)


def _swap_figures(instrument: Instrument) -> Sequence[StreamSpec]:
    """What a swap has besides. Its index has the swap's name without the last word."""
    if instrument.market is not PERPETUAL:
        return ()
    marks = _stream("public", "mark-price", instrument, _MARK, 10.0)
    index = stream_name("index-tickers", instrument.native.removesuffix("-SWAP"))
    return (
        marks,
        evolve(marks, name=index, promise=60.0),
        _stream("public", "funding-rate", instrument, _MARK, 90.0),
        _stream("public", "open-interest", instrument, _INTEREST),
    )


VENUE = Okx()
