"""How many streams a topic will need, before it is wanted."""

from __future__ import annotations

from cryptodash.core.errors import CryptodashError
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.venue import IVenue


class PlanSizes:
    """Streams and polls of a venue's plans. All topics of a market and channel have equally many."""

    def __init__(self, venue: IVenue, catalogue: Catalogue) -> None:
        self._venue = venue
        self._catalogue = catalogue
        self._known: dict[tuple[MarketType, Channel, bool], int] = {}

    def of(self, topic: Topic) -> int | None:
        """How many the topic needs: 0 where it cannot be served, None while the catalogue is not loaded."""
        kind = topic.market, topic.channel, topic.is_sweep
        if kind in self._known:
            return self._known[kind]
        if not topic.is_sweep and not self._catalogue.loaded(topic.market):
            return None
        instrument = None if topic.is_sweep else self._catalogue.get(topic.market, topic.symbol)
        if instrument is None and not topic.is_sweep:
            return 0
        try:
            plan = self._venue.plan(topic, instrument, topic.depth)
        except CryptodashError:
            return 0
        self._known[kind] = len(plan.streams) + len(plan.polls)
        return self._known[kind]
