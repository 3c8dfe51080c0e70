"""The seams between the rooms. The hub implements ``IInlet`` and uses ``IUpstream``;
``exchanges`` the other way round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

from attrs import field, frozen
from zope.interface import Attribute, Interface

from cryptodash.core.checkpoints import ICheckpointSource
from cryptodash.core.events import Candle, Cause, Event, State
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.quality import Loss
from cryptodash.core.steps import Steps
from cryptodash.core.topics import Topic


@frozen
class StreamReport:
    """One upstream stream as ``/api/streams`` shows it. ``age`` is seconds since the last frame
    that confirmed its value."""

    exchange: str
    name: str
    connection: str
    topics: tuple[Topic, ...]
    state: State
    cause: Cause | None
    age: float | None
    rate: float
    sequence: int | None
    gaps: int
    resyncs: int
    delay_ms: int | None = None
    """How late its frames come, beyond the quickest way; None where that is not known."""
    delay_p50_ms: int | None = None
    delay_p99_ms: int | None = None
    """Of the last 64 samples."""
    endpoint: str = ""
    """Which of the venue's addresses it comes by: with ``name`` it says which stream it is."""
    degraded: Loss | None = None
    """The first loss of its data that could not be mended."""
    audits: int = 0
    """How often the book made from it was compared with a REST snapshot of it, ..."""
    divergences: int = 0
    """... and how often it was not the venue's."""
    disputed: bool = False
    """Whether that was so again after a rebuild."""


@frozen
class ExchangeReport:
    """One venue as ``/api/exchanges``, ``/ready`` and the metrics show it.

    ``status`` is ``online``, ``degraded``, ``offline`` or ``maintenance`` and follows the data, not the sockets.
    ``idle``: nothing is wanted of it; it is then ``online`` only if its last catalogue or time probe succeeded.
    ``reason`` says more than ``cause`` to a person (which host was refused, which alternative there is).
    ``last_message`` is seconds ago.
    """

    exchange: str
    name: str
    status: str
    idle: bool
    cause: Cause | None
    reason: str
    source: str
    ws_url: str
    rest_url: str
    rate_limits: dict[str, object]
    connections: int
    streams: int
    good_streams: int
    last_message: float | None
    unknown_topics: tuple[str, ...] = field(default=())
    """Topics of ``SYMBOLS`` that the catalogue does not know."""
    clock_ahead_ms: int | None = None
    """By how much at least the venue's clock is ahead of our wall clock, as its answers prove; None: not known."""
    process: str = ""
    """Which process of the cluster has it open; empty without a cluster, or while nobody is heard of."""


@frozen
class ClusterReport:
    """What this process is in its cluster. ``trouble`` says why nothing comes from the other processes, empty where all
    is well; ``holds``: the venues that it has opened for all; ``processes``: how many there are, this one counted;
    ``lag_ms``: how late what others have open comes by Redis, beyond the quickest way."""

    process: str
    role: str
    holds: tuple[str, ...]
    trouble: str
    processes: int = 1
    lag_ms: int | None = None


@frozen
class RecordingReport:
    """How the recording does. ``trouble``: why nothing is written now, empty where all is well; ``topics`` that are
    recorded; ``lost_blocks`` since the start: what they held is a hole on the tape."""

    trouble: str
    topics: int
    lost_blocks: int


def survey_validity(streams: int) -> float:
    """Seconds for which a look at so many streams is rested on: a few are looked at again at once, which costs nothing,
    500 and more once a second."""
    return min(1.0, (streams / 500) ** 2)


@frozen
class RequestCost:
    """What a request costs a venue's REST budget: ``weight`` of the ``budget`` that ``pool`` allows in ``per``
    seconds."""

    pool: str
    weight: int
    budget: int
    per: float


class IInlet(Interface):
    """Where events enter the hub: the same for venues of this process and for a remote source."""

    def publish(event: Event) -> None:
        """Take one event. Never blocks, never raises for what the event holds."""

    def catalogue_changed(exchange: str, market: MarketType) -> None:
        """The venue's catalogue was read (again): topics accepted on trust are checked now."""


class IRemoteInlet(IInlet):
    """The same for what another process has published already."""

    def recent(topic: Topic, events: Sequence[Event]) -> None:
        """Take what was told of a topic before, or elsewhere, oldest first: trades, liquidations, closed bars and gaps
        that nobody here knows yet. Who listens is told them as ``replayed``."""


