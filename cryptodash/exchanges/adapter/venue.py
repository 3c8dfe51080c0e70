"""What a venue is to the rest of this room: data about its wire, and pure functions between its words and ours.

A venue does no I/O, keeps no state and knows no time. Engine (``engine.py``) drives it;
``feed.py`` and ``rest.py`` carry bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from attrs import field, frozen
from zope.interface import Attribute, Interface

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.messages import Bar, Depth, Message, Reader


class Part(str, enum.Enum):
    """What a stream contributes to a topic."""

    QUOTE = "quote"
    LAST = "last"
    STATS = "stats"
    MARK = "mark"
    INTEREST = "interest"
    TRADES = "trades"
    BOOK = "book"
    CANDLE = "candle"
    SWEEP = "sweep"

    def __str__(self) -> str:
        return self.value


@frozen
class Hosts:
    """Base URLs of one market type, without a path: ``wss://stream.binance.com:9443``, ``https://api.binance.com``."""

    ws: str
    rest: str


@frozen
class Endpoint:
    """One WebSocket address of a venue: streams of one endpoint can share a connection.
    The URL is the market's ``Hosts.ws`` + ``path``."""

    key: str
    market: MarketType
    path: str


@frozen
class Limits:
    """The venue's limits per connection of one endpoint, as the planner and the pacing keep them (with our margin).

    ``message_gap``: least seconds between two frames we send. ``connects_per_5min`` counts per venue host.
    ``ping_every`` seconds between application pings (None: the venue pings us), ``silent_after`` seconds without any
    frame after which a connection is dead. ``lifetime`` seconds after which the venue cuts a connection (None: never).
    """

    streams: int
    args_chars: int | None
    args_per_message: int
    message_gap: float
    connects_per_5min: int
    ping_every: float | None
    silent_after: float
    lifetime: float | None
    max_connections: int = 50


@frozen
class StreamSpec:
    """One upstream stream that a topic needs.

    ``promise``: the venue sends at least one frame in so many seconds (None: no promise). ``depth``: levels a side that
    a book stream holds (its tier), where it holds no more than that.
    """

    endpoint: str
    name: str
    parts: frozenset[Part]
    promise: float | None = None
    depth: int | None = None


@frozen
class Poll:
    """A REST request that stands in for a stream: repeated every ``every`` seconds while the topic is wanted; its
    answer is read as messages."""

    request: RestRequest
    every: float
    parts: frozenset[Part]


class Purpose(str, enum.Enum):
    """Why a REST request is made; decides its priority and who reads the answer."""

    CATALOGUE = "catalogue"
    SNAPSHOT = "snapshot"
    CANDLES = "candles"
    POLL = "poll"
    PROBE = "probe"


@frozen
class RestRequest:
    """One GET. The URL is the market's ``Hosts.rest`` + ``path``; ``weight`` in the venue's own budget unit."""

    purpose: Purpose
    market: MarketType
    path: str
    params: tuple[tuple[str, str], ...] = ()
    weight: int = 1
    topic: Topic | None = None
    native: str = ""
    limit: int = 0


@frozen
class RestLimits:
    """A REST budget: ``weight`` per ``per`` seconds (already with our margin), and the answer header
    that tells what was used (or empty).

    Market types with the same ``pool`` share one budget.
    """

    pool: str
    weight: int
    per: float
    used_header: str = ""


@frozen
class Plan:
    """Everything a topic needs of its venue. ``required``: the parts whose freshness decides the topic's state."""

    streams: tuple[StreamSpec, ...]
    polls: tuple[Poll, ...] = ()
    required: frozenset[Part] = field(default=frozenset())


class BookRule(str, enum.Enum):
    """How a venue's book frames chain (see ``book.py``).

    ``RANGE``: REST snapshot, then ``U == previous u + 1`` (Binance spot). ``CHAIN``: REST snapshot, then ``pu ==
    previous u`` (Binance USD-M). ``COUNTER``: snapshots come in the stream, then ``u == last +
    1``; a snapshot at any time replaces (Bybit).
    """

    RANGE = "range"
    CHAIN = "chain"
    COUNTER = "counter"


class IVenue(Interface):
    """One venue: data and pure functions. An implementation is a module ``cryptodash/exchanges/<id>.py``
    with ``VENUE = ThatClass()``."""

    id: str = Attribute("lower-case id: binance")
    name: str = Attribute("for people: Binance")
    markets: tuple[MarketType, ...] = Attribute("market types")
    hosts: Mapping[MarketType, Hosts] = Attribute("production hosts")
    alternative: Mapping[MarketType, str] = Attribute("what to try where the host is geo-blocked, for a person")
    endpoints: Mapping[str, Endpoint] = Attribute("by key")
    limits: Mapping[str, Limits] = Attribute("by endpoint key")
    rest_limits: Mapping[MarketType, RestLimits] = Attribute("REST budgets")
    book_rule: Mapping[MarketType, BookRule] = Attribute("how book frames chain")
    simulated: bool = Attribute("whether the simulator speaks this venue")
    mark: bytes = Attribute(
        "how data frames begin, up to the name of their stream, "
        "which ends at the next quote: such frames go straight to the stream's ``reader``; "
        "empty where frames do not tell their stream that way"
    )

    def intervals(market: MarketType) -> Sequence[str]:
        """The candle intervals it has, in our names."""

    def plan(topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        """The streams and polls that carry ``topic`` (an upstream topic: order books without depth; ``depth`` is then
        the largest depth watched, which chooses a tier). ``instrument`` is None only for a sweep."""

    def subscribe(endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        """One frame that subscribes these streams (the caller keeps to ``Limits``)."""

    def unsubscribe(endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        """One frame that ends these streams."""

    def ping(endpoint: str, request_id: str) -> bytes | None:
        """The application-level heartbeat frame, None where the venue has none."""

    def reader(endpoint: str, name: str) -> Reader:
        """How the frames of this stream are read: ``read`` without its search.
        Raises ``BadFrame`` for a name that is none of the venue's."""

    def read(endpoint: str, frame: bytes) -> Sequence[Message]:
        """What a frame says, in order. Raises ``BadFrame``. One bad element makes the whole frame bad."""

    def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
        """The first page(s) of the catalogue."""

    def read_catalogue(request: RestRequest, body: bytes) -> tuple[Sequence[Instrument], RestRequest | None]:
        """Instruments of one page and the request of the next. Perpetuals come from the venue's own perpetual
        catalogue. Raises ``BadFrame``."""

    def snapshot_request(topic: Topic, instrument: Instrument, depth: int) -> RestRequest | None:
        """The REST snapshot for a book that must show ``depth`` levels; None where snapshots come in the stream.
        ``limit`` is what it asks for."""

    def read_snapshot(request: RestRequest, body: bytes) -> Depth:
        """The snapshot. Raises ``BadFrame``."""

    def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        """Bars up to ``end_ms`` (open time; None: now)."""

    def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
        """The bars of an answer, in any order; whether one is closed is for the caller to judge. Raises
        ``BadFrame``."""

    def read_poll(request: RestRequest, body: bytes) -> Sequence[Message]:
        """What a poll's answer says. Raises ``BadFrame``."""

    def probe_request(market: MarketType) -> RestRequest:
        """The cheapest request that shows that the venue answers (its time)."""

    def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
        """None if the answer is good, else (cause or "" for a plain failure, message,
        seconds to wait if the venue said or documents them).

        Cause ``blocked`` for 451 and geographic 403, ``banned`` for 418 and 429 and documented rate-limit 403s,
        ``rejected`` for an unknown symbol or parameter, ``maintenance`` where the venue says so.
        Header names come in lower case."""
