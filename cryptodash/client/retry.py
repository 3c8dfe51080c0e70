"""When to connect again."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

LEAST = 0.5
MOST = 30.0
"""Seconds."""


@define
class Backoff:
    """The server's ``retry_ms`` counts as it is: it spreads its clients itself. Else the wait doubles with each
    attempt, half of it by chance, so that many clients do not come back at one moment. ``random``: 0 to 1."""

    random: Callable[[], float]
    least: float = LEAST
    most: float = MOST
    attempts: int = 0

    def delay(self, retry_ms: int | None = None) -> float:
        """Seconds to wait before the next attempt."""
        self.attempts += 1
        if retry_ms is not None:
            return min(retry_ms / 1000, 10 * self.most)
        ceiling = min(self.most, self.least * 2.0 ** min(self.attempts, 30))
        return ceiling * (0.5 + self.random() / 2)

    def reset(self) -> None:
        """A connection has proved good."""
        self.attempts = 0
