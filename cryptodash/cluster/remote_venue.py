"""A venue that another process holds: what that process tells of it goes into this one's hub, as if it were here.

Sans-I/O: frames come by ``took``, time by ``tick``, requests go out by ``ask``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import msgspec
from twisted.logger import Logger

from cryptodash.cluster import event_records, wire
from cryptodash.cluster.clock_offset import ClockOffset
from cryptodash.cluster.local_demand import LocalDemand
from cryptodash.cluster.missing_bars import Fetch
from cryptodash.cluster.remote_values import RemoteValues
from cryptodash.cluster.wire import BadFrame, Demanded, Frame
from cryptodash.core.events import BookView, Cause, Event, State
from cryptodash.core.interfaces import ExchangeReport, IRemoteInlet
from cryptodash.core.quality import UNRECORDED, Count, StreamRecord, StreamRecords
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import IStates

SILENT_S: Final = 2.0
"""Without a beat for so long, or when one was so long under way, nothing of the venue is shown as live."""
LOOK_S: Final = 0.25
"""Between two looks at that. At the one before it would be too late nothing is live any more."""
ASK_S: Final = 0.25
"""Least time between two requests for the state: one that is on its way may bring what is missing now as well."""
GOOD_BEATS: Final = 2
"""Beats in time after which it is asked for its state again: 1,000 channels of 3,000 clients must not flap."""
ENDPOINT: Final = "cluster"
"""What the ledger calls the way by Redis: its one stream of an exchange has the exchange's name."""
MOST_HELD_BACK: Final = 256
"""Frames of a holder that is not known yet, until the lease says who it is, and their bytes."""
MOST_HELD_BYTES: Final = 8 * 1024 * 1024

_log = Logger(namespace="cryptodash.cluster.remote_venue")


