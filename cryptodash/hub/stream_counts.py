"""How many streams are open at each venue, and who opened them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from cryptodash.core.interfaces import ITopicSource
from cryptodash.core.topics import Topic

ASSUMED: Final = 4
"""Streams that a topic is counted with until the venue knows: no more than a ticker has anywhere."""
SHARE_OF_ADDRESS: Final = 0.4


class StreamCounts:
    """Counts of upstream topics: per venue at most ``most`` streams, and of these at most two fifths for one address.

    Streams that two topics share are counted twice. A topic counts for the address that opened it, as long as it is
    open; for the empty address, the server itself, nothing is refused.
    """

    def __init__(self, upstreams: Mapping[str, ITopicSource], most: int) -> None:
        self._upstreams = upstreams
        self.limit(most)
        self._of_topic: dict[Topic, tuple[str, int]] = {}
        self._assumed: set[Topic] = set()
        self._of_venue: Counter[str] = Counter()
        self._of_address: Counter[tuple[str, str]] = Counter()

    def limit(self, most: int) -> None:
        """Another limit from now on: what is open stays."""
        self._most = most
        self._most_of_address = int(most * SHARE_OF_ADDRESS)

    def has_room(self, topic: Topic, address: str) -> bool:
        """Whether the topic may be opened for the address."""
        if not address:
            return True
        streams = self._streams_of(topic)
        exchange = topic.exchange
        return (
            self._of_venue[exchange] + streams <= self._most
            and self._of_address[exchange, address] + streams <= self._most_of_address
        )

    def opened(self, topic: Topic, address: str) -> None:
        """The topic is opened."""
        streams = self._upstreams[topic.exchange].streams_of(topic)
        if streams is None:
            self._assumed.add(topic)
        self._of_topic[topic] = address, 0
        self._count(topic, ASSUMED if streams is None else streams)

    def closed(self, topic: Topic) -> None:
        """It is open no more."""
        if topic in self._of_topic:
            self._count(topic, 0)
            del self._of_topic[topic]
            self._assumed.discard(topic)

    def catalogue_changed(self, exchange: str) -> None:
        """What was assumed may be known now."""
        for topic in [each for each in self._assumed if each.exchange == exchange]:
            streams = self._upstreams[exchange].streams_of(topic)
            if streams is not None:
                self._assumed.discard(topic)
                self._count(topic, streams)

    def total(self, exchange: str) -> int:
        """Streams open at the venue."""
        return self._of_venue[exchange]

    def _streams_of(self, topic: Topic) -> int:
        streams = self._upstreams[topic.exchange].streams_of(topic)
        return ASSUMED if streams is None else streams

    def _count(self, topic: Topic, streams: int) -> None:
        address, before = self._of_topic[topic]
        self._of_topic[topic] = address, streams
        self._of_venue[topic.exchange] += streams - before
        key = topic.exchange, address
        self._of_address[key] += streams - before
        if not self._of_address[key]:
            del self._of_address[key]
