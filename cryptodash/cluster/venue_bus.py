"""A venue that this process holds, told to the others: what its hub publishes of what they want, once a turn, by one
script that does nothing where the lease is not ours any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.bridge import Bridge
from cryptodash.cluster.lease import Lease, Standing
from cryptodash.cluster.missing_bars import MissingBars
from cryptodash.cluster.remote_demand import RemoteDemand
from cryptodash.cluster.wire import Beat, Confirmed
from cryptodash.core.cursors import RESUMABLE, Cursor
from cryptodash.core.errors import Refused
from cryptodash.core.events import BookView, Candle, Cause, Event, State, StreamStatus
from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import ExchangeReport, IInlet, IUpstream
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IDemand, IStates

MOST_UNACKNOWLEDGED: Final = 8 * 1024 * 1024
"""Bytes that may be on their way to Redis. Beyond them a turn is not told, and whoever follows asks for the state."""

STATE_A_TURN: Final = 300
"""Events that are told of states in one turn: about two milliseconds' work."""

REPORT_S: Final = 0.1
"""Least time between two reports of how the venue is that follow from what its streams say."""

Publish = Callable[[Sequence[bytes]], "Deferred[Any]"]
"""Sends frames by the fenced script; fires with 0 where the lease is not ours."""


@implementer(IInlet)
class VenueBus:
    """Takes what the venue publishes: to the hub first, then to the others. ``lost`` is called when Redis says that the
    lease is not ours."""

    def __init__(
        self,
        exchange: str,
        lease: Lease,
        inlet: IInlet,
        demand: IDemand,
        states: IStates,
        venue: Callable[[], IUpstream],
        report: Callable[[], ExchangeReport],
        publish: Publish,
        lost: Callable[[], object],
        reactor: IReactorTime,
        clock: Clock,
        tally: Tally,
    ) -> None:
        self.demand = RemoteDemand(exchange, demand, clock, self)
        self._exchange = exchange
        self._lease = lease
        self._inlet = inlet
        self._states = states
        self._venue = venue
        self._report = report
        self._send = publish
        self._lost = lost
        self._reactor = reactor
        self._clock = clock
        self._wanted = self.demand.topics
        self._bridge = Bridge(states)
        self._bars = MissingBars(states, lambda topic, count: venue().candles(topic, count, None), self._publish)
        self._due: dict[tuple[str, Topic], dict[tuple[Topic, int], Cursor | None]] = {}
        """States that a process is to be told, by what it wants of each topic: of its events from which on."""
        self._rest: IDelayedCall | None = None
        """Until then no state is told: the venue has its turn."""
        self._records: list[tuple[str, bytes]] = []
        self._is_report_due = False
        self._reported_at = float("-inf")
        self._call: IDelayedCall | None = None
        self._offset = 0
        self._unacknowledged = 0
        self._published = tally.counter(
            "cryptodash_cluster_published_bytes_total", "Bytes of frames given to Redis.", "exchange"
        )
        self._dropped = tally.counter(
            "cryptodash_cluster_unpublished_total",
            "Turns of which the other processes were not told: Redis was out of reach or behind, or the lease unsure.",
            "exchange",
        )

    # -- IInlet

    def publish(self, event: Event) -> None:
        if isinstance(event, Candle | StreamStatus) and event.topic in self._bars:
            self._bars.cross(event)
        elif event.topic in self._bridge:
            for each in self._bridge.cross(event):
                self._publish(each)
        else:
            self._publish(event)

    def _publish(self, event: Event) -> None:
        self._inlet.publish(event)
        if isinstance(event, StreamStatus) and self.demand.is_followed:
            self._is_report_due = True  # readiness follows the streams
            self._soon()
        held = self._wanted.get(event.topic)
        if held is not None and (not isinstance(event, BookView) or event.interval in held):
            at = self._venue().confirmed_at(event.topic.upstream)
            self._tell(event_records.record_of(event, None if at is None else _ms(self._clock.monotonic(), at)))

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        self._inlet.catalogue_changed(exchange, market)

    # -- Wanted

    def added(self, process: str, topic: Topic, interval: int, since: Cursor | None) -> None:
        self._due.setdefault((process, topic.upstream), {})[topic, interval] = since
        self._soon()

    def refused(self, process: str, topic: Topic, error: Refused) -> None:
        status = StreamStatus(topic.upstream, State.CONNECTING, Cause.CAPACITY, since=self._clock.wall_ms())
        self._tell(event_records.record_of(status), process)

    def ask(self, process: str) -> None:
        self._tell(wire.beat_of(Beat([], self.demand.echoes(process))), process)
        self._tell(wire.report_of(self._report()), process)
        self._tell(wire.ask(), process)

    # -- time

    def begin(self, interrupted: Collection[Topic]) -> None:
        """The lease is ours: let everybody say what they want. ``interrupted``: what came from another process until
        now; what is missing between its last event and our first nobody knows."""
        self._bridge.clear()
        self._bridge.expect(interrupted)
        self._bars.clear()
        self._bars.expect(interrupted)
        self._offset = 0
        self._tell(wire.ask())

    def end(self) -> None:
        """It is ours no more, or this process ends."""
        self.demand.end()
        self._due.clear()
        self._records.clear()
        for call in (self._call, self._rest):
            if call is not None:
                call.cancel()
        self._call = self._rest = None

    def beat(self) -> None:
        """Twice a second: that we are here, and how old each value is."""
        now = self._clock.monotonic()
        ages = [self._confirmed(topic, now) for topic in self._wanted if not topic.depth]
        self._tell(wire.beat_of(Beat([each for each in ages if each is not None], self.demand.echoes())))
        self.demand.tick()

    def tell_catalogue(self, market: MarketType) -> None:
        """What the market lists is in Redis anew."""
        self.tell_report()
        self._tell(wire.catalogue_of(market.value))

    def tell_report(self) -> None:
        """How the venue is, for everybody."""
        self._is_report_due, self._reported_at = False, self._clock.monotonic()
        self._tell(wire.report_of(self._report()))

    # -- inside

    def _confirmed(self, topic: Topic, now: float) -> Confirmed | None:
        venue = self._venue()
        at, as_of = venue.confirmed_at(topic), venue.as_of(topic)
        return None if at is None else Confirmed(topic.text, _ms(now, at), None if as_of is None else _ms(now, as_of))

    def _tell_states(self) -> None:
        """Some of the states that are due: of each topic all that the process wants of it, the status behind. Then a
        rest of the same length, so that what the venue sends meanwhile does not grow old."""
        if self._rest is not None:
            return
        begun, told = self._clock.monotonic(), 0
        while self._due and told < STATE_A_TURN:
            (process, upstream), wanted = next(iter(self._due.items()))
            del self._due[process, upstream]
            told += self._tell_state(process, upstream, wanted)
        if self._due:
            self._rest = self._reactor.callLater(self._clock.monotonic() - begun, self._rested)

    def _rested(self) -> None:
        self._rest = None
        self._soon()

    def _tell_state(self, process: str, upstream: Topic, wanted: Mapping[tuple[Topic, int], Cursor | None]) -> int:
        status: Event | None = None
        told = 1
        for (topic, interval), since in wanted.items():
            if not self.demand.has(process, topic, interval):
                continue
            recent, present = self._states.state(topic, interval, since)
            if topic.channel in RESUMABLE:
                self._tell(event_records.recent_of(topic, recent), process)
            for event in present:
                if isinstance(event, StreamStatus):
                    status = event
                else:
                    self._tell(event_records.record_of(event), process)
            told += len(recent) + len(present)
        age = self._confirmed(upstream, self._clock.monotonic())
        if age is not None:
            self._tell(wire.beat_of(Beat([age], self.demand.echoes(process))), process)
        if status is not None:
            self._tell(event_records.record_of(status), process)
        return told

    def _tell(self, record: bytes, to: str = "") -> None:
        self._records.append((to, record))
        self._soon()

    def _soon(self) -> None:
        if self._call is None:
            self._call = self._reactor.callLater(0, self._flush)

    def _flush(self) -> None:
        self._tell_states()
        now = self._clock.monotonic()
        if self._is_report_due and now - self._reported_at >= REPORT_S:
            self.tell_report()
        self._call = None
        records, self._records = self._records, []
        if not records:
            return
        frames = self._frames(records, now)
        if self._lease.standing(now) is not Standing.HOLDER or self._unacknowledged > MOST_UNACKNOWLEDGED:
            self._dropped.add(self._exchange)  # their offsets are used up, so that it shows
            return
        size = sum(map(len, frames))
        self._unacknowledged += size
        self._published.add(self._exchange, by=size)
        self._send(frames).addCallbacks(self._sent, self._not_sent, callbackArgs=(size,), errbackArgs=(size,))

    def _frames(self, records: Sequence[tuple[str, bytes]], now: float) -> list[bytes]:
        """In their order; those in a row that are for the same process in one frame."""
        frames: list[bytes] = []
        begin = 0
        for at in range(1, len(records) + 1):
            if at == len(records) or records[at][0] != records[begin][0]:
                for part in wire.parts_of([record for _, record in records[begin:at]]):
                    frames.append(wire.frame_of(self._lease.fence or 0, self._offset, now, part, records[begin][0]))
                    self._offset += 1
                begin = at
        return frames

    def _sent(self, is_ours: Any, size: int) -> None:
        self._unacknowledged -= size
        if is_ours == 0:
            self._lost()

    def _not_sent(self, failure: Failure, size: int) -> None:
        self._unacknowledged -= size
        self._dropped.add(self._exchange)


def _ms(now: float, at: float) -> int:
    return max(0, round((now - at) * 1000))
