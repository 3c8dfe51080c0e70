"""Timers and steps of the wall clock."""

from __future__ import annotations

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from cryptodash.clocks import LOOK_EVERY, WallClockWatch, use_monotonic_time
from cryptodash.core.tally import Counter, Tally
from cryptodash.core.time import ManualClock, WallClockSteps, wall_clock_error


class Reactor(SelectReactor):
    """Twisted's own, on a wall clock that can be set."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        super().__init__()

    def seconds(self) -> float:  # type: ignore[override]
        return self.wall

    def installWaker(self) -> None:
        """Nobody wakes it: it never sleeps."""


@pytest.mark.parametrize("step", [-3600.0, -60.0, 60.0, 3600.0])
def test_timers_do_not_go_by_the_wall_clock(step: float) -> None:
    reactor, clock = Reactor(), ManualClock()
    ran: list[str] = []
    reactor.callLater(3.0, ran.append, "from before")
    use_monotonic_time(reactor, clock)
    reactor.callLater(5.0, ran.append, "from after")
    reactor.wall += step
    clock.step(step)
    for seconds, expected in (
        (2.9, []),
        (0.2, ["from before"]),
        (1.8, ["from before"]),
        (0.2, ["from before", "from after"]),
    ):
        clock.advance(seconds)
        reactor.runUntilCurrent()
        assert ran == expected
    assert reactor.timeout() is None


def test_a_timer_of_before_can_still_be_moved() -> None:
    reactor, clock = Reactor(), ManualClock()
    ran: list[str] = []
    call = reactor.callLater(3.0, ran.append, "x")
    use_monotonic_time(reactor, clock)
    call.reset(1.0)
    clock.advance(1.1)
    reactor.runUntilCurrent()
    assert ran == ["x"]


def test_twice_is_as_once() -> None:
    reactor, clock = Reactor(), ManualClock()
    use_monotonic_time(reactor, clock)
    call = reactor.callLater(3.0, print)
    use_monotonic_time(reactor, clock)
    assert call.getTime() == clock.monotonic() + 3.0


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([0.0] * 5, [0, 0, 0, 0, 0]),
        ([0.0, 3600.0, 0.0], [0, 3_600_000, 0]),
        ([0.0, -60.0, 0.0], [0, -60_000, 0]),
        ([0.0, 0.3, 0.3, 0.3], [0, 0, 0, 0]),  # slewed
    ],
)
def test_a_step_is_noticed_once(steps: list[float], told: list[int]) -> None:
    clock, watch = ManualClock(), WallClockSteps()
    found = []
    for step in steps:
        clock.step(step)
        found.append(watch.look(clock.wall_ms(), clock.monotonic()))
        clock.advance(1.0)
    assert found == told


def test_a_step_is_logged_and_counted_once() -> None:
    scheduler, clock, tally = Clock(), ManualClock(), Tally()
    watch = WallClockWatch(scheduler, clock, tally)
    watch.startService()
    with capturedLogs() as logged:
        for step in (0.0, 60.0, 0.0, 0.0, -3600.0, 0.0):
            clock.step(step)
            clock.advance(LOOK_EVERY)
            scheduler.advance(LOOK_EVERY)
    assert [(each["direction"], each["seconds"]) for each in logged] == [("forward", 60.0), ("back", 3600.0)]
    counter = tally.metrics["cryptodash_wall_clock_steps_total"]
    assert isinstance(counter, Counter) and dict(counter.values) == {("forward",): 1, ("back",): 1}
    watch.stopService()
    assert not scheduler.getDelayedCalls()


@pytest.mark.parametrize(
    ("ahead", "error"),
    [
        ([], 0),
        ([0], 0),
        ([1000], 0),
        ([1001], -1001),
        ([-5000], 5000),
        ([0, 60_000], 0),  # one of two: it may be the wrong one itself
        ([59_000, 60_000], -59_000),
        ([-5000, 60_000], 0),
        ([0, 60_000, 60_100], -60_000),
        ([0, 0, 60_000], 0),
    ],
)
def test_our_clock_is_wrong_if_most_others_say_so(ahead: list[int], error: int) -> None:
    assert wall_clock_error(ahead) == error


def test_a_wrong_wall_clock_is_warned_of_once() -> None:
    scheduler, clock, tally, ahead = Clock(), ManualClock(), Tally(), [0, 0]
    watch = WallClockWatch(scheduler, clock, tally, lambda: ahead)
    watch.startService()
    with capturedLogs() as logged:
        for ahead[:] in ([0, 0], [3000, 3100], [3000, 3200], [3000, 0], [0, 0]):
            clock.advance(LOOK_EVERY)
            scheduler.advance(LOOK_EVERY)
    assert [(each["log_level"].name, each.get("direction"), each.get("seconds")) for each in logged] == [
        ("warn", "behind", 3.0),
        ("info", None, None),
    ]
    watch.stopService()
