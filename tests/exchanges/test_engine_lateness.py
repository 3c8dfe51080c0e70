"""A venue that runs late, clocks that step, a machine that slept: what the engine says of its topics."""

from __future__ import annotations

from itertools import chain
from random import Random

import pytest

from cryptodash.core.events import Cause, State, StreamStatus, Ticker, Trade
from cryptodash.core.tally import Tally
from cryptodash.exchanges.adapter.plan import RestRequest
from cryptodash.exchanges.engine import Engine
from cryptodash.testing import wire
from cryptodash.testing.bench import Bench
from cryptodash.testing.venue import Habits, MadeUpVenue

TICKER = "spot:BTC-USDT:ticker"
OTHER = "spot:ETH-USDT:ticker"
CANDLE = "spot:BTC-USDT:candle:1m"
HOUR_MS = 3_600_000


def ids(bench: Bench) -> int:
    """An update id that grows with time."""
    return round(bench.clock.monotonic() * 1000)


def statuses(bench: Bench, since: int) -> list[StreamStatus]:
    return [each for each in bench.events[since:] if isinstance(each, StreamStatus)]


def answer_probes(bench: Bench, ahead_ms: int = 0) -> None:
    """The venue's clock is so far ahead of our wall clock."""
    while bench.probes:
        bench.carry_out(bench.engine.rest_answer(bench.probes.pop(0), str(bench.wall + ahead_ms).encode()))


def play(
    bench: Bench, seconds: float, *, quotes: int = 0, days: int = 0, ahead: int = 0, answered: bool = True
) -> None:
    """Frames of two tickers; ``quotes`` and ``days`` are how late those of BTC come (ms)."""
    for _ in range(round(seconds * 4)):
        number = ids(bench)
        now = bench.wall + ahead
        bench.frame(wire.quote("BTCUSDT", "99", "101", number, now - quotes))
        bench.frame(wire.day("BTCUSDT", "100", now - days))
        bench.frame(wire.quote("ETHUSDT", "9", "11", number, now))
        bench.frame(wire.day("ETHUSDT", "10", now))
        if answered:
            answer_probes(bench, ahead)
        bench.advance(0.25)


def ready(**options: int) -> Bench:
    bench = Bench()
    bench.want(TICKER, OTHER)
    bench.advance(1)
    play(bench, 10, **options)
    return bench


def late_of_all(bench: Bench, seconds: float, by: int) -> None:
    for _ in range(round(seconds * 4)):
        number = ids(bench)
        for native, bid, ask in (("BTCUSDT", "99", "101"), ("ETHUSDT", "9", "11")):
            bench.frame(wire.quote(native, bid, ask, number, bench.wall - by))
            bench.frame(wire.day(native, bid, bench.wall - by))
        answer_probes(bench)
        bench.advance(0.25)


def test_probes_tell_how_far_our_own_clock_is_off() -> None:
    bench = Bench()
    assert bench.engine.clock_ahead_ms is None
    bench.want(TICKER, OTHER)
    bench.advance(1)
    play(bench, 2, answered=False)
    assert bench.engine.clock_ahead_ms is None, "frames alone may be late"
    answer_probes(bench)
    assert bench.engine.clock_ahead_ms == 0
    bench.clock.step(-60.0)
    told = bench.engine.clock_ahead_ms
    assert told is not None and 58_000 <= told <= 60_000


def test_copies_with_a_time_from_the_future_are_no_clock_of_the_venue() -> None:
    bench = ready()
    since = len(bench.events)
    for _ in range(40):
        number = ids(bench)
        for ahead in (HOUR_MS, 0):
            bench.frame(wire.quote("BTCUSDT", "99", "101", number + (ahead > 0), bench.wall + ahead))
            bench.frame(wire.day("BTCUSDT", "100", bench.wall + ahead))
        bench.advance(0.25)
    assert [each.cause for each in statuses(bench, since) if each.topic == bench.topic(TICKER)] == []


