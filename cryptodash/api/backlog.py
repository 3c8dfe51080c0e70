"""What waits for one client that cannot be written to: the newest of everything, in bounded memory, never an old price as news."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import define, field

from cryptodash.api.feeds import Feed
from cryptodash.api.frames import text_frame
from cryptodash.api.traffic import Traffic
from cryptodash.core import codec
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Batch, IHub, Message

MAX_TRADES: Final = 200
"""Trades kept per topic for a client that does not keep up."""

_BOOK_KINDS: Final = frozenset(("order_book_snapshot", "order_book_delta"))


def channel_json(topic: Topic, extra: str = "") -> str:
    """The channel as a client names it."""
    return f'{{"channel_type":"{topic.channel.value}",{topic.json}{extra}}}'


def gap_frame(topic: Topic, missed: int) -> bytes:
    """Tells a client how many trades were dropped for it."""
    return text_frame(codec.message("gap", f'{{"channel":{channel_json(topic)},"missed":{missed}}}'))


@define(eq=False)
class _Tape:
    """The trades of one topic that wait, and how many before them were dropped."""

    waiting: deque[Message] = field(factory=deque)
    missed: int = 0


class Backlog:
    """One client's queue, in this order:

    answers to its requests; channels to be introduced (status, then present values); latest values and statuses by key, the longest unsent first;
    books and sweeps, whose state is taken from the hub when there is room; trades, a ``gap`` first where some were dropped.
    ``bytes`` counts all that is stored. What would exceed ``limit`` sets ``overflow`` and is not stored; trades are dropped instead.
    """

    def __init__(self, hub: IHub, traffic: Traffic, limit: int) -> None:
        self.bytes = 0
        self.overflow = False
        self._hub = hub
        self._limit = limit
        self._traffic = traffic
        self._feeds: Mapping[Topic, Feed] = {}
        self._named: frozenset[Topic] = frozenset()
        self._answers: deque[bytes] = deque()
        self._introductions: dict[Feed, None] = {}
        self._values: dict[tuple[str, object], Message] = {}
        self._refresh: dict[Feed, None] = {}
        self._tapes: dict[Topic, _Tape] = {}

    def __bool__(self) -> bool:
        return bool(self._answers or self._introductions or self._values or self._refresh or self._tapes)

    def follow(self, feeds: Iterable[Feed]) -> None:
        """The client's feeds from now on; what waits of others is forgotten."""
        self._feeds = {feed.topic: feed for feed in feeds}
        self._named = frozenset(topic for topic in self._feeds if not topic.is_sweep)
        known = self._feeds
        self._introductions = {feed: None for feed in self._introductions if feed.topic in known}
        self._refresh = {feed: None for feed in self._refresh if known.get(feed.topic) == feed}
        self._drop_values([key for key, message in self._values.items() if message.topic not in known])
        for topic in [topic for topic in self._tapes if topic not in known]:
            self._drop_tape(topic)

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
            self._refresh.pop(feed, None)
            self._drop_tape(feed.topic)
            topics.add(feed.topic)
        self._drop_values([key for key, message in self._values.items() if message.topic in topics])

    def take(self, message: Message | Batch) -> None:
        """One message that cannot be sent now."""
        feed = self._feeds.get(message.topic)
        if feed is None or feed in self._introductions:
            return
        if isinstance(message, Batch) or message.kind in _BOOK_KINDS:
            self._refresh[feed] = None
            self._traffic.conflated.add("ticker" if isinstance(message, Batch) else message.kind)
        elif message.kind == "trade":
            self._take_trade(message)
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
        if self._values:
            message = self._values.pop(next(iter(self._values)))
            self.bytes -= len(message.body)
            return self._frame(message)
        if self._refresh:
            feed = next(iter(self._refresh))
            del self._refresh[feed]
            return b"".join(self._present(feed))
        return self._pop_trade(next(iter(self._tapes)))

    def _introduction(self, feed: Feed) -> Iterator[bytes]:
        yield self._frame(self._hub.status(feed.topic))
        yield from self._present(feed)

    def _present(self, feed: Feed) -> Iterator[bytes]:
        for message in self._hub.current(feed.topic, feed.interval):
            if not (feed.topic.is_sweep and message.topic in self._named):
                yield self._frame(message)

    def _frame(self, message: Message) -> bytes:
        self._traffic.sent.values[(message.kind,)] += 1
        return text_frame(message.body)

    def _take_value(self, message: Message) -> None:
        key = (message.kind, message.topic if message.key is None else message.key)
        replaced = self._values.get(key)
        if replaced is not None:
            self.bytes -= len(replaced.body)
            self._traffic.conflated.add(message.kind)
            del self._values[key]
        if self._has_room(len(message.body)):
            self._values[key] = message
            self.bytes += len(message.body)

    def _take_trade(self, message: Message) -> None:
        tape = self._tapes.get(message.topic)
        if tape is None:
            tape = self._tapes[message.topic] = _Tape()
        tape.waiting.append(message)
        self.bytes += len(message.body)
        while len(tape.waiting) > MAX_TRADES or (self.bytes > self._limit and tape.waiting):
            self.bytes -= len(tape.waiting.popleft().body)
            tape.missed += 1
            self._traffic.dropped.add("trade")

    def _pop_trade(self, topic: Topic) -> bytes:
        tape = self._tapes[topic]
        if tape.missed:
            gap = gap_frame(topic, tape.missed)
            self._traffic.sent.add("gap")
            tape.missed = 0
            if not tape.waiting:
                del self._tapes[topic]
            return gap
        message = tape.waiting.popleft()
        self.bytes -= len(message.body)
        if not tape.waiting:
            del self._tapes[topic]
        return self._frame(message)

    def _drop_values(self, keys: Iterable[tuple[str, object]]) -> None:
        for key in keys:
            self.bytes -= len(self._values.pop(key).body)

    def _drop_tape(self, topic: Topic) -> None:
        tape = self._tapes.pop(topic, None)
        if tape is not None:
            self.bytes -= sum(len(message.body) for message in tape.waiting)

    def _has_room(self, size: int) -> bool:
        if self.bytes + size > self._limit:
            self.overflow = True
        return not self.overflow