class ITopicSource(Interface):
    """What brings topics: a venue, or what is derived from venues."""

    exchange: str = Attribute("its id, the exchange of its topics")
    source: str = Attribute("live, simulated, replay or custom")
    markets: tuple[MarketType, ...] = Attribute("market types it trades")
    catalogue: Catalogue = Attribute("its instruments; the same object for the life of the server")

    def intervals(market: MarketType) -> Sequence[str]:
        """The candle intervals it has, in our names."""

    def want(topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
        """Start streaming these (order books by their depth); a topic wanted already is no news.
        Answers come through the inlet. ``clients`` as in ``held``."""

    def drop(topics: Iterable[Topic]) -> None:
        """Stop streaming these."""

    def held(topic: Topic, clients: Sequence[str] | None) -> None:
        """Who holds the wanted order book ``topic`` (with its depth) now: a few of the clients that take turns for what
        the venue gives out sparingly; None: nobody, it lingers and costs the venue no more than its stream."""

    def streams_of(topic: Topic) -> int | None:
        """How many streams and polls the topic needs at the venue; None where that is not known yet."""

    def pace(topic: Topic, intervals: Sequence[int]) -> None:
        """Publish the wanted order book ``topic`` (with its depth) as a ``BookView`` at most every so many ms, at each
        of these intervals and no others; at one that is new at once, if the book can be shown. Empty: nobody looks."""

    def confirmed_at(topic: Topic) -> float | None:
        """Monotonic time at which the topic's value was last confirmed by a frame; None before the first."""

    def as_of(topic: Topic) -> float | None:
        """Monotonic time for which the value of a live or quiet topic holds: when its connection last brought a frame
        of whatever stream, less the delay of its own frames; None before its first value."""


class IUpstream(ITopicSource):
    """One venue, as the hub sees it."""

    def streams() -> Iterator[Sequence[StreamReport]]:
        """Every upstream stream, a few at a time, perhaps none: each step is quick."""

    def survey() -> Steps[int]:
        """Look at every stream, a quick step at a time; ``report`` rests on it for a while (``survey_validity``).
        The outcome is how many there are."""

    def report() -> ExchangeReport:
        """The venue's state."""

    def candles_cost(topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        """What ``candles`` with these arguments will cost. Raises ``UpstreamError``."""

    async def candles(topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        """Up to ``limit`` bars before or at ``end_ms`` (open time), oldest first, one per open time.
        Raises ``UpstreamError``."""

    async def refresh_catalogue() -> int:
        """Read the catalogue again; returns how many instruments it has now. Raises ``UpstreamError``."""


class IFrameTap(Interface):
    """Is told all that crosses between a venue and us. Nothing here blocks or raises."""

    def connecting(connection: str, market: MarketType, origin: str) -> None:
        """A connection to this host is being opened, for streams of this market."""

    def received(connection: str, frames: Sequence[bytes]) -> None:
        """Text frames came, as many as came at once."""

    def dealing_with(
        take: Callable[[str, Sequence[bytes]], None],
    ) -> Callable[[str, Sequence[bytes]], None]:
        """What to call in place of ``take``, by which text frames of a connection are dealt with at once: it tells of
        them first, and whatever is published until it returns comes of them."""

    def sent(connection: str, frame: bytes) -> None:
        """A text frame of ours is on its way."""

    def closed(connection: str, why: str) -> None:
        """The connection has ended, or was never open."""

    def answered(market: MarketType, purpose: str, url: str, body: bytes) -> None:
        """A REST answer came; ``url`` is path and query."""

    def opened_by(source: ICheckpointSource) -> None:
        """Whom to ask for what is known of the venue besides."""


class ILocalVenue(IUpstream):
    """A venue that is open while it is started."""

    def startService() -> None:
        """Open it: nothing is wanted of it yet."""

    def stopService() -> Awaitable[None]:
        """Close it for good; fires when every connection is closed."""


@frozen
class PeerReports:
    """What other processes said, by process, and who did not answer in time."""

    found: Mapping[str, bytes]
    missing: tuple[str, ...] = ()


class IPeers(Interface):
    """The other processes of the cluster, as far as they say something of themselves that an operator asks for."""

    process = Attribute("This one's name.")

    def answer_with(what: str, make: Callable[[str], Awaitable[bytes]]) -> None:
        """What this process answers the others with; ``make`` is given what the question is about."""

    async def gather(what: str, about: str = "", *, on_this_host: bool = False) -> PeerReports:
        """Ask all others, or those on this machine. Never raises; takes a second at most."""
