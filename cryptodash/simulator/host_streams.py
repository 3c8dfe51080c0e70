"""The streams of one simulated host: who is subscribed to what, and which frames that brings, as faults let them.

No sockets: a connection is a ``ClientTransport``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from cryptodash.core.instruments import MarketType
from cryptodash.core.time import Clock
from cryptodash.simulator.active_faults import ActiveFaults
from cryptodash.simulator.host_behaviour import HostBehaviour
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.limits import Ledger
from cryptodash.simulator.market import Market
from cryptodash.simulator.session import ClientSession
from cryptodash.simulator.streams import Stream, StreamFeed
from cryptodash.simulator.venue_clock import VenueClock

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


class StreamingHost(HostBehaviour):
    """A host as far as subscriptions go. The rest of it is ``VenueHost``."""

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
        self._owed: dict[tuple[ClientSession, Stream], None] = {}
        """Subscriptions that a silence keeps from beginning."""
        self.stream_opened: Callable[[], None] = lambda: None
        """Called when a stream opens: somebody must call ``step`` from now on."""

    def subscribe(
        self,
        session: ClientSession,
        name: str,
        kind: str,
        native: str,
        make: Callable[[SimulatedInstrument | None], StreamFeed],
        market: MarketType | None = None,
        *,
        opening: bool = True,
    ) -> Stream | None:
        """Subscribe a session to a stream, made with ``make`` if it is the first, and give it what a new subscriber
        gets, unless it does not want that (``opening``); None for an instrument that is not traded. An empty ``native``
        is a stream about the whole market. ``kind`` as in ``Stream``. ``market`` is needed on a path that serves
        several."""
        market = market or session.market
        assert market is not None, "the dialect names the market where the path does not"
        key = (market, name)
        stream = self.streams.get(key)
        if stream is None:
            instrument = self.markets[market].get(native) if native else None
            if native and instrument is None:
                return None
            if instrument is not None:
                instrument.catch_up(self.clock.wall_ms())
                instrument.watched += 1
            stream = self.streams[key] = Stream(name, market, kind, instrument, make(instrument))
            self._spread_faults()
            self.stream_opened()
        if self.market_of(session.path) is None:
            self._carries(session, market)
        stream.sessions.append(session)
        session.names[name] = None
        if opening:
            self._give_opening(session, stream)
        return stream

    def _carries(self, session: ClientSession, market: MarketType) -> None:
        """A connection to a path of several markets is of the one that all its streams are of: faults of the others
        leave it alone."""
        session.market = market if not session.names or session.market is market else None
        session.delay = self._delay(session.market)

    def _give_opening(self, session: ClientSession, stream: Stream) -> None:
        """Give a new subscriber its first frames, or owe them while a fault keeps the stream silent."""
        if self.faults.concern(stream.market, stream.native, *_SILENCES):
            self._owed[session, stream] = None
            return
        for frame in stream.feed.opening(self.clock.wall_ms()):
            for each in self.faults.shape(stream, self.numbered((session,), stream, frame), opening=True):
                self._dispatch(session, stream, each)

    def unsubscribe(self, session: ClientSession, name: str) -> bool:
        """False if the session had asked for no such stream."""
        if name not in session.names:
            return False
        del session.names[name]
        stream = self._stream_of(session, name)
        if stream is not None:
            stream.sessions.remove(session)
            self._owed.pop((session, stream), None)
            if not stream.sessions:
                del self.streams[stream.market, stream.name]
                self.faults.forget(stream)
                if stream.instrument is not None:
                    stream.instrument.watched -= 1
        return True

    def _stream_of(self, session: ClientSession, name: str) -> Stream | None:
        """The stream of this name that the session gets."""
        for market in self.markets if session.market is None else (session.market,):
            stream = self.streams.get((market, name))
            if stream is not None and session in stream.sessions:
                return stream
        return None

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
        """Give a frame to the stream's subscribers, as the running faults let it. One that a silence keeps back does
        not exist: it takes no number."""
        if self.faults.concern(stream.market, stream.native, *_SILENCES):
            return
        for each in self.faults.shape(stream, self.numbered(stream.sessions, stream, payload)):
            for session in tuple(stream.sessions):
                self._dispatch(session, stream, each)

    def _dispatch(self, session: ClientSession, stream: Stream, payload: str) -> None:
        """One frame to one session, as late as the stream is."""
        if stream.delay or session.is_late(stream.name):
            session.do_late(stream.name, stream.delay, partial(self.deliver, session, stream, payload))
        else:
            self.deliver(session, stream, payload)

    # --- what running faults mean for all that ---

    def _delay(self, market: MarketType | None) -> float:
        """Seconds by which everything of a market is late; None is the whole host."""
        return max((fault.delay for fault in self.faults.of(market) if not fault.is_limited), default=0.0)

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
                self._halt(instrument, self.faults.concern(market_type, instrument.spec.native, "delist"))
                instrument.crossed = self.faults.concern(market_type, instrument.spec.native, "crossed")

    def _halt(self, instrument: SimulatedInstrument, halted: bool) -> None:
        """Nothing is traded while the fault ``delist`` holds; what was traded before it is traded."""
        if halted != instrument.halted:
            instrument.catch_up(self.clock.wall_ms())
            instrument.halted = halted

    def _step_clock(self, step: int) -> None:
        """The host's clock is off by so many ms from now on."""
        if step != self.clock.step_ms:
            now = self.clock.wall_ms()
            for market in self.markets.values():
                market.step_clock(step, now)
            self.clock.step_ms = self.ledger.step_ms = step
