"""A table of a whole market that changes rarely, asked for once for all who need it: how often funding is settled."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import evolve

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import State, Ticker
from cryptodash.core.instruments import Instrument
from cryptodash.core.topics import Channel, Topic
from cryptodash.exchanges.adapter.messages import FundingIntervals, Message
from cryptodash.exchanges.adapter.plan import Part, Plan, Poll, Purpose, RestRequest
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import PERPETUAL, MadeUpVenue

BTC, ETH = "perpetual:BTC-USDT:ticker", "perpetual:ETH-USDT:ticker"
TABLE = Poll(RestRequest(Purpose.POLL, PERPETUAL, "/funding"), 300.0, frozenset({Part.FUNDING}), kept=True)


class WithTable(MadeUpVenue):
    def plan(self, topic: Topic, instrument: Instrument | None, depth: int) -> Plan:
        plan = super().plan(topic, instrument, depth)
        return evolve(plan, polls=(*plan.polls, TABLE)) if topic.channel is Channel.TICKER else plan

    def read_poll(self, request: RestRequest, body: bytes) -> Sequence[Message]:
        if request is not TABLE.request:
            return super().read_poll(request, body)
        return (FundingIntervals("/funding", json.loads(body), 8),)


def ready(*topics: str) -> Bench:
    bench = Bench(WithTable())
    bench.want(*topics)
    bench.advance(1)
    for native in ("BTCUSDT", "ETHUSDT"):
        if f"day:{native}" in bench.subscribed():
            bring(bench, native)
    return bench


def bring(bench: Bench, native: str) -> None:
    for frame in (wire.quote(native, "99", "101", 1), wire.day(native, "100", bench.wall)):
        bench.frame(frame, next(each for each in bench.servers.values() if f"day:{native}" in each.streams))


def asked(bench: Bench) -> list[RestRequest]:
    return [each for each in bench.fetches if each == TABLE.request]


def hours(bench: Bench) -> dict[str, int | None]:
    return {each.topic.symbol.base: each.funding_interval_h for each in bench.published(Ticker)}


def test_one_request_tells_all_tickers_each_its_own() -> None:
    bench = ready(BTC, ETH)
    assert hours(bench) == {"BTC": None, "ETH": None}
    (request,) = asked(bench)
    bench.answer(request, b'{"ETHUSDT":4}')
    assert hours(bench) == {"BTC": 8, "ETH": 4}
    before = len(bench.events)
    bench.advance(301)
    (request,) = asked(bench)
    bench.answer(request, b'{"ETHUSDT":1}')
    told = [each for each in bench.events[before:] if isinstance(each, Ticker)]
    assert [(each.topic.symbol.base, each.funding_interval_h) for each in told] == [("ETH", 1)], (
        "what is no news is not told"
    )


def test_who_comes_between_two_answers_is_given_the_last_one() -> None:
    bench = ready(BTC)
    bench.answer(asked(bench)[0], b'{"ETHUSDT":4}')
    bench.want(ETH)
    bench.advance(1)
    bring(bench, "ETHUSDT")
    assert not asked(bench)
    assert hours(bench)["ETH"] == 4


def test_without_the_table_a_ticker_is_as_good_as_ever() -> None:
    bench = ready(BTC)
    bench.fail(asked(bench)[0], UpstreamError("", "not now"))
    assert (bench.state(BTC), bench.status(BTC).fields, hours(bench)["BTC"]) == (State.LIVE, (), None)


def test_it_is_asked_for_no_more_once_no_ticker_is_wanted() -> None:
    bench = ready(BTC)
    bench.answer(asked(bench)[0], b"{}")
    bench.drop(BTC)
    bench.advance(700)
    assert not asked(bench)


def test_a_table_that_is_asked_for_rarely_proves_nothing_of_its_venue() -> None:
    bench = Bench(WithTable())
    bench.want(BTC)
    bench.advance(1)
    bench.answer(asked(bench)[0], b"{}")
    assert bench.engine.health().good_streams == 0
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    assert bench.engine.health().good_streams == 2
