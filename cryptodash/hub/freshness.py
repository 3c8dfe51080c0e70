"""How far each topic can be trusted: what its venue last said, and the age of what we hold."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from cryptodash.core.events import State, StreamStatus
from cryptodash.core.interfaces import ITopicSource
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.hub.encode import status_message
from cryptodash.hub.interfaces import Message


class Freshness:
    """Statuses by upstream topic: every depth of an order book shares its book's, under its own name."""

    def __init__(self, upstreams: Mapping[str, ITopicSource], clock: Clock) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._statuses: dict[Topic, StreamStatus] = {}

    def expect(self, topic: Topic) -> None:
        """The topic is wanted from now on: ``connecting`` until the venue says otherwise."""
        book = topic.upstream
        if book not in self._statuses:
            self._statuses[book] = StreamStatus(book, State.CONNECTING, since=self._clock.wall_ms())

    def put(self, status: StreamStatus) -> bool:
        """Take the news; False if it is none (only ``since`` differs: the earlier one stays)."""
        topic = status.topic.upstream
        known = self._statuses.get(topic)
        if known is not None and (known.state, known.cause, known.fields, known.renamed) == (
            status.state,
            status.cause,
            status.fields,
            status.renamed,
        ):
            return False
        self._statuses[topic] = status if status.topic is topic else replace(status, topic=topic)
        return True

    def forget(self, topic: Topic) -> None:
        self._statuses.pop(topic, None)

    def of(self, topic: Topic) -> StreamStatus:
        """The topic's status, under the name it was asked by."""
        status = self._statuses.get(topic.upstream)
        if status is None:
            return StreamStatus(topic, State.CONNECTING, since=self._clock.wall_ms())
        return status if status.topic is topic else replace(status, topic=topic)

    def age_ms(self, topic: Topic) -> int | None:
        """Milliseconds since a frame last confirmed the value; None before the first."""
        confirmed = self._upstreams[topic.exchange].confirmed_at(topic.upstream)
        return None if confirmed is None else max(0, round((self._clock.monotonic() - confirmed) * 1000))

    def message(self, topic: Topic) -> Message:
        return status_message(self.of(topic), source=self._upstreams[topic.exchange].source, age_ms=self.age_ms(topic))

    def __len__(self) -> int:
        return len(self._statuses)
