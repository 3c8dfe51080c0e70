"""One host of a simulated venue: its connections, its REST answers, and what faults do to them.

No sockets: a connection is a ``ClientTransport``. A dialect makes a subclass of ``VenueHost`` that knows the venue's
words (``host_behaviour.py``); who gets which frame is in ``host_streams.py``. What faults do is, nearly all of it, in
these two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil

from attrs import evolve

from cryptodash.core.instruments import MarketType
from cryptodash.simulator.book_image import BookImage, Sides
from cryptodash.simulator.faults import Fault
from cryptodash.simulator.host_streams import HostEnvironment, StreamingHost
from cryptodash.simulator.http_answer import HttpAnswer
from cryptodash.simulator.instrument import SimulatedInstrument
from cryptodash.simulator.instrument_spec import InstrumentSpec
from cryptodash.simulator.limits import SlidingWindow
from cryptodash.simulator.listing_changes import like, under_name
from cryptodash.simulator.market import Market
from cryptodash.simulator.session import ClientSession, ClientTransport

SHORT_LIFE = 10.0
"""Seconds a connection lives under the fault ``cut24h``."""
_OLD_LEVELS = 1_000


class VenueHost(StreamingHost):
    """What the hosts of all venues have in common. A dialect's subclass adds the ``HostBehaviour`` of its venue."""

    def __init__(self, environment: HostEnvironment) -> None:
        super().__init__(environment)
        self._connections = 0
        self._listings: dict[Fault, list[tuple[Market, str, InstrumentSpec | None]]] = {}
        self._traffic = self._new_traffic()
        """Of all connections together: the simulator has clients of one address only."""

    def _new_traffic(self) -> SlidingWindow:
        return SlidingWindow(self.ledger.limits.message_window)

    # --- connections ---

    def refuse(self, path: str) -> HttpAnswer | None:
        """Count a connection attempt and say whether it is refused."""
        if not self.has_path(path):
            return HttpAnswer(404, b"Not Found")
        market = self.market_of(path)
        if not self.ledger.connected(self.clock.wall_ms()):
            window = self.ledger.limits.connect_window // 1_000
            return HttpAnswer(429, b"Too Many Requests", {"Retry-After": str(window)})
        for fault in self.faults.of(market):
            if fault.name == "maintenance":
                return HttpAnswer(503, b"Service Unavailable", {"Retry-After": "5"})
            if fault.name == "451":
                return self.blocked()
        return None

    def opened(self, transport: ClientTransport, path: str, query: Mapping[str, str]) -> ClientSession:
        """A connection that was not refused is open."""
        market = self.market_of(path)
        self._connections += 1
        session = ClientSession(
            self.reactor,
            transport,
            market,
            path,
            number=self._connections,
            opened=self.clock.monotonic(),
            heard=self.clock.monotonic(),
            traffic=self._traffic if self.ledger.limits.of_address else self._new_traffic(),
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
        """Count any frame from the client, pings and pongs included; False when it was one too many."""
        session.heard = self.clock.monotonic()
        if self.ledger.message(session.traffic, self.clock.wall_ms()):
            return True
        self.too_many_messages(session)
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

    def reply(self, session: ClientSession, answer: str | Callable[[], str]) -> None:
        """Answer a request; sometimes only after a while, so that data comes before the answer, as it does live. The
        answer is a text, or what makes it when it goes out."""
        if self.faults.has("silent-venue", session.market):
            return
        if self.rng.getrandbits(2):
            self._answer_now(session, answer)
        else:
            session.later(0.15, lambda: self._answer_now(session, answer))

    def _answer_now(self, session: ClientSession, answer: str | Callable[[], str]) -> None:
        self.deliver_answer(session, answer if isinstance(answer, str) else answer())

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

    def is_delisted(self, market: MarketType, native: str) -> bool:
        """Whether the catalogue must say that it is no longer traded."""
        return self.faults.concern(market, native, "delist")

    def has_wrong_contract(self, market: MarketType, native: str) -> bool:
        """Whether the catalogue must say that a contract of it is worth ten times what it is."""
        return self.faults.concern(market, native, "wrong-contract")

    def is_silent(self, market: MarketType, native: str) -> bool:
        """Whether streams about the whole market must leave the instrument out."""
        return self.faults.concern(market, native, "silent", "delist")

    def begin(self, fault: Fault) -> None:
        """A fault starts."""
        self.faults.add(fault)
        if fault.name in ("list", "rename"):
            self._begin_listing(fault)
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
        for market, native, spec in self._listings.pop(fault, ()):
            if spec is None:
                market.take_out(native)
            else:
                market.put_in_place_of(native, spec)
        for stream, payload in fault.held():
            self.publish(stream, payload)
        self._spread_faults()
        owed, self._owed = self._owed, {}
        for session, stream in owed:
            self._give_opening(session, stream)

    def _begin_listing(self, fault: Fault) -> None:
        """Change the catalogue, and remember by what it is put right: the new name, and what was there before."""
        changed = self._listings[fault] = []
        for kind, market in self.markets.items():
            if fault.market not in (None, kind):
                continue
            if fault.name == "list":
                made = like(market, fault.symbol or "")
                if made is not None:
                    market.add(made)
                    changed.append((market, made.native, None))
                continue
            for spec in [each for each in market.specs if fault.covers(kind, each.native)]:
                named = under_name(spec, fault.to)
                market.put_in_place_of(spec.native, named)
                changed.append((market, named.native, spec))

    def former_names(self, native: str) -> list[str]:
        """What an instrument was called before it was renamed."""
        return [
            spec.native
            for changes in self._listings.values()
            for _, now, spec in changes
            if spec is not None and now == native
        ]

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
