"""What this process wants of a venue that another one holds, and how that one is told: changes as they come, all of it
when asked, a word now and then that somebody is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cryptodash.cluster import wire
from cryptodash.cluster.wire import Demanded, Hold
from cryptodash.core.cursors import Cursor
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic

HEARTBEAT_S: Final = 2.0
"""Between two words of ours that we are there."""


class LocalDemand:
    """``ask`` publishes to the holder. A message counts one more than the one before where something changes, so that
    the holder sees that one is missing."""

    def __init__(
        self,
        process: str,
        clock: Clock,
        ask: Callable[[Demanded], object],
        newest: Callable[[Topic], Cursor | None],
    ) -> None:
        """``newest``: up to where the events of a topic are known."""
        self.topics: dict[str, Topic] = {}
        """What is wanted, by its text; of books also the book itself."""
        self._process = process
        self._clock = clock
        self._ask = ask
        self._newest = newest
        self._holds: dict[Topic, dict[int, None]] = {}
        """At which intervals each is wanted; 0 keeps it at hand."""
        self._depths: dict[Topic, set[Topic]] = {}
        self._number = 0
        self._told_at = float("-inf")

    def upstreams(self) -> list[Topic]:
        """What is wanted, books without their depths."""
        return list(dict.fromkeys(each.upstream for each in self.topics.values()))

    def want(self, topics: Iterable[Topic]) -> list[Topic]:
        """Returns those that were not wanted before."""
        added = [topic for topic in dict.fromkeys(topics) if topic.text not in self.topics]
        for topic in added:
            self.topics[topic.text] = topic
            if topic.depth:
                self.topics[topic.upstream.text] = topic.upstream
                self._depths.setdefault(topic.upstream, set()).add(topic)
            self._holds[topic] = {0: None}
        self._tell([self._hold(topic, 0) for topic in added], [])
        return added

    def drop(self, topics: Iterable[Topic]) -> list[Topic]:
        """Returns those, books without their depths, of which nothing is wanted any more."""
        released, gone = list[Hold](), list[Topic]()
        for topic in topics:
            if self.topics.pop(topic.text, None) is None:
                continue
            released += [Hold(topic.text, interval) for interval in self._holds.pop(topic)]
            if self._is_last(topic):
                gone.append(topic.upstream)
        self._tell([], released)
        return gone

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

    def has(self, topic: Topic, interval: int) -> bool:
        """Whether the book is wanted at the interval."""
        return interval in self._holds.get(topic, ())

    def clear(self) -> None:
        """Nothing is wanted; nobody is told."""
        for each in (self.topics, self._holds, self._depths):
            each.clear()

    def tell_all(self) -> None:
        """All that is wanted; the holder then tells its state."""
        self._number += 1
        self._told_at = self._clock.monotonic()
        holds = [self._hold(topic, interval) for topic, intervals in self._holds.items() for interval in intervals]
        self._ask(Demanded(wire.VERSION, self._process, self._number, self._told_at, True, holds, []))

    def tell_presence(self) -> None:
        """That somebody is here; it has the time in it, to which the holder gives an echo."""
        self._send([], [])

    def tick(self) -> None:
        """Twice a second."""
        if self._clock.monotonic() - self._told_at >= HEARTBEAT_S:
            self.tell_presence()

    def _hold(self, topic: Topic, interval: int) -> Hold:
        newest = self._newest(topic)
        return Hold(topic.text, interval, None if newest is None else (newest.time, newest.id))

    def _is_last(self, topic: Topic) -> bool:
        depths = self._depths.get(topic.upstream)
        if depths is None:
            return True
        depths.discard(topic)
        if depths:
            return False
        del self._depths[topic.upstream]
        self.topics.pop(topic.upstream.text, None)
        return True

    def _tell(self, holds: Sequence[Hold], releases: Sequence[Hold]) -> None:
        if holds or releases:
            self._number += 1
            self._send(holds, releases)

    def _send(self, holds: Sequence[Hold], releases: Sequence[Hold]) -> None:
        self._told_at = self._clock.monotonic()
        self._ask(
            Demanded(wire.VERSION, self._process, self._number, self._told_at, False, list(holds), list(releases))
        )
