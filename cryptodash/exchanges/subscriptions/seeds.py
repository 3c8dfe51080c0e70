"""What streams that send only changes held before their first change: asked for by REST, many instruments at once."""

from __future__ import annotations

from collections.abc import Mapping

from cryptodash.core.errors import UpstreamError
from cryptodash.core.instruments import MarketType
from cryptodash.exchanges.adapter.messages import Message
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.adapter.venue import IVenue
from cryptodash.exchanges.connections.commands import Fetch, Output
from cryptodash.exchanges.connections.stream import Stream
from cryptodash.exchanges.connections.stream_phase import Phase
from cryptodash.exchanges.subscriptions.streams import Streams

MOST = 100
"""Instruments in one request."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0


class Seeds:
    """Each stream that names a ``seed`` is asked for once per subscription, after its ack; one request per market at a
    time. An answer counts for a stream only if no frame of it has come meanwhile."""

    def __init__(self, venue: IVenue, streams: Streams) -> None:
        self._venue = venue
        self._streams = streams
        self._asked: dict[Stream, float] = {}
        """Since when each stream was acked when it was asked for."""
        self._flying: dict[RestRequest, dict[str, Stream]] = {}
        self._free_at: dict[MarketType, float] = {}
        self._failures: dict[MarketType, int] = {}

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second: ask for what was acked since."""
        subscribed = self._streams.subscribed()
        waiting = [
            each
            for each in subscribed
            if each.spec.seed and each.phase is Phase.ACKED and self._asked.get(each) != each.since
        ]
        if len(self._asked) > 2 * len(subscribed) + MOST:
            known = set(subscribed)
            self._asked = {stream: since for stream, since in self._asked.items() if stream in known}
        for market in self._venue.markets:
            if waiting and now >= self._free_at.get(market, 0.0) and not self._is_flying(market):
                self._ask(market, [each for each in waiting if self._market_of(each) is market][:MOST], out)

    def answered(
        self, request: RestRequest, said: Mapping[str, Message], now: float, received: int, out: list[Output]
    ) -> None:
        """An answer, read: a message by the name of the seed."""
        self._failures.pop(request.market, None)
        for name, stream in self._flying.pop(request, {}).items():
            if name in said and stream.phase is Phase.ACKED and self._asked.get(stream) == stream.since:
                stream.seeded(said[name], now, received, out)

    def failed(self, request: RestRequest, error: UpstreamError, now: float) -> None:
        """No answer: asked again after a pause, as long as the venue says."""
        failures = self._failures[request.market] = self._failures.get(request.market, 0) + 1
        pause = min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE)
        self._free_at[request.market] = now + max(pause, error.retry_after or 0.0)
        for stream in self._flying.pop(request, {}).values():
            self._asked.pop(stream, None)

    def _ask(self, market: MarketType, streams: list[Stream], out: list[Output]) -> None:
        request = self._venue.seed_request(market, [each.spec.seed for each in streams]) if streams else None
        if request is not None:
            self._flying[request] = {each.spec.seed: each for each in streams}
            self._asked.update((each, each.since) for each in streams)
            out.append(Fetch(request))

    def _is_flying(self, market: MarketType) -> bool:
        return any(each.market is market for each in self._flying)

    def _market_of(self, stream: Stream) -> MarketType:
        return self._venue.endpoints[stream.endpoint].market
