"""All that a venue can be asked for, given some instruments: topics, plans, streams by name, requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from cryptodash.core.errors import CryptodashError
from cryptodash.core.instruments import ANY, Instrument, MarketType
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import Reader
from cryptodash.exchanges.adapter.plan import Plan, RestRequest, StreamSpec
from cryptodash.testing.conformance.evidence import Evidence
from cryptodash.testing.conformance.failure import fail, require

PERPETUAL = MarketType.PERPETUAL
DEPTHS = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Those that every client may ask for."""


@frozen
class Asked:
    """A topic, and what ``plan`` is given with it."""

    topic: Topic
    instrument: Instrument | None
    depth: int = 0

    def __str__(self) -> str:
        depth = f" at depth {self.depth}" if self.depth else ""
        return f"{self.topic}{depth}"


def everything(evidence: Evidence) -> Iterator[Asked]:
    """Every topic of the instruments, in every interval and depth, and every sweep; not what the venue has not."""
    venue = evidence.venue
    for instrument in evidence.instruments:
        topic = Topic(venue.id, instrument.market, instrument.symbol, Channel.TICKER)
        if evidence.has(Channel.TICKER):
            yield Asked(topic, instrument)
        for channel in (Channel.BBO, Channel.TRADE, Channel.LIQUIDATION):
            if evidence.has(channel) and (channel is not Channel.LIQUIDATION or instrument.market is PERPETUAL):
                yield Asked(topic.sibling(channel), instrument)
        if evidence.has(Channel.ORDER_BOOK):
            for depth in DEPTHS:
                yield Asked(topic.sibling(Channel.ORDER_BOOK), instrument, depth)
        if evidence.has(Channel.CANDLE):
            for interval in venue.intervals(instrument.market):
                yield Asked(topic.sibling(Channel.CANDLE, interval=interval), instrument)
    if evidence.has("sweep"):
        for market in venue.markets:
            yield Asked(Topic(venue.id, market, ANY, Channel.TICKER), None)


def plan_of(evidence: Evidence, asked: Asked) -> Plan:
    """The venue's plan. Fails where it has none for a channel that it should have."""
    try:
        plan = evidence.venue.plan(asked.topic, asked.instrument, asked.depth)
    except CryptodashError as error:
        fail(f"plan refuses {asked} ({error}); a channel that the venue has not belongs into Evidence.without")
    require(isinstance(plan, Plan), f"plan of {asked} returned {plan!r}")
    return plan


def known_streams(evidence: Evidence) -> dict[tuple[str, str], StreamSpec]:
    """Every stream of every plan, and those that stand on a connection, by (endpoint, name)."""
    found: dict[tuple[str, str], StreamSpec] = {}
    for endpoint in evidence.venue.endpoints.values():
        found.update({(spec.endpoint, spec.name): spec for spec in endpoint.standing})
    for asked in everything(evidence):
        for spec in plan_of(evidence, asked).streams:
            found.setdefault((spec.endpoint, spec.name), spec)
    return found


class KnownReaders(Mapping[str, Reader]):
    """A reader for whatever stream of the endpoint is asked for: with its instrument where some plan names the stream.
    Raises ``BadFrame`` for a name that is none of the venue's."""

    def __init__(
        self, evidence: Evidence, endpoint: str, streams: Mapping[tuple[str, str], StreamSpec] | None = None
    ) -> None:
        self._venue = evidence.venue
        self._endpoint = endpoint
        self._streams = known_streams(evidence) if streams is None else streams

    def __getitem__(self, name: str) -> Reader:
        spec = self._streams.get((self._endpoint, name)) or StreamSpec(self._endpoint, name, frozenset())
        return self._venue.reader(spec)

    def __iter__(self) -> Iterator[str]:
        return (name for endpoint, name in self._streams if endpoint == self._endpoint)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def requests(evidence: Evidence) -> Iterator[tuple[str, RestRequest]]:
    """Every kind of REST request the venue makes, with what it is for."""
    venue = evidence.venue
    for market in venue.markets:
        for request in venue.catalogue_requests(market):
            yield f"the catalogue of {market}", request
        yield f"the probe of {market}", venue.probe_request(market)
    for asked in everything(evidence):
        for poll in plan_of(evidence, asked).polls:
            yield f"a poll of {asked}", poll.request
        instrument = asked.instrument
        if instrument is None:
            continue
        if asked.topic.channel is Channel.CANDLE:
            for limit, end in ((1, None), (200, None), (1000, 1_700_000_000_000)):
                yield (
                    f"{limit} candles of {asked}",
                    venue.candles_request(asked.topic, instrument, limit, end),
                )
        elif asked.topic.channel is Channel.ORDER_BOOK:
            snapshot = venue.snapshot_request(asked.topic, instrument, asked.depth)
            if snapshot is not None:
                yield f"a snapshot of {asked}", snapshot
