"""What waits for one client that cannot be written to: the newest of everything, in bounded memory,
never an old price as news."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from cryptodash.api.fanout.deliveries import Delivery, improves, is_closed_bar, is_good_status
from cryptodash.api.fanout.framer import Build
from cryptodash.api.fanout.traffic import Traffic
from cryptodash.api.fanout.waiting_items import ChangedState, LatestValue, Owed, Replaying
from cryptodash.api.fanout.waiting_trades import Missed, WaitingTrades
from cryptodash.core.cursors import Cursor
from cryptodash.core.time import Clock
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.interfaces import Batch, IValues, Message

TRADES_AT_ONCE: Final = 20
"""Trades of one topic sent in a row while other channels wait."""

_LOSSLESS: Final = frozenset(("trade", "liquidation", "gap"))
"""What is said below of trades holds for liquidations as well; gaps of a topic keep their place among its own."""
_BOOK_KINDS: Final = frozenset(("order_book_snapshot", "order_book_delta"))

_Key = tuple[str, object]


def _nothing() -> None:
    """Nobody sends."""


def _close(item: object) -> None:
    if isinstance(item, Replaying):
        item.replay.close()


class ConflationQueue:
    """One client's queue, in this order:

    answers to its requests; channels whose status and present values are due; everything else, the longest
    unsent first, so that a client that never catches up still sees every channel move. Of values and statuses the
    latest per key waits; books and sweeps are taken from the hub when there is room; trades are sent some at a time, a
    ``gap`` first where some were dropped. ``bytes`` counts all that is stored. What would exceed ``limit`` sets
    ``overflow`` and is not stored; trades are dropped instead.
    """

    def __init__(
        self, values: IValues, traffic: Traffic, clock: Clock, limit: int, build: Build, address: str = ""
    ) -> None:
        """``address``: who is charged with what is read from a recording."""
        self.bytes = 0
        self.current_bytes = 0
        """What ``pop`` has given of due statuses and present values, until somebody takes note of it."""
        self.overflow = False
        self.on_ready: Callable[[], object] = _nothing
        """Called when there is something to send that had to be waited for."""
        self._source = values
        self._address = address
        self._limit = limit
        self._build = build
        self._traffic = traffic
        self._clock = clock
        self._deliveries: Mapping[Topic, Delivery] = {}
        self._named: frozenset[Topic] = frozenset()
        self._answers: deque[bytes] = deque()
        self._due_current: dict[Delivery, Owed] = {}
        self._queue: dict[_Key, ChangedState | LatestValue | WaitingTrades | Replaying] = {}
        self._awaited: dict[Topic, Replaying] = {}
        """Replays of which nothing is at hand now, but more will come."""

    def __bool__(self) -> bool:
        return self.has_next or bool(self._awaited)

    @property
    def has_next(self) -> bool:
        """Whether there is something to send now. What is only awaited holds up what comes of its own topic alone."""
        return bool(self._answers or self._due_current or self._queue)

    def follow(self, deliveries: Iterable[Delivery]) -> None:
        """The client's deliveries from now on; what waits of others is forgotten."""
        self._deliveries = known = {delivery.topic: delivery for delivery in deliveries}
        self._named = frozenset(topic for topic in known if not topic.is_sweep)
        due, self._due_current = self._due_current, {}
        for delivery, owed in due.items():
            if delivery.topic in known:
                self._due_current[known[delivery.topic]] = owed
            else:
                self.bytes -= owed.size
                _close(owed.replaying)
        for key, item in list(self._queue.items()):
            if item.topic not in known or (isinstance(item, ChangedState) and known[item.topic] != item.delivery):
                self._drop(key)
                _close(item)
        for topic in [each for each in self._awaited if each not in known]:
            _close(self._awaited.pop(topic))

    def add_answer(self, frame: bytes) -> None:
        """Queue an answer to a request."""
        if self._has_room(len(frame)):
            self._answers.append(frame)
            self.bytes += len(frame)

    def add_current(self, deliveries: Iterable[Delivery], since: Mapping[Delivery, Cursor]) -> None:
        """Status and present value of these are due, of those with a cursor in ``since`` what came after it; nothing
        older of them is worth sending but closed bars, and what is left of a replay."""
        topics = {}
        for delivery in deliveries:
            owed = topics[delivery.topic] = self._due_current.setdefault(delivery, Owed())
            if delivery in since:  # else one that waits since before still says what the client is owed
                owed.cursor = since[delivery]
        for key, item in [(key, item) for key, item in self._queue.items() if item.topic in topics]:
            self._drop(key)
            owed = topics[item.topic]
            if isinstance(item, WaitingTrades):
                owed.missed.include(item)
            elif isinstance(item, Replaying):
                owed.replaying = item
            elif isinstance(item, LatestValue) and is_closed_bar(item.message):
                self._owe(owed, item.message)
        for topic in [each for each in self._awaited if each in topics]:
            topics[topic].replaying = self._awaited.pop(topic)

    def take(self, message: Message | Batch) -> None:
        """One message that cannot be sent now."""
        delivery = self._deliveries.get(message.topic)
        if delivery is None:
            return
        if delivery in self._due_current:
            if isinstance(message, Message):
                self._owe(self._due_current[delivery], message)
            return
        if isinstance(message, Batch):
            self._due(delivery)
            self._traffic.conflated.add("ticker")
        elif message.kind in _BOOK_KINDS:
            self._due(delivery)
            self._traffic.conflated.add(message.kind)
        elif self._is_replaying(message.topic) and message.kind != "status":
            return  # it is read like all else that the client lacks
        elif message.kind in _LOSSLESS:
            self._take_trade(message)
        elif message.kind == "status" and (delivery.topic.is_sweep or delivery.topic.channel is Channel.ORDER_BOOK):
            self._due(delivery).status = True  # together with the book it speaks of: an old one must not be called live
        else:
            self._take_value(message)

    def clear(self) -> None:
        """Forget everything: the client has gone."""
        self.on_ready = _nothing  # whoever sends holds the queue: a ring would be left for the collector
        self.follow(())
        self._answers.clear()
        self.bytes = 0

    def pop(self) -> bytes:
        """The next frames to send; empty where a due value is not known (or not good) now."""
        if self._answers:
            frame = self._answers.popleft()
            self.bytes -= len(frame)
            return frame
        if self._due_current:
            delivery = next(iter(self._due_current))
            owed = self._due_current.pop(delivery)
            self.bytes -= owed.size
            frames = b"".join(
                self._status_and_replay(delivery, owed) if owed.is_replay else self._status_and_values(delivery, owed)
            )
            self.current_bytes += len(frames)
            return frames
        key = next(iter(self._queue))
        item = self._queue.pop(key)
        if isinstance(item, LatestValue):
            self.bytes -= item.size
            return self._frame(item.message)
        if isinstance(item, ChangedState):
            return b"".join(self._changed_state(item.delivery) if item.status else self._values(item.delivery))
        if isinstance(item, Replaying):
            frames = b"".join(self._some_replayed(item))
            self.current_bytes += len(frames)
            if item.replay.left:
                self._queue[key] = item  # again, behind all others
            elif item.replay.is_waiting:
                self._awaited[item.topic] = item
            return frames
        if len(item.waiting) > TRADES_AT_ONCE:
            self._queue[key] = item
        return b"".join(self._some_trades(item))

    def _status_and_values(self, delivery: Delivery, owed: Owed | None = None) -> Iterator[bytes]:
        yield self._frame(self._source.status(delivery.topic))
        yield from self._values(delivery, owed)

    def _status_and_replay(self, delivery: Delivery, owed: Owed) -> Iterator[bytes]:
        yield self._frame(self._source.status(delivery.topic))
        item = owed.replaying
        if owed.cursor is not None:
            _close(item)
            replay = self._source.replay(delivery.topic, owed.cursor, self._address)
            item = Replaying(delivery, replay)
            replay.on_ready = partial(self._is_ready, item)
        assert item is not None
        self._queue["lossless", delivery.topic] = item

    def _some_replayed(self, item: Replaying) -> Iterator[bytes]:
        for message in item.replay.read(TRADES_AT_ONCE):
            yield self._frame(message)
        if item.replay.outcome and not item.is_counted:
            item.is_counted = True
            self._traffic.resumed.add(item.topic.channel.value, item.replay.outcome)
        if item.topic.channel is Channel.CANDLE and not (item.replay.left or item.replay.is_waiting):
            for message in self._source.current(item.topic, item.delivery.interval):
                if not is_closed_bar(message):  # of closed ones the client has all now
                    yield self._frame(message)

    def _is_replaying(self, topic: Topic) -> bool:
        return topic in self._awaited or isinstance(self._queue.get(("lossless", topic)), Replaying)

    def _is_ready(self, item: Replaying) -> None:
        """More of a replay is at hand."""
        if self._awaited.get(item.topic) is item:
            self._queue["lossless", item.topic] = self._awaited.pop(item.topic)
            self.on_ready()

    def _changed_state(self, delivery: Delivery) -> Iterator[bytes]:
        """A status that says that all is well comes behind the value that makes it so: a client on a slow line reads
        what is sent first for some time before it reads the rest."""
        status = self._source.status(delivery.topic)
        if not is_good_status(status):
            yield self._frame(status)
        yield from self._values(delivery)
        if is_good_status(status):
            yield self._frame(status)

    def _values(self, delivery: Delivery, owed: Owed | None = None) -> Iterator[bytes]:
        current = self._source.current(delivery.topic, delivery.interval)
        if owed is not None:
            if owed.missed:
                owed.missed.trades = max(0, owed.missed.trades - len(current))
                self._traffic.dropped.add(delivery.topic.channel.value, by=owed.missed.trades)
                yield from self._gap(delivery.topic, owed.missed)
            present = {message.key for message in current}
            for key, message in owed.closed.items():
                if key not in present:
                    yield self._frame(message)
        for message in current:
            if not (delivery.topic.is_sweep and message.topic in self._named):
                yield self._frame(message)

    def _some_trades(self, trades: WaitingTrades) -> Iterator[bytes]:
        self._drop_too_many(trades)
        yield from self._gap(trades.topic, trades.missed)
        trades.missed = Missed()
        for _ in range(min(TRADES_AT_ONCE, len(trades.waiting))):
            message = trades.take()
            self.bytes -= len(message.body)
            yield self._frame(message)

    def _gap(self, topic: Topic, missed: Missed) -> Iterator[bytes]:
        if missed:
            self._traffic.sent.add("gap")
            yield self._build(missed.message(topic))

    def _frame(self, message: Message) -> bytes:
        self._traffic.sent.add(message.kind)
        return self._build(message.body)

    def _due(self, delivery: Delivery) -> ChangedState:
        item = self._queue.setdefault(("state", delivery.topic), ChangedState(delivery))
        assert isinstance(item, ChangedState)
        return item

    def _take_value(self, message: Message) -> None:
        """Keep it in the place of the one it replaces: who changes often must not wait longer for that. Only a status
        that gets better stays behind the values that make it so."""
        key = (message.kind, message.topic if message.key is None else message.key)
        known = self._queue.get(key)
        if known is not None:
            self._traffic.conflated.add(message.kind)
            if (
                isinstance(known, LatestValue)
                and message.kind == "status"
                and self._gets_better(message, known.message)
            ):
                self._drop(key)
                known = None
        replaced = known.size if known is not None else 0
        if self._has_room(len(message.body) - replaced):
            self._queue[key] = LatestValue(message)
            self.bytes += len(message.body) - replaced
        elif known is not None:
            self._drop(key)

    @staticmethod
    def _gets_better(status: Message, waiting: Message) -> bool:
        """Whether a status says more good things than the one that waits; one that is good says so of the newest."""
        return is_good_status(status) or improves(status, waiting)

    def _owe(self, owed: Owed, message: Message) -> None:
        """What the present value, once it is sent, will not have told."""
        if owed.is_replay:
            return  # it will be read
        if message.kind in _LOSSLESS:
            owed.missed.add(message)
        elif is_closed_bar(message):
            known = owed.closed.get(message.key)
            grown = len(message.body) - (len(known.body) if known is not None else 0)
            if self._has_room(grown):
                owed.closed[message.key] = message
                self.bytes += grown

    def _take_trade(self, message: Message) -> None:
        trades = self._queue.setdefault(("lossless", message.topic), WaitingTrades(message.topic))
        assert isinstance(trades, WaitingTrades)
        trades.add(message, self._clock.monotonic())
        self.bytes += len(message.body)
        self._drop_too_many(trades)

    def _drop_too_many(self, trades: WaitingTrades) -> None:
        now = self._clock.monotonic()
        while trades.is_too_much(now) or (self.bytes > self._limit and trades.waiting):
            dropped = trades.drop()
            self.bytes -= len(dropped.body)
            self._traffic.dropped.add(trades.topic.channel.value, by=dropped.kind != "gap")

    def _drop(self, key: _Key) -> None:
        self.bytes -= self._queue.pop(key).size

    def _has_room(self, size: int) -> bool:
        if self.bytes + size > self._limit:
            self.overflow = True
        return not self.overflow
