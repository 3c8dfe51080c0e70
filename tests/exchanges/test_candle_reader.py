"""Bars by REST for clients, of a venue that gives a few at once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence

import pytest
from attrs import evolve
from twisted.internet.defer import ensureDeferred, succeed

from cryptodash.core.events import Candle
from cryptodash.core.instruments import Instrument
from cryptodash.core.topics import Topic
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.adapter.venue import RestLimits
from cryptodash.exchanges.candle_reader import CandleReader
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import MadeUpVenue

MINUTE = 60_000
MOST = 3
"""Bars in one answer."""


class PagingVenue(MadeUpVenue):
    """Gives three bars at once, the newest of those that open by ``end``."""

    def candles_request(self, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        params = () if end_ms is None else (("end", str(end_ms)),)
        native = instrument.native
        return RestRequest(Purpose.CANDLES, topic.market, "/candles", params, 2, topic, native, min(limit, MOST))


class World:
    """A reader, and a venue that has ``count`` bars, one a minute, of which the last runs."""

    def __init__(self, count: int, venue: MadeUpVenue | None = None) -> None:
        self.bench = Bench(venue or PagingVenue())
        running = self.bench.wall // MINUTE * MINUTE
        self.opens = [running - MINUTE * back for back in reversed(range(count))]
        self.asked: list[int] = []
        bench = self.bench
        self.reader = CandleReader(bench.venue, bench.catalogue, self._fetch, bench.engine, bench.clock, bench.tally)
        self.topic = bench.topic("spot:BTC-USDT:candle:1m")

    def _fetch(self, request: RestRequest) -> Awaitable[bytes]:
        end = int(dict(request.params).get("end", self.opens[-1]))
        self.asked.append(request.limit)
        fitting = [each for each in self.opens if each <= end][-request.limit :]
        return succeed(json.dumps([[each, "1.5"] for each in fitting]).encode())

    def read(self, limit: int, end_ms: int | None = None) -> list[int]:
        found: list[Sequence[Candle]] = []
        ensureDeferred(self.reader.read(self.topic, limit, end_ms)).addCallback(found.append)
        (candles,) = found
        assert all(each.closed is (each.timestamp < self.opens[-1]) for each in candles)
        return [each.timestamp for each in candles]


def test_more_bars_than_the_venue_gives_at_once_are_read_page_by_page() -> None:
    world = World(20)
    assert world.read(8) == world.opens[-8:]
    assert world.asked == [3, 3, 2]
    assert world.reader.cost(world.topic, 8, None).weight == 6


def test_pages_go_back_from_the_end_that_was_asked_for() -> None:
    world = World(20)
    assert world.read(5, world.opens[9] + 30_000) == world.opens[5:10]
    assert world.asked == [3, 2]


def test_it_ends_with_the_first_page_that_is_empty() -> None:
    world = World(4)
    assert world.read(12) == world.opens
    assert world.asked == [3, 3, 3]


def test_one_request_is_enough_where_the_venue_gives_all_at_once() -> None:
    world = World(20)
    assert world.read(3) == world.opens[-3:]
    assert world.asked == [3]
    assert world.reader.cost(world.topic, 3, None).weight == 2


class TwoPools(PagingVenue):
    """Older bars are had from another budget, of two thirds."""

    rest_limits: Mapping[str, RestLimits] = {**MadeUpVenue.rest_limits, "old": RestLimits(40, 60.0)}

    def candles_request(self, topic: Topic, instrument: Instrument, limit: int, end_ms: int | None) -> RestRequest:
        request = super().candles_request(topic, instrument, limit, end_ms)
        return request if end_ms is None else evolve(request, pool="old")


@pytest.mark.parametrize(
    ("limit", "end_ms", "pool", "weight"),
    [(3, None, "", 2), (4, None, "old", 2), (9, None, "old", 4), (9, 10**12, "old", 6), (1, 10**12, "old", 2)],
)
def test_the_cost_is_of_the_budget_that_the_pages_take_most_of(
    limit: int, end_ms: int | None, pool: str, weight: int
) -> None:
    world = World(20, TwoPools())
    cost = world.reader.cost(world.topic, limit, end_ms)
    assert (cost.pool, cost.weight) == (pool, weight)
