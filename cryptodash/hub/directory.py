"""Which venues there are, what they trade and how they are: asked by name, answered in values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from twisted.logger import Logger
from zope.interface import implementer

from cryptodash.core.instruments import MarketType
from cryptodash.core.interfaces import ClusterReport, ExchangeReport, ITopicSource, IUpstream, StreamReport
from cryptodash.core.steps import Steps
from cryptodash.core.topics import Topic
from cryptodash.hub.composite_catalogue import CompositeCatalogue
from cryptodash.hub.interfaces import CatalogueSnapshot, IDirectory
from cryptodash.hub.kept_topics import KeptTopics
from cryptodash.hub.naming import Naming

_log = Logger(namespace="cryptodash.hub.directory")


@implementer(IDirectory)
class Directory:
    """Over the venues of this process. ``upstreams`` may grow until the server starts; ``sources`` are these and what
    is derived from them.

    A topic whose catalogue was not read yet is accepted at its word (``accepted``) and looked up when the catalogue
    comes.
    """

    def __init__(
        self,
        upstreams: Mapping[str, IUpstream],
        sources: Mapping[str, ITopicSource],
        naming: Naming,
        kept: KeptTopics,
        book_depth_default: int,
    ) -> None:
        self.book_depth_default = book_depth_default
        self.of_cluster: Callable[[], ClusterReport | None] = lambda: None
        """Where ``cluster_report`` comes from."""
        self.on_unknown: list[Callable[[Topic], None]] = []
        self._upstreams = upstreams
        self._sources = sources
        self._naming = naming
        self._kept = kept
        self.unknown_topics = kept.unknown
        self._snapshots: dict[str, CatalogueSnapshot] = {}
        self._unconfirmed: dict[Topic, None] = {}

    def exchanges(self) -> tuple[str, ...]:
        return tuple(self._upstreams)

    def markets(self, exchange: str) -> tuple[MarketType, ...]:
        return self._sources[exchange].markets

    def candle_intervals(self, exchange: str, market: MarketType) -> tuple[str, ...]:
        return tuple(self._sources[exchange].intervals(market))

    def source(self, exchange: str) -> str:
        return self._sources[exchange].source

    def resolve(
        self,
        exchange: object,
        market: object,
        channel: object,
        symbol: object,
        depth: object = None,
        interval: object = None,
    ) -> Topic:
        return self._naming.resolve(exchange, market, channel, symbol, depth, interval)

    def instruments(self, exchange: str) -> CatalogueSnapshot:
        catalogue = self._sources[exchange].catalogue
        known = self._snapshots.get(exchange)
        if known is None or known.version != catalogue.version:
            listed = catalogue.merged() if isinstance(catalogue, CompositeCatalogue) else tuple(catalogue)
            known = self._snapshots[exchange] = CatalogueSnapshot(catalogue.version, listed, catalogue.not_listed())
        return known

    def cluster_report(self) -> ClusterReport | None:
        return self.of_cluster()

    def exchange_reports(self) -> tuple[ExchangeReport, ...]:
        return tuple(upstream.report() for upstream in self._upstreams.values())

    def survey(self) -> Steps[int]:
        count = 0
        for upstream in self._upstreams.values():
            count += yield from upstream.survey()
        return count

    def stream_reports(self) -> Iterator[Sequence[StreamReport]]:
        for upstream in self._upstreams.values():
            yield from upstream.streams()

    async def refresh_catalogue(self, exchange: str) -> int:
        return await self._upstreams[exchange].refresh_catalogue()

    def accepted(self, topic: Topic) -> None:
        """The topic is wanted from now on."""
        if not topic.is_sweep and not self._sources[topic.exchange].catalogue.loaded(topic.market):
            self._unconfirmed[topic] = None

    def forget(self, topic: Topic) -> None:
        """The topic is wanted no more."""
        self._unconfirmed.pop(topic, None)

    def catalogue_changed(self, exchange: str, market: MarketType) -> None:
        """A catalogue was read (again): look up what was accepted at its word, tell of what it lacks."""
        self._kept.tell_unknown()
        upstream = self._sources.get(exchange)
        if upstream is None or not upstream.catalogue.loaded(market):
            return
        for topic in [each for each in self._unconfirmed if each.exchange == exchange and each.market is market]:
            self._unconfirmed.pop(topic, None)
            if upstream.catalogue.get(market, topic.symbol) is None:
                self._tell_unknown(topic)

    def _tell_unknown(self, topic: Topic) -> None:
        for listener in list(self.on_unknown):
            try:
                listener(topic)
            except Exception:
                _log.failure("a listener failed on the unknown topic {topic}", topic=topic)
