"""How often a view of an order book is published."""

from __future__ import annotations

INTERVALS = (100, 200, 500, 1000, 2000, 5000, 10000)
"""Publishing intervals in ms."""


def interval_for(book_interval_ms: int, max_rate: float | None) -> int:
    """The smallest interval that is no shorter than the server's own and no faster than the client's
    ``max_rate`` (updates per second)."""
    least = max(float(book_interval_ms), 1000 / max_rate if max_rate else 0.0)
    return next((interval for interval in INTERVALS if interval >= least), INTERVALS[-1])
