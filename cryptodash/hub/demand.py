"""Who wants what: holds per topic and publishing interval, and a linger before the last release reaches the venue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import takewhile
from typing import Protocol

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from cryptodash.core.config import Config
from cryptodash.core.interfaces import ITopicSource
from cryptodash.core.tally import Labels
from cryptodash.core.time import Clock
from cryptodash.core.topics import COMPOSITE, Channel, Topic
from cryptodash.hub.book_clients import BookClients
from cryptodash.hub.interfaces import IDemand
from cryptodash.hub.new_topics import SERVER, Holder, NewTopics
from cryptodash.hub.stream_counts import StreamCounts
from cryptodash.hub.view_interval import interval_for

LINGERING_KEPT = 5_000
"""Topics nobody holds that may wait for their end at a time; beyond it the oldest ends early."""
_SLACK = 0.001
_NOBODY: Mapping[int, int] = {}


TURN = 0.1
"""Seconds between two looks at what waits to be opened."""


@implementer(IDemand)
class Demand:
    """Holds and releases. ``started(topic)`` is called before a topic is wanted upstream, ``ended(topic)`` after it was
    dropped, ``paced(topic, intervals)`` before the intervals of an order book change upstream,
    ``waits(topic, whether)`` when an upstream topic has to wait until it may be opened, and when it is.

    A topic is wanted from its first hold until the linger after its last release; a hold within the linger costs no
    upstream traffic. The linger is the same for all, so the order of leaving is the order of deadlines
    and one timer serves every topic. A new one may have to wait for its turn (``NewTopics``); it then does not linger.
    Nor does a derived one: its parts do, and it is made of them again when it is wanted again.
    """

    def __init__(
        self,
        upstreams: Mapping[str, ITopicSource],
        clock: Clock,
        scheduler: IReactorTime,
        config: Config,
        started: Callable[[Topic], None],
        ended: Callable[[Topic], None],
        paced: Callable[[Topic, Sequence[int]], None],
        waits: Callable[[Topic, bool], None],
    ) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._scheduler = scheduler
        self._linger = config.upstream_linger_s
        self._book_interval_ms = config.book_interval_ms
        self._started = started
        self._ended = ended
        self._paced = paced
        self._waits = waits
        self.wanted: dict[Topic, dict[int, int]] = {}
        """Every topic wanted, with how many hold it at each interval (nobody: lingering)."""
        self.streams = StreamCounts(upstreams, config.limits.max_upstream_streams)
        self._new = NewTopics(clock, self.streams)
        self._waiting = self._new.waiting
        self._depths: dict[Topic, dict[Topic, None]] = {}
        self._clients = BookClients()
        self._leaving: dict[Topic, float] = {}
        self._timer: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None

    def for_client(self, client: str, address: str) -> ClientDemand:
        return ClientDemand(self, Holder(client, address))

    def view_interval(self, topic: Topic, max_rate: float | None) -> int:
        return interval_for(self._book_interval_ms, max_rate) if topic.channel is Channel.ORDER_BOOK else 0

    def hold(self, topic: Topic, interval: int, holder: Holder = SERVER) -> None:
        upstream = self._upstreams[topic.exchange]
        held = self.wanted.get(topic)
        is_book = topic.channel is Channel.ORDER_BOOK
        if held and interval in held and not is_book and not self._waiting:
            held[interval] += 1
            return
        is_open = (held is not None and not self._waiting) or self._is_open(topic.upstream)
        if not is_open:
            self._new.check(topic.upstream, holder)
        if held is None:
            held = self._begin(topic)
            if is_open:
                upstream.want([topic], (holder.client,))
        self._leaving.pop(topic, None)
        held[interval] = held.get(interval, 0) + 1
        if is_book:
            self._count_client(topic, holder.client, 1, tell=is_open)
        if not is_open:
            self._open_or_wait(topic.upstream, holder)
        if held[interval] == 1:
            self._pace(topic)

    def release(self, topic: Topic, interval: int, holder: Holder = SERVER) -> None:
        """One less; releasing what nobody holds is no error."""
        held = self.wanted.get(topic)
        if not held or interval not in held:
            return
        held[interval] -= 1
        if not held[interval]:
            del held[interval]
        waits = bool(self._waiting) and topic.upstream in self._waiting
        if topic.channel is Channel.ORDER_BOOK:
            self._count_client(topic, holder.client, -1, tell=not waits)
        if waits:
            self._new.leave(topic.upstream, holder)
            if not held:
                self._forget(topic)
        elif not held and topic.exchange == COMPOSITE:
            self._end([topic])  # kept, it would go on being made, and every depth of its book with each of the others
        elif not held:
            self._leaving[topic] = self._clock.monotonic() + self._linger
            if len(self._leaving) > LINGERING_KEPT:
                self._end([next(iter(self._leaving))])
            self._arm()
        if interval not in held and topic in self.wanted:
            self._pace(topic)

    # -- what is new

    def _is_open(self, book: Topic) -> bool:
        return self.wants(book) and book not in self._waiting

    def _begin(self, topic: Topic) -> dict[int, int]:
        """The topic is wanted from now on."""
        held = self.wanted[topic] = {}
        if topic.channel is Channel.ORDER_BOOK:
            self._depths.setdefault(topic.upstream, {})[topic] = None
        self._started(topic)
        return held

    def _open_or_wait(self, book: Topic, holder: Holder) -> None:
        was_waiting = book in self._waiting
        if self._new.ask(book, holder):
            self._open(book, was_waiting=was_waiting)
            return
        if not was_waiting:
            self._waits(book, True)
        if self._turn is None:
            self._turn = self._scheduler.callLater(TURN, self._take_turns)

    def _open(self, book: Topic, *, was_waiting: bool) -> None:
        """Want it upstream: all depths, of an order book."""
        if was_waiting:
            self._waits(book, False)
        upstream = self._upstreams[book.exchange]
        for topic in list(self._views_of(book)):
            upstream.want([topic], self._clients.of(topic))
            if was_waiting:
                self._pace(topic)

    def _take_turns(self) -> None:
        """Open what may be opened now, and come back while anything waits."""
        self._turn = None
        for book, _ in self._new.next():
            self._open(book, was_waiting=True)
        if self._waiting:
            self._turn = self._scheduler.callLater(TURN, self._take_turns)

    def _count_client(self, topic: Topic, client: str, change: int, *, tell: bool) -> None:
        """One of the clients of an order book has come or gone; ``tell`` the venue, if it has the book already."""
        is_held = bool(self.wanted[topic])
        changed = self._clients.count(topic, client, change)
        if tell and (changed or not is_held):
            self._upstreams[topic.exchange].held(topic, self._clients.of(topic) if is_held else None)

    def _pace(self, topic: Topic) -> None:
        """The intervals at which an order book is looked at have changed."""
        if topic.channel is Channel.ORDER_BOOK:
            intervals = tuple(sorted(each for each in self.wanted.get(topic, ()) if each))
            self._paced(topic, intervals)
            if self._is_open(topic.upstream):
                self._upstreams[topic.exchange].pace(topic, intervals)

    def wants(self, topic: Topic) -> bool:
        """Whether the topic, or any depth of this upstream book, is wanted."""
        return topic in self.wanted or topic in self._depths

    def depths(self, book: Topic) -> Collection[Topic]:
        """The wanted depths of an upstream book, lingering ones included, in the order in which they came."""
        return self._depths.get(book, {})

    def clients_of(self, topic: Topic) -> int:
        return sum(sum(self.wanted.get(each, _NOBODY).values()) for each in self._views_of(topic))

    def _views_of(self, topic: Topic) -> Collection[Topic]:
        depths = self._depths.get(topic)
        return (topic,) if depths is None else depths

    def waiting_counts(self) -> Mapping[Labels, float]:
        """How many upstream topics of each venue wait to be opened."""
        counts = Counter(topic.exchange for topic in self._waiting)
        return {(exchange,): counts[exchange] for exchange in self._upstreams if exchange != COMPOSITE}

    def catalogue_changed(self, exchange: str) -> None:
        """The venue knows more of its instruments."""
        self.streams.catalogue_changed(exchange)

    def stop(self) -> None:
        """No timer is left; nothing is opened or dropped any more."""
        for timer in (self._timer, self._turn):
            if timer is not None:
                timer.cancel()
        self._timer = self._turn = None

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
            self._leaving.pop(topic, None)
            del self.wanted[topic]
            by_exchange.setdefault(topic.exchange, []).append(topic)
            if topic.channel is Channel.ORDER_BOOK:
                self._forget_depth(topic)
        for exchange, dropped in by_exchange.items():
            self._upstreams[exchange].drop(dropped)
        for topic in topics:
            self._ended(topic)
            if not self.wants(topic.upstream):
                self._new.closed(topic.upstream)

    def _forget(self, topic: Topic) -> None:
        """A topic that was never opened is wanted no more: there is nothing that could linger."""
        del self.wanted[topic]
        if topic.channel is Channel.ORDER_BOOK:
            self._forget_depth(topic)
        self._ended(topic)

    def _forget_depth(self, topic: Topic) -> None:
        depths = self._depths[topic.upstream]
        depths.pop(topic, None)
        if not depths:
            del self._depths[topic.upstream]


class Holds(Protocol):
    """A demand that counts on whose behalf a topic is held."""

    def for_client(self, client: str, address: str) -> ClientDemand: ...

    def view_interval(self, topic: Topic, max_rate: float | None) -> int: ...

    def hold(self, topic: Topic, interval: int, holder: Holder) -> None: ...

    def release(self, topic: Topic, interval: int, holder: Holder) -> None: ...

    def clients_of(self, topic: Topic) -> int: ...


@implementer(IDemand)
@frozen
class ClientDemand:
    """The same demand on behalf of one client: what is new of it is rationed."""

    _demand: Holds
    _holder: Holder

    def for_client(self, client: str, address: str) -> ClientDemand:
        return self._demand.for_client(client, address)

    def view_interval(self, topic: Topic, max_rate: float | None) -> int:
        return self._demand.view_interval(topic, max_rate)

    def hold(self, topic: Topic, interval: int) -> None:
        self._demand.hold(topic, interval, self._holder)

    def release(self, topic: Topic, interval: int) -> None:
        self._demand.release(topic, interval, self._holder)

    def clients_of(self, topic: Topic) -> int:
        return self._demand.clients_of(topic)
