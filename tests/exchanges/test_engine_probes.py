"""Probes that answer late, wrongly or not at all: a late venue stays late, and one that is not does not become so."""

from __future__ import annotations

from itertools import chain

import pytest
from attrs import evolve

from cryptodash.core.errors import UpstreamError
from cryptodash.core.events import Cause, State, StreamStatus
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import LIMITS, MadeUpVenue

TICKER = "spot:BTC-USDT:ticker"
OTHER = "spot:ETH-USDT:ticker"
HOUR_MS = 3_600_000


class Play:
    """Two tickers whose frames come ``late`` ms after they were sent; each probe is answered ``answer_after`` seconds
    after it was asked for (None: never), with ``said`` more than the venue's clock said then."""

    def __init__(self, bench: Bench | None = None) -> None:
        self.bench = bench or Bench()
        self.late = 0
        self.answer_after: float | None = 0.0
        self.said = 0
        self.ahead = 0
        """How far the venue's clock is ahead of ours (ms)."""
        self._flying: list[tuple[float, int]] = []
        self.asked = 0
        self.bench.want(TICKER, OTHER)
        self.bench.advance(1)
        self.run(20)

    def run(self, seconds: float) -> None:
        bench = self.bench
        for _ in range(round(seconds * 4)):
            number, now = round(bench.clock.monotonic() * 1000), bench.wall + self.ahead
            for native, bid, ask in (("BTCUSDT", "99", "101"), ("ETHUSDT", "9", "11")):
                bench.frame(wire.quote(native, bid, ask, number, now - self.late))
                bench.frame(wire.day(native, bid, now - self.late))
            self._probes()
            bench.advance(0.25)

    def _probes(self) -> None:
        bench, now = self.bench, self.bench.clock.monotonic()
        for _ in bench.probes[len(self._flying) :]:
            self.asked += 1
            self._flying.append((now, bench.wall + self.ahead + self.said))
        while self._flying and self.answer_after is not None and now - self._flying[0][0] >= self.answer_after:
            _, said = self._flying.pop(0)
            bench.carry_out(bench.engine.rest_answer(bench.probes.pop(0), str(said).encode()))

    def fail_all(self) -> None:
        while self._flying:
            self._flying.pop()
            self.bench.carry_out(self.bench.engine.rest_failed(self.bench.probes.pop(), UpstreamError("", "no answer")))

    def causes(self, since: int) -> list[Cause | None]:
        return [each.cause for each in self.bench.events[since:] if isinstance(each, StreamStatus)]

    @property
    def steps(self) -> int:
        return self.bench.count("cryptodash_upstream_clock_steps_total", "proved")


@pytest.mark.parametrize("seconds", [6.0, 7.0, 12.0])
def test_a_venue_whose_probes_are_as_late_as_its_frames_stays_late(seconds: float) -> None:
    play = Play()
    play.late, play.answer_after = round(seconds * 1000), seconds
    play.run(3)
    since = len(play.bench.events)
    assert play.bench.status(TICKER).cause is Cause.LATE
    play.run(300)
    assert play.causes(since) == [] and play.steps == 0


@pytest.mark.parametrize("said", [-20_000, -HOUR_MS])
def test_probes_answered_out_of_a_cache_prove_no_step_of_a_late_venues_clock(said: int) -> None:
    play = Play()
    play.late, play.said = 5_000, said
    play.run(3)
    since = len(play.bench.events)
    assert play.bench.status(TICKER).cause is Cause.LATE
    play.run(120)
    assert play.causes(since) == [] and play.steps == 0


@pytest.mark.parametrize("said", [3_000, HOUR_MS])
def test_one_probe_that_says_a_time_to_come_makes_nothing_late(said: int) -> None:
    play = Play()
    since = len(play.bench.events)
    play.said = said
    asked = play.asked
    while play.asked == asked:
        play.run(0.25)
    play.said = 0
    play.run(130)
    assert play.causes(since) == [] and play.steps == 0
    assert play.asked >= asked + 3, "asked again soon, then once a minute"


def test_two_probes_that_say_the_same_are_believed() -> None:
    play = Play()
    play.said = 4_000
    play.run(75)
    assert play.bench.status(TICKER).cause is Cause.LATE, "never above what a probe allows"
    play.said = 0
    play.run(15)
    assert play.bench.state(TICKER) is State.LIVE


def test_a_probe_that_is_not_answered_is_the_only_one_until_it_fails() -> None:
    play = Play()
    play.answer_after, play.late = None, 5_000
    asked = play.asked
    play.run(20)
    assert play.bench.status(TICKER).cause is Cause.LATE and play.asked == asked + 1
    play.fail_all()
    play.answer_after = 0.0
    play.run(6)
    assert asked + 2 <= play.asked <= asked + 3
    play.late = 0
    play.run(4)
    assert play.bench.state(TICKER) is State.LIVE and play.steps == 0


