"""What was seen of a venue: values only. Times are milliseconds since the examination of the venue began, unless the
name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from cryptodash.core.events import Cause, State


@frozen
class EndFacts:
    """How a connection ended, as ``connections.commands.Closed`` says it. ``asked``: we ended it ourselves; why."""

    at_ms: int
    kind: str
    code: int | None = None
    status: int | None = None
    reason: str = ""
    asked: str = ""
    opened: bool = True


@frozen
class ConnectionFacts:
    """One connection to ``origin`` (scheme, host, port). ``open_ms`` is how long opening took, ``first_frame_ms`` the
    time from its being open to its first frame; None: it did not come to that. ``proxy``: host and port of the proxy it
    goes through, empty where it is direct."""

    name: str
    endpoint: str
    origin: str
    proxy: str = ""
    open_ms: int | None = None
    first_frame_ms: int | None = None
    frames: int = 0
    bytes: int = 0
    end: EndFacts | None = None


@frozen
class StateFacts:
    """A topic's state from ``at_ms`` on."""

    at_ms: int
    state: State
    cause: Cause | None = None

    @property
    def text(self) -> str:
        """``stale(gap)``."""
        return f"{self.state}({self.cause})" if self.cause else str(self.state)


@frozen
class TopicFacts:
    """One topic. ``role``: as which instrument it was chosen. ``first_value_ms``: from asking to the first value;
    ``crossed``: values shown as live whose bid was not below the ask; ``served``: whether the venue's adapter has the
    channel at all."""

    text: str
    channel: str
    role: str
    states: tuple[StateFacts, ...] = ()
    values: int = 0
    first_value_ms: int | None = None
    crossed: int = 0
    missed: int = 0
    """Trades that the venue's own count says exist and that did not come."""

    @property
    def last(self) -> StateFacts | None:
        return self.states[-1] if self.states else None


@frozen
class RequestFacts:
    """REST requests for one purpose (``catalogue``, ``probe``, ``candles``, ``snapshot``, ...): how many were answered
    and failed, how long the first answer took and the quickest (of catalogue and candles with the wait for room in our
    own budget, which says nothing of the venue), what was in it, and what the first failure was."""

    purpose: str
    answered: int = 0
    failed: int = 0
    first_ms: int | None = None
    least_ms: int | None = None
    holds: str = ""
    cause: str = ""
    error: str = ""


@frozen
class UnreadableFacts:
    """Frames and answers that could not be read: how many, and the first of them, shortened."""

    count: int = 0
    error: str = ""
    sample: str = ""
    at_ms: int = 0


@frozen
class ChoiceFacts:
    """An instrument that was looked at. ``turnover`` of the last 24 hours in its quote currency, empty if unknown."""

    role: str
    symbol: str
    native: str
    turnover: str = ""


@frozen
class ChecksumFacts:
    """Checksums of books: how many were compared with the venue's, how many differed. ``has``: whether the venue sends
    any."""

    has: bool = False
    compared: int = 0
    wrong: int = 0


@frozen
class AuditFacts:
    """Live books compared with REST snapshots: how many comparisons had each result."""

    results: Mapping[str, int] = field(factory=dict)

    @property
    def diverged(self) -> int:
        return self.results.get("diverged", 0)


@frozen
class DelayFacts:
    """How late the frames of the stream that is latest come, ms beyond the quickest way."""

    stream: str
    p50_ms: int
    p99_ms: int


@frozen
class MarketFacts:
    """One market of a venue. ``statuses``: how many instruments have each status of ours; ``unknown``: listings of the
    catalogue that cannot be used, ``unknown_words``: what it says of those that can and stands in no table of ours,
    with how many it says it of and the first of them, ``wrong_contracts``: instruments whose contracts cannot be of the
    size that it says, each as a phrase."""

    market: str
    statuses: Mapping[str, int] = field(factory=dict)
    unknown: tuple[str, ...] = ()
    unknown_words: tuple[str, ...] = ()
    wrong_contracts: tuple[str, ...] = ()
    chosen: tuple[ChoiceFacts, ...] = ()
    connections: tuple[ConnectionFacts, ...] = ()
    topics: tuple[TopicFacts, ...] = ()
    not_served: tuple[str, ...] = ()
    """Channels that the adapter does not have here."""
    requests: tuple[RequestFacts, ...] = ()
    unreadable: UnreadableFacts = field(factory=UnreadableFacts)
    gaps: int = 0
    resyncs: int = 0
    checksums: ChecksumFacts = field(factory=ChecksumFacts)
    delay: DelayFacts | None = None
    alternative: str = ""
    """What the adapter says may be tried where the venue is blocked."""
    rest_proxy: str = ""
    """Host and port of the proxy through which REST goes, empty where it is direct."""

    @property
    def frames(self) -> int:
        return sum(each.frames for each in self.connections)

    def request(self, purpose: str) -> RequestFacts | None:
        return next((each for each in self.requests if each.purpose == purpose), None)


@frozen
class VenueFacts:
    """One venue. ``clock_ahead_ms``: by how much at least its clock is ahead of ours (None: not known)."""

    exchange: str
    name: str
    source: str
    seconds: float
    markets: tuple[MarketFacts, ...]
    clock_ahead_ms: int | None = None
    clock_steps: int = 0
    left_out: tuple[str, ...] = ()
    """Elements of lists that could not be read, each as a phrase."""
    unknown_messages: int = 0
    implausible: int = 0
    """Frames whose id or time was too far off to be believed at once."""
    repeated: int = 0
    quotes_crossed: int = 0
    audit: AuditFacts | None = None
    """None: nothing audits the books."""
    saved: str = ""
    """What was saved, for a person; empty if nothing was to be."""
    save_error: str = ""
