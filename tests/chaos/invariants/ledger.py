"""Every fault of a venue is in the ledger: what is counted of the venue's streams, or the time in which they were not
good, has grown by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cryptodash.core.quality import Count
from cryptodash.hub.stream_record import STATE_WORDS
from tests.chaos.history import History, Quality
from tests.chaos.plan import Trouble
from tests.chaos.subscriptions import Violation

NOTICED = 25.0
"""Seconds from the end of a fault within which the ledger has it."""

_LOST = (Count.GAPS, Count.CHECKSUM_FAILURES, Count.RESYNCS)
_INTERRUPTED = ("stale", "resyncing", "down")
COUNTED: Mapping[str, Sequence[Count | str]] = {
    "skip": _LOST,
    "wrong-size": (Count.CHECKSUM_FAILURES, Count.DIVERGENCES),
    "reorder": (*_LOST, Count.OUT_OF_ORDER, Count.DUPLICATES),
    "duplicate": (Count.DUPLICATES, Count.OUT_OF_ORDER),
    "crossed": (Count.CROSSED,),
    "garbage": (Count.DECODE_ERRORS,),
    "future-id": (Count.IMPLAUSIBLE, *_LOST),
    "future-time": (Count.IMPLAUSIBLE,),
    "slow": (Count.LATE, "stale"),
    "drop": _INTERRUPTED,
    "half-open": _INTERRUPTED,
    "silent": ("stale",),
    "silent-venue": _INTERRUPTED,
    "maintenance": _INTERRUPTED,
    "wrong-contract": (Count.IMPLAUSIBLE,),
    "delist": ("stale", "down"),
    "rename": ("stale", "down"),
}
"""What may have grown, by the fault's name: a count, or the time in a state."""


def check(history: History) -> list[Violation]:
    return [each for trouble in history.plan.troubles if trouble.name in COUNTED for each in _check(trouble, history)]


def told(trouble: Trouble, samples: Sequence[tuple[float, Mapping[str, Quality]]]) -> list[str]:
    """What of a fault is in the ledger, as ``gaps +2``."""
    before = [sample for at, sample in samples if at <= trouble.begin]
    after = [sample for at, sample in samples if at <= trouble.end + NOTICED]
    if not before or not after:
        return []
    first, last = before[-1][trouble.exchange], after[-1][trouble.exchange]
    grown = {
        each: last.counts[each] - first.counts[each]
        if isinstance(each, Count)
        else (last.state_ms[STATE_WORDS.index(each)] - first.state_ms[STATE_WORDS.index(each)])
        for each in COUNTED[trouble.name]
    }
    return [
        f"{each.name.lower()} +{more}" if isinstance(each, Count) else f"{each} +{more} ms"
        for each, more in grown.items()
        if more > 0
    ]


def _check(trouble: Trouble, history: History) -> Iterator[Violation]:
    if not told(trouble, history.ledger):
        what = f"{trouble.name} of {trouble.exchange} at {trouble.begin:.1f} is not in the ledger"
        yield Violation("ledger", "", "", trouble.end, what)
