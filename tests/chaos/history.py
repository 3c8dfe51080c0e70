"""What came of a run, as values: what each client sent and got and when, what was true in the market, what the server
held in memory. The invariants are judged from this alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from attrs import define, field

from tests.chaos.plan import ClientPlan, Plan

Place = tuple[str, str, str]
"""Exchange, market, symbol."""


class Request(NamedTuple):
    """What a client asked for: the op, the names of channels, and the cursors that it gave for some of them."""

    op: str
    names: tuple[str, ...] = ()
    since: Mapping[str, str] = {}


class Event(NamedTuple):
    """Something that happened on a client's connection, at a time (s). ``kind``: ``opened``, ``sent`` (``value`` is
    the ``Request``), ``got`` (``value`` is the message), ``closed`` (``value``: the code the server
    sent, None without one), ``left`` (the client ended it)."""

    at: float
    kind: str
    value: Any


@define
class Connection:
    """One connection of a client, from its opening."""

    client: ClientPlan
    opened: float
    events: list[Event] = field(factory=list)
    frames: list[bytes] = field(factory=list)
    """The text of each message that it got."""
    ended: float | None = None
    """When it was over for the client; None: it was open at the end of the run."""
    stopped_reading: float | None = None
    frozen: float | None = None
    gone: float | None = None
    """When the server had no session for it any more."""


@define
class Bar:
    start: int
    values: tuple[str, ...]
    """Open, high, low, close, volume, as the venue writes them."""


@define
class Tape:
    """One instrument's past, in the order in which it happened. ``steps`` are the virtual seconds of each look at the
    market, ``times`` the venue's time (ms) at each; ``books`` the best levels then: bids and asks, as texts.

    ``quotes``: (virtual s, (bid, ask, bid size, ask size)) from then on. ``trades``: (virtual s, wire id, price, size,
    side, venue time, price of the last fill). ``bars``: (virtual s, bar). ``marks``: (virtual s, mark, index).
    ``leaps``: virtual seconds at which the price went at once past all that a book has to have proven of a side.
    ``said`` makes of a number that a client was told the text that it is compared by.
    """

    place: Place
    said: Callable[[str], str] = str
    steps: list[float] = field(factory=list)
    times: list[int] = field(factory=list)
    books: list[tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = field(factory=list)
    quotes: list[tuple[float, tuple[str, str, str, str]]] = field(factory=list)
    lasts: list[tuple[float, str]] = field(factory=list)
    trades: list[WireTrade] = field(factory=list)
    bars: list[tuple[float, Bar]] = field(factory=list)
    closed: dict[int, tuple[str, ...]] = field(factory=dict)
    empty: dict[int, None] = field(factory=dict)
    """Starts of those that the venue does not have, because nothing was traded."""
    leaps: list[float] = field(factory=list)


class WireTrade(NamedTuple):
    """A trade as clients are to be told. ``at``: virtual seconds."""

    at: float
    id: str
    price: str
    size: str
    side: str
    time: int


@define
class Arrivals:
    """When frames of a venue reached the server: (virtual s, name of the stream), by (exchange, market)."""

    frames: dict[tuple[str, str], dict[str, list[float]]] = field(factory=dict)
    answers: dict[str, list[float]] = field(factory=dict)
    """REST answers, by exchange."""


@define
class Holdings:
    """What the server held: ``samples`` of (virtual s, figures) during the run, ``after`` at its end, when nobody was
    there any more and the linger had passed; ``calls`` that were left when it had stopped."""

    samples: list[tuple[float, Mapping[str, int]]] = field(factory=list)
    after: Mapping[str, int] = field(factory=dict)
    calls: Sequence[str] = ()


class Quality(NamedTuple):
    """A venue's totals in the ledger: the time of all its streams in each state, and what was counted."""

    state_ms: Sequence[int]
    counts: Sequence[int]


@define
class History:
    plan: Plan
    connections: list[Connection] = field(factory=list)
    tapes: dict[Place, Tape] = field(factory=dict)
    arrivals: Arrivals = field(factory=Arrivals)
    holdings: Holdings = field(factory=Holdings)
    ledger: list[tuple[float, Mapping[str, Quality]]] = field(factory=list)
    """(virtual s, by exchange), each second."""
    limits_broken: list[str] = field(factory=list)
    errors: list[str] = field(factory=list)
    """What the server logged as a failure of its own."""
    digest: str = ""
    messages: int = 0