def test_late_from_the_first_frame_is_told_within_two_seconds() -> None:
    bench = Bench()
    bench.want(TICKER, OTHER)
    bench.advance(1)
    answer_probes(bench)
    late_of_all(bench, 2.5, 5000)
    status = bench.status(TICKER)
    assert (status.state, status.cause) == (State.STALE, Cause.LATE)
    confirmed = bench.engine.confirmed_at(bench.topic(TICKER))
    assert confirmed is not None and 5.0 <= bench.clock.monotonic() - confirmed <= 5.5, "the age tells the delay"
    report = next(each for each in chain.from_iterable(bench.engine.streams()) if each.name == "quote:BTCUSDT")
    assert report.delay_ms is not None and 4990 <= report.delay_ms <= 5010 and report.cause is Cause.LATE
    late_of_all(bench, 600, 5000)
    assert bench.status(TICKER).cause is Cause.LATE
    play(bench, 4)
    assert bench.state(TICKER) is State.LIVE


def test_one_late_stream_names_its_fields_and_the_others_stay_live() -> None:
    bench = ready()
    play(bench, 4, quotes=3000)
    status = bench.status(TICKER)
    assert (status.state, status.cause, status.fields) == (State.STALE, Cause.LATE, ("bid", "ask"))
    assert bench.state(OTHER) is State.LIVE
    assert len(bench.servers) == 1, "on the same connection"
    play(bench, 4)
    assert (bench.state(TICKER), bench.status(TICKER).fields) == (State.LIVE, ())


