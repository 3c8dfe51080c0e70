"""When a recorded moment is due. Pure: monotonic seconds come in and go out."""

from __future__ import annotations

from typing import Final

MOST_BEHIND_S: Final = 1.0
"""Who is further behind goes on from there: nothing is hurried."""


class ReplayPace:
    """``begin``: tape time (us) that is due ``now``. ``speed`` 0: everything is due at once."""

    def __init__(self, speed: float, begin: int, now: float) -> None:
        self._per_us = 1e-6 / speed if speed else 0.0
        self._tape = begin
        self._at = now
        self._newest = begin

    def skip(self, begin: int, end: int) -> None:
        """Nothing is known of that time: it takes none. What was told meanwhile has taken its own."""
        begin = max(begin, self._newest)
        if end > begin:
            self._tape += end - begin
            self._newest = end

    def wait(self, time: int, now: float) -> float:
        """Seconds until this tape time is due; 0 or less: it is. To be asked of each time as it comes."""
        self._newest = max(self._newest, time)
        wait = self._at + (time - self._tape) * self._per_us - now
        if wait < -MOST_BEHIND_S:
            self._at -= wait
        return wait
