"""What a holder tells of a venue's topics, on its way into this process's hub: in an order in which nothing is shown as
good that is not, nothing twice, nothing missing without a word; and how old each value is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cryptodash.cluster.bridge import Bridge, is_told_once
from cryptodash.cluster.missing_bars import Fetch, MissingBars
from cryptodash.core.cursors import Cursor
from cryptodash.core.events import Candle, Cause, Event, Gap, State, StreamStatus
from cryptodash.core.interfaces import IRemoteInlet
from cryptodash.core.time import Clock
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import IStates

AWAITED_S: Final = 1.0
"""So long what was good stays so while its state is awaited: something of it was missed, and the state may be missed as
well."""
_IN_DOUBT: Final = float("inf")


class RemoteValues:
    """Of the topics that are wanted of one venue. ``fetch`` asks the holder for bars."""

    def __init__(self, inlet: IRemoteInlet, states: IStates, clock: Clock, fetch: Fetch) -> None:
        self._inlet = inlet
        self._clock = clock
        self._awaiting: dict[Topic, float] = {}
        """Of these the holder has yet to tell the state: a status told meanwhile would come before the value. Since
        when, ``_IN_DOUBT`` where nothing good is said of it."""
        self._ages: dict[Topic, float | None] = {}
        """For when each value holds, as of the last beat."""
        self._confirmed: dict[Topic, float] = {}
        self._bridge = Bridge(states)
        """Topics of which something was told before by another than this holder, or missed."""
        self._bars = MissingBars(states, fetch, inlet.publish)
        self._may_have_closed: set[Topic] = set()
        """Topics of which a bar may have closed that neither we nor this holder have heard of."""

    @property
    def are_known(self) -> bool:
        """Whether anything was ever told."""
        return bool(self._confirmed)

    def await_state(self, topics: Iterable[Topic]) -> None:
        """The holder is about to tell the state of these (of books without their depths)."""
        now = self._clock.monotonic()
        for topic in topics:
            self._awaiting.setdefault(topic, now)
            if topic.channel is Channel.CANDLE:
                self._may_have_closed.add(topic)

    def doubt(self, topics: Iterable[Topic]) -> None:
        """Nothing good is known of these until the holder tells their state."""
        for topic in topics:
            self.await_state([topic])
            self._awaiting[topic] = _IN_DOUBT
            state = State.STALE if topic in self._confirmed else State.CONNECTING
            self._tell_status(StreamStatus(topic, state, Cause.BACKEND, since=self._clock.wall_ms()))

    def look(self) -> None:
        """Four times a second: what has awaited its state for too long is not good any more."""
        due = self._clock.monotonic() - AWAITED_S
        self.doubt([each for each, since in self._awaiting.items() if since <= due and each in self._confirmed])

    def expect(self, topics: Iterable[Topic]) -> None:
        """What comes next of these does not follow what was told before."""
        self._bridge.expect(topics)

    def forget(self, topic: Topic) -> None:
        """It is not wanted any more."""
        self._bridge.forget(topic)
        self._bars.forget(topic)
        self._may_have_closed.discard(topic)
        for known in (self._ages, self._confirmed, self._awaiting):
            known.pop(topic, None)

    def clear(self) -> None:
        """Nothing is wanted."""
        self._bridge.clear()
        self._bars.clear()
        self._may_have_closed.clear()
        for known in (self._ages, self._confirmed, self._awaiting):
            known.clear()

    def publish(self, event: Event, confirmed: float | None, *, is_state: bool) -> None:
        """An event, whose value was confirmed at that time (s, our monotonic clock); None where that is not known.
        ``is_state``: it tells how things are, not what has just happened."""
        topic = event.topic.upstream
        if isinstance(event, StreamStatus):
            if is_state:  # the values have come
                self._awaiting.pop(topic, None)
            if topic not in self._awaiting:
                self._tell_status(event)
            return
        if topic in self._awaiting and _is_in_order(event, is_state=is_state):
            return  # the holder tells it again, behind what was before
        if confirmed is not None:
            self._confirmed[topic] = confirmed
        if isinstance(event, Candle):
            self._tell_bar(event)
            return
        for each in self._bridge.cross(event, is_kept=is_state):
            self._inlet.publish(each)

    def recent(self, topic: Topic, events: Sequence[Event]) -> None:
        """What the holder has told of a topic, of which we may know a part."""
        missed = self._bridge.missed(topic, events)
        if missed:
            self._inlet.recent(topic, missed)

    def confirm(self, topic: Topic, confirmed: float, as_of: float | None, *, is_state: bool) -> None:
        """The holder says that its value was good then, and for when it holds; which is no word of ours if we have
        missed something."""
        if is_state or topic not in self._awaiting:
            self._ages[topic], self._confirmed[topic] = as_of, confirmed

    def newest(self, topic: Topic) -> Cursor | None:
        """As of ``Bridge``."""
        return self._bridge.newest(topic)

    def confirmed_at(self, topic: Topic) -> float | None:
        return self._confirmed.get(topic)

    def as_of(self, topic: Topic) -> float | None:
        confirmed, as_of = self._confirmed.get(topic), self._ages.get(topic)
        if confirmed is None or as_of is None:
            return confirmed
        return max(confirmed, as_of)

    def _tell_bar(self, bar: Candle) -> None:
        if bar.topic in self._may_have_closed:
            self._may_have_closed.discard(bar.topic)
            self._bars.expect([bar.topic])
        if bar.topic in self._bars:
            self._bars.cross(bar)
        else:
            self._inlet.publish(bar)

    def _tell_status(self, status: StreamStatus) -> None:
        if status.topic in self._bars:
            self._bars.cross(status)
        else:
            self._inlet.publish(status)


def _is_in_order(event: Event, *, is_state: bool) -> bool:
    """Whether it may not come before what is missing. A running bar stands behind those that closed, which the state
    has in front of it."""
    return isinstance(event, Gap) or is_told_once(event) or (isinstance(event, Candle) and not is_state)
