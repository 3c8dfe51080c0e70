"""Topics of ``SYMBOLS`` that are derived of several venues: those whose symbol none has, which no venue would tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from twisted.logger import Logger

from cryptodash.core.topics import COMPOSITE, Topic

_log = Logger(namespace="cryptodash.hub.kept_topics")


class KeptTopics:
    """``parts_of`` tells what a derived topic is made of now: while a venue's catalogue was not read yet, of that."""

    def __init__(self, topics: Iterable[Topic], parts_of: Callable[[Topic], Collection[str]]) -> None:
        self._parts_of = parts_of
        self._told: frozenset[str] = frozenset()
        self.replace(topics)

    def replace(self, topics: Iterable[Topic]) -> None:
        """Others from now on."""
        self._topics = tuple(topic for topic in topics if topic.exchange == COMPOSITE)

    def unknown(self) -> tuple[str, ...]:
        """Those that no venue has, now that all have been read."""
        return tuple(topic.text for topic in self._topics if not self._parts_of(topic))

    def tell_unknown(self) -> None:
        """A line for each that has turned out to be unknown: the server runs on without it."""
        unknown = frozenset(self.unknown())
        for topic in sorted(unknown - self._told):
            _log.warn("SYMBOLS: no exchange has such a symbol: {topic}", topic=topic)
        self._told = unknown
