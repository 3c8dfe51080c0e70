"""From the hub to many sockets: one joined write per client and reactor turn.

Clients with the same set of deliveries form a cohort. What the hub delivers to a cohort in one turn is framed once and
joined once; the flush then is a plain loop over the bound ``send`` of its clean clients.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from cryptodash.api.fanout.client_writer import ClientWriter, IWire
from cryptodash.api.fanout.cohort import Cohort
from cryptodash.api.fanout.conflation import ConflationQueue
from cryptodash.api.fanout.deliveries import Deliveries, Delivery, DeliveryGroup
from cryptodash.api.fanout.framer import Build, Framer
from cryptodash.api.fanout.slow_clients import SlowClients
from cryptodash.api.fanout.traffic import Traffic
from cryptodash.api.slices import Slices
from cryptodash.core.config import Config
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.hub.interfaces import IValues

LONG_FLUSH: Final = 0.002
"""Seconds. A flush that took longer is followed by a pause, as far as it wrote to clients with deliveries of their
own."""
PAUSE: Final = 0.5
"""Of the flush's time. What such a client costs is one write, with one message in it or with five. Measured with 1,000
clients on 20 of 200 topics and 5,000 events a second: 498,000 deliveries per CPU-second without the pause, 681,000 with
it. Cohorts of many clients share a turn's work."""
MAX_PAUSE: Final = 0.02


class Fanout:
    """All cohorts of one server, and the flush at the end of each reactor turn."""

    def __init__(self, values: IValues, config: Config, reactor: IReactorTime, clock: Clock, tally: Tally) -> None:
        self._values = values
        self.clock = clock
        self.traffic = Traffic(tally)
        self.deliveries = Deliveries(values, reactor, self.traffic, self._schedule)
        self.slices = Slices(reactor, clock)
        self.slow_clients = SlowClients(reactor, clock, config.client_stall_timeout_s, tally)
        self.cohorts: dict[tuple[Framer, frozenset[Delivery]], Cohort] = {}
        self._framers: dict[Build, Framer] = {}
        self._buffer_limit = config.limits.client_buffer_bytes
        self._reactor = reactor
        self._delay = config.flush_interval_ms / 1000.0
        self._scheduled: list[DeliveryGroup] = []
        self._pause_ends = 0.0
        self._flush_call: IDelayedCall | None = None

    def limit(self, buffer_bytes: int, stall_timeout_s: float) -> None:
        """Other limits: of memory for new clients, of time for all."""
        self._buffer_limit = buffer_bytes
        self.slow_clients.timeout = stall_timeout_s

    def open(self, wire: IWire, build: Build, *, blocked: bool, address: str = "") -> ClientWriter:
        """A new client that gets its messages as ``build`` frames them. ``blocked``: something is queued on its
        transport already, and ``drained`` will be called. ``address``: its group, which is charged with what is read
        from a recording."""
        unsent = ConflationQueue(self._values, self.traffic, self.clock, self._buffer_limit, build, address)
        writer = ClientWriter(
            wire, self.framer(build), unsent, self.traffic, self.clock, self.slices, self.slow_clients
        )
        if blocked:
            writer.block(b"", -1)
        return writer

    def framer(self, build: Build) -> Framer:
        """The one framer of all clients of one kind."""
        found = self._framers.get(build)
        if found is None:
            found = self._framers[build] = Framer(build)
        return found

    def subscribe(self, writer: ClientWriter, deliveries: frozenset[Delivery]) -> None:
        """The client's deliveries from now on. What was pending for it goes out first;
        of deliveries left out nothing comes any more."""
        old, writer.cohort = writer.cohort, None
        if old is not None:
            old.leave(writer)
        writer.follow(deliveries)
        cohort = self._cohort(old, writer.framer, deliveries)
        if cohort is not None:
            writer.cohort = cohort
            cohort.join(writer)
        if old is not None and old is not cohort:
            self._end_if_empty(old)

    def close(self, writer: ClientWriter) -> None:
        """The client leaves: nothing more is sent to it but what is queued on the wire."""
        cohort, writer.cohort = writer.cohort, None
        if cohort is not None:
            cohort.remove(writer)
            self._end_if_empty(cohort)
        writer.close()

    def _end_if_empty(self, cohort: Cohort) -> None:
        if not len(cohort):
            del self.cohorts[cohort.framer, cohort.deliveries]
            cohort.change(frozenset())

    def _cohort(self, old: Cohort | None, framer: Framer, deliveries: frozenset[Delivery]) -> Cohort | None:
        if not deliveries:
            return None
        cohort = self.cohorts.get((framer, deliveries))
        if cohort is not None:
            return cohort
        if old is not None and not len(old):  # its only client takes the cohort along: only the difference is attached
            del self.cohorts[framer, old.deliveries]
            cohort = old
        else:
            cohort = Cohort(self.deliveries, self.traffic, framer)
        cohort.change(deliveries)
        self.cohorts[framer, deliveries] = cohort
        return cohort

    def _schedule(self, group: DeliveryGroup) -> None:
        """The members of the group have something pending."""
        group.scheduled = True
        self._scheduled.append(group)
        if self._flush_call is None:
            self._flush_call = self._reactor.callLater(
                max(self._delay, self._pause_ends - self.clock.monotonic()), self.flush
            )

    def flush(self) -> None:
        """Send everything pending."""
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._flush_call = None
        begun = self.clock.monotonic()
        scheduled, self._scheduled = self._scheduled, []
        for group in scheduled:
            group.scheduled = False
        for group in scheduled:
            for cohort in tuple(group.members):
                if cohort.pending:
                    cohort.flush()
        for framer in self._framers.values():
            framer.forget()
        ended = self.clock.monotonic()
        alone = self.traffic.settle()
        if ended - begun > LONG_FLUSH:
            self._pause_ends = ended + min(PAUSE * alone * (ended - begun), MAX_PAUSE)

    def stop(self) -> None:
        """Cancel the timers."""
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._flush_call = None
        self.slices.stop()
        self.slow_clients.stop()
