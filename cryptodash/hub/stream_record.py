"""What the ledger knows of one upstream stream, in a bounded number of bytes (docs/operations.md says how many).

Times are integer milliseconds of the monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Protocol

from attrs import frozen

from cryptodash.core.events import Cause, State
from cryptodash.core.quality import Count, Loss
from cryptodash.hub.state_history import MOST_RUNS, Run, StateHistory
from cryptodash.hub.windows import MINUTE_MS, Windows

STATE_WORDS: Final = ("live", "quiet", "stale", "resyncing", "down")
"""The columns of time in a state: ``down`` is ``connecting`` and ``closed``, where nothing could be had."""
COLUMN_OF_STATE: Final = {
    State.LIVE: 0,
    State.QUIET: 1,
    State.STALE: 2,
    State.RESYNCING: 3,
    State.CONNECTING: 4,
    State.CLOSED: 4,
}
CROSSED_TIME: Final = len(STATE_WORDS)
"""One column more: ms in which the book or the quote was crossed."""

DELAY_BOUNDS_MS: Final = (
    *(1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
    *(1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 30_000),
)
"""Upper bounds of the buckets of delays: neighbours differ by a factor of 2 or less up to 5 s. The last bucket is of
all above."""


@frozen
class Figures:
    """What was counted over some time. ``state_ms`` as ``STATE_WORDS``, ``counts`` by ``Count``, ``delays`` how many
    samples lay in each bucket."""

    state_ms: Sequence[int]
    crossed_ms: int
    counts: Sequence[int]
    delays: Sequence[int]


@frozen
class StreamQuality:
    """One stream of the ledger. ``state`` is None while nobody wants it; ``degraded_at`` and the times of the runs are
    ms of the monotonic clock."""

    exchange: str
    endpoint: str
    name: str
    state: State | None
    cause: Cause | None
    degraded: Loss | None
    degraded_at: int | None
    hour: Figures
    day: Figures
    total: Figures
    runs: Sequence[Run]


@frozen
class VenueQuality:
    """A venue's totals since the start: of its ``streams`` that are known one by one, of the ``added`` ones that were
    and are no more, and of what no stream can be blamed for. ``degraded``: how many streams are."""

    exchange: str
    streams: int
    added: int
    degraded: int
    total: Figures


class RecordOwner(Protocol):
    """The ledger's part of one venue."""

    exchange: str

    def now(self) -> int:
        """The time; what passed unobserved has been taken out."""

    def moved(self, before: int | None, after: int | None) -> None:
        """One stream went from one column of states (None: not there) to another."""

    def counted(self, what: Count, times: int) -> None:
        """For the metrics."""

    def lost(self, endpoint: str, name: str, loss: Loss, at: int) -> None:
        """A stream is degraded."""

    def unused(self, record: Record) -> None:
        """The stream is wanted no more."""


