"""Whether the machine slept, as the clocks tell. Pure: times are arguments."""

from __future__ import annotations

from cryptodash.core.time import WallClockSteps
from cryptodash.exchanges.connections.lateness import RISE_MS

SLEPT_WITHIN = 10.0
"""Seconds between the step of our wall clock and the fall of the samples that belong together."""


class SleepWatch:
    """Tells that the machine slept, where its monotonic clock stood still meanwhile: then our wall clock has stepped
    forward against it, and the samples of a venue have fallen by as much. A wall clock that was set shows no such
    fall."""

    def __init__(self) -> None:
        self._steps = WallClockSteps()
        self._stepped: tuple[int, float] = (0, float("-inf"))
        self._fell: tuple[int, float] = (0, float("-inf"))

    def fell(self, by_ms: int, now: float) -> None:
        """Samples of a host have fallen."""
        self._fell = (by_ms, now)

    def beat(self, wall_ms: int, now: float) -> float:
        """Twice a second; returns the seconds slept, once."""
        set_by = self._steps.look(wall_ms, now)
        if set_by > 0:
            self._stepped = (set_by, now)
        step, stepped_at = self._stepped
        fall, fell_at = self._fell
        if step == 0 or abs(step - fall) > RISE_MS or abs(stepped_at - fell_at) > SLEPT_WITHIN:
            return 0.0
        self._stepped = self._fell = (0, float("-inf"))
        return step / 1000
