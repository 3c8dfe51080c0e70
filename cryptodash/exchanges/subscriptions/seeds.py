"""What streams that send only changes held before their first change: asked for by REST, many instruments at once."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause
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
LACKING_PAUSE = 60.0
"""Seconds until an instrument is asked for again that the answer did not hold, twice as long each time."""
LONGEST_LACKING_PAUSE = 600.0


@define
class _Asked:
    """That a stream was asked for. ``since``: since when it was acked then; ``again_at``: when it is asked for again,
    and the pause after that."""

    since: float
    again_at: float = float("inf")
    pause: float = LACKING_PAUSE


class Seeds:
    """Each stream that names a ``seed`` is asked for once per subscription, after its ack; one request per market at a
    time. An answer counts for a stream only if no frame of it has come meanwhile. One that an answer leaves out is
    asked for again, ever more rarely.

    A venue refuses a request as a whole for one name that it does not know: then half as many are asked for, down to
    the one, which is left alone until it is subscribed anew."""

    def __init__(self, venue: IVenue, streams: Streams) -> None:
        self._venue = venue
        self._streams = streams
        self._asked: dict[Stream, _Asked] = {}
        self._flying: dict[RestRequest, dict[str, Stream]] = {}
        self._free_at: dict[MarketType, float] = {}
        self._failures: dict[MarketType, int] = {}
        self._most = dict.fromkeys(venue.markets, MOST)
        """How many are asked for together."""

    def beat(self, now: float, out: list[Output]) -> None:
        """Twice a second: ask for what was acked since."""
        subscribed = self._streams.subscribed()
        waiting = [
            each for each in subscribed if each.spec.seed and each.phase is Phase.ACKED and self._is_due(each, now)
        ]
        if len(self._asked) > 2 * len(subscribed) + MOST:
            known = set(subscribed)
            self._asked = {stream: asked for stream, asked in self._asked.items() if stream in known}
        for market in self._venue.markets:
            if waiting and now >= self._free_at.get(market, 0.0) and not self._is_flying(market):
                of_market = [each for each in waiting if self._market_of(each) is market]
                self._ask(market, of_market[: self._most[market]], out)

    def answered(
        self, request: RestRequest, said: Mapping[str, Message], now: float, received: int, out: list[Output]
    ) -> None:
        """An answer, read: a message by the name of the seed."""
        market = request.market
        self._failures.pop(market, None)
        self._most[market] = min(2 * self._most[market], MOST)
        for name, stream in self._flying.pop(request, {}).items():
            asked = self._asked.get(stream)
            if asked is None or stream.phase is not Phase.ACKED or asked.since != stream.since:
                continue
            if name in said:
                stream.seeded(said[name], now, received, out)
            else:
                asked.again_at = now + asked.pause
                asked.pause = min(2.0 * asked.pause, LONGEST_LACKING_PAUSE)

    def failed(self, request: RestRequest, error: UpstreamError, now: float) -> None:
        """No answer: asked again after a pause, as long as the venue says; fewer, where it refuses these."""
        market, flying = request.market, self._flying.pop(request, {})
        if error.cause == Cause.REJECTED.value and flying:
            self._most[market] = max(len(flying) // 2, 1)
            if len(flying) == 1:
                return
        else:
            failures = self._failures[market] = self._failures.get(market, 0) + 1
            pause = min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE)
            self._free_at[market] = now + max(pause, error.retry_after or 0.0)
        for stream in flying.values():
            self._asked.pop(stream, None)

    def _is_due(self, stream: Stream, now: float) -> bool:
        asked = self._asked.get(stream)
        return asked is None or asked.since != stream.since or now >= asked.again_at

    def _ask(self, market: MarketType, streams: list[Stream], out: list[Output]) -> None:
        request = self._venue.seed_request(market, [each.spec.seed for each in streams]) if streams else None
        if request is None:
            return
        self._flying[request] = {each.spec.seed: each for each in streams}
        for each in streams:
            asked = self._asked.get(each)
            if asked is not None and asked.since == each.since:
                asked.again_at = float("inf")
            else:
                self._asked[each] = _Asked(each.since)
        out.append(Fetch(request))

    def _is_flying(self, market: MarketType) -> bool:
        return any(each.market is market for each in self._flying)

    def _market_of(self, stream: Stream) -> MarketType:
        return self._venue.endpoints[stream.endpoint].market