class Record:
    """Implements ``StreamRecord``."""

    __slots__ = (
        "_cause",
        "_counts",
        "_crossed_since",
        "_delays",
        "_history",
        "_owner",
        "_since",
        "_state",
        "_states",
        "degraded",
        "degraded_at",
        "endpoint",
        "name",
    )

    def __init__(self, owner: RecordOwner, endpoint: str, name: str) -> None:
        now = owner.now()
        self.endpoint = endpoint
        self.name = name
        self.degraded: Loss | None = None
        self.degraded_at: int | None = None
        self._owner = owner
        self._state: State | None = None
        self._cause: Cause | None = None
        self._since = now
        self._crossed_since: int | None = None
        self._states = Windows(len(STATE_WORDS) + 1, now)
        self._counts: Windows | None = None
        self._delays: Windows | None = None
        self._history = StateHistory()

    # -- StreamRecord

    def opened(self) -> None:
        """The stream is wanted (again): ``connecting`` until more is told."""
        self._become(State.CONNECTING, None)

    def changed(self, state: State, cause: Cause | None) -> None:
        if self._state is not None:  # else it is closed, and somebody has yet to hear of that
            self._become(state, cause)

    def _become(self, state: State, cause: Cause | None) -> None:
        before = self._state
        if state is before and cause is self._cause:
            return
        now = self._owner.now()
        self._settle(now)
        if state is State.STALE and cause is Cause.LATE and before is not None:
            self._add(Count.LATE, 1, now)
        self._state, self._cause = state, cause
        self._history.begin(state, cause, now)
        after = COLUMN_OF_STATE[state]
        known = None if before is None else COLUMN_OF_STATE[before]
        if known != after:
            self._owner.moved(known, after)

    def crossed(self, is_so: bool) -> None:
        if is_so is (self._crossed_since is not None) or self._state is None:
            return
        now = self._owner.now()
        self._settle(now)
        self._crossed_since = now if is_so else None

    def count(self, what: Count, times: int = 1) -> None:
        if times:
            self._add(what, times, self._owner.now())

    def delayed(self, ms: int) -> None:
        now = self._owner.now()
        if self._delays is None:
            self._delays = Windows(len(DELAY_BOUNDS_MS) + 1, now, slot_ms=5 * MINUTE_MS, typecode="H")
        self._delays.add(bisect_left(DELAY_BOUNDS_MS, ms), 1, now)

    def audited(self, diverged: bool) -> None:
        self.count(Count.AUDITS)
        if diverged:
            self.count(Count.DIVERGENCES)

    def degrade(self, loss: Loss) -> None:
        if self.degraded is None:
            now = self._owner.now()
            self.degraded, self.degraded_at = loss, now
            self._owner.lost(self.endpoint, self.name, loss, now)

    def closed(self) -> None:
        if self._state is None:
            return
        now = self._owner.now()
        self._settle(now)
        self._crossed_since = None
        self._owner.moved(COLUMN_OF_STATE[self._state], None)
        self._state = self._cause = None
        self._history.pause(now)
        self._owner.unused(self)

    # -- time

    def skip(self, since: int, now: int) -> None:
        """What passed from ``since`` to now was not observed, and counts as nothing."""
        if self._state is None:
            return
        self._settle(since)
        self._since = now
        if self._crossed_since is not None:
            self._crossed_since = now
        self._history.pause(since)
        self._history.begin(self._state, self._cause, now)

    def _settle(self, now: int) -> None:
        """Count the time until now."""
        if self._state is not None:
            self._states.span(COLUMN_OF_STATE[self._state], self._since, now)
        if self._crossed_since is not None:
            self._states.span(CROSSED_TIME, self._crossed_since, now)
            self._crossed_since = now
        self._since = now

    def _add(self, what: Count, times: int, now: int) -> None:
        if self._counts is None:
            self._counts = Windows(len(Count), now)
        self._counts.add(what, times, now)
        self._owner.counted(what, times)

    # -- what is known

    def quality(self, most_runs: int = MOST_RUNS) -> StreamQuality:
        """All of it, as of now."""
        now = self._owner.now()
        self._settle(now)
        hour, day, total = (_figures(*each) for each in self._columns(now))
        return StreamQuality(
            self._owner.exchange,
            self.endpoint,
            self.name,
            self._state,
            self._cause,
            self.degraded,
            self.degraded_at,
            hour,
            day,
            total,
            self._history.runs(now, most_runs),
        )

    def total(self) -> Figures:
        """What was counted since the start, as of now."""
        self._settle(self._owner.now())
        parts = (self._states, self._counts, self._delays)
        return _figures(*(None if each is None else each.total for each in parts))

    def _columns(self, now: int) -> Sequence[Sequence[Sequence[int] | None]]:
        parts = (self._states, self._counts, self._delays)
        return (
            [None if each is None else each.hour(now) for each in parts],
            [None if each is None else each.day(now) for each in parts],
            [None if each is None else each.total for each in parts],
        )

    def __sizeof__(self) -> int:
        """All that it keeps but its names."""
        parts = (self._states, self._counts, self._delays, self._history)
        return object.__sizeof__(self) + sum(each.__sizeof__() for each in parts if each is not None)


NO_COUNTS: Final = (0,) * len(Count)
NO_DELAYS: Final = (0,) * (len(DELAY_BOUNDS_MS) + 1)


def _figures(states: Sequence[int] | None, counts: Sequence[int] | None, delays: Sequence[int] | None) -> Figures:
    assert states is not None
    return Figures(
        tuple(states[:CROSSED_TIME]), states[CROSSED_TIME], tuple(counts or NO_COUNTS), tuple(delays or NO_DELAYS)
    )
