"""Candle intervals: their names on the wire, their lengths, and when a bar ends. All bars begin and end in UTC."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Final

INTERVALS: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M")
"""Every interval a client can ask for, by our name."""

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
LENGTH_MS: Final = {
    **{f"{count}m": count * _MINUTE for count in (1, 3, 5, 15, 30)},
    **{f"{count}h": count * _HOUR for count in (1, 2, 4, 6, 12)},
    "1d": _DAY,
    "1w": 7 * _DAY,
}
"""Milliseconds by interval; a month has no fixed length."""


def next_open(interval: str, open_ms: int) -> int:
    """When the bar that opened at ``open_ms`` ends, which is the open time of the next one. Both in ms."""
    length = LENGTH_MS.get(interval)
    if length is not None:
        return open_ms + length
    # From the month's first day: a bar that is said to open on a 31st would have no next one.
    month = datetime.fromtimestamp(open_ms / 1000, timezone.utc).replace(day=1, hour=0, minute=0, second=0)
    following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return int(following.timestamp()) * 1000


def open_of(interval: str, time_ms: int) -> int | None:
    """The open time (ms) of the bar that holds this instant; None for weeks and months, which do not begin at multiples
    of their length since 1970."""
    length = LENGTH_MS.get(interval)
    return None if length is None or interval == "1w" else time_ms - time_ms % length
