"""What is known of a topic as events: what another process's hub is told when it begins to want the topic."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from cryptodash.core.cursors import Cursor
from cryptodash.core.events import Event, Sweep
from cryptodash.core.topics import Channel, Topic
from cryptodash.hub.cache import Cache
from cryptodash.hub.freshness import Freshness
from cryptodash.hub.interfaces import MOST_OF_A_STATE, IStates
from cryptodash.hub.replay_buffers import ReplayBuffers
from cryptodash.hub.views import Views


@implementer(IStates)
class States:
    """Over the parts of one hub that keep values."""

    def __init__(self, cache: Cache, views: Views, replays: ReplayBuffers, freshness: Freshness) -> None:
        self._cache = cache
        self._views = views
        self._replays = replays
        self._freshness = freshness

    def state(
        self, topic: Topic, interval: int, since: Cursor | None = None
    ) -> tuple[Sequence[Event], Sequence[Event]]:
        kept = self._replays.newest(topic, MOST_OF_A_STATE, since)
        return kept, [*self._values(topic, interval), self._freshness.of(topic.upstream)]

    def last_events(self, topic: Topic, limit: int) -> Sequence[Event]:
        if topic.channel in (Channel.TICKER, Channel.BBO):
            return [] if topic.is_sweep else self._values(topic, 0)
        return self._replays.latest(topic, limit)

    def _values(self, topic: Topic, interval: int) -> list[Event]:
        cache = self._cache
        if topic.channel is Channel.ORDER_BOOK:
            view = self._views.newest(topic, interval)
            return [view] if view is not None else []
        if topic.channel is Channel.CANDLE:
            return [bar for bar in cache.bars(topic)[-1:] if not bar.closed]
        if topic.is_sweep:
            return [Sweep(topic, tuple(cache.sweeps.get(topic, {}).values()))]
        if topic.channel is Channel.BBO:
            return [cache.bbos[topic]] if topic in cache.bbos else []
        return [cache.tickers[topic]] if topic in cache.tickers else []
