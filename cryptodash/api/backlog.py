"""What waits for one client that cannot be written to: the newest of everything, in bounded memory,
never an old price as news."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import define, field

from cryptodash.api.feeds import Feed
from cryptodash.api.traffic import Traffic
from cryptodash.api.ws.frames import Build
from cryptodash.core import codec
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import Batch, IHub, Message

MAX_TRADES: Final = 200
"""Trades kept per topic for a client that does not keep up."""
TRADES_AT_ONCE: Final = 20
"""Trades of one topic sent in a row while other channels wait."""

_BOOK_KINDS: Final = frozenset(("order_book_snapshot", "order_book_delta"))

_Key = tuple[str, object]


def channel_json(topic: Topic, extra: str = "") -> str:
    """The channel as a client names it."""
    return f'{{"channel_type":"{topic.channel.value}",{topic.json}{extra}}}'


def gap_message(topic: Topic, missed: int) -> bytes:
    """Tells a client how many trades were dropped for it."""
    return codec.message("gap", f'{{"channel":{channel_json(topic)},"missed":{missed}}}')


@define(eq=False)
class _State:
    """A book or a sweep: what is due is taken from the hub when there is room,
    its status first where that has changed as well."""

    feed: Feed
    status: bool = False

    @property
    def topic(self) -> Topic:
        return self.feed.topic

    @property
    def size(self) -> int:
        return 0


@define(eq=False)
class _Value:
    """The latest message of one key."""

    message: Message

    @property
    def topic(self) -> Topic:
        return self.message.topic

    @property
    def size(self) -> int:
        return len(self.message.body)


@define(eq=False)
class _Tape:
    """The trades of one topic that wait, and how many before them were dropped."""

    topic: Topic
    waiting: deque[Message] = field(factory=deque)
    missed: int = 0

    @property
    def size(self) -> int:
        return sum(len(message.body) for message in self.waiting)


class Backlog:
    """One client's queue, in this order:

    answers to its requests; channels to be introduced (status, then present values); everything else, the longest
    unsent first, so that a client that never catches up still sees every channel move. Of values and statuses the
    latest per key waits; books and sweeps are taken from the hub when there is room; trades are sent some at a time, a
    ``gap`` first where some were dropped. ``bytes`` counts all that is stored. What would exceed ``limit`` sets
    ``overflow`` and is not stored; trades are dropped instead.
    """

    def __init__(self, hub: IHub, traffic: Traffic, limit: int, build: Build) -> None:
        self.bytes = 0
        self.overflow = False
        self._hub = hub
        self._limit = limit
        self._build = build
        self._traffic = traffic
        self._feeds: Mapping[Topic, Feed] = {}
        self._named: frozenset[Topic] = frozenset()
        self._answers: deque[bytes] = deque()
        self._introductions: dict[Feed, None] = {}
        self._queue: dict[_Key, _State | _Value | _Tape] = {}

    def __bool__(self) -> bool:
        return bool(self._answers or self._introductions or self._queue)

    def follow(self, feeds: Iterable[Feed]) -> None:
        """The client's feeds from now on; what waits of others is forgotten."""
        self._feeds = known = {feed.topic: feed for feed in feeds}
        self._named = frozenset(topic for topic in known if not topic.is_sweep)
        self._introductions = {feed: None for feed in self._introductions if feed.topic in known}
        for key, item in list(self._queue.items()):
            if item.topic not in known or (isinstance(item, _State) and known[item.topic] != item.feed):
                self._drop(key)

    def answer(self, frame: bytes) -> None:
        """Queue an answer to a request."""
        if self._has_room(len(frame)):
            self._answers.append(frame)
            self.bytes += len(frame)

    def introduce(self, feeds: Iterable[Feed]) -> None:
        """Status and present value of these are due; nothing older of them is worth sending."""
        topics = set()
        for feed in feeds:
            self._introductions[feed] = None
            topics.add(feed.topic)
        for key in [key for key, item in self._queue.items() if item.topic in topics]:
            self._drop(key)

    def take(self, message: Message | Batch) -> None:
        """One message that cannot be sent now."""
        feed = self._feeds.get(message.topic)
        if feed is None or feed in self._introductions:
            return
        if isinstance(message, Batch):
            self._due(feed)
            self._traffic.conflated.add("ticker")
        elif message.kind in _BOOK_KINDS:
            self._due(feed)
            self._traffic.conflated.add(message.kind)
        elif message.kind == "trade":
            self._take_trade(message)
        elif message.kind == "status" and (feed.topic.is_sweep or feed.topic.channel is Channel.ORDER_BOOK):
            self._due(feed).status = True  # together with the book it speaks of: an old one must not be called live
        else:
            self._take_value(message)

    def clear(self) -> None:
        """Forget everything: the client has gone."""
        self.follow(())
        self._answers.clear()
        self.bytes = 0

    def pop(self) -> bytes:
        """The next frames to send; empty where a due value is not known (or not good) now."""
        if self._answers:
            frame = self._answers.popleft()
            self.bytes -= len(frame)
            return frame
        if self._introductions:
            feed = next(iter(self._introductions))
            del self._introductions[feed]
            return b"".join(self._introduction(feed))
        key = next(iter(self._queue))
        item = self._queue.pop(key)
        if isinstance(item, _Value):
            self.bytes -= item.size
            return self._frame(item.message)
        if isinstance(item, _State):
            return b"".join(self._introduction(item.feed) if item.status else self._present(item.feed))
        if len(item.waiting) > TRADES_AT_ONCE:
            self._queue[key] = item  # again, behind all others
        return b"".join(self._some_trades(item))

    def _introduction(self, feed: Feed) -> Iterator[bytes]:
        yield self._frame(self._hub.status(feed.topic))
        yield from self._present(feed)

    def _present(self, feed: Feed) -> Iterator[bytes]:
        for message in self._hub.current(feed.topic, feed.interval):
            if not (feed.topic.is_sweep and message.topic in self._named):
                yield self._frame(message)

    def _some_trades(self, tape: _Tape) -> Iterator[bytes]:
        if tape.missed:
            self._traffic.sent.add("gap")
            yield self._build(gap_message(tape.topic, tape.missed))
            tape.missed = 0
        for _ in range(min(TRADES_AT_ONCE, len(tape.waiting))):
            message = tape.waiting.popleft()
            self.bytes -= len(message.body)
            yield self._frame(message)

    def _frame(self, message: Message) -> bytes:
        self._traffic.sent.values[(message.kind,)] += 1
        return self._build(message.body)

    def _due(self, feed: Feed) -> _State:
        item = self._queue.setdefault(("state", feed.topic), _State(feed))
        assert isinstance(item, _State)
        return item

    def _take_value(self, message: Message) -> None:
        """Keep it in the place of the one it replaces: who changes often must not wait longer for that."""
        key = (message.kind, message.topic if message.key is None else message.key)
        known = self._queue.get(key)
        replaced = known.size if known is not None else 0
        if known is not None:
            self._traffic.conflated.add(message.kind)
        if self._has_room(len(message.body) - replaced):
            self._queue[key] = _Value(message)
            self.bytes += len(message.body) - replaced
        elif known is not None:
            self._drop(key)

    def _take_trade(self, message: Message) -> None:
        tape = self._queue.setdefault(("trade", message.topic), _Tape(message.topic))
        assert isinstance(tape, _Tape)
        tape.waiting.append(message)
        self.bytes += len(message.body)
        while len(tape.waiting) > MAX_TRADES or (self.bytes > self._limit and tape.waiting):
            self.bytes -= len(tape.waiting.popleft().body)
            tape.missed += 1
            self._traffic.dropped.add("trade")

    def _drop(self, key: _Key) -> None:
        self.bytes -= self._queue.pop(key).size

    def _has_room(self, size: int) -> bool:
        if self.bytes + size > self._limit:
            self.overflow = True
        return not self.overflow
