"""What a venue's author hands to the kit: his venue, and what he knows of its wire, as data."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from cryptodash.core.instruments import Catalogue, Instrument, MarketType
from cryptodash.core.topics import Channel
from cryptodash.exchanges.adapter.messages import Message
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import IVenue


@frozen
class RecordedFrame:
    """One frame that the venue sent; ``time`` is when it came, ms UTC by the recorder's clock, None where not known."""

    raw: bytes
    time: int | None = None


def read_recording(path: Path) -> list[RecordedFrame]:
    """What the venue sent, from a file (``.jsonl``, ``.jsonl.gz``) of one object a line:
    ``{"t": seconds since 1970 or null, "dir": "in" | "out", "raw": "<text of the frame>"}``."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines if line.strip()]
    return [
        RecordedFrame(each["raw"].encode(), None if each["t"] is None else round(each["t"] * 1000))
        for each in records
        if each["dir"] == "in"
    ]


Source = Path | Sequence[bytes] | Callable[[], Iterable[RecordedFrame]]
"""A file for ``read_recording``, the frames themselves, or a function that makes them (of a recording that is in
another form)."""

Text = Path | bytes
"""A REST body, or the file that it is in."""


@frozen
class Recording:
    """Frames of one connection, and what must come of them.

    ``topics`` (``spot:BTC-USDT:order_book:50``, without the exchange) are subscribed to before the first frame; where
    the venue counts the frames of a connection, they must be all that the recording carries. ``snapshots`` are REST
    answers by native name, ``polls`` by path. ``instead`` names recorded streams by those that ``plan`` asks for today
    (``{"btcusdt@depth@100ms": "btcusdt@depth@0ms"}``); their tier and promise are then left aside.

    ``messages`` are all that ``read`` must give, counted by type. ``counts`` are the events by kind, ``events`` all of
    them in order, ``last`` the last by topic (members that are not named may be anything); as ``plain`` writes them.
    ``gaps`` is how often frames of its books are missing.
    """

    name: str
    endpoint: str
    source: Source
    topics: Sequence[str] = ()
    snapshots: Mapping[str, Text] = field(factory=dict)
    polls: Mapping[str, Text] = field(factory=dict)
    instead: Mapping[str, str] = field(factory=dict)
    messages: Mapping[str, int] | None = None
    counts: Mapping[str, int] | None = None
    events: Sequence[Mapping[str, Any]] | None = None
    last: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    gaps: int = 0

    def frames(self) -> list[RecordedFrame]:
        """The frames, in order."""
        source = self.source
        if isinstance(source, Path):
            return read_recording(source)
        if callable(source):
            return list(source())
        return [RecordedFrame(each) for each in source]


@frozen
class Request:
    """A row of the table of requests: what ``subscribe`` (``on``) or ``unsubscribe`` must write for these streams. A
    mapping is compared as JSON, bytes exactly."""

    endpoint: str
    names: Sequence[str]
    frame: bytes | Mapping[str, Any]
    id: str = "1"
    on: bool = True


@frozen
class Answer:
    """A row of the table of answers: what a frame that belongs to the connection says."""

    endpoint: str
    frame: bytes
    messages: Sequence[Message]


@frozen
class Body:
    """A recorded REST body, and the request that it answers. ``rows`` are what it must say: members by the place of the
    instrument, bar or message, for a snapshot at 0; as ``plain`` writes them. ``elements``: by which keys, from the
    root, the object or list of its instruments, bars or rows is found; needed where it is an object."""

    request: RestRequest
    text: Text
    count: int | None = None
    rows: Mapping[int, Mapping[str, Any]] = field(factory=dict)
    elements: Sequence[str] = ()


@frozen
class Refusal:
    """A row of the table of HTTP answers: what ``rest_error`` must say; ``cause`` None where the answer is good.
    ``wait`` is compared where it is given."""

    status: int
    body: bytes
    cause: str | None
    headers: Mapping[str, str] = field(factory=dict)
    wait: float | None = None


@frozen
class Evidence:
    """Everything about one venue. Of each market at least one of the ``instruments`` must be there.

    ``without``: channels that the venue has not, for which ``plan`` raises (``sweep`` is the ticker of a whole market).
    ``computed``: members whose numbers are not the venue's own text (``Stats.change_pct`` from a fraction,
    ``Fill.quantity`` from contracts); sizes of a book are ``Depth.size``.
    """

    venue: IVenue
    instruments: Sequence[Instrument]
    recordings: Sequence[Recording] = ()
    requests: Sequence[Request] = ()
    answers: Sequence[Answer] = ()
    bodies: Sequence[Body] = ()
    refusals: Sequence[Refusal] = ()
    without: frozenset[str] = frozenset()
    computed: frozenset[str] = frozenset()
    seed: int = 1
    """Of the mutations: the same ones each time."""

    def of_market(self, market: MarketType) -> list[Instrument]:
        """The instruments of a market."""
        return [each for each in self.instruments if each.market is market]

    def catalogue(self) -> Catalogue:
        """A catalogue of the instruments."""
        catalogue = Catalogue(self.venue.id)
        for market in self.venue.markets:
            catalogue.replace(market, self.of_market(market))
        return catalogue

    def has(self, channel: Channel | str) -> bool:
        """Whether the venue serves the channel (or ``sweep``)."""
        return str(channel) not in self.without


def text_of(text: Text) -> bytes:
    """The body itself."""
    return text.read_bytes() if isinstance(text, Path) else text