class RemoteVenue:
    """One venue, from afar. ``check_lease`` is called where a fence is not known: ``holder_is`` is the answer."""

    def __init__(
        self,
        exchange: str,
        process: str,
        inlet: IRemoteInlet,
        states: IStates,
        clock: Clock,
        tally: Tally,
        ask: Callable[[Demanded], object],
        check_lease: Callable[[], object],
        read_catalogue: Callable[[str], object],
        fetch: Fetch,
        records: StreamRecords = UNRECORDED,
    ) -> None:
        self.report: ExchangeReport | None = None
        self.fence: int | None = None
        self.lag = 0.0
        """By how many seconds the last frame was later than the quickest of the last minute."""
        self._exchange = exchange
        self._process = process
        self._clock = clock
        self._check_lease = check_lease
        self._read_catalogue = read_catalogue
        self._records = records
        self._quality: StreamRecord | None = None
        """The way by Redis, as the ledger knows it while something is wanted of it."""
        self._values = RemoteValues(inlet, states, clock, fetch)
        self._demand = LocalDemand(process, clock, ask, self._values.newest)
        self._topics = self._demand.topics
        self._next: int | None = None
        self._held_back: list[Frame] = []
        self._held_bytes = 0
        self._offset = ClockOffset()
        self._beat_at: float | None = None
        self._is_late = False
        self._good_beats = 0
        self._is_good = False
        """Whether what is shown is what the holder says; else all of it is ``stale(backend)``."""
        self._has_missed = False
        self._asked_at = float("-inf")
        self._needed = 1
        """Good beats in a row after which it is: one of a new holder, else ``GOOD_BEATS``."""
        self._refused = tally.counter(
            "cryptodash_cluster_refused_total", "What came by Redis and was not taken.", "exchange", "reason"
        )
        self._gaps = tally.counter(
            "cryptodash_cluster_gaps_total", "Times that something published by Redis did not come.", "exchange"
        )
        self._holders = tally.counter(
            "cryptodash_cluster_holders_total", "Times that another process became the one to listen to.", "exchange"
        )

    # -- what is wanted here

    def want(self, topics: Iterable[Topic]) -> None:
        added = [topic.upstream for topic in self._demand.want(topics)]
        if self._is_good:
            self._values.await_state(added)
        else:
            self._values.doubt(added)
        self._note()

    def drop(self, topics: Iterable[Topic]) -> None:
        for topic in self._demand.drop(topics):
            self._values.forget(topic)
        self._note()

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        """As of ``LocalDemand``."""
        self._demand.pace(topic, intervals)

    def begin(self) -> None:
        """Nothing is known of the holder (any more): all that is wanted is in doubt."""
        self._lost_trust()
        self._good_beats = 0
        self._check_lease()

    def end(self) -> None:
        """Nothing is wanted from afar any more: the venue is ours now."""
        self.fence, self._next, self._beat_at, self.report = None, None, None, None
        self._is_good, self._good_beats, self._held_bytes = False, 0, 0
        self._held_back.clear()
        self._demand.clear()
        self._note()
        self._values.clear()

    # -- what comes

    def took(self, data: bytes) -> None:
        """A frame from the venue's channel."""
        try:
            frame = wire.read_frame(data)
        except BadFrame as error:
            self._refuse("unreadable", str(error))
            return
        if frame.fence == self.fence:
            self._read(frame)
        elif len(self._held_back) < MOST_HELD_BACK and self._held_bytes + len(data) <= MOST_HELD_BYTES:
            self._held_back.append(frame)
            self._held_bytes += len(data)
            if len(self._held_back) == 1:
                self._check_lease()
        else:
            self._refuse("unknown_holder", f"fence {frame.fence}")

    def holder_is(self, fence: int | None) -> None:
        """What the lease says: the fence of who has it, None for nobody."""
        held_back, self._held_back, self._held_bytes = self._held_back, [], 0
        if fence is not None and fence != self.fence:
            self._lost_trust()
            self._holders.add(self._exchange)
            self.fence, self._next, self._beat_at = fence, None, None
            self._good_beats, self._needed = 0, 1
            self._has_missed, self._asked_at = False, float("-inf")
            self._offset = ClockOffset()
            self._values.expect(self._topics.values())
            self._demand.tell_presence()
        for frame in held_back:
            if frame.fence == self.fence:
                self._read(frame)
            else:
                self._refuse("other_holder", f"fence {frame.fence}")

    def look(self) -> None:
        """Four times a second: whether what is shown can still be good."""
        now = self._clock.monotonic()
        if self._beat_at is None or now - self._beat_at > SILENT_S - LOOK_S or self._is_late:
            self._good_beats = 0
            if self._is_good:
                self._lost_trust()
        if self._has_missed and now - self._asked_at >= ASK_S:
            self._ask_for_all()
        self._values.look()

    def tick(self) -> None:
        """Twice a second."""
        if self.fence is None or self._held_back:
            self._check_lease()  # again: Redis may not have been there to answer
        self._demand.tick()

    def reported(self, unopened: ExchangeReport, trouble: str) -> ExchangeReport:
        """The holder's report of the venue; without one we can rely on that it is out of reach, and why.
        ``unopened`` is what this process says of the venue that it has not opened."""
        if self._is_good and self.report is not None:
            return self.report
        reason = trouble or "no process that holds it is heard of"
        return attrs.evolve(
            unopened, status="offline", idle=False, cause=Cause.BACKEND, reason=reason, connections=0, good_streams=0
        )

    def confirmed_at(self, topic: Topic) -> float | None:
        return self._values.confirmed_at(topic)

    def as_of(self, topic: Topic) -> float | None:
        return self._values.as_of(topic)

    # -- inside

    def _read(self, frame: Frame) -> None:
        now = self._clock.monotonic()
        if self._next is not None and frame.offset < self._next:
            self._refuse("old", f"frame {frame.offset} behind {self._next - 1}")
            return  # it comes twice, or was overtaken, and its state was asked for then
        has_missed, self._next = self._next is not None and frame.offset > self._next, frame.offset + 1
        self.lag = late = self._offset.took(frame.sent, now)
        if has_missed:
            self._gaps.add(self._exchange)
            if self._quality is not None:
                self._quality.count(Count.GAPS)
            self._tell_all()
        if frame.to and frame.to != self._process:
            return
        for kind, content, age_ms in frame.records:
            try:
                self._record(kind, content, age_ms, frame, late)
            except BadFrame as error:
                self._refuse("unreadable", str(error))

    def _record(self, kind: int, raw: msgspec.Raw, age_ms: int | None, frame: Frame, late: float) -> None:
        if 0 <= kind < wire.BEAT:
            event = event_records.read_event(kind, raw, self._topics.get)
            if event is not None:
                self._publish(event, age_ms, frame)
        elif kind == wire.BEAT:
            self._beat(raw, frame, late)
        elif kind == wire.RECENT:
            found = event_records.read_recent(raw, self._topics.get)
            if found is not None:
                self._values.recent(*found)
        elif kind == wire.CATALOGUE:
            self._read_catalogue(wire.read_text(raw))
        elif kind == wire.REPORT:
            self.report = wire.read_report(raw)
        elif kind == wire.ASK:
            if self._asked_at != self._clock.monotonic():
                self._asked_at = float("-inf")  # whatever was asked has not come to it
                self._tell_all()
        else:
            raise BadFrame(f"a record of kind {kind}")

    def _publish(self, event: Event, age_ms: int | None, frame: Frame) -> None:
        if isinstance(event, BookView) and not self._demand.has(event.topic, event.interval):
            return  # of before the holder heard so; nothing would follow it
        confirmed = None
        if age_ms is not None and self._offset.is_known:
            confirmed = self._offset.ours(frame.sent) - age_ms / 1000
        self._values.publish(event, confirmed, is_state=bool(frame.to))

    def _beat(self, content: msgspec.Raw, frame: Frame, late: float) -> None:
        now, beat = self._clock.monotonic(), wire.read_beat(content)
        for echo in beat.echoes:
            if echo.process == self._process:
                self._offset.echoed(echo.sent, echo.held_ms / 1000, now)
        if not self._offset.is_known:
            return
        sent = self._offset.ours(frame.sent)
        for each in beat.ages:
            topic = self._topics.get(each.topic)
            if topic is not None:
                as_of = None if each.as_of_ms is None else sent - each.as_of_ms / 1000
                self._values.confirm(topic, sent - each.confirmed_ms / 1000, as_of, is_state=bool(frame.to))
        self._is_late = late > SILENT_S
        if self._is_late:
            self._good_beats = 0
            return
        self._beat_at = now
        self._good_beats += not frame.to or not self._good_beats
        if not self._is_good and self._good_beats >= self._needed:
            self._is_good, self._needed = True, GOOD_BEATS
            self._note()
            self._tell_all()

    def _lost_trust(self) -> None:
        """Until the holder has told its state again, nothing of the venue is good."""
        self._is_good = False
        self._note()
        self._values.doubt(self._demand.upstreams())

    def _note(self) -> None:
        """For the ledger: how it is now."""
        if not self._topics:
            if self._quality is not None:
                self._quality.closed()
                self._quality = None
            return
        if self._quality is None:
            self._quality = self._records.open(ENDPOINT, self._exchange)
        if self._is_good:
            self._quality.changed(State.LIVE, None)
        else:
            self._quality.changed(State.STALE if self._values.are_known else State.CONNECTING, Cause.BACKEND)

    def _tell_all(self) -> None:
        """Something is missing: all that is wanted is in doubt until the holder has told the state of it, for which it
        is asked now, or where it has just been asked, once more soon."""
        self._values.await_state(self._demand.upstreams())
        self._values.expect(self._topics.values())
        self._has_missed = True
        if self._clock.monotonic() - self._asked_at >= ASK_S:
            self._ask_for_all()

    def _ask_for_all(self) -> None:
        self._has_missed, self._asked_at = False, self._clock.monotonic()
        self._demand.tell_all()

    def _refuse(self, reason: str, what: str) -> None:
        if not self._refused.values[self._exchange, reason]:
            _log.warn("{exchange}: a frame was not taken: {what}", exchange=self._exchange, what=what)
        self._refused.add(self._exchange, reason)
