"""One simulated venue host: connections, streams, and who gets which frame. No sockets: a connection is a ``Link``.

``binance.py`` and ``bybit.py`` say what the words mean; ``server.py`` puts a host on a port.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil
from random import Random
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator.faults import Fault
from cryptodash.simulator.limits import Ledger, Window
from cryptodash.simulator.market import Instrument, Market

_MAX_DELAYED = 20_000
_OLD_LEVELS = 1_000
SLOW_BY = 2.0
"""Seconds the fault ``slow`` adds."""
SHORT_LIFE = 10.0
"""Seconds a connection lives under the fault ``cut24h``."""


class Link(Protocol):
    """The wire below a session."""

    def send(self, text: str) -> None:
        """One text frame."""

    def ping(self, payload: bytes) -> None:
        """One ping frame."""

    def close(self, code: int, reason: str) -> None:
        """A close frame, and the end."""

    def abort(self) -> None:
        """The end without a word."""


class Feed(Protocol):
    """Makes one stream's frames."""

    def opening(self, now: int) -> Sequence[str]:
        """What a new subscriber gets first."""

    def frames(self, now: int) -> Sequence[str]:
        """What this beat brings, to be asked once per beat after the instrument was stepped."""


@define(eq=False)
class Stream:
    """One stream with its subscribers. ``kind`` is ``quote``, ``trade``, ``book``, ``candle``,
    ``ticker``, ``mark`` or ``sweep``."""

    name: str
    market: MarketType
    kind: str
    instrument: Instrument | None
    feed: Feed
    sessions: list[Session] = field(factory=list)

    @property
    def native(self) -> str:
        return self.instrument.listing.native if self.instrument is not None else ""


@define(eq=False)
class Session:
    """One client's connection. ``names`` are the streams it asked for, in order,
    whether they deliver anything or not."""

    host: Host
    link: Link
    market: MarketType
    path: str
    opened: int
    combined: bool = False
    names: dict[str, Stream | None] = field(factory=dict)
    frozen: bool = False
    is_open: bool = True
    traffic: Window = field(factory=lambda: Window(1_000))
    heard: float = 0.0
    pinged: float | None = None
    number: int = 0
    timers: list[IDelayedCall] = field(factory=list)
    _delayed: deque[tuple[float, str]] = field(factory=deque)

    def push(self, text: str) -> None:
        """Send a frame, now or as late as the fault ``slow`` wants; frozen sessions (``half-open``) send nothing."""
        if self.frozen or not self.is_open:
            return
        if not self.host.slow and not self._delayed:
            self.link.send(text)
        elif len(self._delayed) < _MAX_DELAYED:
            if not self._delayed:
                self.later(SLOW_BY, self._release)
            self._delayed.append((self.host.reactor.seconds() + SLOW_BY, text))

    def _release(self) -> None:
        delayed, now = self._delayed, self.host.reactor.seconds()
        while delayed and delayed[0][0] <= now and self.is_open:
            _, text = delayed.popleft()
            if not self.frozen:
                self.link.send(text)
        if delayed and self.is_open:
            self.later(max(0.0, delayed[0][0] - now), self._release)

    def close(self, code: int, reason: str) -> None:
        if self.is_open and not self.frozen:
            self.link.close(code, reason)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in a while, unless the connection is gone by then."""
        self.timers = [each for each in self.timers if each.active()]
        self.timers.append(self.host.reactor.callLater(seconds, act))


@frozen
class Refusal:
    """An HTTP answer instead of an upgrade."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(factory=dict)


Levels = Sequence[tuple[int, int]]


@frozen
class BookImage:
    """A book at one moment: the id of its last change, and (price, size) levels, best first."""

    last: int
    bids: Levels
    asks: Levels