def test_what_has_no_times_of_its_own_is_as_late_as_its_connection() -> None:
    bench = ready()
    bench.want(CANDLE)
    bench.advance(1)
    for _ in range(16):
        bench.frame(wire.candle("BTCUSDT", bench.wall // 60_000 * 60_000, "100"))
        late_of_all(bench, 0.25, 4000)
    status = bench.status(CANDLE)
    assert (status.state, status.cause) == (State.STALE, Cause.LATE)


def candles_alone(venue: MadeUpVenue | None = None) -> Bench:
    bench = Bench(venue)
    bench.want(CANDLE)
    bench.advance(1)
    answer_probes(bench)
    for _ in range(8):
        bench.frame(wire.candle("BTCUSDT", bench.wall // 60_000 * 60_000, "100"))
        bench.advance(1)
        answer_probes(bench)
    return bench


def test_a_connection_without_timed_frames_is_never_late() -> None:
    bench = candles_alone()
    assert bench.state(CANDLE) is State.LIVE
    (report,) = chain.from_iterable(bench.engine.streams())
    assert (report.delay_ms, report.delay_p99_ms) == (None, None)
    assert bench.subscribed() == {"candle:BTCUSDT"}


def test_it_gets_a_stream_that_tells_the_time_where_the_venue_has_one() -> None:
    bench = candles_alone(MadeUpVenue(habits=Habits(timed=True)))
    assert bench.subscribed() == {"candle:BTCUSDT", "heartbeat:"}
    for _ in range(8):
        bench.frame(wire.heartbeat(bench.wall - 5000))
        bench.frame(wire.candle("BTCUSDT", bench.wall // 60_000 * 60_000, "100"))
        bench.advance(0.5)
    assert bench.status(CANDLE).cause is Cause.LATE
    for _ in range(8):
        bench.frame(wire.heartbeat(bench.wall))
        bench.advance(0.5)
    assert bench.state(CANDLE).is_good
    bench.drop(CANDLE)
    bench.advance(15)
    assert not bench.servers, "it does not keep a connection that nobody else needs"


@pytest.mark.parametrize("by", [HOUR_MS, -HOUR_MS])
def test_a_step_of_the_venues_clock_is_no_lateness_and_times_follow(by: int) -> None:
    bench = ready()
    before = len(bench.events)
    play(bench, 10, ahead=by)
    assert {each.cause for each in statuses(bench, before)} == set()
    assert abs(bench.engine.skew_ms - by) < 100
    steps = bench.count("cryptodash_upstream_clock_steps_total", "proved")
    assert steps == (1 if by < 0 else 0)


@pytest.mark.parametrize("by", [HOUR_MS, -HOUR_MS])
def test_a_step_of_the_venues_clock_makes_nothing_that_came_before_it_younger_or_older(by: int) -> None:
    bench = ready()
    last = bench.clock.monotonic()
    bench.frame(wire.quote("BTCUSDT", "99", "101", ids(bench), bench.wall))
    bench.frame(wire.day("BTCUSDT", "100", bench.wall))
    for step in range(40):
        ahead = 0 if step < 12 else by  # BTC says nothing any more
        bench.frame(wire.quote("ETHUSDT", "9", "11", ids(bench), bench.wall + ahead))
        bench.frame(wire.day("ETHUSDT", "10", bench.wall + ahead))
        bench.advance(0.25)
        answer_probes(bench, ahead)
        confirmed = bench.engine.confirmed_at(bench.topic(TICKER))
        assert confirmed is not None and last - 0.5 <= confirmed <= last


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 60.0, -60.0])
def test_a_step_of_our_wall_clock_changes_nothing(seconds: float) -> None:
    bench = ready()
    before = len(bench.events)
    bench.clock.step(seconds)
    play(bench, 20, ahead=-round(seconds * 1000))
    assert statuses(bench, before) == []
    assert abs(bench.engine.skew_ms + seconds * 1000) < 100
    assert bench.published(Ticker)[-1].timestamp == bench.wall - round(seconds * 1000) - 250


def test_after_a_sleep_everything_is_stale_until_confirmed() -> None:
    bench = ready()
    before = len(bench.events)
    bench.clock.step(3600.0)  # a monotonic clock that stood still meanwhile
    for further in range(3):  # the first is held for its time, the second agrees, the third agrees on the clock
        bench.frame(wire.quote("ETHUSDT", "9", "11", ids(bench) + further, bench.wall))
        bench.advance(0.02)
    bench.advance(1)
    assert {each.topic.symbol.base: each.state for each in statuses(bench, before)} == {
        "BTC": State.STALE,
        "ETH": State.STALE,
    }
    play(bench, 3)
    assert bench.state(TICKER) is bench.state(OTHER) is State.LIVE


def test_recorded_time_is_never_late_and_never_probed() -> None:
    bench = Bench()
    bench.engine = Engine(
        bench.venue, bench.venue.hosts, bench.catalogue, bench.clock, Random(1), Tally(), late_after_ms=None
    )
    bench.want(TICKER)
    bench.advance(1)
    for speed in (0.5, 10.0):
        recorded = 1_500_000_000_000.0
        for _ in range(240):
            recorded += 250 * speed
            bench.frame(wire.quote("BTCUSDT", "99", "101", ids(bench), round(recorded)))
            bench.frame(wire.day("BTCUSDT", "100", round(recorded)))
            bench.advance(0.25)
        assert abs(bench.engine.venue_ms(bench.venue.markets[0]) - recorded) < 1000
        assert bench.state(TICKER) is State.LIVE
    assert not bench.probes


def test_recorded_time_may_leap_from_frame_to_frame() -> None:
    bench = Bench()
    bench.engine = Engine(
        bench.venue, bench.venue.hosts, bench.catalogue, bench.clock, Random(1), Tally(), late_after_ms=None
    )
    trades = "spot:BTC-USDT:trade"
    bench.want(TICKER, trades)
    bench.advance(1)
    recorded = 1_500_000_000_000
    for number in range(1, 5):
        recorded += 60_000
        bench.frame(wire.day("BTCUSDT", str(100 + number), recorded))
        bench.frame(wire.quote("BTCUSDT", str(number), "101", number, recorded + 10_000))
        bench.frame(wire.trade("BTCUSDT", number, str(100 + number), recorded + 20_000))
        ticker = bench.published(Ticker)[-1]
        assert (ticker.bid, ticker.last) == (str(number), str(100 + number))
        assert bench.published(Trade)[-1].id == str(number)
        bench.advance(0.001)


def test_answers_that_are_as_late_as_the_frames_are_no_step_of_the_venues_clock() -> None:
    """Everything on the way from the venue is five seconds late, the answers to probes as well: an answer says when
    *its* question was asked, also where another one would be due before it comes."""
    bench = ready()
    since, late_by = len(bench.events), 5.1
    asked: list[tuple[float, RestRequest, int]] = []
    for _ in range(120):
        number, sent = ids(bench), bench.wall - round(late_by * 1000)
        for native, bid, ask in (("BTCUSDT", "99", "101"), ("ETHUSDT", "9", "11")):
            bench.frame(wire.quote(native, bid, ask, number, sent))
            bench.frame(wire.day(native, bid, sent))
        asked += [(bench.clock.monotonic(), each, bench.wall) for each in bench.probes]
        bench.probes.clear()
        while asked and bench.clock.monotonic() - asked[0][0] >= late_by:
            _, probe, then = asked.pop(0)
            bench.carry_out(bench.engine.rest_answer(probe, str(then).encode()))
        bench.advance(0.25)
    assert bench.count("cryptodash_upstream_clock_steps_total", "proved") == 0
    told = [each for each in statuses(bench, since) if each.topic == bench.topic(TICKER)]
    assert {(each.state, each.cause) for each in told} == {(State.STALE, Cause.LATE)}, "and it stays so"


@pytest.mark.parametrize("alone", [True, False])
def test_a_stream_is_begun_anew_only_where_its_connection_goes_on(alone: bool) -> None:
    """Where the whole connection has fallen silent, what is on its way would have a hole where the stream was ended."""
    bench = ready()
    server = bench.only
    asked = len(server.sent)
    for _ in range(34):
        if alone:
            number = ids(bench)
            bench.frame(wire.quote("ETHUSDT", "9", "11", number, bench.wall))
            bench.frame(wire.day("ETHUSDT", "10", bench.wall))
            bench.frame(wire.day("BTCUSDT", "100", bench.wall))
        bench.advance(0.25)
    assert bench.status(TICKER).cause is Cause.SILENT
    assert [each["args"] for _, each in server.sent[asked:]] == ([["quote:BTCUSDT"]] * 2 if alone else [])


def test_what_comes_at_once_after_it_was_held_up_is_late_within_two_seconds_though_nothing_follows() -> None:
    """Frames that waited together are one moment's samples: the first alone was taken, and one proves nothing
    (seed 744)."""
    bench = ready()
    sent, number = bench.wall, ids(bench)
    bench.advance(7)
    assert bench.status(TICKER).cause is Cause.SILENT
    for later in range(6):
        bench.frame(wire.quote("BTCUSDT", "99", "101", number + later, sent + later))
        bench.frame(wire.day("BTCUSDT", "100", sent + later))
    bench.advance(2)
    assert (bench.state(TICKER), bench.status(TICKER).cause) == (State.STALE, Cause.LATE)


def test_the_only_sample_of_a_stream_that_was_held_up_is_borne_out_by_that_of_another() -> None:
    """A stream of one frame a second has one in a second that was held up: it was live until it was silent again
    (seed 791). The first frame of each is none: the silent stream was subscribed anew."""
    bench = ready()
    sent, number = bench.wall, ids(bench)
    bench.advance(7)
    for later in range(2):
        for native, bid, ask in (("BTCUSDT", "99", "101"), ("ETHUSDT", "9", "11")):
            bench.frame(wire.quote(native, bid, ask, number + later, sent + later))
            bench.frame(wire.day(native, bid, sent + later))
    bench.advance(2)
    assert (bench.state(TICKER), bench.status(TICKER).cause) == (State.STALE, Cause.LATE)
    assert (bench.state(OTHER), bench.status(OTHER).cause) == (State.STALE, Cause.LATE)


def test_what_was_held_up_is_not_live_again_because_its_connection_is_young() -> None:
    """The venue sent nothing more of one stream while its connection was held up, and other frames came: for two
    seconds, until it was silent by when its last frame had come, it was live (seed 898)."""
    bench = ready()
    sent, number = bench.wall, ids(bench)
    bench.advance(7)
    for later in range(2):
        bench.frame(wire.quote("BTCUSDT", "99", "101", number + later, sent + later))
        bench.frame(wire.day("BTCUSDT", "100", sent + later))
    states = []
    for _ in range(32):
        fresh = ids(bench)
        bench.frame(wire.quote("ETHUSDT", "9", "11", fresh, bench.wall))
        bench.frame(wire.day("ETHUSDT", "10", bench.wall))
        bench.advance(0.25)
        states.append(bench.state(TICKER))
    assert State.LIVE not in states[10:]
    assert bench.state(OTHER) is State.LIVE
