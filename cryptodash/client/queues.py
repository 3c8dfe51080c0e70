"""What waits for a consumer inside the program: bounded, each and all together.

Of latest values one waits, the newest. Trades and closed candles wait in order; what does not fit is dropped, oldest
first, and a ``Gap`` with the reason ``consumer`` stands in its place.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from attrs import define

from cryptodash.client.book import Book
from cryptodash.client.channels import Channel
from cryptodash.client.values import Candle, Gap, Value

MOST_WAITING = 10_000
"""Messages of one stream."""
MOST_TOGETHER = 100_000
"""Messages of all streams of a client."""

Item = Value | Book | Gap


@define
class Room:
    """What all queues of a client may hold together."""

    most: int = MOST_TOGETHER
    taken: int = 0


class Queue(Protocol):
    """What waits for one consumer."""

    def put(self, item: Item) -> None:
        """Never refused: what there is no room for takes the place of something older."""

    def get(self) -> Item | None:
        """The next, None if nothing waits."""

    def clear(self) -> None:
        """Give the room back."""


class LatestQueue:
    """The newest of each symbol (a sweep has many). It holds what a client holds anyway."""

    def __init__(self) -> None:
        self._waiting: dict[str, Item] = {}

    def put(self, item: Item) -> None:
        self._waiting["" if isinstance(item, Gap) else item.symbol] = item

    def get(self) -> Item | None:
        return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def clear(self) -> None:
        self._waiting.clear()


class LosslessQueue:
    """All, in order. Of a running candle only the newest; a closed one stays."""

    def __init__(self, channel: Channel, room: Room, most: int = MOST_WAITING) -> None:
        self._channel, self._room, self._most = channel, room, most
        self._waiting: deque[Item] = deque()
        self._dropped = 0

    def put(self, item: Item) -> None:
        waiting, room = self._waiting, self._room
        newest = waiting[-1] if waiting else None
        if isinstance(newest, Candle) and not newest.closed and isinstance(item, Candle):
            waiting.pop()  # that bar again, or the one after it, which the closed one comes before
            room.taken -= 1
        while waiting and (len(waiting) >= self._most or room.taken >= room.most):
            waiting.popleft()
            room.taken -= 1
            self._dropped += 1
        if room.taken >= room.most:  # others have taken all of it
            self._dropped += 1
            return
        waiting.append(item)
        room.taken += 1

    def get(self) -> Item | None:
        if self._dropped:
            missed, self._dropped = self._dropped, 0
            return Gap(self._channel, "consumer", missed)
        if not self._waiting:
            return None
        self._room.taken -= 1
        return self._waiting.popleft()

    def clear(self) -> None:
        self._room.taken -= len(self._waiting)
        self._waiting.clear()