@frozen
class Answer:
    """A REST answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(factory=dict)


class Host(ABC):
    """What all venues' hosts have in common. Subclasses read requests and make feeds."""

    exchange = ""
    lifetime: float | None = None
    """Seconds after which the venue cuts a connection."""

    def __init__(
        self,
        name: str,
        markets: Mapping[MarketType, Market],
        reactor: IReactorTime,
        clock: Clock,
        ledger: Ledger,
        rng: Random,
    ) -> None:
        self.name = name
        self.markets = markets
        self.reactor = reactor
        self.clock = clock
        self.ledger = ledger
        self.rng = rng
        self.streams: dict[tuple[MarketType, str], Stream] = {}
        self.sessions: dict[Session, None] = {}
        self.faults: list[Fault] = []
        self.slow = False
        self._count = 0
        self.woken: Callable[[], None] = lambda: None
        """Called when the first stream opens: somebody must call ``beat`` from now on."""

    # --- what subclasses say ---

    @abstractmethod
    def market_of(self, path: str) -> MarketType | None:
        """The market a WebSocket path serves; None for a path that does not exist."""

    @abstractmethod
    def greeted(self, session: Session, query: Mapping[str, str]) -> None:
        """A connection has opened."""

    @abstractmethod
    def received(self, session: Session, text: str) -> None:
        """A text frame came."""

    def maintenance(self, session: Session) -> None:
        """The venue goes down for maintenance: say so the venue's way."""
        session.close(1012, "service restart")

    @abstractmethod
    def rest(self, path: str, query: Mapping[str, str]) -> Answer:
        """Answer a GET request."""

    def pong(self, session: Session) -> None:
        """A pong frame came."""
        if not session.frozen:
            session.pinged = None
            self.heard(session)

    # --- connections ---

    def refuse(self, path: str) -> Refusal | None:
        """Count a connection attempt and say whether it is refused."""
        if self.market_of(path) is None:
            return Refusal(404, b"Not Found")
        if not self.ledger.connected(self.clock.wall_ms()):
            return Refusal(429, b"Too Many Requests", {"Retry-After": "300"})
        for fault in self.faults:
            if fault.name == "maintenance":
                return Refusal(503, b"Service Unavailable", {"Retry-After": "5"})
            if fault.name == "451":
                return self.blocked()
        return None

    def retry_after(self, fault: Fault) -> str:
        """The seconds until a 429 or 418 fault is over; asking again within them is a violation."""
        if fault.memory.setdefault(self, False):
            self.ledger.violate("request before Retry-After was over")
        fault.memory[self] = True
        return str(max(1, ceil(fault.until - self.reactor.seconds())))

    @abstractmethod
    def blocked(self) -> Refusal:
        """The venue's answer to a country it does not serve."""

    def opened(self, link: Link, path: str, query: Mapping[str, str]) -> Session:
        """A connection that was not refused is open."""
        market = self.market_of(path)
        assert market is not None
        self._count += 1
        session = Session(
            self, link, market, path, self.clock.wall_ms(), heard=self.clock.monotonic(), number=self._count
        )
        self.sessions[session] = None
        if any(fault.name == "cut24h" for fault in self.faults):
            session.later(SHORT_LIFE, partial(self._cut, session))
        elif self.lifetime is not None:
            session.later(self.lifetime, partial(self._cut, session))
        self.greeted(session, query)
        return session

    def _cut(self, session: Session) -> None:
        session.close(1001, "going away")

    def heard(self, session: Session) -> bool:
        """Count any frame from the client, pings and pongs included; False when it was one too many
        and the connection is being closed."""
        session.heard = self.clock.monotonic()
        if self.ledger.message(session.traffic, self.clock.wall_ms()):
            return True
        session.close(1008, "Too many requests")
        return False

    def text(self, session: Session, text: str) -> None:
        """A text frame from the client."""
        if not session.frozen and session.is_open and self.heard(session):
            self.received(session, text)

    def closed(self, session: Session) -> None:
        """The connection is gone."""
        session.is_open = False
        for call in session.timers:
            if call.active():
                call.cancel()
        for name in list(session.names):
            self.leave(session, name)
        self.sessions.pop(session, None)

    # --- streams ---

    def join(
        self, session: Session, name: str, kind: str, native: str, make: Callable[[Instrument | None], Feed]
    ) -> Stream | None:
        """Subscribe a session to a stream, made with ``make`` if it is the first;
        None for an instrument that is not traded."""
        key = (session.market, name)
        stream = self.streams.get(key)
        if stream is None:
            instrument = self.markets[session.market].get(native) if native else None
            if native and instrument is None:
                return None
            if instrument is not None:
                instrument.catch_up(self.clock.wall_ms())
                instrument.watched += 1
            stream = self.streams[key] = Stream(name, session.market, kind, instrument, make(instrument))
            self._apply()
            self.woken()
        stream.sessions.append(session)
        session.names[name] = stream
        return stream

    def leave(self, session: Session, name: str) -> bool:
        """Unsubscribe; False if the session had no such stream."""
        if name not in session.names:
            return False
        stream = session.names.pop(name)
        if stream is not None:
            stream.sessions.remove(session)
            if not stream.sessions:
                del self.streams[stream.market, stream.name]
                if stream.instrument is not None:
                    stream.instrument.watched -= 1
        return True

    def beat(self, now: int) -> None:
        """Step what is watched to ``now`` (ms) and send what that brings."""
        streams = list(self.streams.values())
        for instrument in {
            id(stream.instrument): stream.instrument for stream in streams if stream.instrument is not None
        }.values():
            instrument.step(now)
        for stream in streams:
            for payload in stream.feed.frames(now):
                self.publish(stream, payload)

    def publish(self, stream: Stream, payload: str) -> None:
        """Give a frame to the stream's subscribers, as the running faults let it."""
        payloads = [payload]
        for fault in self.faults:
            payloads = [shaped for each in payloads for shaped in fault.shape(stream, each)]
        for each in payloads:
            for session in tuple(stream.sessions):
                self.deliver(session, stream, each)

    def deliver(self, session: Session, stream: Stream, payload: str) -> None:
        """One frame to one session."""
        session.push(payload)

    def reply(self, session: Session, text: str) -> None:
        """Answer a request; sometimes only after a while, so that data comes before the answer, as it does live."""
        if self.silent:
            return
        if self.rng.getrandbits(2):
            session.push(text)
        else:
            session.later(0.15, lambda: session.push(text))

    @property
    def silent(self) -> bool:
        """Whether the fault ``silent-venue`` holds."""
        return any(fault.name == "silent-venue" for fault in self.faults)

    def is_delisted(self, market: MarketType, native: str) -> bool:
        return any(fault.name == "delist" and fault.covers(market, native) for fault in self.faults)

    # --- faults ---

    def begin(self, fault: Fault) -> None:
        """A fault starts."""
        self.faults.append(fault)
        self._apply()
        if fault.name == "drop":
            for session in list(self.sessions):
                session.link.abort()
        elif fault.name == "half-open":
            for session in self.sessions:
                session.frozen = True
        elif fault.name == "old-snapshot":
            self._remember(fault)
        elif fault.name == "maintenance":
            for session in list(self.sessions):
                self.maintenance(session)
        elif fault.name == "cut24h":
            for session in self.sessions:
                age = (self.clock.wall_ms() - session.opened) / 1000
                session.later(max(0.0, SHORT_LIFE - age), partial(self._cut, session))

    def end(self, fault: Fault) -> None:
        """A fault is over."""
        self.faults.remove(fault)
        for stream, payload in fault.held():
            self.publish(stream, payload)
        self._apply()

    def _remember(self, fault: Fault) -> None:
        for market_type, market in self.markets.items():
            for instrument in [market.get(native) for native in fault.natives] if fault.natives else market.made():
                if instrument is not None and fault.covers(market_type, instrument.listing.native):
                    instrument.catch_up(self.clock.wall_ms())
                    fault.memory[instrument] = BookImage(instrument.update_id, *instrument.book.levels(_OLD_LEVELS))

    def book_image(self, instrument: Instrument, count: int) -> BookImage:
        """The book as REST shows it now: an old one under the fault ``old-snapshot``."""
        for fault in self.faults:
            image = fault.memory.get(instrument)
            if fault.name == "old-snapshot" and isinstance(image, BookImage):
                return BookImage(image.last, image.bids[:count], image.asks[:count])
        instrument.catch_up(self.clock.wall_ms())
        bids, asks = instrument.book.levels(count)
        if instrument.crossed:
            bids = [(instrument.book.ask + 1, 1), *bids[: count - 1]]
        return BookImage(instrument.update_id, bids, asks)

    def _apply(self) -> None:
        self.slow = any(fault.name == "slow" for fault in self.faults)
        for market_type, market in self.markets.items():
            for instrument in market.made():
                native = instrument.listing.native
                instrument.crossed = any(
                    fault.name == "crossed" and fault.covers(market_type, native) for fault in self.faults
                )
