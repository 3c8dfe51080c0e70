"""What the hub is to everything behind it: a directory of the venues, demand for topics, values of topics.

All that crosses here is a value (a frozen object, a tuple, bytes), never a live object of a venue's room, so that
venues of another process, or a recording, can stand in its place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Final, Protocol

from attrs import frozen
from msgspec import Struct
from zope.interface import Attribute, Interface

from cryptodash.core.cursors import Cursor
from cryptodash.core.events import Candle, Event, StreamStatus, Ticker, Trade
from cryptodash.core.instruments import Instrument, MarketType
from cryptodash.core.interfaces import ClusterReport, ExchangeReport, StreamReport
from cryptodash.core.steps import Steps
from cryptodash.core.topics import Topic
from cryptodash.hub.composite import CompositeBbo
from cryptodash.hub.state_history import MOST_RUNS
from cryptodash.hub.stream_record import StreamQuality, VenueQuality


class Message(Struct, frozen=True, gc=False, eq=False):
    """One server message, encoded once for everybody: ``body`` is the whole JSON text ``{"type":...,"payload":...}``.

    ``key`` tells what it replaces when a client is too slow: messages with the same key in one subscription are
    conflated to the newest (ticker, best bid and offer and book: the topic; candle: topic and open time; sweep: the
    instrument's topic), None means lossless as far as possible (trades, liquidations). ``kind`` is the wire's type.
    """

    topic: Topic
    kind: str
    body: bytes
    key: object | None
    count: int = 1
    """For metrics: a ``Batch`` stands for several."""
    urgent: bool = False
    """It takes back what was said before, as a status that gets worse: no rate holds it up."""


class Batch(Struct, frozen=True, gc=False, eq=False):
    """One sweep's messages; each message's ``topic`` is its instrument's own ticker topic, ``topic`` the sweep's."""

    topic: Topic
    messages: Sequence[Message]

    @property
    def kind(self) -> str:
        return "ticker"

    @property
    def count(self) -> int:
        return len(self.messages)


class IOutlet(Interface):
    """Somebody who gets messages: a cohort of fast clients, or one slow one."""

    def deliver(message: Message) -> None:
        """Take one message; only append, no I/O here."""

    def deliver_sweep(batch: Batch) -> None:
        """Take one sweep's messages."""

    def failed() -> None:
        """One of the two raised: the outlet has been taken out, for what follows would not fit what it missed."""


@frozen
class CatalogueSnapshot:
    """The instruments of one venue as its catalogue lists them now; ``version`` grows with every change.
    ``not_listed``: what else the venue's catalogue holds: market, the venue's name, and why it is not listed."""

    version: int
    instruments: Sequence[Instrument]
    not_listed: tuple[tuple[MarketType, str, str], ...] = ()


class IDirectory(Interface):
    """Which venues there are, what they trade, and how they are. ``exchange`` is the id of an enabled one."""

    book_depth_default: int = Attribute("BOOK_DEPTH_DEFAULT")
    on_unknown: list[Callable[[Topic], None]] = Attribute(
        "called with each topic accepted before its catalogue came, which then lacks it"
    )

    def exchanges() -> tuple[str, ...]:
        """The ids of the enabled venues."""

    def markets(exchange: str) -> tuple[MarketType, ...]:
        """The market types it trades."""

    def candle_intervals(exchange: str, market: MarketType) -> tuple[str, ...]:
        """The candle intervals it has, in our names."""

    def source(exchange: str) -> str:
        """Where its values come from: ``live``, ``simulated``, ``replay`` or ``custom``."""

    def resolve(
        exchange: object, market: object, channel: object, symbol: object, depth: object = None, interval: object = None
    ) -> Topic:
        """The topic a client means; every argument is what came from its JSON or query (None: left out).

        Raises ``Refused``: ``unknown_exchange``, ``unknown_channel``, ``invalid_market``, ``invalid_symbol``,
        ``ambiguous_symbol``, ``unknown_symbol``, ``invalid_interval``, ``unsupported_interval``, ``invalid_depth``,
        ``too_many_depths``, ``not_yet_known``.
        """

    def instruments(exchange: str) -> CatalogueSnapshot:
        """What it trades: the same object until the catalogue changes."""

    def unknown_topics() -> tuple[str, ...]:
        """Topics of ``SYMBOLS`` of no one venue whose symbol none has; a venue's own are in its report."""

    def survey() -> Steps[int]:
        """Look at every stream of every venue, a quick step at a time; ``exchange_reports``, and what the metrics
        count, rest on it for a while (``survey_validity``). Without it they look themselves, at all streams at once.
        The outcome is how many there are."""

    def cluster_report() -> ClusterReport | None:
        """What this process is in its cluster; None where it works alone."""

    def exchange_reports() -> tuple[ExchangeReport, ...]:
        """The state of every venue."""

    def stream_reports() -> Iterator[Sequence[StreamReport]]:
        """Every upstream stream of every venue, a few at a time, perhaps none: each step is quick. What changes
        meanwhile is shown as it was or as it is."""

    async def refresh_catalogue(exchange: str) -> int:
        """Read its catalogue again; returns how many instruments it has now. Raises ``UpstreamError``."""


class IDemand(Interface):
    """Who wants what. ``interval`` is the publishing interval in ms of the view of an order book that is wanted;
    0 for everything but order books, and for one that is to
    be at hand although nobody looks at it yet."""

    def for_client(client: str, address: str) -> IDemand:
        """The same on behalf of a client at an address (its group, for IPv6): new topics of it are rationed, while
        those of the server itself are opened at once. A client releases what it held by the same name."""

    def view_interval(topic: Topic, max_rate: float | None) -> int:
        """The publishing interval a subscription gets: 0 unless ``topic`` is an order book."""

    def hold(topic: Topic, interval: int) -> None:
        """Count one more who wants the topic at this interval; the first one starts it upstream, now or when it may
        be opened (its status is ``connecting(capacity)`` until then). Raises ``Refused``
        ``rate_limited`` where too much waits already."""

    def release(topic: Topic, interval: int) -> None:
        """Count one less; the last one's leaving ends the topic upstream after the linger, with its cached value."""

    def clients_of(topic: Topic) -> int:
        """How many hold the topic or, for an upstream book topic, any depth of it."""


class IReplay(Interface):
    """A reader of what was told of a topic: read it until nothing is left and nothing more comes, and go on with what
    is delivered from then on."""

    outcome: str = Attribute(
        "how far back it reaches: ``complete``, ``recorded`` (by the recording), ``expired``; empty while nobody knows"
    )
    left: int = Attribute("how much there is to read now")
    is_waiting: bool = Attribute("whether more comes although nothing is left now; ``on_ready`` is called then")
    on_ready: Callable[[], object] | None = Attribute("set by who reads; may be called although there is nothing new")

    def read(limit: int) -> Sequence[Message]:
        """The next ones, oldest first, at most so many, marked ``replayed``; where older ones are not kept any more a
        ``gap`` before them, which does not count."""

    def close() -> None:
        """Nothing more is wanted. Fine at any time, and more than once."""


class PastAnswer(Protocol):
    """What a recording has behind a cursor, pulled: no more of it is in memory than what was asked for."""

    def more(self) -> Awaitable[Sequence[bytes | None]]:
        """The next messages as they were sent, oldest first, None where some are or may be missing; in the end none at
        all. Raises ``Refused``: ``not_recorded`` where the recording does not reach back to the cursor, and others
        where it cannot be read."""

    def cancel(self) -> None:
        """Nothing more is wanted. Fine at any time, and more than once."""


class IPast(Protocol):
    """The recording, for clients that come back."""

    def after(self, topic: Topic, cursor: Cursor, client: str) -> PastAnswer:
        """What was told of a topic behind the message of that cursor. ``client`` is who is charged with it. Raises
        ``Refused`` where too much is being read already."""


class IValues(Interface):
    """What is known of a topic, and how fresh it is. ``interval`` is that of the view, as held."""

    def attach(outlet: IOutlet, topic: Topic, interval: int) -> None:
        """Deliver the topic's values and statuses (of that view, for a book) to the outlet from now on."""

    def detach(outlet: IOutlet, topic: Topic, interval: int) -> None:
        """No more."""

    def status(topic: Topic) -> Message:
        """The topic's status now."""

    def current(topic: Topic, interval: int) -> Sequence[Message]:
        """What a new subscriber gets at once after its status: the latest ticker; up to 50 recent trades marked
        ``replayed``; the running candle; the view as last published; a sweep's known tickers. Empty while nothing is
        known, and for a value that is not to be shown as current."""

    def replay(topic: Topic, cursor: Cursor, client: str = "") -> IReplay:
        """What was told of a wanted topic after the event of the cursor: trades and liquidations with their gaps,
        closed bars; from the recording where that reaches further back. ``client``: the address that is charged."""

    def ticker(topic: Topic) -> Ticker | None:
        """The latest ticker."""

    def composite(topic: Topic, exchanges: frozenset[str] | None) -> CompositeBbo | None:
        """The composite best bid and offer as it is now, of these venues only where some are named; None for a topic
        that is not wanted."""

    def constituents(topic: Topic) -> Collection[str]:
        """The venues that a composite topic is made of: they list the symbol, or their catalogue was not read yet."""

    def trades(topic: Topic, limit: int) -> Sequence[Trade]:
        """Latest trades, oldest first."""

    def stream_status(topic: Topic) -> StreamStatus:
        """The status as a value (``connecting`` where nothing is known)."""

    def age_ms(topic: Topic) -> int | None:
        """Milliseconds since the topic's value was last confirmed."""

    async def candles(topic: Topic, limit: int, end_ms: int | None, client: str) -> tuple[Sequence[Candle], bool]:
        """Bars, oldest first and one per open time, and whether they came from the cache. Concurrent callers share one
        upstream request. It is charged to the first of them, ``client`` (an address, or what stands for a group of
        addresses): what it may use of a venue's budget is bounded. Raises ``UpstreamError``, and ``TryLater``
        ``rate_limited`` for a client over its share."""

    async def first_value(topic: Topic, interval: int, timeout: float) -> bool:
        """Wait until ``current`` has something to give; False after ``timeout`` seconds. The caller holds the topic."""


MOST_OF_A_STATE: Final = 1_000
"""Kept events of a topic that ``IStates.state`` tells."""


class IStates(Interface):
    """What is known of a topic as events, for another process's hub."""

    def state(topic: Topic, interval: int, since: Cursor | None = None) -> tuple[Sequence[Event], Sequence[Event]]:
        """What was told of a topic whose events are kept (``IInlet.recent`` of the other hub takes it), and its present
        values with the status behind them. ``interval`` as held; ``since``: from the event of that cursor on, which
        comes first; all that is kept where it is not."""

    def last_events(topic: Topic, limit: int) -> Sequence[Event]:
        """The newest of what is known, oldest first: trades, liquidations or closed bars that were told, the one ticker
        or quote; nothing of a book."""


class IQuality(Interface):
    """How every upstream stream has done (``hub/ledger.py``)."""

    def stream_quality(
        exchange: str | None = None, most_runs: int = MOST_RUNS
    ) -> Iterator[StreamQuality | VenueQuality]:
        """Every stream of one venue, or of all, one at a time, and after those of each venue its totals. Of a stream
        with more than ``most_runs`` the older ones are merged."""

    def streams(exchange: str | None = None) -> int:
        """How many streams that are."""
