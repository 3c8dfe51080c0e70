"""The reactor on a clock that nobody sets, and the watch for steps of the wall clock."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock, WallClockSteps

LOOK_EVERY = 1.0

_log = Logger(namespace="cryptodash.clocks")


def use_monotonic_time(reactor: Any, clock: Clock) -> None:
    """Let every timer of the reactor run by ``clock.monotonic``.

    Twisted's own run by the wall clock: set back, they all hang for as long; set forward, they all run at once. To be
    called before anything is scheduled; what is scheduled already keeps the time it has left.
    """
    difference = clock.monotonic() - reactor.seconds()
    for call in reactor.getDelayedCalls():
        call.time += difference
        call.seconds = clock.monotonic
    reactor.seconds = clock.monotonic


class WallClockWatch(TimerService):
    """Logs and counts each step of the wall clock, once."""

    def __init__(self, scheduler: IReactorTime, clock: Clock, tally: Tally) -> None:
        super().__init__(LOOK_EVERY, self._look)
        self.clock = scheduler
        self._time = clock
        self._steps = WallClockSteps()
        self._counted = tally.counter(
            "cryptodash_wall_clock_steps_total", "Times that the machine's wall clock was set.", "direction"
        )

    def _look(self) -> None:
        step = self._steps.look(self._time.wall_ms(), self._time.monotonic())
        if step:
            self._counted.add("forward" if step > 0 else "back")
            _log.warn(
                "the wall clock was set {direction} by {seconds} s; timers and ages do not go by it",
                direction="forward" if step > 0 else "back",
                seconds=abs(step) / 1000,
            )
