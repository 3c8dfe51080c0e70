"""What a venue is to the engine: data about its wire, and pure functions between its words and ours.

A venue does no I/O, keeps no state and knows no time. The engine drives it, ``transport`` carries the bytes.
docs/add-an-exchange.md walks through an implementation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen
from zope.interface import Attribute, Interface

from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.book_rules import BookRules
from cryptodash.exchanges.adapter.contract_volumes import ContractVolumes
from cryptodash.exchanges.adapter.messages import BadFrame, Bar, Depth, Message, Reader, Readers, SendingTime
from cryptodash.exchanges.adapter.plan import Plan, RestRequest, StreamSpec


@frozen
class Hosts:
    """Base URLs of one market type, without a path: ``wss://stream.acme.example:9443``, ``https://api.acme.example``."""

    ws: str
    rest: str


@frozen
class Rate:
    """At most ``count`` in any ``per`` seconds."""

    count: int
    per: float


@frozen
class Endpoint:
    """One WebSocket address of a venue: streams of one endpoint can share a connection. The URL is the market's
    ``Hosts.ws`` + ``path``. ``standing``: streams that every connection subscribes to and that belong to no topic (a
    heartbeat without which the venue closes it). ``timed``: a stream whose frames tell, each second or oftener, when
    they were sent; a connection subscribes to it as long as what is wanted of it tells no such times."""

    key: str
    market: MarketType
    path: str
    standing: tuple[StreamSpec, ...] = ()
    timed: StreamSpec | None = None


@frozen
class Limits:
    """The venue's limits per connection of one endpoint, as the engine keeps them (with our margin).

    ``message_gap``: least seconds between two frames we send, pongs included. ``connects``: attempts per venue host,
    every rate at once. ``requests``: subscribe and unsubscribe frames per connection (None: no such limit).
    ``ping_every`` seconds between application pings (None: the venue pings us), ``silent_after`` seconds without any
    frame after which a connection is dead. ``lifetime`` seconds after which the venue cuts a connection (None: never).
    ``max_frame``: bytes of the longest frame it may send us. ``max_request``: bytes of the longest subscribe or
    unsubscribe frame, as the venue writes it; fewer streams share one, and a stream that alone needs more is rejected.
    """

    streams: int
    args_chars: int | None
    args_per_message: int
    message_gap: float
    connects: tuple[Rate, ...]
    ping_every: float | None
    silent_after: float
    lifetime: float | None
    max_connections: int = 50
    requests: Rate | None = None
    max_frame: int = 4 * 1024 * 1024
    max_request: int = 4096


@frozen
class RestLimits:
    """A REST budget: ``weight`` per ``per`` seconds (already with our margin), and the answer header that tells what
    was used (or empty). A venue has one for its address, one per market or one per path, as it counts."""

    weight: int
    per: float
    used_header: str = ""


