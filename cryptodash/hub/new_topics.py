"""New topics are rationed: who opens something at a venue waits for its turn when it opens much.

A topic is new when it would open something at a venue: nobody holds it, and it does not linger. Sharing what others
hold, subscribing again and reconnecting cost nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from attrs import frozen

from cryptodash.core.errors import Refused
from cryptodash.core.time import Clock
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.rations import Rations
from cryptodash.hub.stream_counts import StreamCounts

MOST_WAITING: Final = 1_000
"""New topics of one client that may wait."""
OPENED_A_TURN: Final = 50
LOOKED_AT_A_TURN: Final = 500
"""Clients."""
ADDRESS_TIMES: Final = 5
"""How many times as much as one client an address may open."""
BOOKS: Final = (1.0, 100)
OTHERS: Final = (10.0, 1_000)
"""New topics of one client: a second in the long run, and at once."""

Lane = tuple[str, bool]
"""Venue, and whether the topics are order books: what waits in one lane does not hold up another."""


@frozen
class Holder:
    """On whose behalf a topic is held: a client, and the address it comes from (IPv6: its /64)."""

    client: str
    address: str


SERVER: Final = Holder("", "")
"""The server itself: whatever it holds is opened at once."""


class NewTopics:
    """Decides which upstream topics may be opened, and which client's turn it is.

    It knows of a topic from ``ask`` until ``closed``, and opens nothing itself.
    """

    def __init__(self, clock: Clock, streams: StreamCounts) -> None:
        self.waiting: dict[Topic, Counter[Holder]] = {}
        """Who wants each topic that waits, and how often."""
        self._streams = streams
        self._lanes: dict[Holder, dict[Lane, dict[Topic, None]]] = {}
        """What each client waits for; the clients in the order of their turns."""
        self._waiting_of: Counter[Holder] = Counter()
        self._of_client = {
            True: Rations(*BOOKS, clock),
            False: Rations(*OTHERS, clock),
        }
        self._of_address = {
            is_book: Rations(rate * ADDRESS_TIMES, burst * ADDRESS_TIMES, clock)
            for is_book, (rate, burst) in ((True, BOOKS), (False, OTHERS))
        }

    def check(self, topic: Topic, holder: Holder) -> None:
        """Raises ``Refused`` ``rate_limited`` where so many of the client's topics wait that this one cannot."""
        if self._waiting_of[holder] >= MOST_WAITING and topic not in self._lanes[holder].get(_lane(topic), ()):
            raise Refused("rate_limited", f"{MOST_WAITING} new channels of yours wait already", 429)
        if not self._waiting_of[holder]:
            del self._waiting_of[holder]

    def ask(self, topic: Topic, holder: Holder) -> bool:
        """Somebody wants a topic that is not open: True if it is to be opened now, else it waits."""
        if not self._lanes.get(holder, {}).get(_lane(topic)) and self._may_open(topic, holder):
            self._open(topic, holder)
            return True
        wanted_by = self.waiting.setdefault(topic, Counter())
        wanted_by[holder] += 1
        if wanted_by[holder] == 1:
            self._lanes.setdefault(holder, {}).setdefault(_lane(topic), {})[topic] = None
            self._waiting_of[holder] += 1
        return False

    def leave(self, topic: Topic, holder: Holder) -> None:
        """One of its holds of a topic that waits is over."""
        wanted_by = self.waiting.get(topic)
        if wanted_by is None or holder not in wanted_by:
            return
        wanted_by[holder] -= 1
        if not wanted_by[holder]:
            del wanted_by[holder]
            self._leave_lane(topic, holder)
        if not wanted_by:
            del self.waiting[topic]

    def next(self) -> Iterator[tuple[Topic, Holder]]:
        """What may be opened now, in turn by client, a bounded number. It counts as opened when it is given."""
        left, looks = OPENED_A_TURN, LOOKED_AT_A_TURN
        moved = True
        while moved and left > 0 and looks > 0:
            moved = False
            for holder in list(self._lanes)[:looks]:
                looks -= 1
                for topic in self._first_of_each_lane(holder):
                    if topic in self.waiting and self._may_open(topic, holder):
                        self._open(topic, holder)
                        moved = True
                        left -= 1
                        yield topic, holder
                if left <= 0:
                    return

    def _first_of_each_lane(self, holder: Holder) -> list[Topic]:
        """What the client's turn is about; its next one comes after those of all others."""
        lanes = self._lanes.pop(holder, None)
        if lanes is None:
            return []
        self._lanes[holder] = lanes
        return [next(iter(lane)) for lane in lanes.values()]

    def closed(self, topic: Topic) -> None:
        """An open topic has ended."""
        self._streams.closed(topic)

    def _may_open(self, topic: Topic, holder: Holder) -> bool:
        if holder == SERVER:
            return True
        is_book = topic.channel is Channel.ORDER_BOOK
        return (
            self._of_client[is_book].has(holder.client)
            and self._of_address[is_book].has(holder.address)
            and self._streams.has_room(topic, holder.address)
        )

    def _open(self, topic: Topic, holder: Holder) -> None:
        for each in self.waiting.pop(topic, ()):
            self._leave_lane(topic, each)
        if holder != SERVER:
            is_book = topic.channel is Channel.ORDER_BOOK
            self._of_client[is_book].take(holder.client)
            self._of_address[is_book].take(holder.address)
        self._streams.opened(topic, holder.address)

    def _leave_lane(self, topic: Topic, holder: Holder) -> None:
        lanes, lane = self._lanes[holder], _lane(topic)
        del lanes[lane][topic]
        if not lanes[lane]:
            del lanes[lane]
        if not lanes:
            del self._lanes[holder]
        self._waiting_of[holder] -= 1
        if not self._waiting_of[holder]:
            del self._waiting_of[holder]


def _lane(topic: Topic) -> Lane:
    return topic.exchange, topic.channel is Channel.ORDER_BOOK
