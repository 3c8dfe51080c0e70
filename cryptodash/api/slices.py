"""Long work for clients, in slices: so that nobody's request keeps the others waiting."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from cryptodash.core.steps import Steps
from cryptodash.core.time import Clock

_log = Logger(namespace="cryptodash.api.slices")

T = TypeVar("T")

SLICE_S: Final = 0.002
"""Seconds of one reactor turn that the work of all clients together may take, of both doors."""
QUANTUM_S: Final = 0.0005
"""Seconds that one client's work takes of a slice while others wait for theirs."""


class Slices:
    """The work of all clients of one server, round robin. What is short is done at once."""

    def __init__(self, reactor: IReactorTime, clock: Clock) -> None:
        self._reactor = reactor
        self._clock = clock
        self._left = SLICE_S
        """Seconds that are left of this turn's slice."""
        self._waiting: deque[Steps[Any]] = deque()
        self._next_turn: IDelayedCall | None = None

    def run(self, steps: Steps[Any]) -> None:
        """Do the steps: now as far as this turn has time, the rest in the turns that follow. What they raise now
        is raised here."""
        if self._left <= 0 or not self._advance(steps, self._left):
            self._waiting.append(steps)
        self._arm()

    def outcome(self, steps: Steps[T]) -> Deferred[T]:
        """The same, with a Deferred of what they return or raise."""
        done: Deferred[T] = Deferred()

        def work() -> Steps[None]:
            try:
                outcome: T | Failure = yield from steps
            except Exception:
                outcome = Failure()
            done.callback(outcome)

        self.run(work())
        return done

    def stop(self) -> None:
        """Forget what waits, and the timer."""
        self._waiting.clear()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None

    def _advance(self, steps: Steps[Any], seconds: float) -> bool:
        """Some steps; whether they were the last."""
        begun = now = self._clock.monotonic()
        try:
            for _ in steps:
                now = self._clock.monotonic()
                if now - begun >= seconds:
                    return False
            now = self._clock.monotonic()
            return True
        finally:
            self._left -= now - begun

    def _turn(self) -> None:
        """The next turn has come: a new slice."""
        self._next_turn = None
        self._left = SLICE_S
        while self._waiting and self._left > 0:
            steps = self._waiting.popleft()
            try:
                if not self._advance(steps, min(QUANTUM_S, self._left)):
                    self._waiting.append(steps)
            except Exception:
                _log.failure("work for a client failed")
        self._arm()

    def _arm(self) -> None:
        if self._next_turn is None and (self._waiting or self._left < SLICE_S):
            self._next_turn = self._reactor.callLater(0, self._turn)
