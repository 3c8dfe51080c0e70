"""One host of a simulated venue: connections, streams, who gets which frame, and what faults do to all that.

No sockets: a connection is a ``ClientTransport``. A dialect makes a subclass of ``VenueHost`` that knows the venue's
words (``host_behaviour.py``); everything else, nearly all of the faults included, is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil
from random import Random

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorTime

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator.book_image import BookImage, Sides
from cryptodash.simulator.faults import ActiveFaults, Fault
from cryptodash.simulator.host_behaviour import HostBehaviour
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.limits import Ledger, SlidingWindow
from cryptodash.simulator.market import Market
from cryptodash.simulator.session import ClientSession, ClientTransport
from cryptodash.simulator.streams import Stream, StreamFeed
from cryptodash.simulator.venue_clock import VenueClock

SHORT_LIFE = 10.0
"""Seconds a connection lives under the fault ``cut24h``."""
_OLD_LEVELS = 1_000
_SILENCES = ("silent", "silent-venue", "delist")


@frozen
class HostEnvironment:
    """What a host is given: its name, the markets it serves, its time, and the count of what clients do."""

    name: str
    exchange: str
    markets: Mapping[MarketType, Market]
    reactor: IReactorTime
    clock: Clock
    ledger: Ledger
    rng: Random


class VenueHost(HostBehaviour):
    """What the hosts of all venues have in common. A dialect's subclass adds the ``HostBehaviour`` of its venue."""

    def __init__(self, environment: HostEnvironment) -> None:
        self.name = environment.name
        self.exchange = environment.exchange
        self.markets = environment.markets
        self.reactor = environment.reactor
        self.clock = VenueClock(environment.clock)
        self.ledger = environment.ledger
        self.rng = environment.rng
        self.streams: dict[tuple[MarketType, str], Stream] = {}
        self.sessions: dict[ClientSession, None] = {}
        self.faults = ActiveFaults()
        self._connections = 0
        self._owed: dict[tuple[ClientSession, Stream], None] = {}
        """Subscriptions that a silence keeps from beginning."""
        self.stream_opened: Callable[[], None] = lambda: None
        """Called when a stream opens: somebody must call ``step`` from now on."""

    # --- connections ---

    def refuse(self, path: str) -> HttpAnswer | None:
        """Count a connection attempt and say whether it is refused."""
        market = self.market_of(path)
        if market is None:
            return HttpAnswer(404, b"Not Found")
        if not self.ledger.connected(self.clock.wall_ms()):
            return HttpAnswer(429, b"Too Many Requests", {"Retry-After": "300"})
        for fault in self.faults.of(market):
            if fault.name == "maintenance":
                return HttpAnswer(503, b"Service Unavailable", {"Retry-After": "5"})
            if fault.name == "451":
                return self.blocked()
        return None

    def opened(self, transport: ClientTransport, path: str, query: Mapping[str, str]) -> ClientSession:
        """A connection that was not refused is open."""
        market = self.market_of(path)
        assert market is not None
        self._connections += 1
        session = ClientSession(
            self.reactor,
            transport,
            market,
            path,
            number=self._connections,
            opened=self.clock.monotonic(),
            heard=self.clock.monotonic(),
            traffic=SlidingWindow(self.ledger.limits.message_window),
            delay=self._delay(market),
        )
        self.sessions[session] = None
        if self.lifetime is not None:
            session.later(self.lifetime, partial(self._cut, session))
        if self.faults.has("cut24h", market):
            session.later(SHORT_LIFE, partial(self._cut_short, session))
        self.greeted(session, query)
        return session

    def _cut(self, session: ClientSession) -> None:
        session.close(1001, "going away")

    def _cut_short(self, session: ClientSession) -> None:
        """The end of a short life; a connection that outlives the fault lives on."""
        if self.faults.has("cut24h", session.market):
            self._cut(session)

    def count_message(self, session: ClientSession) -> bool:
        """Count any frame from the client, pings and pongs included; False when it was one too many
        and the connection is being closed."""
        session.heard = self.clock.monotonic()
        if self.ledger.message(session.traffic, self.clock.wall_ms()):
            return True
        session.close(1008, "Too many requests")
        return False

    def text(self, session: ClientSession, text: str) -> None:
        """A text frame from the client."""
        if not session.frozen and session.is_open and self.count_message(session):
            self.received(session, text)

    def pong(self, session: ClientSession) -> None:
        """A pong frame came."""
        if not session.frozen:
            session.pinged = None
            self.count_message(session)

    def closed(self, session: ClientSession) -> None:
        """The connection is gone."""
        session.gone()
        for name in list(session.names):
            self.unsubscribe(session, name)
        self.sessions.pop(session, None)

    def reply(self, session: ClientSession, text: str) -> None:
        """Answer a request; sometimes only after a while, so that data comes before the answer, as it does live."""
        if self.faults.has("silent-venue", session.market):
            return
        if self.rng.getrandbits(2):
            session.push(text)
        else:
            session.later(0.15, lambda: session.push(text))

    # --- streams ---

    def subscribe(
        self,
        session: ClientSession,
        name: str,
        kind: str,
        native: str,
        make: Callable[[SimulatedInstrument | None], StreamFeed],
    ) -> Stream | None:
        """Subscribe a session to a stream, made with ``make`` if it is the first, and give it what a new subscriber
        gets; None for an instrument that is not traded. An empty ``native`` is a stream about the whole market.
        ``kind`` as in ``Stream``."""
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
            self._spread_faults()
            self.stream_opened()
        stream.sessions.append(session)
        session.names[name] = None
        self._give_opening(session, stream)
        return stream

    def _give_opening(self, session: ClientSession, stream: Stream) -> None:
        """Give a new subscriber its first frames, or owe them while a fault keeps the stream silent."""
        if self.faults.concern(stream.market, stream.native, *_SILENCES):
            self._owed[session, stream] = None
            return
        for frame in stream.feed.opening(self.clock.wall_ms()):
            for each in self.faults.shape(stream, frame, opening=True):
                self._dispatch(session, stream, each)

    def unsubscribe(self, session: ClientSession, name: str) -> bool:
        """False if the session had asked for no such stream."""
        if name not in session.names:
            return False
        del session.names[name]
        stream = self.streams.get((session.market, name))
        if stream is not None and session in stream.sessions:
            stream.sessions.remove(session)
            self._owed.pop((session, stream), None)
            if not stream.sessions:
                del self.streams[stream.market, stream.name]
                if stream.instrument is not None:
                    stream.instrument.watched -= 1
        return True

    def step(self, now: int) -> None:
        """Take what is watched to ``now`` (ms, by the simulator's clock) and send what that brings."""
        now += self.clock.step_ms
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
        for each in self.faults.shape(stream, payload):
            for session in tuple(stream.sessions):
                self._dispatch(session, stream, each)

    def _dispatch(self, session: ClientSession, stream: Stream, payload: str) -> None:
        """One frame to one session, as late as the stream is."""
        if stream.delay or session.is_late(stream.name):
            session.do_late(stream.name, stream.delay, partial(self.deliver, session, stream, payload))
        else:
            self.deliver(session, stream, payload)

    # --- REST ---

    def rest(self, path: str, query: Mapping[str, str]) -> HttpAnswer:
        """Answer a GET request, as the running faults let it."""
        for fault in self.faults.of(self.rest_market(path, query)):
            if fault.name == "maintenance":
                return self.out_of_service()
            if fault.name == "451":
                return self.blocked()
            if fault.name == "429":
                return self.too_many_requests(self._retry_after(fault))
            if fault.name == "418":
                return self.banned(self._retry_after(fault))
        return self.answer(path, query)

    def _retry_after(self, fault: Fault) -> str:
        """The seconds until the fault is over; asking again within them is a violation."""
        if self in fault.memory:
            self.ledger.violate("request before Retry-After was over")
        fault.memory[self] = True
        return str(max(1, ceil(fault.until - self.reactor.seconds())))

    def book_image(self, instrument: SimulatedInstrument, count: int) -> BookImage:
        """The book as REST shows it now: an old one under the fault ``old-snapshot``."""
        for fault in self.faults:
            image = fault.memory.get(instrument)
            if fault.name == "old-snapshot" and isinstance(image, BookImage):
                return evolve(image, bids=image.bids[:count], asks=image.asks[:count])
        now = self.clock.wall_ms()
        instrument.catch_up(now)
        return self._image(instrument, instrument.shown_levels(count), now)

    def _image(self, instrument: SimulatedInstrument, levels: Sides, now: int) -> BookImage:
        return BookImage(instrument.update_id, *levels, now, self.book_number(instrument))

    # --- faults ---

    def rest_delay(self, path: str, query: Mapping[str, str]) -> float:
        """Seconds by which the answer to a request is late now."""
        return self._delay(self.rest_market(path, query))

    def _delay(self, market: MarketType | None) -> float:
        """Seconds by which everything of a market is late; None is the whole host."""
        return max((fault.delay for fault in self.faults.of(market) if not fault.is_limited), default=0.0)

    def is_delisted(self, market: MarketType, native: str) -> bool:
        """Whether the catalogue must say that it is no longer traded."""
        return self.faults.concern(market, native, "delist")

    def is_silent(self, market: MarketType, native: str) -> bool:
        """Whether streams about the whole market must leave the instrument out."""
        return self.faults.concern(market, native, "silent", "delist")

    def begin(self, fault: Fault) -> None:
        """A fault starts."""
        self.faults.add(fault)
        if fault.name in ("crossed", "old-snapshot"):
            self._begin_books(fault)
        self._spread_faults()
        for session in [each for each in self.sessions if fault.concerns(each.market)]:
            if fault.name == "drop":
                session.transport.abort()
            elif fault.name == "half-open":
                session.frozen = True
            elif fault.name == "maintenance":
                self.announce_maintenance(session)
            elif fault.name == "cut24h":
                age = self.clock.monotonic() - session.opened
                session.later(max(0.0, SHORT_LIFE - age), partial(self._cut_short, session))

    def end(self, fault: Fault) -> None:
        """A fault is over."""
        self.faults.remove(fault)
        for stream, payload in fault.held():
            self.publish(stream, payload)
        self._spread_faults()
        owed, self._owed = self._owed, {}
        for session, stream in owed:
            self._give_opening(session, stream)

    def _step_clock(self, step: int) -> None:
        """The host's clock is off by so many ms from now on."""
        if step != self.clock.step_ms:
            now = self.clock.wall_ms()
            for market in self.markets.values():
                market.step_clock(step, now)
            self.clock.step_ms = self.ledger.step_ms = step

    def _begin_books(self, fault: Fault) -> None:
        """Make every instrument that is concerned now: one made later would know nothing of the fault."""
        for market_type, market in self.markets.items():
            for instrument in [
                market.get(each.native) for each in market.specs if fault.covers(market_type, each.native)
            ]:
                if instrument is not None and fault.name == "old-snapshot":
                    now = self.clock.wall_ms()
                    instrument.catch_up(now)
                    fault.memory[instrument] = self._image(instrument, instrument.book.levels(_OLD_LEVELS), now)

    def _spread_faults(self) -> None:
        """Tell sessions, streams and instruments what holds for them now."""
        self._step_clock(sum(fault.step_ms for fault in self.faults))
        for session in self.sessions:
            session.delay = self._delay(session.market)
        for stream in self.streams.values():
            late = (fault.delay for fault in self.faults if fault.is_limited and fault.is_about(stream))
            stream.delay = max(late, default=0.0)
        for market_type, market in self.markets.items():
            for instrument in market.made():
                instrument.crossed = self.faults.concern(market_type, instrument.spec.native, "crossed")
