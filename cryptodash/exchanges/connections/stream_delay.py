"""The delay of one stream, and whether it is late. Pure: times are arguments."""

from __future__ import annotations

from collections import deque

from cryptodash.exchanges.connections.lateness import OWN_FOR

BEGINS_AFTER = 1.0
ENDS_AFTER = 2.0
LATE_UNTIL_TOLD = 60.0
"""Seconds after its connection was lost for which a late stream counts as late, where nothing tells its delay."""
REMEMBERED = 64
"""Delays that a stream remembers for its percentiles."""


class StreamDelay:
    """The delay of one stream, and whether it is late.

    Late begins when all delays of one second (at least two) exceed the limit, and ends after two seconds of delays
    below half of it.
    """

    __slots__ = (
        "_above",
        "_above_since",
        "_at_last",
        "_below_since",
        "_looked_at",
        "_lost_at",
        "_own_at",
        "_recent",
        "delay",
        "late",
    )

    def __init__(self) -> None:
        self.late = False
        self.delay: int | None = None
        """Milliseconds; None where it is not known."""
        self._at_last = 0
        """The delay of its last frame, as far as it is known: that of its connection then, where it is no sample."""
        self._own_at = self._lost_at = self._looked_at = float("-inf")
        self._above = 0
        self._above_since = 0.0
        self._below_since: float | None = None
        self._recent: deque[int] = deque(maxlen=REMEMBERED)

    @property
    def is_first_above(self) -> bool:
        """Whether the last delay is above the limit, and the one before was not."""
        return self._above == 1

    @property
    def outlived(self) -> int:
        """How much longer (ms) its last frame was under way than its connection's are now."""
        return 0 if self.delay is None else max(0, self._at_last - self.delay)

    def sample(self, delay: int, limit: int, now: float) -> None:
        """Take the delay (ms) of a frame of its own."""
        self._own_at = now
        self._take(delay, limit, now)

    def judge(
        self, least: int | None, limit: int, now: float, *, borne_out: bool = False, last: float | None = None
    ) -> bool:
        """Twice a second: ``least`` is the least delay (ms) of its connection in the last two seconds, ``borne_out``
        whether that is of two samples at least, ``last`` when its last frame came. Whether ``late`` has changed.

        Of frames that were held up together only one may be its own; where the connection has a second one, which is
        late as well, that is the other delay it takes."""
        if last is not None and last >= self._looked_at:
            known = self.delay if self._own_at >= self._looked_at else least
            self._at_last = self._at_last if known is None else known
        self._looked_at = now
        if now - self._own_at > OWN_FOR:
            if least is None:
                if not self.late:  # one that was late and fell silent has not become young
                    self.delay = None
                elif self.delay is None and now - self._lost_at >= LATE_UNTIL_TOLD:
                    self.late = False
                    return True
                self._above, self._below_since = 0, None
            else:
                self._take(least, limit, now)
        elif self.is_first_above and borne_out and least is not None and least > limit:
            self._above += 1
        was = self.late
        if not was:
            self.late = self._above >= 2 and now - self._above_since >= BEGINS_AFTER
        elif self._below_since is not None and now - self._below_since >= ENDS_AFTER:
            self.late = False
        return self.late is not was

    def lost(self, now: float) -> None:
        """Its connection is gone: what is known of its delay is. One that was late is so on the next connection as
        well, until that shows that it is not."""
        self.delay = None
        self._at_last, self._own_at, self._lost_at = 0, float("-inf"), now
        self._above, self._below_since = 0, None

    def percentile(self, share: float) -> int | None:
        """That share of the remembered delays is at most this (ms); None where there are none."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def _take(self, delay: int, limit: int, now: float) -> None:
        self.delay = delay
        self._recent.append(delay)
        if delay > limit:
            if not self._above:
                self._above_since = now
            self._above += 1
        else:
            self._above = 0
        if 2 * delay >= limit:
            self._below_since = None
        elif self._below_since is None:
            self._below_since = now
