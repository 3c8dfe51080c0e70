"""Candle intervals of the simulated venues: their lengths, and when a bar opens and closes. Times are ms, UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

SECOND = 1_000
MINUTE = 60 * SECOND
QUARTER = 15 * MINUTE
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BAR_LENGTHS = (MINUTE, QUARTER, HOUR, DAY)
"""The bars that are kept; every longer interval is put together from them. Bars of a second: ``seconds.py``."""

_WEEK_START = 4 * DAY  # 1970-01-05 was a Monday
_SPANS = {
    "1s": SECOND,
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": QUARTER,
    "30m": 2 * QUARTER,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": 7 * DAY,
}
INTERVALS = (*_SPANS, "1M")
"""Every interval that there is; a venue that has fewer says so in its dialect."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def opens(interval: str, at: int) -> int:
    """The open time (ms UTC) of the interval's bar that holds ``at``; weeks open on Monday, months on the first."""
    if interval == "1M":
        moment = _EPOCH + timedelta(milliseconds=at)
        return _ms(moment.year, moment.month)
    span = _SPANS[interval]
    if interval == "1w":
        return at - (at - _WEEK_START) % span
    return at - at % span


def closes(interval: str, start: int) -> int:
    """The end (exclusive, ms) of the bar that opens at ``start``."""
    if interval != "1M":
        return start + _SPANS[interval]
    moment = _EPOCH + timedelta(milliseconds=start)
    return _ms(moment.year + moment.month // 12, moment.month % 12 + 1)


def _ms(year: int, month: int) -> int:
    return (datetime(year, month, 1, tzinfo=timezone.utc) - _EPOCH) // timedelta(milliseconds=1)
