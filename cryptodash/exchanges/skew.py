"""How far a venue's clock is from ours, from the frames that carry the venue's time."""

from __future__ import annotations

from collections import deque
from statistics import median

EVERY = 0.25
SAMPLES = 240
"""Together about 60 seconds."""


class Skew:
    """Median of (event time - our wall clock) over about the last minute; network delay is part of it.

    Used to correct receive times, never to order.
    """

    def __init__(self) -> None:
        self.ms = 0
        self.due = 0.0
        """Monotonic time from which the next sample is welcome: the hot path compares with it."""
        self._samples: deque[int] = deque(maxlen=SAMPLES)

    def sample(self, event_ms: int, wall_ms: int, now: float) -> None:
        """Take one sample."""
        self.due = now + EVERY
        self._samples.append(event_ms - wall_ms)
        self.ms = round(median(self._samples))
