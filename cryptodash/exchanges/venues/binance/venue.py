"""Binance: spot, and USD-M perpetuals on the split ``/public`` and ``/market`` paths (since 2026-04-23).

Evidence, per channel of ours (raw messages stand above their parsers in ``ticker_streams.py``, ``streams.py`` and
``rest.py``):

=========  =======================================  ====================================================================
channel    spot                                     USD-M perpetual
=========  =======================================  ====================================================================
ticker     ``@bookTicker`` + ``@ticker``            public ``@bookTicker`` + market ``@ticker``, ``@markPrice@1s``;
                                                    REST openInterest, fundingInfo (of all at once)
bbo        ``@bookTicker``                          public ``@bookTicker``
trade      ``@trade``                               market ``@aggTrade`` (``@trade`` is undocumented there)
book       ``@depth@100ms`` + REST depth            public ``@depth@100ms`` + REST depth
candle     ``@kline_<i>``                           market ``@kline_<i>``
liquid.    none                                     market ``@forceOrder``: the latest of each second, a sample
sweep      ``!miniTicker@arr`` (has no bid/ask)     market ``!ticker@arr`` + public ``!bookTicker`` (every 5 s)
=========  =======================================  ====================================================================

Traps that shaped this file: a stream asked for on the wrong path is acknowledged and stays silent; names are lower case
in streams only; an ack says only that the request was well-formed; answers are never wrapped in ``{"stream":...}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from zope.interface import implementer

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.intervals import INTERVALS
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.book_rules import AuditBy, BookRules, Chaining, SnapshotSource
from cryptodash.exchanges.adapter.decode import MAX_NAME, read_data, sending_time
from cryptodash.exchanges.adapter.messages import (
    Ack,
    BadFrame,
    Depth,
    Message,
    Reader,
    Readers,
    Restarting,
    SendingTime,
)
from cryptodash.exchanges.adapter.plan import Part, Plan, RestRequest, StreamSpec, not_served
from cryptodash.exchanges.adapter.venue import Endpoint, Hosts, IVenue, Limits, Rate, RestLimits
from cryptodash.exchanges.venues.binance import catalogue, polls, rest
from cryptodash.exchanges.venues.binance.streams import PERPETUAL_READERS, SHUTDOWN, SPOT_READERS, Control, read_control

SPOT, PERPETUAL = MarketType.SPOT, MarketType.PERPETUAL

_DATA = b'{"stream":"'

_EVENT_TIME = sending_time("E")
"""The event time stands in the frames of every channel but spot's book ticker; in an array, in each row."""

_SPOT_LIMITS = Limits(
    streams=819,  # of 1024
    args_chars=None,
    args_per_message=100,
    message_gap=0.3,  # 5 messages a second at most, and a burst counts against the next second
    connects=(Rate(240, 300.0), Rate(1, 0.1)),  # of 300
    ping_every=None,  # the server pings, every 20 s
    silent_after=70.0,
    lifetime=86_400.0,
)
_PERPETUAL_LIMITS = Limits(
    streams=200,  # 1024 are documented; long-running clients stay at 200
    args_chars=None,
    args_per_message=100,
    message_gap=0.125,  # 10 a second at most
    connects=(Rate(240, 300.0), Rate(1, 0.1)),
    ping_every=None,
    silent_after=200.0,  # the server pings every 3 minutes: quiet streams alone prove nothing before that
    lifetime=86_400.0,
)

_QUOTE, _DAY, _MARK = frozenset({Part.QUOTE}), frozenset({Part.LAST, Part.STATS}), frozenset({Part.MARK})
_TRADES, _BOOK, _CANDLE, _SWEEP = (frozenset({part}) for part in (Part.TRADES, Part.BOOK, Part.CANDLE, Part.SWEEP))
_LIQUIDATIONS = frozenset({Part.LIQUIDATIONS})
_TICKER = frozenset({Part.QUOTE, Part.LAST})


