"""The messages tape: what is held anyway is recorded, and patterns hold more; with a keyframe of each every minute. An
outlet of the hub like any other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from twisted.logger import Logger
from zope.interface import implementer

from cryptodash.core.errors import Refused
from cryptodash.core.record_patterns import RecordPattern
from cryptodash.core.topics import COMPOSITE, Channel, Topic
from cryptodash.hub.interfaces import Batch, IDemand, IDirectory, IOutlet, IValues, Message
from cryptodash.recording import records
from cryptodash.recording.draft import Source
from cryptodash.recording.open_tape import BLOCK_BYTES, OpenTape

KEYFRAME_S: Final = 60.0
CLIENT: Final = "recorder"
"""On whose behalf topics are held: like a client it has rations, and two fifths of the upstream streams."""
HELD_A_LOOK: Final = 500
"""Topics of patterns that are asked for in a second."""

_HAS_NO_VALUE: Final = frozenset((Channel.TRADE, Channel.LIQUIDATION))

_log = Logger(namespace="cryptodash.recording")


@implementer(IOutlet)
class RecordedTopic:
    """One topic that is recorded; ``fence``: of the lease under which its exchange is held, None: of none."""

    def __init__(
        self,
        topic: Topic,
        interval: int,
        tape: OpenTape,
        broke: Callable[[RecordedTopic], None],
        fence: int | None,
    ) -> None:
        self.topic = topic
        self.interval = interval
        self.source = Source(topic.text)
        self.keyframe_at = 0.0
        self.fence = fence
        self._tape = tape
        self._turn = tape.turn
        self._put = tape.put
        self._now = tape.now
        self._broke = broke

    def deliver(self, message: Message) -> None:
        body, draft = message.body, self._tape.draft
        size = draft.size + len(body)
        if size >= BLOCK_BYTES:
            self._put(self.source, records.MESSAGE, body)
            return
        # As ``put`` does it, without the calls: this is done for every message.
        items = draft.items
        items.append(self.source)
        items.append(self._turn.at or self._now())
        items.append(draft.write(body))
        draft.size = size

    def deliver_sweep(self, batch: Batch) -> None:
        for message in batch.messages:
            self._put(self.source, records.MESSAGE, message.body)

    def failed(self) -> None:
        self._broke(self)


class RecordedTopics:
    """Told by the hub what is wanted (``wanted``, which does nothing but note it); ``look`` each second does the rest,
    in quick steps. ``is_ours`` tells whether this process records the exchange: in a cluster the one that has
    it open does, and ``fence_of`` an exchange by which lease, None: there are none. ``monotonic`` tells seconds."""

    def __init__(
        self,
        tape: OpenTape,
        directory: IDirectory,
        demand: IDemand,
        values: IValues,
        words: Sequence[str | RecordPattern],
        is_ours: Callable[[str], bool],
        monotonic: Callable[[], float],
        fence_of: Callable[[str], int | None] = lambda exchange: None,
    ) -> None:
        self.recorded: dict[Topic, RecordedTopic] = {}
        self._tape = tape
        self._directory = directory
        self._demand = demand.for_client(CLIENT, CLIENT)
        self._values = values
        self._patterns = [each for each in words if isinstance(each, RecordPattern)]
        self._is_ours = is_ours
        self._monotonic = monotonic
        self._fence_of = fence_of
        self._fences: dict[str, int | None] = {}
        """Under which each exchange was ours at the last look."""
        self._depth = directory.book_depth_default
        self._wanted: dict[Topic, None] = {}
        """All that the hub wants, of order books each depth."""
        self._changed: dict[Topic, bool] = {}
        self._held: dict[Topic, bool] = {}
        """What is held here, and whether by a pattern."""
        self._to_hold: deque[Topic] = deque()
        self._listed: dict[str, int | None] = {}
        """The version of each catalogue of ours whose topics are held."""
        self._due: deque[RecordedTopic] = deque()
        """In the order in which their keyframes are due."""

    # -- what the hub says

    def wanted(self, topic: Topic, whether: bool) -> None:
        """The topic is wanted from now on, or is not any more."""
        if whether:
            self._wanted[topic] = None
        else:
            self._wanted.pop(topic, None)
        self._changed[topic] = whether

    # -- what follows

    def look(self) -> Iterator[None]:
        """A step after each of a few topics."""
        yield from self._note_whose()
        yield from self._note_changes()
        yield from self._hold_more()
        yield from self._leave_books()
        yield from self._keyframes()

    def stop(self) -> None:
        """Record nothing any more, which the end of the run says. What is held is let go with the hub."""
        for each in self.recorded.values():
            self._values.detach(each, each.topic, each.interval)
        self.recorded.clear()

    def all_keyframes(self) -> None:
        """Each topic's keyframe is due: a segment has begun, or something was lost."""
        for each in self._due:
            each.keyframe_at = 0.0

    def _note_whose(self) -> Iterator[None]:
        """Which exchanges are ours, and which instruments they list."""
        for exchange in self._directory.exchanges():
            if not self._is_ours(exchange):
                if self._listed.pop(exchange, None) is not None or self._has(exchange):
                    yield from self._leave(exchange)
                continue
            if self._fences.setdefault(exchange, fence := self._fence_of(exchange)) != fence:
                self._fences[exchange] = fence
                yield from self._begin_again(exchange, fence)
            version = self._directory.instruments(exchange).version
            if self._listed.get(exchange) != version:
                if exchange not in self._listed:
                    self._changed |= {each: True for each in self._wanted if self._whose(each) == exchange}
                self._listed[exchange] = version
                yield from self._expand(exchange)

    def _begin_again(self, exchange: str, fence: int | None) -> Iterator[None]:
        """What is recorded of the exchange is so under another lease from now on."""
        for recorded in [each for topic, each in self.recorded.items() if topic.exchange == exchange]:
            if recorded.fence != fence:
                recorded.fence = fence
                self._tape.put(recorded.source, records.BEGIN, records.held(fence))
                self._keyframe(recorded)
                yield

    def _has(self, exchange: str) -> bool:
        return any(self._whose(each) == exchange for each in (*self.recorded, *self._held))

    def _whose(self, topic: Topic) -> str:
        """The exchange by which it is decided who records: what is derived of several is with the first."""
        exchanges = self._directory.exchanges()
        return topic.exchange if topic.exchange != COMPOSITE or not exchanges else exchanges[0]

    def _leave(self, exchange: str) -> Iterator[None]:
        """Another process records it."""
        self._to_hold = deque(each for each in self._to_hold if self._whose(each) != exchange)
        for topic in [each for each in (*self.recorded, *self._held) if self._whose(each) == exchange]:
            self._drop(topic)
            yield

    def _expand(self, exchange: str) -> Iterator[None]:
        """The topics of patterns among what is listed now; what is not listed any more is let go."""
        if not self._patterns:
            return
        meant: dict[Topic, None] = {}
        for instrument in self._directory.instruments(exchange).instruments:
            intervals = self._directory.candle_intervals(exchange, instrument.market)
            for pattern in self._patterns:
                if pattern.exchange in ("*", exchange):
                    meant |= dict.fromkeys(pattern.topics_of(instrument, self._depth, intervals))
            yield
        for topic, by_pattern in list(self._held.items()):
            if by_pattern and topic.exchange == exchange and topic not in meant:
                self._drop(topic)
                yield
        waiting = set(self._to_hold)
        self._to_hold.extend(each for each in meant if not self._held.get(each) and each not in waiting)

    def _note_changes(self) -> Iterator[None]:
        changed, self._changed = self._changed, {}
        for topic, is_wanted in changed.items():
            if is_wanted and self._is_meant(topic):
                if topic.channel is Channel.ORDER_BOOK:
                    self._hold(topic.sibling(Channel.ORDER_BOOK, depth=self._depth), by_pattern=False)
                else:
                    self._begin(topic)
            elif not is_wanted and topic in self.recorded and topic not in self._wanted:
                self._end(self.recorded[topic])
            yield

    def _is_meant(self, topic: Topic) -> bool:
        return topic in self._wanted and self._is_ours(self._whose(topic))

    def _hold_more(self) -> Iterator[None]:
        """Within the rations that a client has: what is refused now is asked for again."""
        for _ in range(min(HELD_A_LOOK, len(self._to_hold))):
            topic = self._to_hold[0]
            if not self._hold(topic, by_pattern=True):
                return
            self._to_hold.popleft()
            yield

    def _hold(self, topic: Topic, *, by_pattern: bool) -> bool:
        interval = self._demand.view_interval(topic, None)
        if topic not in self._held:
            try:
                self._demand.hold(topic, interval)
            except Refused:
                return False
            self._held[topic] = by_pattern
        elif by_pattern:
            self._held[topic] = True
        self._begin(topic)
        return True

    def _drop(self, topic: Topic) -> None:
        recorded = self.recorded.get(topic)
        if recorded is not None:
            self._end(recorded)
        if self._held.pop(topic, None) is not None:
            self._demand.release(topic, self._demand.view_interval(topic, None))

    def _leave_books(self) -> Iterator[None]:
        """Let go of order books that nobody else holds any more: ours alone would keep them for ever."""
        for topic, by_pattern in list(self._held.items()):
            if not by_pattern and self._demand.clients_of(topic.upstream) <= 1:
                self._drop(topic)
                yield

    # -- one topic

    def _begin(self, topic: Topic) -> None:
        if topic in self.recorded:
            return
        interval = self._demand.view_interval(topic, None)
        fence = None if topic.exchange == COMPOSITE else self._fence_of(topic.exchange)
        recorded = self.recorded[topic] = RecordedTopic(topic, interval, self._tape, self._failed, fence)
        self._values.attach(recorded, topic, interval)
        self._tape.put(recorded.source, records.BEGIN, records.held(fence))
        self._keyframe(recorded)
        self._due.append(recorded)

    def _end(self, recorded: RecordedTopic) -> None:
        del self.recorded[recorded.topic]
        self._values.detach(recorded, recorded.topic, recorded.interval)
        self._tape.put(recorded.source, records.END, b"")

    def _failed(self, recorded: RecordedTopic) -> None:
        """The hub has taken it out; it begins anew at the next look."""
        if self.recorded.get(recorded.topic) is recorded:
            del self.recorded[recorded.topic]
            self._tape.put(recorded.source, records.END, b"")
            if recorded.topic in self._held:
                self._to_hold.appendleft(recorded.topic)
            else:
                self._changed[recorded.topic] = True

    def _keyframes(self) -> Iterator[None]:
        now = self._monotonic()
        for _ in range(len(self._due)):
            recorded = self._due[0]
            if self.recorded.get(recorded.topic) is not recorded:
                self._due.popleft()
                continue
            if recorded.keyframe_at > now:
                return
            self._due.popleft()
            if recorded.fence is not None:  # whoever reads from here on has to know it
                self._tape.put(recorded.source, records.HELD, records.held(recorded.fence))
            self._keyframe(recorded)
            self._due.append(recorded)
            yield

    def _keyframe(self, recorded: RecordedTopic) -> None:
        """Its status and its newest value, as somebody who subscribes now would get them."""
        topic = recorded.topic
        recorded.keyframe_at = self._monotonic() + KEYFRAME_S
        self._tape.put(recorded.source, records.KEYFRAME, self._values.status(topic).body)
        if topic.channel not in _HAS_NO_VALUE:
            for message in self._values.current(topic, recorded.interval):
                self._tape.put(recorded.source, records.KEYFRAME, message.body)
