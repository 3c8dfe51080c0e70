"""When a bar can have opened: not after the frame that tells of it was written, and where bars of its interval do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from msgspec.structs import replace

from cryptodash.core.events import Candle
from cryptodash.core.intervals import LENGTH_MS, open_of
from cryptodash.exchanges.adapter.messages import Bar

AHEAD_MS = 60_000
"""How far a bar's open time may lie after the time that its own frame carries: the length of the shortest bar."""
AHEAD_BY_CLOCK_MS = 120_000
"""How far a bar's open time may lie after the venue's clock where the frame carries no time. Wider, for that clock is
an estimate: before anything has told the venue's time it is our own, which may run minutes slow."""
BELIEVED_MS = 120_000
"""A time that a frame carries and that lies further than this after that of the frame before, and after the venue's
clock, is nonsense and no time."""
MAX_ODD = 2_000
"""Open times remembered that are not where bars of the interval open; more than an answer holds."""
LAST_OPEN = 250_000_000_000_000
"""Open times beyond (the year 9892) are nonsense whatever a clock says."""
_DAY = 86_400_000


def written_at(bar: Bar, before: int | None, venue_ms: int | None) -> int | None:
    """When the venue wrote the bar's frame (ms), where the frame says so and can be believed. ``before``: the same of
    the stream's frame before; ``venue_ms``: the venue's clock. Each None where it is not known."""
    if bar.time is None or before is None:
        return bar.time
    return bar.time if bar.time <= max(before, venue_ms or 0) + BELIEVED_MS else None


def is_impossible(open_time: int, written: int | None, venue_ms: int | None) -> bool:
    """Whether no bar can have opened then (ms): it is no time at all, or one that had not come when the frame was
    written; where that is not known, by the venue's clock."""
    if not 0 <= open_time < LAST_OPEN:
        return True
    if written is not None:
        return open_time > written + AHEAD_MS
    return venue_ms is not None and open_time > venue_ms + AHEAD_BY_CLOCK_MS


def possible(bars: Sequence[Bar], venue_ms: int) -> list[Bar]:
    """The bars of a REST answer without those that cannot have opened yet by the venue's clock (ms): such a one would
    make all before it look closed."""
    return [each for each in bars if not is_impossible(each.open_time, None, venue_ms)]


def aligned(interval: str, open_time: int) -> int:
    """Where the bar that is said to open then (ms) does open: after an outage venues have begun bars at the moment when
    trading began again. Weeks begin at a day's start, which day differs from venue to venue."""
    if interval == "1M":
        month = datetime.fromtimestamp(open_time / 1000, timezone.utc)
        return int(month.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1000
    length = _DAY if interval == "1w" else LENGTH_MS[interval]
    return open_time - open_time % length


class OpenTimes:
    """Open times as bars of the interval have them, and as the venue said them where that is something else: bars are
    put in order by the former and told with the latter."""

    def __init__(self, interval: str) -> None:
        self._interval = interval
        self.said: dict[int, int] = {}
        """What the venue said, by where bars of the interval open, where that is something else."""

    def aligned(self, open_time: int) -> int:
        """Where the bar opens (ms) that is said to open then."""
        found = aligned(self._interval, open_time)
        if found != open_time:
            self.said[found] = open_time
            if len(self.said) > MAX_ODD:
                del self.said[min(self.said)]
        elif self.said:
            self.said.pop(found, None)
        return found

    def as_said(self, candles: list[Candle]) -> list[Candle]:
        """The same bars with the open times that the venue gave them."""
        if not self.said:
            return candles
        said = self.said
        return [replace(each, timestamp=said.get(each.timestamp, each.timestamp)) for each in candles]


def open_at(interval: str, time_ms: int) -> int | None:
    """The open time (ms) of the bar that holds this instant; None for weeks, whose first day is the venue's affair."""
    return aligned(interval, time_ms) if interval == "1M" else open_of(interval, time_ms)
