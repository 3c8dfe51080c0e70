"""The reactor on a clock that nobody sets, and the watch for steps of the wall clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from cryptodash.core.tally import Tally
from cryptodash.core.time import Clock, WallClockSteps, wall_clock_error

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
    """Logs and counts each step of the wall clock, once; warns when it is wrong by what ``ahead_ms`` tells: how far
    each venue's clock is ahead of it."""

    def __init__(
        self, scheduler: IReactorTime, clock: Clock, tally: Tally, ahead_ms: Callable[[], Iterable[int]] = tuple
    ) -> None:
        super().__init__(LOOK_EVERY, self._look)
        self.clock = scheduler
        self._time = clock
        self._ahead_ms = ahead_ms
        self._error = 0
        self._steps = WallClockSteps()
        self._counted = tally.counter(
            "cryptodash_wall_clock_steps_total", "Times that the machine's wall clock was set.", "direction"
        )
        tally.gauge(
            "cryptodash_wall_clock_error_seconds",
            "How far the machine's wall clock is ahead by what the exchanges say, 0 within a second",
            lambda: {(): self._error / 1000},
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
        error, before = wall_clock_error(self._ahead_ms()), self._error
        self._error = error
        if error and not before:
            _log.warn(
                "the wall clock is {seconds} s {direction} by what the exchanges say, and every `received` with it: "
                "is NTP running?",
                seconds=abs(error) / 1000,
                direction="ahead" if error > 0 else "behind",
            )
        elif before and not error:
            _log.info("the wall clock agrees with the exchanges again")


class LedgerBeat(TimerService):
    """Looks at the ledger each second, so that it knows what time was observed."""

    def __init__(self, scheduler: IReactorTime, beat: Callable[[], None]) -> None:
        super().__init__(LOOK_EVERY, beat)
        self.clock = scheduler
