"""Quotes that come only as they change: what they were before the first change is asked for by REST."""

from __future__ import annotations

import json
from itertools import chain

from attrs import evolve

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import State, Ticker
from cryptodash.exchanges.adapter.plan import Purpose, RestRequest
from cryptodash.exchanges.connections.commands import Closed
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import LIMITS, Habits, MadeUpVenue, make_catalogue

TICKER = "spot:BTC-USDT:ticker"
OTHER = "spot:ETH-USDT:ticker"


def quiet_bench(*topics: str) -> Bench:
    """Both tickers have their 24 h figures each second, and no quote."""
    bench = Bench(MadeUpVenue(habits=Habits(seeds=True)))
    bench.want(*(topics or (TICKER, OTHER)))
    play(bench, 2)
    return bench


def play(bench: Bench, seconds: int) -> None:
    for _ in range(seconds):
        for native in ("BTCUSDT", "ETHUSDT"):
            if f"day:{native}" in bench.subscribed():
                bench.frame(wire.day(native, "100", bench.wall))
        bench.advance(1)


def seeds(bench: Bench) -> list[RestRequest]:
    return [each for each in bench.fetches if each.purpose is Purpose.SEED]


def answer(bench: Bench, **quotes: tuple[str, str]) -> None:
    (request,) = seeds(bench)
    bench.answer(request, json.dumps(quotes).encode())


def test_quiet_pairs_have_a_bid_and_an_ask_from_one_request() -> None:
    bench = quiet_bench()
    assert bench.state(TICKER) is State.CONNECTING
    (request,) = seeds(bench)
    assert request.params == (("symbols", "BTCUSDT,ETHUSDT"),)
    answer(bench, BTCUSDT=("98", "99"), ETHUSDT=("8", "9"), XRPUSDT=("1", "2"))
    assert (bench.state(TICKER), bench.state(OTHER)) == (State.QUIET, State.QUIET)
    last = {each.topic.symbol.base: (each.bid, each.ask, each.last) for each in bench.published(Ticker)}
    assert last == {"BTC": ("98", "99", "100"), "ETH": ("8", "9", "100")}
    play(bench, 60)
    assert not seeds(bench), "once"
    assert bench.state(TICKER) is State.QUIET


def test_the_value_comes_before_the_state_that_it_makes() -> None:
    bench = quiet_bench(TICKER)
    before = len(bench.events)
    answer(bench, BTCUSDT=("98", "99"))
    kinds = [type(each).__name__ if isinstance(each, Ticker) else str(each.state) for each in bench.events[before:]]  # type: ignore[union-attr]
    assert kinds[-2:] == ["Ticker", "quiet"], kinds


def test_a_frame_that_came_first_counts_and_the_answer_is_dropped() -> None:
    bench = quiet_bench(TICKER)
    bench.frame(wire.quote("BTCUSDT", "97", "101", 5))
    answer(bench, BTCUSDT=("98", "99"))
    assert (bench.published(Ticker)[-1].bid, bench.state(TICKER)) == ("97", State.LIVE)


def test_the_first_frame_overrides_whatever_its_id() -> None:
    bench = quiet_bench(TICKER)
    answer(bench, BTCUSDT=("98", "99"))
    bench.frame(wire.quote("BTCUSDT", "97", "101", 1))
    assert (bench.published(Ticker)[-1].bid, bench.state(TICKER)) == ("97", State.LIVE)


def test_a_new_connection_asks_again_and_an_answer_for_the_old_one_is_dropped() -> None:
    bench = quiet_bench(TICKER)
    (old,) = seeds(bench)
    bench.close(bench.only, Closed("remote"))
    play(bench, 5)
    bench.answer(old, json.dumps({"BTCUSDT": ("1", "2")}).encode())
    assert bench.state(TICKER) is State.CONNECTING, "it was asked for before this subscription"
    play(bench, 2)
    answer(bench, BTCUSDT=("98", "99"))
    assert bench.state(TICKER) is State.QUIET


def test_a_failure_is_tried_again_after_a_pause() -> None:
    bench = quiet_bench(TICKER)
    (request,) = seeds(bench)
    bench.fail(request, UpstreamError("banned", "no", 20.0))
    play(bench, 19)
    assert not seeds(bench)
    play(bench, 2)
    answer(bench, BTCUSDT=("98", "99"))
    assert bench.state(TICKER) is State.QUIET


def many(number: int) -> Bench:
    names = [f"C{each}-USDT" for each in range(number)]
    venue = MadeUpVenue(evolve(LIMITS, streams=1000, args_per_message=1000), Habits(seeds=True))
    bench = Bench(venue, catalogue=make_catalogue(*names))
    bench.want(*(f"spot:{name}:ticker" for name in names))
    bench.advance(2)
    return bench


def asked(request: RestRequest) -> list[str]:
    return request.params[0][1].split(",")


def days(bench: Bench) -> None:
    for server in list(bench.servers.values()):
        for name in server.streams:
            if name.startswith("day:"):
                bench.frame(wire.day(name[4:], "100", bench.wall), server)


def answer_all_but(bench: Bench, *odd: str) -> int:
    """As a venue that refuses a request for its odd names; how often it did so."""
    refused = 0
    while waiting := seeds(bench):
        natives = asked(waiting[0])
        if set(odd) & set(natives):
            refused += 1
            bench.fail(waiting[0], UpstreamError("rejected", "HTTP 400, -1121 Invalid symbol."))
        else:
            bench.answer(waiting[0], json.dumps(dict.fromkeys(natives, ("98", "99"))).encode())
        days(bench)
        bench.advance(0.5)
    return refused


def seeded(bench: Bench) -> int:
    return sum(
        "quote" in each.name and each.state is State.QUIET for each in chain.from_iterable(bench.engine.streams())
    )


def test_one_name_that_the_venue_refuses_takes_no_other_with_it() -> None:
    bench = many(150)
    assert answer_all_but(bench, "C7USDT", "C133USDT") <= 24
    assert seeded(bench) == 148
    for _ in range(60):
        days(bench)
        bench.advance(1.5)
        assert not seeds(bench), "what is refused alone is left alone"


def test_what_an_answer_lacks_is_asked_for_again_ever_more_rarely() -> None:
    bench = quiet_bench()
    answer(bench, BTCUSDT=("98", "99"))
    assert (bench.state(TICKER), bench.state(OTHER)) == (State.QUIET, State.CONNECTING)
    play(bench, 58)
    assert not seeds(bench)
    play(bench, 4)
    (request,) = seeds(bench)
    assert asked(request) == ["ETHUSDT"]
    answer(bench)
    play(bench, 110)
    assert not seeds(bench)
    play(bench, 12)
    answer(bench, ETHUSDT=("8", "9"))
    assert bench.state(OTHER) is State.QUIET


def test_many_are_asked_for_a_hundred_at_a_time() -> None:
    bench = many(150)
    (request,) = seeds(bench)
    assert len(request.params[0][1].split(",")) == 100
    bench.answer(request, b"{}")
    bench.advance(1)
    (request,) = seeds(bench)
    assert len(request.params[0][1].split(",")) == 50
