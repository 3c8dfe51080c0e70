"""Candles from REST: shared, kept for a short time, joined with the stream."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, ensureDeferred

from cryptodash.core.errors import TryLater, UpstreamError
from cryptodash.core.topics import Channel
from cryptodash.hub import history
from cryptodash.hub.history import joined, later, normal_end

NOW = 1_700_000_030_000  # 30 s into a minute (1_700_000_000 is 20 s into it)


@pytest.mark.parametrize(
    ("interval", "end", "expected"),
    [
        ("1m", None, None),
        ("1m", NOW + 1, None),
        ("1m", NOW - 1, None),
        ("1m", NOW - 60_000, NOW - NOW % 60_000 - 60_000),
        ("1m", 120_001, 120_000),
        ("1m", 120_000, 120_000),
        ("1h", 3_600_000 * 5 + 17, 3_600_000 * 5),
        ("1w", 123_456, 123_456),
        ("1M", NOW, None),
    ],
)
def test_ends_within_one_bar_mean_the_same(interval, end, expected):
    assert normal_end(interval, end, NOW) == expected


@pytest.fixture
def topic(world):
    return world.topic(Channel.CANDLE, interval="1m")


def ask(world, topic, limit=3, end=None, client="192.0.2.1"):
    results = []
    deferred = ensureDeferred(world.hub.candles(topic, limit, end, client))
    deferred.addBoth(results.append)
    return deferred, results


def opened(bars):
    return [bar.timestamp // 60_000 for bar in bars]


def test_concurrent_callers_share_one_request(world, topic):
    calls = [ask(world, topic)[1] for _ in range(5)] + [ask(world, topic, limit=2)[1]]
    assert [(asked[1], asked[2]) for asked in world.venue.requests] == [(3, None)]
    world.venue.requests[0][3].callback([world.bar(1), world.bar(2), world.bar(3, closed=False)])
    assert [opened(results[0][0]) for results in calls] == [[1, 2, 3]] * 5 + [[2, 3]]
    assert [results[0][1] for results in calls] == [False] * 6


def test_a_larger_limit_is_a_request_of_its_own_and_serves_smaller_ones_later(world, topic):
    _, small = ask(world, topic, limit=1)
    _, large = ask(world, topic, limit=3)
    assert [asked[1] for asked in world.venue.requests] == [1, 3]
    world.venue.requests[1][3].callback([world.bar(1), world.bar(2), world.bar(3)])
    world.venue.requests[0][3].callback([world.bar(3)])
    assert opened(small[0][0]) == [3]
    assert opened(large[0][0]) == [1, 2, 3]


def test_an_open_bar_is_given_again_for_a_short_time_only(world, topic):
    ask(world, topic)
    world.venue.requests[0][3].callback([world.bar(1), world.bar(2, closed=False)])
    _, again = ask(world, topic, limit=1)
    assert (opened(again[0][0]), again[0][1]) == ([2], True)
    world.advance(history.OPEN_BAR_TTL_S + 0.1)
    ask(world, topic)
    assert len(world.venue.requests) == 2


def test_closed_bars_are_kept(world, topic):
    ask(world, topic, end=180_000)
    world.venue.requests[0][3].callback([world.bar(1), world.bar(2), world.bar(3)])
    world.advance(3600)
    _, again = ask(world, topic, end=180_059)
    assert (opened(again[0][0]), again[0][1]) == ([1, 2, 3], True)
    assert len(world.venue.requests) == 1


def test_an_empty_answer_of_the_past_is_not_kept_for_ever(world, topic):
    ask(world, topic, end=60_000)
    world.venue.requests[0][3].callback([])
    assert ask(world, topic, end=60_000)[1] == [([], True)]
    world.advance(10)
    ask(world, topic, end=60_000)
    assert len(world.venue.requests) == 2


@pytest.mark.parametrize("error", [UpstreamError("banned", "too much", 7.0), ValueError("a fault")])
def test_a_failure_reaches_everybody_and_is_not_kept(world, topic, error):
    calls = [ask(world, topic)[1] for _ in range(2)]
    world.venue.requests[0][3].errback(error)
    failures = [results[0] for results in calls]
    assert all(failure.check(UpstreamError) for failure in failures)
    if isinstance(error, UpstreamError):
        assert {(f.value.cause, str(f.value), f.value.retry_after) for f in failures} == {("banned", "too much", 7.0)}
    ask(world, topic)
    assert len(world.venue.requests) == 2


def test_a_caller_that_leaves_does_not_end_the_request_of_the_others(world, topic):
    leaving, left = ask(world, topic)
    _, stays = ask(world, topic)
    leaving.cancel()
    assert left[0].check(CancelledError)
    world.venue.requests[0][3].callback([world.bar(1)])
    assert opened(stays[0][0]) == [1]


def test_kept_bars_are_bounded_and_the_least_used_leave_first(world, topic, monkeypatch):
    monkeypatch.setattr(history, "BARS_KEPT", 5)
    for minute in (10, 20, 30):
        ask(world, topic, limit=2, end=minute * 60_000)
        world.venue.requests[-1][3].callback([world.bar(minute - 1), world.bar(minute)])
        ask(world, topic, limit=2, end=10 * 60_000)  # used again and again
    assert len(world.venue.requests) == 3
    ask(world, topic, limit=2, end=20 * 60_000)
    assert len(world.venue.requests) == 4
    assert world.tally.metrics["cryptodash_cache_entries"].read()[("history_bar",)] == 4


def test_the_answer_is_brought_up_to_date_by_the_stream(world, topic):
    world.hub.hold(topic, 0)
    world.hub.publish(world.bar(3, volume="9"))
    world.hub.publish(world.bar(4, volume="1", closed=False))
    _, results = ask(world, topic)
    world.venue.requests[0][3].callback([world.bar(1), world.bar(2), world.bar(3, volume="5", closed=False)])
    bars, _ = results[0]
    assert [(bar.timestamp // 60_000, bar.volume, bar.closed) for bar in bars] == [
        (2, "1", True),
        (3, "9", True),
        (4, "1", False),
    ]


def test_bars_of_the_past_are_not_joined_with_the_stream(world, topic):
    world.hub.hold(topic, 0)
    world.hub.publish(world.bar(3, volume="9", corrected=True))
    _, results = ask(world, topic, end=180_000)
    world.venue.requests[0][3].callback([world.bar(2), world.bar(3)])
    assert [bar.volume for bar in results[0][0]] == ["1", "1"]


def test_a_hole_between_answer_and_stream_is_not_hidden(world):
    bars = [world.bar(1), world.bar(2)]
    assert joined(bars, [world.bar(4)]) == bars
    assert joined(bars, []) == bars
    assert joined([], [world.bar(4)]) == []


@pytest.mark.parametrize(
    ("rest", "live", "volume"),
    [
        ({"volume": "2", "closed": True}, {"volume": "1", "closed": False}, "2"),
        ({"volume": "2", "closed": False}, {"volume": "3", "closed": True}, "3"),
        ({"volume": "10", "closed": False}, {"volume": "9", "closed": False}, "10"),
        ({"volume": "9", "closed": False}, {"volume": "10", "closed": False}, "10"),
    ],
)
def test_the_later_state_of_one_bar(world, rest, live, volume):
    assert later(world.bar(1, **rest), world.bar(1, **live)).volume == volume


@pytest.mark.parametrize("behind_s", [0, 90])
def test_an_end_that_is_over_by_the_venues_clock_is_the_end_though_ours_is_behind(world, topic, behind_s):
    """Our clock says that the end is yet to come: the answer up to now goes beyond it."""
    minute = world.time.wall_ms() // 60_000
    world.hub.hold(topic, 0)
    end = (minute + (1 if behind_s else -1)) * 60_000 + 30_000
    _, results = ask(world, topic, limit=2, end=end)
    if behind_s:
        newest = minute + 2  # at the venue it is 90 s later
        world.venue.requests[0][3].callback([world.bar(newest - 1), world.bar(newest, closed=False)])
        assert world.venue.requests[1][1:3] == (2, (newest - 1) * 60_000)
        world.venue.requests[1][3].callback([world.bar(newest - 2), world.bar(newest - 1)])
        assert opened(results[0][0]) == [newest - 2, newest - 1]
    else:
        assert world.venue.requests[0][1:3] == (2, (minute - 1) * 60_000)


def test_an_answer_that_lacks_the_last_bar_wanted_is_not_kept_for_ever(world, topic):
    """The venue lags, or our clock runs fast and the bar has not begun."""
    minute = world.time.wall_ms() // 60_000
    wanted = minute - 1
    ask(world, topic, limit=2, end=wanted * 60_000)
    world.venue.requests[0][3].callback([world.bar(wanted - 2), world.bar(wanted - 1)])
    world.advance(history.OPEN_BAR_TTL_S + 0.1)
    _, again = ask(world, topic, limit=2, end=wanted * 60_000)
    assert len(world.venue.requests) == 2
    world.venue.requests[1][3].callback([world.bar(wanted - 1), world.bar(wanted)])
    assert opened(again[0][0]) == [wanted - 1, wanted]
    world.advance(3600)
    assert opened(ask(world, topic, limit=2, end=wanted * 60_000)[1][0][0]) == [wanted - 1, wanted]


def test_a_bar_that_was_missing_long_after_its_end_never_was(world, topic):
    """A venue that has no bar for a minute without trades."""
    end = world.time.wall_ms() // 60_000 * 60_000 - 3_600_000
    ask(world, topic, limit=1, end=end)
    world.venue.requests[0][3].callback([world.bar(end // 60_000 - 1)])
    world.advance(3600)
    ask(world, topic, limit=1, end=end)
    assert len(world.venue.requests) == 1


@pytest.mark.parametrize("interval", ["1w", "1M"])
def test_long_intervals_have_ends_on_any_day(world, topic, interval):
    january_31 = 1_675_180_800_000 - 1
    ask(world, topic.sibling(Channel.CANDLE, interval=interval), limit=1, end=january_31)
    world.venue.requests[0][3].callback([world.bar(1)])
    assert len(world.venue.requests) == 1


def test_a_smaller_answer_that_comes_later_does_not_replace_a_larger_one(world, topic):
    ask(world, topic, limit=1)
    ask(world, topic, limit=3)
    world.venue.requests[1][3].callback([world.bar(1), world.bar(2), world.bar(3, closed=False)])
    world.venue.requests[0][3].callback([world.bar(3, closed=False)])
    _, again = ask(world, topic, limit=3)
    assert len(world.venue.requests) == 2
    assert opened(again[0][0]) == [1, 2, 3]


def flood(world, client, count, start=0):
    """So many different charts; the venue answers each at once."""
    results = []
    for number in range(start, start + count):
        results.append(ask(world, world.topic(Channel.CANDLE, interval="1m"), end=number * 60_000, client=client)[1])
        answer_all(world)
    return results


def answer_all(world):
    for *_, answer in world.venue.requests:
        if not answer.called:
            answer.callback([world.bar(1)])


def test_misses_of_one_address_are_a_fifth_of_the_budget_then_429(world):
    world.venue.budget, world.venue.weight = 1000, 10
    calls = flood(world, "192.0.2.1", 40)
    assert len(world.venue.requests) == 21
    assert [len(results) for results in calls] == [1] * 21 + [0] * 19
    world.advance(5)
    (refused,) = calls[-1]
    assert refused.check(TryLater) and refused.value.retry_after == 55
    other = ask(world, world.topic(Channel.CANDLE, interval="1m"), end=10**9, client="192.0.2.2")[1]
    answer_all(world)
    assert opened(other[0][0]) == [1], "another address has its own share"


def test_bars_that_are_known_and_requests_under_way_cost_nothing(world, topic):
    world.venue.budget, world.venue.weight = 1000, 10
    flood(world, "192.0.2.1", 21)
    assert ask(world, topic, end=0, client="192.0.2.1")[1][0][1] is True
    ask(world, topic, end=90 * 60_000, client="192.0.2.2")
    joined_call = ask(world, topic, end=90 * 60_000, client="192.0.2.1")[1]
    answer_all(world)
    assert opened(joined_call[0][0]) == [1]


def test_who_wants_what_an_address_over_its_share_waits_for_does_not_wait_for_it(world, topic):
    world.venue.budget, world.venue.weight = 1000, 10
    flood(world, "192.0.2.1", 21)
    waiting = ask(world, topic, end=90 * 60_000, client="192.0.2.1")[1]
    assert len(world.venue.requests) == 21
    asked_for = ask(world, topic, end=90 * 60_000, client="192.0.2.2")[1]
    assert len(world.venue.requests) == 22
    answer_all(world)
    assert opened(asked_for[0][0]) == [1]
    assert opened(waiting[0][0]) == [1], "one request serves both, and the one who waited paid nothing"


def test_a_caller_that_leaves_while_it_waits_gives_up_its_place(world, topic):
    for number in range(3):
        ask(world, topic, end=number * 60_000)
    leaving, left = ask(world, topic, end=7 * 60_000)
    _, stays = ask(world, topic, end=8 * 60_000)
    leaving.cancel()
    assert left[0].check(CancelledError)
    answer_all(world)
    answer_all(world)
    assert opened(stays[0][0]) == [1]
    assert [asked[2] // 60_000 for asked in world.venue.requests] == [0, 1, 2, 8]


def test_a_venue_that_refuses_at_once_is_no_recursion(world, topic, monkeypatch):
    for number in range(3):
        ask(world, topic, end=number * 60_000)
    calls = [ask(world, topic, end=(10 + n) * 60_000, client=f"192.0.2.{n % 250}")[1] for n in range(900)]

    async def banned(*arguments):
        raise UpstreamError("banned", "too much", 7.0)

    monkeypatch.setattr(world.venue, "candles", banned)
    world.venue.requests[0][3].callback([])
    assert all(results[0].value.cause == "banned" for results in calls)


def test_at_the_end_nobody_waits_for_a_turn(world, topic):
    calls = [ask(world, topic, end=number * 60_000)[1] for number in range(5)]
    world.hub.stop()
    assert [bool(results) for results in calls] == [False] * 3 + [True] * 2
    assert not world.scheduler.getDelayedCalls()