@implementer(IVenue)
class Binance:
    """Binance spot and USD-M."""

    id = "binance"
    name = "Binance"
    data_prefix = _DATA
    name_end = b'"'
    markets: tuple[MarketType, ...] = (SPOT, PERPETUAL)
    hosts: Mapping[MarketType, Hosts] = {
        SPOT: Hosts("wss://stream.binance.com:9443", "https://api.binance.com"),
        PERPETUAL: Hosts("wss://fstream.binance.com", "https://fapi.binance.com"),
    }
    alternative: Mapping[MarketType, str] = {
        SPOT: rest.ALTERNATIVE,
        PERPETUAL: "HTTPS_PROXY with a proxy in a place that Binance serves (perpetuals have no other public host)",
    }
    endpoints: Mapping[str, Endpoint] = {
        # Bars of a second come each second whether there are trades or not, mark prices too; quotes of the most traded
        # perpetual are the nearest to that on the public path.
        "spot": Endpoint("spot", SPOT, "/stream", timed=StreamSpec("spot", "btcusdt@kline_1s", frozenset())),
        "usdm-public": Endpoint(
            "usdm-public",
            PERPETUAL,
            "/public/stream",
            timed=StreamSpec("usdm-public", "btcusdt@bookTicker", frozenset()),
        ),
        "usdm-market": Endpoint(
            "usdm-market",
            PERPETUAL,
            "/market/stream",
            timed=StreamSpec("usdm-market", "btcusdt@markPrice@1s", frozenset()),
        ),
    }
    limits: Mapping[str, Limits] = {
        "spot": _SPOT_LIMITS,
        "usdm-public": _PERPETUAL_LIMITS,
        "usdm-market": _PERPETUAL_LIMITS,
    }
    rest_limits: Mapping[str, RestLimits] = {
        rest.POOL[SPOT]: RestLimits(4800, 60.0, "x-mbx-used-weight-1m"),  # of 6000
        rest.POOL[PERPETUAL]: RestLimits(1920, 60.0, "x-mbx-used-weight-1m"),  # of 2400
    }
    book_rules: Mapping[MarketType, BookRules] = {
        SPOT: BookRules(SnapshotSource.REST, Chaining.RANGE, audit=AuditBy.UPDATE_ID),
        PERPETUAL: BookRules(SnapshotSource.REST, Chaining.PREVIOUS, audit=AuditBy.UPDATE_ID),
    }

    def intervals(self, market: MarketType) -> Sequence[str]:
        """All of ours, under the same names."""
        return INTERVALS

    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        if instrument is None:
            return _SPOT_SWEEP if topic.market is SPOT else _PERPETUAL_SWEEP
        # Names may hold letters that are not ASCII; those pass through lower() like the rest.
        name, spot = instrument.native.lower(), topic.market is SPOT
        market = "spot" if spot else "usdm-market"
        if topic.channel is Channel.TRADE:
            return Plan((StreamSpec(market, f"{name}@{'trade' if spot else 'aggTrade'}", _TRADES),), required=_TRADES)
        if topic.channel is Channel.CANDLE:
            return Plan((StreamSpec(market, f"{name}@kline_{topic.interval}", _CANDLE),), required=_CANDLE)
        if topic.channel is Channel.ORDER_BOOK:
            return Plan(
                (StreamSpec("spot" if spot else "usdm-public", _book_stream(instrument.native), _BOOK),), required=_BOOK
            )
        if topic.channel is Channel.LIQUIDATION:
            if spot:
                raise not_served(topic)
            return Plan((StreamSpec(market, f"{name}@forceOrder", _LIQUIDATIONS),), required=_LIQUIDATIONS)
        if topic.channel is Channel.BBO:
            return Plan((_quotes(name, instrument),), required=_QUOTE)
        return _spot_ticker(name, instrument) if spot else _perpetual_ticker(name, topic, instrument)

    def subscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("SUBSCRIBE", names, request_id)

    def unsubscribe(self, endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        return _request("UNSUBSCRIBE", names, request_id)

    def ping(self, endpoint: str, request_id: str) -> bytes | None:
        """None: heartbeats are WebSocket pings of the server."""
        return None

    def reader(self, stream: StreamSpec) -> Reader:
        """By the word after the symbol: ``btcusdt@kline_1m`` -> kline, ``btcusdt@depth@100ms`` -> depth."""
        readers = SPOT_READERS if stream.endpoint == "spot" else PERPETUAL_READERS
        name = stream.name
        kind = name if name.startswith("!") else name.partition("@")[2].partition("@")[0].partition("_")[0]
        if kind not in readers or len(name) > MAX_NAME or (kind.startswith("!") and kind != name):
            raise BadFrame("unknown", f"stream {name[:MAX_NAME]}")
        return readers[kind]

    def sending_time(self, stream: StreamSpec) -> SendingTime | None:
        untimed = stream.endpoint == "spot" and stream.name.endswith("@bookTicker")
        # A liquidation is told up to a second later, and nothing says whether its event time is that of the telling.
        return None if untimed or stream.name.endswith("@forceOrder") else _EVENT_TIME

    def read(self, endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        control = read_control(frame)
        if control.stream == SHUTDOWN:
            return (Restarting(),)  # nobody has subscribed to it
        if control.stream is not None:
            return read_data(readers, control.stream, frame)
        return (Restarting(),) if control.event == "serverShutdown" else (_answer(control),)

    catalogue_requests = staticmethod(catalogue.catalogue_requests)
    snapshot_request = staticmethod(rest.snapshot_request)
    candles_request = staticmethod(rest.candles_request)
    read_candles = staticmethod(rest.read_candles)
    read_poll = staticmethod(polls.read_poll)
    probe_request = staticmethod(rest.probe_request)
    read_probe = staticmethod(rest.read_probe)
    seed_request = staticmethod(rest.quotes_request)
    read_seed = staticmethod(rest.read_quotes)
    rest_error = staticmethod(rest.rest_error)

    def read_catalogue(self, request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        return catalogue.read_catalogue(self.id, request.market, body), None

    def read_snapshot(self, request: RestRequest, body: bytes) -> Depth:
        return rest.read_snapshot(_book_stream(request.native), body)


_SPOT_SWEEP = Plan((StreamSpec("spot", "!miniTicker@arr", _SWEEP, promise=1.0),), required=_SWEEP)
_PERPETUAL_SWEEP = Plan(
    (
        StreamSpec("usdm-market", "!ticker@arr", _SWEEP, promise=2.0),
        StreamSpec("usdm-public", "!bookTicker", _SWEEP, promise=5.0),
    ),
    required=_SWEEP,
)


def _book_stream(native: str) -> str:
    return f"{native.lower()}@depth@100ms"


def _quotes(name: str, instrument: Instrument) -> StreamSpec:
    endpoint = "spot" if instrument.market is SPOT else "usdm-public"
    return StreamSpec(endpoint, f"{name}@bookTicker", _QUOTE, conflate_by="u", seed=instrument.native)


def _spot_ticker(name: str, instrument: Instrument) -> Plan:
    return Plan(
        (
            _quotes(name, instrument),
            StreamSpec("spot", f"{name}@ticker", _DAY, promise=1.0),
        ),
        required=_TICKER,
    )


def _perpetual_ticker(name: str, topic: Topic, instrument: Instrument) -> Plan:
    return Plan(
        (
            _quotes(name, instrument),
            StreamSpec("usdm-market", f"{name}@ticker", _DAY, promise=2.0),
            StreamSpec("usdm-market", f"{name}@markPrice@1s", _MARK, promise=1.0),
        ),
        (
            polls.interest_poll(topic, instrument),
            polls.FUNDING_POLL,
        ),
        required=_TICKER,
    )


# -> {"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth@100ms"],"id":1}
def _request(method: str, names: Sequence[str], request_id: str) -> bytes:
    """The id goes as an integer where it is one: every server of Binance takes that, and strings only newer ones."""
    number = (
        int(request_id)
        if request_id.isascii() and request_id.isdigit() and len(request_id) <= 18 and request_id[0] != "0"
        else None
    )
    return msgspec.json.encode(
        {"method": method, "params": list(names), "id": request_id if number is None else number}
    )


def _answer(control: Control) -> Message:
    request_id = "" if control.id is None else str(control.id)
    if control.error is not None:
        return Ack(request_id, False, f"{control.error.code}: {control.error.msg}")
    if control.code is not None:
        return Ack(request_id, False, f"{control.code}: {control.msg}")
    if control.result is False or control.id is None:
        raise BadFrame("unknown", "neither data nor an answer")
    return Ack(request_id)


VENUE = Binance()
