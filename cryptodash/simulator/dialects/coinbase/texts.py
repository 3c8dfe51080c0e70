"""How Coinbase writes numbers and times. Numbers are text without padding (``78854.1``), an empty level is ``0``."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache

from cryptodash.simulator.decimal_text import fixed, trim
from cryptodash.simulator.instrument_spec import InstrumentSpec

_MS = 1_000_000
"""Nanoseconds of a millisecond."""


def price(spec: InstrumentSpec, ticks: int) -> str:
    """``63310.25``"""
    return trim(spec.price(ticks))


def size(spec: InstrumentSpec, steps: int) -> str:
    """``0.0476177``, and ``0`` for none."""
    return trim(spec.size(steps)) if steps else "0"


def ratio(part: int, whole: int, places: int) -> str:
    """A quotient, cut off after so many decimals: ``-0.28560028286595``."""
    scaled = abs(part) * 10**places // whole
    return trim(fixed(-scaled if part < 0 else scaled, places, places))


def instant(ms: int, nanos: int = 0) -> str:
    """A time of the venue's clock plus nanoseconds, without trailing zeros: ``2026-08-24T22:34:13.82310097Z``."""
    seconds, rest = divmod(ms, 1_000)
    fraction = f"{rest * _MS + nanos:09d}".rstrip("0")
    return f"{_second(seconds)}.{fraction}Z" if fraction else f"{_second(seconds)}Z"


def at_trade(ms: int, number: int) -> str:
    """When the matching engine did something, to the microsecond: ``2026-08-12T19:27:48.298771Z``. The simulated market
    has milliseconds; ``number`` stands for the rest."""
    return instant(ms, number % 1_000 * 1_000)


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


class Stamps:
    """The times at which frames are sent, in nanoseconds: each later than the one before while the clock runs on."""

    def __init__(self) -> None:
        self._ms = self._nanos = 0

    def at(self, now: int) -> str:
        """For a frame that is sent at ``now`` (ms)."""
        self._nanos = min(self._nanos + 9_870, _MS - 1) if now == self._ms else 10_970 + now % 89 * 1_000
        self._ms = now
        return instant(now, self._nanos)
