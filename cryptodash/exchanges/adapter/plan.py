"""What a topic needs of its venue: streams to subscribe to, requests to repeat, and requests made once."""

from __future__ import annotations

import enum

from attrs import field, frozen

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.topics import Topic


class Part(str, enum.Enum):
    """What a stream contributes to a topic."""

    QUOTE = "quote"
    LAST = "last"
    STATS = "stats"
    MARK = "mark"
    INTEREST = "interest"
    FUNDING = "funding"
    TRADES = "trades"
    LIQUIDATIONS = "liquidations"
    BOOK = "book"
    CANDLE = "candle"
    SWEEP = "sweep"

    def __str__(self) -> str:
        return self.value


@frozen
class StreamSpec:
    """One upstream stream: what a topic needs of its venue, or what every connection of an endpoint carries.

    ``name`` is the venue's own, unique within the endpoint; ``subscribe`` and ``unsubscribe`` are given no more than
    that, so it holds whatever they have to repeat (an interval, a depth). ``promise``: the venue sends at least one
    frame in so many seconds (None: no promise). ``depth``: levels a side that a book stream holds, where it holds no
    more than that. ``instrument``: for a reader that must know it (a contract's size, say).

    ``batch``: only streams of the same batch are asked for in one frame (venues that take one channel per frame).
    ``argument``: how the venue's answers name it, where not by the whole name (``Ack.argument``).
    ``exclusive``: two streams with the same text here never share a connection (two depths of one symbol). ``seed``:
    for a stream that sends only changes, what ``IVenue.seed_request`` is to ask for, so that something is known before
    the first of them (the native name, usually).

    ``conflate_by``: for a stream of which each frame is one ``Quote`` and nothing else, the member that holds its
    ``update_id``, a whole number. While its connection is behind, a frame is then skipped for a later one with a larger
    number: a quote is a full replacement, so the later one says all that it said. Never for anything else: a trade, a
    bar, a change of a book or of some figures is said once.

    ``keeps_hours`` is not for a venue to say: the instrument's market may be thin for hours (``Instrument``), so that
    the pace of busier ones says nothing of a silence.
    """

    endpoint: str
    name: str
    parts: frozenset[Part]
    promise: float | None = None
    depth: int | None = None
    instrument: Instrument | None = None
    batch: str = ""
    argument: str = ""
    exclusive: str = ""
    seed: str = ""
    conflate_by: str = ""
    keeps_hours: bool = False


class Purpose(str, enum.Enum):
    """Why a REST request is made; decides its priority and who reads the answer."""

    CATALOGUE = "catalogue"
    SNAPSHOT = "snapshot"
    CANDLES = "candles"
    POLL = "poll"
    PROBE = "probe"
    SEED = "seed"
    AUDIT = "audit"


@frozen
class RestRequest:
    """One GET. The URL is the market's ``Hosts.rest`` + ``path``; ``pool`` names the budget that pays for it (a key of
    ``IVenue.rest_limits``), ``weight`` is in that budget's unit. ``instrument``: for a reader of the answer that must
    know it (a contract's size, say). ``needs_end``: bars up to now are asked for of a venue that has to be told when
    that is; whoever makes the request asks ``candles_request`` once more, with the venue's time as ``end_ms``.
    ``volumes``: a list of the catalogue that holds ``ContractVolumes`` and no instruments."""

    purpose: Purpose
    market: MarketType
    path: str
    params: tuple[tuple[str, str], ...] = ()
    weight: int = 1
    topic: Topic | None = None
    native: str = ""
    limit: int = 0
    pool: str = ""
    instrument: Instrument | None = None
    needs_end: bool = False
    volumes: bool = False


@frozen
class Poll:
    """A REST request that stands in for a stream: repeated every ``every`` seconds while the topic is wanted; its
    answer is read as messages. ``kept``: many topics share it (a table of a whole market that changes rarely), and who
    comes between two answers is given the last one."""

    request: RestRequest
    every: float
    parts: frozenset[Part]
    kept: bool = False


@frozen
class Plan:
    """Everything a topic needs of its venue. ``required``: the parts whose freshness decides the topic's state."""

    streams: tuple[StreamSpec, ...]
    polls: tuple[Poll, ...] = ()
    required: frozenset[Part] = field(default=frozenset())


def not_served(topic: Topic) -> UpstreamError:
    """What a ``plan`` raises for a channel that the venue, or this market of it, has not."""
    return UpstreamError("rejected", f"{topic.exchange} {topic.market} has no {topic.channel}")
