"""Bybit V5: spot, and linear perpetuals (settled in USDT or USDC).

Evidence, per channel of ours (raw messages stand above their parsers in ``ticker_streams.py``, ``streams.py`` and
``rest.py``):

=========  ================================================  ===========================================================
channel    stream                                            remark
=========  ================================================  ===========================================================
ticker     ``orderbook.1.<S>`` (quote), ``tickers.<S>``      spot tickers hold no bid/ask; linear ones come as deltas,
                                                             and hold mark, index, funding and open interest too
bbo        ``orderbook.1.<S>``
trade      ``publicTrade.<S>``                               block trades left out
book       ``orderbook.50|200|1000.<S>``                     snapshot, then ``u`` + 1; a snapshot may come at any time
candle     ``kline.<i>.<S>``                                 the closing bar and the next may share a frame
liquid.    ``allLiquidation.<S>``                            linear only; tells the side of the position
sweep      REST ``/v5/market/tickers``, every 2 s            there is no all-market stream
=========  ================================================  ===========================================================

Traps that shaped this file: one bad topic rejects its whole request, and spot takes at most 10 topics a request; the
answer to a ping keeps ``"op":"ping"`` and says ``pong`` in ``ret_msg``; the same name means the spot pair on one path
and the perpetual on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from zope.interface import implementer

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import MAX_NAME, read_data, sending_time
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Ignored,
    Message,
    Pong,
    Reader,
    Readers,
    SendingTime,
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
from cryptodash.exchanges.venues.bybit import catalogue, rest, snapshots
from cryptodash.exchanges.venues.bybit.streams import READERS, Control, read_control, read_quote

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL

# Where the topic stands in every frame recorded so far; anything else is looked at as a whole.

_GATEWAY_TIME = sending_time("ts")


def _time_of_change(frame: bytes) -> int | None:
    """A book's snapshot may be sent again, with the time it had."""
    return _GATEWAY_TIME(frame) if b'"type":"delta"' in frame[:200] else None


_LIMITS = Limits(
    streams=500,
    args_chars=16_800,  # of 21,000
    args_per_message=10,  # more is refused on spot
    message_gap=0.2,
    connects=(Rate(400, 300.0), Rate(1, 0.1)),  # of 500
    ping_every=20.0,
    silent_after=25.0,
    lifetime=None,
)

_TIERS = (50, 200, 1000)
"""Depths a book can be had in; the smallest that covers is the fastest (20, 100, 200 ms)."""

_QUOTE, _TRADES, _BOOK, _CANDLE, _SWEEP = (
    frozenset({part}) for part in (Part.QUOTE, Part.TRADES, Part.BOOK, Part.CANDLE, Part.SWEEP)
)
_LIQUIDATIONS = frozenset({Part.LIQUIDATIONS})
_SPOT_FIGURES = frozenset({Part.LAST, Part.STATS})
_LINEAR_FIGURES = frozenset({Part.LAST, Part.STATS, Part.MARK, Part.INTEREST})
_TICKER = frozenset({Part.QUOTE, Part.LAST})


