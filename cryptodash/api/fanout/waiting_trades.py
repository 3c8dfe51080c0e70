"""The trades of one topic that wait for a client, and what it lacks of them."""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import define, field

from cryptodash.core import codec
from cryptodash.core.topics import Topic
from cryptodash.hub.interfaces import Message

MAX_OLD_TRADES: Final = 200
"""Trades kept per topic for a client that does not keep up, however long they wait."""
MAX_TRADES: Final = 1000
"""Trades kept per topic of a burst: more than ``MAX_OLD_TRADES`` wait at most ``BURST_S``, so that a client that keeps
up misses none of a second in which a thousand come, and one that does not keep up does not read old ones."""
BURST_S: Final = 2.0


@define
class Missed:
    """What a client has not been sent of a topic: so many ``trades``, and where it is ``interrupted`` a gap of the
    topic's own, so that nobody knows how many are missing together."""

    trades: int = 0
    interrupted: bool = False

    def __bool__(self) -> bool:
        return bool(self.trades or self.interrupted)

    def add(self, message: Message) -> None:
        """One message more, a trade or a gap."""
        if message.kind == "gap":
            self.interrupted = True
        else:
            self.trades += 1

    def include(self, trades: WaitingTrades) -> None:
        """None of these will be sent."""
        self.trades += trades.missed.trades
        self.interrupted = self.interrupted or trades.missed.interrupted
        for message in trades.waiting:
            self.add(message)

    def message(self, topic: Topic) -> bytes:
        """Tells the client."""
        missed = None if self.interrupted else self.trades
        return codec.message("gap", codec.gap_of(topic, "slow" if self.trades else "failover", missed))


@define(eq=False)
class WaitingTrades:
    """Trades and gaps of one topic that wait, in order, and what was dropped before them."""

    topic: Topic
    waiting: deque[Message] = field(factory=deque)
    since: deque[float] = field(factory=deque)
    """Since when each of them waits; seconds, monotonic."""
    missed: Missed = field(factory=Missed)

    def add(self, message: Message, now: float) -> None:
        self.waiting.append(message)
        self.since.append(now)

    def take(self) -> Message:
        self.since.popleft()
        return self.waiting.popleft()

    def drop(self) -> Message:
        """The oldest is not sent."""
        message = self.take()
        self.missed.add(message)
        return message

    def is_too_much(self, now: float) -> bool:
        return len(self.waiting) > MAX_TRADES or (len(self.waiting) > MAX_OLD_TRADES and now - self.since[0] > BURST_S)

    @property
    def size(self) -> int:
        return sum(len(message.body) for message in self.waiting)
