"""A bench for an engine: it carries out the engine's outputs against a made-up venue's server side,
by hand and by a manual clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TypeVar

from attrs import define, field

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import State, StreamStatus
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.quality import UNRECORDED, StreamRecords
from cryptodash.core.tally import Counter, Tally
from cryptodash.core.time import Clock, ManualClock
from cryptodash.core.topics import Topic, parse_topic
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.builders.waiting_frames import FrameBudget
from cryptodash.exchanges.connections.commands import Closed, Connect, Disconnect, Fetch, Output, Publication, Send
from cryptodash.exchanges.engine import Engine
from cryptodash.testing import wire
from cryptodash.testing.venue import MadeUpVenue, make_catalogue

T = TypeVar("T")


@define(eq=False)
class Server:
    """The venue's side of one connection."""

    key: str
    url: str
    opened: bool = False
    streams: set[str] = field(factory=set)
    sent: list[tuple[float, dict[str, object]]] = field(factory=list)
    """What the engine sent, with the time."""
    unanswered: list[dict[str, object]] = field(factory=list)
    may_send_at: float | None = None
    """When the next frame may follow the last."""


class Bench:
    """An engine, its clock, and the servers it is connected to.

    ``obedient``: connections open at once and requests are answered at once, in the manner of ``answers``: ``request``
    (as a whole, so that a name in ``refused`` refuses all it comes with), ``symbol`` (each symbol of it), ``stream``
    (each stream, without an id) or ``list`` (with everything the connection carries, without an id).
    ``records`` makes what the ledger keeps of the streams. Everything published is in ``events``; REST requests wait in
    ``fetches``.
    """

    def __init__(
        self,
        venue: MadeUpVenue | None = None,
        catalogue: Catalogue | None = None,
        *,
        obedient: bool = True,
        answers: str = "request",
        seed: int = 1,
        budget: FrameBudget | None = None,
        records: Callable[[Clock, Tally], StreamRecords] = lambda clock, tally: UNRECORDED,
    ) -> None:
        self.clock = ManualClock()
        self.tally = Tally()
        self.venue = venue or MadeUpVenue()
        self.catalogue = make_catalogue("BTC-USDT", "ETH-USDT") if catalogue is None else catalogue
        self.engine = Engine(
            self.venue,
            self.venue.hosts,
            self.catalogue,
            self.clock,
            Random(seed),
            self.tally,
            budget=budget,
            records=records(self.clock, self.tally),
        )
        self.obedient = obedient
        self.answers = answers
        self.refused: set[str] = set()
        self.servers: dict[str, Server] = {}
        self.gone: list[tuple[Server, str]] = []
        self.fetches: list[RestRequest] = []
        self.listings: list[RestRequest] = []
        """Catalogues the engine wants to be read again."""
        self.probes: list[RestRequest] = []
        """Requests for the venue's time."""
        self.events: list[Publication] = []
        self.connects: list[float] = []
        self.pong: Callable[[str], bytes | None] = lambda request_id: wire.pong()
        """What the venue says to a ping with this id, None for nothing yet."""

    # -- inputs

    def want(self, *topics: str, clients: Sequence[str] = ()) -> None:
        self.carry_out(self.engine.want([self.topic(each) for each in topics], clients))

    def held(self, topic: str, *clients: str) -> None:
        """A wanted book is held by these; by none: it lingers."""
        self.carry_out(self.engine.held(self.topic(topic), clients or None))

    def drop(self, *topics: str) -> None:
        self.carry_out(self.engine.drop([self.topic(each) for each in topics]))

    def frame(self, frame: bytes, server: Server | None = None) -> list[Publication]:
        """Send a frame to the engine by this connection (or the only one); returns what it published."""
        before = len(self.events)
        self._receive((server or self.only).key, frame)
        return self.events[before:]

    def _receive(self, connection: str, frame: bytes) -> None:
        self.carry_out(self.engine.received(connection, frame, self.clock.wall_ms()))

    def answer(self, request: RestRequest, body: bytes) -> list[Publication]:
        """Answer a REST request."""
        self.fetches.remove(request)
        before = len(self.events)
        self.carry_out(self.engine.rest_answer(request, body))
        return self.events[before:]

    def fail(self, request: RestRequest, error: UpstreamError) -> None:
        """Refuse a REST request."""
        self.fetches.remove(request)
        self.carry_out(self.engine.rest_failed(request, error))

    def open(self, server: Server) -> None:
        """Let a connection attempt succeed."""
        server.opened = True
        self.carry_out(self.engine.opened(server.key))

    def close(self, server: Server, how: Closed | None = None) -> None:
        """End a connection, or let the attempt fail."""
        del self.servers[server.key]
        self.carry_out(self.engine.closed(server.key, how or Closed("remote")))

    def advance(self, seconds: float) -> None:
        """Let time pass; the engine ticks whenever its deadline says so."""
        end = self.clock.monotonic() + seconds
        for _ in range(100_000):
            now = self.clock.monotonic()
            deadline, gaps = self.engine.deadline(), [each.may_send_at for each in self.servers.values()]
            due = min((each for each in (deadline, *gaps) if each is not None), default=None)
            if due is None or due > end:
                self.clock.advance(max(end - now, 0.0))
                return
            self.clock.advance(max(due - now, 0.001))
            self._let_send()
            self.carry_out(self.engine.tick())
        raise AssertionError("the engine never comes to rest")

    def _let_send(self) -> None:
        """Tell the engine of every connection that may be written to again."""
        now = self.clock.monotonic()
        for server in list(self.servers.values()):
            if server.may_send_at is not None and server.may_send_at <= now:
                server.may_send_at = None
                self.carry_out(self.engine.may_send(server.key))

    def ack(self, server: Server) -> None:
        """Answer everything unanswered on a connection."""
        for request in server.unanswered[:]:
            self._ack(server, request)

    # -- the venue's side

    def carry_out(self, outputs: Iterable[Output]) -> None:
        """Do what the engine says."""
        for output in outputs:
            if isinstance(output, Connect):
                server = self.servers[output.connection] = Server(output.connection, output.url)
                self.connects.append(self.clock.monotonic())
                if self.obedient:
                    self.open(server)
            elif isinstance(output, Send):
                self._take(self.servers[output.connection], output.payload)
            elif isinstance(output, Disconnect):
                server = self.servers.pop(output.connection)
                self.gone.append((server, output.why))
                self.carry_out(self.engine.closed(output.connection, Closed("local")))
            elif isinstance(output, Fetch):
                asked = {Purpose.CATALOGUE: self.listings, Purpose.PROBE: self.probes}
                asked.get(output.request.purpose, self.fetches).append(output.request)
            else:
                self.events.append(output)

    def _take(self, server: Server, payload: bytes) -> None:
        now = self.clock.monotonic()
        gap = next(iter(self.venue.limits.values())).message_gap
        assert server.may_send_at is None, "a frame before the last one had left"
        server.may_send_at = now + gap
        is_text = payload == wire.TEXT_PING
        request = {"op": "ping"} if is_text else json.loads(payload)
        server.sent.append((now, request))
        if request["op"] == "ping":
            pong = wire.TEXT_PONG if is_text else self.pong(str(request["id"]))
            if pong is not None:
                self._receive(server.key, pong)
            return
        server.unanswered.append(request)
        if self.obedient:
            self._ack(server, request)

    def _ack(self, server: Server, request: dict[str, object]) -> None:
        server.unanswered.remove(request)
        names = wire.names_of(request)
        bad = self.refused.intersection(names)
        refused = set(names) if bad and self.answers == "request" else bad
        if request["op"] == "sub":
            server.streams.update(set(names) - refused)
        else:
            server.streams.difference_update(set(names) - refused)
        for frame in self._answers(server, request, names, bad):
            self._receive(server.key, frame)

    def _answers(self, server: Server, request: dict[str, object], names: list[str], bad: set[str]) -> list[bytes]:
        """What the venue says to a request, in its manner."""
        reasons = {name: f"no such stream: {name}" if name in bad else "" for name in names}
        if self.answers == "list":
            errors = [wire.ack("", reason) for reason in reasons.values() if reason]
            return errors or [wire.subscriptions(*sorted(server.streams))]
        if self.answers == "stream":
            return [wire.ack("", reason, streams=[name]) for name, reason in reasons.items()]
        key = str(request["id"])
        if self.answers == "symbol":
            return [wire.ack(key, reason, symbol=name.partition(":")[2]) for name, reason in reasons.items()]
        return [wire.ack(key, next(filter(None, reasons.values()), ""))]

    # -- looking

    @property
    def only(self) -> Server:
        """The one connection there is."""
        (server,) = self.servers.values()
        return server

    def topic(self, text: str) -> Topic:
        """``spot:BTC-USDT:trade``."""
        return parse_topic(f"madeup:{text}", default_depth=5)

    def status(self, text: str) -> StreamStatus:
        """The last status of a topic."""
        upstream = self.topic(text).upstream
        return [each for each in self.events if isinstance(each, StreamStatus) and each.topic is upstream][-1]

    def state(self, text: str) -> State:
        """The last state of a topic."""
        return self.status(text).state

    def published(self, kind: type[T]) -> list[T]:
        """All events of a type."""
        return [each for each in self.events if isinstance(each, kind)]

    def subscribed(self) -> set[str]:
        """Every stream the venue has, over all connections."""
        return {name for server in self.servers.values() for name in server.streams}

    def count(self, name: str, *labels: str) -> int:
        """A counter's value; the exchange label is given."""
        counter = self.tally.metrics[name]
        assert isinstance(counter, Counter)
        return counter.values[("madeup", *labels)]

    def list_again(self, market: MarketType) -> None:
        """Tell the engine that the catalogue was read."""
        self.carry_out(self.engine.catalogue_changed(market))

    @property
    def wall(self) -> int:
        """Now, in ms."""
        return self.clock.wall_ms()
