"""What takes long to say is made once for all who ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cryptodash.core.time import Clock

RECENT_S: Final = 1.0
"""How old an answer may be that is made for all who ask."""

T = TypeVar("T")


class Shared(Generic[T]):
    """The outcome of what is done once for all who want it."""

    def __init__(self, outcome: Deferred[T]) -> None:
        self._waiting: list[Deferred[T]] = []
        self._outcome: list[T | Failure] = []
        outcome.addBoth(self._ended)

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
    """What ``make`` makes, once for all who ask, and kept for ``keep(outcome)`` seconds; a failure is not kept."""

    def __init__(
        self,
        clock: Clock,
        make: Callable[[], Deferred[T]],
        keep: Callable[[T], float] = lambda outcome: RECENT_S,
    ) -> None:
        self._clock = clock
        self._make = make
        self._building: Shared[T] | None = None
        self._keep = keep
        self._old_at: float | None = None
        """When it is to be built anew; None while it is being built."""

    async def get(self) -> T:
        """The outcome."""
        building = self._building
        if building is None or self._is_old():
            self._old_at = None
            building = self._building = Shared(self._make())
            building.wait().addCallbacks(self._built, self._failed)
        return await building.wait()

    def _is_old(self) -> bool:
        return self._old_at is not None and self._clock.monotonic() >= self._old_at

    def _built(self, outcome: T) -> None:
        self._old_at = self._clock.monotonic() + self._keep(outcome)

    def _failed(self, failure: Failure) -> None:
        self._building = None
