"""What time it is at a venue, as far as we know."""

from __future__ import annotations

from cryptodash.core.time import Clock
from cryptodash.exchanges.connections.lateness import Offset, sample_of

DATE_GRAIN_MS = 2_000
"""A ``Date`` says whole seconds, and the answer travelled: differences up to this say nothing."""


class VenueClock:
    """The clock of one host of a venue: our monotonic clock less the host's ``offset``.

    Recorded time runs at any speed and leaps over holes: there a frame's own time is what time it is (``is_recorded``).

    Until frames or probes have told the offset, our wall clock stands for it, corrected by the ``Date`` of HTTP answers
    where that shows that one of the two clocks is plainly wrong. It tells when a bar has ended and what time a frame
    without a time has; it never orders anything.
    """

    def __init__(self, clock: Clock, *, is_recorded: bool = False) -> None:
        self.offset = Offset()
        self._is_recorded = is_recorded
        self._clock = clock
        self._assumed_ms = 0
        """How far the venue's clock is ahead of ours, while only a ``Date`` has told."""

    @property
    def ahead_ms(self) -> int:
        """How far the venue's clock is ahead of our wall clock."""
        return self._assumed_ms if self.offset.value is None else self.now_ms() - self._clock.wall_ms()

    def proven_ahead_ms(self) -> int | None:
        """By how much at least the venue's clock is ahead of our wall clock (behind: negative), as probes prove; 0
        where they leave it open, None where none was answered lately."""
        now = self._clock.monotonic()
        proven = self.offset.proven(now)
        if proven is None:
            return None
        passed = int(now * 1000) - self._clock.wall_ms()
        return max(passed - proven[1], 0) + min(passed - proven[0], 0)

    def now_ms(self) -> int:
        """Now in the venue's clock (ms)."""
        return self.at(self._clock.monotonic(), self._clock.wall_ms())

    def at(self, now: float, wall_ms: int, said: int | None = None) -> int:
        """By the venue's clock (ms) the moment that was ``now`` by our monotonic clock and ``wall_ms`` by our wall one.
        Exactly ``wall_ms`` while nothing is known of the venue's. ``said``: what a frame says that came then."""
        offset = self.offset.value
        venue_ms = wall_ms + self._assumed_ms if offset is None else int(now * 1000) - offset
        if said is None or said <= venue_ms or not self._is_recorded:
            return venue_ms
        self.offset.value = sample_of(said, now)
        return said

    def dated(self, date_ms: int) -> None:
        """An HTTP answer came that was written at ``date_ms`` by the venue's clock, in whole seconds."""
        self.offset.settle(self._clock.monotonic())
        ahead = date_ms - self._clock.wall_ms()
        self._assumed_ms = ahead if abs(ahead) > DATE_GRAIN_MS else 0
