"""A venue of the cluster, as this process's hub sees it: one object for the life of the server, whoever holds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence

from attrs import evolve
from twisted.internet.defer import Deferred
from zope.interface import implementer

from cryptodash.cluster.remote_venue import RemoteVenue
from cryptodash.core.events import Candle
from cryptodash.core.instruments import Catalogue, MarketType
from cryptodash.core.interfaces import ExchangeReport, ILocalVenue, IUpstream, RequestCost, StreamReport
from cryptodash.core.steps import Steps
from cryptodash.core.topics import Topic


@implementer(IUpstream)
class ClusterVenue:
    """Local while this process has the lease, remote else. ``make`` makes the local one, which is not started;
    ``fence`` tells that of the lease, None: another process has it."""

    def __init__(
        self,
        make: Callable[[Catalogue], ILocalVenue],
        catalogue: Catalogue,
        remote: RemoteVenue,
        process: str,
        ask_candles: Callable[[Topic, int, int | None], Deferred[Sequence[Candle]]],
        ask_refresh: Callable[[], Deferred[int]],
        trouble: Callable[[], str],
        fence: Callable[[], int | None],
    ) -> None:
        self._make = make
        self.catalogue = catalogue
        self._venue = make(catalogue)
        self.exchange, self.source, self.markets = self._venue.exchange, self._venue.source, self._venue.markets
        self._remote = remote
        self._process = process
        self._ask_candles = ask_candles
        self._ask_refresh = ask_refresh
        self._trouble = trouble
        self._fence = fence
        self.is_local = False
        self._clients: dict[Topic, tuple[str, ...]] = {}
        self._paces: dict[Topic, tuple[int, ...]] = {}
        self._held: dict[Topic, Sequence[str] | None] = {}

    @property
    def clock_ahead_ms(self) -> int | None:
        """By how much at least the venue's clock is ahead of our wall clock; None where another process has it."""
        return self._venue.report().clock_ahead_ms if self.is_local else None

    @property
    def wanted(self) -> Collection[Topic]:
        """What is wanted of it here, or on behalf of other processes."""
        return self._clients.keys()

    @property
    def local(self) -> IUpstream:
        """The venue itself, whether started or not."""
        return self._venue

    # -- who holds it

    @property
    def fence(self) -> int | None:
        """Of the lease that this process has; the next one, of whichever process, is greater. None: it has none."""
        return self._fence()

    def take_over(self) -> None:
        """The lease is ours: open the venue, and all that is wanted of it."""
        assert not self.is_local
        self.is_local = True
        self._remote.end()
        self._venue.startService()
        together: dict[tuple[str, ...], list[Topic]] = {}
        for topic, clients in self._clients.items():
            together.setdefault(clients, []).append(topic)
        for clients, topics in together.items():
            self._venue.want(topics, clients)
        for topic, intervals in self._paces.items():
            self._venue.pace(topic, intervals)
        for topic, holders in self._held.items():
            self._venue.held(topic, holders)

    def hand_over(self) -> Deferred[None]:
        """It is another's: what is wanted comes from there. Fires when the venue's connections are closed."""
        assert self.is_local
        self.is_local = False
        closed = self.close()
        self._venue = self._make(self.catalogue)
        self._remote.want(self._clients)
        for topic, intervals in self._paces.items():
            self._remote.pace(topic, intervals)
        self._remote.begin()
        return closed

    def close(self) -> Deferred[None]:
        """The process ends; nothing comes from anywhere any more."""
        return _deferred(self._venue.stopService())

    # -- ITopicSource

    def intervals(self, market: MarketType) -> Sequence[str]:
        return self._venue.intervals(market)

    def want(self, topics: Iterable[Topic], clients: Sequence[str] = ()) -> None:
        wanted = tuple(topics)
        for topic in wanted:
            self._clients.setdefault(topic, tuple(clients))
        if self.is_local:
            self._venue.want(wanted, clients)
        else:
            self._remote.want(wanted)

    def drop(self, topics: Iterable[Topic]) -> None:
        dropped = tuple(topics)
        for topic in dropped:
            for known in (self._clients, self._paces, self._held):
                known.pop(topic, None)
        if self.is_local:
            self._venue.drop(dropped)
        else:
            self._remote.drop(dropped)

    def held(self, topic: Topic, clients: Sequence[str] | None) -> None:
        if topic in self._clients:
            self._held[topic] = clients
        if self.is_local:
            self._venue.held(topic, clients)

    def streams_of(self, topic: Topic) -> int | None:
        return self._venue.streams_of(topic)

    def pace(self, topic: Topic, intervals: Sequence[int]) -> None:
        if topic in self._clients:
            self._paces[topic] = tuple(intervals)
        if self.is_local:
            self._venue.pace(topic, intervals)
        else:
            self._remote.pace(topic, intervals)

    def confirmed_at(self, topic: Topic) -> float | None:
        return self._venue.confirmed_at(topic) if self.is_local else self._remote.confirmed_at(topic)

    def as_of(self, topic: Topic) -> float | None:
        return self._venue.as_of(topic) if self.is_local else self._remote.as_of(topic)

    # -- IUpstream

    def streams(self) -> Iterator[Sequence[StreamReport]]:
        """Those of the venue, where this process holds it."""
        return self._venue.streams() if self.is_local else iter(())

    def survey(self) -> Steps[int]:
        return self._venue.survey() if self.is_local else _nothing()

    def report(self) -> ExchangeReport:
        if self.is_local:
            return evolve(self._venue.report(), process=self._process)
        return self._remote.reported(self._venue.report(), self._trouble())

    def candles_cost(self, topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        return self._venue.candles_cost(topic, limit, end_ms)

    async def candles(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        if self.is_local:
            return await self._venue.candles(topic, limit, end_ms)
        return await self._ask_candles(topic, limit, end_ms)

    async def refresh_catalogue(self) -> int:
        if self.is_local:
            return await self._venue.refresh_catalogue()
        return await self._ask_refresh()


def _nothing() -> Steps[int]:
    yield from ()
    return 0


def _deferred(closing: Awaitable[None]) -> Deferred[None]:
    async def closed() -> None:
        await closing

    return Deferred.fromCoroutine(closed())
