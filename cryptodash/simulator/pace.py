"""How often a stream says something, by the venue's clock."""

from __future__ import annotations

from cryptodash.simulator.resting_orders import STEP_MS


class Pace:
    """Whether it is time again, for streams that come every so many ms. Steps of the simulator jitter: ``slack`` ms too
    early is in time, so that a stream of 1 s does not become one of 1.1 s."""

    def __init__(self, every: int, slack: int = STEP_MS // 2) -> None:
        self._least = every - slack
        self._last: int | None = None

    def is_due(self, now: int) -> bool:
        """Also when the clock has been set back since: the stream would else be silent until that is made up for."""
        return self._last is None or not 0 <= now - self._last < self._least

    def sent(self, now: int) -> None:
        """It has come at ``now`` (ms)."""
        self._last = now

    def take(self, now: int) -> bool:
        """Whether it is due, and then it counts as sent."""
        due = self.is_due(now)
        if due:
            self._last = now
        return due
