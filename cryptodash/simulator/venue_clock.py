"""The clock of a simulated host."""

from __future__ import annotations

from cryptodash.core.time import Clock


class VenueClock:
    """The simulator's clock, off by ``step_ms`` under the fault ``clock``. What a host writes is in its time; periods
    are measured by ``monotonic``, which never steps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.step_ms = 0

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def wall_ms(self) -> int:
        return self._clock.wall_ms() + self.step_ms
