"""Reads bars of a venue by REST, for clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Candle
from cryptodash.core.instruments import Catalogue, Instrument
from cryptodash.core.interfaces import RequestCost
from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.decode import reading
from cryptodash.exchanges.adapter.elements import left_out_of
from cryptodash.exchanges.adapter.messages import BadFrame
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.builders.bar_times import possible
from cryptodash.exchanges.builders.rest_candles import DATE_DOUBT_MS, candles_of
from cryptodash.exchanges.connections.left_out import CANDLE
from cryptodash.exchanges.engine import Engine
from cryptodash.exchanges.subscriptions.candle_subscription import refused_counter


class CandleReader:
    """Bars of one venue, by ``fetch``. The engine knows the venue's time, and counts what is left out."""

    def __init__(
        self,
        venue: IVenue,
        catalogue: Catalogue,
        fetch: Callable[[RestRequest], Awaitable[bytes]],
        engine: Engine,
        clock: Clock,
        tally: Tally,
    ) -> None:
        self._venue = venue
        self._catalogue = catalogue
        self._fetch = fetch
        self._engine = engine
        self._clock = clock
        self._refused = refused_counter(tally)

    def cost(self, topic: Topic, limit: int, end_ms: int | None) -> RequestCost:
        """What ``read`` will cost: all pages together, of the budget that they take most of (older bars may be had from
        another than the newest). Raises ``UpstreamError``."""
        instrument = self._instrument(topic)
        first = self._venue.candles_request(topic, instrument, limit, end_ms)
        weights, more = Counter({first.pool: first.weight}), _pages(first, limit) - 1
        if more > 0:
            before = self._engine.venue_ms(topic.market) if end_ms is None else end_ms
            older = self._venue.candles_request(topic, instrument, limit - first.limit, before)
            weights[older.pool] += more * older.weight
        return max(
            (self._cost(*each) for each in weights.items()), key=lambda each: each.weight * each.per / each.budget
        )

    def _cost(self, pool: str, weight: int) -> RequestCost:
        limits = self._venue.rest_limits.get(pool)
        if limits is None:
            raise UpstreamError("", f"{self._venue.id} has no REST budget {pool!r}")
        return RequestCost(pool, weight, limits.weight, limits.per)

    async def read(self, topic: Topic, limit: int, end_ms: int | None) -> Sequence[Candle]:
        """Up to ``limit`` bars, as ``IUpstream.candles``; where the venue gives fewer at once, page after page, each
        older than the one before, until one is empty. Raises ``UpstreamError``."""
        instrument = self._instrument(topic)
        request = self._venue.candles_request(topic, instrument, limit, end_ms)
        page = await self._read_page(request, topic, instrument, limit, end_ms)
        candles = page
        for _ in range(1, _pages(request, limit)):
            if not page or len(candles) >= limit:
                break
            before, rest = page[0].timestamp - 1, limit - len(candles)
            request = self._venue.candles_request(topic, instrument, rest, before)
            page = await self._read_page(request, topic, instrument, rest, before)
            candles = [*page, *candles]
        return candles

    async def _read_page(
        self, request: RestRequest, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None
    ) -> Sequence[Candle]:
        if request.needs_end:
            request = self._venue.candles_request(topic, instrument, limit, self._engine.venue_ms(topic.market))
        body = await self._fetch(request)
        try:
            bars = reading(self._venue.read_candles, request, body)
        except BadFrame as error:
            raise UpstreamError("disconnected", f"{self._venue.id}: unreadable candles: {error}"[:300]) from None
        self._engine.left_out(CANDLE, left_out_of(bars), instrument.native)
        venue_ms = self._engine.venue_ms(topic.market)
        sound = possible(bars, venue_ms)
        self._refused.add(self._venue.id, by=len(bars) - len(sound))
        wanted = [bar for bar in sound if end_ms is None or bar.open_time <= end_ms]
        return candles_of(topic, wanted, venue_ms - DATE_DOUBT_MS, self._clock.wall_ms())[-limit:]

    def _instrument(self, topic: Topic) -> Instrument:
        """What the topic is about. Raises ``UpstreamError``."""
        instrument = self._catalogue.get(topic.market, topic.symbol)
        if instrument is None:
            which = f"the catalogue of {self._venue.id} {topic.market}"
            if self._catalogue.loaded(topic.market):
                raise UpstreamError("rejected", f"{which} has no {topic.symbol}")
            raise UpstreamError("disconnected", f"{which} is not loaded yet")
        return instrument


def _pages(request: RestRequest, limit: int) -> int:
    """How many requests like this one it takes at most to read so many bars."""
    return -(-limit // request.limit) if request.limit else 1
