"""How far a venue's clock is from ours: from the frames that carry the venue's time, or else from its HTTP answers."""

from __future__ import annotations

from collections import deque
from statistics import median

from cryptodash.core.time import Clock

EVERY = 0.25
SAMPLES = 240
"""Together about 60 seconds."""
MEMORY = 60.0
"""Seconds after which a sample says nothing any more: either clock may have been set meanwhile."""
DATE_GRAIN_MS = 2_000
"""A ``Date`` says whole seconds, and the answer travelled: differences up to this say nothing."""


class VenueClock:
    """Median of (event time - our wall clock) over about the last minute; network delay is part of it.

    Used to correct receive times and to tell when a bar has ended, never to order. While no frame has told the venue's
    time lately, the ``Date`` of its HTTP answers does, where it shows that one of the two clocks is plainly wrong.
    """

    def __init__(self, clock: Clock) -> None:
        self.ahead_ms = 0
        """How far the venue's clock is ahead of ours, estimated."""
        self.due = 0.0
        """Monotonic time from which the next sample is welcome: the hot path compares with it."""
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def now_ms(self) -> int:
        """Now in the venue's clock, as far as it is known."""
        return self._clock.wall_ms() + self.ahead_ms

    def dated(self, date_ms: int) -> None:
        """An HTTP answer came that was written at ``date_ms`` by the venue's clock, in whole seconds."""
        self._forget(self._clock.monotonic())
        if not self._samples:
            ahead = date_ms - self._clock.wall_ms()
            self.ahead_ms = ahead if abs(ahead) > DATE_GRAIN_MS else 0

    def sample(self, event_ms: int, received: int, now: float) -> None:
        """Take one sample: a frame written at ``event_ms`` by the venue's clock came at ``received`` by ours (ms)."""
        self.due = now + EVERY
        self._forget(now)
        self._samples.append((now, event_ms - received))
        self.ahead_ms = round(median(ahead for _, ahead in self._samples))

    def _forget(self, now: float) -> None:
        while self._samples and now - self._samples[0][0] > MEMORY:
            self._samples.popleft()