@implementer(IVenue)
class Bybit(NoSeeds):
    """Bybit spot and linear. The ``u`` of a REST snapshot would match the stream of 1,000 levels only, but its ``seq``
    is that of all streams: it serves to compare, not to begin with."""

    id = "bybit"
    name = "Bybit"
    data_prefix = b'{"topic":"'
    name_end = b'"'
    markets: tuple[MarketType, ...] = (SPOT, PERPETUAL)
    hosts: Mapping[MarketType, Hosts] = dict.fromkeys(markets, Hosts("wss://stream.bybit.com", "https://api.bybit.com"))
    alternative: Mapping[MarketType, str] = dict.fromkeys(markets, rest.ALTERNATIVE)
    endpoints: Mapping[str, Endpoint] = {
        "spot": Endpoint("spot", SPOT, "/v5/public/spot", timed=StreamSpec("spot", "tickers.BTCUSDT", frozenset())),
        "linear": Endpoint(
            "linear", PERPETUAL, "/v5/public/linear", timed=StreamSpec("linear", "tickers.BTCUSDT", frozenset())
        ),
    }
    limits: Mapping[str, Limits] = {"spot": _LIMITS, "linear": _LIMITS}
    rest_limits: Mapping[str, RestLimits] = {rest.POOL: RestLimits(480, 5.0)}  # of 600 requests, for the whole address
    book_rules: Mapping[MarketType, BookRules] = dict.fromkeys(
        markets, BookRules(SnapshotSource.STREAM, Chaining.COUNTER, audit=AuditBy.SEQUENCE)
    )

    def intervals(self, market: MarketType) -> Sequence[str]:
        """All of ours."""
        return tuple(rest.INTERVALS)

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        if instrument is None:
            return Plan((), (Poll(rest.sweep_request(topic), 2.0, _SWEEP),), required=_SWEEP)
        endpoint, native = rest.CATEGORY[topic.market], instrument.native
        if topic.channel is Channel.TRADE:
            return Plan((StreamSpec(endpoint, f"publicTrade.{native}", _TRADES),), required=_TRADES)
        if topic.channel is Channel.CANDLE:
            return Plan(
                (StreamSpec(endpoint, f"kline.{rest.INTERVALS[topic.interval]}.{native}", _CANDLE),), required=_CANDLE
            )
        if topic.channel is Channel.ORDER_BOOK:
            tier = next((each for each in _TIERS if each >= depth), _TIERS[-1])
            return Plan((StreamSpec(endpoint, f"orderbook.{tier}.{native}", _BOOK, depth=tier),), required=_BOOK)
        if topic.channel is Channel.LIQUIDATION:
            if topic.market is SPOT:
                raise not_served(topic)
            return Plan((StreamSpec(endpoint, f"allLiquidation.{native}", _LIQUIDATIONS),), required=_LIQUIDATIONS)
        # Level 1 is sent again after 3 s without a change.
        quote = StreamSpec(endpoint, f"orderbook.1.{native}", _QUOTE, promise=3.0, conflate_by="seq")
        if topic.channel is Channel.BBO:
            return Plan((quote,), required=_QUOTE)
        figures = _SPOT_FIGURES if topic.market is SPOT else _LINEAR_FIGURES
        return Plan((quote, StreamSpec(endpoint, f"tickers.{native}", figures)), required=_TICKER)

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("subscribe", names, request_id)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("unsubscribe", names, request_id)

    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        return msgspec.json.encode({"req_id": request_id, "op": "ping"})

    def reader(self, stream: StreamSpec) -> Reader:
        """By the first word: ``kline.1.BTCUSDT`` -> kline."""
        name = stream.name
        if name.startswith("orderbook.1."):
            return read_quote
        kind = name.partition(".")[0]
        if kind not in READERS or len(name) > MAX_NAME:
            raise BadFrame("unknown", f"topic {name[:MAX_NAME]}")
        return READERS[kind]

    def sending_time(self, stream: StreamSpec) -> SendingTime | None:
        if stream.name.startswith("orderbook.1."):  # sent again after 3 s without a change, with its old id
            return None
        return _time_of_change if stream.name.startswith("orderbook.") else _GATEWAY_TIME

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        control = read_control(frame)
        return (_answer(control),) if control.topic is None else read_data(readers, control.topic, frame)

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


# -> {"req_id":"1","op":"subscribe","args":["orderbook.50.BTCUSDT","publicTrade.BTCUSDT"]}
def _request(op: str, names: Sequence[str], request_id: str) -> bytes:
    return msgspec.json.encode({"req_id": request_id, "op": op, "args": list(names)})


def _answer(control: Control) -> Message:
    if control.ret_msg == "pong" or control.op == "pong":
        return Pong()
    if control.success is None:
        raise BadFrame("unknown", "neither data nor an answer")
    if control.op in ("subscribe", "unsubscribe"):
        reason = "" if control.success else control.ret_msg
        # "error:already subscribed,topic:...": seen after a partial reconnect; what was wanted is so.
        return Ack(control.req_id, control.success, reason, already="already subscribed" in reason.lower())
    return Ignored("answer")


VENUE = Bybit()
