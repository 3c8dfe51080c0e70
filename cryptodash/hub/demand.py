"""Who wants what: holds per topic and publishing interval, and a linger before the last release reaches the venue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import takewhile

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from cryptodash.core.interfaces import IUpstream
from cryptodash.core.time import Clock
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import IDemand
from cryptodash.hub.view_interval import interval_for

LINGERING_KEPT = 5_000
"""Topics nobody holds that may wait for their end at a time; beyond it the oldest ends early."""
_SLACK = 0.001
_NOBODY: Mapping[int, int] = {}


@implementer(IDemand)
class Demand:
    """Holds and releases. ``started(topic)`` is called before a topic is wanted upstream, ``ended(topic)`` after it was
    dropped, ``paced(topic, intervals)`` before the intervals of an order book change upstream.

    A topic is wanted from its first hold until the linger after its last release; a hold within the linger costs no
    upstream traffic. The linger is the same for all, so the order of leaving is the order of deadlines
    and one timer serves every topic.
    """

    def __init__(
        self,
        upstreams: Mapping[str, IUpstream],
        clock: Clock,
        scheduler: IReactorTime,
        linger: float,
        book_interval_ms: int,
        started: Callable[[Topic], None],
        ended: Callable[[Topic], None],
        paced: Callable[[Topic, Sequence[int]], None],
    ) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._scheduler = scheduler
        self._linger = linger
        self._book_interval_ms = book_interval_ms
        self._started = started
        self._ended = ended
        self._paced = paced
        self.wanted: dict[Topic, dict[int, int]] = {}
        """Every topic wanted upstream, with how many hold it at each interval (nobody: lingering)."""
        self._depths: dict[Topic, set[Topic]] = {}
        self._leaving: dict[Topic, float] = {}
        self._timer: IDelayedCall | None = None

    def view_interval(self, topic: Topic, max_rate: float | None) -> int:
        return interval_for(self._book_interval_ms, max_rate) if topic.channel is Channel.ORDER_BOOK else 0

    def hold(self, topic: Topic, interval: int) -> None:
        upstream = self._upstreams[topic.exchange]
        held = self.wanted.get(topic)
        if held and interval in held:
            held[interval] += 1
            return
        if held is not None:
            self._leaving.pop(topic, None)
            held[interval] = 1
        else:
            self.wanted[topic] = {interval: 1}
            if topic.channel is Channel.ORDER_BOOK:
                self._depths.setdefault(topic.upstream, set()).add(topic)
            self._started(topic)
            upstream.want([topic])
        self._pace(topic)

    def release(self, topic: Topic, interval: int) -> None:
        """One less; releasing what nobody holds is no error."""
        held = self.wanted.get(topic)
        if not held or interval not in held:
            return
        held[interval] -= 1
        if not held[interval]:
            del held[interval]
        if not held:
            self._leaving[topic] = self._clock.monotonic() + self._linger
            if len(self._leaving) > LINGERING_KEPT:
                self._end([next(iter(self._leaving))])
            self._arm()
        if interval not in held and topic in self.wanted:
            self._pace(topic)

    def _pace(self, topic: Topic) -> None:
        """The intervals at which an order book is looked at have changed."""
        if topic.channel is Channel.ORDER_BOOK:
            intervals = tuple(sorted(each for each in self.wanted.get(topic, ()) if each))
            self._paced(topic, intervals)
            self._upstreams[topic.exchange].pace(topic, intervals)

    def wants(self, topic: Topic) -> bool:
        """Whether the topic, or any depth of this upstream book, is wanted."""
        return topic in self.wanted or topic in self._depths

    def depths(self, book: Topic) -> set[Topic]:
        """The wanted depths of an upstream book, lingering ones included."""
        return self._depths.get(book, set())

    def clients_of(self, topic: Topic) -> int:
        return sum(sum(self.wanted.get(each, _NOBODY).values()) for each in self._views_of(topic))

    def _views_of(self, topic: Topic) -> Collection[Topic]:
        depths = self._depths.get(topic)
        return (topic,) if depths is None else depths

    def stop(self) -> None:
        """No timer is left; nothing is dropped any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is None and self._leaving:
            first = next(iter(self._leaving.values()))
            self._timer = self._scheduler.callLater(max(0.0, first - self._clock.monotonic()), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock.monotonic() + _SLACK
        self._end([topic for topic, _ in takewhile(lambda leaving: leaving[1] <= now, self._leaving.items())])
        self._arm()

    def _end(self, topics: list[Topic]) -> None:
        by_exchange: dict[str, list[Topic]] = {}
        for topic in topics:
            del self._leaving[topic], self.wanted[topic]
            by_exchange.setdefault(topic.exchange, []).append(topic)
            if topic.channel is Channel.ORDER_BOOK:
                self._forget_depth(topic)
        for exchange, dropped in by_exchange.items():
            self._upstreams[exchange].drop(dropped)
        for topic in topics:
            self._ended(topic)

    def _forget_depth(self, topic: Topic) -> None:
        depths = self._depths[topic.upstream]
        depths.discard(topic)
        if not depths:
            del self._depths[topic.upstream]
