"""Long work for answers, in slices: however much there is to say, no other client waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock

SLICE_S: Final = 0.002
"""Seconds of one reactor turn that all such work together may take."""
RECENT_S: Final = 1.0
"""How old an answer may be that is made for all who ask."""

T = TypeVar("T")


@define(eq=False)
class _Work:
    steps: Steps[Any]
    done: Deferred[Any]


class Slices:
    """All such work of one server, round robin. What is short is done at once."""

    def __init__(self, reactor: IReactorTime, clock: Clock) -> None:
        self._reactor = reactor
        self._clock = clock
        self._left = SLICE_S
        """Seconds that are left of this turn's slice."""
        self._waiting: deque[_Work] = deque()
        self._next_turn: IDelayedCall | None = None

    def run(self, steps: Steps[T]) -> Deferred[T]:
        """A Deferred of the outcome: now as far as this turn has time, else in the turns that follow."""
        work = _Work(steps, Deferred())
        if self._waiting or not self._advanced(work):
            self._waiting.append(work)
        self._arm()
        done: Deferred[T] = work.done
        return done

    def stop(self) -> None:
        """Forget what waits, and the timer."""
        self._waiting.clear()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None

    def _advanced(self, work: _Work) -> bool:
        """Some steps, as far as there is time; whether they were the last."""
        begun = now = self._clock.monotonic()
        outcome: object
        try:
            while now - begun < self._left:
                next(work.steps)
                now = self._clock.monotonic()
        except StopIteration as end:
            outcome = end.value
        except Exception:
            outcome = Failure()
        else:
            self._left = 0.0
            return False
        self._left -= self._clock.monotonic() - begun
        work.done.callback(outcome)
        return True

    def _turn(self) -> None:
        """The next turn has come: a new slice."""
        self._next_turn = None
        self._left = SLICE_S
        while self._waiting and self._left > 0:
            work = self._waiting.popleft()
            if not self._advanced(work):
                self._waiting.append(work)
        self._arm()

    def _arm(self) -> None:
        if self._next_turn is None and (self._waiting or self._left < SLICE_S):
            self._next_turn = self._reactor.callLater(0, self._turn)


class Shared(Generic[T]):
    """The outcome of steps that run once for all who want it."""

    def __init__(self, slices: Slices, steps: Steps[T]) -> None:
        self._waiting: list[Deferred[T]] = []
        self._outcome: list[T | Failure] = []
        slices.run(steps).addBoth(self._ended)

    def wait(self) -> Deferred[T]:
        """A Deferred of the outcome. Who cancels it leaves the others alone."""
        waiter: Deferred[T] = Deferred()
        if self._outcome:
            waiter.callback(self._outcome[0])
        else:
            self._waiting.append(waiter)
        return waiter

    def _ended(self, outcome: T | Failure) -> None:
        self._outcome.append(outcome)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(outcome)


class Recent(Generic[T]):
    """What steps say, made once for all who ask, and kept for ``keep(outcome)`` seconds; a failure is not kept."""

    def __init__(
        self,
        slices: Slices,
        clock: Clock,
        steps: Callable[[], Steps[T]],
        keep: Callable[[T], float] = lambda outcome: RECENT_S,
    ) -> None:
        self._slices = slices
        self._clock = clock
        self._steps = steps
        self._building: Shared[T] | None = None
        self._keep = keep
        self._old_at: float | None = None
        """When it is to be built anew; None while it is being built."""

    async def get(self) -> T:
        """The outcome."""
        building = self._building
        if building is None or self._is_old():
            self._old_at = None
            building = self._building = Shared(self._slices, self._steps())
            building.wait().addCallbacks(self._built, self._failed)
        return await building.wait()

    def _is_old(self) -> bool:
        return self._old_at is not None and self._clock.monotonic() >= self._old_at

    def _built(self, outcome: T) -> None:
        self._old_at = self._clock.monotonic() + self._keep(outcome)

    def _failed(self, failure: Failure) -> None:
        self._building = None
