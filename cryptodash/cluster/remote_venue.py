"""A venue that another process holds: what that process tells of it goes into this one's hub, as if it were here.

Sans-I/O: frames come by ``took``, time by ``tick``, requests go out by ``ask``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeGuard

import attrs
import msgspec
from twisted.logger import Logger

from cryptodash.cluster import wire
from cryptodash.cluster.bridge import Bridge, gap_between
from cryptodash.cluster.clock_offset import ClockOffset
from cryptodash.cluster.wire import BadFrame, Demanded, Frame, Hold
from cryptodash.core.cursors import event_id
from cryptodash.core.events import Candle, Cause, Event, Gap, Liquidation, State, StreamStatus, Trade
from cryptodash.core.interfaces import ExchangeReport, IRemoteInlet
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import IStates

SILENT_S: Final = 2.0
"""Without a beat for so long, or when one was so long under way, nothing of the venue is shown as live."""
GOOD_BEATS: Final = 2
"""Beats in time after which it is asked for its state again: 1,000 channels of 3,000 clients must not flap."""
HEARTBEAT_S: Final = 2.0
"""Between two words of ours that we are there."""
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
    ) -> None:
        self.report: ExchangeReport | None = None
        self.fence: int | None = None
        self._exchange = exchange
        self._process = process
        self._inlet = inlet
        self._states = states
        self._clock = clock
        self._ask = ask
        self._check_lease = check_lease
        self._read_catalogue = read_catalogue
        self._topics: dict[str, Topic] = {}
        """What is wanted, by its text; of books also the book itself."""
        self._holds: dict[Topic, dict[int, None]] = {}
        """At which intervals each is wanted; 0 keeps it at hand."""
        self._depths: dict[Topic, set[Topic]] = {}
        self._number = 0
        self._told_at = self._told_all_at = float("-inf")
        self._next: int | None = None
        self._held_back: list[Frame] = []
        self._held_bytes = 0
        self._offset = ClockOffset()
        self._beat_at: float | None = None
        self._is_late = False
        self._good_beats = 0
        self._is_good = False
        """Whether what is shown is what the holder says; else all of it is ``stale(backend)``."""
        self._needed = 1
        """Good beats in a row after which it is: one of a new holder, else ``GOOD_BEATS``."""
        self._awaiting: dict[Topic, None] = {}
        """Of these the holder has yet to tell the state: a status told meanwhile would come before the value."""
        self._ages: dict[Topic, float | None] = {}
        """For when each value holds, as of the last beat."""
        self._confirmed: dict[Topic, float] = {}
        self._bridge = Bridge(states)
        """Topics of which something was told before by another than this holder, or missed."""
        self._refused = tally.counter(
            "cryptodash_cluster_refused_total", "What came by Redis and was not taken.", "exchange", "reason"
        )
        self._gaps = tally.counter(
            "cryptodash_cluster_gaps_total", "Times that something published by Redis did not come.", "exchange"
        )

    # -- what is wanted here

    def want(self, topics: Iterable[Topic]) -> None:
        added = []
        for topic in topics:
            if topic.text in self._topics:
                continue
            self._topics[topic.text] = topic
            if topic.depth:
                self._topics[topic.upstream.text] = topic.upstream
                self._depths.setdefault(topic.upstream, set()).add(topic)
            self._holds[topic] = {0: None}
            added.append(Hold(topic.text, 0))
            if self._is_good:
                self._awaiting[topic.upstream] = None
            else:
                self._doubt(topic.upstream)
        self._tell(added, [])

    def drop(self, topics: Iterable[Topic]) -> None:
        released = []
        for topic in topics:
            if self._topics.pop(topic.text, None) is None:
                continue
            released += [Hold(topic.text, interval) for interval in self._holds.pop(topic)]
            self._forget(topic)
        self._tell([], released)

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        """A wanted book is published at these intervals: one hold each, behind the one that keeps it at hand."""
        held = self._holds.get(topic)
        if held is None:
            return
        added, released = sorted(set(intervals) - held.keys()), sorted(held.keys() - {0, *intervals})
        for interval in added:
            held[interval] = None
        for interval in released:
            del held[interval]
        self._tell(
            [Hold(topic.text, interval) for interval in added], [Hold(topic.text, interval) for interval in released]
        )

    def begin(self) -> None:
        """Nothing is known of the holder (any more): all that is wanted is in doubt."""
        self._lost_trust()
        self._good_beats = 0
        self._check_lease()

    def end(self) -> None:
        """Nothing is wanted from afar any more: the venue is ours now."""
        self.fence, self._next, self._beat_at, self.report = None, None, None, None
        self._is_good, self._good_beats, self._held_bytes = False, 0, 0
        for each in (self._held_back, self._topics, self._holds, self._depths):
            each.clear()
        self._bridge.clear()
        for known in (self._awaiting, self._ages, self._confirmed):
            known.clear()

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
            self.fence, self._next, self._beat_at = fence, None, None
            self._good_beats, self._needed = 0, 1
            self._offset = ClockOffset()
            self._tell([], [], even_nothing=True)
        for frame in held_back:
            if frame.fence == self.fence:
                self._read(frame)
            else:
                self._refuse("other_holder", f"fence {frame.fence}")

    def tick(self) -> None:
        """Twice a second."""
        now = self._clock.monotonic()
        if self.fence is None or self._held_back:
            self._check_lease()  # again: Redis may not have been there to answer
        if self._beat_at is None or now - self._beat_at > SILENT_S or self._is_late:
            self._good_beats = 0
            if self._is_good:
                self._lost_trust()
        if now - self._told_at >= HEARTBEAT_S:
            self._tell([], [], even_nothing=True)

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
        return self._confirmed.get(topic)

    def as_of(self, topic: Topic) -> float | None:
        confirmed, as_of = self._confirmed.get(topic), self._ages.get(topic)
        if confirmed is None or as_of is None:
            return confirmed
        return max(confirmed, as_of)

    # -- inside

    def _read(self, frame: Frame) -> None:
        now = self._clock.monotonic()
        expected, self._next = self._next, frame.offset + 1
        late = self._offset.took(frame.sent, now)
        if expected is not None and frame.offset != expected:
            self._gaps.add(self._exchange)
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
            event = wire.read_event(kind, raw, self._topics.get)
            if event is not None:
                self._publish(event, age_ms, frame)
        elif kind == wire.BEAT:
            self._beat(raw, frame, late)
        elif kind == wire.RECENT:
            found = wire.read_recent(raw, self._topics.get)
            if found is not None:
                self._recent(*found)
        elif kind == wire.CATALOGUE:
            self._read_catalogue(wire.read_text(raw))
        elif kind == wire.REPORT:
            self.report = wire.read_report(raw)
        elif kind == wire.ASK:
            if self._told_all_at != self._clock.monotonic():
                self._tell_all()
        else:
            raise BadFrame(f"a record of kind {kind}")

    def _publish(self, event: Event, age_ms: int | None, frame: Frame) -> None:
        topic = event.topic.upstream
        if isinstance(event, StreamStatus):
            if frame.to:  # it is the state, and the values have come
                self._awaiting.pop(topic, None)
            if topic not in self._awaiting:
                self._inlet.publish(event)
            return
        if age_ms is not None and self._offset.is_known:
            self._confirmed[topic] = self._offset.ours(frame.sent) - age_ms / 1000
        if topic in self._awaiting and (_is_told_once(event) or isinstance(event, Gap)):
            return  # the holder tells it again, behind what was before
        for each in self._bridge.cross(event, is_kept=bool(frame.to)):
            self._inlet.publish(each)

    def _recent(self, topic: Topic, events: Sequence[Event]) -> None:
        """What the holder has told of a topic, of which we may know a part."""
        last = next(iter(self._states.last_events(topic, 1)), None)
        known = -1
        if last is not None and _is_told_once(last):
            name = last.timestamp, event_id(last)
            for place in range(len(events) - 1, -1, -1):
                event = events[place]
                if _is_told_once(event) and (event.timestamp, event_id(event)) == name:
                    known = place
                    break
        missed = list(events[known + 1 :])
        told = [each for each in missed if _is_told_once(each)]
        if not told and known < 0:
            return  # what was between nobody knows, and the next one says so
        self._bridge.forget(topic)
        if last is not None and known < 0 and _is_told_once(last) and topic.channel is not Channel.CANDLE:
            missed.insert(0, gap_between(last, told[0]))
        if missed:
            self._inlet.recent(topic, missed)

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
                self._ages[topic] = None if each.as_of_ms is None else sent - each.as_of_ms / 1000
                self._confirmed[topic] = sent - each.confirmed_ms / 1000
        self._is_late = late > SILENT_S
        if self._is_late:
            self._good_beats = 0
            return
        self._beat_at = now
        self._good_beats += not frame.to or not self._good_beats
        if not self._is_good and self._good_beats >= self._needed:
            self._is_good, self._needed = True, GOOD_BEATS
            self._tell_all()

    def _lost_trust(self) -> None:
        """Until the holder has told its state again, nothing of the venue is good."""
        self._is_good = False
        for topic in dict.fromkeys(each.upstream for each in self._topics.values()):
            self._doubt(topic)

    def _doubt(self, topic: Topic) -> None:
        self._awaiting[topic] = None
        state = State.STALE if topic in self._confirmed else State.CONNECTING
        self._inlet.publish(StreamStatus(topic, state, Cause.BACKEND, since=self._clock.wall_ms()))

    def _forget(self, topic: Topic) -> None:
        depths = self._depths.get(topic.upstream)
        if depths is not None:
            depths.discard(topic)
            if depths:
                return
            del self._depths[topic.upstream]
            self._topics.pop(topic.upstream.text, None)
        self._bridge.forget(topic.upstream)
        for known in (self._ages, self._confirmed, self._awaiting):
            known.pop(topic.upstream, None)

    def _tell(self, holds: Sequence[Hold], releases: Sequence[Hold], *, even_nothing: bool = False) -> None:
        if not (holds or releases or even_nothing):
            return
        if holds or releases:
            self._number += 1
        self._told_at = self._clock.monotonic()
        self._ask(
            Demanded(wire.VERSION, self._process, self._number, self._told_at, False, list(holds), list(releases))
        )

    def _tell_all(self) -> None:
        """All that is wanted, of all of which the holder then tells the state."""
        for topic in dict.fromkeys(each.upstream for each in self._topics.values()):
            self._awaiting[topic] = None
        self._bridge.expect(self._topics.values())
        self._number += 1
        self._told_at = self._told_all_at = self._clock.monotonic()
        holds = [Hold(topic.text, interval) for topic, intervals in self._holds.items() for interval in intervals]
        self._ask(Demanded(wire.VERSION, self._process, self._number, self._told_at, True, holds, []))

    def _refuse(self, reason: str, what: str) -> None:
        if not self._refused.values[self._exchange, reason]:
            _log.warn("{exchange}: a frame was not taken: {what}", exchange=self._exchange, what=what)
        self._refused.add(self._exchange, reason)


def _is_told_once(event: Event) -> TypeGuard[Trade | Liquidation | Candle]:
    """Whether no event may be told again nor be left out: those that have a cursor."""
    return isinstance(event, Trade | Liquidation) or (isinstance(event, Candle) and event.closed)
