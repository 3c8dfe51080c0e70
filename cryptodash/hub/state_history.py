"""What states a stream was in during the last hour, as runs, in a bounded number of bytes."""

from __future__ import annotations

from array import array
from typing import Final

from attrs import frozen

from cryptodash.core.events import Cause, State
from cryptodash.hub.windows import HOUR_MS

MOST_RUNS: Final = 360

_STATES = (State.LIVE, State.QUIET, State.CONNECTING, State.RESYNCING, State.STALE, State.CLOSED)
"""From good to bad: of two codes the greater one is of the worse state."""
_CAUSES: tuple[Cause | None, ...] = (None, *Cause)
_NUMBER_OF_STATE = {state: number for number, state in enumerate(_STATES)}
_NUMBER_OF_CAUSE = {cause: number for number, cause in enumerate(_CAUSES)}
_UNOBSERVED = 2**16 - 1
"""Stands for the time in which the stream was not there, or nobody looked."""


@frozen
class Run:
    """A stretch of time in one state, in ms of the monotonic clock; ``end`` None: it lasts. ``merged``: how many runs
    it stands for; of several, which follow each other without a hole, it has the worst state and that one's cause."""

    begin: int
    end: int | None
    state: State
    cause: Cause | None
    merged: int = 1


class StateHistory:
    """At most ``MOST_RUNS`` runs; where there are more the oldest two are merged into one. One that ended more than an
    hour ago is forgotten."""

    __slots__ = ("_begins", "_codes", "_merged")

    def __init__(self) -> None:
        self._begins = array("q")
        self._codes = array("H")
        self._merged = array("H")

    def begin(self, state: State, cause: Cause | None, now: int) -> None:
        """A run begins, and with it the one before ends."""
        self._append(_NUMBER_OF_STATE[state] << 8 | _NUMBER_OF_CAUSE[cause], now)

    def pause(self, since: int) -> None:
        """From then on the stream was not observed."""
        self._append(_UNOBSERVED, since)

    def runs(self, now: int, most: int = MOST_RUNS) -> list[Run]:
        """Those of the last hour, oldest first; the oldest may have begun before. Where there are more than ``most``
        the older ones are merged, as far as no hole lies between them."""
        self._forget(now)
        begins, codes = self._begins, self._codes
        last = len(begins) - 1
        observed = [at for at, code in enumerate(codes) if code != _UNOBSERVED]
        spare = max(0, len(observed) - max(most, 1))
        runs: list[Run] = []
        begin, code, merged = 0, _UNOBSERVED, 0
        for number, at in enumerate(observed):
            if not merged or at != observed[number - 1] + 1:
                begin, code, merged = begins[at], codes[at], self._merged[at]  # what lies before a hole is forgotten
            else:
                code, merged = max(code, codes[at]), merged + self._merged[at]
            if number >= spare:
                end = None if at == last else begins[at + 1]
                runs.append(Run(begin, end, _STATES[code >> 8], _CAUSES[code & 0xFF], merged))
                merged = 0
        return runs

    def _append(self, code: int, now: int) -> None:
        begins, codes = self._begins, self._codes
        if begins and begins[-1] == now:  # a run of no time
            for column in (begins, codes, self._merged):
                column.pop()
        if codes and codes[-1] == code:
            return
        self._forget(now)
        if len(begins) >= MOST_RUNS:
            self._merge_oldest()
        begins.append(now)
        codes.append(code)
        self._merged.append(1)

    def _forget(self, now: int) -> None:
        ended = 0
        while ended + 1 < len(self._begins) and self._begins[ended + 1] < now - HOUR_MS:
            ended += 1
        if ended:
            for column in (self._begins, self._codes, self._merged):
                del column[:ended]

    def _merge_oldest(self) -> None:
        """A hole stays a hole: what is beside it is forgotten rather than called observed."""
        codes, merged = self._codes, self._merged
        if _UNOBSERVED in codes[:2]:
            for column in (self._begins, codes, merged):
                del column[:1]
            return
        codes[0] = max(codes[:2])
        merged[0] = min(merged[0] + merged[1], 2**16 - 1)
        for column in (self._begins, codes, merged):
            del column[1]

    def __sizeof__(self) -> int:
        columns = (self._begins, self._codes, self._merged)
        return object.__sizeof__(self) + sum(each.__sizeof__() for each in columns)