@pytest.mark.parametrize(("by", "way"), [(-HOUR_MS, 4.0), (-3_000, 4.0), (-HOUR_MS, 0.0), (HOUR_MS, 0.0), (4_000, 0.0)])
def test_a_step_of_the_clock_of_a_venue_that_is_late_leaves_it_late(by: int, way: float) -> None:
    play = Play()
    play.late = play_late = 5_000
    play.answer_after = way
    play.run(10)
    assert play.bench.status(TICKER).cause is Cause.LATE
    play.ahead = by
    play.run(30)
    delay = next(
        each.delay_ms for each in chain.from_iterable(play.bench.engine.streams()) if each.name == "quote:BTCUSDT"
    )
    assert play.bench.status(TICKER).cause is Cause.LATE
    assert delay is not None and abs(delay - play_late) <= 10
    play.late, play.answer_after = 0, 0.0
    play.run(10)
    assert play.bench.state(TICKER) is State.LIVE


def test_a_stream_that_begins_on_a_late_connection_is_never_shown_as_live() -> None:
    play = Play()
    play.late = 5_000
    play.run(5)
    bench = play.bench
    bench.obedient = False
    bench.want("spot:BTC-USDT:trade")
    play.run(5)  # the ack is late as well
    since = len(bench.events)
    bench.ack(bench.only)
    for number in range(1, 20):
        bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall - 5_000))
        play.run(0.25)
    topic = bench.topic("spot:BTC-USDT:trade")
    told = [each for each in bench.events[since:] if isinstance(each, StreamStatus) and each.topic is topic]
    assert [(each.state, each.cause) for each in told] == [(State.STALE, Cause.LATE)]


def test_a_late_stream_that_comes_by_a_new_connection_is_late_until_that_shows_that_it_is_not() -> None:
    play = Play()
    play.late = 5_000
    play.run(5)
    bench = play.bench
    since = len(bench.events)
    bench.close(bench.only)
    while not bench.servers:
        bench.advance(0.25)
    play.run(10)
    topic = bench.topic(TICKER)
    told = [each for each in bench.events[since:] if isinstance(each, StreamStatus) and each.topic is topic]
    assert {each.state for each in told} == {State.STALE} and told[-1].cause is Cause.LATE
    bench.close(bench.only)
    play.late = 0
    while not bench.servers:
        bench.advance(0.25)
    play.run(3.5)
    assert bench.state(TICKER) is State.LIVE


def test_a_late_stream_on_a_new_connection_that_tells_no_time_is_not_late_for_ever() -> None:
    play = Play()
    play.late = 5_000
    bench = play.bench
    bench.want("spot:BTC-USDT:trade")
    for number in range(1, 20):
        bench.frame(wire.trade("BTCUSDT", number, "100", bench.wall - 5_000))
        play.run(0.25)
    assert bench.status("spot:BTC-USDT:trade").cause is Cause.LATE
    bench.drop(TICKER, OTHER)
    bench.close(bench.only)
    while not bench.servers:
        bench.advance(0.25)
    for _ in range(400):
        bench.advance(0.25)
    assert bench.state("spot:BTC-USDT:trade") is State.QUIET


class Ponged(Play):
    """The same, but that the venue tells its time in the answers to pings, one a second, and never by REST."""

    def __init__(self) -> None:
        bench = Bench(MadeUpVenue(evolve(LIMITS, ping_every=1.0)))
        bench.pong = self._pinged
        self._pings: list[tuple[float, str, int]] = []
        super().__init__(bench)

    def _pinged(self, request_id: str) -> None:
        self._pings.append((self.bench.clock.monotonic(), request_id, self.bench.wall + self.ahead + self.said))

    def _probes(self) -> None:
        now = self.bench.clock.monotonic()
        while self._pings and self.answer_after is not None and now - self._pings[0][0] >= self.answer_after:
            _, request_id, said = self._pings.pop(0)
            self.bench.frame(wire.pong(request_id, said))


@pytest.mark.parametrize("by", [-3_000, -HOUR_MS])
def test_a_step_of_the_venues_clock_is_proved_by_the_answers_to_pings(by: int) -> None:
    play = Ponged()
    play.ahead = by
    play.run(20)
    assert play.bench.state(TICKER) is State.LIVE and play.steps == 1


@pytest.mark.parametrize("way", [0.0, 0.5, 3.0])
def test_a_late_venue_stays_late_however_long_the_answers_to_pings_are_under_way(way: float) -> None:
    play = Ponged()
    play.late, play.answer_after = 5_000, way
    play.run(3)
    since = len(play.bench.events)
    assert play.bench.status(TICKER).cause is Cause.LATE
    play.run(60)
    assert set(play.causes(since)) <= {Cause.LATE} and play.steps == 0


def test_the_answer_to_a_ping_that_was_not_sent_proves_nothing() -> None:
    play = Ponged()
    play.answer_after, play.late = None, 5_000
    play.run(5)
    assert play.bench.status(TICKER).cause is Cause.LATE
    for _ in range(10):
        play.bench.frame(wire.pong("999999", play.bench.wall - 5_000))
        play.run(1)
    assert play.bench.status(TICKER).cause is Cause.LATE and play.steps == 0
