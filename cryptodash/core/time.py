"""Wall and monotonic time as one argument, and RFC 3339 text.

Ages and timers go by ``monotonic``; ``wall_ms``, which anybody may set at any time, is only ever shown.
"""

from __future__ import annotations

import re
import time as _time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from functools import lru_cache, partial
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: the last instant RFC 3339 can write."""


class Clock(Protocol):
    """Both clocks; every part that needs time takes one."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean something."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970, UTC."""


if hasattr(_time, "CLOCK_BOOTTIME"):
    # Runs on while the machine sleeps: what is an hour old after a suspend is an hour old.
    _monotonic: Callable[[], float] = partial(_time.clock_gettime, _time.CLOCK_BOOTTIME)
else:
    _monotonic = _time.monotonic


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(_monotonic)  # asked per frame: a method around it would cost twice as much

    def wall_ms(self) -> int:
        return _time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until told otherwise; for tests and for replaying recorded time."""

    def __init__(self, wall_ms: int = 1_700_000_000_000, monotonic: float = 1_000.0) -> None:
        self._wall_ms = wall_ms
        self._monotonic = monotonic

    def monotonic(self) -> float:
        return self._monotonic

    def wall_ms(self) -> int:
        return self._wall_ms

    def step(self, seconds: float) -> None:
        """Set the wall clock alone."""
        self._wall_ms += round(seconds * 1000)

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._monotonic += seconds
        self._wall_ms += round(seconds * 1000)


STEP_MS = 500
"""Between two looks a wall clock that is merely slewed gets less far than this from the monotonic one."""


class WallClockSteps:
    """Notices that the wall clock was set. Pure; to be asked every second or so."""

    def __init__(self) -> None:
        self._ahead: int | None = None
        """The wall clock less the monotonic one, at the last look."""

    def look(self, wall_ms: int, monotonic: float) -> int:
        """By how many ms it was set since the last look; 0: it was not."""
        before, self._ahead = self._ahead, wall_ms - int(monotonic * 1000)
        step = 0 if before is None else self._ahead - before
        return step if abs(step) > STEP_MS else 0


OFF_MS = 1_000
"""A wall clock that is wrong by no more than this is right enough."""


def wall_clock_error(ahead_ms: Iterable[int]) -> int:
    """How far our wall clock is wrong (ms; behind: negative), from how far other clocks are ahead of it at least; 0
    while most of them are within ``OFF_MS``. One of several that is off is wrong itself."""
    known = sorted(ahead_ms)
    if not known:
        return 0
    low, high = known[(len(known) - 1) // 2], known[len(known) // 2]  # two medians, where the number is even
    return -low if low > OFF_MS else -high if high < -OFF_MS else 0


_MILLIS = tuple(f".{millis:03d}Z" for millis in range(1000))


@lru_cache(maxsize=256)
def _second_text(second: int) -> str:
    """All events of a moment share a few seconds: writing one costs 4 us, remembering it 0.1."""
    if not 0 <= second <= _MAX_MS // 1000:
        raise ValueError(f"not a time in seconds: {second}")
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(ms: int) -> str:
    """``1704067200000`` as ``2024-01-01T00:00:00.000Z``. Raises ``ValueError`` outside the years 1970-9999."""
    return _second_text(ms // 1000) + _MILLIS[ms % 1000]


def is_time_ms(value: int) -> bool:
    """Whether the number can be a time in milliseconds at all (a venue's field may hold anything)."""
    return 0 <= value <= _MAX_MS


_rfc3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
).fullmatch


def parse_time(text: str) -> int:
    """Milliseconds from RFC 3339 text or from a plain number of milliseconds. Raises ``ValueError``, also for a time
    outside the years 1970-9999."""
    if text.isascii() and text.isdigit() and len(text) <= 15:
        value = int(text)
        if is_time_ms(value):
            return value
    elif _rfc3339(text):
        text = text.upper().replace(" ", "T").replace("Z", "+00:00")
        fraction = re.search(r"\.([0-9]+)", text)
        if fraction:
            text = text.replace(fraction.group(0), "." + fraction.group(1)[:6].ljust(6, "0"))
        try:
            value = (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
        except OverflowError:  # in another zone it is a time of the year 0 or 10000
            value = -1
        if is_time_ms(value):
            return value
    raise ValueError(f"not a time (RFC 3339 or milliseconds): {text[:40]!r}")