class IVenue(Interface):
    """One venue: data and pure functions, an object ``VENUE`` in ``venues/<id>/venue.py`` or in another distribution.

    The functions that read may raise whatever decoding raises (``decode.UNREADABLE``); their callers make it one
    ``BadFrame``. One bad element makes the whole frame bad, with two exceptions. Of a list of many instruments or bars
    (a page of the catalogue, bars by REST, the rows of a sweep) an element that cannot be read is left out and said
    (``elements.kept``), and only a list of nothing else is bad. And of the trades or bars of one stream, zeros are left
    out (``elements.nonzero``); a frame of nothing but zeros is bad, which the engine takes for "there is no price yet".
    """

    id: str = Attribute("lower-case id: acme")
    name: str = Attribute("for people: Acme")
    markets: tuple[MarketType, ...] = Attribute("market types")
    hosts: Mapping[MarketType, Hosts] = Attribute("production hosts")
    alternative: Mapping[MarketType, str] = Attribute("what to try where the host is geo-blocked, for a person")
    endpoints: Mapping[str, Endpoint] = Attribute("by key")
    limits: Mapping[str, Limits] = Attribute("by endpoint key")
    rest_limits: Mapping[str, RestLimits] = Attribute("REST budgets by the name of their pool")
    book_rules: Mapping[MarketType, BookRules] = Attribute("how books are put together")
    data_prefix: bytes = Attribute(
        "how data frames begin, up to the name of their stream: such frames go straight to the stream's reader. "
        "Empty where frames do not begin so, or where connections count their frames (``Sequenced``)"
    )
    name_end: bytes = Attribute("what follows the stream's name in such a frame")

    def intervals(market: MarketType) -> Sequence[str]:
        """The candle intervals that ``plan`` can serve, in our names."""

    def plan(topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        """The streams and polls that carry ``topic`` (an upstream topic: order books without depth; ``depth`` is then
        the largest depth watched, which chooses a tier). ``instrument`` is None only for a sweep. A candle topic may be
        planned on a trade stream: its bars are then built from trades. Raises ``UpstreamError("rejected", ...)`` where
        the venue cannot serve the topic."""

    def subscribe(endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        """One frame that subscribes these streams (the caller keeps to ``Limits`` and ``StreamSpec.batch``)."""

    def unsubscribe(endpoint: str, names: Sequence[str], request_id: str) -> bytes:
        """One frame that ends these streams."""

    def ping(endpoint: str, request_id: str) -> bytes | None:
        """The application-level heartbeat frame, None where the venue has none."""

    def reader(stream: StreamSpec) -> Reader:
        """How the frames of this stream are read. Raises ``BadFrame`` for a name that is none of the venue's."""

    def sending_time(stream: StreamSpec) -> SendingTime | None:
        """How the frames of this stream tell when the venue sent them; None for a channel that does not. Only a time
        that is written at sending will do: not that of a trade or of a bar, and of no frame that shows an old state
        (a snapshot, one that is sent again). From it comes how late the venue runs."""

    def read(endpoint: str, frame: bytes, readers: Readers) -> Sequence[Message]:
        """What a frame says, in order. Data is read with the reader of its stream out of ``readers``; where there is
        none for it, it is ``Unwanted``."""

    def catalogue_requests(market: MarketType) -> Sequence[RestRequest]:
        """The first page(s) of the catalogue. The first of them must be had; each further one is a list for itself, and
        while the venue refuses it (``rejected``) the catalogue goes without: what it held before stays as it was. One
        that holds traded volumes says so (``RestRequest.volumes``); it may lack whatever it fails of."""

    def read_catalogue(
        request: RestRequest, body: bytes
    ) -> tuple[Sequence[Instrument | ContractVolumes], RestRequest | None]:
        """Instruments of one page and the request of the next. Perpetuals come from the venue's own perpetual
        catalogue. Where sizes are in contracts one list may hold traded volumes, which have to bear the sizes out."""

    def snapshot_request(topic: Topic, instrument: Instrument, levels: int) -> RestRequest | None:
        """The cheapest REST snapshot of a book with so many levels a side, or the largest there is; None where the
        venue has none. ``limit`` is what it asks for. Where whole books come from the stream alone it serves
        ``BookRules.audit``, and is None without that."""

    def read_snapshot(request: RestRequest, body: bytes) -> Depth:
        """The snapshot."""

    def candles_request(topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        """Bars up to ``end_ms`` (open time; None: now, see ``RestRequest.needs_end``)."""

    def read_candles(request: RestRequest, body: bytes) -> Sequence[Bar]:
        """The bars of an answer, in any order; whether one is closed is for the caller to judge."""

    def read_poll(request: RestRequest, body: bytes) -> Sequence[Message]:
        """What a poll's answer says."""

    def seed_request(market: MarketType, seeds: Sequence[str]) -> RestRequest | None:
        """One request for what streams with these ``StreamSpec.seed`` (at most 100) would have said last; None where
        no stream of the venue's has one."""

    def read_seed(request: RestRequest, body: bytes) -> Sequence[tuple[str, Message]]:
        """(seed, what its stream would have said last). It may hold more than was asked for."""

    def probe_request(market: MarketType) -> RestRequest:
        """The cheapest request that shows that the venue answers (its time)."""

    def read_probe(request: RestRequest, body: bytes) -> int | None:
        """The venue's time (ms) in the answer to a ``probe_request``; None where it says whole seconds only."""

    def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str, float | None] | None:
        """None if the answer is good, else (cause or "" for a plain failure, message,
        seconds to wait if the venue said or documents them).

        Cause ``blocked`` for 451 and 403, ``banned`` for 429 and whatever else the venue documents as a ban or a limit,
        ``rejected`` for an unknown symbol or parameter, ``maintenance`` where the venue says so. A 403 that is no
        answer of the API's (``decode.firewall_refusal``) and no ban that the venue documents is waited out by the
        callers, for minutes and longer each time. Header names come in lower case. A refused WebSocket handshake is
        asked about as well, with its status alone."""


class NoSeeds:
    """For a venue each of whose streams begins with what holds now."""

    def seed_request(self, market: MarketType, seeds: Sequence[str]) -> RestRequest | None:
        return None

    def read_seed(self, request: RestRequest, body: bytes) -> Sequence[tuple[str, Message]]:
        return ()


class SnapshotsInStream:
    """For a venue whose books begin with a snapshot in their stream, and whose REST snapshot has nothing that would
    join it to the stream."""

    def snapshot_request(self, topic: Topic, instrument: Instrument, levels: int) -> RestRequest | None:
        return None

    def read_snapshot(self, request: RestRequest, body: bytes) -> Depth:
        raise BadFrame("unknown", "snapshots come in the stream")
