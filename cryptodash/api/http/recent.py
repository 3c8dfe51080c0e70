"""What takes long to say is made once for all who ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cryptodash.api.slices import Slices
from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock

RECENT_S: Final = 1.0
"""How old an answer may be that is built for all who ask."""

T = TypeVar("T")


class Shared(Generic[T]):
    """The outcome of steps that run once for all who want it."""

    def __init__(self, slices: Slices, steps: Steps[T]) -> None:
        self._waiting: list[Deferred[T]] = []
        self._outcome: list[T | Failure] = []
        slices.outcome(steps).addBoth(self._ended)

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
    """What steps say, begun at most once in ``RECENT_S`` however many ask; a failure is not kept."""

    def __init__(self, slices: Slices, clock: Clock, steps: Callable[[], Steps[T]]) -> None:
        self._slices = slices
        self._clock = clock
        self._steps = steps
        self._building: Shared[T] | None = None
        self._ended_at: float | None = None
        """When it was built; None while it is."""

    async def get(self) -> T:
        """The outcome."""
        building = self._building
        if building is None or self._is_old():
            self._ended_at = None
            building = self._building = Shared(self._slices, self._steps())
            building.wait().addCallbacks(self._built, self._failed)
        return await building.wait()

    def _is_old(self) -> bool:
        return self._ended_at is not None and self._clock.monotonic() - self._ended_at >= RECENT_S

    def _built(self, outcome: T) -> None:
        self._ended_at = self._clock.monotonic()

    def _failed(self, failure: Failure) -> None:
        self._building = None
